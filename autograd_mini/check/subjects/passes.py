"""What a forward and a backward pass work on, as a world of copies.

What people have are functions and methods that keep something for each other: a cache that one returns and
the other takes, attributes of an instance, variables of a module. In a `World` of copies nothing of the
caller's is changed, a run is the same whenever it is repeated, and what a forward pass has left can be given
to a backward pass as often as one likes.
"""

from __future__ import annotations

import copy
import dis
import inspect
import pickle
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from autograd_mini.arrays import ValueArray
from autograd_mini.check.subjects.tensors import Runner
from autograd_mini.rebuilding import STANDARD
from autograd_mini.value import HOMES, Value

if TYPE_CHECKING:
    from typing import TypeGuard

Call: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
Path: TypeAlias = tuple[Any, ...]  # a root, and attributes, keys and positions from there on

SEED = 0  # of every forward pass; that of a backward pass is the next
HELD = 100  # things in a list or dict that are looked at
HEAP = 1 << 9  # Python's mark on classes that code in Python has made
FORWARD, BACKWARD, LOSS = "forward", "backward", "loss"
ARGUMENT, VARIABLE, INSTANCE, RESULT = "argument", "variable", "instance", "result"  # the roots of paths
COTANGENT = "cotangent"


plain: Call = Runner  # on floats, or on the tensors of the library that a function is written for


@contextmanager
def alike(seed: int = SEED) -> Iterator[None]:
    """What is drawn from Python's and NumPy's own generators is the same in each run, and nothing warns."""
    numpy: Any = np.random  # its stubs do not have them
    before = random.getstate(), numpy.get_bit_generator()
    own = SPARE.pop() if SPARE else np.random.MT19937(0)
    random.seed(seed)
    numpy.set_bit_generator(own)
    np.random.seed(seed)
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        random.setstate(before[0])
        numpy.set_bit_generator(before[1])
        SPARE.append(own)


SPARE: list[np.random.MT19937] = []  # put in NumPy's place, which takes no time, as keeping its state does


def random_state(generators: Iterable[Any] = ()) -> Any:
    """Where generators are, and those that everybody shares: what draws from one moves it on."""
    shared: Any = np.random.get_state(legacy=True)
    return shared[1].tobytes(), shared[2:], random.getstate(), [pickle.dumps(own) for own in generators]


def generators_of(f: Any) -> list[Any]:
    """The generators of random numbers that a function, or what it calls, holds itself.

    >>> draw = np.random.default_rng(0)
    >>> generators_of(lambda x: x * draw.random()) == [draw]
    True
    """
    kinds = (np.random.Generator, np.random.RandomState, random.Random)
    return [x for x in _walked([inspect.unwrap(f)], _held) if isinstance(x, kinds)]


def _held(x: Any) -> Iterable[Any]:
    """What something holds, or finds outside itself, of all that may draw at random."""
    match x:
        case MethodType():
            return x.__func__, x.__self__
        case FunctionType():
            return _near(x) if is_own(x) else ()
        case dict() | list() | tuple():
            return [*(x.values() if isinstance(x, dict) else x)][:HELD]
    is_made = type(x).__flags__ & HEAP and not isinstance(x, ATOMS)
    return attributes(x).values() if is_made else ()


def _walked(left: list[Any], near: Callable[[Any], Iterable[Any]]) -> Iterator[Any]:
    """Some things, and all that is near them, each once."""
    seen: set[int] = set()
    while left:
        x = left.pop()
        if id(x) not in seen:
            seen.add(id(x))
            yield x
            left += near(x)


def _cell(f: FunctionType, name: str) -> CellType:
    """The cell of a variable that a function has from around it."""
    return (f.__closure__ or ())[f.__code__.co_freevars.index(name)]


