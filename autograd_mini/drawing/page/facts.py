"""What the page knows of a graph: its nodes and edges, their rows of the table, and how to compute them.

The program gives every node's value and, for every edge, the local partial and the term adjoint × partial
that the reverse sweep adds to the operand's gradient. A gradient is the sum of its terms so far, so that
the page can stop the sweep anywhere. What a page decides anew, domains and the branches of partials, the
program computes too, so that all the JavaScript of a graph has one writer.
"""

from __future__ import annotations

import ast
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count, pairwise
from typing import Any

import numpy as np

from autograd_mini import formulas, rules
from autograd_mini.arrays import values
from autograd_mini.formulas import ARRAYS, Substitute, expression, names_in
from autograd_mini.labels import in_order, split_label
from autograd_mini.program import Program
from autograd_mini.rules import Primitive
from autograd_mini.tracing import CUT, constant_node, derive, is_pi, products
from autograd_mini.transforms import Edge, adjoint_graph
from autograd_mini.value import Value, constant, topological_order

LONG = 60  # characters of an operand that are still written out in the formula above it


def facts(nodes: Sequence[Value], roots: Sequence[Value]) -> dict[str, Any]:
    """Nodes, edges and rows as JSON has them; nodes go by their position in topological order.

    The edges are those below the roots: along others, such as a gradient graph's, no gradient flows. Both
    passes go level by level, and on each in the order of the nodes.

    >>> x = Value(3.0, label="x")
    >>> y = x * x
    >>> known = facts([x, y], [y])
    >>> known["leaves"], known["roots"], known["edges"], known["nodes"][1]["text"]
    ([0], [1], [[0, 1, 0], [0, 1, 1]], '_0 * _0')
    """
    place = {node: i for i, node in enumerate(nodes)}
    level: dict[Value, int] = {}
    for node in nodes:
        level[node] = 1 + max(map(level.__getitem__, node.args), default=-1)
    interior = [i for i, node in enumerate(nodes) if node.args]
    forward = sorted(interior, key=lambda i: level[nodes[i]])
    reverse = sorted(interior, key=lambda i: -level[nodes[i]])
    names = _names(nodes, roots, place, forward)
    wholes, inners = _texts(nodes)
    rows = {node.op.name: node.op for node in nodes if isinstance(node.op, Primitive)}
    return {
        "name": names[place[roots[0]]] if len(roots) == 1 else "root",
        "roots": [place[root] for root in roots],
        "leaves": [place[leaf] for leaf in _leaves(nodes)],
        "saved": [_number(leaf.data) for leaf in _leaves(nodes)],
        "nodes": [
            _node(node, names[i], [place[x] for x in node.args])
            | {"text": wholes[i], "needs": _needs(node, [inners[place[x]] for x in node.args])}
            for i, node in enumerate(nodes)
        ],
        "edges": [[place[operand], place[node], i] for operand, node, i in _edges(roots)],
        "forward": forward,
        "reverse": reverse,
        "rows": {name: _row(row) for name, row in rows.items()},
    }


def program(nodes: Sequence[Value], roots: Sequence[Value]) -> str:
    """JavaScript's ``f(leaves)``: values by node, partials and terms by edge; by the nodes and edges that
    have them, whether the domain holds and which branch of a partial.

    Raises TypeError for a node made by hand.
    """
    partials, terms = _sweep(roots)
    results = {
        "values": list(nodes),
        "partials": partials,
        "terms": terms,
        "inside": {i: domain for i, node in enumerate(nodes) if (domain := _domain(node)) is not None},
        "branches": {
            e: branch
            for e, (_, node, i) in enumerate(_edges(roots))
            if (branch := _branch(node, i)) is not None
        },
    }
    return Program.from_graph(results, {"leaves": values(_leaves(nodes))}).source(language="javascript")


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
    leaves = (node for node in nodes if not node.args and node.op is not constant)
    return sorted(leaves, key=lambda leaf: in_order(leaf.label))


