"""Python on floats, with the functions of `math`."""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import ClassVar

from autograd_mini import rules
from autograd_mini.formulas import can_raise, expression
from autograd_mini.instructions import Instructions
from autograd_mini.source.language import (
    ATOM,
    COMPARE,
    LINE,
    NEGATIVE,
    NOT,
    POWER,
    Language,
    Pattern,
    Term,
    joined,
    parenthesised,
    sign_level,
    wrapped,
)

NESTED = 100  # functions that call one another: below Python's limit of recursion


def _in_branches(code: Instructions, live: list[int], returned: Set[int]) -> Set[int]:
    """The slots that only branches of `where` use and that `math` may not have, or need such a one.

    Computed when their branch is taken, they raise nothing where it is not.
    """
    if rules.where not in code.rows:
        return frozenset()
    codes, operands, first = code.codes.tolist(), code.operands.tolist(), code.first
    always = set(returned)
    for i in reversed(live):
        row = code.rows[codes[i]]
        if row is rules.where:
            always.add(operands[i][0])
        elif first + i in always:
            always.update(operands[i][: len(row.operands)])
    depth: dict[int, int] = {}
    for i in live:
        if first + i not in always:
            below = [depth[operand] for operand in operands[i] if operand in depth]
            if below or can_raise(expression(code.rows[codes[i]].stable)):
                depth[first + i] = 1 + max(below, default=0)
    return depth.keys() if max(depth.values(), default=0) <= NESTED else frozenset()


class Python(Language):
    reserved = frozenset([*keyword.kwlist, "__debug__", "abs", "pi", "inf", "nan"])
    ascii = False
    conjunction = "and"
    none = "None"
    caches = False
    helpers: ClassVar[dict[str, str]] = {  # math's floor makes ints; the others are for Python 3.10
        "floor": "def floor(x):\n    return x // 1.0 if x - x == 0.0 else x",
        "exp2": "def exp2(x):\n    return 2.0 ** x",
        "cbrt": (
            "def cbrt(x):\n"
            "    if x == 0.0 or x - x != 0.0:\n"
            "        return x\n"
            "    root = abs(x) ** (1.0 / 3.0) if x > 0.0 else -(abs(x) ** (1.0 / 3.0))\n"
            "    return root - (root - x / root / root) / 3.0"
        ),
    }

    def postponable(self, code: Instructions, live: list[int], returned: Set[int]) -> Set[int]:
        # What is run as it is goes on in NumPy's arithmetic where it raises.
        return frozenset() if self.expand else _in_branches(code, live, returned)

    def constant(self, value: float | str) -> Term:
        if isinstance(value, str) or not math.isfinite(value):
            word = value if isinstance(value, str) else str(abs(value))
            self.imports.add(word)
            number = math.pi if isinstance(value, str) else value
            return Term("-" * (number < 0) + word, sign_level(number), number=number)
        return Term(repr(value), sign_level(value), number=value)

    def native(self, name: str, operands: list[Term]) -> Term:
        if name in self.helpers and (name == "floor" or not hasattr(math, name)):
            self.help(name)
        elif name != "abs":
            self.imports.add(name)
        return self.call(name, operands)

    def power(self, x: Term, y: Term) -> Term:
        if y.number is None or not y.number.is_integer():
            return self.native("pow", [x, y])  # (-8.0) ** (1 / 3) would be complex
        return joined(parenthesised(x, ATOM), "**", parenthesised(y, NEGATIVE), POWER)

    def nonzero(self, x: Term) -> Term:
        return x

    def opposite(self, x: Term) -> Term:
        return replace(parenthesised(x, COMPARE), text=f"not {parenthesised(x, COMPARE).text}", level=NOT)

    def conditional(self, test: str, x: str, y: str) -> str:
        return f"{x} if {test} else {y}"

    def brackets(self, items: Sequence[Pattern], text: str) -> tuple[str, str, str]:
        if isinstance(items, tuple):
            return "(", text + "," * (len(items) == 1), ")"
        return "[", text, "]"

    def assignment(self, name: str, text: str) -> str:
        return f"    {name} = {text}"

    def postponement(self, name: str, text: str) -> str:
        self.caches = True
        return f"    @cache\n    def {name}():\n        return {text}\n"

    def definition(self, name: str, parameters: list[str], unused: list[str], result: str) -> str:
        return f"def {name}({', '.join(parameters)}):\n    return {result}"

    def destructure(self, names: str, text: str) -> str:
        return self.spread("", names, f" = {text}")

    def spread(self, head: str, items: str, tail: str) -> str:
        """A tuple without its parentheses if it has two items and fits into a line."""
        line = re.sub("[\0\n]", " ", f"    {head}{items}{tail}")
        if len(line) <= LINE and not items.endswith(","):
            return line
        return wrapped(f"{head}(", items, f"){tail}")

    def program(self, name: str, arguments: Mapping[str, Pattern], results: Pattern) -> str:
        opening, items, closing = self.structure(results, lambda slot: self.number_of(self.terms[slot]).text)
        if opening == "(" and items:
            self.body.append(self.spread("return ", items, ""))
        else:
            self.body.append(wrapped(f"return {opening}", items, closing))
        imports = "from functools import cache\n" * bool(self.caches)
        imports += f"from math import {', '.join(sorted(self.imports))}\n" if self.imports else ""
        blocks = [imports] * bool(imports) + [f"{text}\n" for text in self.definitions.values()]
        function = "\n".join([f"def {name}({', '.join(arguments)}):", *self.body])
        return "\n\n".join([*blocks, function])
