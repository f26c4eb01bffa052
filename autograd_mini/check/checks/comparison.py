"""A hand derivation held against the testimony on it, over all points."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from autograd_mini.check.diagnosis import diagnose, what_is_right
from autograd_mini.check.diagnosis.evidence import Evidence, Explanation, Point
from autograd_mini.check.diagnosis.slips import slips
from autograd_mini.check.judgement.finding import Finding, Place, found_at
from autograd_mini.check.reports.picture import draw_mistake
from autograd_mini.check.reports.report import Report
from autograd_mini.check.settings import Settings
from autograd_mini.check.subjects.arguments import listed, plain
from autograd_mini.check.subjects.points import domains_of, points_of
from autograd_mini.check.subjects.subject import Subject
from autograd_mini.check.verdicts import AGREES, DISAGREES
from autograd_mini.check.witnesses.testimony import Testimony, heard_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

PATIENCE, WIDTH = 0.3, 24  # seconds before a line of progress, and its characters


def compare(title: str, subject: Subject, settings: Settings) -> Report:
    """The report on a subject's hand results; ``title`` is the check that was called."""
    with np.errstate(all="ignore"):
        findings, redrawn = examined(subject, settings)
    report = Report(title, subject.out, tuple(subject.shapes), findings, settings, redrawn,
                    more=tuple(_remarks(subject, settings)), medium=subject.medium)  # fmt: skip
    if report.verdict == DISAGREES:
        digits = [*_digits(report)]
        premise = [PREMISE] * (not digits and _is_special(report))
        report = replace(report, more=(*report.more, *digits, *premise))
    if report.verdict == DISAGREES and (points := _points_of_dispute(subject, report)):
        with np.errstate(all="ignore"):
            evidence = Evidence(
                points,
                lambda point: subject.graph_if_any(point.arguments),
                subject.call,
                subject.out,
                time.perf_counter() + settings.diagnosis,
            )
            explanations = (*_slips(subject, points), *diagnose(evidence))
            if not (explanations or digits) and (next_to_see := what_is_right(evidence)):
                report = replace(report, more=(*report.more, next_to_see))
            if time.perf_counter() > evidence.deadline:
                cut = f"the diagnosis was cut after {settings.diagnosis:g} s; diagnosis= gives it more"
                report = replace(report, more=(*report.more, cut))
        return replace(
            report, explanations=explanations, picture=partial(draw_mistake, evidence, explanations)
        )
    if settings.symbolic and report.verdict != DISAGREES:
        from autograd_mini.check.witnesses.symbols import prove

        proof, remark = prove(subject, settings.domain, settings.seed, settings.seconds)
        return replace(report, proof=proof, more=(*report.more, remark))
    return report


def examined(subject: Subject, settings: Settings) -> tuple[tuple[Finding, ...], int]:
    """What is found at every point, and how many points were drawn again."""
    places, redrawn = places_of(subject, settings)
    told = told_at(subject, places, settings)
    largest = _largest(told)
    findings: list[Finding] = []
    for place, testimony in zip(places, told, strict=True):
        if testimony is None:
            why = "f is not finite at the given point: nothing can be said there"
            findings.append(Finding(place, open=why))
            continue
        findings.append(found_at(place, subject, testimony, settings, largest))
        if findings[-1].failure or findings[-1].mute:
            break
    return tuple(findings), redrawn


def places_of(subject: Subject, settings: Settings) -> tuple[list[Place], int]:
    """The places at which a derivation is tried, and how many points were drawn again."""
    places: list[Place] = []
    redrawn = 0
    for arguments in points_of(subject, domains_of(settings.domain, subject), settings.points, settings.seed):
        if arguments is None:
            redrawn += 1
            continue
        places.append(Place(len(places), arguments, subject.evaluate(arguments)))
        if not np.isfinite(places[-1].output).all():
            break
    return places, redrawn


def told_at(
    subject: Subject, places: Sequence[Place], settings: Settings, also: Sequence[str] = ()
) -> list[Testimony | None]:
    """The testimony at every place; None where f is not finite.

    What is asked of f at the given point only, whether its graph is f and what its rounding hides, holds at
    the others too; what keeps anything from being said at one point, as a random f does, holds at all.
    """
    told: list[Testimony | None] = []
    start = time.perf_counter()
    for place in places:
        _show_progress(f"point {place.number + 1} of {len(places)} …", start)
        if not np.isfinite(place.output).all():
            told.append(None)
            continue
        given = told[0] if told else None
        testimony = heard_at(
            subject, place.arguments, place.output, settings.seed, place.number, also,
            follow=given is None or given.followed,
        )  # fmt: skip
        told.append(testimony if given is None else testimony.hiding(given.unseen))
    _show_progress("", start)
    trouble = next((t.trouble for t in told if t is not None and t.trouble), "")
    return [t and replace(t, trouble=trouble) for t in told]


