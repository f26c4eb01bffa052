"""Polynomials as a person writes them: in text or in LaTeX, in the form that is shortest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, TypeAlias

from autograd_mini.deriving.algebra import Atom, Letter, Poly
from autograd_mini.deriving.forms import Tree, forms, free, ordered
from autograd_mini.rolling.latex import Latex
from autograd_mini.rolling.names import Names

SUM, PRODUCT, ATOM = range(3)  # how tightly a text holds together
Text: TypeAlias = "tuple[str, int]"
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


@dataclass(frozen=True)
class Style:
    """Text, or LaTeX, with the names of letters."""

    latex: bool
    output: str
    taken: frozenset[str] = frozenset()
    letters: Mapping[Letter, str] = field(default_factory=dict)
    order: Mapping[str, int] = field(default_factory=dict)  # of names in a product
    rank: int = 0  # of the output

    def with_letters(
        self, letters: Sequence[Letter], wanted: str = BOUND, used: Iterable[Letter] = ()
    ) -> Style:
        """New letters with names that nothing in sight has, nor the used ones."""
        taken = {*self.letters.values(), *self.taken, *(x.name for x in used)}
        names = (x for x in [*wanted, *(f"{x}′" for x in wanted)] if x not in taken)
        return replace(self, letters={**self.letters, **dict(zip(letters, names, strict=False))})

    def words(self, text: str) -> str:
        return rf"\text{{{text}}}" if self.latex and text else text

    def listed(self, texts: Sequence[str]) -> str:
        """a, b and c."""
        return self.words(" and ").join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)

    def poly(self, p: Poly) -> str:
        return self.write(self.shortest(p))[0]

    def shortest(self, p: Poly) -> Tree:
        """The form that is the shortest as text."""
        plain = replace(self, latex=False)
        return min(forms(p), key=lambda form: len(plain.write(form)[0]))

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
                return self.added([self.write(x) for x in terms]), SUM
            case ("mul", c, parts):
                return self.multiplied(c, parts)
            case ("sum", letters, inner):
                return self._bound(r"\sum" if self.latex else "Σ", letters, inner), PRODUCT
            case ("max", row, letters, inner):
                word = "max" if row == "maximum" else "min"
                return self._bound(rf"\{word}" if self.latex else word, letters, inner), PRODUCT
            case ("f", name, nodes):
                return self._function(name, nodes, closed), ATOM
            case ("is", sign, x, y):
                return self.compared(sign, self.write(x)[0], self.write(y)[0]), ATOM
            case ("atom", atom):
                return self._atom(atom), ATOM
            case ("text", text, level, _):
                return text, level
        raise AssertionError(node)

    def compared(self, sign: str, x: str, y: str) -> str:
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

    def added(self, terms: Sequence[Text]) -> str:
        minus = "-" if self.latex else "−"
        text = ""
        for term, _ in terms:
            negative = term.startswith(minus)
            bare = term[len(minus) :] if negative else term
            text += f" {minus} {bare}" if negative else f" + {bare}" if text else bare
        return f"{minus}{text[3:]}" if text.startswith(f" {minus} ") else text

    def multiplied(self, c: Fraction, parts: Sequence[tuple[Tree, int]]) -> Text:
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
                under = self.power(*below[0], last=ends)
            fraction = f"{over}/{self.paren(under) if several else under}"
        return f"{minus}{fraction}" + (f" {self.power(*above[-1], last=True)}" if apart else ""), PRODUCT

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
                rank = 5 if free(node) else 2
            case ("is", _, _, _):
                rank = 2
            case ("sum" | "max", _, *_):
                rank = 8
            case ("text", _, _, given):
                rank = given
            case _:
                rank = 6
        return rank, number, ordered(node)

    def _row(self, c: Any, parts: Sequence[tuple[Tree, int]], closed: bool = False) -> str:
        """Factors side by side, the last in parentheses too if something follows that it must not take."""
        texts = [self.number(Fraction(c))] if c != 1 or not parts else []
        for k, (node, e) in enumerate(parts):
            texts.append(self.power(node, e, last=k == len(parts) - 1 and not closed))
            if not self.latex and k + 1 < len(parts) and node[0] == "atom" and node[1][0] == "d":
                texts.append("·")
        return " ".join(texts)

    def power(self, node: Tree, e: int, last: bool = False) -> str:
        text, level = self.write(node, closed=not last and e == 1)
        if e == 1:
            return self.paren(text) if level == SUM or (level == PRODUCT and not last) else text
        if self.latex and node[:2] == ("f", "sqrt"):
            return f"{text}^{{{e}}}"
        whole = level == ATOM and not (node[0] == "atom" and node[1][0] == "d")
        return self.raised(text if whole else self.paren(text), e)

    def raised(self, text: str, e: int) -> str:
        """A power, of a square ‖x‖² too; in parentheses what has blanks or a power already."""
        square = r"\right\|^2" if self.latex else "‖²"
        if text.endswith(square):
            text, e = text[: -1 - self.latex], 2 * e
        elif "^" in text or (text[-1] not in ")|" and (" " in text or self.is_raised(text))):
            text = self.paren(text)
        return f"{text}^{{{e}}}" if self.latex else text + str(e).translate(SUPERSCRIPT)

    def is_raised(self, text: str) -> bool:
        return "^" in text or text[-1] in RAISED

    def paren(self, text: str) -> str:
        return (
            rf"\left({text}\right)" if self.latex and (r"\frac" in text or r"\sum" in text) else f"({text})"
        )

    def _bound(self, sign: str, letters: Sequence[Letter], inner: Tree) -> str:
        """A sum or an extremum over letters."""
        inside = self.with_letters(letters, used=free(inner) - {*letters})
        text, level = inside.write(inner)
        names = "".join(inside.letters[x] for x in letters)
        below = f"_{{{names}}}" if self.latex else f"_{names}"
        return f"{sign}{below} {self.paren(text) if level == SUM else text}"

    def _function(self, name: str, nodes: Sequence[Tree], closed: bool) -> str:
        if name == "pow":
            (base, level), (exponent, strength) = map(self.write, nodes)
            base = base if level == ATOM and not self.is_raised(base) else self.paren(base)
            if self.latex:
                return f"{base}^{{{exponent}}}"
            return f"{base}^{exponent if strength == ATOM else self.paren(exponent)}"
        simple = len(nodes) == 1 and (nodes[0][0] == "atom" or _is_plain(nodes[0])) and not closed
        return self.called(name, ", ".join(self.write(x)[0] for x in nodes), simple)

    def called(self, name: str, inside: str, simple: bool) -> str:
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

    def factor(self, text: Text) -> str:
        return self.paren(text[0]) if text[1] == SUM else text[0]


def _exact(c: Fraction) -> Fraction:
    """The small fraction that a long float is, such as 1/3."""
    near = c.limit_denominator(64)
    return near if float(near) == float(c) and len(str(float(c))) > 12 else c


def _is_plain(x: Tree) -> bool:
    return x[0] == "mul" and x[1] == 1 and len(x[2]) == 1 and x[2][0][1] == 1 and x[2][0][0][0] == "atom"
