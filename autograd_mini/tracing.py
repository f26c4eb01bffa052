"""Nodes that are not eager Values: those of a function that is being traced, and those of a derivative.

A `Traced` node stands for a number that is not known yet. Arithmetic on it builds the graph as arithmetic
on Values does, comparisons build conditions (nodes of value 0 or 1), and whatever needs the number itself
raises `TraceError`. `derive` builds the nodes of gradient graphs, which follow IEEE arithmetic.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from fractions import Fraction
from functools import cache, partial
from typing import Any, NoReturn

from autograd_mini import formulas, rules
from autograd_mini.rules import Primitive
from autograd_mini.value import OPERATORS, Source, TraceError, Value, as_operand, caller, constant, leaf


class Derivative(Value):
    """A node of a gradient graph: where a partial does not exist, its number is inf or nan."""

    __slots__ = ()

    def _evaluate(self, *operands: float) -> float:
        assert isinstance(self.op, Primitive)
        return self.op.ieee(*operands)


class Traced(Value):
    """A node of a function that is being traced: it has operands and a label, but no number yet."""

    __slots__ = ()

    @property
    def data(self) -> float:
        _refuse(
            ".data has no number yet, and np.argmax, np.argsort, … need one; use functions that build nodes, "
            "such as np.where and np.max, on the Value itself"
        )

    @data.setter
    def data(self, number: float) -> None:
        _refuse(".data cannot be assigned; the program takes numbers when it is called")

    @property
    def grad(self) -> float:
        _refuse(".grad is not recorded; use grad(...) or gradient_graph(...)")

    @grad.setter
    def grad(self, number: float) -> None:
        _refuse(".grad is not recorded; use grad(...) or gradient_graph(...)")

    def backward(self) -> NoReturn:
        _refuse("backward() cannot be recorded; use grad(...), value_and_grad(...) or gradient_graph(...)")

    def forward(self) -> NoReturn:
        _refuse("forward() has no numbers to work on")

    def __lt__(self, other: Any) -> Any:
        return rules.less(self, other)

    def __le__(self, other: Any) -> Any:
        return rules.less_equal(self, other)

    def __gt__(self, other: Any) -> Any:
        return rules.less(other, self)

    def __ge__(self, other: Any) -> Any:
        return rules.less_equal(other, self)

    def __eq__(self, other: object) -> Any:
        """A condition also between Values; sets and dicts find a node by its identity before they ask."""
        return NotImplemented if as_operand(other) is NotImplemented else rules.equal(self, other)

    def __ne__(self, other: object) -> Any:
        same = self == other
        return negation(same) if isinstance(same, Value) else not same

    __hash__ = object.__hash__

    def __and__(self, other: Any) -> Any:
        return conjunction(self, other)

    def __or__(self, other: Any) -> Any:
        return disjunction(self, other)

    __rand__, __ror__ = __and__, __or__

    def __invert__(self) -> Any:
        return negation(self)

    def __bool__(self) -> bool:
        _refuse(
            "a Value or a comparison of Values cannot decide a branch, the branch of today would be kept "
            "for every later input: use np.where(condition, a, b), on arrays that values([...]) gives "
            "(np.array and np.asarray drop the class)"
        )

    def __float__(self) -> float:
        _refuse(
            "a Value does not become a number; use autograd_mini's functions instead of math's, and "
            "values([...]) or np.empty(n, dtype=object) for an array that holds Values"
        )

    def __index__(self) -> int:
        _refuse("a Value cannot be an index; pick with np.where, or close over the index")

    __int__ = __index__
    __complex__ = __float__

    def __repr__(self) -> str:
        return f"<traced {self.label or self.op.name or 'input'}>"

    def __format__(self, spec: str) -> str:
        return repr(self)


class TracedDerivative(Traced, Derivative):
    """A node of a gradient graph inside a function that is being traced."""

    __slots__ = ()


def conjunction(p: Any, q: Any) -> Any:
    """p and q, as conditions: q where p holds."""
    return rules.where(p, q, 0.0)


def disjunction(p: Any, q: Any) -> Any:
    """p or q, as conditions: q where p does not hold."""
    return rules.where(p, 1.0, q)


def negation(p: Any) -> Any:
    """not p, as a condition."""
    return rules.where(p, 0.0, 1.0)


def is_condition(x: Any) -> bool:
    """Whether a traced node is a comparison, or made of comparisons, of value 0 or 1."""
    if isinstance(x, Traced) and x.op is rules.where:
        return all(is_condition(y) or (y.op is constant and y.data in (0.0, 1.0)) for y in x.args[1:])
    return isinstance(x, Traced) and x.op in (rules.less, rules.less_equal, rules.equal)


def _refuse(why: str) -> NoReturn:
    """TraceError with the line of the caller's own code that asked for the number."""
    raise TraceError(f"while tracing, {caller()}: {why}")


