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
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from autograd_mini.check.margin.adjoints import Label, Labels, elsewhere, far_off, labels_by_line
from autograd_mini.check.margin.edits import ANEW, KINDS, Edit, Slot
from autograd_mini.check.margin.runs import Derivation, LossError, Recorder, Runs, Trial, close, is_called
from autograd_mini.check.margin.scope import is_leaf
from autograd_mini.check.margin.statements import Statement, of_formula, statements
from autograd_mini.check.subjects.hand import Formula
from autograd_mini.processes import forked

Line: TypeAlias = "tuple[str, int]"

LONGEST_RUN, SHORT_RUN = 0.5, 0.04  # seconds
SLOWER = 25  # times as long as before the edit, and a short run more, may a run last
LATER = 0.25  # seconds in which fits are looked for after the first, at least
PATIENCE, GRACE = 4.0, 0.5  # times the seconds of computing, and seconds more, by the clock on the wall


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
            self.statements = statements(self.runs[0])
            self.longest = min(LONGEST_RUN, SHORT_RUN + SLOWER * self._lasted())
            self.statements += [of_formula(f, known) for f, known in self.formulas.items()]
            self.right = self._right(()) or frozenset()
        partial: list[tuple[frozenset[str], float, Tried]] = []
        mended = False
        end = self.end
        for tried in self._schedule():
            now = time.process_time()
            if now > end:
                break
            right = self._right(tried, self.right)
            if right is None or not right - self.right:
                continue
            if right == self.names and self._is_right_elsewhere(tried):
                found(self._mend(tried))
                mended = True
                end = min(end, now + max(LATER, now - started))
            elif right != self.names and len(tried) == 1:
                partial.append((right - self.right, self._rank(*tried[0]), tried[0]))
        if not mended and not self._together(partial, found):
            self._twice(found)
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
            if time.process_time() > end:
                break
            with suppress(Exception, SlowError), limited(LONGEST_RUN):
                longer = Runs(runs.passes, elsewhere(runs.passes, runs.trial, length))
                longer.gradients()  # an error where the backward pass has not that length
                found.append(longer)
        return far + found

    def _mend(self, tried: Sequence[Tried]) -> Mend:
        """What is told of edits; the fewer lines still match nothing once they are applied, the plainer."""
        rank = sum(self._rank(*x) for x in tried) + len(tried) - 1
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

    def _schedule(self) -> Iterator[tuple[Tried, ...]]:
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
        yield from (((s, edit),) for s in self.statements for edit in s.edits.clues())
        if self._is_scaled:
            likely = [*ahead, *(s for s in groups[0.0] if s not in ahead)]
            yield from (((s, edit),) for s in likely for edit in s.edits(0) if edit.kind in SCALING)
        yield from self._alike(groups[UNMOVED])
        for name, phase in dict.fromkeys((*IF_SURE, *ORDER) if self.hints.sure else ORDER):
            group = ahead if name < 0 else [s for s in groups[name] if s not in ahead]
            tried = [
                (statement, edit)
                for statement in group
                for edit in statement.edits(max(phase, 0), unused)
                if phase != WHERE or edit.is_of_target
            ]
            yield from ((x,) for x in sorted(tried, key=lambda x: KINDS[x[1].kind][0]))

    def _alike(self, statements: Sequence[Statement]) -> Iterator[tuple[Tried, ...]]:
        """The same edit in two statements of one form near one another, as of rows and of columns."""
        forms: dict[Any, list[Statement]] = defaultdict(list)
        for statement in statements:
            forms[id(statement.unit), NAME.sub("_", ast.unparse(statement.slot.get()))].append(statement)
        pairs = [pair for alike in forms.values() for pair in itertools.pairwise(alike)]
        for a, b in pairs:
            if abs(a.line - b.line) <= NEAR:
                edits = {_form(edit): edit for edit in b.edits(0) if edit.kind in PAIRED}
                for edit in a.edits(0):
                    if _form(edit) in edits:
                        yield (a, edit), (b, edits[_form(edit)])

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
        return min(likely, default=UNMOVED)

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
        found(self._mend(tried))
        return True

    def _twice(self, found: Callable[[Mend | None], None]) -> None:
        """Two plain edits of one statement."""
        for statement in sorted(self.statements, key=self._place)[:3]:
            plain = [
                edit
                for edit in statement.edits(0)
                if edit.kind in PAIRED and isinstance(edit.slot.get(), ast.expr)
            ]
            for x, y in itertools.combinations(plain, 2):
                if self.is_over:
                    return
                tried = (statement, x), (statement, y)
                if (
                    not _overlap(x.slot.get(), y.slot.get())
                    and self._right(tried, self.right) == self.names
                    and self._is_right_elsewhere(tried)
                ):
                    found(self._mend(tried))


IDLE = 0.25  # the influence of what moves nothing
WHERE = -1  # of the edits of phase 0 those of where a result goes, and whether it is added
UNMOVED = 1.0  # that of what cannot be moved by a little, as indices
NEAR = 2  # lines
NAME = re.compile(r"[^\W\d]\w*")
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


def _form(edit: Edit) -> tuple[str, str]:
    """An edit without the name in whose place it is."""
    own = edit.slot.get()
    text = ast.unparse(own) if isinstance(own, ast.expr) else " "
    return edit.kind, re.sub(rf"(?<!\w){re.escape(text)}(?!\w)", "@", edit.text)


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
