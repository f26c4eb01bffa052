"""Derivations: the textbooks' last lines, every line read again, premises, kinks, and how they are shown."""

from __future__ import annotations

import re

import numpy as np
import pytest
from derivation_losses import LOSSES, named_layers, wrong_lines

from autograd_mini import (
    check_gradient,
    check_steps,
    cross_entropy,
    derivation,
    erf,
    grad,
    log_softmax,
    logsumexp,
    named,
    sigmoid,
    softmax,
)
from autograd_mini.command_line import main
from autograd_mini.deriving import Derivation

LAYER = {"W": np.array([[0.5, -1.0, 2.0], [1.5, 0.3, -0.7]]), "x": np.array([1.0, 2.0, -0.5])}
AT = {"z": [1.5, -0.5, 0.75], "t": [0.0, 0.0, 1.0]}


def of_softmax(z, t):
    return cross_entropy(softmax(z), t)


def of_logarithm(z, t):
    return -np.sum(t * np.log(softmax(z)))


@pytest.mark.parametrize("name", LOSSES)
def test_last_lines_are_those_of_textbooks(name: str) -> None:
    f, at, book = LOSSES[name]
    found = derivation(f, at, [*book])
    for x, line in book.items():
        if line:
            assert found.results[x] == line
    assert not list(wrong_lines(found, f, at))
    assert all(step.lines for step in found.steps)
    assert max(map(len, str(found).splitlines())) <= 80


