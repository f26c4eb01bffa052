"""Hand derivations held against the engine and against a witness that does not use the engine.

The witness evaluates f on plain floats and differences it: with g(h) = (f(x + h) - f(x - h)) / 2h,

    g(h) = f'(x) + c2 h² + c4 h⁴ + …,

so that g at h, h/3, h/9, … extrapolates to h = 0 (Richardson); the one-sided quotients do the same in
powers of h. A derivation is wrong only where engine, central and one-sided differences agree with each
other and not with it. Where they disagree among themselves, as on a kink, the point is inconclusive.
"""

from __future__ import annotations

import inspect
import itertools
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from autograd_mini.arrays import values
from autograd_mini.rules import Primitive, as_number
from autograd_mini.value import Value, topological_order

Floats: TypeAlias = NDArray[np.float64]
Index: TypeAlias = tuple[int, ...]

AGREES, INCONCLUSIVE, DISAGREES = "agrees", "inconclusive", "disagrees"
SEVERITY = {AGREES: 0, INCONCLUSIVE: 1, DISAGREES: 2}
CONFLICT = "engine and witness disagree with each other"
NAN = float("nan")
EPSILON = float(np.finfo(float).eps)
SHOWN = 12  # rows of a printed table


class InconclusiveError(RuntimeError):
    """The check could not tell whether the derivation is right; the message is the report."""


@dataclass(frozen=True)
class Entry:
    """One partial derivative ∂output[row] / ∂name[column] at one point; point 0 is the given one.

    ``engine`` is nan if the engine could not follow. ``left`` and ``right`` are the one-sided
    derivatives, ``error`` is the distance of ``yours`` from the engine, or else from the witness.
    """

    name: str
    row: Index
    column: Index
    point: int
    yours: float
    engine: float
    witness: float
    left: float
    right: float
    error: float
    verdict: str
    note: str = ""


@dataclass(frozen=True)
class Report:
    """The outcome of a check: true if the derivation agrees, and a table when printed.

    >>> report = check_gradient(lambda x: x**3, lambda x: 3 * x, at=2.0, points=0)
    >>> report.verdict, report.worst.yours, report.worst.engine
    ('disagrees', 6.0, 12.0)
    """

    title: str
    verdict: str
    reason: str
    entries: tuple[Entry, ...] = ()
    points: int = 0
    skipped: int = 0
    seed: int = 0
    witnesses: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    out: str = "f"

    @property
    def worst(self) -> Entry | None:
        """The entry to look at first: the largest error of the gravest verdict; None without entries."""
        return min(self.entries, key=_gravity, default=None)

    def __bool__(self) -> bool:
        return self.verdict == AGREES

    def raise_if_wrong(self) -> None:
        """Raise AssertionError if the derivation disagrees, InconclusiveError if nothing can be said."""
        if self.verdict == DISAGREES:
            raise AssertionError(str(self))
        if self.verdict == INCONCLUSIVE:
            raise InconclusiveError(str(self))

    def __str__(self) -> str:
        lines = [f"{self.title}: {self.verdict}: {self.reason}", self._provenance(), *self.remarks]
        ranked = sorted(self.entries, key=_gravity)
        lines += _table([self._cells(entry) for entry in ranked[:SHOWN]])
        if hidden := ranked[SHOWN:]:
            bad = sum(entry.verdict == DISAGREES for entry in hidden)
            lines.append(f"… and {len(hidden)} more entries, {bad} of them wrong")
        return "\n".join(lines)

    def _provenance(self) -> str:
        skipped = f", {self.skipped} more skipped outside f's domain" * bool(self.skipped)
        spoke = " and ".join(self.witnesses) or "none"
        return f"points tried: {self.points} (seed {self.seed}{skipped}); witnesses: {spoke}"

    def _cells(self, entry: Entry) -> tuple[str, ...]:
        mark = {AGREES: "", INCONCLUSIVE: "?", DISAGREES: "✗"}[entry.verdict]
        numbers = (entry.yours, entry.engine, entry.witness)
        return (
            mark,
            str(entry.point or "given"),
            _subscript(self.out, entry.row),
            _subscript(entry.name, entry.column),
            *("-" if np.isnan(number) else f"{number:.8g}" for number in numbers),
            f"{entry.error:.1e}",
            entry.note,
        )


