"""The witnesses, the points they are heard at, and the tolerances that follow from what they say."""

import math
import time

import mpmath
import numpy as np
import pytest

import autograd_mini as am
from autograd_mini import check_gradient, check_jacobian, check_steps, cross_entropy, named, softmax
from autograd_mini.check.witnesses.differences import COARSE_STEP, SHRINK, Limit, differences, noise
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
    left, right = recorded.slopes(np.array([0.0, 1.0]), 1.0, 100)
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
    def hand(x):
        return 2 * (x[:16] * np.sum(x**2))[:, None] * np.eye(16, 90) + 2 * np.outer(x[:16] ** 2, x)

    x = np.linspace(0.1, 1.0, 90)
    report = check_jacobian(lambda x: np.sum(np.outer(x[:16], x) ** 2, axis=1), hand, at=x, points=0)
    assert report
    assert report.witnesses == ("the engine", "f on floats next to the point")


# --- each column against its closed form ---


def along(f, *x):
    """The three limits of a function of a vector, for the only output along every axis."""
    x = np.array(x)
    limits = differences(lambda x: np.array([f(*x)]), x, np.array([f(*x)], float))
    return [(limit.best[0], limit.error[0]) for limit in limits]


@pytest.mark.parametrize("power", [1, 2])
def test_a_limit_is_exact_once_it_has_removed_every_term(power):
    def quotient(h):
        return np.array([5 - 2 * h**power + 7 * h ** (2 * power), 7 + h**power])

    limit, rounding = Limit(power, (2,)), np.array([1e-12, 1e-9])
    steps = [0.5 / SHRINK**k for k in range(4)]
    limit.add(quotient(steps[0]), rounding)
    assert np.isnan(limit.best).all()
    assert np.isinf(limit.error).all()
    limit.add(quotient(steps[1]), rounding)
    assert np.isinf(limit.error).all()  # two quotients prove nothing
    for step in steps[2:]:
        limit.add(quotient(step), rounding)
    np.testing.assert_allclose(limit.best, [5, 7], rtol=1e-13)
    assert (limit.error < 1e-11 + rounding).all()
    assert (limit.error >= rounding).all()


def test_a_limit_takes_what_is_strictly_better_and_never_nan():
    limit = Limit(1, (4,))
    limit.improve(np.array([1.0, 1.0, 1.0, np.nan]), np.array([0.5, 0.5, np.nan, np.nan]))
    limit.improve(np.array([2.0, 3.0, 2.0, 2.0]), np.array([0.5, 0.25, np.inf, 0.0]))
    np.testing.assert_array_equal(limit.best, [1, 3, np.nan, 2])
    np.testing.assert_array_equal(limit.error, [0.5, 0.25, np.inf, 0])


@pytest.mark.parametrize(
    ("f", "x", "central", "left", "right"),
    [
        (lambda x: 4.0, 0.3, 0, 0, 0),
        (lambda x: 3 * x, -2.0, 3, 3, 3),
        (lambda x: x**5, 1.5, 5 * 1.5**4, 5 * 1.5**4, 5 * 1.5**4),
        (lambda x: np.exp(x), 40.0, np.exp(40), np.exp(40), np.exp(40)),
        (lambda x: 1 / x, 1e-2, -1e4, -1e4, -1e4),
        (lambda x: np.sin(x), 1e4, np.cos(1e4), np.cos(1e4), np.cos(1e4)),
        (lambda x: 5 * x if x > 1 else 2 * x + 3, 1.0, 3.5, 2, 5),
        (lambda x: 3 * x + max(x, 0.0) ** 2, 0.0, 3, 3, 3),  # its one-sided quotients settle sooner
        (lambda x: 7 * x - min(x - 1, 0.0) ** 2, 1.0, 7, 7, 7),
    ],
)
def test_central_left_and_right_derivatives(f, x, central, left, right):
    for (best, error), wanted in zip(along(f, x), (central, left, right), strict=True):
        slack = 1e-8 * max(1.0, abs(wanted))
        assert abs(best[0] - wanted) <= error[0] + 1e-15
        assert error[0] <= slack or wanted == 3.5  # between 2 and 5 central quotients settle on a mean


