"""Mistakes that people make in their first hours, and the sense of what they are answered.

Each answer says what was given, what was expected, and what to do instead.
"""

import math
import re
from types import SimpleNamespace

import numpy as np
import pytest

import autograd_mini
from autograd_mini import (
    Value,
    check_backward,
    check_gradient,
    check_jacobian,
    check_steps,
    check_value,
    cross_entropy,
    draw,
    grad,
    hessian,
    jacobian,
    named,
    nn,
    primitive,
    softmax,
    trace,
    value_and_grad,
    values,
)
from autograd_mini.command_line import main

pytestmark = pytest.mark.version

MISTAKES = {}


def mistake(error, given, expected, instead):
    """The mistake that the function below makes, and patterns for the three parts of its answer."""

    def collect(f):
        MISTAKES[f.__name__] = (f, error, SimpleNamespace(given=given, expected=expected, instead=instead))
        return f

    return collect


def plain_loss(W, x, t):
    return np.sum((np.tanh(W @ x) - t) ** 2)


def named_loss(W, x, t):
    y = named(np.tanh(named(W @ x, "z")), "y")
    return np.sum((y - t) ** 2)


def sum_of_squares(x):
    return np.sum(x**2)


AT = {"W": [[0.1, 0.2], [0.3, 0.4]], "x": [1.0, 2.0], "t": [0.0, 1.0]}

# --- derivations ---


@mistake(ValueError, "'y'", "there are: W, x, t", r'y = named\(…, "y"\)')
def a_step_for_what_has_no_name():
    check_steps(lambda W, x, t: np.sum(((np.tanh(W @ x)) - t) ** 2), {"y": lambda t: t}, at=AT)


@mistake(ValueError, "'dy'", "there are: .*z, y", r'goes by "y", as a step also by \("dy", "y"\)')
def a_step_called_like_its_derivative():
    steps = {"dy": lambda y, t: 2 * (y - t), "dz": lambda dy, y: dy * (1 - y**2)}
    check_steps(named_loss, steps, at=AT)


@mistake(None, "z\\[0\\] is .* given your y, yours", "y is your ∂f/∂y", r'call that step \("dy", "y"\)')
def a_step_that_means_both_a_value_and_its_derivative():
    steps = {"y": lambda y, t: 2 * (y - t), "z": lambda y: y * (1 - y**2)}
    return check_steps(named_loss, steps, at=AT, points=0)


@mistake(ValueError, "'x'", "there are: nothing", r'Value\(…, label="x"\)')
def a_graph_without_labels():
    x = Value(2.0)
    check_gradient(x * x, {"x": 4.0})


@mistake(TypeError, "no keyword args", "f's further arguments", r'at=\{"x": x0, "a": …\}')
def arguments_as_scipy_takes_them():
    check_gradient(lambda x, a: a * np.sum(x**2), lambda x, a: 2 * a * x, np.ones(2), args=(3.0,))


@mistake(TypeError, "at= gives no names", "f takes x, a", r'write at=\{"x": …, "a": …\}')
def one_point_for_two_arguments():
    check_gradient(lambda x, a: a * np.sum(x**2), lambda x, a: 2 * a * x, np.ones(2))


@mistake(TypeError, "got 3.0", "wrt= names arguments", r'wrt="x" or wrt=\["w", "x"\]')
def further_arguments_by_position():
    check_gradient(lambda x, a: a * np.sum(x**2), lambda x, a: 2 * a * x, np.ones(2), 3.0)


@mistake(TypeError, "two results", "its value and its gradient", r"check_backward\(f, at=…\)")
def value_and_gradient_together():
    check_gradient(lambda x: (np.sum(x**2), 2 * x), lambda x: 2 * x, at=np.ones(2))


@mistake(TypeError, "backward takes alpha", "say what it is", r"at=\{…, 'alpha': 0.1\}")
def a_rate_where_nothing_steps():
    check_backward(lambda x: x**2, lambda d, x, alpha: 2 * x * d * alpha, at={"x": np.ones(2)})


@mistake(TypeError, "got None", "a function, a formula, or numbers", r"check_backward\(f, at=…\)")
def value_and_gradient_alone():
    check_gradient(lambda x: (np.sum(x**2), 2 * x), at=np.ones(2))


