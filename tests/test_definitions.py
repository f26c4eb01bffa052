"""Files and notebooks as people keep them: what they define is loaded, what they do is left out."""

import json
import re
import sys
from textwrap import dedent

import numpy as np
import pytest

from autograd_mini import check_backward
from autograd_mini.command_line import main
from autograd_mini.definitions import definitions_of, python_3

NET = '''
"""A layer, and its training."""
from __future__ import division
import numpy as np
import plt_that_nobody_has
from sklearn_that_nobody_has import datasets

rate, sizes = 0.1, [4, 5]
W0 = np.random.randn(4, 5) * 0.01
X = np.loadtxt("data.csv")
y = X[:, 0]


def affine_forward(x, W, b):
    return x @ W + b, (x, W)


def affine_backward(dout, cache):
    x, W = cache
    return dout @ W.T, x.T @ dout, dout.sum(axis=0)


for step in range(1000000):
    W0 -= rate * W0
print("done", W0)
plt_that_nobody_has.plot(W0)

if __name__ == "__main__":
    raise SystemExit
'''


def written(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text), encoding="utf-8")
    return str(path)


def notebook(folder, *cells):
    kinds = [{"cell_type": "code", "source": dedent(cell).splitlines(keepends=True)} for cell in cells]
    text = json.dumps({"cells": [{"cell_type": "markdown", "source": "# Title"}, *kinds], "nbformat": 4})
    return written(folder, "net.ipynb", text)


def run(capsys, *arguments):
    status = main(list(arguments))
    captured = capsys.readouterr()
    return status, captured.out + captured.err


# --- what is loaded -----------------------------------------------------------------------------------


def test_definitions_and_constants_are_kept_and_the_rest_is_named(tmp_path):
    found = definitions_of(written(tmp_path, "net.py", NET))
    assert found.own == ("affine_forward", "affine_backward")
    assert found.names["rate"] == 0.1
    assert found.names["W0"].shape == (4, 5)
    assert "X" not in found.names
    said = "\n".join(found.left_out)
    parts = [
        "line 5: import plt", "line 6: from sklearn", "line 10: X = np.loadtxt", "line 11: y = X",
        "line 23: for step", "line 25: print", "line 26: plt_that", "line 28: if __name__",
    ]  # fmt: skip
    for part in parts:
        assert part in said
    with pytest.raises(ImportError, match="sklearn_that_nobody_has"):
        found.names["datasets"].load_iris()
    at = {"x": np.ones((3, 4)), "W": found.names["W0"], "b": np.zeros(5)}
    assert check_backward(found.names["affine_forward"], found.names["affine_backward"], at=at)


def test_modules_beside_a_file_are_loaded_in_the_same_way(tmp_path):
    written(tmp_path, "lib/__init__.py", "")
    written(
        tmp_path, "lib/tools.py", "import numpy as np\ndef relu(x):\n    return np.maximum(x, 0)\nopen('x')\n"
    )
    written(tmp_path, "helpers_of_a_test.py", "def twice(x):\n    return 2 * x\nraise SystemExit\n")
    path = written(tmp_path, "lib/net.py", "from .tools import relu\nfrom helpers_of_a_test import twice\n")
    before = set(sys.modules)
    found = definitions_of(path)
    assert found.names["relu"](-1.0) == 0
    assert found.names["twice"](3) == 6
    assert set(sys.modules) == before


def test_a_model_is_not_trained_by_an_assignment(tmp_path):
    text = """
    class Net:
        def train(self):
            raise SystemExit
    net = Net()
    losses = net.train()
    """
    found = definitions_of(written(tmp_path, "net.py", text))
    assert type(found.names["net"]).__name__ == "Net"
    assert found.left_out == ("line 6: losses = net.train()",)


