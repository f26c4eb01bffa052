"""Derivatives as graphs, and the transforms that make a function of a function.

`gradient_graph` does the reverse sweep on the graph: the table's partials become nodes, so that the
gradient can be drawn, differentiated again and traced. The transforms call a function on fresh nodes that
stand for its arguments, differentiate its graph with respect to these, and touch nobody's ``.grad``. On
numbers they give numbers; on Values they give graphs, so they can be nested.
"""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from operator import index
from typing import Any, TypeAlias

import numpy as np

from autograd_mini import rules
from autograd_mini.arrays import ValueArray, named, values
from autograd_mini.liveness import Liveness
from autograd_mini.rebuilding import follow, name_traced, noting_locals
from autograd_mini.rules import as_number
from autograd_mini.suggestions import suggesting
from autograd_mini.tracing import CUT, Derivative, Traced, constant_node, derive, deriver, products
from autograd_mini.trees import copied, elements, leaves, map_leaves, map_named, matched, unflatten
from autograd_mini.value import (
    Value,
    check_defined,
    collector_paused,
    constant,
    depth_first_order,
    errors_wait,
    topological_order,
)

Tree: TypeAlias = Any  # a scalar, an array, or a nested tuple, list or dict of them
Argnums: TypeAlias = "int | Sequence[int]"
Edge: TypeAlias = tuple[Value, int]  # a node and the place of an operand


def gradient_graph(output: Value, inputs: Tree) -> Tree:
    """∂output/∂input for each of ``inputs``, as Values in the structure of ``inputs``.

    Inputs may be leaves or intermediates of the output's graph; what the output does not depend on has
    the constant 0. The result's nodes are built from the table's partials, follow IEEE arithmetic, and
    carry labels such as ``∂loss/∂z0`` where the input has one.

    >>> x = Value(3.0, label="x")
    >>> [dx] = gradient_graph(x**3, [x])
    >>> [ddx] = gradient_graph(dx, [x])
    >>> dx.data, ddx.data
    (27.0, 18.0)

    Raises TypeError for an output or input that is no Value, and for a node made by hand in between.
    """
    if not isinstance(output, Value):
        raise TypeError(f"gradient_graph: the output must be a Value, got {_describe(output)}")
    wanted = elements(inputs)
    for node in wanted:
        if not isinstance(node, Value):
            raise TypeError(f"gradient_graph: inputs must be Values, got {_describe(node)}")
    return _refill(inputs, iter(_pullback([output], [constant_node(1.0)], wanted, output.label or "f")))


