"""The machine's instruction set: which rows of the derivative table have a number, and which others exist.

Rows come down to a few elementary functions. A row has a number, and with it a case in the machine's
switches, if it is one of those functions or operators alone; every other row, a user's too, is inlined
when it is lowered, so that numba compiles every function once. Beside rows, there are sums of products,
and on blocks of samples, operations with a number that all samples share and sums over samples.
"""

from __future__ import annotations

import re

from autograd_mini import formulas, rules
from autograd_mini.rules import Primitive

# The rows of the table itself; a row that a user adds is written in terms of these.
ROWS = rules.own_table

# The functions that rows come down to, as numba takes them.
ELEMENTARY = {
    "add": "{} + {}", "sub": "{} - {}", "mul": "{} * {}", "div": "{} / {}", "neg": "-{}",
    "pow": "math.pow({}, {})", "abs": "math.fabs({})", "where": "({1} if {0} != 0.0 else {2})",
    "less": "(1.0 if {} < {} else 0.0)", "less_equal": "(1.0 if {} <= {} else 0.0)",
    "equal": "(1.0 if {} == {} else 0.0)", "exp": "exponential({})", "tanh": "hyperbolic_tangent({})",
    "log": "logarithm({})", "log1p": "logarithm_of_1_plus({})", "exp2": "np.exp2({})", "cbrt": "np.cbrt({})",
    "floor": "np.floor({})", "fmod": "np.fmod({}, {})",
}  # fmt: skip
ELEMENTARY |= {name: f"math.{name}({{}})" for name in formulas.NATIVE if name not in ELEMENTARY}
ELEMENTARY |= {name: f"math.{name}({{}}, {{}})" for name in ("atan2", "hypot")}


def statements(name: str, operands: list[str]) -> list[str]:
    """The row as assignments to t0, t1, ..., each of one elementary function, and the last to z."""
    lines: list[str] = []

    def call(name: str, operands: list[str]) -> str:
        if name not in ELEMENTARY:
            row = ROWS[name]
            names = dict(zip(row.operands, operands, strict=True))
            return str(formulas.apply(formulas.expression(row.stable), names, call, repr))
        lines.append(f"t{len(lines)} = {ELEMENTARY[name].format(*operands)}")
        return f"t{len(lines) - 1}"

    result = call(name, operands)
    return [*lines, f"z = {result}"]


def _calls(row: Primitive, function: str) -> bool:
    return any(re.search(function, line) for line in statements(row.name, list(row.operands)))


# Slow rows call C's library, which takes one number at a time; they come last, in order of operands.
LIBRARY = r"math\.(?!sqrt|fabs)|np\."
CASES = [row for row in ROWS.values() if row.name in ELEMENTARY or not _calls(row, rf"{LIBRARY}|[a-z]\(")]
SLOW = [row for row in sorted(CASES, key=lambda row: len(row.operands)) if _calls(row, LIBRARY)]
FAST = [row for row in CASES if row not in SLOW]
CODE: dict[str, int] = {row.name: code for code, row in enumerate([*FAST, *SLOW])}
ADD, SUB, MUL = CODE["add"], CODE["sub"], CODE["mul"]

# Sums of products, each product and each sum rounded as it would be alone. A sum of many terms is a dot.
FUSED = {"product_plus": "x * y + w", "minus_product": "w - x * y", "product_minus": "x * y - w"}
PRODUCT_PLUS, MINUS_PRODUCT, PRODUCT_MINUS = range(len(CODE), len(CODE) + len(FUSED))
DOT = len(CODE) + len(FUSED)
BLOCK_BLOCK, BLOCK_NUMBER, NUMBER_NUMBER, FOUR = range(4)  # the kinds of terms of a dot on blocks

# On blocks of samples: x is a block, s a number that all samples share.
SHARED = {"add": "x + s", "mul": "x * s", "sub": "x - s", "div": "x / s"}
SHARED_FIRST = {"sub": "s - x", "div": "s / x"}
CODE_SHARED = {name: DOT + 1 + k for k, name in enumerate(SHARED)}
CODE_SHARED_FIRST = {name: DOT + 1 + len(SHARED) + k for k, name in enumerate(SHARED_FIRST)}

# Sums over samples: of a block, of a product of two, of a product with a shared number.
TOTAL = DOT + 1 + len(SHARED) + len(SHARED_FIRST)
TOTAL_PRODUCT, TOTAL_SHARED_PRODUCT = TOTAL + 1, TOTAL + 2

CONSTANT, INPUT, VARYING = 0, 1, 2  # tiers: what a slot depends on at most
