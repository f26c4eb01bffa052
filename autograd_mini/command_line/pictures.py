"""``draw`` and ``view``: the graph of a formula as a picture, and as a page that moves with its inputs."""

from __future__ import annotations

import argparse
import webbrowser
from pathlib import Path

from autograd_mini.arrays import values
from autograd_mini.command_line.arguments import point_of, require_names
from autograd_mini.drawing import draw as drawing_of
from autograd_mini.expressions import parse


def draw(options: argparse.Namespace) -> int:
    """Write the file that ``-o`` names, whose suffix is the format."""
    leaves = {name: values(x, name) for name, x in point_of(options.names).items()}
    formula = parse(options.formula)
    require_names(leaves, formula.names + formula.constants)
    path = drawing_of(formula.evaluate(leaves)).save(options.output)
    print(path)
    return 0


def view(options: argparse.Namespace) -> int:
    if Path(options.output).suffix.lower() != ".html":
        raise ValueError(f"view: the page is a file that ends in .html, got {options.output}")
    status = draw(options)
    if options.open:
        webbrowser.open(Path(options.output).resolve().as_uri())
    return status
