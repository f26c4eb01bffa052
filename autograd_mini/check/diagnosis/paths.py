"""Paths through the graph: left out, counted twice, held constant; or ended too early, or begun too late."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import combinations

import numpy as np

from autograd_mini.check.diagnosis.case import Candidate, Results
from autograd_mini.check.diagnosis.chain import Chain, Mistake
from autograd_mini.check.diagnosis.constants import constant_name
from autograd_mini.check.diagnosis.evidence import Point
from autograd_mini.check.diagnosis.tape import Group, Numbers
from autograd_mini.check.subjects.arguments import Floats

# --- another function, another variable ----------------------------------------------------------------


def other_functions(chain: Chain) -> Iterator[Candidate]:
    """∂n/∂in for other nodes n than the outputs."""
    tape, roots = chain.tape, chain.home.roots
    for group in chain.in_time(chain.alike(chain.case.outputs)):
        if group.level and group.nodes.tolist() != roots:
            last = [i for i in roots if not {*group.nodes.tolist()}.isdisjoint(tape.args[i])]
            step = f", without the last step, {tape.order[last[0]].op.name}" if last else ""
            yield from chain.added(
                "other function",
                f"yours is the gradient of {{G}} with respect to {{in}}, not of {{out}}{step}",
                "{T} = ∂{out}/∂{G_} · ∂{G_}/∂{in}", {"G": group},
                partial(lambda nodes, n: n.tangent[nodes] - n.jacobian, group.nodes),
            )  # fmt: skip


def other_variables(chain: Chain) -> Iterator[Candidate]:
    """∂out/∂n for other nodes n than the inputs."""
    inputs = chain.jacobian.shape[1]
    if len(chain.case.names) > 1 or (inputs == 1 and len(chain.tape.order) > 500):
        return
    for group in chain.in_time(chain.alike(inputs)):
        yield from chain.added(
            "other variable", "yours is the gradient with respect to {G}, not {in}",
            "{T} = ∂{out}/∂{G_} · ∂{G_}/∂{in}", {"G": group, "H": chain.case.inputs},
            partial(lambda nodes, n: n.adjoint[nodes].T - n.jacobian, group.nodes),
        )  # fmt: skip


def before_a_sum(chain: Chain) -> Iterator[Candidate]:
    """∂out/∂n for an array n of another shape, which is still to be summed over the batch."""
    case, name = chain.case, chain.case.names[0]
    size, shape = case.points[0].yours[name].size, case.points[0].truth[name].shape

    def result(group: Group, point: Point) -> Results | None:
        numbers = chain.tape.at(point)
        of_shape = point.yours[name].shape
        return None if numbers is None else {name: numbers.adjoint[group.nodes, 0].reshape(of_shape)}

    is_wider = case.outputs == 1 == len(case.names) and size > chain.jacobian.size
    for group in chain.alike(size) if is_wider else []:
        words = {"G": group.name, "T": case.title, "out": case.evidence.out, "in": name}
        yield Candidate(
            "other variable", "yours is ∂{out}/∂{G}, not yet summed over what {in} is broadcast to",
            f"{{T}} has shape {shape}: sum yours over the other axes",
            partial(result, group), partial(dict, words),
        )  # fmt: skip


# --- paths ---------------------------------------------------------------------------------------------


def held(chain: Chain) -> Iterator[Candidate]:
    """An intermediate, as a mean or a variance, or two of them, taken for constants."""
    tape = chain.tape
    whole = {  # all that is more than a part of a sum
        u
        for edges in tape.edges
        if edges.op == "sub" or not edges.is_linear
        for u in edges.below.nodes.tolist()
    }
    groups = [
        group for group in chain.tape.groups
        if group.level and len(group) < max(chain.jacobian.shape[1], 2)
        and (group.labelled or group.op != "add" or not whole.isdisjoint(group.nodes.tolist()))
        and chain.home.adjoint[group.nodes].any() and not chain.is_cut(group)
    ][:8]  # fmt: skip
    for some in chain.in_time([*combinations(groups, 1), *combinations(groups, 2)]):

        def lost(n: Numbers, some: tuple[Group, ...] = some) -> Floats:
            """What passes one or the other; what passes both is counted once."""
            through = np.sum([n.through(group, group, np.ones(len(group))) for group in some], axis=0)
            for below, above in (some, some[::-1]) if some[1:] else ():
                through -= n.through(above, below, n.tangents(below.nodes.tolist())[above.nodes])
            return np.asarray(-through)

        yield from chain.added(
            "path", "yours holds {G} constant" if len(some) == 1 else "yours holds {G} and {H} constant",
            "{T} also goes through there: it depends on {in}", dict(zip("GH", some, strict=False)), lost,
        )  # fmt: skip


SUM = {"mul": "the product rule has a term for each factor", "div": "the quotient rule has two terms"}
AMOUNTS = {
    "0": "misses the contribution of the paths from {H} into {G}",
    "2": "counts the contribution of the paths from {H} into {G} twice",
    "−1": "has the contribution of the paths from {H} into {G} with the wrong sign",
}


def paths(chain: Chain) -> Iterator[Candidate]:
    """The contribution of the paths over some edges left out, doubled, negated, or alone."""
    case, width = chain.case, 4 * chain.case.width
    if not case.shaped:
        return
    difference, truth = case.difference[case.sample], chain.home.jacobian[case.sample]
    for site in chain.in_time(chain.tape.edges):
        sums = site.passed(chain.home, site.right(chain.home))[case.sample]
        if (abs(sums - truth) <= 1e-9 * abs(truth).max(initial=0.0)).all():
            continue
        c = 1 + float(sums @ difference) / max(float(sums @ sums), 1e-300) if chain.sifted else 0.0
        text = "0" if abs(c) < 1e-6 + width else constant_name(c, {}, width)
        formula = f"{{T}}: {SUM.get(site.op, 'the contributions of all paths add up')}, each once"
        things = {"G": site.above, "H": site.below}
        if text not in (None, "1"):
            said = AMOUNTS.get(text, f"has the contribution of the paths from {{H}} into {{G}} times {text}")
            scaled = Mistake("path", f"yours {said}", formula, things, site.scaled(c))
            yield from chain.replaced(site, [scaled])
        yield from chain.added(
            "path", "yours has only the contribution of the paths from {H} into {G}; the others are missing",
            formula, things, partial(lambda site, n: site.passed(n, site.right(n)) - n.jacobian, site),
        )  # fmt: skip
