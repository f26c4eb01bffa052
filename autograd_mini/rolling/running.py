"""Rolled instructions as functions that run: the NumPy that is printed, with constants as objects.

Over a batch, what all samples share is computed once, and what differs among them for a block of samples at
a time, blocks spread over the cores: no intermediate array is larger than a block's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_mini import formulas, rules, threads
from autograd_mini.rolling.families import Rolled
from autograd_mini.rolling.names import Names
from autograd_mini.rolling.numpy_text import ATOM, PRODUCT, NumPy, Text
from autograd_mini.rolling.statements import Statement, body
from autograd_mini.rolling.terms import Apply, Name, Number, Term
from autograd_mini.rules import Primitive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Functions = Callable[[Primitive], Callable[..., Any]]

CACHE = 3 << 18  # bytes that a block's intermediate arrays should stay within
FEWEST = 64  # samples in a block
WORTH_A_THREAD = 600_000  # numbers computed: some 2 ms
GROUPS = 16  # groups of blocks whose sums are taken apart, then added in order
CONTRACTED = 40  # products in a contraction that take as long as one number elsewhere


_ones = lru_cache(100)(np.ones)
SUMS: dict[str, Callable[..., Any]] = {  # by matrix products, several times as fast as by np.sum
    "row_sums": lambda x: x @ _ones(x.shape[1]),
    "column_sums": lambda x: _ones(x.shape[0]) @ x,
}


class _Runnable(NumPy):
    """Text whose constants and functions are objects of its namespace, and whose numbers are floats."""

    def __init__(self, names: Names, count: str, functions: Functions) -> None:
        super().__init__(names, count)
        self.functions = functions
        self.namespace: dict[str, Any] = {"np": np, "inf": math.inf, "nan": math.nan, **SUMS}

    def number(self, value: float) -> Text:
        return (f"({value!r})" if math.copysign(1, value) < 0 else repr(value)), ATOM

    def constant(self, values: Any) -> str:
        key = f"{values.shape} {values.dtype} {values.tobytes()!r}"
        name = super().named_constant(key, "c")
        self.namespace[name] = values
        return name

    def named_constant(self, text: str, stem: str) -> str:
        name = super().named_constant(text, stem)
        self.namespace[name] = eval(text, self.namespace)
        return name

    def apply(self, term: Apply) -> Text:
        if all(isinstance(x, Number) for x in term.operands):  # Python raises at 1 / 0
            numbers = [np.float64(x.value) for x in term.operands if isinstance(x, Number)]
            with np.errstate(all="ignore"):
                return self.number(float(self.functions(term.row)(*numbers)))
        return super().apply(term)

    def fold(self, of: Term, method: str, away: list[int]) -> Text:
        if method == "sum" and len(of.axes) == 2 and len(away) == 1:
            return f"{'row' if away == [1] else 'column'}_sums({self.text(of)[0]})", ATOM
        return super().fold(of, method, away)

    def outer(self, x: Term, y: Term) -> Text:
        return f"{self.aligned(x, x.axes + y.axes)[0]} * {self.atom(y)}", PRODUCT

    def power(self, x: Text, y: Text) -> Text:
        if y[0] == "0.5":  # of −∞, which is not the square root that NumPy takes for it
            return f"{self.function(rules.pow)}({x[0]}, 0.5)", ATOM
        return super().power(x, y)

    def function(self, row: Primitive) -> str:
        self.namespace[row.name] = self.functions(row)
        return row.name

    def lines(self, statements: Iterable[Statement]) -> list[str]:
        return [line for statement in statements for line in self.statement(statement)]

    def result(self, term: Term) -> str:
        return self.aligned(term, tuple(sorted(term.axes)))[0]


class Statements:
    """The families as statements that run; ``functions`` has the rows that NumPy has not."""

    def __init__(self, rolled: Rolled, functions: Functions) -> None:
        names = Names(())
        writer = _Runnable(names, "", functions)
        inputs = [names.numbered("x") for _ in range(rolled.inputs)]
        found = body(rolled, inputs, lambda label: names.numbered("t"), writer.length)
        results = [writer.result(term) for term in found.outputs]
        lines = [*writer.lines(found.statements), f"return {', '.join(results)},"]
        self._function = _defined(inputs, lines, writer)

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        """The outputs at numbers and arrays of them, as floats and arrays that nobody else has."""
        given = [np.float64(x) if np.ndim(x) == 0 else np.asarray(x, float) for x in inputs]
        with np.errstate(all="ignore"):
            found = self._function(*given)
        known = set(map(id, given))
        return [_own(x, known) for x in found]

    def buffer(self, inputs: Sequence[Floats], outputs: Sequence[Floats]) -> Callable[[], None]:
        """The function of no arguments that reads and writes these arrays, of no axes for scalars."""
        scalars = [not x.shape for x in inputs]

        def run() -> None:
            given = [x[()] if scalar else x for x, scalar in zip(inputs, scalars, strict=True)]
            with np.errstate(all="ignore"):
                for output, found in zip(outputs, self._function(*given), strict=True):
                    output[...] = found

        return run


def _own(x: Any, known: set[int]) -> Any:
    """A result as a contiguous array, a new one unless it is nobody else's."""
    if np.ndim(x) == 0:
        return np.float64(x)
    if x.flags.owndata and x.flags.c_contiguous and x.dtype == float and id(x) not in known:
        known.add(id(x))
        return x
    return np.array(x, float, order="C")