@mistake(None, "hand result for x .* got", "an array of numbers", "return the gradient alone")
def a_hand_function_that_gives_the_value_too():
    return check_gradient(sum_of_squares, lambda x: (np.sum(x**2), 2 * x), at=np.ones(2))


@mistake(None, "hand result for x .* got NoneType", "an array of numbers", r"is there a return\?")
def a_hand_function_without_return():
    def hand(x):
        2 * x

    return check_gradient(sum_of_squares, hand, at=np.ones(2))


@mistake(TypeError, "f: .* got NoneType", "expected numbers", r"is there a return\?")
def a_function_without_return():
    def f(x):
        np.sum(x)

    check_gradient(f, lambda x: np.ones(2), at=np.ones(2))


@mistake(TypeError, "asks for p", "there are x", r"argument of f too .* hessp\(x, p\)")
def a_hessian_vector_product():
    check_jacobian(grad(lambda x: np.sum(x**3)), lambda x, p: 6 * x * p, at=np.ones(2))


@mistake(TypeError, "no keyword tol", "closeness", "rtol= and atol=")
def a_tolerance_by_another_name():
    check_gradient(sum_of_squares, lambda x: 2 * x, at=np.ones(2), tol=1e-3)


@mistake(TypeError, "no keyword epsilon", "differences are extrapolated", "no step to choose")
def a_step_size():
    check_gradient(sum_of_squares, lambda x: 2 * x, at=np.ones(2), epsilon=1e-5)


@mistake(TypeError, "no keyword domains", "", "did you mean domain")
def a_keyword_misspelt():
    check_gradient(sum_of_squares, lambda x: 2 * x, at=np.ones(2), domains="positive")


@mistake(TypeError, "", "give the point", r'at=\{"w": …, "x": …\}')
def no_point():
    check_gradient(lambda w, x: w * x, lambda w, x: x)


@mistake(ValueError, "got shape \\(3,\\)", "one output", "use check_jacobian")
def the_gradient_of_several_outputs():
    check_gradient(lambda x: x**2, lambda x: 2 * x, at=np.ones(3))


@mistake(TypeError, "asks for y", "there are x", "")
def a_formula_with_a_foreign_name():
    check_gradient("sum(x**2)", "2*y", at=np.ones(3))


@mistake(TypeError, "function", "expected numbers", "at=")
def point_and_derivation_swapped():
    check_gradient(lambda x: x**2, 2.0, lambda x: 2 * x)


@mistake(ValueError, "expected printed figures|0,69", "", "")
def a_decimal_comma():
    check_value(cross_entropy, "0,69", at={"y": [0.5, 0.5], "t": [1, 0]})


@mistake(TypeError, "got a dict of 'loss'", "expected numbers", "return one of them")
def a_function_that_returns_a_dict():
    check_gradient(lambda x: {"loss": np.sum(x**2)}, lambda x: 2 * x, at=[1.0, 2.0])


@mistake(TypeError, "x as rows of 2, 1 numbers", "an array", "give rows of one length")
def a_ragged_point():
    check_gradient(sum_of_squares, lambda x: 2 * x, at=[[1, 2], [3]])


@mistake(TypeError, "x as a matrix", r"whose \* is a product", r"np.array\(x\)")
def a_numpy_matrix():
    check_gradient(lambda x: np.sum(x * x), lambda x: 2 * x, at=np.ones((2, 2)).view(np.matrix))


@mistake(TypeError, "x as a MaskedArray", "no numbers", r"np.array\(x\)")
def a_masked_array():
    check_gradient(lambda x: np.sum(x * x), lambda x: 2 * x, at=np.ma.array([1.0, 2.0], mask=[0, 1]))


@mistake(TypeError, "W as rows of 1, 2 numbers", "an array", "give rows of one length")
def a_ragged_parameter():
    check_gradient(lambda W, x: np.sum(W @ x), {"W": lambda x: x}, at={"W": [[1], [2, 3]], "x": [1, 2]})


@mistake(None, "got rows of several lengths", "expected numbers", "give each as many")
def a_ragged_result():
    return check_gradient(sum_of_squares, lambda x: [[1, 2], [3]], at=np.ones(2))


