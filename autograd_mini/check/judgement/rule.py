"""The one rule of closeness, which every check uses.

A hand result h and the truth T agree if

    |h − T| ≤ rtol · max(|h|, |T|) + one unit of the last printed digit + 4 ε |h|,

the last for numbers of fewer digits than a double. Beyond what rounding may do, to it as to the engine,

    … + 16 · max(bound of the engine's derivative, bound of the hand's own program, u · max |T| of the row),

they disagree; plain numbers also owe to the rounding of the point, |T(x(1 ± u)) − T(x)|. In between, many
digits of the hand's own program may decide; where they cannot, the entry is left open here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from autograd_mini.check.settings import Settings
from autograd_mini.check.subjects.arguments import EPSILON, Floats, Mask
from autograd_mini.check.subjects.hand import Claim
from autograd_mini.check.verdicts import AGREES, DISAGREES, INCONCLUSIVE
from autograd_mini.check.witnesses.testimony import Testimony
from autograd_mini.sweeps import U

if TYPE_CHECKING:
    from numpy.typing import NDArray
Verdicts: TypeAlias = "NDArray[np.object_]"

RTOL = 1e-6
ROUNDING = 16  # bounds by which a derivation as good as the engine's may be off
HIDDEN = 100  # a derivative this many times what f's rounding hides is f's own
SURE, COARSE = 5e-4, 1e-2  # relative errors of differences that still acquit, and that still accuse

TIED = "0 by convention (a tied edge): "
UNSEEN = "f's own rounding hides this derivative: it rests on the engine's word alone"
UNTOLD = "the step is smaller than the rounding of what it changes, which tells no digit of the derivative"
ROUNDED = "it differs by what rounding may have done; at this point nothing can be said"
JUMPS = "the derivative jumps here"
ENDS = "f, or its derivative, jumps or ends here"
NO_DERIVATIVE = "there is no finite derivative here"
UNSETTLED = "the differences do not settle"
UNCLEAR = "the differences tell too few digits: they leave {error:.1e} open"


@dataclass(frozen=True)
class Program:
    """The hand result's own program: how far rounding may have moved it, and what it is at many digits.

    It ``accuses`` if its constants are what somebody wrote, and not rounded results themselves.
    """

    bound: Floats
    exact: Callable[[], Floats]
    accuses: bool


@dataclass(frozen=True)
class Judgement:
    """The verdict on every entry, why one is left open, and how far it might have been from the truth."""

    verdicts: Verdicts
    notes: Verdicts
    allowed: Floats
    testimony: Testimony  # as sharp as it had to be

    def about(self, columns: Sequence[int]) -> Judgement:
        """The same on some of the inputs."""
        verdicts, notes, allowed = self.verdicts[:, columns], self.notes[:, columns], self.allowed[:, columns]
        return Judgement(verdicts, notes, allowed, self.testimony)


def near(claim: Claim, truth: Floats, settings: Settings) -> Floats:
    """How far a result may be from the truth, rounding aside."""
    yours = np.nan_to_num(abs(claim.numbers))
    size = np.fmax(yours, abs(truth))
    relative = np.where(claim.printed, 1e-12, RTOL) if settings.rtol is None else settings.rtol
    coarse = np.where(claim.epsilon > EPSILON, 4 * claim.epsilon, 0.0) if settings.rtol is None else 0.0
    return np.asarray((settings.atol or 0.0) + relative * size + claim.unit * (1 + 1e-6) + coarse * yours)


@np.errstate(all="ignore")
def judged(
    claim: Claim,
    testimony: Testimony,
    settings: Settings,
    largest: Floats,
    fixed: bool = False,
    program: Callable[[], Program | None] = lambda: None,
) -> Judgement:
    """The verdict on a claim, outputs by inputs; ``largest`` is the largest of each output over all points.

    A ``fixed`` claim is numbers, which owe to the rounding of the point; ``program`` gives the hand's own.
    """
    if testimony.followed:
        testimony, right, wrong, allowed = _against_the_graph(
            claim, testimony, settings, largest, fixed, program
        )
    else:
        right, wrong, allowed = _against_differences(claim, testimony, settings, largest)
    verdicts = np.full(right.shape, INCONCLUSIVE, dtype=object)
    notes = np.full(right.shape, "", dtype=object)
    verdicts[right], verdicts[wrong] = AGREES, DISAGREES
    notes[~right & ~wrong] = ROUNDED if testimony.followed else UNCLEAR
    size = np.fmax(abs(claim.numbers), abs(testimony.truth))
    some = size > ROUNDING * np.maximum(testimony.bound, U * largest)  # and not 0 but for rounding
    hidden = (testimony.unseen > size / HIDDEN) & (some | np.isinf(testimony.unseen)) & (right | wrong)
    verdicts[hidden], notes[hidden] = INCONCLUSIVE, UNSEEN
    untold = right & (claim.unit > size) & np.logical_not(claim.printed)
    if (untold | (testimony.truth == 0)).all():
        verdicts[untold], notes[untold] = INCONCLUSIVE, UNTOLD
    verdicts[testimony.open] = INCONCLUSIVE  # no derivative, or two: nobody is right or wrong about it
    notes[testimony.open] = NO_DERIVATIVE if testimony.followed else UNSETTLED
    if testimony.followed:
        finite, ends = np.isfinite(testimony.truth), np.isnan(testimony.left + testimony.right)
        notes[testimony.open & finite] = JUMPS
        notes[testimony.open & (testimony.truth == 0)] = TIED + JUMPS
        notes[testimony.open & finite & ends] = ENDS
    for index in map(tuple, np.argwhere(verdicts == INCONCLUSIVE)):
        notes[index] = notes[index].format(error=testimony.error[index])
    both = np.array([testimony.left, testimony.right])
    for index in map(tuple, np.argwhere(testimony.open & ~np.isclose(both[0], both[1], equal_nan=True))):
        sides = ("none" if np.isnan(side[index]) else f"{side[index]:.6g}" for side in both)
        notes[index] += ": one-sided {} and {}".format(*sides)
    if testimony.trouble:
        verdicts[:], notes[:] = INCONCLUSIVE, testimony.trouble
    return Judgement(verdicts, notes, allowed, testimony)


def _against_the_graph(
    claim: Claim,
    testimony: Testimony,
    settings: Settings,
    largest: Floats,
    fixed: bool,
    program: Callable[[], Program | None],
) -> tuple[Testimony, Mask, Mask, Floats]:
    """The testimony, as sharp as it has to be; what is right, what wrong; and how far right may be."""
    yours = claim.numbers
    closely = near(claim, testimony.truth, settings)
    coarseness = np.maximum(claim.epsilon / EPSILON, testimony.coarse)
    rounding = np.maximum(testimony.bound, U * largest) * coarseness
    distance = abs(yours - testimony.truth)
    sure = distance + testimony.error <= closely
    if not (sure | (distance - testimony.error > closely + 2 * ROUNDING * rounding)).all():
        testimony = testimony.sharpened()
        closely = near(claim, testimony.truth, settings)
    truth = testimony.truth
    distance = np.where(yours == truth, 0.0, abs(yours - truth)) + testimony.error
    right = distance <= closely
    if fixed and not right.all():
        rounding = np.maximum(rounding, testimony.sways())
    own = None if right.all() else program()
    if own is not None:
        rounding = np.maximum(rounding, own.bound * coarseness)
    loosely = closely + ROUNDING * rounding
    wrong = ~(distance <= loosely)
    if own is not None and not (right | wrong).all():
        exact = own.exact()
        alike = abs(exact - truth) + testimony.error <= closely
        known = ~right & ~wrong & np.isfinite(exact)
        right |= known & alike
        wrong |= known & ~alike & own.accuses
    return testimony, right, wrong, loosely


def _against_differences(
    claim: Claim, testimony: Testimony, settings: Settings, largest: Floats
) -> tuple[Mask, Mask, Floats]:
    """The same where f cannot be followed: differences acquit and accuse so far as they are sure."""
    yours, truth = claim.numbers, testimony.truth
    slack = 10 * testimony.error
    size = np.fmax(abs(yours), abs(truth))
    allowed = near(claim, truth, settings) + slack
    distance = np.where(yours == truth, 0.0, abs(yours - truth))
    resolved = slack <= np.maximum(np.maximum(SURE * size, allowed - slack), 1e-8 * largest * (yours == 0))
    is_near = distance <= allowed
    return is_near & resolved, ~is_near & (testimony.error <= COARSE * size), allowed


def settled(judgements: Sequence[Judgement | None]) -> bool:
    """Whether every entry is right at the given point, or, where rounding leaves it open, at another.

    The given point's judgement comes first; it is None where nothing was compared.
    """
    given, *others = judgements
    if given is None:
        return False
    right = given.verdicts == AGREES
    for other in others:
        if other is not None and other.verdicts.shape == right.shape:
            right |= (given.notes == ROUNDED) & (other.verdicts == AGREES)
    return bool(right.all())
