"""Small changes of an expression: a name for another, a term, a factor, an axis, a sign, a transpose.

What fits a place is told by the shapes of everything in scope when the statement ran. The plainest come in
the first of four phases.
"""

from __future__ import annotations

import ast
import copy
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autograd_mini.check.margin.edits import Edit, Slot
from autograd_mini.check.margin.scope import (
    METHODS,
    Scope,
    Shape,
    Thing,
    go_together,
    goes_into,
    is_leaf,
    sizes_in,
)

NUMBERS = "float", "int", "index", "mask"
EXPONENTS = (-0.5, -1, -1.5, -2, -3, 0.5, 1.5, 2, 3)
OPERATORS = {"Add": "-*", "Sub": "+*", "Mult": "/+@", "Div": "*", "Pow": "*", "MatMult": "*", "FloorDiv": "*"}
SIGNS = {"Sub": "-", "Div": "/", "Pow": "**", "MatMult": "@"}  # whose operands may be the wrong way round
AXES = "0 1 2 -1 None (0,1) (0,2,3)".split()
CONFUSED = (
    ("sin", "cos"), ("sinh", "cosh"), ("tanh", "sigmoid"), ("exp", "log"), ("log", "log10", "log2"),
    ("square", "sqrt"), ("sum", "mean", "max"), ("max", "min"), ("asin", "acos"), ("softmax", "sigmoid"),
    ("tanh", "exp", "log", "sign", "sqrt"), ("convolve", "correlate"), ("convolve2d", "correlate2d"),
)  # fmt: skip
WRAPPED = ("sign", "exp", "tanh", "log", "sqrt")
REDUCED = ("sum", "mean", "max", "amax", "argmax", "min", "var", "std")
NOT_EDITED = {"range", "len", "int", "zip", "enumerate", "reversed", "float"}
CALL = re.compile(r"[\w.]+\([^()]*\)")
FEW = 16  # arrays in a product of two that is a missing term, and classes that are tried one by one


