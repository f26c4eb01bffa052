"""The arguments of functions by their names, and numbers of any origin as arrays of floats.

Arguments that are trees count by their leaves: ``p['w'][0]`` is an argument like any other. f and the hand
function are wrapped once, at the door; behind it there are numbers and arrays only.
"""

from __future__ import annotations

import inspect
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from autograd_mini.arguments import with_parameters
from autograd_mini.arrays import values
from autograd_mini.check.subjects.tensors import Runner
from autograd_mini.rules import as_number
from autograd_mini.suggestions import did_you_mean
from autograd_mini.trees import leaves, named_leaves, unflatten
from autograd_mini.trees import matched as by_structure
from autograd_mini.value import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray
Floats: TypeAlias = "NDArray[np.float64]"
Mask: TypeAlias = "NDArray[np.bool_]"
Nodes: TypeAlias = "NDArray[Any]"

EPSILON = float(np.finfo(float).eps)
MORE = (
    'a result of f is named by out="S"; whatever else'
    " it takes is an argument of f too and given by at=, as the p of hessp(x, p), which is "
    "the gradient with respect to x of f = lambda x, p: np.dot(grad(g)(x), p)"
)


class RejectedError(Exception):
    """The hand result cannot be compared; the message says why.

    ``numbers`` are what there is of it. One that ``raised`` may have done so at a pole.
    """

    def __init__(self, reason: str, numbers: Floats | None = None, raised: bool = False) -> None:
        super().__init__(reason)
        self.numbers = numbers
        self.raised = raised


class UnknownNameError(TypeError):
    """A hand derivation asks for a name that nothing has; the message says what there is."""

    def __init__(self, what: str, names: Iterable[str], known: Iterable[str], more: str = "") -> None:
        names, known = list(names), list(known)
        hint = did_you_mean(names[0], known, more, count=1)
        said = f"{what} asks for {listed(names)}; there are {listed(known)}"
        super().__init__(f"{said}; {hint}" if hint else said)


def parameters_of(f: Any) -> dict[str, inspect.Parameter] | None:
    """The named parameters of a function, None if it does not tell."""
    try:
        parameters = inspect.signature(f).parameters
    except (TypeError, ValueError):
        return None
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    named = {name: p for name, p in parameters.items() if p.kind not in variable}
    return named or (None if parameters else {})


def arguments_of(f: Any, at: Any) -> dict[str, Any]:
    """f's arguments by name, in f's order; lists of numbers become arrays."""
    parameters = parameters_of(f)
    if at is None:
        raise TypeError(f"check: give the point, at={_example(parameters or ['x'])}")
    whole = at if isinstance(at, Mapping) else {next(iter(parameters or ["x"])): at}
    given = {name: as_array(x) for name, x in whole.items()}
    for name, x in given.items():
        if isinstance(x, (np.matrix, np.ma.MaskedArray)):
            means = "whose * is a product" if isinstance(x, np.matrix) else "with entries that are no numbers"
            kind = type(x).__name__
            raise TypeError(f"check: at= gives {name} as a {kind}, {means}: give an array, np.array({name})")
    if parameters is None:
        return given
    if {*required(parameters)} - {*given} or {*given} - {*parameters}:
        raise TypeError(
            f"check: f takes {listed(parameters)}; at= gives {listed(given) if whole is at else 'no names'}: "
            f"write at={_example(parameters)}"
        )
    return {name: given[name] for name in parameters if name in given}


def _example(names: Iterable[str]) -> str:
    """A point as it is written.

    >>> print(_example(["w", "x"]))
    {"w": …, "x": …}
    """
    return "{" + ", ".join(f'"{name}": …' for name in names) + "}"


def required(parameters: Mapping[str, inspect.Parameter]) -> list[str]:
    """The parameters without a default."""
    return [name for name, p in parameters.items() if p.default is inspect.Parameter.empty]


def as_array(x: Any) -> Any:
    """A list or a tuple of numbers as an array; anything else as it is."""
    try:
        array = np.asarray(x) if isinstance(x, (list, tuple)) else None
    except ValueError:  # rows of several lengths
        return x
    return x if array is None or array.dtype.kind not in "biuf" else array


