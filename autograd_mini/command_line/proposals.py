"""What is meant by a file: which of its functions are passes, and numbers on which they run.

Names propose shapes: of a batch, of the weights and the bias of a layer, of labels. Those are taken on which
the passes run. The axes have different lengths, none of them 2, so that a transposed product does not fit.
"""

from __future__ import annotations

import ast
import heapq
import inspect
import itertools
import re
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple

from autograd_mini.check.subjects.arguments import listed
from autograd_mini.check.subjects.naming import bases, returned_names
from autograd_mini.check.subjects.running import BACKWARDS, FORWARDS, LOSSES
from autograd_mini.definitions import Definitions
from autograd_mini.suggestions import did_you_mean

AHEAD = set("forward fwd fprop feedforward feed pass propagation prop propagate f fn".split())
BACK = set("backward back bwd bprop backprop prime derivative deriv der grad gradient d diff dx".split())
PATIENCE = 3.0  # seconds for a point
MOST = 12  # names
LATER = 0.9  # by how many choices a layout comes later than the one before


class Pair(NamedTuple):
    """The names of two passes; without a second one, the first gives loss and gradients."""

    forward: str
    backward: str | None

    def __str__(self) -> str:
        return f"--forward {self.forward}" + f" --backward {self.backward}" * (self.backward is not None)


# --- which functions ----------------------------------------------------------------------------------


def pair_of(found: Definitions, forward: str | None, backward: str | None) -> Pair:
    """The passes that are named, or the only ones that the names in the file propose."""
    for name in filter(None, (forward, backward)):
        named(found, name)
    if forward is not None and backward is not None:
        return Pair(forward, backward)
    pairs = [
        pair
        for pair in dict.fromkeys(_pairs(found))
        if forward in (None, pair.forward) and backward in (None, pair.backward)
    ]
    if forward is not None and not pairs:
        return Pair(forward, None)
    if len(pairs) == 1:
        return pairs[0]
    if not pairs:
        raise ValueError(
            f"{found.path} has no functions or methods called like a forward and a backward pass; say which "
            f"they are with --forward and --backward; it defines {listed(found.own)}"
        )
    lines = "".join(f"\n  {pair}" for pair in pairs)
    raise ValueError(f"{found.path} has several passes; choose:{lines}")


def _pairs(found: Definitions) -> Iterator[Pair]:
    functions = [name for name in found.own if inspect.isfunction(found.names[name])]
    for name in found.own:
        kind = found.names[name]
        if isinstance(kind, type):
            ahead, back = (
                [n for n in names if callable(getattr(kind, n, None))] for names in (FORWARDS, BACKWARDS)
            )
            ahead = [n for n in ahead if n != "__call__" or "__call__" in vars(kind)]
            if ahead and back:
                yield Pair(f"{name}.{ahead[0]}", f"{name}.{back[0]}")
            elif ahead and _gives_both(getattr(kind, ahead[0])):
                yield Pair(f"{name}.{ahead[0]}", None)
    for name in functions:
        if _gives_both(found.names[name]):
            yield Pair(name, None)
        elif _words(name) & BACK:
            stem = _words(name) - AHEAD - BACK
            others = [f for f in functions if f != name and not _words(f) & BACK]
            same = [f for f in others if _words(f) - AHEAD == stem] or [
                f for f in others if not stem and f in LOSSES
            ]
            ahead = [f for f in same if _words(f) & AHEAD] or same
            if len(ahead) == 1:
                yield Pair(ahead[0], name)


def named(found: Definitions, name: str) -> Any:
    """What the file calls so."""
    owner, *rest = name.split(".")
    if owner not in found.names:
        raise ValueError(f"{found.path} defines no {owner}; it defines {listed(found.own)}")
    return reduce(partial(part_of, found), rest, found.names[owner])


def part_of(found: Definitions, owner: Any, name: str) -> Any:
    """An attribute of what the file defines."""
    if not hasattr(owner, name):
        known = [x for x in dir(owner) if not x.startswith("_") and callable(getattr(owner, x))]
        kind = owner.__name__ if isinstance(owner, type) else type(owner).__name__
        raise ValueError(f"{kind} in {found.path} has no {name}; {did_you_mean(name, known)}")
    return getattr(owner, name)


