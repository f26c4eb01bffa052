"""micrograd's neural networks, with its names, arguments and random weights: a script changes one word."""

import copy
import random
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from itertools import pairwise
from typing import Any

from autograd_mini.rules import table
from autograd_mini.value import Value


def _draws(seed: Any) -> Any:
    return random if seed is None else seed if hasattr(seed, "uniform") else random.Random(seed)


class Module:
    """What has parameters: the Values among its attributes and those of its modules, in lists too."""

    def parameters(self) -> list[Value]:
        held = [y for x in vars(self).values() for y in (x if isinstance(x, list | tuple) else [x])]
        return [p for x in held for p in ([x] if type(x) is Value else getattr(x, "parameters", list)())]

    def zero_grad(self) -> None:
        for parameter in self.parameters():
            parameter.grad = 0.0

    def as_function(self: Any) -> Callable[[Iterable[Any], Any], Any]:
        """The module as f(parameters, x), for `grad`, `trace` and `vmap`; the module itself stays as it is.
        >>> Neuron(2, nonlin=False).as_function()([0.5, -1.0, 0.25], [3.0, 2.0])
        -0.25
        """

        def f(parameters: Iterable[Any], x: Any) -> Any:
            if len(given := [*parameters]) != len(mine := self.parameters()):
                raise ValueError(f"{self!r} has {len(mine)} parameters, got {len(given)}")
            return copy.deepcopy(self, dict(zip(map(id, mine), given, strict=True)))(x)

        return f


class Neuron(Module):
    """activation(Σ wᵢ xᵢ + b), the sum if not ``nonlin``; ``activation`` is a rule's name or a function."""

    def __init__(self, nin: int, nonlin: bool = True, activation: Any = "relu", seed: Any = None) -> None:
        self.activation: Any = table.get(activation, activation)
        if not callable(self.activation):
            raise ValueError(f'activation is a function or the name of a rule, as "tanh", got {activation!r}')
        draws = _draws(seed)
        self.w, self.b, self.nonlin = [Value(draws.uniform(-1, 1)) for _ in range(nin)], Value(0.0), nonlin

    def __call__(self, x: Sequence[Any]) -> Any:
        if len(x) != len(self.w):
            raise ValueError(f"{self!r} takes {len(self.w)} numbers, got {len(x)}")
        act = sum((wi * xi for wi, xi in zip(self.w, x, strict=True)), self.b)
        return self.activation(act) if self.nonlin else act

    def __repr__(self) -> str:
        return f"Neuron({len(self.w)}, {self.activation.__name__ if self.nonlin else 'linear'})"


class Layer(Module):
    """``nout`` neurons, each of the same ``nin`` numbers; a layer of one gives a number, not a list."""

    def __init__(self, nin: int, nout: int, seed: Any = None, **kind: Any) -> None:
        self.neurons = [Neuron(nin, seed=draws, **kind) for draws in [_draws(seed)] * nout]

    def __call__(self, x: Sequence[Any]) -> Any:
        out = [neuron(x) for neuron in self.neurons]
        return out[0] if len(out) == 1 else out

    def __repr__(self) -> str:
        return f"Layer of {len(self.neurons)} {self.neurons[0]}"


class MLP(Module):
    """Layers of sizes ``nouts``, each on the results of the one before; the last is linear."""

    def __init__(self, nin: int, nouts: Sequence[int], activation: Any = "relu", seed: Any = None) -> None:
        if isinstance(nouts, int):
            raise TypeError(f"MLP: nouts are the sizes of the layers in a list, such as [4, 1], got {nouts}")
        sizes, kind = enumerate(pairwise([nin, *nouts]), 1), {"activation": activation, "seed": _draws(seed)}
        self.layers = [Layer(*size, nonlin=i < len(nouts), **kind) for i, size in sizes]

    def __call__(self, x: Any) -> Any:
        return reduce(lambda out, layer: layer(out), self.layers, x)

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(map(str, self.layers))}], {len(self.parameters())} parameters"
