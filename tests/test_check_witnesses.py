"""The witnesses, the points they are heard at, and the tolerances that follow from what they say."""

import math
import time

import mpmath
import numpy as np
import pytest

import autograd_mini as am
from autograd_mini import check_gradient, check_jacobian, cross_entropy, softmax
from autograd_mini.check.witnesses.differences import differences, noise
from autograd_mini.check.witnesses.recorded import Recorded

Z = [1.5, -0.5, 0.75]


def numpy_softmax(z):
    e = np.exp(z - np.max(z))
    return e / np.sum(e)


def softmax_jacobian(z):
    s = numpy_softmax(z)
    return np.diag(s) - np.outer(s, s)


# --- 50 digits ---


def test_the_graph_at_50_digits_is_exact_in_floats_and_shows_kinks():
    x = am.values([0.3, 0.0], "x")
    recorded = Recorded.of([am.sin(x[0]) * x[1], am.abs(x[1])], [*x])
    _, engine, bound = recorded.bounded(recorded.seeds())
    truth = recorded.exact(recorded.seeds(), bound)
    np.testing.assert_array_equal(truth, [[0, float(mpmath.sin(0.3))], [0, 0]])
    np.testing.assert_allclose(engine, truth, rtol=1e-15)
    left, right = recorded.slopes(np.array([0.0, 1.0]))
    np.testing.assert_array_equal([left, right], [[float(mpmath.sin(0.3)), -1], [float(mpmath.sin(0.3)), 1]])


def test_the_third_witness_speaks_where_floats_have_lost_the_function():
    def f(x):
        return am.sqrt(x * x + 1) - x  # 5e-9 at 1e8, on floats 0

    report = check_gradient(f, lambda x: x / np.sqrt(x * x + 1) - 1, at=1e8, points=0)
    assert report.verdict != "disagrees"
    assert report.entries[0].precise == pytest.approx(-5e-17, rel=1e-12)


def test_a_graph_has_the_third_witness_as_well():
    z = am.values(Z, "z")
    y = am.named(softmax(z), "y")
    loss = cross_entropy(y, [0, 0, 1])
    report = check_gradient(loss, {"y": [0, 0, -1 / y[2].data], "z": y.data - [0, 0, 1]})
    assert report
    assert "f at 50 digits" in report.witnesses
    for entry in report.entries:
        assert entry.precise == pytest.approx(entry.engine, rel=1e-14)


def test_where_many_digits_would_take_long_floats_and_their_bounds_decide():
    x = np.linspace(0.1, 1.0, 150)
    report = check_gradient(
        lambda x: np.sum(np.outer(x, x) ** 2), lambda x: 4 * x * np.sum(x**2), at=x, points=0
    )
    assert report
    assert report.witnesses == ("the engine", "f on floats next to the point")


# --- noise and tolerances ---


def test_noise_is_that_of_the_terms_that_cancel():
    def f(x):
        return np.array([np.sin(x[0]), 1e8 * (1 + x[0]) ** 2 - 1e8 * (1 + 2 * x[0]), np.exp(x[0]) * 1e3])

    smooth, cancelled, large = noise(f, np.array([0.7]), 3)
    assert smooth < 3e-16
    assert 3e-9 < cancelled < 3e-7
    assert large < 1e-12


def test_differences_take_directions():
    x, directions = np.array([0.3, -1.2]), np.array([[1.0, 1.0], [1.0, -1.0]])

    def f(x):
        return np.array([np.sin(x[0]) * x[1]])

    central, _, _ = differences(f, x, f(x), directions)
    gradient = np.array([-1.2 * np.cos(0.3), np.sin(0.3)])
    np.testing.assert_allclose(central.best[0], directions @ gradient, rtol=1e-10)


def test_tolerances_are_shown_and_can_be_given():
    report = check_gradient(lambda x: x**3, lambda x: 3 * x**2, at=2.0)
    assert report.tolerances["rtol"] == 1e-6
    assert "tolerances: rtol 1.0e-06, atol" in str(report)
    assert check_gradient(lambda x: x**3, lambda x: 3.0000001 * x**2, at=2.0)
    strict = check_gradient(lambda x: x**3, lambda x: 3.0000001 * x**2, at=2.0, rtol=1e-9, atol=0.0)
    assert strict.verdict == "disagrees"
    assert strict.tolerances["rtol"] == 1e-9


