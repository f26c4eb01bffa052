"""What f's own changes say of its graph: where it is moved, and what that shows, hides and refutes."""

import numpy as np
import pytest

import autograd_mini as am
from autograd_mini.check.witnesses.links import SLACK, linked
from autograd_mini.check.witnesses.recorded import Recorded

U = 2.0**-53


def link_of(graph, x, f=None, coarse=1.0, near=False):
    """How the graph of one function and another on floats are linked at x; how far from it f was asked."""
    x = np.array(x, dtype=float)
    nodes = am.values(x)
    recorded = Recorded.of([*np.ravel(graph(nodes))], [*nodes])
    values, truth, _ = recorded.bounded(recorded.seeds())
    asked = []

    def function(point):
        asked.append(point - x)
        with np.errstate(all="ignore"):
            return np.ravel(np.asarray((f or graph)(point), dtype=float))

    link = linked(recorded, function, x, truth, coarse, values.outputs[1] if near else None)
    return link, np.array(asked)


def test_a_function_that_is_seen_to_move_with_its_graph_is_asked_once_on_each_side_of_every_axis():
    link, asked = link_of(lambda x: x[0] * x[1], [3.0, -0.5])
    assert (link.unseen == 0).all()
    assert not link.refuted
    assert not link.border.any()
    step = 2.0**-6
    wanted = [[0, 0], [3 * step, 0], [0, step], [-3 * step, 0], [0, -step]]
    np.testing.assert_array_equal(asked, wanted)


@pytest.mark.parametrize(("width", "steps"), [(2.0**-7, 2), (2.0**-12, 3), (2.0**-3, 1)])
def test_steps_are_shorter_where_the_domain_is(width, steps):
    """The longer ones leave it at both ends, where f and graph have no number."""

    def f(x):
        return am.log(width - (x[0] - 5.0)) + am.log(width + (x[0] - 5.0))

    link, asked = link_of(
        f, [5.0 + width / 8], lambda x: np.log(width - (x[0] - 5.0)) + np.log(width + (x[0] - 5.0))
    )
    assert (link.unseen == 0).all()
    assert not link.refuted
    assert not link.border.any()
    x = 5.0 + width / 8
    wanted = [x * 2.0**-6, x * 2.0**-10, x * 2.0**-20][:steps]
    np.testing.assert_allclose(np.max(abs(asked), axis=1)[1::3], wanted, rtol=1e-6)


@pytest.mark.parametrize("more", [0.0, 0.5])
def test_an_output_that_leaves_its_domain_is_asked_at_shorter_steps_whatever_the_others_tell(more):
    def outputs(x, log, more=0.0):
        return [log(2.0**-7 - (x[0] - 5)) + log(2.0**-7 + (x[0] - 5)) + more * x[0], 2 * x[0]]

    link, asked = link_of(lambda x: outputs(x, am.log), [5.001], lambda x: outputs(x, np.log, more))
    assert link.refuted == bool(more)
    assert (link.unseen[1] == 0).all()
    assert link.unseen[0] == (np.inf if more else 0)
    assert len(asked) == (9 if more else 6)


def test_an_output_that_is_infinite_on_floats_as_in_its_graph_says_nothing_of_another():
    link, _ = link_of(lambda x: [x[0] * 1e308 * 1e10, 2 * x[0]], [5.0])
    assert link.unseen[1] == 0
    assert not link.refuted


def test_where_f_alone_has_no_number_it_tells_nothing():
    link, asked = link_of(
        lambda x: 3 * x[0], [1.0], lambda x: np.where(abs(x[0] - 1) > 2.0**-8, np.nan, 3 * x[0])
    )
    np.testing.assert_array_equal(np.unique(abs(asked)), [0, 2.0**-10, 2.0**-6])
    assert link.unseen == 0
    assert not link.refuted


def test_a_change_is_seen_where_the_derivative_is_zero():
    link, asked = link_of(lambda x: 1 + x[0] ** 2, [0.0])
    assert link.unseen == 0
    assert len(asked) == 3


def test_at_the_edge_of_a_domain_one_side_is_enough():
    link, asked = link_of(lambda x: am.log(x[0]) + x[1], [2.0**-8, 1.0], lambda x: np.log(x[0]) + x[1])
    assert (link.unseen == 0).all()
    assert not link.refuted
    assert not link.border.any()
    assert len(asked) == 5


def test_at_zero_a_short_step_is_as_from_a_thousandth():
    link, asked = link_of(lambda x: 3 * x[0], [0.0], lambda x: 3 * x[0] + (abs(x[0]) > 2.0**-19))
    np.testing.assert_array_equal(np.unique(abs(asked)), [0, 2.0**-20, 2.0**-6])
    assert not link.refuted


