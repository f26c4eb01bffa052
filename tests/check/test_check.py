"""The checker: right derivations agree, wrong ones disagree, and kinks and conflicts blame nobody."""

import math
import pydoc
from statistics import NormalDist

import numpy as np
import pytest

from autograd_mini import (
    Value,
    abs,
    check_backward,
    check_steps,
    cross_entropy,
    detach,
    less,
    maximum,
    minimum,
    named,
    relu,
    rules,
    softmax,
    sqrt,
    topological_order,
    values,
    where,
)
from autograd_mini.check import InconclusiveError, check_gradient, check_jacobian, check_value
from autograd_mini.check.witnesses.differences import differences

Z = [1.5, -0.5, 0.75]


def textbook_softmax(z):
    e = np.exp(z - np.max(z))
    return e / np.sum(e)


def softmax_jacobian(z):
    s = textbook_softmax(z)
    return np.diag(s) - np.outer(s, s)


# --- right and wrong ---


def test_a_right_jacobian_agrees_at_the_given_and_the_random_points():
    report = check_jacobian(textbook_softmax, softmax_jacobian, at=Z)
    assert report
    assert report.verdict == "agrees"
    assert report.points == 6
    assert len(report.entries) == 6 * 9
    assert report.worst.error < 1e-15
    assert report.witnesses == ("the engine", "f at 50 digits", "f on floats next to the point")
    report.raise_if_wrong()
    first = report.entries[1]
    assert (first.row, first.column, first.point) == ((0,), (1,), 0)
    s = textbook_softmax(np.array(Z))
    assert first.yours == pytest.approx(-s[0] * s[1])
    assert first.engine == pytest.approx(first.precise, rel=1e-14)


def test_a_wrong_entry_is_found_and_reported():
    def hand(z):
        jacobian = softmax_jacobian(z)
        jacobian[0, 2] *= -1
        return jacobian

    report = check_jacobian(textbook_softmax, hand, at=Z, out="S")
    assert not report
    assert {(e.row, e.column) for e in report.entries if e.verdict == "disagrees"} == {((0,), (2,))}
    assert report.worst.error == max(e.error for e in report.entries)
    assert "∂S[0]/∂z[2] at the given point" in report.reason
    with pytest.raises(AssertionError, match="disagrees") as failure:
        report.raise_if_wrong()
    assert str(failure.value) == str(report)


def test_an_error_of_one_in_a_hundred_thousand_is_found():
    assert check_gradient(lambda x: x**3, lambda x: 3.00003 * x**2, at=2.0).verdict == "disagrees"
    assert check_gradient(lambda x: x**3, lambda x: 3.00003 * x**2, at=2.0, rtol=1e-4)
    assert check_gradient(np.tanh, lambda x: 1 - np.tanh(x) ** 2, at=0.3)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_scale_does_not_matter(scale):
    assert check_gradient(lambda x: scale * x**2, lambda x: 2 * scale * x, at=1.0)
    assert check_gradient(lambda x: scale * x**2, lambda x: 0 * x, at=1.0).verdict == "disagrees"


def test_a_large_constant_makes_the_witness_coarse_and_not_wrong():
    assert check_gradient(lambda x: 1e10 + x, 1.0, at=1.0)
    assert check_gradient(lambda x: 1e10 + x, 1.1, at=1.0).verdict == "disagrees"


def test_printed_digits_agree_with_an_atol():
    assert check_gradient(lambda x: x**2, 2.8, at=math.sqrt(2)).verdict == "disagrees"
    assert check_gradient(lambda x: x**2, 2.8, at=math.sqrt(2), atol=0.05)


SMOOTH = [name for name in rules.table if name not in ("sign", "less", "less_equal", "equal", "detach")]


