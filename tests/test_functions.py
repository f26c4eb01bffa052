"""Softmax, cross-entropy and the other losses: closed forms, stability, bad targets."""

import numpy as np
import pytest
import scipy.special

import autograd_mini
from autograd_mini import (
    absolute_error,
    binary_cross_entropy,
    binary_cross_entropy_from_logits,
    cross_entropy,
    cross_entropy_from_logits,
    log_softmax,
    logsumexp,
    mean_squared_error,
    softmax,
    squared_error,
    topological_order,
    values,
)

Z = np.array([1.5, -0.5, 0.75])
S = np.exp(Z) / np.exp(Z).sum()
T = np.array([0.2, 0.3, 0.5])


def gradient(f, *at):
    arrays = [values(x) for x in at]
    f(*arrays).backward()
    return arrays[0].grad if len(arrays) == 1 else [x.grad for x in arrays]


def test_softmax_and_its_jacobian():
    np.testing.assert_allclose(softmax(Z), S, rtol=1e-15)
    rows = [gradient(lambda z, i=i: softmax(z)[i], Z) for i in range(3)]
    np.testing.assert_allclose(rows, np.diag(S) - np.outer(S, S), atol=1e-16)


def test_logsumexp_and_log_softmax():
    np.testing.assert_allclose(logsumexp(Z), np.log(np.exp(Z).sum()), rtol=1e-15)
    np.testing.assert_allclose(gradient(logsumexp, Z), S, rtol=1e-15)
    np.testing.assert_allclose(log_softmax(Z), np.log(S), rtol=1e-14)
    np.testing.assert_allclose(gradient(lambda z: log_softmax(z)[1], Z), [-S[0], 1 - S[1], -S[2]], atol=1e-15)


@pytest.mark.parametrize("target", [T, np.eye(3)[2], 2])
def test_the_gradient_of_cross_entropy_for_the_logits_is_y_minus_t(target):
    t = np.eye(3)[2] if np.ndim(target) == 0 else target
    np.testing.assert_allclose(gradient(lambda z: cross_entropy(softmax(z), target), Z), S - t, atol=1e-15)
    np.testing.assert_allclose(gradient(lambda z: cross_entropy_from_logits(z, target), Z), S - t, atol=1e-15)
    np.testing.assert_allclose(gradient(lambda y: cross_entropy(y, target), S), -t / S, rtol=1e-15)
    assert cross_entropy(S, target) == pytest.approx(-(t @ np.log(S)))


def test_extreme_logits_are_finite():
    np.testing.assert_array_equal(softmax([1000.0, 0.0, -1000.0]), [1, 0, 0])
    z = values([1000.0, 0.0, -1000.0])
    softmax(z)[0].backward()
    assert np.isfinite(z.grad).all()
    np.testing.assert_allclose(gradient(lambda z: cross_entropy_from_logits(z, 1), z.data), [1, -1, 0])
    assert binary_cross_entropy_from_logits(-1000.0, 1) == 1000.0


def test_a_zero_target_contributes_nothing():
    y = values([0.0, 1.0])
    loss = cross_entropy(y, [0, 1])
    loss.backward()
    assert loss.data == 0
    np.testing.assert_array_equal(y.grad, [0, -1])


def test_targets_may_be_values():
    grad_y, grad_t = gradient(cross_entropy, S, T)
    np.testing.assert_allclose(grad_y, -T / S)
    np.testing.assert_allclose(grad_t, -np.log(S))


def test_batches_and_reductions():
    batch, classes = np.array([Z, Z[::-1], [0.0, 0.0, 0.0]]), [0, 1, 2]
    each = [cross_entropy_from_logits(z, t) for z, t in zip(batch, classes, strict=True)]
    for f, x in [(cross_entropy_from_logits, batch), (cross_entropy, softmax(batch))]:
        np.testing.assert_allclose(f(x, classes, reduction="none"), each)
        assert f(x, classes, reduction="sum") == pytest.approx(sum(each))
        assert f(x, np.eye(3)) == pytest.approx(np.mean(each))
    grad = gradient(lambda z: cross_entropy_from_logits(z, classes), batch)
    np.testing.assert_allclose(grad, (softmax(batch) - np.eye(3)) / 3, atol=1e-16)
    with pytest.raises(ValueError, match="reduction must be one of mean, sum, none, got 'max'"):
        cross_entropy(S, 0, reduction="max")


def test_a_class_among_many_takes_memory_linear_in_them():
    classes = 10**5  # whose identity matrix has 75 GiB
    y = np.full(classes, 1 / classes)
    assert cross_entropy(y, classes - 1) == pytest.approx(np.log(classes))
    assert cross_entropy_from_logits(y, 0) == pytest.approx(np.log(classes))
    assert cross_entropy([y, y], [0, 1]) == pytest.approx(np.log(classes))


