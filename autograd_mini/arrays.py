"""NumPy as the vector notation: an array of `Value`s on which ordinary NumPy code runs.

`values` gives a thin subclass of ``ndarray`` with dtype object. NumPy itself indexes, broadcasts, adds
and multiplies such arrays; the subclass redirects what plain object arrays get wrong: ufuncs go to
their row of the derivative table, means, norms and maxima are composed from rows, and questions about
numbers (``argmax``, ``isnan``, ``allclose``) are answered from the data.
"""

from __future__ import annotations

import inspect
import math
import re
import sys
from collections.abc import Callable
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

import numpy as np

try:
    from numpy.lib.array_utils import normalize_axis_tuple
except ImportError:
    from numpy.core.numeric import normalize_axis_tuple  # type: ignore[no-redef]  # its place in NumPy 1

from autograd_mini import rules
from autograd_mini.rules import Primitive
from autograd_mini.tracing import HOMES, Traced, conjunction, disjunction, negation
from autograd_mini.value import Value, constant

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class ValueArray(np.ndarray[Any, Any]):
    """An array of Values; make one with `values`.

    ``.data`` and ``.grad`` are arrays of floats; assigning to them writes the elements, so that
    ``W.data -= 0.1 * W.grad`` is a step of gradient descent.
    """

    def _read(self, attribute: str) -> NDArray[np.float64]:
        # A plain number among the elements, such as a zero from np.zeros_like, has gradient 0.
        plain = float if attribute == "data" else lambda x: 0.0
        numbers = [getattr(x, attribute) if isinstance(x, Value) else plain(x) for x in self.flat]
        return np.array(numbers, dtype=float).reshape(self.shape)

    def _write(self, attribute: str, numbers: ArrayLike) -> None:
        new = np.broadcast_to(np.asarray(numbers, dtype=float), self.shape)
        for element, number in zip(self.flat, new.flat, strict=True):
            setattr(element, attribute, float(number))

    @property  # type: ignore[override]  # ndarray's data is its memory
    def data(self) -> NDArray[np.float64]:
        """The elements' numbers, as a new array: assign to ``.data`` itself, not to its elements."""
        return self._read("data")

    @data.setter
    def data(self, numbers: ArrayLike) -> None:
        self._write("data", numbers)

    @property
    def grad(self) -> NDArray[np.float64]:
        """The elements' gradients, in a new array: assign to the whole of ``.grad``, not to a part."""
        return self._read("grad")

    @grad.setter
    def grad(self, numbers: ArrayLike) -> None:
        self._write("grad", numbers)

    def zero_grad(self) -> None:
        """Set the elements' gradients to 0."""
        self.grad = 0.0

    def backward(self) -> None:
        """Sweep from the only element; TypeError if there are several."""
        if self.size != 1:
            raise TypeError(
                f"backward: the root must be one Value, got an array of shape {self.shape}; "
                "sum it, or call backward() on an element"
            )
        self.item().backward()

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        return _apply_ufunc(ufunc, method, inputs, out, options)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func in ON_DATA:
            return func(*_on_numbers(args), **_on_numbers(kwargs))
        if func in COMPOSED:
            return _compose(COMPOSED[func], func.__name__, *args, **kwargs)
        try:
            return _wrap(func._implementation(*args, **kwargs))
        except TypeError as error:
            if not re.search("ufunc|Cannot cast", str(error)):
                raise
            name = f"{func.__module__}.{func.__name__}"
            raise TypeError(
                f"{name} has no derivative rule for Values; compose it of functions that have one, or apply "
                "it to .data"
            ) from error


def values(array_like: Any, name: str = "") -> ValueArray:
    """An array of Values: numbers become leaves, Values stay themselves.

    The leaves of ``values([1, 2], "z")`` are labelled ``z0`` and ``z1``; those of a matrix ``W`` read
    ``W0,1``, and after a name that ends in a digit an underscore stands between: ``W1_0,1``.

    >>> import numpy as np
    >>> z = values([1.0, 2.0], "z")
    >>> loss = np.sum(z ** 2)
    >>> loss.backward()
    >>> z.grad
    array([2., 4.])

    Raises TypeError for an element that is neither a number nor a Value, ValueError for ragged rows.
    """
    try:
        source = np.array(array_like, dtype=object)
    except ValueError:
        raise ValueError(f"values: rows must have one length, got {array_like!r}") from None
    result = np.empty(source.shape, dtype=object)
    for index in np.ndindex(source.shape):
        element = source[index]
        if isinstance(element, (list, tuple)):
            raise ValueError(f"values: rows must have one length, got {array_like!r}")
        result[index] = (
            element if isinstance(element, Value) else Value(element, label=element_label(name, index))
        )
    return result.view(ValueArray)


