"""Large graphs as pictures: nodes of equal structure are one box with the array of their numbers."""

import html
import math
import re
import struct
import time
import warnings
import xml.etree.ElementTree as ET
from functools import partial
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest

from autograd_mini import (
    Value,
    absolute_error,
    binary_cross_entropy,
    binary_cross_entropy_from_logits,
    cross_entropy,
    cross_entropy_from_logits,
    draw,
    gradient_graph,
    log_softmax,
    logsumexp,
    mean_squared_error,
    named,
    scope,
    softmax,
    squared_error,
    values,
)
from autograd_mini.drawing import layout
from autograd_mini.drawing.families import Family
from autograd_mini.drawing.graph import DrawnGraph, Options, select, written_order
from autograd_mini.drawing.picture import picture_of
from autograd_mini.drawing.steps import function_of
from autograd_mini.nn import MLP
from autograd_mini.value import topological_order

needs_graphviz = pytest.mark.skipif(not layout.programs(), reason="no Graphviz here")
PAGE = 1400  # pixels


def rng():
    return np.random.default_rng(0)


def classes(count=10):
    z = values(np.linspace(-1, 1, count) ** 3, "z")
    return named(cross_entropy(named(softmax(z), "y"), min(3, count - 1)), "loss")


def network(sizes=(2, 4, 4, 1)):
    numbers = rng()
    h = values(numbers.normal(size=sizes[0]), "x")
    for i, (below, above) in enumerate(pairwise(sizes), 1):
        W = values(numbers.normal(size=(above, below)), f"W{i}")
        h = np.tanh(W @ h + values(numbers.normal(size=above), f"b{i}"))
    return named(np.sum((h - 1.0) ** 2), "loss")


def batch_norm(rows=6, columns=3):
    numbers = rng()
    x = values(numbers.normal(size=(rows, columns)), "x")
    gamma, beta = values(np.ones(columns), "gamma"), values(np.zeros(columns), "beta")
    mu = named(x.mean(axis=0), "mu")
    var = named(((x - mu) ** 2).mean(axis=0), "var")
    out = gamma * (x - mu) / np.sqrt(var + 1e-5) + beta
    return named(np.sum(out * numbers.normal(size=(rows, columns))), "loss")


def batch():
    numbers = rng()
    X, W = values(numbers.normal(size=(6, 4)), "X"), values(numbers.normal(size=(4, 3)), "W")
    return cross_entropy_from_logits(X @ W + values(np.zeros(3), "b"), [0, 1, 2, 0, 1, 2])


def attention():
    numbers = rng()
    X, Q, K, V = (values(numbers.normal(size=(4, 4)), name) for name in "XQKV")
    return np.sum(softmax((X @ Q) @ (X @ K).T / 2.0) @ (X @ V))


def convolution():
    x, k = values(rng().normal(size=(7, 7)), "x"), values(np.ones((3, 3)) / 9, "k")
    return np.sum(np.array([[np.sum(x[i : i + 3, j : j + 3] * k) ** 2 for j in range(5)] for i in range(5)]))


def chosen():
    x = values(np.linspace(-1, 1, 30), "x")
    return np.sum(np.where(x > 0, x**2, np.maximum(x, -0.5)))


def triangles():
    A = values(rng().normal(size=(8, 8)), "A")
    return sum((A[i, j] * A[j, i]).exp() for i in range(8) for j in range(i))


def second_derivative():
    x = values(np.linspace(-1, 1, 20), "x")
    slopes = gradient_graph(np.sum(np.tanh(x) ** 3), x)
    return np.sum(slopes * slopes)


def unnamed():
    return MLP(3, [4, 4, 1], seed=1)([Value(1.0), Value(2.0), Value(-1.0)])


def several_roots():
    return np.tanh(values(rng().normal(size=(7, 30)), "W") @ values(rng().normal(size=30), "x"))


def scoped():
    h = values(rng().normal(size=5), "x")
    for i in range(3):
        with scope(f"layer {i}"):
            h = np.tanh(values(rng().normal(size=(5, 5)), f"W{i}") @ h)
    return np.sum(h)


def product():
    x = values(np.linspace(1, 2, 30), "x")
    return np.prod(x) + np.max(x)


