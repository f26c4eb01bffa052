"""Mistakes in the chain rule: at the nodes and edges of f's graph.

By the chain rule ∂out/∂in = Σ (∂out/∂v)(∂v/∂u)(∂u/∂in), over the edges u → v of any cut through the graph.
Whoever forgets a path, a factor, or half of an inner Jacobian changes some terms of such a sum. So a mistake
is a `Site`, pairs of nodes v and u, and the weights that stand there for the right ones. Candidates are
sifted by a sample of entries at one point, all at once; what is left is held against all points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, takewhile
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from autograd_mini.check.diagnosis.case import Candidate, Case, Results, constant_name
from autograd_mini.check.diagnosis.tape import Edges, Group, Numbers, Tape, as_operand
from autograd_mini.number_types import ARRAY
from autograd_mini.rules import Primitive, table
from autograd_mini.sweeps import CUT, partials
from autograd_mini.value import constant

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Indices: TypeAlias = NDArray[np.intp]
Change: TypeAlias = "Callable[[Numbers, int], Floats | None]"  # what is added to the right Jacobian
Weights: TypeAlias = "Callable[[Numbers, int], Floats]"
Things: TypeAlias = "Mapping[str, Group | Edges | str]"  # what a sentence speaks of; named when it is chosen
Offer: TypeAlias = "tuple[str, str, str, Weights, Things]"  # a kind, two sentences, weights

MANY = 80  # arrays between which inner Jacobians are looked at


@dataclass(frozen=True)
class Site:
    """Pairs of nodes, ``above`` and ``below``: the edges at one place of an array's nodes, a function of each
    element, or (both the same) what passes some nodes. ``right`` are the weights that belong there."""

    above: Group
    below: Group
    right: Weights
    edges: Edges | None = None

    @property
    def things(self) -> Things:
        return {"G": self.above, "H": self.below}


@dataclass(frozen=True)
class Factor:
    """A number for each node of an array, which the graph or f's arguments offer, and what it is called."""

    thing: Group | Edges | str
    of: Weights
    form: str = "{V}"
    why: str = ""


def said(thing: Group | Edges | str) -> str:
    """The name of what a sentence speaks of."""
    if isinstance(thing, Edges):
        return fraction(thing.into.name, thing.operands.name)
    return thing if isinstance(thing, str) else thing.name


def fraction(above: str, below: str) -> str:
    return f"∂{as_operand(above)}/∂{as_operand(below)}"


class Chain:
    """Candidates that change the Jacobian of a tape; ``sifted`` if only those that may fit are wanted."""

    def __init__(self, case: Case, tape: Tape, sifted: bool = True) -> None:
        self.case, self.tape, self.sifted = case, tape, sifted
        self.home = tape.home
        self.jacobian = case.matrix(case.points[case.home].truth)

    def candidate(self, kind: str, text: str, formula: str, change: Change, things: Things) -> Candidate:
        def result(p: int) -> Results | None:
            numbers = self.tape.at(p)
            added = None if numbers is None else change(numbers, p)
            if added is None or not np.isfinite(added).all():
                return None
            return self.case.split(self.case.matrix(self.case.points[p].truth) + added)

        def names() -> Mapping[str, str]:
            case, made = self.case, {x: said(thing) for x, thing in things.items()}
            if "G" in made and "H" in made:
                made["M"] = fraction(made["G"], made["H"])
            short = {x + "_": as_operand(name) for x, name in made.items()}
            return {**made, **short, "T": case.title, "out": case.evidence.out, "in": case.inputs}

        return Candidate(kind, text, formula, result, names)

    def tried(self, kind: str, text: str, formula: str, change: Change, things: Things) -> list[Candidate]:
        """The candidate, if it may be the mistake so far as the home point tells."""
        wrong = change(self.home, self.case.home)
        if wrong is None or (self.sifted and not len(self.sift(wrong[self.case.sample][None]))):
            return []
        return [self.candidate(kind, text, formula, change, things)]

    def sift(self, changes: Floats) -> Indices:
        """The rows of sampled changes that reproduce the hand result at the home point."""
        case = self.case
        if not self.sifted:
            return np.arange(len(changes))
        difference, tolerance = (x[case.home][case.sample] for x in (case.difference, case.tolerance))
        with np.errstate(all="ignore"):
            return np.flatnonzero((abs(changes - difference) <= tolerance + 1e-9 * abs(changes)).all(axis=1))

    def sampled(self, above: Indices, below: Indices) -> Floats:
        """(∂out/∂v)(∂u/∂in) in the sampled entries, one row for each pair of nodes v, u."""
        rows, columns = self.case.sample
        sampled: Floats = self.home.adjoint[above][:, rows] * self.home.tangent[below][:, columns]
        return sampled

    def replaced(self, site: Site, offered: Sequence[Offer]) -> Iterator[Candidate]:
        """Candidates with other weights at a site."""
        if not self.sifted:
            for kind, text, formula, of, things in offered:
                yield self.candidate(kind, text, formula, partial(_reweighted, site, of), things)
            return
        basis = self.sampled(site.above.nodes, site.below.nodes)
        if not basis.any() or not offered:
            return
        right, p = site.right(self.home, self.case.home), self.case.home
        with np.errstate(all="ignore"):
            new = np.array(
                [np.broadcast_to(of(self.home, p), len(right)) for *_, of, _ in offered], dtype=float
            )
            changes = (np.where(np.isfinite(new), new, right) - right) @ basis
        for k in self.sift(changes):
            kind, text, formula, of, things = offered[k]
            yield self.candidate(kind, text, formula, partial(_reweighted, site, of), things)

    def in_time(self, places: Iterable[Any]) -> Iterator[Any]:
        return takewhile(lambda place: not self.case.is_over, places)

    def groups(self) -> list[Group]:
        groups = [group for group in self.tape.groups if len(self.tape.order) <= 3000 or group.labelled][
            :MANY
        ]
        outputs = self.tape.outputs
        return [*groups, outputs] if outputs is not None and len(outputs) > 1 else groups

    def alike(self, size: int) -> list[Group]:
        """Groups of so many nodes; single nodes too, where one is wanted."""
        tape = self.tape
        singles = [tape.group([i]) for i, node in enumerate(tape.order) if node.args] if size == 1 else []
        return [group for group in [*tape.groups, *singles] if len(group) == size]

    def is_cut(self, group: Group) -> bool:
        """Whether every path leads through a group."""
        whole = self.home.over(group.nodes, group.nodes, np.ones(len(group)))
        floor = 1e-12 * abs(self.jacobian).max(initial=0.0)
        return bool(np.allclose(whole, self.home.jacobian, 1e-9, floor))

    def edge_site(self, edges: Edges) -> Site:
        return Site(edges.into, edges.operands, lambda numbers, p: numbers.partials[edges.edges], edges)

    def operands(self, size: int) -> list[Factor]:
        """Arrays of f with as many elements."""
        arrays = [name for name in self.case.arrays if self.case.argument(0, name).size == size]
        return [
            *(Factor(group, partial(_values, group)) for group in self.tape.groups if len(group) == size),
            *(Factor(name, partial(_argument, self.case, name)) for name in arrays),
        ]


