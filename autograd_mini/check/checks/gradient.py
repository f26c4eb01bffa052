"""Gradients and Jacobians derived by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from autograd_mini.check.checks.comparison import compare
from autograd_mini.check.reports.report import Report
from autograd_mini.check.settings import Options, settings_of
from autograd_mini.check.subjects.subject import subject_of
from autograd_mini.progress import printing_once

if TYPE_CHECKING:
    from typing_extensions import Unpack


@printing_once()
def check_gradient(
    f: Any,
    hand: Any = None,
    at: Any = None,
    wrt: str | Sequence[str] | None = None,
    out: str | None = None,
    decimals: int | None = None,
    **options: Unpack[Options],
) -> Report:
    """Check a gradient ∂f/∂x of a function with one output, derived by hand.

    The hand result is held against f's derivative at 50 digits and against f itself, at a point and at random
    ones. The report is true where it agrees; printed, it says what went wrong.

    >>> at = {"w": 3.0, "x": 2.0}
    >>> check_gradient(lambda w, x: w * x**2, lambda w, x: 2 * w * x, at, wrt="x").verdict
    'agrees'

    ``at`` is the argument of a function of one argument, else a mapping from f's parameters to their
    values; lists of numbers become arrays. ``wrt`` names the arguments differentiated: by default the keys
    of a hand result that is a mapping, else the first.

    ``hand`` is a function whose parameters are named like f's (or ``out``, f's result), a formula as text
    whose free indices i, j, k, … stand for the axes of the result, plain numbers, or a mapping with one of
    these for each of several arguments. Numbers count at ``at`` only. Printed ones, with ``decimals`` digits
    after the point or in strings such as ``"-0.0300"``, are right within one unit of their last digit.

    What is no number is also checked at ``points`` random points (5), drawn with ``seed`` (0). ``domain``
    says from where, for each argument or for the only one: ``(low, high)``, ``"real"``, ``"positive"``,
    ``"simplex"``, ``"one-hot"``, ``"unit"`` (rows of length 1), ``"symmetric"``, ``"spd"`` (symmetric and
    positive definite) or ``"orthogonal"``. Without one, arguments differentiated are moved around ``at`` and
    others stay.

    Numbers agree within ``rtol · max(|a|, |b|)``, 1e-6 unless given, plus ``atol``; beyond that, and beyond
    what rounding may do at this point, they disagree. With ``symbolic``, SymPy is given some ``seconds`` (10)
    to prove that ``hand`` is right. The mistake in a wrong one is looked for in ``diagnosis`` (2) seconds.

    A graph that exists is checked by the labels of its leaves, intermediates or whole arrays:

    >>> from autograd_mini import Value
    >>> x = Value(2.0, label="x")
    >>> check_gradient(x * x, {"x": 4.0}).verdict
    'agrees'

    A hand result that raises, holds nan or has the wrong shape disagrees. An error inside f at the
    given point is raised; TypeError or ValueError for arguments, labels or domains that do not exist.
    """
    settings = settings_of("check_gradient", options)
    return compare(
        "check_gradient", subject_of(f, hand, at, wrt, out, decimals, scalar="check_gradient"), settings
    )


@printing_once()
def check_jacobian(
    f: Any,
    hand: Any = None,
    at: Any = None,
    wrt: str | Sequence[str] | None = None,
    out: str | None = None,
    decimals: int | None = None,
    **options: Unpack[Options],
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
    settings = settings_of("check_jacobian", options)
    return compare("check_jacobian", subject_of(f, hand, at, wrt, out, decimals), settings)
