"""Proofs by SymPy, and what is said where there is none."""

import sys
import time

import numpy as np
import pytest

import autograd_mini as am
from autograd_mini import check_gradient, check_jacobian, cross_entropy
from autograd_mini.check.witnesses import symbols
from autograd_mini.check.witnesses.symbols import is_zero

sympy = pytest.importorskip("sympy")
Z = [1.5, -0.5, 0.75]


def softmax(z):
    e = np.exp(z - np.max(z))
    return e / np.sum(e)


def test_the_softmax_with_its_maximum_is_proved():
    report = check_jacobian(
        softmax, lambda z, S: np.diag(S) - np.outer(S, S), at=Z[:2], out="S", symbolic=True, seconds=60
    )
    assert report.proof == "proved"
    assert "check_jacobian: agrees (proved)" in str(report)
    assert "proved with SymPy for every z" in report.remarks


def test_what_holds_on_the_simplex_only_is_proved_for_the_target_given():
    at = {"z": Z, "t": [0.0, 0.0, 1.0]}
    f = "cross_entropy(softmax(z), t)"
    report = check_gradient(
        f, "softmax(z)[i] - t[i]", at=at, domain={"t": "one-hot"}, symbolic=True, seconds=60
    )
    assert report.proof == "proved"
    assert "proved with SymPy for every z and t as given" in report.remarks


def test_other_arguments_are_symbols_as_well():
    at = {"w": 0.5, "x": 2.0}
    report = check_gradient(lambda w, x: (w * x) ** 2, "2 * w * x**2", at=at, symbolic=True)
    assert report.proof == "proved"
    assert "proved with SymPy for every w, x" in report.remarks


def test_without_a_process_to_run_sympy_in_nothing_is_proved(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    report = check_gradient(lambda x: am.sin(x) ** 2, "sin(2 * x)", at=0.7, symbolic=True)
    assert report.proof == "evidence at 50 digits"


def test_a_derivation_in_sympys_own_functions():
    def hand(x):
        return 1 / sympy.cosh(x) ** 2

    assert check_gradient(lambda x: am.tanh(x), hand, at=0.7, symbolic=True, seconds=60).proof == "proved"


@pytest.mark.parametrize(
    ("domain", "every"), [((0, 2), "x > 0"), ((0.5, 2), "x > 0"), ((-0.5, 2), "x"), ("positive", "x > 0")]
)
def test_what_is_drawn_from_above_zero_is_a_positive_symbol(domain, every):
    report = check_gradient(lambda x: x**2, "2 * x", at=0.7, domain=domain, symbolic=True, seconds=60)
    assert report.proof == "proved"
    assert f"proved with SymPy for every {every}" in report.remarks


def test_a_function_of_a_narrow_domain_is_held_against_its_derivative_near_the_given_point():
    f, hand = "sqrt(1 / 64 - (x - 7)**2)", "-(x - 7) / sqrt(1 / 64 - (x - 7)**2)"
    report = check_gradient(f, hand, at=7.02, symbolic=True, seconds=60)
    assert report.proof == "proved"


def test_a_long_program_is_not_turned_into_symbols():
    def f(x):
        return sum(x for _ in range(2001))

    report = check_gradient(f, lambda x: 2001 + 0 * x, at=0.7, symbolic=True)
    assert report.proof == ""
    assert any("instructions are too many for symbols" in remark for remark in report.remarks)


def test_undecided_is_evidence_and_not_proof():
    def f(x):
        return am.maximum(x, 2 * x) ** 2

    def hand(x):
        return 2 * am.maximum(x, 2 * x) * np.where(x > 0, 2, 1)

    start = time.perf_counter()
    report = check_gradient(f, hand, at=0.7, symbolic=True, seconds=0.01)
    assert time.perf_counter() - start < 5
    assert report.verdict == "agrees"
    assert report.proof == "evidence at 50 digits"
    assert "is evidence and not proof" in str(report)


def test_what_50_digits_refute_is_not_proved():
    report = check_gradient(lambda x: x**2, lambda x: 2 * x + 1e-12, at=0.7, symbolic=True)
    assert report.verdict == "agrees"  # on floats
    assert report.proof == ""
    assert "at 50 digits" in report.remarks[-1]
    assert check_gradient(lambda x: x**2, lambda x: 3 * x, at=0.7, symbolic=True).proof == ""


def test_numbers_prove_nothing():
    report = check_gradient(lambda x: x**2, 1.4, at=0.7, symbolic=True)
    assert report.proof == ""
    assert "no proof: numbers are compared at the given point only" in report.remarks


def test_without_sympy_one_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sympy", None)
    report = check_gradient(lambda x: x**2, lambda x: 2 * x, at=0.7, symbolic=True)
    assert report.verdict == "agrees"
    assert "no proof: SymPy is not installed; python -m pip install sympy" in report.remarks


def test_zero_is_told_from_what_is_not():
    x, y = sympy.symbols("x y", real=True)
    assert is_zero(sympy.sin(x) ** 2 + sympy.cos(x) ** 2 - 1)
    assert is_zero(sympy.exp(x - sympy.Max(x, y)) * sympy.exp(sympy.Max(x, y)) - sympy.exp(x))
    assert is_zero(sympy.Piecewise((x - x * 1, x > 0), (0, True)))
    assert not is_zero(sympy.Max(x, y) - x)
    assert not is_zero(sympy.Piecewise((1, x > 0), (0, True)))


def test_the_cross_entropy_of_the_library_runs_on_symbols_too():
    at = {"S": [0.2, 0.3, 0.5], "t": [0, 0, 1]}
    with pytest.raises(TypeError, match="the formula asks for S"):  # f's argument is called y
        check_gradient(cross_entropy, "-t[i] / S[i]", at={"y": at["S"], "t": at["t"]}, symbolic=True)
    report = check_gradient(
        cross_entropy, "-t[i] / y[i]", at={"y": at["S"], "t": at["t"]}, symbolic=True, domain="simplex"
    )
    assert report.proof == "proved", report


def test_what_holds_around_the_given_point_only_is_no_evidence_for_every_number():
    for f, hand in (
        (lambda x: am.sqrt(x * x), lambda x: 1.0),
        (lambda x: am.abs(x) ** 3, lambda x: 3 * x**2),
    ):
        report = check_gradient(f, hand, at=1.3, symbolic=True, seconds=2)
        assert report.verdict == "agrees"
        assert report.proof == ""
        assert "for every x the two differ" in report.remarks[-1]


def test_what_is_proved_for_positive_numbers_only_says_so():
    report = check_gradient(lambda x: am.abs(x), lambda x: 1.0, at=0.5, domain=(0, 1), symbolic=True)
    assert report.proof == "proved"
    assert report.remarks[-1] == "proved with SymPy for every x > 0"


def test_symbols_are_real_numbers():
    """√x² is |x| for these, and not for complex ones."""
    report = check_gradient(lambda x: am.sqrt(x * x), lambda x: x / am.abs(x), at=1.3, symbolic=True)
    assert report.proof == "proved"


def test_where_no_process_can_be_started_nothing_is_proved(monkeypatch):
    def refused(*_, **__):
        raise OSError("no more processes")

    monkeypatch.setattr(symbols, "run", refused)
    report = check_gradient(lambda x: x * x, lambda x: 3 * x - x, at=1.3, symbolic=True)
    assert report.proof == "proved"  # the engine's derivative to the letter, which takes no process
    report = check_gradient(lambda x: am.sin(2 * x), lambda x: 2 - 4 * am.sin(x) ** 2, at=1.3, symbolic=True)
    assert report.verdict == "agrees"
    assert report.proof != "proved"
