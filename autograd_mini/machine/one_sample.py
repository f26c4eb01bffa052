"""One sample at a time: instructions of one tier as a stream, with the memory that they run in."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_mini.machine.compilation import compiled
from autograd_mini.machine.lowering import OwnInstructions, emitted, joined, sorted_by_depth

if TYPE_CHECKING:
    from autograd_mini.machine.lowering import Array, Vector


class Lines:
    """The stream for one sample: the instructions of one tier that the outputs need."""

    def __init__(self, code: OwnInstructions, tier: Array, level: int, outputs: Array) -> None:
        uses = np.zeros(code.slots, np.int32)
        uses[outputs] = 1
        lines = joined(code, tier, level, uses)
        place = np.arange(code.slots, dtype=np.int32)
        last = np.zeros(code.slots, np.int32)
        last[: code.first] = last[outputs] = -1
        shared = np.zeros(code.slots, np.bool_)
        order = sorted_by_depth(lines, code.slots)
        self.stream, self.size = emitted(order, lines, place, last, shared, code.first, False)
        self.gather = place[outputs].astype(np.uint32)
        self.constants = slice(code.inputs, code.first), code.constants
        sizes = len(self.stream), code.inputs, len(outputs), self.size
        self.frame = np.array([_address(self.stream), 0, _address(self.gather), 0, 0, *sizes], np.int64)

    def evaluation(self, inputs: Vector, outputs: Vector) -> Callable[[], None]:
        """The function of no operands that writes ``outputs`` at ``inputs``."""
        memory, frame = np.empty(self.size), self.frame.copy()
        memory[self.constants[0]] = self.constants[1]
        frame[1], frame[3], frame[4] = _address(memory), _address(inputs), _address(outputs)
        call = partial(compiled("run"), _address(frame))
        call.arrays = self, memory, frame, inputs, outputs  # type: ignore[attr-defined] # live as long as the call
        return call


def _address(array: Any) -> int:
    if array.flags.writeable and array.size:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # three times as fast as what follows
    return int(array.__array_interface__["data"][0])
