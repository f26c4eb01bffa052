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
    a = np.ravel(as_values(a)) if axis is None else a
    axis = -1 if axis is None else axis
    return np.take_along_axis(a, np.argsort(numbers_of(a), axis=axis, kind="stable"), axis)


@composed("partition")
def partition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> Any:
    """The elements in order, and so also those at the places ``kth``."""
    return sort(a, axis)


def _in_place(function: Any) -> Any:
    def method(self: ValueArray, *args: Any, **options: Any) -> None:
        self[...] = function(self, *args, **options)

    return method


for _function in (sort, partition):
    setattr(ValueArray, _function.__name__, _in_place(_function))


def _quantile(
    a: Any,
    q: Any,
    axis: Any = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    name: str,
) -> Any:
    if np.asarray(q).dtype == object:
        refuse(f"numpy.{name}", "takes numbers for q; give q.data, where q has no derivative")

    def of_elements(elements: list[Any], q: float) -> Any:
        """Where it lies between two neighbours in order, NumPy itself says."""
        items = [x for x in elements if not np.isnan(x)] if name.startswith("nan") else elements
        items = sort(np.array(items, dtype=object))
        if not len(items) or np.isnan(items[-1]):
            return items[-1] if len(items) else math.nan
        places: Any = np.arange(len(items), dtype=float)
        place = float(np.quantile(places, q, method=method))  # type: ignore[call-overload]  # any name
        low = math.floor(place)
        return items[low] + (items[low + 1] - items[low]) * (place - low) if place > low else items[low]

    whole = 100.0 if "percentile" in name else 1.0
    found = [as_values(along(partial(of_elements, q=x / whole), a, axis, keepdims)) for x in np.ravel(q)]
    result = np.stack(found).reshape(np.shape(q) + found[0].shape)
    return result if result.shape else result.item()


def _median(
    a: Any, axis: Any = None, overwrite_input: bool = False, keepdims: bool = False, *, name: str
) -> Any:
    return _quantile(a, 0.5, axis, keepdims=keepdims, name=name)


for _name in "median quantile percentile nanmedian nanquantile nanpercentile".split():
    composed(_name)(partial(_median if "median" in _name else _quantile, name=_name))


@composed("unique")
def unique(ar: Any, return_index: bool = False, axis: Any = None, **options: Any) -> Any:
    """Of elements that are equal the first stands for all."""
    numbers: Any = np.unique  # whose many overloads know no variable flags
    _, index, *others = numbers(numbers_of(ar), True, axis=axis, **options)
    found = np.take(ar, index, axis)
    others = [index, *others] if return_index else others
    return (found, *others) if others else found
