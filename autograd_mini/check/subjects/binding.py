"""The passes that people have, bound to each other by names and shapes.

`running` finds the functions and calls them, `taking` says what backward takes, `giving` what it gives. Where
names and shapes leave a choice, nothing is guessed: the error says what there is, and how to write what is
meant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autograd_mini.check.subjects.giving import Giving
from autograd_mini.check.subjects.passes import ARGUMENT, Passes, function_of, is_own


def passes_of(
    forward: Any,
    backward: Any = None,
    at: Any = None,
    wrt: str | Sequence[str] | None = None,
    out: str | Sequence[str] | None = None,
    gradients: Mapping[str, str | int] | None = None,
    loss: Callable[..., Any] | None = None,
) -> Passes:
    """The passes that somebody has, bound to each other; TypeError where that leaves a choice."""
    bound = Giving(forward, backward, at, wrt, out, gradients or {}, loss)
    arguments = {x.text: x for x in bound.targets if x.path[0] == ARGUMENT or x.text in bound.found}
    return Passes(
        arguments={text: leaf.value for text, leaf in arguments.items()},
        wrt=tuple(text for text in arguments if text in bound.found),
        roots=tuple(f for f in map(function_of, bound.functions.values()) if is_own(f)),
        bound=(*bound.said, *(f"{x.said} is ∂L/∂{name}" for name, x in bound.found.items())),
        joined=bound.joined,
        seeded=bound.taken or bound.elementwise,
        rates={name: x.rate for name, x in bound.found.items() if x.rate is not None},
        world=bound.world,
        paths={text: (leaf.path, *leaf.others) for text, leaf in arguments.items()},
        run=bound.run,
        pull=bound.pulled,
    )
