"""Instructions evaluated on any number type: floats, arrays, multiprecision numbers, symbols.

A number type says how a constant becomes one of its numbers and which functions it has of its own
(``exp``, ``add``, ``where``, …). Every other row of the derivative table follows from its formula, so a row
that a user adds later works on each of them too. Floats, NumPy arrays and mpmath's numbers follow IEEE:
a pole is inf, a point outside the domain is nan, and nothing is raised.

mpmath and SymPy are never imported here: their numbers bring them along.
"""

from __future__ import annotations

import ast
import math
import numbers
import operator
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_mini import formulas, rules
from autograd_mini.instructions import Instructions
from autograd_mini.rules import NumberType, Primitive, as_number, table

if TYPE_CHECKING:
    from numpy.typing import NDArray

COMPARISONS = ("less", "less_equal", "equal")
PIECE = 8192  # instructions converted to Python lists at a time


class FormulaType(NumberType):
    """A number type to which rows are bound by their formulas.

    ``number(x)`` makes a float, an int or ``"pi"`` one of its numbers, ``native`` maps the names of rows to
    its own functions, and all other rows are bound to their text: the ``"stable"`` one or the textbook's
    ``"formula"``. Where numbers are ``large``, intermediate ones are dropped after their last use.

    Formulas use ``add``, ``sub``, ``mul``, ``div``, ``pow``, ``neg``, ``where``, ``less``, ``less_equal``,
    ``equal`` and `math`'s functions; these have to be native where they occur. With the rows themselves as
    functions, it is a type of whatever rows can be called on: ``FormulaType("Value", number, table)``.
    """

    def __init__(
        self,
        name: str,
        number: Callable[[Any], Any],
        native: Mapping[str, Callable[..., Any]],
        text: str = "stable",
        large: bool = False,
    ) -> None:
        super().__init__(self.by_formula)
        self.name = name
        self.number = number
        self.native = native
        self.text = text
        self.large = large

    def by_formula(self, row: Primitive) -> Callable[..., Any]:
        own = self.native.get(row.name)
        return own or self.bound(row.name, formulas.expression(getattr(row, self.text)), row.operands)

    def bound(
        self, name: str, formula: ast.expr, operands: tuple[str, ...], **closure: Any
    ) -> Callable[..., Any]:
        """The function of the operands that a formula states, on numbers of this type."""
        formula = formulas.functional(formula)
        called = {name: self.function(table[name]) for name in _called(formula, self.native)}
        bound = _Bound()
        tree = bound.visit(formula)
        numbers = {name: self.number(constant) for name, constant in bound.constants.items()}
        tests = {"_" + name: self.native[name] for name in COMPARISONS if name in self.native}
        source = f"def function({', '.join(operands)}):\n    return {ast.unparse(tree)}"
        return formulas.define(
            name, source, tests | dict(self.native), _number=self.number, **numbers, **called, **closure
        )


def _called(formula: ast.expr, native: Mapping[str, Any]) -> set[str]:
    names = (node.id for node in ast.walk(formula) if isinstance(node, ast.Name))
    return {name for name in names if name in table and name not in native}


class _Bound(ast.NodeTransformer):
    """Constants become names, and the comparison that decides a ``where``, such as ``less``, ``_less``.

    Unlike ``less``, ``_less`` may give what the type has for a condition instead of 0 or 1.
    """

    def __init__(self) -> None:
        self.constants: dict[str, float] = {}

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        name = f"_{len(self.constants)}"
        self.constants[name] = ast.literal_eval(node)
        return ast.Name(name)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        # The digits of π depend on the precision of the moment.
        return ast.Call(ast.Name("_number"), [ast.Constant("pi")], []) if node.id == "pi" else node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        match node:
            case ast.Call(ast.Name("where"), [ast.Call(ast.Name(name)) as test, x, y]) if name in COMPARISONS:
                # The value of a condition carries the type of its operands, which two constants lack.
                if not (_is_constant(x) and _is_constant(y)):
                    test.func = ast.Name("_" + name)
        node.args = [self.visit(argument) for argument in node.args]
        return node


def _is_constant(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) or (
        isinstance(node, ast.Call) and all(map(_is_constant, node.args))
    )


# --- evaluation -------------------------------------------------------------------------------------


