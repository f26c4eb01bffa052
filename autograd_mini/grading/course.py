"""A folder of hand-ins: found, handed to judges, and nothing lost when the run is interrupted."""

from __future__ import annotations

import ast
import glob
import hashlib
import json
import os
import queue
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from threading import Event
from typing import NamedTuple

from autograd_mini.definitions import texts
from autograd_mini.files import write
from autograd_mini.grading.data import UnreadableError, dumps, loads
from autograd_mini.grading.grades import FAILED, Grade
from autograd_mini.processes import Conversation, EndedError, printable, program

SUFFIXES = (".py", ".ipynb")
LARGEST = 1 << 24  # bytes of a grade
ATTEMPTS = 2  # to judge a hand-in, as a judge may be ended by another's
PATIENCE = 120.0  # seconds that judging may take, besides those of the hand-in


class Source(NamedTuple):
    """A file, and the digest of what was in it when grading began; ``trouble`` says why it was not read."""

    file: str
    digest: str
    trouble: str = ""


def sources(patterns: Sequence[str], reference: str) -> list[Source]:
    """The hand-ins of folders, patterns and files, in order; the reference is none."""
    found: dict[str, None] = {}
    for pattern in patterns:
        is_folder = os.path.isdir(pattern)
        within = os.path.join(glob.escape(pattern), "**", "*") if is_folder else pattern
        names = sorted(glob.glob(within, recursive=True)) or [pattern] * (not is_folder)
        is_meant = not is_folder and names == [pattern]
        for name in names:
            if is_meant or (name.endswith(SUFFIXES) and not os.path.samefile(name, reference)):
                found[name] = None
    return [read(name) for name in found]


def read(file: str) -> Source:
    """A file as it is now."""
    try:
        with open(file, "rb") as stream:
            return Source(file, hashlib.sha256(stream.read()).hexdigest())
    except OSError as error:
        return Source(file, "", f"it cannot be read: {error.strerror or error}")


