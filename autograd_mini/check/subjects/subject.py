"""What is checked: a function, or a graph that exists, as a map from some of its arguments to an array.

A subject evaluates on plain floats for the witnesses, gives its graph to the engine, is recorded for other
number types, and calls the hand derivation with the arguments that it asks for by name.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from autograd_mini.arrays import ValueArray, holds_values, noting
from autograd_mini.check.subjects.arguments import (
    EPSILON,
    Floats,
    Nodes,
    RejectedError,
    UnknownNameError,
    arguments_of,
    as_values,
    by_leaves,
    caller,
    is_floating,
    is_of_kind,
    listed,
    matched,
    numbers_of,
    parameters_of,
    plain,
    sample,
)
from autograd_mini.check.subjects.hand import (
    Claim,
    Formula,
    claim_of,
    is_fixed,
    one_for_each,
    prepared,
    single,
)
from autograd_mini.check.subjects.naming import bases
from autograd_mini.check.subjects.passes import generators_of
from autograd_mini.expressions import AmbiguousError, parse
from autograd_mini.expressions.vocabulary import CONSTANTS
from autograd_mini.labels import arrays_among, split_label
from autograd_mini.rebuilding import called, noting_locals
from autograd_mini.rules import Primitive
from autograd_mini.trees import own
from autograd_mini.value import Value, topological_order

Index: TypeAlias = tuple[int, ...]
Arguments: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Graph:
    """f at one point on Values.

    ``inputs`` holds an array of Values for each differentiated name, None for elements that do not
    occur; ``outputs`` has f's shape and holds Values, or numbers where f is constant. ``named`` are the
    arrays that f named, whole; ``called`` is how nodes without a label are called by local variables of f,
    for people only.
    """

    inputs: Mapping[str, Nodes]
    outputs: Nodes
    named: Mapping[str, Nodes] = field(default_factory=dict)
    called: Mapping[Value, str] = field(default_factory=dict)


class Subject(ABC):
    """A map from the arguments named in ``shapes`` to an array, and the hand results for its derivative."""

    arguments: dict[str, Any]  # at the given point
    shapes: dict[str, Index]
    start_output: Floats
    rows: Index  # the axes that a derivative has for the output: none for a gradient
    fixed: bool
    medium = "f on floats"
    out = "f"
    named_out: str | None = None  # if the user named it
    coarse = 1.0  # how much coarser than a double the numbers are that f gives
    generators: Sequence[Any] = ()  # of random numbers, that f holds itself
    defaults: Mapping[str, Any] = {}  # numbers that parameters of f keep
    read: dict[str, None]  # how names with two meanings were read
    changed: tuple[str, ...] = ()  # arguments that f changes in place
    call: Callable[[Arguments], Any] | None = None
    function: Any = None  # what it calls, as it was given

    @abstractmethod
    def evaluate(self, arguments: Arguments) -> Floats:
        """The output at a point, on floats."""

    @abstractmethod
    def graph(self, arguments: Arguments, also: Sequence[str] = (), whole: bool = False) -> Graph:
        """f on Values; ``also`` are labelled intermediates whose nodes are wanted.

        For these all arguments that are floats are Values with a label; for the ``whole`` graph also whole
        numbers, where f takes them.
        """

    def sampled(self, arguments: Arguments) -> Callable[[Floats], Floats]:
        """The output, flat, as a function of the flat inputs alone; nan outside f's domain."""
        size = self.start_output.size
        return lambda x: sample(self.evaluate, self.placed(arguments, x), size)

    def graph_if_any(self, arguments: Arguments) -> Graph | None:
        """All of f on Values; None where that stops it, whatever the reason."""
        try:
            return self.graph(arguments, whole=True)
        except Exception:
            return None

    def _differentiates(self, shapes: Mapping[str, Index], output: Floats, scalar: str) -> None:
        """Settle the shapes; a check that is called ``scalar`` needs one output."""
        self.shapes, self.start_output = dict(shapes), output
        if shapes and not any(map(math.prod, shapes.values())):
            raise ValueError(f"check: there is nothing to differentiate by: {listed(shapes)} has no entries")
        if scalar and output.size != 1:
            instead = "; use check_jacobian" * (scalar == "check_gradient")
            raise ValueError(f"{scalar}: f must have one output, got shape {output.shape}{instead}")
        self.rows = () if scalar else output.shape

    @abstractmethod
    def results(self, arguments: Arguments, output: Any) -> dict[str, Any]:
        """The hand result for each name, as it came; RejectedError if it cannot be had."""

    def formulas(self) -> dict[str, Formula]:
        """The hand results that are formulas as text."""
        return {}

    def derived(self, arguments: Arguments) -> list[Any] | None:
        """The hand results computed on Values, outputs by inputs; None where that stops them."""
        return None

    def among_symmetric(self, names: Sequence[str]) -> Subject:
        """The same as a function of (X + Xᵀ) / 2 for each X named, of which f may read one triangle."""
        call, other = self.call, copy(self)

        def symmetrised(arguments: Arguments) -> Any:
            means = {x: (arguments[x] + np.swapaxes(arguments[x], -1, -2)) / 2 for x in names}
            return call({**arguments, **means}) if call else None

        other.call = symmetrised
        return other

    def known(self, arguments: Arguments, output: Any) -> dict[str, Any]:
        """What a hand derivation may ask for by name, all its own, as it may work in place."""
        named = {**self.defaults, **arguments, **({self.named_out: output} if self.named_out else {})}
        return {name: own(x) for name, x in named.items()}

    def claims(self, arguments: Arguments, output: Floats) -> dict[str, Claim | RejectedError]:
        """The hand result for each name, or why it cannot be compared."""
        found: dict[str, Claim | RejectedError] = {}
        for name, result in self.results(arguments, plain(output)).items():
            try:
                found[name] = claim_of(name, result, self.rows + self.shapes[name])
            except RejectedError as why:
                guess = "" if why.numbers is None else self._guess(name, result, why.numbers.shape)
                found[name] = RejectedError(f"{why}{guess}", why.numbers, why.raised)
        return found

    def _guess(self, name: str, result: Any, given: Index) -> str:
        """What a result of the wrong shape looks like."""
        shape = self.shapes[name]
        if not self.rows and shape and given == shape * 2:
            return "; that is a Hessian's: check_jacobian(grad(f), H) checks one"
        if isinstance(result, (tuple, list)) and len(result) == len(self.arguments) > len(self.shapes):
            return f"; for one result for each of {listed(self.arguments)}, say so with wrt="
        return ""

    def matrix(self, claims: Mapping[str, Any], of: Callable[[Any], Any], missing: float) -> Nodes:
        """What ``of`` tells of each claim's entries, outputs by inputs; ``missing`` of rejected ones."""
        blocks = [np.empty((math.prod(self.rows), 0))]
        for name, shape in self.shapes.items():
            numbers = missing if isinstance(claims[name], RejectedError) else of(claims[name])
            blocks.append(np.broadcast_to(numbers, self.rows + shape).reshape(len(blocks[0]), -1))
        return np.concatenate(blocks, axis=1)

    def flat(self, arguments: Arguments) -> Floats:
        """The differentiated arguments in one vector."""
        parts = [numbers_of(arguments[name]).ravel() for name in self.shapes]
        return np.concatenate(parts or [np.empty(0)])

    def placed(self, arguments: Arguments, x: Floats) -> dict[str, Any]:
        """The arguments with the differentiated ones taken from a vector."""
        return {**arguments, **{name: plain(part) for name, part in self.split(x).items()}}

    def split(self, x: Any) -> dict[str, Any]:
        """The last axis of an array of flat inputs as one array for each name."""
        parts, start = {}, 0
        for name, shape in self.shapes.items():
            size = math.prod(shape)
            parts[name] = x[..., start : start + size].reshape(x.shape[:-1] + shape)
            start += size
        return parts


