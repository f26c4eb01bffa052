r"""Formulas as text: as code has them, ``X.T @ (X @ w - y)``, as printed, ``2Xᵀ(Xw − y)``, and in LaTeX.

What a formula may hold is listed: names and numbers, ``+ - * / ** @``, comparisons, ``a if c else b``,
indexing, tuples and lists, and calls of the rows of the derivative table, of the library's functions and of
``sum mean max min dot outer diag transpose eye``; beside these what is printed, ``· ² √ ½ ᵀ ⊙ ‖x‖ |x| Σᵢ``,
and LaTeX's commands for the same. All else is refused, and nothing is executed. Side by side, matrices and
vectors multiply as in linear algebra. ``y_i`` is an entry of y where there is a y and no y_i.

An evaluation makes at most 10⁷ entries in one array and 5·10⁷ in all, intermediate ones included. There an
operation on a Value counts as 50, and 100 products in a matrix product as one. What is more is refused before
it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from autograd_mini.arguments import signature
from autograd_mini.arrays import ValueArray, values
from autograd_mini.expressions.grammar import (
    AmbiguousError,
    Compiler,
    Function,
    on_one_line,
    parsed,
)
from autograd_mini.expressions.names import Resolver
from autograd_mini.expressions.notation import INDICES, ExpressionError, is_printed
from autograd_mini.expressions.vocabulary import CONSTANTS, Operands, array_of, unknown_name
from autograd_mini.number_types import kind_of
from autograd_mini.rules import as_number
from autograd_mini.value import Value

__all__ = ["INDICES", "AmbiguousError", "Expression", "ExpressionError", "parse"]


def parse(text: str) -> Expression:
    r"""The formula as a function of the names in it.

    >>> loss = parse("log(1 + exp(-y*(w*x + b)))")
    >>> loss.names
    ('y', 'w', 'x', 'b')
    >>> round(loss(w=0.5, x=2, b=0.1, y=1), 6)
    0.287335

    Raises ExpressionError, whatever the text.

    >>> parse(r"\frac{e^{z_i}}{\sum_k e^{z_k}}").tabulate({"z": [0.0, 0.0]}, shape=(2,))
    array([0.5, 0.5])

    >>> parse("9**9**9")
    Traceback (most recent call last):
    autograd_mini.expressions.notation.ExpressionError: the number is too large for a float
      9**9**9
      ^
    """
    return Expression(text)


class Expression:
    """A formula that was parsed: called with its names by position or keyword, it gives its result.

    ``names`` are the free names in the order in which they appear; ``constants`` are those of ``pi`` and
    ``e`` that appear, which have their values unless others are given. Operands are numbers, arrays, Values,
    arrays of them, traced nodes, or mpmath's or SymPy's numbers and object arrays of these. Arrays follow
    IEEE arithmetic, scalars raise the `DomainError` of the row they leave the domain of; all else that fails
    raises ExpressionError.
    """

    def __init__(self, text: str, known: Collection[str] = ()) -> None:
        self.text = text
        tree, self.axes = parsed(text)
        self._line = on_one_line(text)
        self._is_printed = is_printed(self._line)
        compiler = Compiler(self._line)
        if known:
            tree = Resolver(known, self._is_printed, compiler.refuse).visit(tree)
        self._function = compiler.compile(tree)
        self._columns = dict(sorted(compiler.columns.items(), key=lambda name: name[1]))
        self._limits = compiler.limits - set(self._columns)
        self.names = tuple(name for name in self._columns if name not in CONSTANTS)
        self.constants = tuple(name for name in self._columns if name in CONSTANTS)
        self.__name__ = "f"
        self.__signature__ = signature(self.names)

    def __call__(self, *args: Any, **names: Any) -> Any:
        if len(args) > len(self.names):
            raise TypeError(f"{self.text} takes {len(self.names)} operands, got {len(args)}")
        return self.evaluate({**dict(zip(self.names, args, strict=False)), **names})

    def reading(self, known: Collection[str]) -> Expression:
        """The formula with its names as they are among ``known``: there ``y_i`` may be an entry of ``y``.

        >>> parse("y_i - t_i").reading(["y", "t"]).names
        ('y', 'i', 't')
        """
        known = frozenset(known)
        is_read = known.issuperset(self.names) and not self._is_printed
        try:
            return self if is_read or not known else _reading(self.text, known)
        except ExpressionError as error:
            raise AmbiguousError(*error.args) from None

    def evaluate(self, names: Mapping[str, Any]) -> Any:
        """The result where the names have these values; names that do not occur are passed over."""
        read = self.reading(names)
        return read._run(read._function, names)

    def indices(self, names: Iterable[str]) -> tuple[str, ...]:
        """The free indices, i to n in alphabetical order: those that do not have a value among ``names``."""
        return tuple(sorted((set(self.names) & set(INDICES)) - set(names)))

    def tabulate(
        self, names: Mapping[str, Any], shape: Sequence[int], indices: Sequence[str] | None = None
    ) -> Any:
        """The array whose entry at each index tuple is the formula's value there.

        ``indices`` are by default the free ones, in alphabetical order, or as many letters from i on as the
        shape has axes. A formula without free indices is evaluated as it stands.

        >>> S = np.array([0.5, 0.25, 0.25])
        >>> parse("S[i] * ((i == j) - S[j])").tabulate({"S": S}, shape=(3, 3))
        array([[ 0.25  , -0.125 , -0.125 ],
               [-0.125 ,  0.1875, -0.0625],
               [-0.125 , -0.0625,  0.1875]])
        """
        if (read := self.reading(names)) is not self:
            return read.tabulate(names, shape, indices)
        free = self.indices(names)
        if indices is None:
            if not free:
                return self.evaluate(names)
            indices = free if len(free) == len(shape) else INDICES[: len(shape)]
        if len(indices) != len(shape) or set(free) - set(indices):
            raise ExpressionError(
                f"the free indices {', '.join(free)} do not fit an array of shape {tuple(shape)}",
                self._line,
                self._columns[free[0]] if free else 0,
            )

        def table(operands: Operands) -> Any:
            entries = [
                self._function(operands.at(dict(zip(indices, index, strict=True))))
                for index in np.ndindex(*shape)
            ]
            for entry in entries:
                if np.shape(entry):
                    raise ExpressionError(
                        f"with indices it must be a number, got an array of shape {np.shape(entry)}",
                        self._line,
                    )
            return array_of(operands, entries, len(entries)).reshape(shape)

        return self._run(table, names, indices)

    def _run(self, function: Function, names: Mapping[str, Any], indices: Sequence[str] = ()) -> Any:
        for name in self.names:
            if name not in names and name not in indices:
                raise ExpressionError(unknown_name(name, names), self._line, self._columns[name])
        operands = {name: self._operand(name, names[name]) for name in self._columns if name in names}
        operands |= {name: names[name] for name in self._limits if name in names}
        symbols = {name: x for name, x in operands.items() if _is_symbolic(x)}
        if not symbols:
            with np.errstate(all="ignore"):
                return _plain(function(Operands(operands)))

        from autograd_mini.program import trace  # a formula of numbers needs none

        def on_nodes(*nodes: Any) -> Any:
            return function(Operands({**operands, **dict(zip(symbols, nodes, strict=True))}))

        return trace(on_nodes, *(np.zeros(np.shape(x)) for x in symbols.values()))(*symbols.values())

    def _operand(self, name: str, x: Any) -> Any:
        """The operand as rows and NumPy take it: a number, a Value or an array."""
        if isinstance(x, Value) or as_number(x) is not None:
            return x
        try:
            array = x if isinstance(x, np.ndarray) else np.asarray(x)
            kind_of(array.flat[0] if array.dtype == object and array.size else array, name)
        except (TypeError, ValueError) as error:
            raise ExpressionError(str(error), self._line, self._columns[name]) from None
        if array.dtype == object and any(isinstance(entry, Value) for entry in array.flat):
            return values(array)
        return array

    def __repr__(self) -> str:
        return f"parse({self.text!r})"

    def __reduce__(self) -> tuple[Callable[[str], Expression], tuple[str]]:
        return parse, (self.text,)


@lru_cache(256)
def _reading(text: str, known: frozenset[str]) -> Expression:
    return Expression(text, known)


def _is_symbolic(x: Any) -> bool:
    """Whether an operand holds mpmath's or SymPy's numbers."""
    if isinstance(x, (Value, ValueArray)):
        return False
    first = x.flat[0] if isinstance(x, np.ndarray) and x.dtype == object and x.size else x
    return kind_of(first) in ("mpmath", "SymPy")


def _plain(result: Any) -> Any:
    return result.item() if isinstance(result, (np.generic, np.ndarray)) and not result.shape else result
