"""`Value`: a scalar that remembers how it was computed, and the reverse sweep over what it remembers.

A node holds its number, its gradient, the row of the derivative table that made it and its operands.
For each row two functions are written out from the row's text: the operator, which computes the number
and links the operands, and the reverse step, which adds adjoint times partial to each operand's
gradient. For ``mul`` they read::

    def mul(x, y):                        def reverse(z):
        z = new(Value)                        x, y = z.args
        z.data = x.data * y.data              g = z.grad
        z.op, z.args = mul, (x, y)            x.grad += g * y.data
        return z                              y.grad += g * x.data
"""

from __future__ import annotations

import gc
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from autograd_mini import formulas, rules
from autograd_mini.rules import DomainError, Primitive, as_number


class TraceError(TypeError):
    """A number was asked for while a function is being traced, when there is none yet."""


class Source:
    """What stands in place of a row at a node without a formula: a leaf, a constant, a hand-made node."""

    def __init__(self, symbol: str, reverse: Callable[[], None] = lambda: None) -> None:
        self.name = self.symbol = symbol
        self.step = reverse

    def reverse(self, node: Value) -> None:
        self.step()

    def __reduce__(self) -> Any:
        if self is leaf or self is constant:
            return "leaf" if self is leaf else "constant"
        raise self.by_hand("its _backward cannot be copied")

    def by_hand(self, trouble: str) -> TypeError:
        """The error that says in one sentence what a node made by hand does not allow."""
        return TypeError(
            f"the node {self.symbol!r} was made by hand and {trouble}; add its rule with primitive(...)"
        )


leaf = Source("")
constant = Source("")


