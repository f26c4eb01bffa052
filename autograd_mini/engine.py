"""Where micrograd has `Value`, so that ``from micrograd.engine import Value`` changes one word."""

from autograd_mini.value import Value

__all__ = ["Value"]
