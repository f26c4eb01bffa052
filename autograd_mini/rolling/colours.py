"""One number for each node: nodes of equal structure have equal colours and become a family.

The colour of an input is its array, all constants have one, and that of a node is its row with the colours
of its operands. What a fold adds up may have several colours; the terms of each then become a partial fold,
a node of its own beyond the program's slots, so that W @ x is one family wherever it is added to something.
The elements of an array that is joined have one colour whatever they are made of: each is then a name for
a node beyond the program's slots that computes it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from autograd_mini.rolling.chains import Nodes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints: TypeAlias = NDArray[np.int64]

Marks: TypeAlias = Mapping["tuple[int, int]", Any]


@dataclass(frozen=True, eq=False)
class Colours:
    """A colour for each slot, the program's first; constants have ``constant``, chains' inner slots −1.

    A slot beyond the program's computes what its ``origin`` does, or a part of it. ``begin``, ``width`` and
    ``terms`` are those of folds, as in `Nodes`. ``joined`` maps a joined slot to the one that computes it.
    ``order`` has the colours of nodes with operands before users; None if there is no such order.
    """

    colour: Ints
    constant: int
    origin: Ints
    begin: Ints
    width: Ints
    terms: Ints
    joined: dict[int, int]
    order: list[int] | None


def colours_of(
    nodes: Nodes, arrays: list[slice], joins: Mapping[int, int], marks: Marks, most: float = math.inf
) -> Colours:
    """The colours where ``joins`` maps slots to the array that they are joined in.

    Those that are more than ``most`` have no order.
    ``marks`` tells apart nodes that would have one colour; its keys are a slot, or the slot of a fold, and
    a partial fold's first term, or −1.
    """
    code = nodes.code
    constant = len(arrays)
    colour = [constant] * code.slots
    for number, place in enumerate(arrays):
        colour[place] = [number] * (place.stop - place.start)
    origin = list(range(code.slots))
    begin, width, terms = nodes.begin.tolist(), nodes.width.tolist(), nodes.terms.tolist()
    known: dict[Any, int] = {}
    joined: dict[int, int] = {}
    live = np.flatnonzero(~nodes.inner[code.first :]) + code.first

    def number_of(key: Any) -> int:
        return known.setdefault(key, constant + 1 + len(known))

    def beyond(slot: int, at: int, count: int, number: int) -> int:
        origin.append(slot)
        begin.append(at)
        width.append(count)
        colour.append(number)
        return len(origin) - 1

    def partial_folds(slot: int, row: int, given: list[int]) -> list[int]:
        """The terms with those of one colour drawn together."""
        groups: dict[int, list[int]] = {}
        for term in given:
            groups.setdefault(colour[term], []).append(term)
        drawn: list[int] = []
        for shade, some in groups.items():
            if len(some) == 1 or shade == constant or len(groups) == 1:
                drawn += some
                continue
            key = (row, marks.get((slot, some[0])), -1, shade, len(some))
            drawn.append(beyond(slot, len(terms), len(some), number_of(key)))
            terms.extend(some)
        return drawn

    for slot, row, operands in zip(
        live.tolist(), nodes.codes[live].tolist(), nodes.operands[live].tolist(), strict=True
    ):
        mark = marks.get((slot, -1)) if marks else None
        if count := width[slot]:
            given = terms[begin[slot] : begin[slot] + count]
            if count > 2:
                drawn = partial_folds(slot, row, given)
                if len(drawn) < count:
                    begin[slot], width[slot], given = len(terms), len(drawn), drawn
                    terms.extend(drawn)
            shades = sorted([colour[term] for term in given])
            one = shades[0] == shades[-1]
            key = (row, mark, -1, shades[0], len(shades)) if one else (row, mark, *shades)
        else:
            key = (row, mark, *[colour[x] for x in operands if x >= 0])
        number = number_of(key)
        if len(known) > most:
            break
        if slot in joins:
            joined[slot] = beyond(slot, begin[slot], width[slot], number)
            number = number_of(("joined", joins[slot]))
        colour[slot] = number
    shades_ = np.array(colour)
    shades_[np.flatnonzero(nodes.inner)] = -1
    found = Colours(
        shades_, constant, np.array(origin), np.array(begin), np.array(width), np.array(terms), joined, None
    )
    last = constant + 1 + len(known)
    if len(known) > most:
        return found
    order = _order(nodes, found) if joined else list(range(constant + 1, last))
    return Colours(**{**vars(found), "order": order})


def _order(nodes: Nodes, found: Colours) -> list[int] | None:
    """The colours with those of operands before those of users; None if some feed themselves."""
    colour = found.colour
    fold = found.width > 0
    users, used = [], []
    for slot in np.flatnonzero(fold & (colour >= 0)).tolist():
        if slot not in found.joined:
            terms = found.terms[found.begin[slot] : found.begin[slot] + found.width[slot]]
            users.append(np.full(len(terms), slot))
            used.append(terms)
    names, makers = np.array(list(found.joined), int), np.array(list(found.joined.values()), int)
    users.append(names)
    used.append(makers)
    plain = np.flatnonzero(~fold & (colour >= 0))
    plain = plain[~np.isin(plain, names) & (found.origin[plain] >= nodes.code.first)]
    for column in nodes.operands.T:
        operand = column[found.origin[plain]]
        users.append(plain[operand >= 0])
        used.append(operand[operand >= 0])
    pairs = colour[np.concatenate(users)] * len(colour) + colour[np.concatenate(used)]
    sorter: TopologicalSorter[int] = TopologicalSorter()
    for pair in np.unique(pairs).tolist():
        sorter.add(*divmod(pair, len(colour)))
    try:
        return [shade for shade in sorter.static_order() if shade > found.constant]
    except CycleError:
        return None
