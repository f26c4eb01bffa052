"""A hand-in as its judge sees it: what it defines, and functions that ask its process for numbers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from inspect import Parameter, Signature
from typing import Any

from autograd_mini.arrays import holds_values
from autograd_mini.grading.data import UnreadableError, dumps, loads
from autograd_mini.grading.hand_in import BOUND, PASSES
from autograd_mini.processes import Conversation, EndedError, descendants, printable, program

LARGEST = 1 << 25  # bytes of an answer
HALF = b'"<f2"'  # the type of numbers of 16 bits in an answer
PROCESSES = 16  # that a hand-in may have at a time
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}


class HandInError(Exception):
    """A hand-in gives no answer; the message says why."""


class Pupil(AbstractContextManager["Pupil"]):
    """The process of a hand-in.

    ``raised`` are the errors of its functions, by their names, ``left_out`` what failed when it was loaded.
    It is coarse if it has answered numbers of 16 bits.
    One that ends, is too slow or answers what cannot be read has given all its answers: ``trouble`` says so.
    """

    def __init__(self, path: str, folder: str, timeout: float, memory: int) -> None:
        self.timeout = self.left = timeout
        self.raised: dict[str | int, str] = {}
        self.trouble = ""
        self.left_out: list[str] = []
        self.is_coarse = False
        self._has_passes = False
        self._answers: dict[bytes, Any] = {}
        environment = {**os.environ, **ONE_THREAD, "HOME": folder, "TMPDIR": folder}
        self._process = Conversation(
            program("autograd_mini.grading.hand_in"), size=LARGEST, folder=folder, environment=environment
        )
        self._start = {
            "path": path,
            "folder": folder,
            "memory": memory,
            "parent": os.getpid(),
        }

    def __exit__(self, *raised: object) -> None:
        self._process.__exit__(*raised)

    def offers(self) -> Mapping[str, Any]:
        """What the file defines, once it has run; HandInError if it fails."""
        reply = self._ask(dumps(self._start))
        if "result" not in reply:
            raise HandInError(reply["error"])
        offers: dict[str, Any] = reply["result"]
        self.left_out = offers["left_out"]
        return offers

    def bound(self) -> list[str]:
        """What was bound to what, if its forward and backward passes were."""
        if self.trouble or not self._has_passes:
            return []
        return [str(said) for said in self._ask(dumps((BOUND, {}))).get("result", ())]

    def function(
        self, of: str | int, asks: Mapping[str, bool], read: Mapping[str, str] | None = None
    ) -> Callable[..., Any]:
        """A function of the hand-in, whose parameters go by the names that ``read`` gives them."""
        names = {(read or {}).get(name, name): name for name in asks}
        own = Signature(
            [
                Parameter(x, Parameter.POSITIONAL_OR_KEYWORD, default=Parameter.empty if asks[name] else None)
                for x, name in names.items()
            ]
        )

        def ask(*args: Any, **named: Any) -> Any:
            if holds_values((args, named)):
                raise TypeError("the process of a hand-in answers numbers")
            given = own.bind_partial(*args, **named).arguments
            question = dumps((of, {names[x]: value for x, value in given.items()}))
            if question not in self._answers:
                reply = self._ask(question)
                if "error" in reply:
                    self.raised.setdefault(of, reply["error"])
                    raise HandInError(reply["error"])
                self._answers[question] = reply["result"]
                self._has_passes |= of == PASSES
            return self._answers[question]

        ask.__signature__ = own  # type: ignore[attr-defined]  # where inspect looks for it
        return ask

    def _ask(self, question: bytes) -> dict[str, Any]:
        if self.trouble:
            raise HandInError(self.trouble)
        start = time.monotonic()
        try:
            line = self._process.ask(question, self.left, self._watch)
            self.is_coarse |= HALF in line
            reply = loads(line)
            if not isinstance(reply, dict) or not {"result", "error"} & set(reply):
                raise UnreadableError("wrote what is no answer")
            if "error" in reply:
                reply = {"error": printable(str(reply["error"]))}
            return reply
        except TimeoutError:
            self.trouble = f"it was not done after {self.timeout:g} s"
        except (EndedError, UnreadableError) as error:
            self.trouble = f"it {error}"
        finally:
            self.left -= time.monotonic() - start
        raise HandInError(self.trouble)

    def _watch(self) -> None:
        if len(descendants(self._process.process.pid)) >= PROCESSES:
            raise EndedError(f"started more than {PROCESSES} processes")
