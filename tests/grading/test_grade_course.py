"""`autograd-mini grade` on a course: folders, notebooks, other names, points, pages, and runs interrupted."""

import csv
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autograd_mini.grading.data import UnreadableError, dumps, loads
from autograd_mini.grading.flags import flagged, flags_of
from autograd_mini.grading.grades import Grade, Mark
from autograd_mini.grading.reports import gradescope, page, summary, table

pytestmark = pytest.mark.xdist_group("grade")  # one looks for processes that others would leave

ROOT = Path(__file__).parents[2]
REFERENCE = """
import numpy as np
def loss(w, x, t):
    return np.mean((x @ w - t) ** 2)
at = {"w": [0.5, -1.0], "x": [[1.0, 2.0], [0.0, 1.0], [3.0, -1.0]], "t": [1.0, 0.0, 2.0]}
wrt = ["w"]
"""
RIGHT = "def d_w(w, x, t):\n    return 2 * x.T @ (x @ w - t) / len(t)\n"


@pytest.fixture
def course(tmp_path):
    (tmp_path / "reference.py").write_text(REFERENCE)
    (tmp_path / "handins").mkdir()
    return tmp_path


def write(course, **files):
    for name, text in files.items():
        (course / "handins" / f"{name}.py").write_text(text)


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return {os.path.basename(row["file"]): row for row in csv.DictReader(file)}


def test_the_command_of_the_readme_on_the_example(tmp_path, grade):
    (line,) = re.findall(r"^autograd-mini (grade .*?)\s+#", (ROOT / "README.md").read_text(), re.MULTILINE)
    shutil.copytree(ROOT / "demos" / "grading", tmp_path / "demos" / "grading")
    done = grade(tmp_path, *shlex.split(line)[1:])
    assert (done.status, done.errors) == (1, "")
    found = rows(tmp_path / "grades.csv")
    verdicts = {name: row["verdict"] for name, row in found.items()}
    right, wrong = (
        ("ada.py", "chen.ipynb", "emil.py", "farah.py"),
        ("bela.py", "dora.py", "goran.py", "hana.py"),
    )
    assert verdicts == dict.fromkeys(right, "right") | dict.fromkeys(wrong, "wrong")
    assert {name: f"{row['points']}/{row['of']}" for name, row in found.items() if name in wrong} == {
        "bela.py": "1/3", "dora.py": "4/5", "goran.py": "0/3", "hana.py": "2/3",
    }  # fmt: skip
    assert "4, the length of X" in found["bela.py"]["cause"]
    assert "wrong shape" in found["hana.py"]["cause"]
    assert "weights = W, bias = b, inputs = X, targets = T" in found["emil.py"]["notes"]
    assert "by differences?" in found["farah.py"]["flags"]
    assert "right at the given point and wrong elsewhere" in found["goran.py"]["flags"]
    assert "seaborn_but_newer" in found["hana.py"]["notes"]
    assert "helpers" not in done.out
    pages = tmp_path / "pages"
    assert {path.name for path in pages.iterdir()} == {f"{name}.html" for name in found} | {"index.html"}
    assert all(f'href="{name}.html"' in (pages / "index.html").read_text() for name in found)
    results = json.loads((tmp_path / "results.json").read_text())
    assert [test["score"] for test in results["demos/grading/handins/hana.py"]["tests"]] == [2.0, 0.0]


def test_one_hand_in_is_what_gradescope_reads(course, grade):
    write(course, ann=RIGHT)
    assert grade(course, "reference.py", "handins", "-o", "results.json").status == 0
    results = json.loads((course / "results.json").read_text())
    assert results["score"] == 1.0
    (test,) = results["tests"]
    assert (test["name"], test["score"], test["max_score"], test["status"]) == ("w", 1.0, 1.0, "passed")


def test_patterns_and_folders_inside_folders(course, grade):
    for name in ("ann", "bob"):
        (course / "handins" / name).mkdir()
        (course / "handins" / name / "hw.py").write_text("from helpers import half\n" + RIGHT)
        (course / "handins" / name / "helpers.py").write_text("half = 0.5\n")
    for patterns in (["handins"], ["handins/*/hw.py"], ["handins/ann", "handins/bob/hw.py"]):
        done = grade(course, "reference.py", *patterns, "-o", "pages")
        assert done.status == 0, done
        assert len(done.out.splitlines()) == 2
        assert (course / "pages" / "ann" / "hw.py.html").exists()


