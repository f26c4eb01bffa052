"""The runs of a backward pass at one point: what its lines compute, and what comes of it if one computes
something else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from autograd_mini.arrays import elementwise
from autograd_mini.check.subjects.hand import Formula
from autograd_mini.rebuilding import Rebuilt, Watch
from autograd_mini.rewriting import SITES
from autograd_mini.rules import table
from autograd_mini.trees import leaves
from autograd_mini.value import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]

MOST = 60_000  # results of one run
RTOL = 1e-6  # of a gradient that is right
FAR_OFF = 1e-3  # far from the given point, where an epsilon in the forward pass counts for more
CANCELLED = 1e-13  # times the largest gradient: what rounding leaves where all cancels


class Derivation(Protocol):
    """A forward pass and a backward pass, as `subjects.binding.Passes` has them."""

    @property
    def wrt(self) -> tuple[str, ...]: ...
    @property
    def joined(self) -> bool: ...
    @property
    def roots(self) -> Sequence[Callable[..., Any]]: ...
    def forward(self, arguments: Mapping[str, Any], call: Any = ...) -> tuple[Any, Any]: ...
    def backward(
        self, state: Any, cotangent: Any, arguments: Mapping[str, Any], call: Any = ...
    ) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Trial:
    """A point, a cotangent of the output there, and the gradients that are right.

    With ``scaled`` a gradient is right that is so but for a positive factor.
    """

    arguments: Mapping[str, Any]
    cotangent: Any
    truth: Mapping[str, Floats]
    tolerance: float = RTOL
    scaled: bool = False

    def right(self, gradients: Mapping[str, Any]) -> set[str]:
        """The names of the gradients that are right, whatever their shape."""
        return {name for name in self.truth if self._is_right(name, gradients.get(name))}

    def _is_right(self, name: str, given: Any) -> bool:
        truth = self.truth[name]
        try:
            numbers = np.asarray(given, dtype=float)
        except (TypeError, ValueError):
            return False
        return numbers.size == truth.size and self.is_true(name, numbers.reshape(truth.shape))

    def is_true(self, name: str, gradient: Floats) -> bool:
        """Whether a gradient is right; one that cancels, so far as the largest of all lets it."""
        truth = self.truth[name]
        if self.scaled and truth.size > 2:
            factor = np.vdot(gradient, truth) / (np.vdot(truth, truth) or 1.0)
            return bool(factor > 0) and close(gradient, factor * truth, self.tolerance)
        return close(gradient, truth, self.tolerance, CANCELLED * self._largest)

    @cached_property
    def _largest(self) -> float:
        return max((float(np.max(abs(x), initial=0.0)) for x in self.truth.values()), default=0.0)


class Event(NamedTuple):
    """A result in a run: where in the code, which in the run, and a copy of it."""

    site: int
    place: int
    result: Any


class LongError(Exception):
    """A run has too many results to be watched."""


class LossError(Exception):
    """A run has another loss than it should, and so another forward pass."""


class Recorder:
    """Watches a run: keeps its results, and puts others in the place of some, by their place in the run.

    With ``apart``, what is looked up in an array of Values or used in an expression has nodes of its own, so
    that its adjoint is what comes through that use alone.
    """

    def __init__(
        self, put: Mapping[int, Floats] | None = None, keep: bool = True, apart: bool = False
    ) -> None:
        self.put, self.keep, self.apart = put or {}, keep, apart
        self.events: list[Event] = []
        self.count = 0

    def __call__(self, site: int, result: Any) -> Any:
        place = self.count
        self.count += 1
        kind = SITES[site].kind
        if place in self.put:
            return _replaced(result, self.put[place], in_place=kind in ("whole", "added"))
        if self.apart and kind in ("item", "used", "passed") and _holds_values(result):
            result = elementwise(table["identity"], result)
        if self.keep and (kind != "used" or self.apart) and (kept := _kept(result)) is not None:
            self.events.append(Event(site, place, kept))
            if len(self.events) > MOST:
                raise LongError
        return result


def _holds_values(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype == object and all(isinstance(e, Value) for e in x.flat)


def _kept(x: Any) -> Any:
    """A copy of what holds numbers with a derivative, None of anything else."""
    if isinstance(x, np.ndarray) and x.dtype.kind in "fO":
        return np.array(x, copy=True)
    return x if isinstance(x, (float, np.floating, Value)) else None


def _replaced(x: Any, new: Floats, in_place: bool) -> Any:
    """Numbers in the place of others of their shape; an array that is shared is changed itself."""
    if not isinstance(x, np.ndarray):
        return type(x)(new.item()) if isinstance(x, float) else x
    if in_place and x.dtype.kind == "f":
        x[...] = new.reshape(x.shape)
        return x
    return new.reshape(x.shape).copy()


class Runs:
    """The runs of a backward pass in one trial, after one forward pass."""

    def __init__(self, passes: Derivation, trial: Trial) -> None:
        self.passes, self.trial = passes, trial
        self.functions: dict[CodeType, FunctionType] = {}  # that ran
        with np.errstate(all="ignore"):
            self.output, self.state = passes.forward(trial.arguments)

    def gradients(
        self, watch: Watch | None = None, mended: Mapping[Any, Any] | None = None
    ) -> Mapping[str, Any]:
        """The gradients, as the backward pass gives them when it is watched, or mended."""

        def call(f: Callable[..., Any]) -> Callable[..., Any]:
            if isinstance(f, Formula):
                formula: Formula = (mended or {}).get(f, f)
                return formula
            rebuilt = Rebuilt(f, watch, on_values=False, mended=mended)
            rebuilt.functions = self.functions
            own: Callable[..., Any] = rebuilt(f)
            return own

        arguments, state = self.trial.arguments, self.state
        with np.errstate(all="ignore"):
            if self.passes.joined:
                output, state = self.passes.forward(arguments, call)
                if not same(output, self.output):
                    raise LossError
            return self.passes.backward(state, self.trial.cotangent, arguments, call)

    def recorded(self) -> tuple[Mapping[str, Any], list[Event]]:
        """The gradients, and every result on the way to them."""
        recorder = Recorder()
        return self.gradients(recorder), recorder.events

    def replaced(self, put: Mapping[int, Floats]) -> set[str]:
        """The gradients that are right if other results are put in the place of some."""
        return self.trial.right(self.gradients(Recorder(put, keep=False)))


ADJOINT = re.compile(r"(self\.)?(d|grad|delta)", re.IGNORECASE)  # how names of adjoints begin
CALLED = ("d{}", "grad{}", "{}grad", "delta{}", "{}delta", "dl{}", "dld{}", "d{}dl", "dloss{}", "g{}", "{}d")


def is_called(name: str, adjoint: str) -> bool:
    """Whether a name in the code says that it is an adjoint: ``dh`` or ``grad_h`` that it is ∂L/∂h."""
    own, of = (re.sub(r"\W|_", "", x).lower() for x in (name, adjoint.removeprefix("∂L/∂")))
    return own.removeprefix("self") in {mark.format(of.removeprefix("self")) for mark in CALLED}


def same(a: Any, b: Any) -> bool:
    """Whether two outputs are the same numbers."""
    pairs = zip(leaves(a), leaves(b), strict=True)
    return all(np.array_equal(np.asarray(x), np.asarray(y), equal_nan=True) for x, y in pairs)


def close(x: Floats, y: Floats, tolerance: float = 1e-7, floor: float = 0.0) -> bool:
    """Whether two arrays of one shape are alike, measured by the largest of the second."""
    if x.shape != y.shape:
        return False
    size = float(np.max(abs(y), initial=0.0))
    return bool(np.max(abs(x - y), initial=0.0) <= tolerance * size + floor)
