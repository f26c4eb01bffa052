"""Statements that are one statement at other places, drawn together: steps in time, running sums, triangles.

Where statements follow one another whose terms differ only in where their views stand, and in which of the
arrays just made they take, these arrays become rows of a stack, made in a loop. What takes rows in order
takes them as an array from then on: a sum over steps is a sum over an axis.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from autograd_mini import rules
from autograd_mini.rolling.grids import Affine
from autograd_mini.rolling.statements import LONGEST, Body, Statement
from autograd_mini.rolling.terms import (
    Apply,
    Assemble,
    Assign,
    Contract,
    Gather,
    Loop,
    Masked,
    Name,
    Number,
    Piece,
    Reduce,
    Row,
    Scan,
    Spread,
    Table,
    Term,
    View,
    applied,
    contracted,
    own_axes,
    parts_of,
    reduced,
    view_of,
    with_parts,
)

Item = TypeVar("Item")

FEWEST = 3  # steps of a loop, and terms of a sum
MOST = 16  # statements of a step


@dataclass(frozen=True, eq=False)
class Looped:
    """Statements with loops among them, and a term for each output."""

    statements: tuple[Statement | Loop, ...]
    outputs: tuple[Term, ...]


def looped(body: Body, is_plain: Callable[[str], bool], text: Callable[[Term], str]) -> Looped:
    """The statements with loops; only arrays with ``is_plain`` names become rows."""
    terms = [x.term for x in body.statements if isinstance(x, Assign)]
    terms += [piece.term for x in body.statements if isinstance(x, Assemble) for piece in x.pieces]
    names = [x for term in (*terms, *body.outputs) for x in _names(term)]
    looping = _Looping(names, is_plain, text)
    looping.add(body.statements)
    return Looped(tuple(looping.done), tuple(map(looping.term, body.outputs)))


class _Looping:
    def __init__(
        self, names: Sequence[Name], is_plain: Callable[[str], bool], text: Callable[[Term], str]
    ) -> None:
        self.names, self.uses = {x.name: x for x in names}, Counter(x.name for x in names)
        self.is_plain, self.text = is_plain, text
        self.rows: dict[str, View] = {}  # by the names that arrays had
        self.sums: dict[str, tuple[Term, ...]] = {}  # the terms of sums
        self.done: list[Statement | Loop] = []

    def add(self, given: Sequence[Statement]) -> None:
        kinds = [self._kind(x) for x in given]
        done = 0
        while done < len(given):
            columns = self._columns(given, kinds, done)
            if columns:
                self._add_loop(columns)
                done += len(columns) * len(columns[0])
            else:
                self.done.append(self._replaced(given[done]))
                done += 1

    # --- loops ---

    def _kind(self, statement: Statement) -> Any:
        """What statements have in common that may be steps of a loop; None if it is none."""
        if isinstance(statement, Assign) and self.is_plain(statement.name) and statement.name in self.names:
            return self.names[statement.name].shape, _kind(statement.term)
        return None

    def _columns(self, given: Sequence[Statement], kinds: Sequence[Any], start: int) -> list[list[Assign]]:
        """The loop that starts there, by what happens in a step; empty if there is none."""
        for period in range(1, min(MOST, (len(kinds) - start) // FEWEST) + 1):
            end = start + period
            while end < len(kinds) and kinds[end] == kinds[end - period]:
                end += 1
            if None in kinds[start : start + period]:
                break
            some = [x for x in given[start:end] if isinstance(x, Assign)]

            def columns(steps: int, some: list[Assign] = some, period: int = period) -> list[list[Assign]]:
                return [some[k : steps * period : period] for k in range(period)]

            if steps := _largest(len(some) // period, lambda n: self._rolled(columns(n)) is not None):
                return columns(steps)
        return []

    def _add_loop(self, columns: Sequence[Sequence[Assign]]) -> None:
        found = self._rolled(columns)
        assert found is not None
        terms, firsts = found
        names = [column[0].name for column in columns]
        made = {name: self._first(first) for name, first in firsts.items()}
        if (whole := self._at_once(columns[0], terms, made)) is not None:
            statement, before = whole
            self.done.append(statement)
            self.rows |= self._places(columns, firsts, before)
            return
        self.rows |= self._places(columns, firsts)
        rows = zip(names, terms, strict=True)
        self.done.append(
            Loop(
                tuple(Row(name, self.names[name].shape, made.get(name), term) for name, term in rows),
                len(columns[0]),
            )
        )

    def _at_once(
        self, column: Sequence[Assign], terms: Sequence[Term], firsts: Mapping[str, Term]
    ) -> tuple[Assign, int] | None:
        """Numbers made without a loop: each by itself or running sums, and how many stand before them."""
        name, count = column[0].name, len(column)
        if len(terms) > 1 or self.names[name].shape:
            return None
        [term], letter = terms, _letter(terms[0])
        if name not in firsts:
            whole = _over(term, letter, count)
            return (Assign(name, whole), 0) if whole is not None and whole.axes == (letter,) else None
        if not (isinstance(term, Apply) and term.row in (rules.add, rules.mul) and len(term.operands) == 2):
            return None
        x, y = sorted(term.operands, key=lambda part: name not in {x.name for x in _names(part)})
        if not (isinstance(x, View) and isinstance(x.of, Name) and x.of.name == name):
            return None
        for before in (1, 2):
            start = _earlier(y, before)
            some, whole = (start and _over(start, letter, n) for n in (before, before + count))
            if start is None or some is None or whole is None or whole.axes != (letter,):
                continue
            same: list[Term] = [_still(start)]
            if before == 2:
                same = [applied(term.row, (_still(start), _still(_earlier(y, 1) or start)))]
                same += [reduced(term.row, some, ())] * (term.row is rules.add)
            if self.text(firsts[name]) in map(self.text, same):
                return Assign(name, Scan((0,), term.row, whole)), before - 1
        return None

    def _first(self, name: Name) -> Term:
        """An array made before that becomes a row; if it was made just before, that itself."""
        if self.done and isinstance(last := self.done[-1], Assign) and last.name == name.name:
            self.done.pop()
            return last.term
        return self.term(name)

    def _places(
        self, columns: Sequence[Sequence[Assign]], firsts: Mapping[str, Name], before: int = 0
    ) -> dict[str, View]:
        """By the names that arrays have, the rows that they become, after so many others."""
        places: dict[str, View] = {}
        for column in columns:
            stack = self.names[column[0].name]
            names = [x.name for x in column]
            names[:0] = [firsts[stack.name].name] if stack.name in firsts else []
            places |= {x: _row(stack, before + len(names), at) for at, x in enumerate(names, before)}
        return places

    def _rolled(self, columns: Sequence[Sequence[Assign]]) -> tuple[list[Term], dict[str, Name]] | None:
        """The terms of a step, and by their stacks the arrays that come before; None if it is no loop."""
        own = {x.name for column in columns for x in column}
        firsts: dict[str, Name] = {}
        for column in columns:
            for before, name in zip(*(_names(x.term) for x in column[:2]), strict=False):
                if any(name.name == other[0].name for other in columns):
                    stack = self.names[name.name]
                    known = firsts.setdefault(name.name, before)
                    alike = (before.axes, before.shape) == (stack.axes, stack.shape)
                    if known.name != before.name or before.name in own or not alike:
                        return None
        if len({x.name for x in firsts.values()}) < len(firsts):
            return None
        rows = self.rows | self._places(columns, firsts)
        terms = []
        for column in columns:
            if (term := together([_replaced(x.term, rows) for x in column])) is None:
                return None
            terms.append(term)
        return terms, firsts

    # --- what takes rows ---

    def term(self, term: Term) -> Term:
        return _summed(_replaced(term, self.rows))

    def _replaced(self, statement: Statement) -> Statement:
        """A statement that takes rows."""
        if isinstance(statement, Assign):
            return Assign(statement.name, self._sum(statement))
        assert isinstance(statement, Assemble)
        pieces = [replace(piece, term=self.term(piece.term)) for piece in statement.pieces]
        pieces = [*_grouped(pieces, lambda some: _one_piece(some, statement.adds))]
        if len(pieces) == 1 and not statement.adds and _is_whole(pieces[0], statement):
            return Assign(statement.name, pieces[0].term)
        return replace(statement, pieces=tuple(pieces))

    def _sum(self, statement: Assign) -> Term:
        """The statement's term; of a sum over several statements the whole, if it is in progression."""
        term = _replaced(statement.term, self.rows)
        if not _is_sum(term):
            return _summed(term)
        start, *rest = parts_of(term)
        known = self.sums.get(start.name, ()) if isinstance(start, Name) else ()
        self.sums[statement.name] = (*known, *rest) if known else parts_of(term)
        last = self.done[-1] if known else None
        if isinstance(last, Assign) and isinstance(start, Name) and last.name == start.name:
            whole = _summed(applied(rules.add, self.sums[statement.name]))
            if self.uses[last.name] == 1 and len(self.text(whole)) <= LONGEST:
                self.done.pop()
                return whole
        return _summed(term)


