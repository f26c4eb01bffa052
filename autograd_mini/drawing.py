"""`draw`: the graph under a Value as a picture, with every number that backpropagation uses.

A node shows its label, the symbol of its operation, its number and ∂root/∂node; an edge shows the
local partial of the operation it enters. By the chain rule a node's ∂root is the sum, over the edges
that leave it, of the edge's ∂ times the ∂root at the edge's end, and the picture lets one check that.
"""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_mini.value import Source, Value, constant, topological_order

if TYPE_CHECKING:  # what only pictures need is imported when one is drawn: the package's import stays cheap
    from pathlib import Path

    from graphviz import Digraph

# Shape and border tell the kinds apart in grey; the tints are those of Okabe and Ito's palette.
STYLES = {
    "leaf": {"style": "filled", "fillcolor": "#cfe8f7"},
    "constant": {"style": "filled,dashed", "fillcolor": "#eeeeee", "color": "#777777"},
    "interior": {"style": "filled,rounded", "fillcolor": "#ffffff"},
    "root": {"style": "filled,rounded", "fillcolor": "#fbe3b5", "peripheries": "2"},
}
FONT = "Helvetica,Arial,sans-serif"
NO_XML = "[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]"


class Drawing:
    """A drawn graph: a `graphviz.Digraph` that saves itself, and shows itself in Jupyter.

    ``digraph`` may be changed before saving, ``source`` is its text in Graphviz's language.
    """

    def __init__(self, digraph: Digraph) -> None:
        self.digraph = digraph

    @property
    def source(self) -> str:
        """The graph in Graphviz's language; needs no Graphviz."""
        return str(self.digraph.source)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture and return its path; the suffix is the format: .svg, .png, .pdf, .dot, …

        Raises ValueError for a format that cannot be written, RuntimeError if there is no Graphviz or
        its layout fails; then a file that was there is as it was.
        """
        from pathlib import Path

        path = Path(path)
        format = path.suffix[1:].lower()
        picture = self.source.encode() if format in ("dot", "gv") else render(self.source, format)
        path.write_bytes(picture)
        return path

    def _repr_svg_(self) -> str | None:
        try:
            return render(self.source, "svg").decode()
        except RuntimeError:
            return None

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        try:
            return {"image/svg+xml": render(self.source, "svg").decode(), "text/plain": repr(self)}
        except RuntimeError as error:  # a notebook shows the sentence, not a traceback
            return {"text/plain": f"{error}\n\n{self.source}"}


def draw(root: Value | Any) -> Drawing:
    """The graph of every node at or below ``root``, a Value or an array that holds one.

    ∂root comes from a sweep of the drawing's own; every ``.grad`` stays as it was.

    >>> from autograd_mini import Value
    >>> x = Value(3.0, label="x")
    >>> drawing = draw(x * x)
    >>> print(*[line.strip() for line in drawing.source.splitlines() if "->" in line], sep="\\n")
    n0 -> n1 [label="∂ 3"]
    n0 -> n1 [label="∂ 3"]
    >>> x.grad
    0.0

    Raises TypeError if ``root`` is not one Value.
    """
    from graphviz import Digraph

    root = _one_value(root)
    nodes = topological_order(root)
    gradients = _gradients(root, nodes)
    names = {node: f"n{i}" for i, node in enumerate(nodes)}
    digraph = Digraph(
        graph_attr={"rankdir": "LR", "nodesep": "0.2", "ranksep": "0.45"},
        node_attr={"shape": "box", "fontname": FONT, "fontsize": "11", "margin": "0.1,0.05"},
        edge_attr={"fontname": FONT, "fontsize": "10", "arrowsize": "0.7", "color": "#555555"},
    )
    for node, gradient in zip(nodes, gradients, strict=True):
        kind = "root" if node is root else _kind(node)
        digraph.node(names[node], _table(node, gradient), **STYLES[kind])
    for node in nodes:
        for operand, label in zip(node.args, _edge_labels(node), strict=True):
            digraph.edge(names[operand], names[node], label)
    return Drawing(digraph)


def _one_value(root: Any) -> Value:
    found = root
    while isinstance(found, (list, tuple)) and len(found) == 1:
        found = found[0]
    if isinstance(found, np.ndarray) and found.size == 1:
        found = found.item()
    if isinstance(found, Value):
        return found
    got = f"an array of shape {root.shape}" if isinstance(root, np.ndarray) else type(root).__name__
    raise TypeError(f"draw: expected one Value, the root of the graph to draw, got {got}")


# --- the numbers ------------------------------------------------------------------------------------


def _gradients(root: Value, nodes: list[Value]) -> list[float]:
    """∂root/∂node for every node, each ``.grad`` left as it was, also if a step made by hand raises."""
    before = [node.grad for node in nodes]
    try:
        for node in nodes:
            node.grad = 0.0
        root.backward()
        return [node.grad for node in nodes]
    finally:
        for node, grad in zip(nodes, before, strict=True):
            node.grad = grad


def _partials(node: Value) -> list[float]:
    """The partials of a node's operation, one an operand, from its own reverse step.

    The step runs on a copy with a leaf of its own in each place, so that the two partials of
    ``x * x`` do not add up.
    """
    leaves = [x if x.op is constant else Value(x.data) for x in node.args]
    copy = Value(node.data, tuple(leaves))
    copy.op = node.op
    copy.backward()
    return [leaf.grad for leaf in leaves]


def _short(number: float) -> str:
    return format(number, ".4g")


# --- the text ---------------------------------------------------------------------------------------


def _kind(node: Value) -> str:
    return "constant" if node.op is constant else "interior" if node.args else "leaf"


def _edge_labels(node: Value) -> list[str]:
    """One label an edge; constants have no gradient, and nodes made by hand do not tell their partials."""
    if isinstance(node.op, Source):
        return ["" for _ in node.args]
    return [
        "" if operand.op is constant else f"∂ {_short(partial)}"
        for operand, partial in zip(node.args, _partials(node), strict=True)
    ]


def _table(node: Value, gradient: float) -> str:
    """A node as a table in Graphviz's HTML-like language: its name and symbol, below them its numbers."""
    title = []
    if node.label.strip():
        title.append(f"<B>{_escape(node.label)}</B>")
    if node.op.symbol.strip():
        title.append(f'<FONT POINT-SIZE="14">{_escape(node.op.symbol)}</FONT>')
    if node.op is constant:  # it has no gradient
        title.append(_short(node.data))
    rows = [f'<TD COLSPAN="2">{"&#160;&#160;".join(title)}</TD>'] if title else []
    if node.op is not constant:
        rows += [_row("data", node.data), _row("∂root", gradient)]
    body = "".join(f"<TR>{row}</TR>" for row in rows)
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="2">{body}</TABLE>>'


