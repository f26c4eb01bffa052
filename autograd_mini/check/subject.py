"""What is checked: a function, or a graph that exists, as a map from a vector to an array.

A subject evaluates on plain floats for the witness, gives the engine's Jacobian, and calls the hand
derivation with the arguments that it asks for by name.
"""

from __future__ import annotations

import inspect
import re
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from autograd_mini.arrays import values
from autograd_mini.rules import Primitive, as_number
from autograd_mini.value import Value, topological_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
Index: TypeAlias = tuple[int, ...]

NAN = float("nan")


class RejectedError(Exception):
    """The hand result cannot be compared; the message says why."""


class Subject(ABC):
    """A map from a flat vector to an array, its derivative by the engine, and the hand results."""

    shapes: dict[str, Index]
    start: Floats
    start_output: Floats
    fixed: bool
    medium = "f on floats"
    out = "f"

    @abstractmethod
    def evaluate(self, x: Floats) -> Floats:
        """The output at a point, on floats."""

    @abstractmethod
    def engine(self, x: Floats) -> tuple[Floats, list[str]]:
        """The engine's Jacobian, and the operations that sit on a kink."""

    @abstractmethod
    def hand_results(self, x: Floats, output: Floats) -> dict[str, Any]:
        """The hand result for each name; RejectedError if it cannot be had."""

    @property
    def columns(self) -> list[tuple[str, Index]]:
        return [(name, index) for name, shape in self.shapes.items() for index in np.ndindex(shape)]

    def split(self, x: Floats) -> dict[str, Floats]:
        parts, start = {}, 0
        for name, shape in self.shapes.items():
            size = int(np.prod(shape))
            parts[name] = x[start : start + size].reshape(shape)
            start += size
        return parts


def subject_of(f: Any, hand: Any, at: Any, wrt: str | Sequence[str] | None, out: str | None) -> Subject:
    if callable(f):
        return _Function(f, hand, at, [wrt] if isinstance(wrt, str) else wrt, out)
    if not isinstance(hand, Mapping) or not hand or at is not None or wrt is not None:
        raise TypeError('check: a graph is checked as check_gradient(loss, {"y": dy, "z": dz}), by labels')
    return _Graph(f, hand, out)


