"""The outcome of a check: entries with a verdict each, and the table that a person reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

Index: TypeAlias = tuple[int, ...]

AGREES, INCONCLUSIVE, DISAGREES = "agrees", "inconclusive", "disagrees"
SEVERITY = {AGREES: 0, INCONCLUSIVE: 1, DISAGREES: 2}
SHOWN = 12  # rows of a printed table


class InconclusiveError(RuntimeError):
    """The check could not tell whether the derivation is right; the message is the report."""


@dataclass(frozen=True)
class Entry:
    """One partial derivative ∂output[row] / ∂name[column] at one point; point 0 is the given one.

    ``engine`` is nan if the engine could not follow. ``left`` and ``right`` are the one-sided
    derivatives, ``error`` is the distance of ``yours`` from the engine, or else from the witness.
    """

    name: str
    row: Index
    column: Index
    point: int
    yours: float
    engine: float
    witness: float
    left: float
    right: float
    error: float
    verdict: str
    note: str = ""


@dataclass(frozen=True)
class Report:
    """The outcome of a check: true if the derivation agrees, and a table when printed.

    >>> from autograd_mini import check_gradient
    >>> report = check_gradient(lambda x: x**3, lambda x: 3 * x, at=2.0, points=0)
    >>> report.verdict, report.worst.yours, report.worst.engine
    ('disagrees', 6.0, 12.0)
    """

    title: str
    verdict: str
    reason: str
    entries: tuple[Entry, ...] = ()
    points: int = 0
    skipped: int = 0
    seed: int = 0
    witnesses: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    out: str = "f"

    @property
    def worst(self) -> Entry | None:
        """The entry with the largest error among those of the gravest verdict; None without entries."""
        return min(self.entries, key=gravity, default=None)

    def __bool__(self) -> bool:
        return self.verdict == AGREES

    def raise_if_wrong(self) -> None:
        """Raise AssertionError if the derivation disagrees, InconclusiveError if nothing can be said."""
        if self.verdict == DISAGREES:
            raise AssertionError(str(self))
        if self.verdict == INCONCLUSIVE:
            raise InconclusiveError(str(self))

    def __str__(self) -> str:
        lines = [f"{self.title}: {self.verdict}: {self.reason}", self._provenance(), *self.remarks]
        # Among entries that agree, those at the given point are what one wants to read.
        ranked = sorted(
            self.entries, key=lambda e: (gravity(e)[0], e.point * (e.verdict == AGREES), gravity(e))
        )
        lines += _table([self._cells(entry) for entry in ranked[:SHOWN]])
        if hidden := ranked[SHOWN:]:
            bad = sum(entry.verdict == DISAGREES for entry in hidden)
            lines.append(f"… and {len(hidden)} more entries, {bad} of them wrong")
        return "\n".join(lines)

    def _provenance(self) -> str:
        skipped = f", {self.skipped} more skipped outside f's domain" * bool(self.skipped)
        spoke = " and ".join(self.witnesses) or "none"
        return f"points tried: {self.points} (seed {self.seed}{skipped}); witnesses: {spoke}"

    def _cells(self, entry: Entry) -> tuple[str, ...]:
        mark = {AGREES: "", INCONCLUSIVE: "?", DISAGREES: "✗"}[entry.verdict]
        numbers = (entry.yours, entry.engine, entry.witness)
        return (
            mark,
            str(entry.point or "given"),
            subscript(self.out, entry.row),
            subscript(entry.name, entry.column),
            *("-" if np.isnan(number) else f"{number:.8g}" for number in numbers),
            f"{entry.error:.1e}",
            entry.note,
        )


HEADINGS = ("", "point", "row", "column", "yours", "engine", "witness", "error", "")


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    if not rows:
        return []
    widths = [max(map(len, cells)) for cells in zip(HEADINGS, *rows, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(cells[:-1], widths, strict=False))
        + ("  " + cells[-1]) * bool(cells[-1])
        for cells in (HEADINGS, *rows)
    ]


def gravity(entry: Entry) -> tuple[int, float]:
    """Sorts wrong entries before open ones before right ones, and the largest error first."""
    return -SEVERITY[entry.verdict], -np.inf if np.isnan(entry.error) else -entry.error


def subscript(name: str, index: Index) -> str:
    return f"{name}[{', '.join(map(str, index))}]" if index else name
