"""Random NumPy programs with masks, guards, assignments and nan, run in every way that there is.

    python tests/benchmarks/numpy_programs.py [count] [seed]

The value is held against NumPy on floats; the gradient, where the program is differentiable, against
differences at 50 digits of the same text on mpmath's numbers, which know nothing of the engine. All ways
must give one answer, also where a condition is tied: `grad`, eager Values, the machine, the program
without it, and the printed Python, C and JavaScript. A trace may refuse what asks for a number. The first
program that does not keep to this is printed and ends the run with exit status 1.
"""

from __future__ import annotations

import ctypes
import json
import linecache
import math
import random
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np

from autograd_mini import DomainError, TraceError, number_types, trace, value_and_grad, values

SIZE = 3
TIED = 1e-9  # two sides that differ by less are a tie or a kink

# --- programs ---------------------------------------------------------------------------------------

UNARY = [
    "np.exp({})", "np.tanh({})", "np.sin({})", "np.abs({})", "np.square({})", "-{}", "2 * {}", "{} ** 2",
    "1 - {}", "np.cumsum({})", "{}[::-1]", "np.clip({}, -0.5, 0.75)", "np.maximum({}, 0)", "W @ {}",
    "np.sort({})",
]  # fmt: skip
BINARY = ["{} + {}", "{} - {}", "{} * {}", "np.maximum({}, {})", "np.minimum({}, {})", "np.hypot({}, {})"]
GUARDED = [
    ("{0} > 0", "np.log({0})"), ("{0} >= 0", "np.sqrt({0})"), ("{0} != 0", "np.sin({0}) / {0}"),
    ("np.abs({0}) < 1", "np.arcsin({0})"), ("{0} < 0.5", "1 / (0.5 - {0})"), ("{0} > -1", "np.log1p({0})"),
    ("{0} > 0", "{0} ** 1.5"), ("{0} < 300", "np.exp(3 * {0})"), ("{0} > 0", "1 / np.sqrt({0})"),
]  # fmt: skip
MASKS = [
    "{} > {}", "{} == {}", "{} <= 0.25", "{} == np.max({})", "({} > 0) & ({} < 1)", "({} < 0) | ({} > 0.5)",
    "~({} > {})", "{} != {}",
]  # fmt: skip
WHOLE = [
    "np.sum({})",
    "np.mean({})",
    "np.max({})",
    "np.min({})",
    "{}[1]",
    "np.linalg.norm({})",
    "np.prod({})",
]


def program(random: random.Random) -> str:
    """A function of a vector x and a matrix W, statement by statement."""
    names = ["x"]
    lines = []

    def one() -> str:
        return random.choice(names[-3:] if random.random() < 0.7 else names)

    def filled(template: str) -> str:
        return template.format(*(one() for _ in range(template.count("{}"))))

    for k in range(random.randint(3, 8)):
        new = f"v{k}"
        kind = random.random()
        if kind < 0.25:
            lines.append(f"{new} = {filled(random.choice(UNARY))}")
        elif kind < 0.45:
            lines.append(f"{new} = {filled(random.choice(BINARY))}")
        elif kind < 0.65:
            mask, value = random.choice(GUARDED)
            name, other = one(), random.choice(["0.0", one(), f"{one()} * 0.5"])
            lines.append(f"{new} = np.where({mask.format(name)}, {value.format(name)}, {other})")
        elif kind < 0.75:
            mask = filled(random.choice(MASKS))
            lines.append(
                f"{new} = " + random.choice([f"np.where({mask}, {one()}, {one()})", f"({mask}) * {one()}"])
            )
        elif kind < 0.82:
            lines.append(f"{new} = np.where({one()} > 0.8, np.nan, {one()})")
            lines.append(
                f"{new} = "
                + random.choice([f"np.where(np.isnan({new}), {one()}, {new})", f"np.nan_to_num({new})"])
            )
        elif kind < 0.92:
            lines.append(f"{new} = np.zeros({SIZE})")
            lines.append(
                f"for i in range({SIZE}):\n        {new}[i] = {one()}[i] * {one()}[{random.randint(-1, 1)}]"
            )
            if random.random() < 0.5:
                lines.append(f"{new}[{filled(random.choice(MASKS))}] = {random.choice(['0', '1.5'])}")
        else:
            lines.append(f"{new} = {one()} * 1.0")
            lines.append(f"{new}[1:] {random.choice(['+=', '*=', '-='])} {one()}[:-1]")
        names.append(new)
    lines.append("return " + " + ".join(filled(random.choice(WHOLE)) for _ in range(random.randint(1, 3))))
    return "def f(x, W):\n" + "".join(f"    {line}\n" for line in lines)


