"""Statements on arrays as NumPy source."""

from __future__ import annotations

import ast
import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_mini import formulas, rules
from autograd_mini.rolling.constants import in_numpy
from autograd_mini.rolling.grids import Affine
from autograd_mini.rolling.names import Names
from autograd_mini.rolling.terms import (
    BATCH,
    Apply,
    Assemble,
    Assign,
    Axes,
    Contract,
    Gather,
    Loop,
    Masked,
    Name,
    Number,
    Piece,
    Reduce,
    Scan,
    Spread,
    Table,
    Term,
    View,
    applied,
    in_front,
    own_axes,
    reduced,
    spread,
)
from autograd_mini.rules import Primitive

if TYPE_CHECKING:
    from autograd_mini.rolling.grids import Ints

COMPARE, SUM, PRODUCT, POWER, ATOM = range(5)
OPERATORS = {
    "add": ("+", SUM),
    "sub": ("-", SUM),
    "mul": ("*", PRODUCT),
    "div": ("/", PRODUCT),
    "less": ("<", COMPARE),
    "less_equal": ("<=", COMPARE),
    "equal": ("==", COMPARE),
}
FOLDS = {"add": ("sum", "+"), "maximum": ("max", "|"), "minimum": ("min", "&")}
RUNNING = {"add": "cumsum", "mul": "cumprod"}
WHOLE = {"max": "any", "min": "all"}  # of truths
SAME = {"abs", "where"} | {
    row.numpy for row in rules.table.values() if isinstance(getattr(np, row.numpy, None), np.ufunc)
}
SCIPY = {"erf": "erf", "erfc": "erfc", "lgamma": "gammaln"}
LINE = 92  # characters, without indentation
SUBSCRIPTS = "ijklmpqrsuvwabcdefgh"
Text = tuple[str, int]


