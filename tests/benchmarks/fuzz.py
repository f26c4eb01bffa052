"""Random and mutated formulas for the parser: its own error or a formula, and nothing executed.

    python tests/benchmarks/fuzz.py [count] [seed]

Half of the texts are drawn from the grammar, half are such texts with characters and fragments replaced.
What can be parsed is evaluated on floats, arrays and Values. Anything but an ExpressionError from the
parser, and that or a row's DomainError from the evaluation, stops the run; so does a formula that opens a
file, imports, runs code or starts a process. The slowest are printed.
"""

from __future__ import annotations

import random
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from autograd_mini import DomainError, Value, rules, values
from autograd_mini.expressions import ExpressionError, parse
from autograd_mini.expressions.vocabulary import functions

SCALARS = "x y pi e 0 1 2 -1 0.5 1e3 9**9 k".split()
VECTORS = "z t [x,y,1] W[0] W[:,1] softmax(z) W@z[:2] (1,2,3) z[::-1]".split()
MATRICES = "W transpose(W) outer(z,t) diag(z) eye(3) [z,t] W@W".split()
OPERATORS = "+ - * / ** @ < <= > >= == !=".split()
FRAGMENTS = [
    *"()[]{}+-*/%^&|~<>=!.,:;'\"\\#@$?`_ \n\t\0\x1b²−·σ\N{FULLWIDTH LATIN SMALL LETTER X}\ud800",
    *"** **9**9**9 99999999999999 1e999 0x 1_0 1j __ .T __class__ lambda: if else := -> ... None".split(),
    *"f'{x}' __import__('os') open('x') exec(x) eval(x) eye(1000) outer( axis= (((((((( [[[[[[[[".split(),
    *"------------ )))) [0] (0)".split(),
    *("for x in", "not ", " and ", " is ", "await ", "yield", "import os", "x if x else "),
]
EVENTS = ("open", "exec", "import", "os.", "subprocess.", "socket.", "ctypes.", "shutil.")

watching = False
executed: list[str] = []


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    if watching and event.startswith(EVENTS):
        executed.append(f"{event}{arguments}")


def formula(random: random.Random, depth: int = 4) -> str:
    """A text of the grammar; not all are meaningful, since shapes are drawn too."""
    if depth == 0 or random.random() < 0.15:
        return random.choice(random.choice((SCALARS, VECTORS, MATRICES)))

    def part() -> str:
        return formula(random, depth - 1)

    kind = random.random()
    if kind < 0.4:
        return f"{part()} {random.choice(OPERATORS)} {part()}"
    if kind < 0.5:
        return f"({part()})"
    if kind < 0.55:
        return f"-{part()}"
    if kind < 0.62:
        return f"{part()} if {part()} else {part()}"
    if kind < 0.7:
        return f"({part()})[{random.choice(['0', '-1', ':', '1:', part(), '0, 1', '::2', 'k'])}]"
    if kind < 0.75:
        return f"[{part()}, {part()}]"
    name, (_, least, _) = random.choice(sorted(functions().items(), key=lambda item: item[0]))
    return f"{name}({', '.join(part() for _ in range(least))})"


def mutated(random: random.Random, text: str) -> str:
    for _ in range(random.randint(1, 6)):
        start = random.randrange(len(text) + 1)
        end = min(len(text), start + random.choice((0, 0, 1, 1, 3)))
        text = text[:start] + random.choice(FRAGMENTS) * random.choice((1, 1, 1, 2, 50)) + text[end:]
    return text


def texts(count: int, seed: int) -> Iterator[str]:
    source = random.Random(seed)
    for i in range(count):
        text = formula(source)
        yield mutated(source, text) if i % 2 else text


def operands() -> list[dict[str, Any]]:
    plain = {"x": 0.5, "y": -2.0, "z": np.array([1.0, 2.0, 3.0]), "t": np.array([0.0, 1.0, 0.0]), "k": 1}
    plain["W"] = np.array([[1.0, 2.0, 0.5], [-1.0, 0.0, 3.0], [2.0, 2.0, 2.0]])
    lifted = {name: values(x, name) if np.ndim(x) else Value(x, label=name) for name, x in plain.items()}
    return [plain, {**lifted, "k": 1}]


def try_one(text: str, points: list[dict[str, Any]]) -> str:
    """What became of a text: "refused", "failed" when evaluated, or "computed"."""
    try:
        expression = parse(text)
    except ExpressionError:
        return "refused"
    outcome = "computed"
    for names in points:
        try:
            expression.evaluate(names)
        except (ExpressionError, DomainError):
            outcome = "failed"
    return outcome


def run(count: int, seed: int = 0) -> tuple[dict[str, int], list[tuple[float, str, str]]]:
    """How many came out how, and the slowest; AssertionError if anything was executed."""
    global watching
    points = operands()
    for row in rules.table.values():  # a row is compiled when it is first asked for
        for kind in rules.registered:
            kind.function(row)
    for text in ("x", "no_function(x)"):  # and what a suggestion needs is loaded by the first
        try_one(text, points)
    outcomes = {"refused": 0, "failed": 0, "computed": 0}
    slowest: list[tuple[float, str, str]] = []
    sys.addaudithook(watch)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for text in texts(count, seed):
            watching = True
            start = time.perf_counter()
            try:
                outcome = try_one(text, points)
            except BaseException:
                print(f"the text is {text!r}", file=sys.stderr)
                raise
            finally:
                took = time.perf_counter() - start
                watching = False
            assert not executed, f"{text!r} executed {executed}"
            outcomes[outcome] += 1
            slowest = sorted([*slowest, (took, outcome, text)], reverse=True)[:10]
    return outcomes, slowest


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    start = time.perf_counter()
    outcomes, slowest = run(count, seed)
    print(f"{count} texts (seed {seed}) in {time.perf_counter() - start:.0f} s: {outcomes}; nothing executed")
    for took, outcome, text in slowest:
        print(f"{1000 * took:8.1f} ms  {outcome:8}  {text[:90]!r}")


if __name__ == "__main__":
    main()
