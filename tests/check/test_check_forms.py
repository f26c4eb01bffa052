"""The forms in which people have a derivation: text, printed figures, steps of training, backward passes."""

from decimal import Decimal

import numpy as np
import pytest

import autograd_mini as am
from autograd_mini import (
    Value,
    check_backward,
    check_gradient,
    check_jacobian,
    check_update,
    check_value,
    check_vjp,
    cross_entropy,
    named,
    sigmoid,
    softmax,
    values,
)
from autograd_mini.expressions import ExpressionError

Z = [1.5, -0.5, 0.75]
W = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])


# --- formulas as text ---


@pytest.mark.parametrize(
    "formula",
    ["S[i] * ((i == j) - S[j])", "diag(S) - outer(S, S)", "softmax(z)[i] * ((i == j) - softmax(z)[j])"],
)
def test_a_formula_as_text(formula):
    assert check_jacobian(softmax, formula, at=Z, out="S")
    assert check_jacobian("softmax(z)", formula, at=Z, out="S")


def test_indices_stand_for_the_axes_of_output_and_input_in_this_order():
    at = {"W": W, "x": [1.0, 2.0, -1.0]}
    assert check_jacobian(lambda W, x: W @ x, {"W": "(i == j) * x[k]", "x": "W[i, j]"}, at=at)
    assert not check_jacobian(lambda W, x: W @ x, {"W": "(i == k) * x[j]", "x": "W[i, j]"}, at=at)
    gradient = check_gradient(
        "cross_entropy(softmax(z), t)", "softmax(z)[i] - t[i]", {"z": Z, "t": [0, 0, 1]}
    )
    assert gradient, gradient
    assert check_gradient(lambda j: j**2, "2 * j", at=3.0)  # an argument is no index


def test_a_formula_that_asks_for_too_much_or_is_none_is_an_error():
    with pytest.raises(TypeError, match="the formula asks for q; there are x"):
        check_gradient("x**2", "2 * q", at=1.0)
    assert "wrong shape" in check_jacobian(softmax, "S", at=Z, out="S").reason
    assert "raises" in check_jacobian(softmax, "S[i, j]", at=Z, out="S").reason
    with pytest.raises(ExpressionError):
        check_gradient("x**2", "2 *", at=1.0)


# --- printed figures ---


@pytest.mark.parametrize(
    ("printed", "right"),
    [
        ("0.1966", True),
        ("0.1965", False),
        ("0.1967", True),
        ("1.9e-1", True),
        ("0.19661193", True),
        ("1.96e−1", True),
    ],
)
def test_a_figure_is_right_within_one_unit_of_its_last_digit(printed, right):
    slope = "sigmoid(x) * (1 - sigmoid(x))"  # 0.19661193324…
    assert bool(check_gradient("sigmoid(x)", printed, at=1.0)) is right
    assert check_gradient("sigmoid(x)", slope, at=1.0)


def test_figures_are_not_forgiven_more_than_a_unit():
    assert not check_gradient(lambda x: 1234.567891 * x, "1234.567893", at=0.0)
    assert check_gradient(lambda x: 1234.567891 * x, "1234.567890", at=0.0)
    assert not check_gradient(lambda x: 1234.567891 * x, 1234.567893, at=0.0, decimals=6)
    assert check_gradient(lambda x: 1234.567891 * x, 1234.567893, at=0.0)  # a plain number: rtol is 1e-6


def test_strings_anywhere_in_lists_and_mappings():
    at = {"x": [2 / 3, 1 / 3], "y": 3.0}
    hand = {"x": ["1.0", "1.9998"], "y": "0.2222"}
    report = check_gradient(lambda x, y: x[0] * x[1] * y, hand, at=at)
    assert report.sections == {"x": "disagrees", "y": "agrees"}
    assert check_gradient(lambda x, y: x[0] * x[1] * y, {"x": ["1.0", "2.0"], "y": "0.2222"}, at=at)
    assert check_gradient(lambda x, y: x[0] * x[1] * y, {"x": [1.0, 1.9], "y": 0.2}, at=at, decimals=1)
    assert check_gradient(lambda x, y: x[0] * x[1] * y, [["1.0", "2.0"], "0.2222"], at=at, wrt=["x", "y"])
    assert report.points == 1


def test_decimals_are_for_figures():
    with pytest.raises(ValueError, match="printed figures"):
        check_gradient(lambda x: x, lambda x: 1.0, at=1.0, decimals=3)


def test_printed_figures_of_a_graph():
    x = Value(1 / 3, label="x")
    assert check_gradient(x * x, {"x": "0.666"})
    assert not check_gradient(x * x, {"x": "0.664"})


# --- values ---


