"""Instructions written out as source that a person reads: Python, JavaScript or C."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autograd_mini.instructions import Instructions
from autograd_mini.source.c import C
from autograd_mini.source.javascript import JavaScript
from autograd_mini.source.language import Language, Pattern
from autograd_mini.source.python import Python

__all__ = ["Pattern", "compile_floats", "write"]


def write(
    code: Instructions,
    language: str,
    name: str,
    arguments: Mapping[str, Pattern],
    results: Pattern,
    labels: Mapping[int, str],
    reverse: int,
    precision: str = "double",
) -> str:
    """The instructions as source of a function ``name`` in ``"python"``, ``"javascript"`` or ``"c"``.

    ``arguments`` and ``results`` are nested lists, tuples and dicts of slot numbers and None.
    ``labels`` gives slots their names, and a blank line stands before the first statement that belongs
    to an instruction from ``reverse`` on. The Python text is for floats: it raises where `math` does
    (``log(0.0)``, ``1.0 / 0.0``); JavaScript and C follow IEEE 754. In C, everything but a scalar
    argument is a flat array, the result too, ``precision`` is ``"double"`` or ``"float"``, and the text
    is also valid CUDA.

    >>> import numpy as np
    >>> from autograd_mini.rules import table
    >>> square_of_difference = Instructions(
    ...     2, (), (table["sub"], table["mul"]), np.int32([0, 1]), np.int32([[0, 1], [2, 2]]), np.int32([3])
    ... )
    >>> print(write(square_of_difference, "python", "loss", {"x": [0, 1]}, 3, {2: "error"}, 2))
    def loss(x):
        x0, x1 = x
        error = x0 - x1
        return error * error

    Raises ValueError for another language or precision.
    """
    if language not in ("python", "javascript", "c"):
        raise ValueError(
            f'source: the language is "python", "numpy", "latex", "javascript" or "c", got {language!r}'
        )
    if precision not in ("double", "float"):
        raise ValueError(f'source: the precision is "double" or "float", got {precision!r}')
    writers: dict[str, Language] = {"python": Python(), "javascript": JavaScript(), "c": C(precision)}
    writer = writers[language]
    return writer.write(code, name, arguments, results, labels, reverse)


def compile_floats(code: Instructions) -> Callable[[Sequence[float]], tuple[float, ...]]:
    """The instructions as one Python function of the flat inputs.

    It computes with `math` on floats and raises ArithmeticError or ValueError where `math` does.

    >>> import numpy as np
    >>> from autograd_mini.rules import table
    >>> code = Instructions(
    ...     2, (), (table["hypot"],), np.int32([0]), np.int32([[0, 1]]), np.int32([2])
    ... )
    >>> compile_floats(code)([3.0, 4.0])
    (5.0,)
    """
    writer = Python(expand=True)
    inputs: list[Pattern] = list(range(code.inputs))
    results: tuple[Pattern, ...] = tuple(code.outputs.tolist())
    source = writer.write(code, "function", {"inputs": inputs}, results, {}, len(code))
    namespace: dict[str, Any] = {}
    exec(compile(source, "<autograd_mini source>", "exec"), namespace)
    function: Callable[[Sequence[float]], tuple[float, ...]] = namespace["function"]
    return function
