"""The witness: derivatives of a function from its numbers alone, by extrapolated differences.

With g(h) = (f(x + h) - f(x - h)) / 2h,

    g(h) = f'(x) + c2 h² + c4 h⁴ + …,

so that g at h, h/3, h/9, … extrapolates to h = 0 (Richardson); the one-sided quotients do the same in
powers of h.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
Index: TypeAlias = tuple[int, ...]

EPSILON = float(np.finfo(float).eps)
FIRST_STEP = 0.05
SHRINK = 3.0  # no power of two: a step that divides the period of f would see a constant
LEVELS = 16


class Limit:
    """Difference quotients extrapolated to h = 0, with Ridders' estimate of the error.

    T[j, 0] is the quotient at the j-th step; T[j, k] = T[j, k-1] + (T[j, k-1] - T[j-1, k-1]) /
    (s^(pk) - 1) removes the k-th term of an expansion in h^p, where each step is s times smaller.
    An entry is as good as its distance from the two it was made from (Ridders 1982, Numerical
    Recipes §5.7), but no better than the rounding of the quotient.
    """

    def __init__(self, power: int, shape: Index) -> None:
        self.power = power
        self.row: list[Floats] = []
        self.best = np.full(shape, np.nan)
        self.error = np.full(shape, np.inf)

    def add(self, quotient: Floats, rounding: Floats) -> None:
        row = [quotient]
        for k, coarser in enumerate(self.row, 1):
            row.append(row[-1] + (row[-1] - coarser) / (SHRINK ** (self.power * k) - 1))
            self.improve(row[-1], np.maximum(abs(row[-1] - row[-2]), abs(row[-1] - coarser)) + rounding)
        self.row = row

    def improve(self, limit: Floats, error: Floats) -> None:
        better = error < self.error  # false for nan
        self.best = np.where(better, limit, self.best)
        self.error = np.where(better, error, self.error)

    def at(self, cell: Index) -> tuple[float, float]:
        return float(self.best[cell]), float(self.error[cell])


def differences(
    function: Callable[[Floats], Floats], x: Floats, output: Floats
) -> tuple[Limit, Limit, Limit]:
    """Central, left and right derivatives of every output with respect to every element of a vector."""
    shape = (output.size, x.size)
    limits = (Limit(2, shape), Limit(1, shape), Limit(1, shape))
    for i in range(x.size):
        column = _differences_along(function, x, output, i)
        for whole, part in zip(limits, column, strict=True):
            whole.best[:, i], whole.error[:, i] = part.best, part.error
    return limits


def _differences_along(
    function: Callable[[Floats], Floats], x: Floats, output: Floats, i: int
) -> tuple[Limit, Limit, Limit]:
    central, left, right = limits = tuple(Limit(power, output.shape) for power in (2, 1, 1))
    step = FIRST_STEP * max(1.0, abs(x[i]))
    size = np.max(abs(output), initial=0.0)
    for level in range(LEVELS):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        above, below = (sample(function, moved, output.size) for moved in (up, down))
        rounding = EPSILON * abs(output) / step
        with np.errstate(all="ignore"):
            central.add((above - below) / (up[i] - down[i]), rounding)
            left.add((output - below) / (x[i] - down[i]), rounding)
            right.add((above - output) / (up[i] - x[i]), rounding)
            scale = size + np.max(abs(central.best), initial=0.0)
            if level >= 4 and all((limit.error <= 1e-10 * scale).all() for limit in limits):
                break
        step /= SHRINK
    # Where only the first derivative is continuous, as relu² at 0, the one-sided limits settle sooner.
    central.improve((left.best + right.best) / 2, np.maximum(left.error, right.error))
    return central, left, right


def sample(function: Callable[[Floats], Floats], x: Floats, size: int) -> Floats:
    """f at one point, flat; nan where it is outside its domain."""
    try:
        with np.errstate(all="ignore"):
            return np.asarray(function(x), dtype=float).reshape(size)
    except (ValueError, ArithmeticError):
        return np.full(size, np.nan)
