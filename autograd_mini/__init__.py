"""autograd-mini: a scalar reverse-mode autodiff engine that checks derivations done by hand.

>>> from autograd_mini import cross_entropy, softmax, values
>>> z = values([1.5, -0.5, 0.75], "z")
>>> loss = cross_entropy(softmax(z), [0, 0, 1])
>>> loss.backward()
>>> z.grad.round(3)
array([ 0.622,  0.084, -0.706])
"""

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
    cos,
    cosh,
    derivative_table,
    detach,
    div,
    equal,
    erf,
    erfc,
    exp,
    exp2,
    expm1,
    hypot,
    less,
    less_equal,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    maximum,
    minimum,
    mul,
    neg,
    pow,
    primitive,
    reciprocal,
    relu,
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
    where,
    xlogy,
)
from autograd_mini.value import Value, topological_order
