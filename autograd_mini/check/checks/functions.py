"""What people have of a function: its gradient, its Jacobian, a step of descent, its value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_mini.check.checks.comparison import compare, parts_of
from autograd_mini.check.diagnosis import diagnose_value
from autograd_mini.check.judgement.finding import Finding, Place
from autograd_mini.check.judgement.rule import judged
from autograd_mini.check.reports.report import Report
from autograd_mini.check.settings import Options, settings_of
from autograd_mini.check.subjects.arguments import arguments_of, by_leaves, listed, numbers_of
from autograd_mini.check.subjects.hand import Claim, epsilon_of, figures
from autograd_mini.check.subjects.sampling import Probe
from autograd_mini.check.subjects.subject import Subject, subject_of, value_subject
from autograd_mini.check.verdicts import DISAGREES
from autograd_mini.check.witnesses.differences import noise
from autograd_mini.check.witnesses.links import SLACK
from autograd_mini.check.witnesses.recorded import Recorded
from autograd_mini.check.witnesses.testimony import Testimony
from autograd_mini.progress import printing_once

if TYPE_CHECKING:
    from typing_extensions import Unpack


@printing_once()
def check_gradient(
    f: Any,
    hand: Any = None,
    at: Any = None,
    wrt: str | Sequence[str] | None = None,
    out: str | None = None,
    decimals: int | None = None,
    **options: Unpack[Options],
) -> Report:
    """Check a gradient ∂f/∂x of a function with one output, derived by hand.

    The hand result is held against f's derivative at 50 digits and against f itself, at a point and at random
    ones. The report is true where it agrees; printed, it says what went wrong.

    >>> at = {"w": 3.0, "x": 2.0}
    >>> check_gradient(lambda w, x: w * x**2, lambda w, x: 2 * w * x, at, wrt="x").verdict
    'agrees'

    ``at`` is the argument of a function of one argument, else a mapping from f's parameters to their
    values; lists of numbers become arrays. ``wrt`` names the arguments differentiated: by default the keys
    of a hand result that is a mapping, all where it holds one result for each, of its shape, else the first.

    ``hand`` is a function whose parameters are named like f's (or ``out``, f's result), a formula as text
    whose free indices i, j, k, … stand for the axes of the result, plain numbers, or a mapping or a list
    with one of these for each of several arguments. Numbers count at ``at`` only. Printed ones, with
    ``decimals`` digits after the point or in strings such as ``"-0.0300"``, are right within one unit of
    their last digit.

    What is no number is also checked at ``points`` random points (5), drawn with ``seed`` (0). ``domain``
    says from where, for each argument or for the only one: ``(low, high)``, ``"real"``, ``"positive"``,
    ``"simplex"``, ``"one-hot"``, ``"unit"`` (rows of length 1), ``"symmetric"``, ``"spd"`` (symmetric and
    positive definite) or ``"orthogonal"``. Without one, arguments differentiated are moved around ``at`` and
    others stay. Where f reads the two triangles of a symmetric matrix differently, as LAPACK's Cholesky does,
    a symmetric ``hand`` is held against (G + Gᵀ)/2, the derivative among symmetric matrices.

    Numbers agree within ``rtol · max(|a|, |b|)``, 1e-6 unless given, plus ``atol``; beyond that, and beyond
    what rounding may do at this point, they disagree. With ``symbolic``, SymPy is given some ``seconds`` (10)
    to prove that ``hand`` is right. The mistake in a wrong one is looked for in ``diagnosis`` (2) seconds.

    A graph that exists is checked by the labels of its leaves, intermediates or whole arrays:

    >>> from autograd_mini import Value
    >>> x = Value(2.0, label="x")
    >>> check_gradient(x * x, {"x": 4.0}).verdict
    'agrees'

    A hand result that raises, holds nan or has the wrong shape disagrees. An error inside f at the
    given point is raised; TypeError or ValueError for arguments, labels or domains that do not exist.
    """
    settings = settings_of("check_gradient", options)
    return compare(
        "check_gradient", subject_of(f, hand, at, wrt, out, decimals, scalar="check_gradient"), settings
    )


@printing_once()
def check_jacobian(
    f: Any,
    hand: Any = None,
    at: Any = None,
    wrt: str | Sequence[str] | None = None,
    out: str | None = None,
    decimals: int | None = None,
    **options: Unpack[Options],
) -> Report:
    """Check a Jacobian J[i, j] = ∂f[i] / ∂x[j] of shape output.shape + input.shape, derived by hand.

    Everything else is as in `check_gradient`.

    >>> import numpy as np
    >>> def softmax(z):
    ...     e = np.exp(z - np.max(z))
    ...     return e / np.sum(e)
    >>> hand = lambda z, S: np.diag(S) - np.outer(S, S)
    >>> check_jacobian(softmax, hand, at=[1.5, -0.5, 0.75], out="S").verdict
    'agrees'
    """
    settings = settings_of("check_jacobian", options)
    return compare("check_jacobian", subject_of(f, hand, at, wrt, out, decimals), settings)


@printing_once()
def check_update(
    f: Any,
    after: Any,
    rate: float,
    at: Any = None,
    out: str | None = None,
    decimals: int | None = None,
    **options: Unpack[Options],
) -> Report:
    """Check one step of gradient descent, w − rate · ∂f/∂w, by the parameters that came out of it.

    ``at`` holds f's arguments, the parameters before the step among them, and ``after`` maps parameters to
    what they are afterwards, or is that of f's only argument. The gradient that is checked is the implied
    one, (before − after) / rate, within one unit of the last printed digit divided by the rate;
    ``decimals`` and strings say what was printed, as in `check_gradient`.

    >>> check_update(lambda w, x: (w * x - 1) ** 2, {"w": "0.40"}, rate=0.1, at={"w": 0.0, "x": 2.0}).verdict
    'agrees'

    Raises ValueError for a rate of 0, for parameters of another shape and names that f does not have.
    """
    if not isinstance(rate, (int, float, np.number)) or not rate or not np.isfinite(rate):
        raise ValueError(f"check_update: the rate must be a finite number other than 0, got {rate!r}")
    if callable(f):
        f, after, at, _ = by_leaves(f, after, at, None)
    before = arguments_of(f, at)
    if not isinstance(after, Mapping):
        after = {next(iter(before)): after}
    if unknown := [str(name) for name in after if name not in before]:
        raise ValueError(f"check_update: after= names {listed(unknown)}; f takes {listed(before)}")
    gradient = {name: _implied(name, before[name], x, rate, decimals) for name, x in after.items()}
    subject = subject_of(f, gradient, at, None, out, scalar="check_update")
    report = compare("check_update", subject, settings_of("check_update", options))
    remark = f"yours is the gradient that the step implies, (before − after) / {rate:g}"
    return replace(report, more=(*report.more, remark))


def _implied(name: str, before: Any, after: Any, rate: float, decimals: int | None) -> Claim:
    start, step = numbers_of(before), figures(after, decimals)
    if start.shape != step.numbers.shape:
        raise ValueError(
            f"check_update: {name} has shape {start.shape} before the step and {step.numbers.shape} after it"
        )
    rounding = 4 * epsilon_of(after) * np.maximum(abs(start), abs(step.numbers))
    unit = (step.unit + rounding) / abs(rate)
    return Claim((start - step.numbers) / rate, unit, printed=step.printed)


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
        return Report(
            "check_value",
            subject.out,
            parts_of([""], [finding]),
            (finding,),
            settings,
            medium=subject.medium,
        )

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
        recorded = Recorded.of([*subject.graph(place.arguments).outputs.flat], [])
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
