"""Statements on arrays as LaTeX: in matrix notation where that says the same, in index notation elsewhere.

A vector is a column; functions apply to each element, ⊙ and ⊘ multiply and divide element by element.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import TypeAlias

import numpy as np

from autograd_mini import rules
from autograd_mini.rolling.constants import in_latex
from autograd_mini.rolling.grids import Affine
from autograd_mini.rolling.loops import Looped
from autograd_mini.rolling.names import Names
from autograd_mini.rolling.terms import (
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
    Reduce,
    Scan,
    Spread,
    Table,
    Term,
    View,
    applied,
    parts_of,
    reduced,
    unwrapped,
)
from autograd_mini.rules import Primitive

CHOICE, SUM, ELEMENTWISE, PRODUCT, POWER, ATOM = range(6)
Text: TypeAlias = "tuple[str, int]"
Index: TypeAlias = "tuple[int, Mapping[str, int]]"  # an offset, and symbols with their steps

LOOP = -2  # the letter of a loop's steps
ONES = r"\mathbf{1}"
GREEK = set(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi "
    "chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega".split()
)
FUNCTIONS = set("exp log sin cos tan sinh cosh tanh arcsin arccos arctan".split())
SIGNS = {"less": "<", "less_equal": r"\le", "equal": "="}
LARGE = {"add": r"\sum", "mul": r"\prod", "maximum": r"\max", "minimum": r"\min"}
LOGIC = {"maximum": (r"\lor", r"\bigvee"), "minimum": (r"\land", r"\bigwedge")}
SYMBOLS = "ijklmpqrsuvw"


class NotMatrixError(Exception):
    """What is asked for has no matrix notation."""


class Latex:
    def __init__(self, names: Names) -> None:
        self.names = names
        self.tables: list[Table] = []

    def document(self, body: Looped, head: str) -> str:
        """One aligned line a statement, the results last."""
        lines = [line for statement in body.statements for line in self.statement(statement)]
        results = ", ".join(self.either(term, tuple(sorted(term.axes))) for term in body.outputs)
        lines.append(f"{head} &= {results if len(body.outputs) == 1 else f'({results})'}")
        return "\n".join([r"\begin{aligned}", " \\\\\n".join(lines), r"\end{aligned}"])

    def loop(self, loop: Loop) -> Iterator[str]:
        for row in loop.rows:
            name, axes = self.symbol(row.name), tuple(range(len(row.shape)))
            if row.first is not None:
                indices = self.start(axes)
                at = [(0, {}), *indices.values()]
                yield f"{_at(name, at)} &= {self.entry(row.first, indices)[0]}"
        for row in loop.rows:
            name, axes = self.symbol(row.name), tuple(range(len(row.shape)))
            indices = self.start((LOOP, *axes))
            step = next(iter(indices[LOOP][1]))
            place = (int(row.first is not None), {step: 1})
            text = self.entry(row.term, indices)[0]
            left = _at(name, [place, *(indices[k] for k in axes)])
            yield rf"{left} &= {text}, \quad {step} = 0, \ldots, {loop.count - 1}"

    def statement(self, statement: Assign | Assemble | Loop) -> Iterator[str]:
        if isinstance(statement, Loop):
            yield from self.loop(statement)
            return
        name = self.symbol(statement.name)
        if isinstance(statement, Assign):
            axes = tuple(sorted(statement.term.axes))
            try:
                yield f"{name} &= {self.matrix(statement.term, axes)[0]}"
            except NotMatrixError:
                indices = self.start(axes)
                yield f"{_at(name, [indices[k] for k in axes])} &= {self.entry(statement.term, indices)[0]}"
            return
        sign = r"\mathrel{+}=" if statement.adds else "="
        if statement.adds:
            yield f"{name} &= 0"
        for piece in statement.pieces:
            letters = self.start(tuple(range(len(piece.sizes))))
            if isinstance(piece.to, Affine):
                places = [
                    _combined(int(offset), zip(steps.tolist(), letters.values(), strict=True))
                    for offset, steps in zip(piece.to.offset, piece.to.steps, strict=True)
                ]
            else:
                places = [(0, {rf"\mathrm{{{self.names.numbered('at')}}}(i)": 1})]
            yield f"{_at(name, places)} &{sign} {self.entry(piece.term, letters)[0]}"

    def either(self, term: Term, axes: Axes) -> str:
        try:
            return self.matrix(term, axes)[0]
        except NotMatrixError:
            return self.entry(term, self.start(axes))[0]

    def symbol(self, name: str) -> str:
        """A name as a person writes it: W1 is W₁, a derivative has an upright d."""
        derivative = name in self.names.derivatives
        stem, digits = re.fullmatch(r"(.*?)_?(\d*)", name[derivative:]).groups()  # type: ignore[union-attr]  # it matches any
        if re.fullmatch("[A-Z][a-z]+", stem) and not digits and stem not in GREEK:  # Wx is W with an index
            stem, digits = stem[0], stem[1:]
        if stem in GREEK:
            stem = f"\\{stem}"
        elif len(stem) > 1:
            stem = rf"\mathit{{{stem.replace('_', chr(92) + '_')}}}"
        return r"\mathrm{d}" * derivative + stem + (f"_{{{digits}}}" if digits else "")

    def table(self, term: Table) -> str:
        known = [k for k, table in enumerate(self.tables, 1) if np.array_equal(table.values, term.values)]
        if not known:
            self.tables.append(term)
            known = [len(self.tables)]
        return f"c_{{{known[0]}}}"

    # --- matrix notation ---

    def matrix(self, term: Term, target: Axes) -> Text:
        """A term as scalar, column or matrix along the target's axes, of which it may lack none."""
        if len(target) > 2 or set(term.axes) != set(target):
            raise NotMatrixError
        turned = term.axes != target
        match term:
            case Number():
                return _number(term.value)
            case Name() | Table():
                text = self.symbol(term.name) if isinstance(term, Name) else self.table(term)
                return (rf"{text}^\top", POWER) if turned else (text, ATOM)
            case View() if term.whole:
                return self.matrix(term.of, term.of.axes[::-1] if turned else term.of.axes)
            case Contract():
                return self.product(term, target)
            case Reduce():
                return self.fold(term)
            case Apply():
                return self.operation(term, target)
        raise NotMatrixError

    def operation(self, term: Apply, target: Axes) -> Text:
        name, operands = term.row.name, term.operands
        full = [set(x.axes) == set(target) for x in operands]
        if name in ("add", "sub"):
            texts = [self.spread(x, target) for x in operands]
            text, level = texts[0]
            for other in texts[1:]:
                text, level = _added((text, level), other, name == "sub")
            return text, level
        if name == "neg":
            return f"-{_least(self.matrix(operands[0], target), PRODUCT)}", ELEMENTWISE
        if name == "mul":
            return self.scaled(operands[0], operands[1], target)
        if name == "div" and (full[0] or not target):
            y = operands[1]
            if not y.axes:
                return rf"\frac{{{self.matrix(operands[0], target)[0]}}}{{{self.matrix(y, ())[0]}}}", PRODUCT
            if full[1]:
                x, y_ = (self.matrix(part, target) for part in operands)
                return rf"{_least(x, ELEMENTWISE)} \oslash {_least(y_, PRODUCT)}", ELEMENTWISE
        if name == "div" and full[1] and isinstance(operands[0], Number):
            number = _number(operands[0].value)[0]
            return rf"{number} \oslash {_least(self.matrix(operands[1], target), PRODUCT)}", ELEMENTWISE
        exponent = _exponent(term)
        if exponent is not None and full[0]:
            return _power(_least(self.matrix(operands[0], target), ATOM), exponent, target), POWER
        if name in ("detach", "identity"):
            return self.matrix(operands[0], target)
        if not all(full) or name in SIGNS or name in ("where", "convention", "maximum", "minimum", "pow"):
            raise NotMatrixError
        return _function(term.row, [self.matrix(x, target)[0] for x in operands])

    def spread(self, term: Term, target: Axes) -> Text:
        """A term in a sum of that shape: what lacks an axis is multiplied by ones."""
        if set(term.axes) == set(target):
            return self.matrix(term, target)
        if not term.axes and len(target) == 1:
            text = _least(self.matrix(term, ()), PRODUCT)
            return (ONES if text == "1" else f"{text} {ONES}"), PRODUCT
        if len(target) == 2 and len(term.axes) == 1:
            text = _least(self.matrix(term, term.axes), ATOM)
            return (rf"{text} {ONES}^\top" if term.axes[0] == target[0] else rf"{ONES} {text}^\top"), PRODUCT
        raise NotMatrixError

    def scaled(self, x: Term, y: Term, target: Axes) -> Text:
        """An element-by-element product."""
        full = [set(part.axes) == set(target) for part in (x, y)]
        if not target or (full[1] and not x.axes) or (full[0] and not y.axes):
            if y.axes or not x.axes:
                first, second = self.matrix(x, x.axes), self.matrix(y, target if y.axes else ())
            else:
                first, second = self.matrix(y, ()), self.matrix(x, target)
            if second[0][0].isdigit() or second[0].startswith("-"):
                return rf"{_least(first, PRODUCT)} \cdot {_least(second, PRODUCT)}", PRODUCT
            return f"{_least(first, PRODUCT)} {_least(second, PRODUCT)}", PRODUCT
        if all(full):
            left, right = (self.matrix(part, target) for part in (x, y))
            return rf"{_least(left, ELEMENTWISE)} \odot {_least(right, PRODUCT)}", ELEMENTWISE
        if len(x.axes) == len(y.axes) == 1:
            x, y = (x, y) if x.axes[0] == target[0] else (y, x)
            left, right = (self.matrix(part, part.axes) for part in (x, y))
            return rf"{_least(left, ATOM)} {_least(right, ATOM)}^\top", PRODUCT
        vector, whole = (x, y) if full[1] else (y, x)
        if len(vector.axes) != 1 or not any(full):
            raise NotMatrixError
        diagonal = rf"\operatorname{{diag}}({self.matrix(vector, vector.axes)[0]})"
        text = _least(self.matrix(whole, target), POWER)
        return (f"{diagonal} {text}" if vector.axes[0] == target[0] else f"{text} {diagonal}"), PRODUCT

    def fold(self, term: Reduce) -> Text:
        name, of = term.row.name, term.of
        if len(of.axes) > 2 or term.truth:
            raise NotMatrixError
        if name != "add":
            if term.axes:
                raise NotMatrixError
            return rf"{LARGE[name]}\left({self.matrix(of, of.axes)[0]}\right)", ATOM
        square = unwrapped(of)
        if not term.axes and isinstance(square, Apply) and _exponent(square) == "2":
            inner = square.operands[0]
            return rf"\lVert {self.matrix(inner, inner.axes)[0]} \rVert{'_F' * (len(of.axes) == 2)}^2", POWER
        away = next(letter for letter in of.axes if letter not in term.axes)
        order = (*term.axes, away) if term.axes else of.axes
        text = _least(self.matrix(of, order), POWER)
        if term.axes:
            return f"{text} {ONES}", PRODUCT
        return rf"{ONES}^\top {text}" + f" {ONES}" * (len(of.axes) == 2), PRODUCT

    def product(self, term: Contract, target: Axes) -> Text:
        for factor, other in ((term.x, term.y), (term.y, term.x)):
            front, array = _number_times(factor)
            if front is not None:
                return self.scaled(front, Contract(term.axes, array, other), target)
        x, y = term.x, term.y
        summed = [letter for letter in (*x.axes, *y.axes) if letter not in target]
        shared = [letter for letter in x.axes if letter in y.axes]
        if isinstance(x, Number) or isinstance(y, Number):
            number, array = (x, y) if isinstance(x, Number) else (y, x)
            return self.matrix(applied(rules.mul, (number, reduced(rules.add, array, target))), target)
        if len(shared) == 2 and x.axes == y.axes and not target:
            first, second = self.matrix(x, x.axes), self.matrix(y, y.axes)
            if first == second:
                return rf"\lVert {first[0]} \rVert_F^2", POWER
            return rf"\operatorname{{tr}}({_least(first, ATOM)}^\top {_least(second, POWER)})", ATOM
        if len(shared) == 2 and not target:
            first, second = self.matrix(x, x.axes), self.matrix(y, x.axes[::-1])
            return rf"\operatorname{{tr}}({_least(first, POWER)} {_least(second, POWER)})", ATOM
        if len(shared) != 1 or set(summed) != set(shared) or len(x.axes) > 2 or len(y.axes) > 2:
            raise NotMatrixError
        (k,) = shared
        if len(x.axes) == len(y.axes) == 1:
            first, second = self.matrix(x, (k,)), self.matrix(y, (k,))
            if first == second:
                return rf"\lVert {first[0]} \rVert^2", POWER
            return rf"{_least(first, ATOM)}^\top {_least(second, POWER)}", PRODUCT
        if (len(target) == 1 and len(x.axes) == 1) or (len(target) == 2 and target[0] in y.axes):
            x, y = y, x
        left = (*(letter for letter in target if letter in x.axes), k)
        right = (k, *(letter for letter in target if letter in y.axes))
        first, second = self.matrix(x, left), self.matrix(y, right)
        return f"{_least(first, POWER)} {_least(second, POWER)}", PRODUCT

    # --- index notation ---

    def start(self, axes: Axes) -> dict[int, Index]:
        """Symbols for the letters of a statement; sums inside take further ones."""
        symbols = [x for x in SYMBOLS if x not in self.names.taken]
        self.free = (x + "'" * primes for primes in count() for x in symbols or SYMBOLS)
        return {k: (0, {next(self.free): 1}) for k in axes}

    def entry(self, term: Term, at: Mapping[int, Index]) -> Text:
        """One element of a term, at these indices."""
        match term:
            case Number():
                return _number(term.value)
            case Name():
                return _at(self.symbol(term.name), [at[k] for k in sorted(term.axes)]), ATOM
            case Table():
                return _at(self.table(term), [at[k] for k in term.axes]), ATOM
            case View():
                letters = [*range(len(term.sizes)), *[LOOP] * bool(term.pace)]
                rows = np.column_stack([term.place.steps, *[term.pace] * bool(term.pace)])
                inner = [
                    _combined(
                        int(offset),
                        (
                            (int(step), at[k])
                            for k, step in zip(letters, steps, strict=True)
                            if step and k in at
                        ),
                    )
                    for offset, steps in zip(term.place.offset, rows, strict=True)
                ]
                step = {LOOP: at[LOOP]} if LOOP in at else {}
                return self.entry(term.of, step | dict(zip(term.of.axes, inner, strict=True)))
            case Gather():
                of = term.of
                place: Index = (0, {self.entry(term.at, at)[0] if term.at.axes else str(term.at.values): 1})
                if len(of.axes) == 1:
                    return self.entry(of, {of.axes[0]: place})
                text = (
                    self.either(of, of.axes) if len(of.axes) < 3 else self.entry(of, self.start(of.axes))[0]
                )
                return _at(rf"\operatorname{{vec}}({text})", [place]), ATOM
            case Spread():
                return self.entry(term.of, at)
            case Masked():
                return _cases(self.entry(term.mask, at)[0], self.entry(term.of, at)[0], "0"), CHOICE
            case Contract():
                product = applied(rules.mul, (term.x, term.y))
                return self.entry(reduced(rules.add, product, term.axes), at)
            case Reduce():
                new = [letter for letter in term.of.axes if letter not in term.axes]
                symbols = [next(self.free) for _ in new]
                more = {k: (0, {symbol: 1}) for k, symbol in zip(new, symbols, strict=True)}
                sign = LOGIC[term.row.name][1] if term.truth else LARGE[term.row.name]
                of_text = _least(self.entry(term.of, {**at, **more}), PRODUCT)
                below = "".join(symbols)
                if (grown := _grown(term.of, new)) is not None:  # one element more in each step
                    last = _indices([_combined(grown[0] - 1, iter([(grown[1], at[LOOP])]))])
                    return rf"{sign}_{{{below}=0}}^{{{last}}} {of_text}", SUM
                return rf"{sign}_{{{below}}} {of_text}", SUM
            case Scan():
                symbol = next(self.free)
                [index] = [at[k] for k in term.axes]
                sign = LARGE[term.row.name]
                text = _least(self.entry(term.of, {term.of.axes[0]: (0, {symbol: 1})}), PRODUCT)
                return rf"{sign}_{{{symbol} \le {_indices([index])}}} {text}", SUM
            case Apply():
                return self.elements(term, at)
        raise AssertionError(term)

    def elements(self, term: Apply, at: Mapping[int, Index]) -> Text:
        name = term.row.name
        texts = [self.entry(x, at) for x in term.operands]
        if name in ("where", "convention"):
            if term.truth:
                negated = _is_zero(term.operands[1])
                return (rf"\lnot {_least(texts[0], ATOM)}", POWER) if negated else texts[0]
            return _cases(*(text for text, _ in texts)), CHOICE
        if term.truth and name in LOGIC:
            return f" {LOGIC[name][0]} ".join(_least(text, SUM + 1) for text in texts), SUM
        if name in SIGNS:
            text = f"{_least(texts[0], SUM)} {SIGNS[name]} {_least(texts[1], SUM)}"
            return (text, SUM) if term.truth else (rf"\left[{text}\right]", ATOM)
        if name in ("maximum", "minimum"):
            return rf"{LARGE[name]}({', '.join(text for text, _ in texts)})", ATOM
        if name in ("add", "sub"):
            while len(texts) > 1:
                texts[:2] = [_added(texts[0], texts[1], name == "sub")]
            return texts[0]
        if name == "neg":
            return f"-{_least(texts[0], PRODUCT)}", PRODUCT
        if name == "mul":
            return f"{_least(texts[0], PRODUCT)} \\, {_least(texts[1], POWER)}", PRODUCT
        if name == "div":
            return rf"\frac{{{texts[0][0]}}}{{{texts[1][0]}}}", PRODUCT
        if name in ("pow", "square"):
            return f"{_least(texts[0], ATOM)}^{{{texts[1][0] if name == 'pow' else 2}}}", POWER
        if name in ("detach", "identity"):
            return texts[0]
        return _function(term.row, [text for text, _ in texts])


