"""The language of formulas: Python expressions of numbers, operands, ``pi``, arithmetic, choices and calls.

A formula is parsed by `ast` and changed as a tree: adjoint times partial, Python for floats, NumPy for
arrays, calls of rows for a graph of nodes. The derivative table, above, binds the names of rows.
"""

from __future__ import annotations

import ast
import builtins
import math
from collections.abc import Callable
from functools import cache
from typing import Any, cast

import numpy as np

from autograd_mini import special


def expression(text: str) -> ast.expr:
    """The parsed formula; ValueError if it is no expression."""
    if not isinstance(text, str):
        raise ValueError(f"formula {text!r} must be written as text")
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"formula {text!r} is not an expression: {error.msg}") from None


@cache
def names_in(text: str) -> frozenset[str]:
    """The names that occur in a formula."""
    return frozenset(node.id for node in ast.walk(expression(text)) if isinstance(node, ast.Name))


def can_raise(formula: ast.expr) -> bool:
    """Whether a float evaluation of the formula can raise: it divides, calls or takes a power."""
    return any(isinstance(node, (ast.Div, ast.Pow, ast.Call)) for node in ast.walk(formula))


def times(adjoint: str, partial: ast.expr, cut: str = "0.0", zero: str = "0.0") -> ast.expr:
    """``adjoint * partial``, the product drawn into conditionals so that an excluded branch is 0, not 0·∞.

    ``cut`` is what stands for the product over an edge that is cut, ``zero`` for one by a plain 0.

    >>> ast.unparse(times("g", expression("cut if x < 0 else 0 if x == 0 else 1")))
    '0.0 if x <= 0 else g'
    """
    if isinstance(partial, ast.IfExp):
        body, orelse = (times(adjoint, branch, cut, zero) for branch in (partial.body, partial.orelse))
        return _joined(ast.IfExp(partial.test, body, orelse))
    match ast.unparse(partial):
        case "cut":
            return expression(cut)
        case "0":
            return expression(zero)
        case "1":
            return expression(adjoint)
        case "-1":
            return expression(f"-{adjoint}")
    match partial:
        case ast.BinOp(ast.Constant(1), ast.Div(), denominator):  # one rounding fewer
            return ast.BinOp(expression(adjoint), ast.Div(), denominator)
    return ast.BinOp(expression(adjoint), ast.Mult(), partial)


def _joined(choice: ast.IfExp) -> ast.IfExp:
    """``a if x < y else a if x == y else b`` by one comparison."""
    match choice:
        case ast.IfExp(ast.Compare(x, [ast.Lt()], [y]), a, ast.IfExp(ast.Compare(v, [ast.Eq()], [w]), b, c)):
            if list(map(ast.unparse, (x, y, a))) == list(map(ast.unparse, (v, w, b))):
                return ast.IfExp(ast.Compare(x, [ast.LtE()], [y]), a, c)
    return choice


def opening(partial: ast.expr) -> ast.expr:
    """1 where the edge with that partial is open, 0 where it is cut.

    >>> ast.unparse(opening(expression("cut if x < 0 else 0 if x == 0 else 1")))
    '0 if x < 0 else 1'
    """
    if isinstance(partial, ast.IfExp):
        body, orelse = opening(partial.body), opening(partial.orelse)
        if ast.unparse(body) != ast.unparse(orelse):
            return ast.IfExp(partial.test, body, orelse)
        return body
    return ast.Constant(0 if ast.unparse(partial) == "cut" else 1)


class Substitute(ast.NodeTransformer):
    """Names replaced by expressions."""

    def __init__(self, replacements: dict[str, str]) -> None:
        self.replacements = replacements

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return expression(self.replacements[node.id]) if node.id in self.replacements else node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        return ast.Call(node.func, [self.visit(argument) for argument in node.args], [])


