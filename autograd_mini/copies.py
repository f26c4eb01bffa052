"""Copies and pickles of graphs: without recursion, in time linear in the nodes, what is shared kept shared.

`copy.deepcopy` hands over its memo, and one pass copies what is not in it. `pickle` shows its memo to nobody,
but remembers every object it has written. So the first node that it asks for speaks for all nodes below:
they go into one `_Graph`, written as arrays, and a node is written as the i-th of its graph. Which node is in
which graph is known for as long as the pickle is being made; later graphs leave out what earlier ones have.
"""

from __future__ import annotations

import copy
import copyreg
import operator
import threading
import weakref
import zlib
from array import array
from bisect import bisect
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import chain, count, islice, repeat
from typing import Any

import numpy as np

from autograd_mini.value import Source, Value, collector_paused

ALONE = -1  # the number of a leaf that is in no graph


class _Met(dict[Value, int]):
    """The nodes that a pickle has met, numbered through its graphs.

    Held by the graphs and written with every leaf that stands alone, so that pickle's memo keeps it while
    the pickle is being made, and nothing does afterwards.
    """

    def __init__(self) -> None:
        self.count = 0
        self.firsts: list[int] = []  # the number at which each graph begins
        self.graphs: list[weakref.ref[_Graph]] = []

    def graph(self, node: Value) -> _Graph | None:
        number = self.get(node, ALONE)
        return None if number == ALONE else self.graphs[bisect(self.firsts, number) - 1]()

    def __reduce__(self) -> Any:
        return dict, ()


class _Graph:
    """A root and the nodes below it that no earlier graph of the same pickle has."""

    def __init__(self, root: Value, met: _Met) -> None:
        self.met, self.nodes, self.first = met, [root], met.count
        number = met[root] = self.first
        plain = _Plain()
        for node in self.nodes:
            for x in node.args:
                if x not in met and plain[type(x)]:
                    number += 1
                    met[x] = number
                    self.nodes.append(x)
        met.count = number + 1
        met.firsts.append(self.first)
        met.graphs.append(weakref.ref(self))

    def __del__(self) -> None:
        nodes, self.nodes = self.nodes, []
        if len(self.met) == len(nodes):
            self.met.clear()
        for node in nodes if self.met else ():
            del self.met[node]

    def __reduce__(self) -> Any:
        try:
            return self._written()
        except BaseException:
            self.__del__()  # the error may keep the graph, which no pickle has
            raise

    def _written(self) -> Any:
        """Of each node its class and row by their place in a table, data, gradient and operands.

        An operand is a place among the nodes, or after them among the others: those of earlier graphs, and
        those of a user's own class, which pickle as any object does.
        """
        size = len(self.nodes)
        operands = list(chain.from_iterable(map(operator.attrgetter("args"), self.nodes)))
        places = np.fromiter(map(self.met.get, operands, repeat(ALONE)), "<i4") - self.first
        others: dict[Value, int] = {}
        for i in np.flatnonzero((places < 0) | (places >= size)):
            places[i] = others.setdefault(operands[i], size + len(others))
        table: dict[tuple[type, Any], int] = defaultdict(count().__next__)
        made_of = zip(map(type, self.nodes), map(operator.attrgetter("op"), self.nodes), strict=True)
        codes = _packed("i", map(table.__getitem__, made_of))
        for _, op in table:
            if isinstance(op, Source):
                op.__reduce__()  # refuses a node made by hand
        arrays = (
            places.astype("<i4").tobytes(),
            _packed("d", map(operator.attrgetter("data"), self.nodes)),
            _packed("d", map(operator.attrgetter("grad"), self.nodes)),
        )
        labelled = filter(operator.attrgetter("label"), self.nodes)
        labels = {self.met[node] - self.first: node.label for node in labelled}
        made = [(*_empty(kind), op) for kind, op in table]
        return empty_nodes, (made, codes), (list(others), codes, arrays, labels, _checksum(codes, *arrays))


class Nodes(list[Value]):
    """The nodes of a graph that is read from a pickle: first all of them empty, so that any can be meant."""

    def __setstate__(self, state: Any) -> None:
        others, codes, arrays, labels, checksum = state
        if checksum != _checksum(codes, *arrays):
            raise ValueError("the pickled graph is damaged: its checksum is another")
        kinds = ("<i4", "<f8", "<f8")
        places, data, grads = (np.frombuffer(x, kind).tolist() for x, kind in zip(arrays, kinds, strict=True))
        counts = [0 if isinstance(node.op, Source) else len(node.op.operands) for node in self]
        if sum(counts) != len(places):
            raise ValueError("the pickled graph uses a row that has another number of operands here")
        operands = map([*self, *others].__getitem__, places)
        with collector_paused():
            for node, number, grad, count in zip(self, data, grads, counts, strict=True):
                node.data, node.grad, node.label = number, grad, ""
                node.args = tuple(islice(operands, count))
        for i, label in labels.items():
            self[i].label = label