@dataclass(frozen=True)
class World:
    """What passes work on: functions, the variables that they reach, their instances, and arguments.

    ``reached`` has for the globals of these functions, by id, the names that they use.
    """

    functions: Mapping[str, Callable[..., Any]]
    arguments: dict[str, Any]
    reached: Mapping[int, frozenset[str]]

    def copied(self, *also: Any) -> tuple[Any, ...]:
        """A copy of the world, and of what else refers to it."""
        copier = _Copier(self.reached)
        functions = {part: copier(f) for part, f in self.functions.items()}
        arguments, *others = map(copier, (self.arguments, *also))
        return World(functions, arguments, copier.reached), *others

    @property
    def instance(self) -> Any:
        """What the passes are methods of, None if they are functions."""
        return next((f.__self__ for f in self.functions.values() if isinstance(f, MethodType)), None)

    def root(self, path: Path) -> tuple[Any, Path]:
        """What a path starts from, and the steps from there."""
        kind, *steps = path
        if kind == VARIABLE:
            return self.variables(steps[0]), tuple(steps)
        return (self.instance if kind == INSTANCE else self.arguments), tuple(steps)

    def variables(self, name: str) -> dict[str, Any]:
        """The variables among which functions find the name; a change of them is not one of a cell's."""
        for f in map(function_of, self.functions.values()):
            if name in f.__code__.co_freevars:
                return {name: _cell(f, name).cell_contents}
            if name in f.__globals__:
                return f.__globals__
        return {}

    def get(self, path: Path) -> Any:
        """What is at a path."""
        return got(*self.root(path))

    def there(self, path: Path) -> Any:
        """What is at a path, None if there is none yet."""
        try:
            return self.get(path)
        except (AttributeError, KeyError, IndexError, TypeError):
            return None

    def put(self, new: Any, *paths: Path) -> None:
        """Put something else in each of these places."""
        for path in paths:
            changed = placed(*self.root(path), new)
            if path[0] == VARIABLE:
                self._assign(path[1], changed[path[1]])

    def _assign(self, name: str, new: Any) -> None:
        """Give a variable of the functions another value."""
        for f in map(function_of, self.functions.values()):
            if name in f.__code__.co_freevars:
                _cell(f, name).cell_contents = new
            elif name in f.__globals__ or name in self.reached.get(id(f.__globals__), ()):
                f.__globals__[name] = new


def got(root: Any, steps: Path) -> Any:
    """What is at the end of some steps."""
    for step in steps:
        root = root[step] if isinstance(root, (dict, list, tuple)) else getattr(root, step)
    return root


def placed(root: Any, steps: Path, new: Any) -> Any:
    """``root`` with something new at the end of the steps; only a tuple is another one then."""
    if not steps:
        return new
    step, *rest = steps
    if isinstance(root, tuple):
        parts = [placed(x, tuple(rest), new) if i == step else x for i, x in enumerate(root)]
        return type(root)(*parts) if hasattr(root, "_fields") else tuple(parts)
    part = placed(got(root, (step,)), tuple(rest), new) if rest else new
    if isinstance(root, (dict, list)):
        root[step] = part
    else:
        setattr(root, step, part)
    return root


def function_of(f: Any) -> FunctionType:
    """The function of a method, or of an instance that is called."""
    f = getattr(f, "__func__", f)
    return f if isinstance(f, FunctionType) else NO_FUNCTION


NO_FUNCTION = FunctionType((lambda: None).__code__, {})  # reaches no variables


# --- copies -------------------------------------------------------------------------------------------


def is_own(f: Any) -> TypeGuard[FunctionType]:
    """Whether it is a function of the user's, and of no library."""
    return isinstance(f, FunctionType) and is_users(f.__code__)


def is_users(code: CodeType) -> bool:
    """Whether it is code of the user's."""
    file = code.co_filename
    return not file.startswith((*HOMES, STANDARD)) and "site-packages" not in file


def reached_by(functions: Any) -> dict[int, frozenset[str]]:
    """The names of variables that functions use, and those that they call, by the id of their globals."""
    found: dict[int, set[str]] = {}
    own = [f for f in map(function_of, functions) if is_own(f)]
    for f in _walked(own, lambda f: filter(is_own, _near(f))):
        found.setdefault(id(f.__globals__), set()).update(_names(f.__code__))
    return {home: frozenset(names) for home, names in found.items()}