def test_a_printed_value_and_a_whole_array():
    printed = ["0.62200588", "0.08417934", "0.29381477"]
    report = check_value(softmax, printed, at=Z)
    assert report, report
    assert report.witnesses == ("the engine", "f at 50 digits")
    wrong = check_value(softmax, ["0.622", "0.085", "0.294"], at=Z, out="S")
    assert wrong
    assert check_value(softmax, ["0.622", "0.086", "0.294"], at=Z, out="S").reason.startswith(
        "S[1] is 0.0841"
    )
    assert check_value(softmax(values(Z)), printed)
    assert check_value("softmax(z)", printed, at=Z)
    assert "wrong shape" in check_value(softmax, ["0.622"], at=Z).reason


def test_the_printed_value_of_another_loss_is_named():
    at = {"y": [0.5, 0.3, 0.2], "t": [1, 0, 0]}
    report = check_value(cross_entropy, 1.2729656758128876, at=at, out="L")
    assert report.verdict == "disagrees"
    assert [e.kind for e in report.explanations][:1] == ["other loss"]
    assert "binary_cross_entropy" in str(report)


def test_a_value_that_is_not_finite_is_inconclusive_unless_printed_so():
    assert check_value(lambda x: np.log(x), 3.0, at=np.array(0.0)).verdict == "inconclusive"
    assert check_value(lambda x: np.log(x), -np.inf, at=np.array(0.0))


def test_a_value_that_lost_digits_is_held_to_what_is_left():
    def f(x):
        return (1 - am.cos(x)) / x**2

    assert check_value(f, 0.5, at=1e-6)  # on floats 0.50004…
    assert not check_value(f, 0.51, at=1e-6)


# --- a step of training ---


def loss(W, b):
    return cross_entropy(softmax(W.T @ np.array([8.0, 7.0]) + b), [0, 0, 1])


START = {"W": np.full((2, 3), 0.5), "b": np.ones(3)}
AFTER = {
    "W": [["-2.16666667", "-2.16666667", "5.83333333"], ["-1.83333333", "-1.83333333", "5.16666667"]],
    "b": ["0.66666667", "0.66666667", "1.66666667"],
}


def test_the_gradient_that_a_step_implies():
    report = check_update(loss, AFTER, rate=1.0, at=START)
    assert report, report
    assert "(before − after) / 1" in str(report)
    ascent = check_update(loss, {"b": [1.33333333, 1.33333333, 0.33333333]}, rate=1.0, at=START, decimals=8)
    assert ascent.verdict == "disagrees"
    assert ascent.explanations[0].kind == "sign"


def test_the_tolerance_is_the_printed_unit_divided_by_the_rate():
    at = {"w": 2.0}
    assert check_update(lambda w: w**2, {"w": "1.961"}, rate=0.01, at=at)  # 1.96
    assert not check_update(lambda w: w**2, {"w": "1.962"}, rate=0.01, at=at)
    assert check_update(lambda w: w**2, 2.0 - 0.01 * 4.0, rate=0.01, at=at)
    assert check_update(lambda w: w**2, 2.0 - 1e-7 * 4.0, rate=1e-7, at=at)  # exact but for rounding
    assert not check_update(lambda w: w**2, 2.0 - 1e-7 * 4.1, rate=1e-7, at=at)


def test_steps_that_cannot_be():
    with pytest.raises(ValueError, match="the rate must be"):
        check_update(loss, AFTER, rate=0, at=START)
    with pytest.raises(ValueError, match="after= names q"):
        check_update(loss, {"q": 1.0}, rate=1, at=START)
    with pytest.raises(ValueError, match=r"b has shape \(3,\) before the step and \(\) after it"):
        check_update(loss, {"b": 1.0}, rate=1, at=START)


# --- backward passes ---


def test_a_backward_pass_of_inputs_or_of_the_output():
    at = [0.5, -1.0]
    assert check_vjp(np.tanh, lambda grad_out, x: grad_out * (1 - np.tanh(x) ** 2), at=at)
    assert check_vjp(np.tanh, lambda g, output: g * (1 - output**2), at=at)
    assert check_vjp(np.tanh, lambda g, y: g * (1 - y**2), at=at, out="y")
    assert check_vjp(np.tanh, lambda g, anything: g * (1 - np.tanh(anything) ** 2), at=at)
    assert check_vjp(softmax, lambda g, out: out * (g - g @ out), at=Z)


def test_a_backward_pass_that_forgets_the_cotangent_is_wrong():
    report = check_vjp(softmax, lambda g, out: out * (1 - out), at=Z)
    assert report.verdict == "disagrees"
    report = check_vjp(np.tanh, lambda g, out: 1 - out**2, at=Z)
    assert report.verdict == "disagrees"
    assert report.explanations[0].formula == "(1 - out ** 2) * g"


