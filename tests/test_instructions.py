"""What instructions hold together: each number at the last that fits, and at the first that does not."""

import pickle

import numpy as np
import pytest

from autograd_mini import Value, grad, trace, value_and_grad
from autograd_mini.instructions import Instructions
from autograd_mini.recording import record


def state(**changed):
    """x * 2 and −x, as plain data, with some of it changed."""
    x = Value(3.0, label="x")
    plain = record([x * 2.0, -x], [x]).code.state()
    for part in ("codes", "operands", "outputs"):
        if part in changed:
            changed[part] = np.array(changed[part], "<i4").tobytes()
    return plain | changed


FIT = [
    {},
    {"outputs": [0]},
    {"outputs": [1]},
    {"outputs": [3, 3]},
    {"outputs": []},
    {"operands": [1, 1, 2, -1]},
    {"operands": [0, 0, 0, -1]},
    {"constants": ("pi",)},
    {"inputs": 0, "constants": (1.0, 2.0)},
]
DO_NOT_FIT = [
    ({"outputs": [4]}, "an output does not exist"),
    ({"outputs": [-1]}, "an output does not exist"),
    ({"outputs": [0, 4, 0]}, "an output does not exist"),
    ({"operands": [2, 1, 2, -1]}, "an operand does not exist yet"),
    ({"operands": [0, -1, 2, -1]}, "an operand does not exist yet"),
    ({"operands": [0, 1, 3, -1]}, "an operand does not exist yet"),
    ({"operands": [0, 1, 2, -2]}, "an operand does not exist yet"),
    ({"operands": [0, 1, 2, 0]}, "an operand does not exist yet"),
    ({"operands": [0, 0]}, "an operand does not exist yet"),
    ({"codes": [0, 2]}, "one names no row"),
    ({"codes": [-1, 1]}, "one names no row"),
    ({"constants": (2,)}, "a constant is no number"),
    ({"constants": ("e",)}, "a constant is no number"),
    ({"inputs": -1}, "the number of inputs is no count"),
    ({"inputs": 1.0}, "the number of inputs is no count"),
    ({"inputs": True}, "the number of inputs is no count"),
    ({"rows": ["mul", "no such row"]}, "uses the row 'no such row'"),
]


@pytest.mark.parametrize("changed", FIT, ids=str)
def test_what_fits_is_taken(changed):
    wanted = state(**changed)
    assert Instructions.restored(wanted).state() == wanted


@pytest.mark.parametrize(("changed", "message"), DO_NOT_FIT, ids=str)
def test_what_does_not_fit_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        Instructions.restored(state(**changed))


@pytest.mark.parametrize("f", [lambda: 2.0, lambda x: x, lambda x: (x, 3.0)])
def test_programs_with_few_numbers_are_pickled(f):
    examples = [0.0] * f.__code__.co_argcount
    program = trace(f, *examples)
    again = pickle.loads(pickle.dumps(program))
    given = [5.0] * len(examples)
    assert again(*given) == program(*given) == f(*given)


def test_what_depends_on_a_derivative_comes_after_all_that_does_not():
    def f(x):
        return (x * x).exp()

    both = trace(value_and_grad(f), 0.0)
    assert [both.code.rows[k].name for k in both.code.codes[: both.listing.reverse]] == ["mul", "exp"]
    assert both.listing.reverse < len(both.code)
    later = trace(lambda x: (3.0 * grad(f)(x) + 1.0, f(x).sin()), 0.0)  # asked for first, and written last
    names = [later.code.rows[k].name for k in later.code.codes]
    assert names[: later.listing.reverse] == ["mul", "exp", "sin"]
    assert names[-2:] == ["mul", "add"]
    assert trace(f, 0.0).listing.reverse == 2


def test_an_operation_of_a_derivative_and_of_the_function_is_the_functions():
    def f(x):
        slope = grad(lambda x: x.sin())(x)
        h = x.cos()
        h.label = "h"
        return slope * 2.0, h

    program = trace(f, 0.0)  # whose derivative is recorded first
    assert [program.code.rows[k].name for k in program.code.codes] == ["cos", "mul"]
    assert (program.listing.reverse, program.listing.labels) == (2, {0: "x", 2: "h"})
    assert program(0.0) == (2.0, 1.0)
