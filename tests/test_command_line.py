"""The command line: what is printed, the exit status, and one sentence for every misuse."""

import json
import os
import subprocess
import sys
import webbrowser

import numpy as np
import pytest

from autograd_mini import derivative_table, softmax
from autograd_mini.command_line import main


@pytest.fixture
def run(capsys):
    """Runs a command; gives its exit status, what it printed, and what it said on stderr."""

    def run(*arguments):
        try:
            status = main(arguments)
        except SystemExit as ended:
            status = ended.code
        return status, *capsys.readouterr()

    return run


# --- grad ---

LOSS = "log(1 + exp(-y*(w*x + b)))"


def test_grad_prints_value_and_partials_in_the_order_given(run):
    status, out, err = run("grad", LOSS, "w=0.5", "x=2", "b=0.1", "y=1")
    assert (status, err) == (0, "")
    p = -1 / (1 + np.exp(1.1))
    names, numbers = zip(*(line.split() for line in out.splitlines()), strict=True)
    assert names == ("f", "∂f/∂w", "∂f/∂x", "∂f/∂b", "∂f/∂y")
    wanted = [np.log1p(np.exp(-1.1)), 2 * p, 0.5 * p, p, 1.1 * p]
    np.testing.assert_allclose([float(number) for number in numbers], wanted, rtol=1e-9)
    assert (
        len({line.index(" ") if "-" not in line else line.index("-") - 1 for line in out.splitlines()[1:]})
        == 1
    )


def test_grad_takes_e_for_what_is_given(run):
    assert json.loads(run("grad", "e*x", "e=2", "x=3", "--json")[1])["gradient"] == {"e": 3, "x": 2}
    assert run("grad", "x", "e=2", "x=3")[2].startswith("autograd-mini: e does not occur")


def test_grad_as_json_with_vectors_matrices_and_second_derivatives(run):
    _, out, _ = run("grad", "--json", "sum(W @ x)**2", "W=1,2;3,4", "--hessian", "x=-1,pi/2", "--wrt=x")
    result = json.loads(out)
    W, x = np.array([[1, 2], [3, 4]]), np.array([-1, np.pi / 2])
    columns = W.sum(axis=0)
    assert result["value"] == pytest.approx((columns @ x) ** 2)
    np.testing.assert_allclose(result["gradient"]["x"], 2 * (columns @ x) * columns)
    np.testing.assert_allclose(result["hessian"]["x"]["x"], 2 * np.outer(columns, columns))
    _, out, _ = run("grad", "softmax(z)", "z=1,2", "--json")
    S = softmax([1, 2])
    np.testing.assert_allclose(json.loads(out)["gradient"]["z"], np.diag(S) - np.outer(S, S))
    assert json.loads(run("grad", "sqrt(x)", "x=0", "--json")[1])["gradient"]["x"] is None


def test_grad_prints_each_second_derivative_once(run):
    _, out, _ = run("grad", "x**2 * z[0] * z[1]", "x=3", "z=2,5", "--hessian")
    found = dict(line.split() for line in out.splitlines() if line.startswith("∂²"))
    assert {name: float(number) for name, number in found.items()} == {
        "∂²f/∂x∂x": 20, "∂²f/∂x∂z[0]": 30, "∂²f/∂x∂z[1]": 12,
        "∂²f/∂z[0]∂z[0]": 0, "∂²f/∂z[0]∂z[1]": 9, "∂²f/∂z[1]∂z[1]": 0,
    }  # fmt: skip


@pytest.mark.parametrize("arguments", [["--source", "x**2 * y"], ["x**2 * y", "--source", "python"]])
def test_grad_prints_source_that_runs(run, arguments):
    _, out, _ = run("grad", *arguments, "x=3", "y=5")
    names = {}
    exec(out, names)
    assert names["f"](2.0, 7.0) == (28.0, (28.0, 4.0))
    assert "function f(x, y)" in run("grad", "--source=javascript", "x*y", "x=3", "y=5")[1]


def test_a_minus_is_no_option(run):
    assert json.loads(run("grad", "-x**2", "x=-3", "--json")[1]) == {"value": -9, "gradient": {"x": 6}}
    assert run("check", "-x", "-1", "x=-0.5")[0] == 0


# --- check ---


