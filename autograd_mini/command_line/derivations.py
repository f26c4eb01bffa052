"""``derive``: the derivation of a formula's gradient, line by line."""

from __future__ import annotations

import argparse

from autograd_mini.command_line.arguments import function_of, point_of, require_names
from autograd_mini.deriving import derivation
from autograd_mini.expressions import parse


def derive(options: argparse.Namespace) -> int:
    point = point_of(options.names)
    formula = parse(options.formula).reading(point)
    require_names(point, formula.names + formula.constants)
    for name in formula.names:
        if name not in point:
            raise ValueError(f"give {name} its numbers, such as {name}=0.5, {name}=1,2,3 or {name}=1,2;3,4")
    wrt = [name.strip() for name in options.wrt.split(",")] if options.wrt else None
    found = derivation(function_of(list(point), formula.evaluate), point, wrt)
    print(found.latex() if options.latex else found)
    return 0