def test_text_follows_the_reverse_sweep() -> None:
    text = str(derivation(of_softmax, AT))
    order = [
        "S_i = exp(z_i)/Σ_k exp(z_k)",
        "∂L/∂S_i = −t_i/S_i",
        "∂L/∂z_i = Σ_j ∂L/∂S_j · ∂S_j/∂z_i",
        "∂S_j/∂z_i = S_i (δ_ij − S_j)",
        "= S_i − t_i",
        "(0.622, 0.0842, −0.706)",
        "∂L/∂z = S − t",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_premises_are_told_from_identities() -> None:
    text = str(derivation(of_softmax, AT))
    assert "Σ_k S_k = 1 (identity)" in text
    assert "Σ_k t_k = 1 (premise)" in text
    assert "premise" not in str(
        derivation(lambda z, t: -np.sum(t * np.log(softmax(z))), {**AT, "t": [1.0, 2.0, 3.0]})
    )


def test_what_is_differentiated_is_under_no_premise() -> None:
    assert derivation("exp(sum(x))", [0.25, 0.25, 0.5]).results == {"x": "L"}
    mean = derivation("sum(x*y)/sum(y)", {"x": [1.0, 2.0], "y": [0.25, 0.75]}, ["x", "y"])
    assert mean.results == {"x": "y_i/Σ_k y_k", "y": "(x_i − L)/Σ_k y_k"}


def test_rules_are_those_of_the_table() -> None:
    text = str(derivation("sum(tanh(x) * log(y))", {"x": [0.1, 0.2], "y": [1.0, 2.0]}, ["x", "y"]))
    assert "(tanh(x))′ = 1 − tanh(x)²" in text
    assert "(ln x)′ = 1/x" in text


@pytest.mark.parametrize(
    ("formula", "at", "rules"),
    [
        ("mean((z - mean(z))**2)", {"z": [1.0, 2.0, 4.0]}, ["power"]),
        ("sum(z**2*y)/7", {"z": [1.0, 2.0], "y": [3.0, 4.0]}, ["power"]),
        ("mean(z)", {"z": [1.0, 2.0]}, []),
        ("x/(1 + x)", {"x": 2.0}, ["quotient"]),
        ("y**x", {"x": 2.0, "y": 3.0}, ["exponential"]),
        ("x*y", {"x": 2.0, "y": 3.0}, []),
        ("x*x", {"x": 2.0}, ["product"]),
        ("x**3/(1 + x)", {"x": 2.0}, []),
    ],
)
def test_a_rule_of_arithmetic_is_named_where_it_is_certain(formula: str, at, rules: list[str]) -> None:
    assert re.findall(r"(\w+) rule", str(derivation(formula, at, next(iter(at))))) == rules


def test_arrays_from_outside_are_names() -> None:
    X, y = np.arange(12.0).reshape(4, 3) / 7, np.ones(4)
    assert derivation(lambda w: np.mean((X @ w - y) ** 2), [1.0, 2.0, 3.0]).results == {
        "w": "2/n Xᵀ (X w − y)"
    }


def test_stops_at_the_names_that_are_given() -> None:
    at = {"W": [[0.1, 0.2], [0.3, -0.4]], "x": [1.0, 2.0], "t": [0.0, 1.0]}
    steps = [step.array.name for step in derivation(named_layers, at).steps]
    assert [name for name in steps if name in ("y", "q", "W")] == ["y", "q", "W"]


JACOBIANS = [
    (softmax, {"z": np.array([0.5, -1.0, 2.0])}, {"z": "S_i (δ_ij − S_j)"}),
    (log_softmax, {"z": np.array([0.5, -1.0, 2.0])}, {"z": "δ_ij − S_j"}),
    (
        lambda Z: softmax(Z),
        {"Z": np.array([[0.5, -1.0], [0.2, 0.3], [1, 2]])},
        {"Z": "S_ij (δ_jl − S_il) δ_ik"},
    ),
    (lambda x: sigmoid(x), {"x": np.array([0.5, -1.0])}, {"x": "y_i (1 − y_i) δ_ij"}),
    (lambda W, x: W @ x, LAYER, {"x": "W", "W": "x_k δ_ij"}),
    (lambda W, x: np.tanh(W @ x), LAYER, {"x": "W_ij (1 − y_i²)", "W": "x_k (1 − y_i²) δ_ij"}),
    (lambda A, B: A @ B, {"A": LAYER["W"], "B": LAYER["W"].T}, {"A": "B_lj δ_ik", "B": "A_ik δ_jl"}),
    (lambda x: x / np.sqrt(x @ x), {"x": np.array([1.0, 2.0])}, {"x": "(δ_ij − x_i x_j/ρ²)/ρ"}),
    (
        lambda x: (x - np.mean(x)) / np.std(x),
        {"x": np.array([1.0, 2.0, 4.0])},
        {"x": "(δ_ij − (1 + y_i y_j)/n)/ρ"},
    ),
    (lambda x: x**2 @ x * x, {"x": np.array([1.0, 2.0, 4.0])}, {"x": "δ_ij Σ_k x_k³ + 3 x_i x_j²"}),
    (grad(logsumexp), {"z": np.array([1.0, 2.0, 4.0])}, {"z": "S_i (δ_ij − S_j)"}),
    (lambda x, y: x**2 * y, {"x": np.array([1.0, -2.0]), "y": 3.0}, {"x": "2 y x_i δ_ij", "y": "x²"}),
]


@pytest.mark.parametrize(("f", "at", "results"), JACOBIANS)
def test_the_derivative_of_an_array_has_its_indices_first(f, at, results) -> None:
    found = derivation(f, at, [*results])
    assert found.results == results
    assert not list(wrong_lines(found, f, at))
    assert all("∂" not in line for line in found.results.values())


def test_an_array_has_the_name_that_is_wanted() -> None:
    f, at = (lambda z: 2 * softmax(z)), {"z": [0.5, -1.0, 2.0]}
    assert "∂y_i/∂z_j = Σ_k ∂y_i/∂S_k · ∂S_k/∂z_j" in str(derivation(f, at))
    assert "∂h_i/∂z_j" in str(derivation(f, at, out="h"))


def test_elements_that_differ_are_derived_one_by_one() -> None:
    found = derivation(lambda x: x[0] * x[1] + np.sin(x[2]) ** 2, [1.0, 2.0, 3.0])
    assert found.results == {"x_0": "x_1", "x_1": "x_0", "x_2": "2 cos(x_2) sin(x_2)"}


@pytest.mark.parametrize(
    ("formula", "line"),
    [
        ("x**2*x**3", "5 x⁴"),
        ("exp(2*x) + exp(3*x)", "2 ε + 3 η"),
        ("log(1 + x)*log(2 + x)", "ln(1 + x)/(2 + x) + ln(2 + x)/(1 + x)"),
    ],
)
def test_like_operations_with_other_constants_are_apart(formula: str, line: str) -> None:
    assert derivation(formula, {"x": 2.0}).results == {"x": line}


@pytest.mark.parametrize(
    ("f", "line"),
    [
        (lambda x: np.sum(x**2) + np.sum(x**3), "x ⊙ (2 + 3 x)"),
        (lambda x: np.sum(np.exp(x / 2) + np.exp(x / 3)), "exp(x/2)/2 + exp(x/3)/3"),
        (lambda x: np.sum((x - 1) ** 2 * (x - 2) ** 2), "2 x ⊙ (13 + x ⊙ (2 x − 9)) − 12"),
    ],
)
def test_like_operations_on_an_array_keep_their_indices(f, line: str) -> None:
    assert derivation(f, {"x": [0.3, 0.5, 0.2]}).results == {"x": line}


@pytest.mark.parametrize(
    ("f", "line"),
    [
        (np.max, "[x_i = L]"),
        (lambda x: np.max(x) - np.min(x), "[x_i = max_k x_k] − [x_i = min_k x_k]"),
        (lambda x: np.log(np.sum(np.exp(x - np.max(x)))) + np.max(x), "S"),
    ],
)
def test_an_extremum_is_one(f, line: str) -> None:
    assert derivation(lambda x: f(x), {"x": [0.3, 0.5, 0.2]}).results == {"x": line}


def test_elements_have_names_of_their_own() -> None:
    def f(my_x, my):
        return my_x[0] * my_x[1] + my_x[2] ** 2 * my[0] * my[1] ** 3

    at = {"my_x": np.array([1.0, 2.0, 3.0]), "my": np.array([4.0, 5.0])}
    assert derivation(f, at, "my_x").results == {
        "my_x_0": "my_x_1",
        "my_x_1": "my_x_0",
        "my_x_2": "2 my_x_2 my_0 my_1³",
    }
    assert [*derivation(f, at, "my").results] == ["my_0", "my_1"]
    clash = derivation(lambda x, x_0: x[0] * x_0 + x[1] ** 2, {"x": [1.0, 2.0], "x_0": 3.0}, ["x", "x_0"])
    assert clash.results == {"x_0′": "x_0", "x_1": "2 x_1", "x_0": "x_0′"}


def test_the_output_has_a_name_of_its_own() -> None:
    found = derivation("L*x**2", {"L": 2.0, "x": 3.0}, ["x", "L"])
    assert found.out == "f"
    assert found.results == {"x": "2 L x", "L": "x²"}
    inside = derivation(lambda x, f: named(x * x, "L") ** 3 * f, {"x": 2.0, "f": 3.0})
    assert "J = f L³" in str(inside)
    assert derivation(lambda x: named(x * x, "L"), 2.0).out == "L"


def test_at_zero_there_is_a_form_without_a_quotient() -> None:
    at = {"x": [0.0, 0.0], "y": [3.0, 2.0]}
    found = derivation(lambda x, y: named(np.sum(x * y), "u") ** 3 * np.sum(y), at)
    assert found.results == {"x": "3 u² y_i Σ_k y_k"}
    cube = derivation(lambda x, f: named(x * x, "L") ** 3 * f, {"x": 0.0, "f": 3.0})
    assert cube.results == {"x": "6 x f L²"}


def test_on_a_kink_the_rule_of_the_engine_holds_or_nothing_is_claimed() -> None:
    assert derivation(lambda x: np.abs(x), 0.0).results == {"x": "sign(x)"}
    tied = derivation(lambda x, y: np.maximum(x, y), {"x": 1.0, "y": 1.0})
    assert tied.results == {"x": "0.5"}
    assert "no such line" in str(tied)
    assert derivation(lambda x: np.max(x), [1.0, 2.0]).results == {"x": "[x_i = L]"}


def test_latex_and_html_are_balanced() -> None:
    found = derivation(of_softmax, AT)
    latex = found.latex()
    assert latex.count("{") == latex.count("}")
    assert r"\frac{\partial L}{\partial z} &= S - t" in latex
    pytest.importorskip("latex2mathml")
    html = found._repr_html_()
    assert html == found.html()
    assert "<script" not in html
    assert html.count("<math") == html.count("</math>") > 10
    assert not re.search(r"\\[a-z]+", re.sub(r"<annotation.*?</annotation>", "", html))


def test_a_power_of_a_power_is_one_power_or_in_parentheses() -> None:
    vector = {"a": [1.0, 2.0]}
    assert derivation("1/(a@a)", vector).results == {"a": "−2 a/‖a‖⁴"}
    assert r"\right\|^{4}" in derivation("1/(a@a)", vector).latex()
    at = {"A": [[1.0, 2.0], [3.0, 4.0]], "x": [1.0, 2.0]}
    cubes = derivation(lambda A, x: np.sum((A.T @ x) ** 4), at)
    assert cubes.results == {"A": "4 x ((Aᵀ x)³)ᵀ"}
    assert derivation(lambda A: np.sum(A.T**3 * A), at["A"]).results == {"A": "Aᵀ ⊙ ((Aᵀ)² + 3 A²)"}
    assert not re.search(r"\^(\\top|\d|\{\w+\})\^", cubes.latex())


def test_the_largest_is_in_parentheses_where_something_follows() -> None:
    at = {"a": [1.0, 2.0], "b": [1.0, 3.0, 2.0], "c": [2.0, 5.0, 1.0, 1.0]}
    found = derivation(lambda a, b, c: np.sum(a**2) * c.max() / b.max(), at)
    assert found.results == {"a": "2 (max_k c_k) a/(max_k b_k)"}
    assert "L = (max_k c_k)/(max_k b_k) Σ_k a_k²" in str(found)


@pytest.mark.parametrize(
    ("formula", "line"),
    [
        ("x*0.123456789012", "0.123456789012"),
        ("x*(1/3)", "1/3"),
        ("x*(2/3)*y", "2 y/3"),
        ("x*0.1", "0.1"),
        ("1e-9*x + 1.5e20*x**2", "10⁻⁹ + 3 · 10²⁰ x"),
    ],
)
def test_constants_are_written_whole(formula: str, line: str) -> None:
    assert derivation(formula, {"x": 1.0, "y": 2.0} if "y" in formula else {"x": 1.0}).results == {"x": line}


@pytest.mark.parametrize(
    ("f", "line"),
    [
        (lambda x: np.sum(np.sin(np.pi * x)), "π cos(π x)"),
        (lambda x: np.sum(np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)), "−1/√(2 π) x ⊙ exp(−x²/2)"),
        (lambda x: np.sum(np.sin(x * np.sqrt(2 / np.pi))), "√(2/π) cos(√(2/π) x)"),
        (lambda x: np.sum(x * (2 * np.pi / 3) - x * np.log(2)), "2 π/3 − ln(2)"),
        (lambda x: np.sum(2.0**x) ** 2 / 3, "2 r ln(2) 2^x_i/3"),
        (lambda x: np.sum(erf(x / np.sqrt(2))), "2 exp(−x²/2)/(√(π) √2)"),
        (lambda x: np.sum(x) * -3.14159, "−3.14159"),
    ],
)
def test_constants_are_what_they_round(f, line: str) -> None:
    assert derivation(f, {"x": [0.3, 0.5, 0.2]}).results == {"x": line}