def _names(
    nodes: Sequence[Value], roots: Sequence[Value], place: dict[Value, int], forward: Sequence[int]
) -> list[str]:
    """What the text calls each node: its label, x#1 and x#2 where labels repeat, else root, or v1, v2, …
    in the order of the forward pass."""
    letter = _letter(nodes)
    names = [_label(node) for node in nodes]
    if len(roots) == 1:
        names[place[roots[0]]] = _label(roots[0]) or "root"
    leaves = [place[leaf] for leaf in _leaves(nodes)]
    for number, i in enumerate((i for i in (*leaves, *forward) if not names[i]), 1):
        names[i] = f"{letter}{number}"
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


def _node(node: Value, name: str, operands: list[int]) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "interior" if node.args else "constant" if node.op is constant else "leaf",
        "row": node.op.name if node.args else None,
        "operands": operands,
    }


def _row(row: Primitive) -> dict[str, Any]:
    return {
        "symbol": row.symbol,
        "formula": row.formula,
        "operands": row.operands,
        "partials": row.partials,
        "branches": [_ends(expression(partial)) for partial in row.partials],
        "domain": row.domain,
        "note": row.note,
        "decides": any(
            isinstance(part, ast.IfExp) or (isinstance(part, ast.Name) and part.id in ("sign", "abs"))
            for text in (row.formula, *row.partials)
            for part in ast.walk(expression(text))
        ),
    }


# --- what the user wrote ----------------------------------------------------------------------------


def _texts(nodes: Sequence[Value]) -> tuple[list[str], list[str]]:
    """Each node's formula, and what stands for the node in the formulas above it, with ``_3`` for the name
    of node 3: its own, if it has no label and is not long. Else formulas would grow with every node.

    >>> x = Value(3.0, label="x")
    >>> _texts(topological_order((x * x).exp()))[0]
    ['_0', '_0 * _0', 'exp(_0 * _0)']
    """
    wholes: list[str] = []
    inners: dict[Value, str] = {}
    for i, node in enumerate(nodes):
        whole = inners[node] = f"_{i}"
        if isinstance(node.op, Primitive):
            row = node.op
            call = f"{row.name}({', '.join(row.operands)})"
            operands = dict(zip(row.operands, map(inners.__getitem__, node.args), strict=True))
            whole = ast.unparse(
                Substitute(operands).visit(expression(row.formula if _is_operator(row) else call))
            )
            if not node.label and len(whole) <= LONG:
                inners[node] = whole
        wholes.append(whole)
    return wholes, list(inners.values())


def _is_operator(row: Primitive) -> bool:
    """Whether its formula is one of Python's operators on its operands."""
    tree = expression(row.formula)
    names = [part.id for part in ast.walk(tree) if isinstance(part, ast.Name)]
    parts = sum(isinstance(part, (ast.BinOp, ast.UnaryOp, ast.Call)) for part in ast.walk(tree))
    return isinstance(tree, (ast.BinOp, ast.UnaryOp)) and parts == 1 and names == list(row.operands)


def _needs(node: Value, operands: Sequence[str]) -> str:
    """The domain in the words of the operands, without what constants decide: of x ** 0.5 that is x >= 0."""
    if not (isinstance(node.op, Primitive) and node.op.domain):
        return ""
    names = node.op.operands
    known = {name: np.float64(x.data) for name, x in zip(names, node.args, strict=True) if x.op is constant}
    with np.errstate(all="ignore"):
        tree = _decided(expression(node.op.domain), known)
    if isinstance(tree, ast.Constant):
        tree = expression(node.op.domain)
    return ast.unparse(Substitute(dict(zip(names, operands, strict=True))).visit(tree))


