"""The graph of a loss at a point: its nodes by name, their values, true adjoints, and adjoints given others.

Given ∂loss/∂node for some nodes, the other derivatives are those of another loss, in which these nodes are
held constant and enter linearly instead:

    loss with these nodes constant + Σ (the given ∂loss/∂node) · node.

The reverse sweep over it finds at these nodes the given adjoints in the place of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from autograd_mini.arrays import element_label
from autograd_mini.check.binding import (
    arguments_of,
    as_values,
    caller,
    is_floating,
    listed,
    numbers_of,
    plain,
)
from autograd_mini.check.comparison import compare
from autograd_mini.check.engine import jacobian_of
from autograd_mini.check.evidence import Graph
from autograd_mini.check.points import domains_of, points_of
from autograd_mini.check.report import AGREES
from autograd_mini.check.settings import Settings
from autograd_mini.check.subject import labelled, labels_of, own, subject_of
from autograd_mini.rules import Primitive
from autograd_mini.value import Value, as_operand, constant, topological_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Nodes: TypeAlias = NDArray[Any]


class LossGraph:
    """The graph of the loss at one point: its nodes by name, their values, the truth about them.

    ``arguments`` are f's, as a step gets them; those of them that are nodes of the graph are in ``lifted``.
    """

    def __init__(self, root: Any, arguments: Mapping[str, Any], lifted: Mapping[str, Any]) -> None:
        self.root = np.asarray(root, dtype=object).item() if np.size(root) == 1 else root
        if not isinstance(self.root, Value):
            raise TypeError(f"check_steps: f must return one Value, the loss, got {root!r}")
        self.arguments = arguments
        self.order = topological_order(self.root)
        self._nodes = {name: np.asarray(nodes, dtype=object) for name, nodes in lifted.items()}
        self._truth: dict[str, tuple[Floats, NDArray[np.bool_]]] = {}

    def nodes(self, name: str) -> Nodes:
        """The nodes that a name means; ValueError if there are none."""
        if name not in self._nodes:
            self._nodes[name] = labelled(self.order, name, ())
        return self._nodes[name]

    def value(self, name: str) -> Any:
        """The value of an argument or of a labelled intermediate; NameError if it is neither."""
        if name in self.arguments:
            return own(self.arguments[name])  # a step may work in place
        try:
            return plain(numbers_of(self.nodes(name)))
        except ValueError:
            raise NameError(
                f"{name!r} is no argument, no earlier step and not the label of one node or array; "
                f"there are {listed(dict.fromkeys([*self.arguments, *labels_of(self.order)]))}"
            ) from None

    def truth(self, name: str) -> tuple[Floats, NDArray[np.bool_]]:
        """The engine's ∂loss/∂name, and which of its entries the differences confirm."""
        if name not in self._truth:
            truth = _derivative(self.root, self.nodes(name))
            clear = np.ones(truth.shape, dtype=bool)
            if not set(self.order).isdisjoint(self.nodes(name).flat):
                engine = subject_of(self.root, {name: truth}, None, None, None)
                engine.rows = ()
                for entry in compare("", engine, Settings(points=0)).entries:
                    clear[tuple(map(int, entry.column))] = entry.verdict == AGREES
            self._truth[name] = truth, clear
        return self._truth[name]

    @property
    def out(self) -> str:
        """What the loss is called."""
        return self.root.label or "f"

    def knows(self, name: str) -> bool:
        """Whether there is a value of that name."""
        try:
            return name in self.arguments or self.nodes(name).size > 0
        except ValueError:
            return False

    def takes(self, name: str) -> bool:
        """Whether a name is that of an argument, or of leaves of a graph that exists."""
        try:
            return name in self.arguments or not any(node.args for node in self.nodes(name).flat if node)
        except ValueError:
            return False

    def given(self, name: str, adjoints: Mapping[str, tuple[str, Floats]]) -> tuple[Floats, Graph]:
        """∂loss/∂name where other derivatives are given, and a graph of that.

        ``adjoints`` maps what they are called to the name of their nodes and the numbers.
        """
        held = {
            node: Value(float(array[index]), label=element_label(called, index))
            for called, (other, array) in adjoints.items()
            for index, node in np.ndenumerate(self.nodes(other))
            if node is not None
        }
        if not held:
            return self.truth(name)[0], Graph({name: self.nodes(name)}, np.array(self.root, dtype=object))
        loss, nodes = _with_adjoints(self.root, self.order, held, self.nodes(name))
        return _derivative(loss, nodes), Graph({name: nodes}, np.array(loss, dtype=object))


