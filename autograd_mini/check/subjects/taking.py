"""What the backward pass takes: each of its parameters is an argument, what forward has left, or a cotangent.

Names say it first: those of arguments, of what forward returns, of caches, rates and gradients. What is left
over is bound in order.
"""

from __future__ import annotations

import inspect
import itertools
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from autograd_mini.check.subjects.arguments import (
    is_floating,
    is_plain,
    is_tree,
    listed,
    required,
)
from autograd_mini.check.subjects.naming import (
    bases,
    folded,
    inner_names,
    numbers_in,
    returned_names,
    same,
)
from autograd_mini.check.subjects.passes import (
    ARGUMENT,
    BACKWARD,
    COTANGENT,
    FORWARD,
    LOSS,
    RESULT,
    Path,
)
from autograd_mini.check.subjects.running import LOSSES, OUTPUTS, Running, refused

CACHES = "cache caches memo saved tape res residual residuals state ctx context intermediates".split()
RATE = re.compile(r"(learn(ing)?_?)?rate|(.*_)?lr|l_?rate|eta|alpha|step(_?size)?", re.I)
AN_OUTPUT = re.compile(r"(y|a|h|s|act\w*|.*out(puts?)?)$", re.I)  # what is no argument by that name
TARGETS = re.compile(r"(.*_)?(true|targets?|labels?|ts?|ys?|truth|expected)$", re.I)
GRADIENT = re.compile(
    r"(d(?!ata$|im|type|epth|ecay|rop|etach|elay|egree|ebug)|grad|delta|err|cotangent|ct$|g$|gy$|gout|upstream|"
    r"top_|next_|out_).*|.*(_?grad(ient)?s?|_?delta|_?error|_?diff|_bar)$",
    re.I,
)
REQUIRED = inspect.Parameter("required", inspect.Parameter.POSITIONAL_OR_KEYWORD)
THE_OUTPUT: Path = ("output",)  # until it is known which part of the result that is


