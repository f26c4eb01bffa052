"""Gradient graphs and transforms: against mpmath, closed forms, finite differences and each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, NamedTuple

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_rules import REFERENCE

from autograd_mini import (
    DomainError,
    Value,
    ValueArray,
    cross_entropy_from_logits,
    draw,
    grad,
    gradient_graph,
    hessian,
    hvp,
    jacobian,
    jvp,
    logsumexp,
    named,
    relu,
    rules,
    sigmoid,
    sin,
    softmax,
    sqrt,
    squared_error,
    tanh,
    topological_order,
    trace,
    value_and_grad,
    values,
    vjp,
)

pytestmark = pytest.mark.version

mp.mp.dps = 50


class Layer(NamedTuple):
    W: Any
    b: Any


def nested(f: Callable[..., Any], *argnums: int) -> Callable[..., Any]:
    """The derivative of f by each of these arguments in turn."""
    for i in argnums:
        f = grad(f, i)
    return f


def assert_exactly(got: Any, want: Any) -> None:
    """Equal in structure, types and numbers; arrays are float64."""
    assert type(got) is type(want)
    if isinstance(want, dict):
        assert list(got) == list(want)
        for key in want:
            assert_exactly(got[key], want[key])
    elif isinstance(want, (tuple, list)):
        for one, other in zip(got, want, strict=True):
            assert_exactly(one, other)
    elif isinstance(want, np.ndarray):
        assert got.dtype == np.float64
        np.testing.assert_array_equal(got, want, strict=True)
    else:
        assert got == want


# --- every row to third order, against 50 digits ----------------------------------------------------

ANY = [0.3, -0.7, 1.5]
POSITIVE = [0.3, 1.5, 7.0]
UNIT = [0.3, -0.7]
PAIRS = [(0.3, -0.7), (1.5, 2.25), (-2.0, 0.5)]
CHOICES = [(1.0, 2.0, 3.0), (0.0, 2.0, 3.0)]
POINTS: dict[str, list[Any]] = {
    **dict.fromkeys("log log2 log10 sqrt".split(), POSITIVE),
    **dict.fromkeys("asin acos atanh semicircle".split(), UNIT),
    "log1p": [0.3, -0.7, 7.0],
    **dict.fromkeys("acosh hyperbola".split(), POSITIVE[1:]),
    "pow": [(2.0, 0.5), (0.3, -0.7), (1.5, 3.0), (7.0, 2.5)],
    "xlogy": [(0.3, 0.7), (2.0, 0.5), (-1.5, 3.0)],
    "rint": [0.3, -0.7, 7.2],
    "logit": [0.3, 0.6, 0.9],
    "entr": [0.3, 2.0],
    **{name: [(5.3, 0.7), (-5.3, 0.7), (0.3, -7.0)] for name in "fmod mod floor_divide".split()},
    **dict.fromkeys("where convention".split(), CHOICES),
}
ROWS = [row for name, row in rules.table.items() if name != "detach"]


def points_of(row: rules.Primitive) -> list[tuple[float, ...]]:
    points = POINTS.get(row.name, ANY if len(row.operands) == 1 else PAIRS)
    return [point if isinstance(point, tuple) else (point,) for point in points]


def derivative(name: str, argnums: tuple[int, ...], point: tuple[float, ...]) -> Any:
    """∂/∂(operand i) for each i in turn, by mpmath's differences."""
    if name in ("where", "convention"):  # linear in its branches
        return 1.0 if argnums == ((1,) if point[0] else (2,)) else 0.0
    f = REFERENCE.get(name, lambda x: x)
    orders = tuple(argnums.count(i) for i in range(len(point)))
    exact = tuple(map(mp.mpf, point))
    return mp.diff(f, exact if len(point) > 1 else exact[0], orders if len(point) > 1 else orders[0])


def assert_ten_digits(got: float, want: Any, what: str) -> None:
    close = abs(got - want) <= 1e-10 * abs(want) + mp.mpf(10) ** -40
    assert close, f"{what}: {got}, exact {mp.nstr(want, 20)}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_three_times_grad_of_every_row(row: rules.Primitive) -> None:
    for point in points_of(row):
        for i in range(len(point)):
            for order in (1, 2, 3):
                got = nested(row, *[i] * order)(*point)
                assert type(got) is float
                assert_ten_digits(got, derivative(row.name, (i,) * order, point), f"∂{i} at {point}")


@pytest.mark.parametrize("row", [row for row in ROWS if len(row.operands) > 1], ids=lambda row: row.name)
def test_mixed_derivatives_of_every_row(row: rules.Primitive) -> None:
    everything = range(len(row.operands))
    third = jacobian(hessian(row, everything), everything)
    for point in points_of(row):
        second, tensor = hessian(row, everything)(*point), third(*point)
        for i, j, k in itertools.product(everything, repeat=3):
            assert_ten_digits(second[i][j], derivative(row.name, (i, j), point), f"∂{i}∂{j} at {point}")
            want = derivative(row.name, (i, j, k), point)
            assert_ten_digits(tensor[i][j][k], want, f"∂{i}∂{j}∂{k} at {point}")


@pytest.mark.parametrize("n", range(6))
@pytest.mark.parametrize("x", [0.0, -2.0, 1.5])
def test_a_constant_exponent_to_fourth_order(n: int, x: float) -> None:
    for order in range(1, 5):
        got = nested(lambda x: x**n, *[0] * order)(x)
        assert got == pytest.approx(math.perm(n, order) * x ** (n - order) if n >= order else 0.0, abs=0)


def test_a_constant_exponent_takes_no_logarithm() -> None:
    x = Value(-2.0)
    [dx] = gradient_graph(x**3, [x])
    assert not any(node.op is rules.log for node in topological_order(dx))


@pytest.mark.parametrize("n", [0.0, 1.0, 2.0, 3.0])
def test_a_variable_exponent_at_zero(n: float) -> None:
    assert nested(rules.pow, 0)(0.0, n) == (n == 1)
    assert nested(rules.pow, 0, 0)(0.0, n) == 2 * (n == 2)
    assert nested(rules.pow, 0, 0, 0)(0.0, n) == 6 * (n == 3)
    assert nested(rules.pow, 1)(0.0, n) == 0.0


