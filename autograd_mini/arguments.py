"""A program's arguments and results: their structure, and how numbers of any type fit into it."""

from __future__ import annotations

import inspect
import keyword
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_mini.arrays import ValueArray
from autograd_mini.instructions import Leaf, Slot
from autograd_mini.labels import element_label, split_label
from autograd_mini.numpy import OpenArray, plain
from autograd_mini.rules import as_number
from autograd_mini.trees import leaves
from autograd_mini.value import Value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


SEQUENCES = (list, tuple)
POSITIONAL_OR_NAMED = inspect.Parameter.POSITIONAL_OR_KEYWORD


def signature(names: Iterable[str]) -> inspect.Signature:
    """A signature with these parameters, for `help` and for tracing a program."""
    if all(name.isidentifier() and not keyword.iskeyword(name) for name in names):
        return inspect.Signature([inspect.Parameter(name, POSITIONAL_OR_NAMED) for name in names])
    return inspect.Signature([inspect.Parameter("arguments", inspect.Parameter.VAR_POSITIONAL)])


def with_parameters(f: Callable[..., Any], names: Iterable[str]) -> Callable[..., Any]:
    """A function of positional arguments that goes by these names."""
    f.__signature__ = signature(names)  # type: ignore[attr-defined]  # where inspect looks for it
    return f


def numeric(given: Any, shape: tuple[int, ...]) -> Any:
    """What is given for a leaf as a number or an array of the shape; None if it is anything else."""
    if not shape:
        if type(given) is float:
            return given
        # Numbers with more precision than a float, such as mpmath's, are for the general path.
        return as_number(given) if isinstance(given, (int, float, np.generic, np.ndarray)) else None
    if type(given) is not np.ndarray:
        if isinstance(given, OpenArray):
            given = plain(given)
        if isinstance(given, SEQUENCES) and any(map(_stays_what_it_is, _types_in(given))):
            return None
        try:
            given = np.asarray(given)
        except (TypeError, ValueError):  # ragged, or of objects that refuse
            return None
    if given.shape != shape or given.dtype.kind not in "fbui":
        return None
    return given


def _types_in(rows: list[Any] | tuple[Any, ...]) -> set[type]:
    """The types of the entries of nested sequences."""
    types = set(map(type, rows))
    if not types.isdisjoint(SEQUENCES):
        for row in rows:
            if isinstance(row, SEQUENCES):
                types |= _types_in(row)
    return types


@cache
def _stays_what_it_is(kind: type) -> bool:
    """Whether it answers to ufuncs in a way of its own; a lazy array would be computed just to be seen."""
    return hasattr(kind, "__array_ufunc__") and not issubclass(kind, (np.ndarray, np.generic))


def entries(given: Any, slot: Slot) -> list[Any]:
    """The elements of a leaf, each a number of any type or an array; TypeError for another shape."""
    if not slot.leaf.shape:
        try:
            return [np.asarray(given) if isinstance(given, (list, tuple)) else given]
        except ValueError:
            raise TypeError(
                f"argument {slot.name}: expected a number or an array, got {_shape_of(given)}"
            ) from None
    found = _nested(given, slot.leaf.shape)
    if found is None:
        raise wrong_shape(given, slot)
    return found


def _nested(given: Any, shape: tuple[int, ...]) -> list[Any] | None:
    """The elements of an array or nested sequence of that shape, or None if it has another."""
    if not shape:
        return [given]
    if isinstance(given, (list, tuple)) and len(given) == shape[0]:
        rows = [_nested(row, shape[1:]) for row in given]
        return None if None in rows else [entry for row in rows if row is not None for entry in row]
    if tuple(getattr(given, "shape", ())) == shape:
        return [given[index] for index in np.ndindex(*shape)]
    return None


def wrong_shape(given: Any, slot: Slot, wanted: str = "") -> TypeError:
    """The error for a leaf's argument; ``wanted`` is the shape that a batch must have."""
    advice = "" if wanted else "; vmap(in_axes=...) runs a program over a batch"
    wanted = wanted or str(slot.leaf.shape)
    return TypeError(
        f"argument {slot.name}: expected an array of shape {wanted}, got {_shape_of(given)}{advice}"
    )


def _shape_of(given: Any) -> str:
    """The shape in words, or the type of what has none."""
    if not isinstance(given, (list, tuple)) and as_number(given) is None and not hasattr(given, "shape"):
        return type(given).__name__
    try:
        return str(tuple(np.shape(given)))
    except ValueError:
        return "rows of several lengths"


def filled(leaf: Leaf, outputs: Any) -> Any:
    """One leaf of the results from its outputs, which are floats, arrays or numbers of any other type."""
    if not leaf.shape:
        return outputs[0]
    if outputs and all(isinstance(x, np.ndarray) for x in outputs):
        stacked = np.stack(np.broadcast_arrays(*outputs))
        return stacked.reshape(leaf.shape + stacked.shape[1:])
    array = np.empty(len(outputs), dtype=object)
    for i, x in enumerate(outputs):
        array[i] = x
    array = array.reshape(leaf.shape)
    if all(isinstance(x, float) for x in outputs):
        return array.astype(float)
    return array.view(ValueArray) if any(isinstance(x, Value) for x in outputs) else array


def broadcast(outputs: list[Any], inputs: list[Any]) -> list[Any]:
    """Outputs of an elementwise call in one shape, also those that depend on no array."""
    shapes = [x.shape for x in inputs if type(x) is np.ndarray]
    if not shapes:
        return outputs
    shape = np.broadcast_shapes(*shapes)
    return [np.broadcast_to(x, shape).copy() if isinstance(x, (float, np.ndarray)) else x for x in outputs]


