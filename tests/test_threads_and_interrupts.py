"""What holds when a sweep is interrupted half-way, and in several threads at once."""

import sys
import threading

import pytest

from autograd_mini import Value, grad, trace
from autograd_mini.value import collector_paused, interior_order, topological_order

PLACES = range(10)


def lines_run(call, stop=None):
    """How many lines ``call`` runs; with ``stop``, Ctrl-C comes at the line of this number."""
    count = 0

    def line(frame, event, argument):
        nonlocal count
        if event == "line":
            count += 1
            if count == stop:
                raise KeyboardInterrupt
        return line

    before = sys.gettrace()
    sys.settrace(line)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def interrupt(call, place):
    """Run ``call`` up to one of ten places spread over its lines, which those of a collection would join."""
    with collector_paused(), pytest.raises(KeyboardInterrupt):
        lines_run(call, 1 + place * (lines_run(call) - 1) // (len(PLACES) - 1))


def graph(number=0.7):
    x, y = Value(number), Value(-0.4)
    z = x
    for _ in range(20):
        z = z * y + (x - z).tanh()
    return x, y, z


def gradients(node):
    return [below.grad for below in topological_order(node)]


@pytest.mark.parametrize("place", PLACES)
def test_after_an_interrupted_sweep_and_zero_grad_the_next_is_right(place):
    z = graph()[2]
    z.backward()
    wanted, data = gradients(z), [node.data for node in topological_order(z)]
    interrupt(z.backward, place)
    assert [node.data for node in topological_order(z)] == data
    z.zero_grad()
    z.backward()
    assert gradients(z) == wanted


def test_an_interrupt_may_leave_a_part_of_the_sum_on_leaves():
    x, _, z = graph()
    z.backward()
    whole, found = x.grad, []
    for place in PLACES:
        z.zero_grad()
        interrupt(z.backward, place)
        found.append((x.grad - whole) / whole)  # the sweep that counts lines has added all of it
    assert any(0.01 < abs(part) < 0.99 for part in found)


@pytest.mark.parametrize("place", PLACES)
def test_an_interrupted_forward_changes_nothing(place, monkeypatch):
    x, _, z = graph()
    nodes = interior_order(z)
    before = [node.data for node in nodes]
    x.data = 0.3
    last = nodes[place * (len(nodes) - 1) // 9]
    evaluate = Value._evaluate

    def interrupted(node, *operands):
        if node is last:
            raise KeyboardInterrupt
        return evaluate(node, *operands)

    with monkeypatch.context() as patched:
        patched.setattr(Value, "_evaluate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            z.forward()
    assert [node.data for node in nodes] == before
    z.forward()
    assert z.data == graph(0.3)[2].data


@pytest.mark.parametrize("place", PLACES)
def test_an_interrupted_transform_leaves_gradients_alone(place):
    w = Value(2.0)
    w.grad = 5.0
    interrupt(lambda: grad(lambda x: (w * x).tanh() * x)(0.5), place)
    assert w.grad == 5.0
    assert grad(lambda x: w * x * x)(0.5) == 2.0


def in_threads(work, count=8):
    """``work(k)`` for every k at once, switching between threads as often as Python can."""
    results, interval = [None] * count, sys.getswitchinterval()

    def run(k):
        results[k] = work(k)

    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=run, args=(k,)) for k in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    return results


def test_graphs_that_share_no_node_are_swept_at_once():
    def sweep(k):
        x, y, z = graph(0.1 * k)
        for _ in range(20):
            z.zero_grad()
            z.backward()
        return x.grad, y.grad, z.data

    assert in_threads(sweep) == [sweep(k) for k in range(8)]


def test_transforms_and_programs_run_at_once_though_they_share_values():
    w = Value(-0.4)
    slope = grad(lambda x: (w.data * x).tanh() * x)
    program = trace(slope, 0.0)

    def work(k):
        return [(slope(0.1 * k + j), program(0.1 * k + j)) for j in range(30)]

    assert in_threads(work) == [work(k) for k in range(8)]
    shared = grad(lambda x: (w * x).tanh() * x)
    assert in_threads(lambda k: shared(0.1 * k)) == [shared(0.1 * k) for k in range(8)]
    assert w.grad == 0.0
