"""Text formulas: what is read is the mathematics that stands there, and everything else is refused."""

import copy
import importlib.util
import math
import pickle
import random
import tracemalloc
from pathlib import Path

import mpmath
import numpy as np
import pytest
import sympy

from autograd_mini import (
    DivisionByZeroError,
    DomainError,
    RangeError,
    Value,
    check_gradient,
    cross_entropy,
    grad,
    softmax,
    trace,
    values,
)
from autograd_mini.expressions import ExpressionError, parse, vocabulary

Z = np.array([1.5, -0.5, 0.75])
W = np.array([[1.0, 2.0], [3.0, 5.0]])


# --- what a formula says ---

FORMULAS = [
    ("log(1 + exp(-y*(w*x + b)))", lambda w, x, b, y: math.log(1 + math.exp(-y * (w * x + b)))),
    ("-x**2 + 3 - 2 - 1", lambda x: -(x**2)),
    ("2**-1**2 * x", lambda x: 0.5 * x),
    ("x/2/2*3", lambda x: x / 2 / 2 * 3),
    ("x if x > 0 else 0.1*x", lambda x: x if x > 0 else 0.1 * x),
    ("(x > 0) + (x >= x) - (x < 0) + (x <= 0) + (x == x) + (x != x)", lambda x: 3 if x > 0 else 1 - 1 + 2),
    ("1 if -1 < x < 1 else 2", lambda x: 1 if -1 < x < 1 else 2),
    ("max(x, y, 0.1) - min(x, y)", lambda x, y: max(x, y, 0.1) - min(x, y)),
    ("2*pi*x + e", lambda x: 2 * math.pi * x + math.e),
    ("arctan(x) + power(abs(x), 0.5) + absolute(x)", lambda x: math.atan(x) + abs(x) ** 0.5 + abs(x)),
]


@pytest.mark.parametrize(("text", "function"), FORMULAS, ids=[text for text, _ in FORMULAS])
def test_a_formula_of_scalars_and_its_derivative(text, function):
    formula = parse(text)
    assert set(formula.names) == set(function.__code__.co_varnames)
    for seed in range(3):
        random.seed(seed)
        point = {name: random.uniform(-2, 2) for name in formula.names}
        assert formula(**point) == pytest.approx(function(**point), rel=1e-14)
        leaves = {name: Value(number) for name, number in point.items()}
        formula(**leaves).backward()
        for name, number in point.items():
            beside = [function(**{**point, name: number + h}) for h in (-1e-5, 1e-5)]
            assert leaves[name].grad == pytest.approx((beside[1] - beside[0]) / 2e-5, abs=1e-5)


ARRAYS = [
    ("diag(S) - outer(S, S)", {"S": Z}, np.diag(Z) - np.outer(Z, Z)),
    ("sum(max(0, 1 - t*y))", {"t": [1, -1], "y": [0.5, 0.2]}, 0.5 + 1.2),
    ("transpose(W) @ W", {"W": W}, W.T @ W),
    ("W @ x + dot(x, x) * eye(2)[0]", {"W": W, "x": [1, 2]}, W @ [1, 2] + [5, 0]),
    ("sum(W, axis=0) - mean(W, axis=-1) + max(W, axis=1)", {"W": W}, W.sum(0) - W.mean(1) + W.max(1)),
    ("[x, 2*x, W[1, 0]]", {"x": 1.5, "W": W}, [1.5, 3, 3]),
    ("((1, 2), x) @ x", {"x": [3, 4]}, [11, 25]),
    ("W[0, 1:] + W[-1][0] + W[:, k][0]", {"W": W, "k": 1}, [7]),
    ("z[1] * z[k + 1] + z[::2][1]", {"z": Z, "k": 0}, Z[1] ** 2 + Z[2]),
    ("softmax(z)[0] + logsumexp(z)", {"z": Z}, np.exp(Z)[0] / sum(np.exp(Z)) + np.log(sum(np.exp(Z)))),
    ("cross_entropy(softmax(z), 2)", {"z": Z}, np.log(sum(np.exp(Z))) - Z[2]),
    ("z if z > 0 else 0", {"z": Z}, np.maximum(Z, 0)),
    ("log(z) if z > 0 else 0", {"z": Z}, [math.log(1.5), 0, math.log(0.75)]),
    ("mean(3) + sum(x)", {"x": 2}, 5),
]


