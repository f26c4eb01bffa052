"""Arguments and results as trees: tuples, lists and dicts, nested, of scalars and arrays."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from autograd_mini.formulas import define

DEPTH = 100  # of containers in containers; Python's parser, which reads trees as source, knows 200


def leaves(tree: Any, depth: int = 0) -> list[Any]:
    """The scalars and arrays of a tree, in order; None holds none.

    Raises ValueError for a tree that is nested deeper than 100 containers, or holds itself.
    """
    if tree is None:
        return []
    if isinstance(tree, (tuple, list, dict)):
        if depth == DEPTH:
            raise ValueError(f"tuples, lists and dicts are nested more than {DEPTH} deep")
        branches = tree.values() if isinstance(tree, dict) else tree
        return [leaf for branch in branches for leaf in leaves(branch, depth + 1)]
    return [tree]


def named_leaves(tree: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The leaves of a tree in order, each with its path.

    >>> list(named_leaves({"w": [1.0, 2.0], "b": None}, "p"))
    [("p['w'][0]", 1.0), ("p['w'][1]", 2.0)]
    """
    if isinstance(tree, (dict, list, tuple)):
        branches = tree.items() if isinstance(tree, dict) else enumerate(tree)
        for key, branch in branches:
            yield from named_leaves(branch, f"{name}[{key!r}]")
    elif tree is not None:
        yield name, tree


def elements(tree: Any) -> list[Any]:
    """The scalars of a tree and the elements of its arrays, in order."""
    found: list[Any] = []
    for leaf in leaves(tree):
        found += leaf.flat if isinstance(leaf, np.ndarray) else [leaf]
    return found


def matched(tree: Any, given: Any, name: str) -> list[Any]:
    """What is given for each leaf of a tree, in the tree's order, dictionaries by key.

    >>> matched({"a": 1.0, "b": (2.0,)}, {"b": [3.0], "a": 4.0}, "tangents")
    [4.0, 3.0]

    Raises TypeError, with the branch, where the structures differ.
    """
    if tree is None and given is None:
        return []
    if isinstance(tree, dict):
        if isinstance(given, dict) and given.keys() == tree.keys():
            keyed = ((f"{name}[{key!r}]", branch, given[key]) for key, branch in tree.items())
            return [leaf for path, branch, item in keyed for leaf in matched(branch, item, path)]
        wanted = f"a dict with the keys {', '.join(map(repr, tree))}"
    elif isinstance(tree, (tuple, list)):
        if isinstance(given, (tuple, list)) and len(given) == len(tree):
            counted = enumerate(zip(tree, given, strict=True))
            return [leaf for i, (branch, item) in counted for leaf in matched(branch, item, f"{name}[{i}]")]
        wanted = f"a {type(tree).__name__} of {len(tree)}"
    elif tree is not None and given is not None:
        return [given]
    else:
        wanted = "None" if tree is None else "a number or an array"
    raise TypeError(f"{name}: expected {wanted}, got {_outline(given)}")


def _outline(given: Any) -> str:
    if isinstance(given, dict):
        return f"one with the keys {', '.join(map(repr, given))}"
    count = f" of {len(given)}" if isinstance(given, (tuple, list)) else ""
    return f"{type(given).__name__}{count}"


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


def own(tree: Any) -> Any:
    """A copy of what can be changed in place; the Values in it are the same ones.

    >>> x = {"w": np.zeros(2)}
    >>> own(x)["w"] is x["w"]
    False
    """
    return map_leaves(lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf, tree)


def copied(tree: Any) -> Any:
    """The tree in containers of its own, so that changing them leaves the first ones alone."""
    return map_leaves(lambda leaf: leaf, tree)


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


def rebuilder(tree: Any) -> Callable[[list[Any]], Any]:
    """A fast `unflatten`, written out for one tree: a function from the list of new leaves to the new tree.

    >>> rebuilder({"w": [1, 2], "b": (3,)})(["x", "y", "z"])
    {'w': ['x', 'y'], 'b': ('z',)}
    """
    kept: list[Any] = []  # keys and classes, which need not have a text
    count = itertools.count()

    def keep(x: Any) -> str:
        kept.append(x)
        return f"kept[{len(kept) - 1}]"

    def text(branch: Any) -> str:
        if branch is None:
            return "None"
        if isinstance(branch, dict):
            return "{" + "".join(f"{keep(key)}: {text(item)}, " for key, item in branch.items()) + "}"
        if isinstance(branch, (tuple, list)):
            items = "".join(f"{text(item)}, " for item in branch)
            if hasattr(branch, "_fields"):
                return f"{keep(type(branch))}({items})"
            return f"[{items}]" if isinstance(branch, list) else f"({items})"
        return f"new[{next(count)}]"

    source = f"def function(new):\n    return {text(tree)}\n"
    return define("rebuild", source, {}, kept=kept)


def _like(tree: Any, branches: list[Any]) -> Any:
    if hasattr(tree, "_fields"):  # a named tuple
        return type(tree)(*branches)
    return tuple(branches) if isinstance(tree, tuple) else branches
