"""The library's losses as explanations: the gradient, or the value, of another loss than that asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from autograd_mini import functions
from autograd_mini.arrays import values
from autograd_mini.check.diagnosis.case import Candidate, Case
from autograd_mini.check.diagnosis.chain import Chain, Factor, given, said
from autograd_mini.check.diagnosis.tape import Group, Numbers, Tape
from autograd_mini.check.subjects.arguments import Floats
from autograd_mini.value import constant


class Loss(NamedTuple):
    """A loss of a prediction and a target, arrays of one shape, with its formula in {y} and {t}."""

    name: str
    formula: str
    of: Callable[[Any, Any], Any]

    def text(self, y: str, t: str) -> str:
        return f"{self.name}({y}, {t}) = {self.formula.format(y=y, t=t)}"

    def value(self, y: Floats, t: Floats) -> float | None:
        try:
            value = float(self.of(y, t))
        except (ValueError, ArithmeticError, TypeError):
            return None
        return value if np.isfinite(value) else None

    def gradient(self, y: Floats, t: Floats) -> Floats | None:
        """∂loss/∂y; None where the loss is not defined."""
        nodes = values(y)
        try:
            self.of(nodes, t).backward()
        except (ValueError, ArithmeticError, TypeError):
            return None
        return nodes.grad if np.isfinite(nodes.grad).all() else None


_binary, _logits = functions.binary_cross_entropy, functions.binary_cross_entropy_from_logits
LOSSES = [
    Loss("squared_error", "Σ ({y} − {t})²", functions.squared_error),
    Loss("mean_squared_error", "mean of ({y} − {t})²", functions.mean_squared_error),
    Loss("half the squared_error", "½ Σ ({y} − {t})²", lambda y, t: functions.squared_error(y, t) / 2),
    Loss("absolute_error", "Σ |{y} − {t}|", functions.absolute_error),
    Loss("mean absolute_error", "mean of |{y} − {t}|",
         lambda y, t: functions.absolute_error(y, t) / np.size(t)),
    Loss("cross_entropy", "−Σ {t} ln {y}", functions.cross_entropy),
    Loss("cross_entropy_from_logits", "−Σ {t} ln softmax({y})", functions.cross_entropy_from_logits),
    Loss("binary_cross_entropy", "−Σ [{t} ln {y} + (1 − {t}) ln(1 − {y})]",
         partial(_binary, reduction="sum")),
    Loss("mean binary_cross_entropy", "−mean of [{t} ln {y} + (1 − {t}) ln(1 − {y})]", _binary),
    Loss("binary_cross_entropy_from_logits", "−Σ [{t} ln σ({y}) + (1 − {t}) ln(1 − σ({y}))]",
         partial(_logits, reduction="sum")),
    Loss("mean binary_cross_entropy_from_logits", "−mean of [{t} ln σ({y}) + (1 − {t}) ln(1 − σ({y}))]",
         _logits),
]  # fmt: skip
MEETS_TARGET = ("sub", "mul", "xlogy")  # the operations of a loss in which a target occurs

# --- gradients ---------------------------------------------------------------------------------------


def other_losses(chain: Chain) -> Iterator[Candidate]:
    """The gradient of another of the library's losses, of any array of the graph and any target."""
    case, home = chain.case, chain.home
    right = chain.tape.naming.name(home.roots[0], length=64)
    groups = [g for g in chain.tape.groups if home.adjoint[g.nodes].any() and len(g) <= 1000]
    for group in chain.in_time(groups if case.outputs == 1 else []):
        if not _is_reachable(chain, group):
            continue
        for target in _targets(chain, len(group)):
            name = said(target.thing)
            given, *where = name.split(" = ")[0], *([f", with {name}"] * (" = " in name))
            for loss in LOSSES:
                yield from chain.added(
                    "other loss", "yours is the gradient of another loss, {L}", "{T} is that of {out} = {R}",
                    {"G": group, "L": loss.text(group.name, given) + "".join(where), "R": right},
                    partial(_other_loss, loss, group, target),
                )  # fmt: skip


def _other_loss(loss: Loss, group: Group, target: Factor, numbers: Numbers) -> Floats | None:
    gradient = loss.gradient(group.values(numbers), target.of(numbers))
    if gradient is None or abs(np.sum(gradient)) == len(group) == np.sum(abs(gradient)):
        return None  # every sign alike: the sum of the nodes, and no loss
    return np.asarray(gradient[None] @ numbers.tangent[group.nodes] - numbers.jacobian)


def _is_reachable(chain: Chain, group: Group) -> bool:
    """Whether some adjoints of these nodes have the hand result as their gradient."""
    if chain.jacobian.size <= len(group):
        return bool(chain.home.tangent[group.nodes].any())
    return chain.has_above(chain.yours.ravel(), group)


