"""The process of one hand-in: it is given a source, runs it, says what it defines, and answers numbers.

It holds nothing but the hand-in: no loss, no verdict. What the hand-in prints goes nowhere, `input` is
answered, and a module that is not installed is a stub, which is named if it is needed.
"""

from __future__ import annotations

import ast
import builtins
import importlib.util
import inspect
import os
import sys
import traceback
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import accumulate
from types import BuiltinFunctionType, ModuleType
from typing import Any

import numpy as np

from autograd_mini.grading.confinement import confine, private_pipes
from autograd_mini.grading.data import dumps, loads

ANSWER = "1"  # to whatever `input` asks
LONGEST = 2000  # characters of an error


def main() -> None:
    """Answer questions until nobody asks any more."""
    questions, answers = private_pipes()
    process = os.getpid()
    given = loads(next(questions))
    confine(given["memory"], given["folder"], given["parent"])
    for reply in HandIn(given["path"]).replies(given["source"], questions):
        if os.getpid() != process:  # a copy of the process, which the hand-in made
            break
        answers.write(reply + b"\n")
        answers.flush()
    os._exit(0)  # threads and exit handlers of the hand-in have no say


class HandIn:
    """What a file defines, by name; ``missing`` are modules that it imports and that are not installed."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.names: dict[str, Any] = {"__name__": "hand_in", "__file__": path}

    def replies(self, source: str, questions: Iterator[bytes]) -> Iterator[bytes]:
        """What there is, once the source has run, and then an answer to each question."""
        yield self._tried(partial(self._loaded, source))
        for question in questions:
            yield self._tried(partial(self._answer, question))

    def _tried(self, work: Callable[[], Any]) -> bytes:
        try:
            return dumps({"result": work()})
        except BaseException as error:
            return dumps({"error": failure(error, self.path)[:LONGEST]})

    def _loaded(self, source: str) -> dict[str, Any]:
        builtins.input = lambda prompt="": ANSWER
        sys.path.append(os.path.dirname(self.path))
        tree = ast.parse(source, self.path)
        absent = [name for name in imported(tree) if importlib.util.find_spec(name.partition(".")[0]) is None]
        for name in absent:
            sys.modules.update(
                {prefix: Stub(prefix) for prefix in accumulate(name.split("."), "{}.{}".format)}
            )
        exec(compile(tree, self.path, "exec"), self.names)
        steps = self.names.get("steps", {})
        if not isinstance(steps, Mapping):
            raise TypeError("steps must be a mapping from names to functions")
        return {
            "functions": {name: _asks(x) for name, x in self.names.items() if _is_function(x)},
            "numbers": {
                x: self.names[x] for x in self.names if x[:2] == "d_" and not callable(self.names[x])
            },
            "steps": _steps(steps),
            "missing": sorted({name.partition(".")[0] for name in absent}),
        }

    def _answer(self, question: bytes) -> Any:
        of, arguments = loads(question)
        function = self.names[of] if isinstance(of, str) else [*self.names["steps"].values()][of]
        bound = inspect.BoundArguments(inspect.signature(function), OrderedDict(arguments))
        return function(*bound.args, **bound.kwargs)


class Stub(ModuleType):
    """In the place of a module that is not installed: whatever is asked of it is a stub as well."""

    def __init__(self, name: str, *of_a_class: Any) -> None:
        super().__init__(name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Stub(f"{self.__name__}.{name}")

    def __call__(self, *args: Any, **named: Any) -> Any:
        if len(args) == 1 and callable(args[0]) and not named:  # a decorator
            return args[0]
        return self


def imported(tree: ast.AST) -> Iterator[str]:
    """The modules that a source imports, but for those in a ``try``, which has its own answer."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
        elif not isinstance(node, ast.Try):
            yield from imported(node)


def failure(error: BaseException, path: str) -> str:
    """The error in one line, with the line of the file where it arose."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    if isinstance(error, SyntaxError) and error.filename == path:
        lines = [error.lineno]
    at = f"line {lines[-1]}: " if lines else ""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{at}{type(error).__name__}{f': {text}' if text else ''}".partition("\n")[0]


def _is_function(x: Any) -> bool:
    return callable(x) and not isinstance(x, (type, ModuleType, np.ufunc, BuiltinFunctionType))


def _asks(function: Any) -> dict[str, bool] | None:
    """The names of a function's parameters, and whether each must be given; None if it does not tell."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {p.name: p.default is inspect.Parameter.empty for p in parameters if p.kind not in variable}


def _steps(steps: Mapping[Any, Any]) -> dict[Any, Any]:
    """For each step what it asks for, if it is a function, else what it is."""
    return {key: {"asks": _asks(x)} if callable(x) else {"form": x} for key, x in steps.items()}