@suggesting
def grad(f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The function that gives the gradient of the scalar function ``f``, in the structure of its argument.

    ``argnums`` says with respect to which argument, or to which several (then the result is a tuple).
    Keyword arguments are passed to ``f`` as they are. With ``has_aux``, ``f`` returns a pair of its value
    and of anything else, and the result is the pair of the gradient and of that.

    >>> grad(lambda x: x**3)(2.0)
    12.0
    >>> grad(grad(lambda x: x**3))(2.0)
    12.0
    >>> grad(lambda x, n: (x**n, x + n), has_aux=True)(2.0, n=3)
    (12.0, 5.0)

    Raises TypeError if ``f`` is no function, or does not return one number; DomainError if the result
    depends on an operation outside its domain.
    """
    of = value_and_grad(f, argnums, has_aux)

    @wraps(f)
    def gradient(*args: Any, **named: Any) -> Any:
        value, gradient = of(*args, **named)
        return (gradient, value[1]) if has_aux else gradient

    return gradient


@suggesting
def value_and_grad(f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """Like `grad`, but giving the pair of the function's value and its gradient.

    With ``has_aux`` the first of the pair is ``f``'s own pair.

    >>> value_and_grad(lambda w: w["a"] * w["b"])({"a": 2.0, "b": 5.0})
    (10.0, {'a': 5.0, 'b': 2.0})
    """
    _require_function(f)

    @wraps(f)
    def value_and_gradient(*args: Any, **named: Any) -> Any:
        call = _Call(f, args, argnums, named, has_aux)
        output = call.scalar("grad")
        adjoints = _pullback([output], [constant_node(1.0)], call.inputs, output.label or call.name)
        return call.finish((call.with_aux(output), call.fill(adjoints)))

    return value_and_gradient


@suggesting
def jacobian(f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The function that gives ∂fᵢ/∂xⱼ, for arrays of shape ``output.shape + input.shape``.

    Where output or input are trees, the result is the output's tree with the input's tree at each leaf.
    ``argnums``, ``has_aux`` and keyword arguments are as in `grad`.

    >>> import numpy as np
    >>> jacobian(lambda x: np.cumsum(x * x))(np.array([1.0, 2.0]))
    array([[2., 0.],
           [2., 4.]])
    """
    _require_function(f)

    @wraps(f)
    def jacobian_of(*args: Any, **named: Any) -> Any:
        call = _Call(f, args, argnums, named, has_aux)
        output = call.output("jacobian")

        def rows(leaf: Any) -> Any:
            """The derivatives of one leaf of the output: an array's entries first, then the input's."""
            entries = [leaf] if not isinstance(leaf, np.ndarray) else list(leaf.flat)
            sweeps = [
                call.fill(_pullback([entry], [constant_node(1.0)], call.inputs, _label(entry, call.name)))
                for entry in map(_as_value, entries)
            ]
            if not isinstance(leaf, np.ndarray):
                return sweeps[0]
            gradients = [leaves(sweep) for sweep in sweeps]
            stacked = (
                _stack([gradient[k] for gradient in gradients]).reshape(leaf.shape + np.shape(x))
                for k, x in enumerate(leaves(call.tree))
            )
            return unflatten(call.tree, stacked)

        return call.finish(call.with_aux(map_leaves(rows, output)))

    return jacobian_of


@suggesting
def hessian(f: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The function that gives the second derivatives ∂²f/∂xᵢ∂xⱼ of a scalar function.

    >>> import numpy as np
    >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([3.0, 5.0]))
    array([[10.,  6.],
           [ 6.,  0.]])
    """
    return jacobian(grad(f, argnums), argnums)


def vjp(f: Callable[..., Any], *primals: Any, **named: Any) -> tuple[Any, Callable[[Any], Any]]:
    """f's result and its pullback: cotangents of the result ↦ (cotangentᵀ · Jacobian, one per argument).

    >>> y, pullback = vjp(lambda a, b: a * b, 2.0, 5.0)
    >>> y, pullback(1.0)
    (10.0, (5.0, 2.0))
    """
    call = _Call(f, primals, range(len(primals)), named)
    output = call.output("vjp")

    def pullback(cotangents: Any) -> Any:
        seeds = _matching("the cotangents of vjp", cotangents, output)
        adjoints = _pullback([*map(_as_value, elements(output))], seeds, call.inputs, call.name)
        return call.finish(call.fill(adjoints), also=seeds)

    return call.finish(output), pullback


def jvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """f's result at the ``primals`` and its derivative along the ``tangents``, Jacobian · tangent.

    >>> jvp(lambda a, b: a * b, (2.0, 5.0), (1.0, 0.0))
    (10.0, 5.0)
    """
    _require_tuples("jvp", primals, tangents)
    call = _Call(f, tuple(primals), range(len(primals)))
    output = call.output("jvp")
    seeds = _matching("the tangents of jvp", tuple(tangents), call.tree)
    pushed = _pushforward([*map(_as_value, elements(output))], call.inputs, seeds)
    result: tuple[Any, Any] = call.finish((output, _refill(output, iter(pushed))), also=seeds)
    return result


def hvp(f: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The Hessian of a scalar function times the ``tangents``, at the cost of one more sweep.

    One result per argument as a tuple; for a function of one argument just that.

    >>> import numpy as np
    >>> hvp(lambda x: x[0] ** 2 * x[1], [np.array([3.0, 5.0])], [np.array([1.0, 0.0])])
    array([10.,  6.])
    """
    _require_tuples("hvp", primals, tangents)
    argnums = 0 if len(primals) == 1 else range(len(primals))
    return jvp(grad(f, argnums), primals, tangents)[1]


# --- sweeps over a graph ----------------------------------------------------------------------------


def _pullback(
    outputs: Sequence[Value], seeds: Sequence[Value], inputs: Sequence[Value], name: str
) -> list[Value]:
    """Σ seed · ∂output/∂input for each input, as nodes."""
    adjoints = adjoint_graph(outputs, seeds, inputs, name)
    return [adjoints[node] if node in adjoints else constant_node(0.0) for node in inputs]


def adjoint_graph(
    outputs: Sequence[Value],
    seeds: Sequence[Value],
    inputs: Sequence[Value],
    name: str = "",
    terms: dict[Edge, Value] | None = None,
) -> dict[Value, Value]:
    """The reverse sweep as a graph: adjoints of what depends on the inputs, with labels if ``name``.

    ``terms`` receives what each open edge adds to the adjoint of its operand.
    """
    order = depth_first_order(*outputs)
    active = _depending(order, inputs)
    liveness = Liveness(order, outputs)
    adjoints: dict[Value, Value] = {}
    for output, seed in zip(outputs, seeds, strict=True):
        if output in active:
            adjoints[output] = _plus(adjoints.get(output), seed)
    plus, masks = deriver(rules.add), liveness.selective
    with collector_paused():
        for node in reversed(order):
            adjoint = adjoints.get(node)
            if adjoint is None:
                continue
            args = node.args
            if active.isdisjoint(args):  # an input, and nothing below it that depends on another
                continue
            for i, product in enumerate(products(node.op)):
                if product is not None and (operand := args[i]) in active:
                    term = product(adjoint, node, *args)
                    if term is not CUT:
                        if masks:
                            term = liveness.masked(node, i, term)
                        known = adjoints.get(operand)
                        adjoints[operand] = term if known is None else plus(known, term)
                        if terms is not None:
                            terms[node, i] = term
    if name:
        for node in (*reversed(order), *inputs):
            if node.label and node in adjoints:
                _name(adjoints[node], f"∂{name}/∂{node.label}")
    return adjoints


def _pushforward(outputs: Sequence[Value], inputs: Sequence[Value], seeds: Sequence[Value]) -> list[Value]:
    """The forward sweep as a graph: Σ ∂output/∂input · seed for each output."""
    tangents = dict(zip(inputs, seeds, strict=True))
    for node in depth_first_order(*outputs):
        if node in tangents or tangents.keys().isdisjoint(node.args):
            continue
        for operand, product in zip(node.args, products(node.op, forward=True), strict=True):
            if product is not None and operand in tangents:
                term = product(tangents[operand], node, *node.args)
                if term is not CUT:
                    tangents[node] = _plus(tangents.get(node), term)
    return [tangents[node] if node in tangents else constant_node(0.0) for node in outputs]


def _depending(order: Iterable[Value], inputs: Iterable[Value]) -> set[Value]:
    """The inputs and the nodes of the order that depend on them."""
    active = set(inputs)
    for node in order:
        if not active.isdisjoint(node.args):
            active.add(node)
    return active


def _plus(total: Value | None, term: Value) -> Value:
    return term if total is None else derive(rules.add, total, term)


def _name(adjoint: Value, label: str) -> None:
    """Label a derivative that the sweep has made; the user's own nodes keep their labels."""
    if isinstance(adjoint, Derivative) and not adjoint.label:
        adjoint.label = label


# --- calling a function on fresh nodes --------------------------------------------------------------

_live: set[Value] = set()  # the fresh nodes of all calls under way, whatever the thread


@contextmanager
def _living(nodes: Iterable[Value]) -> Iterator[None]:
    """For the time of a call: results that depend on these nodes are graphs, not numbers."""
    nodes = frozenset(nodes)
    _live.update(nodes)
    try:
        yield
    finally:
        _live.difference_update(nodes)


@contextmanager
def lists_explained(given: Iterable[Any]) -> Iterator[None]:
    """For the time of a call: where f fails on what is no array, a list of numbers may be why."""
    try:
        yield
    except (AttributeError, TypeError) as error:
        lists = [x for x in given if isinstance(x, (list, tuple)) and x and all(map(_is_entry, leaves(x)))]
        if not lists or type(error) not in (AttributeError, TypeError):
            raise
        raise type(error)(
            f"{error}; f was given {reprlib.repr(lists[0])}, which is a tree of numbers and differentiated "
            f"as one: for an array give np.array({reprlib.repr(lists[0])})"
        ) from error


def _is_entry(x: Any) -> bool:
    return as_number(x) is not None


class _Call:
    """One call of ``f`` on fresh nodes in place of the arguments ``argnums``."""

    def __init__(
        self,
        f: Callable[..., Any],
        args: tuple[Any, ...],
        argnums: Argnums,
        named: Mapping[str, Any] = {},
        has_aux: bool = False,
    ) -> None:
        try:
            positions = [*map(index, argnums)] if isinstance(argnums, Sequence) else [index(argnums)]
        except TypeError:
            raise TypeError(
                f"argnums must be a whole number or several, the places of arguments, got {argnums!r}; the "
                "point is given to the result, as in grad(f)(2.0)"
            ) from None
        for position in positions:
            if not -len(args) <= position < len(args):
                raise ValueError(
                    f"argnums names argument {position}, counted from 0, but {len(args)} were given without "
                    "a name, as grad(f)(2.0) gives one"
                )
        self.name = name_of(f)
        names = parameter_names(f, len(args))
        fresh = list(args)
        self.symbolic = any(isinstance(node, Value) for node in elements((args, dict(named))))
        for position in positions:
            fresh[position] = map_named(self._fresh, args[position], names[position])
        self.tree = copied(tuple(fresh[i] for i in positions))  # f may pop from its dicts and lists
        if not isinstance(argnums, Sequence):
            [self.tree] = self.tree
        self.inputs = elements(self.tree)
        taken = [args[i] for i in positions]
        with _living(self.inputs), errors_wait(), lists_explained(taken), noting_locals() as noted:
            self.result = follow(f, *fresh, **named)
        if self.symbolic:
            name_traced(noted, names)
        self.aux: tuple[Any, ...] = ()
        if has_aux:
            if not isinstance(self.result, (tuple, list)) or len(self.result) != 2:
                raise TypeError(
                    f"has_aux: {self.name} must return a pair (value, aux), got {_describe(self.result)}"
                )
            self.result, self.aux = self.result[0], (self.result[1],)

    def _fresh(self, leaf: Any, name: str) -> Any:
        """A leaf's stand-in: a number gets a leaf of its own, a Value a node that is identical to it."""
        if isinstance(leaf, Value):
            return named(rules.identity(leaf), leaf.label or name)
        if isinstance(leaf, np.ndarray) and leaf.dtype == object:
            stand_in = rules.identity(values(leaf))
            for new, old in zip(stand_in.flat, leaf.flat, strict=True):
                new.label = getattr(old, "label", "")
            return stand_in
        if isinstance(leaf, np.ndarray) and leaf.shape:
            return values(leaf, name)
        if as_number(leaf) is None:
            raise TypeError(
                f"expected numbers, arrays and nested tuples, lists or dicts of them to differentiate "
                f"with respect to, got {_describe(leaf)}"
            )
        return Value(leaf, label=name)

    def output(self, transform: str) -> Any:
        """The result, a tree of Values and of numbers, on which no argument has an effect."""
        entries = elements(self.result)
        if not entries or not all(isinstance(x, Value) or as_number(x) is not None for x in entries):
            raise TypeError(
                f"{transform}: {self.name} must return Values computed from its arguments, "
                f"got {_describe(self.result)}"
            )
        check_defined(*(x for x in entries if isinstance(x, Value)))
        return self.result

    def scalar(self, transform: str) -> Value:
        """The result, which must be one number."""
        result = self.result
        if isinstance(result, np.ndarray) and result.shape == ():
            result = result.item()
        if not isinstance(result, Value) and as_number(result) is None:
            raise TypeError(
                f"{transform}: {self.name} must return one Value computed from its arguments, got "
                f"{_describe(result)}" + "; use jacobian for several" * (np.size(elements(result)) > 1)
            )
        output = _as_value(result)
        check_defined(output)
        return output

    def with_aux(self, result: Any) -> Any:
        """The result, in a pair with what f returned beside its value."""
        return (result, *self.aux) if self.aux else result

    def fill(self, adjoints: Iterable[Value]) -> Any:
        """The adjoints of the inputs in the structure of the arguments."""
        return _refill(self.tree, iter(adjoints))

    def finish(self, result: Any, also: Sequence[Value] = ()) -> Any:
        """Numbers, if the arguments were numbers and nothing depends on another call's fresh nodes."""
        if self.symbolic or any(type(seed) is not Value or seed.op is not constant for seed in also):
            return result
        nodes = [node for node in elements(result) if isinstance(node, Value)]
        if any(isinstance(node, Traced) for node in nodes):
            return result
        if _live and not _live.isdisjoint(topological_order(*nodes)):
            return result
        return map_leaves(_number, result)


def name_of(f: Callable[..., Any]) -> str:
    name = getattr(f, "__name__", "f")
    return name if name.isidentifier() else "f"


def parameter_names(f: Callable[..., Any], count: int) -> list[str]:
    """The names of f's positional parameters, ``x0``, ``x1``, … where it tells none."""
    _require_function(f)
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    more = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), "x")
    while any(name.startswith(more) for name in names):
        more += "_"
    return [names[i] if i < len(names) else f"{more}{i}" for i in range(count)]


