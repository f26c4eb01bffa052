"""``grad``: a formula's value and derivatives; ``rules``: the table that they come from."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from autograd_mini import rules
from autograd_mini.check import as_json
from autograd_mini.command_line.arguments import Point, function_of, point_of, require_numbers, require_unused
from autograd_mini.expressions import Expression, parse
from autograd_mini.labels import subscript
from autograd_mini.program import trace
from autograd_mini.progress import progress
from autograd_mini.transforms import hessian, jacobian, value_and_grad

LARGEST = 10**6  # number of derivatives that one may want to read
Table = list[tuple[str, float]]


def grad(options: argparse.Namespace) -> int:
    if options.source and (options.hessian or options.json):
        raise ValueError("--source prints a function for value and gradient; leave out --hessian and --json")
    formula, point = parse(options.formula), point_of(options.names)
    require_numbers(formula, point, options.line)
    require_unused(options.name, point)
    called = options.name or "f"
    names = _variables(formula, point, options.wrt)
    value = formula.evaluate(point)
    if np.shape(value) and (options.hessian or options.source):
        raise ValueError(f"--hessian and --source are for one number, the formula gives {np.shape(value)}")
    entries = np.size(value) * sum(np.size(point[name]) for name in names)
    if max(entries, entries**2 * options.hessian) > LARGEST:
        raise ValueError(f"more than {LARGEST} derivatives: give fewer numbers, or fewer names in --wrt")
    f = function_of(list(point), formula.evaluate)
    f.__name__ = called
    places = [list(point).index(name) for name in names]
    if options.source:
        print(trace(value_and_grad(f, places), *point.values()).source(options.source))
        return 0
    with progress("the derivatives"):
        result = {"value": value, "gradient": _by_name(names, jacobian(f, places)(*point.values()))}
        if options.hessian:
            rows = hessian(f, places)(*point.values())
            result["hessian"] = _by_name(names, [_by_name(names, row) for row in rows])
    if options.json:
        print(json.dumps(as_json(result), allow_nan=False))
    else:
        table = _table(called, **result)
        width = max(len(name) for name, _ in table)
        print("\n".join(f"{name:<{width}} {number: .{options.precision}g}" for name, number in table))
    return 0


def print_rules(options: argparse.Namespace) -> int:
    print(rules.derivative_table(*options.functions))
    return 0


def _variables(formula: Expression, point: Point, wrt: str | None) -> list[str]:
    """The names to differentiate: by default all that are given."""
    names = [name.strip() for name in wrt.split(",")] if wrt else list(point)
    for name in names:
        if name not in point:
            raise ValueError(f"--wrt: {name} is not given; there are {', '.join(point) or 'no names'}")
    if not names and not formula.names:
        raise ValueError(
            "a formula without names has no derivatives; give the names their numbers, such as x=0.5"
        )
    return names


def _by_name(names: list[str], results: Any) -> dict[str, Any]:
    return dict(zip(names, results, strict=True))


def _table(
    f: str, value: Any, gradient: Mapping[str, Any], hessian: Mapping[str, Any] | None = None
) -> Table:
    """A row for each number: what it is in symbols, and the number."""
    rank = np.ndim(value)
    table: Table = [(subscript(f, index), entry) for index, entry in np.ndenumerate(value)]
    for name, index, partial in _entries(gradient):
        table.append((f"∂{subscript(f, index[:rank])}/∂{subscript(name, index[rank:])}", partial))
    if hessian is not None:  # it is symmetric
        for (x, i, _), (y, j, _) in combinations_with_replacement(list(_entries(gradient)), 2):
            second = np.asarray(hessian[x][y])[i + j]
            table.append((f"∂²{f}/∂{subscript(x, i)}∂{subscript(y, j)}", second))
    return table


def _entries(gradient: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...], float]]:
    for name, partials in gradient.items():
        for index, entry in np.ndenumerate(partials):
            yield name, index, entry