KINDS = [
    classes, network, batch_norm, batch, attention, convolution, chosen, triangles, second_derivative,
    unnamed, several_roots, scoped, product,
]  # fmt: skip


def graph_of(roots, **options):
    roots = [*np.ravel(np.array(roots, dtype=object))]
    graph = DrawnGraph(roots, (), ())
    return graph, select(graph, Options(arrays=True, limit=400, **options))


def boxes_of(drawing):
    found = {}
    for line in drawing.source.splitlines():
        if match := re.match(r'\s*"?([nag]\d+)"? \[label=(.*)', line):
            found[match[1]] = match[2]
    return found


def rows_of(box):
    """The lines of a box's table as texts, the title first."""
    rows = re.findall(r"<TR>(.*?)</TR>", box)
    plain = (re.findall(r"<TD.*?>(.*?)</TD>", row) for row in rows)
    return [[html.unescape(re.sub(r"<.*?>", "", cell)) for cell in row] for row in plain]


def titles_of(drawing):
    return [rows_of(box)[0][0].replace("\xa0", " ") for box in boxes_of(drawing).values()]


def image_width(path):
    return struct.unpack(">I", Path(path).read_bytes()[16:20])[0]


# --- what is one box ---


def test_ten_classes_are_at_most_twelve_boxes():
    drawing = draw(classes())
    assert len(boxes_of(drawing)) <= 12
    named_steps = [title for title in titles_of(drawing) if title]  # and the targets, a table without a name
    assert named_steps == ["z", "exp(z − max z)", "Σ", "y  /", "t · ln y", "Σ", "loss  -"]
    assert f"{len(drawing.nodes)} nodes in 8 boxes, as arrays" in drawing.source
    assert "draw(…, arrays=False)" in drawing.source
    assert len(boxes_of(draw(classes(), arrays=False))) == len(drawing.nodes)


def test_so_are_a_hundred_and_a_thousand():
    assert len(boxes_of(draw(classes(100)))) == len(boxes_of(draw(classes(1000)))) == 8


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_the_tables_hold_the_numbers_of_the_values(make):
    """Every number in the picture is its Value's, and each member of a family has its operands' structure."""
    root = make()
    roots = [*np.ravel(np.array(root, dtype=object))]
    drawing = draw(root, arrays=True, precision=12, direction="TB")
    sum(roots).backward()
    _, selection = graph_of(root)
    families = [key for key in dict.fromkeys(selection.boxes.values()) if isinstance(key, Family)]
    shown = [rows_of(box) for id, box in boxes_of(drawing).items() if id[0] == "a"]
    assert len(shown) == len(families) >= 1
    for rows in shown:
        heads, *lines = rows[-3:] if rows[-1][0] == "d root" else rows[-2:]
        places = [i for i, head in enumerate(heads) if head and head != "…"]
        assert all(cells[i] == "…" for cells in lines for i, head in enumerate(heads) if head == "…")
        numbers = {cells[0]: [float(cells[i]) for i in places] for cells in lines}
        indices = [tuple(map(int, heads[i].split(","))) for i in places]
        assert any(self_consistent(family, indices, numbers) for family in families), rows
        if len(places) < len(heads) - 1:
            assert len(places) <= 5


def self_consistent(family, indices, numbers):
    at = dict(zip(family.indices, family.members, strict=True))
    if not set(indices) <= at.keys():
        return False
    data = [at[index].data for index in indices]
    grad = [at[index].grad for index in indices]
    close = [numbers.get("data", numbers.get("")) == pytest.approx(data, rel=1e-9, abs=1e-11)]
    if "d root" in numbers:
        close.append(numbers["d root"] == pytest.approx(grad, rel=1e-9, abs=1e-11))
    return all(close)


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_the_members_of_a_box_do_the_same_and_every_node_is_accounted_for(make):
    graph, selection = graph_of(make())
    left_out = {node for node in graph.order if node not in selection.boxes}
    assert all(node.op.symbol in ("", "max", "detach") for node in left_out)
    for key in set(selection.boxes.values()):
        if isinstance(key, Family):
            assert len({(node.op, len(node.args)) for node in key.members}) == 1
            assert len({*key.indices}) == len(key.members) == len({*key.members})
            assert [*key.indices] == sorted(key.indices)
            keys = {
                tuple(selection.boxes.get(x) for x in node.args if x.op.symbol or x.label)
                for node in key.members
                if selection.top.keys().isdisjoint(node.args)
            }
            if key.members[0].op.symbol in ("*", "exp", "tanh"):
                assert len(keys) <= 1