def _decided(tree: ast.expr, known: dict[str, np.float64]) -> ast.expr:
    if isinstance(tree, ast.BoolOp):
        ends = isinstance(tree.op, ast.Or)  # the truth that decides it
        parts = [_decided(condition, known) for condition in tree.values]
        truths = {part.value for part in parts if isinstance(part, ast.Constant)}
        open_parts = [part for part in parts if not isinstance(part, ast.Constant)]
        if ends in truths or not open_parts:
            return ast.Constant(ends if ends in truths else not ends)
        return ast.BoolOp(tree.op, open_parts) if len(open_parts) > 1 else open_parts[0]
    if names_in(ast.unparse(tree)) <= {*known, "inf", "abs"}:
        return ast.Constant(bool(eval(ast.unparse(tree), ARRAYS | {"inf": math.inf}, dict(known))))
    return tree


# --- the reverse sweep, edge by edge ----------------------------------------------------------------


def _sweep(roots: Sequence[Value]) -> tuple[list[Value], list[Value]]:
    """The partials and the terms adjoint × partial of all edges, as nodes of a gradient graph."""
    one, terms = constant_node(1.0), dict[Edge, Value]()
    adjoint_graph(roots, [one] * len(roots), topological_order(*roots), terms=terms)
    edges = [(node, i) for _, node, i in _edges(roots)]
    partials = [
        CUT if product is None else product(one, node, *node.args)
        for node, i in edges
        for product in [products(node.op)[i]]
    ]
    return partials, [terms.get(edge, CUT) for edge in edges]


# --- what is decided anew ---------------------------------------------------------------------------


def _domain(node: Value) -> Value | None:
    """1 where the operands are in the row's domain, else 0; None for a row without."""
    if not (isinstance(node.op, Primitive) and node.op.domain):
        return None
    return _built(_AsFormula().visit(expression(node.op.domain)), node, node.op)


def _branch(node: Value, i: int) -> Value | None:
    """Which end of a partial's conditionals holds, counted from 0 in the order of the text; None without."""
    if not (
        isinstance(node.op, Primitive) and isinstance(partial := expression(node.op.partials[i]), ast.IfExp)
    ):
        return None
    numbers = count()

    def numbered(tree: ast.expr) -> ast.expr:
        if not isinstance(tree, ast.IfExp):
            return ast.Constant(next(numbers))
        return ast.IfExp(tree.test, numbered(tree.body), numbered(tree.orelse))

    return _built(numbered(partial), node, node.op)


def _ends(partial: ast.expr) -> list[str]:
    """What a partial is, by its conditions."""
    if isinstance(partial, ast.IfExp):
        return [*_ends(partial.body), *_ends(partial.orelse)]
    return [ast.unparse(partial).replace("cut", "0")]


def _built(formula: ast.expr, node: Value, row: Primitive) -> Value:
    """The formula in a node's operands and its result as a graph."""
    names = dict(zip((*row.operands, "z"), (*node.args, node), strict=True))
    built: Value = formulas.apply(formula, names, lambda row, x: derive(rules.table[row], *x), constant_node)
    return built


class _AsFormula(ast.NodeTransformer):
    """A domain in the words of formulas, which know no ``or``, ``!=``, ``%`` and no comparisons in a row."""

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        self.generic_visit(node)
        if isinstance(node.op, ast.And):
            return node
        *others, result = node.values
        for condition in reversed(others):
            result = ast.IfExp(condition, ast.Constant(1), result)
        return result

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        sides = pairwise([node.left, *node.comparators])
        parts: list[ast.expr] = [
            ast.IfExp(ast.Compare(x, [ast.Eq()], [y]), ast.Constant(0), ast.Constant(1))
            if isinstance(operator, ast.NotEq)
            else ast.Compare(x, [operator], [y])
            for operator, (x, y) in zip(node.ops, sides, strict=True)
        ]
        return ast.BoolOp(ast.And(), parts) if len(parts) > 1 else parts[0]

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        if not isinstance(node.op, ast.Mod):
            return node
        quotient = ast.Call(ast.Name("floor"), [ast.BinOp(node.left, ast.Div(), node.right)], [])
        return ast.BinOp(node.left, ast.Sub(), ast.BinOp(node.right, ast.Mult(), quotient))

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(math.inf) if node.id == "inf" else node
