"""What a terminal shows while work is done: where it is, and what the user's functions print, once."""

from __future__ import annotations

import builtins
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

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


class _Printing:
    """What `print` is while functions are called again and again: each speaks in its first call."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.print: Callable[..., None] = builtins.print
        self.first: dict[tuple[str, int], FrameType] = {}  # calls, by where their functions begin

    def __call__(self, *args: Any, **named: Any) -> None:
        if "file" in named or self._speaks(sys._getframe(1)):
            self.print(*args, **named)

    def _speaks(self, frame: FrameType | None) -> bool:
        """Whether the function that this package called, and that came to a print, is in its first call."""
        while frame is not None and frame.f_back is not None and not _is_own(frame.f_back):
            frame = frame.f_back
        if frame is None or frame.f_back is None:
            return True
        place = frame.f_code.co_filename, frame.f_code.co_firstlineno
        return self.first.setdefault(place, frame) is frame


_printing = _Printing()


@contextmanager
def printing_once() -> Iterator[None]:
    """For the time of some work: what each of the functions called prints is shown in its first call only."""
    with _printing.lock:
        if not _printing.users:
            _printing.print, builtins.print = builtins.print, _printing
        _printing.users += 1
    try:
        yield
    finally:
        with _printing.lock:
            _printing.users -= 1
            if not _printing.users:
                now: object = builtins.print
                if now is _printing:  # nobody has put another in its place
                    builtins.print = _printing.print
                _printing.first.clear()


def _is_own(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] == __package__