def empty_nodes(made: list[tuple[Callable[..., Any], tuple[Any, ...], Any]], codes: bytes) -> Nodes:
    """Nodes that have a class and a row, each by its place in the table ``made``, and no more yet."""
    kinds = [(type(make(*arguments)), op) for make, arguments, op in made]
    nodes = Nodes()
    with collector_paused():
        for code in np.frombuffer(codes, "<i4").tolist():
            kind, op = kinds[code]
            node = object.__new__(kind)
            node.op = op
            nodes.append(node)
    return nodes


def leaf_alone(
    met: Any,
    made: tuple[Callable[..., Any], tuple[Any, ...]],
    op: Source,
    data: float,
    grad: float,
    label: str,
    checksum: int,
) -> Value:
    """A leaf that was pickled in no graph."""
    if checksum != _checksum_alone(data, grad, label):
        raise ValueError("the pickled leaf is damaged: its checksum is another")
    make, arguments = made
    node: Value = make(*arguments)
    node.op, node.args, node.data, node.grad, node.label = op, (), data, grad, label
    return node


# --- which nodes hold what a Value holds ----------------------------------------------------------------

OWN = ("__new__", "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__deepcopy__")


class _Plain(dict[type, bool]):
    """Whether nodes of a class hold what a Value holds, no more, and are copied and pickled as one."""

    def __missing__(self, kind: type) -> bool:
        self[kind] = (
            not kind.__dictoffset__
            and kind.__basicsize__ == Value.__basicsize__
            and all(getattr(kind, name, None) is getattr(Value, name, None) for name in OWN)
        )
        return self[kind]


def _empty(kind: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The function and the arguments that make an empty node of the class; those of scopes have their own."""
    own: tuple[Callable[..., Any], tuple[Any, ...]] | None = getattr(kind, "_empty", None)
    return own or (copyreg.__newobj__, (kind,))  # type: ignore[attr-defined]  # typeshed lacks it


def _packed(kind: str, numbers: Iterable[float]) -> bytes:
    """The numbers as those of a C type; TypeError for what is none, which NumPy may take for nan."""
    return np.asarray(array(kind, list(numbers))).astype(f"<{kind}").tobytes()


def _checksum(*parts: bytes) -> int:
    return zlib.crc32(b"".join(parts))


def _checksum_alone(data: float, grad: float, label: str) -> int:
    return _checksum(f"{data} {grad} {label}".encode(errors="backslashreplace"))


# --- what Python asks a node for ------------------------------------------------------------------------


class _Thread(threading.local):
    met: Callable[[], _Met | None] = staticmethod(lambda: None)


_thread = _Thread()


def _reduce_ex(self: Value, protocol: int) -> Any:
    if type(self) is not Value and not _Plain()[type(self)]:
        return _as_any_object(self)
    met = _thread.met()
    if met is None:
        met = _Met()
        _thread.met = weakref.ref(met)
    graph = met.graph(self)
    if graph is None:
        if not self.args:
            met[self] = ALONE
            held = self.data, self.grad, self.label
            return leaf_alone, (met, _empty(type(self)), self.op, *held, _checksum_alone(*held))
        graph = _Graph(self, met)
    return operator.getitem, (graph, met[self] - graph.first)


def _as_any_object(self: Value) -> Any:
    reduced = object.__reduce_ex__(self, 4)
    return (*_empty(type(self)), *reduced[2:]) if hasattr(type(self), "_empty") else reduced


def _copy(self: Value, memo: dict[int, Any] | None = None) -> Value:
    """The same operands, or with a ``memo`` copies of them, and attributes in a node of its own."""
    # by what copy itself makes an object of that it is reduced to
    new: Value = copy._reconstruct(self, memo, *_as_any_object(self))  # type: ignore[attr-defined]  # typeshed lacks it
    return new


def _deepcopy(self: Value, memo: dict[int, Any]) -> Value:
    if not _Plain()[type(self)]:
        return _copy(self, memo)
    plain, new, get = _Plain(), object.__new__, memo.get
    memo[id(self)] = root = new(type(self))
    nodes, copies = [self], [root]
    add, add_copy = nodes.append, copies.append
    with collector_paused():
        for node, twin in zip(nodes, copies, strict=True):  # both grow
            twin.args = args = node.args
            if args:
                operands = []
                for x in args:
                    place = id(x)
                    operand = get(place)
                    if operand is None:
                        kind = type(x)
                        if kind is Value or plain[kind]:
                            memo[place] = operand = new(kind)
                            add(x)
                            add_copy(operand)
                        else:
                            operand = copy.deepcopy(x, memo)
                    operands.append(operand)
                twin.args = tuple(operands)
            twin.data, twin.grad, twin.label, twin.op = node.data, node.grad, node.label, node.op
    for op in set(map(operator.attrgetter("op"), nodes)):
        copy.deepcopy(op)  # refuses a node made by hand
    return root


def install() -> None:
    """Give Value the methods; called once, when the package is imported."""
    methods = {"__reduce_ex__": _reduce_ex, "__copy__": _copy, "__deepcopy__": _deepcopy}
    for name, method in methods.items():
        setattr(Value, name, method)
