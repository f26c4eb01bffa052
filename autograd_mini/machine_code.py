"""The source of the machine: what numba compiles, once for a computer, for all Programs.

The lowering passes and the loops around the switches are ordinary Python functions, whose text is taken
over as it stands; the cases of the switches are written out from the rows of the derivative table. A
case applies its row to ``count`` sets of operands, so a run of equal instructions is dispatched once.
"""

from __future__ import annotations

import ast
import inspect
import math
import re
from collections.abc import Callable
from functools import cache
from textwrap import indent
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autograd_mini import rules
from autograd_mini.rules import Primitive

Array = NDArray[Any]

# The rows of the table itself; a row that a user adds is written in terms of these.
ROWS: dict[str, Primitive] = {row.name: row for row in vars(rules).values() if isinstance(row, Primitive)}

# The functions that rows come down to; the other rows are written in terms of them.
ELEMENTARY = {
    "add": "{} + {}", "sub": "{} - {}", "mul": "{} * {}", "div": "{} / {}", "neg": "-{}",
    "pow": "math.pow({}, {})", "abs": "math.fabs({})", "where": "({1} if {0} != 0.0 else {2})",
    "less": "(1.0 if {} < {} else 0.0)", "less_equal": "(1.0 if {} <= {} else 0.0)",
    "equal": "(1.0 if {} == {} else 0.0)", "exp": "exponential({})", "tanh": "hyperbolic_tangent({})",
    "log": "logarithm({})", "log1p": "logarithm_of_1_plus({})", "exp2": "np.exp2({})", "cbrt": "np.cbrt({})",
}  # fmt: skip
ELEMENTARY |= {name: f"math.{name}({{}})" for name in rules.NATIVE if name not in ELEMENTARY}
ELEMENTARY |= {"atan2": "math.atan2({}, {})", "hypot": "math.hypot({}, {})"}


def apply(
    formula: ast.expr, names: dict[str, Any], call: Callable[..., Any], number: Callable[[float], Any]
) -> Any:
    """The formula as calls of rows, one after another; ``names`` are its operands.

    All of it is computed, and a conditional picks: nothing raises, and no product with 0 stands for it.
    """

    def visit(node: ast.expr) -> Any:
        if isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Name)
            return call(node.func.id, [visit(argument) for argument in node.args])
        if isinstance(node, ast.Name):
            return names[node.id] if node.id in names else number(math.pi)
        return number(float(ast.literal_eval(node)))

    return visit(rules.functional(formula))


def statements(name: str, operands: list[str]) -> list[str]:
    """The row as assignments to t0, t1, ..., each of one elementary function."""
    lines: list[str] = []

    def call(name: str, operands: list[str]) -> str:
        if name not in ELEMENTARY:
            row = ROWS[name]
            names = dict(zip(row.operands, operands, strict=True))
            return str(apply(rules.expression(row.stable), names, call, repr))
        lines.append(f"t{len(lines)} = {ELEMENTARY[name].format(*operands)}")
        return f"t{len(lines) - 1}"

    result = call(name, operands)
    return [*lines, f"z = {result}"]


def _calls(row: Primitive, function: str) -> bool:
    return any(re.search(function, line) for line in statements(row.name, list(row.operands)))


# A row has a case if it is one function, or operators alone; other rows are inlined when lowered, so that
# numba compiles every function once. Those of C's library are applied to one number at a time.
LIBRARY = r"math\.(?!sqrt|fabs)|np\."
CASES = [row for row in ROWS.values() if row.name in ELEMENTARY or not _calls(row, rf"{LIBRARY}|[a-z]\(")]
SLOW = [row for row in sorted(CASES, key=lambda row: len(row.operands)) if _calls(row, LIBRARY)]
FAST = [row for row in CASES if row not in SLOW]
CODE: dict[str, int] = {row.name: code for code, row in enumerate([*FAST, *SLOW])}

