"""A picture before it has a look: boxes and the arrows between them, with the numbers that they show."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from autograd_mini import rules
from autograd_mini.drawing import chains
from autograd_mini.drawing.families import Family
from autograd_mini.drawing.graph import DrawnGraph, Key, Options, Selection
from autograd_mini.drawing.numbers import sweep
from autograd_mini.drawing.steps import function_of
from autograd_mini.labels import split_label
from autograd_mini.scopes import Path, scope_of
from autograd_mini.value import Value, constant

TOTAL = "d root"  # the derivative over all ways to the root; ∂ is that of one operation


@dataclass
class Box:
    """``kind`` is leaf, constant, interior, root, reverse (of a gradient graph), closed or rest.

    ``rows`` are names with one number each, or one for each of the ``indices``. ``marked`` and ``steepest``
    tell the place of a number.
    """

    id: str
    kind: str
    title: str = ""
    named: bool = True  # by the user
    symbol: str = ""
    rows: list[tuple[str, list[float]]] = field(default_factory=list)
    indices: list[str] = field(default_factory=list)
    shape: tuple[int, ...] = ()
    group: Path = ()
    number: int | None = None
    steepest: int | None = None
    marked: list[int] = field(default_factory=list)


@dataclass
class Arrow:
    """One arrow, or ``count`` of them where a group or family is drawn; then its contribution is their sum.

    ``kind`` is operand, uses (a forward value in the reverse graph), reverse or rest. ``partial`` is the
    least and the largest.
    """

    tail: Box
    head: Box
    id: str
    kind: str = "operand"
    partial: tuple[float, float] | None = None
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
    arrows = [*_arrows(graph, selection, options, boxes), *_left_out(selection, boxes, rest)]
    for arrow in arrows:  # of the steps of a function the last has its name
        if not arrow.tail.named and arrow.tail.title == arrow.head.title:
            arrow.tail.title = ""
    notes = [*selection.notes]
    if options.attribute:
        notes += _several_sweeps(graph, boxes)
    return Picture([*boxes.values(), *rest], arrows, notes)


# --- boxes ------------------------------------------------------------------------------------------


def _boxes(graph: DrawnGraph, selection: Selection, options: Options) -> dict[Key, Box]:
    boxes: dict[Key, Box] = {}
    inside: dict[Path, list[Value]] = defaultdict(list)
    key_of = selection.boxes.get
    for place, node in enumerate(graph.order):
        key = key_of(node)
        if key is node:
            boxes[node] = _box([node], graph, selection, options, f"n{place}")
        elif isinstance(key, Family) and key not in boxes:
            box = boxes[key] = _box(key.members, graph, selection, options, f"a{len(boxes)}")
            box.indices = [",".join(map(str, index)) for index in key.indices]
            box.shape = key.shape
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
        key = selection.boxes[graph.steepest]
        boxes[key].steepest = _place(graph.steepest, key)
    for node in graph.order if graph.marked else ():
        if node in graph.marked and node in selection.boxes:
            boxes[selection.boxes[node]].marked.append(_place(node, selection.boxes[node]))
    if options.numbered:
        keys = map(key_of, sweep(graph.roots))
        last = {key: visit for visit, key in enumerate(keys) if key in boxes}
        for number, key in enumerate(sorted(last, key=last.__getitem__), 1):
            boxes[key].number = number
    return boxes


def _place(node: Value, key: Key) -> int:
    members = key.members if isinstance(key, Family) else ()  # equal numbers are not one node
    return next((i for i, member in enumerate(members) if member is node), 0)


def _box(nodes: Sequence[Value], graph: DrawnGraph, selection: Selection, options: Options, id: str) -> Box:
    node = nodes[0]
    # Frames in frames bend the edges: an array has one only where no scope has.
    group = scope_of(node) or (graph.paths.get(node, ()) if len(nodes) == 1 else ())
    box = Box(id, "interior", group=group, symbol=_symbol(nodes, selection))
    if node in graph.ends:
        box.kind = "root"
    elif node.op is constant:
        box.kind = "constant"
    elif node not in graph.gradients:
        box.kind = "reverse"
    elif not node.args:
        box.kind = "leaf"
    box.title = node.label if len(nodes) == 1 else split_label(node.label)[0]
    if not box.title:
        box.named = False
        box.title = function_of(nodes[-1]) or ("root" if any(x is node for x in graph.roots) else "")
    box.rows = [("" if box.kind == "constant" else "data", [x.data for x in nodes])]
    if node.op is not constant and node in graph.gradients:
        shown = ("grad", [x.grad for x in nodes]), (TOTAL, [graph.gradients[x] for x in nodes])
        box.rows.append(shown[not options.attribute])
    return box


def _symbol(nodes: Sequence[Value], selection: Selection) -> str:
    """The operation; a constant that gets no box of its own is written into it, as in ``** 2``."""
    node = nodes[0]
    symbol = node.op.symbol
    sign = chains.SYMBOLS.get(node.op)
    if sign and not selection.top.keys().isdisjoint(node.args):
        return _folded(nodes, sign, selection)
    if node.args and node.args[0] in selection.top and node.op is rules.exp:
        return f"exp({_shifted(node.args[0])})"
    if node.op is rules.sub and node.args[1].op is rules.detach and node.args[1] not in selection.boxes:
        return _shifted(node)
    hidden = [x.op is constant and x not in selection.boxes for x in node.args]
    if not any(hidden):
        return symbol
    operands = [_common(x.args[i].data for x in nodes) if hide else "" for i, hide in enumerate(hidden)]
    if node.op in (rules.xlogy, rules.xlog1py):
        return symbol.replace("t", operands[0], 1) if operands[0] else f"{symbol}, y = {operands[1]}"
    if len(operands) == 2 and not symbol[:1].isalpha():
        return f"{operands[0]} {symbol} {operands[1]}".strip()
    return f"{symbol}({', '.join(text or '·' for text in operands)})"


def _folded(nodes: Sequence[Value], sign: str, selection: Selection) -> str:
    """Σ, ∏ or an extremum, with the constants among its terms that get no box."""
    found = []
    for node in nodes:
        terms = (x for x, _ in chains.inputs(node, selection.top))
        numbers = [x.data for x in terms if x.op is constant and x not in selection.boxes]
        found.append(FOLDS[sign](numbers) if numbers else math.nan)
    number = _common(found)
    if number == "nan":
        return sign
    return {"Σ": f"Σ + {number}", "∏": f"{number} ∏"}.get(sign, f"{sign}(·, {number})")


FOLDS: dict[str, Callable[[list[float]], float]] = {"Σ": sum, "∏": math.prod, "max": max, "min": min}


def _shifted(difference: Value) -> str:
    name = split_label(difference.args[0].label)[0]
    name = name if name.isidentifier() and len(name) <= 12 else "x"
    return f"{name} − max {name}"


def _common(numbers: Iterable[float]) -> str:
    """The number, if it is one."""
    texts = {f"{number:g}" for number in numbers}
    return texts.pop() if len(texts) == 1 else "c"


def _sum_up(box: Box, nodes: list[Value], graph: DrawnGraph) -> None:
    """A closed group's numbers: how many nodes it has, and the largest |d root| among them."""
    box.rows = [("nodes", [len(nodes)])]
    slopes = [abs(slope) for slope in map(graph.gradients.get, nodes) if slope is not None]
    if slopes:  # max passes over a nan, unless that comes first; a sum does not
        box.rows.append((f"max |{TOTAL}|", [math.nan if math.isnan(sum(slopes)) else max(slopes)]))


