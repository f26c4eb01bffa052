"""The hand result that is to be explained, and the test that an explanation has to pass."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from autograd_mini.check.diagnosis.evidence import Evidence, Explanation, Point

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
Results: TypeAlias = "Mapping[str, Floats]"

SURE = 40.0  # bits that one entry can tell at most: two floats that agree so far agree
SAMPLE = 64  # entries by which the many candidates are sifted before the few are tried


@dataclass(frozen=True)
class Candidate:
    """What somebody who made a certain mistake would have written: ``result`` at the numbered point.

    A result of None at a point means that the mistake cannot be made there.
    """

    result: Callable[[int], Results | None]
    explain: Callable[[], Explanation]


class Case:
    """The wrong part of a hand result, at every point where the truth is finite."""

    def __init__(self, evidence: Evidence, names: tuple[str, ...]) -> None:
        self.evidence = evidence
        self.names = names
        self._slacks: dict[tuple[int, str], tuple[float, float]] = {}
        self.points = [point for point in evidence.points if _finite(point, names)]

    @cached_property
    def wrong(self) -> tuple[str, ...]:
        """The names for which the hand result is wrong somewhere."""
        return tuple(
            name
            for name in self.names
            if not all(self.agrees(p, name, point.truth[name]) for p, point in enumerate(self.points))
        )

    @property
    def title(self) -> str:
        """What was asked for: ∂f/∂x, or ∂f/∂(x, y)."""
        return self.symbol(self.names[0] if len(self.names) == 1 else f"({', '.join(self.names)})")

    def symbol(self, name: str) -> str:
        return f"∂{self.evidence.out}/∂{name}"

    def agrees(self, p: int, name: str, candidate: Floats) -> bool:
        """Whether the hand result for one name may be a rounding of the candidate."""
        yours = self.points[p].yours[name]
        if yours.shape != candidate.shape or not np.isfinite(candidate).all():
            return False
        floor, relative = self.slack(p, name)
        distance = abs(yours - candidate)
        return bool((distance <= floor + relative * np.maximum(abs(yours), abs(candidate))).all())

    @property
    def is_over(self) -> bool:
        """Whether the time for the diagnosis is."""
        return time.perf_counter() > self.evidence.deadline

    def fits(self, result: Callable[[int], Results | None]) -> bool:
        """Whether the candidate is the hand result at every point."""
        if self.is_over:
            return False
        for p in self.order:
            results = result(p)
            if results is None or not all(self.agrees(p, name, results[name]) for name in self.names):
                return False
        return True

    def slack(self, p: int, name: str) -> tuple[float, float]:
        """The slack of the truth's entries as an absolute and a relative part, for numbers of any size."""
        if (p, name) not in self._slacks:
            self._slacks[p, name] = self._split_slack(p, name)
        return self._slacks[p, name]

    def _split_slack(self, p: int, name: str) -> tuple[float, float]:
        point = self.points[p]
        slack, size = point.slack[name], abs(point.truth[name])
        floor = float(np.min(slack, initial=math.inf)) if slack.size else 0.0
        beyond = (slack - floor) / np.where(size > 0, size, math.inf)
        return floor + 1e-13 * float(np.max(size, initial=0.0)), float(np.max(beyond, initial=0.0)) + 1e-12

    @cached_property
    def width(self) -> float:
        """How well a constant is known: the relative slack of the largest entry, kept between bounds."""
        home, name = self.home, self.names[0]
        floor, relative = self.slack(home, name)
        largest = max(float(np.max(abs(self.points[home].yours[name]), initial=0.0)), 1e-300)
        return min(1e-2, floor / largest + relative + 1e-9)

    @cached_property
    def is_one_number(self) -> bool:
        """Whether the hand result is one number, up to its sign, to which a factor can always be found."""
        sizes = np.concatenate(
            [abs(point.yours[name]).ravel() for point in self.points for name in self.names]
        )
        return bool(np.ptp(sizes[sizes > 0]) <= 1e-6 * sizes.max()) if sizes.any() else True

    # --- the arguments that are not differentiated ---

    @cached_property
    def arrays(self) -> list[str]:
        """Those that are numbers or arrays of them."""
        found = []
        for name, x in self.points[0].arguments.items():
            if name not in self.names and isinstance(x, (int, float, list, tuple, np.ndarray)):
                try:
                    numbers = np.asarray(x, dtype=float)
                except (TypeError, ValueError):
                    continue
                if numbers.size and np.isfinite(numbers).all():
                    found.append(name)
        return found

    def argument(self, p: int, name: str) -> Floats:
        return np.asarray(self.points[p].arguments[name], dtype=float).ravel()

    # --- one matrix, outputs by inputs, for all names together ---

    @cached_property
    def shaped(self) -> bool:
        """Whether the hand result has the right shapes."""
        return all(p.yours[name].shape == p.truth[name].shape for p in self.points for name in self.names)

    @cached_property
    def rows(self) -> int:
        return self.points[0].output.ndim

    @cached_property
    def outputs(self) -> int:
        return self.points[0].output.size

    def matrix(self, results: Results) -> Floats:
        return np.concatenate([results[name].reshape(self.outputs, -1) for name in self.names], axis=1)

    def split(self, p: int, matrix: Floats) -> dict[str, Floats]:
        parts, start = {}, 0
        for name in self.names:
            truth = self.points[p].truth[name]
            width = truth.size // max(1, self.outputs)
            parts[name] = matrix[:, start : start + width].reshape(truth.shape)
            start += width
        return parts

    @cached_property
    def difference(self) -> list[Floats]:
        return [self.matrix(point.yours) - self.matrix(point.truth) for point in self.points]

    @cached_property
    def tolerance(self) -> list[Floats]:
        """How far a candidate may lie from the hand result, for sifting: never narrower than `agrees`."""
        found = []
        for p, point in enumerate(self.points):
            parts = {}
            for name in self.names:
                floor, relative = self.slack(p, name)
                size = np.maximum(abs(point.yours[name]), abs(point.truth[name]))
                parts[name] = 2 * (floor + relative * size)
            found.append(self.matrix(parts))
        return found

    @cached_property
    def home(self) -> int:
        """The point at which most entries are wrong, where candidates are tried first."""
        if not self.shaped:
            return 0
        wrong = [
            np.count_nonzero(abs(self.difference[p]) > self.tolerance[p]) for p in range(len(self.points))
        ]
        return int(np.argmax(wrong))

    @cached_property
    def order(self) -> list[int]:
        home = self.home
        return [home, *(p for p in range(len(self.points)) if p != home)]

    @cached_property
    def sample(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns of the entries by which candidates are sifted, the most wrong first."""
        size = abs(self.difference[self.home]) / self.tolerance[self.home]
        wrong = np.argsort(-size, axis=None, kind="stable")
        chosen = np.unique(np.concatenate([wrong[: SAMPLE // 2], wrong[:: max(1, len(wrong) // SAMPLE)]]))
        rows, columns = np.unravel_index(chosen, size.shape)
        return rows, columns

    @cached_property
    def information(self) -> float:
        """How many bits the wrong entries tell: what an explanation could have been refuted by.

        Entries that are equal tell no more than one of them.
        """
        total = 0.0
        for p, point in enumerate(self.points):
            for name in self.names:
                yours, truth = point.yours[name], point.truth[name]
                floor, relative = self.slack(p, name)
                wrong = yours
                if yours.shape == truth.shape:
                    wrong = yours[abs(yours - truth) > floor + relative * np.maximum(abs(yours), abs(truth))]
                size = float(np.max(abs(yours), initial=0.0))
                unit = floor + relative * size
                if wrong.size and size and unit:
                    distinct = len(np.unique(np.round(wrong / (10 * unit))))
                    total += distinct * min(SURE, max(0.0, math.log2(size / unit)))
        return total


def _finite(point: Point, names: tuple[str, ...]) -> bool:
    return all(
        np.isfinite(point.truth[name]).all() and np.isfinite(point.yours[name]).all() for name in names
    )


# --- constants -------------------------------------------------------------------------------------------

CONSTANTS = {"ln 2": math.log(2), "ln 10": math.log(10), "π": math.pi, "2π": 2 * math.pi}


def constant_name(c: float, sizes: Mapping[int, str], width: float, common: bool = False) -> str | None:
    """A constant that a person could have lost, in words: 2, ½, N, 1/N, a small fraction, a logarithm.

    ``sizes`` are the numbers of entries that a mean could have been taken over; ``width`` is the
    relative error of ``c``; ``common`` leaves it at the first four.
    """
    names = (_common if common else _constants)(tuple(sizes.items()))
    for number, text in names.items():
        if abs(abs(c) - number) <= width * number:
            return f"−{text}" if c < 0 else text
    return None


def _common(sizes: tuple[tuple[int, str], ...]) -> dict[float, str]:
    names = {1.0: "1", 2.0: "2", 0.5: "½"}
    for n, what in _counts(sizes):
        names.setdefault(float(n), f"{n}, {what}")
        names.setdefault(1 / n, f"1/{n}, one over {what}")
    return names


@cache
def _constants(sizes: tuple[tuple[int, str], ...]) -> dict[float, str]:
    names = _common(sizes)
    for numerator, denominator in product(range(1, 13), repeat=2):
        if math.gcd(numerator, denominator) == 1:
            text = f"{numerator}/{denominator}" if denominator > 1 else f"{numerator}"
            names.setdefault(numerator / denominator, text)
    for n, what in _counts(sizes):
        names.setdefault(2 / n, f"2/{n}, two over {what}")
        names.setdefault(n / 2, f"{n}/2, half of {what}")
    for text, number in CONSTANTS.items():
        names.setdefault(number, text)
        names.setdefault(1 / number, f"1/({text})")
    return names


def _counts(sizes: tuple[tuple[int, str], ...]) -> list[tuple[int, str]]:
    return [(n, what) for n, what in sizes if n > 2]
