import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from autograd_mini import Value, primitive
from autograd_mini.drawing import draw, layout
from autograd_mini.rules import table
from autograd_mini.value import topological_order

AWKWARD = [
    "a<b> & {x|y}",
    "\"double\" and 'single'",
    "<b>",
    "</TABLE>>",
    "]]> --> <!-- -->",
    "R&D; fish & chips",
    "\\N \\G \\n \\\\ end\\",
    "emoji 🎉, ünïcode, ∇ and 漢字",
    "digraph { n0 -> n1 }",
]


def softmax_cross_entropy():
    z = [Value(number, label=f"z{i}") for i, number in enumerate([1.5, -0.5, 0.75])]
    powers = [x.exp() for x in z]
    total = powers[0] + powers[1] + powers[2]
    loss = -(powers[2] / total).log()
    loss.label = "loss"
    return z, loss


def nodes_of(source):
    """The statements that define n0, n1, … in their order."""
    return [
        line.strip() for line in source.splitlines() if line.strip().startswith("n") and "[label=<" in line
    ]


def edges_of(source):
    """The edges' statements, without their ids."""
    return [re.sub(r' id=".*"\]', "]", line.strip()) for line in source.splitlines() if "->" in line]


def svg_texts(picture):
    """What a reader of the SVG sees, one string a line of text."""
    return [text.text for text in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]


@pytest.fixture
def no_renderer(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *args, **kwargs: None)


# --- what is drawn ---


def test_nodes_show_label_symbol_data_and_gradient():
    x, y = Value(3.0, label="x"), Value(-2.0, label="y")
    product = x * y
    product.label = "p"
    nodes = nodes_of(draw(product).source)
    for shown in [("x", "3", "-2"), ("y", "-2", "3"), ("p", "*", "-6", "1")]:
        assert any(all(f">{text}<" in node for text in shown) for node in nodes)


def test_numbers_have_four_digits():
    assert ">0.3333<" in draw(Value(1.0) / 3).source


def test_each_edge_has_its_own_partial():
    x = Value(3.0)
    assert edges_of(draw(x * x).source) == ['n0 -> n1 [label="∂ 3"]'] * 2
    assert edges_of(draw(x / x).source) == ['n0 -> n1 [label="∂ 0.3333"]', 'n0 -> n1 [label="∂ -0.3333"]']
    assert edges_of(draw(x - x).source) == ['n0 -> n1 [label="∂ 1"]', 'n0 -> n1 [label="∂ -1"]']


def test_partials_that_do_not_exist_are_drawn():
    assert edges_of(draw(Value(0.0).sqrt()).source) == ['n0 -> n1 [label="∂ inf"]']


@pytest.mark.parametrize("row", table.values(), ids=lambda row: row.name)
def test_edges_multiply_to_the_gradients(row):
    operands = [Value(0.5 + 0.25 * i) for i in range(len(row.operands))]
    try:
        result = row(*operands)
    except ValueError:  # acosh needs more
        operands = [Value(1.5) for _ in operands]
        result = row(*operands)
    result.backward()
    shown = [edge.partition("∂ ")[2].rstrip('"]') for edge in edges_of(draw(result).source)]
    assert shown == [format(operand.grad, ".4g") for operand in operands]


def test_constants_have_no_partial_and_no_gradient():
    source = draw(Value(-3.0) ** 2).source
    constant = next(node for node in nodes_of(source) if "dashed" in node)
    assert "d root" not in constant
    assert sorted(edge.partition("[")[2] for edge in edges_of(source)) == ['label=""]', 'label="∂ -6"]']


def test_leaves_constants_interior_nodes_and_root_look_different():
    x = Value(2.0, label="x")
    root = (x * 3).exp()
    looks = [node.rpartition(">>")[2] for node in nodes_of(draw(root).source)]
    assert len(looks) == len(set(looks)) == 4


def test_a_leaf_alone():
    assert edges_of(draw(Value(3.0)).source) == []


def test_a_node_made_by_hand():
    x = Value(3.0, label="x")
    y = Value(6.0, (x,), "twice")

    def step():
        x.grad += 2 * y.grad

    y._backward = step
    source = draw(y).source
    assert "twice" in source
    assert ">2<" in nodes_of(source)[0]
    assert edges_of(source) == ['n0 -> n1 [label=""]']


def test_a_primitive_of_ones_own_is_drawn_with_its_symbol():
    row = primitive("cube_for_drawing", "x * x * x", "3 * x * x", symbol="x³")
    try:
        source = draw(row(Value(2.0))).source
    finally:
        del table[row.name]
    assert ">x³<" in source
    assert edges_of(source) == ['n0 -> n1 [label="∂ 12"]']


def test_the_same_graph_gives_the_same_source():
    sources = {draw(softmax_cross_entropy()[1]).source for _ in range(3)}
    assert len(sources) == 1


def test_a_deep_graph_does_not_recurse():
    x = Value(0.5)
    for _ in range(5000):
        x = x + 1
    assert len(nodes_of(draw(x, limit=None).source)) == 10_001


# --- gradients stay as they were ---


def test_grad_is_left_alone():
    z, loss = softmax_cross_entropy()
    loss.backward()
    for i, x in enumerate(z):
        x.grad += i
    before = [node.grad for node in topological_order(loss)]
    source = draw(loss).source
    assert [node.grad for node in topological_order(loss)] == before
    assert ">-0.7062<" in source


