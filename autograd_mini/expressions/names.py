"""What the names in a formula mean, given those that exist: ``y_i`` an entry of y, ``Xw`` a product, δ_ij.

A name that exists as it is written wins. Where two meanings are left, the formula is refused with both.
"""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import NoReturn

from autograd_mini.expressions.notation import (
    GREEK,
    INDICES,
    LETTERS,
    Power,
    Product,
    Sum,
    Transpose,
    placed,
)

ACCENTS = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303", "dot": "\u0307"}
LONGEST = 16  # letters of a word that may be a product of names


def variants(name: str) -> Iterator[str]:
    """The ways to write a name: σ and sigma, ŷ and y_hat and yhat.

    >>> sorted(set(variants("ŷ")))
    ['y_hat', 'yhat', 'ŷ']
    """
    spelled = unicodedata.normalize("NFD", "".join(LETTERS.get(c, c) for c in name))
    symbol = re.sub("|".join(sorted(GREEK, key=len, reverse=True)), lambda found: GREEK[found[0]], name)
    for accent, mark in ACCENTS.items():
        spelled = spelled.replace(mark, f"_{accent}")
        symbol = symbol.replace(f"_{accent}", mark)
    for written in (name, spelled, unicodedata.normalize("NFC", symbol)):
        yield written
        yield written.replace("_", "")


class Resolver(ast.NodeTransformer):
    """Gives names in a tree what they mean among ``known``; in a printed formula words may be products."""

    def __init__(
        self, known: Iterable[str], is_printed: bool, refuse: Callable[[ast.AST, str], NoReturn]
    ) -> None:
        self.known, self.is_printed, self.refuse = set(known), is_printed, refuse
        self.indices = set(INDICES) - self.known

    def visit_Sum(self, node: Sum) -> ast.expr:
        before = self.indices
        self.indices = before | {node.index}
        node.body = self.visit(node.body)
        self.indices = before
        return node

    def visit_Transpose(self, node: Transpose) -> ast.expr:
        if node.letter in self.known:
            self.refuse(node, "T is a name here: write ^\\top for a transpose, or ** T for a power")
        node.operand = self.visit(node.operand)
        if node.is_open and isinstance(node.operand, Product):  # XAᵀ is X Aᵀ
            *before, last = node.operand.factors
            return placed(Product([*before, placed(Transpose(last), node.col_offset)]), node.col_offset)
        return node

    def visit_Power(self, node: Power) -> ast.expr:
        self.generic_visit(node)
        if node.is_open and isinstance(node.left, Product):  # ax² is a x²
            *before, node.left = node.left.factors
            return placed(Product([*before, node]), node.col_offset)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        key = getattr(node.slice, "elts", [node.slice])
        if isinstance(node.value, ast.Name) and len(key) == 2 and self.is_kronecker(node.value.id):
            return placed(ast.Compare(key[0], [ast.Eq()], [key[1]]), node.col_offset)
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        node.args = [self.visit(argument) for argument in node.args]
        written = getattr(node, "written", getattr(node.func, "id", ""))
        if written in ("σ", "sigma") and (name := self.spelling(written)):
            self.refuse(
                node,
                f"{written}(…) may be the sigmoid or a product, as {name} is a name: write sigmoid(…) or "
                f"{name}·(…)",
            )
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.meaning(node.id, node) or node

    def is_kronecker(self, name: str) -> bool:
        return name in ("delta", "δ") and not self.spelling(name)

    def spelling(self, name: str) -> str:
        """The name as it is known, or pi for π; empty if there is none."""
        known = next((written for written in variants(name) if name and written in self.known), "")
        return known or "pi" * (name == "π")

    def meaning(self, name: str, node: ast.Name) -> ast.expr | None:
        """The name as it is known, an entry of one that is, or a product; None if there is neither."""
        if name in self.indices:
            return node
        if known := self.spelling(name):
            return _name(known, node)
        base, _, below = name.rpartition("_")
        if "Sigma" in (name, base):
            self.refuse(node, "there is no name Sigma, and a sum is written Σ_i or \\sum_i")
        if below.isdigit() and (known := self.spelling(base)):
            self.refuse(
                node,
                f"{name} may count from 0 or from 1: write {known}[{below}] for the entry that Python "
                "calls so",
            )
        if base and self.indices.issuperset(below):
            return self.entry(base, [_name(letter, node) for letter in below], node)
        if not base and self.is_printed and 1 < len(name) <= LONGEST:
            return self.product(name, node)
        return None

    def entry(self, base: str, index: list[ast.expr], node: ast.Name) -> ast.expr | None:
        if len(index) == 2 and self.is_kronecker(base):
            return placed(ast.Compare(index[0], [ast.Eq()], [index[1]]), node.col_offset)
        key = index[0] if len(index) == 1 else ast.Tuple(index, ast.Load())
        match self.meaning(base, node):
            case None:
                return None
            case Product(factors=[*before, last]):  # Xw_i is X w_i
                entry = placed(ast.Subscript(last, key, ast.Load()), node.col_offset)
                return placed(Product([*before, entry]), node.col_offset)
            case array:
                return placed(ast.Subscript(array, key, ast.Load()), node.col_offset)

    def product(self, name: str, node: ast.Name) -> ast.expr | None:
        found = list(self.splits(name))
        if len(found) > 1:
            ways = " or ".join("·".join(parts) for parts in found)
            self.refuse(node, f"{name} may be {ways}: write the product out")
        factors: list[ast.expr] = [_name(part, node) for parts in found for part in parts]
        return placed(Product(factors), node.col_offset) if factors else None

    def splits(self, name: str) -> Iterator[list[str]]:
        """The ways in which a word is names that are known, side by side."""
        for end in range(1, len(name) + 1):
            if head := self.spelling(name[:end]):
                if end == len(name):
                    yield [head]
                for rest in self.splits(name[end:]):
                    yield [head, *rest]


def _name(name: str, like: ast.Name) -> ast.expr:
    return placed(ast.Name(name, ast.Load()), like.col_offset)
