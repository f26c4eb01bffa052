"""A branch not taken contributes nothing: in every form of evaluation, at every order."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from autograd_mini import (
    DomainError,
    Value,
    detach,
    grad,
    gradient_graph,
    hessian,
    jacobian,
    jvp,
    log,
    maximum,
    minimum,
    number_types,
    primitive,
    relu,
    rules,
    sqrt,
    trace,
    value_and_grad,
    values,
    vjp,
    where,
)
from autograd_mini.value import topological_order

NAN, INF = math.nan, math.inf


def close(got: Any, want: Any) -> None:
    np.testing.assert_allclose(np.asarray(got, float), np.asarray(want, float), rtol=1e-12, atol=0)


def eagerly(f: Callable[[Any], Any], x: float) -> tuple[float, float]:
    leaf = values([x])
    result = f(leaf[0])
    result.backward()
    return result.data, leaf[0].grad


def in_every_form(f: Callable[[Any], Any], x: float, want: tuple[float, float, float]) -> None:
    """Value, derivative and second derivative: eagerly, by transforms, compiled, emitted and interpreted."""
    with np.errstate(all="ignore"):
        close(value_and_grad(f)(x), want[:2])
        close(grad(grad(f))(x), want[2])
        close(jvp(f, (x,), (1.0,)), want[:2])
        close(jvp(grad(f), (x,), (1.0,))[1], want[2])
        close(vjp(f, x)[1](1.0), want[1])
        program = trace(lambda x: (f(x), grad(f)(x), grad(grad(f))(x)), 0.0)
        close(program(x), want)
        close(number_types.evaluate_floats(program.code, [x]), want)
        close([column[0] for column in program(np.array([x]))], want)
        namespace: dict[str, Any] = {}
        exec(program.source(), namespace)
        close(namespace[program.name](x), want)
        with mp.workdps(50):
            close([float(number) for number in program(mp.mpf(x))], want)


def stable_logistic(z: Any) -> Any:
    return np.where(z > 0, np.log1p(np.exp(-z)), -z + np.log1p(np.exp(z)))


def logistic(z: float) -> tuple[float, float, float]:
    with mp.workdps(60):
        z = mp.mpf(z)
        s = 1 / (1 + mp.exp(-z))
        return float(mp.log1p(mp.exp(-z))), float(-1 / (1 + mp.exp(z))), float(s * (1 - s))


GUARDED: list[Any] = [
    (lambda x: np.where(x >= 0, x, np.sqrt(-x)), 1.0, (1.0, 1.0, 0.0)),
    (lambda x: np.where(x >= 0, x, np.sqrt(-x)), -4.0, (2.0, -0.25, -1 / 32)),
    (lambda x: np.where(x > 0, np.log(x), 0.0 * x), -1.0, (0.0, 0.0, 0.0)),
    (lambda x: np.where(x > 0, x * np.log(x), 0.0), 0.0, (0.0, 0.0, 0.0)),
    (lambda x: np.where(x > 0, x * np.log(x), 0.0), 2.0, (2 * math.log(2), math.log(2) + 1, 0.5)),
    (lambda x: np.where(x == 0, 1.0, np.sin(x) / x), 0.0, (1.0, 0.0, 0.0)),  # that of the branch taken
    (lambda x: np.where(abs(x) < 1, x * np.cbrt(x - x), x**2), 3.0, (9.0, 6.0, 2.0)),  # smooth at first order
    (lambda x: np.maximum(x, np.log(x - 2) * x), 2.5, (2.5, 1.0, 0.0)),
    (lambda x: np.minimum(x, x / (x - 1)), 0.5, (-1.0, -4.0, -16.0)),
    (
        lambda x: relu(x - 1 - np.sqrt(x)),
        0.0,
        (0.0, 0.0, 0.0),
    ),
    (lambda x: np.where(x > 0, np.where(x > 5, 1 / (x - 1), x), np.sqrt(x)), 1.0, (1.0, 1.0, 0.0)),
    (lambda x: np.where(x < 1, np.arcsin(x), np.log(x)), 1.0, (0.0, 1.0, -1.0)),
    *[(stable_logistic, z, logistic(z)) for z in (-800.0, 800.0, -30.0, 30.0, 1.5)],
]


@pytest.mark.parametrize(("f", "x", "want"), GUARDED)
def test_a_guarded_branch(f: Callable[[Any], Any], x: float, want: tuple[float, float, float]) -> None:
    close(eagerly(lambda v: f(values([v]))[0], x), want[:2])
    in_every_form(f, x, want)


def test_a_bound_that_is_met_beyond_overflow() -> None:
    def f(x: Any) -> Any:
        return np.clip(np.exp(x), 0.0, 5.0) * x

    close(eagerly(lambda v: f(values([v]))[0], 800.0), (4000.0, 5.0))
    program = trace(lambda x: (f(x), grad(f)(x), grad(grad(f))(x)), 0.0)
    close(program(800.0), (4000.0, 5.0, 0.0))
    close(number_types.evaluate_floats(program.code, [800.0]), (4000.0, 5.0, 0.0))


def test_operands_that_both_branches_share() -> None:
    def f(x: Any) -> Any:
        root = np.sqrt(x)
        return np.where(x > 1, root, 2.0) + np.where(x > 2, root * x, 0.0) + np.where(x > 0, 0.0, root)

    in_every_form(f, 0.5, (2.0, 0.0, 0.0))
    x = mp.mpf(3)
    in_every_form(f, 3.0, tuple(float(mp.diff(lambda t: mp.sqrt(t) * (1 + t), x, n)) for n in range(3)))
    with pytest.raises(DomainError):  # the root is live there, and is none
        jvp(f, (-1.0,), (1.0,))


def test_the_length_of_a_vector_at_0() -> None:
    def direction(v: Any) -> Any:
        length = np.linalg.norm(v)
        return np.where(length > 0, v / length, 0.0)

    zero, v = np.zeros(2), np.array([3.0, 4.0])
    close(jacobian(direction)(zero), np.zeros((2, 2)))
    close(hessian(lambda v: direction(v)[0])(zero), np.zeros((2, 2)))
    close(jacobian(direction)(v), [[0.128, -0.096], [-0.096, 0.072]])
    close(trace(jacobian(direction), zero)(zero), np.zeros((2, 2)))
    close(trace(jacobian(direction), zero)(v), [[0.128, -0.096], [-0.096, 0.072]])


def test_distances_with_a_diagonal() -> None:
    def total(X: Any) -> Any:
        square = np.sum((X[:, None] - X[None]) ** 2, axis=2)
        return np.sum(np.where(square == 0, 0.0, np.sqrt(square)))

    X = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    difference = X[:, None] - X[None]
    length = np.linalg.norm(difference, axis=2) + np.eye(3)
    want = 2 * np.sum(difference / length[..., None], axis=1)
    leaves = values(X)
    total(leaves).backward()
    close(leaves.grad, want)
    close(grad(total)(X), want)
    close(trace(grad(total), X)(X), want)
    assert np.isfinite(hessian(total)(X)).all()


@pytest.mark.parametrize(
    "f",
    [
        lambda x: 0.0 * sqrt(x),
        lambda x: sqrt(x) ** 2,
        lambda x: relu(sqrt(x)),  # relu's 0 at its kink is a number
        lambda x: (x > 1) * sqrt(x),
        lambda x: np.hypot(sqrt(x), 0.0),  # as the zero of a length is
        lambda x: np.where(x >= 0, 1.0, 2.0) * 0.0 * sqrt(x),
    ],
)
def test_multiplication_and_conventions_keep_ieee(f: Callable[[Any], Any]) -> None:
    value, derivative = eagerly(f, 0.0)
    assert value == 0.0
    assert math.isnan(derivative)
    assert math.isnan(grad(f)(0.0))
    assert math.isnan(jvp(f, (0.0,), (1.0,))[1])
    assert math.isnan(trace(grad(f), 0.0)(0.0))


def test_the_second_derivative_at_a_convention_is_nan_as_in_pytorch() -> None:
    assert np.isnan(np.diag(hessian(np.linalg.norm)(np.zeros(2)))).all()
    close(grad(np.linalg.norm)(np.zeros(2)), [0.0, 0.0])


@pytest.mark.parametrize("y", [2.0, 2.5, 3.0])
def test_second_derivatives_of_a_power_at_0(y: float) -> None:
    """y (y - 1) x**(y - 2), x**(y - 1) (1 + y log x) and x**y log(x)**2, whose limits exist."""

    def f(x: Any) -> Any:
        return x[0] ** x[1]

    want = [[y * (y - 1) * 0.0 ** (y - 2), 0.0], [0.0, 0.0]]
    point = np.array([0.0, y])
    program = trace(hessian(f), point)
    with np.errstate(all="ignore"):
        close(hessian(f)(point), want)
        close(program(point), want)
        close(trace(lambda x, n: jvp(grad(lambda t: t**n), (x,), (1.0,))[1], 1.0, 2.0)(0.0, y), want[0][0])


@pytest.mark.parametrize(
    ("f", "point", "want"),
    [
        (rules.relu, (0.0,), [0.0]),
        (rules.maximum, (1.0, 1.0), [0.5, 0.5]),
        (rules.minimum, (1.0, 1.0), [0.5, 0.5]),
        (rules.maximum, (NAN, 1.0), [0.5, 0.5]),
        (rules.relu, (NAN,), [1.0]),
        (rules.where, (0.0, 1.0, 2.0), [0.0, 0.0, 1.0]),
        (rules.where, (-0.5, 1.0, 2.0), [0.0, 1.0, 0.0]),
    ],
)
def test_partials_at_ties_and_at_nan(f: rules.Primitive, point: tuple[float, ...], want: list[float]) -> None:
    leaves = values(point)
    f(*leaves).backward()
    close(leaves.grad, want)
    close(grad(f, tuple(range(len(point))))(*point), want)


def test_a_dead_node_has_gradient_0_and_a_live_zero_passes_nan_on() -> None:
    x = values([0.0])
    root = np.sqrt(x)
    dead = np.where(x > 1, root, x)[0]
    dead.backward()
    assert (root[0].grad, x[0].grad) == (0.0, 1.0)
    (dead + 0.0 * root[0]).backward()
    assert math.isnan(x[0].grad)
    detach(root[0]).backward()  # as below a partial that is 0
    assert root[0].grad == 0.0


def test_a_row_of_ones_own_may_cut(adding: Callable[..., Any]) -> None:
    row = adding("above_one", "x if x > 1 else 1", "1 if x > 1 else 0 if x == 1 else cut")
    x = Value(0.5)
    y = row(x + 0.0 * sqrt(x - 0.5))
    y.backward()
    assert x.grad == 0.0
    assert grad(lambda x: row(x + 0.0 * sqrt(x - 0.5)))(0.5) == 0.0
    assert math.isnan(grad(lambda x: row(x + 0.5 + 0.0 * sqrt(x - 0.5)))(0.5))
    assert "else cut" in str(row)
    for partial in ("cut", "1 + cut", "cut * x if x > 0 else 1", "1 if cut else 0"):
        with pytest.raises(ValueError, match="cut is a branch of a conditional"):
            primitive("broken", "x", partial)
    with pytest.raises(ValueError, match="the name must be"):
        primitive("cut", "x", "1")


@pytest.mark.parametrize(
    "total",
    [
        np.nansum,
        np.nanmean,
        np.nanvar,
        np.nanprod,
        np.nanmax,
        lambda x: np.sum(np.nan_to_num(x)),
        lambda x: np.sum(np.where(x == x, x, 0.0)),
        lambda x: np.sum(np.where((x == x) & (x > 0), x, 0.0)),
        lambda x: np.sum(np.where(x > -100.0, x, 0.0)),  # false for nan
        lambda x: np.sum(np.where(x[0] < 100.0, x[2], x)),
        lambda x: np.sum(np.where(rules.equal(x - x, 0.0), x, 0.0)),
    ],
)
@pytest.mark.parametrize("inner", [np.square, np.tanh, lambda x: x * x * x])
def test_numbers_that_are_nan_and_left_out_in_every_form(
    total: Callable[[Any], Any], inner: Callable[[Any], Any]
) -> None:
    def f(x: Any) -> Any:
        return total(inner(x))

    x, missing = np.array([2.0, -1.5, 3.0]), np.array([2.0, NAN, 3.0])
    leaves = values(missing)
    f(leaves).backward()
    first, second = trace(grad(f), x), trace(hessian(f), x)
    close(grad(f)(missing), leaves.grad)
    close(first(missing), leaves.grad)
    close(second(missing), hessian(f)(missing))
    assert np.isfinite(second(missing)).all()
    close(number_types.evaluate_floats(first.code, missing), leaves.grad)
    namespace: dict[str, Any] = {}
    exec(first.source(), namespace)
    close(namespace[first.name](missing), leaves.grad)


# --- errors that wait -------------------------------------------------------------------------------


def test_scalars_raise_at_their_line_and_arrays_where_it_matters() -> None:
    with pytest.raises(DomainError, match=r"^log: needs x > 0, got x = -1$"):
        log(Value(-1.0))
    with pytest.raises(DomainError):
        np.log(Value(-1.0))
    z = values([2.0, -1.0], "z")
    logs = np.log(z)
    assert math.isnan(logs[1].data)
    np.where(z > 0, logs, 0.0).sum().backward()
    close(z.grad, [0.5, 0.0])
    with pytest.raises(DomainError, match=r"log: needs x > 0, got z1 = -1, at .*test_liveness\.py:\d+"):
        logs.sum().backward()
    close(z.grad, [0.5, 0.0])  # nothing has changed


def test_a_transform_raises_for_what_is_live_only() -> None:
    assert grad(lambda x: where(x > 0, log(x), 3 * x))(-1.0) == 3.0
    for transform in (grad, value_and_grad, jacobian, hessian):
        with pytest.raises(DomainError, match=r"log: needs x > 0, got x = -1, at .*test_liveness"):
            transform(lambda x: log(x) + 0 * x)(-1.0)
    with pytest.raises(DomainError):
        vjp(log, -1.0)
    with pytest.raises(DomainError):
        jvp(lambda x: 2 * np.sqrt(x), (-1.0,), (1.0,))
    with pytest.raises(rules.RangeError):
        grad(lambda x: 1 / (1 + np.exp(x)))(1000.0)
    with pytest.raises(ZeroDivisionError):
        grad(lambda x: np.sum(1 / x))(np.array([1.0, 0.0]))


def test_forward_raises_for_what_is_live_only() -> None:
    x = values([4.0], "x")
    y = np.where(rules.less(0.0, x), np.sqrt(x), -x)[0]  # x > 0 would be today's True
    x.data = [-3.0]
    y.forward()
    assert y.data == 3.0
    root = next(node for node in topological_order(y) if node.op is rules.sqrt)
    assert math.isnan(root.data)
    x.data = [4.0]
    y.forward()
    z = root + 1.0
    x.data = [-3.0]
    with pytest.raises(DomainError):
        z.forward()
    assert (root.data, z.data) == (2.0, 3.0)


def test_forward_back_into_the_domain_ends_the_error() -> None:
    x = values([-1.0], "x")
    y = np.log(x)[0]
    with pytest.raises(DomainError):
        y.backward()
    x.data = [2.0]
    y.forward()
    y.backward()
    close((y.data, x[0].grad), (math.log(2.0), 0.5))
    close(jacobian(lambda s: s * y)(3.0), y.data)


# --- what it costs ----------------------------------------------------------------------------------


def test_relu_networks_carry_no_conditions() -> None:
    def network(W1: Any, W2: Any, x: Any) -> Any:
        return np.sum(np.tanh(W2 @ rules.relu(W1 @ x)) ** 2)

    W1, W2, x = values(np.ones((3, 2)), "W1"), values(np.ones((2, 3)), "W2"), values([0.5, -1.0], "x")
    gradients = gradient_graph(network(W1, W2, x), [W1, W2])
    selections = [node for node in topological_order(*gradients[0].flat) if node.op is rules.where]
    assert len(selections) == 3  # relu's own partial at each unit, and nothing else


@pytest.mark.parametrize(
    "activation",
    [
        lambda z: np.where(z > 0, z, 0.01 * z),
        lambda z: np.where(z > 0, np.where(z > 1, 2 * z - 1, z), 0.01 * z),
        lambda z: maximum(z, 0.01 * z),
        lambda z: np.where(z > 0, z, 0.01 * z) + np.where(z > 1, z, 0.0),
    ],
)
def test_a_node_in_every_branch_carries_no_condition(activation: Callable[[Any], Any]) -> None:
    x = values([0.5, -0.25], "x")
    z = np.log(np.exp(x) + 1.0)  # neither partial is defined everywhere
    [plain] = [gradient_graph(np.sum(activation(x)), [x])]
    [below] = [gradient_graph(np.sum(activation(z)), [x])]
    selections = [
        sum(node.op is rules.where for node in topological_order(*gradients[0].flat))
        for gradients in (plain, below)
    ]
    assert selections[0] == selections[1]


def test_deep_conditions_need_no_recursion() -> None:
    x = Value(1.0)
    y = x
    for _ in range(5000):
        y = relu(y) + 0.001
    y = relu(sqrt(y))
    [dx] = gradient_graph(y, [x])
    y.backward()
    assert dx.data == pytest.approx(x.grad, rel=1e-12)


def test_selecting_rows_under_every_sign(tmp_path: Any) -> None:
    def f(x: Any, y: Any) -> Any:
        return maximum(sqrt(x), y) + minimum(log(y), x) * relu(x * y)

    program = trace(grad(f, (0, 1)), 0.0, 0.0)
    for x in (0.5, 2.0):
        for y in (0.25, 3.0):
            close(program(x, y), grad(f, (0, 1))(x, y))
            leaves = Value(x), Value(y)
            f(*leaves).backward()
            close(program(x, y), [leaf.grad for leaf in leaves])


def test_the_hessian_through_several_maxima_grows_with_the_graph_and_not_with_its_paths():
    """Each maximum of n numbers is a chain of n choices; with a rule for each path this would not end."""
    n = 24
    c = np.arange(n) / n

    def f(z):
        S = np.exp(z - z.max()) / np.sum(np.exp(z - z.max()))
        return np.sum(c * S)

    z = np.sin(np.arange(n))
    S = np.exp(z) / np.sum(np.exp(z))
    g = S * (c - S @ c)
    exact = np.diag(g) - np.outer(g, S) - np.outer(S, g)
    assert np.allclose(hessian(f)(z), exact, rtol=1e-12, atol=1e-15)
