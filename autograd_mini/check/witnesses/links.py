"""Whether the recorded graph is f: f itself, on floats, is moved along every input and asked.

f and the graph are computed at the same moved points, so that a step may be of any size: nothing is left out
but rounding, which the graph bounds. An input along which neither changes by more than that is not seen, and
what the graph says of it remains a word of the graph alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from autograd_mini.check.subjects.arguments import Floats, Mask
from autograd_mini.check.witnesses.recorded import Recorded
from autograd_mini.sweeps import U

if TYPE_CHECKING:
    from numpy.typing import NDArray

GROUPS = 256  # of inputs that move together, where there are more
VISIBLE = 100  # changes larger than rounding by this are seen
HIDING = 4  # resolutions that an error of f beside its graph may be small by
SLACK = 8  # bounds within which f may lie from its graph: it need not compute in the same order


@dataclass(frozen=True)
class Link:
    """What f's own changes say of its graph.

    ``unseen`` is how large a derivative f's rounding may hide, output by input; 0 where graph and f were seen
    to move together. ``refuted`` says that on floats f is another function than on Values, and ``border``
    are inputs along which that is so on one side.
    """

    unseen: Floats
    border: Mask
    refuted: bool = False


def linked(
    recorded: Recorded,
    function: Callable[[Floats], Floats],
    x: Floats,
    truth: Floats,
    coarse: float,
    near: Floats | None = None,
) -> Link:
    """How f and its graph change along the inputs, each alone, or in groups of like effect, or all together.

    ``function`` is f on floats, flat, nan outside its domain; ``coarse`` how much coarser than a double its
    result is. With the outputs' bounds here, inputs move only ``near`` the point, all together.
    """
    groups = _groups(x, truth, near is not None)
    random = np.random.default_rng(0)
    signs = np.where(groups.sum(axis=1)[:, None] > 1, random.choice([-1.0, 1.0], groups.shape), 1.0)
    directions = groups * signs
    large, small = np.maximum(1.0, abs(x)), np.where(x == 0, 2.0**-10, abs(x))
    seen = _Seen.of(truth.shape)
    steps = [2.0**-6 * large, 2.0**-10 * small, 2.0**-20 * small][-1 if near is not None else 0 :]
    left = np.ones(len(groups), dtype=bool)
    border = np.zeros(x.shape, dtype=bool)
    for step in steps:
        sides = _told(recorded, function, x, directions[left] * step, truth, seen, coarse, near)
        open_ = np.array([np.isinf(seen.hidden[:, group > 0]).any() for group in groups[left]])
        sides = sides[open_]
        left[left] = open_
        if not left.any():
            break
    else:
        if ((sides == -1).any(axis=1) & ~(sides == 1).any(axis=1)).any():
            return Link(seen.hidden, border, refuted=True)
        border[np.any(groups[left][(sides == -1).any(axis=1)] > 0, axis=0)] = True
    if near is None:
        for step in (64 * large, 4096 * large):
            hidden = ((seen.hidden > 0) & (truth != 0)).any(axis=0)
            again = (groups[:, hidden] > 0).any(axis=1)
            if not again.any():
                break
            _told(recorded, function, x, directions[again] * step, truth, seen, coarse)
    # A derivative that a larger step betrays, and that at a smaller one rounding would hide, may be lost.
    lost = (seen.betrayed > 0) & (seen.betrayed <= HIDING * seen.resolution)
    return Link(np.where(lost, np.inf, seen.hidden), border)


@dataclass(frozen=True)
class _Seen:
    """What the steps have told of each derivative, in arrays that they fill: how large a one rounding may
    ``hide``, 0 where graph and f were seen to move together; the ``resolution`` of the best step; and the
    largest that f was ``betrayed`` to have beside the graph's."""

    hidden: Floats
    resolution: Floats
    betrayed: Floats

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> _Seen:
        return cls(np.full(shape, np.inf), np.full(shape, np.inf), np.zeros(shape))


def _groups(x: Floats, truth: Floats, together: bool) -> Floats:
    """The inputs that move together, a row of 0 and 1 for each group; of like effect, so that none hides."""
    if together:
        return np.ones((1, x.size))
    if x.size <= GROUPS:
        return np.eye(x.size)
    effect = np.linalg.norm(np.nan_to_num(truth), axis=0) * np.maximum(1.0, abs(x))
    groups = np.zeros((GROUPS, x.size))
    for row, members in zip(groups, np.array_split(np.argsort(effect), GROUPS), strict=True):
        row[members] = 1.0
    return groups


def _told(
    recorded: Recorded,
    function: Callable[[Floats], Floats],
    x: Floats,
    steps: Floats,
    truth: Floats,
    seen: _Seen,
    coarse: float,
    near: Floats | None = None,
) -> NDArray[np.int_]:
    """For each step and side 1 if f and graph change alike, −1 if not, 0 where one of them tells nothing.

    Notes what was ``seen``.
    """
    with np.errstate(all="ignore"):
        points = np.concatenate([x[None], x + steps, x - steps])
        numbers, bounds = recorded.moved(points, near)
        own = np.array([function(point) for point in points]).reshape(numbers.shape)
        noise = SLACK * (bounds + bounds[:1] + U * (abs(numbers) + abs(numbers[:1]))) * coarse
        change = numbers - numbers[:1]
        apart = abs((own - own[:1]) - change)
        finite = np.isfinite(apart) & np.isfinite(noise)
    both_out = ~np.isfinite(own) & ~np.isfinite(numbers)
    sides = np.where((finite | both_out).all(axis=1), 1, 0)
    sides[(finite & (apart > noise)).any(axis=1)] = -1
    sides[~finite.any(axis=1)] = 0
    told = sides[1:].reshape(2, len(steps)).T
    for group, step in enumerate(steps):
        members = np.flatnonzero(step)
        size = abs(step[members])
        for at in (1 + group, 1 + len(steps) + group):
            if sides[at] == -1:
                betrayed = np.where(finite[at] & (apart[at] > noise[at]), apart[at], 0.0)[:, None] / size
                seen.betrayed[:, members] = np.maximum(seen.betrayed[:, members], betrayed)
            elif sides[at] == 1 and told[group].min() >= 0:
                effect = change[at][:, None] if len(members) == 1 else truth[:, members] * step[members]
                hidden = noise[at][:, None] / size
                seen.resolution[:, members] = np.fmin(seen.resolution[:, members], hidden)
                hidden[noise[at][:, None] <= abs(effect) / VISIBLE] = 0.0
                seen.hidden[:, members] = np.fmin(seen.hidden[:, members], hidden)
    return told