def _reweighted(site: Site, of: Weights, numbers: Numbers, p: int) -> Floats:
    with np.errstate(all="ignore"):
        return numbers.over(site.above.nodes, site.below.nodes, of(numbers, p) - site.right(numbers, p))


def _values(group: Group, numbers: Numbers, p: int) -> Floats:
    values: Floats = numbers.values[group.nodes]
    return values


def _argument(case: Case, name: str, numbers: Numbers, p: int) -> Floats:
    return case.argument(p, name)


def _inverse(of: Weights, numbers: Numbers, p: int) -> Floats:
    with np.errstate(all="ignore"):
        x = of(numbers, p)
        return np.where(x == 0, 1.0, 1 / x)


# --- the terms of f ------------------------------------------------------------------------------------


def terms(chain: Chain) -> Iterator[Candidate]:
    """A term of f's sum, such as a regulariser, missing, taken half, twice, or with the wrong sign."""
    case, tape = chain.case, chain.tape
    if case.outputs != 1:
        return
    kinds = [nodes for nodes in _terms(tape, tape.home.roots[0]) if chain.home.tangent[nodes].any()]
    if not 2 <= len(kinds) <= 12:
        return
    sampled = np.array([chain.sampled(nodes, nodes).sum(axis=0) for nodes in kinds])
    yours = (case.difference[case.home] + chain.jacobian)[case.sample]
    found, _, rank, _ = np.linalg.lstsq(sampled.T, yours, rcond=1e-9)
    amounts = [
        constant_name(c, case.sizes, 1e-6 + case.width) or ("0" if abs(c) < 1e-6 else "") for c in found
    ]
    if rank < len(kinds) or "" in amounts or {*amounts} == {"1"} or "1" not in amounts:
        return

    wrong = [
        (0.0 if text == "0" else c, nodes)
        for c, text, nodes in zip(found, amounts, kinds, strict=True)
        if text != "1"
    ]
    called = [(tape.total(nodes.tolist()), text) for nodes, text in zip(kinds, amounts, strict=True)]
    right = [name for name, text in called if text == "1"]
    yield from chain.tried(
        "term", "of the terms of {out}, {R} {is} right in yours; {W}",
        "{T} is the sum of the derivatives of all terms, each once",
        lambda n, p: np.sum([n.over(nodes, nodes, np.full(len(nodes), c - 1)) for c, nodes in wrong], axis=0),
        {"R": " and ".join(right), "is": "are" if right[1:] else "is",
         "W": " and ".join(f"{name} {_amount(text)}" for name, text in called if text != "1"),
         "G": next(name for name, text in called if text != "1")},
    )  # fmt: skip


def _amount(text: str) -> str:
    said = {"0": "is missing", "½": "is half of what it should be", "2": "is twice what it should be"}
    return {**said, "−1": "has the wrong sign"}.get(text, f"is {text} times what it should be")


