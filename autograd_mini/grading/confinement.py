"""What a process gives up before it runs what somebody handed in, and what its judge does to outlive it.

Everything here is asked of the system and taken where it is given: resource limits of Unix, and of Linux
the signal on a parent's death, capabilities and Landlock, whose numbers are those of its headers.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
from contextlib import suppress
from typing import BinaryIO

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
CAPABILITIES, READ_ANY_FILE = 0x20080522, 1 << 2  # the version of the header, and CAP_DAC_READ_SEARCH
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
WRITE_FILE, REMOVE_AND_MAKE, REFER, TRUNCATE = 1 << 1, 0x1FF0, 1 << 13, 1 << 14
TCP, SIGNALS_AND_SOCKETS = 3, 3
FILE_SIZE = 64 << 20


def confine(memory: int, folder: str, parent: int) -> None:
    """Hold this process, for good, to ``memory`` MB and to writing in ``folder``; it ends with ``parent``."""
    if sys.platform == "win32":
        return
    limit(AS=memory << 20, FSIZE=FILE_SIZE, CORE=0)
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before
        os._exit(1)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    kept = struct.pack("6I", *[READ_ANY_FILE * (os.geteuid() == 0)] * 2, 0, 0, 0, 0)
    libc.capset(struct.pack("2I", CAPABILITIES, 0), kept)
    _keep_from_writing(libc, folder)


def limit(**most: int) -> None:
    """Set limits of Unix, for good, by the names that they have after RLIMIT_."""
    if sys.platform == "win32":
        return
    import resource

    for name, bound in most.items():
        with suppress(OSError, ValueError):  # there is a lower one, or none at all
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (bound, bound))


def _keep_from_writing(libc: ctypes.CDLL, folder: str) -> None:
    """Landlock: no file is written but in the folder, nothing outside is reached, traced or signalled."""
    version = libc.syscall(CREATE_RULESET, None, 0, 1)
    if version < 1:
        return
    writing = WRITE_FILE | REMOVE_AND_MAKE | REFER * (version >= 2) | TRUNCATE * (version >= 3)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    handled = struct.pack("3Q", writing, TCP, SIGNALS_AND_SOCKETS)[:size]
    rules = libc.syscall(CREATE_RULESET, handled, size, 0)
    for path, allowed in ((folder, writing), (os.devnull, writing & (WRITE_FILE | TRUNCATE))):
        place = os.open(path, os.O_RDONLY)
        libc.syscall(ADD_RULE, rules, 1, struct.pack("=Qi", allowed, place), 0)
        os.close(place)
    libc.syscall(RESTRICT_SELF, rules, 0)
    os.close(rules)


def adopt() -> None:
    """Become, on Linux, the parent of every descendant whose own has ended, and no open book to any."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """What were the standard input and output, elsewhere; in their place, and that of errors, is nothing."""
    pipes = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    return pipes
