"""How long a check takes: a Jacobian of 10 x 10 entries at 21 points, with and without the extras.

    python tests/benchmarks/checks.py

Each time is that of a process of its own, the median of several checks after the first.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

EXTRAS = ("numba", "mpmath", "sympy")
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


def main() -> None:
    print(f"softmax of 10 numbers, 20 random points, Python {sys.version.split()[0]}")
    for title, absent in (("with mpmath, SymPy and numba", ()), ("without the extras", EXTRAS)):
        print(title)
        hide = f"import sys; sys.modules.update(dict.fromkeys({absent}))"
        code = f"{hide}; sys.path.insert(0, {sys.path[0]!r}); import checks; checks.measure()"
        subprocess.run([sys.executable, "-c", code], check=True)


if __name__ == "__main__":
    main()