def test_above_twelve_the_first_the_last_and_the_largest_are_shown():
    x = values([3.0, *[1.0] * 5, -9.0, *[1.0] * 12, 2.0], "x")
    drawing = draw(np.sum(x**2), arrays=True, direction="LR")
    [table] = [rows_of(box) for box in boxes_of(drawing).values() if ">x<" in box]
    assert table[0] == ["x\xa0\xa020"]
    assert [row[:2] for row in table[2:]] == [["0", "3"], ["…", "…"], ["6", "-9"], ["…", "…"], ["19", "2"]]
    twelve = draw(np.sum(values(np.ones(12), "x") ** 2), arrays=True, direction="LR")
    [table] = [rows_of(box) for box in boxes_of(twelve).values() if ">x<" in box]
    assert [row[0] for row in table[2:]] == [str(i) for i in range(12)]


def test_entries_that_stand_out_are_shown():
    x = values(np.linspace(1.0, 2.0, 30), "x")
    root = np.sum(x) + x[17] * 5.0
    drawing = draw(root, arrays=True, direction="LR", mark=["x9"])
    [table] = [rows_of(box) for box in boxes_of(drawing).values() if ">x<" in box]
    assert {"9", "17"} <= {row[0] for row in table}
    assert "penwidth=3" in next(box for box in boxes_of(drawing).values() if ">x<" in box)


def test_of_equal_numbers_the_one_that_is_meant_stands_out():
    x = values(np.ones(30), "x")
    drawing = draw(np.sum(x) + x[17] * 5.0, arrays=True, direction="LR")
    [table] = [rows_of(box) for box in boxes_of(drawing).values() if ">x<" in box]
    assert ["17", "1", "6"] in table


def test_a_softmax_of_a_users_own_shift_is_left_as_it_is():
    z = values(np.linspace(-1, 1, 20), "z")
    shift = named(np.max(z), "largest")
    titles = titles_of(draw(np.sum(np.exp(z - shift) ** 2), arrays=True))
    assert any("largest" in title for title in titles)
    assert not any("−" in title for title in titles)


def test_a_shift_by_the_largest_of_a_part_is_not_called_that_of_all():
    z = values(np.linspace(-1, 1, 20), "z")
    shift = np.maximum(z[0], z[1]).detach()
    titles = titles_of(draw(np.sum(np.exp(z - shift)), arrays=True))
    assert {"max", "detach"} <= {title.split("  ")[0] for title in titles}
    assert not any("−" in title for title in titles)


def test_nan_in_a_long_array_is_shown():
    x = values(np.linspace(1.0, 2.0, 30), "x")
    x[4].data = math.nan
    source = draw(np.sum(x * 2.0), arrays=True).source
    assert source.count(">nan<") >= 3


def test_constants_stand_in_the_operation_or_in_a_table():
    x = values(np.arange(20.0), "x")
    titles = titles_of(draw(np.sum((x * 2.0 + np.arange(20.0)) ** 3 - 1.0), arrays=True))
    assert {"* 2", "** 3"} <= {title.split("  ")[0] for title in titles}
    assert any(title.startswith("root") for title in titles)
    source = draw(np.sum(x * np.arange(20.0)), arrays=True).source
    assert source.count("filled,dashed") == 1
    assert "dashed" not in draw(np.sum(x * np.arange(20.0)), arrays=True, constants=False).source


def test_a_table_of_constants_has_the_shape_of_what_takes_it():
    x = values(np.ones((4, 5)), "x")
    drawing = draw(np.sum(x * np.arange(20.0).reshape(4, 5)), arrays=True)
    assert sum(title.endswith("4×5") for title in titles_of(drawing)) == 3


def test_leaves_without_names_are_counted_by_what_uses_them():
    drawing = draw(unnamed(), arrays=True, direction="LR")
    tables = [rows_of(box) for box in boxes_of(drawing).values() if "cfe8f7" in box and ">data<" in box]
    first = [row[0] for table in tables for row in table if len(row) > 1 and row[0].isdigit()]
    assert first.count("0") >= 5
    assert max(map(int, first)) == 15  # of the sixteen weights of the second layer


