"""Graphviz: the program that lays a graph out and writes the picture."""

from __future__ import annotations

import os
import sys

INSTALL = (
    "drawing needs Graphviz: install it from https://graphviz.org/download, "
    "or run 'python -m pip install graphviz-pure'"
)


def render(source: str, format: str, timeout: float | None = 60.0) -> bytes:
    """The picture that Graphviz makes of ``source``.

    Raises ValueError for a format that cannot be written, RuntimeError if there is no Graphviz or its layout
    fails, TimeoutError if it takes longer than ``timeout`` seconds.
    """
    import subprocess
    from pathlib import Path

    import graphviz

    if format not in graphviz.FORMATS:
        raise ValueError(f"save: the suffix must name a format, such as .svg, .png or .dot, got {format!r}")
    program = executable()
    if program is None:
        raise RuntimeError(INSTALL)
    name = Path(program).stem
    command = [program, "-Kdot", f"-T{format}"]
    try:
        done = subprocess.run(command, input=source.encode(), capture_output=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise TimeoutError(
            f"{name} did not lay the graph out within {timeout:g} s: draw less of it with limit=, collapse=, "
            "sums=True or constants=False, or give it more time with timeout="
        ) from None
    if done.returncode == 0 and done.stdout:
        return done.stdout
    said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
    if "not recognized" in said:
        other = "" if name == "dot" else "; .svg, .png and .dot work, and Graphviz's own dot writes more"
        raise ValueError(f"save: {name} cannot write {format!r}{other}")
    raise RuntimeError(f"{name} could not lay the graph out: {said or f'exit status {done.returncode}'}")


def executable() -> str | None:
    """The system's ``dot``, else ``graphviz-pure``, which pip may have put where the PATH does not look."""
    import shutil
    import sysconfig

    installed = [
        os.path.dirname(sys.executable),
        sysconfig.get_path("scripts"),
        sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user")),
    ]
    return (
        shutil.which("dot")
        or shutil.which("graphviz-pure")
        or shutil.which("graphviz-pure", path=os.pathsep.join(filter(None, installed)))
    )
