"""A function rebuilt from its syntax tree, so that what it calls is seen before it is called.

`follow` calls one that is rebuilt so where an argument holds Values. It asks at every call what to call: for
NumPy's functions that make arrays, for `float`, `isinstance` and the functions of `math` that is a stand-in;
the user's own functions, methods and classes are rebuilt in their turn; anything else is itself. The rebuilt
function has the globals, the cells and the lines of the first. Module, class and function are untouched.
Inside `noting_locals` it is noted what local variables hold.

`Rebuilt` does the same with a watcher, on Values or numbers: what every assignment, store, return, call and
operation gives is shown to it, and what it answers goes on in its place.
"""

from __future__ import annotations

import builtins
import copy
import dis
import functools
import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial, reduce
from operator import itemgetter
from types import BuiltinMethodType, CodeType, FunctionType, MethodType
from typing import Any, TypeAlias

import numpy as np

from autograd_mini import numpy as stand_in
from autograd_mini import rules, ufuncs
from autograd_mini.arrays import as_values, holds_values, is_traced
from autograd_mini.labels import element_label
from autograd_mini.numpy import opened
from autograd_mini.rewriting import FOLLOW, ORIGINALS, edited
from autograd_mini.tracing import Traced, is_condition
from autograd_mini.trees import map_leaves, own
from autograd_mini.value import HOMES, TraceError, Value, caller


