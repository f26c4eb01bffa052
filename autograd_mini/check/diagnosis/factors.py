"""What passes some nodes multiplied by a factor too many, or one too few."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from autograd_mini.check.diagnosis.case import Candidate
from autograd_mini.check.diagnosis.chain import Chain, Factor, given
from autograd_mini.check.diagnosis.tape import Group, Site, Tape, Weights
from autograd_mini.check.subjects.arguments import Floats


def mask(v: Floats) -> Floats:
    return np.where(v > 0, 1.0, 0.0)


FORMS: list[tuple[str, Callable[[Floats], Floats], str]] = [
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
    """Every factor that there is, at every array of nodes."""
    tape, offered = chain.tape, _offered(chain)
    outputs = [tape.outputs] if tape.outputs is not None else []
    weights = {n: np.array([x.of(chain.home) for x in found], float) for n, found in offered.items()}
    for group in chain.in_time([*tape.groups[:400], *outputs]):
        at = " in what passes {G}"
        if chain.is_cut(group):
            at = ", elementwise at {G}" if len(group) > 1 else ""
        site = Site(group, group)
        for size in {len(group), 1} & offered.keys():
            things = [{"V": factor.thing, "G": group} for factor in offered[size]]
            for k in chain.sift_weights(site, weights[size]):
                factor, form = offered[size][k], offered[size][k].form + at
                yield chain.candidate(
                    "extra factor", f"yours is {{T}} times {form}{factor.why}",
                    f"{{T}} is yours without the factor {form}", things[k], site.changed(factor.of),
                )  # fmt: skip
            for k in chain.sift_weights(site, _inverse(weights[size])):
                factor, form = offered[size][k], offered[size][k].form + at
                yield chain.candidate(
                    "missing factor", f"yours misses the factor {form}", f"{{T}} is yours times {form}",
                    things[k], site.changed(_formed(_inverse, factor.of)),
                )  # fmt: skip


def _inverse(x: Floats) -> Floats:
    return np.where(x == 0, 1.0, 1 / x)


def _formed(form: Callable[[Floats], Floats], of: Weights) -> Weights:
    return lambda numbers: form(of(numbers))


def _offered(chain: Chain) -> dict[int, list[Factor]]:
    """What there is to be multiplied by, by the number of elements."""
    tape, case = chain.tape, chain.case
    found = [
        (len(group), Factor(group, _formed(form, group.values), text, why))
        for group in tape.groups[:500]
        for text, form, why in FORMS
        if form is not mask or _has_both_signs(tape, group)
    ]
    why = ", a derivative taken once more than the chain rule asks"
    found += [
        (len(edges.above), Factor(edges, edges.right, why=why)) for edges in tape.edges if not edges.is_linear
    ]
    found += [(array.size, Factor(name, given(name))) for name, array in case.arrays.items()]
    offered: dict[int, list[Factor]] = {}
    for size, factor in found:
        offered.setdefault(size, []).append(factor)
    return offered


def _has_both_signs(tape: Tape, group: Group) -> bool:
    """Whether a mask of an array is neither 0 nor 1 at all points."""
    known = [group.values(numbers) > 0 for point in tape.case.points if (numbers := tape.at(point))]
    return any(map(np.any, known)) and not all(map(np.all, known))
