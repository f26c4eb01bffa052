"""The live page: a graph to step through and to play with, in one HTML file that needs no network.

The page is Graphviz's picture, the graph's facts as JSON (`page.facts`), its computation as JavaScript,
which `Program.source` writes, and files that lie beside this module: ``page.html``, ``page.css``, and
modules of JavaScript, which are joined to one script. A drawing saves itself as one,
``draw(loss).save("loss.html")``, and shows it in a notebook's cell, ``draw(loss).live()``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from autograd_mini.drawing.dot import visible
from autograd_mini.drawing.page.facts import facts, program
from autograd_mini.drawing.page.picture import picture

if TYPE_CHECKING:
    from autograd_mini.drawing import Drawing

MODULES = "text graph sentences curve picture view cards main".split()  # each imports from those before it
TURNED = 150  # nodes: of larger graphs the second picture takes long, and fits on no narrow screen
LARGEST = 5000  # nodes: beyond that neither the file nor the browser is quick


class LivePage:
    """The live page of a drawing, which a notebook shows in its cell; ``html`` is the page.

    >>> from autograd_mini import Value, draw
    >>> x = Value(3.0, label="x")
    >>> page = draw(x * x).live()
    >>> page
    <live page of 2 nodes: a notebook shows it, .save("loss.html") of the drawing writes it>
    >>> page.html.splitlines()[0]
    '<!DOCTYPE html>'
    """

    def __init__(self, html: str, nodes: int) -> None:
        self.html = html
        self.nodes = nodes

    def _repr_html_(self) -> str:
        """A frame, whose height the page fits to itself."""
        return (
            f'<iframe srcdoc="{escape(self.html)}" title="Live graph" '
            'style="width: 100%; height: 40rem; border: 0"></iframe>'
        )

    def __repr__(self) -> str:
        nodes = f"{self.nodes:,} node{'s' * (self.nodes != 1)}"
        return f'<live page of {nodes}: a notebook shows it, .save("loss.html") of the drawing writes it>'


def live_page(drawing: Drawing, timeout: float | None = 60.0) -> LivePage:
    """The page of a drawing; the same graph gives the same text.

    A policy in its head lets the browser load nothing and run no script but the page's own, which it
    names by its SHA-256; text from labels is nowhere but in JSON and in the SVG, escaped. A graph that is not
    large goes from left to right or from top to bottom, as suits the screen, by a second picture that waits
    in the page.

    Raises TypeError for a node made by hand, which carries no formula to compute it again from,
    ValueError for a graph of more than 5,000 nodes, and as `Drawing.save` does.
    """
    if len(drawing.nodes) > LARGEST:
        raise ValueError(
            f"a live page computes every node in the browser, and takes graphs of at most {LARGEST:,} nodes, "
            f"got {len(drawing.nodes):,}; save a picture, .svg, instead"
        )
    computation = program(drawing.nodes, drawing.roots)
    known = facts(drawing.nodes, drawing.roots)
    first, *second = drawing.moving()
    parts = {
        "title": escape(visible(known["name"])),
        "style": _file("page.css"),
        "picture": picture(drawing, first, timeout),
        "downwards": "".join(
            picture(drawing, source, timeout) for source in second if len(drawing.nodes) <= TURNED
        ),
        "facts": json.dumps(known, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        "script": _script(computation),
    }
    parts["style_hash"], parts["script_hash"] = _hash(parts["style"]), _hash(parts["script"])
    html = re.sub(r"{{(\w+)}}", lambda found: parts[found[1]], _file("page.html"))
    return LivePage(html, len(drawing.nodes))


def _script(computation: str) -> str:
    """The modules as one script, which calls the graph's own computation ``f``."""
    modules = (
        re.sub(r"^(import [^;]*;\n|export )", "", _file(f"{name}.mjs"), flags=re.M) for name in MODULES
    )
    return "\n".join([*modules, f"start(() => {{\n{computation}\nreturn f;\n}});\n"])


def _file(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """How a content security policy names an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
