"""The graph of f as arrays: who feeds whom, local partials, adjoints and tangents, at every point.

Two numbers say what a node n has to do with a derivative: its adjoint ∂out/∂n and its tangent ∂n/∂in.
All paths through n together contribute their product to ∂out/∂in, and all paths over an edge u → v
contribute (∂out/∂v)(∂v/∂u)(∂u/∂in). A mistake at n or on the edge changes that contribution and no other.

A person differentiates arrays and not scalars. Nodes that were made in the same way from elements of the
same arrays form a `Group`, ordered as those elements are; no path leads through two of its nodes, so that
their contributions add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from autograd_mini import sweeps
from autograd_mini.check.diagnosis.case import Case, argument
from autograd_mini.check.diagnosis.evidence import Point
from autograd_mini.check.diagnosis.naming import Naming
from autograd_mini.check.subjects.arguments import Floats
from autograd_mini.check.subjects.subject import Graph
from autograd_mini.instructions import Instructions
from autograd_mini.labels import split_label
from autograd_mini.number_types import FLOAT
from autograd_mini.value import as_operand as lifted
from autograd_mini.value import constant

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Indices: TypeAlias = NDArray[np.intp]
Weights: TypeAlias = "Callable[[Numbers], Floats]"  # a number for each node of an array, or a matrix

LARGEST, WIDEST = 20_000, 2_000_000  # nodes, and numbers of their sweeps: beyond, no graph is looked at
LINEAR = ("add", "sub", "neg", "identity")
SINGLE = 400  # edges that are also looked at one by one


@dataclass(frozen=True, eq=False)
class Group:
    """Nodes that are the elements of one array, in its order; the name is made when it is asked for."""

    nodes: Indices
    tape: Tape

    @cached_property
    def name(self) -> str:
        return self.tape.naming.of_group(self)

    @property
    def labelled(self) -> bool:
        return bool(self.tape.labels[self.nodes[0]])

    @property
    def level(self) -> int:
        return self.tape.level[int(self.nodes[0])]

    @property
    def op(self) -> str:
        return str(self.tape.order[int(self.nodes[0])].op.name)

    def values(self, numbers: Numbers) -> Floats:
        found: Floats = numbers.values[self.nodes]
        return found

    def __len__(self) -> int:
        return len(self.nodes)


@dataclass(frozen=True, eq=False)
class Site:
    """Pairs of nodes, ``above`` and ``below``; both the same, what passes some nodes."""

    above: Group
    below: Group

    def right(self, numbers: Numbers) -> Floats:
        """The weights that belong there."""
        return np.ones(len(self.above))

    def passed(self, numbers: Numbers, weights: Floats) -> Floats:
        """What passes with certain weights, outputs by inputs."""
        return numbers.through(self.above, self.below, weights)

    def changed(self, of: Weights) -> Weights:
        """What the Jacobian changes by with other weights."""
        return lambda numbers: self.passed(numbers, of(numbers) - self.right(numbers))

    def scaled(self, c: float) -> Weights:
        return lambda numbers: c * self.right(numbers)


@dataclass(frozen=True, eq=False)
class Edges(Site):
    """The edges into one operand's place of the nodes of a group."""

    place: int
    edges: Indices

    @property
    def op(self) -> str:
        return self.above.op

    def right(self, numbers: Numbers) -> Floats:
        partials: Floats = numbers.partials[self.edges]
        return partials

    @property
    def others(self) -> Group:
        """The other operands of the operation, or the only one."""
        tape = self.above.tape
        operands = [tape.args[v] for v in self.above.nodes]
        return tape.group(args[1 - self.place] if len(args) == 2 else args[0] for args in operands)

    @property
    def is_linear(self) -> bool:
        """Whether an operand enters by a constant factor only."""
        tape, v = self.above.tape, int(self.above.nodes[0])
        others = [u for k, u in enumerate(tape.args[v]) if k != self.place]
        scaled = self.op == "mul" or (self.op == "div" and self.place == 0)
        return self.op in LINEAR or (scaled and not tape.moving[others].any())


