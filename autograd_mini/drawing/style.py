"""The look of a drawing: a theme names its colours, and what is told by colour is told by form, too.

Colours are Okabe and Ito's, which colour-blind readers tell apart. In greys a positive contribution is darker
than a negative one, whose arrowhead is open; borders tell the kinds of node.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Theme:
    background: str
    text: str
    muted: str
    line: str
    leaf: str
    constant: str
    interior: str
    root: str
    reverse: str
    closed: str
    group: str
    positive: str
    negative: str
    mark: str


THEMES = {
    "light": Theme(
        background="#ffffff", text="#000000", muted="#555555", line="#555555",
        leaf="#cfe8f7", constant="#eeeeee", interior="#ffffff", root="#fbe3b5", reverse="#e3f4ec",
        closed="#e4e4ee", group="#f6f6f9", positive="#005b96", negative="#d98200", mark="#b0005a",
    ),
    "dark": Theme(
        background="#16191d", text="#f2f2f2", muted="#b4bac2", line="#9aa2ab",
        leaf="#16445f", constant="#2e3338", interior="#23282e", root="#5f4611", reverse="#17453a",
        closed="#363a52", group="#1d2126", positive="#56b4e9", negative="#e06a10", mark="#ff77b8",
    ),
}  # fmt: skip

FORMS = {
    "leaf": {"style": "filled"},
    "constant": {"style": "filled,dashed"},
    "interior": {"style": "filled,rounded"},
    "root": {"style": "filled,rounded", "peripheries": "2"},
    "reverse": {"style": "filled,rounded"},
    "closed": {"style": "filled", "shape": "box3d", "margin": "0.12,0.09"},
    "rest": {"style": "dotted", "shape": "box"},
}


def form(kind: str, theme: Theme) -> dict[str, str]:
    """Graphviz's attributes for a node of this kind."""
    fill = theme.background if kind == "rest" else getattr(theme, kind)
    quiet = {"color": theme.muted} if kind in ("constant", "rest") else {}
    return {**FORMS[kind], "fillcolor": fill, **quiet}


@dataclass(frozen=True)
class Look:
    """How a drawing looks, see `draw`; arrays of up to so many ``entries`` are shown whole."""

    theme: Theme
    direction: str | None = None
    precision: int = 4
    title: str = ""
    size: tuple[float, float] | None = None
    entries: int = 12
    legend: bool = True

    def fitted(self) -> Iterator[Look]:
        """Looks of less and less width, of which the first that fits a page is taken."""
        for entries in (self.entries, 6, 3):
            for direction in [self.direction] if self.direction else ["LR", "TB"]:
                yield replace(self, direction=direction, entries=entries)
