"""autograd-mini: a scalar reverse-mode autodiff engine that checks derivations done by hand.

>>> from autograd_mini import cross_entropy, softmax, values
>>> z = values([1.5, -0.5, 0.75], "z")
>>> loss = cross_entropy(softmax(z), [0, 0, 1])
>>> loss.backward()
>>> z.grad.round(3)
array([ 0.622,  0.084, -0.706])

The upper floors, programs, drawings and checks, are imported when one of their names is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from autograd_mini import (  # noqa: F401 - for what they register with arrays and Values
    compositions,
    copies,
    linear_algebra,
    ordering,
    scalars,
    ufuncs,
)
from autograd_mini.arrays import ValueArray, named, values
from autograd_mini.functions import (
    absolute_error,
    binary_cross_entropy,
    binary_cross_entropy_from_logits,
    cross_entropy,
    cross_entropy_from_logits,
    log_softmax,
    logsumexp,
    mean_squared_error,
    softmax,
    squared_error,
)
from autograd_mini.rules import (
    DivisionByZeroError,
    DomainError,
    Primitive,
    RangeError,
    abs,
    acos,
    acosh,
    add,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cbrt,
    ceil,
    cos,
    cosh,
    derivative_table,
    detach,
    digamma,
    div,
    entr,
    equal,
    erf,
    erfc,
    exp,
    exp2,
    expm1,
    floor,
    floor_divide,
    fmod,
    hypot,
    identity,
    less,
    less_equal,
    lgamma,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    logit,
    maximum,
    minimum,
    mod,
    mul,
    neg,
    pow,
    primitive,
    reciprocal,
    relu,
    rint,
    sigmoid,
    sign,
    sin,
    sinh,
    softplus,
    sqrt,
    square,
    sub,
    tan,
    tanh,
    trigamma,
    trunc,
    where,
    xlog1py,
    xlogy,
)
from autograd_mini.scopes import scope
from autograd_mini.transforms import grad, gradient_graph, hessian, hvp, jacobian, jvp, value_and_grad, vjp
from autograd_mini.value import TraceError, Value, topological_order

__version__ = "0.1.0"

if TYPE_CHECKING:
    from autograd_mini.check import (
        Explanation,
        InconclusiveError,
        Report,
        check_backward,
        check_gradient,
        check_jacobian,
        check_steps,
        check_update,
        check_value,
        check_vjp,
    )
    from autograd_mini.deriving import Derivation, derivation
    from autograd_mini.drawing import Drawing, draw
    from autograd_mini.program import Program, trace

UPPER_FLOORS = {  # which are imported when one of their names is used
    "program": ("Program", "trace"),
    "drawing": ("Drawing", "draw"),
    "deriving": ("Derivation", "derivation"),
    "check": (
        *("Explanation", "InconclusiveError", "Report", "check_backward"),
        *("check_gradient", "check_jacobian", "check_steps", "check_update", "check_value", "check_vjp"),
    ),
}

__all__ = [
    "Derivation",
    "DivisionByZeroError",
    "DomainError",
    "Drawing",
    "Explanation",
    "InconclusiveError",
    "Primitive",
    "Program",
    "RangeError",
    "Report",
    "TraceError",
    "Value",
    "ValueArray",
    "abs",
    "absolute_error",
    "acos",
    "acosh",
    "add",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "binary_cross_entropy",
    "binary_cross_entropy_from_logits",
    "cbrt",
    "ceil",
    "check_backward",
    "check_gradient",
    "check_jacobian",
    "check_steps",
    "check_update",
    "check_value",
    "check_vjp",
    "cos",
    "cosh",
    "cross_entropy",
    "cross_entropy_from_logits",
    "derivation",
    "derivative_table",
    "detach",
    "digamma",
    "div",
    "draw",
    "entr",
    "equal",
    "erf",
    "erfc",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "floor_divide",
    "fmod",
    "grad",
    "gradient_graph",
    "hessian",
    "hvp",
    "hypot",
    "identity",
    "jacobian",
    "jvp",
    "less",
    "less_equal",
    "lgamma",
    "log",
    "log1p",
    "log2",
    "log10",
    "log_softmax",
    "logaddexp",
    "logit",
    "logsumexp",
    "maximum",
    "mean_squared_error",
    "minimum",
    "mod",
    "mul",
    "named",
    "neg",
    "pow",
    "primitive",
    "reciprocal",
    "relu",
    "rint",
    "scope",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "softmax",
    "softplus",
    "sqrt",
    "square",
    "squared_error",
    "sub",
    "tan",
    "tanh",
    "topological_order",
    "trace",
    "trigamma",
    "trunc",
    "value_and_grad",
    "values",
    "vjp",
    "where",
    "xlog1py",
    "xlogy",
]

if not TYPE_CHECKING:  # which would take any name for one of these

    def __getattr__(name: str) -> Any:
        for floor, names in UPPER_FLOORS.items():
            if name in names:
                globals()[name] = found = getattr(import_module(f"{__name__}.{floor}"), name)
                return found
        said = f"module {__name__!r} has no attribute {name!r}"
        if name[:2] == "__":
            raise AttributeError(said)
        from autograd_mini.suggestions import did_you_mean

        hint = did_you_mean(name, __all__, f"dir({__name__}) has what there is")
        raise AttributeError(f"{said}; {hint}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


copies.install()


def _mimebundle(self: Any, include: Any = None, exclude: Any = None) -> dict[str, str]:
    """What a notebook shows of a Value; the drawing is imported then."""
    from autograd_mini.drawing import mimebundle

    return mimebundle(self)


for _shown in (Value, ValueArray):  # a lower floor knows nothing of drawing
    setattr(_shown, "_repr_mimebundle_", _mimebundle)  # noqa: B010 - mypy knows no such attribute
