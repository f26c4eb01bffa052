"""The reverse sweep over named arrays, in symbols: chain rule, simplification, and the proof by numbers.

Each step is the derivative of the output by one array: a sum over what the array feeds, then the same
simplified, at best until no derivative is left in it. A line is kept only if it agrees to many digits with
the derivative that the engine computes, at every point and size; else there is the chain rule alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from autograd_mini import rules
from autograd_mini.deriving.algebra import (
    Algebra,
    Atom,
    Letter,
    Poly,
    TooLargeError,
    add,
    atoms_of,
    single,
)
from autograd_mini.deriving.forward import Array, Forward, definition_rules
from autograd_mini.deriving.numbers import Place, agrees, always
from autograd_mini.deriving.writing import Style
from autograd_mini.rolling.families import Operand

ALLOWANCE = 10  # characters that a line without other derivatives may be longer than one with them
SYMBOLS = "ijklmnpq"
INLINE = ("residual", "sigmoid", "scalar", "layer")  # arrays that a result writes out, where that is short


@dataclass(frozen=True, eq=False)
class Term:
    """A term of the chain rule, through an array at ``letters``; ``slope`` is its partial, if verified.

    ``rows`` are those of the table between the two.
    """

    through: str
    letters: tuple[Letter, ...]
    slope: Poly | None
    rows: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Line:
    """What a derivative equals; ``reasons`` are sums, the numbers that they are, and whether by premise."""

    value: Poly
    reasons: tuple[tuple[Atom, Any, bool], ...] = ()


@dataclass(frozen=True, eq=False)
class Step:
    """The derivative of the output's element ``of`` by one array."""

    array: Array
    letters: tuple[Letter, ...]
    of: tuple[Letter, ...]
    terms: tuple[Term, ...]
    lines: tuple[Line, ...]
    chain: Poly
    closed: Poly | None  # without other derivatives, however long
    inlined: Poly | None  # that with definitions put in

    @property
    def axes(self) -> tuple[Letter, ...]:
        return self.of + self.letters

    @property
    def value(self) -> Poly:
        """The last line, or what the chain rule says where no line was verified."""
        return self.lines[-1].value if self.lines else self.chain


