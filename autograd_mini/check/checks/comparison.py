"""A hand derivation held against the testimony on it, over all points."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from autograd_mini.check.diagnosis import diagnose, what_is_right
from autograd_mini.check.diagnosis.evidence import Evidence, Explanation, Point
from autograd_mini.check.judgement.finding import Finding, Place, found_at
from autograd_mini.check.judgement.rule import Judgement, settled
from autograd_mini.check.margin import Margin, Trial, mended_by_hand
from autograd_mini.check.reports.picture import derived, draw_mistake
from autograd_mini.check.reports.report import Part, Report
from autograd_mini.check.settings import Settings
from autograd_mini.check.subjects.arguments import Floats, is_floating, listed
from autograd_mini.check.subjects.points import domains_of, points_of, symmetric
from autograd_mini.check.subjects.subject import Graph, Subject
from autograd_mini.check.verdicts import AGREES, DISAGREES, INCONCLUSIVE
from autograd_mini.check.witnesses.testimony import Testimony, heard_at
from autograd_mini.labels import subscript
from autograd_mini.progress import progress

IN_CODE, BY_HAND = 0.75, 0.1  # of the time of a diagnosis, for lines that are wrong
CLOSE = 1e-2  # a relative error that digits may be
FEW = 2000  # instructions that are swept again for each of f's constants
LONGEST = 8  # characters of a constant that somebody rounded
PREMISE = (
    "it is right at the given point and wrong at random ones: if it holds only where arguments are special, "
    'say so with domain=, such as "symmetric", "spd", "orthogonal", "unit" or "simplex"'
)


Explain: TypeAlias = Callable[[Report, float], "Margin | None"]  # a backward pass in code, in some seconds
AMONG = (
    "f reads the two triangles of {X} differently; as {X} is symmetric, yours is held against (G + Gᵀ) / 2, "
    "the derivative among symmetric matrices"
)
IF_SYMMETRIC = (
    "f reads the two triangles of {X} differently, and yours is symmetric: if {X} always is, say so with "
    'domain="symmetric" or "spd"'
)


def compare(title: str, subject: Subject, settings: Settings, explain: Explain | None = None) -> Report:
    """The report on a subject's hand results; ``title`` is the check that was called."""
    with np.errstate(all="ignore"), progress() as say:
        report = _reported(title, subject, settings, say)
        if report.verdict == DISAGREES and (names := _one_sided(report, subject)):
            known = symmetric(domains_of(settings.domain, subject))
            if among := [name for name in names if name in known]:
                subject = subject.among_symmetric(among)
                report = _reported(title, subject, settings, say)
            said = AMONG if among else IF_SYMMETRIC
            report = replace(report, more=(*report.more, said.format(X=listed(among or names))))
        if report.verdict == DISAGREES:
            say("diagnosis")
            try:
                return _diagnosed(report, subject, explain)
            except Exception as error:  # that it is wrong is known, and stands without a reason
                return replace(
                    report,
                    more=(*report.more, f"the diagnosis failed, {type(error).__name__}: {error}"),
                )
        if not settings.symbolic:
            return report
        from autograd_mini.check.witnesses.symbols import prove

        say("proof")
        proof, remark = prove(subject, settings.domain, settings.seed, settings.seconds)
        return replace(report, proof=proof, more=(*report.more, remark))


def _reported(title: str, subject: Subject, settings: Settings, say: Callable[[str], None]) -> Report:
    """What is found, before anyone asks why."""
    findings, redrawn = examined(subject, settings, say)
    return Report(title, subject.out, parts_of(subject.shapes, findings), findings, settings, redrawn,
                  more=tuple(_remarks(subject, settings)), medium=subject.medium,
                  derive=partial(derived, subject))  # fmt: skip


def parts_of(names: Iterable[str], findings: Sequence[Finding]) -> tuple[Part, ...]:
    """The verdict on each argument: a wrong entry decides; else every entry takes a clear answer.

    That is one at the given point, or, where rounding leaves an entry open there, at another.
    """
    return tuple(Part(name, name, _verdict(name, findings)) for name in names)


def _verdict(name: str, findings: Sequence[Finding]) -> str:
    judgements = [finding.of(name) for finding in findings]
    if any(finding.failure or name in finding.rejected for finding in findings) or any(
        judgement is not None and (judgement.verdicts == DISAGREES).any() for judgement in judgements
    ):
        return DISAGREES
    return AGREES if settled(judgements) else INCONCLUSIVE


