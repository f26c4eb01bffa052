"""A function recorded at several sizes, and its numbers to many digits at points of its domain.

At 3 or 4 elements, much is equal by accident. So the function is recorded at sizes that are different primes
and then at others; where both give the same families, an axis is what has one length here and another one
there, and a constant that changes along is a length too. A function that takes only its own size is recorded
there alone.
"""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from autograd_mini import formulas
from autograd_mini.arguments import with_parameters
from autograd_mini.instructions import Instructions
from autograd_mini.number_types import FormulaType, mpmath_type
from autograd_mini.program import trace
from autograd_mini.rolling.constants import form_of
from autograd_mini.rolling.families import Family, Numbers, Operand, Output, roll
from autograd_mini.rolling.grids import Affine
from autograd_mini.sweeps import Sweep
from autograd_mini.value import TraceError

Arguments: TypeAlias = "Mapping[str, Any]"
Shape: TypeAlias = "tuple[int, ...]"
Dim: TypeAlias = "tuple[int, ...]"  # the length of an axis in each recording

DIGITS = 50
SIZES = (5, 7, 11, 13, 17), (6, 8, 9, 10, 12)  # in the place of different lengths
LARGEST = 20_000  # instructions that are swept at many digits
TRIES = 40  # of drawing a point in the domain


class NotRegularError(ValueError):
    """The families have no index notation: they stand at places that are no plain indices."""


@cache
def many_digits() -> Any:
    """mpmath's numbers with 50 digits, whatever others do with their precision."""
    import mpmath

    context = mpmath.mp.clone()
    context.dps = DIGITS
    return context


@dataclass(frozen=True, eq=False)
class Recording:
    """What f does at one size: instructions with the user's labels, families, and the result."""

    function: Callable[..., Any]
    code: Instructions
    labels: Mapping[int, str]
    families: tuple[Family, ...]
    output: Output

    def point(self, arguments: Sequence[Any]) -> Point | None:
        """The numbers of all families at these arguments; None outside of the domain."""
        context = many_digits()
        kind = mpmath_type(context)
        flat = np.concatenate([np.ravel(np.asarray(x, float)) for x in arguments] or [np.empty(0)])
        sweep = Sweep(self.code, [kind.number(x) for x in flat.tolist()], kind)
        if not all(context.isfinite(x) for x in sweep.outputs):
            return None
        adjoints = [sweep.adjoints({root: kind.number(1)}) for root in self.code.outputs.tolist()]
        if not all(context.isfinite(x.get(i, 0)) for x in adjoints for i in range(self.code.inputs)):
            return None
        return Point(self, sweep, adjoints, self.output.shape)


@dataclass(frozen=True, eq=False)
class Point:
    """All numbers of a recording, and the derivatives of each of its results by them."""

    recording: Recording
    sweep: Sweep
    adjoints: Sequence[Mapping[int, Any]]
    results: Shape

    def partial(self, family: int, place: int, by: int, held: Sequence[int]) -> Any:
        """The derivative of one element of a family by another family, others being held."""
        families = self.recording.families
        flat = families[family].grid.flat.tolist()
        zero = self.sweep.kind.number(0)
        still = {slot: zero for i in held for slot in families[i].slots.tolist()}
        slot = int(families[family].slots[flat.index(place)])
        still.pop(slot, None)
        found = self.sweep.adjoints({slot: self.sweep.kind.number(1)}, still)
        return replace(self, adjoints=[found], results=()).array(by, adjoint=True)

    def array(self, family: int, adjoint: bool = False) -> Any:
        """A family's numbers, or the results' derivatives by it, one axis of both after another.

        None if a part of a sum in the program is what it is.
        """
        known, slots = self.recording.families[family], self.sweep.slots
        if not known.grid.full or (known.slots >= len(slots)).any():
            return None
        zero = self.sweep.kind.number(0)
        rows = [[x.get(slot, zero) for slot in known.slots.tolist()] for x in self.adjoints]
        found = np.empty((len(rows) if adjoint else 1, len(known.slots)), object)
        found[:, known.grid.flat] = rows if adjoint else [[slots[slot] for slot in known.slots.tolist()]]
        return found.reshape((self.results if adjoint else ()) + known.shape)