def subject_of(
    f: Any,
    hand: Any,
    at: Any,
    wrt: str | Sequence[str] | None,
    out: str | None,
    decimals: int | None = None,
    scalar: str = "",
) -> Subject:
    """The subject of a check; one that is called ``scalar`` needs f to have one output."""
    if hand is None or (isinstance(hand, Mapping) and (not hand or any(x is None for x in hand.values()))):
        raise TypeError(
            f"check: expected a hand result: a function, a formula, or numbers, got {hand}; a function that "
            "returns its value and its gradient is checked alone, by check_backward(f, at=…)"
        )
    f = parse(f) if isinstance(f, str) else f
    wrt = [wrt] if isinstance(wrt, str) else wrt
    if not (wrt is None or (isinstance(wrt, Sequence) and all(isinstance(name, str) for name in wrt))):
        raise TypeError(f'check: wrt= names arguments, as in wrt="x" or wrt=["w", "x"], got {wrt!r}')
    if callable(f) and at is not None and not isinstance(hand, str):
        f, hand, at, wrt = by_leaves(f, hand, at, wrt)
    form = prepared(hand, decimals)
    if callable(f):
        return _Function(f, form, at, wrt, out, scalar)
    if not holds_values(f):
        raise TypeError(f"check: expected a function, a formula or a graph of Values for f, got {f!r}")
    by_label = isinstance(form, Mapping) and form and not any(map(callable, hand.values()))
    if not by_label or at is not None or wrt is not None:
        raise TypeError(
            'check: a graph is checked as check_gradient(loss, {"y": dy, "z": dz}), by numbers for labels; '
            "a hand function needs f itself, as a function, and at=…"
        )
    return _Graph(f, form, out, scalar)