def matched(hand: Any, known: Mapping[str, Any], arguments: list[str]) -> dict[str, Any]:
    """The hand function's arguments by name; a function of one argument may call it what it likes."""
    parameters = parameters_of(hand)
    if parameters is None:
        return {name: known[name] for name in arguments}
    chosen = {name: known[name] for name in parameters if name in known}
    missing = [name for name in required(parameters) if name not in known]
    if len(missing) == 1 and len(arguments) == 1 and arguments[0] not in chosen:
        chosen[missing.pop()] = known[arguments[0]]
    if missing:
        raise UnknownNameError("the hand function", missing, known, MORE)
    return {name: chosen[name] for name in parameters if name in chosen}


def caller(f: Any) -> Callable[[Mapping[str, Any]], Any]:
    """f as a function of a mapping of its arguments."""
    run = Runner(f)
    if parameters_of(f) is None:
        return lambda arguments: run(*arguments.values())
    own = inspect.signature(f)

    def call(arguments: Mapping[str, Any]) -> Any:
        bound = inspect.BoundArguments(own, OrderedDict(arguments))
        return run(*bound.args, **bound.kwargs)

    return call


def numbers_of(x: Any) -> Floats:
    """``x`` as an array of floats, Values by their data; what is not real, outside every domain, is nan."""
    if isinstance(x, np.ndarray) and x.dtype.kind in "biuf":
        return x.astype(float, subok=False)
    array = np.asarray(x, dtype=object)
    return np.array([_number(element) for element in array.flat], dtype=float).reshape(array.shape)


def _number(x: Any) -> float:
    if isinstance(x, Value):
        return x.data
    if isinstance(x, (complex, np.complexfloating)):
        return float(x.real) if x.imag == 0 else math.nan
    number = as_number(x)
    if number is None and hasattr(x, "__float__"):  # SymPy's 2√2, a Decimal
        try:
            number = float(x)
        except (TypeError, ValueError):  # it holds symbols
            raise TypeError(f"expected numbers, got {x}") from None
    if isinstance(x, Mapping) and x:
        raise TypeError(f"expected numbers, got a dict of {listed(map(repr, x))}: return one of them")
    if isinstance(x, (list, tuple)):
        raise TypeError("expected numbers, got rows of several lengths: give each as many")
    if number is None:
        raise TypeError(f"expected numbers, got {type(x).__name__}")
    return number


def is_plain(x: Any) -> bool:
    """Whether it is a number or an array of numbers."""
    return isinstance(x, (int, float, np.number)) or (isinstance(x, np.ndarray) and x.dtype.kind in "iufb")


def is_tree(x: Any) -> bool:
    """Whether it is a tree of numbers and arrays."""
    found = leaves(x) if isinstance(x, (list, tuple, dict)) else [x]
    return bool(found) and all(map(is_plain, found))


def is_floating(x: Any) -> bool:
    """Whether it is a float or an array of floats, and no count, index or Value."""
    return is_of_kind(x, "f")


def is_of_kind(x: Any, kinds: str) -> bool:
    """Whether it is a number or an array of numbers of some of NumPy's kinds."""
    try:
        return np.asarray(x).dtype.kind in {*kinds}
    except ValueError:  # ragged
        return False


def as_values(x: Any, name: str) -> Any:
    """Numbers as Values labelled by the name; Values as they are."""
    if isinstance(x, Value) or (isinstance(x, np.ndarray) and x.dtype == object):
        return x
    numbers = numbers_of(x)
    return values(numbers, name) if numbers.shape else Value(float(numbers), label=name)


def nodes_of(x: Any) -> list[Any]:
    """The elements of a Value or of an array of them."""
    return [*np.asarray(x, dtype=object).flat]


def plain(x: Nodes) -> Any:
    """A scalar as a Python float or a Value, an array as a copy."""
    return x.copy() if x.shape else x.item()


@np.errstate(all="ignore")
def sample(function: Callable[[Any], Any], x: Any, size: int) -> Floats:
    """f at one point, flat; nan where it is outside its domain, and says so by whatever error it likes."""
    try:
        return np.asarray(function(x), dtype=float).reshape(size)
    except Exception:
        return np.full(size, np.nan)


def listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"


