"""The live page: a graph to step through and to play with, in one HTML file that needs no network.

The page is Graphviz's picture, the graph's facts as JSON (`page.facts`), its computation as JavaScript,
which `Program.source` writes, and files that lie beside this module: ``page.html``, ``page.css``, and the
scripts ``passes.js``, ``picture.js`` and ``controls.js``. A drawing saves itself as one:
``draw(loss).save("loss.html")``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # all else is imported when a page is made
    from autograd_mini.drawing import Drawing

SCRIPTS = ("passes.js", "picture.js", "controls.js")  # each uses what stands before it
LARGEST = 5000  # nodes: beyond that neither the file nor the browser is quick


def live_page(drawing: Drawing, timeout: float | None = 60.0) -> bytes:
    """The page of a drawing, as UTF-8; the same graph gives the same bytes.

    A policy in its head lets the browser load nothing and run no script but the page's own two, which it
    names by their SHA-256; text from labels is nowhere but in JSON and in the SVG, escaped.

    >>> from autograd_mini import Value, draw
    >>> x = Value(3.0, label="x")
    >>> live_page(draw(x * x)).decode().splitlines()[0]
    '<!DOCTYPE html>'

    Raises TypeError for a node made by hand, which carries no formula to compute it again from,
    ValueError for a graph of more than 5,000 nodes, and as `Drawing.save` does.
    """
    import json
    from html import escape

    from autograd_mini.drawing.dot import visible
    from autograd_mini.drawing.page.facts import facts, program
    from autograd_mini.drawing.page.picture import picture

    if len(drawing.nodes) > LARGEST:
        raise ValueError(
            f"a live page computes every node in the browser, and takes graphs of at most {LARGEST:,} nodes, "
            f"got {len(drawing.nodes):,}; save a picture, .svg, instead"
        )
    known = facts(drawing.nodes, drawing.roots)
    parts = {
        "title": escape(visible(known["name"])),
        "style": _file("page.css"),
        "picture": picture(drawing, timeout),
        "facts": json.dumps(known, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        "program": program(drawing.nodes, drawing.roots),
        "script": "\n".join(map(_file, SCRIPTS)),
    }
    parts["style_hash"] = _hash(parts["style"])
    parts["script_hashes"] = " ".join(_hash(parts[script]) for script in ("program", "script"))
    return re.sub(r"{{(\w+)}}", lambda found: parts[found[1]], _file("page.html")).encode()


def _file(name: str) -> str:
    from importlib.resources import files

    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """How a content security policy names an inline script or style."""
    import base64
    import hashlib

    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
