"""Rolling: flat instructions back into statements on arrays.

Nodes of equal structure become a family, which is an array; an operand is a view of another family. What
comes out is what the instructions compute, term by term: only the order in which sums are added up differs,
so that results agree to n·u·Σ|terms| at each sum of n terms, u = 2⁻⁵³, where nothing overflows on the way
and no comparison lies within its rounding. The sign of a zero is not kept, and x**0.5 is the square
root that NumPy takes for it, nan at −∞.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from autograd_mini.instructions import Instructions
from autograd_mini.rolling.families import roll
from autograd_mini.rolling.latex import Latex
from autograd_mini.rolling.names import Names
from autograd_mini.rolling.numpy_text import NumPy, wrapped
from autograd_mini.rolling.statements import listing

__all__ = ["roll", "write"]

Shape: TypeAlias = "tuple[int, ...]"
Pattern: TypeAlias = "int | Sequence[Pattern] | Mapping[Any, Pattern] | None"  # leaves by their numbers


def write(
    code: Instructions,
    language: str,
    name: str,
    arguments: Mapping[str, Pattern],
    shapes: Sequence[Shape],
    results: Pattern,
    result_shapes: Sequence[Shape],
    labels: Mapping[int, str],
) -> str:
    """The instructions as source of a function on arrays, in ``"numpy"`` or ``"latex"``.

    ``arguments`` and ``results`` are nested lists, tuples and dicts of numbers, those of leaves of the
    ``shapes``.
    """
    names = Names(arguments)
    unpacked: list[str] = []
    inputs: dict[int, str] = {}
    for argument, pattern in arguments.items():
        for path, number in _leaves(pattern):
            inputs[number] = argument if not path else names.new(_leaf_name(argument, path))
            if path:
                unpacked.append(f"{inputs[number]} = {argument}{''.join(f'[{key!r}]' for key in path)}")
    writer = NumPy(names)
    rolled = roll(code, shapes, result_shapes, labels)
    found = listing(rolled, [inputs[i] for i in range(len(shapes))], names.of_label, writer.length)
    if language == "latex":
        latex = Latex(names)
        given = ", ".join(latex.symbol(inputs[i]) for i in range(len(shapes)))
        word = name.replace("_", r"\_")
        return latex.document(found, rf"\operatorname{{{word}}}({given})")
    lines = [line for statement in found.statements for line in writer.statement(statement)]
    returned = [writer.aligned(term, tuple(sorted(term.axes)))[0] for term in found.outputs]
    scalars = [inputs[i] for i, shape in enumerate(shapes) if not shape]
    if scalars and re.search(
        r" / |\*\*", " ".join([*lines, *returned])
    ):  # IEEE arithmetic, which Python's is not
        unpacked.append(f"{', '.join(scalars)} = 1.0 * np.array({_listed(scalars)})")
    returned_text = _structure(results, returned.__getitem__)
    if returned_text.startswith("(") and len(returned) > 1 and isinstance(results, tuple):
        returned_text = returned_text[1:-1]
    body = [*unpacked, *lines, f"return {returned_text}"]
    definitions = writer.helpers()
    constants = [wrapped(f"{constant} = {text}") for text, constant in writer.constants.items()]
    head = "\n".join(["import numpy as np", *sorted(writer.imports)])
    blocks = ["\n".join([head, *([""] * bool(constants)), *constants]), *definitions]
    shown = ", ".join(f"{inputs[i]} {shape}" if shape else inputs[i] for i, shape in enumerate(shapes))
    document = [f'    """On float arrays: {shown}."""'] if any(shapes) else []
    function = [f"def {name}({', '.join(arguments)}):", *document, *(f"    {line}" for line in body)]
    return "\n\n\n".join([*blocks, "\n".join(function)])


def _listed(names: list[str]) -> str:
    return f"[{', '.join(names)}]" if len(names) > 1 else names[0]


def _leaves(pattern: Pattern, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], int]]:
    """The numbers in a pattern with the keys that lead to them."""
    if isinstance(pattern, int):
        yield path, pattern
    elif pattern is not None:
        items = pattern.items() if isinstance(pattern, Mapping) else enumerate(pattern)
        for key, item in items:
            yield from _leaves(item, (*path, key))


def _leaf_name(argument: str, path: tuple[Any, ...]) -> str:
    last = str(path[-1])
    return last if last.isidentifier() else re.sub(r"\W+", "_", "_".join(map(str, (argument, *path))))


def _structure(pattern: Pattern, leaf: Callable[[int], str]) -> str:
    if isinstance(pattern, int):
        return leaf(pattern)
    if pattern is None:
        return "None"
    if isinstance(pattern, Mapping):
        return f"{{{', '.join(f'{key!r}: {_structure(item, leaf)}' for key, item in pattern.items())}}}"
    items = ", ".join(_structure(item, leaf) for item in pattern)
    return f"({items}{',' * (len(pattern) == 1)})" if isinstance(pattern, tuple) else f"[{items}]"
