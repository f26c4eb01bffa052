"""The words of a verdict, and how they are marked: one place for all checks, reports and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

AGREES, INCONCLUSIVE, DISAGREES = "agrees", "inconclusive", "disagrees"
PROVED, EVIDENCE = "proved", "evidence at 50 digits"
RIGHT, CARRIED, WRONG = "right", "right given your earlier steps", "wrong"  # of a step, or a hand-in
SEVERITY = {AGREES: 0, INCONCLUSIVE: 1, DISAGREES: 2}
SHADES = {RIGHT: AGREES, CARRIED: INCONCLUSIVE, WRONG: DISAGREES} | {verdict: verdict for verdict in SEVERITY}
MARKS = {AGREES: "✓", RIGHT: "✓", INCONCLUSIVE: "?", CARRIED: "→", DISAGREES: "✗", WRONG: "✗"}
COLOURS = {AGREES: "32", INCONCLUSIVE: "33", DISAGREES: "31"}
TINTS = {
    AGREES: "rgba(40, 160, 70, 0.25)",
    INCONCLUSIVE: "rgba(220, 160, 0, 0.25)",
    DISAGREES: "rgba(220, 50, 50, 0.25)",
}


def gravest(verdicts: Iterable[str], otherwise: str) -> str:
    """The gravest of some verdicts."""
    return max(verdicts, key=SEVERITY.__getitem__, default=otherwise)


def wants_colour() -> bool:
    """Whether what is printed goes to a terminal that shows colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def painted(text: str, verdict: str) -> str:
    """The text in the colour of a verdict; any other word, as of what failed to run, is as bad as wrong."""
    return f"\x1b[{COLOURS[SHADES.get(verdict, DISAGREES)]}m{text}\x1b[0m"
