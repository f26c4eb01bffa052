"""The judgement where floats are short of digits: the right is never blamed, the wrong never passed."""

import importlib.util
import math
import time
from pathlib import Path

import numpy as np
import pytest

import autograd_mini as am
from autograd_mini import (
    check_backward,
    check_gradient,
    check_jacobian,
    check_steps,
    check_update,
    check_vjp,
    named,
)


def erf(x):
    return np.vectorize(math.erf)(x) if not isinstance(x, am.Value) else am.erf(x)


def black_scholes_call(S, K=100.0, r=0.01, v=0.2, T=1.0):
    d1 = (am.log(S / K) + (r + v * v / 2) * T) / (v * math.sqrt(T))
    d2 = d1 - v * math.sqrt(T)

    def normal(d):
        return 0.5 * (1 + am.erf(d / math.sqrt(2)))

    return S * normal(d1) - K * math.exp(-r * T) * normal(d2)


def delta(S, K=100.0, r=0.01, v=0.2, T=1.0):
    d1 = (math.log(S / K) + (r + v * v / 2) * T) / (v * math.sqrt(T))
    return 0.5 * math.erfc(-d1 / math.sqrt(2))


def softmax(z):
    e = np.exp(z - np.max(z))
    return e / np.sum(e)


A, B = np.random.default_rng(5).normal(size=(6, 3)), np.random.default_rng(6).normal(size=6)
OPTIMUM = np.linalg.lstsq(A, B, rcond=None)[0]

