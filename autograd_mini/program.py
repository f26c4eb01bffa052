"""Programs: a function of scalars and arrays, recorded once as flat instructions.

`trace` calls a function on nodes without numbers and flattens the graph that results. The `Program` then
runs on floats (compiled, where numba is installed), on arrays, on numbers of any other type and on Values;
it prints itself as source, maps over a batch, and pickles as data.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from autograd_mini import number_types, rolling, source
from autograd_mini.arguments import (
    as_floats,
    broadcast,
    entries,
    filled,
    graph_arguments,
    leaf_axes,
    named_once,
    numeric,
    samples,
    signature,
    wrong_shape,
)
from autograd_mini.arrays import values
from autograd_mini.evaluation import BatchEvaluation, Evaluation
from autograd_mini.instructions import Instructions, Leaf, Listing
from autograd_mini.labels import element_label
from autograd_mini.pickling import listing_of, state_of
from autograd_mini.rebuilding import follow, name_traced, noting_locals
from autograd_mini.recording import record
from autograd_mini.rules import Primitive, as_number
from autograd_mini.tracing import PI, constant_node, derive, traced_input
from autograd_mini.transforms import lists_explained, name_of, parameter_names
from autograd_mini.trees import copied, elements, leaves, map_leaves, map_named, matched, rebuilder
from autograd_mini.value import Value, collector_paused, topological_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def trace(f: Callable[..., Any], *examples: Any, exact: bool = False) -> Program:
    """Record ``f`` as a Program whose arguments have the structure and shapes of the examples.

    The examples' numbers play no part: comparisons become conditions, for ``np.where`` or as a factor,
    and are decided anew at every call. Transforms may be inside. An ``exact`` program runs instruction by
    instruction, on every sample of a batch too, and never as statements on arrays.

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
    _require_examples(f, examples)
    arguments = {x: map_named(traced, example, x) for x, example in zip(names, examples, strict=True)}
    with collector_paused(), lists_explained(examples):
        with noting_locals() as noted:
            result = follow(f, *map(copied, arguments.values()))  # f may pop from its dicts and lists
        name_traced(noted, arguments)
        return _program(name_of(f), arguments, nodes, result, exact)


def _require_examples(f: Callable[..., Any], examples: Sequence[Any]) -> None:
    """TypeError unless f can be called with so many arguments."""
    try:
        wanted = inspect.signature(f)
    except (TypeError, ValueError):  # it does not tell
        return
    try:
        wanted.bind(*examples)
    except TypeError:
        raise TypeError(
            f"trace: {name_of(f)} takes {wanted}, got {len(examples)} examples; give one for each argument, "
            "a number or an array of its shape"
        ) from None


class Program:
    """A recorded computation; made by `trace` or `Program.from_graph`, called with numbers of any type.

    An argument of shape s takes an array or nested sequence of that shape; a scalar argument takes any
    number, or an array, elementwise. Floats give floats; SymPy symbols give expressions, mpmath numbers
    results at their precision, Values a graph, arrays that follow NumPy's ufunc protocol such arrays. Nothing
    raises half-way: a division by zero is inf or nan, as in NumPy.

    On floats a large regular program runs as statements on arrays, over a batch also a smaller one:
    ``rolled`` says so. A sum of n terms is then added up in another order, to within n·u·Σ|terms|, u = 2⁻⁵³,
    of what the instructions give one by one, where nothing overflows on the way and no comparison lies within
    its rounding; inf and nan stand where they stood. The sign of a zero may be another, and the last bits
    depend on the number of samples and on the computer. `trace` makes programs ``exact`` that never do so.

    >>> product = trace(lambda x, y: {"product": x * y}, 0.0, 0.0)
    >>> product(2.0, 5.0)
    {'product': 10.0}
    >>> product
    <program f(x, y): 2 inputs, 1 instruction, 1 output>
    """

    def __init__(self, listing: Listing, exact: bool = False) -> None:
        self.listing, self.exact = listing, exact
        self.name = self.__name__ = listing.name
        self.arguments, self.code = listing.arguments, listing.code
        self._shapes = [slot.leaf.shape for slot in listing.inputs]
        self._plain = all(isinstance(tree, Leaf) for tree in self.arguments.values())
        self._rebuild = rebuilder(listing.results)
        self._evaluation = Evaluation(listing, exact)
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
        numbers = list(map(numeric, given, self._shapes))
        for x in numbers:  # any() would take as long as the rest
            if x is None:
                return self._call_on_entries(given)
        return self._rebuild(self._evaluation(numbers))

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
        return self._evaluation.buffer(inputs, outputs)

    @property
    def rolled(self) -> bool:
        """Whether it runs as statements on arrays."""
        return self._evaluation.statements is not None

    # --- on any other numbers ---

    def _call_on_entries(self, given: list[Any]) -> Any:
        inputs: list[Any] = []
        for slot, argument in zip(self.listing.inputs, given, strict=True):
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
        return self._rebuild([filled(slot.leaf, outputs[slot.place]) for slot in self.listing.outputs])

    # --- arguments and results ---

    def _leaves(self, args: Sequence[Any], named: Mapping[str, Any]) -> list[Any]:
        """The leaves of the arguments; TypeError unless they have the program's structure."""
        if named or len(args) != len(self.arguments):
            args = self._bound(args, named)
        if self._plain:
            return list(args)
        return [
            leaf
            for (name, tree), given in zip(self.arguments.items(), args, strict=True)
            for leaf in matched(tree, given, f"argument {name}")
        ]

    def _bound(self, args: Sequence[Any], named: Mapping[str, Any]) -> list[Any]:
        signature = f"{self.name}({', '.join(self.arguments)})"
        count = len(args) + len(named)
        if unknown := set(named) - set(self.arguments):
            raise TypeError(f"{signature} has no argument {min(unknown)!r}")
        bound = dict(zip(self.arguments, args, strict=False))
        if twice := set(named) & set(bound):
            raise TypeError(f"{signature} was given {min(twice)!r} twice, by position and by name")
        if count != len(self.arguments):
            raise TypeError(f"{signature} takes {len(self.arguments)} arguments, got {count}")
        bound |= named
        return [bound[name] for name in self.arguments]

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
            return rolling.write(self.listing, language)
        return source.write(self.listing, language, precision)

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
        return restored, (state_of(self.listing, self.exact),)


