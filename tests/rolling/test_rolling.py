"""Programs as statements on arrays, held against the flat programs that they come from."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from random_arrays import difference, errors, flat, program, run

from autograd_mini import (
    Program,
    cross_entropy_from_logits,
    erf,
    grad,
    hessian,
    jacobian,
    number_types,
    rolling,
    sigmoid,
    softmax,
    trace,
    value_and_grad,
)
from autograd_mini.rolling.grids import affine, places_of
from autograd_mini.trees import leaves

LINES, WIDTH = 40, 100
U = 2.0**-53
random = np.random.default_rng(0)


def uniform(*shape: int) -> Any:
    return random.uniform(-1, 1, shape) if shape else float(random.uniform(-1, 1))


def logistic_regression(w: Any, b: Any, X: Any, y: Any) -> Any:
    return np.mean(np.log(1 + np.exp(-y * (X @ w + b))))


def least_squares(w: Any, X: Any, y: Any) -> Any:
    return np.sum((X @ w - y) ** 2)


def mlp(W1: Any, b1: Any, W2: Any, b2: Any, x: Any, t: Any) -> Any:
    return cross_entropy_from_logits(W2 @ np.tanh(W1 @ x + b1) + b2, t)


def batch_norm(gamma: Any, beta: Any, X: Any, T: Any) -> Any:
    normal = (X - X.mean(axis=0)) / np.sqrt(X.var(axis=0) + 1e-5)
    return np.sum((gamma * normal + beta - T) ** 2)


def layer_norm(gamma: Any, beta: Any, x: Any, t: Any) -> Any:
    return np.sum((gamma * (x - np.mean(x)) / np.sqrt(np.var(x) + 1e-5) + beta - t) ** 2)


def attention(Wq: Any, Wk: Any, Wv: Any, X: Any, T: Any) -> Any:
    return np.sum((softmax((X @ Wq) @ (X @ Wk).T / 2.0) @ (X @ Wv) - T) ** 2)


def lstm(Wx: Any, Wh: Any, b: Any, x: Any, h: Any, c: Any, t: Any) -> Any:
    z, n = Wx @ x + Wh @ h + b, len(h)
    i, f, o, g = sigmoid(z[:n]), sigmoid(z[n : 2 * n]), sigmoid(z[2 * n : 3 * n]), np.tanh(z[3 * n :])
    return np.sum((o * np.tanh(f * c + i * g) - t) ** 2)


def rnn(Wx: Any, Wh: Any, b: Any, X: Any, t: Any) -> Any:
    h = np.zeros(4)
    for x in X:
        h = np.tanh(Wx @ x + Wh @ h + b)
    return np.sum((h - t) ** 2)


def convolution(k: Any, x: Any, t: Any) -> Any:
    y = sum(k[a, b] * x[a : a + 6, b : b + 6] for a in range(3) for b in range(3))
    return np.sum((np.tanh(y) - t) ** 2)


def convolution_by_loops(k: Any, x: Any, t: Any) -> Any:
    loss = 0.0
    for i in range(6):
        for j in range(6):
            y = 0.0
            for a in range(3):
                for b in range(3):
                    y = y + k[a, b] * x[i + a, j + b]
            loss = loss + (np.tanh(y) - t[i, j]) ** 2
    return loss


def black_scholes(S: Any, K: Any, T: Any, r: Any, sigma: Any) -> Any:
    d1 = (np.log(S / K) + (r + sigma**2 / 2) * T) / (sigma * np.sqrt(T))
    d2 = d1 - sigma * np.sqrt(T)
    return S * (1 + erf(d1 / np.sqrt(2))) / 2 - K * np.exp(-r * T) * (1 + erf(d2 / np.sqrt(2))) / 2


def softmax_of(n: int) -> dict[str, tuple[Callable[..., Any], list[Any]]]:
    at = [uniform(n), np.eye(n)[1]]
    return {
        f"cross-entropy of {n}": (value_and_grad(cross_entropy_from_logits), at),
        f"its Jacobian of {n}": (jacobian(softmax), at[:1]),
        f"its Hessian of {n}": (hessian(cross_entropy_from_logits), at),
    }


X = uniform(20, 5)
CASES: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    **softmax_of(3),
    **softmax_of(10),
    "logistic regression": (
        value_and_grad(logistic_regression, (0, 1)),
        [uniform(5), uniform(), X, np.sign(X[:, 0])],
    ),
    "least squares": (value_and_grad(least_squares), [uniform(5), X, uniform(20)]),
    "MLP": (
        value_and_grad(mlp, range(4)),
        [uniform(8, 4), uniform(8), uniform(3, 8), uniform(3), uniform(4), np.eye(3)[1]],
    ),
    "batch norm": (
        value_and_grad(batch_norm, (0, 1, 2)),
        [uniform(4), uniform(4), uniform(8, 4), uniform(8, 4)],
    ),
    "layer norm": (value_and_grad(layer_norm, (0, 1, 2)), [uniform(8) for _ in range(4)]),
    "attention": (
        value_and_grad(attention, (0, 1, 2)),
        [uniform(8, 4), uniform(8, 4), uniform(8, 4), uniform(6, 8), uniform(6, 4)],
    ),
    "LSTM": (
        value_and_grad(lstm, (0, 1, 2)),
        [uniform(16, 3), uniform(16, 4), uniform(16), uniform(3), uniform(4), uniform(4), uniform(4)],
    ),
    "RNN": (
        value_and_grad(rnn, (0, 1, 2)),
        [uniform(4, 3), uniform(4, 4), uniform(4), uniform(10, 3), uniform(4)],
    ),
    "convolution": (value_and_grad(convolution, (0, 1)), [uniform(3, 3), uniform(8, 8), uniform(6, 6)]),
    "convolution by loops": (
        value_and_grad(convolution_by_loops, (0, 1)),
        [uniform(3, 3), uniform(8, 8), uniform(6, 6)],
    ),
    "Black-Scholes": (value_and_grad(black_scholes, range(5)), [100.0, 95.0, 0.5, 0.02, 0.3]),
}


def body(source: str) -> list[str]:
    """The lines of the last function, without its head and docstring."""
    return [line for line in re.split(r"(?m)^def .*$", source)[-1].splitlines() if line and '"""' not in line]