def _largest(most: int, holds: Callable[[int], bool]) -> int:
    """The largest number for which it holds, as for all below; 0 if that are less than a loop has steps."""
    if most < FEWEST or not holds(FEWEST):
        return 0
    low, high = FEWEST, most + 1
    while low + 1 < high:
        middle = most if high > most else (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _grouped(items: Sequence[Item], whole: Callable[[Sequence[Item]], Item | None]) -> Iterator[Item]:
    """The items with as many as can be made one drawn together."""
    start = 0

    def fits(count: int) -> bool:
        return whole(items[start : start + count]) is not None

    while start < len(items):
        count = _largest(len(items) - start, fits)
        yield (whole(items[start : start + count]) if count else None) or items[start]
        start += count or 1


def _earlier(term: Term, steps: int) -> Term | None:
    """What moves, so many steps before."""
    parts = [_earlier(x, steps) for x in parts_of(term)]
    if any(x is None for x in parts):
        return None
    term = with_parts(term, [x for x in parts if x is not None])
    if not isinstance(term, View) or not term.pace:
        return term
    offset = term.place.offset - steps * np.array(term.pace)
    place = Affine(offset, term.place.steps)
    fits = not any(term.growth) and place.stays_within(term.sizes, term.shape)
    return replace(term, place=place) if fits else None


def _still(term: Term) -> Term:
    """What moves, at its first place."""
    term = with_parts(term, [_still(x) for x in parts_of(term)])
    return replace(term, pace=(), growth=()) if isinstance(term, View) else term


def _row(of: Name, count: int, place: int) -> View:
    """A row of an array of so many that are like one."""
    letters = own_axes(of.axes)
    sizes = np.ones(max(letters, default=-1) + 1, int)
    sizes[list(letters)] = of.shape
    steps = np.zeros((len(letters) + 1, len(sizes)), int)
    steps[range(1, len(letters) + 1), list(letters)] = 1
    shape = (count, *of.shape)
    whole = Name(tuple(range(len(shape))), of.name, shape)
    offset = np.array([place] + [0] * len(letters))
    return View(of.axes, whole, Affine(offset, steps), tuple(sizes.tolist()), shape)


def _is_sum(term: Term) -> bool:
    return isinstance(term, Apply) and term.row is rules.add and not term.truth


def _names(term: Term) -> Iterator[Name]:
    if isinstance(term, Name):
        yield term
    for part in parts_of(term):
        yield from _names(part)


def _kind(term: Term) -> Any:
    """What terms that are one at other places have in common."""
    row = term.row if isinstance(term, (Apply, Reduce)) else None
    return type(term), term.axes, row, tuple(map(_kind, parts_of(term)))


def _replaced(term: Term, rows: Mapping[str, View]) -> Term:
    if isinstance(term, Name):
        return rows.get(term.name, term)
    term = with_parts(term, [_replaced(x, rows) for x in parts_of(term)])
    if isinstance(term, View) and term.whole and term.axes == term.of.axes:
        return term.of
    if isinstance(term, View) and isinstance(row := term.of, View):
        steps = row.place.steps[:, list(row.axes)]
        place = Affine(row.place.offset + steps @ term.place.offset, steps @ term.place.steps)
        return view_of(row.of, place, term.sizes, row.shape)
    return term


def together(terms: Sequence[Term]) -> Term | None:
    """Terms that differ in where their views stand, by the same step from each to the next, as one."""
    first = terms[0]
    if any(type(x) is not type(first) or x.axes != first.axes for x in terms):
        return None
    parts = [together(some) for some in zip(*map(parts_of, terms), strict=False)]
    if any(x is None for x in parts) or len({len(parts_of(x)) for x in terms}) > 1:
        return None
    if isinstance(first, View):
        moved = _moving([x for x in terms if isinstance(x, View)])
        return replace(moved, of=parts[0]) if moved is not None and parts[0] is not None else None
    if any(_own(x) != _own(first) for x in terms):
        return None
    return with_parts(first, [x for x in parts if x is not None])


def _own(term: Term) -> Any:
    """What a term says apart from its parts and its axes."""
    match term:
        case Number():
            return np.float64(term.value).tobytes()
        case Name():
            return term.name
        case Table():
            return term.values.shape, term.values.dtype, term.values.tobytes()
        case Apply() | Reduce():
            return term.row, term.truth
        case Gather():
            return _own(term.at)
        case Masked():
            return _own(term.mask)
        case Spread():
            return term.shape
    return None


def _moving(views: Sequence[View]) -> View | None:
    first = views[0]
    same = (first.shape, len(first.sizes), first.place.steps.tolist())
    if any((x.shape, len(x.sizes), x.place.steps.tolist()) != same or x.pace or x.growth for x in views):
        return None
    pace = np.diff([x.place.offset for x in views], axis=0)
    growth = np.diff([x.sizes for x in views], axis=0)
    if (pace != pace[0]).any() or (growth != growth[0]).any():
        return None
    if not pace.any() and not growth.any():
        return first
    there = (first.place.steps != 0) & (np.array(first.sizes) > 1)
    moves = (pace[0] != 0) | (first.place.steps @ growth[0] != 0)
    if (there.sum(axis=1)[moves] > int(not first.windowed)).any() or (
        first.place.steps[there & moves[:, None]] < 0
    ).any():
        return None  # but for slices there is no notation
    return replace(first, pace=tuple(pace[0].tolist()), growth=tuple(growth[0].tolist()))


def _over(term: Term, letter: int, count: int) -> Term | None:
    """What moves step by step with the steps as a further axis, or None."""
    parts = [_over(x, letter, count) for x in parts_of(term)]
    if any(x is None for x in parts):
        return None
    some = [x for x in parts if x is not None]
    match term:
        case View():
            if any(term.growth) or some[0] is not term.of:
                return None
            if not term.pace:
                return term
            steps = np.zeros((len(term.shape), letter + 1), int)
            steps[:, : len(term.sizes)] = term.place.steps
            steps[:, letter] = term.pace
            sizes = (*term.sizes, *[1] * (letter - len(term.sizes)), count)
            return view_of(term.of, Affine(term.place.offset, steps), sizes, term.shape)
        case Apply():
            return applied(term.row, tuple(some), term.truth)
        case Reduce():
            return reduced(term.row, some[0], (*term.axes, letter), term.truth)
        case Contract():
            return contracted(some[0], some[1], (*term.axes, letter))
    return term if all(x is y for x, y in zip(some, parts_of(term), strict=True)) else None


def _letter(term: Term) -> int:
    """A letter that a term has not."""
    if isinstance(term, View):  # what it is of has letters of its own
        return len(term.sizes)
    return max([max(term.axes, default=-1) + 1, *map(_letter, parts_of(term))])


def _summed(term: Term) -> Term:
    """With terms of sums that are in progression as sums over an axis."""
    term = with_parts(term, [_summed(x) for x in parts_of(term)])
    if not _is_sum(term):
        return term
    letter = _letter(term)

    def whole(some: Sequence[Term]) -> Term | None:
        one = together(some)
        over = _over(one, letter, len(some)) if one is not None else None
        return _sum_over(over, some[0].axes) if over is not None and letter in over.axes else None

    done = [*_grouped(parts_of(term), whole)]
    return done[0] if len(done) == 1 else applied(rules.add, tuple(done))


def _sum_over(term: Term, axes: tuple[int, ...]) -> Term:
    if isinstance(term, Apply) and term.row is rules.mul:
        x, y = term.operands
        return contracted(x, y, axes)
    return reduced(rules.add, term, axes)


def _is_whole(piece: Piece, array: Assemble) -> bool:
    """Whether a piece is all of an array as it stands."""
    rank = len(array.shape)
    identity = isinstance(piece.to, Affine) and np.array_equal(piece.to.steps, np.eye(rank))
    return identity and piece.sizes == array.shape and sorted(own_axes(piece.term.axes)) == [*range(rank)]


def _one_piece(pieces: Sequence[Piece], adds: bool) -> Piece | None:
    """The pieces as one; those that are added at one place are summed."""
    places = [piece.to for piece in pieces if isinstance(piece.to, Affine)]
    if len(places) < len(pieces) or len({piece.sizes for piece in pieces}) > 1:
        return None
    pace = np.diff([place.offset for place in places], axis=0)
    same = all(np.array_equal(place.steps, places[0].steps) for place in places)
    whole = together([piece.term for piece in pieces])
    if not same or (pace != pace[0]).any() or whole is None:
        return None
    letter, count = len(pieces[0].sizes), len(pieces)
    over = _over(whole, letter, count)
    if over is None or whole is None or (pace[0] < 0).any():
        return None
    if not pace.any():
        return Piece(_sum_over(over, whole.axes), pieces[0].sizes, places[0]) if adds else None
    to = Affine(places[0].offset, np.hstack([places[0].steps, pace[0][:, None]]))
    return Piece(over, (*pieces[0].sizes, count), to)
