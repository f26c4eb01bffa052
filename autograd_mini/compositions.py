"""What NumPy's functions on arrays are composed of, where its own code cannot be: norms, choices, nan.

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
    ValueArray,
    along,
    as_values,
    axes_of,
    composed,
    elementwise,
    is_traced,
    numbers_of,
)
from autograd_mini.refusals import refuse


def _with_axes_kept(name: str) -> None:
    """NumPy's own, which takes an element for a float, in arrays to the end."""
    own = getattr(np.ndarray, name)

    @composed(name)
    def reduction(x: Any, axis: Any = None, keepdims: bool = False, **options: Any) -> Any:
        x = as_values(x)
        axes = axes_of(x, axis)
        try:
            [kept] = own(x[None], tuple(a + 1 for a in axes), keepdims=True, **options)
        except ZeroDivisionError:
            raise ValueError(f"numpy.{name}: there is no element") from None
        return kept if keepdims else np.squeeze(kept, axis=axes)


for _name in ("mean", "var", "std"):
    _with_axes_kept(_name)
ValueArray.real = property(lambda self: self)  # type: ignore[assignment]  # which NumPy's variance takes


@composed("average")
def average(
    x: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False
) -> Any:
    x = as_values(x)
    axes = axes_of(x, axis)
    weights = np.ones(x.shape) if weights is None else np.asanyarray(weights)
    if weights.shape != x.shape:  # one weight for each place along the axis
        others = [a for a in range(x.ndim) if a not in axes]
        weights = np.broadcast_to(np.expand_dims(weights, others), x.shape, subok=True)
    total = np.sum(weights, axis=axes, keepdims=keepdims)
    result = np.sum(x * weights, axis=axes, keepdims=keepdims) / total
    return (result, np.broadcast_to(total, np.shape(result), subok=True)) if returned else result


@composed("cov")
def cov(m: Any, y: Any = None, rowvar: bool = True, fweights: Any = None, **options: Any) -> Any:
    """NumPy's own, which without weights takes an element for a float: so each sample counts once."""
    if fweights is None:
        fweights = np.ones(np.shape(m)[1 if rowvar and np.ndim(m) > 1 else 0], int)
    own: Any = np.cov
    return own._implementation(m, y, rowvar, fweights=fweights, **options)


@composed("linalg.norm")
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    x = as_values(x)
    axes = axes_of(x, axis)
    if ord is None or (len(axes) == 1 and ord == 2) or (len(axes) == 2 and ord in ("fro", "f")):
        return along(_length, x, axes, keepdims)
    if ord not in (1, np.inf) or len(axes) not in (1, 2):
        refuse(
            f"numpy.linalg.norm(ord={ord!r})",
            "has no derivative rule for Values; take ord=1, 2 or inf of a vector, 'fro', 1, inf of a matrix",
        )
    if len(axes) == 1:
        return (np.sum if ord == 1 else np.max)(np.abs(x), axis=axes, keepdims=keepdims)
    sums = np.sum(np.abs(x), axis=axes[0 if ord == 1 else 1], keepdims=True)
    return np.max(sums, axis=axes, keepdims=keepdims)


def _length(items: list[Any]) -> Any:
    return reduce(rules.hypot, items) if len(items) > 1 else rules.abs(items[0]) if items else 0.0


# --- choices ----------------------------------------------------------------------------------------


@composed("clip")
def clip(x: Any, a_min: Any = None, a_max: Any = None, min: Any = None, max: Any = None) -> Any:
    """Bounds have partial 1 for x, as in PyTorch; hence ``where`` and not a maximum of a minimum."""
    x = as_values(x)
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    x = x if low is None else where(elementwise(rules.less, x, low), low, x)
    return x if high is None else where(elementwise(rules.less, high, x), high, x)


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
    pairs = zip(reversed(condlist), reversed(choicelist), strict=True)
    return reduce(lambda others, pair: where(*pair, others), pairs, default)


@composed("interp")
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Linear between the points: at a point, the derivative is that of the segment on its right."""
    if period is not None:
        refuse("numpy.interp(period=)", "has no derivative rule for Values; extend xp and fp by a period")
    xp, fp = as_values(xp), as_values(fp)
    last = len(xp) - 1
    if last < 0 or len(fp) != len(xp):
        raise ValueError(f"numpy.interp: xp and fp need one length, and a point, got {xp.size} and {fp.size}")
    if not is_traced(xp) and np.any(np.diff(numbers_of(xp)) <= 0):
        raise ValueError("numpy.interp: xp must increase")

    def segment(k: int, at: Any) -> Any:
        return fp[k] + (fp[k + 1] - fp[k]) / (xp[k + 1] - xp[k]) * (at - xp[k]) if k < last else fp[k]

    def value(at: Any) -> Any:
        result = fp[0] if left is None else left
        known = not is_traced(at, xp)
        for k in [np.searchsorted(numbers_of(xp[1:]), numbers_of(at), "right")] if known else range(last + 1):
            result = rules.where(rules.less_equal(xp[k], at), segment(k, at), result)
        result = result if right is None else rules.where(rules.less(xp[last], at), right, result)
        return rules.where(rules.equal(at, at), result, at)

    return elementwise(value, x)


# --- nan: what has no number is replaced by what changes nothing ----------------------------------------


def _without_nan(name: str, neutral: float) -> None:
    @composed(f"nan{name}")
    def reduced(x: Any, axis: Any = None, **options: Any) -> Any:
        x = as_values(x)
        result = getattr(np, name)(where(np.isnan(x), neutral, x), axis=axis, **options)
        if math.isfinite(neutral):
            return result
        return where(np.all(np.isnan(x), axis=axis, **options), math.nan, result)


NEUTRAL = {"sum": 0.0, "prod": 1.0, "cumsum": 0.0, "cumprod": 1.0, "max": -math.inf, "min": math.inf}
for _name, _neutral in NEUTRAL.items():
    _without_nan(_name, _neutral)


def _count(x: Any, axis: Any, keepdims: bool) -> Any:
    return np.sum(np.logical_not(np.isnan(x)), axis=axis, keepdims=keepdims)


@composed("nanmean")
def nanmean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    x = as_values(x)
    return np.nansum(x, axis=axis, keepdims=keepdims) / _count(x, axis, keepdims)


@composed("nanvar")
def nanvar(x: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    x = as_values(x)
    squares = np.square(x - nanmean(x, axis, keepdims=True))
    total = np.nansum(squares, axis=axis, keepdims=keepdims)
    return total / np.maximum(_count(x, axis, keepdims) - ddof, 0.0)


@composed("nanstd")
def nanstd(x: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    return np.sqrt(nanvar(x, axis, ddof=ddof, keepdims=keepdims))


@composed("nan_to_num")
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    x, largest = as_values(x), np.finfo(float).max
    x = where(elementwise(rules.equal, x, math.inf), largest if posinf is None else posinf, x)
    x = where(elementwise(rules.equal, x, -math.inf), -largest if neginf is None else neginf, x)
    return where(np.isnan(x), nan, x)


@composed("linspace")
def linspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None,
    axis: int = 0,
) -> Any:  # fmt: skip
    start, stop = map(as_values, np.broadcast_arrays(as_values(start), as_values(stop)))
    parts = num - endpoint
    step = (stop - start) / max(parts, 1)
    line = np.stack([stop if 0 < k == parts else start + step * k for k in range(num)], axis)
    return (line, step) if retstep else line
