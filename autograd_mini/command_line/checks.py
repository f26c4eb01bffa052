"""``check``: a derivative that is a formula, held against engine and witnesses."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from autograd_mini.check import (
    AGREES,
    DISAGREES,
    DOMAINS,
    INCONCLUSIVE,
    Formula,
    as_json,
    check_gradient,
    check_jacobian,
)
from autograd_mini.command_line.arguments import (
    LetFormula,
    Point,
    function_of,
    has_name,
    pairs,
    point_of,
    require_names,
    require_unused,
    wanting,
)
from autograd_mini.expressions import INDICES, ExpressionError, parse
from autograd_mini.expressions.vocabulary import unknown_name

STATUS: dict[str, int] = {AGREES: 0, DISAGREES: 1, INCONCLUSIVE: 3}
DRAWS = 100


def check(options: argparse.Namespace) -> int:
    told = [*filter(None, [options.hand]), *options.names]
    hands = [text for text in told if not has_name(text)]
    if not hands and os.path.exists(options.formula):
        raise ValueError(f"{options.formula}: a file to check ends in .py or .ipynb")
    if not hands:
        raise ValueError('DERIVATIVE is required, as in: autograd-mini check "x**2" "2*x"')
    lets = {
        name: parse(text)
        for name, text in pairs(options.let, 'a name with its formula such as S="softmax(z)"').items()
    }
    given, domain = point_of(filter(has_name, told)), _domains(options.domain)
    wanted = [name.strip() for name in options.wrt.split(",")] if options.wrt else []
    named = {*given, *domain, *wanted}
    formula = LetFormula(options.formula, lets, named)
    known = [*formula.names, *filter(None, [options.name])]
    derivatives = [LetFormula(text, lets, named.union(known)) for text in hands]
    require_unused(options.name, formula.names)
    if twice := set(lets) & {*given, *domain}:
        raise ValueError(f"{min(twice)} is given twice, as a formula by --let and as numbers")
    require_names((*given, *domain), formula.names)
    wrt = _variables(formula.names, wanted, hands)
    for derivative in derivatives:
        for name in derivative.names:
            if name not in known and name not in INDICES:
                said = f"the derivative: {unknown_name(name, known)}"
                hint = f"; the formula's value is called {name} by --name {name}, a part by --let {name}=PART"
                hint *= "has no value" in said and said[-1] != "?"
                raise ValueError(said + hint)
    point, value = _point(formula, given, domain, options)
    compare = check_jacobian if np.shape(value) else check_gradient
    forms = (Formula(text, hand.completed) for text, hand in zip(hands, derivatives, strict=True))
    report = compare(
        function_of(formula.names, formula.evaluate),
        dict(zip(wrt, forms, strict=True)),
        at=point,
        wrt=wrt,
        out=options.name,
        seed=options.seed,
        domain=domain or None,
        symbolic=options.symbolic,
        **({} if options.points is None else {"points": options.points}),
    )
    drawn = {name: x for name, x in point.items() if name not in given}
    if options.json:
        print(json.dumps(as_json({**report.to_dict(), "at": point, "drawn": list(drawn)}), allow_nan=False))
    else:
        print(report)
        if drawn:
            numbers = ", ".join(f"{name}={x:.6g}" for name, x in drawn.items())
            print(f"not given, and drawn for the point called given: {numbers}")
    return STATUS[report.verdict]


def _variables(names: Sequence[str], wrt: Sequence[str], hands: Sequence[str]) -> list[str]:
    """The names that the derivatives are with respect to, one each."""
    if not names:
        raise ValueError("a formula without names has no derivative")
    wrt = [*(wrt or names[: len(names) == 1])]
    unknown = [name for name in wrt if name not in names]
    if unknown or not wrt:
        got = f"{unknown[0]} does not occur in the formula" if unknown else "it is missing"
        raise ValueError(f"--wrt: {got}; by which of {', '.join(names)}? As in --wrt {names[0]}")
    if len(set(wrt)) < len(wrt):
        raise ValueError(f"--wrt names one twice: {', '.join(wrt)}")
    if len(wrt) != len(hands):
        raise ValueError(
            f"--wrt names {', '.join(wrt)}: give one DERIVATIVE for each, in this order, got {len(hands)}: "
            f"{', '.join(hands)}"
        )
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


def _point(
    formula: LetFormula, given: Point, domain: Mapping[str, Any], options: argparse.Namespace
) -> tuple[Point, Any]:
    """The point with numbers drawn for the names that have none, such that the formula has a value there."""
    random = np.random.default_rng(options.seed)
    missing = [name for name in formula.names if name not in given]
    for _ in range(DRAWS):
        point = {
            name: given[name] if name in given else _draw(random, domain.get(name)) for name in formula.names
        }
        try:
            value = formula.evaluate(point)
        except ExpressionError as error:  # of arrays, and not of numbers
            if not missing:
                raise
            raise ValueError(wanting(missing, given, formula.evaluate, options.line)) from error
        except (ArithmeticError, ValueError):
            if not missing:
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
