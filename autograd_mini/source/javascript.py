"""JavaScript, with the functions of ``Math`` and those that it lacks."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from autograd_mini.source.language import (
    ATOM,
    NEGATIVE,
    POWER,
    PRODUCT,
    Language,
    Pattern,
    Term,
    joined,
    parenthesised,
    sign_level,
    wrapped,
)
from autograd_mini.special import CORE, FAR, TAIL


def _listed(coefficients: Iterable[float]) -> str:
    """An array that stands on its own lines."""
    return wrapped("[", ",\0".join(map(repr, coefficients)), "]", "  ").lstrip()


class JavaScript(Language):
    reserved = frozenset(
        """
        arguments async await break case catch class const continue debugger default delete do else enum
        eval export extends false finally for function get if implements import in instanceof interface let
        NaN new null of package private protected public return set static super switch this throw true try
        typeof undefined var void while with yield Infinity Math
        """.split()
    )
    equalities: ClassVar[dict[str, str]] = {"==": "===", "!=": "!=="}
    helpers: ClassVar[dict[str, str]] = {
        "exp2": "function exp2(x) {\n  return 2 ** x;\n}",
        "pow": (
            "// IEEE's power: JavaScript's 1 ** NaN and (-1) ** Infinity are NaN.\n"
            "function pow(x, y) {\n"
            "  return x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : x ** y;\n"
            "}"
        ),
        "polynomial": (
            "function polynomial(x, coefficients) {\n"
            "  return coefficients.reduceRight((sum, coefficient) => sum * x + coefficient, 0);\n"
            "}"
        ),
        "erf": (
            "function erf(x) {\n"
            "  const a = Math.abs(x);\n"
            f"  if (a < 1) return x * polynomial(x * x, {_listed(CORE)});\n"
            "  return Math.sign(x) * (1 - erf_tail(a));\n"
            "}"
        ),
        "erfc": ("function erfc(x) {\n  return x < 0.5 ? 1 - erf(x) : erf_tail(x);\n}"),
        "erf_tail": (
            "// erfc x for x >= 0; x * x is split, so that its rounding is no error of the exponential.\n"
            "function erf_tail(x) {\n"
            f"  if (x > {FAR:g}) return 0;\n"
            "  const z = Math.fround(x);\n"
            "  const decay = Math.exp(-z * z) * Math.exp((z - x) * (z + x));\n"
            f"  return decay * polynomial((x - 4) / (x + 4), {_listed(TAIL)}) / (1 + 2 * x);\n"
            "}"
        ),
        "lgamma_near_2": """\
// log gamma(2 + y) for abs(y) <= 1/2: the coefficients are those of zeta(k) - 1 (DLMF 5.7.3).
function lgamma_near_2(y) {
  return y * polynomial(y, [
    0.42278433509846713, 0.3224670334241132, -0.0673523010531981, 0.020580808427784546,
    -0.007385551028673986, 0.0028905103307415234, -0.001192753911703261, 0.0005096695247430425,
    -0.00022315475845357939, 9.945751278180853e-05, -4.492623673813314e-05, 2.050721277567069e-05,
    -9.439488275268397e-06, 4.374866789907488e-06, -2.039215753801366e-06, 9.55141213040742e-07,
    -4.492469198764566e-07, 2.1207184805554665e-07, -1.0043224823968099e-07, 4.7698101693639804e-08,
    -2.2711094608943164e-08, 1.0838659214896955e-08, -5.183475041970047e-09, 2.4836745438024785e-09,
    -1.1921401405860912e-09, 5.731367241678862e-10,
  ]);
}""",
        "lgamma": """\
// log |gamma(x)|: other numbers come near 2 by the recurrence and by reflection, from 16 on there is
// Stirling's series.
function lgamma(x) {
  if (x - x !== 0) return x === -Infinity ? Infinity : x;
  if (x <= 0 && x === Math.floor(x)) return Infinity;
  if (x < -0.5) {
    return Math.log(Math.PI / Math.abs(Math.sin(Math.PI * (x - Math.round(x))))) - lgamma(1 - x);
  }
  if (x < 0.5) return lgamma(x + 1) - Math.log(Math.abs(x));
  if (x < 1.5) return lgamma_near_2(x - 1) - Math.log1p(x - 1);
  if (x >= 16) {
    const series = polynomial(1 / (x * x), [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360]);
    return (x - 0.5) * (Math.log(x) - 1) + 0.5 * (Math.log(2 * Math.PI) - 1) + series / x;
  }
  let product = 1;
  for (; x > 2.5; x -= 1) product *= x - 1;
  return Math.log(product) + lgamma_near_2(x - 2);
}""",
    }

    def constant(self, value: float | str) -> Term:
        if isinstance(value, str):
            return Term("Math.PI", number=math.pi)
        if not math.isfinite(value):
            text = "NaN" if math.isnan(value) else "-Infinity" if value < 0 else "Infinity"
            return Term(text, sign_level(value), number=value)
        return Term(repr(value).removesuffix(".0"), sign_level(value), number=value)

    def native(self, name: str, operands: list[Term]) -> Term:
        if name in self.helpers:
            self.help(name)
            return self.call(name, operands)
        if name == "fmod":
            x, y = map(self.number_of, operands)
            return joined(parenthesised(x, PRODUCT), "%", parenthesised(y, PRODUCT + 1), PRODUCT)
        return self.call(f"Math.{name}", operands)

    def power(self, x: Term, y: Term) -> Term:
        if y.number is None or not math.isfinite(y.number):
            return self.native("pow", [x, y])
        return joined(parenthesised(x, ATOM), "**", parenthesised(y, NEGATIVE), POWER)

    def key(self, key: Any) -> str:
        """Keys of an object are text, and a whole number may be written as one."""
        plain = re.fullmatch(r"[A-Za-z_]\w*|0|[1-9]\d*", str(key), re.ASCII)
        return str(key) if plain else super().key(str(key))

    def assignment(self, name: str, text: str) -> str:
        return f"  const {name} = {text};"

    def definition(self, name: str, parameters: list[str], unused: list[str], result: str) -> str:
        return f"function {name}({', '.join(parameters)}) {{\n  return {result};\n}}"

    def item(self, text: str, key: Any) -> str:
        word = self.key(key)
        return f"{text}[{word}]" if word[0] in '"0123456789' else f"{text}.{word}"

    def destructure(self, names: str, text: str) -> str:
        return wrapped("const [", names, f"] = {text};", "  ")

    def program(self, name: str, arguments: Mapping[str, Pattern], results: Pattern) -> str:
        opening, items, closing = self.structure(results, lambda slot: self.number_of(self.terms[slot]).text)
        self.body.append(wrapped(f"return {opening}", items, f"{closing};", "  "))
        function = "\n".join([f"function {name}({', '.join(arguments)}) {{", *self.body, "}"])
        return "\n\n".join([*self.definitions.values(), function])
