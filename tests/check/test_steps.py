"""Derivations in steps: the first wrong step is found, and what only carries its error is told from it."""

import json
import pickle

import numpy as np
import pytest

from autograd_mini import (
    Value,
    check_gradient,
    check_steps,
    cross_entropy,
    named,
    softmax,
    squared_error,
    values,
)
from autograd_mini.check import InconclusiveError

RANDOM = np.random.default_rng(4)
W1, b1 = RANDOM.normal(size=(3, 2)), RANDOM.normal(size=3)
W2, b2 = RANDOM.normal(size=(4, 3)), RANDOM.normal(size=4)
X, T = np.array([0.3, -0.8]), np.array([0.0, 0.0, 1.0, 0.0])
AT = {"W1": W1, "b1": b1, "W2": W2, "b2": b2, "x": X, "t": T}


def network(W1, b1, W2, b2, x, t):
    h = named(np.tanh(named(W1 @ x + b1, "z1")), "h")
    y = named(softmax(named(W2 @ h + b2, "z2")), "y")
    return named(cross_entropy(y, t), "L")


RIGHT = {
    ("e", "z2"): lambda y, t: y - t,
    "b2": lambda e: e,
    "W2": lambda e, h: np.outer(e, h),
    ("dh", "h"): lambda e, W2: W2.T @ e,
    ("d", "z1"): lambda dh, h: dh * (1 - h * h),
    "b1": lambda d: d,
    "W1": lambda d, x: np.outer(d, x),
}


def checked(**changed):
    """RIGHT with some steps replaced."""
    steps = {key: changed.get(key[0] if isinstance(key, tuple) else key, f) for key, f in RIGHT.items()}
    return check_steps(network, steps, at=AT)


def verdicts(report):
    return {step.name: step.verdict for step in report.parts}


def closed_form():
    """The true adjoints in NumPy, by the chain rule and not by the engine."""
    h = np.tanh(W1 @ X + b1)
    z = W2 @ h + b2
    y = np.exp(z) / np.exp(z).sum()
    e = y - T
    dh = W2.T @ e
    d = dh * (1 - h**2)
    return {"e": e, "b2": e, "W2": np.outer(e, h), "dh": dh, "d": d, "b1": d, "W1": np.outer(d, X)}


# --- verdicts ---


def test_a_right_derivation_agrees_step_by_step():
    report = checked()
    assert report
    assert report.verdict == "agrees"
    assert report.first_wrong is None
    assert set(verdicts(report).values()) == {"right"}
    assert report.points == 6
    report.raise_if_wrong()
    for name, truth in closed_form().items():
        np.testing.assert_allclose(report[name].truth, truth, rtol=1e-12)
        np.testing.assert_allclose(report[name].expected, truth, rtol=1e-12)


def test_an_error_is_carried_forward_by_the_steps_that_use_it():
    report = checked(e=lambda y, t: t - y)
    assert report.verdict == "disagrees"
    assert report.first_wrong == "e"
    others = set(RIGHT) - {("e", "z2")}
    assert verdicts(report) == {
        "e": "wrong",
        **dict.fromkeys(
            [k[1 - 1] if isinstance(k, tuple) else k for k in others], "right given your earlier steps"
        ),
    }
    # A wrong sign at the top turns every sign below.
    for name, truth in closed_form().items():
        np.testing.assert_allclose(report[name].truth, truth, rtol=1e-12)
        np.testing.assert_allclose(report[name].yours, -truth, rtol=1e-12)
    for name in ("b2", "W2", "dh", "d", "b1", "W1"):
        np.testing.assert_allclose(report[name].expected, -closed_form()[name], rtol=1e-12)


def test_two_errors_are_two_wrong_steps_and_the_second_is_held_to_the_first():
    report = checked(e=lambda y, t: (y - t) * y * (1 - y), d=lambda dh, h: dh * h * (1 - h))
    found = verdicts(report)
    assert [name for name, verdict in found.items() if verdict == "wrong"] == ["e", "d"]
    assert report.first_wrong == "e"
    truth = closed_form()
    y = truth["e"] + T
    e = truth["e"] * y * (1 - y)
    h = np.tanh(W1 @ X + b1)
    np.testing.assert_allclose(report["d"].expected, (W2.T @ e) * (1 - h * h), rtol=1e-12)
    np.testing.assert_allclose(report["d"].truth, truth["d"], rtol=1e-12)
    assert report["d"].uses == ("dh",)


