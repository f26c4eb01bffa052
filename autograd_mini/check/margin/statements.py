"""The statements of a backward pass that may be edited, and what was in scope where they ran.

A statement may be edited if it runs in the backward pass and not in the forward pass; so may be the
expression of a lambda, and a formula as text.
"""

from __future__ import annotations

import ast
import copy
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from autograd_mini.check.margin.edits import Slot
from autograd_mini.check.margin.runs import Runs
from autograd_mini.check.margin.scope import Scope, Thing, is_leaf, is_safe, thing_of
from autograd_mini.check.margin.statement_edits import Edits
from autograd_mini.check.subjects.hand import Formula
from autograd_mini.check.subjects.passes import is_own
from autograd_mini.check.subjects.tensors import Runner
from autograd_mini.rewriting import ORIGINALS, TREES, Tree, asking, asks, code_of, codes_of, outline, tree_of

if TYPE_CHECKING:
    from types import FrameType

LONG = 160  # characters of an expression that no edit uses
MOST_ITEMS = 40  # of a dictionary
VISITS = 3  # of a line, at which its scope is looked at


class Unit:
    """A function that may be edited: its syntax tree, and a twin of it from which its code is made."""

    def __init__(self, code: CodeType, f: FunctionType, tree: Tree) -> None:
        self.f, self.tree, self.original = f, tree, code
        twin = copy.deepcopy(tree)
        self.twins = {id(a): b for a, b in zip(ast.walk(tree), ast.walk(twin), strict=True)}
        self.twin = asking(twin)
        self.file = code.co_filename

    def made(self) -> Any:
        """What stands in the place of the original, as the twin is now."""
        return code_of(self.twin, self.f)

    def ready(self, new: Any) -> Any:
        """A node, or nothing, as the twin has it."""
        return new and asks(new)

    def watched(self, tree: Any) -> Any:
        """What does so, of another tree, and shows its results."""
        return code_of(asking(tree, self.file), self.f)

    def expressions(self) -> dict[str, tuple[CodeType, bool]]:
        """What can be evaluated in a frame of it without harm, and whether it is a leaf."""
        found: dict[str, tuple[CodeType, bool]] = {}
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.expr) or isinstance(
                node, (ast.Constant, ast.Slice, ast.Tuple, ast.List, ast.Dict)
            ):
                continue
            if is_leaf(node) or (
                is_safe(node) and isinstance(getattr(node, "ctx", None), (ast.Load, type(None)))
            ):
                text = ast.unparse(node)
                if len(text) < LONG and text not in found:
                    found[text] = compile(text, "<scope>", "eval"), is_leaf(node)
        return found


class Text:
    """A formula as text that may be edited."""

    file = ""

    def __init__(self, formula: Formula) -> None:
        self.original = formula
        self.tree = self.twin = ast.parse(" ".join(formula.expression.text.split()), mode="eval")
        self.twins = {id(node): node for node in ast.walk(self.tree)}

    def made(self) -> Any:
        """The formula as the tree is now; ValueError if it is none."""
        return Formula(ast.unparse(self.twin), self.original.complete)

    def ready(self, new: Any) -> Any:
        return new

    def watched(self, tree: Any) -> Any:
        return Formula(ast.unparse(tree), self.original.complete)


class Statement(NamedTuple):
    """A statement of the backward pass, or the expression of a lambda or a formula."""

    unit: Unit | Text
    slot: Slot
    line: int
    end: int
    edits: Edits

    def shown(self) -> str:
        """Its text; of a compound one the first line."""
        node = self.slot.get()
        text = ast.unparse(node)
        if isinstance(node, ast.If) and isinstance(
            node.test, ast.Constant
        ):  # statements put in the place of one
            return "\n".join(map(ast.unparse, node.body))
        return text.partition("\n")[0] if isinstance(node, (ast.For, ast.While, ast.If)) else text


