"""Reports as HTML for a notebook; its colours are half transparent and suit light and dark pages."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from autograd_mini.check.verdicts import AGREES, MARKS, TINTS

if TYPE_CHECKING:
    from autograd_mini.check.reports.report import Report
    from autograd_mini.check.reports.steps import StepsReport


def page(report: Report) -> str:
    """The report, verdict first, as one element without scripts."""
    parts = [
        _opening(report.title, report.headline, report),
        *(f"<div>{escape(line)}</div>" for line in [*report.section_lines(), *report.diagnosis()]),
        _table(*report.table()),
        f"<div>{escape(report.hidden())}</div>" * bool(report.hidden()),
        *(f"<p>{escape(caption)}</p>{_grid(grid)}" for caption, grid in report.grids()),
        "<p><small>" + "<br>".join(map(escape, report.provenance())) + "</small></p>",
    ]
    return _element(parts)


def steps_page(report: StepsReport) -> str:
    """A derivation in steps, one row for each."""
    parts = [
        _opening("check_steps", report.verdict, report),
        _table(["", "step", "verdict", ""], report.table()),
        f"<p><small>{escape(report.provenance())}</small></p>",
    ]
    return _element(parts)


def _element(parts: Iterable[str]) -> str:
    return f'<div style="color: inherit">{"".join(parts)}</div>'


def _opening(title: str, headline: str, report: Report | StepsReport) -> str:
    headline = _tinted("span", headline, report.verdict)
    return f"<p><b>{escape(title)}: {headline}</b>: {escape(report.reason)}</p>"


def _table(headings: list[str], rows: list[tuple[str, list[str]]]) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(
        f'<tr style="background: {TINTS[verdict] if verdict != AGREES else "none"}">'
        + "".join("<td>" + escape(cell).replace("\n", "<br>") + "</td>" for cell in cells)
        + "</tr>"
        for verdict, cells in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if rows else ""


def _grid(grid: list[list[str]]) -> str:
    rows = ("".join(_tinted("td", MARKS[verdict], verdict) for verdict in row) for row in grid)
    return f"<table><tbody>{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody></table>"


def _tinted(tag: str, text: str, verdict: str) -> str:
    return f'<{tag} style="background: {TINTS[verdict]}; padding: 0 0.4em">{escape(text)}</{tag}>'