@pytest.mark.parametrize(
    ("arguments", "status", "verdict"),
    [
        (["sigmoid(x)", "--wrt", "x", "sigmoid(x) * (1 - sigmoid(x))"], 0, "agrees"),
        (["sigmoid(x)", "--wrt", "x", "sigmoid(x)"], 1, "disagrees"),
        (["abs(x)", "1", "x=0", "--points", "0"], 3, "inconclusive"),
        (["softmax(z)", "diag(S) - outer(S, S)", "--let", "S=softmax(z)", "z=1,2,3"], 0, "agrees"),
        (["softmax(z)", "diag(S)", "--let", "S=softmax(z)", "z=1,2,3"], 1, "disagrees"),
        (["softmax(z)", "S[i]*((i==j)-S[j])", "--let", "S=softmax(z)", "z=1,2,3"], 0, "agrees"),
        (["sum(z**2)", "2*z[i]", "z=1,2,3"], 0, "agrees"),
        (["sum(z**2)", "z[i]", "z=1,2,3"], 1, "disagrees"),
        (["h**2", "--let", "h=w*x", "--let", "k=2*h", "k*x", "--wrt", "w", "w=1", "x=3"], 0, "agrees"),
        (["log(x)*y", "y/x", "--wrt", "x", "--domain", "x=positive"], 0, "agrees"),
        (["e**x", "e**x"], 0, "agrees"),
        (["e**2*x", "2*e*x", "--wrt", "e", "x=2"], 0, "agrees"),
        (["e**2*x", "e**2", "--wrt", "x", "e=3"], 0, "agrees"),
        (["2*e*x", "2*e", "--let", "e=x**2"], 1, "disagrees"),
        (["2*e*x", "6*x**2", "--let", "e=x**2"], 0, "agrees"),
        (["asin(x)", "(1 - x**2)**-0.5", "--domain", "x=-0.9,0.9", "--points=9", "--seed=3"], 0, "agrees"),
    ],
)
def test_check_reports_and_exits_by_the_verdict(run, arguments, status, verdict):
    done, out, err = run("check", *arguments)
    assert (done, err) == (status, "")
    assert f": {verdict}" in out.splitlines()[0]


def test_check_says_what_was_drawn(run):
    _, out, _ = run("check", "x*y", "y", "--wrt", "x", "y=2")
    assert out.splitlines()[-1].startswith("not given, and drawn at random: x=")
    _, out, _ = run("check", "x*y", "y", "--wrt", "x", "y=2", "--json")
    report = json.loads(out)
    assert (report["verdict"], report["drawn"], report["at"]["y"]) == ("agrees", ["x"], 2)


def test_check_proves(run):
    status, out, _ = run("check", "x**3 / 3", "x**2", "--symbolic")
    assert status == 0
    assert "proved" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["h**2", "2*h*x*(1-h)", "--let", "h=tanh(w*x)", "--wrt", "w", "w=1", "x=3"], "1 − h for ∂h/"),
        (["a*sigmoid(a)", "x*sigmoid(a)", "--let", "a=w*x", "--wrt", "w", "w=1", "x=3"], "sigmoid(a)"),
        (["sum(-t*log(S))", "S+t", "--let", "S=softmax(z)", "--wrt", "z", "z=1,2,3", "t=0,1,0"], "into S1 "),
    ],
)
def test_the_diagnosis_speaks_of_the_names_that_were_given_to_formulas(run, arguments, said):
    status, out, _ = run("check", *arguments)
    assert status == 1
    assert said in out


def test_check_names_the_slip_in_a_formula(run):
    status, out, _ = run("check", "softmax(z)", "diag(S) + outer(S, S)", "--let", "S=softmax(z)", "z=1,2,3")
    assert status == 1
    assert "yours is right with diag(S) - outer(S, S) in place of diag(S) + outer(S, S)" in out


# --- draw, view, rules ---


def test_draw_writes_the_file(run, tmp_path):
    path = tmp_path / "graph.dot"
    assert run("draw", "softmax(z)[0]", "z=1,2,3", "-o", str(path)) == (0, f"{path}\n", "")
    assert all(f"<B>z{i}</B>" in path.read_text("utf-8") for i in range(3))


