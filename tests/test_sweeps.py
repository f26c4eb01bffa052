"""The reverse sweep on floats, on many digits and on bounds: it is right, and the bound is a bound."""

import math

import mpmath
import numpy as np
import pytest

import autograd_mini as am
from autograd_mini import Value, rules, values
from autograd_mini.check.witnesses.recorded import Recorded
from autograd_mini.number_types import ARRAY, FLOAT, evaluate, mpmath_type
from autograd_mini.sweeps import Sweep, bounded, floats, local, tape_of

mp = mpmath.MPContext()
mp.dps = 60
MANY = mpmath_type(mp)

UNARY = [
    lambda x: am.exp(x), lambda x: am.log(x), lambda x: am.tanh(x), lambda x: am.sigmoid(x),
    lambda x: am.sin(x), lambda x: am.sqrt(x), lambda x: x**3, lambda x: 1 / x, lambda x: am.softplus(x),
    lambda x: am.erfc(x), lambda x: am.log1p(x * x), lambda x: am.atan(x), lambda x: am.relu(x) + x,
    lambda x: am.expm1(x), lambda x: am.cosh(x), lambda x: am.abs(x) * x, lambda x: am.square(x) - 1,
]  # fmt: skip
BINARY = [
    lambda x, y: x + y, lambda x, y: x - y, lambda x, y: x * y, lambda x, y: x / y,
    lambda x, y: am.hypot(x, y),
    lambda x, y: am.maximum(x, y), lambda x, y: am.logaddexp(x, y), lambda x, y: am.where(x < y, x, x * y),
    lambda x, y: 1e8 + x - 1e8 * y,
]  # fmt: skip


def random_graph(random):
    """A root over some leaves, with values of many sizes; None where it leaves its domain."""
    leaves = [Value(float(random.normal() * 10.0 ** random.integers(-3, 3))) for _ in range(4)]
    nodes = list(leaves)
    for _ in range(random.integers(3, 14)):
        operation = random.choice(UNARY if random.random() < 0.5 else BINARY)
        count = operation.__code__.co_argcount
        nodes.append(operation(*(nodes[i] for i in random.integers(len(nodes), size=count))))
    return nodes[-1], leaves


def test_the_bound_is_a_bound_and_not_too_loose():
    random = np.random.default_rng(28)
    looseness, beyond = [], 0
    while len(looseness) < 2000:
        try:
            root, leaves = random_graph(random)
        except (ValueError, ArithmeticError):
            continue
        if not root.args:
            continue
        recorded = Recorded.of([root], leaves)
        tape, values = recorded.tape, recorded.bounded([])[0]
        if values.ties():
            continue
        sweep = values.sweep
        exact = Sweep(tape.code, [mp.mpf(x) for x in tape.start], MANY)
        [out] = tape.code.outputs.tolist()
        pairs, truths = sweep.adjoints({out: (1.0, 0.0)}), exact.adjoints({out: mp.mpf(1)})
        for leaf in leaves:
            slot = tape.slots.get(leaf, -1)
            if slot not in pairs or slot not in truths:
                continue
            (e, b), truth = pairs[slot], truths[slot]
            if not (math.isfinite(e) and math.isfinite(b) and mp.isfinite(truth)):
                continue
            error = float(abs(mp.mpf(e) - truth))
            beyond += error > b
            looseness.append(b / error if error else 1.0)
    assert beyond == 0
    assert np.median(looseness) <= 50


def test_the_sweep_gives_what_backward_gives_and_leaves_every_grad_alone():
    W, x = values([[0.5, -1.0], [2.0, 0.25]], "W"), values([0.3, -0.7], "x")
    loss = np.sum(am.tanh(W @ x) ** 2) * am.sigmoid(x[0])
    before = [node.grad for node in am.topological_order(loss)]
    tape = tape_of([loss])
    [out] = tape.code.outputs.tolist()
    found = Sweep(tape.code, tape.start, FLOAT).adjoints({out: 1.0})
    assert [node.grad for node in am.topological_order(loss)] == before
    loss.backward()
    for node in am.topological_order(loss):
        if node in tape.slots and node.op.name != "":
            assert found[tape.slots[node]] == pytest.approx(node.grad, rel=1e-13)
    for node in [*W.flat, *x]:
        assert found[tape.slots[node]] == pytest.approx(node.grad, rel=1e-13)


def test_nodes_made_twice_keep_adjoints_of_their_own():
    x = Value(3.0)
    a, b = x * x, x * x
    tape = tape_of([2 * a + 5 * b])
    [out] = tape.code.outputs.tolist()
    found = Sweep(tape.code, tape.start, FLOAT).adjoints({out: 1.0})
    assert (found[tape.slots[a]], found[tape.slots[b]]) == (2.0, 5.0)


def test_a_branch_not_taken_passes_nothing_on():
    x = Value(-1.0)
    root = am.where(x < 0, x * x, am.log(am.abs(x) - 1.0 + 1e-320))
    tape = tape_of([root])
    [out] = tape.code.outputs.tolist()
    assert Sweep(tape.code, tape.start, FLOAT).adjoints({out: 1.0})[0] == -2.0


def test_a_node_made_by_hand_has_no_formula():
    x = Value(2.0)
    with pytest.raises(TypeError, match="made by hand"):
        tape_of([Value(4.0, (x,), "square")])


OWN = [name for name in rules.table if name in am.__all__]


@pytest.mark.parametrize("name", OWN)
def test_every_row_has_a_bound_on_floats_and_on_arrays_that_holds(name):
    row = rules.table[name]
    at = {"acosh": [1.3]}.get(name, [0.4, 0.7, 2.0])[: len(row.operands)]
    leaves = [Value(x) for x in at]
    code = tape_of([row(*leaves)]).code
    [(value, bound)] = Sweep(code, [(x, 0.0) for x in at], bounded()).outputs
    exact = float(mp.mpf(value) - evaluate(code, [mp.mpf(x) for x in at], MANY)[0])
    assert abs(exact) <= bound <= 1e-12
    [(several, bounds)] = evaluate(code, [(np.array([x, x]), 0.0) for x in at], bounded(ARRAY))
    assert several.tolist() == pytest.approx([value, value], rel=1e-15)
    assert np.broadcast_to(bounds, 2).tolist() == pytest.approx([bound, bound], rel=1e-6, abs=1e-30)


def test_a_choice_that_rounding_may_turn_is_bounded_by_what_is_not_chosen():
    x = Value(0.1)
    root = am.where(x * 3 - 0.3 < 1e-17, 1.0 * x, 2.0 * x)
    [(value, bound)] = Sweep(tape_of([root]).code, [(0.1, 0.0)], bounded()).outputs
    assert abs(value - 0.2) <= bound < 0.1001 or abs(value - 0.1) <= bound < 0.1001
    numbers, bounds = floats([(1.0, 2.0), (3.0, 4.0)])
    assert (numbers.tolist(), bounds.tolist()) == ([1.0, 3.0], [2.0, 4.0])


def test_the_partials_of_a_node_at_a_pole_have_the_sign_that_backward_has():
    x, y = values([2.0, 0.0])
    quotient = np.divide(values([x]), values([y]))[0]
    assert local(quotient) == (math.inf, -math.inf)
    z = values([-0.0])[0]
    assert local(np.reciprocal(values([z]))[0]) == (-math.inf,)
    assert (x.grad, y.grad) == (0.0, 0.0)
