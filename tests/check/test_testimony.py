"""What is known of a derivative at a point before any claim: its truth, its sides, and who says so."""

import itertools
import math
import random
from dataclasses import replace

import numpy as np
import pytest

import autograd_mini as am
from autograd_mini.check.subjects.subject import subject_of
from autograd_mini.check.witnesses.differences import differences
from autograd_mini.check.witnesses.recorded import Recorded
from autograd_mini.check.witnesses.testimony import CONTRADICTION, RANDOM, heard_at
from autograd_mini.value import as_operand

U = 2.0**-53


def heard(f, at, number=0, **options):
    """The testimony on f at a point."""
    subject = subject_of(f, dict.fromkeys(at, 0.0) if isinstance(at, dict) else 0.0, at, None, None)
    return heard_at(subject, subject.arguments, subject.start_output, 0, number, **options)


def unfollowed(f):
    """f on floats alone."""

    def on_floats(x):
        if np.asarray(x).dtype == object or isinstance(x, am.Value):
            raise TypeError("floats only")
        return f(x)

    return on_floats


def recorded_of(f, x):
    nodes = am.values(np.array(x, dtype=float))
    return Recorded.of([*np.ravel(f(nodes))], [*nodes])


# --- the graph --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hidden", "trouble"), [(0.98e-6, ""), (1.02e-6, CONTRADICTION), (1.0, CONTRADICTION)]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_derivative_that_f_detaches_contradicts_its_values_beyond_a_millionth(hidden, trouble, sign):
    assert heard(lambda x: x + sign * hidden * am.detach(x), 3.0).trouble == trouble


def test_what_is_detached_is_set_beside_all_the_terms():
    """A change of 2e-6 of one term is no millionth of it and of one a hundred times as large."""

    def f(x):
        return x[0] + 2e-6 * am.detach(x[0]) + 100 * x[1]

    assert heard(f, [3.0, 3.0]).trouble == ""
    assert heard(lambda x: x[0] + 2e-6 * am.detach(x[0]) + 0.01 * x[1], [3.0, 3.0]).trouble == CONTRADICTION


def test_a_contradiction_is_looked_for_at_the_given_point_and_away_from_kinks_only():
    def f(x):
        return x * am.detach(x)

    assert heard(f, 3.0).trouble == CONTRADICTION
    assert heard(f, 3.0, number=1).trouble == ""
    assert heard(lambda x: f(x) + am.relu(x - 3), 3.0).trouble == ""


@pytest.mark.parametrize("steep", [1e25, 1e26, 2e26, 3e26])
def test_what_quotients_leave_out_contradicts_nothing(steep):
    testimony = heard(lambda x: am.sin(steep * x), 3.0)
    assert testimony.trouble == ""
    assert testimony.exact


@pytest.mark.parametrize("at", [3.0, 1e-160, 5e-324])
@pytest.mark.parametrize("large", [0.0, 1.0, 1e80, 1e200])
def test_what_a_constant_takes_from_quotients_contradicts_nothing(at, large):
    assert heard(lambda x: x + large, at).trouble == ""
    assert heard(lambda x: x + am.detach(x) + large, at).trouble == CONTRADICTION


@pytest.mark.parametrize("f", [np.floor, np.ceil, lambda x: x - np.floor(x), lambda x: np.ceil(x) * x])
def test_on_one_side_of_a_jump_values_and_derivatives_are_those_of_each_other(f):
    assert heard(f, 1.0).trouble == ""


@pytest.mark.parametrize("at", [[3e-160, 4e-160], [3e-160, 0.0], [0.0, -1e-300]])
def test_steps_go_with_the_size_of_a_point_that_is_tiny(at):
    testimony = heard(lambda x: am.hypot(x[0], x[1]), at)
    assert testimony.trouble == ""
    np.testing.assert_allclose(testimony.truth, [np.array(at) / np.hypot(*at)], rtol=1e-15)


@pytest.mark.parametrize("scale", [1e40, 1e60, 1e170, 1e300])
def test_a_derivative_is_told_beside_terms_that_are_larger_by_as_many_digits_as_there_are(scale):
    assert heard(lambda x: (scale * x + x) - scale * x, 3.0).truth == 1
    assert heard(lambda x: scale * x - scale * x, 3.0).truth == 0