def test_binary_cross_entropy():
    z, t = np.array([-1.0, 0.5, 2.0]), np.array([0.0, 1.0, 0.25])
    y = 1 / (1 + np.exp(-z))
    expected = -(t * np.log(y) + (1 - t) * np.log(1 - y))
    np.testing.assert_allclose(binary_cross_entropy(y, t, reduction="none"), expected)
    np.testing.assert_allclose(binary_cross_entropy_from_logits(z, t), expected.mean())
    np.testing.assert_allclose(gradient(lambda z: binary_cross_entropy_from_logits(z, t), z), (y - t) / 3)
    np.testing.assert_allclose(gradient(lambda y: binary_cross_entropy(y, t), y), (y - t) / (y * (1 - y)) / 3)


def test_errors_and_their_gradients():
    y, t = np.array([1.0, 2.0, 4.0]), np.array([0.0, 2.0, 5.0])
    assert squared_error(y, t) == 2.0
    assert mean_squared_error(y, t) == pytest.approx(2 / 3)
    assert absolute_error(y, t) == 2.0
    np.testing.assert_allclose(gradient(lambda y: squared_error(y, t), y), 2 * (y - t))
    np.testing.assert_allclose(gradient(lambda y: mean_squared_error(y, t), y), 2 * (y - t) / 3)
    np.testing.assert_allclose(gradient(lambda y: absolute_error(y, t), y), [1, 0, -1])


@pytest.mark.parametrize(
    ("y", "t", "message"),
    [
        ([0.5, 0.5], [1, 0, 0], "one length"),
        ([0.5, 0.5], [0.5, 0.6], "sum to 1"),
        ([0.5, 0.5], [1.5, -0.5], "negative"),
        ([0.5, 0.5], [np.nan, 1.0], "sum to 1"),
        ([0.5, 0.5], 2, "from 0 to 1, got 2"),
        ([0.5, 0.5], -1, "from 0 to 1"),
        ([0.5, 0.5], 0.5, "whole number"),
        ([[0.5, 0.5]], [0, 1], "one a row"),
        ([-0.5, 1.5], [1, 0], "cross_entropy_from_logits"),
        (0.5, [1], "vector"),
    ],
)
def test_bad_targets_and_predictions(y, t, message):
    with pytest.raises(ValueError, match=message):
        cross_entropy(y, t)
    with pytest.raises(ValueError, match=message):
        cross_entropy(values(y), t)


def test_a_prediction_outside_the_interval():
    with pytest.raises(ValueError, match="binary_cross_entropy_from_logits"):
        binary_cross_entropy(1.5, 1)
    with pytest.raises(ValueError, match="one shape"):
        squared_error([1.0, 2.0], [1.0])


def test_a_masked_logit_with_a_zero_target_contributes_nothing():
    assert cross_entropy_from_logits([0.0, -np.inf], [1, 0]) == 0
    assert cross_entropy_from_logits(values([0.0, -np.inf]), [1, 0]).data == 0


def test_swapped_arguments_are_named():
    with pytest.raises(TypeError, match="order swapped"):
        cross_entropy([0, 0, 1], values(S))


def test_a_masked_logit_when_targets_are_values():
    z, t = values([0.0, -np.inf]), values([1.0, 0.0])
    loss = cross_entropy_from_logits(z, t)
    loss.backward()
    assert loss.data == 0
    np.testing.assert_array_equal(z.grad, [0, 0])


def test_tied_logits_build_the_graph_of_any_others():
    sizes = {len(topological_order(cross_entropy_from_logits(values(z), 0))) for z in ([0, 0, 0], [1, 2, 3])}
    assert len(sizes) == 1


def test_plain_zeros_among_values_are_numbers():
    logits = np.diag(values([1.0, 2.0], "z"))
    loss = cross_entropy_from_logits(logits, [0, 1], "sum")
    assert loss.data == pytest.approx(cross_entropy_from_logits(np.diag([1.0, 2.0]), [0, 1], "sum"))


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
def test_any_axis(name: str, axis: int) -> None:
    z = np.random.default_rng(1).normal(size=(2, 3, 4))
    ours, theirs = getattr(autograd_mini, name), getattr(scipy.special, name)
    assert np.allclose(ours(z, axis=axis), theirs(z, axis=axis), rtol=1e-13, atol=0)
    assert np.array_equal(ours(values(z), axis=axis).data, ours(z, axis=axis))


@pytest.mark.parametrize("z", [3.0, [], np.zeros((0, 2))])
def test_a_softmax_of_nothing_is_refused(z: object) -> None:
    with pytest.raises(ValueError, match="at least one number"):
        softmax(z)
