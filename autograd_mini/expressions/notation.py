r"""Formulas as papers print them, ``σ(x)(1 − σ(x))``, ``‖Xw − y‖²``, ``S_i (\delta_{ij} - S_j)``, as trees.

The tree is Python's `ast`, with four nodes of its own for what Python has no word for: a product without a
sign, a transpose, a norm, a sum over an index. Columns are those of the text. What a name such as ``y_i``,
``Xw`` or ``\sigma`` means depends on the names that exist, which are not known here.
"""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from keyword import iskeyword
from typing import TypeVar

INDICES = "ijklmn"


class Product(ast.expr):
    """Factors side by side, or with a dot: matrices and vectors multiply as in linear algebra."""

    _fields = ("factors",)

    def __init__(self, factors: list[ast.expr]) -> None:
        super().__init__()
        self.factors = factors


class Transpose(ast.expr):
    """What stands under a raised T, whose ``letter`` might be a name; of an open word the last name."""

    _fields = ("operand",)

    def __init__(self, operand: ast.expr, letter: str = "", is_open: bool = False) -> None:
        super().__init__()
        self.operand, self.letter, self.is_open = operand, letter, is_open


class Power(ast.BinOp):
    """What stands under a raised exponent; of an open word, as of ``ax²``, the last name."""

    def __init__(self, left: ast.expr, right: ast.expr, is_open: bool) -> None:
        super().__init__(left, ast.Pow(), right)
        self.is_open = is_open


class Entry(ast.Subscript):
    """An entry below a name, ``h_{t-1}``, of which there is none before the first."""


class Norm(ast.expr):
    """The Euclidean norm or, if ``squared``, its square."""

    _fields = ("operand",)

    def __init__(self, operand: ast.expr, squared: bool = False) -> None:
        super().__init__()
        self.operand, self.squared = operand, squared


class Sum(ast.expr):
    """Σ over an index along an axis of the arrays it picks entries of; its limits are as printed."""

    _fields = ("body",)

    def __init__(self, body: ast.expr, index: str, first: float | None, last: ast.expr | None) -> None:
        super().__init__()
        self.body, self.index, self.first, self.last = body, index, first, last


Node = TypeVar("Node", bound=ast.expr)


