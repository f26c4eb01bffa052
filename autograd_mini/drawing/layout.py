"""Graphviz: the program that lays a graph out and writes the picture, and what it is held to."""

from __future__ import annotations

import os
import re
import sys

INSTALL = (
    "drawing needs Graphviz: install it from https://graphviz.org/download, "
    "or run 'python -m pip install graphviz-pure'"
)
LARGEST = 1 << 26  # bytes of a picture
LENGTHS = "svg svgz pdf ps ps2 eps".split()  # formats of lengths, which know no dots
SCALES = b'<svg style="max-width:100%;height:auto" '
SVG = "{http://www.w3.org/2000/svg}"
FORMS = {  # how files of these formats begin and end; others have no sign of their own
    "png": rb"\x89PNG\r\n\x1a\n.*IEND.{4}",
    "pdf": rb"%PDF-.*%%EOF\s*",
    "ps ps2 eps": rb"%!PS.*%%EOF\s*",
    "gif": rb"GIF8.*;",
    "jpg jpeg jpe": rb"\xff\xd8.*\xff\xd9",
    "jp2": rb"\0\0\0\x0cjP.*",
    "webp": rb"RIFF.{4}WEBP.*",
    "bmp": rb"BM.*",
    "wbmp": rb"\0\0.*",
    "tif tiff": rb"(II\*\0|MM\0\*).*",
    "ico": rb"\0\0\x01\0.*",
    "psd": rb"8BPS.*",
    "sgi": rb"\x01\xda.*",
    "exr": rb"v/1\x01.*",
    "gd gd2": rb"(\xff|gd2).*",
    "svgz vmlz": rb"\x1f\x8b.*",
    "vml": rb"\s*<.*>\s*",
    "json json0 dot_json xdot_json": rb"\s*\{.*\}\s*",
    "canon xdot xdot1.2 xdot1.4": rb"\s*(strict\s+)?(di)?graph\b.*\}\s*",
    "plain plain-ext": rb"graph .*stop\s*",
    "cmap": rb"\s*<area .*",
    "cmapx cmapx_np": rb"\s*<map .*</map>\s*",
    "imap imap_np": rb"base .*",
    "fig": rb"#FIG .*",
    "vrml": rb"#VRML .*",
    "pov": rb"#version .*",
    "tk": rb"#.*",
    "pic": rb'\.\\".*',
}

_misbehaved: set[str] = set()  # programs that another stood in for, which are now asked last


def render(source: str, format: str, timeout: float | None = 60.0, dpi: float | None = None) -> bytes:
    """The picture that Graphviz makes of ``source``: the system's ``dot`` or, in its stead, the bundled one.

    An SVG is scaled down to the width of what it stands in; others have ``dpi`` dots per inch. If the first
    program does not start, fails, hangs or writes no picture of this format, the other stands in for it, now
    and from then on, and a RuntimeWarning says so. Each has its share of the time; what it has started ends
    with it.

    Raises ValueError for a format that cannot be written or a time that is none, RuntimeError if there is no
    Graphviz or its layout fails, TimeoutError if it takes longer than ``timeout`` seconds.
    """
    import math
    import time
    import warnings

    import graphviz

    if timeout is not None and not (isinstance(timeout, (int, float)) and timeout >= 0):
        raise ValueError(f"save: timeout must be a number of seconds or None, got {timeout!r}")
    if format not in graphviz.FORMATS:
        raise ValueError(f"save: the suffix must name a format, such as .svg, .png or .dot, got {format!r}")
    found = sorted(programs(), key=_misbehaved.__contains__)
    if not found:
        raise RuntimeError(INSTALL)
    end = time.monotonic() + (math.inf if timeout is None else timeout)
    errors: dict[str, Exception] = {}
    for program in found:
        share = max(0.0, end - time.monotonic()) / (len(found) - len(errors))
        try:
            picture = _drawn_by(program, source, format, share, dpi)
        except (RuntimeError, TimeoutError, ValueError) as error:
            errors[program] = error
            continue
        for other, why in errors.items():
            if other not in _misbehaved and not isinstance(why, ValueError):
                _misbehaved.add(other)
                warnings.warn(f"{why}; {_name(program)} stands in for it", RuntimeWarning, stacklevel=3)
        return picture.replace(b"<svg ", SCALES, 1) if format == "svg" else picture
    raise next(iter(errors.values()))


def _drawn_by(program: str, source: str, format: str, timeout: float, dpi: float | None) -> bytes:
    from autograd_mini.processes import printable, run

    name = _name(program)
    try:
        command = [
            program,
            "-Kdot",
            f"-T{format}",
            *([f"-Gdpi={dpi:g}"] if dpi and format not in LENGTHS else []),
        ]
        done = run(command, source.encode(), timeout=timeout, size=LARGEST)
    except OSError as error:
        raise RuntimeError(f"{name} could not be started: {error}") from error
    if done.status is None:
        raise TimeoutError(
            f"{name} did not lay the graph out within {timeout:.3g} s: draw less of it with limit=, "
            "collapse=, sums=True or constants=False, or give it more time with timeout="
        )
    if not done.trouble and _is_picture(done.output, format):
        return done.output
    said = printable(done.errors.decode(errors="replace").strip().partition("\n")[0][:500])
    if "not recognized" in said:
        other = "" if name == "dot" else "; .svg, .png and .dot work, and Graphviz's own dot writes more"
        raise ValueError(f"save: {name} cannot write {format!r}{other}")
    why = said if done.status > 0 and said else f"it {done.trouble or f'wrote no {format}'}"
    raise RuntimeError(f"{name} could not lay the graph out: {why}")


def _is_picture(written: bytes, format: str) -> bool:
    """Whether a renderer wrote what it was asked for: of an SVG at least one shape, of others their form."""
    if format not in ("svg", "svg_inline"):
        form = next((form for formats, form in FORMS.items() if format in formats.split()), rb".+")
        return re.fullmatch(form, written, re.DOTALL) is not None
    import xml.etree.ElementTree as ET

    try:
        svg = ET.fromstring(written.decode())
    except (ET.ParseError, UnicodeDecodeError):
        return False
    return [svg.tag, *(group.tag for group in svg[:1] if len(group))] == [f"{SVG}svg", f"{SVG}g"]


def _name(program: str) -> str:
    return os.path.splitext(os.path.basename(program))[0]


def programs() -> list[str]:
    """The system's ``dot`` and ``graphviz-pure``, which pip may have put where the PATH does not look."""
    import shutil
    import sysconfig

    installed = [
        os.path.dirname(sys.executable),
        sysconfig.get_path("scripts"),
        sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user")),
    ]
    pure = shutil.which("graphviz-pure") or shutil.which(
        "graphviz-pure", path=os.pathsep.join(filter(None, installed))
    )
    return [program for program in (shutil.which("dot"), pure) if program]


def opened(path: os.PathLike[str]) -> bool:
    """Whether the desktop's viewer of such files could be started."""
    import graphviz

    linux = sys.platform not in ("win32", "darwin")
    if linux and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        graphviz.view(os.fspath(path))
    except (OSError, RuntimeError):
        return False
    return True
