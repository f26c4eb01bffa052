"""Programs: a function of scalars and arrays, recorded once as flat instructions.

`trace` calls a function on nodes without numbers and flattens the graph that results. The `Program` then
runs on floats (compiled, where numba is installed), on arrays, on numbers of any other type and on Values;
it prints itself as source, maps over a batch, and pickles as data.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from autograd_mini import machine, number_types, rolling, source
from autograd_mini.arguments import (
    Leaf,
    as_floats,
    broadcast,
    decoded,
    encoded,
    entries,
    filled,
    graph_arguments,
    leaf_axes,
    named_once,
    numeric,
    pattern,
    samples,
    signature,
    slots_of,
    views,
    wrong_shape,
)
from autograd_mini.arrays import values
from autograd_mini.instructions import Instructions
from autograd_mini.labels import element_label
from autograd_mini.rebuilding import follow, name_traced, noting_locals
from autograd_mini.recording import record
from autograd_mini.rules import Primitive, as_number
from autograd_mini.tracing import PI, constant_node, derive, traced_input
from autograd_mini.transforms import name_of, parameter_names
from autograd_mini.trees import copied, elements, leaves, map_leaves, map_named, matched, rebuilder
from autograd_mini.value import Value, collector_paused, topological_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

EMITTED = 50_000  # programs beyond this many instructions are interpreted: compile() would take seconds
BLOCK = 1024  # samples that a batch without numba takes at a time
FORMAT = "autograd_mini program 2"
UNSUMMED = "autograd_mini program 1"  # is read too, without the checksum that it has not


def trace(f: Callable[..., Any], *examples: Any) -> Program:
    """Record ``f`` as a Program whose arguments have the structure and shapes of the examples.

    The examples' numbers play no part: comparisons become conditions, for ``np.where`` or as a factor,
    and are decided anew at every call. Transforms may be inside.

    >>> from autograd_mini import grad
    >>> slope = trace(grad(lambda x: np.where(x < 1, x**2, 2 * x)), 0.0)
    >>> slope(0.5), slope(3.0)
    (1.0, 2.0)

    Raises TraceError, with the line, where ``f`` asks for a number: an ``if``, ``.data``, an index.
    """
    nodes: list[Value] = []
    leaves(examples)  # refuses what is nested too deep

    def traced(example: Any, name: str) -> Any:
        shape = _leaf(example, name).shape
        entries = [traced_input(element_label(name, index)) for index in np.ndindex(shape)]
        nodes.extend(entries)
        return values(entries).reshape(shape) if shape else entries[0]

    names = parameter_names(f, len(examples))
    arguments = {x: map_named(traced, example, x) for x, example in zip(names, examples, strict=True)}
    with collector_paused():
        with noting_locals() as noted:
            result = follow(f, *map(copied, arguments.values()))  # f may pop from its dicts and lists
        name_traced(noted, arguments)
        return _program(name_of(f), arguments, nodes, result)


class Program:
    """A recorded computation; made by `trace` or `Program.from_graph`, called with numbers of any type.

    An argument of shape s takes an array or nested sequence of that shape; a scalar argument takes any
    number, or an array, elementwise. Floats give floats; SymPy symbols give expressions, mpmath numbers
    results at their precision, Values a graph, arrays that follow NumPy's ufunc protocol such arrays. Nothing
    raises half-way: a division by zero is inf or nan, as in NumPy.

    >>> product = trace(lambda x, y: {"product": x * y}, 0.0, 0.0)
    >>> product(2.0, 5.0)
    {'product': 10.0}
    >>> product
    <program f(x, y): 2 inputs, 1 instruction, 1 output>
    """

    def __init__(
        self,
        name: str,
        arguments: Mapping[str, Any],
        results: Any,
        code: Instructions,
        labels: Mapping[int, str],
        reverse: int,
    ) -> None:
        self.name = self.__name__ = name
        self.arguments = dict(arguments)
        self.results = results
        self.code = code
        self.labels = dict(labels)
        self.reverse = reverse
        self._inputs = slots_of(self.arguments)
        self._outputs = slots_of({"results": results})
        self._plain = all(isinstance(tree, Leaf) for tree in self.arguments.values())
        self._rebuild = rebuilder(results)
        self._local = threading.local()
        self.__signature__ = signature(self.arguments)

    @staticmethod
    def from_graph(outputs: Any, inputs: Any, keep: bool = False) -> Program:
        """The computation of Values that exist, from ``inputs`` to ``outputs``.

        Each element of a list of inputs, a Value or an array of them, is one argument; a mapping names
        the arguments. Other leaves keep the data they have now. With ``keep`` the result is a pair, of
        the outputs and a dict of all labelled intermediates; equal labels are numbered, ``h``, ``h_1``.

        >>> from autograd_mini import softmax
        >>> z = values([0.0, 0.0], "z")
        >>> Program.from_graph(softmax(z), [z])([1.0, 1.0])
        array([0.5, 0.5])

        Raises TypeError for an input that is no Value and for nodes made by hand.
        """
        arguments = graph_arguments(inputs)
        nodes = elements(tuple(arguments.values()))
        for node in nodes:
            if not isinstance(node, Value):
                raise TypeError(f"Program.from_graph: inputs must be Values, got {type(node).__name__}")
        if len(set(nodes)) < len(nodes):
            raise ValueError("Program.from_graph: a Value is given twice among the inputs")
        if keep:
            roots = [x for x in elements(outputs) if isinstance(x, Value)]
            interior = (node for node in topological_order(*roots) if node.args)
            outputs = (outputs, named_once((node.label, node) for node in interior if node.label))
        return _program("f", arguments, nodes, outputs)

    def __call__(self, *args: Any, **named: Any) -> Any:
        given = self._leaves(args, named)
        own = self._own_buffers()
        for view, argument in zip(own.inputs, given, strict=True):
            numbers = numeric(argument, view.shape)
            if numbers is None:
                return self._call_on_entries(given)
            view[...] = numbers
        own.run()
        return self._rebuild([view.copy() if view.shape else view.item() for view in own.outputs])

    # --- on floats ---

    def buffer(self, inputs: Floats, outputs: Floats) -> Callable[[], None]:
        """The fastest call: a function of no arguments that reads ``inputs`` and writes ``outputs``.

        Both are flat float64 arrays that the caller owns; their order is that of the arguments' and
        results' entries. The function belongs to one thread at a time.

        >>> x, y = np.array([2.0, 5.0]), np.empty(1)
        >>> run = trace(lambda a, b: a * b, 0.0, 0.0).buffer(x, y)
        >>> run(); y
        array([10.])

        Raises TypeError for arrays of another type or size.
        """
        sizes = ("inputs", inputs, self.code.inputs), ("outputs", outputs, len(self.code.outputs))
        for what, x, size in sizes:
            flat = isinstance(x, np.ndarray) and x.dtype == float and x.flags.c_contiguous and x.flags.aligned
            if not flat or x.shape != (size,):
                raise TypeError(f"buffer: {what} must be a contiguous float64 array of shape ({size},)")
        if not outputs.flags.writeable:
            raise TypeError("buffer: outputs must be writable")
        if self._machine is not None:
            return self._machine.buffer(inputs, outputs)

        def run() -> None:
            outputs[:] = self._in_python(inputs.tolist())

        return run

    def _own_buffers(self) -> _Buffers:
        """The buffers of this thread."""
        own: _Buffers | None = getattr(self._local, "buffers", None)
        if own is None:
            own = self._local.buffers = _Buffers(self)
        return own

    @cached_property
    def _machine(self) -> machine.Machine | None:
        return machine.Machine(self.code) if machine.available() else None

    @cached_property
    def _emitted(self) -> Callable[[Sequence[float]], tuple[float, ...]] | None:
        return source.compile_floats(self.code) if len(self.code) <= EMITTED else None

    def _in_python(self, inputs: list[float]) -> Sequence[float]:
        """The outputs without the machine, by emitted Python."""
        if self._emitted is not None:
            try:
                return self._emitted(inputs)
            except (ArithmeticError, ValueError):
                pass  # Python raises where IEEE arithmetic has inf or nan
        return number_types.evaluate_floats(self.code, inputs)

    # --- on any other numbers ---

    def _call_on_entries(self, given: list[Any]) -> Any:
        inputs: list[Any] = []
        for slot, argument in zip(self._inputs, given, strict=True):
            found = entries(argument, slot)
            for x in found:
                of_objects = isinstance(x, np.ndarray) and x.dtype == object
                if not (of_objects or isinstance(x, Value)):
                    number_types.kind_of(x, f"argument {slot.name}")
            inputs += found
        if any(isinstance(x, Value) for x in elements(inputs)):
            outputs = _on_values(self.code, inputs)
        else:
            outputs = broadcast(number_types.evaluate(self.code, inputs), inputs)
        return self._rebuild([filled(slot.leaf, outputs[slot.place]) for slot in self._outputs])

    # --- arguments and results ---

    def _leaves(self, args: Sequence[Any], named: Mapping[str, Any]) -> list[Any]:
        """The leaves of the arguments; TypeError unless they have the program's structure."""
        if not named and len(args) == len(self.arguments):
            bound = dict(zip(self.arguments, args, strict=True))
        else:
            bound = self._bound(args, named)
        if self._plain:
            return list(bound.values())
        return [
            leaf
            for name, tree in self.arguments.items()
            for leaf in matched(tree, bound[name], f"argument {name}")
        ]

    def _bound(self, args: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
        signature = f"{self.name}({', '.join(self.arguments)})"
        count = len(args) + len(named)
        if unknown := set(named) - set(self.arguments):
            raise TypeError(f"{signature} has no argument {min(unknown)!r}")
        bound = dict(zip(self.arguments, args, strict=False))
        if twice := set(named) & set(bound):
            raise TypeError(f"{signature} was given {min(twice)!r} twice, by position and by name")
        if count != len(self.arguments):
            raise TypeError(f"{signature} takes {len(self.arguments)} arguments, got {count}")
        return {name: (bound | dict(named))[name] for name in self.arguments}

    # --- as source ---

    def source(self, language: str = "python", precision: str = "double") -> str:
        """The program as a function to read and to paste elsewhere.

        ``language`` is ``"python"``, ``"javascript"`` or ``"c"``, whose ``precision`` is ``"double"`` or
        ``"float"``. The names are those of the arguments and the labels of the Values. ``"numpy"`` gives
        statements on whole arrays, whose sums NumPy adds up in its own order, and ``"latex"`` the same to
        typeset: a line each, in matrix notation or by indices.

        >>> print(trace(lambda x: x * x + 1, 0.0).source())
        def f(x):
            return x * x + 1.0
        >>> print(trace(lambda A, x: A @ x, np.eye(2), np.ones(2)).source("numpy"))
        import numpy as np
        <BLANKLINE>
        <BLANKLINE>
        def f(A, x):
            \"""On float arrays: A (2, 2), x (2,).\"""
            t1 = A @ x
            return t1
        """
        if language in ("numpy", "latex"):
            trees = [self.arguments, self.results]
            numbered = [map_leaves(partial(_numbered, count()), tree) for tree in trees]
            shapes = [[slot.leaf.shape for slot in slots] for slots in (self._inputs, self._outputs)]
            return rolling.write(
                self.code, language, self.name, numbered[0], shapes[0], numbered[1], shapes[1], self.labels
            )
        place = partial(pattern, iter(range(self.code.inputs)))
        arguments = {name: map_leaves(place, tree) for name, tree in self.arguments.items()}
        results = map_leaves(partial(pattern, iter(self.code.outputs.tolist())), self.results)
        return source.write(
            self.code, language, self.name, arguments, results, self.labels, self.reverse, precision
        )

    # --- over a batch ---

    def vmap(self, in_axes: Any = 0, reduce: Literal["sum", "mean"] | None = None) -> Mapped:
        """The program over a batch: arguments with an axis are mapped along it, those with None shared.

        ``in_axes`` is one axis or None for all arguments, or a tuple with one, or a tree of them, for
        each. Results have the batch as their first axis; with ``reduce="sum"`` or ``"mean"`` they are
        added up over it, sample by sample, without being stored.

        >>> from autograd_mini import grad
        >>> slope = trace(grad(lambda w, x: (w * x) ** 2), 0.0, 0.0)
        >>> slope.vmap(in_axes=(None, 0))(1.0, [1.0, 2.0, 3.0])
        array([ 2.,  8., 18.])
        >>> slope.vmap(in_axes=(None, 0), reduce="sum")(1.0, [1.0, 2.0, 3.0])
        28.0
        """
        return Mapped(self, in_axes, reduce)

    # --- as text, and as data ---

    def __len__(self) -> int:
        return len(self.code)

    def __repr__(self) -> str:
        counts = (
            f"{count} {what}{'s' * (count != 1)}"
            for count, what in (
                (self.code.inputs, "input"),
                (len(self.code), "instruction"),
                (len(self.code.outputs), "output"),
            )
        )
        return f"<program {self.name}({', '.join(self.arguments)}): {', '.join(counts)}>"

    def __reduce__(self) -> tuple[Callable[[Any], Program], tuple[dict[str, Any]]]:
        return restored, (self._state(),)

    def _state(self) -> dict[str, Any]:
        """The program as plain data with a checksum; rows go by their names."""
        state = {
            "format": FORMAT,
            "name": self.name,
            "arguments": {name: encoded(tree) for name, tree in self.arguments.items()},
            "results": encoded(self.results),
            "code": self.code.state(),
            "labels": self.labels,
            "reverse": self.reverse,
        }
        return {**state, "checksum": _checksum(state)}


class _Buffers:
    """Flat inputs and outputs, seen as the leaves of arguments and results, and the call between them."""

    def __init__(self, program: Program) -> None:
        flat = np.zeros(program.code.inputs), np.zeros(len(program.code.outputs))
        self.inputs, self.outputs = views(flat[0], program._inputs), views(flat[1], program._outputs)
        self._make = partial(program.buffer, *flat)

    @cached_property
    def run(self) -> Callable[[], None]:
        """Made at the first call on floats: a program for symbols needs no machine."""
        return self._make()


class Mapped:
    """A program over a batch; made by `Program.vmap`, called with arrays."""

    def __init__(self, program: Program, in_axes: Any, reduce: Literal["sum", "mean"] | None) -> None:
        if reduce not in (None, "sum", "mean"):
            raise ValueError(f'vmap: reduce must be None, "sum" or "mean", got {reduce!r}')
        trees = program.arguments
        axes = in_axes if isinstance(in_axes, (tuple, list)) else [in_axes] * len(trees)
        if len(axes) != len(trees):
            raise ValueError(f"vmap: in_axes has {len(axes)} entries for {len(trees)} arguments")
        self.program, self.in_axes, self.reduce = program, in_axes, reduce
        self.axes = [
            axis
            for (name, tree), given in zip(trees.items(), axes, strict=True)
            for axis in leaf_axes(given, tree, name)
        ]
        if all(axis is None for axis in self.axes):
            raise ValueError("vmap: in_axes must map at least one argument")
        sizes = [slot.leaf.size for slot in program._inputs]
        self.varying = np.repeat([axis is not None for axis in self.axes], sizes)
        self.columns = int(self.varying.sum())

    def __call__(self, *args: Any, **named: Any) -> Any:
        shared, rows = self._inputs(self.program._leaves(args, named))
        outputs = self._run(shared, rows)
        if self.reduce:
            parts = views(outputs, self.program._outputs)
            return self.program._rebuild([part if part.shape else part.item() for part in parts])
        return self.program._rebuild(
            [
                np.ascontiguousarray(outputs[:, slot.place]).reshape(len(rows), *slot.leaf.shape)
                for slot in self.program._outputs
            ]
        )

    def __reduce__(self) -> tuple[type[Mapped], tuple[Any, ...]]:
        return Mapped, (self.program, self.in_axes, self.reduce)

    def __repr__(self) -> str:
        return f"<{self.program!r} mapped with in_axes={self.in_axes!r}, reduce={self.reduce!r}>"

    def _inputs(self, given: list[Any]) -> tuple[Floats, Floats]:
        """The flat inputs with the shared ones filled in, and the others as one row a sample."""
        shared = np.zeros(self.program.code.inputs)
        mapped: dict[str, Floats] = {}
        for slot, axis, argument in zip(self.program._inputs, self.axes, given, strict=True):
            if axis is not None:
                mapped[slot.name] = samples(argument, slot, axis)
                continue
            numbers = as_floats(argument, slot)
            if numbers.shape != slot.leaf.shape:
                raise wrong_shape(numbers, slot, str(slot.leaf.shape))
            shared[slot.place] = numbers.reshape(-1)
        counts = {name: len(rows) for name, rows in mapped.items()}
        count = next(iter(counts.values()))
        if any(other != count for other in counts.values()):
            raise ValueError(f"vmap: the mapped axes must have one length, got {counts}")
        rows, start = np.empty((count, self.columns)), 0
        for part in mapped.values():
            rows[:, start : start + part.shape[1]] = part
            start += part.shape[1]
        return shared, rows

    @cached_property
    def _batch(self) -> machine.Batch | None:
        return None if self.program._machine is None else self.program._machine.batch(self.varying)

    def _run(self, shared: Floats, rows: Floats) -> Floats:
        if self._batch is not None:
            return self._batch(shared, rows, self.reduce)
        blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)] or [rows]
        if not self.reduce:
            return np.concatenate([self._columns(shared, block).T for block in blocks])
        with np.errstate(all="ignore"):
            total = np.sum([self._columns(shared, block).sum(axis=1) for block in blocks], axis=0)
            return np.asarray(total / len(rows) if self.reduce == "mean" else total)

    def _columns(self, shared: Floats, block: Floats) -> Floats:
        """The outputs at a block of samples, one row an output."""
        inputs: list[Any] = shared.tolist()
        for slot, column in zip(np.flatnonzero(self.varying), block.T, strict=True):
            inputs[slot] = np.ascontiguousarray(column)
        outputs = number_types.evaluate(self.program.code, inputs, number_types.ARRAY)
        columns = np.empty((len(outputs), len(block)))
        for row, output in zip(columns, outputs, strict=True):
            row[:] = output
        return columns


