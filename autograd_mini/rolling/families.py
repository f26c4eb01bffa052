"""Families: the nodes of one colour as an array, and its operands as views of other arrays.

Every node is in one family, at worst alone. All operands that stand at one place of the members are in one
family, and the map that says where was verified on every member.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias, overload

import numpy as np

from autograd_mini.instructions import Listing
from autograd_mini.labels import split_label
from autograd_mini.rolling.chains import Nodes, nodes_of
from autograd_mini.rolling.colours import Colours, Marks, colours_of
from autograd_mini.rolling.grids import (
    Affine,
    Grid,
    affine,
    affine_map,
    flattened,
    grid_of,
    places_of,
    ranks,
)
from autograd_mini.rules import Primitive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autograd_mini.rolling.grids import Ints

    Floats: TypeAlias = NDArray[np.float64]

ALONE = Grid(np.zeros((1, 0), int), ())
PATTERNS = 9  # a family of folds is split into at most so many, each with one pattern of terms
ROUNDS = 6


@dataclass(frozen=True, eq=False)
class Operand:
    """The elements of a family that the members take; a fold takes all over further axes, ``reduced``.

    An array in the place of a map holds flat positions.
    """

    family: int
    place: Affine | Ints
    reduced: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Numbers:
    """Constants over the domain, the family's axes and the ``reduced`` ones."""

    values: Floats
    reduced: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Part:
    """Elements of an array, at flat positions ``at``: those of a family at ``places``, or constants."""

    at: Ints
    family: int | None
    places: Ints
    numbers: Floats


@dataclass(frozen=True, eq=False)
class Family:
    """Members and their array: an input, a row or a fold of its operands, or joined from parts."""

    slots: Ints
    grid: Grid
    row: Primitive | None = None
    fold: bool = False
    operands: tuple[Operand | Numbers, ...] = ()
    parts: tuple[Part, ...] = ()
    name: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        return self.grid.shape


@dataclass(frozen=True, eq=False)
class Output:
    shape: tuple[int, ...]
    parts: tuple[Part, ...]
    name: str


@dataclass(frozen=True, eq=False)
class Rolled:
    """Families, those of the inputs first and operands before their users, and what is returned."""

    families: tuple[Family, ...]
    inputs: int
    outputs: tuple[Output, ...]


@overload
def roll(listing: Listing, *, apart: Mapping[int, object] = ...) -> Rolled: ...
@overload
def roll(listing: Listing, least: int) -> Rolled | None: ...
def roll(listing: Listing, least: int = 0, *, apart: Mapping[int, object] = {}) -> Rolled | None:
    """The instructions as families; None if there are less than so many for each kind of node.

    Slots that ``apart`` maps to different things are in different families.

    >>> from autograd_mini import trace
    >>> rolled = roll(trace(lambda W, x: W @ x, np.ones((3, 2)), np.ones(2)).listing)
    >>> [(family.row.name, family.shape) for family in rolled.families[2:]]
    [('mul', (3, 2)), ('add', (3,))]
    """
    code, labels = listing.code, listing.labels
    inputs, outputs = ([slot.leaf.shape for slot in slots] for slots in (listing.inputs, listing.outputs))
    if len(code) < least:
        return None
    nodes = nodes_of(code)
    arrays, leaves = _slices(inputs), _slices(outputs)
    marks: dict[tuple[int, int], object] = {(slot, -1): mark for slot, mark in apart.items()}
    colours = colours_of(nodes, arrays, {}, marks, len(code) / least if least else math.inf)
    if colours.order is None:
        return None
    joins = _joins(nodes, colours, [code.outputs[place].astype(int) for place in leaves])
    if joins:
        with_joins = colours_of(nodes, arrays, joins, marks)
        joins, colours = ({}, colours) if with_joins.order is None else (joins, with_joins)
    for left in range(ROUNDS - 1, -1, -1):
        builder = _Builder(nodes, colours, inputs, outputs, labels, marks)
        splits = builder.families_by_colour(last=not left)
        if not splits:
            break
        marks |= splits
        colours = colours_of(nodes, arrays, joins, marks)
        if colours.order is None:  # of what was apart some feeds itself when joined
            joins, colours = {}, colours_of(nodes, arrays, {}, marks)
    return builder.rolled()


