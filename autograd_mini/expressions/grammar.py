"""From the text of a formula to a function of its operands.

The text is first scanned for what Python's parser should never see, then parsed by `ast`; a node of the tree
becomes a function if `Compiler` has a method for it, and is refused otherwise.
"""

from __future__ import annotations

import ast
import itertools
import keyword
import math
import re
import warnings
from collections.abc import Callable
from functools import reduce
from typing import Any, NoReturn

import numpy as np

from autograd_mini import formulas, rules
from autograd_mini.expressions.vocabulary import (
    CONSTANTS,
    REDUCTIONS,
    Operands,
    array_of,
    entry,
    functions,
    matmul,
    no_function,
    whole,
)
from autograd_mini.rules import DomainError
from autograd_mini.tracing import Traced
from autograd_mini.value import TraceError, Value

LENGTH = 4000  # characters
DEPTH = 40  # brackets in brackets, and operations in operations beside sums and products in a row

Function = Callable[[Operands], Any]


class ExpressionError(ValueError):
    """A formula that cannot be read or evaluated; the message points at the column, which counts from 0."""

    def __init__(self, message: str, text: str = "", column: int = 0) -> None:
        super().__init__(message, text, column)
        self.message, self.text, self.column = message, text, column

    def __str__(self) -> str:
        start = max(0, self.column - 60) if len(self.text) > 100 else 0
        excerpt = self.text[start : start + 100]
        return f"{self.message}\n  {excerpt}\n  {' ' * (self.column - start)}^"


# --- before Python's parser -------------------------------------------------------------------------

INSTEAD = {
    "^": "a power is written x ** 2",
    "²": "a power is written x ** 2",
    "−": "a minus is written -",
    "·": "a product is written *",
    "×": "a product is written *",
    "&": "conditions are multiplied: (x > 0) * (x < 1)",
    "{": "use ( and )",
    "|": "an absolute value is written abs(x)",
}
LONG = (
    (r"\d[\w.]{100}", "a number has more than 100 digits"),
    (r"(?:[-+]\s*){20}", "more than 20 signs in a row"),
)
# A number before a letter, or two words; 1e-3 is a number, and if and else are no operands.
BESIDE = (
    r"(?<![\w.])\d+\.?\d*(?![eE][-+]?\d)(?=[^\W\d])(?!if|else)"
    r"|(?<!if)(?<!else)\b\s+(?=\w)(?!(?:if|else)\b)"
)
MANY = ((r"\*\*", "powers"), (r"\bif\b", "conditions"))


def on_one_line(text: str) -> str:
    return re.sub(r"\s", " ", text)


def _scan(line: str) -> None:
    """ExpressionError for all that could take Python's parser long, deep or elsewhere."""
    if len(line) > LENGTH:
        raise ExpressionError(f"a formula has at most {LENGTH} characters, got {len(line)}", line, LENGTH)
    if not line.strip():
        raise ExpressionError("the formula is empty", line)
    open_brackets: list[int] = []
    for column, character in enumerate(line):
        if character in "([":
            open_brackets.append(column)
            if len(open_brackets) > DEPTH:
                raise ExpressionError(f"brackets are nested more than {DEPTH} deep", line, column)
        elif character in ")]":
            if not open_brackets or line[open_brackets.pop()] + character not in ("()", "[]"):
                raise ExpressionError(f"nothing is open that {character} could close", line, column)
        elif not (character in " .,+-*/@<>=!:" or ("a" + character).isidentifier()):
            hint = f": {INSTEAD[character]}" if character in INSTEAD else ""
            raise ExpressionError(f"{character!r} has no meaning in a formula{hint}", line, column)
    if open_brackets:
        column = open_brackets[-1]
        raise ExpressionError(f"{line[column]} is never closed", line, column)
    for pattern, message in LONG:
        if found := re.search(pattern, line):
            raise ExpressionError(message, line, found.start())
    for pattern, what in MANY:
        if len(places := [found.start() for found in re.finditer(pattern, line)]) > 30:
            raise ExpressionError(f"more than 30 {what}", line, places[30])
    for word in re.finditer(r"[^\W\d]\w*", line):
        if keyword.iskeyword(word[0]) and word[0] not in ("if", "else"):
            raise ExpressionError(f"{word[0]!r} is not part of a formula", line, word.start())


