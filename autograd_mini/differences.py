"""A new row held against differences: do its partials follow from its formula?

Derivatives are extrapolated from differences over steps that halve (Richardson), from both sides and from
each, at points of the row's domain: some on ties and whole numbers, where kinks are, others anywhere. A
difference whose last extrapolations disagree says nothing: at a pole, a jump, the edge of a domain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Arrays = Callable[..., Any]
TIES = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)
SIZES = (0.1, 1.0, 3.0, 30.0, 1000.0)
STEPS = 2.0 ** -np.arange(4.0, 14.0)  # of the point's size, if that is below 1
AGREE = 1e-6  # by how much, of its size, a derivative may be off


def points(count: int) -> NDArray[np.float64]:
    """Points for so many operands, one a row: ties first, then spread evenly over several sizes."""
    ties = [*product(TIES, repeat=count)] if count < 3 else [(x,) * count for x in TIES]
    spread = np.modf(np.outer(np.arange(1, 21), np.sqrt([2, 3, 5, 7, 11, 13, 17, 19, 23, 29])[:count]))[0]
    return np.concatenate([ties, *(size * (2 * spread - 1) for size in SIZES)])


def trouble(
    function: Arrays,
    partials: Arrays,
    inside: Arrays,
    kinks: Sequence[Arrays],
    linear: bool,
    names: Sequence[str],
) -> str:
    """What differences say against the partials, in one sentence; nothing if they agree.

    All are functions of arrays, the partials of the operands and the result.

    >>> trouble(np.sin, lambda x, z: [np.sin(x)], lambda x: True, [], False, ["x"])
    '∂x gives -0.909297 at x = -2, where differences of the formula give -0.416147'
    """
    at = points(len(names))
    with np.errstate(all="ignore"):
        at = at[[bool(inside(*point)) for point in at]]
        columns = tuple(at.T)
        values = np.broadcast_to(function(*columns), len(at))
        on_kink = np.zeros(len(at), bool)
        for kink in kinks:
            on_kink |= np.broadcast_to(kink(*columns, values) == 0, len(at))
        compared = 0
        for k, (name, claimed) in enumerate(zip(names, partials(*columns, values), strict=True)):
            found, sure = _derivative(function, columns, k, (1, -1))
            right, sure_right = _derivative(function, columns, k, (1, 0))
            left, sure_left = _derivative(function, columns, k, (0, -1))
            jumps = sure_right & sure_left & ~_close(right, left) & ~on_kink
            if jumps.any():
                i = int(jumps.argmax())
                said = f"its derivative jumps from {left[i]:g} to {right[i]:g}"
                return f"{said} at {_told(names, at[i])}, which is no zero of kinks"
            wrong = sure & ~on_kink & ~_close(np.broadcast_to(claimed, len(at)), found)
            if wrong.any():
                i = int(wrong.argmax())
                given = float(np.broadcast_to(claimed, len(at))[i])
                return (
                    f"∂{name} gives {given:g} at {_told(names, at[i])}, "
                    f"where differences of the formula give {found[i]:g}"
                )
            compared += int(sure.sum())
            constant = found[sure]
            if linear and not _close(constant, constant[:1]).all():
                return f"it is not linear: ∂{name} is {constant.min():g} here and {constant.max():g} there"
        zero = float(np.broadcast_to(function(*np.zeros(len(names))), ())) if linear else 0.0
    if zero != 0.0:
        return f"it is not linear: at 0 it gives {zero:g}"
    return "" if compared else "no point of its domain is found at which differences tell its derivative"


def _derivative(function: Arrays, at: tuple[Any, ...], k: int, sides: tuple[int, int]) -> tuple[Any, Any]:
    """The derivative with respect to operand k from differences between two sides, and where it is sure."""
    steps = STEPS[:, None] * np.clip(abs(at[k]), 2.0**-6, 1.0)
    high, low = (at[k] + side * steps for side in sides)
    ends = [np.broadcast_to(function(*at[:k], x, *at[k + 1 :]), steps.shape) for x in (high, low)]
    table = (ends[0] - ends[1]) / (high - low)
    order = 2 if sides == (1, -1) else 1
    best, error = table[-1], np.full(len(at[k]), np.inf)
    for column in range(1, 6):
        weight = 2.0 ** (order * column)
        table = (weight * table[1:] - table[:-1]) / (weight - 1)
        for first, earlier, later in zip(table, table[1:], table[2:], strict=False):
            off = np.maximum(abs(later - earlier), abs(later - first))  # two alike may be so by chance
            better = off < error
            best, error = np.where(better, later, best), np.where(better, off, error)
    return best, error < AGREE / 10 * np.maximum(abs(best), 1e-3)


def _close(x: Any, y: Any) -> Any:
    return abs(x - y) <= AGREE * np.maximum(abs(y), 1e-2)


def _told(names: Sequence[str], point: NDArray[np.float64]) -> str:
    return ", ".join(f"{name} = {x:.6g}" for name, x in zip(names, point, strict=True))
