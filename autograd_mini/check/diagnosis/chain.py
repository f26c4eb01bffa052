"""Mistakes in the chain rule, as changes of what passes from some nodes of f's graph to others.

By the chain rule ∂out/∂in = Σ (∂out/∂v)(∂v/∂u)(∂u/∂in), over the edges u → v of any cut through the graph.
Whoever forgets a path, a factor, or half of an inner Jacobian changes some terms of such a sum. So a mistake
is other weights at a `Site`. Candidates are sifted by a sample of entries at one point, many at once; what
is left is held against all points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from autograd_mini.check.diagnosis.case import Candidate, Case, Results
from autograd_mini.check.diagnosis.evidence import Point
from autograd_mini.check.diagnosis.naming import as_operand
from autograd_mini.check.diagnosis.tape import Group, Numbers, Site, Tape, Weights
from autograd_mini.check.subjects.arguments import Floats

Change: TypeAlias = "Callable[[Numbers], Floats | None]"  # what is added to the right Jacobian
Thing: TypeAlias = "Group | Site | str"  # what a sentence speaks of; it is named when it is chosen

MANY = 80  # arrays between which inner Jacobians are looked at


class Mistake(NamedTuple):
    """A kind, two sentences, what they speak of, and what is written in the place of the right weights."""

    kind: str
    text: str
    formula: str
    things: Mapping[str, Thing]
    of: Weights


@dataclass(frozen=True, eq=False)
class Factor:
    """A number for each node of an array, which the graph or f's arguments offer, and what it is called."""

    thing: Thing
    of: Weights
    form: str = "{V}"
    why: str = ""


def said(thing: Thing) -> str:
    """The name of what a sentence speaks of."""
    if isinstance(thing, Site):
        return fraction(thing.above.name, thing.below.name)
    return thing if isinstance(thing, str) else thing.name


def fraction(above: str, below: str) -> str:
    return f"∂{as_operand(above)}/∂{as_operand(below)}"


