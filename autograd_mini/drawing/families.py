"""Families: nodes of equal structure, which a picture draws as one box with the array of their numbers.

Rolling finds them. A family is taken apart again where a person tells its members apart: by name and scope,
and where some are roots or belong to a gradient graph.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from autograd_mini import rules
from autograd_mini.instructions import Leaf, Listing
from autograd_mini.labels import split_label
from autograd_mini.rolling.chains import nodes_of
from autograd_mini.rolling.colours import colours_of
from autograd_mini.rolling.families import roll
from autograd_mini.scopes import scope_of
from autograd_mini.sweeps import tape_of
from autograd_mini.value import Value, constant, leaf

if TYPE_CHECKING:
    from autograd_mini.drawing.graph import DrawnGraph

Index: TypeAlias = "tuple[int, ...]"


@dataclass(frozen=True, eq=False)
class Family:
    """At least two nodes, in the order of their indices."""

    members: tuple[Value, ...]
    indices: tuple[Index, ...]

    @property
    def shape(self) -> Index:
        """The array's shape if it is full, else the number of members."""
        if len({*map(len, self.indices)}) == 1:
            shape = tuple(max(axis) + 1 for axis in zip(*self.indices, strict=True))
            if math.prod(shape) == len(self.members) == len({*self.indices}):
                return shape
        return (len(self.members),)


def families_of(graph: DrawnGraph, top: Mapping[Value, Value], most: float) -> dict[Value, Family] | None:
    """The family of each node that is in one; nodes that are merged into others, by ``top``, are in none.

    None if there would be more than ``most`` families, or where a node made by hand tells no formula.
    """
    if _depth(graph, top) > most:
        return None
    arrays = _leaf_arrays(graph)
    apart = [node for node in graph.order if node.args and node.label and node.op in FOLDED]
    try:
        tape = tape_of([*graph.ends, *apart])
    except TypeError:
        return None
    if not len(tape.code):  # leaves alone
        return _found({name: [(split_label(x.label)[1], x) for x in array] for name, array in arrays.items()})
    leaves = [x for array in arrays.values() for x in array]
    place = np.arange(tape.code.slots, dtype=np.int32)
    place[[tape.slots[x] for x in leaves]] = np.arange(len(leaves))
    old = tape.code.operands
    code = replace(tape.code, operands=np.where(old < 0, old, place[old]), outputs=place[tape.code.outputs])
    ends = np.cumsum([len(array) for array in arrays.values()], dtype=int).tolist()
    slices = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    if len(np.unique(colours_of(nodes_of(code), slices, {}, {}).colour)) > most:
        return None
    arguments = {str(i): Leaf(_shape(array)) for i, array in enumerate(arrays.values())}
    rolled = roll(Listing("graph", arguments, [Leaf(())] * len(code.outputs), code, {}, len(code)))
    node_at = {int(place[slot]): node for node, slot in tape.slots.items()}
    number = {
        node_at[slot]: i
        for i, family in enumerate(rolled.families)
        for slot in family.slots.tolist()
        if slot in node_at
    }
    parts: dict[Any, list[tuple[Index, Value]]] = defaultdict(list)
    uses = _uses(graph, top, number)
    for i, family in enumerate(rolled.families):
        for slot, at in zip(family.slots.tolist(), family.grid.places.tolist(), strict=True):
            node = node_at.get(slot)
            if node is not None and node not in top:
                name, index = split_label(node.label)
                told = i, name, scope_of(node), node in graph.gradients, node in graph.ends, uses.get(node)
                parts[told].append((index or tuple(at), node))
    found = _found(parts)
    return found | _found(_constants(graph, found))


def _depth(graph: DrawnGraph, top: Mapping[Value, Value]) -> int:
    """The operations on the longest way down, of which no two are of one family."""
    depth: dict[Value, int] = {}
    deepest = depth.get
    for node in graph.order:
        if node.args:
            depth[node] = max([deepest(x, 0) for x in node.args]) + (node not in top)
    return max(depth.values(), default=0)