class Mapped:
    """A program over a batch; made by `Program.vmap`, called with arrays."""

    def __init__(self, program: Program, in_axes: Any, reduce: Literal["sum", "mean"] | None) -> None:
        if isinstance(in_axes, (float, np.ndarray)):
            raise TypeError(
                f"vmap: in_axes must be whole numbers or None, got {type(in_axes).__name__}; the examples "
                "are given to the result, as in program.vmap()(x)"
            )
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
        varying = [axis is not None for axis in self.axes]
        if not any(varying):
            raise ValueError("vmap: in_axes must map at least one argument")
        self._evaluation = BatchEvaluation(program._evaluation, varying, reduce)

    def __call__(self, *args: Any, **named: Any) -> Any:
        inputs, count = self._inputs(self.program._leaves(args, named))
        return self.program._rebuild(self._evaluation.run(inputs, count))

    def __reduce__(self) -> tuple[type[Mapped], tuple[Any, ...]]:
        return Mapped, (self.program, self.in_axes, self.reduce)

    def __repr__(self) -> str:
        return f"<{self.program!r} mapped with in_axes={self.in_axes!r}, reduce={self.reduce!r}>"

    def _inputs(self, given: list[Any]) -> tuple[list[Floats], int]:
        """The leaves as arrays of floats, mapped ones with one row a sample, and how many these are."""
        inputs: list[Floats] = []
        counts: dict[str, int] = {}
        for slot, axis, argument in zip(self.program.listing.inputs, self.axes, given, strict=True):
            if axis is None:
                inputs.append(as_floats(argument, slot))
                if inputs[-1].shape != slot.leaf.shape:
                    raise wrong_shape(inputs[-1], slot, str(slot.leaf.shape))
            else:
                inputs.append(samples(argument, slot, axis))
                counts[slot.name] = len(inputs[-1])
        count = next(iter(counts.values()))
        if any(other != count for other in counts.values()):
            raise ValueError(f"vmap: the mapped axes must have one length, got {counts}")
        return inputs, count

    @property
    def rolled(self) -> bool:
        """Whether it runs as statements on arrays."""
        return self._evaluation.rolled


# --- recording --------------------------------------------------------------------------------------


def _program(
    name: str, arguments: Mapping[str, Any], nodes: list[Value], result: Any, exact: bool = False
) -> Program:
    """The program of a graph whose inputs are ``nodes``, in the order of the arguments' entries."""
    outputs = [_node(entry) for entry in elements(result)]
    recording = record(outputs, nodes)

    def shape(leaf: Any) -> Leaf:
        return Leaf(np.shape(leaf) if isinstance(leaf, np.ndarray) else ())

    structures = {x: map_leaves(shape, tree) for x, tree in arguments.items()}
    results = map_leaves(shape, result)
    listing = Listing(name, structures, results, recording.code, recording.labels, recording.reverse)
    return Program(listing, exact)


def _leaf(example: Any, name: str) -> Leaf:
    if isinstance(example, np.ndarray) and example.dtype.kind in "buifO":
        return Leaf(example.shape)
    if isinstance(example, Value) or as_number(example) is not None:
        return Leaf(())
    raise TypeError(
        f"trace: the example for {name} must be a number, an array, or a nested tuple, list or dict of "
        f"them, got {type(example).__name__} {example!r}; close over what is no number"
    )


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


def restored(state: Any) -> Program:
    """The program that was pickled; ValueError for damaged or foreign data and rows not known here."""
    return Program(*listing_of(state))
