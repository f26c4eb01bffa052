"""A single Value answers NumPy as NumPy's own scalars do: by ufuncs, functions, attributes and methods."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_mini.arrays import ValueArray, apply_ufunc, as_values
from autograd_mini.value import Value


def _ufunc(self: Value, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
    with np.errstate(all="ignore"):
        return apply_ufunc(ufunc, method, inputs, out, options)


def _function(self: Value, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
    return ValueArray.__array_function__(as_values(self), func, types, args, kwargs)


ANSWERS: dict[str, Any] = {
    "__array_ufunc__": _ufunc, "__array_function__": _function,
    "dtype": np.dtype(float), "shape": (), "ndim": 0, "size": 1, "T": property(lambda self: self),
    **dict.fromkeys(
        "item tolist copy squeeze sum mean max min".split(), lambda self, *args, **options: self),
    **{name: lambda self, *args, _name=name: getattr(as_values(self), _name)(*args)
       for name in ("reshape", "ravel", "flatten")},
    "astype": lambda self, dtype, **options: as_values(self).astype(dtype, **options).item(),
}  # fmt: skip

for _name, _answer in ANSWERS.items():
    setattr(Value, _name, _answer)  # whose class lives on a floor that knows no arrays
