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
from autograd_mini.expressions.notation import (
    DERIVATIVE,
    INDICES,
    NO_DERIVATIVE,
    Entry,
    ExpressionError,
    Norm,
    Power,
    Product,
    Reader,
    Sum,
    Transpose,
    is_printed,
)
from autograd_mini.expressions.vocabulary import (
    CONSTANTS,
    REDUCTIONS,
    OpenError,
    Operands,
    array_of,
    beside,
    functions,
    matmul,
    no_function,
    power,
    whole,
)
from autograd_mini.rules import DomainError, as_number
from autograd_mini.tracing import Traced
from autograd_mini.value import TraceError, Value

LENGTH = 4000  # characters
DEPTH = 40  # brackets in brackets, and operations in operations beside sums and products in a row

Function = Callable[[Operands], Any]


class AmbiguousError(ExpressionError):
    """A formula of which it is open what it means for operands of these names and shapes."""


# --- before Python's parser -------------------------------------------------------------------------

TOO_MUCH = (  # how often a pattern must not be found
    (r"\d[\w.]{100}", 1, "a number has more than 100 digits"),
    (r"(?:[-+]\s*){20}", 1, "more than 20 signs in a row"),
    (r"\*\*", 31, "more than 30 powers"),
    (r"\bif\b", 31, "more than 30 conditions"),
)


def on_one_line(text: str) -> str:
    return re.sub(r"\s", " ", text)


def _scan(line: str) -> None:
    """ExpressionError for all that could take Python's parser long, deep or elsewhere."""
    if not line.strip():
        raise ExpressionError("the formula is empty")
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
            hint = ": conditions are multiplied: (x > 0) * (x < 1)" * (character == "&")
            raise ExpressionError(f"{character!r} has no meaning in a formula{hint}", line, column)
    if open_brackets:
        raise ExpressionError(f"{line[open_brackets[-1]]} is never closed", line, open_brackets[-1])
    for pattern, count, message in TOO_MUCH:
        places = [found.start() for found in re.finditer(pattern, line)]
        if len(places) >= count:
            raise ExpressionError(message, line, places[count - 1])
    for word in re.finditer(r"[^\W\d]\w*", line):
        if keyword.iskeyword(word[0]) and word[0] not in ("if", "else"):
            raise ExpressionError(f"{word[0]!r} is not part of a formula", line, word.start())


def parsed(text: Any) -> tuple[ast.expr, tuple[str, ...] | None]:
    """The tree of a formula, and the indices of its left side, if it is an equation such as ∂S_i/∂z_j = ….

    Whatever Python's parser has to say becomes ExpressionError.
    """
    if not isinstance(text, str):
        raise ExpressionError(f"a formula is text, got {type(text).__name__}")
    line = on_one_line(text)
    if len(line) > LENGTH:
        raise ExpressionError(f"a formula has at most {LENGTH} characters, got {len(line)}", line, LENGTH)
    if is_printed(line):
        reader = Reader(line)
        try:
            return reader.read(), reader.axes
        except RecursionError:
            raise ExpressionError(f"brackets are nested more than {DEPTH} deep", line) from None
    if (equals := _equals_of(line)) >= 0:
        if not re.search(DERIVATIVE, line[:equals]):
            raise ExpressionError(NO_DERIVATIVE, line, equals)
        line = " " * (equals + 1) + line[equals + 1 :]
    _scan(line)
    indent = len(line) - len(line.lstrip())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tree = ast.parse(line.lstrip(), mode="eval").body
    except SyntaxError as error:
        message = error.msg.partition(". ")[0].replace("'eval'", "formula")
        if re.search(r"[^=<>!]=[^=]", line):
            message = "it is what stands at the right of ="
        column = min(max((error.offset or 1) - 1, 0) + indent, len(line))
        raise ExpressionError(f"this is no formula: {message}", line, column) from None
    except (Warning, ValueError, MemoryError, RecursionError) as error:
        raise ExpressionError(f"this is no formula: {error or type(error).__name__}", line) from None
    for node in ast.walk(tree):
        if hasattr(node, "col_offset"):  # which counts bytes
            node.col_offset = indent + len(line.lstrip().encode()[: node.col_offset].decode())
    return tree, None


