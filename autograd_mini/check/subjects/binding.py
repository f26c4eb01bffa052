"""The passes that people have, bound to each other by names and shapes.

`running` finds the functions and calls them, `taking` says what backward takes, and what is here what it
gives. A gradient is bound to what it is of by its name, ``dW``, ``grad_W``, ``grads["W"]`` for ``W``, else by
its place in a tuple; that of a parameter which a backward pass changes is what this step implies. Where names
and shapes leave a choice, nothing is guessed: the error says what there is, and how to write what is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from autograd_mini.check.subjects.arguments import (
    as_array,
    is_floating,
    is_plain,
    listed,
)
from autograd_mini.check.subjects.naming import (
    Leaf,
    bases,
    called,
    called_alike,
    folded,
    inner_names,
    leaves_of,
    meaning,
    numbers_in,
    plain_number,
    raised_in,
    returned_names,
    same,
)
from autograd_mini.check.subjects.passes import (
    ARGUMENT,
    BACKWARD,
    COTANGENT,
    FORWARD,
    INSTANCE,
    LOSS,
    RESULT,
    SEED,
    Call,
    Path,
    World,
    alike,
    attributes,
    function_of,
    got,
    is_own,
    plain,
)
from autograd_mini.check.subjects.running import refused
from autograd_mini.check.subjects.taking import GRADIENT, RATE, Taking
from autograd_mini.trees import leaves, map_leaves, own

# How names are compared, and whether the last parts of one will do, the strictest way first.
WAYS = ((str, False), (str, True), (folded, False), (folded, True), (meaning, True))


@dataclass(frozen=True)
class Found:
    """The gradient of one argument: where it is, or, at a rate, the argument after a step."""

    path: Path
    said: str
    rate: float | None = None


class Passes(Taking):
    """A forward pass and the backward pass derived from it, bound to each other.

    ``arguments`` are those at the given point, by names: parameters of the forward pass, attributes of its
    instance, variables of its module, and of a tree each leaf. A forward pass gives its output, a number, an
    array or a tree of these, and a state. A backward pass takes what a forward pass has left, which it does
    not change, and a cotangent like the output, and gives the gradient with respect to each of ``wrt``. Both
    call ``call(f)`` in the place of a user's function ``f``, a copy of one of ``roots`` with its code, or a
    method: `rebuilding.following` runs them on Values, and others may watch or edit them.

    Where ``joined``, one function gives loss and gradients: the forward pass is the whole of it, and the
    backward pass picks the gradients from what it has left. ``seeded`` says that a cotangent is taken at all;
    without, the output is a scalar, and its own the gradients. ``rates`` are those of arguments whose
    gradient is what a step of backward implies. ``bound`` says in sentences what is bound to what.

    ``found`` has the gradients by the names of arguments. TypeError where names and shapes leave a choice.
    """

    def __init__(
        self,
        forward: Any,
        backward: Any = None,
        at: Any = None,
        wrt: str | Sequence[str] | None = None,
        out: str | Sequence[str] | None = None,
        gradients: Mapping[str, str | int] | None = None,
        loss: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(forward, backward, at, out, loss)
        self.wanted = [wrt] if isinstance(wrt, str) else wrt
        self.given = gradients or {}
        self.targets = self._targets()
        with alike():
            self.start = self._output(self.world, self.result, plain)
        self.elementwise = self._is_elementwise()
        if not (self.taken or self.elementwise or np.size(numbers_in(self.start)) == 1):
            raise refused(
                f"backward takes ({listed(self.parameters[BACKWARD] or ['…'])}), and none of that is the "
                f"gradient of forward's output, which has shape {np.shape(numbers_in(self.start))}: give the "
                "loss that it starts from, loss=lambda out, …: …"
            )
        self.moving: dict[Path, bool] = {}
        self.sources: list[Leaf] = []
        self.found = self._found()
        named = {x.text: x for x in self.targets if x.path[0] == ARGUMENT or x.text in self.found}
        self.arguments = {text: leaf.value for text, leaf in named.items()}
        self.paths = {text: (leaf.path, *leaf.others) for text, leaf in named.items()}
        self.wrt = tuple(text for text in named if text in self.found)
        self.roots = tuple(f for f in map(function_of, self.functions.values()) if is_own(f))
        self.bound = (*self.said, *(f"{x.said} is ∂L/∂{name}" for name, x in self.found.items()))
        self.seeded = self.taken or self.elementwise
        self.rates = {name: x.rate for name, x in self.found.items() if x.rate is not None}

    def forward(self, arguments: Mapping[str, Any], call: Call = plain) -> tuple[Any, Any]:
        """The output at a point, and the state that is left."""
        (world,) = self.world.copied()
        for name, x in arguments.items():
            world.put(x.copy() if isinstance(x, np.ndarray) else x, *self.paths[name])
        output, result = self.run(world, call)
        return output, (world, result)

    def backward(
        self, state: Any, cotangent: Any, arguments: Mapping[str, Any], call: Call = plain
    ) -> dict[str, Any]:
        """The gradients of Σ cotangent · output by the names of arguments, from what a forward pass left."""
        world, result = state
        world, result, cotangent = world.copied(result, cotangent)
        steps = {name: own(world.get(self.found[name].path)) for name in self.rates}
        with alike(SEED + 1):  # a mask that is drawn again is another
            given = self._backward(world, result, cotangent, call)
        gradients: dict[str, Any] = {}
        for name in self.wrt:
            place = self.found[name]
            x = got(given, place.path[1:]) if place.path[0] == RESULT else world.get(place.path)
            if place.rate is not None:
                x = (steps[name] - x) / place.rate
            gradients[name] = cotangent * x if self.elementwise else x
        return gradients

    # --- runs ---

    def _output(self, world: World, result: Any, call: Call) -> Any:
        parts = [got(result, path) for path in self.outputs]
        output = parts[0] if len(parts) == 1 else tuple(parts)
        if LOSS not in self.functions:
            return output
        known = {name: output if of is None else world.arguments[of] for name, of in self.loss_takes.items()}
        return self._called(LOSS, world, known, call)

    @alike()
    def run(self, world: World, call: Call) -> tuple[Any, Any]:
        """The output of forward, and its result."""
        result = self._forward(world, call)
        return self._output(world, result, call), result

    def _with(self, leaf: Leaf, moved: Any) -> tuple[Any, Any]:
        """The output with something else there, and what is there then."""
        (world,) = self.world.copied()
        world.put(moved, leaf.path, *leaf.others)
        return self.run(world, plain)[0], world.get(leaf.path)

    def _backward(self, world: World, result: Any, cotangent: Any, call: Call) -> Any:
        if self.joined:
            return result
        known = {ARGUMENT: world.arguments, RESULT: result, COTANGENT: cotangent}
        return self._called(
            BACKWARD, world, {name: got(known, path) for name, path in self.takes.items()}, call
        )

    # --- a backward pass that gives f′ of each element ---

    def _is_elementwise(self) -> bool:
        """Whether backward gives f′(x) for each element of an f that acts on each alone."""
        if self.taken or self.joined or LOSS in self.functions or np.size(numbers_in(self.start)) == 1:
            return False
        floats = [leaf for leaf in self.targets if leaf.path[0] == ARGUMENT and is_floating(leaf.value)]
        if len(floats) != 1 or floats[0].shape != np.shape(self.start):
            return False
        for k in range(min(3, np.size(self.start))):
            moved = floats[0].value.copy()
            moved.flat[k] += 0.125
            changed = np.ravel(self._with(floats[0], moved)[0] != self.start)
            if (np.flatnonzero(changed) != k).any():
                return False
        self.said.append("backward takes no gradient, and gives f′ of each element")
        self._settle_elementwise(floats[0])
        return True

    def _settle_elementwise(self, leaf: Leaf) -> None:
        """Let backward take the output, as σ′ = s(1 − s) does, if that alone gives the slope."""
        before, h = self.takes, 1e-5
        if [path[0] for path in before.values()] != [ARGUMENT]:
            return
        slope = (self._with(leaf, leaf.value + h)[0] - self._with(leaf, leaf.value - h)[0]) / (2 * h)
        fits = []
        for takes in (before, dict.fromkeys(before, (RESULT, *self.outputs[0]))):
            self.takes = takes
            (world,) = self.world.copied()
            with alike():
                given = self._backward(world, self.result, None, plain)
            fits.append(
                np.shape(given) == np.shape(slope) and np.allclose(given, slope, rtol=1e-4, atol=1e-6)
            )
        if fits == [False, True]:
            (name,) = before
            self.said = [said for said in self.said if not said.startswith(f"{name} of backward")]
            self.said.append(f"{name} of backward is the output of forward")
        else:
            self.takes = before

    # --- what backward gives ---

    def _found(self) -> dict[str, Found]:
        random = np.random.default_rng(0)
        cotangent = map_leaves(lambda x: plain_number(random.standard_normal(np.shape(x))), self.start)
        (before,) = self.world.copied()
        _, result = self.run(before, plain)
        after, result = before.copied(result)
        try:
            with alike():
                given = self._backward(after, result, cotangent, plain)
        except Exception as error:
            takes = listed(f"{name}: {' '.join(map(str, path))}" for name, path in self.takes.items())
            raise refused(
                f"backward raises {type(error).__name__}: {error}{raised_in(error)}; it was given {takes}"
            ) from error
        self.sources = [*self._sources(given, before, after)]
        found = self._by_hand()
        self._by_names(found)
        found |= self._by_place(given, found)
        found |= self._by_lists(found)
        self._start_from_zero(found)
        ones = cotangent if self.taken else map_leaves(np.ones_like, self.start)
        found |= self._by_steps(before, after, ones, found)
        self._remark_on_others(found)
        if unknown := [name for name in self._asked(()) if name not in found]:
            self._unfound(f"there is no gradient of {listed(unknown)}")
        if not found:
            self._unfound("no gradient was found")
        return {name: x for name, x in found.items() if name in self._asked(found)}

    def _remark_on_others(self, found: Mapping[str, Found]) -> None:
        """Say which arrays of the instance have no gradient, though the output depends on them."""
        others = [
            leaf for leaf in self.targets
            if leaf.path[0] == INSTANCE and leaf.shape and is_floating(leaf.value) and leaf.text not in found
        ]  # fmt: skip
        bound = {x.path for x in found.values()}
        sizes = {
            np.size(x.value)
            for x in self.sources
            if x.path[0] == RESULT and x.path not in bound and _may_be_gradient(x)
        }
        if without := [leaf for leaf in others if self._moves(leaf)]:
            said = f"no gradient is given of {listed(leaf.text for leaf in without)}"
            if any(np.size(leaf.value) in sizes for leaf in without):
                self._unfound(said)
            self.said.append(said)

    def _start_from_zero(self, found: Mapping[str, Found]) -> None:
        """Let gradients that may be added to start from 0, whatever an earlier pass has left there."""
        for x in found.values():
            left: Any = None if x.path[0] == RESULT else self.world.there(x.path)
            if is_plain(left) and np.any(left):
                self.world.put(left * 0, x.path)
                self.said.append(f"{x.said} starts from 0, and not from what an earlier pass has left")

    def _asked(self, default: Iterable[str]) -> list[str]:
        """The names in ``wrt``, as arguments are written, or by default others."""
        return [*default] if self.wanted is None else [self._target(name).text for name in self.wanted]

    def _target(self, name: str) -> Leaf:
        found = called(name, self.targets)
        if len(found) != 1:
            several = f"{name!r} may be {' or '.join(x.text for x in found)}" if found else f"no {name!r}"
            raise ValueError(
                f"check_backward: there is {several}; there are {listed(leaf.text for leaf in self.targets)}"
            )
        return found[0]

    def _sources(self, given: Any, before: World, after: World) -> Iterator[Leaf]:
        """The numbers that backward gives, or that are others, or 0, after it."""
        names = self.names if self.joined else returned_names(self.functions[BACKWARD], given)
        if isinstance(given, tuple):
            inner = returned_names(self.functions[FORWARD if self.joined else BACKWARD], given, inner_names)
            for i, (part, name) in enumerate(zip(given, names, strict=True)):
                if self._is_output((RESULT, i)):
                    continue
                if inner[i] and isinstance(part, (list, tuple)) and len(part) == len(inner[i]):
                    for j, (x, own_name) in enumerate(zip(part, inner[i], strict=True)):
                        named = (own_name,) if own_name else ()
                        yield from leaves_of(x, (RESULT, i, j), own_name or f"result[{i}][{j}]", named)
                    continue
                text, parts = name or f"result[{i}]", (name,) if name else ()
                yield from leaves_of(part, (RESULT, i), text, parts)
                if isinstance(part, (list, tuple)) and (whole := as_array(part)) is not part:
                    yield Leaf((RESULT, i), text, whole, parts)
        else:
            parts = () if isinstance(given, (dict, list)) or names[0] is None else (names[0],)
            found = leaves_of(given, (RESULT,), names[0] or "result", parts)
            yield from (leaf for leaf in found if not self._is_output(leaf.path))
        for leaf in self._kept(after):
            left = before.there(leaf.path)
            if left is None or not np.any(leaf.value) or not same(left, leaf.value):
                yield leaf

    def _by_hand(self) -> dict[str, Found]:
        """The gradients as they were given."""
        found: dict[str, Found] = {}
        for name, where in self.given.items():
            target = self._target(name)
            sources = _first_of_equal([leaf for leaf in self.sources if where in leaf.calls])
            if len(sources) != 1:
                what = f"it may be {len(sources)}" if sources else "nothing that backward gives is it"
                self._unfound(f"gradients= says {where!r} for {name}, and {what}")
            found[target.text] = Found(sources[0].path, sources[0].text)
        return found

    def _by_names(self, found: dict[str, Found]) -> None:
        """Add the gradients that are called so."""
        bound = {x.path for x in found.values()}
        for way, is_suffix in WAYS:
            loosely = is_suffix or way is not str
            pairs = [
                (source, target)
                for source in self.sources
                for target in self.targets
                if source.path not in bound
                and target.text not in found
                and called_alike(source, target, way, is_suffix)
                and (not loosely or source.shape == target.shape)
                and self._moves(target)
            ]
            for target in dict.fromkeys(t.text for _, t in pairs):
                sources = _first_of_equal([s for s, t in pairs if t.text == target])
                others = {t.text for s, t in pairs if s in sources}
                if len(sources) > 1 and target in self._asked([target]):
                    self._unfound(f"the gradient of {target} may be {' or '.join(s.text for s in sources)}")
                if len(others) == 1:
                    found[target] = Found(sources[0].path, sources[0].text)
                    bound.update(s.path for s, t in pairs if t.text == target)

    def _by_place(self, given: Any, found: Mapping[str, Found]) -> dict[str, Found]:
        """The gradients of arguments in their order, if the shapes leave no other."""
        bound = {x.path: name for name, x in found.items()}
        within = {path[:-1] for path in bound}  # lists with gradients that are called so
        places = {
            path: x
            for path, x in self._places(given).items()
            if path not in within and (x is None or is_plain(as_array(x)))
        }
        arguments = [leaf for leaf in self.targets if leaf.path[0] == ARGUMENT and len(leaf.path) == 2]
        floats = [leaf for leaf in arguments if is_floating(leaf.value)]
        asked = [self._target(name) for name in self.wanted or ()]
        if len(places) == 1 and not isinstance(given, list):
            ((path, x),) = places.items()
            targets = asked or floats or arguments
            is_free = path not in bound and is_plain(x) and targets
            return self._by_shape(path, x, targets, found) if is_free else {}
        targets = next((x for x in (asked, arguments, floats) if len(x) == len(places)), [])
        pairs = [*zip(places.items(), targets, strict=False)]
        if any(bound.get(path, target.text) != target.text for (path, _), target in pairs):
            return {}
        free = [
            (path, np.shape(x), target)
            for (path, x), target in pairs
            if x is not None and path not in bound and target.text not in found
        ]
        differ = any(shape != target.shape for _, shape, target in free)
        if differ and sorted(shape for _, shape, _ in free) == sorted(target.shape for *_, target in free):
            self._unfound("what is returned has the shapes of the arguments in another order")
        if differ and self.joined:
            return {}
        return {t.text: Found(path, f"number {path[-1] + 1} of what is returned") for path, _, t in free}

    def _by_lists(self, found: Mapping[str, Found]) -> dict[str, Found]:
        """The gradients in a list that is returned, whose shapes only one list of parameters has."""
        bound = {x.path for x in found.values()}
        given = _in_lists(x for x in self.sources if x.path[0] == RESULT and x.path not in bound)
        parameters = _in_lists(leaf for leaf in self.targets if leaf.text not in found)
        pairs = [
            (gradients, leaves)
            for gradients in given
            for leaves in parameters
            if [x.shape for x in gradients] == [x.shape for x in leaves] and all(map(self._moves, leaves))
        ]
        return {
            leaf.text: Found(gradient.path, gradient.text)
            for gradients, leaves in pairs
            if sum(gradients is x or leaves is y for x, y in pairs) == 1
            for gradient, leaf in zip(gradients, leaves, strict=True)
        }

    def _by_shape(
        self, path: Path, x: Any, targets: Sequence[Leaf], found: Mapping[str, Found]
    ) -> dict[str, Found]:
        """The gradient that alone is returned, with a loss or without; the first argument's if it may be."""
        first = targets[0]
        if not self.joined and first.text in found:
            return {}
        fitting = [leaf for leaf in targets if leaf.shape == np.shape(x)] or [
            leaf for leaf in targets if np.size(leaf.value) == np.size(x)
        ]
        is_first = not fitting or first in fitting
        of_loss = self.joined or np.size(numbers_in(self.start)) == 1  # whose gradient may be of any
        if len(targets) > 1 and (not is_first or self.joined) and (len(fitting) != 1 or not of_loss):
            self._unfound(f"what is returned, of shape {np.shape(x)}, is not known to be of {first.text}")
        target = fitting[0] if of_loss and len(fitting) == 1 else first
        if found and not np.ndim(x) and target.shape:  # a loss, or a norm
            self.said.append("the number that backward returns is not compared")
            return {}
        return {target.text: Found(path, "the gradient that is returned")}

    def _places(self, given: Any) -> dict[Path, Any]:
        """What is returned, each by its place; for a loss and one more, that or its parts."""
        if not isinstance(given, (tuple, list)):
            return {} if self.joined else {(RESULT,): given}
        places = {(RESULT, i): x for i, x in enumerate(given) if not self._is_output((RESULT, i))}
        match [*places.items()]:
            case [(path, list() | tuple() as parts)] if self.joined:
                return {(*path, i): part for i, part in enumerate(parts)}
        return places

    def _is_output(self, path: Path) -> bool:
        """Whether one function gives the loss there, beside the gradients."""
        return self.joined and path[1:] in self.outputs

    # --- steps ---

    def _by_steps(
        self, before: World, after: World, cotangent: Any, found: Mapping[str, Found]
    ) -> dict[str, Found]:
        """The gradients that follow from parameters that backward changes."""
        name, rate = self._rate()
        changed = [x for x in self.targets if not same(before.get(x.path), after.get(x.path))]
        if not changed:
            self._refuse_rates()
        moved = [
            leaf
            for leaf in changed
            if leaf.text not in found
            and is_floating(leaf.value)
            and (name or leaf.path[0] != ARGUMENT)
            and same(before.get(leaf.path), leaf.value)
            and self._moves(leaf)
        ]
        if rate is None and moved:
            steps = [before.get(leaf.path) - after.get(leaf.path) for leaf in moved]
            fitted = [self._fitted_rate(*pair, cotangent) for pair in zip(moved, steps, strict=True)]
            down = [x for x in fitted if x > 0] or [1.0]
            rate = next((x for x in down if x == float(f"{x:.3g}")), down[0])  # that of a right step is round
            self.said.append(f"the rate of the steps is taken to be {rate:g}")
        said = f"(before − after)/{name or f'{rate:g}'} of " if moved else ""
        return {leaf.text: Found(leaf.path, said + leaf.text, rate) for leaf in moved}

    def _refuse_rates(self) -> None:
        """TypeError for a parameter that was taken to be the rate of steps, where none is taken."""
        known = {*self.held, *(self.parameters.get(FORWARD) or {})}
        for name, path in self.takes.items():
            if path == (ARGUMENT, name) and name not in known:
                raise refused(f"backward takes {name}: say what it is in at=, as in at={{…, {name!r}: 0.1}}")

    def _rate(self) -> tuple[str, float | None]:
        """The name and the rate of the steps that backward takes, None where no name says it."""
        for name, parameter in (self.parameters.get(BACKWARD) or {}).items():
            if RATE.fullmatch(name):
                return name, float(self.world.arguments.get(name, parameter.default))
        homes = {**self._variables(self.world), **attributes(self.world.instance)}
        rates = {n: x for n, x in homes.items() if RATE.fullmatch(n) and n != "alpha" and is_floating(x)}
        return next(((n, float(x)) for n, x in rates.items() if np.size(x) == 1), ("", None))

    def _fitted_rate(self, leaf: Leaf, step: Any, cotangent: Any) -> float:
        """The rate at which the step goes down as far as a gradient would; not positive if it goes up."""

        def loss(t: float) -> float:
            moved = self._with(leaf, leaf.value + t * step)[0]
            return sum(float(np.sum(g * x)) for g, x in zip(leaves(cotangent), leaves(moved), strict=True))

        h = 1e-4 / np.max(abs(step))
        slope = (loss(h) - loss(-h)) / (2 * h)
        rate = float(np.sum(step * step)) / slope if slope else 0.0
        few = float(f"{rate:.3g}")
        return few if abs(few - rate) <= 1e-6 * rate else rate

    def _moves(self, leaf: Leaf) -> bool:
        """Whether it is an argument, or else what the output depends on and forward leaves alone."""
        if leaf.path[0] == ARGUMENT:
            return True
        if leaf.path not in self.moving:
            moved = leaf.value + plain_number(np.random.default_rng(1).uniform(0.25, 0.5, leaf.shape))
            try:
                output, left = self._with(leaf, moved)
                self.moving[leaf.path] = same(left, moved) and not same(output, self.start)
            except Exception:
                self.moving[leaf.path] = False
        return self.moving[leaf.path]

    def _unfound(self, why: str) -> NoReturn:
        known = [leaf for leaf in self.targets if is_floating(leaf.value)]
        if not self.sources:
            raise refused(f"{why}, as backward gives nothing: is there a return?")
        raise refused(
            f"{why}. Forward works on {listed(map(str, known))}; backward gives "
            f"{listed(map(str, self.sources))}. Say which is which, as in "
            'gradients={"W": "dW", "x": 0}, by names or by the place among the results'
        )


def _may_be_gradient(result: Leaf) -> bool:
    """Whether no name of a result says that it is something else."""
    name = next((part for part in result.parts if isinstance(part, str)), "d")
    return bool(bases(name)) or GRADIENT.fullmatch(name) is not None


def _in_lists(leaves: Iterable[Leaf]) -> list[list[Leaf]]:
    """Those that stand in a list, list by list."""
    lists: dict[Path, list[Leaf]] = {}
    for leaf in leaves:
        if isinstance(leaf.path[-1], int):
            lists.setdefault(leaf.path[:-1], []).append(leaf)
    return [*lists.values()]


def _first_of_equal(sources: Sequence[Leaf]) -> list[Leaf]:
    """The different ones, results of backward before what it leaves."""
    results = [leaf for leaf in sources if leaf.path[0] == RESULT] or sources
    return [leaf for i, leaf in enumerate(results) if not any(same(leaf.value, x.value) for x in results[:i])]