def test_a_name_is_read_in_any_order_if_one_is_right(course, grade):
    write(
        course,
        ann="def grad_w(targets, inputs, weights):\n"
        "    return 2 * inputs.T @ (inputs @ weights - targets) / len(targets)\n",
        bob="def dw(weights, inputs, targets):\n    return 2 * inputs.T @ (inputs @ weights - targets)\n",
        eve="def d_w(w, x, t, u):\n    return w\n",
    )
    grade(course, "reference.py", "handins", "-o", "grades.csv")
    found = rows(course / "grades.csv")
    assert found["ann.py"]["verdict"] == "right"
    assert "targets = t, inputs = x, weights = w" in found["ann.py"]["notes"]
    assert found["bob.py"]["verdict"] == "wrong"
    assert "d_w(...) asks for u" in found["eve.py"]["place"]


BATCH_NORM = """
import numpy as np
def forward(x, gamma, beta, D=3):
    mu = np.mean(x, axis=0)
    return gamma * (x - mu) / np.sqrt(np.mean((x - mu) ** 2, axis=0) + 1e-5) + beta
rng = np.random.default_rng(3)
at = {"x": rng.normal(size=(6, 3)), "gamma": [1.5, -0.5, 2.0], "beta": [0.1, 0.2, -0.3], "D": 3}
wrt = ["x", "gamma", "beta"]
"""
LAYER = """
import matplotlib_but_newer as plots, numpy as np
class BatchNorm:
    def __init__(self, gamma, beta, eps=1e-5):
        self.gamma, self.beta, self.eps = gamma, beta, eps
    def forward(self, x):
        self.std = np.sqrt(x.var(axis=0) + self.eps)
        self.xhat = (x - x.mean(axis=0)) / self.std
        return self.gamma * self.xhat + self.beta
    def backward(self, dout):
        self.dgamma = np.sum(dout * self.xhat, axis=0)
        self.dbeta = dout.sum(axis=0)
        d = dout * self.gamma
        return (d - d.mean(axis=0) - self.xhat * (d * self.xhat).mean(axis=0)) / self.std
layer = BatchNorm(np.ones(3), np.zeros(3))
while True:
    plots.plot(layer.forward(np.random.randn(8, 3)))
"""
FUNCTIONS = """
import numpy as np
def batchnorm_forward(x, gamma, beta, eps=1e-5):
    xhat = (x - x.mean(0)) / np.sqrt(x.var(0) + eps)
    return gamma * xhat + beta, (x, xhat, gamma, eps)
def batchnorm_backward(dout, cache):
    x, xhat, gamma, eps = cache
    dbeta, dgamma = dout.sum(0), (dout * xhat).sum(0)
    return gamma / np.sqrt(x.var(0) + eps) / len(x) * (len(x) * dout - dbeta - xhat * dgamma), dgamma, dbeta
"""
OWN = "self.gamma, self.beta, self.eps = gamma, beta, eps"
PARAMS = "self.params = {'gamma': gamma, 'beta': beta}; self.eps = eps"
SIZED = LAYER.replace("gamma, beta, eps=", "D, eps=").replace(
    OWN, OWN.replace("= gamma, beta", "= np.ones(D), np.zeros(D)")
)


def test_layers_as_people_write_them(course, grade):
    (course / "reference.py").write_text(BATCH_NORM)
    write(
        course,
        layer=LAYER,
        letters=LAYER.replace("gamma", "g").replace("beta", "b"),
        params=LAYER.replace(OWN, PARAMS)
        .replace("self.gamma", "self.params['gamma']")
        .replace("self.beta", "self.params['beta']"),
        sized=SIZED,
        functions=FUNCTIONS,
        variance=LAYER.replace(" - self.xhat * (d * self.xhat).mean(axis=0)", ""),
        mean=LAYER.replace("self.dbeta = dout.sum", "self.dbeta = dout.mean"),
        cache=FUNCTIONS.replace("- xhat * dgamma", "+ xhat * dgamma"),
    )
    cell = {"cell_type": "code", "source": ["%matplotlib inline\n", LAYER]}
    (course / "handins" / "book.ipynb").write_text(json.dumps({"cells": [cell]}))
    done = grade(course, "reference.py", "handins", "-o", "grades.csv", "--diagnosis", "0")
    found = {name.partition(".")[0]: row for name, row in rows(course / "grades.csv").items()}
    wrong = {"variance": "x", "mean": "beta", "cache": "x"}
    verdicts = {name: (row["verdict"], row["step"], row["points"]) for name, row in found.items()}
    assert verdicts == {
        name: ("wrong", wrong[name], "2") if name in wrong else ("right", "", "3") for name in found
    }
    assert len(found) == 9
    assert "matplotlib_but_newer" in found["layer"]["notes"]
    assert "read as g = gamma, b = beta" in done.out


