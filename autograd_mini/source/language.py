"""What the languages share: how instructions become terms, names and statements.

Every instruction becomes a `Term`, a piece of source together with how strongly it binds. A result that
has a label becomes a variable of that name, one that is used several times a temporary, and everything
else is written where it is used. The languages differ in a few methods only; formulas of rows are
rendered by the same methods, so that a row of one's own is a small function in each of them.
"""

from __future__ import annotations

import ast
import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar, TypeAlias

from autograd_mini import rules
from autograd_mini.formulas import NATIVE, expression, names_in
from autograd_mini.instructions import Instructions, Listing
from autograd_mini.rules import Primitive
from autograd_mini.trees import map_leaves

Pattern: TypeAlias = "int | Sequence[Pattern] | Mapping[Any, Pattern] | None"

LINE = 100  # characters in a line
EXPRESSION = 76  # characters in an expression, so that an indented assignment still fits
DEPTH = 4  # parentheses within parentheses
SHORT = 32  # what may stand in a return statement, or be repeated if it is a comparison

CONDITIONAL, AND, NOT, COMPARE, SUM, PRODUCT, NEGATIVE, POWER, ATOM = range(9)
SYMBOLS: dict[type[ast.AST], tuple[str, int]] = {
    ast.Add: ("+", SUM),
    ast.Sub: ("-", SUM),
    ast.Mult: ("*", PRODUCT),
    ast.Div: ("/", PRODUCT),
    ast.Lt: ("<", COMPARE),
    ast.LtE: ("<=", COMPARE),
    ast.Gt: (">", COMPARE),
    ast.GtE: (">=", COMPARE),
    ast.Eq: ("==", COMPARE),
    ast.NotEq: ("!=", COMPARE),
}
MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


# --- expressions ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Term:
    """A piece of source: how strongly it binds, how deep its parentheses go, and what kind it is."""

    text: str
    level: int = ATOM
    depth: int = 0
    truth: bool = False  # a comparison, which is a truth value rather than a number
    number: float | None = None  # the value of a constant
    name: bool = False

    @property
    def simple(self) -> bool:
        return self.name or self.number is not None


def parenthesised(x: Term, level: int) -> Term:
    """The term where something of that level or stronger is needed: in parentheses, if it binds less."""
    return x if x.level >= level else replace(x, text=f"({x.text})", level=ATOM, depth=x.depth + 1)


def joined(x: Term, symbol: str, y: Term, level: int, truth: bool = False) -> Term:
    return Term(f"{x.text} {symbol} {y.text}", level, max(x.depth, y.depth), truth)


def sign_level(number: float) -> int:
    return NEGATIVE if math.copysign(1.0, number) < 0 and number == number else ATOM


_tree = cache(expression)


@cache
def _is_operation(formula: str, operands: tuple[str, ...]) -> bool:
    """Whether a formula is one operation on its operands, each used once: it is written in place."""
    nodes = list(ast.walk(expression(formula)))
    names = [node.id for node in nodes if isinstance(node, ast.Name)]
    operations = sum(isinstance(node, ast.BinOp) for node in nodes)
    called = any(isinstance(node, ast.Call) for node in nodes)
    return sorted(names) == sorted(operands) and operations <= 1 and not called


@cache
def _native(formula: str, operands: tuple[str, ...]) -> str:
    """The function of `math` that a formula consists of, or nothing."""
    tree = expression(formula)
    if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id in NATIVE:
        arguments = tuple(ast.unparse(argument) for argument in tree.args)
        return tree.func.id if arguments == operands else ""
    return ""