def check_gradient(
    f: Any,
    hand: Any,
    at: Any = None,
    wrt: str | Sequence[str] | None = None,
    out: str | None = None,
    points: int = 5,
    seed: int = 0,
    rtol: float = 1e-6,
    atol: float | None = None,
) -> Report:
    """Check a gradient ∂f/∂x of a function with one output, derived by hand.

    ``at`` is the argument of a function of one argument, else a mapping from f's parameters to their
    values. ``wrt`` names the arguments differentiated: by default the keys of a hand result that is
    a mapping, else the first; all others are passed unchanged. ``hand`` is a function whose
    parameters are named like f's (or ``out``, f's result), or plain numbers, which count at ``at``
    only. A function is also checked at ``points`` random points around ``at``, drawn with ``seed``.
    Numbers agree within ``atol + rtol * max(|a|, |b|)``; ``atol`` is 1e-9 of the largest entry unless
    given.

    >>> report = check_gradient(lambda w, x: w * x**2, lambda w, x: {"x": 2 * w * x}, at={"w": 3.0, "x": 2.0})
    >>> report.verdict
    'agrees'

    A graph that exists is checked by the labels of its leaves, intermediates or whole arrays:

    >>> x = Value(2.0, label="x")
    >>> check_gradient(x * x, {"x": 4.0}).verdict
    'agrees'

    A hand result that raises, holds nan or has the wrong shape disagrees. An error inside f at the
    given point is raised; TypeError or ValueError for arguments or labels that do not exist.
    """
    subject = _subject(f, hand, at, wrt, out)
    if subject.start_output.size != 1:
        raise ValueError(
            f"check_gradient: f must have one output, got shape {subject.start_output.shape}; "
            "use check_jacobian"
        )
    return _check("check_gradient", subject, (), points, seed, rtol, atol)


def check_jacobian(
    f: Any,
    hand: Any,
    at: Any = None,
    wrt: str | Sequence[str] | None = None,
    out: str | None = None,
    points: int = 5,
    seed: int = 0,
    rtol: float = 1e-6,
    atol: float | None = None,
) -> Report:
    """Check a Jacobian J[i, j] = ∂f[i] / ∂x[j] of shape output.shape + input.shape, derived by hand.

    Everything else is as in `check_gradient`.

    >>> import numpy as np
    >>> def softmax(z):
    ...     e = np.exp(z - np.max(z))
    ...     return e / np.sum(e)
    >>> hand = lambda z, S: np.diag(S) - np.outer(S, S)
    >>> check_jacobian(softmax, hand, at=[1.5, -0.5, 0.75], out="S").verdict
    'agrees'
    """
    subject = _subject(f, hand, at, wrt, out)
    return _check("check_jacobian", subject, subject.start_output.shape, points, seed, rtol, atol)


# --- the check ---------------------------------------------------------------------------------------


class _RejectedError(Exception):
    """The hand result cannot be compared; the message says why."""


def _check(
    title: str, subject: _Subject, rows: Index, points: int, seed: int, rtol: float, atol: float | None
) -> Report:
    entries: list[Entry] = []
    remarks: dict[str, None] = {}  # an ordered set
    spoke: dict[str, None] = {}
    reason, tried, skipped = "", 0, 0
    for x in _points(subject, points, seed):
        if x is None:
            skipped += 1
            continue
        point = _Point(subject, x, rows, tried, rtol, atol)
        tried += 1
        try:
            entries += point.entries()
        except _RejectedError as rejected:
            reason = str(rejected)
            break
        finally:
            spoke.update(dict.fromkeys(point.witnesses))
            remarks.update(dict.fromkeys(point.remarks))
    verdict = DISAGREES if reason else _verdict(entries)
    hint = "" if reason or verdict != DISAGREES else _transposed(entries, rtol)
    return Report(
        title,
        verdict,
        (reason or _reason(verdict, entries, subject.out)) + hint,
        tuple(entries),
        tried,
        skipped,
        seed,
        tuple(spoke),
        tuple(remarks),
        subject.out,
    )


def _verdict(entries: list[Entry]) -> str:
    """One wrong entry decides; else it takes a clear answer at the given point, and nowhere a conflict."""
    if any(entry.verdict == DISAGREES for entry in entries):
        return DISAGREES
    given = [entry for entry in entries if entry.point == 0]
    clear = given and all(entry.verdict == AGREES for entry in given)
    conflict = any(entry.note.startswith(CONFLICT) for entry in entries)
    return AGREES if clear and not conflict else INCONCLUSIVE