# Sums of products, each product and each sum rounded as it would be alone. A sum of many terms is `dot`.
FUSED = {"product_plus": "x * y + w", "minus_product": "w - x * y", "product_minus": "x * y - w"}
PLUS, MINUS, LESS = range(len(CODE), len(CODE) + len(FUSED))
DOT = len(CODE) + len(FUSED)

# On blocks of samples: a block with a number that all samples share, and sums over samples.
SHARED = {"add": "x + s", "mul": "x * s", "sub": "x - s", "div": "x / s"}
SHARED_FIRST = {"sub": "s - x", "div": "s / x"}
BLOCK_SHARED = {name: DOT + 1 + k for k, name in enumerate(SHARED)}
BLOCK_SHARED_FIRST = {name: DOT + 1 + len(SHARED) + k for k, name in enumerate(SHARED_FIRST)}
TOTAL = DOT + 1 + len(SHARED) + len(SHARED_FIRST)
TOTAL_PRODUCT, TOTAL_SHARED_PRODUCT = TOTAL + 1, TOTAL + 2

BLOCK_BLOCK, BLOCK_NUMBER, NUMBER_NUMBER, FOUR = range(4)  # the kinds of terms in a `dot` on blocks

CONSTANT, INPUT, VARYING = 0, 1, 2  # tiers: what a slot depends on
ADD, SUB, MUL = CODE["add"], CODE["sub"], CODE["mul"]
SUM_LIMIT = 64  # terms of one `dot`; a longer sum is several, lest all its terms be kept until its end
ALONE = -2  # terms of w - x * y, which no sum goes on from
WINDOW = 4096  # instructions that are put in order of depth together


# --- lowering ---------------------------------------------------------------------------------------


def tiers(operands: Array, first: int, tier: Array) -> None:
    """Each result's tier: the highest among its operands'."""
    for i in range(len(operands)):
        highest = 0
        for k in range(3):
            slot = operands[i, k]
            if slot >= 0 and tier[slot] > highest:
                highest = tier[slot]
        tier[first + i] = highest


def count_uses(operands: Array, first: int, tier: Array, level: int, uses: Array) -> int:
    """Count the uses of every slot by the needed instructions of one tier; return how many those are."""
    needed = 0
    for i in range(len(operands) - 1, -1, -1):
        if tier[first + i] == level and uses[first + i] > 0:
            needed += 1
            for k in range(3):
                if operands[i, k] >= 0:
                    uses[operands[i, k]] += 1
    return needed


