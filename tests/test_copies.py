"""Copies and pickles of graphs: any depth, what is shared stays shared, and the derivatives are the same."""

from __future__ import annotations

import base64
import copy
import gc
import io
import multiprocessing
import pickle
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from autograd_mini import Value, gradient_graph, primitive, scope, softmax, trace, values
from autograd_mini.rules import table
from autograd_mini.scopes import scope_of
from autograd_mini.tracing import Derivative, traced_input
from autograd_mini.value import TraceError, constant, leaf, topological_order

pytestmark = pytest.mark.version

DEPTH = 20_000
PROTOCOLS = (2, 4, pickle.HIGHEST_PROTOCOL)


def in_python(x: Any) -> Any:
    """Pickled and read by the pickler that is written in Python, as some libraries extend it."""
    file = io.BytesIO()
    pickle._Pickler(file, 4).dump(x)
    return pickle.loads(file.getvalue())


WAYS: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle in Python": in_python,
    **{f"protocol {p}": lambda x, p=p: pickle.loads(pickle.dumps(x, p)) for p in PROTOCOLS},
}


@pytest.fixture(params=WAYS)
def copied(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    return WAYS[request.param]


class Parameter(Value):
    """A user's class with an attribute of its own."""

    def __init__(self, data: float, about: Any = None) -> None:
        super().__init__(data, label="parameter")
        self.about = about


class Model:
    def __init__(self) -> None:
        self.w, self.b = values([1.0, -2.0], "w"), Value(0.5, label="b")
        self.last = np.tanh(self.w @ [3.0, 4.0] + self.b)


def chain(depth: int) -> Value:
    s = x = Value(0.5, label="x")
    for _ in range(depth // 2):
        s = s * 0.999 + x
    return s


def shape(root: Value) -> list[Any]:
    """All that a graph holds, nodes by their place in a fixed order."""
    order = topological_order(root)
    place = {node: i for i, node in enumerate(order)}
    return [
        (type(x), x.data.hex(), x.grad.hex(), x.label, x.op, [place[operand] for operand in x.args])
        for x in order
    ]


# --- what a copy is ---


def test_a_copy_holds_what_the_graph_holds_and_nothing_of_it(copied):
    x, y = Value(-0.0, label="x"), Value(np.pi)
    z = (x * x + y * 2.0).sin() / x.exp() + x
    z.label = "z"
    z.backward()
    again = copied(z)
    assert shape(again) == shape(z)
    assert set(topological_order(again)).isdisjoint(topological_order(z))
    assert [node.op for node in topological_order(again)].count(constant) == 1
    x2 = next(node for node in topological_order(again) if node.label == "x")
    assert x2.op is leaf
    before = x2.grad
    again.backward()
    z.backward()
    assert x2.grad == x.grad != before


def test_any_depth(copied):
    s = chain(DEPTH)
    again = copied(s)
    assert len(topological_order(again)) == len(topological_order(s))
    again.backward()
    s.backward()
    assert topological_order(again)[-1].grad == topological_order(s)[-1].grad
    states = []
    s = Value(1.0)
    for _ in range(DEPTH // 10):
        s = s.sin()
        states.append(s)
    for order in (states, states[::-1]):
        again = copied(order)
        assert len(again) == len(order)
        assert len(set(topological_order(*again))) == len(order) + 1


def test_a_wide_tree(copied):
    level = [Value(1.0 + i / DEPTH) for i in range(2**12)]
    while len(level) > 1:
        level = [x * y for x, y in zip(level[::2], level[1::2], strict=True)]
    assert shape(copied(level[0])) == shape(level[0])


def test_a_leaf_a_constant_and_a_loose_array(copied):
    x, z = copied([Value(2.0, label="x"), values([1.0, 2.0], "z")])
    assert (x.data, x.label, x.op, x.args) == (2.0, "x", leaf, ())
    assert [node.label for node in z.flat] == ["z0", "z1"]
    assert type(z) is type(values([]))
    one = (Value(1.0) * 3.0).args[1]
    assert copied(one).op is constant


# --- what is shared ---


@pytest.mark.parametrize("order", ["loss first", "parameters first", "between"])
def test_parameters_and_losses_stay_the_same_nodes(copied, order):
    W = values(np.arange(6.0).reshape(2, 3), "W")
    h = np.tanh(W @ [0.1, 0.2, 0.3])
    losses = [np.sum(h), np.prod(h), h[0]]
    parts = {"parameters": [*W.flat], "array": W, "losses": losses, "inner": [*h], "one": W[0, 0]}
    names = {
        "loss first": ["losses", "parameters", "array", "inner", "one"],
        "parameters first": ["one", "parameters", "array", "inner", "losses"],
        "between": ["inner", "losses", "one", "array", "parameters"],
    }[order]
    again = copied({name: parts[name] for name in names})
    assert again["one"] is again["parameters"][0] is again["array"][0, 0]
    assert [*again["array"].flat] == again["parameters"]
    assert again["losses"][2] is again["inner"][0]
    for loss, first in zip(again["losses"], losses, strict=True):
        assert set(topological_order(loss)) & set(again["inner"])
        for array, root in ((again["array"], loss), (W, first)):
            array.zero_grad()
            root.backward()
        np.testing.assert_array_equal(again["array"].grad, W.grad)
    distinct = len(set(topological_order(*losses)))
    assert len(set(topological_order(*again["losses"]))) == distinct


def test_a_model_whose_attributes_hold_one_graph(copied):
    model = Model()
    again = copied(model)
    again.last.backward()
    assert model.b.grad == 0.0
    model.last.backward()
    assert again.b.grad == model.b.grad != 0.0
    np.testing.assert_array_equal(again.w.grad, model.w.grad)


def test_many_roots_over_one_graph_take_time_linear_in_the_nodes():
    s, states = Value(1.0), []
    for _ in range(3000):
        s = s * 1.001
        states.append(s)
    assert len(pickle.dumps(states[::-1])) < 3000 * 120
    assert len(pickle.dumps(states)) < 3000 * 400
    assert len(pickle.dumps(softmax(values(np.zeros(300))))) < 300 * 1000


def test_one_pickler_that_is_used_again_and_another_between():
    x = Value(2.0, label="x")
    y = x * x
    file = io.BytesIO()
    pickler = pickle.Pickler(file)
    pickler.dump(x)
    pickler.dump(y)
    assert pickle.loads(pickle.dumps(y)).args[0].label == "x"
    z = y + x
    pickle.dumps([z, chain(100)])
    pickler.dump([z, x, y])
    unpickler = pickle.Unpickler(io.BytesIO(file.getvalue()))
    x2, y2, (z2, x3, y3) = (unpickler.load() for _ in range(3))
    assert x2 is x3 is y2.args[0] is z2.args[1]
    assert y2 is y3 is z2.args[0]
    z2.backward()
    assert x2.grad == 5.0


def test_a_graph_that_changes_is_pickled_as_it_is_then():
    x = Value(2.0)
    y = x * x
    kept = pickle.Pickler(io.BytesIO())
    kept.dump(y)  # while this one remembers the graph
    x.data = 3.0
    y.forward()
    z = y + x
    for root in (y, z):
        again = pickle.loads(pickle.dumps(root))
        assert again.data == root.data
        assert topological_order(again)[0].data == 3.0


def test_nothing_is_remembered_when_the_pickle_is_done():
    kept = pickle.Pickler(io.BytesIO())
    kept.dump(Value(1.0) * 2.0)
    with scope("a name seen nowhere else"):
        y = Value(1.0) * 2.0
    pickle.dumps(y)
    kind = type(y)
    del y
    gc.collect()
    assert not [x for x in gc.get_objects() if type(x) is kind and x.args]


# --- classes, scopes, derivatives ---


def test_a_users_own_class_keeps_its_attributes(copied):
    x = Parameter(2.0)
    y = x * x + 1.0
    x.about = {"used in": y, "also": x}
    for again in (copied(y), copied([x, y])[1], copied([y, x])[0]):
        x2 = topological_order(again)[0]
        assert type(x2) is Parameter
        assert x2.about == {"used in": again, "also": x2}
        assert x2.about["used in"] is again
        again.backward()
        assert x2.grad == 4.0
        assert x.grad == 0.0


def test_scopes_and_derivatives_stay_what_they_are(copied):
    x = Value(3.0, label="x")
    with scope("a"), scope("b"):
        y = x**3
    (slope,) = gradient_graph(y, [x])
    y2, slope2, x2 = copied([y, slope, x])
    assert scope_of(y2) == ("a", "b")
    assert scope_of(x2) == ()
    assert isinstance(slope2, Derivative)
    assert shape(slope2) == shape(slope)
    x2.data = 5.0
    slope2.forward()
    assert (slope2.data, slope.data) == (75.0, 27.0)


def test_a_shallow_copy_has_the_same_operands():
    with scope("a"):
        y = Value(3.0) * 2.0
    y.label = "y"
    again = copy.copy(y)
    assert again is not y
    assert again.args == y.args
    assert (again.data, again.label, again.op, scope_of(again)) == (6.0, "y", y.op, ("a",))
    x = Parameter(1.0, "about")
    assert copy.copy(x).about == "about"


# --- pickles from before graphs were pickled as arrays ---

OLD = (
    "c-noF%Tg0T6ow}O0**ISR1_7(+XOX&c)@EDQG-N-j)LQYO7&c1f|JWXnL&bDrBzOVr5hi^Di=P0OCN)!RW5u3J>5e<F))jsK3)C){hf2V"
    "-$kb&DF*Ys^0dp$e6dg}Bxaf8Tk@nB5sAM?H1`%Qiq<Mg5_6}kXpM`x$vlR(OiBtrvBq5x%cOq%9CDVeUagJR9Hv_i+O-JH=g^@=>0hp3"
    "OVeW=i@lH``*m#9*KMd8<%(66^R887F9~g%9TA=k+XL*VW2cHvBHg9ft#;Jr;JYc@Lt)$|%#IM#j%8MWCA(eYKXlp6S&VY2>amh1V=wXS"
    ")9cvJjk;HjQr|}VMn8?r*zNZJ9<J{Q+VU$I-C7GNioSyb0S>C@A-_YqU_4BWM>sMMdMP;C2#!(E*9eYNa3ajCvyPLTLs{ea@;8Ug-A{$?"
    "r%9%)R3Q1QNd<&}rx&O6`nhfYMz&!R%rtQ(z*!aNNR`k7oF`SfNBa74=KBPxk{{-mGoQO&|D&?zDi{bbsNw>thC;ZD1b3;?p68pvT_(6I"
    "d{=`gww6tJv1%AzJ<Kf3;%b0vDz20EhHjMnVx^YI8)er@P!qfYb6r;BH%YYE^$qIr&2{|~d#d3(NQ?crm6ZY{4Kgw<qbge^K9P|U1Uk}M"
    "Ok8)bP#VPTI!097S-@Qt_mpfT8x4>NNo3QjRY*4~p2GMr?k_DaU`$0;$+ifuH+YcC<;H%~Cx&d&!$W;(3OPkoZk#IjXtTBo=lKCVrlRo2"
    "q=prLLb|7oic1^n1~IXso7622&vYyC2L#+J!v"
)


@pytest.mark.skipif(int(np.__version__.partition(".")[0]) < 2, reason="the pickle is one of NumPy 2")
def test_a_pickle_from_before_comes_back():
    x, h, y, z = pickle.loads(zlib.decompress(base64.b85decode(OLD)))
    assert (x.label, x.data, y.label, z[1].label) == ("x", 2.0, "y", "z1")
    assert y.args[0].args[0].args[0].args == (x, h)
    assert scope_of(h) == ("a",)
    before = x.grad
    y.backward()
    assert x.grad == pytest.approx(2 * before)
    assert before == pytest.approx(6 * x.data * y.data)


# --- what is refused ---


def test_a_node_made_by_hand_is_refused_and_its_neighbours_are_not(copied):
    x = Value(2.0, label="x")
    by_hand = Value(4.0, (x,), "square")
    y = by_hand + x
    for root in (by_hand, y, [x, y]):
        with pytest.raises(TypeError, match="the node 'square' was made by hand and its _backward cannot"):
            copied(root)
    assert copied(x).label == "x"
    assert copied([x, x * 2.0])[1].args[0].label == "x"


def test_a_row_that_is_not_known_where_a_pickle_is_read():
    square_and_one = primitive("square_and_one", "x * x + 1", "2 * x")
    pickled = pickle.dumps(square_and_one(Value(3.0)))
    del table["square_and_one"]
    with pytest.raises(ValueError, match="the pickle uses the row 'square_and_one', which is not known here"):
        pickle.loads(pickled)


def test_a_node_that_is_being_traced_is_refused():
    with pytest.raises(TraceError, match="no number yet"):
        copy.deepcopy(traced_input("x") * 2.0)
    with pytest.raises(TraceError, match="no number yet"):
        trace(lambda x: pickle.dumps(x * 2.0), 0.0)


def test_a_damaged_graph_is_refused():
    y = Value(0.123456789, label="x").sin() * 0.987654321
    data = pickle.dumps(y)
    for number in (0.123456789, 0.987654321, y.data):
        whole = np.array(number, "<f8").tobytes()
        assert whole in data
        with pytest.raises(ValueError, match="the pickled graph is damaged"):
            pickle.loads(data.replace(whole, np.array(number * 2, "<f8").tobytes()))


# --- elsewhere ---


def test_a_damaged_leaf_is_refused():
    x = Value(3.25, label="x")
    x.grad = -1.5
    whole = pickle.dumps(x)
    damaged = 0
    for number in (x.data, x.grad):
        place = whole.index(struct.pack(">d", number))
        for bit in range(64):
            other = bytearray(whole)
            other[place + bit // 8] ^= 1 << bit % 8
            with pytest.raises(ValueError, match="the pickled leaf is damaged"):
                pickle.loads(other)
            damaged += 1
    assert damaged == 128
    x.data, x.grad, x.label = np.float64(1 / 3), None, "\ud800"
    again = pickle.loads(pickle.dumps(x, 5))
    assert (again.data, again.grad, again.label) == (1 / 3, None, x.label)


@pytest.mark.parametrize("attribute", ["data", "grad"])
@pytest.mark.parametrize("number", [None, "1"])
def test_what_is_no_number_does_not_become_one(attribute, number):
    x = Value(2.0)
    y = x * x
    setattr(x, attribute, number)
    with pytest.raises(TypeError, match="must be real number"):
        pickle.dumps(y)


def test_another_process():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        again = pool.apply(_squared, (chain(5000),))
    assert again.data == chain(5000).data ** 2


def _squared(x: Value) -> Value:
    return x * x
