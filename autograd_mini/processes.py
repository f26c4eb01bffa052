"""`run`: another program, held to a time and to an amount of output, with every process that it starts;
and `forked`: a copy of this one.

The program leads a process group, and the group ends with it. Such limits stop accidents and not attacks:
what leaves the group lives on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, NamedTuple, NoReturn


class Run(NamedTuple):
    """What a program wrote, and how it ended: ``trouble`` says it of one that did not end well.

    ``status`` is None if it was stopped because its time was over, negative if a signal ended it.
    """

    status: int | None
    trouble: str
    output: bytes
    errors: bytes


def run(
    command: Sequence[str],
    given: bytes = b"",
    *,
    timeout: float,
    size: int,
    stop: threading.Event | None = None,
    folder: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Run:
    """Run a program on ``given`` until it ends, or is ended: after ``timeout`` seconds, when ``stop`` is set,
    or when its output or its errors are longer than ``size`` bytes, of which so many are kept.

    >>> run([sys.executable, "-c", "print(input())"], b"hello", timeout=60, size=100).output.split()
    [b'hello']
    >>> run([sys.executable, "-c", "while True: print('hello')"], timeout=60, size=100).trouble
    'wrote more than 100 bytes'

    Raises OSError if the program cannot be started.
    """
    end = time.monotonic() + timeout
    process = subprocess.Popen(
        command,
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=environment,
        start_new_session=True,
    )
    output, errors = bytearray(), bytearray()
    threads = [
        threading.Thread(target=_feed, args=(process.stdin, given), daemon=True),
        threading.Thread(target=_collect, args=(process.stdout, output, size), daemon=True),
        threading.Thread(target=_collect, args=(process.stderr, errors, size), daemon=True),
    ]
    status = None
    try:
        for thread in threads:
            thread.start()
        while status is None and time.monotonic() < end and max(len(output), len(errors)) <= size:
            if stop is not None and stop.is_set():
                break
            with suppress(subprocess.TimeoutExpired):
                status = process.wait(0.05)
    finally:
        _kill(process)
        last = time.monotonic() + 1.0  # what left the group may hold the pipes for ever
        for thread in threads:
            with suppress(RuntimeError):  # it was not started
                thread.join(max(0.0, last - time.monotonic()))
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()
    if max(len(output), len(errors)) > size:
        status, trouble = process.returncode, f"wrote more than {size:,} bytes"
    elif status is None:
        trouble = f"was not done after {timeout:g} s"
    elif status < 0:
        names = {known.value: known.name for known in signal.Signals}
        trouble = f"was ended by {names.get(-status, f'signal {-status}')}"
    else:
        trouble = f"ended its process with status {status}" if status else ""
    return Run(status, trouble, *(bytes(memoryview(text)[:size]) for text in (output, errors)))


def forked(work: Callable[[Callable[[Any], None]], None], seconds: float) -> list[Any]:
    """What ``work`` tells in a copy of this process, which is ended after some seconds.

    ``work(tell)`` may crash, hang or change what it likes; what it told before is kept. Where a process
    cannot be copied it runs in this one.

    >>> forked(lambda tell: (tell("a"), os._exit(1), tell("b")), seconds=60)
    ['a']
    """
    told: list[Any] = []
    if not hasattr(os, "fork"):
        work(told.append)
        return told
    from multiprocessing import Pipe

    here, there = Pipe(duplex=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads, whose locks the copy does not take
        process = os.fork()
    if not process:
        _work_apart(work, there.send)
    there.close()
    end = time.monotonic() + seconds
    try:
        with suppress(EOFError):
            while here.poll(max(0.0, end - time.monotonic())):
                told.append(here.recv())
    finally:
        with suppress(OSError):
            os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        here.close()
    return told


def _work_apart(work: Callable[[Callable[[Any], None]], None], tell: Callable[[Any], None]) -> NoReturn:
    """In the copy: work without a word, and end."""
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(nowhere, descriptor)
        work(tell)
    finally:
        os._exit(0)


def _feed(pipe: IO[bytes], given: bytes) -> None:
    rest = memoryview(given)
    with suppress(OSError, ValueError):  # nobody reads on, or the pipe was closed
        while rest:
            rest = rest[pipe.write(rest) :]
    pipe.close()


def _collect(pipe: IO[bytes], into: bytearray, size: int) -> None:
    with suppress(BufferError, OSError, ValueError):  # it was closed, and what is there is being copied
        while len(into) <= size and (part := pipe.read(1 << 16)):
            into += part


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and what it started."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True)
    else:
        with suppress(OSError):  # there may be nothing left
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def printable(text: str) -> str:
    """The text on one line, without what could command a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)
