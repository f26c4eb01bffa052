"""The diagnosis of wrong hand results: planted mistakes of every kind, and what must stay unexplained.

Each mistake is planted by a formula written out here, in 20 random functions of its kind at random points.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from autograd_mini import (
    Value,
    absolute_error,
    binary_cross_entropy,
    cross_entropy,
    jacobian,
    named,
    softmax,
    squared_error,
    values,
)
from autograd_mini.check.diagnosis import diagnose, diagnose_value
from autograd_mini.check.diagnosis.evidence import Evidence, Explanation, Point
from autograd_mini.check.subjects.subject import Graph

Arguments = Mapping[str, Any]
Random = np.random.Generator


@dataclass
class Mistake:
    """A function, the points at which it is tried, and what somebody wrote for its derivatives.

    ``yours`` gives it from the arguments and the right derivatives, by name.
    """

    f: Callable[..., Any]
    points: list[Arguments]
    yours: Callable[[Arguments, Mapping[str, Any]], Mapping[str, Any]]
    out: str = "f"


def evidence_of(mistake: Mistake, rtol: float = 1e-7, unit: float = 0.0, known: bool = True) -> Evidence:
    """The evidence against a mistake; ``unit`` is that of the last digit, ``known`` if f runs on Values."""
    points = []
    for arguments in mistake.points:
        names = list(arguments)
        output = np.asarray(mistake.f(*arguments.values()), dtype=float)
        positions = [names.index(name) for name in _differentiated(mistake, arguments)]
        derivatives = jacobian(mistake.f, positions)(*arguments.values())
        truth = {
            names[i]: np.asarray(d, dtype=float).reshape(output.shape + np.shape(arguments[names[i]]))
            for i, d in zip(positions, derivatives, strict=True)
        }
        yours = {name: np.asarray(x, dtype=float) for name, x in mistake.yours(arguments, truth).items()}
        slack = {name: unit + rtol * abs(d) + 1e-9 * rtol for name, d in truth.items()}
        points.append(Point(arguments, output, {name: truth[name] for name in yours}, yours, slack))

    def graph(point: Point) -> Graph:
        fresh = {name: _fresh(x, name) for name, x in point.arguments.items()}
        inputs = {name: np.array(fresh[name], dtype=object) for name in point.truth}
        return Graph(inputs, np.array(mistake.f(*fresh.values()), dtype=object))

    return Evidence(
        points, graph if known else lambda point: None, lambda a: mistake.f(*a.values()), mistake.out
    )


def _differentiated(mistake: Mistake, arguments: Arguments) -> list[str]:
    return [name for name in arguments if name not in ("t", "c")]


def _fresh(x: Any, name: str) -> Any:
    return values(x, name) if np.ndim(x) else Value(x, label=name)


def kinds(found: list[Explanation]) -> list[str]:
    return [explanation.kind for explanation in found]


# --- random functions ---------------------------------------------------------------------------------

# Elementwise functions and their derivatives, by hand.
ELEMENTWISE: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "sin": (np.sin, np.cos),
    "cos": (np.cos, lambda x: -np.sin(x)),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "exp": (lambda x: np.exp(x / 2), lambda x: np.exp(x / 2) / 2),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
    "square": (np.square, lambda x: 2 * x),
    "cube": (lambda x: x**3, lambda x: 3 * x**2),
    "softplus": (lambda x: np.log(1 + np.exp(x)), lambda x: 1 / (1 + np.exp(-x))),
    "arctan": (np.arctan, lambda x: 1 / (1 + x * x)),
}


@dataclass
class Chain:
    """f(x) = Σ wᵢ g₁(g₂(g₃(xᵢ))), with what goes into each g and its derivative there."""

    names: list[str]
    w: np.ndarray[Any, Any]

    def __call__(self, x: Any) -> Any:
        for name in self.names:
            x = ELEMENTWISE[name][0](x)
        return np.sum(self.w * x)

    def derivatives(self, x: Any) -> list[Any]:
        found = []
        for name in self.names:
            g, derivative = ELEMENTWISE[name]
            found.append(derivative(x))
            x = g(x)
        return found


def chain(random: Random, length: int = 3) -> Chain:
    names = [str(name) for name in random.choice(list(ELEMENTWISE), length, replace=False)]
    return Chain(names, random.uniform(0.5, 2.0, random.integers(3, 6)))


def vectors(random: Random, n: int, count: int = 3, name: str = "x") -> list[Arguments]:
    return [{name: random.uniform(-1.5, 1.5, n)} for _ in range(count)]


def one_hot(random: Random, n: int) -> Any:
    return np.eye(n)[random.integers(n)]


LOSSES: dict[str, tuple[Callable[..., Any], Callable[[Any, Any], Any]]] = {
    "half": (lambda y, t: squared_error(y, t) / 2, lambda y, t: y - t),
    "absolute": (absolute_error, lambda y, t: np.sign(y - t)),
    "cross-entropy": (cross_entropy, lambda y, t: -t / y),
    "binary": (
        lambda y, t: binary_cross_entropy(y, t, reduction="sum"),
        lambda y, t: (y - t) / (y * (1 - y)),
    ),
}


def jacobian_of_softmax(S: Any) -> Any:
    return np.diag(S) - np.outer(S, S)


def layer(random: Random, loss: str) -> tuple[Callable[..., Any], list[Arguments]]:
    """loss(softmax(W h), t) as a function of W and h, and points of it."""
    m, n = random.choice([3, 4, 5], 2, replace=False)
    of = LOSSES[loss][0]

    def f(W: Any, t: Any, h: Any) -> Any:
        return of(named(softmax(W @ h), "S"), t)

    return f, [
        {"W": random.normal(size=(m, n)), "t": one_hot(random, m), "h": random.normal(size=n)}
        for _ in range(3)
    ]


def network(random: Random) -> tuple[Callable[..., Any], list[Arguments]]:
    """A vector function of a vector, with a full Jacobian."""
    n, m, k = (int(size) for size in random.integers(3, 6, 3))
    A, B = random.normal(size=(k, m)), random.normal(size=(m, n))
    g = ELEMENTWISE[str(random.choice(list(ELEMENTWISE)))][0]
    return lambda x: A @ g(B @ x), vectors(random, n)


def square_network(random: Random) -> tuple[Callable[..., Any], list[Arguments]]:
    n = int(random.integers(3, 6))
    A = random.normal(size=(n, n))
    g = ELEMENTWISE[str(random.choice(list(ELEMENTWISE)))][0]
    maps = [softmax, lambda x: g(A @ x), lambda x: A @ g(x), lambda x: x * np.sum(x * x)]
    return maps[random.integers(len(maps))], vectors(random, n)


def any_function(random: Random) -> tuple[Callable[..., Any], list[Arguments]]:
    which = random.integers(4)
    if which == 0:
        f = chain(random)
        return f, vectors(random, len(f.w))
    if which == 1:
        f, points = layer(random, str(random.choice(list(LOSSES))))
        return lambda W, t: f(W, t, points[0]["h"]), [{"W": p["W"], "t": p["t"]} for p in points]
    return network(random) if which == 2 else square_network(random)


def everywhere(change: Callable[[Any], Any]) -> Callable[[Arguments, Mapping[str, Any]], Mapping[str, Any]]:
    return lambda arguments, truth: {name: change(array) for name, array in truth.items()}


# --- planted mistakes ---------------------------------------------------------------------------------


def sign(random: Random) -> Mistake:
    return Mistake(*any_function(random), everywhere(np.negative))


def sign_of_entries(random: Random) -> Mistake:
    f, points = any_function(random)
    truth = evidence_of(Mistake(f, points, everywhere(np.negative))).points[0].truth
    size = next(iter(truth.values())).size
    wrong = random.permutation(size)[: random.integers(1, max(2, size // 2))]
    signs = np.ones(size)
    signs[wrong] = -1
    return Mistake(f, points, everywhere(lambda a: a * signs.reshape(a.shape)))


def factor(random: Random) -> Mistake:
    f, points = any_function(random)
    n = len(next(iter(points[0].values())))
    c = random.choice([2, 0.5, n, 1 / n, 1.37])
    return Mistake(f, points, everywhere(lambda a: c * a))


def transposed(random: Random) -> Mistake:
    f, points = network(random) if random.integers(2) else square_network(random)
    if f is softmax or random.integers(3) == 0:  # whose Jacobian is symmetric
        g, points = layer(random, "half")
        h, f = points[0]["h"], lambda W, t: g(W, t, h)
        points = [{"W": p["W"], "t": p["t"]} for p in points]
    mistake = Mistake(f, points, everywhere(np.transpose))
    [truth] = evidence_of(mistake).points[0].truth.values()
    symmetric = truth.shape == truth.T.shape and np.allclose(truth, truth.T)
    return transposed(random) if symmetric else mistake


def column_major(random: Random) -> Mistake:
    f, points = layer(random, str(random.choice(list(LOSSES))))
    if random.integers(2):
        yours = everywhere(lambda a: a.ravel(order="F").reshape(a.shape))
    else:
        yours = everywhere(lambda a: a.ravel(order="C").reshape(a.shape, order="F"))
    h = points[0]["h"]
    return Mistake(lambda W, t: f(W, t, h), [{"W": p["W"], "t": p["t"]} for p in points], yours)


def permuted(random: Random) -> Mistake:
    f, points = any_function(random)
    sizes = {name: np.size(x) for name, x in points[0].items()}
    order = random.permutation(sizes[next(iter(sizes))])
    if (order == np.arange(len(order))).all():
        order = order[::-1]

    def yours(arguments: Arguments, truth: Mapping[str, Any]) -> Mapping[str, Any]:
        [(name, a)] = truth.items()
        flat = a.reshape(-1, len(order))[:, order]
        return {name: flat.reshape(a.shape)}

    return Mistake(f, points, yours)


def diagonal(random: Random) -> Mistake:
    f, points = square_network(random)
    return Mistake(f, points, everywhere(lambda a: np.diag(np.diag(a))))


def off_diagonal(random: Random) -> Mistake:
    f, points = square_network(random)
    return Mistake(f, points, everywhere(lambda a: a - np.diag(np.diag(a))))


def part_in_chain(part: Callable[[Any], Any]) -> Callable[[Random], Mistake]:
    """dL/dW with a part of softmax's Jacobian, or dL/dz."""

    def plant(random: Random) -> Mistake:
        loss = str(random.choice(["half", "absolute", "binary"]))
        f, points = layer(random, loss)
        d_loss = LOSSES[loss][1]

        def yours(arguments: Arguments, truth: Mapping[str, Any]) -> Mapping[str, Any]:
            W, h, t = arguments["W"], arguments["h"], arguments["t"]
            S = softmax(W @ h)
            e = d_loss(S, t) @ part(jacobian_of_softmax(S))
            return {"W": np.outer(e, h), "h": W.T @ e}

        return Mistake(f, points, yours, "L")

    return plant


