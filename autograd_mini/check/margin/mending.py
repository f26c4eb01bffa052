"""What the wrong line should be: the small edit that makes every gradient right, at fresh points too.

The edits of every statement that runs in the backward pass and not in the forward pass are tried, the
plainest first, and first where it matters: at the lines that repair names, then at those whose result moves
every wrong gradient and no right one. An edit counts if it leaves right what was right and mends the rest at
every point, with another cotangent at each, far off, and at another size. All this in a copy of the process.
"""

from __future__ import annotations

import ast
import copy
import difflib
import itertools
import math
import re
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from autograd_mini.check.margin.adjoints import Label, Labels, elsewhere, far_off, labels_by_line
from autograd_mini.check.margin.edits import (
    ANEW,
    KINDS,
    Edit,
    Edits,
    Scope,
    Slot,
    Thing,
    is_leaf,
    is_safe,
    thing_of,
)
from autograd_mini.check.margin.runs import Derivation, LossError, Recorder, Runs, Trial, close, is_called
from autograd_mini.check.subjects.hand import Formula
from autograd_mini.check.subjects.passes import is_own
from autograd_mini.check.subjects.tensors import Runner
from autograd_mini.processes import forked
from autograd_mini.rewriting import ORIGINALS, TREES, Tree, asking, asks, code_of, codes_of, outline, tree_of

if TYPE_CHECKING:
    from types import FrameType

Line: TypeAlias = "tuple[str, int]"

LONGEST_RUN, SHORT_RUN = 0.5, 0.04  # seconds
SLOWER = 25  # times as long as before the edit, and a short run more, may a run last
LATER = 0.25  # seconds in which fits are looked for after the first, at least
LONG = 160  # characters of an expression that no edit uses
SIZES = 2  # other than the given ones, at which a fit is tried
MOST_ITEMS = 40  # of a dictionary
PATIENCE, GRACE = 4.0, 0.5  # times the seconds of computing, and seconds more, by the clock on the wall
VISITS = 3  # of a line, at which its scope is looked at


class Change(NamedTuple):
    """One edited statement: where it is, and what it is then; ``new`` stands in the place of ``old``."""

    file: str
    line: int
    end: int
    text: str
    kind: str
    old: str
    new: str

    @property
    def statement(self) -> ast.stmt:
        """What it is then, as a tree; of a loop or a condition its head."""
        return ast.parse(self.text + " pass" * self.text.endswith(":")).body[0]


@dataclass(frozen=True)
class Mend:
    """Changes that make gradients right together, and how plain they are: the smaller ``rank``, the plainer.

    ``after`` are the labels of what the lines then compute, by line, kind and text.
    """

    changes: tuple[Change, ...]
    mends: frozenset[str]
    rank: float
    after: Mapping[tuple[str, int, str, str], Label] = field(default_factory=dict)


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


class SlowError(BaseException):
    """An edited function does not end."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """SlowError after some seconds, where a process can be told."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise SlowError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


Tried: TypeAlias = "tuple[Statement, Edit]"


def mended(mending: Mending, seconds: float) -> tuple[list[Mend], bool]:
    """What a search in a copy of the process finds in some seconds of computing; whether there was no time
    for all."""
    told = forked(partial(mending.search, seconds), PATIENCE * seconds + GRACE)
    return [mend for mend in told if mend is not None], None not in told


class Hints(NamedTuple):
    """Where to begin: lines that repair names, the first of them ``sure`` to be wrong; lines that are called
    adjoints and are made of forward values only; and where to end, lines that compute what they say."""

    first: Sequence[Line] = ()
    sure: int = 0
    suspects: Collection[Line] = ()
    as_named: Collection[Line] = ()


