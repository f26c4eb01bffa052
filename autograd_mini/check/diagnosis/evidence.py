"""What is known about a hand result that disagrees, and what can be said about it.

The comparison collects the evidence: at every point the truth, the hand result and how far they may
lie apart. The diagnosis turns it into explanations for a person.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autograd_mini.check.subjects.arguments import Floats
from autograd_mini.check.subjects.subject import Graph


@dataclass(frozen=True, eq=False)
class Point:
    """One point at which a hand result was held against the truth.

    ``arguments`` are all of f's, by name, unchanged; ``output`` is f there. The other three hold an
    array for each differentiated name: ``truth`` is ∂f/∂name, of shape output.shape + argument.shape
    (argument.shape for a gradient); ``yours`` is the hand result, of any shape; ``slack`` is how far
    the two may lie apart, entry by entry and absolute, of the truth's shape.
    """

    arguments: Mapping[str, Any]
    output: Floats
    truth: Mapping[str, Floats]
    yours: Mapping[str, Floats]
    slack: Mapping[str, Floats]


@dataclass(frozen=True)
class Evidence:
    """A hand result at every point where the witnesses agree among themselves, the given point first.

    ``graph`` makes f's graph at a point, None where f does not run on Values; ``call`` is f on a
    mapping of its arguments, floats or Values, None for a graph that exists already. ``out`` is how
    the report calls f's output; the diagnosis ends at the ``deadline`` of `time.perf_counter`.
    """

    points: Sequence[Point]
    graph: Callable[[Point], Graph | None]
    call: Callable[[Mapping[str, Any]], Any] | None
    out: str
    deadline: float = math.inf


@dataclass(frozen=True)
class Explanation:
    """A mistake that reproduces the hand result.

    ``kind`` is a short stable key, ``text`` one sentence for the person, ``formula`` what is correct.
    ``nodes`` are the labels (or operations) of the nodes concerned, for pictures. ``certain`` is False
    where figures at one point leave several explanations.
    """

    kind: str
    text: str
    formula: str
    nodes: tuple[str, ...] = ()
    certain: bool = True