@pytest.mark.parametrize("x", [2.0, 0.3])
def test_mixed_derivatives_where_a_factor_of_a_partial_is_zero(x: float) -> None:
    """∂x∂y x**y = x**(y-1) (1 + y ln x) at y = 0, its ∂x at y = 1, and ∂x∂y x ln y = 1/y at x = 0."""
    both = (0, 1)
    assert hessian(rules.xlogy, both)(0.0, x) == ((0.0, 1 / x), (1 / x, 0.0))
    second = hessian(rules.pow, both)(x, 0.0)
    assert second[1][0] == pytest.approx(1 / x)
    assert second[0][1] == pytest.approx(1 / x)
    third = jacobian(hessian(rules.pow, both), both)(x, 1.0)
    assert third[0][1][0] == pytest.approx(1 / x)
    assert third[0][0][1] == pytest.approx(1 / x)


# --- gradient_graph ---------------------------------------------------------------------------------


def test_gradient_graph_keeps_the_structure_and_labels() -> None:
    x, z = Value(2.0, label="x"), values([1.0, 3.0], "z")
    loss = named(np.sum(z * z) * x * x, "loss")
    gradients = gradient_graph(loss, {"x": x, "z": (z,)})
    assert gradients["x"].data == 2 * 10 * 2.0
    assert isinstance(gradients["z"][0], ValueArray)
    np.testing.assert_array_equal(gradients["z"][0].data, [8.0, 24.0])
    assert gradients["x"].label == "∂loss/∂x"
    assert [dz.label for dz in gradients["z"][0]] == ["∂loss/∂z0", "∂loss/∂z1"]


def test_gradient_graph_of_intermediates_is_a_total_derivative() -> None:
    x = Value(2.0, label="x")
    h = named(x * x, "h")
    L = named(h * h + x, "L")
    dx, dh = gradient_graph(L, [x, h])
    assert (dx.data, dh.data) == (4 * 2.0**3 + 1, 2 * 4.0)
    assert (dx.label, dh.label) == ("∂L/∂x", "∂L/∂h")


def test_gradient_graph_of_itself_of_nothing_and_twice() -> None:
    x, other = Value(2.0), Value(3.0)
    [one] = gradient_graph(x, [x])
    [zero] = gradient_graph(x * x, [other])
    assert isinstance(one, Value)
    assert isinstance(zero, Value)
    assert (one.data, zero.data) == (1.0, 0.0)
    assert [dx.data for dx in gradient_graph(x * x, [x, x])] == [4.0, 4.0]
    assert gradient_graph(x * x, []) == []
    assert gradient_graph(x * x, x).data == 4.0


def test_gradient_graph_leaves_every_gradient_alone() -> None:
    x = Value(2.0)
    h = x * x
    y = h.exp()
    for i, node in enumerate((x, h, y)):
        node.grad = 7.0 + i
    [dx] = gradient_graph(y, [x])
    gradient_graph(dx, [x])
    assert [node.grad for node in (x, h, y)] == [7.0, 8.0, 9.0]
    assert dx.grad == 0.0


def test_a_partial_at_a_kink_is_a_node() -> None:
    x = Value(2.0)
    [dx] = gradient_graph(relu(x) * 3, [x])
    assert dx.data == 3.0
    x.data = -2.0
    dx.forward()
    assert dx.data == 0.0
    x.data = 1.0
    dx.forward()
    assert dx.data == 3.0


@pytest.mark.parametrize("name", "abs maximum minimum hypot atan2 clip".split())
def test_forward_moves_a_gradient_over_the_kink(name: str) -> None:
    f = {"clip": lambda x, y: np.clip(x, 0, 1) + y}.get(name) or rules.table[name]
    arguments = [Value(0.0), Value(0.0)][: 1 if name == "abs" else 2]
    gradients = gradient_graph(f(*arguments), arguments)
    for point in [(0.3, -0.7), (-0.7, 0.3), (0.0, 0.0), (2.0, 0.5)]:
        for x, number in zip(arguments, point, strict=False):
            x.data = number
        for dx in gradients:
            dx.forward()
        want = grad(f, range(len(arguments)))(*point[: len(arguments)])
        assert tuple(dx.data for dx in gradients) == want


def test_a_gradient_graph_is_a_graph() -> None:
    """It can be drawn, swept, differentiated and evaluated again."""
    x = Value(3.0, label="x")
    [dx] = gradient_graph(named(x**4, "f"), [x])
    assert "∂f/∂x" in draw(dx).source
    dx.backward()
    assert x.grad == 12 * 3.0**2
    [ddx] = gradient_graph(dx, [x])
    [dddx] = gradient_graph(ddx, [x])
    assert (ddx.data, dddx.data) == (12 * 3.0**2, 24 * 3.0)
    x.data = 2.0
    dddx.forward()
    assert dddx.data == 48.0
    assert (dx * dx).data == (4 * 3.0**3) ** 2  # arithmetic goes on from the number it had


def test_a_node_made_by_hand_is_refused_only_on_the_way() -> None:
    x = Value(2.0)
    by_hand = Value(4.0, (x,), "sq")
    sentence = r"^the node 'sq' was made by hand and carries no rule to differentiate; [^\n]*$"
    with pytest.raises(TypeError, match=sentence):
        gradient_graph(by_hand * x, [x])
    with pytest.raises(TypeError, match=sentence):
        grad(lambda x: x * Value(4.0, (x,), "sq"))(2.0)
    with pytest.raises(TypeError, match=sentence):
        jvp(lambda x: x * Value(4.0, (x,), "sq"), (2.0,), (1.0,))


def test_a_node_made_by_hand_that_depends_on_no_input_is_a_constant() -> None:
    aside = Value(4.0, (Value(1.0),), "sq")
    x = Value(2.0)
    assert gradient_graph(aside * x, [x])[0].data == 4.0
    assert grad(lambda x: aside * x)(2.0) == 4.0
    assert jvp(lambda x: aside * x, (2.0,), (1.0,)) == (8.0, 4.0)