def _grown(term: Term, letters: Sequence[int]) -> tuple[int, int] | None:
    """The size of a letter that grows with the steps of a loop, and by how much."""
    if isinstance(term, View) and any(term.growth):
        return next(((term.sizes[k], term.growth[k]) for k in letters if term.growth[k]), None)
    return next((x for part in parts_of(term) if (x := _grown(part, letters)) is not None), None)


def _least(text: Text, level: int) -> str:
    return text[0] if text[1] >= level else rf"\left({text[0]}\right)"


def _added(x: Text, y: Text, minus: bool) -> Text:
    negative = y[0].startswith("-") and y[1] >= ELEMENTWISE
    left = _least(x, SUM)
    if minus:
        right = rf"\left({y[0]}\right)" if negative else _least(y, ELEMENTWISE)
        return f"{left} - {right}", SUM
    return (f"{left} - {y[0][1:]}", SUM) if negative else (f"{left} + {_least(y, SUM)}", SUM)


def _number_times(term: Term) -> tuple[Number | None, Term]:
    """The number that multiplies a term, and what it multiplies."""
    if isinstance(term, View) and term.whole:
        number, array = _number_times(term.of)
        return number, replace(term, of=array)
    if isinstance(term, Apply) and term.row is rules.mul and isinstance(term.operands[0], Number):
        return term.operands[0], term.operands[1]
    return None, term