@pytest.mark.parametrize("name", SMOOTH)
def test_every_row_of_the_table_agrees_with_the_witness(name):
    row = rules.table[name]

    def engine(*numbers):
        leaves = [Value(number) for number in numbers]
        row(*leaves).backward()
        return {operand: leaf.grad for operand, leaf in zip(row.operands, leaves, strict=True)}

    at = dict(
        zip(
            row.operands, [1.3, 0.6, 2.0] if name in ("acosh", "hyperbola") else [0.4, 0.7, 2.0], strict=False
        )
    )
    assert check_gradient(row, engine, at=at)


# --- arguments ---


def test_only_wrt_arguments_are_moved():
    seen = []

    def loss(W, x, t, k):
        seen.append((np.array_equal(x, X), np.array_equal(t, T), k))
        return np.sum((W @ x - t) ** 2) * k

    X, T = np.array([1.0, 2.0, -1.0]), np.array([0.5, -0.5])
    W = np.arange(6.0).reshape(2, 3)
    report = check_gradient(
        loss, lambda W, x, t, k: 2 * k * np.outer(W @ x - t, x), at={"W": W, "x": X, "t": T, "k": 3}
    )
    assert report, str(report)
    assert set(seen) == {(True, True, 3)}
    assert {e.name for e in report.entries} == {"W"}
    np.testing.assert_array_equal(W, np.arange(6.0).reshape(2, 3))


def test_a_mapping_names_the_arguments_differentiated():
    at = {"w": 3.0, "x": 2.0}
    report = check_gradient(lambda w, x: w * x**2, lambda x, w: {"x": 2 * w * x, "w": x**2}, at=at)
    assert report
    assert {e.name for e in report.entries} == {"w", "x"}
    assert check_gradient(lambda w, x: w * x**2, {"x": 12.0}, at=at).points == 1
    assert check_gradient(lambda w, x: w * x**2, {"x": lambda w, x: 2 * w * x}, at=at).points == 6
    assert check_gradient(lambda w, x: w * x**2, lambda w, x: (x**2, 2 * w * x), at=at, wrt=["w", "x"])
    assert check_gradient(lambda w, x: w * x**2, lambda w, x: 2 * w * x, at=at, wrt="x")
    assert check_gradient(lambda w, x: w * x**2, lambda w, x: x**2, at=at)


def test_the_hand_function_gets_the_output_and_may_name_its_argument_freely():

    def hand(S):
        return np.diag(S) - np.outer(S, S)

    assert check_jacobian(textbook_softmax, hand, at=Z, out="S")
    assert check_gradient(lambda x: x**2, lambda anything: 2 * anything, at=1.0)
    assert check_gradient(lambda x: np.exp(x), lambda a, y: y, at=1.0, out="y")


def test_jacobian_shape_is_output_shape_plus_input_shape():
    W, x = np.arange(6.0).reshape(2, 3), np.array([1.0, 2.0, 3.0])
    report = check_jacobian(
        lambda W, x: W @ x,
        lambda W, x: {"W": np.einsum("ij,k->ijk", np.eye(2), x), "x": W},
        at={"W": W, "x": x},
    )
    assert report, str(report)
    assert report.entries[1].column == (0, 1)
    assert check_jacobian(lambda x: np.sum(x**2), lambda x: 2 * x, at=x)


def test_the_cross_entropy_of_predictions_off_the_simplex():
    def hand(S, t):
        return -np.array(t) / S

    at = {"S": [0.2, 0.3, 0.5], "t": [0, 0, 1]}
    assert check_gradient(lambda S, t: cross_entropy(S, t), hand, at=at)
    assert check_gradient(lambda z, t: cross_entropy(softmax(z), t), lambda z, t: textbook_softmax(z) - t,
                          at={"z": Z, "t": [0, 0, 1]})  # fmt: skip


@pytest.mark.parametrize("hand", [[0.0, -1.0], lambda S: [0.0, -1 / S[1]]])
def test_on_the_border_of_the_domain_one_side_is_enough_to_agree(hand):
    report = check_gradient(lambda S: cross_entropy(S, [0, 1]), hand, at=[0.0, 1.0])
    assert report, str(report)