@pytest.mark.parametrize("name", CASES)
def test_a_known_derivative_is_a_page_of_numpy_equal_to_its_program(name: str) -> None:
    f, arguments = CASES[name]
    traced = trace(f, *arguments)
    source = traced.source("numpy")
    assert len(body(source)) <= LINES
    assert max(map(len, source.splitlines())) <= WIDTH
    with np.errstate(all="ignore"):
        assert difference(flat(run(source, traced.name)(*arguments)), flat(traced(*arguments))) < 1e-13


@pytest.mark.parametrize("name", ["cross-entropy of 3", "least squares", "MLP", "LSTM", "convolution"])
def test_the_source_is_differentiated_as_the_program_is(name: str) -> None:
    f, arguments = CASES[name]
    traced = trace(f, *arguments)
    printed = run(traced.source("numpy"), traced.name)

    def total(results: Any) -> Any:
        return sum(map(total, results)) if isinstance(results, (tuple, list)) else np.sum(np.sin(results))

    wanted = grad(lambda *xs: total(f(*xs)))(*arguments)
    assert difference(flat(grad(lambda *xs: total(printed(*xs)))(*arguments)), flat(wanted)) < 1e-12


def test_softmax_of_any_size_is_the_same_text() -> None:
    def text(n: int) -> str:
        return trace(
            softmax_of(n)[f"cross-entropy of {n}"][0], *softmax_of(n)[f"cross-entropy of {n}"][1]
        ).source("numpy")

    assert text(10).replace("(10,)", "(30,)") == text(30)
    assert body(text(10))[-1] == "    return u5, dz"


