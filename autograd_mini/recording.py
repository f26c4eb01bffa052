"""From a graph of Values to flat instructions.

Dead code is never visited, operations on the same operands are shared, and constants are folded where that
is exact, by the same rule that gradient graphs are built with. What depends on a derivative comes after
everything that does not.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from autograd_mini.instructions import Instructions
from autograd_mini.rules import Primitive, identity
from autograd_mini.tracing import Derivative, Traced, fold, is_pi
from autograd_mini.value import Source, TraceError, Value, constant, leaf

ABSENT = -1
PIECE = 8192  # instructions turned to Python numbers at a time, to keep large programs small in memory


@dataclass(frozen=True)
class Recording:
    """Instructions, the labels that the graph's nodes had, and where the reverse part begins."""

    code: Instructions
    labels: dict[int, str]
    reverse: int


def record(outputs: Sequence[Value], inputs: Sequence[Value]) -> Recording:
    """The graph of the outputs as instructions on the inputs; other leaves become constants.

    >>> x = Value(3.0, label="x")
    >>> recording = record([x * x + 1.0], [x])
    >>> [row.name for row in recording.code.rows], recording.code.constants
    (['mul', 'add'], (1.0,))

    Raises TypeError for a node made by hand, TraceError for the argument of another trace.
    """
    recorder = _Recorder(inputs)
    recorder.add(outputs)
    return recorder.finish([recorder.slots[node] for node in outputs])


class _Recorder:
    """Slots as they are given out: inputs from 0 up, then the instructions; constants from −2 down."""

    def __init__(self, inputs: Sequence[Value]) -> None:
        self.inputs = len(inputs)
        self.slots = {node: i for i, node in enumerate(inputs)}
        self.labels = {i: node.label for i, node in enumerate(inputs) if node.label}
        self.constants: list[float | str] = []
        self.constant_slots: dict[object, int] = {}
        self.rows: dict[Primitive, int] = {}
        self.known: dict[tuple[int, ...], int] = {}  # the instructions: code and operands, and the slot
        self.derived = bytearray()  # whether an instruction is part of a derivative and of nothing else
        self.folded = False

    def add(self, outputs: Sequence[Value]) -> None:
        """Give the nodes their slots, each after its operands, left ones first, as a person writes them.

        A node's slot is where it folds to, where the operation is known already, or a new one.
        """
        slots, derived, known = self.slots, self.derived, self.known.setdefault
        place, number, new = slots.__getitem__, self.rows.get, self.inputs
        key: tuple[int, ...]
        stack: list[Any] = [*reversed(outputs)]
        push, pop = stack.append, stack.pop
        while stack:
            node = pop()
            if node is not None:
                if node not in slots:
                    push(node)
                    push(None)  # a mark: when it is met, everything below the node is done
                    for operand in reversed(node.args):
                        if operand not in slots:
                            push(operand)
                continue
            node = pop()
            row, args = node.op, node.args
            if not args:
                slots[node] = self._leaf(node)
                continue
            code = number(row)
            if code is None:
                code = self._code(row)
            if len(args) == 2:  # most have two, and this is twice as fast
                _, x, y = key = code, slots[args[0]], slots[args[1]]
                constant = x < ABSENT or y < ABSENT
            else:
                key = code, *map(place, args)
                constant = min(key[1:]) < ABSENT
            slot = key[1] if row is identity else self._folded(row, key[1:]) if constant else None
            if slot is None:
                slot = known(key, new)
                if slot == new:
                    new += 1
                    derived.append(isinstance(node, Derivative))
                elif not isinstance(node, Derivative) and derived[slot - self.inputs]:
                    derived[slot - self.inputs] = False
                    if node.label:
                        self.labels[slot] = node.label
            slots[node] = slot
            if node.label and slot >= 0:
                self.labels.setdefault(slot, node.label)

    def _code(self, row: Primitive | Source) -> int:
        """The number of a row that is new."""
        if isinstance(row, Source):
            raise row.by_hand("carries no formula to record")
        self.rows[row] = len(self.rows)
        return self.rows[row]

    def _leaf(self, node: Value) -> int:
        """The constant slot of a leaf that is no input."""
        if isinstance(node.op, Source) and node.op is not leaf and node.op is not constant:
            raise node.op.by_hand("carries no formula to record")
        if isinstance(node, Traced):
            raise TraceError(
                f"{node.label or 'a Value'} is no argument of the function that is recorded, and has no "
                "number: it belongs to another trace; pass it as an argument"
            )
        return self.constant("pi" if is_pi(node) else node.data)

    def constant(self, number: float | str) -> int:
        """The slot of a constant; told apart by bits, so that −0.0 is not 0.0 and nan is itself."""
        key = struct.pack("d", number) if isinstance(number, float) else number
        if key not in self.constant_slots:
            self.constants.append(number)
            self.constant_slots[key] = -1 - len(self.constants)
        return self.constant_slots[key]

    def _folded(self, row: Primitive, operands: tuple[int, ...]) -> int | None:
        """The slot that an operation on constants comes down to, if it does."""
        folded = fold(row, [self._number(slot) for slot in operands])
        self.folded |= folded is not None
        if folded is None:
            return None
        return operands[folded] if isinstance(folded, int) else self.constant(folded)

    def _number(self, slot: int) -> float | None:
        number = self.constants[-2 - slot] if slot < ABSENT else None
        return number if isinstance(number, float) else None

    def finish(self, outputs: list[int]) -> Recording:
        """The instructions that an output needs, those that depend on no derivative first."""
        sizes = np.fromiter(map(len, self.known), np.int64, len(self.known))
        flat = np.fromiter(chain.from_iterable(self.known), np.int32, sizes.sum())
        width = int(sizes.max(initial=1))
        table = np.full((len(sizes), width), ABSENT, dtype=np.int32)
        table[np.arange(width) < sizes[:, None]] = flat
        codes, operands = table[:, 0], table[:, 1:]
        live = _live(operands, outputs, self.inputs) if self.folded else np.ones(len(codes), dtype=bool)
        late = _late(operands, self.derived, self.inputs)
        kept = np.concatenate([np.flatnonzero(live & ~late), np.flatnonzero(live & late)])
        constants = _used(operands[kept], outputs, len(self.constants))
        # new slots: inputs as they are, then the constants in use, then the instructions in use
        place = np.full(self.inputs + len(codes) + 1 + len(constants), ABSENT, dtype=np.int32)
        place[: self.inputs] = np.arange(self.inputs)
        first = self.inputs + int(constants.sum())
        place[self.inputs + kept] = first + np.arange(len(kept))
        place[-2 - np.flatnonzero(constants)] = self.inputs + np.arange(first - self.inputs)
        used_rows, new_codes = np.unique(codes[kept], return_inverse=True)
        rows = list(self.rows)
        code = Instructions(
            self.inputs,
            tuple(number for number, used in zip(self.constants, constants, strict=True) if used),
            tuple(rows[i] for i in used_rows),
            new_codes.astype(np.int32),
            place[operands[kept]],
            place[np.array(outputs, dtype=np.int64)],
        )
        labels = {int(place[slot]): label for slot, label in self.labels.items() if place[slot] >= 0}
        return Recording(code, labels, int(np.count_nonzero(live & ~late)))


