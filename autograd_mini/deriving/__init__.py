"""The derivation of a gradient as a textbook has it: every step in symbols, each line verified.

The function is recorded and rolled into arrays; the reverse sweep is then done on these in symbols,
between the names at which a reader would stop. What comes out is simplified by what is known of the names,
and shown if it agrees with the engine's derivative to 50 digits, at random points and at two sizes.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from autograd_mini.arguments import with_parameters
from autograd_mini.arrays import values
from autograd_mini.deriving.algebra import Algebra, Poly, TooLargeError
from autograd_mini.deriving.forward import Array, Forward
from autograd_mini.deriving.numbers import Place, given_place, place_of
from autograd_mini.deriving.presentation import Derivation
from autograd_mini.deriving.recordings import (
    LARGEST,
    Arguments,
    NotRegularError,
    Recording,
    alike,
    domain_of,
    lifted,
    points,
    record,
    recordings,
)
from autograd_mini.deriving.steps import Reverse
from autograd_mini.deriving.writing import Style
from autograd_mini.expressions import Expression, parse

__all__ = ["Derivation", "derivation"]

UNRESTRICTED = {"simplex": "positive", "sign": "real"}  # without what may be a premise
POINTS = {1: (5,), 2: (3, 2)}  # at one size, or at each of two
IRREGULAR = (NotRegularError, TooLargeError, ZeroDivisionError)
ELEMENTS = 40  # that are derived one by one, at most


def derivation(f: Any, at: Any, wrt: str | Sequence[str] | None = None, out: str = "") -> Derivation:
    r"""The derivation of ∂f/∂x for a function to a number or an array, in the order of the reverse sweep.

    ``at`` is the argument of a function of one argument, else a mapping from f's parameters to their values;
    ``wrt`` names the arguments differentiated, by default the first. ``f`` may be a formula as text, and
    ``out`` is what its value is called, if nothing else is called so: by default L, an array y or, if it is a
    softmax, S. An array is derived element by element: its indices come first. Steps are what `named` named,
    results of softmax and sigmoid, and what a textbook would name. Arguments that sum to 1 or are signs at
    the point are taken to be so everywhere unless they are differentiated, and where that is used it is
    said.

    >>> from autograd_mini import cross_entropy, softmax
    >>> at = {"z": [1.5, -0.5, 0.75], "t": [0, 0, 1]}
    >>> found = derivation(lambda z, t: cross_entropy(softmax(z), t), at)
    >>> found.results
    {'z': 'S − t'}

    >>> derivation(softmax, [1.5, -0.5, 0.75]).results
    {'z': 'S_i (δ_ij − S_j)'}

    Raises ValueError for a function that returns several arrays, or has no index notation: one that treats
    elements differently by their places, and has more than 40 of them, or an array of such as its result.
    """
    if isinstance(f, str):
        f = parse(f)
    arguments = _arguments(f, at)
    wrt = [*arguments][:1] if wrt is None else [wrt] if isinstance(wrt, str) else list(wrt)
    if unknown := [name for name in wrt if name not in arguments]:
        raise ValueError(f"derivation: wrt names {unknown[0]!r}; f's arguments are {', '.join(arguments)}")
    if not any(np.size(arguments[name]) for name in wrt):
        raise ValueError("derivation: there is nothing to differentiate by; wrt names no number")
    whole, known = lifted(f)
    return _derived(_in_order(whole, [*arguments, *known]), {**arguments, **known}, wrt, out)


def _derived(f: Callable[..., Any], arguments: Arguments, wrt: Sequence[str], out: str) -> Derivation:
    """In index notation, verified at two sizes or one; or element by element."""
    with suppress(*IRREGULAR):
        found = _indexed(recordings(f, arguments), arguments, wrt, out)
        if not any(_cancels(step.value) for step in found.steps):
            return found
    alone = record(f, arguments)
    try:
        return _indexed(([alone], [{}]), arguments, wrt, out)
    except IRREGULAR:
        elements: dict[str, float] = {}
        wanted: list[str] = []
        for name, x in arguments.items():
            for index in np.ndindex(np.shape(x)):
                element = "_".join([name, *map(str, index)])
                while element in elements or (index and element in arguments):
                    element += "′"
                elements[element] = float(np.asarray(x)[index])
                wanted += [element] * (name in wrt)
    if len(elements) > ELEMENTS:
        raise ValueError(
            f"derivation: f treats elements of its arguments differently by their places, and "
            f"{len(elements)} of them are more than {ELEMENTS} to derive one by one"
        )
    shapes = [np.shape(x) for x in arguments.values()]
    ends = np.cumsum([math.prod(shape) for shape in shapes]).tolist()

    def by_elements(*given: Any) -> Any:
        parts = [values(given[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
        return f(
            *(part.reshape(shape) if shape else part[0] for part, shape in zip(parts, shapes, strict=True))
        )

    try:
        return _indexed(([record(by_elements, elements, apart=True)], [{}]), elements, wanted, out)
    except IRREGULAR as why:
        several = "; choose one element of its result" if alone.output.shape else ""
        raise ValueError(f"derivation: f has no index notation: {why}{several}") from None


def _indexed(
    recorded: tuple[list[Recording], list[dict[int, int]]], arguments: Arguments, wrt: Sequence[str], out: str
) -> Derivation:
    both, sizes = recorded
    forward = Forward(both, list(arguments), out, {there: n for n, there in sizes[0].items()})
    domains = {name: domain_of(x) for name, x in arguments.items()}
    free = {name: UNRESTRICTED.get(domain, domain) for name, domain in domains.items()}
    domains |= {name: free[name] for name in wrt}  # what varies is under no premise
    places: list[Place] = []
    without: list[Place] = []
    for k, (recording, size) in enumerate(zip(both, sizes, strict=True)):
        for found in points(recording, size, arguments, domains, POINTS[len(both)][k], seed=k):
            places.append(place_of(found, k, forward.arrays))
        if free != domains:
            for found in points(recording, size, arguments, free, 1, seed=9):
                without.append(place_of(found, k, forward.arrays))
    if not places:
        raise ValueError("derivation: no random point was found at which f and its gradient are finite")
    plain = Algebra({})
    plain.shifted = False
    for array in list(forward.arrays.values()):
        shown: Poly = {}
        with suppress(ZeroDivisionError, TooLargeError):
            shown = plain.rebuilt(array.shown)
        if array.shown and _is_defined(array, shown, places):
            forward.arrays[array.name] = replace(array, shown=shown)
        elif array.shown and not _is_defined(array, array.shown, places):
            raise NotRegularError(f"{array.name} is not what its elements seem to be")
    alone = both[0] if not sizes[0] else record(forward.recordings[0].function, arguments)
    given = _given(alone, arguments, forward)
    order = {name: k for k, name in enumerate(forward.arrays)}
    style = Style(False, forward.output, frozenset(forward.arrays), order=order, rank=len(forward.result))
    steps = tuple(Reverse(forward, wrt, [*places, given], without, style).steps())
    arrays = tuple(forward.arrays.values())
    return Derivation(forward.output, tuple(wrt), arrays, steps, given.adjoints, len(places), len(both))


def _cancels(p: Poly) -> bool:
    """Whether terms cancel where axes have their lengths: in 5 classes, n Σ_k x_k − 5 Σ_k x_k."""
    totals: dict[Any, Any] = {}
    for monomial, c in p.items():
        lengths = [(x[1][-1], e) for x, e in monomial if x[0] == "n"]
        rest = frozenset(part for part in monomial if part[0][0] != "n")
        totals[rest] = totals.get(rest, 0) + c * math.prod(Fraction(n) ** e for n, e in lengths)
    return not all(totals.values())


def _is_defined(array: Array, shown: Poly, places: Sequence[Place]) -> bool:
    return all(place.agrees(shown, array.letters, place.arrays[array.name]) for place in places)


def _given(recording: Recording, arguments: Mapping[str, Any], forward: Forward) -> Place:
    """The point that is given, with the derivatives that the engine computes there."""
    if len(recording.code) > LARGEST:
        raise ValueError(f"derivation: {len(recording.code)} operations are more than {LARGEST}")
    found = recording.point([*arguments.values()])
    if found is None:
        raise ValueError("derivation: f or its gradient is not finite at the point")
    if alike(recording, forward.recordings[0]):
        return place_of(found, -1, forward.arrays)
    adjoints = {name: found.array(i, adjoint=True) for i, name in enumerate(arguments)}
    return given_place(arguments, forward.arrays, adjoints)


# --- arguments ------------------------------------------------------------------------------------------


def _arguments(f: Any, at: Any) -> dict[str, Any]:
    """f's arguments by name, in f's order, as floats and arrays of floats."""
    if not callable(f):
        raise TypeError(f"derivation: expected a function or a formula, got {type(f).__name__}")
    names: list[str] = []
    needed: list[str] = []
    if isinstance(f, Expression):
        names = needed = list(f.names)
    else:
        with suppress(TypeError, ValueError):  # it does not tell
            parameters = inspect.signature(f).parameters.values()
            own = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
            names = [p.name for p in own]
            needed = [p.name for p in own if p.default is p.empty]
    given = dict(at) if isinstance(at, Mapping) else {(names or ["x"])[0]: at}
    order = [name for name in names if name in given] if names else list(given)
    if unknown := [name for name in given if name not in order]:
        raise TypeError(f"derivation: at= gives {unknown[0]}; f takes {', '.join(names)}")
    if missing := [name for name in needed if name not in given]:
        raise TypeError(f"derivation: at= gives no {missing[0]}; f takes {', '.join(names)}")
    return {name: _floats(name, given[name]) for name in order}


def _floats(name: str, x: Any) -> Any:
    try:
        numbers = np.asarray(x, float)
    except (TypeError, ValueError):
        raise TypeError(f"derivation: {name} must be a number or an array of numbers, got {x!r}") from None
    return numbers if numbers.shape else float(numbers)


def _in_order(f: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    """f as a function of its arguments in this order, by position as far as it takes them so."""
    first: list[str] = []
    with suppress(TypeError, ValueError):
        for p in inspect.signature(f).parameters.values():
            if p.name not in names or p.kind not in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
                break
            first.append(p.name)

    def in_order(*given: Any) -> Any:
        named = dict(zip(names, given, strict=True))
        return f(*[named.pop(name) for name in first], **named)

    return with_parameters(in_order, names)