def test_a_path_beside_an_earlier_step_keeps_its_share():
    # z feeds the loss through y and directly; only the share through y is the user's.
    def loss(z):
        y = named(np.tanh(z), "y")
        return named(np.sum(y * y) + np.sum(z**3), "L")

    at = np.array([0.4, -0.7])
    steps = {"y": lambda y: y, ("dz", "z"): lambda z, y: y * (1 - np.tanh(z) ** 2) + 3 * z**2}
    report = check_steps(loss, steps, at=at)
    assert verdicts(report) == {"y": "wrong", "dz": "right given your earlier steps"}
    np.testing.assert_allclose(report["dz"].expected, np.tanh(at) * (1 - np.tanh(at) ** 2) + 3 * at**2)
    np.testing.assert_allclose(report["dz"].truth, 2 * np.tanh(at) * (1 - np.tanh(at) ** 2) + 3 * at**2)


def test_of_two_steps_on_one_path_the_nearer_counts():
    report = check_steps(
        lambda x: named(named(named(x * x, "a") ** 2, "b") ** 2, "L"),
        {
            ("db", "b"): lambda b: 5 * b,
            ("da", "a"): lambda db, a: db * 3 * a,
            ("dx", "x"): lambda da, db, x: da * 2 * x,
        },
        at=1.2,
    )
    assert verdicts(report) == {"db": "wrong", "da": "wrong", "dx": "right given your earlier steps"}
    a, b = 1.44, 1.44**2
    assert report["dx"].expected == pytest.approx(5 * b * 3 * a * 2 * 1.2)
    assert report["dx"].truth == pytest.approx(8 * 1.2**7)


def test_errors_that_cancel_are_found_by_correct_earlier_steps():
    # The first is off by 2, the second by ½: right in the end, and so it is called; its middle is not.
    report = check_steps(
        lambda x: named(np.tanh(named(x * x, "s")), "L"),
        {("ds", "s"): lambda s: 2 * (1 - np.tanh(s) ** 2), ("dx", "x"): lambda ds, x: ds * x},
        at=0.8,
    )
    assert verdicts(report) == {"ds": "wrong", "dx": "right"}
    # An adjoint of zero hides everything below it: the step is wrong all the same.
    report = check_steps(
        lambda x: named(np.tanh(named(x * x, "s")), "L"),
        {("ds", "s"): lambda s: 0.0, ("dx", "x"): lambda ds, x: ds * x},
        at=0.8,
    )
    assert verdicts(report) == {"ds": "wrong", "dx": "wrong"}
    assert "earlier error hides" in report["dx"].note


# --- names and forms ---


def test_names_mean_arguments_before_steps_before_intermediates():
    seen = {}

    def record(W2, e, h, b2):
        seen.update({} if seen else {"W2": W2, "e": e, "h": h, "b2": b2})
        return np.outer(e, h)

    steps = {("e", "z2"): RIGHT["e", "z2"], "W2": lambda e, h: np.outer(e, h), "h": lambda e, W2: W2.T @ e}
    report = check_steps(network, {**steps, ("W2 again", "W2"): record}, at=AT, points=0)
    assert report["W2 again"].verdict == "wrong"
    np.testing.assert_array_equal(seen["W2"], W2)  # the argument, although a step has its name
    np.testing.assert_allclose(seen["h"], closed_form()["dh"])  # the step, which hides the intermediate
    np.testing.assert_array_equal(seen["b2"], b2)


def test_an_array_goes_before_an_element_of_another_with_the_same_label():
    def cell(c, f, g, t):  # one state from the one before, as in an LSTM: c[1] is labelled c1 too
        c1 = named(f * c + (1 - f) * g, "c1")
        return squared_error(np.tanh(c1), t) / 2

    steps = {
        ("d", "c1"): lambda c1, t: (np.tanh(c1) - t) * (1 - np.tanh(c1) ** 2),
        "c": lambda d, f: d * f,
        "g": lambda d, f: d * (1 - f),
    }
    at = {"c": [0.3, -0.8], "f": [0.2, 0.9], "g": [0.5, -0.1], "t": [0.0, 1.0]}
    assert check_steps(cell, steps, at=at)
    c, f, g = (values(at[name], name) for name in "cfg")
    hand = {"c1": steps["d", "c1"]((f * c + (1 - f) * g).data, np.array(at["t"]))}
    assert check_gradient(cell(c, f, g, at["t"]), hand)


