"""Small changes of a statement: of what it computes, of where that goes and whether it is added there; and a
line more.
"""

from __future__ import annotations

import ast
import difflib
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from autograd_mini.check.margin.edits import Edit, Slot
from autograd_mini.check.margin.expression_edits import ExpressionEdits
from autograd_mini.check.margin.scope import Scope, Shape, is_leaf

SYMBOLS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
FEW_WAYS = 4  # of what a carried name might be set to


class Edits(ExpressionEdits):
    """The edits of one statement, in ``scope``, as of `ExpressionEdits`; ``loop`` is that of which it is the
    last statement, ``later`` what is in scope after it."""

    def __init__(
        self,
        slot: Slot,
        scope: Scope,
        functions: Mapping[str, tuple[str, ...]],
        numpy: str = "np.",
        loop: ast.For | None = None,
        later: Scope | None = None,
        constants: Sequence[float] = (),
    ) -> None:
        super().__init__(scope, functions, numpy, constants)
        self.slot, self.loop, self.later = slot, loop, later or {}
        self.node: Any = slot.get()

    def __call__(self, phase: int, unused: Collection[str] = ()) -> Iterator[Edit]:
        """Those of a phase; ``unused`` are names of what is computed and moves nothing."""
        self.unused = [t for t in unused if t in self.floats]
        node = self.node
        if isinstance(node, ast.expr):  # of a formula, or what a lambda gives
            yield from self._visit(self.slot, True, phase)
        elif isinstance(node, (ast.If, ast.While)):
            yield from self._visit(Slot(node, "test"), False, phase)
        elif isinstance(node, ast.For):
            yield from self._visit(Slot(node, "iter"), False, phase)
        elif isinstance(node, (ast.Assign, ast.AugAssign)):
            yield from self._assignment(node, phase)
            yield from self._values(Slot(node, "value"), True, phase)
        elif isinstance(node, (ast.Return, ast.AnnAssign)) and node.value is not None:
            yield from self._values(Slot(node, "value"), True, phase)
        elif isinstance(node, ast.Pass):
            yield from self._instead(phase)
        elif isinstance(node, ast.Expr):
            if phase == 0:
                yield Edit(self.slot, "pass", "left out")
            yield from self._visit(Slot(node, "value"), False, phase)

    def clues(self) -> Iterator[Edit]:
        """The few that the form of the statement suggests: lengths in another order, what a loop carries."""
        node = self.node
        if not isinstance(node, (ast.Assign, ast.AugAssign)):
            return
        if self.loop is not None:
            yield from self._carried(self.loop)
        names = [*map(ast.unparse, getattr(getattr(node, "targets", [None])[0], "elts", ()))]
        lengths = [x for x in names if x in self.later and self.later[x].kind == "int"]
        for x, y in itertools.combinations(lengths, 2):
            other = {x: y, y: x}
            text = ", ".join(other.get(name, name) for name in names)
            yield Edit(self.slot, f"{text} = {ast.unparse(node.value)}", "swapped")

    def _values(self, slot: Slot, whole: bool, phase: int) -> Iterator[Edit]:
        node = slot.get()
        if isinstance(node, (ast.Tuple, ast.List)):
            for i in range(len(node.elts)):
                yield from self._visit(Slot(node, "elts", i), whole, phase)
        elif isinstance(node, ast.Dict):
            for i in range(len(node.values)):
                yield from self._visit(Slot(node, "values", i), whole, phase)
        else:
            yield from self._visit(slot, whole, phase)

    def _assignment(self, node: ast.Assign | ast.AugAssign, phase: int) -> Iterator[Edit]:
        target = node.target if isinstance(node, ast.AugAssign) else node.targets[0]
        name, value = ast.unparse(target), ast.unparse(node.value)
        if phase == 2 and self.loop is not None:
            yield from self._carried(self.loop, by_products=True)
        if phase:
            return
        if isinstance(node, ast.AugAssign):
            for operator in ("=", "+=", "-=", "*=", "/="):
                own = SYMBOLS.get(type(node.op), "")
                if operator[:-1] != own:
                    signs = own + operator[:-1] in ("+-", "-+")
                    kind = "=" if operator == "=" else "sign" if signs else "operation"
                    yield Edit(self.slot, f"{name} {operator} {value}", kind)
            yield Edit(self.slot, "pass", "left out")
        elif isinstance(target, ast.Tuple):
            for i, x in enumerate(target.elts):
                if isinstance(x, ast.Name):
                    others = [t for t in self.scope if t.isidentifier() and t != x.id]
                    yield from (Edit(Slot(target, "elts", i), t, "name") for t in others)
        else:
            yield from (Edit(self.slot, f"{name} {operator}= {value}", "=") for operator in "+-*")
        if isinstance(target, ast.Subscript):
            place = "slice(None)" if isinstance(target.slice, ast.Slice) else ast.unparse(target.slice)
            adds = not isinstance(node, ast.AugAssign) or isinstance(node.op, ast.Add)
            if adds and not ((key := self.scope.get(place)) and key.kind == "int"):
                text = f"{self.np}add.at({ast.unparse(target.value)}, {place}, {value})"
                yield Edit(self.slot, text, "=")
            yield from self._child(Slot(target, "slice"), False, phase)
            base = self.leaves.get(ast.unparse(target.value))
            for t, alike in self.leaves.items():
                if base and alike[:2] == base[:2] and t != ast.unparse(target.value):
                    yield Edit(Slot(target, "value"), t, "name")
        thing = self.scope.get(name) or self.scope.get(value) or self.later.get(name)
        for line in self._subtracted(name, thing.shape) if thing is not None and is_leaf(target) else ():
            yield Edit(self.slot, f"if 1:\n {ast.unparse(node)}\n {line}", "line")

    def _subtracted(self, name: str, shape: Shape) -> Iterator[str]:
        """1 subtracted from an array at the index of a target."""
        for t, kept in self.leaves.items() if shape else ():
            index = f"{self.np}arange(len({t})), {t}" if len(shape) == 2 else t
            if kept.kind == ("index" if len(shape) == 2 else "int") and kept.shape == shape[:-1]:
                yield f"{name}[{index}] -= 1"

    def _instead(self, phase: int) -> Iterator[Edit]:
        """A line where a line is still to be written."""
        lines: list[str] = []
        for t, x in self.floats.items() if phase < 2 else ():
            alike = [u for u, y in self.floats.items() if x.shape and y.shape == x.shape]
            if phase == 0:
                masks = [u for u, y in self.leaves.items() if y.kind == "mask" and y.shape == x.shape]
                lines += [*self._subtracted(t, x.shape), *(f"{t}[{u} <= 0] = 0" for u in alike)]
                lines += [*(f"{t}[{u}] = 0" for u in masks), *(f"{t} /= {n}" for n in self.sizes)]
            else:
                lines += [f"{t}[{u} > 0] = 1" for u in alike]
                lines += [f"{t} {sign}= {u}" for u in alike if u != t for sign in "+*"]
        yield from (Edit(self.slot, line, "line") for line in lines)

    def _carried(self, loop: ast.For, by_products: bool = False) -> Iterator[Edit]:
        """What a loop reads and never sets and is zero, set at its end; several at once by like names."""
        names = [x for x in ast.walk(loop) if isinstance(x, ast.Name)]
        stored = {x.id for x in names if isinstance(x.ctx, ast.Store)}
        carried = sorted({x.id for x in names if x.id in self.floats and self.floats[x.id].zero} - stored)
        ways = []
        for name in carried:
            shape = self.floats[name].shape
            alike = [t for t, x in self.floats.items() if x.shape == shape and not x.zero]
            alike.sort(key=lambda t: -difflib.SequenceMatcher(None, name, t, autojunk=False).ratio())
            ways.append([*self._products(shape)] if by_products else alike[:FEW_WAYS])
        for news in itertools.product(*ways) if 0 < len(ways) <= (1 if by_products else 3) else ():
            lines = "".join(f"\n {name} = {new}" for name, new in zip(carried, news, strict=True))
            yield Edit(self.slot, f"if 1:\n {ast.unparse(self.node)}{lines}", "line")

    def _products(self, shape: Shape) -> Iterator[str]:
        """The products of a matrix and another array that have a shape."""
        matrices = [(t, x.shape) for t, x in self.floats.items() if len(x.shape) == 2]
        for (t, (m, n)), (u, x) in itertools.product(matrices, self.floats.items()):
            if t != u and x.shape and x.shape[-1] in (m, n) and (*x.shape[:-1], m + n - x.shape[-1]) == shape:
                yield from [f"{u} @ {t}"] * (x.shape[-1] == m)
                yield from [f"{u} @ {t}.T"] * (x.shape[-1] == n)
