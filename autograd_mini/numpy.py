"""NumPy's stand-in: every name of NumPy, and where code makes its own arrays, arrays that can hold Values.

``from autograd_mini import numpy as np`` is all that changes in a file. What NumPy gives as an array of
floats, ``np.zeros(3)``, is here an `OpenArray`: of plain numbers, with NumPy's own results, until a Value is
stored in it, ``y[i] = v``. Arrays of integers and bools, and every other name, are NumPy's own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_mini.arrays import ValueArray
from autograd_mini.trees import map_leaves
from autograd_mini.value import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [*np.__all__]

MADE = (
    "zeros ones empty full zeros_like ones_like empty_like full_like eye identity tri arange linspace "
    "logspace geomspace array asarray asanyarray ascontiguousarray asfortranarray asarray_chkfinite copy"
)
FLOAT_TYPES = "half single double longdouble float16 float32 float64 float96 float128"


class OpenArray(ValueArray):
    """An array that code has made: of plain numbers, and NumPy's work, until a Value is stored in it."""

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        numbers = None if method == "at" else _plain((inputs, options))
        if numbers is None:
            return super().__array_ufunc__(ufunc, method, *inputs, out=out, **options)
        inputs, options = numbers
        if out is None:
            return opened(getattr(ufunc, method)(*inputs, **options))
        floats = [_plain(x) for x in out]
        if any(x is None for x in floats):  # its Values are written over, or kept where a mask says so
            return super().__array_ufunc__(ufunc, method, *inputs, out=out, **options)
        getattr(ufunc, method)(*inputs, out=tuple(floats), **options)
        for array, numbers in zip(out, floats, strict=True):
            if numbers is not array:
                array.view(np.ndarray)[...] = numbers
        return out[0] if len(out) == 1 else out

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        numbers = _plain((args, kwargs))
        if numbers is not None:
            result = func(*numbers[0], **numbers[1])
            if result is not None and not _shares_memory(result, numbers):
                return opened(result)
        return super().__array_function__(func, types, args, kwargs)  # Values, views and changes in place

    def __repr__(self) -> str:
        numbers = _floats(self)
        return super().__repr__() if numbers is None else repr(numbers)

    def __str__(self) -> str:
        numbers = _floats(self)
        return super().__str__() if numbers is None else str(numbers)

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return np.float64(found) if type(found) is float else found


def _by_numpy(name: str) -> Callable[..., Any]:
    """A method that NumPy does not dispatch: its own on plain numbers, for its rounding and its speed."""
    general: Callable[..., Any] = getattr(ValueArray, name)

    @wraps(general)
    def method(self: OpenArray, *args: Any, **options: Any) -> Any:
        numbers = _plain((self, args, options))
        if numbers is None:
            return general(self, *args, **options)
        return opened(getattr(numbers[0], name)(*numbers[1], **numbers[2]))

    return method


for _name in "dot cumsum cumprod trace round clip mean var std searchsorted argsort argmax argmin".split():
    setattr(OpenArray, _name, _by_numpy(_name))


def opened(made: Any) -> Any:
    """Arrays of floats as arrays that can hold Values, also in the lists and tuples that NumPy gives."""
    if not isinstance(made, np.ndarray):
        return map_leaves(opened, made) if isinstance(made, (list, tuple)) else made
    if made.dtype.kind == "f":
        return made.astype(object).view(OpenArray)
    return made.view(OpenArray) if type(made) is np.ndarray and _holds_numbers(made) else made


def _holds_numbers(x: NDArray[Any]) -> bool:
    return x.dtype == object and all(isinstance(element, (Value, float, int)) for element in x.flat)


def holds_values(x: Any) -> bool:
    """Whether there is a Value in it, however deep in lists, tuples, dicts and arrays."""
    if isinstance(x, np.ndarray):
        return x.dtype == object and any(isinstance(element, Value) for element in x.flat)
    if isinstance(x, dict):
        return any(map(holds_values, x.values()))
    return any(map(holds_values, x)) if isinstance(x, (list, tuple)) else isinstance(x, Value)


