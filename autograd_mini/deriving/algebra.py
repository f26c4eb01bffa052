"""The normal form in which a derivative is simplified: polynomials over entries of named arrays.

A polynomial maps monomials to coefficients, a monomial is a set of atoms with whole powers, negative ones
too, and an atom is

    ("x", name, indices)     an entry of an array, ("d", name, indices) the derivative of the output by it,
    ("sum", letters, body)   the sum of a monomial over bound letters,
    ("f", row, arguments)    a row of the derivative table on polynomials, ("inv", P) the reciprocal of one,
    ("max", row, letters, P) the largest or smallest of P over letters,
    ("is", sign, P, Q)       1 where P < Q or P ≤ Q holds, else 0,
    ("delta", i, j)          Kronecker's δ, ("n", dim) the length of an axis, and ("pi",).

Sums are flat: each is over all letters that its factors share, which are named in one order, so that what
is equal as a sum of products is equal as data. Arguments are polynomials as frozen sets of their items.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, TypeAlias

from autograd_mini import formulas, rules
from autograd_mini.number_types import FormulaType

Atom: TypeAlias = "tuple[Any, ...]"
Monomial: TypeAlias = "frozenset[tuple[Atom, int]]"
Poly: TypeAlias = "dict[Monomial, Fraction]"
Key: TypeAlias = "frozenset[tuple[Monomial, Fraction]]"

ONE: Monomial = frozenset()
TERMS = 150  # of a polynomial, at most
LETTERS = 5  # that a sum binds, at most
COMMON = 10**6  # times what coefficients have in common they are, at most
SIGNS = {"less": "<", "less_equal": "≤"}


class TooLargeError(ValueError):
    """A polynomial has more terms than anybody would read."""


@dataclass(frozen=True)
class Letter:
    """An index; ``dim`` has the length of its axis in each of the recordings."""

    name: str
    dim: tuple[int, ...]


@lru_cache(100_000)
def order(x: Any) -> str:
    """A text by which atoms, monomials and polynomials are sorted, whatever the order they were made in."""
    if isinstance(x, frozenset):
        return "{" + ",".join(sorted(map(order, x))) + "}"
    if isinstance(x, tuple):
        return "(" + ",".join(map(order, x)) + ")"
    return f"{x.name}:{x.dim}" if isinstance(x, Letter) else str(x)


@lru_cache(100_000)
def letters_in(x: Any) -> frozenset[Letter]:
    """The letters in an atom or anything made of atoms that no sum binds."""
    if isinstance(x, Letter):
        return frozenset([x])
    if not isinstance(x, (tuple, frozenset)):
        return frozenset()
    found = frozenset(letter for part in x for letter in letters_in(part))
    if isinstance(x, tuple) and x:
        bound = x[1] if x[0] == "sum" else x[2] if x[0] == "max" else ()
        return found - frozenset(bound)
    return found


@lru_cache(100_000)
def depth(x: Any) -> int:
    """How deep sums stand in sums."""
    if not isinstance(x, (tuple, frozenset)):
        return 0
    inside = max(map(depth, x), default=0)
    return inside + (isinstance(x, tuple) and bool(x) and x[0] in ("sum", "max"))


def renamed(x: Any, to: Mapping[Letter, Any]) -> Any:
    """With other letters, no two of which become one."""
    if isinstance(x, Letter):
        return to.get(x, x)
    if isinstance(x, (tuple, frozenset)):
        return type(x)(renamed(part, to) for part in x)
    return x


def constant(c: Any) -> Poly:
    return {ONE: Fraction(c)} if c else {}


def single(atom: Atom, power: int = 1) -> Poly:
    return {frozenset([(atom, power)]): Fraction(1)}


def key_of(p: Poly) -> Key:
    return frozenset(p.items())


def add(*polys: Poly) -> Poly:
    total: Poly = {}
    for p in polys:
        for monomial, c in p.items():
            total[monomial] = total.get(monomial, Fraction()) + c
            if not total[monomial]:
                del total[monomial]
    return total


def scale(p: Poly, c: Any) -> Poly:
    return {monomial: v * c for monomial, v in p.items()} if c else {}


def factors(monomial: Monomial) -> list[tuple[Atom, int]]:
    return sorted(monomial, key=order)


class Algebra:
    """Arithmetic on polynomials with rules: an atom that is one entry of an array's definition is replaced.

    ``rules`` are patterns: an atom, the letters that stand for indices, and a function of indices that gives
    what takes its place. ``known`` gives the number that a sum always is, or None.
    """

    def __init__(
        self,
        definitions: Mapping[str, tuple[tuple[Letter, ...], Poly]],
        known: Callable[[Atom], Any] = lambda atom: None,
    ) -> None:
        self.definitions = definitions  # of arrays that are differentiated through
        self.shifted = True  # by numbers held constant, such as the largest in a stable softmax
        self.known = known
        self.rules: list[tuple[Atom, tuple[Letter, ...], Callable[..., Poly]]] = []
        self.fresh = itertools.count()
        self.kind = _polynomials(self)
        self.atom = cache(self._atom)

    def define(self, atom: Atom, letters: tuple[Letter, ...], value: Poly) -> None:
        """Put a value in the place of an atom at whatever indices."""
        self.rules.append(
            (atom, letters, lambda *at: self.rebuilt(value, dict(zip(letters, at, strict=True))))
        )

    # --- atoms and products ---

    def _atom(self, atom: Atom) -> Poly:
        """An atom, or what a rule has in its place."""
        for pattern, slots, give in self.rules:
            if pattern[0] == atom[0] and (found := _matched(pattern, slots, atom)) is not None:
                return give(*found)
        if atom[0] == "sum":
            number = self.known(atom)
            if number is not None:
                return single(number) if isinstance(number, tuple) else constant(number)
        return single(atom)

    def mul(self, *polys: Poly) -> Poly:
        total = constant(1)
        for q in polys:
            product: Poly = {}
            for a, x in total.items():
                for b, y in q.items():
                    product = add(product, self._product(a, b, x * y))
                    if len(product) > TERMS:
                        raise TooLargeError("too many terms")
            total = product
        return total

    def _product(self, a: Monomial, b: Monomial, c: Fraction) -> Poly:
        powers = dict(a)
        for atom, e in b:
            powers[atom] = powers.get(atom, 0) + e
        return self.reduced(powers, c)

    def reduced(self, powers: dict[Atom, int], c: Fraction) -> Poly:
        """A product in normal form."""
        powers = {x: min(e, 1) if x[0] in ("is", "delta") else e for x, e in powers.items() if e}
        for atom in powers:
            if atom[0] == "is":  # what excludes another, at most on a kink
                if ("is", "<", *atom[:1:-1]) in powers or ("is", "≤", *atom[:1:-1]) in powers:
                    return {}
                if atom[1] == "≤" and ("is", "<", *atom[2:]) in powers:
                    return self.reduced({x: e for x, e in powers.items() if x != atom}, c)
            if atom[0] == "delta":
                rest = frozenset((x, e) for x, e in powers.items() if x != atom)
                if atom[2] in letters_in(rest):
                    return self.mul(single(atom), self.rebuilt({rest: c}, {atom[2]: atom[1]}))
            if atom[:2] == ("f", "sqrt") and abs(powers[atom]) > 1:
                half = int(powers[atom] / 2)
                left = self.reduced({**powers, atom: powers[atom] - 2 * half}, c)
                return self.mul(left, self.power(dict(atom[2][0]), half))
            if atom[:2] == ("f", "sigmoid") and powers[atom] > 0:
                exponential = ("f", "exp", atom[2])
                if e := powers.get(exponential, 0):  # σ/eᵘ = 1 − σ and σeᵘ = eᵘ − σ
                    less = {**powers, atom: powers[atom] - 1}
                    inner = {**less, exponential: e + (1 if e < 0 else 0)}
                    outer = {**powers, exponential: e + (1 if e < 0 else -1)}
                    return add(self.reduced(inner, c), self.reduced(outer, -c))
            divides = atom[0] == "inv" and powers[atom] > 0
            if divides and (found := self._divided(atom, powers, c)) is not None:
                return found
        return {frozenset(powers.items()): c}

    def _divided(self, atom: Atom, powers: dict[Atom, int], c: Fraction) -> Poly | None:
        """1/P times the leading monomial of P is (1 − rest/P) over its coefficient."""
        p = dict(atom[1])
        lead = max((m for m in p if m), key=lambda m: (len(m), order(m)))
        less = {**powers, atom: powers[atom] - 1}
        if all(0 < e <= powers.get(x, 0) for x, e in lead):
            rest = {**powers, **{x: powers[x] - e for x, e in lead}}
            first = self.reduced({**rest, atom: rest[atom] - 1}, c / p[lead])
            tail = {m: -v / p[lead] for m, v in p.items() if m != lead}
            kept = frozenset((x, e) for x, e in rest.items() if e)
            return add(first, self.mul({kept: c}, tail))
        if len(p) == 2 and ONE in p and len(lead) == 1:
            [(x, e)] = lead
            if powers.get(x, 0) < 0 < e:  # 1/(x (a + b x)) = 1/(a x) − b/(a (a + b x))
                again = {**powers, x: powers[x] + e}
                return add(self.reduced(less, c / p[ONE]), self.reduced(again, -c * p[lead] / p[ONE]))
        return None

    def inv(self, p: Poly) -> Poly:
        if not p:
            raise ZeroDivisionError
        if len(p) == 1:
            [(monomial, c)] = p.items()
            return self.mul(*(self._inverse(x, e) for x, e in monomial), constant(1 / c))
        common = content(p.values())
        if common != 1:
            return scale(self.inv(scale(p, 1 / common)), 1 / common)
        u = _exponent(p)
        if u is not None:  # 1/(1 + eᵘ)
            return self.sigmoid(scale(u, -1))
        return self.atom(("inv", key_of(p)))

    def _inverse(self, atom: Atom, e: int) -> Poly:
        if atom[0] == "inv":
            return self.power(dict(atom[1]), e)
        return single(atom, -e)

    def sigmoid(self, u: Poly) -> Poly:
        if _leads_with_minus(u):
            return add(constant(1), scale(self.function("sigmoid", scale(u, -1)), -1))
        return self.function("sigmoid", u)

    def power(self, p: Poly, n: int) -> Poly:
        if n < 0:
            return self.power(self.inv(p), -n)
        return self.mul(*[p] * n)

    def function(self, name: str, *arguments: Poly) -> Poly:
        return self.atom(("f", name, tuple(map(key_of, arguments))))

    def apply(self, name: str, *operands: Poly) -> Poly:
        """A row on polynomials."""
        own = self.kind.native.get(name)
        return own(*operands) if own else self.function(name, *operands)

    # --- sums ---

    def letter(self, dim: tuple[int, ...]) -> Letter:
        return Letter(f"@{next(self.fresh)}", dim)

    def sum(self, p: Poly, letters: Sequence[Letter]) -> Poly:
        """The sum of a polynomial over letters."""
        return add(*(self._sum(monomial, letters, c) for monomial, c in p.items()))

    def _sum(self, monomial: Monomial, letters: Sequence[Letter], c: Fraction) -> Poly:
        bound = set(letters)
        for atom, _ in monomial:  # δ_ij under a sum over j: i in the place of j
            if atom[0] == "delta" and (here := bound & {atom[1], atom[2]}):
                j = max(here, key=order)
                i = atom[1] if atom[2] == j else atom[2]
                rest = monomial - {(atom, 1)}
                return self.sum(self.rebuilt({rest: c}, {j: i}), [x for x in letters if x != j])
        for atom, e in monomial:  # a sum in a sum is one over more letters
            if atom[0] == "sum" and e == 1 and bound & letters_in(atom):
                inner = [self.letter(x.dim) for x in atom[1]]
                body = renamed(atom[2], dict(zip(atom[1], inner, strict=True)))
                whole = self._product(monomial - {(atom, e)}, body, c)
                return self.sum(whole, [*letters, *inner])
        outside = frozenset(part for part in monomial if not bound & letters_in(part[0]))
        parts = [{outside: c}]
        left = [(set(bound & letters_in(part[0])), {part}) for part in monomial - outside]
        while left:
            shared, some = left.pop()
            if (other := next((x for x in left if x[0] & shared), None)) is not None:
                left.remove(other)
                left.append((other[0] | shared, other[1] | some))
                continue
            bound -= shared
            parts.append(self.atom(_canonical(frozenset(some), shared)))
        parts += [_length(letter.dim) for letter in bound]
        return self.mul(*parts)

    def extremum(self, name: str, p: Poly, letters: Sequence[Letter]) -> Poly:
        level = 1 + max(map(depth, p), default=0)
        to = {x: Letter(f"#{level}.{k}", x.dim) for k, x in enumerate(letters)}
        return self.atom(("max", name, tuple(to.values()), renamed(key_of(p), to)))

    # --- built again ---

    def rebuilt(self, p: Poly, to: Mapping[Letter, Any] | None = None) -> Poly:
        """The polynomial with other letters, and with this algebra's rules."""
        return add(*(
            scale(self.mul(*(self.power(self.again(x, to or {}), e) for x, e in monomial)), c)
            for monomial, c in p.items()
        ))  # fmt: skip

    def again(self, atom: Atom, to: Mapping[Letter, Any]) -> Poly:
        def of(key: Key) -> Poly:
            return self.rebuilt(dict(key), to)

        match atom:
            case ("x" | "d", name, indices):
                return self.atom((atom[0], name, tuple(to.get(i, i) for i in indices)))
            case ("sum", letters, body):
                inner = {x: self.letter(x.dim) for x in letters}
                free = {x: i for x, i in to.items() if x not in inner}
                return self.sum(self.rebuilt({body: Fraction(1)}, {**free, **inner}), [*inner.values()])
            case ("max", name, letters, key):
                inner = {x: self.letter(x.dim) for x in letters}
                return self.extremum(name, self.rebuilt(dict(key), {**to, **inner}), [*inner.values()])
            case ("f", "sigmoid", (key,)):
                return self.sigmoid(of(key))
            case ("f", "detach", (key,)):
                return self.function("detach", of(key)) if self.shifted else {}
            case ("f", name, keys):
                return self.apply(name, *map(of, keys))
            case ("inv", key):
                return self.inv(of(key))
            case ("is", sign, x, y):
                return self.holds(sign, of(x), of(y))
            case ("delta", i, j):
                return self.delta(to.get(i, i), to.get(j, j))
        return single(atom)

    def delta(self, i: Any, j: Any) -> Poly:
        if i == j:
            return constant(1)
        if isinstance(i, int) and isinstance(j, int):
            return {}
        return single(("delta", *sorted((i, j), key=order)))

    def holds(self, sign: str, x: Poly, y: Poly) -> Poly:
        less = add(x, scale(y, -1))
        if set(less) <= {ONE}:
            value = less.get(ONE, Fraction())
            return constant(int((value < 0 and sign != "=") or (sign != "<" and value == 0)))
        return self.atom(("is", sign, key_of(x), key_of(y)))

    def choose(self, c: Poly, x: Poly, y: Poly) -> Poly:
        """x where the condition holds, else y."""
        if x == y or c == constant(1):
            return x
        if len(c) == 1:
            [(monomial, v)] = c.items()
            [(atom, _), *more] = monomial
            if v == 1 and not more and atom[0] == "is" and atom[1] != "=":
                other = self.holds("≤" if atom[1] == "<" else "<", dict(atom[3]), dict(atom[2]))
                return add(self.mul(c, x), self.mul(other, y))
        return add(self.mul(c, x), self.mul(add(constant(1), scale(c, -1)), y))

    # --- derivatives ---

    def derivative(self, p: Poly, name: str, at: tuple[Any, ...]) -> Poly:
        """∂p/∂name[at], other arrays held, except those that are differentiated through."""
        found: Poly = {}
        for monomial, c in p.items():
            for atom, e in monomial:
                if slope := self._slope(atom, name, at):
                    rest = dict(monomial)
                    rest[atom] = e - 1
                    outside = self.reduced({x: n for x, n in rest.items() if n}, c * e)
                    found = add(found, self.mul(outside, slope))
        return found

    def _slope(self, atom: Atom, name: str, at: tuple[Any, ...]) -> Poly:
        match atom:
            case ("x", n, indices) if n == name:
                return self.mul(*(self.delta(i, j) for i, j in zip(indices, at, strict=True)))
            case ("x", n, indices) if n in self.definitions:
                letters, p = self.definitions[n]
                there = self.rebuilt(p, dict(zip(letters, indices, strict=True)))
                return self.derivative(there, name, at)
            case ("sum", letters, body):
                inner = {x: self.letter(x.dim) for x in letters}
                inside = self.rebuilt({body: Fraction(1)}, inner)
                return self.sum(self.derivative(inside, name, at), [*inner.values()])
            case ("inv", key):
                inside = self.derivative(dict(key), name, at)
                return scale(self.mul(self.atom(atom), self.atom(atom), inside), -1) if inside else {}
            case ("max", row, letters, key):
                inner = {x: self.letter(x.dim) for x in letters}
                p = self.rebuilt(dict(key), inner)
                inside = self.derivative(p, name, at)
                best = self.atom(atom)
                there = self.holds("=", p, best)
                return self.sum(self.mul(there, inside), [*inner.values()]) if inside else {}
            case ("f", row, keys):
                slopes = [self.derivative(dict(key), name, at) for key in keys]
                if not any(slopes):
                    return {}
                partials = self.partials(row, atom, keys)
                return add(*(self.mul(d, s) for d, s in zip(partials, slopes, strict=True) if s))
        return {}

    def partials(self, row: str, atom: Atom, keys: Iterable[Key]) -> list[Poly]:
        """The row's partials, as the table states them."""
        operands = [dict(key) for key in keys]
        known = rules.table[row]
        names = (*known.operands, "z")
        return [
            self.kind.bound(f"partial of {row}", formulas.expression(text), names, cut={})(
                *operands, self.atom(atom)
            )
            for text in known.partials
        ]


