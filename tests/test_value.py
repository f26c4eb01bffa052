"""The semantics of `Value`, one by one; deep and wide graphs; code written for micrograd."""

from __future__ import annotations

import ast
import copy
import gc
import math
import pickle
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from autograd_mini import rules, value
from autograd_mini.rules import DomainError
from autograd_mini.value import Value, constant, topological_order

pytestmark = pytest.mark.version

# --- construction ---


@pytest.mark.parametrize(
    "data", [3, 3.0, True, np.float32(3), np.float64(3), np.int64(3), np.array(3.0), np.bool_(1), Fraction(3)]
)
def test_one_real_number_becomes_a_float(data: Any) -> None:
    v = Value(data)
    assert type(v.data) is float
    assert v.data == float(data)
    assert (v.grad, v.label, v.args) == (0.0, "", ())


@pytest.mark.parametrize(
    ("data", "got"),
    [
        ("3", "got str '3'"),
        (None, "got NoneType None"),
        (1j, "got complex 1j"),
        (np.complex128(1), "got complex128"),
        (np.ones(3), r"got an array of shape \(3,\); values\(...\) makes an array of Values"),
        ([1.0], r"got list \[1.0\]"),
        (Value(2.0), "got Value"),
    ],
)
def test_anything_else_is_refused(data: Any, got: str) -> None:
    with pytest.raises(TypeError, match=rf"^Value: data must be one real number, {got}"):
        Value(data)


def test_a_label_in_the_place_of_children_is_explained() -> None:
    with pytest.raises(TypeError, match="a label goes by keyword"):
        Value(1.0, "x")


def test_no_other_attributes() -> None:
    with pytest.raises(AttributeError):
        Value(1.0).gradient = 2.0


# --- gradients ---


def test_leaves_add_up_over_calls_and_interior_nodes_are_fresh() -> None:
    x = Value(3.0)
    y = x * x
    z = y * 2
    z.backward()
    z.backward()
    assert (x.grad, y.grad, z.grad) == (24.0, 2.0, 1.0)
    z.zero_grad()
    assert (x.grad, y.grad, z.grad) == (0.0, 0.0, 0.0)
    z.backward()
    assert (x.grad, y.grad, z.grad) == (12.0, 2.0, 1.0)


def test_backward_on_a_leaf() -> None:
    x = Value(3.0)
    x.backward()
    x.backward()
    assert x.grad == 2.0


def test_reuse_across_two_roots() -> None:
    x = Value(2.0)
    shared = x * x
    first, second = shared * 3, shared.exp()
    first.backward()
    assert (x.grad, shared.grad) == (12.0, 3.0)
    second.backward()
    assert x.grad == pytest.approx(12 + 4 * math.exp(4))
    assert shared.grad == pytest.approx(math.exp(4))
    assert first.grad == 1.0


def test_diamonds_and_the_same_operand_twice() -> None:
    x = Value(3.0)
    (x * x).backward()
    assert x.grad == 6.0
    x = Value(3.0)
    (x / x).backward()
    assert x.grad == pytest.approx(0.0, abs=1e-16)
    x = Value(3.0)
    (x - x).backward()
    assert x.grad == 0.0
    a = Value(2.0)
    b, c = a * 3, a + 1  # a diamond, one side of which is deeper
    d = b * c
    (d + b.exp() * c).backward()
    assert a.grad == pytest.approx(3 * 3 + 6 + 3 * math.exp(6) * 3 + math.exp(6))


def test_a_ladder_of_diamonds_is_linear() -> None:
    x = Value(1.0)
    y = x
    for _ in range(60):  # 2**60 paths
        y = y + y
    y.backward()
    assert (y.data, x.grad) == (2.0**60, 2.0**60)


def test_constants_are_marked_and_get_no_gradient() -> None:
    x = Value(3.0)
    z = 2 * x + 1
    z.backward()
    z.backward()
    constants = [node for node in topological_order(z) if node.op is constant]
    assert sorted(node.data for node in constants) == [1.0, 2.0]
    assert all(node.grad == 0.0 for node in constants)
    for number in (np.float64(2), 2, True, np.array(2.0)):
        assert (x * number).args[1].op is constant


