"""Which derivatives are compared: all of them, or of a large Jacobian some and random directions.

An entry J[r, c] is e_r·J·e_c with unit vectors; with random signs u and v, u·J·v is a sum over all entries,
in which a wrong one shows unless it is lost among them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from autograd_mini.check.subjects.arguments import Floats

Index: TypeAlias = "tuple[int | str, ...]"

ENTRIES = 10_000  # a Jacobian by differences with more is sampled
SOME = 200  # one at random points, where it has been seen whole
WORK = 400_000  # instructions swept for all outputs, or entries, beyond which outputs are sampled
FEW = 32  # rows, or columns of one argument, that are all taken
SAMPLE, RANDOM = 16, 4


@dataclass(frozen=True)
class Probe:
    """The derivatives weights · J · directionsᵀ; None stands for all outputs or all inputs, one by one."""

    rows: list[Index]
    columns: list[tuple[str, Index]]
    weights: Floats | None = None
    directions: Floats | None = None
    note: str = ""

    def seen(self, matrix: Floats) -> Floats:
        """What is compared of a Jacobian."""
        if self.weights is not None:
            matrix = self.weights @ matrix
        return matrix if self.directions is None else matrix @ self.directions.T

    def largest(self, errors: Floats) -> Floats:
        """How far the compared numbers may be off if every entry may by ``errors``."""
        if self.weights is not None:
            errors = abs(self.weights) @ errors
        return errors if self.directions is None else errors @ abs(self.directions).T


def probe_of(
    axes: tuple[int, ...],
    shapes: Mapping[str, tuple[int, ...]],
    seed: int,
    size: int | None,
    most: int = ENTRIES,
) -> Probe:
    """What is compared of an output's and its arguments' entries.

    Where f is recorded, in ``size`` instructions, a reverse sweep gives all inputs at once, so that only
    outputs are sampled; differences, where ``size`` is None, give one input at a time, and are of ``most``
    entries at most.
    """
    rows: list[Index] = list(np.ndindex(*axes))
    columns = [(name, index) for name, shape in shapes.items() for index in np.ndindex(shape)]
    total, few_rows = len(rows) * len(columns), len(rows) <= FEW
    swept = size is not None and (few_rows or len(rows) * max(size, len(columns)) <= WORK)
    if total <= most or swept:
        return Probe(rows, columns)
    random = np.random.default_rng(seed)
    weights, labels = _chosen(len(rows), random)
    row_labels = [rows[i] if isinstance(i, int) else (i,) for i in labels]
    if size is not None:
        note = (
            f"of {len(rows)} outputs {sum(map(_is_entry, row_labels))} were compared one by one, and "
            f"{RANDOM} sums over random signs (±)"
        )
        return Probe(row_labels, columns, weights, None, note)
    directions, column_labels, start = [], [], 0
    for name, shape in shapes.items():
        own, labels = _chosen(math.prod(shape), random)
        block = np.zeros((len(own), len(columns)))
        block[:, start : start + own.shape[1]] = own
        directions.append(block)
        column_labels += [columns[start + i] if isinstance(i, int) else (name, (i,)) for i in labels]
        start += own.shape[1]
    single = sum(map(_is_entry, row_labels)) * sum(_is_entry(column) for _, column in column_labels)
    note = (
        f"of {total} entries {single} were compared one by one, and "
        f"{len(row_labels) * len(column_labels) - single} sums over random signs (±)"
    )
    return Probe(row_labels, column_labels, None if few_rows else weights, np.concatenate(directions), note)


def _is_entry(index: Index) -> bool:
    return not any(isinstance(i, str) for i in index)


def _chosen(size: int, random: np.random.Generator) -> tuple[Floats, list[int | str]]:
    """Unit vectors and vectors of random signs, with the place or a name for each."""
    if size <= FEW:
        return np.eye(size), list(range(size))
    places = sorted(random.choice(size, SAMPLE, replace=False).tolist())
    vectors = np.zeros((SAMPLE + RANDOM, size))
    vectors[range(SAMPLE), places] = 1.0
    vectors[SAMPLE:] = random.choice([-1.0, 1.0], (RANDOM, size))
    return vectors, [*places, *(f"±{k}" for k in range(1, RANDOM + 1))]
