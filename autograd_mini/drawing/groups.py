"""Which group of a drawing a node belongs to: the scopes it was made in, and its array.

Leaves and results that `values` or `named` labelled ``W0,0``, ``W0,1``, … are the array ``W``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from autograd_mini.labels import split_label
from autograd_mini.scopes import Path, scope_of
from autograd_mini.value import Value, constant


def paths(nodes: Iterable[Value]) -> dict[Value, Path]:
    """The groups around each node that is in one, the outermost first."""
    found: dict[Value, Path] = {}
    arrays: dict[tuple[Path, str], list[Value]] = defaultdict(list)
    whole = set()  # arrays with an element 0
    scopes: dict[type, Path] = {}
    for node in nodes:
        kind = type(node)
        path = scopes.get(kind)
        if path is None:
            path = scopes[kind] = scope_of(node)
        if path:
            found[node] = path
            for operand in node.args:
                if operand.op is constant:  # it has no scope of its own
                    found.setdefault(operand, path)
        if node.label:
            name, index = split_label(node.label)
            if index:
                arrays[path, name].append(node)
                if not any(index):
                    whole.add((path, name))
    for (path, name), elements in arrays.items():
        if (path, name) in whole and len(elements) > 1:
            found.update(dict.fromkeys(elements, (*path, name)))
    return found


def closed(path: Path, names: Collection[str]) -> Path:
    """The outermost group around a node that has one of the names; () if there is none."""
    for depth, name in enumerate(path, 1):
        if name in names:
            return path[:depth]
    return ()