def value_subject(f: Any, at: Any, out: str | None) -> Subject:
    """f itself, or a graph, as a function of all its arguments that are floats; without a hand result."""
    f = parse(f) if isinstance(f, str) else f
    if not callable(f):
        return _Graph(f, {}, out)
    floats = [name for name, x in arguments_of(f, at).items() if is_floating(x)]
    return _Function(f, None, at, floats or None, out)


class _Function(Subject):
    call: Callable[[Arguments], Any]

    def __init__(
        self, f: Any, hand: Any, at: Any, wrt: Sequence[str] | None, out: str | None, scalar: str = ""
    ) -> None:
        self.hand, self.out, self.named_out = hand, out or "f", out
        self.read = {}
        self.function = f
        self.call = caller(f)  # a signature takes longer to read than f to run
        self.arguments = arguments_of(f, at)
        self.generators = generators_of(f)
        if unknown := set(wrt or ()) - set(self.arguments):
            raise ValueError(f"check: wrt names {min(unknown)!r}; f's arguments are {listed(self.arguments)}")
        self.defaults = {
            name: parameter.default
            for name, parameter in (parameters_of(f) or {}).items()
            if name not in self.arguments and type(parameter.default) in (int, float, np.ndarray)
        }
        self.lifted = False
        self._start(wrt or [*self.arguments][:1], scalar)
        if wrt is None:
            is_function = callable(hand) and not isinstance(hand, Formula)
            given = self._attempt(hand, self.arguments, plain(self.start_output)) if is_function else hand
            if names := self._claimed(given):
                self._start(names, scalar)
        if isinstance(hand, list) and any(map(callable, hand)):
            several = hand if len(hand) == len(self.shapes) else single(hand)
            self.hand = dict(zip(self.shapes, several, strict=True))
        self.fixed = is_fixed(self.hand)

    def _claimed(self, given: Any) -> list[str]:
        """The arguments that a hand result names, or all if it holds one for each; [] for the first alone."""
        if isinstance(given, Mapping):
            return [name for name in self.arguments if name in given]
        names = [name for name, x in self.arguments.items() if is_floating(x)]
        parts = one_for_each(given)
        if len(parts) != len(names):
            return []
        try:
            for name, part in zip(names, parts, strict=True):
                if not callable(part):
                    claim_of(name, part, self.rows + np.shape(self.arguments[name]))
        except RejectedError:
            return []
        return names

    @np.errstate(all="ignore")
    def _start(self, wrt: Sequence[str], scalar: str) -> None:
        """Settle the arguments differentiated and f at the given point; errors of f propagate.

        It is noted which arguments f changes in place, which does no harm as they are copies.
        """
        for name in wrt:
            if np.iscomplexobj(x := self.arguments[name]):
                raise TypeError(f"check: expected real numbers, at= gives {name} as {x}")
        self.shapes = {name: _numbers(f"at= gives {name}", self.arguments[name]).shape for name in wrt}
        given = self.placed(self.arguments, self.flat(self.arguments))
        mine = own(given)
        try:
            result = self.call(mine)
            output = _numbers("f", result)
        except (AttributeError, TypeError):  # f calls methods of Value
            self.lifted, self.medium = True, "f's forward data on Values"
            mine = own(self._lifted(given))
            result = self.call(mine)
            output = _numbers("f", result)
        kind = np.asarray(result).dtype
        self.coarse = float(np.finfo(kind).eps) / EPSILON if kind.kind == "f" and kind.itemsize < 8 else 1.0
        self.changed = tuple(
            name
            for name, x in given.items()
            if isinstance(x, np.ndarray) and not np.array_equal(x, mine[name], equal_nan=x.dtype.kind == "f")
        )
        self._differentiates(self.shapes, output, scalar)

    @np.errstate(all="ignore")
    def evaluate(self, arguments: Arguments) -> Floats:
        return _numbers("f", self.call(own(self._lifted(arguments) if self.lifted else arguments)))

    def graph(self, arguments: Arguments, also: Sequence[str] = (), whole: bool = False) -> Graph:
        lifted = self._lifted(arguments)
        # What depends on no Value has no node, and could not be found by its label.
        for kinds in ["fiu"] * whole + ["f"] * (whole or bool(also)) + [""]:
            more = {name: as_values(x, name) for name, x in lifted.items() if is_of_kind(x, kinds)}
            with noting_locals() as noted:
                try:
                    outputs, named = self._outputs({**lifted, **more})
                    break
                except Exception:  # f wants numbers there
                    if not kinds:
                        raise
        nodes = {name: np.asarray(lifted[name], dtype=object) for name in self.shapes}
        order = topological_order(*(x for x in outputs.flat if isinstance(x, Value)))
        known = set(order)
        for name in also:
            found = named[name] if name in named else labelled(order, name)
            nodes[name] = np.full(found.shape, None)
            for index, node in np.ndenumerate(found):
                nodes[name][index] = node if node in known else None
        return Graph(nodes, outputs, named, called(noted, self.arguments))

    def _outputs(self, lifted: Arguments) -> tuple[Nodes, dict[str, Nodes]]:
        """f on Values, and the arrays that it named once."""
        with np.errstate(all="ignore"), noting() as noted:
            outputs: Nodes = np.asarray(self.call(own(lifted)), dtype=object)
        names = Counter(name for name, _ in noted)
        return outputs, {name: nodes for name, nodes in noted if names[name] == 1}

    def results(self, arguments: Arguments, output: Any) -> dict[str, Any]:
        result = self.hand
        if callable(result):
            result = self._attempt(result, arguments, output)
            if isinstance(result, RejectedError):
                raise result
        if isinstance(result, Mapping):
            result = {
                name: self._attempt(part, arguments, output, name) if callable(part) else part
                for name, part in result.items()
            }
        return _by_name(result, list(self.shapes), self.arguments)

    def derived(self, arguments: Arguments) -> list[Any] | None:
        if self.fixed:
            return None
        try:
            lifted = self._lifted(arguments)
            found = self.results(lifted, self.call(own(lifted)) if self.named_out else None)
            return [*self.matrix(found, lambda part: np.asarray(part, dtype=object), np.nan).flat]
        except Exception:  # it works on floats, and need not on anything else
            return None

    def formulas(self) -> dict[str, Formula]:
        claimed = self.hand if isinstance(self.hand, Mapping) else dict.fromkeys(self.shapes, self.hand)
        return {name: hand for name, hand in claimed.items() if isinstance(hand, Formula)}

    def _attempt(self, hand: Any, arguments: Arguments, output: Any, name: str | None = None) -> Any:
        """What a hand function gives; a derivation that fails is wrong, not a reason to stop."""
        try:
            return self._call_hand(hand, arguments, output, name)
        except RejectedError as rejected:
            return rejected
        except (UnknownNameError, AmbiguousError):
            raise
        except Exception as error:
            kind = "formula" if isinstance(hand, Formula) else "function"
            return RejectedError(f"the hand {kind} raises {type(error).__name__}: {error}", raised=True)

    @np.errstate(all="ignore")
    def _call_hand(self, hand: Any, arguments: Arguments, output: Any, name: str | None = None) -> Any:
        known = self._asked(hand, arguments, self.known(arguments, output))
        names = list(self.arguments)
        if isinstance(hand, Formula):
            return hand(known, self.rows + self.shapes[name or next(iter(self.shapes))])
        try:
            return caller(hand)(matched(hand, known, names))
        except (AttributeError, TypeError):
            if not self.lifted:
                raise
        # A derivation that calls an f which only runs on Values.
        return caller(hand)(matched(hand, {**known, **self._lifted(arguments)}, names))

    def _asked(self, hand: Any, arguments: Arguments, known: dict[str, Any]) -> dict[str, Any]:
        """What is known, and the labelled intermediates of f that a hand derivation asks for by name."""
        wanted = {*(hand.names(known) if isinstance(hand, Formula) else parameters_of(hand) or {})}
        if wanted <= {*known}:
            return known
        try:
            outputs, named = self._outputs(
                {name: as_values(x, name) if is_floating(x) else x for name, x in arguments.items()}
            )
        except Exception:  # it has no intermediates that could be asked for
            return known
        order = topological_order(*(x for x in outputs.flat if isinstance(x, Value)))
        on_values = holds_values([*arguments.values()])
        there = {*labels_of(order), *named}
        if isinstance(hand, Formula):  # S_i asks for S, if that is what there is
            wanted = {*hand.names({*known, *there})}
        for name in wanted & there - {*known}:
            nodes = named[name] if name in named else labelled(order, name)
            known[name] = plain(nodes.view(ValueArray) if on_values else numbers_of(nodes))
            if name in CONSTANTS:
                self.read[f"{name} is read as the value that f names so, and not as the constant"] = None
        return known

    def _lifted(self, arguments: Arguments) -> dict[str, Any]:
        """The arguments with Values for the differentiated ones."""
        return {**arguments, **{name: as_values(arguments[name], name) for name in self.shapes}}