def test_plain_numbers_count_at_the_given_point_and_may_follow_from_wrong_ones():
    truth = closed_form()
    report = check_steps(network, {("e", "z2"): truth["e"], "b2": truth["b2"]}, at=AT)
    assert report
    assert report.points == 1
    wrong = {("e", "z2"): -truth["e"], "b2": -truth["b2"], "W2": truth["W2"], "W1": 2 * truth["W1"]}
    assert verdicts(check_steps(network, wrong, at=AT)) == {
        "e": "wrong", "b2": "right given your earlier steps", "W2": "right", "W1": "wrong",
    }  # fmt: skip


def test_printed_figures_count_to_a_unit_of_their_last_digit():
    z = [1.5, -0.5, 0.75]

    def loss(z):
        return cross_entropy(named(softmax(z), "y"), [0, 0, 1])

    assert check_steps(loss, {"z": ["0.6220", "0.0841", "-0.7061"]}, at=z)
    assert check_steps(loss, {"z": ["0.6220", "0.0840", "-0.7061"]}, at=z).first_wrong == "z"
    dz = {("dz", "z"): lambda y: y - [0, 0, 1]}
    assert check_steps(loss, {**dz, "z": [0.6220, 0.0841, -0.7061]}, at=z, decimals=4)
    assert not check_steps(loss, {**dz, "z": [0.6220, 0.0841, -0.7061]}, at=z)
    with pytest.raises(ValueError, match="every step is a function"):
        check_steps(loss, dz, at=z, decimals=4)


def test_formulas_as_text_have_free_indices():
    steps = {"z2": "y - t", "W2": "z2[i] * h[j]", "b1": lambda z2, W2, h: (W2.T @ z2) * (1 - h * h)}
    assert check_steps(network, steps, at=AT)
    with pytest.raises(TypeError, match=r"asks for q; there are W1, b1, W2, b2, x, t, z1, h, z2, y, L"):
        check_steps(network, {**steps, "W2": "z2[i] * q[j]"}, at=AT)
    with pytest.raises(TypeError, match=r"the indices of a result of shape \(4, 3\) are i, j"):
        check_steps(network, {**steps, "W2": "z2[i] * h[k]"}, at=AT)
    with pytest.raises(TypeError, match="the formula asks for i; there are x"):
        check_steps(lambda x: x * x, {"x": "2*x*i"}, at=3.0)


def test_a_step_or_an_intermediate_called_e_is_not_eulers_number():
    steps = {("e", "z2"): "y - t", "W2": "e[i] * h[j]", ("h again", "h"): "transpose(W2) @ e"}
    report = check_steps(network, steps, at=AT)
    assert report
    assert report["W2"].uses == ("e",)
    report = check_steps(lambda x: named(named(x * x, "e") ** 2, "L"), {"x": "4 * e * x"}, at=1.5)
    assert report
    assert check_steps(lambda x: np.exp(x), {"x": "e ** x"}, at=1.5)


def test_domains_draw_arguments_that_are_no_steps():
    seen = []

    def step(y, t):
        seen.append(t)
        return y - t

    report = check_steps(network, {"z2": step}, at=AT, domain={"t": "one-hot", "x": (-1, 1)})
    assert report
    assert len({tuple(t) for t in seen}) > 1


def test_a_graph_that_exists_is_checked_by_its_labels_and_left_as_it_was():
    W = values(RANDOM.normal(size=(2, 2)), "W")
    z = named(W @ np.array([1.0, 2.0]), "z")
    loss = named(squared_error(z, [0.0, 1.0]), "loss")
    loss.backward()
    before = W.grad
    steps = {"z": lambda: 2 * (z.data - [0, 1]), "W": lambda z: np.outer(z, [1.0, 2.0])}
    report = check_steps(loss, steps)
    assert report.verdict == "agrees"
    np.testing.assert_array_equal(W.grad, before)
    assert "∂loss/∂W" in str(report)