class Tape:
    """The graph's structure, which is the same at every point, and the `Numbers` at each."""

    def __init__(self, case: Case, graph: Graph, recorded: sweeps.Tape) -> None:
        self.case, self.code, self.naming = case, recorded.code, Naming(self)
        self.inputs = _inputs(case, graph, recorded)
        total = self.code.slots
        self.order = [lifted(0.0)] * total  # of an output that is a number
        for node, slot in recorded.slots.items():
            self.order[slot] = node
        self.labels = [node.label or graph.called.get(node, "") for node in self.order]
        rows, places = np.nonzero(self.code.operands >= 0)
        self.source, self.target = self.code.operands[rows, places], rows + self.code.first
        self.args: list[list[int]] = [[] for _ in range(total)]
        for u, v in zip(self.source.tolist(), self.target.tolist(), strict=True):
            self.args[v].append(u)
        self.first = np.searchsorted(self.target, np.arange(total))  # a node's edges lie together
        self.level = [0] * total
        for v in range(self.code.first, total):
            self.level[v] = 1 + max(self.level[u] for u in self.args[v])
        ranks = np.array(self.level)[self.target] * 4 + places
        by_level = np.argsort(ranks, kind="stable")
        self.steps = np.split(by_level, np.flatnonzero(np.diff(ranks[by_level])) + 1)
        self.home = self._numbers_of(case.home, graph, recorded)
        self._numbers: dict[int, Numbers | None] = {id(case.home): self.home}

    def _numbers_of(self, point: Point, graph: Graph, recorded: sweeps.Tape) -> Numbers:
        sweep = sweeps.Sweep(recorded.code, recorded.start, FLOAT)
        return Numbers(
            self, point, sweep, [*chain.from_iterable(_inputs(self.case, graph, recorded).values())]
        )

    def is_alike(self, code: Instructions) -> bool:
        """Whether instructions are those of this graph, up to their numbers."""
        mine = self.code
        same = code.rows == mine.rows and np.array_equal(code.outputs, mine.outputs)
        return same and all(map(np.array_equal, (code.codes, code.operands), (mine.codes, mine.operands)))

    def at(self, point: Point) -> Numbers | None:
        """The numbers at a point, where the graph is this one and gives the truth."""
        if id(point) not in self._numbers:
            graph = self.case.evidence.graph(point)
            recorded = graph and sweeps.tape_of([*graph.outputs.flat])
            alike = recorded and self.is_alike(recorded.code)
            numbers = self._numbers_of(point, graph, recorded) if graph and recorded and alike else None
            self._numbers[id(point)] = numbers if numbers and numbers.is_true else None
        return self._numbers[id(point)]

    @cached_property
    def moving(self) -> NDArray[np.bool_]:
        """Which nodes depend on what f is differentiated by."""
        return np.asarray(np.any(self.home.tangent != 0, axis=1))

    # --- groups ---

    @cached_property
    def kinds(self) -> list[int]:
        """For each node the number of its kind: nodes of one kind were made alike from the same arrays."""
        numbers: dict[Any, int] = {}
        wanted = {i: ("input", name) for name, nodes in self.inputs.items() for i in nodes}
        kinds: list[int] = []
        for i, node in enumerate(self.order):
            base, index = split_label(self.labels[i])
            made: Any = (node.op.name, base, *(kinds[u] for u in self.args[i]))
            if i in wanted:
                made = wanted[i]
            elif node.op is constant:
                made = "constant"
            elif index:
                made = ("named", base, node.op.name, self.level[i])
            kinds.append(numbers.setdefault(made, len(numbers)))
        return kinds

    @cached_property
    def groups(self) -> list[Group]:
        """Every array of nodes, labelled ones first, then from the inputs up."""
        members: dict[int, list[int]] = {}
        for i, kind in enumerate(self.kinds):
            members.setdefault(kind, []).append(i)
        rank: dict[int, int] = {}
        groups: list[Group] = []
        flat = {i: k for nodes in self.inputs.values() for k, i in enumerate(x for x in nodes if x >= 0)}
        for nodes in sorted(members.values(), key=lambda nodes: self.level[nodes[0]]):
            ranks = {i: [rank.get(u, 0) for u in self.args[i]] for i in nodes}
            places = range(len(ranks[nodes[0]]))  # an operand that is not broadcast gives the order
            whole = [k for k in places if len({operands[k] for operands in ranks.values()}) == len(nodes)]
            nodes.sort(key=lambda i: (flat.get(i, 0), split_label(self.labels[i])[1],
                                      [ranks[i][k] for k in whole], ranks[i], i))  # fmt: skip
            constants = self.order[nodes[0]].op is constant
            rank.update({i: 0 if constants else k for k, i in enumerate(nodes)})
            if not constants:
                groups.append(self.group(nodes))
        groups += [self.group(part) for group in groups for part in self._parts(group)]
        return sorted(groups, key=lambda group: (not group.labelled, group.level))

    def _parts(self, group: Group) -> list[list[int]]:
        """The parts of an array that are used in different ways, as the gates that are slices of one."""
        parts: dict[int, list[int]] = {}
        for i in group.nodes.tolist():
            parts.setdefault(self.uses[i], []).append(i)
        return [part for part in parts.values() if 1 < len(part) < len(group)]

    @cached_property
    def uses(self) -> list[int]:
        """For each node a number of what is made of it; a sum has no order."""
        found: list[set[Any]] = [set() for _ in self.order]
        numbers: dict[Any, int] = {}
        uses = [0] * len(self.order)
        for v in range(len(self.order) - 1, -1, -1):
            uses[v] = numbers.setdefault(frozenset(found[v]), len(numbers))
            for place, u in enumerate(self.args[v]):
                op = self.order[v].op.name
                found[u] |= found[v] if op == "add" else {(op, place, uses[v], self.kinds[v])}
        return uses

    def group(self, nodes: Iterable[int]) -> Group:
        return Group(np.array([*nodes], dtype=int), self)

    @cached_property
    def group_of(self) -> dict[int, Group]:
        return {int(i): group for group in self.groups for i in group.nodes}

    @cached_property
    def outputs(self) -> Group | None:
        """The outputs in their order, if each is a node of its own."""
        nodes = self.home.roots
        own = len(set(nodes)) == len(nodes) and all(self.order[i].op is not constant for i in nodes)
        return self.group(nodes) if own else None

    def terms(self, i: int) -> list[int]:
        """The terms of a sum without a label, from the left."""
        terms, stack = [], [i]
        while stack:
            u = stack.pop()
            if self.order[u].op.name == "add" and (u == i or not self.labels[u]):
                stack += reversed(self.args[u])
            else:
                terms.append(u)
        return terms

    @cached_property
    def edges(self) -> list[Edges]:
        """The edges that carry derivatives, those of a group at one place together, then one by one."""
        together, single = [], []
        for group in self.groups:
            for place in range(max(len(self.args[v]) for v in group.nodes)):
                edges = [int(self.first[v]) + place for v in group.nodes if len(self.args[v]) > place]
                if edges := [e for e in edges if self.home.carrying[e]]:
                    together.append(self._edges(edges, place))
                    single += [self._edges([e], place) for e in edges if len(edges) > 1]
        return together + (single if len(single) <= SINGLE else [])

    def _edges(self, edges: Sequence[int], place: int) -> Edges:
        above, below = self.group(self.target[edges]), self.group(self.source[edges])
        return Edges(above, below, place, np.array(edges, dtype=int))


