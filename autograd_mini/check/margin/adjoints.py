"""What is known of a forward pass: its results and their adjoints, by the user's own names.

The pass is recorded on Values while it is watched. Every result with a derivative then has an adjoint; and as
what an expression uses has nodes of its own, so has the part of an adjoint that comes through that use.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from autograd_mini.check.margin.runs import FAR_OFF, Derivation, Event, LongError, Recorder, Trial, close
from autograd_mini.check.subjects.arguments import as_values, numbers_of, plain
from autograd_mini.number_types import FLOAT
from autograd_mini.rebuilding import Rebuilt, Watch
from autograd_mini.rewriting import SITES
from autograd_mini.sweeps import Sweep, tape_of
from autograd_mini.trees import leaves, map_leaves
from autograd_mini.value import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]


class Known(NamedTuple):
    """A result of the forward pass: what the code calls it, its numbers, and its adjoint if it has one.

    ``through`` is the expression through which alone the adjoint comes, or "but …" all others.
    """

    name: str
    value: Floats
    adjoint: Floats | None
    through: str = ""

    @property
    def title(self) -> str:
        """The adjoint in symbols."""
        name = self.name if re.fullmatch(r"[\w.]+(\[[^][]*\])*", self.name) else f"({self.name})"
        return f"∂L/∂{name}" + f" through {self.through}" * bool(self.through)


Versions: TypeAlias = "list[Known]"  # what one place in the code gave, in order
Places: TypeAlias = "dict[Any, Versions]"  # by the site, and arguments by their names


def known_of(passes: Derivation, trial: Trial) -> Places:
    """The results of the forward pass, by the place in the code; empty where it cannot be followed."""
    for apart in (True, False):
        try:
            return _known(passes, trial, apart)
        except LongError:
            return {}
        except Exception:  # it shares arrays that have been given nodes of their own; or it wants floats
            continue
    return {}


class Recorded(NamedTuple):
    """A forward pass on Values: its differentiated arguments, and the adjoint of every node."""

    inputs: dict[str, Any]
    adjoints: dict[Value, float]

    @classmethod
    def of(
        cls, passes: Derivation, arguments: Mapping[str, Any], cotangent: Any, watch: Watch | None = None
    ) -> Recorded:
        """The record; an error where the pass cannot be followed."""
        inputs = {name: as_values(arguments[name], name) for name in passes.wrt}
        with np.errstate(all="ignore"):
            output, _ = passes.forward({**arguments, **inputs}, lambda f: Rebuilt(f, watch)(f))
        root = _paired(output, cotangent)
        tape = tape_of([root])
        adjoints = Sweep(tape.code, tape.start, FLOAT).adjoints({tape.slots[root]: 1.0})
        return cls(inputs, {node: adjoints.get(slot, 0.0) for node, slot in tape.slots.items()})

    def adjoint(self, nodes: Any) -> Floats | None:
        """The adjoints of an array, None if the output does not depend on the whole of it."""
        array = np.asarray(nodes, dtype=object)
        values = [x for x in array.flat if isinstance(x, Value)]
        return self._of(array) if values and all(x in self.adjoints for x in values) else None

    def _of(self, array: Any) -> Floats:
        found = [self.adjoints.get(x, 0.0) if isinstance(x, Value) else 0.0 for x in array.flat]
        return np.array(found, dtype=float).reshape(array.shape)

    def gradients(self) -> dict[str, Floats]:
        """The adjoints of the differentiated arguments."""
        return {name: self._of(np.asarray(x, dtype=object)) for name, x in self.inputs.items()}


def _known(passes: Derivation, trial: Trial, apart: bool) -> Places:
    recorder = Recorder(apart=apart)
    recorded = Recorded.of(passes, trial.arguments, trial.cotangent, recorder)

    def known(name: str, result: Any, through: str = "") -> Known:
        return Known(name, numbers_of(result), recorded.adjoint(result), through)

    gradients = recorded.gradients()
    if not all(trial.is_true(name, gradients[name]) for name in trial.truth):
        raise ValueError("what was recorded is not the forward pass")
    inputs = [Known(name, numbers_of(x), gradients[name]) for name, x in recorded.inputs.items()]
    places: Places = defaultdict(list, {x.name: [x] for x in inputs})
    last: dict[str, Known] = {x.name: x for x in inputs}
    for site, _, result in recorder.events:
        where = SITES[site]
        if where.kind in ("used", "passed"):
            part = known(where.text, result, where.within)
            whole = last.get(where.text)
            if part.adjoint is None or whole is None or whole.adjoint is None:
                continue
            if part.adjoint.shape == whole.adjoint.shape and not close(part.adjoint, whole.adjoint):
                places[site].append(part)
                if ".append(" in where.within:  # to be kept is no use of its own
                    continue
                others = whole.adjoint - part.adjoint
                rest = Known(where.text, part.value, others, f"all but {where.within}")
                places["rest", site].append(rest)
            continue
        if where.text.startswith("-"):  # nobody calls an adjoint by the negative of a name
            continue
        found = known(where.text, result)
        if found.adjoint is not None or not passes.joined:
            places[site].append(found)
            last[where.text] = found
    return places


def _paired(output: Any, cotangent: Any) -> Value:
    """Σ cotangent · output, whose adjoints the backward pass is to find."""
    root: Any = 0.0
    for y, weight in zip(leaves(output), leaves(cotangent), strict=True):
        root = root + np.sum(np.asarray(weight) * np.asarray(y, dtype=object))
    if not isinstance(root, Value):
        raise ValueError("the output holds no Value")
    return root


class Label(NamedTuple):
    """What a result of the backward pass equals.

    ``kind`` is "adjoint", "value", "constant", "forward" (made of forward values only), an adjoint
    "reshaped", a "multiple" of one or "summed" to one, or "" for nothing known.
    """

    kind: str
    text: str = ""
    number: float = 1.0


class Labels:
    """Holds the numbers of a backward pass against what is known of the forward pass."""

    def __init__(self, places: Places) -> None:
        every = sorted((x for versions in places.values() for x in versions), key=_plainness)
        self.adjoints = [x for x in every if x.adjoint is not None and x.adjoint.any()]
        self.values = [x for x in every if not x.through]
        self._by_size: dict[str, dict[int, tuple[Floats, list[Known]]]] = {
            "adjoint": _by_size([(x.adjoint, x) for x in self.adjoints if x.adjoint is not None]),
            "value": _by_size([(x.value, x) for x in self.values]),
        }
        shapes: dict[tuple[int, ...], list[Known]] = defaultdict(list)
        for x in self.adjoints:
            shapes[np.asarray(x.adjoint).shape].append(x)
        self._directions = {shape: (known, _directions(known)) for shape, known in shapes.items()}

    def _alike(self, what: str, numbers: Floats) -> list[Known]:
        """What has the same norm, in any shape or order."""
        if numbers.size not in self._by_size[what]:
            return []
        norms, known = self._by_size[what][numbers.size]
        norm = float(np.linalg.norm(numbers))
        return [known[i] for i in np.flatnonzero(abs(norms - norm) <= 1e-6 * norm)]

    def __call__(self, result: Any) -> Label:
        """The label of one result."""
        numbers = np.asarray(result, dtype=float)
        if not np.isfinite(numbers).all() or not numbers.any():
            return Label("constant", "0" if not numbers.any() else "")
        if numbers.size == 1 and float(numbers.item()).is_integer():
            return Label("constant", f"{numbers.item():g}")
        for what in ("adjoint", "value"):
            alike = self._alike(what, numbers)
            reshaped = "reshaped" if what == "adjoint" else "value"
            for x in alike:
                title, other = (x.title, x.adjoint) if what == "adjoint" else (x.name, x.value)
                assert other is not None
                if close(numbers, other):
                    return Label(what, title)
                ways = [close(way, other.ravel()) for way in _orders(numbers)] if numbers.size > 1 else []
                if any(ways):
                    is_turned = what == "value" and numbers.ndim > 2 and not ways[0]
                    return Label("forward" if is_turned else reshaped, title)
        return self._related(numbers)

    def _related(self, numbers: Floats) -> Label:
        """A multiple of an adjoint, or what sums to one."""
        known, directions = self._directions.get(numbers.shape, ([], np.empty((0, numbers.size))))
        along = directions @ numbers.ravel() / np.linalg.norm(numbers)
        for i in np.flatnonzero(abs(along) > 1 - 1e-9) if numbers.size > 2 else ():
            adjoint = np.asarray(known[i].adjoint)
            factor = float(numbers.flat[np.argmax(abs(adjoint))] / adjoint.flat[np.argmax(abs(adjoint))])
            if close(numbers, factor * adjoint):
                return Label("multiple", f"{factor:.4g} · {known[i].title}", factor)
        for axes in _axes(numbers.ndim):
            total = np.asarray(numbers.sum(axis=axes))
            for x in self._alike("adjoint", total) if total.size < numbers.size else ():
                if x.adjoint is not None and close(total.ravel(), x.adjoint.ravel()):
                    return Label("summed", f"summed over axis {str(axes).strip('(),')}, {x.title}")
        return Label("")


SAID = ("name", "added", "stored", "whole", "returned")  # the results by which a line is known


def labels_by_line(events: Sequence[Event], labels: Labels) -> dict[tuple[str, int, str, str], Label]:
    """What each line computes, by its file, its number, and the kind and the text of the result.

    Of one that runs several times, what is the same each time, up to the adjoint's name.
    """
    found: dict[tuple[str, int, str, str], Label] = {}
    for event in events:
        site = SITES[event.site]
        if site.kind in SAID:
            place = site.file, site.line, site.kind, site.text
            label = labels(event.result)
            before = found.get(place, label)
            alike = before.kind in (label.kind, "constant") or label.kind == "constant"
            found[place] = (label if before.kind == "constant" else before) if alike else Label("")
    return found


def _plainness(x: Known) -> tuple[bool, bool, int]:
    plain = x.name.isidentifier() or x.name.startswith("self.")
    return bool(x.through), not plain, len(x.name)


def _directions(known: Sequence[Known]) -> Floats:
    """The adjoints as rows of length 1."""
    rows = np.array([np.asarray(x.adjoint).ravel() for x in known])
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _by_size(pairs: list[tuple[Floats, Known]]) -> dict[int, tuple[Floats, list[Known]]]:
    found: dict[int, tuple[list[float], list[Known]]] = {}
    for numbers, x in pairs:
        norms, known = found.setdefault(numbers.size, ([], []))
        norms.append(float(np.linalg.norm(numbers)))
        known.append(x)
    return {size: (np.array(norms), known) for size, (norms, known) in found.items()}


def _orders(x: Floats) -> list[Floats]:
    """The numbers in a row, by the axes as they are, reversed, or with the channels elsewhere."""
    orders = [tuple(range(x.ndim)), tuple(range(x.ndim))[::-1]]
    if x.ndim == 3:
        orders += [(1, 0, 2), (0, 2, 1)]
    if x.ndim == 4:
        orders += [(0, 2, 3, 1), (1, 2, 3, 0), (2, 3, 0, 1), (0, 3, 1, 2)]
    return [np.transpose(x, order).ravel() for order in orders]


def _axes(ndim: int) -> list[tuple[int, ...]]:
    """The axes that people sum over: any one, all but the last, all but the second."""
    several = [tuple(range(ndim - 1)), tuple(axis for axis in range(ndim) if axis != 1)]
    return [(axis,) for axis in range(ndim)] + [axes for axes in several if len(axes) > 1]


def elsewhere(passes: Derivation, trial: Trial, length: int) -> Trial:
    """A trial where the axes of some length are longer by one; an error where the forward pass has none."""
    if any(np.shape(trial.arguments[name]) != truth.shape for name, truth in trial.truth.items()):
        raise ValueError("a Jacobian is no gradient")
    random = np.random.default_rng(length)
    arguments = {name: _longer(x, length) for name, x in trial.arguments.items()}
    output, _ = passes.forward(arguments)
    cotangent = map_leaves(lambda y: random.standard_normal(np.shape(y)), output)
    if not np.shape(trial.cotangent) and not isinstance(trial.cotangent, (tuple, list, dict)):
        cotangent = trial.cotangent
    return Trial(arguments, cotangent, Recorded.of(passes, arguments, cotangent).gradients(), FAR_OFF)


def far_off(passes: Derivation, trials: Sequence[Trial], turned: bool) -> Trial:
    """A trial where arguments have both signs, the other ones if ``turned``, and numbers beyond 1.

    Only so far as the forward pass has finite results there. An argument that at all trials lies between 0
    and 1, or is symmetric, or has rows of one length, is left as it is.
    """
    given = trials[0]
    if any(np.shape(given.arguments[name]) != truth.shape for name, truth in given.truth.items()):
        raise ValueError("a Jacobian is no gradient")
    random = np.random.default_rng(turned)
    arguments = dict(given.arguments)
    for name in passes.wrt:
        known = [np.asarray(trial.arguments[name], dtype=float) for trial in trials]
        if not known[0].size or any(
            all(map(special, known)) for special in (_is_inside, _is_symmetric, _is_unit)
        ):
            continue
        x = -known[0] if turned else known[0].copy()
        i, j = random.permutation(x.size)[:2] if x.size > 1 else (0, 0)
        x.flat[j] = np.sign(x.flat[j]) * (abs(x.flat[j]) + 1.7)
        x.flat[i] = np.sign(x.flat[i] if i == j else -x.flat[j]) * (abs(x.flat[i]) + 1.6)
        for new in (x, abs(x)):
            tried = {**arguments, name: plain(new)}
            if all(np.isfinite(np.asarray(y, dtype=float)).all() for y in leaves(passes.forward(tried)[0])):
                arguments = tried
                break
    truth = Recorded.of(passes, arguments, given.cotangent).gradients()
    return Trial(arguments, given.cotangent, truth, FAR_OFF)


def _is_inside(x: Floats) -> bool:
    return bool(((x > 0) & (x < 1)).all())


def _is_symmetric(x: Floats) -> bool:
    return x.ndim > 1 and x.shape[-1] == x.shape[-2] and np.allclose(x, np.swapaxes(x, -1, -2))


def _is_unit(x: Floats) -> bool:
    return x.ndim > 0 and bool(np.allclose(np.linalg.norm(x, axis=-1), 1))


def _longer(x: Any, length: int) -> Any:
    """An array with one entry more along the axes of that length, between its first and its last."""
    if not isinstance(x, np.ndarray):
        return x
    for axis in (axis for axis, n in enumerate(x.shape) if n == length):
        first, last = np.take(x, [0], axis), np.take(x, [-1], axis)
        one_hot = x.dtype.kind == "f" and set(np.unique(x)) <= {0.0, 1.0}
        more = first if x.dtype.kind != "f" or (one_hot and axis == 0) else 0.3 * first + 0.7 * last
        more = np.zeros_like(first) if one_hot and axis else more
        sums_to_1 = x.dtype.kind == "f" and axis == x.ndim - 1 and np.allclose(x.sum(axis=-1), 1)
        x = np.concatenate([x, more], axis=axis)
        x = x / x.sum(axis=-1, keepdims=True) if sums_to_1 else x
    return x