def named(x: Any, name: str) -> Any:
    """Label an intermediate Value, or each element of an array of them, and return it.

    Floats and arrays of floats pass unchanged, so that a function with labels also runs on numbers.

    >>> named(Value(2.0) * 3, "h")
    Value(data=6.0, grad=0.0, label='h')
    """
    if isinstance(x, Value):
        x.label = name
    elif isinstance(x, np.ndarray) and x.dtype == object:
        for index in np.ndindex(x.shape):
            element: Any = x[index]
            if isinstance(element, Value):
                element.label = element_label(name, index)
    return x


def element_label(name: str, index: tuple[int, ...]) -> str:
    """The label of an element of the array ``name``: ``z0``, ``W0,1``, ``W1_0,1``."""
    if not name or not index:
        return name
    return name + "_" * name[-1].isdigit() + ",".join(map(str, index))


ELEMENT = re.compile(r"(.*?\D)(\d+(?:,\d+)*)", re.DOTALL)


def split_label(label: str) -> tuple[str, tuple[int, ...]]:
    """The array's name and the element's index, the reverse of `element_label`; else the label and ().

    >>> split_label("W1_0,2"), split_label("loss")
    (('W1', (0, 2)), ('loss', ()))
    """
    element = ELEMENT.fullmatch(label) if label[-1:].isdecimal() else None
    if element is None:
        return label, ()
    name, index = element.groups()
    if name[-1] == "_" and name[-2:-1].isdigit():
        name = name[:-1]
    return name, tuple(map(int, index.split(",")))


def _numbers(x: Any) -> Any:
    if isinstance(x, Value):
        return x.data
    if isinstance(x, np.ndarray) and x.dtype == object:
        return x.view(ValueArray).data
    return x


def _on_numbers(x: Any) -> Any:
    """Arguments with every array in them, however deep in lists and tuples, replaced by its data."""
    if isinstance(x, (list, tuple)):
        return type(x)(map(_on_numbers, x))
    if isinstance(x, dict):
        return {key: _on_numbers(item) for key, item in x.items()}
    return _numbers(x)


def _wrap(result: Any) -> Any:
    """Arrays of objects become `ValueArray`s again; single elements and arrays of numbers stay."""
    if isinstance(result, (list, tuple)):
        return type(result)(map(_wrap, result))
    if isinstance(result, np.ndarray) and result.dtype == object:
        return result.view(ValueArray) if result.shape else result.item()
    return result


# --- ufuncs -----------------------------------------------------------------------------------------

UFUNCS_ON_DATA = {np.isnan, np.isfinite, np.isinf, np.signbit}
COMPARISONS = {np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal}
LOGICAL: dict[np.ufunc, Callable[..., Any]] = {
    np.logical_and: conjunction, np.logical_or: disjunction, np.logical_not: negation,
    np.bitwise_and: conjunction, np.bitwise_or: disjunction, np.invert: negation,
}  # fmt: skip
BY_PYTHON = {
    np.add, np.subtract, np.multiply, np.divide, np.negative, np.matmul,
    *COMPARISONS,
}  # fmt: skip