def extra_sigmoid(random: Random) -> Mistake:
    f, points = layer(random, "cross-entropy")

    def yours(arguments: Arguments, truth: Mapping[str, Any]) -> Mapping[str, Any]:
        S = softmax(arguments["W"] @ arguments["h"])
        return {"W": np.outer((S - arguments["t"]) * S * (1 - S), arguments["h"])}

    return Mistake(f, points, yours, "L")


def extra_value(random: Random) -> Mistake:
    """The value or the derivative at some step of an elementwise chain, once more."""
    f = chain(random)
    k, power = random.integers(len(f.names)), random.integers(2)

    def yours(arguments: Arguments, truth: Mapping[str, Any]) -> Mapping[str, Any]:
        x, steps = arguments["x"], []
        for name in f.names:
            steps.append(ELEMENTWISE[name][0](steps[-1] if steps else x))
        return {"x": truth["x"] * (steps[k] if power else f.derivatives(x)[k])}

    return Mistake(f, vectors(random, len(f.w)), yours)


def missing_factor(random: Random) -> Mistake:
    """One inner derivative of an elementwise chain forgotten."""
    f = chain(random)
    k = random.integers(len(f.names))

    def yours(arguments: Arguments, truth: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"x": truth["x"] / f.derivatives(arguments["x"])[k]}

    return Mistake(f, vectors(random, len(f.w)), yours)