def fuse(
    codes: Array,
    operands: Array,
    first: int,
    tier: Array,
    level: int,
    uses: Array,
    one: int,
    terms: Array,
    previous: Array,
    products: Array,
    absorbed: Array,
    op: Array,
    result: Array,
    begin: Array,
    args: Array,
) -> int:
    """Codes, results, operands (and where they begin) of one tier, sums of products as one instruction.

    Written to the last four arrays; returns how many instructions those are. ``one`` is the slot that
    holds 1, ``one + 1`` holds -1: a plain term of a sum is a product with one. What is kept for each
    instruction: the terms and products of the sum that ends there, the instruction whose sum it goes on
    with (or -1), whether it is part of another one.
    """  # fmt: skip
    length = len(codes)
    for i in range(length):
        if tier[first + i] != level or uses[first + i] == 0 or (codes[i] != ADD and codes[i] != SUB):
            continue
        terms[i] = 2
        for side in range(1 if codes[i] == SUB else 2):
            j = operands[i, side] - first
            if j >= 0 and tier[first + j] == level and 0 < terms[j] < SUM_LIMIT and uses[first + j] == 1:
                previous[i] = j
                absorbed[j] = True
                terms[i] = terms[j] + 1
                products[i] = products[j]
                break
        for side in range(2):
            j = operands[i, side] - first
            if j < 0 or j == previous[i] or tier[first + j] != level or codes[j] != MUL:
                continue
            if uses[first + j] != 1:
                continue
            if side == 1 and codes[i] == SUB:
                if terms[i] > 2 or products[i] > 0:
                    continue
                terms[i] = ALONE
            absorbed[j] = True
            products[i] += 1
    n = 0
    end = 0
    for i in range(length):
        if tier[first + i] != level or uses[first + i] == 0 or absorbed[i]:
            continue
        result[n] = first + i
        begin[n] = end
        op[n] = codes[i]
        if products[i] == 0 and terms[i] <= 2:
            for k in range(3):
                if operands[i, k] >= 0:
                    args[end] = operands[i, k]
                    end += 1
        elif terms[i] == ALONE or (terms[i] == 2 and products[i] == 1):
            left = operands[i, 0] - first
            side = 0 if left >= 0 and absorbed[left] else 1
            j = operands[i, side] - first
            a, b, c = operands[j, 0], operands[j, 1], operands[i, 1 - side]
            args[end], args[end + 1], args[end + 2] = a, b, c
            end += 3
            op[n] = PLUS if codes[i] == ADD else (LESS if side == 0 else MINUS)
            if level == VARYING and op[n] != MINUS and (tier[a] + tier[b] < 2 * VARYING or tier[c] < VARYING):
                args[end] = one if op[n] == PLUS else one + 1  # `dot` takes numbers that samples share
                end += 1
                op[n] = DOT
        else:
            op[n] = DOT
            following = -1  # turn the links round, to go from the first sum to the last
            j = i
            while j >= 0:
                before = previous[j]
                previous[j] = following
                following = j
                j = before
            j = following
            before = -1
            while j >= 0:
                for side in range(2):
                    slot = operands[j, side]
                    product = slot - first
                    if before >= 0 and product == before:
                        continue
                    if product >= 0 and absorbed[product]:
                        args[end] = operands[product, 0]
                        args[end + 1] = operands[product, 1]
                    else:
                        args[end] = slot
                        args[end + 1] = one + 1 if side == 1 and codes[j] == SUB else one
                    end += 2
                before = j
                j = previous[j]
        n += 1
    begin[n] = end
    return n


def depths(
    op: Array, result: Array, begin: Array, args: Array, depth: Array, written: Array, key: Array
) -> None:
    """The key by which instructions are sorted: window, depth in the window, code."""
    for i in range(len(op)):
        window = i // WINDOW
        deepest = 0
        for k in range(begin[i], begin[i + 1]):
            slot = args[k]
            if written[slot] == window and depth[slot] >= deepest:
                deepest = depth[slot] + 1
        written[result[i]] = window
        depth[result[i]] = deepest
        key[i] = (window << 32) + (deepest << 16) + op[i]


def emit(
    order: Array,
    op: Array,
    result: Array,
    begin: Array,
    args: Array,
    place: Array,
    last: Array,
    shared: Array,
    top: int,
    block: bool,
    free: Array,
    stream: Array,
) -> tuple[int, int]:
    """Write the stream of codes, counts and operands; return its length and the number of places.

    ``place`` tells where slots live and is filled in for results, ``last`` is -1 for slots that keep
    their place. A place is free again after the last use of its slot.
    """  # fmt: skip
    count = len(order)
    available = 0
    for position in range(count):
        i = order[position]
        for k in range(begin[i], begin[i + 1]):
            if last[args[k]] >= 0:
                last[args[k]] = position
    end = 0
    header = 0
    code = -1
    for position in range(count):
        i = order[position]
        if op[i] != code:
            code = op[i]
            header = end
            stream[end] = code
            stream[end + 1] = 0
            end += 2
        stream[header + 1] += np.uint32(1)
        slot = result[i]
        if code < TOTAL or not block:
            if available > 0:
                available -= 1
                place[slot] = free[available]
            else:
                place[slot] = top
                top += 1
            stream[end] = place[slot]
        else:
            stream[end] = slot
        end += 1
        if code == DOT:
            size = end
            stream[size] = 0
            end += 1
            k = begin[i]
            while k < begin[i + 1]:
                stream[size] += np.uint32(1)
                width = 2
                if block:
                    run = 0
                    while run < 4 and k + 2 * run < begin[i + 1]:
                        a = args[k + 2 * run]
                        b = args[k + 2 * run + 1]
                        if shared[a] == shared[b]:
                            break
                        if shared[a]:
                            args[k + 2 * run] = b
                            args[k + 2 * run + 1] = a
                        run += 1
                    if run == 4:
                        width = 8
                        stream[end] = FOUR
                    elif run > 0:
                        stream[end] = BLOCK_NUMBER
                    else:
                        stream[end] = NUMBER_NUMBER if shared[args[k]] else BLOCK_BLOCK
                    end += 1
                for m in range(k, k + width):
                    stream[end] = place[args[m]]
                    end += 1
                k += width
        else:
            for k in range(begin[i], begin[i + 1]):
                stream[end] = place[args[k]]
                end += 1
        for k in range(begin[i], begin[i + 1]):
            if last[args[k]] == position:
                free[available] = place[args[k]]
                available += 1
                last[args[k]] = -1
    return end, top