CANCELLING = {
    "log sigmoid": (lambda x: am.log(am.sigmoid(x)), lambda x: 1 / (1 + math.exp(x)), 30.0),
    "grad tanh": (am.grad(lambda x: am.tanh(x)), lambda x: -2 * math.tanh(x) / math.cosh(x) ** 2, 19.0),
    "gelu": (
        lambda x: x * 0.5 * (1 + am.erf(x / math.sqrt(2))),
        lambda x: 0.5 * math.erfc(-x / math.sqrt(2)) + x * math.exp(-x * x / 2) / math.sqrt(2 * math.pi),
        -8.0,
    ),
    "one minus sigmoid": (
        lambda x: x * (1 - am.sigmoid(x)),
        lambda x: 1 / (1 + math.exp(x)) - x * math.exp(-x) / (1 + math.exp(-x)) ** 2,
        30.0,
    ),
    "black scholes": (black_scholes_call, delta, 25.0),
    "saturated softmax": (
        lambda z: softmax(z)[0],
        lambda z: softmax(z)[0] * (np.array([1.0, 0.0]) - softmax(z)),
        [60.0, 0.0],
    ),
    "log softmax": (
        lambda z: -am.log_softmax(z)[0],
        lambda z: np.array([-math.exp(z[1] - z[0]), math.exp(z[1] - z[0])]) / (1 + math.exp(z[1] - z[0])),
        [60.0, 0.0],
    ),
    "saturated tanh": (lambda x: am.tanh(x) ** 2, lambda x: 2 * math.tanh(x) / math.cosh(x) ** 2, 18.0),
    "least squares": (
        lambda w: np.sum((A @ w - B) ** 2), lambda w: 2 * A.T @ A @ w - 2 * A.T @ B, OPTIMUM,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CANCELLING)
def test_a_right_derivation_is_not_blamed_where_f_cancels(name):
    f, hand, at = CANCELLING[name]
    assert check_gradient(f, hand, at=at).verdict != "disagrees"
    assert check_gradient(f, hand(np.asarray(at) if np.ndim(at) else at), at=at).verdict != "disagrees"
    assert not check_gradient(f, lambda x: -np.asarray(hand(x)), at=at, diagnosis=0)


def test_a_step_that_cancels_is_not_blamed():
    def loss(x):
        return named(named(x, "y") ** 3 / 3, "L")

    def hand(x):
        return (x + 1e4) ** 2 - 2e4 * x - 1e8

    assert check_steps(loss, {"x": hand}, at=0.7).verdict != "disagrees"
    assert check_gradient(loss, hand, at=0.7).verdict != "disagrees"
    assert check_steps(loss, {"x": lambda x: hand(x) * 1.01}, at=0.7).verdict != "agrees"


def single(f):
    """f in float32, as a function on floats that Values cannot follow."""
    return lambda *x: np.asarray(f(*(np.float32(np.asarray(part, float)) for part in x)))


@pytest.mark.parametrize("seed", range(4))
def test_f_in_float32_is_judged_by_what_float32_resolves(seed):
    random = np.random.default_rng(seed)
    W, x = random.normal(size=(3, 4)), random.normal(size=4)

    def f(x):
        return np.sum(np.float32(W) @ np.float32(np.asarray(x, float)))

    assert check_gradient(f, lambda x: W.sum(axis=0), at=x).verdict != "disagrees"
    assert not check_gradient(f, lambda x: 1.001 * W.sum(axis=0), at=x, diagnosis=0)
    soft = single(lambda z: softmax(z)[1])
    right = lambda z: softmax(z)[1] * (np.eye(4)[1] - softmax(z))  # noqa: E731
    assert check_gradient(soft, right, at=x).verdict != "disagrees"
    assert not check_gradient(soft, lambda z: right(z) * np.array([1, 1, 1.01, 1]), at=x, diagnosis=0)


ROWS = np.array([[1.0, 2.0], [3.0, -1.0]])
PASSED = {
    "a large term": (lambda x, y: 1e12 * x + y, {"x": 1e12, "y": 0.0}, {"x": 1.0, "y": 1.0}),
    "an offset": (lambda x: 1e15 + x, {"x": 2.0}, {"x": 1.0}),
    "a small entry": (
        lambda p: 1e5 * p[0] ** 2 + 1e-4 * am.exp(p[1]), {"p": [2e5, 3e-4 * math.e]}, {"p": [1.0, 1.0]},
    ),
    "a tail": (lambda x: am.exp(-x), {"x": lambda x: -2 * math.exp(-x)}, {"x": 40.0}),
    "float32": (
        lambda p: 1e6 * p[0] + p[1], {"p": np.array([1e6, 0], np.float32)}, {"p": [1.0, 1.0]},
    ),
    "padded": (
        lambda w: np.sum(am.maximum(np.vstack([ROWS, [0.0, 0.0]]) @ w, 0)),
        {"w": lambda w: -ROWS.T @ (ROWS @ w > 0)},
        {"w": [1.0, 0.5]},
    ),
    "a branch": (lambda x: 1 + 0 * x if x == 0 else 1 + 1e-5 * x, {"x": 0.0}, {"x": 0.0}),
}  # fmt: skip


@pytest.mark.parametrize("name", PASSED)
def test_a_wrong_derivation_is_not_passed_whatever_its_size_beside_the_others(name):
    f, hand, at = PASSED[name]
    assert not check_gradient(f, hand, at=at)


def test_a_wrong_step_of_a_small_number_is_not_passed():
    def loss(y):
        return named(1e-20 * named(y, "h") ** 2, "L")

    assert check_steps(loss, {"y": lambda y: 2e-20 * y}, at=3.0)
    assert not check_steps(loss, {"y": lambda y: 3e-20 * y}, at=3.0)


def raw(x):
    """The number of a Value: what is computed with it loses its derivative."""
    return x.data if isinstance(x, am.Value) else x


def test_a_function_that_loses_a_gradient_on_values_passes_nothing_wrong_and_blames_nothing_right():
    def f(x, y):
        return 1e8 * x + raw(y)

    at = {"x": 1.0, "y": 2.0}
    for right, wrong in [(1.0, 0.0), (1.0, 1.1)]:
        assert check_gradient(f, {"x": 1e8, "y": right}, at=at).verdict != "disagrees"
        assert not check_gradient(f, {"x": 1e8, "y": wrong}, at=at)
    assert check_update(f, {"y": 2.0 - 0.1}, rate=0.1, at=at).verdict != "disagrees"
    assert not check_update(f, {"y": 2.0}, rate=0.1, at=at)
    tiny = {"x": 1.0, "y": 1e-9}
    assert check_gradient(f, {"x": 1e8, "y": 1.0}, at=tiny).verdict != "disagrees"
    assert not check_gradient(f, {"x": 1e8, "y": 0.0}, at=tiny)


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_gradient_lost_on_values_is_missed_where_steps_leave_the_domain_of_its_output_alone(outputs):
    width = 2.0**-7

    def f(x):
        with np.errstate(invalid="ignore"):
            lost = np.log(width - (x[0] - 5)) + np.log(width + (x[0] - 5)) + 0.5 * raw(x[0])
        return np.array([lost, 2 * x[0]][:outputs])

    def hand(x, missing=0.0):
        slope = 1 / (width + (x[0] - 5)) - 1 / (width - (x[0] - 5)) + 0.5 - missing
        return np.array([[slope], [2.0]][:outputs])

    assert check_jacobian(f, hand, at=[5.001])
    assert check_jacobian(f, lambda x: hand(x, 0.5), at=[5.001], diagnosis=0).verdict == "disagrees"


def test_of_a_function_that_draws_at_random_nothing_can_be_said():
    random = np.random.default_rng(0)

    def dropout(x):
        return np.sum(x * (random.random(4) > 0.5))

    for hand in (np.ones(4), np.zeros(4), lambda x: x):
        report = check_gradient(dropout, hand, at=np.ones(4))
        assert report.verdict == "inconclusive"
        assert "another result when it is called again" in report.reason


def test_f_may_change_its_argument():
    def f(x):
        x *= 2
        return np.sum(x**2)

    report = check_gradient(f, lambda x: 8 * x, at=np.array([1.0, 2.0]))
    assert report, report
    assert "f changes its argument x in place" in str(report)
    assert not check_gradient(f, lambda x: 4 * x, at=np.array([1.0, 2.0]))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("slip", "verdict"), [(1, "agrees"), (1.001, "disagrees")])
