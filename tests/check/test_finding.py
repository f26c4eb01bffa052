"""What was found at one point: what is compared, what is said of it, and what is kept."""

import math
import pickle

import numpy as np
import pytest

import autograd_mini as am
from autograd_mini import check_gradient
from autograd_mini.check.judgement.finding import Entry, program_of


def test_the_truth_of_an_entry_is_what_is_known_best():
    def truth(**known):
        entry = Entry("x", (), (), 0, 1.0, math.nan, math.nan, math.nan, math.nan, 0.0, "agrees")
        return entry._replace(**known).truth

    assert truth(precise=3.0, engine=2.0, witness=1.0) == 3
    assert truth(engine=2.0, witness=1.0) == 2
    assert truth(witness=1.0) == 1
    assert math.isnan(truth())


@pytest.mark.parametrize(
    ("kind", "said"),
    [(np.float32, ["float32", "1.2e-07"]), (np.float16, ["float16", "9.8e-04"]), (np.float64, [])],
)
def test_a_result_of_fewer_digits_than_a_double_is_said_to_be_one(kind, said):
    report = check_gradient(lambda x: 2 * x, kind(2.0), at=3.0)
    [remarks] = [[x for x in report.remarks if "held to what that resolves" in x]]
    assert len(remarks) == bool(said)
    assert all(word in remark for remark in remarks for word in said)


def test_a_result_that_fails_is_held_to_nothing():
    report = check_gradient(lambda x: 2 * x, lambda x: [][1], at=3.0)
    assert report.verdict == "disagrees"
    assert not any("held to" in remark for remark in report.remarks)


@pytest.mark.parametrize(("count", "more"), [(1, False), (3, False), (4, True)])
def test_three_kinks_are_named(count, more):
    report = check_gradient(lambda x: np.sum(am.relu(x)), np.ones(count), at=np.zeros(count), points=0)
    [note] = {entry.note.partition("(on a kink: ")[2] for entry in report.entries}
    assert note.count("relu(") == min(count, 3)
    assert note.endswith(", …)" if more else ")")
    assert ("…" in note) == more


def test_an_entry_beside_a_kink_has_no_note_of_it():
    report = check_gradient(lambda x: am.relu(x[0]) + x[1], np.ones(2), at=np.array([0.0, 1.0]), points=0)
    assert ["kink" in entry.note for entry in report.entries] == [True, False]


def test_a_report_is_sent_without_the_graph_and_what_the_user_gave():
    def f(x):
        return np.sum(np.sin(x))

    report = check_gradient(f, lambda x: np.cos(x), at=np.ones(3))
    found = pickle.loads(pickle.dumps(report)).findings
    assert len(found) == len(report.findings)
    for at in found:
        assert at.place.arguments == at.claims == {}
        for testimony in (at.testimony, at.judgement.testimony):
            assert testimony.recorded is None
            assert testimony.graph is None
            assert testimony.seeds == ()
    assert report.findings[0].testimony.recorded is not None


def test_what_fails_at_a_random_point_is_said_with_its_number():
    def hand(x):
        if x != 2.0:
            raise ValueError("out of ideas")
        return 6.0

    report = check_gradient(lambda x: 3 * x, lambda x: 3.0 if x == 2.0 else hand(x), at=2.0, points=2)
    assert report.verdict == "disagrees"
    assert "out of ideas (at random point 1)" in str(report)
    report = check_gradient(lambda x: 3 * x, lambda x: hand(1.0), at=2.0, points=0)
    assert "out of ideas" in str(report)
    assert "random point" not in report.reason


@pytest.mark.parametrize(("changes", "where"), [(True, " (at random point 1)"), (False, "")])
def test_a_result_that_is_none_for_some_argument_says_where(changes, where):
    def hand(x, y):
        return (y, x) if changes and x == 2.0 else {"x": y}

    at = {"x": 2.0, "y": 3.0}
    report = check_gradient(lambda x, y: x * y, hand, at=at, wrt=["x", "y"], points=2)
    assert report.verdict == "disagrees"
    assert report.reason == "the hand result has no derivative for y" + where


def test_a_result_that_holds_nan_names_the_first():
    def hand(x):
        return np.array([[0, 0], [np.nan, np.nan]]) + 2 * x

    report = check_gradient(lambda x: np.sum(x**2), hand, at=np.ones((2, 2)))
    assert "the hand result for x holds nan, first at (1, 0)" in str(report)
    assert report.verdict == "disagrees"


# --- the hand result's own program ------------------------------------------------------------------


def test_a_program_that_repeats_the_numbers_is_the_results_own():
    x = am.Value(0.1)
    three = x + x + x  # 0.30000000000000004
    program = program_of([three], np.array([[three.data]]))
    assert program.exact().item() == pytest.approx(0.3, rel=1e-15)
    assert 0 < program.bound.item() < 1e-15
    assert program_of([three], np.array([[0.3 * (1 + 0.9e-12)]])) is not None
    assert program_of([three], np.array([[0.3 * (1 + 2e-12)]])) is None
    assert program_of([three], np.array([[np.nan]])) is None
    assert program_of(["no number"], np.array([[0.0]])) is None


def test_a_program_whose_result_cancels_may_repeat_it_within_its_rounding():
    x = am.Value(1e8)
    node = (x + 0.1) - x
    bound = program_of([node], np.array([[node.data]])).bound.item()
    assert bound > 1e-9
    assert program_of([node], np.array([[node.data + 3.9 * bound]])) is not None
    assert program_of([node], np.array([[node.data + 4.1 * bound]])) is None


@pytest.mark.parametrize(("constant", "written"), [(0.123456, True), (0.1234567, False), (-0.123456, True)])
def test_a_program_accuses_by_constants_that_somebody_wrote(constant, written):
    node = am.Value(2.0) * constant
    assert program_of([node], np.array([[node.data]])).accuses == written