def _polynomials(algebra: Algebra) -> FormulaType:
    """Polynomials as a number type, to which the table's formulas are bound."""

    def number(x: Any) -> Poly:
        return single(("pi",)) if isinstance(x, str) else constant(Fraction(x))

    def power(x: Poly, y: Poly) -> Poly:
        n = y.get(ONE, Fraction())
        if set(y) <= {ONE}:
            if n.denominator == 1 and abs(n) <= 8:
                return algebra.power(x, int(n))
            if n == Fraction(1, 2):
                return algebra.apply("sqrt", x)
            if n == Fraction(-1, 2):
                return algebra.inv(algebra.apply("sqrt", x))
        return algebra.function("pow", x, y)

    def exp(x: Poly) -> Poly:
        if _leads_with_minus(x):
            return algebra.inv(algebra.function("exp", scale(x, -1)))
        return algebra.function("exp", x) if x else constant(1)

    def most(name: str, sign: int) -> Callable[[Poly, Poly], Poly]:
        def function(x: Poly, y: Poly) -> Poly:
            difference = add(x, scale(y, -1))
            if set(difference) <= {ONE}:
                return x if sign * difference.get(ONE, 0) >= 0 else y
            return algebra.function(name, x, y)

        return function

    def log(x: Poly) -> Poly:
        return algebra.function("log", x) if x != constant(1) else {}

    def compared(sign: str) -> Callable[[Poly, Poly], Poly]:
        return lambda x, y: algebra.holds(sign, x, y)

    def sqrt(x: Poly) -> Poly:
        if len(x) == 1:
            [(monomial, c)] = x.items()
            root = Fraction(math.isqrt(c.numerator), math.isqrt(c.denominator)) if c > 0 else Fraction()
            if root * root == c and root != 1 and monomial:
                return scale(sqrt({monomial: Fraction(1)}), root)
            if root * root == c and not monomial:
                return constant(root)
        return algebra.function("sqrt", x)

    native: dict[str, Callable[..., Any]] = {
        "add": add,
        "sub": lambda x, y: add(x, scale(y, -1)),
        "neg": lambda x: scale(x, -1),
        "mul": algebra.mul,
        "div": lambda x, y: algebra.mul(x, algebra.inv(y)),
        "pow": power,
        "square": lambda x: algebra.mul(x, x),
        "reciprocal": algebra.inv,
        "identity": lambda x: x,
        "exp": exp,
        "gaussian": lambda x: exp(scale(algebra.mul(x, x), -1)),
        "log": log,
        "log1p": lambda x: log(add(constant(1), x)),
        "expm1": lambda x: add(exp(x), constant(-1)),
        "sqrt": sqrt,
        "sigmoid": algebra.sigmoid,
        "softplus": lambda x: algebra.function("softplus", x),
        "xlogy": lambda x, y: algebra.mul(x, log(y)),
        "xlog1py": lambda x, y: algebra.mul(x, log(add(constant(1), y))),
        "entr": lambda x: scale(algebra.mul(x, log(x)), -1),
        "maximum": most("maximum", 1),
        "minimum": most("minimum", -1),
        "where": algebra.choose,
        "convention": algebra.choose,
        "equal": lambda x, y: constant(int(x == y)),  # elsewhere than on the kink
        **{name: compared(sign) for name, sign in SIGNS.items()},
    }
    for name in rules.table:
        native.setdefault(name, _as_function(algebra, name))
    for name in (*SIGNS, "equal"):
        native["_" + name] = native[name]
    return FormulaType("polynomial", number, native, text="formula")


