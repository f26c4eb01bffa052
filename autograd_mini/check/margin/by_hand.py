"""A derivative as a person wrote it, a function or a formula as text, as what can be mended."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autograd_mini.check.diagnosis.evidence import Explanation
from autograd_mini.check.margin.adjoints import Labels
from autograd_mini.check.margin.mending import Change, Hints, Mending, mended
from autograd_mini.check.margin.runs import Trial
from autograd_mini.check.subjects.arguments import plain
from autograd_mini.check.subjects.subject import Subject
from autograd_mini.trees import own

POINTS = 3  # at least, as one number is met by chance


class ByHand:
    """f as the forward pass, and the hand derivation as the backward pass."""

    joined = False

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    @property
    def wrt(self) -> tuple[str, ...]:
        return tuple(self.subject.shapes)

    @property
    def roots(self) -> Sequence[Callable[..., Any]]:
        return [self.subject.call] if self.subject.call is not None else []

    def forward(self, arguments: Mapping[str, Any], call: Any = None) -> tuple[Any, Any]:
        assert self.subject.call is not None
        output = self.subject.call({name: own(x) for name, x in arguments.items()})
        return output, output

    def backward(
        self, state: Any, cotangent: Any, arguments: Mapping[str, Any], call: Any = None
    ) -> Mapping[str, Any]:
        edited: Any = copy.copy(self.subject)
        edited.hand = _called(edited.hand, call)
        output = plain(self.subject.evaluate(arguments)) if self.subject.named_out else None
        found: Mapping[str, Any] = edited.results(arguments, output)
        return found


def _called(hand: Any, call: Callable[[Any], Any]) -> Any:
    """A hand derivation with what is called in the place of its functions."""
    if isinstance(hand, Mapping):
        return {name: _called(part, call) for name, part in hand.items()}
    if isinstance(hand, list):
        return [_called(part, call) for part in hand]
    return call(hand) if callable(hand) else hand


def mended_by_hand(subject: Subject, trials: Sequence[Trial], seconds: float) -> list[Explanation]:
    """The small change that makes a hand derivation right, the plainest if there are several."""
    if len(trials) < POINTS or subject.call is None or subject.fixed:
        return []
    known = subject.known(trials[0].arguments, plain(subject.evaluate(trials[0].arguments)))
    formulas = dict.fromkeys(subject.formulas().values(), known)
    mends, _ = mended(Mending(ByHand(subject), trials, Labels({}), Hints(), formulas), seconds)
    if not mends:
        return []
    best = min(mends, key=lambda mend: mend.rank)
    return [_said(best.changes, [*best.mends], subject)]


def _said(changes: Sequence[Change], names: Sequence[str], subject: Subject) -> Explanation:
    places = [
        f"yours is right with {c.new} in place of {c.old}" + f" in line {c.line}" * (c.line > 0)
        for c in changes
    ]
    name = names[0] if len(names) == 1 else f"({', '.join(names)})"
    title = f"∂{subject.out}/∂{name}"
    texts = [f"{title} = {c.text}" if isinstance(c.statement, ast.Expr) else c.text for c in changes]
    return Explanation("slip", "; and ".join(places), "; ".join(dict.fromkeys(texts)))