def test_on_the_border_of_the_domain_one_side_blames_nobody():
    assert check_gradient(lambda x: sqrt(x) * x, 0.5, at=0.0).verdict == "inconclusive"


# --- random points ---


@pytest.mark.parametrize("hand", [3.0, math.inf, 0.0])
def test_an_infinite_partial_agrees_with_nothing(hand):
    assert check_gradient(sqrt, hand, at=0.0).verdict == "inconclusive"
    assert check_gradient(rules.cbrt, hand, at=0.0).verdict == "inconclusive"


def test_an_infinite_hand_result_disagrees_with_a_finite_derivative():
    assert check_gradient(lambda x: x * x, math.inf, at=1.0).verdict == "disagrees"


def test_an_argument_may_be_called_f():
    assert check_gradient(lambda f: f**2, lambda f: 2 * f, at=3.0)
    assert check_gradient(np.sin, np.cos, at=3.0)


def test_random_points_are_seeded():
    def points(seed):
        return [e.yours for e in check_gradient(lambda x: x**2, lambda x: 2 * x, at=1.0, seed=seed).entries]

    assert points(1) == points(1) != points(2)
    assert len(points(1)) == 6


def test_random_points_outside_the_domain_are_skipped():
    report = check_gradient(lambda x: math.log(x), lambda x: 1 / x, at=0.01)
    assert report, str(report)
    assert report.points == 6
    assert report.skipped > 0
    assert f"{report.skipped} more drawn again outside f's domain" in str(report)


def test_a_derivation_right_at_the_given_point_only_is_wrong():
    report = check_gradient(lambda x: x**2, lambda x: 2.0, at=1.0)
    assert report.verdict == "disagrees"
    assert "random point" in report.reason
    assert check_gradient(lambda x: x**2, 2.0, at=1.0)  # plain numbers count at the given point


# --- kinks ---


@pytest.mark.parametrize("hand", [1.0, -1.0, 0.0])
@pytest.mark.parametrize("f", [lambda x: abs(x), lambda x: abs(x + 0) * 1.0, lambda x: np.sqrt(x * x)])
def test_the_absolute_value_at_zero_is_inconclusive(f, hand):
    report = check_gradient(f, hand, at=0.0)
    assert report.verdict == "inconclusive"
    assert not report
    assert (report.worst.left, report.worst.right) == (pytest.approx(-1), pytest.approx(1))
    assert "one-sided -1 and 1" in str(report)
    with pytest.raises(InconclusiveError, match="one-sided"):
        report.raise_if_wrong()


@pytest.mark.parametrize("f", [maximum, minimum, lambda x, y: np.max(np.stack([x, y]))])
@pytest.mark.parametrize("hand", [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5)])
def test_a_tie_is_inconclusive(f, hand):
    report = check_gradient(f, dict(zip("xy", hand, strict=True)), at={"x": 2.0, "y": 2.0})
    assert report.verdict == "inconclusive"


KINKED = {
    "relu": lambda x: relu(x),
    "where": lambda x: where(less(x, 0), -x, 2 * x),
    "a jump": lambda x: where(less(x, 0), 0, x + 1),
    "abs": lambda x: abs(x),
}


@pytest.mark.parametrize("name", KINKED)
def test_the_kink_is_named_and_the_other_points_still_decide(name):
    f = KINKED[name]

    def right(x):
        return (f(x + 1e-3) - f(x)) / 1e-3

    kinked = check_gradient(f, right, at=0.0)
    assert kinked.verdict == "inconclusive"
    assert "on a kink" in kinked.reason
    assert "x = 0" in kinked.reason
    assert all(e.verdict == "agrees" for e in kinked.entries if e.point)
    assert check_gradient(f, lambda x: right(x) + 1, at=0.0, diagnosis=0).verdict == "disagrees"


