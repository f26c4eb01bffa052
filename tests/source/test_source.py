"""Printed source, run: Python by exec, JavaScript by Node, C by the compiler, all against NumPy."""

from __future__ import annotations

import ctypes
import itertools
import json
import math
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autograd_mini import formulas, source
from autograd_mini.instructions import Instructions, Leaf, Listing
from autograd_mini.rules import NUMPY, Primitive, primitive, table
from autograd_mini.source import compile_floats
from autograd_mini.source.language import Pattern
from autograd_mini.trees import leaves, map_leaves

LANGUAGES = ["python", "javascript", "c"]
NODE, CC = shutil.which("node"), shutil.which("cc")
needs_node = pytest.mark.skipif(NODE is None, reason="needs node")
needs_cc = pytest.mark.skipif(CC is None, reason="needs a C compiler")
INF, NAN = math.inf, math.nan
GRID = [-INF, -40.0, -2.5, -1.0, -0.3, -0.0, 0.0, 5e-324, 0.7, 1.0, 2.0, 6.5, 800.0, INF, NAN]


def write(
    code: Instructions,
    language: str,
    name: str,
    arguments: dict[str, Pattern],
    results: Pattern,
    labels: dict[int, str],
    reverse: int,
    precision: str = "double",
) -> str:
    """The source of a listing whose arguments and results are given by their slots."""
    code = replace(code, outputs=np.array(leaves(results), np.int32))
    trees = map_leaves(lambda slot: Leaf(()), (arguments, results))
    return source.write(Listing(name, *trees, code, labels, reverse), language, precision)


class Builder:
    """Instructions written down one by one; a call returns the slot of its result."""

    def __init__(self, inputs: int, *constants: float | str) -> None:
        self.inputs, self.constants = inputs, constants
        self.rows: list[Primitive] = []
        self.codes: list[int] = []
        self.operands: list[list[int]] = []

    def __call__(self, name: str, *operands: int) -> int:
        row = table[name]
        if row not in self.rows:
            self.rows.append(row)
        self.codes.append(self.rows.index(row))
        self.operands.append([*operands, -1, -1, -1][:3])
        return self.inputs + len(self.constants) + len(self.codes) - 1

    def code(self, *outputs: int) -> Instructions:
        return Instructions(
            self.inputs,
            self.constants,
            tuple(self.rows),
            np.array(self.codes, np.int32),
            np.array(self.operands, np.int32).reshape(-1, 3),
            np.array(outputs, np.int32),
        )


def evaluate(code: Instructions, inputs: Any) -> Any:
    """The outputs by a loop over the instructions in NumPy arithmetic; ``inputs`` has a column per input."""
    columns = np.asarray(inputs, float).T
    slots = [
        *columns,
        *(np.full(columns.shape[1:], getattr(math, c) if c == "pi" else c) for c in code.constants),
    ]
    with np.errstate(all="ignore"):
        for index, operands in zip(code.codes, code.operands, strict=True):
            row = code.rows[index]
            arguments = [slots[slot] for slot in operands[: len(row.operands)]]
            slots.append(np.asarray(NUMPY.function(row)(*arguments), float))
    return np.array([slots[slot] for slot in code.outputs]).T


def run_python(source: str, name: str) -> Callable[..., Any]:
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    function: Callable[..., Any] = namespace[name]
    return function


