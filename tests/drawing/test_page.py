import base64
import hashlib
import html.parser
import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest

from autograd_mini import (
    Value,
    cross_entropy,
    draw,
    log,
    maximum,
    named,
    softmax,
    values,
)
from autograd_mini.drawing import page
from autograd_mini.drawing.page import live_page
from autograd_mini.drawing.page.facts import facts, program
from autograd_mini.value import topological_order

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><!--",
    "]]> {{facts}} &amp;",
    "\u2028\\u003c'\"`${x}",
    "\ud800",
]


def softmax_cross_entropy():
    z = values([1.5, -0.5, 0.75], "z")
    loss = cross_entropy(softmax(z), [0, 0, 1])
    loss.label = "loss"
    return loss


def page_of(root):
    return live_page(draw(root)).html


class Reader(html.parser.HTMLParser):
    """Elements with their attributes, and the text of the scripts and styles, as a browser finds them."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.scripts, self.styles = [], [], []
        self.inside = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.inside = {"script": self.scripts, "style": self.styles}.get(tag, [])
        self.inside.append("")

    def handle_data(self, text):
        if self.inside:
            self.inside[-1] += text

    def handle_endtag(self, tag):
        self.inside = []


# --- the file ---


def test_save_writes_the_page(tmp_path):
    loss = softmax_cross_entropy()
    path = draw(loss).save(tmp_path / "loss.html")
    assert path.read_text(encoding="utf-8") == draw(loss).live().html


def test_the_same_graph_gives_the_same_bytes():
    assert page_of(softmax_cross_entropy()) == page_of(softmax_cross_entropy())


def test_nothing_is_loaded_and_only_the_pages_own_scripts_run():
    reader = Reader(page_of(softmax_cross_entropy()))
    for tag, attributes in reader.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "a")
        assert not [name for name in attributes if name in ("src", "href", "xlink:href") or name[:2] == "on"]
    policy = next(x["content"] for _, x in reader.elements if "http-equiv" in x)
    named = [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in (*reader.scripts[1:], *reader.styles)
    ]
    assert policy.startswith("default-src 'none'; ")
    assert re.findall("'sha256-[^']+'", policy) == named
    assert "unsafe" not in policy


@pytest.mark.parametrize("label", HOSTILE)
def test_labels_stay_text(label):
    page = page_of(Value(3.0, label=label) * Value(2.0, label="y"))
    plain = page_of(Value(3.0, label="x") * Value(2.0, label="y"))
    reader = Reader(page)
    assert len(reader.elements) == len(Reader(plain).elements)
    assert [len(reader.scripts), len(reader.styles)] == [2, 1]
    names = [node["name"] for node in json.loads(reader.scripts[0])["nodes"]]
    assert " ".join(label.split()) in names


def test_a_label_that_looks_like_a_place_in_the_template():
    assert page_of(Value(1.0, label="{{script}}").exp()).count("export function start(") == 0


def test_a_graph_of_500_nodes_takes_a_few_hundred_kilobytes():
    rng = np.random.default_rng(0)
    x = values(rng.normal(size=10), "x")
    hidden = np.tanh(values(rng.normal(size=(10, 10)) / 3, "W") @ x)
    root = (values(rng.normal(size=10), "v") @ hidden) ** 2
    assert 300 < len(topological_order(root)) < 600
    assert len(page_of(root)) < 800_000


def test_a_picture_needs_no_page():
    code = "import sys; from autograd_mini import draw; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"autograd_mini.drawing.page", "graphviz"} & set(loaded.split())


def test_a_node_made_by_hand_is_refused_by_name(tmp_path):
    x = Value(3.0)
    drawing = draw(Value(6.0, (x,), "twice"))
    with pytest.raises(TypeError, match="the node 'twice' was made by hand"):
        drawing.save(tmp_path / "x.html")
    assert not list(tmp_path.iterdir())


def test_a_graph_that_is_too_large_is_refused_in_a_sentence(monkeypatch):
    monkeypatch.setattr(page, "LARGEST", 2)
    with pytest.raises(ValueError, match=r"graphs of at most 2 nodes, got 3; save a picture"):
        live_page(draw(Value(1.0).exp().exp()))


def test_no_edge_keeps_the_width_of_a_gradient_that_is_not_there_yet():
    z = values([1.5, -0.5, 0.75], "z")
    loss = cross_entropy(named(softmax(z), "p"), [0, 0, 1])
    assert "stroke-width=" not in live_page(draw(loss, collapse=["p"], contributions=True)).html


def test_each_number_stands_on_the_line_of_its_name():
    lines = re.findall(
        r'<text class="name"[^>]* y="([^"]*)">[^<]*</text><text class="\w+"[^>]* y="([^"]*)">',
        page_of(softmax_cross_entropy()),
    )
    assert len(lines) > 20
    assert all(name == number for name, number in lines)


def test_browsers_without_light_dark_have_every_colour():
    style = Reader(page_of(Value(1.0, label="x"))).styles[0]
    fallback = style[style.index("@supports not") :]
    light = re.findall(r"(--[\w-]+): light-dark\((#\w+),", style)
    assert len(light) > 10
    assert [f"{name}: {colour};" in fallback for name, colour in light] == [True] * len(light)


# --- the facts ---


def test_facts_name_what_has_no_label():
    x = Value(3.0, label="x")
    y = x.exp() * 2.0
    known = facts(topological_order(y), [y])
    assert [node["name"] for node in known["nodes"]] == ["x", "", "v1", "root"]
    assert [node["kind"] for node in known["nodes"]] == ["leaf", "constant", "interior", "interior"]
    assert known["name"] == "root"


def test_each_name_is_of_one_node():
    x, other = Value(1.0, label="x"), Value(2.0, label="x")
    root = x * other
    root.label = "x"
    known = facts(topological_order(root), [root])
    assert [node["name"] for node in known["nodes"]] == ["x#1", "x#2", "x#3"]
    assert known["name"] == "x#3"


def test_a_label_turns_no_sentence_around():
    x = Value(1.0, label="\u202ecba\u2067")
    assert facts([x], [x])["name"] == "cba"


def test_leaves_stand_in_the_order_of_their_names():
    x = values(np.ones(11), "x")
    root = x[::-1].sum()
    known = facts(topological_order(root), [root])
    names = [known["nodes"][i]["name"] for i in known["leaves"]]
    assert names == [f"x{i}" for i in range(11)]


def test_numbers_that_json_lacks():
    nodes = [Value(math.inf), Value(math.nan), Value(2.0)]
    assert facts(nodes, nodes)["saved"] == ["Infinity", "nan", 2.0]


def test_the_program_is_that_of_the_graph():
    x = Value(0.5, label="x")
    y = log(x) * x
    source = program(topological_order(y), [y])
    assert "Math.log(x)" in source
    assert "inside: {1: x > 0 ? 1 : 0}" in source


def test_rows_that_decide_anew_are_marked():
    x = Value(0.5, label="x")
    root = maximum(x, 0.0) + x.relu() + x.exp() + abs(x)
    rows = facts(topological_order(root), [root])["rows"]
    assert {name for name, row in rows.items() if row["decides"]} == {"maximum", "relu", "abs"}


def needs(node):
    nodes = topological_order(node)
    return facts(nodes, [node])["nodes"][-1]["needs"]


def test_a_domain_is_stated_in_the_words_of_the_operands():
    x, y = Value(4.0, label="x"), Value(2.0, label="y")
    assert needs(log(x - y)) == "_0 - _1 > 0"
    assert needs(x**0.5) == "_0 > 0 or _0 == 0"
    assert needs(x**-0.5) == "_0 > 0"
    assert needs((-1.0) ** x) == "_1 % 1 == 0"
    assert needs(x.exp()) == ""


def test_formulas_do_not_grow_with_the_graph():
    x = y = Value(0.5, label="x")
    for _ in range(300):
        y = y * x + 1.0
    texts = [node["text"] for node in facts(topological_order(y), [y])["nodes"]]
    assert max(map(len, texts)) < 200
    x = Value(0.5, label="x")
    y = x
    for _ in range(3000):
        y = y.sin()
    assert facts(topological_order(y), [y])["nodes"][-1]["text"].startswith("sin(")