def test_a_number_beside_1_is_not_1() -> None:
    assert "L = exp(1.00000001 a)" in str(derivation("exp(1.00000001*a)", {"a": 1.0}))
    quadratic = derivation(lambda x: np.sum((x - 1 / 3) ** 2) / 7, [1.0, 2.0, 3.0])
    assert "L = 1/21 Σ_k x_k (3 x_k − 2) + n/63" in str(quadratic)


@pytest.mark.parametrize(
    ("formula", "at", "results"),
    [
        ("2**x*y", {"y": 3.0, "x": 2.0}, {"y": "2^x", "x": "y 2^x ln 2"}),
        ("log(a)/b", {"a": 2.0, "b": 3.0}, {"a": "1/(a b)", "b": "−L/b"}),
        ("exp(a)*log(a)*sin(b)", {"a": 2.0, "b": 3.0}, {"a": "ε sin(b) (1/a + ln a)", "b": "ε cos(b) ln a"}),
        ("sum(a**b)", {"a": [1.0, 2.0], "b": [2.0, 3.0]},
         {"a": "b_i a_i^(b_i − 1)", "b": "ln(a_i) a_i^b_i"}),
        ("sum(log(exp(a))*b)", {"b": [2.0, 3.0], "a": [1.0, 2.0]}, {"b": "ln ε"}),
    ],
)  # fmt: skip
def test_a_function_without_parentheses_ends_its_product(formula: str, at, results) -> None:
    assert derivation(formula, at, [*results]).results == results


