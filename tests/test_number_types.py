"""Instructions on every number type, each row against a witness that shares no code with the engine."""

from __future__ import annotations

import itertools
import math
import tracemalloc
from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from autograd_mini import rules, special
from autograd_mini.instructions import Instructions
from autograd_mini.number_types import FormulaType, evaluate, evaluate_floats
from autograd_mini.rules import Primitive, primitive, table
from autograd_mini.value import Value

ROWS = list(table.values())
EDGES = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 0.5, -2.5, 3.0, -3.0]


def program(*lines: tuple[Any, ...], inputs: int, constants: Sequence[float | str] = ()) -> Instructions:
    """Instructions from lines (row, operand, …); the output is the last one's."""
    rows = tuple(dict.fromkeys(row for row, *_ in lines))
    width = max((len(operands) for _, *operands in lines), default=1)
    operands = [[*operands, *[-1] * (width - len(operands))] for _, *operands in lines]
    last = inputs + len(constants) + len(lines) - 1
    return Instructions(
        inputs,
        tuple(constants),
        rows,
        np.array([rows.index(row) for row, *_ in lines], np.int32),
        np.array(operands, np.int32).reshape(len(lines), width),
        np.array([last], np.int32),
    )


def alone(row: Primitive) -> Instructions:
    return program((row, *range(len(row.operands))), inputs=len(row.operands))


def apply(row: Primitive, *operands: Any) -> Any:
    [result] = evaluate(alone(row), operands)
    return result


def grid(points: Sequence[float], row: Primitive) -> list[tuple[float, ...]]:
    return list(itertools.product(points, repeat=len(row.operands)))


def agree(got: float, want: float, relative: float) -> bool:
    if math.isnan(want) or math.isinf(want) or want == 0:
        return got == want or (math.isnan(got) and math.isnan(want))
    return abs(got - want) <= relative * abs(want)


@pytest.fixture
def digits() -> Iterator[None]:
    with mp.workdps(50):
        yield


@pytest.fixture
def bump() -> Iterator[Primitive]:
    """A row of the user's own that calls rows, branches on a comparison, and compares in a product."""
    yield primitive(
        "bump",
        "sigmoid(x) / 3 + pi if x > 1 else (x < 0) * x ** 2 - relu(x) + (1 if x == 1 else 0)",
        "0",
        verify=False,
    )
    del table["bump"]


def bump_by_hand(x: float) -> float:
    if x > 1:
        return 1 / (1 + math.exp(-x)) / 3 + math.pi
    return (x * x if x < 0 else 0.0) - max(x, 0.0) + (x == 1)


# --- mpmath -----------------------------------------------------------------------------------------

WITNESS: dict[str, Any] = {
    name: getattr(mp, name)
    for name in (
        "exp log sqrt sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh erf erfc hypot"
    ).split()
} | {
    "abs": abs,
    "exp2": lambda x: mp.exp(x * mp.log(2)),
    "expm1": lambda x: mp.exp(x) - 1,
    "log2": lambda x: mp.log(x) / mp.log(2),
    "log10": lambda x: mp.log(x) / mp.log(10),
    "log1p": lambda x: mp.log(1 + x),
    "cbrt": lambda x: x / mp.exp(mp.log(abs(x)) * 2 / 3),
    "floor": mp.floor,
    "fmod": lambda x, y: mp.sign(x) * (abs(x) % abs(y)),
    "lgamma": lambda x: mp.loggamma(x).real,
    "digamma": mp.digamma,
    "trigamma": lambda x: mp.psi(1, x),
    "pi": mp.pi,
}


@pytest.mark.usefixtures("digits")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_has_50_digits_on_mpmath(row: Primitive) -> None:
    for operands in grid([0.3, -0.7, 1.5, -2.25, 1e-8, 40.0], row):
        with mp.workdps(90):
            numbers = dict(zip(row.operands, map(mp.mpf, operands), strict=True))
            want = eval(row.formula, WITNESS | numbers)
        got = apply(row, *map(mp.mpf, operands))
        assert isinstance(got, mp.mpf)
        if isinstance(want, mp.mpc):
            assert mp.isnan(got), operands
        else:
            assert abs(got - want) <= mp.mpf(10) ** -48 * abs(want), operands


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_mpmath_follows_ieee_at_the_edges(row: Primitive) -> None:
    for operands in grid([x for x in EDGES if math.copysign(1, x) > 0 or x], row):  # mpmath has one zero
        want = evaluate_floats(alone(row), operands)[0]
        assert agree(float(apply(row, *map(mp.mpf, operands))), want, 1e-13), operands


