"""Arguments that are trees, by their leaves: ``p['w'][0]`` is an argument like any other.

f and the hand function are wrapped once, at the door; behind it there are numbers and arrays only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from autograd_mini.check.subjects.arguments import (
    arguments_of,
    caller,
    matched,
    with_parameters,
)
from autograd_mini.rules import as_number
from autograd_mini.trees import leaves, unflatten
from autograd_mini.trees import matched as same


def by_leaves(
    f: Any, hand: Any, at: Any, wrt: Sequence[str] | None
) -> tuple[Any, Any, Any, Sequence[str] | None]:
    """f, its hand result, its arguments and those differentiated, all by leaves; as they are without trees.

    >>> given = {"p": {"w": 2.0, "b": 5.0}}
    >>> f, hand, at, _ = by_leaves(lambda p: p["w"] * p["b"], {"p": {"w": 5.0, "b": 2.0}}, given, None)
    >>> at, hand, f(2.0, 5.0)
    ({"p['w']": 2.0, "p['b']": 5.0}, {"p['w']": 5.0, "p['b']": 2.0}, 10.0)
    """
    arguments = arguments_of(f, at)
    if not any(map(_is_tree, arguments.values())):
        return f, hand, at, wrt
    named = {name: dict(_named(x, name)) if _is_tree(x) else {name: x} for name, x in arguments.items()}
    paths = {name: list(found) for name, found in named.items()}
    flat = {path: leaf for found in named.values() for path, leaf in found.items()}

    def rebuilt(numbers: Iterable[Any]) -> dict[str, Any]:
        rest = iter(numbers)
        return {name: unflatten(x, rest) if _is_tree(x) else next(rest) for name, x in arguments.items()}

    def spread(result: Any) -> Any:
        """A hand result by leaves: of several arguments by name, or of those asked for in their order."""
        names = list(wrt or [next(iter(arguments))])
        if isinstance(result, Mapping) and result and set(result) <= set(arguments):
            parts = dict(result)
        elif len(names) == 1:
            parts = {names[0]: result}
        else:
            parts = dict(zip(names, result, strict=True))
        found: dict[str, Any] = {}
        for name, part in parts.items():
            tree = name in arguments and _is_tree(arguments[name])
            found |= (
                zip(paths[name], same(arguments[name], part, name), strict=True) if tree else {name: part}
            )
        return found

    call = caller(f)
    all_paths = list(flat)
    wrapped = with_parameters(lambda *numbers: call(rebuilt(numbers)), all_paths)
    if wrt is not None:
        wrt_paths: Sequence[str] | None = [path for name in wrt for path in paths.get(name, [name])]
    elif callable(hand) or not isinstance(hand, Mapping):
        wrt_paths = paths[next(iter(arguments))]
    else:
        wrt_paths = None
    if not callable(hand):
        return wrapped, spread(hand), flat, wrt_paths

    def by_hand(*numbers: Any) -> Any:
        known = rebuilt(numbers)
        return spread(caller(hand)(matched(hand, known, list(known))))

    return wrapped, with_parameters(by_hand, all_paths), flat, None if wrt is None else wrt_paths


def _is_tree(x: Any) -> bool:
    """Whether an argument is a dict, a list or a tuple of numbers and arrays, and no array itself."""
    if not isinstance(x, (dict, list, tuple)):
        return False
    found = leaves(x)
    return bool(found) and all(isinstance(leaf, np.ndarray) or as_number(leaf) is not None for leaf in found)


def _named(tree: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The leaves of a tree, each by its path."""
    if isinstance(tree, dict):
        for key, branch in tree.items():
            yield from _named(branch, f"{name}[{key!r}]")
    elif isinstance(tree, (list, tuple)):
        for i, branch in enumerate(tree):
            yield from _named(branch, f"{name}[{i}]")
    else:
        yield name, tree
