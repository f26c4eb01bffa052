"""`scope`: names for the parts of a graph, such as the layers of a network.

While a scope is open, new nodes are of a subclass of their class that carries the scope's path, so that the
path lives as long as the node and takes no room in it. While none is open, nothing is different: opening
the first scope exchanges how nodes are made, closing the last one puts that back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

from autograd_mini import formulas
from autograd_mini.value import Value

Path = tuple[str, ...]  # the names of the scopes around a node, the outermost first

_path: ContextVar[Path] = ContextVar("scope", default=())
_classes: WeakValueDictionary[tuple[type, Path], type] = WeakValueDictionary()
_lock = Lock()
_open = 0  # scopes, of all threads


@contextmanager
def scope(name: str) -> Iterator[None]:
    """Name the nodes made inside of ``with scope("layer 1"):``, leaves and results of operations.

    Scopes nest, and one name may be opened again, as for every sample. A drawing puts a frame around
    them, or draws them closed. Nothing else depends on it.

    >>> with scope("layer 1"):
    ...     h = Value(2.0) * 3.0
    >>> scope_of(h), scope_of(h + 1.0)
    (('layer 1',), ())

    Raises TypeError if ``name`` is not text.
    """
    if not isinstance(name, str):
        raise TypeError(f"scope: the name must be text, got {type(name).__name__} {name!r}")
    _path.set((*_path.get(), name))
    _switch(+1)
    try:
        yield
    finally:
        _switch(-1)
        _path.set(_without_last(name, _path.get()))


def scope_of(node: Value) -> Path:
    """The names of the scopes in which the node was made, the outermost first."""
    path: Path = getattr(type(node), "_scope", ())
    return path


def _without_last(name: str, path: Path) -> Path:
    """The path when a scope closes: without its end, but for generators, which close in any order."""
    for i in reversed(range(len(path))):
        if path[i] == name:
            return (*path[:i], *path[i + 1 :])
    return path


def _switch(by: int) -> None:
    """Make nodes with their scope from the first scope that opens to the last that closes."""
    global _open
    with _lock:
        _open += by
        formulas.FLOATS["_new"] = _new if _open else object.__new__
        Value.__init__ = _init if _open else _plain_init  # type: ignore[method-assign]  # while a scope is open
        if not _open:
            _class.cache_clear()


_plain_init = Value.__init__


def _init(self: Any, *args: Any, **options: Any) -> None:
    _plain_init(self, *args, **options)
    if path := _path.get():
        self.__class__ = _class(self.__class__, path)


def _new(kind: Any) -> Any:
    path = _path.get()
    return object.__new__(_class(kind, path) if path else kind)


@lru_cache(64)  # a weak dictionary is slow, and what this one holds is let go when the last scope closes
def _class(kind: type[Value], path: Path) -> type[Value]:
    """The subclass of ``kind`` for the nodes of a scope; it dies with the last of them."""
    kind = getattr(kind, "_kind", kind)
    found: type[Value] | None = _classes.get((kind, path))
    if found is None:
        names = {"__slots__": (), "_scope": path, "_kind": kind, "_empty": (_remake, (kind, path))}
        found = _classes[kind, path] = type(kind.__name__, (kind,), names)
    return found


def _remake(kind: Any, path: Path) -> Any:
    """An empty node, which copies and pickles name by what its class was made of."""
    return object.__new__(_class(kind, path))