@pytest.mark.usefixtures("digits")
def test_numbers_mixed_with_mpmath_are_converted_exactly() -> None:
    assert apply(rules.add, mp.mpf(0), 0.1) == mp.mpf(0.1) != mp.mpf("0.1")
    assert apply(rules.add, mp.mpf(0), 10**40 + 1) == 10**40 + 1
    assert apply(rules.mul, mp.mpf(3), Fraction(1, 3)) == 1
    assert apply(rules.add, mp.mpf(0), np.float32(0.1)) == float(np.float32(0.1))


@pytest.mark.usefixtures("digits")
def test_pi_has_the_digits_of_its_number_type() -> None:
    """The partial of erf at 0 is 2 / √π."""
    code = program(
        (rules.sqrt, 2), (rules.div, 1, 3), (rules.square, 0), (rules.neg, 5), (rules.exp, 6),
        (rules.mul, 4, 7), inputs=1, constants=(2.0, "pi"),
    )  # fmt: skip
    assert abs(evaluate(code, [mp.mpf(0)])[0] - 2 / mp.sqrt(mp.pi)) < mp.mpf(10) ** -49
    assert evaluate(code, [0.0]) == [2 / math.sqrt(math.pi)]
    assert evaluate(code, [np.zeros(2)])[0] == pytest.approx([2 / math.sqrt(math.pi)] * 2, rel=1e-15)
    sympy = pytest.importorskip("sympy")
    x = sympy.Symbol("x")
    assert evaluate(code, [x]) == [sympy.diff(sympy.erf(x), x)]


# --- floats and arrays ------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_floats_follow_numpys_ufunc_at_the_edges(row: Primitive) -> None:
    ufunc = getattr(np, row.numpy, None)
    if not isinstance(ufunc, np.ufunc):
        pytest.skip("NumPy has no such ufunc")
    points = grid(EDGES, row)
    with np.errstate(all="ignore"):
        wanted = ufunc(*np.array(points).T)
    for operands, want in zip(points, wanted, strict=True):
        [got] = evaluate_floats(alone(row), operands)
        assert type(got) is float
        assert agree(got, want, 1e-15), operands


def test_a_square_root_as_a_power_of_an_array_is_pow() -> None:
    """NumPy's ``x ** 0.5`` is its sqrt, which is another function at -0.0 and -inf."""
    x = np.array([-0.0, -math.inf, 4.0, -1.0, math.nan, math.inf])
    got = evaluate(program((rules.pow, 0, 1), inputs=1, constants=(0.5,)), [x])[0]
    np.testing.assert_array_equal(got, [0.0, math.inf, 2.0, math.nan, math.nan, math.inf])
    assert not np.signbit(got[0])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_arrays_equal_floats_at_the_edges_with_their_signs(row: Primitive, dtype: type) -> None:
    points = grid(EDGES, row)
    got = apply(row, *np.array(points, dtype).T)
    assert got.dtype == dtype
    for operands, z in zip(points, got, strict=True):
        [want] = evaluate_floats(alone(row), operands)
        assert agree(z, want, 4 * float(np.finfo(dtype).eps)), operands
        assert math.isnan(want) or np.signbit(z) == np.signbit(want), operands


def test_nan_counts_as_true_in_a_condition_as_in_python() -> None:
    for nan in (math.nan, np.full(2, math.nan), mp.nan):
        assert np.all(apply(rules.where, nan, 1.0, 2.0) == 1.0)


