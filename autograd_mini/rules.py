"""The derivative table: one row a primitive, and everything else derived from the row.

A row states a rule of calculus once, as it stands in a textbook: a formula in the operands and, for
each operand, the partial derivative in the operands and the result ``z``::

    div = primitive("div", "x / y", "1 / y", "-z / y", domain="y != 0")

The text is bound to a number type by a `NumberType`. Floats and NumPy arrays are bound here; higher
modules register Values and arrays of Values, and every row, also one that a user adds later, reaches
all of them. A formula is a Python expression made of numbers, operands, ``pi``, arithmetic,
comparisons, ``and``, ``a if c else b`` and names of other rows.

A conditional of a partial may end in ``cut``: the number 0, and the edge to the operand is cut, so that
whatever lies below contributes nothing through it. A plain 0 there is a convention, as at relu's kink, and
an ordinary factor.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import keyword
import math
import numbers
from collections.abc import Callable
from functools import cache, cached_property
from typing import Any

import numpy as np

from autograd_mini import gamma
from autograd_mini.formulas import (
    ARRAYS,
    FLOATS,
    NATIVE,
    Elementwise,
    ForFloats,
    Substitute,
    define,
    expression,
    names_in,
    times,
)
from autograd_mini.suggestions import did_you_mean

table: dict[str, Primitive] = {}
own_table: dict[str, Primitive] = {}  # the rows of this module, once it has been read
registered: list[NumberType] = []  # those that a call of a row may go to


class DomainError(ValueError):
    """An operation was applied outside its domain; the message names operation, operand and value."""


class DivisionByZeroError(DomainError, ZeroDivisionError):
    """A `DomainError` that is a division by zero."""


class RangeError(DomainError, OverflowError):
    """The result of an operation is too large for a float."""


class Primitive:
    """One row of the table; call it on numbers, NumPy arrays, `Value`s or arrays of them.

    >>> from autograd_mini import div
    >>> div(1.0, 4.0)
    0.25
    >>> print(div)
    div(x, y) = x / y;  ∂x: 1 / y;  ∂y: -z / y;  needs y != 0
    """

    def __init__(
        self,
        name: str,
        formula: str,
        partials: tuple[str, ...],
        operands: tuple[str, ...],
        stable: str,
        domain: str,
        symbol: str,
        numpy: str,
        note: str,
        kinks: str,
        linear: bool,
    ) -> None:
        self.name = name
        self.formula = formula
        self.partials = partials
        self.operands = operands
        self.stable = stable
        self.domain = domain
        self.symbol = symbol
        self.numpy = numpy
        self.note = note
        self.kinks = kinks
        self.linear = linear
        self.bound: dict[Any, Callable[..., Any]] = {}  # its function on each number type that asked
        self.reverse: Callable[[Any], None]
        self.__name__ = name

    @property
    def __signature__(self) -> inspect.Signature:
        """What `inspect.signature` gives: the operands by their names."""
        parameter = inspect.Parameter
        return inspect.Signature([parameter(x, parameter.POSITIONAL_ONLY) for x in self.operands])

    def __call__(self, *operands: Any) -> Any:
        if len(operands) != len(self.operands):
            wanted = ", ".join(self.operands)
            raise TypeError(f"{self.name}({wanted}) takes {len(self.operands)} operands, got {len(operands)}")
        if len(operands) == 1 and (function := self.bound.get(type(operands[0]))):
            return function(operands[0])
        for kind in reversed(registered):
            if kind.owns(*operands) and all(map(_is_operand, operands)):
                return kind.function(self)(*operands)
        got = ", ".join(type(operand).__name__ for operand in operands)
        raise TypeError(f"{self.name}: expected numbers, NumPy arrays or Values, got {got}")

    @cached_property
    def kink_formulas(self) -> list[ast.expr]:
        """What is 0 where the derivative may jump: as stated, or the differences that its text compares."""
        if self.kinks:
            tree = expression(self.kinks)
            return tree.elts if isinstance(tree, ast.Tuple) else [tree]
        found: dict[str, ast.expr] = {}
        for node in (node for text in (self.formula, *self.partials) for node in ast.walk(expression(text))):
            match node:
                case ast.Compare(left, _, [right]):
                    kink: ast.expr = ast.BinOp(left, ast.Sub(), right)
                    found[ast.unparse(kink)] = kink
                case ast.Call(ast.Name("abs" | "sign"), [operand]):
                    found[ast.unparse(operand)] = operand
        return list(found.values())

    @cached_property
    def selects(self) -> bool:
        """Whether its result can be without an operand, as that of a maximum is without the smaller one."""
        return any("cut" in names_in(partial) for partial in self.partials)

    def __str__(self) -> str:
        partials = "".join(f";  ∂{x}: {p}" for x, p in zip(self.operands, self.partials, strict=True))
        needs = f";  needs {self.domain}" if self.domain else ""
        return f"{self.name}({', '.join(self.operands)}) = {self.formula}{partials}{needs}"

    def __repr__(self) -> str:
        return f"<primitive {self}>"

    def __reduce__(self) -> tuple[Callable[[str], Primitive], tuple[str]]:
        return _row, (self.name,)

    def ieee(self, *operands: float) -> float:
        """The result on floats where nothing raises: a division by zero is inf, log(-1) is nan.

        >>> from autograd_mini import div
        >>> div.ieee(1.0, 0.0)
        inf
        """
        try:
            return float((self.bound.get(float) or CHECKED.function(self))(*operands))
        except DomainError:
            with np.errstate(all="ignore"):
                return float(NUMPY.function(self)(*map(np.float64, operands)))

    def error(self, cause: Exception, labels: tuple[str, ...], data: tuple[float, ...]) -> DomainError:
        """The `DomainError` that says in one sentence what ``cause`` means at these operands."""
        numbers = [f"{number:.10g}" for number in data]
        named = [f"{label} = {number}" for label, number in zip(labels, numbers, strict=True) if label]
        if len(data) == 1:
            row, got = self.name, *(named or [f"{self.operands[0]} = {numbers[0]}"])
        else:
            given = [label or number for label, number in zip(labels, numbers, strict=True)]
            row, got = (f"{self.name}({', '.join(operands)})" for operands in (self.operands, given))
            got += f" with {', '.join(named)}" * bool(named)
        if isinstance(cause, OverflowError):
            return RangeError(f"{row}: the result is too large for a float, got {got}")
        kind = DivisionByZeroError if isinstance(cause, ZeroDivisionError) else DomainError
        return kind(f"{row}: needs {self.domain or 'operands in its domain'}, got {got}")


def _row(name: str) -> Primitive:
    """The row of that name, which is how a row is pickled and copied; ValueError if it is not known here."""
    if name not in table:
        raise ValueError(
            f"the pickle uses the row {name!r}, which is not known here; add it with primitive(...) first"
        )
    return table[name]


class NumberType:
    """Numbers that rows work on: ``function(row)`` is the row on them, which ``bind`` gives when first asked.

    A call of a row goes to the type that ``owns`` its operands, if that is registered; with a ``type`` of
    Python's, one operand of just that type finds it at once. ``install``, if given, is called with every row,
    present and future, before the row is bound.
    """

    def __init__(
        self,
        bind: Callable[[Primitive], Callable[..., Any]],
        type: type | None = None,
        owns: Callable[..., bool] = lambda *operands: False,
        install: Callable[[Primitive], None] = lambda row: None,
    ) -> None:
        self.bind = bind
        self.type = type
        self.owns = owns
        self.install = install

    def function(self, row: Primitive) -> Callable[..., Any]:
        found = row.bound.get(self.type or self)
        if found is None:
            found = row.bound[self.type or self] = self.bind(row)
        return found


def register(kind: NumberType) -> NumberType:
    """Let every row, present and future, work on a number type; the last one registered is asked first."""
    registered.append(kind)
    for row in table.values():
        kind.install(row)
    return kind


def primitive(
    name: str,
    formula: str,
    *partials: str,
    operands: str = "",
    stable: str = "",
    domain: str = "",
    symbol: str = "",
    numpy: str = "",
    note: str = "",
    kinks: str = "",
    linear: bool = False,
    verify: bool = True,
) -> Primitive:
    """Add a row to the table: a function, its method on Value, its derivative, everything.

    ``formula`` is an expression in the operands, ``partials`` one expression per operand in the
    operands and the result ``z``, whose conditionals may end in ``cut``: an edge that is not there.
    ``operands`` are ``"x"`` or ``"x y"`` unless named. ``stable`` is the form evaluated on floats and
    arrays where the textbook's would overflow or cancel. ``symbol`` is drawn in pictures, ``numpy``
    names the ufunc if its name differs from ``name``. ``domain`` is a condition, in which ``or``, ``%``,
    ``!=`` and ``inf`` may stand too; ``kinks`` are expressions that are 0 where the derivative jumps, such
    as ``"x - y"``, with commas between, and unless stated the differences that the text compares; a row that
    is ``linear`` is so in all its operands together.

    What is stated is held against differences of the formula at points of the domain, to six digits;
    ``verify=False`` adds the row unseen, as one that stops derivatives needs.

    >>> from autograd_mini import Value, primitive
    >>> swish = primitive("swish", "x * sigmoid(x)", "sigmoid(x) * (1 + x - z)")
    >>> x = Value(1.0)
    >>> y = swish(x)
    >>> y.backward()
    >>> round(x.grad, 6)
    0.927671

    Raises ValueError for a name that is taken or reserved, a formula that is no expression, names in
    it that are unknown, a number of partials that is not the number of operands, or a partial, a kink or
    a linearity that differences refute.
    """
    names = tuple(operands.split()) or (("x", "y") if "y" in names_in(formula) else ("x",))
    row = Primitive(
        name, formula, partials, names, stable or formula, domain, symbol or name, numpy or name, note,
        kinks, linear,
    )  # fmt: skip
    _validate(row)
    if own_table:
        check_formulas(row)
        if verify:
            hold_against_differences(row)
    table[name] = row
    for kind in registered:
        kind.install(row)
    return row


def _validate(row: Primitive) -> None:
    if not _is_free(row.name) or row.name in RESERVED:
        raise ValueError(f"primitive: the name must be an identifier that is not taken, got {row.name!r}")
    builtin = any(hasattr(builtins, operand) for operand in row.operands)
    if (
        builtin
        or not all(map(_is_free, row.operands))
        or len({*row.operands, "z", "g"}) != len(row.operands) + 2
    ):
        raise ValueError(
            f"primitive {row.name}: operands need names of their own, none of them z (the result), "
            f"g (the adjoint), pi, cut or a row's, got {' '.join(row.operands)!r}"
        )
    if len(row.partials) != len(row.operands):
        raise ValueError(
            f"primitive {row.name}: expected {len(row.operands)} partials, one for each of "
            f'{", ".join(row.operands)}, got {len(row.partials)}; other operands are named: operands="a b"'
        )
    taken = {known.numpy: known.name for known in table.values()}
    for name in {row.name, row.numpy} & set(taken):
        raise ValueError(f"primitive {row.name}: NumPy's {name} belongs to the row {taken[name]}")


def check_formulas(row: Primitive) -> None:
    """ValueError unless every number type can evaluate the row's formulas; a test holds the table to it."""
    arity = {name: len(known.operands) for name, known in table.items()} | {row.name: len(row.operands)}
    for text in (row.formula, row.stable):
        _check_formula(row.name, text, {*row.operands, "pi"}, arity)
    for kink in row.kink_formulas:
        _check_formula(row.name, ast.unparse(kink), {*row.operands, "pi", "z"}, arity)
    if row.domain:
        _check_formula(row.name, row.domain, {*row.operands, "pi", "inf"}, arity, CONDITIONS)
    for text in row.partials:
        _check_formula(row.name, text, {*row.operands, "pi", "z", "cut"}, arity)
        if "cut" in text and (text == "cut" or "cut" in names_in(ast.unparse(times("g", expression(text))))):
            raise ValueError(f"primitive {row.name}: cut is a branch of a conditional, got {text!r}")