@mistake(ValueError, "nothing to differentiate by", "x has no entries", "check")
def an_empty_argument():
    return check_gradient(sum_of_squares, lambda x: 2 * x, at=[])


@mistake(None, "complex number counts as nan", "the hand result for x", r"first at \(0,\)")
def a_complex_result():
    return check_gradient(sum_of_squares, lambda x: 2j * x, at=np.ones(2))


@mistake(None, "yours is float32", "held to what that resolves", r"in float64, as by x\.astype\(float\)")
def a_result_in_float32():
    return check_gradient(sum_of_squares, lambda x: (2 * x).astype(np.float32), at=np.array([0.3, 0.5]))


@mistake(TypeError, "at= gives x", "made of n_in, n_out", r"give n_in, n_out .* or an instance, Linear\(…\)")
def a_class_without_what_it_is_made_of():
    class Linear:
        def __init__(self, n_in, n_out):
            self.W = np.ones((n_out, n_in))

        def forward(self, x):
            return self.W @ x

        def backward(self, d):
            return self.W.T @ d

    check_backward(Linear, at={"x": np.ones(2)})


@mistake(TypeError, "asks for S", "there are .*z", 'a result of f is named by out="S"')
def a_result_without_its_name():
    check_jacobian(softmax, lambda z, S: np.diag(S) - np.outer(S, S), at=[1.0, 2.0])


@mistake(None, r"x\[1\] is nan", "not finite at the given point", "")
def a_point_of_nan():
    return check_gradient(sum_of_squares, lambda x: 2 * x, at=[1.0, math.nan])


@mistake(None, "another result when it is called again", "drawn alike", "seed it inside f, or pass it")
def a_random_function():
    draws = np.random.default_rng()
    return check_gradient(lambda x: np.sum(x * draws.random(2)), lambda x: np.ones(2), at=np.ones(2))


@mistake(TypeError, "got 3.0", "a function, a formula or a graph of Values", "")
def a_number_for_a_function():
    check_gradient(3.0, lambda x: 2 * x, at=1.0)


@mistake(TypeError, "a hand function", "numbers for labels", "needs f itself")
def a_hand_function_for_a_graph():
    x = Value(2.0, label="x")
    check_gradient(x * x, {"x": lambda x: 2 * x})


@mistake(TypeError, "backward gives nothing", "no gradient", r"is there a return\?")
def a_backward_pass_without_return():
    def backward(d, x):
        2 * x * d

    check_backward(lambda x: x**2, backward, at={"x": np.ones(2)})


@mistake(TypeError, "forward returns nothing", "", r"is there a return\?")
def a_forward_pass_without_return():
    def forward(x):
        x**2

    check_backward(forward, lambda d, x: 2 * x * d, at={"x": np.ones(2)})


# --- transforms and programs ---


@mistake(TypeError, r"given \[1, 2\]", "a tree of numbers", r"np\.array\(\[1, 2\]\)")
def a_list_where_f_wants_an_array():
    grad(sum_of_squares)([1, 2])


@mistake(AttributeError, r"given \[1.0, 2.0\]", "a tree of numbers", r"np\.array\(\[1.0, 2.0\]\)")
def a_list_where_f_calls_a_method():
    jacobian(lambda x: x.cumsum())([1.0, 2.0])


@mistake(
    TypeError, r"given \[\[1, 2\], \[3, 4\]\]", "a tree of numbers", r"np\.array\(\[\[1, 2\], \[3, 4\]\]\)"
)
def rows_in_a_trace():
    trace(lambda W: W @ W, [[1, 2], [3, 4]])


@mistake(TypeError, "no keyword argnum", "", r"did you mean argnums\?")
def argnum():
    grad(lambda x, y: x * y, argnum=1)


@mistake(TypeError, "no keyword wrt", "", r"did you mean argnums\?")
def wrt_of_a_transform():
    hessian(lambda x, y: x * y, wrt=1)


@mistake(TypeError, "got 3.0", "a whole number or several", "the point is given to the result")
def the_point_beside_the_function():
    value_and_grad(lambda x: x**2, 3.0)(3.0)


@mistake(TypeError, "got Value", "expected a function", r"gradient_graph\(output, inputs\)")
def the_gradient_of_a_graph():
    x = Value(2.0)
    grad(x * x)


