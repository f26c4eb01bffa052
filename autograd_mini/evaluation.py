"""A listing on floats: in machine code, as statements on arrays, or one instruction after another in Python.

All give the same numbers, statements to within the rounding of their sums. Which of them runs is a rule that
was measured: statements, if the program has many instructions of each kind, else the machine, where numba is
installed, else emitted Python.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from autograd_mini import machine, number_types, rolling, source
from autograd_mini.arguments import views
from autograd_mini.instructions import Listing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

EMITTED = 50_000  # programs beyond this many instructions are interpreted: compile() would take seconds
# A program runs as statements on arrays if it has so many instructions of each kind, without and with numba;
# with numba a batch does if it has so many for each number that is stored for a sample.
REGULAR, REGULAR_COMPILED, REGULAR_BATCH = 40, 2500, 20


class Evaluation:
    """A listing at one sample; an ``exact`` one never runs as statements."""

    def __init__(self, listing: Listing, exact: bool) -> None:
        self.listing, self.exact = listing, exact
        self._local = threading.local()

    def __call__(self, numbers: Sequence[Any]) -> list[Any]:
        """The leaves of the results at those of the arguments."""
        if self.statements is not None:
            return self.statements(numbers)
        own = self.buffers
        for view, x in zip(own.inputs, numbers, strict=True):
            view[...] = x
        own.run()
        return [view.copy() if view.shape else view.item() for view in own.outputs]

    def buffer(self, inputs: Floats, outputs: Floats) -> Callable[[], None]:
        """The function of no arguments that reads and writes these flat arrays."""
        if self.statements is not None:
            both = views(inputs, self.listing.inputs), views(outputs, self.listing.outputs)
            return self.statements.buffer(*both)
        if self.machine is not None:
            return self.machine.buffer(inputs, outputs)

        def run() -> None:
            outputs[:] = self._in_python(inputs.tolist())

        return run

    @property
    def buffers(self) -> Buffers:
        """The buffers of this thread."""
        own: Buffers | None = getattr(self._local, "buffers", None)
        if own is None:
            own = self._local.buffers = Buffers(self)
        return own

    @cached_property
    def statements(self) -> rolling.Statements | None:
        if self.exact:
            return None
        least = REGULAR if self.machine is None else REGULAR_COMPILED
        rolled = rolling.roll(self.listing, least)
        return rolling.Statements(rolled, number_types.ARRAY.function) if rolled is not None else None

    @cached_property
    def machine(self) -> machine.Machine | None:
        return machine.Machine(self.listing.code) if machine.available() else None

    @cached_property
    def _emitted(self) -> Callable[[Sequence[float]], tuple[float, ...]] | None:
        code = self.listing.code
        return source.compile_floats(code) if len(code) <= EMITTED else None

    def _in_python(self, inputs: list[float]) -> Sequence[float]:
        """The outputs without the machine, by emitted Python."""
        if self._emitted is not None:
            try:
                return self._emitted(inputs)
            except (ArithmeticError, ValueError):
                pass  # Python raises where IEEE arithmetic has inf or nan
        return number_types.evaluate_floats(self.listing.code, inputs)


class Buffers:
    """Flat inputs and outputs, seen as the leaves of arguments and results, and the call between them."""

    def __init__(self, evaluation: Evaluation) -> None:
        listing = evaluation.listing
        flat = np.zeros(listing.code.inputs), np.zeros(len(listing.code.outputs))
        self.inputs, self.outputs = views(flat[0], listing.inputs), views(flat[1], listing.outputs)
        self._make = partial(evaluation.buffer, *flat)

    @cached_property
    def run(self) -> Callable[[], None]:
        """Made at the first call on floats: a program for symbols needs no machine."""
        return self._make()


class BatchEvaluation:
    """A listing over samples: the ``varying`` leaves of the arguments have them in front.

    The results have them too, or their sum or mean.
    """

    def __init__(
        self, one: Evaluation, varying: Sequence[bool], reduce: Literal["sum", "mean"] | None
    ) -> None:
        self.one, self.listing, self.varying, self.reduce = one, one.listing, varying, reduce

    @property
    def rolled(self) -> bool:
        return isinstance(self.run, rolling.Batch)

    @cached_property
    def run(self) -> Callable[[list[Floats], int], list[Any]]:
        """The leaves of the results for inputs of so many samples."""
        if self.one.exact:
            return self._one_by_one
        if (compiled := self.one.machine) is not None:
            if (rolled := self._statements(REGULAR_BATCH)) is not None:
                return rolled
            sizes = [slot.leaf.size for slot in self.listing.inputs]
            if (blocks := compiled.batch(np.repeat(self.varying, sizes))) is not None:
                return partial(self._in_blocks, blocks)
        statements = self._statements(0)
        assert statements is not None
        return statements

    def _statements(self, least: int) -> rolling.Batch | None:
        """The program as statements on arrays, if they are as regular as that."""
        rolled = rolling.roll(self.listing, least)
        if rolled is None:
            return None
        batch = rolling.Batch(rolled, number_types.ARRAY.function, self.varying, self.reduce)
        return batch if len(self.listing.code) >= least * batch.stored else None

    def _in_blocks(self, blocks: machine.Batch, inputs: list[Floats], count: int) -> list[Any]:
        """The outputs of the machine."""
        listing, shared = self.listing, np.zeros(self.listing.code.inputs)
        rows = [np.zeros((count, 0))]
        for slot, varies, x in zip(listing.inputs, self.varying, inputs, strict=True):
            if varies:
                rows.append(x.reshape(count, slot.leaf.size))
            else:
                shared[slot.place] = x.reshape(-1)
        outputs = blocks(shared, np.concatenate(rows, axis=1), self.reduce)
        if self.reduce:
            return [x if x.shape else x.item() for x in views(outputs, listing.outputs)]
        found = [np.ascontiguousarray(outputs[:, slot.place]) for slot in listing.outputs]
        return [x.reshape(count, *slot.leaf.shape) for x, slot in zip(found, listing.outputs, strict=True)]

    def _one_by_one(self, inputs: list[Floats], count: int) -> list[Any]:
        """The outputs of the flat program at one sample after another."""
        own = self.one.buffers
        results = [np.empty((count, *view.shape)) for view in own.outputs]
        for k in range(count):
            for view, x, varies in zip(own.inputs, inputs, self.varying, strict=True):
                view[...] = x[k] if varies else x
            own.run()
            for result, view in zip(results, own.outputs, strict=True):
                result[k] = view
        with np.errstate(all="ignore"):
            if self.reduce is None:
                return results
            sums = [x.sum(axis=0) / np.float64(count if self.reduce == "mean" else 1) for x in results]
        return [x if x.shape else x.item() for x in sums]