def test_interior_values_hold_derivatives() -> None:
    x = Value(0.5)
    y = x.sin()
    z = y.exp()
    z.backward()
    assert y.grad == z.data
    assert x.grad == pytest.approx(math.exp(math.sin(0.5)) * math.cos(0.5))


# --- powers ---


def test_a_constant_exponent_needs_no_log() -> None:
    x = Value(-2.0)
    y = x**3
    y.backward()
    assert (y.data, x.grad) == (-8.0, 12.0)
    x = Value(-2.0)
    (x**-2).backward()
    assert x.grad == 0.25
    x = Value(0.0)
    (x**2).backward()
    assert x.grad == 0.0
    x = Value(-3.0)
    (x**0).backward()
    assert x.grad == 0.0


def test_a_variable_exponent_takes_the_log() -> None:
    x, y = Value(2.0), Value(3.0)
    (x**y).backward()
    assert (x.grad, y.grad) == (12.0, 8 * math.log(2))
    y = Value(3.0)
    (2**y).backward()
    assert y.grad == 8 * math.log(2)


# --- operators ---


@pytest.mark.parametrize(
    "f",
    [
        lambda x, y: x + y,
        lambda x, y: x - y,
        lambda x, y: x * y,
        lambda x, y: x / y,
        lambda x, y: x**y,
        lambda x, y: +x - -y,
        lambda x, y: abs(-x) * y,
    ],
)
@pytest.mark.parametrize("kind", [float, np.float64, np.array])
def test_numbers_may_stand_on_either_side(f: Callable[[Any, Any], Any], kind: Callable[..., Any]) -> None:
    x, y = 1.5, 2.25
    for z in (f(Value(x), kind(y)), f(kind(x), Value(y)), f(Value(x), Value(y))):
        assert isinstance(z, Value)
        assert z.data == pytest.approx(f(x, y), rel=1e-15)


@pytest.mark.parametrize("other", ["1", None, 1j, [1.0], object()])
def test_operators_refuse_what_is_no_number(other: Any) -> None:
    for f in (lambda v: v + other, lambda v: other - v, lambda v: v * other, lambda v: other / v):
        with pytest.raises(TypeError):
            f(Value(1.0))


def test_sum_of_values() -> None:
    parts = [Value(1.0), Value(2.0)]
    total = sum(parts)
    assert isinstance(total, Value)
    total.backward()
    assert [part.grad for part in parts] == [1.0, 1.0]


def test_methods_of_every_row() -> None:
    assert Value(1.0).exp().data == math.e
    assert Value(1.0).arctan().data == Value(1.0).atan().data == math.atan(1)
    assert Value(3.0).hypot(4).data == 5.0
    assert all(hasattr(Value, name) for row in rules.table.values() for name in (row.name, row.numpy))


def test_numpy_functions_reach_a_single_value() -> None:
    x = Value(0.5)
    z = np.exp(x) * np.arcsin(x)
    z.backward()
    assert x.grad == pytest.approx(math.exp(0.5) * (math.asin(0.5) + 1 / math.sqrt(0.75)))


# --- forward ---


def test_forward_recomputes_from_the_leaves() -> None:
    x, y = Value(2.0), Value(3.0)
    u = x * y
    z = u.exp() + u / 2
    x.data = 0.5
    z.forward()
    assert (u.data, z.data) == (1.5, math.exp(1.5) + 0.75)
    z.backward()
    assert y.grad == pytest.approx(0.5 * (math.exp(1.5) + 0.5))


def test_a_forward_that_fails_changes_nothing() -> None:
    x = Value(2.0, label="x")
    u = x * 3
    z = (u - 5).log() + u
    before = [node.data for node in topological_order(z)][1:]
    x.data = 1.0
    with pytest.raises(DomainError, match=r"^log: needs x > 0, got x = -2$"):
        z.forward()
    assert [node.data for node in topological_order(z)][1:] == before