def _near(f: FunctionType) -> Iterator[Any]:
    """What a function finds outside itself."""
    for name in _names(f.__code__):
        yield f.__globals__.get(name)
    for cell in f.__closure__ or ():
        if cell != EMPTY:
            yield cell.cell_contents
    yield from f.__defaults__ or ()


@lru_cache(4096)
def _names(code: CodeType) -> tuple[str, ...]:
    """The names of variables outside a function that its code uses."""
    own = [
        line.argval for line in dis.get_instructions(code) if line.opname in ("LOAD_GLOBAL", "STORE_GLOBAL")
    ]
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return (*own, *(name for part in inner for name in _names(part)))


EMPTY = CellType()  # only such are equal to it
ATOMS = (int, float, complex, str, bytes, bool, type, ModuleType, BuiltinFunctionType, np.ufunc, Value)


class _Copier:
    """`copy.deepcopy`, but that Values stay the same ones, and functions get copies of their variables."""

    def __init__(self, reached: Mapping[int, frozenset[str]]) -> None:
        self.before = reached
        self.reached: dict[int, frozenset[str]] = {}
        self.memo: dict[int, Any] = {}
        self.kept: list[Any] = []  # alive, for their ids

    def __call__(self, x: Any) -> Any:
        if x is None or isinstance(x, ATOMS):
            return x
        if id(x) not in self.memo:
            self.kept.append(x)
            self.memo[id(x)] = self._copy(x)
        return self.memo[id(x)]

    def _copy(self, x: Any) -> Any:
        kind: Any = type(x)
        match x:
            case np.ndarray():
                array = x.copy()
                if x.dtype == object and not isinstance(x, ValueArray):
                    for i, element in enumerate(x.flat):
                        array.flat[i] = self(element)
                return array
            case dict() | list():
                new = self.memo[id(x)] = copy.copy(x)
                for key, part in [*x.items()] if isinstance(x, dict) else enumerate(x):
                    new[key] = self(part)
                return new
            case tuple():
                parts = map(self, x)
                return kind(*parts) if hasattr(x, "_fields") else tuple(parts)
            case FunctionType():
                return self._function(x) if id(x.__globals__) in self.before else x
            case MethodType():
                return MethodType(self(x.__func__), self(x.__self__))
        is_made = kind.__new__ is object.__new__ and kind.__flags__ & HEAP
        if is_made and not hasattr(kind, "__deepcopy__"):
            new = self.memo[id(x)] = object.__new__(kind)
            for name, part in attributes(x).items():
                object.__setattr__(new, name, self(part))
            return new
        try:
            return copy.deepcopy(x, self.memo)
        except Exception:  # a file, a lock
            return x

    def _function(self, f: FunctionType) -> FunctionType:
        variables, cells = f.__globals__, f.__closure__ or ()
        is_new = id(variables) not in self.memo
        home = self.memo.setdefault(id(variables), dict(variables))
        empty = [self.memo.setdefault(id(cell), CellType()) for cell in cells]
        new = FunctionType(f.__code__, home, f.__name__, f.__defaults__, tuple(empty) or None)
        self.memo[id(f)] = new
        new.__qualname__ = f.__qualname__
        new.__defaults__, new.__kwdefaults__ = self(f.__defaults__), self(f.__kwdefaults__)
        new.__dict__.update({name: self(x) for name, x in f.__dict__.items()})
        for cell, own in zip(cells, empty, strict=True):
            if own == EMPTY != cell:
                own.cell_contents = self(cell.cell_contents)
        if is_new:
            self.reached[id(home)] = names = self.before[id(variables)]
            for name in names & home.keys():
                home[name] = self(variables[name])
        return new


def attributes(x: Any) -> dict[str, Any]:
    """The attributes of an instance, in slots too."""
    slots = [name for kind in type(x).__mro__ for name in getattr(kind, "__slots__", ())]
    return {
        **{n: getattr(x, n) for n in slots if hasattr(x, n) and n[:2] != "__"},
        **getattr(x, "__dict__", {}),
    }
