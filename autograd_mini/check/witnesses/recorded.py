"""f's recorded graph at a point: its derivatives on floats with bounds, and at many digits.

Many digits say what the derivative of the recorded graph is, and nothing more: whether that graph is f is
asked of f itself, see `links`.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any, TypeAlias

import numpy as np

from autograd_mini import formulas
from autograd_mini.check.subjects.arguments import Floats
from autograd_mini.number_types import ARRAY, FLOAT, FormulaType, evaluate, mpmath_type
from autograd_mini.rules import Primitive
from autograd_mini.sweeps import Sweep, Tape, U, bounded, floats, tape_of
from autograd_mini.value import Value

Seeds: TypeAlias = "Sequence[Mapping[int, float]]"

DIGITS = (50, 100, 200, 700)  # the last tell apart whatever two floats are
STEP = 2.0**-100
SURE = 20  # digits of a truth that are right, or it is told apart from 0 by none
AT_ONCE = 60_000  # instructions swept that are worth the wait, about half a second at many digits


@cache
def digits(count: int) -> FormulaType:
    """mpmath's numbers with that many digits, apart from the user's own context."""
    import mpmath  # the first check loads it, not the package

    own = mpmath.MPContext()
    own.dps = count
    return mpmath_type(own)


@dataclass(frozen=True)
class Recorded:
    """Outputs as instructions on the graph's leaves, and the slot of each input, −1 for one not in it."""

    tape: Tape
    inputs: Sequence[int]

    @classmethod
    def of(cls, outputs: Sequence[Any], inputs: Sequence[Value | None]) -> Recorded:
        """What is recorded of outputs, Values or numbers; TypeError for a node made by hand."""
        tape = tape_of(outputs)
        return cls(tape, [-1 if node is None else tape.slots.get(node, -1) for node in inputs])

    def __len__(self) -> int:
        return len(self.tape.code)

    def seeds(self, weights: Floats | None = None) -> list[dict[int, float]]:
        """Where a reverse sweep starts for each output, or for each weighted sum of them."""
        outputs = self.tape.code.outputs.tolist()
        if weights is None:
            return [{output: 1.0} for output in outputs]
        found: list[dict[int, float]] = []
        for row in weights.tolist():
            seeds: dict[int, float] = {}
            for output, weight in zip(outputs, row, strict=True):
                if weight:
                    seeds[output] = seeds.get(output, 0.0) + weight
            found.append(seeds)
        return found

    def bounded(self, seeds: Seeds) -> tuple[Bounded, Floats, Floats]:
        """The values with bounds, and the derivatives on floats with theirs, seeds by inputs."""
        sweep = Sweep(self.tape.code, [(x, 0.0) for x in self.tape.start], bounded())
        zero = (0.0, 0.0)
        pairs = [
            pair for row in seeds for pair in self._row(sweep, {i: (w, 0.0) for i, w in row.items()}, zero)
        ]
        values, bounds = floats(pairs)
        shape = len(seeds), len(self.inputs)
        return Bounded(self, sweep), values.reshape(shape), bounds.reshape(shape)

    def _row(self, sweep: Sweep, seeds: Mapping[int, Any], zero: Any) -> list[Any]:
        adjoints = sweep.adjoints(seeds)
        return [adjoints.get(slot, zero) for slot in self.inputs]

    def exact(self, seeds: Seeds, bounds: Floats, moved: Sequence[Any] = ()) -> Floats:
        """The derivatives of the recorded graph, as the floats next to them.

        Digits are doubled as long as what cancels, bound / u, leaves fewer than `SURE` of them; what is then
        still lost is 0. ``moved`` are steps of the leaves, in units that need not be floats.
        """

        def derivatives(kind: FormulaType) -> list[Any]:
            start = [kind.number(x) for x in self.tape.start]
            if moved:
                start = [x + kind.number(step) for x, step in zip(start, moved, strict=True)]
            sweep = Sweep(self.tape.code, start, kind)
            weighted = ({i: kind.number(w) for i, w in row.items()} for row in seeds)
            return [x for row in weighted for x in self._row(sweep, row, kind.number(0.0))]

        return _resolved(derivatives, bounds)

    def value(self, bounds: Floats) -> Floats:
        """The outputs at many digits, as the floats next to them; digits are doubled as in `exact`."""
        return _resolved(
            lambda kind: evaluate(self.tape.code, [kind.number(x) for x in self.tape.start], kind), bounds
        )

    def is_finite(self, seeds: Seeds) -> bool:
        """Whether every intermediate is, and every derivative with respect to one; constants have none."""
        code = self.tape.code
        sweep = Sweep(code, self.tape.start, FLOAT)
        adjoints = (
            x
            for row in seeds
            for slot, x in sweep.adjoints(row).items()
            if not code.inputs <= slot < code.first
        )
        return all(map(math.isfinite, chain(sweep.slots, adjoints)))

    def slopes(self, direction: Floats, size: float, count: int) -> tuple[Floats, Floats]:
        """The left and right derivatives of the outputs along a direction of the leaves, by their values.

        With a step of 2⁻¹⁰⁰ ≈ 10⁻³⁰ of the point's ``size``, quotients are off by some 10⁻³⁰ for what they
        leave out, and by less for rounding to ``count`` digits, unless an output is much larger than these.
        """
        kind = digits(count)
        start = [kind.number(x) for x in self.tape.start]
        step = kind.number(size) * STEP
        steps = [kind.number(x) * step for x in direction.tolist()]
        below, here, above = (
            evaluate(self.tape.code, [x + side * dx for x, dx in zip(start, steps, strict=True)], kind)
            for side in (-1, 0, 1)
        )
        sides = (
            [float((b - a) / step) for a, b in zip(*pair, strict=True)]
            for pair in ((below, here), (here, above))
        )
        left, right = (np.array(side, dtype=float) for side in sides)
        return left, right

    def moved(self, x: Floats, bounds: Floats | None = None) -> tuple[Floats, Floats]:
        """The outputs and their bounds at other first inputs, which must be leaves; a row each.

        ``bounds`` are the outputs' here, which hold at points next to this one as well.
        """
        columns: list[Any] = list(self.tape.start)
        for slot, column in zip(self.inputs, x.T, strict=False):
            if slot >= 0:
                columns[slot] = np.ascontiguousarray(column)
        if bounds is not None:
            near = evaluate(self.tape.code, columns, ARRAY)
            numbers = np.array([np.broadcast_to(number, len(x)) for number in near], dtype=float)
            return numbers.T, np.broadcast_to(bounds, (len(x), bounds.size))
        found = evaluate(self.tape.code, [(column, 0.0) for column in columns], bounded(ARRAY))
        pairs = [[np.broadcast_to(part, len(x)) for part in pair] for pair in found]
        own = np.array(pairs, dtype=float).reshape(len(pairs), 2, len(x))
        return own[:, 0].T, own[:, 1].T


