"""One step of softmax regression: theta = Wᵀ x + b, a step of gradient descent, and the printed results.

The page prints a loss of 1.9095425 before the step. Three equal logits give ln 3 = 1.0986123 instead.
"""

import numpy as np

from autograd_mini import check_gradient, cross_entropy_from_logits, draw, named, softmax, values

x, t, rate = np.array([8.0, 7.0]), np.array([0.0, 0.0, 1.0]), 1.0
PRINTED_LOSS = 1.9095425
PRINTED_W = np.array([[-2.16666667, -2.16666667, 5.83333333], [-1.83333333, -1.83333333, 5.16666667]])
PRINTED_B = np.array([0.66666667, 0.66666667, 1.66666667])

W, b = values(np.full((2, 3), 0.5), "W"), values(np.ones(3), "b")
theta = named(W.T @ x + b, "theta")
loss = named(cross_entropy_from_logits(theta, t), "J")
print(f"loss {loss.data:.7f}, printed {PRINTED_LOSS}, ln 3 = {np.log(3):.7f}")

residual = softmax(theta.data) - t
report = check_gradient(loss, {"theta": residual, "W": np.outer(x, residual), "b": residual})
print(report)
report.raise_if_wrong()

graph = draw(loss).save("softmax_regression.svg")
loss.backward()
W.data -= rate * W.grad
b.data -= rate * b.grad
loss.forward()
print(f"\nafter one step: W\n{W.data}\nb {b.data}\nloss {loss.data + 0.0:.6g}")
off = max(np.abs(W.data - PRINTED_W).max(), np.abs(b.data - PRINTED_B).max())
print(f"largest difference from the printed W and b {off:.1e}")
print(f"The graph is in {graph}")
