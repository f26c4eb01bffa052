"""Derivations of random losses against the engine: ``python tests/benchmarks/derivations.py [count] [seed]``.

The printed lines are read again and computed from the arguments alone. Prints each line that is wrong, how
many losses end in a line without derivatives of intermediates, and the time of each.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from autograd_mini import derivation, sigmoid, softmax, softplus

sys.path.insert(0, str(Path(__file__).parents[1]))
from derivation_losses import wrong_lines


def drawn(seed: int) -> tuple[Callable[..., Any], dict[str, Any]]:
    """A random loss of a vector, a matrix and targets, or a vector, and a point."""
    random = np.random.default_rng(seed)
    kinds = random.integers(0, len(STEPS), random.integers(1, 5)).tolist()
    picks = random.integers(0, 99, 40).tolist()
    end = int(random.integers(0, len(ENDS)))
    n = int(random.integers(2, 5))

    def f(x: Any, A: Any, b: Any) -> Any:
        known, pick = [x, b, A @ x], iter(picks)
        for kind in kinds:
            u, v = (known[next(pick) % len(known)] for _ in range(2))
            known.append(STEPS[kind](u, v, A))
        return ENDS[end](known[-1], known[-2], b)

    at = {"x": random.normal(size=n), "A": random.normal(size=(n, n)), "b": random.uniform(0.2, 1.5, n)}
    if random.random() < 0.4:
        at["b"] = np.eye(n)[random.integers(n)]
    return f, {name: np.round(value, 2) for name, value in at.items()}


STEPS: list[Callable[[Any, Any, Any], Any]] = [
    lambda u, v, A: u * v,
    lambda u, v, A: u + v,
    lambda u, v, A: np.tanh(u),
    lambda u, v, A: np.exp(u / 4),
    lambda u, v, A: A.T @ u,
    lambda u, v, A: u / np.sqrt(np.sum(v * v) + 1),
    lambda u, v, A: softmax(u),
    lambda u, v, A: u - np.mean(u),
    lambda u, v, A: u / (1 + v * v),
    lambda u, v, A: sigmoid(u - v),
    lambda u, v, A: np.maximum(u, v / 2),
    lambda u, v, A: u * np.sum(v),
    lambda u, v, A: np.where(u > 0.1, u * v, v),
    lambda u, v, A: softplus(u),
    lambda u, v, A: np.exp(u - np.max(u)),
    lambda u, v, A: A @ u - v,
    lambda u, v, A: u * np.sum(v) / (np.sum(u * u) + 0.123456789012),
    lambda u, v, A: u * (v @ v) ** 2 / 3,
]
ENDS: list[Callable[[Any, Any, Any], Any]] = [
    lambda u, v, b: np.sum(u * v),
    lambda u, v, b: np.sum((u - b) ** 2),
    lambda u, v, b: -np.sum(b * np.log(softmax(u))),
    lambda u, v, b: np.mean(np.log(1 + u**2)) + np.sum(np.abs(v)),
    lambda u, v, b: np.log(np.sum(np.exp(u))) + v @ b,
    lambda u, v, b: softmax(u) * v,
]


def main(count: int, start: int) -> int:
    wrong, times, kinds = 0, dict[int, float](), Counter[str]()
    for seed in range(start, start + count):
        f, at = drawn(seed)
        began = time.perf_counter()
        try:
            found = derivation(f, at, ["x", "A"])
        except ValueError as error:
            kinds[f"refused: {str(error)[:60]}"] += 1
            continue
        except Exception:
            kinds["failed"] += 1
            print(f"seed {seed}:")
            traceback.print_exc(limit=-3)
            continue
        times[seed] = time.perf_counter() - began
        try:
            lines = list(wrong_lines(found, f, at))
            closed = not any("∂" in line for line in found.results.values())
            bare = any(not step.lines for step in found.steps)
            kinds["without a line" if bare else "closed" if closed else "with derivatives before"] += 1
        except ValueError as error:
            kinds["not read again"] += 1
            print(f"seed {seed}: {str(error)[:200]}")
            lines = []
        for line in lines:
            wrong += 1
            print(f"seed {seed}: {line}")
    slowest = max(times, key=lambda seed: times[seed])
    cost = f"{np.median([*times.values()]):.2f} s each, at most {times[slowest]:.1f} (seed {slowest})"
    print(f"{count} losses, {wrong} lines wrong; {dict(kinds)}; {cost}")
    return wrong


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    sys.exit(bool(main(*given, *[100, 0][len(given) :])))