def traced_input(label: str) -> Traced:
    """A new input of a function to be traced."""
    node = object.__new__(Traced)
    node.op = leaf
    node.args = ()
    node.label = label
    return node


# --- recording the user's operations ----------------------------------------------------------------


def _bind_traced(row: Primitive) -> Callable[..., Any]:
    def operator(*operands: Any) -> Any:
        for x in operands:
            if not isinstance(x, Value):
                operands = tuple(map(as_operand, operands))
                if any(operand is NotImplemented for operand in operands):
                    return NotImplemented
                break
        node = object.__new__(Traced)
        node.op = row
        node.args = operands
        node.label = ""
        return node

    return operator


def _install(row: Primitive) -> None:
    """The methods of `Traced` itself, so that Python prefers them to those of Value."""
    operator = _bind_traced(row)
    special = OPERATORS.get(row.name)
    for name in filter(None, {row.name, row.numpy, special}):
        setattr(Traced, name, operator)
    if special and len(row.operands) == 2:
        setattr(Traced, special.replace("__", "__r", 1), lambda y, x: operator(x, y))


rules.register(
    rules.NumberType(
        _bind_traced, Traced, lambda *operands: any(isinstance(x, Traced) for x in operands), _install
    )
)


# --- building derivatives ---------------------------------------------------------------------------


def derive(row: Primitive, *operands: Value) -> Value:
    """The node ``row(operands)`` of a gradient graph, constants folded where that is exact."""
    return deriver(row)(*operands)


@cache
def deriver(row: Primitive) -> Callable[..., Value]:
    """`derive` for one row, written out for its operands: most of a gradient graph's time is spent here."""
    names = [f"_{operand}" for operand in row.operands]
    formula = rules.for_floats(formulas.expression(row.stable))
    source = (
        f"def function({', '.join(names)}):\n"
        f"    if {' or '.join(f'{x}.op is _constant' for x in names)}:\n"
        f"        _folded = _fold({', '.join(names)})\n"
        f"        if _folded is not None:\n"
        f"            return _folded\n"
        f"    _traced = {' or '.join(f'isinstance({x}, _Traced)' for x in names)}\n"
        f"    _node = _make(_TracedDerivative if _traced else _Derivative)\n"
        f"    _node.op = _row\n"
        f"    _node.args = {', '.join(names)},\n"
        f"    _node.label = ''\n"
        f"    if not _traced:\n"
        f"        _node.grad = 0.0\n"
        f"        {', '.join(row.operands)}, = {', '.join(f'{x}.data' for x in names)},\n"
        f"        try:\n"
        f"            _node.data = float({formula})\n"
        f"        except (ArithmeticError, ValueError):\n"
        f"            _node.data = _row.ieee({', '.join(row.operands)})\n"
        f"    return _node\n"
    )
    kinds = {"_Traced": Traced, "_TracedDerivative": TracedDerivative, "_Derivative": Derivative}
    own = {"_row": row, "_constant": constant, "_fold": partial(_folded, row), "_make": object.__new__}
    return formulas.define(row.name, source, formulas.FLOATS, **kinds, **own)


def _folded(row: Primitive, *operands: Value) -> Value | None:
    """What is left of an operation on constants, if it can be folded."""
    if row is rules.mul and operands[0].op is constant and operands[0].data == -1.0:
        return derive(rules.neg, operands[1])  # as one would write it
    found = fold(row, [x.data if x.op is constant and not is_pi(x) else None for x in operands])
    if isinstance(found, int):
        return operands[found]
    return None if found is None else constant_node(found)


