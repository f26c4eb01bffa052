"""What the options of `draw` show, read from the picture's own text."""

import html
import math
import re
import subprocess
import time
import xml.etree.ElementTree
from collections import defaultdict
from contextlib import ExitStack
from itertools import pairwise

import numpy as np
import pytest

from autograd_mini import (
    TraceError,
    Value,
    check_gradient,
    cross_entropy,
    cross_entropy_from_logits,
    draw,
    gradient_graph,
    named,
    scope,
    softmax,
    trace,
    values,
)
from autograd_mini.drawing import chains, layout, numbers
from autograd_mini.drawing.graph import written_order
from autograd_mini.value import topological_order


def loss_of(logits=(1.5, -0.5, 0.75), target=2):
    z = values(logits, "z")
    return z, named(cross_entropy(named(softmax(z), "y"), target), "loss")


def network(sizes=(2, 4, 4, 1)):
    rng = np.random.default_rng(0)
    x = h = values(rng.normal(size=sizes[0]), "x")
    for i, (below, above) in enumerate(pairwise(sizes), 1):
        with scope(f"layer {i}"):
            W, b = values(rng.normal(size=(above, below)), f"W{i}"), values(rng.normal(size=above), f"b{i}")
            h = np.tanh(W @ h + b)
    return x, named(np.sum((h - 1.0) ** 2), "loss")


