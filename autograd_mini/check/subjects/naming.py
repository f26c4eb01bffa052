"""What gradients are called: names of numbers in results, attributes and variables, and what they are of."""

from __future__ import annotations

import ast
import difflib
import inspect
import itertools
import linecache
import re
import textwrap
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from autograd_mini.check.subjects.arguments import is_plain, listed, numbers_of
from autograd_mini.check.subjects.passes import HEAP, RESULT, Path, attributes, function_of, is_users
from autograd_mini.trees import leaves

# ∂L/∂W in the letters of code: what stands before the name, and after it.
BEFORE = re.compile(
    r"(?:∂|nabla_?|grad(?:ient)?s?_?|delta_?|del_?|d_?|D_?|g_?|(?:top_)?diff_|loss_|cost_)(?P<name>.+)"
)
BEFORE_OF = re.compile(r"d_?(?:[LJEC]|loss|cost|out|l)_?d?_?(?P<name>.+)", re.I)
AFTER = re.compile(r"(?P<name>.+?)_?(?:[Gg]rad(?:ient)?s?|[Dd]elta|[Dd]iff|_d|_g|_bar)$")
GRADIENTS = set("grad grads gradient gradients dparams derivatives g d diff delta".split())
CONTAINERS = {"params", "parameters", "param", "weights", "p", "theta", "model", "variables", "state"}
HOLDERS = {"data", "value", "val", "values", "v", "w", "params"}
ALIKE = ({"w", "weight", "weights", "kernel", "filter", "filters"}, {"b", "bias", "biases"})
DEPTH = 6  # of attributes in attributes


class Leaf(NamedTuple):
    """A number or an array that passes work on or give: where it is, how it is written, and what it is."""

    path: Path
    text: str
    value: Any
    parts: tuple[Any, ...]  # the names and positions on the way
    others: tuple[Path, ...] = ()  # where the same array is, too

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.value)

    @property
    def calls(self) -> tuple[Any, ...]:
        """What it may be called: as it is written, by its last name, or by its place among results."""
        return (
            self.text,
            *self.parts[-1:],
            *((self.path[1:] or (0,)) if self.path[0] == RESULT and len(self.path) <= 2 else ()),
        )

    def __str__(self) -> str:
        return f"{self.text} of shape {self.shape}"


def bases(name: str) -> set[str]:
    """What a gradient may be of that is called so.

    >>> sorted(bases("dW")), sorted(bases("grad_W")), sorted(bases("W_grad")), sorted(bases("dL_dW"))
    (['W'], ['W'], ['W'], ['L_dW', 'W'])
    """
    found = (pattern.fullmatch(name) for pattern in (BEFORE, BEFORE_OF, AFTER))
    return {match["name"] for match in found if match}


def folded(part: Any) -> Any:
    """A name without the difference of letters' cases and underscores."""
    return part.lower().replace("_", "") if isinstance(part, str) else part


def meaning(part: Any) -> Any:
    """A name as one of those that mean the same, such as weights and W."""
    return next((min(names) for names in ALIKE if folded(part) in names), folded(part))


def called(name: str, known: Iterable[Leaf]) -> list[Leaf]:
    """Those that are written so, or else whose last part is the name."""
    known = [*known]
    found = [leaf for leaf in known if leaf.text == name]
    return found or [leaf for leaf in known if leaf.parts[-1] == name]


def called_alike(source: Leaf, target: Leaf, alike: Callable[[Any], Any], is_suffix: bool) -> bool:
    """Whether a gradient is called like the gradient of an argument, or of the last parts of its name."""
    targets = [tuple(map(alike, key)) for key in _target_keys(target.parts)]
    sources = [tuple(map(alike, key)) for key in _source_keys(source)]
    return any(s == t or (is_suffix and s == t[-len(s) :]) for s in sources for t in targets)


def _source_keys(source: Leaf) -> Iterator[tuple[Any, ...]]:
    """What a gradient may be of, part by part, if anything in its name says that it is a gradient."""
    choices: list[list[tuple[tuple[Any, ...], bool]]] = []
    for part in source.parts:
        found: list[tuple[tuple[Any, ...], bool]] = [((part,), False)]
        if isinstance(part, str):
            found += [((name,), True) for name in bases(part)]
            found += [((), True)] * (folded(part) in GRADIENTS)
        choices.append(found)
    is_given = source.path[0] == RESULT and not (
        len(source.parts) == 1 and len(source.path) == 2 and isinstance(source.path[1], int)
    )
    for choice in itertools.product(*choices):
        key = tuple(part for parts, _ in choice for part in parts)
        if key and (is_given or any(decorated for _, decorated in choice)):
            yield key


