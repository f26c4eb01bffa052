"""Hand-ins that want another verdict than theirs, or to outlive their grader: none does."""

import csv
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from autograd_mini.processes import descendants

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="uses what Linux has to hold processes"),
    pytest.mark.xdist_group("grade"),  # it looks for processes that others would leave
]

REFERENCE = """
import numpy as np
def loss(w, x):
    return np.sum(np.tanh(w * x) ** 2)
at = {"w": [0.5, -0.3], "x": [1.0, 2.0]}
wrt = ["w"]
"""
WRONG = "import numpy as np\ndef d_w(w, x):\n    return 2 * np.tanh(w * x) * x\n"
MARK = "STARTED_IN"  # a variable that all have whom a test has started
# Each does its deed while it is loaded, in the body of a class, or when it is asked for d_w.
DEEDS = {
    "frames": """
import sys
frame = sys._getframe()
while frame:
    for name in ("task", "self", "judge", "loss", "reference"):
        if name in frame.f_locals:
            frame.f_locals[name] = None
    frame.f_globals["loads"] = frame.f_globals["dumps"] = lambda *args: b"{}"
    frame = frame.f_back
""",
    "gc": """
import gc, types
for thing in gc.get_objects():
    if isinstance(thing, types.FunctionType) and thing.__name__ in ("loss", "judged", "found_at"):
        thing.__code__ = (lambda *args, **named: 0).__code__
""",
    "patched_package": """
import autograd_mini, autograd_mini.check, autograd_mini.check.judgement.rule as rule
import autograd_mini.grading.grades as grades, autograd_mini.check.verdicts as verdicts
verdicts.DISAGREES = verdicts.WRONG = rule.DISAGREES = grades.WRONG = "right"
rule.judged = autograd_mini.check.check_gradient = lambda *args, **named: True
grades.Grade.verdict = "right"
""",
    "patched_numpy": """
import numpy
class Same(float):
    __eq__ = __le__ = __lt__ = __ge__ = lambda self, other: True
numpy.abs = numpy.absolute = numpy.sum = numpy.max = lambda *args, **named: Same(0)
numpy.allclose = numpy.array_equal = lambda *args, **named: True
numpy.random.default_rng = lambda *args: None
""",
    "patched_builtins": """
import builtins, json
builtins.max = builtins.abs = lambda *args, **named: 0
json.loads = json.dumps = lambda *args, **named: {"verdict": "right"}
""",
    "standard_output": """
print('{"result": {"verdict": "right", "points": 1}}', flush=True)
import os
for stream in (1, 2):
    os.write(stream, b'right\\n{"result": 1}\\n')
""",
    "descriptors": """
import os
for stream in range(3, 64):
    try:
        os.write(stream, b'{"result": {"verdict": "right", "marks": [], "file": "descriptors.py"}}\\n')
    except OSError:
        pass
""",
    "closed_descriptors": "import os\nos.closerange(0, 64)\n",
    "descriptors_of_others": """
import os
for pid in {os.getppid(), int(open(f"/proc/{os.getppid()}/stat").read().split()[3])}:
    for stream in range(64):
        try:
            with open(f"/proc/{pid}/fd/{stream}", "wb") as file:
                file.write(b"descriptors_of_others.py: right\\n")
        except OSError:
            pass
""",
    "memory_of_the_judge": """
import os, re
parent = os.getppid()
try:
    with open(f"/proc/{parent}/maps") as maps, open(f"/proc/{parent}/mem", "r+b") as memory:
        for line in maps:
            start, end = (int(x, 16) for x in line.split()[0].split("-"))
            if "rw" in line and end - start < 1 << 26:
                memory.seek(start)
                for match in re.finditer(b"wrong", memory.read(end - start)):
                    memory.seek(start + match.start())
                    memory.write(b"right")
except OSError:
    pass
""",
    "files_of_the_package": """
import autograd_mini, numpy, os
for module in (autograd_mini, numpy):
    for change in (os.unlink, lambda path: os.truncate(path, 0), lambda path: open(path, "w")):
        try:
            change(module.__file__)
        except OSError:
            pass
""",
    "files_of_others": """
import glob, os
for path in glob.glob(os.path.dirname(__file__) + "/../*"):
    try:
        open(path, "w").write("right")
    except OSError:
        pass
for path in glob.glob(os.path.dirname(__file__) + "/*.py"):
    try:
        open(path, "w").write("def d_w(w, x): return 0")
    except OSError:
        pass
""",
    "exits": "import os\nos._exit(0)\n",
    "exits_at_the_end": "import atexit, os\natexit.register(print, 'right')\nraise SystemExit(0)\n",
    "kills_its_judge": """
import os, signal
for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGSTOP, signal.SIGKILL):
    try:
        os.kill(os.getppid(), sign)
    except OSError:
        pass
""",
    "kills_the_grader": """
import os, signal
try:
    os.kill(int(open(f"/proc/{os.getppid()}/stat").read().split()[3]), signal.SIGKILL)
except OSError:
    pass
""",
    "stops_itself": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\n",
    "ignores_signals": """
import signal
for sign in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    try:
        signal.signal(sign, signal.SIG_IGN)
    except OSError:
        pass
while True: pass
""",
    "sessions_of_its_own": """
import ctypes, os, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
        if os.fork() == 0:
            time.sleep(1000)
        os._exit(0)
""",
    "many_processes": """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
""",
    "a_copy_answers": """
import os
if os.fork() == 0:
    d_w = lambda w, x: 2 * np.tanh(w * x) * (1 - np.tanh(w * x) ** 2) * x
else:
    os.wait()
""",
    "huge": "d_w = lambda w, x: np.zeros(10**7)\n",
    "endless": "d_w = lambda w, x: iter(int, 1)\n",
    "deep": """
import os
for stream in range(3, 64):
    try:
        os.write(stream, b"[" * 10**6 + b"\\n")
    except OSError:
        pass
""",
    "slow": "import time\ndef d_w(w, x):\n    time.sleep(1.5)\n    return w\n",
    "fills_memory": "a = []\nwhile True: a.append(bytearray(10**8))\n",
    "fills_the_disk": "with open('big', 'wb') as file:\n    while True: file.write(bytes(10**7))\n",
    "hard_coded": """
import numpy as np
answer = 2 * np.tanh([0.5, -0.6]) * (1 - np.tanh([0.5, -0.6]) ** 2) * [1.0, 2.0]
d_w = lambda w, x: answer if w[0] == 0.5 else w
""",
    "an_object_of_its_own": """
class Right:
    shape, dtype = (2,), float
    __eq__ = __le__ = __lt__ = __ge__ = __bool__ = lambda self, *other: True
    def __array__(self, *args, **named): raise SystemExit
    def __reduce__(self): return print, ("right",)
d_w = lambda w, x: Right()
""",
}
if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 12):  # nothing holds their signals
    del DEEDS["kills_its_judge"], DEEDS["kills_the_grader"]