def _power(x: str, exponent: str, target: Axes) -> str:
    circle = r"\odot " if target else ""
    return f"{x}^{{{circle}{exponent}}}"


def _exponent(term: Apply) -> str | None:
    """The number to which a term raises its operand."""
    if term.row is rules.square:
        return "2"
    if term.row is rules.pow and isinstance(term.operands[1], Number):
        return _number(term.operands[1].value)[0]
    if term.row is rules.mul and term.operands[0] is term.operands[1]:
        return "2"
    return None


def _function(row: Primitive, operands: list[str]) -> Text:
    if row is rules.sqrt:
        return rf"\sqrt{{{operands[0]}}}", ATOM
    if row is rules.abs:
        return rf"\left|{operands[0]}\right|", ATOM
    name = row.numpy if row.numpy in FUNCTIONS else row.name
    word = f"\\{name}" if name in FUNCTIONS else rf"\operatorname{{{name}}}".replace("_", r"\_")
    return rf"{word}\left({', '.join(operands)}\right)", ATOM


def _cases(condition: str, x: str, y: str) -> str:
    return rf"\begin{{cases}} {x} & \text{{if }} {condition} \\ {y} & \text{{otherwise}} \end{{cases}}"


def _number(value: float) -> Text:
    if (found := in_latex(abs(value))) is not None:
        constant, product = found
        return (constant, PRODUCT if product else ATOM) if value > 0 else (f"-{constant}", SUM)
    if not math.isfinite(value):
        text = r"\mathrm{nan}" if value != value else r"\infty" if value > 0 else r"-\infty"
    else:
        shortest = f"{value:.15g}" if float(f"{value:.15g}") == value else repr(value)
        mantissa, _, exponent = shortest.partition("e")
        text = rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa
    return text, ATOM if value >= 0 else SUM


def _is_zero(term: Term) -> bool:
    return isinstance(term, Number) and term.value == 0


def _combined(offset: int, parts: Iterator[tuple[int, Index]]) -> Index:
    symbols: dict[str, int] = {}
    for step, (start, steps) in parts:
        offset += step * start
        for symbol, size in steps.items():
            symbols[symbol] = symbols.get(symbol, 0) + step * size
    return offset, symbols


def _indices(indices: list[Index]) -> str:
    shown = []
    for offset, symbols in indices:
        parts = [
            f"{'+' if n > 0 else '-'}{abs(n) if abs(n) != 1 else ''}{x}" for x, n in symbols.items() if n
        ]
        constant = [f"{offset:+d}"] * bool(offset or not parts)
        leads = offset > 0 and bool(parts) and parts[0][0] == "-"  # 9 − k
        shown.append("".join([*constant, *parts] if leads else [*parts, *constant]).lstrip("+"))
    return (", " if any(len(x) > 1 for x in shown) else "").join(shown)


def _at(name: str, indices: list[Index]) -> str:
    if not indices:
        return name
    text = _indices(indices)
    return f"({name})_{{{text}}}" if "_" in name else f"{name}_{{{text}}}"