def _row(name: str, number: float) -> str:
    return f'<TD ALIGN="LEFT"><FONT COLOR="#555555">{name}</FONT></TD><TD ALIGN="RIGHT">{_short(number)}</TD>'


def _escape(text: str) -> str:
    """``text`` for an HTML-like label, in which Graphviz reads backslashes too."""
    from html import escape

    lines = text.replace("\\", "\\\\").splitlines()
    return "<BR/>".join(escape(re.sub(NO_XML, "\N{REPLACEMENT CHARACTER}", line)) for line in lines)


# --- Graphviz ---------------------------------------------------------------------------------------


def render(source: str, format: str) -> bytes:
    """The picture that Graphviz makes of ``source``; raises as `Drawing.save` does."""
    import subprocess
    from pathlib import Path

    import graphviz

    if format not in graphviz.FORMATS:
        raise ValueError(f"save: the suffix must name a format, such as .svg, .png or .dot, got {format!r}")
    executable = _executable()
    if executable is None:
        raise RuntimeError(
            "drawing needs Graphviz: install it from https://graphviz.org/download, "
            "or run 'python -m pip install graphviz-pure'"
        )
    done = subprocess.run([executable, "-Kdot", f"-T{format}"], input=source.encode(), capture_output=True)
    if done.returncode == 0 and done.stdout:
        return done.stdout
    said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
    name = Path(executable).stem
    if "not recognized" in said:
        other = "" if name == "dot" else "; .svg, .png and .dot work, and Graphviz's own dot writes more"
        raise ValueError(f"save: {name} cannot write {format!r}{other}")
    raise RuntimeError(f"{name} could not lay the graph out: {said or f'exit status {done.returncode}'}")


def _executable() -> str | None:
    """The system's ``dot``, else ``graphviz-pure``, which pip may have put where the PATH does not look."""
    import shutil
    import sysconfig

    installed = [
        os.path.dirname(sys.executable),
        sysconfig.get_path("scripts"),
        sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user")),
    ]
    return (
        shutil.which("dot")
        or shutil.which("graphviz-pure")
        or shutil.which("graphviz-pure", path=os.pathsep.join(filter(None, installed)))
    )
