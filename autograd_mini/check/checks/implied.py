"""Gradients that people have in another form: as one step of training, or as a backward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_mini.check.checks.comparison import compare
from autograd_mini.check.reports.report import Report
from autograd_mini.check.settings import Options, settings_of
from autograd_mini.check.subjects.arguments import (
    arguments_of,
    listed,
    numbers_of,
)
from autograd_mini.check.subjects.hand import Claim, epsilon_of, figures
from autograd_mini.check.subjects.leaves import by_leaves
from autograd_mini.check.subjects.subject import subject_of
from autograd_mini.progress import printing_once

if TYPE_CHECKING:
    from typing_extensions import Unpack


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