SOFTMAX = """
import numpy as np
from autograd_mini import softmax
def loss(x, y):
    p = softmax(x)
    return -sum(np.log(p[i, y[i]]) for i in range(len(y))) / len(y)
at = {"x": [[1.0, 2.0, -1.0], [0.5, 0.1, 0.3], [2.0, -1.0, 0.0]], "y": np.array([0, 2, 1])}
wrt = ["x"]
"""
SOFTMAX_LOSS = """
import numpy as np
def softmax_loss(x, y):
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    loss = -np.mean(np.log(p[np.arange(len(x)), y]))
    dx = p.copy()
    dx[np.arange(len(x)), y] -= 1
    dx /= len(x)
    return loss, dx
"""


def test_losses_that_return_their_gradients(course, grade):
    (course / "reference.py").write_text(SOFTMAX)
    write(
        course,
        right=SOFTMAX_LOSS,
        scores=SOFTMAX_LOSS.replace("x, y)", "s, labels)").replace("(x)", "(s)").replace(", y]", ", labels]"),
        target=SOFTMAX_LOSS.replace("    dx[np.arange(len(x)), y] -= 1\n", ""),
        mean=SOFTMAX_LOSS.replace("    dx /= len(x)\n", ""),
    )
    grade(course, "reference.py", "handins", "-o", "grades.csv", "--diagnosis", "0")
    verdicts = {name: row["verdict"] for name, row in rows(course / "grades.csv").items()}
    assert verdicts == {"right.py": "right", "scores.py": "right", "target.py": "wrong", "mean.py": "wrong"}


@pytest.mark.parametrize(
    ("tell", "place", "cause", "fix"),
    [("verdict", 0, 0, 0), ("place", 1, 0, 0), ("cause", 1, 1, 0), ("fix", 1, 1, 1)],
)
def test_students_see_what_they_shall(tell, place, cause, fix):
    mark = Mark("W<b>", "wrong", 2.0, "at W[0]", "1/N is missing", "divide by N")
    wrong = Grade("ann.py", "wrong", (mark, Mark("b", "right")), flags=("imports torch",))
    shown = page(wrong, "ann.py", tell), json.dumps(gradescope(wrong, tell))
    for text in shown:
        assert ("at W[0]" in text, "1/N is missing" in text, "divide by N" in text) == (place, cause, fix)
        assert "torch" not in text  # which is for whoever grades
    assert "W&lt;b&gt;" in shown[0]
    assert "1&nbsp;of&nbsp;3" in shown[0]


def test_a_name_with_a_line_in_it_writes_no_line_and_commands_no_spreadsheet(course, grade):
    write(course, ann="steps = {('w\\nhandins/bob.py: right', 'w'): lambda w: w}\n")
    (course / "handins" / "=1+1.py").write_text(RIGHT)
    done = grade(course, "reference.py", "handins", "-o", "grades.csv", "--diagnosis", "0")
    assert not any(line.startswith("handins/bob.py") for line in done.out.splitlines())
    monster = Grade("=1+1.py", "right", reason="@x")
    assert table([monster]).splitlines()[1].startswith("'=1+1.py,right,0,0,,,,,'@x")


def test_a_cell_that_is_no_python_is_said_where_nothing_is_defined(course, grade):
    book = {"cells": [{"cell_type": "code", "source": ["def d_w(w, x, t:\n", "    return w\n"]}]}
    (course / "handins" / "ann.ipynb").write_text(json.dumps(book))
    done = grade(course, "reference.py", "handins", "-o", "pages")
    assert "cell 1: SyntaxError: '(' was never closed, line 1" in done.out
    assert (course / "pages" / "index.html").read_text().count("0&nbsp;of&nbsp;1") == 1


def test_numbers_of_16_bits_are_flagged(course, grade):
    write(course, ann=RIGHT + "exact = d_w\ndef d_w(w, x, t):\n    return exact(w, x, t).astype('float16')\n")
    grade(course, "reference.py", "handins", "-o", "grades.csv")
    assert "16 bits" in rows(course / "grades.csv")["ann.py"]["flags"]


def test_like_mistakes_are_counted_together():
    def made(name, cause):
        return Grade(name, "wrong", (Mark("W", "wrong", cause=cause), Mark("b", "right")), explained=True)

    grades = [made("a", "its sign"), made("b", "1/N is missing"), made("c", "1/N is missing"), made("d", "")]
    assert summary(grades) == [
        ("W: 1/N is missing", ["b", "c"]),
        ("W: its sign", ["a"]),
        ("W: no known mistake reproduces it", ["d"]),
    ]