def hold_against_differences(row: Primitive) -> None:
    """ValueError if differences refute what the row states; a test holds the table to it."""
    from autograd_mini.differences import trouble

    names = ", ".join(row.operands)

    def function(parameters: str, formula: str, namespace: dict[str, Any]) -> Callable[..., Any]:
        source = f"def function({parameters}):\n    return {formula}\n"
        return define(row.name, source, namespace, cut=0.0, inf=math.inf)

    partials = ", ".join(elementwise(expression(text)) for text in row.partials)
    texts = map(ast.unparse, row.kink_formulas)
    kinks = [function(f"{names}, z", elementwise(expression(text)), ARRAYS) for text in texts]
    inside = function(names, for_numpy(expression(row.domain or "0 == 0")), ARRAYS)
    said = trouble(
        _bind_arrays(row), function(f"{names}, z", f"({partials},)", ARRAYS), inside, kinks, row.linear,
        row.operands,
    )  # fmt: skip
    if said:
        raise ValueError(f"primitive {row.name}: {said}; verify=False adds it all the same")


ALLOWED = (
    ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.UnaryOp, ast.UAdd, ast.USub, ast.IfExp,
    ast.BoolOp, ast.And, ast.Compare, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.Name, ast.Load,
    ast.Constant, ast.Call,
)  # fmt: skip


