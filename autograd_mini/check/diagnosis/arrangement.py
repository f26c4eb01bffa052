"""Mistakes that can be seen from the right array alone: its numbers misplaced, left out, or added up.

Each is an `Arrangement`, a map from the right array to what was written, so that it can also follow a
mistake of another kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations, permutations
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from autograd_mini.check.diagnosis.case import Candidate, Case, Results, constant_name
from autograd_mini.check.diagnosis.evidence import Explanation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats: TypeAlias = NDArray[np.float64]
    Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Arrangement:
    """``of`` is None where the mistake cannot be made; the texts go on from "yours is … the right one"."""

    kind: str
    text: str
    correct: str
    of: Callable[[Floats], Floats | None]


def arrangements(case: Case) -> list[Arrangement]:
    """What may become of the right array where an array of the given shape was written."""
    [name] = case.names
    shape, given = case.points[0].truth[name].shape, case.points[0].yours[name].shape
    return [
        *_layouts(shape, given),
        *_parts(shape, given, case.rows),
        *_sums(shape, case.points[0].yours[name], case.rows),
    ]


def rearranged(
    case: Case, base: Callable[[int], Results | None], every: list[Arrangement]
) -> Iterator[Candidate]:
    """Every arrangement of a result for one name, as a candidate."""
    [name] = case.names
    for arrangement in every:
        yield Candidate(
            partial(_rearrange, name, base, arrangement), partial(_says, arrangement, case.symbol(name))
        )


def _rearrange(
    name: str, base: Callable[[int], Results | None], arrangement: Arrangement, p: int
) -> Results | None:
    results = base(p)
    array = None if results is None else arrangement.of(results[name])
    return None if array is None else {name: array}


def _says(arrangement: Arrangement, title: str) -> Explanation:
    return Explanation(
        arrangement.kind, f"yours is {title} {arrangement.text}", f"{title} {arrangement.correct}"
    )


def _layouts(shape: Shape, given: Shape) -> Iterator[Arrangement]:
    if math.prod(shape) != math.prod(given) or math.prod(shape) < 2:
        return
    size = f"has shape {shape}"
    if len(shape) > 1:
        transposed = shape[::-1] == given
        if transposed:
            yield Arrangement("transposed", "transposed", f"{size}: swap the axes of yours", lambda a: a.T)
        plain = (*range(len(shape)),)
        orders = list(permutations(range(len(shape)))) if len(shape) <= 4 else []
        for axes in orders:
            fits = tuple(shape[axis] for axis in axes) == given
            if fits and axes not in (plain, plain[::-1]):
                yield Arrangement(
                    "transposed",
                    f"with its axes in the order {axes}",
                    f"{size}: put the axes of yours back in order",
                    partial(np.transpose, axes=axes),
                )
        if not transposed:
            yield Arrangement(
                "layout",
                f"read column by column (column-major) and written row by row into the shape {given}",
                f"{size}, entry by entry: reshape yours with order='F', or transpose it before reshaping",
                lambda a: a.ravel(order="F").reshape(given),
            )
            yield Arrangement(
                "layout",
                f"read row by row (row-major) and written column by column into the shape {given}",
                f"{size}, entry by entry: reshape yours with order='C'",
                lambda a: a.ravel().reshape(given, order="F"),
            )
        for axes in orders:
            if axes not in (plain, plain[::-1]):
                yield Arrangement(
                    "layout",
                    f"with its axes in the order {axes}, written into the shape {given}",
                    f"{size}: put the axes back in order before reshaping",
                    partial(_reordered, axes=axes, given=given),
                )
    if shape != given:
        yield Arrangement(
            "layout", f"with its entries in a row-by-row layout of shape {given}", size,
            lambda a: a.reshape(given),
        )  # fmt: skip
        return
    for axis in range(len(shape)):
        yield Arrangement(
            "layout", f"in reverse order along axis {axis}", f"{size}: reverse axis {axis} of yours",
            partial(np.flip, axis=axis),
        )  # fmt: skip


def _reordered(a: Floats, axes: tuple[int, ...], given: Shape) -> Floats:
    return a.transpose(axes).reshape(given)


def _triangle(a: Floats, part: Callable[[Floats], Floats]) -> Floats:
    n = math.isqrt(a.size)
    return part(a.reshape(n, n)).reshape(a.shape)


def _folded(
    a: Floats, fold: Callable[..., Floats], axes: tuple[int, ...], keep: bool, given: Shape
) -> Floats | None:
    return _spread(fold(a, axis=axes, keepdims=keep), given)


def _parts(shape: Shape, given: Shape, rows: int) -> Iterator[Arrangement]:
    half = len(shape) // 2
    if not (half and rows == half and shape[:half] == shape[half:]):
        return
    n = math.prod(shape[:half])
    full = "has entries off the diagonal too: every output depends on every input"

    def diagonal(a: Floats) -> Floats:
        return np.diag(a.reshape(n, n))

    if given == shape:
        yield Arrangement(
            "diagonal", "with its diagonal only", full,
            lambda a: np.diag(diagonal(a)).reshape(shape),
        )  # fmt: skip
        yield Arrangement(
            "off-diagonal", "without its diagonal", "has a diagonal too, the case i = j",
            lambda a: a - np.diag(diagonal(a)).reshape(shape),
        )  # fmt: skip
        for text, part in (("lower", np.tril), ("upper", np.triu)):
            yield Arrangement(
                "triangle", f"with its {text} triangle only", "has entries on both sides of the diagonal",
                partial(_triangle, part=part),
            )  # fmt: skip
    elif given == shape[:half]:
        yield Arrangement("diagonal", "reduced to its diagonal", full, lambda a: diagonal(a).reshape(given))


def _sums(shape: Shape, yours: Floats, rows: int) -> Iterator[Arrangement]:
    given = yours.shape
    if not rows and len(shape) == 2 and shape[0] == shape[1] > 1 and _constant(yours, (*range(yours.ndim),)):
        yield Arrangement(
            "inner for outer",
            "with the inner product of its two factors in place of their outer product",
            "is the outer product u vᵀ, with entries uᵢ vⱼ; yours is the inner product u · v"
            + _where(shape, given),
            lambda a: _spread(np.trace(a) if _rank_one(a) else None, given),
        )
    for count in range(len(shape), 0, -1):
        for axes in combinations(range(len(shape)), count):
            spread = given == shape
            if math.prod(shape[axis] for axis in axes) < 2 or (spread and not _constant(yours, axes)):
                continue
            over = "over all entries" if count == len(shape) else f"over axis {', '.join(map(str, axes))}"
            for what, fold in (("added up", np.sum), ("averaged", np.mean)):
                yield Arrangement(
                    "summed",
                    f"{what} {over}" + _where(shape, given),
                    f"has shape {shape}, an entry of its own for each element",
                    partial(_folded, fold=fold, axes=axes, keep=spread, given=given),
                )


def _constant(a: Floats, axes: tuple[int, ...]) -> bool:
    return bool((np.ptp(a, axis=axes) <= 1e-3 * np.max(abs(a), initial=0.0)).all())


def _where(shape: Shape, given: Shape) -> str:
    return ", in every entry" if given == shape else ""


def _spread(a: Floats | None, given: Shape) -> Floats | None:
    if a is None or len(given) < np.ndim(a):
        return None
    try:
        return np.broadcast_to(a, given)
    except ValueError:
        return None


def _rank_one(a: Floats) -> bool:
    singular = np.linalg.svd(a, compute_uv=False)
    return bool(singular[0] > 0 and singular[1] <= 1e-6 * singular[0])


# --- any other order ---------------------------------------------------------------------------------


def shuffled(case: Case, name: str) -> Iterator[Explanation]:
    """The right numbers in other places, the same places at every point."""
    truths = [point.truth[name].ravel() for point in case.points]
    yours = [point.yours[name].ravel() for point in case.points]
    if truths[0].size != yours[0].size or not 3 <= truths[0].size <= 10_000:
        return
    source, target = np.argsort(truths[0], kind="stable"), np.argsort(yours[0], kind="stable")
    if len(np.unique(np.round(truths[0] / (1e-6 * np.max(abs(truths[0])) or 1.0)))) < 3:
        return  # too few different numbers: any array of them would do
    taken = np.empty_like(source)
    taken[target] = source
    shape, given = case.points[0].truth[name].shape, case.points[0].yours[name].shape
    if not case.fits(lambda p: {name: truths[p][taken].reshape(given)}):
        return
    moved = np.flatnonzero(taken != np.arange(len(taken)))
    pairs = [f"{_index(int(i), given)} holds the right {_index(int(taken[i]), shape)}" for i in moved[:4]]
    more = ", …" if len(moved) > 4 else ""
    yield Explanation(
        "layout",
        f"yours has the numbers of {case.symbol(name)} in other places: {', '.join(pairs)}{more}",
        f"{case.symbol(name)} has shape {shape}: put every number in its own place",
    )


def _index(i: int, shape: Shape) -> str:
    return "[" + ", ".join(str(int(k)) for k in np.unravel_index(i, shape)) + "]"


# --- numbers: signs and factors ----------------------------------------------------------------------


def signs(case: Case, base: Callable[[int], Results | None]) -> Iterator[Candidate]:
    """A wrong sign, of everything or of the same entries at every point."""

    def negative(p: int) -> Results | None:
        results = base(p)
        return None if results is None else {name: -results[name] for name in case.names}

    title = case.title
    yield Candidate(
        negative,
        lambda: Explanation("sign", f"yours is {title} with the wrong sign", f"{title} is −1 times yours"),
    )


def entry_factors(case: Case) -> Iterator[Candidate]:
    """A wrong sign or a constant factor in some entries, the same at every point, the others right."""
    if not case.shaped:
        return
    wrong = np.any([abs(d) > tol for d, tol in zip(case.difference, case.tolerance, strict=True)], axis=0)
    if not wrong.any() or wrong.all():
        return
    yours = np.array([case.matrix(point.yours)[wrong] for point in case.points])
    truth = np.array([case.matrix(point.truth)[wrong] for point in case.points])
    factor = float(np.sum(yours * truth) / np.sum(truth * truth))
    text = constant_name(factor, _sizes(case), case.width)
    if text is None or text == "1":
        return

    def result(p: int) -> Results:
        matrix = case.matrix(case.points[p].truth)
        exact = -1.0 if text == "−1" else factor
        return case.split(p, np.where(wrong, exact * matrix, matrix))

    where = _entries(case, wrong)
    kind = "sign" if text == "−1" else "factor"
    said = "have the wrong sign" if kind == "sign" else f"are {text} times the right ones"
    yield Candidate(
        result,
        lambda: Explanation(
            kind, f"{where} of yours {said}; the others are right",
            f"{case.title}: {'turn the sign of' if kind == 'sign' else f'divide by {text}'} {where}",
        ),
    )  # fmt: skip


def _entries(case: Case, wrong: NDArray[np.bool_]) -> str:
    """The wrong entries in words."""
    parts = case.split(0, wrong.astype(float))
    name = next(name for name in case.names if parts[name].any())
    mask = parts[name] > 0
    half = mask.ndim // 2
    if len(case.names) == 1 and half and mask.shape[:half] == mask.shape[half:] and case.rows == half:
        n = math.prod(mask.shape[:half])
        square, eye = mask.reshape(n, n), np.eye(n, dtype=bool)
        if (square == eye).all():
            return "the entries on the diagonal"
        if (square == ~eye).all():
            return "the entries off the diagonal"
    if case.rows == 0 and mask.all() and len(case.names) > 1:
        return "the entries for " + ", ".join(n for n in case.names if parts[n].any())
    indices = [_index(int(i), mask.shape) for i in np.flatnonzero(mask)]
    more = ", …" if len(indices) > 6 else ""
    return ("entry " if len(indices) == 1 else "the entries ") + ", ".join(indices[:6]) + more


def factors(
    case: Case, base: Callable[[int], Results | None], which: Literal["common", "named", "any"] = "any"
) -> Iterator[Candidate]:
    """One factor, the same in every entry and at every point: 2, ½, N or 1/N; one with a name; or any."""
    home = case.order[0]
    results = base(home)
    yours = case.points[home].yours
    if results is None or any(results[name].shape != yours[name].shape for name in case.names):
        return
    right = np.concatenate([results[name].ravel() for name in case.names])
    given = np.concatenate([yours[name].ravel() for name in case.names])
    if not (square := float(right @ right)) or not np.isfinite(square):
        return
    c = float(right @ given) / square
    text = constant_name(c, _sizes(case), case.width, common=which == "common")
    if c == 0 or text in ("1", "−1") or (text is None and (which != "any" or case.information < 100)):
        return
    said = text or f"{c:.6g}"

    def scaled(p: int) -> Results | None:
        results = base(p)
        return None if results is None else {name: c * results[name] for name in case.names}

    title = case.title
    yield Candidate(
        scaled,
        lambda: Explanation(
            "factor",
            f"yours is {title} times a constant factor, {said}",
            f"{title} is yours divided by {said}",
        ),
    )


def _sizes(case: Case) -> dict[int, str]:
    """The numbers of things that a mean could have been taken over."""
    sizes: dict[int, str] = {}
    point = case.points[0]
    if point.output.ndim:
        sizes[point.output.size] = "the number of outputs"
    for name, x in point.arguments.items():
        try:
            shape = np.shape(x)
        except ValueError:  # ragged: no array
            continue
        if shape:
            sizes.setdefault(shape[0], f"the length of {name}")
            sizes.setdefault(math.prod(shape), f"the number of entries of {name}")
            sizes.setdefault(shape[-1], f"the row length of {name}")
    return sizes