def _terms(tape: Tape, root: int) -> list[Indices]:
    """The terms of a sum, those of one kind together; a sum that is only scaled is opened."""
    found: dict[int, list[int]] = {}
    stack = [root]
    while stack:
        i = stack.pop()
        op, args = tape.order[i].op.name, tape.args[i]
        moving = [u for u in args if tape.order[u].op is not constant]
        if op in ("add", "sub") and (i == root or not tape.labels[i]):
            stack += moving[::-1]
        elif op in ("mul", "div", "neg") and len(moving) == 1 and len(_terms(tape, moving[0])) > 1:
            stack += moving
        else:
            found.setdefault(tape.kinds[i], []).append(i)
    return [np.array(nodes) for nodes in found.values()]


def extra_terms(chain: Chain) -> Iterator[Candidate]:
    """A regulariser in the gradient that f does not have: c·x or c·sign x too much."""
    case = chain.case
    if case.outputs != 1 or not all(name in case.points[0].arguments for name in case.names):
        return
    for of, text, term in ((np.positive, "{x}", "{c}/2·Σ {x}²"), (np.sign, "sign({x})", "{c}·Σ |{x}|")):
        here = _of_inputs(case, of, case.home)
        c = float(np.sum(here * case.difference[case.home]) / max(np.sum(here * here), 1e-300))
        scalars = [(name, case.argument(0, name)) for name in case.arrays]
        scales = [(constant_name(c / x[0], {}, 1e-6), name) for name, x in scalars if x.size == 1 and x[0]]
        named = [f"{k}·{name}".removeprefix("1·") for k, name in scales if k]
        yield from chain.tried(
            "term", f"yours has the term {{c}}·{text} too much, as if {{out}} had a term {term}",
            "{out} has no such term", partial(_scaled_inputs, case, of, c),
            {"c": [*named, f"{c:.6g}"][0], "x": case.inputs},
        )  # fmt: skip


def _of_inputs(case: Case, of: Callable[[Floats], Floats], p: int) -> Floats:
    inputs = case.points[p].arguments
    return case.matrix({x: of(np.asarray(inputs[x], dtype=float)) for x in case.names})


def _scaled_inputs(case: Case, of: Callable[[Floats], Floats], c: float, numbers: Numbers, p: int) -> Floats:
    return c * _of_inputs(case, of, p)


def missing_index(chain: Chain) -> Iterator[Candidate]:
    """softmax(z) in the place of softmax(z) − onehot(y), or with the index y subtracted from every entry."""
    groups = [g for g in chain.tape.groups if len(g) > 1 and chain.home.adjoint[g.nodes].any()]
    for group in chain.in_time(groups if chain.case.outputs == 1 else []):
        adjoint = chain.home.adjoint[group.nodes, 0]
        known = [*chain.operands(len(group)), Factor(group, partial(_softmax, group), "softmax({V})")]
        for values in known:
            numbers = values.of(chain.home, chain.case.home)
            c = float(np.max(adjoint / numbers)) if numbers.all() else 0.0
            hot = numbers - adjoint / c if c > 0 else numbers
            ones = abs(hot - 1) <= 1e-9
            if not (ones | (abs(hot) <= 1e-9)).all() or not ones.any() or ones.all():
                continue
            for less in range(len(group)):
                yield from chain.tried(
                    "target",
                    f"yours takes {values.form}{{less}} for ∂{{out}}/∂{{G_}}, without 1 subtracted at the "
                    "target's index",
                    f"∂{{out}}/∂{{G_}} is {values.form} with 1 subtracted at the target's index",
                    partial(_without_target, group, values.of, c, less),
                    {"V": values.thing, "G": group, "less": f" − {less}" * bool(less)},
                )  # fmt: skip


def _softmax(group: Group, numbers: Numbers, p: int) -> Floats:
    exponentials = np.exp(numbers.values[group.nodes] - numbers.values[group.nodes].max())
    return np.asarray(exponentials / exponentials.sum())


def _without_target(group: Group, of: Weights, c: float, less: int, numbers: Numbers, p: int) -> Floats:
    wrong = c * (of(numbers, p) - less) - numbers.adjoint[group.nodes, 0]
    return np.asarray(wrong[None] @ numbers.tangent[group.nodes])


# --- an inner Jacobian ---------------------------------------------------------------------------------


def _off(m: Floats) -> Floats:
    return m - np.diag(np.diag(m))