def _slices(shapes: Sequence[tuple[int, ...]]) -> list[slice]:
    ends = np.cumsum([math.prod(shape) for shape in shapes], dtype=int).tolist()
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]


def _joins(nodes: Nodes, colours: Colours, outputs: Sequence[Ints]) -> dict[int, int]:
    """The slots of results that are made in several ways and used again as one array."""
    used = np.zeros(nodes.code.slots, bool)
    used[nodes.operands[nodes.operands >= 0]] = True
    joins: dict[int, int] = {}
    for number, slots in enumerate(outputs):
        several = len(np.unique(colours.colour[slots])) > 1
        own = several and len(np.unique(slots)) == len(slots) and slots.min() >= nodes.code.first
        if own and used[slots].any() and joins.keys().isdisjoint(slots.tolist()):
            joins |= dict.fromkeys(slots.tolist(), number)
    return joins


class _Builder:
    """Families as they are made, with each slot's family and position in it."""

    def __init__(
        self,
        nodes: Nodes,
        colours: Colours,
        inputs: Sequence[tuple[int, ...]],
        outputs: Sequence[tuple[int, ...]],
        labels: Mapping[int, str],
        marks: Marks,
    ) -> None:
        self.nodes, self.colours, self.outputs = nodes, colours, outputs
        self.labels, self.marks, self.inputs = labels, marks, len(inputs)
        code = nodes.code
        count = len(colours.colour)
        self.constants = np.array([math.pi if x == "pi" else x for x in code.constants], float)
        self.is_constant = (np.arange(count) >= code.inputs) & (np.arange(count) < code.first)
        self.family, self.position = np.full(count, -1), np.zeros(count, int)
        self.families: list[Family] = []
        for place, shape in zip(_slices(inputs), inputs, strict=True):
            self._add(Family(np.arange(place.start, place.stop), Grid(places_of(shape), shape)))
        self.result = np.full((count, 2), -1)  # the output that a slot stands in, and where
        for number, place in enumerate(_slices(outputs)):
            slots = code.outputs[place]
            self.result[slots, 0], self.result[slots, 1] = number, np.arange(len(slots))
        self.partial = np.arange(count) >= code.slots
        self.partial[list(colours.joined.values())] = False

    def _add(self, family: Family) -> None:
        self.family[family.slots] = len(self.families)
        self.position[family.slots] = np.arange(len(family.slots))
        self.families.append(replace(family, name=self._name(family.slots)))

    def _name(self, slots: Ints) -> str:
        """The name of the array that all have in their labels."""
        named = {_array_name(self.labels.get(slot, "")) for slot in slots[:50].tolist()}
        return named.pop() if len(named) == 1 else ""

    def families_by_colour(self, last: bool) -> dict[tuple[int, int], object]:
        """Make all families; the result marks the nodes of those to be split, unless it is the last."""
        colours, first = self.colours, self.nodes.code.first
        live = first + np.flatnonzero(colours.colour[first:] >= 0)
        live = live[np.lexsort((~self.partial[live], colours.origin[live], colours.colour[live]))]
        shades = colours.colour[live]
        bounds = np.flatnonzero(np.r_[True, shades[1:] != shades[:-1], True][: len(shades) + 1])
        members = {int(shades[a]): live[a:b] for a, b in pairwise(bounds.tolist())}
        splits: dict[tuple[int, int], object] = {}
        assert colours.order is not None
        for shade in colours.order:
            if shade not in members:
                continue
            slots = members[shade]
            if int(slots[0]) in colours.joined:
                self._add(self._joined(slots))
            elif not colours.width[slots[0]]:
                self._add(self._elementwise(slots))
            else:
                family, patterns = self._fold(slots)
                kinds = int(patterns.max()) + 1
                if 1 < kinds <= PATTERNS and 2 * kinds <= len(slots) + 2 and not last:
                    for slot, pattern in zip(slots.tolist(), patterns.tolist(), strict=True):
                        key = self._key(slot)
                        splits[key] = self.marks.get(key), pattern
                self._add(family)
        return splits

    def _key(self, slot: int) -> tuple[int, int]:
        """What marks a slot from one colouring to the next."""
        term = int(self.colours.terms[self.colours.begin[slot]]) if self.partial[slot] else -1
        return int(self.colours.origin[slot]), term

    def rolled(self) -> Rolled:
        code = self.nodes.code
        outputs = tuple(
            Output(shape, *self._described(code.outputs[place].astype(int)))
            for shape, place in zip(self.outputs, _slices(self.outputs), strict=True)
        )
        return Rolled(tuple(self.families), self.inputs, outputs)

    def _described(self, slots: Ints) -> tuple[tuple[Part, ...], str]:
        return self._parts(slots), self._name(slots)

    # --- the kinds of families ---

    def _elementwise(self, slots: Ints) -> Family:
        row = self._row(slots)
        operands = self.nodes.operands[self.colours.origin[slots], : len(row.operands)]
        if len(slots) == 1:
            return Family(slots, ALONE, row, operands=tuple(map(self._alone, operands[0])))
        groups, numbers = [], []
        for column in operands.T:
            if self.is_constant[column[0]]:
                numbers.append(ranks(_numbered(self._numbers(column)))[0])
            else:
                groups.append(list(self._places(column).T))
        grid = self._grid(slots, groups, numbers)
        return Family(slots, grid, row, operands=tuple(self._operand(x, grid) for x in operands.T))

    def _fold(self, slots: Ints) -> tuple[Family, Ints]:
        """The family, and for each member the number of its pattern: where its terms stand to one another."""
        colours = self.colours
        count = colours.width[slots[0]]
        terms = colours.terms[colours.begin[slots][:, None] + np.arange(count)]
        if terms.shape == (1, 2) and self.family[terms[0, 0]] != self.family[terms[0, 1]]:
            return Family(slots, ALONE, self._row(slots), True, tuple(map(self._alone, terms[0]))), slots * 0
        groups: list[tuple[Ints, Ints | None, Ints | None]] = []  # terms, their base, places relative to it
        columns: list[list[Ints]] = []
        patterns = np.zeros(len(slots), int)
        for some in self._groups(terms):
            if self.is_constant[some[0, 0]]:
                groups.append((some, None, None))
                continue
            places = self._places(some)  # members, terms, axes
            base = places.min(axis=1)
            relative = places - base[:, None]
            keys = flattened(relative, tuple(relative.max(axis=(0, 1)) + 1)) if len(slots) else relative
            order = np.argsort(keys, axis=1, kind="stable")
            some, keys = np.take_along_axis(some, order, 1), np.take_along_axis(keys, order, 1)
            columns.append(list(base.T))
            if (keys == keys[0]).all():
                groups.append((some, base, relative[0][order[0]]))
            else:
                kind = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
                patterns = ranks(patterns * (int(kind.max()) + 1) + kind)[0]
                groups.append((some, base, None))
        grid = self._grid(slots, columns, [])
        operands = tuple(self._terms(some, base, relative, grid) for some, base, relative in groups)
        return Family(slots, grid, self._row(slots), True, operands), patterns

    def _groups(self, terms: Ints) -> list[Ints]:
        """Columns of terms that lie in one family, and none of them twice in one group."""
        written: dict[int, int] = {}
        families = np.where(self.is_constant[terms], len(self.families), self.family[terms])
        for place, family in enumerate(families[0].tolist()):
            written.setdefault(family, place)
        key = families * (int(self.position.max()) + len(self.constants) + 1) + np.where(
            self.is_constant[terms], terms, self.position[terms]
        )
        order = np.argsort(key, axis=1, kind="stable")
        terms, families = np.take_along_axis(terms, order, 1), np.take_along_axis(families, order, 1)
        assert (families == families[0]).all()
        again = np.zeros_like(terms)
        for k in range(1, terms.shape[1]):
            again[:, k] = np.where(terms[:, k] == terms[:, k - 1], again[:, k - 1] + 1, 0)
        if not again.any():
            return [terms[:, families[0] == family] for family in written]
        order = np.lexsort((again, families), axis=1)
        terms, again = np.take_along_axis(terms, order, 1), np.take_along_axis(again, order, 1)
        if not (again == again[0]).all():  # members differ in which terms they take twice
            return [terms[:, k : k + 1] for k in range(terms.shape[1])]
        return [
            terms[:, (families[0] == family) & (again[0] == k)]
            for family in written
            for k in range(int(again[0][families[0] == family].max()) + 1)
        ]

    def _joined(self, slots: Ints) -> Family:
        """An array joined from what computes its elements, as it stands in the results."""
        number = int(self.result[slots[0], 0])
        place, shape = _slices(self.outputs)[number], self.outputs[number]
        slots = self.nodes.code.outputs[place].astype(int)
        makers = np.array([self.colours.joined[slot] for slot in slots.tolist()])
        return Family(slots, Grid(places_of(shape), shape), parts=self._parts(makers))

    # --- operands ---

    def _row(self, slots: Ints) -> Primitive:
        return self.nodes.rows[int(self.nodes.codes[self.colours.origin[slots[0]]])]

    def _numbers(self, slots: Ints) -> Floats:
        return self.constants[slots - self.nodes.code.inputs]

    def _places(self, slots: Ints) -> Ints:
        """Where slots of one family stand in it."""
        family = self.family[slots]
        assert family.flat[0] >= 0
        assert (family == family.flat[0]).all()
        places: Ints = self.families[family.flat[0]].grid.places[self.position[slots]]
        return places

    def _operand(self, slots: Ints, grid: Grid) -> Operand | Numbers:
        """What the members take, one slot a member."""
        if self.is_constant[slots[0]]:
            assert self.is_constant[slots].all()
            numbers = np.full(math.prod(grid.shape), self._numbers(slots[:1])[0])
            numbers[grid.flat] = self._numbers(slots)
            return Numbers(numbers.reshape(grid.shape))
        return self._terms(slots[:, None], self._places(slots), None, grid, ())

    def _alone(self, slot: int) -> Operand | Numbers:
        """What a member without others takes."""
        if self.is_constant[slot]:
            return Numbers(self.constants[slot - self.nodes.code.inputs].reshape(()))
        offset = self.families[self.family[slot]].grid.places[self.position[slot]]
        return Operand(int(self.family[slot]), Affine(offset, np.zeros((len(offset), 0), int)))

    def _terms(
        self,
        terms: Ints,
        base: Ints | None,
        relative: Ints | None,
        grid: Grid,
        reduced: tuple[int, ...] | None = None,
    ) -> Operand | Numbers:
        """What the members take, several slots each, at a base and from there in one pattern, if given."""
        count = terms.shape[1]
        if terms.size == 1:
            return self._alone(terms[0, 0])
        if base is None:
            if count == 1:
                return self._operand(terms[:, 0], grid)
            numbers = np.zeros((math.prod(grid.shape), count))
            numbers[grid.flat] = self._numbers(terms)
            return Numbers(numbers.reshape(*grid.shape, count), (count,))
        family = int(self.family[terms[0, 0]])
        shape = self.families[family].shape
        if count == 1:
            reduced, relative = (), np.zeros((1, len(shape)), int)
        pattern = grid_of(list(relative.T), count) if relative is not None else None
        at = affine_map(grid.places, list(base.T))
        if pattern is not None and pattern.full and at is not None and relative is not None:
            within = affine_map(pattern.places, list(relative.T))
            if within is not None:
                offset, steps = at.offset + within.offset, np.hstack([at.steps, within.steps])
                place = Affine(offset, steps)
                if place.stays_within(grid.shape + pattern.shape, shape):
                    return Operand(family, place, pattern.shape)
        reduced = (count,) if reduced is None else reduced
        flat = np.zeros((math.prod(grid.shape), count), int)
        flat[grid.flat] = flattened(self._places(terms), shape)
        return Operand(family, flat.reshape(*grid.shape, *reduced), reduced)

    def _parts(self, slots: Ints) -> tuple[Part, ...]:
        """An array of these slots by the families that they are in."""
        families = np.where(self.is_constant[slots], -1, self.family[slots])
        parts = []
        for family in dict.fromkeys(families.tolist()):
            at = np.flatnonzero(families == family)
            if family < 0:
                parts.append(Part(at, None, np.zeros((len(at), 0), int), self._numbers(slots[at])))
            else:
                parts.append(Part(at, family, self._places(slots[at]), np.zeros(0)))
        return tuple(parts)

    # --- axes ---

    def _grid(self, slots: Ints, groups: list[list[Ints]], numbers: list[Ints]) -> Grid:
        """The members as a grid, by the places of their operands, one group of columns an operand.

        The axes' order is that of the result in which all stand, else of the first operand with all axes.
        Where operands do not tell the members apart, their order in the program does, or constants do.
        """
        count = len(slots)
        if count == 1:
            return ALONE
        columns = [column for group in groups for column in group]
        hints = self._hints(slots)
        grid = grid_of([*hints, *columns], count) if hints else None
        if grid is None and columns:
            hints, grid = [], grid_of(columns, count)
        if grid is None:
            again = _occurrence(columns, count)
            grid = grid_of([again, *columns], count) if again.any() else None
        if grid is None and numbers:
            grid = grid_of([*columns, *numbers], count)
        if grid is None:
            return Grid(np.arange(count)[:, None], (count,))
        return grid if hints else _ordered(grid, groups)

    def _hints(self, slots: Ints) -> list[Ints]:
        """The index in a result, if all members stand in one."""
        number = self.result[slots, 0]
        if number[0] < 0 or (number != number[0]).any() or not self.outputs[number[0]]:
            return []
        return list(np.unravel_index(self.result[slots, 1], self.outputs[number[0]]))


