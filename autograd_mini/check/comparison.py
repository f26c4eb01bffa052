"""A hand derivation held against the witnesses over all points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from autograd_mini.check.binding import plain
from autograd_mini.check.diagnosis import diagnose
from autograd_mini.check.diagnosis.slips import slips
from autograd_mini.check.evidence import Evidence, Explanation, Point
from autograd_mini.check.picture import draw_mistake
from autograd_mini.check.place import Place
from autograd_mini.check.points import domains_of, points_of
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
from autograd_mini.check.sampling import probe_of
from autograd_mini.check.settings import Settings
from autograd_mini.check.subject import Subject

DISPUTES = 3  # random points at which the third witness is heard


def compare(title: str, subject: Subject, settings: Settings) -> Report:
    """The report on a subject's hand results; ``title`` is the check that was called."""
    probe = probe_of(subject, settings.seed)
    places: list[Place] = []
    remarks: dict[str, None] = {}  # an ordered set
    if probe.note:
        remarks[probe.note] = None
    redrawn = disputes = 0
    for arguments in points_of(subject, domains_of(settings.domain, subject), settings.points, settings.seed):
        if arguments is None:
            redrawn += 1
            continue
        place = Place(subject, probe, settings, arguments, len(places))
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
    places: list[Place],
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
            evidence = Evidence(
                points, lambda point: subject.graph_if_any(point.arguments), subject.call, subject.out
            )
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
        points=len(places),
        skipped=redrawn,
        seed=settings.seed,
        witnesses=tuple(witnesses),
        remarks=tuple(remark for remark in remarks if remark),
        out=subject.out,
        explanations=explanations,
        proof=proof,
        sections=sections,
        tolerances=_tolerances(places, entries),
        picture=picture,
    )


def _points_of_dispute(places: list[Place], sections: Mapping[str, str]) -> list[Point]:
    """The points where the witnesses are of one mind, with the arguments whose derivative is wrong."""
    wrong = [name for name, verdict in sections.items() if verdict == DISAGREES]
    return [
        Point(
            at.arguments, at.output, *({x: part[x] for x in known} for part in (at.truth, at.yours, at.slack))
        )
        for place in places
        if (at := place.evidence) is not None and (known := [name for name in wrong if name in at.yours])
    ]


def _slips(subject: Subject, points: list[Point]) -> Iterator[Explanation]:
    """What one small change makes right, of each formula given as text."""
    known = [subject.known(point.arguments, plain(point.output)) for point in points]
    for name, formula in subject.formulas().items():
        if name in points[0].truth:
            yield from slips(formula, name, points, known, f"∂{subject.out}/∂{name}")


def _tolerances(places: list[Place], entries: list[Entry]) -> dict[str, float]:
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
