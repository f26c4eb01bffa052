"""What the passes that people have take from each other and give, found by names and shapes.

A gradient is bound to what it is of by its name, ``dW``, ``grad_W``, ``grads["W"]`` for ``W``, else by its
place in a tuple; that of a parameter which a backward pass changes is what this step implies. Where names and
shapes leave a choice, nothing is guessed: the error says what there is, and how to write what is meant.
"""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import FunctionType, MethodType
from typing import Any, NamedTuple, NoReturn

import numpy as np

from autograd_mini.arrays import holds_values
from autograd_mini.check.subjects.arguments import (
    as_array,
    as_values,
    is_floating,
    listed,
    numbers_of,
    parameters_of,
)
from autograd_mini.check.subjects.naming import (
    Leaf,
    bases,
    called_alike,
    folded,
    is_instance,
    is_plain,
    is_tree,
    leaves_of,
    meaning,
    names_of,
    numbers_in,
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
    LOSS,
    RESULT,
    VARIABLE,
    Call,
    Passes,
    Path,
    World,
    alike,
    attributes,
    function_of,
    got,
    is_own,
    plain,
)
from autograd_mini.check.subjects.subject import own
from autograd_mini.rebuilding import following
from autograd_mini.trees import leaves, map_leaves

SHAPES = {FORWARD: "forward(…)", BACKWARD: "backward(grad_out, …)", LOSS: "loss(out, …)"}
FORWARDS = "forward forward_pass feedforward feed_forward fprop fwd call __call__ loss".split()
BACKWARDS = (
    "backward backward_pass backprop back_propagation backpropagate bprop bwd gradient grad derivative prime "
    "diff"
).split()
CACHES = "cache caches memo saved tape res residual residuals state ctx context intermediates".split()
CONTEXTS = ("ctx", "context")
OUTPUTS = ("out", "output", "outputs", "result")  # what a backward pass may call the output
RATE = re.compile(r"(learn(ing)?_?)?rate|(.*_)?lr|l_?rate|eta|alpha|step(_?size)?", re.I)
LOSSES = "loss cost J total_loss data_loss error objective L E nll".split()
TARGETS = re.compile(r"(.*_)?(true|targets?|labels?|ts?|ys?|truth|expected)$", re.I)
COTANGENT = re.compile(
    r"(d(?!ata$|im|type|epth|ecay|rop|etach|elay|egree|ebug)|grad|delta|err|cotangent|ct$|g$|gy$|gout|upstream|"
    r"top_|next_|out_).*|.*(_?grad(ient)?s?|_?delta|_?error|_?diff|_bar)$",
    re.I,
)


class Context:
    """What PyTorch calls ``ctx``: it takes what forward leaves for backward."""

    saved_tensors: tuple[Any, ...] = ()
    needs_input_grad = (True,) * 99

    def save_for_backward(self, *saved: Any) -> None:
        self.saved_tensors = self.saved_values = saved


class Take(NamedTuple):
    """What a parameter of backward is given: an argument, a cotangent, what forward left, or a constant."""

    kind: str
    of: Any = ()

    def value(self, world: World, result: Any, cotangent: Any) -> Any:
        """The value in one run."""
        if self.kind == "argument":
            return world.arguments[self.of]
        return (
            self.of
            if self.kind == "constant"
            else got(cotangent if self.kind == "cotangent" else result, self.of)
        )


@dataclass(frozen=True)
class Found:
    """The gradient of one argument: where it is, or, at a rate, the argument after a step."""

    path: Path
    said: str
    rate: float | None = None


def passes_of(
    forward: Any,
    backward: Any = None,
    at: Any = None,
    wrt: str | Sequence[str] | None = None,
    out: str | Sequence[str] | None = None,
    gradients: Mapping[str, str | int] | None = None,
    loss: Callable[..., Any] | None = None,
) -> Passes:
    """The passes that somebody has, bound to each other; TypeError where that leaves a choice."""
    return _Binder(forward, backward, at, wrt, out, gradients or {}, loss).passes()


