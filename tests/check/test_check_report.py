"""The report: what a person, a terminal, a notebook and a machine get to read."""

import json
import math
import pickle
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

import autograd_mini as am
from autograd_mini import Report, check_gradient, check_jacobian, check_steps, named, sigmoid
from autograd_mini.check.reports.report import Part

Z = [1.5, -0.5, 0.75]
JACOBIAN = {"at": Z, "out": "S"}


def softmax(z):
    e = np.exp(z - np.max(z))
    return e / np.sum(e)


def wrong():
    return check_jacobian(softmax, "S[i] * (S[j] - (i == j))", **JACOBIAN)


def test_the_parts_come_in_the_order_in_which_they_are_read():
    lines = str(wrong()).splitlines()
    starts = [
        "check_jacobian: disagrees",
        "→",
        "  correct:",
        "✗",
        "… and",
        "∂S/∂z:",
        "points tried",
        "tolerances",
        "witnesses",
    ]
    places = [next(i for i, line in enumerate(lines) if line.startswith(start)) for start in starts]
    assert places == sorted(places)
    assert lines[places[5] + 1 : places[5] + 4] == ["  ✗ ✗ ✗"] * 3


def test_a_diagnosis_that_was_not_found_is_said():
    report = check_gradient(lambda x: am.sin(x), lambda x: math.sin(3 * x) + 0.123, at=0.3)
    assert report.explanations == ()
    assert "No known mistake reproduces your result." in str(report)


def test_no_grid_beyond_twelve_and_none_where_all_is_right():
    assert "✓" not in str(check_jacobian(softmax, "diag(S) - outer(S, S)", **JACOBIAN))
    z = np.linspace(-1, 1, 13)
    assert "∂S/∂z:" not in str(check_jacobian(softmax, "-(diag(S) - outer(S, S))", at=z, out="S", points=0))


def test_colour_is_for_terminals(monkeypatch):
    report = wrong()
    plain = str(report)
    assert "\x1b" not in plain
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    coloured = str(report)
    assert coloured.startswith("check_jacobian: \x1b[31mdisagrees\x1b[0m")
    assert "\x1b[31m✗\x1b[0m" in coloured
    with pytest.raises(AssertionError) as failure:
        report.raise_if_wrong()
    assert str(failure.value) == plain
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in str(report)


class Balanced(HTMLParser):
    """Fails on an element that is closed before the ones inside it."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html_is_well_formed_and_escaped():
    report = check_gradient(lambda x: x, lambda x: 1 / 0, at=1.0)
    assert "division by zero" in report._repr_html_()

    def hand(x):
        raise KeyError("<script>alert(1)</script>")

    for found in (wrong(), check_gradient(lambda x: x, hand, at=1.0), check_gradient(am.abs, 1.0, at=0.0)):
        page = found._repr_html_()
        parser = Balanced()
        parser.feed(page)
        assert parser.open == []
        assert "script" not in parser.seen
        assert page.index(found.verdict) < page.index("points tried" if found.points else "witnesses")
    assert page.count("<table ") == 1
    assert wrong()._repr_html_().count("✗") == 6 + 9


def test_the_dictionary_is_json():
    report = check_jacobian(softmax, lambda z: np.full((3, 3), np.inf), at=Z)
    text = json.dumps(report.to_dict(), allow_nan=False)
    found = json.loads(text)
    assert found["verdict"] == "disagrees"
    assert found["entries"][0]["yours"] == "inf"
    assert found["entries"][-1]["witness"] is None
    assert found["sections"] == {"z": "disagrees"}
    named = json.loads(json.dumps(wrong().to_dict()))
    assert [explanation["kind"] for explanation in named["explanations"]][:2] == ["slip", "sign"]
    assert {"title", "verdict", "reason", "entries", "explanations", "sections", "tolerances"} <= {*named}


def test_no_color_follows_the_convention_that_an_empty_value_does_not_count(monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "")
    assert "\x1b" in str(wrong())


# --- parts ---


def test_lines_of_code_with_a_margin_are_rendered_as_steps_are():
    lines = (
        Part("1", "def backward(dy):", ""),
        Part("2", "    dz = dy * y", "wrong", "is not ∂L/∂z", "of shape (3,)"),
        Part("3", "    dW = np.outer(dz, x)", "right", "= ∂L/∂W given dz"),
    )
    report = Report("check", "L", lines, ())
    assert report.verdict == "disagrees"
    assert report.sections == {"2": "wrong", "3": "right"}
    assert report.first_wrong == "2"
    assert report["2"].margin == "is not ∂L/∂z"
    assert report.text().splitlines()[1:5] == [
        "    def backward(dy):",
        "  ✗     dz = dy * y           is not ∂L/∂z",
        "      of shape (3,)",
        "  ✓     dW = np.outer(dz, x)  = ∂L/∂W given dz",
    ]
    page = re.sub(' style="[^"]*"', "", report._repr_html_())
    assert "<td>&nbsp;&nbsp;&nbsp;&nbsp;dz = dy * y</td><td>is not ∂L/∂z</td><td>of shape (3,)</td>" in page
    assert [part["name"] for part in report.to_dict()["parts"]] == ["1", "2", "3"]


def test_every_check_gives_the_same_report():
    report = check_steps(lambda x: named(x * x, "L"), {"x": lambda x: 3 * x}, at=2.0)
    assert type(report) is type(wrong()) is Report
    assert report.sections == {"x": "wrong"}
    assert wrong().first_wrong == "z"
    assert {*report.to_dict()} == {*wrong().to_dict()}
    assert "witnesses: the engine, f at 50 digits" in str(report)
    assert "3/2" in report["x"].why


# --- the picture ---


def test_the_picture_marks_the_path_that_went_wrong():
    def loss(z, t):
        e = np.exp(z)
        return -np.sum(t * np.log(named(e / np.sum(e), "S")))

    at = {"z": Z, "t": np.array([0, 0, 1])}
    report = check_gradient(loss, lambda z, t: -t * (1 - softmax(z)), at=at, domain={"t": "one-hot"})
    nodes = [line for line in report.draw(sums=False).source.splitlines() if "TABLE" in line]
    marked = [line for line in nodes if "●" in line]
    assert len(marked) == 3 + 3 + 2 + 3  # z, exp, two sums, S
    assert not any("log" in line or "*" in line for line in marked)
    assert pickle.loads(pickle.dumps(report)).to_dict() == report.to_dict()


def test_only_what_is_wrong_is_drawn():
    with pytest.raises(ValueError, match="this report agrees"):
        check_gradient(sigmoid, "sigmoid(x) * (1 - sigmoid(x))", at=0.3).draw()
