"""In the margin of a backward pass: the wrong line, what it should be, and what is right once it is."""

import ast
import itertools
import linecache
import runpy

import numpy as np
import pytest

from autograd_mini import check_backward, check_gradient, check_jacobian
from autograd_mini.check.checks import comparison
from autograd_mini.check.margin.adjoints import Known, Labels
from autograd_mini.check.margin.runs import Trial

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
MASKED = """
import numpy as np
class ReLULayer:
    def forward(self, x):
        self.mask = x <= 0
        out = x.copy()
        out[self.mask] = 0
        return out
    def backward(self, dout):
        dout[self.mask] = 0
        return dout
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
LAYER = """
import numpy as np
def forward(x, W, b):
    return np.tanh(x @ W + b), (x, W, b)
def backward(dout, cache):
    x, W, b = cache
    dz = dout * (1 - np.tanh(x @ W + b) ** 2)
    dW = x.T @ dz
    db = dz.sum(axis=0)
    dx = dz @ W.T
    return dx, dW, db
"""
LAYER_NORM = """
import numpy as np
def forward(x, gamma, beta, eps=1e-5):
    mu = x.mean(axis=1, keepdims=True)
    std = np.sqrt(x.var(axis=1, keepdims=True) + eps)
    xhat = (x - mu) / std
    return gamma * xhat + beta, (xhat, std, gamma)
def backward(dout, cache):
    xhat, std, gamma = cache
    d = dout * gamma
    dx = (d - d.mean(axis=1, keepdims=True) - xhat * (d * xhat).mean(axis=1, keepdims=True)) / std
    return dx, np.sum(dout * xhat, axis=0), np.sum(dout, axis=0)