def test_partial_derivatives_stand_in_the_order_of_the_axes():
    for best, error in along(lambda x, y, z: x * y**2 + np.exp(z), 2.0, -3.0, 0.5):
        np.testing.assert_allclose(best, [9, -12, np.exp(0.5)], rtol=1e-9)
        assert (error < 1e-8 * 12).all()


def test_one_sided_differences_at_the_edge_of_a_domain():
    limits = along(lambda x: x**1.5 if x >= 0 else np.nan, 0.0)
    for best, error in limits[:2]:
        assert np.isnan(best[0])
        assert np.isinf(error[0])
    right, _ = limits[2]
    assert right[0] == pytest.approx(0, abs=1e-3)


def test_a_derivative_along_a_direction_is_that_of_its_length():
    x, directions = np.array([0.3, -1.2]), np.array([[3.0, 0.0], [0.0, 0.25], [2.0, -2.0]])
    for limit in differences(lambda x: x[:1] * x[1], x, x[:1] * x[1], directions):
        np.testing.assert_allclose(limit.best[0], directions @ [-1.2, 0.3], rtol=1e-9)


def test_outputs_that_settle_late_are_waited_for_beside_those_that_settle_soon():
    def f(x):
        return np.array([4.0, np.sin(40 * x[0]), 2 * x[0]])

    x = np.array([0.3])
    for limit in differences(f, x, f(x)):
        np.testing.assert_allclose(limit.best[:, 0], [0, 40 * np.cos(12), 2], rtol=1e-8, atol=1e-12)
        assert limit.error[1, 0] < 1e-4


def asked(f, x):
    """The points at which differences ask for f at x, but for those that tell its noise."""
    heard, at = [], np.array([x])
    noise(lambda x: heard.append(x[0]) or f(x), at, f(at).size)
    before = len(heard)
    differences(lambda x: heard.append(x[0]) or f(x), at, f(at))
    return heard[2 * before :]


@pytest.mark.parametrize(
    "f",
    [
        lambda x: 0 * x,
        lambda x: 3 * x,
        lambda x: x**3,
        lambda x: 1e6 + 1e-3 * x,
        lambda x: np.array([1e6 * (x[0] - 0.3), 0.0]),  # what is small beside the largest is settled
    ],
)
def test_a_function_whose_differences_settle_is_not_asked_again(f):
    assert len(asked(f, 0.3)) == 2 * 5


@pytest.mark.parametrize(("x", "step"), [(0.3, 0.05), (-0.9, 0.05), (200.0, 10.0), (-3.0, 0.15)])
def test_steps_go_to_both_sides_and_shrink(x, step):
    points = np.reshape(asked(lambda x: np.exp(-x), x), (-1, 2))
    wanted = step / SHRINK ** np.arange(len(points))
    np.testing.assert_allclose(points - x, np.stack([wanted, -wanted], axis=1), rtol=1e-3)


@pytest.mark.parametrize("scale", [2.0**-40, 2.0**40])
def test_derivatives_go_with_the_scale_of_the_function(scale):
    def f(x):
        return np.array([np.sin(20 * x[0]), np.exp(x[0])])

    x = np.array([0.3])
    large = differences(lambda x: scale * f(x), x, scale * f(x))
    for limit, scaled in zip(differences(f, x, f(x)), large, strict=True):
        np.testing.assert_array_equal(scaled.best, scale * limit.best)
        np.testing.assert_array_equal(scaled.error, scale * limit.error)


def sequence(numbers):
    """A function that takes these values one after another, wherever it is called."""
    values = iter(numbers)
    return lambda x: np.array([next(values)])


