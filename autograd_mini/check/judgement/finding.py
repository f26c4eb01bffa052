"""What was found at one point: the claims there, the testimony, and the verdict on every entry."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from autograd_mini.check.judgement.rule import Judgement, Program, judged
from autograd_mini.check.settings import Settings
from autograd_mini.check.subjects.arguments import EPSILON, Floats, RejectedError, UnknownNameError
from autograd_mini.check.subjects.hand import Claim, nan_in
from autograd_mini.check.subjects.sampling import Index
from autograd_mini.check.subjects.subject import Subject
from autograd_mini.check.verdicts import DISAGREES, INCONCLUSIVE
from autograd_mini.check.witnesses.recorded import Recorded
from autograd_mini.check.witnesses.testimony import Testimony


class Entry(NamedTuple):
    """One partial derivative ∂output[row] / ∂name[column] at one point; point 0 is the given one.

    ``engine`` is nan if the engine could not follow, ``precise`` unless it was taken at many digits, and
    ``witness``, the differences, if it could. ``left`` and ``right`` are one-sided derivatives, ``error`` is
    the distance of ``yours`` from the truth and ``tolerance`` what rounding may make of that. Of a large
    Jacobian, a row or column such as ``("±1",)`` stands for the sum of all entries with random signs.
    """

    name: str
    row: Index
    column: Index
    point: int
    yours: float
    engine: float
    witness: float
    left: float
    right: float
    error: float
    verdict: str
    note: str = ""
    tolerance: float = math.nan
    precise: float = math.nan

    @property
    def truth(self) -> float:
        """What the verdict was held to."""
        known = (x for x in (self.precise, self.engine, self.witness) if not math.isnan(x))
        return next(known, math.nan)


FEW = 8  # characters of a constant that somebody wrote, unlike a result


@dataclass(frozen=True)
class Place:
    """A point at which a derivation is tried, the given one or number 1, 2, …, and f's output there."""

    number: int
    arguments: Mapping[str, Any]
    output: Floats

    @property
    def where(self) -> str:
        return f" (at random point {self.number})" * bool(self.number)


@dataclass(frozen=True)
class Finding:
    """What was found at one place; ``rejected`` are results that are wrong without a comparison, ``silent``
    those that failed where a right one may."""

    place: Place
    testimony: Testimony | None = None
    judgement: Judgement | None = None
    yours: Floats | None = None
    claims: Mapping[str, Claim | RejectedError] = field(default_factory=dict)
    rejected: Mapping[str, str] = field(default_factory=dict)
    silent: Mapping[str, str] = field(default_factory=dict)
    failure: str = ""
    open: str = ""

    @property
    def alone(self) -> Finding:
        """The same without the graph and what the user gave, which need not outlive the check."""
        testimony = self.testimony and replace(self.testimony, recorded=None, seeds=(), graph=None)
        judgement = self.judgement
        if judgement is not None and testimony is not None:
            judgement = replace(judgement, testimony=testimony)
        place = replace(self.place, arguments={})
        return replace(self, place=place, testimony=testimony, judgement=judgement, claims={})

    @property
    def remarks(self) -> list[str]:
        """What else there is to say."""
        if self.testimony is None:
            return [self.open]
        silent = [why + self.place.where for why in filter(None, [self.open, *self.silent.values()])]
        coarsest = max((getattr(claim, "epsilon", 0.0) for claim in self.claims.values()), default=0.0)
        kind = "float32" if coarsest < 1e-5 else "float16"
        coarse = (
            f"yours is {kind} and held to what that resolves (ε = {coarsest:.1e}); what it leaves open is "
            "settled in float64, as by x.astype(float)"
        ) * (coarsest > EPSILON)
        return [self.testimony.probe.note, *self.testimony.remarks, *silent, coarse]

    def of(self, name: str) -> Judgement | None:
        """The judgement on one argument; None where it was not compared."""
        if self.judgement is None or self.testimony is None or name in self.silent or name in self.rejected:
            return None
        columns = [c for c, (x, _) in enumerate(self.testimony.probe.columns) if x == name]
        return self.judgement.about(columns)

    @property
    def heard(self) -> list[int]:
        """The columns of the names that have a result to compare."""
        assert self.testimony is not None
        out = {*self.rejected, *self.silent}
        return [c for c, (name, _) in enumerate(self.testimony.probe.columns) if name not in out]

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """Every entry that was compared."""
        testimony, judgement, yours = self.testimony, self.judgement, self.yours
        if testimony is None or judgement is None or yours is None:
            return ()
        with np.errstate(all="ignore"):
            error = np.where(yours == testimony.truth, 0.0, abs(yours - testimony.truth))
        precise = testimony.truth if testimony.exact else np.full(yours.shape, np.nan)
        notes = judgement.notes.copy()
        if testimony.kinks:
            more = ", …" * (len(testimony.kinks) > 3)
            notes[testimony.open & (notes != "")] += f" (on a kink: {', '.join(testimony.kinks[:3])}{more})"
        columns = (
            yours, testimony.engine, testimony.differences, testimony.left, testimony.right, error,
            judgement.verdicts, notes, judgement.allowed, precise,
        )  # fmt: skip
        tables = [column.tolist() for column in columns]
        probe = testimony.probe
        return tuple(
            Entry(
                probe.columns[c][0], row, probe.columns[c][1], self.place.number, *(x[r][c] for x in tables)
            )
            for r, row in enumerate(probe.rows)
            for c in self.heard
        )

    @property
    def mute(self) -> bool:
        """Whether no hand result could be had."""
        failed = {*self.rejected, *self.silent}
        return bool(failed) and all(getattr(claim, "numbers", None) is None for claim in self.claims.values())

    @property
    def clear(self) -> bool:
        """Whether everything that was heard was decided."""
        if self.testimony is None or self.judgement is None:
            return False
        verdicts = self.judgement.verdicts[:, self.heard]
        return bool((verdicts != INCONCLUSIVE).all() and np.isfinite(self.testimony.truth).all())


