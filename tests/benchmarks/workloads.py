"""The compiled workloads: losses of small networks, written once for the functions of any library."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Workload:
    """A network of tanh layers, on one sample or on the mean over many."""

    name: str
    sizes: tuple[int, ...]
    classifier: bool  # logits with cross-entropy against a one-hot target, otherwise tanh and squared loss
    samples: int | None = None

    @property
    def parameters(self) -> list[np.ndarray]:
        """W1, b1, W2, b2, …"""
        random = np.random.default_rng(1)
        shapes = [(n, m) for m, n in pairwise(self.sizes)]
        return [
            random.uniform(-1, 1, size) / math.sqrt(shape[1])
            for shape in shapes
            for size in (shape, shape[:1])
        ]

    @property
    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Samples and targets, random ones of the size."""
        random = np.random.default_rng(2)
        batch = () if self.samples is None else (self.samples,)
        x = random.uniform(-1, 1, (*batch, self.sizes[0]))
        if self.classifier:
            return x, np.eye(self.sizes[-1])[random.integers(0, self.sizes[-1], batch)]
        return x, random.choice([-1.0, 1.0], (*batch, self.sizes[-1]))

    def loss(self, xp: Any) -> Callable[..., Any]:
        """The loss of one sample; `x @ W.T` is also that of a batch of rows."""

        def loss(*args: Any) -> Any:
            *parameters, h, t = args
            layers = list(zip(parameters[::2], parameters[1::2], strict=True))
            for W, b in layers[:-1]:
                h = xp.tanh(h @ W.T + b)
            W, b = layers[-1]
            z = h @ W.T + b
            if self.classifier:
                return xp.log(xp.sum(xp.exp(z))) - xp.sum(t * z)
            return xp.sum((xp.tanh(z) - t) ** 2)

        return loss

    @property
    def argnums(self) -> tuple[int, ...]:
        """The places of the parameters among the arguments."""
        return tuple(range(2 * len(self.sizes) - 2))

    @property
    def in_axes(self) -> tuple[int | None, ...]:
        return (None,) * len(self.argnums) + (0, 0)


MLP = Workload("MLP 2-16-16-1, one sample", (2, 16, 16, 1), False)
MLP_BATCH = Workload("MLP 2-16-16-1, mean over 1,000 samples", (2, 16, 16, 1), False, 1000)
WORKLOADS = (
    MLP,
    MLP_BATCH,
    Workload("softmax regression 64-10, mean over 1,797 samples", (64, 10), True, 1797),
    Workload("MLP 784-32-10, one sample", (784, 32, 10), True),
    Workload("MLP 784-32-10, mean over 256 samples", (784, 32, 10), True, 256),
)
