"""Comparisons below, at and above equality: of Values, arrays, in recorded functions, in rows; and labels."""

import itertools
import math
import operator

import numpy as np
import pytest

import autograd_mini as am
from autograd_mini import Value, grad, rules, trace, value_and_grad, values
from autograd_mini.recording import record

PAIRS = [(1.0, 2.0), (1.0, 1.0), (2.0, 1.0), (0.0, -0.0), (-1.0, 1.0), (math.inf, math.inf), (math.nan, 1.0)]
PAIRS += [(math.nan, math.nan), (1.0, math.inf)]
ORDER = [operator.lt, operator.le, operator.gt, operator.ge]
EQUALITY = [operator.eq, operator.ne]
FORMS = [Value, float, np.float64, np.float32]


pytestmark = pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of nan among objects


def name(function):
    return function.__name__


@pytest.mark.parametrize("compare", ORDER, ids=name)
@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_order_of_values_and_numbers_is_that_of_their_data(compare, a, b):
    for left, right in itertools.product(FORMS, FORMS):
        if Value in (left, right):
            assert bool(compare(left(a), right(b))) is compare(a, b), (left, right)
    assert type(compare(Value(a), Value(b))) is bool


@pytest.mark.parametrize("compare", EQUALITY, ids=name)
@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_equality_with_numbers_is_that_of_the_data(compare, a, b):
    for form in FORMS[1:]:
        assert bool(compare(Value(a), form(b))) is compare(a, b)
        assert bool(compare(form(a), Value(b))) is compare(a, b)


@pytest.mark.parametrize(("number", "truth"), [(0.0, False), (-0.0, False), (5e-324, True), (math.nan, True)])
def test_a_value_is_true_unless_it_is_zero(number, truth):
    assert bool(Value(number)) is truth


@pytest.mark.parametrize("compare", ORDER, ids=name)
def test_order_of_arrays_of_values(compare):
    a, b = np.array(PAIRS).T
    wanted = compare(a, b)
    x, y = values(a), values(b)
    for left, right in ((x, y), (x, b), (a, y)):
        np.testing.assert_array_equal(np.asarray(compare(left, right), bool), wanted)
    np.testing.assert_array_equal(np.asarray(compare(x, 1.0), bool), compare(a, 1.0))
    np.testing.assert_array_equal(np.asarray(compare(1.0, x), bool), compare(1.0, a))


@pytest.mark.parametrize("compare", [*ORDER, *EQUALITY], ids=name)
def test_conditions_of_a_recorded_function_are_decided_at_every_call(compare):
    def between(x, y):
        return am.where(compare(x, y), 1.0, 0.0)

    program, reverse = trace(between, 0.0, 0.0), trace(lambda y: am.where(compare(1.0, y), 1.0, 0.0), 0.0)
    several = trace(
        lambda x, y: np.where(compare(x, y), 1.0, 0.0), np.zeros(len(PAIRS)), np.zeros(len(PAIRS))
    )
    a, b = np.array(PAIRS).T
    np.testing.assert_array_equal(program(a, b), compare(a, b))
    np.testing.assert_array_equal(several(a, b), compare(a, b))
    for x, y in PAIRS:
        assert program(x, y) == compare(x, y)
        assert reverse(y) == compare(1.0, y)
        assert program(Value(x), Value(y)).data == compare(x, y)


# --- rows with a comparison in them, at and beside equality: value and partials ---