FOLDED = (rules.add, rules.maximum, rules.minimum)


def _found(parts: Mapping[Any, list[tuple[Index, Value]]]) -> dict[Value, Family]:
    families: dict[Value, Family] = {}
    for part in parts.values():
        if len(part) > 1:
            indices, members = zip(*sorted(part, key=lambda member: member[0]), strict=True)
            if members[0].op is leaf and not members[0].label:  # told apart by their uses alone
                indices = tuple((i,) for i in range(len(members)))
            family = Family(members, indices)
            families.update(dict.fromkeys(family.members, family))
    return families


def _leaf_arrays(graph: DrawnGraph) -> dict[Any, list[Value]]:
    """The leaves that are no constants as arrays: those of one name, and in a scope those without one."""
    arrays: dict[Any, list[Value]] = defaultdict(list)
    for node in graph.order:
        if not node.args and node.op is not constant:
            name, index = split_label(node.label)
            arrays[name if index or not name else node, scope_of(node)].append(node)
    return arrays


def _shape(array: Sequence[Value]) -> Index:
    indices = tuple(split_label(x.label)[1] for x in array)
    if not all(indices):
        return (len(array),) if len(array) > 1 else ()
    return Family(tuple(array), indices).shape


def _uses(
    graph: DrawnGraph, top: Mapping[Value, Value], number: Mapping[Value, int]
) -> dict[Value, frozenset[Any]]:
    """Leaves without names are told apart by the families that use them, and in which place."""
    uses: dict[Value, set[Any]] = defaultdict(set)
    for node in graph.order:
        for i, operand in enumerate(node.args):
            if not operand.args and not operand.label and operand.op is not constant:
                uses[operand].add((number.get(top.get(node, node)), i))
    return {x: frozenset(some) for x, some in uses.items()}


def _constants(graph: DrawnGraph, found: Mapping[Value, Family]) -> dict[Any, list[tuple[Index, Value]]]:
    """The constants that the members of a family take in one place, where they are not all equal."""
    parts: dict[Any, list[tuple[Index, Value]]] = {}
    taken: set[Value] = set()
    for family in dict.fromkeys(found.values()):
        for i, column in enumerate(zip(*(node.args for node in family.members), strict=False)):
            if all(x.op is constant for x in column) and len({repr(x.data) for x in column}) > 1:
                first = dict(zip(reversed(column), reversed(family.indices), strict=True))
                parts[family, i] = [(first[x], x) for x in dict.fromkeys(column) if x not in taken]
                taken.update(column)
    return parts


def shifts(
    order: Sequence[Value], together: Callable[[Value, Value], bool]
) -> tuple[dict[Value, Value], set[Value]]:
    """What a stable softmax subtracts: a maximum, detached, which moves neither result nor derivative.

    The differences that one exponential uses, each with that exponential as its head, and the nodes of the
    maxima.
    """
    users: dict[Value, list[Value]] = defaultdict(list)
    for node in order:
        for operand in node.args:
            if operand.op in (rules.detach, rules.maximum, rules.sub):
                users[operand].append(node)
    merged: dict[Value, Value] = {}
    hidden: set[Value] = set()
    for shift, differences in users.items():
        if shift.op is not rules.detach or not all(
            node.op is rules.sub and node.args[1] is shift and node.args[0].op is not constant
            and together(shift, shift) for node in differences
        ):  # fmt: skip
            continue
        inside = [shift.args[0]]
        for node in inside:
            if node.op is rules.maximum and len(users[node]) == 1 and together(node, shift):
                inside += node.args
        chain = {node for node in inside if node.op is rules.maximum}
        if chain and {*inside} - chain == {node.args[0] for node in differences}:
            hidden |= {shift, *chain}
            for node in differences:
                user = users[node]
                if len(user) == 1 and user[0].op is rules.exp and together(node, user[0]):
                    merged[node] = user[0]
    return merged, hidden
