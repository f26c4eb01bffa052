"""Rolled instructions as functions that run: the NumPy that is printed, with constants as objects.

Over a batch, what all samples share is computed once, and what differs among them for a block of samples at
a time, blocks spread over the cores: no intermediate array is larger than a block's.
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from functools import reduce as fold
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_mini import formulas, rules, threads
from autograd_mini.rolling.chains import COMPARISONS
from autograd_mini.rolling.families import Rolled
from autograd_mini.rolling.names import Names
from autograd_mini.rolling.numpy_text import ATOM, SAME, NumPy, Text, numpy_name
from autograd_mini.rolling.statements import Statement, body
from autograd_mini.rolling.terms import (
    BATCH,
    Apply,
    Assign,
    Contract,
    Gather,
    Masked,
    Name,
    Number,
    Reduce,
    Spread,
    Table,
    Term,
    View,
    applied,
    reduced,
    unwrapped,
)
from autograd_mini.rules import Primitive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Functions = Callable[[Primitive], Callable[..., Any]]

CACHE = 1 << 22  # bytes that a block's intermediate arrays should stay within
FEWEST = 64  # samples in a block
WORTH_A_THREAD = 600_000  # numbers computed: some 2 ms
GROUPS = 16  # groups of blocks whose sums are taken apart, then added in order
LONGEST = 50  # terms of a sum from which a minus is taken out
CONTRACTED = 40  # products in a contraction that take as long as one number elsewhere


_ones = lru_cache(100)(np.ones)
SUMS: dict[str, Callable[..., Any]] = {  # by matrix products, several times as fast as by np.sum
    "row_sums": lambda x: x @ _ones(x.shape[-1]),
    "column_sums": lambda x: _ones(x.shape[0]) @ x,
}


IN_PLACE: dict[str, Callable[..., Any]] = {
    "add": operator.iadd,
    "sub": operator.isub,
    "mul": operator.imul,
    "div": operator.itruediv,
}


class _Stored(Name):
    """What is stored under the name of its negative."""


class _Runnable(NumPy):
    """Text whose constants and functions are objects of its namespace, and whose numbers are floats.

    The result of a row takes the place of an operand that nothing else needs.
    """

    def __init__(self, names: Names, count: str, functions: Functions) -> None:
        super().__init__(names, count)
        self.functions = functions
        self.namespace: dict[str, Any] = {"np": np, "inf": math.inf, "nan": math.nan, **SUMS}
        self.namespace |= {f.__name__: f for f in IN_PLACE.values()}
        self.spent: set[str] = set()  # the arrays that the statement is the last to need
        self.negated: set[str] = set()  # the names of what is stored without its minus

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
        name = numpy_name(term.row.name)
        if (
            not term.axes
            or term.truth
            or name not in SAME
            or term.row in (*COMPARISONS, rules.where, rules.pow)
        ):
            return super().apply(term)
        # Between arrays and numbers NumPy is faster if these are arrays, too.
        term = replace(term, operands=tuple(map(_as_array, term.operands)))
        texts = [self.aligned(x, term.axes)[0] for x in term.operands]
        free = [len(x.axes) == len(term.axes) and self.is_new(x) for x in term.operands]
        if free[-1] and len(texts) <= 2:
            *others, last = texts
            return f"np.{name}({', '.join([*others, f'_ := {last}'])}, out=_)", ATOM
        if free[0] and term.row.name in IN_PLACE and len(texts) == 2:
            return f"{IN_PLACE[term.row.name].__name__}({', '.join(texts)})", ATOM
        return super().apply(term)

    def is_new(self, term: Term) -> bool:
        """Whether the term is an array of floats that nothing else needs."""
        minus, term = self.signed(term)
        if minus:
            return bool(term.axes)
        match term := unwrapped(term):
            case Name():
                return term.name in self.spent
            case Apply():
                known = term.row is rules.convention or numpy_name(term.row.name) in SAME
                return bool(term.axes) and not term.truth and known
            case Reduce():
                return bool(term.axes) and not term.truth
            case Gather():
                return bool(term.at.axes)
            case View(whole=True):
                return self.is_new(term.of)
        return isinstance(term, (Contract, Masked, Spread)) and bool(term.axes)

    def text(self, term: Term) -> Text:
        minus, term = self.signed(term)
        return super().text(Apply(term.axes, rules.neg, (term,)) if minus else term)

    def without_minus(self, statement: Assign) -> Assign:
        """The statement of an array, and the minus kept for its users."""
        minus, term = self.signed(statement.term)
        if not (minus and self.is_new(term)):
            return statement
        self.negated.add(statement.name)
        return replace(statement, term=term)

    def signed(self, term: Term) -> tuple[bool, Term]:
        """Whether there is a minus to take out of the term, and the term without it, which is exact."""
        match term:
            case Name() if term.name in self.negated and not isinstance(term, _Stored):
                return True, _Stored(term.axes, term.name, term.shape)
            case Apply(row=rules.neg):
                minus, x = self.signed(term.operands[0])
                return not minus, x
            case Apply(row=rules.mul | rules.div):
                (minus, x), (other, y) = map(self.signed, term.operands)
                return minus != other, replace(term, operands=(x, y))
            case Apply(row=rules.add | rules.sub) if len(term.operands) <= LONGEST:
                minus, x = self.signed(term.operands[0])
                for operand in term.operands[1:]:
                    other, y = self.signed(operand)
                    if minus == (other != (term.row is rules.sub)):
                        x = applied(rules.add, (x, y))
                    else:
                        minus, x = False, applied(rules.sub, (y, x) if minus else (x, y))
                return minus, x
            case Contract():
                (minus, x), (other, y) = self.signed(term.x), self.signed(term.y)
                return minus != other, replace(term, x=x, y=y)
            case View() | Gather() | Reduce(row=rules.add):
                minus, of = self.signed(term.of)
                return minus, replace(term, of=of)
        return False, term

    def fold(self, of: Term, method: str, away: list[int]) -> Text:
        match unwrapped(of):
            case Apply(row=rules.pow, operands=(x, Number(value=2.0))) if len(away) == len(of.axes):
                if method == "sum":
                    return f"np.vdot(_ := {self.text(x)[0]}, _)", ATOM
        if method == "sum" and len(of.axes) <= 2 and len(away) == 1:
            return f"{'column' if away == [0] and len(of.axes) > 1 else 'row'}_sums({self.text(of)[0]})", ATOM
        return super().fold(of, method, away)

    def contract(self, term: Contract) -> Text:
        x, y = term.x, term.y
        if term.axes and x.axes == y.axes:  # several times as fast as np.einsum, along few numbers above all
            return self.aligned(reduced(rules.add, applied(rules.mul, (x, y)), term.axes), term.axes)
        return super().contract(replace(term, x=_longest_last(x), y=_longest_last(y)))

    def product(self, x: str, y: str) -> Text:
        # which takes less time to start, but 0 times an infinite number for 0 where there is one sample
        return super().product(x, y) if self.count else (f"{x}.dot({y})", ATOM)

    def outer(self, x: Term, y: Term) -> Text:
        """As a product of matrices, whose sums have one term each: two thirds of the time of ``*``."""
        return self.product(self.aligned(x, x.axes + y.axes)[0], f"{self.atom(y)}[None]")

    def power(self, x: Text, y: Text) -> Text:
        if y[0] == "2.0":
            return f"np.square({x[0]})", ATOM
        if y[0] == "0.5":  # of −∞, which is not the square root that NumPy takes for it
            return f"{self.function(rules.pow)}({x[0]}, 0.5)", ATOM
        return super().power(x, y)

    def function(self, row: Primitive) -> str:
        name = super().named_constant(row.name, "f")
        self.namespace[name] = self.functions(row)
        return name

    def spread(self, term: Spread) -> Text:
        if isinstance(term.of, Number):
            return super().spread(term)
        return f"np.full({self.shape(term.axes, term.shape)}, {self.aligned(term.of, term.axes)[0]})", ATOM

    def lines(
        self, statements: Sequence[Statement], results: Sequence[Term], needed: Iterable[str] = ()
    ) -> tuple[list[str], list[str]]:
        """The statements' lines and texts of the results; ``needed`` are names that others take later."""
        self.spent = set()
        statements = [self.without_minus(s) if isinstance(s, Assign) else s for s in statements]
        new = {s.name: not isinstance(s, Assign) or self.is_new(s.term) for s in statements}
        views = [s.term for s in statements if isinstance(s, Assign) and not new[s.name] and s.term.axes]
        own = {name for name in new if new[name]}.difference(_names(*views))
        later, spent = Counter(needed), []
        for terms in [results, *map(_terms, reversed(statements))]:
            taken = Counter(_names(*terms))
            spent.append({name for name in own & taken.keys() if taken[name] == 1 and not later[name]})
            later += taken
        lines = []
        for statement in statements:
            self.spent = spent.pop() if isinstance(statement, Assign) else spent.pop() and set()
            lines += self.statement(statement)
        self.spent = spent.pop()
        return lines, [self.aligned(term, tuple(sorted(term.axes)))[0] for term in results]