def _apply_ufunc(ufunc: np.ufunc, method: str, inputs: Any, out: Any, options: dict[str, Any]) -> Any:
    row = UFUNCS.get(ufunc) or LOGICAL.get(ufunc)
    if ufunc in UFUNCS_ON_DATA:
        return getattr(ufunc, method)(*_on_numbers(inputs), **options)
    if method == "__call__" and ufunc is np.positive:
        return inputs[0]
    if ufunc not in BY_PYTHON and row is None:
        raise TypeError(
            f"numpy.{ufunc.__name__} has no derivative rule for Values; "
            "add one with primitive(...), or apply it to .data"
        )
    options.pop("dtype", None)
    if method == "__call__" and "where" in options:
        options["out"] = None  # else NumPy warns of what is left open; `out` is filled below
    indices = 1 if method in ("at", "reduceat") else None
    plain = [x if i == indices else _as_objects(x) for i, x in enumerate(inputs)]
    if method == "reduce" and ufunc in FOLDS:
        result = _reduce(ufunc, plain[0], **options)
    elif ufunc in BY_PYTHON:
        if method == "reduce" and options.get("where", True) is not True:
            options.setdefault("initial", ufunc.identity)
        if ufunc in COMPARISONS and any(isinstance(x, Traced) for operand in plain for x in operand.flat):
            options["dtype"] = object  # conditions are nodes; the default asks each for a bool
        result = getattr(ufunc, method)(*plain, **options)
    else:
        assert row is not None
        result = getattr(np.frompyfunc(row, ufunc.nin, 1), method)(*plain, **options)
    if out is not None:
        np.copyto(out[0].view(np.ndarray), result, where=_call_mask(method, options))
        return out[0]
    return _wrap(result)


def _call_mask(method: str, options: dict[str, Any]) -> Any:
    """Where ``out`` is written: an elementwise call leaves what its mask excludes."""
    return options.get("where", True) if method == "__call__" else True


def _as_objects(x: Any) -> Any:
    """A plain array of objects, so that NumPy's object loops call the Values' own operators."""
    if isinstance(x, np.ndarray):
        return x.view(np.ndarray) if x.dtype == object else x.astype(object)
    return np.array(x.item() if isinstance(x, np.generic) else x, dtype=object)


def _reduce(
    ufunc: np.ufunc, x: Any, axis: Any = 0, keepdims: bool = False, initial: Any = None, where: Any = True
) -> Any:
    """A fold along an axis; a mask puts ``initial`` in the place of what it excludes."""
    first = [] if initial is None else [initial]
    if where is not True:
        if initial is None:
            raise ValueError(f"numpy.{ufunc.__name__}.reduce: where= needs initial=")
        x = np.where(where, x, initial)
    return _along(lambda items: FOLDS[ufunc](first + items), x, axis, keepdims)


def _axes(x: Any, axis: Any) -> tuple[int, ...]:
    """The axes meant by NumPy's ``axis``: one, a tuple or None for all; AxisError if there is none such."""
    return tuple(range(x.ndim) if axis is None else normalize_axis_tuple(axis, x.ndim))


def _along(fold: Callable[[list[Any]], Any], x: Any, axis: Any, keepdims: bool) -> Any:
    """``fold`` of the elements along an axis, several axes (a tuple) or all of them (None)."""
    x = np.asarray(x, dtype=object)
    axes = _axes(x, axis)
    kept = [a for a in range(x.ndim) if a not in axes]
    rows = x.transpose(*kept, *axes).reshape([x.shape[a] for a in kept] + [_count(x, axis)])
    result = np.empty(rows.shape[:-1], dtype=object)
    for index in np.ndindex(result.shape):
        result[index] = fold(list(rows[index]))
    if keepdims:
        return result.reshape([1 if a in axes else n for a, n in enumerate(x.shape)])
    return result if result.shape else result.item()


def _extremum(choose: Primitive, items: list[Any]) -> Any:
    """The largest or smallest; n items that tie share the derivative evenly.

    A fold of binary nodes splits two ways evenly. To three and more that tie, which a fold would give
    ½, ¼, ¼, the mean of their differences from the extremum is added: 0, with the derivative wanted.
    Whether that is needed is seen in the data; traced items have none, and always get it.
    """
    if not items:
        raise ValueError(f"{choose.name}: an empty array has no extremum")
    extremum = reduce(choose, items)
    if len(items) < 3:
        return extremum
    if not any(isinstance(item, Traced) for item in items):
        number = _numbers(extremum)
        if sum(_numbers(item) == number for item in items) < 3:
            return extremum
    constant = rules.detach(extremum)
    finite = rules.equal(constant - constant, 0.0)
    ties = [rules.equal(item, constant) for item in items]
    off = [rules.where(tie, item - constant, 0.0) for tie, item in zip(ties, items, strict=True)]
    return rules.where(finite, constant + reduce(rules.add, off) / reduce(rules.add, ties), extremum)


FOLDS: dict[Any, Callable[[list[Any]], Any]] = {
    np.maximum: partial(_extremum, rules.maximum),
    np.minimum: partial(_extremum, rules.minimum),
    np.logaddexp: lambda items: reduce(rules.logaddexp, items, *([] if items else [-math.inf])),
}


