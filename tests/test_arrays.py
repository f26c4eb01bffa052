"""NumPy code on arrays of Values: the number is NumPy's, the gradient that of finite differences."""

import math

import numpy as np
import pytest

from autograd_mini import (
    Value,
    ValueArray,
    exp,
    maximum,
    named,
    rules,
    topological_order,
    values,
)
from autograd_mini.labels import element_label, split_label

pytestmark = pytest.mark.version

rng = np.random.default_rng(0)
A = rng.normal(size=(3, 4))
WEIGHTS = np.arange(12.0).reshape(3, 4)

FUNCTIONS = {
    "sum": np.sum,
    "sum axes": lambda a: a.sum(axis=(0, 1)),
    "mean": np.mean,
    "mean axis": lambda a: a.mean(axis=0, keepdims=True),
    "var": np.var,
    "var ddof": lambda a: a.var(axis=1, ddof=1),
    "std": np.std,
    "average": lambda a: np.average(a, weights=WEIGHTS),
    "average axis": lambda a: np.average(a, axis=0),
    "average axis weights": lambda a: np.average(a, axis=0, weights=[1.0, 2.0, 3.0], keepdims=True),
    "sum where": lambda a: np.sum(a, where=WEIGHTS > 5),
    "max initial": lambda a: np.max(a, axis=1, initial=0.3),
    "max where": lambda a: np.max(a, where=WEIGHTS > 5, initial=-9.0),
    "reduceat": lambda a: np.add.reduceat(a[0], [0, 2]),
    "log with a mask": lambda a: np.log(a, out=0 * a, where=a > 0),
    "divide with a mask": lambda a: np.divide(1.0, a, out=0 * a, where=a > 0),
    "mean out": lambda a: np.mean(a, axis=0, out=0 * a[0]),
    "clip out": lambda a: (0 * a).clip(0, 1, out=1 * a) + a,
    "prod": np.prod,
    "cumsum": np.cumsum,
    "max": np.max,
    "min": np.min,
    "max axis": lambda a: a.max(axis=1),
    "min keepdims": lambda a: np.min(a, axis=0, keepdims=True),
    "maximum": lambda a: np.maximum(a, 0.1),
    "minimum": lambda a: np.minimum(a, a[0]),
    "clip": lambda a: np.clip(a, -0.5, 0.5),
    "clip method": lambda a: a.clip(-0.5),
    "dot": lambda a: np.dot(a, a.T),
    "@": lambda a: a @ WEIGHTS.T,
    "@ from the left": lambda a: WEIGHTS.T @ a,
    "outer": lambda a: np.outer(a[0], a[1]),
    "einsum": lambda a: np.einsum("ij,kj->ik", a, a),
    "tensordot": lambda a: np.tensordot(a, a, axes=2),
    "trace": lambda a: np.trace(a[:3, :3]),
    "diag": lambda a: np.diag(a[0]),
    "norm": np.linalg.norm,
    "norm 1": lambda a: np.linalg.norm(a[0], 1),
    "norm inf": lambda a: np.linalg.norm(a[0], np.inf),
    "norm axis": lambda a: np.linalg.norm(a, axis=1),
    "abs": np.abs,
    "sign": np.sign,
    "square": np.square,
    "power": lambda a: np.power(np.abs(a), 2.5),
    "logaddexp": lambda a: np.logaddexp(a, 1.0),
    "logaddexp.reduce": lambda a: np.logaddexp.reduce(a, axis=0),
    "where": lambda a: np.where(a > 0, a, 0.0),
    "stack": lambda a: np.stack([a, 2 * a]),
    "concatenate": lambda a: np.concatenate([a, a * a], axis=1),
    "vstack": lambda a: np.vstack([a, a]),
    "reshape": lambda a: a.reshape(4, 3) ** 2,
    "transpose": lambda a: np.transpose(a) * WEIGHTS.T,
    "index": lambda a: a[1:, [0, 2]] * a[0, 0],
    "broadcast": lambda a: a - a.mean(axis=0),
    "np.float64 on either side": lambda a: np.float64(2) * a[0, 0] + a[0, 1] * np.float64(3),
    "array times element": lambda a: np.array([1.0, 2.0]) * a[0, 0],
    "element times array": lambda a: a[0, 0] * np.array([1.0, 2.0]),
    "ufunc of an element": lambda a: np.exp(a[0, 0]) + np.maximum(a[0, 1], 0.0),
    "list of elements": lambda a: np.sum([a[0, 0], a[1, 1]]),
    "softmax of a textbook": lambda a: (e := np.exp(a - np.max(a))) / np.sum(e),
    "arcsin": lambda a: np.arcsin(np.tanh(a)),
    "arctan2": lambda a: np.arctan2(a, WEIGHTS + 1),
}


