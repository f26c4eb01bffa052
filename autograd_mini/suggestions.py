"""What was probably meant by a name that does not exist."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

ELSEWHERE = {  # as other libraries say
    "dim": "axis", "wrt": "argnums", "label": "name", "rankdir": "direction", "plot": "draw", "diff": "grad",
    "tensor": "values", "array": "values", "Variable": "Value", "no_grad": "detach",
    "gradcheck": "check_gradient", "check_grad": "check_gradient", "jit": "trace", "vmap": "trace",
}  # fmt: skip


def did_you_mean(given: str, known: Iterable[str], otherwise: str | None = None, count: int = 3) -> str:
    """The known names that are like the one given; without any, ``otherwise``, by default all there are.

    >>> did_you_mean("--wrp", ["--wrt", "--name"]), did_you_mean("dim", ["axis"]), did_you_mean("q", "xy")
    ('did you mean --wrt?', 'did you mean axis?', 'there are x, y')
    """
    import difflib  # rarely needed

    known = list(dict.fromkeys(known))
    word = given.lstrip("-")
    meant = given.removesuffix(word) + ELSEWHERE.get(word, word)
    near = [name for name in known if name.casefold() == meant.casefold()]
    near = near or difflib.get_close_matches(given, known, count)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"there are {', '.join(known) or 'none'}" if otherwise is None else otherwise


def suggesting(f: Callable[P, R]) -> Callable[P, R]:
    """``f``, which says of a keyword that it does not have which one was meant."""
    known = inspect.signature(f).parameters

    @wraps(f)
    def call(*args: P.args, **named: P.kwargs) -> R:
        for name in named:
            if name not in known:
                raise TypeError(f"{f.__name__}: there is no keyword {name}; {did_you_mean(name, known)}")
        return f(*args, **named)

    return call