def test_sums_differ_from_the_program_by_their_rounding_alone() -> None:
    a, x = random.standard_normal((2, 6, 50)) * 10.0 ** random.integers(-8, 8, (2, 6, 50))
    traced = trace(lambda a, x: np.sum(a * x, axis=1), a, x)
    got = run(traced.source("numpy"), traced.name)(a, x)
    assert (np.abs(got - traced(a, x)) <= 2 * 50 * U * np.abs(a * x).sum(axis=1)).all()


@pytest.mark.parametrize("special", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_stands_where_the_program_has_it(special: float) -> None:
    cases: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
        (lambda A, x: np.tril(A) @ x, (random.random((4, 4)), random.random(4))),
        (lambda s, x: np.sum(s * x), (special, np.array([0.0, 1.0]))),
        (lambda A, x: np.array([[0.0, 1.0], [1.0, 0.0]]) @ A @ x, (random.random((2, 3)), random.random(3))),
        (
            lambda A, x: grad(lambda A: np.sum(np.where(A > 0.5, np.log(A), x)))(A),
            (random.random(3), random.random(3)),
        ),
        (lambda A, x: np.cumsum(A) * np.max(x), (random.random(4), random.random(4))),
    ]
    for f, arguments in cases:
        traced = trace(f, *arguments)
        printed = run(traced.source("numpy"), traced.name)
        for which in range(len(arguments)):
            for place in range(np.size(arguments[which])):
                given = [np.array(x, float) for x in arguments]
                given[which].reshape(-1)[place] = special
                numbers = [x if x.shape else x.item() for x in given]
                with np.errstate(all="ignore"):
                    assert difference(flat(printed(*numbers)), flat(traced(*numbers))) < 1e-13


@pytest.mark.parametrize("shape", [(64, 16, 32), (16, 64, 2, 32), (8, 8, 8, 8)])
def test_an_affine_map_is_found_whatever_the_order_of_the_axes(shape: tuple[int, ...]) -> None:
    steps = np.arange(2, 2 + len(shape))
    for order in permutations(range(len(shape))):
        places = places_of(tuple(shape[axis] for axis in order))
        found = affine(places, 7 + places @ steps)
        assert found is not None
        assert found[0] == 7
        assert np.array_equal(found[1], steps)


def test_equal_constants_and_repeated_terms_are_counted_each() -> None:
    x = uniform(3)
    for f in (
        lambda x: np.sum(x) + np.sum(x) + 2.0 + 2.0 + x[0] + x[0] + x[0],
        lambda x: np.stack([x[0] + x[0] + x[1], x[1] + x[2] + x[2]]),
        lambda x: np.array([[1.0, 0.0, 2.0], [1.0, 1.0, 1.0]]) @ x,
        lambda x: (s := np.sum(np.sin(x))) + 2 * (s + np.sum(np.sin(x)) + np.sin(x[0])),
        lambda x: (s := np.sin(x[0]) + np.sin(x[1])) + (t := s + np.sin(x[0]) + np.sin(x[1])) + t,
        lambda x: np.stack([1.0 * x[0], np.pi * x[1], np.inf * x[2]]),
    ):
        traced = trace(f, x)
        assert difference(flat(run(traced.source("numpy"), traced.name)(x)), flat(traced(x))) < 1e-15


def test_scalars_divide_and_take_powers_as_ieee_arithmetic_does() -> None:
    traced = trace(lambda x, y: (x / y, x**y, y < x), 0.0, 0.0)
    with np.errstate(all="ignore"):
        for x, y in ((1.0, 0.0), (0.0, 0.0), (-2.0, 0.5), (0.0, -1.0), (1e200, 2.0)):
            assert difference(flat(run(traced.source("numpy"), "f")(x, y)), flat(traced(x, y))) == 0


