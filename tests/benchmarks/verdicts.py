"""Derivations of hard kinds, right and wrong ones, and the verdicts on them.

    python tests/benchmarks/verdicts.py [count] [seed]

Of every kind, functions are drawn whose numbers are short of digits somewhere: beside large offsets, of many
scales, in tails, tiny and huge, cancelling, in float32, at an optimum, on ties, or losing a gradient on
Values. A right derivation is the textbook's, as a function or as its numbers; a wrong one differs from it in
one entry that is not 0, by a relative 10⁻³ to 1. Printed are the verdicts by kind, and every right derivation
that was accused and every wrong one that was passed, with its seed.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath
import numpy as np

import autograd_mini as am
from autograd_mini import check_gradient

Floats = Any


class Case(NamedTuple):
    """f of one array, its derivative, and where."""

    f: Callable[[Any], Any]
    hand: Callable[[Floats], Floats]
    at: Floats


SMOOTH: list[tuple[Callable[[Any], Any], Callable[[Floats], Floats]]] = [
    (lambda x: am.sin(x), np.cos),
    (lambda x: am.exp(x), np.exp),
    (lambda x: x**3, lambda x: 3 * x**2),
    (lambda x: am.tanh(x), lambda x: 1 / np.cosh(x) ** 2),
    (lambda x: am.log(1 + x * x), lambda x: 2 * x / (1 + x * x)),
    (lambda x: 1 / (2 + am.cos(x)), lambda x: np.sin(x) / (2 + np.cos(x)) ** 2),
    (lambda x: x * am.sigmoid(x), lambda x: _sigmoid(x) * (1 + x * _sigmoid(-x))),
]


def _sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


def _erfc(x: Floats) -> Floats:
    return np.array([float(mpmath.erfc(number)) for number in np.ravel(x)]).reshape(np.shape(x))


def scaled_sum(random: np.random.Generator, coefficients: Floats, offset: float = 0.0) -> Case:
    """Σ cᵢ gᵢ(xᵢ) + offset, with gᵢ drawn."""
    chosen = [SMOOTH[i] for i in random.integers(len(SMOOTH), size=len(coefficients))]

    def f(x: Any) -> Any:
        return (
            sum(float(c) * g(x[i]) for i, (c, (g, _)) in enumerate(zip(coefficients, chosen, strict=True)))
            + offset
        )

    def hand(x: Floats) -> Floats:
        return np.array(
            [c * dg(x[i]) for i, (c, (_, dg)) in enumerate(zip(coefficients, chosen, strict=True))]
        )

    return Case(f, hand, random.uniform(-2, 2, len(coefficients)))


def offsets(random: np.random.Generator) -> Case:
    return scaled_sum(random, random.normal(size=3), offset=10.0 ** random.uniform(3, 15))


def scales(random: np.random.Generator) -> Case:
    return scaled_sum(random, 10.0 ** random.uniform(-9, 9, 4))


def tiny_and_huge(random: np.random.Generator) -> Case:
    return scaled_sum(random, np.full(3, 10.0 ** random.choice([-150, -30, 30, 150])))


def tails(random: np.random.Generator) -> Case:
    f, hand = [
        (lambda x: am.exp(-x), lambda x: -np.exp(-x)),
        (lambda x: am.erfc(x / 8), lambda x: -np.exp(-x * x / 64) / (4 * np.sqrt(np.pi))),
        (lambda x: am.sigmoid(-x), lambda x: -_sigmoid(x) * _sigmoid(-x)),
        (lambda x: am.log(am.sigmoid(x)), lambda x: 1 / (1 + np.exp(x))),
        (lambda x: x * (1 - am.sigmoid(x)), lambda x: _sigmoid(-x) - x * _sigmoid(x) * _sigmoid(-x)),
        (
            lambda x: -x * 0.5 * (1 + am.erf(-x / np.sqrt(2) / 4)),
            lambda x: -0.5 * _erfc(x / np.sqrt(2) / 4) + x * np.exp(-x * x / 32) / np.sqrt(2 * np.pi) / 4,
        ),
    ][random.integers(6)]
    return Case(lambda x: np.sum(f(x)), hand, random.uniform(15, 32, 2))


def cancelling(random: np.random.Generator) -> Case:
    size = 10.0 ** random.uniform(2, 7)
    f, hand = [
        (lambda x: am.sqrt(x * x + 1) - x, lambda x: x / np.sqrt(x * x + 1) - 1),
        (lambda x: am.sqrt(x * x + 1) - x, lambda x: -1 / (np.sqrt(x * x + 1) * (x + np.sqrt(x * x + 1)))),
        (lambda x: (1 + x) ** 2 - x * x - 1, lambda x: 2 * (1 + x) - 2 * x),
        (lambda x: (1 - am.cos(1 / x)) * x, lambda x: 1 - np.cos(1 / x) - np.sin(1 / x) / x),
        (lambda x: am.log(1 + x) - am.log(x), lambda x: -1 / (x * (1 + x))),
        (lambda x: (x + 1e4) ** 3 / 3 - 1e4 * x * x, lambda x: (x + 1e4) ** 2 - 2e4 * x),
    ][random.integers(6)]
    return Case(lambda x: np.sum(f(x)), hand, size * random.uniform(1, 2, 2))


def softmaxes(random: np.random.Generator) -> Case:
    def softmax(z: Any) -> Any:
        e = np.exp(z - np.max(z))
        return e / np.sum(e)

    z = random.normal(size=4) * 10.0 ** random.uniform(0, 1.7)
    k = int(random.integers(4))
    if random.random() < 0.5:
        return Case(lambda z: -am.log(softmax(z)[k]), lambda z: softmax(z) - np.eye(4)[k], z)
    return Case(lambda z: softmax(z)[k], lambda z: softmax(z)[k] * (np.eye(4)[k] - softmax(z)), z)


def in_float32(random: np.random.Generator) -> Case:
    W, t = random.normal(size=(3, 4)), random.normal(size=3)

    def f(x: Any) -> Any:
        x = np.asarray(x, dtype=float).astype(np.float32)
        return np.sum((np.float32(W) @ x - np.float32(t)) ** 2)

    return Case(f, lambda x: 2 * W.T @ (W @ x - t), random.normal(size=4))


def optimum(random: np.random.Generator) -> Case:
    A, b = random.normal(size=(6, 3)), random.normal(size=6)
    if random.random() < 0.5:
        b = A @ random.normal(size=3)
    w = np.linalg.lstsq(A, b, rcond=None)[0] + random.choice([0.0, 1e-9])
    return Case(lambda w: np.sum((A @ w - b) ** 2), lambda w: 2 * A.T @ (A @ w - b), w)


def ties(random: np.random.Generator) -> Case:
    X = random.normal(size=(5, 3))
    X[random.integers(5)] = 0.0
    c = random.normal(size=5)

    def f(w: Any) -> Any:
        return np.sum(c * am.maximum(X @ w, 0)) + np.sum(w * w)

    return Case(f, lambda w: X.T @ (c * (X @ w > 0)) + 2 * w, random.normal(size=3))


def _raw(x: Any) -> Any:
    return x.data if isinstance(x, am.Value) else x


def losing(random: np.random.Generator) -> Case:
    large, small = 10.0 ** random.uniform(0, 8), 10.0 ** random.uniform(-2, 2)

    def f(x: Any) -> Any:
        return large * am.sin(x[0]) + small * _raw(x[1]) * x[2] + x[2]

    def hand(x: Floats) -> Floats:
        return np.array([large * np.cos(x[0]), small * x[2], small * x[1] + 1])

    return Case(f, hand, random.uniform(0.5, 2, 3))


KINDS = [
    offsets, scales, tiny_and_huge, tails, cancelling, softmaxes, in_float32, optimum, ties, losing,
]  # fmt: skip


def tried(seed: int, wrong: bool) -> tuple[str, str]:
    """The kind of the derivation with that seed, and the verdict on it."""
    random = np.random.default_rng(seed)
    kind = KINDS[seed % len(KINDS)]
    case = kind(random)
    while not (truth := case.hand(case.at)).any():  # so far in its tail that floats have only zeros
        case = kind(random)
    factor = np.ones(case.at.shape)
    if wrong:
        entry = random.choice(np.flatnonzero(truth))
        factor[entry] += random.choice([-1, 1]) * 10.0 ** random.uniform(-3, 0)
    form = random.integers(4)
    hand: Any = lambda x: case.hand(x) * factor  # noqa: E731
    if form == 0:
        hand = truth * factor
    elif form == 1:
        hand = (truth * factor).astype(np.float32)
        if not np.isfinite(hand).all() or (hand == 0).any():
            hand = truth * factor
    return kind.__name__, check_gradient(case.f, hand, at=case.at, points=3, diagnosis=0).verdict


def run(count: int, seed: int) -> tuple[dict[str, Counter[str]], list[tuple[str, int, str]]]:
    """The verdicts by kind, ``count`` right and ``count`` wrong ones, and the false ones among them."""
    verdicts: dict[str, Counter[str]] = {}
    false: list[tuple[str, int, str]] = []
    for i in range(count):
        for wrong in (False, True):
            own = 1_000_000 * seed + i
            with np.errstate(all="ignore"):
                kind, verdict = tried(own, wrong)
            verdicts.setdefault(f"{kind} {'wrong' if wrong else 'right'}", Counter())[verdict] += 1
            if verdict == ("agrees" if wrong else "disagrees"):
                false.append((kind, own, f"{'passed' if wrong else 'accused'}"))
    return verdicts, false


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    start = time.perf_counter()
    verdicts, false = run(count, seed)
    for title, counted in sorted(verdicts.items()):
        print(f"{title:22} " + ", ".join(f"{n} {verdict}" for verdict, n in sorted(counted.items())))
    right = sum((counted for title, counted in verdicts.items() if title.endswith("right")), Counter())
    print(f"{count} right and {count} wrong (seed {seed}) in {time.perf_counter() - start:.0f} s")
    print(f"false: {len(false)}; of the right ones inconclusive: {right['inconclusive'] / count:.1%}")
    for kind, own, what in false:
        print(f"  {what}: {kind}, seed {own}")


if __name__ == "__main__":
    main()
