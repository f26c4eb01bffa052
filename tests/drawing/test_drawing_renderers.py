"""A renderer that misbehaves is held to its limits, replaced, or named in a sentence."""

import gc
import os
import time
import warnings

import pytest

from autograd_mini import Value, draw
from autograd_mini.command_line import main
from autograd_mini.drawing import layout
from autograd_mini.drawing.page import live_page

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")

SVG = "http://www.w3.org/2000/svg"
PNG = "\\211PNG\\r\\n\\032\\n"
NO_PICTURES = {
    "echoes": "echo hello",
    "says nothing": "true",
    "asks to wait": "echo 'loading, please wait'; echo '<svg>' >&2",
    "writes HTML": "echo '<html><body>502 Bad Gateway</body></html>'",
    "stops half-way": f"echo '<svg xmlns=\"{SVG}\"><g><g>'",
    "draws nothing": f"echo '<svg xmlns=\"{SVG}\"/>'",
    "draws an empty group": f"echo '<svg xmlns=\"{SVG}\"><g/></svg>'",
    "draws in no namespace": "echo '<svg><g><path/></g></svg>'",
    "writes a PNG": f"printf '{PNG}'",
    "writes noise": "printf '\\377\\376\\000\\001\\200'",
    "writes Latin-1": f"printf '<svg xmlns=\"{SVG}\"><g><text>\\351</text></g></svg>'",
    "nests entities": 'echo \'<!DOCTYPE s [<!ENTITY a "&b;&b;"><!ENTITY b "&a;">]><svg>&a;</svg>\'',
}
FAILURES = {
    "fails": "echo 'Error: out of paper' >&2; exit 1",
    "fails with noise": "printf '\\377\\200\\033[31m\\a\\rred' >&2; exit 3",
    "crashes": "kill -SEGV $$",
    "ends by a signal without a name": "kill -40 $$",
    "draws and fails": f"echo '<svg xmlns=\"{SVG}\"><g><path/></g></svg>'; exit 2",
    "does not read": "exec <&-; echo hello",
}
UNSTARTED = {
    "has no interpreter": "#!/no/such/interpreter\n",
    "is no program": "\x7fELF and so on",
    "is a library": "\0\1\2\3",
}