def _as_function(algebra: Algebra, name: str) -> Callable[..., Poly]:
    return lambda *operands: algebra.function(name, *operands)


def _matched(pattern: Atom, slots: tuple[Letter, ...], atom: Atom) -> tuple[Any, ...] | None:
    """The indices for which the pattern is the atom; its letters are the slots, all of them free in it."""
    if pattern[0] in ("x", "d"):
        return tuple(atom[2][pattern[2].index(slot)] for slot in slots) if pattern[1] == atom[1] else None
    free = sorted(letters_in(atom), key=order)
    for some in itertools.permutations(free) if len(free) == len(slots) else ():
        fits = all(x.dim == slot.dim for x, slot in zip(some, slots, strict=True))
        if fits and renamed(pattern, dict(zip(slots, some, strict=True))) == atom:
            return some
    return None


def _canonical(body: Monomial, letters: set[Letter]) -> Atom:
    """A sum with its bound letters named in the order that makes it the first of all."""
    if len(letters) > LETTERS:
        raise TooLargeError("too many indices")
    level = 1 + depth(body)
    kinds: dict[Any, list[Letter]] = {}
    for x in letters:
        kinds.setdefault((x.dim, _signature(body, x)), []).append(x)
    groups = [itertools.permutations(kinds[kind]) for kind in sorted(kinds)]
    atoms = []
    for chosen in itertools.product(*groups):
        to = {x: Letter(f"#{level}.{k}", x.dim) for k, x in enumerate(itertools.chain(*chosen))}
        atoms.append(("sum", tuple(to.values()), renamed(body, to)))
    return min(atoms, key=order)


