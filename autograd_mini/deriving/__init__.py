"""The derivation of a gradient as a textbook has it: every step in symbols, each line verified.

The function is recorded and rolled into arrays; the reverse sweep is then done on these in symbols, between
the names at which a reader would stop. What comes out is simplified by what is known of the names, and shown if it
agrees with the engine's derivative to 50 digits, at random points and at two sizes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from autograd_mini.arguments import signature
from autograd_mini.deriving.forward import Forward
from autograd_mini.deriving.numbers import Place, agrees, given_place, place_of
from autograd_mini.deriving.presentation import Derivation
from autograd_mini.deriving.recordings import (
    LARGEST,
    Recording,
    domain_of,
    lifted,
    points,
    record,
    recordings,
)
from autograd_mini.deriving.steps import Reverse, Step
from autograd_mini.deriving.writing import Style
from autograd_mini.expressions import Expression, parse

__all__ = ["Derivation", "derivation"]

UNRESTRICTED = {"simplex": "positive", "sign": "real"}  # without what may be a premise
POINTS = (3, 2)  # at each of two sizes


def derivation(f: Any, at: Any, wrt: str | Sequence[str] | None = None, out: str = "L") -> Derivation:
    r"""The derivation of ∂f/∂x for a function with one output, in the order of the reverse sweep.

    ``at`` is the argument of a function of one argument, else a mapping from f's parameters to their values;
    ``wrt`` names the arguments differentiated, by default the first. ``f`` may be a formula as text, and
    ``out`` is what its value is called. Steps are what `named` named, results of softmax and sigmoid, and what
    a textbook would name. Arguments that sum to 1 or are signs at the point are taken to be so everywhere,
    which is said where it is used.

    >>> from autograd_mini import cross_entropy, softmax
    >>> at = {"z": [1.5, -0.5, 0.75], "t": [0, 0, 1]}
    >>> found = derivation(lambda z, t: cross_entropy(softmax(z), t), at)
    >>> found.results
    {'z': 'S − t'}
    Raises ValueError for a function that has several outputs, or no index notation: one whose elements are
    treated differently by their places.
    """
    if isinstance(f, str):
        f = parse(f)
    arguments = _arguments(f, at)
    wrt = [*arguments][:1] if wrt is None else [wrt] if isinstance(wrt, str) else list(wrt)
    if unknown := [name for name in wrt if name not in arguments]:
        raise ValueError(f"derivation: wrt names {unknown[0]!r}; f's arguments are {', '.join(arguments)}")
    whole, known = lifted(f)
    return _derived(_in_order(whole, [*arguments, *known]), {**arguments, **known}, wrt, out)


def _derived(f: Callable[..., Any], arguments: Mapping[str, Any], wrt: Sequence[str], out: str) -> Derivation:
    both, sizes = recordings(f, arguments)
    forward = Forward(both, list(arguments), out, {there: n for n, there in sizes[0].items()})
    domains = {name: domain_of(x) for name, x in arguments.items()}
    free = {name: UNRESTRICTED.get(domain, domain) for name, domain in domains.items()}
    places: list[Place] = []
    without: list[Place] = []
    for k, (recording, size) in enumerate(zip(both, sizes, strict=True)):
        for found in points(recording, size, arguments, domains, POINTS[k], seed=k):
            places.append(place_of(found, k, forward.arrays))
        if free != domains:
            for found in points(recording, size, arguments, free, 1, seed=9):
                without.append(place_of(found, k, forward.arrays))
    style = Style(False, out, frozenset(forward.arrays))
    steps = tuple(Reverse(forward, wrt, places, without, style).steps())
    place, holds = _at_the_point(record(f, arguments), arguments, forward, steps, wrt)
    return Derivation(
        out, tuple(wrt), tuple(forward.arrays.values()), steps, place, holds, len(places), len(both)
    )


def _at_the_point(
    recording: Recording,
    arguments: Mapping[str, Any],
    forward: Forward,
    steps: Sequence[Step],
    wrt: Sequence[str],
) -> tuple[Place, bool]:
    """The numbers at the point that is given, and whether the results agree there with the engine."""
    exact = len(recording.code) <= LARGEST // 4
    place = given_place(arguments, forward.arrays, exact)
    adjoints: dict[str, Any] = {}
    for step in steps:
        adjoints[step.array.name] = Place(-1, place.arrays, adjoints, place.kind).value(
            step.value, step.letters
        )
    found = recording.point([*arguments.values()], place.kind)
    names = list(arguments)
    true = found is not None and all(
        name not in adjoints or agrees(adjoints[name], found.array(names.index(name), True), exact)
        for name in wrt
    )
    return Place(-1, place.arrays, adjoints, place.kind), true


# --- arguments ------------------------------------------------------------------------------------------


def _arguments(f: Any, at: Any) -> dict[str, Any]:
    """f's arguments by name, in f's order, as floats and arrays of floats."""
    if not callable(f):
        raise TypeError(f"derivation: expected a function or a formula, got {type(f).__name__}")
    if isinstance(f, Expression):
        names: list[str] | None = list(f.names)
    else:
        try:
            parameters = inspect.signature(f).parameters.values()
            names = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        except (TypeError, ValueError):
            names = None
    given = dict(at) if isinstance(at, Mapping) else {(names or ["x"])[0]: at}
    order = [name for name in names if name in given] if names else list(given)
    if unknown := [name for name in given if name not in order]:
        raise TypeError(f"derivation: at= gives {unknown[0]}; f takes {', '.join(names or [])}")
    return {name: _floats(name, given[name]) for name in order}


def _floats(name: str, x: Any) -> Any:
    try:
        numbers = np.asarray(x, float)
    except (TypeError, ValueError):
        raise TypeError(f"derivation: {name} must be a number or an array of numbers, got {x!r}") from None
    return numbers if numbers.shape else float(numbers)


def _in_order(f: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    """f as a function of its arguments in this order."""

    def by_name(*given: Any) -> Any:
        return f(**dict(zip(names, given, strict=True)))

    by_name.__signature__ = signature(names)  # type: ignore[attr-defined]  # where inspect looks for it
    return by_name
