"""``check net.py``: the passes that a file or a notebook defines, on numbers that are given or proposed."""

from __future__ import annotations

import argparse
import ast
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from autograd_mini.check import as_json, check_backward
from autograd_mini.check.subjects.arguments import as_array, listed, parameters_of, required
from autograd_mini.check.subjects.binding import Passes
from autograd_mini.check.subjects.passes import function_of
from autograd_mini.command_line.arguments import pairs, point_of
from autograd_mini.command_line.checks import STATUS
from autograd_mini.command_line.proposals import Pair, keys_in, named, pair_of, part_of, point_for
from autograd_mini.definitions import Definitions, definitions_of
from autograd_mini.progress import printing_once, progress
from autograd_mini.trees import map_leaves

SHOWN = 5  # statements that were left out


@printing_once()
def check_file(options: argparse.Namespace) -> int:
    """Check the passes in ``options.formula``, which is a file."""
    path = options.formula.strip()
    found = definitions_of(path)
    note = sys.stderr if options.json else sys.stdout
    print(f"{path}: its definitions were executed" + _left_out(found.left_out), file=note)
    pair = pair_of(found, options.forward, options.backward)
    what = "a name with its numbers such as x=0.5, z=1,2,3, W=randn(4,5) or y=randint(5,3)"
    given = pairs([*options.names, *options.at, *filter(None, [options.hand])], what)
    passes = _Passes(found, pair, options)
    with progress("numbers on which the passes run"):
        texts = passes.point(given)
    points = {} if options.points is None else {"points": options.points}
    forward, backward, at = passes.at(texts)
    report = check_backward(forward, backward, at, **passes.named, seed=options.seed, **points)
    assigned = [f"{name}={text}" for name, text in texts.items()]
    again = shlex.join([path, *str(pair).split(), "--at", *assigned])
    if options.json:
        print(json.dumps(as_json({**report.to_dict(), "at": texts}), allow_nan=False))
    else:
        print(report)
    print(f"again: autograd-mini check {again}", file=note)
    return STATUS[report.verdict]


def _left_out(statements: Sequence[str]) -> str:
    if not statements:
        return ""
    lines = [f"\n  {statement}" for statement in statements[:SHOWN]]
    more = f"\n  and {len(statements) - SHOWN} more" * (len(statements) > SHOWN)
    return f"; left out:{''.join(lines)}{more}"


class _Passes:
    """The two passes of a file, an instance of whose class is made for each point."""

    def __init__(self, found: Definitions, pair: Pair, options: argparse.Namespace) -> None:
        self.found, self.pair, self.seed = found, pair, options.seed
        owners = {name.partition(".")[0] for name in pair if name and "." in name}
        self.owner = named(found, owners.pop()) if owners else None
        loss = named(found, options.loss) if options.loss else None
        wrt = options.wrt.split(",") if options.wrt else None
        gradients = pairs(options.gradient, "a name with that of its gradient such as W=dW")
        self.named: dict[str, Any] = {
            "loss": loss, "wrt": wrt, "out": options.out,
            "gradients": {name: int(x) if x.isdecimal() else x.strip() for name, x in gradients.items()},
        }  # fmt: skip

    def _functions(self, owner: Any) -> tuple[Any, Any]:
        """The passes, of an instance if they are methods."""

        def of(name: str | None) -> Any:
            if name is None or "." not in name:
                return name and named(self.found, name)
            return part_of(self.found, owner, name.partition(".")[2])

        return of(self.pair.forward), of(self.pair.backward)

    def _taken(self, f: Any) -> list[str]:
        """The parameters that have to be given."""
        return [name for name in required(parameters_of(f) or {}) if name not in ("self", "ctx")]

    def point(self, given: Mapping[str, str]) -> dict[str, str]:
        """The numbers in words, those that are not given proposed."""
        ahead, back = self._functions(self.owner)
        made = self._taken(self.owner) if isinstance(self.owner, type) else []
        needed = [*dict.fromkeys([*made, *self._taken(ahead)])]
        functions = [function_of(f) for f in (ahead, back, self.named["loss"]) if f is not None]

        def runs(texts: Mapping[str, str]) -> Exception | None:
            try:
                forward, backward, at = self.at(texts)
                passes = Passes(forward, backward, at, **self.named)
                output = np.asarray(passes.forward(passes.arguments)[0], dtype=float)
            except Exception as error:
                return error
            return None if np.isfinite(output).all() else ValueError("the output is not finite")

        def fits(texts: Mapping[str, str]) -> Exception | None:
            return runs(texts) or (ValueError("a gradient has another size") if self._unlike(texts) else None)

        random = np.random.default_rng(self.seed)
        for name, text in given.items():
            value_of(name, text, random)  # what cannot be read is said before anything is tried
        keys = keys_in(functions)
        point = point_for(needed, keys, given, runs)
        if unlike := [name for name in self._unlike(point) if name in point and name not in given]:
            try:
                other = point_for(needed, keys, given, fits)
            except ValueError:
                return point
            differing = [name for name in point if point[name] != other[name]]
            differing = [name for name in unlike if name in differing] or differing
            raise ValueError(
                f"of {listed(unlike)} the gradient has the wrong shape or a proposed number has: say which "
                f"is meant, --at {_assigned(differing, point)} or --at {_assigned(differing, other)}"
            )
        return point

    def _unlike(self, texts: Mapping[str, str]) -> list[str]:
        """The arguments whose gradients have another size."""
        forward, backward, at = self.at(texts)
        passes = Passes(forward, backward, at, **self.named)
        output, state = passes.forward(passes.arguments)
        cotangent = map_leaves(np.ones_like, output) if passes.seeded else 1.0
        found = passes.backward(state, cotangent, passes.arguments)
        return [name for name, x in found.items() if np.size(x) != np.size(passes.arguments[name])]

    def at(self, texts: Mapping[str, str]) -> tuple[Any, Any, dict[str, Any]]:
        """The passes and the numbers at a point."""
        random = np.random.default_rng(self.seed)
        at = {name: value_of(name, text, random) for name, text in texts.items()}
        if not isinstance(self.owner, type):
            return *self._functions(self.owner), at
        made = {name: at[name] for name in parameters_of(self.owner) or {} if name in at}
        forward, backward = self._functions(self.owner(**made))
        functions = [f for f in (forward, backward, self.named["loss"]) if f is not None]
        taken = {name for f in functions for name in parameters_of(f) or {}}
        return forward, backward, {name: x for name, x in at.items() if name not in made or name in taken}


