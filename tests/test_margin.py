"""In the margin of a backward pass: the wrong line, what it should be, and what is right once it is."""

import itertools
import linecache

import numpy as np
import pytest

from autograd_mini import check_backward

BATCH_NORM = """
import numpy as np
def forward(x, gamma, beta, eps=1e-5):
    mu = np.mean(x, axis=0)
    var = np.var(x, axis=0)
    std = np.sqrt(var + eps)
    xhat = (x - mu) / std
    return gamma * xhat + beta, (x, mu, var, std, xhat, gamma)
def backward(dout, cache):
    x, mu, var, std, xhat, gamma = cache
    N = x.shape[0]
    dgamma = np.sum(dout * xhat, axis=0)
    dbeta = np.sum(dout, axis=0)
    dxhat = dout * gamma
    dvar = np.sum(dxhat * (x - mu), axis=0) * -0.5 * std**-3
    dmu = np.sum(dxhat * -1 / std, axis=0) + dvar * np.mean(-2 * (x - mu), axis=0)
    dx = dxhat / std + dvar * 2 * (x - mu) / N + dmu / N
    return {"x": dx, "gamma": dgamma, "beta": dbeta}
"""
NETWORK = """
import numpy as np
def sigmoid(a):
    return 1 / (1 + np.exp(-a))
def loss(x, t, W1, b1, W2, b2, reg):
    N = x.shape[0]
    a = x @ W1 + b1
    h = np.tanh(a)
    g = sigmoid(h @ W2 + b2)
    error = g - t
    L = np.sum(error**2) / (2 * N) + 0.5 * reg * np.sum(W1 * W1)
    dz = error / N * g * (1 - g)
    dW2 = h.T @ dz
    db2 = np.sum(dz, axis=0)
    dh = dz @ W2.T
    da = dh * (1 - h**2)
    dW1 = x.T @ da + reg * W1
    db1 = np.sum(da, axis=0)
    return L, {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}
"""
CLASSIFIER = """
import numpy as np
def loss(W, X, y):
    N = len(y)
    z = X @ W
    e = np.exp(z - np.max(z, axis=1, keepdims=True))
    p = e / np.sum(e, axis=1, keepdims=True)
    L = -np.mean(np.log(p[np.arange(N), y]))
    dz = p.copy()
    dz[np.arange(N), y] -= 1
    dz /= N
    dW = X.T @ dz
    return L, dW
"""
RECURRENT = """
import numpy as np
def forward(xs, h0, Wx, Wh, b):
    hs = {-1: h0}
    for t in range(len(xs)):
        hs[t] = np.tanh(xs[t] @ Wx + hs[t - 1] @ Wh + b)
    return np.stack([hs[t] for t in range(len(xs))]), (xs, hs, Wx, Wh)
def backward(dhs, cache):
    xs, hs, Wx, Wh = cache
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(Wh.shape[0])
    dnext = np.zeros_like(hs[0])
    for t in reversed(range(len(xs))):
        dh = dhs[t] + dnext
        da = dh * (1 - hs[t] ** 2)
        dWx += np.outer(xs[t], da)
        dWh += np.outer(hs[t - 1], da)
        db += da
        dnext = Wh @ da
    return {"h0": dnext, "Wx": dWx, "Wh": dWh, "b": db}
"""
RELU = """
import numpy as np
class ReLULayer:
    def __init__(self, W):
        self.W = W
    def forward(self, x):
        self.x = x
        self.a = x @ self.W
        return np.maximum(self.a, 0)
    def backward(self, dout):
        da = dout * (self.a > 0)
        self.dW = self.x.T @ da
        return da @ self.W.T
"""
CONVOLUTION = """
import numpy as np
def forward(x, w):
    n = (len(x) - len(w)) // 2 + 1
    out = np.zeros(n)
    for i in range(n):
        out[i] = np.sum(x[2 * i : 2 * i + len(w)] * w)
    return out, (x, w)
def backward(dout, cache):
    x, w = cache
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(len(dout)):
        dx[2 * i : 2 * i + len(w)] += dout[i] * w
        dw += dout[i] * x[2 * i : 2 * i + len(w)]
    return dx, dw
"""
random = np.random.default_rng(3)
POINTS = {
    BATCH_NORM: {"x": (5, 3), "gamma": (3,), "beta": (3,)},
    NETWORK: {"x": (5, 3), "t": (5, 2), "W1": (3, 4), "b1": (4,), "W2": (4, 2), "b2": (2,), "reg": 0.3},
    CLASSIFIER: {"W": (3, 4), "X": (5, 3), "y": np.array([0, 2, 1, 3, 2])},
    RECURRENT: {"xs": (3, 2), "h0": (4,), "Wx": (2, 4), "Wh": (4, 4), "b": (4,)},
    RELU: {"W": (3, 4), "x": (5, 3)},
    CONVOLUTION: {"x": (9,), "w": (3,)},
}
files = itertools.count()