@pytest.mark.parametrize(
    ("numbers", "wanted"),
    [
        (
            [(-1) ** k for k in range(8)],
            32 / math.sqrt(math.comb(10, 5)),
        ),  # 2⁵, over the root
        ([k**2 for k in range(8)], 0.0),
        ([k**3 for k in range(8)], 6 / math.sqrt(math.comb(6, 3))),
        ([k**4 / 24 for k in range(8)], math.sqrt(np.mean((np.arange(5) + 1.5) ** 2) / math.comb(6, 3))),
    ],
)
def test_noise_is_the_root_mean_square_of_high_differences(numbers, wanted):
    thirds = sequence([number / 3 for number in numbers])  # which float32 does not hold
    assert noise(thirds, np.array([0.7]), 1)[0] == pytest.approx(wanted / 3, rel=1e-12, abs=1e-15)


def test_noise_counts_twice_over_the_step():
    x, calls = np.array([0.5]), []

    def f(x):  # noisy in the eight calls for the noise, then 3x
        calls.append(x)
        return 1e-3 * np.array([(-1.0) ** len(calls)]) if len(calls) <= 8 else 3 * x

    found = 1e-3 * 32 / math.sqrt(math.comb(10, 5))
    for limit in differences(f, x, 3 * x):  # exact at the first three steps, and noisier at smaller ones
        assert limit.best[0, 0] == pytest.approx(3, rel=1e-12)
        assert limit.error[0, 0] == pytest.approx(2 * found / (COARSE_STEP / SHRINK**2), rel=1e-9)


def test_noise_is_heard_at_equal_steps_next_to_the_point():
    x, heard = np.array([0.7, -300.0, 0.0] * 8), []
    noise(lambda x: heard.append(x) or x[:1], x, 1)
    steps = np.diff(heard, axis=0)
    assert len(heard) == 8
    np.testing.assert_array_equal(heard[3], x)
    wanted = 2.0**-42 * np.tile([0.7, 300.0, 2.0**-10], 8)
    np.testing.assert_allclose(steps / (wanted * np.sign(steps[0])), 1.0, rtol=1e-2)
    assert set(np.sign(steps[0])) == {-1, 1}


@pytest.mark.parametrize(("still", "spacings"), [(2, 1), (3, 4), (7, 4)])
def test_noise_is_listened_for_farther_away_where_f_stays_as_it_is(still, spacings):
    """Of eight points next to each other, f does not move between so many."""
    heard = []

    def f(x):
        heard.append(x[0])
        return np.array([max(0.0, (len(heard) - 1) % 8 - still)])

    assert np.isfinite(noise(f, np.array([1.0]), 1)).all()
    steps = abs(np.diff(np.reshape(heard[: 8 * spacings], (-1, 8)), axis=1)[:, 0])
    np.testing.assert_allclose(
        steps, np.array([2.0**-42, 2.0**-28, 2.0**-20, 2.0**-12])[:spacings], rtol=1e-2
    )


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_numbers_of_few_digits_that_lie_on_a_line_by_chance_are_no_better_than_their_rounding(kind):
    points = [0.5, 1.0, 1.5, 2.0, *np.random.default_rng(0).normal(size=20)]
    for slope in 1, 3:
        for x in map(np.atleast_1d, points):

            def f(x, slope=slope):
                return (kind(slope) * x.astype(kind)).astype(float)

            central, left, right = differences(f, x, f(x))
            for limit in (central, left, right):
                assert abs(limit.best - slope) <= 10 * limit.error


@pytest.mark.parametrize("x", [0.7, 1.0])
def test_an_output_that_stays_as_it_is_may_be_rounded_and_gives_no_noise_to_another(x):
    def f(x):
        return np.array([1.5, 1000.03125 + (x[0] > 9), 3 * x[0]])

    still, moves_far, moved = noise(f, np.array([x]), 3)
    assert still == 0
    assert moves_far == 1000.03125 * 2.0**-24  # half a unit of its last digit, as float32 holds it
    assert moved < 1e-15


