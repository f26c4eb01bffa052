"""Functions written for PyTorch or JAX: run on floats, in double precision, and judged by differences alone.

The engine cannot follow them, as tensors hold no Values. Neither library is imported: who has a function for
one of them has imported it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from autograd_mini.arrays import holds_values
from autograd_mini.rebuilding import follow
from autograd_mini.trees import map_leaves

LIBRARIES = {"torch": "PyTorch", "jax": "JAX"}


class Runner:
    """``f`` on floats or on Values; on tensors where it takes nothing else, with floats as the result."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self.f = f
        self.library = ""  # whose tensors f gives
        self.on_tensors = False  # and takes nothing else

    def __call__(self, *args: Any, **named: Any) -> Any:
        loaded = sys.modules.keys() & LIBRARIES.keys()
        if not loaded or holds_values((args, named)):
            if self.library:
                raise TypeError(f"f is written for {LIBRARIES[self.library]}, whose tensors hold no Values")
            return follow(self.f, *args, **named)
        with _double():
            try:
                return self._run(self.library if self.on_tensors else "", args, named)
            except (AttributeError, TypeError) as error:
                failure: Exception | None = None
                for library in () if self.library else loaded:
                    try:
                        result = self._run(library, args, named)
                    except Exception as on_tensors:
                        failure = on_tensors
                    else:
                        self.library, self.on_tensors = library, True
                        return result
                raise error from failure

    def _run(self, library: str, args: Any, named: Any) -> Any:
        """The result on numbers, or on a library's tensors."""
        if library:
            args, named = map_leaves(_tensor_of(library), (args, named))
        return map_leaves(self._floats, self.f(*args, **named))

    def _floats(self, leaf: Any) -> Any:
        self.library = _library_of(leaf) or self.library
        return floats(leaf)


def floats(leaf: Any) -> Any:
    """A tensor as an array, without its gradient; anything else stays."""
    library = _library_of(leaf)
    return np.asarray(leaf.detach().cpu() if library == "torch" else leaf) if library else leaf


def _library_of(leaf: Any) -> str:
    library = type(leaf).__module__.partition(".")[0].removesuffix("lib")
    return library if library in LIBRARIES and hasattr(leaf, "shape") else ""


def _tensor_of(library: str) -> Callable[[Any], Any]:
    """What makes a tensor of a float or an array of numbers; anything else stays."""
    make = sys.modules["torch"].tensor if library == "torch" else sys.modules["jax"].numpy.asarray
    double = sys.modules[library].float64 if library == "torch" else None

    def tensor(leaf: Any) -> Any:
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "biuf":
            return make(leaf)
        return make(leaf, dtype=double) if isinstance(leaf, (float, np.floating)) else leaf

    return tensor


def _double() -> AbstractContextManager[Any]:
    """JAX computes in single precision unless it is told otherwise, and differences need more."""
    jax = sys.modules.get("jax")
    if jax is None:
        return nullcontext()
    context: AbstractContextManager[Any] = (
        jax.enable_x64(True) if hasattr(jax, "enable_x64") else sys.modules["jax.experimental"].enable_x64()
    )
    return context
