"""The engine's word: Jacobians by reverse sweeps over a graph, and the kinks on which it sits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from autograd_mini.drawing.numbers import gradients
from autograd_mini.value import Value, topological_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]


def jacobian_of(outputs: Sequence[Any], inputs: Sequence[Value | None]) -> Floats:
    """∂output/∂input, one sweep an output; constant outputs and inputs that do not occur have zeros."""
    rows = [
        _sweep(root, inputs) if isinstance(root, Value) else [0.0] * len(inputs)  # a constant output
        for root in outputs
    ]
    return np.array(rows, dtype=float).reshape(len(outputs), len(inputs))


def combined(outputs: Sequence[Any], weights: Floats) -> list[Any]:
    """A weighted sum of the outputs for each row of weights."""
    return [
        sum((float(w) * output for w, output in zip(row, outputs, strict=True) if w), 0.0) for row in weights
    ]


def _sweep(root: Value, inputs: Sequence[Value | None]) -> list[float]:
    """∂root/∂input for each input, every ``.grad`` left as it was."""
    gradient = gradients([root], topological_order(root))
    return [0.0 if node is None else gradient.get(node, 0.0) for node in inputs]


def at_pole(outputs: Sequence[Any]) -> bool:
    """Whether some intermediate is not finite, as in tanh(ln 0), or a derivative with respect to one, as in
    √(relu x) for x < 0."""
    roots = [node for node in outputs if isinstance(node, Value)]
    order = topological_order(*roots)
    finite = np.isfinite([node.data for node in order]).all()
    return not (finite and np.isfinite(jacobian_of(roots, order)).all())


def _at_zero(*operands: float) -> bool:
    return not any(operands)


def _tie(x: float, y: float) -> bool:
    return x == y


KINKS: dict[str, Callable[..., bool]] = {
    **dict.fromkeys(["abs", "sign", "relu", "hypot", "atan2"], _at_zero),
    **dict.fromkeys(["maximum", "minimum", "less", "less_equal", "equal"], _tie),
}


def kinks_of(outputs: Sequence[Any]) -> list[str]:
    """The operations that sit on a kink of theirs, in words."""
    found: dict[str, None] = {}
    for node in topological_order(*(node for node in outputs if isinstance(node, Value))):
        test = KINKS.get(node.op.name)
        if test and test(*(operand.data for operand in node.args)):
            operands = ", ".join(f"{x.label} = {x.data:g}" if x.label else f"{x.data:g}" for x in node.args)
            found[f"{node.op.name}({operands})"] = None
    return list(found)