@mistake(TypeError, r"an array of shape \(3,\)", "one Value", "use jacobian")
def the_gradient_of_an_array():
    grad(lambda x: x**2)(np.ones(3))


@mistake(TypeError, "got None", "one Value", r"is there a return\?")
def a_loss_without_return():
    def loss(x):
        np.sum(x**2)

    grad(loss)(np.ones(3))


@mistake(autograd_mini.TraceError, "cannot decide a branch", "", r"np\.where\(condition, a, b\)")
def a_branch_in_a_trace():
    trace(lambda x: x if x > 0 else -x, 1.0)


@mistake(
    TypeError, r"takes \(w, x\), got 1 examples", "a number or an array of its shape", "one for each argument"
)
def too_few_examples():
    trace(lambda w, x: w @ x, np.ones((2, 3)))


@mistake(TypeError, r"got \(4,\)", r"expected an array of shape \(3,\)", "vmap")
def a_program_on_another_shape():
    trace(sum_of_squares, np.ones(3))(np.ones(4))


@mistake(ValueError, "'fortran'", '"python", "numpy"', "")
def a_language_that_there_is_not():
    trace(lambda x: x**2, 1.0).source("fortran")


@mistake(ValueError, "sigmod", "", "did you mean sigmoid")
def a_row_with_a_name_misspelt():
    primitive("swish", "x * sigmod(x)", "1")


@mistake(TypeError, "numpy.linalg.lstsq", "no derivative rule", "solve the normal equations")
def a_function_without_a_rule():
    grad(lambda A: np.sum(np.linalg.lstsq(A, np.ones(2))[0]))(np.eye(2))


@mistake(ValueError, "0 were given without a name", "argument 0", r"grad\(f\)\(2.0\)")
def a_transform_called_by_name():
    grad(lambda x: x * x)(x=2.0)


@mistake(ValueError, "1 were given", "argument 1, counted from 0", r"grad\(f\)")
def the_first_argument_counted_from_one():
    grad(lambda x: x * x, argnums=1)(2.0)


@mistake(TypeError, "got ndarray", "in_axes must be whole numbers", r"program\.vmap\(\)\(x\)")
def the_examples_beside_the_axes():
    trace(lambda x, y: x * y, 1.0, 2.0).vmap(np.ones(3), np.ones(3))


# --- Values ---


@mistake(
    TypeError, "a Value does not become a float", "derivative would be lost", r"v\.data .* autograd_mini\.exp"
)
def maths_exp():
    math.exp(Value(2.0))


@mistake(TypeError, "the gradient of x is None", "", r"zero_grad\(\) sets it to 0")
def a_gradient_set_to_none():
    x = Value(3.0, label="x")
    x.grad = None
    (x * x).backward()


@mistake(ValueError, "got None", r"\.grad: expected a number", r"shape \(2,\)")
def gradients_set_to_none():
    values([1.0, 2.0], "x").grad = None


@mistake(ValueError, r"got \[1.0, 2.0, 3.0\]", r"\.data: expected a number, or", r"shape \(2,\)")
def data_of_another_shape():
    values([1.0, 2.0], "x").data = [1.0, 2.0, 3.0]


@mistake(AttributeError, "'tanh'", "it has NumPy's", r"as in np\.tanh\(x\)")
def a_function_as_a_method_of_an_array():
    values([1.0, -2.0], "x").tanh()


@mistake(AttributeError, "'relu'", "it has NumPy's", r"as in autograd_mini\.relu\(x\)")
def a_rule_as_a_method_of_an_array():
    values([1.0, -2.0], "x").relu()


@mistake(AttributeError, "'unsqueeze'", "it has NumPy's", r"np\.exp\(x\)")
def a_method_of_pytorch():
    values([1.0, -2.0], "x").unsqueeze(0)


@mistake(TypeError, "got 4", "sizes of the layers in a list", r"such as \[4, 1\]")
def the_layers_of_a_network_one_by_one():
    nn.MLP(3, 4, 1)


@mistake(ValueError, "got None", "a function or the name of a rule", '"tanh"')
def a_network_without_activation():
    nn.MLP(3, [4, 1], activation=None)


@mistake(TypeError, "got 3", "the name must be text", r'values\(\[1, 2\], "z"\)')
def a_number_for_a_name():
    values([1.0, 2.0], 3)


