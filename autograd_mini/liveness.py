"""Which nodes are live, as conditions that a gradient graph carries beside its adjoints.

A row that selects cuts the edge to an operand: `where` to the one not chosen, a maximum to the smaller
one, relu to a negative one. A node is live if a path without cut edges leads to it from an output, and
what is not live contributes nothing. There its adjoint is 0; but 0 times a partial that does not exist is
nan, so that a term whose partial may be such is written ``where(live, term, 0)``. Operands count as finite
for that, overflow apart, except below a selection that can leave out what is nan, as that of nansum does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import cast

from autograd_mini import rules
from autograd_mini.formulas import names_in
from autograd_mini.rules import Primitive, is_tame
from autograd_mini.tracing import CUT, Traced, constant_node, derive, openings
from autograd_mini.value import Value, constant

ONE = constant_node(1.0)
CHOICES = (rules.where, rules.maximum, rules.minimum)  # at least one of their two edges is open


class Liveness:
    """The conditions of a reverse sweep from ``outputs``, which are live, over the nodes of ``order``.

    Where no node is ``selective``, all are live.
    """

    def __init__(self, order: Sequence[Value], outputs: Sequence[Value]) -> None:
        rows = {node.op for node in order}
        self.selective = any(isinstance(row, Primitive) and row.selects for row in rows)
        self._wild = _wild_nodes(order) if self.selective else set()
        self._conditions: dict[Value, Condition | None] = dict.fromkeys(outputs)  # None where always
        self._several: dict[Value, list[Condition | None]] = {}  # where more than one leads to a node

    def masked(self, node: Value, place: int, term: Value) -> Value:
        """The term of the edge from a node to its operand at ``place``, 0 where the node is not live.

        The sweep asks for every edge over which it passes an adjoint, which makes the operand live, too.
        """
        assert isinstance(node.op, Primitive)
        if node in self._several:
            self._conditions[node] = _any(self._several.pop(node))
        condition = self._conditions[node]
        operand = node.args[place]
        if operand.args:
            live = self._narrowed(condition, node, place) if node.op.selects else condition
            known = self._conditions.setdefault(operand, live)
            if known is not live:
                self._several.setdefault(operand, [known]).append(live)
        if condition is None or self._is_tame(node, place, condition.doubtful):
            return term
        return derive(rules.where, condition.node(), term, CUT)

    def _is_tame(self, node: Value, place: int, doubtful: bool) -> bool:
        """Whether the partial and its derivatives are finite, and 0 times them is 0."""
        assert isinstance(node.op, Primitive)
        needed = _needed(node.op, place)
        if needed is None or not (self._wild or doubtful):
            return needed is not None
        numbers = [(node, *node.args)[i] for i in needed]
        return self._wild.isdisjoint(numbers) and not (
            doubtful and any(x.op is not constant for x in numbers)
        )

    def _narrowed(self, condition: Condition | None, node: Value, place: int) -> Condition | None:
        """When the operand is live over this edge of a selection, given when the selection is."""
        edge = openings(cast(Primitive, node.op))[place](CUT, node, *node.args)
        if edge.op is constant:  # an edge that is always cut passes no adjoint
            return condition
        return Condition(
            () if condition is None else (condition,), edge, node, _may_leave_out_nan(node, place)
        )


class Condition:
    """Any of several conditions, and an open edge; it becomes a node when a term first needs it.

    The edge is one of ``selection``. If ``doubtful``, what is not live may be nan.
    """

    def __init__(
        self,
        parts: tuple[Condition, ...],
        edge: Value = ONE,
        selection: Value | None = None,
        doubtful: bool = False,
    ) -> None:
        self.parts = parts
        self.selection = selection
        self.doubtful: bool = doubtful or any(part.doubtful for part in parts)
        self._edge = edge
        self._node: Value | None = None

    def node(self) -> Value:
        stack = [self]  # conditions may lie as deep in one another as the graph is
        while stack:
            condition = stack[-1]
            missing = [part for part in condition.parts if part._node is None]
            if condition._node is None and missing:
                stack += missing
                continue
            stack.pop()
            if condition._node is None:
                condition._node = condition._made()
        assert self._node is not None
        return self._node

    def _made(self) -> Value:
        if not self.parts:
            return self._edge
        first, *others = [part.node() for part in self.parts]
        for other in others:
            first = derive(rules.where, first, ONE, other)
        return derive(rules.where, self._edge, first, CUT)


def _any(conditions: list[Condition | None]) -> Condition | None:
    """Whether any of them holds: for both edges of a choice, whether that is live itself."""
    kept: dict[Condition, None] = {}
    first: dict[Value, Condition] = {}
    queue = list(dict.fromkeys(conditions))
    for condition in queue:
        if condition is None:
            return None
        kept[condition] = None
        selection = condition.selection
        if selection is not None and selection.op in CHOICES:
            other = first.setdefault(selection, condition)
            if other is not condition:
                del kept[condition]
                kept.pop(other, None)
                queue += condition.parts or [None]
    return next(iter(kept)) if len(kept) == 1 else Condition(tuple(kept))


@cache
def _needed(row: Primitive, place: int) -> tuple[int, ...] | None:
    """Which of result and operands a partial is made of; None where it can be singular at finite ones."""
    partial = row.partials[place]
    if not is_tame(partial):
        return None
    return tuple(i for i, name in enumerate(("z", *row.operands)) if name in names_in(partial))


def _wild_nodes(order: Sequence[Value]) -> set[Value]:
    """The nodes that are not finite with all their derivatives wherever the leaves of a trace are finite."""
    wild: set[Value] = set()
    for node in order:
        for x in node.args:
            if not (x.args or isinstance(x, Traced) or math.isfinite(x.data)):
                wild.add(x)
        tame = isinstance(node.op, Primitive) and is_tame(node.op.stable)
        if not (tame and wild.isdisjoint(node.args)):
            wild.add(node)
    return wild


def _may_leave_out_nan(selection: Value, place: int) -> bool:
    """Whether the edge can be cut while its operand, or what that is made of, is nan."""
    condition = selection.args[0]
    if selection.op is rules.where and place == 2 and condition.op in (rules.less, rules.less_equal):
        return all(x is not selection.args[place] for x in condition.args)  # false for nan, as in clip
    return selection.op not in (rules.relu, rules.maximum, rules.minimum)