def evaluate(code: Instructions, inputs: Sequence[Any], number_type: FormulaType | None = None) -> list[Any]:
    """The outputs of the instructions at inputs of one number type, or of one mixed with plain numbers.

    The type is told from the inputs unless it is given; a given type gets the inputs as they are. Arrays of
    dtype object are evaluated element by element. SymPy's expressions may be mixed with mpmath's numbers,
    and are then what comes out.

    >>> import mpmath
    >>> from autograd_mini import mul, sqrt
    >>> code = Instructions(
    ...     1, (0.5,), (sqrt, mul), np.array([0, 1]), np.array([[0, -1], [1, 2]]), np.array([3])
    ... )
    >>> evaluate(code, [np.array([4.0, 16.0])])
    [array([1., 2.])]
    >>> with mpmath.workdps(30):
    ...     print(*evaluate(code, [mpmath.mpf(2)]))
    0.707106781186547524400844362105

    Raises TypeError for an input that is no number, array or expression.
    """
    if number_type is None:
        if any(isinstance(x, np.ndarray) and x.dtype == object for x in inputs):
            return _element_by_element(code, inputs)
        number_type = type_of(inputs)
        inputs = [number_type.number(x) for x in inputs]
    slots = [*inputs, *map(number_type.number, code.constants)]
    functions = [number_type.function(row) for row in code.rows]
    with np.errstate(all="ignore"):
        for index, operands, dying in _instructions(code, number_type.large):
            slots.append(functions[index](*[slots[operand] for operand in operands]))
            for slot in dying:
                if slot >= 0:
                    slots[slot] = None
    return [slots[output] for output in code.outputs.tolist()]


def evaluate_floats(code: Instructions, inputs: Sequence[Any]) -> list[float]:
    """The outputs at numbers, as Python floats: `math`'s results, and IEEE's inf or nan where `math` raises.

    >>> from autograd_mini import log
    >>> evaluate_floats(Instructions(1, (), (log,), np.array([0]), np.array([[0]]), np.array([1])), [0.0])
    [-inf]
    """
    return evaluate(code, list(map(_as_float, inputs)), FLOAT)


def _instructions(code: Instructions, drop: bool) -> Iterator[tuple[int, list[int], Sequence[int]]]:
    """The row and the operands of each instruction, and if ``drop`` the operands that are used up."""
    arity = [len(row.operands) for row in code.rows]
    last = _last_uses(code) if drop else None
    for start in range(0, len(code), PIECE):
        operands = code.operands[start : start + PIECE]
        codes = code.codes[start : start + PIECE].tolist()
        dying: Iterable[Sequence[int]] = repeat(())
        if last is not None:
            here = np.arange(start, start + len(codes))[:, None]
            dying = np.where(last[operands] == here, operands, -1).tolist()
        for index, row, dead in zip(codes, operands.tolist(), dying, strict=False):
            yield index, row[: arity[index]], dead


def _last_uses(code: Instructions) -> NDArray[np.int64]:
    """The instruction after which nothing needs the slot, for every slot."""
    last = np.zeros(code.slots, np.int64)
    order = np.repeat(np.arange(len(code)), code.operands.shape[1])
    # An absent operand, -1, falls on the last slot, which may well stay.
    np.maximum.at(last, code.operands.ravel(), order)
    last[code.outputs] = len(code)
    return last


def _element_by_element(code: Instructions, inputs: Sequence[Any]) -> list[Any]:
    arrays = np.broadcast_arrays(*(x if isinstance(x, np.ndarray) else _boxed(x) for x in inputs))
    rows = [evaluate(code, elements) for elements in zip(*(a.ravel().tolist() for a in arrays), strict=True)]
    results = [np.empty(arrays[0].shape, dtype=object) for _ in code.outputs]
    for k, result in enumerate(results):
        result.ravel()[:] = [row[k] for row in rows]
    return list(results)


def _boxed(x: Any) -> Any:
    box = np.empty((), dtype=object)
    box[()] = x
    return box


# --- which type the inputs have ---------------------------------------------------------------------


def type_of(inputs: Sequence[Any]) -> FormulaType:
    """The number type that owns all of the inputs; TypeError if there is none."""
    kinds = {kind_of(x) for x in inputs}
    if "array" in kinds and kinds & {"mpmath", "SymPy"}:
        other = "mpmath" if "mpmath" in kinds else "SymPy"
        raise TypeError(
            f"evaluate: an array cannot be mixed with {other}'s numbers, except one of dtype object"
        )
    if "SymPy" in kinds:
        return sympy_type()
    if "mpmath" in kinds:
        return mpmath_type(next(x for x in inputs if kind_of(x) == "mpmath").context)
    return ARRAY if "array" in kinds else FLOAT


