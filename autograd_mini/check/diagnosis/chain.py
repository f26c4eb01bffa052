"""Mistakes in the chain rule: at the nodes and edges of f's graph.

By the chain rule ∂out/∂in = Σ (∂out/∂v)(∂v/∂u)(∂u/∂in), over the edges u → v of any cut through the graph.
Whoever forgets a path, a factor, or half of an inner Jacobian changes some terms of such a sum. Candidates
are sifted by a sample of entries at one point, all at once; what is left is held against all points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from autograd_mini.check.diagnosis.case import Candidate, Case, Results, constant_name
from autograd_mini.check.diagnosis.evidence import Explanation
from autograd_mini.check.diagnosis.tape import Edges, Group, Sweep, Tape, as_operand

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
Change: TypeAlias = "Callable[[Sweep, int], Floats | None]"  # what is added to the right Jacobian


class Chain:
    """Candidates that change the Jacobian of a tape; ``sifted`` if only those that may fit are wanted."""

    def __init__(self, case: Case, tape: Tape, sifted: bool = True) -> None:
        self.case, self.tape, self.sifted = case, tape, sifted

    def candidate(self, change: Change, explain: Callable[[], Explanation]) -> Candidate:
        def result(p: int) -> Results | None:
            sweep = self.tape.at(p)
            added = None if sweep is None else change(sweep, p)
            if added is None:
                return None
            return self.case.split(p, self.case.matrix(self.case.points[p].truth) + added)

        return Candidate(result, explain)

    def sift(self, changes: Floats) -> NDArray[np.intp]:
        """The rows of sampled changes that reproduce the hand result at the home point."""
        case = self.case
        if not self.sifted:
            return np.arange(len(changes))
        difference, tolerance = (x[case.home][case.sample] for x in (case.difference, case.tolerance))
        with np.errstate(all="ignore"):
            return np.flatnonzero((abs(changes - difference) <= tolerance + 1e-9 * abs(changes)).all(axis=1))

    def possible(self, change: Floats) -> bool:
        """Whether a change of the Jacobian at the home point may be the mistake."""
        return not self.sifted or len(self.sift(change[self.case.sample][None])) > 0

    @property
    def home(self) -> Sweep:
        sweep = self.tape.at(self.case.home)
        assert sweep is not None
        return sweep

    def sampled(self, above: NDArray[np.intp], below: NDArray[np.intp]) -> Floats:
        """(∂out/∂v)(∂u/∂in) in the sampled entries, one row for each pair of nodes v, u."""
        rows, columns = self.case.sample
        sampled: Floats = self.home.adjoint[above][:, rows] * self.home.tangent[below][:, columns]
        return sampled


# --- an inner Jacobian ---------------------------------------------------------------------------------


def inner_parts(chain: Chain) -> Iterator[Candidate]:
    """Only the diagonal of an inner Jacobian ∂G/∂H, only the rest, or its transpose."""
    return _inner_jacobians(chain, PARTS, whole=True)


def inner_factors(chain: Chain) -> Iterator[Candidate]:
    """An inner Jacobian, which may be that of an elementwise function, left out or taken twice."""
    return _inner_jacobians(chain, FACTORS, whole=False)


def _inner_jacobians(chain: Chain, mistakes: list[InnerMistake], whole: bool) -> Iterator[Candidate]:
    """``whole`` if the mistakes need a Jacobian with entries on and off the diagonal."""
    tape, home = chain.tape, chain.home
    groups = [group for group in tape.groups if len(tape.order) <= 3000 or group.labelled][:80]
    if tape.outputs is not None and len(tape.outputs) > 1:
        groups = [*groups, tape.outputs]
    for below in groups:
        above = [g for g in groups if len(g) == len(below) > whole and g.level > below.level]
        if not above or not home.tangent[below.nodes].any():
            continue
        total = home.tangents(below.nodes.tolist())
        for group in above:
            inner, adjoint = total[group.nodes], home.adjoint[group.nodes]
            diagonal = np.diag(np.diag(inner))
            if not diagonal.any() or not adjoint.any() or (whole and (inner == diagonal).all()):
                continue
            if (inner == inner[0, 0] * np.eye(len(inner))).all() and len(inner) > 1:
                continue  # a constant, of which the numerical explanations speak
            for mistake in mistakes:
                if chain.possible(adjoint.T @ mistake.change(inner) @ home.tangent[below.nodes]):
                    yield chain.candidate(
                        _inner(group, below, mistake.change), _says_inner(chain, mistake, group, below)
                    )


@dataclass(frozen=True)
class InnerMistake:
    """``change`` is what the mistake adds to the inner Jacobian."""

    kind: str
    text: str
    correct: str
    change: Callable[[Floats], Floats]


PARTS = [
    InnerMistake(
        "diagonal", "takes only the diagonal of {M}, as if {G} were elementwise in {H}",
        "each element of {G} depends on every element of {H}, so that the entries off the diagonal count",
        lambda m: np.diag(np.diag(m)) - m,
    ),
    InnerMistake(
        "off-diagonal", "takes {M} without its diagonal", "the entries with i = j count too",
        lambda m: -np.diag(np.diag(m)),
    ),
    InnerMistake(
        "sign", "has the wrong sign in {M} off the diagonal", "turn the sign of the entries with i ≠ j",
        lambda m: 2 * (np.diag(np.diag(m)) - m),
    ),
    InnerMistake(
        "sign", "has the wrong sign in {M} on the diagonal", "turn the sign of the entries with i = j",
        lambda m: -2 * np.diag(np.diag(m)),
    ),
    InnerMistake(
        "transposed", "takes {M} transposed", "the first index is that of {G}", lambda m: m.T - m
    ),
]  # fmt: skip
FACTORS = [
    InnerMistake(
        "missing factor", "leaves out {M}, as if {G} were {H}", "multiply by {M}",
        lambda m: np.eye(len(m)) - m,
    ),
    InnerMistake("extra factor", "has the factor {M} twice", "it belongs there once", lambda m: m @ m - m),
]  # fmt: skip


def _inner(group: Group, below: Group, change: Callable[[Floats], Floats]) -> Change:
    def changed(sweep: Sweep, p: int) -> Floats:
        inner = sweep.tangents(below.nodes.tolist())[group.nodes]
        return sweep.adjoint[group.nodes].T @ change(inner) @ sweep.tangent[below.nodes]

    return changed


def _says_inner(chain: Chain, mistake: InnerMistake, group: Group, below: Group) -> Callable[[], Explanation]:
    def explain() -> Explanation:
        names = {"G": group.name, "H": below.name}
        names["M"] = f"∂{as_operand(group.name)}/∂{as_operand(below.name)}"
        outer = f"∂{chain.case.evidence.out}/∂{as_operand(group.name)} · " * (
            group.name != chain.case.evidence.out
        )
        return Explanation(
            mistake.kind,
            f"yours {mistake.text.format(**names)}",
            f"{chain.case.title} goes through {outer}{names['M']}; {mistake.correct.format(**names)}",
            (group.name, below.name),
        )

    return explain


# --- another function, another variable ----------------------------------------------------------------


def other_functions(chain: Chain) -> Iterator[Candidate]:
    """∂n/∂in for other nodes n than the outputs."""
    case, tape = chain.case, chain.tape
    truth = case.matrix(case.points[case.home].truth)
    singles = [tape.group([i]) for i, node in enumerate(tape.order) if node.args]
    for group in [*tape.groups, *singles] if case.outputs == 1 else tape.groups:
        if len(group) == case.outputs and group.level:
            change = chain.home.tangent[group.nodes] - truth
            if chain.possible(change):
                yield chain.candidate(
                    _replaced(group, lambda sweep, nodes: sweep.tangent[nodes]),
                    _says_function(chain, group),
                )


def other_variables(chain: Chain) -> Iterator[Candidate]:
    """∂out/∂n for other nodes n than the inputs."""
    case, tape = chain.case, chain.tape
    truth = case.matrix(case.points[case.home].truth)
    if len(case.names) > 1 or (truth.shape[1] == 1 and len(tape.order) > 500):
        return
    singles = [tape.group([i]) for i, node in enumerate(tape.order) if node.args]
    for group in [*tape.groups, *singles] if truth.shape[1] == 1 else tape.groups:
        if len(group) == truth.shape[1]:
            change = chain.home.adjoint[group.nodes].T - truth
            if chain.possible(change):
                yield chain.candidate(
                    _replaced(group, lambda sweep, nodes: sweep.adjoint[nodes].T),
                    _says_variable(chain, group),
                )


def _replaced(group: Group, by: Callable[[Sweep, NDArray[np.intp]], Floats]) -> Change:
    return lambda sweep, p: by(sweep, group.nodes) - sweep.jacobian


def _says_function(chain: Chain, group: Group) -> Callable[[], Explanation]:
    case, tape = chain.case, chain.tape
    out, of = case.evidence.out, ", ".join(case.names)
    inputs = of if len(case.names) == 1 else f"({of})"
    last = ""
    if any(set(group.nodes.tolist()) & set(tape.args[i]) for i in chain.home.roots if i >= 0):
        root = next(i for i in chain.home.roots if i >= 0)
        last = f", without the last step, {tape.order[root].op.name}"
    return lambda: Explanation(
        "other function",
        f"yours is the gradient of {group.name} with respect to {of}, not of {out}{last}",
        f"{case.title} = ∂{out}/∂{as_operand(group.name)} · ∂{as_operand(group.name)}/∂{inputs}",
        (group.name,),
    )


def _says_variable(chain: Chain, group: Group) -> Callable[[], Explanation]:
    case = chain.case
    out, of = case.evidence.out, ", ".join(case.names)
    return lambda: Explanation(
        "other variable",
        f"yours is the gradient with respect to {group.name}, not {of}",
        f"{case.title} = ∂{out}/∂{as_operand(group.name)} · ∂{as_operand(group.name)}/∂{of}",
        (group.name,),
    )


# --- paths ---------------------------------------------------------------------------------------------


def paths(chain: Chain) -> Iterator[Candidate]:
    """The contribution of the paths over some edges, or through a node, left out, doubled or negated."""
    case, tape, home = chain.case, chain.tape, chain.home
    sweep_edges = tape.edges
    flat = np.concatenate([e.edges for e in sweep_edges] or [np.empty(0, dtype=int)])
    if not flat.size:
        return
    terms = chain.sampled(tape.target[flat], tape.source[flat]) * home.partials[flat][:, None]
    starts = np.cumsum([0, *(len(e.edges) for e in sweep_edges)])[:-1]
    sums = np.add.reduceat(terms, starts, axis=0)
    truth = home.jacobian[case.sample]
    difference = case.difference[case.home][case.sample]
    with np.errstate(all="ignore"):
        coefficients = (sums @ difference) / (sums * sums).sum(axis=1)
    coefficients[~np.isfinite(coefficients)] = 0.0
    whole = (abs(sums - truth) <= 1e-9 * abs(truth).max(initial=0.0)).all(axis=1)
    for k in chain.sift(coefficients[:, None] * sums):
        text = constant_name(1 + coefficients[k], {}, case.width * 4)
        if abs(1 + coefficients[k]) < 1e-6 + 4 * case.width:
            text = "0"
        if text in (None, "1") or whole[k]:
            continue
        assert text is not None
        yield path(chain, sweep_edges[k], float(coefficients[k]), text)
    for i, edges in enumerate(sweep_edges):  # one term alone, the others forgotten
        if not whole[i] and len(chain.sift((sums[i] - truth)[None])):
            yield chain.candidate(
                _alone(edges),
                _says_path(
                    chain, edges, "has only the contribution of the paths {over}; the others are missing"
                ),
            )


def _alone(edges: Edges) -> Change:
    return lambda sweep, p: sweep.over(edges.edges, sweep.partials[edges.edges]) - sweep.jacobian


def path(chain: Chain, edges: Edges, coefficient: float, text: str) -> Candidate:
    said = {
        "0": "misses the contribution of the paths {over}",
        "2": "counts the contribution of the paths {over} twice",
        "−1": "has the contribution of the paths {over} with the wrong sign",
    }.get(text, f"has the contribution of the paths {{over}} times {text}")

    def change(sweep: Sweep, p: int) -> Floats:
        return sweep.over(edges.edges, coefficient * sweep.partials[edges.edges])

    return chain.candidate(change, _says_path(chain, edges, said))


def _says_path(chain: Chain, edges: Edges, said: str) -> Callable[[], Explanation]:
    def explain() -> Explanation:
        over = f"from {edges.operands.name} into {edges.into.name}"
        tape, title = chain.tape, chain.case.title
        op = tape.order[edges.into.nodes[0]].op.name
        rule = {
            "mul": "the product rule has a term for each factor",
            "div": "the quotient rule has two terms",
        }
        correct = rule.get(op, "the contributions of all paths add up")
        return Explanation(
            "path", "yours " + said.format(over=over),
            f"{title}: {correct}, each once", (edges.into.name, edges.operands.name),
        )  # fmt: skip

    return explain


# --- what is right -------------------------------------------------------------------------------------


def outer_product(chain: Chain) -> str | None:
    """The right gradient of one matrix as an outer product of something's values and another's adjoints."""
    case, home = chain.case, chain.home
    u, size, v = np.linalg.svd(case.points[case.home].truth[case.names[0]])
    if len(case.names) > 1 or size[1] > 1e-6 * size[0]:
        return None
    known = [(group.name, home.values[group.nodes]) for group in chain.tape.groups if group.labelled]
    known += [(name, case.argument(case.home, name)) for name in case.arrays]
    adjoints = [
        (f"∂{case.evidence.out}/∂{as_operand(group.name)}", home.adjoint[group.nodes, 0])
        for group in chain.tape.groups
    ]
    for left, right in ((known, adjoints), (adjoints, known)):
        first = next((name for name, x in left if _parallel(x, u[:, 0])), None)
        second = next((name for name, x in right if _parallel(x, v[0])), None)
        if first and second:
            return f"{case.title} = {first} ⊗ {second}, an outer product"
    return None


def _parallel(x: Floats, unit: Floats) -> bool:
    return x.shape == unit.shape and bool(
        abs(abs(x @ unit) - np.linalg.norm(x)) <= 1e-9 * np.linalg.norm(x) > 0
    )