def _derivative(root: Value, nodes: Nodes) -> Floats:
    return jacobian_of([root], [*nodes.flat]).reshape(nodes.shape)


def _with_adjoints(
    root: Value, order: Sequence[Value], held: Mapping[Value, Value], wanted: Nodes
) -> tuple[Value, Nodes]:
    """A loss whose derivative with respect to each node in ``held`` is the given one; its wanted nodes.

    It consists of the terms that depend on what is wanted.
    """
    copies: dict[Value, Value] = {}
    seen: dict[Value, Value] = {}  # what stands for a node where it is an operand
    for node in order:
        if node.op is constant:
            copy = node
        elif not node.args:
            copy = Value(node.data, label=node.label)
        elif isinstance(node.op, Primitive):
            copy = node.op(*(seen[operand] for operand in node.args))
            copy.label = node.label
        else:
            raise TypeError(
                "check_steps: a node made by hand carries no formula; add its rule with primitive(...)"
            )
        copies[node], seen[node] = copy, as_operand(node.data) if node in held else copy
    nodes = np.empty(wanted.shape, dtype=object)
    for index, node in np.ndenumerate(wanted):
        nodes[index] = None if node is None else copies.get(node, node)
    terms = [seen[root], *(adjoint * copies[node] for node, adjoint in held.items() if node in copies)]
    terms = [term for term in terms if not set(nodes.flat).isdisjoint(topological_order(term))]
    loss = reduce(add, terms) if terms else as_operand(0.0)
    loss.label = root.label
    return loss, nodes


def loss_graphs(
    f: Any, at: Any, names: Iterable[str], fixed: bool, settings: Settings
) -> tuple[list[LossGraph], int]:
    """The loss at the given point, then at seeded random ones; and how many were outside its domain.

    Moved are the arguments that ``names`` are about, or the first; where ``fixed``, none.
    """
    if not callable(f):
        return [LossGraph(f, {}, {})], 0
    call = caller(f)
    arguments = arguments_of(f, at)
    moved = [name for name in arguments if name in names] or [*arguments][:1]
    subject = subject_of(f, lambda: None, at, moved, None)
    subject.fixed = fixed
    domains = domains_of(settings.domain, subject)
    drawn = [*points_of(subject, domains, settings.points, settings.seed)]
    points = [point for point in drawn if point is not None]
    return [_at(call, point, moved) for point in points], len(drawn) - len(points)


def _at(call: Callable[[Mapping[str, Any]], Any], arguments: dict[str, Any], moved: list[str]) -> LossGraph:
    """f on Values in the place of all arguments of floats, or, if it refuses, of the moved ones only.

    What does not depend on a Value has no node, and could not be found by its label.
    """
    floats = [name for name, x in arguments.items() if name in moved or is_floating(x)]
    try:
        return _lifted(call, arguments, floats)
    except Exception:  # it wants numbers there
        pass
    return _lifted(call, arguments, moved)


def _lifted(
    call: Callable[[Mapping[str, Any]], Any], arguments: dict[str, Any], names: list[str]
) -> LossGraph:
    floats = {name: numbers_of(arguments[name]) for name in names}
    nodes = {name: as_values(x, name) for name, x in floats.items()}
    with np.errstate(all="ignore"):
        root = call({**arguments, **nodes})
    return LossGraph(root, {**arguments, **{name: plain(x) for name, x in floats.items()}}, nodes)