def test_lengths_have_names_in_definitions_that_are_put_in() -> None:
    at = {"x": np.array([0.5, -1.0, 2.0]), "b": np.array([1.0, 0.3, 0.2])}
    for f in (
        lambda x, b: np.sum((len(x) * x - b) ** 2),
        lambda x, b: np.sum((x.sum() - b) ** 2),
        lambda x, b: np.sum((x * np.sum(sigmoid(b - b)) - b) ** 2),
    ):
        found = derivation(f, at)
        assert not list(wrong_lines(found, f, at))
        assert not re.search("[56]", found.results["x"])


@pytest.mark.parametrize("name", ["σ", "sigma"])
def test_functions_have_other_words_than_arguments(name: str) -> None:
    found = derivation(f"1/(1 + exp(-{name}*x))", {name: 2.0, "x": 3.0})
    assert r"\operatorname{sigmoid}" in found.latex()
    assert ("sigmoid(σ x)" if name == "σ" else "σ(sigma x)") in str(found)


def test_html_without_its_library_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "latex2mathml.converter", None)
    found = derivation(of_softmax, AT)
    with pytest.raises(ImportError, match=r"autograd-mini\[mathml\]"):
        found.html()
    assert found._repr_html_().startswith('<pre style="font-family: monospace">')


def test_reports_have_the_right_derivation_with_a_mark() -> None:
    report = check_gradient(of_softmax, lambda z, t: softmax(z) + t, AT)
    found = report.derivation()
    assert isinstance(found, Derivation)
    text = str(found)
    assert "✗ yours departs here: ∂f/∂z[2] = 1.294 in yours" in text
    assert "∂f/∂z = S − t" in text
    at = {"W": [[0.1, 0.2], [0.3, -0.4]], "x": [1.0, 2.0], "t": [0.0, 1.0]}
    steps = check_steps(named_layers, {"y": lambda y, t: t - y}, at)
    block = str(steps.derivation()).split("\n\n")[2]
    assert block.startswith("y_i = ")
    assert "✗ yours departs here" in block


