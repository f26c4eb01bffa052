"""The derivatives of the gamma function's logarithm, as formulas in x.

The recurrence from x to x + 10, and there Stirling's series with Bernoulli's numbers; below 1/2 by reflection
(NIST Digital Library of Mathematical Functions, 5.5 and 5.11). Where u = |x - 1/2|, the larger of x and 1 - x
is u + 1/2.
"""

_U = "(abs(x - 1 / 2) + {})".format
_W = _U(10.5)
REFLECTED = "(pi * (x - rint(x)))"


def _climb(term: str) -> str:
    return " + ".join(term.format(_U(k + 0.5)) for k in range(10))


def _descending(coefficients: str) -> str:
    """a - (b - (c - …) / w²) / w²."""
    *first, series = coefficients.split()
    for coefficient in reversed(first):
        series = f"({coefficient} - {series} / {_W} / {_W})"
    return series


DIGAMMA = (
    f"log({_W}) - 1 / (2 * {_W}) - {_descending('1/12 1/120 1/252 1/240 1/132 691/32760 1/12')} / {_W} / {_W}"
    f" - ({_climb('1 / {}')})"
)
TRIGAMMA = (
    f"(1 + (1 / 2 + {_descending('1/6 1/30 1/42 1/30 5/66 691/2730 7/6 3617/510')} / {_W}) / {_W}) / {_W}"
    f" + ({_climb('1 / {} ** 2')})"
)
TETRAGAMMA = (
    f"-(1 + (1 + {_descending('1/2 1/6 1/6 3/10 5/6 691/210 35/2 3617/30')} / {_W}) / {_W}) / {_W} / {_W}"
    f" - 2 * ({_climb('1 / {} ** 3')})"
)