def _array_name(label: str) -> str:
    """A label without indices: ∂S/∂z for ∂S0/∂z1."""
    above, slash, below = label.partition("/∂")
    return split_label(above)[0] + slash + split_label(below)[0]


def _ordered(grid: Grid, groups: list[list[Ints]]) -> Grid:
    """The grid with its axes in the order of the first operand that has all of them."""
    if len(grid.shape) < 2:
        return grid
    for group in groups:
        fits = [affine(grid.places, column) for column in group]
        used = [np.flatnonzero(fit[1]) for fit in fits if fit is not None and fit[1].any()]
        order = [int(axes[0]) for axes in used if len(axes) == 1]
        if len(order) == len(used) and sorted(order) == list(range(len(grid.shape))):
            return Grid(grid.places[:, order], tuple(grid.shape[axis] for axis in order))
    return grid


def _occurrence(columns: list[Ints], count: int) -> Ints:
    """For each member, how many before it have the same operands."""
    key = np.zeros(count, int)
    for column in columns:
        rank, size = ranks(column)
        key = ranks(key * size + rank)[0]
    order = np.argsort(key, kind="stable")
    key = key[order]
    begin = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
    occurrence = np.zeros(count, int)
    occurrence[order] = np.arange(count) - np.repeat(begin, np.diff(np.r_[begin, count]))
    return occurrence


def _numbered(numbers: Floats) -> Ints:
    return np.unique(numbers, return_inverse=True)[1].reshape(-1)
