"""The hand result that is to be explained, and the one test that a candidate has to pass."""

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
    Indices: TypeAlias = NDArray[np.intp]
Results: TypeAlias = "Mapping[str, Floats]"

SURE = 40.0  # bits that one entry can tell at most: two floats that agree so far agree
ROUND = 8.0  # bits that a number tells which anybody could have written, as 1
SAMPLE = 64  # entries by which the many candidates are sifted before the few are tried
CONSTANTS = {"ln 2": math.log(2), "ln 10": math.log(10), "π": math.pi, "2π": 2 * math.pi}


@dataclass(frozen=True)
class Candidate:
    """What somebody who made a certain mistake would have written: ``result`` at the numbered point.

    A result of None says that the mistake cannot be made there. ``names`` are made when the candidate is
    chosen and fill its two sentences; G, H and V are nodes of the graph.
    """

    kind: str
    text: str
    formula: str
    result: Callable[[int], Results | None]
    names: Callable[[], Mapping[str, str]] = dict

    def explain(self) -> Explanation | None:
        """The mistake in words; None where the words tell two things apart that have one name."""
        names = self.names()
        nodes = tuple(dict.fromkeys(names[x] for x in "VGH" if x in names))
        said = [names[x] for x in "GHV" if x in names and f"{{{x}}}" in self.text]
        if len({*said}) < len(said):
            return None
        return Explanation(self.kind, self.text.format_map(names), self.formula.format_map(names), nodes)