# --- functions that NumPy writes with what object arrays lack ---------------------------------------


def _compose(function: Callable[..., Any], name: str, *args: Any, out: Any = None, **options: Any) -> Any:
    """Call one of the functions below, which know neither ``out`` nor rarer options."""
    options.pop("dtype", None)
    try:
        inspect.signature(function).bind(*args, **options)
    except TypeError as error:
        raise TypeError(f"numpy.{name} of Values: {error}") from None
    result = function(*args, **options)
    if out is None:
        return result
    out.view(np.ndarray)[...] = result
    return out


def _count(x: Any, axis: Any) -> int:
    return int(np.prod([x.shape[a] for a in _axes(x, axis)], dtype=int))


def _as_values(x: Any) -> Any:
    return x if isinstance(x, ValueArray) else _as_objects(x).view(ValueArray)


def _mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    x = _as_values(x)
    count = _count(x, axis)
    if not count:
        raise ValueError("numpy.mean: an empty array has no mean")
    return np.sum(x, axis=axis, keepdims=keepdims) / count


def _var(x: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    x = _as_values(x)
    deviations = x - _mean(x, axis, keepdims=True)
    return np.sum(np.square(deviations), axis=axis, keepdims=keepdims) / (_count(x, axis) - ddof)


def _std(x: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False) -> Any:
    return np.sqrt(_var(x, axis, ddof=ddof, keepdims=keepdims))


def _clip(x: Any, a_min: Any = None, a_max: Any = None, min: Any = None, max: Any = None) -> Any:
    """Bounds have partial 1 for x, as in PyTorch; hence ``where`` and not a maximum of a minimum."""
    x = _as_values(x)
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    if low is not None:
        x = _elementwise(rules.where, _elementwise(rules.less, x, low), low, x)
    if high is not None:
        x = _elementwise(rules.where, _elementwise(rules.less, high, x), high, x)
    return x


def _where(condition: Any, *choices: Any) -> Any:
    if not choices:
        return np.where(_numbers(condition))
    return _elementwise(rules.where, condition, *choices)


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    x = _as_values(x)
    vectors = len(_axes(x, axis)) == 1
    if ord is None or (ord == "fro" and not vectors) or (ord == 2 and vectors):
        return _wrap(_along(_length, x, axis, keepdims))
    if vectors and ord == 1:
        return np.sum(np.abs(x), axis=axis, keepdims=keepdims)
    if vectors and ord == np.inf:
        return np.max(np.abs(x), axis=axis, keepdims=keepdims)
    raise TypeError(
        f"numpy.linalg.norm: for Values ord is None, 1, 2 or inf of vectors, "
        f"None or 'fro' of matrices, got {ord!r}"
    )


def _length(items: list[Any]) -> Any:
    return reduce(rules.hypot, items) if len(items) > 1 else rules.abs(items[0]) if items else 0.0


def _average(x: Any, axis: Any = None, weights: Any = None, *, keepdims: bool = False) -> Any:
    x = _as_values(x)
    if weights is None:
        return _mean(x, axis, keepdims=keepdims)
    weights = np.asanyarray(weights)
    if weights.shape != x.shape:  # one weight for each place along the axis
        [along] = _axes(x, axis)
        weights = weights.reshape([-1 if a == along else 1 for a in range(x.ndim)]) + np.zeros(x.shape)
    total = np.sum(weights, axis=axis, keepdims=keepdims)
    return np.sum(x * weights, axis=axis, keepdims=keepdims) / total


def _elementwise(row: Primitive, *operands: Any) -> Any:
    return _wrap(np.frompyfunc(row, len(row.operands), 1)(*map(_as_objects, operands)))


def _method(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    return lambda self, *args, **options: _compose(function, name, self, *args, **options)


def _on_data(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *args, **options: function(self.data, *args, **options)


COMPOSED: dict[Any, Callable[..., Any]] = {
    np.mean: _mean, np.var: _var, np.std: _std, np.clip: _clip, np.where: _where,
    np.linalg.norm: _norm, np.average: _average,
}  # fmt: skip
ON_DATA = {np.argmax, np.argmin, np.argsort, np.allclose, np.isclose, np.array_equal}
for _name in ("mean", "var", "std", "clip"):
    setattr(ValueArray, _name, _method(COMPOSED[getattr(np, _name)], _name))
for _name in ("argmax", "argmin", "argsort"):
    setattr(ValueArray, _name, _on_data(getattr(np, _name)))
UFUNCS: dict[np.ufunc, Primitive] = {}


def _install_ufunc(row: Primitive) -> None:
    """Send NumPy's ufunc of that name to the row."""
    ufunc = getattr(np, row.numpy, None)
    if isinstance(ufunc, np.ufunc):
        UFUNCS[ufunc] = row


def _scalar_ufunc(
    self: Value, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
) -> Any:
    return _apply_ufunc(ufunc, method, inputs, out, options)


def _scalar_function(self: Value, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
    return ValueArray.__array_function__(_as_objects(self).view(ValueArray), func, types, args, kwargs)


# NumPy asks a single Value, too; its class lives on a floor that knows no arrays.
Value.__array_ufunc__ = _scalar_ufunc
Value.__array_function__ = _scalar_function


# --- what NumPy's own scalars and arrays can do ---------------------------------------------------------


def _as_array(self: Value) -> ValueArray:
    array: ValueArray = _as_objects(self).view(ValueArray)
    return array


ON_SCALARS: dict[str, Any] = {
    "dtype": np.dtype(float), "shape": (), "ndim": 0, "size": 1, "T": property(lambda self: self),
    **dict.fromkeys(
        "item tolist copy squeeze sum mean max min".split(), lambda self, *args, **options: self),
    **{name: lambda self, *args, _name=name: getattr(_as_array(self), _name)(*args)
       for name in ("reshape", "ravel", "flatten")},
    **{f"__{f.__name__}__": lambda self, *digits, _f=f: _f(self.data, *digits)
       for f in (round, math.floor, math.ceil, math.trunc)},  # numbers: their derivative is 0
}  # fmt: skip


def _astype(self: Any, dtype: Any, *args: Any, **options: Any) -> Any:
    """Values stay Values in a type of floats; as integers they would lose their derivative."""
    kind = np.dtype(dtype).kind
    elements = [x for x in np.ravel(_as_objects(self)) if isinstance(x, Value)]
    if kind in "fO" or (elements and all(map(is_condition, elements))):
        return self if options.get("copy") is False or isinstance(self, Value) else self.copy()
    if elements and kind != "b":
        raise TypeError(
            f"{user_line()}: astype({np.dtype(dtype)}) would lose the derivative of Values without a word; "
            "use .data for the numbers"
        )
    return _as_objects(self).astype(dtype)


def is_condition(x: Any) -> bool:
    """Whether a traced node is a comparison, or made of comparisons, of value 0 or 1."""
    if isinstance(x, Traced) and x.op is rules.where:
        return all(is_condition(y) or (y.op is constant and y.data in (0.0, 1.0)) for y in x.args[1:])
    return isinstance(x, Traced) and x.op in (rules.less, rules.less_equal, rules.equal)


def _set_item(self: ValueArray, index: Any, new: Any) -> None:
    """``y[mask] = new``, which is a selection where the mask is being traced."""
    if isinstance(index, np.ndarray) and any(isinstance(x, Traced) for x in index.flat):
        mask = index.reshape(index.shape + (1,) * (self.ndim - index.ndim))
        index, new = ..., _elementwise(rules.where, mask, new, self)
    np.ndarray.__setitem__(self, index, new)


def user_line() -> str:
    """The file and line of the user's code that is being run."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename.startswith((*HOMES, "<autograd_mini")):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


ON_SCALARS["astype"] = _astype
# A plain array's `dot` gives an array of the class with the higher priority.
ON_ARRAYS = {"astype": _astype, "__setitem__": _set_item, "__array_priority__": 1.0}
for _class, _attributes in ((Value, ON_SCALARS), (ValueArray, ON_ARRAYS)):
    for _name, _attribute in _attributes.items():
        setattr(_class, _name, _attribute)


def _mixes_arrays_and_values(*operands: Any) -> bool:
    arrays = [x for x in operands if isinstance(x, np.ndarray) and x.shape]
    return bool(arrays) and (
        any(x.dtype == object for x in arrays) or any(isinstance(x, Value) for x in operands)
    )


rules.register(
    rules.Arithmetic(
        ValueArray,
        _mixes_arrays_and_values,
        lambda row: partial(_elementwise, row),
        _install_ufunc,
    )
)
