"""A softmax layer z = Wᵀ x: which of three printed results of a blog series hold, and in what layout.

The series stores dXE/dW_ji in a vector at position i * 3 + j, which is column-major for its 3 × 5
matrix W, and then reshapes the vector row by row: right numbers in the wrong places.
"""

from typing import Any

import numpy as np

from autograd_mini import check_gradient, check_jacobian, cross_entropy, draw, named, softmax, values

x = np.array([0.1, 0.5, 0.4])
W = np.array([[0.1, 0.2, 0.3, 0.4, 0.5], [0.6, 0.7, 0.8, 0.9, 0.1], [0.11, 0.12, 0.13, 0.14, 0.15]])
t = np.eye(5)[2]
PRINTED_GRADIENT = np.array([
    [0.01909135, 0.09545676, 0.07636541, 0.02035314, 0.10176572],
    [0.08141258, -0.07830167, -0.39150833, -0.31320667, 0.02313243],
    [0.11566214, 0.09252971, 0.01572474, 0.07862371, 0.06289897],
])  # fmt: skip

weights = values(W, "W")
S = named(softmax(named(weights.T @ x, "z")), "S")
loss = named(cross_entropy(S, 2), "XE")
loss.backward()
print(f"S  = {S.data}\nXE = {loss.data:.13f}")

print("\ndXE/dS = -t / S:")
print(check_gradient(lambda S: cross_entropy(S, t), lambda S: -t / S, at=S.data))
print("\ndS/dz = diag(S) - S Sᵀ:")
print(check_jacobian(softmax, lambda z: np.diag(s := softmax(z)) - np.outer(s, s), at=W.T @ x))


def layer_loss(W: Any) -> Any:
    """Cross-entropy of the layer as a function of its weights."""
    return cross_entropy(softmax(W.T @ x), t)


print("\ndXE/dW = x (S - t)ᵀ:")
print(check_gradient(layer_loss, lambda W: np.outer(x, softmax(W.T @ x) - t), at=W))
print("\ndXE/dW as printed:")
print(check_gradient(layer_loss, PRINTED_GRADIENT, at=W, rtol=0.0, atol=1e-7))
rearranged = PRINTED_GRADIENT.reshape(5, 3).T
print("\nThe printed numbers, read column by column:")
print(check_gradient(layer_loss, rearranged, at=W, rtol=0.0, atol=1e-7))
print(f"\nThe graph is in {draw(loss).save('softmax_layer.svg')}")
