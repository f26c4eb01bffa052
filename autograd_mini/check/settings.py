"""How a derivation is tried: at how many points, from where, how closely, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np

from autograd_mini.suggestions import did_you_mean

ELSEWHERE = {  # what other libraries call so
    "args": 'f\'s further arguments are given by name, at={"x": x0, "a": …}',
    "x0": 'the point is at=x0, of several arguments at={"x": x0, "a": …}',
    "x": 'the point is at=x, of several arguments at={"x": x, "a": …}',
    "tol": "closeness is rtol= and atol=",
    "eps": "there is no step to choose: differences are extrapolated",
    "epsilon": "there is no step to choose: differences are extrapolated",
    "argnums": 'the arguments differentiated are named, wrt="x" or wrt=["w", "x"]',
}


class Options(TypedDict, total=False):
    """The keywords that every check takes, see `Settings`."""

    points: int
    seed: int
    rtol: float | None
    atol: float | None
    domain: Any
    symbolic: bool
    seconds: float
    diagnosis: float


@dataclass(frozen=True)
class Settings:
    """How a derivation is tried.

    What is no number is also checked at ``points`` random points, drawn with ``seed``, each argument from its
    ``domain``. ``rtol`` and ``atol`` replace the first part of the rule of closeness, see `judgement.rule`.
    With ``symbolic``, SymPy is given some ``seconds`` to prove that a result is right. ``diagnosis`` are the
    seconds in which the mistake in a wrong one is looked for.
    """

    points: int = 5
    seed: int = 0
    rtol: float | None = None
    atol: float | None = None
    domain: Any = None
    symbolic: bool = False
    seconds: float = 10.0
    diagnosis: float = 2.0

    def __post_init__(self) -> None:
        for name in ("points", "seed", "rtol", "atol", "seconds", "diagnosis"):
            given = getattr(self, name)
            whole = name in ("points", "seed")
            kinds = (int, np.integer) if whole else (int, float, np.number, type(None))
            if not isinstance(given, kinds) or (given is not None and not given >= 0):
                raise ValueError(
                    f"check: {name} must be a {'whole ' * whole}number, 0 or more, got {given!r}"
                )


def settings_of(check: str, options: Mapping[str, Any]) -> Settings:
    """The settings that a check is given as keywords; TypeError for one that there is not."""
    known = Settings.__dataclass_fields__
    if unknown := [name for name in options if name not in known]:
        hint = ELSEWHERE.get(unknown[0]) or did_you_mean(unknown[0], known)
        raise TypeError(f"{check}: there is no keyword {unknown[0]}; {hint}")
    return Settings(**options)
