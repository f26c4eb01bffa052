"""What went wrong in a hand derivation: the mistakes that reproduce it to tolerance at every point.

It is one search. Each kind of mistake is a function that yields candidates, what somebody who made it would
have written; they come by how plain they are, from a sign to a factor at some node and at last two mistakes
together. The first kinds that give the hand result at every point are what is said, and nothing that is
further fetched beside them. What could not have been refuted is not claimed: a candidate among thousands has
to reproduce more than one short number.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from itertools import islice
from typing import Any

import numpy as np

from autograd_mini.check.diagnosis import (
    arrangement,
    derivatives,
    factors,
    jacobians,
    losses,
    paths,
    remains,
    targets,
    terms,
)
from autograd_mini.check.diagnosis.case import At, Candidate, Case, Results
from autograd_mini.check.diagnosis.chain import Chain
from autograd_mini.check.diagnosis.evidence import Evidence, Explanation, Point
from autograd_mini.check.diagnosis.tape import tape_if_any
from autograd_mini.check.subjects.arguments import Floats
from autograd_mini.check.subjects.subject import Graph
from autograd_mini.transforms import hessian
from autograd_mini.value import Value

__all__ = ["diagnose", "diagnose_value", "nodes_named", "what_is_right"]

SMALL = 32  # numbers of which there are second derivatives


def second_derivatives(case: Case, base: At) -> Iterator[Candidate]:
    """The Hessian in the place of the gradient, or what is on its diagonal."""
    call, point = case.evidence.call, case.points[0]
    if call is None or case.rows or len(case.names) > 1 or case.names[0] not in point.arguments:
        return
    [name] = case.names
    shape, given = point.truth[name].shape, point.yours[name].shape
    if given not in (shape, shape * 2) or point.truth[name].size > SMALL:
        return

    def result(point: Point) -> Results | None:
        at = point.arguments
        try:
            found = np.asarray(hessian(lambda x: call({**at, name: x}))(at[name]), dtype=float)
        except Exception:  # f does not run on Values
            return None
        size = math.prod(shape)
        return {
            name: found if given == found.shape else np.diagonal(found.reshape(size, size)).reshape(shape)
        }

    what = f"second derivative of {case.evidence.out}, and not its first"
    if given != shape:
        what = f"Hessian of {case.evidence.out}, of shape {given}, and not its gradient"
    of_shape = f", of shape {shape}" * bool(shape)
    yield Candidate(
        "other function", f"yours is the {what}", f"{case.title} is the first derivative{of_shape}", result
    )


# What can be seen from the array and what from the graph, with how plain it is and how many bits of the hand
# result must have been able to refute it.
ON_THE_ARRAY: list[tuple[int, float, Callable[[Case, At], Iterator[Candidate]]]] = [
    (0, 4, arrangement.signs),
    (0, 12, arrangement.arranged),
    (1, 4, arrangement.named_factors),
    (1, 12, arrangement.entry_factors),
    (2, 12, second_derivatives),
    (4, 12, arrangement.shuffled),
    (7, 12, arrangement.factors),
]
ON_THE_GRAPH: list[tuple[int, float, Callable[[Chain], Iterator[Candidate]]]] = [
    (0, 16, jacobians.inner_parts),
    (1, 16, terms.terms),
    (1, 24, targets.missing_target),
    (3, 16, paths.other_functions),
    (3, 24, losses.other_losses),
    (2, 24, paths.held),
    (3, 24, derivatives.slips),
    (3, 24, jacobians.inner_factors),
    (3, 24, paths.paths),
    (3, 24, factors.node_factors),
    (3, 24, derivatives.wrong_derivatives),
    (3, 24, derivatives.elementwise),
    (3, 24, paths.other_variables),
    (3, 24, paths.before_a_sum),
    (5, 60, terms.extra_terms),
]
BEFORE_ANOTHER = [
    jacobians.inner_parts,
    jacobians.inner_factors,
    paths.other_functions,
    derivatives.slips,
    paths.paths,
]
DOUBLE, RICH = 36.0, 100.0  # bits that refute pairs of mistakes, and all but one explanation
MOST = 3  # explanations
BASES = 1000  # first mistakes that a second may follow


def _truth(point: Point) -> Results:
    return point.truth


def diagnose(evidence: Evidence) -> list[Explanation]:
    """The explanations that reproduce the hand result at all points, the plainest.

    Empty if there is none, or nothing to explain. Parameters that are wrong for different reasons are
    explained one by one. Explanations are not ``certain`` where figures at one point leave several.
    """
    case = Case(evidence, tuple(evidence.points[0].truth) if evidence.points else ())
    if not case.points or not (wrong := case.wrong):
        return []
    found = _explained(Case(evidence, wrong))
    if not found and len(wrong) > 1:
        found = [explanation for name in wrong for explanation in _explained(Case(evidence, (name,)))]
    return found


def _explained(case: Case) -> list[Explanation]:
    if not any(point.yours[name].any() for point in case.points for name in case.names):
        return []
    return _chosen(case, _candidates(case))


def _candidates(case: Case) -> Iterator[tuple[int, Candidate]]:
    """What may have been written, with how plain the mistake is."""
    on_graph = None
    if case.bits >= 16 and (tape := tape_if_any(case)) is not None:
        on_graph = Chain(case, tape)
    tried: list[tuple[int, float, Callable[[], Iterator[Candidate]]]] = [
        (rank, bits, partial(kind, case, _truth)) for rank, bits, kind in ON_THE_ARRAY
    ]
    if on_graph is not None:
        graphical = ON_THE_GRAPH if case.shaped else [x for x in ON_THE_GRAPH if x[2] is paths.before_a_sum]
        tried += [(rank, bits, partial(kind, on_graph)) for rank, bits, kind in graphical]
        tried.append((8, 16, partial(_twofold, case, on_graph)))
    for rank, bits, kind in sorted(tried, key=lambda x: x[0]):
        if case.bits >= bits:
            for candidate in kind():
                yield rank, _named(candidate, on_graph)


def _named(candidate: Candidate, on_graph: Chain | None) -> Candidate:
    """The outer product that belongs in the place of an inner one, with the names of its factors."""
    if (
        candidate.kind == "inner for outer"
        and on_graph is not None
        and (said := remains.outer_product(on_graph))
    ):
        return replace(candidate, formula=said)
    return candidate


def _twofold(case: Case, on_graph: Chain) -> Iterator[Candidate]:
    """A mistake on the graph whose result was then misplaced, added up, negated or scaled."""
    unsifted = replace(on_graph, sifted=False)
    kinds = BEFORE_ANOTHER if case.bits >= DOUBLE else [jacobians.inner_parts]
    for first in islice((x for kind in kinds for x in kind(unsifted)), BASES):
        if case.is_over:
            return
        base = cache(first.result)
        for second in (x for kind in (arrangement.arranged, arrangement.signs, arrangement.named_factors)
                       for x in kind(case, base)):  # fmt: skip
            after = second.text.removeprefix(f"yours is {case.title} ")
            yield replace(
                first, text=f"{first.text}; and what comes of that is given {after}",
                formula=f"{first.formula}; {second.formula}", result=second.result,
            )  # fmt: skip


@np.errstate(all="ignore")
def _chosen(case: Case, candidates: Iterator[tuple[int, Candidate]]) -> list[Explanation]:
    """The plainest that fit, of every kind the shortest; more, and doubtful, if one number leaves several."""
    is_told = (len(case.points) > 1 or case.bits > RICH) and not case.is_one_number
    found: dict[str, Explanation] = {}
    plainest = None
    for rank, candidate in candidates:
        if case.is_over or len(found) == MOST or (plainest is not None and rank > plainest and is_told):
            break
        if (plainest is None or rank == plainest or candidate.kind not in found) and case.fits(
            candidate.result
        ):
            explanation = candidate.explain()
            if explanation is None:
                continue
            plainest = rank if plainest is None else plainest
            known = found.get(explanation.kind, explanation)
            found[explanation.kind] = min(known, explanation, key=lambda x: len(x.text))
    chosen = [*found.values()][:MOST]
    if is_told:  # they say the same: what is longer than the first says it worse
        chosen = [x for x in chosen if len(x.text) <= len(chosen[0].text)]
    certain = len(case.points) > 1 or len(chosen) == 1
    return [replace(explanation, certain=certain) for explanation in chosen]


def what_is_right(evidence: Evidence) -> str:
    """Where to look next when no mistake is known: which entries are wrong, what is right below them."""
    names = tuple(evidence.points[0].truth) if evidence.points else ()
    case = Case(evidence, names)
    said = []
    if case.points and case.shaped and case.wrong_entries.any() and not case.wrong_entries.all():
        are = "is" if np.sum(case.wrong_entries) == 1 else "are"
        said.append(f"of yours only {arrangement.entries(case)} {are} wrong")
    for name in case.wrong if case.points else ():
        own = Case(evidence, (name,))
        tape = tape_if_any(own)
        if tape is not None and (below := remains.right_below(Chain(own, tape))):
            said.append(below)
    return "; ".join(said)


def nodes_named(evidence: Evidence, graph: Graph, explanation: Explanation) -> list[Value]:
    """The nodes of a graph, f's at the first of the points, that an explanation speaks of."""
    points = evidence.points[:1]
    first = replace(
        evidence, points=points, graph=lambda at: graph if at is points[0] else evidence.graph(at)
    )
    tape = tape_if_any(Case(first, tuple(evidence.points[0].truth)))
    groups = tape.groups if tape else []
    return [tape.order[i] for g in groups if tape and g.name in explanation.nodes for i in g.nodes.tolist()]


