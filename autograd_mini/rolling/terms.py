"""Array expressions whose axes have letters, so that they can be printed as arrays or in index notation.

The letters of a term are numbers: those of a family's own axes from 0 up, then those that it reduces.
``axes`` are the letters along which a term varies, in the order of the axes of its array. What differs among
samples has an axis `BATCH` in front of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from autograd_mini import rules
from autograd_mini.rolling.grids import Affine
from autograd_mini.rules import Primitive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autograd_mini.rolling.grids import Ints

    Floats: TypeAlias = NDArray[np.float64]

Axes: TypeAlias = "tuple[int, ...]"
BATCH = -1


@dataclass(frozen=True, eq=False)
class Term:
    axes: Axes


@dataclass(frozen=True, eq=False)
class Number(Term):
    value: float


@dataclass(frozen=True, eq=False)
class Table(Term):
    """Different constants, or the positions of a gather."""

    values: Floats | Ints


@dataclass(frozen=True, eq=False)
class Name(Term):
    name: str
    shape: tuple[int, ...]  # along its own axes


@dataclass(frozen=True, eq=False)
class View(Term):
    """A term at affine places, one row of the map an axis of it; ``sizes`` are those of all letters."""

    of: Term
    place: Affine
    sizes: tuple[int, ...]
    shape: tuple[int, ...]  # of the term, along its own axes
    pace: tuple[int, ...] = ()  # what each step of a loop adds to the offset of each axis
    growth: tuple[int, ...] = ()  # and to the size of each letter

    @cached_property
    def windowed(self) -> bool:
        """Whether an axis depends on several letters, or several axes on one."""
        used = np.flatnonzero(np.array(self.sizes) > 1)
        there = self.place.steps[:, used] != 0
        return bool((there.sum(axis=0) > 1).any() or (there.sum(axis=1) > 1).any())

    @property
    def whole(self) -> bool:
        axes = own_axes(self.axes)
        return (
            not self.windowed
            and not self.pace
            and len(axes) == len(self.shape)
            and tuple(self.sizes[letter] for letter in axes) == self.shape
            and not self.place.offset.any()
        )


@dataclass(frozen=True, eq=False)
class Gather(Term):
    """A term's elements at flat positions."""

    of: Term
    at: Table


@dataclass(frozen=True, eq=False)
class Apply(Term):
    row: Primitive
    operands: tuple[Term, ...]
    truth: bool = False  # a boolean rather than 0 or 1


@dataclass(frozen=True, eq=False)
class Reduce(Term):
    """The fold of a term along the letters that this has not."""

    row: Primitive
    of: Term
    truth: bool = False


@dataclass(frozen=True, eq=False)
class Scan(Term):
    """The running sums or products of a term along its axis."""

    row: Primitive
    of: Term


@dataclass(frozen=True, eq=False)
class Contract(Term):
    """The product of two terms, summed over the letters that this has not."""

    x: Term
    y: Term


@dataclass(frozen=True, eq=False)
class Masked(Term):
    """A term where the mask holds, and 0 elsewhere."""

    mask: Table
    of: Term


@dataclass(frozen=True, eq=False)
class Spread(Term):
    """A term repeated along the letters that it has not."""

    of: Term
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Assign:
    name: str
    term: Term


@dataclass(frozen=True, eq=False)
class Piece:
    """What goes to affine places of an array, one row of the map an axis of it, or to flat positions."""

    term: Term
    sizes: tuple[int, ...]
    to: Affine | Ints


@dataclass(frozen=True, eq=False)
class Assemble:
    """An array put together from pieces, or zeros to which they are added."""

    axes: Axes
    name: str
    shape: tuple[int, ...]
    pieces: tuple[Piece, ...]
    adds: bool


@dataclass(frozen=True, eq=False)
class Row:
    """What a loop stores in an array step by step, one row a step, after a first one if there is one."""

    name: str
    shape: tuple[int, ...]
    first: Term | None
    term: Term


@dataclass(frozen=True, eq=False)
class Loop:
    """Steps of one kind: in each the rows are stored in their order."""

    rows: tuple[Row, ...]
    count: int


