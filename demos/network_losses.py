"""A 3-3-3 network of tanh and softmax under three losses: the delta recurrences of lecture notes, checked.

delta^L = dC/da * sigma'(z), elementwise, holds for an elementwise sigma. Softmax is none: each output
depends on every logit, and its Jacobian diag(S) - S Sᵀ takes the place of sigma'.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_mini import (
    absolute_error,
    check_gradient,
    cross_entropy,
    draw,
    named,
    softmax,
    squared_error,
    values,
)

a0 = np.array([1.0, 0.0, 0.0])
W1 = np.array([[0.2, 0.15, -0.01], [0.01, -0.1, -0.06], [0.14, -0.2, -0.03]])
W2 = np.array([[0.08, 0.11, -0.3], [0.1, -0.15, 0.08], [0.1, 0.1, -0.07]])
b1, b2, t = np.ones(3), np.array([0.0, 1.0, 0.0]), np.array([0.0, 1.0, 0.0])
LOSSES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "sum |y - t|": (absolute_error, lambda y: np.sign(y - t)),
    "sum (y - t)²": (squared_error, lambda y: 2 * (y - t)),
    "-sum t ln y": (cross_entropy, lambda y: -t / y),
}

for name, (loss, d_loss) in LOSSES.items():
    parameters = {
        "W1": values(W1, "W1"),
        "b1": values(b1, "b1"),
        "W2": values(W2, "W2"),
        "b2": values(b2, "b2"),
    }
    a1 = named(np.tanh(parameters["W1"] @ a0 + parameters["b1"]), "a1_")
    y = named(softmax(named(parameters["W2"] @ a1 + parameters["b2"], "z2_")), "y")
    C = named(loss(y, t), "C")
    h, S = a1.data, y.data
    delta2 = (np.diag(S) - np.outer(S, S)) @ d_loss(S)
    delta1 = (W2.T @ delta2) * (1 - h * h)
    by_hand = {"W2": np.outer(delta2, h), "b2": delta2, "W1": np.outer(delta1, a0), "b1": delta1}
    print(f"{name} = {C.data:.6f}: the recurrences with softmax's Jacobian")
    print(check_gradient(C, by_hand), "\n")
    elementwise = d_loss(S) * S * (1 - S)
    print(f"{name}: delta with S (1 - S) elementwise, as for a sigmoid")
    print(check_gradient(C, {"b2": elementwise}), "\n")
print(f"The graph of the last loss is in {draw(C).save('network_losses.svg')}")
