"""Many samples: a block of them at a time, blocks spread over the cores.

An operation on a block is one dispatch for all its samples. What depends on shared inputs alone is
computed once, for one sample; the blocks' operations take its results as numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autograd_mini import threads
from autograd_mini.machine.codes import (
    CODE,
    CODE_SHARED,
    CODE_SHARED_FIRST,
    DOT,
    INPUT,
    TOTAL,
    TOTAL_PRODUCT,
    TOTAL_SHARED_PRODUCT,
    VARYING,
)
from autograd_mini.machine.compilation import compiled
from autograd_mini.machine.lowering import Joined, OwnInstructions, emitted, joined
from autograd_mini.machine.one_sample import Lines

if TYPE_CHECKING:
    from autograd_mini.machine.lowering import Array, Vector

WIDTH = 128  # samples in a block
CACHE = 1 << 19  # bytes that a block's numbers should stay within
WORTH_A_THREAD = 10_000_000  # samples times the length of their stream: some 500 µs
GROUPS = 64  # groups of samples whose sums are taken apart, then added in order


class Blocks:
    """The stream for blocks of samples, which sums every output or keeps it for each sample."""

    def __init__(self, code: OwnInstructions, tier: Array, total: bool) -> None:
        self.total, self.index, outputs = total, np.arange(len(code.outputs)), code.outputs
        if total:
            outputs, self.index = np.unique(outputs, return_inverse=True)
        slots, shared = code.slots, tier < VARYING
        order, lines = _lines(code, tier, outputs, total)
        # Where an operation takes none, a shared number is spread over a block, as slot `slots + slot`.
        alone = np.repeat(lines.codes, np.diff(lines.begins)) < DOT
        lines.operands[alone & shared[lines.operands]] += slots
        read = np.zeros(2 * slots, np.bool_)
        read[lines.operands] = True
        (spread,), (numbers,) = np.nonzero(read[slots:]), np.nonzero(read[:slots] & shared | read[slots:])
        kept = np.concatenate([np.flatnonzero(~shared[: code.inputs]), slots + spread])
        place = np.zeros(2 * slots, np.int32)
        place[numbers], place[kept] = np.arange(len(numbers)), np.arange(len(kept))
        last = np.zeros(2 * slots, np.int32)
        last[:slots][shared] = last[slots:] = -1
        if not total:
            last[outputs] = -1
        both = np.concatenate([shared, np.zeros(slots, np.bool_)])
        self.stream, self.size = emitted(order, lines, place, last, both, len(kept), True)
        self.inputs = np.arange(len(kept) - len(spread), dtype=np.uint32)
        self.spread = np.stack([place[slots + spread], place[spread]], axis=1).astype(np.uint32)
        (self.columns,), (self.constant,) = np.nonzero(~shared[outputs]), np.nonzero(shared[outputs])
        self.gather = place[outputs[self.columns]].astype(np.uint32)
        self.numbers, self.outputs = len(numbers), len(outputs)
        self.prelude = Lines(code, tier, INPUT, np.concatenate([numbers, outputs[self.constant]]))
        self.width = WIDTH
        while self.width > 8 and self.width * self.size * 8 > CACHE:
            self.width //= 2

    def __call__(self, inputs: Vector, samples: Vector, mean: bool) -> Vector:
        numbers = np.empty(self.numbers + len(self.constant))
        self.prelude.evaluation(inputs, numbers)()
        count = len(samples)
        group = self.width * max(1, -(-count // (GROUPS * self.width)))
        groups = -(-count // group)
        totals = np.zeros((groups, self.outputs if self.total else 0))
        results = np.empty((count, 0 if self.total else self.outputs))
        kept = slice(0 if self.total else None)
        run_blocks = compiled("run_blocks")

        def run(begin: int, end: int) -> None:
            run_blocks(
                self.stream, np.empty((self.size, self.width)), numbers, self.spread, samples, self.inputs,
                self.gather[kept], self.columns[kept], begin * group, min(end * group, count), group,
                totals, results,
            )  # fmt: skip

        threads.spread(run, groups, 1 + count * len(self.stream) // WORTH_A_THREAD)
        if not self.total:
            results[:, self.constant] = numbers[self.numbers :]
            return results
        sums: Vector = totals.sum(axis=0)
        if count:  # of none the sum is 0, also of infinite numbers
            sums[self.constant] = numbers[self.numbers :] * (1 if mean else count)
        if mean:
            sums[self.columns if count else slice(None)] /= count
        return sums[self.index]


def _lines(code: OwnInstructions, tier: Array, outputs: Array, total: bool) -> tuple[Array, Joined]:
    """The instructions that differ among samples, and their order."""
    shared = tier < VARYING
    uses = np.zeros(code.slots, np.int32)
    uses[outputs[~shared[outputs]]] = 1
    lines = joined(code, tier, VARYING, uses)
    _use_numbers(lines, shared)
    return _with_sums(lines, outputs, shared, uses) if total else (np.arange(len(lines.codes)), lines)


def _use_numbers(lines: Joined, shared: Array) -> None:
    """Change the operations of a block with a shared number to those made for it."""
    for name, code in CODE_SHARED.items():
        (where,) = np.nonzero(lines.codes == CODE[name])
        x, y = lines.begins[where], lines.begins[where] + 1
        first, second = shared[lines.operands[x]], shared[lines.operands[y]]
        lines.codes[where[second]] = code
        lines.codes[where[first]] = CODE_SHARED_FIRST.get(name, code)
        if name not in CODE_SHARED_FIRST:  # x + s stands for s + x as well
            x, y = x[first], y[first]
            lines.operands[x], lines.operands[y] = lines.operands[y], lines.operands[x]


def _with_sums(lines: Joined, outputs: Array, shared: Array, uses: Array) -> tuple[Array, Joined]:
    """Sums of the outputs over samples: a product used nowhere else is summed without being stored."""
    codes, results, begins, operands = lines
    producer = np.full(len(shared), -1)
    producer[results] = np.arange(len(codes))
    products = {CODE["mul"]: TOTAL_PRODUCT, CODE_SHARED["mul"]: TOTAL_SHARED_PRODUCT}
    (columns,) = np.nonzero(~shared[outputs])
    at = producer[outputs[columns]]
    lone = (at >= 0) & (uses[outputs[columns]] == 1)
    lone[lone] = np.isin(codes[at[lone]], list(products))
    for code, summed in products.items():
        codes[at[lone][codes[at[lone]] == code]] = summed
    results[at[lone]] = columns[lone]
    rest = columns[~lone]
    order = np.argsort(np.concatenate([np.arange(len(codes)), at[~lone] + 0.5]), kind="stable")
    return order, Joined(
        np.concatenate([codes, np.full(len(rest), TOTAL)]).astype(np.int32),
        np.concatenate([results, rest]).astype(np.int32),
        np.concatenate([begins, begins[-1] + 1 + np.arange(len(rest))]),
        np.concatenate([operands, outputs[rest]]).astype(np.int32),
    )