def test_a_kink_at_which_all_agree_is_no_obstacle():
    assert check_jacobian(textbook_softmax, softmax_jacobian, at=[1.0, 1.0, 1.0])  # max(z) drops out
    assert check_gradient(lambda x: relu(x) ** 2, lambda x: 2 * max(x, 0.0), at=0.0)
    assert check_gradient(lambda z: np.sum(abs(z)), [9.0, 1.0], at=[0.0, 2.0]).verdict == "inconclusive"
    assert check_gradient(lambda z: np.sum(abs(z)), [0.0, 5.0], at=[0.0, 2.0]).verdict == "disagrees"


# --- witnesses ---


def test_f_that_calls_methods_of_value_is_differenced_on_values():
    report = check_gradient(lambda x: (x.tanh() * 2).exp(), lambda x, y: 2 * y * (1 - np.tanh(x) ** 2),
                            at=0.5, out="y")  # fmt: skip
    assert report, str(report)
    assert "f's forward data on Values" in str(report)

    def f(x):
        return x.sigmoid()

    assert check_gradient(f, lambda x: f(x) * (1 - f(x)), at=0.5)


def orthogonal_factor(A):
    U, _, Vt = np.linalg.svd(A)
    return U @ Vt


@pytest.mark.parametrize(
    ("f", "hand", "at"),
    [
        (lambda A: np.linalg.norm(A, "nuc"), orthogonal_factor, [[2.0, 1.0], [0.5, 3.0]]),
        (lambda x: NormalDist().cdf(x), NormalDist().pdf, 1.0),
    ],
)
def test_the_witness_alone_judges_what_the_engine_cannot_follow(f, hand, at):
    report = check_gradient(f, hand, at=at)
    assert report, str(report)
    assert report.witnesses == ("differences of f on floats",)
    assert "the engine could not follow" in str(report)
    assert math.isnan(report.worst.engine)
    wrong = check_gradient(f, lambda x: 1.01 * np.asarray(hand(x)), at=at, diagnosis=0)
    assert wrong.verdict == "disagrees"


def test_a_scipy_function_is_judged_by_the_witness_alone():
    special = pytest.importorskip("scipy.special")
    report = check_gradient(lambda x: special.j0(x), lambda x: -special.j1(x), at=2.5)
    assert report, str(report)
    assert report.witnesses == ("differences of f on floats",)


@pytest.mark.parametrize("hand", [0.0, 1.0, 7.0])
def test_engine_and_witness_in_disagreement_blame_nobody(hand):
    report = check_gradient(lambda x: detach(x), hand, at=1.0)
    assert report.verdict == "inconclusive"
    assert "engine and witness disagree" in report.reason


def test_the_differences_extrapolate_to_the_derivative_within_their_error():
    x = np.array([0.3, -1.2])
    central, left, right = differences(
        lambda x: np.array([np.sin(x[0]) * x[1]]), x, np.array([0.0]) + np.sin(0.3) * -1.2
    )
    exact = [[-1.2 * np.cos(0.3), np.sin(0.3)]]
    np.testing.assert_allclose(central.best, exact, rtol=1e-11)
    np.testing.assert_allclose(left.best, exact, rtol=1e-8)
    np.testing.assert_allclose(right.best, exact, rtol=1e-8)
    assert (central.error < 1e-10).all()


def test_a_value_used_from_outside_keeps_its_grad():
    w = Value(2.0, label="w")
    w.grad = 5.0
    assert check_gradient(lambda x: w * x**2, lambda x: 4 * x, at=3.0)
    assert w.grad == 5.0


# --- hand results that cannot be used, and errors ---


def fails(z):
    raise KeyError("forgot")


@pytest.mark.parametrize(
    ("hand", "reason"),
    [
        (lambda z: softmax_jacobian(z)[:2], r"wrong shape: expected \(3, 3\), got \(2, 3\)"),
        (lambda z: softmax_jacobian(z).ravel(), r"wrong shape: expected \(3, 3\), got \(9,\)"),
        (lambda z: softmax_jacobian(z) * np.nan, r"holds nan, first at \(0, 0\)"),
        (fails, "raises KeyError: 'forgot'"),
        (lambda z: None, "not an array of numbers: expected numbers, got NoneType"),
        (lambda z: "abc", "not an array of numbers"),
        (lambda z: {}, "is empty"),
    ],
)
def test_a_hand_result_that_cannot_be_used_disagrees(hand, reason):
    report = check_jacobian(textbook_softmax, hand, at=Z, diagnosis=0)
    assert report.verdict == "disagrees"
    with pytest.raises(AssertionError, match=reason):
        report.raise_if_wrong()


