"""The machine's functions in machine code: compiled by numba once for a computer, then loaded from a cache.

The cache is the directory ``AUTOGRAD_MINI_CACHE``, or else ``autograd-mini`` where the platform keeps
caches (``~/.cache``, ``~/Library/Caches``, ``%LOCALAPPDATA%``). It has one file for each function and
version of its source, of numba, NumPy and Python, and for each kind of processor; old ones stay. All of it
may be deleted at any time. A cache that is there is only read; nothing is written anywhere else.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import pickle
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

import numpy as np

from autograd_mini import files
from autograd_mini.machine import codes, functions, passes, switches
from autograd_mini.progress import progress

PASSES = (passes.tiers, passes.count_uses, passes.join, passes.depths, passes.emit)
INNER = (
    passes.find_sums, passes.join_terms, passes.emit_terms, functions.taylor, functions.exponential,
    functions.hyperbolic_tangent, functions.logarithm, functions.logarithm_of_1_plus,
)  # fmt: skip

_functions: dict[str, Callable[..., Any]] = {}
_failure = ""  # of numba, which is asked no more after it
_lock = threading.RLock()


def compiled(name: str) -> Callable[..., Any]:
    """A function of the machine in machine code, from the cache if it is there."""
    if name not in _functions:
        with _lock:
            if name not in _functions:
                dispatcher = _module()[name]
                dispatcher._cache = Cache(name)
                with progress("numba compiles for this computer, once"):
                    dispatcher.compile(f"({_signature(name)},)")
                dispatcher.disable_compile()
                _functions[name] = dispatcher
    return _functions[name]


def works(*names: str) -> bool:
    """Whether numba is installed and these functions compile; where it fails, one warning says how."""
    global _failure
    if _functions.keys() >= set(names):
        return True
    with _lock:
        if not _failure:
            try:
                for name in names:
                    compiled(name)
                return True
            except Exception as error:  # whatever a numba raises that does not fit what surrounds it
                if isinstance(error, ModuleNotFoundError) and error.name == "numba":
                    return False
                _failure = _first_line(error)
            warnings.warn(
                f"numba is installed but does not work ({_failure}); programs run without it",
                RuntimeWarning,
                stacklevel=2,
            )
    return False


def _signature(name: str) -> str:
    """The types of the operands; those of a pass are its annotations."""
    if name in switches.SIGNATURES:
        return switches.SIGNATURES[name]
    types = get_type_hints(getattr(passes, name), include_extras=True)
    plain = {int: "int64", bool: "boolean"}
    return ", ".join(
        plain.get(kind) or get_args(kind)[1] for operand, kind in types.items() if operand != "return"
    )


# --- the source -------------------------------------------------------------------------------------

HEADER = """\
from __future__ import annotations
import math
import numpy as np
from numba import carray, njit, types
from numba.extending import intrinsic

@intrinsic
def pointer(context, address, kind):
    def convert(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))
    return types.CPointer(kind.dtype)(address, kind), convert
"""


@cache
def source() -> str:
    """The module that numba compiles."""
    constants = "".join(
        f"{name} = {value!r}\n"
        for name, value in {**vars(codes), **vars(passes), **vars(functions)}.items()
        if name.isupper() and isinstance(value, (int, float))
    )
    options = 'nogil=True, error_model="numpy", no_cfunc_wrapper=True'
    outer = f"@njit({options})\n"
    inner = f"@njit({options}, no_cpython_wrapper=True)\n"
    any_order = f"@njit({options}, no_cpython_wrapper=True, fastmath={{'reassoc'}})\n"
    parts = [any_order + text for text in switches.SUMS]
    parts += [outer + inspect.getsource(function) for function in PASSES]
    parts += [inner + inspect.getsource(function) for function in INNER]
    parts.append(inner + switches.slow_rows())
    for block, loop in ((False, switches.RUN), (True, switches.RUN_BLOCKS)):
        rare, branches = switches.switch(block)
        parts += [inner + rare, outer + loop.format(cases=branches)]
    return "\n\n".join([HEADER, constants, *parts])


@cache
def _module() -> dict[str, Any]:
    """The names of the machine's source, run; numba looks for the module where modules are."""
    import numba  # noqa: F401 # where it is missing, no source is written first

    module = ModuleType("_autograd_mini_machine")
    exec(compile(source(), "<autograd_mini machine>", "exec"), vars(module))
    sys.modules[module.__name__] = module
    return vars(module)


# --- the cache --------------------------------------------------------------------------------------


class Cache:
    """Where numba looks for one function's machine code, and leaves it: a file that opens with its hash.

    (Numba's own cache uses no directory that it cannot write, and then writes elsewhere.)
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def load_overload(self, signature: str, context: Any) -> Any:
        """What was kept; None, and a notice, if it is to be compiled."""
        from numba.core.compiler import CompileResult

        rebuild: Any = CompileResult._rebuild
        context.refresh()
        with suppress(Exception):  # what is absent, unreadable, or of a numba that is not quite this one
            content = self._path(signature, context).read_bytes()
            if hashlib.sha256(content[32:]).digest() == content[:32]:
                return rebuild(context, *pickle.loads(content[32:]))
        _say("compiling the machine once for this computer, later runs load it")
        return None

    def save_overload(self, signature: str, result: Any) -> None:
        """Keep what was compiled, all of it or nothing: other processes may be reading."""
        from numba.core import serialize

        dumps: Any = serialize.dumps
        try:
            content = dumps(result._reduce())
            path = self._path(signature, result.target_context)
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write(path, hashlib.sha256(content).digest() + content)
        except Exception as error:  # a full disk, a directory for reading only, no home
            detail = f" ({_first_line(error)})"
            _say("the cache of machine code cannot be used; compiling in memory", detail)

    def _path(self, signature: str, context: Any) -> Path:
        """Named for all that machine code depends on."""
        import numba

        versions = numba.__version__, np.__version__, sys.version, context.codegen().magic_tuple()
        key = hashlib.sha256(repr((source(), signature, versions)).encode()).hexdigest()
        return _cache_directory() / f"{self.name}-{key[:32]}"


def _cache_directory() -> Path:
    """``AUTOGRAD_MINI_CACHE``, or where the platform keeps caches."""
    if named := os.environ.get("AUTOGRAD_MINI_CACHE"):
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "autograd-mini"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/autograd-mini"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autograd-mini"


# --- notices ----------------------------------------------------------------------------------------


_said: set[str] = set()


def _say(message: str, detail: str = "") -> None:
    """Print a message, once."""
    if message not in _said:
        _said.add(message)
        with suppress(OSError, ValueError):  # a disk that is full may be that of the log as well
            print(f"autograd_mini: {message}{detail}", file=sys.stderr, flush=True)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0]


def _forget_lock() -> None:
    """A forked process has none of its parent's threads, one of which may have held the lock."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_lock)
