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
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from autograd_mini.check.diagnosis.case import Case
from autograd_mini.check.subjects.subject import Graph
from autograd_mini.labels import split_label
from autograd_mini.rules import Primitive
from autograd_mini.value import Value, array_products, constant, topological_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Indices: TypeAlias = NDArray[np.intp]

LARGEST = 20_000  # nodes; beyond that only what needs no graph is tried
IN_PARENTHESES = re.compile(r"\([^()]*\)")
INFIX = {"add": " + ", "sub": " − ", "mul": "·", "div": " / ", "pow": "^"}


@dataclass(frozen=True)
class Group:
    """Nodes that are the elements of one array, in its order; the name is made when it is asked for."""

    nodes: Indices
    labelled: bool
    level: int
    tape: Tape

    @property
    def name(self) -> str:
        return self.tape.name_of(self)

    def __len__(self) -> int:
        return len(self.nodes)


@dataclass(frozen=True)
class Edges:
    """The edges into one operand's place of the nodes of a group."""

    into: Group
    place: int
    edges: Indices
    operands: Group


class Tape:
    """The graph's structure, which is the same at every point, and a `Sweep` for each point."""

    def __init__(self, case: Case, graph: Graph) -> None:
        self.case, self.home = case, case.home
        self.order = _order(graph)
        self.index = {node: i for i, node in enumerate(self.order)}
        self.roots = {self.index[x] for x in graph.outputs.flat if isinstance(x, Value)}
        self.args = [tuple(self.index[operand] for operand in node.args) for node in self.order]
        pairs = [(u, v, k) for v, operands in enumerate(self.args) for k, u in enumerate(operands)]
        self.source, self.target, self.place = np.array(pairs, dtype=int).reshape(-1, 3).T
        self.inputs = {
            name: [self.index.get(node, -1) for node in graph.inputs[name].flat]
            for name in case.names
            if name in graph.inputs
        }
        self.level = [0] * len(self.order)
        for v, operands in enumerate(self.args):
            if operands:
                self.level[v] = 1 + max(self.level[u] for u in operands)
        self._sweeps: dict[int, Sweep | None] = {}

    def at(self, p: int) -> Sweep | None:
        """The sweep at a point; None where the graph is another one or does not give the truth."""
        if p not in self._sweeps:
            graph = self.case.evidence.graph(self.case.points[p])
            sweep = Sweep(self, graph) if graph is not None and self._same(graph) else None
            if sweep is not None and not self._true(p, sweep):
                sweep = None
            self._sweeps[p] = sweep
        return self._sweeps[p]

    def _same(self, graph: Graph) -> bool:
        order = _order(graph)
        return len(order) == len(self.order) and all(
            one.op is other.op and len(one.args) == len(other.args)
            for one, other in zip(order, self.order, strict=True)
        )

    def _true(self, p: int, sweep: Sweep) -> bool:
        truth = self.case.matrix(self.case.points[p].truth)
        return sweep.jacobian.shape == truth.shape and np.allclose(
            sweep.jacobian, truth, 1e-5, 1e-6 * np.max(abs(truth), initial=0.0) + 1e-12
        )

    # --- groups ---

    @cached_property
    def kinds(self) -> list[int]:
        """For each node the number of its kind: nodes of one kind were made alike from the same arrays."""
        numbers: dict[Any, int] = {}
        wanted = {i: name for name, indices in self.inputs.items() for i in indices}
        kinds: list[int] = []
        for i, node in enumerate(self.order):
            base, index = split_label(node.label)
            key: Any
            if i in wanted:
                key = ("input", wanted[i])
            elif node.op is constant:
                key = "constant"
            elif index:
                key = ("named", base, node.op.name, self.level[i])
            else:
                key = (node.op.name, base, *(kinds[u] for u in self.args[i]))
            kinds.append(numbers.setdefault(key, len(numbers)))
        return kinds

    @cached_property
    def groups(self) -> list[Group]:
        """Every array of nodes, labelled ones first, then from the inputs up."""
        members: dict[int, list[int]] = {}
        for i, kind in enumerate(self.kinds):
            members.setdefault(kind, []).append(i)
        rank: dict[int, int] = {}
        groups: list[Group] = []
        wanted = {name: [i for i in indices if i >= 0] for name, indices in self.inputs.items()}
        flat = {i: k for indices in wanted.values() for k, i in enumerate(indices)}
        for nodes in sorted(members.values(), key=lambda nodes: self.level[nodes[0]]):
            nodes.sort(key=lambda i: (flat.get(i, 0), split_label(self.order[i].label)[1],
                                      [rank.get(u, 0) for u in self.args[i]], i))  # fmt: skip
            constants = self.order[nodes[0]].op is constant
            rank.update({i: 0 if constants else k for k, i in enumerate(nodes)})
            if not constants:
                groups.append(self.group(nodes))
        return sorted(groups, key=lambda group: (not group.labelled, group.level))

    def group(self, nodes: Sequence[int]) -> Group:
        first = self.order[nodes[0]]
        return Group(np.array(nodes, dtype=int), bool(first.label), self.level[nodes[0]], self)

    def name_of(self, group: Group) -> str:
        nodes = group.nodes.tolist()
        if not group.labelled and self.roots.issuperset(nodes):
            return self.case.evidence.out
        return self.name(nodes[0], whole=len(nodes) > 1)

    @cached_property
    def group_of(self) -> dict[int, Group]:
        return {int(i): group for group in self.groups for i in group.nodes}

    @cached_property
    def outputs(self) -> Group | None:
        """The outputs in their order, if each is a node of its own."""
        rows = self.at(self.home)
        nodes = [] if rows is None else rows.roots
        return self.group(nodes) if nodes and min(nodes) >= 0 and len(set(nodes)) == len(nodes) else None

    @cached_property
    def edges(self) -> list[Edges]:
        """The edges that carry derivatives, those of a group at one place together, then one by one."""
        number = {(int(v), int(k)): e for e, (v, k) in enumerate(zip(self.target, self.place, strict=True))}
        together, single = [], []
        for group in self.groups:
            for place in range(len(self.args[group.nodes[0]])):
                edges = [number[int(v), place] for v in group.nodes if len(self.args[v]) > place]
                edges = [e for e in edges if e in self._carrying]
                if not edges:
                    continue
                together.append(self._edges(edges, place))
                if len(edges) > 1:
                    single += [self._edges([e], place) for e in edges]
        return together + (single if len(single) <= 2000 else [])

    def _edges(self, edges: Sequence[int], place: int) -> Edges:
        into = self.group([int(self.target[e]) for e in edges])
        operands = self.group([int(self.source[e]) for e in edges])
        return Edges(into, place, np.array(edges, dtype=int), operands)

    @cached_property
    def _carrying(self) -> set[int]:
        """The edges that some derivative passes at the home point."""
        sweep = self.at(self.home)
        assert sweep is not None
        above, below = np.any(sweep.adjoint != 0, axis=1), np.any(sweep.tangent != 0, axis=1)
        passed = np.asarray(above)[self.target] & np.asarray(below)[self.source] & (sweep.partials != 0)
        return set(np.flatnonzero(passed).tolist())

    # --- names ---

    def name(self, i: int, whole: bool = False, length: int = 40) -> str:
        """A node as a person would write it: its label, else its formula if that is short.

        ``whole`` names the array of which it is an element.
        """
        node = self.order[i]
        if node.label:
            base, index = split_label(node.label)
            return base if whole and index else node.label
        if node.op is constant:
            return self._number(node.data)
        if not self.args[i]:
            return "an unnamed leaf"
        op = node.op.name
        if op == "sub" and self._is_shift(self.args[i][1]):
            return self.name(self.args[i][0], whole, length)  # a shift that changes nothing
        if length < 6:
            return "…"
        if known := self._known(i):
            said, u = known
            return f"{said}({self.name(u, whole, length * 2 // 3)})"
        if op == "add":
            return self._sum(i, whole, length)
        operands = [self._operand(i, k, whole, length * 2 // 3) for k in range(len(self.args[i]))]
        if op == "xlogy":
            return f"{as_operand(operands[0])}·ln {as_operand(operands[1])}"
        if op in INFIX:
            closer = {"sub": "+−", "mul": "+−/Σ"}.get(op, " ·^−")  # binds less than the operation
            return INFIX[op].join(as_operand(operand, closer) for operand in operands)
        if op == "neg":
            return f"−{as_operand(operands[0])}"
        return f"{op}({', '.join(operands)})"

    def _is_shift(self, i: int) -> bool:
        sweep = self._sweeps.get(self.home)
        return self.order[i].op.name == "detach" or (sweep is not None and i in sweep.shifts)

    def _known(self, i: int) -> tuple[str, int] | None:
        """The function of which a node is the output, exp u / Σ exp u or 1 / (1 + exp −u), and its u."""

        def parts(i: int, op: str) -> tuple[int, ...]:
            return self.args[i] if self.order[i].op.name == op and not self.order[i].label else ()

        if self.order[i].op.name != "div":
            return None
        above, below = self.args[i]
        if exponential := parts(above, "exp"):
            terms = self._terms(below)
            if above in terms and len({self.kinds[u] for u in terms}) == 1 < len(terms):
                return "softmax", exponential[0]
        if self.order[above].op is constant and self.order[above].data == 1 and len(parts(below, "add")) == 2:
            one, other = self.args[below]
            if self.order[one].op is constant and self.order[one].data == 1 and (e := parts(other, "exp")):
                return ("sigmoid", u[0]) if (u := parts(e[0], "neg")) else None
        return None

    def _terms(self, i: int) -> list[int]:
        """The terms of a sum without a label, from the left."""
        terms: list[int] = []
        stack = [i]
        while stack:
            u = stack.pop()
            if self.order[u].op.name == "add" and (u == i or not self.order[u].label):
                stack += reversed(self.args[u])
            else:
                terms.append(u)
        return terms

    def _number(self, number: float) -> str:
        """A constant, or the argument of f that it is; whole numbers occur everywhere and are themselves."""
        for name in self.case.arrays:
            for sign, said in ((1, name), (-1, f"−{name}")):
                if number % 1 and self.case.argument(self.home, name).tolist() == [sign * number]:
                    return said
        return f"{number:.4g}".replace("-", "−")

    def _operand(self, i: int, place: int, whole: bool, length: int) -> str:
        """An operand's name; constants that differ between an array's elements are an argument of f, or c."""
        u = self.args[i][place]
        if whole and self.order[u].op is constant and i in self.group_of:
            alike = {self.order[self.args[v][place]].data for v in self.group_of[i].nodes}
            if len(alike) > 1:
                known = (
                    name for name in self.case.arrays if alike <= set(self.case.argument(self.home, name))
                )
                return next(known, "c")
        return self.name(u, whole, length)

    def _sum(self, i: int, whole: bool, length: int) -> str:
        """A sum with terms of one kind under one Σ: ``Σ W·h + b``."""
        terms: dict[int, list[int]] = {}
        for u in self._terms(i):
            terms.setdefault(self.kinds[u], []).append(u)
        said = []
        for alike in terms.values():
            many = len(alike) > 1
            name = self.name(alike[0], whole or many, length * 2 // 3)
            said.append(f"Σ {as_operand(name)}" if many and "·" not in name else "Σ " * many + name)
        return " + ".join(said[:3]) + " + …" * (len(said) > 3)


class Sweep:
    """The numbers of the tape at one point; rows of ``adjoint`` and ``tangent`` belong to nodes."""

    def __init__(self, tape: Tape, graph: Graph) -> None:
        self.tape = tape
        order = _order(graph)
        index = {node: i for i, node in enumerate(order)}
        self.values = np.array([node.data for node in order], dtype=float)
        self.roots = [index[x] if isinstance(x, Value) else -1 for x in graph.outputs.flat]
        inputs = [index.get(node, -1) for name in tape.case.names for node in graph.inputs[name].flat]
        self.partials = self._partials()
        self.adjoint = self._adjoint()
        self.shifts = self._shifts()
        self.partials[np.isin(tape.source, self.shifts)] = 0.0
        self.tangent = self.tangents(inputs)
        reached = [self.tangent[i] if i >= 0 else np.zeros(len(inputs)) for i in self.roots]
        self.jacobian = np.array(reached).reshape(len(self.roots), len(inputs))

    def _partials(self) -> Floats:
        """∂v/∂u for every edge, one row of the derivative table at a time; 0 where it does not exist."""
        tape, partials = self.tape, np.zeros(len(self.tape.source))
        by_row: dict[Primitive, list[int]] = {}
        first = np.searchsorted(tape.target, np.arange(len(tape.order)))  # a node's edges lie together
        for v, node in enumerate(tape.order):
            if isinstance(node.op, Primitive):
                by_row.setdefault(node.op, []).append(v)
        for row, nodes in by_row.items():
            places = first[nodes][:, None] + np.arange(len(row.operands))
            operands = self.values[tape.source[places]].T
            with np.errstate(all="ignore"):
                products = array_products(row)(1.0, self.values[nodes], *operands)
            partials[places] = np.array(np.broadcast_arrays(*products, self.values[nodes])[:-1]).T
        partials[~np.isfinite(partials)] = 0.0
        return partials

    def _shifts(self) -> list[int]:
        """Maxima on which the outputs do not depend: a person takes the shift of a softmax for a constant."""
        largest = np.max(abs(self.adjoint), axis=1, initial=0.0).tolist()
        small = 1e-12 * max(largest, default=0.0)
        return [i for i, n in enumerate(self.tape.order) if n.op.name == "maximum" and largest[i] <= small]

    def _adjoint(self) -> Floats:
        adjoint = np.zeros((len(self.values), len(self.roots)))
        for row, i in enumerate(self.roots):
            if i >= 0:
                adjoint[i, row] += 1.0
        tape, partials = self.tape, self.partials.tolist()
        for e in range(len(partials) - 1, -1, -1):
            if partials[e]:
                adjoint[tape.source[e]] += partials[e] * adjoint[tape.target[e]]
        return adjoint

    def tangents(self, seeds: Sequence[int]) -> Floats:
        """∂node/∂seed for every node, with a column for each seed; −1 is a seed that does not occur."""
        tangent = np.zeros((len(self.values), len(seeds)))
        for column, i in enumerate(seeds):
            if i >= 0:
                tangent[i, column] = 1.0
        tape, partials = self.tape, self.partials.tolist()
        for e, partial in enumerate(partials):
            if partial:
                tangent[tape.target[e]] += partial * tangent[tape.source[e]]
        return tangent

    def through(self, group: Group, weights: Floats) -> Floats:
        """Σ weight · (∂out/∂n)(∂n/∂in) over the nodes of a group."""
        nodes = group.nodes
        sums: Floats = self.adjoint[nodes].T @ (weights[:, None] * self.tangent[nodes])
        return sums

    def over(self, edges: Indices, weights: Floats) -> Floats:
        """Σ weight · (∂out/∂v)(∂u/∂in) over edges u → v."""
        v, u = self.tape.target[edges], self.tape.source[edges]
        sums: Floats = self.adjoint[v].T @ (weights[:, None] * self.tangent[u])
        return sums


def tape_of(case: Case) -> Tape | None:
    """The tape of f, if it runs on Values, every node tells its partials, and it is not too large."""
    if not case.points:
        return None
    graph = case.evidence.graph(case.points[case.home])
    if graph is None or not any(isinstance(x, Value) for x in graph.outputs.flat):
        return None
    order = _order(graph)
    columns = case.outputs + sum(graph.inputs[name].size for name in case.names)
    known = all(isinstance(node.op, Primitive) or not node.args for node in order)
    if not known or len(order) > LARGEST or len(order) * columns > 2_000_000:
        return None
    tape = Tape(case, graph)
    return tape if tape.at(case.home) is not None else None


def as_operand(name: str, operators: str = " ·^−") -> str:
    """A name as an operand: sums and products in parentheses, calls and labels as they are."""
    outside, count = name, 1
    while count:
        outside, count = IN_PARENTHESES.subn("", outside)
    return f"({name})" if set(operators) & set(outside) else name


def _order(graph: Graph) -> list[Value]:
    return topological_order(*(node for node in graph.outputs.flat if isinstance(node, Value)))
