"""The process in which one hand-in runs: its verdict goes to the parent, whatever the hand-in does.

The verdict is written as JSON to what was the standard output at the start; all that the hand-in prints
goes nowhere. Without a hand-in, the reference alone is tried.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import tokenize
import traceback
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from autograd_mini.check import AGREES, DISAGREES, INCONCLUSIVE, RIGHT, WRONG, check_gradient, check_steps

FAILED = "failed to run"
LONGEST = 2000  # characters of a reason
GRAVITY = (RIGHT, INCONCLUSIVE, WRONG, FAILED)


class Outcome(NamedTuple):
    verdict: str
    step: str = ""
    reason: str = ""


def main() -> None:
    request = json.loads(sys.argv[2])
    output = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    process = os.getpid()
    outcome = _outcome(request["reference"], request["hand_in"], request["memory"])
    if os.getpid() == process:  # and no copy of it that the hand-in made
        os.write(output, json.dumps({**outcome._asdict(), "reason": outcome.reason[:LONGEST]}).encode())
    os._exit(0)  # threads and exit handlers of the hand-in have no say


def _outcome(reference: str, hand_in: str, memory: int) -> Outcome:
    try:
        task = Task(run_file(reference))
        if not hand_in:
            return Outcome(RIGHT)
    except BaseException as error:
        return Outcome(FAILED, reason=_failure(error, reference))
    try:
        _limit(memory)
        return task.graded(run_file(hand_in))
    except BaseException as error:
        return Outcome(FAILED, reason=_failure(error, hand_in))


def _limit(memory: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has none
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory << 20, memory << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run_file(path: str) -> dict[str, Any]:
    """The names that a Python file defines."""
    with tokenize.open(path) as file:
        source = file.read()
    names: dict[str, Any] = {"__name__": "hand_in", "__file__": path}
    exec(compile(source, path, "exec"), names)
    return names


def _failure(error: BaseException, path: str) -> str:
    """The error in one line, with the line of the file where it arose."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    if isinstance(error, SyntaxError) and error.filename == path:
        lines = [error.lineno]
    at = f"line {lines[-1]}: " if lines else ""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{at}{type(error).__name__}{f': {text}' if text else ''}".partition("\n")[0]


class Task:
    """What a reference asks for: the loss, the points, and the parameters to differentiate."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.loss = names.get("loss")
        self.points = list(map(_with_arrays, names.get("points") or [names.get("at")]))
        self.wrt = names.get("wrt")
        if not callable(self.loss):
            raise ValueError("it must define a function loss(...)")
        if not all(isinstance(point, Mapping) and point for point in self.points):
            raise ValueError('it must define at = {"w": 0.5, ...} or points = [{...}, ...]')
        for point in self.points:
            if np.size(self.loss(**point)) != 1:
                raise ValueError("its loss must return one number")
        if unknown := set(self.wrt or ()) - set(self.points[0]):
            raise ValueError(f"wrt names {', '.join(sorted(unknown))}, which the point does not have")

    def graded(self, names: Mapping[str, Any]) -> Outcome:
        """The gravest outcome over the points."""
        outcomes = [self._at(point, names) for point in self.points]
        return max(outcomes, key=lambda outcome: GRAVITY.index(outcome.verdict))

    def _at(self, point: Mapping[str, Any], names: Mapping[str, Any]) -> Outcome:
        raised: list[BaseException] = []
        if "steps" in names:
            return self._steps(point, names["steps"], raised)
        hand: Any = {name: _watched(names[f"d_{name}"], raised) for name in point if f"d_{name}" in names}
        if callable(names.get("gradient")):
            hand = _watched(names["gradient"], raised)
        elif not hand:
            return Outcome(FAILED, reason="it defines neither steps nor gradient(...) nor a d_<name>(...)")
        elif missing := [name for name in self.wrt or () if name not in hand]:
            return Outcome(WRONG, missing[0], f"there is no d_{missing[0]}(...)")
        report = check_gradient(self.loss, hand, at=point, wrt=self.wrt)
        if report.verdict == AGREES:
            return Outcome(RIGHT)
        if report.verdict == DISAGREES and raised:
            raise raised[-1]
        step = next((name for name, verdict in report.sections.items() if verdict == report.verdict), "")
        if report.verdict == INCONCLUSIVE:
            return Outcome(INCONCLUSIVE, step, report.reason)
        return Outcome(WRONG, step, report.explanations[0].text if report.explanations else report.reason)

    def _steps(self, point: Mapping[str, Any], steps: Any, raised: list[BaseException]) -> Outcome:
        if not isinstance(steps, Mapping):
            return Outcome(FAILED, reason="steps must be a mapping from names to functions")
        watched = {name: _watched(step, raised) for name, step in steps.items()}
        report = check_steps(self.loss, watched, at=point)
        claimed = {key[1] if isinstance(key, tuple) else key for key in steps}
        missing = [name for name in self.wrt or () if name not in claimed]
        if missing and report.first_wrong is None:
            return Outcome(WRONG, missing[0], f"there is no step {missing[0]}")
        if report.verdict == AGREES:
            return Outcome(RIGHT)
        verdicts = Counter(report.sections.values())
        credit = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
        if report.first_wrong is None:
            return Outcome(INCONCLUSIVE, reason=credit)
        if raised:
            raise raised[0]
        why = report[report.first_wrong].why
        return Outcome(WRONG, report.first_wrong, f"{why} (of {len(report.parts)} steps {credit})")


def _with_arrays(point: Any) -> Any:
    if not isinstance(point, Mapping):
        return point
    return {name: np.array(x) if isinstance(x, (list, tuple)) else x for name, x in point.items()}


def _watched(function: Any, raised: list[BaseException]) -> Any:
    """The function, which also notes what it raises; plain numbers stay what they are."""
    if not callable(function):
        return function

    @functools.wraps(function)
    def watched(*args: Any, **named: Any) -> Any:
        try:
            return function(*args, **named)
        except BaseException as error:
            raised.append(error)
            raise

    return watched
