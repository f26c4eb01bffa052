"""Arguments that are trees, by their leaves: ``p['w'][0]`` is an argument like any other.

f and the hand function are wrapped once, at the door; behind it there are numbers and arrays only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from autograd_mini.check.subjects.arguments import arguments_of, caller, matched, with_parameters
from autograd_mini.check.subjects.naming import is_plain, is_tree
from autograd_mini.trees import matched as same
from autograd_mini.trees import named_leaves, unflatten


class Leaves:
    """Arguments by the paths of their leaves; some are dicts, lists or tuples of numbers and arrays.

    >>> parts = Leaves({"p": {"w": 2.0, "b": 5.0}, "x": 1.0})
    >>> parts.flat
    {"p['w']": 2.0, "p['b']": 5.0, 'x': 1.0}
    >>> parts.whole(parts.flat.values())
    {'p': {'w': 2.0, 'b': 5.0}, 'x': 1.0}
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self.arguments = arguments
        self.trees = {name for name, x in arguments.items() if is_tree(x) and not is_plain(x)}
        named = {
            name: list(named_leaves(x, name)) if name in self.trees else [(name, x)]
            for name, x in arguments.items()
        }
        self.paths = {name: [path for path, _ in found] for name, found in named.items()}
        self.flat = dict(pair for found in named.values() for pair in found)

    def whole(self, numbers: Iterable[Any]) -> dict[str, Any]:
        """The arguments, of their leaves."""
        rest = iter(numbers)
        return {
            name: unflatten(x, rest) if name in self.trees else next(rest)
            for name, x in self.arguments.items()
        }

    def spread(self, result: Any, names: Sequence[str]) -> dict[str, Any]:
        """A hand result by leaves: of several arguments by name, or of those asked for in their order."""
        if not (isinstance(result, Mapping) and result and set(result) <= set(self.arguments)):
            result = {names[0]: result} if len(names) == 1 else dict(zip(names, result, strict=True))
        found: dict[str, Any] = {}
        for name, part in result.items():
            parts = same(self.arguments[name], part, name) if name in self.trees else [part]
            found |= zip(self.paths.get(name, [name]), parts, strict=True)
        return found

    def taken(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """The function as one of the leaves."""
        call = caller(f)
        taken = with_parameters(lambda *numbers: call(self.whole(numbers)), self.flat)
        taken.__wrapped__ = f  # type: ignore[attr-defined]  # as functools.wraps has it
        return taken


def by_leaves(
    f: Any, hand: Any, at: Any, wrt: Sequence[str] | None
) -> tuple[Any, Any, Any, Sequence[str] | None]:
    """f, its hand result, its arguments and those differentiated, all by leaves; as they are without trees.

    >>> given = {"p": {"w": 2.0, "b": 5.0}}
    >>> f, hand, at, _ = by_leaves(lambda p: p["w"] * p["b"], {"p": {"w": 5.0, "b": 2.0}}, given, None)
    >>> at, hand, f(2.0, 5.0)
    ({"p['w']": 2.0, "p['b']": 5.0}, {"p['w']": 5.0, "p['b']": 2.0}, 10.0)
    """
    parts = Leaves(arguments_of(f, at))
    if not parts.trees:
        return f, hand, at, wrt
    names = list(wrt or [next(iter(parts.arguments))])
    wrt = None if wrt is None else [path for name in wrt for path in parts.paths.get(name, [name])]
    if not callable(hand):
        one = wrt is None and not isinstance(hand, Mapping)
        return parts.taken(f), parts.spread(hand, names), parts.flat, parts.paths[names[0]] if one else wrt

    def by_hand(*numbers: Any) -> Any:
        known = parts.whole(numbers)
        return parts.spread(caller(hand)(matched(hand, known, list(known))), names)

    return parts.taken(f), with_parameters(by_hand, parts.flat), parts.flat, wrt
