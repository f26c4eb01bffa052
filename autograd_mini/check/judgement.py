"""Who is right: the witnesses' derivatives held against each other, and the hand result against them.

A hand result is wrong only where the engine, central and one-sided differences and, where they can be
had, derivatives at 50 digits agree with each other and not with it. Differences that do not settle
leave the word to the 50 digits; one-sided derivatives that differ leave everything open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from autograd_mini.check.report import AGREES, DISAGREES, INCONCLUSIVE
from autograd_mini.check.tolerance import Tolerance
from autograd_mini.check.witness import Limit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Mask: TypeAlias = NDArray[np.bool_]

CONFLICT = "engine and witness disagree with each other"
SILENT, ONE_SIDED, UNSETTLED, CONFLICTING, BORDER, KINK, PRECISE_CONFLICT, SINGULAR = range(1, 9)
NOTES = {
    SILENT: "f has no finite differences here",
    ONE_SIDED: "the one-sided derivatives differ: {sides}",
    UNSETTLED: "the differences do not settle: {sides}",
    CONFLICTING: CONFLICT + ": {sides}",
    BORDER: "only one side of the point lies in f's domain: {sides}",
    KINK: "the one-sided derivatives at 50 digits differ: {precise}",
    SINGULAR: "neither the engine nor yours is finite here: a factor of the chain rule is not",
    PRECISE_CONFLICT: "engine and derivatives at 50 digits disagree with each other: {precise}",
}


@dataclass
class Testimony:
    """The derivatives by every witness: matrices of outputs by inputs, nan where one is silent."""

    engine: Floats
    limits: tuple[Limit, Limit, Limit]
    followed: bool  # whether the engine could differentiate f
    precise: tuple[Floats, Floats] | None = None

    @property
    def differences(self) -> Floats:
        """The central derivatives, where there are none the one-sided ones."""
        central, left, right = (limit.best for limit in self.limits)
        return np.where(np.isfinite(central), central, np.where(np.isfinite(left), left, right))

    @property
    def reference(self) -> Floats:
        """The engine's derivatives, where it is silent the differences'."""
        return np.where(np.isnan(self.engine), self.differences, self.engine)

    @property
    def precise_central(self) -> Floats:
        if self.precise is None:
            return np.full(self.engine.shape, np.nan)
        return np.asarray(sum(self.precise) / 2)


@dataclass
class Judgement:
    verdicts: NDArray[np.object_]
    notes: NDArray[np.int_]
    tolerance: Floats
    reference: Floats
    conflict: bool


def judge(yours: Floats, testimony: Testimony, t: Tolerance) -> Judgement:
    """The verdict on every entry of the hand result."""
    best = np.array([limit.best for limit in testimony.limits])
    error = np.array([limit.error for limit in testimony.limits])
    spoke = np.isfinite(best)
    count = spoke.sum(axis=0)
    slack = np.where(count, np.max(np.where(spoke, error, 0.0), axis=0), np.inf)
    highest, lowest = (np.max(np.where(spoke, sign * best, -np.inf), axis=0) * sign for sign in (1, -1))
    engine, reference = testimony.engine, testimony.reference

    def close(a: Floats, b: Floats, more: Floats) -> Mask:
        distance = abs(a - b)
        allowed = t.atol + t.rtol * np.maximum(abs(a), abs(b)) + more
        return (distance <= allowed) & (distance < np.inf)

    # With an error estimate beyond this, differences say nothing.
    truths = np.nan_to_num(np.maximum(abs(engine), np.where(count, np.maximum(abs(highest), abs(lowest)), 0)))
    noise = 100 * t.atol + 1e-8 * t.size + 1e-4 * truths
    open_error = slack + t.wobble
    notes = np.zeros(yours.shape, dtype=int)

    def note(reason: int, where: Mask) -> None:
        notes[where & (notes == 0)] = reason

    note(SILENT, count == 0)
    note(ONE_SIDED, ~close(highest, lowest, np.minimum(slack, noise)))
    note(UNSETTLED, ~(slack <= noise))
    note(CONFLICTING, np.any(spoke & ~close(reference, best, open_error), axis=0))
    shaky = slack > noise
    backed = np.zeros(yours.shape, dtype=bool)  # by 50 digits, whatever the differences say
    if testimony.precise is not None:
        left, right = testimony.precise
        central = testimony.precise_central
        known = np.isfinite(central)
        note(KINK, known & ~close(left, right, 0 * slack))
        note(PRECISE_CONFLICT, known & ~close(reference, central, open_error))
        backed = close(left, right, 0 * slack) & close(engine, central, np.zeros(1) + t.wobble)
    settled = notes == 0
    left_open = np.where(settled, slack, 0.0) + t.wobble
    distance = abs(yours - reference)
    allowed = t.yours_atol + t.yours_rtol * np.fmax(abs(yours), abs(reference)) + left_open
    right_result = (distance <= allowed) & (distance < np.inf)
    note(BORDER, settled & ~right_result & (count < 3))
    agrees = (settled | backed) & right_result
    singular = ~np.isfinite(yours) & ~np.isfinite(engine) & testimony.followed
    note(SINGULAR, singular)
    disagrees = ~right_result & ~singular & ((settled & (count == 3)) | (backed & shaky & (count > 0)))
    verdicts = np.full(yours.shape, INCONCLUSIVE, dtype=object)
    verdicts[agrees], verdicts[disagrees] = AGREES, DISAGREES
    notes[agrees | disagrees] = 0
    conflict = bool(np.isin(notes, (CONFLICTING, PRECISE_CONFLICT)).any())
    return Judgement(verdicts, notes, allowed, reference, conflict)


def described(note: int, testimony: Testimony, cell: tuple[int, int]) -> str:
    """A reason to leave an entry open, in words."""
    if not note:
        return ""
    _, left, right = (limit.best[cell] for limit in testimony.limits)
    precise = "" if testimony.precise is None else _two(*(side[cell] for side in testimony.precise))
    return NOTES[note].format(sides=_two(left, right), precise=precise)


def _two(left: float, right: float) -> str:
    return f"one-sided {left:.6g} and {right:.6g}"
