"""The outcome of a check, for a person: the verdict, what went wrong, and the numbers."""

from __future__ import annotations

import math
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from autograd_mini.check.diagnosis.evidence import Explanation
from autograd_mini.check.judgement.finding import Entry, Finding
from autograd_mini.check.judgement.rule import RTOL, settled
from autograd_mini.check.settings import Settings
from autograd_mini.check.subjects.sampling import Index
from autograd_mini.check.verdicts import (
    AGREES,
    COLOURS,
    DISAGREES,
    INCONCLUSIVE,
    MARKS,
    SEVERITY,
    gravest,
)

if TYPE_CHECKING:
    from autograd_mini.drawing import Drawing

ROWS = {AGREES: 3, INCONCLUSIVE: 6, DISAGREES: 6}  # of a printed table
LARGEST_GRID = 12
SCREEN = 40  # lines of a report's repr
SAID = {"yours": "yours", "engine": "engine", "witness": "witness", "precise": "50 digits"}
PARTS = (
    "title verdict reason entries points skipped seed witnesses remarks out explanations proof sections "
    "tolerances"
).split()


class InconclusiveError(RuntimeError):
    """The check could not tell whether the derivation is right; the message is the report."""


class Judged(ABC):
    """What reports of every kind can do: be true if all is right, raise if it is not, be printed."""

    @property
    @abstractmethod
    def verdict(self) -> str:
        """The word for the outcome."""

    @abstractmethod
    def text(self, colour: bool = False) -> str:
        """The report as lines of text."""

    def __bool__(self) -> bool:
        return self.verdict == AGREES

    def __str__(self) -> str:
        return self.text(colour=wants_colour())

    def __repr__(self) -> str:
        lines = self.text().splitlines()
        return "\n".join(
            [*lines[:SCREEN], f"… and {len(lines) - SCREEN} more lines"] if len(lines) > SCREEN else lines
        )

    def raise_if_wrong(self) -> None:
        """Raise AssertionError if something is wrong, InconclusiveError if nothing can be said."""
        if self.verdict == DISAGREES:
            raise AssertionError(self.text())
        if self.verdict == INCONCLUSIVE:
            raise InconclusiveError(self.text())


