"""From families to statements: what is stored under a name, what is written where it is used.

A product that only sums take is not stored: the sums are contractions. A family that is used once and has
no name of its own is written in its user's place while the text is short. An array whose elements are sums
of different numbers of terms, as the gradient of a convolution's image, is zeros to which terms are added.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from autograd_mini import rules
from autograd_mini.rolling.chains import COMPARISONS, FOLDED
from autograd_mini.rolling.families import Family, Numbers, Operand, Part, Rolled
from autograd_mini.rolling.grids import Affine, affine_map, flattened, places_of
from autograd_mini.rolling.terms import (
    Apply,
    Assemble,
    Assign,
    Masked,
    Name,
    Number,
    Piece,
    Table,
    Term,
    applied,
    contracted,
    gathered,
    reduced,
    spread,
    tabled,
    unwrapped,
    viewed,
)

if TYPE_CHECKING:
    from autograd_mini.rolling.grids import Ints

INLINE = 64  # characters of what may be written where it is used
LONGEST = 88  # characters of a statement's right side


@dataclass(frozen=True, eq=False)
class Listing:
    """The statements, and a term for each output."""

    statements: tuple[Assign | Assemble, ...]
    outputs: tuple[Term, ...]


def listing(
    rolled: Rolled, inputs: Sequence[str], fresh: Callable[[str], str], length: Callable[[Term], int]
) -> Listing:
    """The families as statements; ``fresh`` makes a label a name that is free, ``length`` measures a term."""
    return _Planner(rolled, inputs, fresh, length).listing()


class _Planner:
    def __init__(
        self,
        rolled: Rolled,
        inputs: Sequence[str],
        fresh: Callable[[str], str],
        length: Callable[[Term], int],
    ) -> None:
        self.families, self.rolled, self.fresh, self.length = rolled.families, rolled, fresh, length
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
        kept = {family for scatter in self.scattered.values() for family in scatter}
        self.kept = kept | {i for i, count in self.parts.items() if i is not None and count}
        self.unstored = {i for i in range(len(self.families)) if self._is_unstored(i)}
        self.truths = self._truths()
        self.uses = self._uses()
        self.statements: list[Assign | Assemble] = []
        self.terms: dict[int, Term] = {}
        for i, name in enumerate(inputs):
            shape = self.families[i].shape
            self.terms[i] = Name(tuple(range(len(shape))), name, shape)

    def listing(self) -> Listing:
        joined = 0
        for i, family in enumerate(self.families):
            if i < self.rolled.inputs or i in self.unstored or i in self.inside:
                continue
            if family.parts:
                self._store(i, self._assembled(joined, *self.arrays[joined], self.fresh(family.name)))
                joined += 1
                continue
            term = self._fitting(partial(self._expression, family, i in self.truths))
            if isinstance(same := unwrapped(term), Name):
                self.terms[i] = same
                continue
            once = self.uses[i] == 1 and i not in self.kept and not family.name
            if once and self.length(term) <= INLINE:
                self.terms[i] = term
            else:
                self._assign(i, term)
        outputs = [
            self._assembled(
                joined + k,
                output.shape,
                output.parts,
                self.fresh(output.name) if len(output.parts) > 1 else "",
            )
            for k, output in enumerate(self.rolled.outputs)
        ]
        return Listing(tuple(self.statements), tuple(outputs))

    # --- what is stored ---

    def _is_unstored(self, i: int) -> bool:
        family, users = self.families[i], self.users[i]
        return (
            family.row is rules.mul
            and i not in self.kept
            and bool(users)
            and all(self._sums(user) and operand.reduced for user, operand in users)
        )

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
        while True:  # what a truth folds must be truths, and what takes a truth must want one
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
                if self.families[i].fold
                # the terms of a fold are families, and never constants
                and any(x.family not in truths for x in self.families[i].operands)  # type: ignore[union-attr]
            }
            if not wrong:
                return truths
            able -= wrong

    def _uses(self) -> Counter[int]:
        """How often each family is written, were all stored that are not contracted."""
        uses: Counter[int] = Counter()
        for i in range(len(self.families) - 1, -1, -1):
            if i not in self.inside:
                times = uses[i] if i in self.unstored else 1
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
            term = replace(term, shape=tuple(self.families[i].shape[axis] for axis in term.axes))
        self.terms[i] = term

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
        terms = list(term.operands)
        count = len(terms)
        while len(terms) > 2 and self.length(applied(term.row, tuple(terms), term.truth)) > LONGEST:
            count = min(count, len(terms) - 1)
            while count > 2 and self.length(applied(term.row, tuple(terms[:count]), term.truth)) > LONGEST:
                count -= 1
            some = applied(term.row, tuple(terms[:count]), term.truth)
            name = self.fresh("")
            self.statements.append(Assign(name, some))
            terms[:count] = [Name(some.axes, name, tuple(self.sizes[letter] for letter in some.axes))]
            count = len(terms)
        return applied(term.row, tuple(terms), term.truth)

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
        own = tuple(range(len(family.shape)))
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
            missing = [n for k, n in enumerate(operand.reduced, len(own)) if k not in varied]
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
        todo = [(part.family, part.places, part.at) for part in parts if part.family is not None]
        for i, places, at in todo:
            family = self.families[i]
            inside = self._sums(i) and {user for user, _ in self.users[i]} <= sums
            if not inside or self.parts[i] != (i in members) or len(np.unique(at)) < len(at):
                ends.setdefault(i, []).append((places, at))
                continue
            sums.add(i)
            for operand in family.operands:
                if not (isinstance(operand, Operand) and isinstance(operand.place, Affine)):
                    return None
                inner = places_of(operand.reduced)
                both = np.hstack([np.repeat(places, len(inner), axis=0), np.tile(inner, (len(places), 1))])
                further = operand.place.offset + both @ operand.place.steps.T
                todo.append((operand.family, further, np.repeat(at, len(inner))))
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

    def _assembled(self, k: int, shape: tuple[int, ...], parts: tuple[Part, ...], name: str) -> Term:
        """An array of parts: a view if they are one, else put together under a name."""
        self.pending = set()
        if k in self.scattered:
            pieces = []
            for i, to in self.scattered[k].items():
                family, term = self.families[i], self.terms[i]
                if not family.grid.full:
                    there = np.zeros(family.shape, bool)
                    there.reshape(-1)[family.grid.flat] = True
                    mask = Table(tuple(range(len(family.shape))), there)
                    term = Masked(mask.axes, mask, term)
                seen = tuple(np.flatnonzero(to.steps.any(axis=0)).tolist())
                pieces.append(Piece(self._added_up(term, family.shape, seen), family.shape, to))
            return self._assemble(name, shape, pieces, adds=True)
        if len(parts) == 1:
            return spread(self._one(parts[0], shape), shape)
        parts = tuple(sorted(parts, key=lambda part: -self._holes(part)))
        pieces = [self._piece(part, shape, overwritten=not i) for i, part in enumerate(parts)]
        return self._assemble(name, shape, pieces, adds=False)

    def _assemble(self, name: str, shape: tuple[int, ...], pieces: Iterable[Piece], adds: bool) -> Term:
        self.statements.append(Assemble(name, shape, tuple(pieces), adds))
        return Name(tuple(range(len(shape))), name, shape)

    def _one(self, part: Part, shape: tuple[int, ...]) -> Term:
        """A whole array that is of one family."""
        order = np.argsort(part.at)
        if part.family is None:
            return tabled(part.numbers[order].reshape(shape))
        family, places = self.families[part.family], part.places[order]
        to = affine_map(places_of(shape), list(places.T))
        if to is not None:
            return viewed(self._array(part.family), to, shape, family.shape)
        return gathered(
            self._array(part.family), flattened(places, family.shape).reshape(shape), family.shape
        )

    def _holes(self, part: Part) -> int:
        if part.family is None:
            return 0
        return math.prod(self.families[part.family].shape) - len(self.families[part.family].slots)

    def _piece(self, part: Part, shape: tuple[int, ...], overwritten: bool) -> Piece:
        """A part and where it goes; the holes of one that is ``overwritten`` go along."""
        if part.family is None:
            return Piece(tabled(part.numbers), (len(part.at),), part.at)
        family, term = self.families[part.family], self._array(part.family)
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


def _flat(place: Affine | Ints, sizes: tuple[int, ...], shape: tuple[int, ...]) -> Ints:
    return place.flat(sizes, shape) if isinstance(place, Affine) else place


def _choice(family: Family) -> tuple[float, float] | None:
    """The two numbers of a ``where`` between 1 and 0, in its order."""
    numbers = [x.values for x in family.operands[1:] if isinstance(x, Numbers)]
    if len(numbers) == 2 and all((x == x.flat[0]).all() for x in numbers):
        pair = float(numbers[0].flat[0]), float(numbers[1].flat[0])
        return pair if sorted(pair) == [0.0, 1.0] else None
    return None