Inner: TypeAlias = "tuple[str, str, str, Callable[[Floats], Floats]]"
EVERY = "each element of {G} depends on every element of {H}, so that the entries off the diagonal count"
INNER: list[Inner] = [  # what the mistake adds to M = ∂G/∂H
    ("diagonal", "takes only the diagonal of {M}, as if {G} were elementwise in {H}", EVERY,
     lambda m: -_off(m)),
    ("off-diagonal", "takes {M} without its diagonal", "the entries with i = j count too",
     lambda m: _off(m) - m),
    ("sign", "has the wrong sign in {M} off the diagonal", "turn the sign of the entries with i ≠ j",
     lambda m: -2 * _off(m)),
    ("sign", "has the wrong sign in {M} on the diagonal", "turn the sign of the entries with i = j",
     lambda m: 2 * (_off(m) - m)),
    ("transposed", "takes {M} transposed", "the first index is that of {G}", lambda m: m.T - m),
]  # fmt: skip
LEFT_OUT: list[Inner] = [
    ("missing factor", "leaves out {M}, as if {G} were {H}", "multiply by {M}", lambda m: np.eye(len(m)) - m),
    ("extra factor", "has the factor {M} twice", "it belongs there once", lambda m: m @ m - m),
]


def inner_parts(chain: Chain) -> Iterator[Candidate]:
    """Of an inner Jacobian ∂G/∂H only the diagonal, only the rest, or its transpose."""
    for group, below, inner in _inner(chain):
        if _off(inner).any():
            yield from _changed(chain, group, below, INNER)


def inner_factors(chain: Chain) -> Iterator[Candidate]:
    """An inner Jacobian, which may be that of an elementwise function, left out or taken twice;
    or a factor outside of it that belongs inside."""
    factors = {int(edges.operands.nodes[0]): edges for edges in chain.tape.edges if edges.into.op == "mul"}
    for group, below, inner in _inner(chain):
        yield from _changed(chain, group, below, LEFT_OUT)
        edges = factors.get(int(group.nodes[0]))
        if edges is not None and len(edges.edges) == len(group) and _off(inner).any():
            other = chain.tape.group(chain.tape.args[v][1 - edges.place] for v in edges.into.nodes)
            yield from chain.tried(
                "wrong place",
                "yours multiplies by {V} outside of {M}; it belongs inside, to what {M} is applied to",
                "∂{out}/∂{G_} has the factor {V}, before {M}", partial(_commuted, group, below, edges),
                {"G": group, "H": below, "V": other},
            )  # fmt: skip


def elementwise(chain: Chain) -> Iterator[Candidate]:
    """The derivative of an elementwise function of several operations replaced by that of something else."""
    for group, below, inner in _inner(chain):
        if not _off(inner).any() and below.nodes[0] not in chain.tape.args[group.nodes[0]]:
            site = Site(group, below, partial(_diagonal, group, below))
            yield from chain.replaced(site, _slips(chain, site, range(2, OF_A_POWER)))


def _diagonal(group: Group, below: Group, numbers: Numbers, p: int) -> Floats:
    return np.diag(numbers.tangents(below.nodes.tolist())[group.nodes])


def _commuted(group: Group, below: Group, edges: Edges, numbers: Numbers, p: int) -> Floats:
    inner, d = numbers.tangents(below.nodes.tolist())[group.nodes], numbers.partials[edges.edges]
    moved = inner * d - d[:, None] * inner
    return np.asarray(numbers.adjoint[edges.into.nodes].T @ moved @ numbers.tangent[below.nodes])


def _inner(chain: Chain) -> Iterator[tuple[Group, Group, Floats]]:
    """Arrays of one size, the one above the other, with the Jacobian between them, unless it is constant."""
    groups, home = chain.groups(), chain.home
    for below in chain.in_time(groups):
        above = [g for g in groups if len(g) == len(below) and g.level > below.level]
        above = [g for g in above if home.adjoint[g.nodes].any() and home.tangent[below.nodes].any()]
        for group in above:
            inner = home.tangents(below.nodes.tolist())[group.nodes]
            rows, columns = np.nonzero(inner)
            own = below
            if [*rows] == [*range(len(inner))] and len({*columns}) == len(inner):  # elementwise, in any order
                own, inner = chain.tape.group(below.nodes[columns]), inner[:, columns]
            is_constant = len(inner) > 1 and (inner == inner[0, 0] * np.eye(len(inner))).all()
            if np.diag(inner).any() and not is_constant:
                yield group, own, inner


def _changed(chain: Chain, group: Group, below: Group, mistakes: Sequence[Inner]) -> Iterator[Candidate]:
    for kind, text, correct, of in mistakes:
        formula = f"{{T}} goes through ∂{{out}}/∂{{G_}} · {{M}}; {correct}"
        if group.nodes.tolist() == chain.home.roots:
            formula = f"{{T}} goes through {{M}}; {correct}"
        change = partial(_changed_inner, group, below, of)
        yield from chain.tried(kind, f"yours {text}", formula, change, {"G": group, "H": below})


def _changed_inner(
    group: Group, below: Group, of: Callable[[Floats], Floats], numbers: Numbers, p: int
) -> Floats | None:
    inner = numbers.tangents(below.nodes.tolist())[group.nodes]
    above, changed = numbers.adjoint[group.nodes].T, of(inner)
    left, sizes = above @ (inner + changed), abs(above) @ (abs(inner) + abs(changed))
    if (abs(left) <= 1e-9 * sizes).all():  # nothing is left: a path that is missing, and no other factor
        return None
    return np.asarray(above @ changed @ numbers.tangent[below.nodes])


