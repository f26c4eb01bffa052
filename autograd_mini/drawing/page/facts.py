"""What the page knows of a graph: its nodes and edges, their rows of the table, and how to compute them.

The program gives every node's value and, for every edge, the local partial and the term adjoint × partial
that the reverse sweep adds to the operand's gradient. A gradient is the sum of its terms so far, so that
the page can stop the sweep anywhere.
"""

from __future__ import annotations

import ast
import contextlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from autograd_mini import formulas
from autograd_mini.arrays import values
from autograd_mini.labels import split_label
from autograd_mini.program import Program
from autograd_mini.rules import Primitive
from autograd_mini.tracing import CUT, constant_node, is_pi
from autograd_mini.transforms import Edge, adjoint_graph, products_of
from autograd_mini.value import Value, constant, topological_order


def facts(nodes: Sequence[Value], roots: Sequence[Value]) -> dict[str, Any]:
    """Nodes, edges and rows as JSON has them; nodes go by their position in topological order.

    The edges are those below the roots: along others, such as a gradient graph's, no gradient flows.

    >>> x = Value(3.0, label="x")
    >>> y = x * x
    >>> known = facts([x, y], [y])
    >>> known["leaves"], known["roots"], known["edges"]
    ([0], [1], [[0, 1, 0], [0, 1, 1]])
    """
    place = {node: i for i, node in enumerate(nodes)}
    names = _names(nodes, roots, place)
    rows = {node.op.name: node.op for node in nodes if isinstance(node.op, Primitive)}
    return {
        "name": names[place[roots[0]]] if len(roots) == 1 else "root",
        "roots": [place[root] for root in roots],
        "leaves": [place[leaf] for leaf in _leaves(nodes)],
        "saved": [_number(leaf.data) for leaf in _leaves(nodes)],
        "nodes": [_node(node, name, place) for node, name in zip(nodes, names, strict=True)],
        "edges": [[place[operand], place[node], i] for operand, node, i in _edges(roots)],
        "rows": {name: _row(row) for name, row in rows.items()},
    }


def program(nodes: Sequence[Value], roots: Sequence[Value]) -> str:
    """JavaScript: ``program(leaves)`` gives values, partials and terms, ``domains[row](operands)`` a bool,
    and ``branches[row][operand]([...operands, z])`` the branch of a partial that has conditions, as text.

    Raises TypeError for a node made by hand.
    """
    leaves = _leaves(nodes)
    partials, terms = _sweep(roots)
    results = {"values": list(nodes), "partials": partials, "terms": terms}
    source = Program.from_graph(results, {"leaves": values(leaves)}).source(language="javascript")
    rows = {node.op.name: node.op for node in nodes if isinstance(node.op, Primitive)}
    conditions = {name: condition(row) for name, row in rows.items()}
    domains = "".join(f"  {name}: (x) => {text},\n" for name, text in conditions.items() if text)
    choices = {name: ", ".join(branches(row)) for name, row in rows.items()}
    chosen = "".join(f"  {name}: {{{text}}},\n" for name, text in choices.items() if text)
    return PROGRAM.format(source=source, domains=domains, branches=chosen)


PROGRAM = """\
"use strict";
const program = (() => {{
{source}
return f;
}})();
const domains = {{
{domains}}};
const branches = {{
{branches}}};
"""


# --- nodes, edges and rows --------------------------------------------------------------------------


def _edges(roots: Sequence[Value]) -> Iterator[tuple[Value, Value, int]]:
    """Operand, node and the operand's position, for every edge along which a gradient flows."""
    return (
        (operand, node, i)
        for node in topological_order(*roots)
        for i, operand in enumerate(node.args)
        if operand.op is not constant
    )


def _leaves(nodes: Sequence[Value]) -> list[Value]:
    """The nodes that a reader can move, by name, w2 before w10."""

    def order(node: Value) -> list[tuple[int, str]]:
        return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", node.label)]

    return sorted((node for node in nodes if not node.args and node.op is not constant), key=order)


def _names(nodes: Sequence[Value], roots: Sequence[Value], place: dict[Value, int]) -> list[str]:
    """What the text calls each node: its label, x#1 and x#2 where labels repeat, root or v3 without one."""
    letter = _letter(nodes)
    names = [_label(node) or ("" if node.op is constant else f"{letter}{i}") for i, node in enumerate(nodes)]
    if len(roots) == 1:
        names[place[roots[0]]] = _label(roots[0]) or "root"
    named = [i for i, node in enumerate(nodes) if node.op is not constant]
    total, seen = Counter(names[i] for i in named), Counter[str]()
    for i in named:
        name = names[i]
        seen[name] += 1
        if total[name] > 1:
            names[i] = f"{name}#{seen[name]}"
    return names


def _label(node: Value) -> str:
    """The label in one line, without the signs that turn the text around it from right to left."""
    return "π" if is_pi(node) else " ".join(re.sub("[\u202a-\u202e\u2066-\u2069]", "", node.label).split())


def _letter(nodes: Sequence[Value]) -> str:
    """What the names of nodes without a label begin with: a letter of which no array is named."""
    taken = {split_label(node.label)[0] for node in nodes}
    return next((letter for letter in "vutpqr" if letter not in taken), "node")


