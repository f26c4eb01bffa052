"""Constants as what they round: 6.283185307179586 is 2π, and 1.4142135623730951 is √2."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable
from fractions import Fraction
from functools import cache

import numpy as np

FORMS: dict[str, tuple[str, Callable[[float], float]]] = {  # in LaTeX, and by what they have inside
    "x": ("x", lambda c: c),
    "x*pi": (r"x \pi", lambda c: c / math.pi),
    "x/pi": (r"\frac{x}{\pi}", lambda c: c * math.pi),
    "sqrt(x)": (r"\sqrt{x}", lambda c: c * c),
    "sqrt(x*pi)": (r"\sqrt{x \pi}", lambda c: c * c / math.pi),
    "sqrt(x/pi)": (r"\sqrt{\frac{x}{\pi}}", lambda c: c * c * math.pi),
    "log(x)": (r"\log\left(x\right)", math.exp),
    "log(x*pi)": (r"\log\left(x \pi\right)", lambda c: math.exp(c) / math.pi),
    "log(x*pi)/2": (r"\frac{1}{2} \log\left(x \pi\right)", lambda c: math.exp(2 * c) / math.pi),
}


@cache
def form_of(c: float) -> tuple[str, Fraction] | None:
    """What a positive float of all digits rounds, as one of the `FORMS` with the number in it."""
    for form, (_, inside) in FORMS.items() if len(repr(c)) > 12 and c < 40 else ():
        x = inside(c)
        near = Fraction(x).limit_denominator(64)
        if near.numerator < 1000 and math.isclose(near, x, rel_tol=4e-16):
            return form, near
    return None


@cache
def in_numpy(c: float) -> tuple[str, bool] | None:
    """NumPy source that computes a positive float to its last bit, and whether it is a product.

    >>> in_numpy(2 * np.pi / 3), in_numpy(np.sqrt(2 * np.pi)), in_numpy(0.1)
    (('2 * np.pi / 3', True), ('np.sqrt(2 * np.pi)', False), None)
    """
    if (found := form_of(c)) is None:
        return None
    form, x = found
    orders = [form.replace("x", str(x.numerator)) + f"/{x.denominator}"] * ("(" not in form)
    for text in (*orders, form.replace("x", str(x))):
        plain = re.sub(r"\b1\*|/1\b", "", text)
        tree = ast.parse(plain, mode="eval")
        source = re.sub("[a-z]+", r"np.\g<0>", ast.unparse(tree))
        if eval(source, {"np": np}) == c:
            return source, isinstance(tree.body, ast.BinOp)
    return None


@cache
def in_latex(c: float) -> tuple[str, bool] | None:
    """LaTeX of what a positive float rounds, and whether it is a product."""
    if (found := form_of(c)) is None:
        return None
    form, x = found
    number = str(x.numerator) if x.denominator == 1 else rf"\frac{{{x.numerator}}}{{{x.denominator}}}"
    text = re.sub(r"\bx\b", lambda _: number, FORMS[form][0])
    text = text.replace(r"1 \pi", r"\pi") if x == 1 else text
    return text, form in ("x*pi", "log(x*pi)/2") and x != 1