def parsed(text: Any) -> ast.expr:
    """The tree of a formula; whatever Python's parser has to say becomes ExpressionError."""
    if not isinstance(text, str):
        raise ExpressionError(f"a formula is text, got {type(text).__name__}")
    line = on_one_line(text)
    _scan(line)
    indent = len(line) - len(line.lstrip())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tree = ast.parse(line.lstrip(), mode="eval").body
    except SyntaxError as error:
        message = error.msg.partition(". ")[0].replace("'eval'", "formula")
        column = min(max((error.offset or 1) - 1, 0) + indent, len(line))
        if found := re.search(BESIDE, line):
            message = "a product is written with *, and the argument of a function in brackets"
            column = found.end()
        raise ExpressionError(f"this is no formula: {message}", line, column) from None
    except (Warning, ValueError, MemoryError, RecursionError) as error:
        raise ExpressionError(f"this is no formula: {error or type(error).__name__}", line) from None
    for node in ast.walk(tree):
        if hasattr(node, "col_offset"):  # which counts bytes
            node.col_offset = indent + len(line.lstrip().encode()[: node.col_offset].decode())
    return tree


def names_in(tree: ast.expr) -> dict[str, int]:
    """The names that stand for operands in the order of the text, with the column of their first place."""
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node not in called]
    columns: dict[str, int] = {}
    for name in sorted(names, key=lambda name: name.col_offset):
        columns.setdefault(name.id, name.col_offset)
    return columns


# --- the grammar ------------------------------------------------------------------------------------


