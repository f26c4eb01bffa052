"""How far numbers may lie apart: chosen from what is observed at a point, unless it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from autograd_mini.check.binding import EPSILON, RejectedError
from autograd_mini.check.hand import Claim
from autograd_mini.check.sampling import Probe
from autograd_mini.check.settings import Settings
from autograd_mini.check.subject import Subject

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]


@dataclass
class Tolerance:
    """a and b agree within ``atol + rtol · max(|a|, |b|)`` and what the witnesses leave open.

    ``yours_rtol`` and ``yours_atol`` are those of the hand result, an entry each: a printed figure has the
    unit of its last digit, a number of few digits their rounding. ``size`` is that of f.
    """

    rtol: float
    atol: float
    yours_rtol: Floats
    yours_atol: Floats
    size: float
    epsilon: float  # the rounding of the hand result's number type, the coarsest of several
    wobble: Floats | float = 0.0  # of hand result and engine, when the point moves by its own rounding


def tolerance_of(
    subject: Subject,
    settings: Settings,
    probe: Probe,
    claims: Mapping[str, Claim | RejectedError],
    output: Floats,
    reference: Floats,
) -> Tolerance:
    """The tolerance at a point with this output of f and these derivatives."""
    largest = float(np.max(abs(reference), initial=0.0, where=np.isfinite(reference)))
    size = float(np.max(abs(output), initial=0.0))
    rtol = 1e-6 if settings.rtol is None else settings.rtol
    rounding = 64 * EPSILON * size + 1e-14
    atol = 1e-9 * largest + rounding if settings.atol is None else settings.atol
    epsilon = subject.matrix(claims, lambda claim: claim.epsilon, EPSILON)
    printed = subject.matrix(claims, lambda claim: claim.printed, 0.0) > 0
    unit = subject.matrix(claims, lambda claim: claim.unit, 0.0)
    coarse = 64 * epsilon * (epsilon > EPSILON)  # of numbers with fewer digits than a double
    yours_rtol = np.where(printed, 1e-12, np.maximum(rtol, coarse))
    # What a function loses by cancellation shows when the point moves; of plain numbers it does not.
    floor = atol if subject.fixed else 1e-12 * largest + 64 * EPSILON * size
    yours_atol = np.where(printed, unit * (1 + 1e-6) + 1e-14 * largest, np.maximum(floor, coarse * largest))
    if settings.rtol is not None:
        yours_rtol = np.full_like(yours_rtol, rtol)
    if settings.atol is not None:
        yours_atol = atol + unit
    seen = (len(probe.rows), len(probe.columns))
    if yours_rtol.shape != seen:
        yours_rtol = np.full(seen, np.max(yours_rtol))
    coarsest = float(np.max(epsilon, initial=EPSILON))
    return Tolerance(rtol, atol, yours_rtol, probe.bound(yours_atol), size, coarsest)
