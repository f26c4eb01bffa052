"""What went wrong in a hand derivation: the mistakes that reproduce it to tolerance at every point.

Each kind of mistake is a function that yields candidates, which are what somebody who made it would have
written. The simplest come first: a sign, the numbers of an array misplaced or left out, a factor such as
2 or 1/N; then those in the chain rule on f's graph, and at last any other factor. Where a sign or one factor
explains all, the chain rule has its word only on where that came from. Two mistakes together are tried
where one does not do. What could not have been refuted by the evidence is not claimed: a candidate among
thousands has to reproduce more than one short number.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from autograd_mini.check.diagnosis import arrangement, chain, factors, losses
from autograd_mini.check.diagnosis.case import Candidate, Case, Results
from autograd_mini.check.diagnosis.chain import Chain
from autograd_mini.check.diagnosis.evidence import Evidence, Explanation, Point
from autograd_mini.check.diagnosis.tape import Tape, tape_of
from autograd_mini.check.subjects.subject import Graph
from autograd_mini.value import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

__all__ = ["diagnose", "diagnose_value", "nodes_named"]

Kind: TypeAlias = Callable[[Chain], Iterator[Candidate]]
ON_THE_GRAPH: list[Kind] = [
    chain.other_functions,
    losses.other_losses,
    chain.paths,
    factors.slips,
    chain.inner_factors,
    factors.wrong_derivatives,
    factors.node_factors,
    chain.other_variables,
]
FEW_ON_THE_GRAPH = ON_THE_GRAPH[:1]
SOURCES_OF_A_FACTOR: list[Kind] = [losses.other_losses, factors.wrong_derivatives]
# Bits that refute tens, hundreds and thousands of candidates, and pairs of them.
SIMPLE, FEW, RICH, DOUBLE = 12.0, 16.0, 24.0, 36.0
MOST = 3  # explanations
BASES = 1000  # first mistakes that a second may follow


def diagnose(evidence: Evidence) -> list[Explanation]:
    """The explanations that reproduce the hand result at all points, structural before numerical ones.

    Empty if there is none, or nothing to explain. Parameters that are wrong for different reasons are
    explained one by one. Explanations are not ``certain`` where figures at one point leave several.
    """
    names = tuple(evidence.points[0].truth) if evidence.points else ()
    case = Case(evidence, names)
    if not case.points or not case.wrong:
        return []
    wrong = Case(evidence, case.wrong)
    found = _explain(wrong)
    if not found and len(case.wrong) > 1:
        found = [explanation for name in case.wrong for explanation in _explain(Case(evidence, (name,)))]
    return found


def _explain(case: Case) -> list[Explanation]:
    yours = [abs(point.yours[name]) for point in case.points for name in case.names]
    if case.information < SIMPLE or not any(part.any() for part in yours):
        return []
    truth = _truth(case)
    sign = [*_fitting(case, arrangement.signs(case, truth))]
    common = [*_fitting(case, arrangement.factors(case, truth, "common"))]
    other = [] if common else [*_fitting(case, arrangement.factors(case, truth))]
    found = [*sign, *_fitting(case, arrangement.entry_factors(case)), *_arranged(case, truth)]
    on_graph = Chain(case, known) if case.information >= FEW and (known := tape_of(case)) else None
    if on_graph is not None:
        found = [_with_factors(on_graph, explanation) for explanation in found]
    chained: list[Explanation] = []
    if on_graph is not None and case.shaped:
        found += _fitting(case, chain.inner_parts(on_graph))
        kinds = ON_THE_GRAPH if case.information >= RICH else FEW_ON_THE_GRAPH
        if (sign or common or other) and not case.is_one_number:
            kinds = [kind for kind in kinds if kind in SOURCES_OF_A_FACTOR]
        chained = [explanation for kind in kinds for explanation in _fitting(case, kind(on_graph))]
    found += [*common, *chained, *other]
    if not found and on_graph is not None:
        found = [*_twofold(case, on_graph)]
    return _chosen(case, found)


def nodes_named(evidence: Evidence, graph: Graph, explanation: Explanation) -> list[Value]:
    """The nodes of a graph, f's at one of the points, that an explanation speaks of."""
    tape = Tape(Case(evidence, tuple(evidence.points[0].truth)), graph)
    return [
        tape.order[i]
        for group in tape.groups
        if group.name in explanation.nodes
        for i in group.nodes.tolist()
    ]


