"""What a step is called that no one has named: by the library's function whose formula it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from autograd_mini import rules
from autograd_mini.value import Value, constant

# Nodes are sought in sets, which tell them apart by identity; tuples compare numbers.
LOOKED_AT = 100  # terms of a sum: what they all are tells what it is


def function_of(node: Value) -> str:
    """The function that ends in this node, told from the nodes below it; "" if there is none.

    >>> from autograd_mini import log_softmax, softmax, values
    >>> z = values([1.0, 2.0])
    >>> function_of(softmax(z)[0]), function_of(log_softmax(z)[0]), function_of(z[0] / z[1])
    ('softmax', 'log_softmax', '')
    """
    if len(node.args) == 1:
        return _of_one(node, node.args[0])
    if len(node.args) != 2:
        return ""
    x, y = node.args
    if node.op is rules.div and x.op is rules.exp and x in {*_exponentials(y)}:
        return "softmax"
    if node.op is rules.div and y.op is constant and x.op is rules.add:
        count = sum(1 for _ in islice(_terms(x), int(max(0, min(y.data, 1e6))) + 1))
        mean_of = _loss(_terms(x)) or "mean"
        return mean_of.replace("squared", "mean_squared") if count == y.data else ""
    if node.op is rules.add and x.op is rules.log and y.op is rules.detach and _exponentials(x.args[0]):
        return "logsumexp"
    if node.op is rules.sub and y.op is rules.log and x in {e.args[0] for e in _exponentials(y.args[0])}:
        return "log_softmax"
    return _loss(_terms(node)) if node.op in (rules.add, rules.sub) else ""


def _of_one(node: Value, x: Value) -> str:
    if node.op is rules.log and _exponentials(x):
        return "logsumexp"
    return _loss([node]) if node.op is rules.neg else ""


def _loss(terms: Iterable[Value]) -> str:
    """The loss that adds up such terms."""
    found = ""
    for term in islice(terms, LOOKED_AT):
        kind = _kind(term)
        if not kind or kind != (found or kind):
            return ""
        found = kind
    return found


def _kind(term: Value) -> str:
    """The loss of which this is a term: −Σ t ln y, softplus(z) − t z, (y − t)², |y − t|."""
    x, *others = term.args or (term,)
    if term.op is rules.neg:
        below = [*islice(_terms(x), LOOKED_AT)]
        if all(y.op is rules.xlogy for y in below):
            return "cross_entropy"
        if all(y.op is rules.mul and function_of(y.args[1]) == "log_softmax" for y in below):
            return "cross_entropy_from_logits"
    elif term.op is rules.sub:
        y = others[0]
        if x.op is rules.neg and x.args[0].op is y.op is rules.xlogy:
            return "binary_cross_entropy"
        if x.op is rules.softplus and y.op is rules.mul and x.args[0] in {*y.args}:
            return "binary_cross_entropy_from_logits"
    elif x.op is rules.sub and term.op is rules.square:
        return "squared_error"
    elif x.op is rules.sub and term.op is rules.abs:
        return "absolute_error"
    return ""


def _terms(node: Value) -> Iterator[Value]:
    """What a tree of additions adds up, the last term first, which in a long sum is nearest."""
    stack = [node]
    while stack:
        x = stack.pop()
        if x.op is rules.add:
            stack += x.args
        else:
            yield x


def _exponentials(node: Value) -> list[Value]:
    """The last terms of a sum, if all are exponentials."""
    terms = [*islice(_terms(node), LOOKED_AT)]
    return terms if len(terms) > 1 and all(term.op is rules.exp for term in terms) else []
