"""NumPy's stand-in: NumPy's own numbers on plain arrays, and room for Values in what it makes."""

import numpy
import pytest

from autograd_mini import Value, check_gradient, grad, trace, values
from autograd_mini import numpy as np
from autograd_mini.numpy import OpenArray

pytestmark = pytest.mark.version

rng = numpy.random.default_rng(1)
A, B, X = rng.normal(size=(4, 4)), rng.normal(size=(4, 4)), rng.normal(size=7)
WHOLE = numpy.array([2, 0, 1])

MADE = {
    "zeros": lambda np: np.zeros((2, 3)),
    "zeros of a dtype": lambda np: np.zeros(3, dtype="float32"),
    "zeros of integers": lambda np: np.zeros(3, int),
    "ones of bools": lambda np: np.ones(3, dtype=bool),
    "full": lambda np: np.full((2, 2), 0.5),
    "full of integers": lambda np: np.full(2, 7),
    "full_like": lambda np: np.full_like(A, 3),
    "zeros_like of integers": lambda np: np.zeros_like(WHOLE),
    "ones_like a list": lambda np: np.ones_like([1.0, 2.0]),
    "eye": lambda np: np.eye(3, k=1),
    "identity": lambda np: np.identity(3),
    "tri": lambda np: np.tri(3),
    "arange": lambda np: np.arange(0.0, 1.0, 0.3),
    "arange of integers": lambda np: np.arange(3),
    "linspace": lambda np: np.linspace(0, 1, 7),
    "linspace with its step": lambda np: np.linspace(0, 1, 7, retstep=True),
    "geomspace": lambda np: np.geomspace(1, 10, 4),
    "array": lambda np: np.array([[1.5, 2], [3, 4]]),
    "array of integers": lambda np: np.array([1, 2]),
    "array of texts": lambda np: np.array(["a", "b"]),
    "array with more axes": lambda np: np.array(2.5, ndmin=2),
    "asarray": lambda np: np.asarray([1.5]),
    "copy": lambda np: np.copy(A),
    "complex": lambda np: np.zeros(2, dtype=complex) + 1j,
    "float64": lambda np: np.float64("1.5"),
    "float32 of an array": lambda np: np.float32([0.1, 0.2]),
}
COMPUTED = {
    "sum": lambda np, a, b: a.sum(),
    "sum of many": lambda np, a, b: np.sum(np.copy(numpy.linspace(0, 1, 10001) ** 3)),
    "mean": lambda np, a, b: a.mean(axis=1),
    "var": lambda np, a, b: np.var(a, axis=0, ddof=1),
    "std": lambda np, a, b: a.std(),
    "matmul": lambda np, a, b: a @ b,
    "dot": lambda np, a, b: a.dot(b),
    "einsum": lambda np, a, b: np.einsum("ij,jk->ik", a, b),
    "exp": lambda np, a, b: np.exp(a),
    "power": lambda np, a, b: numpy.abs(a) ** 2.5,
    "a ufunc without a rule": lambda np, a, b: np.nextafter(a, b),
    "division by zero": lambda np, a, b: a[0, 0] / (b[0, 0] - b[0, 0]),
    "a root outside its domain": lambda np, a, b: (-abs(a[0, 0])) ** 0.5,
    "comparison": lambda np, a, b: a > b,
    "where": lambda np, a, b: np.where(a > b, a, b),
    "selection": lambda np, a, b: a[a > 0],
    "argmax": lambda np, a, b: a.argmax(axis=1),
    "argsort": lambda np, a, b: np.argsort(a, axis=0),
    "sort": lambda np, a, b: np.sort(a),
    "cumsum": lambda np, a, b: a.cumsum(axis=1),
    "round": lambda np, a, b: a.round(2),
    "inv": lambda np, a, b: np.linalg.inv(a),
    "svd": lambda np, a, b: np.linalg.svd(a)[1],
    "norm": lambda np, a, b: np.linalg.norm(a, axis=1),
    "eigenvalues": lambda np, a, b: np.linalg.eigvalsh(a + a.T),
    "fft": lambda np, a, b: np.fft.fft(a),
    "interp": lambda np, a, b: np.interp(0.3, np.array([0.0, 1.0]), a[0, :2]),
    "histogram": lambda np, a, b: np.histogram(a, bins=3),
    "percentile": lambda np, a, b: np.percentile(a, 30),
    "unique": lambda np, a, b: np.unique(np.array([2.0, 1.0, 2.0])),
    "concatenate": lambda np, a, b: np.concatenate([a, b], axis=1),
    "pad": lambda np, a, b: np.pad(a, 1),
    "convolve": lambda np, a, b: np.convolve(a[0], b[0]),
    "astype": lambda np, a, b: (a * 10).astype(int),
    "clip": lambda np, a, b: a.clip(-0.5, 0.5),
    "tolist": lambda np, a, b: a.tolist(),
    "in place": lambda np, a, b: [a.__iadd__(b), a.__imul__(2.0), a][-1],
    "with a mask": lambda np, a, b: np.add(a, b, out=np.zeros_like(a), where=a > 0),
    "add.at": lambda np, a, b: [np.add.at(a, ([0, 0], [1, 1]), 0.1), a][-1],
    "add.reduceat": lambda np, a, b: np.add.reduceat(a, [0, 2]),
    "fill_diagonal": lambda np, a, b: [np.fill_diagonal(a, 0.5), a][-1],
    "copyto": lambda np, a, b: [np.copyto(a, b, where=a > 0), a][-1],
    "a view": lambda np, a, b: [np.reshape(a, -1).__setitem__(3, 9.0), np.transpose(a).fill(1.0), a][-1],
    "modf": lambda np, a, b: np.modf(a),
    "printed": lambda np, a, b: [str(a), repr(a[:0].shape)],
}


