"""Values in a notebook's cell: a table of their numbers and gradients, in the colours of the page."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from html import escape
from typing import Any

import numpy as np

from autograd_mini.labels import split_label

ROWS, COLUMNS = 12, 40  # that are shown of an array
CELL = "padding: 0.1em 0.6em; text-align:"


def table_of(x: Any) -> str:
    """The numbers of a Value or of an array of them, and below these their ``.grad``, both as they are."""
    nodes: Any = np.asarray(x, dtype=object)
    grid = nodes.reshape(-1, nodes.shape[-1]) if nodes.ndim > 1 else nodes.reshape(1, -1)
    shown = grid[:ROWS, :COLUMNS]
    name = split_label(grid[0, 0].label)[0] if nodes.ndim else grid[0, 0].label
    more = ["…"] * (shown.shape[1] < grid.shape[1])
    indices = [*map(str, range(shown.shape[1])), *more] if nodes.ndim else [""]
    rows = [_row("th", [name, *[""] * (nodes.ndim > 1), *indices])]
    for what, read in (("number", "data"), ("gradient", "grad")):
        for place, row in enumerate(shown):
            index = ", ".join(map(str, np.unravel_index(place, nodes.shape[:-1]))) if nodes.ndim > 1 else ""
            numbers = [f"{getattr(node, read):.6g}" for node in row]
            first = [what if not place else "", *[index] * (nodes.ndim > 1)]
            rows.append(_row("td", [*first, *numbers, *more], what == "gradient" and not place))
        if len(shown) < len(grid):
            rows.append(_row("td", [f"… and {len(grid) - len(shown)} more rows"]))
    return scrolling(f"<table style='margin: 0'><tbody>{''.join(rows)}</tbody></table>")


def scrolling(content: str) -> str:
    """What is as wide or as long as it is, in a box that ends with the cell and the screen."""
    return f'<div style="overflow: auto; max-width: 100%; max-height: 40em">{content}</div>'


def _row(tag: str, cells: Iterable[str], ruled: bool = False) -> str:
    line = "; border-top: 1px solid rgba(128, 128, 128, 0.5)" * ruled
    sides = ("right" if place else "left" for place in itertools.count())
    texts = (
        f'<{tag} style="{CELL} {side}; white-space: nowrap{line}">{escape(cell)}</{tag}>'
        for side, cell in zip(sides, cells, strict=False)
    )
    return f"<tr>{''.join(texts)}</tr>"