@mistake(TypeError, "no keyword label", "", r"did you mean name\?")
def a_label_for_a_name():
    named(Value(1.0), label="x")


@mistake(TypeError, "got int 3", "a root must be a Value", "")
def the_order_of_a_number():
    autograd_mini.topological_order(3)


@mistake(TypeError, "got 'cat'", "numbers or Values", "")
def a_class_by_its_name():
    cross_entropy([0.5, 0.5], "cat")


@mistake(AttributeError, "'gradcheck'", "", r"did you mean check_gradient\?")
def a_check_of_pytorch():
    autograd_mini.gradcheck  # noqa: B018 - to ask for it is the mistake


@mistake(TypeError, "no keyword rankdir", "", r"did you mean direction\?")
def the_direction_as_graphviz_has_it():
    draw(Value(1.0), rankdir="LR")


@mistake(ValueError, "axis='0'", "the 2 axes", "")
def an_axis_as_text():
    softmax(np.ones((2, 3)), axis="0")


@mistake(ZeroDivisionError, r"got div\(1, x\) with x = 0", "needs y != 0", "")
def a_division_by_a_value_of_zero():
    1 / Value(0.0, label="x")


@mistake(TypeError, "got Value", "must be a string", r'named\(x, "y"\)')
def a_name_before_what_it_names():
    named("y", Value(1.0))


@mistake(TypeError, r"list \[1, 2\]", "one real number", "")
def a_list_as_a_value():
    Value([1, 2])


@mistake(TypeError, r"array of shape \(2,\)", "one Value", "sum it")
def backward_from_an_array():
    (values([1.0, 2.0], "z") * 2).backward()


@mistake(TypeError, "would be lost", "is a copy", r"W\[0\] = 5")
def one_number_of_data():
    values([1.0, 2.0], "z").data[0] = 5.0


@mistake(ValueError, r"axis=2 .* \(2, 3\)", "the 2 axes", "")
def an_axis_too_many():
    softmax(np.ones((2, 3)), axis=2)


@mistake(TypeError, "no keyword dim", "", r"did you mean axis\?")
def softmax_as_pytorch_takes_it():
    softmax(np.ones((2, 3)), dim=1)


@mistake(TypeError, "no keyword label", "", r"did you mean name\?")
def a_label_for_an_array():
    values([1.0, 2.0], label="x")


@mistake(ValueError, "got 2", "probabilities", "cross_entropy_from_logits")
def logits_for_probabilities():
    cross_entropy([1.0, 2.0, 3.0], 0)


@mistake(ValueError, r"\(2, 3\) and \(2,\)", "rows of 3 meet columns of 2", "")
def shapes_that_do_not_fit():
    values(np.ones((2, 3)), "W") @ values(np.ones(2), "x")


@mistake(ValueError, "p = -1", "needs x > 0", "")
def the_logarithm_of_a_negative_number():
    Value(-1.0, label="p").log()


@mistake(AttributeError, "'sofmax'", "", "did you mean softmax")
def a_function_misspelt():
    autograd_mini.sofmax  # noqa: B018 - to ask for it is the mistake


@mistake(AttributeError, "'no_grad'", "", r"did you mean detach\?")
def a_name_of_pytorch():
    autograd_mini.no_grad  # noqa: B018 - as above


@mistake(TypeError, "got function", "a Value", r"draw\(f\(values")
def the_picture_of_a_function():
    draw(sum_of_squares)


@mistake(ValueError, "'drak'", "'light' or 'dark'", "")
def a_theme_misspelt():
    draw(Value(1.0), theme="drak")


# --- the command line ---