class NumPy:
    """Terms as text; it collects the constants and the functions that the text needs.

    ``count`` is the name of the number of samples.
    """

    def __init__(self, names: Names, count: str = "") -> None:
        self.names, self.count = names, count
        self.constants: dict[str, str] = {}  # by their text, the names
        self.rows: dict[str, Primitive] = {}
        self.imports: set[str] = set()
        self.step = ""  # the index of the loop that is written

    def length(self, term: Term) -> int:
        return len(self.text(term)[0])

    def atom(self, term: Term) -> str:
        return _atom(*self.text(term))

    def text(self, term: Term) -> Text:
        """Source of a term and how strongly it binds."""
        match term:
            case Number():
                return self.number(float(term.value))
            case Table():
                return self.constant(term.values), ATOM
            case Name():
                return term.name, ATOM
            case View():
                return self.view(term)
            case Gather():
                batch, of = in_front(term.axes), self.atom(term.of)
                flat = self.flattened(of, batch) if len(own_axes(term.of.axes)) > 1 else of
                at = str(int(term.at.values)) if not term.at.axes else self.constant(term.at.values)
                return f"{flat}[{':, ' * len(batch)}{at}]", ATOM
            case Masked():
                return f"np.where({self.atom(term.mask)}, {self.aligned(term.of, term.axes)[0]}, 0)", ATOM
            case Spread():
                return self.spread(term)
            case Reduce():
                away = [k for k, letter in enumerate(term.of.axes) if letter not in term.axes]
                method = FOLDS[term.row.name][0]
                method = WHOLE[method] if term.truth else method
                return self.fold(term.of, method, away)
            case Scan():
                return f"np.{RUNNING[term.row.name]}({self.text(term.of)[0]})", ATOM
            case Contract():
                return self.contract(term)
            case Apply():
                return self.apply(term)
        raise AssertionError(term)

    def number(self, value: float) -> Text:
        return _number(value)

    def fold(self, of: Term, method: str, away: list[int]) -> Text:
        return f"{self.atom(of)}.{method}({_axis(away, of.axes)})", ATOM

    def constant(self, values: Any) -> str:
        """The name of an array of constants, which stands above the function."""
        rows, columns = values.shape if values.ndim == 2 else (0, 1)
        kind = ", dtype=bool" if values.dtype == bool else ""
        if rows == columns and np.array_equal(values, np.eye(rows)):
            text = f"np.eye({rows}{kind})"
        elif rows and values.dtype == bool and np.array_equal(values, np.tri(rows, columns)):
            text = f"np.tri({rows}, {columns}{kind})"
        else:
            text = re.sub(r"\b(inf|nan)\b", r"np.\1", f"np.array({values.tolist()})")
            text = re.sub(r"\d+\.\d{10,}", lambda x: (in_numpy(float(x[0])) or x)[0], text)
        return self.named_constant(text, "at" if values.dtype.kind == "i" else "c")

    def named_constant(self, text: str, stem: str) -> str:
        if text not in self.constants:
            self.constants[text] = self.names.numbered(stem)
        return self.constants[text]

    # --- axes ---

    def flattened(self, array: str, batch: Axes) -> str:
        """An array with its own axes drawn together."""
        return f"{array}.reshape({'-1' if not batch else f'{self.count}, -1'})"

    def shape(self, axes: Axes, own: tuple[int, ...]) -> str:
        """A shape with the number of samples in front, if the axes have it."""
        return str(own) if not in_front(axes) else f"({', '.join(map(str, (self.count, *own)))},)"

    def aligned(self, term: Term, target: Axes) -> Text:
        """A term's array with its axes in the target's order and an axis of length 1 where it has none."""
        text, level = self.text(term)
        wanted = tuple(letter for letter in target if letter in term.axes)
        if term.axes != wanted:
            order = [term.axes.index(letter) for letter in wanted]
            core = term.of if isinstance(term, View) and term.whole else term
            if order == [1, 0] and isinstance(core, Contract):
                text, level = self.contract(replace(core, axes=core.axes[::-1]))
            elif order == list(range(len(order)))[::-1]:
                text, level = f"{_atom(text, level)}.T", ATOM
            else:
                text, level = f"np.transpose({text}, ({', '.join(map(str, order))}))", ATOM
        if wanted:
            index = [":" if letter in wanted else "None" for letter in target[target.index(wanted[0]) :]]
            if "None" in index:
                while index[-1] == ":":
                    index.pop()
                return f"{_atom(text, level)}[{', '.join(index)}]", ATOM
        return text, level

    def view(self, term: View) -> Text:
        if term.windowed:
            return self.windows(term), ATOM
        parts = [":"] * len(in_front(term.axes))
        sizes = np.array(term.sizes) * (np.array(term.sizes) > 1)
        growth = term.growth or 0 * sizes
        for offset, steps, size, pace in zip_longest(
            term.place.offset.tolist(), term.place.steps, term.shape, term.pace
        ):
            if pace or (steps @ growth).any():
                parts.append(self.moving(offset, pace, int(steps @ sizes), int(steps @ growth)))
            else:
                parts.append(_slice(offset, steps, term.sizes, size))
        while parts and parts[-1] == ":":
            parts.pop()
        return (f"{self.atom(term.of)}[{', '.join(parts)}]", ATOM) if parts else self.text(term.of)

    def moving(self, offset: int, pace: int, count: int, growth: int) -> str:
        """The index of an axis in a step of a loop: of so many elements, or of one."""

        def place(start: int, step: int) -> str:
            if not step:
                return str(start)
            if step == -1:
                return f"{start} - {self.step}"
            factor = self.step if step == 1 else f"{step} * {self.step}"
            return f"{factor} + {start}" if start > 0 else f"{factor} - {-start}" if start else factor

        if not count:
            return place(offset, pace)
        return f"{place(offset, pace) if offset or pace else ''}:{place(offset + count, pace + growth)}"

    def windows(self, term: View) -> str:
        """A view some of whose axes stand at sums of indices, by arrays of them."""
        if (sizes := _sliding(term)) is not None:
            self.imports.add("from numpy.lib.stride_tricks import sliding_window_view")
            along = f", {tuple(range(1, 1 + len(sizes)))}" * len(in_front(term.axes))
            return f"sliding_window_view({self.text(term.of)[0]}, {sizes}{along})"
        parts = [":"] * len(in_front(term.axes))
        for offset, steps, pace in zip_longest(term.place.offset.tolist(), term.place.steps, term.pace):
            if pace:
                parts.append(self.moving(offset, pace, 0, 0))
                continue
            terms = [str(offset)] if offset else []
            for letter in own_axes(term.axes):
                if step := int(steps[letter]):
                    after = len(term.axes) - 1 - term.axes.index(letter)
                    count = f"np.arange({term.sizes[letter]})" + f"[:{', None' * after}]" * bool(after)
                    sign = "-" if step < 0 else "+" if terms else ""
                    factor = f"{abs(step)} * " if abs(step) != 1 else ""
                    terms.append(f"{sign} {factor}{count}" if terms else f"{sign}{factor}{count}")
            part = " ".join(terms) or "0"
            parts.append(part if len(part) < 20 else self.named_constant(part, "at"))
        return f"{self.atom(term.of)}[{', '.join(parts)}]"

    def spread(self, term: Spread) -> Text:
        lengths = zip(own_axes(term.axes), term.shape, strict=True)
        missing = [size for letter, size in lengths if letter not in term.of.axes]
        shape = self.shape(term.axes, term.shape)
        if isinstance(term.of, Number):
            value = term.of.value
            word = {0.0: "zeros", 1.0: "ones"}.get(value) if math.copysign(1, value) > 0 else None
            return f"np.{word}({shape})" if word else f"np.full({shape}, {self.number(value)[0]})", ATOM
        text = self.aligned(term.of, term.axes)[0]
        return f"np.{'reshape' if set(missing) == {1} else 'broadcast_to'}({text}, {shape})", ATOM

    # --- operations ---

    def apply(self, term: Apply) -> Text:
        name, operands = term.row.name, term.operands
        if name == "where" and term.truth:
            return self.condition(term)
        if (
            name == "mul"
            and [len(x.axes) for x in operands] == [1, 1]
            and operands[0].axes != operands[1].axes
        ):
            return self.outer(*sorted(operands, key=lambda x: x.axes))
        texts = [self.aligned(x, term.axes) for x in operands]
        if term.truth and name in FOLDS:
            return f" {FOLDS[name][1]} ".join(_atom(*text) for text in texts), COMPARE
        if name in FOLDS:
            while len(texts) > 1:
                texts[:2] = [_added(*texts[:2]) if name == "add" else _called(f"np.{name}", texts[:2])]
            return texts[0]
        if name in OPERATORS:
            symbol, level = OPERATORS[name]
            (x, strong), (y, strength) = texts
            x = x if strong >= max(level, SUM) else f"({x})"
            y = y if strength > level else f"({y})"
            if level > COMPARE or term.truth:
                return f"{x} {symbol} {y}", level
            return f"({x} {symbol} {y}) * 1.0", PRODUCT
        if name == "neg":
            text, level = texts[0]
            return f"-{text if level >= PRODUCT and not text.startswith('-') else f'({text})'}", PRODUCT
        if name == "square" and texts[0][1] == ATOM:
            return f"{texts[0][0]}**2", POWER
        if name == "pow":
            return self.power(*texts)
        if name in ("detach", "identity"):
            return texts[0]
        if name == "convention":
            name = "where"
        if numpy_name(name) in SAME:
            return _called(f"np.{numpy_name(name)}", texts)
        return _called(self.function(term.row), texts)

    def function(self, row: Primitive) -> str:
        """The name of a function that is not NumPy's own."""
        self.rows.setdefault(row.name, row)
        return SCIPY.get(row.name, row.name)

    def outer(self, x: Term, y: Term) -> Text:
        return f"np.outer({self.text(x)[0]}, {self.text(y)[0]})", ATOM

    def power(self, x: Text, y: Text) -> Text:
        return f"{_atom(*x)}**{_atom(*y)}", POWER

    def condition(self, term: Apply) -> Text:
        """A ``where`` between 1 and 0, as a boolean."""
        first = term.operands[1]
        if isinstance(first, Number) and first.value == 1.0:
            return self.text(term.operands[0])
        match term.operands[0]:
            case Apply(row=row, operands=(x, y)) if row is rules.equal:
                text, level = self.apply(Apply(term.operands[0].axes, row, (x, y), truth=True))
                if text.count(" == ") == 1:
                    return text.replace(" == ", " != "), level
        text = self.atom(term.operands[0])  # ~ of a Python bool is a number
        return (f"~{text}", PRODUCT) if term.axes else (f"np.logical_not({text})", ATOM)

    def product(self, x: str, y: str) -> Text:
        return f"{x} @ {y}", PRODUCT

    def contract(self, term: Contract) -> Text:
        """The sum over products by what NumPy has for its shape."""
        x, y, out = term.x, term.y, term.axes
        if isinstance(x, Number) or isinstance(y, Number):
            number, array = (x, y) if isinstance(x, Number) else (y, x)
            return self.aligned(applied(rules.mul, (number, reduced(rules.add, array, out))), out)
        summed = tuple(letter for letter in x.axes if letter in y.axes and letter not in out)
        both = [letter for letter in x.axes if letter in y.axes and letter in out]
        own_x = tuple(letter for letter in x.axes if letter not in y.axes)
        own_y = tuple(letter for letter in y.axes if letter not in x.axes)
        if not all(letter in out for letter in own_x + own_y):  # inf · Σx is not Σ inf · x
            return self.aligned(reduced(rules.add, applied(rules.mul, (x, y)), out), out)
        if summed and not both:
            if x.axes == y.axes:
                return f"np.vdot({self.text(x)[0]}, {self.text(y)[0]})", ATOM
            if own_x + own_y != out or (not own_x and y.axes == own_y + summed):
                x, y, own_x, own_y = y, x, own_y, own_x
            if own_x + own_y == out:
                if len(summed) == 1 and len(own_x) <= 1 and len(own_y) <= 1:
                    left = self.atom(x) + ".T" * (x.axes != own_x + summed)
                    right = self.atom(y) + ".T" * (y.axes != summed + own_y)
                    return self.product(left, right)
                axes = [[array.axes.index(letter) for letter in summed] for array in (x, y)]
                plain = x.axes == own_x + summed and y.axes == summed + own_y
                which = len(summed) if plain else f"({axes[0]}, {axes[1]})"
                return f"np.tensordot({self.text(x)[0]}, {self.text(y)[0]}, {which})", ATOM
        if both == [BATCH] and len(summed) == 1 and len(own_x) <= 1 and len(own_y) <= 1:
            if own_x + own_y != own_axes(out):
                x, y, own_x, own_y = y, x, own_y, own_x
            if own_x and own_y:  # a product of matrices for each sample
                left = self.aligned(x, (BATCH, *own_x, *summed))[0]
                right = self.aligned(y, (BATCH, *summed, *own_y))[0]
                return f"np.matmul({left}, {right})", ATOM
        letters = dict(zip(sorted({*x.axes, *y.axes}), SUBSCRIPTS, strict=False))
        x_, y_, out_ = ("".join(letters[k] for k in axes) for axes in (x.axes, y.axes, out))
        return f'np.einsum("{x_},{y_}->{out_}", {self.text(x)[0]}, {self.text(y)[0]})', ATOM

    # --- statements ---

    def statement(self, statement: Assign | Assemble | Loop) -> list[str]:
        if isinstance(statement, Assign):
            return [f"{statement.name} = {self.sorted(statement.term)}"]
        if isinstance(statement, Loop):
            return [*self.loop(statement)]
        shape = self.shape(statement.axes, statement.shape)
        lines = [f"{statement.name} = np.{'zeros' if statement.adds else 'empty'}({shape})"]
        for piece in statement.pieces:
            lines += self.piece(statement, piece)
        return lines

    def sorted(self, term: Term) -> str:
        """A term's array with its axes in their order."""
        return self.aligned(term, tuple(sorted(term.axes)))[0]

    def loop(self, loop: Loop) -> Iterator[str]:
        for row in loop.rows:
            before = int(row.first is not None)
            yield f"{row.name} = np.empty({(loop.count + before, *row.shape)})"
            if row.first is not None:
                yield f"{row.name}[0] = {self.sorted(row.first)}"
        self.step = self.names.loop(0)
        yield f"for {self.step} in range({loop.count}):"
        for row in loop.rows:
            place = self.step if row.first is None else f"{self.step} + 1"
            yield f"    {row.name}[{place}] = {self.sorted(row.term)}"
        self.step = ""

    def piece(self, array: Assemble, piece: Piece) -> list[str]:
        symbol, rank, batch = "+=" if array.adds else "=", len(array.shape), in_front(array.axes)
        lead = ":, " * len(batch)
        flat = self.flattened(array.name, batch) if rank > 1 else array.name
        if not isinstance(piece.to, Affine):
            text = self.aligned(piece.term, (*batch, 0) if len(piece.to) > 1 else batch)[0]
            return [f"{flat}[{lead}{self.positions(piece.to)}] {symbol} {text}"]
        used = [[int(k) for k in np.flatnonzero(steps) if piece.sizes[k] > 1] for steps in piece.to.steps]
        diagonal = rank > 1 and used == [[0]] * rank and array.shape == (piece.sizes[0],) * rank
        if diagonal and not piece.to.offset.any() and not array.adds and not batch:
            return [f"np.fill_diagonal({array.name}, {self.text(piece.term)[0]})"]
        seen = [k for axes in used for k in axes]
        if len(set(seen)) < len(seen):
            grid = piece.to.flat(piece.sizes, array.shape).reshape(-1)
            term = spread(piece.term, piece.sizes)
            text = (
                self.flattened(self.atom(term), in_front(term.axes))
                if len(piece.sizes) > 1
                else self.text(term)[0]
            )
            return [f"{flat}[{lead}{self.positions(grid)}] {symbol} {text}"]
        loops: dict[int, str] = {}
        index, kept = [":"] * len(batch), [*batch]
        for offset, steps, axes, size in zip(piece.to.offset, piece.to.steps, used, array.shape, strict=True):
            axes = sorted(axes, key=lambda k: -piece.sizes[k])
            for k in axes[1:]:
                loops[k] = self.names.loop(len(loops))
            kept += axes[:1]
            start = " + ".join(loops[k] if steps[k] == 1 else f"{steps[k]} * {loops[k]}" for k in axes[1:])
            if not start:
                index.append(_slice(int(offset), steps, piece.sizes, size))
                continue
            k = axes[0]
            end = int(offset + steps[k] * (piece.sizes[k] - 1) + 1)
            first = f"{start} + {offset}" if offset else start
            index.append(f"{first}:{start} + {end}" + f":{steps[k]}" * int(steps[k] != 1))
        term = piece.term
        if loops:
            of = self.atom(term)
            own = [loops.get(k, ":") for k in term.axes]
            source = f"{of}[{', '.join(own)}]" if set(own) != {":"} else of
            shown = Name(tuple(k for k in term.axes if k not in loops), source, ())
        else:
            shown = Name(
                term.axes,
                self.text(term)[0] if len(term.axes) == len(array.axes) == len(kept) else self.atom(term),
                (),
            )
        text = self.aligned(shown, tuple(kept))[0]
        while index and index[-1] == ":" and len(index) > 1:
            index.pop()
        line = f"{array.name}[{', '.join(index)}] {symbol} {text}"
        if not loops:
            return [line]
        counts = ", ".join(str(piece.sizes[k]) for k in loops)
        over = f"range({counts})" if len(loops) == 1 else f"np.ndindex({counts})"
        return [f"for {', '.join(loops.values())} in {over}:", f"    {line}"]

    def positions(self, at: Ints) -> str:
        steps = np.diff(at)
        if len(at) == 1:
            return str(at[0])
        if (steps == steps[0]).all() and steps[0] > 0:
            return f"{at[0] or ''}:{at[-1] + 1}" + f":{steps[0]}" * int(steps[0] != 1)
        return self.constant(at)

    # --- what stands above the function ---

    def helpers(self) -> list[str]:
        """Definitions of the rows that NumPy does not have, after what they call."""
        blocks: dict[str, str] = {}

        def define(row: Primitive) -> None:
            if row.name in SCIPY:
                self.imports.add(f"from scipy.special import {SCIPY[row.name]}")
                return
            tree = ast.parse(rules.elementwise(formulas.expression(row.stable)), mode="eval")
            for node in ast.walk(tree):
                if isinstance(node, ast.Name) and node.id not in row.operands:
                    if node.id in SCIPY:
                        self.imports.add(f"from scipy.special import {SCIPY[node.id]}")
                        node.id = SCIPY[node.id]
                    elif hasattr(np, numpy_name(node.id)):
                        node.id = f"np.{numpy_name(node.id)}"
                    else:
                        define(rules.table[node.id])
            formula = ast.unparse(tree)
            line = f"return {formula}" if len(formula) < LINE - 7 else _in_lines(f"return ({formula})")
            blocks[row.name] = f"def {row.name}({', '.join(row.operands)}):\n    {line}"

        for row in self.rows.values():
            define(row)
        return list(blocks.values())