def _longest_last(term: Term) -> Term:
    """A view of windows with its axes by length: a product copies it, in runs along the last ones."""
    if isinstance(term, View) and term.windowed and BATCH not in term.axes:
        return replace(term, axes=tuple(sorted(term.axes, key=term.sizes.__getitem__)))
    return term


def _as_array(term: Term) -> Term:
    return Table((), np.array(term.value)) if isinstance(term, Number) else term


def _names(*terms: Term) -> Iterator[str]:
    """The names in the terms, each as often as it stands there."""
    for term in terms:
        match term:
            case Name():
                yield term.name
            case Apply():
                yield from _names(*term.operands)
            case Contract():
                yield from _names(term.x, term.y)
            case View() | Gather() | Masked() | Spread() | Reduce():
                yield from _names(term.of)


def _terms(statement: Statement) -> list[Term]:
    return [statement.term] if isinstance(statement, Assign) else [piece.term for piece in statement.pieces]


class Statements:
    """The families as statements that run; ``functions`` has the rows that NumPy has not."""

    def __init__(self, rolled: Rolled, functions: Functions) -> None:
        names = Names(())
        writer = _Runnable(names, "", functions)
        inputs = [names.numbered("x") for _ in range(rolled.inputs)]
        found = body(rolled, inputs, lambda label: names.numbered("t"), writer.length)
        lines, texts = writer.lines(found.statements, found.outputs)
        results = [
            f"float({text})"
            if not term.axes
            else (f"np.ascontiguousarray({text})" if writer.is_new(term) else f'np.array({text}, order="C")')
            for term, text in zip(found.outputs, texts, strict=True)
        ]
        given = [f"{x} = np.asarray({x}, float)[()]" for x in inputs]
        self._function = _defined(inputs, [*given, *lines, f"return [{', '.join(results)}]"], writer)

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        """The outputs at numbers and arrays of them, as floats and arrays that nobody else has."""
        with np.errstate(all="ignore"):
            found: list[Any] = self._function(*inputs)
        return found

    def buffer(self, inputs: Sequence[Floats], outputs: Sequence[Floats]) -> Callable[[], None]:
        """The function of no arguments that reads and writes these arrays, of no axes for scalars."""

        def run() -> None:
            for output, found in zip(outputs, self(inputs), strict=True):
                output[...] = found

        return run