def parts_of(term: Term) -> tuple[Term, ...]:
    """The terms that a term is made of."""
    match term:
        case View() | Gather() | Reduce() | Masked() | Spread():
            return (term.of,)
        case Contract():
            return term.x, term.y
        case Apply():
            return term.operands
    return ()


def with_parts(term: Term, parts: Sequence[Term]) -> Term:
    """The same of other parts."""
    match term:
        case View() | Gather() | Reduce() | Masked() | Spread():
            return replace(term, of=parts[0])
        case Contract():
            return replace(term, x=parts[0], y=parts[1])
        case Apply():
            return replace(term, operands=tuple(parts))
    return term


def own_axes(axes: Axes) -> Axes:
    """The axes without that of the samples."""
    return axes[1:] if axes[:1] == (BATCH,) else axes


def in_front(axes: Axes) -> Axes:
    """The axis of the samples, if it is among the axes."""
    return (BATCH,) if BATCH in axes else ()


def viewed(of: Term, place: Affine, sizes: tuple[int, ...], shape: tuple[int, ...]) -> Term:
    """A family's term, whose letters are some of its axes, at places of a domain."""
    axes = own_axes(of.axes)
    if not axes:
        return of
    place = Affine(place.offset[list(axes)], place.steps[list(axes)])
    return view_of(of, place, sizes, tuple(shape[axis] for axis in axes))


def view_of(of: Term, place: Affine, sizes: tuple[int, ...], shape: tuple[int, ...]) -> View:
    """A term at places of a domain, its shape and the rows of the map along its own axes."""
    batch = in_front(of.axes)
    used = [letter for letter, size in enumerate(sizes) if size > 1 and place.steps[:, letter].any()]
    view = View((*batch, *used), of, place, sizes, shape)
    if view.windowed:
        return view
    order = [letter for row in place.steps for letter in used if row[letter]]
    return View((*batch, *order), of, place, sizes, shape)


def tabled(values: Floats | Ints) -> Term:
    """Constants over a domain, with the axes along which they are not all the same."""
    first = [values.take([0], axis) for axis in range(values.ndim)]
    same = [np.array_equal(np.broadcast_to(x, values.shape), values, equal_nan=True) for x in first]
    kept = values[tuple(0 if constant else slice(None) for constant in same)]
    axes = tuple(axis for axis, constant in enumerate(same) if not constant)
    return Table(axes, kept) if axes else Number((), kept.item())


def gathered(of: Term, at: Ints, shape: tuple[int, ...]) -> Term:
    """A family's term at flat positions of its array, one for each place of a domain."""
    axes = own_axes(of.axes)
    if not axes:
        return of
    places = np.unravel_index(at, shape)
    flat = np.zeros(at.shape, int)
    for axis in axes:
        flat = flat * shape[axis] + places[axis]
    positions = tabled(flat)
    if isinstance(positions, Number):
        positions = Table((), np.array(positions.value))
    assert isinstance(positions, Table)
    return Gather((*in_front(of.axes), *positions.axes), of, positions)


def contracted(x: Term, y: Term, out: Axes) -> Term:
    return Contract(tuple(letter for letter in out if letter in x.axes + y.axes), x, y)


def reduced(row: Primitive, of: Term, out: Axes, truth: bool = False) -> Term:
    kept = tuple(letter for letter in of.axes if letter in out)
    return Reduce(kept, row, of, truth) if kept != of.axes else of


def applied(row: Primitive, operands: tuple[Term, ...], truth: bool = False) -> Apply:
    letters = {letter for operand in operands for letter in operand.axes}
    return Apply(tuple(sorted(letters)), row, operands, truth)


def spread(of: Term, shape: tuple[int, ...]) -> Term:
    letters = (*in_front(of.axes), *range(len(shape)))
    return of if of.axes == letters else Spread(letters, of, shape)


def unwrapped(term: Term) -> Term:
    """What a term is another name of."""
    if isinstance(term, Apply) and term.row in (rules.detach, rules.identity):
        return unwrapped(term.operands[0])
    if isinstance(term, View) and term.whole and term.axes == term.of.axes:
        return unwrapped(term.of)
    return term