def _defined(inputs: Sequence[str], lines: Sequence[str], writer: _Runnable) -> Callable[..., Any]:
    for line in writer.imports:
        exec(line, writer.namespace)
    text = "\n    ".join([f"def function({', '.join(inputs)}):", *lines])
    return formulas.define("rolled", text, writer.namespace)


def _divided(x: Any, count: int) -> Any:
    """The quotient, in the place of the sum, which is nobody else's."""
    if not isinstance(x, np.ndarray) or not x.flags.writeable:
        return np.divide(x, count)
    x /= count
    return x


class Batch:
    """The families over samples: the ``varying`` inputs have them in front, and outputs too, or their sum."""

    def __init__(
        self, rolled: Rolled, functions: Functions, varying: Sequence[bool], reduce: str | None
    ) -> None:
        names = Names(())
        writer = _Runnable(names, count := names.new("n"), functions)
        inputs = [names.numbered("x") for _ in range(rolled.inputs)]
        total = Name((), count, ()) if reduce else None
        found = body(rolled, inputs, lambda label: names.numbered("t"), writer.length, varying, total)
        texts = [writer.result(term) for term in found.outputs]
        own = [name for name, varies in zip(inputs, varying, strict=True) if varies]
        each = [text for text, varies in zip(texts, found.varying, strict=True) if varies]
        shared = [text for text, varies in zip(texts, found.varying, strict=True) if not varies]
        lines = [
            *writer.lines(found.statements),
            f"def each({', '.join([count, *own])}):",
            *(f"    {line}" for line in writer.lines(found.each)),
            f"    return [{', '.join(each)}]",
            f"return each, [{', '.join(shared)}]",
        ]
        common = [name for name, varies in zip(inputs, varying, strict=True) if not varies]
        self._function = _defined(common, lines, writer)
        self._own, self._varying, self._reduce = varying, found.varying, reduce
        self._shapes = [output.shape for output in rolled.outputs]
        self.stored, products = found.sizes
        self._work = self.stored + products // CONTRACTED

    def __call__(self, inputs: Sequence[Floats], count: int) -> list[Any]:
        """The outputs; inputs that vary have ``count`` rows."""
        inputs = [x if x.shape else x[()] for x in inputs]
        own = [x for x, varies in zip(inputs, self._own, strict=True) if varies]
        shared = [x for x, varies in zip(inputs, self._own, strict=True) if not varies]
        with np.errstate(all="ignore"):
            each, common = self._function(*shared)
        shapes = [shape for shape, varies in zip(self._shapes, self._varying, strict=True) if varies]
        most = max(FEWEST, CACHE // (8 * max(1, self.stored)))
        worth = 1 + count * self._work // WORTH_A_THREAD
        blocks = max(-(-count // most), min(count // FEWEST, worth))
        block = -(-count // max(1, blocks))
        if self._reduce:
            outputs = self._sums(each, own, shapes, count, block, blocks, worth)
        else:
            outputs = [np.empty((count, *shape)) for shape in shapes]

            def run(begin: int, end: int) -> None:
                with np.errstate(all="ignore"):
                    for start in range(begin * block, min(end * block, count), block):
                        part = slice(start, start + block)
                        rows = [x[part] for x in own]
                        for output, found in zip(outputs, each(len(rows[0]), *rows), strict=True):
                            output[part] = found

            threads.spread(run, blocks, worth)
        known = set(map(id, inputs))
        with np.errstate(all="ignore"):
            return [_own(x, known) for x in self._merged(outputs, common, count)]

    def _sums(
        self,
        each: Callable[..., list[Any]],
        own: list[Floats],
        shapes: list[tuple[int, ...]],
        count: int,
        block: int,
        blocks: int,
        worth: int,
    ) -> list[Any]:
        many = -(-blocks // GROUPS)  # blocks in a group
        groups = -(-blocks // max(many, 1))
        totals: list[list[Any]] = [[] for _ in range(groups)]

        def run(begin: int, end: int) -> None:
            with np.errstate(all="ignore"):
                for group in range(begin, end):
                    for start in range(group * many * block, min((group + 1) * many * block, count), block):
                        rows = [x[start : start + block] for x in own]
                        found = each(len(rows[0]), *rows)
                        known = totals[group]
                        totals[group] = [x + y for x, y in zip(known, found, strict=True)] if known else found

        threads.spread(run, groups, worth)
        with np.errstate(all="ignore"):
            sums = [sum(parts[1:], parts[0]) for parts in zip(*totals, strict=True)]
            sums = sums if totals else [np.zeros(shape) for shape in shapes]
            return [_divided(x, count) for x in sums] if self._reduce == "mean" else sums

    def _merged(self, outputs: list[Any], common: list[Any], count: int) -> list[Any]:
        """All outputs in order: those that samples share are repeated, or as many times as large."""
        both, shared = iter(outputs), iter(common)
        merged: list[Any] = []
        for shape, varies in zip(self._shapes, self._varying, strict=True):
            if varies:
                merged.append(next(both))
            elif self._reduce is None:
                merged.append(np.full((count, *shape), next(shared)))
            elif not count and self._reduce == "sum":
                merged.append(np.zeros(shape))
            else:
                factor = np.float64(count)
                merged.append(next(shared) * (factor if self._reduce == "sum" else factor / factor))
        return merged