def point(random: random.Random) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of ordinary size, some of them 0, equal or at a bound."""
    awkward = [0.0, 1.0, 0.5, 0.25, -1.0, 0.75]

    def number() -> float:
        return random.choice(awkward) if random.random() < 0.15 else random.uniform(-1.6, 1.6)

    return np.array([number() for _ in range(SIZE)]), np.array(
        [[number() for _ in range(SIZE)] for _ in range(SIZE)]
    )


# --- the witness: the same text on mpmath's numbers --------------------------------------------------


def real(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function on numbers and arrays, nan outside the reals."""

    def on_reals(*operands: Any) -> Any:
        try:
            result = function(*operands)
        except (ArithmeticError, ValueError):
            return mp.nan
        return result if isinstance(result, mp.mpf) else mp.nan

    return lambda *operands: np.frompyfunc(on_reals, len(operands), 1)(*operands)


class Digits:
    """What the programs use of NumPy, on arrays of mpmath's numbers."""

    nan = mp.nan
    exp, tanh, sin, log, sqrt, arcsin, log1p = map(
        staticmethod, map(real, (mp.exp, mp.tanh, mp.sin, mp.log, mp.sqrt, mp.asin, lambda x: mp.log(1 + x)))
    )
    square = staticmethod(lambda x: x * x)
    abs = staticmethod(abs)
    hypot = staticmethod(real(lambda x, y: mp.sqrt(x * x + y * y)))
    maximum = staticmethod(real(lambda x, y: mp.mpf(x if x > y or x != x else y)))
    minimum = staticmethod(real(lambda x, y: mp.mpf(x if x < y or x != x else y)))
    where = staticmethod(lambda c, x, y: np.where(np.asarray(c, bool), x, y))
    isnan = staticmethod(lambda x: np.asarray(x != x, bool))
    nan_to_num = staticmethod(lambda x: np.where(np.asarray(x != x, bool), mp.mpf(0), x))
    cumsum, sum, max, min, prod = np.cumsum, np.sum, np.max, np.min, np.prod
    mean = staticmethod(lambda x: np.sum(x) / len(x))
    linalg = type("linalg", (), {"norm": staticmethod(lambda x: mp.sqrt(np.sum(x * x)))})
    sort = staticmethod(lambda x: np.array(sorted(x), dtype=object))

    @staticmethod
    def clip(x: Any, low: float, high: float) -> Any:
        return Digits.minimum(Digits.maximum(x, mp.mpf(low)), mp.mpf(high))

    @staticmethod
    def zeros(n: int) -> Any:
        return np.array([mp.mpf(0)] * n, dtype=object)


def exact(array: np.ndarray) -> np.ndarray:
    return np.frompyfunc(mp.mpf, 1, 1)(array)