class ForFloats(ast.NodeTransformer):
    """Python's own expression, except that a power is `math.pow` and constants are computed once."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.op, ast.Pow):
            return ast.Call(ast.Name("pow"), [node.left, node.right], [])
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if all(isinstance(argument, ast.Constant) for argument in node.args):
            return ast.Constant(eval(ast.unparse(node), dict(FLOATS)))
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(math.pi) if node.id == "pi" else node

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return node if node.value is None else ast.Constant(float(ast.literal_eval(node)))


class Elementwise(ast.NodeTransformer):
    """The functional form: conditionals and ``and`` become ``where``, comparisons ``less``, ``equal``, …"""

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        self.generic_visit(node)
        return ast.Call(ast.Name("where"), [node.test, node.body, node.orelse], [])

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        first, *others = reversed(node.values)
        for condition in others:
            first = ast.Call(ast.Name("where"), [condition, first, ast.Constant(0)], [])
        return first

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        left, right = node.left, node.comparators[0]
        if isinstance(node.ops[0], (ast.Gt, ast.GtE)):
            left, right = right, left
        name = {ast.Eq: "equal", ast.Lt: "less", ast.Gt: "less"}.get(type(node.ops[0]), "less_equal")
        return ast.Call(ast.Name(name), [left, right], [])


class _Functional(Elementwise):
    """The formula as rows applied to rows: ``x + y`` becomes ``add(x, y)``."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        return ast.Call(ast.Name(OPERATORS[type(node.op)]), [node.left, node.right], [])

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        self.generic_visit(node)
        return (
            node.operand if isinstance(node.op, ast.UAdd) else ast.Call(ast.Name("neg"), [node.operand], [])
        )


OPERATORS: dict[type, str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.Pow: "pow"
}  # fmt: skip


def functional(formula: ast.expr) -> ast.expr:
    """The formula as calls of rows on operands, numbers and ``pi``: what a graph of nodes is made from."""
    return cast(ast.expr, _Functional().visit(formula))


def apply(
    formula: ast.expr, names: dict[str, Any], call: Callable[..., Any], number: Callable[[float], Any]
) -> Any:
    """The formula as calls of rows, one after another; ``names`` are its operands.

    All of it is computed, and a conditional picks: nothing raises, and no product with 0 stands for it.
    """

    def visit(node: ast.expr) -> Any:
        match node:
            case ast.Call(ast.Name(name), arguments):
                return call(name, [visit(argument) for argument in arguments])
            case ast.Name(name):
                return names[name] if name in names else number(math.pi)
        return number(float(ast.literal_eval(node)))

    return visit(functional(formula))


def define(name: str, source: str, namespace: dict[str, Any], **closure: Any) -> Callable[..., Any]:
    """The ``function`` that ``source`` defines over ``namespace``, the names in ``closure`` bound to it."""
    body = "".join(f"    {line}\n" for line in source.splitlines())
    maker = f"def make({', '.join(closure)}):\n{body}    return function\n"
    scope: dict[str, Any] = {}
    exec(compile(maker, f"<autograd_mini {name}>", "exec"), namespace, scope)
    function: Callable[..., Any] = scope["make"](**closure)
    function.__name__ = function.__qualname__ = name
    return function


# --- what the names in a formula mean, on floats and on arrays -----------------------------------------


def cube_root(x: float) -> float:
    """Cube root for Python 3.10, whose math has none: a power, then one Newton step."""
    if x == 0 or not math.isfinite(x):
        return x
    root = math.copysign(abs(x) ** (1 / 3), x)
    return root - (root - x / root / root) / 3


NATIVE: dict[str, Callable[..., float]] = {
    name: getattr(math, name)
    for name in (
        "exp expm1 log log2 log10 log1p sqrt sin cos tan asin acos atan atan2 sinh cosh tanh "
        "asinh acosh atanh erf erfc hypot pow fmod lgamma"
    ).split()
}
NATIVE |= {
    "abs": builtins.abs,
    "floor": lambda x: x // 1.0 if x - x == 0.0 else x,  # math's makes an int, and none of an infinity
    "exp2": getattr(math, "exp2", lambda x: math.pow(2.0, x)),
    "cbrt": getattr(math, "cbrt", cube_root),
}
FLOATS: dict[str, Any] = dict(NATIVE)  # both grow by the rows that formulas call
ARRAYS: dict[str, Any] = {
    **{
        name: getattr(np, name)
        for name in (
            "exp exp2 expm1 log log2 log10 log1p sqrt cbrt sin cos tan sinh cosh tanh hypot where "
            "less less_equal equal abs pi floor fmod"
        ).split()
    },
    **{name: getattr(np, "arc" + name[1:]) for name in "asin acos atan atan2 asinh acosh atanh".split()},
    "erf": special.erf,
    "erfc": special.erfc,
    "lgamma": special.lgamma,
}