def hidden_layer_without_derivative(random: Random) -> Mistake:
    """dE/dW1 without the derivative of the hidden layer's activation."""
    n, m, k = (int(size) for size in random.integers(2, 5, 3))
    name = str(random.choice(["tanh", "sigmoid", "softplus", "sin"]))
    g = ELEMENTWISE[name][0]
    W2, t = random.normal(size=(k, m)), random.normal(size=k)
    x = random.normal(size=n)

    def f(W: Any) -> Any:
        return squared_error(W2 @ g(W @ x), t)

    def yours(arguments: Arguments, truth: Mapping[str, Any]) -> Mapping[str, Any]:
        e = 2 * (W2 @ g(arguments["W"] @ x) - t)
        return {"W": np.outer(W2.T @ e, x)}

    return Mistake(f, [{"W": random.normal(size=(m, n))} for _ in range(3)], yours, "E")


def without_last_node(random: Random) -> Mistake:
    n = int(random.integers(2, 5))
    A = random.normal(size=(n, n))
    last, d_last = ELEMENTWISE[str(random.choice(["sin", "tanh", "exp", "sigmoid", "square"]))]

    def inner(x: Any) -> Any:
        return np.sum(np.tanh(A @ x) * x) + 0.5

    def yours(arguments: Arguments, truth: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"x": truth["x"] / d_last(inner(arguments["x"]))}

    return Mistake(lambda x: last(inner(x)), vectors(random, n), yours)


