"""The comparison of a hand derivation with engine and witness, at one point and over all of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from autograd_mini.check.report import AGREES, DISAGREES, INCONCLUSIVE, Entry, Report, gravity, subscript
from autograd_mini.check.subject import RejectedError, Subject, numbers_of
from autograd_mini.check.witness import EPSILON, Limit, differences, sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
Index: TypeAlias = tuple[int, ...]

CONFLICT = "engine and witness disagree with each other"
NAN = float("nan")


def compare(
    title: str, subject: Subject, rows: Index, points: int, seed: int, rtol: float, atol: float | None
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
        except RejectedError as rejected:
            reason = str(rejected) + f" (at random point {point.number})" * bool(point.number)
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
        suffix = f"; {left_open} random points left open" if left_open else ""
        return f"the largest error is {largest:.1e}{suffix}"
    wanted = [entry for entry in entries if entry.verdict == verdict]
    if not wanted:
        return "f is not finite at the given point"
    worst = min(wanted, key=lambda entry: (entry.point > 0, gravity(entry)))  # the given point says most
    at = f" at random point {worst.point}" if worst.point else " at the given point"
    where = f"∂{subscript(out, worst.row)}/∂{subscript(worst.name, worst.column)}{at}"
    if verdict == INCONCLUSIVE:
        return f"{where}: {worst.note}"
    truth = worst.witness if np.isnan(worst.engine) else worst.engine
    return f"{where} is {truth:.8g}, yours {worst.yours:.8g}; {len(wanted)} of {len(entries)} entries wrong"


def _points(subject: Subject, count: int, seed: int) -> Iterable[Floats | None]:
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
        if np.isfinite(sample(subject.evaluate, x, subject.start_output.size)).all():
            found += 1
            yield x
        else:
            radius /= 2
            yield None


class _Point:
    """The comparison at one point."""

    def __init__(
        self, subject: Subject, x: Floats, rows: Index, number: int, rtol: float, atol: float | None
    ) -> None:
        self.subject, self.x, self.rows, self.number = subject, x, rows, number
        self.rtol, self.atol = rtol, atol
        self.witnesses: list[str] = []
        self.remarks: list[str] = []

    def entries(self) -> list[Entry]:
        """Every partial derivative at this point, judged; RejectedError if the hand result is unusable."""
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
            more = ", …" if len(self.kinks) > 3 else ""
            note += f" (on a kink: {', '.join(self.kinks[:3])}{more})"
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

    def _differences(self, output: Floats) -> tuple[Limit, Limit, Limit]:
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
            given = numbers_of(result)
        except (TypeError, ValueError) as error:
            raise RejectedError(f"the hand result for {name} is not an array of numbers: {error}") from None
        if given.shape != truth.shape:
            text = (
                f"the hand result for {name} has the wrong shape: expected {truth.shape}, got {given.shape}"
            )
            raise RejectedError(text + _rearrangement(given, truth, len(self.rows), self.rtol))
        if np.isnan(given).any():
            where = tuple(int(i) for i in np.argwhere(np.isnan(given))[0])
            raise RejectedError(f"the hand result for {name} holds nan, first at {where}")
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
        # With an error estimate beyond this, differences say nothing.
        noise = 100 * self.zero + 1e-8 * self.size + 1e-4 * max(map(abs, truths))
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
        distance = abs(a - b)
        return distance < np.inf and distance <= self.zero + self.rtol * max(abs(a), abs(b)) + slack


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
        if candidate.shape == truth.shape and _same(candidate, truth, rtol):
            return f"; it is the right answer up to shape: {name}"
    return "; neither its transpose nor a flattening matches"


def _same(a: Floats, b: Floats, rtol: float) -> bool:
    return np.allclose(a, b, rtol, 1e-9 * np.max(abs(b), initial=0.0))


def _transposed(entries: list[Entry], rtol: float) -> str:
    """A remark if a square result of the right shape is wrong but its transpose is right."""
    given = [entry for entry in entries if entry.point == 0]
    for name in dict.fromkeys(entry.name for entry in given):
        block = [entry for entry in given if entry.name == name]
        yours = {entry.row + entry.column: entry.yours for entry in block}
        truth = {e.row + e.column: e.witness if np.isnan(e.engine) else e.engine for e in block}
        swapped = [yours.get(index[::-1], NAN) for index in truth]
        wrong = any(entry.verdict == DISAGREES for entry in block)
        if wrong and _same(np.array(swapped), np.array(list(truth.values())), rtol):
            return f"; the transpose of the result for {name} agrees"
    return ""
