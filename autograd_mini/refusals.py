"""What is said of a function without a derivative rule: its name, the user's line, what to write instead."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import numpy as np

from autograd_mini.value import caller


def full_name(function: Any) -> str:
    """The name of a function as one writes it: ``numpy.linalg.inv``, ``scipy.special.expit``."""
    name: str = function.__name__
    if not isinstance(function, np.ufunc):
        module = "numpy" if function.__module__ in ("numpy", None) else function.__module__
        return f"{module}.{name}"
    if getattr(np, name, None) is function:
        return f"numpy.{name}"
    scipy = sys.modules.get("scipy.special")
    return f"scipy.special.{name}" if getattr(scipy, name, None) is function else name


def refuse(name: str, why: str = "") -> NoReturn:
    """TypeError that says which function on what line of the user's file, and what to write instead."""
    if not why:
        advice = ADVICE.get(name) or ADVICE.get(name.rpartition(".")[0]) or COMPOSE
        why = f"has no derivative rule for Values; {advice}"
    raise TypeError(f"{caller()}: {name} {why}")


COMPOSE = "compose it of functions that have one, or apply it to .data"
INTO_FLOATS = "writes into an array of floats, which would lose the derivative; make it values(np.zeros(n))"
ADVICE = {
    "numpy.imag": "of Values it is 0; SciPy's logsumexp asks for it: take autograd_mini's, or call it in a "
    "function that is differentiated",
    "numpy.fft": "its results are complex: write out the sums, or multiply by cosines and sines",
    "numpy.linalg.lstsq": "solve the normal equations: np.linalg.solve(A.T @ A, A.T @ b)",
    "numpy.polyfit": "solve the normal equations of np.vander(x, degree + 1)",
    "numpy.linalg.pinv": "of a matrix with independent columns it is np.linalg.solve(A.T @ A, A.T)",
    **dict.fromkeys(
        (f"numpy.linalg.{name}" for name in "eig eigh eigvals eigvalsh svd svdvals qr cond".split()),
        "neither have the eigenvalues and singular values; use det, solve, inv, cholesky or a norm",
    ),
    "numpy.roots": "the roots are eigenvalues; take a root r as given and differentiate polyval(p, r) = 0",
    **dict.fromkeys(
        (f"numpy.histogram{name}" for name in ("", "2d", "dd", "_bin_edges")),
        "apply it to .data, as its counts have derivative 0",
    ),
    "numpy.unwrap": "add to x what np.unwrap(x.data) - x.data gives",
    "numpy.savetxt": "save .data",
}