def test_constants_leave_float32_what_it_is() -> None:
    """Also a constant that comes out of instructions: log 2 is no double here."""
    code = program((rules.log, 1), (rules.mul, 0, 2), inputs=1, constants=(2.0,))
    [y] = evaluate(code, [np.ones(3, np.float32)])
    assert y.dtype == np.float32
    assert y == pytest.approx([math.log(2)] * 3, rel=1e-7)


def test_arrays_broadcast_and_whole_numbers_become_floats() -> None:
    column, line = np.array([[1], [200]], np.uint8), np.array([100, 2, 7])
    np.testing.assert_array_equal(apply(rules.mul, column, line), column.astype(float) * line)
    np.testing.assert_array_equal(apply(rules.add, np.array([True, False]), 2), [3.0, 2.0])
    np.testing.assert_array_equal(apply(rules.less, line, 5), [0.0, 1.0, 0.0])


def test_conditions_are_factors() -> None:
    """z * (z > 0) and 1 - (z > 0) on every number type."""
    code = program((rules.less, 2, 0), (rules.mul, 0, 4), (rules.sub, 3, 4), (rules.add, 5, 6), inputs=2,
                   constants=(0.0, 1.0))  # fmt: skip
    for z, want in ((3.0, 3.0), (-3.0, 1.0)):
        for number in (float, mp.mpf, lambda x: np.array([x])):
            assert evaluate(code, [number(z), number(0)])[0] == want


def test_intermediate_arrays_are_dropped_after_their_last_use() -> None:
    lines = [(rules.sin if i % 2 else rules.cos, i) for i in range(300)]
    x = np.linspace(0, 1, 100_000)
    tracemalloc.start()
    try:
        evaluate(program(*lines, inputs=1), [x])
        assert tracemalloc.get_traced_memory()[1] < 6 * x.nbytes
    finally:
        tracemalloc.stop()


def test_more_instructions_than_one_piece() -> None:
    """x ↦ x/2 + c, repeated: every slot is used by the next one only, and the first input by the last."""
    lines: list[tuple[Any, ...]] = [(rules.mul, 0, 1)]
    for i in range(20_000):
        lines.append((rules.add, 3 + i, 2) if i % 2 == 0 else (rules.mul, 3 + i, 1))
    lines.append((rules.add, 3 + 20_000, 0))
    code = program(*lines, inputs=1, constants=(0.5, 0.25))
    for x in (0.0, np.zeros(2)):
        assert np.all(evaluate(code, [x])[0] == 0.25)
    assert evaluate(code, [mp.mpf(1)])[0] == pytest.approx(1.25)


# --- arrays that follow NumPy's protocols -----------------------------------------------------------


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # Dask's threads warn where log meets 0
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_dask_arrays_stay_lazy_and_equal_numpys(row: Primitive) -> None:
    da = pytest.importorskip("dask.array")
    columns = np.array(grid([0.3, -0.7, 0.0, 2.5], row)).T
    lazy = apply(row, *(da.from_array(column, chunks=7) for column in columns))
    assert isinstance(lazy, da.Array)
    np.testing.assert_array_equal(lazy.compute(scheduler="synchronous"), apply(row, *columns))


# --- SymPy ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_sympys_expression_has_the_engines_value(row: Primitive) -> None:
    sympy = pytest.importorskip("sympy")
    symbols = sympy.symbols(row.operands, real=True)
    expression = apply(row, *symbols)
    for operands in grid([0.3, -0.7, 2.5, 0.0, 1.0, -1.0], row):
        [want] = evaluate_floats(alone(row), operands)
        exact = [sympy.Rational(repr(x)) for x in operands]
        assert agree(float(apply(row, *exact)), want, 1e-13), operands
        if math.isfinite(want) and (row.name, operands) != ("atan2", (0.0, 0.0)):  # undefined in SymPy
            there = expression.subs(dict(zip(symbols, exact, strict=True)))
            assert agree(float(there), want, 1e-13), operands