class _Function(Subject):
    def __init__(self, f: Any, hand: Any, at: Any, wrt: Sequence[str] | None, out: str | None) -> None:
        self.hand, self.out, self.named_out = hand, out or "f", out
        self.call = _caller(f)  # a signature takes longer to read than f to run
        self.arguments = _arguments(f, at)
        if unknown := set(wrt or ()) - set(self.arguments):
            raise ValueError(f"check: wrt names {min(unknown)!r}; f's arguments are {_list(self.arguments)}")
        self.lifted = False
        self._differentiate(wrt or [next(iter(self.arguments))])
        self.start_output = self._first_output()
        if wrt is None and isinstance(given := self._first_result(), Mapping):
            self._differentiate([name for name in self.arguments if name in given])
            self.start_output = self._first_output()
        parts = hand.values() if isinstance(hand, Mapping) else [hand]
        self.fixed = not all(callable(part) for part in parts)

    def _differentiate(self, wrt: Sequence[str]) -> None:
        inputs = {name: numbers_of(self.arguments[name]) for name in wrt}
        self.shapes = {name: array.shape for name, array in inputs.items()}
        self.start = np.concatenate([array.ravel() for array in inputs.values()] or [np.empty(0)])

    def _first_output(self) -> Floats:
        """f at the given point, on floats or, if it calls methods of Value, on Values; errors propagate."""
        try:
            return self.evaluate(self.start)
        except (AttributeError, TypeError):
            self.lifted, self.medium = True, "f's forward data on Values"
            return self.evaluate(self.start)

    def _first_result(self) -> Any:
        if not callable(self.hand):
            return self.hand
        try:
            return self._call_hand(self.hand, self.start, self.start_output)
        except Exception:  # it will be reported when it is compared
            return None

    def evaluate(self, x: Floats) -> Floats:
        moved = self._values(x) if self.lifted else self._floats(x)
        with np.errstate(all="ignore"):
            return numbers_of(self.call({**self.arguments, **moved}))

    def engine(self, x: Floats) -> tuple[Floats, list[str]]:
        moved = self._values(x)
        with np.errstate(all="ignore"):
            outputs = _nodes(self.call({**self.arguments, **moved}))
        inputs = [node for part in moved.values() for node in _nodes(part)]
        return _jacobian(outputs, inputs), _kinks(outputs)

    def hand_results(self, x: Floats, output: Floats) -> dict[str, Any]:
        result = self.hand
        try:
            if callable(result):
                result = self._call_hand(result, x, output)
            if isinstance(result, Mapping):
                result = {k: self._call_hand(v, x, output) if callable(v) else v for k, v in result.items()}
        except RejectedError:
            raise
        except Exception as error:  # a derivation that fails is wrong, not a reason to stop
            raise RejectedError(f"the hand function raises {type(error).__name__}: {error}") from None
        return _by_name(result, list(self.shapes), self.arguments)

    def _call_hand(self, hand: Any, x: Floats, output: Floats) -> Any:
        known = {**self.arguments, **self._floats(x)}
        if self.named_out:
            known[self.named_out] = _plain(output)
        with np.errstate(all="ignore"):
            try:
                return _caller(hand)(_matched(hand, known, list(self.arguments)))
            except (AttributeError, TypeError):
                if not self.lifted:
                    raise
            # A derivation that calls an f which only runs on Values.
            return _caller(hand)(_matched(hand, {**known, **self._values(x)}, list(self.arguments)))

    def _floats(self, x: Floats) -> dict[str, Any]:
        return {name: _plain(part) for name, part in self.split(x).items()}

    def _values(self, x: Floats) -> dict[str, Any]:
        return {
            name: values(part, name) if part.shape else Value(float(part), label=name)
            for name, part in self.split(x).items()
        }


class _Graph(Subject):
    """Derivatives with respect to labelled nodes; the user's nodes are read and never written."""

    medium = "the graph recomputed on a copy"
    fixed = True

    def __init__(self, root: Any, hand: Mapping[str, Any], out: str | None) -> None:
        self.hand = hand
        self.roots = _nodes(root)
        if not any(isinstance(node, Value) for node in self.roots):
            raise TypeError(f"check: expected a function, a Value or an array of them, got {root!r}")
        self.order = topological_order(*(node for node in self.roots if isinstance(node, Value)))
        self.out = out or getattr(root, "label", "") or "f"
        found = {name: _labelled(self.order, name, hand[name]) for name in hand}
        self.shapes = {name: nodes.shape for name, nodes in found.items()}
        self.inputs: list[Value | None] = [node for nodes in found.values() for node in nodes.flat]
        self.start = np.array([0.0 if node is None else node.data for node in self.inputs])
        self.start_output = numbers_of(root)

    def evaluate(self, x: Floats) -> Floats:
        """The roots' data when the inputs have data ``x``, everything else above them recomputed."""
        moved: dict[Value, float] = {
            node: float(number)
            for node, number in zip(self.inputs, x, strict=True)
            if node is not None and node.data != number
        }
        data = dict(moved)
        for node in self.order:
            if node not in moved and any(operand in data for operand in node.args):
                data[node] = _evaluate(node, data)
        roots = [data.get(node, node.data) if isinstance(node, Value) else node for node in self.roots]
        return np.array(roots, dtype=float).reshape(self.start_output.shape)

    def engine(self, x: Floats) -> tuple[Floats, list[str]]:
        return _jacobian(self.roots, self.inputs), _kinks(self.roots)

    def hand_results(self, x: Floats, output: Floats) -> dict[str, Any]:
        return dict(self.hand)


