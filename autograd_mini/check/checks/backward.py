"""Backward passes in code, as people have them: held against the derivative of their forward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_mini.arguments import with_parameters
from autograd_mini.arrays import holds_values
from autograd_mini.check.checks.comparison import compare, places_of
from autograd_mini.check.margin import Margin, Recorded, Trial, explained
from autograd_mini.check.reports.report import Report
from autograd_mini.check.settings import settings_of
from autograd_mini.check.subjects.arguments import (
    EPSILON,
    as_array,
    is_floating,
    is_plain,
    numbers_of,
)
from autograd_mini.check.subjects.binding import Passes
from autograd_mini.check.subjects.hand import Claim
from autograd_mini.check.subjects.naming import plain_number
from autograd_mini.check.subjects.passes import plain
from autograd_mini.check.subjects.subject import Subject, subject_of
from autograd_mini.progress import printing_once
from autograd_mini.rebuilding import following
from autograd_mini.trees import leaves, unflatten

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from autograd_mini.check.settings import Options


TRIALS = 3  # at which a changed line is tried
LARGE, FEW = 400, 2  # numbers that are moved, with more of which a few random points do


@printing_once()
def check_backward(
    forward: Any,
    backward: Any = None,
    at: Any = None,
    wrt: str | Sequence[str] | None = None,
    out: str | Sequence[str] | None = None,
    gradients: Mapping[str, str | int] | None = None,
    loss: Callable[..., Any] | None = None,
    **options: Unpack[Options],
) -> Report:
    """Check a backward pass, which takes the cotangent ∂L/∂out of forward's output to gradients ∂L/∂W.

    ``forward`` and ``backward`` are functions or methods; of a class or an instance alone the methods are
    found, and a function alone returns ``(loss, gradients)``. Truth is the derivative of L = Σ grad_out · out
    with cotangents drawn at random at every point, as ones would hide that ``grad_out`` was forgotten; of
    the output itself, where it is a scalar and backward takes no cotangent; of ``loss(out, …)``, a function
    of forward's output and of what ``at`` gives by name, where that is what backward starts from.

    ``at`` gives by name what forward and backward take, what a class takes for its instance, and attributes
    and variables that are to have another value. Backward takes by name: arguments of forward, what forward
    returns, its output (``out``, or the name that ``out=`` says), a cache, a learning rate; what its
    parameters are called otherwise is the cotangent, then arguments of forward in their order. Gradients are
    found by name in what backward returns, or leaves in attributes and variables: ``dW``, ``grad_W``,
    ``W_grad``, ``grads["W"]``, ``W.grad`` for ``W``; without names, in the order of arguments; where backward
    changes a parameter, its gradient is what that step implies. The report says what was bound to what. Where
    names and shapes leave a choice there is a TypeError, and ``gradients={"W": "dW", "x": 0}`` says it, by
    names or by the place among the results. ``wrt`` names those to compare.

    A gradient of shape (4,) will do for a bias of shape (1, 4), whose step it is. Of passes with many numbers
    2 random ``points`` are tried unless more are asked for; numbers that are given between 0 and 1 stay
    there, as a pass may clip them. All is done on copies: no argument, instance or module is changed. The
    rest is as in `check_gradient`.

    >>> import numpy as np
    >>> def forward(x, W, b):
    ...     return np.tanh(x @ W + b), (x, W, np.tanh(x @ W + b))
    >>> def backward(dout, cache):
    ...     x, W, h = cache
    ...     dz = dout * (1 - h**2)
    ...     return {"dx": dz @ W.T, "dW": x.T @ dz, "db": dz.sum(axis=1)}
    >>> at = {"x": np.ones((3, 4)), "W": np.ones((4, 5)), "b": np.zeros(5)}
    >>> check_backward(forward, backward, at=at).sections
    {'x': 'agrees', 'W': 'agrees', 'b': 'disagrees'}
    >>> class Layer:
    ...     def __init__(self, W):
    ...         self.W = W
    ...     def forward(self, x):
    ...         self.x = x
    ...         return x @ self.W
    ...     def backward(self, dout):
    ...         self.dW = self.x.T @ dout
    ...         return dout @ self.W.T
    >>> check_backward(Layer, at={"W": np.ones((4, 5)), "x": np.ones((3, 4))}).sections
    {'x': 'agrees', 'W': 'agrees'}

    An ``autograd.Function`` of PyTorch is a class of two passes, ``check_backward(Exp, at=x)``; through its
    ``apply`` it is checked by::

        def backward(grad_out, x):
            x.requires_grad_()
            return torch.autograd.grad(Exp.apply(x), x, grad_out)[0]
        check_backward(Exp.apply, backward, at=x)
    """
    passes = Passes(forward, backward, at, wrt, out, gradients, loss)
    is_large = sum(map(np.size, passes.arguments.values())) > LARGE
    settings = settings_of("check_backward", {**({"points": FEW} if is_large else {}), **options})
    subject = _subject(passes, settings.seed)
    cotangents = [name for name in subject.arguments if name not in passes.arguments]
    domain = settings.domain
    if domain is not None and not isinstance(domain, Mapping):
        domain = dict.fromkeys(passes.wrt[:1], domain)
    inside = {name: given for name in passes.wrt if (given := _fractions(passes.arguments[name])) is not None}
    domain = {**dict.fromkeys(cotangents, "real"), **inside, **(domain or {})}
    settings = replace(settings, domain=domain or None)
    explain = partial(_explained, passes, subject, cotangents)
    report = compare("check_backward", subject, settings, explain)
    return replace(report, more=(*report.more, *passes.bound))


def _explained(
    passes: Passes, subject: Subject, cotangents: Sequence[str], report: Report, seconds: float
) -> Margin | None:
    """What is wrong in the lines of a backward pass, None where nothing can be said of them."""
    trials: list[Trial] = []
    output = _as_one(passes.forward(passes.arguments)[0])
    for place in places_of(subject, replace(report.settings, points=max(TRIALS - 1, report.settings.points)))[
        0
    ]:
        own = {name: place.arguments[name] for name in passes.arguments}
        given = iter([place.arguments[name] for name in cotangents])
        cotangent = unflatten(output, given) if cotangents else 1.0
        known = [
            at.testimony
            for at in report.findings
            if at.place.number == place.number and at.testimony is not None and at.judgement is not None
        ]
        if known and not known[0].probe.note and len(known[0].truth) == 1:
            truth = subject.split(known[0].truth.reshape(-1))
        else:
            try:
                truth = Recorded.of(passes, own, cotangent).gradients()
            except Exception:  # it cannot be followed, or not here
                continue
        if all(np.isfinite(x).all() for x in truth.values()):
            trials.append(Trial(own, cotangent, truth))
        if len(trials) == TRIALS:
            break
    return explained(passes, trials, seconds) if trials else None


def _subject(passes: Passes, seed: int) -> Subject:
    """The output, or its products with cotangents, as a function of these and of the arguments."""
    output = _as_one(passes.forward(passes.arguments)[0])
    cotangents = _cotangents(output, passes.arguments, seed) if passes.seeded else {}
    arguments = {**cotangents, **passes.arguments}

    def known(numbers: Sequence[Any]) -> tuple[dict[str, Any], Any]:
        """The arguments, and what stands in the place of a function that is called on them."""
        own = dict(zip(arguments, numbers, strict=True))
        call = following if holds_values(list(numbers)) else plain
        return {name: own[name] for name in passes.arguments}, call

    def paired(*numbers: Any) -> Any:
        result = _as_one(passes.forward(*known(numbers))[0])
        if not cotangents:
            return result
        return sum(np.sum(g * x) for g, x in zip(numbers, leaves(result), strict=False))

    def pulled_back(*numbers: Any) -> dict[str, Any]:
        own, call = known(numbers)
        _, state = passes.forward(own, call)
        cotangent = unflatten(output, iter(numbers)) if cotangents else 1.0
        found = passes.backward(state, cotangent, own, call)
        return {name: _claimed(own[name], x, passes.rates.get(name)) for name, x in found.items()}

    f, hand = (with_parameters(g, arguments) for g in (paired, pulled_back))
    return subject_of(f, hand, arguments, passes.wrt, "L", scalar="check_backward")


def _fractions(x: Any) -> Any:
    """The domain of numbers that all lie between 0 and 1, where a pass may clip; None of others."""
    if not is_floating(x) or not np.size(x) or not 0 < np.min(x) <= np.max(x) < 1:
        return None
    is_simplex = np.ndim(x) and np.shape(x)[-1] > 1 and np.allclose(np.sum(x, axis=-1), 1)
    return "simplex" if is_simplex else (float(np.min(x)) / 2, (1 + float(np.max(x))) / 2)


def _as_one(output: Any) -> Any:
    """The output, where it is a row of numbers as an array."""
    is_row = isinstance(output, (list, tuple)) and not any(map(np.ndim, output))
    return np.array(output) if is_row else output


def _cotangents(output: Any, taken: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """A random cotangent for each leaf of the output, by names that are not taken."""
    random = np.random.default_rng(seed)
    found = leaves(output)
    name = "grad_out" + "_" * ("grad_out" in taken)
    names = [name] if len(found) == 1 else [f"{name}[{i}]" for i in range(len(found))]
    return {
        name: plain_number(random.standard_normal(np.shape(x))) for name, x in zip(names, found, strict=True)
    }


def _claimed(before: Any, gradient: Any, rate: float | None) -> Any:
    """A gradient, with what rounding does to one that a step implies, in the shape that a step gives it."""
    gradient = as_array(gradient)
    if is_plain(gradient) and np.size(gradient) == np.size(before) and np.ndim(gradient) < np.ndim(before):
        with suppress(ValueError):
            gradient = np.broadcast_to(gradient, np.shape(before))
    if rate is None or holds_values((before, gradient)):
        return gradient
    rounding = 4 * EPSILON * (abs(numbers_of(before)) + abs(rate * numbers_of(gradient)))
    return Claim(numbers_of(gradient), rounding / abs(rate), printed=False)


check_vjp = check_backward
"""The old name, of a pure ``backward(grad_out, …)``."""
