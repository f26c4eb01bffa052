"""A hand derivation held against the witnesses at one point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from autograd_mini.check.binding import EPSILON, RejectedError
from autograd_mini.check.engine import at_pole, combined, jacobian_of, kinks_of
from autograd_mini.check.evidence import Point
from autograd_mini.check.hand import Claim
from autograd_mini.check.judgement import Judgement, Testimony, described, judge
from autograd_mini.check.precision import WITNESS, attempted, precise_differences
from autograd_mini.check.report import AGREES, DISAGREES, INCONCLUSIVE, Entry
from autograd_mini.check.sampling import Probe
from autograd_mini.check.settings import Settings
from autograd_mini.check.subject import Subject
from autograd_mini.check.tolerance import Tolerance, tolerance_of
from autograd_mini.check.witness import Limit, differences
from autograd_mini.rules import DomainError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

SHAKES = 4
NEARBY = 2.0**-18  # of the point's size


@dataclass
class Place:
    """The comparison at one point: the given one, number 0, or a random one."""

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
    claims: dict[str, Claim | RejectedError] = field(default_factory=dict)
    full_engine: Floats | None = None  # of all inputs; None if the engine cannot follow
    stopped: bool = False  # the engine, where f leaves its domain

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
        yours = self._yours(self.claims)
        self.testimony = Testimony(self._engine(), self._differences(), self.full_engine is not None)
        self.tolerance = tolerance_of(
            subject, self.settings, probe, self.claims, self.output, self.testimony.reference
        )
        self._note_number_type(self.tolerance.epsilon)
        judgement = judge(yours, self.testimony, self.tolerance)
        self._reject(yours, judgement)
        heard = self._heard()
        self.disputed = bool((judgement.verdicts[:, heard] != AGREES).any())
        if precisely and self.full_engine is not None and (self.disputed or not self.number):
            self.testimony.precise = self._precise()
            judgement = judge(yours, self.testimony, self.tolerance)
        if self.disputed and (judgement.verdicts[:, heard] != AGREES).any():
            self.tolerance.wobble = self._wobble(yours, self.tolerance.epsilon)
            judgement = judge(yours, self.testimony, self.tolerance)
        self._record(yours, judgement, heard)

    def _heard(self) -> list[int]:
        """The columns of the names that have a result to compare."""
        out = self.silent.union(self.rejected)
        return [c for c, (name, _) in enumerate(self.probe.columns) if name not in out]

    @property
    def mute(self) -> bool:
        """Whether no hand result could be had."""
        return bool(self.rejected) and all(claim.numbers is None for claim in self.claims.values())

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
        _, left, right = (limit.best for limit in testimony.limits)
        error = abs(yours - judgement.reference)
        columns = (yours, testimony.engine, testimony.differences, left, right, error)
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
        output = self.output if arguments is self.arguments else self.subject.evaluate(arguments)
        return self.subject.claims(arguments, output)

    def _yours(self, claims: Mapping[str, Claim | RejectedError]) -> Floats:
        return self.probe.seen(self.subject.matrix(claims, lambda claim: claim.numbers, np.nan))

    def _wobble(self, yours: Floats, epsilon: float) -> Floats:
        """How far hand result and engine move apart when the point moves a little.

        Where a result that is right has lost digits, as a difference of two large terms does, the distance
        is noise and changes as much as it is large; that of a wrong one hardly changes.
        """
        if self.full_engine is None or (self.subject.fixed and epsilon == EPSILON):
            return np.zeros(yours.shape)
        random = np.random.default_rng(self.settings.seed)
        x, start = self.subject.flat(self.arguments), self.testimony.engine
        moves = np.zeros(yours.shape)
        for _ in range(SHAKES):
            step = epsilon if self.subject.fixed else NEARBY
            shaken = x + step * np.maximum(abs(x), 2.0**-10) * random.uniform(-1.0, 1.0, x.shape)
            arguments = self.subject.placed(self.arguments, shaken)
            try:
                engine = self.probe.seen(self._jacobian(arguments), rows=False)
                hand = yours if self.subject.fixed else self._yours(self._claims(arguments))
            except (RejectedError, ArithmeticError, ValueError):  # outside the domain
                continue
            smooth = abs(engine - start) <= 1e-3 * (abs(start) + abs(engine)) + 1e-12  # no kink in between
            apart = abs((hand - engine) - (yours - start))
            moves = np.fmax(moves, np.where(smooth & np.isfinite(apart), apart, 0.0))
        return 4 * moves

    # --- the witnesses ---

    def _engine(self) -> Floats:
        """What the engine says; nan if it cannot follow."""
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
        directions = probe.directions
        if directions is None:
            directions = np.eye(subject.flat(self.arguments).size)
        found, trouble = attempted(
            lambda: precise_differences(subject, self.arguments, directions, probe.weights)
        )
        if found is None:
            self._remark(trouble)
        else:
            self.witnesses.append(WITNESS)
        return found

    # --- words ---

    def _leave_open(self, why: str) -> None:
        self.open = why
        self._remark(why)

    def _remark(self, text: str) -> None:
        self.remarks[text] = None

    def _note_number_type(self, epsilon: float) -> None:
        if epsilon > EPSILON:
            kind = "float32" if epsilon < 1e-5 else "float16"
            self._remark(f"yours is {kind} and held to what that resolves (ε = {epsilon:.1e})")

    def _where(self) -> str:
        return f" (at random point {self.number})" * bool(self.number)

    def _kink_note(self) -> str:
        more = ", …" if len(self.kinks) > 3 else ""
        return f" (on a kink: {', '.join(self.kinks[:3])}{more})" if self.kinks else ""