@pytest.mark.parametrize(("kind", "offset"), [(np.float16, 100.0), (np.float32, 1e8)])
def test_a_derivative_that_rounding_swallows_is_not_zero(kind, offset):
    def f(x):
        return (kind(offset) + x.astype(kind)).astype(float)

    central, left, right = differences(f, np.array([1.0]), f(np.array([1.0])))
    for limit in (central, left, right):
        assert abs(limit.best - 1) <= 10 * limit.error


def test_of_a_function_without_noise_the_first_step_is_short():
    asked = []
    differences(lambda x: asked.append(abs(x[0])) or 3 * x, np.zeros(1), np.zeros(1))
    assert max(asked) == 0.05


def test_noise_of_a_function_undefined_nearby_is_that_of_nothing():
    assert noise(lambda x: np.array([np.nan]), np.array([0.7]), 1)[0] == 0


COLUMNS = [  # f, the point, and the derivative
    (lambda x: am.sin(x) * x, 0.7, math.sin(0.7) + 0.7 * math.cos(0.7)),
    (lambda x: am.exp(-x * x), -1.3, 2.6 * math.exp(-1.69)),
    (lambda x: am.log(x) / x, 2.5, (1 - math.log(2.5)) / 6.25),
    (lambda x: am.atan2(x, 2.0), 1.0, 0.4),
    (lambda x: am.relu(x) ** 2 + 3 * x, 0.0, 3.0),
]


@pytest.mark.parametrize(("f", "x", "wanted"), COLUMNS)
def test_every_column_of_an_entry_is_the_closed_form(f, x, wanted):
    report = check_gradient(f, lambda x: wanted, at=x, points=0)
    (entry,) = report.entries
    assert report
    for column in (entry.engine, entry.yours, entry.precise):
        assert column == pytest.approx(wanted, rel=1e-14)
    assert entry.error == pytest.approx(abs(entry.engine - wanted), abs=1e-14)


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
    assert check_gradient(f, lambda x: hand(x, 1e-4), at=2.0, diagnosis=0).verdict == "disagrees"


EPS = np.finfo(float).eps
SINGLE = float(np.finfo(np.float32).eps)


@pytest.mark.parametrize(("slope", "verdict"), [(3.0099, "agrees"), (3.0101, "disagrees")])
def test_a_printed_figure_is_right_within_one_unit_of_its_last_digit(slope, verdict):
    assert check_gradient(lambda x: slope * x, "3.00", at=2.0).verdict == verdict
    assert check_gradient(lambda x: (6 - slope) * x, "3.00", at=2.0).verdict == verdict


@pytest.mark.parametrize(("slope", "verdict"), [(3 + 2.9e-6, "agrees"), (3 + 3.1e-6, "disagrees")])
def test_a_function_is_right_within_a_millionth(slope, verdict):
    assert check_gradient(lambda x: 3 * x, lambda x: slope, at=2.0, diagnosis=0).verdict == verdict
    assert check_gradient(lambda x: 3 * x, lambda x: 6 - slope, at=2.0, diagnosis=0).verdict == verdict


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
    x = np.random.default_rng(3).normal(size=1_500)

    def f(x):
        return np.sum(np.sin(x)) * 1.0

    start = time.process_time()
    report = check_gradient(f, np.cos, at=x, points=1)
    assert time.process_time() - start < 5
    assert report, report.reason
    assert len(report.entries) == 2 * 1_500

    def one_wrong(x):
        gradient = np.cos(x)
        gradient[700] *= 1.001
        return gradient

    wrong = check_gradient(f, one_wrong, at=x, points=0)
    assert [e.column for e in wrong.entries if e.verdict == "disagrees"] == [(700,)]


