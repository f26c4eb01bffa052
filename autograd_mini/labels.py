"""Labels of the elements of arrays: how they are written, read and told from others.

The elements of an array ``z`` are labelled ``z0``, ``z1``, …, those of a matrix ``W`` ``W0,1``, and after a
name that ends in a digit an underscore stands between: ``W1_0,1``. In text for people they are in brackets,
``W1[0, 1]``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

ELEMENT = re.compile(r"(.*?\D)(\d+(?:,\d+)*)", re.DOTALL)


def element_label(name: str, index: tuple[int, ...]) -> str:
    """The label of an element of the array ``name``: ``z0``, ``W0,1``, ``W1_0,1``."""
    if not name or not index:
        return name
    return name + "_" * name[-1].isdigit() + ",".join(map(str, index))


def split_label(label: str) -> tuple[str, tuple[int, ...]]:
    """The array's name and the element's index, the reverse of `element_label`; else the label and ().

    >>> split_label("W1_0,2"), split_label("loss")
    (('W1', (0, 2)), ('loss', ()))
    """
    element = ELEMENT.fullmatch(label) if label[-1:].isdecimal() else None
    if element is None:
        return label, ()
    name, index = element.groups()
    if name[-1] == "_" and name[-2:-1].isdigit():
        name = name[:-1]
    return name, tuple(map(int, index.split(",")))


def subscript(name: str, index: Iterable[int | str]) -> str:
    """An element as it is written for people.

    >>> subscript("W", (0, 1)), subscript("loss", ())
    ('W[0, 1]', 'loss')
    """
    inside = ", ".join(map(str, index))
    return f"{name}[{inside}]" if inside else name


def arrays_among(labels: Iterable[str]) -> set[str]:
    """The names of the arrays that the labels tell of: what has an element 0, 0.

    >>> arrays_among(["W0,0", "W0,1", "layer3", "loss"])
    {'W'}
    """
    return {name for name, index in map(split_label, labels) if index and not any(index)}


def in_order(label: str) -> list[tuple[int, str]]:
    """A key that sorts labels as people do.

    >>> sorted(["w10", "w2", "b"], key=in_order)
    ['b', 'w2', 'w10']
    """
    parts = re.split(r"(\d+)", label)
    return [(int(part) if part.isdecimal() else -1, part) for part in parts]
