"""A value of a function as somebody printed it: a loss, a softmax."""

from __future__ import annotations

from math import isfinite, nan
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from autograd_mini.check.binding import non_negative
from autograd_mini.check.diagnosis import diagnose_value
from autograd_mini.check.evidence import Explanation
from autograd_mini.check.hand import figures
from autograd_mini.check.precision import WITNESS, attempted, precise_value
from autograd_mini.check.report import AGREES, DISAGREES, INCONCLUSIVE, SEVERITY, Entry, Report, subscript
from autograd_mini.check.subject import value_subject
from autograd_mini.check.witness import noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]


def check_value(
    f: Any,
    printed: Any,
    at: Any = None,
    out: str | None = None,
    decimals: int | None = None,
    rtol: float | None = None,
    atol: float | None = None,
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
    for name, tolerance in (("rtol", rtol), ("atol", atol)):
        if tolerance is not None:
            non_negative(name, tolerance)
    given = figures(printed, decimals)
    subject = value_subject(f, at, out)
    point = subject.placed(subject.arguments, subject.flat(subject.arguments))
    value = subject.evaluate(point)
    if given.numbers.shape != value.shape:
        reason = f"the printed value has the wrong shape: expected {value.shape}, got {given.numbers.shape}"
        return Report("check_value", DISAGREES, reason, points=1, out=subject.out, sections={"": DISAGREES})
    found, remark = attempted(lambda: precise_value(subject, point).reshape(value.shape))
    precise = np.full(value.shape, nan) if found is None else found
    shaken = noise(lambda x: subject.evaluate(subject.placed(point, x)), subject.flat(point), value.size)
    relative = (1e-12 if given.printed else 1e-6) if rtol is None else rtol
    absolute = given.unit * (1 + 1e-6) + (atol or 0.0)
    with np.errstate(all="ignore"):
        slack = 4 * shaken.reshape(value.shape) + np.nan_to_num(abs(value - precise))
        allowed = absolute + relative * np.fmax(abs(value), abs(given.numbers)) + slack
        error = np.where(given.numbers == value, 0.0, abs(given.numbers - value))
    verdicts = np.where(np.isfinite(value), DISAGREES, INCONCLUSIVE).astype(object)
    verdicts[(error <= allowed) & np.isfinite(error)] = AGREES
    entries = [
        Entry(
            "", index, (), 0, mine, own, exact, nan, nan, float(error[index]), str(verdicts[index]), "", slack
        )
        for index in np.ndindex(value.shape)
        for mine, own, exact, slack in [[float(x[index]) for x in (given.numbers, value, precise, allowed)]]
    ]
    verdict = max(verdicts.flat, key=SEVERITY.__getitem__, default=AGREES)
    explanations: list[Explanation] = []
    if verdict == DISAGREES and np.isfinite(value).all():
        graph = subject.graph_if_any(point)
        explanations = diagnose_value(value, given.numbers, allowed, subject.arguments, graph, subject.out)
    largest = float(np.max(allowed, initial=0.0))
    return Report(
        "check_value",
        verdict,
        _reason(entries, verdict, subject.out),
        tuple(entries),
        points=1,
        witnesses=(subject.medium, *([WITNESS] if not remark else [])),
        remarks=(remark,) if remark else (),
        out=subject.out,
        explanations=tuple(explanations),
        sections={"": verdict},
        tolerances={"rtol": relative, "atol": float(np.max(absolute, initial=0.0)), "largest": largest},
    )


def _reason(entries: list[Entry], verdict: str, out: str) -> str:
    wanted = [entry for entry in entries if entry.verdict == verdict]
    if verdict == INCONCLUSIVE:
        return "f is not finite at the given point"
    if verdict == AGREES:
        return f"the largest error is {max((e.error for e in wanted if isfinite(e.error)), default=0.0):.1e}"
    worst = max(wanted, key=lambda entry: entry.error)
    count = f"; {len(wanted)} of {len(entries)} numbers wrong" if len(entries) > 1 else ""
    return f"{subscript(out, worst.row)} is {worst.engine:.10g}, yours {worst.yours:.10g}{count}"
