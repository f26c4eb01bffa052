"""Which derivatives are compared: all of them, or of a large Jacobian some and random directions.

An entry J[r, c] is e_r·J·e_c with unit vectors; with random signs u and v, u·J·v is a sum over all entries,
in which a wrong one shows unless it is lost among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from autograd_mini.check.report import Index

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autograd_mini.check.subject import Subject

    Floats: TypeAlias = NDArray[np.float64]

ENTRIES = 10_000  # a Jacobian with more is sampled
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

    def seen(self, matrix: Floats, rows: bool = True) -> Floats:
        """What is compared of a Jacobian; ``rows=False`` if its outputs are the weighted ones already."""
        if rows and self.weights is not None:
            matrix = self.weights @ matrix
        return matrix if self.directions is None else matrix @ self.directions.T

    def bound(self, errors: Floats) -> Floats:
        """How far the compared numbers may be off if independent entries may by ``errors``."""
        if self.weights is None and self.directions is None:
            return errors
        squares = errors**2 if self.weights is None else self.weights**2 @ errors**2
        total = np.sqrt(squares if self.directions is None else squares @ self.directions.T**2)
        single = total == np.max(errors)
        return np.where(single, total, 3 * total)


def probe_of(subject: Subject, seed: int) -> Probe:
    rows: list[Index] = list(np.ndindex(subject.rows))
    sizes = {name: int(np.prod(shape)) for name, shape in subject.shapes.items()}
    columns = [(name, index) for name, shape in subject.shapes.items() for index in np.ndindex(shape)]
    total = len(rows) * len(columns)
    if total <= ENTRIES:
        return Probe(rows, columns)
    random = np.random.default_rng(seed)
    weights, labels = _chosen(len(rows), random)
    row_labels = [rows[i] if isinstance(i, int) else (i,) for i in labels]
    directions, column_labels, start = [], [], 0
    for name, size in sizes.items():
        own, labels = _chosen(size, random)
        block = np.zeros((len(own), len(columns)))
        block[:, start : start + size] = own
        directions.append(block)
        column_labels += [columns[start + i] if isinstance(i, int) else (name, (i,)) for i in labels]
        start += size
    single = sum(map(_is_entry, row_labels)) * sum(_is_entry(column) for _, column in column_labels)
    note = (
        f"of {total} entries {single} were compared one by one, and "
        f"{len(row_labels) * len(column_labels) - single} sums over random signs (±)"
    )
    all_rows = len(rows) <= FEW
    return Probe(row_labels, column_labels, None if all_rows else weights, np.concatenate(directions), note)


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
