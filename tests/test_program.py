"""Programs: what is recorded, that numbers of the day play no part, and runs with and without numba."""

from __future__ import annotations

import math
import re
import struct
import threading
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd_mini
from autograd_mini import (
    DomainError,
    Program,
    TraceError,
    Value,
    ValueArray,
    absolute_error,
    binary_cross_entropy,
    binary_cross_entropy_from_logits,
    cross_entropy,
    cross_entropy_from_logits,
    div,
    grad,
    gradient_graph,
    hessian,
    jacobian,
    log_softmax,
    logsumexp,
    machine,
    mean_squared_error,
    named,
    relu,
    softmax,
    squared_error,
    trace,
    value_and_grad,
    values,
)
from autograd_mini.evaluation import EMITTED

INF, NAN = math.inf, math.nan
EDGES = [-INF, -2.0, -1.0, -0.5, -0.0, 0.0, 0.3, 1.0, 1.5, 3.0, INF, NAN]
Layer = namedtuple("Layer", "w b")


@pytest.fixture(autouse=True, params=["compiled", "interpreted"])
def evaluator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs twice: in machine code where numba is there, and as if it were not."""
    if request.param == "compiled":
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr(machine, "available", lambda: False)


def close(got: Any, want: Any) -> None:
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


def bits(x: float) -> bytes:
    return struct.pack("d", x)


# --- structure of arguments and results ---


def test_trees_of_scalars_and_arrays_keep_their_structure() -> None:
    def f(layer: Any, d: Any, none: Any) -> Any:
        return {"a": layer.w * 2, "b": [layer.b, None, (np.sum(layer.b),)], "c": Layer(d["x"][0], 3)}, none

    program = trace(f, Layer(0.0, np.zeros(2)), {"x": [0.0]}, None)
    result, none = program(Layer(1.0, [2.0, 3.0]), {"x": [5]}, None)
    assert none is None
    assert list(result) == ["a", "b", "c"]
    assert (result["a"], result["b"][1:], result["c"]) == (2.0, [None, (5.0,)], Layer(5.0, 3.0))
    assert type(result["c"]) is Layer
    np.testing.assert_array_equal(result["b"][0], [2.0, 3.0])
    assert repr(program) == "<program f(layer, d, none): 4 inputs, 2 instructions, 6 outputs>"
    assert len(program) == 2


def test_a_function_may_take_its_arguments_apart() -> None:
    def f(p: Any, layers: Any) -> Any:
        p["c"] = p.pop("a") * layers.pop()
        return p["c"] + layers[0], layers

    program = trace(f, {"a": 0.0, "b": 0.0}, [0.0, 0.0])
    assert program({"a": 2.0, "b": 3.0}, [5.0, 7.0]) == (19.0, [5.0])


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3,), (2, 3), (2, 0, 3), (2, 1, 3)])
def test_arrays_keep_their_shape(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    doubled = trace(lambda x: 2 * x, np.zeros(shape))(x)
    np.testing.assert_array_equal(doubled, 2 * x)
    assert np.shape(doubled) == shape
    np.testing.assert_array_equal(trace(np.transpose, np.zeros(shape))(x), np.transpose(x))


@pytest.mark.parametrize("x", [2, 2.0, True, np.float64(2), np.float32(2), np.int64(2), np.array(2.0)])
def test_one_number_of_any_kind_gives_a_float(x: Any) -> None:
    result = trace(lambda x: 3 * x, 0.0)(x)
    assert type(result) is float
    assert result == 3 * float(x)


def test_results_may_be_constants_and_inputs() -> None:
    result = trace(lambda x: (x, 3, np.arange(2.0), None, [True]), 0.0)(7.0)
    assert result[:2] == (7.0, 3.0)
    assert list(result[2]) == [0.0, 1.0]
    assert result[3:] == (None, [1.0])
    assert trace(lambda: 3.0)() == 3.0


def test_arguments_go_by_position_and_by_name() -> None:
    program = trace(lambda x, y, z: x - 10 * y + 100 * z, 0.0, 0.0, 0.0)
    assert program(1.0, 2.0, 3.0) == program(1.0, z=3.0, y=2.0) == program(z=3.0, y=2.0, x=1.0) == 281.0


def test_names_of_arguments_are_those_of_the_function() -> None:
    assert list(trace(lambda x, k=2.0: x * k, 0.0).arguments) == ["x"]
    assert trace(lambda *xs: xs, 0.0, 0.0)(1.0, 2.0) == (1.0, 2.0)
    assert trace(lambda x1, *xs: (x1, *xs), 0.0, 0.0, 0.0)(1.0, 2.0, 3.0) == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: f(1.0), r"^f\(p, y\) takes 2 arguments, got 1$"),
        (lambda f: f(1.0, 2.0, 3.0), r"^f\(p, y\) takes 2 arguments, got 3$"),
        (lambda f: f(2.0, p={"w": 0.0, "b": [0.0]}), r"^f\(p, y\) .*p"),
        (lambda f: f({"w": 0.0, "b": [0.0]}, q=2.0), r"^f\(p, y\) has no argument 'q'$"),
        (lambda f: f({"w": 0.0, "b": [0.0]}, 2.0, y=3.0), r"^f\(p, y\) .*"),
        (lambda f: f(1.0, 2.0), r"^argument p: expected a dict with the keys .*'w'.*, got float$"),
        (lambda f: f({"w": 1.0}, 2.0), r"^argument p: expected a dict .*'w'.*'b'.*, got .* keys .*'w'"),
        (
            lambda f: f({"w": 1.0, "b": [1.0, 2.0]}, 2.0),
            r"^argument p\['b'\]: expected a list of 1, got .*2$",
        ),
        (lambda f: f({"w": 1.0, "b": 1.0}, 2.0), r"^argument p\['b'\]: expected a list of 1, got float$"),
    ],
)
def test_another_structure_is_named_in_one_sentence(call: Callable[[Any], Any], message: str) -> None:
    program = trace(lambda p, y: p["w"] * y + p["b"][0], {"w": 0.0, "b": [0.0]}, 0.0)
    with pytest.raises(TypeError, match=message):
        call(program)


@pytest.mark.parametrize("example", ["a", 1j, {0.0}, np.array(["a"]), [1.0, "b"]])
def test_examples_are_numbers_arrays_and_trees_of_them(example: Any) -> None:
    with pytest.raises(TypeError, match=r"^trace: the example for x\w* must be a number, .* close over"):
        trace(lambda x: x, example)


@pytest.mark.parametrize("result", ["a", {1.0}, 1j, [object()]])
def test_results_are_numbers_values_and_trees_of_them(result: Any) -> None:
    with pytest.raises(TypeError, match=r"^a program deals in numbers and Values, got "):
        trace(lambda x: result, 0.0)


# --- what is recorded ---


def test_dead_code_is_removed() -> None:
    def f(x: Any) -> Any:
        np.exp(x) * 7
        return 1 * x**1 / 1 + np.where(0 < 1, x, np.sin(x))

    assert len(trace(f, 0.0)) == 1


def test_common_subexpressions_are_shared() -> None:
    program = trace(lambda x, y: np.exp(x * y) + np.exp(x * y) * np.sin(np.exp(x * y)), 0.0, 0.0)
    assert len(program) == 5
    assert program(0.5, 2.0) == math.exp(1) + math.exp(1) * math.sin(math.exp(1))
    assert len(trace(lambda x, y: (x - y, y - x, x - y), 0.0, 0.0)) == 2


def test_a_gradient_shares_the_forward_part() -> None:
    both = trace(value_and_grad(lambda x: np.exp(np.sin(x))), 0.0)
    assert sorted(row.name for row in both.code.rows) == ["cos", "exp", "mul", "sin"]
    assert len(both) == 4


def test_rows_of_one_and_of_two_operands_are_told_apart() -> None:
    first = trace(lambda x, y: (x * y, np.exp(x), np.exp(y), y * x, np.sin(x)), 0.0, 0.0)
    close(first(2.0, 3.0), (6.0, math.exp(2), math.exp(3), 6.0, math.sin(2)))
    second = trace(lambda x, y: (y * x, np.sin(x), np.where(x, x, y), np.cos(x), x - y), 0.0, 0.0)
    close(second(2.0, 3.0), (6.0, math.sin(2), 2.0, math.cos(2), -1.0))


def test_constants_are_folded_where_that_is_exact() -> None:
    square = trace(grad(lambda x: x**2), 0.0)
    assert (len(square), square.code.constants) == (1, (2.0,))
    assert len(trace(grad(lambda x: 3 * x), 0.0)) == 0
    third = trace(lambda x: x * (Value(1.0) / 3), 0.0)
    assert third(3.0) == 3.0 * (1 / 3)


@pytest.mark.parametrize("number", [0.0, -0.0, NAN, -NAN, INF, -INF, 5e-324, 0.1])
def test_constants_are_kept_by_their_bits(number: float) -> None:
    program = trace(lambda x: (number, 0.0, x * number, x + number), 0.0)
    assert {bits(x) for x in program.code.constants if isinstance(x, float)} == {bits(number), bits(0.0)}
    np.testing.assert_equal(program(2.0)[:2], (number, 0.0))  # which tells -0.0 from 0.0
    close(program(2.0)[2:], (2 * number, 2 + number))
    assert math.copysign(1, trace(lambda x: x * -0.0 + -0.0, 0.0)(1.0)) == -1.0
    assert math.copysign(1, trace(lambda x: x * 0.0, 0.0)(-1.0)) == -1.0
    assert math.isnan(trace(lambda x: x * 0.0, 0.0)(INF))


def test_values_closed_over_are_constants_of_today() -> None:
    w = Value(2.0, label="w")
    program = trace(lambda x: w * x, 0.0)
    w.data = 100.0
    assert program(3.0) == 6.0
    assert program.code.constants == (2.0,)


# --- transforms inside, and programs inside transforms ---


def test_transforms_inside() -> None:
    rng = np.random.default_rng(1)
    W, b, x = rng.normal(size=(2, 3)), rng.normal(size=2), rng.normal(size=3)

    def loss(params: Any, x: Any, t: Any) -> Any:
        return cross_entropy_from_logits(params["W"] @ x + params["b"], t)

    program = trace(value_and_grad(loss), {"W": np.zeros((2, 3)), "b": np.zeros(2)}, np.zeros(3), np.zeros(2))
    t = np.array([0.0, 1.0])
    value, gradient = program({"W": W, "b": b}, x, t)
    S = softmax(W @ x + b)
    close(value, -np.log(S[1]))
    close(gradient["b"], S - t)
    close(gradient["W"], np.outer(S - t, x))


def test_second_derivatives_inside() -> None:
    z = np.array([0.3, -0.7, 1.1])
    S = softmax(z)
    close(trace(hessian(logsumexp), np.zeros(3))(z), np.diag(S) - np.outer(S, S))
    close(trace(jacobian(softmax), np.zeros(3))(z), np.diag(S) - np.outer(S, S))
    close(trace(grad(grad(grad(np.sin))), 0.0)(0.5), -math.cos(0.5))


def test_a_program_can_be_differentiated_and_traced_again() -> None:
    cube = trace(lambda x: np.sum(x**3), np.zeros(2))
    x = np.array([2.0, 3.0])
    close(grad(cube)(x), 3 * x**2)
    close(hessian(cube)(x), np.diag(6 * x))
    close(trace(grad(cube), np.zeros(2))(x), 3 * x**2)
    close(trace(lambda x: cube(x) ** 2, np.zeros(2))(x), 35.0**2)


def test_values_give_a_graph() -> None:
    slope = trace(grad(lambda x: x**4), 0.0)
    x = Value(2.0)
    y = slope(x)
    assert isinstance(y, Value)
    y.backward()
    assert (y.data, x.grad) == (32.0, 48.0)
    [second] = gradient_graph(y, [x])
    [third] = gradient_graph(second, [x])
    assert (second.data, third.data) == (48.0, 48.0)


def test_an_array_of_values_gives_one() -> None:
    z = values([1.0, 2.0], "z")
    result = trace(softmax, np.zeros(2))(z)
    assert isinstance(result, ValueArray)
    close(result.data, softmax([1.0, 2.0]))
    result[0].backward()
    S = softmax([1.0, 2.0])
    close(z.grad, [S[0] * S[1], -S[0] * S[1]])
    mixed = trace(lambda x, y: x * y, np.zeros(2), 0.0)([Value(2.0), 3.0], 4.0)
    close(mixed.data, [8.0, 12.0])


def test_a_scalar_argument_takes_an_array_of_values_elementwise() -> None:
    x = values([1.0, 2.0], "x")
    result = trace(lambda x, y: x * y, 0.0, 0.0)(x, 3.0)
    assert isinstance(result, ValueArray)
    close(result.data, [3.0, 6.0])
    result[1].backward()
    close(x.grad, [0.0, 3.0])


def test_a_graph_of_a_program_follows_ieee() -> None:
    log = trace(np.log, 0.0)
    assert log(Value(0.0)).data == -INF
    assert math.isnan(log(Value(-1.0)).data)


# --- the numbers of the example play no part ---


def huber(x: Any) -> Any:
    return np.where(np.abs(x) <= 1, x**2 / 2, np.abs(x) - 0.5)


def smooth_l1(x: Any, beta: Any = 0.5) -> Any:
    return np.where(abs(x) < beta, 0.5 * x**2 / beta, abs(x) - 0.5 * beta)


@pytest.mark.parametrize("example", [-5.0, 0.0, 0.25, 5.0, NAN])
@pytest.mark.parametrize(
    ("f", "value", "slope"),
    [
        (lambda x: np.where(x > 0, x, 0.0), lambda x: max(x, 0.0), lambda x: float(x > 0)),
        (relu, lambda x: max(x, 0.0), lambda x: float(x > 0)),
        (lambda x: np.maximum(x, 0.0), lambda x: max(x, 0.0), lambda x: float(x > 0)),
        (lambda x: x * (x > 0), lambda x: max(x, 0.0), lambda x: float(x > 0)),
        (huber, lambda x: x * x / 2 if abs(x) <= 1 else abs(x) - 0.5, lambda x: max(-1.0, min(x, 1.0))),
        (
            smooth_l1,
            lambda x: x * x if abs(x) < 0.5 else abs(x) - 0.25,
            lambda x: 2 * x if abs(x) < 0.5 else math.copysign(1, x),
        ),
        (
            lambda x: np.where(x < -1, -1.0, np.where(x < 1, x, np.where(x < 2, x**2, 4.0))),
            lambda x: -1.0 if x < -1 else x if x < 1 else x * x if x < 2 else 4.0,
            lambda x: 0.0 if x < -1 else 1.0 if x < 1 else 2 * x if x < 2 else 0.0,
        ),
        (
            lambda x: np.clip(x, -1, 2),
            lambda x: max(-1.0, min(x, 2.0)),
            lambda x: float(-1 < x < 2),
        ),
    ],
)
def test_branches_are_decided_at_every_call(
    f: Callable[[Any], Any], value: Callable[[float], float], slope: Callable[[float], float], example: float
) -> None:
    program = trace(value_and_grad(f), example)
    for x in (-3.0, -0.75, -0.25, 0.1, 0.75, 1.5, 3.0):
        close(program(x), (value(x), slope(x)))


def test_a_gradient_traced_at_zero_runs_elsewhere() -> None:
    product = trace(grad(lambda x, y: x * y * y, (0, 1)), 0.0, 0.0)
    assert product(3.0, 5.0) == (25.0, 30.0)
    power = trace(grad(lambda x, n: x**n, (0, 1)), 0.0, 0.0)
    close(power(2.0, 3.0), (12.0, 8 * math.log(2)))
    norm = trace(grad(np.linalg.norm), np.zeros(2))
    close(norm([3.0, 4.0]), [0.6, 0.8])
    close(norm([0.0, 0.0]), [0.0, 0.0])


def test_a_target_may_be_another_class_later() -> None:
    z = np.array([0.2, -1.0, 0.7])
    one_hot = trace(value_and_grad(cross_entropy_from_logits), np.zeros(3), np.array([1.0, 0.0, 0.0]))
    index = trace(value_and_grad(cross_entropy_from_logits), np.zeros(3), 0)
    of_softmax = trace(value_and_grad(lambda z, t: cross_entropy(softmax(z), t)), np.zeros(3), 0)
    for k, t in enumerate(np.eye(3)):
        for value, gradient in (one_hot(z, t), index(z, k), of_softmax(z, k)):
            close(value, -np.log(softmax(z)[k]))
            close(gradient, softmax(z) - t)


def test_a_batch_of_class_indices() -> None:
    z = np.array([[0.2, -1.0, 0.7], [1.0, 2.0, 3.0]])
    program = trace(value_and_grad(cross_entropy_from_logits), np.zeros((2, 3)), np.zeros(2, int))
    for t in ([0, 1], [2, 2], [1, 0]):
        value, gradient = program(z, t)
        close(value, -np.mean(np.log(softmax(z)[[0, 1], t])))
        close(gradient, (softmax(z) - np.eye(3)[t]) / 2)


@pytest.mark.parametrize("example", [[0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0]])
@pytest.mark.parametrize(
    ("x", "shares"),
    [
        ([1.0, 2.0, 0.0, -1.0], [0, 1, 0, 0]),
        ([2.0, 2.0, 0.0, -1.0], [1 / 2, 1 / 2, 0, 0]),
        ([2.0, 0.0, 2.0, 2.0], [1 / 3, 0, 1 / 3, 1 / 3]),
        ([2.0, 2.0, 2.0, 2.0], [1 / 4, 1 / 4, 1 / 4, 1 / 4]),
    ],
)
def test_ties_share_the_derivative_evenly(x: Any, shares: Any, example: Any) -> None:
    close(trace(value_and_grad(np.max), np.array(example))(x)[1], shares)
    value, gradient = trace(value_and_grad(np.min), np.array(example))(np.negative(x))
    assert value == -max(x)
    close(gradient, shares)


def test_the_extremum_of_two_entries_is_traced() -> None:
    program = trace(value_and_grad(np.max), np.zeros(2))
    close(program([1.0, 3.0])[1], [0.0, 1.0])
    close(program([3.0, 3.0])[1], [0.5, 0.5])


@pytest.mark.parametrize("f", [np.max, np.min, np.sum, np.prod])
def test_folds_of_numbers_that_are_not_finite(f: Callable[[Any], Any]) -> None:
    program = trace(f, np.zeros(3))
    for x in ([INF, 1.0, 0.5], [-INF, 1.0, 2.0], [-INF, INF, 1.0], [INF, INF, INF], [NAN, 1.0, INF]):
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(program(x), f(np.array(x)), str(x))


# --- conditions ---


@pytest.mark.parametrize(
    "condition",
    [
        lambda x: x > 0,
        lambda x: x >= 0,
        lambda x: x < 0,
        lambda x: x <= 0,
        lambda x: x == 1,
        lambda x: x != 1,
        lambda x: x == x[::-1],
        lambda x: x != x[0],
        lambda x: np.equal(x, x[::-1]),
        lambda x: 0 < x,  # noqa: SIM300  # the reflected comparison is what is tested
        lambda x: np.greater(x, 0.3),
        lambda x: np.less_equal(0.3, x),
        lambda x: np.equal(x, 0),
        lambda x: np.not_equal(x, 0),
        lambda x: (x > 0) & (x < 1),
        lambda x: (x < 0) | (x > 1),
        lambda x: ~(x < 0),
        lambda x: ~((x > 0) & ~(x < 1)) | (x == -2),
        lambda x: np.logical_and(x > 0, x < 1),
        lambda x: np.logical_or(x < 0, x > 1),
        lambda x: np.logical_not(x < 0),
        lambda x: np.any(x > 0),
        lambda x: np.all(x > 0),
        lambda x: (x > 0).any(),
        lambda x: (x >= -2).all(),
        lambda x: np.logical_or.reduce(x > 1),
    ],
)
def test_conditions_are_those_of_numpy(condition: Callable[[Any], Any]) -> None:
    rng = np.random.default_rng(2)
    x = rng.choice(EDGES, (40, 3))
    program = trace(lambda x: (np.where(condition(x), x, 7.0), condition(x) * 1.0), np.zeros(3))
    for row in [*x, np.array([-2.0, -1.0, 0.0]), np.array([1.0, 2.0, 3.0])]:
        chosen, factor = program(row)
        np.testing.assert_array_equal(chosen, np.where(condition(row), row, 7.0))
        np.testing.assert_array_equal(factor, condition(row) * 1.0)
    same = trace(lambda x, y: np.where(x == y, 1.0, np.where(x != y, 2.0, 3.0)), 0.0, 0.0)
    assert [same(0.5, y) for y in (0.5, 1.5, NAN)] == [1.0, 2.0, 2.0]
    scalar = trace(lambda x: np.where((x > 0) & (x < 1) | ~(x < 2), 1.0, x), 0.0)
    assert [scalar(x) for x in (-1.0, 0.5, 1.5, 2.0)] == [-1.0, 1.0, 1.5, 1.0]


def test_a_condition_has_no_gradient() -> None:
    assert trace(grad(lambda x: (x > 0) * 1.0 + (x == 2)), 0.0)(2.0) == 0.0
    masked = trace(grad(lambda x: np.sum(x * (x > 0) * ~(x > 2))), np.zeros(3))
    close(masked([-1.0, 1.0, 3.0]), [0.0, 1.0, 0.0])
    count = trace(lambda x: np.sum(x > 0) + np.mean(x > 0), np.zeros(4))
    assert count([1.0, -1.0, 2.0, 0.0]) == 2.5


# --- what cannot be recorded ---


def halved(x: Any) -> Any:
    while x > 1:
        x = x / 2
    return x


def absolute(x: Any) -> Any:
    if x < 0:
        return -x
    return x


@pytest.mark.parametrize(
    ("f", "advice"),
    [
        (absolute, r"np\.where"),
        (halved, r"np\.where"),
        (lambda x: x if x > 0 else -x, r"np\.where"),
        (lambda x: (x > 0) and (x < 1), r"np\.where"),
        (lambda x: not x, r"np\.where"),
        (lambda x: 0 < x < 1, r"np\.where"),
        (lambda x: bool(x), r"np\.where"),
        (lambda x: sorted([x, -x]), r"np\.where"),
        (lambda x: max(x, 0.0), r"np\.where"),
        (lambda x: x in [x * 2], r"np\.where"),
        (lambda x: np.sort(values([x, -x])), r"np\.where"),
        (lambda x: x.data * 2, r"\.data has no number yet"),
        (lambda x: values([x]).data, r"\.data has no number yet"),
        (lambda x: np.argmax(values([x, -x])), r"\.data has no number yet"),
        (lambda x: [1.0, 2.0][x], r"cannot be an index; pick with np\.where"),
        (lambda x: list(range(x)), "cannot be an index"),
        (lambda x: complex(x), "does not become a number"),
        (lambda x: math.ulp(x), "use autograd_mini's functions instead of math's"),
        (lambda x: (x * x).backward(), r"use grad\(\.\.\.\)"),
        (lambda x: values([x, x]).sum().backward(), r"use grad\(\.\.\.\)"),
        (lambda x: x.grad, r"use grad\(\.\.\.\)"),
        (lambda x: Value.backward(x), r"use grad\(\.\.\.\)"),
        (lambda x: x.forward(), "no numbers to work on"),
        (lambda x: values([x * x]).backward(), r"use grad\(\.\.\.\)"),
        (lambda x: (x * x).zero_grad(), r"\.grad"),
        (lambda x: setattr(x, "data", 0.0), r"\.data"),
        (lambda x: np.random.rand(1).__setitem__(0, x), r"values\(\[\.\.\.\]\)"),
        (lambda x: values([x, -x])[values([x, -x]) > 0], r"np\.sum\(np\.where\(mask, x, 0\)\)"),
        (lambda x: np.argmax(values([x])), r"np\.argmax"),
    ],
)
def test_a_trace_error_names_the_line(f: Callable[[Any], Any], advice: str) -> None:
    line = f.__code__.co_firstlineno + (f.__name__ != "<lambda>")
    with pytest.raises(TraceError, match=advice) as error:
        trace(f, 1.0)
    assert str(error.value).startswith(f"while tracing, {__file__}:{line}: ")
    assert "\n" not in str(error.value)


def test_a_file_beside_the_package_is_the_users() -> None:
    file = str(Path(autograd_mini.__file__).parent) + "_example.py"
    namespace: dict[str, Any] = {}
    exec(compile("\n\ndef f(x): return x if x > 0 else -x", file, "exec"), namespace)
    with pytest.raises(TraceError, match=rf"^while tracing, {re.escape(file)}:3: "):
        trace(namespace["f"], 1.0)


def test_an_argument_of_another_trace_is_refused_by_its_name() -> None:
    with pytest.raises(TraceError, match=r"^outer is no argument .* another trace; pass it as an argument$"):
        trace(lambda outer: trace(lambda x: outer * x, 0.0)(outer), 0.0)


def with_closure(x: Any) -> Any:
    y = x * 2
    y._backward = lambda: None
    return y


@pytest.mark.parametrize("f", [with_closure, lambda x: Value(0.0, (x,), "hand") * 2])
def test_nodes_made_by_hand_are_refused_in_one_sentence(f: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=r"^the node '.*' was made by hand .* primitive\(\.\.\.\)$"):
        trace(f, 1.0)


def test_a_function_that_fails_leaves_nothing_behind() -> None:
    with pytest.raises(TraceError):
        trace(grad(absolute), 1.0)
    assert bool(Value(2.0) > 1)
    assert grad(absolute)(-3.0) == -1.0


# --- numbers of other types ---


def test_scalar_arguments_take_arrays_elementwise() -> None:
    program = trace(lambda x, y: {"d": x - y, "one": 1.0, "v": np.array([x, 1.0])}, 0.0, 0.0)
    column, row = np.arange(3.0)[:, None], np.array([10.0, 20.0])
    result = program(column, row)
    np.testing.assert_array_equal(result["d"], column - row)
    np.testing.assert_array_equal(result["one"], np.ones((3, 2)))
    np.testing.assert_array_equal(result["v"], [np.broadcast_to(column, (3, 2)), np.ones((3, 2))])
    np.testing.assert_array_equal(program([1, 2], 1)["d"], [0.0, 1.0])
    weighted = trace(lambda w, x: np.sum(w * x), np.zeros(2), 0.0)
    np.testing.assert_array_equal(weighted([1.0, 2.0], np.array([1.0, 10.0])), [3.0, 30.0])


def test_arrays_follow_ieee() -> None:
    x = np.array(EDGES)
    with np.errstate(all="ignore"):
        want = 1 / x, np.log(x), np.power(x, np.full(len(x), 1.5)), np.exp(x) / x
    program = trace(lambda x: (1 / x, np.log(x), x**1.5, np.exp(x) / x), 0.0)
    close(program(x), want)
    for k, number in enumerate(EDGES):
        close(program(number), [column[k] for column in want])


@pytest.mark.parametrize(
    ("given", "got"),
    [
        (np.zeros((5, 3)), r"\(5, 3\)"),
        (np.zeros(2), r"\(2,\)"),
        (2.0, r"\(\)"),
        ([1.0, 2.0], r"\(2,\)"),
        ([[1.0, 2.0], [3.0]], "rows of several lengths"),
        (np.zeros((3, 1)), r"\(3, 1\)"),
        ({"a": 1.0}, "dict"),
        (Value(1.0), r"\(\)"),
    ],
)
def test_another_shape_is_named_with_the_way_to_a_batch(given: Any, got: str) -> None:
    program = trace(lambda p: np.sum(p["x"]), {"x": np.zeros(3)})
    message = rf"^argument p\['x'\]: expected an array of shape \(3,\), got {got}; vmap\(in_axes="
    with pytest.raises(TypeError, match=message):
        program({"x": given})


@pytest.mark.parametrize(
    ("given", "got"),
    [
        ("a", "str"),
        (None, "NoneType"),
        (1j, "complex"),
        (np.array(["a"]), "ndarray of dtype <U1"),
        ([1j], "ndarray of dtype complex128"),
        ([[1.0, 2.0], [3.0]], "rows of several lengths"),
    ],
)
def test_what_is_no_number_is_refused(given: Any, got: str) -> None:
    with pytest.raises(TypeError, match=f"^argument x: expected (a number|numbers).*, got {got}$"):
        trace(lambda x: 2 * x, 0.0)(given)


def test_symbols_give_expressions() -> None:
    sympy = pytest.importorskip("sympy")
    x, y = sympy.symbols("x y", real=True)
    slope = trace(grad(lambda x, y: np.exp(x) * y**2, (0, 1)), 0.0, 0.0)
    dx, dy = slope(x, y)
    assert sympy.simplify(dx - sympy.exp(x) * y**2) == 0
    assert sympy.simplify(dy - 2 * sympy.exp(x) * y) == 0
    logits = trace(softmax, np.zeros(2))([x, y])
    assert logits.shape == (2,)
    total = sum(logits).subs({x: 1, y: 2})
    assert sympy.simplify(total) == 1


def test_multiprecision_numbers_keep_their_digits() -> None:
    mpmath = pytest.importorskip("mpmath")
    gradient = trace(grad(logsumexp), np.zeros(2))
    with mpmath.workdps(40):
        first, second = gradient([mpmath.mpf(1) / 3, 0])
        want = 1 / (1 + mpmath.exp(-mpmath.mpf(1) / 3))
        assert abs(first - want) < mpmath.mpf(10) ** -38
        assert abs(first + second - 1) < mpmath.mpf(10) ** -38


def test_dask_arrays_stay_lazy() -> None:
    da = pytest.importorskip("dask.array")
    x = da.arange(6.0, chunks=3)
    y = trace(grad(lambda x: np.sin(x) ** 2), 0.0)(x)
    assert isinstance(y, da.Array)
    close(y.compute(scheduler="synchronous"), np.sin(2 * np.arange(6.0)))


def test_lazy_arrays_among_the_entries_are_not_computed_by_the_call() -> None:
    da = pytest.importorskip("dask.array")
    computed: list[Any] = []

    def seen(block: Any) -> Any:
        computed.append(block)
        return block

    x = da.arange(6.0, chunks=3).map_blocks(seen, meta=np.zeros(0))
    program = trace(lambda w: np.sum(w**2), np.zeros((1, 2)))
    results = program([[x, x + 1.0]]), program([[2.0, x]]), program(((x[4], 1.0),))
    assert not computed
    wants = np.arange(6.0) ** 2 + np.arange(1.0, 7.0) ** 2, 4.0 + np.arange(6.0) ** 2, 17.0
    for result, want in zip(results, wants, strict=True):
        close(result.compute(scheduler="synchronous"), want)


# --- equal to the engine ---

LOSSES: list[tuple[Callable[..., Any], str]] = [
    (cross_entropy_from_logits, "distribution"),
    (lambda z, t: cross_entropy(softmax(z), t), "distribution"),
    (lambda z, t: np.sum(t * log_softmax(z)), "distribution"),
    (lambda z, t: logsumexp(z * t), "any"),
    (binary_cross_entropy_from_logits, "probabilities"),
    (lambda z, t: binary_cross_entropy(1 / (1 + np.exp(-z)), t), "probabilities"),
    (squared_error, "any"),
    (mean_squared_error, "any"),
    (absolute_error, "any"),
]


def targets(kind: str, rng: np.random.Generator) -> Any:
    if kind == "distribution":
        return rng.dirichlet(np.ones(4)) if rng.random() < 0.5 else np.eye(4)[rng.integers(4)]
    return rng.random(4) if kind == "probabilities" else rng.normal(size=4)


def engine(f: Callable[..., Any], z: Any, t: Any) -> tuple[float, Any]:
    z = values(z)
    loss = f(z, t)
    loss.backward()
    return loss.data, z.grad


@pytest.mark.parametrize(("loss", "kind"), LOSSES)
def test_losses_equal_the_engines(loss: Callable[..., Any], kind: str) -> None:
    rng = np.random.default_rng(3)
    program = trace(value_and_grad(loss), np.zeros(4), np.zeros(4))
    for scale in (1.0, 5.0) * 8:
        z, t = scale * rng.normal(size=4), targets(kind, rng)
        value, gradient = program(z, t)
        want, slopes = engine(loss, z, t)
        close(value, want)
        close(gradient, slopes)


@pytest.mark.parametrize("k", [0, 3, 4, 6, 7, 8])
def test_losses_equal_the_engines_where_numbers_are_not_finite(k: int) -> None:
    loss, kind = LOSSES[k]
    rng = np.random.default_rng(4)
    program = trace(value_and_grad(loss), np.zeros(4), np.zeros(4))
    for _ in range(40):
        z, t = rng.choice([*EDGES, 800.0, -800.0], 4), targets(kind, rng)
        got = program(z, t)
        with np.errstate(all="ignore"):
            try:
                want = engine(loss, z, t)
            except DomainError:  # eager expressions raise where a program has inf or nan
                assert not math.isfinite(got[0])
                continue
        close(got[0], want[0])
        close(got[1], want[1])


@pytest.mark.parametrize("n", [1_500, pytest.param(26_000, marks=pytest.mark.slow)])
def test_more_instructions_than_python_compiles(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autograd_mini.evaluation.EMITTED", EMITTED * n // 26_000)

    def f(x: Any) -> Any:
        for i in range(n):
            x = 0.999 * x + i % 7
        return x

    program = trace(f, 0.0)
    assert len(program) > EMITTED * n // 26_000
    assert program(1.0) == f(1.0)
    assert program(-2.0) == f(-2.0)
    close(program.vmap(reduce="sum")([1.0, -2.0, 0.5]), f(1.0) + f(-2.0) + f(0.5))


# --- a graph that exists ---


def product() -> tuple[Value, Value, Value, Value]:
    x, y = Value(2.0, label="x"), Value(3.0, label="y")
    h = named(x * y, "h")
    return x, y, h, h + y


def test_inputs_may_be_intermediates_and_other_leaves_are_constants() -> None:
    x, y, h, f = product()
    assert Program.from_graph(f, [x])(5.0) == 5.0 * 3.0 + 3.0
    assert Program.from_graph(f, [h])(5.0) == 5.0 + 3.0
    assert Program.from_graph(f, [h, y])(5.0, 1.0) == 6.0
    assert Program.from_graph(f, [h, x])(5.0, 100.0) == 8.0
    program = Program.from_graph(f, [x])
    y.data = 50.0
    assert program(5.0) == 18.0
    assert (x.data, f.data, x.grad) == (2.0, 9.0, 0.0)


def test_outputs_and_inputs_are_trees() -> None:
    x, y, h, f = product()
    program = Program.from_graph({"f": f, "others": (h, 4.0)}, {"point": {"a": x, "b": [y]}})
    assert program({"a": 5.0, "b": [7.0]}) == {"f": 42.0, "others": (35.0, 4.0)}
    assert list(program.arguments) == ["point"]
    assert Program.from_graph(x, x)(5.0) == 5.0


def test_a_gradient_graph_becomes_a_program() -> None:
    x, y, _, f = product()
    program = Program.from_graph(gradient_graph(f, [x, y]), [x, y])
    assert program(10.0, 20.0) == [20.0, 11.0]


def test_labelled_intermediates_are_kept_on_demand() -> None:
    x, y, _, f = product()
    program = Program.from_graph(f, [x, y], keep=True)
    assert program(5.0, 2.0) == (12.0, {"h": 10.0})
    W, v = values(np.eye(2), "W"), values([1.0, 2.0], "v")
    out, kept = Program.from_graph(np.sum(named(W @ v, "z")), [W, v], keep=True)([[1, 2], [3, 4]], [1, 1])
    assert (out, kept) == (10.0, {"z0": 3.0, "z1": 7.0})
    h = x
    for _ in range(3):
        h = named(h * y, "h")
    assert Program.from_graph(h, [x, y], keep=True)(5.0, 2.0) == (40.0, {"h": 10.0, "h_1": 20.0, "h_2": 40.0})


def test_arguments_are_named_after_labels() -> None:
    x, y, _, f = product()
    assert list(Program.from_graph(f, [x, y]).arguments) == ["x", "y"]
    W, z = values(np.ones((2, 2)), "W1"), values([1.0, 2.0], "z")
    by_name = Program.from_graph(W @ z, [W, z])
    assert list(by_name.arguments) == ["W1", "z"]
    close(by_name(z=[1.0, 2.0], W1=[[1.0, 0.0], [0.0, 1.0]]), [1.0, 2.0])
    a, b = Value(1.0), Value(2.0)
    assert list(Program.from_graph(a * b, [a, b]).arguments) == ["x0", "x1"]
    twin, other = Value(1.0, label="x"), Value(2.0, label="x")
    same = Program.from_graph(twin - other, [twin, other])
    assert len(same.arguments) == 2
    assert same(5.0, 3.0) == 2.0
    a, b, c = (Value(number, label=label) for number, label in ((1.0, "a_2"), (2.0, "a"), (3.0, "a")))
    assert Program.from_graph(a + 10 * b + 100 * c, [a, b, c])(4.0, 5.0, 6.0) == 654.0


def test_a_graph_refuses_in_one_sentence() -> None:
    x, y, h, f = product()
    with pytest.raises(ValueError, match=r"^Program.from_graph: a Value is given twice among the inputs$"):
        Program.from_graph(f, [x, y, x])
    with pytest.raises(TypeError, match=r"^Program.from_graph: inputs must be Values, got float$"):
        Program.from_graph(f, [x, 1.0])
    hand = Value(4.0, (h,), "hand")
    with pytest.raises(TypeError, match=r"^the node 'hand' was made by hand .* primitive\(\.\.\.\)$"):
        Program.from_graph(hand * 2, [x])
    assert Program.from_graph(hand * 2, [hand])(3.0) == 6.0  # what lies below an input plays no part


# --- over a batch ---


def regression(W: Any, b: Any, x: Any, t: Any) -> Any:
    return cross_entropy_from_logits(W.T @ x + b, t)


@pytest.mark.parametrize("count", [1, 2, 7, 64, 65, 1023, 1500])
def test_a_batch_equals_a_loop_over_samples(count: int) -> None:
    rng = np.random.default_rng(count)
    W, b = rng.normal(size=(3, 4)), rng.normal(size=4)
    X, t = rng.normal(size=(count, 3)), rng.integers(0, 4, count)
    program = trace(value_and_grad(regression, (0, 1)), np.zeros((3, 4)), np.zeros(4), np.zeros(3), 0)
    loop = [program(W, b, x, k) for x, k in zip(X, t, strict=True)]
    losses, dW, db = (np.array(part) for part in zip(*((v, *g) for v, g in loop), strict=True))
    value, (gradient_W, gradient_b) = program.vmap((None, None, 0, 0))(W, b, X, t)
    assert (value.shape, gradient_W.shape, gradient_b.shape) == ((count,), (count, 3, 4), (count, 4))
    close(value, losses)
    close(gradient_W, dW)
    close(gradient_b, db)
    for reduce, of in (("sum", np.sum), ("mean", np.mean)):
        value, (gradient_W, gradient_b) = program.vmap((None, None, 0, 0), reduce)(W, b, X, t)
        assert type(value) is float
        close(value, of(losses))
        close(gradient_W, of(dW, axis=0))
        close(gradient_b, of(db, axis=0))


@pytest.mark.parametrize(
    ("in_axes", "axes"),
    [
        (0, (0, 0)),
        (1, (1, 1)),
        (-1, (2, 2)),
        ((0, None), (0, None)),
        ((None, -2), (None, 1)),
        ((-3, 2), (0, 2)),
        ([1, 0], (1, 0)),
    ],
)
def test_axes(in_axes: Any, axes: Any) -> None:
    rng = np.random.default_rng(5)
    program = trace(lambda x, y: x @ y.T, np.zeros((2, 3)), np.zeros((2, 3)))
    rows = [rng.normal(size=(2, 3) if axis is None else (5, 2, 3)) for axis in axes]
    moved = [x if axis is None else np.moveaxis(x, 0, axis) for x, axis in zip(rows, axes, strict=True)]
    x, y = (np.broadcast_to(x, (5, 2, 3)) for x in rows)
    close(program.vmap(in_axes)(*moved), np.stack([program(a, b) for a, b in zip(x, y, strict=True)]))


def test_axes_may_be_given_for_the_branches_of_an_argument() -> None:
    def f(layer: Any, d: Any) -> Any:
        return np.sum(layer.w) * layer.b + d["a"] * d["k"][0]

    program = trace(f, Layer(np.zeros(2), 0.0), {"a": 0.0, "k": [0.0]})
    ws, w, n = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 2.0]), np.array([10.0, 20.0])
    d = {"k": [3.0], "a": 1.0}
    close(program.vmap((Layer(0, None), None))(Layer(ws, 2.0), d), [9.0, 17.0])
    close(program.vmap(((1, 0), None))(Layer(ws.T, n), d), [33.0, 143.0])
    close(program.vmap((None, {"k": None, "a": 0}))(Layer(w, 2.0), {"a": n, "k": [3.0]}), [36.0, 66.0])
    close(program.vmap((None, {"a": None, "k": [0]}))(Layer(w, 2.0), {"a": 2.0, "k": [n]}), [26.0, 46.0])
    one = trace(lambda pair: pair[0] * pair[1], (0.0, 0.0))
    close(one.vmap(([0, None],))((n, 2.0)), [20.0, 40.0])


def test_results_that_do_not_depend_on_the_batch() -> None:
    program = trace(lambda w, x: (2 * w, x, 5.0), np.zeros(2), 0.0)
    rows, x, five = program.vmap((None, 0))([1.0, 2.0], [1.0, 2.0, 3.0])
    close(rows, [[2.0, 4.0]] * 3)
    close((x, five), ([1.0, 2.0, 3.0], [5.0] * 3))
    rows, x, five = program.vmap((None, 0), "sum")([1.0, 2.0], [1.0, 2.0, 3.0])
    close(rows, [6.0, 12.0])
    assert (x, five) == (6.0, 15.0)
    assert program.vmap((None, 0), "mean")([1.0, 2.0], [1.0, 2.0, 3.0])[1:] == (2.0, 5.0)


def test_no_samples() -> None:
    program = trace(lambda w, x: (w, np.sum(w * x)), np.zeros(2), np.zeros(2))
    w, none = np.ones(2), np.zeros((0, 2))
    rows, total = program.vmap((None, 0))(w, none)
    assert (rows.shape, total.shape) == ((0, 2), (0,))
    rows, total = program.vmap((None, 0), "sum")(w, none)
    assert (rows.tolist(), total) == ([0.0, 0.0], 0.0)
    rows, total = program.vmap((None, 0), "mean")(w, none)
    assert np.isnan(rows).all()
    assert math.isnan(total)


def test_a_batch_follows_ieee() -> None:
    program = trace(lambda x: np.exp(x) / x + np.log(x), 0.0)
    for block in (EDGES, EDGES * 10, EDGES * 100):
        close(program.vmap()(block), [program(x) for x in block])
    total = trace(lambda x: 1 / x, 0.0).vmap(reduce="sum")
    assert total([0.0, 1.0]) == INF
    assert math.isnan(total([0.0, -0.0]))


def test_a_batch_of_numbers_of_any_kind_and_layout() -> None:
    program = trace(lambda x, y: x @ y, np.zeros(2), np.zeros(2))
    X = np.arange(6.0).reshape(3, 2)
    for given in (X.astype(int), X.astype(np.float32), np.asfortranarray(X), X.tolist(), X.astype(">f8")):
        close(program.vmap((0, None))(given, [1, 2]), X @ [1, 2])
    close(program.vmap((None, 0))(y=X[::-1], x=[1.0, 2.0]), X[::-1] @ [1, 2])
    mapped = program.vmap((0, None), reduce="sum")
    assert repr(mapped) == f"<{program!r} mapped with in_axes=(0, None), reduce='sum'>"


@pytest.mark.parametrize(
    ("in_axes", "reduce", "message"),
    [
        (None, None, "in_axes must map at least one argument"),
        ((None, None), None, "in_axes must map at least one argument"),
        ((0,), None, "in_axes has 1 entries for 2 arguments"),
        ((0, 0.5), None, "in_axes of x must be an axis, None, or have the argument's structure, got 0.5"),
        ((0, (0, 0)), None, "in_axes of x must be an axis, None, or have the argument's structure"),
        (({"w": 0}, 0), None, "in_axes of p must be an axis, None, or have the argument's structure"),
        (0, "max", 'reduce must be None, "sum" or "mean", got \'max\''),
    ],
)
def test_a_wrong_map_is_refused(in_axes: Any, reduce: Any, message: str) -> None:
    program = trace(lambda p, x: p["w"] * x + p["b"], {"w": 0.0, "b": 0.0}, np.zeros(2))
    with pytest.raises(ValueError, match=f"^vmap: {message}"):
        program.vmap(in_axes, reduce)


@pytest.mark.parametrize(
    ("in_axes", "x", "error", "message"),
    [
        (0, np.zeros((4, 2)), ValueError, r"the mapped axes must have one length, got {'w': 3, 'x': 4}"),
        (0, np.zeros((3, 5)), TypeError, r"argument x: .* shape \(samples, 2\), got \(3, 5\)"),
        ((0, 1), np.zeros((3, 2)), TypeError, r"argument x: .* \(2, samples\), got \(3, 2\)"),
        ((0, -1), np.zeros((3, 2)), TypeError, r"argument x: .* \(2, samples\), got \(3, 2\)"),
        ((0, 5), np.zeros((3, 2)), TypeError, "argument x: "),
        (0, np.zeros(2), TypeError, r"argument x: .* got \(2,\)"),
        ((0, None), np.zeros((3, 2)), TypeError, r"argument x: .* shape \(2,\), got \(3, 2\)"),
        (0, [[1.0, 2.0], [3.0]], TypeError, "argument x: a batch takes arrays of floats, got list"),
        (0, values(np.zeros((3, 2))), TypeError, "argument x: .* got ValueArray"),
    ],
)
def test_a_wrong_batch_is_refused(in_axes: Any, x: Any, error: type[Exception], message: str) -> None:
    program = trace(lambda w, x: w * x, 0.0, np.zeros(2))
    with pytest.raises(error, match=message):
        program.vmap(in_axes)(np.zeros(3), x)


# --- buffers, source, threads ---


def test_a_buffer_reads_and_writes_flat_arrays() -> None:
    program = trace(lambda p, x: (x @ p["w"], p["b"] / x), {"w": np.zeros(2), "b": 0.0}, np.zeros(2))
    inputs, outputs = np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.empty(3)
    run = program.buffer(inputs, outputs)
    run()
    close(outputs, [14.0, 0.75, 0.6])
    inputs[:] = [1.0, 1.0, 1.0, 0.0, -2.0]
    run()
    close(outputs, [-2.0, INF, -0.5])


@pytest.mark.parametrize(
    ("inputs", "outputs", "message"),
    [
        (np.zeros(3), np.zeros(1), r"inputs must be a contiguous float64 array of shape \(2,\)"),
        (np.zeros((2, 1)), np.zeros(1), "inputs"),
        (np.zeros(4)[::2], np.zeros(1), "inputs"),
        (np.zeros(2, np.float32), np.zeros(1), "inputs"),
        (np.zeros(2, ">f8"), np.zeros(1), "inputs"),
        ([0.0, 0.0], np.zeros(1), "inputs"),
        (np.zeros(2), np.zeros(2), r"outputs must be a contiguous float64 array of shape \(1,\)"),
        (np.zeros(2), np.frombuffer(bytes(8)), "writ"),
    ],
)
def test_buffers_of_another_kind_are_refused(inputs: Any, outputs: Any, message: str) -> None:
    program = trace(lambda x, y: x * y, 0.0, 0.0)
    with pytest.raises((TypeError, ValueError), match=message):
        program.buffer(inputs, outputs)


def test_the_source_runs_and_equals_the_program() -> None:
    rng = np.random.default_rng(6)
    W, b, x = rng.normal(size=(3, 4)), rng.normal(size=4), rng.normal(size=3)
    program = trace(value_and_grad(regression, (0, 1)), np.zeros((3, 4)), np.zeros(4), np.zeros(3), 0)
    scope: dict[str, Any] = {}
    exec(program.source(), scope)
    loss, (dW, db) = scope["regression"](W.tolist(), b.tolist(), x.tolist(), 2)
    value, (gradient_W, gradient_b) = program(W, b, x, 2)
    close(loss, value)
    close(np.reshape(dW, (3, 4)), gradient_W)
    close(db, gradient_b)


def test_the_source_in_every_language_names_the_arguments() -> None:
    program = trace(lambda rate, p: {"next": rate * p["w"]}, 0.0, {"w": np.zeros(2)})
    sources = {language: program.source(language) for language in ("python", "javascript", "c")}
    assert sources["python"].startswith("def f(rate, p):")
    assert sources["javascript"].startswith("function f(rate, p) {")
    assert "void f(double rate, const double *p, double *result)" in sources["c"]
    assert "float rate" in program.source("c", precision="float")
    with pytest.raises(ValueError, match="the language is"):
        program.source("cobol")


def test_two_threads_run_one_program() -> None:
    program = trace(value_and_grad(lambda x, s: np.sum(np.sin(s * x))), np.zeros(8), 0.0)
    mapped = trace(lambda x: x * np.exp(x), 0.0).vmap(reduce="sum")
    wrong: list[Any] = []

    def work(s: float) -> None:
        x = np.linspace(0.0, s, 8)
        value, gradient = program(x, s)
        total = mapped(x)
        for _ in range(2000):
            again, slopes = program(x, s)
            if again != value or not np.array_equal(slopes, gradient) or mapped(x) != total:
                wrong.append((s, again))
        if not np.allclose(gradient, s * np.cos(s * x), rtol=1e-12):
            wrong.append((s, gradient))

    threads = [threading.Thread(target=work, args=(s,)) for s in (1.0, 2.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_row_has_the_names_of_its_operands():
    assert "def div(x, y):" in trace(div, 1.0, 2.0).source()


def test_symbols_need_no_machine(monkeypatch):
    sympy = pytest.importorskip("sympy")
    monkeypatch.setattr("autograd_mini.machine.Machine", None)
    assert trace(lambda x: x * x, 0.0)(sympy.Symbol("x")) == sympy.Symbol("x") ** 2
