"""Programs where numba is broken, or the machine's cache is missing, damaged, or for reading only."""

import hashlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(script, path=(), flags=(), **environment):
    """What a new process prints, and what it says on stderr."""
    search = os.pathsep.join([*map(str, path), str(ROOT), *sys.path])
    inherited = {name: text for name, text in os.environ.items() if name != "AUTOGRAD_MINI_CACHE"}
    done = subprocess.run(
        [sys.executable, *flags, "-c", script],
        env=inherited | {"PYTHONPATH": search, "PYTHONDONTWRITEBYTECODE": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr


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


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_numba_is_one_warning_and_programs_run_without_it(kind, tmp_path):
    text, message = BROKEN[kind]
    package = tmp_path / "numba"
    package.mkdir()
    (package / "__init__.py").write_text(text)
    if text is COMPILER:
        (package / "core.py").touch()
        (package / "extending.py").write_text("def intrinsic(function):\n    return function\n")
    told, said = run(WARNED, [tmp_path])
    assert len(told) == 1
    assert told[0].startswith("RuntimeWarning: numba is installed but does not work (")
    assert message in told[0]
    assert said == ""


def test_numba_that_fails_at_the_last_function_leaves_the_others(tmp_path):
    pytest.importorskip("numba")
    (tmp_path / "numba.py").write_text(LAST.replace("FOLDER", repr(str(tmp_path))))
    left = "from autograd_mini.machine import compilation\nprint(compilation.works('run'))"
    told, _ = run(WARNED + left, [tmp_path])
    assert len(told) == 2
    assert "numba is installed but does not work (TypeError: 'NoneType' object" in told[0]
    assert told[1] == "True"


def test_numba_that_is_told_to_compile_nothing(tmp_path):
    pytest.importorskip("numba")
    told, _ = run(WARNED, NUMBA_DISABLE_JIT="1")
    assert len(told) == 1


def test_numba_that_is_not_there_is_no_warning():
    assert run("import sys; sys.modules['numba'] = None\n" + WARNED) == ([], "")


def test_where_warnings_are_errors_the_first_program_raises_it_and_the_next_runs(tmp_path):
    (tmp_path / "numba.py").write_text("1 / 0")
    script = (
        PROGRAMS
        + """
try:
    trace(lambda x: x * x, 0.0)(2.0)
except RuntimeWarning:
    programs()
    print("raised once")
"""
    )
    assert run(script, [tmp_path], ["-W", "error::RuntimeWarning"]) == (["raised once"], "")


# --- the cache --------------------------------------------------------------------------------------

# Prints how often the cache was hit and missed, then every file that was to be written.
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


from autograd_mini.machine import compilation

assert "numba" not in sys.modules
import numba

sys.addaudithook(watch)
function = compilation.compiled("count_uses")
print(sum(function._cache_hits.values()), sum(function._cache_misses.values()))
print(*written, sep="\\n")
"""
HIT, MISSED = "1 0", "0 1"


def compile_one(cache, read_only=False, before="", **environment):
    """Hits and misses of the cache, the files written, and what was said."""
    pytest.importorskip("numba")
    if cache is not None:
        environment |= {"AUTOGRAD_MINI_CACHE": str(cache)}
    (counts, *written), said = run(f"READ_ONLY = {read_only}\n{before}\n{COMPILED}", **environment)
    return counts, [path for path in written if path], said


def test_a_second_process_loads_what_the_first_compiled_and_writes_nothing(tmp_path):
    cache, elsewhere = tmp_path / "cache", {"HOME": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "other")}
    counts, written, said = compile_one(cache, **elsewhere)
    assert counts == MISSED
    assert all(Path(path).is_relative_to(cache) for path in written)
    assert [*tmp_path.iterdir()] == [cache]
    assert said == "autograd_mini: compiling the machine once for this computer, later runs load it\n"
    (file,) = cache.iterdir()
    assert file.stat().st_mode & 0o777 == 0o666 & ~umask()  # others may read it
    for read_only in (False, True):
        assert compile_one(cache, read_only, **elsewhere) == (HIT, [], "")


def umask():
    os.umask(found := os.umask(0))
    return found


def test_a_cold_cache_for_reading_only_is_compiled_in_memory(tmp_path):
    counts, written, said = compile_one(tmp_path / "cache", read_only=True)
    assert counts == MISSED
    assert {Path(path) for path in written} == {tmp_path / "cache"}
    assert said.count("compiling the machine once") == 1
    assert said.count("compiling in memory (OSError: [Errno 30] Read-only file system") == 1


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A file that the cache holds."""
    cache = tmp_path_factory.mktemp("warm")
    assert compile_one(cache)[0] == MISSED
    (file,) = cache.iterdir()
    return file


def is_whole(file):
    """Whether a file of the cache is as it was written, which opens with its hash."""
    whole = file.read_bytes()
    return len(whole) > 10_000 and hashlib.sha256(whole[32:]).digest() == whole[:32]


def test_what_a_cache_holds_is_used_where_the_rest_cannot_be_written(warm):
    script = f"READ_ONLY = True\n{COMPILED}\ncompilation.compiled('depths')"
    told, said = run(script, AUTOGRAD_MINI_CACHE=str(warm.parent))
    assert told[0] == HIT
    assert said.count("cannot be used") == 1
    assert [*warm.parent.iterdir()] == [warm]


def test_a_cache_below_a_file_is_no_cache(tmp_path):
    (tmp_path / "file").touch()
    counts, _, said = compile_one(tmp_path / "file" / "cache")
    assert counts == MISSED
    assert said.count("compiling in memory (NotADirectoryError") == 1


def test_a_computer_without_a_home_is_no_cache(tmp_path):
    before = "import pathlib\ndef home(): raise RuntimeError('no home')\npathlib.Path.home = home"
    counts, written, said = compile_one(None, before=before, XDG_CACHE_HOME="", LOCALAPPDATA="")
    assert counts == MISSED
    assert written == []
    assert said.count("compiling in memory (RuntimeError: no home)") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="limits are POSIX's")
def test_a_full_disk_leaves_no_part_of_a_file(tmp_path):
    before = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"
    counts, _, said = compile_one(tmp_path, before=before)
    assert counts == MISSED
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
def test_damage_is_compiled_again_and_mended(damaged, warm, tmp_path):
    (tmp_path / warm.name).write_bytes(damaged(warm.read_bytes()))
    counts, _, said = compile_one(tmp_path)
    assert counts == MISSED
    assert "cannot be used" not in said
    assert is_whole(tmp_path / warm.name)


def test_a_whole_file_that_numba_does_not_take_is_compiled_again(warm, tmp_path):
    content = pickle.dumps(("no", "code"))
    (tmp_path / warm.name).write_bytes(hashlib.sha256(content).digest() + content)
    assert compile_one(tmp_path)[0] == MISSED
    assert (tmp_path / warm.name).read_bytes()[32:] != content
    assert is_whole(tmp_path / warm.name)


# --- a process that forks ---------------------------------------------------------------------------

FORKED = """
import os
import threading

from autograd_mini import threads
from autograd_mini.machine import compilation


threads.cores = lambda: 4
held, done = threading.Event(), threading.Event()


def hold():
    with compilation._lock, threads._lock:
        held.set()
        done.wait()


def work(begin, end):
    parts.append((begin, end))


parts = []
threads.spread(work, 4, 10)
assert sorted(parts) == [(k, k + 1) for k in range(4)]
threading.Thread(target=hold).start()
held.wait()
child = os.fork()
if child == 0:
    parts.clear()
    free = compilation._lock.acquire(timeout=5) and threads._lock.acquire(timeout=5)
    threads._lock.release()
    threads.spread(work, 4, 10)
    os._exit(0 if free and sorted(parts) == [(k, k + 1) for k in range(4)] else 1)
print(os.waitpid(child, 0)[1])
done.set()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX forks")
def test_a_forked_process_has_locks_and_threads_of_its_own():
    assert run(FORKED, flags=["-W", "ignore"])[0] == ["0"]
