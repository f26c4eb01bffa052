"""Polynomials without indices, where they are products of matrices and vectors: ``2 Xᵀ (X w − y)``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from autograd_mini.deriving.algebra import Letter, Poly, renamed
from autograd_mini.deriving.forms import Tree, forms, free, is_number, tree
from autograd_mini.deriving.forward import Array
from autograd_mini.deriving.writing import ATOM, PRODUCT, SUM, Style, Text


class NotMatrixError(Exception):
    """What is asked for has no matrix notation."""


@dataclass(frozen=True)
class Matrices:
    """Matrix notation in a style; ``inline`` are arrays written by their definitions."""

    style: Style
    inline: Mapping[str, Array]

    def poly(self, p: Poly, axes: tuple[Letter, ...]) -> str:
        """The shortest form that has matrix notation; NotMatrixError if none has."""
        found = []
        for form in forms(p):
            with suppress(NotMatrixError):
                found.append(self.write(form, axes)[0])
        if not found:
            raise NotMatrixError
        return min(found, key=len)

    def write(self, node: Tree, axes: tuple[Letter, ...]) -> Text:
        """The expression without indices, as scalar, column or matrix; NotMatrixError if there is none."""
        match node:
            case ("add", terms):
                texts = []
                for x in terms:
                    if free(x) != set(axes) and not (is_number(x) and len(axes) <= 1):
                        raise NotMatrixError
                    texts.append(self.write(x, axes if free(x) else ()))
                return self.style.added(texts), SUM
            case ("mul", c, parts):
                return self._product(c, parts, axes)
            case ("sum", letters, inner):
                return self._contracted(letters, inner, axes)
            case ("f", name, nodes) if len(nodes) == 1:
                text, level = self.write(nodes[0], axes)
                simple = level == ATOM and len(text) < 3
                called = self.style.called(name, text, simple)
                return called, PRODUCT if simple and " " in called else ATOM
            case ("is", sign, x, y) if not axes:
                texts = [self.write(part, ()) for part in (x, y)]
                return self.style.compared(sign, *(text for text, _ in texts)), ATOM
            case ("atom", ("x", name, at)):
                if name in self.inline and set(at) == set(axes):
                    array = self.inline[name]
                    back = dict(zip(array.letters, at, strict=True))
                    return self.write(tree({renamed(m, back): c for m, c in array.shown.items()}), axes)
                return self._turned(self.style.symbol(name), at, axes)
            case ("atom", ("d", name, at)):
                text, _ = self._turned(self.style.derivative(name, ()), at, axes)
                return text, ATOM
        if axes or free(node):
            raise NotMatrixError
        return self.style.write(node)

    def _turned(self, text: str, at: Sequence[Any], axes: tuple[Letter, ...]) -> Text:
        if tuple(at) == axes:
            return text, ATOM
        if len(at) == 2 and tuple(at[::-1]) == axes:
            return text + (r"^\top" if self.style.latex else "ᵀ"), ATOM
        raise NotMatrixError

    def _product(self, c: Fraction, parts: Sequence[tuple[Tree, int]], axes: tuple[Letter, ...]) -> Text:
        scalars = [(x, e) for x, e in parts if not free(x)]
        rest = [(x, e) for x, e in parts if free(x)]
        groups = [free(x) for x, _ in rest]
        if set(axes) != set().union(*groups) or any(e < 0 for _, e in rest):
            raise NotMatrixError
        numbers = [(self._named_scalar(x), e) for x, e in scalars]
        if not rest:
            return self.style.multiplied(c, numbers)
        if len(axes) == 2 and all(len(g) == 1 for g in groups):
            columns = [
                self._elementwise([p for p, g in zip(rest, groups, strict=True) if x in g], (x,))
                for x in axes
            ]
            body: Text = f"{self._right(columns[0])} {self._transposed(columns[1])}", PRODUCT
        elif all(g == set(axes) for g in groups):
            body = self._elementwise(rest, axes)
        else:
            raise NotMatrixError
        whole = ("text", *body, 7)
        return self.style.multiplied(c, [*numbers, (whole, 1)])

    def _named_scalar(self, node: Tree) -> Tree:
        """A scalar with its own matrix notation, where it has one."""
        if node[0] == "atom" and (node[1][0] != "x" or node[1][1] not in self.inline):
            return node
        text, level = self.write(node, ())
        as_it_is = node[0] == "f" and text == self.style.write(node)[0]
        return node if as_it_is else ("text", text, level, 2)

    def _elementwise(self, parts: Sequence[tuple[Tree, int]], axes: tuple[Letter, ...]) -> Text:
        texts = []
        for node, e in sorted(parts, key=self.style.place):
            text, level = self.write(node, axes)
            if e != 1:
                text, level = self.style.raised(text if level == ATOM else self.style.paren(text), e), ATOM
            texts.append((text, level))
        if len(texts) == 1:
            return texts[0]
        return (r" \odot " if self.style.latex else " ⊙ ").join(map(self.style.factor, texts)), PRODUCT

    def _grouped(self, text: Text) -> str:
        return text[0] if text[1] == ATOM else self.style.paren(text[0])

    def _transposed(self, text: Text) -> str:
        grouped = self._grouped(text)
        grouped = self.style.paren(grouped) if self.style.is_raised(grouped) else grouped
        return grouped + (r"^\top" if self.style.latex else "ᵀ")

    def _contracted(self, letters: Sequence[Letter], inner: Tree, axes: tuple[Letter, ...]) -> Text:
        c, parts = (inner[1], list(inner[2])) if inner[0] == "mul" else (Fraction(1), [(inner, 1)])
        if c != 1 or any(e < 0 for _, e in parts):
            raise NotMatrixError
        return self._chain(list(letters), parts, axes)

    def _chain(self, letters: list[Letter], parts: list[tuple[Tree, int]], axes: tuple[Letter, ...]) -> Text:
        """Σ_k A_ik v_k is A v, and so on along the letters, from the left."""
        if not letters:
            return self._product(Fraction(1), parts, axes)
        if len(axes) == 2:
            start, end = axes
        elif len(axes) == 1:
            start, end = axes[0], None
        else:
            if len(letters) == 1:
                return self._inner(letters[0], parts)
            start, end = None, None
        if start is None:  # a quadratic form: from a vector along matrices
            for first in letters:
                own = [p for p in parts if free(p[0]) == {first}]
                if own:
                    left = self._elementwise(own, (first,))
                    rest = [p for p in parts if p not in own]
                    right = self._chain([x for x in letters if x != first], rest, (first,))
                    return f"{self._transposed(left)} {self._right(right)}", PRODUCT
            raise NotMatrixError
        here = [p for p in parts if start in free(p[0])]
        if len(here) != 1 or here[0][1] != 1 or len(free(here[0][0])) != 2:
            raise NotMatrixError
        [k] = free(here[0][0]) - {start}
        if k not in letters:
            raise NotMatrixError
        left = self.write(here[0][0], (start, k))
        rest = [p for p in parts if p is not here[0]]
        others = [x for x in letters if x != k]
        on = [p for p in rest if k in free(p[0])]
        if any(free(p[0]) == {k} for p in on) and (others or end is not None):
            raise NotMatrixError
        right = self._chain(others, rest, (k,) if end is None else (k, end))
        return f"{self.style.factor(left)} {self._right(right)}", PRODUCT

    def _right(self, text: Text) -> str:
        sign = "⊙" if not self.style.latex else r"\odot"
        return self.style.paren(text[0]) if text[1] == SUM or sign in text[0] else text[0]

    def _inner(self, k: Letter, parts: list[tuple[Tree, int]]) -> Text:
        if any(free(x) != {k} for x, _ in parts):
            raise NotMatrixError
        if len(parts) == 1 and parts[0][1] == 2:
            text, _ = self.write(parts[0][0], (k,))
            return (rf"\left\|{text}\right\|^2" if self.style.latex else f"‖{text}‖²"), ATOM
        if sum(e for _, e in parts) != 2:
            raise NotMatrixError
        (x, _), (y, _) = sorted(parts, key=self.style.place)
        left, right = self.write(x, (k,)), self.write(y, (k,))
        return f"{self._transposed(left)} {self.style.factor(right)}", PRODUCT
