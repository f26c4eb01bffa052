"""Grades for those who read them: a table, Gradescope's JSON, a page for each student, one for the class.

What students see is a matter of ``tell``: their verdicts and points; also the place of a mistake; its cause;
or what is right instead.
"""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from autograd_mini.check.verdicts import DISAGREES, RIGHT, SHADES, TINTS, WRONG
from autograd_mini.grading.grades import FAILED, Grade, Mark

TELL = ("verdict", "place", "cause", "fix")
UNKNOWN = "no known mistake reproduces it"
COMMANDS = tuple("=+-@")  # what begins so, a spreadsheet takes for a formula
HEADINGS = ("", "verdict", "", "points")
COLUMNS = "file verdict points of step place cause fix reason flags notes seconds seed".split()
STYLE = """\
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56em; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .4em .6em; border-bottom: 1px solid #8886 }
table + table { margin-top: 2em }
.verdict { padding: .1em .5em; border-radius: .3em; white-space: nowrap }
h1, p, td:nth-last-child(2) { overflow-wrap: anywhere }
p.note { opacity: .8 }
@media (max-width: 40em) {
  thead { display: none }
  table { overflow-wrap: anywhere }
  tr { display: flex; flex-wrap: wrap; border-bottom: 1px solid #8886 }
  td { border: none }
  td:last-child { margin-left: auto }
  td:nth-last-child(2) { order: 1; flex-basis: 100% }
  td:empty { display: none }
}
"""


def table(grades: Iterable[Grade]) -> str:
    """All that is known, for whoever grades: a row for each hand-in."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for grade in grades:
        first = grade.first_wrong or Mark("", RIGHT)
        texts = first.name, first.place, first.cause, first.fix, grade.reason
        more = "; ".join(grade.flags), "; ".join(grade.notes), grade.seconds, grade.seed
        row = grade.file, grade.verdict, f"{grade.points:g}", f"{grade.worth:g}", *texts, *more
        writer.writerow([f"'{x}" if str(x).startswith(COMMANDS) else x for x in row])
    return text.getvalue()


def told(mark: Mark, tell: str) -> list[str]:
    """What is said of a mark, at most so much; of what failed to run always why."""
    if mark.verdict == FAILED:
        return [mark.place] * bool(mark.place)
    texts = mark.place, mark.cause, f"right: {mark.fix}" if mark.fix else ""
    return [text for text in dict.fromkeys(texts[: TELL.index(tell)]) if text]


def gradescope(grade: Grade, tell: str) -> dict[str, Any]:
    """A hand-in as Gradescope reads it from results.json: a test for each parameter or step."""
    return {
        "score": grade.points,
        "execution_time": grade.seconds,
        "output": "\n".join(filter(None, (grade.verdict, grade.reason, *grade.notes))),
        "output_format": "text",
        "tests": [
            {
                "name": mark.name,
                "score": mark.points,
                "max_score": mark.worth,
                "status": "passed" if mark.points else "failed",
                "output": "\n".join([mark.verdict, *told(mark, tell)]),
                "visibility": "visible",
            }
            for mark in grade.marks
        ],
    }


def summary(grades: Sequence[Grade]) -> list[tuple[str, list[str]]]:
    """The mistakes, the most frequent first, and the hand-ins in which they are."""
    alike: dict[str, list[str]] = {}
    for grade in grades:
        for mark in grade.marks:
            if mark.verdict == WRONG:
                cause = mark.cause or (UNKNOWN if grade.explained else "wrong")
                alike.setdefault(f"{mark.name}: {cause}", []).append(grade.file)
    return sorted(alike.items(), key=lambda item: -len(item[1]))


# --- pages ----------------------------------------------------------------------------------------------


def page(grade: Grade, title: str, tell: str) -> str:
    """What one student sees."""
    rows = [
        [escape(mark.name), _verdict(mark.verdict), _lines(told(mark, tell)), _points(mark)]
        for mark in grade.marks
    ]
    total = ["", "", "", _points(grade)]
    said = "".join(f"<p>{escape(text)}</p>" for text in filter(None, [grade.reason]))
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in grade.notes)
    heading = f"<h1>{escape(title)}</h1><p>{_verdict(grade.verdict)}</p>"
    return _page(title, heading + said + _table(HEADINGS, [*rows, total] if rows else []) + notes)


def overview(grades: Sequence[Grade], names: Sequence[str]) -> str:
    """What whoever grades sees of all: the mistakes, and a row for each hand-in."""
    links = {
        file: f'<a href="{escape(quote(name.replace(os.sep, "/")))}.html">{escape(name)}</a>'
        for file, name in zip((grade.file for grade in grades), names, strict=True)
    }
    mistakes = [
        [str(len(files)), escape(text), "<br>".join(links[file] for file in files)]
        for text, files in summary(grades)
    ]
    rows = []
    for grade in grades:
        notes = grade.notes if grade.verdict == FAILED else ()
        said = _lines(filter(None, [": ".join(filter(None, grade.why)), *grade.flags, *notes]))
        rows.append([links[grade.file], _verdict(grade.verdict), said, _points(grade)])
    counts = Counter(grade.verdict for grade in grades)
    sums = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    body = f"<h1>{len(grades)} hand-ins</h1><p>{escape(sums)}</p>"
    body += _table(("", "mistake", "in"), mistakes) + _table(("hand-in", *HEADINGS[1:]), rows)
    return _page("hand-ins", body)


def _page(title: str, body: str) -> str:
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>{body}</body></html>\n"
    )


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" * bool(rows)


def _verdict(verdict: str) -> str:
    tint = TINTS[SHADES.get(verdict, DISAGREES)]
    return f'<span class="verdict" style="background: {tint}">{escape(verdict)}</span>'


def _lines(texts: Iterable[str]) -> str:
    return "<br>".join(map(escape, texts))


def _points(x: Grade | Mark) -> str:
    return f"{x.points:g}&nbsp;of&nbsp;{x.worth:g}"
