"""``grade``: hand-ins against a reference, one line each, and then what went wrong in the wrong ones."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence

from autograd_mini.check import INCONCLUSIVE, RIGHT, painted, wants_colour
from autograd_mini.files import is_stream, write
from autograd_mini.grading.course import Journal, Judges, Limits, Source, helpers, read, sources
from autograd_mini.grading.grades import NOTHING, Grade
from autograd_mini.grading.reports import gradescope, overview, page, summary, table
from autograd_mini.processes import printable
from autograd_mini.progress import progress

FEW = 5  # hand-ins that are named where they have a mistake in common


def grade(options: argparse.Namespace) -> int:
    if options.timeout <= 0 or options.memory <= 0 or options.jobs <= 0:
        raise ValueError("--timeout, --memory and --jobs must be positive")
    if "-" in options.output:
        raise ValueError("grade prints its lines anyway; -o names a table (.csv), a .json or a folder")
    reference = read(options.reference)
    if reference.trouble:
        raise ValueError(f"the reference {options.reference}: {reference.trouble}")
    hand_ins = sources(options.hand_ins, options.reference)
    if not hand_ins:
        raise ValueError(f"there are no hand-ins, .py or .ipynb, in {', '.join(options.hand_ins)}")
    if options.resume and not options.output:
        raise ValueError("--resume goes on with the files of -o, and there is none")
    limits = Limits(options.timeout, options.memory, options.diagnosis, options.seed)
    kept = [os.path.normpath(path) for path in options.output if os.path.isdir(path) or not is_stream(path)]
    journal = Journal(f"{kept[0]}.partial" if kept else "", reference.digest, options.resume)
    with journal, Judges(reference, limits, options.jobs) as judges:
        graded = _graded(judges, hand_ins, journal)
        _write(graded, options)
        wrong = [x for x in hand_ins if x.file in graded and graded[x.file].wants_explanation]
        if options.diagnosis and wrong:
            found = judges.grades(wrong, journal.add, graded)
            graded |= {known.file: known for known in with_progress(found, len(wrong), "why: ")}
            _write(graded, options)
    for text, files in summary([*graded.values()]):
        print(printable(f"{len(files)}: {text}" + f" ({', '.join(files)})" * (len(files) <= FEW)))
    verdicts = {known.verdict for known in graded.values()}
    return 0 if verdicts == {RIGHT} else 3 if verdicts <= {RIGHT, INCONCLUSIVE} else 1


def _graded(judges: Judges, hand_ins: Sequence[Source], journal: Journal) -> dict[str, Grade]:
    """The verdicts on all, printed in order as soon as they are there, by files."""
    graded: dict[str, Grade] = {}
    imported = helpers(hand_ins)
    before = {x.file: known for x in hand_ins if (known := journal.get(x))}
    fresh = judges.grades([x for x in hand_ins if x.file not in before], journal.add)
    every = (before.get(x.file) or next(fresh) for x in hand_ins)
    for known in with_progress(every, len(hand_ins)):
        if known.reason == NOTHING and known.file in imported:
            continue  # others import it, and it derives nothing
        graded[known.file] = known
        print(painted_line(known), flush=True)
    return graded


# --- what is written ------------------------------------------------------------------------------------


def _write(graded: Mapping[str, Grade], options: argparse.Namespace) -> None:
    grades = [*graded.values()]
    for path in options.output:
        if path.endswith(".csv"):
            _write_text(path, table(grades))
        elif path.endswith(".json"):
            several = {x.file: gradescope(x, options.tell) for x in grades}
            only = [*several.values()] if len(several) == 1 else [several]
            _write_text(path, json.dumps(*only, indent=1))
        else:
            _write_pages(path, grades, options.tell)


def _write_pages(folder: str, grades: Sequence[Grade], tell: str) -> None:
    """A page for each, in the folders in which the hand-ins are, and one for the class, index.html."""
    root = os.path.commonpath([os.path.dirname(os.path.abspath(x.file)) for x in grades])
    names = [os.path.relpath(os.path.abspath(x.file), root) for x in grades]
    for known, name in zip(grades, names, strict=True):
        path = os.path.join(folder, f"{name}.html")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _write_text(path, page(known, name, tell))
    _write_text(os.path.join(folder, "index.html"), overview(grades, names))


def _write_text(path: str, text: str) -> None:
    write(path, text.encode(errors="replace"))


# --- the terminal ---------------------------------------------------------------------------------------


def with_progress(grades: Iterable[Grade], count: int, what: str = "") -> Iterator[Grade]:
    """The grades as they come; while the next is awaited, a terminal shows how many there are."""
    iterator = iter(grades)
    for done in range(count):
        with progress(f"{what}{done} of {count}"):
            known = next(iterator)
        yield known


def painted_line(result: Grade) -> str:
    return result.line(painted(result.verdict, result.verdict)) if wants_colour() else str(result)