class NotationError(ValueError):
    """What cannot be read, and its column."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.message, self.column = message, column


# --- the words of mathematics -------------------------------------------------------------------------

GREEK = dict(
    zip(
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau "
        "upsilon phi chi psi omega".split(),
        "αβγδεζηθικλμνξοπρστυφχψω",
        strict=True,
    )
)
GREEK |= {name.title(): letter.upper() for name, letter in GREEK.items()}
LETTERS = {letter: name for name, letter in GREEK.items()} | {"ϵ": "epsilon", "ϕ": "phi", "ϑ": "theta"}
SPELLED = {"varepsilon": "epsilon", "varphi": "phi", "vartheta": "theta", "varsigma": "sigma", "ell": "l"}
FUNCTIONS = {  # by the words for them
    name: function
    for function, *names in map(
        str.split,
        """exp|sin|cos|tan|sinh|cosh|tanh|max|min|erf|softmax|softplus|sqrt|abs|sum|mean|diag|outer|dot|log_softmax
        |logsumexp|log ln|log10 lg|atan arctan|asin arcsin|acos arccos|relu ReLU|sign sgn
        |sigmoid σ sigma logistic""".split("|"),
    )
    for name in (function, *names)
}
PREFIXES = set(
    "exp ln log lg sin cos tan sinh cosh tanh arctan arcsin arccos max min".split()
)  # need no brackets
OPERATORS = {  # by the ways to write them, each first
    sign: first
    for first, *others in map(
        str.split,
        r"""- − –|· ⋅ × \cdot \times|* ∗ \ast|/ ÷ ∕ \div|⊙ ∘ \odot \circ|^ **|√|Σ ∑ \sum|ᵀ ⊤ \top \intercal
        |‖ \Vert \lVert \rVert|@ |< \lt|> \gt|<= ≤ \le \leq|>= ≥ \ge \geq|!= ≠ \ne \neq|( \{ \lbrace
        |) \} \rbrace|[ \lbrack|] \rbrack|∂ \partial|∇ \nabla|′ ' \prime""".split("|"),
    )
    for sign in (first, *others)
} | {r"\|": "‖", r"\vert": "|", r"\lvert": "|", r"\rvert": "|"}
PLAIN = set("-*/@<>()[]'") | {"<=", ">=", "!=", "**", "Σ"}  # which plain formulas have too
SILENT = re.compile(
    r"\\(left|right|[bB]igg?[lrm]?|displaystyle|limits|nolimits|quad|qquad|[,;:! ])(?![A-Za-z])"
)
STYLES = set(
    "mathbf boldsymbol bm mathrm mathsf mathit mathcal mathbb vec text operatorname textbf textrm".split()
)
ACCENTS = {"hat": "hat", "widehat": "hat", "bar": "bar", "overline": "bar", "tilde": "tilde", "dot": "dot"}
SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁿ", "0123456789-n", strict=True))
SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉ᵢⱼₖₗₘₙₜ", "0123456789ijklmnt", strict=True))
FRACTIONS = {c: unicodedata.numeric(c) for c in "½⅓⅔¼¾⅕⅛"}
# Factors side by side: a number, which is no 0xff, 1e-3 or 1j, and a letter or a bracket; two words; a
# bracket and what follows it.
BESIDE = (
    r"(?<![\w.])(?!0[xXbBoO])\d+\.?\d*(?![eE][-+]?\d|[jJ]\b)\s*(?=[^\W\d_]|\()"
    r"|\b\s+(?=\w)|\)\s*(?=[\w(])"
)
PRINTED = {*"\\^{}|∂∇′⊤ᵀ·⊙", *SUPERSCRIPTS, *SUBSCRIPTS, *FRACTIONS, *OPERATORS} - PLAIN


LETTER = rf"(?![ᵀ{''.join(SUPERSCRIPTS)}{''.join(SUBSCRIPTS)}Σ])[^\W_]"
TOKEN = re.compile(
    r"(?P<number>\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|\.\d+)|(?P<sign>\\(?:[A-Za-z]+|.)|\*\*|<=|>=|==|!=)"
    rf"|(?P<up>[{''.join(SUPERSCRIPTS)}]+)|(?P<down>[{''.join(SUBSCRIPTS)}]+)|(?P<fraction>[{''.join(FRACTIONS)}])"
    rf"|(?P<word>(?!\d)(?:{LETTER})+)|(?P<other>.)"
)


def is_printed(line: str) -> bool:
    """Whether a text has what plain formulas do not have."""
    return (
        not PRINTED.isdisjoint(line)
        or re.search(r"\b(Σ\s*[_(]|(σ|sigma)\()", line) is not None
        or (re.search(BESIDE, line) is not None and not any(map(iskeyword, re.findall(r"\w+", line))))
    )


@dataclass(frozen=True)
class Token:
    kind: str  # number, word, up, down, fraction, sign, or end
    text: str
    column: int
    spaced: bool  # whether a space stands before it


def tokens(line: str) -> list[Token]:
    found, column, spaced = [], 0, False
    while column < len(line):
        if silent := re.compile(r"\s+|~").match(line, column) or SILENT.match(line, column):
            column, spaced = silent.end(), True
            continue
        match = TOKEN.match(line, column)
        assert match is not None  # the last alternative matches anything
        kind, text = str(match.lastgroup), match[0]
        name = text.removeprefix("\\")
        if kind == "sign" and name in GREEK | SPELLED:
            kind, text = "word", SPELLED.get(name, name)
        elif kind == "sign" and name in PREFIXES and text != name:
            kind, text = "word", name
        elif kind in ("sign", "other"):
            kind, text = "sign", OPERATORS.get(text, text)
        found.append(Token(kind, text, column, spaced))
        column, spaced = match.end(), False
    return [*found, Token("end", "", len(line), spaced)]