CONDITIONS = (ast.Or, ast.Mod, ast.NotEq)  # what a domain may hold besides, and comparisons in a row


def _check_formula(
    row: str, text: str, names: set[str], arity: dict[str, int], more: tuple[type[ast.AST], ...] = ()
) -> None:
    """ValueError unless every number type can evaluate the formula."""
    tree = expression(text)
    called: set[ast.expr] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else ""
            if name and name not in arity and name not in NATIVE:
                hint = did_you_mean(name, [*arity, *NATIVE])
                raise ValueError(f"primitive {row}: unknown name {name!r} in {text!r}; {hint}")
            count = arity.get(name, len(node.args))
            if not name or count != len(node.args) or node.keywords:
                raise ValueError(f"primitive {row}: {ast.unparse(node)!r} calls no row with its operands")
            called.add(node.func)
        elif isinstance(node, ast.Name) and node not in called and node.id not in names:
            hint = did_you_mean(node.id, sorted(names))
            raise ValueError(f"primitive {row}: unknown name {node.id!r} in {text!r}; {hint}")
        if isinstance(node, ast.BitXor):
            raise ValueError(f"primitive {row}: write a power as x ** 2, not x ^ 2, in {text!r}")
        number = isinstance(node, ast.Constant) and not isinstance(node.value, (int, float))
        in_a_row = isinstance(node, ast.Compare) and len(node.ops) > 1 and not more
        if not isinstance(node, (*ALLOWED, *more)) or number or in_a_row:
            raise ValueError(
                f"primitive {row}: a formula is made of numbers, operands, rows, + - * / **, "
                f"one comparison < <= > >= == at a time, and, a if c else b, got {text!r}"
            )


