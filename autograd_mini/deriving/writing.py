"""Polynomials as a person writes them: sums drawn together, the commonest factor taken out, in text or LaTeX.

A ``Style`` is what the two differ in. Where an expression is a product of matrices and vectors, it has matrix
notation too, ``2 Xᵀ (X w − y)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, TypeAlias

from autograd_mini.deriving.algebra import (
    ONE,
    Atom,
    Letter,
    Monomial,
    Poly,
    add,
    content,
    factors,
    key_of,
    letters_in,
    order,
    scale,
)
from autograd_mini.deriving.forward import Array
from autograd_mini.rolling.latex import Latex
from autograd_mini.rolling.names import Names

SUM, PRODUCT, ATOM = range(3)  # how tightly a text holds together
Text: TypeAlias = "tuple[str, int]"
Tree: TypeAlias = "tuple[Any, ...]"
BOUND = "kmpqlnji"
RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻ᵀ"
SUPERSCRIPT = str.maketrans("0123456789-", RAISED[:-1])
WORDS = {  # in text and in LaTeX
    "log": ("ln", r"\ln"),
    "sigmoid": ("σ", r"\sigma"),
    "sqrt": ("√", ""),
    "maximum": ("max", r"\max"),
    "minimum": ("min", r"\min"),
    "asin": ("arcsin", r"\arcsin"),
    "acos": ("arccos", r"\arccos"),
    "atan": ("arctan", r"\arctan"),
    **{name: (name, rf"\{name}") for name in "exp sin cos tan sinh cosh tanh".split()},
}


class NotMatrixError(Exception):
    """What is asked for has no matrix notation."""


# --- the shape of an expression -------------------------------------------------------------------------


def tree(p: Poly) -> Tree:
    """A polynomial as sums of products, in the order in which they are written.

    Nodes are ("add", terms), ("mul", number, factors with their powers), ("sum", letters, node), ("f", name,
    nodes), ("is", sign, x, y), ("max", row, letters, node) and ("atom", atom).
    """
    return _tree(_gathered(p))


def _tree(p: Poly) -> Tree:
    if len(p) <= 1:
        [(monomial, c)] = p.items() or [(ONE, Fraction())]
        return _product(monomial, c)
    if (other := _complement(p)) is not None:
        return other
    common = _common(p)
    if common:
        outer, inner = _product(frozenset(common.items()), Fraction(1)), _without(p, common)
        sigmoids = [x for x in common if x[:2] == ("f", "sigmoid")]
        plain = bool(sigmoids) and _complement(inner) is not None  # σ (1 − σ)
        rest = (
            ("add", [_product(m, c) for m, c in sorted(inner.items(), key=lambda x: -x[1])])
            if plain
            else None
        )
        return _times(outer, rest or _tree(inner))
    counts: dict[tuple[Atom, bool], list[Monomial]] = {}
    for monomial in p:
        for atom, e in monomial:
            counts.setdefault((atom, e > 0), []).append(monomial)
    best = max(counts, key=lambda x: (len(counts[x]), x[1], order(x[0])), default=None)
    if best is not None and len(counts[best]) > 1:
        inside = {m: p[m] for m in counts[best]}
        outside = {m: c for m, c in p.items() if m not in inside}
        return ("add", _sorted([_tree(inside), *_terms(_tree(outside))]))
    return ("add", _sorted([_product(m, c) for m, c in p.items()]))


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
        key=lambda x: (_is_negative(x), _is_number(x) and not _is_negative(x) and len(terms) > 2, _rank(x)),
    )


def _rank(x: Tree) -> tuple[int, str]:
    return (0 if "'sum'" in str(x) or _is_number(x) else 1, _ordered(x))


def _ordered(node: Any) -> str:
    """A text by which trees are sorted, whatever the order their atoms were made in."""
    if isinstance(node, (list, tuple)):
        return f"({', '.join(map(_ordered, node))})"
    return order(node) if isinstance(node, frozenset) else repr(node)


def _is_negative(x: Tree) -> bool:
    return bool(x[0] == "mul" and x[1] < 0)


def _is_number(x: Tree) -> bool:
    return x[0] == "mul" and not x[2]


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
    """With sums that have the same cofactor drawn together, if their terms share a factor."""
    groups: dict[tuple[Monomial, Any], list[tuple[Monomial, Atom]]] = {}
    for monomial in p:
        sums = [x for x, e in monomial if x[0] == "sum" and e == 1]
        if len(sums) == 1:
            outside = monomial - {(sums[0], 1)}
            groups.setdefault((outside, sums[0][1]), []).append((monomial, sums[0]))
    for (outside, letters), some in groups.items():
        if len(some) < 2:
            continue
        shared = frozenset.intersection(*(frozenset(x for x, _ in atom[2]) for _, atom in some))
        if not shared:
            continue
        inner: Poly = {}
        for monomial, atom in some:
            inner = add(inner, {atom[2]: p[monomial]})
        rest = {m: c for m, c in p.items() if all(m != x for x, _ in some)}
        first = inner[min(inner, key=order)]
        c = content(inner.values())
        c = c if first * c > 0 else -c
        gathered = ("several", letters, key_of(scale(inner, 1 / c)))
        return _gathered(add(rest, {outside | {(gathered, 1)}: c}))
    return p


# --- the two ways of writing ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Style:
    """Text, or LaTeX, with the names of letters; ``inline`` are arrays written by their definitions."""

    latex: bool
    output: str
    taken: frozenset[str] = frozenset()
    letters: Mapping[Letter, str] = field(default_factory=dict)
    inline: Mapping[str, Array] = field(default_factory=dict)
    order: Mapping[str, int] = field(default_factory=dict)  # of names in a product
    rank: int = 0  # of the output

    def with_letters(
        self, letters: Sequence[Letter], wanted: str = BOUND, free: Iterable[Letter] = ()
    ) -> Style:
        """New letters with names that nothing in sight has, nor the free ones."""
        used = {*self.letters.values(), *self.taken, *(x.name for x in free)}
        names = (x for x in [*wanted, *(f"{x}′" for x in wanted)] if x not in used)
        return replace(self, letters={**self.letters, **dict(zip(letters, names, strict=False))})

    def words(self, text: str) -> str:
        return rf"\text{{{text}}}" if self.latex and text else text

    def listed(self, texts: Sequence[str]) -> str:
        """a, b and c."""
        return self.words(" and ").join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)

    def poly(self, p: Poly) -> str:
        return self.write(tree(p))[0]

    # --- leaves ---

    def symbol(self, name: str) -> str:
        return Latex(Names([])).symbol(name) if self.latex else name

    def index(self, i: Any) -> str:
        return self.letters.get(i, i.name) if isinstance(i, Letter) else str(i)

    def subscripted(self, name: str, at: Sequence[Any]) -> str:
        symbol, indices = self.symbol(name), [self.index(i) for i in at]
        if not at:
            return symbol
        inside = ("" if all(len(x) == 1 for x in indices) else ",").join(indices)
        if not self.latex:
            return f"{symbol}_{inside}"
        stem, opened, digits = symbol.partition("_{")
        return f"{stem}_{{{digits[:-1]},{inside}}}" if opened else f"{symbol}_{{{inside}}}"

    def derivative(self, name: str, at: Sequence[Any], of: str = "", of_at: Sequence[Any] = ()) -> str:
        """∂L/∂name at these indices, those of an output that is an array before them; or of another array."""
        if not of and at:
            of_at, at = at[: self.rank], at[self.rank :]
        above = self.subscripted(of or self.output, of_at)
        below = self.subscripted(name, at)
        return rf"\frac{{\partial {above}}}{{\partial {below}}}" if self.latex else f"∂{above}/∂{below}"

    def number(self, c: Fraction) -> str:
        if c.denominator == 1 and abs(c) < 10**15:
            return str(c).replace("-", "−") if not self.latex else str(c)
        text = repr(float(c)).removesuffix(".0")
        if "e" in text:
            mantissa, _, exponent = text.partition("e")
            power = (
                rf"10^{{{int(exponent)}}}" if self.latex else f"10{str(int(exponent)).translate(SUPERSCRIPT)}"
            )
            text = power if mantissa == "1" else mantissa + (r" \cdot " if self.latex else " · ") + power
        return text if self.latex else text.replace("-", "−")

    def length(self, dim: tuple[int, ...]) -> str:
        return self.letters.get(Letter("n", dim), str(dim[0]))

    # --- expressions ---

    def write(self, node: Tree, closed: bool = False) -> Text:
        """``closed`` if something follows: a function of a name then has parentheses."""
        match node:
            case ("add", terms):
                return self._added([self.write(x) for x in terms]), SUM
            case ("mul", c, parts):
                return self._multiplied(c, parts)
            case ("sum", letters, inner):
                return self._big_sum(letters, inner), PRODUCT
            case ("max", row, letters, inner):
                return self._largest(row, letters, inner), PRODUCT
            case ("f", name, nodes):
                return self._function(name, nodes, closed), ATOM
            case ("is", sign, x, y):
                return self._compared(sign, self.write(x)[0], self.write(y)[0]), ATOM
            case ("atom", atom):
                return self._atom(atom), ATOM
            case ("text", text, level, _):
                return text, level
        raise AssertionError(node)

    def _compared(self, sign: str, x: str, y: str) -> str:
        sign = {"≤": r"\le", "≥": r"\ge"}.get(sign, sign) if self.latex else sign
        return f"[{x} {sign} {y}]"

    def _atom(self, atom: Atom) -> str:
        match atom:
            case ("x", name, at):
                return self.subscripted(name, at)
            case ("d", name, at):
                return self.derivative(name, at)
            case ("n", dim):
                return self.length(dim)
            case ("pi",):
                return r"\pi" if self.latex else "π"
            case ("delta", i, j):
                return (
                    (r"\delta_{" if self.latex else "δ_") + self.index(i) + self.index(j) + "}" * self.latex
                )
        raise AssertionError(atom)

    def _added(self, terms: Sequence[Text]) -> str:
        minus = "-" if self.latex else "−"
        text = ""
        for term, _ in terms:
            negative = term.startswith(minus)
            bare = term[len(minus) :] if negative else term
            text += f" {minus} {bare}" if negative else f" + {bare}" if text else bare
        return f"{minus}{text[3:]}" if text.startswith(f" {minus} ") else text

    def _multiplied(self, c: Fraction, parts: Sequence[tuple[Tree, int]]) -> Text:
        above = sorted(((x, e) for x, e in parts if e > 0), key=self.place)
        below = sorted(((x, -e) for x, e in parts if e < 0), key=self.place)
        minus = ("-" if self.latex else "−") * (c < 0)
        c = _exact(abs(c))
        exact = c.denominator <= 64 and c.numerator < 10**6
        top, bottom = (c.numerator, c.denominator) if exact else (c, 1)
        if not below and bottom == 1:
            if [e for _, e in above] == [1] and top == 1:
                text, level = self.write(above[0][0])
                return (minus + self.factor((text, level)), PRODUCT) if minus else (text, level)
            return minus + self._row(top, above), PRODUCT if above else ATOM
        last = self.write(above[-1][0])[0] if above else ""
        apart = bool(above) and self._stands_apart(above[-1][0], len(last)) and above[-1][1] == 1
        head = above[:-1] if apart else above
        over, under = self._row(top, head, closed=not self.latex), self._row(bottom, below)
        if self.latex:
            over, under = (
                self._bare(x, n, text) for x, n, text in ((head, top, over), (below, bottom, under))
            )
            fraction = rf"\frac{{{over}}}{{{under}}}"
        else:
            several = len(below) + (bottom != 1) > 1
            if not several and below:  # a sum has no end but that of the product
                ends = not apart and below[0][0][0] in ("sum", "max", "f")
                under = self._power(*below[0], last=ends)
            fraction = f"{over}/{self.paren(under) if several else under}"
        return f"{minus}{fraction}" + (f" {self._power(*above[-1], last=True)}" if apart else ""), PRODUCT

    def _bare(self, parts: Sequence[tuple[Tree, int]], c: Any, text: str) -> str:
        """One factor alone over or under a bar needs no parentheses."""
        return self.write(parts[0][0])[0] if [e for _, e in parts] == [1] and c == 1 else text

    def _stands_apart(self, node: Tree, length: int) -> bool:
        """Whether a factor is written beside a fraction and not in it."""
        product = node[0] == "text" and node[2] == PRODUCT
        return product or node[0] in ("sum", "max") or (self.latex and length > 24)

    def place(self, part: tuple[Tree, int]) -> tuple[float, int, str]:
        """Where a factor stands: lengths and scalars first, what is long after names, sums last."""
        node, number = part[0], 0
        match node:
            case ("atom", ("n", _) | ("pi",)):
                rank: float = 0
            case ("atom", ("x", name, at)):
                rank, number = (3 if at else 1), self.order.get(name, 99) - 99 * len(at)
            case ("atom", ("d", _, at)):
                rank = 4 if at else 1
            case ("add" | "f", _, *_):
                rank = 5 if _free(node) else 2
            case ("is", _, _, _):
                rank = 2
            case ("sum" | "max", _, *_):
                rank = 8
            case ("text", _, _, given):
                rank = given
            case _:
                rank = 6
        return rank, number, _ordered(node)

    def _row(self, c: Any, parts: Sequence[tuple[Tree, int]], closed: bool = False) -> str:
        """Factors side by side, the last in parentheses too if something follows that it must not take."""
        texts = [self.number(Fraction(c))] if c != 1 or not parts else []
        for k, (node, e) in enumerate(parts):
            texts.append(self._power(node, e, last=k == len(parts) - 1 and not closed))
            if not self.latex and k + 1 < len(parts) and node[0] == "atom" and node[1][0] == "d":
                texts.append("·")
        return " ".join(texts)

    def _power(self, node: Tree, e: int, last: bool = False) -> str:
        text, level = self.write(node, closed=not last and e == 1)
        if e == 1:
            return self.paren(text) if level == SUM or (level == PRODUCT and not last) else text
        if self.latex and node[:2] == ("f", "sqrt"):
            return f"{text}^{{{e}}}"
        whole = level == ATOM and not (node[0] == "atom" and node[1][0] == "d")
        return self._raised(text if whole else self.paren(text), e)

    def _raised(self, text: str, e: int) -> str:
        """A power, of a square ‖x‖² too; in parentheses what has blanks or a power already."""
        square = r"\right\|^2" if self.latex else "‖²"
        if text.endswith(square):
            text, e = text[: -1 - self.latex], 2 * e
        elif "^" in text or (text[-1] not in ")|" and (" " in text or self._is_raised(text))):
            text = self.paren(text)
        return f"{text}^{{{e}}}" if self.latex else text + str(e).translate(SUPERSCRIPT)

    def _is_raised(self, text: str) -> bool:
        return "^" in text or text[-1] in RAISED

    def paren(self, text: str) -> str:
        return (
            rf"\left({text}\right)" if self.latex and (r"\frac" in text or r"\sum" in text) else f"({text})"
        )

    def _big_sum(self, letters: Sequence[Letter], inner: Tree) -> str:
        inside = self.with_letters(letters, free=_free(inner) - {*letters})
        text, level = inside.write(inner)
        names = "".join(inside.letters[x] for x in letters)
        body = self.paren(text) if level == SUM else text
        return rf"\sum_{{{names}}} {body}" if self.latex else f"Σ_{names} {body}"

    def _largest(self, row: str, letters: Sequence[Letter], inner: Tree) -> str:
        inside = self.with_letters(letters, free=_free(inner) - {*letters})
        text, level = inside.write(inner)
        names = "".join(inside.letters[x] for x in letters)
        body = self.paren(text) if level == SUM else text
        word = "max" if row == "maximum" else "min"
        return rf"\{word}_{{{names}}} {body}" if self.latex else f"{word}_{names} {body}"

    def _function(self, name: str, nodes: Sequence[Tree], closed: bool) -> str:
        if name == "pow":
            (base, level), (exponent, strength) = map(self.write, nodes)
            base = base if level == ATOM and not self._is_raised(base) else self.paren(base)
            if self.latex:
                return f"{base}^{{{exponent}}}"
            return f"{base}^{exponent if strength == ATOM else self.paren(exponent)}"
        simple = len(nodes) == 1 and (nodes[0][0] == "atom" or _is_plain(nodes[0])) and not closed
        return self._called(name, ", ".join(self.write(x)[0] for x in nodes), simple)

    def _called(self, name: str, inside: str, simple: bool) -> str:
        """A function of what is written already, with parentheses unless it is a ``simple`` name."""
        if name == "abs":
            return rf"\left|{inside}\right|" if self.latex else f"|{inside}|"
        if self.latex and name in ("exp", "sqrt"):
            return f"e^{{{inside}}}" if name == "exp" else rf"\sqrt{{{inside}}}"
        plain = name, rf"\operatorname{{{name}}}"
        words = WORDS.get(name, plain)
        word = (plain if {*self.taken, *map(self.symbol, self.taken)} & {*words} else words)[self.latex]
        if simple and (name in ("log", "sqrt") or (self.latex and name in WORDS and name != "sigmoid")):
            return f"√{inside}" if name == "sqrt" else f"{word}{chr(92) + ',' if self.latex else ''} {inside}"
        return f"{word}{self.paren(inside)}"

    # --- matrix notation ---

    def matrix(self, node: Tree, axes: tuple[Letter, ...]) -> Text:
        """The expression without indices, as scalar, column or matrix; NotMatrixError if there is none."""
        free = _free(node)
        match node:
            case ("add", terms):
                texts = []
                for x in terms:
                    if _free(x) != set(axes) and not (_is_number(x) and len(axes) <= 1):
                        raise NotMatrixError
                    texts.append(self.matrix(x, axes if _free(x) else ()))
                return self._added(texts), SUM
            case ("mul", c, parts):
                return self._matrix_product(c, parts, axes)
            case ("sum", letters, inner):
                return self._contracted(letters, inner, axes)
            case ("f", name, nodes) if len(nodes) == 1:
                text, level = self.matrix(nodes[0], axes)
                simple = level == ATOM and len(text) < 3
                called = self._called(name, text, simple)
                return called, PRODUCT if simple and " " in called else ATOM
            case ("is", sign, x, y) if not axes:
                texts = [self.matrix(part, ()) for part in (x, y)]
                return self._compared(sign, *(text for text, _ in texts)), ATOM
            case ("atom", ("x", name, at)):
                if name in self.inline and set(at) == set(axes):
                    array = self.inline[name]
                    back = dict(zip(array.letters, at, strict=True))
                    return self.matrix(tree(_with_letters(array.shown, back)), axes)
                return self._turned(self.symbol(name), at, axes)
            case ("atom", ("d", name, at)):
                text, _ = self._turned(self.derivative(name, ()), at, axes)
                return text, ATOM
        if free or axes:
            raise NotMatrixError
        return self.write(node)

    def _turned(self, text: str, at: Sequence[Any], axes: tuple[Letter, ...]) -> Text:
        if tuple(at) == axes:
            return text, ATOM
        if len(at) == 2 and tuple(at[::-1]) == axes:
            return text + (r"^\top" if self.latex else "ᵀ"), ATOM
        raise NotMatrixError

    def _matrix_product(
        self, c: Fraction, parts: Sequence[tuple[Tree, int]], axes: tuple[Letter, ...]
    ) -> Text:
        scalars = [(x, e) for x, e in parts if not _free(x)]
        rest = [(x, e) for x, e in parts if _free(x)]
        if any(not _free(x) <= set(axes) for x, _ in rest):
            raise NotMatrixError
        if not rest and axes:
            raise NotMatrixError
        if not rest:
            return self._multiplied(c, [(self._named_scalar(x), e) for x, e in scalars])
        if any(e < 0 for _, e in rest):
            raise NotMatrixError
        groups = [_free(x) for x, _ in rest]
        if set(axes) != set().union(*groups):
            raise NotMatrixError
        if len(axes) == 2 and all(len(g) == 1 for g in groups):
            columns = [
                self._elementwise([p for p, g in zip(rest, groups, strict=True) if x in g], (x,))
                for x in axes
            ]
            body: Text = f"{self._right(columns[0])} {self._transposed(columns[1])}", PRODUCT
        elif all(g == set(axes) for g in groups):
            body = self._elementwise(rest, axes)
        else:
            raise NotMatrixError
        whole = ("text", *body, 7)
        return self._multiplied(c, [*((self._named_scalar(x), e) for x, e in scalars), (whole, 1)])

    def _named_scalar(self, node: Tree) -> Tree:
        """A scalar with its own matrix notation, where it has one."""
        if node[0] == "atom" and (node[1][0] != "x" or node[1][1] not in self.inline):
            return node
        text, level = self.matrix(node, ())
        as_it_is = node[0] == "f" and text == self.write(node)[0]
        return node if as_it_is else ("text", text, level, 2)

    def _elementwise(self, parts: Sequence[tuple[Tree, int]], axes: tuple[Letter, ...]) -> Text:
        texts = []
        for node, e in sorted(parts, key=self.place):
            text, level = self.matrix(node, axes)
            if e != 1:
                text, level = self._raised(text if level == ATOM else self.paren(text), e), ATOM
            texts.append((text, level))
        if len(texts) == 1:
            return texts[0]
        return (r" \odot " if self.latex else " ⊙ ").join(map(self.factor, texts)), PRODUCT

    def factor(self, text: Text) -> str:
        return self.paren(text[0]) if text[1] == SUM else text[0]

    def _grouped(self, text: Text) -> str:
        return text[0] if text[1] == ATOM else self.paren(text[0])

    def _transposed(self, text: Text) -> str:
        grouped = self._grouped(text)
        grouped = self.paren(grouped) if self._is_raised(grouped) else grouped
        return grouped + (r"^\top" if self.latex else "ᵀ")

    def _contracted(self, letters: Sequence[Letter], inner: Tree, axes: tuple[Letter, ...]) -> Text:
        c, parts = (inner[1], list(inner[2])) if inner[0] == "mul" else (Fraction(1), [(inner, 1)])
        if c != 1 or any(e < 0 for _, e in parts):
            raise NotMatrixError
        return self._chain(list(letters), parts, axes)

    def _chain(self, letters: list[Letter], parts: list[tuple[Tree, int]], axes: tuple[Letter, ...]) -> Text:
        """Σ_k A_ik v_k is A v, and so on along the letters, from the left."""
        if not letters:
            if not parts:
                raise NotMatrixError
            return self._matrix_product(Fraction(1), parts, axes)
        if len(axes) == 2:
            start, end = axes
        elif len(axes) == 1:
            start, end = axes[0], None
        else:
            if len(letters) == 1:
                return self._inner(letters[0], parts)
            start, end = None, None
        if start is None:  # a quadratic form: from a vector along matrices
            for first in letters:
                own = [p for p in parts if _free(p[0]) == {first}]
                if own:
                    left = self._elementwise(own, (first,))
                    rest = [p for p in parts if p not in own]
                    right = self._chain([x for x in letters if x != first], rest, (first,))
                    return f"{self._transposed(left)} {self._right(right)}", PRODUCT
            raise NotMatrixError
        here = [p for p in parts if start in _free(p[0])]
        if len(here) != 1 or here[0][1] != 1 or len(_free(here[0][0])) != 2:
            raise NotMatrixError
        [k] = _free(here[0][0]) - {start}
        if k not in letters:
            raise NotMatrixError
        left = self.matrix(here[0][0], (start, k))
        rest = [p for p in parts if p is not here[0]]
        others = [x for x in letters if x != k]
        on = [p for p in rest if k in _free(p[0])]
        if any(_free(p[0]) == {k} for p in on) and (others or end is not None):
            raise NotMatrixError
        right = self._chain(others, rest, (k,) if end is None else (k, end))
        return f"{self.factor(left)} {self._right(right)}", PRODUCT

    def _right(self, text: Text) -> str:
        sign = "⊙" if not self.latex else r"\odot"
        return self.paren(text[0]) if text[1] == SUM or sign in text[0] else text[0]

    def _inner(self, k: Letter, parts: list[tuple[Tree, int]]) -> Text:
        if any(_free(x) != {k} for x, _ in parts):
            raise NotMatrixError
        if len(parts) == 1 and parts[0][1] == 2:
            text, _ = self.matrix(parts[0][0], (k,))
            return (rf"\left\|{text}\right\|^2" if self.latex else f"‖{text}‖²"), ATOM
        if sum(e for _, e in parts) != 2:
            raise NotMatrixError
        (x, _), (y, _) = sorted(parts, key=self.place)
        left, right = self.matrix(x, (k,)), self.matrix(y, (k,))
        return f"{self._transposed(left)} {self.factor(right)}", PRODUCT


def _exact(c: Fraction) -> Fraction:
    """The small fraction that a long float is, such as 1/3."""
    near = c.limit_denominator(64)
    return near if float(near) == float(c) and len(str(float(c))) > 12 else c


def _with_letters(p: Poly, to: Mapping[Letter, Any]) -> Poly:
    from autograd_mini.deriving.algebra import renamed

    return {renamed(m, to): c for m, c in p.items()}


def _free(node: Any) -> set[Letter]:
    """The letters that an expression varies along."""
    match node:
        case ("atom", atom):
            return set(letters_in(atom))
        case ("add", terms):
            return set().union(*map(_free, terms))
        case ("mul", _, parts):
            return set().union(*(_free(x) for x, _ in parts))
        case ("sum", letters, inner) | ("max", _, letters, inner):
            return _free(inner) - set(letters)
        case ("f", _, nodes):
            return set().union(*map(_free, nodes))
        case ("is", _, x, y):
            return _free(x) | _free(y)
    return set()


def _is_plain(x: Tree) -> bool:
    return x[0] == "mul" and x[1] == 1 and len(x[2]) == 1 and x[2][0][1] == 1 and x[2][0][0][0] == "atom"
