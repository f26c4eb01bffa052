"""What is right in a wrong hand result, or would be in its place."""

from __future__ import annotations

import numpy as np

from autograd_mini.check.diagnosis.chain import Chain, fraction
from autograd_mini.check.subjects.arguments import Floats

LONGEST = 40  # characters of what a person is told to look at


def outer_product(chain: Chain) -> str:
    """The right gradient of one matrix as an outer product of something's values and another's adjoints."""
    case, home = chain.case, chain.home
    u, size, v = np.linalg.svd(case.home.truth[case.names[0]])
    if len(case.names) > 1 or size[1] > 1e-6 * size[0]:
        return ""
    known = [(group.name, group.values(home)) for group in chain.tape.groups if group.labelled]
    known += [(name, home.argument(name)) for name in case.arrays]
    adjoints = [(fraction(case.evidence.out, g.name), home.adjoint[g.nodes, 0]) for g in chain.tape.groups]
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
    for group in sorted(chain.tape.groups, key=lambda group: -group.level):
        is_output = group.nodes.tolist() == chain.home.roots
        if (
            is_output
            or len(group.name) > LONGEST
            or not group.level
            or chain.jacobian.size <= len(group)
            or not chain.is_cut(group)
        ):
            continue
        if chain.has_above(chain.yours.ravel(), group):
            below, above = fraction(group.name, case.inputs), fraction(case.evidence.out, group.name)
            return f"{below} is right in yours: look at {above}"
    return ""