def examined(
    subject: Subject, settings: Settings, say: Callable[[str], None]
) -> tuple[tuple[Finding, ...], int]:
    """What is found at every point, and how many points were drawn again."""
    places, redrawn = places_of(subject, settings)
    told = told_at(subject, places, settings, say)
    largest = _largest(told)
    findings: list[Finding] = []
    for place, testimony in zip(places, told, strict=True):
        if testimony is None:
            found = Finding(place, open=not_finite(place))
        else:
            found = found_at(place, subject, testimony, settings, largest)
        findings.append(found)
        if found.failure or found.mute:
            break
    return tuple(findings), redrawn


def not_finite(place: Place) -> str:
    """What is said of the given point, where f has no finite value."""
    for name, x in place.arguments.items():
        if is_floating(x) and not np.isfinite(x).all():
            index = tuple(map(int, np.argwhere(~np.isfinite(x))[0]))
            return (
                f"f is not finite at the given point, as {subscript(name, index)} is {np.asarray(x)[index]}"
            )
    return "f is not finite at the given point: nothing can be said there"


def places_of(subject: Subject, settings: Settings) -> tuple[list[Place], int]:
    """The places at which a derivation is tried, and how many points were drawn again."""
    drawn = [*points_of(subject, domains_of(settings.domain, subject), settings.points, settings.seed)]
    known = [point for point in drawn if point is not None]
    places = [Place(i, point, subject.evaluate(point)) for i, point in enumerate(known)]
    if not np.isfinite(places[0].output).all():
        del places[1:]
    return places, len(drawn) - len(known)


def told_at(
    subject: Subject,
    places: Sequence[Place],
    settings: Settings,
    say: Callable[[str], None],
    also: Sequence[str] = (),
) -> list[Testimony | None]:
    """The testimony at every place; None where f is not finite.

    What is asked of f at the given point only, or at the first that has a derivative, whether its graph is f
    and what its rounding hides, holds at the others too; what keeps anything from being said at one point, as
    a random f does, holds at all.
    """
    told: list[Testimony | None] = []
    for place in places:
        say(f"point {place.number + 1} of {len(places)}")
        if not np.isfinite(place.output).all():
            told.append(None)
            continue
        given = next((t for t in told if t and (not t.followed or np.isfinite(t.truth).all())), None)
        testimony = heard_at(
            subject, place.arguments, place.output, settings.seed, place.number if given else 0, also,
            follow=given is None or given.followed,
        )  # fmt: skip
        if given is not None and given.unseen.shape == testimony.unseen.shape:
            testimony = replace(testimony, unseen=given.unseen)
        told.append(testimony)
    trouble = next((t.trouble for t in told if t is not None and t.trouble), "")
    return [t and replace(t, trouble=trouble) for t in told]


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


def _diagnosed(report: Report, subject: Subject, explain: Explain | None) -> Report:
    """The report with what is said of a wrong result."""
    apart, worst = _worst(report)
    few = _written(worst) if worst else []
    if slip := worst and _constant(worst, [c for c in few if apart < CLOSE or abs(c) < CLOSE], subject.out):
        return replace(report, explanations=(slip,))
    digits = f"agrees to {int(-np.log10(apart))} digits" if 0 < apart < CLOSE else ""
    if digits and few:
        digits += f"; f holds {listed(f'{c:g}' for c in few)}, which may be rounded"
    more = [*report.more, digits or PREMISE * _is_special(report)]
    report = replace(report, more=tuple(more))
    seconds = report.settings.diagnosis
    margin = explain(report, IN_CODE * seconds) if explain and seconds else None
    if margin is not None:
        report = replace(report, explanations=margin.explanations, lines=margin.lines)
    points = _points_of_dispute(subject, report)
    if not points:
        return report

    def graph(point: Point) -> Graph | None:
        return subject.graph_if_any(point.arguments)

    lines = (IN_CODE if explain else BY_HAND) * seconds
    slips = [] if explain or not seconds else mended_by_hand(subject, _trials(subject, report), lines)
    deadline = time.perf_counter() + seconds - lines
    evidence = Evidence(points, graph, subject.call, subject.out, deadline)
    explanations = report.explanations
    if margin is None or not margin.mends:
        explanations = (*slips, *diagnose(evidence), *explanations)
        if not (explanations or digits) and (next_to_see := what_is_right(evidence)):
            more.append(next_to_see)
    if time.perf_counter() > deadline or (margin is not None and margin.cut):
        more.append(f"the diagnosis was cut after {seconds:g} s; diagnosis= gives it more")
    picture = partial(draw_mistake, evidence, explanations)
    return replace(report, explanations=explanations, picture=picture, more=tuple(more))