def _defined(inputs: Sequence[str], lines: Sequence[str], writer: _Runnable) -> Callable[..., Any]:
    for line in writer.imports:
        exec(line, writer.namespace)
    text = "\n    ".join([f"def function({', '.join(inputs)}):", *lines])
    return formulas.define("rolled", text, writer.namespace)


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
        self._own, self._shared = varying, [not varies for varies in varying]
        outputs = [*compress(found.outputs, found.varying)]
        needed = _names(*outputs, *(term for each in found.each for term in _terms(each)))
        shared = [x for x, varies in zip(found.outputs, found.varying, strict=True) if not varies]
        lines, results = writer.lines(found.statements, shared, needed)
        each, totals = writer.lines(found.each, outputs)
        lines += [
            f"def each({', '.join([count, *compress(inputs, self._own)])}):",
            *(f"    {line}" for line in each),
            f"    return [{', '.join(totals)}]",
            f"return each, [{', '.join(results)}]",
        ]
        self._function = _defined([*compress(inputs, self._shared)], lines, writer)
        self._outputs = [(x.shape, varies) for x, varies in zip(rolled.outputs, found.varying, strict=True)]
        self._reduce = reduce
        self.stored, products = found.sizes
        self._work = self.stored + products // CONTRACTED

    def __call__(self, inputs: Sequence[Floats], count: int) -> list[Any]:
        """The outputs; inputs that vary have ``count`` rows."""
        own = [*compress(inputs, self._own)]
        worth = min(1 + count * self._work // WORTH_A_THREAD, threads.cores())
        most = max(FEWEST, CACHE // (8 * max(1, self.stored)))
        blocks = max(-(-count // most), min(count // FEWEST, worth))
        block = -(-count // max(1, blocks))
        part = block * -(-blocks // GROUPS)  # samples whose sums are taken apart from others
        totals: list[list[Any]] = [[] for _ in range(0, count, part or 1)]
        summed, size = self._reduce and count, np.array(float(count))

        def run(begin: int, end: int) -> None:
            with np.errstate(all="ignore"):
                for group in range(begin, end):
                    for start in range(group * part, min((group + 1) * part, count), block):
                        rows = [x[start : start + block] for x in own]
                        found = each(len(rows[0]), *rows)
                        if not self._reduce:
                            for output, rows_of_it in zip(outputs, found, strict=True):
                                output[start : start + block] = rows_of_it
                        elif known := totals[group]:
                            for k, x in enumerate(found):
                                known[k] += x
                        else:
                            totals[group] = found

        with np.errstate(all="ignore"):
            each, common = self._function(*compress(inputs, self._shared))
            leading = () if self._reduce else (count,)
            outputs = [
                np.zeros((*leading, *shape)) for shape, varies in self._outputs if varies and not summed
            ]
            threads.spread(run, len(totals), worth)
            if summed:
                outputs = [fold(operator.iadd, parts) for parts in zip(*totals, strict=True)]
            if self._reduce == "mean":
                outputs = [IN_PLACE["mul"](x, 1 / size) for x in outputs]
            both, shared = iter(outputs), iter(common)
            return [
                self._whole(next(both) if varies else self._shared_by(count, next(shared), shape), shape)
                for shape, varies in self._outputs
            ]

    def _shared_by(self, count: int, x: Any, shape: tuple[int, ...]) -> Any:
        """An output that does not differ among the samples for all of them."""
        times = np.float64(count)
        if not self._reduce:
            return np.full((count, *shape), x)
        return x * (times / times) if self._reduce == "mean" else x * times if count else np.zeros(shape)

    def _whole(self, x: Any, shape: tuple[int, ...]) -> Any:
        return np.ascontiguousarray(x) if shape or not self._reduce else float(x)
