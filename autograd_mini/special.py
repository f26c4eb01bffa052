"""The error functions on arrays, from ufuncs alone, and the logarithm of the gamma function: NumPy has none.

Near zero, erf x = x P(x²). For the tail, erfc x = exp(-x²) Q(y) / (1 + 2x) with y = (x - 4) / (x + 4), which
takes all x >= 0 to [-1, 1) (the form is due to M. M. Shepherd and J. G. Laframboise, Chebyshev
approximation of (1 + 2x) exp(x²) erfc x in 0 <= x < ∞, Math. Comp. 36, 1981). P and Q are the Chebyshev
series of these functions, cut below 1e-16 and written out in powers, lowest first. Arrays that follow
NumPy's protocols, lazy ones too, stay what they are: only ufuncs and `where` are used.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

TAIL = (
    1.2329951186255526,
    -0.1396211168405625,
    0.015379652102619606,
    0.06809705425469041,
    -0.10103906603630064,
    0.09373283499843775,
    -0.06633036581218531,
    0.03716751553593696,
    -0.01619773405981641,
    0.005031969992603365,
    -0.0007577732612698175,
    -0.00019925677541553284,
    0.00015062148961947195,
    -2.4398945728709242e-05,
    -1.122128603158867e-05,
    5.709208751199915e-06,
    2.919717097623051e-07,
    -8.249239975685619e-07,
    7.747170728839287e-08,
    1.1010163664067099e-07,
    -2.0561880331206966e-08,
    -1.4712343843533468e-08,
    3.170076138225316e-09,
    1.7913888047144636e-09,
    -2.6604440071141245e-10,
    -1.3764069218660943e-10,
)
CORE = (
    1.1283791670955126,
    -0.37612638903183754,
    0.1128379167095512,
    -0.026866170645129854,
    0.005223977625423455,
    -0.0008548327021945428,
    0.00012055332903350668,
    -1.4925647581008593e-05,
    1.6462045711013026e-06,
    -1.6364645854816389e-07,
    1.479243542696247e-08,
    -1.2164764337224506e-09,
    8.709755232851789e-11,
    -4.2320376764874594e-12,
)

FAR = 30.0  # erfc is 0 from 27.3 on


def erf(x: Any) -> Any:
    """The error function 2/√π ∫₀ˣ exp(-t²) dt, to 2 units in the last place.

    >>> erf(np.array([-np.inf, 0.0, 0.5]))
    array([-1.        ,  0.        ,  0.52049988])
    """
    return _in_double(_erf, x)


def erfc(x: Any) -> Any:
    """1 - erf x, to 1e-15 relative, down to where it underflows.

    >>> erfc(np.array([0.0, 10.0]))
    array([1.00000000e+00, 2.08848758e-45])
    """
    return _in_double(_erfc, x)


def lgamma(x: Any) -> Any:
    """log |Γ(x)|, element by element as the standard library has it; inf at the poles.

    >>> lgamma(np.array([0.0, 1.0, 5.0])).round(6)
    array([     inf, 0.      , 3.178054])
    """
    return _in_double(_lgamma, x)


def _in_double(function: Any, x: Any) -> Any:
    """Computed in double precision, whose bits the coefficients have, and returned in that of ``x``."""
    x = x if hasattr(x, "dtype") else np.asarray(x, float)
    if x.dtype == np.float64:
        return function(x)
    result = function(x.astype(np.float64))
    return result.astype(x.dtype) if x.dtype.kind == "f" else result


def _lgamma(x: Any) -> Any:
    result = np.frompyfunc(_lgamma_of_one, 1, 1)(x)
    return result.astype(np.float64) if hasattr(result, "astype") else np.float64(result)


def _lgamma_of_one(x: float) -> float:
    try:
        return math.lgamma(x)
    except (ValueError, OverflowError):  # a pole, or a number out of reach
        return math.inf


def _erf(x: Any) -> Any:
    size = np.minimum(np.abs(x), FAR)
    near = x * _polynomial(CORE, np.square(np.minimum(size, 1.0)))
    return np.where(size < 1.0, near, np.copysign(1.0 - _tail(size), x))


def _erfc(x: Any) -> Any:
    return np.where(x < 0.5, 1.0 - _erf(x), _tail(np.minimum(np.abs(x), FAR)))


def _tail(x: Any) -> Any:
    """erfc x for 0 <= x <= 30; x² is split, so that its rounding is no error of the exponential."""
    head = np.trunc(x * 1024.0) / 1024.0
    decay = np.exp(-head * head) * np.exp((head - x) * (head + x))
    return decay * _polynomial(TAIL, (x - 4.0) / (x + 4.0)) / (1.0 + 2.0 * x)


def _polynomial(coefficients: tuple[float, ...], x: Any) -> Any:
    result = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        result = result * x + coefficient
    return result
