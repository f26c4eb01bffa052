"""The numbers of an operation that a drawing shows, and the order of the reverse sweep."""

from __future__ import annotations

from collections.abc import Sequence

from autograd_mini.sweeps import CUT, local
from autograd_mini.value import Source, Value, constant, depth_first_order, interior_order


def sweep(roots: Sequence[Value]) -> list[Value]:
    """The interior nodes in the order in which the reverse sweep visits them."""
    order = interior_order(roots[0]) if len(roots) == 1 else depth_first_order(*roots)
    return order[::-1]


def partials(node: Value) -> list[float | None]:
    """The partials of a node's operation; constants have none, and nodes made by hand do not tell theirs."""
    if isinstance(node.op, Source):
        return [None for _ in node.args]
    known = (1.0 if slope is None else 0.0 if slope is CUT else slope for slope in local(node))
    return [None if x.op is constant else slope for x, slope in zip(node.args, known, strict=True)]
