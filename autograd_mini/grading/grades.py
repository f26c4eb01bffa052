"""What becomes of a hand-in: a mark for each parameter or step, and their sum, the grade."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from autograd_mini.check.verdicts import CARRIED, INCONCLUSIVE, RIGHT, WRONG
from autograd_mini.processes import printable

FAILED = "failed to run"
NOTHING = "it defines neither steps nor gradient(...) nor a d_<name>(...)"
GRAVITY = (RIGHT, CARRIED, INCONCLUSIVE, WRONG, FAILED)


@dataclass(frozen=True)
class Mark:
    """A parameter or a step: its verdict; ``place`` says where it is wrong and by how much, ``cause`` why,
    ``fix`` what is right.

    Whoever goes on rightly from an earlier mistake gets the points, which the mistake has cost once.
    """

    name: str
    verdict: str
    worth: float = 1.0
    place: str = ""
    cause: str = ""
    fix: str = ""

    @property
    def points(self) -> float:
        return self.worth if self.verdict in (RIGHT, CARRIED) else 0.0


@dataclass(frozen=True)
class Grade:
    """A hand-in: ``reason`` says why it failed to run; ``notes`` how it was read, ``flags`` what a person
    should look at: they change no verdict."""

    file: str
    verdict: str
    marks: tuple[Mark, ...] = ()
    reason: str = ""
    notes: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    seconds: float = 0.0
    seed: int = 0
    explained: bool = False

    @property
    def points(self) -> float:
        return sum(mark.points for mark in self.marks)

    @property
    def worth(self) -> float:
        return sum(mark.worth for mark in self.marks)

    @property
    def first_wrong(self) -> Mark | None:
        """The first mark of the gravest verdict, unless all are right."""
        return next((m for m in self.marks if m.verdict == self.verdict != RIGHT), None)

    @property
    def why(self) -> tuple[str, ...]:
        """The first wrong mark and what is wrong with it; or why nothing was to be had."""
        first = self.first_wrong
        if self.reason or first is None:
            return (self.reason,) * bool(self.reason)
        return first.name, first.cause or first.place

    @property
    def wants_explanation(self) -> bool:
        """Whether something is wrong of which nobody has asked why."""
        return not self.explained and any(mark.verdict == WRONG for mark in self.marks)

    def line(self, verdict: str) -> str:
        """The grade in one line, with the verdict as it shall look."""
        counts = Counter(mark.verdict for mark in self.marks)
        credit = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        tail = f" ({credit})" * (len(self.marks) > 1 and self.verdict != RIGHT)
        notes = [note for note in self.notes if not note.startswith("bound: ")]  # which is long
        flagged = "".join(f" [{said}]" for said in (*self.flags, *notes))
        texts = dict.fromkeys((printable(self.file), verdict, *self.why))
        return ": ".join(filter(None, texts)) + tail + flagged

    def __str__(self) -> str:
        return self.line(self.verdict)

    def explained_by(self, other: Grade) -> Grade:
        """The grade with what another trial of the same hand-in found out; the verdicts are this one's."""
        texts = {mark.name: mark for mark in other.marks}
        marks = tuple(
            replace(mark, cause=found.cause, fix=found.fix)
            if (found := texts.get(mark.name, mark)).verdict == mark.verdict
            else mark
            for mark in self.marks
        )
        return replace(self, marks=marks, explained=True)

    def to_dict(self) -> dict[str, Any]:
        """The grade as plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Grade:
        """What `to_dict` gave, also after JSON."""
        marks = tuple(Mark(**mark) for mark in data["marks"])
        return cls(**{**data, "marks": marks, "notes": tuple(data["notes"]), "flags": tuple(data["flags"])})


def gravest(marks: Sequence[Mark]) -> str:
    """The gravest verdict of some marks."""
    return max((mark.verdict for mark in marks), key=GRAVITY.index, default=FAILED)