def _numbers(what: str, x: Any) -> Floats:
    if what == "f" and isinstance(x, tuple) and len(x) == 2 and np.shape(x[0]) != np.shape(x[1]):
        raise TypeError(
            "check: f returns two results: if they are its value and its gradient, check_backward(f, at=…) "
            "holds one against the other; else return the first alone"
        )
    try:
        return numbers_of(x)
    except (TypeError, ValueError) as error:
        raise TypeError(f"check: {what}: {error}" + "; is there a return?" * (x is None)) from None


def _by_name(result: Any, wrt: list[str], arguments: Arguments) -> dict[str, Any]:
    if isinstance(result, Mapping):
        if not result:
            raise RejectedError("the hand result is empty")
        if unknown := [str(name) for name in result if name not in arguments]:
            raise UnknownNameError("the hand result", unknown, arguments)
        if missing := [name for name in wrt if name not in result]:
            raise RejectedError(f"the hand result has no derivative for {listed(missing)}")
        return {name: result[name] for name in wrt}
    if len(wrt) == 1:  # a tuple of one is what grad gives for argnums=(0,)
        return {wrt[0]: result[0] if isinstance(result, tuple) and len(result) == 1 else result}
    parts = one_for_each(result)
    if len(parts) != len(wrt):
        raise RejectedError(f"the hand result must hold one array for each of {listed(wrt)}")
    return dict(zip(wrt, parts, strict=True))


