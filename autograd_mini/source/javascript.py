"""JavaScript, with the functions of ``Math`` and those that it lacks."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
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
        "erf_near_0": """\
// erf and erfc by the rational approximations of s_erf.c in fdlibm,
// Copyright (C) 1993 by Sun Microsystems, Inc. All rights reserved. Developed at SunPro, a Sun Microsystems,
// Inc. business. Permission to use, copy, modify, and distribute this software is freely granted, provided
// that this notice is preserved.
function erf_near_0(x) {
  const numerator = polynomial(x * x, [
    1.28379167095512558561e-01, -3.25042107247001499370e-01, -2.84817495755985104766e-02,
    -5.77027029648944159157e-03, -2.37630166566501626084e-05,
  ]);
  return x + x * (numerator / polynomial(x * x, [
    1, 3.97917223959155352819e-01, 6.50222499887672944485e-02, 5.08130628187576562776e-03,
    1.32494738004321644526e-04, -3.96022827877536812320e-06,
  ]));
}""",
        "erf_near_1": """\
function erf_near_1(x) {
  const numerator = polynomial(x - 1, [
    -2.36211856075265944077e-03, 4.14856118683748331666e-01, -3.72207876035701323847e-01,
    3.18346619901161753674e-01, -1.10894694282396677476e-01, 3.54783043256182359371e-02,
    -2.16637559486879084300e-03,
  ]);
  return numerator / polynomial(x - 1, [
    1, 1.06420880400844228286e-01, 5.40397917702171048937e-01, 7.18286544141962662868e-02,
    1.26171219808761642112e-01, 1.36370839120290507362e-02, 1.19844998467991074170e-02,
  ]);
}""",
        "erf_tail": """\
function erf_tail(x) {
  if (x > 28) return 0;
  const [numerator, denominator] = x < 1 / 0.35 ? [[
    -9.86494403484714822705e-03, -6.93858572707181764372e-01, -1.05586262253232909814e+01,
    -6.23753324503260060396e+01, -1.62396669462573470355e+02, -1.84605092906711035994e+02,
    -8.12874355063065934246e+01, -9.81432934416914548592e+00,
  ], [
    1, 1.96512716674392571292e+01, 1.37657754143519042600e+02, 4.34565877475229228821e+02,
    6.45387271733267880336e+02, 4.29008140027567833386e+02, 1.08635005541779435134e+02,
    6.57024977031928170135e+00, -6.04244152148580987438e-02,
  ]] : [[
    -9.86494292470009928597e-03, -7.99283237680523006574e-01, -1.77579549177547519889e+01,
    -1.60636384855821916062e+02, -6.37566443368389627722e+02, -1.02509513161107724954e+03,
    -4.83519191608651397019e+02,
  ], [
    1, 3.03380607434824582924e+01, 3.25792512996573918826e+02, 1.53672958608443695994e+03,
    3.19985821950859553908e+03, 2.55305040643316442583e+03, 4.74528541206955367215e+02,
    -2.24409524465858183362e+01,
  ]];
  const quotient = polynomial(1 / (x * x), numerator) / polynomial(1 / (x * x), denominator);
  const z = Math.fround(x); // z * z is exact
  return Math.exp(-z * z - 0.5625) * Math.exp((z - x) * (z + x) + quotient) / x;
}""",
        "erf": """\
function erf(x) {
  const a = Math.abs(x);
  if (a < 0.84375) return erf_near_0(x);
  return Math.sign(x) * (a < 1.25 ? 0.845062911510467529297 + erf_near_1(a) : 1 - erf_tail(a));
}""",
        "erfc": """\
function erfc(x) {
  const a = Math.abs(x);
  if (a < 0.84375) return x < 0.25 ? 1 - erf_near_0(x) : 0.5 - (erf_near_0(x) - 0.5);
  if (a < 1.25) return 1 - Math.sign(x) * (0.845062911510467529297 + erf_near_1(a));
  return x < 0 ? 2 - erf_tail(a) : erf_tail(a);
}""",
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
