"""Rolling: flat instructions back into statements on arrays.

Nodes of equal structure become a family, which is an array; an operand is a view of another family. What
comes out is what the instructions compute, term by term: only the order in which sums are added up differs,
so that results agree to n·u·Σ|terms| at each sum of n terms, u = 2⁻⁵³, where nothing overflows on the way
and no comparison lies within its rounding. The sign of a zero is not kept, and x**0.5 is the square
root that NumPy takes for it, nan at −∞; where the text runs as a program, it is not. A value that is cut off
by `detach` is written as it is: the text computes it, and differentiated itself, it follows it.

No product with a term that the program omits is added: a sum over a triangle is a loop over its rows, as
are running sums and products, and steps in time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from autograd_mini.instructions import Listing
from autograd_mini.rolling.families import roll
from autograd_mini.rolling.latex import Latex
from autograd_mini.rolling.loops import looped
from autograd_mini.rolling.names import Names
from autograd_mini.rolling.numpy_text import NumPy, wrapped
from autograd_mini.rolling.running import Batch, Statements
from autograd_mini.rolling.statements import body
from autograd_mini.trees import unflatten

__all__ = ["Batch", "Statements", "roll", "write"]


def write(listing: Listing, language: str) -> str:
    """The listing as source of a function on arrays, in ``"numpy"`` or ``"latex"``.

    ValueError where the function or an argument has the name that NumPy has in the text.
    """
    name, arguments = listing.name, listing.arguments
    if language == "numpy" and "np" in (name, *arguments):
        raise ValueError("source: np is NumPy in this text: call the function or the argument something else")
    shapes = [slot.leaf.shape for slot in listing.inputs]
    names = Names(arguments)
    unpacked: list[str] = []
    inputs: list[str] = []
    for argument, tree in arguments.items():
        for path in _paths(tree):
            inputs.append(argument if not path else names.new(_leaf_name(argument, path)))
            if path:
                unpacked.append(f"{inputs[-1]} = {argument}{''.join(f'[{key!r}]' for key in path)}")
    writer = NumPy(names)
    rolled = body(roll(listing), inputs, names.of_label, writer.length)
    found = looped(rolled, names.is_numbered, lambda term: writer.text(term)[0])
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
    returned_text = _structure(unflatten(listing.results, iter(returned)))
    if returned_text.startswith("(") and len(returned) > 1 and isinstance(listing.results, tuple):
        returned_text = returned_text[1:-1]
    text = [*unpacked, *lines, f"return {returned_text}"]
    definitions = writer.helpers()
    constants = [wrapped(constant, text) for text, constant in writer.constants.items()]
    head = "\n".join(["import numpy as np", *sorted(writer.imports)])
    blocks = ["\n".join([head, *([""] * bool(constants)), *constants]), *definitions]
    shown = ", ".join(f"{inputs[i]} {shape}" if shape else inputs[i] for i, shape in enumerate(shapes))
    document = [f'    """On float arrays: {shown}."""'] if any(shapes) else []
    function = [f"def {name}({', '.join(arguments)}):", *document, *(f"    {line}" for line in text)]
    return "\n\n\n".join([*blocks, "\n".join(function)])


def _listed(names: list[str]) -> str:
    return f"[{', '.join(names)}]" if len(names) > 1 else names[0]


def _paths(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """For each leaf the keys that lead to it."""
    if isinstance(tree, (tuple, list, dict)):
        for key, item in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _paths(item, (*path, key))
    elif tree is not None:
        yield path


def _leaf_name(argument: str, path: tuple[Any, ...]) -> str:
    last = str(path[-1])
    return last if last.isidentifier() else re.sub(r"\W+", "_", "_".join(map(str, (argument, *path))))


def _structure(tree: Any) -> str:
    """The source of a tree whose leaves are source."""
    if isinstance(tree, dict):
        return f"{{{', '.join(f'{key!r}: {_structure(item)}' for key, item in tree.items())}}}"
    if not isinstance(tree, (tuple, list)):
        return str(tree)
    items = ", ".join(map(_structure, tree))
    return f"({items}{',' * (len(tree) == 1)})" if isinstance(tree, tuple) else f"[{items}]"
