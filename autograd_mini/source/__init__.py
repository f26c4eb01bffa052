"""Instructions written out as source that a person reads: Python, JavaScript or C."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from autograd_mini.instructions import Instructions, Leaf, Listing
from autograd_mini.source.c import C
from autograd_mini.source.javascript import JavaScript
from autograd_mini.source.language import Language
from autograd_mini.source.python import Python

__all__ = ["compile_floats", "write"]


def write(listing: Listing, language: str, precision: str = "double") -> str:
    """The listing as source of a function in ``"python"``, ``"javascript"`` or ``"c"``.

    A blank line stands before the first statement that depends on a derivative. The Python text is for
    floats: it raises where `math` does (``log(0.0)``, ``1.0 / 0.0``); JavaScript and C follow IEEE 754. In
    C, everything but a scalar argument is a flat array, the result too, ``precision`` is ``"double"`` or
    ``"float"``, and the text is also valid CUDA.

    >>> import numpy as np
    >>> from autograd_mini.rules import table
    >>> square_of_difference = Instructions(
    ...     2, (), (table["sub"], table["mul"]), np.int32([0, 1]), np.int32([[0, 1], [2, 2]]), np.int32([3])
    ... )
    >>> arguments, result = {"x": Leaf((2,))}, Leaf(())
    >>> print(write(Listing("loss", arguments, result, square_of_difference, {2: "error"}, 2), "python"))
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
    return writer.write(listing)


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
    results = (Leaf(()),) * len(code.outputs)
    listing = Listing("function", {"inputs": Leaf((code.inputs,))}, results, code, {}, len(code))
    source = Python(expand=True).write(listing)
    namespace: dict[str, Any] = {}
    exec(compile(source, "<autograd_mini source>", "exec"), namespace)
    function: Callable[[Sequence[float]], tuple[float, ...]] = namespace["function"]
    return function