def record(f: Callable[..., Any], arguments: Arguments, apart: bool = False) -> Recording:
    """f at arguments of these shapes; ValueError unless it has one number or array that depends on them.

    Operations with different constants are in different families; ``apart`` if each is in one of its own.
    """

    def one(*given: Any) -> Any:
        result = f(*given)
        if isinstance(result, (tuple, list, dict)):
            raise ValueError("derivation: f must return one number or array, got several; choose one of them")
        return result.reshape(-1)[0] if np.ndim(result) and np.size(result) == 1 else result

    program = trace(with_parameters(one, arguments), *arguments.values())
    code = program.code
    if ((code.inputs <= code.outputs) & (code.outputs < code.first)).all():
        raise ValueError("derivation: f is a constant")
    numbers = dict(enumerate(code.constants, code.inputs))
    marks = {
        slot: slot if apart else tuple(numbers[x] for x in operands if x in numbers)
        for slot, operands in enumerate(code.operands.tolist(), code.first)
    }
    rolled = roll(program.listing, apart=marks)
    kind = mpmath_type(many_digits())
    exact: tuple[Any, ...] = tuple(meant(kind, x, kind.number) for x in code.constants)
    code = replace(code, constants=exact)
    return Recording(f, code, program.listing.labels, rolled.families, rolled.outputs[0])


def recordings(f: Callable[..., Any], arguments: Arguments) -> tuple[list[Recording], list[dict[int, int]]]:
    """f at two sizes other than the given one, with what has become of each length; else at the given one."""
    lengths = sorted({n for x in arguments.values() for n in np.shape(x) if n > 1})
    if lengths and len(lengths) <= len(SIZES[0]):
        sizes = [dict(zip(lengths, some, strict=False)) for some in SIZES]
        try:
            both = [record(f, {x: resized(v, size) for x, v in arguments.items()}) for size in sizes]
        except (TraceError, ArithmeticError, LookupError, TypeError, ValueError):
            both = []
        if both and alike(*both):
            return both, sizes
    return [record(f, arguments)], [{n: n for n in lengths}]


def resized(x: Any, size: Mapping[int, int]) -> Any:
    return np.zeros([size.get(n, n) for n in np.shape(x)]) if np.shape(x) else 0.0


def alike(a: Recording, b: Recording) -> bool:
    """Whether the families are the same but for their lengths."""
    if len(a.families) != len(b.families) or [p.family for p in a.output.parts] != [
        p.family for p in b.output.parts
    ]:
        return False
    return all(map(_alike, a.families, b.families))


def collapsed(family: Family) -> list[tuple[int, int]]:
    """The operands, of those that a sum has one after another the first, and how often it has each."""
    found: list[tuple[int, int]] = []
    for k, operand in enumerate(family.operands):
        if found and family.fold and _is_same(family.operands[found[-1][0]], operand):
            found[-1] = found[-1][0], found[-1][1] + 1
        else:
            found.append((k, 1))
    return found


def _is_same(p: Operand | Numbers, q: Operand | Numbers) -> bool:
    """Whether operands are the same but for the lengths that are summed over."""
    if isinstance(p, Numbers) or isinstance(q, Numbers):
        return isinstance(p, Numbers) and isinstance(q, Numbers) and p is q
    if (p.family, len(p.reduced)) != (q.family, len(q.reduced)):
        return False
    if isinstance(p.place, Affine) and isinstance(q.place, Affine):
        same = np.array_equal(p.place.steps, q.place.steps)
        return same and np.array_equal(p.place.offset, q.place.offset)
    return False


def _alike(x: Family, y: Family) -> bool:
    mine, its = ([f.operands[k] for k, _ in collapsed(f)] for f in (x, y))
    if (x.row, x.fold, x.name, len(x.shape), len(mine), len(x.parts)) != (
        y.row, y.fold, y.name, len(y.shape), len(its), len(y.parts)
    ):  # fmt: skip
        return False
    return all(
        _is_same(p, q)
        or (isinstance(p, Numbers) and isinstance(q, Numbers) and len(p.reduced) == len(q.reduced))
        for p, q in zip(mine, its, strict=True)
    )


# --- where points come from ---------------------------------------------------------------------------


def domain_of(x: Any) -> str:
    """What an argument looks like: a simplex, signs, what is between 0 and 1, positive, or real."""
    numbers = np.asarray(x, float)
    shares = numbers.ndim and numbers.shape[-1] > 1 and (numbers >= 0).all()
    if shares and np.allclose(numbers.sum(axis=-1), 1, rtol=0, atol=1e-9):
        return "simplex"
    if np.isin(numbers, (-1, 1)).all() and (numbers < 0).any():
        return "sign"
    if ((numbers >= 0) & (numbers <= 1)).all() and np.isin(numbers, (0, 1)).all():
        return "unit"
    return "positive" if (numbers > 0).all() else "real"


