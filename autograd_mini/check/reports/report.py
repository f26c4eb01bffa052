"""The outcome of a check, for a person: the verdict, what went wrong, and the numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, is_dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from autograd_mini.check.diagnosis.evidence import Explanation
from autograd_mini.check.judgement.finding import Entry, Finding
from autograd_mini.check.judgement.rule import RTOL
from autograd_mini.check.settings import Settings
from autograd_mini.check.subjects.arguments import listed
from autograd_mini.check.subjects.sampling import Index
from autograd_mini.check.verdicts import (
    AGREES,
    DISAGREES,
    INCONCLUSIVE,
    MARKS,
    SEVERITY,
    SHADES,
    gravest,
    painted,
    wants_colour,
)
from autograd_mini.labels import subscript

if TYPE_CHECKING:
    from collections.abc import Callable

    from autograd_mini.deriving import Derivation
    from autograd_mini.drawing import Drawing
Row: TypeAlias = "tuple[str, list[str]]"  # a verdict for its colour, and its cells

ROWS = {AGREES: 3, INCONCLUSIVE: 6, DISAGREES: 6}  # of a printed table
LARGEST_GRID = 12
SCREEN = 40  # lines of a report's repr
SAID = {"yours": "yours", "engine": "engine", "witness": "witness", "precise": "50 digits"}
PARTS = (
    "title verdict reason out sections first_wrong parts explanations lines entries points skipped seed "
    "tolerances witnesses remarks proof"
).split()


class InconclusiveError(RuntimeError):
    """The check could not tell whether the derivation is right; the message is the report."""


@dataclass(frozen=True)
class Part:
    """What has a verdict of its own: an argument, a step of a derivation, a line of code.

    ``claim`` is how it is written and ``margin`` what stands beside it, by default its verdict; ``note`` says
    more. One that claims nothing, as a line without a derivative, has "" for a verdict.
    """

    name: str
    claim: str
    verdict: str
    margin: str = ""
    note: str = ""
    explanations: tuple[Explanation, ...] = ()
    noun: ClassVar[str] = "argument"

    @property
    def row(self) -> Row:
        """Its mark, claim and margin, and the lines that belong below."""
        details = [self.note] * bool(self.note)
        if self.explanations:
            first, *others = self.explanations
            also = [f"also fits: {other.text}" for other in others[:1]]
            more = [f"and {len(others) - 1} more"] * (len(others) > 1)
            details = ["; ".join([first.text, *also, *more]), f"right: {first.formula}", *details]
        cells = [MARKS.get(self.verdict, ""), self.claim, self.margin or self.verdict, "\n".join(details)]
        return SHADES.get(self.verdict, AGREES), cells

    @property
    def why(self) -> str:
        """What is wrong with it."""
        return self.explanations[0].text if self.explanations else self.note


@dataclass(frozen=True, repr=False)
class Report:
    """The outcome of a check: true if the derivation agrees, a table when printed, HTML in a notebook.

    ``verdict`` is "agrees", "disagrees" or "inconclusive" and ``sections`` has one for each of its ``parts``:
    the arguments, or the steps of a derivation, which ``report[name]`` gives. ``explanations`` name the
    mistakes that reproduce a wrong result, ``lines`` are those of a backward pass in code with their margin,
    ``proof`` is "proved", "evidence at 50 digits" or "".
    ``tolerances`` are the largest used, ``skipped`` counts the points drawn again.

    >>> from autograd_mini import check_gradient
    >>> report = check_gradient(lambda x: x**3, lambda x: 3 * x, at=2.0, points=0)
    >>> report.verdict, report.worst.yours, report.worst.engine
    ('disagrees', 6.0, 12.0)
    """

    title: str
    out: str
    parts: tuple[Part, ...]
    findings: tuple[Finding, ...]
    settings: Settings = field(default_factory=Settings)
    skipped: int = 0
    explanations: tuple[Explanation, ...] = ()
    lines: tuple[Part, ...] = ()
    proof: str = ""
    more: tuple[str, ...] = ()
    medium: str = "f on floats"
    picture: Callable[..., Drawing] | None = field(default=None, repr=False, compare=False)
    derive: Callable[..., Derivation] | None = field(default=None, repr=False, compare=False)

    @property
    def sections(self) -> dict[str, str]:
        """The verdict on each part that has one."""
        return {part.name: part.verdict for part in self.parts if part.verdict}

    @property
    def verdict(self) -> str:
        return gravest((SHADES[verdict] for verdict in self.sections.values()), DISAGREES)

    @property
    def first_wrong(self) -> str | None:
        """The name of the first part that is wrong, which is the one to repair first."""
        return next((name for name, verdict in self.sections.items() if SHADES[verdict] == DISAGREES), None)

    def __getitem__(self, name: str) -> Any:
        """The `Part` of that name, of a derivation in steps a `Step`; KeyError if there is none."""
        named = {part.name: part for part in self.parts}
        if name not in named:
            raise KeyError(f"no {self.parts[0].noun} is called {name!r}; there are {listed(named)}")
        return named[name]

    def __bool__(self) -> bool:
        return self.verdict == AGREES

    def raise_if_wrong(self) -> None:
        """Raise AssertionError if something is wrong, InconclusiveError if nothing can be said."""
        if self.verdict == DISAGREES:
            raise AssertionError(self.text())
        if self.verdict == INCONCLUSIVE:
            raise InconclusiveError(self.text())

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(entry for finding in self.findings for entry in finding.entries)

    @property
    def worst(self) -> Entry | None:
        """The entry with the largest error among those of the gravest verdict; None without entries."""
        return min(self.entries, key=_gravity, default=None)

    @property
    def points(self) -> int:
        return len(self.findings)

    @property
    def seed(self) -> int:
        return self.settings.seed

    @cached_property
    def reason(self) -> str:
        """The first thing that is wrong, or how right all is."""
        failures = [finding.failure for finding in self.findings if finding.failure]
        rejected = {
            name: why + at.place.where for at in reversed(self.findings) for name, why in at.rejected.items()
        }
        said = failures[:1] or [*dict.fromkeys(rejected.values())]
        return "; ".join(said) or self._of_entries() or self._of_parts()

    def _of_entries(self) -> str:
        wanted = [entry for entry in self.entries if entry.verdict == self.verdict]
        if not wanted:
            silent = [why for at in self.findings for why in (*at.silent.values(), at.open)]
            return next(filter(None, silent), "")
        if self.verdict == AGREES:
            left_open = len({entry.point for entry in self.entries if entry.verdict == INCONCLUSIVE})
            largest = max(entry.error for entry in wanted)
            return f"the largest error is {largest:.1e}" + f"; {left_open} points left open" * bool(left_open)
        worst = min(wanted, key=lambda entry: (entry.point > 0, _gravity(entry)))  # the given point says most
        at = f" at random point {worst.point}" if worst.point else " at the given point" * bool(worst.name)
        where = derivative(self.out, worst) + at
        if self.verdict == INCONCLUSIVE:
            return f"{where}: {worst.note}"
        return (
            f"{where} is {worst.truth:.8g}, yours {worst.yours:.8g}; "
            f"{len(wanted)} of {len(self.entries)} entries wrong"
        )

    def _of_parts(self) -> str:
        noun = self.parts[0].noun
        if self.first_wrong is not None:
            part: Part = self[self.first_wrong]
            return f"the first wrong {noun} is {part.claim}: {part.why}"
        right = sum(SHADES[verdict] == AGREES for verdict in self.sections.values())
        return f"{right} of {len(self.sections)} {noun}s are right"

    @property
    def witnesses(self) -> tuple[str, ...]:
        """Who was heard."""
        heard = (w for at in self.findings if at.testimony is not None for w in at.testimony.witnesses)
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
        """The graph at the given point, with the path marked on which a wrong derivation went wrong.

        That is from the wrong arguments to the nodes that the first explanation names, or from the first
        wrong step's node to those it uses. ``options`` are those of `autograd_mini.draw`. Raises ValueError
        if nothing is wrong, or f has no graph.
        """
        if self.picture is None:
            raise ValueError(f"draw: this report {self.verdict}; only a derivation that is wrong is drawn")
        return self.picture(**options)

    def derivation(self) -> Derivation:
        """The right derivation, as of `autograd_mini.derivation`, marked where a wrong one departs from it.

        Raises ValueError for a report that came from elsewhere, for a check that is of no derivation, and as
        `autograd_mini.derivation` does.
        """
        if self.derive is None:
            raise ValueError("derivation: this report knows no function to derive")
        names = [getattr(part, "node", part.name) for part in self.parts]
        marks = {
            name: self._departs(part)
            for name, part in zip(names, self.parts, strict=True)
            if SHADES.get(part.verdict) == DISAGREES
        }
        return self.derive(names, marks)

    def _departs(self, part: Part) -> str:
        wrong = [e for e in self.entries if e.verdict == DISAGREES and e.name == part.name and not e.point]
        if part.why or not wrong:
            return "yours departs here" + f": {part.why}" * bool(part.why)
        return f"yours departs here: {derivative(self.out, wrong[0])} = {wrong[0].yours:.4g} in yours"

    def __getstate__(self) -> dict[str, Any]:
        alone = tuple(finding.alone for finding in self.findings)  # nothing of the user's functions
        return {**vars(self), "findings": alone, "picture": None, "derive": None}

    def __str__(self) -> str:
        return self.text(colour=wants_colour())

    def __repr__(self) -> str:
        lines = self.text().splitlines()
        hidden = [f"… and {len(lines) - SCREEN} more lines"] * (len(lines) > SCREEN)
        return "\n".join(lines[:SCREEN] + hidden)

    def text(self, colour: bool = False) -> str:
        """The report as lines of text."""
        paint = painted if colour else lambda text, verdict: text
        lines = [f"{self.title}: {paint(self.headline, self.verdict)}: {self.reason}"]
        for rows in (self.rows(), [line.row for line in self.lines]):
            width = max((len(claim) for _, (_, claim, *_) in rows), default=0)
            for shade, (mark, claim, margin, details) in rows:
                line = f"{mark or ' '} {claim:<{width}}  {margin}".rstrip()
                lines.append(f"  {line if shade == AGREES else paint(line, shade)}")
                lines += [f"      {detail}" for detail in details.splitlines()]
        lines += self.diagnosis()
        headings, entries = self.table()
        table = [(AGREES, headings), *entries] if entries else []
        widths = [max(map(len, cells)) for cells in zip(*(cells for _, cells in table), strict=True)]
        for verdict, (*cells, note) in table:
            line = "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=False))
            line += f"  {note}" * bool(note)
            lines.append(line if verdict == AGREES else paint(line, verdict))
        lines += [self.hidden()] * bool(self.hidden())
        for caption, grid in self.grids():
            lines += [caption, *("  " + " ".join(paint(MARKS[v], v) for v in row) for row in grid)]
        return "\n".join([*lines, *self.provenance()])

    def _repr_html_(self) -> str:
        from autograd_mini.check.reports.html import page

        return page(self)

    def to_dict(self) -> dict[str, Any]:
        """The report as dictionaries, lists, strings and numbers that JSON knows, see `as_json`.

        >>> import json
        >>> from autograd_mini import check_gradient
        >>> report = check_gradient(lambda x: x**3, lambda x: 3 * x**2, at=2.0)
        >>> json.loads(json.dumps(report.to_dict(), allow_nan=False))["verdict"]
        'agrees'
        """
        return {name: as_json(getattr(self, name)) for name in PARTS}

    # --- its parts, in the order in which they are read ---

    @property
    def headline(self) -> str:
        """The verdict, and how sure it is where a proof was asked for."""
        return f"{self.verdict} ({self.proof})" if self.proof else self.verdict

    def rows(self) -> list[Row]:
        """The mark, claim, margin and details of each part, if these say more than the headline."""
        rows = [part.row for part in self.parts]
        return rows if len(rows) > 1 or any(details for _, (*_, details) in rows) else []

    def diagnosis(self) -> list[str]:
        """What went wrong, in words; parts with a word of their own have said it."""
        if self.verdict != DISAGREES or any(part.why for part in (*self.parts, *self.lines)):
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

    def table(self) -> tuple[list[str], list[Row]]:
        """Headings, and the gravest entries, each with its verdict and cells."""
        shown = self._ranked[: ROWS[self.verdict]]
        said = [part for part in SAID if any(not math.isnan(getattr(entry, part)) for entry in shown)]
        headings = ["", "point", "", *(SAID[part] for part in said), "difference", ""]
        return headings, [(entry.verdict, self._cells(entry, said)) for entry in shown]

    @cached_property
    def _ranked(self) -> list[Entry]:
        """The gravest first; of these, those at the given point, where one can follow by hand."""
        return sorted(self.entries, key=lambda e: (_gravity(e)[0], e.point > 0, _gravity(e)))

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
        left_out = [entry.verdict for entry in self._ranked[ROWS[self.verdict] :]]
        counts = {"wrong": left_out.count(DISAGREES), "open": left_out.count(INCONCLUSIVE)}
        counts["right"] = len(left_out) - sum(counts.values())
        said = [f"{'all' if n == len(left_out) else n} {what}" for what, n in counts.items() if n]
        return f"… and {len(left_out)} more, {' and '.join(said)}" if left_out else ""

    def grids(self) -> list[tuple[str, list[list[str]]]]:
        """For each small vector or matrix with a wrong entry the gravest verdict of each, over all points."""
        found = []
        for name, verdict in self.sections.items():
            worst: dict[Index, str] = {}
            for entry in self.entries if verdict == DISAGREES else ():
                if entry.name == name:
                    place = entry.row + entry.column
                    worst[place] = gravest((worst.get(place, AGREES), entry.verdict), AGREES)
            if len(worst) > 1 and (grid := _grid(worst)):
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


def as_json(x: Any) -> Any:
    """``x`` in JSON's types: infinities are "inf" and "-inf", which `float` reads, and nan is None."""
    match x:
        case Entry():
            return as_json(x._asdict())
        case np.ndarray() | np.generic():
            return as_json(x.tolist())
        case dict():
            return {str(key): as_json(part) for key, part in x.items()}
        case list() | tuple():
            return [as_json(part) for part in x]
        case float() if not math.isfinite(x):
            return None if math.isnan(x) else str(x)
    return as_json(vars(x)) if is_dataclass(x) else x


def _gravity(entry: Entry) -> tuple[int, float]:
    """Sorts wrong entries before open ones before right ones, and the largest error first."""
    return -SEVERITY[entry.verdict], -math.inf if math.isnan(entry.error) else -entry.error


def derivative(out: str, entry: Entry) -> str:
    """The partial derivative that an entry is, in symbols; of a value, what it is of."""
    row = subscript(out, entry.row)
    return f"∂{row}/∂{subscript(entry.name, entry.column)}" if entry.name else row