def test_a_notebook_by_its_cells(tmp_path):
    cells = ["%matplotlib inline\nimport numpy as np\n", "def f(x):\n    return np.sin(x)\n!ls\nf(3)"]
    found = definitions_of(notebook(tmp_path, *cells))
    assert found.own == ("f",)
    assert found.left_out == ("cell 2, line 4: f(3)",)
    assert found.names["f"].__code__.co_filename.endswith("net.ipynb[2]")
    assert check_backward(found.names["f"], lambda g, x: g * np.cos(x), at=np.ones(3))
    found = definitions_of(
        notebook(tmp_path, "np?", "def g(x):\n    return x", "class C:\n    raise SystemExit")
    )
    assert found.own == ("g",)
    assert found.left_out == (
        "cell 1: SyntaxError: invalid syntax, line 1",
        "cell 3, line 1: class C: …: SystemExit: ",
    )
    with pytest.raises(SyntaxError, match="is no notebook"):
        definitions_of(written(tmp_path, "broken.ipynb", "{}"))


# --- Python 2 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("print 'a'", "print('a')"),
        ("print", "print()"),
        ("print 'a %d' % x, y", "print('a %d' % x, y)"),
        ("print ('a'), b", "print(('a'), b)"),
        ("print('a')", "print('a')"),
        ("print('a' % f(x), file=f)", "print('a' % f(x), file=f)"),
        ("print ('a %d') % f(x)", "print(('a %d') % f(x))"),
        ("print >>sys.stderr, (x, y),", "print((x, y), file=sys.stderr, end=' ')"),
        ("print x,", "print(x, end=' ')"),
        ("print >>f, x", "print(x, file=f)"),
        ("if x: print x; y = 1", "if x: print(x); y = 1"),
        ("raise ValueError, 'no'", "raise ValueError('no')"),
        ("exec code", "exec(code)"),
        ("x = 10L + 0777", "x = 10 + 0o777"),
        ("if a <> b: pass", "if a != b: pass"),
        ("s = 'print x <> y'", "s = 'print x <> y'"),
        ("s = 'take 10L and 0777'", "s = 'take 10L and 0777'"),
    ],
)
def test_words_of_python_2(old, new):
    assert python_3(old + "\n") == new + "\n"


def test_lines_stay_where_they_are():
    text = "print 'a', (1,\n  2)\nprint 'b', \\\n  c\nx = 1\n"
    new = python_3(text)
    assert new.splitlines().index("x = 1") == 4
    compile(new, "text", "exec")


def test_a_file_of_python_2(tmp_path):
    text = """
    import numpy as np
    def forward(x, W):
        return np.dot(x, W), {'x': x, 'W': W}
    def backward(dout, cache):
        grads = {}
        for k, v in {'x': cache['x'], 'W': cache['W']}.iteritems():
            grads[k] = np.zeros_like(v)
        for i in xrange(len(dout)):
            grads['x'][i] = np.dot(cache['W'], dout[i])
            grads['W'] += np.outer(cache['x'][i], dout[i])
        if grads.has_key('q'):
            print 'never', grads
        return grads
    try:
        forward(1, 2)
    except Exception, e:
        print e
    """
    found = definitions_of(written(tmp_path, "net.py", text))
    assert found.left_out[-1] == "read as Python 2, but / divides as in Python 3"
    at = {"x": np.ones((3, 4)), "W": np.ones((4, 5))}
    assert check_backward(found.names["forward"], found.names["backward"], at=at).sections.keys() == {
        "x",
        "W",
    }


def test_what_is_no_python_says_where(tmp_path):
    with pytest.raises(SyntaxError) as error:
        definitions_of(written(tmp_path, "net.py", "x = 1\ndef f(:\n"))
    assert error.value.lineno == 2


# --- the command line ---------------------------------------------------------------------------------


def test_the_only_passes_of_a_file_are_found_and_numbers_proposed(tmp_path, capsys):
    path = written(tmp_path, "net.py", NET)
    status, said = run(capsys, "check", path)
    assert status == 0
    assert f"{path}: its definitions were executed; left out:" in said
    again = re.search(r"again: autograd-mini (.*)", said)[1]
    assert "--forward affine_forward --backward affine_backward --at 'x=randn(3,4)' 'W=randn(4,5)'" in again
    status, said = run(capsys, "check", path, "--at", "x=randn(6,3)", "W=1,2;3,4;5,6", "b=0.5,1")
    assert status == 0
    assert "'W=1,2;3,4;5,6'" in said