def same(got, expected):
    """Equal to the last bit, type by type."""
    if isinstance(expected, (list, tuple)):
        assert len(got) == len(expected)
        for pair in zip(got, expected, strict=True):
            same(*pair)
    elif isinstance(expected, numpy.ndarray):
        assert isinstance(got, OpenArray) == (expected.dtype.kind == "f")
        assert got.shape == expected.shape
        kind = expected.dtype if isinstance(got, OpenArray) else got.dtype
        assert kind == expected.dtype
        numpy.testing.assert_array_equal(got.astype(kind) if kind.kind != "f" else got.data, expected)
    else:
        assert type(got) is type(expected)
        numpy.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", MADE)
def test_what_it_makes_is_what_numpy_makes(name):
    same(MADE[name](np), MADE[name](numpy))


@pytest.mark.parametrize("name", COMPUTED)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_plain_arrays_give_numpys_numbers(name):
    f = COMPUTED[name]
    same(f(np, np.array(A), np.array(B)), f(numpy, A.copy(), B.copy()))


def test_every_other_name_is_numpys():
    assert np.pi == numpy.pi
    assert np.ndarray is numpy.ndarray
    assert np.random is numpy.random
    assert set(dir(numpy)) <= set(dir(np))
    for name in numpy.__all__:
        assert hasattr(np, name)
    with pytest.raises(AttributeError, match="no attribute 'zeroes'"):
        np.zeroes  # noqa: B018 - it is asked for to see the error


def test_a_type_of_floats_stays_one():
    v = Value(2.0)
    assert np.float64(v) is v
    assert np.float32(v) is v
    assert numpy.dtype(np.float64) == float
    assert numpy.zeros(2, np.float32).dtype == numpy.float32
    assert isinstance(numpy.float64(1), np.float64)
    assert not isinstance(1.0, np.float64)
    assert np.float64([v, 1.0]).shape == (2,)
    assert type(np.float64(3)) is numpy.float64


def test_arrays_that_are_given_are_not_copied():
    assert np.asarray(X) is X
    z = values([1.0, 2.0])
    assert np.asarray(z).base is z.base or np.shares_memory(np.asarray(z), z)
    assert not np.shares_memory(np.array(z), z)


def test_values_in_its_arrays():
    v, w = Value(2.0), Value(3.0)
    y = np.zeros(3)
    y[1] = v
    y += 1.0
    np.multiply(y, w, out=y)
    assert y.sum().data == 15.0
    for made in (
        np.array([v, 1.0]), np.array((v, w)), np.asarray([v, w], dtype=float), np.full(2, v),
        np.full_like([0.0, 0.0], v), np.full_like(0.0, v, shape=(2,)),
        np.copy(np.array([v, w])), np.array([[v], [w]]).ravel(),
    ):  # fmt: skip
        assert isinstance(made, OpenArray)
        assert made[0].data == 2.0
    assert (np.linspace(v, w, 3)[1]).data == 2.5
    assert np.zeros_like(v).shape == ()
    assert np.zeros_like(values(A)).shape == A.shape
    with pytest.raises(ValueError, match="rows must have one length"):
        np.array([[v, w], [v]])
    with pytest.raises(TypeError):
        np.array([v], dtype=int)


def test_extrema_of_its_arrays_split_ties_evenly():
    def largest(x):
        y = np.zeros(3)
        y[:] = x[0]
        return np.max(y) + np.max([x[1], x[1]])

    assert grad(largest)(X[:2]).tolist() == [1.0, 1.0]


def test_a_value_answers_as_a_scalar_of_numpys():
    v = Value(2.6)
    assert (v.shape, v.ndim, v.size, v.dtype) == ((), 0, 1, numpy.dtype(float))
    assert v.T is v.item() is v.tolist() is v.astype(float) is v.sum() is v.copy() is v
    assert v.reshape(1, 1).shape == (1, 1)
    assert v.ravel().shape == (1,)
    assert round(v) == 3
    assert round(v, 1) == 2.6
    with pytest.raises(TypeError, match=rf"{__file__}:\d+: astype\(int64\) would lose the derivative"):
        v.astype(numpy.int64)
    with pytest.raises(TypeError, match="astype"):
        values([1.0, 2.0]).astype(int)


def test_dot_of_a_plain_array_gives_an_array_of_ours():
    x = values(A)
    assert type(B.dot(x)) is type(x)


def test_its_plain_arrays_are_arguments_like_numpys():
    def loss(x):
        return np.sum(x**2 * np.arange(3.0))

    x = np.array([1.0, 2.0, 3.0])
    assert grad(loss)(x).tolist() == [0.0, 4.0, 12.0]
    slope = trace(grad(loss), np.zeros(3))
    assert slope(x).tolist() == [0.0, 4.0, 12.0]
    assert slope.vmap()(np.ones((2, 3))).tolist() == [[0.0, 2.0, 4.0]] * 2
    assert slope(np.array([Value(1.0), 2.0, 3.0]))[1].data == 4.0
    assert check_gradient(loss, lambda x: 2 * x * np.arange(3.0), at=x)
