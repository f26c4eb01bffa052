"""Flat instructions: a computation as a list of rows applied to numbered slots, one after another.

This is what a recorded graph is flattened to, and what the machine, the printers and every number type
evaluate. Slots are numbered: first the inputs, then the constants, then one for each instruction. A `Listing`
says which function they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_mini.rules import Primitive, table
from autograd_mini.trees import named_leaves

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

    def state(self) -> dict[str, Any]:
        """The instructions as plain data; rows go by their names."""
        return {
            "inputs": self.inputs,
            "constants": self.constants,
            "rows": [row.name for row in self.rows],
            "codes": self.codes.astype("<i4").tobytes(),
            "operands": self.operands.astype("<i4").tobytes(),
            "outputs": self.outputs.astype("<i4").tobytes(),
        }

    @classmethod
    def restored(cls, state: dict[str, Any]) -> Instructions:
        """The instructions of a `state`; ValueError for an unknown row or a slot that does not exist."""
        for name in state["rows"]:
            if name not in table:
                raise ValueError(
                    f"the program uses the row {name!r}, which is not known here; "
                    "add it with primitive(...) first"
                )
        rows = tuple(table[name] for name in state["rows"])
        codes, flat, outputs = (
            np.frombuffer(state[part], dtype="<i4").astype(np.int32)
            for part in ("codes", "operands", "outputs")
        )
        operands = flat.reshape(len(codes), flat.size // max(len(codes), 1))
        code = cls(state["inputs"], tuple(state["constants"]), rows, codes, operands, outputs)
        code._check()
        return code

    def _check(self) -> None:
        """ValueError unless every row and slot exists before it is used: the machine trusts them."""
        if type(self.inputs) is not int or self.inputs < 0:
            raise ValueError("damaged instructions: the number of inputs is no count")
        if not all(isinstance(x, float) or x == "pi" for x in self.constants):
            raise ValueError("damaged instructions: a constant is no number")
        if not ((self.codes >= 0) & (self.codes < len(self.rows))).all():
            raise ValueError("damaged instructions: one names no row")
        arity = np.array([len(row.operands) for row in self.rows], dtype=int)[self.codes]
        width = self.operands.shape[1]
        present = np.arange(width) < arity[:, None]
        written = self.first + np.arange(len(self))[:, None]
        exists = (self.operands >= 0) & (self.operands < written)
        if (arity > width).any() or not exists[present].all() or (self.operands[~present] != -1).any():
            raise ValueError("damaged instructions: an operand does not exist yet")
        if not ((self.outputs >= 0) & (self.outputs < self.slots)).all():
            raise ValueError("damaged instructions: an output does not exist")


@dataclass(frozen=True)
class Leaf:
    """A scalar (shape ``()``) or an array in a tree of arguments or results."""

    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)  # which knows no overflow


@dataclass(frozen=True)
class Slot:
    """A leaf with its name and its place among the flat numbers."""

    leaf: Leaf
    name: str
    place: slice


@dataclass(frozen=True, eq=False)
class Listing:
    """A function ``name`` of flat instructions: ``arguments`` and ``results`` are trees of leaves.

    ``labels`` gives slots the names that a person gave their nodes, and the instructions from ``reverse``
    on depend on a derivative.
    """

    name: str
    arguments: Mapping[str, Any]
    results: Any
    code: Instructions
    labels: Mapping[int, str]
    reverse: int

    @cached_property
    def inputs(self) -> list[Slot]:
        return _slots(self.arguments)

    @cached_property
    def outputs(self) -> list[Slot]:
        return _slots({"results": self.results})


def _slots(named_trees: Mapping[str, Any]) -> list[Slot]:
    """The leaves of the trees in order, each with its name and place."""
    found: list[Slot] = []
    start = 0
    for name, leaf in (pair for root, tree in named_trees.items() for pair in named_leaves(tree, root)):
        found.append(Slot(leaf, name, slice(start, start + leaf.size)))
        start += leaf.size
    return found
