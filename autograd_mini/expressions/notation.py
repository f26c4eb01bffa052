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
from keyword import iskeyword
from typing import NamedTuple, NoReturn, TypeVar

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


class ExpressionError(ValueError):
    """A formula that cannot be read or evaluated; the message points at the column, which counts from 0."""

    def __init__(self, message: str, text: str = "", column: int = 0) -> None:
        super().__init__(message, text, column)
        self.message, self.text, self.column = message, text, column

    def __str__(self) -> str:
        if not self.text:
            return self.message
        start = max(0, self.column - 60) if len(self.text) > 100 else 0
        excerpt = self.text[start : start + 100]
        return f"{self.message}\n  {excerpt}\n  {' ' * (self.column - start)}^"


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
SUPERSCRIPTS, SUBSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻ⁿ", "₀₁₂₃₄₅₆₇₈₉ᵢⱼₖₗₘₙₜ"
SMALL = {  # what they stand for
    "up": ("^", str.maketrans(SUPERSCRIPTS, "0123456789-n")),
    "down": ("_", str.maketrans(SUBSCRIPTS, "0123456789ijklmnt")),
}
FRACTIONS = {c: unicodedata.numeric(c) for c in "½⅓⅔¼¾⅕⅛"}
# Factors side by side: a number, which is no 0xff, 1e-3 or 1j, and a letter or a bracket; two words; a
# bracket and what follows it.
BESIDE = (
    r"(?<![\w.])(?!0[xXbBoO])\d+\.?\d*(?![eE][-+]?\d|[jJ]\b)\s*(?=[^\W\d_]|\()"
    r"|\b\s+(?=\w)|\)\s*(?=[\w(])"
)
PRINTED = {*"\\^{}|∂∇′⊤ᵀ·⊙", *SUPERSCRIPTS, *SUBSCRIPTS, *FRACTIONS, *OPERATORS} - PLAIN


LETTER = rf"(?![ᵀ{SUPERSCRIPTS}{SUBSCRIPTS}Σ])[^\W_]"
TOKEN = re.compile(
    r"(?P<number>\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|\.\d+)|(?P<sign>\\(?:[A-Za-z]+|.)|\*\*|<=|>=|==|!=)"
    rf"|(?P<up>[{SUPERSCRIPTS}]+)|(?P<down>[{SUBSCRIPTS}]+)|(?P<fraction>[{''.join(FRACTIONS)}])"
    rf"|(?P<word>(?!\d)(?:{LETTER})+)|(?P<other>.)"
)


def is_printed(line: str) -> bool:
    """Whether a text has what plain formulas do not have."""
    return (
        not PRINTED.isdisjoint(line)
        or re.search(r"\b(Σ\s*[_(]|(σ|sigma)\()", line) is not None
        or (re.search(BESIDE, line) is not None and not any(map(iskeyword, re.findall(r"\w+", line))))
    )


class Token(NamedTuple):
    kind: str  # number, word, fraction, sign, or end
    text: str
    column: int
    spaced: bool  # whether a space stands before it


def tokens(line: str) -> list[Token]:
    """The tokens of a text; what is raised or lowered, as in x² and zᵢ, stands in braces after ^ or _."""
    found, column, spaced = [], 0, False
    while column < len(line):
        if silent := re.compile(r"\s+|~").match(line, column) or SILENT.match(line, column):
            column, spaced = silent.end(), True
            continue
        match = TOKEN.match(line, column)
        assert match is not None  # the last alternative matches anything
        kind, text = str(match.lastgroup), match[0]
        name = text.removeprefix("\\")
        if kind == "sign" and (name in GREEK or name in SPELLED or name in PREFIXES):
            kind, text = "word", SPELLED.get(name, name)
        elif kind in ("sign", "other"):
            kind, text = "sign", OPERATORS.get(text, text)
        if kind in SMALL:
            found += _in_braces(kind, text, column)
        else:
            found.append(Token(kind, text, column, spaced))
        column, spaced = match.end(), False
    return [*found, Token("end", "", len(line), spaced)]


def _in_braces(kind: str, text: str, column: int) -> list[Token]:
    sign, letters = SMALL[kind]
    *inside, end = tokens(text.translate(letters))
    found = [Token("sign", sign, 0, False), Token("sign", "{", 0, False), *inside]
    found.append(end._replace(kind="sign", text="}"))
    return [token._replace(column=column + token.column) for token in found]


# --- from tokens to a tree ------------------------------------------------------------------------------

