"""autograd_mini beside the engines that people would pick instead: time, memory, growth, import.

    python -m pip install ".[bench]" && python tests/benchmarks/peers.py

Every round times each engine once over some 4,000 operations, after a warm-up; before each timing the
collector clears what the engine before it left. An "operation" is one arithmetic operation of the forward
expression; the time covers building the graph and all gradients. micrograd's `backward` recurses once per
node, so everything runs in a thread with a large stack and a raised recursion limit.

Compiled programs are measured by programs.py, the way to their first result and their growth by ready.py.

From one run, Python 3.11 on two cores, in nanoseconds per operation:

                                    autograd-mini   micrograd      XAD            HIPS autograd
    chain of 4,000, s = s * a + b             585   1507 (2.6 x)    629 (1.07 x)   23417 (40 x)
    2-16-16-1 tanh MLP, squared loss          897   2098 (2.3 x)   1059 (1.18 x)   41049 (46 x)
    bytes per operation of the chain,
    built / after backward              152 / 176    688 / 712

`import autograd_mini` took 1.2 times the time of `import numpy`.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from autograd_mini import Value

CHAIN = 4000  # operations of s = s * a + b
SIZES = (2, 16, 16, 1)
MLP = sum(2 * m * n + n for m, n in pairwise(SIZES)) + 2  # * + tanh, and - ² of the loss

random.seed(1)
WEIGHTS = [[[random.uniform(-1, 1) for _ in range(m + 1)] for _ in range(n)] for m, n in pairwise(SIZES)]
SAMPLE, TARGET = (0.5, -0.25), 1.0


def chain(s: Any, a: Any, b: Any, operations: int = CHAIN) -> Any:
    for _ in range(operations // 2):
        s = s * a + b
    return s


def mlp(weights: list[list[list[Any]]], tanh: Callable[[Any], Any]) -> Any:
    """Squared loss of a 2-16-16-1 network with tanh at every neuron, one sample, scalar by scalar."""
    layer: list[Any] = list(SAMPLE)
    for neurons in weights:
        outputs = []
        for *ws, bias in neurons:
            total = bias
            for w, x in zip(ws, layer, strict=True):
                total = total + w * x
            outputs.append(tanh(total))
        layer = outputs
    return (layer[0] - TARGET) ** 2


def wrap(make: Callable[[float], Any]) -> list[list[list[Any]]]:
    return [[[make(w) for w in neuron] for neuron in layer] for layer in WEIGHTS]


def flat(weights: list[list[list[Any]]]) -> list[Any]:
    return [w for layer in weights for neuron in layer for w in neuron]


# --- the engines: for each the two workloads, giving a gradient that all must agree on ---

Workload = Callable[[], float]


def ours() -> tuple[Workload, Workload]:
    def run_chain() -> float:
        a = Value(0.999)
        chain(Value(1.0), a, Value(0.001)).backward()
        return a.grad

    def run_mlp() -> float:
        weights = wrap(Value)
        mlp(weights, Value.tanh).backward()
        return weights[0][0][0].grad

    return run_chain, run_mlp


def micrograd() -> tuple[Workload, Workload]:
    import math

    from micrograd.engine import Value as Peer

    def tanh(x: Any) -> Any:  # micrograd has none; this is the one of its author's lecture
        t = math.tanh(x.data)
        out = Peer(t, (x,), "tanh")

        def step() -> None:
            x.grad += (1 - t * t) * out.grad

        out._backward = step
        return out

    def run_chain() -> float:
        a = Peer(0.999)
        chain(Peer(1.0), a, Peer(0.001)).backward()
        return float(a.grad)

    def run_mlp() -> float:
        weights = wrap(Peer)
        mlp(weights, tanh).backward()
        return float(weights[0][0][0].grad)

    return run_chain, run_mlp


def xad() -> tuple[Workload, Workload]:
    import xad.adj_1st as peer
    from xad import math

    def differentiate(leaves: list[Any], f: Callable[[], Any]) -> float:
        with peer.Tape() as tape:
            for leaf in leaves:
                tape.registerInput(leaf)
            tape.newRecording()
            root = f()
            tape.registerOutput(root)
            root.derivative = 1.0
            tape.computeAdjoints()
            return float(leaves[0].derivative)

    def run_chain() -> float:
        a, b, s = peer.Real(0.999), peer.Real(0.001), peer.Real(1.0)
        return differentiate([a, b, s], lambda: chain(s, a, b))

    def run_mlp() -> float:
        weights = wrap(peer.Real)
        return differentiate(flat(weights), lambda: mlp(weights, math.tanh))

    return run_chain, run_mlp


def autograd() -> tuple[Workload, Workload]:
    import autograd.numpy as anp
    from autograd import grad

    def run_chain() -> float:
        return float(grad(lambda p: chain(p[0], p[1], p[2]))((1.0, 0.999, 0.001))[1])

    def run_mlp() -> float:
        return float(grad(lambda weights: mlp(weights, anp.tanh))(WEIGHTS)[0][0][0])

    return run_chain, run_mlp


def torch() -> tuple[Workload, Workload]:
    import torch as peer

    def leaf(x: float) -> Any:
        return peer.tensor(x, dtype=peer.float64, requires_grad=True)

    def run_chain() -> float:
        a = leaf(0.999)
        chain(leaf(1.0), a, leaf(0.001)).backward()
        return float(a.grad)

    def run_mlp() -> float:
        weights = wrap(leaf)
        mlp(weights, peer.tanh).backward()
        return float(weights[0][0][0].grad)

    return run_chain, run_mlp


ENGINES = {"autograd_mini": ours, "micrograd": micrograd, "xad": xad, "autograd": autograd, "torch": torch}
SLOW = {"autograd", "torch"}  # ten times slower and more: run in every tenth round only


def available() -> dict[str, tuple[Workload, Workload]]:
    engines = {}
    for name, make in ENGINES.items():
        try:
            engines[name] = make()
        except ImportError:
            print(f"{name}: missing, python -m pip install {name}")
    return engines


# --- measurements ---


def timed(f: Callable[[], object], calls: int) -> float:
    gc.collect()
    start = time.perf_counter_ns()
    for _ in range(calls):
        f()
    return (time.perf_counter_ns() - start) / calls


def interleaved(works: dict[str, Workload], rounds: int, calls: int) -> dict[str, float]:
    """Median ns per call of each workload; the first two rounds warm up and check that gradients agree."""
    reference = works["autograd_mini"]()
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(-2, rounds):
        for name, work in works.items():
            if turn < 0:
                gradient = work()
                assert abs(gradient - reference) <= 1e-9 * abs(reference), (name, gradient, reference)
            elif name not in SLOW or turn % 10 == 0:
                times[name].append(timed(work, calls))
    return {name: statistics.median(ts) for name, ts in times.items()}


def report(title: str, figures: dict[str, float], unit: str) -> None:
    mine = figures["autograd_mini"]
    print(f"\n{title}")
    for name, figure in figures.items():
        print(f"  {name:14} {figure:10.0f} {unit}   {figure / mine:6.2f} × autograd_mini")


def bytes_per_operation(make: Callable[[], Any]) -> tuple[float, float]:
    """Traced bytes of a chain after it is built and after backward; counted with the collector at rest."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    root = make()
    built = tracemalloc.get_traced_memory()[0]
    root.backward()
    gc.collect()
    swept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (built - before) / CHAIN, (swept - before) / CHAIN