def _reason(verdict: str, entries: list[Entry], out: str) -> str:
    if verdict == AGREES:
        largest = max(entry.error for entry in entries if entry.verdict == AGREES)
        left_open = len({entry.point for entry in entries if entry.verdict == INCONCLUSIVE})
        return f"the largest error is {largest:.1e}" + f"; {left_open} random points left open" * bool(
            left_open
        )
    wanted = [entry for entry in entries if entry.verdict == verdict]
    if not wanted:
        return "f is not finite at the given point"
    worst = min(wanted, key=lambda entry: (entry.point > 0, _gravity(entry)))  # the given point says most
    at = f" at random point {worst.point}" if worst.point else " at the given point"
    where = f"∂{_subscript(out, worst.row)}/∂{_subscript(worst.name, worst.column)}{at}"
    if verdict == INCONCLUSIVE:
        return f"{where}: {worst.note}"
    truth = worst.witness if np.isnan(worst.engine) else worst.engine
    return f"{where} is {truth:.8g}, yours {worst.yours:.8g}; {len(wanted)} of {len(entries)} entries wrong"


def _points(subject: _Subject, count: int, seed: int) -> Iterable[Floats | None]:
    """The given point, then seeded ones around it; None for one outside f's domain, and closer in then."""
    yield subject.start
    if subject.fixed or not subject.start.size:
        return
    random = np.random.default_rng(seed)
    scale = np.maximum(1.0, abs(subject.start))
    radius, found = 0.5, 0
    for _ in range(4 * count):
        if found == count:
            return
        x = subject.start + radius * scale * random.uniform(-1.0, 1.0, subject.start.shape)
        if np.isfinite(_sample(subject.evaluate, x, subject.start_output.size)).all():
            found += 1
            yield x
        else:
            radius /= 2
            yield None


class _Point:
    """The comparison at one point."""

    def __init__(
        self, subject: _Subject, x: Floats, rows: Index, number: int, rtol: float, atol: float | None
    ) -> None:
        self.subject, self.x, self.rows, self.number = subject, x, rows, number
        self.rtol, self.atol = rtol, atol
        self.witnesses: list[str] = []
        self.remarks: list[str] = []

    def entries(self) -> list[Entry]:
        """Every partial derivative at this point, judged; _RejectedError if the hand result is unusable."""
        subject = self.subject
        output = np.asarray(subject.evaluate(self.x), dtype=float)
        if not np.isfinite(output).all():
            self.remarks.append("f is not finite at the given point: nothing can be said there")
            return []
        results = subject.hand_results(self.x, output)
        self.jacobian, self.kinks = self._engine(output.size)
        self.central, self.left, self.right = self._differences(output.ravel())
        truth = self.central.best if self.jacobian is None else self.jacobian
        largest = np.max(abs(truth), initial=0.0, where=np.isfinite(truth))
        self.size = np.max(abs(output), initial=0.0)
        self.zero = (1e-9 * largest + 64 * EPSILON * self.size + 1e-14) if self.atol is None else self.atol
        yours = self._yours(results, truth)
        cells = itertools.product(enumerate(np.ndindex(self.rows)), enumerate(subject.columns))
        return [
            self._entry(name, row, column, (r, c), float(yours[r, c]))
            for (r, row), (c, (name, column)) in cells
        ]

    def _entry(self, name: str, row: Index, column: Index, cell: Index, yours: float) -> Entry:
        engine = NAN if self.jacobian is None else float(self.jacobian[cell])
        central, left, right = (limit.at(cell) for limit in (self.central, self.left, self.right))
        verdict, note = self._judge(yours, engine, central, left, right)
        if verdict == INCONCLUSIVE and self.kinks:
            note += f" (on a kink: {', '.join(self.kinks)})"
        sides = [side for side, _ in (central, left, right) if np.isfinite(side)]
        witness = sides[0] if sides else NAN
        error = abs(yours - (witness if self.jacobian is None else engine))
        return Entry(
            name, row, column, self.number, yours, engine, witness, left[0], right[0], error, verdict, note
        )

    def _engine(self, rows: int) -> tuple[Floats | None, list[str]]:
        try:
            jacobian, kinks = self.subject.engine(self.x)
            if len(jacobian) != rows:
                raise ValueError(f"{len(jacobian)} outputs on Values, {rows} on floats")
        except Exception as error:  # whatever stops f on Values, the witness still speaks
            self.remarks.append(f"the engine could not follow: {type(error).__name__}: {error}")
            return None, []
        self.witnesses.append("the engine")
        return jacobian, kinks

    def _differences(self, output: Floats) -> tuple[_Limit, _Limit, _Limit]:
        limits = differences(self.subject.evaluate, self.x, output)
        if any(np.isfinite(limit.best).any() for limit in limits):
            self.witnesses.append(f"differences of {self.subject.medium}")
        return limits

    def _yours(self, results: dict[str, Any], truth: Floats) -> Floats:
        """The hand results as one matrix, outputs by inputs."""
        blocks, start = [], 0
        for name, shape in self.subject.shapes.items():
            size = int(np.prod(shape))
            block = truth[:, start : start + size].reshape(self.rows + shape)
            blocks.append(self._block(name, results[name], block).reshape(-1, size))
            start += size
        return np.concatenate(blocks, axis=1)

    def _block(self, name: str, result: Any, truth: Floats) -> Floats:
        try:
            given = _numbers(result)
        except (TypeError, ValueError) as error:
            raise _RejectedError(f"the hand result for {name} is not an array of numbers: {error}") from None
        if given.shape != truth.shape:
            text = (
                f"the hand result for {name} has the wrong shape: expected {truth.shape}, got {given.shape}"
            )
            raise _RejectedError(text + _rearrangement(given, truth, len(self.rows), self.rtol))
        if np.isnan(given).any():
            where = tuple(int(i) for i in np.argwhere(np.isnan(given))[0])
            raise _RejectedError(f"the hand result for {name} holds nan, first at {where}")
        return given

    def _judge(self, yours: float, engine: float, *limits: tuple[float, float]) -> tuple[str, str]:
        """Who is right about one entry; ``limits`` are central, left and right with their error estimates."""
        spoke = [(limit, error) for limit, error in limits if np.isfinite(limit)]
        if not spoke:
            return INCONCLUSIVE, "f has no finite differences here"
        one_sided = f"one-sided {limits[1][0]:.6g} and {limits[2][0]:.6g}"
        witnesses = [limit for limit, _ in spoke]
        truths = witnesses if self.jacobian is None else [engine, *witnesses]
        slack = max(error for _, error in spoke)
        noise = (
            100 * self.zero + 1e-8 * self.size + 1e-4 * max(map(abs, truths))
        )  # beyond it differences say nothing
        if not self._close(min(witnesses), max(witnesses), min(slack, noise)):
            return INCONCLUSIVE, f"the one-sided derivatives differ: {one_sided}"
        if not slack <= noise:
            return INCONCLUSIVE, f"the differences do not settle: {one_sided}"
        if not all(self._close(truths[0], witness, slack) for witness in witnesses):
            return INCONCLUSIVE, f"{CONFLICT}: {one_sided}"
        if self._close(yours, truths[0], slack):
            return AGREES, ""
        if len(spoke) < len(limits):
            return INCONCLUSIVE, f"only one side of the point lies in f's domain: {one_sided}"
        return DISAGREES, ""

    def _close(self, a: float, b: float, slack: float = 0.0) -> bool:
        return abs(a - b) <= self.zero + self.rtol * max(abs(a), abs(b)) + slack


