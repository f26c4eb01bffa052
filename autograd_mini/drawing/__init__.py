"""`draw`: the graph under a Value as a picture, with every number that backpropagation uses.

A node shows its label, the symbol of its operation, its number and the derivative of the root by it, d root;
an edge shows ∂, the partial of the operation it enters. By the chain rule a node's d root is the sum, over
the edges that leave it, of the edge's ∂ times the d root at the edge's end, and the picture lets one check
that. Of a large graph nodes of equal structure are drawn as one box, with the array of their numbers.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_mini.arrays import ValueArray
from autograd_mini.drawing.cells import table_of
from autograd_mini.drawing.dot import digraph_of
from autograd_mini.drawing.graph import DrawnGraph, Options, select
from autograd_mini.drawing.layout import opened, render
from autograd_mini.drawing.picture import picture_of
from autograd_mini.drawing.style import THEMES, Look
from autograd_mini.files import write
from autograd_mini.labels import split_label
from autograd_mini.suggestions import suggesting
from autograd_mini.tracing import Traced
from autograd_mini.transforms import gradient_graph
from autograd_mini.trees import elements
from autograd_mini.value import TraceError, Value, collector_paused, topological_order

if TYPE_CHECKING:
    from graphviz import Digraph

    from autograd_mini.drawing.page import LivePage

__all__ = ["Drawing", "draw"]

INCHES = 1000  # of a picture's side
FEW = 150  # boxes of a picture that a notebook shows unasked
SMALL = 5000  # nodes of its graph


@dataclass(eq=False, repr=False)
class Drawing:
    """A drawn graph: a `graphviz.Digraph` that saves itself, and shows itself in Jupyter.

    ``digraph`` may be changed before a picture is saved, ``source`` is its text in Graphviz's language.
    ``nodes`` are the Values in topological order; in the picture ``nodes[3]`` has the id ``n3``, and the edge
    into ``nodes[5]`` from its operand 0, if that is ``nodes[3]``, the id ``n3-n5-0``. The inputs of a Σ or ∏
    are counted from 0, arrays have ids such as ``a7``, closed groups such as ``g7``. ``whole`` tells whether
    all of the graph is in the picture. ``moving()`` is its text for the live page, each node by itself; where
    no direction was asked for, from left to right and from top to bottom.
    """

    digraph: Digraph
    nodes: list[Value]
    roots: list[Value]
    whole: bool
    dpi: float | None
    moving: Callable[[], list[str]]

    @property
    def source(self) -> str:
        """The graph in Graphviz's language; needs no Graphviz."""
        return str(self.digraph.source)

    def save(self, path: str | os.PathLike[str], timeout: float | None = 60.0) -> Path:
        """Write the picture and return its path; the suffix is the format: .svg, .png, .pdf, .dot, …

        An SVG is never wider than what it stands on; .html is the live page, each node by itself.
        Raises ValueError for a format that cannot be written, RuntimeError if there is no Graphviz or
        its layout fails, TimeoutError if that takes longer than ``timeout`` seconds, OSError if the
        file cannot be written; then a file that was there is as it was. Of this time the system's
        ``dot`` gets half where the bundled renderer can stand in for it; if that has to, a
        RuntimeWarning says why.
        """
        path = Path(path)
        format = path.suffix[1:].lower()
        if format == "html":
            from autograd_mini.drawing.page import live_page

            picture = live_page(self, timeout).html.encode()
        elif format in ("dot", "gv"):
            picture = self.source.encode()
        else:
            picture = render(self.source, format, timeout, self.dpi)
        write(path, picture)
        return path

    def live(self, timeout: float | None = 60.0) -> LivePage:
        """The page to step through and to play with that ``save("loss.html")`` writes, for a notebook's cell.

        Raises as `save` does, TypeError for a node made by hand, ValueError for more than 5,000 nodes.
        """
        from autograd_mini.drawing.page import live_page

        return live_page(self, timeout)

    def show(self, timeout: float | None = 60.0) -> Path:
        """Open the picture in the desktop's viewer, as a file in a temporary folder, and return its path.

        Where there is no viewer a RuntimeWarning says where the picture is. Raises as `save` does.
        """
        import tempfile

        path = self.save(Path(tempfile.mkdtemp(prefix="autograd-mini-")) / "graph.svg", timeout)
        if not opened(path):
            warnings.warn(
                f"show: no viewer could be started here; the picture is in {path}",
                RuntimeWarning,
                stacklevel=2,
            )
        return path

    def _repr_svg_(self) -> str | None:
        return self._repr_mimebundle_().get("image/svg+xml")

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """The picture, as HTML too, which JupyterLab fits to the cell, where an image is cut off."""
        try:
            svg = render(self.source, "svg").decode()
            within = svg[svg.index("<svg") :]
            return {"text/html": within, "image/svg+xml": svg, "text/plain": repr(self)}
        except (RuntimeError, TimeoutError, ValueError) as error:  # its sentence, not a traceback
            return {"text/plain": f"{error}\n\n{self.source}"}