def test_a_node_made_by_hand_can_be_the_input() -> None:
    x = Value(2.0)
    by_hand = Value(4.0, (x,), "sq")
    assert gradient_graph(by_hand * by_hand * 3, [by_hand])[0].data == 24.0


@pytest.mark.parametrize("output", [2.0, "f", None, values([1.0, 2.0]), [Value(1.0)]])
def test_gradient_graph_of_no_value(output: Any) -> None:
    with pytest.raises(TypeError, match=r"^gradient_graph: the output must be a Value, got "):
        gradient_graph(output, [])


@pytest.mark.parametrize("inputs", [[2.0], {"a": "b"}, (np.ones(2),)])
def test_gradient_graph_with_respect_to_no_value(inputs: Any) -> None:
    with pytest.raises(TypeError, match=r"^gradient_graph: inputs must be Values, got "):
        gradient_graph(Value(1.0), inputs)


def test_partials_that_do_not_exist_follow_ieee() -> None:
    x = Value(0.0)
    [dx] = gradient_graph(sqrt(x), [x])
    assert dx.data == math.inf
    x.data = 4.0
    dx.forward()
    assert dx.data == 0.25
    x.data = 0.0
    dx.forward()
    assert dx.data == math.inf
    assert nested(sqrt, 0)(0.0) == math.inf
    assert nested(sqrt, 0, 0)(0.0) == -math.inf
    assert math.isnan(grad(lambda x: sqrt(x * x))(0.0))  # 0 · ∞, as in PyTorch
    with pytest.raises(DomainError, match="x > 0"):
        grad(rules.log)(-1.0)


def test_deep_chains_need_no_recursion() -> None:
    n, step = 100_000, 1 + 2.0**-20
    x = Value(1.0, label="x")
    y = x * x
    for _ in range(n):
        y = y * step
    [dx] = gradient_graph(y, [x])
    assert dx.data == pytest.approx(2 * step**n)
    x.data = -3.0
    dx.forward()
    assert dx.data == pytest.approx(-6 * step**n)
    [ddx] = gradient_graph(dx, [x])
    assert ddx.data == pytest.approx(2 * step**n)


def test_deep_chains_can_be_differentiated_twice() -> None:
    def chain(x: Any) -> Any:
        for _ in range(3000):
            x = sin(x)
        return x

    x = np.empty(3001)
    x[0] = 0.5
    for i in range(3000):
        x[i + 1] = math.sin(x[i])
    slopes = np.cumprod([1.0, *np.cos(x[:-1])])
    second = -slopes[-1] * np.sum(np.tan(x[:-1]) * slopes[:-1])
    assert grad(chain)(0.5) == pytest.approx(slopes[-1], rel=1e-12)
    assert hessian(chain)(0.5) == pytest.approx(second, rel=1e-12)
    assert hvp(chain, (0.5,), (1.0,)) == pytest.approx(second, rel=1e-12)


# --- what goes in comes out -------------------------------------------------------------------------


@pytest.mark.parametrize("number", [3, 3.0, np.float64(3), np.float32(3), np.int64(3), np.array(3.0)])
def test_a_number_gives_a_float(number: Any) -> None:
    def f(x: Any) -> Any:
        return x * x

    assert_exactly(value_and_grad(f)(number), (9.0, 6.0))
    assert_exactly(jacobian(f)(number), 6.0)
    assert_exactly(hessian(f)(number), 2.0)
    assert_exactly(jvp(f, (number,), (number,)), (9.0, 18.0))
    assert_exactly(hvp(f, (number,), (number,)), 6.0)
    result, pullback = vjp(f, number)
    assert_exactly((result, pullback(number)), (9.0, (18.0,)))


@pytest.mark.parametrize("dtype", [float, np.float32, int, bool])
def test_an_array_gives_an_array_of_floats(dtype: type) -> None:
    x = np.ones((2, 3), dtype)
    assert_exactly(grad(lambda x: np.sum(x * np.arange(3)))(x), np.array([[0.0, 1.0, 2.0]] * 2))
    assert_exactly(jvp(np.sum, (x,), (x,)), (6.0, 6.0))


@pytest.mark.parametrize("shape", [(2,), (1,), (2, 3), (1, 2, 2)])
def test_a_jacobian_has_the_shape_of_output_and_input(shape: tuple[int, ...]) -> None:
    x = np.arange(1.0, 1 + math.prod(shape)).reshape(shape)
    J = jacobian(lambda x: np.stack([x * x, 3 * x]))(x)
    assert J.shape == (2, *shape, *shape)
    identity = np.eye(x.size).reshape(shape * 2)
    assert_exactly(J, np.stack([2 * x.reshape(*shape, *[1] * x.ndim) * identity, 3 * identity]))
    assert_exactly(jacobian(np.sum)(x), np.ones(shape))
    assert_exactly(jacobian(lambda s: s * x)(2.0), x)
    assert hessian(np.sum)(x).shape == shape * 2


def test_trees_keep_their_structure() -> None:
    parameters = {"layers": [Layer(np.array([1.0, 2.0]), 3.0), Layer(4.0, (5.0, None))], "scale": 2.0}

    def f(p: Any) -> Any:
        first, second = p["layers"]
        return np.sum(first.W * first.W) * p["scale"] + first.b * second.W * second.b[0]

    want = {"layers": [Layer(np.array([4.0, 8.0]), 20.0), Layer(15.0, (12.0, None))], "scale": 5.0}
    assert_exactly(value_and_grad(f)(parameters), (70.0, want))
    assert_exactly(jacobian(f)(parameters), want)
    tangent = {"layers": [Layer(np.zeros(2), 1.0), Layer(1.0, (0.0, None))], "scale": 1.0}
    assert jvp(f, (parameters,), (tangent,)) == (70.0, 20.0 + 15.0 + 5.0)
    assert_exactly(vjp(f, parameters)[1](1.0), (want,))


