"""How a derivation is tried: at how many points, from where, and how closely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Settings:
    """How a derivation is tried; ``rtol`` and ``atol`` None are chosen from what is observed."""

    points: int = 5
    seed: int = 0
    rtol: float | None = None
    atol: float | None = None
    domain: Any = None
    symbolic: bool = False
    seconds: float = 10.0

    def __post_init__(self) -> None:
        if not isinstance(self.points, (int, np.integer)) or self.points < 0:
            raise ValueError(f"check: points must be a whole number, 0 or more, got {self.points!r}")
        if not isinstance(self.seed, (int, np.integer)) or self.seed < 0:
            raise ValueError(f"check: seed must be a whole number, 0 or more, got {self.seed!r}")
        for name in ("rtol", "atol"):
            if (given := getattr(self, name)) is not None:
                _non_negative(name, given)


def _non_negative(name: str, given: Any) -> None:
    """ValueError unless a tolerance is a number that can be one."""
    if not isinstance(given, (int, float, np.number)) or not given >= 0:
        raise ValueError(f"check: {name} must be a number, 0 or more, got {given!r}")