def test_the_constants_in_a_sum_are_told():
    x = values(np.arange(20.0), "x")
    assert "root  Σ + 3" in titles_of(draw(1.0 + np.sum(x) + 2.0, arrays=True))


# --- arrows ---


def test_arrows_between_arrays_tell_the_range_of_the_partials():
    x = values(np.linspace(-2.0, 3.0, 20), "x")
    source = draw(np.sum(x**2), arrays=True).source
    assert "∂ -4 … 6" in source
    assert source.count("∂ 1") == 1
    assert source.count("->") == 2


def test_contributions_of_an_array_are_their_sum():
    x = values(np.linspace(1.0, 2.0, 20), "x")
    root = np.sum(x**2)
    drawing = draw(root, arrays=True, contributions=True, precision=12)
    root.backward()
    assert f"+= {format(sum(x.grad), '.12g')}" in drawing.source


OPERATIONS = [
    lambda a, b: a + b, lambda a, b: a * b, lambda a, b: a - b, lambda a, b: np.maximum(a, b),
    lambda a, b: np.tanh(a), lambda a, b: a * 2.0 + 1.0, lambda a, b: np.where(a > b, a, b),
    lambda a, b: a**2, lambda a, b: a + a, lambda a, b: np.exp(a * 0.1), lambda a, b: a * np.arange(6.0),
    lambda a, b: a[::-1],
    lambda a, b: named(a + b, "h"),
]  # fmt: skip


def random_program(seed):
    random = Random(seed)
    pool = [
        values([random.uniform(-1, 1) for _ in range(6)], name) for name in ("a", random.choice(["", "b1"]))
    ]
    for _ in range(random.randint(3, 14)):
        pool.append(random.choice(OPERATIONS)(random.choice(pool), random.choice(pool)))
    return np.sum(pool[-1] * pool[-2]) if random.random() < 0.7 else pool[-1]


@pytest.mark.parametrize("make", [*KINDS, *(partial(random_program, seed) for seed in range(40))])
def test_what_leaves_a_box_adds_up_to_its_gradients(make):
    """The chain rule on the picture: no arrow is lost or drawn twice, whatever is one box."""
    roots = {*np.ravel(np.array(make(), dtype=object))}
    graph = DrawnGraph([*roots], (), ())
    options = Options(arrays=True, contributions=True, limit=400)
    selection = select(graph, options)
    of_order = ((node, selection.boxes.get(node)) for node in graph.order)
    keys = dict.fromkeys(key for node, key in of_order if key is node or isinstance(key, Family))
    picture = picture_of(graph, selection, options)
    sum(roots).backward()
    for key, box in zip(keys, picture.boxes, strict=True):
        members = {*key.members} if isinstance(key, Family) else {key}
        assert all(members.isdisjoint(node.args) for node in members)
        given = [arrow.contribution for arrow in picture.arrows if arrow.tail is box]
        if box.kind != "constant":
            scale = 1.0 + sum(abs(node.grad) for node in members)
            total = sum(node.grad - (node in roots) for node in members)
            assert sum(given) == pytest.approx(total, rel=1e-9, abs=1e-12 * scale)


def test_numbers_in_the_order_of_the_sweep():
    drawing = draw(classes(), order="backward")
    numbered = [title.split(".")[0] for title in titles_of(drawing) if "." in title]
    assert sorted(map(int, numbered)) == list(range(1, 7))
    assert next(title for title in titles_of(drawing) if "loss" in title).startswith("1.")
    assert next(title for title in titles_of(drawing) if "exp" in title).startswith("6.")


# --- which way is chosen ---


def test_the_size_decides_and_the_argument_wins():
    small, large = classes(3), classes(10)
    assert not any(id[0] == "a" for id in boxes_of(draw(small)))
    assert any(id[0] == "a" for id in boxes_of(draw(small, arrays=True)))
    assert any(id[0] == "a" for id in boxes_of(draw(large)))
    assert not any(id[0] == "a" for id in boxes_of(draw(large, limit=None)))


def test_what_repeats_nothing_is_drawn_element_by_element():
    x = Value(0.5, label="x")
    for i in range(60):
        x = x.sin() if i % 2 else x.exp()
    assert len(boxes_of(draw(x))) == 61
    assert "as arrays" not in draw(x).source