def _is_free(name: str) -> bool:
    return (
        name.isidentifier()
        and not name.startswith("_")
        and not keyword.iskeyword(name)
        and name not in table
        and name not in ("pi", "cut")
    )


# --- from formulas to functions ----------------------------------------------------------------------


SMOOTH = frozenset("sin cos tan atan tanh asinh erf erfc abs".split())


@cache
def is_tame(text: str) -> bool:
    """Whether a formula and all its derivatives are finite where its operands are, overflow of + and * apart.

    >>> is_tame("x * tanh(y)"), is_tame("1 / x"), is_tame("sqrt(x)")
    (True, False, False)
    """
    for node in ast.walk(expression(text)):
        match node:
            case ast.BinOp(op=ast.Pow()):
                return False
            case ast.BinOp(op=ast.Div(), right=divisor) if not isinstance(divisor, ast.Constant):
                return False
            case ast.Call(ast.Name(name)) if name not in SMOOTH:
                if name in NATIVE or not is_tame(table[name].stable):
                    return False
    return True


def for_floats(formula: ast.expr, **replacements: str) -> str:
    """Source of a formula as fast scalar Python, names replaced (``x="x.data"``)."""
    _bind_names(formula, FLOATS, CHECKED)
    return ast.unparse(ForFloats().visit(Substitute(replacements).visit(formula)))


