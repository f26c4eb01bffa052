"""A function that is watched: every result of its lines is seen, and can be another."""

import linecache

import numpy as np
import pytest

from autograd_mini.rebuilding import Rebuilt
from autograd_mini.rewriting import SITES
from autograd_mini.value import Value


def backward(d, x):
    grads = {}
    dx, total = d * 2, 0.0
    for i in range(2):
        total += x[i]
        dx[i] = dx[i] + total
    grads["x"] = scaled(dx, 3)
    return grads["x"], total


def scaled(a, by):
    return a * by


class Layer:
    def __init__(self, w):
        self.w = w

    def backward(self, d):
        self.dw = (lambda a: a * self.w)(d)
        return self.dw


def watched(f, *args, answers=None, on_values=False):
    seen = []

    def watch(site, result):
        kind, text = SITES[site].kind, SITES[site].text
        result = (answers or {}).get((kind, text), result)
        seen.append((kind, text, result.copy() if isinstance(result, np.ndarray) else result))
        return result

    return Rebuilt(f, watch, on_values)(f)(*args), seen


def test_everything_that_a_line_computes_is_seen():
    d, x = np.array([1.0, 2.0]), np.array([5.0, 7.0])
    result, seen = watched(backward, d, x)
    np.testing.assert_array_equal(result[0], backward(d, x)[0])
    kinds = {(kind, text) for kind, text, _ in seen}
    assert kinds >= {
        ("name", "dx"), ("name", "total"), ("added", "total"), ("stored", "dx[i]"), ("whole", "dx"),
        ("item", "x[i]"), ("part", "dx[i] + total"), ("passed", "dx"), ("returned", "a * by"),
        ("stored", "grads['x']"), ("returned", "grads['x']"), ("returned", "total"),
    }  # fmt: skip
    whole = [result for kind, text, result in seen if (kind, text) == ("whole", "dx")]
    np.testing.assert_array_equal(whole, [[7.0, 4.0], [7.0, 16.0]])


@pytest.mark.parametrize(
    ("place", "by", "expected"),
    [
        (("name", "dx"), np.array([0.0, 0.0]), [15.0, 36.0]),
        (("stored", "dx[i]"), 1.0, [3.0, 3.0]),
        (("passed", "dx"), np.array([1.0, 2.0]), [3.0, 6.0]),
        (("returned", "a * by"), np.array([8.0, 9.0]), [8.0, 9.0]),
    ],
)
def test_what_a_line_computes_can_be_replaced(place, by, expected):
    (dx, total), _ = watched(backward, np.array([1.0, 2.0]), np.array([5.0, 7.0]), answers={place: by})
    np.testing.assert_array_equal(dx, expected)
    assert total == 12.0


def test_methods_and_the_functions_inside_are_watched_and_the_class_is_not_changed():
    layer, before = Layer(3.0), Layer.backward.__code__
    result, seen = watched(layer.backward, 2.0)
    assert (result, layer.dw) == (6.0, 6.0)
    kinds = "passed used used part returned part name returned".split()
    assert [kind for kind, _, _ in seen] == kinds
    assert [result for _, _, result in seen] == [2.0, 2.0, 3.0, 6.0, 6.0, 6.0, 6.0, 6.0]
    assert Layer.backward.__code__ is before


def test_functions_are_watched_that_one_without_a_text_calls():
    names = {"scaled": scaled, "layer": Layer(2.0)}
    exec("def outer(a, n):\n    return scaled(a, 3) if n == 0 else outer(a, n - 1)", names)
    result, seen = watched(names["outer"], 2.0, 2)
    assert result == 6.0
    assert ("returned", "a * by", 6.0) in seen
    assert names["scaled"] is scaled


def test_the_text_of_a_file_may_be_that_of_python_2():
    text = "def f(x):\n    y = 2 * x\n    print 'y', y\n    return y\n"
    linecache.cache["<python 2>"] = len(text), None, text.splitlines(True), "<python 2>"
    names = {}
    exec(compile(text.replace("print 'y', y", "print('y', y)"), "<python 2>", "exec"), names)
    assert ("name", "y", 6.0) in watched(names["f"], 3.0)[1]


def test_on_values_it_is_followed_too():
    def loss(x):
        y = np.zeros(2)
        y[1] = x * x
        return np.sum(y)

    result, seen = watched(loss, Value(3.0), on_values=True)
    assert result.data == 9.0
    stored = next(result for kind, text, result in seen if text == "y[1]")
    assert isinstance(stored, Value)


def test_lines_are_those_of_the_file():
    start = backward.__code__.co_firstlineno
    seen = []
    Rebuilt(backward, lambda site, x: seen.append(SITES[site]) or x, False)(backward)(
        np.array([1.0, 2.0]), np.array([5.0, 7.0])
    )
    lines = {(site.kind, site.text): site.line - start for site in seen if site.file == __file__}
    assert lines["name", "dx"] == 2
    assert lines["stored", "dx[i]"] == 5
    assert lines["stored", "grads['x']"] == 6