def test_a_node_made_by_hand_is_drawn_element_by_element():
    nodes = [Value(float(i), label=f"x{i}") for i in range(60)]
    root = Value(1.0, tuple(nodes), "mine")
    assert len(boxes_of(draw(root, arrays=True))) == 61


def test_groups_close_among_arrays():
    drawing = draw(scoped(), arrays=True, collapse=["layer 1"])
    assert [id for id in boxes_of(drawing) if id[0] == "g"]
    assert drawing.source.count("subgraph") == 2


@pytest.mark.parametrize("roots", [Value(3.0), Value(3.0, label="x"), [Value(1.0), Value(2.0)]])
def test_a_lone_value(roots):
    for arrays in (True, False, None):
        assert boxes_of(draw(roots, arrays=arrays))


@pytest.mark.slow
def test_a_hundred_thousand_nodes_are_a_page():
    weights, x = values(np.full((32, 784), 0.01), "W"), values(np.linspace(0, 1, 784), "x")
    h = np.maximum(weights @ x, 0.0)
    out = values(np.full((10, 32), 0.1), "V") @ h
    root = cross_entropy_from_logits(out, 4)
    nodes = topological_order(root)
    assert len(nodes) > 75_000
    start = time.perf_counter()
    drawing = draw(root)
    assert time.perf_counter() - start < 30  # two seconds on an idle machine
    assert len(boxes_of(drawing)) <= 20
    assert len(drawing.source) < 40_000


def test_a_long_chain_is_not_rolled_for_nothing():
    x = Value(0.5, label="x")
    for i in range(30_000):
        x = x * 1.01 + 0.1 * i
    start = time.perf_counter()
    drawing = draw(x)
    assert time.perf_counter() - start < 10  # half a second on an idle machine
    assert not drawing.whole
    assert len(drawing.source) < 40_000


# --- names ---


def test_steps_have_the_names_of_the_functions_they_are():
    z, y = values([0.2, -1.0, 0.5], "z"), values([0.2, 0.5, 0.3], "y")
    t = np.array([0.0, 1.0, 0.0])
    named_by = {
        "softmax": softmax(z)[2],
        "log_softmax": log_softmax(z)[2],
        "logsumexp": logsumexp(z),
        "cross_entropy": cross_entropy(y, t),
        "cross_entropy_from_logits": cross_entropy_from_logits(z, t),
        "binary_cross_entropy": binary_cross_entropy(y, t, reduction="sum"),
        "binary_cross_entropy_from_logits": binary_cross_entropy_from_logits(z, t),
        "squared_error": squared_error(y, t),
        "mean_squared_error": mean_squared_error(y, t),
        "absolute_error": absolute_error(y, t),
        "mean": np.mean(z),
    }
    assert {name: function_of(node) for name, node in named_by.items()} == {name: name for name in named_by}


@pytest.mark.parametrize(
    "make",
    [
        lambda z: z[0] / z[1],
        lambda z: z[0].exp() / z[1].exp(),
        lambda z: z[0].exp() / (z[1].exp() + z[2].exp()),
        lambda z: Value(0.2).exp() / (z[0].exp() + z[2].exp()),  # of the same number
        lambda z: Value(0.2) - (z[0].exp() + z[2].exp()).log(),
        lambda z: (z[0].exp() + z[1]).log(),
        lambda z: (z[0] + z[1] + z[2]) / 2.0,
        lambda z: (z[0] + z[1] + z[2]) / math.inf,
        lambda z: (z[0] + z[1] + z[2]) / -3.0,
        lambda z: z[0] - (z[1].exp() + z[2].exp()).log(),
        lambda z: -(z[0] * z[1]),
        lambda z: z[0],
        lambda z: Value(1.0, (z[0], z[1]), "mine"),
    ],
)
def test_what_is_only_like_a_function_has_no_name(make):
    assert function_of(make(values([0.2, -1.0, 0.5], "z"))) == ""


def test_a_name_of_the_users_wins():
    z = values([0.2, -1.0, 0.5], "z")
    assert any("softmax" in title for title in titles_of(draw(softmax(z))))
    own = titles_of(draw(named(softmax(z), "S"), arrays=True))
    assert not any("softmax" in title for title in own)
    assert any("S " in title for title in own)