class Taking(Running):
    """Passes of which it is known what backward takes.

    ``takes`` has the paths of what each parameter of backward is given, among arguments, forward's results
    and cotangents; ``outputs`` are the paths of the output in forward's result, ``loss_takes`` what a loss is
    given, None for the output.
    """

    def __init__(
        self,
        forward: Any,
        backward: Any,
        at: Any,
        out: str | Sequence[str] | None,
        loss: Callable[..., Any] | None,
    ) -> None:
        super().__init__(forward, backward, at, out, loss)
        self.parts = [*self.result] if isinstance(self.result, tuple) else [self.result]
        self.takes: dict[str, Path] = {}
        self.outputs: tuple[Path, ...] = (self._loss_of(self.result),) if self.joined else ()
        if not self.joined:
            self._take()
        self.loss_takes = self._loss_takes() if LOSS in self.functions else {}
        self.taken = any(path[0] == COTANGENT for path in self.takes.values())

    def _take(self) -> None:
        """Settle what each parameter of backward is, and which parts of forward's result are the output."""
        parameters, parts, is_tuple = self._backwards(), self.parts, isinstance(self.result, tuple)
        takes, states, loose = self._by_name(parameters)
        used = {path[:2] for path in takes.values()}
        free = [i for i in range(len(parts)) if (RESULT, i) not in used]
        plain_parts = [i for i in free if is_plain(parts[i])] or [i for i in free if is_tree(parts[i])]
        is_scalar = bool(plain_parts) and np.size(numbers_in(parts[plain_parts[0]])) == 1
        cotangents = self._cotangents(parameters, loose, is_scalar)
        outputs = self._outputs(cotangents, plain_parts)
        loose = [name for name in loose if name not in cotangents]
        rest: list[Path] = [(RESULT, i) for i in free if i not in outputs]
        if len(parts) == 1:
            rest = [] if is_plain(parts[0]) else [(RESULT,)]
        wanted = [name for name in parameters if name in states + loose]
        if wanted and len(wanted) == len(rest) and (len(rest) == 1 or self._are_alike(wanted, rest)):
            takes |= zip(wanted, rest, strict=True)
        elif wanted:
            unnamed = [name for name in self._forwards() if name not in parameters]
            if states or len(loose) > len(unnamed) or (rest and is_tuple):
                self._stop(wanted, cotangents)
            if len(loose) == 1 and not is_tuple and AN_OUTPUT.fullmatch(loose[0]):
                takes[loose[0]] = THE_OUTPUT
                self.said.append(f"{loose[0]} of backward is the output")
            else:
                takes |= {name: (ARGUMENT, of) for name, of in zip(loose, unnamed, strict=False)}
                self.said += [f"{name} of backward is {takes[name][1]}" for name in loose]
        elif rest and all(map(is_plain, parts)) and not (self.is_method or self._are_said(cotangents)):
            if max(map(np.size, parts)) > 1:
                raise refused(
                    f"forward gives {len(parts)} results{self._named_parts()}, and backward takes "
                    f"({listed(parameters)}): say with out= which of the results it starts from"
                )
            outputs = [*range(len(parts))]
        places: list[Path] = [(COTANGENT, i) for i in range(len(cotangents))]
        takes |= zip(cotangents, places if len(cotangents) > 1 else [(COTANGENT,)], strict=False)
        self.outputs = ((),)
        if is_tuple:
            self.outputs = tuple((i,) for i in outputs)
            names = " and ".join(self.names[i] or f"number {i + 1}" for i in outputs)
            self.said.append(f"the output is {names} of forward's results")
        elif isinstance(self.result, dict) and (key := self._loss_in(self.result)):
            self.outputs = ((key,),)
            self.said.append(f"the output is {key!r} of forward's results")
        output = (RESULT, *self.outputs[0])
        self.takes = {x: output if takes[x] == THE_OUTPUT else takes[x] for x in parameters if x in takes}

    def _are_alike(self, wanted: Sequence[str], rest: Sequence[Path]) -> bool:
        """Whether parameters are called like the results in whose order they stand, or are all caches."""
        pairs = [
            (folded(name), folded(self.names[i] or "")) for name, (_, i) in zip(wanted, rest, strict=True)
        ]
        return all(b and (a in b or b in a or ("cache" in a and "cache" in b)) for a, b in pairs)

    def _backwards(self) -> dict[str, inspect.Parameter]:
        """The parameters of backward; of one that does not tell, a cotangent and all of forward's."""
        own = self.parameters[BACKWARD]
        kinds = (
            {p.kind for p in inspect.signature(self.functions[BACKWARD]).parameters.values()} if own else ()
        )
        if own is None or (len(own) == 1 and inspect.Parameter.VAR_POSITIONAL in kinds):
            return {**(own or {"grad_out": REQUIRED}), **dict.fromkeys(self._forwards(), REQUIRED)}
        return own

    def _by_name(
        self, parameters: Mapping[str, inspect.Parameter]
    ) -> tuple[dict[str, Path], list[str], list[str]]:
        """What the names of parameters say; those for what forward leaves; and those that say nothing."""
        takes: dict[str, Path] = {}
        states: list[str] = []
        loose: list[str] = []
        forwards = self.parameters[FORWARD] or {}
        inner = self._inner()
        for name in parameters:
            needed = name in required(parameters)
            is_state = name in CACHES or "cache" in name.lower()
            place = self.names.index(name) if name in self.names else None
            if name in self.held and not (place is not None and (is_state or name in self.out)):
                if place is not None and not self.out and not same(self.parts[place], self.held[name]):
                    raise refused(
                        f"backward takes {name}, which is an argument of forward and the name "
                        f"of what it returns: say with out={name!r} that it is the latter, or with out='out' "
                        "that it is not"
                    )
                takes[name] = (ARGUMENT, name)
            elif name in self.out or (name in OUTPUTS and place is None):
                takes[name] = THE_OUTPUT
            elif place is not None and len(self.parts) > 1 and not RATE.fullmatch(name):
                takes[name] = (RESULT, place)
            elif name in inner:
                takes[name] = inner[name]
            elif is_state:
                states.append(name)
            elif needed and (name in forwards or RATE.fullmatch(name)):  # the default, or a rate of 1
                self.world.arguments[name] = forwards[name].default if name in forwards else 1.0
                takes[name] = (ARGUMENT, name)
            elif needed:
                loose.append(name)
        return takes, states, loose

    def _inner(self) -> dict[str, Path]:
        """What stands in a tuple or a dict among forward's results, by the names that it has there alone."""
        if not isinstance(self.result, tuple):
            return {}
        names = returned_names(self.functions[FORWARD], self.result, inner_names)
        found: list[tuple[Any, Path]] = []
        for i, (part, called_so) in enumerate(zip(self.parts, names, strict=True)):
            is_dict = isinstance(part, dict)
            keys = [*part] if is_dict else called_so or ()
            places = keys if is_dict else range(len(keys))
            if isinstance(part, (dict, tuple, list)) and len(part) == len(keys):
                found += zip(keys, ((RESULT, i, j) for j in places), strict=True)
        counts = Counter(name for name, _ in found)
        return {name: path for name, path in found if counts[name] == 1}

    def _cotangents(
        self, parameters: Mapping[str, inspect.Parameter], loose: Sequence[str], is_scalar: bool
    ) -> list[str]:
        """The parameters that are gradients of the output: those called so, else the first."""
        found = [name for name in loose if GRADIENT.fullmatch(name)]
        is_first = loose[:1] == [*parameters][:1] and (self.is_method or len(parameters) > 1)
        if not found and loose and is_first:
            return [loose[0]]
        if not found and LOSS not in self.functions and not is_scalar:
            optional = [name for name in parameters if name not in required(parameters)]
            return [name for name in optional if GRADIENT.fullmatch(name) and name not in self.held][:1]
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
            raise refused(
                f"{listed(cotangents)} of backward may all be gradients of an output, and "
                f"forward gives {len(plain_parts)}{self._named_parts()}; give those that are none with at=, "
                "or let backward be a function that takes only one"
            )
        return [*plain_parts[: max(1, len(cotangents))]] or [0]

    def _are_said(self, cotangents: Sequence[str]) -> bool:
        """Whether names say which results cotangents are of."""
        return any(name in self.names for name in (*self.out, *itertools.chain(*map(bases, cotangents))))

    def _named_parts(self) -> str:
        return f" ({listed(name or '…' for name in self.names)})" if any(self.names) else ""

    def _stop(self, wanted: Sequence[str], cotangents: Sequence[str]) -> None:
        arguments, first = self._forwards(), (cotangents or ["grad_out"])[0]
        if wanted[0] in CACHES and not isinstance(self.result, tuple):
            raise refused(
                f"backward asks for {wanted[0]}, which forward does not give; let it take "
                "forward's arguments or its output by name, as "
                f"backward({listed([first, *arguments, 'out'])})"
            )
        raise refused(
            f"backward takes {listed(self._backwards())}; forward takes {listed(arguments)}"
            + f" and gives {len(self.parts)} results{self._named_parts()}" * isinstance(self.result, tuple)
            + f": what {listed(wanted)} should be is not known; call it as forward does, or give it with at="
        )

    def _loss_takes(self) -> dict[str, str | None]:
        """What each parameter of the loss is: an argument by name, or None for forward's output."""
        parameters = self.parameters[LOSS] or {}
        needed = [name for name in required(parameters) if name not in self.held]
        outputs = [name for name in needed if not TARGETS.fullmatch(name)]
        others = [name for name in needed if name not in outputs]
        targets = [name for name in self.held if TARGETS.fullmatch(name) and name not in parameters]
        if len(outputs) != 1 or len(others) > len(targets) or len(targets) > len(others) > 0:
            raise refused(
                f"loss takes {listed(parameters)}; it must take forward's output and what at= "
                f"gives, by name: {listed(self.held)}"
            )
        of = {outputs[0]: None, **dict(zip(others, targets, strict=False))}
        return {name: of.get(name, name) for name in parameters if name in of or name in self.held}

    def _loss_of(self, result: Any) -> Path:
        """Where in the result of one function the loss is: what is called so, else the first scalar."""
        if not isinstance(result, (tuple, dict)):
            raise refused(
                "backward= is missing, and forward does not return (loss, gradients); give the "
                "backward pass too"
            )
        items = result.items() if isinstance(result, dict) else enumerate(result)
        names = [*result] if isinstance(result, dict) else self.names
        scalars = {i: n for (i, x), n in zip(items, names, strict=True) if _is_scalar(x)}
        if not scalars:
            raise refused("backward= is missing, and forward returns no scalar that could be a loss")
        return (next((i for i, name in scalars.items() if name in LOSSES), next(iter(scalars))),)

    def _loss_in(self, result: dict[str, Any]) -> str | None:
        """The entry of forward's dict that backward starts from, where it names one, or is called a loss."""
        asked = [name for name in self.out if name in result]
        return next(iter(asked or [name for name in LOSSES if _is_scalar(result.get(name))]), None)


def _is_scalar(x: Any) -> bool:
    return is_plain(x) and is_floating(x) and np.size(x) == 1