@pytest.mark.parametrize(("text", "operands", "wanted"), ARRAYS, ids=[text for text, *_ in ARRAYS])
def test_a_formula_of_arrays_on_numbers_values_and_traced(text, operands, wanted):
    formula = parse(text)
    np.testing.assert_allclose(formula.evaluate(operands), wanted, rtol=1e-14)
    arrays = {name: np.asarray(x, float) for name, x in operands.items() if name != "k"}
    rest = {name: x for name, x in operands.items() if name == "k"}
    program = trace(
        lambda *xs: formula.evaluate({**dict(zip(arrays, xs, strict=True)), **rest}), *arrays.values()
    )
    np.testing.assert_allclose(program(*arrays.values()), wanted, rtol=1e-14)
    on_values = formula.evaluate({**{name: values(x) for name, x in arrays.items()}, **rest})
    np.testing.assert_allclose(getattr(on_values, "data", on_values), wanted, rtol=1e-14)


def test_a_softmax_jacobian_with_free_indices():
    S = softmax(Z)
    wanted = np.diag(S) - np.outer(S, S)
    formula = parse("S[i] * ((i == j) - S[j])")
    assert formula.indices({"S"}) == ("i", "j")
    np.testing.assert_allclose(formula.tabulate({"S": S}, shape=(3, 3)), wanted, atol=1e-16)
    np.testing.assert_allclose(
        formula.tabulate({"S": S}, indices=("j", "i"), shape=(3, 3)), wanted, atol=1e-16
    )
    np.testing.assert_allclose(formula.tabulate({"S": values(S)}, (3, 3)).data, wanted, atol=1e-16)
    symbols = np.array(sympy.symbols("a b"), dtype=object)
    table = formula.tabulate({"S": symbols}, (2, 2))
    assert sympy.simplify(table[0, 1] + symbols[0] * symbols[1]) == 0
    np.testing.assert_allclose(parse("2*z[j]").tabulate({"z": Z}, (3,)), 2 * Z)
    np.testing.assert_allclose(parse("z[j] + 0*S[0]").tabulate({"z": Z, "S": S}, (2, 3)), [Z, Z])
    np.testing.assert_allclose(parse("diag(S)").tabulate({"S": S}, (3, 3)), np.diag(S))
    assert parse("i*x").tabulate({"i": 2.0, "x": 3.0}, ()) == 6.0
    with pytest.raises(ExpressionError, match="free indices i, j do not fit"):
        formula.tabulate({"S": S}, (3,))
    with pytest.raises(ExpressionError, match="must be a number, got an array of shape"):
        parse("S*i").tabulate({"S": S}, (3,))


def test_constants_are_exact_for_every_number_type():
    formula = parse("x*(1/3) + pi*log(2) - sqrt(2)**-1 + e")
    with mpmath.workdps(40):
        x = mpmath.mpf(2) / 7
        wanted = x / 3 + mpmath.pi * mpmath.log(2) - 1 / mpmath.sqrt(2) + mpmath.e
        assert abs(formula(x) - wanted) < 1e-38
        assert abs(trace(formula, 0.0)(x) - wanted) < 1e-38
        assert abs(formula(np.array([x], dtype=object))[0] - wanted) < 1e-38
    x = sympy.Symbol("x", positive=True)
    wanted = x / 3 + sympy.pi * sympy.log(2) - 1 / sympy.sqrt(2) + sympy.E
    assert sympy.simplify(formula(x) - wanted) == 0


def test_a_condition_is_a_node_that_follows_its_operands():
    x = Value(2.0)
    y = parse("x**2 if x > 1 else x")(x)
    x.data = 0.5
    y.forward()
    assert y.data == 0.5
    absent = Value(-1.0)
    assert parse("log(x) if x > 0 else 3*x")(absent).data == -3.0
    assert grad(parse("relu(x) if x <= 1 else 2*x"))(3.0) == 2.0