class Reverse:
    """The steps of a derivation, from the output to the arguments ``wrt``."""

    def __init__(
        self,
        forward: Forward,
        wrt: Sequence[str],
        places: Sequence[Place],
        lifted: Sequence[Place],
        style: Style,
    ) -> None:
        self.forward, self.wrt, self.places, self.lifted, self.style = forward, wrt, places, lifted, style
        self.raw = forward.algebra
        self.output = forward.output
        self.of = self._letters(forward.result, ())  # the element of the output that is derived
        self.closed: dict[str, Step] = {}
        self.reasons: dict[Atom, tuple[Atom, Any, bool]] = {}
        self.used: list[Atom] = []
        self.sums: dict[Atom, Any] = {}
        arrays = list(forward.arrays.values())
        self.plain, self.quotients = (self._algebra(arrays, both) for both in (False, True))

    def _algebra(self, arrays: Sequence[Array], quotients: bool) -> Algebra:
        algebra = Algebra({}, self._known)
        definition_rules(arrays, algebra, quotients)
        return algebra

    def _known(self, atom: Atom) -> Any:
        """The number that a sum is at every place, if it is one; remembered as a reason."""
        if atom not in self.sums:
            if any(x[0] == "d" for x in atoms_of(single(atom))):
                self.sums[atom] = None
            else:
                self.sums[atom] = always(atom, [x for x in self.places if x.size >= 0])
                if self.sums[atom] is not None and self.lifted:
                    self.reasons[atom] = (atom, self.sums[atom], always(atom, self.lifted) is None)
                elif self.sums[atom] is not None:
                    self.reasons[atom] = (atom, self.sums[atom], False)
        if self.sums[atom] is not None:
            self.used.append(atom)
        return self.sums[atom]

    # --- the sweep ---

    def steps(self) -> Iterator[Step]:
        arrays = self.forward.arrays
        depends = self._depending()
        order = [a for a in arrays.values() if a.family is not None and a.name in depends]
        order.sort(key=lambda a: (a.kind != "input", a.family))
        stops = [a for a in order if a.step and a.kind != "output"]
        inputs = [a for a in stops if a.kind == "input"]
        for array in [*reversed([a for a in stops if a.kind != "input"]), *inputs]:
            step = self._step(array, [a for a in order if a.step])
            if step is not None:
                self.closed[array.name] = step
                for place in self.places:
                    if place.size < 0 and place.adjoints.get(array.name) is None:
                        place.adjoints[array.name] = _first_defined(place, step)
                yield step

    def _depending(self) -> set[str]:
        """The arrays that depend on what is differentiated, and are depended on."""
        found = set(self.wrt)
        arrays = self.forward.arrays.values()
        for array in sorted(arrays, key=lambda a: (a.kind != "input", a.family or 0)):
            if any(x[0] == "x" and x[1] in found for x in atoms_of(array.body)):
                found.add(array.name)
        return found

    def _step(self, array: Array, stops: Sequence[Array]) -> Step | None:
        target = self._letters(array.letters, self.of)
        terms = []
        local: Poly = {}
        for user in stops:
            if user.kind == "input" or user.name == array.name:
                continue
            k = self.of if user.name == self.output else self._letters(user.letters, (*self.of, *target))
            there = self.raw.rebuilt(user.body, dict(zip(user.letters, k, strict=True)))
            slope = self.raw.derivative(there, array.name, target)
            if not slope:
                continue
            if user.name == self.output:
                local = add(local, slope)
            elif user.name in self.closed:
                seed = single(("d", user.name, (*self.of, *k)))
                local = add(local, self.raw.sum(self.raw.mul(seed, slope), k))
            else:
                continue
            terms.append(Term(user.name, k, slope, self._rows(array, user)))
        if not terms:
            return None
        lines, closed = self._lines(array, target, local)
        held = [a.family for a in stops if a.kind != "output" and a.family not in (None, array.family)]
        terms = [self._partial(term, array, target, held) for term in terms]
        inlined = self._inlined(closed, array, target) if closed is not None else None
        return Step(array, target, self.of, tuple(terms), tuple(lines), local, closed, inlined)

    def _partial(self, term: Term, array: Array, at: tuple[Letter, ...], held: Sequence[Any]) -> Term:
        """A term with its partial simplified, if that is what the engine says of some elements."""
        user = self.forward.arrays[term.through]
        for line in self._shortest([term.slope] if term.slope else []):
            if all(
                self._is_partial(line.value, term, user, array, at, held, place)
                for place in self.places
                if place.point is not None
            ):
                return replace(term, slope=line.value)
        return replace(term, slope=None)

    def _is_partial(
        self, p: Poly, term: Term, user: Array, array: Array, at: Any, held: Sequence[Any], place: Place
    ) -> bool:
        letters = (*term.letters, *at)
        shape = tuple(x.dim[place.size] for x in term.letters)
        try:
            numbers = place.value(p, letters).reshape(-1, *(x.dim[place.size] for x in at))
        except ArithmeticError:  # another form may have a value there
            return False
        assert place.point is not None
        assert user.family is not None
        assert array.family is not None
        some = {0, int(np.prod(shape, dtype=int)) - 1}
        return all(
            agrees(numbers[k], place.point.partial(user.family, k, array.family, held), place.size >= 0)
            for k in some
        )

    def _letters(self, slots: Sequence[Letter], used: Sequence[Letter]) -> tuple[Letter, ...]:
        taken = {*self.style.taken, *(x.name for x in used)}
        names = iter([x for x in SYMBOLS if x not in taken] + [f"{x}′" for x in SYMBOLS])
        return tuple(Letter(next(names), slot.dim) for slot in slots)

    # --- lines ---

    def _lines(self, array: Array, at: tuple[Letter, ...], local: Poly) -> tuple[list[Line], Poly | None]:
        """The derivative in terms of those before it, and without them, which is a line where it is short."""
        first = self._verified(self._shortest([local]), array, at)
        if not any(x[0] == "d" for x in atoms_of(local)):
            return first, first[0].value if first else None
        closed = self._closed(local)
        best = self._verified(self._shortest(closed or []), array, at)
        if best and (not first or self._length(best[0]) <= self._length(first[0]) + ALLOWANCE):
            return [*first, *best], best[0].value
        return first, best[0].value if best else None

    def _length(self, line: Line) -> int:
        return len(self.style.poly(line.value))

    def _closed(self, local: Poly) -> list[Poly] | None:
        """The line with what the earlier derivatives were found to be."""
        algebra = Algebra({})
        for name, step in self.closed.items():
            algebra.define(("d", name, step.axes), step.axes, step.value)
        try:
            return [algebra.rebuilt(local)]
        except (TooLargeError, ZeroDivisionError):
            return None

    def _inlined(self, closed: Poly, array: Array, at: tuple[Letter, ...]) -> Poly | None:
        """A line of sums and products with what is short by definition put in its place, if that is right."""
        algebra = Algebra({})
        shown = [closed]
        for x in self.forward.arrays.values():
            if x.kind in INLINE and x.family is not None:
                algebra.define(("x", x.name, x.letters), x.letters, x.shown)
                shown.append(x.shown)
        if any(atom[0] == "inv" for p in shown for atom in atoms_of(p)):
            return None
        with suppress(TooLargeError, ZeroDivisionError):
            value = algebra.rebuilt(closed)
            if value != closed and self._holds(Line(value), array, at):
                return value
        return None

    def _shortest(self, polys: Iterable[Poly]) -> list[Line]:
        """The ways to simplify, the shortest first."""
        found: list[Line] = []
        for p in polys:
            for algebra in (self.plain, self.quotients):
                self.used = []
                algebra.atom.cache_clear()
                try:
                    value = algebra.rebuilt(p)
                except (TooLargeError, ZeroDivisionError):
                    continue
                reasons = tuple(self.reasons[x] for x in dict.fromkeys(self.used) if x in self.reasons)
                found.append(Line(value, reasons))
            found.append(Line(p))
        return sorted(found, key=self._length)

    def _verified(self, lines: Sequence[Line], array: Array, at: tuple[Letter, ...]) -> list[Line]:
        """The first line that is right at every place, if there is one."""
        return next(([line] for line in lines if self._holds(line, array, at)), [])

    def _holds(self, line: Line, array: Array, at: tuple[Letter, ...]) -> bool:
        """Whether a line is the engine's derivative everywhere; at the given point premises hold roughly."""
        exact = not any(premise for _, _, premise in line.reasons)
        for place in self.places:
            truth = place.adjoints.get(array.name)
            if truth is None and place.size >= 0:
                return False
            axes = self.of + at
            if truth is not None and not place.agrees(line.value, axes, truth, exact or place.size >= 0):
                return False
        return True

    # --- the table's rows ---

    def _rows(self, array: Array, user: Array) -> tuple[str, ...]:
        """The rows between an array and what it feeds that are not linear in what depends on it."""
        forward = self.forward
        found: dict[str, None] = {}

        def depends(i: int) -> bool:
            if i == array.family:
                return True
            if i in forward.names and forward.arrays[forward.names[i]].step:
                return False
            return any(map(depends, forward._operands(i)))

        def walk(i: int) -> None:
            family = forward.families[i]
            row, operands = family.row, forward._operands(i)
            if row is None or row is rules.detach:
                return
            places = [
                isinstance(x, Operand) and x.family in operands and depends(x.family) for x in family.operands
            ]
            if any(places) and not is_linear(row, places, family.fold):
                found["exponential" if row is rules.pow and places[1] else row.name] = None
            for x in dict.fromkeys(operands):
                if depends(x) and x != array.family:
                    walk(x)

        if user.family is not None:
            walk(user.family)
        return tuple(found)


def _first_defined(place: Place, step: Step) -> Any:
    """The derivative at a place by the last form that has a value there, or None: L/a has none at 0."""
    for p in (*(line.value for line in reversed(step.lines)), step.chain, step.closed):
        if p is not None:
            with suppress(ArithmeticError, TypeError):
                return place.value(p, step.axes)
    return None


def is_linear(row: rules.Primitive, places: Sequence[bool], fold: bool) -> bool:
    """Whether a row is linear in its operands at these places."""
    if row is rules.mul:
        return sum(places) == 1 and not fold
    return row in LINEAR or (row is rules.div and not places[1])


LINEAR = (rules.add, rules.sub, rules.neg, rules.identity)