def test_sympy_gets_the_textbooks_closed_form() -> None:
    sympy = pytest.importorskip("sympy")
    x, y, c = sympy.symbols("x y c", real=True)
    readable = {
        apply(rules.sigmoid, x): "1/(1 + exp(-x))",
        apply(rules.logaddexp, x, y): "log(exp(x) + exp(y))",
        apply(rules.softplus, x): "log(exp(x) + 1)",
        apply(rules.relu, x): "Piecewise((0, x <= 0), (x, True))",
        apply(rules.xlogy, x, y): "Piecewise((0, Eq(x, 0)), (x*log(y), True))",
        apply(rules.where, c, x, y): "Piecewise((x, Ne(c, 0)), (y, True))",
        apply(rules.where, x > y, x, y): "Piecewise((x, x > y), (y, True))",
        apply(rules.where, 1, x, y): "x",
        apply(rules.log2, x): "log(x)/log(2)",
        apply(rules.hypot, x, y): "sqrt(x**2 + y**2)",
        apply(rules.maximum, x, y): "Max(x, y)",
        apply(rules.exp2, x): "2**x",
    }
    assert {str(expression): text for expression, text in readable.items()} == {
        text: text for text in readable.values()
    }


def test_conditions_on_conditions_come_out_as_one_piecewise() -> None:
    """and, or, not and products, as a trace writes them."""
    sympy = pytest.importorskip("sympy")
    x, y = sympy.symbols("x y", real=True)
    zero, one = 2, 3
    combined = {
        (rules.where, 4, 5, zero): (x < y) & (x >= 0),
        (rules.mul, 4, 5): (x < y) & (x >= 0),
        (rules.where, 4, one, 5): (x < y) | (x >= 0),
        (rules.where, 4, zero, one): x >= y,
    }
    for line, condition in combined.items():
        code = program(
            (rules.less, 0, 1), (rules.less_equal, zero, 0), line, (rules.where, 6, 0, 1),
            inputs=2, constants=(0.0, 1.0),
        )  # fmt: skip
        assert evaluate(code, [x, y]) == [sympy.Piecewise((x, condition), (y, True))]


def test_floats_among_symbols_become_the_numbers_they_print_as() -> None:
    sympy = pytest.importorskip("sympy")
    x = sympy.Symbol("x")
    numbers = {
        2.0: "x + 2", 0.1: "x + 1/10", -1e-3: "x - 1/1000", 1e22: "x + 10000000000000000000000",
        math.inf: "x + oo", Fraction(1, 3): "x + 1/3", 10**30 + 1: f"x + {10**30 + 1}", True: "x + 1",
    }  # fmt: skip
    for number, text in numbers.items():
        assert str(apply(rules.add, x, number)) == text
    assert apply(rules.add, x, math.nan) is sympy.nan
    assert apply(rules.cbrt, sympy.Integer(-8)) == -2
    assert apply(rules.log, sympy.Integer(-1)) is sympy.nan


def test_sympy_wins_over_mpmath() -> None:
    sympy = pytest.importorskip("sympy")
    x = sympy.Symbol("x")
    assert float(apply(rules.mul, x, mp.mpf(0.25)).subs(x, 4)) == 1


# --- everything else --------------------------------------------------------------------------------


def test_a_users_row_works_on_every_number_type(bump: Primitive) -> None:
    sympy = pytest.importorskip("sympy")
    da = pytest.importorskip("dask.array")
    x = sympy.Symbol("x", real=True)
    points = [-2.0, 0.0, 0.5, 1.0, 3.0]
    want = [bump_by_hand(point) for point in points]
    expression = apply(bump, x)
    got: list[Any] = [
        [apply(bump, point) for point in points],
        apply(bump, np.array(points)),
        apply(bump, da.from_array(np.array(points), chunks=2)).compute(scheduler="synchronous"),
        [float(apply(bump, mp.mpf(point))) for point in points],
        [float(expression.subs(x, sympy.Rational(point))) for point in points],
    ]
    for numbers in got:
        assert numbers == pytest.approx(want, rel=1e-14)
    assert apply(bump, np.array(points, np.float32)).dtype == np.float32


def test_a_row_defined_again_is_not_the_old_one() -> None:
    for factor in (2, 3):
        row = primitive("scaled", f"{factor} * x", f"{factor}")
        try:
            assert apply(row, mp.mpf(1)) == factor
            assert apply(row, np.ones(1)) == factor
        finally:
            del table["scaled"]


