"""How long a check takes: a Jacobian of 10 x 10 entries at 21 points, and layers with a bias and a softmax.

    python tests/benchmarks/checks.py

Each time is that of a process of its own, the median of several checks after the first. Beside the layers
stand SciPy's check_grad and PyTorch's gradcheck, where these are installed, at one point.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

EXTRAS = ("numba", "sympy")
ROUNDS = 7


def measure() -> None:
    """Print the seconds of a right and of a wrong derivation of a softmax, in this process."""
    import numpy as np

    from autograd_mini import check_jacobian, softmax

    def right(z: np.ndarray) -> np.ndarray:
        s = softmax(z)
        return np.diag(s) - np.outer(s, s)

    z = np.random.default_rng(0).normal(size=10)
    for hand, verdict in ((right, "agrees"), (lambda z: np.diag(np.diag(right(z))), "disagrees")):
        times = []
        for _ in range(ROUNDS + 1):
            start = time.perf_counter()
            report = check_jacobian(softmax, hand, at=z, points=20)
            times.append(time.perf_counter() - start)
            assert report.verdict == verdict
        print(f"  {verdict:10} {statistics.median(times[1:]):6.3f} s   (the first {times[0]:.3f} s)")


def layer(inputs: int) -> Any:
    """The cross-entropy of a layer with 10 outputs, its gradient by hand, and a point."""
    import numpy as np

    from autograd_mini import log_softmax, named

    random = np.random.default_rng(0)
    at = {
        "W": random.normal(size=(10, inputs)) / inputs**0.5, "b": random.normal(size=10),
        "x": random.normal(size=inputs), "t": np.eye(10)[3],
    }  # fmt: skip

    def loss(W: Any, b: Any, x: Any, t: Any) -> Any:
        return named(-np.sum(t * log_softmax(named(W @ x + b, "z"))), "L")

    def hand(W: Any, b: Any, x: Any, t: Any) -> Any:
        e = np.exp(W @ x + b - np.max(W @ x + b))
        d = e / np.sum(e) - t
        return {"W": np.outer(d, x), "b": d}

    return loss, hand, at


def measure_layer(inputs: int) -> None:
    """Print the seconds of `check_gradient` and `check_steps` of a layer, and of its peers."""
    import numpy as np

    from autograd_mini import check_gradient, check_steps

    loss, hand, at = layer(inputs)
    steps = {
        ("d", "z"): lambda z, t: np.exp(z - np.max(z)) / np.sum(np.exp(z - np.max(z))) - t,
        "W": lambda d, x: np.outer(d, x),
        "b": lambda d: d,
    }
    timed("check_gradient", lambda: check_gradient(loss, hand, at=at))
    timed("check_steps", lambda: check_steps(loss, steps, at=at))
    flat = np.concatenate([at["W"].ravel(), at["b"]])

    def split(p: Any) -> dict[str, Any]:
        return {**at, "W": p[: at["W"].size].reshape(at["W"].shape), "b": p[at["W"].size :]}

    with suppress(ImportError):
        from scipy.optimize import check_grad

        timed(
            "SciPy's check_grad",
            lambda: check_grad(
                lambda p: float(loss(**split(p))),
                lambda p: np.concatenate([x.ravel() for x in hand(**split(p)).values()]),
                flat,
            ),
        )
    with suppress(ImportError):
        import torch

        W, b, x = (torch.tensor(at[name], requires_grad=name != "x") for name in ("W", "b", "x"))
        timed(
            "PyTorch's gradcheck",
            lambda: torch.autograd.gradcheck(
                lambda W, b: -torch.log_softmax(W @ x + b, 0)[3], (W, b), fast_mode=False
            ),
        )


def timed(title: str, work: Callable[[], Any]) -> None:
    """Print the median time of some work after its first run."""
    times = []
    for _ in range(4):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    print(f"  {title:20} {statistics.median(times[1:]):7.3f} s")


def main() -> None:
    print(f"softmax of 10 numbers, 20 random points, Python {sys.version.split()[0]}")
    for title, absent in (("with SymPy and numba", ()), ("without the extras", EXTRAS)):
        print(title)
        hide = f"import sys; sys.modules.update(dict.fromkeys({absent}))"
        code = f"{hide}; sys.path.insert(0, {sys.path[0]!r}); import checks; checks.measure()"
        subprocess.run([sys.executable, "-c", code], check=True)
    for inputs in (64, 784):
        print(f"a layer of 10 x {inputs} with bias, 5 random points")
        code = (
            f"import sys; sys.path.insert(0, {sys.path[0]!r}); import checks; checks.measure_layer({inputs})"
        )
        subprocess.run([sys.executable, "-c", code], check=True)


if __name__ == "__main__":
    main()
