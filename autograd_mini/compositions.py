"""What NumPy's functions on arrays are composed of: means, norms, choices, interpolation.

Each has NumPy's name and arguments, and is made of rows of the derivative table alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from autograd_mini import rules
from autograd_mini.arrays import (
    along,
    as_values,
    axes_of,
    composed,
    elementwise,
    is_traced,
    numbers_of,
)
from autograd_mini.refusals import refuse

# --- means and norms --------------------------------------------------------------------------------


def _count(x: Any, axis: Any, where: Any, keepdims: bool) -> Any:
    """How many elements a reduction adds up."""
    if where is True:
        return math.prod(x.shape[a] for a in axes_of(x, axis))
    return np.sum(np.broadcast_to(where, x.shape), axis=axis, keepdims=keepdims)


@composed("mean", method=True)
def mean(x: Any, axis: Any = None, keepdims: bool = False, *, where: Any = True) -> Any:
    x = as_values(x)
    count = _count(x, axis, where, keepdims)
    if not np.all(count):
        raise ValueError("numpy.mean: an empty array has no mean")
    return np.sum(x, axis=axis, keepdims=keepdims, where=where) / count


@composed("var", method=True)
def var(x: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False, *, where: Any = True) -> Any:
    x = as_values(x)
    deviations = x - mean(x, axis, keepdims=True, where=where)
    total = np.sum(np.square(deviations), axis=axis, keepdims=keepdims, where=where)
    return total / (_count(x, axis, where, keepdims) - ddof)


@composed("std", method=True)
def std(x: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False, *, where: Any = True) -> Any:
    return np.sqrt(var(x, axis, ddof=ddof, keepdims=keepdims, where=where))


@composed("average")
def average(
    x: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False
) -> Any:
    x, axis = as_values(x), tuple(axis) if isinstance(axis, list) else axis
    if weights is None:
        result: Any = mean(x, axis, keepdims=keepdims)
        total: Any = float(_count(x, axis, True, keepdims))
    else:
        weights = np.asanyarray(weights)
        if weights.shape != x.shape:  # one weight for each place along the axis
            [along_axis] = axes_of(x, axis)
            weights = weights.reshape([-1 if a == along_axis else 1 for a in range(x.ndim)])
            weights = weights + np.zeros(x.shape)
        total = np.sum(weights, axis=axis, keepdims=keepdims)
        result = np.sum(x * weights, axis=axis, keepdims=keepdims) / total
    return (result, np.broadcast_to(total, np.shape(result))) if returned else result


@composed("cov")
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: Any = None,
    fweights: Any = None,
    aweights: Any = None,
) -> Any:
    """Σ w (x − x̄)(x − x̄)ᵀ, divided by n − ddof or by what takes its place with weights."""

    def rows(samples: Any) -> Any:
        vector = np.ndim(samples) < 2
        samples = np.atleast_2d(as_values(samples))
        return samples if rowvar or vector else samples.T

    x = rows(m) if y is None else np.concatenate([rows(m), rows(y)])
    n = x.shape[1]
    f, a = (1.0 if weights is None else np.asarray(weights) for weights in (fweights, aweights))
    w = np.broadcast_to(f * a, (n,))
    ddof = (0 if bias else 1) if ddof is None else ddof
    total = np.sum(w)
    freedom = total - ddof * (np.sum(w * a) / total if aweights is not None else 1.0)
    deviations = x - np.sum(x * w, axis=1, keepdims=True) / total
    return np.squeeze((deviations * w) @ deviations.T / freedom)


@composed("linalg.norm")
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    x = as_values(x)
    if axis is None and ord is not None and x.ndim not in (1, 2):
        raise ValueError("numpy.linalg.norm: ord needs a vector or a matrix, or axis=")
    axes = axes_of(x, axis)
    if ord is None:
        return along(_length, x, axis, keepdims)
    return (_vector_norm if len(axes) == 1 else _matrix_norm)(x, ord, axes, keepdims)


@composed("linalg.vector_norm")
def vector_norm(x: Any, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    x = as_values(x)
    return _vector_norm(x, ord, axes_of(x, axis), keepdims)


@composed("linalg.matrix_norm")
def matrix_norm(x: Any, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    return _matrix_norm(as_values(x), ord, axes_of(x, (-2, -1)), keepdims)


def _vector_norm(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if not isinstance(ord, (int, float)):
        raise ValueError(f"numpy.linalg.norm: the ord of a vector's norm is a number, got {ord!r}")
    if ord == 2:
        return along(_length, x, axes, keepdims)
    if abs(ord) == np.inf:
        return (np.max if ord > 0 else np.min)(np.abs(x), axis=axes, keepdims=keepdims)
    if ord == 0:
        return np.sum(1.0 - rules.equal(x, 0.0), axis=axes, keepdims=keepdims)
    if ord == 1:
        return np.sum(np.abs(x), axis=axes, keepdims=keepdims)
    total = np.sum(np.abs(x) ** ord, axis=axes, keepdims=keepdims)
    at_zero = rules.equal(total, 0.0)  # where the derivative is 0, as that of the length is
    return rules.where(at_zero, 0.0, rules.where(at_zero, 1.0, total) ** (1.0 / ord))


def _matrix_norm(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if len(axes) != 2:
        raise ValueError("numpy.linalg.norm: a matrix has two axes")
    if ord in ("fro", "f", None):
        return along(_length, x, axes, keepdims)
    if ord in (2, -2, "nuc"):
        refuse(
            f"numpy.linalg.norm(ord={ord!r})",
            "needs singular values, which have no derivative rule; take ord='fro', 1 or inf",
        )
    if ord not in (1, -1, np.inf, -np.inf):
        raise ValueError(f"numpy.linalg.norm: ord of a matrix is 'fro', 1, -1, inf or -inf, got {ord!r}")
    added, compared = axes if abs(ord) == 1 else axes[::-1]
    sums = np.sum(np.abs(x), axis=added, keepdims=True)
    result = (np.max if ord > 0 else np.min)(sums, axis=compared, keepdims=True)
    return result if keepdims else np.squeeze(result, axis=axes)


def _length(items: list[Any]) -> Any:
    return reduce(rules.hypot, items) if len(items) > 1 else rules.abs(items[0]) if items else 0.0


# --- choices ----------------------------------------------------------------------------------------


@composed("clip", method=True)
def clip(x: Any, a_min: Any = None, a_max: Any = None, min: Any = None, max: Any = None) -> Any:
    """Bounds have partial 1 for x, as in PyTorch; hence ``where`` and not a maximum of a minimum."""
    x = as_values(x)
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    if low is not None:
        x = elementwise(rules.where, elementwise(rules.less, x, low), low, x)
    if high is not None:
        x = elementwise(rules.where, elementwise(rules.less, high, x), high, x)
    return x


@composed("where")
def where(condition: Any, *choices: Any) -> Any:
    if not choices:
        return np.where(numbers_of(condition))
    return elementwise(rules.where, condition, *choices)


@composed("select")
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    if len(condlist) != len(choicelist):
        raise ValueError(
            f"numpy.select: {len(condlist)} conditions and {len(choicelist)} choices; each needs the other"
        )
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = where(condition, choice, result)
    return result


@composed("piecewise")
def piecewise(x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Any:
    """Each function is applied to the elements that are its own; while tracing, to all of them."""
    x = as_values(x)
    conditions = [condlist] if np.shape(condlist) == x.shape else list(condlist)
    functions = list(funclist)
    if len(functions) == len(conditions) + 1:
        default = functions.pop()
    elif len(functions) == len(conditions):
        default = 0.0
    else:
        raise ValueError(f"numpy.piecewise: {len(conditions)} conditions and {len(functions)} functions")

    def applied(function: Any, elements: Any) -> Any:
        return function(elements, *args, **kw) if callable(function) else function

    if is_traced(x, *conditions):
        result = applied(default, x)
        for condition, function in zip(conditions, functions, strict=True):
            result = where(condition, applied(function, x), result)
        return result
    masks = [np.broadcast_to(np.asarray(numbers_of(condition)) != 0, x.shape) for condition in conditions]
    masks.insert(0, ~np.any(masks, axis=0))
    result = as_values(np.zeros(x.shape))
    for mask, function in zip(masks, [default, *functions], strict=True):
        if mask.any():
            result[mask] = applied(function, x[mask])
    return result


# --- nan --------------------------------------------------------------------------------------------


def missing(x: Any) -> Any:
    """Where elements are nan: told from the data; conditions while tracing."""
    return elementwise(lambda e: rules.sub(1.0, rules.equal(e, e)), x) if is_traced(x) else np.isnan(x)


def _without_nan(reduction: str, instead: float, **default: Any) -> None:
    """nansum and its like: nan counts as ``instead``."""
    function = getattr(np, reduction)

    @composed(f"nan{reduction}")
    def reduced(x: Any, axis: Any = None, **options: Any) -> Any:
        x = as_values(x)
        return function(where(missing(x), instead, x), axis=axis, **options)


for _name, _instead in (("sum", 0.0), ("prod", 1.0), ("cumsum", 0.0), ("cumprod", 1.0)):
    _without_nan(_name, _instead)


def _count_of_numbers(x: Any, axis: Any, keepdims: bool) -> Any:
    """How many elements are not nan; nan where none is, so that a quotient is."""
    count = np.sum(1.0 - missing(x), axis=axis, keepdims=keepdims)
    return (
        where(rules.equal(count, 0.0), math.nan, count)
        if is_traced(x)
        else np.where(count == 0, np.nan, count)
    )


@composed("nanmean")
def nanmean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    x = as_values(x)
    return np.nansum(x, axis=axis, keepdims=keepdims) / _count_of_numbers(x, axis, keepdims)


@composed("nanvar")
def nanvar(x: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    x = as_values(x)
    deviations = where(missing(x), 0.0, x) - nanmean(x, axis, keepdims=True)
    squares = np.square(where(missing(x), 0.0, deviations))
    freedom = _count_of_numbers(x, axis, keepdims) - ddof
    return np.sum(squares, axis=axis, keepdims=keepdims) / where(
        rules.less_equal(freedom, 0.0), math.nan, freedom
    )


@composed("nanstd")
def nanstd(x: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    return np.sqrt(nanvar(x, axis, ddof=ddof, keepdims=keepdims))


def _extremum_without_nan(name: str, beaten: float) -> None:
    @composed(f"nan{name}")
    def extremum(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        x = as_values(x)
        extreme = getattr(np, name)(where(missing(x), beaten, x), axis=axis, keepdims=keepdims)
        none = missing(_count_of_numbers(x, axis, keepdims))
        return where(none, math.nan, extreme)


_extremum_without_nan("max", -math.inf)
_extremum_without_nan("min", math.inf)


@composed("nan_to_num")
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    largest = float(np.finfo(float).max)
    x = as_values(x)
    for number, instead in ((math.inf, posinf), (-math.inf, neginf)):
        limit = math.copysign(largest, number) if instead is None else instead
        x = where(rules.equal(x, number), limit, x)
    return where(missing(x), nan, x)


# --- along an axis ----------------------------------------------------------------------------------


@composed("vdot")
def vdot(a: Any, b: Any) -> Any:
    return np.sum(np.ravel(as_values(a)) * np.ravel(as_values(b)))


@composed("vecdot", "linalg.vecdot")
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    return np.sum(as_values(x1) * as_values(x2), axis=axis)


@composed("matvec")
def matvec(x1: Any, x2: Any, /) -> Any:
    return np.sum(as_values(x1) * as_values(x2)[..., None, :], axis=-1)


@composed("vecmat")
def vecmat(x1: Any, x2: Any, /) -> Any:
    return matvec(np.swapaxes(as_values(x2), -1, -2), x1)


@composed("linspace")
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    start, stop = map(as_values, np.broadcast_arrays(as_values(start), as_values(stop)))
    parts = num - 1 if endpoint else num
    step = (stop - start) / parts if parts > 0 else as_values(math.nan)
    line = as_values(np.zeros((num, *start.shape)))
    for k in range(num):
        line[k] = stop if endpoint and k == num - 1 > 0 else start + step * k if k else start
    line = np.moveaxis(line, 0, axis)
    return (line, step) if retstep else line


@composed("trim_zeros")
def trim_zeros(filt: Any, trim: str = "fb") -> Any:
    places = np.flatnonzero(numbers_of(filt))
    if not places.size:
        return filt[:0]
    first, last = places[0] if "f" in trim.lower() else 0, places[-1] + 1 if "b" in trim.lower() else None
    return filt[first:last]


@composed("interp")
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Linear between the points: at a point, the derivative is that of the segment on its right."""
    if period is not None:
        refuse("numpy.interp(period=)", "has no derivative rule for Values; extend xp and fp by a period")
    xp, fp, shape = as_values(xp), as_values(fp), np.shape(x)
    points = np.ravel(as_values(x))
    n = len(xp)
    if n == 0 or len(fp) != n:
        raise ValueError(f"numpy.interp: xp and fp need one length, and a point, got {n} and {len(fp)}")
    if not is_traced(xp) and np.any(np.diff(numbers_of(xp)) <= 0):
        raise ValueError("numpy.interp: xp must increase")
    before = fp[0] if left is None else left
    after = fp[-1] if right is None else right

    def segment(at: Any, k: int) -> Any:
        return fp[k] + (fp[k + 1] - fp[k]) / (xp[k + 1] - xp[k]) * (at - xp[k])

    def value(at: Any) -> Any:
        if is_traced(at, xp):
            result = rules.where(rules.less_equal(xp[0], at), fp[-1] if n == 1 else segment(at, 0), before)
            for k in range(1, n - 1):
                result = rules.where(rules.less_equal(xp[k], at), segment(at, k), result)
            result = rules.where(rules.less_equal(xp[-1], at), fp[-1], result)
            result = rules.where(rules.less(xp[-1], at), after, result)
            return rules.where(rules.equal(at, at), result, at)
        number, knots = numbers_of(at), numbers_of(xp)
        if number != number:
            return at
        if number < knots[0] or number > knots[-1]:
            return before if number < knots[0] else after
        return (
            fp[-1] if number == knots[-1] else segment(at, int(np.searchsorted(knots, number, "right")) - 1)
        )

    result = np.empty(points.shape, dtype=object)
    for i, at in enumerate(points):
        result[i] = value(at)
    return as_values(result).reshape(shape) if shape else result[0]