def test_truth_is_told_at_many_digits_at_the_first_two_points_alone():
    for number, exact in (0, True), (1, True), (2, False):
        testimony = heard(lambda x: am.sin(x), 30.0, number=number)
        assert testimony.exact == exact
        assert (testimony.error == (0 if exact else testimony.bound)).all()
        sharp = testimony.sharpened()
        assert sharp.exact
        assert sharp.truth == math.cos(30.0)
        assert sharp.error == 0
        assert sharp.bound == testimony.bound > 0


def test_many_digits_of_very_many_sweeps_are_not_asked():
    testimony = heard(lambda x: am.sin(x), 30.0, number=2)
    many = replace(testimony, seeds=[*testimony.seeds] * 600_001)
    assert many.sharpened() is many


def test_witnesses_are_those_that_were_asked():
    moved, differences = "{medium} next to the point", "differences of {medium}"
    assert heard(lambda x: 2 * x, 1.0).witnesses == ("the engine", "f at 50 digits", moved)
    assert heard(lambda x: 2 * x, 1.0, number=2).witnesses == ("the engine", moved)
    assert heard(unfollowed(lambda x: 2 * x), 1.0).witnesses == (differences,)
    x = am.Value(2.0, label="x")
    graph = subject_of(x * x, {"x": 4.0}, None, None, None)
    testimony = heard_at(graph, graph.arguments, graph.start_output, 0, 0)
    assert testimony.witnesses == ("the engine", "f at 50 digits")


def test_the_truth_sways_as_far_as_its_leaves_are_rounded():
    """∂(a sin(k x)) = a k cos(k x), which x(1 ± u) moves by k x u of a k."""
    k, x = 1e12, 0.7
    testimony = heard(lambda x: am.sin(k * x) / k, x)
    expected = abs(math.sin(k * x)) * k * x * U
    assert testimony.sways().item() == pytest.approx(expected, rel=1e-2)
    assert heard(lambda x: 3 * x, x).sways() == 0
    assert heard(unfollowed(lambda x: 3 * x), x).sways() == 0


def test_of_a_name_the_testimony_is_its_columns():
    testimony = heard(lambda x, y: x[0] * y + x[1], {"x": [1.0, 2.0], "y": 3.0})
    for name, truth, size in ("x", [[3.0, 1.0]], 2), ("y", [[1.0]], 1):
        own = testimony.about(name)
        assert own.truth.tolist() == truth
        assert [column[0] for column in own.probe.columns] == [name] * size
        assert own.sharpened().recorded.bounded(own.seeds)[1].tolist() == truth
    silent = testimony.silent("z", (2, 2))
    assert np.isnan(silent.truth).all()
    assert silent.truth.shape == (1, 4)
    assert silent.open.all()
    assert testimony.given(2 * testimony.truth).truth.tolist() == [[6.0, 2.0, 2.0]]


# --- kinks ------------------------------------------------------------------------------------------


def test_one_sided_derivatives_differ_on_a_kink_and_only_there():
    testimony = heard(lambda x: am.relu(x[0]) + 3 * x[1] + am.abs(x[2]), [0.0, 1.0, 0.0])
    assert testimony.open.tolist() == [[True, False, True]]
    np.testing.assert_array_equal(testimony.left, [[0, np.nan, -1]])
    np.testing.assert_array_equal(testimony.right, [[1, np.nan, 1]])
    assert set(testimony.kinks) == {"relu(x0 = 0)", "abs(x2 = 0)"}
    tied = heard(lambda x, y: am.maximum(x, y), {"x": 2.0, "y": 2.0})
    assert tied.kinks == ("maximum(x = 2, y = 2)",)


def test_a_kink_is_seen_wherever_it_lies():
    for at in 1.0, 1e-3, 1e6, 1e-200:
        assert heard(lambda x, at=at: am.abs(x - at), at).open.all()


@pytest.mark.parametrize("f", [lambda x: am.relu(x) ** 2, lambda x: am.relu(x) * x, lambda x: am.abs(x) ** 3])
def test_a_function_whose_slope_alone_has_a_kink_has_a_derivative(f):
    testimony = heard(f, 0.0)
    assert not testimony.open.any()
    assert testimony.truth == 0
    assert testimony.kinks


def test_a_derivative_that_is_continuous_beside_one_that_jumps():
    testimony = heard(lambda x: x[0] * x[1] + am.relu(x[1]), [2.0, 0.0])
    assert testimony.open.tolist() == [[False, True]]
    np.testing.assert_array_equal(testimony.left, [[np.nan, 2]])
    np.testing.assert_array_equal(testimony.right, [[np.nan, 3]])


