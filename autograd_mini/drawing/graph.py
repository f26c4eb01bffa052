"""The graph to be drawn, and which box of the picture each of its nodes is drawn in.

A node has a box of its own, or shares that of its family, whose numbers are a table. The nodes of a closed
group share one, merged operations are drawn in the Σ or ∏ at their top, and some nodes are not drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, repeat
from typing import cast

from autograd_mini.drawing import chains, groups
from autograd_mini.drawing.families import Family, families_of, shifts
from autograd_mini.labels import in_order
from autograd_mini.scopes import Path
from autograd_mini.sweeps import gradients
from autograd_mini.value import Value, constant

Key = Value | Family | Path  # what a box stands for: one node, a family, or a closed group

SMALL = 50  # boxes of a picture that shows each node by itself, unless it is asked for
AROUND = 60  # nodes next to the roots that are drawn of a graph that is too large
ALL = "all of them: draw(…, limit=None)"


@dataclass(frozen=True)
class Options:
    """What is asked of a drawing, apart from its look; see `draw`."""

    contributions: bool = False
    constants: bool = True
    sums: bool = False
    numbered: bool = False
    attribute: bool = False
    arrays: bool | None = None
    collapse: Collection[str] | bool = ()
    limit: int | None = None


@dataclass
class DrawnGraph:
    """The nodes at or below the roots, as one would write them, and what is known of each."""

    roots: Sequence[Value]
    results: Sequence[Value]  # of a gradient graph, which is drawn beside
    marked: Collection[Value]
    order: list[Value] = field(init=False)
    gradients: dict[Value, float] = field(init=False)  # of the forward graph's nodes
    paths: dict[Value, Path] = field(init=False)
    ends: set[Value] = field(init=False)  # roots and results
    steepest: Value | None = field(init=False)  # the leaf that moves the root most

    def __post_init__(self) -> None:
        forward = written_order(self.roots)
        self.order = written_order([*self.roots, *self.results]) if self.results else forward
        self.gradients = gradients(self.roots, forward)
        self.paths = groups.paths(self.order)
        self.ends = {*self.roots, *self.results}
        self.steepest = _steepest_leaf(
            (node for node in forward if not node.args and node.op is not constant), self.gradients
        )

    def together(self, x: Value, node: Value) -> bool:
        """Whether x may be merged into the operation above it: nobody would look for it by itself."""
        if x.label or x in self.ends or x in self.marked or self.paths.get(x) != self.paths.get(node):
            return False
        return (x in self.gradients) == (node in self.gradients)


def written_order(roots: Sequence[Value]) -> list[Value]:
    """The nodes in topological order as one would write them: leaves in the order of their names and
    indices, constants, then results, the left operand's first.

    >>> a = [Value(1.0, label=f"a{i}") for i in (10, 2)]
    >>> [node.label for node in written_order([a[0].exp() * a[1].sin()])]
    ['a2', 'a10', '', '', '']
    """
    interior: list[Value] = []
    seen: set[Value] = set()
    stack: list[Value | None] = [node for node in reversed(roots) if node.args]
    while stack:
        node = stack.pop()
        if node is None:  # everything below the node under this mark is done
            interior.append(cast(Value, stack.pop()))
        elif node not in seen:
            seen.add(node)
            stack += (node, None)
            stack += [operand for operand in reversed(node.args) if operand.args]
    below = (operand for node in interior for operand in node.args)
    leaves = dict.fromkeys(node for node in (*roots, *below) if not node.args)
    constants = [leaf for leaf in leaves if leaf.op is constant]
    moved = sorted(
        (leaf for leaf in leaves if leaf.op is not constant), key=lambda leaf: in_order(leaf.label)
    )
    return [*moved, *constants, *interior]


def _steepest_leaf(leaves: Iterable[Value], gradients: dict[Value, float]) -> Value | None:
    """The leaf that moves the root most: that of the largest |d root|, if there is one such."""
    slopes = {leaf: abs(gradients[leaf]) for leaf in leaves}
    largest = max((slope for slope in slopes.values() if slope == slope), default=0.0)  # nan is none
    steepest = [leaf for leaf, slope in slopes.items() if slope == largest]
    return steepest[0] if len(steepest) == 1 < len(slopes) and largest > 0.0 else None


@dataclass
class Selection:
    """``boxes`` tells the box of each node that is drawn; ``top`` the head of each merged operation."""

    boxes: dict[Value, Key]
    top: dict[Value, Value] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    part: bool = False

    def count(self) -> int:
        return len(set(self.boxes.values()))


def select(graph: DrawnGraph, options: Options) -> Selection:
    """Which nodes are drawn, and in which box; at most ``limit`` boxes.

    A large graph is drawn in arrays if that makes it smaller, else with its groups closed, else in part.
    """
    names = options.collapse
    known = {name for path in set(graph.paths.values()) for name in path}
    if isinstance(names, bool):
        names = known if names else ()
    elif unknown := [name for name in names if name not in known]:
        raise ValueError(
            f"draw: collapse names no group {unknown[0]!r}; this graph has "
            + (", ".join(map(repr, sorted(known))) or "none: name parts with scope(...)")
        )
    limit = math.inf if options.limit is None else options.limit
    count = _fewest(graph, options, names)
    elements = _whole(graph, options, names) if count <= limit else None
    if elements is not None:
        count = elements.count()
    if options.arrays or (options.arrays is None and options.limit is not None and count > SMALL):
        most = limit if options.arrays else min(limit, count / 2)
        arrays = _in_arrays(graph, options, names, most)
        if arrays is not None and arrays.count() <= most:
            return arrays
    if elements is not None and count <= limit:
        return elements
    if known:
        closed = _whole(graph, options, known)
        if closed.count() <= limit:
            closed.notes.append(f"{len(graph.order):,} nodes, their groups drawn closed; {ALL}")
            return closed
    return _part(graph, options, int(limit))


def _fewest(graph: DrawnGraph, options: Options, names: Collection[str]) -> int:
    """At least so many boxes are needed to draw everything: seen without sorting every node into one."""
    if names or options.sums:
        return 0
    if options.constants:
        return len(graph.order)
    return sum(node.op is not constant for node in graph.order)


def _whole(graph: DrawnGraph, options: Options, names: Collection[str]) -> Selection:
    """Every node by itself, with the groups of these names closed."""
    top = chains.heads(graph.order, graph.together) if options.sums else {}
    hidden = set() if options.constants else {node for node in graph.order if node.op is constant}
    return Selection(dict(_sorted_into(graph, names, top, {}, hidden)), top)


def _in_arrays(graph: DrawnGraph, options: Options, names: Collection[str], most: float) -> Selection | None:
    """Every family as one box, sums and products merged, a softmax's shift in what it shifts."""
    top = chains.heads(graph.order, graph.together)
    merged, hidden = shifts(graph.order, graph.together)
    top |= merged
    family = families_of(graph, top, most)
    if family is None:
        return None
    hidden |= {x for x in graph.order if x.op is constant and (x not in family or not options.constants)}
    boxes = dict(_sorted_into(graph, names, top, family, hidden))
    found = Selection(boxes, top)
    if any(isinstance(key, Family) for key in boxes.values()):
        found.notes.append(
            f"{len(graph.order):,} nodes in {found.count():,} boxes, as arrays; "
            "element by element: draw(…, arrays=False)"
        )
    return found


