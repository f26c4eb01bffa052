"""`write`: a file that is written whole, or not at all."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from uuid import uuid4

STREAMS = r"/dev(/fd)?|/proc/.*"  # where names such as /dev/stdout stand for what is open already


def write(path: str | os.PathLike[str], content: bytes) -> None:
    """Make ``content`` the file at ``path``, with the owner and permissions that `open` would leave it.

    It is written beside that file and takes its place at once: a full disk or an interrupt leaves what was
    there. A link stays a link, to a file that changes; a pipe, a device and /dev/stdout take it as it comes.

    Raises OSError, which names ``path``.
    """
    try:
        if is_stream(path):
            with open(path, "ab") as file:
                file.write(content)
            return
        target = os.path.realpath(path)
        beside = os.path.join(os.path.dirname(target), f".{uuid4().hex}")
        before = _writable(target)
        try:
            with open(beside, "xb") as file:
                file.write(content)
            if before is not None:
                if hasattr(os, "chown"):
                    with suppress(OSError):  # only root may give it back to another owner
                        os.chown(beside, before.st_uid, before.st_gid)
                os.chmod(beside, before.st_mode & 0o777)
            os.replace(beside, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Whether what is there, or would be, is a pipe, a device or a folder, and no file."""
    folder = os.path.realpath(os.path.dirname(os.path.abspath(path)))
    return bool(re.fullmatch(STREAMS, folder)) or (os.path.exists(path) and not os.path.isfile(path))


def _writable(path: str) -> os.stat_result | None:
    """The file that is there, if one is; raises OSError if `open` may not write to it."""
    try:
        file = os.open(path, os.O_WRONLY)
    except FileNotFoundError:
        return None
    try:
        return os.fstat(file)
    finally:
        os.close(file)
