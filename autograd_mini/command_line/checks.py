"""``check``: a derivative that is a formula, held against engine and witnesses."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from autograd_mini.check import (
    AGREES,
    DISAGREES,
    DOMAINS,
    INCONCLUSIVE,
    Formula,
    check_gradient,
    check_jacobian,
)
from autograd_mini.command_line.arguments import (
    LetFormula,
    Point,
    function_of,
    pairs,
    plain,
    point_of,
    require_names,
)
from autograd_mini.expressions import INDICES, ExpressionError, parse
from autograd_mini.expressions.vocabulary import unknown_name

STATUS: dict[str, int] = {AGREES: 0, DISAGREES: 1, INCONCLUSIVE: 3}
DRAWS = 100


def check(options: argparse.Namespace) -> int:
    if options.hand is None:
        raise ValueError("DERIVATIVE is required; a file of passes ends in .py or .ipynb, and exists")
    lets = {
        name: parse(text)
        for name, text in pairs(options.let, 'a name with its formula such as S="softmax(z)"').items()
    }
    given, domain = point_of(options.names), _domains(options.domain)
    formula, hand = (
        LetFormula(text, lets, {*given, *domain, options.wrt or ""})
        for text in (options.formula, options.hand)
    )
    if twice := set(lets) & {*given, *domain}:
        raise ValueError(f"{min(twice)} is given twice, as a formula by --let and as numbers")
    require_names((*given, *domain), formula.names)
    point, value = _point(formula, given, domain, options.seed)
    wrt = _variable(formula.names, options.wrt)
    for name in hand.names:
        if name not in formula.names and name not in INDICES:
            raise ValueError(f"the derivative: {unknown_name(name, formula.names)}")
    compare = check_jacobian if np.shape(value) else check_gradient
    report = compare(
        function_of(formula.names, formula.evaluate),
        {wrt: Formula(options.hand, hand.completed)},
        at=point,
        wrt=wrt,
        seed=options.seed,
        domain=domain or None,
        symbolic=options.symbolic,
        **({} if options.points is None else {"points": options.points}),
    )
    drawn = {name: x for name, x in point.items() if name not in given}
    if options.json:
        print(json.dumps(plain({**report.to_dict(), "at": point, "drawn": list(drawn)}), allow_nan=False))
    else:
        print(report)
        if drawn:
            numbers = ", ".join(f"{name}={x:.6g}" for name, x in drawn.items())
            print(f"not given, and drawn at random: {numbers}")
    return STATUS[report.verdict]


def _variable(names: Iterable[str], wrt: str | None) -> str:
    names = list(names)
    if not names:
        raise ValueError("a formula without names has no derivative")
    if wrt is None and len(names) == 1:
        return names[0]
    if wrt not in names:
        got = "--wrt is missing" if wrt is None else f"--wrt: {wrt} does not occur in the formula"
        raise ValueError(f"{got}; its names are {', '.join(names) or 'none'}")
    return wrt


def _domains(texts: Iterable[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, text in pairs(texts, "a name with its domain such as x=positive or x=0,1").items():
        if text.strip() in DOMAINS:
            found[name] = text.strip()
            continue
        if "," not in text:
            raise ValueError(f"--domain: expected low,high or one of {', '.join(DOMAINS)}, got {text}")
        bounds = np.atleast_1d(point_of([f"{name}={text}"])[name])
        if bounds.shape != (2,) or not bounds[0] < bounds[1]:
            raise ValueError(f"--domain: an interval is written {name}=low,high, got {name}={text}")
        found[name] = tuple(bounds.tolist())
    return found


def _point(formula: LetFormula, given: Point, domain: Mapping[str, Any], seed: int) -> tuple[Point, Any]:
    """The point with numbers drawn for the names that have none, such that the formula has a value there."""
    random = np.random.default_rng(seed)
    for _ in range(DRAWS):
        point = {
            name: given[name] if name in given else _draw(random, domain.get(name)) for name in formula.names
        }
        try:
            value = formula.evaluate(point)
        except ExpressionError:
            raise
        except (ArithmeticError, ValueError):
            if set(formula.names) <= set(given):
                raise
            continue
        if np.isfinite(value).all():
            return point, value
    raise ValueError(f"the formula has no value at {DRAWS} random points; give one, such as x=0.5")


def _draw(random: np.random.Generator, domain: Any) -> float:
    if isinstance(domain, tuple):
        return float(random.uniform(*domain))
    if domain in (None, "real", "positive"):
        x = float(random.uniform(-2.0, 2.0))
        return float(np.exp(x)) if domain == "positive" else x
    raise ValueError(f"--domain: of a vector in the {domain} give the numbers, such as p=0.2,0.8")