def _targets(chain: Chain, size: int) -> Iterator[Factor]:
    """What a prediction may have been held against: an argument of f, or constants of its graph."""
    tape = chain.tape
    for name, x in chain.case.arrays.items():
        if x.size == size:
            yield Factor(name, given(name))
        elif x.size == 1 and float(x[0]) in range(size):  # the class, for its one-hot vector
            yield Factor(name, partial(lambda name, n: np.eye(size)[int(n.argument(name)[0])], name))
    seen: set[str] = set()
    for edges in tape.edges:
        if len(edges.above) != size or edges.op not in MEETS_TARGET:
            continue
        others = edges.others
        if len(seen) < 8 and all(tape.order[u].op is constant for u in others.nodes):
            text = ", ".join(f"{x:.4g}" for x in others.values(chain.home)[:5]) + ", …" * (size > 5)
            name = f"t = ({text})" if size > 1 else f"t = {text}"
            if name not in seen:
                seen.add(name)
                yield Factor(name, others.values)


# --- values ------------------------------------------------------------------------------------------

SCORES: dict[str, Callable[[Floats], Floats]] = {
    "{y}": lambda y: y,
    "softmax({y})": functions.softmax,
    "sigmoid({y})": lambda y: 1 / (1 + np.exp(-y)),
    "exp({y})": np.exp,
    "(1 − {y})": lambda y: 1 - y,
    "clip({y}, 1e−7)": lambda y: np.clip(y, 1e-7, 1 - 1e-7),  # against ln 0: a habit of libraries
    "clip({y}, 1e−12)": lambda y: np.clip(y, 1e-12, 1 - 1e-12),
    "clip({y}, 1e−15)": lambda y: np.clip(y, 1e-15, 1 - 1e-15),
}
OF_THE_VALUE: dict[str, Callable[[Floats], Floats]] = {
    "the exponential of {out}": np.exp,
    "the logarithm of {out}": np.log,
    "the logarithm of {out} with the wrong sign": lambda v: -np.log(v),
    "the square root of {out}": np.sqrt,
    "the square of {out}": np.square,
    "1 − {out}": lambda v: 1 - v,
    "1 / {out}": lambda v: 1 / v,
    "{out} with logarithms to base 2": lambda v: v / np.log(2),
    "{out} with logarithms to base 10": lambda v: v / np.log(10),
    "{out} with its sign dropped": np.abs,
}


def other_values(case: Case, tape: Tape | None) -> Iterator[Candidate]:
    """Other losses of the same arrays, intermediate steps of the graph, and functions of the right value."""
    out, truth = case.evidence.out, case.home.truth[""]
    shape = case.home.yours[""].shape
    arrays = {x: np.asarray(case.home.arguments[x], dtype=float) for x in case.arrays}
    for group in tape.groups if tape else ():
        numbers = group.values(group.tape.home)
        if group.level and len(group) == np.prod(shape, dtype=int):
            text, name = f"yours is the value of {{G}}, a step on the way to {out}", group.name
            found = numbers.reshape(shape)
            yield _value("other function", found, text, f"{out} is what follows from it", {"G": name})
        if group.labelled:
            arrays.setdefault(group.name, numbers)
    if not shape:
        tried = [*_losses_of(arrays)]
        right = (loss for loss in tried if np.isclose(loss[-1], float(truth), 1e-12, 0))
        pair, _, said, _ = next(right, (None, "", f"{float(truth):.9g}", 0.0))
        tried.sort(key=lambda loss: loss[0] != pair)  # prediction and target in their own places first
        for _, name, other, value in tried:
            text = f"yours is another loss, {name} = {other}"
            yield _value("other loss", np.array(value), text, f"{out} = {said}")
    for text, of in OF_THE_VALUE.items():
        yield _value("other function", of(truth), f"yours is {text.format(out=out)}", f"{out} as it is")


def _losses_of(arrays: dict[str, Floats]) -> Iterator[tuple[tuple[str, str], str, str, float]]:
    """Every loss of every pair of a prediction and a target: these, its name, its formula and its value."""
    for (y_name, y), (t_name, t) in permutations(arrays.items(), 2):
        for text, score in SCORES.items() if np.shape(t) in (np.shape(y), np.shape(y)[:-1]) else ():
            scores = score(np.atleast_1d(y)).reshape(np.shape(y))
            if text.startswith("clip") and np.array_equal(scores, y):
                continue
            for loss in LOSSES:
                value = loss.value(scores, t)
                if value is not None:
                    names = text.format(y=y_name), t_name
                    said = loss.formula.format(y=names[0], t=t_name)
                    yield (y_name, t_name), f"{loss.name}({', '.join(names)})", said, value


def _value(
    kind: str, value: Floats, text: str, formula: str, names: dict[str, str] | None = None
) -> Candidate:
    return Candidate(kind, text, formula, lambda point: {"": value}, lambda: names or {})