@dataclass(frozen=True, repr=False)
class Report(Judged):
    """The outcome of a check: true if the derivation agrees, a table when printed, HTML in a notebook.

    ``verdict`` is "agrees", "disagrees" or "inconclusive" and ``sections`` has one for each argument.
    ``explanations`` name the mistakes that reproduce a wrong result, ``proof`` is "proved", "evidence at 50
    digits" or "". ``tolerances`` are the largest used, ``skipped`` counts the points drawn again.

    >>> from autograd_mini import check_gradient
    >>> report = check_gradient(lambda x: x**3, lambda x: 3 * x, at=2.0, points=0)
    >>> report.verdict, report.worst.yours, report.worst.engine
    ('disagrees', 6.0, 12.0)
    """

    title: str
    out: str
    names: tuple[str, ...]
    findings: tuple[Finding, ...]
    settings: Settings = field(default_factory=Settings)
    skipped: int = 0
    explanations: tuple[Explanation, ...] = ()
    proof: str = ""
    more: tuple[str, ...] = ()
    medium: str = "f on floats"
    picture: Callable[..., Drawing] | None = field(default=None, repr=False, compare=False)

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(entry for finding in self.findings for entry in finding.entries)

    @cached_property
    def sections(self) -> dict[str, str]:
        return {name: section_of(name, self.findings) for name in self.names}

    @property
    def verdict(self) -> str:
        return gravest(self.sections.values(), DISAGREES)

    @property
    def points(self) -> int:
        return len(self.findings)

    @property
    def seed(self) -> int:
        return self.settings.seed

    @cached_property
    def reason(self) -> str:
        failures = [finding.failure for finding in self.findings if finding.failure]
        rejected = {
            name: why + at.where for at in reversed(self.findings) for name, why in at.rejected.items()
        }
        said = failures[:1] or [*dict.fromkeys(rejected.values())]
        return "; ".join(said) or self._reason() or self.findings[0].open

    def _reason(self) -> str:
        if self.verdict == AGREES:
            largest = max((e.error for e in self.entries if e.verdict == AGREES), default=0.0)
            left_open = len({entry.point for entry in self.entries if entry.verdict == INCONCLUSIVE})
            return f"the largest error is {largest:.1e}" + f"; {left_open} points left open" * bool(left_open)
        wanted = [entry for entry in self.entries if entry.verdict == self.verdict]
        if not wanted:
            return next((why for at in self.findings for why in at.silent.values()), "")
        worst = min(wanted, key=lambda entry: (entry.point > 0, gravity(entry)))  # the given point says most
        at = f" at random point {worst.point}" if worst.point else " at the given point" * bool(worst.name)
        where = derivative(self.out, worst) + at
        if self.verdict == INCONCLUSIVE:
            return f"{where}: {worst.note}"
        count = f"{len(wanted)} of {len(self.entries)} entries wrong"
        return f"{where} is {worst.truth:.8g}, yours {worst.yours:.8g}; {count}"

    @property
    def witnesses(self) -> tuple[str, ...]:
        """Who was heard."""
        heard = (w for at in self.findings if at.testimony is not None for w in at.judged.witnesses)
        return tuple(dict.fromkeys(w.format(medium=self.medium) for w in heard))

    @property
    def remarks(self) -> tuple[str, ...]:
        found = [remark for at in self.findings for remark in at.remarks]
        return tuple(dict.fromkeys(filter(None, [*found, *self.more])))

    @property
    def tolerances(self) -> dict[str, float]:
        """The relative and absolute ones, and the largest with what rounding may do."""
        if not self.entries:
            return {}
        allowed = [entry.tolerance for entry in self.entries if math.isfinite(entry.tolerance)]
        rtol = RTOL if self.settings.rtol is None else self.settings.rtol
        return {"rtol": rtol, "atol": self.settings.atol or 0.0, "largest": max(allowed, default=0.0)}

    def draw(self, **options: Any) -> Drawing:
        """f's graph at the given point, with the path marked on which a wrong derivation went wrong.

        That is from the wrong arguments to the nodes that the first explanation names. ``options`` are
        those of `autograd_mini.draw`. Raises ValueError if nothing is wrong, or f has no graph.
        """
        if self.picture is None:
            raise ValueError(f"draw: this report {self.verdict}; only a derivation that is wrong is drawn")
        return self.picture(**options)

    def __getstate__(self) -> dict[str, Any]:
        findings = tuple(finding.alone for finding in self.findings)
        return {**vars(self), "findings": findings, "picture": None}  # nothing of the user's functions

    @property
    def worst(self) -> Entry | None:
        """The entry with the largest error among those of the gravest verdict; None without entries."""
        return min(self.entries, key=gravity, default=None)

    def text(self, colour: bool = False) -> str:
        """The report as lines of text."""
        paint = painted if colour else unpainted
        lines = [f"{self.title}: {paint(self.headline, self.verdict)}: {self.reason}", *self.section_lines()]
        lines += self.diagnosis()
        headings, rows = self.table()
        lines += _aligned(headings, rows, paint)
        if more := self.hidden():
            lines.append(more)
        for caption, grid in self.grids():
            lines += [caption, *("  " + " ".join(paint(MARKS[v], v) for v in row) for row in grid)]
        return "\n".join([*lines, *self.provenance()])

    def _repr_html_(self) -> str:
        from autograd_mini.check.reports.html import page

        return page(self)

    def to_dict(self) -> dict[str, Any]:
        """The report as dictionaries, lists, strings and numbers that JSON knows; nan is None.

        >>> import json
        >>> from autograd_mini import check_gradient
        >>> report = check_gradient(lambda x: x**3, lambda x: 3 * x**2, at=2.0)
        >>> json.loads(json.dumps(report.to_dict(), allow_nan=False))["verdict"]
        'agrees'
        """
        own = {name: getattr(self, name) for name in PARTS}
        own["entries"] = [entry._asdict() for entry in self.entries]
        own["explanations"] = [vars(explanation) for explanation in self.explanations]
        return {name: as_json(part) for name, part in own.items()}

    # --- its parts, in the order in which they are read ---

    @property
    def headline(self) -> str:
        """The verdict, and how sure it is where a proof was asked for."""
        return f"{self.verdict} ({self.proof})" if self.proof else self.verdict

    def section_lines(self) -> list[str]:
        """The verdict on each of several arguments, with its worst entry."""
        if len(self.sections) < 2:
            return []
        width = max(map(len, self.sections))
        return [
            f"  {MARKS[verdict]} {name.ljust(width)}  {verdict}" for name, verdict in self.sections.items()
        ]

    def diagnosis(self) -> list[str]:
        """What went wrong, in words."""
        if self.verdict != DISAGREES:
            return []
        if not self.explanations:
            return ["No known mistake reproduces your result."]
        sure = all(explanation.certain for explanation in self.explanations)
        lines = [] if sure else ["Figures at one point cannot tell these apart:"]
        for explanation in self.explanations:
            lines.append(f"→ {explanation.text}")
            if explanation.formula:
                lines.append(f"  correct: {explanation.formula}")
        return lines

    def table(self) -> tuple[list[str], list[tuple[str, list[str]]]]:
        """Headings, and the gravest entries, each with its verdict and cells."""
        shown = self._ranked()[: ROWS[self.verdict]]
        if not shown:
            return [], []
        said = [part for part in SAID if any(not math.isnan(getattr(entry, part)) for entry in shown)]
        headings = ["", "point", "", *(SAID[part] for part in said), "difference", ""]
        return headings, [(entry.verdict, self._cells(entry, said)) for entry in shown]

    def _ranked(self) -> list[Entry]:
        """The gravest first; of these, those at the given point, where one can follow by hand."""
        return sorted(self.entries, key=lambda e: (gravity(e)[0], e.point > 0, gravity(e)))

    def _cells(self, entry: Entry, said: Iterable[str]) -> list[str]:
        numbers = [getattr(entry, part) for part in said]
        return [
            MARKS[entry.verdict].replace("✓", ""),
            str(entry.point or "given"),
            derivative(self.out, entry),
            *("-" if math.isnan(number) else f"{number:.8g}" for number in numbers),
            f"{entry.error:.1e}",
            entry.note,
        ]

    def hidden(self) -> str:
        """How many entries the table leaves out."""
        left_out = [entry.verdict for entry in self._ranked()[ROWS[self.verdict] :]]
        counts = {"wrong": left_out.count(DISAGREES), "open": left_out.count(INCONCLUSIVE)}
        counts["right"] = len(left_out) - sum(counts.values())
        said = [f"{'all' if n == len(left_out) else n} {what}" for what, n in counts.items() if n]
        return f"… and {len(left_out)} more, {' and '.join(said)}" if left_out else ""

    def grids(self) -> list[tuple[str, list[list[str]]]]:
        """For each small vector or matrix with a wrong entry the gravest verdict of each, over all points."""
        found = []
        for name, verdict in self.sections.items():
            worst: dict[Index, str] = {}
            for entry in self.entries:
                if entry.name == name:
                    place = entry.row + entry.column
                    worst[place] = max(worst.get(place, AGREES), entry.verdict, key=SEVERITY.__getitem__)
            grid = _grid(worst)
            if verdict == DISAGREES and len(worst) > 1 and grid:
                found.append((f"∂{self.out}/∂{name}:" if name else f"{self.out}:", grid))
        return found

    def provenance(self) -> list[str]:
        """Points, tolerances, witnesses, seed, and what else there is to say."""
        skipped = f", {self.skipped} more drawn again outside f's domain" * bool(self.skipped)
        lines = [f"points tried: {self.points} (seed {self.seed}{skipped})"]
        if self.tolerances:
            t = self.tolerances
            lines.append(
                f"tolerances: rtol {t['rtol']:.1e}, atol {t['atol']:.1e}; "
                f"with what the witnesses leave open at most {t['largest']:.1e}"
            )
        return [*lines, f"witnesses: {', '.join(self.witnesses) or 'none'}", *self.remarks]