def test_a_function_may_take_its_arguments_apart() -> None:
    def f(p: Any) -> Any:
        last = p["layers"].pop()
        p["product"] = p.pop("scale") * last
        return p["product"] * p["layers"][0]

    given = {"layers": [3.0, 5.0], "scale": 2.0}
    want = {"layers": [10.0, 6.0], "scale": 15.0}
    assert value_and_grad(f)(given) == (30.0, want)
    assert jacobian(f)(given) == want
    assert jvp(f, (given,), (given,)) == (30.0, 90.0)  # homogeneous of degree 3
    assert vjp(f, given)[1](1.0) == (want,)
    assert given == {"layers": [3.0, 5.0], "scale": 2.0}


def test_the_hessian_of_a_tree_is_a_tree_of_trees() -> None:
    def f(p: Any) -> Any:
        return np.dot(p["a"], p["a"]) * p["b"]

    a, b = np.array([1.0, 2.0]), 3.0
    want = {"a": {"a": 2 * b * np.eye(2), "b": 2 * a}, "b": {"a": 2 * a, "b": 0.0}}
    assert_exactly(hessian(f)({"a": a, "b": b}), want)


def test_outputs_can_be_trees() -> None:
    J = jacobian(lambda x: [x * x, {"dot": np.dot(x, x)}, Layer(x[0], 7.0)])(np.array([1.0, 2.0]))
    want = [np.diag([2.0, 4.0]), {"dot": np.array([2.0, 4.0])}, Layer(np.array([1.0, 0.0]), np.zeros(2))]
    assert_exactly(J, want)
    J = jacobian(lambda x: (x[:0], x[0]))(np.array([1.0, 2.0]))
    assert_exactly(J, (np.zeros((0, 2)), np.array([1.0, 0.0])))
    assert_exactly(
        jvp(lambda x: {"x": x, "sq": [x * x]}, (3.0,), (1.0,)),
        ({"x": 3.0, "sq": [9.0]}, {"x": 1.0, "sq": [6.0]}),
    )
    result, pullback = vjp(lambda x: {"x": x, "sq": [x * x]}, 3.0)
    assert_exactly(result, {"x": 3.0, "sq": [9.0]})
    assert pullback({"x": 1.0, "sq": [10.0]}) == (61.0,)


def test_argnums() -> None:
    def f(a: Any, b: Any) -> Any:
        return a * b * b

    assert grad(f)(2.0, 3.0) == 9.0
    assert grad(f, 1)(2.0, 3.0) == grad(f, -1)(2.0, 3.0) == 12.0
    assert grad(f, (0, 1))(2.0, 3.0) == (9.0, 12.0)
    assert grad(f, [-1, 0])(2.0, 3.0) == (12.0, 9.0)
    assert grad(f, (1,))(2.0, 3.0) == (12.0,)
    assert grad(f, np.int64(1))(2.0, 3.0) == 12.0
    assert jacobian(f, (0, 1))(2.0, 3.0) == (9.0, 12.0)
    assert hessian(f, (0, 1))(2.0, 3.0) == ((0.0, 6.0), (6.0, 4.0))
    assert hessian(f, -1)(2.0, 3.0) == 4.0
    assert hvp(f, (2.0, 3.0), (1.0, 10.0)) == (60.0, 46.0)


@pytest.mark.parametrize("argnums", [2, -3, (0, 2), (0, -3)])
def test_argnums_that_name_no_argument(argnums: Any) -> None:
    with pytest.raises(ValueError, match=r"^argnums names argument -?\d, counted from 0, but 2 were given"):
        grad(lambda a, b: a * b, argnums)(2.0, 3.0)


@pytest.mark.parametrize("argnums", ["a", ("a",), 0.0, (0.0,), None])
def test_argnums_that_are_no_whole_numbers(argnums: Any) -> None:
    with pytest.raises(TypeError, match="argnums"):
        grad(lambda a, b: a * b, argnums)(2.0, 3.0)


@pytest.mark.parametrize("argument", ["x", 1j, b"x", {1.0}, object(), np.array(1j), (1.0, "x"), {"k": 1j}])
def test_arguments_that_are_no_numbers(argument: Any) -> None:
    for transform in (grad, value_and_grad, jacobian, hessian):
        with pytest.raises(TypeError, match=r"^expected numbers, arrays and nested .*, got [^\n]*$"):
            transform(lambda x: x)(argument)


@pytest.mark.parametrize("array", [np.array([1j]), np.array(["x"])])
def test_arrays_that_hold_no_numbers(array: Any) -> None:
    with pytest.raises(TypeError, match="real number"):
        grad(np.sum)(array)


def test_other_arguments_pass_as_they_are() -> None:
    def power(x: Any, how: str, n: int) -> Any:
        assert (how, type(n)) == ("pow", int)
        return x**n

    assert grad(power)(3.0, "pow", 2) == 6.0


def test_an_input_without_influence_has_derivative_exactly_zero() -> None:
    def f(x: Any, y: Any) -> Any:
        return y * y

    assert_exactly(grad(f, (0, 1))(3.0, 2.0), (0.0, 4.0))
    assert_exactly(grad(lambda x: Value(2.0) * 3)(np.ones((2, 2))), np.zeros((2, 2)))
    assert_exactly(hessian(lambda x: x[0] + 2 * x[1])(np.ones(2)), np.zeros((2, 2)))
    assert_exactly(jacobian(lambda x: x[0])({0: 1.0, 1: np.ones(2)}), {0: 1.0, 1: np.zeros(2)})
    assert_exactly(jvp(lambda x: Value(2.0) * 1, (3.0,), (1.0,)), (2.0, 0.0))
    assert_exactly(vjp(lambda x: Value(2.0) * 1, 3.0)[1](1.0), (0.0,))
    assert_exactly(hvp(lambda x: 2 * x, (3.0,), (1.0,)), 0.0)
    assert_exactly(nested(lambda x: 2 * x, 0, 0, 0)(3.0), 0.0)


