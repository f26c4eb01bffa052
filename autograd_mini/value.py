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

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from autograd_mini import rules
from autograd_mini.rules import Primitive, as_number


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
        return Source, (self.symbol,)


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

    __slots__ = ("__weakref__", "args", "data", "grad", "label", "op")
    data: float
    grad: float
    label: str
    op: Primitive | Source
    args: tuple[Value, ...]

    def __init__(self, data: Any, _children: tuple[Value, ...] = (), _op: str = "", label: str = "") -> None:
        number = None if isinstance(data, Value) else as_number(data)
        if number is None:
            raise TypeError(f"Value: data must be one real number, got {_describe(data)}")
        self.args = tuple(_children)
        if not all(isinstance(child, Value) for child in self.args):
            raise TypeError(f"Value: _children must be Values, got {_children!r}; a label goes by keyword")
        self.data = number
        self.grad = 0.0
        self.label = label
        self.op = Source(_op) if self.args else leaf

    # --- sweeps ---

    def backward(self) -> None:
        """Set ``.grad`` of every node below to the derivative of this one with respect to it.

        Leaves add up over calls, until `zero_grad`; interior nodes are fresh in each call. One sweep
        in reverse topological order, linear in the edges, without recursion. Partials that do not
        exist are inf or nan; nothing is raised half-way.
        """
        interior = [node for node in topological_order(self) if node.args]
        for node in interior:
            node.grad = 0.0
        self.grad += 1.0
        for node in reversed(interior):
            try:
                node.op.reverse(node)
            except (ArithmeticError, ValueError):
                if isinstance(node.op, Source):
                    raise
                node.op.reverse_ieee(node)

    def forward(self) -> None:
        """Recompute every node below, and this one, from the leaves' current data.

        Raises DomainError where an operation leaves its domain, TypeError at a node made by hand;
        then nothing has changed.
        """
        interior = [node for node in topological_order(self) if node.args]
        before = [node.data for node in interior]
        try:
            for node in interior:
                node.data = evaluate(node)
        except BaseException:
            for node, data in zip(interior, before, strict=True):
                node.data = data
            raise

    def zero_grad(self) -> None:
        """Set ``.grad`` of this node and every node below to 0."""
        for node in topological_order(self):
            node.grad = 0.0

    # --- comparison: by data with numbers and for order, by identity between Values ---

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Value):
            return self is other
        number = as_number(other)
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

    __int__ = __index__ = __complex__ = __float__  # type: ignore[assignment]  # all refuse alike

    def __pos__(self) -> Value:
        return self

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
        return self.op.step if isinstance(self.op, Source) else lambda: self.op.reverse(self)

    @_backward.setter
    def _backward(self, step: Callable[[], None]) -> None:
        self.op = Source(self._op, step)

    if TYPE_CHECKING:  # written out from the table when the module is imported
        _Other: TypeAlias = "Value | float"

        def __add__(self, other: _Other) -> Value: ...
        def __radd__(self, other: _Other) -> Value: ...
        def __sub__(self, other: _Other) -> Value: ...
        def __rsub__(self, other: _Other) -> Value: ...
        def __mul__(self, other: _Other) -> Value: ...
        def __rmul__(self, other: _Other) -> Value: ...
        def __truediv__(self, other: _Other) -> Value: ...
        def __rtruediv__(self, other: _Other) -> Value: ...
        def __pow__(self, other: _Other) -> Value: ...
        def __rpow__(self, other: _Other) -> Value: ...
        def __neg__(self) -> Value: ...
        def __abs__(self) -> Value: ...


def topological_order(*roots: Value) -> list[Value]:
    """Every node at or below the roots, operands before results, by an iterative depth-first search.

    >>> x = Value(2.0, label="x")
    >>> [node.data for node in topological_order(x * x + x)]
    [2.0, 4.0, 6.0]
    """
    order: list[Value] = []
    seen: set[Value] = set()
    stack: list[Value | None] = [*reversed(roots)]
    while stack:
        node = stack.pop()
        if node is None:  # everything below the node under this mark is done
            order.append(stack.pop())  # type: ignore[arg-type]  # a mark stands on a node
        elif node not in seen:
            seen.add(node)
            if node.args:
                stack += (node, None, *reversed(node.args))
            else:
                order.append(node)
    return order