def test_a_formula_is_a_function_like_any_other():
    formula = parse("w * x**2")
    assert check_gradient(formula, parse("x**2"), at={"w": 3.0, "x": 2.0}, wrt="w")
    assert pickle.loads(pickle.dumps(formula))(2, 3) == copy.deepcopy(formula)(w=2, x=3) == 18.0
    with pytest.raises(TypeError, match="takes 2 operands, got 3"):
        formula(1, 2, 3)
    assert repr(formula) == "parse('w * x**2')"
    assert parse("e * pi").names == ()
    assert parse("e * x").evaluate({"e": 2.0, "x": 3.0, "unused": object()}) == 6.0
    assert parse("sum *\n\t σ").evaluate({"sum": 2, "σ": 3}) == 6.0


def test_a_users_own_row_can_be_called(adding):
    adding("cubed_plus", "x ** 3 + y", "3 * x ** 2", "1")
    assert parse("cubed_plus(x, 1)")(2) == 9.0


def test_long_sums_are_read_and_evaluated():
    terms = 900
    assert parse("+".join(["x"] * terms))(1.0) == terms
    assert parse("*".join(["x"] * terms))(1.0) == 1.0


# --- what is refused, and where the caret stands ---

REFUSED = [
    ("9**9**9", 0, "too large for a float"),
    ("x + 9**(9**9)", 4, "too large"),
    ("(9**9)**(9**9)", 0, "too large"),
    ("1e999", 0, "a float can hold"),
    ("9" * 90, 0, None),
    ("x * " + "9" * 400, 4, "more than 100 digits"),
    ("0x" + "f" * 99 + "f" * 200, 0, "more than 100 digits"),
    ("1j", 0, "real number"),
    ("W.t", 0, r"no attributes such as \.t"),
    ("x + z.data", 4, "no attributes"),
    ("(1).__class__", 0, "no attributes"),
    ("5 % x", 2, "no meaning"),
    ("'a'", 0, "no meaning"),
    ("x # y", 2, "no meaning"),
    ("x; y", 1, "no meaning"),
    ("x\0", 1, "no meaning"),
    ("x\\\ny", 1, "no meaning"),
    ("{1: 2}", 2, "expected } here, got :"),
    ("lambda: 1", 0, "'lambda' is not part"),
    ("x for x in y", 2, "'for' is not part"),
    ("not x", 0, "'not' is not part"),
    ("None", 0, "'None' is not part"),
    ("(x := 1)", 1, "no NamedExpr"),
    ("1e-3 + x2 +", 0, "invalid syntax"),
    ("x if y > 0 else", 0, "invalid syntax"),
    ("1if x else 2", 0, "no formula"),
    ("x // 2", 5, "the operators are"),
    ("x << 2", 5, "the operators are"),
    ("exp(*x)", 4, "no Starred"),
    ("exp(**x)", 6, "no argument named"),
    ("exp(x=x)", 6, "no argument named x"),
    ("sum(x, axis=y)", 12, "constant is wanted"),
    ("sum(x, axis=0.5)", 12, "whole number"),
    ("max(x, y, axis=0)", 0, None),
    ("lnn(x)", 0, "did you mean ln"),
    ("1 + sigmod(x)", 4, "did you mean sigmoid"),
    ("w(x + b)", 0, r"written with \*"),
    ("exp(x, y)", 0, "exp takes 1 argument, got 2"),
    ("max()", 0, "1 or more"),
    ("__import__(x)", 0, "no function"),
    ("open(x)", 0, "no function"),
    ("z[...]", 2, "real number"),
    ("", 0, "empty"),
    ("  \n ", 0, "empty"),
    ("((1)", 0, "never closed"),
    ("(1, [2)]", 6, r"nothing is open that \)"),
    ("x)", 1, "nothing is open"),
    ("(" * 60 + "x" + ")" * 60, 40, "nested more than 40"),
    ("x" + "[0]" * 50, 0, "nested more than 40"),
    ("-" * 60 + "x", 0, "20 signs"),
    ("+".join("x" * 3000), 4000, "at most 4000 characters"),
    ("x" + "**x" * 60, 91, "30 powers"),
    ("1 if x else " * 60 + "2", 362, "30 conditions"),
    ("** " * 1300, 90, "30 powers"),
    ("αβγ + δ.size", 6, "attributes"),
    ("9" * 10**6, 4000, "at most 4000 characters"),
    ("**".join("9" * 25), 0, "too large for a float"),
    (None, 0, "is text, got NoneType"),
    (b"x", 0, "is text, got bytes"),
]


