"""The reverse sweep over instructions, on numbers of any type; nobody's ``.grad`` is touched.

The instructions are evaluated once, forward; then every reverse sweep starts at some slots with their
adjoints and gives, for each operand in turn,

    adjoint of the operand += adjoint of the result · partial,

the partial computed from the table's text by the number type itself, once for each edge. On floats this is
the engine's derivative, on mpmath's numbers its truth to many digits, and on pairs (value, bound) it says
also how far rounding may have moved what was computed: with the unit roundoff u = 2⁻⁵³, an operation adds
u·|z| and passes on the bounds of its operands, each times |partial| (a running error analysis, as in
Higham, Accuracy and Stability of Numerical Algorithms, §3.3).
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, TypeAlias

import numpy as np

from autograd_mini import formulas
from autograd_mini.instructions import Instructions
from autograd_mini.number_types import COMPARE, FLOAT, FormulaType
from autograd_mini.rules import Primitive, table
from autograd_mini.tracing import is_pi
from autograd_mini.value import Source, Value, constant, reverse_step, topological_order

U = 2.0**-53  # the unit roundoff: half the distance from 1 to the next float
CUT = object()  # in place of a partial: nothing is passed on

Pair: TypeAlias = "tuple[Any, Any]"  # a value and how far it may be off


# --- from a graph to instructions, node by node -----------------------------------------------------


@dataclass(frozen=True)
class Tape:
    """A graph as instructions in which every node keeps a slot of its own.

    ``start`` are the data of the leaves that are no constants, which are the inputs.
    """

    code: Instructions
    slots: Mapping[Value, int]
    start: list[float]


def tape_of(roots: Sequence[Any]) -> Tape:
    """The graph of the roots, which are Values or numbers; TypeError for a node made by hand.

    >>> x = Value(3.0, label="x")
    >>> tape = tape_of([x * x + 1.0])
    >>> tape.start, tape.code.constants, [row.name for row in tape.code.rows]
    ([3.0], (1.0,), ['mul', 'add'])
    """
    order = topological_order(*(root for root in roots if isinstance(root, Value)))
    leaves = [node for node in order if not node.args]
    inputs = [node for node in leaves if node.op is not constant]
    constants: list[float | str] = ["pi" if is_pi(x) else x.data for x in leaves if x.op is constant]
    nodes = [*inputs, *(node for node in leaves if node.op is constant)]
    constants += [float(root) for root in roots if not isinstance(root, Value)]
    slots = {node: i for i, node in enumerate(nodes)}
    rows: dict[Primitive, int] = {}
    codes, operands = [], []
    first = len(inputs) + len(constants)
    for i, node in enumerate(order[len(leaves) :]):
        if isinstance(node.op, Source):
            raise node.op.by_hand("carries no formula")
        slots[node] = first + i
        codes.append(rows.setdefault(node.op, len(rows)))
        operands.append([slots[operand] for operand in node.args])
    numbers = iter(range(len(nodes), first))
    outputs = [slots[root] if isinstance(root, Value) else next(numbers) for root in roots]
    width = max(map(len, operands), default=0)
    code = Instructions(
        len(inputs),
        tuple(constants),
        tuple(rows),
        np.array(codes, dtype=np.int32),
        np.array([slot + [-1] * (width - len(slot)) for slot in operands], np.int32).reshape(
            len(operands), width
        ),
        np.array(outputs, dtype=np.int32),
    )
    return Tape(code, slots, [node.data for node in inputs])


# --- the sweep --------------------------------------------------------------------------------------


class Sweep:
    """Instructions evaluated at inputs of a number type; ``slots`` holds the number of every slot.

    >>> x = Value(3.0)
    >>> sweep = Sweep(tape_of([x * x]).code, [3.0], FLOAT)
    >>> sweep.slots, sweep.adjoints({1: 1.0})
    ([3.0, 9.0], {1: 1.0, 0: 6.0})
    """

    def __init__(self, code: Instructions, inputs: Sequence[Any], kind: FormulaType) -> None:
        self.code, self.kind = code, kind
        self._codes = code.codes.tolist()
        arity = [len(row.operands) for row in code.rows]
        self._operands = [
            row[: arity[index]] for index, row in zip(self._codes, code.operands.tolist(), strict=True)
        ]
        self._partials = [partials(kind, row) for row in code.rows]
        self._local: dict[int, tuple[Any, ...]] = {}
        slots = self.slots = [*inputs, *map(kind.number, code.constants)]
        functions = [kind.function(row) for row in code.rows]
        with np.errstate(all="ignore"):
            for index, operands in zip(self._codes, self._operands, strict=True):
                slots.append(functions[index](*[slots[operand] for operand in operands]))

    @property
    def outputs(self) -> list[Any]:
        return [self.slots[output] for output in self.code.outputs.tolist()]

    def adjoints(self, seeds: Mapping[int, Any], held: Mapping[int, Any] | None = None) -> dict[int, Any]:
        """The adjoints of the slots on which the seeded ones depend, by a path that no edge cuts.

        Those of ``held`` slots are the given ones in the place of their own.
        """
        first = self.code.first
        add, mul = (self.kind.function(table[name]) for name in ("add", "mul"))
        held = held or {}
        found = {**seeds, **held}
        with np.errstate(all="ignore"):
            for i in range(max(found, default=0), first - 1, -1):
                adjoint = found.get(i)
                if adjoint is None:
                    continue
                for operand, partial in zip(self._operands[i - first], self.local(i), strict=True):
                    if partial is CUT or operand in held:
                        continue
                    term = adjoint if partial is None else mul(adjoint, partial)
                    before = found.get(operand)
                    found[operand] = term if before is None else add(before, term)
        return found

    def local(self, i: int) -> tuple[Any, ...]:
        """The partials of the instruction that writes slot ``i``, one an operand; see `partials`."""
        local = self._local.get(i)
        if local is None:
            place = i - self.code.first
            operands = [self.slots[operand] for operand in self._operands[place]]
            local = self._local[i] = self._partials[self._codes[place]](*operands, self.slots[i])
        return local


def gradients(roots: Sequence[Value], order: Sequence[Value]) -> dict[Value, float]:
    """∂root/∂node for each node of a topological order; of several roots that of their sum.

    What `Value.backward` gives, at the numbers that the nodes have and also through nodes made by hand. Each
    ``.grad`` stays as it was, also if a step made by hand raises.

    >>> x = Value(3.0)
    >>> y = x * x
    >>> gradients([y], [x, y])[x], x.grad
    (6.0, 0.0)
    """
    before = [node.grad for node in order]
    try:
        for node in order:
            node.grad = 0.0
        for root in roots:
            root.grad += 1.0
        for node in reversed(order):
            if node.args:
                reverse_step(node)
        return {node: node.grad for node in order}
    finally:
        for node, grad in zip(order, before, strict=True):
            node.grad = grad


def local(node: Value) -> tuple[Any, ...]:
    """The partials of a node's operation at the numbers that it has; see `partials`.

    >>> local(Value(3.0) * 2.0)
    (2.0, 3.0)
    """
    if isinstance(node.op, Source):
        raise node.op.by_hand("carries no partials")
    return partials(FLOAT, node.op)(*[x.data for x in node.args], node.data)


@cache
def partials(kind: FormulaType, row: Primitive) -> Callable[..., tuple[Any, ...]]:
    """All partials as a function of operands and z; None stands for 1, CUT for 0 and for a cut edge."""
    formulas: list[ast.expr] = [_marked(text) for text in row.partials]
    decided = {"where": _decided} if isinstance(kind, _Bounded) else {}
    operands = (*row.operands, "z")
    return kind.bound(f"partials of {row.name}", ast.Tuple(formulas), operands, cut=CUT, one=None, **decided)


def _marked(text: str) -> ast.expr:
    return ast.Name("one") if text == "1" else _without_zeros(formulas.expression(text), ast.Name("cut"))


def _without_zeros(partial: ast.expr, cut: ast.expr) -> ast.expr:
    """The partial with ``cut`` where it, or a branch of it, is 0 by the rule: 0 · ∞ is 0 there."""
    if isinstance(partial, ast.IfExp):
        branches = (_without_zeros(branch, cut) for branch in (partial.body, partial.orelse))
        return ast.IfExp(partial.test, *branches)
    return cut if ast.unparse(partial) in ("0", "cut") else partial


# --- pairs of a value and a bound -------------------------------------------------------------------


def _decided(condition: Pair, x: Any, y: Any) -> Any:
    """One of two, as floats decide: a partial may jump where a value does not, on a kink that is known."""
    return x if condition[0] else y


class _Bounded(FormulaType):
    """Pairs (value, bound) over floats or arrays of them.

    A row that is one operation or one function of the library is computed in floats, with its rounding
    added; every other row by its formula, operation by operation. Where the operands of a choice are
    closer than their bounds, the distance to what is not chosen is part of a value's bound; a derivative
    is bounded on the side of the kink on which floats put it.
    """

    def __init__(self, base: FormulaType) -> None:
        self.base = base
        super().__init__(f"bounded {base.name}", self._number, self._native(), large=base.large)

    def _number(self, x: Any) -> Pair:
        return self.base.number(x), U * math.pi if isinstance(x, str) else 0.0

    @cached_property
    def _either(self) -> Callable[[Any, Any, Any], Any]:
        def either(c: Any, x: Any, y: Any) -> Any:
            return x if c else y

        return self.base.native.get("where", either)

    def _native(self) -> dict[str, Callable[..., Any]]:
        finite = _finite_bound if self.base.large else _finite_float_bound

        select = self._either

        def add(x: Pair, y: Pair) -> Pair:
            (a, p), (b, q) = x, y
            z = a + b
            inexact = ((z - a != b) | (z - b != a)) & (a - a == b - b)  # with an infinite operand it is exact
            return z, finite(p + q + select(inexact, U * abs(z), 0.0))

        def sub(x: Pair, y: Pair) -> Pair:
            return add(x, (-y[0], y[1]))

        def mul(x: Pair, y: Pair) -> Pair:
            (a, p), (b, q) = x, y
            z = a * b
            moves = (a - a == b - b) | (p + q == math.inf)  # what has an infinite factor does not
            return z, finite(select(moves, abs(b) * p + abs(a) * q + p * q + U * abs(z), 0.0))

        def neg(x: Pair) -> Pair:
            return -x[0], x[1]

        def absolute(x: Pair) -> Pair:
            return abs(x[0]), x[1]

        most: Callable[[Any, Any], Any] = np.maximum if self.base.large else max

        def where(condition: Pair, x: Any, y: Any) -> Any:
            """One of two; where the operands of the condition are too close to tell, it may be the other."""
            c, undecided = condition
            if not self.base.large and not undecided:
                return x if c else y
            (p, p_error), (q, q_error) = ((0.0, 0.0) if z is CUT else z for z in (x, y))
            error = select(c, p_error, q_error)
            other = abs(p - q) + select(c, q_error, p_error)
            return select(c, p, q), select(undecided, most(error, other), error)

        def extreme(name: str) -> Callable[[Pair, Pair], Pair]:
            def function(x: Pair, y: Pair) -> Pair:
                return self.base.function(table[name])(x[0], y[0]), most(x[1], y[1])

            return function

        def compared(compare: Callable[[Any, Any], Any]) -> Callable[[Pair, Pair], Pair]:
            def function(x: Pair, y: Pair) -> Pair:
                error = x[1] + y[1]
                return compare(x[0], y[0]) * 1.0, ((abs(x[0] - y[0]) <= error) & (error > 0)) * 1.0

            return function

        both = {name: compared(test) for name, test in COMPARE.items()}
        return {
            **{"add": add, "sub": sub, "mul": mul, "neg": neg, "abs": absolute, "where": where},
            **{name: extreme(name) for name in ("maximum", "minimum")},
            **both,
            **{"_" + name: function for name, function in both.items()},
        }

    def by_formula(self, row: Primitive) -> Callable[..., Any]:
        if row.name not in self.native and _is_elementary(row, formulas.expression(row.stable)):
            return self._rounded(row)
        return super().by_formula(row)

    def _rounded(self, row: Primitive) -> Callable[..., Any]:
        function = self.base.function(row)
        slopes = [
            self.base.bound("slope", _without_zeros(formulas.expression(text), ast.Constant(0)),
                            (*row.operands, "z"))
            for text in row.partials
        ]  # fmt: skip
        unit = U * (1 if isinstance(formulas.expression(row.stable), ast.BinOp) and row.name != "pow" else 4)
        finite = _finite_bound if self.base.large else _finite_float_bound

        def bounded(*pairs: Pair) -> Pair:
            numbers = [x for x, _ in pairs]
            z = function(*numbers)
            bound = unit * abs(z)
            for slope, (_, error) in zip(slopes, pairs, strict=True):
                if type(error) is not float or error:
                    bound = bound + abs(slope(*numbers, z)) * error
            if self.base.large or z - z != 0:  # what is infinite as an operand is, does not move
                finite_ones = (z - z == 0) | (sum(x - x for x in numbers) == 0)
                bound = self._either(finite_ones | (sum(e for _, e in pairs) == math.inf), bound, 0.0)
            return z, finite(bound)

        return bounded


def _finite_float_bound(bound: float) -> float:
    return bound if bound == bound else math.inf


def _finite_bound(bound: Any) -> Any:
    return np.where(np.isnan(bound), np.inf, bound)


def _is_elementary(row: Primitive, formula: ast.expr) -> bool:
    """Whether a row is a single operation or a function of the library, on its operands."""
    match formula:
        case ast.Call(ast.Name(name), arguments):
            return name in formulas.NATIVE and all(isinstance(x, ast.Name) for x in arguments)
        case ast.BinOp(ast.Name(), _, ast.Name()):
            return True
        case ast.BinOp(ast.Constant(1), ast.Div(), ast.Name()):
            return True
    return False


@cache
def bounded(base: FormulaType = FLOAT) -> FormulaType:
    """The number type of pairs (value, bound) over floats or, with `ARRAY`, over arrays of them.

    >>> x = Value(1e-9)
    >>> tape = tape_of([(1.0 + x) - 1.0])
    >>> [(value, bound)] = Sweep(tape.code, [(1e-9, 0.0)], bounded()).outputs
    >>> abs(value - 1e-9) < bound < 1e-15
    True
    """
    return _Bounded(base)


def floats(pairs: Iterable[Pair]) -> tuple[Any, Any]:
    """The values and the bounds of pairs, as two arrays of floats."""
    array = np.array([*pairs], dtype=float).reshape(-1, 2)
    return array[:, 0], array[:, 1]
