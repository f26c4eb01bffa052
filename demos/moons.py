"""micrograd's own demo: two moons, a perceptron 2-16-16-1, hinge loss with L2, 100 steps of gradient descent.

Every step is taken twice, on the graph of Values as micrograd does and by the compiled program of one sample
mapped over all; the losses are the same at every step. The gradient of the hinge loss is checked by hand.
"""

import random
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import make_moons
from tqdm import trange

from autograd_mini import check_gradient, trace, value_and_grad
from autograd_mini.nn import MLP

STEPS, DECAY = 100, 1e-4
np.random.seed(1337)
random.seed(1337)
X, y = make_moons(n_samples=100, noise=0.1)
y = 2.0 * y - 1


def hinge(scores: Any, y: Any) -> Any:
    return np.mean(np.maximum(0, 1 - y * scores))


def hinge_by_hand(scores: Any, y: Any) -> Any:
    return -y * (1 - y * scores > 0) / len(y)


report = check_gradient(hinge, hinge_by_hand, at={"scores": X[:, 0], "y": y})
print(report)
report.raise_if_wrong()

model = MLP(2, [16, 16, 1])
f = model.as_function()
weights = np.array([p.data for p in model.parameters()])
print(model)


def sample_loss(weights: Any, x: Any, y: Any) -> Any:
    return np.maximum(0, 1 - y * f(weights, x))


program = trace(value_and_grad(sample_loss), weights, X[0], y[0])
mean_loss = program.vmap(in_axes=(None, 0, 0), reduce="mean")

eager, compiled = [], []
steps = trange(STEPS, desc="moons")
for k in steps:
    rate = 1.0 - 0.9 * k / STEPS
    scores = [model(x) for x in X]
    losses = [(1 - yi * score).relu() for yi, score in zip(y, scores, strict=True)]
    loss = sum(losses) * (1 / len(losses)) + DECAY * sum(p * p for p in model.parameters())
    model.zero_grad()
    loss.backward()
    for p in model.parameters():
        p.data -= rate * p.grad

    value, slope = mean_loss(weights, X, y)
    eager.append(loss.data)
    compiled.append(value + DECAY * weights @ weights)
    weights -= rate * (slope + 2 * DECAY * weights)
    accuracy = np.mean([(score.data > 0) == (yi > 0) for yi, score in zip(y, scores, strict=True)])
    steps.set_postfix(loss=f"{loss.data:.4f}", accuracy=f"{accuracy:.0%}")

apart = np.max(np.abs(np.subtract(eager, compiled)))
print(
    f"loss {eager[-1]:.6f}, accuracy {accuracy:.0%}; eager and compiled losses differ by at most {apart:.1e}"
)
assert accuracy == 1
assert apart < 1e-6

score = trace(f, weights, X[0]).vmap(in_axes=(None, 0))
grid = np.stack(np.meshgrid(np.arange(-1.75, 2.75, 0.05), np.arange(-1.25, 1.75, 0.05)), axis=-1)
figure = Figure(figsize=(11, 4), layout="constrained")
left, right = figure.subplots(1, 2)
left.contourf(
    *np.moveaxis(grid, -1, 0), score(weights, grid.reshape(-1, 2)).reshape(grid.shape[:2]) > 0, alpha=0.5
)
left.scatter(*X.T, c=y, edgecolors="black")
left.set(title="where the score is positive", xlabel="$x_0$", ylabel="$x_1$")
right.plot(eager, label="graph of Values")
right.plot(compiled, "--", label="compiled program")
right.set(title="loss", xlabel="step", yscale="log")
right.legend()
figure.savefig("moons.png", dpi=120)
print("The plot is in moons.png")
