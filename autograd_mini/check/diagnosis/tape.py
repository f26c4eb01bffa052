"""The graph of f as arrays: who feeds whom, local partials, adjoints and tangents, at every point.

Two numbers say what a node n has to do with a derivative: its adjoint ∂out/∂n and its tangent ∂n/∂in.
All paths through n together contribute their product to ∂out/∂in, and all paths over an edge u → v
contribute (∂out/∂v)(∂v/∂u)(∂u/∂in). A mistake at n or on the edge changes that contribution and no other.

A person differentiates arrays and not scalars. Nodes that were made in the same way from elements of the
same arrays form a `Group`, ordered as those elements are; no path leads through two of its nodes, so that
their contributions add up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from autograd_mini.check.diagnosis.case import Case
from autograd_mini.check.subjects.arguments import plain
from autograd_mini.check.subjects.subject import Graph
from autograd_mini.instructions import Instructions
from autograd_mini.labels import split_label, subscript
from autograd_mini.number_types import FLOAT
from autograd_mini.sweeps import CUT, Sweep, tape_of
from autograd_mini.value import as_operand as lifted
from autograd_mini.value import constant

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Indices: TypeAlias = NDArray[np.intp]
    Index: TypeAlias = tuple[int, ...]

LARGEST, WIDEST = 20_000, 2_000_000  # nodes, and numbers of their sweeps: beyond, no graph is looked at
IN_PARENTHESES = re.compile(r"\([^()]*\)")
INFIX = {"add": " + ", "sub": " − ", "mul": "·", "div": " / ", "pow": "^"}


@dataclass(frozen=True)
class Group:
    """Nodes that are the elements of one array, in its order; the name is made when it is asked for."""

    nodes: Indices
    tape: Tape

    @property
    def name(self) -> str:
        return self.tape.name_of(self)

    @property
    def labelled(self) -> bool:
        return bool(self.tape.labels[self.nodes[0]])

    @property
    def level(self) -> int:
        return self.tape.level[int(self.nodes[0])]

    @property
    def op(self) -> str:
        return str(self.tape.order[int(self.nodes[0])].op.name)

    def __len__(self) -> int:
        return len(self.nodes)


@dataclass(frozen=True)
class Edges:
    """The edges into one operand's place of the nodes of a group."""

    into: Group
    operands: Group
    place: int
    edges: Indices


