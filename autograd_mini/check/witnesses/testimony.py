"""The testimony on a derivative at one point: what it is, how far floats tell it, and who says so.

Where f can be followed, the truth is the derivative of its recorded graph, at many digits or on floats with a
bound, and f's own changes confirm that the graph is f. Where it cannot, extrapolated differences speak.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from autograd_mini.check.subjects.arguments import EPSILON, Floats, Mask
from autograd_mini.check.subjects.passes import random_state
from autograd_mini.check.subjects.sampling import ENTRIES, SOME, Probe, probe_of
from autograd_mini.check.subjects.subject import Graph, Subject
from autograd_mini.check.witnesses.differences import Limit, differences
from autograd_mini.check.witnesses.links import linked
from autograd_mini.check.witnesses.recorded import AT_ONCE, DIGITS, Recorded, Seeds
from autograd_mini.check.witnesses.sides import NEAR, branches, gives, jumping, one_sided, recorded_of
from autograd_mini.rules import DomainError
from autograd_mini.sweeps import U

ENGINE, PRECISE = "the engine", "f at 50 digits"
MOVED, DIFFERENCES = "{medium} next to the point", "differences of {medium}"
RANDOM = "f gives another result when it is called again: nothing can be said"
DRAWS = "f draws random numbers; called {calls} times at the given point, it gave the same result"
AGAIN = 100  # calls more of a function that draws random numbers
CONTRADICTION = "engine and witness disagree with each other: f moves, as with what it detaches"
ON_DEMAND = 600_000  # where floats leave something open
MATRICES = "truth engine bound error unseen open left right".split()


@dataclass(frozen=True)
class Testimony:
    """The derivatives at a point, outputs by inputs, and what is known about them, before any claim.

    ``bound`` is how far rounding may have moved ``engine``, the derivatives on floats, and so anybody's;
    ``error`` how far ``truth`` itself may be off. ``left`` and ``right`` are the one-sided derivatives, nan
    where they were not taken; ``open`` are entries in which they differ, or that do not exist. ``unseen`` is
    how large a derivative f's own rounding may hide, ``coarse`` how much coarser than a double f's result is.
    """

    probe: Probe
    truth: Floats
    engine: Floats
    bound: Floats
    error: Floats
    unseen: Floats
    open: Mask
    left: Floats
    right: Floats
    followed: bool
    exact: bool = False
    coarse: float = 1.0
    trouble: str = ""  # why nothing can be said at all
    kinks: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    linked: bool = False  # f itself was moved and asked
    stopped: bool = False  # f left its domain on Values
    recorded: Recorded | None = None
    seeds: Seeds = ()
    graph: Graph | None = None

    def about(self, name: str) -> Testimony:
        """The same about one of the names only."""
        columns = [c for c, (own, _) in enumerate(self.probe.columns) if own == name]
        probe = replace(self.probe, columns=[self.probe.columns[c] for c in columns])
        recorded = self.recorded
        if recorded is not None:
            recorded = Recorded(recorded.tape, [recorded.inputs[c] for c in columns])
        parts = {part: getattr(self, part)[:, columns] for part in MATRICES}
        return replace(self, probe=probe, recorded=recorded, **parts)

    def given(self, expected: Floats) -> Testimony:
        """The same with another truth, what is correct given something else."""
        return replace(self, truth=expected, error=np.zeros(expected.shape), exact=True)

    def silent(self, name: str, shape: tuple[int, ...]) -> Testimony:
        """What can be said of a name on which there is no testimony: nothing."""
        columns = [(name, index) for index in np.ndindex(shape)]
        nothing = np.full((len(self.probe.rows), len(columns)), np.nan)
        parts = dict.fromkeys(MATRICES, nothing) | {"open": np.isnan(nothing)}
        return replace(self, probe=replace(self.probe, columns=columns), **parts)

    @property
    def differences(self) -> Floats:
        """The derivatives by differences, where these are the truth."""
        return np.full(self.truth.shape, np.nan) if self.followed else self.truth

    @property
    def witnesses(self) -> tuple[str, ...]:
        if not self.followed:
            return (DIFFERENCES,) if np.isfinite(self.truth).any() else ()
        return (ENGINE, *[PRECISE] * self.exact, *[MOVED] * self.linked)

    @property
    def at_pole(self) -> bool:
        """Whether some intermediate is not finite, as in tanh(ln 0), or a derivative with respect to one, as
        in √(relu x) for x < 0; or f left its domain on Values."""
        return self.stopped if self.recorded is None else not self.recorded.is_finite(self.seeds)

    def sharpened(self) -> Testimony:
        """The same with the truth at many digits, where these were not worth the wait before."""
        if self.exact or self.recorded is None or len(self.recorded) * len(self.seeds) > ON_DEMAND:
            return self
        truth = self.recorded.exact(self.seeds, self.bound)
        return replace(self, truth=truth, error=np.zeros(truth.shape), exact=True)

    def sways(self) -> Floats:
        """How far the truth moves when every leaf does by its own rounding, at many digits."""
        most = np.zeros(self.truth.shape)
        if self.recorded is None:
            return most
        generator = np.random.default_rng(1)
        start = np.array(self.recorded.tape.start)
        for _ in range(2):
            moved = U * abs(start) * generator.choice([-1.0, 1.0], start.size)
            there = self.recorded.exact(self.seeds, self.bound, moved.tolist())
            most = np.fmax(most, abs(there - self.truth))
        return most


def heard_at(
    subject: Subject,
    arguments: Mapping[str, Any],
    output: Floats,
    seed: int,
    number: int,
    also: Sequence[str] = (),
    follow: bool = True,
) -> Testimony:
    """The testimony at point ``number``, where f's output is the given one.

    It is about the subject's arguments, and the labelled intermediates that are ``also`` asked for; where f
    is not to ``follow``, as its graph has turned out to be another function, differences alone are asked.
    """
    steady, remarks = _repeated(subject, arguments, output, number)
    found, stopped = None, False
    if follow:
        try:
            found = _followed(subject, arguments, output, seed, number, also)
            why = "on Values f is another function than on floats: differences decide"
        except Exception as error:  # whatever stops f on Values, its differences still speak
            stopped = isinstance(error, (DomainError, ArithmeticError))
            why = f"the engine could not follow: {type(error).__name__}: {error}".partition("\n")[0]
        remarks += [why] * (found is None)
    if found is None:
        found = replace(_differenced(subject, arguments, output, seed, number), stopped=stopped)
    if not steady:
        seeding = "what f draws at random may be drawn alike: seed it inside f, or pass it as an argument"
        found, remarks = replace(found, trouble=RANDOM), [*remarks, seeding]
    return replace(found, remarks=tuple(remarks))


def _repeated(
    subject: Subject, arguments: Mapping[str, Any], output: Floats, number: int
) -> tuple[bool, list[str]]:
    """Whether f gives the same when it is called again, and what is to be said of one that draws numbers."""
    before = random_state(subject.generators)
    repeated = [subject.evaluate(arguments) for _ in range(2)]
    draws = random_state(subject.generators) != before and number == 0
    repeated += [subject.evaluate(arguments) for _ in range(AGAIN * draws)]
    with np.errstate(all="ignore"):
        allowed = 1e4 * EPSILON * subject.coarse * abs(output)
        steady = all(((abs(again - output) <= allowed) | ~np.isfinite(output)).all() for again in repeated)
    return steady, [DRAWS.format(calls=1 + len(repeated))] * (draws and steady)


def _followed(
    subject: Subject,
    arguments: Mapping[str, Any],
    output: Floats,
    seed: int,
    number: int,
    also: Sequence[str],
) -> Testimony | None:
    """The testimony of the recorded graph, None if it is not that of f."""
    graph = subject.graph(arguments, also)
    recorded = recorded_of(graph)
    if graph.outputs.size != output.size:
        raise ValueError(f"{graph.outputs.size} outputs on Values, {output.size} on floats")
    shapes = {name: nodes.shape for name, nodes in graph.inputs.items()}
    probe = probe_of(subject.rows, shapes, seed, len(recorded))
    seeds, weights, coarse = recorded.seeds(probe.weights), probe.weights, subject.coarse
    values, engine, bound = recorded.bounded(seeds)
    numbers, bounds = values.outputs
    if not gives(numbers, bounds, output, coarse):
        return None
    exact = len(recorded) * len(seeds) <= AT_ONCE and number < 2
    truth = recorded.exact(seeds, bound) if exact else engine
    unseen, border = np.zeros(engine.shape), np.zeros(engine.shape[1], dtype=bool)
    x = subject.flat(arguments)
    if subject.call is not None and x.size and (weights is None or number == 0):
        jacobian = engine[:, : x.size] if weights is None else np.ones((output.size, x.size))
        near = bounds if number else None
        link = linked(recorded, subject.sampled(arguments), x, jacobian, coarse, near)
        if link.refuted:
            return None
        border[: x.size] = link.border
        if weights is None and number == 0:
            unseen[:, : x.size] = link.unseen
    ties = values.ties()
    left, right = np.full(engine.shape, np.nan), np.full(engine.shape, np.nan)
    open_ = ~np.isfinite(truth)
    if ties or open_.any():
        open_ |= jumping(recorded, seeds, bound, truth, any(ties.values()))
        left, right = one_sided(recorded, seeds, open_)
    if exact and border.any():
        at, here = np.flatnonzero(border), truth[:, border]
        sides = [side[:, at] for side in branches(subject, arguments, output, border[: x.size], weights)]
        same = np.all([abs(here - side) <= 1e-9 * abs(here) for side in sides], axis=0)
        left[:, at], right[:, at] = sides[:2]
        open_[:, at] |= ~same
        unseen[:, at] = np.where(same, 0.0, unseen[:, at])  # f was asked on both sides
    else:
        open_ |= border
    left, right = (np.where(open_, side, np.nan) for side in (left, right))
    trouble = ""
    if exact and number == 0 and not ties and weights is None and _contradicts(recorded, truth, bound):
        trouble = CONTRADICTION
    return Testimony(
        probe, truth, engine, bound,
        np.zeros(bound.shape) if exact else bound,
        unseen, open_, left, right,
        followed=True,
        exact=exact,
        linked=subject.call is not None,
        coarse=coarse,
        trouble=trouble,
        kinks=tuple(ties),
        recorded=recorded,
        seeds=seeds,
        graph=graph,
    )  # fmt: skip


@np.errstate(all="ignore")
def _contradicts(recorded: Recorded, truth: Floats, bound: Floats) -> bool:
    """Whether the table's derivatives are not those of the table's formulas, along a random direction."""
    columns = {slot: column for column, slot in enumerate(recorded.inputs)}
    start = np.array(recorded.tape.start)
    known = [slot for slot in range(start.size) if slot in columns]
    sizes = np.where(start == 0, np.min(abs(start), initial=2.0**-10, where=start != 0), abs(start))
    largest = np.max(sizes, initial=0.0)
    direction = np.zeros(start.size)
    direction[known] = (sizes / largest * np.random.default_rng(0).uniform(-1.0, 1.0, start.size))[known]
    along = truth[:, [columns[slot] for slot in known]] * direction[known]
    terms = np.sum(abs(along), axis=1) + 1e-9 * np.sum(bound, axis=1)

    def apart(scale: float, count: int) -> Floats:
        left, right = (side / scale for side in recorded.slopes(scale * direction, largest, count))
        expected = np.sum(along, axis=1)
        nearer: Floats = np.minimum(abs(left - expected), abs(right - expected))
        return nearer

    far = apart(1.0, DIGITS[1])
    doubtful = far > 1e-6 * terms
    # What quotients leave out goes with the step, and what rounding leaves of them with more digits.
    return bool(doubtful.any() and (doubtful & (apart(NEAR, DIGITS[-1]) > far / 2)).any())


# --- differences ------------------------------------------------------------------------------------


def _differenced(
    subject: Subject, arguments: Mapping[str, Any], output: Floats, seed: int, number: int
) -> Testimony:
    """The testimony of differences alone: where they settle to one number, that is the derivative."""
    most = SOME if number else ENTRIES
    probe, x = probe_of(subject.rows, subject.shapes, seed, None, most), subject.flat(arguments)
    sampled, weights = subject.sampled(arguments), probe.weights

    def function(x: Floats) -> Floats:
        return sampled(x) if weights is None else weights @ sampled(x)

    limits = differences(function, x, function(x), probe.directions)
    central, left, right = (limit.best for limit in limits)
    error, agreed = _settled(limits)
    middle = np.where(np.isfinite(central), central, np.where(np.isfinite(left), left, right))
    nothing = np.full(middle.shape, np.nan)
    return Testimony(
        probe, middle, nothing, np.zeros(middle.shape), error, np.zeros(middle.shape), ~agreed,
        left, right, followed=False, coarse=subject.coarse,
    )  # fmt: skip


def _settled(limits: tuple[Limit, Limit, Limit]) -> tuple[Floats, Mask]:
    """The error of the differences, and whether all three, so far as they spoke, are one number within it."""
    best = np.array([limit.best for limit in limits])
    errors = np.array([limit.error for limit in limits])
    spoke = np.isfinite(best)
    with np.errstate(all="ignore"):
        worst = np.max(errors, axis=0)  # infinite where one of them did not speak
        error = np.maximum(errors[0], worst / 10)  # the central ones are better than their sides
        spread = np.max(best, axis=0) - np.min(best, axis=0)
        size = np.max(abs(best), axis=0)
        largest = np.max(size, initial=0.0, where=np.isfinite(size), axis=1, keepdims=True)
        agreed = (
            spoke.all(axis=0) & (error <= 1e-2 * size + 1e-7 * largest) & (spread <= 4 * worst + 1e-6 * size)
        )
    return error, agreed