def test_integer_arguments_and_class_indices_stay_numbers():
    def loss(W, x, c):
        return cross_entropy(named(softmax(named(W @ x, "z")), "y"), c)

    at = {"W": [[1, 2], [0, 1]], "x": [1, -1], "c": 1}
    steps = {"z": lambda y, c: y - np.eye(2)[c], "W": lambda z, x: np.outer(z, x)}
    assert check_steps(loss, steps, at=at)


def test_steps_inside_trees_are_named_by_their_paths():
    def loss(p, x):
        h = named(np.tanh(p["W"][0] @ x + p["b"]), "h")
        return named(np.sum((p["W"][1] @ h) ** 2) / 2, "L")

    at = {"p": {"W": [W1, W2[:2]], "b": b1}, "x": X}
    steps = {
        ("dh", "h"): lambda h, p: p["W"][1].T @ (p["W"][1] @ h),
        ("d", "p['b']"): lambda dh, h: dh * (1 - h * h),
        "p['W'][0]": lambda d, x: np.outer(d, x),
        "x": lambda d, p: p["W"][0].T @ d,
    }
    report = check_steps(loss, steps, at=at)
    assert report
    assert "d = ∂L/∂p['b']" in str(report)
    wrong = check_steps(loss, {**steps, "p['W'][0]": lambda d, x: -np.outer(d, x)}, at=at)
    assert wrong.first_wrong == "p['W'][0]"
    assert wrong["p['W'][0]"].explanations[0].kind == "sign"
    with pytest.raises(ValueError, match="labelled \"p\\['c'\\]\""):
        check_steps(loss, {**steps, "p['c']": 1.0}, at=at)


def test_an_argument_that_the_loss_ignores_has_derivative_zero():
    assert check_steps(
        lambda x, q: named(x * x, "L"), {"q": 0.0, "x": lambda x: 2 * x}, at={"x": 1.0, "q": 2.0}
    )


def test_a_step_that_works_in_place_changes_nothing_for_others():
    def in_place(y, t):
        y -= t
        t *= 0
        return y

    steps = {("e", "z2"): in_place, ("e again", "z2"): lambda y, t: y - t, "W2": RIGHT["W2"]}
    assert check_steps(network, steps, at=AT)
    np.testing.assert_array_equal(T, [0, 0, 1, 0])


# --- steps that cannot be judged ---


def test_a_step_that_fails_is_wrong_and_later_ones_go_on_with_the_truth():
    def fails(y, t):
        raise RuntimeError("no idea")

    report = checked(e=fails)
    assert report["e"].verdict == "wrong"
    assert report["e"].yours is None
    assert report["e"].note == "failed: RuntimeError: no idea"
    assert {step.verdict for step in report.parts[1:]} == {"right"}
    assert "the truth in the place of e" in report["b2"].note
    assert "no idea" in str(report)


def test_a_wrong_shape_is_wrong_and_says_so():
    report = checked(W2=lambda e, h: np.outer(h, e))
    assert verdicts(report)["W2"] == "wrong"
    assert "wrong shape: expected (4, 3), got (3, 4)" in report["W2"].note
    report = checked(b1=lambda d: np.full(3, np.nan))
    assert "nan" in report["b1"].note


def test_a_step_that_asks_for_what_there_is_not_is_an_error_that_says_what_there_is():
    with pytest.raises(TypeError, match=r"asks for tt; there are .*z1, h, z2, y, L; did you mean t\?"):
        checked(e=lambda y, tt: y - tt)


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        ({}, TypeError, "steps must be a mapping"),
        ([1], TypeError, "steps must be a mapping"),
        ({"q": lambda y: y}, ValueError, "labelled 'q'; there are: W1, x, b1, W2, b2, t, z1, h, z2, y, L"),
        ({3: lambda y: y}, TypeError, "a step is called"),
        ({("e", "z2"): lambda y: y, "e": lambda y: y}, ValueError, "two steps are called 'e'"),
        ({("t", "z2"): lambda y: y}, ValueError, "name of an argument"),
        ({"z2": lambda *y: y}, TypeError, "parameters of step 'z2'"),
    ],
)
def test_steps_that_claim_nothing_are_errors(steps, error, message):
    with pytest.raises(error, match=message):
        check_steps(network, steps, at=AT)