@composed("gradient")
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Second differences inside; at the two ends one-sided ones, of first or second order."""
    f = as_values(f)
    axes = axes_of(f, axis)
    if len(varargs) not in (0, 1, len(axes)):
        raise TypeError(f"numpy.gradient: expected no spacing, one, or {len(axes)}, got {len(varargs)}")
    spacings = varargs * len(axes) if len(varargs) == 1 else varargs or (1.0,) * len(axes)
    results = [
        np.moveaxis(_gradient(np.moveaxis(f, a, 0), spacing, edge_order), 0, a)
        for a, spacing in zip(axes, spacings, strict=True)
    ]
    return results[0] if len(axes) == 1 else tuple(results)


def _gradient(f: Any, spacing: Any, edge_order: int) -> Any:
    n = len(f)
    if n < edge_order + 1 or edge_order not in (1, 2):
        raise ValueError(f"numpy.gradient: edge_order is 1 or 2, less than the {n} points along the axis")
    places = as_values(spacing)
    if places.ndim == 0:
        h = [spacing] * (n - 1)
    elif places.shape == (n,):
        h = list(np.diff(places))
    else:
        raise ValueError(f"numpy.gradient: coordinates need the length {n} of the axis, got {places.shape}")
    slopes = [(f[i + 1] - f[i]) / h[i] for i in range(n - 1)]
    inner = [(h[i] * slopes[i - 1] + h[i - 1] * slopes[i]) / (h[i - 1] + h[i]) for i in range(1, n - 1)]
    first, last = slopes[0], slopes[-1]
    if edge_order == 2:
        first = first - h[0] * (slopes[1] - slopes[0]) / (h[0] + h[1])
        last = last + h[-1] * (slopes[-1] - slopes[-2]) / (h[-1] + h[-2])
    return np.stack([as_values(line) for line in (first, *inner, last)])


@composed("bincount")
def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Any:
    if isinstance(x, np.ndarray) and x.dtype == object:
        refuse("numpy.bincount", "takes whole numbers; apply it to .data.astype(int)")
    sums = as_values(np.zeros(np.bincount(x, minlength=minlength).shape))
    np.add.at(sums, x, weights)
    return sums