@dataclass(frozen=True, eq=False)
class Chain:
    """Candidates that change the Jacobian of a tape; ``sifted`` if only those that may fit are wanted."""

    case: Case
    tape: Tape
    sifted: bool = True

    @property
    def home(self) -> Numbers:
        return self.tape.home

    @cached_property
    def jacobian(self) -> Floats:
        return self.case.matrix(self.case.home.truth)

    @property
    def yours(self) -> Floats:
        return self.case.difference + self.jacobian

    # --- candidates ---

    def candidate(
        self, kind: str, text: str, formula: str, things: Mapping[str, Thing], change: Change
    ) -> Candidate:
        """The candidate with a change of the right Jacobian."""

        def result(point: Point) -> Results | None:
            numbers = self.tape.at(point)
            added = None if numbers is None else change(numbers)
            if added is None or not np.isfinite(added).all():
                return None
            return self.case.split(self.case.matrix(point.truth) + added)

        def names() -> Mapping[str, str]:
            made = {x: said(thing) for x, thing in things.items()}
            if "G" in made and "H" in made:
                made.setdefault("M", fraction(made["G"], made["H"]))
            short = {x + "_": as_operand(name) for x, name in made.items()}
            case = self.case
            return {**made, **short, "T": case.title, "out": case.evidence.out, "in": case.inputs}

        return Candidate(kind, text, formula, result, names)

    def added(
        self, kind: str, text: str, formula: str, things: Mapping[str, Thing], change: Change
    ) -> Iterator[Candidate]:
        """The candidate with a change, if that may be the mistake so far as home tells."""
        wrong = change(self.home)
        if wrong is not None and (not self.sifted or self.sift(wrong[self.case.sample][None])):
            yield self.candidate(kind, text, formula, things, change)

    def replaced(self, site: Site, mistakes: Sequence[Mistake]) -> Iterator[Candidate]:
        """The candidates with the mistakes' weights at a site."""
        chosen: Iterable[int] = range(len(mistakes))
        if self.sifted and mistakes:
            new = [np.broadcast_to(weights(self.home), len(site.above)) for *_, weights in mistakes]
            chosen = self.sift_weights(site, np.array(new, dtype=float))
        for k in chosen:
            kind, text, formula, things, of = mistakes[k]
            yield self.candidate(kind, text, formula, things, site.changed(of))

    def sift_weights(self, site: Site, weights: Floats) -> list[int]:
        """The rows of weights that, in the place of those of a site, may give the hand result."""
        rows, columns = self.case.sample
        above, below = self.home.adjoint[site.above.nodes], self.home.tangent[site.below.nodes]
        basis, right = above[:, rows] * below[:, columns], site.right(self.home)
        return self.sift((np.where(np.isfinite(weights), weights, right) - right) @ basis)

    def sift(self, changes: Floats) -> list[int]:
        """The rows of sampled changes that reproduce the hand result at home."""
        difference, tolerance = (x[self.case.sample] for x in (self.case.difference, self.case.tolerance))
        fits = abs(changes - difference) <= tolerance + 1e-9 * abs(changes)
        return np.flatnonzero(fits.all(axis=1)).tolist()

    def in_time(self, places: Iterable[Any]) -> Iterator[Any]:
        return takewhile(lambda place: not self.case.is_over, places)

    # --- where mistakes are made ---

    def alike(self, size: int) -> list[Group]:
        """Groups of so many nodes; single nodes too, where one is wanted."""
        tape = self.tape
        singles = [tape.group([i]) for i, node in enumerate(tape.order) if node.args] if size == 1 else []
        return [group for group in [*tape.groups, *singles] if len(group) == size]

    def is_cut(self, group: Group) -> bool:
        """Whether every path leads through a group."""
        whole = Site(group, group).passed(self.home, np.ones(len(group)))
        floor = 1e-12 * abs(self.jacobian).max(initial=0.0)
        return bool(np.allclose(whole, self.home.jacobian, 1e-9, floor))

    def has_above(self, wrong: Floats, group: Group) -> bool:
        """Whether some adjoints of a group give the hand result, which then has all below it right."""
        tangent, slack = self.home.tangent[group.nodes].T, self.case.tolerance.ravel()
        adjoints = np.linalg.lstsq(tangent, wrong, rcond=1e-10)[0]
        far = abs(tangent @ adjoints - wrong)
        return bool((far <= 3 * slack + 3 * np.sqrt(np.mean(slack**2))).all())

    def operands(self, size: int) -> list[Factor]:
        """Arrays of f with as many elements."""
        return [
            *(Factor(group, group.values) for group in self.tape.groups if len(group) == size),
            *(Factor(x, given(x)) for x, array in self.case.arrays.items() if array.size == size),
        ]

    @cached_property
    def inner(self) -> list[Inner]:
        """Arrays of one size, the one above the other, unless the Jacobian between them is constant."""
        tape = self.tape
        groups = [group for group in tape.groups if len(tape.order) <= 3000 or group.labelled][:MANY]
        if tape.outputs is not None and len(tape.outputs) > 1:
            groups.append(tape.outputs)
        moving = [group for group in groups if self.home.tangent[group.nodes].any()]
        heard = [group for group in groups if self.home.adjoint[group.nodes].any()]
        pairs = [
            (above, below)
            for below in moving
            for above in heard
            if len(above) == len(below) and above.level > below.level
        ]
        return [inner for pair in self.in_time(pairs) if (inner := _inner(self.home, *pair)) is not None]


@dataclass(frozen=True, eq=False)
class Inner(Site):
    """All of the Jacobian of one array by another; elementwise if it is a diagonal."""

    elementwise: bool

    def jacobian(self, numbers: Numbers) -> Floats:
        return numbers.tangents(self.below.nodes.tolist())[self.above.nodes]

    def right(self, numbers: Numbers) -> Floats:
        return np.diag(self.jacobian(numbers)) if self.elementwise else self.jacobian(numbers)


def _inner(home: Numbers, above: Group, below: Group) -> Inner | None:
    inner = home.tangents(below.nodes.tolist())[above.nodes]
    rows, columns = np.nonzero(inner)
    if [*rows] == [*range(len(inner))] and len({*columns}) == len(inner):  # elementwise, in any order
        below, inner = below.tape.group(below.nodes[columns]), inner[:, columns]
    diagonal = np.diag(np.diag(inner))
    is_constant = len(inner) > 1 and bool((inner == inner[0, 0] * np.eye(len(inner))).all())
    if is_constant or not diagonal.any():
        return None
    return Inner(above, below, bool((inner == diagonal).all()))


def given(name: str) -> Weights:
    """An argument of f, as weights."""
    return lambda numbers: numbers.argument(name)