def _worst(report: Report) -> tuple[float, Finding | None]:
    """The largest relative error of what is wrong, and what was found where it is."""
    wrong = {
        e.error / abs(e.truth) if e.truth else np.inf: e.point
        for e in report.entries
        if e.verdict == DISAGREES
    }
    apart = max(wrong, default=0.0)
    return apart, report.findings[wrong[apart]] if wrong else None


def _written(finding: Finding) -> list[float]:
    """The constants of few digits in f's graph."""
    recorded = None if finding.testimony is None else finding.testimony.recorded
    if recorded is None or len(recorded) > FEW:
        return []
    constants = [c for c in recorded.tape.code.constants if not isinstance(c, str)]
    return [*dict.fromkeys(c for c in constants if c % 1 and len(repr(abs(c))) <= LONGEST)]


def _constant(finding: Finding, few: Sequence[float], out: str) -> Explanation | None:
    """A constant in f, such as the 1e-7 of log(y + 1e-7), without which a result is right."""
    testimony = finding.testimony
    if testimony is None or testimony.recorded is None or finding.yours is None:
        return None
    tape, distance = testimony.recorded.tape, abs(finding.yours - testimony.truth)
    for c in few:
        constants = tuple(0.0 if other == c else other for other in tape.code.constants)
        without = replace(tape, code=replace(tape.code, constants=constants))
        truth = replace(testimony.recorded, tape=without).exact(testimony.seeds, testimony.bound)
        if (abs(finding.yours - truth) <= 1e-3 * distance + 1e-12 * abs(truth)).all():
            text = f"{out} holds {c:g} where yours has nothing: yours is right for {out} without it"
            return Explanation("constant", text, f"take {c:g} out of {out}, or into yours too")
    return None


def _is_special(report: Report) -> bool:
    """Whether all is right at the given point, and only random ones, drawn from anywhere, are wrong."""
    judgements = [report.findings[0].of(name) for name in report.sections]
    right = [j is not None and bool((j.verdicts == AGREES).all()) for j in judgements]
    return report.settings.domain is None and any(right) and all(right)


def _one_sided(report: Report, subject: Subject) -> list[str]:
    """The symmetric matrices at the given point for which yours is symmetric, and f's derivative is not."""

    def symmetric(x: Any) -> bool:
        return bool(np.allclose(x, np.swapaxes(x, -1, -2), equal_nan=True))

    given, shapes = report.findings[0], subject.shapes
    if given.testimony is None or given.yours is None or given.testimony.probe.note:
        return []
    truth, yours = (subject.split(x.reshape(*subject.rows, -1)) for x in (given.testimony.truth, given.yours))
    square = [name for name in shapes if len(shapes[name]) == 2 and shapes[name][0] == shapes[name][1] > 1]
    return [
        name for name in square
        if symmetric(given.place.arguments[name]) and symmetric(yours[name]) and not symmetric(truth[name])
    ]  # fmt: skip


def _clear(report: Report) -> Iterator[tuple[Finding, Judgement, Floats]]:
    """What was found where all was compared and decided, and the truth there."""
    for at in report.findings:
        if at.clear and at.judgement is not None and not at.judgement.testimony.probe.note:
            yield at, at.judgement, at.judgement.testimony.truth


def _trials(subject: Subject, report: Report) -> list[Trial]:
    """The points where all is known, for a changed derivation."""
    return [
        Trial(at.place.arguments, 1.0, subject.split(truth.reshape(*subject.rows, -1)))
        for at, _, truth in _clear(report)
    ]


def _points_of_dispute(subject: Subject, report: Report) -> list[Point]:
    """The points where all is known, with the arguments whose derivative is wrong."""
    wrong = [name for name, verdict in report.sections.items() if verdict == DISAGREES]
    found = []
    for at, judgement, truth in _clear(report):
        slack = judgement.allowed + 1e-9 * np.max(abs(truth), initial=0.0)
        yours = {name: own for name in wrong if (own := at.claims[name].numbers) is not None}
        truths, slacks = (subject.split(x.reshape(*subject.rows, -1)) for x in (truth, slack))
        parts = ({name: part[name] for name in yours} for part in (truths, yours, slacks))
        if yours:
            found.append(Point(at.place.arguments, at.place.output.reshape(subject.rows), *parts))
    return found