LINES = {
    "a command misspelt": (["chek", "x"], "chek", "", r"did you mean check\?"),
    "a formula for a command": (["x**2", "x=1"], r"x\*\*2", "a formula comes after", r"grad 'x\*\*2' x=1"),
    "a file for a command": (["net.py"], "net.py", "a file is checked by", "autograd-mini check net.py"),
    "an option misspelt": (["grad", "x", "x=1", "--wtr", "x"], "--wtr", "", r"did you mean --wrt\?"),
    "a function misspelt": (["grad", "sofmax(z)", "z=1,2"], "sofmax", "", "did you mean softmax"),
    "no numbers": (["grad", "softmax(z)[0]"], "z has no numbers", "", r"grad 'softmax\(z\)\[0\]' z="),
    "no vector": (["check", "softmax(z)", "1"], "z has no numbers", "", r"check 'softmax\(z\)' 1 z="),
    "no derivative": (["check", "x**2", "x=2"], "", "DERIVATIVE is required", "check"),
    "one of two": (
        ["check", "x*y", "y", "--wrt=x,y"],
        "got 1: y",
        "one DERIVATIVE for each",
        "in this order",
    ),
    "a capital": (["check", "x*x", "2*X"], "name X", "", r"did you mean x\?"),
    "a part": (
        ["check", "softmax(z)", "S", "z=1,2"],
        "name S",
        "given are: z",
        "--name S, a part by --let S=PART",
    ),
    "by which name": (["check", "x*y", "y"], "missing", "by which of x, y", "As in --wrt x"),
    "a derivation without numbers": (
        ["derive", "softmax(z)"],
        "z has no numbers",
        "",
        r"derive 'softmax\(z\)' z=",
    ),
    "a language that there is not": (
        ["grad", "x", "x=1", "--source", "java"],
        "'java'",
        "choose from .*python",
        "",
    ),
    "a number as an option": (["grad", "x", "--x=3"], "--x=3", "a number is given as", "x=0.5"),
    "blanks around =": (["grad", "x", "x", "=", "3"], "got 'x'", "name with its numbers", "without blanks"),
    "another case": (["grad", "x", "X=3"], "X", "does not occur", r"did you mean x\?"),
    "an option of Graphviz": (
        ["draw", "x", "x=1", "--rankdir", "LR"],
        "--rankdir",
        "",
        "did you mean --direction",
    ),
    "a command of others": (["plot", "x"], "no command plot", "", r"did you mean draw\?"),
    "an equation": (["grad", "y = x**2", "x=1"], "y = x", "no derivative such as", "at the right of ="),
    "a method": (["grad", "x.sum()", "x=1,2"], r"x\.sum", "written around", r"sum\(x\)"),
    "a division by zero": (["grad", "1/x", "x=0"], r"got div\(1, 0\)", "needs y != 0", ""),
    "no reference": (["grade", "no.py", "h.py"], "no.py", "cannot be read: No such file", ""),
    "nothing": (["check", "", "1"], "", "the formula is empty\n$", ""),
    "a word for a number": (["grad", "x", "x=abc"], "got abc", "x: expected finite numbers", "such as"),
    "a ragged matrix": (
        ["grad", "sum(W)", "W=[[1,2],[3]]"],
        "got",
        "W: expected rows of one length",
        "such as",
    ),
    "no file": (["check", "nothing.py"], "nothing.py", "No such file", ""),
    "a row misspelt": (["rules", "sigmod"], "sigmod", "", "did you mean sigmoid"),
    "many digits": (["grad", "x", "x=1", "--precision=40"], "got 40", "from 1 to 17", ""),
    "a table to the screen": (["grade", "a.py", "b.py", "-o", "-"], "-o", "table", "folder"),
    "a page that is no file": (["view", "x", "x=1", "-o", "-", "--open"], "-o -", "--open shows a file", ""),
    "a name taken": (["check", "x*y", "y", "--wrt=x", "--name=x"], "--name: x", "names are x, y", "another"),
    "a name twice": (["check", "x*y", "y", "x", "--wrt=x,x"], "x, x", "one twice", ""),
    "a picture of a number": (["draw", "1 + 1"], "1 \\+ 1 is a number", "", "names"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered(name):
    f, error, wanted = MISTAKES[name]
    if error is None:
        text = str(f())
    else:
        with pytest.raises(error) as caught:
            f()
        text = str(caught.value)
    for part, pattern in vars(wanted).items():
        assert re.search(pattern, text, re.DOTALL), f"{part}: {pattern!r} is not in: {text}"


@pytest.mark.parametrize("name", LINES)
def test_a_line_mistyped_is_answered(name, capsys):
    arguments, *wanted = LINES[name]
    try:
        status = main(arguments)
    except SystemExit as ended:
        status = ended.code
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    for pattern in wanted:
        assert re.search(pattern, err, re.DOTALL), f"{pattern!r} is not in: {err}"