class _Binder:
    def __init__(
        self,
        forward: Any,
        backward: Any,
        at: Any,
        wrt: str | Sequence[str] | None,
        out: str | Sequence[str] | None,
        gradients: Mapping[str, str | int],
        loss: Callable[..., Any] | None,
    ) -> None:
        self.said: list[str] = []
        self.moving: dict[Path, bool] = {}
        self.sources: list[Leaf] = []
        self.wrt = [wrt] if isinstance(wrt, str) else wrt
        self.out, self.given = [out] if isinstance(out, str) else list(out or ()), gradients
        self.left_in: list[Path] = []  # attributes with the output, where forward returns nothing
        whole = at if isinstance(at, Mapping) else {} if at is None else {"": at}
        held = {name: _as_given(x) for name, x in whole.items()}
        forward, backward, held = self._functions(forward, backward, held)
        functions = {FORWARD: forward, BACKWARD: backward, LOSS: loss}
        self.functions = {part: f for part, f in functions.items() if f is not None}
        for part, f in (("forward", forward), ("backward", backward), ("loss", loss)):
            if f is not None and not callable(f):
                raise _refused(f"{part} must be a function {SHAPES[part]}, got {f!r}")
        self.joined = backward is None
        self.is_method = isinstance(forward, MethodType) or isinstance(backward, MethodType)
        self.parameters = {part: parameters_of(f) for part, f in self.functions.items()}
        self.held = self._arguments(held)
        self.world = self._with_attributes(World.of(self.functions, self.held))

    # --- the functions, and the arguments that they are given ---

    def _functions(
        self, forward: Any, backward: Any, held: dict[str, Any]
    ) -> tuple[Any, Any, dict[str, Any]]:
        """The two functions, found in a class or an instance, which takes the arguments of its own."""
        if isinstance(forward, type) and backward is None:
            if all(
                isinstance(inspect.getattr_static(forward, n, None), staticmethod)
                for n in ("forward", "backward")
            ):
                return forward.forward, forward.backward, held  # type: ignore[attr-defined]  # found above
            own = {name: held[name] for name in parameters_of(forward) or {} if name in held}
            taken = parameters_of(self._method(forward, FORWARDS)) or {}
            forward, held = forward(**own), {n: x for n, x in held.items() if n not in own or n in taken}
        if isinstance(forward, (FunctionType, MethodType)) or not is_instance(forward):
            return forward, backward, held
        instance = forward
        forward = self._method(instance, FORWARDS)
        if backward is None:
            backward = self._method(instance, BACKWARDS, forward.__name__ in ("loss", "__call__"))
        return forward, backward, held

    def _method(self, owner: Any, names: Iterable[str], optional: bool = False) -> Any:
        found = [name for name in names if name in dir(owner) and callable(getattr(owner, name))]
        kind = owner if isinstance(owner, type) else type(owner)
        found = [
            name
            for name in found
            if name != "__call__" or "__call__" in {n for k in kind.__mro__ for n in vars(k)}
        ]
        if not found and not optional:
            raise _refused(
                f"{kind.__name__} has no method called {listed(names)}; give the two "
                "methods, as check_backward(layer.forward, layer.backward, at=…)"
            )
        if found and not isinstance(owner, type):
            what = "forward" if names is FORWARDS else "backward"
            self.said.append(f"{kind.__name__}.{found[0]} is taken for the {what} pass")
        return getattr(owner, found[0]) if found else None

    def _arguments(self, held: dict[str, Any]) -> dict[str, Any]:
        """All that is given by name, and a context for a forward pass that takes one."""
        parameters = self.parameters[FORWARD]
        needed = [n for n, p in (parameters or {}).items() if p.default is inspect.Parameter.empty]
        context = {name: Context() for name in needed[:1] if name in CONTEXTS and name not in held}
        needed = [name for name in needed if name not in context]
        if "" in held:
            if len(needed) > 1:
                raise _refused(f"forward takes {listed(needed)}; give at= as a mapping from these to values")
            held = {(needed or [*(parameters or {}), "x"])[0]: held[""]}
        if missing := [name for name in needed if name not in held]:
            raise _refused(
                f"forward takes {listed(needed)}, at= gives {listed(held)}: {listed(missing)} is missing"
            )
        return {**context, **held}

    def _with_attributes(self, world: World) -> World:
        """The world with what is given and no parameter put where it is an attribute or a variable."""
        if self.parameters[FORWARD] is None:
            return world
        taken = {name for known in self.parameters.values() for name in known or ()}
        known = [*leaves_of(world.instance, (INSTANCE,), "")] if self.is_method else []
        for name in [name for name in self.held if name not in taken]:
            places = [leaf.path for leaf in known if name == leaf.text]
            places = places or [leaf.path for leaf in known if name == leaf.parts[-1]]
            places += [(INSTANCE, name)] * (not places and name in attributes(world.instance))
            reached = {*itertools.chain.from_iterable(world.reached.values())}
            places += [(VARIABLE, name)] * (not places and (name in reached or bool(world.variables(name))))
            if len(places) > 1:
                raise _refused(f"at= gives {name}, and there are {len(places)} attributes called so")
            if not places:
                raise _refused(
                    f"at= gives {name}, which neither forward nor backward takes, and which is "
                    f"no attribute or variable of theirs; forward takes {listed(self._forwards())}"
                )
            world.put(places[0], self.held.pop(name))
            del world.arguments[name]
        return world

    # --- one run of each at the given point, and what it shows ---

    def passes(self) -> Passes:
        """The passes with everything bound, by one run of each at the given point."""
        (world,) = self.world.copied()
        with alike(), np.errstate(all="ignore"):
            start = random_state()
            self.result = self._start(world)
            if random_state() != start:
                self.said.append("what is drawn at random is drawn alike in every run")
        if self.result is None:
            self.left_in = self._output_attributes(world)
            self.result = self._left(world)
        self.names = [str(path[-1]) for path in self.left_in] or returned_names(
            self.functions[FORWARD], self.result
        )
        self.targets = self._targets()
        if self.joined:
            self.takes: list[tuple[str | None, Take]] = []
            self.outputs: tuple[Path, ...] = (self._loss_of(self.result),)
        else:
            self._take()
        self.loss_takes = self._loss_takes() if LOSS in self.functions else []
        self.start = output = self._output(world, self.result, plain)
        self.taken = any(take.kind == "cotangent" for _, take in self.takes)
        self.elementwise = self._is_elementwise(output)
        if not (self.taken or self.elementwise or np.size(numbers_in(output)) == 1):
            raise _refused(
                f"backward takes {self._parameters(BACKWARD)}, and none of that is the gradient "
                f"of forward's output, which has shape {np.shape(numbers_in(output))}: give the loss that it "
                "starts from, loss=lambda out, …: …"
            )
        found = self._found(world, output)
        arguments = {
            leaf.text: leaf for leaf in self.targets if leaf.path[0] == ARGUMENT or leaf.text in found
        }
        return Passes(
            arguments={text: leaf.value for text, leaf in arguments.items()},
            wrt=tuple(text for text in arguments if text in found),
            roots=tuple(f for f in map(function_of, self.functions.values()) if is_own(f)),
            bound=(*self.said, *(f"{x.said} is ∂L/∂{name}" for name, x in found.items())),
            joined=self.joined,
            seeded=self.taken or self.elementwise,
            rates={name: x.rate for name, x in found.items() if x.rate is not None},
            world=self.world,
            paths={text: (leaf.path, *leaf.others) for text, leaf in arguments.items()},
            run=self._run,
            pull=partial(self._pulled, found),
        )

    def _start(self, world: World) -> Any:
        try:
            return self._forward(world, plain)
        except (AttributeError, TypeError) as error:  # it may call methods of Value
            (lifted,) = self.world.copied()
            lifted.arguments.update({n: as_values(x, n) for n, x in self.held.items() if is_floating(x)})
            try:
                return map_leaves(_data, self._forward(lifted, following))
            except Exception:
                raise error from None

    def _forward(self, world: World, call: Call) -> Any:
        parameters = self.parameters[FORWARD]
        known = [(name, x) for name, x in world.arguments.items() if parameters is None or name in parameters]
        result = self._call(FORWARD, world, known, call)
        return self._left(world) if self.left_in else result

    def _left(self, world: World) -> Any:
        """What forward, which returns nothing, leaves in attributes."""
        parts = [world.get(path) for path in self.left_in]
        return parts[0] if len(parts) == 1 else tuple(parts)

    def _output_attributes(self, world: World) -> list[Path]:
        """The attributes in which the output of a forward pass is that returns nothing."""
        known = [*leaves_of(world.instance, (INSTANCE,), "")] if self.is_method else []
        wanted = self.out or [leaf.text for leaf in known if leaf.text in OUTPUTS]
        found = [[leaf.path for leaf in known if leaf.text == name] for name in wanted]
        if not found or not all(found):
            raise _refused(
                "forward returns nothing: say with out= which attribute is its output; there are "
                f"{listed(leaf.text for leaf in known)}"
            )
        self.said.append(f"the output is what forward leaves in {listed(wanted)}")
        return [path for (path,) in found]

    def _call(self, part: str, world: World, known: Iterable[tuple[str | None, Any]], call: Call) -> Any:
        """A call of a function with what is known of its parameters, which may have no names."""
        parameters = self.parameters[part] or {}
        args: list[Any] = []
        named: dict[str, Any] = {}
        order = [*parameters]
        for name, x in sorted(
            known, key=lambda pair: order.index(pair[0]) if pair[0] in order else len(order)
        ):
            is_named = name in order and parameters[name].kind is not inspect.Parameter.POSITIONAL_ONLY
            if name and is_named and (named or order.index(name) != len(args)):
                named[name] = x
            else:
                args.append(x)
        return call(world.functions[part])(*args, **named)

    def _output(self, world: World, result: Any, call: Call) -> Any:
        parts = [got(result, path) for path in self.outputs]
        output = parts[0] if len(parts) == 1 else tuple(parts)
        if LOSS not in self.functions:
            return output
        known = [(name, output if of is None else world.arguments[of]) for name, of in self.loss_takes]
        return self._call(LOSS, world, known, call)

    def _run(self, world: World, call: Call) -> tuple[Any, Any]:
        result = self._forward(world, call)
        return self._output(world, result, call), result

    def _backward(self, world: World, result: Any, cotangent: Any, call: Call) -> Any:
        if self.joined:
            return result
        known = [(name, take.value(world, result, cotangent)) for name, take in self.takes]
        return self._call(BACKWARD, world, known, call)

    def _pulled(
        self, found: Mapping[str, Found], world: World, result: Any, cotangent: Any, call: Call
    ) -> dict[str, Any]:
        before = {
            name: own(world.get(self._leaf(name).path)) for name, x in found.items() if x.rate is not None
        }
        given = self._backward(world, result, cotangent, call)
        gradients: dict[str, Any] = {}
        for name, place in found.items():
            x = got(given, place.path[1:]) if place.path[0] == RESULT else world.get(place.path)
            if place.rate is not None:
                x = (before[name] - x) / place.rate
            gradients[name] = cotangent * x if self.elementwise else x
        return gradients

    def _leaf(self, name: str) -> Leaf:
        return next(leaf for leaf in self.targets if leaf.text == name)

    def _parameters(self, part: str) -> str:
        return f"({', '.join(self.parameters[part] or ['…'])})"

    # --- what backward takes ---

    def _take(self) -> None:
        """Settle what each parameter of backward is, and which parts of forward's result are the output."""
        parameters = self._backwards()
        parts = [*self.result] if isinstance(self.result, tuple) else [self.result]
        takes, states, loose = self._by_name(parameters, parts)
        used = {take.of for take in takes.values() if take.kind == "left"}
        free = [i for i in range(len(parts)) if (i,) not in used]
        plain_parts = [i for i in free if is_plain(parts[i])] or [i for i in free if is_tree(parts[i])]
        cotangents = self._cotangents(
            parameters, loose, bool(plain_parts) and np.size(numbers_in(parts[plain_parts[0]])) == 1
        )
        outputs = self._outputs(cotangents, plain_parts)
        loose = [name for name in loose if name not in cotangents]
        rest: list[Path] = [(i,) for i in free if i not in outputs]
        if len(parts) == 1:
            rest = [] if is_plain(parts[0]) else [()]
        wanted = [name for name in parameters if name in states + loose]
        if wanted and len(wanted) == len(rest) and (len(rest) == 1 or self._are_alike(wanted, rest)):
            takes |= {name: Take("left", path) for name, path in zip(wanted, rest, strict=True)}
        elif (
            not (wanted or self.is_method or self._are_said(cotangents))
            and rest
            and all(map(is_plain, parts))
        ):
            if max(map(np.size, parts)) > 1:
                raise _refused(
                    f"forward gives {len(parts)} results{self._named_parts()}, and backward "
                    f"takes {self._parameters(BACKWARD)}: say with out= which of the results it starts from"
                )
            outputs = [*range(len(parts))]
        elif wanted:
            unnamed = [name for name in self._forwards() if name not in parameters]
            if states or len(loose) > len(unnamed) or (rest and isinstance(self.result, tuple)):
                self._stop(wanted, cotangents)
            for name, of in zip(loose, unnamed, strict=False):
                takes[name] = Take("argument", of)
                self.said.append(f"{name} of backward is {of}")
        many = len(cotangents) > 1
        takes |= {name: Take("cotangent", (i,) if many else ()) for i, name in enumerate(cotangents)}
        self.outputs = tuple((i,) for i in outputs) if isinstance(self.result, tuple) else ((),)
        for name, take in takes.items():
            if take.kind == "output":
                takes[name] = Take("left", self.outputs[0])
        if isinstance(self.result, tuple):
            self.said.append(
                f"the output is {' and '.join(self._part(i) for i in outputs)} of forward's results"
            )
        is_positional = self.parameters[BACKWARD] is None or is_open(self.functions[BACKWARD])
        self.takes = [(None if is_positional else name, takes[name]) for name in parameters if name in takes]

    def _are_alike(self, wanted: Sequence[str], rest: Sequence[Path]) -> bool:
        """Whether parameters are called like the results in whose order they stand, or are all caches."""
        pairs = [
            (folded(name), folded(self.names[path[0]] or "")) for name, path in zip(wanted, rest, strict=True)
        ]
        return all(b and (a in b or b in a or ("cache" in a and "cache" in b)) for a, b in pairs)

    def _backwards(self) -> dict[str, inspect.Parameter]:
        """The parameters of backward; of one that does not tell, a cotangent and all of forward's."""
        own = self.parameters[BACKWARD]
        if own is None or (len(own) == 1 and is_open(self.functions[BACKWARD])):
            return {**(own or {"grad_out": REQUIRED}), **dict.fromkeys(self._forwards(), REQUIRED)}
        return own

    def _forwards(self) -> list[str]:
        """The arguments that forward is given, in its order."""
        own = self.parameters[FORWARD]
        return [name for name in own or self.held if name in self.held and name not in CONTEXTS]

    def _by_name(
        self, parameters: Mapping[str, inspect.Parameter], parts: Sequence[Any]
    ) -> tuple[dict[str, Take], list[str], list[str]]:
        """What the names of parameters say; those for what forward leaves; and those that say nothing."""
        takes: dict[str, Take] = {}
        states: list[str] = []
        loose: list[str] = []
        forwards = self.parameters[FORWARD] or {}
        for name, parameter in parameters.items():
            needed = parameter.default is inspect.Parameter.empty
            is_state = name in CACHES or "cache" in name.lower()
            if name in self.held and not (name in self.names and (is_state or name in self.out)):
                if (
                    name in self.names
                    and not self.out
                    and not same(parts[self.names.index(name)], self.held[name])
                ):
                    raise _refused(
                        f"backward takes {name}, which is an argument of forward and the name "
                        f"of what it returns: say with out={name!r} that it is the latter, or with out='out' "
                        "that it is not"
                    )
                takes[name] = Take("argument", name)
            elif name in self.out or (name in OUTPUTS and name not in self.names):
                takes[name] = Take("output")
            elif RATE.fullmatch(name):
                if needed:
                    takes[name] = Take("constant", 1.0)
            elif name in self.names and len(parts) > 1:
                takes[name] = Take("left", (self.names.index(name),))
            elif is_state:
                states.append(name)
            elif needed and name in forwards:
                takes[name] = Take("constant", forwards[name].default)
            elif needed:
                loose.append(name)
        return takes, states, loose

    def _cotangents(
        self, parameters: Mapping[str, inspect.Parameter], loose: Sequence[str], is_scalar: bool
    ) -> list[str]:
        """The parameters that are gradients of the output: those called so, else the first."""
        found = [name for name in loose if COTANGENT.fullmatch(name)]
        first = next(iter(parameters), None)
        if not found and loose and loose[0] == first and (self.is_method or len(parameters) > 1):
            return [first]
        if not found and LOSS not in self.functions and not is_scalar:
            optional = [n for n, p in parameters.items() if p.default is not inspect.Parameter.empty]
            return [name for name in optional if COTANGENT.fullmatch(name) and name not in self.held][:1]
        return found

    def _outputs(self, cotangents: Sequence[str], plain_parts: Sequence[int]) -> list[int]:
        """Which parts of forward's result the cotangents are of: by their names, else the first ones."""
        if self.left_in:
            return [*range(len(self.left_in))]
        if named := [self.names.index(name) for name in self.out if name in self.names]:
            return named
        by_name = [{self.names.index(name) for name in bases(d) if name in self.names} for d in cotangents]
        if cotangents and all(len(found) == 1 for found in by_name):
            return [min(found) for found in by_name]
        if len(cotangents) > max(1, len(plain_parts)):
            raise _refused(
                f"{listed(cotangents)} of backward may all be gradients of an output, and "
                f"forward gives {len(plain_parts)}{self._named_parts()}; give those that are none with at=, "
                "or let backward be a function that takes only one"
            )
        return [*plain_parts[: max(1, len(cotangents))]] or [0]

    def _are_said(self, cotangents: Sequence[str]) -> bool:
        """Whether names say which results cotangents are of."""
        return any(name in self.names for name in (*self.out, *itertools.chain(*map(bases, cotangents))))

    def _part(self, i: int) -> str:
        return self.names[i] or f"number {i + 1}"

    def _named_parts(self) -> str:
        return f" ({listed(name or '…' for name in self.names)})" if any(self.names) else ""

    def _stop(self, wanted: Sequence[str], cotangents: Sequence[str]) -> None:
        arguments, first = self._forwards(), (cotangents or ["grad_out"])[0]
        if wanted[0] in CACHES and not isinstance(self.result, tuple):
            raise _refused(
                f"backward asks for {wanted[0]}, which forward does not give; let it take "
                "forward's arguments or its output by name, as "
                f"backward({listed([first, *arguments, 'out'])})"
            )
        raise _refused(
            f"backward takes {listed(self._backwards())}; forward takes {listed(arguments)}"
            + f" and gives {len(self.result)} results{self._named_parts()}" * isinstance(self.result, tuple)
            + f": what {listed(wanted)} should be is not known; call it as forward does, or give it with at="
        )

    def _loss_takes(self) -> list[tuple[str | None, str | None]]:
        """What each parameter of the loss is: an argument by name, or None for forward's output."""
        parameters = self.parameters[LOSS] or {}
        needed = [
            n for n, p in parameters.items() if p.default is inspect.Parameter.empty and n not in self.held
        ]
        outputs = [name for name in needed if not TARGETS.fullmatch(name)]
        others = [name for name in needed if name not in outputs]
        targets = [name for name in self.held if TARGETS.fullmatch(name) and name not in parameters]
        if len(outputs) != 1 or len(others) > len(targets) or len(targets) > len(others) > 0:
            raise _refused(
                f"loss takes {listed(parameters)}; it must take forward's output and what at= "
                f"gives, by name: {listed(self.held)}"
            )
        of = {outputs[0]: None, **dict(zip(others, targets, strict=False))}
        return [(name, of.get(name, name)) for name in parameters if name in of or name in self.held]

    def _loss_of(self, result: Any) -> Path:
        """Where in the result of one function the loss is: what is called so, else the first scalar."""
        if not isinstance(result, (tuple, dict)):
            raise _refused(
                "backward= is missing, and forward does not return (loss, gradients); give the "
                "backward pass too"
            )
        items = [*result.items()] if isinstance(result, dict) else [*enumerate(result)]
        names = [*result] if isinstance(result, dict) else self.names
        scalars = [i for i, x in items if is_plain(x) and np.size(x) == 1 and is_floating(x)]
        called = [i for (i, _), name in zip(items, names, strict=False) if name in LOSSES and i in scalars]
        if not scalars:
            raise _refused("backward= is missing, and forward returns no scalar that could be a loss")
        return ((called or scalars)[0],)

    def _is_elementwise(self, output: Any) -> bool:
        """Whether backward gives f′(x) for each element of an f that acts on each alone."""
        if self.taken or self.joined or LOSS in self.functions or np.size(numbers_in(output)) == 1:
            return False
        floats = [leaf for leaf in self.targets if leaf.path[0] == ARGUMENT and is_floating(leaf.value)]
        if len(floats) != 1 or floats[0].shape != np.shape(output):
            return False
        for k in range(min(3, np.size(output))):
            moved = floats[0].value.copy()
            moved.flat[k] += 0.125
            changed = np.ravel(self._output_with(floats[0], moved) != output)
            if changed.any() and (np.flatnonzero(changed) != k).any():
                return False
        self.said.append("backward takes no gradient, and gives f′ of each element")
        self._settle_elementwise(floats[0])
        return True

    def _settle_elementwise(self, leaf: Leaf) -> None:
        """Let backward take the output, as σ′ = s(1 − s) does, if that alone gives the slope."""
        if len(self.takes) != 1 or self.takes[0][1].kind != "argument":
            return
        h = 1e-5
        slope = (self._output_with(leaf, leaf.value + h) - self._output_with(leaf, leaf.value - h)) / (2 * h)
        name, by_input = self.takes[0]
        by_output = Take("left", self.outputs[0])
        fits = []
        for take in (by_input, by_output):
            (world,) = self.world.copied()
            with alike(), np.errstate(all="ignore"):
                given = self._call(BACKWARD, world, [(name, take.value(world, self.result, None))], plain)
            fits.append(
                np.shape(given) == np.shape(slope) and np.allclose(given, slope, rtol=1e-4, atol=1e-6)
            )
        if fits == [False, True]:
            self.takes = [(name, by_output)]
            self.said = [said for said in self.said if not said.startswith(f"{name} of backward")]
            self.said.append(f"{name} of backward is the output of forward")

    def _output_with(self, leaf: Leaf, moved: Any) -> Any:
        (world,) = self.world.copied()
        for path in (leaf.path, *leaf.others):
            world.put(path, moved)
        with alike(), np.errstate(all="ignore"):
            return self._run(world, plain)[0]

    # --- what backward gives ---

    def _targets(self) -> list[Leaf]:
        """All numbers that forward works on: arguments, attributes, variables."""
        found: list[Leaf] = []
        for name in self._forwards():
            found += leaves_of(self.world.arguments[name], (ARGUMENT, name), name)
        for leaf in self._kept(self.world):
            places = [i for i, other in enumerate(found) if other.value is leaf.value and leaf.shape]
            if places and found[places[0]].path[0] != ARGUMENT:
                found[places[0]] = found[places[0]]._replace(others=(*found[places[0]].others, leaf.path))
                continue
            if any(leaf.text == other.text for other in found):
                leaf = leaf._replace(text=f"{'self.' if leaf.path[0] == INSTANCE else 'global '}{leaf.text}")
            found.append(leaf)
        return found

    def _kept(self, world: World) -> Iterator[Leaf]:
        """The numbers in attributes of the instance, and in variables that functions reach."""
        if self.is_method:
            yield from leaves_of(world.instance, (INSTANCE,), "")
        for name in self._variables(world):
            yield from leaves_of(world.variables(name)[name], (VARIABLE, name), name)

    def _variables(self, world: World) -> list[str]:
        functions = map(function_of, world.functions.values())
        return sorted({name for f in functions for name in names_of(f, world.reached)})

    def _found(self, world: World, output: Any) -> dict[str, Found]:
        """The gradient of each argument that has one, by the name of the argument."""
        random = np.random.default_rng(0)
        cotangent = map_leaves(lambda x: plain_number(random.standard_normal(np.shape(x))), output)
        after, result = world.copied(self.result)
        try:
            with alike(), np.errstate(all="ignore"):
                given = self._backward(after, result, cotangent, plain)
        except Exception as error:
            if self.is_method or any(
                take.kind == "left" and take.of not in self.outputs for _, take in self.takes
            ):
                where = raised_in(error)
                raise _refused(
                    f"backward raises {type(error).__name__}: {error}{where}; {self._given()}"
                ) from error
            first = self._target(self._asked()[0])
            if len(first.path) != 2:
                raise
            return {first.text: Found((RESULT,), "the result of backward")}
        self.sources = [*self._sources(given, world, after)]
        found = self._by_hand()
        self._by_names(found)
        found |= self._by_place(given, found)
        self._start_from_zero(found)
        found |= self._by_steps(
            world, after, cotangent if self.taken else map_leaves(np.ones_like, output), found
        )
        self._remark_on_others(found)
        if unknown := [name for name in self._asked(()) if name not in found]:
            self._unfound(f"there is no gradient of {listed(unknown)}")
        if not found:
            self._unfound("no gradient was found")
        return {name: x for name, x in found.items() if name in self._asked(found)}

    def _given(self) -> str:
        said = [
            f"{name or 'a parameter'}: {take.kind} {take.of if take.of != () else ''}".strip()
            for name, take in self.takes
        ]
        return f"it was given {listed(said)}"

    def _remark_on_others(self, found: Mapping[str, Found]) -> None:
        """Say which arrays of the instance have no gradient, though the output depends on them."""
        others = [
            leaf for leaf in self.targets
            if leaf.path[0] == INSTANCE and leaf.shape and is_floating(leaf.value) and leaf.text not in found
        ]  # fmt: skip
        if without := [leaf.text for leaf in others if self._moves(leaf)]:
            self.said.append(f"no gradient is given of {listed(without)}")

    def _start_from_zero(self, found: Mapping[str, Found]) -> None:
        """Let gradients that may be added to start from 0, whatever an earlier pass has left there."""
        for x in found.values():
            if x.path[0] == RESULT:
                continue
            try:
                left = self.world.get(x.path)
            except (AttributeError, KeyError, IndexError):
                continue
            if is_plain(left) and np.any(left):
                self.world.put(x.path, left * 0)
                self.said.append(f"{x.said} starts from 0, and not from what an earlier pass has left")

    def _asked(self, default: Iterable[str] | None = None) -> list[str]:
        """The names in ``wrt``, as arguments are written."""
        if self.wrt is None:
            first = [leaf.text for leaf in self.targets if leaf.path[0] == ARGUMENT][:1]
            return [*(first if default is None else default)]
        return [self._target(name).text for name in self.wrt]

    def _target(self, name: str) -> Leaf:
        found = [leaf for leaf in self.targets if leaf.text == name]
        found = found or [leaf for leaf in self.targets if leaf.parts[-1] == name]
        if len(found) != 1:
            known = listed(leaf.text for leaf in self.targets)
            several = (
                f"{name!r} may be {' or '.join(leaf.text for leaf in found)}" if found else f"no {name!r}"
            )
            raise ValueError(f"check_backward: there is {several}; there are {known}")
        return found[0]

    def _sources(self, given: Any, world: World, after: World) -> Iterator[Leaf]:
        """The numbers that backward gives, or that are others, or 0, after it."""
        names = self.names if self.joined else returned_names(self.functions[BACKWARD], given)
        if isinstance(given, tuple):
            for i, part in enumerate(given):
                if not (self.joined and (i,) in self.outputs):
                    name = names[i] if i < len(names) else None
                    text, parts = name or f"result[{i}]", (name,) if name else ()
                    yield from leaves_of(part, (RESULT, i), text, parts)
                    if isinstance(part, (list, tuple)) and (whole := as_array(part)) is not part:
                        yield Leaf((RESULT, i), text, whole, parts)
        else:
            name = names[0] if names else None
            parts = () if isinstance(given, (dict, list)) or name is None else (name,)
            yield from (
                x
                for x in leaves_of(given, (RESULT,), name or "result", parts)
                if not (self.joined and x.path[1:] in self.outputs)
            )
        for leaf in self._kept(after):
            try:
                before = world.get(leaf.path)
            except (AttributeError, KeyError, IndexError, TypeError):
                before = None
            if before is None or not np.any(leaf.value) or not same(before, leaf.value):
                yield leaf

    def _by_hand(self) -> dict[str, Found]:
        """The gradients as they were given."""
        found: dict[str, Found] = {}
        for name, where in self.given.items():
            target = self._target(name)
            sources = _first_of_equal([leaf for leaf in self.sources if where in leaf.calls])
            if len(sources) != 1:
                what = "nothing that backward gives is it" if not sources else f"it may be {len(sources)}"
                self._unfound(f"gradients= says {where!r} for {name}, and {what}")
            found[target.text] = Found(sources[0].path, sources[0].text)
        return found

    def _by_names(self, found: dict[str, Found]) -> None:
        """Add the gradients that are called so."""
        bound = {x.path for x in found.values()}
        for alike_, is_suffix in (
            (str, False),
            (str, True),
            (folded, False),
            (folded, True),
            (meaning, True),
        ):
            loosely = is_suffix or alike_ is not str
            pairs = [
                (source, target)
                for source in self.sources
                for target in self.targets
                if source.path not in bound
                and target.text not in found
                and called_alike(source, target, alike_, is_suffix)
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
        places = self._places(given)
        bound = {x.path: name for name, x in found.items()}
        arguments = [leaf for leaf in self.targets if leaf.path[0] == ARGUMENT and len(leaf.path) == 2]
        floats = [leaf for leaf in arguments if is_floating(leaf.value)]
        asked = [self._target(name) for name in self.wrt or ()]
        if len(places) == 1 and not isinstance(given, list):
            ((path, x),) = places.items()
            targets = asked or floats or arguments
            if (
                path in bound
                or not is_plain(x)
                or not targets
                or (not self.joined and targets[0].text in found)
            ):
                return {}
            fitting = [leaf for leaf in targets if leaf.shape == np.shape(x)]
            if len(targets) > 1 and (
                (self.joined and len(fitting) != 1) or (fitting and targets[0] not in fitting)
            ):
                self._unfound(
                    f"what is returned, of shape {np.shape(x)}, is not known to be of {targets[0].text}"
                )
            target = fitting[0] if self.joined and fitting else targets[0]
            if found and not np.ndim(x) and target.shape:  # a loss, or a norm
                self.said.append("the number that backward returns is not compared")
                return {}
            return {target.text: Found(path, "the gradient that is returned")}
        targets = next((x for x in (asked, arguments, floats) if len(x) == len(places)), [])
        pairs = [*zip(places.items(), targets, strict=False)]
        if any(path in bound and bound[path] != target.text for (path, _), target in pairs):
            return {}
        free = [
            (path, np.shape(x), target)
            for (path, x), target in pairs
            if x is not None and path not in bound and target.text not in found
        ]
        differ = any(shape != target.shape for _, shape, target in free)
        if differ and sorted(shape for _, shape, _ in free) == sorted(target.shape for *_, target in free):
            self._unfound("what is returned has the shapes of the arguments in another order")
        return (
            {}
            if differ and self.joined
            else {target.text: Found(path, f"{_ordinal(path[-1])} returned") for path, _, target in free}
        )

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

    def _by_steps(
        self, world: World, after: World, cotangent: Any, found: Mapping[str, Found]
    ) -> dict[str, Found]:
        """The gradients that follow from parameters that backward changes."""
        moved: dict[str, tuple[Leaf, Any]] = {}
        name, rate = self._rate(world)
        for leaf in self.targets:
            if leaf.text in found or not is_floating(leaf.value) or (leaf.path[0] == ARGUMENT and not name):
                continue
            start, end = (own(x.get(leaf.path)) for x in (world, after))
            if same(start, end) or not same(start, leaf.value) or not self._moves(leaf):
                continue
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

    def _rate(self, world: World) -> tuple[str, float | None]:
        """The name and the rate of the steps that backward takes, None where no name says it."""
        for name, parameter in (self.parameters.get(BACKWARD) or {}).items():
            if RATE.fullmatch(name):
                taken = dict(self.takes).get(name)
                return name, float(parameter.default if taken is None else taken.value(world, None, None))
        homes = {**{n: world.variables(n)[n] for n in self._variables(world)}, **attributes(world.instance)}
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
            for path in (leaf.path, *leaf.others):
                world.put(path, own(moved))
            try:
                with alike(), np.errstate(all="ignore"):
                    output = self._run(world, plain)[0]
                self.moving[leaf.path] = same(world.get(leaf.path), moved) and not same(output, self.start)
            except Exception:
                self.moving[leaf.path] = False
        return self.moving[leaf.path]

    def _unfound(self, why: str) -> NoReturn:
        known = listed(str(leaf) for leaf in self.targets if is_floating(leaf.value))
        gives = listed(str(leaf) for leaf in self.sources)
        raise _refused(
            f"{why}. Forward works on {known}; backward gives {gives}. Say which is which, as "
            'in gradients={"W": "dW", "x": 0}, by names or by the place among the results'
        )


def _first_of_equal(sources: Sequence[Leaf]) -> list[Leaf]:
    """The different ones, results of backward before what it leaves."""
    results = [leaf for leaf in sources if leaf.path[0] == RESULT] or sources
    return [leaf for i, leaf in enumerate(results) if not any(same(leaf.value, x.value) for x in results[:i])]


def _ordinal(i: int) -> str:
    return f"number {i + 1} of what is"


def _as_given(x: Any) -> Any:
    """A list of numbers as an array; one of arrays, such as states over time or layers, as it is."""
    return (
        x if isinstance(x, (list, tuple)) and any(isinstance(part, np.ndarray) for part in x) else as_array(x)
    )


def _refused(why: str) -> TypeError:
    return TypeError(f"check_backward: {why}")


def random_state() -> Any:
    """Where NumPy's own generator is."""
    state: Any = np.random.get_state()
    return state[2]


# --- values ------------------------------------------------------------------------------------------

REQUIRED = inspect.Parameter("required", inspect.Parameter.POSITIONAL_OR_KEYWORD)


def is_open(f: Any) -> bool:
    """Whether a function takes any number of arguments."""
    try:
        kinds = [parameter.kind for parameter in inspect.signature(f).parameters.values()]
    except (TypeError, ValueError):
        return False
    return inspect.Parameter.VAR_POSITIONAL in kinds


def _data(leaf: Any) -> Any:
    return plain_number(numbers_of(leaf)) if holds_values(leaf) else leaf