def _words(name: str) -> set[str]:
    """The words in a name, as in sigmoid_prime or sigmoidPrime."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)}


def _gives_both(f: Any) -> bool:
    """Whether a function returns a loss and gradients, by their names."""
    for count in (2, 3, 4, 5, 6, 7):
        names = [name or "" for name in returned_names(f, (0,) * count)]
        others = [name for name in names if name not in LOSSES]
        if len(others) < count and any(bases(name) or name.startswith("grad") for name in others):
            return True
    return False


# --- numbers on which they run ------------------------------------------------------------------------

SAMPLES, SIZES = 3, (4, 5, 6, 7, 8, 9)  # of the batch, and of layers from the inputs on
# Shapes in four ways of writing a layer: n samples, i inputs, o outputs.
LAYOUTS = (
    {"data": "n,i", "weight": "i,o", "bias": "o", "out": "n,o", "gain": "i"},
    {"data": "i,n", "weight": "o,i", "bias": "o,1", "out": "o,n", "gain": "i,1"},
    {"data": "i", "weight": "o,i", "bias": "o", "out": "o", "gain": "i"},
    {"data": "i,1", "weight": "o,i", "bias": "o,1", "out": "o,1", "gain": "i,1"},
    {"data": "n,i", "weight": "i,o", "bias": "1,o", "out": "n,o", "gain": "1,i"},
)
# What a parameter is by its name, and what it may be given, the likely first; the first pattern decides.
ROLES: tuple[tuple[str, str], ...] = (
    (r"(n_?|num_?).*|.*(size|dim|units|neurons|nodes|features|channels|classes|filters)s?|vocab.*", "size"),
    (r"reg|lam(bda)?_?|eps(ilon)?|lr|.*rate|alpha|eta|momentum|p|p_.*|keep.*|drop.*|scale|beta\d",
     "0.25 0.5"),
    (r"stride|pad(ding)?|axis", "1 0"),
    (r"mode|train(ing)?|is_train.*", "'train' True"),
    (r"gamma|beta|g", "randn(gain) randn(bias) randn(i)"),
    (r"y|t|ys|targets?|labels?|y_?true|truth|actual|expected",
     "onehot(n,o) onehot(n,i) onehot(n,o).T onehot(n,i).T randint(o,n) randint(i,n) randn(out) 1 rand(out) "
     "onehot(n,p) randn(data) randint(p,n)"),
    (r"(h|s|c|state|hidden)_?(prev|0|init)|(prev|next|last)_?(h|c|s|state|hidden)",
     "randn(out) randn(o) randn(o,1) randn(data)"),
    (r"(b|bias|biases|b[a-z]{1,2})_?\d*", "randn(bias) randn(o) randn(o,1) 0.5"),
    (r"(w|weights?|kernels?|filters?|theta|u|v|w_?[a-z]{1,3})_?\d*",
     "randn(weight) randn(o,o) randn(o,p) randn(i) 0.5 randn(o,i,3,3) randn(i,i)"),
    (r".*pred.*|.*hat|probs?|.*prob(abilitie)?s", "rand(data) rand(out) randn(data) randn(out)"),
    (r".*",
     "randn(data) randn(out) 0.5 randn(i) 3 randn(n,i,8,8) randn(n,7,i) rand(data) randint(i,n) randn(9,8)"),
)  # fmt: skip


def point_for(
    needed: Sequence[str],
    keys: Mapping[str, Sequence[str]],
    given: Mapping[str, str],
    runs: Callable[[Mapping[str, str]], Exception | None],
) -> dict[str, str]:
    """Texts such as ``randn(3,4)`` for all that is needed, on which the passes run; ``given`` ones stay.

    ``keys`` are those of parameters that are dicts, and ``runs`` is None for a point on which all runs, else
    why not. A variable that has no value is needed too.
    """
    open_ = [name for name in needed if name not in given]
    flat = [(name, key) for name in open_ for key in keys.get(name) or (name,)]
    deadline = time.perf_counter() + PATIENCE
    failed: Exception | None = None
    for texts in _combinations([key for _, key in flat]):
        point = dict(given)
        for name in open_:
            own = {key: text for (of, key), text in zip(flat, texts, strict=True) if of == name}
            tree = "{" + ", ".join(f"{key!r}: {text}" for key, text in own.items()) + "}"
            point[name] = tree if keys.get(name) else own[name]
        error = runs(point)
        if error is None:
            return point
        missing = error.name if isinstance(error, NameError) and len(open_) < MOST else None
        if missing is not None and missing not in (*needed, *given):
            return point_for([*needed, missing], keys, given, runs)
        if failed is None or _weight(error) >= max(1, _weight(failed)):
            failed = error
        if time.perf_counter() > deadline:
            break
    if not open_:
        raise ValueError(f"the passes do not run on these numbers: {failed}")
    raise ValueError(
        f"no numbers were found on which the passes run; they take {listed(needed)}: give them, as in "
        f'--at "{(open_ or ["x"])[0]}=randn(5,4)"; a try ended in {type(failed).__name__}: {failed}'
    )


def _weight(error: Exception) -> int:
    """How much an error says of what was asked, whatever the numbers."""
    said = str(error)
    return said.startswith("check_backward: ") * (1 if " raises " in said else 2)


def _combinations(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """What all names may be given: the first choices of the first layout, then what is ever less likely."""
    depth = max([_layer(name) for name in names if re.match("[wb]", name, re.I)], default=1)

    def ranked(place: int, layout: Mapping[str, str]) -> Iterator[tuple[float, tuple[str, ...]]]:
        choices = [_choices(name, layout, depth) for name in names]
        for total in range(sum(map(len, choices)) - len(choices) + 1):
            for rank in _ranks([len(choice) for choice in choices], total):
                texts = tuple(choice[i] for choice, i in zip(choices, rank, strict=True))
                yield total + LATER * place, texts

    yield from (texts for _, texts in heapq.merge(*itertools.starmap(ranked, enumerate(LAYOUTS))))


def _ranks(lengths: Sequence[int], total: int) -> Iterator[tuple[int, ...]]:
    """All places in sequences of these lengths that sum up to the total."""
    if not lengths:
        yield from [()] * (total == 0)
    else:
        for i in range(min(total, lengths[0] - 1) + 1):
            yield from ((i, *rest) for rest in _ranks(lengths[1:], total - i))


def _layer(name: str) -> int:
    """The number at the end of a name, 1 without."""
    return max(1, int((re.findall(r"\d$", name) or ["1"])[0]))


def _choices(name: str, layout: Mapping[str, str], depth: int) -> list[str]:
    """What a parameter of that name may be given in a layout, in a net of some layers."""
    role = next(choices for pattern, choices in ROLES if re.fullmatch(pattern, name, re.I))
    if role == "size":
        size = next((size for word, size in NAMED_SIZES.items() if word in name.lower()), SIZES[1])
        return [str(size), "3"]
    layer = _layer(name) if role.startswith(OF_LAYERS) else depth if role.startswith("onehot") else 1
    i, o, p = SIZES[min(layer, len(SIZES) - 2) - 1 :][:3]
    letters = {"n": SAMPLES, "i": i, "o": o, "p": p}

    def shape(found: re.Match[str]) -> str:
        return re.sub(r"[niop]", lambda letter: str(letters[letter[0]]), layout.get(found[1], found[1])) + ")"

    return [*dict.fromkeys(re.sub(r"(?<=\()([a-z0-9,]+)\)", shape, choice) for choice in role.split())]


OF_LAYERS = ("randn(bias", "randn(weight")  # what a number at the end of a name counts
NAMED_SIZES = dict(zip("in vocab out hidden class kernel".split(), (4, 4, 5, 5, 6, 3), strict=True))


def keys_in(functions: Sequence[Callable[..., Any]]) -> dict[str, list[str]]:
    """For each name that functions take keys of, such as ``params["W1"]``, these keys, by their text."""
    found: dict[str, dict[str, None]] = {}
    for f in functions:
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(f)))
        except (OSError, TypeError, SyntaxError):
            continue
        for node in ast.walk(tree):
            match node:
                case ast.Subscript(ast.Name(name), ast.Constant(str() as key)):
                    found.setdefault(name, {})[key] = None
    return {name: [*keys] for name, keys in found.items()}
