"""The derivative of one operation, or of an elementwise function of several: left out, or another's."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import numpy as np

from autograd_mini.check.diagnosis.case import Candidate
from autograd_mini.check.diagnosis.chain import Chain, Factor, Mistake, Thing, fraction
from autograd_mini.check.diagnosis.tape import Edges, Group, Numbers, Site, Weights
from autograd_mini.check.subjects.arguments import Floats
from autograd_mini.number_types import ARRAY
from autograd_mini.rules import table
from autograd_mini.sweeps import CUT, partials

Slip: TypeAlias = "tuple[str, Callable[[Floats, Floats, Floats, Floats], Floats]]"


def _slope(z: Floats) -> Floats:
    s = 1 / (1 + np.exp(-z))
    return np.asarray(s * (1 - s))


# In the operand x, the other operand y, the result z and the right partial p.
LEFT_OUT: list[Slip] = [
    ("leaves out the factor {M}", lambda x, y, z, p: np.ones_like(p)),
    ("takes twice the factor {M}", lambda x, y, z, p: p * p),
]
WRONG: list[Slip] = [
    ("divides by the factor {M}", lambda x, y, z, p: 1 / p),
    ("takes the value {G} for {M}", lambda x, y, z, p: z),
    ("takes {H} for {M}", lambda x, y, z, p: x),
    ("takes {G_}·(1 − {G_}), that of a sigmoid, for {M}", lambda x, y, z, p: z * (1 - z)),
    ("takes 1 − {G_}², that of a tanh, for {M}", lambda x, y, z, p: 1 - z * z),
    ("takes 1 − {G_} for {M}", lambda x, y, z, p: 1 - z),
    ("takes 1 + {G_}² for {M}", lambda x, y, z, p: 1 + z * z),
    ("takes {G_}·(1 + {G_}) for {M}", lambda x, y, z, p: z * (1 + z)),
    ("takes {H_}·(1 − {H_}), with the operand for the result, for {M}", lambda x, y, z, p: x * (1 - x)),
    ("takes 1 − {H_}², with the operand for the result, for {M}", lambda x, y, z, p: 1 - x * x),
    ("takes 1/{H_} for {M}", lambda x, y, z, p: 1 / x),
    ("takes 1/{H_}² for {M}", lambda x, y, z, p: 1 / (x * x)),
    ("takes {H_}² for {M}", lambda x, y, z, p: x * x),
    ("takes cos({H}) for {M}", lambda x, y, z, p: np.cos(x)),
    ("takes sin({H}) for {M}", lambda x, y, z, p: np.sin(x)),
    ("takes the derivative of a sigmoid at {G}, its result, for {M}", lambda x, y, z, p: _slope(z)),
    ("takes the derivative of a tanh at {G}, its result, for {M}", lambda x, y, z, p: 1 - np.tanh(z) ** 2),
]
LONGEST = 40  # characters of a rule that says something to a person
POWER_RULE = "takes the power rule, which is for a constant exponent, for {M}"
OF_OPERATIONS: dict[tuple[str, int], list[Slip]] = {
    ("pow", 0): [
        ("takes the exponent as it was for {M}", lambda x, y, z, p: y * z),
        ("takes the exponent lowered but not brought down for {M}", lambda x, y, z, p: z / x),
        (
            "takes the rule of an exponential, which is for a constant base, for {M}",
            lambda x, y, z, p: z * np.log(x),
        ),
    ],
    ("pow", 1): [(POWER_RULE, lambda x, y, z, p: x * z / y)],
    ("exp", 0): [(POWER_RULE, lambda x, y, z, p: x * z / np.e)],
}


def slips(chain: Chain) -> Iterator[Candidate]:
    """The local derivative of one operation left out, or taken twice."""
    for edges in chain.in_time(chain.tape.edges):
        if edges.op == "mul" or not edges.is_linear or np.ptp(edges.right(chain.home)):
            left_out, twice = _slipped(edges, LEFT_OUT)
            kinds = "missing factor", "extra factor"
            of_kinds = [x._replace(kind=kind) for x, kind in zip((left_out, twice), kinds, strict=True)]
            yield from chain.replaced(edges, of_kinds)


def wrong_derivatives(chain: Chain) -> Iterator[Candidate]:
    """The local derivative of one operation replaced by that of something else, or taken somewhere else."""
    for edges in chain.in_time(chain.tape.edges):
        if edges.op == "mul":
            yield from _other_operands(chain, edges)
        elif not edges.is_linear or np.ptp(edges.right(chain.home)):
            own = OF_OPERATIONS.get((edges.op, edges.place), [])
            yield from chain.replaced(edges, _slipped(edges, [*WRONG, *own]))
            yield from _elsewhere(chain, edges)


def elementwise(chain: Chain) -> Iterator[Candidate]:
    """The derivative of an elementwise function of several operations replaced by that of something else."""
    for inner in chain.in_time(chain.inner):
        if inner.elementwise and inner.below.nodes[0] not in chain.tape.args[inner.above.nodes[0]]:
            yield from chain.replaced(inner, _slipped(inner, WRONG))


def _slipped(site: Site, slips: Iterable[Slip]) -> list[Mistake]:
    """The mistakes that may be made in the derivative of one operation or function."""
    x, z = site.below.values, site.above.values
    things: dict[str, Thing] = {"G": site.above, "H": site.below}
    y, rule = x, ""
    if isinstance(site, Edges):
        y, rule = site.others.values, _rule(site)
        things |= {"M": site.others} if site.op == "mul" else {}

    def weights(of: Callable[[Floats, Floats, Floats, Floats], Floats]) -> Weights:
        return lambda n: of(x(n), y(n), z(n), site.right(n))

    formula = f"{{T}} has the factor {{M}} once{rule}"
    return [Mistake("wrong derivative", f"yours {text}", formula, things, weights(of)) for text, of in slips]


def _rule(edges: Edges) -> str:
    """The rule of an operation, unless it says no more than the factor does, or is one for each case."""
    row = table[edges.op]
    rule = row.partials[edges.place]
    partial = rule.rpartition(" else ")[2]  # the general case
    if edges.op == "mul" or "cut" in rule or len(partial) > LONGEST:
        return ""
    partial = re.sub(r"xlogy\((\w+), (\w+)\)", r"\1 * log(\2)", partial)
    text = f"; {edges.op}({', '.join(row.operands)}) has ∂/∂{row.operands[edges.place]} = {partial}"
    return text + ", z its result" * ("z" in partial)


def _other_operands(chain: Chain, edges: Edges) -> Iterator[Candidate]:
    """Another array where a product has the other factor, as x for x̂."""
    own = {*edges.others.nodes.tolist()}

    def has_it(thing: Thing) -> bool:  # the right one as a factor, which is then a factor too many
        args = chain.tape.args[thing.nodes[0]] if isinstance(thing, Group) and thing.op == "mul" else []
        return not own.isdisjoint(args)

    text = "yours has {V} in the place of {G}, by which {H} is multiplied"
    things = {"H": edges.below, "G": edges.others}
    yield from chain.replaced(edges, [
        Mistake("wrong operand", text, "{T} has the factor {G} there",
                {**things, "V": factor.thing}, factor.of)
        for factor in chain.operands(len(edges.above)) if not has_it(factor.thing)
    ])  # fmt: skip


def _elsewhere(chain: Chain, edges: Edges) -> Iterator[Candidate]:
    """The derivative of a function of one operand, or a ReLU's mask, taken at another array."""
    row, is_mask = table[edges.op], edges.op in ("maximum", "relu")
    if not is_mask and len(row.operands) > 1:
        return

    def slope(of: Weights) -> Weights:
        def at(n: Numbers) -> Floats:
            x = of(n)
            if is_mask:
                return np.where(x > 0, 1.0, 0.0)
            found = partials(ARRAY, row)(x, ARRAY.function(row)(x))[0]
            return np.ones(x.shape) if found is CUT or found is None else np.asarray(found, dtype=float)

        return at

    places = chain.operands(len(edges.above))
    if is_mask:
        places.append(Factor(f"{edges.below.name} < 0", lambda n: -edges.below.values(n)))
    if is_mask and chain.case.outputs == 1:
        of_the_adjoint = fraction(chain.case.evidence.out, edges.above.name)
        places.append(Factor(of_the_adjoint, lambda n: n.adjoint[edges.above.nodes, 0]))
    text = "takes the mask of {V}, not of {H}" if is_mask else "takes {M} at {V}, not at {H}"
    things = {"G": edges.above, "H": edges.below}
    yield from chain.replaced(edges, [
        Mistake("wrong derivative", f"yours {text}", "{T} has the factor {M} at {H}",
                {**things, "V": place.thing}, slope(place.of))
        for place in places
    ])  # fmt: skip