class _Graph(Subject):
    """Derivatives with respect to labelled nodes; the user's nodes are read and never written."""

    medium = "the graph recomputed on a copy"
    fixed = True

    def __init__(self, root: Any, hand: Mapping[str, Any], out: str | None, scalar: str = "") -> None:
        self.hand = hand
        self.read = {}
        self.outputs: Nodes = np.asarray(root, dtype=object)
        roots = [node for node in self.outputs.flat if isinstance(node, Value)]
        if not roots:
            raise TypeError(f"check: expected a function, a Value or an array of them, got {root!r}")
        self.order = topological_order(*roots)
        self.out = out or getattr(root, "label", "") or "f"
        self.found = {
            name: labelled(self.order, name, np.shape(getattr(x, "numbers", x))) for name, x in hand.items()
        }
        shapes = {name: nodes.shape for name, nodes in self.found.items()}
        self._differentiates(shapes, numbers_of(root), scalar)
        self.inputs: list[Value | None] = [node for nodes in self.found.values() for node in nodes.flat]
        start = np.array([0.0 if node is None else node.data for node in self.inputs])
        self.arguments = self.placed({}, start)

    def evaluate(self, arguments: Arguments) -> Floats:
        """The roots' data when the inputs have the given data, everything else above them recomputed."""
        moved: dict[Value, float] = {
            node: float(number)
            for node, number in zip(self.inputs, self.flat(arguments), strict=True)
            if node is not None and node.data != number
        }
        data = dict(moved)
        for node in self.order:
            if node not in moved and any(operand in data for operand in node.args):
                if not isinstance(node.op, Primitive):
                    raise ValueError("a node made by hand carries no formula")
                data[node] = node._evaluate(*(data.get(operand, operand.data) for operand in node.args))
        roots = [data.get(node, node.data) if isinstance(node, Value) else node for node in self.outputs.flat]
        return np.array(roots, dtype=float).reshape(self.start_output.shape)

    def graph(self, arguments: Arguments, also: Sequence[str] = (), whole: bool = False) -> Graph:
        return Graph(self.found, self.outputs)

    def results(self, arguments: Arguments, output: Any) -> dict[str, Any]:
        return dict(self.hand)


