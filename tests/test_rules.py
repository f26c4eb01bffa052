"""Every row of the derivative table against 50-digit mpmath, kinks, errors, and rows of a user's own."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
import re
from collections.abc import Callable, Iterator
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from autograd_mini import arrays, formulas, rules
from autograd_mini.rules import DomainError, Primitive, primitive, table
from autograd_mini.value import Value

mp.mp.dps = 50
ULP = 2.0**-52
TEXTBOOK = {"sigmoid", "tanh"}  # their partials are held to 4 ulp of 1, absolute

# --- the reference: each function once more, written for mpmath, differentiated numerically ---

REFERENCE: dict[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "neg": lambda x: -x,
    "pow": lambda x, y: mp.power(x, y),
    "sign": mp.sign,
    "abs": lambda x: x if x > 0 else -x,
    "maximum": max,
    "minimum": min,
    "where": lambda c, x, y: x if c else y,
    "convention": lambda c, x, y: x if c else y,
    "less": lambda x, y: mp.mpf(x < y),
    "less_equal": lambda x, y: mp.mpf(x <= y),
    "equal": lambda x, y: mp.mpf(x == y),
    "exp": mp.exp,
    "exp2": lambda x: mp.power(2, x),
    "expm1": lambda x: mp.exp(x) - 1,
    "log": mp.log,
    "log2": lambda x: mp.log(x) / mp.log(2),
    "log10": lambda x: mp.log(x) / mp.log(10),
    "log1p": lambda x: mp.log(1 + x),
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "logaddexp": lambda x, y: mp.log(mp.exp(x) + mp.exp(y)),
    "xlogy": lambda x, y: x * mp.log(y),
    "sqrt": mp.sqrt,
    "cbrt": lambda x: mp.sign(x) * mp.root(abs(x), 3),
    "square": lambda x: x**2,
    "semicircle": lambda x: mp.sqrt(1 - x * x),
    "hyperbola": lambda x: mp.sqrt(x * x - 1),
    "gaussian": lambda x: mp.exp(-x * x),
    "reciprocal": lambda x: 1 / x,
    "sin": mp.sin,
    "cos": mp.cos,
    "tan": mp.tan,
    "asin": mp.asin,
    "acos": mp.acos,
    "atan": mp.atan,
    "atan2": lambda y, x: mp.atan2(y, x),
    "sinh": mp.sinh,
    "cosh": mp.cosh,
    "tanh": mp.tanh,
    "asinh": mp.asinh,
    "acosh": mp.acosh,
    "atanh": mp.atanh,
    "erf": mp.erf,
    "erfc": mp.erfc,
    "hypot": lambda x, y: mp.sqrt(x**2 + y**2),
    "relu": lambda x: max(x, mp.mpf(0)),
    "softplus": lambda x: mp.log(1 + mp.exp(x)),
    "floor": mp.floor,
    "ceil": mp.ceil,
    "trunc": lambda x: mp.sign(x) * mp.floor(abs(x)),
    "rint": mp.nint,
    "fmod": lambda x, y: mp.sign(x) * (abs(x) % abs(y)),
    "mod": lambda x, y: x % y,
    "floor_divide": lambda x, y: mp.floor(x / y),
    "logit": lambda x: mp.log(x / (1 - x)),
    "entr": lambda x: -x * mp.log(x),
    "xlog1py": lambda x, y: x * mp.log(1 + y),
    "lgamma": lambda x: mp.loggamma(x).real if abs(x) > 1e-200 else -mp.log(x) - mp.euler * x,
    "digamma": mp.digamma,
    "trigamma": lambda x: mp.psi(1, x),
}

ANY = [0.3, -0.7, 1.5, -2.25, 1e-8, -1e-8, 7.0, -13.0]
POSITIVE = [0.3, 1.5, 1e-8, 7.0, 1e-300, 1e300, 0.999999, 1.000001, 1.0]
WIDE = [*ANY, 1e-300, -1e-300, 1e100, -1e100]
ANGLES = [*ANY, 1e-300, 100.0, 1e10, 1.5707963, 3.1415926, 0.0]
UNIT = [0.3, -0.7, 1e-8, 0.999999, -0.9999999999, 1e-300, 0.5]
PAIRS = [(0.3, -0.7), (1.5, 2.25), (-3.0, 1e-8), (1e-8, 5.0), (-2.0, -0.5), (1e100, 3.0), (1e-150, 2e-150)]

CHOICES = [(1.0, 2.0, 3.0), (0.0, 2.0, 3.0), (-1.0, 0.5, 1e100)]

POINTS: dict[str, list[Any]] = {
    **dict.fromkeys("add sub mul div hypot atan2 maximum minimum less less_equal equal".split(), PAIRS),
    **dict.fromkeys("log log2 log10 sqrt".split(), POSITIVE),
    **dict.fromkeys("neg sign abs atan asinh relu cbrt".split(), WIDE),
    "reciprocal": [x for x in WIDE if abs(x) > 1e-200],
    "square": [x for x in WIDE if abs(x) > 1e-200 or x == 0],
    "exp": [*ANY, 700.0, -700.0, 0.0],
    "exp2": [*ANY, 1000.0, -1000.0, 0.0],
    "expm1": [*ANY, 700.0, -50.0, 1e-300, 0.0],
    "log1p": [*ANY[::2], 1e-300, -1e-300, -0.9999999, 1e100, 0.0],
    "sigmoid": [*ANY, 36.0, -36.0, 500.0, -700.0, 0.0],
    "softplus": [*ANY, 36.0, -36.0, 1e4, -700.0, 0.0],
    "tanh": [*ANY, 19.0, -25.0, 800.0, 1e-300, 0.0],
    "sinh": [*ANY, 700.0, -700.0, 1e-300, 0.0],
    "cosh": [*ANY, 700.0, -700.0, 0.0],
    **dict.fromkeys("sin cos tan".split(), ANGLES),
    **dict.fromkeys("asin acos atanh".split(), UNIT),
    "acosh": [1.5, 1.000001, 7.0, 1e100, 1.0000000001],
    "erf": [*ANY, 5.0, -5.0, 19.3, 1e-300, 0.0],
    "erfc": [*ANY, 5.0, 19.3, 26.0, -5.0, 0.0],
    "gaussian": [*ANY, 5.0, -19.3, 26.0, 1e-300, 0.0],
    "semicircle": UNIT,
    "hyperbola": [1.5, 1.000001, -7.0, 1e100, 1.0000000001],
    "pow": [
        (2.0, 0.5), (0.3, -0.7), (1.5, 100.5), (1e-8, 3.0), (1e100, 2.5), (7.0, 1.0), (0.999, -50.0),
        (1e300, 0.1), (3e100, -0.7),
    ],
    "logaddexp": [(0.3, -0.7), (1.5, 1.5), (800.0, 799.0), (-800.0, -700.0), (50.0, -50.0), (1e5, 3.0)],
    "xlogy": [(0.3, 0.7), (2.0, 1e-300), (-1.5, 3.0), (1e-300, 2.0), (5.0, 1e100), (0.0, 2.0)],
    **{name: [0.3, -0.7, 1.75, -2.25, 1e-8, -1e-300, 1000.25] for name in "floor ceil trunc rint".split()},
    **{
        name: [(5.3, 0.7), (-5.3, 0.7), (5.3, -0.7), (-5.3, -0.7), (0.3, 7.0), (1e10, 0.3), (-1e-5, 3.0)]
        for name in "fmod mod floor_divide".split()
    },
    "logit": [0.3, 0.5, 0.5000001, 0.1, 1e-300, 1e-8, 0.75, 0.999999, 0.2500001],
    "entr": [0.3, 1e-300, 1.0, 5.0, 0.3678794, 1e10],
    "xlog1py": [(0.3, 0.7), (2.0, 1e-300), (-1.5, 3.0), (1e-300, 2.0), (5.0, 1e100), (3.0, -0.99)],
    "lgamma": [0.3, 1e-8, 1e-300, 1.0000001, 3.5, 2.0, 7.0, 100.5, 1e10, -0.7, -2.25, -13.4],
    **dict.fromkeys(
        "digamma trigamma".split(),
        (0.3, 1e-8, -1e-8, 1e-100, 0.5, 0.49, 1.0, 1.4616321449683623, 7.0, 100.5, 1e10, -0.7, -2.25, -13.4),
    ),
    **dict.fromkeys(["where", "convention"], CHOICES),
}  # fmt: skip

CASES = [
    pytest.param(name, point if isinstance(point, tuple) else (point,), id=f"{name}-{point}")
    for name, points in POINTS.items()
    for point in points
]


def exact_value(name: str, *point: Any) -> Any:
    return REFERENCE[name](*map(mp.mpf, point))


def exact_partial(name: str, i: int, *point: Any) -> Any:
    """∂/∂(operand i), differenced with far more digits than the 50 that are asked of it."""
    exact = [mp.mpf(x) for x in point]
    return mp.diff(
        lambda t: REFERENCE[name](*exact[:i], t, *exact[i + 1 :]), exact[i], relative=exact[i] != 0
    )


def sensitivity(f: Callable[..., Any], point: tuple[float, ...]) -> Any:
    """Σ |xᵢ ∂f/∂xᵢ|: how much a relative error in the operands moves f."""
    exact, total = [mp.mpf(x) for x in point], mp.mpf(0)
    for i, x in enumerate(exact):
        h = abs(x) * mp.mpf(10) ** -40
        if h:
            up, down = (f(*exact[:i], x + d, *exact[i + 1 :]) for d in (h, -h))
            total += abs(x * (up - down) / (2 * h))
    return total


def assert_close(got: float, f: Callable[..., Any], point: tuple[float, ...], what: str) -> None:
    """Within 4 units in the last place, or 4 times what one in the operands does to f if that is more."""
    exact = f(*point)
    error = abs(mp.mpf(got) - exact)
    least = mp.mpf(5e-324)
    if error > max(4 * ULP * abs(exact), least):
        bound = 4 * ULP * max(abs(exact), sensitivity(f, point)) + least
        assert error <= bound, f"{what} at {point}: {got!r}, exact {mp.nstr(exact, 25)}"


def gradient(row: Primitive, *point: float) -> tuple[float, list[float]]:
    """Value and partials as `Value` finds them."""
    operands = [Value(x) for x in point]
    z = row(*operands)
    z.backward()
    return z.data, [x.grad for x in operands]


def test_every_formula_of_the_table_is_one_for_every_number_type() -> None:
    for row in rules.own_table.values():
        rules.check_formulas(row)


def test_every_row_has_a_reference_and_points() -> None:
    assert set(table) - {"detach", "identity"} == set(REFERENCE) == set(POINTS)


@pytest.mark.parametrize(("name", "point"), CASES)
def test_value_and_partials_against_mpmath(name: str, point: tuple[float, ...]) -> None:
    value, partials = gradient(table[name], *point)
    # exp(-700) is visible beside 1; the gamma functions' series, which take their time, are not so steep.
    with mp.workdps(250 if name.endswith("gamma") and abs(point[0]) > 1e-200 else 700):
        assert_close(value, lambda *x: exact_value(name, *x), point, name)
        for i, partial in enumerate(partials):
            what = f"∂{name}/∂{table[name].operands[i]}"
            if name in TEXTBOOK:
                assert abs(partial - exact_partial(name, i, *point)) <= 4 * ULP, what
            else:
                assert_close(partial, lambda *x, i=i: exact_partial(name, i, *x), point, what)


@pytest.mark.parametrize("name", list(POINTS))
def test_floats_arrays_and_values_agree(name: str) -> None:
    row = table[name]
    points = [point if isinstance(point, tuple) else (point,) for point in POINTS[name]]
    floats = [row(*point) for point in points]
    assert all(type(z) is float for z in floats)
    assert [row(*map(Value, point)).data for point in points] == floats
    arrays = row(*(np.array(column) for column in zip(*points, strict=True)))
    np.testing.assert_allclose(arrays, floats, rtol=4 * ULP, atol=5e-324)


def test_a_number_may_stand_at_either_operand() -> None:
    assert rules.maximum(2.0, Value(1.0)).data == 2.0
    assert rules.hypot(Value(3.0), 4).data == 5.0
    assert rules.where(True, Value(1.0), np.float64(2.0)).data == 1.0
    assert rules.where(0, 1.0, Value(2.0)).data == 2.0


# --- where the textbook form would overflow or cancel ---


def test_stable_forms() -> None:
    assert rules.sigmoid(-800.0) == 0.0
    assert 0 < rules.sigmoid(-740.0) < 1e-320
    assert rules.sigmoid(800.0) == 1.0
    assert rules.softplus(1e4) == 1e4
    assert rules.softplus(-800.0) == 0.0
    assert rules.logaddexp(1e4, 1e4) == 1e4 + math.log(2)
    assert gradient(rules.expm1, 1e-300)[1] == [1.0]
    assert gradient(rules.hypot, 1e200, 1e200)[0] == pytest.approx(math.sqrt(2) * 1e200)
    assert gradient(rules.atan2, 1e-200, 1e-200)[1] == pytest.approx([5e199, -5e199])


@pytest.mark.parametrize(
    ("name", "point", "value"),
    [
        ("logaddexp", (-math.inf, -math.inf), -math.inf),
        ("logaddexp", (math.inf, 1.0), math.inf),
        ("logaddexp", (-math.inf, 1.0), 1.0),
        ("softplus", (math.inf,), math.inf),
        ("sigmoid", (-math.inf,), 0.0),
        ("sigmoid", (math.inf,), 1.0),
        ("tanh", (math.inf,), 1.0),
        ("exp", (-math.inf,), 0.0),
        ("relu", (-math.inf,), 0.0),
        ("atan", (math.inf,), math.pi / 2),
        ("hypot", (math.inf, 1.0), math.inf),
    ],
)
def test_infinities(name: str, point: tuple[float, ...], value: float) -> None:
    assert table[name](*point) == value
    assert table[name](*map(Value, point)).data == value
    with np.errstate(all="ignore"):
        assert table[name](*map(np.array, point)) == value


@pytest.mark.parametrize("name", [name for name in POINTS if len(table[name].operands) == 1])
def test_nan_goes_through(name: str) -> None:
    assert math.isnan(table[name](math.nan))


def test_maximum_and_minimum_keep_nan() -> None:
    for row in (rules.maximum, rules.minimum):
        assert math.isnan(row(math.nan, 1.0))
        assert math.isnan(row(1.0, math.nan))


# --- kinks, as in PyTorch ---

KINKS: list[tuple[str, tuple[float, ...], list[float]]] = [
    ("relu", (0.0,), [0.0]),
    ("abs", (0.0,), [0.0]),
    ("sign", (0.0,), [0.0]),
    ("maximum", (2.0, 2.0), [0.5, 0.5]),
    ("minimum", (2.0, 2.0), [0.5, 0.5]),
    ("hypot", (0.0, 0.0), [0.0, 0.0]),
    ("atan2", (0.0, 0.0), [0.0, 0.0]),
    ("pow", (0.0, 2.0), [0.0, 0.0]),
    ("pow", (0.0, 1.0), [1.0, 0.0]),
    ("pow", (0.0, 0.0), [0.0, 0.0]),
    ("pow", (5.0, 0.0), [0.0, math.log(5)]),
    ("less", (1.0, 1.0), [0.0, 0.0]),
    ("where", (0.0, 1.0, 2.0), [0.0, 0.0, 1.0]),
]


@pytest.mark.parametrize(("name", "point", "partials"), KINKS, ids=lambda x: str(x))
def test_kinks(name: str, point: tuple[float, ...], partials: list[float]) -> None:
    assert gradient(table[name], *point)[1] == partials


def test_xlogy_at_zero() -> None:
    assert rules.xlogy(0.0, 0.0) == 0.0
    x, y = Value(0.0), Value(0.0)
    rules.xlogy(x, y).backward()
    assert (x.grad, y.grad) == (0.0, 0.0)
    x, y = Value(0.0), Value(0.25)
    rules.xlogy(x, y).backward()
    assert (x.grad, y.grad) == (math.log(0.25), 0.0)
    np.testing.assert_array_equal(rules.xlogy(np.zeros(2), np.array([0.0, 3.0])), [0, 0])


def test_detach_stops_the_gradient() -> None:
    x = Value(3.0)
    (x * rules.detach(x)).backward()
    assert x.grad == 3.0


# --- domains ---

OUTSIDE: list[tuple[str, tuple[float, ...], type[Exception]]] = [
    ("log", (-0.2,), ValueError),
    ("log", (0.0,), ValueError),
    ("log2", (-1.0,), ValueError),
    ("log10", (-1.0,), ValueError),
    ("log1p", (-1.0,), ValueError),
    ("sqrt", (-1.0,), ValueError),
    ("asin", (1.5,), ValueError),
    ("acos", (-1.5,), ValueError),
    ("acosh", (0.5,), ValueError),
    ("atanh", (1.0,), ValueError),
    ("sin", (math.inf,), ValueError),
    ("pow", (-2.0, 0.5), ValueError),
    ("pow", (0.0, -1.0), ValueError),
    ("xlogy", (1.0, -1.0), ValueError),
    ("div", (1.0, 0.0), ZeroDivisionError),
    ("reciprocal", (0.0,), ZeroDivisionError),
    ("exp", (1000.0,), OverflowError),
    ("expm1", (1000.0,), OverflowError),
    ("exp2", (2000.0,), OverflowError),
    ("cosh", (1000.0,), OverflowError),
    ("pow", (1e200, 2.0), OverflowError),
]


@pytest.mark.parametrize(("name", "point", "kind"), OUTSIDE, ids=lambda x: getattr(x, "__name__", str(x)))
def test_domain_errors_name_operation_operand_and_value(
    name: str, point: tuple[float, ...], kind: type[Exception]
) -> None:
    row = table[name]
    labelled = [Value(x, label=f"p{i}") for i, x in enumerate(point)]
    unlabelled = (
        [f"x = {point[0]:.10g}"] if len(point) == 1 else [f"{name}({point[0]:.10g}, {point[1]:.10g})"]
    )
    for operands, got in [(point, unlabelled), (labelled, [f"{v.label} = {v.data:.10g}" for v in labelled])]:
        with pytest.raises(DomainError) as caught:
            row(*operands)
        assert isinstance(caught.value, kind)
        message = str(caught.value)
        assert re.match(rf"{name}(\(x, y\))?: ", message)
        assert all(part in message for part in got)
        if kind is not OverflowError:
            assert f"needs {row.domain}" in message


def test_the_message_is_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"^log: needs x > 0, got p1 = -0.2$"):
        rules.log(Value(-0.2, label="p1"))
    with pytest.raises(ZeroDivisionError, match=r"^div\(x, y\): needs y != 0, got div\(1, 0\)$"):
        Value(1) / 0


def test_arrays_follow_ieee() -> None:
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(rules.log(np.array([-1.0, 0.0, 1.0])), [np.nan, -np.inf, 0])
        np.testing.assert_array_equal(rules.div(np.ones(2), np.array([0.0, 2.0])), [np.inf, 0.5])


@pytest.mark.parametrize("operands", [("3",), (None,), (1j,), ([1.0],)])
def test_what_is_no_number_is_refused(operands: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match=r"^exp: expected numbers"):
        rules.exp(*operands)


def test_wrong_number_of_operands() -> None:
    with pytest.raises(TypeError, match=r"^atan2\(y, x\) takes 2 operands, got 1$"):
        rules.atan2(1.0)


# --- rows of a user's own ---


@pytest.fixture
def own() -> Iterator[Callable[..., Primitive]]:
    """`primitive`, whose rows are taken away again after the test."""
    added: list[Primitive] = []

    def add(name: str, *texts: str, **options: Any) -> Primitive:
        added.append(primitive(name, *texts, **options))
        return added[-1]

    yield add
    for row in added:
        del table[row.name]
        for name in {row.name, row.numpy}:
            delattr(Value, name)
        for namespace in (formulas.FLOATS, formulas.ARRAYS):
            namespace.pop(row.name, None)
        arrays.UFUNCS.pop(getattr(np, row.numpy, None), None)


def test_one_call_adds_a_primitive(own: Callable[..., Primitive]) -> None:
    versine = own("versine", "1 - cos(x)", "sin(x)", symbol="ver", numpy="spacing")
    assert table["versine"] is versine
    assert versine(0.5) == 1 - math.cos(0.5)
    np.testing.assert_allclose(versine(np.array([0.5, 1.0])), 1 - np.cos([0.5, 1.0]))
    x = Value(0.5)
    for z in (versine(x), x.versine(), x.spacing()):
        x.zero_grad()
        z.backward()
        assert (z.data, x.grad) == (1 - math.cos(0.5), math.sin(0.5))
        assert z.op is versine
        assert z.op.symbol == z._op == "ver"
    z = np.spacing(arrays.values([0.5, 1.0]))  # a ufunc without a row of its own now reaches this one
    assert [element.op for element in z] == [versine, versine]
    assert str(versine) == "versine(x) = 1 - cos(x);  ∂x: sin(x)"
    assert "| `versine(x)` | `1 - cos(x)` | `sin(x)` |  |" in rules.derivative_table()


def test_a_row_may_call_rows_of_its_own_kind(own: Callable[..., Primitive]) -> None:
    own("swish", "x * sigmoid(x)", "sigmoid(x) * (1 + x - z)")
    twice = own("swish_product", "swish(x) * y", "y * sigmoid(x) * (1 + x - swish(x))", "swish(x)")
    value, (dx, dy) = gradient(twice, 1.2, -0.7)
    h = 1e-6
    assert value == twice(1.2, -0.7)
    assert dx == pytest.approx((twice(1.2 + h, -0.7) - twice(1.2 - h, -0.7)) / (2 * h), rel=1e-8)
    assert dy == pytest.approx(twice(1.2, 1.0))
    assert twice(np.array([1.2]), -0.7) == pytest.approx([value])


def test_rows_with_named_operands_and_three_of_them(own: Callable[..., Primitive]) -> None:
    lerp = own("lerp", "a + t * (b - a)", "1 - t", "t", "b - a", operands="a b t")
    assert gradient(lerp, 2.0, 6.0, 0.25) == (3.0, [0.75, 0.25, 4.0])


def test_domain_of_an_own_row(own: Callable[..., Primitive]) -> None:
    rsqrt = own("rsqrt", "1 / sqrt(x)", "-z / (2 * x)", domain="x > 0")
    with pytest.raises(ZeroDivisionError, match=r"^rsqrt: needs x > 0, got w = 0$"):
        rsqrt(Value(0.0, label="w"))
    with pytest.raises(ValueError, match=r"^rsqrt: needs x > 0, got x = -1$"):
        rsqrt(-1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("exp", "x", "1"), "the name must be an identifier that is not taken, got 'exp'"),
        (("data", "x", "1"), "the name must be an identifier that is not taken, got 'data'"),
        (("two words", "x", "1"), "the name must be an identifier that is not taken"),
        (("lambda", "x", "1"), "the name must be an identifier that is not taken"),
        (("__init__", "x", "1"), "the name must be an identifier that is not taken"),
        (("fresh", "x *", "1"), "is not an expression"),
        (("fresh", "x = 1", "1"), "is not an expression"),
        (("fresh", "x * y", "y"), "expected 2 partials, one for each of x, y, got 1"),
        (("fresh", "x * x"), "expected 1 partials, one for each of x, got 0"),
        (("fresh", "x * w", "w"), "unknown name 'w'"),
        (("fresh", "z * x", "1"), "unknown name 'z'"),
        (("fresh", "nosuch(x)", "1"), "unknown name 'nosuch'"),
        (("fresh", "x", "nosuch(x)"), "unknown name 'nosuch'"),
    ],
)
def test_bad_rows_are_refused_and_leave_nothing(arguments: tuple[str, ...], message: str) -> None:
    before = list(table)
    with pytest.raises(ValueError, match=message):
        primitive(*arguments)
    assert list(table) == before
    assert Value.__init__.__qualname__ == "Value.__init__"
    assert not hasattr(Value, "fresh")


CASES = [
    (("fresh", "x ** 3", "3 * x"), {}, "at x = -2, where differences of the formula give 12; verify="),
    (("fresh", "x * sigmoid(x)", "sigmoid(x) * (1 + x - z) * 1.0001"), {}, "∂x gives -0.0907933 at x = -2"),
    (("fresh", "log(x) / 2", "1 / x"), {"domain": "x > 0"}, "∂x gives 2 at x = 0.5"),
    (("fresh", "a * b * c", "b * c", "a * c", "2 * a * b"), {"operands": "a b c"}, "∂c gives 8 at a = -2, b"),
    (("fresh", "x if x > 1 else 1", "cut if x > 1 else 1"), {}, "∂x gives 1 at x = -2, .* give 0"),
    (("fresh", "sqrt(x * x)", "sign(x)"), {"kinks": "x - 1"}, "jumps from -1 to 1 at x = 0, .* kinks"),
    (("fresh", "2 * x + 1", "2"), {"linear": True}, "it is not linear: at 0 it gives 1"),
    (("fresh", "x * y", "y", "x"), {"linear": True}, "it is not linear: ∂x is "),
    (("fresh", "sqrt(x - 5000)", "1 / (2 * z)"), {"domain": "x > 5000"}, "no point of its domain is found"),
    (("fresh", "x", "1"), {"domain": "x must be nice"}, "is not an expression"),
    (("fresh", "x", "1"), {"domain": "x > w"}, "unknown name 'w'"),
    (("fresh", "x", "1"), {"domain": "[x]"}, "a formula is made of"),
    (("fresh", "x", "1"), {"kinks": "x, w"}, "unknown name 'w'"),
]  # fmt: skip


@pytest.mark.parametrize(("texts", "options", "message"), CASES)
def test_what_differences_or_the_grammar_refute_is_refused(
    texts: tuple[str, ...], options: dict[str, Any], message: str
) -> None:
    before = list(table)
    with pytest.raises(ValueError, match=message):
        primitive(*texts, **options)
    assert list(table) == before
    assert not hasattr(Value, "fresh")


def test_kinks_are_respected_and_what_is_added_unseen_is_added(own: Callable[..., Primitive]) -> None:
    own("leaky", "x if x > 0 else x / 8", "1 if x > 0 else 1 / 8")
    own("tent", "1 - abs(x - 1)", "-sign(x - 1)")
    own("root_of_square", "sqrt(x * x)", "sign(x)", kinks="x")
    own("beside_a_jump", "floor(x) + x", "1")
    own("between", "x * y", "y", "x", domain="0 < x < 1 or y % 1 != 0")
    own("straight", "2 * x - y", "2", "-1", linear=True)
    stopped = own("stopped", "x", "0", verify=False)
    assert gradient(stopped, 2.0) == (2.0, [0.0])


@pytest.mark.parametrize("row", [row for row in rules.own_table.values() if row is not rules.detach])
def test_the_table_is_held_against_differences(row: Primitive) -> None:
    rules.hold_against_differences(row)


def test_detach_is_what_differences_refute() -> None:
    with pytest.raises(ValueError, match="∂x gives 0"):
        rules.hold_against_differences(rules.detach)


@pytest.mark.parametrize("operands", ["z x", "g x", "x x", "pi x", "exp x", "1 x"])
def test_operands_need_names_of_their_own(operands: str) -> None:
    with pytest.raises(ValueError, match="operands need names of their own"):
        primitive("fresh", "x", "0", "1", operands=operands)


# --- rows as objects ---


@pytest.mark.parametrize("name", list(table))
def test_rows_are_themselves_after_pickle_and_copy(name: str) -> None:
    row = table[name]
    assert pickle.loads(pickle.dumps(row)) is row
    assert copy.deepcopy(row) is copy.copy(row) is row
    assert getattr(rules, name) is row
    assert name in repr(row)


def test_the_documentation_table_has_every_row() -> None:
    text = rules.derivative_table()
    assert all(f"| `{row.name}({', '.join(row.operands)})` |" in text for row in table.values())
    assert "2**-52" in text


def test_the_cube_root_for_pythons_without_one():
    for x in (0.0, -0.0, math.inf, -math.inf, math.nan):  # their own cube roots
        np.testing.assert_array_equal(formulas.cube_root(x), x)
        assert math.copysign(1, formulas.cube_root(x)) == math.copysign(1, x)
    near = np.random.default_rng(0).normal(size=200)
    for x in (*near.tolist(), 1.0, 8.0, -27.0, 5e-324, -1e-310, 1e308):
        exact = mp.cbrt(abs(x)) * mp.sign(x)
        assert abs(formulas.cube_root(x) - exact) <= 2.5e-16 * abs(exact)


@pytest.mark.parametrize("row", [row for row in table.values() if row.domain], ids=lambda row: row.name)
def test_a_row_raises_just_where_its_domain_says(row: Primitive) -> None:
    edges = [0.0, -0.0, 0.5, 1.0, 2.0, math.nextafter(1, 2), math.nextafter(1, 0), 5e-324]
    numbers = [*edges, *(-x for x in edges)]
    if len(row.operands) == 1:  # C's pow gives 0 ** -inf and (-2) ** inf a number, which is no matter here
        numbers += [math.inf, -math.inf]
    for operands in itertools.product(numbers, repeat=len(row.operands)):
        named = dict(zip(row.operands, operands, strict=True))
        inside = bool(eval(row.domain, {"abs": abs, "inf": math.inf}, named))
        try:
            result = rules.CHECKED.function(row)(*operands)
        except OverflowError:
            continue
        except DomainError:
            assert not inside, (row.name, operands)
        else:
            assert inside or (math.isnan(result) and math.inf in map(abs, operands)), (row.name, operands)
