"""The witness: derivatives of a function from its numbers alone, by extrapolated differences.

With g(h) = (f(x + h) - f(x - h)) / 2h,

    g(h) = f'(x) + c2 h² + c4 h⁴ + …,

so that g at h, h/3, h/9, … extrapolates to h = 0 (Richardson); the one-sided quotients do the same in
powers of h.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from autograd_mini.check.subjects.arguments import EPSILON, Floats, sample

Index: TypeAlias = tuple[int, ...]

FIRST_STEP = 0.05
COARSE, COARSE_STEP = 1e-10, 0.4  # of a function that is rounded so much, steps begin larger
SHRINK = 3.0  # no power of two: a step that divides the period of f would see a constant
LEVELS = 16
SPACINGS = (2.0**-42, 2.0**-28, 2.0**-20, 2.0**-12)  # of points next to each other
STILL = 0.3  # of these points at which f may stay as it is


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
            if k > 1:  # two quotients may be one number by chance; a third has to confirm it
                self.improve(row[-1], np.maximum(abs(row[-1] - row[-2]), abs(row[-1] - coarser)) + rounding)
        self.row = row

    def improve(self, limit: Floats, error: Floats) -> None:
        better = error < self.error  # false for nan
        self.best = np.where(better, limit, self.best)
        self.error = np.where(better, error, self.error)


def differences(
    function: Callable[[Floats], Floats], x: Floats, output: Floats, directions: Floats | None = None
) -> tuple[Limit, Limit, Limit]:
    """Central, left and right derivatives of every output along directions, each a row.

    Without ``directions``, these are the axes, and the derivatives the partial ones.
    """
    along = np.eye(x.size) if directions is None else directions
    shape = (output.size, len(along))
    limits = (Limit(2, shape), Limit(1, shape), Limit(1, shape))
    rounding = np.maximum(EPSILON * abs(output), 2 * noise(function, x, output.size))
    for i, direction in enumerate(along):
        own = rounding
        if len(along) > 1:  # what rounds one of its inputs, as x.astype(np.float32), shows it along that one
            own = np.maximum(rounding, 2 * noise(function, x, output.size, direction))
        column = _differences_along(function, x, output, direction, own)
        for whole, part in zip(limits, column, strict=True):
            whole.best[:, i], whole.error[:, i] = part.best, part.error
    return limits


def _differences_along(
    function: Callable[[Floats], Floats], x: Floats, output: Floats, direction: Floats, rounding: Floats
) -> tuple[Limit, Limit, Limit]:
    central, left, right = limits = tuple(Limit(power, output.shape) for power in (2, 1, 1))
    moving = np.flatnonzero(direction)
    size = np.max(abs(output), initial=0.0)
    first = FIRST_STEP if (rounding <= COARSE * size).all() else COARSE_STEP
    step = first * float(np.max(abs(x[moving]), initial=1.0))
    unit = direction / (direction @ direction)
    for level in range(LEVELS):
        up, down = x + step * direction, x - step * direction
        above, below = (sample(function, moved, output.size) for moved in (up, down))
        forward, backward = (up - x) @ unit, (x - down) @ unit  # the step as it was rounded
        with np.errstate(all="ignore"):
            central.add((above - below) / (forward + backward), rounding / step)
            left.add((output - below) / backward, rounding / step)
            right.add((above - output) / forward, rounding / step)
            scale = size + np.max(abs(central.best), initial=0.0)
            if level >= 4 and all((limit.error <= 1e-10 * scale).all() for limit in limits):
                break
        step /= SHRINK
    # Where only the first derivative is continuous, as relu² at 0, the one-sided limits settle sooner.
    central.improve((left.best + right.best) / 2, np.maximum(left.error, right.error))
    return central, left, right


def noise(function: Callable[[Floats], Floats], x: Floats, size: int, along: Floats | None = None) -> Floats:
    """The rounding error of each output, which is more than that of its last digit where terms cancel.

    Every input moves, or one direction ``along`` which f is looked at.

    At equally spaced points next to each other, high differences of a smooth function vanish, and
    those of independent errors of size σ have variance σ² (2k)! / k!² (Hamming; Moré and Wild, Estimating
    computational noise, 2011). The points lie as close as f tells them apart. Numbers of few digits may lie
    on a line by chance, or not move: where float32 holds all of them, their noise is at least its rounding,
    and where f does not tell its inputs from these in float32, what that rounding makes of f.
    """
    signs = np.random.default_rng(0).choice([-1.0, 1.0], x.shape) if along is None else along
    direction = np.maximum(0.999 * abs(x), 2.0**-10) * signs
    found = np.zeros(size)
    for spacing in SPACINGS:
        points = [x + k * spacing * direction for k in range(-3, 5)]
        numbers = table = np.array([sample(function, point, size) for point in points])
        with np.errstate(all="ignore"):
            still = (np.diff(table, axis=0) == 0).mean(axis=0)  # where f does not move, as one in float32
            for k in range(1, 6):
                table = np.diff(table, axis=0)
                if k > 2:
                    found = np.fmax(found, np.sqrt(np.mean(table**2, axis=0) / math.comb(2 * k, k)))
        if (still < STILL).all():
            break
    if spacing == SPACINGS[0]:
        return found
    moves = (still < 1) | (sample(function, x + 64 * direction, size) != numbers[3])
    slope = abs(sample(function, x + SPACINGS[-1] * direction, size) - numbers[3]) / SPACINGS[-1]
    for kind in (np.float32, np.float16):
        with np.errstate(all="ignore"):
            held = moves & (numbers.astype(kind) == numbers).all(axis=0)
            rounded = [np.where(direction == 0, point, point.astype(kind)) for point in points]
            again = np.array([sample(function, point, size) for point in rounded])
            taken = moves & (again == numbers).all(axis=0)
            rounding = np.finfo(kind).eps / 2 * np.fmax(held * np.max(abs(numbers), axis=0), taken * slope)
        found = np.fmax(found, rounding)
    return found