def numbers(x):
    return np.asarray(x.data if isinstance(x, (Value, ValueArray)) else x, dtype=float)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_value_and_gradient(name):
    f = FUNCTIONS[name]
    a = values(A, "a")
    result = f(a)
    expected = np.asarray(f(A))
    np.testing.assert_allclose(numbers(result), expected, rtol=1e-13, atol=1e-14)
    cotangent = rng.normal(size=expected.shape)
    np.sum(result * cotangent).backward()
    h, witness = 1e-5, np.zeros_like(A)
    for index in np.ndindex(A.shape):
        step = np.zeros_like(A)
        step[index] = h
        witness[index] = np.sum((f(A + step) - f(A - step)) * cotangent) / (2 * h)
    np.testing.assert_allclose(a.grad, witness, rtol=1e-6, atol=1e-8)


def test_every_ufunc_of_a_row_builds_its_node():
    x = values([0.3, 0.6])
    for row in rules.table.values():
        ufunc = getattr(np, row.numpy, None)
        if isinstance(ufunc, np.ufunc) and len(row.operands) == ufunc.nin and "less" not in row.name:
            shift = 1.0 if row.name == "acosh" else 0.0
            operands = [x + shift] * ufunc.nin
            if row.name == "equal":
                continue  # between Values, == is identity
            result = ufunc(*operands)
            assert all(isinstance(element, Value) for element in result), row.name
            plain = ufunc(*[o.data for o in operands])
            np.testing.assert_allclose(result.data, plain.astype(float), rtol=1e-14)


@pytest.mark.parametrize(
    "f",
    [np.argmax, np.argmin, np.argsort, np.isnan, np.isfinite, lambda a: a.argmax(axis=1), lambda a: a > 0],
)
def test_questions_about_numbers_are_answered_from_the_data(f):
    np.testing.assert_array_equal(f(values(A)), f(A))


def test_allclose_and_assert_allclose():
    assert np.allclose(values(A), A)
    assert not np.allclose(values(A), A + 1)
    np.testing.assert_allclose(values(A), A)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(values(A), A + 1)


@pytest.mark.parametrize(("extremum", "sign"), [(np.max, 1), (np.min, -1)])
@pytest.mark.parametrize("ties", [1, 2, 3, 5])
def test_ties_share_the_derivative_evenly(extremum, sign, ties):
    x = values(sign * np.array([2.0] * ties + [1.0]))
    result = extremum(x)
    result.backward()
    assert result.data == 2.0 * sign
    np.testing.assert_allclose(x.grad, [1 / ties] * ties + [0.0])


def test_clip_has_partial_one_on_its_bounds_and_norm_has_gradient_zero_at_zero():
    x = values([-1.0, 1.0, 2.0])
    np.sum(np.clip(x, -1.0, 1.0)).backward()
    np.testing.assert_array_equal(x.grad, [1.0, 1.0, 0.0])
    zero = values([0.0, 0.0])
    np.linalg.norm(zero).backward()
    np.testing.assert_array_equal(zero.grad, [0.0, 0.0])


def test_labels():
    assert [x.label for x in values([1, 2], "z")] == ["z0", "z1"]
    assert values([[1, 2]], "W1")[0, 1].label == "W1_0,1"
    assert values([1], "b1")[0].label == "b1_0"
    assert values(np.ones((2, 2)), "W")[1, 0].label == "W1,0"
    assert values(3.0, "c").item().label == "c"
    h = named(values([1.0, 2.0]) * 2, "h")
    assert [x.label for x in h] == ["h0", "h1"]
    assert named(2.5, "x") == 2.5


def test_values_keeps_values_and_wraps_numbers():
    v = Value(1.0, label="v")
    z = values([v, 2, np.float32(3)], "z")
    assert z[0] is v
    assert [x.label for x in z] == ["v", "z1", "z2"]
    assert isinstance(z, ValueArray)


