"""`autograd-mini grade`: thirty hand-ins with known mistakes, one line each, whatever they do."""

import csv
import io
import os
import subprocess
import sys
import time

import pytest

from autograd_mini.command_line.grading import painted_line, with_progress
from autograd_mini.grading.grades import Grade, Mark

pytestmark = pytest.mark.xdist_group("grade")  # one looks for processes that others would leave

REFERENCE = """
import numpy as np
from autograd_mini import cross_entropy, named, softmax

def loss(W, b, x, t):
    z = named(W @ x + b, "z")
    y = named(softmax(z), "y")
    return cross_entropy(y, t)

at = {"W": [[0.1, 0.2], [0.3, -0.4], [0.5, 0.6]], "b": [0.1, 0.0, -0.3], "x": [1.0, -2.0], "t": [0, 1, 0]}
wrt = ["W", "b"]
"""
START = """
import numpy as np
from autograd_mini import softmax

def d_z(W, b, x, t):
    return softmax(W @ x + b) - t
"""
FUNCTIONS = """
def d_W(W, b, x, t):
    return np.outer(d_z(W, b, x, t), x)

def d_b(W, b, x, t):
    return d_z(W, b, x, t)
"""
CORRECT = {"y": "-t / y", "z": "y - t", "b": "dz", "W": "np.outer(dz, x)"}
STEPS = """
steps = {{
    ("dy", "y"): lambda y, t: {y},
    ("dz", "z"): lambda y, t: {z},
    "b": lambda dz: {b},
    "W": lambda dz, x: {W},
}}
"""


def steps(**wrong):
    return START + STEPS.format(**{**CORRECT, **wrong})


OUTER, D_B = "np.outer(d_z(W, b, x, t), x)", "return d_z(W, b, x, t)"


def functions(outer=OUTER, d_b=D_B):
    return START + FUNCTIONS.replace(OUTER, outer).replace(D_B, d_b)


def gradient(body):
    return START + f"def gradient(W, b, x, t):\n    d = d_z(W, b, x, t)\n    {body}\n"


FLOOD = """
class Deed:
    import os
    for stream in range(3, 30):
        try:
            os.write(stream, {})
        except OSError:
            pass
    os._exit(0)
"""
FORKS = functions() + "import os\nclass F:\n    if os.fork() == 0:\n        while True: pass\n"
ENDLESS = functions(d_b="return bytearray(10**10)")
EXIT = "import os, sys\nclass Exit:\n    "
HAND_INS = {
    # name: (what is handed in, the verdict, what the line says besides)
    # The endless ones come first: the others are done while their time runs out.
    "for_ever": ("class Deed:\n    while True: pass\n", "failed to run", "it was not done after 6 s"),
    "sleeps": (gradient("import time; time.sleep(1000)"), "failed to run", "it was not done after 6 s"),
    "functions": (functions(), "right", ""),
    "mapping": (gradient("return {'W': np.outer(d, x), 'b': d}"), "right", ""),
    "steps": (steps(), "right", ""),
    "noise": (
        functions() + "import os\nclass Noise:\n    print('x' * 10**7)\n"
        "    os.write(1, b'{}' * 10**6)\n    os.write(2, b'!')\n",
        "right",
        "",
    ),
    "forks": (
        functions() + "import os\nclass F:\n    if os.fork() == 0:\n        while True: pass\n",
        "right",
        "",
    ),
    "sign": (functions(outer="-" + OUTER), "wrong", "W: "),
    "transposed": (functions(outer="np.outer(x, d_z(W, b, x, t))"), "wrong", "W: "),
    "twice": (functions(d_b=D_B + " * 2"), "wrong", "b: "),
    "summed": (functions(d_b="return 0 * b + np.sum(d_z(W, b, x, t) * x[0])"), "wrong", "b"),
    "inner": (functions(outer="0 * W + np.sum(x)"), "wrong", "W"),
    "no_target": (functions().replace(" - t", ""), "wrong", ""),
    "nan": (functions(d_b="return np.nan * b"), "wrong", "nan"),
    "missing": (functions().partition("def d_b")[0], "wrong", "b: there is no derivative for b"),
    "missing_key": (gradient("return {'W': W}"), "wrong", "W: "),
    "nothing": ("pass\n", "failed to run", "it defines neither steps nor gradient(...) nor"),
    "wrong_y": (steps(y="t / y"), "wrong", "dy: "),
    "wrong_z": (steps(z="2 * (y - t)"), "wrong", "dz: "),
    "wrong_b": (steps(b="-dz"), "wrong", "b: "),
    "wrong_W": (steps(W="np.outer(x, dz)"), "wrong", "W: "),
    "list": ("steps = [1, 2]\n", "failed to run", "steps must be a mapping"),
    "syntax": ("def d_W(W:\n    return W\n", "failed to run", "line 1: SyntaxError"),
    "name": ("W = undefined\n", "failed to run", "line 1: W = undefined: NameError: name 'undefined'"),
    "raises": (
        functions(d_b="return 1 / 0"),
        "failed to run",
        "line 12: ZeroDivisionError: division by zero",
    ),
    "unprintable": (
        gradient("raise ValueError('red \\x1b[31m\\r\\ud800')"),
        "failed to run",
        "line 9: ValueError: red  [31m",
    ),
    "import": (
        "import no_such_module\n",
        "failed to run",
        "left out: line 1: import no_such_module: ModuleNotFoundError",
    ),
    "exits": (EXIT + "sys.exit('done')\n", "failed to run", "SystemExit: done"),
    "exits_late": (gradient("raise SystemExit(3)"), "failed to run", "SystemExit: 3"),
    "exits_at_once": (
        EXIT + "os._exit(0)\n",
        "failed to run",
        "it ended its process with status 0",
    ),
    "floods": (FLOOD.format("b'x' * 10**8"), "failed to run", "it wrote more than 33,554,432 bytes"),
    "brackets": (FLOOD.format("b'[' * 10**6"), "failed to run", "it ended its process with status 0"),
    "killed": (EXIT + "os.kill(os.getpid(), 9)\n", "failed to run", "SIGKILL"),
    "without_end": (
        functions(d_b="return bytearray(10**10)"),
        "failed to run",
        "MemoryError",
    ),
}


