"""Lowering: from instructions of the machine's own rows to the stream of numbers that it reads.

Instructions of one tier that the outputs need are picked, sums of products joined, and the result written
with a place in memory for every slot, which is free again after the slot's last use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from autograd_mini.machine.compilation import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class OwnInstructions:
    """Instructions of rows that have a code, of at most three operands; two constants are 1 and -1."""

    inputs: int
    constants: Vector
    one: int  # the slot of 1; the next one holds -1
    codes: Array
    operands: Array
    outputs: Array

    @property
    def first(self) -> int:
        """The slot that the first instruction writes."""
        return self.inputs + len(self.constants)

    @property
    def slots(self) -> int:
        return self.first + len(self.codes)

    def tiers(self, inputs: Array | int) -> Array:
        """Every slot's tier, given those of the inputs."""
        tier = np.zeros(self.slots, np.int8)
        tier[: self.inputs] = inputs
        compiled("tiers")(self.operands, self.first, tier)
        return tier


class Joined(NamedTuple):
    """Instructions of any number of operands: those of ``i`` are ``operands[begins[i]:begins[i + 1]]``."""

    codes: Array
    results: Array
    begins: Array
    operands: Array


def joined(code: OwnInstructions, tier: Array, level: int, uses: Array) -> Joined:
    """One tier's instructions, sums of products joined; ``uses`` starts with the outputs and is filled in."""
    needed = compiled("count_uses")(code.operands, code.first, tier, level, uses)
    terms, previous, products = np.zeros((3, len(code.codes)), np.int32)
    previous[:] = -1
    absorbed = np.zeros(len(code.codes), np.bool_)
    codes, results = np.empty(needed, np.int32), np.empty(needed, np.int32)
    begins, operands = np.empty(needed + 1, np.int64), np.empty(3 * needed + 4, np.int32)
    count = compiled("join")(
        code.codes, code.operands, code.first, tier, level, uses, code.one,
        terms, previous, products, absorbed, codes, results, begins, operands,
    )  # fmt: skip
    return Joined(codes[:count], results[:count], begins[: count + 1], operands[: begins[count]])


def sorted_by_depth(code: Joined, slots: int) -> Array:
    """The order in which equal codes stand together as far as operands allow."""
    depth, written = np.zeros(slots, np.int32), np.full(slots, -1, np.int32)
    key = np.empty(len(code.codes), np.int64)
    compiled("depths")(*code, depth, written, key)
    return np.argsort(key, kind="stable")


def emitted(
    order: Array, code: Joined, place: Array, last: Array, shared: Array, top: int, block: bool
) -> tuple[Array, int]:
    """The stream, and the number of places that it needs; ``place`` is filled in for results.

    ``last`` is -1 for slots that keep their place, ``shared`` tells slots that all samples share, ``top``
    is the first place that is free.
    """
    stream = np.empty(4 * len(code.codes) + 2 * len(code.operands) + 4, np.uint32)
    free = np.empty(len(code.codes) + len(code.operands) + 1, np.int32)
    length, top = compiled("emit")(order, *code, place, last, shared, top, block, free, stream)
    return stream[:length].copy(), top