@pytest.mark.parametrize(
    ("hand", "reason"),
    [
        (lambda z, q: z, "the hand function asks for q; there are z"),
        (lambda z: {"z": softmax_jacobian(z), "y": 0}, "the hand result asks for y; there are z"),
        ({"y": 0}, "the hand result asks for y; there are z"),
        ("S[i] * zz", "the formula asks for zz; there are z, S; .*did you mean z?"),
        (None, "expected a hand result: a function, a formula, or numbers, got None"),
        ({"z": None}, "expected a hand result"),
        ({}, "expected a hand result: a function, a formula, or numbers, got {}"),
        (object(), "expected a hand result: .*: expected numbers, got object"),
        ({"z": {1.0, 2.0}}, "expected a hand result: .*: expected numbers, got set"),
        ([None, 1.0, 2.0], "expected a hand result: .*: expected numbers, got NoneType"),
        ((1.0, range), "expected one hand result, got a list of functions or formulas"),
        (["z[0]", "z[1]", "0"], r"expected one hand result, .* a formula of an array is"),
        ([["z[0]", "0"], ["0", "z[1]"]], "expected one hand result, got a list of functions or formulas"),
        ({"z": [lambda z: z[0], lambda z: z[1]]}, "expected one hand result, .* a function returns it"),
    ],
)
def test_a_call_that_cannot_be_judged_is_an_error_and_no_verdict(hand, reason):
    with pytest.raises(TypeError, match=reason):
        check_jacobian(textbook_softmax, hand, at=Z, out="S")


def test_of_a_hand_function_that_gives_nothing_it_is_not_said_that_it_is_right_at_the_given_point():
    assert "right at the given point" not in str(check_jacobian(textbook_softmax, lambda z: {}, at=Z))


def test_an_intermediate_that_is_named_in_f_may_stand_in_a_hand_derivation():
    def tempered(q, T):
        return np.sum(named(softmax(named(q / T, "u")), "p") * np.arange(3.0))

    at = {"q": [0.3, -0.2, 0.9], "T": 0.7}
    by_hand = lambda p, T: p * (np.arange(3) - np.sum(p * np.arange(3))) / T  # noqa: E731
    assert check_gradient(tempered, by_hand, at=at)
    assert check_gradient(tempered, "p[i] * (i - p[1] - 2 * p[2]) / T", at=at)
    assert not check_gradient(tempered, "p[i] * (i - p[1] - 2 * p[2])", at=at, diagnosis=0)


def test_a_name_with_two_meanings_is_the_value_and_the_report_says_so():
    report = check_gradient(lambda x: named(x * x, "e") ** 2, "4 * e * x", at=1.5)
    assert report, report
    assert "e is read as the value that f names so" in str(report)
    assert "e is read" not in str(check_gradient(lambda x: np.exp(x), "e ** x", at=1.5))


def test_the_transpose_and_the_flattenings_are_named():
    W, x = np.arange(6.0).reshape(2, 3) + 1, [1.0, -1.0, 2.0]

    def f(W, x):
        return np.sum((W @ x) ** 2)

    def hand(W, x):
        return np.outer(2 * W @ x, x)

    at = {"W": W, "x": x}
    assert check_gradient(f, hand, at=at)
    for change, kind in [
        (lambda G: G.T, "transposed"),
        (lambda G: G.ravel(), "layout"),
        (lambda G: G.ravel(order="F"), "layout"),
    ]:
        report = check_gradient(f, lambda W, x, change=change: change(hand(W, x)), at=at)
        assert report.verdict == "disagrees"
        assert "expected (2, 3)" in report.reason
        assert kind in {explanation.kind for explanation in report.explanations}
    jacobian = check_jacobian(lambda W, x: W @ x, lambda W, x: W.T, at=at, wrt="x")
    assert "transposed" in {explanation.kind for explanation in jacobian.explanations}