def test_a_hand_result_that_loses_digits_is_not_called_wrong_and_a_wrong_one_is():
    def f(x):
        return am.tanh(x) ** 2

    def hand(x, error=0.0):
        e = np.exp(-2 * x)  # 1 − tanh² as a difference of large terms
        return 2 * np.tanh(x) * ((1 + 1e9) - (1e9 + ((1 - e) / (1 + e)) ** 2)) + error

    assert check_gradient(f, hand, at=2.0).verdict == "agrees"
    assert check_gradient(f, lambda x: hand(x, 1e-4), at=2.0).verdict == "disagrees"


def test_float32_is_held_to_float32():
    def single(z):
        return softmax_jacobian(np.asarray(z, np.float32))

    assert single(Z).dtype == np.float32
    report = check_jacobian(numpy_softmax, single, at=Z)
    assert report, report
    assert "yours is float32 and held to what that resolves" in str(report)
    assert check_gradient(lambda x: x**2, np.float32(2.6), at=1.3)
    assert check_gradient(lambda x: x**2, np.float32(2.6001), at=1.3).verdict == "disagrees"
    wrong = check_jacobian(numpy_softmax, lambda z: single(z) * np.float32(1.001), at=Z)
    assert wrong.verdict == "disagrees"


# --- many entries ---


def test_a_large_gradient_is_compared_entry_by_entry():
    x = np.random.default_rng(3).normal(size=3_000)

    def f(x):
        return np.sum(np.sin(x)) * 1.0

    start = time.process_time()
    report = check_gradient(f, np.cos, at=x, points=1)
    assert time.process_time() - start < 5
    assert report, report.reason
    assert len(report.entries) == 2 * 3_000

    def one_wrong(x):
        gradient = np.cos(x)
        gradient[700] *= 1.001
        return gradient

    wrong = check_gradient(f, one_wrong, at=x, points=0)
    assert [e.column for e in wrong.entries if e.verdict == "disagrees"] == [(700,)]


def test_a_large_gradient_that_the_engine_cannot_follow_is_sampled_and_tried_along_random_directions():
    x = np.random.default_rng(3).normal(size=12_000)

    def f(x):
        return math.fsum(np.sin(x))

    report = check_gradient(f, np.cos, at=x, points=1)
    assert report, report.reason
    assert "of 12000 entries 16 were compared one by one, and 4 sums over random signs (±)" in str(report)

    def one_wrong(x):
        gradient = np.cos(x)
        gradient[7000] += 1.0
        return gradient

    wrong = check_gradient(f, one_wrong, at=x, points=0)
    assert wrong.verdict == "disagrees"
    assert {e.column[0][:1] for e in wrong.entries if e.verdict == "disagrees"} == {"±"}


def test_of_a_large_jacobian_outputs_are_sampled():
    z = np.linspace(-1, 1, 400)
    report = check_jacobian(numpy_softmax, softmax_jacobian, at=z, points=0)
    assert report, report.reason
    assert "of 400 outputs 16 were compared one by one, and 4 sums over random signs (±)" in str(report)
    assert len(report.entries) == 20 * 400
    wrong = check_jacobian(numpy_softmax, lambda z: -softmax_jacobian(z), at=z, points=0)
    assert wrong.verdict == "disagrees"


# --- points ---


def seen(f, domain, at, **options):
    points = []

    def hand(x, t):
        points.append((x, t))
        return f(x, t)[1]

    report = check_gradient(lambda x, t: f(x, t)[0], hand, at=at, domain=domain, **options)
    return report, points


def quadratic(x, t):
    return np.sum(x * x * t), 2 * x * np.array(t)


@pytest.mark.parametrize(
    ("domain", "inside"),
    [
        ((0, 1), lambda x: (x >= 0).all() and (x <= 1).all()),
        ("positive", lambda x: (x > 0).all()),
        ("simplex", lambda x: (x >= 0).all() and x.sum() == pytest.approx(1)),
        ("one-hot", lambda x: sorted(x) == [0, 0, 1]),
        ("real", lambda x: (x < 0).any() or (x > 0).all()),
    ],
)
def test_arguments_are_drawn_from_their_domains(domain, inside):
    at = {"x": [0.2, 0.3, 0.5], "t": [1.0, 0.0, 0.0]}
    report, points = seen(quadratic, {"x": domain, "t": domain}, at, points=8)
    assert report
    assert report.points == 9
    drawn = [part for x, t in points[2:] for part in (x, t)]
    assert all(inside(np.asarray(part)) for part in drawn)
    assert len({tuple(t) for _, t in points}) > 2