def _show_progress(line: str, start: float) -> None:
    """A line on a terminal, which the next one overwrites, once a check takes its time."""
    if sys.stderr.isatty() and time.perf_counter() > start + PATIENCE:
        print(f"\r{line:<{WIDTH}}" + "\r" * (not line), end="", file=sys.stderr, flush=True)


def _largest(told: Sequence[Testimony | None]) -> Floats:
    """The largest derivative of each output over all points."""
    rows = [
        np.max(abs(t.truth), axis=1, initial=0.0, where=np.isfinite(t.truth), keepdims=True)
        for t in told
        if t is not None
    ]
    alike = [row for row in rows if row.shape == rows[0].shape]
    return np.max(alike, axis=0) if alike else np.zeros((0, 1))


def _remarks(subject: Subject, settings: Settings) -> Iterator[str]:
    """What is said of f and its arguments."""
    if subject.changed:
        yield f"f changes its argument {listed(subject.changed)} in place; it was given copies"
    yield from subject.read
    drawn = {*subject.shapes, *domains_of(settings.domain, subject)}
    if not subject.fixed and settings.points and (held := [x for x in subject.arguments if x not in drawn]):
        yield f"held fixed: {listed(held)}"


FEW = 2000  # instructions that are swept again for each of f's constants
LONGEST = 8  # characters of a constant that somebody rounded
PREMISE = (
    "it is right at the given point and wrong at random ones: if it holds only where arguments are special, "
    'say so with domain=, such as "symmetric", "spd", "orthogonal", "unit" or "simplex"'
)


def _digits(report: Report) -> Iterator[str]:
    """To how many digits a wrong result agrees, and the constant of few digits in f that may be why."""
    wrong = [e for e in report.entries if e.verdict == DISAGREES and np.isfinite(e.error) and e.truth]
    apart = max((e.error / abs(e.truth) for e in wrong), default=1.0)
    if not 0 < apart < 1e-2 or len(wrong) < sum(e.verdict == DISAGREES for e in report.entries):
        return
    said = f"agrees to {int(-np.log10(apart))} digits"
    judgement, yours = report.findings[0].judgement, report.findings[0].yours
    recorded = None if judgement is None else judgement.testimony.recorded
    if judgement is None or recorded is None or yours is None or len(recorded) > FEW:
        yield said
        return
    code = recorded.tape.code
    few = [c for c in code.constants if not isinstance(c, str) and c % 1 and len(repr(abs(c))) <= LONGEST]
    for c in dict.fromkeys(few):
        without = replace(code, constants=tuple(0.0 if other == c else other for other in code.constants))
        other = replace(recorded, tape=replace(recorded.tape, code=without))
        truth = other.exact(judgement.testimony.seeds, judgement.testimony.bound)
        if np.allclose(truth, yours, rtol=1e-3 * apart + 1e-12, atol=0):
            yield f"{said}; f holds {c:g} where yours has nothing"
            return
    names = listed(f"{c:g}" for c in dict.fromkeys(few))
    yield said + f"; f holds {names}, which may be rounded" * bool(few)


def _is_special(report: Report) -> bool:
    """Whether all is right at the given point, and only random ones, drawn from anywhere, are wrong."""
    given = report.findings[0]
    judgements = [given.of(name) for name in report.names]
    right = [j is not None and bool((j.verdicts == AGREES).all()) for j in judgements]
    return report.settings.domain is None and all(right)


def _points_of_dispute(subject: Subject, report: Report) -> list[Point]:
    """The points where everything is decided, with the arguments whose derivative is wrong."""
    wrong = [name for name, verdict in report.sections.items() if verdict == DISAGREES]
    return [
        Point(
            at.arguments, at.output, *({x: part[x] for x in known} for part in (at.truth, at.yours, at.slack))
        )
        for finding in report.findings
        if (at := _evidence(finding, subject)) is not None and (known := [x for x in wrong if x in at.yours])
    ]


def _evidence(finding: Finding, subject: Subject) -> Point | None:
    """What the diagnosis is told; None where nothing is sure, or only a part was compared."""
    if not finding.clear or finding.judgement is None:
        return None
    testimony = finding.judgement.testimony
    if testimony.probe.weights is not None or testimony.probe.directions is not None:
        return None
    truth, allowed = testimony.truth, finding.judgement.allowed
    largest = np.max(abs(truth), initial=0.0)
    shape = (*subject.rows, truth.shape[-1])
    yours = {name: x.numbers for name, x in finding.claims.items() if x.numbers is not None}
    truths, slacks = (subject.split(x.reshape(shape)) for x in (truth, allowed + 1e-9 * largest))
    output = finding.place.output.reshape(subject.rows)
    return Point(finding.place.arguments, output, truths, yours, slacks)


def _slips(subject: Subject, points: list[Point]) -> Iterator[Explanation]:
    """What one small change makes right, of each formula given as text."""
    known = [subject.known(point.arguments, plain(point.output)) for point in points]
    for name, formula in subject.formulas().items():
        if name in points[0].truth:
            yield from slips(formula, name, points, known, f"∂{subject.out}/∂{name}")
