"""Other programs, held to a time and an amount of output, with every process they start; `forked`: a copy of
this one.

A program leads a process group, and the group ends with it; so does, on Linux, everything that descends from
it, in whatever group or session. Elsewhere what leaves the group lives on.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import IO, Any, NamedTuple, NoReturn

BEAT = 0.05  # seconds between two looks at a program that runs
PATIENCE = 5.0  # seconds for processes to end that are killed
UNREAD = 16  # lines that a program may write before they are read


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
    process = _started(command, folder, environment, subprocess.PIPE)
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
                status = process.wait(BEAT)
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
    else:
        trouble = _end_of(status) if status else ""
    return Run(status, trouble, *(bytes(memoryview(text)[:size]) for text in (output, errors)))


def _end_of(status: int) -> str:
    """How a process ended that has this status."""
    if status >= 0:
        return f"ended its process with status {status}"
    names = {known.value: known.name for known in signal.Signals}
    return f"was ended by {names.get(-status, f'signal {-status}')}"


def program(module: str) -> list[str]:
    """The command that runs a module's ``main`` in a Python of its own, which finds what this one finds."""
    start = f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {module} import main; main()"
    return [sys.executable, "-I", "-c", start, json.dumps(sys.path)]


class EndedError(Exception):
    """A program gives no answer any more; the message, which goes on after "it", says why."""


class Conversation(AbstractContextManager["Conversation"]):
    """A program that is sent lines, and answers each by a line of at most ``size`` bytes.

    >>> echo = "import sys\\nfor line in sys.stdin: print(line, end='', flush=True)"
    >>> with Conversation([sys.executable, "-c", echo], size=100) as program:
    ...     program.ask(b"hello", timeout=60)
    b'hello'
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        size: int,
        folder: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.process = _started(command, folder, environment, subprocess.DEVNULL)
        self.size = size
        self._trouble = ""
        self._asked: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        for work in (self._speak, self._listen):
            threading.Thread(target=work, daemon=True).start()

    def ask(self, line: bytes, timeout: float, watch: Callable[[], None] = lambda: None) -> bytes:
        """What it answers within ``timeout`` seconds, in which ``watch`` is called now and then.

        Raises TimeoutError if it does not, EndedError if it never will, and whatever ``watch`` raises; then
        there is nothing more to ask.
        """
        self._asked.put(line + b"\n")
        end = time.monotonic() + timeout
        answer: bytes | None = None
        while answer is None:
            try:
                answer = self._answers.get(timeout=max(0.0, min(BEAT, end - time.monotonic())))
                if answer is None:
                    raise EndedError(self._trouble or self._end())
            except queue.Empty:
                if time.monotonic() >= end:
                    raise TimeoutError from None
                watch()
        return answer

    def _end(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            return _end_of(self.process.wait(1.0))
        return "closed the pipe on which it answers"

    def __exit__(self, *raised: object) -> None:
        """End the program and all that it started."""
        _kill(self.process)
        self._asked.put(b"")
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()

    def _speak(self) -> None:
        while line := self._asked.get():
            _write(self.process.stdin, line)

    def _listen(self) -> None:
        assert self.process.stdout is not None
        line = bytearray()
        with suppress(OSError, ValueError):
            while part := self.process.stdout.read(1 << 16):
                first, *others = part.split(b"\n")
                line += first
                for other in others:
                    self._answers.put(bytes(line))
                    line = bytearray(other)
                if len(line) > self.size or self._answers.qsize() > UNREAD:
                    self._trouble = f"wrote more than {self.size:,} bytes, or what nobody asked for"
                    break
        self._answers.put(None)


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


def _started(
    command: Sequence[str], folder: str | None, environment: Mapping[str, str] | None, errors: int
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        cwd=folder,
        env=environment,
        start_new_session=True,
    )


def _write(pipe: Any, given: bytes) -> None:
    rest = memoryview(given)
    with suppress(OSError, ValueError):  # nobody reads on, or the pipe was closed
        while rest:
            rest = rest[pipe.write(rest) :]


def _feed(pipe: IO[bytes], given: bytes) -> None:
    _write(pipe, given)
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
            os.kill(process.pid, signal.SIGSTOP)
        end_descendants(process.pid)
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def descendants(pid: int) -> set[int]:
    """The processes that a process started, and those that these did; none where /proc does not tell.

    >>> os.getpid() in descendants(os.getppid()) or not os.path.exists("/proc/self/stat")
    True
    """
    parents: dict[int, int] = {}
    for name in os.listdir("/proc") if os.path.exists("/proc/self/stat") else ():
        with suppress(OSError, ValueError):  # it is no process, or it has ended meanwhile
            with open(f"/proc/{int(name)}/stat", "rb") as file:
                state, parent, *_ = file.read().rpartition(b")")[2].split()
            if state not in b"ZX":
                parents[int(name)] = int(parent)
    found: set[int] = set()
    last = {pid}
    while last := {child for child, parent in parents.items() if parent in last} - found:
        found |= last
    return found


def end_descendants(pid: int) -> None:
    """End what a process started; first all are stopped, so that none starts another meanwhile."""
    if sys.platform == "win32":
        return
    stopped: set[int] = set()
    end = time.monotonic() + PATIENCE
    while (found := descendants(pid)) and time.monotonic() < end:
        sign = signal.SIGKILL if found <= stopped else signal.SIGSTOP
        for child in found:
            with suppress(OSError):
                os.kill(child, sign)
        stopped |= found
        time.sleep(0.001)


def printable(text: str) -> str:
    """The text on one line, without what could command a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)