@pytest.mark.parametrize("result", [3.0, np.float64(1), True, np.array(2.0)])
def test_a_result_that_depends_on_no_argument_has_derivative_0(result: Any) -> None:
    assert grad(lambda x: result)(1.0) == hessian(lambda x: result)(1.0) == 0.0
    assert value_and_grad(lambda x: result)(1.0) == (result, 0.0)
    assert jvp(lambda x: result, (1.0,), (1.0,)) == (result, 0.0)
    assert vjp(lambda x: result, 1.0)[1](1.0) == (0.0,)
    assert grad(lambda w: max(0.0, 1 - w))(2.0) == 0.0
    np.testing.assert_array_equal(jacobian(lambda x: np.ones((2, 3)))(np.ones(4)), np.zeros((2, 3, 4)))
    np.testing.assert_array_equal(trace(grad(lambda x: result), np.ones(2))([1, 2]), np.zeros(2))


@pytest.mark.parametrize("result", [None, "x", [], np.array("x"), 1j])
def test_a_function_that_returns_no_value(result: Any) -> None:
    for transform in (grad, value_and_grad, jacobian, hessian):
        with pytest.raises(TypeError, match=r"^(grad|jacobian): f must return [^\n]*, got [^\n]*$"):
            transform(lambda x: result)(1.0)
    with pytest.raises(TypeError, match=r"^jvp: f must return Values"):
        jvp(lambda x: result, (1.0,), (1.0,))
    with pytest.raises(TypeError, match=r"^vjp: f must return Values"):
        vjp(lambda x: result, 1.0)


@pytest.mark.parametrize("f", [lambda x: x * x, lambda x: (x[0], x[1]), lambda x: {"a": x[0], "b": x[1]}])
def test_grad_needs_a_scalar(f: Any) -> None:
    for transform in (grad, value_and_grad, hessian):
        with pytest.raises(TypeError, match=r"^grad: f must return one Value .*; use jacobian for several$"):
            transform(f)(np.ones(2))


def test_a_long_result_does_not_flood_the_message() -> None:
    with pytest.raises(TypeError) as error:
        grad(lambda x: [x] * 1000)(1.0)
    assert len(str(error.value)) < 1000


def test_the_name_of_the_function_is_in_the_message_and_kept() -> None:
    def loss(x: Any) -> Any:
        """Half a square."""
        return x * x if isinstance(x, str) else None

    assert (grad(loss).__name__, grad(loss).__doc__) == ("loss", "Half a square.")
    with pytest.raises(TypeError, match=r"^grad: loss must return one Value"):
        grad(loss)(1.0)


# --- Values in, graphs out --------------------------------------------------------------------------


def test_values_give_graphs() -> None:
    x, z = Value(3.0, label="x"), values([1.0, 2.0], "z")
    dx = grad(lambda x: x**3)(x)
    assert isinstance(dx, Value)
    assert dx.data == 27.0
    dx.backward()
    assert x.grad == 18.0
    dz = grad(lambda z: np.sum(z * z * z))(z)
    assert isinstance(dz, ValueArray)
    np.sum(dz).backward()
    np.testing.assert_array_equal(z.grad, [6.0, 12.0])
    mixed = grad(lambda p: p[0] * p[1])([x, 5.0])
    assert [d.data for d in mixed] == [5.0, 3.0]
    value, pullback = vjp(lambda x: x * x, x)
    assert (value.data, pullback(1.0)[0].data) == (9.0, 6.0)
    J = jacobian(lambda x: values([1.0, 2.0]) * x * x)(x)
    np.testing.assert_array_equal(J.data, [6.0, 12.0])
    x.data = 1.0
    J[1].forward()
    assert J[1].data == 4.0


def test_a_value_at_another_argument_makes_the_result_a_graph() -> None:
    w = Value(5.0)
    dx = grad(lambda x, w: x * x * w)(3.0, w)
    assert isinstance(dx, Value)
    dx.backward()
    assert w.grad == 6.0


def test_the_callers_gradients_are_left_alone() -> None:
    x, w, z = Value(3.0), Value(5.0), values([1.0, 2.0], "z")
    x.grad, w.grad, z.grad = 7.0, 8.0, 9.0
    for f in (grad, value_and_grad, jacobian, hessian):
        f(lambda x: x * x * w)(x)
        f(lambda x: x * x * w)(2.0)
        f(lambda z: np.sum(z * w))(z)
    assert hvp(lambda x: x * x * w, (2.0,), (1.0,)) == 10.0
    assert jvp(lambda x: x * x * w, (2.0,), (1.0,)) == (20.0, 20.0)
    assert vjp(lambda x: x * x * w, 2.0)[1](1.0) == (20.0,)
    assert (x.grad, w.grad, list(z.grad)) == (7.0, 8.0, [9.0, 9.0])
    assert (x.label, w.label, z[0].label) == ("", "", "z0")


def test_a_closed_over_leaf_is_a_constant() -> None:
    w = Value(5.0, label="w")
    assert_exactly(value_and_grad(lambda x: w * x)(3.0), (15.0, 5.0))
    assert_exactly(grad(lambda x: w * w)(3.0), 0.0)


def test_the_same_value_may_stand_at_two_arguments() -> None:
    v = Value(3.0)
    assert [d.data for d in grad(lambda a, b: a * a * b, (0, 1))(v, v)] == [18.0, 9.0]


def test_arguments_are_not_written_to() -> None:
    def f(x: Any) -> Any:
        x[0] = x[1] * x[1]
        return np.sum(x)

    x, z = np.array([1.0, 2.0]), values([1.0, 2.0])
    first = z[0]
    assert_exactly(grad(f)(x), np.array([0.0, 5.0]))
    assert [d.data for d in grad(f)(z)] == [0.0, 5.0]
    assert_exactly(x, np.array([1.0, 2.0]))
    assert z[0] is first


# --- compositions -----------------------------------------------------------------------------------


