"""``grade``: hand-ins against a reference, each in a process of its own, one line each."""

from __future__ import annotations

import argparse
import csv
import importlib.util
import io
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from glob import glob
from typing import NamedTuple

from autograd_mini.check import INCONCLUSIVE, RIGHT, painted, wants_colour
from autograd_mini.command_line.hand_in import FAILED
from autograd_mini.files import write
from autograd_mini.processes import printable, run

LARGEST = 1 << 20  # bytes of a verdict
MEMORY_IS_LIMITED = importlib.util.find_spec("resource") is not None
START = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from autograd_mini.command_line import hand_in
hand_in.main()
"""
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}


class Grade(NamedTuple):
    file: str
    verdict: str
    step: str
    reason: str
    seconds: float

    def __str__(self) -> str:
        return self.line(self.verdict)

    def line(self, verdict: str) -> str:
        """The grade in one line, with the verdict as it shall look."""
        return ": ".join(filter(None, (self.file, verdict, self.step, self.reason)))


def grade(options: argparse.Namespace) -> int:
    if options.timeout <= 0 or options.memory <= 0 or options.jobs <= 0:
        raise ValueError("--timeout, --memory and --jobs must be positive")
    stop = threading.Event()
    graded = partial(_graded, options.reference, timeout=options.timeout, memory=options.memory, stop=stop)
    trial = graded("")
    if trial.verdict == FAILED:
        raise ValueError(f"the reference {options.reference} failed to run: {trial.reason}")
    # Where the shell leaves patterns alone, as on Windows, they are expanded here.
    files = [file for pattern in options.hand_ins for file in (sorted(glob(pattern)) or [pattern])]
    grades = []
    with ThreadPoolExecutor(options.jobs) as pool:
        try:
            for result in _with_progress(pool.map(graded, files), len(files)):
                grades.append(result)
                print(_painted(result), flush=True)
        except BaseException:  # Ctrl-C, or nobody reads any more
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if options.csv:
        table = io.StringIO(newline="")
        csv.writer(table).writerows([Grade._fields, *grades])
        write(options.csv, table.getvalue().encode(errors="replace"))
    verdicts = {result.verdict for result in grades}
    return 0 if verdicts == {RIGHT} else 3 if verdicts <= {RIGHT, INCONCLUSIVE} else 1


# --- one hand-in --------------------------------------------------------------------------------------


def _graded(reference: str, hand_in: str, timeout: float, memory: int, stop: threading.Event) -> Grade:
    """What the process of a hand-in wrote, or how it ended without."""
    start = time.perf_counter()
    request = {
        "reference": os.path.abspath(reference),
        "hand_in": hand_in and os.path.abspath(hand_in),
        "memory": memory,
    }
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        done = run(
            [sys.executable, "-I", "-c", START, json.dumps(sys.path), json.dumps(request)],
            timeout=timeout,
            size=LARGEST,
            stop=stop,
            folder=folder,
            environment={**os.environ, **ONE_THREAD},
        )
    end = f"it {done.trouble or 'ended its process with status 0'}"
    result = _read(done.output) or {"verdict": FAILED, "step": "", "reason": end}
    return Grade(
        hand_in, result["verdict"], result["step"], result["reason"], round(time.perf_counter() - start, 3)
    )


def _read(output: bytes) -> dict[str, str] | None:
    try:
        result = json.loads(output)
        return {name: printable(str(result[name])) for name in ("verdict", "step", "reason")}
    except (KeyError, RecursionError, TypeError, ValueError):
        return None


# --- the terminal -------------------------------------------------------------------------------------


def _with_progress(grades: Iterable[Grade], count: int) -> Iterator[Grade]:
    """The grades as they come, with a bar on a terminal's stderr while the next is awaited."""
    shown = sys.stderr.isatty()
    width = 30
    iterator = iter(grades)
    for done in range(count):
        if shown:
            filled = width * done // count
            print(
                f"\r[{'#' * filled}{'.' * (width - filled)}] {done}/{count}",
                end="",
                file=sys.stderr,
                flush=True,
            )
        result = next(iterator)
        if shown:
            print("\r" + " " * (width + 12) + "\r", end="", file=sys.stderr, flush=True)
        yield result


def _painted(result: Grade) -> str:
    return result.line(painted(result.verdict, result.verdict)) if wants_colour() else str(result)