def test_a_pass_that_rounds_one_of_its_inputs(seed, slip, verdict):
    """Differences along that input are steps, and along the others are none."""
    random = np.random.default_rng(seed)
    x, W = (random.normal(size=shape).astype(np.float32) for shape in ((5, 3), (3, 4)))

    class Layer:
        def __init__(self):
            self.W = W

        def forward(self, x):
            self.x = x.astype(np.float32)
            return self.x @ self.W

        def backward(self, dout):
            self.dW = self.x.T @ dout
            return slip * dout @ self.W.T

    assert check_backward(Layer, at={"x": x}, points=1).sections == {"x": verdict, "W": "agrees"}


def test_an_update_in_float32_or_beside_large_parameters():
    after = np.float32(1.0) - np.float32(0.1) * np.float32(2.0)
    assert check_update(lambda w: w**2, after, rate=0.1, at=1.0).verdict != "disagrees"
    assert check_update(lambda w: w**2, np.float32(0.9), rate=0.1, at=1.0).verdict == "disagrees"
    W = 100 * np.random.default_rng(5).normal(size=(3, 4)).astype(np.float32)
    for factor, verdict in (1, "agrees"), (2, "disagrees"):  # a step of 1e-3 beside numbers of 1e2
        after = W - np.float32(factor * 1e-3) * np.cos(W)
        assert check_update(lambda w: np.sum(np.sin(w)), after, rate=1e-3, at=W).verdict == verdict
    assert check_update(lambda w: w * 3.0, 1e3 - 1e-9 * 3.0, rate=1e-9, at=1e3).verdict != "disagrees"
    assert not check_update(lambda w: w * 3.0, 1e3 - 1e-9 * 30.0, rate=1e-9, at=1e3)


def test_an_update_that_is_rounded_away_tells_nothing_of_any_gradient():
    w = np.array([0.5, -1.5], np.float32)
    for sign in 1, -1:  # ascent, and descent
        after = w - np.float32(sign * 1e-9) * np.float32(2 * w)
        report = check_update(lambda w: np.sum(w * w), after, rate=1e-9, at=w)
        assert report.verdict == "inconclusive"
        assert "the step is smaller than the rounding of what it changes" in report.reason
    beside = check_update(lambda w: np.sum(w * w), [0.4, 1e3], rate=0.1, at=[0.5, 1e3 / 0.8])
    assert beside.verdict == "agrees"


def test_a_kink_excuses_only_what_it_changes():
    def f(x, y):
        return am.relu(x) + 3 * y

    at = {"x": 0.0, "y": 1.0}
    report = check_gradient(f, {"x": 0.0, "y": 2.0}, at=at)
    assert report.sections == {"x": "inconclusive", "y": "disagrees"}
    assert check_gradient(f, {"x": 1.0, "y": 3.0}, at=at).verdict == "inconclusive"


