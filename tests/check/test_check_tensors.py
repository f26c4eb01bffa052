"""Functions written for PyTorch or JAX are judged by differences of themselves."""

import sys
import types

import numpy as np
import pytest

from autograd_mini import check_backward, check_gradient, check_jacobian

X = np.array([0.3, 0.5])


class Tensor:
    """What PyTorch's does as far as a check can tell: it takes no arrays, and gives none with a gradient."""

    __module__ = "torch"

    def __init__(self, data, dtype=None, requires_grad=False):
        if not isinstance(data, (float, np.ndarray)):
            raise TypeError(f"no tensor: {type(data)}")
        self.data, self.requires_grad = np.asarray(data, dtype=dtype), requires_grad
        self.shape = self.data.shape

    def __array__(self, dtype=None, copy=None):
        if self.requires_grad:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach() instead."
            )
        return np.asarray(self.data, dtype=dtype)

    def detach(self):
        return Tensor(self.data)

    def cpu(self):
        return self

    def tanh(self):
        return Tensor(np.tanh(self.data), requires_grad=True)

    def sum(self):
        return Tensor(np.sum(self.data), requires_grad=self.requires_grad)


def tanh(x):
    if not isinstance(x, Tensor):
        raise TypeError(f"tanh(): argument 'input' (position 1) must be Tensor, not {type(x).__name__}")
    return x.tanh()


@pytest.fixture
def torch(monkeypatch):
    """PyTorch where it is installed, else as much of it as is asked for here."""
    try:
        import torch
    except ImportError:
        torch = types.SimpleNamespace(tensor=Tensor, float64=float, tanh=tanh, Tensor=Tensor)
        monkeypatch.setitem(sys.modules, "torch", torch)
    return torch


def derivative(w):
    return 1 - np.tanh(w) ** 2


def judged_by_differences(report, library):
    assert report.witnesses == ("differences of f on floats",), str(report)
    [remark] = [x for x in report.remarks if "could not follow" in x]
    assert f"f is written for {library}, whose tensors hold no Values" in remark
    assert "\n" not in remark
    return report.verdict


def test_a_function_for_pytorch(torch):
    def f(w):
        return torch.tanh(w).sum()

    assert judged_by_differences(check_gradient(f, derivative, at=X), "PyTorch") == "agrees"
    wrong = check_gradient(f, lambda w: derivative(w) * [1, 1.001], at=X)
    assert judged_by_differences(wrong, "PyTorch") == "disagrees"
    assert check_jacobian(torch.tanh, lambda x: np.diag(derivative(x)), at=X)
    assert check_gradient(lambda w: torch.tanh(w), derivative, at=0.3)


def test_a_derivation_for_pytorch(torch):
    def hand(w):
        return torch.tensor(1 - np.asarray(torch.tanh(w).detach()) ** 2)

    assert check_gradient(lambda w: torch.tanh(w).sum(), hand, at=X)
    assert check_gradient(lambda w: np.sum(np.tanh(w)), hand, at=X)  # f the engine follows


def test_numpy_code_beside_pytorch_is_followed(torch):
    assert "the engine" in check_gradient(lambda w: np.sum(np.tanh(w)), derivative, at=X).witnesses
    with pytest.raises(TypeError, match="unsupported operand"):
        check_gradient(lambda w: w + "one", derivative, at=X)


def test_a_function_for_jax():
    jax = pytest.importorskip("jax")
    jnp = jax.numpy

    def f(w):
        return jnp.sum(jnp.tanh(w))

    assert judged_by_differences(check_gradient(f, derivative, at=X), "JAX") == "agrees"
    assert check_gradient(f, jax.grad(f), at=X)
    wrong = check_gradient(f, lambda w: derivative(w) * [1, 1.001], at=X)
    assert judged_by_differences(wrong, "JAX") == "disagrees"
    only_tensors = check_gradient(lambda w: w.at[0].set(1.0).sum(), lambda w: np.array([0.0, 1.0]), at=X)
    assert judged_by_differences(only_tensors, "JAX") == "agrees"


def test_passes_take_tensors_as_numbers(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))

    def backward(grad_out, x):
        return grad_out * (1 - np.tanh(x) ** 2)

    for at in (Tensor(X), {"x": Tensor(X, dtype=np.float32, requires_grad=True)}):
        report = check_backward(np.tanh, backward, at=at)
        assert report.verdict == "agrees"
        assert np.allclose(report.findings[0].place.arguments["x"], X)
