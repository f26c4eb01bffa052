"""How a derivation is tried: at how many points, from where, and how closely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from autograd_mini.check.binding import non_negative


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
                non_negative(name, given)