class Case:
    """The wrong part of a hand result, at every point where the truth is finite."""

    def __init__(self, evidence: Evidence, names: tuple[str, ...]) -> None:
        self.evidence, self.names = evidence, names
        self.points = [point for point in evidence.points if _is_finite(point, names)]
        self._slacks = [{name: _slack(point, name) for name in names} for point in self.points]

    @property
    def wrong(self) -> tuple[str, ...]:
        """The names for which the hand result is wrong somewhere."""
        return tuple(
            name
            for name in self.names
            if not all(self.agrees(p, name, point.truth[name]) for p, point in enumerate(self.points))
        )

    @cached_property
    def title(self) -> str:
        """What was asked for: ∂f/∂x, or ∂f/∂(x, y); f itself, where a value was."""
        if self.names == ("",):
            return self.evidence.out
        return f"∂{self.evidence.out}/∂{self.inputs}"

    @property
    def inputs(self) -> str:
        return self.names[0] if len(self.names) == 1 else f"({', '.join(self.names)})"

    def allowed(self, p: int, name: str, *sizes: Floats) -> Floats:
        floor, relative = self._slacks[p][name]
        return np.asarray(floor + relative * np.maximum.reduce([abs(x) for x in sizes]))

    def agrees(self, p: int, name: str, candidate: Floats) -> bool:
        """Whether the hand result for one name may be a rounding of the candidate."""
        yours = self.points[p].yours[name]
        if yours.shape != candidate.shape or not np.isfinite(candidate).all():
            return False
        return bool((abs(yours - candidate) <= self.allowed(p, name, yours, candidate)).all())

    @property
    def is_over(self) -> bool:
        """Whether the time for the diagnosis is."""
        return time.perf_counter() > self.evidence.deadline

    def fits(self, result: Callable[[int], Results | None]) -> bool:
        """Whether the candidate is the hand result at every point."""
        for p in self.order:
            results = result(p)
            if results is None or not all(self.agrees(p, name, results[name]) for name in self.names):
                return False
        return True

    @cached_property
    def width(self) -> float:
        """How well a constant is known: the relative slack of the largest entry, kept between bounds."""
        floor, relative = self._slacks[self.home][self.names[0]]
        largest = float(np.max(abs(self.points[self.home].yours[self.names[0]]), initial=1e-300))
        return min(1e-2, floor / largest + relative + 1e-9)

    def truth(self, p: int) -> Results:
        return {name: self.points[p].truth[name] for name in self.names}

    # --- the arguments of f ---

    @cached_property
    def arrays(self) -> list[str]:
        """Those that are not differentiated and are numbers or arrays of them."""
        return [name for name in self.points[0].arguments if name not in self.names and self._is_array(name)]

    def _is_array(self, name: str) -> bool:
        try:
            numbers = self.argument(0, name)
        except (TypeError, ValueError):
            return False
        return bool(numbers.size and np.isfinite(numbers).all())

    def argument(self, p: int, name: str) -> Floats:
        return np.asarray(self.points[p].arguments[name], dtype=float).ravel()

    @cached_property
    def sizes(self) -> dict[int, str]:
        """The numbers of things that a mean could have been taken over."""
        sizes = {self.outputs: "the number of outputs"} if self.rows else {}
        for name in [*self.arrays, *self.names]:
            shape = np.shape(self.points[0].arguments.get(name, ()))
            for n, what in zip(
                (*shape[:1], math.prod(shape), *shape[-1:]),
                ("length", "number of entries", "row length"),
                strict=False,
            ):
                sizes.setdefault(n, f"the {what} of {name}")
        return sizes

    # --- one matrix, outputs by inputs, for all names together ---

    @cached_property
    def shaped(self) -> bool:
        """Whether the hand result has the right shapes."""
        return all(p.yours[name].shape == p.truth[name].shape for p in self.points for name in self.names)

    @property
    def rows(self) -> int:
        return self.points[0].output.ndim

    @property
    def outputs(self) -> int:
        return self.points[0].output.size

    def matrix(self, results: Results) -> Floats:
        return np.concatenate([results[name].reshape(self.outputs, -1) for name in self.names], axis=1)

    def split(self, matrix: Floats) -> dict[str, Floats]:
        truth = self.truth(0)
        ends = np.cumsum([truth[name].size // max(1, self.outputs) for name in self.names])
        parts = np.split(matrix, ends[:-1], axis=1)
        return {name: part.reshape(truth[name].shape) for name, part in zip(self.names, parts, strict=True)}

    @cached_property
    def difference(self) -> list[Floats]:
        return [self.matrix(point.yours) - self.matrix(point.truth) for point in self.points]

    @cached_property
    def tolerance(self) -> list[Floats]:
        """How far a candidate may lie from the hand result, for sifting: never narrower than `agrees`."""
        return [
            self.matrix({x: 2 * self.allowed(p, x, point.yours[x], point.truth[x]) for x in self.names})
            for p, point in enumerate(self.points)
        ]

    @cached_property
    def wrong_entries(self) -> NDArray[np.bool_]:
        pairs = zip(self.difference, self.tolerance, strict=True)
        return np.asarray(np.any([abs(off) > allowed for off, allowed in pairs], axis=0))

    @cached_property
    def home(self) -> int:
        """The point at which most entries are wrong, where candidates are tried first."""
        if not self.shaped:
            return 0
        pairs = zip(self.difference, self.tolerance, strict=True)
        return int(np.argmax([np.count_nonzero(abs(off) > allowed) for off, allowed in pairs]))

    @cached_property
    def order(self) -> list[int]:
        return sorted(range(len(self.points)), key=lambda p: p != self.home)

    @cached_property
    def sample(self) -> tuple[Indices, Indices]:
        """Rows and columns of the entries by which candidates are sifted, the most wrong first."""
        size = abs(self.difference[self.home]) / self.tolerance[self.home]
        wrong = np.argsort(-size, axis=None, kind="stable")
        chosen = np.unique(np.concatenate([wrong[: SAMPLE // 2], wrong[:: max(1, len(wrong) // SAMPLE)]]))
        rows, columns = np.unravel_index(chosen, size.shape)
        return rows, columns

    @cached_property
    def bits(self) -> float:
        """How much the wrong entries tell: what an explanation could have been refuted by.

        Numbers that are equal, at whatever points, tell no more than one of them, a simple fraction little.
        """
        told: dict[str, float] = {}
        for p, point in enumerate(self.points):
            for name in self.names:
                yours, truth = point.yours[name], point.truth[name]
                wrong = yours
                if yours.shape == truth.shape:
                    wrong = yours[abs(yours - truth) > self.allowed(p, name, yours, truth)]
                size = float(np.max(abs(yours), initial=0.0))
                unit = float(self.allowed(p, name, np.array(size)))
                for x in wrong.ravel().tolist() if size and unit else ():
                    simple = x and constant_name(x, {}, 1e-9)  # a 0 among others is a part left out
                    told[f"{x:.4e}"] = ROUND if simple else min(SURE, math.log2(size / unit))
        return sum(max(0.0, bits) for bits in told.values())

    @cached_property
    def is_one_number(self) -> bool:
        """Whether the hand result is one number, up to its sign, to which a factor can always be found."""
        sizes = np.concatenate([abs(p.yours[name]).ravel() for p in self.points for name in self.names])
        return not sizes.any() or bool(np.ptp(sizes[sizes > 0]) <= 1e-6 * sizes.max())


def _is_finite(point: Point, names: tuple[str, ...]) -> bool:
    return all(
        np.isfinite(point.truth[name]).all() and np.isfinite(point.yours[name]).all() for name in names
    )


def _slack(point: Point, name: str) -> tuple[float, float]:
    """A floor and a relative part that together are at least the slack, for results of any size."""
    slack, size = point.slack[name], abs(point.truth[name])
    floor = float(np.min(slack)) if slack.size else 0.0
    beyond = (slack - floor) / np.where(size > 0, size, math.inf)
    return floor + 1e-13 * float(np.max(size, initial=0.0)), float(np.max(beyond, initial=0.0)) + 1e-12


def constant_name(c: float, sizes: Mapping[int, str], width: float) -> str | None:
    """A constant that a person could have lost, in words: 2, ½, N, 1/N, a small fraction, a logarithm.

    ``sizes`` are the numbers of entries that a mean could have been taken over; ``width`` is the
    relative error of ``c``.
    """
    for number, text in _constants(tuple(sizes.items())).items():
        if abs(abs(c) - number) <= width * number:
            return f"−{text}" if c < 0 else text
    return None


@cache
def _constants(sizes: tuple[tuple[int, str], ...]) -> dict[float, str]:
    counts = [(n, what) for n, what in sizes if n > 2]
    named = [(1.0, "1"), (2.0, "2"), (0.5, "½")]
    named += [
        pair for n, what in counts for pair in ((n, f"{n}, {what}"), (1 / n, f"1/{n}, one over {what}"))
    ]
    fractions = ((a, b) for a, b in product(range(1, 13), repeat=2) if math.gcd(a, b) == 1)
    named += [(a / b, f"{a}/{b}" if b > 1 else f"{a}") for a, b in fractions]
    named += [(2 / n, f"2/{n}, two over {what}") for n, what in counts]
    named += [(n / 2, f"{n}/2, half of {what}") for n, what in counts]
    named += [(number, text) for text, number in CONSTANTS.items()]
    named += [(1 / number, f"1/({text})") for text, number in CONSTANTS.items()]
    return dict(reversed(named))