# --- another function, another variable ----------------------------------------------------------------


def other_functions(chain: Chain) -> Iterator[Candidate]:
    """∂n/∂in for other nodes n than the outputs."""
    tape = chain.tape
    for group in chain.in_time(chain.alike(chain.case.outputs)):
        if group.level and group.nodes.tolist() != chain.home.roots:
            last = [i for i in chain.home.roots if not {*group.nodes.tolist()}.isdisjoint(tape.args[i])]
            step = f", without the last step, {tape.order[last[0]].op.name}" if last else ""
            yield from chain.tried(
                "other function",
                f"yours is the gradient of {{G}} with respect to {{in}}, not of {{out}}{step}",
                "{T} = ∂{out}/∂{G_} · ∂{G_}/∂{in}", partial(_of_another, group), {"G": group},
            )  # fmt: skip


def _of_another(group: Group, numbers: Numbers, p: int) -> Floats:
    return np.asarray(numbers.tangent[group.nodes] - numbers.jacobian)


def other_variables(chain: Chain) -> Iterator[Candidate]:
    """∂out/∂n for other nodes n than the inputs."""
    inputs = chain.jacobian.shape[1]
    if len(chain.case.names) > 1 or (inputs == 1 and len(chain.tape.order) > 500):
        return
    for group in chain.in_time(chain.alike(inputs)):
        yield from chain.tried(
            "other variable", "yours is the gradient with respect to {G}, not {in}",
            "{T} = ∂{out}/∂{G_} · ∂{G_}/∂{in}", partial(_by_another, group),
            {"G": group, "H": chain.case.inputs},
        )  # fmt: skip


def _by_another(group: Group, numbers: Numbers, p: int) -> Floats:
    return np.asarray(numbers.adjoint[group.nodes].T - numbers.jacobian)


def before_a_sum(chain: Chain) -> Iterator[Candidate]:
    """∂out/∂n for an array n of another shape, which is still to be summed over the batch."""
    case, name = chain.case, chain.case.names[0]
    yours = case.points[0].yours[name]
    groups = chain.alike(yours.size) if case.outputs == 1 and len(case.names) == 1 else []
    for group in groups if yours.size > chain.jacobian.size else []:
        words = {"G": group.name, "T": case.title, "out": case.evidence.out, "in": name}
        yield Candidate(
            "other variable", "yours is ∂{out}/∂{G}, not yet summed over what {in} is broadcast to",
            f"{{T}} has shape {case.points[0].truth[name].shape}: sum yours over the other axes",
            partial(_before_a_sum, chain, group), partial(dict, words),
        )  # fmt: skip


def _before_a_sum(chain: Chain, group: Group, p: int) -> Results | None:
    name, numbers = chain.case.names[0], chain.tape.at(p)
    shape = chain.case.points[p].yours[name].shape
    return None if numbers is None else {name: numbers.adjoint[group.nodes, 0].reshape(shape)}


# --- paths ---------------------------------------------------------------------------------------------


def held(chain: Chain) -> Iterator[Candidate]:
    """An intermediate, as a mean or a variance, or two of them, taken for constants."""
    small = [g for g in chain.tape.groups if g.level and len(g) < max(chain.jacobian.shape[1], 2)]
    linear = {u: _is_linear(chain.tape, edges) and edges.into.op != "sub"
              for edges in chain.tape.edges for u in edges.operands.nodes.tolist()}  # fmt: skip
    small = [
        g for g in small if g.labelled or g.op != "add" or not all(linear.get(u) for u in g.nodes.tolist())
    ]
    groups = [g for g in small if chain.home.adjoint[g.nodes].any() and not chain.is_cut(g)][:8]
    for some in chain.in_time([*combinations(groups, 1), *combinations(groups, 2)]):
        yield from chain.tried(
            "path", "yours holds {G} constant" if len(some) == 1 else "yours holds {G} and {H} constant",
            "{T} also goes through there: it depends on {in}",
            partial(_held, np.concatenate([group.nodes for group in some]).tolist()),
            dict(zip("GH", some, strict=False)),
        )  # fmt: skip


def _held(nodes: list[int], numbers: Numbers, p: int) -> Floats:
    return np.asarray(numbers.tangents(numbers.inputs, nodes)[numbers.roots] - numbers.jacobian)


SUM = {"mul": "the product rule has a term for each factor", "div": "the quotient rule has two terms"}
PATHS = {
    "0": "misses the contribution of the paths {over}",
    "2": "counts the contribution of the paths {over} twice",
    "−1": "has the contribution of the paths {over} with the wrong sign",
}


