"""Graphviz's SVG made ready for the page: bare shapes that the style sheet colours, and marked numbers."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import groupby, pairwise

from autograd_mini.drawing import Drawing
from autograd_mini.drawing.layout import SVG, render
from autograd_mini.value import constant

WIDTH = "1.45"  # inches, so that every number fits into its node however it changes
PADDING = 9.0  # between a node's border and its text, in points
ROLES = {"data": "data", "d root": "gradient"}  # other numbers stay as they are drawn
PLACES = ("d", "points", "x", "y")
DROPPED = (  # what the style sheet and the step say instead, for light and dark
    "fill", "stroke", "stroke-width", "font-family", "{http://www.w3.org/XML/1998/namespace}space"
)  # fmt: skip


def picture(drawing: Drawing, source: str, timeout: float | None) -> str:
    """A source of the drawing as an SVG element for HTML.

    The group of node 3 has the id ``n3``, of its first operand's edge ``n0-n3-0``; the texts in them that
    hold numbers have the classes ``data``, ``gradient`` and ``partial``.
    """
    head, brace, body = source.partition("{\n")
    drawn = re.findall(r"^\t+n(\d+) \[", body, re.MULTILINE)
    more = [f"n{i} [width=0]" for i in drawn if drawing.nodes[int(i)].op is constant]
    body = body.rstrip().removesuffix("}") + "".join(f"\t{line}\n" for line in more) + "}\n"
    svg = ET.fromstring(render(f"{head}{brace}\tnode [width={WIDTH}]\n{body}", "svg", timeout))
    for name in ("width", "height", "style"):
        svg.attrib.pop(name, None)
    svg.set("id", "picture")
    for element in svg.iter():
        _tidy(element)
    graph = svg[0]
    graph.remove(graph[0])  # the paper
    nodes = {f"n{i}": node for i, node in enumerate(drawing.nodes)}
    roots = set(drawing.roots)
    for group in graph:
        node = nodes.get(group.get("id", ""))
        if node is not None:
            kind = "constant" if node.op is constant else "interior" if node.args else "leaf"
            group.set("class", f"node {'root' if node in roots else kind}")
            _mark_numbers(group)
        elif group.get("class") == "edge":
            _mark_edge(group)
        elif group.get("class") == "node":
            _without_gradient(group)
    ET.register_namespace("", SVG[1:-1])
    return ET.tostring(svg, encoding="unicode")


def _tidy(element: ET.Element) -> None:
    """Take off what the page does without: it is half of the file."""
    for title in element.findall(f"{SVG}title"):
        element.remove(title)
    for name in DROPPED:
        element.attrib.pop(name, None)
    for name in set(PLACES) & set(element.attrib):
        element.set(name, re.sub(r"(\.\d)\d+", r"\1", element.attrib[name]))
    element.tail = None
    if element.tag != f"{SVG}text":
        element.text = None


def _mark_numbers(group: ET.Element) -> None:
    """Set a node's numbers flush right, each on its name's line, and the lines above them in the middle."""
    texts = group.findall(f"{SVG}text")
    shapes = [child for child in group if _places(child)[1]]
    if not shapes:
        return  # a node that was given another look
    across, _ = _places(shapes[0])
    for shape in shapes:
        _as_rectangle(shape)
    numbers = next((i for i, text in enumerate(texts) if text.text == "data"), len(texts))
    _centre(group, texts[:numbers], (min(across) + max(across)) / 2)
    for name, number in zip(texts[numbers::2], texts[numbers + 1 :: 2], strict=False):
        role, y = ROLES.get(name.text or "", "number"), name.attrib["y"]
        name.attrib = {"class": "name", "x": f"{min(across) + PADDING:.1f}", "y": y}
        number.attrib = {"class": role, "x": f"{max(across) - PADDING:.1f}", "y": y}


def _centre(group: ET.Element, texts: list[ET.Element], x: float) -> None:
    """One text for each line: fonts differ between machines, and what Graphviz set apart may touch."""
    for y, parts in groupby(texts, key=lambda text: text.attrib["y"]):
        line = ET.SubElement(group, f"{SVG}text", {"class": "title", "x": f"{x:.1f}", "y": y})
        for part in parts:
            group.remove(part)
            if (part.text or "").strip():
                looks = {
                    name: part.attrib[name] for name in ("font-weight", "font-size") if name in part.attrib
                }
                ET.SubElement(
                    line, f"{SVG}tspan", looks | ({"dx": "6"} if len(line) else {})
                ).text = part.text


def _as_rectangle(shape: ET.Element) -> None:
    """A box that Graphviz has traced as a polygon, or with rounded corners as a path."""
    across, down = _places(shape)
    rounded = {"rx": "8"} if shape.tag == f"{SVG}path" else {}
    shape.tag = f"{SVG}rect"
    shape.attrib = rounded | {
        "x": f"{min(across):.1f}",
        "y": f"{min(down):.1f}",
        "width": f"{max(across) - min(across):.1f}",
        "height": f"{max(down) - min(down):.1f}",
    }


def _without_gradient(group: ET.Element) -> None:
    """A closed group keeps its name and size; its gradients change, and the page does not follow them."""
    texts = group.findall(f"{SVG}text")
    for name, number in pairwise(texts):
        if "d root" in (name.text or ""):
            group.remove(name)
            group.remove(number)


def _mark_edge(group: ET.Element) -> None:
    for text in group.iter(f"{SVG}text"):
        for sign, role in (("∂ ", "partial"), ("+= ", "contribution")):
            if (text.text or "").strip().startswith(sign):
                text.set("class", role)
                text.text = (text.text or "").strip()


def _places(shape: ET.Element) -> tuple[list[float], list[float]]:
    """The x and the y of the points of a polygon or path."""
    numbers = [float(x) for x in re.findall(r"-?\d+(?:\.\d+)?", shape.get("points") or shape.get("d") or "")]
    return numbers[::2], numbers[1::2]