def _inputs(case: Case, graph: Graph, recorded: sweeps.Tape) -> dict[str, list[int]]:
    """The slots of the differentiated arrays, −1 for elements that do not occur."""
    slots = {name: graph.inputs[name].flat for name in case.names if name in graph.inputs}
    return {name: [recorded.slots.get(node, -1) for node in nodes] for name, nodes in slots.items()}


class Numbers:
    """The numbers of the tape at one point; rows of ``adjoint`` and ``tangent`` belong to nodes."""

    def __init__(self, tape: Tape, point: Point, sweep: sweeps.Sweep, inputs: Sequence[int]) -> None:
        self.tape, self.point = tape, point
        self._tangents: dict[tuple[int, ...], Floats] = {}
        self.values = np.array(sweep.slots, dtype=float)
        self.roots = tape.code.outputs.tolist()
        local = [sweep.local(i) for i in range(tape.code.first, len(self.values))]
        partials = [1.0 if x is None else 0.0 if x is sweeps.CUT else float(x) for row in local for x in row]
        self.partials = np.nan_to_num(np.array(partials), nan=0.0, posinf=0.0, neginf=0.0)
        self.adjoint = np.zeros((len(self.values), len(self.roots)))
        np.add.at(self.adjoint, (self.roots, np.arange(len(self.roots))), 1.0)
        for edges in reversed(tape.steps):
            terms = self.partials[edges, None] * self.adjoint[tape.target[edges]]
            np.add.at(self.adjoint, tape.source[edges], terms)
        # A maximum on which nothing depends is the shift of a softmax, which a person takes for a constant.
        largest = np.max(abs(self.adjoint), axis=1, initial=0.0)
        small = largest <= 1e-12 * largest.max(initial=0.0)
        self.shifts = {i for i in np.flatnonzero(small).tolist() if tape.order[i].op.name == "maximum"}
        self.partials[np.isin(tape.source, [*self.shifts])] = 0.0
        self.tangent = self.tangents(inputs)
        self.jacobian = self.tangent[self.roots]

    def argument(self, name: str) -> Floats:
        """An argument of f, flat."""
        return argument(self.point, name)

    @property
    def is_true(self) -> bool:
        """Whether the graph gives the truth."""
        truth = self.tape.case.matrix(self.point.truth)
        floor = 1e-6 * np.max(abs(truth), initial=0.0) + 1e-12
        return self.jacobian.shape == truth.shape and np.allclose(self.jacobian, truth, 1e-5, floor)

    def tangents(self, seeds: Sequence[int]) -> Floats:
        """∂node/∂seed for every node, with a column for each seed, −1 one that does not occur."""
        key = tuple(seeds)
        if key not in self._tangents:
            tape, tangent = self.tape, np.zeros((len(self.values), len(seeds)))
            columns = [column for column, i in enumerate(seeds) if i >= 0]
            tangent[[seeds[column] for column in columns], columns] = 1.0
            for edges in tape.steps:
                tangent[tape.target[edges]] += self.partials[edges, None] * tangent[tape.source[edges]]
            self._tangents[key] = tangent
        return self._tangents[key]

    @cached_property
    def carrying(self) -> NDArray[np.bool_]:
        """Which edges some derivative passes."""
        above, below = (
            np.any(x != 0, axis=1) for x in (self.adjoint[self.tape.target], self.tangent[self.tape.source])
        )
        return np.asarray(above & below & ~np.isin(self.tape.source, [*self.shifts]))

    def through(self, above: Group, below: Group, weights: Floats) -> Floats:
        """Σ (∂out/∂v) · weight · (∂u/∂in) over nodes v above and u below: in pairs, or all by a matrix."""
        tangent = self.tangent[below.nodes]
        below_weighted = weights @ tangent if weights.ndim == 2 else weights[:, None] * tangent
        return np.asarray(self.adjoint[above.nodes].T @ below_weighted)


def tape_if_any(case: Case) -> Tape | None:
    """The tape of f, if it runs on Values, gives the truth, and is not too large."""
    graph = case.evidence.graph(case.home)
    if graph is None:
        return None
    try:
        recorded = sweeps.tape_of([*graph.outputs.flat])
    except TypeError:  # a node made by hand
        return None
    total = recorded.code.slots
    wide = total * (case.outputs + sum(graph.inputs[x].size for x in case.names if x in graph.inputs))
    if total > LARGEST or wide > WIDEST:
        return None
    tape = Tape(case, graph, recorded)
    return tape if tape.home.is_true or not tape.inputs else None
