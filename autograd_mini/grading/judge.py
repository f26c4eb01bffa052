"""The process that holds the reference, and grades one hand-in after the other."""

from __future__ import annotations

import os
import queue
import secrets
import shutil
import sys
import tempfile
import threading
import time
import tokenize
from contextlib import suppress
from typing import Any

from autograd_mini.grading.confinement import adopt, limit, private_pipes
from autograd_mini.grading.data import dumps, loads
from autograd_mini.grading.flags import flags_of
from autograd_mini.grading.grades import FAILED, Grade, gravest
from autograd_mini.grading.hand_in import LONGEST, failure
from autograd_mini.grading.pupil import HandInError, Pupil
from autograd_mini.grading.task import Outcome, Task
from autograd_mini.processes import end_descendants, printable

COARSE = "it answers numbers of 16 bits, of which three digits count"
JUDGE = 4  # times the memory of a hand-in


def main() -> None:
    """Grade what comes, until nothing comes any more; then end, with whatever runs."""
    requests, replies = private_pipes()
    adopt()
    judge = Judge()
    asked: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def listen() -> None:
        for line in requests:
            asked.put(line)
        end_descendants(os.getpid())
        shutil.rmtree(judge.folder, ignore_errors=True)
        os._exit(0)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        replies.write(dumps(judge.reply(loads(asked.get()))) + b"\n")
        replies.flush()


class Judge:
    """The reference, once there is one, and the ``folder`` in which hand-ins get theirs."""

    def __init__(self) -> None:
        self.task: Task | None = None
        self.folder = ""

    def reply(self, request: dict[str, Any]) -> dict[str, Any]:
        """First comes the reference, and its error is answered if it has one; then come hand-ins."""
        if "hand_in" in request:
            return self.graded(**request).to_dict()
        self.folder = request["folder"]
        limit(AS=JUDGE * request["memory"] << 20)
        names: dict[str, Any] = {"__name__": "reference", "__file__": request["path"]}
        sys.path.append(os.path.dirname(request["path"]))
        try:
            with tokenize.open(request["path"]) as file:
                exec(compile(file.read(), request["path"], "exec"), names)
            self.task = Task(names)
        except BaseException as error:
            return {"error": failure(error, request["path"])}
        return {}

    def graded(self, hand_in: str, timeout: float, memory: int, seed: int | None, diagnosis: float) -> Grade:
        """The grade of one hand-in; nothing of it is left."""
        assert self.task is not None
        start = time.perf_counter()
        drawn = secrets.randbits(32) if seed is None else seed
        folder = tempfile.mkdtemp(dir=self.folder)
        path, reason, found = os.path.abspath(hand_in), "", Outcome([], [], [])
        flags = flags_of(path)
        pupil = Pupil(path, folder, timeout, memory)
        try:
            with pupil:
                found = self.task.outcome(pupil, drawn, diagnosis)
            reason = pupil.trouble
        except HandInError as error:
            reason = str(error)
        except Exception as error:  # what was handed in is nothing that can be checked
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        finally:
            self._clear(folder)
        notes = [*found.read, *(f"left out: {said}" for said in pupil.left_out)]
        return Grade(
            hand_in,
            FAILED if reason else gravest(found.marks),
            tuple(found.marks or self.task.failed()),
            printable(reason)[:LONGEST],
            tuple(map(printable, notes)),
            (*flags, *found.flags, *[COARSE] * pupil.is_coarse),
            round(time.perf_counter() - start, 3),
            drawn,
            diagnosis > 0,
        )

    def _clear(self, folder: str) -> None:
        """End what the hand-in left behind, and forget its files."""
        end_descendants(os.getpid())
        if sys.platform != "win32":
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
        shutil.rmtree(folder, ignore_errors=True)