def test_a_kink_that_floats_do_not_tell_from_the_point_is_one():
    near = heard(lambda x: am.relu(x * 0.1 - 0.3), 3.0)  # 0.1 · 3 is rounded
    assert near.open.all()
    assert near.kinks
    assert (near.left, near.right) == (near.truth, near.truth)
    away = heard(lambda x: am.relu(x * 0.1 - 0.3), 3.0 + 1e-14)
    assert not away.open.any()
    assert away.kinks == ()


def test_across_a_near_kink_a_derivative_jumps_by_more_than_a_millionth_or_what_it_loses():
    def f(x, jump, lost=0.0):
        return x * (lost + 1) - lost * x + jump * am.relu(x * 0.1 - 0.3)

    assert not heard(lambda x: f(x, 8e-6), 3.0).open.any()
    assert heard(lambda x: f(x, 12e-6), 3.0).open.all()
    assert not heard(lambda x: f(x, 0, 1e14), 3.0).open.any()
    assert heard(lambda x: f(x, 0.5, 1e14), 3.0).open.all()


def test_arguments_that_do_not_move_have_no_kink():
    def ties(f):
        recorded = recorded_of(f, [1.0])
        values, *_ = recorded.bounded(recorded.seeds())
        return list(values.ties())

    assert ties(lambda x: x[0] * am.relu(as_operand(0.0))) == []
    assert ties(lambda x: x[0] * am.exp(x[0]) ** 0.0) == []
    assert ties(lambda x: x[0] * 2.0 * am.relu(as_operand(0.0))) == []
    assert ties(lambda x: x[0] * am.relu(as_operand(0.0)) + am.maximum(x[0], 1.0)) == ["maximum(1, 1)"]


def huber(x):
    return np.sum(np.where(np.abs(x) < 1, x * x / 2, np.abs(x) - 0.5))


@pytest.mark.parametrize(
    ("f", "slope", "at"),
    [
        (huber, lambda x: np.clip(x, -1, 1), [0.3, 1.7, 1.0, -1.0]),
        (lambda x: np.sum(np.where(x > 0, x, np.expm1(x))), lambda x: np.exp(np.minimum(x, 0)), [0.3, 0, -1]),
        (lambda x: np.sum(np.where(x < 1, 3 * x**2 - 2 * x**3, 1.0)), lambda x: 6 * x * (1 - x), [0.5, 1.0]),
        (lambda x: x[0] * x[1] if x[0] < 2 else 2 * x[1] + x[1] * (x[0] - 2), lambda x: x[::-1], [2.0, 5.0]),
        (
            lambda x: [huber(x), huber(2 * x)],
            lambda x: [np.clip(x, -1, 1), 2 * np.clip(2 * x, -1, 1)],
            [0.5, 1],
        ),
    ],
)
def test_where_two_branches_of_f_meet_in_one_slope_that_is_the_derivative(f, slope, at):
    testimony = heard(f, at)
    assert not testimony.open.any()
    assert (testimony.unseen == 0).all()
    np.testing.assert_allclose(testimony.truth, np.atleast_2d(slope(np.array(at))), rtol=1e-14, atol=1e-14)


def test_where_two_branches_meet_in_a_kink_both_slopes_are_told():
    def f(x):
        return np.sum(np.where(x > 0, x * x + 3 * x, 0.5 * x)) + x[0] * x[1]

    testimony = heard(f, [0.0, 2.0])
    assert testimony.open.tolist() == [[True, False]]
    assert testimony.left.tolist()[0][0] == 2.5
    assert testimony.right.tolist()[0][0] == pytest.approx(5, rel=1e-15)
    assert np.isnan([testimony.left[0, 1], testimony.right[0, 1]]).all()


@pytest.mark.parametrize("jump", [1e-9, 1.0])
def test_where_f_jumps_it_has_no_derivative_though_its_slopes_are_one(jump):
    report = am.check_gradient(lambda x: x + jump if x > 0 else x, 1.0, at=0.0)
    assert report.verdict == "inconclusive"
    assert "f jumps or ends here: one-sided 1 and nan" in report.reason


# --- the function itself ----------------------------------------------------------------------------


