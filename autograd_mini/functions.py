"""Softmax, cross-entropy and the other losses, composed from rows of the derivative table.

They run on floats, arrays and Values alike: every step of a loss on Values is a node of its graph.
Predictions ``y`` are probabilities, logits ``z`` any real numbers; a target is a vector of
probabilities (one-hot or not) or the index of a class. A matrix is a batch of rows, whose losses are
averaged (``reduction="mean"``), added (``"sum"``) or given one by one (``"none"``).
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from autograd_mini.arrays import ValueArray, is_traced, values
from autograd_mini.rules import detach, equal, softplus, where, xlogy
from autograd_mini.suggestions import suggesting
from autograd_mini.tracing import Traced
from autograd_mini.value import Value

Array = Any  # an array of floats or of Values
REDUCTIONS = ("mean", "sum", "none")


@suggesting
def softmax(z: Array, axis: int = -1) -> Array:
    """Softmax over an axis, the last unless given: Sᵢ = exp(zᵢ) / Σⱼ exp(zⱼ), with Jacobian diag(S) − SSᵀ.

    The largest logit is subtracted first, as a constant: S does not change and nothing overflows.

    >>> softmax([1000.0, 0.0, -1000.0])
    array([1., 0., 0.])
    """
    e = np.exp(_shifted("softmax", z, axis)[0])
    return np.moveaxis(e / np.sum(e, axis=-1, keepdims=True), -1, axis)


@suggesting
def logsumexp(z: Array, axis: int = -1) -> Any:
    """ln Σⱼ exp(zⱼ) over an axis, the last unless given; its gradient is softmax(z).

    >>> round(float(logsumexp([0.0, 0.0])), 6)
    0.693147
    """
    shifted, shift = _shifted("logsumexp", z, axis)
    return np.log(np.sum(np.exp(shifted), axis=-1)) + shift[..., 0]


@suggesting
def log_softmax(z: Array, axis: int = -1) -> Array:
    """The logarithm of `softmax`, zᵢ − ln Σⱼ exp(zⱼ), without the underflow of its small entries.

    >>> log_softmax([1000.0, 0.0])
    array([    0., -1000.])
    """
    shifted, _ = _shifted("log_softmax", z, axis)
    return np.moveaxis(shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True)), -1, axis)


@suggesting
def cross_entropy(y: Array, t: Any, reduction: str = "mean") -> Any:
    """Cross-entropy −Σᵢ tᵢ ln yᵢ of probabilities ``y`` against a target; ∂/∂yᵢ = −tᵢ / yᵢ.

    A zero target contributes nothing, whatever its prediction. ``y`` need not sum to 1.

    >>> round(float(cross_entropy([0.5, 0.3, 0.2], [1, 0, 0])), 6)
    0.693147

    Raises ValueError for a prediction below 0 or above 1, for targets that are not probabilities, and where
    a one-hot prediction meets a target that is not, which is the order swapped.
    """
    y = _vector("cross_entropy", "y", y)
    numbers = _known_numbers(y)
    outside = numbers[(numbers < 0) | (numbers > 1 + 1e-6)]
    if outside.size:
        raise ValueError(
            f"cross_entropy: y must hold probabilities, got {outside.flat[0]:.6g}; "
            "for logits use cross_entropy_from_logits"
        )
    targets = _targets("cross_entropy", y, t)
    if _is_one_hot(numbers) and not _is_one_hot(_known_numbers(targets)):
        raise ValueError(
            "cross_entropy: the prediction is one-hot and the target is not; is the order swapped?"
        )
    return _reduce(-np.sum(xlogy(targets, y), axis=-1), reduction)


@suggesting
def cross_entropy_from_logits(z: Array, t: Any, reduction: str = "mean") -> Any:
    """Cross-entropy −Σᵢ tᵢ ln softmax(z)ᵢ of logits; for a target that sums to 1, ∂/∂z = softmax(z) − t.

    >>> z = values([1.5, -0.5, 0.75], "z")
    >>> cross_entropy_from_logits(z, [0, 0, 1]).backward()
    >>> z.grad.round(3)
    array([ 0.622,  0.084, -0.706])
    """
    z = _vector("cross_entropy_from_logits", "z", z)
    t = _targets("cross_entropy_from_logits", z, t)
    logarithms = log_softmax(z)
    if is_traced(z) or np.isneginf(_known_numbers(z)).any():  # a class masked out: 0 · -∞ contributes nothing
        logarithms = where(equal(t, 0.0), 0.0, logarithms)
    return _reduce(-np.sum(t * logarithms, axis=-1), reduction)


@suggesting
def binary_cross_entropy(y: Any, t: Any, reduction: str = "mean") -> Any:
    """−t ln y − (1 − t) ln(1 − y), elementwise, then reduced; ∂/∂y = (y − t) / (y (1 − y)).

    >>> round(float(binary_cross_entropy(0.5, 1)), 6)
    0.693147
    """
    y, t = _array(y), _array(t)
    _same_shape("binary_cross_entropy", "y", y, t)
    _check_range("binary_cross_entropy", "y", y, "; for logits use binary_cross_entropy_from_logits")
    _check_range("binary_cross_entropy", "t", t)
    return _reduce(-xlogy(t, y) - xlogy(1 - t, 1 - y), reduction)


@suggesting
def binary_cross_entropy_from_logits(z: Any, t: Any, reduction: str = "mean") -> Any:
    """Binary cross-entropy of y = sigmoid(z), as softplus(z) − t z; ∂/∂z = sigmoid(z) − t.

    >>> float(binary_cross_entropy_from_logits(1000.0, 1))
    0.0
    """
    z, t = _array(z), _array(t)
    _same_shape("binary_cross_entropy_from_logits", "z", z, t)
    _check_range("binary_cross_entropy_from_logits", "t", t)
    return _reduce(softplus(z) - t * z, reduction)


@suggesting
def squared_error(y: Any, t: Any) -> Any:
    """Σ (y − t)², without the ½ that some texts put in front; ∂/∂y = 2 (y − t).

    >>> float(squared_error([1.0, 2.0], [0.0, 0.0]))
    5.0
    """
    return np.sum(np.square(_difference("squared_error", y, t)))


@suggesting
def mean_squared_error(y: Any, t: Any) -> Any:
    """The mean of (y − t)²; ∂/∂yᵢ = 2 (yᵢ − tᵢ) / n.

    >>> float(mean_squared_error([1.0, 2.0], [0.0, 0.0]))
    2.5
    """
    return np.mean(np.square(_difference("mean_squared_error", y, t)))


@suggesting
def absolute_error(y: Any, t: Any) -> Any:
    """Σ |y − t|; ∂/∂y = sign(y − t), and 0 where they are equal.

    >>> float(absolute_error([1.0, 2.0], [2.0, 0.0]))
    3.0
    """
    return np.sum(np.abs(_difference("absolute_error", y, t)))


# --- arguments --------------------------------------------------------------------------------------


def _array(x: Any) -> Array:
    """Numbers as an array of floats, anything that holds Values as an array of Values."""
    if isinstance(x, ValueArray):
        return x
    array = np.array(x, dtype=object) if isinstance(x, Value) else np.asarray(x)
    if array.dtype.kind in "USM":
        raise TypeError(f"expected numbers or Values, got {x!r}")
    return values(array) if array.dtype == object else array.astype(float)


def _known_numbers(x: Array) -> Any:
    """The numbers to validate: none while a function is being traced."""
    if not isinstance(x, ValueArray):
        return x
    plain = (element for element in x.flat if not isinstance(element, Traced))
    return np.array([element.data if isinstance(element, Value) else element for element in plain])


def _is_one_hot(numbers: Any) -> bool:
    """Whether an array of numbers holds 0 and 1 alone."""
    return numbers.size > 0 and bool(np.all((numbers == 0) | (numbers == 1)))


def _vector(function: str, name: str, x: Any) -> Array:
    array = _array(x)
    if array.ndim not in (1, 2) or array.shape[-1] == 0:
        raise ValueError(f"{function}: {name} must be a vector or a batch of rows, got shape {array.shape}")
    return array


def _shifted(function: str, z: Any, axis: int) -> tuple[Array, Array]:
    """z with ``axis`` last, less its largest entry there, and that entry: a constant, however ties split."""
    z = _array(z)
    if z.ndim == 0 or 0 in z.shape:
        raise ValueError(f"{function}: z must be an array of at least one number, got shape {z.shape}")
    if not isinstance(axis, (int, np.integer)) or not -z.ndim <= axis < z.ndim:
        raise ValueError(
            f"{function}: axis={axis!r} is none of the {z.ndim} axes of z, whose shape is {z.shape}"
        )
    z = np.moveaxis(z, axis, -1)
    columns = (z[..., i : i + 1] for i in range(z.shape[-1]))
    shift = detach(reduce(np.maximum, columns))
    return z - shift, shift


def _difference(function: str, y: Any, t: Any) -> Array:
    y, t = _array(y), _array(t)
    _same_shape(function, "y", y, t)
    return y - t


def _same_shape(function: str, name: str, y: Array, t: Array) -> None:
    if y.shape != t.shape:
        raise ValueError(f"{function}: {name} and t must have one shape, got {y.shape} and {t.shape}")


def _check_range(function: str, name: str, x: Array, advice: str = "") -> None:
    numbers = _known_numbers(x)
    outside = numbers[~((numbers >= 0) & (numbers <= 1))]
    if outside.size:
        raise ValueError(f"{function}: {name} must lie between 0 and 1, got {outside.flat[0]:.6g}{advice}")


def _targets(function: str, y: Array, t: Any) -> Array:
    """The target as an array of y's shape; a class index, or one for each row, becomes one-hot."""
    t = _array(t)
    if isinstance(t, ValueArray) and not isinstance(y, ValueArray):
        raise TypeError(
            f"{function}: the target holds Values and the prediction numbers; is the order swapped?"
        )
    classes = y.shape[-1]
    if t.shape == y.shape[:-1] and isinstance(t, ValueArray):  # a class index that is itself an input
        return equal(t[..., None], np.arange(classes))
    if t.ndim == y.ndim - 1 and not isinstance(t, ValueArray):
        if t.shape != y.shape[:-1]:
            raise ValueError(f"{function}: expected {y.shape[0]} targets, one a row, got {t.size}")
        for index in t.flat:
            if index % 1 != 0 or not 0 <= index < classes:
                raise ValueError(
                    f"{function}: a class index must be a whole number from 0 to {classes - 1}, got {index:g}"
                )
        return (t[..., None] == np.arange(classes)).astype(float)
    if t.shape != y.shape:
        raise ValueError(
            f"{function}: predictions and targets must have one length, got {y.shape} and {t.shape}"
        )
    if not isinstance(t, ValueArray):
        if np.any(t < 0):
            raise ValueError(f"{function}: targets must not be negative, got {t.min():.6g}")
        sums = np.atleast_1d(t.sum(axis=-1))
        wrong = sums[~(np.abs(sums - 1) <= 1e-6)]
        if wrong.size:
            raise ValueError(f"{function}: targets must sum to 1 within 1e-6, got {wrong[0]:.9g}")
    return t


def _reduce(losses: Any, reduction: str) -> Any:
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}, got {reduction!r}")
    if reduction == "none" or np.ndim(losses) == 0:
        return losses
    return np.mean(losses) if reduction == "mean" else np.sum(losses)