def is_pi(node: Value) -> bool:
    """Whether a constant node stands for π itself, to whatever precision the number type has."""
    return node.op is constant and node.label == "pi"


def constant_node(number: float) -> Value:
    node: Value = as_operand(number)
    return node


ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "neg": lambda x: -x,
    "less": lambda x, y: x < y,
    "less_equal": lambda x, y: x <= y,
    "equal": lambda x, y: x == y,
}


def fold(row: Primitive, constants: list[float | None]) -> int | float | None:
    """What constant operands make of an operation: a number, one of the operands (its position), or None.

    Only what is exact is folded: 2 − 1, but neither 1 / 3 nor log(2), which other number types know
    better; 1 · x, x / 1, x ** 1 and a decided ``where``, but neither 0 · x nor x + 0.
    """
    name = row.name
    if name in ("where", "convention") and constants[0] is not None:
        return 1 if constants[0] else 2
    if name == "mul" and constants[0] == 1.0:
        return 1
    if name in ("mul", "div", "pow") and constants[1] == 1.0:
        return 0
    known = [x for x in constants if x is not None]
    if name not in ARITHMETIC or len(known) < len(constants) or not all(map(math.isfinite, known)):
        return None
    if name == "div" and known[1] == 0.0:
        return None
    result = float(ARITHMETIC[name](*known))
    exact = math.isfinite(result) and ARITHMETIC[name](*map(Fraction, known)) == Fraction(result)
    return result if exact else None


@cache
def products(row: Primitive | Source, forward: bool = False) -> tuple[Callable[..., Value] | None, ...]:
    """For each operand the product of adjoint and partial as a graph, a function of g, z and the operands.

    None stands for a partial that is 0; the node `CUT` comes from an edge that is cut at every input.
    A ``forward`` sweep has in g what a reverse sweep multiplies with later on, so that 0 · ∞ arises here.
    TypeError where a node was made by hand.
    """
    if isinstance(row, Source):
        raise row.by_hand("carries no rule to differentiate")
    zero = "g * 0" if forward else "cut"
    found = tuple(
        None if text == "0" else _graph(row, formulas.times("g", formulas.expression(text), "cut", zero))
        for text in row.partials
    )
    return tuple(map(_cut_at_the_power_0, filter(None, found))) if row is rules.pow else found


def _cut_at_the_power_0(product: Callable[..., Value]) -> Callable[..., Value]:
    """x**0 is 1, whatever x is."""

    def function(g: Value, z: Value, x: Value, y: Value) -> Value:
        return CUT if y.op is constant and y.data == 0.0 else product(g, z, x, y)

    return function


@cache
def openings(row: Primitive) -> tuple[Callable[..., Value], ...]:
    """For each operand the condition under which the edge to it is open, as `products` are given."""
    return tuple(_graph(row, formulas.opening(formulas.expression(text))) for text in row.partials)


def _graph(row: Primitive, formula: ast.expr) -> Callable[..., Value]:
    """A formula made from the row's partial, as a function of nodes."""
    if not row.selects:
        formula = _Conventions().visit(formula)
    formula = formulas.functional(formula)
    for node in ast.walk(formula):
        if isinstance(node, ast.Name) and node.id in rules.table:
            NODES.setdefault(node.id, deriver(rules.table[node.id]))
    source = ast.unparse(_ConstantNodes().visit(formula))
    return formulas.define(
        row.name, f"def function(g, z, {', '.join(row.operands)}):\n    return {source}\n", NODES
    )


class _Conventions(ast.NodeTransformer):
    """The conditionals of a partial that make it 0, which cut nothing when they are differentiated."""

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        self.generic_visit(node)
        if {ast.unparse(node.body), ast.unparse(node.orelse)}.isdisjoint(("cut", "g * 0")):
            return node  # a choice between two formulas
        return ast.Call(ast.Name("convention"), [node.test, node.body, node.orelse], [])


class _ConstantNodes(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return formulas.expression(f"_constant({float(ast.literal_eval(node))!r})")


PI = constant_node(math.pi)
PI.label = "pi"
CUT = constant_node(0.0)
NODES: dict[str, Any] = {
    "_constant": constant_node,
    "pi": PI,
    "cut": CUT,
}  # grows by the rows that partials call