def _labelled(order: list[Value], name: str, hand: Any) -> NDArray[Any]:
    """The node labelled ``name``, or the array of the nodes labelled as elements of it.

    Elements that do not occur in the graph are None, with derivative 0; so far as the hand result
    goes beyond the elements that do occur, the array is taken to.
    """
    exact = [node for node in order if node.label == name]
    if len(exact) > 1:
        raise ValueError(f"check: {len(exact)} nodes of the graph are labelled {name!r}")
    if exact:
        found: dict[Index, Value] = {(): exact[0]}
    else:
        found = _elements(order, name)
    extents = [max(axis) + 1 for axis in zip(*found, strict=True)]
    shape = np.shape(hand)
    if len(shape) == len(extents):
        extents = [max(pair) for pair in zip(extents, shape, strict=True)]
    nodes = np.full(extents, None, dtype=object)
    for index, node in found.items():
        nodes[index] = node
    return nodes


def _elements(order: list[Value], name: str) -> dict[Index, Value]:
    joint = "_" if name[-1:].isdigit() else ""
    pattern = re.compile(re.escape(name) + joint + r"(\d+(?:,\d+)*)")
    found: dict[Index, Value] = {}
    for node in order:
        if match := pattern.fullmatch(node.label):
            index = tuple(map(int, match[1].split(",")))
            if index in found:
                raise ValueError(f"check: two nodes of the graph are labelled {node.label!r}")
            found[index] = node
    if len({len(index) for index in found}) != 1:
        labels = _list(dict.fromkeys(node.label for node in order if node.label))
        raise ValueError(f"check: no node or array of the graph is labelled {name!r}; there are: {labels}")
    return found


def _evaluate(node: Value, data: dict[Value, float]) -> float:
    if not isinstance(node.op, Primitive):
        raise ValueError("a node made by hand carries no formula")
    return node._evaluate(*(data.get(operand, operand.data) for operand in node.args))


# --- the engine --------------------------------------------------------------------------------------


def _jacobian(outputs: Sequence[Any], inputs: Sequence[Value | None]) -> Floats:
    rows = [
        _sweep(root, inputs) if isinstance(root, Value) else [0.0] * len(inputs)  # a constant output
        for root in outputs
    ]
    return np.array(rows, dtype=float).reshape(len(outputs), len(inputs))


def _sweep(root: Value, inputs: Sequence[Value | None]) -> list[float]:
    """∂root/∂input for each input, every ``.grad`` left as it was."""
    order = topological_order(root)
    before = [node.grad for node in order]
    try:
        for node in order:
            node.grad = 0.0
        root.backward()
        gradient = {node: node.grad for node in order}
    finally:
        for node, grad in zip(order, before, strict=True):
            node.grad = grad
    return [0.0 if node is None else gradient.get(node, 0.0) for node in inputs]


def _at_zero(*operands: float) -> bool:
    return not any(operands)


def _tie(x: float, y: float) -> bool:
    return x == y


KINKS: dict[str, Callable[..., bool]] = {
    **dict.fromkeys(["abs", "sign", "relu", "hypot", "atan2"], _at_zero),
    **dict.fromkeys(["maximum", "minimum", "less", "less_equal", "equal"], _tie),
}


def _kinks(outputs: Sequence[Any]) -> list[str]:
    """The operations that sit on a kink of theirs, in words."""
    found: dict[str, None] = {}
    for node in topological_order(*(node for node in outputs if isinstance(node, Value))):
        test = KINKS.get(node.op.name)
        if test and test(*(operand.data for operand in node.args)):
            operands = ", ".join(f"{x.label} = {x.data:g}" if x.label else f"{x.data:g}" for x in node.args)
            found[f"{node.op.name}({operands})"] = None
    return list(found)


# --- arguments and numbers ---------------------------------------------------------------------------


def _parameters(f: Any) -> dict[str, inspect.Parameter] | None:
    """The named parameters of a function, None if it does not tell."""
    if isinstance(f, Primitive):
        return {x: inspect.Parameter(x, inspect.Parameter.POSITIONAL_ONLY) for x in f.operands}
    try:
        parameters = inspect.signature(f).parameters
    except (TypeError, ValueError):
        return None
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    named = {name: p for name, p in parameters.items() if p.kind not in variable}
    return named or (None if parameters else {})