def test_an_error_inside_f_propagates():
    def broken(x):
        raise KeyError("inside f")

    with pytest.raises(KeyError, match="inside f"):
        check_gradient(broken, 1.0, at=1.0)
    with pytest.raises(ValueError, match="needs x > 0"):
        check_gradient(rules.log, 1.0, at=-1.0)
    with pytest.raises(TypeError):
        check_gradient(lambda x: x + "a", 1.0, at=1.0)


def test_f_that_is_nan_at_the_given_point_is_inconclusive():
    report = check_gradient(lambda x: np.log(x) * np.sum(x), 1.0, at=np.array(-1.0))
    assert report.verdict == "inconclusive"
    assert "not finite at the given point" in report.reason
    assert report.worst is None


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: check_gradient(textbook_softmax, Z, at=Z), ValueError, "use check_jacobian"),
        (lambda: check_gradient(lambda w, x: w * x, 1.0, at=1.0), TypeError, "f takes w, x"),
        (lambda: check_gradient(lambda w, x: w * x, 1.0, at={"w": 1.0}), TypeError, "at= gives w"),
        (lambda: check_gradient(lambda x: x, 1.0, at=1.0, wrt="y"), ValueError, "wrt names 'y'"),
        (lambda: check_gradient(lambda x: x, 1.0), TypeError, "give the point"),
        (lambda: check_gradient(3.0, {"x": 1.0}), TypeError, "expected a function, a formula or a graph"),
        (lambda: check_gradient(Value(3.0), 1.0), TypeError, "a graph is checked as"),
    ],
)
def test_wrong_use_is_said_in_a_sentence(call, error, message):
    with pytest.raises(error, match=message):
        call()


# --- a graph that exists ---


def graph():
    z = values(Z, "z")
    y = named(softmax(z), "y")
    return z, y, named(cross_entropy(y, [0, 0, 1]), "L")


def test_a_graph_is_checked_by_labels_and_left_alone():
    _, y, loss = graph()
    loss.backward()
    nodes = topological_order(loss)
    before = [(node.data, node.grad, node.label, node.args) for node in nodes]
    dy, dz = [0, 0, -1 / y[2].data], y.data - [0, 0, 1]
    report = check_gradient(loss, {"y": dy, "z": dz, "z1": dz[1], "y2": dy[2]})
    assert report, str(report)
    assert report.points == 1
    assert report.witnesses == ("the engine", "f at 50 digits")
    assert [(node.data, node.grad, node.label, node.args) for node in nodes] == before
    wrong = check_gradient(loss, {"y": dy, "z": y.data})
    assert wrong.verdict == "disagrees"
    assert (wrong.worst.name, wrong.worst.column) == ("z", (2,))
    assert "∂L/∂z[2]" in wrong.reason


def test_a_jacobian_of_a_graph():
    _, y, _ = graph()
    assert check_jacobian(y, {"z": np.diag(y.data) - np.outer(y.data, y.data)})
    assert check_jacobian(y, {"z": np.diag(y.data)}).verdict == "disagrees"


def test_matrices_and_names_that_end_in_a_digit():
    W1, b1 = values([[1.0, 2.0], [3.0, 4.0]], "W1"), values([0.5371, -0.4113], "b1")
    loss = np.sum((W1 @ [1.0, -1.0] + b1) ** 2)
    r = 2 * (W1.data @ [1.0, -1.0] + b1.data)
    assert check_gradient(loss, {"W1": np.outer(r, [1.0, -1.0]), "b1": r})
    transposed = check_gradient(loss, {"W1": np.outer([1.0, -1.0], r)})
    assert transposed.explanations[0].kind == "transposed"
    assert "expected (2,), got (3,)" not in check_gradient(loss, {"b1": [*r, 0.0]}).reason
    assert "wrong shape" in check_gradient(loss, {"b1": r[:1]}).reason