def paths(chain: Chain) -> Iterator[Candidate]:
    """The contribution of the paths over some edges left out, doubled, negated, or alone."""
    case, width = chain.case, 4 * chain.case.width
    if not case.shaped:
        return
    difference, truth = case.difference[case.home][case.sample], chain.home.jacobian[case.sample]
    for edges in chain.in_time(chain.tape.edges):
        site = chain.edge_site(edges)
        sums = chain.home.partials[edges.edges] @ chain.sampled(edges.into.nodes, edges.operands.nodes)
        if (abs(sums - truth) <= 1e-9 * abs(truth).max(initial=0.0)).all():
            continue
        c = 1 + float(sums @ difference) / max(float(sums @ sums), 1e-300) if chain.sifted else 0.0
        text = "0" if abs(c) < 1e-6 + width else constant_name(c, {}, width)
        formula = f"{{T}}: {SUM.get(edges.into.op, 'the contributions of all paths add up')}, each once"
        said = PATHS.get(text or "", f"has the contribution of the paths {{over}} times {text}")
        if text not in (None, "1"):
            offer = (
                "path",
                "yours " + said.replace("{over}", "from {H} into {G}"),
                formula,
                partial(_scaled, site, c),
                site.things,
            )
            yield from chain.replaced(site, [offer])
        yield from chain.tried(
            "path", "yours has only the contribution of the paths from {H} into {G}; the others are missing",
            formula, partial(_alone, site), site.things,
        )  # fmt: skip


def _scaled(site: Site, c: float, numbers: Numbers, p: int) -> Floats:
    return c * site.right(numbers, p)


def _alone(site: Site, numbers: Numbers, p: int) -> Floats:
    alone = numbers.over(site.above.nodes, site.below.nodes, site.right(numbers, p))
    return np.asarray(alone - numbers.jacobian)


# --- factors -------------------------------------------------------------------------------------------


def mask(v: Floats) -> Floats:
    return np.where(v > 0, 1.0, 0.0)


VALUE_FORMS: list[tuple[str, Callable[[Floats], Floats], str]] = [
    ("{V_}", lambda v: v, ""),
    ("{V_}·(1 − {V_})", lambda v: v * (1 - v), ", as if a sigmoid followed"),
    ("(1 − {V_}²)", lambda v: 1 - v * v, ", as if a tanh followed"),
    ("(1 − {V_})", lambda v: 1 - v, ""),
    ("{V_}²", lambda v: v * v, ""),
    ("cos({V})", np.cos, ", the derivative of a sine"),
    ("exp({V})", np.exp, ", the derivative of an exponential"),
    ("({V} > 0)", mask, ", the derivative of a ReLU"),
]


def node_factors(chain: Chain) -> Iterator[Candidate]:
    """What passes some nodes multiplied by a factor too many, or one too few."""
    tape, offered = chain.tape, _offered(chain)
    outputs = [tape.outputs] if tape.outputs is not None else []
    for group in chain.in_time([*tape.groups[:400], *outputs]):
        at = ", elementwise at {G}" if len(group) > 1 else ""
        if not chain.is_cut(group):
            at = " in what passes {G}"
        extra: list[Offer] = []
        missing: list[Offer] = []
        for factor in [x for size in {len(group), 1} for x in offered.get(size, ())]:
            things, form = {"V": factor.thing, "G": group}, factor.form
            text = f"yours is {{T}} times {form}{at}{factor.why}"
            formula = f"{{T}} is yours without the factor {form}{at}"
            extra.append(("extra factor", text, formula, factor.of, things))
            text, formula = f"yours misses the factor {form}{at}", f"{{T}} is yours times {form}{at}"
            missing.append(("missing factor", text, formula, partial(_inverse, factor.of), things))
        yield from chain.replaced(Site(group, group, partial(_ones, len(group))), extra + missing)


def _offered(chain: Chain) -> dict[int, list[Factor]]:
    """What there is to be multiplied by, by the number of elements."""
    tape, case = chain.tape, chain.case
    found = [
        (len(group), Factor(group, partial(_formed, of, group), form, why))
        for group in tape.groups[:500]
        for form, of, why in VALUE_FORMS
        if of is not mask or _has_both_signs(tape, group)
    ]
    why = ", a derivative taken once more than the chain rule asks"
    curved = [edges for edges in tape.edges if not _is_linear(tape, edges)]
    found += [(len(edges.edges), Factor(edges, chain.edge_site(edges).right, why=why)) for edges in curved]
    found += [(case.argument(0, x).size, Factor(x, partial(_argument, case, x))) for x in case.arrays]
    offered: dict[int, list[Factor]] = {}
    for size, factor in found:
        offered.setdefault(size, []).append(factor)
    return offered


def _has_both_signs(tape: Tape, group: Group) -> bool:
    """Whether a mask of an array is neither 0 nor 1 at all points."""
    known = (tape.at(p) for p in range(len(tape.case.points)))
    return len({x > 0 for numbers in known if numbers for x in numbers.values[group.nodes].tolist()}) > 1


def _ones(count: int, numbers: Numbers, p: int) -> Floats:
    return np.ones(count)


def _formed(of: Callable[[Floats], Floats], group: Group, numbers: Numbers, p: int) -> Floats:
    return of(numbers.values[group.nodes])