class Value:
    """A real number in a graph of computations.

    Parameters are ``data``, anything that is one real number, and a ``label`` for messages and
    drawings. Arithmetic, comparison, every function of `math` and NumPy code work on it.
    ``_children`` and ``_op`` make a node by hand, as in micrograd; give it a ``_backward``.

    >>> x = Value(3.0, label="x")
    >>> y = x * x + 1
    >>> y.backward()
    >>> y.data, x.grad
    (10.0, 6.0)

    Raises TypeError if ``data`` is not one real number.
    """

    __slots__ = ("args", "data", "grad", "label", "op")
    data: float
    grad: float
    label: str
    op: Primitive | Source
    args: tuple[Value, ...]

    def __init__(self, data: Any, _children: tuple[Value, ...] = (), _op: str = "", label: str = "") -> None:
        number = data if type(data) is float else as_number(data)
        if number is None:
            raise TypeError(f"Value: data must be one real number, got {_describe(data)}")
        self.data = number
        self.grad = 0.0
        self.label = label
        self.op = Source(_op) if _op else leaf
        self.args = ()
        if label and not isinstance(label, str):
            raise TypeError(f"Value: label must be text, got {_describe(label)}")
        if _children:
            self.args = tuple(_children)
            self.op = Source(_op)
            if not all(isinstance(child, Value) for child in self.args):
                raise TypeError(
                    f"Value: _children must be Values, got {_children!r}; a label goes by keyword"
                )

    # --- sweeps ---

    def backward(self) -> None:
        """Set ``.grad`` of every node below to the derivative of this one with respect to it.

        Leaves add up over calls, until `zero_grad`; interior nodes are fresh in each call. One sweep
        in reverse topological order, linear in the edges, without recursion. A node that is reached
        over cut edges only, such as a branch that `where` did not take, has gradient 0 and passes
        nothing on. Partials that do not exist are inf or nan; nothing is raised half-way.

        Ctrl-C, or an error in a ``_backward`` made by hand, leaves a part of the sums on the leaves: call
        `zero_grad` before the next sweep. Sweeps in several threads at once give wrong sums, without a
        word, where their graphs share a node, be it a leaf.

        Raises DomainError, with nothing changed, if an array function left its domain at a node that
        the result depends on.
        """
        if not isinstance(self, Value):
            raise TypeError(f"backward: the root must be a Value, got {_describe(self)}")
        check_defined(self)
        interior = interior_order(self)
        for node in interior:
            node.grad = UNREACHED
        self.grad += 1.0
        interior.reverse()
        for node in interior:
            if node.grad is UNREACHED:
                continue
            step = node.op.reverse  # looked up apart from the call, which CPython does faster
            try:
                step(node)
            except (ArithmeticError, ValueError):
                if isinstance(node.op, Source):
                    raise
                _reverse_ieee(node, node.op)
            except TypeError as error:
                for x in node.args:
                    if x.grad is None:
                        said = f"backward: the gradient of {x.label or x} is None; zero_grad() sets it to 0"
                        raise TypeError(said) from error
                raise

    def forward(self) -> None:
        """Recompute every node below, and this one, from the leaves' current data.

        Raises DomainError where an operation that the result depends on leaves its domain, TypeError at
        a node made by hand; then nothing has changed.
        """
        interior = interior_order(self)
        before = [node.data for node in interior]
        errors: dict[Value, DomainError] = {}
        try:
            for node in interior:
                operands = [operand.data for operand in node.args]
                try:
                    node.data = node._evaluate(*operands)
                except DomainError as error:
                    errors[node] = error
                    node.data = cast(Primitive, node.op).ieee(*operands)
            if errors:
                live = live_nodes([self], interior)
                for node in interior:
                    if node in errors and node in live:
                        raise errors[node]
        except BaseException:
            for node, data in zip(interior, before, strict=True):
                node.data = data
            raise

    def zero_grad(self) -> None:
        """Set ``.grad`` of this node and every node below to 0."""
        for node in topological_order(self):
            node.grad = 0.0

    def _evaluate(self, *operands: float) -> float:
        """The number that this interior node's formula gives at the operands."""
        if isinstance(self.op, Source):
            raise self.op.by_hand("carries no formula for forward()")
        try:
            return float(rules.CHECKED.function(self.op)(*operands))
        except rules.DomainError as error:
            raise self.op.error(error, tuple(x.label for x in self.args), operands) from None

    # --- comparison goes by number; sets and dicts find a node by its identity, which is its hash ---

    def __eq__(self, other: object) -> bool:
        number = _data(other)
        return NotImplemented if number is None else self.data == number

    __hash__ = object.__hash__

    def __lt__(self, other: Any) -> bool:
        number = _data(other)
        return NotImplemented if number is None else self.data < number

    def __le__(self, other: Any) -> bool:
        number = _data(other)
        return NotImplemented if number is None else self.data <= number

    def __gt__(self, other: Any) -> bool:
        number = _data(other)
        return NotImplemented if number is None else self.data > number

    def __ge__(self, other: Any) -> bool:
        number = _data(other)
        return NotImplemented if number is None else self.data >= number

    def __bool__(self) -> bool:
        return self.data != 0

    # --- as text, and never silently as a float ---

    def __repr__(self) -> str:
        label = f", label={self.label!r}" if self.label else ""
        return f"Value(data={self.data}, grad={self.grad}{label})"

    def __format__(self, spec: str) -> str:
        return format(self.data, spec) if spec else str(self)

    def __float__(self) -> float:
        raise TypeError(
            "a Value does not become a float, its derivative would be lost without a word: "
            "use v.data for the number; autograd_mini.exp, log, … instead of math's; "
            "values([...]) or np.empty(n, dtype=object) for an array that holds Values "
            "(np.array and np.asarray drop the class that values gives)"
        )

    __int__ = __index__ = __complex__ = __float__  # all refuse alike

    def __pos__(self) -> Value:
        return self

    def __divmod__(self, other: Any) -> tuple[Value, Value]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Value, Value]:
        return other // self, other % self

    def __round__(self, digits: int | None = None) -> Value:
        """Halves to even, as NumPy rounds; a Value also without ``digits``. The derivative is 0."""
        if not digits:
            return self.rint()
        scale = 10.0 ** abs(digits)
        return (self * scale).rint() / scale if digits > 0 else (self / scale).rint() * scale

    # --- micrograd's names ---

    @property
    def _prev(self) -> set[Value]:
        return set(self.args)

    @property
    def _op(self) -> str:
        if self.op is rules.pow and self.args[1].op is constant:
            return f"**{self.args[1].data:g}"
        return self.op.symbol

    @property
    def _backward(self) -> Callable[[], None]:
        """One reverse step: adds this node's gradient times its partials to its operands' gradients."""
        return lambda: reverse_step(self)

    @_backward.setter
    def _backward(self, step: Callable[[], None]) -> None:
        self.op = Source(self._op, step)

    if TYPE_CHECKING:  # written out from the table when the module is imported
        _Other: TypeAlias = "Value | float"
        __array_ufunc__: Any  # both set by arrays
        __array_function__: Any

        def _of_one(self) -> Value: ...
        def _of_two(self, y: _Other, /) -> Value: ...
        def _of_three(self, x: _Other, y: _Other, /) -> Value: ...

        __floor__ = __ceil__ = __trunc__ = __neg__ = __abs__ = neg = sign = abs = detach = _of_one
        identity = exp = exp2 = expm1 = log = log2 = log10 = log1p = sigmoid = sqrt = cbrt = _of_one
        square = semicircle = hyperbola = gaussian = reciprocal = sin = cos = tan = asin = acos = _of_one
        atan = sinh = cosh = tanh = asinh = acosh = atanh = erf = erfc = relu = softplus = floor = _of_one
        ceil = trunc = rint = logit = entr = lgamma = digamma = trigamma = _of_one
        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _of_two
        __pow__ = __rpow__ = __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = add = sub = mul = _of_two
        div = pow = maximum = minimum = less = less_equal = equal = logaddexp = xlogy = atan2 = _of_two
        hypot = fmod = mod = floor_divide = xlog1py = _of_two
        where = convention = _of_three


