"""What a derivative is on either side of a point where f has a kink, or may have one.

f's graph is swept at many digits a little below and above the point. Where f itself decides by an ``if``, the
graphs of its branches are taken, each at the point.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from autograd_mini.check.subjects.arguments import Floats, Mask
from autograd_mini.check.subjects.subject import Graph, Subject
from autograd_mini.check.witnesses.links import SLACK
from autograd_mini.check.witnesses.recorded import AT_ONCE, DIGITS, Recorded, Seeds
from autograd_mini.sweeps import U

NEAR = 2.0**-40  # a step across a kink that floats do not tell from the point
STEPS = (2.0**-70, 2.0**-100)  # at many digits


@np.errstate(all="ignore")
def jumping(recorded: Recorded, seeds: Seeds, bound: Floats, truth: Floats, near: bool) -> Mask:
    """Which derivatives differ next to the point.

    Leaves move a little at many digits: where a derivative jumps, it is on a kink, whatever convention gives
    at the kink itself. One that does not is none of the kink's business. Where a kink is only ``near``, so
    that floats do not tell on which side the point lies, the leaves are also moved across it.
    """
    start = np.array(recorded.tape.start)
    sizes = np.maximum(abs(start), 2.0**-10)
    generator = np.random.default_rng(0)
    differs = np.zeros(truth.shape, dtype=bool)
    for signs in (np.ones(start.size), generator.choice([-1.0, 1.0], start.size)):
        direction = signs * sizes * generator.uniform(0.5, 1.0, start.size)
        jumps: list[Floats] = []
        for step in (*STEPS, NEAR)[: 2 + near]:
            moved = step * direction
            below, above = (recorded.exact(seeds, bound, (side * moved).tolist()) for side in (-1, 1))
            jumps.append(np.maximum.reduce([abs(above - below), abs(above - truth), abs(below - truth)]))
        size = np.fmax(np.fmax(abs(below), abs(above)), abs(truth))
        smooth = (jumps[1] <= 1e-9 * size) | (jumps[1] <= jumps[0] / 2)  # as where only the slope has a kink
        differs |= ~smooth | (jumps[-1] > 1e-6 * size + 1e-3 * bound) if near else ~smooth
    return differs


@np.errstate(all="ignore")
def one_sided(recorded: Recorded, seeds: Seeds, open_: Mask) -> tuple[Floats, Floats]:
    """The left and right derivatives along the first inputs with an open entry, infinite where they grow."""
    left, right = sides = np.full(open_.shape, np.nan), np.full(open_.shape, np.nan)
    start, outputs = recorded.tape.start, recorded.tape.code.outputs.tolist()
    affordable = AT_ONCE // (6 * len(recorded) + 1)  # evaluations along each
    for column in np.flatnonzero(open_.any(axis=0))[:affordable]:
        leaf = recorded.inputs[column]
        if not 0 <= leaf < len(start):
            continue
        size, further = max(abs(start[leaf]), 2.0**-10), STEPS[0] / STEPS[1]
        direction = np.zeros(len(start))
        direction[leaf] = 1.0
        slopes_far, slopes_near = (
            recorded.slopes(scale * direction, size, DIGITS[1]) for scale in (further, 1.0)
        )
        for side, far, near in zip(sides, slopes_far, slopes_near, strict=True):
            slopes = np.where(abs(near) > 2 * abs(far / further) + 1, near * np.inf, near)
            slope = dict(zip(outputs, slopes, strict=True))
            side[:, column] = [sum(weight * slope[i] for i, weight in row.items()) for row in seeds]
    return left, right


def branches(
    subject: Subject, arguments: Mapping[str, Any], output: Floats, border: Mask, weights: Floats | None
) -> Iterator[Floats]:
    """The derivatives, at the point, of what f is below and above it along inputs on a ``border``, in turn.

    They are nan where that does not meet f at the point: there f jumps.
    """
    x, sampled, coarse = subject.flat(arguments), subject.sampled(arguments), subject.coarse
    generator = np.random.default_rng(0)
    sizes = 2.0**-20 * border * np.where(x == 0, 2.0**-10, abs(x))
    for signs in (np.ones(x.size), generator.choice([-1.0, 1.0], x.size)):
        step = signs * sizes * generator.uniform(0.5, 1.0, x.size)
        for moved in (x - step, x + step):
            there = recorded_of(subject.graph(subject.placed(arguments, moved)))
            seeds = there.seeds(weights)
            values, _, bound = there.bounded(seeds)
            [numbers], [bounds] = there.moved(x[None])
            meets = gives(numbers, bounds, output, coarse)
            meets &= gives(*values.outputs, sampled(moved), coarse)
            back = dict(zip(there.inputs, (x - moved).tolist(), strict=True))
            found = there.exact(seeds, bound, [back.get(slot, 0.0) for slot in range(len(there.tape.start))])
            yield found if meets else np.full(found.shape, np.nan)


@np.errstate(all="ignore")
def gives(numbers: Floats, bounds: Floats, output: Floats, coarse: float) -> bool:
    """Whether a graph's outputs are those of f, so far as rounding lets them be."""
    flat, allowed = output.ravel(), SLACK * (bounds + U * abs(numbers)) * coarse
    return bool(((abs(numbers - flat) <= allowed) | (numbers == flat)).all())


def recorded_of(graph: Graph) -> Recorded:
    nodes = [node for nodes in graph.inputs.values() for node in nodes.flat]
    return Recorded.of([*graph.outputs.flat], nodes)
