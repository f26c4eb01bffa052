"""A course of 1,000 different hand-ins, of which three crash, hang and fill memory; killed, and resumed.

    python tests/benchmarks/course.py [SEED] [HAND-INS]

Every hand-in is generated with a verdict that is known: of a random shape, in one of five forms, with names
of its own, right or with one of seven mistakes. Prints what was lost, and the time for each.
"""

import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REFERENCE = """
import numpy as np
from autograd_mini import named
def loss(W, b, X, T):
    Z = named(X @ W + b, "Z")
    H = named(np.tanh(Z), "H")
    return np.sum((H - T) ** 2) / len(X)
rng = np.random.default_rng(1)
at = {name: rng.normal(size=shape) for name, shape in {"W": (3, 2), "b": 2, "X": (4, 3), "T": (4, 2)}.items()}
wrt = ["W", "b"]
"""
MISTAKES = [  # what is written, and what stands there by mistake
    ("(1 - H**2)", "(1 - H)"),
    ("(1 - H**2)", "(1 + H**2)"),
    ("2 * (H - T)", "(H - T)"),
    ("2 * (H - T)", "2 * (T - H)"),
    (" / len(X)", ""),
    (".sum(axis=0)", ".mean(axis=0)"),
    ("X.T @ dZ", "-X.T @ dZ"),
]
BODY = """
H = np.tanh(X @ W + b)
dZ = 2 * (H - T) * (1 - H**2) / len(X)
dW = X.T @ dZ
db = dZ.sum(axis=0)
"""
STEPS = """
steps = {
    ("dZ", "Z"): lambda H, T, X: 2 * (H - T) * (1 - H**2) / len(X),
    "W": lambda X, dZ: X.T @ dZ,
    "b": lambda dZ: dZ.sum(axis=0),
}
"""
WORDS = "alpha beta gamma delta north south east west red green blue one two three four".split()
BAD = {
    "crash": "def d_W(W, b, X, T):\n    import os\n    os.abort()\n",
    "hang": "def d_W(W, b, X, T):\n    while True: pass\n",
    "fill": "def d_W(W, b, X, T):\n    a = []\n    while True: a.append(bytearray(10**8))\n",
}


def hand_in(draw: random.Random) -> tuple[str, str, str]:
    """A source, its suffix, and its verdict."""
    right, wrong = draw.choice([("", ""), *MISTAKES])
    form = draw.choice(["functions", "mapping", "tuple", "steps", "notebook"])
    body = "".join(f"    {line}\n" for line in BODY.strip().splitlines())
    if form == "steps":
        text = STEPS
    elif form == "functions":
        text = f"def d_W(W, b, X, T):\n{body}    return dW\ndef d_b(W, b, X, T):\n{body}    return db\n"
    else:
        returned = "dW, db" if form == "tuple" else '{"W": dW, "b": db}'
        text = f"def gradient(W, b, X, T):\n{body}    return {returned}\n"
    text = text.replace(right, wrong) if right else text
    if form != "steps":
        for old in ("H", "dZ"):
            word = f"{draw.choice(WORDS)}_{draw.randrange(1000)}"
            text = re.sub(rf"\b{old}\b", word, text)
    text = f"# {draw.random()}\nimport numpy as np\n{text}"
    if form == "notebook":
        cell = {"cell_type": "code", "source": text.splitlines(keepends=True)}
        return json.dumps({"cells": [cell]}), ".ipynb", "wrong" if right else "right"
    return text, ".py", "wrong" if right else "right"


def main(seed: int, count: int) -> int:
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "reference.py").write_text(REFERENCE)
        (folder / "handins").mkdir()
        expected = {}
        for i in range(count - len(BAD)):
            text, suffix, verdict = hand_in(draw)
            expected[f"s{i:04}{suffix}"] = verdict
            (folder / "handins" / f"s{i:04}{suffix}").write_text(text)
        for bad, text in BAD.items():
            expected[f"{bad}.py"] = "failed to run"
            (folder / "handins" / f"{bad}.py").write_text(text)
        options = "grade reference.py handins -o grades.csv -o results.json -o pages/ --memory 512".split()
        command = [sys.executable, "-m", "autograd_mini", *options]
        start = time.perf_counter()
        first = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, start_new_session=True)
        partial = folder / "grades.csv.partial"
        while first.poll() is None and (
            not partial.exists() or partial.read_bytes().count(b"\n") < count // 2
        ):
            time.sleep(0.1)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        half = time.perf_counter() - start
        print(f"killed after {partial.read_bytes().count(10) - 1} of {count} and {half:.0f} s", flush=True)
        done = subprocess.run([*command, "--resume"], cwd=folder, capture_output=True, text=True)
        total = time.perf_counter() - start
        with (folder / "grades.csv").open(encoding="utf-8", newline="") as file:
            rows = {os.path.basename(row["file"]): row for row in csv.DictReader(file)}
        turned = [name for name, verdict in expected.items() if rows[name]["verdict"] != verdict]
        unexplained = sum(row["verdict"] == "wrong" and not row["cause"] for row in rows.values())
        wrong = sum(verdict == "wrong" for verdict in expected.values())
        pages = sum(path.name.endswith(".html") for path in (folder / "pages").rglob("*"))
        print(f"lost {len(expected) - len(rows)}, other verdicts {len(turned)} {turned[:5]}, pages {pages}")
        print(f"wrong {wrong}, of which without a cause {unexplained}")
        print(f"{total:.0f} s, {total / count:.2f} s each")
        print("\n".join(done.stdout.splitlines()[count:][:20]), done.stderr)
        return 1 if turned or len(rows) < len(expected) else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, [*sys.argv[1:], *["0", "1000"][len(sys.argv) - 1 :]])))
