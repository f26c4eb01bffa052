"""Gradients that people have in another form: as one step of training, or as a backward pass."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_mini.check.checks.comparison import compare
from autograd_mini.check.reports.report import Report
from autograd_mini.check.settings import Options, settings_of
from autograd_mini.check.subjects.arguments import (
    arguments_of,
    caller,
    listed,
    numbers_of,
    parameters_of,
    with_parameters,
)
from autograd_mini.check.subjects.hand import Claim, epsilon_of, figures
from autograd_mini.check.subjects.leaves import by_leaves
from autograd_mini.check.subjects.subject import subject_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

CACHES = ("cache", "caches", "ctx", "context", "memo", "saved", "tape")  # that forward passes leave behind
OUTPUTS = ("out", "output", "outputs", "result")  # what a backward pass may call f's result


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


def check_vjp(
    f: Callable[..., Any],
    backward: Callable[..., Any],
    at: Any = None,
    wrt: str | Sequence[str] | None = None,
    out: str | None = None,
    **options: Unpack[Options],
) -> Report:
    """Check a backward pass, which takes the cotangent ∂L/∂f of f's output to ∂L/∂x = Σᵢ (∂L/∂fᵢ) ∂fᵢ/∂x.

    ``backward(grad_out, …)`` takes the cotangent first and then what its parameters name: f's arguments or
    f's output, which goes by ``out`` or is called out, output or result; parameters named otherwise are f's
    arguments in their order. It gives the cotangent of each argument of f, or of those in ``wrt``; a tuple
    may hold None for some. Cotangents are drawn at random at every point, as ones would hide a
    ``grad_out`` that was forgotten. Everything else is as in `check_gradient`.

    >>> import numpy as np
    >>> check_vjp(np.tanh, lambda grad_out, output: grad_out * (1 - output**2), at=[0.5, -1.0]).verdict
    'agrees'
    >>> check_vjp(np.tanh, lambda grad_out, output: 1 - output**2, at=[0.5, -1.0]).verdict
    'disagrees'
    """
    settings = settings_of("check_vjp", options)
    arguments, call = arguments_of(f, at), caller(f)
    output = subject_of(f, backward, at, wrt or next(iter(arguments)), out).start_output
    cotangent = "grad_out" if "grad_out" not in arguments else "grad_out_"
    names = [cotangent, *arguments]

    def paired(grad_out: Any, *rest: Any) -> Any:
        result = call(dict(zip(arguments, rest, strict=True)))
        return np.sum(grad_out * (np.array(result) if isinstance(result, (list, tuple)) else result))

    takes = _order(backward, list(arguments), out)

    def pulled_back(grad_out: Any, *rest: Any) -> Any:
        known = dict(zip(arguments, rest, strict=True))
        return backward(grad_out, *(known[name] if name else call(known) for name in takes))

    start = np.random.default_rng(settings.seed).standard_normal(output.shape)
    start_arguments = {cotangent: start if output.shape else float(start), **arguments}
    wrt = [wrt] if isinstance(wrt, str) else wrt

    def by_name(*everything: Any) -> Any:
        result = pulled_back(*everything)
        if wrt is None and isinstance(result, (tuple, list)) and len(result) == len(arguments) > 1:
            return {name: x for name, x in zip(arguments, result, strict=True) if x is not None}
        return result if isinstance(result, Mapping) or len(wanted) > 1 else {wanted[0]: result}

    wanted = list(wrt or [next(iter(arguments))])
    subject = subject_of(
        with_parameters(paired, names),
        with_parameters(by_name, names),
        start_arguments,
        wrt,
        "L",
        scalar="check_vjp",
    )
    domain = settings.domain
    own = {} if domain is None else domain if isinstance(domain, Mapping) else {wanted[0]: domain}
    return compare("check_vjp", subject, replace(settings, domain={cotangent: "real", **own}))


def _is_open(f: Any) -> bool:
    """Whether a function takes any number of arguments."""
    try:
        kinds = [parameter.kind for parameter in inspect.signature(f).parameters.values()]
    except (TypeError, ValueError):
        return False
    return inspect.Parameter.VAR_POSITIONAL in kinds


def _order(backward: Any, arguments: list[str], out: str | None) -> list[str | None]:
    """What a backward pass takes after the cotangent: names of f's arguments, None for its output."""
    if not callable(backward):
        raise TypeError(f"check_vjp: backward must be a function backward(grad_out, …), got {backward!r}")
    cotangent, *parameters = parameters_of(backward) or ["", *arguments]
    if cotangent in arguments:
        raise TypeError(
            f"check_vjp: backward takes the cotangent of f's output first, as backward(grad_out, "
            f"{cotangent}); its first parameter is f's argument {cotangent!r}"
        )
    if not parameters and _is_open(backward):  # backward(grad_out, *inputs)
        parameters = arguments
    if kept := {*CACHES} & {*parameters} - {*arguments}:
        raise TypeError(
            f"check_vjp: backward asks for {min(kept)}, which f does not give; let it take f's arguments "
            f"or its output by name, as backward({cotangent}, {', '.join([*arguments, 'out'])})"
        )
    outputs = {*OUTPUTS, out} - set(arguments)
    unnamed = iter([name for name in arguments if name not in parameters])
    order = [
        name if name in arguments else None if name in outputs else next(unnamed, "") for name in parameters
    ]
    if "" in order:
        raise TypeError(f"check_vjp: backward takes {listed(parameters)}; f takes {listed(arguments)}")
    return order