def follow(f: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
    """``f(*args, **named)``, ``f`` and what it calls of the user's own rebuilt if an argument holds Values.

    >>> import numpy as np
    >>> def f(x):
    ...     y = np.zeros(2)
    ...     y[0] = x * x
    ...     return y.sum()
    >>> follow(f, Value(3.0))
    Value(data=9.0, grad=0.0)
    """
    if not holds_values((args, named)):
        return f(*args, **named)
    try:
        return Rebuilt(f)(f)(*args, **named)
    except IndexError as error:
        if not is_traced(args, named) or "arrays used as indices" not in str(error):
            raise
        raise TraceError(
            f"while tracing, {_line(error)}: how many elements x[mask] has is not known yet: write "
            "np.sum(np.where(mask, x, 0)) for np.sum(x[mask]), and y = np.where(mask, new, y) for a change "
            "of y[mask]"
        ) from error


def following(f: Callable[..., Any]) -> Callable[..., Any]:
    """What `follow` calls in the place of ``f``, where Values come to it by other ways than as arguments."""
    rebuilt: Callable[..., Any] = Rebuilt(f)(f)
    return rebuilt


_noted: ContextVar[dict[str, Any] | None] = ContextVar("local variables", default=None)


@contextmanager
def noting_locals() -> Iterator[dict[str, Any]]:
    """Inside, what functions that are followed assign to local variables is noted by their names.

    It is None for a name to which different things are assigned, in a loop or in several functions.
    """
    noted: dict[str, Any] = {}
    before = _noted.set(noted)
    try:
        yield noted
    finally:
        _noted.reset(before)


def called(noted: Mapping[str, Any], taken: Iterable[str] = ()) -> dict[Value, str]:
    """The names that local variables give to nodes without a label, each the first of its names.

    ``taken`` names mean something else already.

    >>> def f(x):
    ...     y = 2 * x
    ...     z = y * y
    ...     return z
    >>> with noting_locals() as noted:
    ...     z = follow(f, Value(3.0, label="x"))
    >>> [*called(noted).values()], z.label
    (['y', 'z'], '')
    """
    found: dict[Value, str] = {}
    for name, x in noted.items():
        array = np.asarray(x, dtype=object) if isinstance(x, (Value, np.ndarray)) else np.empty(0)
        for index, node in np.ndenumerate(array) if name not in taken and array.dtype == object else ():
            if isinstance(node, Value) and node.args and not node.label:
                found.setdefault(node, element_label(name, index))
    return found


def name_traced(noted: Mapping[str, Any], taken: Iterable[str]) -> None:
    """Label nodes of a trace, which is nobody's yet, as local variables call them."""
    for node, name in called(noted, taken).items():
        if isinstance(node, Traced):
            node.label = name


def _line(error: BaseException) -> str:
    """The line of the user's code that an error came from."""
    import traceback

    trace = ((frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__))
    return [f"{file}:{line}" for file, line in trace if not file.startswith(HOMES)][-1]


# --- what is called in the place of what a function calls ---------------------------------------------


Watch: TypeAlias = Callable[[int, Any], Any]


class Rebuilt:
    """Asked by a rebuilt function what to call in the place of ``callee``; one for each call from outside.

    ``Rebuilt(f)(f)`` is ``f`` rebuilt, on Values unless ``on_values`` is False. ``watch(site, result)`` sees
    each result and gives what takes its place; `SITES` says where the site is. What is ``mended`` has another
    code, compiled by `rewriting.code_of`.

    >>> def f(x):
    ...     y = 2 * x
    ...     return y + 1
    >>> from autograd_mini.rewriting import SITES
    >>> seen = []
    >>> Rebuilt(f, lambda site, result: seen.append((SITES[site].text, result)) or result, False)(f)(3)
    7
    >>> seen
    [('x', 3), ('y', 6), ('y', 6), ('y + 1', 7)]
    """

    def __init__(
        self,
        f: Any,
        watch: Watch | None = None,
        on_values: bool = True,
        mended: Mapping[CodeType, CodeType] | None = None,
    ) -> None:
        self.package = _package(getattr(f, "func", f))
        self.watch, self.on_values, self.mended = watch, on_values, mended or {}
        self.functions: dict[CodeType, FunctionType] = {}  # the user's own that were called, by their code
        self.locals = _noted.get() if on_values else None
        self.textless: dict[Any, Any] = {}  # functions without a text, and classes that these use, rebuilt

    def __call__(self, callee: Any) -> Any:
        kind = type(callee)
        if kind is FunctionType and hasattr(callee, "_is_autograd_primitive"):  # as HIPS autograd wraps NumPy
            return self(callee.fun)
        if id(callee) in HIGHER:
            return partial(self._higher, callee)
        if self.on_values and (stand_in := _stand_in(callee, kind)) is not None:
            return stand_in
        if kind is FunctionType:
            return self._function(callee)
        if kind is MethodType:
            return self._bound(callee.__func__, callee.__self__, callee)
        if isinstance(callee, type):
            return self._class(callee)
        if kind is partial:
            return partial(self(callee.func), *callee.args, **callee.keywords)
        if kind is np.vectorize:
            return partial(_vectorized, callee, self(callee.pyfunc))
        if kind is functools._lru_cache_wrapper:  # Values are no keys of a cache
            return self(callee.__wrapped__)
        if kind in PLAIN:
            return callee
        return self._bound(kind.__call__, callee, callee) if callable(callee) else callee

    def local(self, names: Any, assigned: Any) -> Any:
        """What is assigned to a local variable, or to several; one that holds several things names none."""
        if self.locals is not None:
            names, x = (names, assigned) if isinstance(names, tuple) else ((names,), (assigned,))
            several = isinstance(x, (tuple, list, np.ndarray)) and len(x) == len(names)
            for name, part in zip(names, x, strict=True) if several else ():
                self.locals[name] = part if self.locals.get(name, part) is part else None
        return assigned

    def mod(self, x: Any, y: Any) -> Any:
        """``x % y``, where a number that goes into a text is no number lost."""
        return x % (map_leaves(_shown, y) if isinstance(x, str) else y)

    def _function(self, f: FunctionType) -> Any:
        file = f.__code__.co_filename
        installed = "site-packages" in file or "dist-packages" in file
        if file.startswith(HOMES) or (
            _package(f) != self.package if installed else file.startswith(STANDARD)
        ):
            return f
        self.functions.setdefault(ORIGINALS.get(f.__code__, f.__code__), f)
        return _rebuilt(f, self)

    def _bound(self, function: Any, instance: Any, callee: Any) -> Any:
        if type(function) is not FunctionType or (new := self._function(function)) is function:
            return callee
        return MethodType(new, instance)

    def _class(self, kind: Any) -> Any:
        """A user's class as the function that makes its instances."""
        init = kind.__init__
        plain = type(kind).__call__ is type.__call__ and kind.__new__ is object.__new__
        if not plain or type(init) is not FunctionType or (new := self._function(init)) is init:
            return kind

        def make(*args: Any, **named: Any) -> Any:
            made = object.__new__(kind)
            new(made, *args, **named)
            return made

        return make

    def _higher(self, callee: Any, *args: Any, **named: Any) -> Any:
        """A call of what calls functions, such as ``map``, on rebuilt ones."""
        new = {name: self(x) if callable(x) else x for name, x in named.items()}
        return callee(*(self(x) if callable(x) else x for x in args), **new)


def _stand_in(callee: Any, kind: type) -> Any:
    """What is called on Values in the place of what is not the user's own; None for itself."""
    if found := STAND_INS.get(id(callee)):
        return found
    if kind is FunctionType and callee.__module__ == "scipy.special._logsumexp":
        stable = SCIPY.get(callee.__name__)
        return stable and _on_values(callee, stable)
    if kind in NUMPYS_OWN or (kind is BuiltinMethodType and type(callee.__self__) is np.ufunc):
        return partial(_on_arrays, callee)
    if kind is BuiltinMethodType and type(callee.__self__) is np.ndarray and callee.__name__ in METHODS:
        return partial(METHODS[callee.__name__], callee.__self__)
    return None


def _package(x: Any) -> str:
    return str(getattr(x, "__module__", "")).partition(".")[0]


STANDARD = os.path.join(os.path.dirname(os.__file__), "")  # where Python's own library is


def _shown(x: Any) -> Any:
    return x.data if isinstance(x, Value) and not isinstance(x, Traced) else x


def _vectorized(vectorize: Any, function: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """The results of ``function`` on elements, one array or, as they are tuples, several."""
    if named or vectorize.signature or vectorize.excluded or not holds_values(args):
        return vectorize(*args, **named)
    found = np.frompyfunc(function, len(args), 1)(*(np.asarray(x, dtype=object) for x in args))
    first = np.ravel(found)[0]
    if not isinstance(first, tuple):
        return opened(found)
    return tuple(opened(np.frompyfunc(itemgetter(i), 1, 1)(found)) for i in range(len(first)))


def _on_arrays(function: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """A call of NumPy's own, with lists and plain arrays of Values as arrays that know of Values."""
    return function(*map(_as_array, args), **{name: _as_array(x) for name, x in named.items()})


def _as_array(x: Any) -> Any:
    if type(x) is np.ndarray:
        return opened(x) if x.dtype == object else x
    if type(x) not in (list, tuple):
        return x
    if not any(isinstance(element, np.ndarray) for element in x) and holds_values(x):
        return stand_in.OWN["array"](x)
    return type(x)(map(_as_array, x))


def _int(x: Any = 0, *base: Any) -> Any:
    if is_condition(x):
        return x
    if holds_values(x) and not isinstance(x, Traced):
        raise TypeError(
            f"{caller()}: int() of a Value would lose its derivative without a word; "
            "write int(v.data) where a whole number is meant, such as an index"
        )
    return int(x, *base)


def _copied(x: Any, *memo: Any) -> Any:
    """`copy.copy` and `copy.deepcopy`, but that a copy of a Value would be another input."""
    return own(x)


def _isinstance(x: Any, kinds: Any) -> bool:
    return isinstance(x, kinds) or (isinstance(x, Value) and isinstance(np.float64(), kinds))


def _on_values(real: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """A function, and what stands in for it where an argument holds Values."""
    return lambda *args, **named: (function if holds_values(args) else real)(*args, **named)


def _remainder(x: Any, y: Any) -> Any:
    """From the nearest multiple of y, of two the even one: the quotient may lose multiples of 2y."""
    x = rules.fmod(x, 2 * y)
    return x - y * rules.rint(x / y)


MATH: dict[str, Callable[..., Any]] = {
    **{name: row for name, row in rules.table.items() if hasattr(math, name)},
    "log": lambda x, *base: reduce(rules.div, map(rules.log, (x, *base))),
    "hypot": lambda *xs: reduce(rules.hypot, xs, 0.0),
    "fsum": sum,
    "prod": np.prod,
    "sumprod": np.dot,
    "dist": lambda p, q: MATH["hypot"](*map(rules.sub, p, q)),
    "remainder": _remainder,
    "gamma": ufuncs.gamma,
    **{name: ufuncs.NUMPY[name] for name in ("fabs", "copysign", "degrees", "radians")},
    "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite,
}  # fmt: skip
SCIPY: dict[str, Callable[..., Any]] = {  # its own ask arrays of floats what is finite
    "logsumexp": lambda x, axis=None, **how: np.logaddexp.reduce(as_values(x), axis=axis, **how),
    "log_softmax": lambda x, axis=None: x - SCIPY["logsumexp"](x, axis=axis, keepdims=True),
    "softmax": lambda x, axis=None: np.exp(SCIPY["log_softmax"](x, axis=axis)),
}
STAND_INS: dict[int, Any] = {
    id(np): stand_in,
    **{id(getattr(np, name)): own for name, own in stand_in.OWN.items()},
    **{id(real): _on_values(real, MATH[name]) for name, real in vars(math).items() if name in MATH},
    id(float): stand_in.float_type(float),
    id(int): _int,
    id(isinstance): _isinstance,
    **{id(real): _on_values(real, _copied) for real in (copy.copy, copy.deepcopy)},
}
METHODS: dict[str, Callable[..., Any]] = {  # of plain arrays
    "copy": lambda x, *args, **named: opened(x.copy(*args, **named)),
    "astype": lambda x, *args, **named: opened(x.astype(*args, **named)),
    "dot": lambda x, *args, **named: np.dot(x, *args, **named),
}
NUMPYS_OWN = {np.ufunc, type(np.sum)}  # their types
PLAIN = {*NUMPYS_OWN, BuiltinMethodType}  # called as they are
HIGHER = {
    id(f)
    for f in (
        map, filter, sorted, min, max, reduce, itertools.accumulate, itertools.starmap,
        np.apply_along_axis, np.apply_over_axes, np.fromfunction, np.piecewise,
    )
}  # fmt: skip


def _rebuilt(f: FunctionType, follow: Rebuilt) -> Any:
    """``f`` with its calls asking ``follow``; where there is no text of it, on stand-ins alone."""
    own = ORIGINALS.get(f.__code__, f.__code__)  # of one that another has rebuilt already
    code = follow.mended.get(own) or edited(own, own.co_filename, follow.watch is not None)
    if code is None:
        return follow.textless.get(f) or _on_others(f, follow)
    cells = dict(zip(f.__code__.co_freevars, f.__closure__ or (), strict=True))
    closure = tuple(cells[name] for name in code.co_freevars)
    new = FunctionType(code, f.__globals__, f.__name__, f.__defaults__, closure)
    new.__kwdefaults__ = {**(f.__kwdefaults__ or {}), FOLLOW: follow}
    new.__qualname__ = f.__qualname__
    new.__wrapped__ = f  # type: ignore[attr-defined]  # whose signature it has
    return new


def _on_others(f: FunctionType, follow: Rebuilt) -> Any:
    """``f``, typed at a prompt that keeps no text, with others in the place of its globals: stand-ins, and
    the user's own functions and classes rebuilt.

    A type is replaced by a type only. Itself if it assigns to its globals, which would be others.
    """
    if any(line.opname == "STORE_GLOBAL" for line in dis.get_instructions(f)):
        return f
    names = vars(builtins) | f.__globals__
    known = {name: names[name] for name in f.__code__.co_names if name in names}
    new = FunctionType(f.__code__, {**f.__globals__}, f.__name__, f.__defaults__, f.__closure__)
    new.__kwdefaults__, new.__qualname__ = f.__kwdefaults__, f.__qualname__

    def called(*args: Any, **named: Any) -> Any:
        return new(*(_alike(x, follow) for x in args), **{n: _alike(x, follow) for n, x in named.items()})

    follow.textless[f] = own = functools.update_wrapper(called, f)  # which it calls itself
    for name, x in known.items():
        other = STAND_INS.get(id(x)) if follow.on_values else None
        if other is None and type(x) in (FunctionType, MethodType):
            other = follow(x)
        elif other is None and type(x) is type and "isinstance" not in known:
            other = _subclass(x, follow)
        if other is not None and isinstance(other, type) >= isinstance(x, type):
            new.__globals__[name] = other
    return own


def _subclass(kind: Any, follow: Rebuilt) -> Any:
    """A class with the user's own methods of another rebuilt; itself if there are none."""
    if kind in follow.textless:
        return follow.textless[kind]
    follow.textless[kind] = kind  # which its methods may use
    rebuilt: dict[str, Any] = {}
    for name, x in ((name, x) for base in kind.__mro__[::-1] for name, x in vars(base).items()):
        f: Any = x.__func__ if isinstance(x, (staticmethod, classmethod)) else x
        if type(f) is FunctionType and (own := follow(f)) is not f:
            rebuilt[name] = own if f is x else type(x)(own)
    if rebuilt and "__init_subclass__" not in rebuilt:
        follow.textless[kind] = type(kind.__name__, (kind,), {**rebuilt, "__module__": kind.__module__})
    return follow.textless[kind]


def _alike(x: Any, follow: Rebuilt) -> Any:
    """An instance of a user's class as one whose methods are rebuilt, with the same attributes."""
    kind: Any = type(x)
    if type(kind) is not type or "__new__" in vars(kind) or not hasattr(x, "__dict__"):
        return x
    other = _subclass(kind, follow)
    if other is kind:
        return x
    own = object.__new__(other)
    own.__dict__ = x.__dict__
    return own