@pytest.mark.parametrize("factor", [1.0, 1.0 + 1e-9, 1.001, 0.0, -1.0])
@pytest.mark.parametrize("name", ["gelu", "log sigmoid", "least squares", "saturated softmax", "plain"])
def test_one_claim_has_one_verdict(name, factor):
    f, hand, at = {**CANCELLING, "plain": (lambda x: am.sin(x) * x, None, 0.7)}[name]
    hand = hand or (lambda x: math.sin(x) + x * math.cos(x))
    at = np.asarray(at) if np.ndim(at) else at
    start = np.array(hand(at)) * factor
    only = {"diagnosis": 0}  # the verdict is asked for, and no explanation
    rate = 2.0**400  # so large that the step holds every digit of the gradient
    verdicts = {
        "gradient": check_gradient(f, start, at=at, **only).verdict,
        "steps": check_steps(lambda x: named(f(x), "L"), {"x": start}, at={"x": at}, **only).verdict,
        "jacobian": check_jacobian(f, start, at=at, **only).verdict,
        "update": check_update(f, at - rate * start, rate, at=at, **only).verdict,
    }
    assert len(set(verdicts.values())) == 1, verdicts
    functions = {
        "gradient": check_gradient(f, lambda x: np.array(hand(x)) * factor, at=at, **only).verdict,
        "vjp": check_vjp(f, lambda grad_out, x: grad_out * np.array(hand(x)) * factor, at=at, **only).verdict,
        "steps": check_steps(
            lambda x: named(f(x), "L"), {"x": lambda x: np.array(hand(x)) * factor}, at={"x": at}, **only
        ).verdict,
    }
    assert len(set(functions.values())) == 1, functions


def test_a_zero_by_convention_is_said_to_be_one():
    largest = check_gradient(np.max, [0.0, 1.0], at=[1.0, 3.0], points=0)
    assert [entry.note for entry in largest.entries] == ["", ""]  # it is 0, and by no convention
    tied = check_gradient(am.relu, lambda x: 0.0, at=0.0, points=0)
    assert "0 by convention (a tied edge): the derivative jumps here: one-sided 0 and 1" in tied.reason
    plain = check_jacobian(lambda x: am.relu(x) * np.array([1.0, 0.0]), np.diag([1.0, 0.0]), at=[1.0, 2.0])
    assert not any(entry.note for entry in plain.entries)  # no path, or a factor of 0, is no convention
    assert check_gradient(am.relu, 1.0, at=-1.0).verdict == "disagrees"


@pytest.mark.parametrize(
    ("f", "at", "sides"),
    [
        (lambda x: np.max(x), np.ones(4), (0, 1)),
        (lambda x: np.min(x), np.ones(3), (1, 0)),
        (lambda x: np.linalg.norm(x, 1), np.zeros(2), (-1, 1)),
        (lambda x: np.sqrt(np.sum(x * x)), np.zeros(3), (-1, 1)),
        (lambda x: np.sum(np.maximum(x, 0.0) - 2 * abs(x)), np.zeros(3), (2, -1)),
        (lambda x: np.sum(np.sqrt(abs(x))), np.zeros(2), (-np.inf, np.inf)),
        (lambda x: np.sum(np.sqrt(x)), np.zeros(2), (np.nan, np.inf)),
        (lambda x: np.sum(np.cbrt(x)), np.zeros(2), (np.inf, np.inf)),
    ],
)
def test_one_sided_derivatives_are_those_along_the_input(f, at, sides):
    """Of several tied inputs one moves alone."""
    for entry in check_gradient(f, np.full(at.shape, 0.25), at=at, points=0).entries:
        np.testing.assert_allclose((entry.left, entry.right), sides)


def test_a_jump_that_no_input_alone_meets_is_told_without_sides():
    report = check_gradient(
        lambda x: np.maximum(0.0, np.minimum(x[0], x[1])), [1.0, 1.0], at=[0.0, 0.0], points=0
    )
    assert report.reason.partition(" (")[0].endswith(": the derivative jumps here")


