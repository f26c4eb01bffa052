"""A picture in Graphviz's language."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from html import escape
from typing import TYPE_CHECKING

from autograd_mini.drawing.picture import Arrow, Box, Picture
from autograd_mini.drawing.style import Theme, form
from autograd_mini.scopes import Path

if TYPE_CHECKING:  # what only pictures need is imported when one is drawn: the package's import stays cheap
    from graphviz import Digraph

FONT = "Helvetica"  # the bundled renderer knows its widths, and Graphviz names sans-serif as a stand-in
NO_XML = "[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]"
LONG = 4000  # ranks that arrows may cross together, before the best layout takes more than some seconds


def digraph_of(picture: Picture, theme: Theme, direction: str, precision: int) -> Digraph:
    from graphviz import Digraph

    text = _Text(theme, precision)
    digraph = Digraph(
        graph_attr={
            "rankdir": direction, "nodesep": "0.2", "ranksep": "0.45", "bgcolor": theme.background,
            "fontname": FONT, "fontsize": "11", "fontcolor": theme.text, **text.notes(picture.notes),
        },
        node_attr={
            "shape": "box", "fontname": FONT, "fontsize": "11", "margin": "0.1,0.05",
            "color": theme.text, "fontcolor": theme.text,
        },
        edge_attr={
            "fontname": FONT, "fontsize": "10", "arrowsize": "0.7",
            "color": theme.line, "fontcolor": theme.text,
        },
    )  # fmt: skip
    rank = _ranks(picture)
    if sum(abs(rank[arrow.head.id] - rank[arrow.tail.id]) for arrow in picture.arrows) > LONG:
        digraph.attr(splines="line", nslimit="1", mclimit="0.5")
    _boxes(digraph, picture.boxes, text)
    for tail, head in (*_reverse_after_forward(picture), *_in_line(picture, rank)):
        digraph.edge(tail, head, style="invis")
    sizes = (abs(arrow.contribution or 0.0) for arrow in picture.arrows)
    largest = max(filter(math.isfinite, sizes), default=0.0)
    for arrow in picture.arrows:
        look = text.contribution(arrow.contribution, largest) if arrow.contribution is not None else {}
        if arrow.kind in ("uses", "rest"):
            look["style"] = {"uses": "dashed", "rest": "dotted"}[arrow.kind]
        if arrow.kind == "uses" and arrow.tail.group:
            look["weight"] = "0"  # many would pull what follows a frame to its left, against its arrows
        if arrow.tail.marked and arrow.head.marked:
            look.update(color=theme.mark, penwidth="3")
        digraph.edge(arrow.tail.id, arrow.head.id, text.arrow(arrow), id=arrow.id, **look)
    return digraph


def _boxes(digraph: Digraph, boxes: list[Box], text: _Text) -> None:
    """Every box, inside the frames of its groups."""
    from graphviz import Digraph

    here: dict[Path, list[Box]] = defaultdict(list)
    for box in boxes:
        here[box.group].append(box)
    inner: dict[Path, dict[Path, None]] = defaultdict(dict)
    for group in tuple(here):
        for depth in range(len(group)):
            inner[group[:depth]][group[: depth + 1]] = None
    frames: dict[Path, Digraph] = {}  # each before those inside of it
    stack: list[Path] = [()]
    while stack:
        path = stack.pop()
        frame = frames[path] = Digraph(f"cluster_{len(frames) - 1}") if path else digraph
        if path:
            frame.attr(id=frame.name, label="\\n".join(_lines(path[-1])), **text.frame())
        for box in here[path]:
            frame.node(box.id, text.box(box), id=box.id, **text.form(box))
        stack += reversed(inner[path])
    for path, frame in reversed(frames.items()):
        for group in inner[path]:
            frame.subgraph(frames[group])


class _Text:
    """The text and the look of the parts of a picture, in a theme."""

    def __init__(self, theme: Theme, precision: int) -> None:
        self.theme = theme
        self.precision = precision

    def number(self, number: float) -> str:
        return f"{number:,}" if isinstance(number, int) else format(number, f".{self.precision}g")

    def form(self, box: Box) -> dict[str, str]:
        look = form(box.kind, self.theme)
        if box.steepest:
            look["penwidth"] = "3"
        if box.marked:
            look.update(color=self.theme.mark, penwidth="3.5")
        return look

    def frame(self) -> dict[str, str]:
        return {
            "style": "filled,rounded", "fillcolor": self.theme.group, "color": self.theme.muted,
            "fontname": FONT, "fontsize": "11", "fontcolor": self.theme.muted,
            "labeljust": "l", "margin": "9",
        }  # fmt: skip

    def box(self, box: Box) -> str:
        """A table in Graphviz's HTML-like language: name and operation, below them the numbers."""
        title = []
        if box.number is not None:
            title.append(f'<FONT COLOR="{self.theme.muted}">{box.number}.</FONT>')
        if box.title.strip():
            name = "<BR/>".join(_lines(box.title))
            title.append(f"<B>{name}</B>" if box.kind != "rest" else name)
        if box.symbol.strip():
            title.append(f'<FONT POINT-SIZE="14">{"<BR/>".join(_lines(box.symbol))}</FONT>')
        if box.kind == "constant":
            title += [self.number(number) for _, number in box.rows]
        if box.marked:
            title.append(f'<FONT COLOR="{self.theme.mark}"><B>●</B></FONT>')
        rows = [f'<TD COLSPAN="2">{"&#160;&#160;".join(title)}</TD>'] if title else []
        if box.kind != "constant":
            rows += [self.row(name, number, box.steepest) for name, number in box.rows]
        body = "".join(f"<TR>{row}</TR>" for row in rows)
        return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">{body}</TABLE>>'

    def row(self, name: str, number: float, steepest: bool) -> str:
        shown = self.number(number)
        if steepest and "∂root" in name:
            shown = f"<B>{shown}</B>"
        name = f'<FONT COLOR="{self.theme.muted}">{name}</FONT>'
        return f'<TD ALIGN="LEFT">{name}</TD><TD ALIGN="RIGHT">{shown}</TD>'

    def arrow(self, arrow: Arrow) -> str:
        """The partial, below it what the arrow adds to the gradient of the node it comes from."""
        lines = []
        if arrow.count > 1:
            lines.append(f"{arrow.count:,} edges")
        if arrow.partial is not None:
            lines.append(f"∂ {self.number(arrow.partial)}")
        if arrow.contribution is not None:
            lines.append(f"+= {self.number(arrow.contribution + 0.0)}")
        if arrow.contribution is None:
            return "\\n".join(lines)
        rows = "".join(f"<TR><TD>&#160;{line}&#160;</TD></TR>" for line in lines)
        rows += '<TR><TD HEIGHT="4"></TD></TR>'  # keeps a wide line off the text
        return f'<<TABLE BORDER="0" CELLSPACING="0" CELLPADDING="1">{rows}</TABLE>>'

    def contribution(self, amount: float, largest: float) -> dict[str, str]:
        """Width by size, colour and arrowhead by sign."""
        share = min(abs(amount) / largest, 1.0) if largest and not math.isnan(amount) else 0.0
        look = {"penwidth": f"{0.6 + 3.4 * share:.2f}"}
        if amount > 0:
            look["color"] = self.theme.positive
        elif amount < 0:
            look.update(color=self.theme.negative, arrowhead="empty")
        return look

    def notes(self, notes: Iterable[str]) -> dict[str, str]:
        label = "".join(f"{line}\\l" for note in notes for line in _lines(note))
        return {"label": label, "labelloc": "t", "labeljust": "l"} if label else {}


