"""Code that makes its own arrays runs on Values unchanged: the value is NumPy's, the gradient right."""

import handwritten
import numpy as np
import pytest

from autograd_mini import trace, value_and_grad


def differences(f, x, h=1e-5):
    """Central differences of the first argument, Richardson's once."""
    x = np.asarray(x, dtype=float)
    found = np.zeros(x.shape)
    for index in np.ndindex(x.shape):

        def moved(step, index=index):
            y = x.copy()
            y[index] += step
            return float(f(y if y.shape else float(y)))

        coarse, fine = ((moved(k) - moved(-k)) / (2 * k) for k in (2 * h, h))
        found[index] = (4 * fine - coarse) / 3
    return found


@pytest.mark.parametrize("name", handwritten.CASES)
def test_value_and_gradient(name):
    f, (x, *_) = handwritten.CASES[name]
    before = x.copy() if isinstance(x, np.ndarray) else x
    expected = f(x.copy() if isinstance(x, np.ndarray) else x)
    value, gradient = value_and_grad(f)(x)
    assert np.array_equal(x, before)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    witness = differences(f, x)
    np.testing.assert_allclose(gradient, witness, rtol=1e-6, atol=1e-7)
    if name not in handwritten.UNTRACEABLE:
        value, gradient = trace(value_and_grad(f), x)(x)
        np.testing.assert_allclose(value, expected, rtol=1e-12)
        np.testing.assert_allclose(gradient, witness, rtol=1e-6, atol=1e-7)