def evaluate(node: Value) -> float:
    """The number that an interior node's formula gives at its operands' current data."""
    if isinstance(node.op, Source):
        raise TypeError(
            f"forward: the node {node.op.symbol!r} was made by hand and carries no formula; "
            "add its rule with primitive(...)"
        )
    data = tuple(operand.data for operand in node.args)
    try:
        return float(node.op.bound[float](*data))
    except rules.DomainError as error:
        raise node.op.error(error, tuple(x.label for x in node.args), data) from None


def as_operand(x: Any) -> Any:
    """``x`` as a node: Values as they are, numbers as constants, NotImplemented for anything else."""
    if isinstance(x, Value):
        return x
    number = as_number(x)
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
    "pow": "__pow__", "neg": "__neg__", "abs": "__abs__",
}  # fmt: skip


def _bind_values(row: Primitive) -> Callable[..., Any]:
    """Give the row its reverse step, the class its methods, and return the operator."""
    operands = ", ".join(row.operands)
    scope = rules.FLOATS
    names = {
        "row": row,
        "Value": Value,
        "new": object.__new__,
        "as_operand": as_operand,
        "constant": constant,
    }
    operator: Callable[..., Any] = rules.define(row.name, _operator_source(row), scope, **names)
    row.reverse = rules.define("reverse", _reverse_source(row, rules.for_floats), scope, **names)
    row.reverse_ieee = rules.define(
        "reverse",
        _reverse_source(row, lambda formula, **_: rules.elementwise(formula)),
        rules.ARRAYS,
        **names,
        float64=np.float64,
        errstate=np.errstate,
    )
    operator.__doc__ = f"{row}"
    special = OPERATORS.get(row.name)
    for name in filter(None, {row.name, row.numpy, special}):
        setattr(Value, name, operator)
    if special and len(row.operands) == 2:
        reflected = rules.define(
            "reflected",
            f"def function(y, x):\n    x = as_operand(x)\n"
            f"    return x if x is NotImplemented else {row.name}_(x, y)\n",
            {},
            as_operand=as_operand,
            **{f"{row.name}_": operator},
        )
        setattr(Value, special.replace("__", "__r", 1), reflected)
    return operator


def _operator_source(row: Primitive) -> str:
    operands = ", ".join(row.operands)
    lines = [f"def function({operands}):"]
    for x in row.operands:
        lines += [
            f"    if type({x}) is not Value:",
            f"        {x} = as_operand({x})",
            f"        if {x} is NotImplemented:",
            "            return NotImplemented",
        ]
    lines += ["    z = new(Value)"]
    formula = rules.for_floats(rules.expression(row.stable), **{x: f"{x}.data" for x in row.operands})
    if row.can_raise:
        lines += [
            "    try:",
            f"        z.data = {formula}",
            "    except (ArithmeticError, ValueError) as cause:",
            f"        error = row.error(cause, ({operands.replace(', ', '.label, ')}.label,), "
            f"({operands.replace(', ', '.data, ')}.data,))",
            "        raise error from None",
        ]
    else:
        lines += [f"    z.data = {formula}"]
    lines += [
        "    z.grad = 0.0",
        '    z.label = ""',
        "    z.op = row",
        f"    z.args = ({operands},)",
        "    return z",
    ]
    return "\n".join(lines)


def _reverse_source(row: Primitive, emit: Callable[..., str]) -> str:
    """``operand.grad += adjoint * partial`` for every operand that is not a constant.

    All products are computed before the first is added, so that a step that raises has changed nothing.
    """
    ieee = emit is not rules.for_floats
    lines = [
        "def function(z_):",
        f"    {', '.join(f'{x}_' for x in row.operands)}, = z_.args",
        "    g = z_.grad",
    ]
    data = {x: f"{x}_.data" for x in (*row.operands, "z")}
    if ieee:
        lines = [*lines, "    g = float64(g)", *(f"    {x} = float64({d})" for x, d in data.items())]
    products = {
        x: emit(rules.times("g", rules.expression(partial)), **data)
        for x, partial in zip(row.operands, row.partials, strict=True)
        if partial != "0"
    }
    if ieee:
        lines += ["    with errstate(all='ignore'):", *["        0"][: not products]]
    indent = "        " if ieee else "    "
    lines += [f"{indent}d{x} = {p} if {x}_.op is not constant else 0.0" for x, p in products.items()]
    lines += [f"    {x}_.grad += {'float' if ieee else ''}(d{x})" for x in products]
    return "\n".join(lines)


rules.register(rules.Arithmetic(Value, lambda x: isinstance(x, Value), _bind_values))