def _target_keys(parts: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """The names of an argument, also without what only holds it."""
    keys = [parts]
    if len(parts) > 1 and parts[-1] in HOLDERS:
        keys.append(parts[:-1])
    return [
        *keys,
        *(k for key in keys if (k := tuple(p for p in key[:-1] if p not in CONTAINERS) + key[-1:]) != key),
    ]


def raised_in(error: BaseException) -> str:
    """The line of the user's code that an error came from, and the shapes of the arrays that it names."""
    frames = [*traceback.walk_tb(error.__traceback__)]
    own = [x for x in frames if is_users(x[0].f_code)]
    if not own or not (text := linecache.getline(own[-1][0].f_code.co_filename, own[-1][1]).strip()):
        return ""
    frame, line = own[-1]
    said = []
    for name in dict.fromkeys(re.findall(r"(?<![\w.])(?:self\.)?[^\W\d]\w*", text)):
        owner, _, last = name.rpartition(".")
        homes = attributes(frame.f_locals.get(owner)) if owner else frame.f_locals
        if isinstance(x := homes.get(last), np.ndarray):
            said.append(f"{name} has shape {x.shape}")
        near = difflib.get_close_matches(last, homes, 1) if isinstance(error, NameError) else []
        if near and last not in homes and f"'{last}'" in str(error):
            said.append(f"{near[0]} is known")
    return f", in line {line}: {text}" + f", where {listed(said)}" * bool(said)


def returned_names(f: Any, result: Any, name: Callable[[ast.expr], Any] | None = None) -> list[Any]:
    """The names of what a function returns, as its text has them: of one thing, or of each in a tuple."""
    count = len(result) if isinstance(result, tuple) else 1
    nothing: list[Any] = [None] * count
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function_of(inspect.unwrap(f)))))
    except (OSError, TypeError, SyntaxError, ValueError):  # no text, or a lambda amid a line
        return nothing
    if not tree.body or not isinstance(tree.body[0], ast.FunctionDef):
        return nothing
    found: set[tuple[Any, ...]] = set()
    assigned = {} if name is None else _assigned(tree)
    for node in _returns(tree.body[0].body):
        parts = node.elts if isinstance(node, ast.Tuple) else [node]
        parts = [assigned.get(ast.unparse(part), part) for part in parts]
        if len(parts) == count:
            found.add(tuple(map(name or _name, parts)))
    columns = [set(column) for column in zip(*found, strict=True)]
    return [next(iter(column)) if len(column) == 1 else None for column in columns] or nothing


def inner_names(node: ast.expr) -> tuple[str | None, ...]:
    """The names in a list or a tuple, as of the gradients in ``return dx, [dW, db]``."""
    return tuple(map(_name, node.elts)) if isinstance(node, (ast.List, ast.Tuple)) else ()


def _assigned(tree: ast.AST) -> dict[str, ast.expr]:
    """What names are set to that are set once."""
    nodes = [x for x in ast.walk(tree) if isinstance(x, ast.Assign) and len(x.targets) == 1]
    names = [ast.unparse(x.targets[0]) for x in nodes]
    return {name: x.value for name, x in zip(names, nodes, strict=True) if names.count(name) == 1}


def _returns(body: Iterable[ast.AST]) -> Iterator[ast.expr]:
    """What is returned by these statements, and not by functions among them."""
    for node in body:
        if isinstance(node, ast.Return) and node.value is not None:
            yield node.value
        elif not isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Lambda)):
            yield from _returns(ast.iter_child_nodes(node))


def _name(node: ast.expr) -> str | None:
    match node:
        case ast.Name(name) | ast.Attribute(_, name) | ast.Subscript(_, ast.Constant(str() as name)):
            return name
    return None


# --- where numbers are ---------------------------------------------------------------------------------


def is_instance(x: Any) -> bool:
    """Whether it is of a class that code in Python has made, and no class itself."""
    made = bool(type(x).__flags__ & HEAP) and type(x).__module__ != "functools"
    return made and not isinstance(x, (type, np.ndarray))


def leaves_of(
    x: Any, path: Path, text: str, parts: tuple[Any, ...] | None = None, seen: frozenset[int] = frozenset()
) -> Iterator[Leaf]:
    """The numbers and arrays in something, with where they are and how that is written."""
    parts = path[1:] if parts is None else parts
    if is_plain(x):
        if not isinstance(x, (bool, np.bool_)) and np.size(x):
            yield Leaf(path, text, x, parts)
        return
    if len(seen) == DEPTH or id(x) in seen:
        return
    if isinstance(x, (dict, list, tuple)):
        items = x.items() if isinstance(x, dict) else enumerate(x)
        inner = [(key, f"{text}[{key!r}]", part) for key, part in items]
    else:
        dot, own = "." * bool(text), attributes(x) if is_instance(x) else {}
        inner = [(name, f"{text}{dot}{name}", part) for name, part in own.items()]
    for key, name, part in inner:
        yield from leaves_of(part, (*path, key), name, (*parts, key), seen | {id(x)})


def names_of(f: FunctionType, reached: Mapping[int, frozenset[str]]) -> set[str]:
    """The variables outside a function, and outside those that it calls."""
    return {n for n in reached.get(id(f.__globals__), ()) if n in f.__globals__} | {*f.__code__.co_freevars}


def same(x: Any, y: Any) -> bool:
    """Whether numbers or arrays of them are equal, nan included."""
    a, b = (np.asarray(numbers_in(z)) for z in (x, y))
    return a.shape == b.shape and np.array_equal(a, b, equal_nan=True)


def plain_number(x: Any) -> Any:
    """An array of no axes as a number."""
    return float(x) if not np.ndim(x) else x


def numbers_in(x: Any) -> Any:
    """A tree of numbers in one array."""
    if isinstance(x, (list, tuple, dict)):
        return np.concatenate([np.ravel(numbers_of(leaf)) for leaf in leaves(x)] or [np.empty(0)])
    return numbers_of(x)