def test_a_large_gradient_that_the_engine_cannot_follow_is_sampled_and_tried_along_random_directions():
    x = np.random.default_rng(3).normal(size=12_000)

    def f(x):
        return np.fft.fft(np.sin(x))[0].real

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
        ("unit", lambda x: np.sum(x * x) == pytest.approx(1)),
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


@pytest.mark.parametrize(("x", "reach"), [(0.0, 0.5), (0.9, 0.5), (-0.9, 0.5), (100.0, 50.0), (-8.0, 4.0)])
def test_points_lie_around_the_given_one_as_far_as_half_of_it(x, reach):
    points = []
    check_gradient(lambda x: 3 * x, lambda x: points.append(float(x)) or 3.0, at=x, points=40)
    away = np.unique(points) - x
    assert len(away) == 41
    assert reach * 0.8 < away.max() <= reach
    assert reach * 0.8 < -away.min() <= reach


def test_points_come_closer_after_each_outside_the_domain_of_f():
    points = []
    report = check_gradient(
        lambda x: np.log(x), lambda x: points.append(float(x)) or 1 / x, at=1e-3, points=6
    )
    away = abs(np.unique(points) - 1e-3).max()
    assert report.points == 7
    assert report.skipped > 0
    assert 0 < away <= 0.5 / 2  # some were drawn below 0


@pytest.mark.parametrize("domain", ["simplex", "one-hot"])
def test_a_row_of_a_matrix_is_a_point_of_the_simplex(domain):
    points = []

    def hand(t):
        points.append(t)
        return 2 * t

    at = np.full((4, 3), 1 / 3)
    assert check_gradient(lambda t: np.sum(t * t), hand, at=at, domain=domain, points=5)
    drawn = [t for t in points if not np.array_equal(t, at) and abs(t.sum(axis=1) - 1).max() < 1e-9]
    assert len(drawn) >= 5
    assert all(t.shape == (4, 3) and (t >= 0).all() for t in drawn)
    if domain == "one-hot":
        assert {tuple(row) for t in drawn for row in t} == set(map(tuple, np.eye(3)))


@pytest.mark.parametrize("domain", [(2, 5), (-1.0, -0.5)])
def test_an_interval_is_drawn_from_end_to_end(domain):
    points, low, high = [], *domain
    check_gradient(
        lambda x: 3 * x, lambda x: points.append(float(x)) or 3.0, at=3.0, domain=domain, points=40
    )
    drawn = np.array([x for x in np.unique(points) if x != 3.0])
    reach = 0.15 * (high - low)
    assert low <= drawn.min() < low + reach
    assert high - reach < drawn.max() <= high


def test_classes_are_drawn_up_to_the_last():
    classes = set()

    def hand(z, t):
        assert type(t) is int
        classes.add(t)
        return numpy_softmax(z) - np.eye(3)[t]

    check_gradient(
        lambda z, t: cross_entropy(softmax(z), t), hand, at={"z": Z, "t": 1}, domain={"t": (0, 2)}, points=20
    )
    assert classes == {0, 1, 2}


def test_several_classes_are_drawn_one_by_one():
    drawn = []

    def hand(z, t):
        drawn.append(tuple(map(int, t)))
        return np.bincount(t, minlength=3).astype(float)

    at = {"z": np.array(Z), "t": np.array([0, 2])}
    report = check_gradient(
        lambda z, t: z[int(t[0])] + z[int(t[1])], hand, at=at, domain={"t": (0, 2)}, points=20
    )
    assert report, report
    assert any(first != second for first, second in drawn)
    assert {k for pair in drawn for k in pair} == {0, 1, 2}


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
        diagnosis=0,
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
        ((0, np.inf), "the domain of x must be"),
        ((np.nan, 1), "the domain of x must be"),
        (("a", 1), "the domain of x must be"),
        ((0, 1, 2), "the domain of x must be"),
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