def _equals_of(line: str) -> int:
    """Where the sign of an equation stands, which is in no bracket; −1 if there is none."""
    places = [found.start() for found in re.finditer(r"(?<![<>=!])=(?!=)", line)]
    outside = (k for k in places if sum(map(line[:k].count, "([")) == sum(map(line[:k].count, ")]")))
    return next(outside, -1)


# --- the grammar ------------------------------------------------------------------------------------


class Compiler(ast.NodeVisitor):
    """Makes each node a function of the operands; a node without a method here is refused.

    ``columns`` has then the names of operands with their first places, ``limits`` the names in the upper
    limits of sums, which may be without a value.
    """

    def __init__(self, line: str) -> None:
        self.line = line
        self.depth = 0
        self.known = functions()
        self.columns: dict[str, int] = {}
        self.limits: set[str] = set()
        self.bound: frozenset[str] = frozenset()  # the indices of the sums around

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
        except OpenError as error:
            raise AmbiguousError(str(error), self.line, getattr(node, "col_offset", 0)) from None
        except (ArithmeticError, IndexError, MemoryError, TypeError, ValueError) as error:
            self.refuse(node, str(error) or type(error).__name__)

    def generic_visit(self, node: ast.AST) -> NoReturn:
        self.refuse(node, f"a formula has no {type(node).__name__}")

    def visit_Attribute(self, node: ast.Attribute) -> Function:
        if node.attr != "T":
            self.refuse(node, f"a formula has no attributes such as .{node.attr}")
        return self.visit_Transpose(node)

    def visit_Transpose(self, node: Transpose | ast.Attribute) -> Function:
        array = self.function(node.operand if isinstance(node, Transpose) else node.value)
        return lambda operands: self.at(node, np.transpose, array(operands))

    def visit_Product(self, node: Product) -> Function:
        """Factors side by side; a vector is a column, and a row where it is transposed."""
        parts = [(part, self.function(part)) for part in node.factors]

        def compute(operands: Operands) -> Any:
            result, row = parts[0][1](operands), _is_row(parts[0][0])
            for part, factor in parts[1:]:
                result, row = self.at(part, beside, operands, result, row, factor(operands), _is_row(part))
            return result

        return compute

    def visit_Norm(self, node: Norm) -> Function:
        operand = self.function(node.operand)

        def norm(operands: Operands) -> Any:
            x = operand(operands)
            square = operands.apply(rules.mul, x, x)
            total = np.sum(square) if np.ndim(square) else square
            return total if node.squared else operands.apply(rules.sqrt, total)

        return lambda operands: self.at(node, norm, operands)

    def visit_Sum(self, node: Sum) -> Function:
        """The terms for every index of the axes that it runs along, which must have one length.

        Printed limits have to name the whole axis, from 0 or 1; a name without a value stands for its length.
        """
        outside, self.bound = self.bound, self.bound | {node.index}
        body, limit = self.function(node.body), Compiler(self.line)
        last = node.last and limit.function(node.last)
        self.limits |= {*limit.columns}
        first = 1.0 if node.first is None else node.first
        arrays = [
            (self.function(part.value), axis)
            for part in ast.walk(node.body)
            if isinstance(part, ast.Subscript)
            for axis, key in enumerate(getattr(part.slice, "elts", [part.slice]))
            if isinstance(key, ast.Name) and key.id == node.index
        ]
        self.bound = outside

        def add(operands: Operands) -> Any:
            if not arrays:
                raise ValueError(f"how far {node.index} goes is open: it is no index in the sum")
            within = [operands.at({node.index: 0.0}) for _ in arrays]
            sizes = {np.shape(array(o))[axis] for (array, axis), o in zip(arrays, within, strict=True)}
            if len(sizes) > 1:
                raise ValueError(f"{node.index} goes along axes of lengths {sorted(sizes)}")
            count = sizes.pop()
            named = {
                name: float(operands.lengths.setdefault(name, count))
                for name in limit.columns
                if name not in INDICES[:4] and name not in operands.names
            }
            end = last and as_number(last(operands.rounded().at(named)))
            if first not in (0, 1) or end not in (None, count - 1 + first):
                known = "".join(f" with {name} = {named[name]:g}" for name in named)
                raise AmbiguousError(
                    f"{node.index} goes along an axis of length {count}{known}: its limits are 1 and "
                    f"{count}, or 0 and {count - 1}; along a part of it, write [1:] behind the array",
                    self.line,
                    node.col_offset,
                )
            terms = [body(operands.at({node.index: float(k)})) for k in range(count)]
            return reduce(lambda x, y: operands.apply(rules.add, x, y), terms, *([0.0] * (not terms)))

        return lambda operands: self.at(node, add, operands)

    def visit_Constant(self, node: ast.Constant) -> Function:
        constant: Any = node.value
        try:
            number = float(constant) if type(constant) in (int, float) else math.inf
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            self.refuse(node, "a constant must be a real number that a float can hold")
        return lambda operands: number

    def visit_Name(self, node: ast.Name) -> Function:
        if node.id not in self.bound:
            self.columns[node.id] = min(node.col_offset, self.columns.get(node.id, LENGTH))

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
        steps = [
            (
                step.left if isinstance(step, Power) else step.right,
                self.operator(step),
                self.function(step.right),
            )
            for step in reversed(spine)
        ]

        def compute(operands: Operands) -> Any:
            result = first(operands)
            for place, operator, right in steps:
                result = self.at(place, operator, operands, result, right(operands))
            return result

        return compute

    def operator(self, node: ast.BinOp) -> Callable[..., Any]:
        if isinstance(node.op, ast.MatMult):
            return matmul
        if isinstance(node, Power):
            return power
        if type(node.op) not in formulas.OPERATORS:
            self.refuse(node.right, "the operators are + - * / ** and @")
        row = rules.table[formulas.OPERATORS[type(node.op)]]
        return lambda operands, x, y: operands.apply(row, x, y)

    visit_Power = visit_BinOp  # noqa: N815  # the name that ast calls

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

    def visit_Tuple(self, node: ast.List | ast.Tuple) -> Function:
        entries = [self.function(entry) for entry in node.elts]
        return lambda operands: self.at(
            node, array_of, operands, (entry(operands) for entry in entries), len(entries)
        )

    visit_List = visit_Tuple  # noqa: N815  # the name that ast calls

    def visit_Subscript(self, node: ast.Subscript) -> Function:
        array = self.function(node.value)
        index = [self.index(part) for part in getattr(node.slice, "elts", [node.slice])]

        def pick(operands: Operands) -> Any:
            places = [part(operands) for part in index]
            if isinstance(node, Entry) and any(isinstance(place, int) and place < 0 for place in places):
                raise IndexError(f"the index {min(places)} lies before the first, which is 0")
            entries = array(operands)
            if not isinstance(entries, np.ndarray):
                raise TypeError("a number has no entries to pick")
            return entries[tuple(places)]

        return lambda operands: self.at(node, pick, operands)

    visit_Entry = visit_Subscript  # noqa: N815  # the name that ast calls

    def index(self, node: ast.expr) -> Function:
        if isinstance(node, ast.Slice):
            bounds = [part and self.index(part) for part in (node.lower, node.upper, node.step)]
            return lambda operands: slice(*(bound and bound(operands) for bound in bounds))
        number = self.function(node)
        return lambda operands: self.at(node, whole, number(operands.rounded()))

    def visit_Call(self, node: ast.Call) -> Function:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) in ("np", "numpy", "math"):
            name = node.func.attr
        if isinstance(node.func, ast.Attribute) and not name and node.func.attr in self.known:
            self.refuse(
                node, f"a function is written around: {node.func.attr}({ast.unparse(node.func.value)})"
            )
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


def _is_row(node: ast.expr) -> bool:
    while isinstance(node, Product):
        node = node.factors[-1]
    return isinstance(node, Transpose)


def _is_constant(node: ast.expr) -> bool:
    return not any(
        isinstance(part, (ast.Name, ast.Subscript, ast.List, ast.Tuple)) for part in ast.walk(node)
    )


COMPARISONS: dict[type, Callable[..., Any]] = {
    ast.Lt: lambda apply, x, y: apply(rules.less, x, y),
    ast.LtE: lambda apply, x, y: apply(rules.less_equal, x, y),
    ast.Gt: lambda apply, x, y: apply(rules.less, y, x),
    ast.GtE: lambda apply, x, y: apply(rules.less_equal, y, x),
    ast.Eq: lambda apply, x, y: apply(rules.equal, x, y),
    ast.NotEq: lambda apply, x, y: apply(rules.where, apply(rules.equal, x, y), 0.0, 1.0),
}
