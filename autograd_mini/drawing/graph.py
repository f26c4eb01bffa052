"""The graph to be drawn, and which box of the picture each of its nodes is drawn in.

Most nodes have a box of their own. The nodes of a closed group share one, merged operations are drawn in the
Σ or ∏ at their top, and some nodes are not drawn at all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, repeat

from autograd_mini.drawing import chains, groups, limits
from autograd_mini.scopes import Path
from autograd_mini.sweeps import gradients
from autograd_mini.value import Value, constant, topological_order

Key = Value | Path  # what a box stands for: one node, or a closed group

ALL = "all of them: draw(…, limit=None)"


@dataclass(frozen=True)
class Options:
    """What is asked of a drawing, apart from its look; see `draw`."""

    contributions: bool = False
    constants: bool = True
    sums: bool = False
    numbered: bool = False
    attribute: bool = False
    collapse: Collection[str] | bool = ()
    limit: int | None = None


@dataclass
class DrawnGraph:
    """The nodes at or below the roots, in topological order, and what is known of each."""

    roots: Sequence[Value]
    results: Sequence[Value]  # of a gradient graph, which is drawn beside
    marked: Collection[Value]
    order: list[Value] = field(init=False)
    gradients: dict[Value, float] = field(init=False)  # of the forward graph's nodes
    paths: dict[Value, Path] = field(init=False)
    ends: set[Value] = field(init=False)  # roots and results
    steepest: Value | None = field(init=False)  # the leaf that moves the root most

    def __post_init__(self) -> None:
        forward = topological_order(*self.roots)
        self.order = topological_order(*self.roots, *self.results) if self.results else forward
        self.gradients = gradients(self.roots, forward)
        self.paths = groups.paths(self.order)
        self.ends = {*self.roots, *self.results}
        self.steepest = limits.steepest_leaf(
            (node for node in forward if not node.args and node.op is not constant), self.gradients
        )


@dataclass
class Selection:
    """``boxes`` tells the box of each node that is drawn; ``top`` the head of each merged operation."""

    boxes: dict[Value, Key]
    top: dict[Value, Value]
    notes: list[str] = field(default_factory=list)
    gap: tuple[Value, Value] | None = None  # in the steepest path, from its upper to its lower end
    part: bool = False

    def count(self) -> int:
        return len(set(self.boxes.values()))


def select(graph: DrawnGraph, options: Options) -> Selection:
    """Which nodes are drawn, and in which box; at most ``limit`` boxes."""
    names = options.collapse
    known = {name for path in set(graph.paths.values()) for name in path}
    if isinstance(names, bool):
        names = known if names else ()
    elif unknown := [name for name in names if name not in known]:
        raise ValueError(
            f"draw: collapse names no group {unknown[0]!r}; this graph has "
            + (", ".join(map(repr, sorted(known))) or "none: name parts with scope(...)")
        )
    limit = options.limit
    if limit is None or _fewest(graph, options, names) <= limit:
        selection = _whole(graph, options, names)
        if limit is None or selection.count() <= limit:
            return selection
    if known:
        closed = _whole(graph, options, known)
        if closed.count() <= limit:
            closed.notes.append(f"{len(graph.order):,} nodes, their groups drawn closed; {ALL}")
            return closed
    return _part(graph, options, limit)


def _fewest(graph: DrawnGraph, options: Options, names: Collection[str]) -> int:
    """At least so many boxes are needed to draw everything: seen without sorting every node into one."""
    if names or options.sums:
        return 0
    if options.constants:
        return len(graph.order)
    return sum(node.op is not constant for node in graph.order)


def _whole(graph: DrawnGraph, options: Options, names: Collection[str]) -> Selection:
    """Every node, with the groups of these names closed."""
    top = chains.heads(graph.order, lambda x, node: _together(graph, x, node)) if options.sums else {}
    one: dict[Path, Path] = {}  # object for each closed group, so that boxes are compared by identity
    shut: dict[Path, Path] = {}
    for path in {(): (), **dict.fromkeys(graph.paths.values())}:
        group = groups.closed(path, names)
        shut[path] = one.setdefault(group, group)
    of_group = map(shut.__getitem__, map(graph.paths.get, graph.order, repeat(())))
    boxes: dict[Value, Key] = {
        node: group or top.get(node, node)
        for node, group in zip(graph.order, of_group, strict=True)
        if group or options.constants or node.op is not constant
    }
    boxes.update((node, node) for node in graph.ends)  # these one looks for, whatever is closed around them
    return Selection(boxes, top)


def _together(graph: DrawnGraph, x: Value, node: Value) -> bool:
    """Whether x may be merged into the operation above it: nobody would look for it by itself."""
    if x.label or x in graph.ends or x in graph.marked or graph.paths.get(x) != graph.paths.get(node):
        return False
    return (x in graph.gradients) == (node in graph.gradients)


def _part(graph: DrawnGraph, options: Options, limit: int) -> Selection:
    """The part around the roots and both ends of the steepest path."""
    path: list[Value] = []
    if graph.steepest is not None:
        path = limits.steepest_path(graph.roots, graph.order, graph.steepest, graph.gradients)
    ends = [*path[: limits.ENDS], *path[limits.ENDS :][-limits.ENDS :]][: limit - 1]
    shown = limits.around(
        [*graph.roots, *graph.results],
        lambda node: (x for x in node.args if options.constants or x.op is not constant),
        max(1, min(limits.AROUND, limit - len(ends))),
    )
    shown.update(dict.fromkeys(ends))
    gap = None
    for upper, lower in pairwise(path):
        if upper in shown and lower not in shown:
            gap = next(((upper, x) for x in path[-limits.ENDS :] if x in shown and x is not upper), None)
            break
    why = "those around the root"
    if path:
        why += " and the steepest path, to the leaf that moves the root most"
    notes = [f"{len(shown):,} of {len(graph.order):,} nodes: {why}; {ALL}"]
    boxes: dict[Value, Key] = {node: node for node in graph.order if node in shown}
    return Selection(boxes, {}, notes, gap, part=True)