def test_nested_over_closures() -> None:
    assert grad(lambda x: x * grad(lambda y: x + y)(x))(3.0) == 1.0
    assert grad(lambda x: x * grad(lambda y: x * y)(x))(3.0) == 6.0
    assert grad(lambda x: x * grad(lambda y: x * y)(2.0))(3.0) == 6.0
    assert grad(lambda x: x * grad(lambda y: y * y)(2.0))(3.0) == 4.0
    assert grad(lambda x: grad(lambda y: x + y)(2.0))(3.0) == 0.0
    assert grad(lambda x: grad(lambda y: grad(lambda z: x * y * y * z * z * z)(1.0))(2.0))(3.0) == 12.0
    assert grad(lambda x: hessian(lambda y: x * x * y**3)(2.0))(3.0) == 2 * 3 * 6 * 2
    assert grad(lambda x: jacobian(lambda y: x * y * y)(np.ones(2))[0, 0])(3.0) == 2.0
    assert grad(lambda x: value_and_grad(lambda y: x * y)(2.0)[0])(3.0) == 2.0
    assert grad(lambda x: hvp(lambda y: x * y * y, (2.0,), (5.0,)))(3.0) == 10.0


def test_derivatives_along_tangents_and_cotangents_can_be_differentiated() -> None:
    def cube(x: Any) -> Any:
        return x**3

    assert grad(lambda p: jvp(cube, (p,), (2.0,))[1])(5.0) == 60.0
    assert grad(lambda v: jvp(cube, (2.0,), (v,))[1])(5.0) == 12.0
    assert grad(lambda p: vjp(cube, p)[1](2.0)[0])(5.0) == 60.0
    assert grad(lambda c: vjp(cube, 2.0)[1](c)[0])(5.0) == 12.0
    assert jvp(grad(cube), (2.0,), (1.0,)) == (12.0, 12.0)
    assert jvp(lambda x: jvp(cube, (x,), (1.0,))[1], (2.0,), (1.0,)) == (12.0, 12.0)


@pytest.mark.parametrize("argnums", list(itertools.product(range(2), repeat=3)))
def test_grad_by_one_argument_after_the_other(argnums: tuple[int, ...]) -> None:
    """An inner derivative may be a constant, which the outer one must still find to be a Value."""
    everything = (0, 1)
    for f in (rules.add, rules.mul, rules.div, lambda x, y: x * x * y * y * y):
        third = jacobian(hessian(f, everything), everything)(1.5, 2.0)
        for i in argnums:
            third = third[i]
        assert nested(f, *argnums)(1.5, 2.0) == pytest.approx(third)


def test_jacobian_of_grad_is_the_hessian() -> None:
    def f(x: Any) -> Any:
        return np.sum(np.sin(x) * x[::-1] * x[0])

    x = np.array([0.3, -0.7, 1.5])
    H = hessian(f)(x)
    assert_exactly(jacobian(grad(f))(x), H)
    np.testing.assert_allclose(H, H.T, rtol=1e-14)
    third = jacobian(hessian(f))(x)
    assert third.shape == (3, 3, 3)
    for axes in itertools.permutations(range(3)):
        np.testing.assert_allclose(third, third.transpose(axes), rtol=1e-13, atol=1e-15)


# --- tangents and cotangents ------------------------------------------------------------------------


def product(p: Any) -> Any:
    return p["x"] * p["y"]


def test_a_dictionary_is_matched_by_its_keys() -> None:
    """d(xy) = y dx + x dy at x = 2, y = 3, in whatever order the keys were written."""
    at = {"x": 2.0, "y": 3.0}
    assert jvp(product, (at,), ({"x": 0.0, "y": 1.0},)) == (6.0, 2.0)
    assert jvp(product, (at,), ({"y": 1.0, "x": 0.0},)) == (6.0, 2.0)
    pullback = vjp(lambda x: {"x": x, "double": 2 * x}, 1.0)[1]
    assert pullback({"x": 0.0, "double": 1.0}) == (2.0,)
    assert pullback({"double": 1.0, "x": 0.0}) == (2.0,)


@pytest.mark.parametrize(
    "tangent", [{"u": 1.0, "v": 1.0}, [1.0, 1.0], {"x": 1.0}, {"x": 1.0, "y": np.ones(1)}, 1.0]
)
def test_a_tangent_of_another_structure_is_refused(tangent: Any) -> None:
    for call in (
        lambda: jvp(product, ({"x": 2.0, "y": 3.0},), (tangent,)),
        lambda: hvp(product, ({"x": 2.0, "y": 3.0},), (tangent,)),
        lambda: vjp(lambda x: {"x": x, "y": x}, 1.0)[1](tangent),
    ):
        with pytest.raises(TypeError, match="expected"):
            call()


def test_primals_and_tangents_outside_a_tuple_are_refused() -> None:
    for transform in (jvp, hvp):
        with pytest.raises(TypeError, match=rf"^{transform.__name__}: primals must hold .* got float 2\.0$"):
            transform(lambda x: x * x, 2.0, (1.0,))
        with pytest.raises(TypeError, match=r"tangents must hold .* got an array of shape \(2,\)$"):
            transform(np.sum, (np.ones(2),), np.ones(2))


def test_what_is_no_function_is_refused_at_once() -> None:
    x = Value(2.0)
    for transform in (grad, value_and_grad, jacobian, hessian, vjp, trace):
        with pytest.raises(TypeError, match=r"^expected a function, got Value .*gradient_graph\("):
            transform(x * x)


def test_tangents_and_cotangents_of_another_shape_or_number_are_refused() -> None:
    with pytest.raises(TypeError, match=r"^the tangents of jvp"):
        jvp(lambda x: x, (1.0,), (1.0, 2.0))
    with pytest.raises(TypeError, match=r"^the tangents of jvp"):
        jvp(np.sum, (np.ones(2),), (np.ones(3),))
    with pytest.raises(TypeError, match=r"^the cotangents of vjp"):
        vjp(lambda x: x * x, np.ones(2))[1](1.0)
    with pytest.raises(TypeError, match=r"^expected numbers or Values, got str 'x'$"):
        vjp(lambda x: x * x, 1.0)[1]("x")


