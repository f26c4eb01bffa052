"""Scopes: names for parts of a graph."""

import contextvars
import copy
import gc
import pickle
import threading

import numpy as np
import pytest

from autograd_mini import Value, formulas, gradient_graph, named, scope, trace, values
from autograd_mini.scopes import scope_of


def test_nodes_know_the_scopes_they_were_made_in():
    with scope("net"):
        x = values([1.0, 2.0], "x")
        with scope("layer 1"):
            h = named(np.exp(x) * 2.0, "h")
        y = h[0] + 1
    assert {scope_of(node) for node in x} == {("net",)}
    assert {scope_of(node) for node in h} == {("net", "layer 1")}
    assert scope_of(y) == ("net",)
    assert scope_of(y + 1) == ()


def test_everything_else_is_as_without():
    def run():
        x = values([0.5, -1.5], "x")
        root = np.sum(np.tanh(x) ** 2) + np.max(x) / 3
        root.backward()
        return root.data, list(x.grad), repr(root), [g.data for g in gradient_graph(root, x)]

    plain = run()
    with scope("s"):
        scoped = run()
        program = trace(lambda x: x * x + 1, 2.0)
    assert scoped == plain
    assert program(3.0) == 10.0
    with scope("s"):
        node = Value(2.0, label="n") * 3
    assert isinstance(node, Value)
    assert isinstance(node + node, Value)


def test_micrograd_style():
    with scope("neuron"):
        w, x = Value(2.0, label="w"), Value(-1.0, label="x")
        out = (w * x + 1).relu()
        by_hand = Value(4.0, (out,), "twice")
    assert all(scope_of(node) == ("neuron",) for node in (w, out, by_hand))
    assert {node.data for node in out._prev} == {-1.0}


def test_with_none_open_nodes_are_made_as_ever():
    operator, init = formulas.FLOATS["_new"], Value.__init__
    with pytest.raises(ZeroDivisionError), scope("a"), scope("b"):
        Value(1.0) / 0
    assert formulas.FLOATS["_new"] is operator is object.__new__
    assert Value.__init__ is init
    assert type(Value(1.0) + 1) is Value


def test_other_threads_are_not_in_the_scope():
    made = []
    with scope("mine"):
        thread = threading.Thread(target=lambda: made.append(Value(1.0) * 2))
        thread.start()
        thread.join()
    assert scope_of(made[0]) == ()


def test_generators_may_close_their_scopes_in_any_order():
    def steps(name):
        with scope(name):
            yield Value(1.0) * 2
            yield Value(1.0) * 2

    one, two = steps("one"), steps("two")
    assert scope_of(next(one)) == ("one",)
    assert scope_of(next(two)) == ("one", "two")
    list(one)
    with scope("here"):
        assert scope_of(Value(1.0)) == ("two", "here")
    list(two)
    with scope("here"):
        assert scope_of(Value(1.0)) == ("here",)


def test_a_scope_may_close_in_another_context():
    def steps():
        with scope("elsewhere"):
            yield

    step = steps()
    contextvars.copy_context().run(next, step)
    with scope("here"):
        assert list(step) == []
        assert scope_of(Value(1.0)) == ("here",)


def test_copies_and_pickles_keep_the_scope():
    with scope("a"), scope("b"):
        y = Value(2.0, label="x") * 3
    for other in (copy.deepcopy(y), pickle.loads(pickle.dumps(y)) if y.op.name == "" else copy.copy(y)):
        assert scope_of(other) == ("a", "b")
        assert other.data == 6.0


def test_nothing_is_kept_when_the_nodes_are_gone():
    for i in range(50):
        with scope(f"step {i}"):
            Value(1.0) * 2
    gc.collect()
    assert not [
        kind for kind in Value.__subclasses__() if getattr(kind, "_scope", ("",))[0].startswith("step")
    ]


def test_the_name_is_text():
    with pytest.raises(TypeError, match=r"^scope: the name must be text, got int 1$"), scope(1):
        pass