@pytest.mark.parametrize(("text", "column", "message"), REFUSED, ids=[str(text)[:20] for text, *_ in REFUSED])
def test_what_is_refused_and_where(text, column, message):
    if message is None:
        parse(text)
        return
    with pytest.raises(ExpressionError, match=message) as refused:
        parse(text)
    assert refused.value.column == column
    assert copy.copy(refused.value).column == column


def test_the_caret_stands_under_the_column():
    with pytest.raises(ExpressionError) as refused:
        parse("x +\n sigmod(y)")
    assert str(refused.value).splitlines()[1:] == ["  x +  sigmod(y)", "       ^"]
    with pytest.raises(ExpressionError) as refused:
        parse("x + " * 500 + "W.S" + " + x" * 200)
    _, excerpt, caret = str(refused.value).splitlines()
    assert len(excerpt) < 110
    assert excerpt[caret.index("^") :].startswith("W.S")


FAILING = [
    ("x + y", {"x": 1}, 4, "name y has no value; given are: x"),
    ("2 * alpha", {"alpah": 1}, 4, "did you mean alpah"),
    ("1 + sigmoid", {}, 4, r"write sigmoid\(…\)"),
    ("1 + z[5]", {"z": [1, 2]}, 4, "out of bounds"),
    ("z[k]", {"z": [1, 2], "k": 0.5}, 2, "whole number, got 0.5"),
    ("z[k]", {"z": [1, 2], "k": Value(1.0)}, 2, "whole number, got Value"),
    ("x + z", {"x": [1, 2, 3], "z": [1, 2]}, 4, "broadcast"),
    ("x[0]", {"x": 3.0}, 0, "no entries"),
    ("x @ 2", {"x": [1, 2]}, 4, r"written \*"),
    ("eye(2000)", {}, 0, "from 1 to 1000"),
    ("2 + outer(eye(1000), eye(1000))", {}, 4, "too large for a formula"),
    ("outer(eye(1000), [1]) + transpose(outer(eye(1000), [1]))", {}, 24, "too large for a formula"),
    ("[eye(1000)] * 2 + [" + "eye(1000), " * 11 + "]", {}, 18, "too large for a formula"),
    ("diag(outer(eye(1000), [1])[:, 0])", {}, 0, "too large for a formula"),
    ("eye(1000) * x", {"x": Value(1.0)}, 12, "too large for a formula"),
    ("(eye(100) * x) @ eye(100)", {"x": Value(1.0)}, 17, "too large for a formula"),
    ("mean(z[1:1])", {"z": [1, 2]}, 0, "empty array has no mean"),
    ("[1, [2, 3]]", {}, 0, None),
    ("max(x, y, axis=0)", {"x": 1, "y": 2}, 0, "one argument"),
    ("cross_entropy(z, 0)", {"z": [-1, 2]}, 0, "must hold probabilities"),
    ("x + 1", {"x": "text"}, 0, "expected numbers"),
    ("x + 1", {"x": 1j}, 0, "expected numbers"),
    ("x + 1", {"x": [[1], [2, 3]]}, 0, None),
]


@pytest.mark.parametrize(
    ("text", "names", "column", "message"), FAILING, ids=[f"{text[:20]}" for text, *_ in FAILING]
)
def test_what_fails_when_evaluated_points_at_its_place(text, names, column, message):
    formula = parse(text)
    with pytest.raises(ExpressionError, match=message) as failed:
        formula.evaluate(names)
    assert failed.value.column == column


