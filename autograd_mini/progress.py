"""Where the work is that takes its time: a line on a terminal, which goes away when the work is done."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE = 0.5  # seconds between lines of progress

_shown = threading.local()  # how work says what it does, where the work around it shows a line


@contextmanager
def progress(doing: str = "start") -> Iterator[Callable[[str], None]]:
    """What says on a terminal where some work is and, twice a second, for how long it has been at it.

    Work inside of other work speaks on the line of that.
    """
    line = ""
    start, done = time.perf_counter(), threading.Event()

    def say(what: str) -> None:
        nonlocal doing
        doing = what

    def show() -> None:
        nonlocal line
        while not done.wait(PATIENCE):
            line = f"{doing} … {time.perf_counter() - start:.1f} s".ljust(len(line))
            print(f"\r{line}", end="", file=sys.stderr, flush=True)

    outer = getattr(_shown, "say", None)
    if outer is not None or not sys.stderr.isatty():
        yield outer or say
        return
    thread = threading.Thread(target=show, daemon=True)
    _shown.say = say
    thread.start()
    try:
        yield say
    finally:
        del _shown.say
        done.set()
        thread.join()
        if line:
            print("\r" + " " * len(line), end="\r", file=sys.stderr, flush=True)