# --- from tokens to a tree ------------------------------------------------------------------------------

COMPARISONS = {
    "<": ast.Lt,
    ">": ast.Gt,
    "<=": ast.LtE,
    ">=": ast.GtE,
    "=": ast.Eq,
    "==": ast.Eq,
    "!=": ast.NotEq,
}
CLOSING = {"(": ")", "[": "]", "{": "}"}


class Reader:
    """A parser by descent: comparisons, sums, products, powers, atoms."""

    def __init__(self, line: str) -> None:
        self.line, self.tokens, self.at = line, tokens(line), 0
        self.is_latex = "\\" in line or "{" in line
        self.axes: tuple[str, ...] | None = None  # the indices on the left of an equation

    @property
    def token(self) -> Token:
        return self.tokens[min(self.at, len(self.tokens) - 1)]

    def next(self) -> Token:
        token = self.token
        self.at += token.kind != "end"
        return token

    def one(self, kind: str) -> Token:
        if self.token.kind != kind:
            raise NotationError(f"expected a {kind} here", self.token.column)
        return self.next()

    def is_at(self, *texts: str) -> bool:
        return self.token.kind == "sign" and self.token.text in texts

    def skip(self, text: str) -> None:
        if not self.is_at(text):
            got = self.token.text or "the end"
            raise NotationError(f"expected {text} here, got {got}", self.token.column)
        self.next()

    def read(self) -> ast.expr:
        """The tree of the whole text; of an equation such as ∂L/∂zᵢ = yᵢ − tᵢ that of its right side."""
        if "cases" not in self.line:  # elsewhere it only aligns
            self.tokens = [token for token in self.tokens if token.text != "&"]
        depth, equals = 0, None
        for position, token in enumerate(self.tokens):
            depth += (token.text in CLOSING) - (token.text in CLOSING.values())
            if token.kind == "sign" and token.text == "=" and depth == 0:
                equals = position
        if equals is not None:
            left = self.tokens[:equals]
            if not any(token.text in ("∂", "∇", "d", "′") for token in left):
                raise NotationError(
                    "the left side of = is no derivative such as ∂L/∂x", self.tokens[equals].column
                )
            self.axes = _indices_of(left)
            self.at = equals + 1
        tree = self.comparison()
        if self.token.kind != "end":
            raise NotationError(f"{self.token.text} has no meaning here", self.token.column)
        return tree

    def comparison(self) -> ast.expr:
        left, column = self.sum(), self.token.column
        operators: list[ast.cmpop] = []
        others = []
        while self.is_at(*COMPARISONS):
            operators.append(COMPARISONS[self.next().text]())
            others.append(self.sum())
        if operators:
            left = placed(ast.Compare(left, operators, others), column)
        if self.token.text == "if" and self.token.kind == "word":
            self.next()
            test = self.comparison()
            if self.next().text != "else":
                raise NotationError("a condition is written a if c else b", self.tokens[self.at - 1].column)
            return placed(ast.IfExp(test, left, self.comparison()), column)
        return left

    def sum(self) -> ast.expr:
        left = self.product()
        while self.is_at("+", "-"):
            token = self.next()
            operator: ast.operator = ast.Add() if token.text == "+" else ast.Sub()
            left = placed(ast.BinOp(left, operator, self.product()), token.column)
        return left

    def product(self) -> ast.expr:
        if self.is_at("-", "+"):
            token = self.next()
            operand = self.product()
            return operand if token.text == "+" else placed(ast.UnaryOp(ast.USub(), operand), token.column)
        left, divided = self.power(), False
        while True:
            token = self.token
            if self.is_at("*", "⊙", "@", "/"):
                self.next()
                divided = token.text == "/"
                kind: ast.operator = {"@": ast.MatMult, "/": ast.Div}.get(token.text, ast.Mult)()
                right = self.signed()
                while token.text in ("*", "⊙") and (self.is_at("·") or self.begins()):  # S ⊙ Wᵀd
                    self.at += self.is_at("·")
                    right = placed(Product([*_factors(right), self.signed()]), token.column)
                left = placed(ast.BinOp(left, kind, right), token.column)
            elif self.is_at("·") or self.begins():
                if self.is_at("·"):
                    self.next()
                elif divided and not token.spaced and not self.is_at("Σ"):
                    raise NotationError(
                        "write (a/b)*c or a/(b*c): what a product after / belongs to is open", token.column
                    )
                divided = False
                left = placed(Product([*_factors(left), self.signed()]), token.column)
            else:
                return left

    def signed(self) -> ast.expr:
        if self.is_at("-"):
            column = self.next().column
            return placed(ast.UnaryOp(ast.USub(), self.signed()), column)
        return self.power()

    def begins(self) -> bool:
        """Whether a factor begins here; a bar opens if nothing waits for it to close."""
        if self.token.kind in ("number", "word", "fraction"):
            return self.token.text not in ("if", "else")
        return (
            self.token.kind == "sign"
            and (
                self.token.text in ("(", "{", "[", "Σ", "√")
                or (
                    self.token.text.startswith("\\")
                    and self.token.text != "\\\\"
                    and self.token.text != "\\end"
                )
            )
        ) or (self.is_at("|", "‖") and not self.bars)

    bars: tuple[str, ...] = ()

    def power(self) -> ast.expr:
        is_open = not self.is_at("(", "[")
        base = self.atom()
        while True:
            token = self.token
            if self.is_at("ᵀ"):
                self.next()
                base = placed(Transpose(base, is_open=is_open), token.column)
            elif token.kind == "up":
                self.next()
                exponent = Reader("".join(SUPERSCRIPTS[c] for c in token.text)).read()
                base = self.raised(base, exponent, token.column, is_open)
            elif self.is_at("^"):
                self.next()
                exponent = (
                    self.group() if self.is_at("{") else self.signed() if not self.is_latex else self.single()
                )
                last, after = self.tokens[self.at - 1], self.token
                beside = after.kind == "word" or (last.text == "1" and self.is_at("/"))  # e^2x, x^1/2
                if last.kind == "number" and beside and not after.spaced and not self.is_latex:
                    raise NotationError("where the exponent ends is open: put it in brackets", after.column)
                base = self.raised(base, exponent, token.column, is_open)
            elif self.is_at("[") and not (token.spaced or self.is_latex or isinstance(base, ast.Constant)):
                base = placed(ast.Subscript(base, self.entries(), ast.Load()), token.column)
            else:
                return base

    def raised(self, base: ast.expr, exponent: ast.expr, column: int, is_open: bool) -> ast.expr:
        if isinstance(exponent, ast.Name) and exponent.id in ("T", "ᵀ"):
            return placed(Transpose(base, exponent.id, is_open), column)
        if isinstance(base, Norm) and isinstance(exponent, ast.Constant) and exponent.value == 2:
            return placed(Norm(base.operand, squared=True), column)
        return placed(Power(base, exponent, is_open), column)

    def single(self) -> ast.expr:
        """What ^ and _ take in LaTeX without braces: one character, or a command."""
        token = self.token
        if token.kind == "word" and self.line[token.column] == "\\":
            return placed(ast.Name(self.next().text, ast.Load()), token.column)
        if token.kind not in ("number", "word") or token.text[0] == ".":
            return self.atom()
        head, rest = token.text[0], token.text[1:]
        self.tokens[self.at] = Token(token.kind, rest, token.column + 1, False)
        self.at += not rest
        node = ast.Constant(float(head)) if token.kind == "number" else ast.Name(head, ast.Load())
        return placed(node, token.column)

    def group(self) -> ast.expr:
        """What stands in braces: {…}."""
        self.skip("{")
        bars, self.bars = self.bars, ()
        inner = self.comparison()
        self.bars = bars
        self.skip("}")
        return inner

    def entries(self) -> ast.expr:
        """What stands in brackets: [i, j]."""
        column = self.next().column
        return _one(self.listed("]"), column)

    def listed(self, closing: str) -> list[ast.expr]:
        """What stands between commas, up to the bracket that closes it; within, a bar opens anew."""
        bars, self.bars = self.bars, ()
        found = [self.comparison()]
        while self.is_at(","):
            self.next()
            found.append(self.comparison())
        self.bars = bars
        self.skip(closing)
        return found

    def atom(self) -> ast.expr:
        token = self.next()
        if token.kind == "number":
            return placed(ast.Constant(float(token.text)), token.column)
        if token.kind == "fraction":
            return placed(ast.Constant(FRACTIONS[token.text]), token.column)
        if token.kind == "word":
            return self.word(token)
        if token.kind == "sign" and token.text in ("(", "{"):
            self.at -= 1
            return self.parenthesis(token.text)
        if token.text == "[" and token.kind == "sign":
            self.at -= 1
            inner = self.entries()  # a vector, or a bracket as any other, of a comparison Iverson's
            if isinstance(inner, ast.Tuple):
                inner = placed(ast.List(inner.elts, ast.Load()), token.column)
            return inner
        if token.kind == "sign" and token.text in ("|", "‖"):
            doubled = token.text == "|" and self.is_at("|") and not self.token.spaced
            self.at += doubled
            bars, self.bars = self.bars, (*self.bars, token.text)
            inner = self.comparison()
            self.bars = bars
            for _ in range(1 + doubled):
                self.skip(token.text)
            if doubled or token.text == "‖":
                if self.is_at("_") or self.token.kind == "down":
                    self.norm_of_two()
                return placed(Norm(inner), token.column)
            return placed(ast.Call(ast.Name("abs", ast.Load()), [inner], []), token.column)
        if self.tokens[self.at - 1].text == "ᵀ":
            return placed(ast.Name("ᵀ", ast.Load()), token.column)
        if token.kind == "sign" and token.text == "√":
            return self.applied("sqrt", token)
        if token.kind == "sign" and token.text == "Σ":
            return self.summation(token)
        if token.text.startswith("\\") and token.kind == "sign":
            return self.command(token)
        what = "the formula ends here" if token.kind == "end" else f"{token.text} has no meaning here"
        raise NotationError(what, token.column)

    def parenthesis(self, opening: str) -> ast.expr:
        self.next()
        bars, self.bars = self.bars, ()
        inner = self.comparison()
        self.bars = bars
        self.skip(CLOSING[opening])
        return inner

    # --- names and functions ---

    def word(self, token: Token) -> ast.expr:
        name = token.text
        if name in ("np", "numpy", "math") and self.is_at("."):
            self.next()
            return self.applied(self.next().text, token)
        if name in PREFIXES or (name in FUNCTIONS and self.is_at("(")):
            return self.applied(name, token)
        if self.is_at("(") and not self.token.spaced and not self.is_latex and len(name) > 1:
            raise NotationError(
                f"there is no function {name}; a product is written with a space or ·", token.column
            )
        return self.subscripted(name, token.column)

    def subscripted(self, name: str, column: int) -> ast.expr:
        """A name with what stands below it: in one word with letters and digits, else as entries."""
        node: ast.expr = placed(ast.Name(name, ast.Load()), column)
        if self.token.kind == "down":
            below: str | ast.expr = "".join(SUBSCRIPTS[c] for c in self.next().text)
        elif self.is_at("_") and not self.token.spaced:
            self.next()
            below = self.below()
        elif self.is_at(".") and self.line.startswith(".T", self.token.column):
            self.at += 2
            return placed(Transpose(node, is_open=True), column)
        else:
            return node
        if isinstance(below, str):
            return placed(ast.Name(f"{name}_{below}", ast.Load()), column)
        return placed(Entry(node, below, ast.Load()), column)

    def below(self) -> str | ast.expr:
        if not self.is_at("{"):
            token = self.next()
            if self.is_latex and len(token.text) > 1 and self.line[token.column] != "\\":
                self.at -= 1
                self.tokens[self.at] = Token(token.kind, token.text[1:], token.column + 1, False)
                return token.text[0]
            return token.text
        end = next((k for k in range(self.at, len(self.tokens)) if self.tokens[k].text == "}"), None)
        inside = self.tokens[self.at + 1 : end]
        if all(token.kind in ("word", "number") or token.text == "," for token in inside):
            self.at += len(inside) + 2
            return "".join(token.text for token in inside).replace(",", "")
        column = self.next().column
        return _one(self.listed("}"), column)

    def applied(self, name: str, token: Token) -> ast.expr:
        """A function on what follows it: in brackets, or one factor."""
        exponent, column = None, self.token.column
        if self.is_at("^"):
            self.next()
            exponent = self.group() if self.is_at("{") else self.single()
        elif self.token.kind == "up":
            exponent = Reader("".join(SUPERSCRIPTS[c] for c in self.next().text)).read()
        if exponent is not None and not _is_positive(exponent):
            raise NotationError(f"write 1/{name}(…), or its inverse by its name", column)
        if self.is_at("_"):
            instead = "; write a quotient of logarithms" * (FUNCTIONS.get(name) == "log")
            raise NotationError(f"what stands below {name} is not read{instead}", self.token.column)
        if self.is_at("("):
            self.next()
            arguments = self.listed(")")
        else:
            argument = self.signed() if not self.is_at("{") else self.group()
            if (
                isinstance(argument, ast.Constant)
                and self.begins()
                and not self.is_at("(")
                and name in PREFIXES
            ):
                argument = placed(Product([argument, self.power()]), token.column)
            is_open = name in PREFIXES and self.is_at("/")  # log p/q
            if is_open or (self.begins() and self.token.text not in PREFIXES and not self.is_at("Σ")):
                raise NotationError(f"what {name} applies to is open: write {name}(…)", token.column)
            arguments = [argument]
        function = placed(ast.Name(FUNCTIONS.get(name, name), ast.Load()), token.column)
        call = ast.Call(function, arguments, [])
        call.written = token.text  # type: ignore[attr-defined]  # σ may be a name after all
        node: ast.expr = placed(call, token.column)
        return node if exponent is None else placed(ast.BinOp(node, ast.Pow(), exponent), column)

    def summation(self, token: Token) -> ast.expr:
        indices: list[str] = []
        first: float | None = None
        last: ast.expr | None = None
        apart: ast.expr | None = None
        if self.token.kind == "down":
            indices = [SUBSCRIPTS[c] for c in self.next().text]
        elif self.is_at("_"):
            self.next()
            if not self.is_at("{"):
                indices = [str(self.below())]
            else:
                condition = self.group_of_indices()
                indices, first, apart = condition
        if self.is_at("^"):
            self.next()
            last = self.group() if self.is_at("{") else self.single()
        body = self.product()
        if not indices:
            return placed(ast.Call(ast.Name("sum", ast.Load()), [body], []), token.column)
        if apart is not None:
            body = placed(Product([body, apart]), token.column)
        for index in reversed(indices):
            body = placed(Sum(body, index, first, last), token.column)
        return body

    def group_of_indices(self) -> tuple[list[str], float | None, ast.expr | None]:
        """What stands under a sum: its indices, where the first begins, and an index that is left out."""
        self.skip("{")
        indices, first, apart = list(self.one("word").text), None, None
        while self.is_at(","):
            self.next()
            indices += self.one("word").text
        if self.is_at("="):
            self.next()
            first = float(self.one("number").text)
        elif self.is_at("!="):
            column = self.next().column
            names = [placed(ast.Name(x, ast.Load()), column) for x in (indices[0], self.one("word").text)]
            apart = placed(ast.Compare(names[0], [ast.NotEq()], [names[1]]), column)
        self.skip("}")
        return indices, first, apart

    def norm_of_two(self) -> None:
        """‖x‖₂ is the only norm that has a row."""
        token = self.next()
        if token.kind != "down":
            token = self.next()
        if token.text not in ("2", "₂"):
            raise NotationError("the only norm is the Euclidean one, ‖x‖", token.column)

    # --- LaTeX's commands ---

    def command(self, token: Token) -> ast.expr:
        name = token.text[1:]
        if name in ("frac", "dfrac", "tfrac"):
            above = self.group() if self.is_at("{") else self.single()
            below = self.group() if self.is_at("{") else self.single()
            return placed(ast.BinOp(above, ast.Div(), below), token.column)
        if name == "sqrt":
            root = self.entries() if self.is_at("[") else None
            inner = self.group()
            half = ast.Constant(1.0)
            if root is None:
                return placed(ast.Call(ast.Name("sqrt", ast.Load()), [inner], []), token.column)
            power = placed(ast.BinOp(placed(half, token.column), ast.Div(), root), token.column)
            return placed(ast.BinOp(inner, ast.Pow(), power), token.column)
        if name in ACCENTS:
            inner = self.group() if self.is_at("{") else self.single()
            if not isinstance(inner, ast.Name):
                raise NotationError(f"\\{name} stands over a name", token.column)
            return self.subscripted(f"{inner.id}_{ACCENTS[name]}", token.column)
        if name in STYLES:
            inner = self.group() if self.is_at("{") else self.single()
            if isinstance(inner, ast.Constant) and inner.value == 1 and self.is_at("(", "["):
                return self.parenthesis(self.token.text)  # an indicator
            if not isinstance(inner, ast.Name):
                return inner
            return self.word(Token("word", inner.id, token.column, token.spaced))
        if name == "begin":
            return self.cases(token)
        raise NotationError(f"\\{name} has no meaning here", token.column)

    def cases(self, token: Token) -> ast.expr:
        r"""\begin{cases} a & c \\ b & \text{otherwise} \end{cases}."""
        if not self.line.startswith("{cases}", self.token.column):
            raise NotationError("of environments only cases is read", token.column)
        self.at += 3
        rows: list[tuple[ast.expr, ast.expr | None]] = []
        while not rows or self.is_at("\\\\"):
            if rows:
                self.next()
            value = self.comparison()
            if self.is_at(","):
                self.next()
            self.skip("&")
            rows.append((value, self.condition()))
        self.skip("\\end")
        self.at += 3
        zero = placed(ast.Constant(0.0), token.column)
        result: ast.expr = placed(ast.BinOp(zero, ast.Div(), zero), token.column)  # what holds in no case
        for value, condition in reversed(rows):
            result = value if condition is None else placed(ast.IfExp(condition, value, result), token.column)
        return result

    def condition(self) -> ast.expr | None:
        """What a case holds for; None for otherwise."""
        if self.is_at("\\text", "\\mathrm", "\\textrm"):
            self.next()
            self.skip("{")
            word = self.one("word").text
            self.skip("}")
            if word in ("otherwise", "else"):
                return None
        return self.comparison()


def _factors(node: ast.expr) -> list[ast.expr]:
    return node.factors if isinstance(node, Product) else [node]


def _one(found: list[ast.expr], column: int) -> ast.expr:
    """One expression as it is, several as a tuple."""
    return found[0] if len(found) == 1 else placed(ast.Tuple(found, ast.Load()), column)


def _is_positive(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, float) and node.value > 0


def placed(node: Node, column: int) -> Node:
    node.lineno, node.col_offset = 1, column
    return node


def _indices_of(left: Iterable[Token]) -> tuple[str, ...] | None:
    """The indices of ∂S_i/∂z_j, in the order of the axes of the result."""
    text = "".join(SUBSCRIPTS.get(c, c) for token in left for c in token.text)
    found = re.findall(r"_\{?([i-n,]+)\}?", text) or []
    letters = tuple(letter for group in found for letter in group.replace(",", ""))
    return letters if letters and len(set(letters)) == len(letters) else None
