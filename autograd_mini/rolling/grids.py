"""The members of a family as a grid, and where an operand stands as a function of the place in it.

Members are told apart by columns of integers, the indices of their operands. A few of these columns, their
values counted from 0, are the axes if no two members share a place; every other column should then be an
affine function of the axes. What is found is verified on every member.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints: TypeAlias = NDArray[np.int64]

AXES = 5  # of a family, at most
CANDIDATES = 14  # columns among which the axes are sought
SAMPLE = 64  # members on which an affine function is guessed


@dataclass(frozen=True, eq=False)
class Grid:
    """A place for each member: ``places`` is (members, axes); a grid that is not full has holes."""

    places: Ints
    shape: tuple[int, ...]

    @property
    def full(self) -> bool:
        return len(self.places) == math.prod(self.shape)

    @property
    def flat(self) -> Ints:
        return flattened(self.places, self.shape)


@dataclass(frozen=True, eq=False)
class Affine:
    """``offset + steps @ place``: one row an axis of the operand, one column an axis of the domain."""

    offset: Ints
    steps: Ints

    def after(self, first: Affine) -> Affine:
        return Affine(self.offset + self.steps @ first.offset, self.steps @ first.steps)

    def flat(self, sizes: tuple[int, ...], shape: tuple[int, ...]) -> Ints:
        """The operand's flat position at every place of the domain."""
        places = self.offset + places_of(sizes) @ self.steps.T
        return flattened(places, shape).reshape(sizes)

    def stays_within(self, sizes: tuple[int, ...], shape: tuple[int, ...]) -> bool:
        """Whether all of the domain, its holes too, lies in an operand of that shape."""
        reach = self.steps * (np.array(sizes, int) - 1)
        low, high = np.minimum(reach, 0).sum(axis=1), np.maximum(reach, 0).sum(axis=1)
        return bool((self.offset + low >= 0).all() and (self.offset + high < np.array(shape, int)).all())


def places_of(shape: tuple[int, ...]) -> Ints:
    """Every place of a full grid, one a row, the last axis fastest."""
    return np.indices(shape, dtype=int).reshape(len(shape), -1).T if shape else np.zeros((1, 0), int)


def flattened(places: Ints, shape: tuple[int, ...]) -> Ints:
    flat = np.zeros(places.shape[:-1], int)
    for axis, size in enumerate(shape):
        flat = flat * size + places[..., axis]
    return flat


def ranks(column: Ints) -> tuple[Ints, int]:
    """Each entry's rank among the different values, and how many there are."""
    low, high = int(column.min()), int(column.max())
    if high - low > 4 * len(column):
        different, rank = np.unique(column, return_inverse=True)
        return rank.reshape(-1), len(different)
    present = np.zeros(high - low + 1, bool)
    present[column - low] = True
    return (np.cumsum(present) - 1)[column - low], int(present.sum())


def affine(places: Ints, column: Ints) -> tuple[int, Ints] | None:
    """Offset and steps of a column as an affine function of the places, or None if it is none."""
    count, axes = places.shape
    if (column == column[0]).all():
        return int(column[0]), np.zeros(axes, int)
    if not axes:
        return None
    # Multiples of a large prime: equal steps may miss all but one place along an axis.
    some = np.r_[0 : min(count, 16), np.arange(SAMPLE) * 2_654_435_761 % count]
    equations = np.column_stack([np.ones(len(some)), places[some]])
    solution = np.linalg.lstsq(equations, column[some].astype(float), rcond=None)[0]
    offset, *steps = np.rint(solution).astype(int).tolist()
    value = np.full(count, offset)
    for axis, step in enumerate(steps):
        if step:
            value += step * places[:, axis]
    return (offset, np.array(steps)) if np.array_equal(value, column) else None


def affine_map(places: Ints, columns: Sequence[Ints]) -> Affine | None:
    """The columns as one map, if each is affine in the places."""
    found = []
    for column in columns:
        fit = affine(places, column)
        if fit is None:
            return None
        found.append(fit)
    steps = np.array([step for _, step in found], int).reshape(len(found), places.shape[1])
    return Affine(np.array([offset for offset, _ in found], int), steps)


def grid_of(columns: Sequence[Ints], count: int) -> Grid | None:
    """A grid of that many members whose axes are among the columns, or made of two of them; or None.

    A grid in which every column is affine is preferred, then a full one; holes are at most as many as
    members.

    >>> rows, columns = np.array([0, 0, 1, 1]), np.array([4, 5, 4, 5])
    >>> grid_of([rows, columns, rows + columns], 4).shape
    (2, 2)
    """
    if count == 1:
        return Grid(np.zeros((1, 0), int), ())
    varied = [column for column in columns if (column != column[0]).any()]
    axes: list[tuple[Ints, int]] = []
    for column in varied:
        _admit(axes, *ranks(column))
    plain = len(axes)
    best = _best(axes, varied, count, 1)
    if best is None or best[0] < len(varied):
        for x, y in combinations(varied[:6], 2):
            for mixed in (x - y, x + y):  # as in a convolution, whose operands stand at r − i
                rank, size = ranks(mixed)
                if size <= max(ranks(x)[1], ranks(y)[1]) and len(axes) < CANDIDATES:
                    _admit(axes, size - 1 - rank if rank[0] > rank[-1] else rank, size)
        more = _best(axes, varied, count, 1) if len(axes) > plain else None
        if more is not None and (best is None or more[0] > best[0]):
            best = more
    if best is None and plain:
        holed = _best(axes[:plain], varied, count, 2)
        best = holed if holed is not None and holed[0] == len(varied) else None
    return best[1] if best else None


def _admit(axes: list[tuple[Ints, int]], rank: Ints, size: int) -> None:
    """A further candidate for an axis, unless it is one of those known or the reverse of one."""
    for known, other in axes:
        if other == size and (np.array_equal(known, rank) or np.array_equal(size - 1 - known, rank)):
            return
    if size > 1:
        axes.append((rank, size))


def _best(
    axes: Sequence[tuple[Ints, int]], columns: Sequence[Ints], count: int, slack: int
) -> tuple[int, Grid] | None:
    """The grid in which most columns are affine, with their number."""
    best = None
    for grid in _grids(axes, count, slack):
        good = sum(affine(grid.places, column) is not None for column in columns)
        if best is None or good > best[0]:
            best = good, grid
        if good == len(columns):
            break
    return best


def _grids(axes: Sequence[tuple[Ints, int]], count: int, slack: int) -> Iterator[Grid]:
    for some in range(1, min(len(axes), AXES) + 1):
        for chosen in combinations(axes, some):
            shape = tuple(size for _, size in chosen)
            if count <= math.prod(shape) <= slack * count:
                grid = Grid(np.column_stack([rank for rank, _ in chosen]), shape)
                if np.bincount(grid.flat).max() == 1:
                    yield grid
