"""Small changes of one statement: a name for another, a term, a factor, an axis, a sign, ``+=`` for ``=``.

An edit is a place in the syntax tree and what is put there, as text. What fits a place is told by the shapes
of everything in scope when the statement ran. The plainest edits come in the first of four phases.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Shape: TypeAlias = "tuple[int, ...]"
PHASES = 4


class Thing(NamedTuple):
    """What a name or an expression was: "float", "int" (its ``number``), "index" (an array of these), "mask"
    or "bool"; and its shape. A ``leaf`` is a name, an attribute or an item, an ``alias`` one of several."""

    kind: str
    shape: Shape = ()
    number: int = 0
    leaf: bool = True
    alias: bool = False


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
        return Thing(kinds[x.dtype.kind], x.shape, 0, leaf)
    return None


class Slot(NamedTuple):
    """A place in a tree: a field of a node, or an element of one that is a list."""

    parent: ast.AST
    field: str
    place: int | None = None

    def get(self) -> Any:
        x = getattr(self.parent, self.field)
        return x if self.place is None else x[self.place]

    def put(self, new: Any) -> None:
        if self.place is None:
            setattr(self.parent, self.field, new)
        else:
            getattr(self.parent, self.field)[self.place] = new


class Edit(NamedTuple):
    """What is put where: an expression as text, or, in the place of a statement, statements."""

    slot: Slot
    text: str
    kind: str

    def parsed(self) -> Any:
        """The new node; SyntaxError if it is none."""
        old = self.slot.get()
        if isinstance(old, ast.stmt):
            new: Any = ast.parse(self.text).body[0]
        elif self.text == "None" and isinstance(self.slot.parent, ast.Slice):
            return None
        else:
            new = ast.parse(self.text, mode="eval").body
        if isinstance(getattr(old, "ctx", None), ast.Store):
            new.ctx = ast.Store()  # a name is put in the place of a name
        line = getattr(old, "lineno", getattr(self.slot.parent, "lineno", 1))
        for node in ast.walk(new):
            if isinstance(node, (ast.stmt, ast.expr, ast.arg, ast.keyword, ast.alias, ast.excepthandler)):
                node.lineno = node.end_lineno = line
                node.col_offset = node.end_col_offset = 0
        return new


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


# --- the edits of a statement -------------------------------------------------------------------------

OPERATORS = {"Add": "-*", "Sub": "+*", "Mult": "/+@", "Div": "*", "Pow": "*", "MatMult": "*", "FloorDiv": "*"}
SIGNS = {"Sub": "-", "Div": "/", "Pow": "**", "MatMult": "@"}  # whose operands may be the wrong way round
AXES = "0 1 2 -1 None (0,1) (0,2,3)".split()
CONFUSED = (
    ("sin", "cos"), ("sinh", "cosh"), ("tanh", "sigmoid"), ("exp", "log"), ("log", "log10", "log2"),
    ("square", "sqrt"), ("sum", "mean", "max"), ("max", "min"), ("asin", "acos"), ("softmax", "sigmoid"),
    ("tanh", "exp", "log", "sign", "sqrt"),
)  # fmt: skip
WRAPPED = ("sign", "exp", "tanh", "log", "sqrt")
REDUCED = ("sum", "mean", "max", "amax", "argmax", "min", "var", "std")
NOT_EDITED = {"range", "len", "int", "zip", "enumerate", "reversed", "float"}
FEW = 16  # arrays in a product of two that is a missing term


class Edits:
    """The edits of one statement; ``functions`` are the user's own of one argument, ``numpy`` the prefix of
    NumPy's names, ``loop`` that of which it is the last statement, ``later`` what is in scope after it."""

    def __init__(
        self,
        slot: Slot,
        scope: Scope,
        functions: Mapping[str, tuple[str, ...]],
        numpy: str = "np.",
        loop: ast.For | None = None,
        later: Scope | None = None,
    ) -> None:
        self.slot, self.scope, self.functions, self.np, self.loop = slot, scope, functions, numpy, loop
        self.later = later or {}
        self.node: Any = slot.get()
        self.leaves = {text: thing for text, thing in scope.items() if thing.leaf and not thing.alias}
        self.arrays = {t: x for t, x in self.leaves.items() if x.kind in ("float", "index", "mask")}
        self.floats = {t: x for t, x in self.leaves.items() if x.kind == "float"}
        self.compounds = {
            t: x for t, x in scope.items() if not (x.leaf or x.alias) and x.kind == "float" and x.shape
        }
        self.sizes = _sizes(self.leaves)
        self.indices = [text for text, x in self.leaves.items() if x.kind == "index"]

    def __call__(self, phase: int) -> Iterator[Edit]:
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
        elif isinstance(node, ast.Expr):
            if phase == 0:
                yield Edit(self.slot, "pass", "left out")
            yield from self._visit(Slot(node, "value"), False, phase)

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
            yield from self._carried(self.loop)
        if phase:
            return
        if isinstance(node, ast.AugAssign):
            for operator in ("=", "+=", "-=", "*=", "/="):
                if operator[:-1] != SYMBOLS.get(type(node.op)):
                    yield Edit(self.slot, f"{name} {operator} {value}", "=")
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
        thing = self.scope.get(name) or self.scope.get(value) or self.later.get(name)
        shape = () if thing is None or not is_leaf(target) else thing.shape
        for t, kept in self.leaves.items() if shape else ():
            index = f"{self.np}arange(len({t})), {t}" if len(shape) == 2 else t
            if kept.kind == ("index" if len(shape) == 2 else "int") and kept.shape == shape[:-1]:
                yield Edit(self.slot, f"if 1:\n {ast.unparse(node)}\n {name}[{index}] -= 1", "line")

    def _carried(self, loop: ast.For) -> Iterator[Edit]:
        """What a loop reads and never sets, set at its end."""
        names = [x for x in ast.walk(loop) if isinstance(x, ast.Name)]
        stored = {x.id for x in names if isinstance(x.ctx, ast.Store)}
        carried = {
            x.id for x in names if x.id in self.floats and x.id not in stored and self.floats[x.id].shape
        }
        own = ast.unparse(self.node)
        for name in sorted(carried):
            for t, x in self.floats.items():
                if t != name and x.shape == self.floats[name].shape:
                    yield Edit(self.slot, f"if 1:\n {own}\n {name} = {t}", "line")

    # --- of an expression ---

    def _visit(self, slot: Slot, whole: bool, phase: int) -> Iterator[Edit]:
        """The edits of an expression and of its parts; of a ``whole`` term, more is added and multiplied."""
        node = slot.get()
        text = ast.unparse(node)
        thing = self.scope.get(text)
        if whole:
            yield from self._term(slot, text, thing, phase)
        if phase == 0:
            yield from self._own(slot, node, text, thing, whole)
        elif phase == 1 and is_leaf(node) and thing is not None and thing.kind != "bool":
            yield from self._unlike(slot, text, thing)
        for field, value in ast.iter_fields(node):
            if field in ("ctx", "op", "ops") or (
                isinstance(node, ast.Attribute) and not self._is_edited(value)
            ):
                continue
            if field == "func":
                if isinstance(value, ast.Attribute) and self._is_edited(value.value):
                    yield from self._visit(Slot(value, "value"), False, phase)
                continue
            terms = isinstance(node, (ast.Call, ast.Dict)) or _is_sum(node)
            if isinstance(value, ast.AST):
                yield from self._child(Slot(node, field), terms, phase)
            for i, x in enumerate(value if isinstance(value, list) else ()):
                if isinstance(x, ast.keyword):
                    if x.arg not in ("axis", "keepdims", "dtype"):
                        yield from self._child(Slot(x, "value"), False, phase)
                elif isinstance(x, ast.expr):
                    yield from self._child(Slot(node, field, i), terms, phase)

    def _is_edited(self, node: Any) -> bool:
        """Whether it is no module and not ``self``."""
        if isinstance(node, ast.Name):
            return node.id in self.scope
        return isinstance(node, ast.expr)

    def _child(self, slot: Slot, terms: bool, phase: int) -> Iterator[Edit]:
        node, parent = slot.get(), slot.parent
        in_index = slot.field == "slice" or isinstance(parent, ast.Tuple)
        if phase == 0 and in_index and _is_everything(node):
            for t in self.indices:
                yield Edit(slot, t, "index")
                if len(self.scope[t].shape) > 1:
                    yield Edit(slot, f"({t}).ravel()", "index")
        if isinstance(node, ast.Slice):
            if phase == 0 and node.step is not None:
                yield Edit(Slot(node, "step"), "None", "index")
            for field in ("lower", "upper"):
                if getattr(node, field) is not None:
                    part = Slot(node, field)
                    if phase == 0:
                        yield from _shifted(part)
                        yield Edit(part, "None", "index")
                    yield from self._visit(part, False, phase)
        elif isinstance(node, ast.expr):
            if (
                phase == 0
                and slot.field == "slice"
                and not isinstance(node, (ast.Tuple, ast.Name, ast.Constant))
            ):
                yield from _shifted(slot)
            yield from self._visit(slot, terms, phase)

    def _term(self, slot: Slot, text: str, thing: Thing | None, phase: int) -> Iterator[Edit]:
        """A whole term with another sign, constant, term or factor."""
        node = slot.get()
        is_int = thing is not None and thing.kind == "int"
        if isinstance(node, (ast.Tuple, ast.List, ast.Dict, ast.Compare)) or (
            thing is not None and (thing.kind in ("bool", "mask") or (is_int and phase))
        ):
            return
        if phase == 0:
            if not _is_sum(slot.parent):  # there another sign stands between
                yield Edit(slot, f"-({text})", "negative")
            yield from (
                Edit(slot, f"({text}) * {n}", "constant") for n in (["2", "0.5"] if not is_int else [])
            )
            for n in self.sizes:
                yield Edit(slot, f"({text}) * {n}", "constant")
                if not is_int:
                    yield Edit(slot, f"({text}) / {n}", "constant")
            return
        shape = None if thing is None else thing.shape
        if phase == 3:
            if shape:
                near = [t for t, x in self.floats.items() if x.shape and _goes_into(x.shape, shape)][:FEW]
                for p, q in itertools.combinations(near, 2):
                    if shape in (self.floats[p].shape, self.floats[q].shape):
                        yield from (Edit(slot, f"({text}) {sign} {p} * {q}", "term") for sign in "+-")
            return
        some: dict[str, Thing] = {**self.arrays, **(self.compounds if phase == 2 else {})}
        for t, x in some.items():
            if t == text and phase == 1:
                continue
            multiplies = shape is None or _goes_into(x.shape, shape) or _go_together(shape, x.shape)
            adds = shape is None or x.shape == shape or (shape != () and _goes_into(x.shape, shape))
            plain, p = (phase == 1, t) if x.leaf else (True, f"({t})")
            if plain and adds:
                yield from (Edit(slot, f"({text}) {sign} {p}", "term") for sign in "+-")
            if plain and multiplies:
                yield Edit(slot, f"({text}) * {p}", "factor")
            if not plain and multiplies:
                for factor in (
                    f"/ {p}",
                    f"* (1 - {p} ** 2)",
                    f"* {p} * (1 - {p})",
                    f"* (1 - {p})",
                    f"* ({p} > 0)",
                ):
                    yield Edit(slot, f"({text}) {factor}", "factor")
            if not plain and adds:
                scalars = [s for s, y in self.floats.items() if y.shape == ()][:6]
                weighed = [f"{p} / {n}" for n in self.sizes[:4]] + [f"{s} * {p}" for s in scalars]
                yield from (Edit(slot, f"({text}) {sign} {w}", "term") for w in weighed for sign in "+-")
            if not x.leaf and shape is not None and x.shape == shape:
                yield Edit(slot, t, "another")

    def _own(self, slot: Slot, node: Any, text: str, thing: Thing | None, whole: bool) -> Iterator[Edit]:
        """What a person might have meant in the place of an expression."""
        match node:
            case ast.BinOp():
                yield from self._operation(slot, node)
            case ast.UnaryOp(ast.USub(), operand):
                yield Edit(slot, ast.unparse(operand), "sign")
            case ast.Compare(left, [_], [right]):
                for sign in (">", "<", ">=", "==", "!="):
                    yield Edit(slot, f"({ast.unparse(left)}) {sign} ({ast.unparse(right)})", "comparison")
            case ast.Call():
                yield from self._call(slot, node)
            case ast.Attribute(value, "T"):
                yield Edit(slot, ast.unparse(value), ".T")
            case ast.Subscript(value):
                yield Edit(slot, ast.unparse(value), "index")
            case ast.Constant(value) if isinstance(value, (int, float)) and not isinstance(value, bool):
                product = isinstance(slot.parent, ast.BinOp) and isinstance(slot.parent.op, ast.Mult)
                for number in _near(value):
                    if number != 1 or not product:  # it would rather be left out
                        yield Edit(slot, repr(number), "sign" if number == -value else "number")
                if value in (0, 1):
                    yield from (Edit(slot, n, "number") for n in self.sizes)
        if thing is None:
            if isinstance(node, ast.Call):
                yield Edit(slot, f"({text}) ** 2", "power")
                if whole and self.np:
                    yield Edit(slot, f"({text}).T", ".T")
            return
        flipped = text.endswith(".T") or (isinstance(slot.parent, ast.Attribute) and slot.parent.attr == "T")
        of_an_axis = isinstance(slot.parent, ast.Attribute) and slot.parent.attr in ("shape", *REDUCED)
        if thing.kind == "float" and len(thing.shape) >= 2 and not (flipped or of_an_axis):
            yield Edit(slot, f"({text}).T", ".T")
            if len(thing.shape) == 3:
                yield Edit(slot, f"({text}).transpose(1, 0, 2)", ".T")
            if len(thing.shape) > 2:
                yield Edit(slot, f"{self.np}swapaxes({text}, -1, -2)", ".T")
        if is_leaf(node):
            product = isinstance(slot.parent, ast.BinOp) and not isinstance(slot.parent.op, ast.MatMult)
            for t, x in self.leaves.items():
                alike = x.shape == thing.shape or (
                    thing.kind == "float" and product and _go_together(thing.shape, x.shape)
                )
                if t != text and x.kind == thing.kind and alike:
                    yield Edit(slot, t, "name")
            if thing.kind == "int":
                yield from _shifted(slot)
                yield from (Edit(slot, f"({text}) * {n}", "constant") for n in ("2", *self.sizes))
        if thing.kind == "float" and (is_leaf(node) or isinstance(node, ast.Call)):
            yield Edit(slot, f"({text}) ** 2", "power")

    def _unlike(self, slot: Slot, text: str, thing: Thing) -> Iterator[Edit]:
        """Another name in the place of one, of any shape, or a function of it."""
        if thing.kind == "float":
            for name in (*(self.np + name for name in WRAPPED), *self.functions):
                yield Edit(slot, f"{name}({text})", "function")
            yield Edit(slot, f"({text}) > 0", "comparison")
        for t, x in self.floats.items():
            if t != text and (x.shape != thing.shape or thing.kind != "float") and slot.field != "slice":
                yield Edit(slot, t, "name")

    def _operation(self, slot: Slot, node: ast.BinOp) -> Iterator[Edit]:
        left, right, kind = ast.unparse(node.left), ast.unparse(node.right), type(node.op).__name__
        for sign in OPERATORS.get(kind, ""):
            flipped = kind in ("Add", "Sub") and sign in "+-"
            yield Edit(slot, f"({left}) {sign} ({right})", "sign" if flipped else "operation")
        if kind in SIGNS:
            yield Edit(slot, f"({right}) {SIGNS[kind]} ({left})", "order")
        factor = isinstance(slot.parent, ast.BinOp) and isinstance(slot.parent.op, (ast.Mult, ast.Div))
        parts = [part for part in (left, right) if not (factor and part in ("1", "1.0"))]
        yield from (Edit(slot, part, "dropped") for part in parts)  # a factor 1 would rather be left out
        if kind in ("Add", "Sub"):
            yield Edit(slot, f"-({left}) {'+' if kind == 'Add' else '-'} ({right})", "negative")
        match node:
            case ast.BinOp(ast.Constant(1), ast.Sub(), ast.BinOp(inner, ast.Pow())):
                h = ast.unparse(inner)
                yield Edit(slot, f"({h}) * (1 - ({h}))", "power")
            case ast.BinOp(ast.Constant(1), ast.Sub()):
                yield Edit(slot, f"1 - ({right}) ** 2", "power")
                yield Edit(slot, f"1 - {self.np}tanh({right}) ** 2", "power")
                yield Edit(slot, f"({right}) * (1 - ({right}))", "power")
            case ast.BinOp(op=ast.Mult()):
                yield from self._sigmoid(slot, node)

    def _sigmoid(self, slot: Slot, node: ast.BinOp) -> Iterator[Edit]:
        """h(1 − h) that should be 1 − h², or p(1 − p) of another."""
        factors = [*_factors(node)]
        for h in factors:
            for other in (f"1 - {h}", f"1.0 - {h}"):
                if other in factors:
                    rest = [f"({x})" for x in factors if x not in (h, other)]
                    yield Edit(slot, " * ".join([*rest, f"(1 - ({h}) ** 2)"]), "power")
                    alike = [t for t, x in self.floats.items() if t != h and x == self.floats.get(h)]
                    for t in alike:
                        yield Edit(slot, " * ".join([*rest, t, f"(1 - {t})"]), "name")

    def _call(self, slot: Slot, node: ast.Call) -> Iterator[Edit]:
        name, args = ast.unparse(node.func), [*map(ast.unparse, node.args)]
        keywords = [f"{k.arg}={ast.unparse(k.value)}" if k.arg else ast.unparse(k) for k in node.keywords]
        base = name.rpartition(".")[2]
        on_numpy = bool(self.np) and name.startswith(self.np)
        free = on_numpy or isinstance(node.func, ast.Name)
        if base in ("dot", "outer") and on_numpy and len(args) >= 2:
            a, b = args[:2]
            for text in (f"dot({a}, {b})", f"dot({b}, {a})", f"outer({a}, {b})", f"outer({b}, {a})"):
                yield Edit(slot, self.np + text, "order")
            yield Edit(slot, f"({a}) * ({b})", "operation")
        elif len(args) == 2 and not keywords:
            yield Edit(slot, f"{name}({args[1]}, {args[0]})", "order")
        if free and name not in NOT_EDITED:
            yield from (Edit(slot, x, "dropped") for x in args)
            if len(args) == 1 and not keywords:
                yield Edit(slot, f"{name}(-({args[0]}))", "negative")
        if isinstance(node.func, ast.Attribute) and not on_numpy and is_leaf(node.func.value):
            yield Edit(slot, ast.unparse(node.func.value), "dropped")
        if base in REDUCED:
            kept = [k for k in keywords if not k.startswith(("axis", "keepdims"))]
            first = args[:1] if free else []
            for axis, keep in itertools.product(AXES, ("False", "True")):
                way = [f"axis={axis}"] * (axis != "None") + ["keepdims=True"] * (keep == "True")
                yield Edit(slot, f"{name}({', '.join([*first, *way, *kept])})", "axis")
        prefix = name[: len(name) - len(base)]
        for other in dict.fromkeys(x for alike in CONFUSED if base in alike for x in alike if x != base):
            yield Edit(slot, f"{prefix}{other}({', '.join(args + keywords)})", "function")
        if len(args) == 1 and not keywords and free and base not in METHODS and name not in NOT_EDITED:
            for other, flags in self.functions.items():
                if other != name:
                    yield Edit(slot, f"{other}({args[0]})", "function")
                yield from (Edit(slot, f"{other}({args[0]}, {flag})", "function") for flag in flags)
        if base in ("transpose", "reshape", "swapaxes"):
            head, axes = (args[:1], args[1:]) if on_numpy else ([], args)
            for order in itertools.permutations(axes) if 2 <= len(axes) <= 4 else ():
                if [*order] != axes:
                    yield Edit(slot, f"{name}({', '.join([*head, *order])})", "order")


