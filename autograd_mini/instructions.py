"""Flat instructions: a computation as a list of rows applied to numbered slots, one after another.

This is what a recorded graph is flattened to, and what the machine, the printers and every number type
evaluate. Slots are numbered: first the inputs, then the constants, then one for each instruction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from autograd_mini.rules import Primitive

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Instructions:
    """``slot = row(operands)``, in an order in which every operand comes before its use.

    Instruction ``i`` applies ``rows[codes[i]]`` to the slots ``operands[i]`` (−1 where the row takes
    fewer) and writes slot ``inputs + len(constants) + i``. A constant is a float, or ``"pi"``, which
    every number type supplies to its own precision.
    """

    inputs: int
    constants: tuple[float | str, ...]
    rows: tuple[Primitive, ...]
    codes: NDArray[np.int32]  # (instructions,)
    operands: NDArray[np.int32]  # (instructions, largest number of operands)
    outputs: NDArray[np.int32]  # (outputs,)

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def first(self) -> int:
        """The slot that the first instruction writes."""
        return self.inputs + len(self.constants)

    @property
    def slots(self) -> int:
        return self.first + len(self.codes)
