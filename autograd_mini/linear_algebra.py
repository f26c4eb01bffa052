"""Linear algebra by elimination, every step a node: its derivatives are those of the steps, to any order.

Rows are exchanged so that the pivot is the largest number of its column. Which it is, the data tell; while a
function is traced, conditions do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from operator import index
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
    array = array.reshape(shape + array.shape[1:])
    return array.view(ValueArray) if array.shape else array.item()


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
            total = rows[i][n + j]
            for k in range(i + 1, n):
                total = total - rows[i][k] * x[k, j]
            x[i, j] = total / rows[i][i]
    return x


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
    product = sign
    for k in range(rank):
        product = product * rows[k][k]
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
        logarithm: Any = 0.0
        for k, row in enumerate(rows):
            sign = sign * rules.sign(row[k])
            logarithm = logarithm + rules.log(rules.abs(row[k]))
        return np.array([sign, logarithm], dtype=object)

    pairs = as_values(_of_each(both, a.shape[:-2], a))
    result: Any = type(np.linalg.slogdet(np.eye(1)))
    return result(*(pairs[..., 0], pairs[..., 1])) if result is not tuple else (pairs[..., 0], pairs[..., 1])


@composed("linalg.cholesky")
def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    """Only the lower triangle is read, with ``upper`` the upper one, and only it has a derivative."""
    a = _square("cholesky", a)
    a = np.swapaxes(a, -1, -2) if upper else a

    def factor(matrix: ValueArray) -> Any:
        n = len(matrix)
        L = np.zeros((n, n)).astype(object)
        for j in range(n):
            for i in range(j, n):
                rest = matrix[i, j]
                for k in range(j):
                    rest = rest - L[i, k] * L[j, k]
                if i > j:
                    L[i, j] = rest / L[j, j]
                    continue
                if not is_traced(rest) and not numbers_of(rest) > 0:
                    raise np.linalg.LinAlgError("Matrix is not positive definite")
                L[j, j] = rules.sqrt(rest)
        return L

    result = _of_each(factor, a.shape[:-2], a)
    return np.swapaxes(result, -1, -2) if upper else result


@composed("linalg.matrix_power")
def matrix_power(a: Any, n: Any) -> Any:
    """Repeated squaring; a negative power is one of the inverse."""
    a, n = _square("matrix_power", a), index(n)
    if n < 0:
        a, n = inv(a), -n
    result: Any = None
    while n:
        if n % 2:
            result = a if result is None else result @ a
        n //= 2
        a = a @ a if n else a
    return as_values(np.broadcast_to(np.eye(a.shape[-1]), a.shape)) if result is None else result


@composed("linalg.tensorsolve")
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    a, b = as_values(a), as_values(b)
    if axes is not None:
        a = np.moveaxis(a, axes, range(a.ndim - len(axes), a.ndim))
    shape = a.shape[b.ndim :]
    return np.reshape(solve(a.reshape(b.size, math.prod(shape)), b.ravel()), shape)


@composed("linalg.tensorinv")
def tensorinv(a: Any, ind: int = 2) -> Any:
    a = as_values(a)
    rows = math.prod(a.shape[:ind])
    return inv(a.reshape(rows, -1)).reshape(a.shape[ind:] + a.shape[:ind])
