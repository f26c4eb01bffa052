"""What the commands read: assignments such as ``z=1,2,3``, and formulas in terms of them."""

from __future__ import annotations

import itertools
import keyword
import math
import shlex
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from autograd_mini.arguments import with_parameters
from autograd_mini.arrays import named
from autograd_mini.expressions import Expression, parse
from autograd_mini.suggestions import did_you_mean

Point = dict[str, Any]


def pairs(texts: Iterable[str], what: str) -> dict[str, str]:
    """``name=text`` apart; ValueError for anything else, and for a name that comes twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = unicodedata.normalize("NFKC", name.strip())
        if not equals or not name.isidentifier() or keyword.iskeyword(name) or not value.strip():
            raise ValueError(f"expected {what}, without blanks, got {text.strip()!r}")
        if name in found:
            raise ValueError(f"{name} is given twice")
        found[name] = value
    return found


def point_of(texts: Iterable[str]) -> Point:
    """Numbers, vectors and matrices by name.

    >>> point_of(["x=-0.5", "z=1,2,3", "W=1,2;3,pi"])["W"]
    array([[1.        , 2.        ],
           [3.        , 3.14159265]])
    """
    what = "a name with its numbers such as x=0.5, z=1,2,3 or W=1,2;3,4"
    return {name: _numbers_in(name, value) for name, value in pairs(texts, what).items()}


def line_of(arguments: Iterable[str]) -> str:
    """A command as it is typed."""
    return shlex.join(["autograd-mini", *arguments])


SMALL = "0.5", "0.2,0.3,0.5"
MATRICES = "1,2,3;2,5,4;3,4,6", "0.1,0.2,0.3;0.4,0.5,0.6", "0.1,0.2;0.3,0.4;0.5,0.6"
TRIES = 500


def require_numbers(formula: Expression, given: Point, line: Sequence[str]) -> None:
    """ValueError for a name of the formula that has no numbers, and for one that is no name of it."""
    require_names(given, formula.names + formula.constants)
    missing = [name for name in formula.names if name not in given]
    if missing:
        raise ValueError(wanting(missing, given, formula.evaluate, line))


def wanting(
    missing: Sequence[str], given: Point, evaluate: Callable[[Point], Any], line: Sequence[str]
) -> str:
    """What is said of names without numbers: the command with such numbers that the formula has a value."""
    said = f"{', '.join(missing)} {'has' if len(missing) == 1 else 'have'} no numbers; give"
    likely = [[MATRICES[0] if name[0].isupper() else text for name in missing] for text in SMALL]
    others = itertools.product((*SMALL, *MATRICES), repeat=len(missing))
    for texts in (*likely, *itertools.islice(others, TRIES)):
        numbers = [f"{name}={text}" for name, text in zip(missing, texts, strict=True)]
        with suppress(ArithmeticError, TypeError, ValueError):
            if np.isfinite(evaluate({**given, **point_of(numbers)})).all():
                return f"{said} some, as in\n  {line_of([*line, *numbers])}"
    return f"{said} some, such as {missing[0]}=0.5, {missing[0]}=1,2,3 or {missing[0]}=1,2;3,4"


def require_unused(name: str | None, names: Iterable[str]) -> None:
    """ValueError for a name of the value, ``--name``, that is one of the formula's own."""
    if name in (taken := [*names]):
        said = f"--name: {name} is a name of the formula, whose names are {', '.join(taken)}"
        raise ValueError(f"{said}; take another")


def require_names(given: Iterable[str], names: Sequence[str]) -> None:
    """ValueError for what is given and not among the names of the formula."""
    for name in given:
        if name not in names:
            raise ValueError(f"{name} does not occur in the formula; {did_you_mean(name, names)}")


def _numbers_in(name: str, text: str) -> Any:
    if text.strip().startswith("["):
        with suppress(ArithmeticError, ValueError):
            array = parse(text)()
            if np.isfinite(array).all():
                return array
        raise ValueError(f"{name}: expected rows of one length such as [[1, 2], [3, pi/4]], got {text}")
    rows = [[_number(name, x) for x in row.rstrip(", ").split(",")] for row in text.rstrip("; ").split(";")]
    if ";" in text:
        if len({len(row) for row in rows}) > 1:
            raise ValueError(f"the rows of {name} must have one length, got {text}")
        return np.array(rows)
    return np.array(rows[0]) if "," in text else rows[0][0]


def _number(name: str, text: str) -> float:
    """A number, or a formula of numbers such as 1/3."""
    number: Any = None
    with suppress(ArithmeticError, ValueError):
        number = parse(text)()
    if not isinstance(number, float) or not math.isfinite(number):
        raise ValueError(
            f"{name}: expected finite numbers such as -0.5, 1e-3 or pi/4, got {text.strip() or 'nothing'}"
        )
    return number


def function_of(names: Sequence[str], evaluate: Callable[[Point], Any]) -> Callable[..., Any]:
    """``evaluate``, which takes a mapping, as a function ``f`` with parameters of these names."""

    def f(*args: Any, **named: Any) -> Any:
        return evaluate({**dict(zip(names, args, strict=False)), **named})

    return with_parameters(f, names)


class LetFormula:
    """A formula in which some names stand for formulas of their own, ``lets``.

    ``names`` are those that are left to be given, ``e`` and ``pi`` only if they are among ``given``.

    >>> LetFormula("2*S", {"S": parse("x + y")}).evaluate({"x": 1.0, "y": 2.0})
    6.0
    """

    def __init__(self, text: str, lets: Mapping[str, Expression], given: Iterable[str] = ()) -> None:
        self.expression = parse(text).reading({*lets, *given})
        self.lets = lets
        self.given = set(given)
        self.names = tuple(dict.fromkeys(self._free(self.expression, ())))

    def _free(self, expression: Expression, within: tuple[str, ...]) -> Iterator[str]:
        for name in (*expression.names, *expression.constants):
            if name in within:
                raise ValueError(f"--let: {name} is defined by itself")
            if name in self.lets:
                yield from self._free(self.lets[name], (*within, name))
            elif name in expression.names or name in self.given:
                yield name

    def evaluate(self, names: Point) -> Any:
        return self.expression.evaluate(self.completed(names))

    def completed(self, names: Mapping[str, Any]) -> Point:
        """The names with those of ``lets`` that the formula needs."""
        return self._known(self.expression, names)

    def _known(self, expression: Expression, names: Mapping[str, Any]) -> Point:
        known = dict(names)
        for name in (*expression.names, *expression.constants):
            if name in self.lets:
                known[name] = named(self.lets[name].evaluate(self._known(self.lets[name], names)), name)
        return known


def has_name(text: str) -> bool:
    """Whether it is an assignment, and no formula.

    >>> has_name("x=0.5"), has_name("(i == j) - S[j]"), has_name("x==y")
    (True, False, False)
    """
    name, equals, value = text.partition("=")
    return bool(equals) and name.strip().isidentifier() and not value.startswith("=")