def test_a_function_that_draws_is_random_and_one_that_repeats_is_not():
    random = np.random.default_rng(0)
    assert heard(lambda x: x + random.random(), 1.0).trouble == RANDOM
    steady = heard(lambda x: x + 1e-12 * random.random(), 1.0)  # beyond what rounding makes of 1, or a sum
    assert steady.trouble in ("", RANDOM)
    assert heard(lambda x: x + 3.0, 1.0).trouble == ""
    assert heard(unfollowed(lambda x: x + random.random()), 1.0).trouble == RANDOM
    assert heard(unfollowed(lambda x: x / 0.0 if x else x), np.float64(0.0)).trouble == ""


@pytest.mark.parametrize(("by", "trouble"), [(1.5e-12, ""), (3e-12, RANDOM)])
def test_a_function_repeats_within_ten_thousand_units_of_its_last_digit(by, trouble):
    turn = itertools.cycle([0.0, by])
    assert heard(unfollowed(lambda x: x * (1 + next(turn))), 1.0).trouble == trouble


def test_what_stopped_the_engine_is_said_in_one_line():
    def f(x):
        if isinstance(x, am.Value):
            raise TypeError("floats only\nand more")
        return 2.0 * x

    assert heard(f, 1.0).remarks == ("the engine could not follow: TypeError: floats only",)


def test_an_output_that_is_weighted_twice_has_the_sum_of_its_weights():
    recorded = recorded_of(lambda x: [x[0], x[1], x[0]], [1.0, 2.0])
    seeds = recorded.seeds(np.array([[2.0, 0.0, 3.0], [0.0, 1.0, 0.0]]))
    np.testing.assert_array_equal(recorded.bounded(seeds)[1], [[5.0, 0.0], [0.0, 1.0]])


@pytest.mark.parametrize("number", [0, 1])
def test_a_graph_whose_numbers_are_not_those_of_f_is_not_f(number):
    def f(x, by):
        return x * (1 + by * U if not isinstance(x, am.Value) else 1.0)

    assert heard(lambda x: f(x, 6), 1.0, number=number).followed
    other = heard(lambda x: f(x, 60), 1.0, number=number)
    assert not other.followed
    assert any("on Values f is another function" in remark for remark in other.remarks)
    assert other.truth == pytest.approx(1.0)


def test_what_rounding_hides_is_known_of_each_derivative():
    """That of x₀ is seen; x₁ does not enter, and steps of 1/64 tell that; x₂ takes the longest steps."""
    testimony = heard(lambda x: x[0] + 0 * x[1] + 1e-30 * x[2], [1.0, 1.0, 1.0])
    np.testing.assert_allclose(testimony.unseen, [[0, 32 * U * 64, 32 * U / 4096]], rtol=0.5)
    assert (heard(lambda x: x[0] + 0 * x[1], [1.0, 1.0], number=1).unseen == 0).all()


def test_numbers_of_f_in_float32_are_those_of_its_graph_so_far_as_float32_tells():
    testimony = heard(lambda x: x * 1.1 if isinstance(x, am.Value) else np.float32(x * 1.1), 0.7)
    assert testimony.followed
    assert testimony.coarse == 2.0**29


def test_numbers_of_f_that_are_infinite_are_those_of_its_graph():
    assert heard(lambda x: x * 1e308 * 1e10, 1.0).followed


def test_only_what_leaves_the_domain_on_values_may_be_at_a_pole():
    def raising(error):
        def f(x):
            if isinstance(x, am.Value):
                raise error
            return x * 2.0

        return f

    assert heard(raising(ZeroDivisionError("no")), 1.0).at_pole
    assert not heard(raising(TypeError("no")), 1.0).at_pole
    assert heard(lambda x: am.sqrt(x), 0.0).at_pole
    assert not heard(lambda x: am.sqrt(x), 1.0).at_pole
    assert heard(lambda x: am.sqrt(am.relu(x)), -1.0).at_pole


# --- differences ------------------------------------------------------------------------------------


def test_differences_are_the_truth_where_f_cannot_be_followed():
    testimony = heard(unfollowed(lambda x: x**3 * 1.0), 2.0)
    assert not testimony.followed
    assert not testimony.exact
    for told in (testimony.truth, testimony.differences, testimony.left, testimony.right):
        assert told.item() == pytest.approx(12, abs=1e-6)
    assert not testimony.open.any()
    assert 0 < testimony.error.item() < 1e-6
    assert np.isnan(testimony.engine).all()
    assert (testimony.bound == 0).all()
    assert (testimony.unseen == 0).all()