def run_javascript(source: str, name: str, calls: Sequence[Sequence[Any]]) -> list[Any]:
    """What the function returns for each list of arguments; JSON has no nan, so numbers go as text."""
    script = (
        f"{source}\nconst number = (_, x) => typeof x === 'string' ? Number(x) : x;\n"
        "const text = (_, x) => typeof x === 'number' ? (Object.is(x, -0) ? '-0' : String(x)) : x;\n"
        "const calls = JSON.parse(require('fs').readFileSync(0), number);\n"
        f"console.log(JSON.stringify(calls.map(call => {name}(...call)), text));\n"
    )

    def as_text(x: Any) -> Any:
        if isinstance(x, dict):
            return {key: as_text(item) for key, item in x.items()}
        if isinstance(x, (list, tuple)):
            return [as_text(item) for item in x]
        return None if x is None else repr(float(x)).replace("inf", "Infinity")

    def as_float(x: Any) -> Any:
        if isinstance(x, dict):
            return {key: as_float(item) for key, item in x.items()}
        if isinstance(x, list):
            return [as_float(item) for item in x]
        return None if x is None else float(x.replace("Infinity", "inf"))

    assert NODE
    done = subprocess.run(
        [NODE, "-e", script], input=json.dumps(as_text(calls)), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr + source
    result: list[Any] = as_float(json.loads(done.stdout))
    return result


def compile_c(source: str, folder: Path) -> ctypes.CDLL:
    """The source as a library, compiled without a warning as strict C99."""
    path, library = folder / "source.c", folder / "source.so"
    path.write_text(source + "\n")
    flags = "-std=c99 -O1 -Wall -Wextra -Werror -pedantic -shared -fPIC".split()
    done = subprocess.run([CC or "", *flags, path, "-o", library, "-lm"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + source
    return ctypes.CDLL(str(library))


def call_c(
    library: ctypes.CDLL, name: str, calls: Any, outputs: int, type: type = float, scalars: bool = True
) -> Any:
    """Results of a function of scalars, or of one array, for each row of arguments."""
    number, dtype = (ctypes.c_double, np.float64) if type is float else (ctypes.c_float, np.float32)
    result = np.empty(outputs, dtype)
    pointer = result.ctypes.data_as(ctypes.POINTER(number))
    rows = []
    for call in np.asarray(calls, dtype):
        arguments = [number(x) for x in call] if scalars else [call.ctypes.data_as(ctypes.POINTER(number))]
        getattr(library, name)(*arguments, pointer)
        rows.append(result.copy())
    return np.array(rows)


def assert_equal(actual: Any, expected: Any, rtol: float = 0.0) -> None:
    """Equal within ``rtol``, infinities, nan and the signs of zeros included."""
    actual, expected = np.asarray(actual, float), np.asarray(expected, float)
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * 1e-300)
    zero = expected == 0
    np.testing.assert_array_equal(np.signbit(actual[zero]), np.signbit(expected[zero]))


# --- every row --------------------------------------------------------------------------------------


@pytest.fixture
def rows() -> Iterator[list[Primitive]]:
    """The whole table and rows of a user's own: conditionals, and names that mean something else."""
    before = list(table)
    try:
        primitive("hat", "atan2(y, x) + maximum(y, x) ** 2 - (x == 0) * (y <= 0)", "0", "0", verify=False)
        primitive("bend", "x if x < 0 else hat(x, 2) if x < 3 else 1 / (x + pi) - -1", "0", verify=False)
        primitive("function", "x - 3 * y", "1", "-3")
        primitive("double", "2 * x", "2")
        primitive("y1", "(x if x > 1 / 2 else -(-x)) ** 2 - (1 - (x < 2)) * y", "0", "0", verify=False)
        primitive("first", "x * x", "0", "0", operands="x unused", verify=False)
        yield [row for row in table.values() if row.name != "identity"]
    finally:
        for name in [name for name in table if name not in before]:
            for names in (table, formulas.FLOATS, formulas.ARRAYS):
                names.pop(name, None)


def one_of_each(rows: list[Primitive]) -> Instructions:
    builder = Builder(3)
    return builder.code(*[builder(row.name, *range(len(row.operands))) for row in rows])


POINTS = np.array(list(itertools.product(GRID, GRID, [0.0, 1.5, NAN])))


def everything(rows: list[Primitive], language: str, precision: str = "double") -> str:
    code = one_of_each(rows)
    results = code.outputs.tolist()
    return write(code, language, "everything", {"x": 0, "y": 1, "c": 2}, results, {}, len(code), precision)


def assert_rows_equal(actual: Any, rows: list[Primitive]) -> None:
    """Every row to 4e-15; lgamma differs more between the languages' libraries."""
    expected = evaluate(one_of_each(rows), POINTS)
    for row, *columns in zip(rows, np.asarray(actual, float).T, np.asarray(expected).T, strict=True):
        assert_equal(*columns, 1e-14 if row.name == "lgamma" else 4e-15)


@needs_node
def test_every_row_in_javascript(rows: list[Primitive]) -> None:
    actual = run_javascript(everything(rows, "javascript"), "everything", POINTS.tolist())
    assert_rows_equal(actual, rows)


@needs_cc
def test_every_row_in_c(rows: list[Primitive], tmp_path: Path) -> None:
    library = compile_c(everything(rows, "c"), tmp_path)
    assert_rows_equal(call_c(library, "everything", POINTS, len(rows)), rows)


@needs_cc
def test_every_row_in_single_precision(rows: list[Primitive], tmp_path: Path) -> None:
    points = np.array(list(itertools.product([-1.5, -0.25, 0.5, 1.0, 3.0], [-2.0, 0.75, 2.0], [0.0, 1.0])))
    source = everything(rows, "c", "float")
    assert "double " not in source.replace("double_", "")
    actual = call_c(compile_c(source, tmp_path), "everything", points, len(rows), np.float32)
    np.testing.assert_allclose(actual, evaluate(one_of_each(rows), points), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("compiled", [False, True])
def test_every_row_in_python_raises_or_equals(rows: list[Primitive], compiled: bool) -> None:
    for row in rows:
        builder = Builder(len(row.operands))
        code = builder.code(builder(row.name, *range(len(row.operands))))
        points = np.array(list(itertools.product(GRID, repeat=len(row.operands))))
        source = write(code, "python", "f", {"x": list(range(code.inputs))}, (code.inputs,), {}, 1)
        function = compile_floats(code) if compiled else run_python(source, "f")
        for point, expected in zip(points.tolist(), evaluate(code, points), strict=True):
            try:
                actual = function(point)
            except (ArithmeticError, ValueError):
                assert not np.isfinite(expected[0]), (row, point)
            else:
                assert type(actual[0]) is float
                assert_equal(actual, expected, 4e-15)


@needs_node
def test_the_error_functions_in_javascript() -> None:
    builder = Builder(1)
    results: Pattern = [builder("erf", 0), builder("erfc", 0)]
    points = np.linspace(-7, 27, 5001)
    source = write(builder.code(1, 2), "javascript", "f", {"x": 0}, results, {}, 2)
    actual = run_javascript(source, "f", [[x] for x in points])
    np.testing.assert_allclose(actual, [[math.erf(x), math.erfc(x)] for x in points], rtol=2e-15, atol=1e-307)


def test_functions_that_python_3_10_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(math, "cbrt", raising=False)
    monkeypatch.delattr(math, "exp2", raising=False)
    builder = Builder(1)
    code = builder.code(builder("cbrt", 0), builder("exp2", 0))
    source = write(code, "python", "f", {"x": [0]}, [1, 2], {}, 2)
    for x in GRID[:-3]:
        assert_equal(run_python(source, "f")([x]), evaluate(code, [x]), 4e-16)
        assert_equal(compile_floats(code)([x]), evaluate(code, [x]), 4e-16)


# --- expressions ------------------------------------------------------------------------------------


def random_code(seed: int) -> tuple[Instructions, dict[int, str]]:
    """Exact arithmetic, trees more than chains, all kinds of conditions, and a label here and there."""
    random = np.random.default_rng(seed)
    builder = Builder(3, 0.0, 1.0, -2.0, -0.0, 0.1, 2.0)
    leaves, unused = list(range(9)), [0]
    labels: dict[int, str] = {}
    names = "add sub mul neg where less less_equal equal maximum abs detach".split()
    for i in range(400):
        name = str(random.choice(names, p=[0.14, 0.14, 0.14, 0.07, 0.15, 0.1, 0.05, 0.03, 0.08, 0.05, 0.05]))
        operands = [
            unused.pop(int(random.integers(len(unused)))) if unused and random.random() < 0.6
            else int(random.choice([*leaves, *leaves[-20:]]))
            for _ in table[name].operands
        ]  # fmt: skip
        if name == "mul" and i % 3 == 0:
            name, operands[1] = "div", 5
        slot = builder(name, *operands)
        leaves.append(slot)
        unused.append(slot)
        if random.random() < 0.1:
            labels[slot] = str(random.choice(NASTY)) if i % 2 else f"h{i}"
    return builder.code(*unused, *leaves[-10:]), labels


NASTY = """
    z0 z[0] z_0 lambda function double exp log abs sigmoid maximum x+y ∂loss/∂z0 W1_0,1 W1_0_1 2x f
    x y1 j0 t1 t2 α λ Σ é 中 _ __init__ + M_PI INFINITY NaN nan inf pi Math result DEVICE undefined
    let None True π true signgam printf exit abort index round main fabs arguments eval new class
    int r1 u1 I ² e^x p(x|y) a.b __debug__ _Bool concept requires char16_t
""".split()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("language", LANGUAGES)
def test_random_expressions_keep_every_bit(language: str, seed: int, tmp_path: Path) -> None:
    if not {"javascript": NODE, "c": CC, "python": True}[language]:
        pytest.skip("no interpreter or compiler")
    code, labels = random_code(seed)
    points = [[0.5, -1.25, 3.0], [-0.0, 2.0, -1.0], [0.1, NAN, 0.3], [INF, 1.0, 0.0]]
    expected = evaluate(code, points)
    outputs = code.outputs.tolist()
    source = write(code, language, "f", {"x": [0, 1, 2]}, outputs, labels, 200)
    assert max(map(len, source.splitlines())) <= 110
    assert source == write(code, language, "f", {"x": [0, 1, 2]}, outputs, labels, 200)
    if language == "python":
        function = run_python(source, "f")
        actual: Any = [function(point) for point in points]
        assert_equal([compile_floats(code)(point) for point in points], expected)
    elif language == "javascript":
        actual = run_javascript(source, "f", [[point] for point in points])
    else:
        actual = call_c(compile_c(source, tmp_path), "f", points, len(outputs), scalars=False)
    assert_equal(actual, expected)


def softmax_cross_entropy() -> tuple[Instructions, dict[int, str], int, list[int]]:
    """Two logits, a target probability for each, and the gradient."""
    builder = Builder(4)
    m = builder("maximum", 0, 1)
    e = [builder("exp", builder("sub", z, m)) for z in (0, 1)]
    total = builder("add", *e)
    p = [builder("div", x, total) for x in e]
    terms = [builder("mul", t, builder("log", x)) for t, x in zip((2, 3), p, strict=True)]
    loss = builder("neg", builder("add", *terms))
    reverse = len(builder.codes)
    gradient = [builder("sub", x, t) for t, x in zip((2, 3), p, strict=True)]
    labels = {0: "z0", 1: "z1", 2: "t0", 3: "t1", m: "max", p[0]: "p0", p[1]: "p1", loss: "loss"}
    labels[gradient[0]] = "∂loss/∂z0"
    return builder.code(loss, *gradient), labels, reverse, gradient


def test_the_text_reads_well() -> None:
    code, labels, reverse, gradient = softmax_cross_entropy()
    arguments, results = {"z": [0, 1], "t": [2, 3]}, (int(code.outputs[0]), gradient)
    assert (
        write(code, "python", "cross_entropy", arguments, results, labels, reverse)
        == """\
from math import exp, log


def maximum(x, y):
    return x if x > y else y if y >= x else x + y


def cross_entropy(z, t):
    z0, z1 = z
    t0, t1 = t
    max = maximum(z0, z1)
    u1 = exp(z0 - max)
    u2 = exp(z1 - max)
    u3 = u1 + u2
    p0 = u1 / u3
    p1 = u2 / u3
    loss = -(t0 * log(p0) + t1 * log(p1))

    d_loss_d_z0 = p0 - t0
    return loss, [d_loss_d_z0, p1 - t1]"""
    )
    assert (
        write(code, "javascript", "loss", arguments, results, labels, reverse)
        == """\
function maximum(x, y) {
  return x > y ? x : y >= x ? y : x + y;
}

function loss(z, t) {
  const [z0, z1] = z;
  const [t0, t1] = t;
  const max = maximum(z0, z1);
  const u1 = Math.exp(z0 - max);
  const u2 = Math.exp(z1 - max);
  const u3 = u1 + u2;
  const p0 = u1 / u3;
  const p1 = u2 / u3;
  const loss = -(t0 * Math.log(p0) + t1 * Math.log(p1));

  const d_loss_d_z0 = p0 - t0;
  return [loss, [d_loss_d_z0, p1 - t1]];
}"""
    )
    assert (
        write(code, "c", "cross_entropy", arguments, results, labels, reverse, "float")
        == """\
#include <math.h>

#ifdef __CUDACC__
#define DEVICE __device__
#else
#define DEVICE
#endif

DEVICE static float maximum(float x, float y) {
    return x > y ? x : y >= x ? y : x + y;
}

DEVICE void cross_entropy(const float *z, const float *t, float *result) {
    const float z0 = z[0], z1 = z[1];
    const float t0 = t[0], t1 = t[1];
    const float max = maximum(z0, z1);
    const float u1 = expf(z0 - max);
    const float u2 = expf(z1 - max);
    const float u3 = u1 + u2;
    const float p0 = u1 / u3;
    const float p1 = u2 / u3;
    const float loss = -(t0 * logf(p0) + t1 * logf(p1));

    const float d_loss_d_z0 = p0 - t0;
    result[0] = loss;
    result[1] = d_loss_d_z0;
    result[2] = p1 - t1;
}"""
    )


def test_conditions_are_printed_as_conditions() -> None:
    builder = Builder(2, 0.0, 1.0)
    zero, one = 2, 3
    positive, small = builder("less", zero, 0), builder("less_equal", 0, 1)
    both = builder("mul", positive, small)
    neither = builder("sub", one, both)
    results = [
        builder("where", positive, 0, zero),
        builder("mul", 0, positive),
        builder("where", both, 0, 1),
        builder("where", neither, 0, 1),
        builder("where", 0, one, zero),
        builder("equal", 0, 1),
    ]
    code = builder.code(*results)
    last = {language: write(code, language, "f", {"x": 0, "y": 1}, results, {}, 99) for language in LANGUAGES}
    assert "x if x > 0.0 else 0.0" in last["python"]
    assert "x * (x > 0.0)" in last["python"]
    assert "x if x > 0.0 and x <= y else y" in last["python"]
    assert "x if not (x > 0.0 and x <= y) else y" in last["python"]
    assert "1.0 if x else 0.0" in last["python"]
    assert "1.0 if x == y else 0.0" in last["python"]
    assert "x > 0 && x <= y ? x : y" in last["javascript"]
    assert "!(x > 0 && x <= y) ? x : y" in last["javascript"]
    assert "x !== 0 ? 1 : 0" in last["javascript"]  # nan is true, as in Python
    assert "x === y ? 1 : 0" in last["javascript"]
    assert "x != 0.0 ? 1.0 : 0.0" in last["c"]


def test_an_excluded_branch_is_not_computed() -> None:
    builder = Builder(1, 0.0)
    result = builder("where", builder("less", 1, 0), builder("log", 0), 1)
    assert compile_floats(builder.code(result))([-1.0]) == (0.0,)
    with pytest.raises(ValueError, match="math domain"):
        compile_floats(builder.code(result - 1))([-1.0])


CONSTANTS = (INF, -INF, NAN, -0.0, 0.0, "pi", 1 / 3, 5e-324, 1.7976931348623157e308, -2.0, 1e16, 1e22)


@pytest.mark.parametrize("precision", ["double", "float"])
def test_constants(precision: str, tmp_path: Path) -> None:
    code = Builder(0, *CONSTANTS).code(*range(len(CONSTANTS)))
    expected = [math.pi if constant == "pi" else float(constant) for constant in CONSTANTS]
    sources = [write(code, x, "f", {}, [*range(len(CONSTANTS))], {}, 0, precision) for x in LANGUAGES]
    assert_equal(run_python(sources[0], "f")(), expected)
    assert_equal(compile_floats(code)([]), expected)
    if NODE:
        assert_equal(run_javascript(sources[1], "f", [[]]), [expected])
    if CC:
        type = np.float64 if precision == "double" else np.float32
        library = compile_c(sources[2], tmp_path)
        actual = call_c(library, "f", np.empty((1, 0)), len(expected), float if type is np.float64 else type)
        with np.errstate(over="ignore"):
            assert_equal(actual[0], np.array(expected).astype(type))


# --- names and structure ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "python", "others"),
    [
        ("W1_0,1", "W1_0_1", "W1_0_1"),
        ("∂loss/∂z0", "d_loss_d_z0", "d_loss_d_z0"),
        ("z[0]", "z_0", "z_0"),
        ("2x", "v2x", "v2x"),
        ("lambda", "lambda_", "lambda"),
        ("σ", "σ", "sigma"),
        ("Δx", "Δx", "Deltax"),
        ("exp", "exp_", "exp_"),
        ("f", "f", "f"),
        ("x", "x_", "x_"),
        ("+", "v", "v"),
    ],
)
def test_labels_become_identifiers(label: str, python: str, others: str) -> None:
    builder = Builder(1)
    result = builder("exp", 0)
    for language, name in zip(LANGUAGES, (python, others, others), strict=True):
        source = write(builder.code(result), language, "f", {"x": 0}, result, {result: label}, 1)
        assert re.search(rf"(^|\s){re.escape(name)} = ", source)


@pytest.mark.parametrize("language", LANGUAGES)
def test_difficult_labels_and_arguments(language: str, tmp_path: Path) -> None:
    """Every label twice, as an input and as a result; they are all used, so they must all differ."""
    if not {"javascript": NODE, "c": CC, "python": True}[language]:
        pytest.skip("no interpreter or compiler")
    inputs = len(NASTY)
    builder = Builder(inputs)
    results = [builder("exp" if i % 2 else "sigmoid", i) for i in range(inputs)]
    labels = dict(enumerate(NASTY)) | dict(zip(results, NASTY, strict=True))
    code = builder.code(*results)
    point = np.linspace(-1, 1, inputs).tolist()
    expected = evaluate(code, point)
    source = write(code, language, "f", {"lambda": list(range(inputs))}, results, labels, 99)
    if language == "python":
        assert_equal(run_python(source, "f")(point), expected, 1e-15)
    elif language == "javascript":
        assert_equal(run_javascript(source, "f", [[point]])[0], expected, 1e-15)
    else:
        actual = call_c(compile_c(source, tmp_path), "f", [point], inputs, scalars=False)
        assert_equal(actual[0], expected, 1e-15)


@pytest.mark.parametrize(
    "name", ["exp", "sigmoid", "maximum", "pow", "erf", "main", "double", "function", "class"]
)
def test_a_function_may_have_the_name_of_what_it_calls(
    name: str, rows: list[Primitive], tmp_path: Path
) -> None:
    code = one_of_each([row for row in rows if row.name not in ("acosh", "hyperbola")])  # no value at 0.5
    results = code.outputs.tolist()
    arguments: dict[str, Pattern] = {"x": 0, name: 1, "sin": 2}
    sources = [write(code, x, name, arguments, results, {}, len(code)) for x in LANGUAGES]
    taken = re.search(r"\ndef (\w+)\(x, \w+, sin_\)", sources[0])
    assert taken
    point = [0.5, 2.0, 1.0]
    assert_equal(run_python(sources[0], taken[1])(*point), evaluate(code, point), 4e-15)
    if CC and name in ("exp", "main"):
        compile_c(sources[2], tmp_path)
    if NODE and name in ("erf", "class"):
        assert_equal(run_javascript(sources[1], f"{name}_", [point])[0], evaluate(code, point), 4e-15)


def test_nested_arguments_and_results(tmp_path: Path) -> None:
    builder = Builder(10)
    total = 0
    for slot in range(1, 9):  # the last input is not used
        total = builder("sub", slot, total)
    arguments: dict[str, Any] = {
        "W": [[0, 1], [2, 3]],
        "net": {"b": (4,), "the rest": [{"c": 5}, 6]},
        "default": 7,
        "empty": [],
        "last": [8, 9],
    }
    results: Pattern = {"a": (total,), "b c": [total - 1, [0, 9]]}
    code = builder.code(total, total - 1, 0, 9)
    point = [[[0.5, 1.0], [2.0, 3.0]], {"b": [4.0], "the rest": [{"c": 5.0}, 6.0]}, 7.0, [], [8.0, 9.0]]
    expected = evaluate(code, [0.5, *range(1, 10)]).tolist()
    nested = {"a": (expected[0],), "b c": [expected[1], expected[2:]]}
    python = write(code, "python", "f", arguments, results, {}, len(code))
    assert "    (W0, W1), (W2, W3) = W\n" in python
    assert '    net1 = net["the rest"][0]["c"]\n' in python
    assert run_python(python, "f")(*point) == nested
    if NODE:
        source = write(code, "javascript", "f", arguments, results, {}, len(code))
        assert run_javascript(source, "f", [point]) == [{"a": [expected[0]], "b c": nested["b c"]}]
    source = write(code, "c", "f", arguments, results, {}, len(code))
    assert (
        "f(const double *W, const double *net, double default_, const double *empty, const double *last, "
        "double *result)"
    ) in source
    if CC:
        compile_c(source, tmp_path)


def test_trees_with_none_and_with_keys_that_are_no_text(tmp_path: Path) -> None:
    arguments: dict[str, Pattern] = {"net": {0: 0, (1, -1): [1, None]}, "nothing": None, "x": (None, (2,))}
    results: Pattern = {1: 3, None: None, -1: [None, 2]}
    builder = Builder(3)
    code = builder.code(builder("mul", 0, 1), 2)
    python, javascript, c = (write(code, x, "f", arguments, results, {}, len(code)) for x in LANGUAGES)
    net = {0: 2.0, (1, -1): [3.0, None]}
    assert run_python(python, "f")(net, None, (None, (5.0,))) == {1: 6.0, None: None, -1: [None, 5.0]}
    if NODE:
        point = [{str(key): item for key, item in net.items()}, None, [None, [5.0]]]
        assert run_javascript(javascript, "f", [point]) == [{"1": 6.0, "None": None, "-1": [None, 5.0]}]
    if CC:
        compile_c(c, tmp_path)


def test_what_is_not_needed_is_not_written() -> None:
    builder = Builder(2)
    builder("exp", 0)
    result = builder("sin", 1)
    code = builder.code(result)
    assert "exp" not in write(code, "python", "f", {"x": [0, 1]}, result, {result - 1: "exp"}, 2)
    assert "x0" not in write(code, "c", "f", {"x": [0, 1]}, result, {}, 2)


@pytest.mark.parametrize("count", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_many_instructions_are_short_lines(count: int) -> None:
    builder = Builder(2)
    slot = 0
    for i in range(count // 2):
        slot = builder("add", builder("sin" if i % 100 else "neg", slot), 1)
    source = write(builder.code(slot), "javascript", "f", {"x": [0, 1]}, slot, {}, 1)
    assert max(map(len, source.splitlines())) <= 110
    assert all(line.count("(") <= 20 for line in source.splitlines())


def test_a_label_may_be_used_ten_thousand_times() -> None:
    builder = Builder(1)
    slot = 0
    for _ in range(10_000):
        slot = builder("neg", slot)
    start = time.process_time()
    source = write(builder.code(slot), "c", "f", {"x": 0}, slot, dict.fromkeys(range(1, 10_001), "h"), 10_000)
    assert time.process_time() - start < 3  # in a time that grows as their square, it was 10 s
    assert "const double h_9999 = -h_9998;" in source


def test_another_language_or_precision_is_refused() -> None:
    code = Builder(1).code(0)
    with pytest.raises(ValueError, match=r'"python", "numpy", "latex", "javascript" or "c", got .fortran.'):
        write(code, "fortran", "f", {"x": 0}, 0, {}, 0)
    with pytest.raises(ValueError, match=r'"double" or "float", got .half.'):
        write(code, "c", "f", {"x": 0}, 0, {}, 0, "half")