def test_a_backward_pass_for_several_inputs():
    at = {"W": W, "x": [1.0, 2.0, -1.0]}

    def f(W, x):
        return W @ x

    assert check_vjp(f, lambda g, W, x: (np.outer(g, x), W.T @ g), at=at).sections == {
        "W": "agrees",
        "x": "agrees",
    }
    assert check_vjp(f, lambda g, W, x: (None, W.T @ g), at=at).sections == {"x": "agrees"}
    assert check_vjp(f, lambda g, W, x: {"x": W.T @ g}, at=at).sections == {"x": "agrees"}
    assert check_vjp(f, lambda g, x, W: W.T @ g, at=at, wrt="x")
    assert check_vjp(f, lambda g, W, x: (np.outer(g, x), W.T @ np.ones(2)), at=at).sections == {
        "W": "agrees",
        "x": "disagrees",
    }
    with pytest.raises(TypeError, match="backward takes g, a, b, c; forward takes W, x"):
        check_vjp(f, lambda g, a, b, c: None, at=at)
    with pytest.raises(TypeError, match="backward asks for cache, which forward does not give"):
        check_vjp(np.tanh, lambda dout, cache: dout * (1 - cache**2), at=at["x"])
    with pytest.raises(TypeError, match="what y should be is not known"):
        check_vjp(np.tanh, lambda x, y: x * (1 - y**2), at=at["x"])
    assert check_vjp(np.tanh, lambda x, g: g * (1 - np.tanh(x) ** 2), at=at["x"])
    with pytest.raises(TypeError, match=r"must be a function backward\(grad_out, …\), got '2\*x'"):
        check_vjp(f, "2*x", at=at)


def test_a_scalar_function_has_a_scalar_cotangent():
    assert check_vjp(lambda x: x**2, lambda g, x: 2 * g * x, at=3.0)
    assert not check_vjp(lambda x: x**2, lambda g, x: 2 * x, at=3.0)


# --- sections ---


def test_one_parameter_wrong_and_one_of_the_wrong_shape():
    at = {"W": W, "b": np.array([0.1, -0.2]), "x": np.array([1.0, 2.0, -1.0])}

    def squared(W, b, x):
        return np.sum((W @ x + b) ** 2)

    def d(W, b, x):
        return 2 * (W @ x + b)

    hand = {"W": lambda W, b, x: np.outer(d(W, b, x), x), "b": lambda W, b, x: -d(W, b, x)}
    report = check_gradient(squared, hand, at=at)
    assert report.sections == {"W": "agrees", "b": "disagrees"}
    assert [explanation.kind for explanation in report.explanations[:2]] == ["slip", "sign"]
    assert "✓ W  agrees" in str(report)
    hand["W"] = lambda W, b, x: np.outer(x, d(W, b, x))
    hand["b"] = d
    report = check_gradient(squared, hand, at=at)
    assert report.sections == {"W": "disagrees", "b": "agrees"}
    assert "expected (2, 3), got (3, 2)" in report.reason
    assert "transposed" in {explanation.kind for explanation in report.explanations}


def test_a_labelled_intermediate():
    z = values(Z, "z")
    y = named(softmax(z), "y")
    assert check_gradient(named(cross_entropy(y, [0, 0, 1]), "L"), {"z": ["0.622", "0.084", "-0.706"]})


def test_figures_that_are_none_are_named():
    for call in (lambda: check_value(np.sum, None, at=Z), lambda: check_update(np.sum, None, 0.1, at=Z)):
        with pytest.raises(TypeError, match="the printed figures or numbers: expected numbers, got NoneType"):
            call()


@pytest.mark.parametrize(
    ("f", "wrong", "place", "right"),
    [
        (sigmoid, "sigmoid(x) * (1 + sigmoid(x))", "1 + sigmoid(x)", "sigmoid(x) * (1 - sigmoid(x))"),
        (lambda x: np.exp(x) * np.sin(x), "exp(x) * (sin(x) - cos(x))", "sin(x) - cos(x)", None),
        (lambda x: np.sin(x) * x**3, "cos(x) * x**3 + sin(x) * 3 * x**3", "3", None),
        (np.tanh, "1 - tanh(x)", "tanh(x)", "1 - tanh(x) ** 2"),
        (lambda x: np.cos(2 * x), "-2 * cos(2 * x)", "cos(2 * x)", "-2 * sin(2 * x)"),
    ],
)
def test_the_slip_in_a_formula_is_found(f, wrong, place, right):
    [slip] = [e for e in check_gradient(f, wrong, at=0.7).explanations if e.kind == "slip"]
    assert slip.text.endswith(f"in place of {place}")
    corrected = slip.formula.removeprefix("∂f/∂x = ")
    assert right in (None, corrected)
    assert check_gradient(f, corrected, at=-1.3)


