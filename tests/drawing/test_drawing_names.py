"""Names are text: what a user writes is drawn as it is, and is never Graphviz's language, XML or a script."""

import html.parser
import json
import re
import unicodedata
import xml.etree.ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autograd_mini import Value, draw, scope, values
from autograd_mini.drawing import layout
from autograd_mini.drawing.page import live_page

SVG = "{http://www.w3.org/2000/svg}"
SHAPES = {f"{SVG}{tag}" for tag in "svg g title polygon path polyline ellipse text".split()}
ATTRIBUTES = set(
    "width height viewBox id class transform points d fill stroke stroke-width stroke-dasharray "
    "x y cx cy rx ry style text-anchor font-family font-size font-weight {http://www.w3.org/XML/1998/namespace}space".split()
)
CLICK = '<<TABLE><TR><TD HREF="javascript:alert(1)">click</TD></TR></TABLE>>'
FRAGMENTS = [
    *"< > << >> & ; \\ \" ' { } | [ ] # % = - ( ) / : , 0 1 _ x".split(),
    *"\\N \\G \\L \\E \\T \\n \\l \\r \\H &amp; &lt; &#60; &#x3c; &nbsp; &#0; &foo;".split(),
    *"<b> </b> <BR/> --> <!-- ]]>".split(),
    *"digraph strict subgraph cluster_0 n0 javascript: onload= {{script}} {{facts}} ${x} // /* `".split(),
    *"</script> <script> <SCRIPT </style> </title> </svg> </text> <![CDATA[ <?xml <image <a".split(),
    *"é ∇ 漢 🎉 e\u0301 \u202e \u200b \ufeff \ufffd".split(),
    " ", "  ", "\t", "\n", "\r\n", "\u2028", "\x85", "\x00", "\x1b", "\x7f", "\x9b", "\ud800", "\uffff",
    "\xa0", CLICK,
]  # fmt: skip
names = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=4), max_size=6).map("".join)


def in_scope(name):
    with scope(name):
        return Value(1.0, label="a") * 2.0


WAYS = {
    "label": lambda name: draw(Value(1.0, label=name)),
    "operation": lambda name: draw(Value(1.0, (Value(2.0),), name)),
    "scope": lambda name: draw(in_scope(name)),
    "closed scope": lambda name: draw(in_scope(name) + 1.0, collapse=True),
    "array": lambda name: draw(values([1.0, 2.0], name).sum()),
    "marked, numbered, dark": lambda name: draw(
        Value(1.0, label=name) * 2.0,
        mark=[name] if name else [],
        order="backward",
        theme="dark",
        contributions=True,
        constants=False,
        sums=True,
    ),
}


def drawn(name):
    """The lines of a name as a reader finds them, blanks of any kind alike."""

    def sign(character):
        foreign = unicodedata.category(character) in ("Cc", "Cs") or character in "\ufffe\uffff"
        return "\ufffd" if foreign else character

    lines = ["".join(map(sign, line.replace("\t", " "))) for line in name.splitlines()]
    return [line.replace("\xa0", " ") for line in lines if line]


def check_is_a_picture_only(svg):
    for element in svg.iter():
        assert element.tag in SHAPES
        assert set(element.attrib) <= ATTRIBUTES, element.attrib
    for title in svg.iter(f"{SVG}title"):
        assert re.fullmatch(r"%\d+|n\d+(->[ng]\d+)?|g\d+(->[ng]\d+)?|cluster_\d+", title.text)


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=8, deadline=None)
@given(name=names)
@example(CLICK)
@example("]")
@example("<layer 1>")
@example("<b>")
@example("a &amp; b &lt; &#65;")
@example("\\N \\G\\l end\\")
@example(" two\tlines \r\nof  <it>")
@example("x" * 1000)
def test_a_name_is_drawn_as_it_is(way, name):
    svg = ET.fromstring(layout.render(WAYS[way](name).source, "svg"))
    check_is_a_picture_only(svg)
    texts = [(text.text or "").replace("\xa0", " ") for text in svg.iter(f"{SVG}text")]
    if name.strip():
        assert all(line in texts for line in drawn(name)), (drawn(name), texts)


class Elements(html.parser.HTMLParser):
    """The elements and the scripts of a page, as a browser finds them."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.scripts = [("page",)], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, *sorted(name for name, _ in attributes)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, text):
        if self.elements[-1][0] == "script":
            self.scripts[-1] += text


def page_of(label, scopes, array):
    with scope(scopes):
        root = Value(2.0, label=label) * values([1.0, 2.0], array).sum()
    root.label = label
    return live_page(draw(root)).html


@pytest.fixture(scope="module")
def plain():
    return Elements(page_of("x", "layer", "w"))


@settings(max_examples=20, deadline=None)
@given(label=names, scopes=names, array=names)
@example(label="</script><script>alert(1)</script>", scopes="<!-- <script>", array="\u2028</title>")
@example(label="\ud800", scopes="\x00", array="\ud800]]>")
def test_a_name_in_a_page_is_text(plain, label, scopes, array):
    page = page_of(label, scopes, array)
    found = Elements(page)
    texts = {"text", "tspan"}  # a name of several lines has several
    elements, others = (sorted(e for e in page.elements if e[0] not in texts) for page in (found, plain))
    assert elements == others  # in the order of the names
    assert len(found.scripts) == 2
    assert not re.search("<!--|</?script", "".join(found.scripts), re.IGNORECASE)
    assert "\u2028" not in found.scripts[0] + found.scripts[1]
    leaf = " ".join(re.sub("[\u202a-\u202e\u2066-\u2069]", "", label).split())
    known = [node["name"] for node in json.loads(found.scripts[0])["nodes"]]
    assert not leaf or known[-1].startswith(leaf)