def witnessed(text: str, x: np.ndarray, W: np.ndarray) -> tuple[Any, list[list[Any]]]:
    """f at 50 digits, and for each entry of x and W both one-sided differences, nan where there is none."""
    f = compiled(text, Digits)
    flat = np.concatenate([exact(x), exact(W).ravel()])

    def at(numbers: np.ndarray) -> Any:
        try:
            return f(numbers[:SIZE].copy(), numbers[SIZE:].reshape(SIZE, SIZE))
        except ZeroDivisionError:
            return mp.nan

    sides = []
    base = at(flat)
    for i in range(len(flat)):
        slopes = []
        for h in (mp.mpf(10) ** -20, -(mp.mpf(10) ** -20)):
            one, two = flat.copy(), flat.copy()
            one[i] += h
            two[i] += 2 * h
            slopes.append((4 * at(one) - at(two) - 3 * base) / (2 * h))
        sides.append(slopes)
    return base, sides


CHOICES = {
    np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal,
    np.maximum, np.minimum,
}  # fmt: skip


class Watched(np.ndarray[Any, Any]):
    """Floats that remember whether a choice was made between equal ones, or at a kink."""

    tied = False

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        plain = [x.view(np.ndarray) if isinstance(x, Watched) else x for x in inputs]
        if out := options.pop("out", None):
            options["out"] = tuple(x.view(np.ndarray) for x in out)
        result = getattr(ufunc, method)(*plain, **options)
        if method == "reduce" and ufunc in (np.maximum, np.minimum):
            Watched.tied |= bool(np.sum(plain[0] == result) > 1)
        elif ufunc in CHOICES or ufunc.__name__ == "clip":
            Watched.tied |= any(bool(np.any(plain[0] == other)) for other in plain[1:])
        elif ufunc in (np.absolute, np.hypot):
            Watched.tied |= bool(np.any(result == 0))
        return result.view(Watched) if isinstance(result, np.ndarray) else result


def has_tied_condition(f: Callable[..., Any], x: np.ndarray, W: np.ndarray) -> bool:
    Watched.tied = False
    f(x.copy().view(Watched), W.copy().view(Watched))
    return Watched.tied


# --- the ways ---------------------------------------------------------------------------------------


def compiled(text: str, np: Any) -> Callable[..., Any]:
    """The function of a text, with its lines where tools look for them."""
    file = f"<program {len(linecache.cache)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    namespace: dict[str, Any] = {"np": np, "__name__": "programs"}
    exec(compile(text, file, "exec"), namespace)
    return namespace["f"]


def flat(value: Any, gradients: Any) -> np.ndarray:
    return np.concatenate([[value], *(np.ravel(np.asarray(g, float)) for g in gradients)])


def eagerly(f: Callable[..., Any], x: np.ndarray, W: np.ndarray) -> np.ndarray:
    a, B = values(x), values(W)
    result = f(a, B)
    result.backward()
    return flat(result.data, (a.grad, B.grad))


def in_c(source: str, name: str, x: np.ndarray, W: np.ndarray, folder: Path) -> np.ndarray:
    (folder / "f.c").write_text(source)
    library = folder / f"{len(list(folder.iterdir()))}.so"
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, folder / "f.c", "-lm"], check=True)
    result = np.empty(1 + SIZE + SIZE * SIZE)
    pointers = [ctypes.c_void_p(np.ascontiguousarray(a).ctypes.data) for a in (x, W)]
    getattr(ctypes.CDLL(str(library)), name)(*pointers, ctypes.c_void_p(result.ctypes.data))
    return result