@pytest.mark.parametrize(
    "f", [lambda x: np.sin(x) * 1e-3 + 1.0, lambda x: x**3, lambda x: np.exp(5 * x), np.tanh]
)
def test_differences_are_as_sure_as_the_central_one_and_ten_times_as_sure_as_its_sides(f):
    limits = differences(lambda x: np.atleast_1d(f(x)), np.array([2.0]), np.atleast_1d(f(np.array([2.0]))))
    central, left, right = (limit.error.item() for limit in limits)
    assert heard(unfollowed(f), 2.0).error.item() == max(central, left / 10, right / 10)


@pytest.mark.parametrize("scale", [1.0, 1e-12])
def test_differences_that_do_not_settle_to_one_number_are_open(scale):
    def oscillating(x):  # its quotients at 0 are sin(3 ln h)
        with np.errstate(all="ignore"):
            return scale * np.nan_to_num(x * np.sin(3 * np.log(np.abs(x))))

    assert heard(unfollowed(lambda x: scale * np.abs(x)), 0.0).open.all()
    assert heard(unfollowed(oscillating), 0.0).open.all()
    assert not heard(unfollowed(lambda x: scale * np.sin(x)), 0.1).open.any()


def test_differences_of_every_output_settle_by_themselves():
    testimony = heard(unfollowed(lambda x: np.array([1e6 * x[0], np.sin(x[1])])), [1.0, 0.5])
    assert not testimony.open.any()
    np.testing.assert_allclose(testimony.truth, [[1e6, 0], [0, math.cos(0.5)]], rtol=1e-8, atol=1e-6)


def test_a_derivative_of_zero_settles_beside_one_that_is_not():
    testimony = heard(unfollowed(lambda x: np.sin(x[0]) + 1e-9 * np.cos(1e3 * x[1])), [0.5, 0.0])
    assert not testimony.open.any()
    assert testimony.truth[0, 1] == pytest.approx(0, abs=1e-7)


def test_a_function_that_is_zero_everywhere_has_the_derivative_zero():
    testimony = heard(unfollowed(lambda x: 0.0 * x), 1.0)
    assert testimony.truth == 0
    assert testimony.error == 0
    assert not testimony.open.any()


def test_at_the_edge_of_a_domain_one_side_speaks_and_the_entry_is_open():
    testimony = heard(unfollowed(lambda x: np.sqrt(x) ** 3), 0.0)
    assert testimony.open.all()
    assert np.isfinite(testimony.right).all()
    assert np.isnan(testimony.left).all()
    assert testimony.truth == testimony.right


class _Dropout:
    """A layer that seldom drops what it is given, with a generator of its own."""

    def __init__(self, random):
        self.random = random

    def __call__(self, x):
        return np.sum(x * x) * _kept(self.random)


def _kept(random):
    return 1.0 if random.random() < 0.97 else 2.0


def _seldom(make):
    """A generator whose first draws drop nothing, and soon some that do."""
    for seed in range(999):
        draws = [_kept(random) for random in [make(seed)] for _ in range(90)]
        if draws[:30] == [1.0] * 30 and 2.0 in draws:
            return make(seed)


@pytest.mark.parametrize("make", [np.random.default_rng, np.random.RandomState, random.Random])
@pytest.mark.parametrize("held", ["variable", "attribute", "default", "in a list", "below"])
def test_rare_draws_from_a_generator_of_ones_own_are_noticed(make, held):
    own = _seldom(make)
    layer, several = _Dropout(own), [own]

    def from_default(x, random=own):
        return _Dropout(random)(x)

    f = {
        "variable": lambda x: np.sum(x * x) * _kept(own),
        "attribute": layer.__call__,
        "default": from_default,
        "in a list": lambda x: np.sum(x * x) * _kept(several[0]),
        "below": lambda x: layer(x),
    }[held]
    report = am.check_gradient(f, lambda x: 2 * x, at={"x": np.array([1.0, 2.0])}, points=0, diagnosis=0.0)
    assert report.verdict == "inconclusive"
    assert RANDOM in report.reason


def test_a_generator_that_nobody_draws_from_is_not_held_against_f():
    own = np.random.default_rng(0)
    noise = own.normal(size=2)

    def f(x):
        return np.sum((x - noise) ** 2) if own is not None else None

    report = am.check_gradient(f, lambda x: 2 * (x - noise), at={"x": [1.0, 2.0]})
    assert report.verdict == "agrees"
    assert not report.remarks