def labelled(order: list[Value], name: str, shape: Index = ()) -> Nodes:
    """The node labelled ``name``, or the array of the nodes labelled as elements of it.

    Elements that do not occur in the graph are None, with derivative 0; so far as the hand result's ``shape``
    goes beyond the elements that do occur, the array is taken to. An array h1 goes before the element 1 of
    an array h.
    """
    found: dict[Index, list[Value]] = {}
    for node in order:
        array, index = split_label(node.label)
        if name in (node.label, array):
            found.setdefault(index if array == name else (), []).append(node)
    if () in found and not (
        len(found) > 1 and {name, split_label(name)[0]} <= arrays_among(node.label for node in order)
    ):
        found = {(): found[()]}
    else:
        found.pop((), None)
    if len({len(index) for index in found}) != 1:
        raise ValueError(
            f"check: no node or array of the graph is labelled {name!r}; there are: "
            f"{listed(labels_of(order))}; {_how_to_label(name, order)}"
        )
    extents = [max(axis) + 1 for axis in zip(*found, strict=True)]
    if len(shape) == len(extents):
        extents = [max(pair) for pair in zip(extents, shape, strict=True)]
    nodes = np.full(extents, None, dtype=object)
    for index, (node, *others) in found.items():
        if others:
            raise ValueError(f"check: {len(others) + 1} nodes of the graph are labelled {node.label!r}")
        nodes[index] = node
    return nodes


def _how_to_label(name: str, order: list[Value]) -> str:
    """What to do about a name that no node has."""
    for of in sorted(bases(name).intersection(labels_of(order))):
        return f'the derivative with respect to {of} goes by "{of}", as a step also by ("{name}", "{of}")'
    computed, leaf = f'{name} = named(…, "{name}")', f'Value(…, label="{name}")'
    return f"give it this name where it is computed, {computed}, or as a leaf, {leaf}"


def labels_of(order: list[Value]) -> list[str]:
    """The labels of nodes and of arrays."""
    arrays = arrays_among(node.label for node in order)
    labels = [(node.label, split_label(node.label)[0]) for node in order if node.label]
    return [*dict.fromkeys(array if array in arrays else label for label, array in labels)]