def wrapped(name: str, text: str) -> str:
    """The constant's line, in several if it is long, and then in brackets."""
    line = f"{name} = {text}"
    if len(line) > LINE and isinstance(ast.parse(text, mode="eval").body, ast.BinOp):
        line = f"{name} = ({text})"
    return _in_lines(line)


def _in_lines(line: str) -> str:
    """The line in several if it is long, for what stands in brackets."""
    return "\n".join(textwrap.wrap(line, LINE, subsequent_indent=" " * 8, break_long_words=False))


def numpy_name(name: str) -> str:
    known = rules.table[name].numpy if name in rules.table else name
    return "abs" if known == "absolute" else known


def _atom(text: str, level: int) -> str:
    return text if level == ATOM else f"({text})"


def _called(name: str, texts: Sequence[Text]) -> Text:
    return f"{name}({', '.join(text for text, _ in texts)})", ATOM


def _added(x: Text, y: Text) -> Text:
    """``x + y``; what starts with a minus is subtracted, which is the same in IEEE arithmetic."""
    if x[0].startswith("-") and x[1] >= PRODUCT and not y[0].startswith("-"):
        x, y = y, x
    left = x[0] if x[1] >= SUM else f"({x[0]})"
    if y[0].startswith("-") and y[1] >= PRODUCT:
        return f"{left} - {y[0][1:]}", SUM
    return f"{left} + {y[0] if y[1] > SUM else f'({y[0]})'}", SUM