@pytest.mark.parametrize(
    ("f", "source", "latex"),
    [
        (lambda x: np.sin(2 * np.pi * x), "np.sin(2 * np.pi * x)", r"\sin\left(2 \pi x\right)"),
        (lambda x: x * np.pi - np.pi / 2, "x * np.pi - np.pi / 2", r"\pi x - \frac{1}{2} \pi \mathbf{1}"),
        (lambda x: np.pi**x / np.sqrt(2 * np.pi), "np.pi**x / np.sqrt(2 * np.pi)", r"\sqrt{2 \pi}"),
        (lambda x: x**2 / 2 + np.log(2 * np.pi) / 2, "np.log(2 * np.pi) / 2", r"\log\left(2 \pi\right)"),
        (lambda x: -np.sqrt(2) * x, "(-np.sqrt(2)) * x", r"-\sqrt{2}"),
        (lambda x: np.array([np.pi, 1.5, -1 / 3]) * x, "[np.pi, 1.5, -1 / 3]", "c_{1}"),
        (lambda x: x * 0.1234567890123, "x * 0.1234567890123", "0.1234567890123"),
        (lambda x: x * np.nextafter(np.pi, 0), "x * 3.1415926535897927", "x"),
    ],
)
def test_constants_are_written_as_what_they_round_and_keep_their_bits(f, source: str, latex: str) -> None:
    traced = trace(f, np.ones(3))
    text = traced.source("numpy")
    assert source in text
    assert latex in traced.source("latex")
    x = uniform(3)
    assert run(text, traced.name)(x).tolist() == np.array(traced(x)).tolist()


def test_arguments_and_results_keep_their_structure() -> None:
    parameters = {"W": uniform(2, 3), "layers": [uniform(2), uniform()]}
    traced = trace(
        value_and_grad(lambda p, x: np.sum(p["W"] @ x * p["layers"][0]) + p["layers"][1]),
        parameters,
        uniform(3),
    )
    printed = run(traced.source("numpy"), traced.name)
    value, derivatives = printed(parameters, np.ones(3))
    assert isinstance(value, float)
    assert derivatives["W"].shape == (2, 3)
    assert difference(flat((value, derivatives)), flat(traced(parameters, np.ones(3)))) < 1e-15


def test_a_row_that_numpy_has_not_is_defined_in_the_source(adding: Callable[..., Any]) -> None:
    added = adding(
        "bump", "exp(-x * x) if x > 0 else relu(x + 1)", "-2 * x * z if x > 0 else 1 if x > -1 else 0"
    )
    traced = trace(lambda x: erf(added(x)), uniform(4))
    printed = run(traced.source("numpy"), traced.name)
    x = np.array([-2.0, -0.5, 0.0, 1.5])
    assert difference(flat(printed(x)), flat(traced(x))) < 1e-15


def triangle(A: Any, x: Any) -> Any:
    return np.stack([sum(A[i, j] * x[j] for j in range(i + 1)) for i in range(len(x))])


def moving_average(x: Any, a: Any) -> Any:
    m, found = 0.0, []
    for v in x:
        m = a * m + (1 - a) * v
        found.append(m)
    return np.sum(np.stack(found) ** 2)


def horner(c: Any, x: Any) -> Any:
    s = 0.0
    for v in c:
        s = s * x + v
    return s


def lstm_in_time(Wx: Any, Wh: Any, b: Any, X: Any) -> Any:
    h, c = np.zeros(2), np.zeros(2)
    for x in X:
        z = Wx @ x + Wh @ h + b
        c = sigmoid(z[:2]) * c + sigmoid(z[2:4]) * np.tanh(z[4:6])
        h = sigmoid(z[6:]) * np.tanh(c)
    return h


