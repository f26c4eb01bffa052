"""NumPy as the vector notation: an array of `Value`s on which ordinary NumPy code runs.

`values` gives a thin subclass of ``ndarray`` with dtype object. NumPy itself indexes, broadcasts, adds
and multiplies such arrays; the subclass decides for every function of NumPy's what becomes of it. A ufunc
goes to its row of the derivative table. Of the other functions, those whose own code is made of ufuncs and
of moves of elements run as they are; questions about numbers (``argmax``, ``allclose``) are answered from
the data; what `composed` registers, in modules above this one, is composed from rows; and every other
function is refused by its name, rather than trusted with arrays of objects.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

import numpy as np

try:
    from numpy.lib.array_utils import normalize_axis_tuple
except ImportError:
    from numpy.core.numeric import normalize_axis_tuple  # type: ignore[no-redef]  # its place in NumPy 1

from autograd_mini import rules
from autograd_mini.labels import element_label
from autograd_mini.readings import handed_out
from autograd_mini.refusals import INTO_FLOATS, full_name, refuse
from autograd_mini.rules import Primitive
from autograd_mini.suggestions import suggesting
from autograd_mini.tracing import Traced, conjunction, disjunction, is_condition
from autograd_mini.trees import leaves, map_leaves
from autograd_mini.value import TraceError, Value, as_operand, caller, errors_wait

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class ValueArray(np.ndarray[Any, Any]):
    """An array of Values; make one with `values`.

    ``.data`` and ``.grad`` are arrays of floats; assigning to them writes the elements, so that
    ``W.data -= 0.1 * W.grad`` is a step of gradient descent. A number put in the place of an element, as in
    ``W[0] = 5``, becomes a leaf.
    """

    __array_priority__ = 1.0  # so that ``X.dot(W)`` with floats X, which asks no further, is of this class

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        with errors_wait(), np.errstate(all="ignore"):
            try:
                return apply_ufunc(ufunc, method, inputs, out, options)
            except (ArithmeticError, rules.DomainError):  # of plain numbers among the Values
                return apply_ufunc(ufunc, method, [*map(_as_nodes, inputs)], out, options)
            except ValueError as error:
                left, right = [*map(np.shape, inputs), (), ()][:2]
                rows, columns = left[-1:], right[-2:][:1]
                if ufunc is not np.matmul or not (rows and columns) or rows == columns:
                    raise
                said = f"rows of {rows[0]} meet columns of {columns[0]}"
                raise ValueError(f"@: shapes {left} and {right} do not fit: {said}") from error

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        with errors_wait():
            return _apply_function(func, args, kwargs)

    @property  # type: ignore[override]  # ndarray's data is its memory
    def data(self) -> NDArray[np.float64]:
        """The elements' numbers, as a new array: assign to ``.data`` itself, not to its elements."""
        return handed_out(self._read("data"))

    @data.setter
    def data(self, numbers: ArrayLike) -> None:
        self._write("data", numbers)

    @property
    def grad(self) -> NDArray[np.float64]:
        """The elements' gradients, in a new array: assign to the whole of ``.grad``, not to a part."""
        return handed_out(self._read("grad"))

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

    def _read(self, attribute: str) -> NDArray[np.float64]:
        # A plain number among the elements, such as a zero from np.zeros_like, has gradient 0.
        plain = float if attribute == "data" else lambda x: 0.0
        numbers = [getattr(x, attribute) if isinstance(x, Value) else plain(x) for x in self.flat]
        return np.array(numbers, dtype=float).reshape(self.shape)

    def _write(self, attribute: str, numbers: ArrayLike) -> None:
        try:
            new = np.broadcast_to(np.asarray("" if numbers is None else numbers, dtype=float), self.shape)
        except (TypeError, ValueError) as error:
            raise type(error)(
                f".{attribute}: expected a number, or numbers of shape {self.shape}, got {numbers!r}"
            ) from None
        for element in self.flat:
            if not isinstance(element, Value):
                raise TypeError(
                    f"the element {element!r} is a plain number and has no .{attribute}: "
                    "values(...) makes it a Value"
                )
        for element, number in zip(self.flat, new.flat, strict=True):
            setattr(element, attribute, float(number))

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(key, np.ndarray) and is_traced(key):  # a mask that is not known yet selects
            mask = key.reshape(key.shape + (1,) * (self.ndim - key.ndim))
            key, value = ..., elementwise(rules.where, mask, value, self)
        super().__setitem__(key, self._stored(value))

    def _stored(self, value: Any) -> Any:
        """What is put in the place of elements: a number as a new leaf, as `values` would make it."""
        if isinstance(value, (Value, ValueArray)):
            return value
        return values(value) if isinstance(value, (np.ndarray, list, tuple)) else Value(value)

    if not TYPE_CHECKING:  # which would take any name for an attribute

        def __getattr__(self, name: str) -> Any:
            written = "np.exp(x) or softmax(x)"
            if name in rules.table:
                written = f"{'np' if hasattr(np, name) else 'autograd_mini'}.{name}(x)"
            said = f"an array of Values has no attribute {name!r}: it has NumPy's"
            raise AttributeError(f"{said}, and functions are written around it, as in {written}")

    def put(self, ind: Any, v: Any, mode: Any = "raise") -> None:
        """Put Values, or numbers as leaves, in the place of elements, counted through the whole array."""
        super().put(ind, self._stored(v), mode)

    def fill(self, value: Any) -> None:
        """Put one Value, or a number as a leaf, in the place of every element."""
        self[...] = value

    def astype(self, dtype: Any, *args: Any, **options: Any) -> Any:
        """Values stay Values in a type of floats; TypeError where their derivative would be lost."""
        kind = np.dtype(dtype).kind
        elements = [x for x in self.flat if isinstance(x, Value)]
        if kind in "fO" or (elements and all(map(is_condition, elements))):
            return self if options.get("copy") is False else self.copy()
        if elements and kind != "b":
            raise TypeError(
                f"{caller()}: astype({np.dtype(dtype)}) would lose the derivative of Values without a word; "
                "use .data for the numbers"
            )
        return self.view(np.ndarray).astype(dtype)