def test_the_loss_must_be_one_value():
    with pytest.raises(ValueError, match="f must have one output, got shape"):
        check_steps(lambda x: x * np.ones(2), {"x": lambda x: x}, at=1.0)
    with pytest.raises(TypeError, match="one Value"):
        check_steps(lambda x: 3.0, {"x": lambda x: x}, at=1.0)


def test_points_without_the_label_of_a_step_are_said_to_be_that():
    def f(x):
        return named(np.exp(x), "y") ** 2 if x > 1 else np.sin(x)

    report = check_steps(f, {("d", "y"): lambda y: 2 * y, "x": lambda d, y: d * y}, at=1.1, points=20)
    assert report.verdict == "agrees"
    assert report.skipped == 0
    left_out = 21 - report.points
    assert left_out > 0
    assert f"{left_out} random points say nothing: f has no node there" in str(report)
    assert "outside f's domain" not in str(report)


def test_points_outside_the_domain_are_skipped_and_counted():
    report = check_steps(lambda x: np.log(x), {"x": lambda x: 1 / x}, at=0.2, seed=1)
    assert report
    assert report.points == 6
    assert report.skipped > 0
    assert f"{report.skipped} more drawn again" in str(report)


def test_a_kink_is_inconclusive():
    report = check_steps(lambda x: named(abs(x), "L"), {"x": lambda x: np.sign(x)}, at=0.0, points=0)
    assert report.verdict == "inconclusive"
    with pytest.raises(InconclusiveError):
        report.raise_if_wrong()


# --- the report ---


def test_the_report_opens_with_the_first_wrong_step():
    report = checked(W2=lambda e, h: -np.outer(e, h), b1=lambda d: 2 * d)
    lines = str(report).splitlines()
    assert lines[0].startswith("check_steps: disagrees: the first wrong step is ∂L/∂W2: ")
    assert "points tried: 6 (seed 0)" in lines
    marked = [line for line in lines if line[2:3] in "✓→✗?"]
    assert [line[2] for line in marked] == list("✓✓✗✓✓✗✓")
    with pytest.raises(AssertionError, match="first wrong step is ∂L/∂W2") as failure:
        report.raise_if_wrong()
    assert str(failure.value) == str(report)


def test_the_picture_marks_the_first_wrong_step_and_the_way_to_what_it_uses():
    def loss(x, a, t):
        y = named(np.tanh(named(a * x, "z")), "y")
        return named(squared_error(y, t), "L")

    steps = {("dy", "y"): lambda y, t: 2 * (y - t), ("dz", "z"): lambda dy, z: dy * (1 - z * z)}
    at = {"x": 0.3, "a": 2.0, "t": 1.0}
    report = check_steps(loss, steps, at=at)
    nodes = [line for line in report.draw().source.splitlines() if "TABLE" in line]
    [z, y] = [line for line in nodes if "●" in line]
    assert ">z<" in z
    assert ">y<" in y
    assert pickle.loads(pickle.dumps(report)).to_dict() == report.to_dict()
    with pytest.raises(ValueError, match="this report agrees"):
        check_steps(loss, {**steps, ("dz", "z"): lambda dy, y: dy * (1 - y * y)}, at=at).draw()


def test_a_step_that_there_is_not_is_a_key_error():
    with pytest.raises(KeyError, match="no step is called 'q'; there are e, b2, W2, dh, d, b1, W1"):
        checked()["q"]


def test_the_report_for_machines_and_for_jupyter():
    report = checked(e=lambda y, t: t - y)
    known = json.loads(json.dumps(report.to_dict()))
    assert known["verdict"] == "disagrees"
    assert known["first_wrong"] == "e"
    assert [step["name"] for step in known["parts"]] == ["e", "b2", "W2", "dh", "d", "b1", "W1"]
    np.testing.assert_allclose(known["parts"][0]["yours"], -closed_form()["e"])
    page = report._repr_html_()
    assert page.count("<tr") == 8
    assert page.count("background: rgba(220, 50, 50") == 2  # the verdict and the wrong step
    assert page.count("background: rgba(220, 160, 0") == 6
    assert "right given your earlier steps" in page
    assert "<br>right: " in page


