"""The library's losses as explanations: the gradient, or the value, of another loss than that asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from autograd_mini import functions
from autograd_mini.arrays import values
from autograd_mini.check.diagnosis.case import Candidate, Case
from autograd_mini.check.diagnosis.chain import Chain
from autograd_mini.check.diagnosis.evidence import Explanation
from autograd_mini.check.diagnosis.tape import Group, Sweep, Tape
from autograd_mini.check.subjects.subject import Graph
from autograd_mini.value import constant

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Loss:
    """A loss of a prediction and a target, both arrays of one shape."""

    name: str
    formula: str  # in {y}, the prediction, and {t}, the target
    of: Callable[[Any, Any], Any]

    def text(self, y: str, t: str) -> str:
        return f"{self.name}({y}, {t}) = {self.formula.format(y=y, t=t)}"


LOSSES = [
    Loss("squared_error", "Σ ({y} − {t})²", functions.squared_error),
    Loss("mean_squared_error", "mean of ({y} − {t})²", functions.mean_squared_error),
    Loss("half the squared_error", "½ Σ ({y} − {t})²", lambda y, t: functions.squared_error(y, t) / 2),
    Loss("absolute_error", "Σ |{y} − {t}|", functions.absolute_error),
    Loss(
        "mean absolute_error", "mean of |{y} − {t}|", lambda y, t: functions.absolute_error(y, t) / np.size(t)
    ),
    Loss("cross_entropy", "−Σ {t} ln {y}", functions.cross_entropy),
    Loss("cross_entropy_from_logits", "−Σ {t} ln softmax({y})", functions.cross_entropy_from_logits),
    Loss(
        "binary_cross_entropy", "−Σ [{t} ln {y} + (1 − {t}) ln(1 − {y})]",
        lambda y, t: functions.binary_cross_entropy(y, t, reduction="sum"),
    ),
    Loss(
        "mean binary_cross_entropy", "−mean of [{t} ln {y} + (1 − {t}) ln(1 − {y})]",
        functions.binary_cross_entropy,
    ),
    Loss(
        "binary_cross_entropy_from_logits", "−Σ [{t} ln σ({y}) + (1 − {t}) ln(1 − σ({y}))]",
        lambda y, t: functions.binary_cross_entropy_from_logits(y, t, reduction="sum"),
    ),
    Loss(
        "mean binary_cross_entropy_from_logits", "−mean of [{t} ln σ({y}) + (1 − {t}) ln(1 − σ({y}))]",
        functions.binary_cross_entropy_from_logits,
    ),
]  # fmt: skip


def gradient_of_loss(loss: Loss, y: Floats, t: Floats) -> Floats | None:
    """∂loss/∂y; None where the loss is not defined."""
    nodes = values(y)
    try:
        loss.of(nodes, t).backward()
    except (ValueError, ArithmeticError, TypeError):
        return None
    gradient: Floats = nodes.grad
    return gradient if np.isfinite(gradient).all() else None


def value_of_loss(loss: Loss, y: Floats, t: Floats) -> float | None:
    try:
        with np.errstate(all="ignore"):
            value = float(loss.of(y, t))
    except (ValueError, ArithmeticError, TypeError):
        return None
    return value if np.isfinite(value) else None


MEETS_TARGET = ("sub", "mul", "xlogy")  # the operations of a loss in which a target occurs

# --- gradients ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """What a prediction may have been held against: an argument of f, or constants of its graph."""

    name: str
    of: Callable[[Sweep, int], Floats]


def other_losses(chain: Chain) -> Iterator[Candidate]:
    """The gradient of another of the library's losses, of any array of the graph and any target."""
    case, home = chain.case, chain.home
    if case.outputs != 1:
        return
    for group in chain.tape.groups:
        if not home.adjoint[group.nodes].any() or len(group) > 1000:
            continue
        if chain.sifted and not _reachable(chain, group):
            continue
        y = home.values[group.nodes]
        for target in _targets(chain, len(group)):
            t = target.of(home, case.home)
            for loss in LOSSES:
                gradient = gradient_of_loss(loss, y, t)
                if gradient is None or abs(np.sum(gradient)) == len(group) == np.sum(abs(gradient)):
                    continue  # every sign alike: the sum of the nodes, and no loss
                change = gradient[None] @ home.tangent[group.nodes] - home.jacobian
                if chain.possible(change):
                    yield _other_loss(chain, loss, group, target)


def _reachable(chain: Chain, group: Group) -> bool:
    """Whether any loss of these nodes has the hand result as its gradient: it must combine their tangents."""
    case, home = chain.case, chain.home
    tangent = home.tangent[group.nodes].T
    if tangent.shape[0] <= tangent.shape[1]:
        return bool(tangent.any())
    yours = (case.difference[case.home] + case.matrix(case.points[case.home].truth)).ravel()
    solution = np.linalg.lstsq(tangent, yours, rcond=1e-10)[0]
    slack = case.tolerance[case.home].ravel()
    return bool((abs(tangent @ solution - yours) <= 3 * slack + 3 * np.sqrt(np.mean(slack**2))).all())


