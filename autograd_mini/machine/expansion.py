"""Expansion: any instructions as instructions of the machine's own rows.

A row without a code, such as one that a user added, is inlined as its formula; then what depends on
constants alone is computed and becomes a constant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from autograd_mini import formulas, rules
from autograd_mini.instructions import Instructions
from autograd_mini.machine.codes import CODE, CONSTANT, INPUT, ROWS
from autograd_mini.machine.lowering import OwnInstructions
from autograd_mini.machine.one_sample import Lines
from autograd_mini.rules import Primitive

if TYPE_CHECKING:
    from autograd_mini.machine.lowering import Array


def expanded(code: Instructions) -> tuple[OwnInstructions, Array]:
    """The instructions with every row written as the machine's own, constants folded; the slots' tiers."""
    return _folded(_inlined(code))


# An operand, an earlier line of the template, or the slot of a constant, with its number.
Reference = tuple[str, int]


def _inlined(code: Instructions) -> OwnInstructions:
    constants = [np.pi if constant == "pi" else float(constant) for constant in code.constants]
    templates = [_template(row, code.inputs, constants) for row in code.rows]
    first = code.inputs + len(constants) + 2
    lengths = np.array([len(lines) for lines in templates] or [1])[code.codes]
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(code) else 0
    place = np.arange(code.slots, dtype=np.int32)
    place[code.first :] = first + ends - 1
    codes = np.empty(total, np.int32)
    operands = np.full((total, 3), -1, np.int32)
    for k, lines in enumerate(templates):
        (where,) = np.nonzero(code.codes == k)
        begin = ends[where] - len(lines)
        for line, (row, references) in enumerate(lines):
            codes[begin + line] = CODE[row]
            for j, (kind, index) in enumerate(references):
                if kind == "operand":
                    slots = place[code.operands[where, index]]
                else:
                    slots = index + (first + begin) * (kind == "line")
                operands[begin + line, j] = slots
    numbers = np.array([*constants, 1.0, -1.0])
    return OwnInstructions(code.inputs, numbers, first - 2, codes, operands, place[code.outputs])


def _template(row: Primitive, inputs: int, constants: list[float]) -> list[tuple[str, list[Reference]]]:
    """The row as lines of the machine's own rows; the numbers in its formula join the constants."""
    lines: list[tuple[str, list[Reference]]] = []

    def call(name: str, operands: list[Reference]) -> Reference:
        row = rules.table.get(name) or ROWS[name]
        if not _is_own(row):
            return inlined(row, operands)
        lines.append((name, operands))
        return "line", len(lines) - 1

    def inlined(row: Primitive, operands: list[Reference]) -> Reference:
        names = dict(zip(row.operands, operands, strict=True))
        result: Reference = formulas.apply(formulas.expression(row.stable), names, call, number)
        return result

    def number(value: float) -> Reference:
        constants.append(value)
        return "constant", inputs + len(constants) - 1

    operands = [("operand", k) for k in range(len(row.operands))]
    result = call(row.name, operands) if _is_own(row) else inlined(row, operands)
    if result[0] != "line":
        lines.append(("identity", [result]))
    return lines


def _is_own(row: Primitive) -> bool:
    """Whether it has a code, and no user has defined another row of its name."""
    return row.name in CODE and ROWS[row.name] is row


def _folded(code: OwnInstructions) -> tuple[OwnInstructions, Array]:
    tier = code.tiers(INPUT)
    folded = tier[code.first :] == CONSTANT
    if not folded.any():
        return code, tier
    slots = code.first + np.flatnonzero(folded)
    values = np.empty(len(slots))
    Lines(code, tier, CONSTANT, slots).evaluation(np.zeros(code.inputs), values)()
    # The results become the last of the constants, the other results follow.
    place = np.arange(code.slots, dtype=np.int32)
    place[slots] = code.first + np.arange(len(slots))
    place[code.first :][~folded] = code.first + len(slots) + np.arange(code.slots - code.first - len(slots))
    operands = code.operands[~folded]
    operands = np.ascontiguousarray(np.where(operands >= 0, place[operands], np.int32(-1)))
    constants = np.concatenate([code.constants, values])
    rest = OwnInstructions(
        code.inputs, constants, code.one, code.codes[~folded], operands, place[code.outputs]
    )
    return rest, rest.tiers(INPUT)
