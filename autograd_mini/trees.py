"""Arguments and results as trees: tuples, lists and dicts, nested, of scalars and arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np


def leaves(tree: Any) -> list[Any]:
    """The scalars and arrays of a tree, in order; None holds none."""
    if tree is None:
        return []
    if isinstance(tree, (tuple, list)):
        return [leaf for branch in tree for leaf in leaves(branch)]
    if isinstance(tree, dict):
        return [leaf for branch in tree.values() for leaf in leaves(branch)]
    return [tree]


def map_leaves(f: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with every leaf replaced by ``f(leaf)``.

    >>> map_leaves(lambda x: 2 * x, {"w": [1, 2], "b": (3,)})
    {'w': [2, 4], 'b': (6,)}
    """
    if tree is None:
        return None
    if isinstance(tree, (tuple, list)):
        return _like(tree, [map_leaves(f, branch) for branch in tree])
    if isinstance(tree, dict):
        return {key: map_leaves(f, branch) for key, branch in tree.items()}
    return f(tree)


def map_named(f: Callable[[Any, str], Any], tree: Any, name: str) -> Any:
    """The tree with every leaf replaced by ``f(leaf, name)``; keys and positions extend the name."""
    if tree is None:
        return None
    if isinstance(tree, (tuple, list)):
        named = [map_named(f, branch, extended(name, i)) for i, branch in enumerate(tree)]
        return _like(tree, named)
    if isinstance(tree, dict):
        return {key: map_named(f, branch, extended(name, key)) for key, branch in tree.items()}
    return f(tree, name)


def extended(name: str, key: Any) -> str:
    """A branch's name: a key names it alone, a position is appended as in ``layers0``."""
    if isinstance(key, str):
        return key
    return f"{name}{'_' * name[-1:].isdigit()}{key}" if name else ""


def unflatten(tree: Any, new: Iterator[Any]) -> Any:
    """The tree with its leaves replaced, in order, by those of an iterator."""
    return map_leaves(lambda leaf: next(new), tree)


def _like(tree: Any, branches: list[Any]) -> Any:
    if hasattr(tree, "_fields"):  # a named tuple
        return type(tree)(*branches)
    return tuple(branches) if isinstance(tree, tuple) else branches


def shape_of(leaf: Any) -> tuple[int, ...]:
    return np.shape(leaf) if isinstance(leaf, np.ndarray) else ()