def test_a_wrong_layer_of_a_notebook(tmp_path, capsys):
    cells = [
        "import numpy as np",
        """
        class Dense:
            def __init__(self, n_in, n_out):
                self.W = np.random.randn(n_in, n_out)
                self.b = np.zeros(n_out)
            def forward(self, inputs):
                self.inputs = inputs
                return np.tanh(inputs @ self.W + self.b)
            def backward(self, grad):
                self.dW = self.inputs.T @ grad
                self.db = grad.sum(axis=0)
                return grad @ self.W.T
        """,
        "layer = Dense(784, 10)\nlayer.forward(images)",
    ]
    status, said = run(capsys, "check", notebook(tmp_path, *cells), "--json")
    assert status == 1
    report = json.loads(said[said.index("{") : said.rindex("}") + 1])
    assert report["sections"] == dict.fromkeys(("inputs", "W", "b"), "disagrees")
    assert report["at"] == {"n_in": "4", "n_out": "5", "inputs": "randn(3,4)"}


ELEMENTWISE = """
def sigmoid(x):
    return 1 / (1 + np.exp(-x))
def sigmoid_derivative(x):
    return x * (1 - x)
"""
LOSS_AND_GRADIENT = """
def loss(x, y):
    difference = x - y
    loss, dx = np.sum(difference**2), 2 * difference
    return loss, dx
"""
A_DICT = """
def forward(X, params):
    return X @ params['W'] + params['b']
def backward(dout, X, params):
    return {'W': X.T @ dout, 'b': dout.sum(0)}
"""
A_VARIABLE = """
def forward(X):
    return X @ W
def backward(dout, X):
    dX = dout @ W.T
    return dX, X.T @ dout
"""
FROM_A_LOSS = """
def predict(x, w):
    return x @ w
def gradients(x, w, y):
    return {'w': 2 * x.T @ (x @ w - y)}
def cost(out, y):
    return np.sum((out - y) ** 2)
"""
A_NET = """
def forward(X, W1, b1, W2, b2):
    h = np.maximum(X @ W1 + b1, 0)
    return h @ W2 + b2, h
def backward(X, y, W2, scores, h):
    d = scores - y
    dh = d @ W2.T * (h > 0)
    return {"W1": X.T @ dh, "b1": dh.sum(0), "W2": h.T @ d, "b2": d.sum(0)}
def loss(scores, y):
    return 0.5 * np.sum((scores - y) ** 2)
"""
IN_COLUMNS = """
def cost_and_gradients(w, b, X, Y):
    A = 1 / (1 + np.exp(-(w @ X + b)))
    cost = -np.mean(Y * np.log(A) + (1 - Y) * np.log(1 - A))
    dZ = (A - Y) / A.size
    dw, db = dZ @ X.T, dZ.sum(axis=1, keepdims=True)
    return cost, dw, db
"""
IN_ATTRIBUTES = """
class Cube:
    def forward(self, x):
        self.x = x
        self.output = x ** 3
    def backward(self, grad):
        self.dx = 3 * grad * self.x ** 2
"""


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (ELEMENTWISE, ""),
        (LOSS_AND_GRADIENT, ""),
        (A_DICT, ""),
        (A_VARIABLE, "--gradient W=1"),
        (FROM_A_LOSS, "--forward predict --backward gradients --loss cost --at y=randn(3,5)"),
        (A_NET, "--loss loss --out scores --wrt W1,b1,W2,b2 --at y=onehot(3,6)"),
        (IN_COLUMNS, ""),
        (IN_ATTRIBUTES, "--at x=rand(3,4) --points 2"),
    ],
)
def test_many_files(tmp_path, capsys, text, options):
    status, said = run(
        capsys, "check", written(tmp_path, "net.py", "import numpy as np\n" + text), *options.split()
    )
    assert status == 0, said