def test_view_writes_a_page_and_opens_it_only_if_asked(run, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    path = tmp_path / "graph.html"
    assert run("view", "softmax(z)[0]", "z=1,2,3", "-o", str(path))[0] == 0
    assert "<html" in path.read_text("utf-8")
    assert not opened
    path = tmp_path / "GRAPH.HTML"
    run("view", "x*x", "x=1", "-o", str(path), "--open")
    assert opened == [path.as_uri()]


def test_rules_prints_the_table(run):
    assert run("rules") == (0, derivative_table() + "\n", "")


# --- bad use ---

BAD = [
    ([], "COMMAND"),
    (["draws"], "invalid choice"),
    (["grad"], "required: FORMULA"),
    (["grad", "x"], "name x has no value"),
    (["grad", "1"], "give the names their numbers"),
    (["grad", "lgg(x)", "x=1"], "did you mean lg"),
    (["grad", "log(x)", "x=-1"], "needs x > 0, got x = -1"),
    (["grad", "x", "x=a"], "expected finite numbers"),
    (["grad", "x", "x=inf"], "expected finite numbers"),
    (["grad", "x", "x=1,,2"], "expected finite numbers"),
    (["grad", "x", "x=1,2;3"], "rows of x must have one length"),
    (["grad", "x", "x"], "expected a name with its numbers"),
    (["grad", "x", "if=3"], "expected a name with its numbers"),
    (["grad", "x", "x=1", "x=2"], "x is given twice"),
    (["grad", "x", "x=1", "y=2"], "y does not occur"),
    (["grad", "x", "x=1", "--wrt=y"], "y is not given"),
    (["grad", "x", "x=1,2", "--hessian"], "are for one number"),
    (["grad", "x", "x=1", "--source=cobol"], "invalid choice"),
    (["grad", "x", "x=1", "--source", "--hessian"], "leave out --hessian and --json"),
    (["grad", "x", "x=1", "--source", "--json"], "leave out --hessian and --json"),
    (["grad", "x", "x=1", "--what"], "unrecognized arguments: --what"),
    (["grad", "9**9**9"], "too large"),
    (["check", "x"], "DERIVATIVE is required"),
    (["check", "x*y", "y"], "--wrt is missing"),
    (["check", "x", "1", "--wrt", "y"], "y does not occur"),
    (["check", "x", "1", "--let", "S"], "expected a name with its formula"),
    (["check", "S", "1", "--let", "S=T", "--let", "T=S"], "is defined by itself"),
    (["check", "x", "1", "--domain", "x=2,1"], "an interval is written x=low,high"),
    (["check", "p", "1", "--domain", "p=simplex"], "give the numbers"),
    (["check", "log(x)", "1", "x=-1"], "needs x > 0"),
    (["check", "log(-x**2)", "1"], "no value at 100 random points"),
    (["check", "x", "1", "--points=a"], "--points: expected a whole number from 0 on, got a"),
    (["check", "x", "1", "--points", "-1"], "--points: expected a whole number from 0 on, got -1"),
    (["check", "x", "1", "--seed=-1"], "--seed: expected a whole number from 0 on, got -1"),
    (["check", "x*y", "q*y", "--wrt=x"], "the derivative: the name q has no value; given are: x, y"),
    (["check", "3", "0"], "a formula without names has no derivative"),
    (["check", "x", "1", "--let=x=2*y", "x=1"], "x is given twice, as a formula by --let and as numbers"),
    (["check", "x", "1", "--domain", "x=foo"], "expected low,high or one of real, positive, simplex"),
    (["grad", "W @ x", "W=1,2;3,4", "x=1,2,3"], "shapes (2, 2) and (3,) do not fit for a matrix product"),
    (["grad", "x", "x=" + "1," * 1001], "more than 1000000 derivatives"),
    (["grad", "sum(x)", "x=" + "1," * 1001, "--hessian"], "more than 1000000 derivatives"),
    (["draw", "x", "x=1", "y=2"], "y does not occur"),
    (["draw", "x", "x=1", "-o", "graph.unheard"], "suffix must name a format"),
    (["draw", "x", "x=1", "-o", "/no/such/folder/graph.dot"], "No such file"),
    (["view", "x", "x=1", "-o", "graph.svg"], "ends in .html"),
    (["grade", "nothing.py", "nothing.py"], "failed to run: FileNotFoundError"),
    (["grade", "a.py", "b.py", "--timeout=0"], "must be positive"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), BAD, ids=[" ".join(arguments)[:40] for arguments, _ in BAD]
)
def test_bad_use_is_one_sentence(run, arguments, message):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("autograd-mini")
    assert message in err
    assert "Traceback" not in err


# --- the process ---


def process(*arguments, **options):
    command = [sys.executable, "-m", "autograd_mini", *arguments]
    return subprocess.run(command, capture_output=True, timeout=60, **options)


def test_help_has_examples_and_warns():
    for command in ("grad", "check", "draw", "view", "grade"):
        text = process(command, "--help", env={**os.environ, "PYTHONIOENCODING": "utf-8"}).stdout.decode()
        assert f"autograd-mini {command} " in text.partition("example")[2]
    assert "THE HAND-INS ARE EXECUTED" in text


def test_a_console_of_few_characters_gets_a_table_all_the_same():
    done = process("grad", "x*x", "x=3", env={**os.environ, "PYTHONIOENCODING": "cp1252"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"6" in done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a shell's pipe")
@pytest.mark.parametrize("arguments", [["rules"], ["check", "x", "2"]])
def test_a_reader_that_stops_is_no_error_and_no_agreement(arguments):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "autograd_mini", *arguments],
            stdout=closed,
            stderr=subprocess.PIPE,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (141, b"")  # as shells have it