def views(flat: Floats, slots: list[Slot]) -> list[Floats]:
    return [flat[slot.place].reshape(slot.leaf.shape) for slot in slots]


def graph_arguments(inputs: Any) -> dict[str, Any]:
    if isinstance(inputs, Mapping):
        if not all(isinstance(name, str) for name in inputs):
            raise TypeError("Program.from_graph: the names of inputs must be text")
        return dict(inputs)
    inputs = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    return named_once((_common_label(x) or f"x{i}", x) for i, x in enumerate(inputs))


def named_once(items: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Items by their names; one whose name is taken is numbered.

    >>> named_once([("h", 1), ("h", 2), ("h", 3)])
    {'h': 1, 'h_1': 2, 'h_2': 3}
    """
    found: dict[str, Any] = {}
    repeats: Counter[str] = Counter()
    for name, item in items:
        unused = name
        while unused in found:
            repeats[name] += 1
            unused = f"{name}_{repeats[name]}"
        found[unused] = item
    return found


def _common_label(x: Any) -> str:
    """The name of an input: its label, or that of an array whose elements are labelled by index."""
    if isinstance(x, Value):
        return x.label
    if not isinstance(x, np.ndarray) or not x.size:
        return ""
    label = getattr(x.flat[0], "label", "")
    name = split_label(label)[0] if x.ndim else label
    labels = [element_label(name, index) for index in np.ndindex(x.shape)]
    return name if labels == [getattr(node, "label", "") for node in x.flat] else ""


# --- a batch ----------------------------------------------------------------------------------------


def leaf_axes(axes: Any, tree: Any, name: str) -> list[int | None]:
    """An axis, or None, for each leaf of an argument; one given for a branch holds for all below it."""
    if axes is None or isinstance(axes, (int, np.integer)):
        return [axes if axes is None else int(axes)] * len(leaves(tree))
    return [axis for branch, given in _branches(tree, axes, name) for axis in leaf_axes(given, branch, name)]


def _branches(tree: Any, axes: Any, name: str) -> list[tuple[Any, Any]]:
    if isinstance(tree, dict) and isinstance(axes, dict) and set(tree) == set(axes):
        return [(tree[key], axes[key]) for key in tree]
    if isinstance(tree, (tuple, list)) and isinstance(axes, (tuple, list)) and len(tree) == len(axes):
        return list(zip(tree, axes, strict=True))
    raise ValueError(
        f"vmap: in_axes of {name} must be an axis, None, or have the argument's structure, got {axes!r}"
    )


def as_floats(given: Any, slot: Slot) -> Floats:
    """What a batch is given for a leaf as an array of floats."""
    try:
        array = np.asarray(plain(given) if isinstance(given, OpenArray) else given)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "buif":
        raise TypeError(f"argument {slot.name}: a batch takes arrays of floats, got {type(given).__name__}")
    return array if array.dtype == float else array.astype(float)


def samples(given: Any, slot: Slot, axis: int) -> Floats:
    """The batch of a leaf with one row a sample."""
    array, shape = as_floats(given, slot), slot.leaf.shape
    if not -len(shape) - 1 <= axis <= len(shape):
        raise TypeError(f"argument {slot.name}: in_axes is {axis}, but a batch of it has {array.ndim} axes")
    if array.ndim != len(shape) + 1:
        raise wrong_shape(array, slot, _with_batch(shape, axis))
    rows = np.moveaxis(array, axis, 0) if axis else array
    if rows.shape[1:] != shape:
        raise wrong_shape(array, slot, _with_batch(shape, axis))
    return rows


def _with_batch(shape: tuple[int, ...], axis: int) -> str:
    place = axis if axis >= 0 else len(shape) + 1 + axis
    return "(" + ", ".join(map(str, (*shape[:place], "samples", *shape[place:]))) + ",)"[len(shape) > 0 :]


# --- as data ----------------------------------------------------------------------------------------


def encoded(tree: Any) -> Any:
    """A tree of leaves as plain data; `decoded` gives it back.

    >>> encoded((Leaf(()), {"w": Leaf((2, 3))}))
    ['tuple', [['leaf', []], ['dict', [['w', ['leaf', [2, 3]]]]]]]
    """
    if tree is None:
        return ["none", []]
    if isinstance(tree, Leaf):
        return ["leaf", list(tree.shape)]
    if isinstance(tree, dict):
        return ["dict", [[key, encoded(branch)] for key, branch in tree.items()]]
    kind = "list" if isinstance(tree, list) else "tuple" if type(tree) is tuple else type(tree)
    return [kind, [encoded(branch) for branch in tree]]


def decoded(data: Any) -> Any:
    kind, parts = data
    if kind == "none":
        return None
    if kind == "leaf":
        if not all(type(n) is int and n >= 0 for n in parts):
            raise ValueError(f"a shape of whole numbers expected, got {parts!r}")
        return Leaf(tuple(parts))
    if kind == "dict":
        return {key: decoded(branch) for key, branch in parts}
    branches = [decoded(branch) for branch in parts]
    if kind == "list":
        return branches
    if kind == "tuple":
        return tuple(branches)
    if not (isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, "_fields")):
        raise ValueError(f"a list, tuple, dict or named tuple expected, got {kind!r}")
    return kind(*branches)
