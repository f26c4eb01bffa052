"""Mistakes that can be seen from the right array alone: a sign, a factor, its numbers misplaced or added up.

Each is an `Arrangement`, a map from the right array to what was written, so that it can also follow a
mistake of another kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations, permutations
from typing import TypeAlias

import numpy as np

from autograd_mini.check.diagnosis.case import At, Candidate, Case, Results
from autograd_mini.check.diagnosis.constants import constant_name
from autograd_mini.check.diagnosis.evidence import Point
from autograd_mini.check.subjects.arguments import Floats

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Arrangement:
    """``of`` is None where the mistake cannot be made; the texts go on from "yours is … the right one"."""

    kind: str
    text: str
    correct: str
    of: Callable[[Floats], Floats | None]


def arranged(case: Case, base: At) -> Iterator[Candidate]:
    """What may become of a result for one name where an array of the given shape was written."""
    if len(case.names) > 1:
        return
    [name] = case.names
    title = case.title
    truth, yours = case.points[0].truth[name], case.points[0].yours[name]

    def result(arrangement: Arrangement, point: Point) -> Results | None:
        results = base(point)
        array = None if results is None else arrangement.of(results[name])
        return None if array is None else {name: array}

    kinds = (
        _layouts(truth.shape, yours.shape),
        _parts(truth, yours.shape, case.rows),
        _sums(truth, yours, case.rows),
    )
    for arrangement in (x for kind in kinds for x in kind):
        said = f"yours is {title} {arrangement.text}", f"{title} {arrangement.correct}"
        yield Candidate(arrangement.kind, *said, partial(result, arrangement))


def _layouts(shape: Shape, given: Shape) -> Iterator[Arrangement]:
    if math.prod(shape) != math.prod(given) or math.prod(shape) < 2:
        return
    size = f"has shape {shape}"
    is_same = [n for n in shape if n > 1] == [n for n in given if n > 1]
    if is_same and shape != given:
        yield Arrangement(
            "layout", f"with axes of length 1 of its own, as keepdims leaves them: its shape is {given}",
            f"{size}: reshape yours", lambda a: a.reshape(given),
        )  # fmt: skip
    plain = (*range(len(shape)),)
    orders = [x for x in permutations(plain) if x != plain] if 1 < len(shape) <= 4 else []
    for axes in orders:
        if tuple(shape[axis] for axis in axes) == given:
            whole = axes == plain[::-1]
            text = "transposed" if whole else f"with its axes in the order {axes}"
            yield Arrangement(
                "transposed", text, f"{size}: put the axes of yours back in order",
                partial(np.transpose, axes=axes),
            )  # fmt: skip
    for axes in orders if shape[::-1] != given else ():
        text, back = (
            f"with its axes in the order {axes}, written",
            "put the axes back in order before reshaping",
        )
        if axes == plain[::-1]:
            text = "read column by column (column-major) and written row by row"
            back = "reshape yours with order='F', or transpose it before reshaping"
        yield Arrangement(
            "layout", f"{text} into the shape {given}",
            f"{size}, entry by entry: {back}",
            partial(_reordered, axes=axes, shape=given),
        )  # fmt: skip
    if len(shape) > 1 and shape[::-1] != given:
        yield Arrangement(
            "layout", f"read row by row (row-major) and written column by column into the shape {given}",
            f"{size}, entry by entry: reshape yours with order='C'",
            lambda a: a.ravel().reshape(given, order="F"),
        )  # fmt: skip
    if not is_same:
        text = f"with its entries in a row-by-row layout of shape {given}"
        yield Arrangement("layout", text, size, lambda a: a.reshape(given))
    for axis in range(len(shape)) if shape == given else ():
        text = f"in reverse order along axis {axis}"
        yield Arrangement(
            "layout", text, f"{size}: reverse axis {axis} of yours", partial(np.flip, axis=axis)
        )


def _parts(truth: Floats, given: Shape, rows: int) -> Iterator[Arrangement]:
    shape, half = truth.shape, truth.ndim // 2
    if not (half and rows == half and shape[:half] == shape[half:]):
        return
    n = math.prod(shape[:half])
    square = truth.reshape(n, n)

    def only(mask: Floats) -> Callable[[Floats], Floats]:
        return lambda a: np.where(mask.reshape(shape), a, 0.0)

    full = "has entries off the diagonal too: every output depends on every input"
    eye, lower = np.eye(n, dtype=bool), np.tri(n, dtype=bool)
    if given == shape:
        sides = "has entries on both sides of the diagonal"
        yield Arrangement("diagonal", "with its diagonal only", full, only(eye))
        yield Arrangement(
            "off-diagonal", "without its diagonal", "has a diagonal too, the case i = j", only(~eye)
        )
        yield Arrangement("triangle", "with its lower triangle only", sides, only(lower))
        yield Arrangement("triangle", "with its upper triangle only", sides, only(lower.T))
    elif given == shape[:half]:
        if not square[~eye].any():
            full = "is a matrix with these numbers on its diagonal and 0 elsewhere, diag of yours"
        yield Arrangement(
            "diagonal", "reduced to its diagonal", full, lambda a: np.diag(a.reshape(n, n)).reshape(given)
        )


def _reordered(a: Floats, axes: tuple[int, ...], shape: tuple[int, ...]) -> Floats:
    return a.transpose(axes).reshape(shape)


def _sums(truth: Floats, yours: Floats, rows: int) -> Iterator[Arrangement]:
    shape, given = truth.shape, yours.shape
    where = ", in every entry" if given == shape else ""
    largest = np.max(abs(yours), initial=0.0)

    def constant_along(axes: Shape) -> bool:
        return bool((np.ptp(yours, axis=axes) <= 1e-3 * largest).all())

    if not rows and len(shape) == 2 and shape[0] == shape[1] > 1 and constant_along((*range(yours.ndim),)):
        yield Arrangement(
            "inner for outer", "with the inner product of its two factors in place of their outer product",
            "is the outer product u vᵀ, with entries uᵢ vⱼ; yours is the inner product u · v" + where,
            lambda a: _spread(np.trace(a) if _is_rank_one(a) else None, given),
        )  # fmt: skip
    if rows and len(shape) == 2 and np.array_equal(truth, np.diag(np.diagonal(truth))):
        return  # a sum is its diagonal
    for axes in (x for count in range(len(shape), 0, -1) for x in combinations(range(len(shape)), count)):
        spread = given == shape
        if math.prod(shape[axis] for axis in axes) < 2 or (spread and not constant_along(axes)):
            continue
        over = "all entries" if len(axes) == len(shape) else f"axis {', '.join(map(str, axes))}"
        for what, fold in (("added up", np.sum), ("averaged", np.mean)):
            yield Arrangement(
                "summed", f"{what} over {over}{where}",
                f"has shape {shape}, an entry of its own for each element",
                partial(_folded, fold=fold, axes=axes, keep=spread, given=given),
            )  # fmt: skip


def _folded(a: Floats, fold: Callable[..., Floats], axes: Shape, keep: bool, given: Shape) -> Floats | None:
    return _spread(fold(a, axis=axes, keepdims=keep), given)


def _spread(a: Floats | None, given: Shape) -> Floats | None:
    if a is None or len(given) < np.ndim(a):
        return None
    try:
        return np.broadcast_to(a, given)
    except ValueError:
        return None


def _is_rank_one(a: Floats) -> bool:
    singular = np.linalg.svd(a, compute_uv=False)
    return bool(singular[0] > 0 and singular[1] <= 1e-6 * singular[0])


def shuffled(case: Case, base: At) -> Iterator[Candidate]:
    """The right numbers in other places, the same places at every point."""
    if len(case.names) > 1:
        return
    [name] = case.names
    truths, given = [case.points[0].truth[name].ravel(), case.points[0].yours[name].ravel()]
    if truths.size != given.size or not 3 <= truths.size <= 10_000:
        return
    if len(np.unique(np.round(truths / (1e-6 * np.max(abs(truths)) or 1.0)))) < 3:
        return  # too few different numbers: any array of them would do
    taken = np.empty(truths.size, dtype=int)
    taken[np.argsort(given, kind="stable")] = np.argsort(truths, kind="stable")
    shape = case.points[0].yours[name].shape
    moved = np.flatnonzero(taken != np.arange(len(taken)))[:4].tolist()
    pairs = [
        f"{_index(i, shape)} holds the right {_index(int(taken[i]), case.points[0].truth[name].shape)}"
        for i in moved
    ]
    yield Candidate(
        "layout", f"yours has the numbers of {case.title} in other places: {', '.join(pairs)}, …",
        f"{case.title} has shape {case.points[0].truth[name].shape}: put every number in its own place",
        lambda point: {name: point.truth[name].ravel()[taken].reshape(shape)},
    )  # fmt: skip


def _index(i: int, shape: Shape) -> str:
    return "[" + ", ".join(str(int(k)) for k in np.unravel_index(i, shape)) + "]"


# --- numbers: signs and factors ----------------------------------------------------------------------


def signs(case: Case, base: At) -> Iterator[Candidate]:
    """A wrong sign of everything."""
    title = case.title
    text = f"yours is {title} with the wrong sign"
    yield Candidate("sign", text, f"{title} is −1 times yours", _times(case, base, -1.0))


def named_factors(case: Case, base: At) -> Iterator[Candidate]:
    """One factor, the same in every entry and at every point, which may have been lost: 2, ½, N, 1/N, π."""
    return _factors(case, base, named=True)


def factors(case: Case, base: At) -> Iterator[Candidate]:
    """Any one factor, the same in every entry and at every point, if that is sure."""
    return _factors(case, base, named=False)


def _times(case: Case, base: At, c: float) -> At:
    def result(point: Point) -> Results | None:
        results = base(point)
        return None if results is None else {name: c * results[name] for name in case.names}

    return result


def _factors(case: Case, base: At, named: bool) -> Iterator[Candidate]:
    results, yours = base(case.home), case.home.yours
    if results is None or any(results[name].shape != yours[name].shape for name in case.names):
        return
    right, given = (np.concatenate([x[name].ravel() for name in case.names]) for x in (results, yours))
    square = float(right @ right)
    c = float(right @ given) / square if square and np.isfinite(square) else 0.0
    text = constant_name(c, case.sizes, case.width)
    if c == 0 or text in ("1", "−1") or (text is None and (named or case.bits < 100)):
        return
    title, said = case.title, text or f"{c:.6g}"
    formula = f"{title} is yours divided by {said.partition(',')[0]}"
    if abs(c) > 1 and "," in said:
        formula += ": the 1/N of a mean is missing"
    elif "one over" in said:
        formula += ": the 1/N of a mean is there once too often"
    yield Candidate(
        "factor", f"yours is {title} times a constant factor, {said}", formula, _times(case, base, c)
    )


def entry_factors(case: Case, base: At) -> Iterator[Candidate]:
    """A wrong sign or a constant factor in some entries, the same at every point, the others right."""
    if not case.shaped or not (wrong := case.wrong_entries).any() or wrong.all():
        return
    yours = np.array([case.matrix(point.yours)[wrong] for point in case.points])
    truth = np.array([case.matrix(point.truth)[wrong] for point in case.points])
    factor = float(np.sum(yours * truth) / np.sum(truth * truth))
    text = constant_name(factor, case.sizes, case.width)
    if text is None or text == "1":
        return
    where, is_sign = entries(case), text == "−1"
    exact = -1.0 if is_sign else factor
    said = "have the wrong sign" if is_sign else f"are {text} times the right ones"
    yield Candidate(
        "sign" if is_sign else "factor", f"{where} of yours {said}; the others are right",
        f"{case.title}: {'turn the sign of' if is_sign else f'divide by {text}'} {where}",
        lambda point: case.split(np.where(wrong, exact, 1.0) * case.matrix(point.truth)),
    )  # fmt: skip


def entries(case: Case) -> str:
    """The wrong entries in words."""
    parts = {name: part > 0 for name, part in case.split(case.wrong_entries.astype(float)).items()}
    name = next(name for name in case.names if parts[name].any())
    mask = parts[name]
    half = mask.ndim // 2
    if len(case.names) == 1 and half and mask.shape[:half] == mask.shape[half:] and case.rows == half:
        square = mask.reshape(math.prod(mask.shape[:half]), -1)
        eye = np.eye(len(square), dtype=bool)
        if (square == eye).all() or (square == ~eye).all():
            return f"the entries {'on' if square[0, 0] else 'off'} the diagonal"
    if case.rows == 0 and mask.all() and len(case.names) > 1:
        return "the entries for " + ", ".join(n for n in case.names if parts[n].any())
    indices = [_index(int(i), mask.shape) for i in np.flatnonzero(mask)]
    more = ", …" if len(indices) > 6 else ""
    return ("entry " if len(indices) == 1 else "the entries ") + ", ".join(indices[:6]) + more