def _rearrangement(given: Floats, truth: Floats, rows: int, rtol: float) -> str:
    """Which transpose or flattening of the right answer was given, if any."""
    if given.size != truth.size:
        return ""
    block_order = (*range(given.ndim - rows, given.ndim), *range(given.ndim - rows))
    candidates = {
        "its transpose": given.T,
        "its transpose (input axes first)": given.transpose(block_order) if rows <= given.ndim else given,
        "its flattening row by row": given.reshape(truth.shape, order="C"),
        "its flattening column by column": given.reshape(truth.shape, order="F"),
    }
    for name, candidate in candidates.items():
        if candidate.shape == truth.shape and np.allclose(candidate, truth, rtol, 1e-9):
            return f"; it is the right answer up to shape: {name}"
    return "; neither its transpose nor a flattening matches"


def _transposed(entries: list[Entry], rtol: float) -> str:
    """A remark if a square result of the right shape is wrong but its transpose is right."""
    given = [entry for entry in entries if entry.point == 0]
    for name in dict.fromkeys(entry.name for entry in given):
        block = [entry for entry in given if entry.name == name]
        yours = {entry.row + entry.column: entry.yours for entry in block}
        truth = {e.row + e.column: e.witness if np.isnan(e.engine) else e.engine for e in block}
        swapped = [yours.get(index[::-1], NAN) for index in truth]
        wrong = any(entry.verdict == DISAGREES for entry in block)
        if wrong and np.allclose(swapped, list(truth.values()), rtol, 1e-9):
            return f"; the transpose of the result for {name} agrees"
    return ""


# --- the witness -------------------------------------------------------------------------------------

FIRST_STEP = 0.05
SHRINK = 3.0  # no power of two: a step that divides the period of f would see a constant
LEVELS = 16