# --- functions that the compiler can apply to several samples at once -------------------------------


def exponential(x: Any) -> Any:
    """exp(x) in plain arithmetic: x = n log 2 + r, then exp(r) as its Taylor polynomial, times 2**n."""
    x = 720.0 if x > 720.0 else x
    x = -760.0 if x < -760.0 else x
    shifted = x * LOG2_E + SHIFT  # the low bits are those of the nearest whole number
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


def taylor(r: Any) -> Any:
    """(exp(r) - 1 - r) / r**2 for abs(r) <= log(2) / 2, to rounding."""
    s = r * r
    low = 1 / 2 + r * (1 / 6) + s * (1 / 24 + r * (1 / 120))
    middle = 1 / 720 + r * (1 / 5040) + s * (1 / 40320 + r * (1 / 362880))
    high = 1 / 3628800 + r * (1 / 39916800) + s * (1 / 479001600 + r * (1 / 6227020800))
    return low + s * s * (middle + s * s * high)


SHIFT = 6755399441055744.0  # 1.5 * 2**52
SHIFT_BITS = 4843621399236968448  # its bits
HALF_ROOT_BITS = 4604544271217802189  # the bits of sqrt(1 / 2)
SMALLEST_NORMAL = 2.2250738585072014e-308
LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10

# --- the loops around the switches ------------------------------------------------------------------

HEADER = """\
from __future__ import annotations
import math
import numpy as np
from numba import carray, njit, types
from numba.extending import intrinsic

@intrinsic
def pointer(context, address, kind):
    def convert(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))
    return types.CPointer(kind.dtype)(address, kind), convert
"""

RUN = """\
def run(address):
    frame = carray(pointer(address, np.int64), 9)
    size = np.uint64(frame[5])
    inputs = frame[6]
    outputs = frame[7]
    stream = carray(pointer(frame[0], np.uint32), frame[5])
    memory = carray(pointer(frame[1], np.float64), frame[8])
    gather = carray(pointer(frame[2], np.uint32), outputs)
    source = carray(pointer(frame[3], np.float64), inputs)
    target = carray(pointer(frame[4], np.float64), outputs)
    for k in range(inputs):
        memory[k] = source[k]
    pc = np.uint64(0)
    while pc < size:
        code = stream[pc]
        count = stream[pc + np.uint64(1)]
        pc += np.uint64(2)
{cases}
    for k in range(outputs):
        target[k] = memory[gather[k]]
"""

RUN_BLOCKS = """\
def run_blocks(
    stream, memory, numbers, spread, samples, inputs, gather, columns, begin, end, group, totals, results
):
    width = memory.shape[1]
    size = np.uint64(len(stream))
    for j in range(len(spread)):
        for k in range(width):
            memory[spread[j, 0], k] = numbers[spread[j, 1]]
    for start in range(begin, end, width):
        length = min(width, end - start)
        total = start // group
        for k in range(width):
            sample = start + min(k, length - 1)
            for j in range(len(inputs)):
                memory[inputs[j], k] = samples[sample, j]
        pc = np.uint64(0)
        while pc < size:
            code = stream[pc]
            count = stream[pc + np.uint64(1)]
            pc += np.uint64(2)
{cases}
        for k in range(length):
            for j in range(len(gather)):
                results[start + k, columns[j]] = memory[gather[j], k]
"""

