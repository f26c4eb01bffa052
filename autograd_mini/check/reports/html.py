"""Reports as HTML for a notebook; its colours are half transparent and suit light and dark pages."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from autograd_mini.check.verdicts import AGREES, MARKS, TINTS
from autograd_mini.drawing.cells import CELL, scrolling

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autograd_mini.check.reports.report import Part, Report, Row


LEFT = f' style="{CELL} left"'


def page(report: Report) -> str:
    """The report, verdict first, as one element without scripts."""
    headline = _tinted("span", report.headline, report.verdict)
    parts = [
        f"<p><b>{escape(report.title)}: {headline}</b>: {escape(report.reason)}</p>",
        _table(["", report.parts[0].noun, "", ""], report.rows()),
        _code(report.lines),
        *(f"<div>{escape(line)}</div>" for line in report.diagnosis()),
        _table(*report.table()),
        f"<div>{escape(report.hidden())}</div>" * bool(report.hidden()),
        *(f"<p>{escape(caption)}</p>{_grid(grid)}" for caption, grid in report.grids()),
        "<p><small>" + "<br>".join(map(escape, report.provenance())) + "</small></p>",
    ]
    return f'<div style="color: inherit; text-align: left">{"".join(parts)}</div>'


def _table(headings: list[str], rows: list[Row]) -> str:
    head = "".join(f"<th{LEFT}>{escape(heading)}</th>" for heading in headings)
    body = "".join(
        f'<tr style="background: {TINTS[verdict] if verdict != AGREES else "none"}">'
        + "".join(f"<td{LEFT}>{_spaced(cell)}</td>" for cell in cells)
        + "</tr>"
        for verdict, cells in rows
    )
    return _framed(f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>") if rows else ""


def _framed(content: str, font: str = "inherit") -> str:
    """A table at the left of its cell, in which it scrolls where it is larger than the screen."""
    return scrolling(f'<table style="margin: 0; font-family: {font}">{content}</table>')


def _code(lines: Sequence[Part]) -> str:
    """Lines of code with their margin; what a line computed is there when one points at it."""
    rows = []
    for part in lines:
        shade, (_, claim, margin, details) = part.row
        tint = TINTS[shade] if part.verdict else "none"
        beside = f'<span style="opacity: {1 if shade != AGREES else 0.7}">{escape(margin)}</span>'
        beside += f"<br>{_spaced(details)}" * bool(details)
        rows.append(
            f'<tr title="{escape(getattr(part, "numbers", ""))}" style="background: none">'
            f'<td style="text-align: left; white-space: pre; background: {tint}">{escape(claim)}</td>'
            f'<td style="text-align: left">{beside}</td></tr>'
        )
    return _framed(f"<tbody>{''.join(rows)}</tbody>", "monospace") if rows else ""


def _spaced(cell: str) -> str:
    """The cell with its lines, and with the indentation that a line of code has."""
    code = cell.lstrip(" ")
    return "&nbsp;" * (len(cell) - len(code)) + escape(code).replace("\n", "<br>")


def _grid(grid: list[list[str]]) -> str:
    rows = ("".join(_tinted("td", MARKS[verdict], verdict) for verdict in row) for row in grid)
    return _framed(f"<tbody>{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody>")


def _tinted(tag: str, text: str, verdict: str) -> str:
    return f'<{tag} style="background: {TINTS[verdict]}; padding: 0 0.4em">{escape(text)}</{tag}>'
