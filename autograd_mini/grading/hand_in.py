"""The process of one hand-in: it loads what a file defines, says what that is, and answers numbers.

It holds nothing but the hand-in: no loss, no verdict. What the hand-in prints goes nowhere, and `input` is
answered.
"""

from __future__ import annotations

import builtins
import inspect
import os
import re
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import BuiltinFunctionType
from typing import Any

import numpy as np

from autograd_mini.definitions import Missing, definitions_of
from autograd_mini.grading.confinement import confine, private_pipes
from autograd_mini.grading.data import dumps, loads

ANSWER = "1"  # to whatever `input` asks
LONGEST = 2000  # characters of an error
RAISED = r": [A-Z]\w+: "  # in what is said of a statement that was left out: the error that it raised
PASSES, BOUND = "forward and backward", "what is bound to what"  # what is asked of a pair of passes
COTANGENT = "dout"  # of the output of a forward pass
BACKWARDS = {"backward": "forward", "bprop": "fprop", "bwd": "fwd"}  # and the forward pass of each


def main() -> None:
    """Answer questions until nobody asks any more."""
    questions, answers = private_pipes()
    process = os.getpid()
    given = loads(next(questions))
    confine(given["memory"], given["folder"], given["parent"])
    for reply in HandIn(given["path"]).replies(questions):
        if os.getpid() != process:  # a copy of the process, which the hand-in made
            break
        answers.write(reply + b"\n")
        answers.flush()
    os._exit(0)  # threads and exit handlers of the hand-in have no say


class HandIn:
    """What a file defines, by name."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.names: Mapping[str, Any] = {}
        self.passes: Any = None  # classes and functions, and once they are bound `Passes`

    def replies(self, questions: Iterator[bytes]) -> Iterator[bytes]:
        """What there is, once the definitions are loaded, and then an answer to each question."""
        yield self._tried(self._loaded)
        for question in questions:
            yield self._tried(partial(self._answer, question))

    def _tried(self, work: Callable[[], Any]) -> bytes:
        try:
            return dumps({"result": work()})
        except BaseException as error:
            return dumps({"error": failure(error, self.path)[:LONGEST]})

    def _loaded(self) -> dict[str, Any]:
        builtins.input = lambda prompt="": ANSWER
        found = definitions_of(self.path)
        self.names = names = found.names
        steps = names.get("steps", {})
        if not isinstance(steps, Mapping):
            raise TypeError("steps must be a mapping from names to functions")
        self.passes = _passes([names[name] for name in found.own if name in names])
        return {
            "functions": {
                name: _asks(x)
                for name, x in names.items()
                if callable(x) and not isinstance(x, (BuiltinFunctionType, Missing, np.ufunc, type))
            },
            "numbers": {name: x for name, x in names.items() if name[:2] == "d_" and not callable(x)},
            "steps": _steps(steps),
            "passes": _takes(self.passes) if self.passes else None,
            "left_out": [said for said in found.left_out if re.search(RAISED, said)],
        }

    def _answer(self, question: bytes) -> Any:
        of, arguments = loads(question)
        if of == PASSES:
            return self._gradients(arguments)
        if of == BOUND:
            return [*self.passes.bound]
        function = self.names[of] if isinstance(of, str) else [*self.names["steps"].values()][of]
        bound = inspect.BoundArguments(inspect.signature(function), OrderedDict(arguments))
        return function(*bound.args, **bound.kwargs)

    def _gradients(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """What the backward pass gives, bound at the first point for which it is asked."""
        from autograd_mini.check.subjects.binding import Passes

        cotangent = arguments.pop(COTANGENT, 1.0)
        if isinstance(self.passes, dict):
            takes = _takes(self.passes)
            at = {name: x for name, x in arguments.items() if name in takes or not isinstance(x, int)}
            self.passes = Passes(**self.passes, at=at)  # without a size that nobody takes
        passes = self.passes
        short = {name: re.findall(r"\w+", name)[-1] for name in passes.arguments}  # of params['W'] it is W
        own = {name: arguments[x] for name, x in short.items() if x in arguments}
        _, state = passes.forward(own)
        found = passes.backward(state, cotangent, own)
        return {
            short[name]: (own[name] - x) / passes.rates[name] if name in passes.rates else x
            for name, x in found.items()
            if name in own
        }


def _passes(own: Sequence[Any]) -> dict[str, Any]:
    """The last class with a backward pass, or two functions, or one that gives a loss and its gradients."""
    layers = [x for x in own if isinstance(x, type) and any(hasattr(x, word) for word in BACKWARDS)]
    if layers:
        return {"forward": layers[-1]}
    by_name = {x.__name__: x for x in own if not isinstance(x, type)}
    pairs = [
        {"forward": by_name[other], "backward": by_name[name]}
        for name in by_name
        for word, forward in BACKWARDS.items()
        if word in name and (other := name.replace(word, forward)) in by_name
    ]
    losses = [{"forward": by_name[name]} for name in by_name if "loss" in name or "cost" in name]
    return [{}, *losses, *pairs][-1]


def _takes(passes: Mapping[str, Any]) -> dict[str, bool]:
    """What a forward pass must be given by name, and a class for its instance."""
    forward = passes.get("forward")
    if not isinstance(forward, type):
        return _asks(forward)
    word = next((word for word in BACKWARDS.values() if hasattr(forward, word)), "__init__")
    _, *others = (_asks(getattr(forward, word)) or {"self": True}).items()
    return {**_asks(forward), **dict(others)}


def failure(error: BaseException, path: str) -> str:
    """The error in one line, with the line of the file where it arose."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename.startswith(path)]  # or the cell of a notebook
    if isinstance(error, SyntaxError) and (error.filename or "").startswith(path):
        lines = [error.lineno]
    at = f"line {lines[-1]}: " if lines else ""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{at}{type(error).__name__}{f': {text}' if text else ''}".partition("\n")[0]


def _asks(function: Any) -> dict[str, bool]:
    """The names of a function's parameters, and whether each must be given; none if it does not tell."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return {}
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {p.name: p.default is inspect.Parameter.empty for p in parameters if p.kind not in variable}


def _steps(steps: Mapping[Any, Any]) -> dict[Any, Any]:
    """For each step what it asks for, if it is a function, else what it is."""
    return {key: {"asks": _asks(x)} if callable(x) else {"form": x} for key, x in steps.items()}
