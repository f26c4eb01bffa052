"""The gradient of softmax regression over a data set, computed by two worker processes and added up.

A program is traced once and pickled, as data, to the workers of a Dask cluster; each runs it over its
chunks of the samples. The loss is a sum over samples, and so is its gradient: the chunks' results add up
to what one process gives, but for the order of the additions.
"""

import logging
import pickle
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from autograd_mini import cross_entropy_from_logits, trace, value_and_grad

SAMPLES, FEATURES, CLASSES, CHUNKS = 20_000, 12, 5, 4
MISSING = 'this demo needs Dask\'s cluster: python -m pip install "autograd-mini[demos]"'


def loss(W: Any, b: Any, x: Any, t: Any) -> Any:
    """Cross-entropy of one sample x of class t."""
    return cross_entropy_from_logits(W.T @ x + b, t)


def flat(result: Any) -> Any:
    """The loss and its gradient as one vector."""
    value, (dW, db) = result
    return np.concatenate([[value], dW.ravel(), db])


def timed(run: Callable[[], Any]) -> tuple[Any, float]:
    """The quicker of two runs, so that nobody's start counts."""
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - start)
    return result, min(seconds)


def main() -> None:
    """Trace, compute the gradient in one process and in two, and compare."""
    try:
        distributed = import_module("distributed")
    except ImportError:
        raise SystemExit(MISSING) from None

    rng = np.random.default_rng(0)
    X = rng.normal(size=(SAMPLES, FEATURES))
    t = np.argmax(X @ rng.normal(size=(FEATURES, CLASSES)) + rng.gumbel(size=(SAMPLES, CLASSES)), axis=1)
    W, b = rng.normal(size=(FEATURES, CLASSES)) / 10, np.zeros(CLASSES)

    start = time.perf_counter()
    step = trace(value_and_grad(loss, (0, 1)), W, b, X[0], 0)
    traced = time.perf_counter() - start
    gradient = step.vmap(in_axes=(None, None, 0, 0), reduce="sum")
    print(step)
    print(f"traced in {1e3 * traced:.0f} ms, {len(pickle.dumps(step)):,} bytes as a pickle\n")
    alone, one_process = timed(lambda: flat(gradient(W, b, X, t)))

    start = time.perf_counter()
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs=logging.ERROR,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        started = time.perf_counter() - start
        # The samples are sent once; a step of gradient descent sends W and b and gets a sum back.
        chunks = [client.scatter(np.array_split(x, CHUNKS)) for x in (X, t)]

        def together() -> Any:
            parts = client.map(gradient, [W] * CHUNKS, [b] * CHUNKS, *chunks, pure=False)
            return np.sum([flat(part) for part in client.gather(parts)], axis=0)

        added, two_processes = timed(together)

    print(f"loss and gradient over {SAMPLES:,} samples, {CHUNKS} chunks")
    print(f"  one process            {1e3 * one_process:8.1f} ms")
    print(f"  two worker processes   {1e3 * two_processes:8.1f} ms, after {started:.1f} s to start them")
    print(f"  loss per sample        {added[0] / SAMPLES:.10f}")
    print(f"  largest |∂loss|        {np.abs(added[1:]).max():.6f}")
    print(f"  largest difference     {np.abs(added - alone).max():.1e}")
    if two_processes > one_process:
        print("\nFor so little work messages cost more than they save; a second process pays off for more.")


if __name__ == "__main__":
    main()
