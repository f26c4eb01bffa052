"""The command line: what is printed, the exit status, and one sentence for every misuse."""

import inspect
import io
import json
import os
import shlex
import subprocess
import sys
import time
import webbrowser
import xml.etree.ElementTree

import numpy as np
import pytest

from autograd_mini import __version__, derivative_table, draw, softmax, values
from autograd_mini.command_line import main
from autograd_mini.progress import progress

pytestmark = pytest.mark.version


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
    assert json.loads(run("grad", "sqrt(x)", "x=0", "--json")[1])["gradient"]["x"] == "inf"


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


def test_grad_rounds_and_names_as_told(run):
    _, out, _ = run("grad", "x/y", "x=1", "y=3", "--precision", "3", "--name", "share")
    assert out.split() == ["share", "0.333", "∂share/∂x", "0.333", "∂share/∂y", "-0.111"]
    _, out, _ = run("grad", "x/y", "x=1", "y=3", "--source", "--name=share")
    names = {}
    exec(out, names)
    assert names["share"](1.0, 4.0) == (0.25, (0.25, -1 / 16))


@pytest.mark.parametrize("text", ["[[1,2],[3,4]]", " [[1, 2], [3, 4]]", "1,2;3,4", "[[2/2, 2], [3, 4]]"])
def test_matrices_as_python_writes_them(run, text):
    _, out, _ = run("grad", "W[0, 1] * W[1, 0]", f"W={text}", "--json")
    assert json.loads(out) == {"value": 6, "gradient": {"W": [[0, 3], [2, 0]]}}


def test_infinity_and_nan_are_the_same_in_all_json(run):
    found = json.loads(run("grad", "sqrt(x) + 0 * y", "x=0", "y=1", "--json")[1])
    assert found["gradient"] == {"x": "inf", "y": 0}
    found = json.loads(run("grad", "0 * sqrt(x)", "x=0", "--json")[1])
    assert found["gradient"] == {"x": None}
    report = json.loads(run("check", "sum(z)", "1e308 * 10 * z", "z=4,4", "--points=0", "--json")[1])
    assert (report["entries"][0]["yours"], report["entries"][0]["error"]) == ("inf", "inf")


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
    assert out.splitlines()[-1].startswith("not given, and drawn for the point called given: x=")
    _, out, _ = run("check", "x*y", "y", "--wrt", "x", "y=2", "--json")
    report = json.loads(out)
    assert (report["verdict"], report["drawn"], report["at"]["y"]) == ("agrees", ["x"], 2)


def test_check_takes_a_derivative_for_each_of_several_names(run):
    status, out, _ = run("check", "x*sin(y)", "--wrt", "x,y", "sin(y)", "x*cos(y)", "--json")
    assert (status, json.loads(out)["sections"]) == (0, {"x": "agrees", "y": "agrees"})
    status, out, _ = run("check", "x*sin(y)", "--wrt", "y, x", "sin(y)", "x*cos(y)", "x=1", "y=2", "--json")
    assert (status, json.loads(out)["sections"]) == (1, {"x": "disagrees", "y": "disagrees"})
    status, out, _ = run("check", "x*y", "x=1", "y", "y=2", "--wrt=x", "--json")
    assert (status, json.loads(out)["sections"]) == (0, {"x": "agrees"})


def test_the_formulas_value_has_a_name(run):
    assert run("check", "softmax(z)", "diag(S) - outer(S, S)", "--name", "S", "z=1,2,3")[0] == 0
    status, out, _ = run("check", "softmax(z)", "diag(S)", "--name", "S", "z=1,2,3")
    assert (status, "∂S[1]/∂z[2]" in out) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "softmax(z)", "--wrt", "z", "diag(S) - outer(S, S)", "--let", "S=softmax(z)"],
        ["check", "W @ x", "--wrt", "W", "x[k]*(i==j)"],
        ["check", "p[1] * t[0]", "--wrt", "t", "p[1] * (i == 0)"],
        ["grad", "cross_entropy(softmax(W @ x + b), t)"],
        ["grad", "x*y", "x=1", "--source"],
        ["grad", "log(x - y)", "y=0.25"],
        ["grad", "A @ B", "--json"],
    ],
    ids=" ".join,
)
def test_the_line_that_is_proposed_works(run, arguments):
    status, _, err = run(*arguments)
    assert status == 2
    assert " no numbers; give some, as in\n" in err
    _, *proposed = shlex.split(err.splitlines()[1])
    assert proposed[: len(arguments)] == arguments
    assert run(*proposed)[0] == 0