def _require_function(f: Any) -> None:
    if not callable(f):
        hint = "; a graph that exists has gradient_graph(output, inputs)" * isinstance(f, Value)
        raise TypeError(f"expected a function, got {_describe(f)}{hint}")


def _require_tuples(transform: str, *given: Any) -> None:
    for what, x in zip(("primals", "tangents"), given, strict=True):
        if not isinstance(x, (tuple, list)):
            raise TypeError(
                f"{transform}: {what} must hold one entry for each argument of f, in a tuple such as "
                f"(x,), got {_describe(x)}"
            )


def _refill(tree: Any, nodes: Iterator[Value]) -> Any:
    """The tree with the elements of its scalars and arrays replaced, in order."""

    def fill(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray):
            return next(nodes)
        return _stack([next(nodes) for _ in range(leaf.size)]).reshape(leaf.shape)

    return map_leaves(fill, tree)


def _stack(entries: Sequence[Any]) -> ValueArray:
    """Entries of one shape as an array of Values with one more axis in front."""
    stacked = np.empty((len(entries), *np.shape(entries[0])) if entries else (0,), dtype=object)
    for i, entry in enumerate(entries):
        stacked[i] = entry
    return stacked.view(ValueArray)


def _matching(what: str, given: Any, tree: Any) -> list[Value]:
    """The elements of ``given`` as Values; TypeError unless it has the tree's structure and shapes."""
    got = matched(tree, given, what)
    for leaf, item in zip(leaves(tree), got, strict=True):
        if np.shape(item) != np.shape(leaf):
            raise TypeError(f"{what}: expected an array of shape {np.shape(leaf)}, got {np.shape(item)}")
    return [_as_value(element) for element in elements(got)]


def _as_value(x: Any) -> Value:
    if isinstance(x, Value):
        return x
    number = as_number(x)
    if number is None:
        raise TypeError(f"expected numbers or Values, got {_describe(x)}")
    return constant_node(number)


def _label(node: Value, name: str) -> str:
    return node.label or name


def _number(leaf: Any) -> Any:
    if isinstance(leaf, np.ndarray) and leaf.dtype == object:
        return leaf.view(ValueArray).data.copy()
    return leaf.data if isinstance(leaf, Value) else leaf


def _describe(x: Any) -> str:
    if isinstance(x, np.ndarray):
        return f"an array of shape {x.shape}"
    return "None; is there a return?" if x is None else f"{type(x).__name__} {reprlib.repr(x)}"