def of_the_probabilities(random: Random) -> Mistake:
    """∂L/∂S given for ∂L/∂z."""
    of, d_loss = LOSSES["binary"]
    if random.integers(2):
        of, d_loss = lambda y, t: np.sum((y - t) ** 4), lambda y, t: 4 * (y - t) ** 3
    n = int(random.integers(3, 6))
    points = [{"z": random.normal(size=n), "t": one_hot(random, n)} for _ in range(3)]
    return Mistake(
        lambda z, t: of(named(softmax(z), "S"), t), points,
        lambda arguments, truth: {"z": d_loss(softmax(arguments["z"]), arguments["t"])}, "L",
    )  # fmt: skip


def other_loss(random: Random) -> Mistake:
    right, wrong = (str(name) for name in random.choice(list(LOSSES), 2, replace=False))
    if (right, wrong) == ("binary", "cross-entropy"):  # which is also what softmax's diagonal alone gives
        right = "absolute"
    f, points = layer(random, right)

    def yours(arguments: Arguments, truth: Mapping[str, Any]) -> Mapping[str, Any]:
        S = softmax(arguments["W"] @ arguments["h"])
        e = LOSSES[wrong][1](S, arguments["t"]) @ jacobian_of_softmax(S)
        return {"W": np.outer(e, arguments["h"]), "h": arguments["W"].T @ e}

    return Mistake(f, points, yours, "L")


def summed(random: Random) -> Mistake:
    f, points = layer(random, str(random.choice(list(LOSSES))))
    scalar = random.integers(2)

    def yours(arguments: Arguments, truth: Mapping[str, Any]) -> Mapping[str, Any]:
        total = np.sum(truth["h"])
        return {"h": total if scalar else np.full_like(truth["h"], total)}

    return Mistake(f, points, yours, "L")


def inner_for_outer(random: Random) -> Mistake:
    n = int(random.integers(2, 5))
    of, d_loss = LOSSES["half"]
    points = [
        {"W": random.normal(size=(n, n)), "t": one_hot(random, n), "h": random.normal(size=n)}
        for _ in range(3)
    ]
    scalar = random.integers(2)

    def yours(arguments: Arguments, truth: Mapping[str, Any]) -> Mapping[str, Any]:
        W, h, t = (arguments[name] for name in "Wht")
        S = softmax(W @ h)
        inner = h @ (d_loss(S, t) @ jacobian_of_softmax(S))
        return {"W": inner if scalar else np.full((n, n), inner)}

    return Mistake(lambda W, t, h: of(softmax(W @ h), t), points, yours, "E")


def path(random: Random) -> Mistake:
    """One term of a product, quotient or sum rule left out, doubled or with the wrong sign."""
    (u, du), (v, dv) = (
        ELEMENTWISE[str(name)]
        for name in random.choice(["sin", "tanh", "exp", "sigmoid", "softplus"], 2, False)
    )
    w = random.uniform(0.5, 2.0, random.integers(3, 6))
    rules: list[tuple[Callable[[Any], Any], Callable[[Any], tuple[Any, Any]]]] = [
        (lambda x: u(x) * v(x), lambda x: (du(x) * v(x), u(x) * dv(x))),
        (lambda x: u(x) / (2 + v(x)), lambda x: (du(x) / (2 + v(x)), -u(x) * dv(x) / (2 + v(x)) ** 2)),
        (lambda x: u(x) + v(x), lambda x: (du(x), dv(x))),
    ]
    f, terms = rules[random.integers(len(rules))]
    coefficients = ([1, 0], [0, 1], [1, 2], [2, 1], [1, -1])[random.integers(5)]

    def yours(arguments: Arguments, truth: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"x": w * sum(c * term for c, term in zip(coefficients, terms(arguments["x"]), strict=True))}

    return Mistake(lambda x: np.sum(w * f(x)), vectors(random, len(w)), yours)


def softmax_without_denominator(random: Random) -> Mistake:
    """The quotient rule's second term forgotten: ∂S/∂z = diag(S)."""
    n = int(random.integers(3, 6))
    return Mistake(
        softmax, vectors(random, n), lambda arguments, truth: {"x": np.diag(softmax(arguments["x"]))}
    )