def test_a_report_without_a_function_says_so() -> None:
    import pickle

    report = pickle.loads(pickle.dumps(check_gradient(of_softmax, lambda z, t: softmax(z) - t, AT)))
    with pytest.raises(ValueError, match="knows no function"):
        report.derivation()


def test_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["derive", "‖X w − y‖²", "w=1,2", "X=1,2;3,4;5,6", "y=1,0,1"]) == 0
    assert "∂L/∂w = 2 Xᵀ (X w − y)" in capsys.readouterr().out
    assert main(["derive", "x**2", "x=3", "--latex"]) == 0
    assert r"\frac{\partial L}{\partial x} &= 2 x" in capsys.readouterr().out
    assert main(["derive", "x*y", "x=3"]) == 2
    assert "y has no numbers; give some, as in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("f", "at", "wrt", "message"),
    [
        (lambda x: (x, x), [1.0, 2.0], None, "must return one number or array, got several; choose one"),
        (np.cumsum, [1.0, 2.0, 3.0], None, "in different ways; choose one element of its result"),
        (lambda x, y: x * y, {"x": 1.0}, None, "at= gives no y; f takes x, y"),
        (lambda x: x, {"y": 1.0}, None, "at= gives y; f takes x"),
        (lambda x: x, 1.0, [], "nothing to differentiate by"),
        (lambda x, y: y * np.sum(x), {"x": [], "y": 1.0}, "x", "nothing to differentiate by"),
        (lambda x: x, 1.0, "y", "wrt names 'y'; f's arguments are x"),
        (lambda x: 2.0, 1.0, None, "f is a constant"),
        (lambda x: np.log(x), -1.0, None, "not finite at the point"),
        (lambda x: x, "a", None, "x must be a number or an array"),
        (3.0, 1.0, None, "expected a function or a formula, got float"),
    ],
)
def test_bad_input_gets_one_sentence(f, at, wrt, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        derivation(f, at, wrt)