class _Limit:
    """Difference quotients extrapolated to h = 0, with Ridders' estimate of the error.

    T[j, 0] is the quotient at the j-th step; T[j, k] = T[j, k-1] + (T[j, k-1] - T[j-1, k-1]) /
    (s^(pk) - 1) removes the k-th term of an expansion in h^p, where each step is s times smaller.
    An entry is as good as its distance from the two it was made from (Ridders 1982, Numerical
    Recipes §5.7), but no better than the rounding of the quotient.
    """

    def __init__(self, power: int, shape: Index) -> None:
        self.power = power
        self.row: list[Floats] = []
        self.best = np.full(shape, np.nan)
        self.error = np.full(shape, np.inf)

    def add(self, quotient: Floats, rounding: Floats) -> None:
        row = [quotient]
        for k, coarser in enumerate(self.row, 1):
            row.append(row[-1] + (row[-1] - coarser) / (SHRINK ** (self.power * k) - 1))
            error = np.maximum(abs(row[-1] - row[-2]), abs(row[-1] - coarser)) + rounding
            better = error < self.error  # false for nan
            self.best = np.where(better, row[-1], self.best)
            self.error = np.where(better, error, self.error)
        self.row = row

    def at(self, cell: Index) -> tuple[float, float]:
        return float(self.best[cell]), float(self.error[cell])


def differences(
    function: Callable[[Floats], Floats], x: Floats, output: Floats
) -> tuple[_Limit, _Limit, _Limit]:
    """Central, left and right derivatives of every output with respect to every element of a vector."""
    shape = (output.size, x.size)
    limits = (_Limit(2, shape), _Limit(1, shape), _Limit(1, shape))
    for i in range(x.size):
        column = _differences_along(function, x, output, i)
        for whole, part in zip(limits, column, strict=True):
            whole.best[:, i], whole.error[:, i] = part.best, part.error
    return limits


def _differences_along(
    function: Callable[[Floats], Floats], x: Floats, output: Floats, i: int
) -> tuple[_Limit, _Limit, _Limit]:
    limits = central, left, right = (
        _Limit(2, output.shape),
        _Limit(1, output.shape),
        _Limit(1, output.shape),
    )
    step = FIRST_STEP * max(1.0, abs(x[i]))
    size = np.max(abs(output), initial=0.0)
    for level in range(LEVELS):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        above, below = (_sample(function, moved, output.size) for moved in (up, down))
        rounding = EPSILON * abs(output) / step
        with np.errstate(all="ignore"):
            central.add((above - below) / (up[i] - down[i]), rounding)
            left.add((output - below) / (x[i] - down[i]), rounding)
            right.add((above - output) / (up[i] - x[i]), rounding)
            scale = size + np.max(abs(central.best), initial=0.0)
            if level >= 4 and all((limit.error <= 1e-10 * scale).all() for limit in limits):
                break
        step /= SHRINK
    return limits


def _sample(function: Callable[[Floats], Floats], x: Floats, size: int) -> Floats:
    """f at one point, flat; nan where it is outside its domain."""
    try:
        with np.errstate(all="ignore"):
            return np.asarray(function(x), dtype=float).reshape(size)
    except (ValueError, ArithmeticError):
        return np.full(size, np.nan)


# --- what is checked: a function, or a graph that exists -----------------------------------------------


class _Subject:
    """A map from a flat vector to an array, its derivative by the engine, and the hand results."""

    shapes: dict[str, Index]
    start: Floats
    start_output: Floats
    fixed: bool
    medium = "f on floats"
    out = "f"

    def evaluate(self, x: Floats) -> Floats:
        raise NotImplementedError

    def engine(self, x: Floats) -> tuple[Floats, list[str]]:
        raise NotImplementedError

    def hand_results(self, x: Floats, output: Floats) -> dict[str, Any]:
        raise NotImplementedError

    @property
    def columns(self) -> list[tuple[str, Index]]:
        return [(name, index) for name, shape in self.shapes.items() for index in np.ndindex(shape)]

    def split(self, x: Floats) -> dict[str, Floats]:
        parts, start = {}, 0
        for name, shape in self.shapes.items():
            size = int(np.prod(shape))
            parts[name] = x[start : start + size].reshape(shape)
            start += size
        return parts


def _subject(f: Any, hand: Any, at: Any, wrt: str | Sequence[str] | None, out: str | None) -> _Subject:
    if callable(f):
        return _Function(f, hand, at, [wrt] if isinstance(wrt, str) else wrt, out)
    if not isinstance(hand, Mapping) or at is not None or wrt is not None:
        raise TypeError('check: a graph is checked as check_gradient(loss, {"y": dy, "z": dz}), by labels')
    return _Graph(f, hand, out)