def _truth(case: Case) -> Callable[[int], Results]:
    return lambda p: {name: case.points[p].truth[name] for name in case.names}


def _fitting(case: Case, candidates: Iterator[Candidate]) -> Iterator[Explanation]:
    in_time = takewhile(lambda candidate: not case.is_over, candidates)
    return (candidate.explain() for candidate in in_time if case.fits(candidate.result))


def _arranged(case: Case, base: Callable[[int], Results | None]) -> Iterator[Explanation]:
    """What can be seen from the array alone; of several parameters, each must be explained."""
    if len(case.names) > 1:
        return
    every = arrangement.arrangements(case)
    found = [*_fitting(case, arrangement.rearranged(case, base, every))]
    yield from found or arrangement.shuffled(case, case.names[0])


def _with_factors(on_graph: Chain, explanation: Explanation) -> Explanation:
    """The outer product that belongs in the place of an inner one, with the names of its factors."""
    formula = chain.outer_product(on_graph) if explanation.kind == "inner for outer" else None
    return replace(explanation, formula=formula) if formula else explanation


def _twofold(case: Case, on_graph: Chain) -> Iterator[Explanation]:
    """A mistake on the graph whose result was then misplaced, added up, negated or scaled."""
    every = arrangement.arrangements(case) if len(case.names) == 1 else []
    unsifted = Chain(case, on_graph.tape, sifted=False)
    firsts = factors.common(unsifted) if case.information >= DOUBLE else chain.inner_parts(unsifted)
    for first in takewhile(lambda first: not case.is_over, islice(firsts, BASES)):
        base = cache(first.result)
        if base(case.order[0]) is None:
            continue
        seconds = [
            *(arrangement.rearranged(case, base, every) if every else ()),
            *arrangement.signs(case, base),
            *arrangement.factors(case, base, "named"),
        ]
        for second in seconds:
            if case.fits(second.result):
                one, other = first.explain(), second.explain()
                after = other.text.removeprefix(f"yours is {case.title} ")
                text = f"{one.text}; and what comes of that is given {after}"
                yield replace(one, text=text, formula=f"{one.formula}; {other.formula}")


def _chosen(case: Case, found: list[Explanation]) -> list[Explanation]:
    """Of every kind the shortest, which speaks of nodes with names; doubtful if one point leaves several."""
    kinds: dict[str, list[Explanation]] = {}
    for explanation in found:
        kinds.setdefault(explanation.kind, []).append(explanation)
    chosen = [min(alike, key=lambda explanation: len(explanation.text)) for alike in kinds.values()][:MOST]
    certain = len(case.points) > 1 or len(chosen) == 1
    return [replace(explanation, certain=certain and explanation.certain) for explanation in chosen]


# --- values ------------------------------------------------------------------------------------------


class _ValueCase(Case):
    """A printed value held against the right one."""

    def symbol(self, name: str) -> str:
        return self.evidence.out


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
    names = {"value": value}, {"value": printed}, {"value": np.broadcast_to(slack, value.shape)}
    point = Point(arguments, np.zeros(()), *names)
    case = _ValueCase(
        Evidence([point], lambda point: graph, None, out, time.perf_counter() + seconds), ("value",)
    )
    if not case.points or not case.wrong or case.information < SIMPLE:
        return []
    found = [*_fitting(case, losses.other_values(case, graph))]
    truth = _truth(case)
    found += _arranged(case, truth)
    found += _fitting(case, arrangement.signs(case, truth))
    found += _fitting(case, arrangement.entry_factors(case))
    found += _fitting(case, arrangement.factors(case, truth))
    return _chosen(case, found)