def in_javascript(source: str, name: str, x: np.ndarray, W: np.ndarray) -> np.ndarray:
    call = (
        f"const result = {name}({json.dumps(x.tolist())}, {json.dumps(W.tolist())}).flat(9);"
        "console.log(JSON.stringify(result.map(String)))"
    )
    text = source.replace("export function", "function").replace("export default ", "")
    output = subprocess.run(["node", "-e", f"{text}\n{call}"], check=True, capture_output=True, text=True)
    return np.array([float(number.replace("Infinity", "inf")) for number in json.loads(output.stdout)])


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Equal up to rounding, nan with nan and inf with inf."""
    return bool(
        np.allclose(
            one,
            other,
            rtol=1e-9,
            atol=1e-11 * (1 + np.nanmax(abs(one[np.isfinite(one)]), initial=0)),
            equal_nan=True,
        )
    )


def check(seed: int, folder: Path, tally: Counter[str]) -> str:
    """What is wrong with the program of that seed; nothing if it keeps to all that is asked."""
    chance = random.Random(seed)
    text, (x, W) = program(chance), point(chance)
    f = compiled(text, np)
    with np.errstate(all="ignore"):
        plain = float(f(x.copy(), W.copy()))
        try:
            value, gradients = value_and_grad(f, (0, 1))(x, W)
        except DomainError as error:
            tally["outside the domain"] += 1
            return "" if not math.isfinite(plain) or "inf" in text else f"{error}\n{text}{x} {W}"
        got = flat(value, gradients)
    if not alike(got[:1], np.array([plain])):
        return f"the value is {value}, on floats {plain}\n{text}{x} {W}"
    with np.errstate(all="ignore"):
        tied = has_tied_condition(f, x, W)
    if tied:
        tally["programs with a tied condition"] += 1
    elif math.isfinite(plain):
        with mp.workdps(60):
            value_at_digits, sides = witnessed(text, x, W)
            if not abs(value_at_digits - plain) <= 1e-6 * abs(plain):  # such as the sine of 1e200
                tally["programs whose value rests on rounding"] += 1
                sides = []
            for i, (right, left) in enumerate(sides):
                scale = 1 + abs(right) + abs(left)
                if not mp.isfinite(right + left) or abs(right - left) > TIED * scale:
                    tally["entries without derivative"] += 1
                elif abs(got[1 + i] - (right + left) / 2) > 1e-7 * scale and not math.isnan(got[1 + i]):
                    return f"entry {i} of the gradient is {got[1 + i]}, {right} by differences\n{text}{x} {W}"
                elif math.isnan(got[1 + i]):
                    tally["entries nan where differences have a number"] += 1
                else:
                    tally["entries equal to differences"] += 1
    ways: dict[str, Callable[[], np.ndarray]] = {}
    if "np.zeros" not in text:
        ways["eager"] = lambda: eagerly(f, x, W)
    try:
        recorded = trace(value_and_grad(f, (0, 1)), x, W)
    except TraceError:
        tally["traces refused"] += 1
    else:
        name = recorded.name
        ways |= {
            "machine": lambda: flat(*recorded(x, W)),
            "without the machine": lambda: np.array(
                number_types.evaluate_floats(recorded.code, [*x, *W.flat])
            ),
            "Python": lambda: flat(*python(recorded.source(), name)(x.tolist(), W.tolist())),
        }
        if shutil.which("cc"):
            ways["C"] = lambda: in_c(recorded.source("c"), name, x, W, folder)
        if shutil.which("node"):
            ways["JavaScript"] = lambda: in_javascript(recorded.source("javascript"), name, x, W)
    for way, run in ways.items():
        try:
            with np.errstate(all="ignore"):
                other = run()
        except (ArithmeticError, ValueError) as error:
            tally[f"{way} raises"] += 1
            if np.isfinite(got).all() and way != "Python":
                return f"{way} raises {error!r}\n{text}{x} {W}"
            continue
        if not alike(got, other):
            return f"{way} gives\n{other}, grad\n{got}\n{text}{x} {W}"
        tally[f"{way} alike"] += 1
    return ""


def python(source: str, name: str) -> Callable[..., Any]:
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    return namespace[name]


def main(count: int = 300, seed: int = 0) -> int:
    warnings.simplefilter("ignore")
    tally: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for k in range(count):
            if wrong := check(seed * 100_000 + k, Path(folder), tally):
                print(f"program {seed * 100_000 + k}: {wrong}")
                return 1
    print(f"{count} programs, none wrong")
    for what, number in sorted(tally.items()):
        print(f"{number:7} {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
