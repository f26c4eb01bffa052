"""A picture before it has a look: boxes and the arrows between them, with the numbers that they show."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from autograd_mini.drawing import chains
from autograd_mini.drawing.graph import DrawnGraph, Key, Options, Selection
from autograd_mini.drawing.numbers import sweep
from autograd_mini.scopes import Path, scope_of
from autograd_mini.value import Value, constant


@dataclass
class Box:
    """``kind`` is leaf, constant, interior, root, reverse (of a gradient graph), closed or rest."""

    id: str
    kind: str
    title: str = ""
    symbol: str = ""
    rows: list[tuple[str, float]] = field(default_factory=list)
    group: Path = ()
    number: int | None = None
    steepest: bool = False
    marked: bool = False


@dataclass
class Arrow:
    """One arrow, or ``count`` of them where a group is closed; then its contribution is their sum.

    ``kind`` is operand, uses (a forward value in the reverse graph), reverse or rest.
    """

    tail: Box
    head: Box
    id: str
    kind: str = "operand"
    partial: float | None = None
    contribution: float | None = None
    count: int = 1


@dataclass
class Picture:
    boxes: list[Box]
    arrows: list[Arrow]
    notes: list[str]


def picture_of(graph: DrawnGraph, selection: Selection, options: Options) -> Picture:
    boxes = _boxes(graph, selection, options)
    rest: list[Box] = []
    arrows = [*_arrows(graph, selection, options, boxes), *_left_out(selection, options, boxes, rest)]
    notes = [*selection.notes]
    if options.attribute:
        notes += _several_sweeps(graph, boxes)
    return Picture([*boxes.values(), *rest], arrows, notes)


# --- boxes ------------------------------------------------------------------------------------------


def _boxes(graph: DrawnGraph, selection: Selection, options: Options) -> dict[Key, Box]:
    heads = set(selection.top.values())
    boxes: dict[Key, Box] = {}
    inside: dict[Path, list[Value]] = defaultdict(list)
    key_of = selection.boxes.get
    for place, node in enumerate(graph.order):
        key = key_of(node)
        if key is node:
            boxes[node] = _box(node, graph, options, f"n{place}", merged=node in heads)
        elif isinstance(key, tuple):
            inside[key].append(node)
    for path in inside:
        boxes[path] = Box(f"g{len(boxes)}", "closed", path[-1], group=path[:-1])
    for path, nodes in inside.items():
        _sum_up(boxes[path], nodes, graph)
    for node in graph.ends & boxes.keys():  # drawn beside the closed group that they are in
        group = boxes[node].group
        boxes[node].group = next((path[:-1] for path in inside if path == group[: len(path)]), group)
    if graph.steepest is not None and graph.steepest in selection.boxes:
        boxes[selection.boxes[graph.steepest]].steepest = True
    for node in graph.marked:
        if node in selection.boxes:
            boxes[selection.boxes[node]].marked = True
    if options.numbered:
        visited = (boxes[node] for node in sweep(graph.roots) if node in boxes)
        for number, box in enumerate(visited, 1):
            box.number = number
    return boxes


def _box(node: Value, graph: DrawnGraph, options: Options, id: str, merged: bool) -> Box:
    # Frames in frames bend the edges: an array has one only where no scope has.
    box = Box(id, "interior", node.label, group=scope_of(node) or graph.paths.get(node, ()))
    box.symbol = chains.SYMBOLS[node.op] if merged else _symbol(node, options)
    if node in graph.ends:
        box.kind = "root"
    elif node.op is constant:
        box.kind = "constant"
    elif node not in graph.gradients:
        box.kind = "reverse"
    elif not node.args:
        box.kind = "leaf"
    box.rows = [("" if box.kind == "constant" else "data", node.data)]
    if node.op is not constant and node in graph.gradients:
        box.rows.append(("grad", node.grad) if options.attribute else ("∂root", graph.gradients[node]))
    return box


def _symbol(node: Value, options: Options) -> str:
    """The operation; a constant that gets no box of its own is written into it, as in ``** 2``."""
    symbol = node.op.symbol
    if options.constants or not any(x.op is constant for x in node.args):
        return symbol
    operands = [f"{x.data:g}" if x.op is constant else "" for x in node.args]
    if len(operands) == 2 and not symbol[:1].isalpha():
        return f"{operands[0]} {symbol} {operands[1]}".strip()
    return f"{symbol}({', '.join(text or '·' for text in operands)})"


def _sum_up(box: Box, nodes: list[Value], graph: DrawnGraph) -> None:
    """A closed group's numbers: how many nodes it has, and the largest |∂root| among them."""
    box.rows = [("nodes", len(nodes))]
    slopes = [abs(slope) for slope in map(graph.gradients.get, nodes) if slope is not None]
    if slopes:  # max passes over a nan, unless that comes first; a sum does not
        box.rows.append(("max |∂root|", math.nan if math.isnan(sum(slopes)) else max(slopes)))


