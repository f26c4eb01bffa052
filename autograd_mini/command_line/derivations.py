"""``derive``: the derivation of a formula's gradient, line by line."""

from __future__ import annotations

import argparse

from autograd_mini.command_line.arguments import function_of, point_of, require_numbers
from autograd_mini.deriving import derivation
from autograd_mini.expressions import parse


def derive(options: argparse.Namespace) -> int:
    point = point_of(options.names)
    formula = parse(options.formula).reading(point)
    require_numbers(formula, point, options.line)
    wrt = [name.strip() for name in options.wrt.split(",")] if options.wrt else None
    found = derivation(function_of(list(point), formula.evaluate), point, wrt)
    print(found.latex() if options.latex else found)
    return 0