def test_a_pullback_can_be_called_again() -> None:
    result, pullback = vjp(lambda W, x: W @ x, np.arange(4.0).reshape(2, 2), np.array([1.0, 2.0]))
    assert_exactly(result, np.array([2.0, 8.0]))
    for i, e in enumerate(np.eye(2)):
        dW, dx = pullback(e)
        assert_exactly(dW, np.outer(e, [1.0, 2.0]))
        assert_exactly(dx, np.arange(4.0).reshape(2, 2)[i])


# --- closed forms -----------------------------------------------------------------------------------

LOGITS = np.array([1.5, -0.5, 0.75, 0.1])


def covariance(z: Any) -> Any:
    """diag(S) − SSᵀ."""
    S = softmax(z)
    return np.diag(S) - np.outer(S, S)


@pytest.mark.parametrize("z", [LOGITS, np.zeros(3), np.array([2.0, 2.0, -1.0]), np.array([800.0, 0.0, 799])])
def test_the_hessian_of_cross_entropy(z: Any) -> None:
    tolerance = {"rtol": 1e-14, "atol": 1e-15}
    for target in (np.eye(len(z))[0], np.full(len(z), 1 / len(z))):
        loss = hessian(lambda z, t=target: cross_entropy_from_logits(z, t))(z)
        np.testing.assert_allclose(loss, covariance(z), **tolerance)
    np.testing.assert_allclose(hessian(logsumexp)(z), covariance(z), **tolerance)
    np.testing.assert_allclose(jacobian(softmax)(z), covariance(z), **tolerance)


def test_the_hessian_with_a_class_masked_out() -> None:
    z = np.array([-np.inf, 0.0, 1.0])
    H = hessian(lambda z: cross_entropy_from_logits(z, [0, 0, 1]))(z)
    np.testing.assert_allclose(H, covariance(z), rtol=1e-14, atol=1e-15)


def test_softmax_regression() -> None:
    """The Hessian of the mean loss by W is the mean of (diag(S) − SSᵀ) ⊗ xxᵀ."""
    rng = np.random.default_rng(0)
    X, W, t = rng.normal(size=(5, 2)), rng.normal(size=(2, 3)), [0, 2, 1, 1, 0]
    H = hessian(lambda W: cross_entropy_from_logits(X @ W, t))(W)
    want = np.mean([np.einsum("ik,j,l->jilk", covariance(x @ W), x, x) for x in X], axis=0)
    np.testing.assert_allclose(H, want, rtol=1e-13, atol=1e-15)


def test_linear_least_squares() -> None:
    """Σ (Ax − b)²: gradient 2 Aᵀ(Ax − b), Hessian 2 AᵀA."""
    rng = np.random.default_rng(0)
    A, b, x = rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=3)
    np.testing.assert_allclose(grad(lambda x: squared_error(A @ x, b))(x), 2 * A.T @ (A @ x - b), rtol=1e-13)
    np.testing.assert_allclose(hessian(lambda x: squared_error(A @ x, b))(x), 2 * A.T @ A, rtol=1e-13)


def test_the_hessian_of_a_norm() -> None:
    """(I − uuᵀ) / |x| with u = x / |x|."""
    x = np.array([3.0, 4.0, 12.0])
    u = x / 13
    np.testing.assert_allclose(hessian(np.linalg.norm)(x), (np.eye(3) - np.outer(u, u)) / 13, atol=1e-16)


# --- kinks, as in PyTorch ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "point", "want"),
    [
        (rules.abs, (0.0,), (0.0,)),
        (relu, (0.0,), (0.0,)),
        (rules.sign, (0.0,), (0.0,)),
        (rules.maximum, (2.0, 2.0), (0.5, 0.5)),
        (rules.minimum, (2.0, 2.0), (0.5, 0.5)),
        (rules.hypot, (0.0, 0.0), (0.0, 0.0)),
        (rules.atan2, (0.0, 0.0), (0.0, 0.0)),
        (lambda x: np.clip(x, -1, 1), (-1.0,), (1.0,)),
        (lambda x: np.clip(x, -1, 1), (1.0,), (1.0,)),
        (lambda x: np.clip(x, -1, 1), (1.5,), (0.0,)),
    ],
)
def test_first_derivatives_at_kinks(f: Any, point: tuple[float, ...], want: tuple[float, ...]) -> None:
    everything = range(len(point))
    assert_exactly(grad(f, everything)(*point), want)
    assert_exactly(jvp(f, point, (1.0,) * len(point))[1], sum(want))


@pytest.mark.parametrize("f", [rules.abs, relu, lambda x: np.clip(x, 0, 1), lambda x: rules.maximum(x, 0.0)])
def test_second_derivatives_at_kinks_are_zero(f: Any) -> None:
    assert_exactly(hessian(f)(0.0), 0.0)


@pytest.mark.parametrize("extremum", [np.max, np.min])
@pytest.mark.parametrize("ties", [1, 2, 3, 5])
def test_ties_share_the_derivative_evenly(extremum: Any, ties: int) -> None:
    x = np.array([1.0] * ties + [1.0 + (1 if extremum is np.min else -1)] * 2)
    want = (x == 1.0) / ties
    np.testing.assert_allclose(grad(extremum)(x), want, rtol=1e-15)
    assert_exactly(hessian(extremum)(x), np.zeros((len(x), len(x))))
    weights = np.arange(1.0, 1 + len(x))
    np.testing.assert_allclose(grad(lambda y: extremum(y * weights))(x / weights), want * weights, rtol=1e-15)


@pytest.mark.parametrize("ord", [None, 1, 2, np.inf])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_norms_at_zero(ord: Any, n: int) -> None:
    assert_exactly(grad(lambda x: np.linalg.norm(x, ord))(np.zeros(n)), np.zeros(n))


# --- independent witnesses --------------------------------------------------------------------------


def composite(x: Any, np: Any = np) -> Any:
    """A small network with a softmax, in NumPy's words."""
    W = x[:6].reshape(2, 3)
    h = np.tanh(W @ x[6:9] + x[9])
    e = np.exp(h - 0.5)
    S = e / np.sum(e)
    return np.sum(S * np.log(S)) + np.sqrt(np.sum(x * x)) * np.sin(x[0] / x[8]) + np.mean(x**3)


