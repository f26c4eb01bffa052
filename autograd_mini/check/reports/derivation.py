"""The right derivation of what was checked, with a mark where the hand result departs from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autograd_mini.check.subjects.subject import Subject
    from autograd_mini.deriving import Derivation


def derived(subject: Subject, names: Sequence[str], marks: Mapping[str, str]) -> Derivation:
    """The derivation by the arguments among ``names``, the first if there is none."""
    from autograd_mini.deriving import derivation

    if subject.function is None:
        raise ValueError("derivation: only a function is derived, not a graph that exists")
    wrt = [name for name in names if name in subject.arguments] or None
    found = derivation(subject.function, subject.arguments, wrt, subject.out)
    return replace(found, marks=dict(marks))
