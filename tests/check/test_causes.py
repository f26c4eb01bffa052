"""The causes of wrong gradients that people write, each named in a sentence."""

import time

import numpy as np
import pytest

from autograd_mini import check_gradient, check_jacobian, named, softmax

random = np.random.default_rng(0)
X, T, W = random.normal(size=(5, 3)), random.normal(size=5), random.normal(size=3)
WEIGHTS, V = np.array([1.0, 2.0, -1.0, 0.5]), np.array([0.3, -1.0, 2.0, 0.4])


def error(w):
    return np.mean((X @ w - T) ** 2)


def slope(w):
    return 2 * X.T @ (X @ w - T) / 5


def ridge(w):
    return error(w) + 0.3 * np.sum(w * w)


def normalised(x):
    mu = named(np.mean(x), "mu")
    var = named(np.mean((x - mu) ** 2), "var")
    return np.sum(WEIGHTS * (x - mu) / np.sqrt(var + 1e-5))


def skewed(x):
    return np.sum(WEIGHTS * ((x - x.mean()) / np.sqrt(x.var() + 1e-5)) ** 3)


def mean_only(x):
    std = np.sqrt(x.var() + 1e-5)
    d = 3 * WEIGHTS * ((x - x.mean()) / std) ** 2
    return (d - d.mean()) / std


def reference(x):
    std = np.sqrt(x.var() + 1e-3)
    xhat = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
    d = 3 * WEIGHTS * xhat**2
    return (d - d.mean() - xhat * np.mean(d * xhat)) / std


