"""A file is written whole or not at all: pictures, pages, tables, and the cache of the machine."""

import errno
import os
import stat
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from autograd_mini import Value, draw, files
from autograd_mini.command_line import grading, main
from autograd_mini.files import write

resource = pytest.importorskip("resource", reason="this system limits no files")


@contextmanager
def full_disk(size=100):
    """No file grows beyond so many bytes, and Python does not cut its own short."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE), sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[0][1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before[0])
        sys.dont_write_bytecode = before[1]


def drawing():
    return draw(Value(3.0, label="x") * 2.0)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"mine")
    return path


def check_is_untouched(path):
    assert path.read_bytes() == b"mine"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


# --- all or nothing ---


@pytest.mark.parametrize("format", ["svg", "png", "html", "dot"])
def test_a_full_disk_leaves_the_picture_that_was_there(tmp_path, format):
    path = tmp_path / f"picture.{format}"
    path.write_bytes(b"mine")
    with full_disk(), pytest.raises(OSError, match=f"too large: '{path}'"):
        drawing().save(path)
    check_is_untouched(path)


def test_a_full_disk_leaves_the_table_that_was_there_and_the_grades_for_another_time(
    tmp_path, capsys, monkeypatch
):
    table = tmp_path / "tables" / "grades.csv"
    table.parent.mkdir()
    table.write_bytes(b"mine")
    (tmp_path / "reference.py").write_text("def loss(x): return x * x\nat = {'x': 3.0}\n")
    (tmp_path / "hand.py").write_text("def d_x(x): return 2 * x\n")

    def on_a_full_disk(path, content):  # which the hand-ins shall not meet
        with full_disk(10):
            write(path, content)

    files = [str(tmp_path / name) for name in ("reference.py", "hand.py")]
    with monkeypatch.context() as patched:
        patched.setattr(grading, "write", on_a_full_disk)
        assert main(["grade", *files, "-o", str(table)]) == 2
    errors = capsys.readouterr().err
    assert f"{table}: File too large" in errors
    assert f"grades so far are in {table}.partial; --resume goes on" in errors
    assert table.read_bytes() == b"mine"
    assert main(["grade", *files, "-o", str(table), "--resume"]) == 0
    assert table.read_text().splitlines()[1].startswith(f"{files[1]},right,1,1,")
    assert [entry.name for entry in table.parent.iterdir()] == [table.name]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_at_any_line_leaves_the_old_or_the_new(path):
    content = b"x" * 10**6
    for count in range(1000):
        path.write_bytes(b"mine")
        left = iter(range(count))

        def trace(frame, event, argument, left=left):
            if frame.f_code.co_filename != files.__file__:
                return None
            if event == "line" and next(left, None) is None:
                sys.settrace(None)
                raise KeyboardInterrupt
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            write(path, content)
        except KeyboardInterrupt:
            assert path.read_bytes() in (b"mine", content)
            assert [entry.name for entry in path.parent.iterdir()] == ["file"]
        else:
            break
        finally:
            sys.settrace(before)
    assert count > 10
    assert path.read_bytes() == content


@pytest.mark.parametrize("call", ["chmod", "replace"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError(errno.EBUSY, "busy")])
def test_what_fails_at_the_end_leaves_what_was_there(path, monkeypatch, call, error):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(error if isinstance(error, type) else OSError):
        write(path, b"new")
    check_is_untouched(path)


def test_a_reader_sees_one_or_the_other(path):
    contents = [letter * 10**6 for letter in (b"a", b"b")]
    write(path, contents[0])
    done = threading.Event()
    seen = []

    def read():
        while not done.is_set():
            seen.append(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(40):
        write(path, contents[i % 2])
    done.set()
    reader.join()
    assert all(found in contents for found in seen)


# --- as `open` would leave it ---


def test_permissions_are_those_of_any_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "new", b"new")
        (tmp_path / "opened").write_bytes(b"new")
    finally:
        os.umask(before)
    new, opened = (stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new", "opened"))
    assert new == opened == 0o640


@pytest.mark.parametrize("mode", [0o600, 0o604, 0o755, 0o222, 0o777])
def test_permissions_that_a_file_has_stay(path, mode):
    path.chmod(mode)
    write(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_stays(path):
    os.chown(path, 1234, 2345)
    write(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write to all")
def test_a_file_that_may_not_be_written_is_not_replaced(path):
    path.chmod(0o444)
    with pytest.raises(PermissionError, match=f"'{path}'"):
        write(path, b"new")
    check_is_untouched(path)


def test_a_link_stays_and_its_file_changes(tmp_path):
    (tmp_path / "folder").mkdir()
    target = tmp_path / "folder" / "target"
    target.write_bytes(b"mine")
    (tmp_path / "first").symlink_to("second")
    (tmp_path / "second").symlink_to("folder/target")
    write(tmp_path / "first", b"new")
    assert (tmp_path / "first").is_symlink()
    assert (tmp_path / "second").is_symlink()
    assert target.read_bytes() == b"new"
    assert [entry.name for entry in target.parent.iterdir()] == ["target"]
    target.unlink()
    write(tmp_path / "first", b"again")
    assert target.read_bytes() == b"again"


def test_a_link_to_itself_is_an_error_and_stays(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match=f"'{tmp_path / 'loop'}'"):
        write(tmp_path / "loop", b"new")
    assert (tmp_path / "loop").is_symlink()
    assert len(list(tmp_path.iterdir())) == 1


def test_any_name_that_a_file_may_have(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ["n" * 255, "ü 漢 🎉", " ", "-o", "a\nb", "x.tmp"]:
        write(name, b"new")
        assert (tmp_path / name).read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 6


# --- what is no file, or cannot be one ---


def test_a_pipe_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write(tmp_path / "pipe", b"x" * 10**6)
    reader.join()
    assert read == [b"x" * 10**6]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


CODE = """
import sys
from autograd_mini.files import write
print("one", flush=True)
write(sys.argv[1], b"two\\n")
"""


@pytest.mark.parametrize("name", ["/dev/stdout", "/proc/self/fd/1"])
def test_the_output_goes_on(path, name):
    if not os.path.exists(name):
        pytest.skip("this system does not name its streams so")
    command = [sys.executable, "-c", CODE, name]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"one\ntwo\n"
    with path.open("ab") as file:
        subprocess.run(command, stdout=file, check=True)
    assert path.read_bytes() == b"mineone\ntwo\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
def test_a_device_that_is_full():
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        write("/dev/full", b"new")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("missing/file", FileNotFoundError),
        ("file/file", NotADirectoryError),
        (".", IsADirectoryError),
        ("n" * 256, OSError),
    ],
)
def test_errors_name_the_file_that_was_asked_for(path, name, error):
    with pytest.raises(error) as raised:
        write(path.parent / name, b"new")
    assert raised.value.filename == str(path.parent / name)
    assert type(raised.value) is error
    check_is_untouched(path)