def test_arguments_without_a_domain_stay_unless_they_are_differentiated():
    at = {"x": [0.2, 0.3, 0.5], "t": [1.0, 0.0, 0.0]}
    report, points = seen(quadratic, {"x": "positive"}, at)
    assert report
    assert all(list(t) == [1.0, 0.0, 0.0] for _, t in points)
    report, points = seen(quadratic, {"t": "one-hot"}, at)
    assert len({tuple(x) for x, _ in points}) == 6


def test_a_single_domain_and_a_class_that_is_an_integer():
    assert check_gradient(lambda p: am.log(p), lambda p: 1 / p, at=0.5, domain=(0, 1))

    def hand(z, t):
        return numpy_softmax(z) - np.eye(3)[t]

    at = {"z": Z, "t": 2}
    assert check_gradient(lambda z, t: cross_entropy(softmax(z), t), hand, at=at, domain={"t": (0, 2)})
    forgot = check_gradient(
        lambda z, t: cross_entropy(softmax(z), t),
        lambda z, t: numpy_softmax(z) - [0, 0, 1],
        at=at,
        domain={"t": (0, 2)},
    )
    assert forgot.verdict == "disagrees"
    assert "random point" in forgot.reason


def test_points_outside_the_domain_of_f_are_drawn_again_and_counted():
    report = check_gradient(lambda x: am.log(x), lambda x: 1 / x, at=0.5, domain=(-1, 1), points=10)
    assert report
    assert report.points == 11
    assert report.skipped > 2
    assert "more drawn again outside f's domain" in str(report)


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        ("circle", "the domain of x must be"),
        ((1, 0), "the domain of x must be"),
        ("simplex", "is for arrays, and x is a scalar"),
        ({"y": (0, 1)}, "domain= names 'y'; f's arguments are x"),
    ],
)
def test_domains_that_do_not_exist(domain, message):
    with pytest.raises(ValueError, match=message):
        check_gradient(lambda x: x, lambda x: 1.0, at=1.0, domain=domain)


def test_one_domain_for_several_arguments_is_an_error():
    with pytest.raises(ValueError, match="as a mapping from x, y to domains"):
        check_gradient(lambda x, y: x * y, {"x": "y", "y": "x"}, at={"x": 1.0, "y": 2.0}, domain=(0, 1))


# --- poles ---


@pytest.mark.parametrize("hand", [lambda x: 0.5 / np.sqrt(x), lambda x: 1 / float(x), lambda x: 3.0])
def test_at_a_pole_of_the_derivative_nobody_is_wrong(hand):
    assert check_gradient(lambda x: am.sqrt(x), hand, at=0.0, points=0).verdict == "inconclusive"


def test_a_factor_of_the_chain_rule_that_is_not_finite_leaves_a_result_open():
    def hand(x):
        return 0.5 / max(x, 0.0) ** 0.5 * (x > 0)  # raises where relu is flat

    report = check_gradient(lambda x: am.sqrt(am.relu(x)), hand, at=-1.0, points=0)
    assert report.verdict == "inconclusive"
    assert "ZeroDivisionError" in report.reason
    assert "do not settle" in report.reason
    assert check_gradient(lambda x: am.relu(x), hand, at=-1.0, points=0).verdict == "disagrees"


# --- speed ---


def test_ten_by_ten_at_twenty_points_takes_under_a_second():
    z = np.linspace(-1, 1.3, 10)
    times = []
    for _ in range(3):
        start = time.process_time()
        report = check_jacobian(numpy_softmax, softmax_jacobian, at=z, points=20)
        times.append(time.process_time() - start)
        assert report.points == 21
    assert min(times) < 1


def test_a_derivation_that_overflows_on_the_way_is_open():
    def tanh_of_log(x):
        return np.sum(np.tanh(np.log(abs(x))))

    def hand(x):
        return (1 - np.tanh(np.log(abs(x))) ** 2) / x

    report = check_gradient(tanh_of_log, hand, at=[0.5, 0.0])
    assert report.verdict == "inconclusive"
    steep = check_gradient(
        lambda x: np.tanh(np.exp(1e6 * x)),
        lambda x: (1 - np.tanh(np.exp(1e6 * x)) ** 2) * 1e6 * np.exp(1e6 * x),
        at=1e-6,
    )
    assert steep.verdict != "disagrees"
