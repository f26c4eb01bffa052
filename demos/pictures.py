"""The pictures of the README: softmax with cross-entropy, its gradient two ways, a network drawn closed.

They are written into the folder ``pictures`` beside this file.
"""

from pathlib import Path

import numpy as np

from autograd_mini import cross_entropy, draw, named, scope, softmax, values

FOLDER = Path(__file__).parent / "pictures"
LOGITS, TARGET = [1.5, -0.5, 0.75], np.array([0.0, 0.0, 1.0])

# As a book has it: every number that backpropagation uses, and what each edge adds to a gradient.
z = values(LOGITS, "z")
e = named(np.exp(z), "e")
y = named(e / np.sum(e), "y")
loss = named(-np.sum(TARGET * np.log(y)), "loss")
picture = draw(loss, contributions=True, constants=False, sums=True, order="backward")
print(picture.save(FOLDER / "softmax_cross_entropy.svg"))

# The gradient is a graph, too. Through the probabilities it goes the long way …
z_long = values(LOGITS, "z")
long_way = named(cross_entropy(named(softmax(z_long), "y"), TARGET), "loss")
print(draw(long_way, gradient=z_long, constants=False).save(FOLDER / "gradient_through_softmax.svg"))

# … and from the logits it is e / Σe, which is y, less 1 at the target: y - t.
z_short = values(LOGITS, "z")
from_logits = named(np.log(np.sum(named(np.exp(z_short), "e"))) - z_short[2], "loss")
print(draw(from_logits, gradient=z_short, constants=False).save(FOLDER / "gradient_from_logits.svg"))

long_way.backward()
from_logits.backward()
print(f"\nthrough softmax {z_long.grad}\nfrom logits     {z_short.grad}\ny - t           {y.data - TARGET}\n")

# A 2-4-4-1 network: 108 nodes, or its layers.
rng = np.random.default_rng(0)
x = h = values([0.5, -1.0], "x")
for i, (below, above) in enumerate([(2, 4), (4, 4), (4, 1)], 1):
    with scope(f"layer {i}"):
        W = values(rng.normal(size=(above, below)), f"W{i}")
        b = values(rng.normal(size=above), f"b{i}")
        h = np.tanh(W @ h + b)
error = named((h[0] - 1.0) ** 2, "error")
layers = ["layer 1", "layer 2", "layer 3"]
network = draw(error, collapse=layers, contributions=True, constants=False)
print(network.save(FOLDER / "network_closed.svg"))
print(draw(error, constants=False, sums=True).save(FOLDER / "network_open.svg"))