def steps(n: int) -> dict[str, tuple[Callable[..., Any], list[Any], list[str]]]:
    """Programs of n steps, and what stands in their texts."""
    return {
        "running sums": (np.cumsum, [uniform(n)], ["= np.cumsum(a)"]),
        "running products": (np.cumprod, [uniform(n)], ["= np.cumprod(a)"]),
        "of rows": (lambda A: np.cumsum(A, axis=0), [uniform(n, 3)], ["[i + 1] = "]),
        "their gradient": (
            grad(lambda x: np.sum(np.cumsum(x) ** 2)),
            [uniform(n)],
            ["np.cumsum(x", "for i in"],
        ),
        "products' gradient": (grad(lambda x: np.sum(np.cumprod(x) ** 2)), [uniform(n)], ["np.cumprod(x"]),
        "a triangle": (triangle, [uniform(n, n), uniform(n)], ["t1[i + 1, :i + 2].sum()"]),
        "a moving average": (value_and_grad(moving_average, (0, 1)), [uniform(n), 0.9], ["[i + 1] = a * t"]),
        "a polynomial": (value_and_grad(horner, (0, 1)), [uniform(n), 0.7], ["[i + 1] = "]),
        "a recurrent network": (
            value_and_grad(rnn, (0, 1, 2)),
            [uniform(4, 3), uniform(4, 4), uniform(4), uniform(n, 3), uniform(4)],
            ["Wh @ u", ".T @ X[::-1]", ".sum(axis=0)"],
        ),
        "a long memory": (
            lstm_in_time,
            [uniform(8, 3), uniform(8, 2), uniform(8), uniform(n, 3)],
            [f"for i in range({n - 2}):"],
        ),
    }


@pytest.mark.parametrize("name", steps(7))
def test_steps_are_loops_and_running_sums_are_such(name: str) -> None:
    lines = []
    for n in (7, 11):
        f, arguments, wanted = steps(n)[name]
        traced = trace(f, *arguments)
        source = traced.source("numpy")
        assert all(part in source for part in wanted)
        got, known = flat(run(source, traced.name)(*arguments)), flat(traced(*arguments))
        assert difference(got, known) < 1e-14
        lines.append((len(body(source)), traced.source("latex").count("\n")))
    assert lines[0] == lines[1]
    assert lines[0][0] <= 34


def test_steps_keep_what_is_not_finite() -> None:
    for name, (f, arguments, _) in steps(6).items():
        traced = trace(f, *arguments)
        printed = run(traced.source("numpy"), traced.name)
        for special in (np.inf, np.nan):
            given = [np.array(x, float) for x in arguments]
            given[-1].reshape(-1)[-1] = special
            numbers = [x if x.shape else x.item() for x in given]
            with np.errstate(all="ignore"):
                assert difference(flat(printed(*numbers)), flat(traced(*numbers))) < 1e-13, name


LATEX: dict[str, tuple[Callable[..., Any], list[Any], list[str]]] = {
    "x'Ax": (
        value_and_grad(lambda x, A: x @ A @ x),
        [uniform(3), uniform(3, 3)],
        [r"t_{1} &= A^\top x", r"t_{2} &= t_{1}^\top x", r"\mathrm{d}x &= t_{1} + A x"],
    ),
    "‖Ax − b‖²": (
        value_and_grad(lambda x, A, b: np.sum((A @ x - b) ** 2)),
        [uniform(3), uniform(4, 3), uniform(4)],
        [
            r"t_{1} &= A x - b",
            r"t_{2} &= \lVert t_{1} \rVert^2",
            r"\mathrm{d}x &= 2 A^\top t_{1}",
        ],
    ),
    "x' log(x)": (
        value_and_grad(lambda x: x @ np.log(x)),
        [random.random(3)],
        [
            r"t_{1} &= \log\left(x\right)",
            r"t_{2} &= x^\top t_{1}",
            r"\mathrm{d}x &= t_{1} + x \oslash x",
        ],
    ),
    "tr(X'AX)": (
        value_and_grad(lambda X, A: np.trace(X.T @ A @ X)),
        [uniform(3, 2), uniform(3, 3)],
        [
            r"t_{1} &= X^\top A",
            r"t_{2} &= \operatorname{tr}(t_{1} X)",
            r"\mathrm{d}X &= t_{1}^\top + A X",
        ],
    ),
    "Jacobian of tanh(Ax)": (
        jacobian(lambda x, A: np.tanh(A @ x)),
        [uniform(3), uniform(2, 3)],
        [
            r"t_{1} &= \tanh\left(A x\right)",
            r"\mathrm{d}x &= \operatorname{diag}(\mathbf{1} - t_{1} \odot t_{1}) A",
        ],
    ),
    "exp(x)'Ay": (
        grad(lambda A, x, y: np.exp(x) @ A @ y),
        [uniform(3, 2), uniform(3), uniform(2)],
        [r"\mathrm{d}A &= \exp\left(x\right) y^\top"],
    ),
    "convolution": (
        lambda k, x: np.stack([np.sum(k * x[i : i + 2]) for i in range(4)]),
        [uniform(2), uniform(5)],
        [r"(t_{1})_{i} &= \sum_{j} k_{j} \, x_{i+j}"],
    ),
    "running sums": (
        np.cumsum,
        [uniform(6)],
        [
            r"(t_{2})_{i} &= \sum_{j \le i} a_{j}",
            r"(t_{6})_{\mathrm{at1}(i)} &= a_{0}",
            r"(t_{6})_{i+1} &= (t_{2})_{i+1}",
        ],
    ),
    "a triangle": (
        lambda A: triangle(A, np.ones(6))[1:],
        [uniform(6, 6)],
        [r"(t_{1})_{i} &= \sum_{j=0}^{i+1} A_{i+1, j}, \quad i = 0, \ldots, 4", r"t_{6} &= t_{1}"],
    ),
    "a gain": (
        lambda t, w: np.where(t < 0, w * t, t),
        [uniform(3), uniform()],
        [
            r"(u_{1})_{i} &= \begin{cases} w \, t_{i} & \text{if } t_{i} < 0 "
            r"\\ t_{i} & \text{otherwise} \end{cases}"
        ],
    ),
}


