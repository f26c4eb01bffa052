"""Handwritten digits: softmax regression and a perceptron on scikit-learn's 1,797 images of 8 × 8.

The gradient of softmax regression, ∂L/∂W = (S − t) xᵀ and ∂L/∂b = S − t, is derived by hand and checked. Both
models are traced for one image, mapped over the batch, and trained by gradient descent with momentum.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import trange

from autograd_mini import check_gradient, cross_entropy_from_logits, softmax, trace, value_and_grad

images, digits = load_digits(return_X_y=True)
train, test, digit, truth = train_test_split(
    images / 16, digits, test_size=0.25, random_state=0, stratify=digits
)
targets = np.eye(10)[digit]
rng = np.random.default_rng(0)


def linear(p: Any, x: Any) -> Any:
    return p["W"] @ x + p["b"]


def perceptron(p: Any, x: Any) -> Any:
    return p["W2"] @ np.tanh(p["W1"] @ x + p["b1"]) + p["b2"]


def regression_loss(W: Any, b: Any, x: Any, t: Any) -> Any:
    return cross_entropy_from_logits(W @ x + b, t)


def regression_by_hand(W: Any, b: Any, x: Any, t: Any) -> Any:
    d = softmax(W @ x + b) - t
    return {"W": np.outer(d, x), "b": d}


at = {"W": rng.normal(0, 0.1, (10, 64)), "b": np.zeros(10), "x": train[0], "t": targets[0]}
report = check_gradient(regression_loss, regression_by_hand, at=at)
print(report)
report.raise_if_wrong()


def trained(name: str, f: Callable[..., Any], parameters: Any, steps: int, rate: float) -> Any:
    """The parameters after some steps on the whole training set, and the digits of the test set."""

    def loss(p: Any, x: Any, t: Any) -> Any:
        return cross_entropy_from_logits(f(p, x), t)

    program = trace(value_and_grad(loss), parameters, train[0], targets[0])
    mean_loss = program.vmap(in_axes=(None, 0, 0), reduce="mean")
    velocity = {key: np.zeros_like(p) for key, p in parameters.items()}
    for _ in (bar := trange(steps, desc=name)):
        value, slope = mean_loss(parameters, train, targets)
        velocity = {key: 0.9 * v - rate * slope[key] for key, v in velocity.items()}
        parameters = {key: p + velocity[key] for key, p in parameters.items()}
        bar.set_postfix(loss=f"{value:.4f}")
    logits = trace(f, parameters, test[0]).vmap(in_axes=(None, 0))(parameters, test)
    guess = np.argmax(logits, axis=1)
    print(f"{name}: {np.mean(guess == truth):.1%} of {len(truth)} digits that it has not seen")
    return parameters, guess


def random_matrix(rows: int, columns: int) -> Any:
    return rng.normal(0, 1 / np.sqrt(columns), (rows, columns))


regression, guess = trained(
    "softmax regression", linear, {"W": np.zeros((10, 64)), "b": np.zeros(10)}, 200, 0.5
)
assert np.mean(guess == truth) >= 0.93
start = {"W1": random_matrix(32, 64), "b1": np.zeros(32), "W2": random_matrix(10, 32), "b2": np.zeros(10)}
_, guess = trained("perceptron 64-32-10", perceptron, start, 200, 0.3)
assert np.mean(guess == truth) >= 0.95

figure = Figure(figsize=(8, 3.6), layout="constrained")
axes = figure.subplots(2, 5)
limit = np.abs(regression["W"]).max()
for k, axis in enumerate(axes.flat):
    axis.imshow(regression["W"][k].reshape(8, 8), cmap="RdBu_r", vmin=-limit, vmax=limit)
    axis.set(title=str(k), xticks=[], yticks=[])
figure.suptitle("softmax regression: what speaks for a digit (red) and against it (blue)")
figure.savefig("digits_weights.png", dpi=120)

confusion = np.zeros((10, 10), int)
np.add.at(confusion, (truth, guess), 1)
figure = Figure(figsize=(5, 4.6), layout="constrained")
axis = figure.subplots()
axis.imshow(confusion, cmap="Blues", norm="symlog")
for (i, j), count in np.ndenumerate(confusion):
    if count:
        axis.text(j, i, count, ha="center", va="center", color="white" if count > 20 else "black")
axis.set(title="perceptron", xlabel="answer", ylabel="digit", xticks=range(10), yticks=range(10))
figure.savefig("digits_confusion.png", dpi=120)
print("The plots are in digits_weights.png and digits_confusion.png")