class _Function(_Subject):
    def __init__(self, f: Any, hand: Any, at: Any, wrt: Sequence[str] | None, out: str | None) -> None:
        self.f, self.hand, self.out = f, hand, out or "f"
        self.arguments = _arguments(f, at)
        if unknown := set(wrt or ()) - set(self.arguments):
            raise ValueError(f"check: wrt names {min(unknown)!r}; f's arguments are {_list(self.arguments)}")
        self.lifted = False
        self._differentiate(wrt or [next(iter(self.arguments))])
        self.start_output = self._first_output()
        if wrt is None and isinstance(given := self._first_result(), Mapping):
            self._differentiate([name for name in self.arguments if name in given])
            self.start_output = self._first_output()
        parts = hand.values() if isinstance(hand, Mapping) else [hand]
        self.fixed = not all(callable(part) for part in parts)

    def _differentiate(self, wrt: Sequence[str]) -> None:
        inputs = {name: _numbers(self.arguments[name]) for name in wrt}
        self.shapes = {name: array.shape for name, array in inputs.items()}
        self.start = np.concatenate([array.ravel() for array in inputs.values()] or [np.empty(0)])

    def _first_output(self) -> Floats:
        """f at the given point, on floats or, if it calls methods of Value, on Values; errors propagate."""
        try:
            return self.evaluate(self.start)
        except (AttributeError, TypeError):
            self.lifted, self.medium = True, "f's forward data on Values"
            return self.evaluate(self.start)

    def _first_result(self) -> Any:
        if not callable(self.hand):
            return self.hand
        try:
            return self._call_hand(self.hand, self.start, self.start_output)
        except Exception:  # it will be reported when it is compared
            return None

    def evaluate(self, x: Floats) -> Floats:
        moved = self._values(x) if self.lifted else self._floats(x)
        with np.errstate(all="ignore"):
            return _numbers(_call(self.f, {**self.arguments, **moved}))

    def engine(self, x: Floats) -> tuple[Floats, list[str]]:
        moved = self._values(x)
        with np.errstate(all="ignore"):
            outputs = _nodes(_call(self.f, {**self.arguments, **moved}))
        inputs = [node for part in moved.values() for node in _nodes(part)]
        return _jacobian(outputs, inputs), _kinks(outputs)

    def hand_results(self, x: Floats, output: Floats) -> dict[str, Any]:
        result = self.hand
        try:
            if callable(result):
                result = self._call_hand(result, x, output)
            if isinstance(result, Mapping):
                result = {k: self._call_hand(v, x, output) if callable(v) else v for k, v in result.items()}
        except _RejectedError:
            raise
        except Exception as error:  # a derivation that fails is wrong, not a reason to stop
            raise _RejectedError(f"the hand function raises {type(error).__name__}: {error}") from None
        return _by_name(result, list(self.shapes), self.arguments)

    def _call_hand(self, hand: Any, x: Floats, output: Floats) -> Any:
        known = {**self.arguments, **self._floats(x), self.out: _plain(output)}
        with np.errstate(all="ignore"):
            try:
                return _call(hand, _matched(hand, known, list(self.arguments)))
            except (AttributeError, TypeError):
                if not self.lifted:
                    raise
            # A derivation that calls an f which only runs on Values.
            return _call(hand, _matched(hand, {**known, **self._values(x)}, list(self.arguments)))

    def _floats(self, x: Floats) -> dict[str, Any]:
        return {name: _plain(part) for name, part in self.split(x).items()}

    def _values(self, x: Floats) -> dict[str, Any]:
        return {
            name: values(part, name) if part.shape else Value(float(part), label=name)
            for name, part in self.split(x).items()
        }


class _Graph(_Subject):
    """Derivatives with respect to labelled nodes; the user's nodes are read and never written."""

    medium = "the graph recomputed on a copy"
    fixed = True

    def __init__(self, root: Any, hand: Mapping[str, Any], out: str | None) -> None:
        self.hand = hand
        self.roots = _nodes(root)
        if not any(isinstance(node, Value) for node in self.roots):
            raise TypeError(f"check: expected a function, a Value or an array of them, got {root!r}")
        self.order = topological_order(*(node for node in self.roots if isinstance(node, Value)))
        self.out = out or getattr(root, "label", "") or "f"
        found = {name: _labelled(self.order, name, hand[name]) for name in hand}
        self.shapes = {name: nodes.shape for name, nodes in found.items()}
        self.inputs: list[Value | None] = [node for nodes in found.values() for node in nodes.flat]
        self.start = np.array([0.0 if node is None else node.data for node in self.inputs])
        self.start_output = _numbers(root)

    def evaluate(self, x: Floats) -> Floats:
        """The roots' data when the inputs have data ``x``, everything else above them recomputed."""
        moved: dict[Value, float] = {
            node: float(number)
            for node, number in zip(self.inputs, x, strict=True)
            if node is not None and node.data != number
        }
        data = dict(moved)
        for node in self.order:
            if node not in moved and any(operand in data for operand in node.args):
                data[node] = _evaluate(node, data)
        roots = [data.get(node, node.data) if isinstance(node, Value) else node for node in self.roots]
        return np.array(roots, dtype=float).reshape(self.start_output.shape)

    def engine(self, x: Floats) -> tuple[Floats, list[str]]:
        return _jacobian(self.roots, self.inputs), _kinks(self.roots)

    def hand_results(self, x: Floats, output: Floats) -> dict[str, Any]:
        return dict(self.hand)