def _number(value: float) -> Text:
    size = abs(value)
    if (found := in_numpy(size)) is not None:
        constant, product = found
        return (constant, PRODUCT if product else ATOM) if value > 0 else (f"(-{constant})", ATOM)
    whole = size.is_integer() and size < 1e15 and (value or math.copysign(1, value) > 0)
    text = f"np.{size}" if not math.isfinite(value) else str(int(size)) if whole else repr(size)
    return (text, ATOM) if math.copysign(1, value) > 0 or value != value else (f"(-{text})", ATOM)


def _axis(away: list[int], axes: Axes) -> str:
    if len(away) == len(axes):
        return ""
    return f"axis={away[0]}" if len(away) == 1 else f"axis={tuple(away)}"


def _slice(offset: int, steps: Any, sizes: tuple[int, ...], size: int) -> str:
    """The index of an axis at ``offset`` and one letter's step."""
    letters = [k for k in np.flatnonzero(steps) if sizes[k] > 1]
    if not letters:
        return str(offset)
    step, count = int(steps[letters[0]]), sizes[letters[0]]
    stop = offset + step * (count - 1) + (1 if step > 0 else -1)
    start = "" if offset == (0 if step > 0 else size - 1) else str(offset)
    end = "" if stop == (size if step > 0 else -1) else str(stop)
    return f"{start}:{end}" + f":{step}" * (step != 1)


def _sliding(term: View) -> tuple[int, ...] | None:
    """The sizes of the windows, if the view has all windows of those sizes of the whole array."""
    axes = own_axes(term.axes)
    rank, steps = len(term.shape), term.place.steps[:, list(axes)]
    sizes = [term.sizes[letter] for letter in axes]
    both = np.hstack([np.eye(rank, dtype=int)] * 2)
    if not np.array_equal(steps, both) or term.place.offset.any():
        return None
    fits = all(x + y - 1 == size for x, y, size in zip(sizes, sizes[rank:], term.shape, strict=False))
    return tuple(sizes[rank:]) if fits else None