class _Scopes:
    """What was in scope at each line of some units, in the order in which they ran."""

    def __init__(self, units: Sequence[Unit]) -> None:
        codes = {*ORIGINALS.values()}  # of whole files; one that was compiled apart is known by its outline
        self.units: dict[Any, Unit] = {
            code if code in codes else outline(code): unit
            for unit in units
            for code in codes_of(unit.original)
        }
        self.expressions = {id(unit): unit.expressions() for unit in units}
        self.seen: dict[tuple[Unit, int], int] = {}
        self.scopes: dict[tuple[Unit, int], dict[str, Thing]] = {}
        self.methods: dict[Unit, dict[str, tuple[str, ...]]] = defaultdict(dict)
        self.looks = False

    @contextmanager
    def watching(self, looks: bool) -> Iterator[None]:
        """Inside, lines are counted; with ``looks``, their scopes are kept."""
        self.looks = looks
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            yield
        finally:
            sys.settrace(before)

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        code = ORIGINALS.get(frame.f_code, frame.f_code)
        unit = self.units.get(code) or self.units.get(outline(code))
        if unit is None:
            return None
        if event == "line":
            line = unit, frame.f_lineno
            self.seen[line] = self.seen.get(line, 0) + 1
            if self.looks and self.seen[line] <= VISITS:
                sys.settrace(None)
                try:
                    self._look(unit, line, frame)
                finally:
                    sys.settrace(self._trace)
        return self._trace

    def _look(self, unit: Unit, line: tuple[Unit, int], frame: FrameType) -> None:
        scope = self.scopes.setdefault(line, {})
        held: dict[int, Any] = {}  # alive, for their ids
        for text, value, leaf in self._values(unit, frame):
            thing = thing_of(value, leaf)
            if thing is None and leaf:
                self.methods[unit].update((f"{text}.{name}", ()) for name in _derivatives(value))
            if thing is None or text in scope:
                continue
            if isinstance(value, np.ndarray):
                thing = thing._replace(alias=id(value) in held)
                held[id(value)] = value
            scope[text] = thing

    def _values(self, unit: Unit, frame: FrameType) -> Iterator[tuple[str, Any, bool]]:
        variables = frame.f_locals
        for name, x in [*variables.items()]:
            if not name.startswith("_autograd"):
                yield name, x, True
        for text, (code, leaf) in self.expressions[id(unit)].items():
            try:
                yield text, eval(code, frame.f_globals, variables), leaf
            except Exception:  # it has no value yet
                continue
        for name, x in [*variables.items()]:
            yield from _parts(name, x)
            for text, part, _ in _parts(name, x) if name == "self" else ():
                yield from _parts(text, part)


def _parts(name: str, x: Any) -> Iterator[tuple[str, Any, bool]]:
    """The items of a dictionary and the attributes of an instance."""
    if isinstance(x, dict) and len(x) < MOST_ITEMS:
        yield from ((f"{name}[{key!r}]", item, True) for key, item in [*x.items()] if isinstance(key, str))
    elif not isinstance(x, (type, ModuleType, FunctionType)) and not name.startswith("_"):
        yield from ((f"{name}.{key}", item, True) for key, item in [*getattr(x, "__dict__", {}).items()])


def of_formula(formula: Formula, known: Mapping[str, Any]) -> Statement:
    text = Text(formula)
    slot = Slot(text.tree, "body")
    things = {name: thing_of(x) for name, x in known.items()}
    scope = {name: x for name, x in things.items() if x is not None}
    return Statement(text, slot, 0, 0, Edits(slot, scope, {}, ""))


def statements(runs: Runs) -> list[Statement]:
    """The statements that run in the backward pass and not in the forward pass, in the order they run."""
    runs.gradients()
    units = [Unit(code, f, tree) for code, f in runs.functions.items() if (tree := tree_of(code)) is not None]
    scopes = _Scopes(units)
    constants = _constants(runs.passes.roots)
    forward: set[tuple[Unit, int]] = set()
    if not runs.passes.joined:
        with scopes.watching(looks=False):
            runs.passes.forward(runs.trial.arguments)
        forward = {*scopes.seen}
        scopes.seen.clear()
    with scopes.watching(looks=True), suppress(Exception):  # what ran until it fails is known
        runs.gradients()
    order = [*scopes.seen]
    found: list[tuple[int, Statement]] = []
    reached = [*(unit.f for unit in units), *_reached(runs.passes.roots)]
    called = {name for f in reached for code in codes_of(f.__code__) for name in code.co_names}
    for unit in units:
        own_functions = {
            name: f
            for name, f in unit.f.__globals__.items()
            if isinstance(f, FunctionType) and f.__module__ == unit.f.__module__ and _takes_one(f)
        }
        functions = {name: _flags(f) for name, f in own_functions.items() if _is_akin(name, called)}
        functions |= scopes.methods[unit]
        own = [x for (other, _), x in scopes.scopes.items() if other is unit]
        later = {t: x for scope in own for t, x in scope.items()}
        for slot, loop in _slots(unit.tree):
            node = slot.get()
            body = getattr(node, "body", None)
            end = body[0].lineno - 1 if isinstance(body, list) else node.end_lineno
            lines = [(unit, line) for line in range(node.lineno, max(end, node.lineno) + 1)]
            ran = [line for line in lines if line in scopes.seen]
            if ran and not forward.intersection(lines):
                scope: Scope = {t: x for line in lines for t, x in scopes.scopes.get(line, {}).items()}
                numpy = next((f"{n}." for n, x in unit.f.__globals__.items() if x is np), "np.")
                edits = Edits(slot, scope, functions, numpy, loop, later, constants)
                found.append((order.index(ran[0]), Statement(unit, slot, node.lineno, end, edits)))
    return [statement for _, statement in sorted(found, key=lambda x: x[0])]