SYMBOLS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}


def _sizes(leaves: Mapping[str, Thing]) -> list[str]:
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


def _is_sum(node: ast.AST) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub))


def _is_everything(node: ast.AST) -> bool:
    """Whether an index is ``:`` or a number."""
    if isinstance(node, ast.Slice):
        return node.lower is None and node.upper is None
    return isinstance(node, ast.Constant)


def _shifted(slot: Slot) -> Iterator[Edit]:
    text = ast.unparse(slot.get())
    yield Edit(slot, f"({text}) + 1", "index")
    yield Edit(slot, f"({text}) - 1", "index")


def _near(value: float) -> list[float]:
    half = value // 2 if isinstance(value, int) and value % 2 == 0 else value / 2
    near = [value + 1, value - 1, 2 * value, half, -value, value + 2, 0, 1]
    near += [1 / value] if value not in (0, 1, -1) else []
    return [x for x in dict.fromkeys(near) if x != value]


def _factors(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        yield from _factors(node.left)
        yield from _factors(node.right)
    else:
        yield ast.unparse(node)


def _goes_into(shape: Shape, whole: Shape) -> bool:
    """Whether an array broadcasts to a shape."""
    try:
        return np.broadcast_shapes(shape, whole) == whole
    except ValueError:
        return False


def _go_together(a: Shape, b: Shape) -> bool:
    try:
        np.broadcast_shapes(a, b)
    except ValueError:
        return False
    return bool(a and b)
