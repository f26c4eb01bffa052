"""Programs where numba is broken, or the machine's cache is missing, damaged, or for reading only."""

import hashlib
import json
import os
import pickle
import subprocess
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A process that has imported what a script needs, and runs each in a fork of its own: imports take longer
# than all that is tested here.
SERVER = """
import json
import os
import sys
import traceback

exec(sys.argv[1])
for line in sys.stdin:
    script, path, environment, out, err = json.loads(line)
    child = os.fork()
    if child:
        print(os.waitpid(child, 0)[1], flush=True)
        continue
    for stream, file in (1, out), (2, err):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), stream)
    sys.path[:0] = path
    os.environ.update(environment)
    try:
        exec(script, {"__name__": "__main__"})
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    sys.stdout.flush()
    os._exit(0)
"""


def process(arguments, path=(), environment=(), **options):
    search = os.pathsep.join([*map(str, path), str(ROOT), *sys.path])
    inherited = {name: text for name, text in os.environ.items() if name != "AUTOGRAD_MINI_CACHE"}
    given = {"PYTHONPATH": search, "PYTHONDONTWRITEBYTECODE": "1", **dict(environment)}
    return subprocess.Popen([sys.executable, *arguments], env=inherited | given, text=True, **options)


def run(script, path=(), **environment):
    """What a new process prints, and what it says on stderr."""
    pipe = subprocess.PIPE
    with process(["-c", script], path, environment, stdout=pipe, stderr=pipe) as started:
        out, err = started.communicate(timeout=120)
    assert started.returncode == 0, err
    return out.splitlines(), err


@pytest.fixture(scope="module")
def fork(tmp_path_factory):
    """A `run` in a fork of a process that has made some imports; a new process where there are no forks."""
    servers, pipe = {}, subprocess.PIPE

    def forked(imports, script, path=(), **environment):
        if imports not in servers:
            server = process(["-c", SERVER, imports], stdin=pipe, stdout=pipe, bufsize=1)
            servers[imports] = stack.enter_context(server)
            stack.callback(server.stdin.close)
        folder = tmp_path_factory.mktemp("said")
        out, err = folder / "out", folder / "err"
        asked = json.dumps([script, [*map(str, path)], environment, str(out), str(err)])
        print(asked, file=servers[imports].stdin)
        status = servers[imports].stdout.readline()
        assert status == "0\n", err.read_text()
        return out.read_text().splitlines(), err.read_text()

    with ExitStack() as stack:
        yield forked if hasattr(os, "fork") else lambda imports, *arguments, **named: run(*arguments, **named)


# --- a numba that does not work ---------------------------------------------------------------------

PROGRAMS = """
import sys
import threading
import warnings

import numpy as np

from autograd_mini import trace


def programs(threads=8):
    def work():
        program = trace(lambda x, w: np.exp(x) * w, 0.0, 0.0)
        each = program.vmap(in_axes=(None, 0))(0.0, [1.0, 2.0])
        results.append((program(0.0, 3.0), each.tolist(), program.vmap(reduce="sum")([0.0, 0.0], [1.0, 5.0])))

    results = []
    started = [threading.Thread(target=work) for _ in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    assert results == [(3.0, [1.0, 2.0], 6.0)] * threads


"""
WARNED = (
    PROGRAMS
    + """
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    programs()
for warning in told:
    print(f"{warning.category.__name__}: {warning.message}")
"""
)
COMPILER = """
from . import core, extending

carray = types = None


class Dispatcher:
    def __init__(self, function):
        self.function = function

    def compile(self, signature):
        raise NotImplementedError(f"no code for {self.function.__name__}\\nand so on")


def njit(**options):
    return Dispatcher
"""
LAST = """
import sys

del sys.modules["numba"]
sys.path = [folder for folder in sys.path if folder != FOLDER]
import numba

made = numba.njit


def njit(*functions, **options):
    def wrapped(function):
        dispatcher = made(**options)(function)
        if function.__name__ == "run_blocks":
            dispatcher.compile = None
        return dispatcher

    return made(*functions, **options) if functions else wrapped


numba.njit = njit
"""
BROKEN = {
    "refuses NumPy": ("raise ImportError('Numba needs NumPy 1.2 or less')", "ImportError: Numba needs NumPy"),
    "has no LLVM": ("import a_module_that_is_not_there", "No module named 'a_module_that_is_not_there'"),
    "raises what it likes": ("1 / 0", "ZeroDivisionError: division by zero"),
    "is no Python": ("def", "SyntaxError"),
    "lacks every name": ("", "ImportError: cannot import name 'carray'"),
    "cannot compile": (COMPILER, "(NotImplementedError: no code for tiers)"),
    "has another compiler": (
        "carray = types = 0\njit = njit = lambda **options: 0",
        "No module named 'numba.ext",
    ),
}


