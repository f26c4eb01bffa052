"""Hand derivations held against the engine and against a witness that does not use the engine.

A derivation is wrong only where engine, central and one-sided differences agree with each
other and not with it. Where they disagree among themselves, as on a kink, the point is inconclusive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autograd_mini.check.comparison import compare
from autograd_mini.check.report import Entry, InconclusiveError, Report
from autograd_mini.check.subject import subject_of

__all__ = ["Entry", "InconclusiveError", "Report", "check_gradient", "check_jacobian"]


def check_gradient(
    f: Any,
    hand: Any,
    at: Any = None,
    wrt: str | Sequence[str] | None = None,
    out: str | None = None,
    points: int = 5,
    seed: int = 0,
    rtol: float = 1e-6,
    atol: float | None = None,
) -> Report:
    """Check a gradient ∂f/∂x of a function with one output, derived by hand.

    ``at`` is the argument of a function of one argument, else a mapping from f's parameters to their
    values. ``wrt`` names the arguments differentiated: by default the keys of a hand result that is
    a mapping, else the first; all others are passed unchanged. ``hand`` is a function whose
    parameters are named like f's (or ``out``, f's result), or plain numbers, which count at ``at``
    only. A function is also checked at ``points`` random points around ``at``, drawn with ``seed``.
    Numbers agree within ``atol + rtol * max(|a|, |b|)``; ``atol`` is 1e-9 of the largest entry unless
    given.

    >>> report = check_gradient(lambda w, x: w * x**2, lambda w, x: {"x": 2 * w * x}, at={"w": 3.0, "x": 2.0})
    >>> report.verdict
    'agrees'

    A graph that exists is checked by the labels of its leaves, intermediates or whole arrays:

    >>> from autograd_mini import Value
    >>> x = Value(2.0, label="x")
    >>> check_gradient(x * x, {"x": 4.0}).verdict
    'agrees'

    A hand result that raises, holds nan or has the wrong shape disagrees. An error inside f at the
    given point is raised; TypeError or ValueError for arguments or labels that do not exist.
    """
    subject = subject_of(f, hand, at, wrt, out)
    if subject.start_output.size != 1:
        raise ValueError(
            f"check_gradient: f must have one output, got shape {subject.start_output.shape}; "
            "use check_jacobian"
        )
    return compare("check_gradient", subject, (), points, seed, rtol, atol)


def check_jacobian(
    f: Any,
    hand: Any,
    at: Any = None,
    wrt: str | Sequence[str] | None = None,
    out: str | None = None,
    points: int = 5,
    seed: int = 0,
    rtol: float = 1e-6,
    atol: float | None = None,
) -> Report:
    """Check a Jacobian J[i, j] = ∂f[i] / ∂x[j] of shape output.shape + input.shape, derived by hand.

    Everything else is as in `check_gradient`.

    >>> import numpy as np
    >>> def softmax(z):
    ...     e = np.exp(z - np.max(z))
    ...     return e / np.sum(e)
    >>> hand = lambda z, S: np.diag(S) - np.outer(S, S)
    >>> check_jacobian(softmax, hand, at=[1.5, -0.5, 0.75], out="S").verdict
    'agrees'
    """
    subject = subject_of(f, hand, at, wrt, out)
    return compare("check_jacobian", subject, subject.start_output.shape, points, seed, rtol, atol)