def test_of_the_steps_of_a_function_the_last_has_its_name():
    titles = titles_of(draw(batch()))
    assert sum("cross_entropy_from_logits" in title for title in titles) == 1


def test_a_number_equal_to_the_roots_is_no_root():
    x = Value(2.0, label="x")
    assert sorted(titles_of(draw(named(np.exp(x) + 0.0, "L")))) == ["0", "L  +", "exp", "x"]


def test_a_root_has_a_name():
    x = Value(2.0, label="x")
    assert "root  *" in titles_of(draw(x * x))
    assert "loss  *" in titles_of(draw(named(x * x, "loss")))


@pytest.mark.parametrize("arrays", [True, False])
def test_a_logarithm_times_a_target_reads_as_in_a_book(arrays):
    source = draw(classes(4), arrays=arrays).source
    assert "t · ln y" in source
    assert "xlogy" not in source
    assert "1 · ln y" in draw(classes(4), arrays=False, constants=False).source


def test_leaves_come_in_the_order_of_their_indices():
    z = values(np.arange(12.0), "z")
    b = Value(1.0, label="b")
    root = b * sum((z[i].exp() for i in range(11, 0, -1)), z[0].exp())
    order = [node.label for node in written_order([root]) if node.label]
    assert order == ["b", *(f"z{i}" for i in range(12))]
    source = draw(root, arrays=False).source
    places = [source.index(f"<B>{label}</B>") for label in order]
    assert places == sorted(places)
    seen = set()
    for node in written_order([root]):
        assert seen.issuperset(node.args)
        seen.add(node)
    assert seen == {*topological_order(root)}


@needs_graphviz
@pytest.mark.parametrize("direction", ["LR", "TB"])
def test_leaves_stand_in_the_order_of_their_indices(direction):
    drawing = draw(classes(4), arrays=False, direction=direction)
    plain = layout.render(drawing.source, "plain").decode()
    lines = (line.split() for line in plain.splitlines())
    place = {words[1]: (float(words[2]), -float(words[3])) for words in lines if words[0] == "node"}
    leaves = [f"n{i}" for i, node in enumerate(drawing.nodes) if node.label.startswith("z")]
    along = [
        place[id][direction == "LR"] for id in sorted(leaves, key=lambda id: drawing.nodes[int(id[1:])].label)
    ]
    assert along == sorted(along)