WITHOUT_NUMBA = "import autograd_mini.program"


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_numba_is_one_warning_and_programs_run_without_it(kind, tmp_path, fork):
    text, message = BROKEN[kind]
    package = tmp_path / "numba"
    package.mkdir()
    (package / "__init__.py").write_text(text)
    if text is COMPILER:
        (package / "core.py").touch()
        (package / "extending.py").write_text("def intrinsic(function):\n    return function\n")
    told, said = fork(WITHOUT_NUMBA, WARNED, [tmp_path])
    assert len(told) == 1
    assert told[0].startswith("RuntimeWarning: numba is installed but does not work (")
    assert message in told[0]
    assert said == ""


def test_numba_that_fails_at_the_last_function_leaves_the_others(tmp_path, fork):
    pytest.importorskip("numba")
    (tmp_path / "numba.py").write_text(LAST.replace("FOLDER", repr(str(tmp_path))))
    left = "from autograd_mini.machine import compilation\nprint(compilation.works('run'))"
    told, _ = fork(WITHOUT_NUMBA, WARNED + left, [tmp_path])
    assert len(told) == 2
    assert "numba is installed but does not work (TypeError: 'NoneType' object" in told[0]
    assert told[1] == "True"


def test_numba_that_is_told_to_compile_nothing(fork):
    pytest.importorskip("numba")
    told, _ = fork(WITHOUT_NUMBA, WARNED, NUMBA_DISABLE_JIT="1")
    assert len(told) == 1


def test_numba_that_is_not_there_is_no_warning(fork):
    assert fork(WITHOUT_NUMBA, "import sys; sys.modules['numba'] = None\n" + WARNED) == ([], "")


def test_where_warnings_are_errors_the_first_program_raises_it_and_the_next_runs(tmp_path, fork):
    (tmp_path / "numba.py").write_text("1 / 0")
    script = (
        PROGRAMS
        + """
warnings.simplefilter("error", RuntimeWarning)
try:
    trace(lambda x: x * x, 0.0)(2.0)
except RuntimeWarning:
    programs()
    print("raised once")
"""
    )
    assert fork(WITHOUT_NUMBA, script, [tmp_path]) == (["raised once"], "")


# --- the cache --------------------------------------------------------------------------------------

# Prints every file that was to be written.
COMPILED = """
import errno
import os
import sys

written = []


def watch(event, arguments):
    if event == "open" and isinstance(arguments[2], int):
        path, changes = arguments[0], arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    else:
        path, changes = arguments and arguments[0], event in ("os.mkdir", "os.rename", "os.remove")
    if changes:
        written.append(path)
        if READ_ONLY:
            raise OSError(errno.EROFS, "Read-only file system", path)


import numba

from autograd_mini.machine import compilation

sys.addaudithook(watch)
compilation.compiled("count_uses")
print(*written, sep="\\n")
"""
WITH_NUMBA = """
from autograd_mini.machine import compilation

import numba

numba.njit("f8(f8)")(lambda x: x)  # which imports what compiling needs
"""


@pytest.fixture(scope="module")
def compile_one(fork):
    """Whether something was compiled, the files written, and what was said."""
    pytest.importorskip("numba")

    def compile_one(cache, read_only=False, before="", start=None, **environment):
        if cache is not None:
            environment |= {"AUTOGRAD_MINI_CACHE": str(cache)}
        script = f"READ_ONLY = {read_only}\n{before}\n{COMPILED}"
        written, said = (start or partial(fork, WITH_NUMBA))(script, **environment)
        return "compiling the machine once" in said, [path for path in written if path], said

    return compile_one


def test_a_second_process_loads_what_the_first_compiled_and_writes_nothing(tmp_path, compile_one):
    cache, elsewhere = tmp_path / "cache", {"HOME": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "other")}
    unasked = "import sys, autograd_mini.machine.compilation; assert 'numba' not in sys.modules"
    compiled, written, said = compile_one(cache, before=unasked, start=run, **elsewhere)
    assert compiled
    assert all(Path(path).is_relative_to(cache) for path in written)
    assert [*tmp_path.iterdir()] == [cache]
    assert said == "autograd_mini: compiling the machine once for this computer, later runs load it\n"
    (file,) = cache.iterdir()
    assert file.stat().st_mode & 0o777 == 0o666 & ~umask()  # others may read it
    for read_only in (False, True):
        assert compile_one(cache, read_only, **elsewhere) == (False, [], "")


def umask():
    os.umask(found := os.umask(0))
    return found


def test_a_cold_cache_for_reading_only_is_compiled_in_memory(tmp_path, compile_one):
    compiled, written, said = compile_one(tmp_path / "cache", read_only=True)
    assert compiled
    assert {Path(path) for path in written} == {tmp_path / "cache"}
    assert said.count("compiling the machine once") == 1
    assert said.count("compiling in memory (OSError: [Errno 30] Read-only file system") == 1