DERIVATIVE = r"[∂∇′']|\b(?:d(?!\d)\w*|grad\w*|\w+_grad)\b"  # one of which a left side has
NO_DERIVATIVE = (
    "the left side of = is no derivative such as ∂L/∂x or dx: write what stands at the right of = alone"
)
COMPARISONS = {
    "<": ast.Lt,
    ">": ast.Gt,
    "<=": ast.LtE,
    ">=": ast.GtE,
    "=": ast.Eq,
    "==": ast.Eq,
    "!=": ast.NotEq,
}
OPERATIONS = {"+": ast.Add, "-": ast.Sub, "*": ast.Mult, "⊙": ast.Mult, "/": ast.Div, "@": ast.MatMult}
CLOSING = {"(": ")", "[": "]", "{": "}"}


class Reader:
    """A parser by descent: comparisons, sums, products, powers, atoms."""

    def __init__(self, line: str) -> None:
        self.line, self.tokens, self.at = line, tokens(line), 0
        self.is_latex = "\\" in line or "{" in line
        self.in_bars = False  # where a bar closes
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
            self.refuse(f"expected a {kind} here", self.token.column)
        return self.next()

    def is_at(self, *signs: str) -> bool:
        return self.token.kind == "sign" and self.token.text in signs

    def took(self, *signs: str) -> bool:
        """Whether one of the signs stood here, which is then behind."""
        found = self.is_at(*signs)
        self.at += found
        return found

    def skip(self, *signs: str) -> None:
        for sign in signs:
            if not self.took(sign):
                got = self.written(self.token) or "the end"
                self.refuse(f"expected {sign} here, got {got}", self.token.column)

    def written(self, token: Token) -> str:
        """The token, or the small letters that it stands for."""
        match = TOKEN.match(self.line, token.column)
        return match[0] if match and match.lastgroup in SMALL else token.text

    def refuse(self, message: str, column: int) -> NoReturn:
        raise ExpressionError(message, self.line, column)

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
            if not any(re.fullmatch(DERIVATIVE, token.text) for token in left):
                self.refuse(NO_DERIVATIVE, self.tokens[equals].column)
            self.axes = _indices_of(left)
            self.at = equals + 1
        tree = self.comparison()
        if self.token.kind != "end":
            self.refuse(f"{self.written(self.token)} has no meaning here", self.token.column)
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
                self.refuse("a condition is written a if c else b", self.tokens[self.at - 1].column)
            return placed(ast.IfExp(test, left, self.comparison()), column)
        return left

    def sum(self) -> ast.expr:
        left, token = self.product(), self.token
        while self.took("+", "-"):
            left = placed(ast.BinOp(left, OPERATIONS[token.text](), self.product()), token.column)
            token = self.token
        return left

    def product(self) -> ast.expr:
        token = self.token
        if self.took("-", "+"):
            operand = self.product()
            return operand if token.text == "+" else placed(ast.UnaryOp(ast.USub(), operand), token.column)
        left, divided = self.power(), False
        while True:
            token = self.token
            if self.took("*", "⊙", "@", "/"):
                divided = token.text == "/"
                right = self.signed()
                if token.text == "@" and isinstance(right, Entry) and not isinstance(right.value, ast.Name):
                    self.refuse("@ multiplies arrays: put the product in brackets, (…)_i", token.column)
                while token.text in ("*", "⊙") and (self.took("·") or self.begins()):  # S ⊙ Wᵀd
                    right = placed(Product([*_factors(right), self.signed()]), token.column)
                left = placed(ast.BinOp(left, OPERATIONS[token.text](), right), token.column)
            elif self.is_at("·") or self.begins():
                if not self.took("·") and divided and not token.spaced and not self.is_at("Σ"):
                    open_end = "write (a/b)*c or a/(b*c): what a product after / belongs to is open"
                    self.refuse(open_end, token.column)
                divided = False
                left = placed(Product([*_factors(left), self.signed()]), token.column)
            else:
                return left

    def signed(self) -> ast.expr:
        column = self.token.column
        if self.took("-"):
            return placed(ast.UnaryOp(ast.USub(), self.signed()), column)
        return self.power()

    def begins(self) -> bool:
        """Whether a factor begins here; a bar opens if nothing waits for it to close."""
        kind, text = self.token.kind, self.token.text
        if kind in ("number", "word", "fraction"):
            return text not in ("if", "else")
        if self.is_at("|", "‖"):
            return not self.in_bars
        is_command = text.startswith("\\") and text not in ("\\\\", "\\end")
        return kind == "sign" and (text in ("(", "{", "[", "Σ", "√") or is_command)

    def power(self) -> ast.expr:
        is_open = not self.is_at("(", "[")
        base = self.atom()
        while True:
            token = self.token
            if self.took("ᵀ"):
                base = placed(Transpose(base, is_open=is_open), token.column)
            elif self.took("^"):
                exponent = self.single() if self.is_latex or self.is_at("{") else self.signed()
                last, after = self.tokens[self.at - 1], self.token
                beside = after.kind == "word" or (last.text == "1" and self.is_at("/"))  # e^2x, x^1/2
                if last.kind == "number" and beside and not after.spaced and not self.is_latex:
                    self.refuse("where the exponent ends is open: put it in brackets", after.column)
                base = self.raised(base, exponent, token.column, is_open)
            elif self.is_at("_") and not token.spaced and _has_entries(base, is_open):
                base = placed(Entry(base, self.places(), ast.Load()), token.column)
            elif self.is_at("[") and not (token.spaced or self.is_latex or isinstance(base, ast.Constant)):
                base = placed(ast.Subscript(base, self.entries(), ast.Load()), token.column)
            else:
                return base

    def raised(self, base: ast.expr, exponent: ast.expr, column: int, is_open: bool) -> ast.expr:
        match base, exponent:
            case _, ast.Name("T" | "ᵀ" as letter):
                return placed(Transpose(base, letter, is_open), column)
            case Norm(), ast.Constant(2):
                return placed(Norm(base.operand, squared=True), column)
        return placed(Power(base, exponent, is_open), column)

    def single(self) -> ast.expr:
        """What ^ and commands take: a group in braces, a command, or one character."""
        if self.token.kind not in ("number", "word") or self.token.text[0] == ".":
            return self.atom()
        token = self.character()
        node = ast.Constant(float(token.text)) if token.kind == "number" else ast.Name(token.text, ast.Load())
        return placed(node, token.column)

    def character(self) -> Token:
        """The first character of a word or a number, of which the rest is left; else the token."""
        token = self.token
        head, rest = token.text[:1], token.text[1:]
        if not rest or token.kind == "sign" or self.line[token.column] == "\\":
            return self.next()
        self.tokens[self.at] = Token(token.kind, rest, token.column + 1, False)
        return token._replace(text=head)

    def group(self) -> ast.expr:
        """What stands in braces: {…}."""
        self.skip("{")
        return self.within("}")

    def within(self, *closing: str, in_bars: bool = False) -> ast.expr:
        """What stands before the signs that close it."""
        before, self.in_bars = self.in_bars, in_bars
        inner = self.comparison()
        self.in_bars = before
        self.skip(*closing)
        return inner

    def entries(self) -> ast.expr:
        """What stands in brackets, [i, j]: one expression as it is, several as a tuple."""
        opening = self.next()
        found = self.listed(CLOSING[opening.text])
        return found[0] if len(found) == 1 else placed(ast.Tuple(found, ast.Load()), opening.column)

    def listed(self, closing: str) -> list[ast.expr]:
        """What stands between commas, up to the bracket that closes it."""
        found = [self.within()]
        while self.took(","):
            found.append(self.within())
        self.skip(closing)
        return found

    def atom(self) -> ast.expr:
        token = self.next()
        match token.kind, token.text:
            case (("number" | "fraction"), text):
                return placed(ast.Constant(FRACTIONS.get(text) or float(text)), token.column)
            case "word", _:
                return self.word(token)
            case "sign", ("(" | "{") as opening:
                return self.within(CLOSING[opening])
            case "sign", "[":  # a vector, or a bracket as any other, of a comparison Iverson's
                found = self.listed("]")
                return found[0] if len(found) == 1 else placed(ast.List(found, ast.Load()), token.column)
            case "sign", ("|" | "‖") as bar:
                doubled = bar == "|" and not self.token.spaced and self.took("|")
                inner = self.within(*[bar] * (1 + doubled), in_bars=True)
                if doubled or bar == "‖":
                    return self.norm(inner, token.column)
                return placed(ast.Call(ast.Name("abs", ast.Load()), [inner], []), token.column)
            case "sign", "ᵀ":
                return placed(ast.Name("ᵀ", ast.Load()), token.column)
            case "sign", "√":
                return self.applied("sqrt", token)
            case "sign", "Σ":
                return self.summation(token)
            case "sign", text if text.startswith("\\"):
                return self.command(token)
        what = (
            "the formula ends here" if token.kind == "end" else f"{self.written(token)} has no meaning here"
        )
        self.refuse(what, token.column)

    def norm(self, inner: ast.expr, column: int) -> ast.expr:
        """‖x‖₂ is the only norm that has a row."""
        if self.took("_"):
            place = self.token.column
            if self.below() != "2":
                self.refuse("the only norm is the Euclidean one, ‖x‖", place)
        return placed(Norm(inner), column)

    # --- names and functions ---

    def word(self, token: Token) -> ast.expr:
        name = token.text
        if name in ("np", "numpy", "math") and self.took("."):
            return self.applied(self.next().text, token)
        if name in PREFIXES or (name in FUNCTIONS and self.is_at("(")):
            return self.applied(name, token)
        if self.is_at("(") and not self.token.spaced and not self.is_latex and len(name) > 1:
            unknown = f"there is no function {name}; a product is written with a space or ·"
            self.refuse(unknown, token.column)
        return self.subscripted(name, token.column)

    def subscripted(self, name: str, column: int) -> ast.expr:
        """A name with what stands below it: in one word with letters and digits, else as entries."""
        node = placed(ast.Name(name, ast.Load()), column)
        if self.is_at(".") and self.line.startswith(".T", self.token.column):
            self.at += 2
            return placed(Transpose(node, is_open=True), column)
        if self.token.spaced or not self.took("_"):
            return node
        below = self.below()
        if isinstance(below, str):
            return placed(ast.Name(f"{name}_{below}", ast.Load()), column)
        return placed(Entry(node, below, ast.Load()), column)

    def below(self) -> str | ast.expr:
        if self.is_at("_", "^"):
            self.refuse(f"{self.written(self.token)} has no meaning here", self.token.column)
        if not self.is_at("{"):
            return (self.character() if self.is_latex else self.next()).text
        end = next((k for k in range(self.at, len(self.tokens)) if self.tokens[k].text == "}"), None)
        inside = self.tokens[self.at + 1 : end]
        if all(token.kind in ("word", "number") or token.text == "," for token in inside):
            self.at += len(inside) + 2
            return "".join(token.text for token in inside).replace(",", "")
        return self.entries()

    def places(self) -> ast.expr:
        """The indices below a bracket, one a letter: (Xw − y)_i."""
        self.skip("_")
        column, below = self.token.column, self.below()
        if not isinstance(below, str):
            return below
        if not below.isalpha():
            self.refuse(
                "an index below a bracket is a letter; write (…)[0] for an entry by its number", column
            )
        found: list[ast.expr] = [placed(ast.Name(letter, ast.Load()), column) for letter in below]
        return found[0] if len(found) == 1 else placed(ast.Tuple(found, ast.Load()), column)

    def applied(self, name: str, token: Token) -> ast.expr:
        """A function on what follows it: in brackets, or one factor."""
        exponent, column = None, self.token.column
        if self.took("^"):
            exponent = self.single()
            if not _is_positive(exponent):
                self.refuse(f"write 1/{name}(…), or its inverse by its name", column)
        if self.is_at("_"):
            instead = "; write a quotient of logarithms" * (FUNCTIONS.get(name) == "log")
            self.refuse(f"what stands below {name} is not read{instead}", self.token.column)
        if self.took("("):
            arguments = self.listed(")")
        else:
            argument = self.group() if self.is_at("{") else self.signed()
            is_factor = isinstance(argument, ast.Constant) and name in PREFIXES  # sin 2x
            if is_factor and self.begins() and not self.is_at("("):
                argument = placed(Product([argument, self.power()]), token.column)
            is_open = name in PREFIXES and self.is_at("/")  # log p/q
            if is_open or (self.begins() and self.token.text not in PREFIXES and not self.is_at("Σ")):
                self.refuse(f"what {name} applies to is open: write {name}(…)", token.column)
            arguments = [argument]
        function = placed(ast.Name(FUNCTIONS.get(name, name), ast.Load()), token.column)
        node = placed(ast.Call(function, arguments, []), token.column)
        node.written = token.text  # type: ignore[attr-defined]  # σ may be a name after all
        return node if exponent is None else placed(ast.BinOp(node, ast.Pow(), exponent), column)

    def summation(self, token: Token) -> ast.expr:
        indices, first, apart = self.under_sum() if self.took("_") else ([], None, None)
        last = self.single() if indices and self.took("^") else None
        body = self.product()
        if not indices:
            names = [x.id for x in ast.walk(body) if isinstance(x, ast.Name)]
            if letter := next((x[-1] for x in names if re.fullmatch(rf"\w+_[{INDICES}]+", x)), ""):
                self.refuse(f"over which index Σ goes is open: write Σ_{letter}", token.column)
            return placed(ast.Call(ast.Name("sum", ast.Load()), [body], []), token.column)
        if apart is not None:
            body = placed(Product([body, apart]), token.column)
        for index in reversed(indices):
            body = placed(Sum(body, index, first, last), token.column)
        return body

    def under_sum(self) -> tuple[list[str], float | None, ast.expr | None]:
        """What stands under a sum: its indices, where the first begins, and an index that is left out."""
        if not self.took("{"):
            return [str(self.below())], None, None
        indices, first, apart = list(self.one("word").text), None, None
        while self.took(","):
            indices += self.one("word").text
        column = self.token.column
        if self.took("="):
            first = float(self.one("number").text)
        elif self.took("!="):
            names = [placed(ast.Name(x, ast.Load()), column) for x in (indices[0], self.one("word").text)]
            apart = placed(ast.Compare(names[0], [ast.NotEq()], [names[1]]), column)
        self.skip("}")
        return indices, first, apart

    # --- LaTeX's commands ---

    def command(self, token: Token) -> ast.expr:
        column = token.column
        match token.text[1:]:
            case "frac" | "dfrac" | "tfrac":
                above, below = self.single(), self.single()
                return placed(ast.BinOp(above, ast.Div(), below), column)
            case "sqrt":
                root = self.entries() if self.is_at("[") else None
                inner = self.group()
                if root is None:
                    return placed(ast.Call(ast.Name("sqrt", ast.Load()), [inner], []), column)
                power = placed(ast.BinOp(placed(ast.Constant(1.0), column), ast.Div(), root), column)
                return placed(ast.BinOp(inner, ast.Pow(), power), column)
            case accent if accent in ACCENTS:
                inner = self.single()
                if not isinstance(inner, ast.Name):
                    self.refuse(f"\\{accent} stands over a name", column)
                return self.subscripted(f"{inner.id}_{ACCENTS[accent]}", column)
            case style if style in STYLES:
                inner = self.single()
                if isinstance(inner, ast.Constant) and inner.value == 1 and self.is_at("(", "["):
                    return self.within(CLOSING[self.next().text])  # an indicator
                return self.word(token._replace(text=inner.id)) if isinstance(inner, ast.Name) else inner
            case "begin":
                return self.cases(column)
            case name:
                self.refuse(f"\\{name} has no meaning here", column)

    def cases(self, column: int) -> ast.expr:
        r"""\begin{cases} a & c \\ b & \text{otherwise} \end{cases}."""
        if not self.line.startswith("{cases}", self.token.column):
            self.refuse("of environments only cases is read", column)
        self.at += 3
        rows: list[tuple[ast.expr, ast.expr | None]] = []
        while not rows or self.took("\\\\"):
            value = self.comparison()
            self.took(",")
            self.skip("&")
            rows.append((value, self.condition()))
        self.skip("\\end")
        self.at += 3
        zero = placed(ast.Constant(0.0), column)
        result: ast.expr = placed(ast.BinOp(zero, ast.Div(), zero), column)  # what holds in no case
        for value, condition in reversed(rows):
            result = value if condition is None else placed(ast.IfExp(condition, value, result), column)
        return result

    def condition(self) -> ast.expr | None:
        """What a case holds for; None for otherwise."""
        if self.took("\\text", "\\mathrm", "\\textrm"):
            self.skip("{")
            word = self.one("word").text
            self.skip("}")
            if word in ("otherwise", "else"):
                return None
        return self.comparison()


def _has_entries(node: ast.expr, is_open: bool) -> bool:
    """Whether an index may stand below: of a bracket, a function or a transpose; a name has taken its own."""
    return isinstance(node, (ast.Call, Transpose)) or not (is_open or isinstance(node, (Power, Entry)))


def _factors(node: ast.expr) -> list[ast.expr]:
    return node.factors if isinstance(node, Product) else [node]


def _is_positive(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, float) and node.value > 0


def placed(node: Node, column: int) -> Node:
    node.lineno, node.col_offset = 1, column
    return node


def _indices_of(left: Iterable[Token]) -> tuple[str, ...] | None:
    """The indices of ∂S_i/∂z_j, in the order of the axes of the result."""
    found = re.findall(r"_\{?([i-n,]+)\}?", "".join(token.text for token in left))
    letters = tuple(letter for group in found for letter in group.replace(",", ""))
    return letters if letters and len(set(letters)) == len(letters) else None