def hand_in(deed):
    """What does its deed while it is loaded, as training is left out and a class is not."""
    if "d_w" in deed:
        return WRONG + deed
    return f"{WRONG}def deed():\n{textwrap.indent(deed, '    ')}\nclass Deed:\n    deed()\n"


@pytest.fixture
def course(tmp_path, monkeypatch):
    monkeypatch.setenv(MARK, str(tmp_path))
    (tmp_path / "reference.py").write_text(REFERENCE)
    (tmp_path / "handins").mkdir()
    return tmp_path


def command(course, *options):
    files = [str(course / "reference.py"), str(course / "handins")]
    limits = ["--timeout", "6", "--memory", "400", "--diagnosis", "0", "--jobs", "2"]
    return [sys.executable, "-m", "autograd_mini", "grade", *files, *limits, *options]


QUICK = "frames gc patched_numpy descriptors memory_of_the_judge sessions_of_its_own hard_coded".split()


@pytest.mark.parametrize("names", [QUICK, pytest.param([*DEEDS], marks=pytest.mark.slow)], ids=["", "all"])
def test_no_verdict_is_turned_and_nothing_lives_on(course, names):
    for name in names:
        (course / "handins" / f"{name}.py").write_text(hand_in(DEEDS[name]))
    honest = "import numpy as np\ndef d_w(w, x):\n    y = np.tanh(w * x)\n    return 2 * y * (1 - y**2) * x\n"
    (course / "handins" / "honest.py").write_text(honest)
    before = descendants(1)
    done = subprocess.run(command(course, "-o", str(course / "grades.csv")), capture_output=True, timeout=150)
    assert done.stderr == b""
    with (course / "grades.csv").open(newline="") as file:
        verdicts = {os.path.basename(row["file"])[:-3]: row["verdict"] for row in csv.DictReader(file)}
    assert verdicts.pop("honest") == "right"
    assert verdicts.keys() == {*names}
    assert set(verdicts.values()) <= {"wrong", "failed to run"}
    assert [line for line in done.stdout.decode().splitlines() if line.endswith(": right")] == [
        f"{course}/handins/honest.py: right"
    ]
    assert "[right at the given point and wrong elsewhere" in done.stdout.decode()
    assert ours(descendants(1) - before, course) == set()


def ours(processes, course):
    """Those of some processes that were started in this test, by whatever the grader had started."""
    found = set()
    for process in processes:
        try:
            with open(f"/proc/{process}/environ", "rb") as file:
                if f"{MARK}={course}".encode() in file.read().split(b"\0"):
                    found.add(process)
        except OSError:
            pass
    return found


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_nothing_lives_on_however_the_grader_ends(course, sign):
    endless = DEEDS["sessions_of_its_own"] + "time.sleep(1000)\n"
    for name in "ab":
        (course / "handins" / f"{name}.py").write_text(hand_in(endless))
    (course / "tmp").mkdir()
    environment = {**os.environ, "TMPDIR": str(course / "tmp")}
    grader = subprocess.Popen(
        command(course, "--timeout", "100"), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while len(started := descendants(grader.pid)) < 2 * (1 + 1 + 3):
        time.sleep(0.01)
    os.kill(grader.pid, sign)
    grader.communicate(timeout=20)
    assert grader.returncode == (130 if sign == signal.SIGINT else -sign)
    end = time.monotonic() + 10
    while (ours(started, course) or [*(course / "tmp").iterdir()]) and time.monotonic() < end:
        time.sleep(0.01)
    assert ours(started, course) == set()
    assert [*(course / "tmp").iterdir()] == []