"""
SOFTMAX = """
import numpy as np
def forward(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return p, p
def backward(dout, p):
    dz = p * (dout - np.sum(dout * p, axis=1, keepdims=True))
    return dz
"""
FLIPPED = """
import numpy as np
def conv(x, w):
    h, v = x.shape[0] - w.shape[0] + 1, x.shape[1] - w.shape[1] + 1
    out = np.zeros((h, v))
    for i in range(h):
        for j in range(v):
            out[i, j] = np.sum(x[i : i + w.shape[0], j : j + w.shape[1]] * w)
    return out
def forward(x, w):
    return conv(x, w), (x, w)
def backward(dout, cache):
    x, w = cache
    a, b = w.shape[0] - 1, w.shape[1] - 1
    dx = conv(np.pad(dout, ((a, a), (b, b))), w[::-1, ::-1])
    dw = conv(x, dout)
    return dx, dw
"""
POOLING = """
import numpy as np
def forward(x, size, stride):
    h, w = [(n - size) // stride + 1 for n in x.shape]
    out = np.zeros((h, w))
    for i in range(h):
        for j in range(w):
            out[i, j] = np.max(x[i * stride : i * stride + size, j * stride : j * stride + size])
    return out, (x, size, stride)
def backward(dout, cache):
    x, size, stride = cache
    dx = np.zeros_like(x)
    for i in range(dout.shape[0]):
        for j in range(dout.shape[1]):
            top = i * stride
            left = j * stride
            window = x[top : top + size, left : left + size]
            dx[top : top + size, left : left + size] += (window == window.max()) * dout[i, j]
    return dx
"""
COLUMNS = """
import numpy as np
def forward(x):
    return np.sin(x).T.ravel(), (x,)
def backward(dout, cache):
    (x,) = cache
    h, w = x.shape
    i = np.arange(h * w)
    d = dout[i % w * h + i // w]
    return d.reshape(x.shape) * np.cos(x)
"""
CELLS = """
import numpy as np
def cell(x, h, c, W):
    f = 1 / (1 + np.exp(-(x @ W + h)))
    new = f * c + (1 - f) * x
    return np.tanh(new), new, (x, c, f, new, W)
def cell_backward(dh_next, dc_next, cache):
    x, c, f, new, W = cache
    dnew = dc_next + dh_next * (1 - np.tanh(new) ** 2)
    da = dnew * (c - x) * f * (1 - f)
    return {"dh": da, "dc": dnew * f, "dx": da @ W.T + dnew * (1 - f), "dW": np.outer(x, da)}
def forward(xs, W):
    h, c, hs, caches = np.zeros(W.shape[1]), np.zeros(W.shape[1]), [], []
    for x in xs:
        h, c, cache = cell(x, h, c, W)
        hs.append(h)
        caches.append(cache)
    return np.stack(hs), caches
def backward(dhs, caches):
    dxs, dW = np.zeros_like(dhs), np.zeros_like(caches[0][-1])
    dh, dc = np.zeros(dhs.shape[1]), np.zeros(dhs.shape[1])
    for t in reversed(range(len(dhs))):
        grads = cell_backward(dhs[t] + dh, dc, caches[t])
        dxs[t] = grads["dx"]
        dW += grads["dW"]
        dh, dc = grads["dh"], grads["dc"]
    return {"xs": dxs, "W": dW}
"""
WEIGHTED = """
import numpy as np
def loss(z, t, share):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    L = -np.mean(np.sum(t * share * np.log(p), axis=1))
    dz = p - t
    dz *= np.sum(t * share, axis=-1, keepdims=True)
    return L, {"z": dz / len(t)}
"""
DENSE = """
import numpy as np
def forward(A, W, b):
    return W @ A + b, (A, W, b)
def backward(dZ, cache):
    A, W, b = cache
    m = A.shape[1]
    dW = dZ @ A.T
    db = np.sum(dZ, axis=1, keepdims=True)
    return {"A": W.T @ dZ, "W": dW, "b": db}
"""
random = np.random.default_rng(3)
POINTS = {
    POOLING: {"x": (7, 8), "size": 3, "stride": 2},
    COLUMNS: {"x": (3, 4)},
    CELLS: {"xs": (3, 4), "W": (4, 4)},
    WEIGHTED: {"z": (5, 3), "t": np.eye(3)[[0, 2, 1, 2, 2]], "share": np.array([1.0, 3.0, 0.5])},
    DENSE: {"A": (4, 5), "W": (3, 4), "b": (3, 1)},
    LAYER_NORM: {"x": (4, 5), "gamma": (5,), "beta": (5,)},
    SOFTMAX: {"z": (4, 4)},
    FLIPPED: {"x": (5, 6), "w": (3, 2)},
    LAYER: {"x": (3, 4), "W": (4, 4), "b": (4,)},
    BATCH_NORM: {"x": (5, 3), "gamma": (3,), "beta": (3,)},
    NETWORK: {"x": (5, 3), "t": (5, 2), "W1": (3, 4), "b1": (4,), "W2": (4, 2), "b2": (2,), "reg": 0.3},
    CLASSIFIER: {"W": (3, 4), "X": (5, 3), "y": np.array([0, 2, 1, 3, 2])},
    RECURRENT: {"xs": (3, 2), "h0": (4,), "Wx": (2, 4), "Wh": (4, 4), "b": (4,)},
    RELU: {"W": (3, 4), "x": (5, 3)},
    MASKED: {"x": (4, 3)},
    CONVOLUTION: {"x": (9,), "w": (3,)},
}
files = itertools.count()


def module(text, apart=False):
    """The names that a file defines, its definitions compiled together or each apart."""
    name = f"<passes {next(files)}>"
    linecache.cache[name] = len(text), None, text.splitlines(True), name
    names = {"__name__": "passes"}
    tree = ast.parse(text)
    for statements in [[x] for x in tree.body] if apart else [tree.body]:
        exec(compile(ast.Module(statements, []), name, "exec"), names)
    return names


def checked(text, old="", new=""):
    assert old in text
    names = module(text.replace(old, new, 1) if old else text)
    at = {k: random.standard_normal(x) if isinstance(x, tuple) else x for k, x in POINTS[text].items()}
    options = {"diagnosis": 40.0, "points": 1}
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
    "the class for its one-hot vector": (
        CLASSIFIER, "dz = p.copy()\n    dz[np.arange(N), y] -= 1\n", "dz = p - y[:, None]\n",
        "dz = p - np.eye(p.shape[-1])[y]", "the number of a class is taken for its one-hot vector",
    ),
    "a line still to be written": (
        CLASSIFIER, "dz[np.arange(N), y] -= 1", "pass", "-= 1", "a line is missing",
    ),
    "a carried gradient never updated": (
        RECURRENT, "\n        dnext = Wh @ da", "", "dnext = da @ Wh.T", "a line is missing",
    ),
    "the epsilon of a reference": (
        BATCH_NORM, "std**-3", "(var + 1e-3) ** -1.5", "(var + 1e-05) ** (-1.5)", "another number",
    ),
    "a scale outside of the means": (
        LAYER_NORM, "d = dout * gamma\n    dx = (", "d = dout\n    dx = gamma * (",
        "(d * gamma - (d * gamma).mean(axis=1, keepdims=True)", "",
    ),
    "keepdims forgotten": (SOFTMAX, "p, axis=1, keepdims=True)", "p, axis=1)", "keepdims=True", "keepdims"),
    "a kernel that is not flipped": (FLIPPED, "w[::-1, ::-1]", "w", "w[..., ::-1, ::-1]", "flipped"),
    "1 subtracted from another array": (
        CLASSIFIER, "dz[np.arange(N), y] -= 1", "e[np.arange(N), y] -= 1", "dz[np.arange(N), y] -= 1", "name",
    ),
    "a stride forgotten in rows and columns": (
        POOLING, "top = i * stride\n            left = j * stride", "top = i\n            left = j",
        "top = i * stride; left = j * stride", "factor",
    ),
    "lengths in another order": (COLUMNS, "h, w = x.shape", "w, h = x.shape", "h, w = x.shape", "two names"),
    "two carried gradients never updated": (
        CELLS, '        dh, dc = grads["dh"], grads["dc"]\n', "", "dc = grads['dc']", "a line is missing",
    ),
    "each class's weight for the true one's": (
        WEIGHTED, "np.sum(t * share, axis=-1, keepdims=True)", "share",
        "np.sum(t * share, axis=-1, keepdims=True)", "true class",
    ),
    "1/N in two gradients and not in the third": (
        DENSE, "dW = dZ @ A.T\n    db = np.sum(dZ, axis=1, keepdims=True)",
        "dW = dZ @ A.T / m\n    db = np.sum(dZ, axis=1, keepdims=True) / m",
        "dW = dZ @ A.T; db = np.sum(dZ, axis=1, keepdims=True)", "too many",
    ),
    "a mask the wrong way round": (
        MASKED, "dout[self.mask]", "dout[~self.mask]", "dout[self.mask] = 0", "wrong way round",
    ),
    "a mask that keeps what it should cut": (
        MASKED, "dout[self.mask] = 0", "dout *= self.mask", "dout *= ~self.mask", "wrong way round",
    ),
    "a stride forgotten": (CONVOLUTION, "dx[2 * i : 2 * i +", "dx[i : i +", "dx[i * 2:i * 2 +", "factor"),
}  # fmt: skip


LONG = {"a carried gradient never updated", "a stride forgotten"}  # to search


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in MISTAKES]
)
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


def test_several_wrong_lines_are_each_corrected():
    text = BATCH_NORM.replace("dout * xhat, axis=0", "dout * x, axis=0")
    POINTS[text] = POINTS[BATCH_NORM]
    report = checked(text, "dbeta = np.sum(dout, axis=0)", "dbeta = -np.sum(dout, axis=0)")
    wrong = [line.claim.split()[0] for line in report.lines if line.verdict == "wrong"]
    assert wrong == ["dgamma", "dbeta"]
    assert "dgamma = np.sum(dout * xhat, axis=0)" in report.explanations[0].formula
    assert "dbeta = np.sum(dout, axis=0)" in report.explanations[0].formula


def test_what_matches_nothing_is_not_called_wrong():
    text = BATCH_NORM.replace("    dx =", "    odd = np.cos(dmu) + 3.7\n    dx =")
    POINTS[text] = POINTS[BATCH_NORM]
    report = checked(text, "std**-3", "std**-2")
    margins = {line.claim.split()[0]: (line.verdict, line.margin) for line in report.lines}
    assert margins["odd"] == ("", "")
    assert margins["dxhat"] == ("right", "= ∂L/∂xhat")
    assert margins["dvar"][0] == "wrong"
    assert margins["dx"] == ("right given your earlier steps", "= ∂L/∂x, given dvar")


def test_the_margin_is_printed_beside_the_code_and_numbers_are_pointed_at():
    report = checked(BATCH_NORM, "std**-3", "std**-2")
    text = str(report)
    assert "dxhat = dout * gamma  " in text
    assert "✗ should be ∂L/∂var, shape (3,). With it ∂L/∂x is right; ∂L/∂gamma and ∂L/∂beta are" in text
    page = report._repr_html_()
    assert 'title="dxhat, shape (5, 3)' in page
    assert "dvar = np.sum(dxhat * (x - mu), axis=0) * -0.5 * std**-2" in page
    assert "<script" not in page


@pytest.mark.parametrize(
    ("f", "hand", "corrected"),
    [
        (np.tanh, lambda x: 1 - np.tanh(x), "∂f/∂x = 1 - np.tanh(x) ** 2"),
        (lambda x: np.exp(-x), lambda x: np.exp(-x), "∂f/∂x = -np.exp(-x)"),
        (lambda x: np.sin(x) * x, lambda x: np.sin(x) - x * np.cos(x), "∂f/∂x = np.sin(x) + x * np.cos(x)"),
        (lambda x: x**3, lambda x: 3 * x**3, "∂f/∂x = 3 * x ** 2"),
    ],
)
def test_a_hand_function_is_answered_with_the_corrected_line(f, hand, corrected):
    [slip] = [e for e in check_gradient(f, hand, at=0.7, diagnosis=20.0).explanations if e.kind == "slip"]
    assert slip.formula == corrected
    assert "yours is right with" in slip.text


def test_a_line_of_a_hand_function_is_named():
    def hand(W, x, t):
        y = np.tanh(W @ x)
        d = (y - t) * (1 - y)
        return np.outer(d, x)

    def loss(W, x, t):
        return np.sum((np.tanh(W @ x) - t) ** 2) / 2

    at = {"W": random.standard_normal((2, 3)), "x": random.standard_normal(3), "t": np.array([0.2, -0.4])}
    slip = check_gradient(loss, hand, at=at, diagnosis=20.0).explanations[0]
    assert slip.formula == "d = (y - t) * (1 - y ** 2)"
    assert slip.text.endswith(f"in line {hand.__code__.co_firstlineno + 2}")


def test_a_jacobian_by_hand_is_mended():
    def softmax(z):
        e = np.exp(z - np.max(z))
        return e / np.sum(e)

    hand = lambda z, S: np.diag(S) + np.outer(S, S)  # noqa: E731
    report = check_jacobian(softmax, hand, at=[1.5, -0.5, 0.75], out="S", diagnosis=20.0)
    assert report.explanations[0].formula == "∂S/∂z = np.diag(S) - np.outer(S, S)"


def test_nothing_is_changed_and_an_edit_that_hangs_or_fails_harms_nobody():
    names = module(RECURRENT.replace("dWx += np.outer", "dWx = np.outer"))
    at = {k: random.standard_normal(x) for k, x in POINTS[RECURRENT].items()}
    before = {k: x.copy() for k, x in at.items()}
    code = names["backward"].__code__
    assert not check_backward(names["forward"], names["backward"], at=at, points=2)
    assert names["backward"].__code__ is code
    assert all(np.array_equal(at[k], before[k]) for k in at)


def test_labels():
    h, x = np.array([0.5, -1.0, 2.0]), np.array([[1.0, 2.0, 4.0], [3.0, 5.0, -7.0]])
    labels = Labels({"h": [Known("h", h, 3 * h + 1)], "x": [Known("x", x, x**2)]})
    found = {
        "adjoint": 3 * h + 1,
        "value": h,
        "constant": np.zeros(3),
        "reshaped": (x**2).T,
        "multiple": 6 * h + 2,
        "summed": np.array([3 * h, np.ones(3)]),
        "": np.array([1.0, 2.0, 3.5]),
    }
    assert {kind: labels(numbers).kind for kind, numbers in found.items()} == {kind: kind for kind in found}
    assert labels(3 * h + 1).text == "∂L/∂h"
    assert labels(6 * h + 2).text == "2 · ∂L/∂h"


def test_definitions_that_were_compiled_apart_are_mended_too():
    names = module(BATCH_NORM.replace("std**-3", "std**-2"), apart=True)
    at = {k: random.standard_normal(x) for k, x in POINTS[BATCH_NORM].items()}
    report = check_backward(names["forward"], names["backward"], at=at, diagnosis=40.0)
    assert "std ** (-3)" in report.explanations[0].formula


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("return dx, dW, db", "return dx, dW, 2 * db", "return", "should be ∂L/∂b"),
        ("dx = dz @ W.T", "dx = dz @ W", "return", "= ∂L/∂x, ∂L/∂W, ∂L/∂b, given dx"),
        ("dz = dout *", "dz = 2 * dout *", "dz", "should be ∂L/∂(x @ W)."),
    ],
)
def test_each_part_of_a_line_has_its_own_adjoint(old, new, line, said):
    report = checked(LAYER, old, new)
    [found] = [part for part in report.lines if part.claim.strip().startswith(line)]
    assert found.margin == said or found.margin.startswith((f"{said}, shape", f"{said} With it"))


def test_what_a_line_should_be_is_no_equation_of_what_it_is():
    names = module(LAYER.replace("return dx, dW, db", "return dx, dW, np.cos(dz.sum(axis=0) + b * 7)"))
    at = {k: random.standard_normal(x) for k, x in POINTS[LAYER].items()}
    report = check_backward(names["forward"], names["backward"], at=at, diagnosis=0.4)
    assert [x.formula for x in report.explanations if x.kind == "line"] == [""]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "dx = dz @ W.T",
            "dx = dz @ W",
            r"in line 10: dx = dz @ W, where dz has shape \(3, 4\), W has",
        ),
        ("db = dz.sum", "db = dzz.sum", r"'dzz' is not defined.*, in line 9: db = dzz.*, where dz is known"),
    ],
)
def test_where_a_backward_pass_raises_the_line_and_its_shapes_are_said(old, new, said):
    names = module(LAYER.replace(old, new))
    at = {"x": np.ones((3, 5)), "W": np.ones((5, 4)), "b": np.zeros(4)}
    with pytest.raises(TypeError, match=said):
        check_backward(names["forward"], names["backward"], at=at)


def test_gradients_of_any_size_are_judged_by_their_own_size():
    truth = {"W": np.array([2e-20, -1e-20]), "b": np.array([1e-37])}
    trial = Trial({}, 1.0, truth)
    assert trial.right({"W": truth["W"] * (1 + 1e-9), "b": np.array([-2e-36])}) == {"W", "b"}
    assert trial.right({"W": truth["W"] * 1.01, "b": np.array([1e-30])}) == set()


def test_what_depends_on_a_line_that_stores_is_given_the_array():
    text = RELU.replace("da = dout * (self.a > 0)", "da = dout.copy()\n        da[dout <= 0] = 0")
    POINTS[text] = POINTS[RELU]
    margins = [line.margin for line in checked(text).lines]
    assert "= ∂L/∂self.W, given da" in margins or "= ∂L/∂W, given da" in margins, margins


def test_functions_that_no_pass_has_to_do_with_are_not_called(tmp_path):
    file = tmp_path / "net.py"
    file.write_text(
        f"""
import numpy as np
def sigmoid(x): return 1 / (1 + np.exp(-x))
def sigmoid_prime(x): return sigmoid(x) * (1 - sigmoid(x))
def train(x): open({str(tmp_path / "trained")!r}, "a").close()
def forward(x): return sigmoid(x)
def backward(g, x): return g * sigmoid(x)
"""
    )
    names = runpy.run_path(str(file))
    report = check_backward(names["forward"], names["backward"], at=np.array([0.5, -1.0, 2.0]))
    assert "sigmoid_prime(x)" in report.explanations[0].formula
    assert not (tmp_path / "trained").exists()


def all_but_the_last(g, x):
    dx = np.zeros_like(x)
    for i in range(len(x) - 1):
        dx[i] = 2 * x[i] * g[i]
    return dx


def by_pairs(g, x):
    dx = np.zeros_like(x)
    for i, gi in enumerate(g[:-1]):
        dx[i] = 2 * x[i] * gi
    return dx


@pytest.mark.parametrize(
    ("hand", "corrected"),
    [
        (all_but_the_last, "for i in range(len(x) - 0):"),
        (by_pairs, "for i, gi in enumerate(g):"),
    ],
)
def test_the_head_of_a_loop_may_be_the_wrong_line(hand, corrected):
    report = check_backward(lambda x: x**2, hand, at={"x": np.array([1.0, 2, 3])}, diagnosis=20.0)
    assert [e.formula for e in report.explanations] == [corrected]
    report = check_gradient(lambda x: np.sum(x**2), lambda x: hand(np.ones(3), x), at=np.array([1.0, 2, 3]))
    assert report.verdict == "disagrees"


def test_a_diagnosis_that_fails_leaves_the_verdict(monkeypatch):
    def failing(evidence):
        raise IndexError("of no use")

    monkeypatch.setattr(comparison, "diagnose", failing)
    report = check_gradient(lambda x: x**2, lambda x: x, at=3.0)
    assert report.verdict == "disagrees"
    assert "the diagnosis failed, IndexError: of no use" in report.more


def leaky(x):
    return np.where(x < 0, 0.1 * x, x)


def the_wrong_way_round(g, x):
    return np.array([gi if xi < 0 else 0.1 * gi for gi, xi in zip(g, x, strict=True)])


def from_the_second(g, x):
    dx = np.zeros_like(x)
    for i in range(1, len(x)):
        dx[i] = g[i] if x[i] > 0 else 0.1 * g[i]
    return dx


def from_the_second_while(g, x):
    dx = np.zeros_like(x)
    i = 1
    while i < len(x):
        dx[i] = g[i] if x[i] > 0 else 0.1 * g[i]
        i += 1
    return dx


@pytest.mark.parametrize(
    ("hand", "corrected"),
    [
        (
            the_wrong_way_round,
            "return np.array([gi if xi > 0 else 0.1 * gi for gi, xi in zip(g, x, strict=True)])",
        ),
        (from_the_second, "for i in range(0, len(x)):"),
        (from_the_second_while, "i = 0"),
    ],
)
def test_a_mend_is_right_beyond_the_given_numbers(hand, corrected):
    report = check_backward(leaky, hand, at={"x": np.array([0.19, -0.52, -0.41, -2.4])}, diagnosis=20.0)
    assert [e.formula for e in report.explanations] == [corrected]


@pytest.mark.parametrize("hand", ["3", "2*sum(z)"])
def test_a_factor_that_is_one_where_arguments_are_positive_is_no_mend(hand):
    report = check_gradient("sum(3*z)", hand, at={"z": np.array([1.0, 2.0])}, diagnosis=20.0)
    assert "> 0" not in str(report)


@pytest.mark.parametrize("domain", ["positive", "unit"])
def test_a_mend_is_right_in_the_domain_of_f(domain):
    report = check_gradient(
        lambda x: np.sum(x**3), lambda x: 3 * x**3, at=np.array([0.6, 0.8]), domain=domain, diagnosis=20.0
    )
    assert report.explanations[0].formula == "∂f/∂x = 3 * x ** 2"


def test_a_step_uphill_has_the_wrong_sign():
    names = module("""
import numpy as np
class Layer:
    def __init__(self, W):
        self.W = W
    def forward(self, X):
        self.X = X
        return X @ self.W
    def backward(self, dz, lr=0.1):
        self.W += lr * self.X.T @ dz
""")
    at = {"W": random.standard_normal((3, 2)), "X": random.standard_normal((4, 3))}
    report = check_backward(names["Layer"], at=at, diagnosis=20.0)
    assert "the sign is wrong" in report.explanations[0].text
    assert report.explanations[0].formula == "self.W -= lr * self.X.T @ dz"


def test_a_line_that_is_right_is_not_blamed_beside_two_that_are_wrong():
    names = module("""
import numpy as np
class RNN:
    def __init__(self, U, W, b):
        self.U, self.W, self.b = U, W, b
    def forward(self, xs):
        self.xs = xs
        self.hs = [np.zeros(len(self.b))]
        for x in xs:
            a = self.U @ x + self.W @ self.hs[-1] + self.b
            h = np.tanh(a)
            self.hs.append(h)
        return h
    def backward(self, dh):
        dU, dW, db = np.zeros_like(self.U), np.zeros_like(self.W), np.zeros_like(self.b)
        d = dh
        for t in reversed(range(len(self.xs))):
            da = d * (1 - self.hs[t + 1] ** 2)
            dU += np.outer(da, self.xs[t])
            dW += np.outer(da, self.hs[t])
            db = da
            d = da * 2
        return {"U": dU, "W": dW, "b": db}
""")
    shapes = {"U": (3, 2), "W": (3, 3), "b": 3, "xs": (4, 2)}
    at = {name: random.standard_normal(shape) for name, shape in shapes.items()}
    report = check_backward(names["RNN"], at=at, wrt=["U", "W", "b"])
    wrong = {line.claim.strip() for line in report.lines if line.verdict == "wrong"}
    assert wrong
    assert wrong <= {"db = da", "d = da * 2"}


def test_a_line_is_not_called_wrong_where_what_feeds_it_may_be():
    old = "dz = p * (dout - np.sum(dout * p, axis=1, keepdims=True))"
    new = "s = np.sum(np.sin(dout + p) ** 3, axis=1, keepdims=True)\n    dz = p * (dout - np.tanh(s))"
    report = checked(SOFTMAX, old, new)
    assert report.verdict == "disagrees"
    assert not [line for line in report.lines if line.verdict == "wrong"]


UNMENDED = {
    "a loss with another term, and a pass that takes no cotangent": ("""
import numpy as np
class Loss:
    def forward(self, z, t):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        self.p, self.t = e / e.sum(axis=1, keepdims=True), t
        return -np.sum(t * np.log(self.p) + (1 - t) * np.log(1 - self.p)) / len(t)
    def backward(self):
        return (self.p - self.t) / len(self.t)
""", "return (self.p - self.t) / len(self.t)", {"z": (5, 4), "t": np.eye(4)[[0, 3, 1, 1, 2]]}),
    "a bias in every product of a window": ("""
import numpy as np
def forward(x, w, b):
    h, v = x.shape[0] - w.shape[0] + 1, x.shape[1] - w.shape[1] + 1
    out = np.zeros((h, v))
    for i in range(h):
        for j in range(v):
            out[i, j] = np.sum(x[i : i + w.shape[0], j : j + w.shape[1]] * w + b)
    return out, (x, w)
def backward(dout, cache):
    x, w = cache
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros((1, 1))
    for i in range(dout.shape[0]):
        for j in range(dout.shape[1]):
            dx[i : i + w.shape[0], j : j + w.shape[1]] += dout[i, j] * w
            dw += dout[i, j] * x[i : i + w.shape[0], j : j + w.shape[1]]
            db[:, :] += dout[i, j]
    return {"x": dx, "w": dw, "b": db}
""", "db[:, :] += dout[i, j]", {"x": (6, 8), "w": (3, 5), "b": (1, 1)}),
    "an input's gradient of its own step alone": ("""
import numpy as np
def forward(xs, Wx, Wh):
    hs = {-1: np.zeros(Wh.shape[0])}
    for t in range(len(xs)):
        hs[t] = np.tanh(xs[t] @ Wx + hs[t - 1] @ Wh)
    return np.stack([hs[t] for t in range(len(xs))]), (xs, hs, Wx, Wh)
def backward(dhs, cache):
    xs, hs, Wx, Wh = cache
    dxs, dWx, dWh = np.zeros_like(xs), np.zeros_like(Wx), np.zeros_like(Wh)
    for t in reversed(range(len(xs))):
        d = dhs[t] * (1 - hs[t] ** 2)
        dxs[t] = Wx @ d
        for s in reversed(range(t + 1)):
            dWx += np.outer(xs[s], d)
            dWh += np.outer(hs[s - 1], d)
            d = (Wh @ d) * (1 - hs[s - 1] ** 2)
    return {"xs": dxs, "Wx": dWx, "Wh": dWh}
""", "dxs[t] = Wx @ d", {"xs": (4, 2), "Wx": (2, 3), "Wh": (3, 3)}),
}  # fmt: skip


@pytest.mark.parametrize("name", UNMENDED)
def test_a_line_is_named_that_no_small_change_mends(name):
    text, line, shapes = UNMENDED[name]
    names = module(text)
    at = {k: random.standard_normal(x) if isinstance(x, tuple) else x for k, x in shapes.items()}
    passes = [names["Loss"]] if "Loss" in names else [names["forward"], names["backward"]]
    report = check_backward(*passes, at=at, wrt=[k for k in at if k != "t"], diagnosis=4)
    assert [x.claim.strip() for x in report.lines if x.verdict == "wrong"] == [line]


def test_a_line_is_found_where_every_gradient_has_another_factor_too():
    names = module("""
import numpy as np
def loss(x, t, W1, W2, b2):
    a = x @ W1
    h = np.tanh(a)
    error = h @ W2 + b2 - t
    L = np.mean(error**2)
    dW2 = a.T @ error
    db2 = error.sum(axis=0)
    dW1 = x.T @ (error @ W2.T * (1 - np.sin(h)))
    grads = [dW1, dW2, db2]
    norm = np.sqrt(sum(np.sum(g * g) for g in grads))
    return L, dict(zip(["W1", "W2", "b2"], [g / norm for g in grads]))
""")
    shapes = {"x": (5, 3), "t": (5, 3), "W1": (3, 4), "W2": (4, 3), "b2": 3}
    report = check_backward(
        names["loss"], at={k: random.standard_normal(n) for k, n in shapes.items()}, wrt=["W1", "W2", "b2"]
    )
    wrong = {x.claim.strip(): x.margin for x in report.lines if x.verdict == "wrong"}
    assert "∂L/∂W2 is right but for a factor" in wrong["dW2 = a.T @ error"]
    assert not wrong.keys() & {"a = x @ W1", "h = np.tanh(a)", "db2 = error.sum(axis=0)"}


def test_a_line_is_not_called_wrong_where_an_index_that_it_reads_may_be():
    at = {k: random.standard_normal(x) if isinstance(x, tuple) else x for k, x in POINTS[POOLING].items()}
    names = module(POOLING.replace("top = i * stride\n", "top = (i * i + 1) % 3\n"))
    report = check_backward(names["forward"], names["backward"], at=at)
    wrong = {line.claim.strip() for line in report.lines if line.verdict == "wrong"}
    assert report.verdict == "disagrees"
    assert wrong <= {"top = (i * i + 1) % 3"}


def test_an_epsilon_of_the_forward_pass_that_a_derivation_leaves_out_is_no_mistake_far_off():
    names = module("""
import numpy as np
class Loss:
    def forward(self, x, t):
        self.t, self.n = t, len(t)
        e = np.exp(x - np.max(x, axis=1, keepdims=True))
        self.y = e / np.sum(e, axis=1, keepdims=True)
        return -np.sum(np.log(self.y[np.arange(self.n), t] + 3e-8)) / self.n
    def backward(self):
        dx = self.y - np.eye(self.y.shape[1])[self.t]
        return dx
""")
    x = np.random.default_rng(0).standard_normal((5, 4))
    at = {"x": x, "t": np.array([0, 3, 1, 1, 2])}
    report = check_backward(names["Loss"], at=at, wrt="x", diagnosis=20.0)
    assert report.explanations[0].formula == "dx = (self.y - np.eye(self.y.shape[1])[self.t]) / self.n"


WITHOUT_A_TEXT = {
    "a static method": "lambda g, x: Tanh.slope(g, x)",
    "an instance that it makes": "lambda g, x: Tanh().backward(g, x)",
}


@pytest.mark.parametrize("name", WITHOUT_A_TEXT)
def test_lines_are_known_that_a_function_without_a_text_reaches_through_a_class(name):
    names = module("""
import numpy as np
class Tanh:
    @staticmethod
    def slope(g, x):
        return g * (1 - np.tanh(x))
    def backward(self, g, x):
        return self.slope(g, x)
def forward(x):
    return np.tanh(x)
""")
    backward = eval(WITHOUT_A_TEXT[name], names)
    report = check_backward(names["forward"], backward, at=random.standard_normal(4), diagnosis=20.0)
    assert report.explanations[0].formula == "return g * (1 - np.tanh(x) ** 2)"


def test_no_adjoint_is_called_by_the_negative_of_a_name():
    names = module("""
import numpy as np
class Sigmoid:
    def forward(self, z):
        self.z = z
        return 1 / (1 + np.exp(-self.z))
    def backward(self, g):
        s = 1 / (1 + np.exp(-self.z))
        dz = -g * s * (1 - s)
        return dz
""")
    report = check_backward(names["Sigmoid"], at={"z": random.standard_normal(4)}, diagnosis=20.0)
    assert report.explanations[0].formula == "dz = g * s * (1 - s)"
    assert "∂L/∂(-" not in str(report)


ATTENTION = """
import numpy as np
def forward(q, k, v):
    s = q @ k.T / np.sqrt(q.shape[1])
    e = np.exp(s - s.max(axis=1, keepdims=True))
    a = e / e.sum(axis=1, keepdims=True)
    return a @ v, (q, k, v, a)
def backward(dout, cache):
    q, k, v, a = cache
    dv = a.T @ dout
    da = dout @ v.T
    ds = a * (da - np.sum(da * a, axis=1, keepdims=True))
    return ds @ k, ds.T @ q, dv
"""


def test_a_number_that_is_right_at_this_size_alone_is_no_fix():
    names = module(ATTENTION)
    at = {"q": random.normal(size=(3, 4)), "k": random.normal(size=(5, 4)), "v": random.normal(size=(5, 2))}
    report = check_backward(names["forward"], names["backward"], at=at, diagnosis=8)
    (said,) = [x.formula for x in report.explanations]
    assert said == "da = dout @ v.T / np.sqrt(q.shape[1])"  # and not times 0.5, or over dout.shape[1]
