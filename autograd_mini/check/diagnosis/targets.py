"""Scores and their target: softmax(z) where softmax(z) − onehot(y) belongs, or σ(z) where σ(z) − t does."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from autograd_mini.check.diagnosis.case import Candidate
from autograd_mini.check.diagnosis.chain import Chain, Factor
from autograd_mini.check.diagnosis.tape import Group, Numbers
from autograd_mini.check.subjects.arguments import Floats


class Written(NamedTuple):
    """What is written for c·(scores − target): c·(scores − less), where c and less are numbers."""

    c: float
    less: Floats
    form: str
    without: str
    right: str


def missing_target(chain: Chain) -> Iterator[Candidate]:
    """The adjoint of scores without their target, or with something else in its place."""
    groups = [g for g in chain.tape.groups if len(g) > 1 and chain.home.adjoint[g.nodes].any()]
    for group in chain.in_time(groups if chain.case.outputs == 1 else []):
        size, adjoint = len(group), chain.home.adjoint[group.nodes, 0]
        rows = {size, *(size // n for n in chain.case.sizes if n and size % n == 0)} - {1}
        softmaxes = [Factor(group, partial(_softmax, group, n), "softmax({V})") for n in rows]
        for scores in [*chain.operands(size), *softmaxes]:
            v = scores.of(chain.home)
            for written in (*_of_classes(adjoint, v, rows), *_of_others(adjoint, v, chain.case.arrays)):
                yield from chain.added(
                    "target",
                    f"yours takes {scores.form}{written.form} for ∂{{out}}/∂{{G_}}, {written.without}",
                    f"∂{{out}}/∂{{G_}} is {scores.form} {written.right}", {"V": scores.thing, "G": group},
                    partial(_added, group, scores, written),
                )  # fmt: skip


def _of_classes(adjoint: Floats, v: Floats, rows: Collection[int]) -> Iterator[Written]:
    """One of each row's scores is the target's."""
    c = float(np.max(adjoint / v)) if v.all() else 0.0
    hot = np.round(v - adjoint / c, 9) if c > 0 else v
    one_each = [n for n in rows if ({*hot} == {0.0, 1.0} and (hot.reshape(-1, n).sum(axis=1) == 1).all())]
    if not one_each:
        return
    classes = hot.reshape(-1, one_each[0]).argmax(axis=1)
    number = f"{classes[0]}" if len(classes) == 1 else "the class"
    without, right = "without 1 subtracted at the target's index", "with 1 subtracted at the target's index"
    yield Written(c, np.zeros(1), "", without, right)
    yield Written(c, classes.repeat(one_each[0]), f" − {number}", without, right)
    yield Written(c, np.ones(1), " − 1", "with 1 subtracted everywhere", right)
    yield Written(c, -hot, "", "with 1 added at the target's index", right)


def _of_others(adjoint: Floats, v: Floats, arrays: Mapping[str, Floats]) -> Iterator[Written]:
    """The target is an argument of f."""
    for name, target in arrays.items():
        if target.size == v.size and (v != target).all():
            ratios = adjoint / (v - target)
            if np.ptp(ratios) <= 1e-9 * abs(ratios[0]):
                yield Written(ratios[0], np.zeros(1), "", f"without {name} subtracted", f"− {name}")


def _softmax(group: Group, length: int, numbers: Numbers) -> Floats:
    """The softmax of each row of so many scores."""
    scores = group.values(numbers).reshape(-1, length)
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True)).ravel()


def _added(group: Group, scores: Factor, written: Written, numbers: Numbers) -> Floats:
    """What the Jacobian changes by with the other adjoint."""
    adjoint = written.c * (scores.of(numbers) - written.less)
    return np.asarray((adjoint - numbers.adjoint[group.nodes, 0])[None] @ numbers.tangent[group.nodes])
