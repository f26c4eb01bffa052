"""The functions that somebody has as a forward and a backward pass, and how they are called.

They are found in a class or an instance; ``at`` gives arguments by name, or puts attributes and variables.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import FunctionType, MethodType
from typing import Any

import numpy as np

from autograd_mini.arrays import holds_values
from autograd_mini.check.subjects.arguments import (
    as_array,
    as_values,
    is_floating,
    listed,
    numbers_of,
    parameters_of,
    required,
)
from autograd_mini.check.subjects.naming import (
    Leaf,
    called,
    is_instance,
    leaves_of,
    names_of,
    plain_number,
    returned_names,
)
from autograd_mini.check.subjects.passes import (
    ARGUMENT,
    BACKWARD,
    FORWARD,
    INSTANCE,
    LOSS,
    VARIABLE,
    Call,
    Path,
    World,
    alike,
    attributes,
    function_of,
    plain,
    random_state,
    reached_by,
)
from autograd_mini.check.subjects.tensors import floats
from autograd_mini.rebuilding import following
from autograd_mini.trees import map_leaves

SHAPES = {FORWARD: "forward(…)", BACKWARD: "backward(grad_out, …)", LOSS: "loss(out, …)"}
FORWARDS = "forward forward_pass feedforward feed_forward fprop fwd call __call__ loss".split()
BACKWARDS = (
    "backward backward_pass backprop back_propagation backpropagate bprop bwd gradient grad derivative prime "
    "diff"
).split()
CONTEXTS = ("ctx", "context")
OUTPUTS = ("out", "output", "outputs", "result")  # what a backward pass may call the output
LOSSES = "loss cost J total_loss data_loss error objective L E nll".split()


class Context:
    """What PyTorch calls ``ctx``: it takes what forward leaves for backward."""

    saved_tensors: tuple[Any, ...] = ()
    needs_input_grad = (True,) * 99

    def save_for_backward(self, *saved: Any) -> None:
        self.saved_tensors = self.saved_values = saved


class Running:
    """A forward pass, run once at the given point, and a backward pass, which may be joined with it.

    ``said`` tells what was taken for what; ``names`` are those of the results of forward, where its text has
    them; where it returns nothing, its output is what it leaves in the attributes at ``left_in``.
    """

    def __init__(
        self, forward: Any, backward: Any, at: Any, out: str | Sequence[str] | None, loss: Any
    ) -> None:
        self.said: list[str] = []
        self.out = [out] if isinstance(out, str) else list(out or ())
        whole = at if isinstance(at, Mapping) else {} if at is None else {"": at}
        held = {name: _as_given(x) for name, x in whole.items()}
        forward, backward, held = self._functions(forward, backward, held)
        self.functions: dict[str, Callable[..., Any]] = {}
        for part, f in ((FORWARD, forward), (BACKWARD, backward), (LOSS, loss)):
            if f is not None or part == FORWARD:
                if not callable(f):
                    raise refused(f"{part} must be a function {SHAPES[part]}, got {f!r}")
                self.functions[part] = f
        self.joined = backward is None
        self.is_method = isinstance(forward, MethodType) or isinstance(backward, MethodType)
        self.parameters = {part: parameters_of(f) for part, f in self.functions.items()}
        self.held = self._arguments(held)
        reached = reached_by(self.functions.values())
        (self.world,) = World(self.functions, dict(self.held), reached).copied()
        self._put_attributes()
        (world,) = self.world.copied()
        self.left_in: list[Path] = []
        with alike():
            start = random_state()
            self.result = self._start(world)
            if random_state() != start:
                self.said.append("what is drawn at random is drawn alike in every run")
        if self.result is None:
            self.left_in = self._output_attributes(world)
            self.result = self._left(world)
        self.names = [str(path[-1]) for path in self.left_in] or returned_names(forward, self.result)

    def _functions(
        self, forward: Any, backward: Any, held: dict[str, Any]
    ) -> tuple[Any, Any, dict[str, Any]]:
        """The two functions, found in a class or an instance, which takes the arguments of its own."""
        if isinstance(forward, type) and backward is None:
            static = [inspect.getattr_static(forward, name, None) for name in (FORWARD, BACKWARD)]
            if all(isinstance(f, staticmethod) for f in static):
                ahead, back = (getattr(forward, name) for name in (FORWARD, BACKWARD))
                return ahead, back, held
            takes = parameters_of(forward) or {}
            own = {name: held[name] for name in takes if name in held}
            if missing := [name for name in required(takes) if name not in own]:
                raise refused(
                    f"{forward.__name__} is made of {listed(takes)}, at= gives {listed(held)}: give "
                    f"{listed(missing)} there too, or an instance, {forward.__name__}(…)"
                )
            taken = parameters_of(self._method(forward, FORWARDS)) or {}
            forward, held = forward(**own), {n: x for n, x in held.items() if n not in own or n in taken}
        if isinstance(forward, (FunctionType, MethodType)) or not is_instance(forward):
            return forward, backward, held
        method = self._method(forward, FORWARDS)
        if backward is None:
            backward = self._method(forward, BACKWARDS, method.__name__ in ("loss", "__call__"))
        return method, backward, held

    def _method(self, owner: Any, names: Iterable[str], optional: bool = False) -> Any:
        found = [name for name in names if name in dir(owner) and callable(getattr(owner, name))]
        kind = owner if isinstance(owner, type) else type(owner)
        if not found:
            if optional:
                return None
            raise refused(
                f"{kind.__name__} has no method called {listed(names)}; give the two "
                "methods, as check_backward(layer.forward, layer.backward, at=…)"
            )
        if kind is not owner:
            what = FORWARD if names is FORWARDS else BACKWARD
            self.said.append(f"{kind.__name__}.{found[0]} is taken for the {what} pass")
        return getattr(owner, found[0])

    def _arguments(self, held: dict[str, Any]) -> dict[str, Any]:
        """All that is given by name, and a context for a forward pass that takes one."""
        parameters = self.parameters[FORWARD] or {}
        needed = required(parameters)
        context = {name: Context() for name in needed[:1] if name in CONTEXTS and name not in held}
        needed = [name for name in needed if name not in context]
        if "" in held:
            if len(needed) > 1:
                raise refused(f"forward takes {listed(needed)}; give at= as a mapping from these to values")
            held = {(needed or [*parameters, "x"])[0]: held[""]}
        if missing := [name for name in needed if name not in held]:
            raise refused(
                f"forward takes {listed(needed)}, at= gives {listed(held)}: {listed(missing)} is missing"
            )
        return {**context, **held}

    def _put_attributes(self) -> None:
        """Put what is given and no parameter where it is an attribute or a variable."""
        world = self.world
        if self.parameters[FORWARD] is None:
            return
        taken = {name for known in self.parameters.values() for name in known or ()}
        known = [*self._attributes(world)]
        variables = {name for names in world.reached.values() for name in names}
        for name in [name for name in self.held if name not in taken]:
            choices: tuple[list[Path], ...] = (
                [leaf.path for leaf in called(name, known)],
                [(INSTANCE, name)] * (name in attributes(world.instance)),
                [(VARIABLE, name)] * (name in variables or bool(world.variables(name))),
            )
            places = next(filter(None, choices), [])
            if len(places) > 1:
                raise refused(f"at= gives {name}, and there are {len(places)} attributes called so")
            if not places:
                raise refused(
                    f"at= gives {name}, which neither forward nor backward takes, and which is "
                    f"no attribute or variable of theirs; forward takes {listed(self._forwards())}"
                )
            world.put(self.held.pop(name), places[0])
            del world.arguments[name]

    # --- what forward works on ---

    def _forwards(self) -> list[str]:
        """The arguments that forward is given, in its order."""
        own = self.parameters[FORWARD]
        return [name for name in own or self.held if name in self.held and name not in CONTEXTS]

    def _attributes(self, world: World) -> Iterator[Leaf]:
        """The numbers in attributes of the instance."""
        return leaves_of(world.instance, (INSTANCE,), "") if self.is_method else iter(())

    def _variables(self, world: World) -> dict[str, Any]:
        """The variables that functions reach."""
        names = {n for f in map(function_of, world.functions.values()) for n in names_of(f, world.reached)}
        return {name: world.variables(name)[name] for name in sorted(names)}

    def _kept(self, world: World) -> Iterator[Leaf]:
        """The numbers in attributes of the instance, and in variables that functions reach."""
        yield from self._attributes(world)
        for name, x in self._variables(world).items():
            yield from leaves_of(x, (VARIABLE, name), name)

    def _targets(self) -> list[Leaf]:
        """All numbers that forward works on: arguments, attributes, variables."""
        arguments = {name: self.world.arguments[name] for name in self._forwards()}
        found = [leaf for name, x in arguments.items() for leaf in leaves_of(x, (ARGUMENT, name), name)]
        for leaf in self._kept(self.world):
            place = next((i for i, x in enumerate(found) if x.value is leaf.value and leaf.shape), None)
            if place is not None and found[place].path[0] != ARGUMENT:
                found[place] = found[place]._replace(others=(*found[place].others, leaf.path))
                continue
            if any(leaf.text == other.text for other in found):
                leaf = leaf._replace(text=f"{'self.' if leaf.path[0] == INSTANCE else 'global '}{leaf.text}")
            found.append(leaf)
        return found

    # --- runs ---

    def _called(self, part: str, world: World, known: Mapping[str, Any], call: Call) -> Any:
        """A call of a function with what is known of its parameters, which may have no names."""
        own, f = self.functions[part], call(world.functions[part])
        if not known.keys() <= (self.parameters[part] or {}).keys():
            return f(*known.values())
        bound = inspect.BoundArguments(inspect.signature(own), OrderedDict(known))
        return f(*bound.args, **bound.kwargs)

    def _forward(self, world: World, call: Call) -> Any:
        parameters = self.parameters[FORWARD]
        known = {name: x for name, x in world.arguments.items() if parameters is None or name in parameters}
        result = self._called(FORWARD, world, known, call)
        return self._left(world) if self.left_in else result

    def _start(self, world: World) -> Any:
        try:
            return self._forward(world, plain)
        except (AttributeError, TypeError) as error:  # it may call methods of Value
            (lifted,) = self.world.copied()
            lifted.arguments.update({n: as_values(x, n) for n, x in self.held.items() if is_floating(x)})
            try:
                return map_leaves(
                    lambda x: plain_number(numbers_of(x)) if holds_values(x) else x,
                    self._forward(lifted, following),
                )
            except Exception:
                raise error from None

    def _left(self, world: World) -> Any:
        """What forward, which returns nothing, leaves in attributes."""
        parts = [world.get(path) for path in self.left_in]
        return parts[0] if len(parts) == 1 else tuple(parts)

    def _output_attributes(self, world: World) -> list[Path]:
        """The attributes in which the output of a forward pass is that returns nothing."""
        known = {leaf.text: leaf.path for leaf in self._attributes(world)}
        wanted = self.out or [name for name in known if name in OUTPUTS]
        if not wanted or not {*wanted} <= {*known}:
            there = f"say with out= which attribute is its output; there are {listed(known)}"
            raise refused(f"forward returns nothing: {there if known else 'is there a return?'}")
        self.said.append(f"the output is what forward leaves in {listed(wanted)}")
        return [known[name] for name in wanted]


def refused(why: str) -> TypeError:
    """The error where names and shapes leave a choice."""
    return TypeError(f"check_backward: {why}")


def _as_given(x: Any) -> Any:
    """A tensor or a list of numbers as an array; a list of arrays, such as states over time, as it is."""
    if (array := floats(x)) is not x:
        x = array.astype(float) if array.dtype.kind == "f" else array
    is_of_arrays = isinstance(x, (list, tuple)) and any(isinstance(part, np.ndarray) for part in x)
    return x if is_of_arrays else as_array(x)