def test_what_leaves_a_choice_is_listed(tmp_path, capsys):
    text = "def a_forward(x):\n    return x\ndef a_backward(d):\n    return d\n"
    path = written(tmp_path, "net.py", text + text.replace("a_", "b_"))
    status, said = run(capsys, "check", path)
    assert status == 2
    assert "choose:\n  --forward a_forward --backward a_backward\n  --forward b_forward" in said
    assert run(capsys, "check", path, "--forward", "b_forward")[0] == 0
    status, said = run(capsys, "check", path, "--forward", "c")
    assert status == 2
    assert "net.py defines no c; it defines a_forward, a_backward, b_forward, b_backward" in said
    status, said = run(capsys, "check", written(tmp_path, "empty.py", "x = 1\n"))
    assert status == 2
    assert "has no functions or methods called like a forward and a backward pass" in said
    status, said = run(capsys, "check", str(tmp_path / "none.py"))
    assert status == 2
    text = "def forward(x):\n    raise RuntimeError('never')\ndef backward(d):\n    return d\n"
    status, said = run(capsys, "check", written(tmp_path, "net.py", text))
    assert status == 2
    assert "no numbers were found on which the passes run; they take x" in said
    assert "RuntimeError: never" in said


LAYER = """
def forward(W, x):
    return W @ x
def backward(d, W, x):
    return {"W": d[:, None] * x, "x": W.T @ d}
"""
UNREAD = {
    "no Python": ("net.py", "def forward(x: return", [], r"invalid syntax \(.*net.py, line 1\)"),
    "no notebook": ("net.ipynb", '{"cells": [', [], r"net\.ipynb is no notebook"),
    "another ending": ("net.txt", "", [], r"net\.txt: a file to check ends in \.py or \.ipynb"),
    "no such pass": ("net.py", LAYER, ["--backward", "back"], "defines no back; it defines forward"),
    "no such argument": ("net.py", LAYER, ["--wrt", "z"], "there is no 'z'; there are W, x"),
    "shapes that do not fit": (
        "net.py", LAYER, ["--at", "W=randn(2,3)", "x=randn(2)"], "do not run on these numbers: .*size 2",
    ),
    "an unknown maker": (
        "net.py", LAYER, ["--at", "W=random(2,3)"], r"W: expected numbers .*randn\(…\).*, got random\(2,3\)",
    ),
    "no return": ("net.py", "def forward(x): 2\ndef backward(d): 3", ["--at", "x=1"], "is there a return"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNREAD)
def test_what_is_wrong_with_a_file_is_said(tmp_path, capsys, name):
    file, text, options, sense = UNREAD[name]
    status, said = run(capsys, "check", written(tmp_path, file, text), *options)
    assert status == 2
    assert re.search(sense, said), said


def test_a_shape_on_which_the_verdict_depends_is_asked_for(tmp_path, capsys):
    text = """
        import numpy as np
        def propagate(w, b, X, Y):
            m = X.shape[1]
            A = 1 / (1 + np.exp(-(np.dot(w.T, X) + b)))
            cost = -1 / m * np.sum(Y * np.log(A) + (1 - Y) * np.log(1 - A))
            dw = 1 / m * np.dot(X, (A - Y).T)
            db = 1 / m * np.sum(A - Y)
            grads = {"dw": dw, "db": db}
            return grads, cost
        """
    path = written(tmp_path, "unit.py", text)
    status, said = run(capsys, "check", path)
    assert status == 2
    assert "--at b=randn(5,1) or --at b=0.5" in said
    assert run(capsys, "check", path, "--at", "b=0.5")[0] == 0


def test_a_loss_takes_what_the_instance_was_made_of(tmp_path, capsys):
    text = """
        import numpy as np
        class Net:
            def __init__(self, x, y):
                self.x, self.y, self.W = x, y, np.random.rand(x.shape[1], 2)
            def forward(self):
                self.output = np.tanh(self.x @ self.W)
            def backward(self):
                self.W -= 2 * self.x.T @ ((self.output - self.y) * (1 - self.output**2))
        def loss(out, y):
            return ((out - y) ** 2).sum()
        """
    path = written(tmp_path, "net.py", text)
    assert run(capsys, "check", path, "--loss", "loss", "--at", "x=randn(3,4)", "y=randn(3,2)")[0] == 0