SCALAR_DOT = """\
out = stream[pc]
terms = stream[pc + np.uint64(1)]
pc += np.uint64(2)
z = -0.0
for term in range(terms):
    z += memory[stream[pc]] * memory[stream[pc + np.uint64(1)]]
    pc += np.uint64(2)
memory[out] = z
"""

BLOCK_DOT = """\
out = stream[pc]
terms = stream[pc + np.uint64(1)]
pc += np.uint64(2)
for k in range(width):
    memory[out, k] = -0.0
for term in range(terms):
    kind = stream[pc]
    a = stream[pc + np.uint64(1)]
    b = stream[pc + np.uint64(2)]
    pc += np.uint64(3)
    if kind == FOUR:
        c = stream[pc]
        d = stream[pc + np.uint64(2)]
        e = stream[pc + np.uint64(4)]
        s = numbers[b]
        t = numbers[stream[pc + np.uint64(1)]]
        u = numbers[stream[pc + np.uint64(3)]]
        v = numbers[stream[pc + np.uint64(5)]]
        pc += np.uint64(6)
        for k in range(width):
            z = memory[out, k] + memory[a, k] * s + memory[c, k] * t
            memory[out, k] = z + memory[d, k] * u + memory[e, k] * v
    elif kind == BLOCK_NUMBER:
        s = numbers[b]
        for k in range(width):
            memory[out, k] += memory[a, k] * s
    elif kind == BLOCK_BLOCK:
        for k in range(width):
            memory[out, k] += memory[a, k] * memory[b, k]
    else:
        s = numbers[a] * numbers[b]
        for k in range(width):
            memory[out, k] += s
"""

SUMS = [f"""\
def {name}(memory, x, {other}, length):
    z = 0.0
    for k in range(length):
        z += {term}
    return z
""" for name, other, term in (
    ("total_block", "y", "memory[x, k]"),
    ("total_product", "y", "memory[x, k] * memory[y, k]"),
    ("total_shared_product", "s", "memory[x, k] * s"),
)]  # fmt: skip


KEPT = {"stream", "pc", "memory", "numbers", "width", "length", "total", "totals"}


