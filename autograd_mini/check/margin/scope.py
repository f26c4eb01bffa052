"""What was in scope where a statement ran: names, expressions that can be read again, and their shapes."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Shape: TypeAlias = "tuple[int, ...]"


class Thing(NamedTuple):
    """What a name or an expression was: "float", "int" (its ``number``), "index" (an array of these), "mask",
    "bool", "list" or "dict"; and its shape. A ``leaf`` is a name, an attribute or an item, an ``alias`` one
    of several, a ``zero`` an array of zeros."""

    kind: str
    shape: Shape = ()
    number: int = 0
    leaf: bool = True
    alias: bool = False
    zero: bool = False


Scope: TypeAlias = "Mapping[str, Thing]"


def thing_of(x: Any, leaf: bool = True) -> Thing | None:
    """What a value is to an edit, None if it is no number and no array of them."""
    if isinstance(x, (bool, np.bool_)):
        return Thing("bool", leaf=leaf)
    if isinstance(x, (int, np.integer)):
        return Thing("int", (), int(x), leaf)
    if isinstance(x, (float, np.floating)):
        return Thing("float", leaf=leaf)
    kinds = {"f": "float", "i": "index", "u": "index", "b": "mask"}
    if isinstance(x, np.ndarray) and x.dtype.kind in kinds:
        return Thing(kinds[x.dtype.kind], x.shape, 0, leaf, zero=not x.any())
    return Thing(type(x).__name__, (len(x),), 0, leaf) if type(x) in (list, dict) else None


# --- what can be read without harm ------------------------------------------------------------------

METHODS = {
    "sum", "mean", "max", "min", "dot", "T", "transpose", "reshape", "ravel", "flatten", "copy", "astype",
    "swapaxes", "argmax", "repeat", "squeeze",
}  # fmt: skip
FUNCTIONS = {"len", "range", "float", "int", "abs", "sigmoid", "tanh", "relu", "softmax"}
UNSAFE = (
    ast.Lambda, ast.ListComp, ast.GeneratorExp, ast.DictComp, ast.SetComp, ast.Await, ast.NamedExpr,
    ast.Yield, ast.YieldFrom, ast.JoinedStr, ast.Starred,
)  # fmt: skip
IN_AN_INDEX = (
    ast.Name, ast.Constant, ast.Attribute, ast.Subscript, ast.BinOp, ast.UnaryOp, ast.Tuple, ast.Slice,
    ast.operator, ast.unaryop, ast.expr_context,
)  # fmt: skip


def is_leaf(node: ast.AST) -> bool:
    """Whether it is a name, an attribute or an item."""
    if isinstance(node, ast.Attribute):
        return is_leaf(node.value) and node.attr != "T"
    if isinstance(node, ast.Subscript):
        return is_leaf(node.value) and all(isinstance(part, IN_AN_INDEX) for part in ast.walk(node.slice))
    return isinstance(node, ast.Name)


def is_safe(node: ast.AST) -> bool:
    """Whether it can be evaluated again, as it calls nothing that changes anything."""
    return all(
        _is_harmless(part.func) if isinstance(part, ast.Call) else not isinstance(part, UNSAFE)
        for part in ast.walk(node)
    )


def _is_harmless(function: ast.expr) -> bool:
    match function:
        case ast.Name(name):
            return name in FUNCTIONS
        case ast.Attribute(ast.Name("np" | "numpy"), name):
            return name not in ("random", "copyto", "put", "place", "fill_diagonal", "putmask")
        case ast.Attribute(_, name):
            return name in METHODS
    return False


# --- lengths and shapes ---------------------------------------------------------------------------------


def sizes_in(leaves: Mapping[str, Thing]) -> list[str]:
    """Names for the numbers that a mean could have been taken over, one for each."""
    found: dict[int, str] = {}
    for text, x in leaves.items():
        if x.kind == "int" and x.number > 1 and re.fullmatch(r"[\w.]+", text):
            found.setdefault(x.number, text)
    for text, x in leaves.items():
        for axis, size in enumerate(x.shape):
            if size > 1:
                found.setdefault(size, f"{text}.shape[{axis}]")
    return [*found.values()]


def goes_into(shape: Shape, whole: Shape) -> bool:
    """Whether an array broadcasts to a shape."""
    try:
        return np.broadcast_shapes(shape, whole) == whole
    except ValueError:
        return False


def go_together(a: Shape, b: Shape) -> bool:
    try:
        np.broadcast_shapes(a, b)
    except ValueError:
        return False
    return bool(a and b)