CAUSES = {
    "no regulariser": (ridge, slope, W, "0.3·(Σ w·w) is missing"),
    "half a regulariser": (ridge, lambda w: slope(w) + 0.3 * w, W,
                           "0.3·(Σ w·w) is half of what it should be"),
    "twice a regulariser": (ridge, lambda w: slope(w) + 1.2 * w, W, "0.3·(Σ w·w) is twice what it should be"),
    "a regulariser in the gradient only": (error, lambda w: slope(w) + 0.6 * w, W, "the term 0.6·w too much"),
    "no 1/N": (error, lambda w: 5 * slope(w), W, "a constant factor, 5"),
    "1/N twice": (error, lambda w: slope(w) / 5, W, "a constant factor, 1/5"),
    "1 − h for 1 − h²": (
        lambda w: np.sum(np.tanh(X @ w) * T), lambda w: X.T @ (T * (1 - np.tanh(X @ w))), W,
        "takes 1 − tanh(",
    ),
    "mean and variance held constant": (
        normalised, lambda x: WEIGHTS / np.sqrt(np.var(x) + 1e-5), V, "holds mu and var constant",
    ),
    "the power rule on a power of 2": (
        lambda x: np.sum(2.0**x), lambda x: x * 2.0 ** (x - 1), V,
        "the power rule, which is for a constant exponent",
    ),
    "the power rule on an exponential": (
        lambda x: np.sum(np.exp(x)), lambda x: x * np.exp(x - 1), V,
        "the power rule, which is for a constant exponent",
    ),
    "the Hessian for the gradient": (
        lambda w: np.sum((X @ w - T) ** 2), lambda w: 2 * X.T @ X, W,
        "yours is the Hessian of f, of shape (3, 3), and not its gradient",
    ),
    "the second derivative": (
        lambda x: np.sum(np.sin(x)), lambda x: -np.sin(x), W,
        "yours is the second derivative of f, and not its first",
    ),
    "the variance held constant": (skewed, mean_only, V, "holds var(x) constant"),
    "no index subtracted": (
        lambda z: -np.log(softmax(z))[2], lambda z: softmax(z), V,
        "takes softmax(z) for ∂f/∂z, without 1 subtracted at the target's index",
    ),
    "the class for its one-hot vector": (
        lambda z: -np.log(softmax(z))[2], lambda z: softmax(z) - 2, V,
        "takes softmax(z) − 2 for ∂f/∂z, without 1 subtracted at the target's index",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CAUSES)
def test_a_cause_is_named_and_nothing_beside_it(name):
    f, hand, at, said = CAUSES[name]
    report = check_gradient(f, hand, at=at, points=2, diagnosis=30.0)
    causes = [explanation for explanation in report.explanations if explanation.kind != "slip"]
    assert [said in cause.text for cause in causes] == [True]


def test_a_diagonal_for_a_matrix_is_named_and_no_sum_of_it():
    report = check_jacobian(np.tanh, lambda x: 1 - np.tanh(x) ** 2, at=W, diagnosis=20.0)
    assert [explanation.kind for explanation in report.explanations] == ["diagonal"]
    assert "a matrix with these numbers on its diagonal" in report.explanations[0].formula


def test_the_epsilon_of_a_reference_is_corrected():
    [slip, *_] = check_gradient(skewed, reference, at=V, diagnosis=40.0).explanations
    assert slip.formula == "std = np.sqrt(x.var() + 1e-05)"


def test_ones_are_no_gradient_of_anything():
    report = check_gradient(lambda b: -np.log(softmax(b))[1], np.ones(3), at=[0.1, 0.2, 0.3])
    assert report.explanations == ()


def test_what_is_not_explained_ends_with_what_to_look_at_next():
    hand = eval("lambda w: slope(w) + 0.6 * w + np.array([0, np.sin(w[1]), 0])", globals())  # without a text
    report = check_gradient(ridge, hand, at=W)
    assert report.explanations == ()
    assert any("only entry [1] is wrong" in remark for remark in report.remarks)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize(
    "names", [(), pytest.param(("i", "f", "o", "g"), marks=pytest.mark.slow)], ids=["", "named"]
)
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"f": lambda f: f}, "misses the factor (1 − "),
        ({"i": lambda i: 1 - i * i}, "², that of a tanh, for "),
        ({"g": lambda g: 1 - g}, "takes 1 − "),
    ],
    ids=["left out", "tanh's for σ's", "1 − g"],
)
def test_the_gate_of_an_lstm_whose_derivative_is_wrong_is_named_in_time(wrong, said, names):
    n = 4
    A, h, c = random.normal(size=(4 * n, 2 * n)), random.normal(size=n), random.normal(size=n)

    def gates(x):
        z = A @ np.concatenate([x, h])
        i, f, o, g = *map(sigmoid, (z[:n], z[n : 2 * n], z[2 * n : 3 * n])), np.tanh(z[3 * n :])
        return [named(gate, name) for gate, name in zip((i, f, o, g), names or [""] * 4, strict=True)]

    def step(x):
        i, f, o, g = gates(x)
        return np.sum(o * np.tanh(f * c + i * g))

    def hand(x):
        i, f, o, g = gates(x)
        slopes = {"i": lambda i: i * (1 - i), "f": lambda f: f * (1 - f), "g": lambda g: 1 - g * g, **wrong}
        s = np.tanh(f * c + i * g)
        d = o * (1 - s * s)
        gradients = [d * g * slopes["i"](i), d * c * slopes["f"](f), s * o * (1 - o), d * i * slopes["g"](g)]
        return A[:, :n].T @ np.concatenate(gradients)

    hand.__code__ = hand.__code__.replace(co_filename="<typed>")  # no text to search
    start = time.process_time()
    report = check_gradient(step, hand, at=random.normal(size=n), points=2, diagnosis=16.0)
    assert time.process_time() - start < 4
    cause = next(explanation for explanation in report.explanations if explanation.kind != "slip")
    assert said in cause.text
    [gate] = wrong
    assert not names or f"{gate}" in cause.nodes


HELD = {"w": np.array([0.3, -0.7]), "x": np.array([1.0, 2.0]), "y": np.array([2.0, 1.0])}


@pytest.mark.parametrize(
    ("f", "hand", "said"),
    [
        (
            lambda w, x, y: np.sum((w * x - y) ** 3),
            lambda w, x, y: 2 * (w * x - y) * x,
            "∂f/∂w is that of f = Σ (w·x − y)^3",
        ),
        (
            lambda w, x, y: np.sum(np.exp(w * x) * y),
            lambda w, x, y: np.exp(w * x) * x * x,
            "∂f/∂w has the factor y there",
        ),
    ],
)
def test_arguments_of_equal_numbers_are_told_apart(f, hand, said):
    report = check_gradient(f, hand, at=HELD, wrt="w", diagnosis=20.0)
    assert said in [e.formula for e in report.explanations]


def test_a_mask_that_is_constant_is_no_derivative_of_a_relu():
    report = check_gradient(
        lambda p: -np.sum(p * np.log(p)), lambda p: -np.log(p), at=np.array([0.2, 0.5, 0.3]), diagnosis=20.0
    )
    assert report.explanations
    assert "ReLU" not in str(report)


