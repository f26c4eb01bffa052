"""Five hundred derivations that are right: none may be called wrong, near kinks and poles included."""

import math

import numpy as np
import pytest

import autograd_mini as am
from autograd_mini import check_gradient

# name: (the function on floats and Values, its derivative on floats)
UNARY = {
    "sin": (am.sin, math.cos),
    "cos": (am.cos, lambda x: -math.sin(x)),
    "tanh": (am.tanh, lambda x: 1 - math.tanh(x) ** 2),
    "sigmoid": (am.sigmoid, lambda x: math.exp(-abs(x)) / (1 + math.exp(-abs(x))) ** 2),
    "exp": (am.exp, math.exp),
    "log": (am.log, lambda x: 1 / x),
    "sqrt": (am.sqrt, lambda x: 0.5 / math.sqrt(x)),
    "abs": (am.abs, lambda x: math.copysign(1.0, x)),
    "relu": (am.relu, lambda x: float(x > 0)),
    "atan": (am.atan, lambda x: 1 / (1 + x * x)),
    "reciprocal": (lambda x: 1 / x, lambda x: -1 / (x * x)),
    "cube": (lambda x: x**3, lambda x: 3 * x * x),
    "neg": (lambda x: -x, lambda x: -1.0),
}
BINARY = {
    "add": (lambda x, y: x + y, lambda x, y: (1.0, 1.0)),
    "sub": (lambda x, y: x - y, lambda x, y: (1.0, -1.0)),
    "mul": (lambda x, y: x * y, lambda x, y: (y, x)),
    "div": (lambda x, y: x / y, lambda x, y: (1 / y, -x / (y * y))),
    "maximum": (am.maximum, lambda x, y: (float(x > y), float(x <= y))),
    "minimum": (am.minimum, lambda x, y: (float(x < y), float(x >= y))),
    "hypot": (am.hypot, lambda x, y: (x / math.hypot(x, y), y / math.hypot(x, y))),
}


def random_tree(random, depth):
    if depth == 0 or random.random() < 0.1:
        leaf = random.choice(["x", "y", "constant"])
        return round(float(random.normal()), 1) if leaf == "constant" else str(leaf)
    if random.random() < 0.5:
        return str(random.choice(list(UNARY))), random_tree(random, depth - 1)
    return (
        str(random.choice(list(BINARY))),
        random_tree(random, depth - 1),
        random_tree(random, depth - 1),
    )


def evaluate(tree, names):
    match tree:
        case str():
            return names[tree]
        case float():
            return tree
        case name, operand:
            return UNARY[name][0](evaluate(operand, names))
        case name, left, right:
            return BINARY[name][0](evaluate(left, names), evaluate(right, names))


def dual(tree, names):
    """Value and partials, carried forward by hand: nothing of the engine's reverse mode."""
    match tree:
        case str():
            return names[tree], float(tree == "x"), float(tree == "y")
        case float():
            return tree, 0.0, 0.0
        case name, operand:
            v, *tangents = dual(operand, names)
            slope = UNARY[name][1](v)
            return (float(UNARY[name][0](v)), *(slope * d for d in tangents))
        case name, left, right:
            v, *dv = dual(left, names)
            w, *dw = dual(right, names)
            p, q = BINARY[name][1](v, w)
            return (float(BINARY[name][0](v, w)), *(p * a + q * b for a, b in zip(dv, dw, strict=True)))


def random_check(random, mistake=0.0, **options):
    """The report on a random function at a random, often a special, point; None outside the domain."""
    tree = random_tree(random, 4)
    at = {name: float(random.choice([random.normal(), round(random.normal()), 0.0])) for name in "xy"}

    def hand(x, y):
        _, dx, dy = dual(tree, {"x": x, "y": y})
        return {"x": dx * (1 + mistake), "y": dy}

    def f(x, y):
        return evaluate(tree, {"x": x, "y": y})

    try:
        dual(tree, at)
        return tree, at, check_gradient(f, hand, at=at, wrt=["x", "y"], **options)
    except (ValueError, ArithmeticError):
        return None


@pytest.mark.parametrize("count", [80, pytest.param(1_000, marks=pytest.mark.slow)])
def test_no_right_derivation_is_called_wrong(count):
    random = np.random.default_rng(2024)
    verdicts = {"agrees": 0, "inconclusive": 0}
    while sum(verdicts.values()) < count:
        if found := random_check(random, points=2, diagnosis=0):
            tree, at, report = found
            assert report.verdict != "disagrees", f"{tree} at {at}\n{report}"
            verdicts[report.verdict] += 1
    assert verdicts["agrees"] > 0.8 * count


def test_a_mistake_of_one_in_ten_thousand_is_called_wrong():
    random = np.random.default_rng(7)
    caught = open_ = 0
    while caught < 40:
        found = random_check(random, mistake=1e-4, points=1, diagnosis=0)
        if found and any(abs(e.engine) > 1e-6 for e in found[2].entries if e.name == "x" and e.point == 0):
            caught += found[2].verdict == "disagrees"
            open_ += found[2].verdict != "disagrees"
    assert open_ < 13


@pytest.mark.parametrize("x", [1e-9, 1e-5, 1e-2, 1.0, 30.0])
@pytest.mark.parametrize(
    ("f", "hand"),
    [
        (lambda x: 1 / x, lambda x: -1 / x**2),
        (lambda x: am.log(x), lambda x: 1 / x),
        (lambda x: am.abs(x), lambda x: math.copysign(1.0, x)),
        (lambda x: am.sqrt(x), lambda x: 0.5 / math.sqrt(x)),
        (lambda x: (1 - am.cos(x)) / x**2, lambda x: math.sin(x) / x**2 - 2 * (1 - math.cos(x)) / x**3),
        (lambda x: am.sqrt(x * x + 1) - x, lambda x: x / math.sqrt(x * x + 1) - 1),
        (lambda x: am.sin(1 / x), lambda x: -math.cos(1 / x) / x**2),
    ],
)
def test_near_poles_and_kinks_and_in_cancellation_the_right_is_never_wrong(f, hand, x):
    report = check_gradient(f, hand, at=x, points=2)
    assert report.verdict != "disagrees", report
    if x >= 1:
        assert report
