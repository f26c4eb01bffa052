"""Which nodes are live, as conditions that a gradient graph carries beside its adjoints.

A row that selects cuts the edge to an operand: `where` to the one not chosen, a maximum to the smaller
one, relu to a negative one. A node is live if a path without cut edges leads to it from an output, and
what is not live contributes nothing. There its adjoint is 0; but 0 times a partial that does not exist is
nan, so that a term whose partial may be such is written ``where(live, term, 0)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from autograd_mini import rules
from autograd_mini.rules import Primitive, is_tame, names_in
from autograd_mini.tracing import CUT, Traced, constant_node, derive, openings
from autograd_mini.value import Value, constant

ONE = constant_node(1.0)


class Liveness:
    """The conditions of a reverse sweep from ``outputs``, which are live, over the nodes of ``order``."""

    def __init__(self, order: Sequence[Value], outputs: Sequence[Value]) -> None:
        self._selective = any(isinstance(node.op, Primitive) and node.op.selects for node in order)
        self._tame = _tame_nodes(order) if self._selective else set()
        self._conditions: dict[Value, Condition | None] = dict.fromkeys(outputs)  # None where always

    def masked(self, node: Value, place: int, term: Value) -> Value:
        """The term of the edge from a node to its operand at ``place``, 0 where the node is not live.

        The sweep asks for every edge over which it passes an adjoint, which makes the operand live, too.
        """
        if not self._selective:
            return term
        condition = self._conditions[node]
        operand = node.args[place]
        if operand.args:
            live = _narrowed(condition, node, place)
            known = self._conditions.get(operand, live)
            if known is not live:
                live = None if known is None or live is None else Condition((known, live))
            self._conditions[operand] = live
        if condition is None or self._is_tame(node, place):
            return term
        return derive(rules.where, condition.node(), term, CUT)

    def _is_tame(self, node: Value, place: int) -> bool:
        """Whether the partial and its derivatives are finite, and 0 times them is 0."""
        assert isinstance(node.op, Primitive)
        partial = node.op.partials[place]
        numbers = dict(zip(("z", *node.op.operands), (node, *node.args), strict=True))
        return is_tame(partial) and all(
            _is_finite(number) if not number.args else number in self._tame
            for number in map(numbers.get, names_in(partial))
            if number is not None
        )


class Condition:
    """Any of several conditions, and an open edge; it becomes a node when a term first needs it."""

    def __init__(self, parts: tuple[Condition, ...], edge: Value = ONE) -> None:
        self._parts = parts
        self._edge = edge
        self._node: Value | None = None

    def node(self) -> Value:
        stack = [self]  # conditions may lie as deep in one another as the graph is
        while stack:
            condition = stack[-1]
            missing = [part for part in condition._parts if part._node is None]
            stack += missing
            if not missing:
                condition._node = condition._made()
                stack.pop()
        assert self._node is not None
        return self._node

    def _made(self) -> Value:
        if not self._parts:
            return self._edge
        first, *others = [part.node() for part in self._parts]
        for other in others:
            first = derive(rules.where, first, ONE, other)
        return derive(rules.where, self._edge, first, CUT)


def _narrowed(condition: Condition | None, node: Value, place: int) -> Condition | None:
    """When the operand is live over this edge, given when the node is."""
    assert isinstance(node.op, Primitive)
    if not node.op.selects:
        return condition
    edge = openings(node.op)[place](CUT, node, *node.args)
    if edge.op is constant:  # an edge that is always cut passes no adjoint
        return condition
    return Condition(() if condition is None else (condition,), edge)


def _tame_nodes(order: Sequence[Value]) -> set[Value]:
    """The nodes that are finite with all their derivatives wherever the leaves are finite."""
    tame: set[Value] = set()
    for node in order:
        tame_row = isinstance(node.op, Primitive) and is_tame(node.op.stable)
        if tame_row and all(x in tame if x.args else _is_finite(x) for x in node.args):
            tame.add(node)
    return tame


def _is_finite(leaf: Value) -> bool:
    return isinstance(leaf, Traced) or math.isfinite(leaf.data)