def test_a_wrong_layer_of_10_by_64_is_explained():
    x, t = random.normal(size=64), np.eye(10)[3]

    def loss(A, b):
        return -np.sum(t * np.log(softmax(A @ x + b)))

    def hand(A, b):
        p = softmax(A @ x + b)
        d = (p - t) * p * (1 - p)
        return np.outer(d, x), d

    hand.__code__ = hand.__code__.replace(co_filename="<typed>")  # no text to search
    at = {"A": 0.1 * random.normal(size=(10, 64)), "b": np.zeros(10)}
    report = check_gradient(loss, hand, at=at, diagnosis=30)
    assert report.explanations[0].kind == "extra factor"
    assert "as if a sigmoid followed" in report.explanations[0].text


# --- in the code that people hand in, of which only numbers are known --------------------------------------


def untold(function):
    """The function without its text."""
    function.__code__ = function.__code__.replace(co_filename="<typed>")
    return function


def normalised_rows(x, gamma, d):
    mean, var = x.mean(axis=0), x.var(axis=0)
    xhat = named((x - mean) / np.sqrt(var + 1e-5), "xhat")
    return np.sum(d * (gamma * xhat))


def batch_norm(change):
    """The gradients of a batch norm in the closed form, with a change of it."""

    def hand(x, gamma, d):
        N, std = len(x), np.sqrt(x.var(axis=0) + 1e-5)
        xhat = (x - x.mean(axis=0)) / std
        parts = {"g": d * gamma, "xhat": xhat, "x": x, "d": d, "N": N, "std": std, "gamma": gamma}
        return eval(change, {"np": np, "sum": lambda a: np.sum(a, axis=0)}, parts)

    return untold(hand)


def network(x, W, b, V, t):
    z = named(x @ W + b, "z")
    h = named(sigmoid(z), "h")
    return np.mean((h @ V - t) ** 2)


def hidden(change):
    """The gradient by W of the network, with a change of what goes back through its hidden layer."""

    def hand(x, W, b, V, t):
        z = x @ W + b
        h = sigmoid(z)
        dh = 2 * (h @ V - t) @ V.T / t.size
        return x.T @ eval(change, {"sigmoid": sigmoid}, {"dh": dh, "z": z, "h": h})

    return untold(hand)


def rectified(x, W, V, t):
    h = named(x @ W, "h")
    return np.sum((np.maximum(h, 0) @ V - t) ** 2)


def masked(change):
    def hand(x, W, V, t):
        h = x @ W
        da = 2 * (np.maximum(h, 0) @ V - t) @ V.T
        return x.T @ (da * eval(change, {}, {"h": h, "da": da}))

    return untold(hand)


def classified(W, X, y):
    z = named(X @ W, "z")
    e = np.exp(z - np.max(z, axis=1, keepdims=True))
    p = e / np.sum(e, axis=1, keepdims=True)
    return -np.mean(np.log(p[np.arange(len(y)), y]))


def scored(change):
    def hand(W, X, y):
        e = np.exp(X @ W)
        p, hot = e / e.sum(axis=1, keepdims=True), np.eye(W.shape[1])[y]
        return X.T @ eval(change, {}, {"p": p, "hot": hot, "y": y}) / len(X)

    return untold(hand)


def logistic(w, X, y):
    p = named(sigmoid(named(X @ w, "z")), "p")
    return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))


BATCH = {"x": random.normal(size=(5, 3)), "gamma": random.normal(size=3), "d": random.normal(size=(5, 3))}
LAYERS = {name: random.normal(size=shape) for name, shape in
          {"x": (4, 3), "W": (3, 3), "b": 3, "V": (3, 2), "t": (4, 2)}.items()}  # fmt: skip
