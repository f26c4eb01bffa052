"""From families to statements: what is stored under a name, what is written where it is used.

A product that only sums take is not stored: the sums are contractions. A family that is used once and has
no name of its own is written in its user's place while the text is short. An array whose elements are sums
of different numbers of terms, as the gradient of a convolution's image, is zeros to which terms are added.
Over a batch, what differs among samples has their axis in front; outputs may be summed along it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from autograd_mini import rules
from autograd_mini.rolling.chains import COMPARISONS, FOLDED
from autograd_mini.rolling.families import Family, Numbers, Operand, Part, Rolled
from autograd_mini.rolling.grids import Affine, affine_map, flattened, places_of
from autograd_mini.rolling.terms import (
    BATCH,
    Apply,
    Assemble,
    Assign,
    Contract,
    Masked,
    Name,
    Number,
    Piece,
    Table,
    Term,
    applied,
    contracted,
    gathered,
    in_front,
    own_axes,
    reduced,
    spread,
    tabled,
    unwrapped,
    viewed,
)

if TYPE_CHECKING:
    from autograd_mini.rolling.grids import Ints

Statement: TypeAlias = "Assign | Assemble"
INLINE = 64  # characters of what may be written where it is used
LONGEST = 88  # characters of a statement's right side
DEPTH = 8  # sums in sums of which an array's elements are; those of running sums are as many as there are


@dataclass(frozen=True, eq=False)
class Body:
    """The statements, and a term for each output; over a batch, apart what differs among ``each`` sample."""

    statements: tuple[Statement, ...]
    outputs: tuple[Term, ...]
    each: tuple[Statement, ...]
    varying: tuple[bool, ...]  # the outputs
    sizes: tuple[int, int]  # the numbers for each sample that are stored, and those in contractions


def body(
    rolled: Rolled,
    inputs: Sequence[str],
    fresh: Callable[[str], str],
    length: Callable[[Term], int],
    varying: Sequence[bool] = (),
    count: Term | None = None,
) -> Body:
    """The families as statements; ``fresh`` makes a label a name that is free, ``length`` measures a term.

    The ``varying`` inputs have an axis of samples in front. Outputs that differ among these are summed over
    them if their ``count`` is given.
    """
    return _Planner(rolled, inputs, fresh, length, varying, count).body()


class _Planner:
    def __init__(
        self,
        rolled: Rolled,
        inputs: Sequence[str],
        fresh: Callable[[str], str],
        length: Callable[[Term], int],
        varying: Sequence[bool],
        count: Term | None,
    ) -> None:
        self.families, self.rolled, self.fresh, self.length = rolled.families, rolled, fresh, length
        self.count = count
        self.varies = list(varying) or [False] * rolled.inputs
        for family in self.families[rolled.inputs :]:
            sources = [x.family for x in family.operands if isinstance(x, Operand)]
            sources += [part.family for part in family.parts if part.family is not None]
            self.varies.append(any(self.varies[i] for i in sources))
        self.users: dict[int, list[tuple[int, Operand]]] = {i: [] for i in range(len(self.families))}
        for i, family in enumerate(self.families):
            for operand in family.operands:
                if isinstance(operand, Operand):
                    self.users[operand.family].append((i, operand))
        self.arrays: list[tuple[tuple[int, ...], tuple[Part, ...]]] = [
            *((family.shape, family.parts) for family in self.families if family.parts),
            *((output.shape, output.parts) for output in rolled.outputs),
        ]
        self.partly = {part.family for _, parts in self.arrays if len(parts) > 1 for part in parts}
        self.parts = Counter(part.family for _, parts in self.arrays for part in parts)
        self.scattered: dict[int, dict[int, Affine]] = {}  # by the index in arrays
        self.inside: set[int] = set()  # sums that only scattered arrays are made of
        self._find_scattered()
        self.added = {family for scatter in self.scattered.values() for family in scatter}
        self.kept = self.added | {i for i, count in self.parts.items() if i is not None and count}
        self.joined = {part.family for family in self.families for part in family.parts}
        self.unstored = {i for i in range(len(self.families)) if self._is_unstored(i)}
        self.truths = self._truths()
        self.uses = self._uses()
        self.shared: list[Statement] = []
        self.each: list[Statement] = []
        self.statements = self.shared  # which of the two is written
        self.terms: dict[int, Term] = {}
        for i, name in enumerate(inputs):
            shape = self.families[i].shape
            self.terms[i] = Name((*(BATCH,) * self.varies[i], *range(len(shape))), name, shape)

    def body(self) -> Body:
        joined = 0
        for i, family in enumerate(self.families):
            if i < self.rolled.inputs or i in self.unstored or i in self.inside:
                continue
            self.statements = self.each if self.varies[i] else self.shared
            if family.parts:
                name = self.fresh(family.name)
                self._store(i, self._assembled(joined, *self.arrays[joined], name))
                joined += 1
                continue
            term = self._fitting(partial(self._expression, family, i in self.truths))
            if isinstance(same := unwrapped(term), Name):
                self.terms[i] = same
                continue
            alike = all(self.varies[user] == self.varies[i] for user, _ in self.users[i])
            once = self.uses[i] == 1 and i not in self.kept and not family.name and alike
            if once and self.length(term) <= INLINE:
                self.terms[i] = term
            else:
                self._assign(i, term)
        outputs, varying = [], []
        for k, output in enumerate(self.rolled.outputs):
            varying.append(any(part.family is not None and self.varies[part.family] for part in output.parts))
            self.statements = self.each if varying[-1] else self.shared
            name = self.fresh(output.name) if len(output.parts) > 1 else ""
            count = self.count if varying[-1] else None
            outputs.append(self._assembled(joined + k, output.shape, output.parts, name, count))
        return Body(tuple(self.shared), tuple(outputs), tuple(self.each), tuple(varying), self._sizes())

    def _sizes(self) -> tuple[int, int]:
        found = [0, 0]
        for i, family in enumerate(self.families):
            if i >= self.rolled.inputs and self.varies[i]:
                found[i in self.unstored] += math.prod(family.shape)
        return found[0], found[1]

    # --- what is stored ---

    def _is_unstored(self, i: int) -> bool:
        family, users = self.families[i], self.users[i]
        if family.row is not rules.mul or not all(self._sums(j) and operand.reduced for j, operand in users):
            return False
        if i not in self.kept:
            return bool(users)
        is_summed = self.count is not None and self.varies[i]  # over the samples
        return is_summed and self.parts[i] == 1 and i not in self.joined | self.added

    def _sums(self, i: int) -> bool:
        return self.families[i].fold and self.families[i].row is rules.add

    def _truths(self) -> set[int]:
        """The families that are booleans: conditions that nothing computes with."""
        able: set[int] = set()
        for i, family in enumerate(self.families):
            operands = [x.family in able if isinstance(x, Operand) else None for x in family.operands]
            folds = family.row in (rules.maximum, rules.minimum) and all(operands)
            chooses = family.row is rules.where and operands[0] and _choice(family)
            if family.row in COMPARISONS or folds or chooses:
                able.add(i)
        while True:  # what a truth folds or chooses by must be truths, and what takes a truth must want one
            truths: set[int] = set()
            for i in sorted(able, reverse=True):
                users = [(self.families[user], user, operand) for user, operand in self.users[i]]
                if i not in self.kept and all(
                    user in truths or (family.row is rules.where and family.operands[0] is operand)
                    for family, user, operand in users
                ):
                    truths.add(i)
            wrong = {
                i
                for i in truths
                if self.families[i].row not in COMPARISONS
                and any(isinstance(x, Operand) and x.family not in truths for x in self.families[i].operands)
            }
            if not wrong:
                return truths
            able -= wrong

    def _uses(self) -> Counter[int]:
        """How often each family is written, were all stored that are not contracted."""
        uses: Counter[int] = Counter()
        for i in range(len(self.families) - 1, -1, -1):
            if i not in self.inside:
                times = uses[i] + self.parts[i] if i in self.unstored else 1
                for operand in self.families[i].operands:
                    if isinstance(operand, Operand):
                        uses[operand.family] += times
        return uses

    def _assign(self, i: int, term: Term) -> None:
        name = self.fresh("" if i in self.partly else self.families[i].name)
        self.statements.append(Assign(name, term))
        self._store(i, Name(tuple(sorted(term.axes)), name, ()))

    def _store(self, i: int, term: Term) -> None:
        """Remember a stored array's name, with its shape along the axes that it has."""
        if isinstance(term, Name):
            term = replace(term, shape=self._lengths(term, self.families[i].shape))
        self.terms[i] = term

    def _lengths(self, term: Term, shape: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(shape[axis] for axis in own_axes(term.axes))

    def _fitting(self, make: Callable[[], Term]) -> Term:
        """The term; while it is too long, the longest of what was written in place gets a name."""
        while True:
            self.pending: set[int] = set()
            term = make()
            if self.length(term) <= LONGEST:
                return term
            longest = max(self.pending, key=lambda i: (self.length(self.terms[i]), -i), default=None)
            short = longest is None or self.length(self.terms[longest]) < LONGEST // 3
            if short and isinstance(term, Apply) and term.row in FOLDED:
                return self._in_lines(term)
            if longest is None:
                return term
            self._assign(longest, self.terms[longest])

    def _in_lines(self, term: Apply) -> Term:
        """A fold of many terms over several statements."""
        some = applied(term.row, term.operands[:2], term.truth)
        for operand in term.operands[2:]:
            longer = applied(term.row, (*some.operands, operand), term.truth)
            if self.length(longer) > LONGEST:
                name = self.fresh("")
                self.statements.append(Assign(name, some))
                first = Name(some.axes, name, self._lengths(some, self.sizes))
                longer = applied(term.row, (first, operand), term.truth)
            some = longer
        return some

    # --- terms ---

    def _array(self, i: int) -> Term:
        term = self.terms[i]
        if not isinstance(term, Name):
            self.pending.add(i)
        return term

    def _taken(self, operand: Operand | Numbers, shape: tuple[int, ...]) -> Term:
        """An operand over a domain of that shape and the axes that are reduced."""
        if isinstance(operand, Numbers):
            return tabled(operand.values)
        of, sizes = self.families[operand.family], shape + operand.reduced
        if isinstance(operand.place, Affine):
            return viewed(self._array(operand.family), operand.place, sizes, of.shape)
        return gathered(self._array(operand.family), operand.place, of.shape)

    def _expression(self, family: Family, truth: bool) -> Term:
        assert family.row is not None
        self.sizes = family.shape
        own = (BATCH, *range(len(family.shape)))
        if not family.fold:
            return applied(family.row, tuple(self._taken(x, family.shape) for x in family.operands), truth)
        terms = []
        for operand in family.operands:
            if isinstance(operand, Operand) and operand.family in self.unstored:
                product = self.families[operand.family]
                x, y = (self._composed(operand, factor, family.shape) for factor in product.operands)
                term, varied = contracted(x, y, own), {*x.axes, *y.axes}
            else:
                taken = self._taken(operand, family.shape)
                term, varied = reduced(family.row, taken, own, truth), {*taken.axes}
            missing = [n for k, n in enumerate(operand.reduced, len(family.shape)) if k not in varied]
            terms.append(_times(math.prod(missing), term) if family.row is rules.add else term)
        if family.row is rules.add:  # + 0 is nothing but the sign of a zero
            terms = [x for x in terms if not (isinstance(x, Number) and x.value == 0)] or terms
        return terms[0] if len(terms) == 1 else applied(family.row, tuple(terms), truth)

    def _added_up(self, term: Term, sizes: tuple[int, ...], kept: tuple[int, ...]) -> Term:
        """The sum of a family's term along all letters but those."""
        missing = [n for k, n in enumerate(sizes) if k not in kept and k not in term.axes]
        return _times(math.prod(missing), reduced(rules.add, term, kept))

    def _composed(self, operand: Operand, factor: Operand | Numbers, shape: tuple[int, ...]) -> Term:
        """A product's factor over the domain of the sum that takes the product."""
        product, sizes = self.families[operand.family], shape + operand.reduced
        if isinstance(factor, Operand):
            outer, inner = operand.place, factor.place
            if isinstance(outer, Affine) and isinstance(inner, Affine):
                return self._taken(Operand(factor.family, inner.after(outer), operand.reduced), shape)
        flat = _flat(operand.place, sizes, product.shape)
        if isinstance(factor, Numbers):
            return tabled(factor.values.reshape(-1)[flat])
        of = self.families[factor.family]
        inner_flat = _flat(factor.place, product.shape, of.shape).reshape(-1)[flat]
        return gathered(self._array(factor.family), inner_flat, of.shape)

    # --- arrays put together ---

    def _find_scattered(self) -> None:
        for k, (shape, parts) in enumerate(self.arrays):
            found = self._scatter(shape, parts)
            if found is not None:
                self.scattered[k], sums = found
                self.inside |= sums

    def _scatter(
        self, shape: tuple[int, ...], parts: Sequence[Part]
    ) -> tuple[dict[int, Affine], set[int]] | None:
        """The families of terms that an array adds up, each with its map to the array, and their sums."""
        if len(parts) < 3 or not shape or any(part.family is None for part in parts):
            return None
        members = {part.family for part in parts}
        ends: dict[int, list[tuple[Ints, Ints]]] = {}
        sums: set[int] = set()
        todo = [(part.family, part.places, part.at, 0) for part in parts if part.family is not None]
        for i, places, at, depth in todo:
            family = self.families[i]
            inside = self._sums(i) and {user for user, _ in self.users[i]} <= sums
            if not inside or self.parts[i] != (i in members) or len(np.unique(at)) < len(at):
                ends.setdefault(i, []).append((places, at))
                continue
            sums.add(i)
            if depth > DEPTH:
                return None
            for operand in family.operands:
                if not (isinstance(operand, Operand) and isinstance(operand.place, Affine)):
                    return None
                inner = places_of(operand.reduced)
                both = np.hstack([np.repeat(places, len(inner), axis=0), np.tile(inner, (len(places), 1))])
                further = operand.place.offset + both @ operand.place.steps.T
                todo.append((operand.family, further, np.repeat(at, len(inner)), depth + 1))
        found = {}
        for i, some in ends.items():
            family = self.families[i]
            places, at = np.concatenate([x for x, _ in some]), np.concatenate([y for _, y in some])
            once = len(np.unique(flattened(places, family.shape))) == len(places) == len(family.slots)
            to = affine_map(places, np.unravel_index(at, shape)) if once else None
            if i < self.rolled.inputs or i in sums or to is None:
                return None
            if (to.steps < 0).any() or not to.stays_within(family.shape, shape):
                return None
            found[i] = to
        return (found, sums) if sums else None

    def _assembled(
        self, k: int, shape: tuple[int, ...], parts: tuple[Part, ...], name: str, count: Term | None = None
    ) -> Term:
        """An array of parts: a view if they are one, else put together under a name.

        It is summed over the samples if their number ``count`` is given.
        """
        self.pending = set()
        if k in self.scattered:
            pieces = []
            for i, to in self.scattered[k].items():
                family, term = self.families[i], self.terms[i]
                if not family.grid.full:
                    there = np.zeros(family.shape, bool)
                    there.reshape(-1)[family.grid.flat] = True
                    mask = Table(tuple(range(len(family.shape))), there)
                    term = Masked((*in_front(term.axes), *mask.axes), mask, term)
                seen = tuple(np.flatnonzero(to.steps.any(axis=0)).tolist())
                term = _summed(term, count)
                pieces.append(Piece(self._added_up(term, family.shape, (BATCH, *seen)), family.shape, to))
            return self._assemble(name, shape, pieces, adds=True)
        if len(parts) == 1:
            return spread(self._one(parts[0], shape, count), shape)
        parts = tuple(sorted(parts, key=lambda part: -self._holes(part)))
        pieces = [self._piece(part, shape, count, overwritten=not i) for i, part in enumerate(parts)]
        return self._assemble(name, shape, pieces, adds=False)

    def _assemble(self, name: str, shape: tuple[int, ...], pieces: Iterable[Piece], adds: bool) -> Term:
        pieces = tuple(pieces)
        batch = (BATCH,) * any(BATCH in piece.term.axes for piece in pieces)
        self.statements.append(Assemble(axes := (*batch, *range(len(shape))), name, shape, pieces, adds))
        return Name(axes, name, shape)

    def _result(self, i: int, count: Term | None) -> Term:
        """A family's term, summed over the samples if their number is given."""
        family = self.families[i]
        if i in self.unstored:
            x, y = (self._taken(operand, family.shape) for operand in family.operands)
            return contracted(x, y, tuple(range(len(family.shape))))
        return _summed(self._array(i), count)

    def _one(self, part: Part, shape: tuple[int, ...], count: Term | None) -> Term:
        """A whole array that is of one family."""
        order = np.argsort(part.at)
        if part.family is None:
            return tabled(part.numbers[order].reshape(shape))
        family, places = self.families[part.family], part.places[order]
        to = affine_map(places_of(shape), list(places.T))
        if to is not None:
            return viewed(self._result(part.family, count), to, shape, family.shape)
        flat = flattened(places, family.shape).reshape(shape)
        return gathered(self._result(part.family, count), flat, family.shape)

    def _holes(self, part: Part) -> int:
        if part.family is None:
            return 0
        return math.prod(self.families[part.family].shape) - len(self.families[part.family].slots)

    def _piece(self, part: Part, shape: tuple[int, ...], count: Term | None, overwritten: bool) -> Piece:
        """A part and where it goes; the holes of one that is ``overwritten`` go along."""
        if part.family is None:
            return Piece(_summed(tabled(part.numbers), count), (len(part.at),), part.at)
        family, term = self.families[part.family], self._result(part.family, count)
        flat = flattened(part.places, family.shape)
        to = affine_map(part.places, np.unravel_index(part.at, shape))
        all_once = len(np.unique(flat)) == len(flat) == len(family.slots)
        usable = to is not None and all_once and (family.grid.full or overwritten)
        if usable and to is not None and to.stays_within(family.shape, shape):
            return Piece(term, family.shape, to)
        return Piece(gathered(term, flat, family.shape), (len(flat),), part.at)


def _times(count: int, term: Term) -> Term:
    """The sum of so many terms that are all the same."""
    return applied(rules.mul, (Number((), float(count)), term)) if count > 1 else term


def _summed(term: Term, count: Term | None) -> Term:
    """The sum of a term over the samples, if their number is given."""
    if count is None:
        return term
    if BATCH not in term.axes:
        return applied(rules.mul, (count, term))
    if isinstance(term, Contract):
        return contracted(term.x, term.y, own_axes(term.axes))
    return reduced(rules.add, term, own_axes(term.axes))


def _flat(place: Affine | Ints, sizes: tuple[int, ...], shape: tuple[int, ...]) -> Ints:
    return place.flat(sizes, shape) if isinstance(place, Affine) else place


def _choice(family: Family) -> tuple[float, float] | None:
    """The two numbers of a ``where`` between 1 and 0, in its order."""
    numbers = [x.values for x in family.operands[1:] if isinstance(x, Numbers)]
    if len(numbers) == 2 and all((x == x.flat[0]).all() for x in numbers):
        pair = float(numbers[0].flat[0]), float(numbers[1].flat[0])
        return pair if sorted(pair) == [0.0, 1.0] else None
    return None
