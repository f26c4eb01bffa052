"""The exercise: a softmax layer, cross-entropy averaged over a batch. Derive the gradients by W and b."""

import numpy as np

from autograd_mini import named, softmax


def loss(W, b, X, T):
    """The mean over the rows of X of −Σ T log softmax(X W + b)."""
    Z = named(X @ W + b, "Z")
    Y = named(softmax(Z), "Y")
    return -np.sum(T * np.log(Y)) / len(X)


at = {
    "W": [[0.2, -0.1, 0.3], [0.5, 0.4, -0.2]],
    "b": [0.1, 0.0, -0.1],
    "X": [[1.0, 2.0], [-0.5, 1.5], [2.0, -1.0], [0.5, 0.5]],
    "T": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0]],
}
wrt = ["W", "b"]
worth = {"W": 2, "b": 1}
