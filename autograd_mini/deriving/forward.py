"""The names at which a derivation stops, and what each of them is by definition.

These are the arguments, what the user named, and where nothing is named what a textbook would name: the
softmax of something, a sigmoid, a layer's sum of products that goes into a function, a residual. Exponentials
and roots get names too, but a derivation goes through them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from typing import Any

import numpy as np

from autograd_mini import rules
from autograd_mini.deriving.algebra import (
    ONE,
    Algebra,
    Letter,
    Poly,
    add,
    constant,
    letters_in,
    order,
    renamed,
    scale,
    single,
)
from autograd_mini.deriving.recordings import (
    NotRegularError,
    Recording,
    collapsed,
    constants_of,
    meant,
    number,
)
from autograd_mini.labels import split_label
from autograd_mini.rolling.families import Family, Numbers, Operand
from autograd_mini.rolling.grids import Affine, places_of

LINEAR = (rules.add, rules.sub, rules.neg, rules.identity, rules.detach)
TIES = 1, 0, 1, 0  # the operands that lead from the mean of what ties to the extremum
OUTPUTS = "L f J F", "y f Y F"  # of numbers and arrays
FREE = {  # names for what has none, the first that is free; of several kinds it is the first
    "softmax": "S P A",
    "sigmoid": "s p",
    "tanh": "h g",
    "exp": "ε η",  # and not e, which to a reader is a number
    "root": "ρ τ",
    "residual": "r d",
    "scalar": "u v",
    "layer": "z a u v",
    "unit": "u v",
    "other": "q f g",
}


@dataclass(frozen=True, eq=False)
class Array:
    """A named array: an argument, or defined by a polynomial in the entries of others.

    A derivation stops at ``steps`` and goes through the others. ``shown`` is how a person defines it.
    """

    name: str
    family: int | None
    letters: tuple[Letter, ...]
    body: Poly
    shown: Poly
    kind: str
    step: bool = True

    @property
    def entry(self) -> Poly:
        return single(("x", self.name, self.letters))


class Forward:
    """The named arrays of a recording, in the order of the computation, the output last."""

    def __init__(
        self, recordings: Sequence[Recording], inputs: Sequence[str], output: str, given: Mapping[int, int]
    ) -> None:
        self.recordings, self.inputs, self.given = recordings, list(inputs), given
        self.families = recordings[0].families
        self.algebra = Algebra({})
        self.lengths = list(dict.fromkeys(
            m for i in range(len(inputs)) for m in self.dims(i) if len(recordings) > 1 and m[0] != m[1]
        ))  # fmt: skip
        (part, *others), shape = recordings[0].output.parts, recordings[0].output.shape
        if others or part.family is None or not np.array_equal(part.places, places_of(shape)[part.at]):
            raise NotRegularError("its elements are computed in different ways")
        self.root = part.family
        self.names: dict[int, str] = dict(enumerate(inputs))
        self.arrays: dict[str, Array] = {}
        for i, name in enumerate(inputs):
            letters = self.slots(i)
            self.arrays[name] = Array(name, i, letters, {}, {}, "input")
        self.reached = self._reached()
        inside = {self._label(self.families[i]) for i in self.reached if i != self.root}
        kinds = list(self._kinds())
        known = "S P" if (self.root, "softmax") in kinds else OUTPUTS[len(recordings[0].output.shape) > 0]
        self.output = next(
            x for x in _names([*output.split(), *known.split()]) if x not in {*inputs, *inside}
        )
        self._name_all(kinds)

    # --- families in index notation ---

    def dims(self, i: int) -> list[tuple[int, ...]]:
        """The lengths of a family's axes in each recording, and at the point that is given."""
        return self._dims([r.families[i].shape for r in self.recordings])

    def _dims(self, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        lengths = [*zip(*shapes, strict=True)]
        return [(*n, n[0] if len({*n}) < len(n) else self.given.get(n[0], n[0])) for n in lengths]

    def slots(self, i: int) -> tuple[Letter, ...]:
        return tuple(Letter(f"%{k}", dim) for k, dim in enumerate(self.dims(i)))

    def entry(self, i: int, at: Sequence[Any]) -> Poly:
        if i in self.names:
            return self.algebra.atom(("x", self.names[i], tuple(at)))
        return self.body(i, at)

    def body(self, i: int, at: Sequence[Any]) -> Poly:
        family = self.families[i]
        if family.parts or not family.grid.full or family.row is None:
            raise NotRegularError("a family has holes")
        if ties := self._ties(i):
            for k, x in zip(TIES, ties, strict=True):
                at, _ = self._places(i, k, at)
                i = x
            extremum = self.entry(i, at)
            return add(extremum, scale(self.algebra.function("detach", extremum), -1))
        firsts, times = self._repeated(i)
        operands = [self._operand(i, k, at) for k in firsts]
        if not family.fold:
            return self.algebra.apply(family.row.name, *(p for p, _ in operands))
        if family.row is rules.add:
            sums = (self.algebra.sum(p, letters) for p, letters in operands)
            return add(*(self.algebra.mul(n, p) for n, p in zip(times, sums, strict=True)))
        terms = [self.algebra.extremum(family.row.name, p, x) if x else p for p, x in operands]
        total = terms[0]
        for term in terms[1:]:
            total = self.algebra.apply(family.row.name, total, term)
        return total

    def _ties(self, i: int) -> list[int]:
        """From what splits the derivative of an extremum at ties, 0 elsewhere, to the extremum."""
        found: list[int] = []
        for row, k in zip((rules.div, rules.add, rules.equal, rules.detach), TIES, strict=True):
            family = self.families[i]
            x = family.operands[k] if family.row is row else None
            if not isinstance(x, Operand):
                return []
            found.append(i := x.family)
        return found if self.families[i].row in (rules.maximum, rules.minimum) else []

    def _repeated(self, i: int) -> tuple[list[int], list[Poly]]:
        """The operands without those that a sum has again, and how often it has each."""
        counts = [collapsed(r.families[i]) for r in self.recordings]
        powers = [number(a[1], b[1], self.lengths) for a, b in zip(counts[0], counts[-1], strict=True)]
        return [k for k, _ in counts[0]], [
            self.algebra.mul(constant(c), *(single(("n", m), e) for m, e in some)) for c, some in powers
        ]

    def _operand(self, i: int, k: int, at: Sequence[Any]) -> tuple[Poly, list[Letter]]:
        """An operand at a place, and the letters that the family reduces."""
        family = self.families[i]
        operand = family.operands[k]
        if isinstance(operand, Numbers):
            return self._number([x for x in self._several(i, k) if isinstance(x, Numbers)], family), []
        places, letters = self._places(i, k, at)
        return self.entry(operand.family, places), letters

    def _several(self, i: int, k: int) -> list[Operand | Numbers]:
        """The operand in all recordings."""
        place = [x for x, _ in collapsed(self.families[i])].index(k)
        return [r.families[i].operands[collapsed(r.families[i])[place][0]] for r in self.recordings]

    def _places(self, i: int, k: int, at: Sequence[Any]) -> tuple[list[Any], list[Letter]]:
        operand = self.families[i].operands[k]
        assert isinstance(operand, Operand)
        if not isinstance(operand.place, Affine):
            raise NotRegularError("an operand is gathered")
        dims = self._dims([x.reduced for x in self._several(i, k) if isinstance(x, Operand)])
        letters = [self.algebra.letter(dim) for dim in dims]
        domain = [*at, *letters]
        shape = self.dims(operand.family)
        places: list[Any] = []
        for axis, (offset, steps) in enumerate(zip(operand.place.offset, operand.place.steps, strict=True)):
            used = np.flatnonzero(steps)
            if not len(used) and shape[axis] == (1,) * len(shape[axis]):
                places.append(0)
                continue
            if len(used) != 1 or steps[used[0]] != 1 or offset:
                raise NotRegularError("an index is no letter")
            letter = domain[used[0]]
            if isinstance(letter, Letter) and letter.dim != shape[axis]:
                raise NotRegularError("a part of an axis")
            places.append(letter)
        return places, letters

    def _number(self, numbers: list[Numbers], family: Family) -> Poly:
        if family.fold and numbers[0].reduced:
            fold: Any = {"add": np.sum, "maximum": np.max, "minimum": np.min}[
                str(family.row and family.row.name)
            ]
            numbers = [Numbers(fold(x.values, axis=-1)) for x in numbers]
        c, powers = constants_of(numbers, self.lengths)
        value = meant(self.algebra.kind, float(c), lambda x: constant(c if x == float(c) else x))
        return self.algebra.mul(value, *(single(("n", m), e) for m, e in powers))

    # --- names ---

    def _reached(self) -> list[int]:
        found, left = set(), [self.root]
        while left:
            i = left.pop()
            if i not in found:
                found.add(i)
                left += self._operands(i)
        return sorted(found)

    def _operands(self, i: int) -> list[int]:
        if ties := self._ties(i):
            return ties[-1:]
        return [x.family for x in self.families[i].operands if isinstance(x, Operand)]

    def _name_all(self, kinds: Sequence[tuple[int, str]]) -> None:
        taken = {*self.inputs, self.output, *(self.families[i].name for i in self.reached)}
        wanted: dict[int, str] = {}
        for i, kind in kinds:
            if i != self.root:
                wanted[i] = min(kind, wanted.get(i, kind), key=[*FREE].index)
        for i in self.reached:
            family = self.families[i]
            if family.row is None or i == self.root:
                continue
            label = self._label(family)
            if label and label not in self.arrays:
                self._define(i, label, "user")
            elif i in wanted:
                kind = wanted[i]
                name = next(x for x in _names(FREE[kind].split()) if x not in taken)
                taken.add(name)
                self._define(i, name, kind)
        self._virtual(taken)
        self._define(self.root, self.output, "output")
        self.result = self.arrays[self.output].letters

    def _label(self, family: Family) -> str:
        """What the user calls it; an element of an array that came apart has its index in the name."""
        name, index = split_label(self.recordings[0].labels.get(int(family.slots[0]), ""))
        alone = not family.shape and family.name and index
        return f"{name}_{'_'.join(map(str, index))}" if alone else family.name

    def _define(self, i: int, name: str, kind: str) -> None:
        letters = self.slots(i)
        shown = body = self.body(i, letters)
        if kind in ("softmax", "user", "output") and (z := self._softmax(i)) is not None:
            kind, body = "softmax" if i != self.root else kind, self._softmax_of(z, letters)
            shown = body
        if kind == "user" and (found := _only_atom(body)) and found[:2] in (("f", "sigmoid"), ("f", "tanh")):
            kind = found[1]
        self.names[i] = name
        step = kind not in ("exp", "root")
        self.arrays[name] = Array(name, i, letters, body, shown, kind, step)
        if not step:
            self.algebra.definitions = {**self.algebra.definitions, name: (letters, body)}

    def _softmax_of(self, z: int, letters: tuple[Letter, ...]) -> Poly:
        """eᶻ over its sum along the axis, without the shift that keeps it from overflowing."""
        axis, base = self._axis[z]
        k = self.algebra.letter(letters[axis].dim)
        places = [*letters[:axis], k, *letters[axis + 1 :]]
        above, below = (self.algebra.apply("exp", self.entry(base, at)) for at in (letters, places))
        return self.algebra.mul(above, self.algebra.inv(self.algebra.sum(below, [k])))

    def _kinds(self) -> Iterator[tuple[int, str]]:
        """What a textbook would name."""
        self._axis: dict[int, tuple[int, int]] = {}
        self._sums: dict[int, int] = {}  # the sum of a family of exponentials
        users: dict[int, list[int]] = {i: [] for i in self.reached}
        for i in self.reached:
            for x in self._operands(i):
                users[x].append(i)
        for i in self.reached:
            operands, terms = self._operands(i), self.families[i].operands
            sums = self.families[i].fold and self.families[i].row is rules.add and len(terms) == 1
            if sums and operands and terms[0].reduced and self.families[operands[0]].row is rules.exp:
                self._sums[operands[0]] = i
        inner: set[int] = set()
        for i in self.reached:
            if self._softmax(i) is not None:
                yield i, "softmax"
        for i in self.reached:
            row, operands = self.families[i].row, self._operands(i)
            if row is None:
                continue
            if row is rules.sigmoid or (row in (rules.div, rules.reciprocal) and self._is_sigmoid(i)):
                yield i, "sigmoid"
            elif row is rules.tanh:
                yield i, "tanh"
            elif row is rules.sqrt:
                yield i, "root"
            elif row is rules.exp and i not in self._sums and not self._in_sigmoid(i, users):
                yield i, "exp"
            if row in (rules.add, rules.sub, rules.div) and len(users[i]) > 1 and self._is_composite(i):
                yield i, "other"
            if row is rules.div and operands and self.families[operands[-1]].row is rules.sqrt:
                yield i, "unit"
            if not self._is_linear(i):
                squared = row in (rules.square, rules.pow, rules.abs) or len({*operands}) < len(operands)
                for x in operands:
                    if squared and self._is_composite(x):
                        yield x, "residual"
                    elif row is not rules.div or x == operands[-1]:
                        for found in self._layers(x, inner):
                            rank = len(self.dims(found))
                            yield found, "residual" if squared else "layer" if rank else "scalar"

    def _is_linear(self, i: int) -> bool:
        row, operands = self.families[i].row, self._operands(i)
        if row is rules.mul:
            return len(set(operands)) == len(operands)
        if row is rules.div:
            return len(operands) < 2 and isinstance(self.families[i].operands[1], Numbers)
        return row in LINEAR

    def _is_composite(self, i: int) -> bool:
        """Whether it adds up or divides several arrays, and is not just shifted by a constant."""
        family, operands = self.families[i], self._operands(i)
        shifted = any(self.families[x].row is rules.detach for x in operands)
        several = len(operands) > 1 or any(x.reduced for x in family.operands)
        return (
            family.row in (rules.add, rules.sub, rules.div) and several and not shifted and self._is_whole(i)
        )

    def _layers(self, i: int, seen: set[int]) -> Iterator[int]:
        """The sums of products under an operand of a function."""
        family = self.families[i]
        if family.row is None or i in seen:
            return
        seen.add(i)
        shifted = any(self.families[x].row is rules.detach for x in self._operands(i))
        if self._sums_products(i) and self._is_whole(i) and not shifted:
            yield i
        elif family.row in (rules.neg, rules.mul, rules.sub, rules.add, rules.div) and not (
            family.fold and any(x.reduced for x in family.operands)
        ):
            for x in self._operands(i):
                yield from self._layers(x, seen)

    def _is_whole(self, i: int) -> bool:
        """Whether the program holds it: a part of a longer sum is nowhere."""
        return bool((self.families[i].slots < self.recordings[0].code.slots).all())

    def _sums_products(self, i: int) -> bool:
        """Whether it is a sum of products of two arrays, plus or minus something."""
        family = self.families[i]
        if family.row not in (rules.add, rules.sub):
            return False
        for x in family.operands:
            if isinstance(x, Operand):
                inner = self.families[x.family]
                if x.reduced and inner.row is rules.mul and len(set(self._operands(x.family))) == 2:
                    return True
                if not x.reduced and self._sums_products(x.family):
                    return True
        return False

    def _softmax(self, i: int) -> int | None:
        """The exponentials' family, if a family is one over its sum."""
        family = self.families[i]
        operands = self._operands(i)
        if family.row is not rules.div or len(operands) != 2 or self._sums.get(operands[0]) != operands[1]:
            return None
        return operands[0] if self._note_axis(operands[0]) else None

    def _note_axis(self, e: int) -> bool:
        """Find the axis along which exponentials are added up, and what they are of but for a shift."""
        [x] = self.families[self._sums[e]].operands
        if not isinstance(x, Operand) or not isinstance(x.place, Affine) or len(x.reduced) != 1:
            return False
        axis = int(np.flatnonzero(x.place.steps[:, -1])[0])
        [base] = self._operands(e)
        match self.families[base].row, self.families[base].operands:
            case rules.sub, (Operand(_, Affine() as kept), Operand(_, Affine() as shift)):
                if not shift.steps[:, axis].any() and np.array_equal(kept.steps, np.eye(len(kept.steps))):
                    base = self._operands(base)[0]  # less a shift, which changes nothing
        self._axis[e] = axis, base
        return True

    def _is_sigmoid(self, i: int) -> bool:
        try:
            found = _only_atom(self.body(i, self.slots(i)))
        except (NotRegularError, ValueError):
            return False
        return found is not None and found[:2] == ("f", "sigmoid")

    def _in_sigmoid(self, i: int, users: dict[int, list[int]]) -> bool:
        """Whether an exponential is only used in 1 + e."""

        def is_one(x: Operand | Numbers) -> bool:
            return isinstance(x, Operand) or bool((x.values == 1).all())

        return all(
            self.families[x].row in (rules.add, rules.log1p)
            and all(map(is_one, self.families[x].operands))
            and len(self._operands(x)) == 1
            for x in users[i]
        )

    def _virtual(self, taken: set[str]) -> None:
        """A softmax that the computation has not, but its derivative."""
        divided = {self._softmax(a.family) for a in self.arrays.values() if a.family is not None}
        for e in self._sums.keys() - divided:
            if e in self.names or self._sums[e] in self.names or not self._note_axis(e):
                continue
            letters, axis = self.slots(e), self._axis[e][0]
            k = self.algebra.letter(letters[axis].dim)
            total = self.algebra.sum(self.body(e, [*letters[:axis], k, *letters[axis + 1 :]]), [k])
            body = self.algebra.mul(self.body(e, letters), self.algebra.inv(total))
            name = next(x for x in _names(FREE["softmax"].split()) if x not in taken)
            taken.add(name)
            shown = self._softmax_of(e, letters)
            self.arrays[name] = Array(name, None, letters, body, shown, "virtual", step=False)


def _names(stems: Sequence[str]) -> Iterator[str]:
    yield from stems
    for n in count(1):
        yield f"{stems[0]}{n}"


def _only_atom(p: Poly) -> Any:
    if len(p) == 1:
        [(monomial, c)] = p.items()
        if c == 1 and len(monomial) == 1:
            [(atom, e)] = monomial
            return atom if e == 1 else None
    return None


def definition_rules(arrays: Sequence[Array], algebra: Algebra, quotients: bool) -> None:
    """Let an algebra write names for what defines them: e for eᶻ, and of S = e/E also S·E for e."""
    for array in arrays:
        if not array.body or (array.kind == "output" and not quotients):
            continue
        if (of := _linear_in(array)) is not None:
            atom, c0, c1 = of
            value = add(scale(array.entry, 1 / c1), constant(-c0 / c1))
        elif quotients or array.kind in ("softmax", "virtual"):
            atom = _numerator(array)
            if atom is None:
                continue
            [monomial] = array.body
            rest = frozenset((x, -e) for x, e in monomial if x != atom)  # as it is: E holds e
            value = algebra.mul(array.entry, {rest: Fraction(1)})
        else:
            continue
        algebra.rules.append((atom, array.letters, _placer(array, value)))


def _numerator(array: Array) -> Any:
    """What stands over a divisor in a quotient that is an array's definition, with all of its indices."""
    if len(array.body) != 1 or [*array.body.values()] != [1]:
        return None
    [monomial] = array.body
    above = [x for x, e in monomial if e == 1 and x[0] in ("f", "sum", "x")]
    chosen = (
        [x for x in sorted(above, key=order) if letters_in(x) == frozenset(array.letters)]
        if len(above) < len(monomial)
        else []
    )
    return min(chosen, key=lambda x: ("f", "sum", "x").index(x[0]), default=None)


def _linear_in(array: Array) -> tuple[Any, Fraction, Fraction] | None:
    """A function, sum or reciprocal of which an array is a multiple, plus a constant."""
    c0 = array.body.get(ONE, Fraction())
    rest = [(m, c) for m, c in array.body.items() if m]
    if len(rest) == 1 and len(rest[0][0]) == 1:
        [(atom, e)] = rest[0][0]
        if e == 1 and atom[0] in ("f", "sum", "max", "inv"):
            return atom, c0, rest[0][1]
    return None


def _placer(array: Array, value: Poly) -> Any:
    return lambda *at: {renamed(m, dict(zip(array.letters, at, strict=True))): c for m, c in value.items()}