class ExpressionEdits:
    """The edits of expressions in a scope; ``functions`` are the user's own of one argument, ``numpy`` the
    prefix of NumPy's names, ``constants`` those that the forward pass holds; ``unused`` are names of what is
    computed and moves nothing."""

    def __init__(
        self,
        scope: Scope,
        functions: Mapping[str, tuple[str, ...]],
        numpy: str = "np.",
        constants: Sequence[float] = (),
    ) -> None:
        self.scope, self.functions, self.np, self.constants = scope, functions, numpy, constants
        self.unused: list[str] = []
        self.leaves = {text: thing for text, thing in scope.items() if thing.leaf and not thing.alias}
        self.arrays = {t: x for t, x in self.leaves.items() if x.kind in ("float", "index", "mask")}
        self.floats = {t: x for t, x in self.leaves.items() if x.kind == "float"}
        self.compounds = {
            t: x for t, x in scope.items() if not (x.leaf or x.alias) and x.kind == "float" and x.shape
        }
        self.sizes = sizes_in(self.leaves)
        self.indices = [text for text, x in self.leaves.items() if x.kind == "index"]

    def _visit(self, slot: Slot, whole: bool, phase: int) -> Iterator[Edit]:
        """The edits of an expression and of its parts; of a ``whole`` term, more is added and multiplied."""
        node = slot.get()
        text = ast.unparse(node)
        thing = self.scope.get(text)
        if whole:
            yield from self._term(slot, text, thing, phase)
        if phase == 0:
            yield from self._own(slot, node, text, thing, whole)
        elif phase == 1 and is_leaf(node) and thing is not None and thing.kind in NUMBERS:
            yield from self._unlike(slot, text, thing)
        if thing is not None and thing.kind == "float" and thing.shape and slot.field != "slice":
            if phase == 1 and isinstance(node, (ast.Name, ast.Attribute, ast.Subscript, ast.Call)):
                yield from self._target(slot, text, thing.shape)
            if phase == 2 and is_leaf(node) and not whole:
                alike = [t for t, x in self.floats.items() if t != text and x.shape == thing.shape]
                yield from (Edit(slot, f"({text} {sign} {t})", "term") for t in alike for sign in "+-")
        for field, value in ast.iter_fields(node):
            if field in ("ctx", "op", "ops") or (
                isinstance(node, ast.Attribute) and not self._is_edited(value)
            ):
                continue
            if field == "func":
                if isinstance(value, ast.Attribute) and self._is_edited(value.value):
                    yield from self._visit(Slot(value, "value"), value.attr in REDUCED, phase)
                continue
            terms = isinstance(node, (ast.Call, ast.Dict)) or _is_sum(node)
            if isinstance(value, ast.AST):
                yield from self._child(Slot(node, field), terms, phase)
            for i, x in enumerate(value if isinstance(value, list) else ()):
                if isinstance(x, ast.comprehension):
                    yield from self._child(Slot(x, "iter"), False, phase)
                    for j in range(len(x.ifs)):
                        yield from self._child(Slot(x, "ifs", j), False, phase)
                elif isinstance(x, ast.keyword):
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
        if phase == 0 and slot.field == "slice":
            yield from self._steps(slot)

    def _steps(self, slot: Slot) -> Iterator[Edit]:
        """An index with a number of which it is made more than once multiplied by a stride, or shifted."""
        parts = [x.id for x in ast.walk(slot.get()) if isinstance(x, ast.Name)]
        for name in sorted({x for x in parts if parts.count(x) > 1}):
            if (thing := self.scope.get(name)) and thing.kind == "int":
                for new in (*(f"{name} * {n}" for n in self.sizes), f"({name} + 1)", f"({name} - 1)"):
                    yield Edit(slot, _with(slot.get(), name, new), "index")

    def _term(self, slot: Slot, text: str, thing: Thing | None, phase: int) -> Iterator[Edit]:
        """A whole term with another sign, constant, term or factor."""
        node = slot.get()
        is_int = thing is not None and thing.kind == "int"
        if thing is not None and thing.kind == "mask" and phase == 1:
            alike = [t for t, x in self.floats.items() if x.shape == thing.shape]
            yield from (Edit(slot, f"({text}) * {t}", "factor") for t in alike)
        if isinstance(node, (ast.Tuple, ast.List, ast.Dict, ast.Compare)) or (
            thing is not None and (thing.kind not in ("float", "int", "index") or (is_int and phase))
        ):
            return
        if phase == 0:
            per = [f" / {n}" for n in self.sizes]
            if not _is_sum(slot.parent):  # there another sign stands between
                yield Edit(slot, f"-({text})", "negative")
            yield from (
                Edit(slot, f"({text}) * {n}", "constant") for n in (["2", "0.5"] if not is_int else [])
            )
            for n in self.sizes:
                yield Edit(slot, f"({text}) * {n}", "constant")
                if not is_int:
                    yield Edit(slot, f"({text}) / {n}", "constant")
                if not is_int and self.np:
                    yield Edit(slot, f"({text}) / {self.np}sqrt({n})", "constant")
            for t, sign, by in itertools.product(self.unused, "+-*", ("", *per)):
                if t != text:
                    kind = "unused factor" if sign == "*" else "unused term"
                    yield Edit(slot, f"({text}) {sign} {t}{by}", kind)
            return
        shape = None if thing is None else thing.shape
        if phase == 3:
            if shape:
                near = [t for t, x in self.floats.items() if x.shape and goes_into(x.shape, shape)][:FEW]
                for p, q in itertools.combinations(near, 2):
                    if shape in (self.floats[p].shape, self.floats[q].shape):
                        yield from (Edit(slot, f"({text}) {sign} {p} * {q}", "term") for sign in "+-")
            return
        some: dict[str, Thing] = {**self.arrays, **(self.compounds if phase == 2 else {})}
        for t, x in some.items():
            if t == text and phase == 1:
                continue
            multiplies = shape is None or goes_into(x.shape, shape) or go_together(shape, x.shape)
            adds = shape is None or x.shape == shape or (shape != () and goes_into(x.shape, shape))
            named = x.leaf or CALL.fullmatch(t) is not None
            plain, p = phase == 1 or not x.leaf, t if named else f"({t})"
            if plain and adds:
                yield from (Edit(slot, f"({text}) {sign} {p}", "term") for sign in "+-")
            if plain and multiplies:
                yield Edit(slot, f"({text}) * {p}", "factor")
            if multiplies and phase == 2 and named:
                for factor in (
                    f"/ {p}",
                    f"* (1 - {p} ** 2)",
                    f"* {p} * (1 - {p})",
                    f"* (1 - {p})",
                    f"* ({p} > 0)",
                    f"* {self.np}sign({p})",
                ):
                    yield Edit(slot, f"({text}) {factor}", "factor")
            if multiplies and phase == 2 and x.leaf:
                yield from (Edit(slot, f"({text}) * {name}({t})", "factor") for name in self.functions)
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
            case ast.UnaryOp(ast.Invert(), operand):
                yield Edit(slot, ast.unparse(operand), "mask")
            case ast.Compare(left, [_], [right]):
                for sign in (">", "<", ">=", "==", "!="):
                    yield Edit(slot, f"({ast.unparse(left)}) {sign} ({ast.unparse(right)})", "comparison")
            case ast.Call():
                yield from self._call(slot, node)
            case ast.Attribute(value, "T"):
                yield Edit(slot, ast.unparse(value), ".T")
            case ast.Subscript(value):
                yield Edit(slot, ast.unparse(value), "flip" if "::-1" in text else "index")
            case ast.Constant(value) if isinstance(value, (int, float)) and not isinstance(value, bool):
                idle = isinstance(slot.parent, ast.BinOp) and isinstance(slot.parent.op, (ast.Mult, ast.Pow))
                known = [x for x in self.constants if x != value] if value % 1 else []
                counted = isinstance(value, int) and isinstance(slot.parent, (ast.Assign, ast.Call))
                turned = "negative" if counted else "sign"  # of a count, a number near it is plainer
                exponent = isinstance(slot.parent, ast.BinOp) and isinstance(slot.parent.op, ast.Pow)
                powers = EXPONENTS if exponent and slot.field == "right" else ()
                for number in dict.fromkeys((*_near(value), *known, *powers)):
                    if number != 1 or not idle:  # it would rather be left out
                        yield Edit(slot, repr(number), turned if number == -value else "number")
                if known:
                    yield from (Edit(slot, t, "name") for t, x in self.floats.items() if not x.shape)
                if value in (0, 1):
                    yield from (Edit(slot, n, "number") for n in self.sizes)
        if thing is None:
            if isinstance(node, ast.Call):
                yield Edit(slot, f"({text}) ** 2", "power")
                yield Edit(slot, f"({text}).T" if whole else f"{self.np}swapaxes({text}, 0, 1)", ".T")
            return
        if thing.kind == "mask" and is_leaf(node) and not isinstance(slot.parent, ast.UnaryOp):
            yield Edit(slot, f"~{text}", "mask")
        flipped = text.endswith(".T") or (isinstance(slot.parent, ast.Attribute) and slot.parent.attr == "T")
        of_an_axis = isinstance(slot.parent, ast.Attribute) and slot.parent.attr in ("shape", *REDUCED)
        if thing.kind == "float" and len(thing.shape) >= 2 and not (flipped or of_an_axis):
            yield Edit(slot, f"({text}).T", ".T")
            if len(thing.shape) > 2:
                yield Edit(slot, f"{self.np}swapaxes({text}, 0, 1)", ".T")
                yield Edit(slot, f"{self.np}swapaxes({text}, -1, -2)", ".T")
        if is_leaf(node):
            product = isinstance(slot.parent, ast.BinOp) and not isinstance(slot.parent.op, ast.MatMult)
            beside = _beside(slot)  # nobody means x - x, or x / x
            for t, x in self.leaves.items():
                alike = x.shape == thing.shape or (
                    thing.kind == "float" and product and go_together(thing.shape, x.shape)
                )
                if t not in (text, beside) and x.kind == thing.kind and alike:
                    yield Edit(slot, t, "name")
            if thing.kind == "int":
                yield from _shifted(slot)
                twice = () if any(x[:3] == ("int", (), 2) for x in self.leaves.values()) else ("2",)
                yield from (Edit(slot, f"({text}) * {n}", "constant") for n in (*twice, *self.sizes))
        if thing.kind == "float" and (is_leaf(node) or isinstance(node, ast.Call)):
            yield Edit(slot, f"({text}) ** 2", "power")
        if _is_sum(slot.parent) and thing.kind in ("int", "index", "float"):
            yield from self._one_hot(slot, node, text)

    def _one_hot(self, slot: Slot, node: ast.AST, text: str) -> Iterator[Edit]:
        """One-hot vectors in the place of classes that are subtracted from an array."""
        parent: Any = slot.parent
        other = ast.unparse(parent.left if slot.field == "right" else parent.right)
        shape = self.scope[other].shape if other in self.scope else ()
        own = {ast.unparse(x) for x in ast.walk(node) if isinstance(x, ast.expr)}
        for t in [text] if isinstance(node, ast.Constant) else own & {*self.leaves}:
            kept = self.scope.get(t, Thing("int"))
            if shape and kept.kind in ("int", "index") and kept.shape == shape[:-1]:
                yield Edit(slot, f"{self.np}eye({_shape_of(other)}[-1])[{t}]", "one-hot")

    def _target(self, slot: Slot, text: str, shape: Shape) -> Iterator[Edit]:
        """An array with 1 subtracted at the index of a target, one of the classes where no name has it."""
        eye = f"{self.np}eye({_shape_of(text)}[-1])"
        names = [t for t, x in self.leaves.items() if x.kind in ("int", "index") and x.shape == shape[:-1]]
        classes = [str(k) for k in range(shape[-1])] if len(shape) == 1 and shape[0] <= FEW else []
        for t in names or classes:
            yield Edit(slot, f"({text} - {eye}[{t}])", "target")

    def _unlike(self, slot: Slot, text: str, thing: Thing) -> Iterator[Edit]:
        """Another name in the place of one, of any shape, or a function of it."""
        if thing.kind == "float":
            if thing.shape:
                yield Edit(slot, f"{text}[..., ::-1, ::-1]" if thing.shape[1:] else f"{text}[::-1]", "flip")
            for name in (*(self.np + name for name in WRAPPED), *self.functions):
                yield Edit(slot, f"{name}({text})", "function")
            yield Edit(slot, f"({text}) > 0", "comparison")
            yield from self._of_class(slot, text, thing.shape)
        sized = isinstance(slot.parent, ast.Attribute) and slot.parent.attr == "shape"
        for t, x in self.floats.items():
            if sized and 1 in x.shape:  # nobody means the length of an axis that is repeated
                continue
            if t != text and (x.shape != thing.shape or thing.kind != "float") and slot.field != "slice":
                yield Edit(slot, t, "name")

    def _of_class(self, slot: Slot, text: str, shape: Shape) -> Iterator[Edit]:
        """The number of each row's class, in the place of one for each column."""
        for t, x in self.leaves.items():
            if len(shape) == 1 and x.kind == "float" and len(x.shape) == 2 and x.shape[1:] == shape:
                yield Edit(slot, f"{self.np}sum({t} * {text}, axis=-1, keepdims=True)", "class")
            elif len(shape) == 1 and x.kind == "index" and len(x.shape) == 1:
                yield Edit(slot, f"{text}[{t}][:, None]", "class")

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
            case ast.BinOp(op=ast.Mult() | ast.Div()):
                yield from self._sigmoid(slot, node)
                yield from self._inside(slot, node)

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

    def _inside(self, slot: Slot, node: ast.BinOp) -> Iterator[Edit]:
        """γ·(d − mean d − …) that should be g − mean g − … with g = d·γ."""
        above, below = _fraction(node)
        sums = [x for x in above if _is_sum(x)]
        outside = [x for x in above if self._is_array(ast.unparse(x))]
        if len(sums) != 1:
            return
        parts = [ast.unparse(x) for x in ast.walk(sums[0]) if is_leaf(x)]
        for factor, name in itertools.product(outside, sorted({x for x in parts if parts.count(x) > 1})):
            if self._is_array(name):
                inner = _with(sums[0], name, f"{name} * {ast.unparse(factor)}")
                rest = [f"({ast.unparse(x)})" for x in above if x not in (factor, sums[0])]
                text = " * ".join([*rest, f"({inner})"])
                yield Edit(slot, "".join([text, *(f" / ({ast.unparse(x)})" for x in below)]), "inside")

    def _is_array(self, text: str) -> bool:
        thing = self.scope.get(text)
        return thing is not None and thing.kind == "float" and thing.shape != ()

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
        is_method = not on_numpy and base != "copy"
        if is_method and isinstance(node.func, ast.Attribute) and is_leaf(node.func.value):
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
                    yield Edit(slot, f"{name}({', '.join([*head, *order])})", "axis")


