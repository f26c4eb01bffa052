"""An inner Jacobian ∂G/∂H of one array by another: parts of it, it left out or twice, a factor misplaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from autograd_mini.check.diagnosis.case import Candidate
from autograd_mini.check.diagnosis.chain import Chain, Inner
from autograd_mini.check.diagnosis.tape import Edges, Numbers
from autograd_mini.check.subjects.arguments import Floats

Part: TypeAlias = "tuple[str, str, str, Callable[[Floats], Floats]]"


def _off(m: Floats) -> Floats:
    return m - np.diag(np.diag(m))


EVERY = "each element of {G} depends on every element of {H}, so that the entries off the diagonal count"
PARTS: list[Part] = [  # what is written for M = ∂G/∂H
    ("diagonal", "takes only the diagonal of {M}, as if {G} were elementwise in {H}", EVERY,
     lambda m: m - _off(m)),
    ("off-diagonal", "takes {M} without its diagonal", "the entries with i = j count too", _off),
    ("sign", "has the wrong sign in {M} off the diagonal", "turn the sign of the entries with i ≠ j",
     lambda m: m - 2 * _off(m)),
    ("sign", "has the wrong sign in {M} on the diagonal", "turn the sign of the entries with i = j",
     lambda m: 2 * _off(m) - m),
    ("transposed", "takes {M} transposed", "the first index is that of {G}", np.transpose),
]  # fmt: skip
LEFT_OUT: list[Part] = [
    ("missing factor", "leaves out {M}, as if {G} were {H}", "multiply by {M}", lambda m: np.eye(len(m))),
    ("extra factor", "has the factor {M} twice", "it belongs there once", lambda m: m @ m),
]


def inner_parts(chain: Chain) -> Iterator[Candidate]:
    """Of an inner Jacobian ∂G/∂H only the diagonal, only the rest, or its transpose."""
    for inner in chain.in_time(chain.inner):
        if not inner.elementwise:
            yield from _written(chain, inner, PARTS)


def inner_factors(chain: Chain) -> Iterator[Candidate]:
    """An inner Jacobian, which may be that of an elementwise function, left out or taken twice;
    or a factor outside of it that belongs inside."""
    factors = {int(edges.below.nodes[0]): edges for edges in chain.tape.edges if edges.op == "mul"}
    for inner in chain.in_time(chain.inner):
        yield from _written(chain, inner, LEFT_OUT)
        edges = factors.get(int(inner.above.nodes[0]))
        if edges is not None and len(edges.above) == len(inner.above) and not inner.elementwise:

            def moved(n: Numbers, inner: Inner = inner, edges: Edges = edges) -> Floats:
                m, d = inner.jacobian(n), edges.right(n)
                return n.through(edges.above, inner.below, m * d - d[:, None] * m)

            yield from chain.added(
                "wrong place",
                "yours multiplies by {V} outside of {M}; it belongs inside, to what {M} is applied to",
                "∂{out}/∂{G_} has the factor {V}, before {M}",
                {"G": inner.above, "H": inner.below, "V": edges.others}, moved,
            )  # fmt: skip


def _written(chain: Chain, inner: Inner, parts: Sequence[Part]) -> Iterator[Candidate]:
    is_last = inner.above.nodes.tolist() == chain.home.roots
    goes = "{T} goes through {M}; " if is_last else "{T} goes through ∂{out}/∂{G_} · {M}; "
    for kind, text, correct, of in parts:

        def changed(n: Numbers, of: Callable[[Floats], Floats] = of) -> Floats | None:
            m, above = inner.jacobian(n), n.adjoint[inner.above.nodes].T
            new = of(m)
            if (abs(above @ new) <= 1e-9 * (abs(above) @ (abs(m) + abs(new - m)))).all():
                return None  # nothing is left: a path that is missing, and no other factor
            return n.through(inner.above, inner.below, new - m)

        things = {"G": inner.above, "H": inner.below}
        yield from chain.added(kind, f"yours {text}", goes + correct, things, changed)