@cache
def _size(formula: str) -> int:
    """How many nodes a formula has when all that it calls is written out."""
    nodes = list(ast.walk(expression(formula)))
    calls = [node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    return len(nodes) + sum(_size(rules.table[name].stable) for name in calls if name not in NATIVE)


def _called(formulas: list[str]) -> set[str]:
    """The names of all functions that formulas call, directly or through others' formulas."""
    seen: set[str] = set()
    while formulas:
        new = {name for name in names_in(formulas.pop()) if name in rules.table} - seen
        seen |= new
        formulas += [rules.table[name].stable for name in new]
    return seen


def _patterns(trees: Mapping[str, Any], slots: Iterable[int]) -> dict[str, Pattern]:
    """The trees with nested lists of slots in place of leaves."""
    free = iter(slots)

    def nested(shape: tuple[int, ...]) -> Pattern:
        return [nested(shape[1:]) for _ in range(shape[0])] if shape else next(free)

    return {name: map_leaves(lambda leaf: nested(leaf.shape), tree) for name, tree in trees.items()}


def _uses(code: Instructions) -> tuple[list[int], Counter[int]]:
    """The instructions that the results need, in order, and how often each slot is used."""
    uses, live = Counter(code.outputs.tolist()), []
    operands, first = code.operands.tolist(), code.first
    for i in range(len(code) - 1, -1, -1):
        if uses[first + i]:
            live.append(i)
            for slot in operands[i]:
                uses[slot] += 1
    uses.pop(-1, None)  # where a row takes fewer
    return live[::-1], uses


def slots_in(pattern: Pattern) -> Iterator[int]:
    """The slots of a pattern, row by row."""
    if isinstance(pattern, int):
        yield pattern
    for _, item in _items(pattern):
        yield from slots_in(item)


def _items(pattern: Pattern) -> Iterable[tuple[Any, Pattern]]:
    """The keys or indices of a pattern with what stands there."""
    if isinstance(pattern, Mapping):
        return pattern.items()
    return [] if pattern is None or isinstance(pattern, int) else enumerate(pattern)


def _is_nested_sequence(pattern: Pattern) -> bool:
    """Whether one assignment can unpack it: it has no dict in it and no None."""
    if pattern is None or isinstance(pattern, Mapping):
        return False
    return all(_is_nested_sequence(item) for _, item in _items(pattern))


def _as_tuples(pattern: Pattern) -> Pattern:
    return pattern if isinstance(pattern, int) else tuple(_as_tuples(item) for _, item in _items(pattern))


def wrapped(head: str, items: str, tail: str, indent: str = "    ") -> str:
    """``head items tail`` on one line; if too long, items that break at each NUL, and must at a newline."""
    line = indent + head + re.sub("[\0\n]", " ", items) + tail
    if len(line) <= LINE:
        return line
    lines = []
    for part in items.split("\n"):
        lines.append(indent)
        for item in part.split("\0"):
            if len(indent + lines[-1]) + len(item) >= LINE and lines[-1].strip():
                lines.append(indent)
            lines[-1] += " " * bool(lines[-1].strip()) + item
    return "\n".join((indent + line).rstrip() for line in [head, *lines, tail])


class Names:
    """Identifiers for labels, each given out once."""

    def __init__(self, reserved: Set[str], ascii: bool) -> None:
        self.taken = set(reserved)
        self.ascii = ascii
        self.repeats: Counter[str] = Counter()  # how often a name was wanted again
        self.prefix = ""
        self.count = 0

    def new(self, label: str) -> str:
        """An identifier that resembles the label: ``W1_0,1`` is W1_0_1, ``∂loss/∂z0`` is d_loss_d_z0."""
        text = unicodedata.normalize("NFKC", label.replace("∂", "d_"))
        text = "".join(self._letter(letter) for letter in text)
        text = re.sub("_+", "_", text).strip("_") if text != label else text
        text = f"v{text}" if text[:1].isdigit() else text
        return self._unused(text or "v")

    def _letter(self, letter: str) -> str:
        if self.ascii and not letter.isascii():
            greek = re.match(r"GREEK (SMALL|CAPITAL) LETTER (?:FINAL )?(\w+)", unicodedata.name(letter, ""))
            if greek:
                spelt = greek[2].lower().replace("lamda", "lambda")
                return spelt.title() if greek[1] == "CAPITAL" else spelt
            letter = unicodedata.normalize("NFKD", letter)[0]
        return letter if f"v{letter}".isidentifier() and (letter.isascii() or not self.ascii) else "_"

    def _unused(self, name: str) -> str:
        unused = name
        while unused in self.taken:
            self.repeats[name] += 1
            unused = f"{name}_" if self.repeats[name] == 1 else f"{name}_{self.repeats[name]}"
        self.taken.add(unused)
        return unused

    def temporary(self) -> str:
        """t1, t2, …, by another letter if names like these exist already."""
        if not self.prefix:
            used = {re.sub(r"\d+$", "", name) for name in self.taken if name[-1:].isdigit()}
            self.prefix = next(letter for letter in (*"tuvwsrqp", "temporary", "_t") if letter not in used)
        self.count += 1
        return self._unused(f"{self.prefix}{self.count}")


# --- what the languages share -----------------------------------------------------------------------


class Language:
    """A function under construction; what differs between languages stands in the classes below."""

    reserved: frozenset[str]
    standard_functions: frozenset[str] = (
        frozenset()
    )  # names that a function may not take, though a variable may
    helpers: ClassVar[dict[str, str]] = {}  # functions that the language lacks
    ascii = True
    equalities: ClassVar[dict[str, str]] = {}
    conjunction = "&&"
    none = "null"

    def __init__(self, expand: bool = False) -> None:
        self.expand = expand  # write small formulas in place of calls, for speed
        self.names = Names(self.reserved | set(self.helpers) | {"pow"}, self.ascii)
        self.functions: dict[str, str] = {}  # row -> its name in this source
        self.definitions: dict[str, str] = {}
        self.imports: set[str] = set()
        self.terms: dict[int, Term] = {}
        self.body: list[str] = []
        self.blank = False  # whether a blank line is due

    def write(self, listing: Listing) -> str:
        code, arguments = listing.code, _patterns(listing.arguments, range(listing.code.inputs))
        results = _patterns({"": listing.results}, listing.code.outputs.tolist())[""]
        live, uses = _uses(code)
        name = self.name_functions(listing.name, [code.rows[i] for i in set(code.codes[live].tolist())])
        for i, constant in enumerate(code.constants):
            self.terms[code.inputs + i] = self.constant(constant)
        parameters = {argument: self.names.new(argument) for argument in arguments}
        for argument, pattern in arguments.items():
            if not isinstance(pattern, int):
                for i, slot in enumerate(slots_in(pattern)):
                    leaf = self.names.new(listing.labels.get(slot) or f"{argument}{i}")
                    self.terms[slot] = Term(leaf, name=True)
            else:
                self.terms[pattern] = Term(parameters[argument], name=True)
        for argument, pattern in arguments.items():
            self.unpack(parameters[argument], pattern, uses)
        returned = set(code.outputs.tolist())
        self.postponed = self.postponable(code, live, returned)
        self.statements(listing, live, uses, returned)
        return self.program(name, {parameters[a]: pattern for a, pattern in arguments.items()}, results)

    def name_functions(self, name: str, rows: list[Primitive]) -> str:
        """Reserve a name for the function and for all that it may call."""
        called = {row.name for row in rows} | _called([row.stable for row in rows])
        known = rules.table | {row.name: row for row in rows}
        self.names.taken |= {native + suffix for native in called & set(NATIVE) for suffix in ("", "f")}
        names = Names(self.names.taken | self.standard_functions, self.ascii)
        name = names.new(name)
        for function in sorted(called - set(NATIVE)):
            if not _is_operation(known[function].stable, known[function].operands):
                self.functions[function] = names.new(function)
        self.names.taken |= set(self.functions.values())
        self.globals = frozenset(self.names.taken)
        return name

    def statements(
        self, listing: Listing, live: list[int], uses: Mapping[int, int], returned: set[int]
    ) -> None:
        """Assignments of what has a label, is used several times, or is too long to stand in place."""
        code, labels, first = listing.code, listing.labels, listing.code.first
        codes, operands, unpacked = code.codes.tolist(), code.operands.tolist(), len(self.body)
        named = {i: self.names.new(labels[first + i]) for i in live if labels.get(first + i)}
        forward = True
        for i in live:
            if forward and i >= listing.reverse:
                forward, self.blank = False, len(self.body) > unpacked
            row, slot = code.rows[codes[i]], first + i
            term = self.fitting(row, operands[i][: len(row.operands)])
            often = uses[slot] > 1 and not (term.truth and len(term.text) <= SHORT and not term.depth)
            if i in named or ((often or (slot in returned and len(term.text) > SHORT)) and not term.simple):
                term = self.assign(named.get(i) or self.names.temporary(), term, slot)
            self.terms[slot] = term

    def fitting(self, row: Primitive, slots: list[int]) -> Term:
        """A row applied to slots; the longest operands become temporaries until it fits into a line."""
        of_names = self.expand and not _is_operation(row.stable, row.operands)
        while True:
            term = self.apply(row, [self.terms[slot] for slot in slots])
            long = [slot for slot in slots if not self.terms[slot].simple]
            fits = len(self.number_of(term).text) <= EXPRESSION and term.depth <= DEPTH
            if not long or (fits and (not of_names or _native(row.stable, row.operands))):
                return term
            slot = max(long, key=lambda slot: len(self.terms[slot].text))
            self.terms[slot] = self.assign(self.names.temporary(), self.terms[slot], slot)

    def assign(self, name: str, term: Term, slot: int) -> Term:
        if self.blank:
            self.body.append("")
            self.blank = False
        text = self.number_of(term).text
        if slot in self.postponed:
            self.body.append(self.postponement(name, text))
            return Term(f"{name}()", name=True)
        self.body.append(self.assignment(name, text))
        return Term(name, name=True)

    # --- terms ---

    def apply(self, row: Primitive, operands: list[Term]) -> Term:
        """An operator, a function of the language, or a call of the row, which is then defined."""
        native, tree = _native(row.stable, row.operands), _tree(row.stable)
        if native:
            return self.native(native, operands)
        small = self.expand and all(x.simple for x in operands) and _size(row.stable) <= 40
        if small or _is_operation(row.stable, row.operands):
            return self.formula(tree, dict(zip(row.operands, operands, strict=True)))
        name = self.functions[row.name]
        if row.name not in self.definitions:
            names = Names(self.globals, self.ascii)
            parameters = {operand: names.new(operand) for operand in row.operands}
            terms = {operand: Term(parameter, name=True) for operand, parameter in parameters.items()}
            unused = [parameters[operand] for operand in row.operands if operand not in names_in(row.stable)]
            result = self.number_of(self.formula(tree, terms))
            self.definitions[row.name] = self.definition(name, [*parameters.values()], unused, result.text)
        return self.call(name, operands)

    def formula(self, tree: ast.expr, terms: Mapping[str, Term]) -> Term:
        """A row's formula on the terms of its operands."""
        match tree:
            case ast.Constant(float() | int() as value):
                return self.constant(float(value))
            case ast.Name(name):
                return terms[name] if name in terms else self.constant(name)
            case ast.UnaryOp(ast.USub(), ast.Constant(float() | int() as value)):
                return self.constant(-float(value))
            case ast.UnaryOp(ast.USub(), operand):
                x = parenthesised(self.number_of(self.formula(operand, terms)), ATOM)
                return Term(f"-{x.text}", NEGATIVE, x.depth)
            case ast.UnaryOp(_, operand):
                return self.formula(operand, terms)
            case ast.Compare(left, [operator], [right]):
                return self.compare(operator, self.formula(left, terms), self.formula(right, terms))
            case ast.BoolOp(_, conditions):
                first, *others = (self.formula(condition, terms) for condition in conditions)
                for condition in others:
                    first = self.operate(ast.Mult(), first, condition)
                return first
            case ast.IfExp(test, body, orelse):
                return self.choose(*(self.formula(part, terms) for part in (test, body, orelse)))
            case ast.BinOp(left, operator, right):
                return self.operate(operator, self.formula(left, terms), self.formula(right, terms))
            case ast.Call(ast.Name(name), arguments):
                operands = [self.formula(argument, terms) for argument in arguments]
                return (
                    self.native(name, operands) if name in NATIVE else self.apply(rules.table[name], operands)
                )
        raise AssertionError(ast.unparse(tree))  # the rules check every formula

    def operate(self, operator: ast.operator, x: Term, y: Term) -> Term:
        if isinstance(operator, ast.Mult) and x.truth and y.truth:
            return joined(parenthesised(x, AND), self.conjunction, parenthesised(y, AND), AND, truth=True)
        if isinstance(operator, ast.Sub) and x.number == 1 and y.truth:
            return self.opposite(y)
        if (x.truth and y.truth) or isinstance(operator, ast.Pow):
            x, y = self.number_of(x), self.number_of(y)
        if isinstance(operator, ast.Pow):
            return self.power(x, y)
        symbol, level = SYMBOLS[type(operator)]
        return joined(parenthesised(x, level), symbol, parenthesised(y, level + 1), level)

    def compare(self, operator: ast.cmpop, x: Term, y: Term) -> Term:
        symbol = SYMBOLS[type(operator)][0]
        if x.number is not None and y.number is None:  # 0 < x is x > 0
            x, y, symbol = y, x, MIRRORED.get(symbol, symbol)
        x, y = parenthesised(self.number_of(x), SUM), parenthesised(self.number_of(y), SUM)
        return joined(x, self.equalities.get(symbol, symbol), y, COMPARE, truth=True)

    def choose(self, test: Term, x: Term, y: Term) -> Term:
        """``x if test else y``."""
        test = test if test.truth else self.nonzero(test)
        if (x.number, y.number) == (1, 0) and y.level == ATOM and test.truth:
            return test
        test, x, y = parenthesised(test, AND), parenthesised(self.number_of(x), AND), self.number_of(y)
        return Term(
            self.conditional(test.text, x.text, y.text), CONDITIONAL, max(test.depth, x.depth, y.depth)
        )

    def number_of(self, x: Term) -> Term:
        """A comparison as 1 or 0; the arithmetic operators take comparisons as they are."""
        if not x.truth:
            return x
        one, zero = self.constant(1.0), self.constant(0.0)
        return Term(self.conditional(parenthesised(x, AND).text, one.text, zero.text), CONDITIONAL, x.depth)

    def call(self, name: str, operands: list[Term]) -> Term:
        arguments = ", ".join(self.number_of(x).text for x in operands)
        return Term(f"{name}({arguments})", depth=1 + max(x.depth for x in operands))

    def structure(self, pattern: Pattern, leaf: Callable[[int], str]) -> tuple[str, str, str]:
        """Opening bracket, items, and closing bracket of nested brackets around the leaves."""
        if isinstance(pattern, Mapping):
            items = [
                f"{self.key(key)}: {''.join(self.structure(item, leaf))}" for key, item in pattern.items()
            ]
            return "{", ",\n".join(items), "}"
        if isinstance(pattern, int):
            return "", leaf(pattern), ""
        if pattern is None:
            return "", self.none, ""
        text = ",\0".join("".join(self.structure(item, leaf)) for item in pattern)
        return self.brackets(pattern, text)

    # --- what differs between languages ---

    def postponable(self, code: Instructions, live: list[int], returned: Set[int]) -> Set[int]:
        """The slots that are computed when they are asked for."""
        return frozenset()

    def unpack(self, text: str, pattern: Pattern, uses: Mapping[int, int]) -> None:
        """Statements that give the leaves of an argument their names."""
        if not _is_nested_sequence(pattern):
            for key, item in _items(pattern):
                self.unpack(self.item(text, key), item, uses)
        elif isinstance(pattern, int):
            if self.terms[pattern].text != text:
                self.body.append(self.assignment(self.terms[pattern].text, text))
        elif names := self.structure(_as_tuples(pattern), lambda slot: self.terms[slot].text)[1]:
            self.body.append(self.destructure(names, text))

    def item(self, text: str, key: Any) -> str:
        return f"{text}[{self.key(key)}]"

    def brackets(self, items: Sequence[Pattern], text: str) -> tuple[str, str, str]:
        return "[", text, "]"

    def key(self, key: Any) -> str:
        return json.dumps(key, ensure_ascii=False) if isinstance(key, str) else repr(key)

    def nonzero(self, x: Term) -> Term:
        return self.compare(ast.NotEq(), x, self.constant(0.0))

    def opposite(self, x: Term) -> Term:
        return replace(parenthesised(x, ATOM), text=f"!{parenthesised(x, ATOM).text}", level=NEGATIVE)

    def conditional(self, test: str, x: str, y: str) -> str:
        return f"{test} ? {x} : {y}"

    def power(self, x: Term, y: Term) -> Term:
        return self.native("pow", [x, y])

    def help(self, name: str) -> None:
        """Define a function that the language lacks, after those that it calls."""
        for other in self.helpers:
            if other != name and re.search(rf"\b{other}\(", self.helpers[name]):
                self.help(other)
        self.definitions.setdefault(name, self.helpers[name])

    def constant(self, value: float | str) -> Term:
        raise NotImplementedError

    def native(self, name: str, operands: list[Term]) -> Term:
        raise NotImplementedError

    def assignment(self, name: str, text: str) -> str:
        raise NotImplementedError

    def definition(self, name: str, parameters: list[str], unused: list[str], result: str) -> str:
        raise NotImplementedError

    def postponement(self, name: str, text: str) -> str:
        raise NotImplementedError

    def destructure(self, names: str, text: str) -> str:
        raise NotImplementedError

    def program(self, name: str, arguments: Mapping[str, Pattern], results: Pattern) -> str:
        raise NotImplementedError
