"""Linear algebra by elimination, every step a node: its derivatives are those of the steps, to any order.

Rows are exchanged so that the pivot is the largest number of its column. Which it is, the data tell; while a
function is traced, conditions do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np

from autograd_mini import rules
from autograd_mini.arrays import ValueArray, as_values, composed, is_traced, numbers_of

Rows = list[list[Any]]


def _square(name: str, matrices: Any) -> ValueArray:
    a = as_values(matrices)
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError(f"numpy.linalg.{name}: expected square matrices, got shape {a.shape}")
    return a


def _of_each(function: Callable[..., Any], shape: tuple[int, ...], *stacks: ValueArray) -> Any:
    """The function of each matrix of stacks that broadcast to ``shape``, of as many results as it gives."""
    full = [np.broadcast_to(x, shape + x.shape[-2:], subok=True) for x in stacks]
    results = [function(*(x[place] for x in full)) for place in np.ndindex(shape)]
    array = np.empty((len(results), *np.shape(results[0] if results else 0.0)), dtype=object)
    for k, result in enumerate(results):
        array[k] = result
    return array.reshape(shape + array.shape[1:])


def _eliminated(a: Rows, fully: bool = False) -> tuple[Rows, Any, int]:
    """Rows with zeros below the diagonal, the sign of their exchanges, and how many pivots are not 0.

    ``fully`` takes the largest number of all that is left as the pivot, columns exchanged too.
    """
    rows, sign = [list(row) for row in a], 1.0
    n, traced = len(rows), is_traced(*(x for row in rows for x in row))
    for k in range(n):
        if not traced:
            sizes = np.array(
                [[abs(numbers_of(x)) for x in row[k : n if fully else k + 1]] for row in rows[k:]]
            )
            i, j = divmod(int(np.argmax(sizes)), sizes.shape[1])
            if sizes[i, j] == 0:
                return rows, sign, k
            if i:
                rows[k], rows[k + i], sign = rows[k + i], rows[k], -sign
            if j:
                for row in rows:
                    row[k], row[k + j] = row[k + j], row[k]
                sign = -sign
        else:
            for i in range(k + 1, n):
                larger = rules.less(rules.abs(rows[k][k]), rules.abs(rows[i][k]))
                pairs = list(zip(rows[k], rows[i], strict=True))
                rows[k] = [rules.where(larger, y, x) for x, y in pairs]
                rows[i] = [rules.where(larger, x, y) for x, y in pairs]
                sign = rules.where(larger, -sign, sign)
        for i in range(k + 1, n):
            factor = rows[i][k] / rows[k][k]
            rows[i][k] = 0.0
            for j in range(k + 1, len(rows[i])):
                rows[i][j] = rows[i][j] - factor * rows[k][j]
    return rows, sign, n


def _solution(a: ValueArray, b: ValueArray) -> Any:
    n, width = b.shape
    rows, _, rank = _eliminated([[*a[i], *b[i]] for i in range(n)])
    if rank < n:
        raise np.linalg.LinAlgError("Singular matrix")
    x = np.empty((n, width), dtype=object)
    for i in reversed(range(n)):
        for j in range(width):
            x[i, j] = _less_products(rows[i][n + j], rows[i][i + 1 : n], x[i + 1 :, j]) / rows[i][i]
    return x


def _less_products(total: Any, xs: Any, ys: Any) -> Any:
    return reduce(lambda rest, pair: rest - pair[0] * pair[1], zip(xs, ys, strict=True), total)


@composed("linalg.solve")
def solve(a: Any, b: Any) -> Any:
    a, b = _square("solve", a), as_values(b)
    old = int(np.__version__.partition(".")[0]) < 2  # when a stack of vectors was told from its dimensions
    vector = b.ndim == 1 or (old and b.ndim == a.ndim - 1)
    columns = b[..., None] if vector else b
    if columns.shape[-2] != a.shape[-1]:
        raise ValueError(f"numpy.linalg.solve: shapes {a.shape} and {b.shape} do not fit")
    shape = np.broadcast_shapes(a.shape[:-2], columns.shape[:-2])
    x = _of_each(_solution, shape, a, columns)
    return x[..., 0] if vector else x


@composed("linalg.inv")
def inv(a: Any) -> Any:
    a = _square("inv", a)
    return solve(a, np.broadcast_to(np.eye(a.shape[-1]), a.shape))


def _determinant(a: ValueArray) -> Any:
    """The product of the pivots. Where they end before the rows, the rest is 0, but not its derivative."""
    rows, sign, rank = _eliminated(a.tolist(), fully=True)
    product = reduce(rules.mul, (rows[k][k] for k in range(rank)), sign)
    rest = [row[rank:] for row in rows[rank:]]
    return product * _expanded(rest) if rest else product


def _expanded(a: Rows) -> Any:
    """The determinant by minors; above 4 rows of zeros the diagonal's product has the same derivatives.

    Both vanish with all their derivatives of lower order than the number of rows.
    """
    if len(a) > 4 or len(a) == 1:
        return math.prod((row[i] for i, row in enumerate(a)), start=1.0)
    total: Any = 0.0
    for j, x in enumerate(a[0]):
        total = total + (-1.0) ** j * x * _expanded([row[:j] + row[j + 1 :] for row in a[1:]])
    return total


@composed("linalg.det")
def det(a: Any) -> Any:
    a = _square("det", a)
    return _of_each(_determinant, a.shape[:-2], a)


@composed("linalg.slogdet")
def slogdet(a: Any) -> Any:
    a = _square("slogdet", a)

    def both(matrix: ValueArray) -> Any:
        rows, sign, rank = _eliminated(matrix.tolist())
        if rank < len(rows):
            return np.array([0.0, -math.inf], dtype=object)
        pivots = [row[k] for k, row in enumerate(rows)]
        sign = reduce(rules.mul, map(rules.sign, pivots), sign)
        logarithm = reduce(rules.add, (rules.log(rules.abs(pivot)) for pivot in pivots), 0.0)
        return np.array([sign, logarithm], dtype=object)

    pairs = _of_each(both, a.shape[:-2], a)
    result: Any = type(np.linalg.slogdet(np.eye(1)))  # a named tuple in NumPy 2
    return tuple.__new__(result, (pairs[..., 0], pairs[..., 1]))


@composed("linalg.cholesky")
def cholesky(a: Any) -> Any:
    """Only the lower triangle is read, and only it has a derivative."""
    a = _square("cholesky", a)
    return _of_each(_factor, a.shape[:-2], a)


def _factor(matrix: ValueArray) -> Any:
    L = np.zeros(matrix.shape).astype(object)
    for i, j in zip(*np.tril_indices(len(L)), strict=True):
        rest = _less_products(matrix[i, j], L[i, :j], L[j, :j])
        if i == j and not is_traced(rest) and not numbers_of(rest) > 0:
            raise np.linalg.LinAlgError("Matrix is not positive definite")
        L[i, j] = rules.sqrt(rest) if i == j else rest / L[j, j]
    return L