def test_nan_is_excused_where_a_factor_of_the_chain_rule_is_not_finite_and_nowhere_else():
    nan, at = np.full((2, 2), np.nan), [-1.0, 1.0]
    report = check_jacobian(lambda x: [am.sqrt(am.relu(x[0])), x[1]], nan, at=at, points=0)
    assert report.verdict == "inconclusive"
    assert check_jacobian(lambda x: [am.relu(x[0]), x[1]], nan, at=at, points=0).verdict == "disagrees"


@pytest.mark.parametrize(("error", "verdict"), [(1.5e-5, "inconclusive"), (2.5e-5, "disagrees")])
def test_a_small_entry_owes_to_the_rounding_of_the_largest_in_its_row(error, verdict):
    """16 · 2⁻⁵³ · 10¹⁰ = 1.8e-5, and a millionth of the entry."""
    hand = [1e10, 1.0 + error]
    assert check_gradient(lambda x: 1e10 * x[0] + x[1] ** 2, hand, at=[1.0, 0.5]).verdict == verdict


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


# --- what chance may hide -----------------------------------------------------------------------------


@pytest.mark.parametrize("level", range(4))
def test_two_quotients_that_coincide_are_no_limit_yet(level):
    """c is chosen so that the quotients at two steps are one number, which is not the derivative."""
    h = 0.05 / 3.0**level
    c = h * h + h * h / 9
    central, *_ = differences(lambda x: x + x**3 - x**5 / c, np.zeros(1), np.zeros(1))
    assert abs(central.best.item() - 1) <= central.error.item() + 1e-12


def test_one_limit_takes_three_quotients():
    limit = Limit(2, (1,))
    for quotient in (2.0, 2.0):
        limit.add(np.array([quotient]), np.zeros(1))
    assert np.isinf(limit.error).all()
    limit.add(np.array([2.0]), np.zeros(1))
    assert (limit.best, limit.error) == (2.0, 0.0)


def test_an_element_with_two_names_has_a_derivative_under_each():
    def f(x):
        h = named(np.exp(x), "h").copy()
        h[0] = h[1] * 3.0
        return np.sum(named(h, "k") ** 2)

    at = np.array([0.1, 0.2, 0.3])
    assert check_steps(f, {"k": lambda k: 2 * k}, at=at).verdict == "agrees"
    assert check_steps(f, {"h": lambda h: np.array([0, 20 * h[1], 2 * h[2]])}, at=at).verdict == "agrees"
    assert check_steps(f, {"k": lambda k: np.array([2, 20, 2]) * k}, at=at).verdict == "disagrees"


def branching(x):
    if x == 2.0:
        return named(x * 3.0, "h") ** 2
    return (x * 3.0) ** 2


def test_a_name_that_f_gives_at_the_given_point_only_stops_nothing():
    assert check_steps(branching, {"h": lambda h: 2 * h}, at=2.0).verdict == "agrees"
    assert check_steps(branching, {"h": lambda h: 3 * h}, at=2.0).verdict == "disagrees"
    report = check_gradient(branching, "6 * h", at=2.0)
    assert report.verdict == "agrees"
    assert any("asks for h" in remark and "random point" in remark for remark in report.remarks)
    assert check_gradient(branching, "7 * h", at=2.0).verdict == "disagrees"
    with pytest.raises(TypeError, match="asks for k"):
        check_gradient(branching, "6 * k", at=2.0)


def test_a_function_that_draws_random_numbers_is_called_often_and_that_is_said():
    def dropped(rate):
        return lambda x: np.sum(x * x * (np.random.random(3) >= rate))

    at = np.array([1.0, 2.0, 3.0])
    assert check_gradient(dropped(0.02), lambda x: 2 * x, at=at).verdict == "inconclusive"
    report = check_gradient(dropped(0.0), lambda x: 2 * x, at=at)
    assert report.verdict == "agrees"
    assert any("called 103 times" in remark for remark in report.remarks)
