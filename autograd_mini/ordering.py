"""Functions that put elements in order: the order is seen in the data, and the elements are moved.

The order is that of NumPy, nan last; each element keeps its own derivative, tied ones too. While a function
is traced there are no data, and these functions are refused.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from autograd_mini.arrays import ValueArray, along, as_values, composed, numbers_of
from autograd_mini.refusals import refuse


@composed("sort")
def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    """The elements in ascending order of their numbers."""
    if axis is None:
        a, axis = np.ravel(as_values(a)), -1
    return np.take_along_axis(a, np.argsort(numbers_of(a), axis=axis, kind="stable"), axis)


@composed("partition")
def partition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> Any:
    """The elements with those at the places ``kth`` as sorting puts them."""
    if axis is None:
        a, axis = np.ravel(as_values(a)), -1
    return np.take_along_axis(a, np.argpartition(numbers_of(a), kth, axis=axis), axis)


def _in_place(function: Any) -> Any:
    def method(self: ValueArray, *args: Any, **options: Any) -> None:
        self[...] = function(self, *args, **options)

    return method


for _function in (sort, partition):
    setattr(ValueArray, _function.__name__, _in_place(_function))


def _register(prefix: str, among: Any) -> None:
    """median, quantile and percentile of the elements that ``among`` leaves."""

    @composed(f"{prefix}median")
    def median(a: Any, axis: Any = None, overwrite_input: bool = False, keepdims: bool = False) -> Any:
        return along(partial(_quantile, among=among), a, axis, keepdims)

    def quantiles(name: str, whole: float) -> None:
        @composed(name)
        def quantile(
            a: Any,
            q: Any,
            axis: Any = None,
            overwrite_input: bool = False,
            method: str = "linear",
            keepdims: bool = False,
        ) -> Any:
            if np.asarray(q).dtype == object:
                refuse(f"numpy.{name}", "takes numbers for q; give q.data, where q has no derivative")
            of_each = []
            for number in np.ravel(q):
                fold = partial(_quantile, among=among, q=number / whole, method=method)
                of_each.append(as_values(along(fold, a, axis, keepdims)))
            if not np.ndim(q):
                return of_each[0] if of_each[0].shape else of_each[0].item()
            return np.stack(of_each).reshape(np.shape(q) + of_each[0].shape)

    quantiles(f"{prefix}quantile", 1.0)
    quantiles(f"{prefix}percentile", 100.0)


def _numbers_among(items: list[Any]) -> list[Any]:
    return [item for item in items if not math.isnan(numbers_of(item))]


_register("", lambda items: items)
_register("nan", _numbers_among)


def _quantile(elements: list[Any], among: Any, q: float = 0.5, method: str = "linear") -> Any:
    """The quantile of elements: where it lies between two neighbours in order, NumPy itself says."""
    items = among(elements)
    if not items:
        return math.nan
    numbers = np.array([numbers_of(item) for item in items], dtype=float)
    order = np.argsort(numbers, kind="stable")
    if numbers[order[-1]] != numbers[order[-1]]:
        return items[order[-1]]  # nan
    place = float(np.quantile(np.arange(len(items), dtype=float), q, method=method))  # type: ignore[call-overload]
    low = math.floor(place)
    below = items[order[low]]
    if place == low:
        return below
    above = items[order[low + 1]]
    return below + (above - below) * (place - low)


@composed("unique")
def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: Any = None,
    *,
    equal_nan: bool = True,
) -> Any:
    """Of elements that are equal the first stands for all."""
    numbers: Any = np.unique  # whose many overloads know no variable flags
    _, index, *others = numbers(
        numbers_of(ar), True, return_inverse, return_counts, axis, equal_nan=equal_nan
    )
    found = np.ravel(ar)[index] if axis is None else np.take(ar, index, axis)
    results = [found, *([index] if return_index else []), *others]
    return tuple(results) if len(results) > 1 else found


@composed("ptp")
def ptp(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)
