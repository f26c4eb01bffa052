"""A derivation for a person: as text of 80 columns, as LaTeX, and as HTML with MathML."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from html import escape
from typing import Any

import numpy as np

from autograd_mini import rules
from autograd_mini.deriving.algebra import Algebra, Letter, Poly, atoms_of, single
from autograd_mini.deriving.forward import Array
from autograd_mini.deriving.matrices import Matrices, NotMatrixError
from autograd_mini.deriving.steps import INLINE, Step
from autograd_mini.deriving.writing import Style

WIDTH = 80
LONGEST = 48  # characters of a result with definitions written out
SHOWN = 5  # entries of an array
ARITHMETIC = {"mul": "product rule", "div": "quotient rule", "reciprocal": "quotient rule",
              "pow": "power rule", "square": "power rule", "exponential": "exponential rule"}  # fmt: skip
UNSAID = ("where", "detach", "equal", "less", "less_equal", "convention")


SIGN_LATEX = {"=": "=", "with": r"\text{with }", "✗": r"\text{✗ }"}


@dataclass(frozen=True)
class Row:
    """One line: what it is of, what it says, and why; without a ``sign`` it is a heading."""

    left: str
    text: str
    comment: str
    sign: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class Derivation:
    """Steps from the output to the arguments; text when printed, mathematics in a notebook.

    ``results`` has the last line for each argument as text, ``latex()`` the whole as LaTeX, and ``html()`` as
    HTML with MathML, which is what a notebook shows.
    """

    out: str
    wrt: tuple[str, ...]
    arrays: tuple[Array, ...]
    steps: tuple[Step, ...]
    numbers: Mapping[str, Any]
    points: int
    sizes: int
    marks: Mapping[str, str] = field(default_factory=dict)  # what is said of a step

    # --- its parts ---

    def style(self, latex: bool) -> Style:
        """How its lines are written."""
        names = [x.name for x in self.arrays]
        style = Style(latex, self.out, frozenset(names), order={x: k for k, x in enumerate(names)})
        return replace(style, letters=self.lengths, rank=len(self._array(self.out).letters))

    @cached_property
    def lengths(self) -> dict[Letter, str]:
        """What the lengths of axes are called: n, or their number where that is the same everywhere."""
        lines = [line.value for step in self.steps for line in step.lines]
        lines += [term.slope for step in self.steps for term in step.terms if term.slope is not None]
        lines += [x for step in self.steps for x in (step.closed, step.inlined, step.chain) if x] + [
            x.shown for x in self.arrays
        ]
        dims = dict.fromkeys(atom[1] for p in lines for atom in atoms_of(p) if atom[0] == "n")
        taken = {x.name for x in self.arrays}
        names = iter([x for x in ("n", "m", "p", "q", "N", "M", "D", "K") if x not in taken])
        return {Letter("n", dim): next(names, str(dim[-1])) for dim in dims}

    @cached_property
    def by_name(self) -> dict[str, Step]:
        """The step of each array."""
        return {step.array.name: step for step in self.steps}

    @property
    def results(self) -> dict[str, str]:
        """The last line for each argument, in matrix notation where there is one."""
        return {name: self.last_line(name, self.style(False))[1] for name in self.wrt}

    def last_line(self, name: str, style: Style) -> tuple[str, str]:
        """What is derived, and what it is."""
        step = self.by_name.get(name)
        if step is None:
            return style.derivative(name, ()), "0"
        if not step.lines:
            return style.derivative(name, ()), _numbers(self.numbers[name])
        plain = self.style(False)
        closed = step.closed
        if closed is not None and len(self._formula(step, closed, plain)[1]) > max(
            LONGEST, len(self._formula(step, step.value, plain)[1])
        ):
            closed = None
        return self._formula(step, step.value if closed is None else closed, style)

    def _formula(self, step: Step, value: Poly, style: Style) -> tuple[str, str]:
        """The derivative and its value, in matrix notation where there is one."""
        name, axes = step.array.name, step.axes
        inline = {x.name: x for x in self.arrays if x.kind in INLINE and x.family is not None}
        forms = [(value, inline)]
        if step.inlined is not None and value is step.closed:
            forms.append((step.inlined, {}))
        text = _shortest_matrix(forms, axes, style)
        if text is None or (len(text) > LONGEST and not style.latex):
            text = _shortest_matrix([(value, {})], axes, style)
        if text is None:
            return style.derivative(name, axes), style.poly(value)
        return style.derivative(name, ()), text

    def _definition(self, array: Array, style: Style) -> str:
        inside = style.with_letters(array.letters, "ijkl")
        return f"{inside.subscripted(array.name, array.letters)} = {inside.poly(array.shown)}"

    def _needed(self) -> list[Array]:
        """The arrays that lines name, and that have no step of their own."""
        named = {x.name: x for x in self.arrays}
        used: dict[str, None] = {}
        left = [line.value for step in self.steps for line in step.lines]
        left += [term.slope for step in self.steps for term in step.terms if term.slope is not None]
        left += [step.array.shown for step in self.steps] + [named[self.out].shown]
        while left:
            for atom in atoms_of(left.pop()):
                if atom[0] == "x" and atom[1] not in used:
                    used[atom[1]] = None
                    left.append(named[atom[1]].shown)
        shown = {self.out, *(step.array.name for step in self.steps)}
        return [x for x in self.arrays if x.name in used and x.name not in shown and x.kind != "input"]

    # --- the lines, in text or LaTeX ---

    def _array(self, name: str) -> Array:
        return next(x for x in self.arrays if x.name == name)

    def _blocks(self, style: Style) -> Iterator[list[Row]]:
        """What is derived and the definitions, then the steps, then the results."""
        of = ", ".join(style.derivative(name, ()) for name in self.wrt)
        defined = [self._definition(x, style) for x in (self._array(self.out), *self._needed())]
        yield [
            Row("", style.words("Derivation of ") + of, defined[0]),
            *(Row("", "", x) for x in defined[1:]),
        ]
        for step in self.steps:
            array = step.array
            head = self._definition(array, style) if array.kind != "input" else style.symbol(array.name)
            kind = "" if array.kind != "input" else style.words(", an argument")
            rows = [Row("", head + kind, "")]
            left = style.derivative(array.name, step.axes)
            for sign, text, comment in self._equations(step, style):
                rows.append(Row(left, text, comment, sign))
                left = ""
            yield rows
        yield [Row(left, text, "", "=") for left, text in (self.last_line(name, style) for name in self.wrt)]

    def _equations(self, step: Step, style: Style) -> Iterator[tuple[str, str, str]]:
        """Sign, text and comment of each line of a step."""
        words, name = style.words, step.array.name
        chained = [x for x in step.terms if x.through != self.out]
        previous = ""
        if chained:
            fed = style.listed([style.symbol(x) for x in dict.fromkeys(x.through for x in step.terms)])
            previous = self._chain(step, style)
            yield "=", previous, words("as ") + style.symbol(name) + words(" feeds ") + fed
            for term in (x for x in chained if x.slope is not None):
                of = style.derivative(name, step.letters, term.through, term.letters)
                slope = style.poly(term.slope) if term.slope is not None else ""
                softmax = self._array(term.through).kind == "softmax"
                yield "with", f"{of} = {slope}", words("softmax") if softmax else self._rule(term.rows, style)
        rule = "" if chained else self._rule([row for term in step.terms for row in term.rows], style)
        for k, line in enumerate(step.lines):
            text = style.poly(line.value)
            if text != previous:
                yield "=", text, self._because(step, k, style) or (rule if not k else "")
            previous = text
        yield "=", _numbers(self.numbers[name]), words("at the point")
        if name in self.marks:
            yield "✗", words(self.marks[name]), ""

    def _chain(self, step: Step, style: Style) -> str:
        """Σ_j ∂L/∂S_j · ∂S_j/∂z_i, and so on for all that an array feeds."""
        dot = r" \, " if style.latex else " · "
        texts = []
        for term in step.terms:
            if term.through == self.out:
                texts.append(style.poly(term.slope) if term.slope is not None else "…")
                continue
            outer = style.derivative(term.through, step.of + term.letters)
            inner = style.derivative(step.array.name, step.letters, term.through, term.letters)
            names = "".join(x.name for x in term.letters)
            total = (rf"\sum_{{{names}}} " if style.latex else f"Σ_{names} ") if names else ""
            texts.append(f"{total}{outer}{dot}{inner}")
        return " + ".join(texts)

    def _because(self, step: Step, k: int, style: Style) -> str:
        """The sums that a line puts numbers for, told once."""
        before = {atom for line in step.lines[:k] for atom, _, _ in line.reasons}
        said = []
        for atom, number, premise in step.lines[k].reasons:
            if atom not in before:
                value = style.poly(single(number)) if isinstance(number, tuple) else str(number)
                said.append((f"{style.poly(single(atom))} = {value}", premise))
        texts = [x + style.words(f" ({'premise' if premise else 'identity'})") for x, premise in said]
        return style.words("as ") + style.listed(texts) if said else ""

    def _rule(self, rows: Sequence[str], style: Style) -> str:
        """The rows of the table that a line takes, each with what it says; of arithmetic only one alone."""
        said = [name for name in rows if name not in (*ARITHMETIC, *UNSAID)]
        if said:
            known = list(dict.fromkeys(text for name in said for text in row_texts(name, style)))
            return ", ".join(known[:2]) or style.words(said[0])
        used = {ARITHMETIC[name] for name in rows if name in ARITHMETIC}
        return style.words(used.pop()) if len(used) == 1 else ""

    def _said(self) -> str:
        """What was verified."""
        sizes = " at two sizes" if self.sizes > 1 else ""
        said = f"Each line agrees with the engine's derivative to 50 digits at {self.points} random points"
        bare = ", ".join(step.array.name for step in self.steps if not step.lines)
        said += f"{sizes}, and at the point."
        return f"{said} By {bare} no such line was found; is the point on a kink?" if bare else said

    # --- for a person ---

    def __str__(self) -> str:
        lines: list[str] = []
        for rows in self._blocks(self.style(False)):
            indent = ""
            for row in rows:
                if not row.sign:
                    lines += _beside(row.text, row.comment)
                    continue
                indent = " " * len(row.left) if row.left else indent
                sign = f"{row.sign} " if row.sign != "with" else "with "
                margin = "  " * bool(len(rows) > 1 and not rows[0].sign)
                lines += _beside(f"{margin}{row.left or indent} {sign}{row.text}", row.comment)
            lines.append("")
        return "\n".join([*lines, *textwrap.wrap(self._said(), WIDTH)])

    __repr__ = __str__

    def latex(self) -> str:
        """All lines as one ``aligned`` of LaTeX, with what is said of them as text in it."""
        blocks = []
        for rows in self._blocks(self.style(True)):
            lines = []
            for row in rows:
                sign = SIGN_LATEX.get(row.sign, r"\quad " if not row.sign else "")
                body = f"{row.left} &{sign} {row.text}" if row.sign else f"{row.text} &"
                lines.append(f"{body} && {row.comment}".rstrip(" &") if row.comment else body)
            blocks.append(" \\\\\n".join(lines))
        return "\n".join([r"\begin{aligned}", " \\\\[1ex]\n".join(blocks), r"\end{aligned}"])

    def html(self) -> str:
        """The lines with MathML, as one element without scripts that suits light and dark pages.

        Raises ImportError where the library that makes MathML is not installed.
        """
        try:
            from latex2mathml.converter import convert
        except ImportError:
            raise ImportError(
                'html() needs latex2mathml: python -m pip install "autograd-mini[mathml]"'
            ) from None

        def cell(latex: str, more: str = "", side: str = "left") -> str:
            inside = convert(latex).replace("<math ", '<math displaystyle="true" ', 1) if latex else ""
            return f'<td style="text-align: {side}; padding: 0.15em 0; {more}">{inside}</td>'

        body = []
        for rows in self._blocks(self.style(True)):
            for row in rows:
                muted = cell(row.comment, "padding-left: 2em; opacity: 0.7")
                if row.sign:
                    left = cell(row.left, side="right")
                    body.append(f"<tr>{left}{cell(f'{SIGN_LATEX[row.sign]} {row.text}')}{muted}</tr>")
                else:
                    wide = cell(row.text, "padding-top: 0.8em").replace("<td", '<td colspan="2"')
                    body.append(f"<tr>{wide}{muted}</tr>")
            body.append('<tr style="height: 0.5em"></tr>')
        said = f"<p><small>{escape(self._said())}</small></p>"
        rows_of_all = "".join(body)
        table = f'<table style="border-collapse: collapse"><tbody>{rows_of_all}</tbody></table>'
        return f'<div style="color: inherit; overflow-x: auto">{table}{said}</div>'

    def _repr_html_(self) -> str:
        try:
            return self.html()
        except ImportError:
            return f'<pre style="font-family: monospace">{escape(str(self))}</pre>'


def _shortest_matrix(
    forms: Iterable[tuple[Poly, Mapping[str, Array]]], axes: tuple[Letter, ...], style: Style
) -> str | None:
    """The shortest of those that have matrix notation, each with the arrays that are written out in it."""
    texts = []
    for p, inline in forms:
        with suppress(NotMatrixError):
            texts.append(Matrices(style, inline).poly(p, axes))
    return min(texts, key=len, default=None)


def row_texts(name: str, style: Style) -> list[str]:
    """The rules of the table that a row takes, in symbols: (ln x)′ = 1/x."""
    algebra = Algebra({})
    z = algebra.apply(name, *(single(("x", x, ())) for x in rules.table[name].operands))
    found = []
    for function in [atom[1] for atom in atoms_of(z) if atom[0] == "f" and len(atom[2]) == 1]:
        x = single(("x", "x", ()))
        [(atom, _)] = next(iter(algebra.function(function, x)))
        slope = algebra.partials(function, atom, atom[2])[0]
        found.append(
            f"({style.poly(single(atom))}){'′' if not style.latex else chr(39)} = {style.poly(slope)}"
        )
    return found


def _beside(text: str, comment: str) -> Iterator[str]:
    """A line with its comment at the right margin, or below if there is no room."""
    if len(text) + len(comment) + 2 <= WIDTH:
        yield f"{text}{comment.rjust(WIDTH - len(text)) if comment else ''}"
        return
    yield from _broken(text)
    if comment:
        yield from _broken(comment.rjust(WIDTH))


def _broken(text: str) -> Iterator[str]:
    """A formula over several lines, before a sign that stands between blanks."""
    indent = len(text) - len(text.lstrip()) if "=" not in text[:WIDTH] else text.index("=") + 2
    while len(text) > WIDTH:
        cut = max((text.rfind(sign, indent + 1, WIDTH) for sign in (" + ", " − ")), default=-1)
        if cut <= indent:
            cut = text.rfind(" ", indent + 1, WIDTH)
        if cut <= indent:
            break
        yield text[:cut]
        text = " " * indent + text[cut + 1 :]
    yield text


def _numbers(x: Any) -> str:
    """An array as a person notes it down, in few digits."""
    numbers = np.asarray(x, float) + 0.0
    if not numbers.shape:
        return _number(float(numbers))
    if numbers.ndim > 1:
        rows = [_numbers(row) for row in numbers[:3]] + ["…"] * (len(numbers) > 3)
        return f"({', '.join(rows)})" if sum(map(len, rows)) < 64 else f"({rows[0]}, …)"
    shown = [_number(x) for x in numbers[:SHOWN].tolist()] + ["…"] * (len(numbers) > SHOWN)
    return f"({', '.join(shown)})"


def _number(x: float) -> str:
    return f"{x:.3g}".replace("-", "−")