def _labelled(order: list[Value], name: str, hand: Any) -> NDArray[Any]:
    """The node labelled ``name``, or the array of the nodes labelled as elements of it.

    Elements that do not occur in the graph are None, with derivative 0; so far as the hand result
    goes beyond the elements that do occur, the array is taken to.
    """
    exact = [node for node in order if node.label == name]
    if len(exact) > 1:
        raise ValueError(f"check: {len(exact)} nodes of the graph are labelled {name!r}")
    if exact:
        found: dict[Index, Value] = {(): exact[0]}
    else:
        found = _elements(order, name)
    extents = [max(axis) + 1 for axis in zip(*found, strict=True)]
    shape = np.shape(hand)
    if len(shape) == len(extents):
        extents = [max(pair) for pair in zip(extents, shape, strict=True)]
    nodes = np.full(extents, None, dtype=object)
    for index, node in found.items():
        nodes[index] = node
    return nodes


def _elements(order: list[Value], name: str) -> dict[Index, Value]:
    joint = "_" if name[-1:].isdigit() else ""
    pattern = re.compile(re.escape(name) + joint + r"(\d+(?:,\d+)*)")
    found: dict[Index, Value] = {}
    for node in order:
        if match := pattern.fullmatch(node.label):
            index = tuple(map(int, match[1].split(",")))
            if index in found:
                raise ValueError(f"check: two nodes of the graph are labelled {node.label!r}")
            found[index] = node
    if len({len(index) for index in found}) != 1:
        labels = _list(dict.fromkeys(node.label for node in order if node.label))
        raise ValueError(f"check: no node or array of the graph is labelled {name!r}; there are: {labels}")
    return found


def _evaluate(node: Value, data: dict[Value, float]) -> float:
    if not isinstance(node.op, Primitive):
        raise ValueError("a node made by hand carries no formula")
    return float(node.op.bound[float](*(data.get(operand, operand.data) for operand in node.args)))


# --- the engine --------------------------------------------------------------------------------------


def _jacobian(outputs: Sequence[Any], inputs: Sequence[Value | None]) -> Floats:
    rows = [
        _sweep(root, inputs) if isinstance(root, Value) else [0.0] * len(inputs)  # a constant output
        for root in outputs
    ]
    return np.array(rows, dtype=float).reshape(len(outputs), len(inputs))


def _sweep(root: Value, inputs: Sequence[Value | None]) -> list[float]:
    """∂root/∂input for each input, every ``.grad`` left as it was."""
    order = topological_order(root)
    before = [node.grad for node in order]
    try:
        for node in order:
            node.grad = 0.0
        root.backward()
        gradient = {node: node.grad for node in order}
    finally:
        for node, grad in zip(order, before, strict=True):
            node.grad = grad
    return [0.0 if node is None else gradient.get(node, 0.0) for node in inputs]


def _at_zero(*operands: float) -> bool:
    return not any(operands)


def _tie(x: float, y: float) -> bool:
    return x == y


KINKS: dict[str, Callable[..., bool]] = {
    **dict.fromkeys(["abs", "sign", "relu", "hypot", "atan2"], _at_zero),
    **dict.fromkeys(["maximum", "minimum", "less", "less_equal", "equal"], _tie),
}


def _kinks(outputs: Sequence[Any]) -> list[str]:
    """The operations that sit on a kink of theirs, in words."""
    found: dict[str, None] = {}
    for node in topological_order(*(node for node in outputs if isinstance(node, Value))):
        test = KINKS.get(node.op.name)
        if test and test(*(operand.data for operand in node.args)):
            operands = ", ".join(f"{x.label} = {x.data:g}" if x.label else f"{x.data:g}" for x in node.args)
            found[f"{node.op.name}({operands})"] = None
    return list(found)


# --- arguments and numbers ---------------------------------------------------------------------------


def _parameters(f: Any) -> dict[str, inspect.Parameter] | None:
    """The named parameters of a function, None if it does not tell."""
    if isinstance(f, Primitive):
        return {x: inspect.Parameter(x, inspect.Parameter.POSITIONAL_ONLY) for x in f.operands}
    try:
        parameters = inspect.signature(f).parameters
    except (TypeError, ValueError):
        return None
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    named = {name: p for name, p in parameters.items() if p.kind not in variable}
    return named or (None if parameters else {})


