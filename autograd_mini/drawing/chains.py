"""Trees of additions as one Σ, chains of products as one ∏, of maxima as one max.

An addition that is used once, by another addition, says no more than the sum as a whole. What enters the
Σ has the product of the partials on its way as partial, so that the chain rule still holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from autograd_mini import rules
from autograd_mini.drawing.numbers import partials
from autograd_mini.value import Value

SYMBOLS: dict[object, str] = {rules.add: "Σ", rules.mul: "∏", rules.maximum: "max", rules.minimum: "min"}


def heads(order: Sequence[Value], together: Callable[[Value, Value], bool]) -> dict[Value, Value]:
    """For each node drawn as a part of another the node at the top; ``together`` says what may merge."""
    uses = Counter(operand for node in order for operand in node.args if operand.op in SYMBOLS)
    top: dict[Value, Value] = {}
    for node in reversed(order):
        if node.op in SYMBOLS:
            for x in node.args:
                if x.op is node.op and uses[x] == 1 and together(x, node):
                    top[x] = top.get(node, node)
    return top


def inputs(node: Value, top: Mapping[Value, Value]) -> list[tuple[Value, float | None]]:
    """What enters a node from outside, in order, and its partial: the product of those on its way."""
    found: list[tuple[Value, float | None]] = []
    stack: list[tuple[Value, float | None]] = [(node, 1.0)]
    while stack:
        x, slope = stack.pop()
        if x is not node and x not in top:
            found.append((x, slope))
            continue
        assert slope is not None  # an operation's
        steps = zip(x.args, partials(x), strict=True)
        stack += [(y, None if partial is None else slope * partial) for y, partial in steps][::-1]
    return found