def _late(operands: np.ndarray, derived: bytearray, inputs: int) -> np.ndarray:
    """Which instructions depend on a derivative: those that are part of one, and what is made of them."""
    found = np.frombuffer(derived, dtype=bool)
    later = np.flatnonzero(~found)
    uses = operands[later] - inputs
    if (found[uses.clip(0)] & (uses >= 0)).any():
        for start in range(0, len(later), PIECE):
            piece = later[start : start + PIECE]
            for i, slots in zip(piece.tolist(), operands[piece].tolist(), strict=True):
                derived[i] = any(slot >= inputs and derived[slot - inputs] for slot in slots)
    return found


def _live(operands: np.ndarray, outputs: list[int], inputs: int) -> np.ndarray:
    """Which instructions an output needs; folding leaves some that none does."""
    live = bytearray(len(operands))
    for slot in outputs:
        if slot >= inputs:
            live[slot - inputs] = 1
    for start in reversed(range(0, len(operands), PIECE)):
        piece = operands[start : start + PIECE].tolist()
        for i in reversed(range(len(piece))):
            if live[start + i]:
                for slot in piece[i]:
                    if slot >= inputs:
                        live[slot - inputs] = 1
    return np.frombuffer(live, dtype=bool)


def _used(operands: np.ndarray, outputs: list[int], constants: int) -> np.ndarray:
    """Which constants are an operand or an output."""
    used = np.zeros(constants, dtype=bool)
    slots = np.concatenate([operands.ravel(), np.array(outputs, dtype=np.int64)])
    used[-2 - slots[slots < ABSENT]] = True
    return used