class Tape:
    """The graph's structure, which is the same at every point, and the `Numbers` at each."""

    def __init__(self, case: Case, graph: Graph) -> None:
        recorded = tape_of([*graph.outputs.flat])
        self.case, self.code = case, recorded.code
        self.names = [name for name in case.names if name in graph.inputs]
        total = self.code.slots
        if total > LARGEST or total * (case.outputs + sum(graph.inputs[x].size for x in self.names)) > WIDEST:
            raise ValueError("the graph is too large")
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
        home = self._numbers_of(graph)
        if home is None or (self.names and not self._is_true(case.home, home)):
            raise ValueError("the graph does not give the truth")
        self.home = home
        self._numbers: dict[int, Numbers | None] = {case.home: home}

    def _numbers_of(self, graph: Graph) -> Numbers | None:
        """The numbers of a graph; None if it is another one than this, or does not give the truth."""
        recorded = tape_of([*graph.outputs.flat])
        if not self._is_alike(recorded.code):
            return None
        nodes = [node for name in self.names for node in graph.inputs[name].flat]
        inputs = [recorded.slots.get(node, -1) for node in nodes]
        return Numbers(self, Sweep(recorded.code, recorded.start, FLOAT), inputs)

    def _is_alike(self, code: Instructions) -> bool:
        """Whether instructions are those of this graph, up to their numbers."""
        mine = self.code
        same = code.rows == mine.rows and np.array_equal(code.outputs, mine.outputs)
        return same and all(map(np.array_equal, (code.codes, code.operands), (mine.codes, mine.operands)))

    def at(self, p: int) -> Numbers | None:
        """The numbers at a point, where the graph gives the truth."""
        if p not in self._numbers:
            graph = self.case.evidence.graph(self.case.points[p])
            numbers = None if graph is None else self._numbers_of(graph)
            self._numbers[p] = numbers if numbers and self._is_true(p, numbers) else None
        return self._numbers[p]

    def _is_true(self, p: int, numbers: Numbers) -> bool:
        truth = self.case.matrix(self.case.points[p].truth)
        floor = 1e-6 * np.max(abs(truth), initial=0.0) + 1e-12
        return numbers.jacobian.shape == truth.shape and np.allclose(numbers.jacobian, truth, 1e-5, floor)

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
    def inputs(self) -> dict[str, list[int]]:
        """The slots of the differentiated arrays, −1 for elements that do not occur."""
        sizes = [self.case.points[0].truth[name].size // max(1, self.case.outputs) for name in self.names]
        parts = np.split(np.array(self.home.inputs, dtype=int), np.cumsum(sizes)[:-1])
        return {name: part.tolist() for name, part in zip(self.names, parts, strict=False)}

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
            nodes.sort(key=lambda i: (flat.get(i, 0), split_label(self.labels[i])[1],
                                      [rank.get(u, 0) for u in self.args[i]], i))  # fmt: skip
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

    def name_of(self, group: Group) -> str:
        nodes = group.nodes.tolist()
        if not group.labelled and {*self.home.roots}.issuperset(nodes):
            return self.case.evidence.out
        if not group.labelled and all(self.order[i].op is constant for i in nodes):
            return self._constants(nodes)
        return self.name(nodes[0], whole=len(nodes) > 1)

    @cached_property
    def group_of(self) -> dict[int, Group]:
        return {int(i): group for group in self.groups for i in group.nodes}

    @cached_property
    def outputs(self) -> Group | None:
        """The outputs in their order, if each is a node of its own."""
        nodes = self.home.roots
        own = len(set(nodes)) == len(nodes) and all(self.order[i].op is not constant for i in nodes)
        return self.group(nodes) if own else None

    @cached_property
    def edges(self) -> list[Edges]:
        """The edges that carry derivatives, those of a group at one place together, then one by one."""
        carrying = self.home.carrying
        together, single = [], []
        for group in self.groups:
            for place in range(max(len(self.args[v]) for v in group.nodes)):
                edges = [int(self.first[v]) + place for v in group.nodes if len(self.args[v]) > place]
                edges = [e for e in edges if carrying[e]]
                if edges:
                    together.append(self._edges(edges, place))
                    single += [self._edges([e], place) for e in edges if len(edges) > 1]
        return together + (single if len(single) <= 400 else [])

    def _edges(self, edges: Sequence[int], place: int) -> Edges:
        into, operands = self.group(self.target[edges]), self.group(self.source[edges])
        return Edges(into, operands, place, np.array(edges, dtype=int))

    # --- names ---

    def name(self, i: int, whole: bool = False, length: int = 40) -> str:
        """A node as a person would write it: its label, else its formula if that is short.

        ``whole`` names the array of which it is an element.
        """
        node = self.order[i]
        if self.labels[i]:
            base, index = split_label(self.labels[i])
            return base if whole and index else self.labels[i]
        if node.op is constant:
            return self._constant(i, whole)
        op = node.op.name
        if op == "sub" and self._is_shift(self.args[i][1]):
            return self.name(self.args[i][0], whole, length)  # a shift that changes nothing
        if length < 6 or not self.args[i]:
            return "…"
        if known := self._known(i):
            all_of = whole or known[0] in ("mean", "var")
            return f"{known[0]}({self.name(known[1], all_of, length * 2 // 3)})"
        if op == "add":
            return self._sum(i, whole, length)
        operands = [self._operand(i, k, whole, length * 2 // 3) for k in range(len(self.args[i]))]
        if op == "xlogy":
            return f"{as_operand(operands[0])}·ln {as_operand(operands[1])}"
        if op in INFIX:
            closer = {"sub": "+−", "mul": "+−/Σ"}.get(op, " ·^−")  # binds less than the operation
            return INFIX[op].join(as_operand(operand, closer) for operand in operands)
        return f"−{as_operand(operands[0])}" if op == "neg" else f"{op}({', '.join(operands)})"

    def _is_shift(self, i: int) -> bool:
        return self.order[i].op.name == "detach" or i in self.home.shifts

    def _known(self, i: int) -> tuple[str, int] | None:
        """The function of which a node is the output, exp u / Σ exp u, 1 / (1 + exp −u), Σ u / n or the
        mean of (u − mean u)², and its u."""

        def parts(i: int, op: str) -> list[int]:
            return self.args[i] if self.order[i].op.name == op and not self.labels[i] else []

        def is_one(i: int) -> bool:
            return self.order[i].op is constant and self.order[i].data == 1

        if not (operands := parts(i, "div") or self.args[i]) or self.order[i].op.name != "div":
            return None
        above, below = operands
        if self.order[below].op is constant and (term := self._averaged(i)) is not None:
            factors = {*(parts(term, "mul") or parts(term, "pow")[:1])}
            shifted = parts(factors.pop(), "sub") if len(factors) == 1 else []
            own = self._averaged(shifted[1]) if shifted else None
            if own is not None and self.kinds[own] == self.kinds[shifted[0]]:
                return "var", shifted[0]
            return "mean", term
        if exponential := parts(above, "exp"):
            terms = self.terms(below)
            if above in terms and len({self.kinds[u] for u in terms}) == 1 < len(terms):
                return "softmax", exponential[0]
        if is_one(above) and len(both := parts(below, "add")) == 2 and any(map(is_one, both)):
            for other in both:
                if (e := parts(other, "exp")) and (u := parts(e[0], "neg")):
                    return "sigmoid", u[0]
        return None

    def _averaged(self, i: int) -> int | None:
        """One of the terms of which a node is the mean."""
        if self.order[i].op.name != "div" or self.order[self.args[i][1]].op is not constant:
            return None
        terms = self.terms(self.args[i][0])
        alike = len({self.kinds[u] for u in terms}) == 1 < len(terms) == self.order[self.args[i][1]].data
        return terms[0] if alike else None

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
    def held(self) -> dict[int, tuple[str, Index]]:
        """The constants that are elements of f's other arguments, as they move with these: name and index."""
        found: dict[int, tuple[str, Index]] = {}
        for name in self.case.arrays:
            x = np.asarray(self.case.points[self.case.home].arguments[name])
            more = 1e-3 * np.random.default_rng(0).uniform(0.5, 1.5, x.shape)
            for moved in (x + more, np.where(x == 0, 0.0, x + more)):  # of zeros, terms may be left out
                with suppress(Exception):  # it is an index, which cannot be moved
                    if (data := self._data(name, moved)) is not None:
                        found |= self._named(name, moved, data)
                        break
        return found

    def _data(self, name: str, x: Floats) -> dict[int, float] | None:
        """The numbers of the graph where an argument is another one; None if it is another graph."""
        point = self.case.points[self.case.home]
        graph = self.case.evidence.graph(replace(point, arguments={**point.arguments, name: plain(x)}))
        recorded = None if graph is None else tape_of([*graph.outputs.flat])
        if recorded is None or not self._is_alike(recorded.code):
            return None
        return {slot: node.data for node, slot in recorded.slots.items()}

    def _named(self, name: str, array: Floats, data: Mapping[int, float]) -> dict[int, tuple[str, Index]]:
        names = {
            float(sign * x): (mark + name, index)
            for index, x in np.ndenumerate(array)
            for sign, mark in ((-1, "−"), (1, ""))
            if x
        }
        constants = [i for i, node in enumerate(self.order) if node.op is constant]
        return {i: names[data[i]] for i in constants if data.get(i) in names}

    def _constant(self, i: int, whole: bool) -> str:
        """A constant, or the argument of f that it is an element of."""
        if i in self.held:
            name, index = self.held[i]
            return name if whole else subscript(name, index)
        return f"{self.order[i].data:.4g}".replace("-", "−")

    def _constants(self, nodes: Sequence[int]) -> str:
        """Constants that are one array: an argument of f, whose zeros may be any, or c."""
        names = {self._constant(i, whole=True) for i in nodes if self.order[i].data} or {"0"}
        return names.pop() if len(names) == 1 else "c"

    def _operand(self, i: int, place: int, whole: bool, length: int) -> str:
        """An operand's name; of constants that differ between an array's elements, that of all."""
        u = self.args[i][place]
        if whole and self.order[u].op is constant and i in self.group_of:
            return self._constants([self.args[v][place] for v in self.group_of[i].nodes])
        return self.name(u, whole, length)

    def _sum(self, i: int, whole: bool, length: int) -> str:
        """A sum with terms of one kind under one Σ: ``Σ W·h + b``."""
        terms: dict[int, list[int]] = {}
        for u in self.terms(i):
            terms.setdefault(self.kinds[u], []).append(u)
        said = [self.total(alike, whole, length * 2 // 3) for alike in terms.values()]
        return " + ".join(said[:3]) + " + …" * (len(said) > 3)

    def total(self, alike: Sequence[int], whole: bool = False, length: int = 40) -> str:
        """The sum of nodes of one kind."""
        many = len(alike) > 1
        name = self.name(alike[0], whole or many, length)
        return f"Σ {as_operand(name)}" if many and "·" not in name else "Σ " * many + name


class Numbers:
    """The numbers of the tape at one point; rows of ``adjoint`` and ``tangent`` belong to nodes."""

    def __init__(self, tape: Tape, sweep: Sweep, inputs: Sequence[int]) -> None:
        self.tape, self.inputs = tape, inputs
        self._tangents: dict[tuple[int, ...], Floats] = {}
        self.values = np.array(sweep.slots, dtype=float)
        self.roots = tape.code.outputs.tolist()
        local = [sweep.local(i) for i in range(tape.code.first, len(self.values))]
        partials = [1.0 if x is None else 0.0 if x is CUT else float(x) for row in local for x in row]
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

    def tangents(self, seeds: Sequence[int], held: Sequence[int] = ()) -> Floats:
        """∂node/∂seed for every node, with a column for each seed, −1 one that does not occur.

        Nodes that are ``held`` are constants.
        """
        key = (*seeds, *held)
        if key in self._tangents:
            return self._tangents[key]
        tape, tangent = self.tape, np.zeros((len(self.values), len(seeds)))
        columns = [column for column, i in enumerate(seeds) if i >= 0]
        tangent[[seeds[column] for column in columns], columns] = 1.0
        for edges in tape.steps:
            kept = edges[~np.isin(tape.source[edges], held)] if len(held) else edges
            tangent[tape.target[kept]] += self.partials[kept, None] * tangent[tape.source[kept]]
        self._tangents[key] = tangent
        return tangent

    @cached_property
    def carrying(self) -> NDArray[np.bool_]:
        """Which edges some derivative passes."""
        above, below = (
            np.any(x != 0, axis=1) for x in (self.adjoint[self.tape.target], self.tangent[self.tape.source])
        )
        return np.asarray(above & below & (self.partials != 0))

    def over(self, above: Indices, below: Indices, weights: Floats) -> Floats:
        """Σ weight · (∂out/∂v)(∂u/∂in) over pairs of a node v above and a node u below."""
        sums: Floats = self.adjoint[above].T @ (weights[:, None] * self.tangent[below])
        return sums


def tape_if_any(case: Case) -> Tape | None:
    """The tape of f, if it runs on Values, every node tells its partials, and it is not too large."""
    graph = case.evidence.graph(case.points[case.home])
    try:
        return None if graph is None else Tape(case, graph)
    except (TypeError, ValueError):  # a node made by hand, another graph than the truth's
        return None


def as_operand(name: str, operators: str = " ·^−") -> str:
    """A name as an operand: sums and products in parentheses, calls and labels as they are."""
    outside, count = name, 1
    while count:
        outside, count = IN_PARENTHESES.subn("", outside)
    return f"({name})" if set(operators) & set(outside) else name