class Compiler(ast.NodeVisitor):
    """Makes each node a function of the operands; a node without a method here is refused."""

    def __init__(self, line: str) -> None:
        self.line = line
        self.depth = 0
        self.known = functions()

    def compile(self, tree: ast.expr) -> Function:
        function = self.function(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and _is_constant(node):
                try:
                    self.function(node)(Operands({}))
                except OverflowError:
                    self.refuse(node, "the number is too large for a float")
                except DomainError:
                    pass  # that is said when the formula is evaluated
        return function

    def function(self, node: ast.expr) -> Function:
        self.depth += 1
        if self.depth > DEPTH:
            self.refuse(node, f"operations are nested more than {DEPTH} deep")
        function: Function = self.visit(node)
        self.depth -= 1
        return function

    def refuse(self, node: ast.AST, message: str) -> NoReturn:
        raise ExpressionError(message, self.line, getattr(node, "col_offset", 0))

    def at(self, node: ast.expr, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """The function's result; what fails is said of the node, but errors of a row's domain pass."""
        try:
            return function(*arguments, **options)
        except (DomainError, TraceError, ExpressionError):
            raise
        except (ArithmeticError, IndexError, MemoryError, TypeError, ValueError) as error:
            self.refuse(node, str(error) or type(error).__name__)

    def generic_visit(self, node: ast.AST) -> NoReturn:
        self.refuse(node, f"a formula has no {type(node).__name__}")

    def visit_Attribute(self, node: ast.Attribute) -> NoReturn:
        instead = "; the transpose of W is transpose(W)" if node.attr == "T" else ""
        self.refuse(node, f"a formula has no attributes such as .{node.attr}{instead}")

    def visit_Constant(self, node: ast.Constant) -> Function:
        number = _finite(node.value)
        if number is None:
            self.refuse(node, "a constant must be a real number that a float can hold")
        return lambda operands: number

    def visit_Name(self, node: ast.Name) -> Function:
        def look_up(operands: Operands) -> Any:
            if node.id in operands.names:
                return operands.names[node.id]
            if node.id in CONSTANTS:
                return CONSTANTS[node.id](operands)
            self.refuse(node, f"a constant is wanted here, got the name {node.id}")

        return look_up

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Function:
        operand = self.function(node.operand)
        if isinstance(node.op, ast.UAdd):
            return operand
        return lambda operands: self.at(node, operands.apply, rules.neg, operand(operands))

    def visit_BinOp(self, node: ast.BinOp) -> Function:
        """``a + b - c`` is ``(a + b) - c``: a loop over the left operands, however many there are."""
        spine = [node]
        while isinstance(spine[-1].left, ast.BinOp):
            spine.append(spine[-1].left)
        first = self.function(spine[-1].left)
        steps = [(step.right, self.operator(step), self.function(step.right)) for step in reversed(spine)]

        def compute(operands: Operands) -> Any:
            result = first(operands)
            for place, operator, right in steps:
                result = self.at(place, operator, operands, result, right(operands))
            return result

        return compute

    def operator(self, node: ast.BinOp) -> Callable[..., Any]:
        if isinstance(node.op, ast.MatMult):
            return matmul
        if type(node.op) not in formulas.OPERATORS:
            self.refuse(node.right, "the operators are + - * / ** and @")
        row = rules.table[formulas.OPERATORS[type(node.op)]]
        return lambda operands, x, y: operands.apply(row, x, y)

    def visit_Compare(self, node: ast.Compare) -> Function:
        """``a < b < c`` holds where both comparisons do."""
        sides = [self.function(side) for side in (node.left, *node.comparators)]
        tests = [COMPARISONS[type(op)] for op in node.ops]

        def compare(operands: Operands) -> Any:
            pairs = itertools.pairwise([side(operands) for side in sides])
            held = [
                self.at(node, test, operands.apply, x, y) for test, (x, y) in zip(tests, pairs, strict=True)
            ]
            return reduce(lambda p, q: self.at(node, operands.apply, rules.where, p, q, 0.0), held)

        return compare

    def visit_IfExp(self, node: ast.IfExp) -> Function:
        """A number decides at once; a Value makes a node of both branches that have a value here."""
        test, body, orelse = map(self.function, (node.test, node.body, node.orelse))

        def choose(operands: Operands) -> Any:
            condition = test(operands)
            if isinstance(condition, (np.ndarray, Traced)):
                branches = body(operands), orelse(operands)
                return self.at(node, operands.apply, rules.where, condition, *branches)
            if not isinstance(condition, Value):
                return (body if condition else orelse)(operands)
            taken = (body if condition.data else orelse)(operands)
            try:
                other = (orelse if condition.data else body)(operands)
            except DomainError:
                return taken
            branches = (taken, other) if condition.data else (other, taken)
            return self.at(node, operands.apply, rules.where, condition, *branches)

        return choose

    def visit_List(self, node: ast.List | ast.Tuple) -> Function:
        entries = [self.function(entry) for entry in node.elts]
        return lambda operands: self.at(
            node, array_of, operands, (entry(operands) for entry in entries), len(entries)
        )

    def visit_Tuple(self, node: ast.Tuple) -> Function:
        return self.visit_List(node)

    def visit_Subscript(self, node: ast.Subscript) -> Function:
        array = self.function(node.value)
        index = [self.index(part) for part in getattr(node.slice, "elts", [node.slice])]
        return lambda operands: self.at(node, entry, array(operands), [part(operands) for part in index])

    def index(self, node: ast.expr) -> Function:
        if isinstance(node, ast.Slice):
            bounds = [part and self.index(part) for part in (node.lower, node.upper, node.step)]
            return lambda operands: slice(*(bound and bound(operands) for bound in bounds))
        number = self.function(node)
        return lambda operands: self.at(node, whole, number(operands.rounded()))

    def visit_Call(self, node: ast.Call) -> Function:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name not in self.known:
            self.refuse(node, no_function(name, self.known))
        call, least, most = self.known[name]
        options = {str(option.arg): self.axis(name, option) for option in node.keywords}
        if not least <= len(node.args) <= most:
            wanted = f"{least} or more arguments" if most > least else f"{least} argument{'s' * (least > 1)}"
            self.refuse(node, f"{name} takes {wanted}, got {len(node.args)}")
        arguments = [self.function(argument) for argument in node.args]
        return lambda operands: self.at(
            node, call, operands, *[argument(operands) for argument in arguments], **options
        )

    def axis(self, name: str, option: ast.keyword) -> Any:
        if option.arg != "axis" or name not in REDUCTIONS:
            self.refuse(option.value, f"{name} takes no argument named {option.arg or '**'}")
        return self.at(option.value, whole, self.function(option.value)(Operands({})))


def _is_constant(node: ast.expr) -> bool:
    return not any(
        isinstance(part, (ast.Name, ast.Subscript, ast.List, ast.Tuple)) for part in ast.walk(node)
    )


def _finite(constant: Any) -> float | None:
    """A constant as a float, None if it is not a real number or too large."""
    try:
        number = float(constant) if type(constant) in (int, float) else math.inf
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


COMPARISONS: dict[type, Callable[..., Any]] = {
    ast.Lt: lambda apply, x, y: apply(rules.less, x, y),
    ast.LtE: lambda apply, x, y: apply(rules.less_equal, x, y),
    ast.Gt: lambda apply, x, y: apply(rules.less, y, x),
    ast.GtE: lambda apply, x, y: apply(rules.less_equal, y, x),
    ast.Eq: lambda apply, x, y: apply(rules.equal, x, y),
    ast.NotEq: lambda apply, x, y: apply(rules.where, apply(rules.equal, x, y), 0.0, 1.0),
}
