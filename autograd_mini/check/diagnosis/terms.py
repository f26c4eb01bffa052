"""The terms of f's sum: a regulariser that is missing, taken half or twice, or too many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from autograd_mini.check.diagnosis.case import Candidate, Case
from autograd_mini.check.diagnosis.chain import Chain
from autograd_mini.check.diagnosis.constants import constant_name
from autograd_mini.check.diagnosis.evidence import Point
from autograd_mini.check.diagnosis.tape import Group, Site, Tape
from autograd_mini.check.subjects.arguments import Floats

AMOUNTS = {"0": "is missing", "½": "is half of what it should be", "2": "is twice what it should be",
           "−1": "has the wrong sign"}  # fmt: skip


def terms(chain: Chain) -> Iterator[Candidate]:
    """A term of f's sum, such as a regulariser, missing, taken half, twice, or with the wrong sign."""
    case, tape, home = chain.case, chain.tape, chain.home
    if case.outputs != 1:
        return
    sites = [Site(g, g) for g in _terms(tape, home.roots[0]) if home.tangent[g.nodes].any()]
    if not 2 <= len(sites) <= 12:
        return
    sampled = np.array([site.passed(home, np.ones(len(site.above)))[case.sample] for site in sites])
    found, _, rank, _ = np.linalg.lstsq(sampled.T, chain.yours[case.sample], rcond=1e-9)
    amounts = [
        constant_name(c, case.sizes, 1e-6 + case.width) or ("0" if abs(c) < 1e-6 else "") for c in found
    ]
    if rank < len(sites) or "" in amounts or {*amounts} == {"1"} or "1" not in amounts:
        return
    wrong = [
        (0.0 if text == "0" else c, site)
        for c, text, site in zip(found, amounts, sites, strict=True)
        if text != "1"
    ]
    called = [
        (tape.naming.total(s.above.nodes.tolist()), text) for s, text in zip(sites, amounts, strict=True)
    ]
    right = [name for name, text in called if text == "1"]
    said = [f"{name} {AMOUNTS.get(text) or _times(text)}" for name, text in called if text != "1"]
    yield from chain.added(
        "term", "of the terms of {out}, {R} {is} right in yours; {W}",
        "{T} is the sum of the derivatives of all terms, each once",
        {"R": " and ".join(right), "is": "are" if right[1:] else "is", "W": " and ".join(said),
         "G": next(name for name, text in called if text != "1")},
        lambda n: np.sum([s.passed(n, np.full(len(s.above), c - 1)) for c, s in wrong], axis=0),
    )  # fmt: skip


def _times(amount: str) -> str:
    """A factor in words: 5, the length of x."""
    number, comma, what = amount.partition(", ")
    return f"is {number} times what it should be" + f", {number} being {what}" * bool(comma)


def _terms(tape: Tape, root: int) -> list[Group]:
    """The terms of a sum, those of one kind together; a sum that is only scaled is opened."""
    found: dict[int, list[int]] = {}
    stack = [root]
    while stack:
        i = stack.pop()
        op = tape.order[i].op.name
        moving = [u for u in tape.args[i] if tape.moving[u]]
        if op in ("add", "sub") and (i == root or not tape.labels[i]):
            stack += moving[::-1]
        elif op in ("mul", "div", "neg") and len(moving) == 1 and len(_terms(tape, moving[0])) > 1:
            stack += moving
        else:
            found.setdefault(tape.kinds[i], []).append(i)
    return [tape.group(nodes) for nodes in found.values()]


def extra_terms(chain: Chain) -> Iterator[Candidate]:
    """A regulariser in the gradient that f does not have: c·x or c·sign x too much."""
    case = chain.case
    if case.outputs != 1 or not all(name in case.home.arguments for name in case.names):
        return
    for of, text, term in ((np.positive, "{x}", "{c}/2·Σ {x}²"), (np.sign, "sign({x})", "{c}·Σ |{x}|")):
        here = _of_inputs(case, of, case.home)
        c = float(np.sum(here * case.difference) / max(np.sum(here * here), 1e-300))
        scales = [
            (constant_name(c / x[0], {}, 1e-6), name)
            for name, x in case.arrays.items()
            if x.size == 1 and x[0]
        ]
        named = [f"{k}·{name}".removeprefix("1·") for k, name in scales if k in ("1", "2", "½")]
        yield from chain.added(
            "term", f"yours has the term {{c}}·{text} too much, as if {{out}} had a term {term}",
            "{out} has no such term", {"c": [*named, f"{c:.6g}"][0], "x": case.inputs},
            partial(lambda of, c, n: c * _of_inputs(case, of, n.point), of, c),
        )  # fmt: skip


def _of_inputs(case: Case, of: Callable[[Floats], Floats], point: Point) -> Floats:
    return case.matrix({x: of(np.asarray(point.arguments[x], dtype=float)) for x in case.names})