def _plain(x: Any) -> Any:
    """The argument with arrays of floats in place of open arrays; None if one of them holds a Value."""
    if isinstance(x, ValueArray):
        return _floats(x)
    if isinstance(x, (list, tuple)) and type(x) in (list, tuple):
        parts = [item if item is None else _plain(item) for item in x]
        if any(part is None and item is not None for part, item in zip(parts, x, strict=True)):
            return None
        return type(x)(parts)
    if isinstance(x, dict):
        items = _plain([*x.values()])
        return None if items is None else dict(zip(x, items, strict=True))
    return None if isinstance(x, Value) or (isinstance(x, np.ndarray) and holds_values(x)) else x


def _floats(x: ValueArray) -> NDArray[np.float64] | None:
    try:
        return x.view(np.ndarray).astype(float)
    except TypeError:  # a Value does not become a float
        return None


def _shares_memory(result: Any, arrays: Any) -> bool:
    """Whether a result is a view of an array among the arguments."""
    if isinstance(result, (list, tuple)):
        return any(_shares_memory(part, arrays) for part in result)
    if isinstance(arrays, dict):
        arrays = [*arrays.values()]
    if isinstance(arrays, (list, tuple)):
        return any(_shares_memory(result, part) for part in arrays)
    both = isinstance(result, np.ndarray) and isinstance(arrays, np.ndarray)
    return both and np.may_share_memory(result, arrays)


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


def _filled(shape: Any, fill_value: Any, dtype: Any = None, **options: Any) -> Any:
    made = np.empty(shape, dtype=object)
    made[...] = fill_value
    return made


def _like(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, *args, **options: real(np.empty(np.shape(x)), *args, **options)


def _filled_like(x: Any, fill_value: Any, dtype: Any = None, shape: Any = None, **options: Any) -> Any:
    return _filled(np.shape(x) if shape is None else shape, fill_value)


def _linspace(start: Any, stop: Any, num: int = 50, endpoint: bool = True, axis: int = 0) -> Any:
    steps = np.linspace(0.0, 1.0, num, endpoint)
    if np.ndim(start) or np.ndim(stop):
        raise TypeError("numpy.linspace of Values: start and stop must be scalars")
    return (1.0 - steps) * start + steps * stop


ON_VALUES: dict[Any, Callable[..., Any]] = {
    **{getattr(np, name): _gathered(getattr(np, name)) for name in (
        "array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray", "asarray_chkfinite")},
    **{f: _like(f) for f in (np.zeros_like, np.ones_like, np.empty_like)},
    np.copy: lambda x, *args, **options: np.array(x, dtype=object),
    np.full: _filled,
    np.full_like: _filled_like,
    np.linspace: _linspace,
}  # fmt: skip


# --- NumPy's types of floats --------------------------------------------------------------------------


class _FloatType(type):
    """A type of floats that passes Values through, and is NumPy's own as a dtype and to ``isinstance``."""

    own: Any

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, cls.own)

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, cls.own)

    def __eq__(cls, other: object) -> bool:
        return other is cls or other is cls.own

    def __hash__(cls) -> int:
        return hash(cls.own)

    def __call__(cls, x: Any = 0.0) -> Any:
        return passed(x, cls.own)


def passed(x: Any, kind: Callable[[Any], Any]) -> Any:
    """What ``kind``, a type of floats, makes of ``x``; Values pass, to `float` also in an array of one."""
    if not holds_values(x):
        return opened(kind(x))
    if isinstance(x, Value):
        return x
    array = OWN["asarray"](x)
    return array.item() if kind is float and array.size == 1 else array


OWN: dict[str, Any] = {name: _made(getattr(np, name)) for name in MADE.split()}
OWN |= {
    name: _FloatType(name, (real,), {"own": real})
    for name in FLOAT_TYPES.split()
    if (real := getattr(np, name, None))
}
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
