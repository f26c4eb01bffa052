"""Networks of micrograd's names: its numbers, the same model as a function, and what is refused."""

import random

import numpy as np
import pytest
from micrograd import nn as micrograd

from autograd_mini import grad, trace, value_and_grad
from autograd_mini.engine import Value
from autograd_mini.nn import MLP, Layer, Module, Neuron

X = np.random.default_rng(0).normal(size=(5, 3))


def test_the_weights_and_numbers_of_micrograd() -> None:
    random.seed(1337)
    theirs = micrograd.MLP(3, [4, 4, 1])
    random.seed(1337)
    ours = MLP(3, [4, 4, 1])
    for x in X.tolist():
        a, b = theirs(x), ours(x)
        a.backward()
        b.backward()
        assert a.data == b.data
    assert [p.grad for p in ours.parameters()] == pytest.approx(
        [p.grad for p in theirs.parameters()], rel=1e-12
    )


def test_a_network_is_its_layers_in_turn() -> None:
    model = MLP(3, [4, 2], activation="tanh", seed=7)
    W1, W2 = (np.array([[w.data for w in n.w] for n in layer.neurons]) for layer in model.layers)
    for x in X:
        assert [y.data for y in model(x)] == pytest.approx(W2 @ np.tanh(W1 @ x), rel=1e-14)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", np.tanh])
def test_the_same_model_as_a_function(activation: object) -> None:
    model = MLP(3, [5, 4, 1], activation=activation, seed=3)
    f, parameters = model.as_function(), np.array([p.data for p in model.parameters()])
    program = trace(value_and_grad(f), parameters, X[0])
    losses, gradients = program.vmap(in_axes=(None, 0))(parameters, X)
    for x, loss, gradient in zip(X, losses, gradients, strict=True):
        model.zero_grad()
        y = model(x)
        y.backward()
        assert loss == pytest.approx(y.data, rel=1e-14)
        assert gradient == pytest.approx([p.grad for p in model.parameters()], rel=1e-12, abs=1e-300)
        assert np.array_equal(grad(f)(parameters, x), [p.grad for p in model.parameters()])
    assert [p.data for p in model.parameters()] == parameters.tolist()


def test_seeds() -> None:
    def numbers(module: Module) -> list[float]:
        return [p.data for p in module.parameters()]

    assert (
        numbers(MLP(2, [3, 1], seed=0)) == numbers(MLP(2, [3, 1], seed=0)) != numbers(MLP(2, [3, 1], seed=1))
    )
    assert len(set(numbers(Layer(2, 3, seed=1)))) == 7  # six weights, and three biases of 0
    random.seed(4)
    assert numbers(Neuron(2)) == numbers(Neuron(2, seed=4)) == numbers(Neuron(2, seed=random.Random(4)))


def test_a_module_of_ones_own_finds_its_parameters() -> None:
    class Scaled(Module):
        def __init__(self) -> None:
            self.scale, self.body, self.name = Value(2.0), MLP(2, [3], seed=0), "scaled"

        def __call__(self, x: list[float]) -> Value:
            return self.scale * sum(self.body(x))

    model = Scaled()
    assert len(model.parameters()) == 1 + 9
    model([1.0, -2.0]).backward()
    model.zero_grad()
    assert [p.grad for p in model.parameters()] == [0.0] * 10
    assert model.as_function()([3.0, *[0.5] * 9], [1.0, -2.0]) == pytest.approx(0.0)


def test_what_is_said_of_a_model_and_of_mistakes() -> None:
    model = MLP(2, [16, 1])
    assert str(model) == "MLP of [Layer of 16 Neuron(2, relu), Layer of 1 Neuron(16, linear)], 65 parameters"
    with pytest.raises(ValueError, match=r"Neuron\(2, relu\) takes 2 numbers, got 3"):
        model([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="has 65 parameters, got 1"):
        model.as_function()([1.0], [1.0, 2.0])
    with pytest.raises(ValueError, match="'tahn'"):
        MLP(2, [1], activation="tahn")