def helpers(hand_ins: Sequence[Source]) -> set[str]:
    """The files that others of their folder import."""
    found: set[str] = set()
    for source in hand_ins:
        with suppress(MemoryError, OSError, RecursionError, SyntaxError, ValueError):
            for node in (node for _, text in texts(source.file) for node in ast.walk(ast.parse(text))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                found |= {os.path.join(os.path.dirname(source.file), f"{name}.py") for name in names}
    return found


@dataclass(frozen=True)
class Limits:
    """What each hand-in may take: ``timeout`` and, for its explanation, ``diagnosis`` in seconds, ``memory``
    in MB; and the ``seed`` of the points, which is drawn anew for each if there is none."""

    timeout: float
    memory: int
    diagnosis: float
    seed: int | None


class Judges(AbstractContextManager["Judges"]):
    """As many judges as jobs, each a process that holds the reference, and is replaced if it ends."""

    def __init__(self, reference: Source, limits: Limits, jobs: int) -> None:
        self.reference, self.limits = reference, limits
        self._stop = Event()
        self._folder = tempfile.mkdtemp()
        self._all: set[Conversation] = set()
        self._free: queue.SimpleQueue[Conversation | None] = queue.SimpleQueue()
        self._pool = ThreadPoolExecutor(jobs)
        for _ in range(jobs - 1):
            self._free.put(None)
        try:
            self._free.put(self._judge())
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *raised: object) -> None:
        """End them, and what they run."""
        self._stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        for judge in [*self._all]:
            self._end(judge)
        shutil.rmtree(self._folder, ignore_errors=True)

    def grades(
        self,
        hand_ins: Sequence[Source],
        keep: Callable[[Source, Grade], None],
        verdicts: Mapping[str, Grade] | None = None,
    ) -> Iterator[Grade]:
        """The grade of each, in order, kept as soon as it is there; of those with a verdict, explained."""

        def graded(hand_in: Source) -> Grade:
            found = self._grade(hand_in, verdicts or {})
            keep(hand_in, found)
            return found

        return self._pool.map(graded, hand_ins)

    def _grade(self, hand_in: Source, verdicts: Mapping[str, Grade]) -> Grade:
        if hand_in.trouble:
            return Grade(hand_in.file, FAILED, reason=printable(hand_in.trouble))
        known = verdicts.get(hand_in.file)
        seed = self.limits.seed if known is None else known.seed
        diagnosis = 0.0 if known is None else self.limits.diagnosis
        request = {"hand_in": hand_in.file, "seed": seed, "diagnosis": diagnosis}
        request |= {"timeout": self.limits.timeout, "memory": self.limits.memory}
        for _ in range(ATTEMPTS):
            found = self._asked(dumps(request))
            if isinstance(found, Grade):
                break
        else:
            found = Grade(hand_in.file, FAILED, reason=f"the process that judged it {found}")
        return found if known is None else known.explained_by(found)

    def _asked(self, request: bytes) -> Grade | str:
        """A judge's grade, or how the judge ended."""
        judge = self._free.get()
        try:
            if judge is None:
                judge = self._judge()
            return Grade.from_dict(loads(judge.ask(request, self.limits.timeout + PATIENCE)))
        except (EndedError, TimeoutError, UnreadableError) as ended:
            if self._stop.is_set():
                raise
            assert judge is not None
            self._end(judge)
            judge = None
            return str(ended) or "was not done"
        finally:
            self._free.put(judge)

    def _judge(self) -> Conversation:
        """A new judge; ValueError if the reference does not run."""
        judge = Conversation(program("autograd_mini.grading.judge"), size=LARGEST)
        self._all.add(judge)
        path = os.path.abspath(self.reference.file)
        request = {"path": path, "memory": self.limits.memory, "folder": self._folder}
        try:
            error = loads(judge.ask(dumps(request), PATIENCE)).get("error", "")
        except (EndedError, TimeoutError) as ended:
            error = f"its process {ended or 'was not done'}"
        if error or self._stop.is_set():
            self._end(judge)
            raise ValueError(f"the reference {self.reference.file} failed to run: {error}")
        return judge

    def _end(self, judge: Conversation) -> None:
        self._all.discard(judge)
        judge.__exit__()


class Journal(AbstractContextManager["Journal"]):
    """The grades so far, a line each in a file, if there is a path, which is there while a course is graded.

    With ``resume`` it begins with those of a run that was interrupted, if that had the same ``key``.
    """

    def __init__(self, path: str, key: str, resume: bool) -> None:
        self.path = path
        self._known: dict[tuple[str, str], Grade] = {}
        lines: list[bytes] = []
        if resume and os.path.exists(path):
            with open(path, "rb") as file:
                lines = [line for line in file if line.endswith(b"\n")]  # the last was being written
        if lines[:1] != [key.encode() + b"\n"]:
            lines = [key.encode() + b"\n"]
        for line in lines[1:]:
            record = json.loads(line)
            self._known[record["digest"], record["grade"]["file"]] = Grade.from_dict(record["grade"])
        if path:
            write(path, b"".join(lines))

    def get(self, hand_in: Source) -> Grade | None:
        """The grade that a hand-in has, if it is still the same."""
        return self._known.get((hand_in.digest, hand_in.file))

    def add(self, hand_in: Source, grade: Grade) -> None:
        """Keep a grade, whatever happens next."""
        self._known[hand_in.digest, hand_in.file] = grade
        if self.path:
            record = {"digest": hand_in.digest, "grade": grade.to_dict()}
            with open(self.path, "ab", buffering=0) as file:
                file.write(json.dumps(record).encode() + b"\n")

    def __exit__(self, kind: type[BaseException] | None, *more: object) -> None:
        """Forget them, if they are written where they belong, or there is none."""
        if self.path and (kind is None or not self._known):
            os.unlink(self.path)
        elif self.path:
            print(f"the grades so far are in {self.path}; --resume goes on", file=sys.stderr)
