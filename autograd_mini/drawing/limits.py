"""What is drawn of a graph that is too large to read: the part around its roots and the steepest path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

from autograd_mini.drawing.numbers import partials
from autograd_mini.value import Value

AROUND = 48  # nodes next to the roots
ENDS = 10  # nodes of the steepest path at each of its ends
FORKS = 1000  # forks of the path at which partials are compared: a picture shows only its ends


def steepest_leaf(leaves: Iterable[Value], gradients: Mapping[Value, float]) -> Value | None:
    """The leaf that moves the root most: that of the largest |∂root|, if there is one such."""
    slopes = {leaf: abs(gradients[leaf]) for leaf in leaves}
    largest = max((slope for slope in slopes.values() if slope == slope), default=0.0)  # nan is none
    steepest = [leaf for leaf, slope in slopes.items() if slope == largest]
    return steepest[0] if len(steepest) == 1 < len(slopes) and largest > 0.0 else None


def steepest_path(
    roots: Sequence[Value], order: Sequence[Value], leaf: Value, gradients: Mapping[Value, float]
) -> list[Value]:
    """From a root down to the leaf, at each fork along the larger |adjoint · partial|."""
    leading = {leaf}
    for node in order:
        if not leading.isdisjoint(node.args):
            leading.add(node)
    path = [next(root for root in roots if root in leading)]
    forks = 0
    while path[-1] is not leaf:
        node = path[-1]
        ways = [i for i, operand in enumerate(node.args) if operand in leading]
        if len(ways) > 1 and forks < FORKS:
            forks += 1
            slopes = partials(node)
            ways.sort(key=lambda i: -abs(gradients[node] * (slopes[i] or 0.0)))
        path.append(node.args[ways[0]])
    return path


def around(
    roots: Sequence[Value], operands: Callable[[Value], Iterable[Value]], most: int
) -> dict[Value, None]:
    """The first nodes met when walking down from the roots breadth-first."""
    found = dict.fromkeys(islice(roots, most))
    queue = list(found)
    for node in queue:
        for operand in operands(node):
            if len(found) >= most:
                return found
            if operand not in found:
                found[operand] = None
                queue.append(operand)
    return found