def _sorted_into(
    graph: DrawnGraph,
    names: Collection[str],
    top: dict[Value, Value],
    family: dict[Value, Family],
    hidden: Collection[Value],
) -> Iterator[tuple[Value, Key]]:
    """Each node with its box: the closed group around it, its family, or the operation that it is part of."""
    one: dict[Path, Path] = {}  # object for each closed group, so that boxes are compared by identity
    shut: dict[Path, Path] = {}
    for path in {(): (), **dict.fromkeys(graph.paths.values())}:
        group = groups.closed(path, names)
        shut[path] = one.setdefault(group, group)
    of_group = map(shut.__getitem__, map(graph.paths.get, graph.order, repeat(())))
    for node, group in zip(graph.order, of_group, strict=True):
        if group and node not in graph.ends:  # ends one looks for, whatever is closed around them
            yield node, group
        elif node not in hidden:
            head = top.get(node, node)
            yield node, family.get(head, head)


def _part(graph: DrawnGraph, options: Options, limit: int) -> Selection:
    """The part around the roots."""
    shown = _around(
        [*graph.roots, *graph.results],
        lambda node: (x for x in node.args if options.constants or x.op is not constant),
        min(AROUND, limit),
    )
    notes = [f"{len(shown):,} of {len(graph.order):,} nodes, those around the root; {ALL}"]
    return Selection({node: node for node in graph.order if node in shown}, notes=notes, part=True)


def _around(
    roots: Sequence[Value], operands: Callable[[Value], Iterable[Value]], most: int
) -> dict[Value, None]:
    """The first nodes met when walking down from the roots breadth-first."""
    found = dict.fromkeys(islice(roots, most))
    queue = list(found)
    for node in queue:
        for operand in operands(node):
            if len(found) >= most:
                return found
            if operand not in found:
                found[operand] = None
                queue.append(operand)
    return found
