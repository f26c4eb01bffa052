"""Polynomials as sums of products, in the order in which they are written.

A tree is ("add", terms), ("mul", number, factors with their powers), ("sum", letters, tree), ("max", row,
letters, tree), ("f", name, trees), ("is", sign, x, y), ("atom", atom) or ("text", text, level, rank). There
are several of a polynomial: they differ in which sums are drawn together and what is taken out of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, TypeAlias

from autograd_mini.deriving.algebra import (
    ONE,
    Algebra,
    Atom,
    Letter,
    Monomial,
    Poly,
    TooLargeError,
    add,
    content,
    factors,
    key_of,
    letters_in,
    order,
    renamed,
    scale,
    single,
)

Tree: TypeAlias = "tuple[Any, ...]"
FORMS = 4  # of a sum, by what is taken out
SHORT = 6  # terms of a sum of which other forms than the usual may be read


def tree(p: Poly) -> Tree:
    """The usual form of a polynomial."""
    return next(forms(p))


def forms(p: Poly) -> Iterator[Tree]:
    """The forms among which the shortest is to be chosen, the usual one first."""
    gathered = _gathered(p)
    found = _factored(gathered)
    yield next(found)
    if len(p) > SHORT:
        return
    yield from found
    if gathered != p:
        yield from _factored(p)
    if (fraction := _over_one_bar(p)) is not None:
        yield fraction


def _factored(p: Poly) -> Iterator[Tree]:
    """With what all terms share in front, then with what several of them share."""
    if len(p) <= 1:
        [(monomial, c)] = p.items() or [(ONE, Fraction())]
        yield _product(monomial, c)
    elif (other := _complement(p)) is not None:
        yield other
    elif common := _common(p):
        outer, inner = _product(frozenset(common.items()), Fraction(1)), _without(p, common)
        if any(x[:2] == ("f", "sigmoid") for x in common) and _complement(inner) is not None:  # σ (1 − σ)
            by_number = sorted(inner.items(), key=lambda x: -x[1])
            yield _times(outer, ("add", [_product(m, c) for m, c in by_number]))
        else:
            yield from (_times(outer, form) for form in _factored(inner))
    else:
        counts: dict[tuple[Atom, bool], list[Monomial]] = {}
        for monomial in p:
            for atom, e in monomial:
                counts.setdefault((atom, e > 0), []).append(monomial)
        several = [x for x in counts if len(counts[x]) > 1]
        several.sort(key=lambda x: (len(counts[x]), x[1], order(x[0])), reverse=True)
        for x in several[:FORMS]:
            inside = next(_factored({m: p[m] for m in counts[x]}))
            outside = next(_factored({m: c for m, c in p.items() if m not in counts[x]}))
            yield ("add", _sorted([inside, *_terms(outside)]))
        if not several:
            yield ("add", _sorted([_product(m, c) for m, c in p.items()]))


def _over_one_bar(p: Poly) -> Tree | None:
    """All terms over one bar, where they have several divisors."""
    below: dict[Atom, int] = {}  # the divisors with their largest powers
    split = []
    for monomial, c in p.items():
        under = {x: abs(e) for x, e in monomial if _divides(x, e)}
        below |= {x: max(e, below.get(x, 0)) for x, e in under.items()}
        above = frozenset((x, e) for x, e in monomial if x not in under)
        split.append((above, under, c))
    if len(p) < 2 or len(below) < 2:
        return None
    algebra = Algebra({})
    divisors = {x: dict(x[1]) if x[0] == "inv" else single(x) for x in below}
    if any(_divides(x, e) for divisor in divisors.values() for m in divisor for x, e in m):
        return None
    missing = [
        [algebra.power(divisors[x], e - under.get(x, 0)) for x, e in below.items()] for _, under, _ in split
    ]
    try:
        whole = add(*(algebra.mul({m: c}, *some) for (m, _, c), some in zip(split, missing, strict=True)))
    except TooLargeError:
        return None
    bar = [(tree(divisors[x]) if x[0] == "inv" else _leaf(x), -e) for x, e in below.items()]
    return _times(("mul", Fraction(1), bar), tree(whole))


def _divides(atom: Atom, e: int) -> bool:
    return e > 0 if atom[0] == "inv" else e < 0 and atom[:2] != ("f", "exp")


def _flipped(node: Tree) -> Tree | None:
    """Minus an expression, if that is as short: of a difference."""
    match node:
        case ("add", terms) if any(map(_is_negative, terms)):
            return ("add", _sorted([_scaled(x, Fraction(-1)) for x in terms]))
        case ("sum", letters, inner) if (found := _flipped(inner)) is not None:
            return ("sum", letters, found)
        case ("mul", c, parts):
            for k, (x, e) in enumerate(parts):
                if e == 1 and (found := _flipped(x)) is not None:
                    return ("mul", c, [*parts[:k], (found, 1), *parts[k + 1 :]])
    return None


def _positive(c: Fraction, parts: list[tuple[Tree, int]]) -> Tree:
    """A product without a minus in front, if a difference among its factors takes it."""
    node = ("mul", c, parts)
    found = _flipped(node) if c < 0 else None
    return node if found is None else ("mul", -c, found[2])


def _scaled(node: Tree, c: Fraction) -> Tree:
    return ("mul", node[1] * c, node[2]) if node[0] == "mul" else ("mul", c, [(node, 1)])


def _terms(node: Tree) -> list[Tree]:
    return list(node[1]) if node[0] == "add" else [node]


def _sorted(terms: list[Tree]) -> list[Tree]:
    return sorted(
        terms,
        key=lambda x: (_is_negative(x), is_number(x) and not _is_negative(x) and len(terms) > 2, _rank(x)),
    )


def _rank(x: Tree) -> tuple[int, str]:
    return (0 if "'sum'" in str(x) or is_number(x) else 1, ordered(x))


def ordered(node: Any) -> str:
    """A text by which trees are sorted, whatever the order their atoms were made in."""
    if isinstance(node, (list, tuple)):
        return f"({', '.join(map(ordered, node))})"
    return order(node) if isinstance(node, frozenset) else repr(node)


def _is_negative(x: Tree) -> bool:
    return bool(x[0] == "mul" and x[1] < 0)


def is_number(x: Tree) -> bool:
    return bool(x[0] == "mul" and not x[2])


def _common(p: Poly) -> dict[Atom, int]:
    """The powers that all monomials share."""
    monomials = [dict(m) for m in p]
    shared: dict[Atom, int] = {}
    for atom in monomials[0]:
        powers = [m.get(atom, 0) for m in monomials]
        if all(e > 0 for e in powers):
            shared[atom] = min(powers)
        elif all(e < 0 for e in powers):
            shared[atom] = max(powers)
    return shared


def _without(p: Poly, common: Mapping[Atom, int]) -> Poly:
    found: Poly = {}
    for monomial, c in p.items():
        powers = dict(monomial)
        for atom, e in common.items():
            powers[atom] -= e
        found[frozenset((x, e) for x, e in powers.items() if e)] = c
    return found


def _times(outer: Tree, inner: Tree) -> Tree:
    if inner[0] == "add":
        numbers = [x[1] if x[0] == "mul" else Fraction(1) for x in inner[1]]
        common = content(numbers)
        if common != 1:
            inner = ("add", _sorted([_scaled(x, 1 / common) for x in inner[1]]))
        return _positive(outer[1] * common, [*outer[2], (inner, 1)])
    if inner[0] == "mul":
        return ("mul", outer[1] * inner[1], [*outer[2], *inner[2]])
    return ("mul", outer[1], [*outer[2], (inner, 1)])


def _product(monomial: Monomial, c: Fraction) -> Tree:
    found: list[tuple[Tree, int]] = []
    for atom, e in factors(monomial):
        if atom[0] in ("sum", "several") and e == 1:
            _, letters, inner = _leaf(atom)
            factor = inner[1] if inner[0] == "mul" else Fraction(1)  # in front of the sum
            c *= factor
            found.append((("sum", letters, _scaled(inner, 1 / factor)), 1))
        elif atom[0] == "inv":
            found.append((tree(dict(atom[1])), -e))
        elif atom[:2] == ("f", "exp") and e < 0:
            found.append((("f", "exp", [tree(scale(dict(atom[2][0]), -1))]), -e))
        else:
            found.append((_leaf(atom), e))
    return _positive(c, found)


def _leaf(atom: Atom) -> Tree:
    match atom:
        case ("sum", letters, body):
            return ("sum", letters, _product(body, Fraction(1)))
        case ("several", letters, key):
            return ("sum", letters, tree(dict(key)))
        case ("max", row, letters, key):
            return ("max", row, letters, tree(dict(key)))
        case ("f", "detach", (key,)):
            return tree(dict(key))
        case ("f", name, keys):
            return ("f", name, [tree(dict(key)) for key in keys])
        case ("is", sign, x, y):
            return _condition(sign, dict(x), dict(y))
    return ("atom", atom)


def _condition(sign: str, x: Poly, y: Poly) -> Tree:
    """A condition without a minus that need not be, and a constant on its right."""
    difference = add(y, scale(x, -1))
    right = {m: c for m, c in difference.items() if c > 0}
    left = {m: -c for m, c in difference.items() if c < 0}
    if set(left) <= {ONE}:
        return ("is", {"<": ">", "≤": "≥"}[sign], tree(right), tree(left))
    return ("is", sign, tree(left), tree(right))


def _complement(p: Poly) -> Tree | None:
    """1 − σ(u) is σ(−u)."""
    others = [m for m in p if m]
    if len(p) == 2 and abs(p.get(ONE, 0)) == 1 and p[others[0]] == -p[ONE] and len(others[0]) == 1:
        [(atom, e)] = others[0]
        if e == 1 and atom[:2] == ("f", "sigmoid"):
            return ("mul", p[ONE], [(("f", "sigmoid", [tree(scale(dict(atom[2][0]), -1))]), 1)])
    return None


def _gathered(p: Poly) -> Poly:
    """With sums of one cofactor drawn together, if their terms share a factor or are no products."""
    groups: dict[tuple[Monomial, Any], list[tuple[Monomial, Atom]]] = {}
    for monomial in sorted(p, key=order):
        sums = [x for x, e in monomial if x[0] == "sum" and e == 1]
        if len(sums) == 1:
            outside = monomial - {(sums[0], 1)}
            groups.setdefault((outside, sums[0][1]), []).append((monomial, sums[0]))
    for (outside, letters), some in groups.items():
        if len(some) < 2:
            continue
        first = some[0][1][2]
        bodies = [_most_alike(first, atom[2], letters) for _, atom in some]
        if not frozenset.intersection(*map(_atoms, bodies)) and any(len(body) > 1 for body in bodies):
            continue
        inner = add(*({body: p[monomial]} for body, (monomial, _) in zip(bodies, some, strict=True)))
        rest = {m: c for m, c in p.items() if all(m != x for x, _ in some)}
        c = content(inner.values())
        c = c if inner[min(inner, key=order)] * c > 0 else -c
        gathered = ("several", letters, key_of(scale(inner, 1 / c)))
        return _gathered(add(rest, {outside | {(gathered, 1)}: c}))
    return p


def _atoms(monomial: Monomial) -> frozenset[Atom]:
    return frozenset(atom for atom, _ in monomial)


def _most_alike(first: Monomial, body: Monomial, letters: tuple[Letter, ...]) -> Monomial:
    """A sum's body with its letters in the order in which it shares most factors with another's."""
    orders = [x for x in itertools.permutations(letters) if [y.dim for y in x] == [y.dim for y in letters]]
    named: list[Monomial] = [renamed(body, dict(zip(letters, some, strict=True))) for some in orders]
    return max(named, key=lambda x: len(_atoms(first) & _atoms(x)))


def free(node: Any) -> set[Letter]:
    """The letters that an expression varies along."""
    match node:
        case ("atom", atom):
            return set(letters_in(atom))
        case ("add", terms):
            return set().union(*map(free, terms))
        case ("mul", _, parts):
            return set().union(*(free(x) for x, _ in parts))
        case ("sum", letters, inner) | ("max", _, letters, inner):
            return free(inner) - set(letters)
        case ("f", _, nodes):
            return set().union(*map(free, nodes))
        case ("is", _, x, y):
            return free(x) | free(y)
    return set()