@suggesting
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
    if not isinstance(name, str):
        raise TypeError(f'values: the name must be text, as in values([1, 2], "z"), got {name!r}')
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


# --- functions that are no ufuncs -------------------------------------------------------------------

COMPOSED: dict[str, Callable[..., Any]] = {}

# Questions about numbers. Where the answer is a number, its derivative is 0.
ON_DATA = set(
    """
    allclose argmax argmin argpartition argsort argwhere array_equal array_equiv count_nonzero digitize
    flatnonzero isclose isin isneginf isposinf lexsort linalg.matrix_rank nanargmax nanargmin nonzero
    searchsorted
    """.split()
)

# What NumPy's own code does rightly on objects, as it moves elements, and calls ufuncs and these functions.
BY_NUMPY = set(
    """
    append apply_along_axis apply_over_axes array2string array_repr array_split array_str astype atleast_1d
    atleast_2d atleast_3d block broadcast_arrays broadcast_to choose column_stack compress concat
    concatenate copy copyto delete diag diag_indices_from diagflat diagonal dsplit dstack expand_dims
    extract fill_diagonal flip fliplr flipud full_like hsplit hstack insert iscomplex iscomplexobj isreal
    isrealobj ix_ may_share_memory matrix_transpose meshgrid moveaxis ndim ones_like pad permute_dims place
    put put_along_axis putmask ravel real real_if_close repeat reshape resize result_type roll rollaxis
    rot90 row_stack shape shares_memory size split squeeze stack swapaxes take take_along_axis tile
    transpose tril tril_indices_from trim_zeros triu triu_indices_from unstack vsplit vstack zeros_like
    empty_like linalg.diagonal linalg.matrix_transpose lib.stride_tricks.sliding_window_view
    all any amax amin angle around convolve corrcoef correlate cross cumprod cumproduct cumsum
    cumulative_prod cumulative_sum diff dot ediff1d einsum einsum_path gradient inner kron logspace max min
    outer piecewise poly polyadd polyder polyint polymul polysub polyval prod product ptp round sum
    tensordot trace trapezoid trapz union1d vander vdot linalg.cross linalg.matmul linalg.matrix_norm
    linalg.matrix_power linalg.multi_dot linalg.outer linalg.tensordot linalg.trace linalg.vecdot
    linalg.vector_norm
    """.split()
)