RELU = {name: x for name, x in LAYERS.items() if name != "b"}
CLASSES = {"W": random.normal(size=(3, 4)), "X": X, "y": np.array([0, 2, 1, 3, 2])}
BINARY = {"w": W, "X": X, "y": np.array([0.0, 1.0, 1.0, 0.0, 1.0])}
AFFINE = {"x": X, "W": random.normal(size=(3, 3)), "d": random.normal(size=(5, 3))}
UNTOLD = {
    "1/N in dW and not in dx": (
        lambda x, W, d: np.sum(d * (x @ W)), untold(lambda x, W, d: x.T @ d / len(x)), AFFINE, "W",
        "times a constant factor, 1/5, one over the length of x",
    ),
    "a product transposed": (
        lambda x, W, d: np.sum(d * (x @ W)), untold(lambda x, W, d: d @ W), AFFINE, "x",
        "takes ∂(Σ x·W)/∂x transposed",
    ),
    "an axis of keepdims": (
        lambda x, gamma, d: np.sum(d * (x + gamma)), untold(lambda x, gamma, d: d.sum(axis=0, keepdims=True)),
        BATCH, "gamma", "axes of length 1 of its own, as keepdims leaves them",
    ),
    "x for x̂": (normalised_rows, batch_norm("sum(d * x)"), BATCH, "gamma", "has x in the place of xhat"),
    "a scale outside of the means": (
        normalised_rows, batch_norm("(N * d - sum(d) - xhat * sum(d * xhat)) / (N * std)"), BATCH, "x",
        "leaves out the factor gamma",
    ),
    "a scale missing in one of the means": (
        normalised_rows, batch_norm("(N * g - sum(g) - xhat * sum(d * xhat)) / (N * std)"), BATCH, "x",
        "misses the factor gamma in what passes var",
    ),
    "mean and variance held constant": (
        normalised_rows, batch_norm("g / std"), BATCH, "x", "holds mean and var constant",
    ),
    "the variance held constant": (
        normalised_rows, batch_norm("(g - g.mean(axis=0)) / std"), BATCH, "x", "holds var constant",
    ),
    "a derivative at the result": (
        network, hidden("dh * sigmoid(h) * (1 - sigmoid(h))"), LAYERS, "W",
        "takes the derivative of a sigmoid at h, its result, for ∂h/∂z",
    ),
    "the operand for the result": (
        network, hidden("dh * z * (1 - z)"), LAYERS, "W",
        "takes z·(1 − z), with the operand for the result, for ∂h/∂z",
    ),
    "a wrong sign in a derivative": (
        network, hidden("dh * h * (1 + h)"), LAYERS, "W", "takes h·(1 + h) for ∂h/∂z",
    ),
    "a mask of the adjoint": (
        rectified, masked("(da > 0)"), RELU, "W", "takes the mask of ∂f/∂maximum(h, 0), not of h",
    ),
    "a mask of what is negative": (rectified, masked("(h < 0)"), RELU, "W", "takes the mask of h < 0"),
    "no index subtracted in a batch": (
        classified, scored("p"), CLASSES, "W",
        "takes softmax(z) for ∂f/∂z, without 1 subtracted at the target's index",
    ),
    "the class for its one-hot row": (
        classified, scored("p - y[:, None]"), CLASSES, "W",
        "takes softmax(z) − the class for ∂f/∂z, without 1 subtracted at the target's index",
    ),
    "1 subtracted everywhere": (
        classified, scored("p - 1"), CLASSES, "W",
        "takes softmax(z) − 1 for ∂f/∂z, with 1 subtracted everywhere",
    ),
    "1 added": (
        classified, scored("p + hot"), CLASSES, "W",
        "takes softmax(z) for ∂f/∂z, with 1 added at the target's index",
    ),
    "no target subtracted": (
        logistic, untold(lambda w, X, y: X.T @ sigmoid(X @ w) / len(y)), BINARY, "w",
        "takes p for ∂f/∂z, without y subtracted",
    ),
    "an exponential's rule for a power": (
        lambda a, x: np.sum(a**x), untold(lambda a, x: np.sum(np.log(a) * a**x)), {"a": 1.7, "x": V}, "a",
        "takes the rule of an exponential, which is for a constant base",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNTOLD)
def test_a_cause_is_named_where_only_numbers_are_known(name):
    f, hand, at, wrt, said = UNTOLD[name]
    domain = {"a": "positive"} if "a" in at else None
    report = check_gradient(f, hand, at=at, wrt=wrt, domain=domain, diagnosis=20.0)
    assert report.explanations
    assert said in report.explanations[0].text


def test_a_number_of_a_term_that_f_does_not_have_is_said_as_it_is():
    hand = untold(lambda w, b: np.cos(w) + 0.1 * w)
    report = check_gradient(lambda w, b: np.sum(np.sin(w)) + b, hand, at={"w": W, "b": 0.4}, wrt="w")
    assert "has the term 0.1·w too much" in report.explanations[0].text


def test_parameters_that_are_wrong_for_different_reasons_have_a_cause_each():
    hands = {"gamma": batch_norm("sum(d * x)"), "x": batch_norm("g / std")}
    report = check_gradient(normalised_rows, hands, at=BATCH, wrt=["gamma", "x"], diagnosis=30.0)
    said = "; ".join(explanation.text for explanation in report.explanations)
    assert "has x in the place of xhat" in said
    assert "holds mean and var constant" in said
