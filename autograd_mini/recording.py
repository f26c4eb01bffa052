"""From a graph of Values to flat instructions.

Dead code is never visited, operations on the same operands are shared, and constants are folded where that
is exact, by the same rule that gradient graphs are built with. What depends on a derivative comes after
everything that does not.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autograd_mini import rules
from autograd_mini.instructions import Instructions
from autograd_mini.rules import Primitive
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
    early, late = _written_order(outputs, inputs)
    recorder.add(early)
    reverse = len(recorder.codes)
    recorder.add(late)
    return recorder.finish([recorder.slot(node) for node in outputs], reverse)


def _written_order(outputs: Sequence[Value], inputs: Sequence[Value]) -> tuple[list[Value], list[Value]]:
    """The nodes between inputs and outputs, each after its operands, in the order of a person's writing.

    First those that depend on no derivative, then those that do. Left operands come first, unlike in
    `depth_first_order`, which need not care and is faster.
    """
    order: list[Value] = []
    seen = set(inputs)
    stack: list[Any] = [node for node in reversed(outputs) if node.args]
    add, append, push, pop = seen.add, order.append, stack.append, stack.pop
    while stack:
        node = pop()
        if node is None:  # everything below the node under this mark is done
            append(pop())
        elif node not in seen:
            add(node)
            push(node)
            push(None)
            for operand in reversed(node.args):
                if operand.args and operand not in seen:
                    push(operand)
    early: list[Value] = []
    late: list[Value] = []
    derived: set[Value] = set()
    for node in order:
        if isinstance(node, Derivative) or not derived.isdisjoint(node.args):
            derived.add(node)
            late.append(node)
        else:
            early.append(node)
    return early, late


class _Recorder:
    """Slots as they are given out: inputs from 0 up, then the instructions; constants from −2 down."""

    def __init__(self, inputs: Sequence[Value]) -> None:
        self.inputs = len(inputs)
        self.slots = {node: i for i, node in enumerate(inputs)}
        self.labels = {i: node.label for i, node in enumerate(inputs) if node.label}
        self.constants: list[float | str] = []
        self.constant_slots: dict[object, int] = {}
        self.rows: dict[Primitive, int] = {}
        self.codes = array("i")
        self.operands = array("i")  # of all instructions, one after another
        self.folded = False
        self.known: dict[tuple[int, ...], int] = {}  # operations by their code and operands

    def slot(self, node: Value) -> int:
        """The slot of a node that is an input, a leaf or already added."""
        found = self.slots.get(node)
        if found is not None:
            return found
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

    def add(self, nodes: list[Value]) -> None:
        """Give every node its slot: where it folds to, where the operation is known already, or a new one."""
        operands: tuple[int, ...]
        slots, known, rows, place = self.slots, self.known, self.rows, self.slots.__getitem__
        append, extend, number = self.codes.append, self.operands.extend, rows.get
        new = self.inputs + len(self.codes)
        for node in nodes:
            row: Any = node.op
            args = node.args
            try:
                if len(args) == 2:  # most have two, and this is twice as fast
                    x, y = args
                    operands = slots[x], slots[y]
                else:
                    operands = tuple(map(place, args))
            except KeyError:  # a leaf among them
                operands = tuple(map(self.slot, args))
            code = number(row)
            if code is None:
                if isinstance(row, Source):
                    raise row.by_hand("carries no formula to record")
                code = rows[row] = len(rows)
            slot = operands[0] if row is rules.identity else None
            for operand in operands:
                if operand < ABSENT and slot is None:
                    slot = self._folded(row, operands)
            if slot is None:
                slot = known.setdefault((code, *operands), new)
                if slot == new:
                    append(code)
                    extend(operands)
                    new += 1
            slots[node] = slot
            if node.label and slot >= 0:
                self.labels.setdefault(slot, node.label)

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

    def finish(self, outputs: list[int], reverse: int) -> Recording:
        codes = np.frombuffer(self.codes, dtype=np.int32)
        arity = np.array([len(row.operands) for row in self.rows], dtype=int)
        width = int(arity.max(initial=0))
        operands = np.full((len(codes), width), ABSENT, dtype=np.int32)
        operands[np.arange(width) < arity[codes][:, None]] = np.frombuffer(self.operands, dtype=np.int32)
        live = _live(operands, outputs, self.inputs) if self.folded else np.ones(len(codes), dtype=bool)
        constants = _used(operands[live], outputs, len(self.constants))
        # new slots: inputs as they are, then the constants in use, then the instructions in use
        first = self.inputs + int(constants.sum())
        place = np.concatenate([np.arange(self.inputs), first + np.cumsum(live) - 1])
        constant_place = self.inputs + np.cumsum(constants) - 1

        def renumbered(slots: np.ndarray) -> np.ndarray:
            if not slots.size:
                return slots.astype(np.int32)
            new = np.full(slots.shape, ABSENT, dtype=np.int32)
            new[slots >= 0] = place[slots[slots >= 0]]
            new[slots < ABSENT] = constant_place[-2 - slots[slots < ABSENT]]
            return new

        used_rows, new_codes = np.unique(codes[live], return_inverse=True)
        rows = list(self.rows)
        code = Instructions(
            self.inputs,
            tuple(number for number, used in zip(self.constants, constants, strict=True) if used),
            tuple(rows[i] for i in used_rows),
            new_codes.astype(np.int32),
            np.ascontiguousarray(renumbered(operands[live])),
            renumbered(np.array(outputs, dtype=np.int64)),
        )
        labels = {
            int(place[slot]): label
            for slot, label in self.labels.items()
            if slot < self.inputs or live[slot - self.inputs]
        }
        return Recording(code, labels, int(live[:reverse].sum()))


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