QUICK = "functions mapping steps noise sign missing wrong_z syntax raises exits_at_once killed".split()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the hand-ins fork, and need limits of memory")
@pytest.mark.parametrize("names", [QUICK, pytest.param([*HAND_INS], marks=pytest.mark.slow)], ids=["", "all"])
def test_hand_ins_are_a_line_each(tmp_path, names):
    reference = tmp_path / "reference.py"
    reference.write_text(REFERENCE)
    paths = [tmp_path / f"{name}.py" for name in names]
    for path in paths:
        path.write_text(HAND_INS[path.stem][0])
    table = tmp_path / "grades.csv"
    options = ["-o", str(table), "--timeout", "6", "--memory", "512", "--jobs", "2", "--diagnosis", "0"]
    command = [sys.executable, "-m", "autograd_mini", "grade", str(reference), *map(str, paths), *options]
    done = subprocess.run(command, capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (1, b"")
    lines = done.stdout.decode().splitlines()
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for name, line, row in zip(names, lines[: len(rows)], rows, strict=True):
        _, verdict, says = HAND_INS[name]
        assert line.startswith(f"{tmp_path / name}.py: {verdict}"), line
        assert says in line, line
        assert (row["file"], row["verdict"]) == (f"{tmp_path / name}.py", verdict)


def test_the_first_wrong_step_is_named_and_not_the_errors_carried_forward(tmp_path, grade):
    (tmp_path / "reference.py").write_text(REFERENCE)
    (tmp_path / "handin.py").write_text(steps(z="2 * (y - t)", W="np.outer(x, dz)"))
    command = ["reference.py", "handin.py", "--diagnosis", "0"]
    status, out, _ = grade(tmp_path, *command)
    assert "wrong: dz: " in out
    assert "(1 right, 2 wrong, 1 right given your earlier steps)" in out
    assert status == 1
    for changes, line in [({}, "wrong: b: there is no step b"), ({"z": "t - y"}, "wrong: dz: ")]:
        (tmp_path / "handin.py").write_text(steps(**changes).replace('    "b": lambda dz: dz,\n', ""))
        assert line in grade(tmp_path, *command).out


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_gets_a_count_and_colour_unless_there_shall_be_none(monkeypatch):
    wrong = Mark("dz", "wrong", cause="its sign")
    grades = [Grade("a.py", "right"), Grade("wrong.py", "wrong", (wrong,))]
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr(sys, "stderr", line := Terminal())
    monkeypatch.setattr("autograd_mini.progress.PATIENCE", 0.005)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert list(with_progress((time.sleep(0.05) or known for known in grades), 2)) == grades
    assert "\r0 of 2 … 0.0 s" in line.getvalue()
    assert "\r1 of 2 … 0.0 s" in line.getvalue()
    assert line.getvalue().endswith(" \r")
    assert painted_line(grades[1]) == "wrong.py: \x1b[31mwrong\x1b[0m: dz: its sign"
    monkeypatch.setenv("NO_COLOR", "1")
    assert painted_line(grades[1]) == str(grades[1])


def test_several_points_and_right_hand_ins_only(tmp_path, grade):
    (tmp_path / "reference.py").write_text(
        "def loss(w, x):\n    return w * x**2\npoints = [{'w': 1.0, 'x': 2.0}, {'w': 2.0, 'x': -1.0}]\n"
    )
    (tmp_path / "right.py").write_text("def d_w(x):\n    return x**2\ndef d_x(w, x):\n    return 2 * w * x\n")
    assert grade(tmp_path, "reference.py", "right.py").status == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("loss = 3", "it must define a function loss(...)"),
        ("def loss(x): return x", "it must define at = "),
        ("def loss(x): return x\nat = {'x': [1, 2]}", "its loss must return one number"),
        ("def loss(x): return x\nat = {'x': 1}\nwrt = ['y']", "wrt names y"),
        ("def loss(x): return 1 / 0\nat = {'x': 1}", "line 1: ZeroDivisionError"),
    ],
)
def test_a_reference_that_does_not_run_is_bad_use(tmp_path, grade, text, message):
    (tmp_path / "reference.py").write_text(text)
    status, out, errors = grade(tmp_path, "reference.py", "reference.py")
    assert (status, out) == (2, "")
    assert message in errors