def _several_sweeps(graph: DrawnGraph, boxes: dict[Key, Box]) -> Iterator[str]:
    """The leaves whose ``.grad`` is not that of one sweep, which one sees from the root's own."""
    seed = graph.roots[0].grad
    odd = []
    for node, gradient in graph.gradients.items():
        leaf = not node.args and node.op is not constant
        if leaf and not _same(node.grad, seed * gradient):
            odd.append(node)
            if node in boxes:
                boxes[node].rows[-1] = ("Σ grad", [node.grad])
    if odd:
        yield (
            f"Σ grad: at {len(odd)} {'leaf' if len(odd) == 1 else 'leaves'} .grad is not {TOTAL}, "
            "but holds the sum of several sweeps; zero_grad() clears it"
        )


def _same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) or (math.isnan(a) and math.isnan(b))


# --- arrows -----------------------------------------------------------------------------------------


def _arrows(graph: DrawnGraph, selection: Selection, options: Options, boxes: dict[Key, Box]) -> list[Arrow]:
    """One arrow for each operand of a drawn node; those from or to a family or closed group are joined."""
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
            joined = not (isinstance(key, Value) and isinstance(tail, Value))
            id = f"{boxes[tail].id}-{boxes[key].id}-{0 if joined else place}"
            contribution = None
            if node not in graph.gradients:
                partial = None  # the reverse graph has values only
            elif options.contributions and partial is not None:
                contribution = partial * graph.gradients[node]
            shown = (partial, partial) if partial is not None and not closed else None
            if id not in arrows:
                kind = _kind(operand, node, graph)
                arrows[id] = Arrow(boxes[tail], boxes[key], id, kind, shown, contribution)
                continue
            arrow = arrows[id]
            arrow.count += 1
            arrow.partial = None if isinstance(tail, tuple) else _range(arrow.partial, shown)
            if contribution is not None:
                arrow.contribution = contribution + (arrow.contribution or 0.0)
    return list(arrows.values())


def _range(a: tuple[float, float] | None, b: tuple[float, float] | None) -> tuple[float, float] | None:
    if a is None or b is None:
        return None
    numbers = (*a, *b)
    return (math.nan, math.nan) if math.isnan(sum(map(abs, numbers))) else (min(numbers), max(numbers))


def _entered(selection: Selection) -> Iterator[tuple[Value, Key]]:
    """The drawn nodes that have an operand in another box: few, where large groups are closed."""
    box_of = selection.boxes.get
    for node, key in selection.boxes.items():
        for operand in node.args:
            if box_of(operand) is not key or operand in selection.top:
                yield node, key
                break


def _kind(operand: Value, node: Value, graph: DrawnGraph) -> str:
    if node in graph.gradients:
        return "operand"
    return "uses" if operand in graph.gradients and operand.op is not constant else "reverse"


def _left_out(selection: Selection, boxes: dict[Key, Box], rest: list[Box]) -> Iterator[Arrow]:
    """Dots in the place of operands that a part of a graph does not show."""
    if not selection.part:
        return
    for node, key in selection.boxes.items():
        missing = {x for x in node.args if x not in selection.boxes and x.op is not constant}
        if missing:
            head = boxes[key]
            dots = Box(f"{head.id}-rest", "rest", f"… {len(missing)} more")
            rest.append(dots)
            yield Arrow(dots, head, f"{dots.id}-{head.id}-0", "rest")