def wrong_derivative(random: Random) -> Mistake:
    """One step's derivative is that of something else, or taken at the wrong place."""
    w = random.uniform(0.5, 2.0, random.integers(3, 6))
    outer, d_outer = ELEMENTWISE[str(random.choice(["sin", "exp", "softplus", "arctan"]))]
    slips: list[tuple[Callable[[Any], Any], Callable[[Any], Any]]] = [
        (np.tanh, lambda x: 1 - x * x),
        (np.tanh, lambda x: np.tanh(x) * (1 - np.tanh(x))),
        (np.sin, np.sin),
        (np.exp, lambda x: x),
        (lambda x: (x + 2) ** 3, lambda x: 3 * (x + 2) ** 3),
        (lambda x: (x + 2) ** 3, lambda x: (x + 2) ** 2),
        (lambda x: 1 / (x + 3), lambda x: 1 / (x + 3)),
    ]
    g, wrong = slips[random.integers(len(slips))]

    def yours(arguments: Arguments, truth: Mapping[str, Any]) -> Mapping[str, Any]:
        x = arguments["x"]
        return {"x": w * d_outer(g(x)) * wrong(x)}

    return Mistake(lambda x: np.sum(w * outer(g(x))), vectors(random, len(w)), yours)


def two_at_once(random: Random) -> Mistake:
    mistake = part_in_chain(lambda M: M - np.diag(np.diag(M)))(random)
    change = [np.negative, np.transpose, lambda a: 2 * a][random.integers(3)]
    inner = mistake.yours
    mistake.yours = lambda arguments, truth: {"W": change(inner(arguments, truth)["W"])}
    return mistake


PLANTED: dict[str, tuple[Callable[[Random], Mistake], set[str]]] = {
    "sign": (sign, {"sign"}),
    "sign of entries": (sign_of_entries, {"sign"}),
    "factor": (factor, {"factor"}),
    "transposed": (transposed, {"transposed"}),
    "column-major": (column_major, {"layout"}),
    "permuted": (permuted, {"layout"}),
    "diagonal": (diagonal, {"diagonal"}),
    "off-diagonal": (off_diagonal, {"off-diagonal"}),
    "diagonal in a chain": (part_in_chain(lambda M: np.diag(np.diag(M))), {"diagonal"}),
    "off-diagonal in a chain": (part_in_chain(lambda M: M - np.diag(np.diag(M))), {"off-diagonal"}),
    "extra sigmoid": (extra_sigmoid, {"extra factor"}),
    "extra factor": (extra_value, {"extra factor"}),
    "missing factor": (missing_factor, {"missing factor"}),
    "missing factor in a network": (hidden_layer_without_derivative, {"missing factor"}),
    "without the last node": (without_last_node, {"other function"}),
    "of the probabilities": (of_the_probabilities, {"other variable", "missing factor"}),
    "other loss": (other_loss, {"other loss"}),
    "summed": (summed, {"summed"}),
    "inner for outer": (inner_for_outer, {"inner for outer"}),
    "path": (path, {"path", "term"}),
    "path in softmax": (softmax_without_denominator, {"path"}),
    "wrong derivative": (wrong_derivative, {"wrong derivative", "extra factor"}),
    "two at once": (two_at_once, {"off-diagonal"}),
}