def test_elements_that_do_not_occur_in_the_graph_have_derivative_zero():
    y = values([0.2, 0.3, 0.5], "y")
    loss = -rules.log(y[1])
    assert check_gradient(loss, {"y": [0, -1 / 0.3, 0]})
    assert check_gradient(loss, {"y": [0, -1 / 0.3, 1]}).verdict == "disagrees"


def test_a_kink_in_a_graph():
    x = Value(0.0, label="x")
    assert check_gradient(abs(x) + x, {"x": 1.0}).verdict == "inconclusive"


def test_a_node_made_by_hand_leaves_the_witness_without_a_word():
    x = Value(2.0, label="x")
    y = Value(4.0, (x,), "square")
    y._backward = lambda: setattr(x, "grad", x.grad + 4.0 * y.grad)
    assert check_gradient(y * 1.0, {"x": 4.0}).verdict == "inconclusive"


def test_labels_that_do_not_exist_or_are_not_unique():
    x = Value(2.0, label="x")
    h1, w = Value(1.0, label="h1"), values([1.0, 2.0], "w1")
    with pytest.raises(ValueError, match="labelled 'q'; there are: w1, h1"):
        check_gradient(h1 * np.sum(w), {"q": 1.0})
    with pytest.raises(ValueError, match="no node or array of the graph is labelled 'q'; there are: x"):
        check_gradient(x * x, {"q": 1.0})
    with pytest.raises(ValueError, match="2 nodes of the graph are labelled 'x'"):
        check_gradient(x * Value(1.0, label="x"), {"x": 1.0})


# --- entries of very different sizes ---


def test_a_wrong_entry_is_found_beside_one_that_is_a_million_times_larger():
    def f(x):
        return 1e6 * x[0] ** 2 + x[1] ** 2

    assert check_gradient(f, lambda x: [2e6 * x[0], 2 * x[1]], at=[1.0, 1.0])
    report = check_gradient(f, lambda x: [2e6 * x[0], 2.001 * x[1]], at=[1.0, 1.0], diagnosis=0)
    assert report.verdict == "disagrees"
    assert {entry.column for entry in report.entries if entry.verdict == "disagrees"} == {(1,)}


