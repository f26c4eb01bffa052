"""Printed results of public write-ups on softmax and cross-entropy: the right agree, the wrong do not.

Pages truncate as often as they round, so a printed figure is right within one unit of its last digit.
"""

import numpy as np
import pytest

from autograd_mini import (
    binary_cross_entropy,
    check_gradient,
    check_jacobian,
    cross_entropy,
    cross_entropy_from_logits,
    named,
    softmax,
    values,
)

X = np.array([0.1, 0.5, 0.4])
W = np.array([[0.1, 0.2, 0.3, 0.4, 0.5], [0.6, 0.7, 0.8, 0.9, 0.1], [0.11, 0.12, 0.13, 0.14, 0.15]])
S = [0.19091352, 0.20353145, 0.21698333, 0.23132428, 0.15724743]
JACOBIAN = [
    [0.154465, -0.038856, -0.041425, -0.044162, -0.030020],
    [-0.038856, 0.162106, -0.044162, -0.047081, -0.032004],
    [-0.041425, -0.044162, 0.1699015, -0.050193, -0.034120],
    [-0.044162, -0.047081, -0.050193, 0.177813, -0.036375],
    [-0.030020, -0.032004, -0.034120, -0.036375, 0.132520],
]
GRADIENT = np.array([
    [0.01909135, 0.09545676, 0.07636541, 0.02035314, 0.10176572],
    [0.08141258, -0.07830167, -0.39150833, -0.31320667, 0.02313243],
    [0.11566214, 0.09252971, 0.01572474, 0.07862371, 0.06289897],
])  # fmt: skip


@pytest.mark.parametrize(
    ("z", "printed", "unit"),
    [
        ([1.5, -0.5, 0.75], [0.62200588, 0.08417934, 0.29381477], 1e-8),
        ([3, 5, 0.5, -2, 1.7], [0.114280348, 0.844423906, 0.00938070225, 0.000770014931, 0.0311450283], 1e-9),
        (W.T @ X, S, 1e-8),
    ],
)
def test_printed_softmax(z, printed, unit):
    np.testing.assert_allclose(softmax(z), printed, rtol=0, atol=unit)
    np.testing.assert_allclose(softmax(values(z)).data, printed, rtol=0, atol=unit)


@pytest.mark.parametrize(
    ("y", "t", "printed"),
    [
        ([0.5, 0.3, 0.2], [1, 0, 0], 1.2729656758128876),
        ([0.5, 0.3, 0.2], [0, 1, 0], 2.120263536200091),
        ([0.1, 0.2, 0.7], [0.3, 0.3, 0.4], 2.2686134086799234),
    ],
)
def test_a_printed_loss_is_the_binary_one_and_not_the_formula_in_the_text(y, t, printed):
    assert binary_cross_entropy(y, t, reduction="sum") == pytest.approx(printed, rel=1e-15)
    assert cross_entropy(y, t) == pytest.approx(-(np.array(t) @ np.log(y)))
    assert cross_entropy(y, t) != pytest.approx(printed, rel=1e-3)


def test_the_layer_and_its_loss():
    assert cross_entropy(softmax(W.T @ X), 2) == pytest.approx(1.5279347484961026, rel=1e-15)
    jacobian = check_jacobian(softmax, JACOBIAN, at=W.T @ X, rtol=0, atol=1e-6)
    assert jacobian, jacobian
    t = np.eye(5)[2]
    by_S = check_gradient(
        lambda S: cross_entropy(S, t), [0, 0, -4.60864, 0, 0], at=softmax(W.T @ X), rtol=0, atol=1e-5
    )
    assert by_S, by_S


def test_the_gradient_for_the_weights_is_printed_in_the_wrong_layout():
    def loss(W):
        return cross_entropy(softmax(W.T @ X), np.eye(5)[2])

    printed = check_gradient(loss, GRADIENT, at=W, rtol=0, atol=1e-8)
    assert printed.verdict == "disagrees"
    assert check_gradient(loss, GRADIENT.reshape(5, 3).T, at=W, rtol=0, atol=1e-8)
    flat = check_gradient(loss, GRADIENT.ravel(), at=W, rtol=0, atol=1e-8)
    assert flat.verdict == "disagrees"
    assert "shape" in flat.reason


def test_one_step_of_softmax_regression():
    x, t = np.array([8.0, 7.0]), np.array([0.0, 0.0, 1.0])
    W, b = values(np.full((2, 3), 0.5), "W"), values(np.ones(3), "b")
    loss = cross_entropy_from_logits(named(W.T @ x + b, "theta"), t)
    assert loss.data == pytest.approx(np.log(3))
    assert loss.data != pytest.approx(1.9095425, rel=1e-2)  # as printed
    loss.backward()
    W.data -= W.grad
    b.data -= b.grad
    printed = [[-2.16666667, -2.16666667, 5.83333333], [-1.83333333, -1.83333333, 5.16666667]]
    np.testing.assert_allclose(W.data, printed, rtol=0, atol=1e-8)
    np.testing.assert_allclose(b.data, [0.66666667, 0.66666667, 1.66666667], rtol=0, atol=1e-8)
    loss.forward()
    assert 0 <= loss.data + 0.0 < 3e-15
    y = softmax(W.data.T @ x + b.data)
    np.testing.assert_allclose(y, [3.09335001e-50, 3.09335001e-50, 1.0], rtol=1e-8)


def network(sigma, W1, b1, W2, b2):
    x, t = np.array([-1.0, 1.0]), np.array([1.0, 0.0])
    y = softmax(sigma(x @ W1 + b1) @ W2 + b2)
    return y, np.sum((y - t) ** 2) / 2


def as_coded(v):
    return 1 / 1 + np.exp(-v)


def test_the_exercise_network_is_that_of_the_sigmoid_as_coded():
    start = [[-2.0, 1.0], [3.0, 0.0]], [0.5, 1.5], [[2.0, 3.0], [-1.0, 2.0]], [2.0, -1.0]
    y, E = network(as_coded, *map(np.array, start))
    np.testing.assert_allclose(y, [0.0561, 0.9439], atol=1e-4)
    assert pytest.approx(0.8910265888763901, rel=1e-15) == E
    after = (
        [[-1.98541922, 1.01458078], [3.01458078, 0.01458078]], [0.51462178, 1.51462178],
        [[1.99699085, 2.99699085], [-1.00300915, 1.99699085]], [2.0, -1.0],
    )  # fmt: skip
    y, E = network(as_coded, *map(np.array, after))
    np.testing.assert_allclose(y, [0.0575, 0.9425], atol=1e-4)
    assert pytest.approx(0.8883528604776105, rel=1e-7) == E
    implied = (np.array(start[2]) - np.array(after[2])) / 0.1
    report = check_gradient(
        lambda W2: network(as_coded, np.array(start[0]), np.array(start[1]), W2, np.array(start[3]))[1],
        implied,
        at=np.array(start[2]),
        rtol=0,
        atol=1e-7,
    )
    assert report.verdict == "disagrees"