def for_numpy(formula: ast.expr) -> str:
    """Source of a formula as scalar Python on NumPy's floats, which raise nothing."""
    _bind_names(formula, ARRAYS, NUMPY)
    return ast.unparse(formula)


def elementwise(formula: ast.expr) -> str:
    """Source of a formula without branches, for arrays and everything that behaves like one."""
    formula = Elementwise().visit(formula)
    _bind_names(formula, ARRAYS, NUMPY)
    return ast.unparse(formula)


def _bind_names(formula: ast.expr, namespace: dict[str, Any], kind: NumberType) -> None:
    """Put the rows that a formula calls into the namespace in which it will run."""
    for node in ast.walk(formula):
        if isinstance(node, ast.Name) and node.id in table and node.id not in namespace:
            namespace[node.id] = kind.function(table[node.id])


# --- floats -----------------------------------------------------------------------------------------


RESERVED = set("x y g z pi data grad label args op backward forward zero_grad".split())


def as_number(x: Any) -> float | None:
    """``x`` as a Python float if it is a real number (int, bool, NumPy scalar, 0-d array), else None."""
    if isinstance(x, (int, float, numbers.Real)) or (
        isinstance(x, (np.generic, np.ndarray)) and x.shape == () and x.dtype.kind in "buif"
    ):
        return float(x)
    return None


def _is_operand(x: Any) -> bool:
    return any(kind.type and isinstance(x, kind.type) for kind in registered) or as_number(x) is not None


def _bind_floats(row: Primitive) -> Callable[..., float]:
    """The row as a function of floats; outside the domain it raises the row's error."""
    operands = ", ".join(row.operands)
    formula = for_floats(expression(row.stable))
    source = (
        f"def function({operands}):\n"
        f"    {operands}, = map(float, ({operands},))\n"
        f"    try:\n"
        f"        return float({formula})\n"
        f"    except (ArithmeticError, ValueError) as _cause:\n"
        f"        _error = _row.error(_cause, _labels, ({operands},))\n"
        f"    raise _error\n"
    )
    return define(row.name, source, FLOATS, _row=row, _labels=("",) * len(row.operands))


CHECKED = register(  # floats that raise outside the domain
    NumberType(_bind_floats, float, lambda *operands: not any(isinstance(x, np.ndarray) for x in operands))
)


# --- NumPy arrays -----------------------------------------------------------------------------------


def _bind_arrays(row: Primitive) -> Callable[..., Any]:
    """The row on arrays, elementwise, with NumPy's own treatment of infinities and nan."""
    formula = expression(row.stable)
    branches = any(isinstance(node, ast.IfExp) for node in ast.walk(formula))
    quiet = (
        "    with _errstate(all='ignore'):\n    " if branches else ""
    )  # excluded branches are computed too
    operands = ", ".join(row.operands)
    source = (
        f"def function({operands}):\n"
        f"    {operands}, = map(_as_floats, ({operands},))\n"
        f"{quiet}    return {elementwise(formula)}\n"
    )
    return define(row.name, source, ARRAYS, _errstate=np.errstate, _as_floats=_as_floats)


def _as_floats(x: Any) -> Any:
    """Whole numbers and booleans as floats: small integers would overflow inside a formula."""
    return np.asarray(x, float) if getattr(x, "dtype", np.dtype(float)).kind in "bui" else x


NUMPY = register(
    NumberType(_bind_arrays, np.ndarray, lambda *operands: any(isinstance(x, np.ndarray) for x in operands))
)


# --- the table --------------------------------------------------------------------------------------
# Partials at kinks follow PyTorch. A partial that is divided in two steps avoids the overflow of a square.