class Mending:
    """The search at some points, from some hints.

    ``formulas`` as text are edited too; they may ask for some names at the first point.
    """

    def __init__(
        self,
        passes: Derivation,
        trials: Sequence[Trial],
        labels: Labels,
        hints: Hints,
        formulas: Mapping[Formula, Mapping[str, Any]] | None = None,
    ) -> None:
        self.passes, self.trials, self.labels, self.hints = passes, trials, labels, hints
        self.formulas = formulas or {}
        self.names = frozenset(trials[0].truth)

    @property
    def wrong(self) -> frozenset[str]:
        return self.names - self.right

    @property
    def is_over(self) -> bool:
        return time.process_time() > self.end

    def search(self, seconds: float, found: Callable[[Mend | None], None]) -> None:
        """Tells what mends everything, as it is found, and at last None if all has been tried."""
        started = time.process_time()
        self.end = started + seconds
        self.runs = [Runs(self.passes, trial) for trial in self.trials]
        with np.errstate(all="ignore"):
            self.statements = _statements(self.runs[0])
            self.longest = min(LONGEST_RUN, SHORT_RUN + SLOWER * self._lasted())
            self.statements += [_of_formula(f, known) for f, known in self.formulas.items()]
            self.right = self._right(()) or frozenset()
        partial: list[tuple[frozenset[str], float, Tried]] = []
        mended = False
        end = self.end
        for statement, edit in self._schedule():
            now = time.process_time()
            if now > end:
                break
            right = self._right([(statement, edit)], self.right)
            if right is None or not right - self.right:
                continue
            tried = [(statement, edit)]
            if right == self.names and self._is_right_elsewhere(tried):
                found(self._mend(tried))
                mended = True
                end = min(end, now + max(LATER, now - started))
            elif right != self.names:
                partial.append((right - self.right, self._rank(statement, edit), tried[0]))
        if not mended and not self._together(partial, found):
            self._pairs(found)
        if not self.is_over:
            found(None)

    def _lasted(self) -> float:
        """The seconds that a run takes before anything is edited."""
        started = time.perf_counter()
        with suppress(Exception):
            self.runs[0].gradients(mended={})
        return time.perf_counter() - started

    # --- one attempt ---

    def _right(self, tried: Sequence[Tried], least: frozenset[str] = frozenset()) -> frozenset[str] | None:
        """The gradients that are right at every point, None as soon as fewer are than at least."""
        mended = self._mended(tried)
        if mended is None:
            return None
        right = self.names
        for runs in self.runs:
            try:
                with limited(self.longest):
                    right &= runs.trial.right(runs.gradients(mended=mended))
            except (Exception, SystemExit, SlowError):
                return None
            if not right >= least or (tried and right == least):
                return None
        return right

    def _mended(self, tried: Sequence[Tried]) -> dict[Any, Any] | None:
        """The code of the edited functions, None where there is none."""
        slots: list[tuple[Slot, Any]] = []
        try:
            for statement, edit in tried:
                new = statement.unit.ready(edit.parsed())
                slot = edit.slot._replace(parent=statement.unit.twins[id(edit.slot.parent)])
                slots.append((slot, slot.get()))
                slot.put(new)
            units = {id(statement.unit): statement.unit for statement, _ in tried}
            return {unit.original: unit.made() for unit in units.values()}
        except (SyntaxError, ValueError, TypeError, KeyError, IndexError):
            return None
        finally:
            for slot, old in reversed(slots):
                slot.put(old)

    def _is_right_elsewhere(self, tried: Sequence[Tried]) -> bool:
        """Whether it is right too where numbers are larger or turned, and axes have other lengths."""
        mended = self._mended(tried)
        for runs in self._elsewhere:
            try:
                with limited(self.longest):
                    if runs.trial.right(runs.gradients(mended=mended)) != self.names:
                        return False
            except (Exception, SlowError):
                return False
        return True

    @cached_property
    def _elsewhere(self) -> list[Runs]:
        """Points far off, and with other lengths of axes, so far as the forward pass runs there."""
        runs = self.runs[-1]
        far: list[Runs] = []
        for turned in (True, False):
            with suppress(Exception, SlowError), limited(LONGEST_RUN):
                trial = far_off(runs.passes, self.trials, turned)
                if all(np.isfinite(x).all() for x in trial.truth.values()):
                    far.append(Runs(runs.passes, trial))
        shapes = [np.shape(x) for x in runs.trial.arguments.values()]
        firsts = Counter(shape[0] for shape in shapes if shape)
        lengths = {n for shape in shapes for n in shape if n > 1}
        found: list[Runs] = []
        end = time.process_time() + LONGEST_RUN
        for length in sorted(lengths, key=lambda n: (-firsts[n], -n)):
            if len(found) == SIZES or time.process_time() > end:
                break
            with suppress(Exception, SlowError), limited(LONGEST_RUN):
                longer = Runs(runs.passes, elsewhere(runs.passes, runs.trial, length))
                longer.gradients()  # an error where the backward pass has not that length
                found.append(longer)
        return far + found

    def _mend(self, tried: Sequence[Tried], more: float = 0.0) -> Mend:
        """What is told of edits; the fewer lines still match nothing once they are applied, the plainer."""
        rank = sum(self._rank(*x) for x in tried) + more
        alone = [self._change(*x) for x in tried]
        olds = [(edit.slot, edit.slot.get()) for _, edit in tried]
        for _, edit in tried:
            edit.slot.put(edit.parsed())
        shown = [statement.shown() for statement, _ in tried]
        for slot, old in reversed(olds):
            slot.put(old)
        changes = tuple(change._replace(text=text) for change, text in zip(alone, shown, strict=True))
        after = self._after(tried)
        named = [
            label.kind == "adjoint" and is_called(text, label.text) for (*_, text), label in after.items()
        ]
        unmatched = [{"": 1.0, "multiple": 0.5}.get(label.kind, 0.0) for label in after.values()]
        return Mend(changes, self.wrong, rank + (sum(unmatched) - sum(named)) / 4, after)

    def _after(self, tried: Sequence[Tried]) -> dict[tuple[str, int, str, str], Label]:
        """The labels of what lines compute once edits are applied."""
        slots = []
        for _, edit in tried:
            slots.append((edit.slot, edit.slot.get()))
            edit.slot.put(edit.parsed())
        units = {id(statement.unit): statement.unit for statement, _ in tried}.values()
        trees = [copy.deepcopy(unit.tree) for unit in units]
        for slot, old in reversed(slots):
            slot.put(old)
        recorder = Recorder()
        with suppress(Exception, SlowError), limited(LONGEST_RUN):
            codes = {u.original: u.watched(t) for u, t in zip(units, trees, strict=True)}
            self.runs[0].gradients(recorder, codes)
        return labels_by_line(recorder.events, self.labels)

    def _change(self, statement: Statement, edit: Edit) -> Change:
        old, parent = edit.slot.get(), edit.slot.parent

        def shown() -> str:
            part = parent if isinstance(parent, ast.UnaryOp) else edit.slot.get()
            return "" if part is None else ast.unparse(part)

        was = shown()
        edit.slot.put(edit.parsed())
        text, new = statement.shown(), shown()
        edit.slot.put(old)
        return Change(statement.unit.file, statement.line, statement.end, text, edit.kind, was, new)

    # --- the order ---

    def _schedule(self) -> Iterator[Tried]:
        """Statements by how likely they are the wrong one, their edits by how plain."""
        ranks = {id(s): self._place(s) for s in self.statements}
        named = [s for s in self.statements if ranks[id(s)] < len(self.hints.first) and not _only_names(s)]
        ahead = [s for s in self.statements if isinstance(s.slot.get(), ast.Pass)]
        ahead += sorted(named, key=lambda s: ranks[id(s)])[: self.hints.sure or 2]
        suspects = [s for s in self.statements if self._is_among(s, self.hints.suspects) and s not in ahead]
        ahead += suspects[:2]
        groups: dict[float, list[Statement]] = defaultdict(list)
        for statement in self.statements:
            right = self._is_among(statement, self.hints.as_named)
            groups[max(self._influence(statement), 2.0 * right)].append(statement)
        unused = {name for statement in groups[IDLE] for name in _targets(statement.slot.get())}
        for group in groups.values():
            group.sort(key=lambda s: (ranks[id(s)], not isinstance(s.slot.get(), ast.AugAssign)))
        if self._is_scaled:
            likely = [*ahead, *(s for s in groups[0.0] if s not in ahead)]
            yield from ((s, edit) for s in likely for edit in s.edits(0) if edit.kind in SCALING)
        for name, phase in dict.fromkeys((*IF_SURE, *ORDER) if self.hints.sure else ORDER):
            group = ahead if name < 0 else [s for s in groups[name] if s not in ahead]
            tried = [
                (statement, edit)
                for statement in group
                for edit in statement.edits(max(phase, 0), unused)
                if phase != WHERE or edit.is_of_target
            ]
            yield from sorted(tried, key=lambda x: KINDS[x[1].kind][0])

    def _place(self, statement: Statement) -> int:
        """Its place among the lines to begin with."""
        first = self.hints.first
        return next((i for i, line in enumerate(first) if self._is_among(statement, [line])), len(first))

    def _is_among(self, statement: Statement, lines: Collection[Line]) -> bool:
        return any((statement.unit.file, n) in lines for n in range(statement.line, statement.end + 1))

    def _influence(self, statement: Statement) -> float:
        """0 if its result moves every wrong gradient and no right one, the more the less likely it is wrong.

        That is ¼ for one that moves nothing at all, and infinite for a part of the forward pass.
        """
        moved = []
        for slot in _results(statement.slot):
            edit = Edit(slot, f"({ast.unparse(slot.get())}) * 1.001", "")
            try:
                moved.append(self._moved([(statement, edit)]))
            except LossError:
                return math.inf
            except (Exception, SlowError):
                continue
        likely = []
        if moved and not any(moved):
            return IDLE
        for names in filter(None, moved):
            whole, apart = names >= self.wrong, not names & self.right
            likely.append(
                0.0 if whole and apart else 0.5 if names & self.wrong and apart else 2.0 if whole else 3.0
            )
        return min(likely, default=1.0)

    def _moved(self, tried: Sequence[Tried]) -> frozenset[str]:
        with limited(LONGEST_RUN):
            new = self.runs[0].gradients(mended=self._mended(tried))
        pairs = (
            (name, np.asarray(new[name], float), np.asarray(self._before[name], float)) for name in self.names
        )
        return frozenset(name for name, x, y in pairs if not np.allclose(x, y, rtol=1e-9, atol=0))

    @cached_property
    def _before(self) -> Mapping[str, Any]:
        return self.runs[0].gradients()

    @property
    def _is_scaled(self) -> bool:
        """Whether every wrong gradient is the right one times a number."""
        for name in self.wrong:
            yours = np.asarray(self._before.get(name), dtype=float).ravel()
            truth = self.trials[0].truth[name].ravel()
            if yours.shape != truth.shape or not close(
                yours, (yours @ truth) / (truth @ truth) * truth, 1e-6
            ):
                return False
        return True

    def _rank(self, statement: Statement, edit: Edit) -> float:
        """How far-fetched an edit is: its kind, its place, and how much of the text it changes."""
        change = self._change(statement, edit)
        if isinstance(statement.slot.get(), ast.Pass):  # it keeps the place of a line
            return len(change.new) / 100
        same = difflib.SequenceMatcher(None, change.old, change.new, autojunk=False).ratio()
        distance = (1 - same) * (len(change.old) + len(change.new)) / 2 * (edit.kind not in ANEW)
        plain = KINDS[edit.kind][0] + distance / 10 + len(change.old) / 100
        passed_on = edit.kind in AROUND and isinstance(edit.slot.parent, (ast.Call, ast.Return, ast.Tuple))
        if (passed_on and isinstance(edit.slot.get(), CARRIERS)) or _only_names(statement):
            plain += 0.5  # where nothing is computed, nothing is forgotten
        return plain + min(self._place(statement), 4) / 2

    # --- several edits ---

    def _together(
        self, partial: Sequence[tuple[frozenset[str], float, Tried]], found: Callable[[Mend | None], None]
    ) -> bool:
        """Edits of several statements, each of which mends some of the gradients."""
        left, tried = self.wrong, []
        while left and (useful := [x for x in partial if x[0] & left]):
            names, _, best = min(useful, key=lambda x: (-len(x[0] & left), x[1]))
            tried.append(best)
            left -= names
        if (
            left
            or not tried
            or self._right(tried, self.right) != self.names
            or not self._is_right_elsewhere(tried)
        ):
            return False
        found(self._mend(tried, len(tried) - 1))
        return True

    def _pairs(self, found: Callable[[Mend | None], None]) -> None:
        """The same edit in two statements near one another, then two plain ones in one statement."""
        alike: dict[Any, list[Tried]] = defaultdict(list)
        for statement in self.statements:
            for edit in statement.edits(0):
                if edit.kind in PAIRED and not isinstance(edit.slot.get(), ast.stmt):
                    own = ast.unparse(edit.slot.get()) if edit.slot.get() is not None else ""
                    alike[id(statement.unit), edit.kind, edit.text.replace(own, "@")].append(
                        (statement, edit)
                    )
        for tried in alike.values():
            for a, b in itertools.combinations(tried, 2):
                if self.is_over:
                    return
                if abs(a[0].line - b[0].line) <= 2 and a[1].slot != b[1].slot:
                    self._try_pair(a, b, found)
        for statement in sorted(self.statements, key=self._place)[:3]:
            plain = [
                edit
                for edit in statement.edits(0)
                if edit.kind in PAIRED and isinstance(edit.slot.get(), ast.expr)
            ]
            for x, y in itertools.combinations(plain, 2):
                if self.is_over:
                    return
                if not _overlap(x.slot.get(), y.slot.get()):
                    self._try_pair((statement, x), (statement, y), found)

    def _try_pair(self, a: Tried, b: Tried, found: Callable[[Mend | None], None]) -> None:
        if self._right([a, b], self.right) == self.names and self._is_right_elsewhere([a, b]):
            found(self._mend([a, b], 1.0))


