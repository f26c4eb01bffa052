"""exp, tanh, log and log1p in plain arithmetic, which the compiler can apply to several samples at once.

These are ordinary Python functions of floats of numba; their text is what is compiled.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

SHIFT = 6755399441055744.0  # 1.5 * 2**52: the low bits of SHIFT + x are those of the whole number nearest x
SHIFT_BITS = 4843621399236968448  # the bits of SHIFT
HALF_ROOT_BITS = 4604544271217802189  # the bits of sqrt(1 / 2)
SMALLEST_NORMAL = 2.2250738585072014e-308
LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10  # n * LN2_HIGH is exact


def taylor(r: Any) -> Any:
    """(exp(r) - 1 - r) / r**2 for abs(r) <= log(2) / 2, to rounding."""
    s = r * r
    low = 1 / 2 + r * (1 / 6) + s * (1 / 24 + r * (1 / 120))
    middle = 1 / 720 + r * (1 / 5040) + s * (1 / 40320 + r * (1 / 362880))
    high = 1 / 3628800 + r * (1 / 39916800) + s * (1 / 479001600 + r * (1 / 6227020800))
    return low + s * s * (middle + s * s * high)


def exponential(x: Any) -> Any:
    """exp(x) in plain arithmetic: x = n log 2 + r, then exp(r) as its Taylor polynomial, times 2**n."""
    x = 720.0 if x > 720.0 else x
    x = -760.0 if x < -760.0 else x
    shifted = x * LOG2_E + SHIFT
    n = shifted - SHIFT
    r = x - n * LN2_HIGH - n * LN2_LOW
    z = taylor(r) * r * r + r + 1.0
    bits = np.int64(np.float64(shifted).view(np.int64) - SHIFT_BITS)
    half = bits >> np.int64(1)  # in two steps, as the last one may overflow or be subnormal
    first = np.int64((half + np.int64(1023)) << np.int64(52)).view(np.float64)
    second = np.int64((bits - half + np.int64(1023)) << np.int64(52)).view(np.float64)
    return z * first * second


def hyperbolic_tangent(x: Any) -> Any:
    """tanh(x) = -q / (2 + q) with q = exp(-2 x) - 1 = 2**n (exp(r) - 1) + (2**n - 1), for x >= 0."""
    y = math.fabs(x)
    y = -40.0 if y > 20.0 else -2.0 * y
    shifted = y * LOG2_E + SHIFT
    n = shifted - SHIFT
    r = y - n * LN2_HIGH - n * LN2_LOW
    bits = np.int64(np.float64(shifted).view(np.int64) - SHIFT_BITS)
    scale = np.int64((bits + np.int64(1023)) << np.int64(52)).view(np.float64)
    q = scale * (taylor(r) * r * r + r) + (scale - 1.0)
    return math.copysign(q / (2.0 + q), x)


def logarithm(x: Any) -> Any:
    """log(x) = n log 2 + log(1 + f), x = 2**n (1 + f); FreeBSD's e_log.c in plain arithmetic."""
    tiny = x < SMALLEST_NORMAL
    bits = np.float64(x * 2.0**54 if tiny else x).view(np.int64) - HALF_ROOT_BITS
    n = np.int64((bits >> np.int64(52)) + SHIFT_BITS).view(np.float64) - SHIFT
    n = n - 54.0 if tiny else n
    f = np.int64((bits & np.int64(0xFFFFFFFFFFFFF)) + HALF_ROOT_BITS).view(np.float64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    odd = 0.6666666666666735 + w * (0.2857142874366239 + w * (0.1818357216161805 + w * 0.14798198605116586))
    even = 0.3999999999940942 + w * (0.22222198432149784 + w * 0.15313837699209373)
    h = 0.5 * f * f
    y: Any = n * LN2_HIGH - ((h - (s * (h + (z * odd + w * even)) + n * LN2_LOW)) - f)
    y = -math.inf if x == 0.0 else y
    y = math.nan if x < 0.0 else y
    return y if x < math.inf else x


def logarithm_of_1_plus(x: Any) -> Any:
    """log(1 + x): log(u) for the rounded u = 1 + x, and a term for what was rounded off."""
    u = 1.0 + x
    y = logarithm(u)
    z = y + (x - (u - 1.0)) / u if 0.0 < u < math.inf else y
    return x if u == 1.0 else z