def test_grad_is_left_alone_when_a_step_raises():
    x = Value(3.0)
    y = Value(6.0, (x,), "bad")

    def step():
        raise KeyError("bad step")

    y._backward = step
    z = y * y
    x.grad, y.grad, z.grad = 5.0, 6.0, 7.0
    with pytest.raises(KeyError, match="bad step"):
        draw(z)
    assert (x.grad, y.grad, z.grad) == (5.0, 6.0, 7.0)


# --- what may be drawn ---


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: ((v,),), lambda v: np.array([[v]], dtype=object)])
def test_an_array_of_one_is_its_element(wrap):
    root = Value(2.0) * 3
    assert draw(wrap(root)).source == draw(root).source


@pytest.mark.parametrize(
    ("thing", "got"),
    [
        (3, "int"),
        (None, "NoneType"),
        ("x", "str"),
        ([], "none"),
        (np.ones(2), "float64 among 2 elements"),
        ([Value(1.0), 2], "int among 2 elements"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(thing, got):
    with pytest.raises(TypeError, match=f"^draw: expected a Value to draw, or several, got {got}$"):
        draw(thing)


# --- labels ---


@pytest.mark.parametrize("label", AWKWARD)
def test_labels_arrive_as_they_are(label):
    picture = layout.render(draw(Value(1.0, label=label)).source, "svg")
    assert label in svg_texts(picture)


def test_lines_stay_lines():
    label = "first\nsecond\r\n\nfourth"
    texts = svg_texts(layout.render(draw(Value(1.0, label=label)).source, "svg"))
    assert {"first", "second", "fourth"} <= set(texts)


@pytest.mark.parametrize("label", ["\x00", "a\x1bb", "a\ud800b", "\uffff", "\x0b", " ", "\n", "\t"])
def test_characters_without_a_place_in_xml(label):
    picture = layout.render(draw(Value(1.0, label=label)).source, "svg")
    assert "data" in svg_texts(picture)


def test_symbols_are_escaped():
    texts = svg_texts(layout.render(draw(Value(1.0, (Value(2.0),), "<&>")).source, "svg"))
    assert "<&>" in texts


# --- saving ---


def test_svg(tmp_path):
    path = draw(softmax_cross_entropy()[1]).save(tmp_path / "loss.svg")
    assert path == tmp_path / "loss.svg"
    texts = svg_texts(path.read_bytes())
    assert {"loss", "z0", "exp", "log", "d root", "0.622", "-0.7062", "∂ -1"} <= set(texts)


def test_png(tmp_path):
    path = draw(Value(2.0) * 3).save(f"{tmp_path}/product.PNG")
    picture = path.read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert picture.endswith(b"IEND\xaeB`\x82")


def test_dot_is_the_source(tmp_path, no_renderer):
    drawn = draw(Value(2.0, label="é") * 3)
    assert drawn.save(tmp_path / "product.dot").read_text(encoding="utf-8") == drawn.source
    assert drawn.save(tmp_path / "product.gv").read_text(encoding="utf-8") == drawn.source


@pytest.mark.parametrize("name", ["picture.zzz", "picture"])
def test_an_unknown_suffix_leaves_the_file_as_it_was(tmp_path, name):
    path = tmp_path / name
    path.write_text("mine")
    with pytest.raises(ValueError, match=r"^save: the suffix must name a format, such as \.svg"):
        draw(Value(1.0)).save(path)
    assert path.read_text() == "mine"


def test_a_format_that_the_renderer_cannot_write(tmp_path, monkeypatch):
    pure = [program for program in layout.programs() if "graphviz-pure" in program]
    if not pure:
        pytest.skip("graphviz-pure has no wheel here")
    monkeypatch.setattr(layout, "programs", lambda: pure)
    with pytest.raises(ValueError, match=r"^save: graphviz-pure cannot write 'pdf'"):
        draw(Value(1.0)).save(tmp_path / "picture.pdf")
    assert not list(tmp_path.iterdir())


def test_without_a_renderer_the_source_still_works(tmp_path, no_renderer):
    drawn = draw(Value(2.0) * 3)
    assert drawn.source.startswith("digraph {")
    with pytest.raises(RuntimeError, match=r"^drawing needs Graphviz: install .* graphviz-pure'$"):
        drawn.save(tmp_path / "picture.svg")
    assert not list(tmp_path.iterdir())
    assert drawn._repr_svg_() is None
    shown = drawn._repr_mimebundle_()
    assert list(shown) == ["text/plain"]
    assert "install" in shown["text/plain"]
    assert drawn.source in shown["text/plain"]


def test_found_beside_python_when_not_on_the_path(tmp_path, monkeypatch):
    if shutil.which("dot") or not layout.programs():
        pytest.skip("no graphviz-pure, or the system's dot comes first")
    monkeypatch.setenv("PATH", str(tmp_path))
    picture = layout.render(draw(Value(1.0)).source, "svg")
    assert svg_texts(picture)


# --- Jupyter, and the import ---


def test_jupyter_shows_svg():
    drawn = draw(Value(2.0, label="x") * 3)
    bundle = drawn._repr_mimebundle_()
    assert "x" in svg_texts(bundle["image/svg+xml"].encode())
    assert drawn._repr_svg_() == bundle["image/svg+xml"]
    assert bundle["text/html"].startswith('<svg style="max-width:100%;')  # an image would be cut off


def test_the_import_is_cheap():
    code = "import sys, autograd_mini.drawing; sys.exit('graphviz' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
