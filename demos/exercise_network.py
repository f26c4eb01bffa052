"""A 2-2-2 network from a notebook of exercises, whose printed step of backpropagation is wrong.

The notebook codes its sigmoid as 1 / 1 + exp(-v), which is 1 + exp(-v). With that function the printed
outputs come out; its backpropagation is then checked from the output error down.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_mini import check_gradient, draw, named, softmax, values

x, t, rate = np.array([-1.0, 1.0]), np.array([1.0, 0.0]), 0.1
W1, b1 = np.array([[-2.0, 1.0], [3.0, 0.0]]), np.array([0.5, 1.5])
W2, b2 = np.array([[2.0, 3.0], [-1.0, 2.0]]), np.array([2.0, -1.0])

SIGMAS: dict[str, Callable[..., Any]] = {
    "sigma(v) = 1 / (1 + exp(-v)), as meant": lambda v: 1 / (1 + np.exp(-v)),
    "sigma(v) = 1 / 1 + exp(-v), as coded": lambda v: 1 / 1 + np.exp(-v),
}
for title, sigma in SIGMAS.items():
    parameters = {
        "W1": values(W1, "W1"),
        "b1": values(b1, "b1"),
        "W2": values(W2, "W2"),
        "b2": values(b2, "b2"),
    }
    h = named(sigma(x @ parameters["W1"] + parameters["b1"]), "h")
    z = named(h @ parameters["W2"] + parameters["b2"], "z")
    y = named(softmax(z), "y")
    E = named(np.sum((y - t) ** 2) / 2, "E")
    print(f"{title}: y = {y.data.round(4)}, E = {E.data:.10f}; printed y = [0.0561 0.9439], E = 0.8910265889")

H, Y = h.data, y.data
e = (y.data - t) * Y * (1 - Y)
print("\nThe notebook's output error (y - t) * y * (1 - y), as dE/dz and as dE/db2:")
print(check_gradient(E, {"z": e, "b2": e}))
print("\nIts dE/dW2, the inner product h · e in every entry:")
print(check_gradient(E, {"W2": np.full((2, 2), H @ e)}))

d_z = (np.diag(Y) - np.outer(Y, Y)) @ (Y - t)
print("\nRight: dE/dz = (diag(y) - y yᵀ)(y - t), and dE/dW2 the outer product h (dE/dz)ᵀ:")
report = check_gradient(E, {"z": d_z, "b2": d_z, "W2": np.outer(H, d_z)})
print(report)
report.raise_if_wrong()
print(f"\nThe graph is in {draw(E).save('exercise_network.svg')}")
