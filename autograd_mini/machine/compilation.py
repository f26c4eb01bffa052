"""The machine's functions in machine code: compiled by numba once for a computer, then loaded from a cache.

The functions are written to the cache as one Python module, beside which numba keeps what it compiles.
The cache is the directory ``AUTOGRAD_MINI_CACHE``, or else ``autograd-mini`` where the platform keeps
caches (``~/.cache``, ``~/Library/Caches``, ``%LOCALAPPDATA%``). It has one directory for each version of
the functions, of numba, NumPy and Python; old ones stay. All of it may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import os
import shutil
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np

from autograd_mini import files
from autograd_mini.machine import codes, functions, passes, switches

PASSES = (passes.tiers, passes.count_uses, passes.join, passes.depths, passes.emit)
INNER = (
    passes.find_sums, passes.join_terms, passes.emit_terms, functions.taylor, functions.exponential,
    functions.hyperbolic_tangent, functions.logarithm, functions.logarithm_of_1_plus,
)  # fmt: skip

_functions: dict[str, Callable[..., Any]] = {}
_modules: dict[str, dict[str, Any]] = {}
_lock = threading.Lock()


def compiled(name: str) -> Callable[..., Any]:
    """A function of the machine in machine code, from the cache if it is there."""
    return _functions.get(name) or _compile(name)


def _compile(name: str) -> Callable[..., Any]:
    import numba  # noqa: F401 # takes its time, which is not compiling

    with _lock:
        if name not in _functions:
            notice = threading.Timer(1.0, _say_compiling)
            notice.daemon = True
            notice.start()
            try:
                _functions[name] = _from_cache(name)
            finally:
                notice.cancel()
    return _functions[name]


def _from_cache(name: str) -> Callable[..., Any]:
    """The function from the cache, compiled into it if it is not there; in memory if that cannot be."""
    if "memory" not in _modules:
        try:
            return _with_signature(_cached_module()[name], name)
        except Exception as error:  # whatever numba and pickle make of a damaged file or a full disk
            kind = type(error).__name__
            _say(f"the cache {_cache_directory()} cannot be used ({kind}: {error}); compiling in memory")
            _modules.pop("cached", None)
            shutil.rmtree(_home(), ignore_errors=True)  # lest the next process find the damage again
        module: dict[str, Any] = {}
        exec(compile(source(cached=False), "<autograd_mini machine>", "exec"), module)
        _modules["memory"] = module
    return _with_signature(_modules["memory"][name], name)


def _with_signature(dispatcher: Any, name: str) -> Callable[..., Any]:
    dispatcher.compile(f"({_signature(name)},)")
    dispatcher.disable_compile()
    function: Callable[..., Any] = dispatcher
    return function


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
def source(cached: bool) -> str:
    """The module that numba compiles, with or without a cache beside it."""
    constants = "".join(
        f"{name} = {value!r}\n"
        for name, value in {**vars(codes), **vars(passes), **vars(functions)}.items()
        if name.isupper() and isinstance(value, (int, float))
    )
    options = 'nogil=True, error_model="numpy", no_cfunc_wrapper=True'
    outer = f"@njit({options}, cache={cached})\n"
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


# --- the cache --------------------------------------------------------------------------------------


def _cached_module() -> dict[str, Any]:
    """The machine's source as a module in the cache; it is written there if it is absent or changed."""
    if "cached" not in _modules:
        text, path = source(cached=True), _home() / "machine.py"
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write(path, text.encode())  # at once: other processes may be reading it
        spec = importlib.util.spec_from_file_location("_autograd_mini_machine", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # where numba looks for it
        spec.loader.exec_module(module)
        _modules["cached"] = vars(module)
    return _modules["cached"]


@cache
def _home() -> Path:
    """The directory of this source under these versions: all that machine code depends on, but the CPU."""
    import numba

    versions = (numba.__version__, np.__version__, sys.version)
    key = hashlib.sha256(repr((source(cached=True), versions)).encode()).hexdigest()
    return _cache_directory() / key[:16]


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


@cache
def _say_compiling() -> None:
    _say("compiling the machine once for this computer, later runs load it")


def _say(message: str) -> None:
    print(f"autograd_mini: {message}", file=sys.stderr, flush=True)


def _forget_lock() -> None:
    """A forked process has none of its parent's threads, one of which may have held the lock."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_lock)
