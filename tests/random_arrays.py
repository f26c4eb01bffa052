"""Random functions of arrays, drawn from a seed: their programs are rolled and held against themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import numpy as np

from autograd_mini import Program, jacobian, machine, number_types, rolling, trace, value_and_grad
from autograd_mini.transforms import grad

STEPS: list[Callable[[np.ndarray, np.ndarray, int], Any]] = [
    lambda x, y, k: np.tanh(x),
    lambda x, y, k: np.exp(-x),
    lambda x, y, k: x * y,
    lambda x, y, k: x + y,
    lambda x, y, k: x - y,
    lambda x, y, k: x @ y,
    lambda x, y, k: x / (2 + y * y),
    lambda x, y, k: np.sum(x, axis=k % x.ndim if x.ndim and k % 3 else None),
    lambda x, y, k: x.T,
    lambda x, y, k: [x[1:], x[::-1], x[::2]][k % 3],
    lambda x, y, k: np.concatenate([x, y]),
    lambda x, y, k: np.where(x > 0.5, x, y),
    lambda x, y, k: np.maximum(x, 0.4 * y),
    lambda x, y, k: np.max(x, axis=k % x.ndim if x.ndim and k % 2 else None),
    lambda x, y, k: x.reshape(-1),
    lambda x, y, k: [np.outer(x, y), np.diag(x), np.cumsum(x), np.tril(x)][k % 4],
    lambda x, y, k: np.clip(x, 0.3, 0.8) * y,
    lambda x, y, k: np.array([[0.0, 1.0], [1.0, 0.0]]) @ x if k % 2 else 3 * x - 1,
]
SMALL = 300  # instructions of a gradient that is differentiated again
REFUSALS = (ValueError, IndexError, TypeError, AttributeError, ZeroDivisionError)


def drawn(seed: int) -> tuple[Callable[..., Any], list[Any]]:
    """A function of one to three arrays to one number, and arguments."""
    random = np.random.default_rng(seed)
    shapes = [
        tuple(random.integers(1, 5, random.integers(0, 3)).tolist()) for _ in range(random.integers(1, 4))
    ]
    choices = random.integers(0, 2**31, (int(random.integers(3, 12)), 4)).tolist()

    def f(*arguments: Any) -> Any:
        pool = list(arguments)
        for i, j, k, step in choices:
            x, y = pool[i % len(pool)], pool[j % len(pool)]
            try:
                result = STEPS[step % len(STEPS)](x, y, k)
            except REFUSALS:
                continue
            if 0 < np.size(result) < 200:
                pool.append(result)
        return sum(np.sum(np.sin(x)) for x in pool[-4:])

    return f, [random.uniform(0.2, 1, shape) if shape else float(random.uniform(0.2, 1)) for shape in shapes]


def program(seed: int) -> tuple[Program, list[Any]] | None:
    """The program of a random function's derivatives: plain, over the rows of a batch, or its mean."""
    f, arguments = drawn(seed)
    every = range(len(arguments))
    kind = seed % 4
    if kind in (1, 2):
        batch = np.stack([arguments[0] * (1 + 0.1 * k) for k in range(3)])
        arguments = [batch, *arguments[1:]]
        one = f

        def f(x: Any, *shared: Any) -> Any:
            terms = np.stack([one(row, *shared) for row in x])
            return terms if kind == 1 else np.mean(terms)

    try:
        traced = trace(jacobian(f) if kind == 1 else value_and_grad(f, every), *arguments, exact=True)
        if kind == 3 and len(traced) < SMALL:
            traced = trace(jacobian(grad(f)), *arguments, exact=True)
    except REFUSALS:
        return None
    if seed % 3 == 0:  # an element that is infinite or none
        random = np.random.default_rng(seed)
        arguments = [np.array(x, float) for x in arguments]
        some = arguments[int(random.integers(len(arguments)))]
        if some.size:
            some.reshape(-1)[int(random.integers(some.size))] = random.choice([np.inf, -np.inf, np.nan, -0.0])
        arguments = [x if x.shape else x.item() for x in arguments]
    return (traced, arguments) if 0 < len(traced) < 20_000 else None


def batch(seed: int, arguments: list[Any]) -> tuple[tuple[int | None, ...], list[Any]]:
    """Some of the arguments for several samples each, along any axis, some with an element like that."""
    random = np.random.default_rng(seed)
    count = int(random.choice([0, 1, 2, 5, 130], p=[0.05, 0.1, 0.2, 0.6, 0.05]))
    axes: list[int | None] = [
        int(random.integers(np.ndim(x) + 1)) if random.random() < 0.6 else None for x in arguments
    ]
    if axes == [None] * len(axes):
        axes[0] = 0
    samples = []
    for x, axis in zip(arguments, axes, strict=True):
        if axis is None:
            samples.append(x)
            continue
        factors = 1 + 0.1 * random.random((count, *np.shape(x)))
        rows = np.asarray(x, float) * factors
        if seed % 3 == 0 and rows.size:
            rows.reshape(-1)[int(random.integers(rows.size))] = random.choice([np.inf, -np.inf, np.nan, -0.0])
        samples.append(np.moveaxis(rows, 0, axis))
    return tuple(axes), samples


def run(source: str, name: str) -> Any:
    """The function that the source defines."""
    namespace: dict[str, Any] = {}
    exec(compile(source, f"<{name}>", "exec"), namespace)
    return namespace[name]


def flat(results: Any) -> np.ndarray:
    return np.concatenate([np.ravel(np.asarray(x, float)) for x in _leaves(results)])


def _leaves(results: Any) -> Iterator[Any]:
    if isinstance(results, (tuple, list)):
        for x in results:
            yield from _leaves(x)
    elif isinstance(results, dict):
        yield from _leaves(list(results.values()))
    else:
        yield results


def difference(got: np.ndarray, wanted: np.ndarray) -> float:
    """The largest error relative to the largest finite number; inf where what is not finite differs."""
    if got.shape != wanted.shape:
        return np.inf
    finite = np.isfinite(wanted)
    if (
        not np.array_equal(got[~finite], wanted[~finite], equal_nan=True)
        or not np.isfinite(got[finite]).all()
    ):
        return np.inf
    size = max(1.0, float(np.abs(wanted[finite]).max(initial=0.0)))
    return float(np.abs(got[finite] - wanted[finite]).max(initial=0.0)) / size


def errors(seed: int, traced: Program, arguments: list[Any]) -> dict[str, float]:
    """How far each way of running the program is from the exact one."""
    wanted = flat(traced(*arguments))
    statements = rolling.Statements(rolling.roll(traced.listing), number_types.ARRAY.function)
    found = {
        "source": difference(flat(run(traced.source("numpy"), traced.name)(*arguments)), wanted),
        "statements": difference(flat(statements(arguments)), wanted),
    }
    axes, samples = batch(seed, arguments)
    reduce = (None, "sum", "mean")[seed // 3 % 3]
    with patch.object(machine, "available", lambda: False):
        mapped = Program(traced.listing).vmap(axes, reduce)
        got = flat(mapped(*samples))
    assert mapped.rolled
    found[f"batch, {reduce}"] = difference(got, flat(traced.vmap(axes, reduce)(*samples)))
    return found