UNREACHED = float("0")  # a zero of its own: the gradient of a node to which no open edge has led yet


class Undefined(Value):
    """A node at which an array function left its domain: its number is inf or nan, as NumPy has it.

    The error waits: it is raised by whatever asks for a derivative through the node, unless `forward` has
    found a finite number in the meantime.
    """

    __slots__ = ("error",)
    error: DomainError
    exist = False  # until there is one, nobody looks for them


_waiting: ContextVar[bool] = ContextVar("errors wait", default=False)
HOMES = tuple(os.path.join(package.__path__[0], "") for package in (sys.modules[__package__], np))


@contextmanager
def errors_wait() -> Iterator[None]:
    """Inside, an operation that leaves its domain gives an `Undefined` node instead of raising."""
    before = _waiting.set(True)
    try:
        yield
    finally:
        _waiting.reset(before)


def caller() -> str:
    """The file and line of the user's own code that is being run."""
    scipy = getattr(sys.modules.get("scipy"), "__path__", [])
    homes = (*HOMES, *(os.path.join(path, "") for path in scipy), "<autograd_mini")
    frame = sys._getframe(1)
    while frame.f_back and frame.f_code.co_filename.startswith(homes):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _outside(row: Primitive, cause: Exception, operands: tuple[Value, ...]) -> Value:
    """What a row gives outside its domain: its error, raised or put into a node."""
    data = tuple(x.data for x in operands)
    error = row.error(cause, tuple(x.label for x in operands), data)
    if not _waiting.get():
        raise error from None
    Undefined.exist = True
    node: Undefined = formulas.FLOATS["_new"](Undefined)
    node.error = type(error)(f"{error}, at {caller()}")
    node.data = row.ieee(*data)
    node.grad = 0.0
    node.label = ""
    node.op = row
    node.args = operands
    return node


def check_defined(*roots: Value) -> None:
    """Raise the error of the first `Undefined` node that the roots depend on, if there is one."""
    if Undefined.exist:
        order = depth_first_order(*roots)
        undefined = [node for node in order if isinstance(node, Undefined) and not math.isfinite(node.data)]
        if undefined:
            live = live_nodes(roots, order)
            for node in undefined:
                if node in live:
                    raise node.error.with_traceback(None)


def live_nodes(roots: Sequence[Value], order: Sequence[Value]) -> set[Value]:
    """The nodes to which a path without cut edges leads from a root, at today's numbers."""
    live = set(roots)
    for node in reversed(order):
        if node in live:
            live.update(operand for operand, open in zip(node.args, open_edges(node), strict=True) if open)
    return live


def open_edges(node: Value) -> Sequence[Any]:
    """For each operand, whether the edge to it is open; what a trace does not know yet counts as open."""
    if isinstance(node.op, Source):
        return [True] * len(node.args)
    if not node.op.selects:
        return [partial != "0" for partial in node.op.partials]
    try:
        numbers = [np.float64(x.data) for x in (node, *node.args)]
    except TraceError:
        return [partial != "0" for partial in node.op.partials]
    with np.errstate(all="ignore"):
        return _openings(node.op)(*numbers)