@pytest.fixture
def dot(tmp_path_factory, monkeypatch):
    """Puts a script in the place of the system's ``dot``."""

    def put(script):
        folder = tmp_path_factory.mktemp("bin")
        path = folder / "dot"
        path.write_text(script if script in UNSTARTED.values() else f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
        return str(path)

    return put


@pytest.fixture
def alone(dot, monkeypatch):
    """The same where no other renderer is installed."""

    def put(script):
        path = dot(script)
        monkeypatch.setattr(layout, "programs", lambda: [path])

    return put


@pytest.fixture
def bundled():
    found = [program for program in layout.programs() if "graphviz-pure" in program]
    if not found:
        pytest.skip("graphviz-pure has no wheel here")
    return found[0]


def drawing():
    x = Value(3.0, label="x")
    return draw(x * x)


@pytest.mark.parametrize("script", [*NO_PICTURES.values(), *FAILURES.values(), *UNSTARTED.values()])
def test_the_bundled_renderer_stands_in_with_a_remark(tmp_path, dot, bundled, script):
    dot(script)
    path = tmp_path / "picture.svg"
    path.write_text("mine")
    with pytest.warns(RuntimeWarning, match=r"^dot could not .*; graphviz-pure stands in for it$") as remarks:
        drawing().save(path)
    assert len(remarks) == 1
    assert remarks[0].filename == __file__
    assert path.read_text().count(">∂ 3<") == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it is said once
        assert drawing()._repr_svg_() == path.read_text()
        drawing().save(tmp_path / "picture.html")


@pytest.mark.parametrize("script", [*NO_PICTURES.values(), *FAILURES.values(), *UNSTARTED.values()])
def test_without_another_it_is_a_sentence(tmp_path, alone, script):
    alone(script)
    for name in ("picture.svg", "picture.png", "picture.html"):
        path = tmp_path / name
        path.write_text("mine")
        if name == "picture.png" and script == NO_PICTURES["writes a PNG"]:
            script = "it is cut off after its first bytes"
        with pytest.raises(RuntimeError, match=r"^dot could not .*$") as raised:
            drawing().save(path)
        assert str(raised.value).isprintable()
        assert path.read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 3
    shown = drawing()._repr_mimebundle_()
    assert shown == {"text/plain": f"{shown['text/plain'].partition(chr(10))[0]}\n\n{drawing().source}"}
    assert shown["text/plain"].startswith("dot could not ")
    assert drawing()._repr_svg_() is None


@pytest.mark.parametrize(
    "format", "png pdf ps eps gif jpg webp bmp tif ico svgz json xdot plain cmapx fig vrml tk pov pic".split()
)
@pytest.mark.parametrize("script", ["echo hello", "printf '\\000\\377'", "echo '<svg/>'", ":"])
def test_no_format_is_taken_on_trust(tmp_path, alone, format, script):
    alone(script)
    with pytest.raises(RuntimeError, match=f"^dot could not lay the graph out: it wrote no {format}$"):
        drawing().save(tmp_path / f"picture.{format}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", "svg png jpg json xdot plain canon".split())
def test_what_the_bundled_renderer_writes_is_taken(bundled, monkeypatch, format):
    monkeypatch.setattr(layout, "programs", lambda: [bundled])
    assert layout.render(drawing().source, format)


def test_a_format_that_one_of_them_lacks_is_no_misbehaviour(dot, bundled):
    dot('echo "Format: \\"svg\\" not recognized. Use one of: dot" >&2; exit 1')
    assert drawing()._repr_svg_()


def test_the_first_error_is_told_if_neither_draws(tmp_path, dot, bundled):
    dot("echo 'Error: out of paper' >&2; exit 1")
    with pytest.raises(RuntimeError, match=r"^dot could not lay the graph out: Error: out of paper$"):
        drawing().save(tmp_path / "picture.pdf")


HANGING = {
    "sleeps": "sleep 100",
    "waits for a child": "sleep 100 & wait",
    "stops itself": "kill -STOP $$",
    "ignores signals": "trap '' TERM INT HUP; while :; do sleep 0.01; done",
    "closes its output": "exec >&- 2>&-; sleep 100",
    "draws, and stays": f"echo '<svg xmlns=\"{SVG}\"><g><path/></g></svg>'; sleep 100",
}


@pytest.mark.parametrize("script", HANGING.values())
def test_a_renderer_that_hangs_is_ended_in_time(tmp_path, alone, script):
    alone(script)
    for name in ("picture.svg", "picture.html"):
        start = time.perf_counter()
        with pytest.raises(
            TimeoutError, match=r"^dot did not lay the graph out within 0\.2 s: .*limit=.*timeout=$"
        ):
            drawing().save(tmp_path / name, timeout=0.2)
        assert time.perf_counter() - start < 5
    assert not list(tmp_path.iterdir())


def test_a_stand_in_has_time_left(tmp_path, dot, bundled):
    dot("sleep 100")
    with pytest.warns(RuntimeWarning, match=r"^dot did not .* within 1 s.*; graphviz-pure stands in for it$"):
        assert drawing().save(tmp_path / "picture.svg", timeout=2).read_bytes().startswith(b"<?xml")


@pytest.mark.parametrize("script", ["yes", "yes >&2", "cat /dev/zero", "yes & yes >&2 & yes"])
def test_output_without_end_is_not_kept(alone, monkeypatch, script):
    alone(script)
    monkeypatch.setattr(layout, "LARGEST", 1 << 20)
    start = time.perf_counter()
    with pytest.raises(RuntimeError, match=r"it wrote more than 1,048,576 bytes$"):
        layout.render(drawing().source, "svg")
    assert time.perf_counter() - start < 20


@pytest.mark.parametrize("ending", ["echo hello", "kill -9 $$", "sleep 100"])
def test_what_a_renderer_started_ends_with_it(tmp_path, alone, ending):
    beats = tmp_path / "beats"
    beat = f"while :; do echo beat >> {beats}; sleep 0.01; done"
    alone(f"({beat}) &\n(trap '' TERM HUP; {beat}) &\nwhile [ ! -e {beats} ]; do sleep 0.01; done\n{ending}")
    with pytest.raises((RuntimeError, TimeoutError)):
        layout.render(drawing().source, "svg", timeout=2)
    size = beats.stat().st_size
    time.sleep(0.2)
    assert beats.stat().st_size == size


def test_a_large_graph_is_not_waited_for_where_nobody_reads_it(alone):
    alone("exec <&-; sleep 100")
    with pytest.raises(TimeoutError):
        layout.render("digraph {" + " " * 10**6 + "}", "svg", timeout=0.2)


def test_no_pipe_is_left_open(alone):
    alone("echo hello")
    for _ in range(3):
        with pytest.raises(RuntimeError):
            layout.render("digraph {}", "svg")
    gc.collect()  # a warning of what was left would be an error here


def test_a_page_of_another_picture_is_a_page(alone):
    """A picture that lacks the graph's nodes, or has others, is drawn as far as it goes."""
    alone(
        f'echo \'<svg xmlns="{SVG}"><g><path/><g id="n0"/><g id="n77"><path d="M0,0"/></g>'
        '<g class="edge"/></g></svg>\''
    )
    assert live_page(drawing()).html.startswith("<!DOCTYPE html>")


def test_on_the_command_line_the_remark_is_a_line_without_code(tmp_path, dot, bundled, capsys, monkeypatch):
    dot("echo hello")
    monkeypatch.setattr(layout, "_misbehaved", set())
    path = tmp_path / "graph.svg"
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert main(["draw", "x*x", "x=3", "-o", str(path)]) == 0
    remark = "dot could not lay the graph out: it wrote no svg; graphviz-pure stands in for it"
    assert capsys.readouterr() == (f"{path}\n", f"autograd-mini: {remark}\n")


@pytest.mark.parametrize("timeout", ["60", float("nan"), -1])
def test_a_timeout_is_a_number_of_seconds(tmp_path, timeout):
    for name in ("picture.svg", "page.html"):
        with pytest.raises(ValueError, match="save: timeout must be a number of seconds or None, got "):
            drawing().save(tmp_path / name, timeout)
    assert not list(tmp_path.iterdir())