# --- recording --------------------------------------------------------------------------------------


def _program(name: str, arguments: Mapping[str, Any], nodes: list[Value], result: Any) -> Program:
    """The program of a graph whose inputs are ``nodes``, in the order of the arguments' entries."""
    outputs = [_node(entry) for entry in elements(result)]
    recording = record(outputs, nodes)

    def shape(leaf: Any) -> Leaf:
        return Leaf(np.shape(leaf) if isinstance(leaf, np.ndarray) else ())

    structures = {x: map_leaves(shape, tree) for x, tree in arguments.items()}
    return Program(
        name, structures, map_leaves(shape, result), recording.code, recording.labels, recording.reverse
    )


def _leaf(example: Any, name: str) -> Leaf:
    if isinstance(example, np.ndarray) and example.dtype.kind in "buifO":
        return Leaf(example.shape)
    if isinstance(example, Value) or as_number(example) is not None:
        return Leaf(())
    raise TypeError(
        f"trace: the example for {name} must be a number, an array, or a nested tuple, list or dict of "
        f"them, got {type(example).__name__} {example!r}; close over what is no number"
    )


def _numbered(numbers: Iterator[int], leaf: Leaf) -> int:
    return next(numbers)


def _node(x: Any) -> Value:
    if isinstance(x, Value):
        return x
    number = as_number(x)
    if number is None:
        raise TypeError(f"a program deals in numbers and Values, got {type(x).__name__} {x!r}")
    return constant_node(number)