def test_a_function_that_moves_otherwise_on_both_sides_is_another():
    assert link_of(lambda x: x[0] + x[1], [1.0, 2.0], lambda x: x[0] + 1.001 * x[1])[0].refuted
    assert link_of(lambda x: 2 * x, [1.0, 2.0], lambda x: x * [2.0, 3.0])[0].refuted
    assert link_of(lambda x: x[0] * 0 + 1, [3.0], lambda x: 1e-9 * x[0])[0].refuted
    assert not link_of(lambda x: x[0] + x[1], [1.0, 2.0], lambda x: (x[0] + x[1]) * (1 + 4 * U))[0].refuted


def test_a_constant_beside_its_graph_is_none_of_a_derivatives_business():
    link, _ = link_of(lambda x: 2 * x[0], [1.0], lambda x: 2 * x[0] + 0.5)
    assert (link.unseen == 0).all()
    assert not link.refuted


def test_a_branch_at_the_point_is_the_border_of_its_input_alone():
    link, _ = link_of(lambda x: x[0] + x[1], [1.0, 0.0], lambda x: x[0] + np.where(x[1] < 0, 2 * x[1], x[1]))
    assert not link.refuted
    assert link.border.tolist() == [False, True]
    assert link.unseen[0, 0] == 0


def test_what_rounding_hides_is_what_it_may_make_of_the_longest_step():
    """Eight times the rounding of f = 1, once for f and once for its graph, at both ends."""
    link, asked = link_of(lambda x: x[0] + 1e-30 * x[1], [1.0, 1.0])
    assert link.unseen[0, 0] == 0
    assert link.unseen[0, 1] == pytest.approx(8 * 4 * U / 4096, rel=1e-6)
    np.testing.assert_array_equal(np.unique(abs(asked[:, 1])), [0, 2.0**-6, 64, 4096])
    assert (asked[:, 0][abs(asked[:, 1]) > 0] == 0).all()
    coarse, _ = link_of(lambda x: x[0] + 1e-30 * x[1], [1.0, 1.0], coarse=2.0**20)
    assert coarse.unseen[0, 1] == pytest.approx(2.0**20 * 8 * 4 * U / 4096, rel=1e-6)


@pytest.mark.parametrize(
    ("slope", "reach"), [(1602 * U * 64, 2.0**-6), (1598 * U * 64, 64), (1598 * U / 64, 4096)]
)
def test_a_change_of_a_hundred_roundings_is_seen(slope, reach):
    link, asked = link_of(lambda x: x[0] + slope * (x[1] - 1), [1.0, 1.0])  # no sum is rounded
    assert (link.unseen == 0).all()
    assert np.max(abs(asked)) == reach


def test_the_longest_steps_go_with_the_size_of_an_input():
    link, asked = link_of(lambda x: x[0] + 1e-30 * x[1], [1.0, 8.0])
    np.testing.assert_array_equal(np.unique(abs(asked[:, 1])), [0, 2.0**-3, 8 * 64, 8 * 4096])
    assert link.unseen[0, 1] == pytest.approx(8 * 4 * U / (8 * 4096), rel=1e-6)


def test_an_input_that_is_seen_is_not_asked_again_for_the_sake_of_another():
    """The longest step takes the second out of the domain on both sides."""

    def f(x):
        return x[0] + am.log(2.0**-7 - x[1] + 5) + am.log(2.0**-7 + x[1] - 5)

    def on_floats(x):
        return x[0] + np.log(2.0**-7 - x[1] + 5) + np.log(2.0**-7 + x[1] - 5)

    link, asked = link_of(f, [1.0, 5.001], on_floats)
    assert (link.unseen == 0).all()
    np.testing.assert_array_equal(np.unique(abs(asked[:, 0])), [0, 2.0**-6])
    assert len(np.unique(abs(asked[:, 1]))) > 2


def test_a_derivative_of_zero_that_is_hidden_is_not_looked_for_farther_away():
    link, asked = link_of(lambda x: x[0] + 0 * x[1], [1.0, 1.0])
    assert np.max(abs(asked)) == 2.0**-6
    assert link.unseen[0, 1] == pytest.approx(8 * 4 * U * 64, rel=1e-6)


@pytest.mark.parametrize("side", [1, -1])
def test_a_derivative_that_a_longer_step_betrays_and_a_shorter_one_hides_may_be_lost(side):
    def f(x):
        return x[0] + side * 1e-12 * x[1]

    assert np.isinf(link_of(lambda x: x[0] + 0 * x[1], [1.0, 1.0], f)[0].unseen).tolist() == [[False, True]]
    graph = link_of(lambda x: x[0] + 1e-12 * x[1], [1.0, 1.0], lambda x: x[0])[0]
    assert np.isinf(graph.unseen).tolist() == [[False, True]]