def test_entries_may_all_be_tiny():
    def hand(x):
        return 1e-11 / np.cosh(x / 1e4) ** 2

    def f(x):
        return 1e-7 * np.sum(np.tanh(x / 1e4))

    assert check_gradient(f, hand, at=[100.0, -3000.0])
    assert (
        check_gradient(f, lambda x: 1.0001 * hand(x), at=[100.0, -3000.0], diagnosis=0).verdict == "disagrees"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"points": -1}, "points must be a whole number, 0 or more, got -1"),
        ({"points": 2.5}, "points must be a whole number, 0 or more, got 2.5"),
        ({"seed": "x"}, "seed must be a whole number, 0 or more, got 'x'"),
        ({"rtol": math.nan}, "rtol must be a number, 0 or more, got nan"),
        ({"atol": "1"}, "atol must be a number, 0 or more, got '1'"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        check_gradient(lambda x: x * x, lambda x: 2 * x, at=1.0, **options)


def test_what_is_no_number_is_named():
    with pytest.raises(TypeError, match="at= gives x: expected numbers, got str"):
        check_gradient(lambda x: x * x, lambda x: 2 * x, at="abc")
    with pytest.raises(TypeError, match="check: f: expected numbers, got NoneType"):
        check_gradient(lambda x: None, lambda x: 2 * x, at=1.0)
    with pytest.raises(ValueError, match="expected printed figures, got 'abc'"):
        check_value(lambda x: x, "abc", at=1.0)
    with pytest.raises(TypeError, match="decimals must be a whole number, got 'a'"):
        check_gradient(lambda x: x * x, [2.0], at=[1.0], decimals="a")


# --- the table ---


def test_the_table_marks_bad_entries_puts_the_worst_first_and_is_cut():
    report = check_jacobian(
        textbook_softmax, lambda z: softmax_jacobian(z) + np.diag([0, 0.5, 0]), at=Z, out="S"
    )
    lines = str(report).splitlines()
    assert lines[0].startswith("check_jacobian: disagrees: ∂S[1]/∂z[1]")
    start = next(i for i, line in enumerate(lines) if line.split()[:2] == ["point", "yours"])
    assert lines[start].split() == ["point", "yours", "engine", "50", "digits", "difference"]
    assert lines[start + 1].split()[:3] == ["✗", "given", "∂S[1]/∂z[1]"]
    assert [line[0] for line in lines[start + 1 : start + 7]] == ["✗"] * 6
    assert lines[start + 7] == "… and 48 more, all right"
    assert lines[start + 8 : start + 12] == ["∂S/∂z:", "  ✓ ✓ ✓", "  ✓ ✗ ✓", "  ✓ ✓ ✓"]
    assert lines[start + 12] == "points tried: 6 (seed 0)"


def test_of_a_derivation_that_agrees_three_entries_are_shown():
    lines = str(check_jacobian(textbook_softmax, softmax_jacobian, at=Z, out="S")).splitlines()
    assert [line.split()[0] for line in lines[2:5]] == ["given"] * 3
    assert lines[5] == "… and 51 more, all right"


def test_a_derivation_that_works_in_place_is_held_to_the_arguments_as_they_were():
    at = {"W": np.array([[0.1, 0.2], [0.3, -0.4]]), "x": np.array([1.0, -2.0])}
    kept = {name: array.copy() for name, array in at.items()}

    def loss(W, x):
        return np.sum(np.tanh(W @ x))

    def right(W, x):
        slope = 1 - np.tanh(W @ x) ** 2
        W *= 0
        W += np.outer(slope, x)
        return W

    def wrong(W, x):
        W *= 0
        x *= 0
        return np.outer(1 - np.tanh(W @ x) ** 2, x)

    assert check_gradient(loss, right, at=at)
    assert check_gradient(loss, wrong, at=at, diagnosis=0).verdict == "disagrees"
    for name, array in at.items():
        np.testing.assert_array_equal(array, kept[name])


@pytest.mark.parametrize("check", [check_gradient, check_jacobian])
def test_help_begins_with_what_it_does_and_an_example(check):
    signature, first, *rest = [
        line.strip(" |") for line in pydoc.plain(pydoc.render_doc(check)).splitlines()[2:]
    ]
    assert signature.startswith(f"{check.__name__}(f: ")
    assert first.startswith("Check a ")
    example = next(place for place, line in enumerate(rest) if line.startswith(">>> "))
    assert example <= 5


@pytest.mark.parametrize("check", [check_gradient, check_jacobian])
def test_what_functions_print_is_shown_once(check, capsys):
    def f(x):
        for i in range(2):
            print("f", i)
        return np.sum(x**2)

    def hand(x):
        print("hand")
        return 2 * x

    assert check(f, hand, at=np.ones(3)).verdict == "agrees"
    assert capsys.readouterr().out == "f 0\nf 1\nhand\n"
    check(f, hand, at=np.ones(3))
    print("after")
    assert capsys.readouterr().out == "f 0\nf 1\nhand\nafter\n"


def test_what_passes_and_steps_print_is_shown_once(capsys):
    def forward(x):
        print("forward")
        return np.tanh(x)

    def backward(dout, x):
        print("backward")
        return dout * (1 - np.tanh(x) ** 3)

    assert check_backward(forward, backward, at=np.ones(3) / 2).verdict == "disagrees"
    assert sorted(capsys.readouterr().out.split()) == ["backward", "forward"]

    def loss(x):
        print("loss")
        return np.sum(x**2)

    check_steps(loss, {"x": lambda x: print("step") or 2 * x}, at={"x": np.ones(3)})
    assert sorted(capsys.readouterr().out.split()) == ["loss", "step"]
