"""A loss's graph at a point: values of its nodes by name, and its adjoints where some others are given.

Given ∂loss/∂node for some nodes, the other derivatives are what the reverse sweep finds with these in the
place of its own. They are those of another loss, in which these nodes are held constant and enter linearly:

    loss with these nodes constant + Σ (the given ∂loss/∂node) · node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, reduce
from operator import add
from typing import Any, TypeAlias

import numpy as np

from autograd_mini.check.subjects.arguments import Floats, Nodes, UnknownNameError, numbers_of, plain
from autograd_mini.check.subjects.subject import Graph, labelled, labels_of
from autograd_mini.labels import element_label
from autograd_mini.number_types import FLOAT
from autograd_mini.sweeps import Sweep, Tape
from autograd_mini.trees import own
from autograd_mini.value import Value, as_operand, constant, topological_order

Given: TypeAlias = "Mapping[str, tuple[str, Floats]]"  # what adjoints are called: their nodes' name, numbers


class Loss:
    """The recorded graph of a loss, by the names of its nodes."""

    def __init__(self, graph: Graph, tape: Tape, arguments: Mapping[str, Any]) -> None:
        self.root: Value = graph.outputs.item()
        self.arguments = arguments
        self.tape = tape
        self.order = [*tape.slots]
        self._nodes = dict(graph.inputs)
        self._named = graph.named
        self._sweep = Sweep(tape.code, tape.start, FLOAT)

    @property
    def out(self) -> str:
        """What the loss is called."""
        return self.root.label or "f"

    def nodes(self, name: str) -> Nodes:
        """The nodes that a name means; ValueError if there are none."""
        if name not in self._nodes:
            self._nodes[name] = labelled(self.order, name, ())
        return self._nodes[name]

    @cached_property
    def names(self) -> list[str]:
        """Everything that has a value here."""
        return [*dict.fromkeys([*self.arguments, *self._named, *labels_of(self.order)])]

    def value(self, name: str) -> Any:
        """The value of an argument or of a labelled intermediate; UnknownNameError if it is neither."""
        if name in self.arguments:
            return own(self.arguments[name])  # a step may work in place
        if not self.knows(name):
            raise UnknownNameError("a step", [name], self.names)
        return plain(numbers_of(self._named[name] if name in self._named else self.nodes(name)))

    def knows(self, name: str) -> bool:
        """Whether there is a value of that name."""
        try:
            return name in self.arguments or name in self._named or self.nodes(name).size > 0
        except ValueError:
            return False

    def takes(self, name: str) -> bool:
        """Whether a name is that of an argument, or of leaves of a graph that exists."""
        try:
            return name in self.arguments or not any(node.args for node in self.nodes(name).flat if node)
        except ValueError:
            return False

    def given(self, name: str, adjoints: Given) -> Floats:
        """∂loss/∂name where other derivatives are given."""
        held = {
            self.tape.slots[node]: float(array[index])
            for other, array in adjoints.values()
            for index, node in np.ndenumerate(self.nodes(other))
            if node in self.tape.slots
        }
        [out] = self.tape.code.outputs.tolist()
        found = self._sweep.adjoints({out: 1.0}, held)
        wanted = self.nodes(name)
        slots = [self.tape.slots.get(node, -1) for node in wanted.flat]
        return np.array([found.get(slot, 0.0) for slot in slots], dtype=float).reshape(wanted.shape)

    def with_adjoints(self, name: str, adjoints: Given) -> Graph:
        """A graph whose derivative with respect to ``name`` is that of `given`, for the diagnosis."""
        held = {
            node: Value(float(array[index]), label=element_label(called, index))
            for called, (other, array) in adjoints.items()
            for index, node in np.ndenumerate(self.nodes(other))
            if node is not None
        }
        if not held:
            return Graph({name: self.nodes(name)}, np.array(self.root, dtype=object))
        loss, nodes = _with_adjoints(self.root, topological_order(self.root), held, self.nodes(name))
        return Graph({name: nodes}, np.array(loss, dtype=object))


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
        else:
            copy = node.op(*(seen[operand] for operand in node.args))  # type: ignore[operator]  # a row, as recorded
            copy.label = node.label
        copies[node], seen[node] = copy, as_operand(node.data) if node in held else copy
    nodes = np.empty(wanted.shape, dtype=object)
    for index, node in np.ndenumerate(wanted):
        nodes[index] = None if node is None else copies.get(node, node)
    terms = [seen[root], *(adjoint * copies[node] for node, adjoint in held.items() if node in copies)]
    terms = [term for term in terms if not set(nodes.flat).isdisjoint(topological_order(term))]
    loss = reduce(add, terms) if terms else as_operand(0.0)
    loss.label = root.label
    return loss, nodes