AT = np.random.default_rng(1).uniform(0.5, 1.5, size=10)


def test_a_composite_against_finite_differences() -> None:
    h = 1e-5
    steps = h * np.eye(10)
    first = np.array([(composite(AT + d) - composite(AT - d)) / (2 * h) for d in steps])
    np.testing.assert_allclose(grad(composite)(AT), first, rtol=1e-8, atol=1e-9)
    second = np.array([(grad(composite)(AT + d) - grad(composite)(AT - d)) / (2 * h) for d in steps])
    np.testing.assert_allclose(hessian(composite)(AT), second, rtol=1e-8, atol=1e-9)


def test_a_composite_against_hips_autograd() -> None:
    autograd = pytest.importorskip("autograd")
    witness = pytest.importorskip("autograd.numpy")
    tolerance = {"rtol": 1e-12, "atol": 1e-14}

    def theirs(x: Any) -> Any:
        return composite(x, witness)

    value, gradient = value_and_grad(composite)(AT)
    assert value == pytest.approx(theirs(AT), rel=1e-14)
    np.testing.assert_allclose(gradient, autograd.grad(theirs)(AT), **tolerance)
    np.testing.assert_allclose(hessian(composite)(AT), autograd.hessian(theirs)(AT), **tolerance)


# --- random expressions -----------------------------------------------------------------------------

UNARY: list[Callable[[Any], Any]] = [
    sin, tanh, sigmoid, rules.atan, rules.softplus, rules.neg, rules.erf,
    lambda a: rules.exp(-a * a), lambda a: 1 / (1 + a * a),
    lambda a: sqrt(1 + a * a), lambda a: a**3 / (1 + a * a),
]  # fmt: skip
BINARY: list[Callable[[Any, Any], Any]] = [
    rules.add, rules.sub, rules.mul, rules.logaddexp,
    lambda a, b: a / (2 + rules.cos(b)), lambda a, b: rules.hypot(a, 2 + b * b),
    lambda a, b: rules.atan2(a, 2 + b * b), lambda a, b: (1 + tanh(a) ** 2) ** tanh(b),
]  # fmt: skip
N = 3

expressions = st.recursive(
    st.integers(0, N - 1).map(lambda i: lambda x: x[i]),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(UNARY), inner).map(lambda t: lambda x: t[0](t[1](x))),
        st.tuples(st.sampled_from(BINARY), inner, inner).map(lambda t: lambda x: t[0](t[1](x), t[2](x))),
    ),
    max_leaves=6,
)
vectors = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=N, max_size=N).map(np.array)
CLOSE = {"rtol": 1e-9, "atol": 1e-11}


@settings(deadline=None, max_examples=60, derandomize=True)
@given(f=expressions, g=expressions, x=vectors, v=vectors)
def test_jvp_and_vjp_are_products_with_the_jacobian(f: Any, g: Any, x: Any, v: Any) -> None:
    def both(x: Any) -> Any:
        return values([f(x), g(x)])

    J = jacobian(both)(x)
    y, dy = jvp(both, (x,), (v,))
    np.testing.assert_allclose(dy, J @ v, **CLOSE)
    np.testing.assert_allclose(y, [f(x), g(x)], **CLOSE)
    [dx] = vjp(both, x)[1](v[:2])
    np.testing.assert_allclose(dx, v[:2] @ J, **CLOSE)
    np.testing.assert_allclose(grad(f)(x), J[0], **CLOSE)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(f=expressions, x=vectors, v=vectors)
def test_the_hessian_is_symmetric_and_its_products_agree(f: Any, x: Any, v: Any) -> None:
    H = hessian(f)(x)
    np.testing.assert_allclose(H, H.T, **CLOSE)
    np.testing.assert_allclose(hvp(f, (x,), (v,)), H @ v, **CLOSE)
    np.testing.assert_allclose(grad(lambda x: np.dot(grad(f)(x), v))(x), H @ v, **CLOSE)
    np.testing.assert_allclose(jvp(lambda x: jvp(f, (x,), (v,))[1], (x,), (v,))[1], v @ H @ v, **CLOSE)


@settings(deadline=None, max_examples=40, derandomize=True)
@given(f=expressions, x=vectors)
def test_the_gradient_is_that_of_backward_and_of_finite_differences(f: Any, x: Any) -> None:
    leaves = values(x, "x")
    f(leaves).backward()
    gradient = grad(f)(x)
    np.testing.assert_allclose(gradient, leaves.grad, **CLOSE)
    differences = [(f(x + d) - f(x - d)) / 2e-5 for d in 1e-5 * np.eye(N)]
    np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-6)


# --- threads ----------------------------------------------------------------------------------------


def test_threads_do_not_disturb_each_other() -> None:
    start = Barrier(4, timeout=5)

    def work(k: int) -> list[float]:
        start.wait()
        f = grad(lambda x: x * grad(lambda y: k * x * y)(2.0) + grad(grad(lambda y: x * x * y**3))(1.0))
        return [f(float(i)) for i in range(1, 60)]

    with ThreadPoolExecutor(4) as pool:
        for k, got in enumerate(pool.map(work, range(4))):
            assert got == [2.0 * k * i + 12.0 * i for i in range(1, 60)]


def test_an_inner_derivative_may_be_found_in_another_thread() -> None:
    """No derivative is lost without a word: x · ∂(xy)/∂y is x² there too."""

    def f(x: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return x * pool.submit(grad(lambda y: x * y), 2.0).result()

    assert grad(f)(3.0) == 6.0


def test_an_error_leaves_nothing_behind() -> None:
    def fail(x: Any) -> Any:
        raise RuntimeError

    kept = []

    def outer(x: Any) -> Any:
        kept.append(x)
        with pytest.raises(RuntimeError):
            grad(fail)(x)
        return x * x

    assert grad(outer)(3.0) == 6.0
    assert_exactly(grad(lambda y: y * kept[0])(2.0), 3.0)  # x is a constant once its call is over