def module(text):
    """The names that a file defines."""
    name = f"<passes {next(files)}>"
    linecache.cache[name] = len(text), None, text.splitlines(True), name
    names = {"__name__": "passes"}
    exec(compile(text, name, "exec"), names)
    return names


def checked(text, old="", new=""):
    assert old in text
    names = module(text.replace(old, new, 1) if old else text)
    at = {k: random.standard_normal(x) if isinstance(x, tuple) else x for k, x in POINTS[text].items()}
    options = {"diagnosis": 40.0, "points": 3}
    if "loss" in names:
        return check_backward(names["loss"], at=at, **options)
    if "ReLULayer" in names:
        return check_backward(names["ReLULayer"], at=at, **options)
    return check_backward(names["forward"], names["backward"], at=at, **options)


@pytest.mark.parametrize("text", POINTS)
def test_a_right_backward_pass_agrees_and_has_no_margin(text):
    report = checked(text)
    assert report, str(report)
    assert not report.lines


MISTAKES = {
    "1/N twice in dW": (NETWORK, "dW2 = h.T @ dz", "dW2 = h.T @ dz / N", "h.T @ dz", ""),
    "1/N missing": (NETWORK, "error / N * g", "error * g", "/ N", "a constant factor is missing"),
    "a regulariser missing": (NETWORK, " + reg * W1\n", "\n", "reg * W1", "a term is missing"),
    "a regulariser double": (NETWORK, "+ reg * W1\n", "+ 2 * reg * W1\n", "+ reg * W1", ""),
    "a gate's derivative left out": (NETWORK, " * g * (1 - g)", "", "g * (1 - g)", "a factor is missing"),
    "tanh's for a sigmoid's": (NETWORK, "g * (1 - g)", "(1 - g**2)", "g * (1 - g)", "another function"),
    "at the wrong argument": (NETWORK, "(1 - h**2)", "(1 - a**2)", "1 - h ** 2", "another name"),
    "1 - h for 1 - h²": (NETWORK, "(1 - h**2)", "(1 - h)", "1 - h ** 2", "a power is missing"),
    "no index subtracted": (CLASSIFIER, "    dz[np.arange(N), y] -= 1\n", "", "-= 1", "a line is missing"),
    "= for +=": (RECURRENT, "dWx += np.outer", "dWx = np.outer", "dWx += np.outer", "overwritten"),
    "a carried gradient missing": (RECURRENT, "dhs[t] + dnext", "dhs[t]", "+ dnext", "a term is missing"),
    "time off by one": (RECURRENT, "outer(hs[t - 1]", "outer(hs[t]", "hs[t - 1]", "another index"),
    "a mask of the wrong array": (RELU, "(self.a > 0)", "(dout > 0)", "self.a > 0", "another name"),
    "x for its normalized": (BATCH_NORM, "dout * xhat", "dout * x", "dout * xhat", "another name"),
    "a scale left out": (BATCH_NORM, "dxhat = dout * gamma", "dxhat = dout", "dout * gamma", "factor"),
    "a wrong power": (BATCH_NORM, "std**-3", "std**-2", "std ** (-3)", "another number"),
    "a wrong sign": (BATCH_NORM, "axis=0) * -0.5", "axis=0) * 0.5", "-0.5", "the sign"),
    "a wrong axis": (BATCH_NORM, "dbeta = np.sum(dout, axis=0)", "dbeta = np.sum(dout)", "axis=0", "axis"),
    "a product transposed": (RECURRENT, "dnext = Wh @ da", "dnext = Wh.T @ da", "Wh @ da", "transpose"),
    "an outer product the wrong way round": (
        RECURRENT, "dWh += np.outer(hs[t - 1], da)", "dWh += np.outer(da, hs[t - 1])", "(hs[t - 1], da)",
        "the wrong way round",
    ),
    "a stride forgotten": (CONVOLUTION, "dx[2 * i : 2 * i +", "dx[i : i +", "dx[i * 2:i * 2 +", "factor"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_the_wrong_line_is_found_and_corrected(name):
    text, old, new, corrected, why = MISTAKES[name]
    report = checked(text, old, new)
    assert report.verdict == "disagrees"
    explanation = report.explanations[0]
    assert explanation.kind == "slip", str(report)
    assert corrected.replace(" ", "") in explanation.formula.replace(" ", ""), explanation
    assert why in explanation.text
    wrong = [line for line in report.lines if line.verdict == "wrong"]
    assert wrong
    assert "right: " in wrong[0].note
    place = text.index(old)
    planted = text[:place].count("\n") + 1
    assert any(abs(int(line.name.split()[1]) - planted) <= 1 for line in wrong), str(report)
