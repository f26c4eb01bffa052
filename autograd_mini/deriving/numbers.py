"""Polynomials at points, to many digits: what decides whether a line is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np

from autograd_mini import rules
from autograd_mini.deriving.algebra import Atom, Letter, Monomial, Poly, atoms_of, letters_in
from autograd_mini.deriving.forward import Array
from autograd_mini.deriving.recordings import Point, many_digits
from autograd_mini.number_types import FormulaType, mpmath_type

SMALL = 1e-38  # what counts as nothing, of numbers of 50 digits


@dataclass(frozen=True, eq=False)
class Place:
    """Arrays by name at a point, in the lengths of the ``size``-th recording, and their adjoints.

    The point that is given has the last size, −1.
    """

    size: int
    arrays: Mapping[str, Any]
    adjoints: dict[str, Any] = field(default_factory=dict)
    point: Point | None = None

    @property
    def kind(self) -> FormulaType:
        return mpmath_type(many_digits())

    def value(self, p: Poly, letters: Sequence[Letter]) -> Any:
        """The polynomial as an array with one axis a letter."""
        axes = tuple(letters)
        shape = tuple(letter.dim[self.size] for letter in axes)
        return np.broadcast_to(self._poly(p, axes), shape)

    def agrees(self, p: Poly, letters: Sequence[Letter], truth: Any, exact: bool = True) -> bool:
        """Whether the polynomial has these values, to many digits of its terms."""
        try:
            found = self.value(p, letters)
            if agrees(found, truth, exact):
                return True
            terms = [abs(x) for m, c in p.items() for x in np.ravel(self.value({m: c}, letters))]
        except (ArithmeticError, TypeError):
            return False
        return agrees(found, truth, exact, max(terms, default=0))

    def _poly(self, p: Poly, axes: tuple[Letter, ...]) -> Any:
        total: Any = self.kind.number(0)
        for monomial, c in p.items():
            term: Any = self.kind.number(c.numerator) / self.kind.number(c.denominator)
            for atom, e in monomial:
                number = self.atom(atom, axes)
                for _ in range(abs(int(e))):
                    term = np.multiply(term, number) if e > 0 else np.divide(term, number)
            total = np.add(total, term)
        return total

    def atom(self, atom: Atom, axes: tuple[Letter, ...]) -> Any:
        match atom:
            case ("x", name, at):
                return _spread(self.arrays[name], at, axes)
            case ("d", name, at):
                return _spread(self.adjoints[name], at, axes)
            case ("n", dim):
                return self.kind.number(dim[self.size])
            case ("pi",):
                return self.kind.number("pi")
            case ("delta", i, j):
                return self._truth(self._index(i, axes) == self._index(j, axes))
            case ("sum", letters, body):
                return self._sum(letters, body, axes)
            case ("max", row, letters, key):
                inner = (*axes, *letters)
                fold = np.max if row == "maximum" else np.min
                return fold(self.value(dict(key), inner), axis=tuple(range(len(axes), len(inner))))
            case ("inv", key):
                return np.divide(self.kind.number(1), self._poly(dict(key), axes))
            case ("is", sign, x, y):
                less = np.subtract(self._poly(dict(x), axes), self._poly(dict(y), axes))
                return self._truth(less < 0 if sign == "<" else less <= 0 if sign == "≤" else less == 0)
            case ("f", row, keys):
                return self._apply(row, *(self._poly(dict(key), axes) for key in keys))
        raise AssertionError(atom)

    def _sum(self, letters: Sequence[Letter], body: Monomial, axes: tuple[Letter, ...]) -> Any:
        """The sum of a product, letter by letter over the factors that have it."""
        inner = (*axes, *letters)
        parts = [self._poly({frozenset([part]): Fraction(1)}, inner) for part in body]
        for axis in range(len(inner) - 1, len(axes) - 1, -1):
            there = [x for x in parts if x.shape[axis] > 1]
            product = reduce(np.multiply, there)
            parts = [x for x in parts if x.shape[axis] == 1] + [product.sum(axis=axis, keepdims=True)]
        total = reduce(np.multiply, parts)
        return total.reshape(total.shape[: len(axes)])

    def _apply(self, row: str, *operands: Any) -> Any:
        function = self.kind.function(rules.table[row])
        if any(isinstance(x, np.ndarray) and x.dtype == object for x in operands):
            return np.frompyfunc(function, len(operands), 1)(*operands)
        return function(*operands)

    def _truth(self, holds: Any) -> Any:
        one, zero = self.kind.number(1), self.kind.number(0)
        return np.where(holds, one, zero) if isinstance(holds, np.ndarray) else one if holds else zero

    def _index(self, i: Any, axes: tuple[Letter, ...]) -> Any:
        if not isinstance(i, Letter):
            return i
        return np.arange(i.dim[self.size]).reshape([-1 if x == i else 1 for x in axes])


def _spread(array: Any, at: Sequence[Any], axes: tuple[Letter, ...]) -> Any:
    """Entries of an array at indices, along the axes of the letters."""
    for axis, i in reversed([*enumerate(at)]):
        if not isinstance(i, Letter):
            array = np.take(array, i, axis)
    letters = [i for i in at if isinstance(i, Letter)]
    if not letters:
        return array.item() if isinstance(array, np.ndarray) else array
    once = list(dict.fromkeys(letters))
    if len(once) < len(letters):
        numbers = [once.index(i) for i in letters]
        array = _diagonal(array, numbers)
    order = sorted(range(len(once)), key=lambda k: axes.index(once[k]))
    array = np.transpose(array, order)
    sizes = iter(array.shape)
    return array.reshape([next(sizes) if x in once else 1 for x in axes])


def _diagonal(array: Any, numbers: Sequence[int]) -> Any:
    shape = [array.shape[numbers.index(k)] for k in range(max(numbers) + 1)]
    grid = np.indices(shape)
    return array[tuple(grid[k] for k in numbers)]


def place_of(point: Point, size: int, arrays: Mapping[str, Array]) -> Place:
    """The named arrays at a point; those that the program does not hold by their definitions."""
    known: dict[str, Any] = {}
    adjoints: dict[str, Any] = {}
    for name, array in arrays.items():
        if array.family is not None:
            known[name] = point.array(array.family)
            adjoints[name] = point.array(array.family, adjoint=True)
        if known.get(name) is None:
            known[name] = Place(size, known).value(array.body, array.letters)
    return Place(size, known, adjoints, point)


def given_place(arguments: Mapping[str, Any], arrays: Mapping[str, Array], adjoints: dict[str, Any]) -> Place:
    """A point where only arguments and their derivatives are known; the rest is by definition."""
    kind = mpmath_type(many_digits())
    known: dict[str, Any] = {}
    for name, array in arrays.items():
        if array.kind == "input":
            known[name] = np.frompyfunc(kind.number, 1, 1)(np.asarray(arguments[name], float))
        else:
            known[name] = Place(-1, known).value(array.body, array.letters)
    return Place(-1, known, adjoints)


def agrees(found: Any, truth: Any, exact: bool = True, scale: Any = 0) -> bool:
    """Whether numbers are the same to many digits; to nine, if they are floats."""
    found, truth = (np.asarray(x, object).ravel() for x in (found, truth))
    least = many_digits().mpf(10) ** -30
    scale = max([scale, least, *(abs(x) for x in truth), *(abs(x) for x in found)])
    small = SMALL if exact else 1e-9
    return all(abs(x - y) <= small * scale for x, y in zip(found, truth, strict=True))


def always(atom: Atom, places: Sequence[Place]) -> Any:
    """0, 1 or the length of an axis if an atom is that at every place, else None."""
    letters = sorted(letters_in(atom), key=lambda x: x.name)
    options: list[Any] = [0, 1, *(("n", x.dim) for x in atom[1])]
    options += dict.fromkeys(
        x for x in atoms_of({atom[2]: Fraction(1)}) if x[0] == "max" and not letters_in(x)
    )
    for place in places:
        try:
            numbers = np.ravel(np.asarray(place.atom(atom, tuple(letters)), object))
        except (ArithmeticError, KeyError, TypeError):
            return None
        options = [
            c
            for c in options
            if all(abs(x - (place.atom(c, ()) if isinstance(c, tuple) else c)) < SMALL for x in numbers)
        ]
        if not options:
            return None
    return options[0] if places else None