def test_labels_that_are_hostile_are_text():
    hostile = ["</TABLE>>", "]", 'a"b', "<b>&amp;", "\\N \\G\\l", "x" * 200, "\ud800", "π\n∂"]
    for name in hostile:
        x = values(np.arange(15.0), name)
        drawing = draw(named(np.sum(x * x), name), arrays=True, title=name, mark=[name])
        assert len(boxes_of(drawing)) == 3
        svg = ET.fromstring(layout.render(drawing.source, "svg"))
        texts = {text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")}
        first = name.replace("\ud800", "\ufffd").splitlines()[0].replace("\xa0", " ")
        assert any(first in (text or "") for text in texts), name


# --- the legend ---


@pytest.mark.parametrize(
    ("sign", "make"),
    [
        ("d root: derivative of loss", lambda: draw(classes(3))),
        ("d root: derivative of root", lambda: draw(Value(1.0) * 2.0)),
        ("∂ at an arrow: partial derivative", lambda: draw(classes(3))),
        ("wide if large", lambda: draw(classes(3), contributions=True)),
        ("thick frame: the leaf", lambda: draw(classes(3))),
        ("dashed frame: constants", lambda: draw(classes(3))),
        ("dashed arrow: the gradient uses", lambda: draw((x := Value(2.0)).sin(), gradient=[x])),
        ("</B></FONT> marked", lambda: draw(classes(3), mark=["y"])),
    ],
)
def test_the_legend_says_what_is_there(sign, make):
    assert sign in make().source
    lone = draw(Value(1.0, label="x")).source
    assert sign not in lone


def test_the_page_has_its_own_words():
    drawing = draw(classes(10), title="Mine")
    for source, direction in zip(drawing.moving(), ("LR", "TB"), strict=True):
        assert "at an arrow" not in source
        assert "Mine" not in source
        assert f"rankdir={direction}" in source
        assert len(re.findall(r"^\s*n\d+ \[", source, re.M)) == len(drawing.nodes)
    assert len(draw(classes(10), direction="RL").moving()) == 1


# --- title, size, dpi, background, show ---


@needs_graphviz
def test_title_size_dpi_and_background(tmp_path):
    loss = classes(10)
    drawing = draw(loss, title="Softmax & cross-entropy", size=(5, 4), dpi=200, background="transparent")
    svg = ET.fromstring(drawing.save(tmp_path / "a.svg").read_bytes())
    texts = [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0] == "Softmax & cross-entropy"
    width, height = (float(svg.get(side).removesuffix("pt")) for side in ("width", "height"))
    assert width <= 5 * 72 + 1
    assert height == pytest.approx(4 * 72, abs=2)
    png = drawing.save(tmp_path / "a.png").read_bytes()
    pixels = struct.unpack(">II", png[16:24])
    assert pixels[1] == pytest.approx(4 * 200, abs=6)
    assert 'fill="#ffffff" stroke="none"' not in (tmp_path / "a.svg").read_text()[:1500]
    wide = ET.fromstring(layout.render(draw(loss, size=3).source, "svg"))
    assert float(wide.get("width").removesuffix("pt")) == pytest.approx(3 * 72, abs=2)


@needs_graphviz
def test_an_svg_scales_to_what_it_stands_in():
    svg = ET.fromstring(draw(classes())._repr_svg_())
    assert svg.get("viewBox")
    assert svg.get("style") == "max-width:100%;height:auto"


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"size": 0}, ValueError, "size must be a width in inches, or width and height, up to 1000, got 0$"),
        ({"size": (3, -1)}, ValueError, r"size must be .*, got \(3, -1\)$"),
        ({"size": (1, 2, 3)}, ValueError, "size must be"),
        ({"size": "5in"}, ValueError, "size must be .*, got '5in'$"),
        ({"size": math.nan}, ValueError, "size must be"),
        ({"size": True}, ValueError, "size must be"),
        ({"dpi": 0}, ValueError, "dpi must be a number of dots per inch, at most 2,400, got 0$"),
        ({"dpi": 10**9}, ValueError, "dpi must be"),
        ({"dpi": "high"}, ValueError, "dpi must be .*, got 'high'$"),
        ({"title": 3}, TypeError, "title must be text, got int 3$"),
        ({"background": "red"}, ValueError, "background must be None or 'transparent', got 'red'$"),
        ({"arrays": "yes"}, ValueError, "arrays must be None or True or False, got 'yes'$"),
    ],
)
def test_options_of_the_look_are_refused_in_a_sentence(options, error, said):
    with pytest.raises(error, match=f"^draw: {said}"):
        draw(Value(1.0), **options)


@needs_graphviz
def test_show_opens_a_viewer_or_says_where_the_picture_is(monkeypatch):
    import graphviz

    seen = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(graphviz, "view", seen.append)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = draw(Value(2.0) * 3.0).show()
    assert seen == [str(path)]
    assert path.read_bytes().startswith(b"<?xml")

    def missing(path):
        raise FileNotFoundError("xdg-open")

    monkeypatch.setattr(graphviz, "view", missing)
    with pytest.warns(
        RuntimeWarning, match=r"^show: no viewer could be started here; the picture is in "
    ) as said:
        path = draw(Value(2.0) * 3.0).show()
    assert str(path) in str(said[0].message)
    assert said[0].filename == __file__
    assert path.exists()


# --- a page ---


@needs_graphviz
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_nothing_is_wider_than_a_page(make, theme, tmp_path):
    drawing = draw(make(), theme=theme)
    assert image_width(drawing.save(tmp_path / "a.png")) <= PAGE


@needs_graphviz
@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_no_box_lies_on_another(make):
    plain = layout.render(draw(make()).source, "plain").decode()
    lines = (line.split() for line in plain.splitlines())
    boxes = [tuple(map(float, words[2:6])) for words in lines if words[0] == "node"]
    for i, (x, y, width, height) in enumerate(boxes):
        for u, v, other_width, other_height in boxes[:i]:
            apart = abs(x - u) >= (width + other_width) / 2 or abs(y - v) >= (height + other_height) / 2
            assert apart
