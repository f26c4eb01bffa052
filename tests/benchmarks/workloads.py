"""The compiled workloads: losses of networks and layers, written once for the functions of any library."""

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


# --- layers, with their derivatives by hand ----------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """A layer's squared loss, and value and gradients as one derives them on paper, in NumPy."""

    name: str
    loss: Callable[[Any], Callable[..., Any]]  # for the functions of a library
    by_hand: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]  # of parameters, then of data
    count: int  # of the arguments that are differentiated
    samples = None

    @property
    def arguments(self) -> list[np.ndarray]:
        random = np.random.default_rng(3)
        return [random.uniform(-1, 1, shape) / math.sqrt(shape[-1]) for shape in self.shapes]

    @property
    def parameters(self) -> list[np.ndarray]:
        return self.arguments[: self.count]

    @property
    def data(self) -> list[np.ndarray]:
        return self.arguments[self.count :]

    @property
    def argnums(self) -> tuple[int, ...]:
        return tuple(range(self.count))


def batch_norm(xp: Any) -> Callable[..., Any]:
    def loss(gamma: Any, beta: Any, X: Any, T: Any) -> Any:
        centred = X - xp.mean(X, axis=0)
        deviation = xp.sqrt(xp.mean(centred**2, axis=0) + 1e-5)
        return xp.sum((gamma * centred / deviation + beta - T) ** 2)

    return loss


def batch_norm_by_hand(gamma: Any, beta: Any, X: Any, T: Any) -> Any:
    centred = X - X.mean(axis=0)
    deviation = np.sqrt((centred**2).mean(axis=0) + 1e-5)
    normal = centred / deviation
    error = gamma * normal + beta - T
    dY = 2 * error
    dgamma, dbeta = (dY * normal).sum(axis=0), dY.sum(axis=0)
    dX = gamma / deviation * (dY - dbeta / len(X) - normal * (dgamma / len(X)))
    return (error**2).sum(), dgamma, dbeta, dX


def attention(xp: Any) -> Callable[..., Any]:
    def loss(Wq: Any, Wk: Any, Wv: Any, X: Any, T: Any) -> Any:
        e = xp.exp((X @ Wq) @ (X @ Wk).T / math.sqrt(Wq.shape[1]))
        A = e / xp.sum(e, axis=1, keepdims=True)
        return xp.sum((A @ (X @ Wv) - T) ** 2)

    return loss


def attention_by_hand(Wq: Any, Wk: Any, Wv: Any, X: Any, T: Any) -> Any:
    Q, K, V = X @ Wq, X @ Wk, X @ Wv
    scale = 1 / math.sqrt(Wq.shape[1])
    e = np.exp(Q @ K.T * scale)
    A = e / e.sum(axis=1, keepdims=True)
    error = A @ V - T
    dY = 2 * error
    dA = dY @ V.T
    dS = A * (dA - (dA * A).sum(axis=1, keepdims=True)) * scale
    return (error**2).sum(), X.T @ (dS @ K), X.T @ (dS.T @ Q), X.T @ (A.T @ dY)


def convolution(xp: Any) -> Callable[..., Any]:
    def loss(k: Any, x: Any, t: Any) -> Any:
        n = x.shape[0] - 2
        y = sum(k[a, b] * x[a : a + n, b : b + n] for a in range(3) for b in range(3))
        return xp.sum((xp.tanh(y) - t) ** 2)

    return loss


def convolution_by_hand(k: Any, x: Any, t: Any) -> Any:
    n = x.shape[0] - 2
    windows = np.lib.stride_tricks.sliding_window_view(x, (n, n))
    y = np.tanh(np.tensordot(k, windows, 2))
    d = 2 * (y - t) * (1 - y * y)
    dx = np.zeros_like(x)
    for a in range(3):
        for b in range(3):
            dx[a : a + n, b : b + n] += k[a, b] * d
    return ((y - t) ** 2).sum(), np.tensordot(windows, d, 2), dx


def lstm(xp: Any) -> Callable[..., Any]:
    def loss(Wx: Any, Wh: Any, b: Any, X: Any, t: Any) -> Any:
        n = Wh.shape[1]
        h = c = np.zeros(n)
        for x in X:
            z = Wx @ x + Wh @ h + b
            i, f, o = (1 / (1 + xp.exp(-z[k * n : (k + 1) * n])) for k in range(3))
            c = f * c + i * xp.tanh(z[3 * n :])
            h = o * xp.tanh(c)
        return xp.sum((h - t) ** 2)

    return loss


def lstm_by_hand(Wx: Any, Wh: Any, b: Any, X: Any, t: Any) -> Any:
    n = Wh.shape[1]
    h = c = np.zeros(n)
    steps = []
    for x in X:
        z = Wx @ x + Wh @ h + b
        ifo, g = 1 / (1 + np.exp(-z[: 3 * n])), np.tanh(z[3 * n :])
        i, f, o = ifo[:n], ifo[n : 2 * n], ifo[2 * n :]
        new = f * c + i * g
        squashed = np.tanh(new)
        steps.append((h, c, ifo, g, squashed))
        h, c = o * squashed, new
    error = h - t
    dh, dc, dZ = 2 * error, np.zeros(n), np.empty((len(X), 4 * n))
    for k in reversed(range(len(X))):
        _, before, ifo, g, squashed = steps[k]
        i, f, o = ifo[:n], ifo[n : 2 * n], ifo[2 * n :]
        dc = dc + dh * o * (1 - squashed * squashed)
        gates = np.concatenate([dc * g, dc * before, dh * squashed]) * ifo * (1 - ifo)
        dZ[k] = np.concatenate([gates, dc * i * (1 - g * g)])
        dh, dc = dZ[k] @ Wh, dc * f
    states = np.array([step[0] for step in steps])
    return (error**2).sum(), dZ.T @ X, dZ.T @ states, dZ.sum(axis=0)


LAYERS = (
    Layer("batch norm 256 x 64", batch_norm, batch_norm_by_hand, ((64,), (64,), (256, 64), (256, 64)), 3),
    Layer(
        "attention head of 16 on 32 x 64",
        attention,
        attention_by_hand,
        ((64, 16), (64, 16), (64, 16), (32, 64), (32, 16)),
        3,
    ),
    Layer("convolution 3 x 3 on 28 x 28", convolution, convolution_by_hand, ((3, 3), (28, 28), (26, 26)), 2),
    Layer("LSTM of 20 steps, 8-16", lstm, lstm_by_hand, ((64, 8), (64, 16), (64,), (20, 8), (16,)), 3),
)