@cache
def _openings(row: Primitive) -> Callable[..., tuple[Any, ...]]:
    """Whether each edge is open, as a function of the result and the operands."""
    open = [
        "0" if partial == "0" else rules.elementwise(formulas.opening(formulas.expression(partial)))
        for partial in row.partials
    ]
    source = f"def function(z, {', '.join(row.operands)}):\n    return ({', '.join(open)},)\n"
    return formulas.define("openings", source, formulas.ARRAYS)


def topological_order(*roots: Value) -> list[Value]:
    """Every node at or below the roots once: first the leaves, then each result after its operands.

    >>> x = Value(2.0, label="x")
    >>> [node.data for node in topological_order(x * x + x)]
    [2.0, 4.0, 6.0]
    """
    for root in roots:
        if not isinstance(root, Value):
            raise TypeError(f"topological_order: a root must be a Value, got {_describe(root)}")
    interior = depth_first_order(*roots)
    below = (operand for node in interior for operand in node.args)
    leaves = dict.fromkeys(node for node in (*roots, *below) if not node.args)
    return [*leaves, *interior]


def interior_order(root: Value) -> list[Value]:
    """The nodes at or below the root that have operands, each after its operands.

    As long as no result is used twice, as in long sums, any walk down meets results before operands;
    the first shared result calls for the depth-first search, which costs more.
    """
    order = [root] if root.args else []
    seen = {root}
    add, append = seen.add, order.append
    for node in order:
        for operand in node.args:
            if operand.args:
                if operand in seen:
                    return depth_first_order(root)
                add(operand)
                append(operand)
    order.reverse()
    return order


def depth_first_order(*roots: Value) -> list[Value]:
    """The nodes at or below the roots that have operands, each after its operands; iterative."""
    order: list[Value] = []
    seen: set[Value] = set()
    stack: list[Any] = [root for root in reversed(roots) if root.args]
    add, append, push, pop = seen.add, order.append, stack.append, stack.pop
    while stack:
        node = pop()
        if node is None:  # everything below the node under this mark is done
            append(pop())
        elif node not in seen:
            add(node)
            push(node)
            push(None)
            for operand in node.args:
                if operand.args:
                    push(operand)
    return order


@contextmanager
def collector_paused() -> Iterator[None]:
    """The cyclic garbage collector walks every live node again and again while a graph grows."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def as_operand(x: Any) -> Any:
    """``x`` as a node: Values as they are, numbers as constants, NotImplemented for anything else."""
    if isinstance(x, Value):
        return x
    number = x if type(x) is float else as_number(x)
    if number is None:
        return NotImplemented
    node: Value = object.__new__(Value)
    node.data = number
    node.grad = 0.0
    node.label = ""
    node.op = constant
    node.args = ()
    return node


def _data(x: Any) -> float | None:
    return x.data if isinstance(x, Value) else as_number(x)


def _describe(x: Any) -> str:
    if isinstance(x, np.ndarray):
        return f"an array of shape {x.shape}; values(...) makes an array of Values"
    return f"{type(x).__name__} {x!r}"


# --- a row's operator and reverse step --------------------------------------------------------------

OPERATORS = {
    "add": "__add__", "sub": "__sub__", "mul": "__mul__", "div": "__truediv__",
    "pow": "__pow__", "neg": "__neg__", "abs": "__abs__", "mod": "__mod__", "floor_divide": "__floordiv__",
    "floor": "__floor__", "ceil": "__ceil__", "trunc": "__trunc__",
}  # fmt: skip


def _install(row: Primitive) -> None:
    """Give the class a method, its NumPy name and its operator; the first call writes them out."""

    def first_call(*operands: Any) -> Any:
        return VALUES.function(row)(*operands)

    def first_reverse(node: Value) -> None:
        VALUES.function(row)
        row.reverse(node)

    row.reverse = first_reverse
    _set_methods(row, first_call)


def _set_methods(row: Primitive, operator: Callable[..., Any]) -> None:
    special = OPERATORS.get(row.name)
    for name in filter(None, {row.name, row.numpy, special}):
        setattr(Value, name, operator)
    if special and len(row.operands) == 2:
        from_any = _with_any_first(operator)

        def reflected(y: Value, x: Any) -> Any:
            return from_any(x, y)

        setattr(Value, special.replace("__", "__r", 1), reflected)


formulas.FLOATS["_new"] = object.__new__  # operators look it up at every call, and scopes exchange it


def _bind_values(row: Primitive) -> Callable[..., Any]:
    """The operator of a row, written out together with its reverse step."""
    names = {
        "_row": row,
        "_Value": Value,
        "_as_operand": as_operand,
        "_constant": constant,
        "_TraceError": TraceError,
        "_outside": _outside,
    }
    operator: Callable[..., Any] = formulas.define(row.name, _operator_source(row), formulas.FLOATS, **names)
    operator.__doc__ = str(row)
    row.reverse = formulas.define("reverse", _reverse_source(row), formulas.FLOATS, **names)
    _set_methods(row, operator)
    return operator if len(row.operands) == 1 else _with_any_first(operator)


def _with_any_first(operator: Callable[..., Any]) -> Callable[..., Any]:
    """The operator for a first operand that may be a number; as a method it can rely on a Value."""

    def function(x: Any, *others: Any) -> Any:
        x = as_operand(x)
        return x if x is NotImplemented else operator(x, *others)

    return function


def reverse_step(node: Value) -> None:
    """Add the node's gradient times its partials to its operands' gradients."""
    try:
        node.op.reverse(node)
    except (ArithmeticError, ValueError):
        if isinstance(node.op, Source):
            raise
        _reverse_ieee(node, node.op)


def _reverse_ieee(node: Value, row: Primitive) -> None:
    """The reverse step in NumPy's arithmetic, where a partial that does not exist is inf or nan."""
    operands = [np.float64(x.data) for x in node.args]
    with np.errstate(all="ignore"):
        products = array_products(row)(np.float64(node.grad), np.float64(node.data), *operands)
    for operand, product, open in zip(node.args, products, open_edges(node), strict=True):
        if open and operand.op is not constant:
            operand.grad += float(product)