def test_object_arrays_are_evaluated_element_by_element() -> None:
    xs = np.array([[mp.mpf(2), mp.mpf(3)]], dtype=object)
    product = apply(rules.mul, xs, np.array([[1.0], [0.5]]))
    assert product.shape == (2, 2)
    assert product[1, 1] == mp.mpf("1.5")
    sympy = pytest.importorskip("sympy")
    x = sympy.Symbol("x")
    assert apply(rules.sin, np.array([x, 0 * x], dtype=object)).tolist() == [sympy.sin(x), 0]


def test_the_callers_own_number_type() -> None:
    """Fractions know two rows; a third follows from its formula. Values know all of them."""
    fractions = FormulaType(
        "fraction", Fraction, {"add": lambda x, y: x + y, "mul": lambda x, y: x * y, "neg": lambda x: -x}
    )
    code = program((rules.square, 0), (rules.add, 1, 2), inputs=1, constants=(0.5,))
    assert evaluate(code, [Fraction(1, 3)], fractions) == [Fraction(11, 18)]

    integers = FormulaType("integer", lambda x: x, {"less_equal": lambda x, y: x <= y, "where": np.where})
    assert evaluate(alone(rules.relu), [7], integers) == [7]

    x = Value(3.0)
    [y] = evaluate(code, [x], FormulaType("Value", Value, table))
    y.backward()
    assert (y.data, x.grad) == (9.5, 6.0)


@pytest.mark.parametrize(
    ("stranger", "named"),
    [
        ("a", "str"),
        (None, "NoneType"),
        (1j, "complex"),
        (Decimal(1), "Decimal"),
        ([1.0], "list"),
        (mp.mpc(1, 1), "mpc"),
        (mp.iv.mpf(1), "ivmpf"),
        (mp.iv.mpf([1, 2]), "ivmpf"),
        (np.array(["a"]), "ndarray of dtype <U1"),
        (np.array([1j]), "ndarray of dtype complex128"),
    ],
)
def test_other_types_are_named_in_one_sentence(stranger: Any, named: str) -> None:
    with pytest.raises(TypeError, match=f"^evaluate: expected numbers, arrays, .*, got {named}$"):
        apply(rules.sin, stranger)


def test_arrays_and_multiprecision_numbers_are_mixed_in_object_arrays_only() -> None:
    with pytest.raises(
        TypeError, match="an array cannot be mixed with mpmath's numbers, except one of dtype"
    ):
        apply(rules.add, np.ones(2), mp.mpf(1))


# --- the error functions ----------------------------------------------------------------------------


@pytest.mark.parametrize(("function", "exact"), [(special.erf, mp.erf), (special.erfc, mp.erfc)])
def test_the_error_functions_have_every_digit_of_a_double(function: Any, exact: Any) -> None:
    random = np.random.default_rng(0)
    x = np.concatenate(
        [random.uniform(-6, 6, 400), random.uniform(0, 26.5, 400), 10 ** random.uniform(-300, 0, 200)]
        + [np.linspace(end - 1e-9, end + 1e-9, 50) for end in (-1, 0.5, 1)]
    )
    with np.errstate(all="raise", under="ignore"):
        y = function(x)
    with mp.workdps(40):
        for z, point in zip(y.tolist(), x.tolist(), strict=True):
            want = exact(mp.mpf(point))
            assert abs(z - want) <= 1e-15 * abs(want), point


def test_the_error_functions_at_their_edges() -> None:
    x = np.array([0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, 1e308, -1e308])
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_array_equal(special.erf(x), [0.0, -0.0, 1, -1, math.nan, 5e-324, 1, -1])
        np.testing.assert_array_equal(special.erfc(x), [1, 1, 0, 2, math.nan, 1, 0, 2])
        assert np.signbit(special.erf(x)[1])
        assert special.erf(x[:1].astype(np.float32)).dtype == np.float32
    assert special.erfc(np.array([27.0])) == pytest.approx(math.erfc(27.0), rel=1e-6, abs=0)  # subnormal
    assert special.erf(1) == pytest.approx(math.erf(1.0), rel=1e-15)