def _assigned(names: Sequence[str], texts: Mapping[str, str]) -> str:
    return " ".join(f"{name}={texts[name]}" for name in names)


def value_of(name: str, text: str, random: np.random.Generator) -> Any:
    """What a text such as ``1,2;3,4``, ``randn(5,4)``, ``randint(3,5)`` or ``{"W1": randn(4,5)}`` stands for.

    ``randn(…)`` and ``rand(…)`` are of the shape in brackets, as NumPy's; ``randint(high,…)`` are whole
    numbers below the first, and ``onehot(rows,columns)`` are rows of an identity.

    >>> value_of("y", "randint(3,5)", np.random.default_rng(0)).shape, value_of("mode", "'train'", None)
    ((5,), 'train')
    """
    with suppress(SyntaxError, ValueError):
        return as_array(_evaluated(ast.parse(text.strip(), mode="eval").body, random))
    try:
        return point_of([f"{name}={text}"])[name]
    except ValueError:
        if "(" not in text:
            raise
        made = ", ".join(f"{kind}(…)" for kind in MADE)
        raise ValueError(f"{name}: expected numbers such as 1,2;3,4, or {made}, got {text}") from None


def _evaluated(node: ast.expr, random: np.random.Generator) -> Any:
    match node:
        case ast.Dict(keys, values) if None not in keys:
            parts = {ast.literal_eval(k): v for k, v in zip(keys, values, strict=True) if k}
            return {key: as_array(_evaluated(part, random)) for key, part in parts.items()}
        case ast.List(elements) | ast.Tuple(elements):
            return [_evaluated(element, random) for element in elements]
        case ast.Attribute(array, "T"):
            return np.transpose(_evaluated(array, random))
        case ast.Call(ast.Name(kind), arguments, []):
            sizes = [ast.literal_eval(argument) for argument in arguments]
            if kind in MADE and all(isinstance(n, int) and n >= 0 for n in sizes):
                return MADE[kind](random, *sizes)
    return ast.literal_eval(node)


MADE: dict[str, Any] = {
    "randn": lambda random, *shape: random.standard_normal(shape),
    "rand": lambda random, *shape: random.uniform(0.1, 0.9, shape),
    "randint": lambda random, high, *shape: random.integers(high, size=shape),
    "onehot": lambda random, rows, columns: np.eye(columns)[random.integers(columns, size=rows)],
    "zeros": lambda random, *shape: np.zeros(shape),
    "ones": lambda random, *shape: np.ones(shape),
}


def is_file(text: str) -> bool:
    """Whether what is checked is a file of Python or a notebook."""
    return text.strip().endswith((".py", ".ipynb"))