def section_of(name: str, findings: Sequence[Finding]) -> str:
    """The verdict on one argument: a wrong entry decides; else every entry takes a clear answer.

    That is one at the given point, or, where rounding leaves an entry open there, at another.
    """
    if any(finding.failure or name in finding.rejected for finding in findings):
        return DISAGREES
    judgements = [finding.of(name) for finding in findings]
    if any(judgement is not None and (judgement.verdicts == DISAGREES).any() for judgement in judgements):
        return DISAGREES
    return AGREES if settled(judgements) else INCONCLUSIVE


def _grid(verdicts: dict[Index, str]) -> list[list[str]]:
    """The verdicts as rows of a matrix, one row for a vector; empty if they are more or less than that."""
    places = [place for place in verdicts if all(isinstance(i, int) for i in place)]
    if len(places) < len(verdicts) or {len(place) for place in places} not in ({1}, {2}):
        return []
    shape = [1 + max(int(i) for i in axis) for axis in zip(*places, strict=True)]
    height, width = [1] * (2 - len(shape)) + shape
    if max(height, width) > LARGEST_GRID or len(places) < height * width:
        return []
    ordered = [verdicts[place] for place in sorted(places)]
    return [ordered[i * width : (i + 1) * width] for i in range(height)]


def _aligned(
    headings: list[str], rows: list[tuple[str, list[str]]], paint: Callable[[str, str], str]
) -> list[str]:
    if not rows:
        return []
    widths = [max(map(len, cells)) for cells in zip(headings, *(cells for _, cells in rows), strict=True)]

    def line(cells: Iterable[str]) -> str:
        *numbers, note = cells
        text = "  ".join(cell.rjust(width) for cell, width in zip(numbers, widths, strict=False))
        return text + ("  " + note) * bool(note)

    plain = (AGREES, headings)
    return [
        line(cells) if verdict == AGREES else paint(line(cells), verdict) for verdict, cells in (plain, *rows)
    ]