@pytest.mark.parametrize("count", [2, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_named_and_mostly_first(name: str, count: int) -> None:
    plant, wanted = PLANTED[name]
    first = 0
    for seed in range(count):
        found = kinds(diagnose(evidence_of(plant(np.random.default_rng(seed)))))
        assert wanted & set(found), f"seed {seed}: {found}"
        first += found[0] in wanted
    assert first >= 0.85 * count


@pytest.mark.parametrize("name", ["factor", "extra factor"])
def test_factors_come_first_whatever_the_functions(name: str) -> None:
    plant, wanted = PLANTED[name]
    found = [kinds(diagnose(evidence_of(plant(np.random.default_rng(seed))))) for seed in range(1000, 1010)]
    assert sum(one[0] in wanted for one in found) >= 9


def test_a_wrong_sign_is_not_explained_a_second_time() -> None:
    f, points = layer(np.random.default_rng(0), "cross-entropy")
    assert kinds(diagnose(evidence_of(Mistake(f, points, everywhere(np.negative), "L")))) == ["sign"]


def test_nothing_further_fetched_is_said_beside_a_constant_factor() -> None:
    f, points = layer(np.random.default_rng(0), "half")
    found = kinds(diagnose(evidence_of(Mistake(f, points, everywhere(lambda a: 2 * a), "L"))))
    assert found == ["factor"]


def test_exponents_are_those_of_powers() -> None:
    points = vectors(np.random.default_rng(0), 4)
    mistake = Mistake(lambda x: np.sum(np.exp(np.cos(x))), points, lambda arguments, truth: {
        "x": truth["x"] * np.cos(arguments["x"])
    })  # fmt: skip
    found = diagnose(evidence_of(mistake))
    assert kinds(found)[0] == "extra factor"
    assert not any("exponent" in explanation.text for explanation in found)


# --- what must not be explained -----------------------------------------------------------------------


@pytest.mark.parametrize("digits", [None, pytest.param(6, marks=pytest.mark.slow), 3])
@pytest.mark.parametrize("count", [3, 1])
def test_random_numbers_are_not_explained(count: int, digits: int | None) -> None:
    for seed in range(3):
        random = np.random.default_rng(seed)
        f, points = any_function(random)
        mistake = Mistake(f, points[:count], everywhere(lambda a, r=random: r.normal(size=a.shape)))
        unit = 10.0**-digits if digits else 0.0
        assert diagnose(evidence_of(mistake, unit=unit)) == [], f"seed {seed}"


def test_right_results_have_nothing_to_explain() -> None:
    for seed in range(20):
        f, points = any_function(np.random.default_rng(seed))
        assert diagnose(evidence_of(Mistake(f, points, everywhere(lambda a: a * (1 + 1e-8))))) == []


def test_a_result_of_zeros_is_not_explained() -> None:
    f, points = network(np.random.default_rng(0))
    assert diagnose(evidence_of(Mistake(f, points, everywhere(np.zeros_like)))) == []


def test_one_number_is_not_explained_by_one_of_thousands() -> None:
    def f(x: Any) -> Any:
        return np.sin(x) * np.exp(x)

    mistake = Mistake(f, [{"x": 0.7}], lambda arguments, truth: {"x": 1.234})
    assert diagnose(evidence_of(mistake, unit=1e-3)) == []


# --- what a report needs ------------------------------------------------------------------------------


def test_figures_at_one_point_that_several_mistakes_explain_are_doubtful() -> None:
    S = np.array([0.2, 0.3, 0.5])
    mistake = Mistake(
        lambda z, t: squared_error(named(softmax(z), "S"), t) / 2,
        [{"z": np.log(S), "t": np.eye(3)[0]}],
        lambda arguments, truth: {"z": softmax(arguments["z"]) - arguments["t"]},
        "L",
    )
    found = diagnose(evidence_of(mistake))
    assert len(found) > 1
    assert not any(explanation.certain for explanation in found)
    mistake.points = [{"z": z, "t": np.eye(3)[0]} for z in np.random.default_rng(0).normal(size=(3, 3))]
    assert all(explanation.certain for explanation in diagnose(evidence_of(mistake)))


def test_a_function_that_does_not_run_on_values_is_explained_from_the_array() -> None:
    random = np.random.default_rng(1)
    for plant, wanted in (
        PLANTED[name] for name in ("sign", "factor", "transposed", "column-major", "diagonal")
    ):
        found = kinds(diagnose(evidence_of(plant(random), known=False)))
        assert set(found) & wanted


def test_parameters_wrong_for_different_reasons_are_explained_one_by_one() -> None:
    f, points = layer(np.random.default_rng(0), "half")
    mistake = Mistake(f, points, lambda arguments, truth: {"W": truth["W"].T, "h": -truth["h"]}, "L")
    found = diagnose(evidence_of(mistake))
    assert {"transposed", "sign"} <= set(kinds(found))
    assert any("∂L/∂W" in explanation.text for explanation in found)
    assert any("∂L/∂h" in explanation.text for explanation in found)


def test_texts_name_the_nodes() -> None:
    mistake = extra_sigmoid(np.random.default_rng(0))
    [first, *_] = diagnose(evidence_of(mistake))
    assert first.text == "yours is ∂L/∂W times S·(1 − S), elementwise at Σ W·h, as if a sigmoid followed"
    assert first.nodes == ("S", "Σ W·h")
    [first, *_] = diagnose(evidence_of(PLANTED["diagonal in a chain"][0](np.random.default_rng(0))))
    assert "only the diagonal of ∂S/∂" in first.text
    [first, *_] = diagnose(evidence_of(inner_for_outer(np.random.default_rng(0))))
    assert first.formula == "∂E/∂W = ∂E/∂(Σ W·h) ⊗ h, an outer product"


def test_nodes_are_named_by_the_functions_that_make_them() -> None:
    random = np.random.default_rng(0)
    W1, W2, b, x, t = (random.normal(size=s) for s in ((4, 3), (3, 4), 4, 3, 3))

    def f(W1: Any, W2: Any, b: Any) -> Any:
        return np.sum(np.square(softmax(W2 @ (1 / (1 + np.exp(-(W1 @ x + b))))) - t))

    def without_sigmoid(arguments: Arguments, truth: Mapping[str, Any]) -> Mapping[str, Any]:
        a = 1 / (1 + np.exp(-(W1 @ x + b)))
        d = truth["b"] / (a * (1 - a))
        return {"W1": np.outer(d, x), "b": d}

    mistake = Mistake(f, [{"W1": W1, "W2": W2, "b": b}], without_sigmoid)
    [first, *_] = diagnose(evidence_of(mistake))
    assert first.text.startswith("yours leaves out ∂sigmoid(Σ W1·c + b)/∂(Σ W1·c + b)")
    S = softmax(W2 @ (1 / (1 + np.exp(-(W1 @ x + b)))))
    mistake.yours = lambda arguments, truth: {"W2": truth["W2"] * S[:, None]}
    [first, *_] = diagnose(evidence_of(mistake))
    z = "Σ W2·sigmoid(Σ W1·c + b)"
    assert first.text == f"yours is ∂f/∂W2 times softmax(Σ W2·sigmoid(Σ … + b)), elementwise at {z}"


def test_the_shift_of_a_softmax_is_no_path_of_its_own() -> None:
    def by_hand(z: Any) -> Any:
        e = np.exp(z - np.max(z))
        return e / np.sum(e)

    def yours(arguments: Arguments, truth: Mapping[str, Any]) -> Mapping[str, Any]:
        S = softmax(arguments["z"])
        return {"z": np.diag(S) + np.outer(S, S)}

    points = vectors(np.random.default_rng(0), 4, name="z")
    [first, *_] = diagnose(evidence_of(Mistake(by_hand, points, yours)))
    assert first.kind == "path"
    assert first.text == "yours has the contribution of the paths from Σ exp(z) into f with the wrong sign"


# --- published mistakes -------------------------------------------------------------------------------


def test_a_gradient_printed_column_by_column_in_the_shape_of_its_parameter() -> None:
    x = np.array([0.1, 0.5, 0.4])
    W = np.array([[0.1, 0.2, 0.3, 0.4, 0.5], [0.6, 0.7, 0.8, 0.9, 0.1], [0.11, 0.12, 0.13, 0.14, 0.15]])
    printed = np.array([
        [0.01909135, 0.09545676, 0.07636541, 0.02035314, 0.10176572],
        [0.08141258, -0.07830167, -0.39150833, -0.31320667, 0.02313243],
        [0.11566214, 0.09252971, 0.01572474, 0.07862371, 0.06289897],
    ])  # fmt: skip
    mistake = Mistake(
        lambda W: cross_entropy(softmax(W.T @ x), 2),
        [{"W": W}],
        lambda arguments, truth: {"W": printed},
        "XE",
    )
    [only] = diagnose(evidence_of(mistake, rtol=0.0, unit=1e-8))
    assert only.kind == "layout"
    assert "column by column" in only.text
    assert only.certain


def published_network(W1: Any, b1: Any, W2: Any, b2: Any) -> Any:
    """½ Σ (y − t)² of a 2-2-2 network whose sigmoid was coded as 1 / 1 + exp(−v)."""
    x, t = np.array([-1.0, 1.0]), np.array([1.0, 0.0])
    h = named(1 / 1 + np.exp(-(x @ W1 + b1)), "h")
    y = named(softmax(named(h @ W2 + b2, "z")), "y")
    return squared_error(y, t) / 2


PARAMETERS = {
    "W1": np.array([[-2.0, 1.0], [3.0, 0.0]]),
    "b1": np.array([0.5, 1.5]),
    "W2": np.array([[2.0, 3.0], [-1.0, 2.0]]),
    "b2": np.array([2.0, -1.0]),
}


def test_softmax_taken_for_elementwise_in_a_published_network() -> None:
    def yours(arguments: Arguments, truth: Mapping[str, Any]) -> Mapping[str, Any]:
        x, t = np.array([-1.0, 1.0]), np.array([1.0, 0.0])
        h = 1 + np.exp(-(x @ arguments["W1"] + arguments["b1"]))
        y = softmax(h @ arguments["W2"] + arguments["b2"])
        e = (y - t) * y * (1 - y)
        return {"W2": np.outer(h, e), "b2": e}

    found = diagnose(evidence_of(Mistake(published_network, [PARAMETERS], yours, "E")))
    assert "only the diagonal of ∂y/∂z" in " ".join(explanation.text for explanation in found)


def test_inner_products_for_outer_ones_given_the_errors_that_the_steps_took() -> None:
    random = np.random.default_rng(0)
    h, e = random.normal(size=2), random.normal(size=2)

    def step(W2: Any, b2: Any, h: Any) -> Any:
        """The loss as a step of backpropagation sees it: its derivative by z = h W2 + b2 is e."""
        return np.sum(named(h @ W2 + b2, "z") * e)

    points = [{"W2": PARAMETERS["W2"], "b2": PARAMETERS["b2"], "h": h}]

    def yours(arguments: Arguments, truth: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"W2": np.full((2, 2), arguments["h"] @ e), "b2": np.full(2, np.sum(e))}

    found = kinds(diagnose(evidence_of(Mistake(step, points, yours, "E"))))
    assert {"inner for outer", "summed"} <= set(found)


def test_both_mistakes_in_one_printed_step_of_a_published_network() -> None:
    after = np.array([[1.99699085, 2.99699085], [-1.00300915, 1.99699085]])  # at a rate of 0.1
    mistake = Mistake(
        published_network,
        [PARAMETERS],
        lambda arguments, truth: {"W2": (PARAMETERS["W2"] - after) / 0.1},
        "E",
    )
    [first, *_] = diagnose(evidence_of(mistake, rtol=0.0, unit=1e-7))
    assert "only the diagonal of ∂y/∂z" in first.text
    assert "inner product of its two factors in place of their outer product" in first.text
    assert not first.certain  # one number, and for two classes it is also what is left without the diagonal


@pytest.mark.parametrize(
    ("y", "t", "printed"),
    [
        ([0.5, 0.3, 0.2], [1.0, 0.0, 0.0], 1.2729656758128876),
        ([0.5, 0.3, 0.2], [0.0, 1.0, 0.0], 2.120263536200091),
        ([0.1, 0.2, 0.7], [0.3, 0.3, 0.4], 2.2686134086799234),
    ],
)
def test_printed_losses_of_the_binary_formula(y: list[float], t: list[float], printed: float) -> None:
    arguments = {"y": np.array(y), "t": np.array(t)}
    value = cross_entropy(y, t)
    [only] = diagnose_value(value, np.array(printed), np.array(1e-15), arguments, out="L")
    assert only.kind == "other loss"
    assert "binary_cross_entropy(y, t)" in only.text
    assert only.formula == "L = −Σ t ln y"


VALUES: dict[str, tuple[Callable[[float], float], str]] = {
    "sign": (lambda v: -v, "sign"),
    "mean": (lambda v: v / 3, "factor"),
    "base 2": (lambda v: v / np.log(2), "other function"),
    "perplexity": (np.exp, "other function"),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_printed_value_in_another_form(name: str) -> None:
    change, kind = VALUES[name]
    y, t = np.array([0.2, 0.5, 0.3]), np.array([0.3, 0.3, 0.4])
    value = cross_entropy(y, t)
    printed = np.round(change(value), 8)
    found = diagnose_value(np.array(value), np.array(printed), np.array(1e-8), {"y": y, "t": t})
    assert kind in kinds(found)


def test_a_printed_value_that_is_a_step_on_the_way() -> None:
    z = values([1.0, -0.5, 0.3], "z")
    S = named(softmax(z), "S")
    out = np.square(S) + S
    found = diagnose_value(out.data, S.data, np.full(3, 1e-12), {"z": z.data}, Graph({}, out))
    assert found[0].text == "yours is the value of S, a step on the way to f"


def test_printed_values_that_are_unrelated_are_not_explained() -> None:
    random = np.random.default_rng(0)
    y, t = np.array([0.2, 0.5, 0.3]), np.array([0.3, 0.3, 0.4])
    for _ in range(20):
        printed = np.array(random.uniform(0.5, 3.0))
        assert not diagnose_value(np.array(cross_entropy(y, t)), printed, np.array(1e-7), {"y": y, "t": t})


# --- speed --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [np.negative, lambda a: a + np.sin(a)], ids=["explained", "not explained"])
def test_ten_outputs_by_ten_inputs_at_twenty_points_take_less_than_a_second(change: Any) -> None:
    points = vectors(np.random.default_rng(0), 10, 20, "z")
    evidence = evidence_of(Mistake(lambda z: softmax(z), points, everywhere(change)))
    start = time.process_time()
    diagnose(evidence)
    assert time.process_time() - start < 1.0
