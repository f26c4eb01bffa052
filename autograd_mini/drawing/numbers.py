"""The numbers of a drawing: gradients from a sweep of its own, and the partials of one operation."""

from __future__ import annotations

from collections.abc import Sequence

from autograd_mini.value import Source, Value, constant, depth_first_order, interior_order, reverse_step


def gradients(roots: Sequence[Value], order: list[Value]) -> dict[Value, float]:
    """∂root/∂node for every node below, which come in topological order; of several roots that of their sum.

    Each ``.grad`` stays as it was, also if a step made by hand raises.
    """
    before = [node.grad for node in order]
    try:
        for node in order:
            node.grad = 0.0
        for root in roots:
            root.grad += 1.0
        for node in reversed(order):
            if node.args:
                reverse_step(node)
        return {node: node.grad for node in order}
    finally:
        for node, grad in zip(order, before, strict=True):
            node.grad = grad


def sweep(roots: Sequence[Value]) -> list[Value]:
    """The interior nodes in the order in which the reverse sweep visits them."""
    order = interior_order(roots[0]) if len(roots) == 1 else depth_first_order(*roots)
    return order[::-1]


def partials(node: Value) -> list[float | None]:
    """The partials of a node's operation, one an operand, from its own reverse step.

    The step runs on a copy with a leaf of its own in each place, so that the two partials of
    ``x * x`` do not add up. Constants have none, and nodes made by hand do not tell theirs.
    """
    if isinstance(node.op, Source):
        return [None for _ in node.args]
    leaves = [x if x.op is constant else Value(x.data) for x in node.args]
    copy = Value(node.data, tuple(leaves))
    copy.op = node.op
    copy.grad = 1.0
    reverse_step(copy)
    return [None if leaf.op is constant else leaf.grad for leaf in leaves]