def drawn(x: Any, size: Mapping[int, int], domain: str, near: bool, random: np.random.Generator) -> Any:
    """Numbers with few bits, so that what sums to 1 does so to 50 digits."""
    shape = [size.get(n, n) for n in np.shape(x)]
    if domain == "simplex":
        count = shape[-1]
        parts = random.integers(1, 512 // count + 2, shape) / 1024.0
        parts[..., -1] = 1 - parts[..., :-1].sum(axis=-1)
        return parts
    if domain == "sign":
        return random.choice([-1.0, 1.0], shape)
    if near:
        low, high = float(np.min(x, initial=np.inf)), float(np.max(x, initial=-np.inf))
        spread = 0.2 * max(high - low, 0.3 * max(abs(low), abs(high), 0.1))
        numbers = random.uniform(low - (spread if domain == "real" else 0), high + spread, shape)
    elif domain == "unit":
        numbers = random.uniform(0.1, 0.9, shape)
    elif domain == "positive":
        numbers = random.uniform(0.3, 2.0, shape)
    else:
        numbers = random.normal(size=shape)
    return np.round(numbers * 1024) / 1024


def points(
    recording: Recording, size: Mapping[int, int], arguments: Arguments, domains: Mapping[str, str],
    count: int, seed: int,
) -> list[Point]:  # fmt: skip
    """Random points in f's domain; fewer where they are hard to find."""
    random = np.random.default_rng(seed)
    found: list[Point] = []
    for attempt in range(TRIES):
        near = attempt >= TRIES // 4 + len(found)
        given = [drawn(x, size, domains[name], near, random) for name, x in arguments.items()]
        point = recording.point(given)
        if point is not None:
            found.append(point)
        if len(found) == count:
            break
    return found


# --- functions that know arrays of their own ------------------------------------------------------------


def lifted(f: Any) -> tuple[Any, dict[str, Any]]:
    """f as a function also of the arrays of floats that it has from where it was written, and these."""
    if not isinstance(f, types.FunctionType) or f.__kwdefaults__:
        return f, {}
    code = f.__code__
    cells = dict(zip(code.co_freevars, f.__closure__ or (), strict=True))
    known: dict[str, Any] = {}
    for name, cell in cells.items():
        try:
            known[name] = cell.cell_contents
        except ValueError:  # not yet
            continue
    known |= {name: f.__globals__[name] for name in code.co_names if name in f.__globals__}
    arrays = {
        name: x for name, x in known.items() if isinstance(x, np.ndarray) and x.dtype == float and x.ndim
    }
    own = inspect.signature(f).parameters
    if (
        not arrays
        or set(arrays) & set(own)
        or any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in own.values())
    ):
        return f, {}

    def whole(**named: Any) -> Any:
        inside = {name: named[name] for name in arrays}
        closure = tuple(types.CellType(inside[x]) if x in inside else cell for x, cell in cells.items())
        again = types.FunctionType(code, {**f.__globals__, **inside}, f.__name__, f.__defaults__, closure)
        return again(**{name: x for name, x in named.items() if name not in arrays})

    whole.__name__ = f.__name__
    return whole, arrays


def meant(kind: FormulaType, x: Any, number: Callable[[Any], Any]) -> Any:
    """A constant as a number of this type, without the rounding of 1/3, √2 or 2 π."""
    c = math.pi if x == "pi" else float(x)
    if (found := form_of(abs(c))) is None:
        return number(x)
    form, inside = found
    value = kind.bound("constant", formulas.expression(form), ("x",))(
        kind.native["div"](number(inside.numerator), number(inside.denominator))
    )
    return value if c > 0 else kind.native["neg"](value)


def number(a: float, b: float, lengths: Sequence[Dim]) -> tuple[Fraction, list[tuple[Dim, int]]]:
    """A constant that is a in one recording and b in the other, as a factor and powers of lengths."""
    if a == b:
        return Fraction(a), []
    singles = [[(m, e)] for e in (1, -1) for m in lengths]
    pairs = [[(m, e), (n, d)] for e in (1, -1) for d in (1, -1) for m in lengths for n in lengths]
    for powers in [*singles, *pairs]:
        x, y = (c / math.prod(float(m[k]) ** e for m, e in powers) for k, c in enumerate((a, b)))
        if abs(x - y) <= 4e-16 * abs(x):
            return Fraction(x) if x * 64 % 1 else Fraction(round(x * 64), 64), powers
    raise NotRegularError("a constant changes with the size")


def constants_of(numbers: Sequence[Numbers], lengths: Sequence[Dim]) -> tuple[Fraction, list[Any]]:
    values = [np.unique(x.values) for x in numbers]
    if any(len(x) != 1 for x in values):
        raise NotRegularError("constants differ from place to place")
    return number(float(values[0][0]), float(values[-1][0]), lengths)
