"""What a reference asks for, and what becomes of the functions and steps that are handed in for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial, wraps
from itertools import islice, permutations
from typing import Any, NamedTuple

import numpy as np

from autograd_mini.arguments import with_parameters
from autograd_mini.arrays import noting
from autograd_mini.check import Explanation, check_gradient, check_steps
from autograd_mini.check.subjects.arguments import (
    as_array,
    as_values,
    caller,
    is_floating,
    listed,
    matched,
)
from autograd_mini.check.verdicts import AGREES, DISAGREES, INCONCLUSIVE, RIGHT, WRONG
from autograd_mini.grading.grades import FAILED, GRAVITY, NOTHING, Mark, gravest
from autograd_mini.grading.hand_in import COTANGENT, PASSES
from autograd_mini.grading.pupil import HandInError, Pupil
from autograd_mini.processes import printable

SPELLINGS = ("d_{}", "d{}", "grad_{}", "{}_grad", "dL_d{}", "dL{}", "dloss_d{}")
ALL_AT_ONCE = ("gradient", "gradients")
OF_SECTIONS = {AGREES: RIGHT, DISAGREES: WRONG, INCONCLUSIVE: INCONCLUSIVE}
ELSEWHERE = "right at the given point and wrong elsewhere"
NUMBERS = "numbers were handed in, which are checked at the given point only"
ORDERS = 120  # in which names that the reference does not have are tried


def _gravity(mark: Mark) -> int:
    return GRAVITY.index(mark.verdict)


class Outcome(NamedTuple):
    """The marks, how names were read, and what a person should look at."""

    marks: list[Mark]
    read: list[str]
    flags: list[str]


class Asked(NamedTuple):
    """What was handed in for a parameter: numbers, or a function and what the hand-in calls it."""

    hand: Any
    of: str = ""


class Task:
    """A reference: the loss, the points, the parameters to differentiate, their worth, and domains."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        points = names.get("points") or [names.get("at")]
        self.wrt = names.get("wrt")
        self.domain = names.get("domain")
        self.worth = names.get("worth") or {}
        if not callable(names.get("loss") or names.get("forward")):
            raise ValueError("it must define a function loss(...), or forward(...)")
        if not all(isinstance(point, Mapping) and point for point in points):
            raise ValueError('it must define at = {"w": 0.5, ...} or points = [{...}, ...]')
        self.points = [{name: as_array(x) for name, x in point.items()} for point in points]
        self.loss: Callable[..., Any] = names.get("loss") or self._paired_with_cotangents(names["forward"])
        for point in self.points:
            if np.size(self.loss(**point)) != 1:
                raise ValueError("its loss must return one number")
        if unknown := set(self.wrt or ()) - set(self.points[0]):
            raise ValueError(f"wrt names {', '.join(sorted(unknown))}, which the point does not have")
        if not isinstance(self.worth, Mapping):
            raise ValueError('worth must be a mapping such as {"W": 2, "b": 1}')
        self.spelled = {form.format(name): name for form in SPELLINGS for name in self.points[0]}
        self.known = {*self.points[0], *self._labels()}

    def _paired_with_cotangents(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        """The loss of which a backward pass is right: Σ dout · forward(...), for any dout."""
        names = [*self.points[0], COTANGENT]
        random = np.random.default_rng(0)
        for point in self.points:
            point[COTANGENT] = random.standard_normal(np.shape(forward(**point)))
        self.domain = {COTANGENT: "real", **(self.domain or {})}

        def paired(*arguments: Any, **named: Any) -> Any:
            own = {**dict(zip(names, arguments, strict=False)), **named}
            return np.sum(own.pop(COTANGENT) * forward(**own))

        return with_parameters(paired, names)

    def _labels(self) -> list[str]:
        """The names of the arrays that the loss names, for which a hand-in may ask."""
        point = {name: as_values(x, name) if is_floating(x) else x for name, x in self.points[0].items()}
        with noting() as noted, suppress(Exception):  # it works on floats, and names nothing
            self.loss(**point)
        return [name for name, _ in noted]

    def outcome(self, pupil: Pupil, seed: int, diagnosis: float) -> Outcome:
        """What becomes of a hand-in; HandInError if it does not run, or says nothing."""
        offers = pupil.offers()
        found: list[Outcome] = []
        for read in self._readings(offers):
            pupil.raised.clear()
            said = ["read as " + listed(f"{own} = {name}" for own, name in read.items())] * bool(read)
            at = [_Trial(self, pupil, point, seed, diagnosis).tried(offers, read) for point in self.points]
            marks = [max(marks, key=_gravity) for marks in zip(*(marks for marks, _ in at), strict=True)]
            said += ["bound: " + "; ".join(bound) for bound in [pupil.bound()] if bound]
            flags = dict.fromkeys(flag for _, flags in at for flag in flags)
            found.append(Outcome(marks, said, [*flags]))
            if gravest(marks) == RIGHT or pupil.trouble:
                break
        return max(found, key=lambda outcome: sum(mark.points for mark in outcome.marks))

    def failed(self) -> list[Mark]:
        """The marks of a hand-in that gives no answer."""
        return [Mark(name, FAILED, self.worth_of(name)) for name in self.wrt or ()]

    def worth_of(self, name: str) -> float:
        return float(self.worth.get(name, 1))

    def _readings(self, offers: Mapping[str, Any]) -> Iterator[dict[str, str]]:
        """What parameters may be that the reference does not have: its others, in their order or another."""
        functions = offers["functions"]
        asked = [functions[name] for name in functions if name in self.spelled or name in ALL_AT_ONCE]
        asked = asked or [offers["passes"] or {}]
        own = {name: None for asks in asked for name, required in asks.items() if required}
        unknown = [name for name in own if name not in self.known]
        free = [name for name in self.points[0] if name not in own]
        if not unknown or len(unknown) > len(free):
            yield {}
            return
        alike = {x: y for x in unknown for y in free if x.lower() == y.lower()}
        unknown = [x for x in unknown if x not in alike]
        free = [y for y in free if y not in alike.values()]
        for order in islice(permutations(free, len(unknown)), ORDERS):
            yield {**alike, **dict(zip(unknown, order, strict=True))}


class _Trial:
    """A hand-in at one of the points; ``flags`` are what a person should look at."""

    def __init__(
        self, task: Task, pupil: Pupil, point: Mapping[str, Any], seed: int, diagnosis: float
    ) -> None:
        self.task, self.pupil, self.point, self.diagnosis = task, pupil, point, diagnosis
        self.options: dict[str, Any] = {"at": point, "seed": seed, "domain": task.domain}
        self.flags: list[str] = []

    def tried(self, offers: Mapping[str, Any], read: Mapping[str, str]) -> tuple[list[Mark], list[str]]:
        """A mark for each step or parameter, those that are asked for and missing among them."""
        if steps := offers["steps"]:
            marks, what = self._steps(steps), "step"
            there = {node for _, node in map(_named, steps)}
        else:
            asked = self._asked(offers, read)
            marks, what = self._gradients(asked), "derivative for"
            there = {*asked}
        missing = [name for name in self.task.wrt or () if name not in there]
        said = [f"there is no {what} {name}" for name in missing]
        marks += [self._mark(name, WRONG, why, why) for name, why in zip(missing, said, strict=True)]
        return marks, self.flags

    def _mark(self, name: str, verdict: str, *said: str) -> Mark:
        return Mark(printable(name), verdict, self.task.worth_of(name), *map(printable, said))

    # --- gradients, by functions ------------------------------------------------------------------------

    def _asked(self, offers: Mapping[str, Any], read: Mapping[str, str]) -> dict[str, Asked]:
        """What was handed in for each parameter."""
        spelled, functions = self.task.spelled, offers["functions"]
        asked = {spelled[name]: Asked(x) for name, x in offers["numbers"].items() if name in spelled}
        for name in functions:
            if name in spelled:
                asked.setdefault(spelled[name], self._function(name, functions[name], read))
        for name in ALL_AT_ONCE:
            if name in functions:
                return asked | self._parts(self._function(name, functions[name], read), read)
        if not asked and offers["passes"] is not None:
            takes = dict.fromkeys([*(name for name in self.point if name not in read.values()), *read], True)
            asked = self._parts(Asked(self.pupil.function(PASSES, takes, read), PASSES), read)
        if not asked:
            raise HandInError(NOTHING)
        return asked

    def _function(self, name: str, asks: Mapping[str, bool], read: Mapping[str, str]) -> Asked:
        known = {*self.task.known, *read}
        if unknown := [x for x, required in asks.items() if required and x not in known]:
            there = listed(self.task.points[0])
            self.pupil.raised[name] = f"{name}(...) asks for {listed(unknown)}; there are {there}"
        return Asked(self.pupil.function(name, asks, read), name)

    def _parts(self, asked: Asked, read: Mapping[str, str]) -> dict[str, Asked]:
        """The parameters of one function that gives all gradients, as functions of their own."""
        wanted = self.task.wrt or list(self.point)
        try:
            result = caller(asked.hand)(matched(asked.hand, self.point, list(self.point)))
        except HandInError:
            return dict.fromkeys(wanted, asked)
        if isinstance(result, Mapping):
            spelled = {name: name for name in self.point} | self.task.spelled
            spelled |= {form.format(own): name for own, name in read.items() for form in ("{}", *SPELLINGS)}
            keys: dict[str, Any] = {spelled[key]: key for key in result if key in spelled}
        elif isinstance(result, (list, tuple)) and len(result) == len(wanted):
            keys = dict(zip(wanted, range(len(wanted)), strict=True))
        else:
            return dict.fromkeys(wanted[:1], asked)
        return {name: Asked(_part(asked.hand, key), asked.of) for name, key in keys.items()}

    def _gradients(self, asked: Mapping[str, Asked]) -> list[Mark]:
        failing = {name for name, x in asked.items() if x.of in self.pupil.raised}
        numbers = {name: x.hand for name, x in asked.items() if not x.of}
        functions = {name: x.hand for name, x in asked.items() if x.of and name not in failing}
        self.flags += [NUMBERS] * bool(numbers)
        sections: dict[str, str] = dict.fromkeys(failing, DISAGREES)
        for hands in (functions, numbers):
            if hands:
                report = check_gradient(self.task.loss, hands, wrt=list(hands), **self.options, diagnosis=0.0)
                sections |= report.sections
        return [self._gradient(name, x, sections[name]) for name, x in asked.items()]

    def _gradient(self, name: str, asked: Asked, verdict: str) -> Mark:
        """The mark of one parameter, with what a check of it alone says."""
        if verdict == AGREES:
            return self._mark(name, RIGHT)
        if failed := self.pupil.raised.get(asked.of) or self.pupil.trouble:
            return self._mark(name, FAILED, failed)
        check = partial(check_gradient, self.task.loss, {name: asked.hand}, wrt=[name], **self.options)
        report = check(diagnosis=self.diagnosis)
        why = next((at.rejected[name] for at in report.findings if name in at.rejected), "")
        if verdict == DISAGREES and asked.of and check(points=0, diagnosis=0.0):
            self.flags.append(f"{ELSEWHERE}, as if the answer were written down")
            why = ELSEWHERE
        said = _explained(report.explanations) or (why,)
        return self._mark(name, OF_SECTIONS[verdict], report.reason, *said)

    # --- derivations in steps ---------------------------------------------------------------------------

    def _steps(self, steps: Mapping[Any, Any]) -> list[Mark]:
        hands = {
            key: self.pupil.function(i, step["asks"]) if "asks" in step else step["form"]
            for i, (key, step) in enumerate(steps.items())
        }
        self.flags += [NUMBERS] * any(not isinstance(step.get("form", ""), str) for step in steps.values())
        places = {_named(key)[0]: i for i, key in enumerate(steps)}
        report = check_steps(self.task.loss, hands, **self.options, diagnosis=self.diagnosis)
        marks = []
        for step in report.parts:
            why = self.pupil.raised.get(places[step.name]) or self.pupil.trouble
            if step.verdict == WRONG and why:
                marks.append(self._mark(step.name, FAILED, why))
                continue
            marks.append(self._mark(step.name, step.verdict, step.note, *_explained(step.explanations)))
        return marks


def _named(key: Any) -> tuple[str, str]:
    """What a step is called, and what it is the derivative of the loss by."""
    return key if isinstance(key, tuple) and len(key) == 2 else (key, key)


def _explained(explanations: Sequence[Explanation]) -> tuple[str, ...]:
    """The cause of a mistake and what is right instead, if they are known."""
    return (explanations[0].text, explanations[0].formula) if explanations else ()


def _part(function: Callable[..., Any], key: Any) -> Callable[..., Any]:
    return wraps(function)(lambda *args, **named: function(*args, **named)[key])