def kind_of(x: Any, what: str = "evaluate") -> str:
    """What arithmetic a number belongs to; TypeError, about ``what``, if it is none."""
    sympy = sys.modules.get("sympy")
    if sympy and isinstance(x, (sympy.Expr, sympy.logic.boolalg.Boolean)):
        return "SymPy"
    if hasattr(x, "_mpf_") and hasattr(x, "context"):
        return "mpmath"
    if not hasattr(x, "_mpi_") and as_number(x) is not None:  # mpmath's intervals would lose their width
        return "number"
    dtype = getattr(x, "dtype", None)
    if getattr(x, "__array_ufunc__", None) is not None and getattr(dtype, "kind", "f") in "buif":
        return "array"
    got = type(x).__name__ if dtype is None else f"{type(x).__name__} of dtype {dtype}"
    raise TypeError(f"{what}: expected numbers, arrays, or mpmath's or SymPy's numbers, got {got}")


# --- floats -----------------------------------------------------------------------------------------


def _as_float(x: Any) -> float:
    if isinstance(x, str) and x == "pi":
        return math.pi
    number = as_number(x)
    if number is None:
        raise TypeError(f"evaluate: expected a number, got {type(x).__name__}")
    return number


class _Floats(FormulaType):
    """Python's floats: `math` as long as it does not raise."""

    def bound(
        self, name: str, formula: ast.expr, operands: tuple[str, ...], **closure: Any
    ) -> Callable[..., Any]:
        names = ", ".join(operands)
        ieee = formulas.define(
            name, f"def function({names}):\n    return {rules.for_numpy(formula)}", formulas.ARRAYS, **closure
        )
        source = (
            f"def function({names}):\n"
            f"    try:\n"
            f"        return {rules.for_floats(formula)}\n"
            f"    except (ArithmeticError, ValueError):\n"
            f"        with _errstate(all='ignore'):\n"
            f"            return _plain(_ieee(*map(_float64, ({names},))))\n"
        )
        own: dict[str, Any] = {
            "_ieee": ieee,
            "_errstate": np.errstate,
            "_float64": np.float64,
            "_plain": _plain,
        }
        return formulas.define(name, source, formulas.FLOATS, **own, **closure)


def _plain(x: Any) -> Any:
    if isinstance(x, tuple):
        return tuple(map(_plain, x))
    number = as_number(x)
    return x if number is None else number


FLOAT = _Floats("float", _as_float, {})

# --- arrays -----------------------------------------------------------------------------------------


def _as_array(x: Any) -> Any:
    """Arrays of integers as floats; plain numbers as Python's floats, which leave float32 what it is."""
    if getattr(x, "__array_ufunc__", None) is None or as_number(x) is not None:
        return _as_float(x)
    return x.astype(np.float64) if x.dtype.kind in "bui" else x


def _on_arrays(name: str, ufunc: Callable[..., Any]) -> Callable[..., Any]:
    def function(*operands: Any) -> Any:
        for x in operands:
            if type(x) is not float:
                return ufunc(*operands)
        return table[name].ieee(*operands)  # NumPy's scalar would turn float32 into float64

    return function


def _power(x: Any, y: Any) -> Any:
    """IEEE's pow, which at -0.0 and -inf is not the square root that NumPy takes for it."""
    if type(y) is float and y == 0.5:
        return np.where(x == -np.inf, np.inf, np.sqrt(x + 0.0))
    return np.power(x, y)


def _where(c: Any, x: Any, y: Any) -> Any:
    if isinstance(c, (float, bool)):
        return x if c else y
    if type(x) is type(y) is float:
        x, y = c.dtype.type(x), c.dtype.type(y)
    return np.where(c if c.dtype == bool else c != 0, x, y)


def _zero_or_one(compare: Callable[..., Any]) -> Callable[..., Any]:
    def function(x: Any, y: Any) -> Any:
        kinds = [operand.dtype for operand in (x, y) if not isinstance(operand, float)]
        return compare(x, y).astype(np.result_type(*kinds)) if kinds else float(compare(x, y))

    return function