def _is_akin(name: str, called: Collection[str]) -> bool:
    """Whether a function is called, or has the name of one that is in its own, as ``sigmoid_prime`` has.

    No other is tried: nobody knows what it does.
    """
    return any(len(other) > 2 and other.lower() in name.lower() for other in called)


def _reached(roots: Sequence[Callable[..., Any]]) -> Iterator[FunctionType]:
    """The functions, and those that they call."""
    left: list[Any] = [*roots]
    seen = set()
    while left:
        f = left.pop()
        f = f.f if isinstance(f, Runner) else getattr(f, "__func__", f)
        if isinstance(f, FunctionType) and f not in seen:
            seen.add(f)
            yield f
            left += _beside(f)


def _beside(f: FunctionType) -> list[Any]:
    """What a function has from outside."""
    held = [cell.cell_contents for cell in f.__closure__ or ()]
    return [f.__globals__.get(name) for name in f.__code__.co_names] + held


def _constants(roots: Sequence[Callable[..., Any]]) -> list[float]:
    """The numbers that functions, and the user's own that they call, hold or have as defaults."""
    found: dict[float, None] = {}
    for f in _reached(roots):
        held = [x for code in codes_of(f.__code__) for x in code.co_consts] if is_own(f) else []
        known = (*held, *(f.__defaults__ or ()), *_beside(f))
        found |= dict.fromkeys(x for x in known if isinstance(x, float))
    return [*found]


def _slots(tree: Tree) -> Iterator[tuple[Slot, ast.For | None]]:
    """The places of all statements of a function, with the loop that each is the last of."""
    if isinstance(tree, ast.Lambda):
        yield Slot(tree, "body"), None
        return
    left: list[ast.AST] = [tree]
    while left:
        node = left.pop()
        for part_of in ("body", "orelse", "finalbody"):
            body = getattr(node, part_of, None)
            for i, part in enumerate(body if isinstance(body, list) else ()):
                last = isinstance(node, ast.For) and part_of == "body" and i == len(body or ()) - 1
                if isinstance(part, (*TREES, ast.With, ast.Try)):
                    left.append(part)
                    continue
                if isinstance(part, (ast.For, ast.While, ast.If)):
                    left.append(part)
                if not isinstance(part, (ast.Assert, ast.Import, ast.ImportFrom, ast.Global, ast.ClassDef)):
                    yield Slot(node, part_of, i), node if last and isinstance(node, ast.For) else None


def _derivatives(x: Any) -> Iterator[str]:
    """The methods of a user's instance that by their names are derivatives, of one argument."""
    for name in filter(DERIVATIVE.search, dir(type(x))):
        f = getattr(type(x), name, None)
        if is_own(f) and f.__code__.co_argcount == 2:
            yield name


DERIVATIVE = re.compile("grad|deriv|prime|backward")


def _takes_one(f: FunctionType) -> bool:
    count = f.__code__.co_argcount
    return count >= 1 and count - len(f.__defaults__ or ()) <= 1


def _flags(f: FunctionType) -> tuple[str, ...]:
    """Its parameters that are true or false, the other way round."""
    names = f.__code__.co_varnames[: f.__code__.co_argcount]
    defaults = f.__defaults__ or ()
    return tuple(
        f"{n}={not x}"
        for n, x in zip(names[len(names) - len(defaults) :], defaults, strict=True)
        if isinstance(x, bool)
    )