class _Graph(number_types.FormulaType):
    """Nodes, on which a row is a node of a gradient graph, in IEEE arithmetic."""

    def by_formula(self, row: Primitive) -> Callable[..., Any]:
        return partial(derive, row)


GRAPH = _Graph("Value", lambda x: PI if x == "pi" else _node(x), {})


def _on_values(code: Instructions, inputs: list[Any]) -> list[Any]:
    """The outputs at Values and arrays of them, as a graph in IEEE arithmetic."""
    if not any(isinstance(x, np.ndarray) for x in inputs):
        return number_types.evaluate(code, list(map(_node, inputs)), GRAPH)
    arrays = np.broadcast_arrays(*(np.array(x, dtype=object) for x in inputs))  # elementwise
    rows = zip(*(array.flat for array in arrays), strict=True)
    outputs = [number_types.evaluate(code, list(map(_node, row)), GRAPH) for row in rows]
    return [values(column).reshape(arrays[0].shape) for column in zip(*outputs, strict=True)]


# --- from data --------------------------------------------------------------------------------------


def restored(state: Any) -> Program:
    """The program that was pickled; ValueError for damaged or foreign data and rows not known here.

    Programs of a format without a checksum are read, and checked for their structure only.
    """
    if not isinstance(state, dict) or state.get("format") not in (FORMAT, UNSUMMED):
        raise ValueError(f"this is no pickled program of the format {FORMAT!r}")
    try:
        if state["format"] == FORMAT and state["checksum"] != _checksum(state):
            raise ValueError("the pickled program is damaged: its checksum is another")
        code = Instructions.restored(state["code"])
        arguments = {str(name): decoded(tree) for name, tree in state["arguments"].items()}
        results = decoded(state["results"])
        labels = {int(slot): str(label) for slot, label in state["labels"].items()}
        leaves(arguments), leaves(results)  # refuse what is nested too deep
        program = Program(str(state["name"]), arguments, results, code, labels, int(state["reverse"]))
        sizes = [sum(slot.leaf.size for slot in slots) for slots in (program._inputs, program._outputs)]
        if sizes != [code.inputs, len(code.outputs)]:
            raise ValueError("arguments and results are not those of the instructions")
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError) as error:
        raise ValueError(f"the pickled program is damaged: {type(error).__name__} {error}") from None
    return program


def _checksum(state: Mapping[str, Any]) -> int:
    """CRC-32 of the plain data, without the checksum itself."""
    code = state["code"]
    arrays = [code[part] for part in ("codes", "operands", "outputs")]
    exact = [
        code["inputs"],
        code["constants"],
        code["rows"],
        state["name"],
        state["labels"],
        state["reverse"],
    ]
    text = repr(exact) + _text([*state["arguments"].items(), state["results"]])
    return zlib.crc32(b"".join([text.encode(errors="backslashreplace"), *arrays]))


def _text(structure: Any) -> str:
    """An encoded structure as text; keys that need not be the same text elsewhere go by their type."""
    if isinstance(structure, (list, tuple)):
        return f"{type(structure).__name__}({','.join(map(_text, structure))})"
    kind = type(structure)
    return repr(structure) if kind in (str, int, float, bool, type(None)) else kind.__name__
