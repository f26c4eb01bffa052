"""Work spread over the cores: parts of it run in threads kept for it, one in the thread that asks."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


def spread(run: Callable[[int, int], None], groups: int, worth: int) -> None:
    """Call ``run(begin, end)`` for parts of the groups at once, as many as the work is ``worth``."""
    parts = min(groups, worth)
    parts = min(parts, cores()) if parts > 1 else parts
    bounds = [groups * k // max(parts, 1) for k in range(parts + 1)]
    others = [_threads().submit(run, bounds[k], bounds[k + 1]) for k in range(1, parts)]
    if parts:
        run(0, bounds[1])
    for other in others:
        other.result()


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _threads() -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(cores(), "autograd_mini")
    return _pool


def _forget_threads() -> None:
    """A forked process has none of its parent's threads."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
