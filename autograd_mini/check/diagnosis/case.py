"""The hand result that is to be explained, and the one test that a candidate has to pass."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from autograd_mini.check.diagnosis.constants import constant_name
from autograd_mini.check.diagnosis.evidence import Evidence, Explanation, Point
from autograd_mini.check.subjects.arguments import Floats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Indices: TypeAlias = NDArray[np.intp]
Results: TypeAlias = Mapping[str, Floats]
At: TypeAlias = "Callable[[Point], Results | None]"  # what is written at a point; None if it cannot be

SURE = 40.0  # bits that one entry can tell at most: two floats that agree so far agree
ROUND = 8.0  # bits that a number tells which anybody could have written, as 1
SAMPLE = 64  # entries by which the many candidates are sifted before the few are tried


@dataclass(frozen=True)
class Candidate:
    """What somebody who made a certain mistake would have written: ``result`` at a point.

    ``names`` are made when the candidate is chosen and fill its two sentences; G, H and V are nodes of the
    graph.
    """

    kind: str
    text: str
    formula: str
    result: At
    names: Callable[[], Mapping[str, str]] = dict

    def explain(self) -> Explanation | None:
        """The mistake in words; None where the words tell two things apart that have one name."""
        names = self.names()
        nodes = tuple(dict.fromkeys(names[x] for x in "VGH" if x in names))
        said = [names[x] for x in "GHV" if x in names and f"{{{x}}}" in self.text]
        if len({*said}) < len(said):
            return None
        return Explanation(self.kind, self.text.format_map(names), self.formula.format_map(names), nodes)


@dataclass(frozen=True, eq=False)
class Case:
    """The part of a hand result for some names, at every point where it and the truth are finite."""

    evidence: Evidence
    names: tuple[str, ...]

    @cached_property
    def points(self) -> list[Point]:
        return [
            point for point in self.evidence.points
            if all(np.isfinite(part[x]).all() for x in self.names for part in (point.truth, point.yours))
        ]  # fmt: skip

    @property
    def wrong(self) -> tuple[str, ...]:
        """The names for which the hand result is wrong somewhere."""
        return tuple(
            x for x in self.names if not all(self.agrees(point, x, point.truth[x]) for point in self.points)
        )

    @property
    def title(self) -> str:
        """What was asked for: ∂f/∂x, or ∂f/∂(x, y); f itself, where a value was."""
        return self.evidence.out if self.names == ("",) else f"∂{self.evidence.out}/∂{self.inputs}"

    @property
    def inputs(self) -> str:
        return self.names[0] if len(self.names) == 1 else f"({', '.join(self.names)})"

    @property
    def is_over(self) -> bool:
        """Whether the time for the diagnosis is."""
        return time.perf_counter() > self.evidence.deadline

    # --- how far apart two numbers may lie ---

    @cached_property
    def _slacks(self) -> dict[tuple[int, str], tuple[float, float]]:
        return {(id(point), x): _slack(point, x) for point in self.points for x in self.names}

    def allowed(self, point: Point, name: str, *sizes: Floats) -> Floats:
        floor, relative = self._slacks[id(point), name]
        return np.asarray(floor + relative * np.maximum.reduce([abs(x) for x in sizes]))

    def agrees(self, point: Point, name: str, candidate: Floats) -> bool:
        """Whether the hand result for one name may be a rounding of the candidate."""
        yours = point.yours[name]
        if yours.shape != candidate.shape or not np.isfinite(candidate).all():
            return False
        return bool((abs(yours - candidate) <= self.allowed(point, name, yours, candidate)).all())

    def fits(self, result: At) -> bool:
        """Whether the candidate is the hand result at every point, first where most entries are wrong."""
        for point in sorted(self.points, key=lambda point: point is not self.home):
            results = result(point)
            if results is None or not all(self.agrees(point, x, results[x]) for x in self.names):
                return False
        return True

    @cached_property
    def width(self) -> float:
        """How well a constant is known: the relative slack of the largest entry, kept between bounds."""
        floor, relative = self._slacks[id(self.home), self.names[0]]
        largest = float(np.max(abs(self.home.yours[self.names[0]]), initial=1e-300))
        return min(1e-2, floor / largest + relative + 1e-9)

    @cached_property
    def bits(self) -> float:
        """How much the wrong entries tell: what an explanation could have been refuted by.

        Numbers that are equal, at whatever points, tell no more than one of them, a simple fraction little.
        """
        told: dict[str, float] = {}
        for point, x in ((point, x) for point in self.points for x in self.names):
            yours, truth = point.yours[x], point.truth[x]
            size = float(np.max(abs(yours), initial=0.0))
            unit = float(self.allowed(point, x, np.array(size)))
            if yours.shape == truth.shape:
                yours = yours[abs(yours - truth) > self.allowed(point, x, yours, truth)]
            for number in np.unique(yours).tolist() if size and unit else ():
                simple = number and constant_name(number, {}, 1e-9)  # a 0 among others is a part left out
                told[f"{number:.4e}"] = ROUND if simple else min(SURE, math.log2(size / unit))
        return sum(max(0.0, bits) for bits in told.values())

    @cached_property
    def is_one_number(self) -> bool:
        """Whether the hand result is one number, up to its sign, to which a factor can always be found."""
        sizes = np.concatenate([abs(point.yours[x]).ravel() for point in self.points for x in self.names])
        return not sizes.any() or bool(np.ptp(sizes[sizes > 0]) <= 1e-6 * sizes.max())

    # --- the arguments of f ---

    @cached_property
    def arrays(self) -> dict[str, Floats]:
        """Those that are not differentiated and are numbers or arrays of them, at the first point."""
        found = {}
        for name in self.points[0].arguments.keys() - {*self.names}:
            with suppress(TypeError, ValueError):
                found[name] = argument(self.points[0], name)
        return {
            x: found[x] for x in self.points[0].arguments
            if x in found and found[x].size and np.isfinite(found[x]).all()
        }  # fmt: skip

    @cached_property
    def sizes(self) -> dict[int, str]:
        """The numbers of things that a mean could have been taken over."""
        sizes = {self.outputs: "the number of outputs"} if self.rows else {}
        for name in [*self.arrays, *self.names]:
            shape = np.shape(self.points[0].arguments.get(name, ()))
            parts = (shape[:1], "length"), (shape, "number of entries"), (shape[-1:], "row length")
            for axes, what in parts if shape else ():
                sizes.setdefault(math.prod(axes), f"the {what} of {name}")
        return sizes

    # --- one matrix, outputs by inputs, for all names together ---

    @cached_property
    def shaped(self) -> bool:
        """Whether the hand result has the right shapes."""
        return all(point.yours[x].shape == point.truth[x].shape for point in self.points for x in self.names)

    @property
    def rows(self) -> int:
        return self.points[0].output.ndim

    @property
    def outputs(self) -> int:
        return self.points[0].output.size

    def matrix(self, results: Results) -> Floats:
        return np.concatenate([results[name].reshape(self.outputs, -1) for name in self.names], axis=1)

    def split(self, matrix: Floats) -> dict[str, Floats]:
        shapes = [self.points[0].truth[name].shape for name in self.names]
        ends = np.cumsum([math.prod(shape) // max(1, self.outputs) for shape in shapes])
        parts = zip(self.names, np.split(matrix, ends[:-1], axis=1), shapes, strict=True)
        return {name: part.reshape(shape) for name, part, shape in parts}

    def _difference(self, point: Point) -> Floats:
        return self.matrix(point.yours) - self.matrix(point.truth)

    def _tolerance(self, point: Point) -> Floats:
        return self.matrix(
            {x: 2 * self.allowed(point, x, point.yours[x], point.truth[x]) for x in self.names}
        )

    @cached_property
    def _wrong(self) -> list[NDArray[np.bool_]]:
        return [abs(self._difference(point)) > self._tolerance(point) for point in self.points]

    @property
    def wrong_entries(self) -> NDArray[np.bool_]:
        return np.asarray(np.any(self._wrong, axis=0))

    @cached_property
    def home(self) -> Point:
        """The point at which most entries are wrong, where candidates are tried first."""
        return self.points[int(np.argmax([*map(np.count_nonzero, self._wrong)])) if self.shaped else 0]

    @cached_property
    def difference(self) -> Floats:
        """What the hand result has too much, at home."""
        return self._difference(self.home)

    @cached_property
    def tolerance(self) -> Floats:
        """How far a candidate may lie from the hand result at home: never narrower than `agrees`."""
        return self._tolerance(self.home)

    @cached_property
    def sample(self) -> tuple[Indices, Indices]:
        """Rows and columns of the entries by which candidates are sifted, the most wrong first."""
        size = abs(self.difference) / self.tolerance
        wrong = np.argsort(-size, axis=None, kind="stable")
        chosen = np.unique(np.concatenate([wrong[: SAMPLE // 2], wrong[:: max(1, len(wrong) // SAMPLE)]]))
        rows, columns = np.unravel_index(chosen, size.shape)
        return rows, columns


def argument(point: Point, name: str) -> Floats:
    return np.asarray(point.arguments[name], dtype=float).ravel()


def _slack(point: Point, name: str) -> tuple[float, float]:
    """A floor and a relative part that together are at least the slack, for results of any size."""
    slack, size = point.slack[name], abs(point.truth[name])
    floor = float(np.min(slack)) if slack.size else 0.0
    beyond = (slack - floor) / np.where(size > 0, size, math.inf)
    return floor + 1e-13 * float(np.max(size, initial=0.0)), float(np.max(beyond, initial=0.0)) + 1e-12