def diagnose_value(
    value: Floats,
    printed: Floats,
    slack: Floats,
    arguments: Mapping[str, Any],
    graph: Graph | None = None,
    out: str = "f",
    seconds: float = math.inf,
) -> list[Explanation]:
    """The explanations of a printed value of a function, its output at ``arguments``.

    Tries the library's other losses for every pair of arrays of one length among the arguments (and
    in the graph of f, where it is given), a mean for a sum, a logarithm to another base, a function of the
    value, a step of the graph. ``slack`` is how far ``printed`` may lie from ``value``, of its shape.

    >>> import numpy as np
    >>> y, t = np.array([0.5, 0.3, 0.2]), np.array([1.0, 0.0, 0.0])
    >>> found = diagnose_value(np.log(2), np.array(1.27296568), np.array(1e-8), {"y": y, "t": t}, out="L")
    >>> print(found[0].text)
    yours is another loss, binary_cross_entropy(y, t) = −Σ [t ln y + (1 − t) ln(1 − y)]
    """
    value, printed = np.asarray(value, dtype=float), np.asarray(printed, dtype=float)
    parts = {"": value}, {"": printed}, {"": np.broadcast_to(slack, value.shape)}
    point = Point(arguments, np.zeros(()), *parts)
    evidence = Evidence([point], lambda point: graph, None, out, time.perf_counter() + seconds)
    case = Case(evidence, ("",))
    if not case.points or not case.wrong:
        return []
    tape = tape_if_any(case)
    candidates = ((0, x) for x in losses.other_values(case, tape))
    arrays = ((1, x) for _, _, kind in ON_THE_ARRAY for x in kind(case, _truth))
    return _chosen(case, (x for part in (candidates, arrays) for x in part))