add = primitive("add", "x + y", "1", "1", symbol="+", linear=True)
sub = primitive("sub", "x - y", "1", "-1", symbol="-", numpy="subtract", linear=True)
mul = primitive("mul", "x * y", "y", "x", symbol="*", numpy="multiply")
div = primitive("div", "x / y", "1 / y", "-z / y", symbol="/", numpy="divide", domain="y != 0")
neg = primitive("neg", "-x", "-1", symbol="-", numpy="negative", linear=True)

sign = primitive("sign", "1 if x > 0 else -1 if x < 0 else x", "0")
abs = primitive("abs", "abs(x)", "sign(x)", numpy="absolute", kinks="x")
maximum = primitive(
    "maximum",
    "x if x > y else y if y >= x else x + y",
    "1 if x > y else cut if x < y else 1 / 2",
    "1 if y > x else cut if y < x else 1 / 2",
    symbol="max",
    kinks="x - y",
)
minimum = primitive(
    "minimum",
    "x if x < y else y if y <= x else x + y",
    "1 if x < y else cut if x > y else 1 / 2",
    "1 if y < x else cut if y > x else 1 / 2",
    symbol="min",
    kinks="x - y",
)
where = primitive("where", "x if c else y", "0", "1 if c else cut", "cut if c else 1", operands="c x y")
convention = primitive(
    "convention",
    "x if c else y",
    "0",
    "1 if c else 0",
    "0 if c else 1",
    operands="c x y",
    note="convention is a conditional inside a partial: unlike where it cuts nothing.",
)
less = primitive("less", "1 if x < y else 0", "0", "0", symbol="<")
less_equal = primitive("less_equal", "1 if x <= y else 0", "0", "0", symbol="<=")
equal = primitive("equal", "1 if x == y else 0", "0", "0", symbol="==")
detach = primitive("detach", "x", "0")
identity = primitive("identity", "x", "1", symbol="=", linear=True)

exp = primitive("exp", "exp(x)", "z")
exp2 = primitive("exp2", "exp2(x)", "z * log(2)")
expm1 = primitive("expm1", "expm1(x)", "exp(x)")
log = primitive("log", "log(x)", "1 / x", domain="x > 0")
log2 = primitive("log2", "log2(x)", "1 / (x * log(2))", domain="x > 0")
log10 = primitive("log10", "log10(x)", "1 / (x * log(10))", domain="x > 0")
log1p = primitive("log1p", "log1p(x)", "1 / (1 + x)", domain="x > -1")
sigmoid = primitive(
    "sigmoid",
    "1 / (1 + exp(-x))",
    "z * (1 - z)",
    stable="exp(minimum(x, 0)) / (1 + exp(-abs(x)))",
    note="sigmoid's partial z * (1 - z) is exact to 2**-52 absolute, not relative: it is 0 from x = 37 on.",
)
logaddexp = primitive(
    "logaddexp",
    "log(exp(x) + exp(y))",
    "sigmoid(x - y)",
    "sigmoid(y - x)",
    stable="x + log(2) if x == y else maximum(x, y) + log1p(exp(-abs(x - y)))",
)
xlogy = primitive(
    "xlogy",
    "0 if x == 0 and y == y else x * log(y)",
    "0 if x == 0 and y <= 0 else log(y)",
    "0 if x == 0 and y <= 0 else x / y",
    symbol="t · ln y",
    domain="x == 0 or y > 0",
)
pow = primitive(
    "pow",
    "x ** y",
    # y - 1 may need more bits than y has, and x to what is lost differs from 1 far out.
    "0 if y == 0 and x == 0 else y * x ** (y - 1) if y - (y - 1) == 1 else "
    "y * (z / x) if abs(x) > 0 and abs(x) < 1e308 else y * x ** (y - 1)",
    "0 if y == 0 and x == 0 else xlogy(z, x)",
    symbol="**",
    numpy="power",
    domain="x > 0 or (x == 0 and y >= 0) or (x < 0 and y % 1 == 0)",
)
sqrt = primitive("sqrt", "sqrt(x)", "1 / (2 * z)", domain="x >= 0")
cbrt = primitive("cbrt", "cbrt(x)", "z ** -2 / 3")
square = primitive("square", "x * x", "2 * x")
reciprocal = primitive("reciprocal", "1 / x", "-z * z", domain="x != 0")

