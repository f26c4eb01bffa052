"""NumPy code as people write it, which makes its own arrays: each entry of CASES is a function and a point.

The first argument of each is differentiated.
"""

import copy
import functools
import math

import handwritten_layers as layers
import numpy
import numpy as np
from handwritten_layers import BatchNorm, Dense, LSTMCell, ReLU, Sequential, im2col, one_hot, softmax
from numpy import zeros

rng = np.random.default_rng(7)
CASES = {}
calls = 0


def at(*args):
    def register(f):
        CASES[f.__name__] = f, args
        return f

    return register


X = rng.normal(size=(4, 3))
IMAGE = rng.normal(size=(1, 2, 5, 5))
KERNEL = rng.normal(size=(2, 2, 3, 3))
LABELS = np.array([0, 2, 1, 1])
V = np.array([0.3, -1.2, 0.8, 2.1])


@at(V)
def item_assignment(x):
    y = np.zeros(len(x))
    for i in range(len(x)):
        y[i] = x[i] ** 2
    return y.sum()


@at(rng.normal(size=(3, 3)))
def loop_matrix_product(w):
    a = zeros((X.shape[0], w.shape[1]))
    for i in range(X.shape[0]):
        for j in range(w.shape[1]):
            for k in range(w.shape[0]):
                a[i, j] += X[i, k] * w[k, j]
    return np.sum(a**2) / a.size


@at(KERNEL)
def loop_convolution(w):
    x = np.pad(IMAGE[0], ((0, 0), (1, 1), (1, 1)), mode="constant")
    out = np.zeros((2, 5, 5))
    for f in range(2):
        for i in range(5):
            for j in range(5):
                out[f, i, j] = np.sum(x[:, i : i + 3, j : j + 3] * w[f])
    return np.sum(np.tanh(out))