@suggesting
def draw(
    roots: Any,
    *,
    gradient: Any = None,
    contributions: bool = False,
    constants: bool = True,
    sums: bool = False,
    arrays: bool | None = None,
    order: str | None = None,
    grad: str = "sweep",
    precision: int = 4,
    direction: str | None = None,
    theme: str = "light",
    background: str | None = None,
    title: str = "",
    size: float | tuple[float, float] | None = None,
    dpi: float | None = None,
    collapse: Iterable[str] | bool = (),
    mark: Iterable[str | Value] = (),
    limit: int | None = 400,
) -> Drawing:
    """The graph of every node at or below a root, or several: a Value, or an array or sequence of them.

    A node's d root, the derivative of the root by it, comes from a sweep of the drawing's own, of several
    roots that of their sum; every ``.grad`` stays as it was. The leaf of the largest d root has a heavy
    border. Scopes and arrays, whose labels read ``W0``, ``W1``, …, are framed. A step without a label has
    the name of the library's function that it is, such as softmax.

    - ``arrays=True`` draws nodes of equal structure as one box with the array of their numbers: all of
      twelve, of more the first, the last and the largest. Sums are a Σ, constants stand in the operation,
      and what a softmax subtracts from its logits stands in the exp. False draws each node by itself; None
      takes arrays above 50 boxes, if they are at most half as many, and the picture says so.
    - ``gradient``: inputs, as for `gradient_graph`, whose gradient graph is drawn at the right of the
      graph; dashed edges lead to where it uses a value of the forward pass. Shows what a gradient is
      made of, as in softmax's y − t.
    - ``contributions``: adjoint · partial on each edge, what it adds to ``+=`` the gradient below; width
      by size, colour and arrowhead by sign. Shows why gradients add up, and where they come from.
    - ``constants=False`` hides constants, which have no gradient, and writes them into the operation.
    - ``sums=True`` draws a tree of additions as one Σ, a chain of products as one ∏, of maxima as one max:
      a dot product of ten terms is then one node instead of nine.
    - ``order="backward"`` numbers the nodes as the reverse sweep visits them: each after all that use it.
    - ``grad="attribute"`` shows ``.grad`` as it stands, and notes where leaves hold several sweeps.
    - ``precision``: significant digits; four tell most numbers apart, more compare them with a book's.
    - ``direction``: Graphviz's LR, TB, RL or BT; None takes LR where that fits into 1,400 pixels, else TB.
    - ``theme``: "light" or "dark", as the page that the picture stands on; ``background="transparent"`` lets
      that show through.
    - ``title``: a line above the picture.
    - ``size``: the width in inches, or width and height, that the picture is scaled to fit into.
    - ``dpi``: the dots per inch of a .png and its like, 96 if not given.
    - ``collapse``: names of scopes and arrays drawn closed, True for all: one box that sums up its edges.
    - ``mark``: labels, names of arrays or Values to be marked, such as those a check found wrong.
    - ``limit``: above so many boxes, groups are drawn closed, or only the part around the root, and the
      picture says so. None draws everything, which may take minutes.

    >>> from autograd_mini import Value
    >>> x = Value(3.0, label="x")
    >>> drawing = draw(x * x)
    >>> print(*[line.strip() for line in drawing.source.splitlines() if "->" in line], sep="\\n")
    n0 -> n1 [label="∂ 3" id="n0-n1-0"]
    n0 -> n1 [label="∂ 3" id="n0-n1-1"]
    >>> x.grad
    0.0

    Raises TypeError if a root is no Value, ValueError for an option or name that does not exist.
    """
    _choice("arrays", arrays, (None, True, False))
    _choice("order", order, (None, "backward"))
    _choice("grad", grad, ("sweep", "attribute"))
    _choice("direction", direction, (None, "LR", "TB", "RL", "BT"))
    _choice("theme", theme, THEMES)
    _choice("background", background, (None, "transparent"))
    if not (_whole_number(precision) and 1 <= precision <= 17):
        raise ValueError(f"draw: precision must be a number of digits, 1 to 17, got {precision!r}")
    if not (limit is None or (_whole_number(limit) and limit >= 1)):
        raise ValueError(f"draw: limit must be a number of nodes, at least 1, or None, got {limit!r}")
    if not isinstance(title, str):
        raise TypeError(f"draw: title must be text, got {type(title).__name__} {title!r}")
    if not (dpi is None or _is_length(dpi, 2400)):
        raise ValueError(f"draw: dpi must be a number of dots per inch, at most 2,400, got {dpi!r}")
    look = Look(
        theme=replace(THEMES[theme], background="transparent") if background else THEMES[theme],
        direction=direction,
        precision=precision,
        title=title,
        size=_size(size),
    )
    outputs = _roots(roots)
    results: list[Value] = []
    if gradient is not None:
        if len(outputs) > 1:
            raise ValueError(f"draw: gradient= needs one root, got {len(outputs)}")
        results = elements(gradient_graph(outputs[0], gradient))
    options = Options(
        contributions=contributions,
        constants=constants,
        sums=sums,
        numbered=order is not None,
        attribute=grad == "attribute",
        arrays=arrays,
        collapse=collapse if isinstance(collapse, bool) else _names("collapse", collapse),
        limit=limit,
    )

    with collector_paused():
        graph = DrawnGraph(outputs, results, _marked(mark, outputs, results))
        selection = select(graph, options)
        digraph = digraph_of(picture_of(graph, selection, options), look)

    def moving() -> list[str]:
        each = replace(options, arrays=False)
        picture = picture_of(graph, select(graph, each), each)
        ways = [direction] if direction else ["LR", "TB"]
        plain = replace(look, legend=False, title="")
        return [str(digraph_of(picture, replace(plain, direction=way)).source) for way in ways]

    return Drawing(digraph, graph.order, outputs, not selection.part, dpi, moving)


