"""The audit's verdicts, each held against a calculation that uses neither the checker nor the engine.

Derivatives are central differences at 50 digits (mpmath) with a step of 10⁻²⁰.
"""

import importlib.util
from pathlib import Path

import mpmath
import numpy as np
import pytest

mp = mpmath.MPContext()
mp.dps = 50
exp, ln = np.frompyfunc(mp.exp, 1, 1), np.frompyfunc(mp.log, 1, 1)
number = np.frompyfunc(mp.mpf, 1, 1)


def load():
    spec = importlib.util.spec_from_file_location("audit", Path(__file__).parents[2] / "demos" / "audit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


audit = load()


@pytest.fixture(scope="module")
def findings():
    found = list(audit.audit())
    assert len({(x.source, x.claim) for x in found}) == len(found)
    return found


def of(findings, source, beginning):
    """The one finding of a source whose claim begins so."""
    [found] = [x for x in findings if x.source == source and x.claim.startswith(beginning)]
    return found


def exact(x):
    return number(np.asarray(x, dtype=object) if not isinstance(x, np.ndarray) else x.astype(object))


def softmax(z):
    e = exp(z)
    return e / e.sum()


def slope(f, x):
    """∂f/∂x for every element of an array, by central differences; f may be an array."""
    x, h = exact(x), mp.mpf(10) ** -20
    columns = []
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += h
        down[index] -= h
        columns.append((np.asarray(f(up)) - np.asarray(f(down))) / (2 * h))
    return np.moveaxis(
        np.array(columns).reshape(x.shape + np.shape(columns[0])), range(x.ndim), range(-x.ndim, 0)
    )


def close(a, b, atol=1e-12):
    """Whether two arrays agree; printed ones to a unit of their last digit, ``atol``."""
    return bool(
        np.all(
            abs(exact(np.asarray(a, dtype=object)) - exact(np.asarray(b, dtype=object))) <= atol * (1 + 1e-9)
        )
    )


def printed_close(printed, truth):
    """Whether printed figures are within a unit of their last digit."""
    figures, truth = np.array(printed, dtype=object), np.asarray(truth, dtype=object)
    return all(
        abs(mp.mpf(text) - x)
        <= mp.mpf(10) ** (int(text.partition("e")[2] or 0) - len(text.partition("e")[0].partition(".")[2]))
        for text, x in zip(figures.flat, truth.flat, strict=True)
    )


def verdict(right):
    return "right" if right else "wrong"


# --- softmax exercises ---

EXERCISES = "softmax exercises"


def test_printed_softmaxes(findings):
    printed = ["0.62200588", "0.08417934", "0.29381477"]
    assert of(findings, EXERCISES, "softmax(1.5").verdict == verdict(
        printed_close(printed, softmax(exact([1.5, -0.5, 0.75])))
    )
    printed = ["0.114280348", "0.844423906", "0.00938070225", "0.000770014931", "0.0311450283"]
    z = exact([3, 5, 0.5, -2, 1.7])
    assert (
        of(findings, EXERCISES, "softmax(3").verdict == verdict(printed_close(printed, softmax(z))) == "right"
    )


@pytest.mark.parametrize(
    ("y", "t", "printed"),
    [
        ([0.5, 0.3, 0.2], [1, 0, 0], "1.2729656758128876"),
        ([0.5, 0.3, 0.2], [0, 1, 0], "2.120263536200091"),
        ([0.1, 0.2, 0.7], [0.3, 0.3, 0.4], "2.2686134086799234"),
    ],
)
def test_the_losses_are_binary_ones(findings, y, t, printed):
    found = of(findings, EXERCISES, f"L = −Σ t ln y = {printed[:8]}")
    y, t = exact(y), exact(t)
    text, code = -(t * ln(y)).sum(), -(t * ln(y) + (1 - t) * ln(1 - y)).sum()
    assert abs(text - mp.mpf(printed)) > 0.1
    assert abs(code - mp.mpf(printed)) < 1e-15
    assert found.verdict == "wrong"
    assert found.kinds[0] == "other loss"
    assert "binary_cross_entropy(y, t)" in found.diagnosis


def test_the_sigmoid_as_coded_is_its_reciprocal(findings):
    found = of(findings, EXERCISES, "the sigmoid, coded")
    v = exact([-2.0, 0.5])
    assert close(1 / 1 + exp(-v), 1 / (1 / (1 + exp(-v))))
    assert (found.verdict, found.kinds[0]) == ("wrong", "other function")
    assert "1 / σ(v)" in found.diagnosis


def forward(W1, b1, W2, b2):
    h = 1 + exp(-(exact(audit.X) @ W1 + b1))
    z = h @ W2 + b2
    y = softmax(z)
    return h, z, y, ((y - exact(audit.T)) ** 2).sum() / 2


def test_the_network_as_coded_prints_its_output_and_error(findings):
    *_, y, E = forward(**{name: exact(x) for name, x in audit.BEFORE.items()})
    right = printed_close(["0.0561", "0.9439"], y)
    assert of(findings, EXERCISES, "the network's output").verdict == verdict(right) == "right"
    assert (
        of(findings, EXERCISES, "its error").verdict
        == verdict(abs(E - mp.mpf("0.8910265888763901")) < 1e-15)
        == "right"
    )


def hand():
    """The notebook's backpropagation in numbers."""
    at = {name: exact(x) for name, x in audit.BEFORE.items()}
    x, t = exact(audit.X), exact(audit.T)
    h, _, y, _ = forward(**at)
    e = (y - t) * y * (1 - y)
    d = (e @ at["W2"].T) * h * (1 - h)
    return at, x, h, e, d, {"W2": h @ e, "b2": e.sum(), "W1": x @ d, "b1": d.sum()}


def test_the_backpropagation_is_wrong_in_four_ways(findings):
    at, x, h, e, d, scalars = hand()
    t, v = exact(audit.T), x @ at["W1"] + at["b1"]
    true_e = slope(lambda z: ((softmax(z) - t) ** 2).sum() / 2, h @ at["W2"] + at["b2"])
    expected = {
        "output error": (e, true_e, "diagonal"),
        # given the notebook's own e, what is correct is the derivative of e · z2
        "hidden error": (d, slope(lambda v: ((1 + exp(-v)) @ at["W2"] * e).sum(), v), "extra factor"),
        "∂E/∂W2: ": (scalars["W2"], slope(lambda W: (h @ W * e).sum(), at["W2"]), "inner for outer"),
        "∂E/∂b2: ": (scalars["b2"], slope(lambda b: (b * e).sum(), at["b2"]), "summed"),
        "∂E/∂W1: ": (scalars["W1"], slope(lambda W: (x @ W * d).sum(), at["W1"]), "inner for outer"),
        "∂E/∂b1: ": (scalars["b1"], slope(lambda b: (b * d).sum(), at["b1"]), "summed"),
    }
    for beginning, (yours, correct, kind) in expected.items():
        found = of(findings, EXERCISES, beginning)
        assert not close(np.broadcast_to(np.asarray(yours, dtype=object), correct.shape), correct, 1e-3)
        assert (found.verdict, found.kinds[0]) == ("wrong", kind), found
    # Each explanation, in numbers: the diagonal alone, the factor h, the inner product, the sum.
    y = softmax(h @ at["W2"] + at["b2"])
    jacobian = slope(softmax, h @ at["W2"] + at["b2"])
    assert close(e, (y - t) * np.diag(jacobian))
    assert close(true_e, (y - t) @ jacobian)
    assert close(d, h * expected["hidden error"][1])
    assert close(np.trace(expected["∂E/∂W2: "][1]), scalars["W2"])
    assert close(expected["∂E/∂b1: "][1].sum(), scalars["b1"])


def test_the_printed_step_carries_the_errors(findings):
    at, *_, scalars = hand()
    stepped = {name: at[name] - mp.mpf("0.1") * scalars[name] for name in at}
    for name, after in audit.AFTER.items():
        assert close(after, stepped[name], 1e-8)
        true = at[name] - mp.mpf("0.1") * slope(lambda p, name=name: forward(**{**at, name: p})[-1], at[name])
        assert not close(after, true, 1e-3)
        found = of(findings, EXERCISES, f"{name} as printed")
        assert found.verdict == "carries errors"
        assert found.diagnosis == f"with the error of {name}"
    *_, y, E = forward(**stepped)
    assert (
        of(findings, EXERCISES, "y with").verdict
        == verdict(printed_close(["0.0575", "0.9425"], y))
        == "right"
    )
    assert (
        of(findings, EXERCISES, "E = 0.888").verdict
        == verdict(abs(E - mp.mpf("0.8883528604776105")) < 1e-15)
        == "right"
    )


# --- network notes ---

NOTES = "network notes"


def test_activations(findings):
    x = exact([-1.3, 0.7])
    sigma, tanh = 1 / (1 + exp(-x)), np.frompyfunc(mp.tanh, 1, 1)
    assert close(slope(lambda x: 1 / (1 + exp(-x)), x), np.diag(sigma * (1 - sigma)))
    assert close(slope(tanh, x), np.diag(1 - tanh(x) ** 2))
    assert close(slope(lambda x: np.maximum(x, 0), x), np.diag(x > 0))
    assert close(slope(lambda x: ln(1 + exp(x)), x), np.diag(sigma))
    for name in ("sigmoid'", "tanh'", "rectifier'", "softplus'"):
        assert of(findings, NOTES, name).verdict == "right"


def test_the_recurrences_hold_for_an_elementwise_output_and_not_for_softmax(findings):
    p = {name: exact(x) for name, x in audit.NOTES.items()}
    a = np.frompyfunc(mp.tanh, 1, 1)(p["W1"] @ p["x"] + p["b1"])
    z = p["W2"] @ a + p["b2"]
    t = p["t"]
    losses = {
        "Σ |y − t|": (lambda y: abs(y - t).sum(), lambda y: np.sign(y - t)),
        "Σ (y − t)²": (lambda y: ((y - t) ** 2).sum(), lambda y: 2 * (y - t)),
        "−Σ t ln y": (lambda y: -(t * ln(y)).sum(), lambda y: -t / y),
    }
    for name, (loss, derivative) in losses.items():
        y = 1 / (1 + exp(-z))
        assert close(slope(lambda z, loss=loss: loss(1 / (1 + exp(-z))), z), derivative(y) * y * (1 - y))
        y = softmax(z)
        assert not close(slope(lambda z, loss=loss: loss(softmax(z)), z), derivative(y) * y * (1 - y), 1e-3)
        [found] = [x for x in findings if x.source == NOTES and x.claim.endswith(f"C = {name}")]
        assert (found.verdict, found.kinds[0]) == ("wrong", "diagonal")
    delta = p["t"] - mp.mpf("0.3")  # any δ: the rest of the recurrences is linear in it
    tanh = np.frompyfunc(mp.tanh, 1, 1)
    v = p["W1"] @ p["x"] + p["b1"]
    assert close(slope(lambda v: (p["W2"] @ tanh(v) * delta).sum(), v), (p["W2"].T @ delta) * (1 - a * a))
    assert close(slope(lambda W: (W @ a * delta).sum(), p["W2"]), np.outer(delta, a))
    for beginning in ("δᴸ", "δˡ", "∂C/∂bˡ", "∂C/∂Wˡ"):
        assert of(findings, NOTES, beginning).verdict == "right"


# --- softmax layer series ---

LAYER = "softmax layer series"


def test_the_layer(findings):
    W, x, t = exact(audit.LAYER["W"]), exact(audit.LAYER["x"]), exact(audit.CLASS)
    z = W.T @ x
    S = softmax(z)
    jacobian, gradient = slope(softmax, z), slope(lambda W: -ln(softmax(W.T @ x)[2]), W)
    right = {
        "S = softmax": printed_close(audit.S_PRINTED, S),
        "XE = ": abs(-ln(S[2]) - mp.mpf("1.5279347484961026")) < 1e-15,
        "∂XE/∂S as printed": printed_close(["0", "0", "-4.60864", "0", "0"], -t / S),
        "∂S/∂z as printed": printed_close(audit.JACOBIAN_PRINTED, jacobian),
        "∂S/∂z = ": close(jacobian, np.diag(S) - np.outer(S, S)),
        "∂S_t/∂W_ji": close(
            slope(lambda W: softmax(W.T @ x), W), np.einsum("tk,j->tjk", np.diag(S) - np.outer(S, S), x)
        ),
        "∂XE/∂W_ji = ": close(gradient, np.outer(x, S - t)),
        "∂XE/∂W_ji stored": close(gradient, np.outer(x, S - t).T.reshape(3, 5)),
        "∂XE/∂W as printed": printed_close(audit.GRADIENT_PRINTED, gradient),
    }
    wrong = {beginning for beginning, holds in right.items() if not holds}
    assert wrong == {"∂XE/∂W_ji stored", "∂XE/∂W as printed"}
    for beginning, holds in right.items():
        assert of(findings, LAYER, beginning).verdict == verdict(holds)
    for beginning in wrong:
        assert of(findings, LAYER, beginning).kinds[0] == "layout"
    assert printed_close(
        audit.GRADIENT_PRINTED, gradient.T.reshape(3, 5)
    )  # column-major in a row-major shape


# --- softmax intermezzo ---


def test_the_intermezzo(findings):
    z, t = exact([0.4, -1.1, 0.2]), exact([0.2, 0.5, 0.3])
    y = softmax(z)
    assert close(slope(softmax, z), np.diag(y) - np.outer(y, y))
    assert close(slope(lambda z: -(t * ln(softmax(z))).sum(), z), y - t)
    assert {x.verdict for x in findings if x.source == "softmax intermezzo"} == {"right"}
    assert sum(x.source == "softmax intermezzo" for x in findings) == 4


# --- softmax regression ---

REGRESSION = "softmax regression"


def test_the_regression(findings):
    W, b, x, t = (exact(audit.REGRESSION[name]) for name in ("W", "b", "x", "y"))

    def loss(W, b):
        return -(t * ln(softmax(W.T @ x + b))).sum()

    y = softmax(W.T @ x + b)
    dW, db = slope(lambda W: loss(W, b), W), slope(lambda b: loss(W, b), b)
    after = softmax((W - dW).T @ x + (b - db))
    right = {
        "J = 1.9095425": printed_close(["1.9095425"], loss(W, b)),
        "∂J/∂θ": close(slope(lambda z: -(t * ln(softmax(z))).sum(), W.T @ x + b), y - t),
        "∂J/∂W_ik": close(dW, np.outer(x, y - t)),
        "∂J/∂b": close(db, y - t),
        "W after": printed_close(audit.W_AFTER, W - dW),
        "b after": printed_close(audit.B_AFTER, b - db),
        "J = 2.99760217e-15": abs(loss(W - dW, b - db) - mp.mpf("2.99760217e-15")) < 1e-20,
        "ŷ after": printed_close(["3.09335001e-50", "3.09335001e-50", "1.0"], after),
    }
    for beginning, holds in right.items():
        assert of(findings, REGRESSION, beginning).verdict == verdict(holds)
    assert {beginning for beginning, holds in right.items() if not holds} == {
        "J = 1.9095425",
        "J = 2.99760217e-15",
    }
    # Both losses are the binary one, the second of predictions clipped as doubles.
    assert close(loss(W, b), mp.log(3))
    assert abs(-(t * ln(y) + (1 - t) * ln(1 - y)).sum() - mp.mpf("1.9095425")) < 1e-7
    assert abs(-3 * mp.log(mp.mpf(1 - 1e-15)) - mp.mpf("2.99760217e-15")) < 1e-23
    for beginning in ("J = 1.9095425", "J = 2.99760217e-15"):
        found = of(findings, REGRESSION, beginning)
        assert found.kinds[0] == "other loss"
        assert "binary_cross_entropy" in found.diagnosis


# --- the table ---


def test_every_wrong_claim_has_a_diagnosis_and_no_right_one(findings):
    for found in findings:
        assert bool(found.diagnosis) == (found.verdict != "right"), found
        assert bool(found.kinds) == (found.verdict == "wrong"), found
    assert len(findings) == 52


def test_the_table_fits_110_columns(findings):
    lines = list(audit.table(findings))
    assert max(map(len, lines)) <= 110


def test_the_table_is_written_beside_the_demo(findings):
    table = (Path(__file__).parents[2] / "demos" / "audit.md").read_text(encoding="utf-8")
    assert "\n".join(audit.markdown(findings)) in table
