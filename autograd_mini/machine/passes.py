"""The passes over instructions that lowering is made of; numba compiles their text.

They are ordinary Python functions of arrays, whose types are those of the annotations. A pass that needs
memory is given it, and says in its docstring which arrays it fills in. Instructions come in two forms:
``codes`` and a table of at most three ``operands``, as they are given; and joined, where the operands of
instruction ``i``, any number of them, are ``operands[begins[i]:begins[i + 1]]``.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from autograd_mini.machine.codes import (
    ADD,
    BLOCK_BLOCK,
    BLOCK_NUMBER,
    DOT,
    FOUR,
    MINUS_PRODUCT,
    MUL,
    NUMBER_NUMBER,
    PRODUCT_MINUS,
    PRODUCT_PLUS,
    SUB,
    TOTAL,
    VARYING,
)

Words = Annotated[NDArray[Any], "int32[::1]"]
Table = Annotated[NDArray[Any], "int32[:,::1]"]
Bytes = Annotated[NDArray[Any], "int8[::1]"]
Flags = Annotated[NDArray[Any], "boolean[::1]"]
Longs = Annotated[NDArray[Any], "int64[::1]"]
Places = Annotated[NDArray[Any], "uint32[::1]"]

SUM_LIMIT = 64  # terms of one dot; a longer sum is several, lest all its terms be kept until its end
ALONE = -2  # the number of terms of w - x * y, which no sum goes on from
WINDOW = 4096  # instructions that are put in order of depth together


def tiers(operands: Table, first: int, tier: Bytes) -> None:
    """Fill in each result's tier: the highest among its operands'."""
    for i in range(len(operands)):
        highest = 0
        for k in range(3):
            slot = operands[i, k]
            if slot >= 0 and tier[slot] > highest:
                highest = tier[slot]
        tier[first + i] = highest


def count_uses(operands: Table, first: int, tier: Bytes, level: int, uses: Words) -> int:
    """Count the uses of every slot by the needed instructions of one tier; return how many those are."""
    needed = 0
    for i in range(len(operands) - 1, -1, -1):
        if tier[first + i] == level and uses[first + i] > 0:
            needed += 1
            for k in range(3):
                if operands[i, k] >= 0:
                    uses[operands[i, k]] += 1
    return needed


def find_sums(
    codes: Words,
    operands: Table,
    first: int,
    tier: Bytes,
    level: int,
    uses: Words,
    terms: Words,
    previous: Words,
    products: Words,
    absorbed: Flags,
) -> None:
    """Fill in, for each sum of one tier, what can be joined to it: results that are used nowhere else.

    ``terms`` and ``products`` count those of the sum that ends there, ``previous`` is the instruction
    whose sum it goes on with (or -1), ``absorbed`` tells whether an instruction is part of another one.
    """
    for i in range(len(codes)):
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


def join(
    codes: Words,
    operands: Table,
    first: int,
    tier: Bytes,
    level: int,
    uses: Words,
    one: int,
    terms: Words,
    previous: Words,
    products: Words,
    absorbed: Flags,
    new_codes: Words,
    new_results: Words,
    new_begins: Longs,
    new_operands: Words,
) -> int:
    """Fill in the joined instructions of one tier (the last four arrays); return how many those are.

    ``one`` is the slot that holds 1, ``one + 1`` holds -1: a plain term of a dot is a product with one.
    The four arrays before are those of `find_sums`, ``previous`` -1 and the others 0.
    """
    find_sums(codes, operands, first, tier, level, uses, terms, previous, products, absorbed)
    count = 0
    end = 0
    for i in range(len(codes)):
        if tier[first + i] != level or uses[first + i] == 0 or absorbed[i]:
            continue
        new_results[count] = first + i
        new_begins[count] = end
        new_codes[count] = codes[i]
        if products[i] == 0 and terms[i] <= 2:
            for k in range(3):
                if operands[i, k] >= 0:
                    new_operands[end] = operands[i, k]
                    end += 1
        elif terms[i] == ALONE or (terms[i] == 2 and products[i] == 1):
            left = operands[i, 0] - first
            side = 0 if left >= 0 and absorbed[left] else 1
            j = operands[i, side] - first
            x, y, w = operands[j, 0], operands[j, 1], operands[i, 1 - side]
            new_operands[end], new_operands[end + 1], new_operands[end + 2] = x, y, w
            end += 3
            code = PRODUCT_PLUS if codes[i] == ADD else (PRODUCT_MINUS if side == 0 else MINUS_PRODUCT)
            takes_numbers = tier[x] + tier[y] < 2 * VARYING or tier[w] < VARYING
            if level == VARYING and code != MINUS_PRODUCT and takes_numbers:
                new_operands[end] = one if code == PRODUCT_PLUS else one + 1
                end += 1
                code = DOT  # on blocks, it alone takes numbers that samples share
            new_codes[count] = code
        else:
            new_codes[count] = DOT
            end = join_terms(codes, operands, first, one, previous, absorbed, i, new_operands, end)
        count += 1
    new_begins[count] = end
    return count


def join_terms(
    codes: Words,
    operands: Table,
    first: int,
    one: int,
    previous: Words,
    absorbed: Flags,
    last: int,
    new_operands: Words,
    end: int,
) -> int:
    """Write the terms of the sum that ends at ``last``, in the order of its sums; return where they end."""
    following = -1  # turn the links round, to go from the first sum to the last
    i = last
    while i >= 0:
        before = previous[i]
        previous[i] = following
        following = i
        i = before
    i = following
    before = -1
    while i >= 0:
        for side in range(2):
            slot = operands[i, side]
            product = slot - first
            if before >= 0 and product == before:
                continue
            if product >= 0 and absorbed[product]:
                new_operands[end] = operands[product, 0]
                new_operands[end + 1] = operands[product, 1]
            else:
                new_operands[end] = slot
                new_operands[end + 1] = one + 1 if side == 1 and codes[i] == SUB else one
            end += 2
        before = i
        i = previous[i]
    return end


def depths(
    codes: Words, results: Words, begins: Longs, operands: Words, depth: Words, written: Words, key: Longs
) -> None:
    """Fill in the key by which joined instructions are sorted: window, depth in the window, code.

    Equal codes come to stand together, where one dispatch serves them all.
    """
    for i in range(len(codes)):
        window = i // WINDOW
        deepest = 0
        for k in range(begins[i], begins[i + 1]):
            slot = operands[k]
            if written[slot] == window and depth[slot] >= deepest:
                deepest = depth[slot] + 1
        written[results[i]] = window
        depth[results[i]] = deepest
        key[i] = (window << 32) + (deepest << 16) + codes[i]


def emit(
    order: Longs,
    codes: Words,
    results: Words,
    begins: Longs,
    operands: Words,
    place: Words,
    last: Words,
    shared: Flags,
    top: int,
    block: bool,
    free: Words,
    stream: Places,
) -> tuple[int, int]:
    """Write the stream of joined instructions; return its length and the number of places.

    It holds, for each run of equal codes, the code, the length of the run, and the place of every result
    and those of its operands. ``place`` tells where slots live and is filled in for results, ``last`` is
    -1 for slots that keep their place; a place is free again after the last use of its slot.
    """
    available = 0
    for position in range(len(order)):
        i = order[position]
        for k in range(begins[i], begins[i + 1]):
            if last[operands[k]] >= 0:
                last[operands[k]] = position
    end = 0
    header = 0
    code = -1
    for position in range(len(order)):
        i = order[position]
        if codes[i] != code:
            code = codes[i]
            header = end
            stream[end] = code
            stream[end + 1] = 0
            end += 2
        stream[header + 1] += np.uint32(1)
        slot = results[i]
        if code < TOTAL or not block:
            if available > 0:
                available -= 1
                place[slot] = free[available]
            else:
                place[slot] = top
                top += 1
            stream[end] = place[slot]
        else:
            stream[end] = slot  # the output that a total is added to
        end += 1
        if code == DOT:
            end = emit_terms(operands, begins[i], begins[i + 1], place, shared, block, stream, end)
        else:
            for k in range(begins[i], begins[i + 1]):
                stream[end] = place[operands[k]]
                end += 1
        for k in range(begins[i], begins[i + 1]):
            if last[operands[k]] == position:
                free[available] = place[operands[k]]
                available += 1
                last[operands[k]] = -1
    return end, top


def emit_terms(
    operands: Words, k: int, stop: int, place: Words, shared: Flags, block: bool, stream: Places, end: int
) -> int:
    """Write the number of terms of a dot and the terms, on blocks each with its kind; return the end."""
    size = end
    stream[size] = 0
    end += 1
    while k < stop:
        stream[size] += np.uint32(1)
        width = 2
        if block:
            run = 0  # of products of a block and a number, which four at a time go faster
            while run < 4 and k + 2 * run < stop:
                x = operands[k + 2 * run]
                y = operands[k + 2 * run + 1]
                if shared[x] == shared[y]:
                    break
                if shared[x]:
                    operands[k + 2 * run] = y
                    operands[k + 2 * run + 1] = x
                run += 1
            if run == 4:
                width = 8
                stream[end] = FOUR
            elif run > 0:
                stream[end] = BLOCK_NUMBER
            else:
                stream[end] = NUMBER_NUMBER if shared[operands[k]] else BLOCK_BLOCK
            end += 1
        for m in range(k, k + width):
            stream[end] = place[operands[m]]
            end += 1
        k += width
    return end