def test_forward_stops_at_a_node_made_by_hand() -> None:
    x = Value(2.0)
    z = Value(math.tanh(x.data), (x,), "tanh") + 1
    with pytest.raises(TypeError, match="the node 'tanh' was made by hand"):
        z.forward()


# --- comparison, hash, text ---


def test_between_values_equality_goes_by_number_and_hash_by_identity() -> None:
    x, y, nan = Value(1.0), Value(1.0), Value(math.nan)
    assert x == y
    assert (x != y) is False
    assert nan != nan
    assert x == 1.0 == y
    assert len({x, y, x}) == 2
    assert {x: 1, y: 2}[x] == 1
    assert hash(x) != hash(y)
    assert y in [x]
    assert [Value(2.0), x].index(y) == 1
    assert not any(y is q for q in [x])


def test_with_numbers_and_for_order_data_is_compared() -> None:
    x, y = Value(1.0), Value(2.0)
    assert x == 1
    assert x == np.float64(1)
    assert x != 2
    assert x != "1"
    assert x < y <= 2 <= y
    assert y > x >= 1 >= x
    assert 0 < x < 1.5
    for result in (x < y, x <= 1, x > 0, x >= y, x == 1, x == y, x != y):
        assert type(result) is bool
    assert max(x, y) is y
    assert sorted([y, x]) == [x, y]
    assert not Value(0.0)
    assert Value(-2.0)
    with pytest.raises(TypeError):
        x < "1"  # noqa: B015  # it is the comparison that raises


def test_text_shows_the_data() -> None:
    x = Value(1.5, label="x")
    assert f"{x:.3f}" == "1.500"
    assert f"{x:8.2e}" == "1.50e+00"
    assert repr(x) == str(x) == f"{x}" == "Value(data=1.5, grad=0.0, label='x')"
    assert repr(Value(2)) == "Value(data=2.0, grad=0.0)"


# --- no silent loss of a derivative ---


@pytest.mark.parametrize(
    "convert",
    [
        float,
        int,
        complex,
        math.exp,
        lambda v: np.zeros(3).__setitem__(0, v),
        lambda v: np.asarray([v], float),
        lambda v: [1, 2][v],
        lambda v: range(v),
    ],
)
def test_a_value_never_becomes_a_float_unasked(convert: Callable[[Any], Any]) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        convert(Value(1.0))
    message = "".join(str(error) for error in (caught.value, caught.value.__cause__))
    assert "v.data" in message
    assert "np.empty(n, dtype=object)" in message


def test_domain_errors_name_the_operand() -> None:
    with pytest.raises(ValueError, match=r"^log: needs x > 0, got p1 = -0.2$"):
        Value(-0.2, label="p1").log()
    with pytest.raises(
        ZeroDivisionError, match=r"^div\(x, y\): needs y != 0, got div\(total, 0\) with total = 1$"
    ):
        Value(1, label="total") / 0
    with pytest.raises(OverflowError, match=r"^exp: the result is too large for a float, got z0 = 1000$"):
        Value(1000, label="z0").exp()


# --- IEEE on the way back ---


def test_partials_that_do_not_exist_are_infinite_or_nan() -> None:
    x, y = Value(0.0), Value(2.0)
    z = x.sqrt() * 3 + x.cbrt() + y * y
    z.backward()
    assert (x.grad, y.grad) == (math.inf, 4.0)
    x = Value(1.0)
    (x.asin() - x.acos()).backward()
    assert x.grad == math.inf
    x = Value(0.0)
    (x.sqrt() * 0).backward()
    assert math.isnan(x.grad)


def test_a_step_that_raises_has_added_nothing_before_it_is_repeated() -> None:
    x, y = Value(0.0), Value(0.5)
    z = x**y  # ∂x is infinite, ∂y is 0
    z.backward()
    assert (x.grad, y.grad) == (math.inf, 0.0)
    x, y = Value(1.0), Value(2.0)
    z = rules.div(x, y) + x
    y.data = 0.0
    z.backward()
    assert (x.grad, y.grad) == (math.inf, -math.inf)


# --- copies ---