# --- trees --------------------------------------------------------------------------------------------


class Leaves:
    """Arguments by the paths of their leaves; some are dicts, lists or tuples of numbers and arrays.

    >>> parts = Leaves({"p": {"w": 2.0, "b": 5.0}, "x": 1.0})
    >>> parts.flat
    {"p['w']": 2.0, "p['b']": 5.0, 'x': 1.0}
    >>> parts.whole(parts.flat.values())
    {'p': {'w': 2.0, 'b': 5.0}, 'x': 1.0}
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self.arguments = arguments
        self.trees = {name for name, x in arguments.items() if is_tree(x) and not is_plain(x)}
        named = {
            name: list(named_leaves(x, name)) if name in self.trees else [(name, x)]
            for name, x in arguments.items()
        }
        self.paths = {name: [path for path, _ in found] for name, found in named.items()}
        self.flat = dict(pair for found in named.values() for pair in found)

    def whole(self, numbers: Iterable[Any]) -> dict[str, Any]:
        """The arguments, of their leaves."""
        rest = iter(numbers)
        return {
            name: unflatten(x, rest) if name in self.trees else next(rest)
            for name, x in self.arguments.items()
        }

    def spread(self, result: Any, names: Sequence[str]) -> dict[str, Any]:
        """A hand result by leaves: of several arguments by name, or of those asked for in their order."""
        if not (isinstance(result, Mapping) and result and set(result) <= set(self.arguments)):
            result = {names[0]: result} if len(names) == 1 else dict(zip(names, result, strict=True))
        found: dict[str, Any] = {}
        for name, part in result.items():
            parts = by_structure(self.arguments[name], part, name) if name in self.trees else [part]
            found |= zip(self.paths.get(name, [name]), parts, strict=True)
        return found

    def refuse_rows(self) -> None:
        """TypeError that names the first argument whose rows are of several lengths, if there is one."""
        for name in self.trees:
            x = self.arguments[name]
            if isinstance(x, (list, tuple)) and all(isinstance(row, (list, tuple)) for row in x):
                sizes = listed(str(len(row)) for row in x)
                raise TypeError(
                    f"check: at= gives {name} as rows of {sizes} numbers, which f takes as lists: give rows "
                    "of one length, which are an array"
                )

    def taken(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """The function as one of the leaves."""
        call = caller(f)

        def whole(*numbers: Any) -> Any:
            try:
                return call(self.whole(numbers))
            except (AttributeError, TypeError, ValueError) as error:
                self.refuse_rows()
                raise error

        taken = with_parameters(whole, self.flat)
        taken.__wrapped__ = f  # type: ignore[attr-defined]  # as functools.wraps has it
        return taken


def by_leaves(
    f: Any, hand: Any, at: Any, wrt: Sequence[str] | None
) -> tuple[Any, Any, Any, Sequence[str] | None]:
    """f, its hand result, its arguments and those differentiated, all by leaves; as they are without trees.

    >>> given = {"p": {"w": 2.0, "b": 5.0}}
    >>> f, hand, at, _ = by_leaves(lambda p: p["w"] * p["b"], {"p": {"w": 5.0, "b": 2.0}}, given, None)
    >>> at, hand, f(2.0, 5.0)
    ({"p['w']": 2.0, "p['b']": 5.0}, {"p['w']": 5.0, "p['b']": 2.0}, 10.0)
    """
    parts = Leaves(arguments_of(f, at))
    if not parts.trees:
        return f, hand, at, wrt
    names = list(wrt or [next(iter(parts.arguments))])
    wrt = None if wrt is None else [path for name in wrt for path in parts.paths.get(name, [name])]
    if not callable(hand):
        if isinstance(hand, Mapping) and any(callable(hand.get(name)) for name in parts.trees):
            parts.refuse_rows()
        one = wrt is None and not isinstance(hand, Mapping)
        return parts.taken(f), parts.spread(hand, names), parts.flat, parts.paths[names[0]] if one else wrt

    def by_hand(*numbers: Any) -> Any:
        known = parts.whole(numbers)
        return parts.spread(caller(hand)(matched(hand, known, list(known))), names)

    return parts.taken(f), with_parameters(by_hand, parts.flat), parts.flat, wrt