def _lines(text: str) -> list[str]:
    """The lines of a text for a label: Graphviz reads entities and backslashes in all, and skips tabs."""
    lines = text.replace("\\", "\\\\").replace("\t", " ").splitlines()
    return [escape(visible(line)).replace("]", "&#93;") for line in lines]  # 2.42 fails on ]


def visible(text: str) -> str:
    """The text with a sign in the place of each character that XML cannot hold."""
    return re.sub(NO_XML, "\N{REPLACEMENT CHARACTER}", text)


# --- the order from left to right -------------------------------------------------------------------


def _ranks(picture: Picture) -> dict[str, int]:
    """The length of the longest way to each box, its column in the layout."""
    tails: dict[str, list[str]] = defaultdict(list)
    for arrow in picture.arrows:
        tails[arrow.head.id].append(arrow.tail.id)
    rank: dict[str, int] = {}
    for box in picture.boxes:  # in topological order, but for closed groups
        rank[box.id] = 1 + max((rank.get(tail, 0) for tail in tails[box.id]), default=0)
    return rank


def _reverse_after_forward(picture: Picture) -> Iterator[tuple[str, str]]:
    """From the root to where the gradient graph begins."""
    inner = {
        arrow.head.id for arrow in picture.arrows if arrow.kind == "reverse" and arrow.tail.kind != "constant"
    }
    first = dict.fromkeys(arrow.head.id for arrow in picture.arrows if arrow.kind == "uses")
    roots = [box.id for box in picture.boxes if box.kind == "root"]
    return ((roots[0], id) for id in first if id not in inner and id != roots[0])


def _in_line(picture: Picture, rank: dict[str, int]) -> Iterator[tuple[str, str]]:
    """From what enters a scope last to the scope's own leaves, so that frames follow one another.

    A layer's weights would else be placed beside the layer before, and its frame above or below it.
    """
    entering: dict[str, dict[str, None]] = defaultdict(dict)
    for arrow in picture.arrows:
        if arrow.head.group and arrow.tail.group[:1] != arrow.head.group[:1]:
            entering[arrow.head.group[0]][arrow.tail.id] = None
    has_tail = {arrow.head.id for arrow in picture.arrows}
    for name, tails in entering.items():
        inside = [box for box in picture.boxes if box.group[:1] == (name,)]
        operations = [rank[box.id] for box in inside if box.id in has_tail]
        last = max(tails, key=rank.__getitem__)
        if rank[last] < min(operations):  # else the scope was entered more than once
            yield from ((last, box.id) for box in inside if box.id not in has_tail)
