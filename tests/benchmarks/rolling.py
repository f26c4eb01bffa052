"""Random programs as NumPy source and as statements that run against themselves, one instruction at a time.

    python tests/benchmarks/rolling.py [count] [seed]

Prints each program that differs, and how many instructions became how many statements.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from random_arrays import errors, program


def main(count: int, start: int) -> int:
    wrong, sizes = 0, []
    for seed in range(start, start + count):
        drawn = program(seed)
        if drawn is None:
            continue
        traced, arguments = drawn
        try:
            with np.errstate(all="ignore"):
                found = errors(seed, traced, arguments)
        except Exception:
            found = {"any": np.inf}
            traceback.print_exc(limit=-2)
        sizes.append((len(traced), traced.source("numpy").count("\n")))
        for way, error in found.items():
            if not error < 1e-11:
                wrong += 1
                print(f"seed {seed}, {way}: {len(traced)} instructions, error {error}", flush=True)
    instructions, lines = np.array(sizes).T
    print(
        f"{len(sizes)} programs, {wrong} wrong; median {np.median(instructions):.0f} instructions, "
        f"{np.median(instructions / lines):.1f} a line"
    )
    return wrong


if __name__ == "__main__":
    given = [int(x) for x in sys.argv[1:]]
    raise SystemExit(main(*(given + [3000, 0][len(given) :])) > 0)
