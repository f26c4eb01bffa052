"""The margin in words: beside each line of a backward pass what it computes, or what it should be."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import ClassVar, TypeAlias

import numpy as np

from autograd_mini.check.diagnosis.evidence import Explanation
from autograd_mini.check.margin.adjoints import SAID, Label
from autograd_mini.check.margin.edits import KINDS
from autograd_mini.check.margin.mending import Change, Mend
from autograd_mini.check.margin.repair import Repair
from autograd_mini.check.margin.runs import Event
from autograd_mini.check.reports.report import Part, Row
from autograd_mini.check.subjects.arguments import listed
from autograd_mini.check.verdicts import AGREES, CARRIED, MARKS, RIGHT, SHADES, WRONG
from autograd_mini.rewriting import SITES, text_of, tree_of

Labelled: TypeAlias = "Mapping[tuple[str, int, str, str], Label]"  # by file, line, kind and text


@dataclass(frozen=True)
class CodeLine(Part):
    """A line of code; ``numbers`` say what it computed, at the given point."""

    numbers: str = ""
    noun: ClassVar[str] = "line"

    @property
    def row(self) -> Row:
        mark = f"{MARKS[WRONG]} " * (self.verdict == WRONG)
        return SHADES.get(self.verdict, AGREES), ["", self.claim, f"{mark}{self.margin}", self.note]


def explanations_of(
    mends: Sequence[Mend], repairs: Sequence[Repair], names: Sequence[str], right: frozenset[str]
) -> list[Explanation]:
    """What is wrong in a sentence each, the plainest first."""
    if mends:
        first = mends[0]
        both = "it" if len(first.changes) == 1 else "both" if len(first.changes) == 2 else "all of them"
        parts = [f"line {change.line}: {_changed(change)}" for change in first.changes]
        parts += [f"with {both} {_right(first.mends, names, right)}", _equivalent(mends)]
        text = "; ".join(filter(None, parts))
        return [Explanation("slip", text, "; ".join(change.text for change in first.changes))]
    return [
        Explanation(
            "line",
            f"line {r.where.line}: {r.where.text} {_should(r)}; with it {_with(r, names, right)}",
            "" if r.where.kind in ("part", "returned") else f"{r.where.text} = {r.should}",
        )
        for r in repairs
    ]


def _changed(change: Change) -> str:
    why = KINDS[change.kind][1]
    if "\n" in change.new or not change.old:
        return why
    return f"{why}: yours is right with {change.new} in place of {change.old}"


def _equivalent(mends: Sequence[Mend]) -> str:
    """The plainest change of one other line that does as well."""
    lines = {change.line for change in mends[0].changes}
    for mend in mends[1:]:
        if len(mend.changes) == 1 and mend.changes[0].line not in lines:
            return f"or equivalently in line {mend.changes[0].line}: {mend.changes[0].text}"
    return ""


def _with(repair: Repair, names: Sequence[str], right: frozenset[str]) -> str:
    return _right(repair.mends, names, right) + " but for a factor" * repair.scaled


def _right(mends: frozenset[str], names: Sequence[str], right: frozenset[str]) -> str:
    """Which gradients become right, and which of the others are."""
    others = [f"∂L/∂{name}" for name in names if name in right]
    text = f"{_and([f'∂L/∂{name}' for name in names if name in mends])} right"
    return f"{text}; {_and(others)}" if others else text


def _and(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last} are" if most else f"{last} is"


def _should(repair: Repair) -> str:
    new = next(iter(repair.put.values()))
    shape = f", shape {np.shape(new)}" * bool(np.shape(new))
    return f"should be {repair.should}{shape}"


def parts_of_code(
    functions: Mapping[CodeType, FunctionType],
    before: Labelled,
    after: Labelled,
    events: Sequence[Event],
    mends: Sequence[Mend],
    repairs: Sequence[Repair],
    names: Sequence[str],
    right: frozenset[str],
) -> tuple[CodeLine, ...]:
    """The lines of the functions that ran, with their margin.

    ``before`` says what the lines compute, and ``after`` what they compute once the wrong ones are repaired.
    """
    wrong = {(c.file, line): c for mend in mends[:1] for c in mend.changes for line in (c.line,)}
    should = {(r.where.file, r.where.line): r for r in repairs}
    ran = {(file, line) for file, line, _, _ in before}
    given = _and_names([*wrong.values()], [r for place, r in should.items() if not wrong or place in wrong])
    numbers_by_line = _numbers(events)
    found: list[CodeLine] = []
    for file, numbers in _spans(functions, ran).items():
        lines = text_of(file).splitlines()
        margin = min(
            (len(lines[n - 1]) - len(lines[n - 1].lstrip()) for n in numbers if lines[n - 1].strip()),
            default=0,
        )
        for number in numbers:
            claim = lines[number - 1][margin:].rstrip()
            own, then = _label(before, file, number), _label(after, file, number)
            mended = _label(_others(after, before), file, number) or then
            place = file, number
            verdict = text = note = ""
            if place in wrong or (not wrong and place in should):
                change, repair = wrong.get(place), should.get(place)
                verdict = WRONG
                text = _of_wrong(repair, mended)
                text += f". With it {_with(repair, names, right)}" if repair else ""
                if change is not None:
                    corrected = f"right: {change.text}".replace("\n", "\n       ")
                    note = "\n".join(filter(None, [_changed(change), corrected, _equivalent(mends)]))
            elif own is not None and own.kind in ("adjoint", "reshaped"):
                verdict, text = RIGHT, f"= {own.text}" + ", in another shape" * (own.kind == "reshaped")
            elif then is not None and then.kind == "adjoint" and given:
                verdict, text = CARRIED, f"= {then.text}, given {given}"
            elif own is not None and own.kind in ("multiple", "summed"):
                text = f"= {own.text}" if own.kind == "multiple" else own.text
            name = f"line {number}" if len(_spans(functions, ran)) == 1 else f"{file}:{number}"
            computed = numbers_by_line.get(place, "")
            if claim.strip():
                found.append(CodeLine(name, claim, verdict, text, note, numbers=computed))
    return tuple(found)


def _numbers(events: Sequence[Event]) -> dict[tuple[str, int], str]:
    """What each line computed the first time, in a few digits."""
    found: dict[tuple[str, int], str] = {}
    for event in events:
        site = SITES[event.site]
        if site.kind in SAID and (site.file, site.line) not in found:
            with np.printoptions(precision=4, threshold=24, edgeitems=2):
                shape = f", shape {np.shape(event.result)}" * bool(np.shape(event.result))
                found[site.file, site.line] = f"{site.text}{shape}\n{event.result}"
    return found


def _and_names(changes: Sequence[Change], repairs: Sequence[Repair]) -> str:
    """What the wrong lines compute, by name."""
    targets = [
        getattr(statement, "targets", [getattr(statement, "target", None)])[0]
        for statement in (change.statement for change in changes)
        if isinstance(statement, (ast.Assign, ast.AugAssign, ast.AnnAssign))
    ]
    names = [ast.unparse(x.value if isinstance(x, ast.Subscript) else x) for x in targets]
    return (
        listed(dict.fromkeys(names or [r.where.text for r in repairs if r.where.kind != "part"]))
        if changes or repairs
        else ""
    )


def _of_wrong(repair: Repair | None, then: Label | None) -> str:
    """What a wrong line should compute."""
    is_known = then is not None and then.kind == "adjoint"
    if repair is not None and not (is_known and repair.where.kind not in SAID):
        return _should(repair)
    return f"should be {then.text}" if then is not None and is_known else "is wrong"


def _label(labelled: Labelled, file: str, line: int) -> Label | None:
    """The label of the last named result of a line."""
    own = [x for (f, n, kind, _), x in labelled.items() if (f, n) == (file, line) and kind != "whole"]
    whole = [x for (f, n, kind, _), x in labelled.items() if (f, n) == (file, line) and kind == "whole"]
    best = [x for x in (*own, *whole) if x.kind == "adjoint"]
    if len({x.text for x in best}) > 1:  # several statements, or parts of what is returned
        return Label("adjoint", ", ".join(x.text for x in own)) if best == own else None
    if len(own) > 1 and best and any(x.kind in ("", "multiple", "reshaped", "summed") for x in own):
        return None
    return next(iter(best or own[-1:] or whole[-1:]), None)


def _others(after: Labelled, before: Labelled) -> Labelled:
    """What lines compute after a repair that they did not compute before."""
    return {key: label for key, label in after.items() if before.get(key) != label}


def _spans(functions: Mapping[CodeType, FunctionType], ran: set[tuple[str, int]]) -> dict[str, list[int]]:
    """The lines of the functions in which something was computed, by file."""
    found: dict[str, set[int]] = {}
    for code in functions:
        tree = tree_of(code)
        if tree is None:
            continue
        span = range(tree.lineno, (tree.end_lineno or tree.lineno) + 1)
        own = [line for file, line in ran if file == code.co_filename and line in span]
        if own:
            found.setdefault(code.co_filename, set()).update(span)
    return {file: sorted(numbers) for file, numbers in found.items()}