def wants_colour() -> bool:
    """Whether what is printed goes to a terminal that shows colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def painted(text: str, verdict: str) -> str:
    """The text in the colour of a verdict."""
    return f"\x1b[{COLOURS[verdict]}m{text}\x1b[0m"


def unpainted(text: str, verdict: str) -> str:
    """The text as it stands."""
    return text


def as_json(x: Any) -> Any:
    """``x`` in JSON's types."""
    if isinstance(x, dict):
        return {str(key): as_json(part) for key, part in x.items()}
    if isinstance(x, (list, tuple)):
        return [as_json(part) for part in x]
    if isinstance(x, float) and not math.isfinite(x):
        return None if math.isnan(x) else "inf" if x > 0 else "-inf"
    return x


def gravity(entry: Entry) -> tuple[int, float]:
    """Sorts wrong entries before open ones before right ones, and the largest error first."""
    return -SEVERITY[entry.verdict], -math.inf if math.isnan(entry.error) else -entry.error


def subscript(name: str, index: Index) -> str:
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def derivative(out: str, entry: Entry) -> str:
    """The partial derivative that an entry is, in symbols; of a value, what it is of."""
    row = subscript(out, entry.row)
    return f"∂{row}/∂{subscript(entry.name, entry.column)}" if entry.name else row
