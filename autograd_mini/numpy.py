"""NumPy's stand-in: every name of NumPy, and where code makes its own arrays, arrays that can hold Values.

``from autograd_mini import numpy as np`` is all that changes in a file. What NumPy gives as an array of
floats, ``np.zeros(3)``, is here an `OpenArray`: of plain numbers, with NumPy's own results, until a Value is
stored in it, ``y[i] = v``. Arrays of integers and bools, and every other name, are NumPy's own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from autograd_mini.arrays import ValueArray, holds_values
from autograd_mini.trees import leaves, map_leaves
from autograd_mini.value import Value

__all__ = [*np.__all__]

MADE = (
    "zeros ones empty full zeros_like ones_like empty_like full_like eye identity tri arange linspace "
    "logspace geomspace array asarray asanyarray ascontiguousarray asfortranarray asarray_chkfinite copy"
)
FLOAT_TYPES = "half single double longdouble float_ float16 float32 float64 float96 float128"


class OpenArray(ValueArray):
    """An array that code has made: of plain numbers, and NumPy's work, until a Value is stored in it."""

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        numbers = None if method == "at" else plain((inputs, options))
        if numbers is None:
            return super().__array_ufunc__(ufunc, method, *inputs, out=out, **options)
        inputs, options = numbers
        if out is None:
            return opened(getattr(ufunc, method)(*inputs, **options))
        floats = [plain(x) for x in out]
        if any(x is None for x in floats):  # its Values are written over, or kept where a mask says so
            return super().__array_ufunc__(ufunc, method, *inputs, out=out, **options)
        getattr(ufunc, method)(*inputs, out=tuple(floats), **options)
        for array, numbers in zip(out, floats, strict=True):
            if numbers is not array:
                array.view(np.ndarray)[...] = numbers
        return out[0] if len(out) == 1 else out

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        numbers = plain((args, kwargs))
        if numbers is not None:
            result = func(*numbers[0], **numbers[1])
            if result is not None and not _shares_memory(result, numbers):
                return opened(result)
        return super().__array_function__(func, types, args, kwargs)  # Values, views and changes in place

    def _stored(self, value: Any) -> Any:
        return value  # a number stays one

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return np.float64(found) if type(found) is float else found


def _by_numpy(name: str) -> Callable[..., Any]:
    """A method that NumPy does not dispatch: its own on plain numbers, for its rounding and its speed."""
    general: Callable[..., Any] = getattr(ValueArray, name)

    @wraps(general)
    def method(self: OpenArray, *args: Any, **options: Any) -> Any:
        numbers = plain((self, args, options))
        if numbers is None:
            return general(self, *args, **options)
        return opened(getattr(numbers[0], name)(*numbers[1], **numbers[2]))

    return method


BY_NUMPY = (
    "dot cumsum cumprod trace round clip mean var std searchsorted argsort argmax argmin __repr__ __str__"
)
for _name in BY_NUMPY.split():
    setattr(OpenArray, _name, _by_numpy(_name))


def opened(made: Any) -> Any:
    """Arrays of floats as arrays that can hold Values, also in the lists and tuples that NumPy gives."""
    if not isinstance(made, np.ndarray):
        return map_leaves(opened, made) if isinstance(made, (list, tuple)) else made
    if made.dtype.kind == "f":
        return made.astype(object).view(OpenArray)
    return made.view(OpenArray) if type(made) is np.ndarray and _holds_numbers(made) else made


def _holds_numbers(x: Any) -> bool:
    return x.dtype == object and all(isinstance(element, (Value, float, int)) for element in x.flat)


def plain(x: Any) -> Any:
    """A tree with arrays of floats in place of open arrays; None if there is a Value in it."""
    try:
        return map_leaves(_floats, x)
    except TypeError:  # a Value does not become a float
        return None


def _floats(x: Any) -> Any:
    if isinstance(x, ValueArray):
        return x.view(np.ndarray).astype(float)
    return float(x) if isinstance(x, Value) or holds_values(x) else x


def _shares_memory(result: Any, arrays: Any) -> bool:
    """Whether there is a view of one of the arrays in a result."""
    found = [[x for x in leaves(tree) if isinstance(x, np.ndarray)] for tree in (result, arrays)]
    return any(np.may_share_memory(a, b) for a, b in itertools.product(*found))


# --- functions that make arrays -----------------------------------------------------------------------


def _made(real: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's function, but that its arrays of floats can hold Values, and that it takes Values."""
    general = ON_VALUES.get(real, real)

    @wraps(real)
    def make(*args: Any, **options: Any) -> Any:
        args, options = tuple(map(_as_dtype, args)), {key: _as_dtype(x) for key, x in options.items()}
        made = (general if holds_values((args, options)) else real)(*args, **options)
        return made if any(made is x for x in args) else opened(made)

    return make


def _as_dtype(x: Any) -> Any:
    """The dtype of an array of Values means floats."""
    return np.dtype(float) if isinstance(x, np.dtype) and x.kind == "O" else x


def _gathered(real: Callable[..., Any]) -> Callable[..., Any]:
    """`numpy.array` and its kin on Values, whatever dtype of floats is asked for."""

    def gather(x: Any, dtype: Any = None, *args: Any, **options: Any) -> Any:
        if dtype is not None and np.dtype(dtype).kind not in "fO":
            return real(x, dtype, *args, **options)
        made = real(x, object, *args, **options)
        if any(isinstance(element, (list, tuple, np.ndarray)) for element in made.flat):
            raise ValueError(f"numpy.{real.__name__}: rows must have one length, got {x!r}")
        return made

    return gather


def _filled(shape: Any, fill_value: Any, *args: Any, **options: Any) -> Any:
    return np.full(shape, fill_value, object)


def _like(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, *args, **options: real(np.empty(np.shape(x)), *args, **options)


ON_VALUES: dict[Any, Callable[..., Any]] = {
    **{getattr(np, name): _gathered(getattr(np, name)) for name in (
        "array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray", "asarray_chkfinite")},
    **{f: _like(f) for f in (np.zeros_like, np.ones_like, np.empty_like)},
    np.copy: lambda x, *args, **options: np.array(x, dtype=object),
    np.full: _filled,
    np.full_like: lambda x, fill_value, *args, shape=None, **options: _filled(
        np.shape(x) if shape is None else shape, fill_value),
}  # fmt: skip


# --- NumPy's types of floats --------------------------------------------------------------------------


class _FloatType(type):
    """A type of floats that passes Values through, and is the real one as a dtype and to ``isinstance``."""

    own: Any

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, cls.own)

    def __call__(cls, x: Any = 0.0) -> Any:
        """Values pass, to `float` also in an array of one."""
        if not holds_values(x):
            return opened(cls.own(x))
        if isinstance(x, Value):
            return x
        array = OWN["asarray"](x)
        return array.item() if cls.own is float and array.size == 1 else array


def float_type(real: type) -> type:
    return _FloatType(real.__name__, (real,), {"own": real})


OWN: dict[str, Any] = {name: _made(getattr(np, name)) for name in MADE.split()}
OWN |= {name: float_type(real) for name in FLOAT_TYPES.split() if (real := getattr(np, name, None))}
OWN |= {
    "isscalar": lambda x: isinstance(x, Value) or np.isscalar(x),
    "issubdtype": lambda a, b: np.issubdtype(_as_dtype(a), _as_dtype(b)),
    "finfo": lambda dtype: np.finfo(_as_dtype(dtype)),
}
globals().update(OWN)


def __getattr__(name: str) -> Any:
    return getattr(np, name)


def __dir__() -> list[str]:
    return dir(np)