def _arguments(f: Any, at: Any) -> dict[str, Any]:
    """f's arguments by name, in f's order."""
    if at is None:
        raise TypeError("check: give the point, at=…")
    parameters = _parameters(f)
    if not isinstance(at, Mapping):
        names = list(parameters) if parameters else ["x"]
        needed = [
            name for name in names if parameters and parameters[name].default is inspect.Parameter.empty
        ]
        if len(needed) > 1:
            raise TypeError(f"check: f takes {_list(needed)}; give at= as a mapping from these to values")
        return {names[0]: at}
    if parameters is None:
        return dict(at)
    missing = [n for n, p in parameters.items() if p.default is inspect.Parameter.empty and n not in at]
    if missing or set(at) - set(parameters):
        raise TypeError(f"check: f takes {_list(parameters)}, at= gives {_list(at)}")
    return {name: at[name] for name in parameters if name in at}


def _matched(hand: Any, known: Mapping[str, Any], arguments: list[str]) -> dict[str, Any]:
    """The hand function's arguments by name; a function of one argument may call it what it likes."""
    parameters = _parameters(hand)
    if parameters is None:
        return {name: known[name] for name in arguments}
    chosen = {name: known[name] for name in parameters if name in known}
    missing = [n for n, p in parameters.items() if n not in known and p.default is inspect.Parameter.empty]
    if len(missing) == 1 and len(arguments) == 1 and arguments[0] not in chosen:
        chosen[missing.pop()] = known[arguments[0]]
    if missing:
        raise _RejectedError(f"the hand function asks for {_list(missing)}; there are {_list(known)}")
    return {name: chosen[name] for name in parameters if name in chosen}


def _call(f: Any, arguments: Mapping[str, Any]) -> Any:
    if isinstance(f, Primitive) or _parameters(f) is None:
        return f(*arguments.values())
    bound = inspect.BoundArguments(inspect.signature(f), OrderedDict(arguments))
    return f(*bound.args, **bound.kwargs)


def _by_name(result: Any, wrt: list[str], arguments: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(result, Mapping):
        if unknown := [str(name) for name in result if name not in arguments]:
            raise _RejectedError(f"the hand result names {_list(unknown)}; f takes {_list(arguments)}")
        if missing := [name for name in wrt if name not in result]:
            raise _RejectedError(f"the hand result has no derivative for {_list(missing)}")
        return {name: result[name] for name in wrt}
    if len(wrt) == 1:
        return {wrt[0]: result}
    if not isinstance(result, (list, tuple)) or len(result) != len(wrt):
        raise _RejectedError(f"the hand result must hold one array for each of {_list(wrt)}")
    return dict(zip(wrt, result, strict=True))


def _numbers(x: Any) -> Floats:
    """``x`` as an array of floats, Values by their data; complex numbers, outside every domain, are nan."""
    if isinstance(x, np.ndarray) and x.dtype.kind in "biuf":
        return x.astype(float)
    array = np.asarray(x, dtype=object)
    return np.array([_number(element) for element in array.flat], dtype=float).reshape(array.shape)


def _number(x: Any) -> float:
    if isinstance(x, Value):
        return x.data
    if isinstance(x, (complex, np.complexfloating)):
        return NAN
    number = as_number(x)
    if number is None:
        raise TypeError(f"expected numbers, got {type(x).__name__}")
    return number


def _nodes(x: Any) -> list[Any]:
    """The elements of a Value or of an array of them."""
    return [*np.asarray(x, dtype=object).flat]


def _plain(x: Floats) -> Any:
    """A scalar as a Python float, an array as a copy."""
    return x.copy() if x.shape else float(x)


# --- the table ---------------------------------------------------------------------------------------

HEADINGS = ("", "point", "row", "column", "yours", "engine", "witness", "error", "")


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    if not rows:
        return []
    widths = [max(map(len, cells)) for cells in zip(HEADINGS, *rows, strict=True)]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(cells[:-1], widths, strict=False))
        + ("  " + cells[-1]) * bool(cells[-1])
        for cells in (HEADINGS, *rows)
    ]


def _gravity(entry: Entry) -> tuple[int, int, float]:
    """Sorts wrong entries first, the worst of them at the top; agreeing ones begin with the given point."""
    settled = entry.verdict == AGREES
    error = float("inf") if np.isnan(entry.error) else entry.error
    return -SEVERITY[entry.verdict], entry.point if settled else 0, -error


def _subscript(name: str, index: Index) -> str:
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"