def _case(code: int, body: str) -> str:
    """One branch; its names get its number, which spares numba the search for where each was assigned."""
    text = f"if code == {code}:\n    for item in range(count):\n{indent(body, ' ' * 8)}"
    names = {
        node.id
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    own = "|".join(names - KEPT)
    return re.sub(rf"\b({own})\b", rf"\1_{code}", text)


def _loads(places: dict[str, str]) -> tuple[str, str]:
    """Operands from the stream: the lines that find their places, and those that read them."""
    found = "".join(f"{x}_ = stream[pc + np.uint64({k + 1})]\n" for k, x in enumerate(places))
    found += f"out = stream[pc]\npc += np.uint64({len(places) + 1})\n"
    return found, "".join(f"{x} = {place}\n" for x, place in places.items())


def _formula(names: str, formula: list[str], block: bool) -> str:
    """One case's body: operands ``s`` are shared numbers."""
    places = {
        x: f"numbers[{x}_]" if x == "s" and block else f"memory[{x}_{', k' * block}]" for x in names.split()
    }
    found, read = _loads(places)
    write = "\n".join(formula) + f"\nmemory[out{', k' * block}] = z\n"
    return found + (f"for k in range(width):\n{indent(read + write, '    ')}" if block else read + write)


def cases(block: bool) -> dict[int, str]:
    """What each code does, once."""
    bodies = {}
    for row in FAST:
        operands = [f"{x}0" for x in row.operands]
        bodies[CODE[row.name]] = _formula(" ".join(operands), statements(row.name, operands), block)
    for code, text in zip((PLUS, MINUS, LESS), FUSED.values(), strict=True):
        bodies[code] = _formula("x y w", [f"z = {text}"], block)
    bodies[DOT] = BLOCK_DOT if block else SCALAR_DOT
    if block:
        for name, code in BLOCK_SHARED.items():
            bodies[code] = _formula("x s", [f"z = {SHARED[name]}"], block)
        for name, code in BLOCK_SHARED_FIRST.items():
            bodies[code] = _formula("s x", [f"z = {SHARED_FIRST[name]}"], block)
        sums = {
            TOTAL: ("x", "total_block(memory, x_, x_, length)"),
            TOTAL_PRODUCT: ("x y", "total_product(memory, x_, y_, length)"),
            TOTAL_SHARED_PRODUCT: ("x s", "total_shared_product(memory, x_, numbers[s_], length)"),
        }
        for code, (names, text) in sums.items():
            bodies[code] = _loads(dict.fromkeys(names.split(), ""))[0] + f"totals[total, out] += {text}\n"
    return bodies


HOT = {CODE[name] for name in ("add", "sub", "mul", "div", "neg")} | set(range(PLUS, TOTAL + 3))


def library() -> str:
    """The slow rows, one number at a time; for samples and for blocks alike."""
    branches = []
    for row in SLOW:
        lines = statements(row.name, ["x", "y"][: len(row.operands)])
        branches.append(f"if code == {CODE[row.name]}:\n{indent(chr(10).join(lines), '    ')}\n")
    return f"def library(code, x, y):\n    z = 0.0\n{indent('el'.join(branches), '    ')}    return z\n"


def switch(block: bool) -> tuple[str, str]:
    """A function of the rarer cases, and the switch with the frequent ones, which calls it.

    (Two functions as numba's time grows faster than the length of a function.)
    """
    bodies = cases(block)
    name, operands = ("block", "stream, memory, width") if block else ("scalar", "stream, memory")
    rare = [_case(code, body) for code, body in bodies.items() if code not in HOT]
    for arity in (2, 1):
        first = next(CODE[row.name] for row in SLOW if len(row.operands) == arity)
        body = _formula("x y"[: 2 * arity - 1], [f"z = library(code, x, {'xy'[arity - 1]})"], block)
        rare.append(_case(first, body).replace("==", ">=", 1))
    function = f"def {name}(code, count, pc, {operands}):\n{indent('el'.join(rare), '    ')}    return pc\n"
    branches = [_case(code, body) for code, body in bodies.items() if code in HOT]
    text = "el".join(branches) + f"else:\n    pc = {name}(code, count, pc, {operands})\n"
    return function, indent(text, " " * (12 if block else 8))


@cache
def source(cached: bool) -> str:
    """The module that numba compiles, with or without a cache beside it."""
    constants = "".join(
        f"{name} = {value!r}\n"
        for name, value in globals().items()
        if name.isupper() and isinstance(value, (int, float))
    )
    options = 'nogil=True, error_model="numpy", no_cfunc_wrapper=True'
    outer = f"@njit({options}, cache={cached})\n"
    inner = f"@njit({options}, no_cpython_wrapper=True)\n"
    any_order = f"@njit({options}, no_cpython_wrapper=True, fastmath={{'reassoc'}})\n"
    parts = [any_order + text for text in SUMS]
    parts += [outer + inspect.getsource(function) for function in (tiers, count_uses, fuse, depths, emit)]
    plain = (taylor, exponential, hyperbolic_tangent, logarithm, logarithm_of_1_plus)
    parts += [inner + inspect.getsource(function) for function in plain]
    parts.append(inner + library())
    for block, loop in ((False, RUN), (True, RUN_BLOCKS)):
        rare, branches = switch(block)
        parts += [inner + rare, outer + loop.format(cases=branches)]
    return "\n\n".join([HEADER, constants, *parts])
