"""A small change of a statement: a place in the syntax tree and what is put there, as text; and its kinds."""

from __future__ import annotations

import ast
from typing import Any, NamedTuple

KINDS = {  # of edits: how far-fetched they are, and what they say
    "name": (0.0, "another name is meant"),
    "=": (-0.1, "what is added up is overwritten, or the other way round"),
    ".T": (0.0, "a transpose is missing or too many"),
    "sign": (0.0, "the sign is wrong"),
    "negative": (0.4, "the sign is wrong"),
    "dropped": (0.3, "a part is too many"),
    "number": (0.3, "another number is meant"),
    "constant": (0.5, "a constant factor is missing"),
    "axis": (0.5, "another axis is meant, or keepdims"),
    "operation": (0.5, "another operation is meant"),
    "order": (0.06, "the operands are the wrong way round"),
    "swapped": (0.1, "two names are the wrong way round"),
    "power": (0.5, "the derivative of another function is taken, or a power is missing"),
    "function": (0.5, "another function is meant"),
    "index": (0.5, "another index is meant"),
    "term": (1.0, "a term is missing"),
    "factor": (1.0, "a factor is missing"),
    "unused term": (0.4, "a term is missing, which is computed and not used"),
    "unused factor": (0.4, "a factor is missing, which is computed and not used"),
    "comparison": (0.3, "another comparison is meant"),
    "mask": (0.3, "the mask is the wrong way round"),
    "line": (0.6, "a line is missing"),
    "left out": (2.0, "this line is too many"),
    "another": (2.0, "another expression is meant"),
    "one-hot": (0.3, "the number of a class is taken for its one-hot vector"),
    "class": (0.3, "the number of each column is taken for that of the true class"),
    "target": (1.2, "1 is not subtracted at the target's index"),
    "flip": (0.3, "a kernel is flipped that should not be, or the other way round"),
    "inside": (0.3, "a factor stands outside of a mean, and belongs inside"),
}
ANEW = (
    "order",
    "inside",
    "target",
    "power",
    "line",
)  # kinds that are no plainer the fewer letters they change


class Slot(NamedTuple):
    """A place in a tree: a field of a node, or an element of one that is a list."""

    parent: ast.AST
    field: str
    place: int | None = None

    def get(self) -> Any:
        x = getattr(self.parent, self.field)
        return x if self.place is None else x[self.place]

    def put(self, new: Any) -> None:
        if self.place is None:
            setattr(self.parent, self.field, new)
        else:
            getattr(self.parent, self.field)[self.place] = new


class Edit(NamedTuple):
    """What is put where: an expression as text, or, in the place of a statement, statements."""

    slot: Slot
    text: str
    kind: str

    @property
    def is_of_target(self) -> bool:
        """Whether it changes where a result goes, or whether it is added there."""
        return self.kind == "=" or isinstance(getattr(self.slot.parent, "ctx", None), ast.Store)

    def parsed(self) -> Any:
        """The new node; SyntaxError if it is none."""
        old = self.slot.get()
        if isinstance(old, ast.stmt):
            new: Any = ast.parse(self.text).body[0]
        elif self.text == "None" and isinstance(self.slot.parent, ast.Slice):
            return None
        elif self.slot.field == "slice":
            picked: Any = ast.parse(f"_[{self.text}]", mode="eval").body
            new = picked.slice
        else:
            new = ast.parse(self.text, mode="eval").body
        if isinstance(getattr(old, "ctx", None), ast.Store):
            new.ctx = ast.Store()  # a name is put in the place of a name
        line = getattr(old, "lineno", getattr(self.slot.parent, "lineno", 1))
        for node in ast.walk(new):
            if isinstance(node, (ast.stmt, ast.expr, ast.arg, ast.keyword, ast.alias, ast.excepthandler)):
                node.lineno = node.end_lineno = line
                node.col_offset = node.end_col_offset = 0
        return new