@at(IMAGE)
def convolution_of_the_image(x):
    stride, (n, _, h, w) = 2, x.shape
    padded = np.pad(x, ((0,), (0,), (1,), (1,)), "constant")
    out = np.zeros((n, 2, 1 + (h - 1) // stride, 1 + (w - 1) // stride))
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            window = padded[:, :, i * stride : i * stride + 3, j * stride : j * stride + 3]
            for f in range(2):
                out[:, f, i, j] = np.sum(window * KERNEL[f, :, :, :], axis=(1, 2, 3))
    return float(np.sum(out * out))


@at(IMAGE)
def im2col_convolution(x):
    col = im2col(x, 3, 3, 1, 1)
    out = np.dot(col, KERNEL.reshape(2, -1).T)
    return np.mean(out.reshape(1, 5, 5, -1).transpose(0, 3, 1, 2) ** 2)


@at(IMAGE[:, :, :4, :4])
def max_pooling_loops(x):
    n, c, h, w = x.shape
    out = np.zeros((n, c, h // 2, w // 2))
    for i in range(h // 2):
        for j in range(w // 2):
            out[:, :, i, j] = np.max(x[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2], axis=(2, 3))
    return np.sum(out**2)


@at(IMAGE[0, 0, :4, :4])
def max_pooling_argmax(x):
    out = np.empty((2, 2))
    where = {}
    for i in range(2):
        for j in range(2):
            patch = x[2 * i : 2 * i + 2, 2 * j : 2 * j + 2].flatten()
            where[i, j] = k = int(np.argmax(patch))
            out[i, j] = patch[k]
    return (out * np.arange(4.0).reshape(2, 2)).sum()


@at(IMAGE[0, 0, :4, :4])
def max_pooling_reshaped(x):
    blocks = x.reshape(2, 2, 2, 2).transpose(0, 2, 1, 3).reshape(4, 4)
    mask = blocks >= blocks.max(axis=1, keepdims=True)
    out = np.zeros(4)
    for k in range(4):
        out[k] = np.sum(blocks[k] * mask[k])
    return np.dot(out, out)


@at(rng.normal(size=(3, 4)))
def svm_loss_naive(W):
    dW = np.zeros(W.shape)
    loss = 0.0
    for i in range(len(X)):
        scores = X[i].dot(W)
        correct = scores[LABELS[i]]
        for j in range(W.shape[1]):
            if j == LABELS[i]:
                continue
            margin = scores[j] - correct + 1
            if margin > 0:
                loss += margin
                dW[:, j] += X[i]
    return loss / len(X) + 0.05 * np.sum(W * W)


@at(rng.normal(size=(3, 4)))
def svm_loss_vectorized(W):
    scores = X.dot(W)
    margins = np.maximum(0, scores - scores[np.arange(len(X)), LABELS][:, np.newaxis] + 1)
    margins[np.arange(len(X)), LABELS] = 0
    return np.sum(margins) / X.shape[0]


@at(rng.normal(size=(3, 4)))
def softmax_loss_naive(W):
    loss = 0.0
    for i in range(X.shape[0]):
        f = X[i].dot(W)
        f -= np.max(f)
        loss += -math.log(np.exp(f[LABELS[i]]) / np.sum(np.exp(f)))
    return loss / X.shape[0]


@at(rng.normal(size=(3, 3)))
def softmax_regression(W):
    p = softmax(np.asarray(X) @ W)
    return -np.sum(one_hot(LABELS, 3) * np.log(p)) / len(LABELS) + layers.l2(W)


@at(rng.normal(size=(4, 3)))
def network_of_classes(x):
    net = Sequential(Dense(3, 5), ReLU(), BatchNorm(5), Dense(5, 2))
    return np.sum(net.predict(x) ** 2) / net.depth


NET = Sequential(Dense(3, 4), ReLU(), Dense(4, 2))


@at(rng.normal(size=(2, 3)))
def network_made_before(x):
    scores = NET.predict(x)
    return -np.log(softmax(scores)[np.arange(2), [0, 1]]).mean()


RECURRENT = layers.RNN(4, 3, 4)


@at(rng.normal(size=(3, 3)))
def recurrent_network(Whh):
    return RECURRENT.loss(Whh, [0, 1, 3], [1, 3, 2])


@at(rng.normal(size=(3, 8)))
def lstm_with_caches(W):
    U, b = np.full((2, 8), 0.3), np.ones(8) * 0.1
    return LSTMCell(2).forward(X, W, U, b)[-1].sum()


@at(rng.normal(size=(4, 3)))
def gru_in_lists(x):
    h, states = np.zeros(3), []
    W, Z = np.eye(3) * 0.5, np.identity(3)
    for row in x:
        z = 1.0 / (1.0 + np.exp(-(row @ Z + h)))
        h = (1 - z) * h + z * np.tanh(row @ W)
        states.append(h)
    return np.array(states).sum() + np.stack(states)[-1, 0]


@at(rng.normal(size=(3, 2)))
def word2vec_skip_gram(V):
    U, loss = np.linspace(-1, 1, 6).reshape(3, 2), 0
    for centre, outside, negatives in [(0, 1, [2, 2]), (2, 0, [1])]:
        loss -= np.log(1 / (1 + np.exp(-U[outside].dot(V[centre]))))
        for k in negatives:
            loss -= np.log(1 / (1 + np.exp(U[k].dot(V[centre]))))
    return loss


@at(rng.normal(size=(5, 2)))
def embedding_bag(table):
    out = np.zeros((2, 2))
    np.add.at(out, [0, 1, 1, 0], table[[0, 3, 3, 4]])
    return np.sum(out**3)


@at(V)
def adam_steps(w):
    optimizer = layers.Adam()
    w = w.copy()
    for _ in range(3):
        w = optimizer.step(w, 2 * w + 1)
    return np.sum(w**2)


@at(V)
def momentum_by_hand(w):
    v = np.zeros_like(w)
    for _ in range(4):
        v = 0.9 * v - 0.1 * (w**3)
        w = w + v
    return w.sum()


@at(rng.normal(size=(6, 2)))
def k_means(points):
    centres = np.array([[0.5, 0.5], [-0.5, -0.5]])
    assigned = np.zeros(len(points), dtype=int)
    for i, p in enumerate(points):
        assigned[i] = np.argmin([np.sum((p - c) ** 2) for c in centres])
    new = np.zeros((2, 2))
    for k in range(2):
        if np.any(assigned == k):
            new[k] = points[assigned == k].mean(axis=0)
    return np.sum((new - centres) ** 2)


@at(V)
def mask_assignment(x):
    y = x * 2
    y[x < 0] = 0
    y[x > 2] = 5.0
    return np.sum(y * x)


@at(V)
def mask_copied(x):
    y = x.copy()
    negative = y < 0
    y[negative] = 0.1 * y[negative]
    return (y**2).sum()


@at(X)
def leaky_by_partial(x):
    return np.sum(layers.leaky(x) ** 2)


@at(0.7)
def scalars_by_math(x):
    return layers.rational(x) + math.sqrt(x) * math.exp(-x) + math.sin(x) ** 2 + math.fsum([x, x])


@at(np.array([0.4, 0.9]))
def types_asked(v):
    total = 0.0
    for x in v:
        if isinstance(x, (float, np.floating)):
            total += float(x) ** 2
        if np.isscalar(x) and x.dtype == np.float64 and x.shape == () and x.ndim == 0:
            total += np.float64(x).item() * 3
    return np.float32(total) if isinstance(total, int) else total


@at(V)
def printed(x):
    loss = np.sum(x * x)
    text = "loss %.3f of %d" % (loss, len(x))
    more = "%s" % loss + "%(loss).2f" % {"loss": loss} + f"{loss:.2f}" + "{:.1e}".format(loss)
    return loss * (len(text) - len("loss 0.000 of 4") + 1) + 0 * len(more)


@at(V)
def recursion(x):
    if len(x) == 1:
        return np.array([x[0] ** 2])[0]
    return recursion(x[:2]) * recursion(x[2:]) if len(x) > 2 else float(x[0]) + recursion(x[1:])


@at(V)
def generator(x):
    def squares():
        for element in x:
            out = zeros(1)
            out[0] = element * element
            yield out[0]

    return sum(squares())


@at(V)
def closures(x):
    alloc, back = np.zeros, []

    def scaled(factor):
        def apply(z):
            out = alloc(z.shape)
            out[:] = factor * z
            back.append(out)
            return out

        return apply

    twice = scaled(2.0)
    return np.sum(twice(x) * back[0])


@at(V)
def global_counter(x):
    global calls
    calls = calls + 1
    buffer = numpy.zeros(2)
    buffer[0], buffer[1] = x[0], x[1]
    return buffer[0] * buffer[1]


@at(V)
def mapped(x):
    return sum(map(float, x)) + sum(map(lambda t: math.exp(t), list(x))) + functools.reduce(combine, x)


def combine(a, b):
    pair = np.zeros(2)
    pair[0], pair[1] = a, b
    return pair.prod()


@at(V)
def sorted_with_key(x):
    ordered = sorted(x, key=lambda t: float(t))
    return ordered[0] * 2 + ordered[-1] ** 2 + max(x) * min(x) + abs(x[1])


@functools.cache
def cached_power(x, n):
    return float(x) ** n


@at(1.3)
def through_a_cache(x):
    return cached_power(x, 3) + cached_power(x, 2)


act = np.vectorize(lambda t: t if t > 0 else 0.1 * float(t))


@at(V)
def vectorized(x):
    return np.sum(act(x) ** 2)


@at(rng.normal(size=(3, 3)))
def cholesky_by_hand(A):
    S = A @ A.T + 3 * np.eye(3)
    L = np.zeros_like(S)
    for i in range(3):
        for j in range(i + 1):
            s = S[i, j] - np.dot(L[i, :j], L[j, :j])
            L[i, j] = np.sqrt(s) if i == j else s / L[j, j]
    return 2 * np.sum(np.log(np.diag(L)))


@at(rng.normal(size=(4,)))
def gaussian_kernel(x):
    n = x.shape[0]
    K = np.empty((n, n), dtype=np.float64)
    for i in range(n):
        for j in range(n):
            K[i][j] = np.exp(-((x[i] - x[j]) ** 2) / 2)
    return K.sum() - np.trace(K)


@at(np.array([0.2, 0.5]))
def plain_linear_algebra(x):
    M = np.zeros((2, 2))
    M[0, 0], M[1, 1], M[0, 1] = 2.0, 3.0, 1.0
    inverse = np.linalg.inv(M)
    return np.sum((inverse @ x) ** 2) + np.linalg.det(M)


@at(X)
def layer_norm_in_place(x):
    out = np.ones_like(x)
    out -= 1
    out += x
    out -= out.mean(axis=1, keepdims=True)
    out /= np.sqrt((out * out).mean(axis=1, keepdims=True) + 1e-5)
    return np.sum(out * np.arange(12.0).reshape(4, 3))


@at(X)
def dropout(x):
    random = np.random.RandomState(0)
    mask = (random.rand(*x.shape) < 0.5) / 0.5
    out = np.empty_like(x)
    np.multiply(x, mask, out=out)
    return np.sum(np.maximum(out, 0, out=np.zeros_like(out)) ** 2)


@at(rng.normal(size=(2, 4)))
def attention(q):
    k, v = np.arange(12.0).reshape(3, 4) / 10, np.linspace(0, 1, 6).reshape(3, 2)
    scores = np.matmul(q, k.T) / np.sqrt(q.shape[-1])
    weights = np.zeros(scores.shape)
    for i, row in enumerate(scores):
        weights[i] = softmax(row)
    return (weights @ v)[0, 1] + (weights**2).sum()


@at(V)
def running_mean_in_a_list(x):
    means = []
    for i in range(1, len(x) + 1):
        means.append(np.mean(x[:i]))
    return np.asarray(means, dtype=float).dot(np.arange(4, dtype=float))


@at(rng.normal(size=(3,)))
def jacobian_in_the_loss(z):
    s = softmax(z)
    J = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            J[i, j] = s[i] * ((i == j) - s[j])
    return np.sum(J**2)


@at(np.array([1.5, -0.3]))
def runge_kutta(y):
    def field(state):
        d = np.zeros(2)
        d[0], d[1] = state[1], -math.sin(state[0])
        return d

    for _ in range(2):
        k1 = field(y)
        k2 = field(y + 0.05 * k1)
        y = y + 0.1 * k2
    return y[0] * y[1]


@at(V)
def polynomial_by_horner(c):
    t, values = np.linspace(-1.0, 1.0, 5), np.zeros(5)
    for k in reversed(range(len(c))):
        values = values * t + c[k]
    return (values.astype(float) ** 2).mean()


@at(rng.normal(size=(4, 2)))
def pairwise_distances(points):
    n = len(points)
    D = np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1, n):
            D[i, j] = D[j, i] = np.linalg.norm(points[i] - points[j])
    return D.sum() + D.max()


@at(np.array([0.2, 0.5, 0.3]))
def forward_algorithm(pi):
    A, B = np.full((3, 3), 1 / 3), np.array([[0.1, 0.9], [0.5, 0.5], [0.8, 0.2]])
    alpha = np.zeros((3, 3))
    alpha[0] = pi * B[:, 0]
    for t, o in enumerate([1, 0], start=1):
        for s in range(3):
            alpha[t, s] = alpha[t - 1].dot(A[:, s]) * B[s, o]
    return np.log(np.sum(alpha[-1]))


@at(V)
def views(x):
    y = np.zeros((2, 2))
    flat = y.reshape(-1)
    flat[:] = x
    left, right = np.split(y, 2, axis=1)
    left *= 3
    return np.sum(y * y.T) + right.sum()


@at(V)
def dtype_passed_on(x):
    y = np.zeros(x.shape, dtype=x.dtype)
    y[::2] = x[::2]
    z = np.array(x, copy=True, dtype=np.float64)
    z[0] = np.finfo(x.dtype).eps if np.issubdtype(x.dtype, np.floating) else 1.0
    return (y * z).sum() + np.full(3, x[1]).sum() + np.full_like(y, 2.0).sum() + np.copy(x)[3]


@at(V)
def copies_of_parameters(x):
    params = {"w": x, "history": [x[0], 1.0]}
    saved = copy.deepcopy(params)
    saved["w"][0] = 0
    return np.sum(saved["w"] * x) + saved["history"][0] + copy.copy(x[1]) ** 2


@at(X)
def bias_column(x):
    augmented = np.c_[np.ones(len(x)), x]
    windows = np.lib.stride_tricks.sliding_window_view(np.r_[augmented[:, 1], 2.0], 2)
    return np.mean(augmented @ np.arange(4.0)) + np.sum(windows**2)


class Model:
    def __init__(self, params):
        self.params = params

    def __call__(self, x):
        return self._score(x) if self.params else None

    @staticmethod
    def _square(x):
        out = np.zeros(len(x))
        out[...] = x
        return out**2

    @classmethod
    def _total(cls, x):
        return cls._square(x).sum()

    def _score(self, x):
        return self._total(x) * self.params["w"]


CASES["callable_object"] = Model({"w": 3.0}), (V,)
CASES["bound_method"] = Model({"w": 3.0})._score, (V,)
CASES["partial"] = functools.partial(lambda k, x: np.array([k * x[0], x[1]]).prod(), 2.0), (V,)
CASES["decorated"] = layers.counted(lambda x: np.array([x[0], x[2]]).prod()), (V,)
UNTRACEABLE = {  # they branch or index on numbers
    *"max_pooling_argmax svm_loss_naive k_means mask_copied types_asked printed sorted_with_key".split(),
    "vectorized", "through_a_cache",
}  # fmt: skip