def memory() -> None:
    print("\nmemory of the chain, bytes per operation: built, after backward")
    makers: dict[str, Any] = {"autograd_mini": Value}
    try:
        makers["micrograd"] = importlib.import_module("micrograd.engine").Value
    except ImportError:
        print("  micrograd: missing")
    figures = {
        name: bytes_per_operation(lambda make=make: chain(make(1.0), make(0.999), make(0.001)))
        for name, make in makers.items()
    }
    built, swept = figures["autograd_mini"]
    for name, (first, second) in figures.items():
        print(
            f"  {name:14} {first:6.0f} {second:6.0f} bytes   {first / built:.2f} × {second / swept:.2f} ×"
            " autograd_mini"
        )


def growth(largest: int) -> None:
    print("\ngrowth, ns per operation, collector paused (ratio to 10,000 operations)")
    figures: dict[int, float] = {}
    sizes = [size for size in (10**3, 10**4, 10**5, 10**6) if size <= largest]
    gc.collect()
    gc.disable()
    for size in sizes:
        times = []
        for _ in range(max(5, min(100, 10**6 // size))):
            start = time.perf_counter_ns()
            chain(Value(1.0), Value(0.999), Value(0.001), size).backward()
            times.append(time.perf_counter_ns() - start)
        figures[size] = statistics.median(times) / size
    gc.enable()
    for size in sizes:
        print(f"  {size:9,} {figures[size]:6.0f} ns   {figures[size] / figures[min(10**4, largest)]:.2f} ×")


def imports(rounds: int) -> None:
    """Import time in a fresh interpreter, timed there, from bytecode as after `pip install`."""
    times: dict[str, list[float]] = {"numpy": [], "autograd_mini": []}
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as bytecode:
        environment["PYTHONPYCACHEPREFIX"] = bytecode
        for turn in range(-1, rounds):
            for name, ms in times.items():
                code = f"import time; t = time.perf_counter(); import {name}; print(time.perf_counter() - t)"
                command = [sys.executable, "-c", code]
                took = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
                if turn >= 0:  # the first writes the bytecode
                    ms.append(1e3 * float(took.stdout))
    numpy, mine = (statistics.median(ts) for ts in times.values())
    print(f"\nimport, median of {rounds}")
    print(f"  numpy          {numpy:6.1f} ms")
    print(f"  autograd_mini  {mine:6.1f} ms   {mine / numpy:.2f} × numpy (which it imports)")


def main(rounds: int, largest: int, import_rounds: int) -> None:
    engines = available()
    for i, (title, operations) in enumerate(
        [(f"chain s = s * a + b of {CHAIN:,} operations", CHAIN), ("2-16-16-1 tanh MLP, squared loss", MLP)]
    ):
        print(f"\n… {title}: {rounds} rounds", flush=True)
        figures = interleaved(
            {name: workloads[i] for name, workloads in engines.items()}, rounds, CHAIN // operations
        )
        report(f"{title}: build + backward", {name: ns / operations for name, ns in figures.items()}, "ns/op")
    memory()
    growth(largest)
    imports(import_rounds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=50, help="timed rounds of each workload (default 50)")
    parser.add_argument("--largest", type=int, default=10**6, help="largest chain for growth (default 10⁶)")
    parser.add_argument("--imports", type=int, default=21, help="fresh interpreters for each import")
    options = parser.parse_args()
    sys.setrecursionlimit(100_000)
    threading.stack_size(512 << 20)
    thread = threading.Thread(target=main, args=(options.rounds, options.largest, options.imports))
    thread.start()
    thread.join()