def composed(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function composed from rows as NumPy's of that name."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        COMPOSED[name] = function
        return function

    return register


def _apply_function(func: Any, args: Any, kwargs: Any) -> Any:
    name = full_name(func)
    short = name.removeprefix("numpy.")
    try:
        if short in COMPOSED:
            return _compose(COMPOSED[short], name, *args, **kwargs)
        if short in ON_DATA:
            return func(*_on_numbers(args), **_on_numbers(kwargs))
        if short in BY_NUMPY:
            if kwargs.get("dtype") is not None and np.dtype(kwargs["dtype"]).kind == "f":
                kwargs = {**kwargs, "dtype": object}  # Values are the floats here
            result = _wrap(func._implementation(*args, **kwargs))
            return _with_leaves_in(args[0]) if result is None and args else result
    except TraceError as error:
        message = re.sub(r"^(while tracing, .*?:\d+: )(?!numpy)", rf"\g<1>{name}: ", str(error))
        raise TraceError(message) from None
    refuse(name)


def _compose(function: Callable[..., Any], name: str, *args: Any, out: Any = None, **options: Any) -> Any:
    """Call a function composed from rows, which knows neither ``out`` nor rarer options."""
    options.pop("dtype", None)
    try:
        inspect.signature(function).bind(*args, **options)
    except TypeError as error:
        raise TypeError(f"{name} of Values: {error}") from None
    result = _wrap(function(*args, **options))
    if out is None:
        return result
    if not _holds_objects(out):
        refuse(name, INTO_FLOATS)
    out.view(np.ndarray)[...] = result
    return out


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    """A method, which NumPy does not dispatch, as the function of the same name."""
    return lambda self, *args, **options: self.__array_function__(function, (), (self, *args), options)


for _name in "argmax argmin argpartition argsort clip mean nonzero searchsorted std var".split():
    setattr(ValueArray, _name, _method(getattr(np, _name)))


# --- ufuncs -----------------------------------------------------------------------------------------

UFUNCS: dict[np.ufunc, Callable[..., Any]] = {}  # rows, and functions composed from them, elementwise
SCIPY: dict[str, Callable[..., Any]] = {}  # by name: SciPy need not be there
CONDITIONS: dict[np.ufunc, Callable[..., Any]] = {}  # answered from the data, these where there is none yet
BITWISE = {np.bitwise_and, np.bitwise_or, np.invert}
COMPARISONS = {np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal}
BY_PYTHON = {
    np.add, np.subtract, np.multiply, np.divide, np.negative, np.matmul, *COMPARISONS,
    *(getattr(np, name) for name in ("vecdot", "matvec", "vecmat") if hasattr(np, name)),
}  # fmt: skip


def apply_ufunc(ufunc: np.ufunc, method: str, inputs: Any, out: Any, options: dict[str, Any]) -> Any:
    """A ufunc, or its ``reduce``, ``at`` and so on: by Python's operators, or by the row of the table."""
    function = CONDITIONS.get(ufunc) or UFUNCS.get(ufunc)
    if ufunc in CONDITIONS and not is_traced(*inputs):
        if ufunc in BITWISE and any(map(holds_values, inputs)):
            refuse(full_name(ufunc), "is for conditions: compare first, as in (x > 0) & (x < 1)")
        return _answer(ufunc, method, _on_numbers(inputs), out, options)
    if function is None and ufunc not in BY_PYTHON:
        name = full_name(ufunc)
        if name.startswith("scipy.special."):
            function = SCIPY.get(ufunc.__name__) or rules.table.get(ufunc.__name__)
        if function is None:
            refuse(name)
    if method == "at" and not _holds_objects(inputs[0]):
        refuse(f"{full_name(ufunc)}.at", INTO_FLOATS)
    options.pop("dtype", None)
    if method == "__call__" and "where" in options:
        options["out"] = None  # else NumPy warns of what is left open; `out` is filled below
    indices = 1 if method in ("at", "reduceat") else None
    plain = [x if i == indices else as_objects(x) for i, x in enumerate(inputs)]
    if method == "reduce" and ufunc in FOLDS:
        result = _reduce(ufunc, plain[0], **options)
    elif ufunc in BY_PYTHON:
        if method == "reduce" and options.get("where", True) is not True:
            options.setdefault("initial", ufunc.identity)
        if ufunc in COMPARISONS and is_traced(*plain):
            options["dtype"] = object  # conditions are nodes; the default asks each for a bool
        result = getattr(ufunc, method)(*plain, **options)
    else:
        assert function is not None
        result = getattr(np.frompyfunc(function, ufunc.nin, ufunc.nout), method)(*plain, **options)
    if method == "at":
        _with_leaves_in(inputs[0])
    if out is None:
        return _wrap(result)
    results = result if ufunc.nout > 1 else (result,)
    for target, part in zip(out, results, strict=True):
        if target is not None and _holds_objects(np.asarray(part)) and not _holds_objects(target):
            refuse(full_name(ufunc), INTO_FLOATS)
        if target is not None:  # an elementwise call leaves what its mask excludes
            mask = options.get("where", True) if method == "__call__" else True
            np.copyto(target.view(np.ndarray), part, where=mask)
    wrapped = tuple(_wrap(part) if x is None else x for x, part in zip(out, results, strict=True))
    return wrapped if ufunc.nout > 1 else wrapped[0]


def _answer(ufunc: np.ufunc, method: str, inputs: Any, out: Any, options: dict[str, Any]) -> Any:
    """What NumPy answers about numbers; an array of Values takes the answer as leaves."""
    target: Any = out[0] if out else None
    if not _holds_objects(target):
        return getattr(ufunc, method)(*inputs, out=out, **options)
    target[...] = getattr(ufunc, method)(*inputs, **options)
    return target


def _install_ufunc(row: Primitive) -> None:
    """Send NumPy's ufunc of that name to the row."""
    ufunc = getattr(np, row.numpy, None)
    if isinstance(ufunc, np.ufunc):
        UFUNCS[ufunc] = row


# --- folds along axes -------------------------------------------------------------------------------


def axes_of(x: Any, axis: Any) -> tuple[int, ...]:
    """The axes meant by NumPy's ``axis``: one, a tuple or None for all; AxisError if there is none such."""
    return tuple(range(x.ndim) if axis is None else normalize_axis_tuple(axis, x.ndim))


def along(fold: Callable[[list[Any]], Any], x: Any, axis: Any, keepdims: bool = False) -> Any:
    """``fold`` of the elements along an axis, several axes (a tuple) or all of them (None)."""
    x = np.asarray(x, dtype=object)
    axes = axes_of(x, axis)
    kept = [a for a in range(x.ndim) if a not in axes]
    count = math.prod(x.shape[a] for a in axes)
    rows = x.transpose(*kept, *axes).reshape([x.shape[a] for a in kept] + [count])
    result = np.empty(rows.shape[:-1], dtype=object)
    for index in np.ndindex(result.shape):
        result[index] = fold(list(rows[index]))
    if keepdims:
        return _wrap(result.reshape([1 if a in axes else n for a, n in enumerate(x.shape)]))
    return _wrap(result)


def _extremum(choose: Primitive, items: list[Any]) -> Any:
    """The largest or smallest; n items that tie share the derivative evenly.

    A fold of binary nodes splits two ways evenly. To three and more that tie, which a fold would give
    ½, ¼, ¼, the mean of their differences from the extremum is added: 0, with the derivative wanted.
    Infinite ones differ from 0. Whether that is needed is seen in the data; traced items have none, and
    always get it.
    """
    if not items:
        raise ValueError(f"{choose.name}: an empty array has no extremum")
    extremum = reduce(choose, items)
    if len(items) < 3:
        return extremum
    if not any(isinstance(item, Traced) for item in items):
        number = numbers_of(extremum)
        if sum(numbers_of(item) == number for item in items) < 3:
            return extremum
    constant = rules.detach(extremum)
    base = rules.where(rules.equal(constant - constant, 0.0), constant, 0.0)
    ties = [rules.equal(item, constant) for item in items]
    off = [rules.where(tie, item - base, 0.0) for tie, item in zip(ties, items, strict=True)]
    return base + reduce(rules.add, off) / reduce(rules.add, ties)


FOLDS: dict[Any, Callable[[list[Any]], Any]] = {
    np.maximum: partial(_extremum, rules.maximum),
    np.minimum: partial(_extremum, rules.minimum),
    np.logaddexp: lambda items: reduce(rules.logaddexp, items, *([] if items else [-math.inf])),
    np.logical_and: lambda items: reduce(conjunction, items, 1.0),
    np.logical_or: lambda items: reduce(disjunction, items, 0.0),
}


def _reduce(
    ufunc: np.ufunc, x: Any, axis: Any = 0, keepdims: bool = False, initial: Any = None, where: Any = True
) -> Any:
    """A fold along an axis; a mask puts ``initial`` in the place of what it excludes."""
    first = [] if initial is None else [initial]
    if where is not True:
        if initial is None:
            raise ValueError(f"numpy.{ufunc.__name__}.reduce: where= needs initial=")
        x = np.where(where, x, initial)
    return along(lambda items: FOLDS[ufunc](first + items), x, axis, keepdims)


# --- elements and numbers ---------------------------------------------------------------------------


def as_objects(x: Any) -> Any:
    """A plain array of objects, so that NumPy's object loops call the Values' own operators."""
    if isinstance(x, np.ndarray):
        return x.view(np.ndarray) if x.dtype == object else x.astype(object).view(np.ndarray)
    return np.array(x.item() if isinstance(x, np.generic) else x, dtype=object)


def _as_nodes(x: Any) -> Any:
    """An array of Values with the plain numbers in it as constants, which go on with inf or nan."""
    return np.frompyfunc(as_operand, 1, 1)(as_objects(x)) if isinstance(x, ValueArray) else x


def as_values(x: Any) -> ValueArray:
    """An array of objects, as the class that NumPy's functions know."""
    return x if isinstance(x, ValueArray) else as_objects(x).view(ValueArray)


def numbers_of(x: Any) -> Any:
    """The data of a Value or of an array of them; anything else as it is."""
    if isinstance(x, Value):
        return x.data
    return x.view(ValueArray)._read("data") if _holds_objects(x) else x


def holds_values(tree: Any, kind: type[Value] = Value) -> bool:
    """Whether there is a Value in it, however deep in lists, tuples, dicts and arrays."""
    return any(
        x.dtype == object and any(isinstance(element, kind) for element in x.flat)
        if isinstance(x, np.ndarray)
        else isinstance(x, kind)
        for x in leaves(tree)
    )


def is_traced(*operands: Any) -> bool:
    """Whether a node that has no number yet is among the operands or in their arrays."""
    return holds_values(operands, Traced)


def _holds_objects(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype == object


_on_numbers = partial(map_leaves, numbers_of)


def _wrap(result: Any) -> Any:
    """Arrays of objects become `ValueArray`s again; single elements and arrays of numbers stay."""

    def wrapped(x: Any) -> Any:
        return (x.view(ValueArray) if x.shape else x.item()) if _holds_objects(x) else x

    return map_leaves(wrapped, result)


def _with_leaves_in(array: Any) -> None:
    """After NumPy has written into an array of Values: its numbers become leaves."""
    if isinstance(array, ValueArray):
        for index in np.ndindex(array.shape):
            if not isinstance(element := array[index], Value):
                array[index] = element


def elementwise(function: Callable[..., Any], *operands: Any) -> Any:
    """A row, or a function composed from rows, on every element."""
    with errors_wait(), np.errstate(all="ignore"):  # NumPy warns of what the functions compute on nan
        return _wrap(np.frompyfunc(function, len(operands), 1)(*map(as_objects, operands)))


# --- labels -------------------------------------------------------------------------------------------


@suggesting
def named(x: Any, name: str) -> Any:
    """Label an intermediate Value, or each element of an array of them, and return it.

    Floats and arrays of floats pass unchanged, so that a function with labels also runs on numbers. What has
    another label already keeps it, and a new node equal to it gets this one: two names are two nodes, each
    with a derivative of its own.

    >>> named(Value(2.0) * 3, "h")
    Value(data=6.0, grad=0.0, label='h')
    """
    if not isinstance(name, str):
        raise TypeError(f'named: the name must be a string, got {type(name).__name__}; as in named(x, "y")')
    if isinstance(x, Value):
        x = _labelled(x, name)
    elif isinstance(x, np.ndarray) and x.dtype == object:
        x = x.copy()
        for index in np.ndindex(x.shape):
            element: Any = x[index]
            if isinstance(element, Value):
                x[index] = _labelled(element, element_label(name, index))
    else:
        return x
    if (noted := _noted.get()) is not None:
        noted.append((name, np.array(x, dtype=object)))
    return x


def _labelled(node: Value, label: str) -> Value:
    if node.label not in ("", label):
        node = rules.identity(node)
    node.label = label
    return node


_noted: ContextVar[list[tuple[str, NDArray[Any]]] | None] = ContextVar("named arrays", default=None)


@contextmanager
def noting() -> Iterator[list[tuple[str, NDArray[Any]]]]:
    """Inside, what `named` labels is noted whole: a result's graph has only the elements it depends on."""
    noted: list[tuple[str, NDArray[Any]]] = []
    before = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(before)


def _mixes_arrays_and_values(*operands: Any) -> bool:
    arrays = [x for x in operands if isinstance(x, np.ndarray) and x.shape]
    return bool(arrays) and (
        any(x.dtype == object for x in arrays) or any(isinstance(x, Value) for x in operands)
    )


rules.register(
    rules.NumberType(
        lambda row: partial(elementwise, row), ValueArray, _mixes_arrays_and_values, _install_ufunc
    )
)
