"""What a report shows when it is asked: f's graph, or the right derivation, marked where yours went wrong."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_mini.check.diagnosis import nodes_named
from autograd_mini.check.diagnosis.evidence import Evidence, Explanation
from autograd_mini.check.subjects.subject import Graph
from autograd_mini.value import Value, topological_order

if TYPE_CHECKING:
    from autograd_mini.check.subjects.subject import Subject
    from autograd_mini.check.witnesses.adjoints import Loss
    from autograd_mini.deriving import Derivation
    from autograd_mini.drawing import Drawing


def draw_mistake(evidence: Evidence, explanations: tuple[Explanation, ...], **options: Any) -> Drawing:
    """The graph at the given point, the path marked from the wrong arguments to what the diagnosis names."""
    graph = evidence.graph(evidence.points[0])
    if graph is None:
        raise ValueError("draw: f does not run on Values, and so has no graph")
    first = [explanation for explanation in explanations if explanation.nodes][:1]
    for node, name in graph.called.items():  # it was made for the picture
        node.label = name
    named = [node for explanation in first for node in nodes_named(evidence, graph, explanation)]
    return _marked(graph, evidence.points[0].truth, named, options)


def draw_step(loss: Loss, wrong: str, uses: Iterable[str], **options: Any) -> Drawing:
    """The loss's graph, the path marked from a wrong step's nodes to those of the steps it uses."""
    graph = Graph({wrong: loss.nodes(wrong)}, np.array(loss.root, dtype=object))
    earlier = [node for name in uses for node in loss.nodes(name).flat if node is not None]
    return _marked(graph, [wrong], earlier or [loss.root], options)


def _marked(
    graph: Graph, wrong: Iterable[str], named: Collection[Value], options: Mapping[str, Any]
) -> Drawing:
    """The graph, with the wrong arguments and the nodes that lead from them to the named ones marked."""
    from autograd_mini.drawing import draw  # the check of a derivation needs none

    inputs = {x for name in wrong for x in graph.inputs[name].flat if isinstance(x, Value)}
    order = topological_order(*(x for x in graph.outputs.flat if isinstance(x, Value)))
    above, below = {*inputs}, {*named}
    for node in order:
        if not above.isdisjoint(node.args):
            above.add(node)
    for node in reversed(order):
        if node in below:
            below.update(node.args)
    path = [node for node in order if node in inputs | above & below]
    return draw(graph.outputs, **{"mark": path, **options})


def derived(subject: Subject, names: Sequence[str], marks: Mapping[str, str]) -> Derivation:
    """The derivation by the arguments among ``names``, the first if there is none."""
    from autograd_mini.deriving import derivation

    if subject.function is None:
        raise ValueError("derivation: only a function is derived, not a graph that exists")
    wrt = [name for name in names if name in subject.arguments] or None
    found = derivation(subject.function, subject.arguments, wrt, subject.out)
    return replace(found, marks=dict(marks))