@pytest.mark.parametrize(
    ("source", "flag"),
    [
        ("import torch.nn as nn", "imports torch.nn"),
        ("import autograd.numpy as np", "imports autograd.numpy"),
        ("from jax import grad", "imports jax"),
        ("from autograd_mini import grad", "uses grad of autograd_mini"),
        ("import autograd_mini as am\nd_w = am.values", "uses values of autograd_mini"),
        ("from scipy.optimize import approx_fprime", "uses approx_fprime of scipy.optimize"),
        ("def d(x):\n    a = f(x + h)\n    b = f(x - h)\n    return (a - b) / (2 * h)", "line 4"),
        ("def d(x): return (self.f(x + h) - self.f(x)) / h", "line 1"),
        ("import numpy as np\ntanh = (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))", ""),
        ("from numpy import exp\ny = (exp(x) - exp(-x)) / 2", ""),
        ("from autograd_mini import softmax, cross_entropy", ""),
        ("y = (max(x) - max(y)) / 2", ""),
        ("def d_w(w):\n    exec(open('other.py').read())", "line 2: exec runs code that is not in the file"),
        ("import runpy\nd_w = runpy.run_path('other.py')['d_w']", "run_path runs code"),
        ("import re\nnumber = re.compile('1')", ""),
        ("import numpy as np\nfrom scipy.special import softmax", ""),
    ],
)
def test_engines_and_differences_are_flagged(source, flag):
    found = flagged(source)
    assert (found == []) if not flag else any(flag in text for text in found)


def test_what_cannot_be_read_is_not_flagged(tmp_path):
    (tmp_path / "broken.py").write_text("def broken(:")
    assert flags_of(str(tmp_path / "broken.py")) == flags_of(str(tmp_path / "absent.py")) == []


@pytest.mark.parametrize(
    "line",
    [b"", b"[" * 10**5, b'{"type": "<f8"}', b'{"type": "O", "shape": [1], "bytes": "AAAA"}', b"1e", b"{}",
     b'{"type": "<f8", "shape": [9], "bytes": "AAAA"}', b'{"dict": [[[], 1]]}', b'{"dict": 3}', b"\xff"],
)  # fmt: skip
def test_what_is_no_data_is_not_read(line):
    with pytest.raises(UnreadableError):
        loads(line)


def test_data_come_through_as_they_are():
    import numpy as np

    from autograd_mini import values

    for x in (None, True, 2**70, -0.0, "a", [1, (2, {"b": [3.5]})], {("dz", "z"): 1}):
        assert loads(dumps(x)) == x
    for x in (np.float32([[1, np.nan]]), np.zeros((0, 3)), np.array(1e-320), np.arange(3), np.array([True])):
        back = loads(dumps(x))
        assert (back.dtype, back.shape, back.tobytes()) == (x.dtype, x.shape, x.tobytes())
    assert loads(dumps(values([1.0, 2.0], "x"))).tolist() == [1.0, 2.0]
    for x in (object(), {1, 2}, np.array(["a"]), 1j):
        with pytest.raises(TypeError):
            dumps(x)


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGKILL")
def test_a_run_that_is_killed_goes_on(course, grade):
    """12 hand-ins, of which one crashes, one hangs and one fills memory; nothing is lost or done twice."""
    several = {f"s{i:02}": RIGHT.replace("2 *", f"{2 + i % 3 / 2} *") for i in range(9)}
    body = "def d_w(w, x, t):\n    import os, time\n    a = []\n    while True: "
    write(course, **several, crash=body + "os.abort()\n", hang=body + "time.sleep(1)\n",
          fill=body + "a.append(bytearray(10**8))\n")  # fmt: skip
    options = "reference.py handins -o grades.csv --timeout 3 --memory 400 --diagnosis 0 --jobs 2".split()
    grader = subprocess.Popen(
        [sys.executable, "-m", "autograd_mini", "grade", *options],
        cwd=course, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    partial = course / "grades.csv.partial"
    while not partial.exists() or partial.read_bytes().count(b"\n") < 5:
        time.sleep(0.01)
    grader.send_signal(signal.SIGKILL)
    grader.communicate(timeout=20)
    lines = partial.read_bytes().splitlines(keepends=True)
    known = [json.loads(line)["grade"] for line in lines[1:] if line.endswith(b"\n")]
    assert 4 <= len(known) < 12
    done = grade(course, *options, "--resume")
    assert (done.status, done.errors) == (1, "")
    found = rows(course / "grades.csv")
    assert len(found) == 12
    for name, row in found.items():
        right = name[0] == "s" and int(name[1:3]) % 3 == 0
        assert row["verdict"] == ("right" if right else "wrong" if name[0] == "s" else "failed to run"), row
    for grade_ in known:  # as it was, its seconds too
        row = found[os.path.basename(grade_["file"])]
        assert (row["seed"], row["seconds"]) == (str(grade_["seed"]), str(grade_["seconds"]))
    assert not partial.exists()
    assert "SIGABRT" in found["crash.py"]["reason"]
    assert "not done after 3 s" in found["hang.py"]["reason"]
    assert "MemoryError" in found["fill.py"]["place"]