UFUNCS: dict[str, Callable[..., Any]] = {
    **{name: formulas.ARRAYS[name] for name in formulas.NATIVE if name in formulas.ARRAYS},
    **{"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative},
    "pow": _power,
}
COMPARE: dict[str, Callable[..., Any]] = {
    "less": operator.lt,
    "less_equal": operator.le,
    "equal": operator.eq,
}

ARRAY = FormulaType(
    "array",
    _as_array,
    {
        **{name: _on_arrays(name, ufunc) for name, ufunc in UFUNCS.items()},
        **{name: _zero_or_one(compare) for name, compare in COMPARE.items()},
        **{"_" + name: compare for name, compare in COMPARE.items()},
        "where": _where,
    },
    large=True,
)

# --- mpmath -----------------------------------------------------------------------------------------


@cache
def mpmath_type(context: Any) -> FormulaType:
    """mpmath's real numbers, at the precision that its context has when they are computed."""

    def number(x: Any) -> Any:
        if isinstance(x, str) and x == "pi":
            return +context.pi
        exact = isinstance(x, numbers.Rational) or hasattr(x, "_mpf_")
        return context.convert(x if exact else _as_float(x))

    def real(function: Callable[..., Any]) -> Callable[..., Any]:
        """nan outside the domain, where mpmath raises or goes on in the complex plane."""

        def on_reals(*operands: Any) -> Any:
            try:
                result = function(*operands)
            except (ArithmeticError, ValueError):
                return context.nan
            return result if hasattr(result, "_mpf_") else context.nan

        return on_reals

    def div(x: Any, y: Any) -> Any:
        return x / y if y != 0 else context.sign(x) * context.inf

    def power(x: Any, y: Any) -> Any:
        if y == 0 or x == 1:
            return context.one
        if context.isinf(y) and x == x:
            grows = (abs(x) > 1) == (y > 0)
            return context.one if x == -1 else context.inf if grows else context.zero
        if x == 0 and y < 0:
            return context.inf
        return abs(x) ** y if x == -context.inf and not context.isint(y) else x**y

    def atan2(y: Any, x: Any) -> Any:
        if context.isinf(x) and context.isinf(y):
            return context.sign(y) * (context.pi / 4 if x > 0 else 3 * context.pi / 4)
        return context.atan2(y, x) if x == x else x

    def hypot(x: Any, y: Any) -> Any:
        return context.inf if context.isinf(x) or context.isinf(y) else context.hypot(x, y)

    def cbrt(x: Any) -> Any:
        return context.sign(x) * context.cbrt(abs(x))

    def fmod(x: Any, y: Any) -> Any:
        if y == 0 or not context.isfinite(x):
            return context.nan
        return x if context.isinf(y) else context.sign(x) * (abs(x) % abs(y))

    def lgamma(x: Any) -> Any:
        pole = context.isinf(x) or (x <= 0 and context.isint(x))
        return context.inf if pole else context.loggamma(x).real

    def polygamma(n: int) -> Callable[..., Any]:
        def psi(x: Any) -> Any:
            if x == context.inf:
                return context.zero if n else x
            pole = x <= 0 and context.isint(x)
            return (-1) ** (n + 1) * context.inf if pole else context.psi(n, x)

        return psi

    names = (
        "exp expm1 log log1p sqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf erfc floor"
    )
    own: dict[str, Callable[..., Any]] = {
        **{name: getattr(context, name) for name in names.split()},
        **{"log2": lambda x: context.log(x) / context.ln2, "log10": context.log10},
        **{"exp2": lambda x: context.power(2, x), "cbrt": cbrt, "div": div, "pow": power},
        **{"atan2": atan2, "hypot": hypot, "fmod": fmod},
        **{"lgamma": lgamma, "digamma": polygamma(0), "trigamma": polygamma(1)},
    }
    plain: dict[str, Callable[..., Any]] = {
        **{"add": operator.add, "sub": operator.sub, "mul": operator.mul, "neg": operator.neg, "abs": abs},
        **{"_" + name: compare for name, compare in COMPARE.items()},
        **{name: _compare_mpmath(context, compare) for name, compare in COMPARE.items()},
        "where": lambda c, x, y: x if c else y,
    }
    return FormulaType("mpmath", number, {name: real(function) for name, function in own.items()} | plain)


def _compare_mpmath(context: Any, compare: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, y: context.one if compare(x, y) else context.zero


# --- SymPy ------------------------------------------------------------------------------------------


@cache
def sympy_type() -> FormulaType:
    """SymPy's expressions: the textbook's formula, exact rationals, `Piecewise` for a choice."""
    sp: Any = sys.modules["sympy"]

    def number(x: Any) -> Any:
        if isinstance(x, str) and x == "pi":
            return sp.pi
        if isinstance(x, sp.Basic) and not isinstance(x, sp.Expr):  # a relation
            return sp.Piecewise((1, x), (0, True))
        if isinstance(x, (sp.Expr, numbers.Rational)) or hasattr(x, "_mpf_"):
            return sp.sympify(int(x) if isinstance(x, bool) else x)
        x = _as_float(x)
        if math.isfinite(x):
            return sp.Rational(repr(x))
        return sp.nan if math.isnan(x) else sp.oo if x > 0 else -sp.oo

    def real(function: Callable[..., Any]) -> Callable[..., Any]:
        """A number outside the reals becomes nan, as in every other arithmetic."""

        def on_reals(*operands: Any) -> Any:
            result = function(*operands)
            outside = result is sp.zoo or (result.is_number and result.is_extended_real is False)
            return sp.nan if outside else result

        return on_reals

    def div(x: Any, y: Any) -> Any:
        return sp.sign(x) * sp.oo if y == 0 and x.is_number else x / y

    def power(x: Any, y: Any) -> Any:
        return sp.oo if x == 0 and y.is_negative else x**y

    def log(x: Any) -> Any:
        return -sp.oo if x == 0 else sp.log(x)

    def relation(kind: Callable[..., Any]) -> Callable[..., Any]:
        def compare(x: Any, y: Any) -> Any:
            try:
                return kind(x, y)
            except TypeError:  # nan has no order
                return sp.false

        return compare

    def where(c: Any, x: Any, y: Any) -> Any:
        return sp.Piecewise((x, _condition(sp, c)), (y, True))  # SymPy decides at once what it can

    def indicator(kind: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x, y: where(relation(kind)(x, y), sp.S.One, sp.S.Zero)

    def fmod(x: Any, y: Any) -> Any:
        return sp.nan if y == 0 else x - y * sp.sign(x / y) * sp.floor(sp.Abs(x / y))

    def polygamma(n: int) -> Callable[..., Any]:
        def psi(x: Any) -> Any:
            result = sp.polygamma(n, x)
            return (-1) ** (n + 1) * sp.oo if result is sp.zoo else result

        return psi

    relations = {"less": sp.Lt, "less_equal": sp.Le, "equal": sp.Eq}
    names = "exp sin cos tan atan sinh cosh tanh asinh erf erfc floor".split()
    own: dict[str, Callable[..., Any]] = {
        **{name: getattr(sp, name) for name in names},
        **{name: real(getattr(sp, name)) for name in "sqrt asin acos acosh atanh".split()},
        **{"abs": sp.Abs, "sign": sp.sign, "maximum": sp.Max, "minimum": sp.Min, "neg": operator.neg},
        **{"add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": div, "pow": real(power)},
        **{"exp2": lambda x: 2**x, "expm1": lambda x: sp.exp(x) - 1},
        **{"log": real(log), "log1p": real(lambda x: log(1 + x))},
        **{"log2": real(lambda x: log(x) / sp.log(2)), "log10": real(lambda x: log(x) / sp.log(10))},
        "cbrt": lambda x: sp.sign(x) * sp.Abs(x) ** sp.Rational(1, 3),
        "hypot": lambda x, y: sp.sqrt(x**2 + y**2),
        "atan2": lambda y, x: sp.S.Zero if x == y == 0 else sp.atan2(y, x),
        **{"fmod": fmod, "lgamma": lambda x: sp.log(sp.Abs(sp.gamma(x)))},
        **{"digamma": polygamma(0), "trigamma": polygamma(1)},
        "where": where,
        **{name: indicator(kind) for name, kind in relations.items()},
        **{"_" + name: relation(kind) for name, kind in relations.items()},
    }
    return FormulaType("SymPy", number, own, text="formula")


def _condition(sp: Any, c: Any) -> Any:
    """When ``c`` is not 0: as it was written, if it is made of conditions."""
    if not isinstance(c, sp.Expr):  # a relation or their combination; a symbol is both
        return c
    if isinstance(c, sp.Mul):
        return sp.And(*(_condition(sp, factor) for factor in c.args))
    if not isinstance(c, sp.Piecewise):
        return sp.Ne(c, 0)
    met = excluded = sp.false
    for value, condition in c.args:
        holds = _condition(sp, value)
        met = sp.Or(met, sp.And(condition, sp.Not(excluded), holds))
        if holds != sp.true:  # p or (q and not p) is p or q
            excluded = sp.Or(excluded, condition)
    return met
