"""Chains of one operation as one node: ``((a + b) + c) + d`` is a sum of four terms.

A sum, maximum or minimum that is used once, by the same operation, joins its user. Truths are 0 or 1:
their conjunction is a minimum and their disjunction a maximum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from autograd_mini import rules
from autograd_mini.instructions import Instructions
from autograd_mini.rules import Primitive

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints: TypeAlias = NDArray[np.int64]

FOLDED = (rules.add, rules.maximum, rules.minimum)
COMPARISONS = (rules.less, rules.less_equal, rules.equal)


@dataclass(frozen=True, eq=False)
class Nodes:
    """The instructions with their chains drawn together.

    Slot ``s`` is no node of its own where ``inner[s]``. A node is a fold of ``width[s]`` terms, those from
    ``terms[begin[s]]`` on, where that is not 0, and its row ``rows[codes[s]]`` on ``operands[s]`` elsewhere;
    inputs and constants have the code −1.
    """

    code: Instructions
    rows: tuple[Primitive, ...]
    codes: Ints
    operands: Ints
    inner: NDArray[np.bool_]
    begin: Ints
    width: Ints
    terms: Ints


def nodes_of(code: Instructions) -> Nodes:
    """The nodes of the instructions.

    >>> from autograd_mini import trace
    >>> nodes = nodes_of(trace(lambda x, y: (x * y + x + y) + 1.0, 0.0, 0.0).code)
    >>> nodes.terms.tolist(), nodes.width.tolist()
    ([3, 0, 1, 2], [0, 0, 0, 0, 0, 0, 4])
    """
    rows, codes, operands = _with_truths(code)
    slots, first = code.slots, code.first
    uses = np.bincount(operands[operands >= 0], minlength=slots)
    uses[code.outputs] += 2
    user = np.full(slots, -1)
    for column in operands.T:
        there = column >= 0
        user[column[there]] = np.flatnonzero(there)
    folds = np.array([row in FOLDED for row in rows] + [False])[codes]
    inner = folds & (uses == 1) & (codes == codes[user]) & (user >= 0)
    root = np.where(inner, user, np.arange(slots))
    while not np.array_equal(further := root[root], root):
        root = further
    some = first + np.flatnonzero(folds[first:])
    owner, terms = np.repeat(root[some], 2), operands[some, :2].reshape(-1)
    kept = ~inner[terms]
    owner, terms = owner[kept], terms[kept]
    order = np.argsort(owner, kind="stable")
    width = np.bincount(owner, minlength=slots)
    return Nodes(code, rows, codes, operands, inner, np.cumsum(width) - width, width, terms[order])


def _with_truths(code: Instructions) -> tuple[tuple[Primitive, ...], Ints, Ints]:
    """Rows, codes and operands of every slot, a connective of truths written as a maximum or minimum."""
    start = np.full(code.first, -1)
    codes = np.concatenate([start, code.codes]).astype(int)
    operands = np.full((code.slots, max(code.operands.shape[1], 2)), -1)
    operands[code.first :, : code.operands.shape[1]] = code.operands
    if rules.where not in code.rows:
        return code.rows, codes, operands
    rows = tuple(dict.fromkeys([*code.rows, rules.maximum, rules.minimum]))
    number = {row: i for i, row in enumerate(rows)}
    values = dict(enumerate(code.constants, code.inputs))
    truths = {slot for slot, value in values.items() if value in (0.0, 1.0)}
    truths.update(np.flatnonzero(np.array([row in COMPARISONS for row in rows] + [False])[codes]).tolist())
    for slot in np.flatnonzero(codes == number[rules.where]).tolist():
        condition, x, y = operands[slot, :3].tolist()
        if x in truths and y in truths:
            truths.add(slot)
            if condition in truths and condition not in values:
                if values.get(x) == 1.0 and y not in values:
                    codes[slot], operands[slot] = number[rules.maximum], [condition, y, -1]
                elif values.get(y) == 0.0 and x not in values:
                    codes[slot], operands[slot] = number[rules.minimum], [condition, x, -1]
    return rows, codes, operands
