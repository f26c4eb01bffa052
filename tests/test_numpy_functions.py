"""NumPy's and SciPy's functions on arrays of Values: value, gradient and second derivative, or a refusal."""

import math
import re

import mpmath as mp
import numpy as np
import pytest
import scipy.special

from autograd_mini import (
    TraceError,
    Value,
    ValueArray,
    cross_entropy,
    digamma,
    grad,
    lgamma,
    trace,
    trigamma,
    values,
)

pytestmark = pytest.mark.version

A = np.array([[2.013, 0.517, 0.309], [0.431, 3.021, -0.213], [0.107, 0.733, 1.519]])
N = np.array([[2.0, np.nan, 0.3], [0.4, 3.0, -0.2], [np.nan, 0.7, 1.5]])
RNG = np.random.default_rng(3)
DIRECTION = RNG.normal(size=A.shape)


def numbers(x):
    if isinstance(x, tuple):
        return tuple(map(numbers, x))
    return x.data if isinstance(x, (Value, ValueArray)) else np.asarray(x, dtype=float)


def scalar(f):
    """f times fixed weights, summed; results that are tuples too."""

    def total(a):
        results = f(a)
        result = 0.0
        for part in results if isinstance(results, tuple) else (results,):
            weights = np.cos(np.arange(np.size(part))).reshape(np.shape(part))
            result = result + np.sum(part * weights)
        return result

    return total