def _is_length(given: Any, most: float = math.inf) -> bool:
    return isinstance(given, (int, float)) and not isinstance(given, bool) and 0 < given <= most < math.inf


def _size(given: Any) -> tuple[float, float] | None:
    """Width and height in inches; of a width alone the height is what it takes."""
    if given is None:
        return None
    pair = given if isinstance(given, (tuple, list)) else (given, INCHES)
    if len(pair) != 2 or not all(_is_length(length, INCHES) for length in pair):
        raise ValueError(
            f"draw: size must be a width in inches, or width and height, up to {INCHES}, got {given!r}"
        )
    return pair[0], pair[1]


def _choice(name: str, given: Any, known: Iterable[Any]) -> None:
    if given not in tuple(known):
        raise ValueError(f"draw: {name} must be {' or '.join(map(repr, known))}, got {given!r}")


def _whole_number(given: Any) -> bool:
    return isinstance(given, int) and not isinstance(given, bool)


def _names(option: str, given: Any) -> list[Any]:
    if isinstance(given, (str, Value)):
        return [given]
    if not isinstance(given, Iterable):
        raise TypeError(f"draw: {option} must be a name or several, got {type(given).__name__}")
    return list(given)


def _roots(given: Any) -> list[Value]:
    """The Values in ``given``, each once."""
    flat = elements(given) if isinstance(given, (list, tuple, np.ndarray)) else [given]
    if any(isinstance(root, Traced) for root in flat):
        raise TraceError("draw: a Value has no number while a function is being traced; draw it outside")
    if flat and all(isinstance(root, Value) for root in flat):
        return list(dict.fromkeys(flat))
    wrong = next((root for root in flat if not isinstance(root, Value)), None)
    got = type(given if given is wrong else wrong).__name__ if flat else "none"
    if isinstance(given, (list, tuple, np.ndarray)) and flat:
        got += f" among {len(flat)} elements"
    hint = '; what it returns is drawn, as in draw(f(values([1, 2], "x")))' * callable(given)
    raise TypeError(f"draw: expected a Value to draw, or several, got {got}{hint}")


def _marked(mark: Iterable[str | Value], roots: list[Value], results: list[Value]) -> set[Value]:
    """The Values that are marked: themselves, or those of a label or an array's name."""
    wanted = _names("mark", mark)
    if not wanted:
        return set()
    nodes = topological_order(*roots, *results)
    marked = set()
    for name in wanted:
        found = [
            node
            for node in nodes
            if node is name or (node.label and name in (node.label, split_label(node.label)[0]))
        ]
        if not found:
            known = sorted({node.label for node in nodes if node.label})
            raise ValueError(
                f"draw: mark names no node {name!r}; this graph has {', '.join(known) or 'no labels'}"
            )
        marked.update(found)
    return marked


# --- notebooks --------------------------------------------------------------------------------------


def mimebundle(x: Value | ValueArray) -> dict[str, str]:
    """In a notebook: numbers and gradients of a leaf or an array, an expression's graph where it is small."""
    text = {"text/plain": repr(x)}
    nodes = elements(x)
    if not nodes or any(not isinstance(node, Value) or isinstance(node, Traced) for node in nodes):
        return text
    if isinstance(x, np.ndarray) or not x.args:
        return {"text/html": table_of(x), **text}
    if not _is_small(nodes):
        return text
    drawing = draw(x, limit=FEW)
    return {**drawing._repr_mimebundle_(), **text} if drawing.whole else text


def _is_small(roots: list[Value]) -> bool:
    """Whether the graph has few enough nodes to be shown unasked; walks no further than that."""
    seen = set(roots)
    queue = list(seen)
    for node in queue:
        new = set(node.args) - seen
        seen |= new
        queue += new
        if len(seen) > SMALL:
            return False
    return bool(seen)
