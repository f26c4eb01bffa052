"""The forms in which people have a derivation: functions, numbers, printed figures, formulas as text."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np

from autograd_mini.check.subjects.arguments import (
    EPSILON,
    Floats,
    RejectedError,
    UnknownNameError,
    as_array,
    listed,
    numbers_of,
)
from autograd_mini.expressions import INDICES, parse
from autograd_mini.trees import elements

MOST = 300  # decimals, of which a float can hold the unit


@dataclass(frozen=True)
class Claim:
    """A hand result: its numbers, one unit of the last digit of printed ones, the rounding of their type.

    These are arrays like the numbers where the numbers are those of several claims.
    """

    numbers: Floats
    unit: Floats
    epsilon: Any = EPSILON
    printed: Any = False

    def reshaped(self, *shape: int) -> Claim:
        """The same in another shape."""
        return replace(self, numbers=self.numbers.reshape(shape), unit=self.unit.reshape(shape))


class Formula:
    """A formula as text; names that are no arguments are its free indices: i, j, k, … in this order
    stand for the axes of the result.

    >>> import numpy as np
    >>> formula = Formula("S[i] * ((i == j) - S[j])")
    >>> formula({"S": np.array([0.25, 0.75])}, (2, 2))
    array([[ 0.1875, -0.1875],
           [-0.1875,  0.1875]])
    """

    def __init__(self, text: str, complete: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict) -> None:
        self.expression = parse(text)
        self.complete = complete  # adds what follows from the known names

    def names(self, known: Collection[str]) -> tuple[str, ...]:
        """The names that it asks for where these are known, constants among them."""
        expression = self.expression.reading(known)
        return (*expression.names, *expression.constants)

    def __call__(self, known: Mapping[str, Any], shape: tuple[int, ...]) -> Any:
        known = self.complete(known)
        expression = self.expression.reading(known)
        free = set(expression.names) - set(known)
        if not free:
            found = expression.evaluate(known)
            constant = np.ndim(found) == 0 and len(expression.axes or ()) == len(shape)  # ∂f/∂a_i = 3
            return expression.tabulate(known, shape, expression.axes) if constant else found
        indices = [letter for letter in expression.axes or INDICES if letter not in known][: len(shape)]
        if unknown := sorted(free - set(indices)):
            more = f"the indices of a result of shape {shape} are {listed(indices)}"
            raise UnknownNameError("the formula", unknown, known, more * bool(shape))
        return expression.tabulate(known, shape, indices)


def prepared(form: Any, decimals: int | None) -> Any:
    """A hand result with its texts read: printed figures become a Claim, formulas a Formula.

    ``decimals`` says how many digits after the point numbers were printed with; a number in a string,
    as in ``["-0.030020", "6.1e-5"]``, says it itself. Functions and arrays of numbers stay as they are; what
    is neither is a list of results, one for each argument.
    Raises ValueError for ``decimals`` with nothing printed, TypeError for what can be no result, and the
    parser's error for a bad formula.
    """
    match form:
        case Mapping():
            return {name: single(prepared(part, decimals)) for name, part in form.items()}
        case str():
            return figures(form, None) if _is_figure(form) else Formula(form)
        case _ if callable(form):
            if decimals is not None:
                raise ValueError("check: decimals= is for printed figures, and the hand result is a function")
            return form
    texts = [x for x in elements(form) if isinstance(x, str)]
    if any(not _is_figure(text) for text in texts):
        return [single(prepared(part, decimals)) for part in form]
    if not texts and decimals is None:
        return form if isinstance(form, Claim) else _numeric(form)
    try:
        return figures(form, decimals)
    except ValueError:  # arrays of several shapes, one for each argument
        return [figures(part, decimals) for part in form]


def _numeric(form: Any) -> Any:
    """Numbers as they are, and a list of several results with each of them read."""
    try:
        numbers_of(form)
    except ValueError:  # rows of several lengths
        return form
    except TypeError as error:
        if isinstance(form, (list, tuple)):
            return [single(prepared(part, None)) for part in form]
        said = "check: expected a hand result: a function, a formula, or numbers"
        raise TypeError(f"{said}: {error}") from None
    return form


def single(form: Any) -> Any:
    """A prepared form of one result; TypeError for a list of functions or formulas."""
    if isinstance(form, list) and any(map(callable, form)):
        raise TypeError(
            "check: expected one hand result, got a list of functions or formulas; for several arguments "
            'name them, wrt=["w", "x"]; a formula of an array is "[2*x, y]", and a function returns it'
        )
    return form


def figures(printed: Any, decimals: int | None) -> Claim:
    """Printed figures and their last units; plain numbers without ``decimals`` are exact.

    >>> figures(["-0.030020", "1.5e-3"], None).unit
    array([1.e-06, 1.e-04])
    """
    if isinstance(printed, Claim):
        return printed
    if not (decimals is None or (isinstance(decimals, (int, np.integer)) and abs(decimals) <= MOST)):
        most = f"; there are at most {MOST}" * isinstance(decimals, (int, np.integer))
        raise TypeError(f"check: decimals must be a whole number, got {decimals!r}{most}")
    array = np.array(printed, dtype=object)
    ruled = 0.0 if decimals is None else 10.0**-decimals
    numbers, units = [], []
    for element in array.flat:
        if isinstance(element, str):
            if not _is_figure(element):
                raise ValueError(f"check: expected printed figures, got {element!r}")
            decimal = Decimal(element.strip().replace("−", "-"))
            numbers.append(float(decimal))
            units.append(float(Decimal(1).scaleb(int(decimal.as_tuple().exponent))))
        elif isinstance(element, (list, tuple)):
            raise ValueError("rows of printed figures must have one length")
        else:
            try:
                numbers.append(float(numbers_of(element)))
            except TypeError as error:
                raise TypeError(f"check: the printed figures or numbers: {error}") from None
            units.append(ruled)
    shape = array.shape
    return Claim(np.array(numbers).reshape(shape), np.array(units).reshape(shape), printed=any(units))


def _is_figure(text: str) -> bool:
    try:
        return math.isfinite(Decimal(text.strip().replace("−", "-")))
    except (InvalidOperation, ValueError):  # no number, or a signalling nan
        return False


def is_fixed(form: Any) -> bool:
    """Whether a prepared form holds numbers, which count at the given point only."""
    match form:
        case Mapping():
            return any(map(is_fixed, form.values()))
        case list():
            return not form or any(map(is_fixed, form))
    return not callable(form)


def claim_of(name: str, result: Any, shape: tuple[int, ...]) -> Claim:
    """The numbers of one result; RejectedError where there are none, or of another shape."""
    if isinstance(result, RejectedError):
        raise result
    claim: Claim = result
    is_pair = isinstance(result, tuple) and len(result) == 2
    pair = is_pair and getattr(as_array(result[1]), "shape", ()) == shape
    hint = "; of a pair (value, gradient) return the gradient alone" * pair
    if not isinstance(result, Claim):
        try:
            numbers = numbers_of(result)
        except (TypeError, ValueError) as error:
            what = f"the hand result for {name} is not an array of numbers: {error}"
            raise RejectedError(what + (hint or "; is there a return?" * (result is None))) from None
        claim = Claim(numbers, np.zeros(numbers.shape), epsilon_of(result))
    if claim.numbers.shape != shape:
        said = f"the hand result for {name} has the wrong shape: expected {shape}, got {claim.numbers.shape}"
        raise RejectedError(said + hint, claim.numbers)
    return claim


def one_for_each(result: Any) -> list[Any]:
    """What a hand result holds one after the other, as one for each of several arguments; [] if it is one."""
    if isinstance(result, Claim):
        pairs = zip(result.numbers, result.unit, strict=True) if result.numbers.ndim else ()
        return [replace(result, numbers=np.asarray(n), unit=np.asarray(unit)) for n, unit in pairs]
    several = isinstance(result, (list, tuple)) or (isinstance(result, np.ndarray) and result.ndim)
    return list(result) if several else []


def nan_in(name: str, numbers: Floats) -> str:
    """What is said of a result that holds nan."""
    index = tuple(map(int, np.argwhere(np.isnan(numbers))[0]))
    return f"the hand result for {name} holds nan, first at {index}; a complex number counts as nan"


def epsilon_of(numbers: Any) -> float:
    """The relative spacing of numbers of that type, at least a double's."""
    kind = np.asarray(numbers).dtype
    return max(float(np.finfo(kind).eps), EPSILON) if kind.kind == "f" else EPSILON
