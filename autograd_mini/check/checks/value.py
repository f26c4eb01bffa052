"""A value of a function as somebody printed it: a loss, a softmax."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_mini.check.checks.comparison import parts_of
from autograd_mini.check.diagnosis import diagnose_value
from autograd_mini.check.judgement.finding import Finding, Place
from autograd_mini.check.judgement.rule import judged
from autograd_mini.check.reports.report import Report
from autograd_mini.check.settings import Options, settings_of
from autograd_mini.check.subjects.hand import figures
from autograd_mini.check.subjects.sampling import Probe
from autograd_mini.check.subjects.subject import Subject, value_subject
from autograd_mini.check.verdicts import DISAGREES
from autograd_mini.check.witnesses.differences import noise
from autograd_mini.check.witnesses.links import SLACK
from autograd_mini.check.witnesses.recorded import Recorded
from autograd_mini.check.witnesses.testimony import Testimony
from autograd_mini.progress import printing_once

if TYPE_CHECKING:
    from typing_extensions import Unpack


@printing_once()
def check_value(
    f: Any,
    printed: Any,
    at: Any = None,
    out: str | None = None,
    decimals: int | None = None,
    **options: Unpack[Options],
) -> Report:
    """Check the value of a function, or of a graph, against printed figures.

    Strings such as ``"1.2730"``, or ``decimals``, say what was printed, and a figure is right within one unit
    of its last digit; plain numbers within ``atol + rtol * max(|a|, |b|)``, where ``rtol`` is 1e-6 unless
    given. The witness is f at 50 digits, where it can be recorded.

    >>> from autograd_mini import cross_entropy
    >>> at = {"y": [0.5, 0.3, 0.2], "t": [1, 0, 0]}
    >>> check_value(cross_entropy, "0.69314", at=at).verdict
    'agrees'
    >>> print(check_value(cross_entropy, 1.2729656758, at=at).explanations[0].kind)
    other loss

    Errors inside f propagate; figures of the wrong shape disagree.
    """
    given = figures(printed, decimals)
    subject = value_subject(f, at, out)
    point = subject.placed(subject.arguments, subject.flat(subject.arguments))
    value = subject.evaluate(point)
    settings = settings_of("check_value", options)
    place = Place(0, point, value)

    def reported(finding: Finding) -> Report:
        parts = parts_of([""], [finding])
        return Report("check_value", subject.out, parts, (finding,), settings, medium=subject.medium)

    if given.numbers.shape != value.shape:
        why = f"the printed value has the wrong shape: expected {value.shape}, got {given.numbers.shape}"
        return reported(Finding(place, failure=why))
    numbers = given.reshaped(-1, 1)
    with np.errstate(all="ignore"):
        testimony = _testimony(subject, place)
        ended = testimony.open & (numbers.numbers != testimony.engine)  # ∞ may be printed
        judgement = judged(numbers, replace(testimony, open=ended), settings, abs(value).reshape(-1, 1))
    report = reported(Finding(place, judgement.testimony, judgement, numbers.numbers, {"": given}))
    if report.verdict != DISAGREES or not np.isfinite(value).all():
        return report
    graph, allowed = subject.graph_if_any(point), judgement.allowed.reshape(value.shape)
    found = diagnose_value(
        value, given.numbers, allowed, subject.arguments, graph, subject.out, settings.diagnosis
    )
    return replace(report, explanations=tuple(found))


def _testimony(subject: Subject, place: Place) -> Testimony:
    """What f is at the point: at many digits where it can be followed, else as far as its noise tells."""
    value = place.output.reshape(-1, 1)
    nothing = np.full(value.shape, np.nan)
    try:
        graph = subject.graph(place.arguments)
        recorded = Recorded.of([*graph.outputs.flat], [])
        values, _, _ = recorded.bounded([])
        numbers, bound = (x.reshape(value.shape) for x in values.outputs)
        if not ((abs(numbers - value) <= SLACK * bound + 1e-14 * abs(value)) | (numbers == value)).all():
            raise ValueError("on Values f is another function than on floats")
        truth, error, exact, remarks = recorded.value(bound), np.zeros(value.shape), True, ""
    except Exception as trouble:  # whatever stops f on Values, its number is there
        x = subject.flat(place.arguments)
        shaken = noise(lambda x: subject.evaluate(subject.placed(place.arguments, x)), x, value.size)
        truth, bound, exact = value, shaken.reshape(value.shape), False
        error = 4 * bound
        remarks = f"f could not be followed: {type(trouble).__name__}: {trouble}".partition("\n")[0]
    probe = Probe([*np.ndindex(place.output.shape)], [("", ())])
    return Testimony(
        probe, truth, value, bound, error, np.zeros(value.shape), ~np.isfinite(value), nothing, nothing,
        followed=True, exact=exact, remarks=(remarks,) * bool(remarks),
    )  # fmt: skip