def test_the_report_has_colours_on_a_terminal_only(monkeypatch):
    report = checked(e=lambda y, t: t - y)
    assert "\x1b" not in str(report)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    lines = str(report).splitlines()
    assert lines[0].startswith("check_steps: \x1b[31mdisagrees\x1b[0m: the first wrong step is ")
    assert [line[:8] for line in lines if "∂L/∂b" in line] == ["  \x1b[33m→"] * 2
    assert "\x1b" not in str(report.text())
    with pytest.raises(AssertionError) as failure:
        report.raise_if_wrong()
    assert str(failure.value) == report.text()
    monkeypatch.setenv("NO_COLOR", "1")
    assert str(report) == report.text()


def test_values_are_written_nowhere():
    x = Value(2.0, label="x")
    y = named(x * x, "y")
    check_steps(y, {"x": lambda: 4.0})
    assert (x.grad, y.grad, x.data) == (0.0, 0.0, 2.0)


# --- the diagnosis ---


def test_a_wrong_step_is_explained_given_the_users_own_earlier_steps():
    report = checked(
        e=lambda y, t: t - y,
        W2=lambda e, h: np.full((4, 3), 2.0) * np.outer(e, h),
        d=lambda dh, h: dh * h * (1 - h * h),
    )
    assert "sign" in {x.kind for x in report["e"].explanations}
    assert report["W2"].explanations[0].kind == "factor"
    assert report["d"].explanations[0].kind == "extra factor"
    assert set(report["d"].explanations[0].nodes) == {"h"}
    assert report["W2"].uses == ("e",)
    assert report["e"].explanations[0].text in str(report)
    strange = checked(b2=lambda e: np.sin(9 * e) + 2)
    assert strange["b2"].note.endswith("; no known mistake reproduces it")
    assert "no known mistake" not in str(report)
    # The sign of e is not blamed on those that only carry it.
    assert "sign" not in {x.kind for name in ("W2", "d") for x in report[name].explanations}


def test_a_mistake_that_the_users_numbers_hide_shows_on_random_ones():
    def loss(z, b):
        return named(np.sum(np.tanh(named(z + b, "s")) ** 2) / 2, "L")

    # ∂L/∂s as claimed adds up to zero, and so does any multiple of the sum.
    steps = {("e", "s"): lambda s: s - np.mean(s), "b": lambda e: np.full(3, np.sum(e))}
    report = check_steps(loss, steps, at={"z": np.array([0.3, -0.2, 0.9]), "b": np.array([0.1, 0.2, 0.3])})
    assert report["b"].verdict == "wrong"
    assert report["b"].explanations[0].kind == "summed"


def test_the_last_name_of_a_node_that_is_an_argument_too_is_diagnosed():
    def recurrent(x):
        h = np.zeros_like(x)
        h[0] = x[0]
        for i in range(1, 3):
            h[i] = np.tanh(h[i - 1] * x[i])
        return np.sum(named(h, "h") ** 2)

    report = check_steps(recurrent, {("dh", "h"): lambda h: 2 * h}, at=[1.0, 0.4, 0.3])
    assert report.first_wrong == "dh"  # h[0] is an operand of h[1] as well


def test_steps_that_nothing_can_be_said_of():
    with pytest.raises(ValueError, match="f is not finite at the given point"):
        check_steps(np.exp, {"x": np.exp}, at=1000.0)
    with pytest.raises(TypeError, match="the step 'x' claims nothing"):
        check_steps(lambda x: x**2, {"x": None}, at=1.0)


@pytest.mark.parametrize("y", [0, 1, 2])
def test_a_named_array_of_which_the_loss_uses_a_part_is_known_whole(y):
    def loss(x, y):
        p = named(np.exp(x) / np.sum(np.exp(x)), "p")
        return -np.log(p[y])

    at = {"x": [1.0, 2.0, 3.0], "y": y}
    steps = {
        ("dp", "p"): lambda p, y: -np.eye(3)[y] / p[y],
        ("dx", "x"): lambda dp, p: p * dp - p * (p @ dp),
    }
    assert check_steps(loss, steps, at=at)
    assert check_gradient(loss, lambda p, y: p - np.eye(3)[y], at=at)
    wrong = {**steps, ("dp", "p"): lambda p, y: -np.eye(3)[y] / p[y] + 1e-3 * (np.arange(3) == (y + 1) % 3)}
    assert check_steps(loss, wrong, at=at).first_wrong == "dp"  # in an element that the loss does not use
    assert not check_gradient(loss, lambda p, y: p - 1.001 * np.eye(3)[y], at=at)
