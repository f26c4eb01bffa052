"""Nodes as a person would write them: by their label, else by their formula in what has one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from autograd_mini.labels import split_label
from autograd_mini.value import constant

if TYPE_CHECKING:
    from autograd_mini.check.diagnosis.tape import Group, Tape

Index: TypeAlias = tuple[int, ...]

IN_PARENTHESES = re.compile(r"\([^()]*\)")
INFIX = {"add": " + ", "sub": " − ", "mul": "·", "div": " / ", "pow": "^"}


def as_operand(name: str, operators: str = " ·^−") -> str:
    """A name as an operand: sums and products in parentheses, calls and labels as they are."""
    outside, count = name, 1
    while count:
        outside, count = IN_PARENTHESES.subn("", outside)
    return f"({name})" if set(operators) & set(outside) else name


@dataclass(frozen=True, eq=False)
class Naming:
    """The names of a tape's nodes and arrays."""

    tape: Tape

    def of_group(self, group: Group) -> str:
        tape, nodes = self.tape, group.nodes.tolist()
        if not group.labelled and {*tape.home.roots}.issuperset(nodes):
            return tape.case.evidence.out
        if not group.labelled and all(tape.order[i].op is constant for i in nodes):
            return self._constants(nodes)
        return self.name(nodes[0], whole=len(nodes) > 1)

    def name(self, i: int, whole: bool = False, length: int = 40) -> str:
        """A node as a person would write it: its label, else its formula if that is short.

        ``whole`` names the array of which it is an element.
        """
        node = self.tape.order[i]
        if self.tape.labels[i]:
            base, index = split_label(self.tape.labels[i])
            return base if whole and index else self.tape.labels[i]
        if node.op is constant:
            return self._constant(i)
        op = node.op.name
        if op == "sub" and self._is_shift(self.tape.args[i][1]):
            return self.name(self.tape.args[i][0], whole, length)  # a shift that changes nothing
        if length < 6 or not self.tape.args[i]:
            return "…"
        if known := self._known(i):
            all_of = whole or known[0] in ("mean", "var")
            return f"{known[0]}({self.name(known[1], all_of, length * 2 // 3)})"
        if op == "add":
            return self._sum(i, whole, length)
        operands = [self._operand(i, k, whole, length * 2 // 3) for k in range(len(self.tape.args[i]))]
        if op == "xlogy":
            return f"{as_operand(operands[0])}·ln {as_operand(operands[1])}"
        if op in INFIX:
            closer = {"sub": "+−", "mul": "+−/Σ"}.get(op, " ·^−")  # binds less than the operation
            return INFIX[op].join(as_operand(operand, closer) for operand in operands)
        return f"−{as_operand(operands[0])}" if op == "neg" else f"{op}({', '.join(operands)})"

    def _is_shift(self, i: int) -> bool:
        return self.tape.order[i].op.name == "detach" or i in self.tape.home.shifts

    def _known(self, i: int) -> tuple[str, int] | None:
        """The function of which a node is the output, exp u / Σ exp u, 1 / (1 + exp −u), Σ u / n or the
        mean of (u − mean u)², and its u."""

        def parts(i: int, op: str) -> list[int]:
            return self.tape.args[i] if self.tape.order[i].op.name == op and not self.tape.labels[i] else []

        def is_one(i: int) -> bool:
            return self.tape.order[i].op is constant and self.tape.order[i].data == 1

        if not (operands := parts(i, "div") or self.tape.args[i]) or self.tape.order[i].op.name != "div":
            return None
        above, below = operands
        if self.tape.order[below].op is constant and (term := self._averaged(i)) is not None:
            factors = {*(parts(term, "mul") or parts(term, "pow")[:1])}
            shifted = parts(factors.pop(), "sub") if len(factors) == 1 else []
            own = self._averaged(shifted[1]) if shifted else None
            if own is not None and self.tape.kinds[own] == self.tape.kinds[shifted[0]]:
                return "var", shifted[0]
            return "mean", term
        if exponential := parts(above, "exp"):
            terms = self.tape.terms(below)
            if above in terms and len({self.tape.kinds[u] for u in terms}) == 1 < len(terms):
                return "softmax", exponential[0]
        if is_one(above) and len(both := parts(below, "add")) == 2 and any(map(is_one, both)):
            for other in both:
                if (e := parts(other, "exp")) and (u := parts(e[0], "neg")):
                    return "sigmoid", u[0]
        return None

    def _averaged(self, i: int) -> int | None:
        """One of the terms of which a node is the mean."""
        if self.tape.order[i].op.name != "div" or self.tape.order[self.tape.args[i][1]].op is not constant:
            return None
        terms = self.tape.terms(self.tape.args[i][0])
        alike = (
            len({self.tape.kinds[u] for u in terms})
            == 1
            < len(terms)
            == self.tape.order[self.tape.args[i][1]].data
        )
        return terms[0] if alike else None

    def _constant(self, i: int) -> str:
        return f"{self.tape.order[i].data:.4g}".replace("-", "−")

    def _constants(self, nodes: Sequence[int]) -> str:
        """Constants that are one array: the number that they are, where they are not 0, or c."""
        names = {self._constant(i) for i in nodes if self.tape.order[i].data} or {"0"}
        return names.pop() if len(names) == 1 else "c"

    def _operand(self, i: int, place: int, whole: bool, length: int) -> str:
        """An operand's name; of constants that differ between an array's elements, that of all."""
        u = self.tape.args[i][place]
        if whole and self.tape.order[u].op is constant and i in self.tape.group_of:
            return self._constants([self.tape.args[v][place] for v in self.tape.group_of[i].nodes])
        return self.name(u, whole, length)

    def _sum(self, i: int, whole: bool, length: int) -> str:
        """A sum with terms of one kind under one Σ: ``Σ W·h + b``."""
        terms: dict[int, list[int]] = {}
        for u in self.tape.terms(i):
            terms.setdefault(self.tape.kinds[u], []).append(u)
        said = [self.total(alike, whole, length * 2 // 3) for alike in terms.values()]
        return " + ".join(said[:3]) + " + …" * (len(said) > 3)

    def total(self, alike: Sequence[int], whole: bool = False, length: int = 40) -> str:
        """The sum of nodes of one kind."""
        many = len(alike) > 1
        name = self.name(alike[0], whole or many, length)
        return f"Σ {as_operand(name)}" if many and "·" not in name else "Σ " * many + name
