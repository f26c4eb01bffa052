"""Layers and helpers of a small library as people write one; `handwritten` imports from it."""

import math
from functools import partial, wraps

import numpy
import numpy as np
from numpy import exp, zeros

EPSILON = 1e-8


def softmax(x, axis=-1):
    e = exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)


def one_hot(labels, classes):
    encoded = zeros((len(labels), classes))
    encoded[np.arange(len(labels)), labels] = 1
    return encoded


def counted(f):
    @wraps(f)
    def wrapper(*args, **kwargs):
        wrapper.calls += 1
        return f(*args, **kwargs)

    wrapper.calls = 0
    return wrapper


@counted
def l2(*weights, strength=0.1):
    total = 0.0
    for w in weights:
        total += 0.5 * strength * float(np.sum(w * w))
    return total


def im2col(x, height, width, stride=1, pad=0):
    n, c, h, w = x.shape
    out_h, out_w = (h + 2 * pad - height) // stride + 1, (w + 2 * pad - width) // stride + 1
    img = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)], "constant")
    col = np.zeros((n, c, height, width, out_h, out_w))
    for i in range(height):
        for j in range(width):
            col[:, :, i, j] = img[:, :, i : i + stride * out_h : stride, j : j + stride * out_w : stride]
    return col.transpose(0, 4, 5, 1, 2, 3).reshape(n * out_h * out_w, -1)


class Layer:
    def __call__(self, x):
        return self.forward(x)


class Dense(Layer):
    def __init__(self, fan_in, fan_out):
        rng = np.random.default_rng(fan_in)
        self.W = rng.normal(size=(fan_in, fan_out))
        self.b = np.zeros(fan_out)

    def forward(self, x):
        self.x = x
        out = numpy.empty((x.shape[0], self.b.size))
        for i in range(x.shape[0]):
            out[i] = x[i].dot(self.W) + self.b
        return out


class ReLU(Layer):
    def forward(self, x):
        self.mask = x <= 0
        out = x.copy()
        out[self.mask] = 0
        return out


class BatchNorm(Layer):
    def __init__(self, n, momentum=0.9):
        self.gamma, self.beta, self.momentum = np.ones(n), np.zeros(n), momentum
        self.running_mean = None

    def forward(self, x, train=True):
        if self.running_mean is None:
            self.running_mean = np.zeros(x.shape[1])
            self.running_var = np.zeros(x.shape[1])
        if train:
            mu = x.mean(axis=0)
            var = np.mean((x - mu) ** 2, axis=0)
            self.running_mean = self.momentum * self.running_mean + (1 - self.momentum) * mu
            self.running_var = self.momentum * self.running_var + (1 - self.momentum) * var
        else:
            mu, var = self.running_mean, self.running_var
        self.xn = (x - mu) / np.sqrt(var + EPSILON)
        return self.gamma * self.xn + self.beta


class Sequential:
    def __init__(self, *layers):
        self.layers = list(layers)

    def predict(self, x):
        for layer in self.layers:
            x = layer(x)
        return x

    @property
    def depth(self):
        return len(self.layers)


class RNN:
    """A recurrent network with its steps in dicts, as in the well-known gist."""

    def __init__(self, inputs, hidden, outputs):
        rng = np.random.default_rng(3)
        self.hidden_size = hidden
        self.Wxh = rng.normal(size=(hidden, inputs)) * 0.4
        self.Why = rng.normal(size=(outputs, hidden)) * 0.4
        self.bh = np.zeros((hidden, 1))
        self.by = np.zeros((outputs, 1))

    def loss(self, Whh, inputs, targets):
        xs, hs, ys, ps = {}, {}, {}, {}
        hs[-1] = np.zeros((self.hidden_size, 1))
        loss = 0
        for t in range(len(inputs)):
            xs[t] = np.zeros((self.Wxh.shape[1], 1))
            xs[t][inputs[t]] = 1
            hs[t] = np.tanh(np.dot(self.Wxh, xs[t]) + np.dot(Whh, hs[t - 1]) + self.bh)
            ys[t] = np.dot(self.Why, hs[t]) + self.by
            ps[t] = np.exp(ys[t]) / np.sum(np.exp(ys[t]))
            loss += -np.log(ps[t][targets[t], 0])
        return loss


class LSTMCell:
    def __init__(self, size):
        self.size, self.cache = size, {}

    def step(self, t, x, h, c, W, U, b):
        a = np.zeros((4 * self.size,))
        a += x @ W
        a += h @ U + b
        gates = np.zeros_like(a)
        n = self.size
        gates[: 3 * n] = 1 / (1 + np.exp(-a[: 3 * n]))
        gates[3 * n :] = np.tanh(a[3 * n :])
        i, f, o, g = np.split(gates, 4)
        c_new = f * c + i * g
        h_new = o * np.tanh(c_new)
        self.cache[t] = (i, f, o, g, c_new, h_new)
        return h_new, c_new

    def forward(self, xs, W, U, b):
        h, c = np.zeros(self.size), np.zeros(self.size)
        hs = np.zeros((len(xs), self.size))
        for t in range(len(xs)):
            h, c = self.step(t, xs[t], h, c, W, U, b)
            hs[t] = h
        return hs


class Adam:
    def __init__(self, lr=0.1, beta1=0.9, beta2=0.999):
        self.lr, self.beta1, self.beta2 = lr, beta1, beta2
        self.m = self.v = None
        self.t = 0

    def step(self, w, g):
        if self.m is None:
            self.m, self.v = np.zeros_like(w), np.zeros_like(w)
        self.t += 1
        self.m = self.beta1 * self.m + (1 - self.beta1) * g
        self.v = self.beta2 * self.v + (1 - self.beta2) * g**2
        m_hat = self.m / (1 - self.beta1**self.t)
        v_hat = self.v / (1 - self.beta2**self.t)
        w -= self.lr * m_hat / (np.sqrt(v_hat) + EPSILON)
        return w


def rational(x):
    return (
        math.atan(x) * math.log(1 + x * x, 2)
        + math.hypot(x, 1.0, 2.0)
        + math.fabs(x)
        + math.pow(x * x + 1, 0.3)
    )


leaky = partial(lambda x, slope: np.where(x > 0, x, slope * x), slope=0.01)
