"""The third witness: the same function on numbers of 75 digits, differentiated by differences there.

With a step of 2⁻⁸³ ≈ 10⁻²⁵, the central difference is wrong by some h² ≈ 10⁻⁵⁰ for the terms that it leaves
out and by some 10⁻⁷⁵ / h = 10⁻⁵⁰ for rounding: 50 digits. A kink shows as one-sided quotients that differ
by more than h.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from autograd_mini.number_types import evaluate, mpmath_type

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from autograd_mini.check.subject import Arguments, Subject
    from autograd_mini.instructions import Instructions

    Floats: TypeAlias = NDArray[np.float64]

T = TypeVar("T")

WITNESS = "f at 50 digits"
DIGITS = 75
STEP = 2.0**-83
EVALUATIONS = 50_000  # instructions on numbers of 75 digits that are worth the wait, about a second


@cache
def context() -> Any:
    """mpmath at this precision, apart from the user's own; ImportError if it is not installed."""
    import mpmath

    own = mpmath.MPContext()
    own.dps = DIGITS
    return own


def attempted(compute: Callable[[], T]) -> tuple[T | None, str]:
    """What is computed at 50 digits, or None and why there is no such witness."""
    try:
        return compute(), ""
    except ImportError:
        why = "mpmath is not installed (extra: symbolic)"
    except Exception as error:  # f cannot be recorded
        why = f"{type(error).__name__}: {error}".partition("\n")[0]
    return None, f"no witness at 50 digits: {why}"


def precise_differences(
    subject: Subject, arguments: Arguments, directions: Floats, weights: Floats | None = None
) -> tuple[Floats, Floats]:
    """Left and right derivatives of the outputs (or weighted sums of them) along directions, each a row.

    What is outside f's domain is nan. Raises ValueError for a function that would take long, and
    whatever stops the recording of f.
    """
    mp = context()
    x = [mp.mpf(float(number)) for number in subject.flat(arguments)]
    sides: tuple[list[list[float]], list[list[float]]] = ([], [])
    function: Callable[[list[Any]], list[Any]] | None = None
    for direction in directions:
        moving = np.flatnonzero(direction)
        if function is None or not subject.shared:
            function = _function(mp, *subject.recorded(arguments, moving.tolist()), len(directions))
            here = _weighted(function(x), weights)
        for sign, side in zip((-1, 1), sides, strict=True):
            there = _weighted(function(_moved(mp, x, direction, moving, sign)), weights)
            step = sign * STEP
            side.append([float((value - start) / step) for value, start in zip(there, here, strict=True)])
    left, right = (np.array(side, dtype=float).reshape(len(directions), -1).T for side in sides)
    return left, right


def precise_value(subject: Subject, arguments: Arguments) -> Floats:
    """The outputs, flat; raises whatever stops the recording of f."""
    mp = context()
    x = [mp.mpf(float(number)) for number in subject.flat(arguments)]
    outputs = _function(mp, *subject.recorded(arguments, []), 1)(x)
    return np.array([float(y) for y in outputs])


def _function(mp: Any, code: Instructions, inputs: list[int], count: int) -> Callable[[list[Any]], list[Any]]:
    if 2 * len(code) * count > EVALUATIONS:
        raise ValueError(f"{count} derivatives of {len(code)} instructions would take long")
    numbers = mpmath_type(mp)
    return lambda x: evaluate(code, [x[i] for i in inputs], numbers)


def _moved(mp: Any, x: list[Any], direction: Floats, moving: Iterable[int], sign: int) -> list[Any]:
    moved = list(x)
    for i in moving:
        moved[i] += sign * STEP * mp.mpf(float(direction[i]))
    return moved


def _weighted(outputs: list[Any], weights: Floats | None) -> list[Any]:
    if weights is None:
        return outputs
    return [sum(float(w) * y for w, y in zip(row, outputs, strict=True) if w) for row in weights]
