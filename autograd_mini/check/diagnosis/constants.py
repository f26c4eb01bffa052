"""Constants that a person could have lost, in words: 2, ½, the N of a mean, a fraction, a logarithm."""

import math
from collections.abc import Mapping
from functools import cache
from itertools import product

KNOWN = {"ln 2": math.log(2), "ln 10": math.log(10), "π": math.pi, "2π": 2 * math.pi}


def constant_name(c: float, sizes: Mapping[int, str], width: float) -> str | None:
    """The constant that ``c`` is to a relative error of ``width``, None if it is none of these.

    ``sizes`` are the numbers of entries that a mean could have been taken over.

    >>> constant_name(-0.5, {}, 1e-9), constant_name(1 / 5, {5: "the length of x"}, 1e-9)
    ('−½', '1/5, one over the length of x')
    """
    for number, text in _constants(tuple(sizes.items())).items():
        if abs(abs(c) - number) <= width * number:
            return f"−{text}" if c < 0 else text
    return None


@cache
def _constants(sizes: tuple[tuple[int, str], ...]) -> dict[float, str]:
    counts = [(n, what) for n, what in sizes if n > 2]
    named = [(1.0, "1"), (2.0, "2"), (0.5, "½")]
    named += [
        pair for n, what in counts for pair in ((n, f"{n}, {what}"), (1 / n, f"1/{n}, one over {what}"))
    ]
    fractions = ((a, b) for a, b in product(range(1, 13), repeat=2) if math.gcd(a, b) == 1)
    named += [(a / b, f"{a}/{b}" if b > 1 else f"{a}") for a, b in fractions]
    named += [(2 / n, f"2/{n}, two over {what}") for n, what in counts]
    named += [(n / 2, f"{n}/2, half of {what}") for n, what in counts]
    named += [pair for text, x in KNOWN.items() for pair in ((x, text), (1 / x, f"1/({text})"))]
    return dict(reversed(named))
