"""Names of what statements store: those of labels, and numbered ones."""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Iterable

from autograd_mini import rules


class Names:
    """Identifiers, each given out once."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.derivatives: set[str] = set()
        self.last: Counter[str] = Counter()  # by their stems, the last numbers that were given out
        self.taken = {"np", *rules.table, "erf", "erfc", "gammaln", *keyword.kwlist, *taken}

        self.temporary = next(x for x in ("t", "u", "v", "temporary") if x not in self.taken)

    def new(self, wanted: str) -> str:
        """The name that is wanted, with a number if it is taken."""
        name = wanted if wanted not in self.taken else self.numbered(f"{wanted}_")
        self.taken.add(name)
        return name

    def numbered(self, stem: str) -> str:
        """The next of the names that are a stem with a number."""
        self.last[stem] += 1
        name = f"{stem}{self.last[stem]}"
        return self.numbered(stem) if name in self.taken else self.new(name)

    def of_label(self, label: str) -> str:
        """A name like a label: ∂loss/∂W is dW."""
        derivative = re.fullmatch(r"∂(²?)(.*)/∂(.*)", label)
        word = re.sub(r"\W+", "_", f"d{derivative[3]}" if derivative else label).strip("_")
        name = self.new(word) if word.isidentifier() else self.numbered(self.temporary)
        if derivative:
            self.derivatives.add(name)
        return name

    def is_numbered(self, name: str) -> bool:
        """Whether a name is none of a label."""
        return re.fullmatch(rf"{self.temporary}\d+", name) is not None

    def loop(self, depth: int) -> str:
        name = "ijklm"[depth]
        while name in self.taken:
            name += "_"
        return name