def _arguments(f: Any, at: Any) -> dict[str, Any]:
    """f's arguments by name, in f's order."""
    if at is None:
        raise TypeError("check: give the point, at=…")
    parameters = _parameters(f)
    if not isinstance(at, Mapping):
        names = list(parameters) if parameters else ["x"]
        needed = [
            name for name in names if parameters and parameters[name].default is inspect.Parameter.empty
        ]
        if len(needed) > 1:
            raise TypeError(f"check: f takes {_list(needed)}; give at= as a mapping from these to values")
        return {names[0]: at}
    if parameters is None:
        return dict(at)
    missing = [n for n, p in parameters.items() if p.default is inspect.Parameter.empty and n not in at]
    if missing or set(at) - set(parameters):
        raise TypeError(f"check: f takes {_list(parameters)}, at= gives {_list(at)}")
    return {name: at[name] for name in parameters if name in at}


def _matched(hand: Any, known: Mapping[str, Any], arguments: list[str]) -> dict[str, Any]:
    """The hand function's arguments by name; a function of one argument may call it what it likes."""
    parameters = _parameters(hand)
    if parameters is None:
        return {name: known[name] for name in arguments}
    chosen = {name: known[name] for name in parameters if name in known}
    missing = [n for n, p in parameters.items() if n not in known and p.default is inspect.Parameter.empty]
    if len(missing) == 1 and len(arguments) == 1 and arguments[0] not in chosen:
        chosen[missing.pop()] = known[arguments[0]]
    if missing:
        raise RejectedError(f"the hand function asks for {_list(missing)}; there are {_list(known)}")
    return {name: chosen[name] for name in parameters if name in chosen}


def _caller(f: Any) -> Callable[[Mapping[str, Any]], Any]:
    """f as a function of a mapping of its arguments."""
    if isinstance(f, Primitive) or _parameters(f) is None:
        return lambda arguments: f(*arguments.values())
    signature = inspect.signature(f)

    def call(arguments: Mapping[str, Any]) -> Any:
        bound = inspect.BoundArguments(signature, OrderedDict(arguments))
        return f(*bound.args, **bound.kwargs)

    return call


def _by_name(result: Any, wrt: list[str], arguments: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(result, Mapping):
        if not result:
            raise RejectedError("the hand result is empty")
        if unknown := [str(name) for name in result if name not in arguments]:
            raise RejectedError(f"the hand result names {_list(unknown)}; f takes {_list(arguments)}")
        if missing := [name for name in wrt if name not in result]:
            raise RejectedError(f"the hand result has no derivative for {_list(missing)}")
        return {name: result[name] for name in wrt}
    if len(wrt) == 1:
        return {wrt[0]: result}
    if not isinstance(result, (list, tuple)) or len(result) != len(wrt):
        raise RejectedError(f"the hand result must hold one array for each of {_list(wrt)}")
    return dict(zip(wrt, result, strict=True))


def numbers_of(x: Any) -> Floats:
    """``x`` as an array of floats, Values by their data; complex numbers, outside every domain, are nan."""
    if isinstance(x, np.ndarray) and x.dtype.kind in "biuf":
        return x.astype(float)
    array = np.asarray(x, dtype=object)
    return np.array([_number(element) for element in array.flat], dtype=float).reshape(array.shape)


def _number(x: Any) -> float:
    if isinstance(x, Value):
        return x.data
    if isinstance(x, (complex, np.complexfloating)):
        return NAN
    number = as_number(x)
    if number is None:
        raise TypeError(f"expected numbers, got {type(x).__name__}")
    return number


def _nodes(x: Any) -> list[Any]:
    """The elements of a Value or of an array of them."""
    return [*np.asarray(x, dtype=object).flat]


def _plain(x: Floats) -> Any:
    """A scalar as a Python float, an array as a copy."""
    return x.copy() if x.shape else float(x)


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"
