"""In the margin of a backward pass: what each line computes, which is wrong, and what it should be.

Both passes are watched. Every result of the backward pass is held against what is known of the forward pass
(`adjoints`); the wrong line is found by putting a true adjoint in the place of what it computed (`repair`);
and small edits are tried until one makes everything right at fresh points too (`mending`). What matches
nothing is never called wrong for that.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from autograd_mini.check.diagnosis.evidence import Explanation
from autograd_mini.check.margin.adjoints import SAID, Label, Labels, Recorded, known_of, labels_by_line
from autograd_mini.check.margin.by_hand import mended_by_hand
from autograd_mini.check.margin.lines import CodeLine, Labelled, explanations_of, parts_of_code
from autograd_mini.check.margin.mending import Hints, Mend, Mending, mended
from autograd_mini.check.margin.repair import Repair, Repairing
from autograd_mini.check.margin.runs import ADJOINT, Derivation, Event, Recorder, Runs, Trial, is_called, same
from autograd_mini.rewriting import SITES
from autograd_mini.trees import map_leaves

__all__ = ["Margin", "Recorded", "Trial", "explained", "mended_by_hand"]

TO_REPAIR = 0.2  # of the time, by the names that lines have, else by any adjoint; the rest is for edits


@dataclass(frozen=True)
class Margin:
    """What is known of a backward pass: its lines, with which repairs gradients become right, and how they
    are mended, the plainest way first; ``cut`` if there was no time for all that might have mended them."""

    lines: tuple[CodeLine, ...]
    explanations: tuple[Explanation, ...]
    repairs: tuple[Repair, ...]
    mends: tuple[Mend, ...]
    cut: bool


def explained(passes: Derivation, trials: Sequence[Trial], seconds: float) -> Margin:
    """The margin of a backward pass that is wrong, at some trials of which the first is the given point.

    ``seconds`` are those of computing, which do not pass while the machine does other things.
    """
    started = time.process_time()
    trial = trials[0]
    runs = Runs(passes, trial)
    places = known_of(passes, trial)
    labels = Labels(places)
    events: list[Event] = []
    try:
        gradients, events = runs.recorded()
    except Exception:  # it fails, or has too many results
        gradients = {}
    right = frozenset(trial.right(gradients))
    labelled = {event.place: labels(event.result) for event in events}
    labelled |= _of_forward_values(runs, gradients, events, labelled)
    before = labels_by_line(events, labels)
    repairing = Repairing(runs, places, events, labelled, right)
    repairs: tuple[Repair, ...] = ()
    mends: list[Mend] = []
    cut = False
    if right < trial.truth.keys():  # else a shape is wrong
        repairs, likely = repairing.searched(TO_REPAIR * seconds)
        if not (right or repairs):
            scaled = Runs(passes, replace(trial, scaled=True))
            alike = frozenset(scaled.trial.right(gradients))
            if alike and alike < trial.truth.keys():
                again = Repairing(scaled, places, events, labelled, alike)
                repairs, _ = again.searched(TO_REPAIR * seconds)
        first = [*dict.fromkeys((site.file, site.line) for site in likely)]
        hints = Hints(first, len(repairs), _suspects(events, labelled), _as_named(before))
        search = Mending(passes, trials, labels, hints)
        mends, cut = mended(search, seconds - (time.process_time() - started))
    mends.sort(key=lambda mend: mend.rank)
    after = mends[0].after if mends else _after(runs, repairs, labels)
    lines = parts_of_code(runs.functions, before, after, events, mends, repairs, [*trial.truth], right)
    explanations = explanations_of(mends, repairs, [*trial.truth], right)
    return Margin(lines, tuple(explanations), repairs, tuple(mends), cut and not mends)


def _after(runs: Runs, repairs: Sequence[Repair], labels: Labels) -> Labelled:
    """What the lines compute once repairs are put in their places."""
    recorder = Recorder({place: new for repair in repairs for place, new in repair.put.items()})
    try:
        runs.gradients(recorder)
    except Exception:  # they do not go together
        return {}
    return labels_by_line(recorder.events, labels)


def _as_named(labelled: Labelled) -> set[tuple[str, int]]:
    """The lines that compute what they say: values of the forward pass, and adjoints by their names."""
    right: dict[tuple[str, int], bool] = {}
    for (file, line, _, text), label in labelled.items():
        is_value = label.kind == "value" and not ADJOINT.match(text)
        own = is_value or (label.kind == "adjoint" and is_called(text, label.text))
        right[file, line] = own and right.get((file, line), True)
    return {line for line, are in right.items() if are}


def _suspects(events: Sequence[Event], labelled: Mapping[int, Label]) -> list[tuple[str, int]]:
    """The lines that are called adjoints, and into which no cotangent goes."""
    sites = [SITES[event.site] for event in events if labelled[event.place].kind in ("forward", "value")]
    return [(x.file, x.line) for x in sites if x.kind in SAID and ADJOINT.match(x.text)]


def _of_forward_values(
    runs: Runs, gradients: Mapping[str, Any], events: Sequence[Event], labelled: Mapping[int, Label]
) -> dict[int, Label]:
    """What matches nothing and is the same with another cotangent is made of forward values only.

    Of a pass from a loss, whose gradients are the same too, that says nothing.
    """
    if runs.passes.joined or not events:
        return {}
    random = np.random.default_rng(1)
    other = map_leaves(lambda g: g * random.uniform(0.5, 2.0, np.shape(g)), runs.trial.cotangent)
    try:
        others, again = Runs(runs.passes, replace(runs.trial, cotangent=other)).recorded()
    except Exception:  # it fails there
        return {}
    if same(others, gradients) or [event.site for event in events] != [event.site for event in again]:
        return {}
    return {
        x.place: Label("forward")
        for x, y in zip(events, again, strict=True)
        if np.array_equal(x.result, y.result, equal_nan=True)
        and labelled[x.place].kind not in ("constant", "value", "adjoint")
    }