BRANCHES = {
    "maximum": [((2, 1), 2, (1, 0)), ((1, 2), 2, (0, 1)), ((1, 1), 1, (0.5, 0.5))],
    "minimum": [((2, 1), 1, (0, 1)), ((1, 2), 1, (1, 0)), ((1, 1), 1, (0.5, 0.5))],
    "less": [((1, 2), 1, (0, 0)), ((1, 1), 0, (0, 0)), ((2, 1), 0, (0, 0))],
    "less_equal": [((1, 2), 1, (0, 0)), ((1, 1), 1, (0, 0)), ((2, 1), 0, (0, 0))],
    "equal": [((1, 2), 0, (0, 0)), ((1, 1), 1, (0, 0)), ((2, 1), 0, (0, 0))],
    "sign": [((2,), 1, (0,)), ((0,), 0, (0,)), ((-2,), -1, (0,))],
    "abs": [((2,), 2, (1,)), ((0,), 0, (0,)), ((-2,), 2, (-1,))],
    "relu": [((2,), 2, (1,)), ((0,), 0, (0,)), ((-2,), 0, (0,))],
    "where": [((1, 3, 4), 3, (0, 1, 0)), ((0, 3, 4), 4, (0, 0, 1)), ((-1, 3, 4), 3, (0, 1, 0))],
    "convention": [((1, 3, 4), 3, (0, 1, 0)), ((0, 3, 4), 4, (0, 0, 1)), ((-1, 3, 4), 3, (0, 1, 0))],
    "trunc": [((-1.5,), -1, (0,)), ((0,), 0, (0,)), ((1.5,), 1, (0,))],
    "rint": [((0.25,), 0, (0,)), ((0.5,), 0, (0,)), ((1.5,), 2, (0,)), ((0.75,), 1, (0,))],
    "entr": [((0,), 0, (math.inf,)), ((1,), 0, (-1,))],
    "xlog1py": [((0, -1), 0, (0, 0)), ((0, 0), 0, (0, 0)), ((1, 0), 0, (0, 1)), ((0, -2), 0, (0, 0))],
}


@pytest.mark.parametrize(
    ("name", "point", "value", "partials"),
    [(row, *case) for row, cases in BRANCHES.items() for case in cases],
)
def test_rows_with_branches_at_their_edges(name, point, value, partials):
    row = getattr(am, name, None) or (lambda *operands: getattr(operands[0], name)(*operands[1:]))
    nodes = [Value(x) for x in point]
    result = row(*nodes)
    result.backward()
    assert result.data == value
    assert tuple(node.grad for node in nodes) == partials
    assert all(
        rules.NUMPY.function(rules.table[name])(*map(np.array, map(float, point))) == np.array([value])
    )


def test_every_row_with_an_order_in_it_is_tried_at_its_edges():
    tried = {
        *BRANCHES,
        "pow",
        "xlogy",
        "cbrt",
        "atan2",
        "hypot",
        "softplus",
        "logaddexp",
        "trigamma",
        "fmod",
        "mod",
        "floor_divide",
        "logit",
        "heaviside",
    }
    # the others in test_rules and test_numpy_functions
    formulas = {row.name: " ".join([row.formula, *row.partials]) for row in rules.table.values()}
    assert {name for name, text in formulas.items() if "<" in text or ">" in text or "==" in text} <= tried


@pytest.mark.parametrize(("x", "slope"), [(-2.0, 0), (-1.0, 1), (0.0, 1), (1.0, 1), (2.0, 0)])
def test_clip_has_partial_1_on_its_bounds(x, slope):
    f = value_and_grad(lambda x: np.clip(x, -1.0, 1.0))
    assert f(x) == (min(max(x, -1.0), 1.0), slope)
    assert trace(grad(lambda x: np.clip(x, -1.0, 1.0)), 0.0)(x) == slope


# --- labels ---


def test_the_first_slot_has_its_label():
    x = Value(2.0)
    same = am.named(x.identity(), "h")  # an identity is its operand's slot
    assert record([same * same], [x]).labels == {0: "h"}
    first = am.named(Value(2.0).exp(), "e")  # of constants alone: there is no input before it
    assert record([first * first], []).labels[len(record([first], []).code.constants)] == "e"
    assert record([x * 3.0], [am.named(x, "x")]).labels == {0: "x"}


@pytest.mark.parametrize("transform", [grad, value_and_grad])
def test_a_derivative_is_labelled_with_the_label_of_the_output_or_the_functions_name(transform):
    def loss(x):
        return (x * x).exp()

    def labelled(x):
        return am.named((x * x).exp(), "L")

    assert "∂loss/∂x" in trace(transform(loss), 0.0).listing.labels.values()
    assert "∂L/∂x" in trace(transform(labelled), 0.0).listing.labels.values()