IDLE = 0.25  # the influence of what moves nothing
WHERE = -1  # of the edits of phase 0 those of where a result goes, and whether it is added
# Groups of statements by influence, -1 for those that repair names, and phases of their edits.
ORDER = (
    (-1, 0), (IDLE, WHERE), (0.0, 0), (IDLE, 0), (-1, 1), (0.0, 1), (0.5, 0), (-1, 2), (1.0, 0), (0.5, 1),
    (0.0, 2), (2.0, 0), (1.0, 1), (-1, 3), (0.5, 2), (2.0, 1), (3.0, 0), (1.0, 2), (2.0, 2), (0.0, 3),
    (3.0, 1),
)  # fmt: skip
IF_SURE = ((-1, 0), (IDLE, WHERE), (-1, 1), (-1, 2))
SCALING = ("constant", "dropped", "number", "sign", "negative")
AROUND = ("constant", "factor", "term", "unused term", "unused factor", "negative")  # what stands there
CARRIERS = (ast.Name, ast.Attribute, ast.Subscript, ast.Call)
PAIRED = {
    "operation", "sign", "negative", "number", "name", "dropped", "constant", ".T", "power", "order", "axis",
    "index", "function",
}  # fmt: skip


def _only_names(statement: Statement) -> bool:
    """Whether it returns what has been computed before."""
    node = statement.slot.get()
    return isinstance(node, ast.Return) and all(is_leaf(part.get()) for part in _results(statement.slot))


def _targets(node: ast.AST) -> list[str]:
    """The names to which a statement assigns."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _overlap(a: ast.AST, b: ast.AST) -> bool:
    return any(x is b for x in ast.walk(a)) or any(x is a for x in ast.walk(b))


def _results(slot: Slot) -> list[Slot]:
    """Where the results of a statement are computed."""
    node = slot.get()
    if isinstance(node, ast.expr):
        return [slot]
    if not isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return)) or node.value is None:
        return []
    if isinstance(node.value, (ast.Tuple, ast.List)):
        return [Slot(node.value, "elts", i) for i in range(len(node.value.elts))]
    if isinstance(node.value, ast.Dict):
        return [Slot(node.value, "values", i) for i in range(len(node.value.values))]
    return [Slot(node, "value")]


# --- what runs, and what is in scope there --------------------------------------------------------------


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


def _of_formula(formula: Formula, known: Mapping[str, Any]) -> Statement:
    text = Text(formula)
    slot = Slot(text.tree, "body")
    things = {name: thing_of(x) for name, x in known.items()}
    scope = {name: x for name, x in things.items() if x is not None}
    return Statement(text, slot, 0, 0, Edits(slot, scope, {}, ""))


def _statements(runs: Runs) -> list[Statement]:
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
