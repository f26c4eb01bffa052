"""Functions written for PyTorch or JAX: run on floats, in double precision, and judged by differences alone.

The engine cannot follow them, as tensors hold no Values. Neither framework is imported: who has a function
for one of them has imported it.
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

FRAMEWORKS = {"torch": "PyTorch", "jax": "JAX"}


class Runner:
    """``f`` on floats or on Values; on tensors where it takes nothing else, with floats as the result."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self.f = f
        self.framework = ""  # whose tensors f gives
        self.on_tensors = False  # and takes nothing else

    def __call__(self, *args: Any, **named: Any) -> Any:
        loaded = sys.modules.keys() & FRAMEWORKS.keys()
        if not loaded or holds_values((args, named)):
            if self.framework:
                raise TypeError(
                    f"f is written for {FRAMEWORKS[self.framework]}, whose tensors hold no Values"
                )
            return follow(self.f, *args, **named)
        with _double():
            try:
                return self._run(self.framework if self.on_tensors else "", args, named)
            except (AttributeError, TypeError) as error:
                failure: Exception | None = None
                for framework in () if self.framework else loaded:
                    try:
                        result = self._run(framework, args, named)
                    except Exception as on_tensors:
                        failure = on_tensors
                    else:
                        self.framework, self.on_tensors = framework, True
                        return result
                raise error from failure

    def _run(self, framework: str, args: Any, named: Any) -> Any:
        """The result on numbers, or on a framework's tensors."""
        if framework:
            args, named = map_leaves(_tensor_of(framework), (args, named))
        return map_leaves(self._floats, self.f(*args, **named))

    def _floats(self, leaf: Any) -> Any:
        self.framework = _framework_of(leaf) or self.framework
        return floats(leaf)


def floats(leaf: Any) -> Any:
    """A tensor as an array, without its gradient; anything else stays."""
    framework = _framework_of(leaf)
    return np.asarray(leaf.detach().cpu() if framework == "torch" else leaf) if framework else leaf


def _framework_of(leaf: Any) -> str:
    framework = type(leaf).__module__.partition(".")[0].removesuffix("lib")
    return framework if framework in FRAMEWORKS and hasattr(leaf, "shape") else ""


def _tensor_of(framework: str) -> Callable[[Any], Any]:
    """What makes a tensor of a float or an array of numbers; anything else stays."""
    make = sys.modules["torch"].tensor if framework == "torch" else sys.modules["jax"].numpy.asarray
    double = sys.modules[framework].float64 if framework == "torch" else None

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