def _number(number: float) -> float | str:
    """As JSON has it, or as JavaScript reads it from text."""
    return number if math.isfinite(number) else str(number).replace("inf", "Infinity")


def _node(node: Value, name: str, place: dict[Value, int]) -> dict[str, Any]:
    return {
        "name": name,
        "drawn": name == _label(node),
        "kind": "interior" if node.args else "constant" if node.op is constant else "leaf",
        "row": node.op.name if node.args else None,
        "operands": [place[operand] for operand in node.args],
    }


def _row(row: Primitive) -> dict[str, Any]:
    return {
        "symbol": row.symbol,
        "formula": row.formula,
        "operands": row.operands,
        "partials": row.partials,
        "domain": row.domain,
        "note": row.note,
        "decides": any(
            isinstance(part, ast.IfExp) or (isinstance(part, ast.Name) and part.id in ("sign", "abs"))
            for text in (row.formula, *row.partials)
            for part in ast.walk(formulas.expression(text))
        ),
    }


# --- the reverse sweep, edge by edge ----------------------------------------------------------------


def _sweep(roots: Sequence[Value]) -> tuple[list[Value], list[Value]]:
    """The partials and the terms adjoint × partial of all edges, as nodes of a gradient graph."""
    one, terms = constant_node(1.0), dict[Edge, Value]()
    adjoint_graph(roots, [one] * len(roots), topological_order(*roots), terms=terms)
    edges = [(node, i) for _, node, i in _edges(roots)]
    partials = [
        CUT if product is None else product(one, node, *node.args)
        for node, i in edges
        for product in [products_of(node)[i]]
    ]
    return partials, [terms.get(edge, CUT) for edge in edges]


# --- domains and branches ---------------------------------------------------------------------------


def condition(row: Primitive) -> str | None:
    """The row's domain as JavaScript in the operands ``x[0]``, ``x[1]``; None where it is prose.

    >>> from autograd_mini import log, pow
    >>> condition(log)
    '(x[0] > 0)'
    """
    try:
        return _javascript(formulas.expression(row.domain), row.operands) if row.domain else None
    except (SyntaxError, ValueError):
        return None


def branches(row: Primitive) -> list[str]:
    """The row's partials that have conditions, as members of a JavaScript object: which branch holds.

    >>> from autograd_mini import relu
    >>> branches(relu)
    ['0: (x) => (x[0] < 0) ? "0" : (x[0] === 0) ? "0" : "1"']
    """
    members = []
    for k, text in enumerate(row.partials):
        tree = formulas.expression(text)
        if isinstance(tree, ast.IfExp):
            with contextlib.suppress(ValueError):  # what has no JavaScript is shown with its conditions
                members.append(f"{k}: (x) => {_branch(tree, (*row.operands, 'z'))}")
    return members


def _branch(tree: ast.expr, operands: tuple[str, ...]) -> str:
    if isinstance(tree, ast.IfExp):
        body, other = _branch(tree.body, operands), _branch(tree.orelse, operands)
        return f"{_javascript(tree.test, operands)} ? {body} : {other}"
    return json.dumps(ast.unparse(tree).replace("cut", "0")).replace("<", "\\u003c")


SIGNS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**", ast.USub: "-", ast.UAdd: "+",
    ast.Not: "!", ast.And: "&&", ast.Or: "||", ast.Eq: "===", ast.NotEq: "!==", ast.Lt: "<", ast.LtE: "<=",
    ast.Gt: ">", ast.GtE: ">=",
}  # fmt: skip
NAMES = {"inf": "Infinity", "pi": "Math.PI"}
FUNCTIONS = set(formulas.NATIVE) - {"erf", "erfc", "exp2", "fmod", "lgamma"}


def _javascript(tree: ast.expr, operands: tuple[str, ...]) -> str:
    def write(tree: ast.expr) -> str:
        match tree:
            case ast.Constant(bool() | int() | float() as number):
                return json.dumps(number)
            case ast.Name(name) if name in operands:
                return f"x[{operands.index(name)}]"
            case ast.Name(name) if name in NAMES:
                return NAMES[name]
            case ast.UnaryOp(operator, operand):
                return f"({SIGNS[type(operator)]}{write(operand)})"
            case ast.BinOp(left, ast.Mod(), right):  # Python's takes the sign of the divisor
                x, y = write(left), write(right)
                return f"({x} - {y} * Math.floor({x} / {y}))"
            case ast.BinOp(left, operator, right) if type(operator) in SIGNS:
                return f"({write(left)} {SIGNS[type(operator)]} {write(right)})"
            case ast.BoolOp(operator, conditions):
                return f"({f' {SIGNS[type(operator)]} '.join(map(write, conditions))})"
            case ast.Compare(left, operators, others):
                sides = [write(side) for side in (left, *others)]
                pairs = zip(sides, operators, sides[1:], strict=False)
                return f"({' && '.join(f'{x} {SIGNS[type(operator)]} {y}' for x, operator, y in pairs)})"
            case ast.Call(ast.Name(name), arguments) if name in FUNCTIONS:
                return f"Math.{name}({', '.join(map(write, arguments))})"
        raise ValueError(f"no JavaScript for {ast.unparse(tree)!r}")

    return write(tree)