def chain(length):
    x, a = Value(0.5, label="x"), Value(1.01, label="a")
    for _ in range(length // 2):
        x = x * a + 1.0
    return x


def boxes_of(drawing):
    """Each node's id with the text of its statement."""
    found = {}
    for line in drawing.source.splitlines():
        match = re.match(r'\s*"?([ng]\d+(?:-rest)?)"? \[label=(.*)', line)
        if match:
            found[match[1]] = match[2]
    return found


def numbers_of(box):
    """The named numbers in a box, such as d root."""
    cells = re.findall(r"<TD.*?>(.*?)</TD>", box)
    plain = [html.unescape(re.sub(r"<.*?>", "", cell)) for cell in cells]
    rows = [cell for cell in plain if cell]
    found = {}
    for name, number in pairwise(rows):
        if name in ("data", "d root", "grad", "Σ grad", "nodes", "max |d root|"):
            found[name] = float(number.replace(",", ""))
    return found


def edges_of(drawing):
    """(tail, head, id, partial, contribution, statement) of every edge that is seen."""
    found = []
    for line in drawing.source.splitlines():
        match = re.match(r'\s*"?([\w-]+)"? -> "?([\w-]+)"? \[(.*)\]', line)
        if match and "style=invis" not in line:
            id = re.search(r'id="(.*?)"', line)[1]
            partial = re.search(r"∂ ([-\w.+]+)", match[3])
            gives = re.search(r"\+= ([-\w.+]+)", match[3])
            found.append((
                match[1], match[2], id,
                float(partial[1]) if partial else None, float(gives[1]) if gives else None, match[3],
            ))  # fmt: skip
    return found


# --- the chain rule on the picture ---


@pytest.mark.parametrize(
    "options", [{}, {"sums": True}, {"constants": False}, {"sums": True, "constants": False}]
)
@pytest.mark.parametrize("make", [loss_of, network], ids=["loss", "network"])
def test_contributions_add_up_to_the_gradients(make, options):
    leaves, root = make()
    drawing = draw(root, contributions=True, precision=12, arrays=False, **options)
    root.backward()
    shown = {id: numbers_of(box) for id, box in boxes_of(drawing).items()}
    total = defaultdict(float)
    for tail, head, _, partial, contribution, _ in edges_of(drawing):
        if contribution is not None:
            assert contribution == pytest.approx(partial * shown[head]["d root"], rel=1e-9, abs=1e-11)
            total[tail] += contribution
    for id, amount in total.items():
        assert amount == pytest.approx(shown[id]["d root"], rel=1e-9, abs=1e-11)
        assert amount == pytest.approx(drawing.nodes[int(id[1:])].grad, rel=1e-9, abs=1e-11)
    assert {f"n{drawing.nodes.index(leaf)}" for leaf in leaves} <= total.keys()


def test_ids_tell_nodes_and_operands():
    _, loss = loss_of()
    drawing = draw(loss)
    assert drawing.nodes == written_order([loss])
    for tail, head, id, *_ in edges_of(drawing):
        below, above, place = id.split("-")
        assert (below, above) == (tail, head)
        assert drawing.nodes[int(above[1:])].args[int(place)] is drawing.nodes[int(below[1:])]
    picture = layout.render(drawing.source, "svg").decode()
    for id in boxes_of(drawing):
        assert f'id="{id}" class="node"' in picture


def test_contributions_differ_in_width_colour_and_arrowhead():
    x, y = Value(2.0, label="x"), Value(1.0, label="y")
    looks = {c: look for *_, c, look in edges_of(draw(x - y * 3.0, contributions=True)) if c is not None}
    assert looks.keys() == {1.0, -1.0, -3.0}
    assert {c: "arrowhead=empty" in look for c, look in looks.items()} == {1.0: False, -1.0: True, -3.0: True}
    widths = {c: float(re.search(r"penwidth=([\d.]+)", look)[1]) for c, look in looks.items()}
    assert widths[1.0] == widths[-1.0] < widths[-3.0]
    colours = {c: re.search(r'color="(.*?)"', look)[1] for c, look in looks.items()}
    assert colours[1.0] != colours[-1.0] == colours[-3.0]


def test_several_roots_show_the_gradients_of_their_sum():
    x, y = Value(2.0, label="x"), Value(-3.0, label="y")
    roots = [x * y, x * x]
    drawing = draw(roots, precision=12)
    shown = boxes_of(drawing)
    sum(roots).backward()
    for node, id in [(x, drawing.nodes.index(x)), (y, drawing.nodes.index(y))]:
        assert numbers_of(shown[f"n{id}"])["d root"] == pytest.approx(node.grad)
    assert draw(np.array(roots, dtype=object)).source == draw(roots).source


def test_the_leaf_that_moves_the_root_most_stands_out():
    x, y = Value(2.0, label="x"), Value(-3.0, label="y")
    heavy = [box for box in boxes_of(draw(x * y)).values() if "penwidth=3" in box]
    assert len(heavy) == 1
    assert "<B>x</B>" in heavy[0]
    assert not [box for box in boxes_of(draw(x + y)).values() if "penwidth" in box]


# --- constants, sums and products, order ---


def test_hidden_constants_are_written_into_the_operation():
    x = Value(3.0, label="x")
    drawing = draw((2 * x) ** 2 - 1, constants=False)
    titles = " ".join(boxes_of(drawing).values())
    assert "dashed" not in titles
    assert all(f">{symbol}<" in titles for symbol in ("2 *", "** 2", "- 1"))
    assert len(edges_of(drawing)) == 3


def test_a_sum_is_one_node_with_the_product_of_the_partials():
    x = values([1.0, 2.0, 3.0, 4.0], "x")
    drawing = draw(np.sum(x) / np.prod(x), sums=True, precision=12)
    titles = boxes_of(drawing).values()
    assert sum(">Σ<" in title for title in titles) == 1
    assert sum(">∏<" in title for title in titles) == 1
    partials = sorted(partial for *_, partial, _, _ in edges_of(drawing))
    assert partials == pytest.approx([-10 / 24**2, 1 / 24, 1, 1, 1, 1, 6, 8, 12, 24])


def test_a_sum_ends_where_someone_may_look():
    x = values([1.0, 2.0, 3.0, 4.0], "x")
    part = named(x[0] + x[1] + x[2], "part")
    assert "<B>part</B>" in draw(part + x[3], sums=True).source
    shared = x[0] + x[1]
    assert len(boxes_of(draw(shared + (shared + x[2]), sums=True))) == 3 + 2
    assert len(boxes_of(draw([shared + x[2], shared], sums=True))) == 3 + 2


def test_the_order_is_that_of_the_reverse_sweep():
    _, loss = loss_of()
    drawing = draw(loss, order="backward")
    numbered = {}
    for id, box in boxes_of(drawing).items():
        if match := re.search(r">(\d+)\.<", box):
            numbered[drawing.nodes[int(id[1:])]] = int(match[1])
    assert sorted(numbered.values()) == list(range(1, len(numbered) + 1))
    assert [*sorted(numbered, key=numbered.get)] == numbers.sweep([loss])
    for node, number in numbered.items():
        assert all(numbered[x] > number for x in node.args if x in numbered)


def test_precision_and_direction():
    drawing = draw(Value(1.0) / 3, precision=8, direction="TB")
    assert ">0.33333333<" in drawing.source
    assert "rankdir=TB" in drawing.source


# --- .grad as it stands ---


def test_the_attribute_is_shown_with_a_note_on_several_sweeps():
    x, y = Value(2.0, label="x"), Value(-3.0, label="y")
    root = x * y + x
    assert "several sweeps" not in draw(root, grad="attribute").source
    root.backward()
    once = draw(root, grad="attribute").source
    assert "several sweeps" not in once
    root.backward()
    drawing = draw(root, grad="attribute")
    assert "at 2 leaves .grad is not d root, but holds the sum of several sweeps" in drawing.source
    sums = [row["Σ grad"] for box in boxes_of(drawing).values() if "Σ grad" in (row := numbers_of(box))]
    assert sorted(sums) == [x.grad, y.grad] == [-4.0, 4.0]
    assert x.grad == -4.0


def test_a_gradient_of_nan_is_that_of_one_sweep():
    x = Value(0.0, label="x")
    root = x.sqrt() * 0.0
    root.backward()
    assert math.isnan(x.grad)
    assert "several sweeps" not in draw(root, grad="attribute").source


@pytest.mark.parametrize("place", [0, 1, 2])
def test_nan_is_told_wherever_it_comes(place):
    with scope("layer"):
        x = values([1.0, 2.0, 3.0], "x")
        terms = [x[0] * 2.0, x[1] * 3.0, x[2] * 5.0]
        terms[place] = (x[place] - x[place].data).sqrt() * 0.0
        root = terms[0] + terms[1] + terms[2]
    (closed,) = (box for id, box in boxes_of(draw(root, collapse=["layer"])).items() if id[0] == "g")
    assert math.isnan(numbers_of(closed)["max |d root|"])
    heavy = [box for box in boxes_of(draw(root)).values() if "penwidth=3" in box]
    assert len(heavy) == 1
    assert f"<B>x{1 if place == 2 else 2}</B>" in heavy[0]


# --- the gradient graph ---


def test_the_gradient_graph_stands_beside_the_graph():
    z = values([1.5, -0.5, 0.75], "z")
    loss = named(cross_entropy_from_logits(z, 2), "loss")
    drawing = draw(loss, gradient=z, precision=12)
    forward = set(topological_order(loss))
    loss.backward()
    shown = boxes_of(drawing)
    titles = {
        match[1]: numbers_of(box)["data"]
        for box in shown.values()
        if (match := re.search("∂loss/∂(z.)", box))
    }
    assert titles == pytest.approx({f"z{i}": g for i, g in enumerate(z.grad)})
    for tail, head, *_, look in edges_of(drawing):
        below, above = drawing.nodes[int(tail[1:])], drawing.nodes[int(head[1:])]
        crosses = below in forward and above not in forward
        assert ("dashed" in look) == crosses
        assert not (above in forward and below not in forward)
    # y − t: at the target's logit the probability less one
    y = np.exp(z.data) / np.sum(np.exp(z.data))
    assert z.grad == pytest.approx(y - [0, 0, 1])
    assert any(
        "∂loss/∂z2" in box and ">-1 +<" in box
        for box in boxes_of(draw(loss, gradient=z, constants=False)).values()
    )


def test_the_reverse_part_lies_right_of_the_root():
    z, loss = loss_of()
    drawing = draw(loss, gradient=z, direction="LR", arrays=False)
    plain = layout.render(drawing.source, "plain").decode()
    place = {
        words[1].strip('"'): float(words[2])
        for words in map(str.split, plain.splitlines())
        if words[0] == "node"
    }
    forward = set(topological_order(loss))
    root = place[f"n{drawing.nodes.index(loss)}"]
    for i, node in enumerate(drawing.nodes):
        if node not in forward and node.args:
            assert place[f"n{i}"] > root
        elif node in forward:
            assert place[f"n{i}"] <= root


@pytest.mark.parametrize("collapse", [(), "hidden"])
def test_no_arrow_leads_back_from_a_frame_beside_a_gradient_graph(collapse):
    x = values([0.5, -1.0], "x")
    with scope("net"):
        with scope("hidden"):
            h = named(np.tanh(values([[1.0, 2.0], [3.0, -1.0]], "W") @ x), "h")
        with scope("out"):
            out = np.sum(values([1.0, -2.0], "v") * h)
        with scope("hidden"):
            again = (h[0] * h[1]).exp()
    loss = named((out - 1) ** 2 + again, "loss")
    drawing = draw(loss, gradient=x, collapse=collapse, direction="LR", arrays=False)
    plain = layout.render(drawing.source, "plain").decode()
    lines = [line.split() for line in plain.splitlines()]
    place = {words[1]: float(words[2]) for words in lines if words[0] == "node"}
    for tail, head, *_ in edges_of(drawing):
        assert place[tail] < place[head]


def test_both_ways_to_the_gradient_have_the_same_numbers():
    z, long = loss_of()
    short = cross_entropy_from_logits(z, 2)
    for way in (long, short):
        assert [g.data for g in gradient_graph(way, z)] == pytest.approx([0.622, 0.08418, -0.7062], abs=1e-4)
    assert len(draw(long, gradient=z).nodes) - len(draw(long).nodes) > len(
        draw(short, gradient=z).nodes
    ) - len(draw(short).nodes)


# --- groups ---


def test_scopes_and_arrays_are_framed():
    _, loss = network()
    source = draw(loss, arrays=False).source
    labels = re.findall(r'label="?([^<]*?)"? labeljust', source)
    assert set(labels) == {"x", "layer 1", "layer 2", "layer 3"}
    _, loss = loss_of()
    assert set(re.findall(r'label="?([^<]*?)"? labeljust', draw(loss).source)) == {"y", "z"}


def test_a_name_with_a_number_alone_is_no_array():
    x1, x2 = Value(1.0, label="x1"), Value(2.0, label="x2")
    assert "subgraph" not in draw(x1 * x2).source


def test_closed_groups_sum_up_what_flows():
    x, loss = network()
    drawing = draw(loss, collapse=["layer 1", "layer 2", "layer 3"], contributions=True, precision=12)
    loss.backward()
    closed = {box_id: box for box_id, box in boxes_of(drawing).items() if box_id.startswith("g")}
    assert [re.search("<B>(.*?)</B>", box)[1] for box in closed.values()] == ["layer 1", "layer 2", "layer 3"]
    inside = sum(numbers_of(box)["nodes"] for box in closed.values())
    assert inside + len(boxes_of(drawing)) - len(closed) == len(drawing.nodes)
    edges = edges_of(drawing)
    assert len({(tail, head) for tail, head, *_ in edges}) == len(edges)
    for leaf in x:
        id = f"n{drawing.nodes.index(leaf)}"
        assert sum(c for tail, *_, c, _ in edges if tail == id) == pytest.approx(leaf.grad)


def test_partials_inside_a_closed_group_are_not_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(chains, "partials", lambda node: asked.append(node) or numbers.partials(node))
    x = Value(0.5, label="x")
    with scope("long"):
        y = x * x
        for _ in range(100):
            y = y * 1.01 + y
    drawing = draw(y + 1.0, collapse=["long"], contributions=True, precision=12)
    assert len(asked) == 2
    (y + 1.0).backward()
    assert [c for tail, *_, c, _ in edges_of(drawing) if tail == "n0"] == [pytest.approx(x.grad)]


def test_scopes_of_any_depth_are_framed():
    with ExitStack() as scopes:
        for i in range(1000):
            scopes.enter_context(scope(f"scope {i}"))
        x = Value(3.0, label="x")
        y = x * x
    source = draw(y).source
    assert source.count("subgraph cluster_") == 1000
    inside = source.split('label="scope 999"')[1]
    assert inside.index("<B>x</B>") < inside.index("}")
    assert "<B>x</B>" not in source.split('label="scope 999"')[0]


def test_collapse_all_and_arrays_within_scopes():
    _, loss = network()
    assert sum(id.startswith("g") for id in boxes_of(draw(loss, collapse=True))) == 4
    weights = boxes_of(draw(loss, collapse=["W2"]))
    assert [numbers_of(box)["nodes"] for id, box in weights.items() if id.startswith("g")] == [16]


def test_a_root_in_a_closed_group_is_drawn_beside_it():
    with scope("all"):
        x = Value(2.0, label="x")
        loss = named((x * x).exp(), "loss")
    drawing = draw(loss, collapse=["all"])
    assert "subgraph" not in drawing.source
    assert [id[0] for id in boxes_of(drawing)] in (["g", "n"], ["n", "g"])
    assert [(partial, count) for *_, partial, count, _ in edges_of(drawing)] == [
        (pytest.approx(54.6, 1e-3), None)
    ]


def test_marks():
    _, loss = loss_of()
    wrong = check_gradient(loss, {"y": [1.0, 1.0, 1.0]})
    assert not wrong
    marked = [box for box in boxes_of(draw(loss, mark=["y"])).values() if "●" in box]
    assert len(marked) == 3
    assert len([box for box in boxes_of(draw(loss, mark=[loss])).values() if "●" in box]) == 1


# --- large graphs ---


def test_a_large_graph_that_repeats_nothing_is_drawn_in_part_and_says_so():
    x, y = Value(0.0, label="x"), Value(0.5, label="y")
    far = x
    for _ in range(5000):
        far = far * 1.0001 + y * 1e-9
    drawing = draw(far)
    boxes = boxes_of(drawing)
    assert len(boxes) < 120
    assert f"60 of {len(drawing.nodes):,} nodes, those around the root" in drawing.source
    assert "limit=None" in drawing.source
    assert f"n{drawing.nodes.index(far)}" in boxes
    assert all(node.grad == 0.0 for node in drawing.nodes)
    layout.render(drawing.source, "svg")


def test_a_large_graph_with_groups_is_drawn_with_them_closed():
    _, loss = network((10, 12, 10, 2))
    drawing = draw(loss, arrays=False)
    assert f"{len(drawing.nodes):,} nodes, their groups drawn closed" in drawing.source
    assert len(boxes_of(drawing)) < 20
    assert len(boxes_of(draw(loss, limit=None))) == len(drawing.nodes)


@pytest.mark.parametrize("limit", [1, 2, 5, 30])
def test_the_limit_is_kept(limit):
    _, loss = loss_of()
    boxes = boxes_of(draw(loss, limit=limit))
    assert 1 <= len([id for id in boxes if not id.endswith("rest")]) <= limit


@pytest.mark.parametrize("n", [20_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_a_million_nodes(n):
    root = chain(2 * n // 3)
    assert len(topological_order(root)) > 0.99 * n
    start = time.perf_counter()
    drawing = draw(root)
    svg = layout.render(drawing.source, "svg")
    assert time.perf_counter() - start < 20  # two seconds on an idle machine
    assert b"</svg>" in svg


def test_long_edges_do_not_hold_the_layout_up():
    weights = values(np.linspace(0.1, 1.0, 10), "a")
    x = Value(0.5, label="x")
    for i in range(100):
        x = x * weights[i % 10] + 1.0 if i % 2 else x + weights[i % 10]
    layout.render(draw(x).source, "svg", timeout=60)


# --- themes, determinism, writers, notebooks ---


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    low, high = sorted(map(luminance, (a, b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", ["light", "dark"])
def test_themes_are_readable(name):
    """WCAG's contrast: 4.5 for text, 3 for lines and the two signs, which also differ in grey."""
    from autograd_mini.drawing.style import THEMES

    theme = THEMES[name]
    for fill in (
        theme.background,
        theme.leaf,
        theme.constant,
        theme.interior,
        theme.root,
        theme.reverse,
        theme.closed,
    ):
        assert contrast(theme.text, fill) >= 4.5
        assert contrast(theme.muted, fill) >= 4.5
    for line in (theme.line, theme.positive, theme.mark):
        assert contrast(line, theme.background) >= 3
    assert contrast(theme.negative, theme.background) >= 2.5
    assert abs(luminance(theme.positive) - luminance(theme.negative)) > 0.1
    assert theme.background in draw(Value(1.0), theme=name).source


def test_the_same_graph_gives_the_same_bytes():
    def picture():
        z, loss = loss_of()
        return layout.render(
            draw(loss, gradient=z, contributions=True, sums=True, order="backward").source, "svg"
        )

    assert picture() == picture()


def test_leaves_and_arrays_show_their_numbers_and_gradients_as_they_are():
    z, _ = loss_of()
    z.grad = [0.25, -0.5, 7.0]
    shown = cells(z)
    assert [row[0] for row in shown] == ["z", "number", "gradient"]
    assert [float(number) for number in shown[1][1:]] == [*z.data]
    assert shown[2][1:] == ["0.25", "-0.5", "7"]
    x = Value(2.0, label="<x>")
    assert cells(x) == [["<x>", ""], ["number", "2"], ["gradient", "0"]]
    W = values(np.arange(1000.0).reshape(20, 50), "W")
    shown = cells(W)
    assert shown[1][:4] == ["number", "0", "0", "1"]
    assert shown[2][:4] == ["", "1", "50", "51"]
    assert [row for row in shown if len(row) == 1] == [["… and 8 more rows"]] * 2
    assert "overflow: auto" in W._repr_mimebundle_()["text/html"]


def cells(x):
    """The cells of the table that a notebook shows."""
    table = xml.etree.ElementTree.fromstring(x._repr_mimebundle_()["text/html"])
    return [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]


@pytest.mark.skipif(not layout.programs(), reason="no Graphviz here")
def test_values_and_arrays_show_themselves_while_small():
    z, loss = loss_of()
    assert "<svg" in loss._repr_mimebundle_()["image/svg+xml"]
    assert list(z._repr_mimebundle_()) == ["text/html", "text/plain"]
    assert list(chain(1000)._repr_mimebundle_()) == ["text/plain"]
    assert list(np.sum(values(np.ones(6000)))._repr_mimebundle_()) == ["text/plain"]
    assert "image/svg+xml" in np.sum(values(np.ones(500)) ** 2)._repr_mimebundle_()
    assert list(np.array([loss, 1.0], dtype=object).view(type(z))._repr_mimebundle_()) == ["text/plain"]

    def traced(x):
        assert list(x._repr_mimebundle_()) == ["text/plain"]
        return x * x

    assert trace(traced, 1.0)(3.0) == 9.0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"order": "forward"}, "order must be None or 'backward', got 'forward'"),
        ({"grad": "sum"}, "grad must be 'sweep' or 'attribute'"),
        ({"direction": "left"}, "direction must be None or 'LR' or 'TB' or 'RL' or 'BT'"),
        ({"theme": "blue"}, "theme must be 'light' or 'dark'"),
        ({"theme": ["light"]}, "theme must be 'light' or 'dark', got"),
        ({"precision": 0}, "precision must be"),
        ({"precision": True}, "precision must be"),
        ({"limit": 0}, "limit must be"),
        ({"collapse": ["W"]}, r"collapse names no group 'W'; this graph has 'y', 'z'"),
        ({"mark": ["W"]}, r"mark names no node 'W'; this graph has loss, y0"),
    ],
)
def test_options_that_do_not_exist_are_a_sentence(options, said):
    with pytest.raises(ValueError, match=f"^draw: {said}"):
        draw(loss_of()[1], **options)


@pytest.mark.parametrize("option", ["collapse", "mark"])
def test_names_that_are_none_are_a_sentence(option):
    with pytest.raises(TypeError, match=f"^draw: {option} must be a name or several, got int$"):
        draw(Value(1.0), **{option: 3})


@pytest.mark.parametrize("example", [1.0, np.ones(2)])
def test_a_function_that_is_traced_has_nothing_to_draw(example):
    def drawn(x):
        draw(x)
        return np.sum(x * x)

    with pytest.raises(TraceError, match=r"^draw: a Value has no number while a function is being traced"):
        trace(drawn, example)


def test_a_gradient_graph_needs_one_root():
    x = Value(2.0)
    with pytest.raises(ValueError, match=r"^draw: gradient= needs one root, got 2$"):
        draw([x * x, x + 1], gradient=[x])


def test_nan_and_infinity_are_drawn():
    x = Value(0.0, label="x")
    drawing = draw(x.sqrt() * Value(math.inf), contributions=True)
    assert "nan" in drawing.source or "inf" in drawing.source
    layout.render(drawing.source, "svg")


def test_the_rendered_sizes_leave_room_for_the_text():
    """The bundled renderer knows the widths of Helvetica: no 'hard-coded metrics' fallback."""
    pure = layout.programs()[-1]
    done = subprocess.run(
        [pure, "-Kdot", "-Tsvg"], input=draw(loss_of()[1]).source.encode(), capture_output=True
    )
    assert b"hard-coded metrics" not in done.stderr