EYE, ONES = "eye(1000)", np.ones(3000)
BOMBS = [
    (f"[{', '.join([EYE] * 300)}]", {}, "shape .300, 1000, 1000. is too large", 30),
    (f"[[[{', '.join([EYE] * 100)}], x], x]", {"x": 1}, "shape .100, 1000, 1000. is too large", 30),
    (" @ ".join([EYE] * 30), {}, "at most 50,000,000 entries in all", 100),
    (" + ".join([EYE] * 300), {}, "entries in all", 100),
    (f"max({', '.join([EYE] * 300)})", {}, "entries in all", 500),
    ("(" * 39 + EYE + "".join(f" * {EYE})" for _ in range(39)), {}, "entries in all", 100),
    ("softmax(" * 10 + EYE + "[0]" + ")" * 10 + " + sum(outer(W, W))" * 20, {"W": ONES}, "in all", 300),
    ("+".join(["W @ W"] * 500), {"W": np.ones((700, 700))}, "entries in all", 100),
    ("+".join(["tanh(z)"] * 300), {"z": np.zeros(2 * 10**5)}, "entries in all", 100),
    ("diag(z)" + "*diag(z)" * 100, {"z": ONES}, "entries in all", 400),
    ("cross_entropy(z, 0)", {"z": np.full(10**5, 1e-5)}, "shape .100000, 100000. is too large", 30),
    ("cross_entropy_from_logits(z, 0)", {"z": np.zeros(10**4)}, "is too large", 30),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "names", "message", "mebibytes"), BOMBS, ids=[f"{text[:20]}" for text, *_ in BOMBS]
)
def test_what_would_grow_is_refused_before_it_is_made(text, names, message, mebibytes):
    formula = parse(text)
    tracemalloc.start()
    try:
        with pytest.raises(ExpressionError, match=message):
            formula.evaluate(names)
        assert tracemalloc.get_traced_memory()[1] < mebibytes << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "text", ["+".join(["exp(z)"] * 30), "+".join(["softmax(z)"] * 3), "mean(z)" + "-mean(z)" * 30]
)
def test_operations_on_values_count_more(text, monkeypatch):
    monkeypatch.setattr(vocabulary, "WORK", 10**5)
    formula = parse(text)
    formula(np.zeros(100))
    formula(values(np.zeros(10)))
    with pytest.raises(
        ExpressionError, match="at most 100,000 entries in all, of which an operation on a Value"
    ):
        formula(values(np.zeros(100)))


def test_the_bound_is_that_of_one_evaluation():
    formula = parse("+".join(["sum(outer(z, z))"] * 4))
    z = np.ones(2000)
    for _ in range(5):
        assert formula(z) == 4 * 2000**2
    table = parse("sum(outer(z, z)) * i")
    assert table.tabulate({"z": z}, (3,)).tolist() == [0.0, 2000.0**2, 2 * 2000.0**2]
    with pytest.raises(ExpressionError, match="entries in all"):
        table.tabulate({"z": z}, (30,))


def test_leaving_the_domain_of_a_row_is_the_rows_own_error():
    for text, kind in [
        ("1/x", DivisionByZeroError),
        ("exp(x + 1000)", RangeError),
        ("log(x - 1)", DomainError),
    ]:
        with pytest.raises(kind):
            parse(text)(0.0)
    assert parse("1/x")(np.zeros(1))[0] == np.inf
    assert parse("cross_entropy(S, [0, 1])")(values([0.5, 0.5])).data == cross_entropy([0.5, 0.5], 1)


@pytest.mark.parametrize("count", [1_000, pytest.param(4_000, marks=pytest.mark.slow)])
def test_random_and_mutated_texts_raise_nothing_else_and_execute_nothing(count):
    path = Path(__file__).parents[1] / "benchmarks" / "fuzz.py"
    spec = importlib.util.spec_from_file_location("fuzz", path)
    fuzz = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fuzz)
    outcomes, _ = fuzz.run(count)
    assert min(outcomes.values()) > count / 10
    assert sum(outcomes.values()) == count