def found_at(
    place: Place, subject: Subject, testimony: Testimony, settings: Settings, largest: Floats
) -> Finding:
    """The claims at a place, judged; ``largest`` is each row's largest derivative over all places."""
    try:
        claims = subject.claims(place.arguments, place.output)
    except RejectedError as why:
        claims = dict.fromkeys(subject.shapes, why)
        if not why.raised:
            return Finding(place, testimony, claims=claims, failure=f"{why}{place.where}")
    except UnknownNameError as why:
        if not place.number:
            raise
        return Finding(place, testimony, open=str(why))  # of a branch that f takes at the given point
    numbers = _as_one(subject, claims, testimony)
    if len(testimony.probe.rows) != len(largest):  # sampled here, and not elsewhere
        largest = np.zeros((len(testimony.probe.rows), 1))

    def program() -> Program | None:
        outputs = None if testimony.probe.weights is not None else subject.derived(place.arguments)
        return None if outputs is None else program_of(outputs, numbers.numbers)

    judgement = judged(numbers, testimony, settings, largest, subject.fixed, program)
    rejected, silent = _excused(claims, numbers.numbers, judgement)
    return Finding(place, judgement.testimony, judgement, numbers.numbers, claims, rejected, silent)


def _as_one(subject: Subject, claims: Mapping[str, Claim | RejectedError], testimony: Testimony) -> Claim:
    """All claims as one, outputs by inputs, or of these what is compared."""
    probe = testimony.probe
    yours = probe.seen(subject.matrix(claims, lambda claim: claim.numbers, np.nan))
    unit = probe.largest(subject.matrix(claims, lambda claim: claim.unit, 0.0))
    epsilon = subject.matrix(claims, lambda claim: claim.epsilon, EPSILON)
    printed = subject.matrix(claims, lambda claim: claim.printed, 0.0) > 0
    if epsilon.shape != yours.shape:
        epsilon = np.full(yours.shape, np.max(epsilon, initial=EPSILON))
        printed = np.full(yours.shape, printed.any())
    return Claim(yours, unit, epsilon, printed)


def program_of(outputs: Sequence[Any], yours: Floats) -> Program | None:
    """The program of a hand result computed on Values, if it repeats there what it gave on floats."""
    try:
        recorded = Recorded.of(outputs, [])
    except (TypeError, ValueError):  # a node made by hand, or no number
        return None
    values, _, _ = recorded.bounded([])
    numbers, bounds = (x.reshape(yours.shape) for x in values.outputs)
    if not (abs(numbers - yours) <= 4 * bounds + 1e-12 * abs(yours)).all():
        return None
    written = all(len(repr(abs(c))) <= FEW for c in recorded.tape.code.constants if not isinstance(c, str))
    return Program(bounds, lambda: recorded.value(bounds.ravel()).reshape(yours.shape), written)


def _excused(
    claims: Mapping[str, Claim | RejectedError], yours: Floats, judgement: Judgement
) -> tuple[dict[str, str], dict[str, str]]:
    """Which results cannot be compared, and so are wrong; and which fail where a derivative may."""
    rejected: dict[str, str] = {}
    silent: dict[str, str] = {}
    testimony = judgement.testimony
    for name, claim in claims.items():
        own = [c for c, (x, _) in enumerate(testimony.probe.columns) if claims[x] is claim]
        settled = judgement.verdicts[:, own] == DISAGREES
        failed = np.isnan(yours[:, own])
        if isinstance(claim, RejectedError):
            why, excused = str(claim), claim.raised and not settled.all()
        elif (failed & settled).any():
            why, excused = nan_in(name, claim.numbers), False
        else:
            continue
        if excused or (failed.any() and getattr(claim, "raised", True) and testimony.at_pole):
            silent[name] = f"{why}, where the derivatives of f do not settle"
        else:
            rejected[name] = why
    return rejected, silent