@pytest.mark.parametrize("column", range(3))
@pytest.mark.parametrize("side", [1, -1])
def test_one_side_of_one_input_betrays_its_derivative_alone(column, side):
    def f(x):
        return np.sum(x[:3]) + 1e-12 * np.maximum(0.0, side * (x[column + 3] - 1))

    link, _ = link_of(lambda x: np.sum(x[:3]) + 0 * x[3] + 0 * x[4] + 0 * x[5], np.ones(6), f)
    assert np.isinf(link.unseen).tolist() == [[i == column + 3 for i in range(6)]]
    assert not link.refuted
    assert not link.border.any()


def test_a_branch_far_away_betrays_no_derivative_here():
    link, _ = link_of(lambda x: 2 * x[0], [1.0], lambda x: 2 * x[0] + 5 * (abs(x[0] - 1) > 2.0**-8))
    assert (link.unseen == 0).all()
    assert not link.refuted
    assert not link.border.any()


def test_an_output_that_is_betrayed_far_away_casts_no_doubt_on_another():
    """The other is rounded otherwise than in its graph, and no more than that."""
    tenth = 0.1

    def f(x):
        return np.array([x[0] + 1e-12 * x[1], 0.7 * x[0] + (x[1] * tenth) * 3.0])

    link, _ = link_of(lambda x: [x[0] + 0 * x[1], 0.7 * x[0] + x[1] * (tenth * 3.0)], [1.0, 1.3], f)
    np.testing.assert_array_equal(np.isinf(link.unseen), [[False, True], [False, False]])


def test_other_points_are_only_looked_at_next_to_them():
    link, asked = link_of(lambda x: np.sum(x), [3.0, 0.0, -0.25, *np.ones(9)], near=True)
    assert not link.refuted
    assert len(asked) == 3
    np.testing.assert_array_equal(asked[1], -asked[2])
    np.testing.assert_array_equal(abs(asked[1]) * 2.0**20, [3, 2.0**-10, 0.25, *np.ones(9)])
    assert len(set(np.sign(asked[1]))) == 2
    other, _ = link_of(lambda x: x[0] + x[1], [3.0, 1.0], lambda x: 1.001 * x[0] + x[1], near=True)
    assert other.refuted


def test_bounds_at_a_point_hold_next_to_it_but_for_what_the_slack_covers():
    """At most, an intermediate lies just below a power of two here, and just above it there."""
    generator = np.random.default_rng(0)
    for _ in range(20):
        x = generator.normal(size=3)
        nodes = am.values(x)
        outputs = [am.exp(nodes[0] * nodes[1]) - nodes[2] / nodes[0], am.sin(nodes @ nodes) * nodes[1] - 3]
        recorded = Recorded.of(outputs, [*nodes])
        values, _, _ = recorded.bounded(recorded.seeds())
        here = values.outputs[1]
        _, there = recorded.moved(x * (1 + 2.0**-20 * generator.uniform(-1, 1, (8, 3))))
        numbers, near = recorded.moved(x[None], here)
        np.testing.assert_array_equal(near, [here])
        np.testing.assert_allclose(numbers, [values.outputs[0]], rtol=1e-14)
        assert (there <= (SLACK / 4) * here).all()


def test_of_many_inputs_those_of_like_effect_move_together():
    slopes = np.random.default_rng(0).permutation(512) + 1.0
    at = np.where(np.arange(512) % 3 == 0, 4.0, 0.5)
    link, asked = link_of(lambda x: np.sum(slopes * x), at)
    assert (link.unseen == 0).all()
    assert len(asked) == 1 + 2 * 256
    rank = np.argsort(np.argsort(slopes * np.maximum(1.0, at), kind="stable"), kind="stable")
    moved = [np.flatnonzero(step) for step in asked[1:257]]
    effects = np.sort(slopes * np.maximum(1.0, at))
    assert [sorted(effects[rank[group]]) for group in moved] == effects.reshape(256, 2).tolist()
    assert all(
        (abs(step[group]) == 2.0**-6 * np.maximum(1.0, at[group])).all()
        for step, group in zip(asked[1:], moved, strict=False)
    )
    signs = np.concatenate([np.sign(step[group]) for step, group in zip(asked[1:], moved, strict=False)])
    assert 100 < (signs > 0).sum() < 412  # at random, or two of like effect might cancel
    _, single = link_of(lambda x: np.sum(x), np.ones(256))
    assert len(single) == 1 + 2 * 256
    assert (single >= 0).all(axis=1)[1:257].all()
    faint, again = link_of(lambda x: 1 + 1e-13 * np.sum(x[:2]) + np.sum(x[2:]), np.zeros(257))
    assert (faint.unseen == 0).all()
    assert np.max(abs(again)) == 64