# --- the derivative of one operation -------------------------------------------------------------------

LINEAR = ("add", "sub", "neg", "identity")

# In the operand x, the other operand y, the result z and the right partial p.
SLIPS: list[tuple[str, Callable[[Floats, Floats, Floats, Floats], Floats]]] = [
    ("leaves out the factor {M}", lambda x, y, z, p: np.ones_like(p)),
    ("takes twice the factor {M}", lambda x, y, z, p: p * p),
    ("divides by the factor {M}", lambda x, y, z, p: 1 / p),
    ("takes the value {G} for {M}", lambda x, y, z, p: z),
    ("takes {H} for {M}", lambda x, y, z, p: x),
    ("takes {G_}·(1 − {G_}), that of a sigmoid, for {M}", lambda x, y, z, p: z * (1 - z)),
    ("takes 1 − {G_}², that of a tanh, for {M}", lambda x, y, z, p: 1 - z * z),
    ("takes 1 − {G_} for {M}", lambda x, y, z, p: 1 - z),
    ("takes {H_}·(1 − {H_}), with the operand for the result, for {M}", lambda x, y, z, p: x * (1 - x)),
    ("takes 1 − {H_}², with the operand for the result, for {M}", lambda x, y, z, p: 1 - x * x),
    ("takes 1/{H_} for {M}", lambda x, y, z, p: 1 / x),
    ("takes 1/{H_}² for {M}", lambda x, y, z, p: 1 / (x * x)),
    ("takes {H_}² for {M}", lambda x, y, z, p: x * x),
    ("takes cos({H}) for {M}", lambda x, y, z, p: np.cos(x)),
    ("takes sin({H}) for {M}", lambda x, y, z, p: np.sin(x)),
    ("takes the derivative of a sigmoid at {G}, its result, for {M}", lambda x, y, z, p: _slope(z)),
    ("takes the derivative of a tanh at {G}, its result, for {M}", lambda x, y, z, p: 1 - np.tanh(z) ** 2),
    # of a power, or an exponential
    ("takes the exponent as it was for {M}", lambda x, y, z, p: y * z),
    ("takes the exponent lowered but not brought down for {M}", lambda x, y, z, p: z / x),
    ("takes the power rule, which is for a constant exponent, for {M}", lambda x, y, z, p: x * z / y),
    ("takes the power rule, which is for a constant exponent, for {M}", lambda x, y, z, p: x * z / np.e),
]  # fmt: skip
OF_A_POWER = len(SLIPS) - 4
KINDS = ("missing factor", "extra factor")


def _slope(z: Floats) -> Floats:
    s = 1 / (1 + np.exp(-z))
    return np.asarray(s * (1 - s))


def slips(chain: Chain) -> Iterator[Candidate]:
    """The local derivative of one operation left out, or taken twice."""
    return _at_edges(chain, first=True)


def wrong_derivatives(chain: Chain) -> Iterator[Candidate]:
    """The local derivative of one operation replaced by that of something else, or taken somewhere else."""
    return _at_edges(chain, first=False)


def _at_edges(chain: Chain, first: bool) -> Iterator[Candidate]:
    for edges in chain.in_time(chain.tape.edges):
        name, site = edges.into.op, chain.edge_site(edges)
        if name == "mul" and not first:
            yield from _other_operands(chain, site, edges)
        elif not _is_linear(chain.tape, edges) or np.ptp(chain.home.partials[edges.edges]):
            powers = [OF_A_POWER, OF_A_POWER + 1] if edges.place == 0 else [OF_A_POWER + 2]
            own = powers if name == "pow" else [OF_A_POWER + 3] * (name == "exp")
            yield from chain.replaced(
                site, _slips(chain, site, range(2) if first else [*range(2, OF_A_POWER), *own])
            )
            if not first:
                yield from _elsewhere(chain, site, edges)


def _slips(chain: Chain, site: Site, which: Iterable[int]) -> list[Offer]:
    """The slips that may be made in the derivative of one operation or function."""
    edges, tape = site.edges, chain.tape
    rule, other = "", site.below.nodes
    if edges is not None:
        operands = [tape.args[v] for v in edges.into.nodes]
        other = np.array([args[1 - edges.place] if len(args) == 2 else args[0] for args in operands])
        rule = _rule(edges.into.op, edges.place)
    return [
        (KINDS[k] if k < 2 else "wrong derivative", f"yours {SLIPS[k][0]}",
         f"{{T}} has the factor {{M}} once{rule}",
         partial(_slipped, site, other, SLIPS[k][1]), site.things)
        for k in which
    ]  # fmt: skip


def _slipped(
    site: Site,
    other: Indices,
    of: Callable[[Floats, Floats, Floats, Floats], Floats],
    numbers: Numbers,
    p: int,
) -> Floats:
    v = numbers.values
    return of(v[site.below.nodes], v[other], v[site.above.nodes], site.right(numbers, p))