@pytest.mark.parametrize("name", LATEX)
def test_latex_is_as_compact_as_a_calculation_by_hand(name: str) -> None:
    f, arguments, wanted = LATEX[name]
    lines = trace(f, *arguments).source("latex").split("\n")
    assert (lines[0], lines[-1]) == (r"\begin{aligned}", r"\end{aligned}")
    assert [line.removesuffix(r" \\") for line in lines[1:-2]] == wanted


@pytest.mark.parametrize("name", CASES)
def test_every_known_derivative_is_well_formed_latex(name: str) -> None:
    f, arguments = CASES[name]
    text = trace(f, *arguments).source("latex")
    assert text.count("{") == text.count("}")
    assert text.count(r"\left(") == text.count(r"\right)")
    assert r"W\_" not in text  # W1 and Wx have an index
    assert all(line.count("&") >= 1 for line in text.split("\n")[1:-1])
    assert len(text.split("\n")) <= LINES + 12


@pytest.mark.parametrize("n", [4, 30])
def test_the_derivative_of_an_extremum_has_no_chain_of_ties(n: int) -> None:
    program = trace(grad(np.max), np.zeros(n))
    assert len(body(program.source("numpy"))) == 3
    for x in (random.uniform(size=n), np.arange(n) // 2 * 1.0, np.full(n, np.inf), np.full(n, -np.inf)):
        (tied,) = np.nonzero(x == x.max())
        np.testing.assert_allclose(np.array(program(x))[tied], 1 / len(tied), rtol=1e-15)
        assert run(program.source("numpy"), program.name)(x).tolist() == list(program(x))


@pytest.mark.parametrize(
    "seeds",
    [(*range(0, 50, 4), 323, 671, 20861), pytest.param(range(50), marks=pytest.mark.slow)],
    ids=["", "more"],
)
def test_every_program_rolls(seeds: Iterable[int]) -> None:
    """Random functions of arrays, plain, over the rows of a batch and summed, some with inf, nan and −0."""
    for seed in seeds:
        drawn = program(seed)
        if drawn is not None:
            with np.errstate(all="ignore"):
                found = errors(seed, *drawn)
            assert max(found.values()) < 1e-11, f"seed {seed}: {found}"


# --- statements that run ------------------------------------------------------------------------------


@pytest.fixture
def without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autograd_mini.machine.available", lambda: False)


def large(exact: bool = False) -> tuple[Program, list[Any]]:
    f, arguments = value_and_grad(mlp, range(4)), [uniform(40, 30), uniform(40), uniform(3, 40), uniform(3)]
    arguments += [uniform(30), np.eye(3)[1]]
    return trace(f, *arguments, exact=exact), arguments


def test_a_large_regular_program_runs_as_statements_unless_it_is_exact(without_numba: None) -> None:
    (program, arguments), (exact, _) = large(), large(exact=True)
    assert program.rolled
    assert not exact.rolled
    assert not pickle.loads(pickle.dumps(exact)).rolled
    assert not trace(lambda x: np.sum(x * x), np.ones(3)).rolled
    wanted = flat(exact(*arguments))
    assert difference(flat(program(*arguments)), wanted) < 1e-13
    inputs, outputs = flat(arguments), np.empty(len(wanted))
    program.buffer(inputs, outputs)()
    assert difference(outputs, wanted) < 1e-13
    whole = [np.ones_like(x, dtype=int) for x in arguments]
    assert difference(flat(program(*whole)), flat(exact(*whole))) < 1e-13


def test_results_belong_to_the_caller(without_numba: None) -> None:
    program = trace(lambda A: (A, A, A.T, np.broadcast_to(A[0], (40, 30)), A @ A.T), np.ones((40, 30)))
    assert program.rolled
    A = uniform(40, 30)
    kept = A.copy()
    results = program(A)
    assert all(x.flags.c_contiguous and x.flags.writeable for x in results)
    for x in results:
        x[...] = np.nan
    assert np.array_equal(A, kept)
    assert difference(flat(program(A)), flat([A, A, A.T, np.broadcast_to(A[0], (40, 30)), A @ A.T])) < 1e-14


@pytest.mark.parametrize("reduce", [None, "sum", "mean"])
def test_a_batch_is_the_same_in_blocks_and_on_cores(
    reduce: Any, without_numba: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, arguments = large()
    x, t = uniform(301, 30), np.eye(3)[random.integers(0, 3, 301)]
    mapped = program.vmap((None,) * 4 + (0, 0), reduce)
    wanted = flat(mapped(*arguments[:4], x, t))
    for name, value in (("CACHE", 1), ("FEWEST", 7), ("WORTH_A_THREAD", 1)):
        monkeypatch.setattr(f"autograd_mini.rolling.running.{name}", value)
    monkeypatch.setattr("autograd_mini.threads.cores", lambda: 4)
    got = flat(mapped(*arguments[:4], x, t))
    assert difference(got, wanted) < 1e-13
    assert np.array_equal(got, flat(mapped(*arguments[:4], x, t)))
    assert (
        difference(got, flat(large(exact=True)[0].vmap(mapped.in_axes, reduce)(*arguments[:4], x, t))) < 1e-12
    )


def test_a_shared_result_that_is_not_finite_is_not_summed_over_no_samples(without_numba: None) -> None:
    mapped = trace(lambda x, w: (np.sum(x), 1 / w), np.ones(2), 0.0).vmap((0, None), "sum")
    assert mapped(np.zeros((0, 2)), 0.0) == (0.0, 0.0)
    assert mapped(np.zeros((2, 2)), 0.0) == (0.0, np.inf)


def test_one_element_of_an_array_put_together_differs_among_samples(without_numba: None) -> None:
    program = trace(hessian(lambda x: 5 * np.sin(x[0]) + np.sin(x[1])), np.ones(2))
    x = uniform(4, 2)
    wanted = np.stack([np.diag([-5 * np.sin(a), -np.sin(b)]) for a, b in x])
    assert difference(program.vmap(0)(x).ravel(), wanted.ravel()) < 1e-14


def test_a_sample_that_is_not_finite_leaves_the_others_alone(without_numba: None) -> None:
    program, arguments = large()
    mapped = program.vmap((None,) * 4 + (0, None))
    x = uniform(5, 30)
    wanted = [np.array(part) for part in leaves(mapped(*arguments[:4], x, arguments[5]))]
    for special in (np.inf, np.nan):
        x[3, 7] = special
        got = leaves(mapped(*arguments[:4], x, arguments[5]))
        for part, known in zip(got, wanted, strict=True):
            assert difference(np.delete(part, 3, 0).ravel(), np.delete(known, 3, 0).ravel()) < 1e-14
        assert np.isnan(got[1][3]).any()


@pytest.mark.parametrize("shapes", [((1,), (40,)), ((40,), (1,)), ((31,), (17,)), ((8, 2), (19,))])
def test_an_outer_product_is_exact_whatever_its_numbers_are(shapes: Any, without_numba: None) -> None:
    numbers = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.5, -3.0, 5e-324, -1e-310, 1e308, 1e-200]
    outer = trace(lambda x, y: np.outer(x.ravel()[: shapes[0][0]], y), *map(np.ones, shapes))
    statements = rolling.Statements(rolling.roll(outer.listing), number_types.ARRAY.function)
    for _ in range(20):
        x, y = (random.choice(numbers, shape) for shape in shapes)
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(statements([x, y])[0], np.outer(x.ravel()[: shapes[0][0]], y))


def test_what_is_stored_without_its_minus_is_negative_wherever_it_is_used(without_numba: None) -> None:
    def f(A: Any, x: Any) -> Any:
        B = -(A * A) / (1 + x * x)
        C = np.negative(-A)
        D = -B + C
        return B, B[0], np.exp(B), B @ x, A - B, -B, np.sum(-B, axis=0), np.concatenate([B, A]), C * D + A, -C

    program, A, x = trace(f, np.ones((9, 7)), np.ones(7)), uniform(9, 7), uniform(7)
    statements = rolling.Statements(rolling.roll(program.listing), number_types.ARRAY.function)
    kept = A.copy()
    assert difference(flat(statements([A, x])), flat(f(A, x))) < 1e-14
    assert np.array_equal(A, kept)
    rows = np.stack([A, 2 * A, A - 1])
    assert difference(flat(program.vmap((0, None))(rows, x)), flat(over(f, rows, x))) < 1e-14


def over(f: Callable[..., Any], rows: Any, *others: Any) -> Any:
    return tuple(np.stack(parts) for parts in zip(*(f(row, *others) for row in rows), strict=True))


def test_many_threads_at_once(without_numba: None) -> None:
    program, arguments = large()
    wanted = flat(program(*arguments))
    mapped = program.vmap((None,) * 4 + (0, None), "sum")
    both = flat(mapped(*arguments[:4], np.stack([arguments[4]] * 200), arguments[5]))
    with ThreadPoolExecutor(8) as pool:
        ones = [pool.submit(program, *arguments) for _ in range(40)]
        sums = [
            pool.submit(mapped, *arguments[:4], np.stack([arguments[4]] * 200), arguments[5])
            for _ in range(40)
        ]
        assert all(np.array_equal(flat(one.result()), wanted) for one in ones)
        assert all(np.array_equal(flat(one.result()), both) for one in sums)


def test_programs_that_do_nothing():
    same, constant = trace(lambda x: x, np.zeros(3)), trace(lambda x: 3.0, np.zeros(2))
    assert run(same.source("numpy"), "f")(np.ones(3)).tolist() == [1, 1, 1]
    assert run(constant.source("numpy"), "f")(np.ones(2)) == 3
    assert same.source("latex").count("=") == 1
    np.testing.assert_array_equal(same.vmap(0)(np.eye(3)), np.eye(3))


@pytest.mark.parametrize("exact", [False, True])
def test_a_sum_over_no_samples_is_0_also_of_infinite_numbers(exact):
    both = trace(lambda x, y: (x, x + y), 0.0, 0.0, exact=exact).vmap((None, 0), reduce="sum")
    assert both(np.inf, np.zeros(0)) == (0, 0)


def test_a_name_that_numpy_has_in_the_text():
    with pytest.raises(ValueError, match="call the function or the argument something else"):
        trace(lambda np, x: np * x, 1.0, 2.0).source("numpy")