@pytest.mark.parametrize(
    ("f", "hand", "at"),
    [
        (np.linalg.norm, lambda x: np.ones(2), np.zeros(2)),
        (lambda x: np.sqrt(np.sum(x * x)), lambda x: np.ones(3), np.zeros(3)),
        (lambda x: np.sum(np.sqrt(x)), lambda x: 1 / np.sqrt(x), np.array([0.0, 1.0])),
        (lambda x: np.sum(np.cbrt(x)), lambda x: np.cbrt(x) ** -2, np.array([0.0, 1.0])),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_where_the_given_point_has_no_derivative_the_others_still_tell_what_is_wrong(f, hand, at):
    assert check_gradient(f, hand, at=at).verdict == "disagrees"


# --- what a derivation takes for granted ---


def log_det(C):
    """Of a matrix of 2 by 2, by its formula."""
    return am.log(C[0, 0] * C[1, 1] - C[0, 1] * C[1, 0])


SYMMETRIC = np.array([[2.0, 0.5], [0.5, 1.0]])


@pytest.mark.parametrize("domain", ["symmetric", "spd"])
def test_a_derivation_for_symmetric_matrices_is_right_for_these(domain):
    hand = np.linalg.inv  # its transpose in general
    assert check_gradient(log_det, hand, at=SYMMETRIC, domain=domain, points=20).verdict != "disagrees"
    elsewhere = check_gradient(log_det, hand, at=SYMMETRIC)
    assert elsewhere.verdict == "disagrees"
    assert "right at the given point and wrong at random ones" in str(elsewhere)
    assert '"symmetric"' in str(elsewhere)
    assert check_gradient(log_det, lambda C: np.linalg.inv(C).T, at=SYMMETRIC)


def log_volume(C):
    """½ log det C as one computes it: LAPACK reads the lower triangle alone."""
    return np.sum(np.log(np.diag(np.linalg.cholesky(C))))


@pytest.mark.parametrize(
    ("f", "hand", "domain"),
    [
        (log_volume, lambda C: np.linalg.inv(C) / 2, "spd"),
        (lambda C: np.sum(np.linalg.eigvalsh(C) ** 2), lambda C: 2 * C, "symmetric"),  # tr C²
        (lambda C: np.sum(np.triu(C) ** 2), lambda C: C + np.diag(np.diag(C)), "symmetric"),
    ],
)
def test_what_reads_one_triangle_has_its_derivative_among_symmetric_matrices(f, hand, domain):
    assert check_gradient(f, hand, at=SYMMETRIC, domain=domain)
    wrong = check_gradient(f, lambda C: 2 * hand(C), at=SYMMETRIC, domain=domain)
    assert wrong.verdict == "disagrees"
    assert "times a constant factor, 2" in str(wrong)
    unsaid = check_gradient(f, hand, at=SYMMETRIC)
    assert unsaid.verdict == "disagrees"
    assert 'domain="symmetric"' in str(unsaid)


def test_a_transposed_derivative_is_wrong_among_symmetric_matrices_too():
    A = np.array([[1.0, 2.0], [3.0, 4.0]])
    right = {"A": lambda X: A, "mean": lambda X: (A + A.T) / 2}
    for hand in right.values():
        assert check_gradient(lambda X: np.sum(X * A), hand, at=SYMMETRIC, domain="symmetric")
    assert not check_gradient(lambda X: np.sum(X * A), lambda X: A.T, at=SYMMETRIC, domain="symmetric")


def test_a_derivation_on_the_sphere_and_on_rotations():
    def along(u):
        return np.sum(np.outer(u, u) @ np.array([1.0, 2.0, -1.0])) / np.sum(u * u)

    def hand(u):  # of a unit vector
        a = np.array([1.0, 2.0, -1.0])
        return a * np.sum(u) + np.ones(3) * (u @ a) - 2 * (u @ a) * np.sum(u) * u

    at = np.array([0.6, 0.0, 0.8])
    assert check_gradient(along, hand, at=at, domain="unit")
    assert not check_gradient(along, hand, at=at, diagnosis=0)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    square = lambda R: np.sum((R.T @ R) * np.array([[1.0, 2.0], [2.0, 3.0]])) / 2  # noqa: E731
    assert check_gradient(
        square, lambda R: R @ np.array([[1.0, 2.0], [2.0, 3.0]]), at=turn, domain="orthogonal"
    )
    with pytest.raises(ValueError, match="is for square matrices, and x has shape"):
        check_gradient(lambda x: np.sum(x), lambda x: 1, at=np.ones((2, 3)), domain="spd")


def test_what_is_held_fixed_is_named():
    report = check_gradient(
        lambda y, t: np.sum((y - t) ** 2), lambda y: 2 * (y - 1.0), at={"y": [2.0], "t": [1.0]}
    )
    assert report
    assert "held fixed: t" in str(report)
    assert "held fixed" not in str(check_gradient(lambda y: np.sum(y**2), lambda y: 2 * y, at=[2.0]))


def test_every_check_takes_the_same_keywords_and_refuses_others():
    calls = [
        lambda **k: check_gradient(lambda x: x * x, lambda x: 2 * x, at=1.0, **k),
        lambda **k: check_jacobian(lambda x: x * x, lambda x: 2 * x, at=1.0, **k),
        lambda **k: check_vjp(lambda x: x * x, lambda g, x: 2 * g * x, at=1.0, **k),
        lambda **k: check_update(lambda x: x * x, 0.8, rate=0.1, at=1.0, **k),
        lambda **k: check_steps(lambda x: named(x * x, "L"), {"x": lambda x: 2 * x}, at=1.0, **k),
        lambda **k: am.check_value(lambda x: x * x, 1.0, at=1.0, **k),
    ]
    for call in calls:
        assert call(points=2, seed=1, rtol=1e-6, atol=1e-9, domain=(0.5, 1), seconds=1, diagnosis=0.5)
        with pytest.raises(TypeError, match="there is no keyword point; did you mean points"):
            call(point=3)


def test_the_diagnosis_has_a_budget_and_says_so():
    at = np.random.default_rng(0).normal(size=(6, 6))
    f = lambda W: np.sum(am.tanh(W @ W @ np.arange(6.0)))  # noqa: E731
    report = check_gradient(f, lambda W: np.cos(9 * W) * 3, at=at, diagnosis=0.0)
    assert report.verdict == "disagrees"
    assert "the diagnosis was cut after 0 s" in str(report)


def test_the_repr_of_a_report_is_its_text_cut_to_a_screen():
    x = np.random.default_rng(0).normal(size=2000)
    report = check_gradient(lambda x: np.sum(am.sin(x)), np.cos, at=x, points=1)
    assert repr(report).startswith("check_gradient: agrees")
    assert len(repr(report)) < 5000
    steps = {f"x{i}": lambda: 0.0 for i in range(100)}
    loss = named(np.sum(am.values(np.zeros(100), "x") ** 2), "L")
    assert len(repr(check_steps(loss, steps)).splitlines()) == 41


# --- what is recognised ---


def test_constants_of_few_digits_are_named():
    rounded = check_gradient(
        lambda x: am.tanh(0.798 * x), "sqrt(2/pi) * (1 - tanh(sqrt(2/pi) * x) ** 2)", at=0.5
    )
    assert rounded.verdict == "disagrees"
    assert "agrees to 3 digits; f holds 0.798, which may be rounded" in str(rounded)
    guarded = check_gradient(lambda y: -am.log(y + 1e-7), "-1 / y", at=0.3)
    assert guarded.verdict == "disagrees"
    assert "f holds 1e-07 where yours has nothing" in str(guarded)
    assert "agrees to" not in str(check_gradient(lambda x: x**3, lambda x: 3 * x, at=2.0))


def test_a_hessian_a_tuple_of_one_and_a_result_for_every_argument_are_recognised():
    f = lambda x: x[0] ** 2 * x[1]  # noqa: E731
    at = np.array([1.0, 2.0])
    hessian = lambda x: np.array([[2 * x[1], 2 * x[0]], [2 * x[0], 0.0]])  # noqa: E731
    report = check_gradient(f, hessian, at=at, diagnosis=0)
    assert report.verdict == "disagrees"
    assert "check_jacobian(grad(f), H)" in report.reason
    assert check_jacobian(am.grad(f), hessian, at=at)
    assert check_gradient(f, am.grad(f, argnums=(0,)), at=at)
    both = check_gradient(
        lambda x, y: x[0] * y, lambda x, y: [[y, 0.0, 0], x], at={"x": np.ones(3), "y": 3.0}
    )
    assert both.verdict == "disagrees"
    assert "one result for each of x, y, say so with wrt=" in both.reason


def _product(x, y):
    return np.sum(x * y**2)


@pytest.mark.parametrize(
    "hand",
    [
        lambda x, y: (y**2, 2 * x * y),
        lambda x, y: [y**2, 2 * x * y],
        lambda x, y: np.array([y**2, 2 * x * y]),
        [lambda x, y: y**2, lambda x, y: 2 * x * y],
        (lambda x, y: y**2, lambda x, y: 2 * x * y),
        ("y**2", "2*x*y"),
        am.grad(_product, argnums=(0, 1)),
    ],
)
@pytest.mark.parametrize("at", [(2.0, 3.0), ([1.0, 2.0], [3.0, 4.0])])
def test_one_result_for_each_argument_is_held_against_each(hand, at):
    at = dict(zip("xy", map(np.asarray, at), strict=True))
    assert check_gradient(_product, hand, at=at).sections == {"x": "agrees", "y": "agrees"}
    assert check_gradient(_product, hand, at=at, wrt=["x", "y"])
    report = check_gradient(lambda x, y: _product(x, y) + 1e-3 * np.sum(y), hand, at=at, diagnosis=0)
    assert report.sections == {"x": "agrees", "y": "disagrees"}


def test_a_complex_point_and_a_value_beside_the_gradient_are_said():
    with pytest.raises(TypeError, match="expected real numbers, at= gives x as 1j"):
        check_gradient(lambda x: x * x, lambda x: 2 * x, at=1j)
    report = check_gradient(lambda x: x * x, lambda x: (x * x, 2 * x), at=3.0)
    assert "of a pair (value, gradient) return the gradient alone" in report.reason
    for ragged in ([[1, 2], [3]], (1.0, [[1, 2], [3]])):
        report = check_gradient(lambda x: x * x, lambda x, given=ragged: given, at=3.0)
        assert "not an array of numbers" in report.reason


def test_printed_figures_for_each_argument():
    at = {"x": 2.0, "y": 3.0}
    assert check_gradient(_product, ["9", "12.0"], at=at).sections == {"x": "agrees", "y": "agrees"}
    assert check_gradient(_product, ["9", "12.3"], at=at).sections == {"x": "agrees", "y": "disagrees"}
    with pytest.raises(TypeError, match="a list of functions"):
        check_gradient(_product, [np.sin, np.sin, np.sin], at=at)


def test_parameters_with_defaults_stay_at_them_in_both_functions():
    def f(x, k=3.0):
        return k * x**2

    assert check_gradient(f, lambda x, k: 2 * k * x, at=1.5)
    assert check_gradient(f, "2 * k * x", at=1.5)
    assert check_gradient(f, lambda x, k: 2 * k * x, at={"x": 1.5, "k": 2.0})


def test_a_check_that_takes_its_time_shows_where_it_is_also_within_a_point(monkeypatch, capsys):
    def slow(x):
        time.sleep(0.02)
        return x * x

    check_gradient(slow, lambda x: 2 * x, at=1.0, points=0)
    assert capsys.readouterr().err == ""  # which is no terminal
    monkeypatch.setattr("autograd_mini.progress.PATIENCE", 0.01)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    check_gradient(slow, lambda x: 2 * x, at=1.0, points=1)
    lines = [line for line in capsys.readouterr().err.split("\r") if line.strip()]
    assert sum(line.startswith("point 1 of 2 … 0.") for line in lines) > 2
    assert any(line.startswith("point 2 of 2") for line in lines)
    check_steps(slow, {"x": lambda x: 2 * x}, at=1.0, points=0)
    assert "point 1 of 1" in capsys.readouterr().err


# --- trees ---


def two_layers(p, x):
    h = np.tanh(p["layers"][0] @ x + p["b"])
    return np.sum(p["layers"][1] @ h)


def two_layers_by_hand(p, x):
    h = np.tanh(p["layers"][0] @ x + p["b"])
    d = p["layers"][1].sum(axis=0) * (1 - h * h)
    return {"layers": [np.outer(d, x), np.outer(np.ones(2), h)], "b": d}


TREES = {
    "p": {
        "layers": [
            np.array([[0.1, -0.2], [0.3, 0.5], [0.2, 0.1]]),
            np.array([[1.0, 2.0, -1.0], [0.5, 0.0, 1.0]]),
        ],
        "b": np.array([0.1, 0.2, -0.3]),
    },
    "x": np.array([1.0, -2.0]),
}


def test_arguments_and_hand_results_are_trees_and_entries_go_by_their_path():
    report = check_gradient(two_layers, two_layers_by_hand, at=TREES)
    assert report, report
    assert list(report.sections) == ["p['layers'][0]", "p['layers'][1]", "p['b']"]
    assert report.points == 6
    numbers = two_layers_by_hand(**TREES)
    assert check_gradient(two_layers, {"p": numbers}, at=TREES).points == 1

    def wrong(p, x):
        found = two_layers_by_hand(p, x)
        found["layers"][1] = -found["layers"][1]
        return {"p": found}

    report = check_gradient(two_layers, wrong, at=TREES)
    assert report.sections == {"p['layers'][0]": "agrees", "p['layers'][1]": "disagrees", "p['b']": "agrees"}
    assert "∂f/∂p['layers'][1][" in report.reason
    assert check_gradient(
        two_layers, lambda p, x: {"x": p["layers"][0].T @ two_layers_by_hand(p, x)["b"]}, at=TREES
    )


def test_an_update_of_a_tree():
    gradient = two_layers_by_hand(**TREES)
    after = {
        "p": {
            "layers": [w - 0.1 * g for w, g in zip(TREES["p"]["layers"], gradient["layers"], strict=True)],
            "b": TREES["p"]["b"] - 0.1 * gradient["b"],
        }
    }
    assert check_update(two_layers, after, rate=0.1, at=TREES)


# --- where floats or functions end ---


def test_derivatives_near_the_largest_float():
    """bound / u, the size of what may cancel, is no float there."""
    for hand, verdict in (lambda x: 1e300 * np.exp(x), "agrees"), (lambda x: 0.0 * x, "disagrees"):
        assert check_gradient(lambda x: 1e300 * np.exp(x), hand, at=18.0, points=0).verdict == verdict


class TooLargeError(Exception):
    pass


def refuses(x):
    if np.max(x) > 2.2:
        raise TooLargeError
    return np.sum(x**2)


def asserts(x):
    assert np.max(x) < 2.2
    return np.sum(x**2)


def ends(x):
    return np.sum(x**2) if np.max(x) < 2.2 else None


@pytest.mark.parametrize("f", [refuses, asserts, ends, lambda x: [1, 1, 1][int(x[1])] * np.sum(x**2)])
def test_a_random_point_at_which_f_fails_is_drawn_again_whatever_the_error(f):
    report = check_gradient(f, lambda x: 2 * x, at=[1.0, 2.0])
    assert report.verdict == "agrees"
    assert report.points == 6
    assert check_gradient(f, lambda x: 2.01 * x, at=[1.0, 2.0]).verdict == "disagrees"


def test_a_result_short_of_digits_is_not_told_to_hold_on_special_arguments():
    report = check_gradient(lambda y: -np.sum(np.log(y + 1e-7)), lambda y: -1 / y, at=[0.5, 0.2])
    [slip] = report.explanations
    assert (slip.kind, slip.formula) == ("constant", "take 1e-07 out of f, or into yours too")
    assert "special" not in str(report)


def test_the_epsilon_of_a_loss_far_from_the_truth_is_the_reason_and_not_the_pass():
    class SoftmaxWithLoss:
        def forward(self, x, t):
            self.t, e = t, np.exp(x - np.max(x, axis=1, keepdims=True))
            self.y = e / np.sum(e, axis=1, keepdims=True)
            return -np.sum(np.log(self.y[np.arange(len(t)), t] + 1e-7)) / len(t)

        def backward(self, dout=1):
            dx = self.y.copy()
            dx[np.arange(len(self.t)), self.t] -= 1
            return dout * dx / len(self.t)

    sure_and_wrong = {"x": np.array([[0.0, 14.0], [3.0, 0.5]]), "t": np.array([0, 1])}
    report = check_backward(SoftmaxWithLoss, at=sure_and_wrong, points=0)
    assert [slip.kind for slip in report.explanations] == ["constant"]
    assert "L holds 1e-07 where yours has nothing: yours is right for L without it" in str(report)


@pytest.mark.parametrize("factor", [1, 2])
def test_of_what_is_detached_nothing_is_said_at_any_point(factor):
    """On floats the derivative is 2x, on Values x."""
    report = check_gradient(lambda x: np.sum(am.detach(x) * x), lambda x: factor * x, at=[1.0, 2.0])
    assert report.verdict == "inconclusive"


def test_a_function_found_out_to_be_random_at_another_point_is_random():
    random = np.random.default_rng(0)

    def f(x):
        return np.sum(x**2 * (random.random(2) > 0.1 * (abs(x[0] - 1) > 1e-6)))

    report = check_gradient(f, lambda x: 2 * x, at=[1.0, 2.0])
    assert report.verdict == "inconclusive"
    assert "when it is called again" in report.reason


def test_a_hand_function_that_gives_text_is_wrong():
    report = check_gradient(lambda x: x**2, lambda x: "2*x", at=1.0)
    assert report.verdict == "disagrees"
    assert "expected numbers, got str" in report.reason


def test_printed_figures_that_no_float_holds_are_refused():
    with pytest.raises(ValueError, match="a constant must be a real number that a float can hold"):
        check_gradient(lambda x: np.sum(x**2), ["1e999", "4"], at=[1.0, 2.0])
    with pytest.raises(TypeError, match="decimals must be a whole number, got -400; there are at most 300"):
        check_gradient(lambda x: x**2, 2.0, at=1.0, decimals=-400)


# --- hard kinds, drawn ---


@pytest.mark.parametrize(("count", "seed"), [(20, 5), pytest.param(80, 5, marks=pytest.mark.slow)])
def test_of_derivations_of_hard_kinds_no_right_one_is_accused_and_no_wrong_one_passed(count, seed):
    path = Path(__file__).parents[1] / "benchmarks" / "verdicts.py"
    spec = importlib.util.spec_from_file_location("verdicts", path)
    verdicts = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(verdicts)
    counted, false = verdicts.run(count, seed)
    assert false == []
    right = [own for title, own in counted.items() if title.endswith("right")]
    assert sum(own["inconclusive"] for own in right) <= 0.12 * count + 1
