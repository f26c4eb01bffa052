"""Linear algebra of Values: NumPy's numbers, and derivatives in closed form or by differences."""

import numpy as np
import pytest

from autograd_mini import Value, grad, trace, values
from autograd_mini.program import Program

pytestmark = pytest.mark.version

A = np.array([[2.013, 0.517, 0.309], [0.431, 3.021, -0.213], [0.107, 0.733, 1.519]])
S = A @ A.T + np.eye(3)
P = np.array([[0.0, 2.0, 1.0], [1.0, 0.0, 3.0], [2.0, 1.0, 0.0]])  # pivots are off the diagonal
B = np.array([[1.0, 2.0], [0.5, -1.0], [3.0, 0.25]])
L = np.linalg
DIRECTION = np.random.default_rng(0).normal(size=(3, 3))

FUNCTIONS = {
    "solve a vector": (lambda a: L.solve(a, B[:, 0]), A),
    "solve a matrix": (lambda a: L.solve(a, B), A),
    "solve with both": (lambda a: L.solve(a, a.T @ a), A),
    "solve a stack": (lambda a: L.solve(np.stack([a, 2 * a.T]), B[None]), A),
    "solve with pivots": (lambda a: L.solve(a, B), P),
    "inv": (L.inv, A),
    "inv with pivots": (L.inv, P),
    "inv of a stack": (lambda a: L.inv(np.stack([a, a.T])[None]), A),
    "det": (L.det, A),
    "det with pivots": (L.det, P),
    "det of a stack": (lambda a: L.det(np.stack([a, 2 * a.T])), A),
    "det of a minor": (lambda a: L.det(a[:1, :1]) * L.det(a[1:, 1:]), A),
    "sign": (lambda a: L.slogdet(a)[0] * a, -A),
    "slogdet": (lambda a: L.slogdet(a)[1], P),
    "slogdet of a stack": (lambda a: L.slogdet(np.stack([a, a @ a]))[1], A),
    "cholesky": (L.cholesky, S),
    "cholesky of a product": (lambda a: L.cholesky(a @ a.T), A),
    "cholesky of a stack": (lambda a: L.cholesky(np.stack([a, 3 * a])), S),
    "third power": (lambda a: L.matrix_power(a, 3), A),
    "power 0": (lambda a: L.matrix_power(a, 0) * a, A),
    "power -2": (lambda a: L.matrix_power(a, -2), A),
    "multi_dot": (lambda a: L.multi_dot([a, a.T, a]), A),
    "norm": (L.norm, A),
    "fro": (lambda a: L.norm(np.stack([a, a * a]), "fro", axis=(1, 2)), A),
    "norm 1 of a vector": (lambda a: L.norm(a, 1, axis=-1), A),
    "norm inf of a vector": (lambda a: L.norm(a, np.inf, axis=0, keepdims=True), A),
    "norm 1 of a matrix": (lambda a: L.norm(a, 1), A),
    "norm inf of matrices": (lambda a: L.norm(np.stack([a, a.T]), np.inf, axis=(-1, 0), keepdims=True), A),
    "trace": (lambda a: np.trace(a @ a), A),
}  # fmt: skip


def numbers(x):
    return x.data if hasattr(x, "backward") else np.asarray(x, float)


def total(f):
    def weighted(a):
        result = f(a)
        return np.sum(result * np.cos(np.arange(np.size(result))).reshape(np.shape(result)))

    return weighted


@pytest.mark.parametrize("name", FUNCTIONS)
def test_value_gradient_and_second_derivative(name):
    f, at = FUNCTIONS[name]
    np.testing.assert_allclose(numbers(f(values(at))), f(at), rtol=1e-12, atol=1e-13)
    scalar, h = total(f), 1e-5
    gradient = grad(scalar)(at)
    for index in np.ndindex(at.shape):
        step = np.zeros_like(at)
        step[index] = h
        slope = (scalar(at + step) - scalar(at - step)) / (2 * h)
        assert gradient[index] == pytest.approx(slope, rel=1e-6, abs=1e-7)
    leaves = values(at)
    scalar(leaves).backward()
    np.testing.assert_allclose(leaves.grad, gradient, rtol=1e-11, atol=1e-12)
    second = grad(lambda a: np.sum(grad(scalar)(a) * DIRECTION))(at)
    step = h * DIRECTION
    witness = (grad(scalar)(at + step) - grad(scalar)(at - step)) / (2 * h)
    np.testing.assert_allclose(second, witness, rtol=1e-5, atol=1e-6)
    program = trace(lambda a: (scalar(a), grad(scalar)(a)), at)
    assert isinstance(program, Program)
    other = at + 0.05 * (DIRECTION + DIRECTION.T)  # where the order of the pivots may be another
    for point in (at, other):
        value, slope = program(point)
        assert value == pytest.approx(scalar(point), rel=1e-11)
        np.testing.assert_allclose(slope, grad(scalar)(point), rtol=1e-10, atol=1e-11)