def test_check_proves(run):
    status, out, _ = run("check", "x**3 / 3", "x**2", "--symbolic")
    assert status == 0
    assert "proved" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["h**2", "2*h*x*(1-h)", "--let", "h=tanh(w*x)", "--wrt", "w", "w=1", "x=3"], "1 − h for ∂h/"),
        (["a*sigmoid(a)", "x*sigmoid(a)", "--let", "a=w*x", "--wrt", "w", "w=1", "x=3"], "sigmoid(a)"),
        (
            ["sum(-t*log(S))", "S+t", "--let", "S=softmax(z)", "--wrt", "z", "z=1,2,3", "t=0,1,0"],
            "takes S for ∂f/",
        ),
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


def test_a_picture_goes_to_the_standard_output(run):
    status, out, _ = run("draw", "x*x", "x=3", "--name", "area", "-o", "-")
    assert status == 0
    picture = xml.etree.ElementTree.fromstring(out)
    assert "area" in "".join(picture.itertext())
    _, out, _ = run("view", "x*x", "x=3", "-o", "-")
    assert out.lower().startswith("<!doctype html>")


def test_draw_takes_every_keyword_of_draw(run, tmp_path):
    path = tmp_path / "graph.dot"
    z = values([2.0, 5.0], "z")
    for flags, options in (
        ("--theme=dark --precision 2 --direction=TB", {"theme": "dark", "precision": 2, "direction": "TB"}),
        ("--no-constants --sums --gradient=z", {"constants": False, "sums": True, "gradient": z}),
        ("--collapse all --limit none", {"collapse": True, "limit": None}),
        ("--collapse z --mark z0", {"collapse": ["z"], "mark": ["z0"]}),
    ):
        told = run("draw", "z[0] * z[1] + 2", "z=2,5", "-o", str(path), *flags.split())
        assert told == (0, f"{path}\n", "")
        assert path.read_text("utf-8") == draw(z[0] * z[1] + 2, **options).source
    known = run("draw", "--help")[1]
    for name, parameter in inspect.signature(draw).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert f"--no-{name} " in known or f"--{name} " in known


def test_rules_prints_the_table(run):
    assert run("rules") == (0, derivative_table() + "\n", "")
    _, out, _ = run("rules", "sigmoid", "arctan")
    assert [line.split("`")[1] for line in out.splitlines()[2:4]] == ["sigmoid(x)", "atan(x)"]


def test_version_and_help(run):
    assert run("--version") == (0, f"autograd-mini {__version__}\n", "")
    for command in ("grad", "check", "draw", "view", "rules", "grade"):
        assert run("help", command) == run(command, "--help")
    assert "  view " in run("help")[1]


# --- bad use ---

BAD = [
    (["-q"], "COMMAND"),
    (["draws"], "there is no command draws; did you mean draw?"),
    (["grad"], "required: FORMULA"),
    (["grad", "x"], "x has no numbers; give some, as in\n  autograd-mini grad x x=0.5"),
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
    (["check", "x*y", "y"], "--wrt: it is missing; by which of x, y"),
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
    (["grade", "nothing.py", "nothing.py"], "nothing.py: it cannot be read: No such file"),
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


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_help_fits_the_terminal(run, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    for command in ("grad", "check", "draw", "grade"):
        lines = run(command, "--help")[1].splitlines()
        prose = [line for line in lines if line[:1].strip()]
        assert max(map(len, prose)) <= columns
        assert any(line.startswith(f"  autograd-mini {command} ") for line in lines)


def test_without_a_command_the_help_says_what_there_is(run):
    assert run() == run("help") == (0, run("--help")[1], "")


def test_help_has_examples_and_warns(run):
    for command in ("grad", "check", "draw", "view", "rules", "grade"):
        text = run(command, "--help")[1]
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


# --- progress ---


def test_a_terminal_shows_where_the_work_is_and_nothing_stays(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr("autograd_mini.progress.PATIENCE", 0.005)
    with progress("outer"), progress("inner") as say:  # one line for both
        say("deep")
        time.sleep(0.05)
    assert terminal.getvalue().count("\rdeep … 0.0 s") >= 2
    assert "inner" not in terminal.getvalue()
    assert terminal.getvalue().rpartition("\r")[0].endswith("\r" + " " * len("deep … 0.0 s"))
    with progress("quick"):
        before = terminal.getvalue()
    assert terminal.getvalue() == before


def test_a_method_that_a_class_does_not_have(tmp_path, capsys):
    file = tmp_path / "layers.py"
    file.write_text("class Tanh:\n    def forward(self, x):\n        return x\n    backward = forward\n")
    assert main(["check", str(file), "--forward", "Tanh.forwrd", "--backward", "Tanh.backward"]) == 2
    assert "Tanh in " in (said := capsys.readouterr().err)
    assert "has no forwrd; did you mean forward?" in said