@pytest.fixture(scope="module")
def warm(tmp_path_factory, compile_one):
    """A file that the cache holds."""
    cache = tmp_path_factory.mktemp("warm")
    assert compile_one(cache)[0]
    (file,) = cache.iterdir()
    return file


def is_whole(file):
    """Whether a file of the cache is as it was written, which opens with its hash."""
    whole = file.read_bytes()
    return len(whole) > 10_000 and hashlib.sha256(whole[32:]).digest() == whole[:32]


def test_what_a_cache_holds_is_used_where_the_rest_cannot_be_written(warm, fork, compile_one):
    assert compile_one(warm.parent, read_only=True) == (False, [], "")
    script = f"READ_ONLY = True\n{COMPILED}\ncompilation.compiled('depths')"
    _, said = fork(WITH_NUMBA, script, AUTOGRAD_MINI_CACHE=str(warm.parent))
    assert said.count("cannot be used") == 1
    assert [*warm.parent.iterdir()] == [warm]


def test_a_cache_below_a_file_is_no_cache(tmp_path, compile_one):
    (tmp_path / "file").touch()
    compiled, _, said = compile_one(tmp_path / "file" / "cache")
    assert compiled
    assert said.count("compiling in memory (NotADirectoryError") == 1


def test_a_computer_without_a_home_is_no_cache(tmp_path, compile_one):
    before = "import pathlib\ndef home(): raise RuntimeError('no home')\npathlib.Path.home = home"
    compiled, written, said = compile_one(None, before=before, XDG_CACHE_HOME="", LOCALAPPDATA="")
    assert compiled
    assert written == []
    assert said.count("compiling in memory (RuntimeError: no home)") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="limits are POSIX's")
def test_a_full_disk_leaves_no_part_of_a_file(tmp_path, compile_one):
    before = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"
    compiled, _, said = compile_one(tmp_path, before=before)
    assert compiled
    assert said.count("compiling in memory (OSError") == 1
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    "damaged",
    [
        lambda content: b"",
        lambda content: content[:1000],
        lambda content: b"garbage" * 1000,
        lambda content: content[:9000] + bytes([content[9000] ^ 1]) + content[9001:],
    ],
    ids=["empty", "truncated", "garbage", "one bit"],
)
def test_damage_is_compiled_again_and_mended(damaged, warm, tmp_path, compile_one):
    (tmp_path / warm.name).write_bytes(damaged(warm.read_bytes()))
    compiled, _, said = compile_one(tmp_path)
    assert compiled
    assert "cannot be used" not in said
    assert is_whole(tmp_path / warm.name)


def test_a_whole_file_that_numba_does_not_take_is_compiled_again(warm, tmp_path, compile_one):
    content = pickle.dumps(("no", "code"))
    (tmp_path / warm.name).write_bytes(hashlib.sha256(content).digest() + content)
    assert compile_one(tmp_path)[0]
    assert (tmp_path / warm.name).read_bytes()[32:] != content
    assert is_whole(tmp_path / warm.name)


# --- a process that forks ---------------------------------------------------------------------------

# One thread of the parent is compiling, another makes the threads of the pool: both hold a lock.
FORKED = """
import concurrent.futures
import os
import signal
import sys
import threading
import time
from types import ModuleType

from autograd_mini import threads
from autograd_mini.machine import compilation

parent, reached, done = os.getpid(), threading.Semaphore(0), threading.Event()


def wait(*arguments):
    if os.getpid() == parent:
        reached.release()
        done.wait()
    raise ImportError("no compiler")


class Pool(concurrent.futures.ThreadPoolExecutor):
    def __init__(self, *arguments):
        if os.getpid() == parent:
            reached.release()
            done.wait()
        super().__init__(*arguments)


def parts():
    found = []
    threads.spread(lambda begin, end: found.append((begin, end)), 4, 10)
    return sorted(found)


def status_of_child():
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        compiles = compilation.works("run")
        os._exit(int(compiles or parts() != [(0, 2), (2, 4)]))
    return os.waitpid(child, 0)[1]


sys.modules["numba"], sys.modules["numba.extending"] = numba, extending = ModuleType("numba"), ModuleType("e")
numba.carray = numba.njit = numba.types = None
extending.intrinsic = wait
concurrent.futures.ThreadPoolExecutor = Pool
threads.cores = lambda: 2
held = [threading.Thread(target=compilation.works, args=("run",)), threading.Thread(target=parts)]
for thread in held:
    thread.start()
    reached.acquire()
print(status_of_child())
done.set()
for thread in held:
    thread.join()
time.sleep(0.2)  # till the pool's threads wait for work
print(status_of_child())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX forks")
def test_a_forked_process_has_locks_and_threads_of_its_own():
    assert run(FORKED)[0] == ["0", "0"]
