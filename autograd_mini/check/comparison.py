"""A hand derivation held against the witnesses, at one point and over all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from autograd_mini.check.binding import RejectedError, non_negative, plain
from autograd_mini.check.diagnosis import diagnose
from autograd_mini.check.diagnosis.slips import slips
from autograd_mini.check.engine import at_pole, combined, jacobian_of, kinks_of
from autograd_mini.check.evidence import Evidence, Explanation, Point
from autograd_mini.check.hand import EPSILON, Claim
from autograd_mini.check.judgement import Judgement, Testimony, Tolerance, described, judge
from autograd_mini.check.picture import draw_mistake
from autograd_mini.check.points import domains_of, points_of
from autograd_mini.check.precision import precise_differences
from autograd_mini.check.report import (
    AGREES,
    DISAGREES,
    INCONCLUSIVE,
    SEVERITY,
    Entry,
    Report,
    derivative,
    gravity,
)
from autograd_mini.check.sampling import Probe, probe_of
from autograd_mini.check.subject import Subject
from autograd_mini.check.witness import Limit, differences
from autograd_mini.rules import DomainError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
Index: TypeAlias = tuple[int, ...]

PRECISE = "f at 50 digits"
DISPUTES = 3  # random points at which the third witness is heard
SHAKES = 4
NEARBY = 2.0**-18  # of the point's size


@dataclass(frozen=True)
class Settings:
    """How a derivation is tried; ``rtol`` and ``atol`` None are chosen from what is observed."""

    points: int = 5
    seed: int = 0
    rtol: float | None = None
    atol: float | None = None
    domain: Any = None
    symbolic: bool = False
    seconds: float = 10.0

    def __post_init__(self) -> None:
        if not isinstance(self.points, (int, np.integer)) or self.points < 0:
            raise ValueError(f"check: points must be a whole number, 0 or more, got {self.points!r}")
        if not isinstance(self.seed, (int, np.integer)) or self.seed < 0:
            raise ValueError(f"check: seed must be a whole number, 0 or more, got {self.seed!r}")
        for name in ("rtol", "atol"):
            if (given := getattr(self, name)) is not None:
                non_negative(name, given)


def compare(title: str, subject: Subject, settings: Settings) -> Report:
    probe = probe_of(subject, settings.seed)
    places: list[_Place] = []
    remarks: dict[str, None] = {}  # an ordered set
    if probe.note:
        remarks[probe.note] = None
    redrawn = disputes = 0
    for arguments in points_of(subject, domains_of(settings.domain, subject), settings.points, settings.seed):
        if arguments is None:
            redrawn += 1
            continue
        place = _Place(subject, probe, settings, arguments, len(places))
        places.append(place)
        with np.errstate(all="ignore"):
            place.compare(precisely=disputes < DISPUTES)
        disputes += place.disputed
        remarks.update(place.remarks)
        if place.failure or place.mute:
            break
    return _report(title, subject, settings, places, redrawn, remarks)


def _report(
    title: str,
    subject: Subject,
    settings: Settings,
    places: list[_Place],
    redrawn: int,
    remarks: dict[str, None],
) -> Report:
    entries = [entry for place in places for entry in place.entries]
    rejected = {name: why for place in reversed(places) for name, why in place.rejected.items()}
    failure = next((place.failure for place in places if place.failure), "")
    conflict = any(place.conflict for place in places)
    sections = {
        name: DISAGREES
        if failure or name in rejected
        else _verdict([entry for entry in entries if entry.name == name], conflict)
        for name in subject.shapes
    }
    verdict = max(sections.values(), key=SEVERITY.__getitem__, default=DISAGREES)
    found = _reason(verdict, entries, subject.out) or places[0].open
    reason = failure or "; ".join(dict.fromkeys(rejected.values())) or found
    explanations: tuple[Explanation, ...] = ()
    picture = None
    if verdict == DISAGREES and (points := _points_of_dispute(places, sections)):
        with np.errstate(all="ignore"):
            evidence = Evidence(points, _graph_at(subject), subject.call, subject.out)
            explanations = (*_slips(subject, points), *diagnose(evidence))
        picture = partial(draw_mistake, evidence, explanations)
    proof = ""
    if settings.symbolic and verdict != DISAGREES:
        from autograd_mini.check.symbolic import prove

        proof, remark = prove(subject, settings.domain, settings.seed, settings.seconds)
        remarks[remark] = None
    witnesses = {witness: None for place in places for witness in place.witnesses}
    return Report(
        title,
        verdict,
        reason,
        tuple(entries),
        len(places),
        redrawn,
        settings.seed,
        tuple(witnesses),
        tuple(remark for remark in remarks if remark),
        subject.out,
        explanations,
        proof,
        sections,
        _tolerances(settings, places, entries),
        picture,
    )


def _points_of_dispute(places: list[_Place], sections: Mapping[str, str]) -> list[Point]:
    """The points where the witnesses are of one mind, with the arguments whose derivative is wrong."""
    wrong = [name for name, verdict in sections.items() if verdict == DISAGREES]
    return [
        Point(
            at.arguments, at.output, *({x: part[x] for x in known} for part in (at.truth, at.yours, at.slack))
        )
        for place in places
        if (at := place.evidence) is not None and (known := [name for name in wrong if name in at.yours])
    ]


def _graph_at(subject: Subject) -> Any:
    def graph(point: Point) -> Any:
        try:
            return subject.graph(point.arguments)
        except Exception:  # whatever stops f on Values
            return None

    return graph


def _slips(subject: Subject, points: list[Point]) -> Iterator[Explanation]:
    """What one small change makes right, of each formula given as text."""
    known = [subject.known(point.arguments, plain(point.output)) for point in points]
    for name, formula in subject.formulas().items():
        if name in points[0].truth:
            yield from slips(formula, name, points, known, f"∂{subject.out}/∂{name}")


def _tolerances(settings: Settings, places: list[_Place], entries: list[Entry]) -> dict[str, float]:
    """The tolerances used; what the witnesses left open is in ``largest``."""
    judged = [place.tolerance for place in places if place.tolerance is not None]
    if not judged:
        return {}
    allowed = [entry.tolerance for entry in entries if np.isfinite(entry.tolerance)]
    return {
        "rtol": max(float(np.max(t.yours_rtol, initial=0.0)) for t in judged),
        "atol": max(float(np.max(t.yours_atol, initial=0.0)) for t in judged),
        "largest": max(allowed, default=0.0),
    }


def _verdict(entries: list[Entry], conflict: bool) -> str:
    """One wrong entry decides; else it takes a clear answer at the given point, and nowhere a conflict."""
    if any(entry.verdict == DISAGREES for entry in entries):
        return DISAGREES
    given = [entry for entry in entries if entry.point == 0]
    clear = given and all(entry.verdict == AGREES for entry in given)
    return AGREES if clear and not conflict else INCONCLUSIVE


def _reason(verdict: str, entries: list[Entry], out: str) -> str:
    if verdict == AGREES:
        agreeing = [entry.error for entry in entries if entry.verdict == AGREES]
        left_open = len({entry.point for entry in entries if entry.verdict == INCONCLUSIVE})
        suffix = f"; {left_open} random points left open" if left_open else ""
        return f"the largest error is {max(agreeing, default=0.0):.1e}{suffix}"
    wanted = [entry for entry in entries if entry.verdict == verdict]
    if not wanted:
        return ""
    worst = min(wanted, key=lambda entry: (entry.point > 0, gravity(entry)))  # the given point says most
    at = f" at random point {worst.point}" if worst.point else " at the given point"
    where = derivative(out, worst) + at
    if verdict == INCONCLUSIVE:
        return f"{where}: {worst.note}"
    truth = worst.witness if np.isnan(worst.engine) else worst.engine
    return f"{where} is {truth:.8g}, yours {worst.yours:.8g}; {len(wanted)} of {len(entries)} entries wrong"


@dataclass
class _Place:
    """The comparison at one point."""

    subject: Subject
    probe: Probe
    settings: Settings
    arguments: dict[str, Any]
    number: int
    entries: list[Entry] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)  # names whose derivative failed where that may be right
    open: str = ""  # why nothing can be said
    failure: str = ""
    conflict: bool = False
    disputed: bool = False
    witnesses: list[str] = field(default_factory=list)
    remarks: dict[str, None] = field(default_factory=dict)
    tolerance: Tolerance | None = None
    evidence: Point | None = None
    kinks: list[str] = field(default_factory=list)

    def compare(self, precisely: bool) -> None:
        """Judge every derivative at this point."""
        subject, probe = self.subject, self.probe
        self.output = subject.evaluate(self.arguments)
        if not np.isfinite(self.output).all():
            self._leave_open("f is not finite at the given point: nothing can be said there")
            return
        try:
            self.claims = self._claims(self.arguments)
        except RejectedError as rejected:
            self.claims = dict.fromkeys(subject.shapes, rejected)
            if not rejected.raised:
                self.failure = str(rejected) + self._where()
                return
        yours = probe.seen(self._yours(self.claims))
        self.testimony = Testimony(self._engine(), self._differences(), self.full_engine is not None)
        self.tolerance = self._tolerance(probe)
        judgement = judge(yours, self.testimony, self.tolerance)
        self._reject(yours, judgement)
        heard = self._heard()
        self.disputed = bool((judgement.verdicts[:, heard] != AGREES).any())
        if precisely and self.full_engine is not None and (self.disputed or not self.number):
            self.testimony.precise = self._precise()
            judgement = judge(yours, self.testimony, self.tolerance)
        if self.disputed and (judgement.verdicts[:, heard] != AGREES).any():
            self.tolerance.wobble = self._wobble(yours)
            judgement = judge(yours, self.testimony, self.tolerance)
        self._record(yours, judgement, heard)

    def _heard(self) -> list[int]:
        """The columns of the names that have a result to compare."""
        out = self.silent.union(self.rejected)
        return [c for c, (name, _) in enumerate(self.probe.columns) if name not in out]

    @property
    def mute(self) -> bool:
        """Whether no hand result could be had."""
        results = getattr(self, "claims", {}).values()
        return bool(self.rejected) and all(getattr(claim, "numbers", None) is None for claim in results)

    def _reject(self, yours: Floats, judgement: Judgement) -> None:
        """Note which results cannot be compared; one that fails where a derivative may is left open."""
        for name, claim in self.claims.items():
            own = [c for c, (x, _) in enumerate(self.probe.columns) if self.claims[x] is claim]
            settled = judgement.verdicts[:, own] == DISAGREES
            failed = np.isnan(yours[:, own])
            if isinstance(claim, RejectedError):
                self.rejected[name], excused = str(claim), claim.raised and not settled.all()
            elif (failed & settled).any():
                where = tuple(int(i) for i in np.argwhere(np.isnan(claim.numbers))[0])
                self.rejected[name] = f"the hand result for {name} holds nan, first at {where}"
                excused = False
            else:
                continue
            if excused or (failed.any() and getattr(claim, "raised", True) and self._at_pole()):
                why = self.rejected.pop(name)
                self._leave_open(f"{why}{self._where()}, where the derivatives of f do not settle")
                self.silent.add(name)

    def _at_pole(self) -> bool:
        if self.full_engine is None:
            return self.stopped
        return at_pole(list(self.subject.graph(self.arguments).outputs.flat))

    def _record(self, yours: Floats, judgement: Judgement, heard: list[int]) -> None:
        testimony, probe = self.testimony, self.probe
        central, left, right = (limit.best for limit in testimony.limits)
        witness = np.where(np.isfinite(central), central, np.where(np.isfinite(left), left, right))
        error = abs(yours - judgement.reference)
        columns = (yours, testimony.engine, witness, left, right, error)
        precise = testimony.precise_central
        tables = [array.tolist() for array in (*columns, judgement.tolerance, precise)]
        kinks = self._kink_note()
        for r, row in enumerate(probe.rows):
            for c in heard:
                name, column = probe.columns[c]
                mine, engine, difference, below, above, apart, allowed, exact = (x[r][c] for x in tables)
                verdict = judgement.verdicts[r, c]
                note = described(int(judgement.notes[r, c]), testimony, (r, c))
                note += kinks * (verdict == INCONCLUSIVE)
                place = (name, row, column, self.number)
                numbers = (mine, engine, difference, below, above, apart)
                self.entries.append(Entry(*place, *numbers, verdict, note, allowed, exact))
        self.conflict = judgement.conflict
        self.rejected = {name: why + self._where() for name, why in self.rejected.items()}
        clear = bool((judgement.verdicts[:, heard] != INCONCLUSIVE).all())
        if clear and np.isfinite(judgement.reference).all():
            self.evidence = self._evidence(judgement)

    def _evidence(self, judgement: Judgement) -> Point | None:
        """What the diagnosis is told of this point; None for a Jacobian that was only sampled."""
        probe, subject = self.probe, self.subject
        if probe.directions is None and probe.weights is None:
            truth, slack = judgement.reference, judgement.tolerance
        elif probe.weights is None and self.full_engine is not None:
            truth = self.full_engine
            assert self.tolerance is not None
            slack = self.tolerance.atol + self.tolerance.rtol * abs(truth)
        else:
            return None
        shape = (*subject.rows, truth.shape[-1])
        yours = {name: x.numbers for name, x in self.claims.items() if x.numbers is not None}
        truths, slacks = (subject.split(x.reshape(shape)) for x in (truth, slack))
        return Point(self.arguments, self.output.reshape(subject.rows), truths, yours, slacks)

    # --- the hand result ---

    def _claims(self, arguments: Mapping[str, Any]) -> dict[str, Claim | RejectedError]:
        """The hand results, those of the wrong shape rejected."""
        output = self.output if arguments is self.arguments else self.subject.evaluate(arguments)
        claims = self.subject.claims(arguments, output)
        for name, claim in claims.items():
            if isinstance(claim, RejectedError):
                continue
            expected, given = self.subject.rows + self.subject.shapes[name], claim.numbers.shape
            if given != expected:
                reason = f"the hand result for {name} has the wrong shape: expected {expected}, got {given}"
                claims[name] = RejectedError(reason, claim.numbers)
        return claims

    def _blocks(self, claims: Mapping[str, Claim | RejectedError], of: Any, missing: float) -> Floats:
        """A number of each claim's entries as one matrix, outputs by inputs."""
        rows = int(np.prod(self.subject.rows))
        blocks = [
            np.full((rows, int(np.prod(shape))), missing)
            if isinstance(claim := claims[name], RejectedError)
            else np.broadcast_to(of(claim), claim.numbers.shape).reshape(rows, int(np.prod(shape)))
            for name, shape in self.subject.shapes.items()
        ]
        return np.concatenate(blocks or [np.empty((rows, 0))], axis=1)

    def _yours(self, claims: Mapping[str, Claim | RejectedError]) -> Floats:
        return self._blocks(claims, lambda claim: claim.numbers, np.nan)

    def _tolerance(self, probe: Probe) -> Tolerance:
        """Tolerances from what was observed, unless they are given."""
        subject, settings, reference = self.subject, self.settings, self.testimony.reference
        largest = float(np.max(abs(reference), initial=0.0, where=np.isfinite(reference)))
        size = float(np.max(abs(self.output), initial=0.0))
        rounding = 64 * EPSILON * size + 1e-14
        rtol = 1e-6 if settings.rtol is None else settings.rtol
        atol = 1e-9 * largest + rounding if settings.atol is None else settings.atol
        epsilon = self._blocks(self.claims, lambda claim: claim.epsilon, EPSILON)
        printed = self._blocks(self.claims, lambda claim: claim.printed, 0.0) > 0
        unit = self._blocks(self.claims, lambda claim: claim.unit, 0.0)
        coarse = 64 * epsilon * (epsilon > EPSILON)  # of numbers with fewer digits than a double
        self.epsilon = float(np.max(epsilon, initial=EPSILON))
        if self.epsilon > EPSILON:
            kind = "float32" if self.epsilon < 1e-5 else "float16"
            self._remark(f"yours is {kind} and held to what that resolves (ε = {self.epsilon:.1e})")
        yours_rtol = np.where(printed, 1e-12, np.maximum(rtol, coarse))
        # What a function loses by cancellation shows when the point moves; of plain numbers it does not.
        floor = atol if subject.fixed else 1e-12 * largest + 64 * EPSILON * size
        yours_atol = np.where(
            printed, unit * (1 + 1e-6) + 1e-14 * largest, np.maximum(floor, coarse * largest)
        )
        if settings.rtol is not None:
            yours_rtol = np.full_like(yours_rtol, rtol)
        if settings.atol is not None:
            yours_atol = atol + unit
        seen = (len(probe.rows), len(probe.columns))
        if yours_rtol.shape != seen:
            yours_rtol = np.full(seen, np.max(yours_rtol))
        return Tolerance(rtol, atol, yours_rtol, probe.bound(yours_atol), size)

    def _wobble(self, yours: Floats) -> Floats:
        """How far hand result and engine move apart when the point moves a little.

        Where a result that is right has lost digits, as a difference of two large terms does, the distance
        is noise and changes as much as it is large; that of a wrong one hardly changes.
        """
        if self.full_engine is None or (self.subject.fixed and self.epsilon == EPSILON):
            return np.zeros(yours.shape)
        random = np.random.default_rng(self.settings.seed)
        x, start = self.subject.flat(self.arguments), self.testimony.engine
        moves = np.zeros(yours.shape)
        for _ in range(SHAKES):
            step = self.epsilon if self.subject.fixed else NEARBY
            shaken = x + step * np.maximum(abs(x), 2.0**-10) * random.uniform(-1.0, 1.0, x.shape)
            arguments = self.subject.placed(self.arguments, shaken)
            try:
                engine = self.probe.seen(self._jacobian(arguments), rows=False)
                hand = yours if self.subject.fixed else self.probe.seen(self._yours(self._claims(arguments)))
            except (RejectedError, ArithmeticError, ValueError):  # outside the domain
                continue
            smooth = abs(engine - start) <= 1e-3 * (abs(start) + abs(engine)) + 1e-12  # no kink in between
            apart = abs((hand - engine) - (yours - start))
            moves = np.fmax(moves, np.where(smooth & np.isfinite(apart), apart, 0.0))
        return 4 * moves

    # --- the witnesses ---

    def _engine(self) -> Floats:
        """What the engine says; nan if it cannot follow."""
        self.full_engine: Floats | None = None
        self.stopped = False
        try:
            self.full_engine = self._jacobian(self.arguments)
        except Exception as error:  # whatever stops f on Values, the other witnesses still speak
            self.stopped = isinstance(error, (DomainError, ArithmeticError))  # as ln 0 in tanh(ln 0)
            self._remark(f"the engine could not follow: {type(error).__name__}: {error}")
            return np.full((len(self.probe.rows), len(self.probe.columns)), np.nan)
        self.witnesses.append("the engine")
        return self.probe.seen(self.full_engine, rows=False)

    def _jacobian(self, arguments: Mapping[str, Any]) -> Floats:
        """The engine's, of the outputs that the probe asks for."""
        graph, weights = self.subject.graph(arguments), self.probe.weights
        outputs = list(graph.outputs.flat)
        if len(outputs) != self.output.size:
            raise ValueError(f"{len(outputs)} outputs on Values, {self.output.size} on floats")
        if arguments is self.arguments:
            self.kinks = kinks_of(outputs)
        nodes = [node for array in graph.inputs.values() for node in array.flat]
        return jacobian_of(outputs if weights is None else combined(outputs, weights), nodes)

    def _differences(self) -> tuple[Limit, Limit, Limit]:
        subject, weights = self.subject, self.probe.weights

        def function(x: Floats) -> Floats:
            output = subject.evaluate(subject.placed(self.arguments, x)).ravel()
            return output if weights is None else weights @ output

        x = subject.flat(self.arguments)
        limits = differences(function, x, function(x), self.probe.directions)
        if any(np.isfinite(limit.best).any() for limit in limits):
            self.witnesses.append(f"differences of {subject.medium}")
        return limits

    def _precise(self) -> tuple[Floats, Floats] | None:
        subject, probe = self.subject, self.probe
        try:
            directions = probe.directions
            if directions is None:
                directions = np.eye(subject.flat(self.arguments).size)
            found = precise_differences(subject, self.arguments, directions, probe.weights)
        except ImportError:
            self._remark("no witness at 50 digits: mpmath is not installed (extra: symbolic)")
            return None
        except Exception as error:  # f cannot be recorded
            self._remark(f"no witness at 50 digits: {type(error).__name__}: {_first_line(error)}")
            return None
        self.witnesses.append(PRECISE)
        return found

    # --- words ---

    def _leave_open(self, why: str) -> None:
        self.open = why
        self._remark(why)

    def _remark(self, text: str) -> None:
        self.remarks[text] = None

    def _where(self) -> str:
        return f" (at random point {self.number})" * bool(self.number)

    def _kink_note(self) -> str:
        more = ", …" if len(self.kinks) > 3 else ""
        return f" (on a kink: {', '.join(self.kinks[:3])}{more})" if self.kinks else ""


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