@cache
def array_products(row: Primitive) -> Callable[..., tuple[Any, ...]]:
    """Adjoint times partial for each operand, as a function of adjoint, result and operands."""
    partials = map(formulas.expression, row.partials)
    products = [rules.elementwise(formulas.times("g", partial)) for partial in partials]
    source = f"def function(g, z, {', '.join(row.operands)}):\n    return ({', '.join(products)},)\n"
    return formulas.define("products", source, formulas.ARRAYS)


def _operator_source(row: Primitive) -> str:
    operands = ", ".join(row.operands)
    lines = [f"def function({operands}):"]
    for x in row.operands[1:]:
        lines += [
            f"    if type({x}) is not _Value:",
            f"        {x} = _as_operand({x})",
            f"        if {x} is NotImplemented:",
            "            return NotImplemented",
        ]
    lines += ["    z = _new(_Value)"]
    formula = rules.for_floats(formulas.expression(row.stable), **{x: f"{x}.data" for x in row.operands})
    lines += [
        "    try:",
        f"        z.data = {formula}",
        "    except _TraceError:",  # a later operand is traced; ask the class that owns it
        f"        return _row({operands})",
    ]
    if formulas.can_raise(formulas.expression(row.stable)):
        lines += [
            "    except (ArithmeticError, ValueError) as _cause:",
            f"        return _outside(_row, _cause, ({operands},))",
        ]
    lines += [
        "    z.grad = 0.0",
        '    z.label = ""',
        "    z.op = _row",
        f"    z.args = ({operands},)",
        "    return z",
    ]
    return "\n".join(lines)


def _reverse_source(row: Primitive) -> str:
    """``operand.grad += adjoint * partial`` for every operand that is not a constant and not cut off.

    Where one can raise, all products are computed before the first is added, so that a step that raises
    has changed nothing.
    """
    data = {x: f"{x}_.data" for x in (*row.operands, "z")}
    products = {
        x: rules.for_floats(formulas.times("g", formulas.expression(partial), "None"), **data)
        for x, partial in zip(row.operands, row.partials, strict=True)
        if partial != "0"
    }
    lines = ["def function(z_):", f"    {', '.join(f'{x}_' for x in row.operands)}, = z_.args"]
    lines += ["    g = z_.grad"]
    if row.selects or any(formulas.can_raise(formulas.expression(partial)) for partial in row.partials):
        lines += [f"    d{x} = {p} if {x}_.op is not _constant else None" for x, p in products.items()]
        lines += [f"    if d{x} is not None: {x}_.grad += d{x}" for x in products]
    else:
        lines += [f"    if {x}_.op is not _constant: {x}_.grad += {p}" for x, p in products.items()]
    return "\n".join(lines)


VALUES = rules.register(
    rules.NumberType(
        _bind_values, Value, lambda *operands: any(isinstance(x, Value) for x in operands), _install
    )
)