sin = primitive("sin", "sin(x)", "cos(x)", domain="abs(x) < inf")
cos = primitive("cos", "cos(x)", "-sin(x)", domain="abs(x) < inf")
tan = primitive("tan", "tan(x)", "1 + z * z", domain="abs(x) < inf")
semicircle = primitive(
    "semicircle", "sqrt(1 - x * x)", "-x / z", stable="sqrt((1 - x) * (1 + x))", domain="abs(x) <= 1"
)
hyperbola = primitive(
    "hyperbola",
    "sqrt(x * x - 1)",
    "x / z",
    stable="sqrt(abs(x) - 1) * sqrt(abs(x) + 1)",
    domain="abs(x) >= 1",
)
asin = primitive("asin", "asin(x)", "1 / semicircle(x)", numpy="arcsin", domain="abs(x) <= 1")
acos = primitive("acos", "acos(x)", "-1 / semicircle(x)", numpy="arccos", domain="abs(x) <= 1")
atan = primitive("atan", "atan(x)", "1 / (1 + x * x)", numpy="arctan")
atan2 = primitive(
    "atan2",
    "atan2(y, x)",
    "0 if hypot(x, y) == 0 else x / hypot(x, y) / hypot(x, y)",
    "0 if hypot(x, y) == 0 else -y / hypot(x, y) / hypot(x, y)",
    operands="y x",
    numpy="arctan2",
)
sinh = primitive("sinh", "sinh(x)", "cosh(x)")
cosh = primitive("cosh", "cosh(x)", "sinh(x)")
tanh = primitive(
    "tanh",
    "tanh(x)",
    "1 - z * z",
    note="tanh's partial 1 - z * z is exact to 2**-52 absolute, not relative: it is 0 from abs(x) = 19.1 on.",
)
asinh = primitive("asinh", "asinh(x)", "1 / hypot(1, x)", numpy="arcsinh")
acosh = primitive("acosh", "acosh(x)", "1 / hyperbola(x)", numpy="arccosh", domain="x >= 1")
atanh = primitive("atanh", "atanh(x)", "1 / square(semicircle(x))", numpy="arctanh", domain="abs(x) < 1")
_HALF = "(x * 134217729 - (x * 134217729 - x))"  # x to half of its bits, so that its square is exact
gaussian = primitive(
    "gaussian",
    "exp(-x * x)",
    "-2 * x * z",
    stable=f"exp(-x * x) if abs(x) > 28 else exp(-square{_HALF}) * exp(({_HALF} - x) * ({_HALF} + x))",
)
erf = primitive("erf", "erf(x)", "2 / sqrt(pi) * gaussian(x)")
erfc = primitive("erfc", "erfc(x)", "-2 / sqrt(pi) * gaussian(x)")

hypot = primitive("hypot", "hypot(x, y)", "0 if z == 0 else x / z", "0 if z == 0 else y / z", kinks="z")
relu = primitive(
    "relu", "0 if x <= 0 else x", "cut if x < 0 else 0 if x == 0 else 1", symbol="ReLU", kinks="x"
)
softplus = primitive(
    "softplus", "log(1 + exp(x))", "sigmoid(x)", stable="maximum(x, 0) + log1p(exp(-abs(x)))"
)


