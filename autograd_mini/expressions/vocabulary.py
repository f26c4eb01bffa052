"""The words of formulas: constants and functions, and the operands they are applied to."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, reduce
from itertools import islice
from typing import Any

import numpy as np

from autograd_mini import functions as library
from autograd_mini import rules
from autograd_mini.arrays import ValueArray, values
from autograd_mini.expressions.notation import FUNCTIONS
from autograd_mini.rules import Primitive, as_number
from autograd_mini.suggestions import did_you_mean
from autograd_mini.tracing import PI, Traced, constant_node, fold
from autograd_mini.value import Value

SIZE = 10**7  # entries of an array of numbers that a formula may make
NODES = 2 * 10**5  # operations in one array of Values
NODE = SIZE // NODES  # entries of numbers that an operation on a Value is counted as
PRODUCTS = 100  # products of numbers inside of a matrix product that are counted as one entry
WORK = 5 * SIZE  # entries that the whole evaluation of a formula may make


class Operands:
    """The values of the names; on Values, constants are nodes too, exact for every number type."""

    def __init__(
        self,
        names: Mapping[str, Any],
        exact: bool | None = None,
        work: list[int] | None = None,
        lengths: dict[str, int] | None = None,
    ) -> None:
        self.names = names
        nodes = (isinstance(x, (Value, ValueArray)) for x in names.values())
        self.exact = any(nodes) if exact is None else exact
        self.work = [0] if work is None else work  # entries made so far, one count for one evaluation
        self.lengths = {} if lengths is None else lengths  # of axes, by the names in the limits of sums

    def make(self, shape: Sequence[int], *operands: Any, limit: int = SIZE, each: float = 1) -> None:
        """Count the entries of an array before it is made; ValueError if it, or all together, is too large.

        ``each`` is what one entry counts, ``limit`` how many there may be; among Values there are fewer,
        which count more.
        """
        if any(isinstance(x, (Value, ValueArray)) for x in operands):
            limit, each = NODES, max(each, NODE)
        count = math.prod(shape)
        if count > limit:
            raise ValueError(f"an array of shape {tuple(shape)} is too large for a formula")
        self.work[0] += math.ceil(count * each)
        if self.work[0] > WORK:
            raise ValueError(
                f"a formula makes at most {WORK:,} entries in all, of which an operation on a Value "
                f"counts as {NODE}"
            )

    def apply(self, row: Primitive, *operands: Any) -> Any:
        """The row on the operands; among Values, ``1 / 3`` and ``log(2)`` are nodes and not rounded."""
        if self.exact:
            numbers = [number for x in operands if (number := as_number(x)) is not None]
            if len(numbers) == len(operands):
                folded = fold(row, [*numbers])
                if folded is None:
                    return row(*map(constant_node, numbers))
                return operands[folded] if isinstance(folded, int) else folded
        self.make(np.broadcast_shapes(*map(np.shape, operands)), *operands)
        return row(*operands)

    def at(self, more: Mapping[str, Any]) -> Operands:
        """The operands and more names, in one count of entries."""
        return Operands({**self.names, **more}, self.exact, self.work, self.lengths)

    def rounded(self) -> Operands:
        """The operands with constants as plain numbers, which an index needs."""
        return Operands(self.names, False, self.work, self.lengths) if self.exact else self


CONSTANTS: dict[str, Callable[[Operands], Any]] = {
    "pi": lambda operands: PI if operands.exact else math.pi,
    "e": lambda operands: operands.apply(rules.exp, 1.0),
}


def unknown_name(name: str, given: Iterable[str]) -> str:
    if name in functions():
        return f"{name} is a function: write {name}(…)"
    given = list(given)
    hint = did_you_mean(name, [*given, *CONSTANTS], f"given are: {', '.join(given) or 'none'}")
    return f"the name {name} has no value; {hint}"


def no_function(name: str, known: Iterable[str]) -> str:
    if not name:
        return "only a function's name can be called; a product is written with *"
    if len(name) == 1:
        return f"there is no function {name}; a product is written with *, {name}*(…)"
    return f"there is no function {name}; {did_you_mean(name, known, 'a product is written with *')}"


# --- functions ---------------------------------------------------------------------------------------


def functions() -> dict[str, tuple[Callable[..., Any], int, int]]:
    """Every function, called with the operands first, and its least and largest number of arguments."""
    known = dict(NUMPY)
    for name in LIBRARY:
        function = getattr(library, name)
        parameters = inspect.signature(function).parameters.values()
        count = sum(parameter.default is parameter.empty for parameter in parameters)
        known[name] = (partial(_library, function), count, count)
    for row in rules.table.values():
        arity = len(row.operands)
        known[row.name] = known[row.numpy] = (partial(_row, row), arity, arity)
    return known | {written: known[name] for written, name in FUNCTIONS.items() if name in known}


def _library(function: Callable[..., Any], operands: Operands, *arguments: Any) -> Any:
    shape = np.broadcast_shapes(*map(np.shape, arguments))
    nodes = any(isinstance(x, (Value, ValueArray)) for x in arguments)
    operands.make(shape, *arguments, each=10 * NODE if nodes else NODE)  # they fold entry by entry
    if function.__name__.startswith("cross_entropy") and np.ndim(arguments[1]) < np.ndim(arguments[0]):
        operands.make(np.shape(arguments[0])[-1:] * 2)  # a class becomes a row of the identity
    return function(*arguments)


def _row(row: Primitive, operands: Operands, *arguments: Any) -> Any:
    return operands.apply(row, *arguments)


def _reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    def reduced(operands: Operands, x: Any, axis: int | None = None) -> Any:
        if not isinstance(x, np.ndarray) and axis is None:
            return x
        if not np.size(x) and function is not np.sum:
            raise ValueError(f"an empty array has no {function.__name__}")
        operands.make(np.shape(x), x)
        return function(x, axis=axis)

    return reduced


def _extremum(name: str, row: Primitive) -> Callable[..., Any]:
    """Of one array its extremum, of several arguments the elementwise one."""
    of_array = _reduction(getattr(np, name))

    def extremum(operands: Operands, *arguments: Any, axis: int | None = None) -> Any:
        if len(arguments) == 1:
            return of_array(operands, *arguments, axis)
        if axis is not None:
            raise TypeError(f"{name} takes axis= with one argument only")
        return reduce(partial(operands.apply, row), arguments)

    return extremum


def matmul(operands: Operands, x: Any, y: Any) -> Any:
    if not np.ndim(x) or not np.ndim(y):
        raise TypeError("@ multiplies arrays; a product with a number is written *")
    if np.shape(x)[-1] != np.shape(y)[max(np.ndim(y) - 2, 0)]:
        raise ValueError(f"shapes {np.shape(x)} and {np.shape(y)} do not fit for a matrix product")
    shape = np.shape(x)[:-1] + np.shape(y)[:-2] + np.shape(y)[-1:] * (np.ndim(y) > 1)
    operands.make(shape)
    terms = (*shape, np.shape(x)[-1])  # each entry is a sum
    operands.make(terms, x, y, limit=PRODUCTS * SIZE, each=1 / PRODUCTS)
    return x @ y


def power(operands: Operands, x: Any, y: Any) -> Any:
    """A raised exponent, which over a square matrix, and -1 over any, may be meant of the matrix."""
    shape = np.shape(x)
    if len(shape) == 2 and (shape[0] == shape[1] > 1 or (isinstance(y, float) and y < 0)):
        raise TypeError(
            "a power of a matrix may be one of its entries: write A ⊙ A or 1/A for these, A·A for the matrix"
        )
    return operands.apply(rules.pow, x, y)


class OpenError(TypeError):
    """What is written means several things for operands of these shapes."""


def beside(operands: Operands, x: Any, is_row: bool, y: Any, becomes_row: bool) -> tuple[Any, bool]:
    """The product of x and y side by side, and whether it is a row: vectors are columns unless transposed."""
    if not np.ndim(x) or not np.ndim(y):
        return operands.apply(rules.mul, x, y), is_row if np.ndim(x) else becomes_row
    column, row = np.ndim(x) == 1 and not is_row, np.ndim(y) == 1 and becomes_row
    if column and row:
        return _outer(operands, x, y), False
    if column or row:
        raise OpenError(
            "two vectors side by side: write xᵀy or x @ y for the inner product, x ⊙ y or x * y by entries"
        )
    return matmul(operands, x, y), np.ndim(x) == 1 and np.ndim(y) == 2


def _dot(operands: Operands, x: Any, y: Any) -> Any:
    return matmul(operands, x, y) if np.ndim(x) and np.ndim(y) else operands.apply(rules.mul, x, y)


def _outer(operands: Operands, x: Any, y: Any) -> Any:
    operands.make((np.size(x), np.size(y)), x, y)
    return np.outer(x, y)


def _diag(operands: Operands, x: Any) -> Any:
    operands.make(np.shape(x) * (3 - np.ndim(x)))
    return np.diag(x)


def _eye(operands: Operands, n: Any) -> Any:
    size = whole(n.data if isinstance(n, Value) and not isinstance(n, Traced) else n)
    if not 0 < size <= 1000:
        raise ValueError(f"eye(n) takes n from 1 to 1000, got {size}")
    operands.make((size, size))
    return np.eye(size)


REDUCTIONS = ("sum", "mean", "max", "min")
NUMPY: dict[str, tuple[Callable[..., Any], int, int]] = {
    "sum": (_reduction(np.sum), 1, 1),
    "mean": (_reduction(np.mean), 1, 1),
    "max": (_extremum("max", rules.maximum), 1, SIZE),
    "min": (_extremum("min", rules.minimum), 1, SIZE),
    "dot": (_dot, 2, 2),
    "outer": (_outer, 2, 2),
    "diag": (_diag, 1, 1),
    "transpose": (lambda operands, x: np.transpose(x), 1, 1),
    "eye": (_eye, 1, 1),
}
LIBRARY = (
    "softmax log_softmax logsumexp cross_entropy cross_entropy_from_logits binary_cross_entropy "
    "binary_cross_entropy_from_logits squared_error mean_squared_error absolute_error"
).split()


# --- arrays -----------------------------------------------------------------------------------------


def array_of(operands: Operands, entries: Iterable[Any], count: int) -> Any:
    """Numbers, Values or arrays of one shape as an array with one more axis in front.

    The first of the entries tells how large that is, before the second is made.
    """
    entries = iter(entries)
    made = list(islice(entries, 1))
    operands.make((count, *(np.shape(made[0]) if made else ())))
    made += entries
    if any(isinstance(entry, np.ndarray) for entry in made):
        return np.stack(made)
    if any(isinstance(entry, Value) for entry in made):
        return values([entry if isinstance(entry, Value) else constant_node(entry) for entry in made])
    return np.array(made, dtype=float)


def whole(x: Any) -> int:
    number = None if isinstance(x, Value) else as_number(x)
    if number is None or not number.is_integer():
        raise TypeError(
            f"an index must be a whole number, got {type(x).__name__ if number is None else number}"
        )
    return int(number)