def _targets(chain: Chain, size: int) -> Iterator[Target]:
    case, tape = chain.case, chain.tape
    for name in case.arrays:
        count = case.argument(0, name).size
        if count == size:
            yield _argument_target(case, name)
        elif count == 1 and size > 1 and float(case.argument(0, name)[0]) in range(size):
            yield _class_target(case, name, size)
    seen: set[tuple[float, ...]] = set()
    for group in tape.groups:
        if len(group) != size or tape.order[group.nodes[0]].op.name not in MEETS_TARGET:
            continue
        for place in range(len(tape.args[group.nodes[0]])):
            operands = [tape.args[v][place] for v in group.nodes if len(tape.args[v]) > place]
            if len(operands) == size and all(tape.order[u].op is constant for u in operands):
                numbers = chain.home.values[operands]
                if tuple(numbers) not in seen and len(seen) < 8:
                    seen.add(tuple(numbers))
                    yield _constant_target(operands, numbers)


def _argument_target(case: Case, name: str) -> Target:
    return Target(name, lambda sweep, p: case.argument(p, name))


def _class_target(case: Case, name: str, classes: int) -> Target:
    return Target(name, lambda sweep, p: np.eye(classes)[int(case.argument(p, name)[0])])


def _constant_target(operands: list[int], numbers: Floats) -> Target:
    text = ", ".join(f"{x:.4g}" for x in numbers[:5]) + ", …" * (len(operands) > 5)
    name = f"t = ({text})" if len(operands) > 1 else f"t = {text}"
    return Target(name, lambda sweep, p: sweep.values[operands])


def _other_loss(chain: Chain, loss: Loss, group: Group, target: Target) -> Candidate:
    def change(sweep: Sweep, p: int) -> Floats | None:
        gradient = gradient_of_loss(loss, sweep.values[group.nodes], target.of(sweep, p))
        if gradient is None:
            return None
        added: Floats = gradient[None] @ sweep.tangent[group.nodes] - sweep.jacobian
        return added

    def explain() -> Explanation:
        given = target.name.partition(" = ")[0]
        where = f", with {target.name}" if given != target.name else ""
        case = chain.case
        right = chain.tape.name(chain.home.roots[0], length=64)
        return Explanation(
            "other loss",
            f"yours is the gradient of another loss, {loss.text(group.name, given)}{where}",
            f"{case.title} is that of {case.evidence.out} = {right}",
            (group.name,),
        )

    return chain.candidate(change, explain)


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


def other_values(case: Case, graph: Graph | None) -> Iterator[Candidate]:
    """Other losses of the same arrays, intermediate steps of the graph, and functions of the right value."""
    point, out = case.points[0], case.evidence.out
    given = point.yours["value"]
    arrays = {name: np.asarray(point.arguments[name], dtype=float) for name in case.arrays}
    if graph is not None:
        tape = Tape(case, graph)
        numbers = np.array([node.data for node in tape.order])
        for group in tape.groups:
            if group.level and len(group) == given.size:
                step = numbers[group.nodes].reshape(given.shape)
                text = f"yours is the value of {group.name}, a step on the way to {out}"
                yield _value("other function", step, text, f"{out} is what follows from it", group.name)
            if group.labelled:
                arrays.setdefault(group.name, numbers[group.nodes])
    if given.ndim == 0:
        yield from _other_loss_values(case, arrays)
    for text, of in OF_THE_VALUE.items():
        with np.errstate(all="ignore"):
            text = f"yours is {text.format(out=out)}"
            yield _value("other function", of(point.truth["value"]), text, f"{out} as it is")


def _other_loss_values(case: Case, arrays: dict[str, Floats]) -> Iterator[Candidate]:
    tried = [*_losses_of(arrays)]
    truth, out = float(case.points[0].truth["value"]), case.evidence.out
    right = (loss for loss in tried if np.isclose(loss[-1], truth, 1e-12, 0))
    pair, _, said, _ = next(right, (None, "", f"{truth:.9g}", truth))
    formula = f"{out} = {said}"
    tried.sort(key=lambda loss: loss[0] != pair)  # prediction and target in their own places first
    for _, name, said, value in tried:
        text = f"yours is another loss, {name} = {said}"
        yield _value("other loss", np.array(value), text, formula)


def _losses_of(arrays: dict[str, Floats]) -> Iterator[tuple[tuple[str, str], str, str, float]]:
    """Every loss of every pair of a prediction and a target: these, its name, its formula and its value."""
    for (y_name, y), (t_name, t) in permutations(arrays.items(), 2):
        if np.shape(t) not in (np.shape(y), np.shape(y)[:-1]):
            continue
        for text, score in SCORES.items():
            with np.errstate(all="ignore"):
                scores = _scores(score, y)
            if text.startswith("clip") and np.array_equal(scores, y):
                continue
            for loss in LOSSES:
                value = value_of_loss(loss, scores, t)
                if value is not None:
                    names = text.format(y=y_name), t_name
                    said = loss.formula.format(y=names[0], t=t_name)
                    yield (y_name, t_name), f"{loss.name}({', '.join(names)})", said, value


def _scores(score: Callable[[Floats], Floats], y: Floats) -> Floats:
    return score(np.atleast_1d(y)).reshape(np.shape(y))


def _value(kind: str, value: Floats, text: str, formula: str, *nodes: str) -> Candidate:
    return Candidate(lambda p: {"value": value}, lambda: Explanation(kind, text, formula, nodes))