def _resolved(compute: Callable[[FormulaType], list[Any]], bounds: Floats) -> Floats:
    """What is computed at many digits, as floats; digits are doubled as long as too many cancel."""
    bounds = np.where(np.isfinite(bounds), bounds, 0.0)
    for count in DIGITS:
        found = np.array([float(x) for x in compute(digits(count))], dtype=float).reshape(bounds.shape)
        lost = abs(found) < bounds * (10.0 ** (SURE - count) / U)  # bounds / U may overflow
        if not lost.any() or (count == DIGITS[-2] and not (bounds[lost] > 1).any()):
            break
    return np.where(lost, 0.0, found)


@dataclass(frozen=True)
class Bounded:
    """The recorded graph computed on pairs of a value and a bound."""

    recorded: Recorded
    sweep: Sweep

    @property
    def outputs(self) -> tuple[Floats, Floats]:
        return floats(self.sweep.outputs)

    def ties(self) -> dict[str, bool]:
        """The operations that lie on a kink of theirs so far as floats tell, and whether only near it."""
        code, slots = self.recorded.tape.code, self.sweep.slots
        labels = {slot: node.label for node, slot in self.recorded.tape.slots.items() if node.label}
        asks = [kinks(row) for row in code.rows]
        found: dict[str, bool] = {}
        for place in np.flatnonzero(np.isin(code.codes, [i for i, ask in enumerate(asks) if ask])).tolist():
            row = code.rows[code.codes[place]]
            places = code.operands[place][: len(row.operands)].tolist()
            operands = [slots[k] for k in places]
            moving = {
                x for x, k in zip(row.operands, places, strict=True) if not code.inputs <= k < code.first
            }
            for names, distance in asks[code.codes[place]]:
                value, bound = distance(*operands, slots[code.first + place])
                if moving.isdisjoint(names) or abs(value) > 2 * bound:
                    continue
                said = (
                    f"{labels[k]} = {slots[k][0]:g}" if k in labels else f"{slots[k][0]:g}" for k in places
                )
                name = f"{row.name}({', '.join(said)})"
                found[name] = found.get(name, False) or value != 0
        return found


@cache
def kinks(row: Primitive) -> list[tuple[frozenset[str], Callable[..., Any]]]:
    """Where a row has kinks: what is 0 there.

    Each comes with the operands in it, and is a function of these and of the result, on pairs.

    >>> from autograd_mini import exp, maximum
    >>> [sorted(names) for names, _ in kinks(maximum)], kinks(exp)
    ([['x', 'y']], [])
    """
    found = []
    for kink in map(ast.unparse, row.kink_formulas):
        names = formulas.names_in(kink) & {*row.operands, "z"}
        operands = frozenset(row.operands if "z" in names else names)
        found.append((operands, bounded().bound("distance", formulas.expression(kink), (*row.operands, "z"))))
    return found