def test_data_and_grad_are_written_to_the_leaves():
    W = values([[1.0, 2.0], [3.0, 4.0]], "W")
    np.sum(W * W).backward()
    W.data -= 0.1 * W.grad
    np.testing.assert_allclose(W.data, [[0.8, 1.6], [2.4, 3.2]])
    W.zero_grad()
    assert not W.grad.any()
    with pytest.raises(ValueError, match=r"^\.data: expected a number, or numbers of shape \(2, 2\)"):
        W.data = [1.0, 2.0, 3.0]


def test_what_a_newcomer_does_wrong():
    z = values([1.0, 2.0], "z")
    with pytest.raises(TypeError, match="one Value, got an array of shape"):
        z.backward()
    with pytest.raises(TypeError, match=r"v\.data"):
        np.zeros(2)[0] = z[0]
    with pytest.raises(TypeError, match=r"values\(\[\.\.\.\]\)"):
        np.asarray(z, float)
    with pytest.raises(TypeError, match=r"numpy\.spacing has no derivative rule"):
        np.spacing(z)
    with pytest.raises(TypeError, match=r"numpy\.linalg\.pinv has no derivative rule for Values"):
        np.linalg.pinv(values(np.eye(2)))
    with pytest.raises(TypeError, match="got str 'a'"):
        values(["a"])
    with pytest.raises(ValueError, match="rows must have one length"):
        values([[1, 2], [3]])
    with pytest.raises(TypeError, match=r"linalg\.norm"):
        np.linalg.norm(values(np.eye(2)), 2)


def test_rows_take_arrays_and_mixtures():
    z = values([1.0, 2.0])
    assert isinstance(exp(z), ValueArray)
    assert isinstance(maximum(0.0, z), ValueArray)
    assert isinstance(exp(np.array([1.0])), np.ndarray)
    plain = np.array([Value(1.0), Value(2.0)])
    np.testing.assert_allclose([x.data for x in np.exp(plain)], np.exp([1, 2]))


def test_a_row_of_ones_own_reaches_numpy(adding):
    row = adding("my_fabs", "x if x > 0 else -x", "sign(x)", numpy="fabs")
    assert np.fabs(values([-1.5]))[0].op is row
    assert np.fabs(values([-1.5])).data == 1.5


def test_a_row_with_an_element_and_an_array_of_floats():
    for f in (np.maximum, np.minimum, np.logaddexp, maximum):
        x = Value(1.0)
        f(x, np.array([1.0]))[0].backward()
        assert x.grad == 0.5


def test_ties_do_not_change_the_number():
    for numbers in ([0.1] * 3, [0.7, 0.7, 0.7, 0.0], [1e308] * 3):
        assert np.max(values(numbers)).data == max(numbers)


def test_options_that_are_not_there_are_refused_by_name():
    z = values(A)
    with pytest.raises(np.exceptions.AxisError):
        np.max(z, axis=2)
    with pytest.raises(TypeError, match="correction"):
        np.var(z, correction=1)
    with pytest.warns(RuntimeWarning, match="Mean of empty slice"):
        assert math.isnan(np.mean(values([])).data)


def test_small_integers_do_not_overflow():
    assert rules.softplus(np.uint8(3)) == pytest.approx(np.log1p(np.exp(3)))
    np.testing.assert_allclose(rules.sigmoid(np.array([3], np.uint8)), 1 / (1 + np.exp(-3)))
    assert rules.pow(np.array([2]), -1) == 0.5


def test_a_sum_builds_one_node_less_than_it_has_terms():
    for total in (np.sum(z := values([1.0, 2.0, 3.0])), np.sum(z, axis=-1), z.sum(axis=0, keepdims=True)[0]):
        assert len(topological_order(total)) == 5


@pytest.mark.parametrize("name", ["z", "W1", "x_", "ŷ", "σ²", "layer 1.W"])
@pytest.mark.parametrize("index", [(0,), (12,), (0, 2), (3, 0, 11)])
def test_a_label_tells_array_and_element(name, index):
    assert split_label(element_label(name, index)) == (name, index)


@pytest.mark.parametrize("label", ["", "loss", "12", "x₁", "W,", "∂L"])
def test_other_labels_are_of_no_array(label):
    assert split_label(label) == (label, ())
