"""The text of the machine's two evaluators: a loop around a switch whose cases are the codes.

`run` takes one sample, `run_blocks` blocks of samples. The cases are written out from the rows of the
derivative table; each applies its row to ``count`` sets of operands, so that a run of equal instructions
is dispatched once.
"""

from __future__ import annotations

import ast
import re
from textwrap import indent

from autograd_mini.machine.codes import (
    CODE,
    CODE_SHARED,
    CODE_SHARED_FIRST,
    DOT,
    FAST,
    FUSED,
    MINUS_PRODUCT,
    PRODUCT_MINUS,
    PRODUCT_PLUS,
    SHARED,
    SHARED_FIRST,
    SLOW,
    TOTAL,
    TOTAL_PRODUCT,
    TOTAL_SHARED_PRODUCT,
    statements,
)

SIGNATURES = {
    "run": "int64",
    "run_blocks": (
        "uint32[::1], float64[:,::1], float64[::1], uint32[:,::1], float64[:,::1], uint32[::1], "
        "uint32[::1], int64[::1], int64, int64, int64, float64[:,::1], float64[:,::1]"
    ),
}

# --- the loops --------------------------------------------------------------------------------------

# All operands of `run` are in a frame, whose address is the only one: numba would take longer to unpack
# arrays than many a Program runs. It holds the addresses of the stream, the memory, the places of the
# outputs, the inputs and the outputs, then the lengths of the stream, the inputs, the outputs, the memory.
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
    cursor = np.uint64(0)
    while cursor < size:
        code = stream[cursor]
        count = stream[cursor + np.uint64(1)]
        cursor += np.uint64(2)
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
        cursor = np.uint64(0)
        while cursor < size:
            code = stream[cursor]
            count = stream[cursor + np.uint64(1)]
            cursor += np.uint64(2)
{cases}
        for k in range(length):
            for j in range(len(gather)):
                results[start + k, columns[j]] = memory[gather[j], k]
"""

SCALAR_DOT = """\
out = stream[cursor]
terms = stream[cursor + np.uint64(1)]
cursor += np.uint64(2)
z = -0.0
for term in range(terms):
    z += memory[stream[cursor]] * memory[stream[cursor + np.uint64(1)]]
    cursor += np.uint64(2)
memory[out] = z
"""

BLOCK_DOT = """\
out = stream[cursor]
terms = stream[cursor + np.uint64(1)]
cursor += np.uint64(2)
for k in range(width):
    memory[out, k] = -0.0
for term in range(terms):
    kind = stream[cursor]
    a = stream[cursor + np.uint64(1)]
    b = stream[cursor + np.uint64(2)]
    cursor += np.uint64(3)
    if kind == FOUR:
        c = stream[cursor]
        d = stream[cursor + np.uint64(2)]
        e = stream[cursor + np.uint64(4)]
        s = numbers[b]
        t = numbers[stream[cursor + np.uint64(1)]]
        u = numbers[stream[cursor + np.uint64(3)]]
        v = numbers[stream[cursor + np.uint64(5)]]
        cursor += np.uint64(6)
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


KEPT = {"stream", "cursor", "memory", "numbers", "width", "length", "total", "totals"}


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
    found = "".join(f"{x}_ = stream[cursor + np.uint64({k + 1})]\n" for k, x in enumerate(places))
    found += f"out = stream[cursor]\ncursor += np.uint64({len(places) + 1})\n"
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
    for code, text in zip((PRODUCT_PLUS, MINUS_PRODUCT, PRODUCT_MINUS), FUSED.values(), strict=True):
        bodies[code] = _formula("x y w", [f"z = {text}"], block)
    bodies[DOT] = BLOCK_DOT if block else SCALAR_DOT
    if block:
        for name, code in CODE_SHARED.items():
            bodies[code] = _formula("x s", [f"z = {SHARED[name]}"], block)
        for name, code in CODE_SHARED_FIRST.items():
            bodies[code] = _formula("s x", [f"z = {SHARED_FIRST[name]}"], block)
        sums = {
            TOTAL: ("x", "total_block(memory, x_, x_, length)"),
            TOTAL_PRODUCT: ("x y", "total_product(memory, x_, y_, length)"),
            TOTAL_SHARED_PRODUCT: ("x s", "total_shared_product(memory, x_, numbers[s_], length)"),
        }
        for code, (names, text) in sums.items():
            bodies[code] = _loads(dict.fromkeys(names.split(), ""))[0] + f"totals[total, out] += {text}\n"
    return bodies


HOT = {CODE[name] for name in ("add", "sub", "mul", "div", "neg")} | set(
    range(PRODUCT_PLUS, TOTAL_SHARED_PRODUCT + 1)
)


def slow_rows() -> str:
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
    function = (
        f"def {name}(code, count, cursor, {operands}):\n{indent('el'.join(rare), '    ')}    return cursor\n"
    )
    branches = [_case(code, body) for code, body in bodies.items() if code in HOT]
    text = "el".join(branches) + f"else:\n    cursor = {name}(code, count, cursor, {operands})\n"
    return function, indent(text, " " * (12 if block else 8))