def test_closed_forms():
    inverse = L.inv(A)
    np.testing.assert_allclose(grad(L.det)(A), L.det(A) * inverse.T, rtol=1e-13)
    np.testing.assert_allclose(grad(lambda a: L.slogdet(a)[1])(A), inverse.T, rtol=1e-13)
    x = L.solve(A, B[:, 0])
    adjoint = L.solve(A.T, np.ones(3))
    gradient, of_b = grad(lambda a, b: np.sum(L.solve(a, b)), (0, 1))(A, B[:, 0])
    np.testing.assert_allclose(gradient, -np.outer(adjoint, x), rtol=1e-13)
    np.testing.assert_allclose(of_b, adjoint, rtol=1e-13)


@pytest.mark.parametrize(
    "singular",
    [np.arange(1.0, 10.0).reshape(3, 3), np.ones((3, 3)), np.zeros((3, 3)), np.diag([0.0, 0.0, 3.0])],
    ids=["rank 2", "rank 1", "rank 0", "diagonal"],
)
def test_the_determinant_of_a_singular_matrix_keeps_its_derivatives(singular):
    """The gradient is the matrix of cofactors, which is polynomial, and so is the Hessian."""

    def cofactors(a):
        minors = [[np.delete(np.delete(a, i, 0), j, 1) for j in range(3)] for i in range(3)]
        return np.array([[(-1) ** (i + j) * L.det(minors[i][j]) for j in range(3)] for i in range(3)])

    np.testing.assert_allclose(L.det(values(singular)).data, 0.0, atol=1e-14)
    np.testing.assert_allclose(grad(L.det)(singular), cofactors(singular), atol=1e-13)
    second = grad(lambda a: np.sum(grad(L.det)(a) * DIRECTION))(singular)
    h = 1e-4
    witness = (cofactors(singular + h * DIRECTION) - cofactors(singular - h * DIRECTION)) / (2 * h)
    np.testing.assert_allclose(second, witness, atol=1e-7)


def test_five_rows_of_zeros():
    assert L.det(values(np.zeros((5, 5)))).data == 0.0
    np.testing.assert_array_equal(grad(L.det)(np.zeros((5, 5))), np.zeros((5, 5)))


def test_an_ill_conditioned_matrix_is_solved_as_by_numpy():
    n = 8
    hilbert = 1.0 / (np.arange(n)[:, None] + np.arange(n) + 1.0)
    tiny = np.array([[1e-20, 1.0], [1.0, 1.0]])
    np.testing.assert_allclose(L.solve(values(tiny), [1.0, 2.0]).data, [1.0, 1.0], rtol=1e-15)
    x = L.solve(values(hilbert), hilbert @ np.ones(n)).data
    assert np.abs(hilbert @ x - hilbert @ np.ones(n)).max() < 1e-15
    program = trace(lambda a: L.solve(a, np.array([1.0, 2.0])), np.eye(2))
    np.testing.assert_allclose(program(tiny), [1.0, 1.0], rtol=1e-15)


def test_only_one_triangle_of_a_symmetric_matrix_is_read():
    gradient = grad(lambda a: np.sum(L.cholesky(a)))(S)
    np.testing.assert_array_equal(np.triu(gradient, 1), 0.0)


def test_what_has_no_inverse_or_no_factor():
    singular = values(np.ones((2, 2)))
    for f in (L.inv, lambda a: L.solve(a, np.ones(2)), lambda a: L.matrix_power(a, -1)):
        with pytest.raises(L.LinAlgError, match="Singular matrix"):
            f(singular)
    with pytest.raises(L.LinAlgError, match="not positive definite"):
        L.cholesky(values(np.diag([1.0, -1.0])))
    sign, logarithm = L.slogdet(singular)
    assert (sign, logarithm) == (0.0, -np.inf)
    for f in (L.inv, L.det, L.cholesky, L.slogdet):
        with pytest.raises(L.LinAlgError, match=r"expected square matrices, got shape \(2, 3\)"):
            f(values(np.ones((2, 3))))
    with pytest.raises(ValueError, match="do not fit"):
        L.solve(values(np.eye(2)), np.ones(3))


def test_empty_stacks_and_matrices():
    assert L.det(values(np.zeros((0, 2, 2)))).shape == (0,)
    assert L.inv(values(np.zeros((0, 0)))).shape == (0, 0)
    assert L.det(values(np.zeros((0, 0)))) == 1.0
    assert isinstance(L.det(values([[2.0]])), Value)


def test_norms_at_zero_have_gradient_zero():
    for order in (None, 1, 2, np.inf):
        np.testing.assert_array_equal(grad(lambda v, order=order: L.norm(v, order))(np.zeros(3)), 0.0)
