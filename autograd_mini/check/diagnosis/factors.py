"""Factors too many, too few or wrong, at the nodes and on the edges of f's graph.

The graph itself offers the factors that a person may have put in or left out: the values of its nodes, the
derivatives of its operations, the arguments of f.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from autograd_mini.check.diagnosis.case import Candidate, Case
from autograd_mini.check.diagnosis.chain import Chain, inner_factors, inner_parts, other_functions, path
from autograd_mini.check.diagnosis.evidence import Explanation
from autograd_mini.check.diagnosis.tape import Edges, Group, Sweep, Tape, as_operand
from autograd_mini.rules import table
from autograd_mini.value import constant

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Form:
    """A number that a node or an edge offers as a factor, as a function of its own value."""

    text: str
    of: Callable[[Floats], Floats]
    why: str = ""


VALUE_FORMS = [
    Form("{v}", lambda v: v),
    Form("{v}·(1 − {v})", lambda v: v * (1 - v), ", as if a sigmoid followed"),
    Form("(1 − {v}²)", lambda v: 1 - v * v, ", as if a tanh followed"),
    Form("(1 − {v})", lambda v: 1 - v),
    Form("{v}²", lambda v: v * v),
    Form("cos({v})", np.cos, ", the derivative of a sine"),
    Form("exp({v})", np.exp, ", the derivative of an exponential"),
    Form("({v} > 0)", lambda v: np.where(v > 0, 1.0, 0.0), ", the derivative of a ReLU"),
]


@dataclass(frozen=True)
class Factor:
    """One number for each node of a group: at a node, on an edge, or in an argument of f."""

    says: Callable[[], tuple[str, str]]  # the factor and its node, in words
    of: Callable[[Sweep, int], Floats]
    why: str = ""


def vocabulary(chain: Chain) -> list[tuple[Factor, int]]:
    """The factors that the graph offers, with their numbers of elements."""
    tape = chain.tape
    found: list[tuple[Factor, int]] = []
    for group in tape.groups:
        if len(found) > 4000:
            break
        for form in VALUE_FORMS:
            found.append((_value_factor(group, form), len(group)))
    for edges in tape.edges:
        if _linear(tape, edges):
            continue
        found.append((_edge_factor(edges), len(edges.edges)))
    for name in chain.case.arrays:
        found.append((_argument_factor(chain.case, name), chain.case.argument(0, name).size))
    return found


def _linear(tape: Tape, edges: Edges) -> bool:
    """Whether an operand enters by a constant factor only."""
    v = int(edges.into.nodes[0])
    others = [u for k, u in enumerate(tape.args[v]) if k != edges.place]
    name = tape.order[v].op.name
    scaled = name in ("mul", "div") and edges.place < 2 - (name == "div")
    return name in LINEAR or (scaled and all(tape.order[u].op is constant for u in others))


def _value_factor(group: Group, form: Form) -> Factor:
    def says() -> tuple[str, str]:
        return form.text.format(v=as_operand(group.name)), group.name

    return Factor(says, lambda sweep, p: form.of(sweep.values[group.nodes]), form.why)


def _edge_factor(edges: Edges) -> Factor:
    def says() -> tuple[str, str]:
        return f"∂{as_operand(edges.into.name)}/∂{as_operand(edges.operands.name)}", edges.into.name

    why = ", a derivative taken once more than the chain rule asks"
    return Factor(says, lambda sweep, p: sweep.partials[edges.edges], why)


def _argument_factor(case: Case, name: str) -> Factor:
    return Factor(lambda: (name, name), lambda sweep, p: case.argument(p, name))


def node_factors(chain: Chain) -> Iterator[Candidate]:
    """What passes a node multiplied by a factor too many, or one too few."""
    case, tape, home = chain.case, chain.tape, chain.home
    words = vocabulary(chain)
    by_size: dict[int, list[tuple[Factor, Floats]]] = {}
    with np.errstate(all="ignore"):
        for factor, size in words:
            by_size.setdefault(size, []).append((factor, factor.of(home, case.home)))
    cuts = [*tape.groups, *([tape.outputs] if tape.outputs is not None else [])]
    for group in cuts[:400]:
        basis = chain.sampled(group.nodes, group.nodes)
        if not basis.any():
            continue
        for size in {len(group), 1}:
            offered = by_size.get(size, [])
            if not offered:
                continue
            numbers = np.array([np.broadcast_to(number, len(group)) for _, number in offered])
            for kind, weights in (("extra factor", numbers), ("missing factor", _inverse(numbers))):
                weights = np.where(np.isfinite(weights), weights, 0.0) - 1
                for k in chain.sift(weights @ basis):
                    yield _node_factor(chain, kind, group, offered[k][0])


def _inverse(numbers: Floats) -> Floats:
    with np.errstate(all="ignore"):
        return np.where(numbers == 0, 1.0, 1 / numbers)


def _node_factor(chain: Chain, kind: str, group: Group, factor: Factor) -> Candidate:
    def change(sweep: Sweep, p: int) -> Floats | None:
        with np.errstate(all="ignore"):
            weights = np.broadcast_to(factor.of(sweep, p), len(group))
            weights = (_inverse(weights) if kind == "missing factor" else weights) - 1
        return sweep.through(group, weights) if np.isfinite(weights).all() else None

    def explain() -> Explanation:
        (said, node), title, at = factor.says(), chain.case.title, ""
        if not _is_cut(chain, group):
            at = f" in what passes {group.name}"
        elif len(group) > 1:
            at = f", elementwise at {group.name}"
        if kind == "extra factor":
            text = f"yours is {title} times {said}{at}{factor.why}"
            formula = f"{title} is yours without the factor {said}{at}"
        else:
            text = f"yours misses the factor {said}{at}"
            formula = f"{title} is yours times {said}{at}"
        return Explanation(kind, text, formula, (node, group.name))

    return chain.candidate(change, explain)


def _is_cut(chain: Chain, group: Group) -> bool:
    home = chain.home
    whole = home.through(group, np.ones(len(group)))
    return bool(np.allclose(whole, home.jacobian, 1e-9, 1e-12 * abs(home.jacobian).max(initial=0.0)))


# --- the derivative of one operation -------------------------------------------------------------------

LINEAR = ("add", "sub", "neg", "identity")

# In the operand x, the other operand y, the result z and the right partial p.
SLIPS: list[tuple[str, str, str, Callable[[Floats, Floats, Floats, Floats], Floats]]] = [
    ("missing factor", "1", "leaves out", lambda x, y, z, p: np.ones_like(p)),
    ("extra factor", "its square", "takes twice", lambda x, y, z, p: p * p),
    ("wrong derivative", "its reciprocal", "divides by", lambda x, y, z, p: 1 / p),
    ("wrong derivative", "the value {z}", "", lambda x, y, z, p: z),
    ("wrong derivative", "{x}", "", lambda x, y, z, p: x),
    ("wrong derivative", "{z}·(1 − {z}), that of a sigmoid", "", lambda x, y, z, p: z * (1 - z)),
    ("wrong derivative", "1 − {z}², that of a tanh", "", lambda x, y, z, p: 1 - z * z),
    (
        "wrong derivative",
        "{x}·(1 − {x}), with the operand for the result",
        "",
        lambda x, y, z, p: x * (1 - x),
    ),
    ("wrong derivative", "1 − {x}², with the operand for the result", "", lambda x, y, z, p: 1 - x * x),
    ("wrong derivative", "1/{x}", "", lambda x, y, z, p: 1 / x),
    ("wrong derivative", "1/{x}²", "", lambda x, y, z, p: 1 / (x * x)),
    ("wrong derivative", "{x}²", "", lambda x, y, z, p: x * x),
    ("wrong derivative", "cos({x})", "", lambda x, y, z, p: np.cos(x)),
    ("wrong derivative", "sin({x})", "", lambda x, y, z, p: np.sin(x)),
    # of a power only
    ("wrong derivative", "the exponent left as it was", "", lambda x, y, z, p: y * z),
    ("wrong derivative", "the exponent lowered but not brought down", "", lambda x, y, z, p: z / x),
]
OF_A_POWER = len(SLIPS) - 2


def slips(chain: Chain) -> Iterator[Candidate]:
    """The local derivative of one operation left out, or taken twice."""
    return _slips(chain, range(2))


def wrong_derivatives(chain: Chain) -> Iterator[Candidate]:
    """The local derivative of one operation replaced by that of something else."""
    return _slips(chain, range(2, len(SLIPS)))


def _slips(chain: Chain, which: range) -> Iterator[Candidate]:
    tape, home = chain.tape, chain.home
    for edges in tape.edges:
        if len(edges.edges) == 1 and len(tape.edges) > 400:
            break
        name = tape.order[edges.into.nodes[0]].op.name
        partials = home.partials[edges.edges]
        if (name == "mul" and which.start) or (_linear(tape, edges) and np.ptp(partials) == 0):
            continue  # there is no derivative to be taken wrongly
        basis = chain.sampled(tape.target[edges.edges], tape.source[edges.edges])
        taken = which if name == "pow" else [k for k in which if k < OF_A_POWER]
        with np.errstate(all="ignore"):
            wrong = np.array([SLIPS[k][3](*_operands(home, edges), partials) for k in taken])
        wrong = np.where(np.isfinite(wrong), wrong, 0.0)
        for k in chain.sift((wrong - partials) @ basis):
            yield _slip(chain, edges, taken[int(k)])


def _operands(sweep: Sweep, edges: Edges) -> tuple[Floats, Floats, Floats]:
    """The operand, the other one (itself where there is none) and the result, for every edge."""
    tape = sweep.tape
    v = tape.target[edges.edges]
    x = sweep.values[tape.source[edges.edges]]
    other = [tape.args[i][1 - edges.place] if len(tape.args[i]) == 2 else tape.args[i][0] for i in v]
    return x, sweep.values[other], sweep.values[v]


def _slip(chain: Chain, edges: Edges, k: int) -> Candidate:
    kind, wrong, verb, of = SLIPS[k]
    into, operand = edges.into, edges.operands.name

    def change(sweep: Sweep, p: int) -> Floats | None:
        partials = sweep.partials[edges.edges]
        with np.errstate(all="ignore"):
            taken = of(*_operands(sweep, edges), partials)
        return sweep.over(edges.edges, taken - partials) if np.isfinite(taken).all() else None

    def explain() -> Explanation:
        derivative = f"∂{as_operand(into.name)}/∂{as_operand(operand)}"
        op = chain.tape.order[into.nodes[0]].op
        rule = _rule(op.name, edges.place)
        text = (
            f"{verb} the factor {derivative}"
            if verb
            else (f"takes {wrong.format(x=as_operand(operand), z=as_operand(into.name))} for {derivative}")
        )
        return Explanation(
            kind, f"yours {text}",
            f"{chain.case.title} has the factor {derivative} once{rule}", (into.name, operand),
        )  # fmt: skip

    return chain.candidate(change, explain)


def _rule(name: str, place: int) -> str:
    row = table[name]
    partial = row.partials[place].rpartition(" else ")[2]  # the general case
    text = f"; {name}({', '.join(row.operands)}) has ∂/∂{row.operands[place]} = {partial}"
    return text + ", z its result" * ("z" in partial)


# --- before a second mistake ---------------------------------------------------------------------------


def common(chain: Chain) -> Iterator[Candidate]:
    """The mistakes on the graph that a second one is likely to follow, whether or not they fit alone."""
    yield from inner_parts(chain)
    yield from inner_factors(chain)
    yield from other_functions(chain)
    for edges in chain.tape.edges:
        if len(edges.edges) < len(edges.into):
            break  # those of one element only, which come last
        yield _slip(chain, edges, 0)
        yield path(chain, edges, -1.0, "0")
    for group in chain.tape.groups:
        for form in VALUE_FORMS[:3]:
            yield _node_factor(chain, "extra factor", group, _value_factor(group, form))