def test_the_slip_in_a_formula_with_indices_is_found():
    report = check_jacobian(softmax, "S[i] * ((i == j) + S[j])", at=[1.5, -0.5, 0.75], out="S")
    assert report.explanations[0].formula == "∂S/∂z = S[i] * ((i == j) - S[j])"


def test_a_formula_that_no_small_change_makes_right_has_no_slip():
    report = check_gradient(np.tanh, "x**2 + 3", at=0.7)
    assert not report
    assert "slip" not in {e.kind for e in report.explanations}


# --- lists, and numbers of other libraries ---


def test_lists_at_the_point_are_arrays_for_every_argument():
    at = {"y": [0.2, 0.3, 0.5], "t": [0.0, 1.0, 0.0]}
    assert check_gradient(lambda y, t: -np.sum(t * np.log(y)), lambda y, t: -t / y, at=at)
    pair = {"a": [1.0, 2.0], "b": [3.0, 4.0]}
    assert check_vjp(lambda a, b: a * b, lambda grad_out, a, b: (grad_out * b, grad_out * a), at=pair)


def test_numbers_of_other_libraries_are_numbers():
    sympy = pytest.importorskip("sympy")
    assert check_gradient(lambda x: x * x, 2 * sympy.sqrt(2), at=2**0.5)
    assert check_gradient(lambda x: x * x, Decimal("6"), at=3.0)
    with pytest.raises(TypeError, match=r"expected a hand result: .*: expected numbers, got 2\*q"):
        check_gradient(lambda x: x * x, 2 * sympy.Symbol("q"), at=3.0)


def test_a_backward_pass_may_take_all_inputs_together():
    at = {"a": [1.0, 2.0], "b": [3.0, 4.0]}
    assert check_vjp(
        lambda a, b: a * b, lambda grad_out, *inputs: [grad_out * x for x in inputs[::-1]], at=at
    )


@pytest.mark.parametrize(
    ("f", "line"),
    [
        (lambda a: 3 * np.sum(a), r"\frac{\partial f}{\partial a_i} = 3"),
        (lambda a: np.sum(a) ** 2, r"\frac{\partial f}{\partial a_i} = 2\sum_{j=1}^{n} a_j"),
    ],
)
def test_a_derivative_by_an_index_may_be_the_same_at_each(f, line):
    at = np.array([0.5, -1.0, 2.0])
    assert check_gradient(f, line, at=at).verdict == "agrees"
    assert check_gradient(f, f"{line} + 1e-3", at=at).verdict == "disagrees"
    assert check_gradient(lambda a: f(a) + a[0], line, at=at).verdict == "disagrees"


@pytest.mark.parametrize("line", [r"\sum_{j=1}^{K-1} 2 z_j", "2z_1·z", "2 z_i + \\sum_{j=2}^{n} z_j"])
def test_a_formula_that_is_open_is_no_verdict(line):
    with pytest.raises(ExpressionError):
        check_gradient(lambda z: np.sum(z**2), line, at=np.ones(3))


def test_real_numbers_may_be_complex_ones_and_a_power_has_no_pole_at_negative_numbers():
    at = np.array([-1.0, -0.5])
    assert check_gradient(lambda x: np.sum(x**2), lambda x: 2 * x + 0j, at=at).verdict == "agrees"
    assert check_gradient(lambda x: np.sum(x**2), lambda x: 2 * x + 1e-3j, at=at).verdict == "disagrees"
    assert check_gradient(lambda x: np.sum(x**2), lambda x: 1 / 0, at=at).verdict == "disagrees"


class ListsItsGradients:
    def __init__(self, W, b):
        self.W, self.b = W, b

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        dW, db = self.x.T @ dout, np.sum(dout, axis=0)
        return dout @ self.W.T, [dW, db]


class MeansOne(ListsItsGradients):
    def backward(self, dout):
        dW = self.x.T @ dout
        db = np.mean(dout, axis=0)
        return dout @ self.W.T, [dW, db]


class NamesNone(ListsItsGradients):
    def backward(self, dout):
        return dout @ self.W.T, [self.x.T @ dout, np.sum(dout, axis=0)]


def test_gradients_in_a_list_that_is_returned_are_bound_or_asked_for():
    at = {"W": np.ones((4, 5)), "b": np.zeros((1, 5)), "x": np.ones((3, 4))}
    assert check_backward(ListsItsGradients, at=at).sections == dict.fromkeys("xWb", "agrees")
    assert check_backward(MeansOne, at=at).sections["b"] == "disagrees"
    with pytest.raises(TypeError, match=r"no gradient is given of W, b.*gradients="):
        check_backward(NamesNone, at=at)