def _is_sum(node: ast.AST) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub))


def _beside(slot: Slot) -> str:
    """The other operand of a difference or a quotient."""
    match slot.parent:
        case ast.BinOp(left, ast.Sub() | ast.Div(), right):
            return ast.unparse(right if slot.field == "left" else left)
    return ""


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


def _with(node: ast.AST, name: str, new: str) -> str:
    """The text of an expression with another in the place of a name, or of what is written so."""

    class Put(ast.NodeTransformer):
        def visit(self, part: ast.AST) -> Any:
            if isinstance(part, ast.expr) and ast.unparse(part) == name:
                return ast.parse(new, mode="eval").body
            return self.generic_visit(part)

    return ast.unparse(Put().visit(copy.deepcopy(node)))


def _shape_of(text: str) -> str:
    return f"{text if text.isidentifier() else f'({text})'}.shape"


def _fraction(node: ast.expr) -> tuple[list[ast.expr], list[ast.expr]]:
    """The factors above and below the line."""
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div))):
        return [node], []
    (above, below), (over, under) = _fraction(node.left), _fraction(node.right)
    if isinstance(node.op, ast.Div):
        over, under = under, over
    return above + over, below + under


def _factors(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        yield from _factors(node.left)
        yield from _factors(node.right)
    else:
        yield ast.unparse(node)
