"""Slips of the pen: a formula as text that one small change makes right.

Every sign, operation, function, number and index of the formula is changed in turn; what then agrees with
the truth at every point tells the person which place of their own formula to look at.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice, repeat
from typing import Any, TypeGuard

import numpy as np

from autograd_mini.check.diagnosis.evidence import Explanation, Point
from autograd_mini.check.subjects.arguments import RejectedError
from autograd_mini.check.subjects.hand import Formula
from autograd_mini.expressions.notation import is_printed

POINTS = 3  # at least, as one number is met by chance
CHANGES = 300
TAKEN_FOR = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}
CONFUSED = (
    ("sin", "cos"), ("sinh", "cosh"), ("tanh", "sigmoid"), ("exp", "log"), ("log", "log10", "log2"),
    ("square", "sqrt"), ("sum", "mean"), ("max", "min"), ("asin", "acos"), ("softmax", "sigmoid"),
)  # fmt: skip


def slips(
    formula: Formula, name: str, points: Sequence[Point], known: Sequence[Mapping[str, Any]], title: str
) -> list[Explanation]:
    """The one change that makes the formula for ∂f/∂name right, the shortest if there are several.

    ``known`` are the numbers that the formula may ask for at each of the points, ``title`` is what it is
    of, such as ∂f/∂x.
    """
    if len(points) < POINTS:
        return []

    def is_right(changed: Formula, point: Point, names: Mapping[str, Any]) -> bool:
        truth = point.truth[name]
        try:
            numbers = np.asarray(changed(names, truth.shape), dtype=float)
        except (ArithmeticError, RejectedError, TypeError, ValueError):
            return False
        close = abs(numbers - truth) <= point.slack[name] if numbers.shape == truth.shape else False
        return bool(np.all(close))

    found = [
        (place, instead, text)
        for place, instead, text in islice(_changes(formula.expression.text), CHANGES)
        if (changed := _formula(text, formula)) and all(map(is_right, repeat(changed), points, known))
    ]
    if not found:
        return []
    place, instead, text = min(found, key=lambda change: len(change[0]) + len(change[1]))
    return [Explanation("slip", f"yours is right with {instead} in place of {place}", f"{title} = {text}")]


def _formula(text: str, like: Formula) -> Formula | None:
    try:
        return Formula(text, like.complete)
    except ValueError:
        return None


def _changes(text: str) -> Iterator[tuple[str, str, str]]:
    """A part of the formula, what takes its place, and the whole formula after that."""
    if is_printed(text):  # in which there is no tree to change
        return
    tree = ast.parse(" ".join(text.split()), mode="eval")
    names = sorted({node.id for node in ast.walk(tree) if isinstance(node, ast.Name)})
    for node, put in list(_places(tree)):
        for instead in _instead_of(node, names):
            put(instead)
            changed = ast.unparse(tree)
            put(node)
            yield ast.unparse(node), ast.unparse(instead), changed


def _places(tree: ast.AST) -> Iterator[tuple[ast.expr, Callable[[ast.expr], None]]]:
    """Every part of a formula but the names of functions, and how another is put in its place."""
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if isinstance(value, list):
                yield from ((x, partial(value.__setitem__, k)) for k, x in enumerate(value) if _is_part(x))
            elif _is_part(value) and field != "func":
                yield value, partial(setattr, parent, field)


def _is_part(x: Any) -> TypeGuard[ast.expr]:
    return isinstance(x, ast.expr)


def _instead_of(node: ast.expr, names: list[str]) -> Iterator[ast.expr]:
    """What a person might have meant in the place of a part of a formula."""
    if isinstance(node, ast.BinOp):
        if meant := TAKEN_FOR.get(type(node.op)):
            yield ast.BinOp(node.left, meant(), node.right)
        if not isinstance(node.op, (ast.Add, ast.Mult)):
            yield ast.BinOp(node.right, node.op, node.left)
        if not isinstance(node.op, ast.MatMult):
            yield node.left
        if isinstance(node.op, (ast.Add, ast.Sub, ast.Mult)):
            yield node.right
        if isinstance(node.op, (ast.Add, ast.Sub)):
            yield ast.BinOp(_negative(node.left), node.op, node.right)
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        for number in (node.value + 1, node.value - 1, 2 * node.value, node.value / 2):
            yield ast.Constant(number)
    elif isinstance(node, ast.Name):
        yield from (ast.Name(other) for other in names if other != node.id)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        for alike in CONFUSED:
            if node.func.id in alike:
                yield from (
                    ast.Call(ast.Name(x), node.args, node.keywords) for x in alike if x != node.func.id
                )
        if len(node.args) == 2:
            yield ast.Call(node.func, node.args[::-1], node.keywords)
        if len(node.args) == 1:
            yield ast.Call(node.func, [_negative(node.args[0])], node.keywords)
    if isinstance(node, (ast.Call, ast.Name, ast.Subscript)):
        yield ast.BinOp(node, ast.Pow(), ast.Constant(2))


def _negative(node: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.USub(), node)
