"""NumPy's and SciPy's elementwise functions that are no rows of the derivative table, composed of rows.

They are found by the names of the ufuncs, so that SciPy need not be there, and are methods of Values, which
is where NumPy looks in a plain array of objects.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from autograd_mini import rules
from autograd_mini.arrays import CONDITIONS, SCIPY, UFUNCS, composed, elementwise
from autograd_mini.rules import Primitive
from autograd_mini.tracing import PI, conjunction, constant_node, disjunction, negation
from autograd_mini.value import Value


def _heaviside(x: Any, y: Any) -> Any:
    positive = rules.less(0.0, x)
    return rules.where(rules.equal(x, 0.0), y, rules.where(rules.equal(x, x), positive, x))


def _without(row: Primitive, x: Any, y: Any) -> Any:
    """The row, where neither operand is nan, and the other operand where one is."""
    both = rules.where(rules.equal(x, x), row(x, y), y)
    return rules.where(rules.equal(y, y), both, x)


def _signbit(x: Any) -> Any:
    return rules.less(rules.atan2(x, -1.0), 0.0)  # negative for -0.0, too


def _turned(x: Any, numerator: Any, denominator: Any) -> Any:
    return rules.mul(x, rules.div(numerator, denominator))


NUMPY: dict[str, Callable[..., Any]] = {
    "conjugate": lambda x: x,
    "positive": lambda x: x,
    "fabs": rules.abs,
    "float_power": rules.pow,
    **dict.fromkeys(("deg2rad", "radians"), partial(_turned, numerator=PI, denominator=180.0)),
    **dict.fromkeys(("rad2deg", "degrees"), partial(_turned, numerator=180.0, denominator=PI)),
    "heaviside": _heaviside,
    "fmax": partial(_without, rules.maximum),
    "fmin": partial(_without, rules.minimum),
    "copysign": lambda x, y: rules.where(_signbit(y), -rules.abs(x), rules.abs(x)),
    "divmod": lambda x, y: (rules.floor_divide(x, y), rules.mod(x, y)),
}


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *others: function(self, *others)


for _name, _function in NUMPY.items():
    UFUNCS.setdefault(getattr(np, _name), _function)
    setattr(Value, _name, _method(_function))

CONDITIONS |= {
    np.isnan: lambda x: negation(rules.equal(x, x)),
    np.isfinite: lambda x: rules.less(rules.abs(x), math.inf),
    np.isinf: lambda x: rules.equal(rules.abs(x), math.inf),
    np.signbit: _signbit,
    np.logical_not: negation,
    np.logical_and: conjunction,
    np.logical_or: disjunction,
    np.logical_xor: lambda p, q: rules.where(p, negation(q), q),
    np.invert: negation,
    np.bitwise_and: conjunction,
    np.bitwise_or: disjunction,
}


def gamma(x: Any) -> Any:
    """Γ(x), negative where floor(x) is negative and odd."""
    size = rules.exp(rules.lgamma(x))
    return rules.where(rules.less(rules.fmod(rules.floor(x), 2.0), 0.0), -size, size)


SCIPY |= {
    "expit": rules.sigmoid,
    "entr": lambda x: rules.where(rules.less(x, 0.0), -math.inf, rules.entr(rules.abs(x))),
    "log_expit": lambda x: -rules.softplus(-x),
    "gamma": gamma,
    "gammaln": rules.lgamma,
    "psi": rules.digamma,
    "exp10": lambda x: rules.pow(10.0, x),
    "ndtr": lambda x: rules.erfc(-x / rules.sqrt(constant_node(2.0))) / 2.0,
}


@composed("sinc")
def sinc(x: Any) -> Any:
    return elementwise(_sinc, x)


def _sinc(x: Any) -> Any:
    """sin(πx) / (πx); near 0 its series in t = (πx)², to 50 digits, with derivatives that do not cancel."""
    y: Any = rules.mul(PI, x)
    near = rules.less(rules.abs(x), 1 / 32)
    t, series = rules.square(y), 1.0
    for k in range(12, 0, -1):
        series = 1.0 - t / (2.0 * k * (2.0 * k + 1.0)) * series
    return rules.where(near, series, rules.sin(y) / rules.where(near, 1.0, y))


@composed("fix")
def fix(x: Any) -> Any:
    return np.trunc(x)