def _several_sweeps(graph: DrawnGraph, boxes: dict[Key, Box]) -> Iterator[str]:
    """The leaves whose ``.grad`` is not that of one sweep, which one sees from the root's own."""
    seed = graph.roots[0].grad
    odd = []
    for node, gradient in graph.gradients.items():
        leaf = not node.args and node.op is not constant
        if leaf and not _same(node.grad, seed * gradient):
            odd.append(node)
            if node in boxes:
                boxes[node].rows[-1] = ("Σ grad", node.grad)
    if odd:
        yield (
            f"Σ grad: at {len(odd)} {'leaf' if len(odd) == 1 else 'leaves'} .grad is not ∂root, "
            "but holds the sum of several sweeps; zero_grad() clears it"
        )


def _same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) or (math.isnan(a) and math.isnan(b))


# --- arrows -----------------------------------------------------------------------------------------


def _arrows(graph: DrawnGraph, selection: Selection, options: Options, boxes: dict[Key, Box]) -> list[Arrow]:
    """One arrow for each operand of a drawn node; those from or to a closed group are joined."""
    arrows: dict[str, Arrow] = {}
    for node, key in _entered(selection):
        closed = isinstance(key, tuple)
        if node in selection.top and not closed:
            continue
        if closed and not options.contributions:
            inputs: list[tuple[Value, float | None]] = [(operand, None) for operand in node.args]
        else:
            inputs = chains.inputs(node, {} if closed else selection.top)
        for place, (operand, partial) in enumerate(inputs):
            tail = selection.boxes.get(operand)
            if tail is None or tail is key:
                continue
            joined = closed or isinstance(tail, tuple)
            id = f"{boxes[tail].id}-{boxes[key].id}-{0 if joined else place}"
            contribution = None
            if node not in graph.gradients:
                partial = None  # the reverse graph has values only
            elif options.contributions and partial is not None:
                contribution = partial * graph.gradients[node]
            if id not in arrows:
                kind = _kind(operand, node, graph)
                shown = None if closed else partial
                arrows[id] = Arrow(boxes[tail], boxes[key], id, kind, shown, contribution)
                continue
            arrow = arrows[id]
            arrow.count += 1
            arrow.partial = None
            if contribution is not None:
                arrow.contribution = contribution + (arrow.contribution or 0.0)
    return list(arrows.values())


def _entered(selection: Selection) -> Iterator[tuple[Value, Key]]:
    """The drawn nodes that have an operand in another box: few, where large groups are closed."""
    box_of = selection.boxes.get
    for node, key in selection.boxes.items():
        for operand in node.args:
            if box_of(operand) is not key:
                yield node, key
                break


def _kind(operand: Value, node: Value, graph: DrawnGraph) -> str:
    if node in graph.gradients:
        return "operand"
    return "uses" if operand in graph.gradients and operand.op is not constant else "reverse"


def _left_out(
    selection: Selection, options: Options, boxes: dict[Key, Box], rest: list[Box]
) -> Iterator[Arrow]:
    """Dots in the place of operands that a part of a graph does not show."""
    if not selection.part:
        return
    for node, key in selection.boxes.items():
        missing = {
            x for x in node.args if x not in selection.boxes and (options.constants or x.op is not constant)
        }
        if missing:
            head = boxes[key]
            dots = Box(f"{head.id}-rest", "rest", f"… {len(missing)} more")
            rest.append(dots)
            yield Arrow(dots, head, f"{dots.id}-{head.id}-0", "rest")
            if selection.gap and node is selection.gap[0]:
                dots.title = "… the steepest path"
                tail = boxes[selection.gap[1]]
                yield Arrow(tail, dots, f"{tail.id}-{dots.id}-0", "rest")
