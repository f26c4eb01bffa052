"""A picture in Graphviz's language."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator
from html import escape
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from autograd_mini.drawing.picture import TOTAL, Arrow, Box, Picture
from autograd_mini.drawing.style import Look, form
from autograd_mini.labels import split_label
from autograd_mini.scopes import Path

if TYPE_CHECKING:  # what only pictures need is imported when one is drawn: the package's import stays cheap
    from graphviz import Digraph

FONT = "Helvetica"  # the bundled renderer knows its widths, and Graphviz names sans-serif as a stand-in
NO_XML = "[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]"
PAGE = 1050  # points, which are 1,400 pixels
MANY = 400  # boxes, which fit on no page
LONG = 4000  # ranks that arrows may cross together, before the best layout takes more than some seconds


def digraph_of(picture: Picture, look: Look) -> Digraph:
    from graphviz import Digraph

    rank = _ranks(picture)
    text = _fitted(picture, rank, look)
    look, theme = text.look, text.theme
    digraph = Digraph(
        graph_attr={
            "rankdir": look.direction or "", "nodesep": "0.2", "ranksep": "0.45", "bgcolor": theme.background,
            "remincross": "false",  # which would put the leaves in another order
            "fontname": FONT, "fontsize": "11", "fontcolor": theme.text, **text.caption(picture),
            **({"size": f"{look.size[0]:g},{look.size[1]:g}!"} if look.size else {}),
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
    if sum(abs(rank[arrow.head.id] - rank[arrow.tail.id]) for arrow in picture.arrows) > LONG:
        digraph.attr(splines="line", nslimit="1", mclimit="0.5")
    _boxes(digraph, picture.boxes, text)
    for tail, head in (*_reverse_after_forward(picture), *_in_line(picture, rank)):
        digraph.edge(tail, head, style="invis")
    sizes = (abs(arrow.contribution or 0.0) for arrow in picture.arrows)
    largest = max(filter(math.isfinite, sizes), default=0.0)
    arrays = any(box.indices for box in picture.boxes)
    for arrow in picture.arrows:
        form = text.contribution(arrow.contribution, largest) if arrow.contribution is not None else {}
        if arrow.kind in ("uses", "rest"):
            form["style"] = {"uses": "dashed", "rest": "dotted"}[arrow.kind]
        if arrays and arrow.tail.kind not in ("leaf", "constant"):
            form["weight"] = "8"  # else wide leaves push each result aside, and the picture becomes stairs
        if arrow.kind == "uses" and (arrow.tail.group or arrays):
            form["weight"] = "0"  # many would pull what follows a frame to its left, against its arrows
        if arrow.tail.marked and arrow.head.marked:
            form.update(color=theme.mark, penwidth="3")
        digraph.edge(arrow.tail.id, arrow.head.id, text.arrow(arrow), id=arrow.id, **form)
    return digraph


def _fitted(picture: Picture, rank: dict[str, int], look: Look) -> _Text:
    """The first look that fits on a page, or the narrowest; of what is too large for one, the first."""
    looks = [_Text(narrower) for narrower in look.fitted()]
    if len(picture.boxes) > MANY:
        return looks[0]
    widths = {text: _width(picture, rank, text) for text in looks}
    return next((text for text in looks if widths[text] <= PAGE), min(looks, key=widths.__getitem__))


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
        for name, leaves in groupby((box for box in here[path] if box.kind == "leaf"), _array):
            ids = [box.id for box in leaves]
            if name and len(ids) > 1:
                row = Digraph(graph_attr={"rank": "same"}, edge_attr={"style": "invis"})
                row.edges(pairwise(ids[::-1] if path and text.across else ids))  # frames are filled upwards
                frame.subgraph(row)
        stack += reversed(inner[path])
    for path, frame in reversed(frames.items()):
        for group in inner[path]:
            frame.subgraph(frames[group])


def _array(leaf: Box) -> str:
    """The array of which a leaf is an element; those of one stand in a row, in the order of their indices."""
    name, index = split_label(leaf.title)
    return name if index and not leaf.indices else ""


class _Text:
    """The text and the look of the parts of a picture."""

    def __init__(self, look: Look) -> None:
        self.look, self.theme, self.entries = look, look.theme, look.entries
        self.across = look.direction in ("LR", "RL")

    def number(self, number: float) -> str:
        return f"{number:,}" if isinstance(number, int) else format(number, f".{self.look.precision}g")

    def form(self, box: Box) -> dict[str, str]:
        look = form(box.kind, self.theme)
        if box.steepest is not None:
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
            title.append(f"<B>{name}</B>" if box.named and box.kind != "rest" else name)
        if box.symbol.strip():
            title.append(f'<FONT POINT-SIZE="14">{"<BR/>".join(_lines(box.symbol))}</FONT>')
        if box.kind == "constant" and not box.indices:
            title += [self.number(number) for _, [number] in box.rows]
        if len(box.shape) > 1 or len(box.indices) > self.entries:
            title.append(f'<FONT COLOR="{self.theme.muted}">{"×".join(map(str, box.shape))}</FONT>')
        if box.marked:
            title.append(f'<FONT COLOR="{self.theme.mark}"><B>●</B></FONT>')
        lines = [] if box.kind == "constant" and not box.indices else self.table(box)
        span = max([2, *map(len, lines)])
        rows = [f'<TD COLSPAN="{span}">{"&#160;&#160;".join(title)}</TD>'] if title else []
        body = "".join(f"<TR>{row}</TR>" for row in [*rows, *map("".join, lines)])
        room = 3 if box.indices else 2
        return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="{room}">{body}</TABLE>>'

    def width(self, box: Box) -> float:
        """About how wide a box becomes, in points."""
        title = sum(len(part) for part in (box.title, box.symbol)) * 7.0
        columns: list[float] = [max(map(_long, column)) + 5 for column in zip(*self.table(box), strict=True)]
        return max(title, sum(columns)) + 20

    def table(self, box: Box) -> list[list[str]]:
        """The numbers with their names, in cells; an array stands upright where the picture goes across."""
        places = self.places(box)
        side, other = ("RIGHT", "LEFT") if self.across and box.indices else ("LEFT", "RIGHT")
        lines = [
            [self.name(name, side), *(self.cell(box, name, xs, i) for i in places)] for name, xs in box.rows
        ]
        if box.indices:
            heads = [self.name("…" if i is None else box.indices[i], other) for i in places]
            lines.insert(0, ["<TD></TD>", *heads])
            if self.across:
                return [list(line) for line in zip(*lines, strict=True)]
        return lines

    def places(self, box: Box) -> list[int | None]:
        """Which numbers are shown: all of a few, else the first, last and largest, and what stands out."""
        count = len(box.rows[0][1]) if box.rows else 0
        if count <= self.entries:
            return [*range(count)]
        sizes = [math.inf if math.isnan(x) else abs(x) for x in box.rows[0][1]]
        some = {0, sizes.index(max(sizes)), count - 1, *box.marked[:1]}
        shown = sorted(some if box.steepest is None else {*some, box.steepest})
        gaps = [0, *(b - a - 1 for a, b in pairwise(shown))]
        return [i for place, gap in zip(shown, gaps, strict=True) for i in ([None] * (gap > 0) + [place])]

    def name(self, name: str, side: str) -> str:
        text = f'<FONT COLOR="{self.theme.muted}">{name}</FONT>' if name else ""  # an empty FONT is no text
        return f'<TD ALIGN="{side}">{text}</TD>'

    def cell(self, box: Box, name: str, numbers: list[float], place: int | None) -> str:
        shown = "…" if place is None else self.number(numbers[place])
        frame = ""  # and not bold letters, which stand higher than those beside them
        if place is not None and place == box.steepest and TOTAL in name:
            frame = ' BORDER="1"'
        elif place is not None and place in box.marked and box.indices:
            shown = f'<FONT COLOR="{self.theme.mark}">{shown}</FONT>'
            frame = f' BORDER="1" COLOR="{self.theme.mark}"'
        return f'<TD ALIGN="RIGHT"{frame}>{shown}</TD>'

    def arrow(self, arrow: Arrow) -> str:
        """The partial, below it what the arrow adds to the gradient of the node it comes from."""
        lines = []
        if arrow.count > 1 and "closed" in (arrow.tail.kind, arrow.head.kind):
            lines.append(f"{arrow.count:,} edges")
        if arrow.partial is not None:
            ends = [*dict.fromkeys(map(self.number, arrow.partial))]
            lines.append(f"∂ {' … '.join(ends)}" + "  " * (len(ends) - 1))  # renderers take … for narrow
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

    def caption(self, picture: Picture) -> dict[str, str]:
        """Above the picture its title, what it shows, and what the signs in it mean."""
        lines = [f'<B><FONT POINT-SIZE="15">{line}</FONT></B>' for line in _lines(self.look.title)]
        lines += [line for note in picture.notes for line in _lines(note)]
        lines += [f'<FONT COLOR="{self.theme.muted}">{line}</FONT>' for line in self.legend(picture)]
        if not lines:
            return {}
        label = "".join(f'{line}<BR ALIGN="LEFT"/>' for line in lines)
        return {"label": f"<{label}>", "labelloc": "t", "labeljust": "l"}

    def legend(self, picture: Picture) -> Iterator[str]:
        """What the signs mean that are in the picture."""
        if not self.look.legend:
            return
        boxes, arrows = picture.boxes, picture.arrows
        roots = [
            box.title for box in boxes if box.kind == "root" and any(name == TOTAL for name, _ in box.rows)
        ]
        if roots:
            root = roots[0] if len(roots) == 1 and len(roots[0]) <= 30 else "root"
            yield f"{TOTAL}: derivative of {' '.join(_lines(root))}, in the double frame, over all ways"
        if any(arrow.partial is not None for arrow in arrows):
            yield "∂ at an arrow: partial derivative of the one operation that it enters"
        if any(arrow.contribution is not None for arrow in arrows):
            up = f'<FONT COLOR="{self.theme.positive}"><B>blue</B></FONT> up'
            down = f'<FONT COLOR="{self.theme.negative}"><B>orange</B></FONT> and open down'
            yield f"+= at an arrow: its share of {TOTAL} where it starts; wide if large, {up}, {down}"
        if any(box.steepest is not None for box in boxes):
            yield f"thick frame: the leaf of the largest |{TOTAL}|"
        if any(box.kind == "constant" for box in boxes):
            yield "dashed frame: constants, without derivative"
        if any(arrow.kind == "uses" for arrow in arrows):
            yield "dashed arrow: the gradient uses a value of the forward pass"
        if any(box.marked for box in boxes):
            yield f'<FONT COLOR="{self.theme.mark}"><B>●</B></FONT> marked'


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
    edges = ((arrow.tail.id, arrow.head.id) for arrow in picture.arrows)
    for tail, head in (*edges, *_reverse_after_forward(picture)):
        tails[head].append(tail)
    rank: dict[str, int] = {}
    for box in picture.boxes:  # in topological order, but for closed groups
        rank[box.id] = 1 + max((rank.get(tail, 0) for tail in tails[box.id]), default=0)
    return rank


def _width(picture: Picture, rank: dict[str, int], text: _Text) -> float:
    """About how wide the picture becomes, in points; leaves stand beside what uses them, in their frame."""
    tails = {arrow.head.id for arrow in picture.arrows}
    beside: dict[object, int] = {}
    labels: dict[int, float] = defaultdict(float)
    for arrow in picture.arrows:
        at = rank[arrow.head.id]
        labels[at] = max(labels[at], _long(text.arrow(arrow)))
        for place in (arrow.tail.id, arrow.tail.group):
            beside[place] = min(beside.get(place, at), at)
    boxes: dict[int, list[float]] = defaultdict(list)
    for box in picture.boxes:
        at = rank[box.id] if box.id in tails else beside.get(box.group or box.id, 2) - 1
        boxes[at].append(text.width(box))
    if text.across:
        return sum(max(widths) + 35 for widths in boxes.values()) + sum(labels.values())
    return max((sum(widths) + 15 * len(widths) for widths in boxes.values()), default=0.0)


def _long(text: str) -> float:
    """About the width of what is seen of a text, in points."""
    return 5.6 * max(len(re.sub(r"<.*?>|&.*?;", "", line)) for line in re.split(r"</TR>|\\n", text))


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
