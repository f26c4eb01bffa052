"""The compiled evaluator of flat instructions: one loop for all Programs, one sample or many.

Nothing is compiled for a Program. The evaluator, written out from the derivative table, is compiled by
numba once for a computer and kept in a cache; a `Machine` lowers instructions to the stream of numbers
which it reads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np

from autograd_mini.instructions import Instructions
from autograd_mini.machine.codes import INPUT, VARYING
from autograd_mini.machine.compilation import works
from autograd_mini.machine.expansion import expanded
from autograd_mini.machine.lowering import OwnInstructions
from autograd_mini.machine.many_samples import Blocks
from autograd_mini.machine.one_sample import Lines

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from autograd_mini.machine.lowering import Array, Vector


def available() -> bool:
    """Whether numba is installed and compiles the machine, which it does now unless it has before."""
    return works("tiers", "count_uses", "join", "depths", "emit", "run")


class Machine:
    """Evaluates instructions in machine code, in IEEE arithmetic: nothing raises, 1 / 0 is inf.

    Raises ImportError if numba is not installed, or does not work.
    """

    def __init__(self, code: Instructions) -> None:
        if not available():
            raise ImportError(
                'Machine: numba is not installed or broken; python -m pip install "numba>=0.60"'
            )
        self._code, tier = expanded(code)
        self._lines = Lines(self._code, tier, INPUT, self._code.outputs)

    def __call__(self, inputs: Vector, outputs: Vector) -> None:
        """Write the outputs at ``inputs``."""
        self.buffer(inputs, outputs)()

    def buffer(self, inputs: Vector, outputs: Vector) -> Callable[[], None]:
        """A call without operands that reads ``inputs`` and writes ``outputs``, arrays of the caller's.

        One such function must not run in two threads at once; two of them may.
        """
        _check("inputs", inputs, self._code.inputs)
        _check("outputs", outputs, len(self._code.outputs), written=True)
        return self._lines.evaluation(inputs, outputs)

    def batch(self, varying: ArrayLike) -> Batch | None:
        """The same instructions on many samples; ``varying`` tells which inputs differ among them.

        None if numba, which compiles the loop over samples only now, fails at it.
        """
        mask = np.asarray(varying, bool)
        if mask.shape != (self._code.inputs,):
            raise ValueError(
                f"varying: expected one bool for each of {self._code.inputs} inputs, got {mask.shape}"
            )
        return Batch(self._code, mask) if works("run_blocks") else None


class Batch:
    """A machine on many samples; made by `Machine.batch`.

    What depends on shared inputs alone is computed once. Sums over samples are taken in an order that
    depends on nothing but their number, so they are the same on any number of cores.
    """

    def __init__(self, code: OwnInstructions, varying: Array) -> None:
        self._code = code
        self._columns = int(varying.sum())
        self._tier = code.tiers(np.where(varying, VARYING, INPUT))
        self._blocks: dict[bool, Blocks] = {}

    def __call__(
        self, inputs: Vector, samples: Vector, reduce: Literal["sum", "mean"] | None = None
    ) -> Vector:
        """The outputs of every sample, one row each, or their sum or mean over the samples.

        ``inputs`` holds the shared inputs, ``samples`` the varying ones, one row for each sample.
        """
        if reduce not in (None, "sum", "mean"):
            raise ValueError(f'reduce: expected "sum", "mean" or None, got {reduce!r}')
        _check("inputs", inputs, self._code.inputs)
        _check_type("samples", samples)
        if samples.ndim != 2 or samples.shape[1] != self._columns:
            raise ValueError(f"samples: expected {self._columns} columns, got shape {samples.shape}")
        total = reduce is not None
        if total not in self._blocks:
            self._blocks[total] = Blocks(self._code, self._tier, total)
        with np.errstate(all="ignore"):
            return self._blocks[total](inputs, np.ascontiguousarray(samples), reduce == "mean")


def _check(name: str, vector: Vector, size: int, written: bool = False) -> None:
    _check_type(name, vector)
    if vector.shape != (size,) or not vector.flags.c_contiguous or (written and not vector.flags.writeable):
        kind = "writable contiguous" if written else "contiguous"
        raise ValueError(f"{name}: expected a {kind} vector of {size} numbers, got shape {vector.shape}")


def _check_type(name: str, array: Vector) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != np.float64:
        got = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise TypeError(f"{name}: expected an array of float64, got {got}")