def assert_derivatives(f, at, traced=True):
    """The value is NumPy's; gradient and Hessian are those of differences, eagerly, by grad and traced."""
    expected = f(at.copy())
    got = f(values(at))
    pairs = zip(got, expected, strict=True) if isinstance(expected, tuple) else [(got, expected)]
    for ours, theirs in pairs:
        np.testing.assert_allclose(numbers(ours), theirs, rtol=1e-12, atol=1e-14)
        assert np.shape(numbers(ours)) == np.shape(theirs)
    total, h = scalar(f), 1e-5
    gradient = grad(total)(at)
    witness = np.zeros_like(at)
    for index in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[index] = h
        witness[index] = (total(at + step) - total(at - step)) / (2 * h)
    known = ~np.isnan(at)
    np.testing.assert_allclose(gradient[known], witness[known], rtol=1e-6, atol=1e-7)
    leaves = values(at)
    root = total(leaves)
    if isinstance(root, Value):
        root.backward()
    np.testing.assert_allclose(leaves.grad[known], gradient[known], rtol=1e-12, atol=1e-13)
    if known.all():
        second = grad(lambda a: np.sum(grad(total)(a) * DIRECTION))(at)
        step = h * DIRECTION
        witness = (grad(total)(at + step) - grad(total)(at - step)) / (2 * h)
        np.testing.assert_allclose(second, witness, rtol=1e-5, atol=1e-6)
    if traced:
        program = trace(lambda a: (total(a), grad(total)(a)), at)
        value, slope = program(at)
        np.testing.assert_allclose(value, total(at), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(slope[known], gradient[known], rtol=1e-12, atol=1e-13)


MASK = np.array([[True, True, False], [True, False, True], [True, True, True]])
SMOOTH = {
    "mod": lambda a: a % 0.37,
    "mod of a constant": lambda a: np.mod(7.2, a + 1),
    "mod by a negative": lambda a: np.remainder(a * a, -0.37),
    "fmod": lambda a: np.fmod(a * a, -0.37),
    "fmod in both": lambda a: np.fmod(3 * a, a.T + 1.1) * a,
    "floor_divide": lambda a: (a // 0.37) * a,
    "divmod": lambda a: np.divmod(a * a, 0.37),
    "floor and its kind": lambda a: a * (np.floor(a) + np.ceil(a * 3.1) + np.trunc(4.1 * a) + np.rint(a)),
    "round": lambda a: a * np.round(a, 1) + np.around(a * 1.234, decimals=2) * a.round(),
    "fmax": lambda a: np.fmax(a, a.T + 0.05) * np.fmin(a, 0.6),
    "fabs": lambda a: np.fabs(a) ** 3,
    "float_power": lambda a: np.float_power(np.abs(a), 2.5),
    "degrees": lambda a: np.deg2rad(a) * np.degrees(a) + np.rad2deg(a) * np.radians(a),
    "sinc": np.sinc,
    "heaviside": lambda a: np.heaviside(a, 0.5) * a**2,
    "copysign": lambda a: np.copysign(a * a, a) + np.copysign(2.0, a),
    "conjugate": lambda a: np.conj(a) * a.conj() + np.positive(a),
    "interp": lambda a: np.interp(a, [0.0, 0.33, 1.1, 1.9], [1.0, 3.0, 2.0, 5.0], right=7.0),
    "interp of points": lambda a: np.interp([-0.5, 0.2, 0.7, 5.0], [0.0, 0.35, 1.1], a[0], left=-1),
    "interp of knots": lambda a: np.interp(0.42, a[0][::-1], a[1]),
    "vdot": lambda a: np.vdot(a, a.T * a),
    "vecdot": lambda a: np.sum(a * a.T, axis=-1) if not hasattr(np, "vecdot") else np.vecdot(a, a.T),
    "cov": np.cov,
    "cov of columns": lambda a: np.cov(a, rowvar=False, ddof=0),
    "cov with weights": lambda a: np.cov(a, aweights=[1.0, 2.0, 3.0], fweights=[1, 2, 1]),
    "cov of two": lambda a: np.cov(a[0], a[1], bias=True),
    "corrcoef": lambda a: np.corrcoef(a)[0],
    "cross": lambda a: np.cross(a, a.T),
    "gradient": lambda a: tuple(np.gradient(a)),
    "gradient at the edge": lambda a: np.gradient(a, 2.0, axis=0, edge_order=2),
    "gradient on a grid": lambda a: np.gradient(a, [0.0, 1.0, 3.0], axis=1),
    "gradient on Values": lambda a: np.gradient(a[0], a[1] + np.array([0.0, 9.0, 20.0]), edge_order=2),
    "var": lambda a: np.var(a, axis=(0, -1), ddof=1, keepdims=True),
    "std over a negative axis": lambda a: a.std(axis=-2, ddof=1.5),
    "mean of what a mask leaves": lambda a: np.mean(a * a, axis=0, where=MASK),
    "var of what a mask leaves": lambda a: np.var(a, axis=0, ddof=0.5, where=MASK),
    "average with its weights": lambda a: np.average(a, axis=1, weights=[1.0, 2.0, 4.0], returned=True),
    "select": lambda a: np.select([a < 0.35, a > 1], [a * a, a**3], a * 5),
    "piecewise": lambda a: np.piecewise(a, [a < 0.35, a > 1], [np.square, np.exp, lambda x: 3 * x]),
    "trim_zeros": lambda a: np.trim_zeros(a[0] ** 2 * [0.0, 1.0, 0.0]),
    "poly": lambda a: np.poly(a[0]),
    "linspace": lambda a: (
        np.linspace(a[0], a[1] ** 2, 4, axis=-1) + np.linspace(a[0, 0], 2.0, 4, endpoint=False)
    ),
    "linspace with its step": lambda a: np.linspace(a[0], 1.0, 3, retstep=True),
    "logspace": lambda a: np.logspace(a[0], a[1], 3),
    "polyval": lambda a: np.polyval(a[0], a[1]),
    "expit": lambda a: scipy.special.expit(a) + scipy.special.log_expit(3 * a),
    "logit": lambda a: scipy.special.logit(np.abs(a) / 4),
    "xlogy": lambda a: scipy.special.xlogy(a, np.abs(a.T)) + scipy.special.xlog1py(a, a.T),
    "entr": lambda a: scipy.special.entr(np.abs(a)),
    "erf": lambda a: scipy.special.erf(a) * scipy.special.erfc(a.T) + scipy.special.ndtr(a),
    "gammaln": lambda a: scipy.special.gammaln(a) * scipy.special.digamma(np.abs(a)),
}


@pytest.mark.parametrize("name", ["logsumexp", "log_softmax", "softmax"])
def test_scipys_sums_of_exponentials_in_a_function_that_is_followed(name):
    function = getattr(scipy.special, name)
    for axis in (None, 0, -1):
        for options in [{}, {"keepdims": True}] if name == "logsumexp" else [{}]:
            f = scalar(lambda a, axis=axis, options=options: function(3 * a, axis=axis, **options))
            gradient = grad(f)(A)
            for index in np.ndindex(A.shape):
                step = np.zeros_like(A)
                step[index] = 1e-5
                slope = (f(A + step) - f(A - step)) / 2e-5
                assert gradient[index] == pytest.approx(slope, rel=1e-6, abs=1e-8)
            value, slope = trace(lambda a, f=f: (f(a), grad(f)(a)), A)(A)
            np.testing.assert_allclose(value, f(A), rtol=1e-13)
            np.testing.assert_allclose(slope, gradient, rtol=1e-12, atol=1e-14)


def test_means_of_a_single_value():
    v = Value(2.5)
    assert (np.mean(v).data, np.var(v).data, np.std(v).data) == (2.5, 0.0, 0.0)
    assert np.linspace(v, 9.0, 1)[0].data == 2.5


DECIDED = {"trim_zeros", "piecewise", "gradient on Values"}  # by the data, which a trace has not


@pytest.mark.parametrize("name", SMOOTH)
def test_value_gradient_and_second_derivative(name):
    assert_derivatives(SMOOTH[name], A, traced=name not in DECIDED)


NAN = {
    **{
        name: getattr(np, name)
        for name in "nansum nanprod nanmean nanvar nanstd nanmax nanmin nancumsum".split()
    },
    **{
        f"{n} of rows": lambda a, n=n: getattr(np, n)(a, axis=-1, keepdims=True)
        for n in ("nansum", "nanmean", "nanmax")
    },
    "nanvar with ddof": lambda a: np.nanvar(a, axis=1, ddof=1, keepdims=True),
    "nanstd over axes": lambda a: np.nanstd(a, axis=(0, 1), ddof=0.5),
    "nan_to_num": lambda a: np.nan_to_num(a * a, nan=3.0),
    "nancumprod": lambda a: np.nancumprod(a, axis=0),
    "fmax": lambda a: np.fmax(a, 0.6) * np.fmin(0.6, a),
}


@pytest.mark.parametrize("name", NAN)
def test_nan_is_left_out_of_value_and_gradient(name):
    assert_derivatives(NAN[name], N)
    assert not np.isnan(grad(scalar(NAN[name]))(N)).any()


def test_questions_about_numbers_are_conditions_in_a_trace():
    x = np.array([1.5, -0.0, -np.inf, np.nan])
    for question in (np.isnan, np.isinf, np.isfinite, np.signbit):
        program = trace(lambda a, question=question: np.where(question(a), 1.0, a * 0 + 2.0), np.zeros(4))
        np.testing.assert_array_equal(program(x) == 1.0, question(x))
    slope = trace(grad(lambda a: np.sum(np.where(np.isnan(a), 0.0, a))), np.zeros(4))
    np.testing.assert_array_equal(slope(x), [1.0, 1.0, 1.0, 0.0])


def test_a_type_of_floats_means_values_in_what_is_made_alike():
    z = values([1.0, 2.0])
    for like in (np.zeros_like, np.empty_like, np.ones_like):
        y = like(z, dtype=float)
        y[0] = z[1] ** 2
        assert y[0].data == 4.0


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_row_of_nan_alone():
    x = np.array([[np.nan, np.nan], [1.0, np.nan]])
    for f in (np.nansum, np.nanmean, np.nanmax, np.nanmin, np.nanvar, np.nanmedian):
        np.testing.assert_array_equal(numbers(f(values(x), axis=1)), f(x, axis=1))
    np.testing.assert_array_equal(np.nanargmax(values(x[1])), 0)


ORDER = {
    "sort": np.sort,
    "sort along the first axis": lambda a: np.sort(a * a, axis=0),
    "sort of all": lambda a: np.sort(a, axis=None),
    "partition": lambda a: np.partition(a, 1),
    "median": np.median,
    "median of axes": lambda a: np.median(a, axis=(0, -1), keepdims=True),
    "median of an even number": lambda a: np.median(a[:2], axis=0),
    "ptp": lambda a: np.ptp(a, axis=0),
    "unique": lambda a: np.unique(a) ** 2,
    "percentile": lambda a: np.percentile(a, [0, 30, 100], axis=-1),
    "quantile of products": lambda a: np.quantile(a * a.T, 0.35),
    "nanquantile": lambda a: np.nanquantile(a, [[0.1], [0.7]], axis=0),
    **{
        f"quantile, {method}": lambda a, method=method: np.quantile(
            a, [0.1, 0.33, 0.5, 0.9], axis=1, method=method
        )
        for method in "linear lower higher midpoint nearest hazen weibull inverted_cdf".split()
    },
}


@pytest.mark.parametrize("name", ORDER)
def test_what_puts_in_order(name):
    assert_derivatives(ORDER[name], A, traced=False)


def test_order_with_nan_and_with_ties():
    x = np.array([3.0, np.nan, 1.0, 1.0])
    z = values(x)
    np.testing.assert_array_equal(np.sort(z).data, np.sort(x))
    assert math.isnan(np.median(z).data)
    assert math.isnan(np.percentile(z, 50).data)
    assert np.nanmedian(z).data == 1.0
    assert math.isnan(np.partition(z, 1)[-1].data)
    z.sort()
    np.testing.assert_array_equal(z.data, np.sort(x))
    tied = values([1.0, 1.0, 1.0])
    np.sum(np.sort(tied) * [1.0, 10.0, 100.0]).backward()
    assert sorted(tied.grad) == [1.0, 10.0, 100.0]
    np.testing.assert_array_equal(np.searchsorted(np.sort(values(A[0])), 0.4), 1)


@pytest.mark.parametrize("f", [np.sort, np.median, np.unique, lambda a: np.quantile(a, 0.5), np.nanmedian])
def test_order_cannot_be_traced(f):
    with pytest.raises(TraceError, match=r"^while tracing, .*test_numpy_functions\.py:\d+: numpy\."):
        trace(lambda a: np.sum(f(a)), A)


MOVES = {
    "diff": np.diff,
    "pad": lambda a: np.pad(a, 1),
    "roll": lambda a: np.roll(a, 2, axis=1),
    "flip": np.flip,
    "tile": lambda a: np.tile(a, (2, 1)),
    "repeat": lambda a: np.repeat(a, 2, axis=0),
    "triu": np.triu,
    "take_along_axis": lambda a: np.take_along_axis(a, np.array([[0], [2], [1]]), 1),
    "tril": np.tril,
    "kron": lambda a: np.kron(a, a.T),
    "rot90": np.rot90,
    "diagonal": np.diagonal,
    "swapaxes": lambda a: a.swapaxes(0, 1),
    "insert": lambda a: np.insert(a, 1, a[0], axis=0),
    "delete": lambda a: np.delete(a, 1, axis=0),
    "append": lambda a: np.append(a, a * a),
    "split": lambda a: tuple(np.split(a, 3)),
    "block": lambda a: np.block([[a], [2 * a]]),
    "column_stack": lambda a: np.column_stack([a, a[0]]),
    "meshgrid": lambda a: tuple(np.meshgrid(a[0], a[1])),
    "convolve": lambda a: np.convolve(a[0], a[1]),
    "trapezoid": lambda a: getattr(np, "trapezoid", np.sum)(a),
    "apply_along_axis": lambda a: np.apply_along_axis(np.sum, 1, a),
    "ediff1d": np.ediff1d,
    "compress": lambda a: a.compress([1, 0, 1], 0),
    "choose": lambda a: np.choose([0, 2, 1], a),
    "broadcast_to": lambda a: np.broadcast_to(a, (2, 3, 3)),
    "inner": lambda a: np.inner(a, a),
}


@pytest.mark.parametrize("name", MOVES)
def test_what_only_moves_and_adds_elements(name):
    assert_derivatives(lambda a: MOVES[name](a * a), A)


def test_elements_put_into_an_array_by_numpys_functions():
    z = values(A)
    np.put_along_axis(z, np.array([[0], [1], [2]]), 7.0, 1)
    np.fill_diagonal(z, 8.0)
    np.copyto(z, 9.0, where=z.data > 7.5)
    z.put([1], [5.0])
    assert all(isinstance(x, Value) for x in z.flat)
    np.testing.assert_array_equal(np.diag(z.data), [9.0, 9.0, 9.0])
    with pytest.raises(TypeError, match=r"does not become a float"):
        np.put_along_axis(np.zeros((3, 3)), np.array([[0], [1], [2]]), z[:, :1], 1)


# --- numbers put into arrays, and arrays of floats ---


def test_a_number_put_into_an_array_is_a_leaf():
    z = values([1.0, 2.0], "z")
    z[0] = 5
    np.prod(z).backward()
    np.testing.assert_array_equal(z.grad, [2.0, 5.0])
    z.data = [3.0, 4.0]
    z[z.data > 3] = 0
    z[:1] = np.array([8.0])
    np.testing.assert_array_equal(z.data, [8.0, 0.0])
    np.testing.assert_array_equal(grad(lambda a: _with_first(a, 5.0))(A), [[0, 0, 0], 2 * A[1], 2 * A[2]])


def _with_first(a, number):
    a = a.copy()
    a[0] = number
    return np.sum(a * a)


def test_what_data_gives_refuses_to_be_written_into():
    W = values([1.0, 2.0], "W")
    for write in (
        lambda: W.data.__setitem__(0, 5.0),
        lambda: W.grad.__setitem__(0, 5.0),
        lambda: W.data[:1].__setitem__(0, 5.0),
    ):
        with pytest.raises(TypeError, match=r"assign to \.data itself"):
            write()
    np.sum(W * W).backward()
    W.data -= 0.1 * W.grad
    np.testing.assert_allclose(W.data, [0.8, 1.6])
    d = W.data.copy()
    d[0] = 1.0
    momentum = np.zeros_like(W.grad)
    momentum[0] = 3.0
    momentum += W.grad
    W.data = d
    assert type(d) is type(W.data + 1) is type(W.data @ W.data * d) is np.ndarray
    assert repr(W.data) == "array([1. , 1.6])"
    np.testing.assert_array_equal(momentum, [5.0, 4.0])
    diagonal = np.diag(W)
    with pytest.raises(TypeError, match="is a plain number"):
        diagonal.data = 0.0
    np.testing.assert_array_equal(W.data, [1.0, 1.6])


def test_what_is_written_into_floats_is_refused():
    z, y = values([1.0, 2.0]), np.zeros(2)
    for write in (
        lambda: np.add.at(y, [0, 0], z),
        lambda: np.multiply.at(y, [0, 0], z),
        lambda: np.add(y, z, out=y),
        lambda: y.__iadd__(z),
        lambda: np.exp(z, out=y),
        lambda: np.mean(z, axis=0, out=np.zeros(())),
    ):
        with pytest.raises(TypeError, match=r"test_numpy_functions\.py:\d+: numpy\..*lose the derivative"):
            write()
    np.testing.assert_array_equal(y, [0.0, 0.0])
    mask = np.zeros(2, bool)
    assert np.less(z, 1.5, out=mask) is mask
    assert np.logical_not(z, out=mask) is mask
    sums = values(np.zeros(2))
    np.add.at(sums, [0, 0], z)
    np.sum(sums * [10.0, 1.0]).backward()
    np.testing.assert_array_equal(z.grad, [10.0, 10.0])


def test_a_product_of_floats_and_values_is_an_array_of_values():
    X, W = np.ones((2, 3)), values([1.0, 5.0, 5.0])
    product = X.dot(W)
    assert isinstance(product, ValueArray)
    np.max(np.concatenate([product, W])).backward()
    np.testing.assert_array_equal(W.grad, [0.5 + 0.5] * 3)
    assert isinstance(X.dot(np.diag(W)), ValueArray)


# --- Python's operators, and rows far out ---


def test_pythons_operators_on_values():
    for x in (7.3, -7.3, 0.4):
        for y in (2.0, -2.5, 0.3):
            u, v = Value(x), Value(y)
            assert (u % v).data == (u % y).data == (x % v).data == x % y
            assert (u // v).data == (u // y).data == (x // v).data == x // y
            assert tuple(part.data for part in divmod(u, v)) == divmod(x, y)
        assert [f(Value(x)).data for f in (math.floor, math.ceil, math.trunc, round)] == [
            f(x) for f in (math.floor, math.ceil, math.trunc, round)
        ]
        assert round(Value(x), -1).data == np.round(x, -1)
    assert round(Value(2.5)).data == 2.0
    with pytest.raises(ValueError, match=r"^mod\(x, y\): needs y != 0"):
        Value(1.0) % 0
    x, y = Value(7.3), Value(-2.5)
    (x % y).backward()
    assert (x.grad, y.grad) == (1.0, 3.0)


@pytest.mark.parametrize("x", [0.1, 1.4616, 3.7, 55.5, -0.3, -7.7])
def test_four_derivatives_of_log_gamma(x):
    f = lgamma
    for order, exact in enumerate([mp.loggamma(x).real, *(mp.psi(n, x) for n in range(4))]):
        got = f(x) if order == 0 else f(float(x))
        assert got == pytest.approx(float(exact), rel=1e-12)
        f = grad(f)


def test_log_gamma_and_its_derivatives_on_arrays_and_at_poles():
    x = np.linspace(-6.3, 30, 1001)
    np.testing.assert_allclose(lgamma(x), scipy.special.gammaln(x), rtol=1e-13, atol=2e-14)
    np.testing.assert_allclose(digamma(x), scipy.special.digamma(x), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(trigamma(x), [float(mp.psi(1, t)) for t in x], rtol=1e-12)
    assert lgamma(x.astype(np.float32)).dtype == np.float32
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(lgamma(np.array([0.0, -1.0])), [np.inf, np.inf])
    for row in (lgamma, digamma, trigamma):
        with pytest.raises(ValueError, match=r"needs x > 0 or x % 1 != 0, got x = -2$"):
            row(Value(-2.0))


@pytest.mark.parametrize("x", [0.0, 1e-9, 1e-3, 0.03, 1 / 32, 0.04, 1.0, 2.5])
def test_sinc_and_two_derivatives_near_zero(x):
    f = np.sinc
    for order in range(3):
        exact = float(mp.diff(mp.sincpi, x, order))
        got = f(Value(x)).data if order == 0 else f(x)
        assert got == pytest.approx(exact, rel=1e-12, abs=1e-13 * (order + 1))
        f = grad(f)


def test_empty_arrays_and_arrays_without_axes():
    empty = values(np.zeros((0, 3)))
    assert np.sort(empty, axis=0).shape == np.floor(empty).shape == (0, 3)
    np.testing.assert_array_equal(np.nansum(empty, axis=0), [0.0, 0.0, 0.0])
    assert math.isnan(np.median(values([])))
    x = values(2.6)
    assert np.floor(x).data == 2.0
    assert np.round(Value(2.64), 1).data == 2.6
    assert np.sinc(Value(0.0)).data == 1.0
    assert np.median(Value(2.0)).data == 2.0
    assert np.nan_to_num(Value(np.nan)).data == 0.0


def test_cross_entropy_takes_probabilities_in_their_order():
    for y in (np.array([1.0, 2.0, 3.0]), values([0.1, 1.5, 0.2])):
        with pytest.raises(ValueError, match="cross_entropy_from_logits"):
            cross_entropy(y, [0, 0, 1])
    with pytest.raises(ValueError, match="order swapped"):
        cross_entropy([0, 0, 1], [0.2, 0.3, 0.5])
    assert cross_entropy([0.0, 1.0], [0, 1]) == 0.0
    rounded = np.array([0.5, 0.5 + 1e-9])
    assert cross_entropy(rounded / 1.0, 1) == pytest.approx(math.log(2))


# --- all of NumPy ---

CALLS = [
    lambda f, a: f(a),
    lambda f, a: f(a, a),
    lambda f, a: f(a, 1),
    lambda f, a: f(a[0]),
    lambda f, a: f(a[0], a[1]),
    lambda f, a: f(a[0], 1),
    lambda f, a: f(a, [0, 1]),
    lambda f, a: f(1, a),
    lambda f, a: f([1, 1], a[:2]),
    lambda f, a: f(a * 1 if type(a) is np.ndarray else a.data, a),
]
OF_TEXT = {
    "einsum_path",
    "array2string",
    "array_repr",
    "array_str",
    "empty_like",
    "result_type",
    "min_scalar_type",
}
# Files and dates, and functions that take NumPy's own types.
ASIDE = {
    "save",
    "savetxt",
    "savez",
    "savez_compressed",
    "is_busday",
    "busday_offset",
    "busday_count",
    "can_cast",
}


def public_functions():
    for module in (np, np.linalg, np.fft):
        for name in sorted(dir(module)):
            function = getattr(module, name)
            dispatched = hasattr(function, "_implementation") or isinstance(function, np.ufunc)
            if dispatched and not name.startswith("_") and name not in OF_TEXT | ASIDE:
                yield pytest.param(function, id=f"{module.__name__}.{name}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function", list(public_functions()))
def test_every_public_function_gives_numpys_number_or_our_refusal(function):
    refusals: list[str] = []
    for call in CALLS:
        with np.errstate(all="ignore"):
            try:
                expected = call(function, A.copy())
            except Exception:  # no call for this function
                continue
        try:
            got = call(function, values(A))
        except (TypeError, ValueError) as error:
            refusals.append(str(error))
            continue
        assert isinstance(got, (tuple, list)) == isinstance(expected, (tuple, list))
        for ours, theirs in zip(listed(got), listed(expected), strict=True):
            if theirs is not None and np.asarray(theirs).dtype.kind in "biuf":
                np.testing.assert_allclose(elements(ours), np.asarray(theirs, float), rtol=1e-12, atol=1e-13)
    assert [words for words in refusals if not OUR_WORDS.search(words)] == []


OUR_WORDS = re.compile(
    r"has no derivative rule for Values|of Values: |does not become a float|needs |is for conditions|"
    r"must increase|read-only"
)


def listed(x):
    return list(x) if isinstance(x, (tuple, list)) else [x]


def elements(x):
    if isinstance(x, (tuple, list)):
        return [elements(y) for y in x]
    array = np.asarray(x, dtype=object)
    return np.array([y.data if isinstance(y, Value) else y for y in array.flat], float).reshape(array.shape)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda z: np.linalg.lstsq(A, z[0]), r"numpy\.linalg\.lstsq .*np\.linalg\.solve\(A\.T @ A"),
        (lambda z: np.linalg.eigh(z), r"numpy\.linalg\.eigh "),
        (lambda z: np.linalg.svd(z), r"numpy\.linalg\.svd "),
        (lambda z: np.linalg.norm(z, "nuc"), r"numpy\.linalg\.norm\(ord='nuc'\) .*'fro', 1, inf"),
        (lambda z: np.linalg.norm(z[0], 3), r"numpy\.linalg\.norm\(ord=3\) .*ord=1, 2 or inf of a vector"),
        (lambda z: np.fft.rfft(z), r"numpy\.fft\.rfft .*cosines"),
        (lambda z: np.histogram(z), r"numpy\.histogram .*\.data"),
        (lambda z: np.spacing(z), r"numpy\.spacing "),
        (lambda z: np.bitwise_and(z, 1), r"numpy\.bitwise_and is for conditions"),
        (lambda z: np.invert(z), r"numpy\.invert is for conditions"),
        (lambda z: scipy.special.jv(1, z), r"scipy\.special\.jv "),
        (lambda z: np.percentile(A, z[0, 0]), r"numpy\.percentile takes numbers for q"),
        (lambda z: np.interp(z, [0, 1], [1, 2], period=1), r"numpy\.interp\(period=\) "),
    ],
)
def test_a_refusal_names_function_line_and_what_to_write(call, name):
    with pytest.raises(TypeError, match=rf"^.*test_numpy_functions\.py:\d+: {name}"):
        call(values(A))
