"""What a backward pass gives: which of its results, or of what it leaves, is the gradient of which argument.

A gradient is bound to what it is of by its name, ``dW``, ``grad_W``, ``grads["W"]`` for ``W``, else by its
place in a tuple; that of a parameter which a backward pass changes is what this step implies.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from autograd_mini.check.subjects.arguments import as_array, is_floating, listed
from autograd_mini.check.subjects.naming import (
    Leaf,
    called,
    called_alike,
    folded,
    inner_names,
    is_plain,
    leaves_of,
    meaning,
    plain_number,
    raised_in,
    returned_names,
    same,
)
from autograd_mini.check.subjects.passes import (
    ARGUMENT,
    BACKWARD,
    FORWARD,
    INSTANCE,
    RESULT,
    Call,
    Path,
    World,
    alike,
    attributes,
    got,
    plain,
)
from autograd_mini.check.subjects.running import refused
from autograd_mini.check.subjects.subject import own
from autograd_mini.check.subjects.taking import RATE, Taking
from autograd_mini.trees import leaves, map_leaves

# How names are compared, and whether the last parts of one will do, the strictest way first.
WAYS = ((str, False), (str, True), (folded, False), (folded, True), (meaning, True))


@dataclass(frozen=True)
class Found:
    """The gradient of one argument: where it is, or, at a rate, the argument after a step."""

    path: Path
    said: str
    rate: float | None = None


class Giving(Taking):
    """The two passes with what backward gives: ``found`` has the gradients by the names of arguments."""

    def __init__(
        self,
        forward: Any,
        backward: Any,
        at: Any,
        wrt: str | Sequence[str] | None,
        out: str | Sequence[str] | None,
        gradients: Mapping[str, str | int],
        loss: Any,
    ) -> None:
        super().__init__(forward, backward, at, out, loss)
        self.wrt = [wrt] if isinstance(wrt, str) else wrt
        self.given = gradients
        self.moving: dict[Path, bool] = {}
        self.sources: list[Leaf] = []
        self.found = self._found()

    def pulled(self, world: World, result: Any, cotangent: Any, call: Call) -> dict[str, Any]:
        """The gradients, from what forward has left."""
        steps = {name: own(world.get(x.path)) for name, x in self.found.items() if x.rate is not None}
        given = self._backward(world, result, cotangent, call)
        gradients: dict[str, Any] = {}
        for name, place in self.found.items():
            x = got(given, place.path[1:]) if place.path[0] == RESULT else world.get(place.path)
            if place.rate is not None:
                x = (steps[name] - x) / place.rate
            gradients[name] = cotangent * x if self.elementwise else x
        return gradients

    def _found(self) -> dict[str, Found]:
        random = np.random.default_rng(0)
        cotangent = map_leaves(lambda x: plain_number(random.standard_normal(np.shape(x))), self.start)
        (before,) = self.world.copied()
        with alike():
            _, result = self.run(before, plain)
        after, result = before.copied(result)
        try:
            with alike():
                given = self._backward(after, result, cotangent, plain)
        except Exception as error:
            takes = listed(f"{name}: {' '.join(map(str, path))}" for name, path in self.takes.items())
            said = f"backward raises {type(error).__name__}: {error}{raised_in(error)}; it was given {takes}"
            raise refused(said) from error
        self.sources = [*self._sources(given, before, after)]
        found = self._by_hand()
        self._by_names(found)
        found |= self._by_place(given, found)
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
        sizes = {np.size(x.value) for x in self.sources if x.path[0] == RESULT and x.path not in bound}
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

    def _asked(self, default: Iterable[str] | None = None) -> list[str]:
        """The names in ``wrt``, as arguments are written."""
        if self.wrt is None:
            first = [leaf.text for leaf in self.targets if leaf.path[0] == ARGUMENT][:1]
            return [*(first if default is None else default)]
        return [self._target(name).text for name in self.wrt]

    def _target(self, name: str) -> Leaf:
        found = called(name, self.targets)
        if len(found) != 1:
            several = f"{name!r} may be {' or '.join(x.text for x in found)}" if found else f"no {name!r}"
            known = listed(leaf.text for leaf in self.targets)
            raise ValueError(f"check_backward: there is {several}; there are {known}")
        return found[0]

    def _sources(self, given: Any, before: World, after: World) -> Iterator[Leaf]:
        """The numbers that backward gives, or that are others, or 0, after it."""
        names = self.names if self.joined else returned_names(self.functions[BACKWARD], given)
        if isinstance(given, tuple):
            inner = returned_names(self.functions[FORWARD if self.joined else BACKWARD], given, inner_names)
            for i, (part, name) in enumerate(zip(given, names, strict=True)):
                if self.joined and (i,) in self.outputs:
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
            for leaf in leaves_of(given, (RESULT,), names[0] or "result", parts):
                if not (self.joined and leaf.path[1:] in self.outputs):
                    yield leaf
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
        places = {path: x for path, x in self._places(given).items() if path not in within}
        arguments = [leaf for leaf in self.targets if leaf.path[0] == ARGUMENT and len(leaf.path) == 2]
        floats = [leaf for leaf in arguments if is_floating(leaf.value)]
        asked = [self._target(name) for name in self.wrt or ()]
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

    def _by_shape(
        self, path: Path, x: Any, targets: Sequence[Leaf], found: Mapping[str, Found]
    ) -> dict[str, Found]:
        """The gradient that alone is returned, with a loss or without; the first argument's if it may be."""
        first = targets[0]
        if not self.joined and first.text in found:
            return {}
        fitting = [leaf for leaf in targets if leaf.shape == np.shape(x)]
        is_first = not fitting or first in fitting
        if len(targets) > 1 and (len(fitting) != 1 if self.joined else not is_first):
            self._unfound(f"what is returned, of shape {np.shape(x)}, is not known to be of {first.text}")
        target = fitting[0] if self.joined and fitting else first
        if found and not np.ndim(x) and target.shape:  # a loss, or a norm
            self.said.append("the number that backward returns is not compared")
            return {}
        return {target.text: Found(path, "the gradient that is returned")}

    def _places(self, given: Any) -> dict[Path, Any]:
        """What is returned, each by its place; for a loss and one more, that or its parts."""
        if not isinstance(given, (tuple, list)):
            return {} if self.joined else {(RESULT,): given}
        places: dict[Path, Any] = {(RESULT, i): x for i, x in enumerate(given)}
        if self.joined:
            places = {path: x for path, x in places.items() if path[1:] not in self.outputs}
        if self.joined and len(places) == 1 and isinstance(x := next(iter(places.values())), (tuple, list)):
            return {(*path, i): part for path in places for i, part in enumerate(x)}
        return places

    # --- steps ---

    def _by_steps(
        self, before: World, after: World, cotangent: Any, found: Mapping[str, Found]
    ) -> dict[str, Found]:
        """The gradients that follow from parameters that backward changes."""
        moved: dict[str, tuple[Leaf, Any]] = {}
        name, rate = self._rate()
        if not any(self._changes(leaf, before, after) for leaf in self.targets):
            self._refuse_rates()
        for leaf in self.targets:
            if leaf.text in found or not is_floating(leaf.value) or (leaf.path[0] == ARGUMENT and not name):
                continue
            start, end = (own(world.get(leaf.path)) for world in (before, after))
            if self._changes(leaf, before, after) and same(start, leaf.value) and self._moves(leaf):
                moved[leaf.text] = leaf, start - end
        if rate is None and moved:
            fitted = [self._fitted_rate(leaf, step, cotangent) for leaf, step in moved.values()]
            down = [x for x in fitted if x > 0] or [1.0]
            rate = next((x for x in down if x == float(f"{x:.3g}")), down[0])  # that of a right step is round
            self.said.append(f"the rate of the steps is taken to be {rate:g}")
        return {
            text: Found(leaf.path, f"(before − after)/{name or f'{rate:g}'} of {text}", rate)
            for text, (leaf, _) in moved.items()
        }

    def _changes(self, leaf: Leaf, before: World, after: World) -> bool:
        return not same(before.get(leaf.path), after.get(leaf.path))

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
            moved = self._output_with(leaf, leaf.value + t * step)
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
            (world,) = self.world.copied()
            random = np.random.default_rng(1)
            moved = leaf.value + plain_number(random.uniform(0.25, 0.5, leaf.shape))
            world.put(moved, leaf.path, *leaf.others)
            try:
                with alike():
                    output = self.run(world, plain)[0]
                self.moving[leaf.path] = same(world.get(leaf.path), moved) and not same(output, self.start)
            except Exception:
                self.moving[leaf.path] = False
        return self.moving[leaf.path]

    def _unfound(self, why: str) -> NoReturn:
        known = listed(str(leaf) for leaf in self.targets if is_floating(leaf.value))
        gives = listed(str(leaf) for leaf in self.sources)
        raise refused(
            f"{why}. Forward works on {known}; backward gives {gives}. Say which is which, as "
            'in gradients={"W": "dW", "x": 0}, by names or by the place among the results'
        )


def _first_of_equal(sources: Sequence[Leaf]) -> list[Leaf]:
    """The different ones, results of backward before what it leaves."""
    results = [leaf for leaf in sources if leaf.path[0] == RESULT] or sources
    return [leaf for i, leaf in enumerate(results) if not any(same(leaf.value, x.value) for x in results[:i])]