def _signature(body: Monomial, letter: Letter) -> str:
    """Where a letter stands in a body, whatever the names of the other letters."""
    bare = Letter("*", ())
    return order(renamed(body, {x: bare if x != letter else Letter("!", ()) for x in letters_in(body)}))


def _length(dim: tuple[int, ...]) -> Poly:
    return single(("n", dim)) if len(dim) > 2 and dim[0] != dim[1] else constant(dim[0])


def content(numbers: Collection[Fraction]) -> Fraction:
    """What all coefficients have in common, with their sign; nothing where floats have but bits in common."""
    common = Fraction(math.gcd(*(c.numerator for c in numbers)), math.lcm(*(c.denominator for c in numbers)))
    if max(map(abs, numbers), default=0) > COMMON * common:
        common = Fraction(1)
    return -common if all(c < 0 for c in numbers) else common


def _leads_with_minus(p: Poly) -> bool:
    """Of a polynomial and its negative, just one does."""
    if not p:
        return False
    lead = max(p, key=lambda m: (bool(m), order(m)))
    return p[lead] < 0


def _exponent(p: Poly) -> Poly | None:
    """u if the polynomial is 1 + eᵘ."""
    others = [m for m in p if m]
    if len(p) != 2 or p.get(ONE) != 1 or p[others[0]] != 1 or len(others[0]) != 1:
        return None
    [(atom, e)] = others[0]
    return scale(dict(atom[2][0]), e) if atom[:2] == ("f", "exp") else None


def atoms_of(p: Poly) -> Iterator[Atom]:
    """All atoms, those inside of atoms too."""
    for monomial in p:
        for atom, _ in monomial:
            yield from _inside(atom)


def _inside(atom: Atom) -> Iterator[Atom]:
    yield atom
    match atom:
        case ("sum", _, body):
            yield from atoms_of({body: Fraction(1)})
        case ("max", _, _, key) | ("inv", key):
            yield from atoms_of(dict(key))
        case ("f", _, keys):
            for key in keys:
                yield from atoms_of(dict(key))
        case ("is", _, x, y):
            yield from atoms_of(dict(x))
            yield from atoms_of(dict(y))