# Piecewise constant and piecewise linear. A quotient rounded to a whole number is exact where x / y need not
# be: z is x less a multiple of y, without rounding.
floor = primitive("floor", "floor(x)", "0")
ceil = primitive("ceil", "-floor(-x)", "0")
trunc = primitive("trunc", "floor(x) if x >= 0 else -floor(-x)", "0")
rint = primitive(
    "rint",
    "floor(x) if x - floor(x) < 1 / 2 else "
    "-floor(-x) if x - floor(x) > 1 / 2 else 2 * floor((x + 1 / 2) / 2)",
    "0",
    note="rint rounds halves to even.",
)
fmod = primitive("fmod", "fmod(x, y)", "1", "rint((z - x) / y)", domain="y != 0 and abs(x) < inf")
mod = primitive(
    "mod",
    "x - y * floor(x / y)",
    "1",
    "rint((z - x) / y)",
    stable="fmod(x, y) + (y if y > 0 and fmod(x, y) < 0 else y if y < 0 and fmod(x, y) > 0 else 0)",
    symbol="%",
    numpy="remainder",
    domain="y != 0 and abs(x) < inf",
)
floor_divide = primitive(
    "floor_divide",
    "floor(x / y)",
    "0",
    "0",
    stable="x / y if y == 0 else rint((x - fmod(x, y)) / y)"
    " - (1 if y > 0 and fmod(x, y) < 0 else 1 if y < 0 and fmod(x, y) > 0 else 0)",
    symbol="//",
    domain="y != 0 and abs(x) < inf",
)
logit = primitive(
    "logit",
    "log(x / (1 - x))",
    "1 / (x * (1 - x))",
    stable="2 * atanh(2 * x - 1) if abs(x - 1 / 2) < 1 / 4 else log(x / (1 - x))",
    domain="0 < x < 1",
)
entr = primitive("entr", "0 if x == 0 else -x * log(x)", "-1 - log(x)", domain="x >= 0")
xlog1py = primitive(
    "xlog1py",
    "0 if x == 0 and y == y else x * log1p(y)",
    "0 if x == 0 and y <= -1 else log1p(y)",
    "0 if x == 0 and y <= -1 else x / (1 + y)",
    symbol="t · ln(1 + y)",
    domain="x == 0 or y > -1",
)

trigamma = primitive(
    "trigamma",
    "trigamma(x)",
    f"{gamma.TETRAGAMMA} if x >= 1 / 2 else "
    f"{gamma.TETRAGAMMA} - 2 * pi ** 3 * cos({gamma.REFLECTED}) / sin({gamma.REFLECTED}) ** 3",
    stable=f"{gamma.TRIGAMMA} if x >= 1 / 2 else (pi / sin({gamma.REFLECTED})) ** 2 - ({gamma.TRIGAMMA})",
    domain="x > 0 or x % 1 != 0",
    note="trigamma's partial is a series to 1e-15, on numbers of higher precision too.",
)
digamma = primitive(
    "digamma",
    "digamma(x)",
    "trigamma(x)",
    stable=f"{gamma.DIGAMMA} if x >= 1 / 2 else {gamma.DIGAMMA} - pi / tan({gamma.REFLECTED})",
    numpy="psi",
    domain="x > 0 or x % 1 != 0",
)
lgamma = primitive(
    "lgamma",
    "lgamma(x)",
    "digamma(x)",
    numpy="gammaln",
    domain="x > 0 or x % 1 != 0",
    note="lgamma is as exact as the machine's library: near its zeros 1 and 2, to 2e-16 absolute.",
)


own_table |= table


def derivative_table(*names: str) -> str:
    """The table as Markdown: name, formula, partial derivatives, domain, and notes on accuracy.

    With ``names``, in this library or in NumPy, it is that of these functions. A partial that is written out
    as a series is shown as an ellipsis.

    >>> print(derivative_table("div").splitlines()[2])
    | `div(x, y)` | `x / y` | `1 / y`, `-z / y` | `y != 0` |

    Raises ValueError for a name that no row has.
    """
    known = {name: row for row in table.values() for name in (row.numpy, row.name)}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"the table has no row {unknown[0]!r}; {did_you_mean(unknown[0], known)}")
    rows = [known[name] for name in names] or [*table.values()]
    lines = ["| function z | formula | partial derivatives | domain |", "|---|---|---|---|"]
    for row in rows:
        partials = ", ".join(f"`{partial}`" if len(partial) < 200 else "…" for partial in row.partials)
        domain = f"`{row.domain}`" if row.domain else ""
        lines.append(f"| `{row.name}({', '.join(row.operands)})` | `{row.formula}` | {partials} | {domain} |")
    lines += ["", *(f"{row.note}  " for row in rows if row.note)]
    return "\n".join(lines)
