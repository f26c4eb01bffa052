"""Local variables of functions that are followed name what they hold, where nobody has named it."""

import numpy as np

from autograd_mini import Value, check_gradient, grad, named, trace, values
from autograd_mini.rebuilding import called, follow, noting_locals

W, X, T = np.array([[1.0, -0.5, 2.0], [0.3, 0.7, -1.0]]), np.array([0.4, 1.1, -0.6]), np.array([0.2, -0.4])


def loss(W, x, t):
    z = W @ x
    h = np.tanh(z)
    return np.sum((h - t) ** 2)


def test_a_printed_program_speaks_the_users_names():
    text = trace(loss, W, X, T).source("numpy")
    assert "z = W @ x\n" in text
    assert "h = np.tanh(z)\n" in text
    text = trace(grad(loss), W, X, T).source("numpy")
    assert "dz = " in text
    np.testing.assert_allclose(trace(loss, W, X, T)(W, X, T), loss(W, X, T), rtol=1e-14)


def names_in(f, *args):
    with noting_locals() as noted:
        follow(f, *args)
    return {*called(noted).values()}


def twice(x):
    return x * x


def test_what_was_named_keeps_its_name_and_one_name_for_several_things_names_none():
    def f(x):
        z = named(x * 2, "mine")
        total = 0.0
        for _ in range(3):
            total = total + z * z
        a, b = twice(total), total + 1
        again = a
        return again * b

    assert names_in(f, Value(3.0, label="x")) == {"a", "b"}


def test_a_local_variable_of_functions_that_are_called_twice_names_nothing():
    def half(x):
        part = x / 2
        return part * 1.5

    def f(x):
        y = half(x)
        return y + half(y)

    assert names_in(f, Value(3.0)) == {"y"}


def test_values_of_the_user_get_no_label():
    x = values([1.0, 2.0], "x")

    def f(x):
        y = x * 2
        return np.sum(y)

    assert [node.label for node in follow(f, x).args] == ["", ""]
    outer = Value(2.0) * 3

    def g(t):
        y = outer
        return y * t

    trace(g, 1.0)
    assert outer.label == ""


def test_a_local_variable_is_no_name_in_a_formula():
    def f(x):
        e = x * x
        return np.exp(e)

    assert check_gradient(f, "2 x e^(x^2)", at=0.7)


def test_a_diagnosis_speaks_of_local_variables():
    def hand(W, x, t):
        h = np.tanh(W @ x)
        return np.outer(2 * (h - t) * (1 - h), x)

    report = check_gradient(loss, hand, at={"W": W, "x": X, "t": T}, diagnosis=20.0)
    assert any("takes 1 − h for ∂h/∂z" in explanation.text for explanation in report.explanations)


def test_an_array_that_is_unpacked_names_its_parts():
    def f(x):
        a, z = np.zeros((2, 3))
        for j in range(3):
            z[j] = x[j] ** 2
            a[j] = np.tanh(z[j])
        return np.sum(a)

    assert (
        check_gradient(f, lambda x: 2 * x / np.cosh(x**2) ** 2, at=[0.3, -0.7, 1.1]).witnesses[0]
        == "the engine"
    )
