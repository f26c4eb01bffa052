"""``draw`` and ``view``: the graph of a formula as a picture, and as a page that moves with its inputs."""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
import tempfile
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from autograd_mini.arrays import named, values
from autograd_mini.command_line.arguments import point_of, require_numbers, require_unused
from autograd_mini.drawing import draw as drawing_of
from autograd_mini.expressions import parse
from autograd_mini.progress import progress

OPTIONS = {
    name: parameter
    for name, parameter in inspect.signature(drawing_of).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY
}


def draw(options: argparse.Namespace, standard: str = "graph.svg") -> int:
    """Write the file that ``-o`` names, whose suffix is the format; - is like ``standard``."""
    point = point_of(options.names)
    formula = parse(options.formula)
    require_numbers(formula, point, options.line)
    require_unused(options.name, point)
    if not point:
        raise ValueError(f"{options.formula} is a number: a formula without names has no graph to draw")
    leaves = {name: values(x, name) for name, x in point.items()}
    with progress("the picture"), tempfile.TemporaryDirectory() as folder:
        root = formula.evaluate(leaves)
        drawing = drawing_of(named(root, options.name) if options.name else root, **_looks(options, leaves))
        is_piped = options.output == "-"
        path = drawing.save(Path(folder, standard) if is_piped else options.output)
        content = path.read_bytes() if is_piped else b""
    if is_piped:
        sys.stdout.buffer.write(content)
    else:
        print(path)
    return 0


def view(options: argparse.Namespace) -> int:
    if options.output != "-" and Path(options.output).suffix.lower() != ".html":
        raise ValueError(f"view: the page is a file that ends in .html, got {options.output}")
    if options.open and options.output == "-":
        raise ValueError("view: --open shows a file, and -o - writes none; leave one of them out")
    status = draw(options, "graph.html")
    if options.open:
        webbrowser.open(Path(options.output).resolve().as_uri())
    return status


def draw_options() -> Iterator[tuple[str, dict[str, Any]]]:
    """How argparse takes each keyword of `autograd_mini.draw`, with the words that its docstring has."""
    said = dict(re.findall(r"- ``(\w+)[^`]*``:?\s+(.*?[.;])\s", inspect.getdoc(drawing_of) or "", re.DOTALL))
    for name, parameter in OPTIONS.items():
        default, annotation = parameter.default, str(parameter.annotation)
        settings: dict[str, Any] = {"help": " ".join(said.get(name, "").replace("`", "").split())[:-1]}
        settings |= {"dest": name, "default": argparse.SUPPRESS}
        flag = f"--no-{name}" if default is True else f"--{name}"
        if isinstance(default, bool):
            settings |= {"action": "store_const", "const": not default}
        elif annotation.startswith("bool"):
            settings |= {"action": argparse.BooleanOptionalAction}
        elif default == () or name == "gradient":
            settings |= {"action": "append", "metavar": "NAME"}
        else:
            read = str if annotation.startswith("str") else _literal
            settings |= {"type": read, "metavar": str(default) if default else "X"}
        yield flag, settings


def _looks(options: argparse.Namespace, leaves: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords of `autograd_mini.draw` that are given."""
    given = {name: getattr(options, name) for name in OPTIONS if hasattr(options, name)}
    for name, names in given.items():
        if names == ["all"]:
            given[name] = True
    if wanted := given.pop("gradient", None):
        if unknown := [name for name in wanted if name not in leaves]:
            raise ValueError(f"--gradient: {unknown[0]} has no numbers; there are {', '.join(leaves)}")
        given["gradient"] = [leaves[name] for name in wanted]
    return given


def _literal(text: str) -> Any:
    """A number, several as in 6,4, or none; else the text itself."""
    with suppress(SyntaxError, ValueError):
        return ast.literal_eval("None" if text == "none" else text.strip())
    return text