def _other_operands(chain: Chain, site: Site, edges: Edges) -> Iterator[Candidate]:
    """Another array where a product has the other factor, as x for x̂."""
    right = chain.tape.group(chain.tape.args[v][1 - edges.place] for v in site.above.nodes)
    own = {*right.nodes.tolist()}
    others = [  # not those with the right one as a factor, which are a factor too many
        factor for factor in chain.operands(len(site.above))
        if not (isinstance(thing := factor.thing, Group) and thing.op == "mul"
                and own.intersection(chain.tape.args[thing.nodes[0]]))
    ]  # fmt: skip
    yield from chain.replaced(site, [
        ("wrong operand", "yours has {V} in the place of {G}, by which {H} is multiplied",
         "{T} has the factor {G} there", factor.of, {"H": site.below, "V": factor.thing, "G": right})
        for factor in others
    ])  # fmt: skip


def _elsewhere(chain: Chain, site: Site, edges: Edges) -> Iterator[Candidate]:
    """The derivative of a function of one operand, or a ReLU's mask, taken at another array."""
    row, is_mask = table[site.above.op], site.above.op in ("maximum", "relu")
    if not is_mask and len(row.operands) > 1:
        return
    text = "takes the mask of {V}, not of {H}" if is_mask else "takes {M} at {V}, not at {H}"
    yield from chain.replaced(site, [
        ("wrong derivative", f"yours {text}", "{T} has the factor {M} at {H}",
         partial(_slope_at, row, is_mask, factor.of), {**site.things, "V": factor.thing})
        for factor in chain.operands(len(site.above))
    ])  # fmt: skip


def _slope_at(row: Primitive, is_mask: bool, of: Weights, numbers: Numbers, p: int) -> Floats:
    x = of(numbers, p)
    if is_mask:
        return np.where(x > 0, 1.0, 0.0)
    slope = partials(ARRAY, row)(x, ARRAY.function(row)(x))[0]
    return np.ones(x.shape) if slope is CUT or slope is None else np.asarray(slope, dtype=float)


def _rule(name: str, place: int) -> str:
    row = table[name]
    partial = row.partials[place].rpartition(" else ")[2]  # the general case
    text = f"; {name}({', '.join(row.operands)}) has ∂/∂{row.operands[place]} = {partial}"
    return text + ", z its result" * ("z" in partial)


def _is_linear(tape: Tape, edges: Edges) -> bool:
    """Whether an operand enters by a constant factor only."""
    v, name = int(edges.into.nodes[0]), edges.into.op
    others = [u for k, u in enumerate(tape.args[v]) if k != edges.place]
    scaled = name == "mul" or (name == "div" and edges.place == 0)
    return name in LINEAR or (scaled and all(tape.order[u].op is constant for u in others))


# --- what is right -------------------------------------------------------------------------------------


def outer_product(chain: Chain) -> str:
    """The right gradient of one matrix as an outer product of something's values and another's adjoints."""
    case, home = chain.case, chain.home
    u, size, v = np.linalg.svd(case.points[case.home].truth[case.names[0]])
    if len(case.names) > 1 or size[1] > 1e-6 * size[0]:
        return ""
    known = [(group.name, home.values[group.nodes]) for group in chain.tape.groups if group.labelled]
    known += [(name, case.argument(case.home, name)) for name in case.arrays]
    adjoints = [
        (f"∂{case.evidence.out}/∂{as_operand(g.name)}", home.adjoint[g.nodes, 0]) for g in chain.tape.groups
    ]
    for left, right in ((known, adjoints), (adjoints, known)):
        first = next((name for name, x in left if _is_parallel(x, u[:, 0])), None)
        second = next((name for name, x in right if _is_parallel(x, v[0])), None)
        if first and second:
            return f"{case.title} = {first} ⊗ {second}, an outer product"
    return ""


def _is_parallel(x: Floats, unit: Floats) -> bool:
    size = float(np.linalg.norm(x))
    return x.shape == unit.shape and bool(abs(abs(x @ unit) - size) <= 1e-9 * size) and size > 0


def right_below(chain: Chain) -> str:
    """The part of the chain rule that a hand result still has: it is e·∂G/∂in for some e."""
    case = chain.case
    if case.outputs != 1 or not case.shaped:
        return ""
    yours = (case.difference[case.home] + chain.jacobian).ravel()
    slack = case.tolerance[case.home].ravel()
    for group in sorted(chain.tape.groups, key=lambda group: -group.level):
        tangent = chain.home.tangent[group.nodes].T
        is_output = group.nodes.tolist() == chain.home.roots
        if is_output or not group.level or len(tangent) <= len(group) or not chain.is_cut(group):
            continue
        e = np.linalg.lstsq(tangent, yours, rcond=1e-10)[0]
        if (abs(tangent @ e - yours) <= 3 * slack + 3 * np.sqrt(np.mean(slack**2))).all():
            name = as_operand(group.name)
            return f"∂{name}/∂{case.inputs} is right in yours: look at ∂{case.evidence.out}/∂{name}"
    return ""