def test_pickle_and_deepcopy_keep_the_graph() -> None:
    x = Value(2.0, label="x")
    z = (x * x + 1).log()
    z.backward()
    for other in (pickle.loads(pickle.dumps(z)), copy.deepcopy(z)):
        order = topological_order(other)
        copied = next(node for node in order if node.label == "x")
        assert copied is not x
        assert [node.op for node in order] == [node.op for node in topological_order(z)]
        assert (other.data, copied.grad) == (z.data, x.grad)
        copied.data = 3.0
        other.forward()
        other.zero_grad()
        other.backward()
        assert (other.data, copied.grad) == (math.log(10), pytest.approx(0.6))
    assert (x.data, z.data) == (2.0, math.log(5))


# --- order and depth ---


def test_topological_order_puts_operands_first_and_each_node_once() -> None:
    x, y = Value(1.0), Value(2.0)
    u = x * y
    roots = (u + x, u.exp() * (u - y))
    order = topological_order(*roots)
    place = {node: i for i, node in enumerate(order)}
    assert len(place) == len(order) == 7
    assert all(place[operand] < place[node] for node in order for operand in node.args)
    assert topological_order(x) == [x]
    assert topological_order(x, x, u) == [x, y, u]


@pytest.mark.parametrize("n", [50_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_a_million_nodes_build_backpropagate_and_are_freed(n: int) -> None:
    gc.disable()
    try:
        before = sys.getallocatedblocks()
        a, s = Value(1.0), Value(0.0)
        for _ in range(n):
            s = s + a
        s.backward()
        assert (s.data, a.grad) == (n, n)
        assert sys.getallocatedblocks() - before > 3 * n
        del s
        assert sys.getallocatedblocks() - before < 10_000  # by reference counts alone: there are no cycles
    finally:
        gc.enable()


def test_a_deep_graph_with_shared_results() -> None:
    x = Value(1.0)
    y = x
    for _ in range(50_000):
        y = (y + y) * 0.5
    y.backward()
    y.forward()
    assert (y.data, x.grad) == (1.0, 1.0)


# --- code written for micrograd, only the import changed ---


def test_micrograd_readme() -> None:
    a = Value(-4.0)
    b = Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    assert f"{g.data:.4f}" == "24.7041"
    g.backward()
    assert f"{a.grad:.4f}" == "138.8338"
    assert f"{b.grad:.4f}" == "645.5773"


def test_names_of_notebooks() -> None:
    a, b = Value(2.0, label="a"), Value(-3.0, label="b")
    e = a * b
    e.label = "e"
    assert e._prev == {a, b}
    assert e._op == "*"
    assert (a._prev, a._op) == (set(), "")
    assert (a + b)._op == "+"
    assert (a**2)._op == "**2"
    assert a.relu()._op == "ReLU"
    assert a.exp()._op == "exp"
    assert (a * a)._prev == {a}


def test_one_reverse_step_by_hand() -> None:
    a, b = Value(2.0), Value(-3.0)
    o = (a * b).tanh()
    o.grad = 1.0
    o._backward()
    (product,) = o._prev
    product._backward()
    a._backward()
    assert product.grad == 1 - o.data**2
    assert (a.grad, b.grad) == (product.grad * -3, product.grad * 2)
    x = Value(0.0)
    root = x.sqrt()
    root.grad = 1.0
    root._backward()
    assert x.grad == math.inf


def test_nodes_with_a_closure_of_their_own() -> None:
    def tanh(x: Value) -> Value:
        t = (math.exp(2 * x.data) - 1) / (math.exp(2 * x.data) + 1)
        out = Value(t, (x,), "tanh")

        def _backward() -> None:
            x.grad += (1 - t**2) * out.grad

        out._backward = _backward
        return out

    x1, x2 = Value(2.0, label="x1"), Value(0.0, label="x2")
    w1, w2 = Value(-3.0, label="w1"), Value(1.0, label="w2")
    n = x1 * w1 + x2 * w2 + Value(6.8813735870195432, label="b")
    o = tanh(n)
    assert (o._op, o._prev) == ("tanh", {n})
    for _ in range(2):
        o.zero_grad()
        o.backward()
        assert o.data == pytest.approx(0.7071067811865476)
        assert [v.grad for v in (x1, w1, x2, w2)] == pytest.approx([-1.5, 1.0, 0.5, 0.0])


def test_an_error_in_a_closure_is_the_users() -> None:
    x = Value(1.0)
    out = Value(1.0, (x,), "f")

    def _backward() -> None:
        raise ZeroDivisionError("mine")

    out._backward = _backward
    with pytest.raises(ZeroDivisionError, match="mine"):
        (out * 2).backward()


def test_the_notebooks_recursive_order() -> None:
    a, b = Value(2.0), Value(-3.0)
    o = (a * b + a).tanh()
    topo: list[Value] = []
    visited = set()

    def build_topo(v: Value) -> None:
        if v not in visited:
            visited.add(v)
            for child in v._prev:
                build_topo(child)
            topo.append(v)

    build_topo(o)
    o.grad = 1.0
    for node in reversed(topo):
        node._backward()
    by_hand = (a.grad, b.grad)
    o.zero_grad()
    o.backward()
    assert (a.grad, b.grad) == by_hand


# --- random expression graphs against central differences ---

UNARY = ("exp", "sin", "cos", "tanh", "sigmoid", "softplus", "atan", "erf", "square", "neg", "asinh")
BINARY = ("add", "sub", "mul", "logaddexp")  # all smooth
STEP = st.one_of(
    st.tuples(st.sampled_from(UNARY), st.integers(0, 99), st.none()),
    st.tuples(st.sampled_from(BINARY), st.integers(0, 99), st.integers(0, 99)),
)


def run(steps: list[tuple[str, int, int | None]], leaves: list[Any]) -> Any:
    """A straight-line program whose steps pick their operands among all earlier results."""
    nodes = list(leaves)
    for name, i, j in steps:
        picked = [nodes[k % len(nodes)] for k in (i, j) if k is not None]
        nodes.append(rules.table[name](*picked))
    return sum(nodes[len(leaves) :], start=0.0) * 0.5 + nodes[-1]


@settings(max_examples=150, deadline=None)
@given(st.lists(STEP, min_size=1, max_size=12), st.lists(st.floats(-2, 2), min_size=1, max_size=3))
def test_random_graphs_against_central_differences(
    steps: list[tuple[str, int, int | None]], point: list[float]
) -> None:
    leaves = [Value(x) for x in point]
    try:
        root = run(steps, leaves)
        root.backward()
        for i, leaf in enumerate(leaves):
            differences = []
            for h in (1e-4, 5e-5):
                up, down = (run(steps, [x + d * (k == i) for k, x in enumerate(point)]) for d in (h, -h))
                differences.append((up - down) / (2 * h))
            coarse, fine = differences
            better = fine + (fine - coarse) / 3
            scale = 1 + abs(better) + abs(root.data)
            assume(scale < 1e6)
            assume(abs(fine - coarse) < 1e-3 * scale)  # so that the differences can be trusted
            assert leaf.grad == pytest.approx(better, abs=1e-6 * scale)
    except DomainError:
        assume(False)


def test_the_typed_methods_are_those_of_the_table():
    tree = ast.parse(Path(value.__file__).read_text(encoding="utf-8"))
    [cls] = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Value"]
    [block] = [node for node in cls.body if isinstance(node, ast.If)]
    arity = {"_of_one": 1, "_of_two": 2, "_of_three": 3}
    typed = {
        target.id: arity[node.value.id]
        for node in block.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    methods = {name: count for name, count in typed.items() if not name.startswith("__")}
    assert methods == {row.name: len(row.operands) for row in rules.table.values()}
    assert all(callable(getattr(Value, name)) for name in typed)


@pytest.mark.parametrize("children", [(Value(2.0), 3.0), (3.0, Value(2.0)), (Value(2.0), "label")])
def test_every_child_of_a_node_made_by_hand_is_a_value(children: Any) -> None:
    with pytest.raises(TypeError, match=r"^Value: _children must be Values"):
        Value(1.0, children, "+")
