"""From a function to its first result, and graphs of 10³ to 10⁶ operations: each in a new process.

    python tests/benchmarks/ready.py [--quick]

The parent must stay small: Linux counts its memory in the peak of a child that it has just started.
"""

from __future__ import annotations

import argparse
import copy
import gc
import importlib.util
import json
import os
import pickle
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

MIB = 1 << 20
PEAK = 1 if sys.platform == "darwin" else 1024  # bytes in a unit of ru_maxrss

# Each engine's way from the function of a graph to loss and gradients at numbers: scalars and arrays.

Differentiate = Callable[..., Callable[[], Any]]


def ours(f: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    from autograd_mini import value_and_grad
    from autograd_mini.program import trace

    program = trace(value_and_grad(f, argnums=range(len(args))), *args)
    return lambda: program(*args)


def ours_plain(f: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    from autograd_mini import machine

    machine.available = lambda: False
    return ours(f, *args)


def jax(f: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    import jax

    jax.config.update("jax_enable_x64", True)
    run = jax.jit(jax.value_and_grad(f, argnums=tuple(range(len(args))))).lower(*args).compile()
    return lambda: jax.block_until_ready(run(*args))


def casadi(f: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    import casadi as ca
    import numpy as np

    symbols = [ca.SX.sym(f"x{i}", *np.atleast_2d(x).shape) for i, x in enumerate(args)]
    y = f(*symbols)
    run = ca.Function("f", symbols, [y, *(ca.gradient(y, x) for x in symbols)])
    return lambda: run(*args)


def micrograd(f: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    from micrograd.engine import Value

    def run() -> Any:
        leaves = [Value(x) for x in args]
        f(*leaves).backward()
        return [leaf.grad for leaf in leaves]

    return run


ENGINES: dict[str, Differentiate] = {
    "ours": ours,
    "ours, no numba": ours_plain,
    "JAX": jax,
    "CasADi": casadi,
    "micrograd": micrograd,
}
PACKAGES = {
    "ours": "numba",
    "JAX": "jax",
    "JAX, on scalars": "jax",
    "CasADi": "casadi",
    "micrograd": "micrograd",
}


def missing(packages: list[str]) -> list[str]:
    return [name for name in packages if importlib.util.find_spec(name) is None]


# --- what a new process measures ---------------------------------------------------------------------


def network(engine: str) -> tuple[Callable[..., Any], list[Any]]:
    """The MLP's loss in an engine's functions, and its arguments."""
    import numpy as np
    from workloads import MLP

    xp: Any = np
    if engine == "JAX":
        import jax.numpy as xp
    if engine == "CasADi":
        import casadi as ca

        xp = SimpleNamespace(tanh=ca.tanh, sum=ca.sum2)
    args = [*MLP.parameters, *MLP.data]
    return MLP.loss(xp), [np.atleast_2d(x) for x in args] if engine == "CasADi" else args


def scalars() -> tuple[Callable[..., Any], list[Any]]:
    """The same for JAX, neuron by neuron on scalars, as it is written for micrograd."""
    import jax.numpy as jnp
    import peers

    return (lambda weights: peers.mlp(weights, jnp.tanh)), [peers.WEIGHTS]


def mlp(engine: str = "ours") -> dict[str, float]:
    """Seconds of the imports that an engine stands on, and from there to the first result."""
    start = time.perf_counter()
    import numpy  # noqa: F401
    import workloads  # noqa: F401

    if engine == "ours":
        import numba  # noqa: F401
    imports = time.perf_counter()
    make, (f, args) = (jax, scalars()) if engine == "JAX, on scalars" else (ENGINES[engine], network(engine))
    make(f, *args)()
    return {"imports": imports - start, "first": time.perf_counter() - imports}


def batch() -> dict[str, float]:
    """Seconds from a program to its first mean gradient over a batch."""
    import numpy as np
    from workloads import MLP_BATCH as BATCH

    from autograd_mini import value_and_grad
    from autograd_mini.program import trace

    parameters, (x, t) = BATCH.parameters, BATCH.data
    program = trace(value_and_grad(BATCH.loss(np), argnums=BATCH.argnums), *parameters, x[0], t[0])
    start = time.perf_counter()
    program.vmap(in_axes=BATCH.in_axes, reduce="mean")(*parameters, x, t)
    return {"first": time.perf_counter() - start}


def again(rounds: int) -> dict[str, float]:
    """Median seconds from a new function to its first result in a process that has done so before."""
    engines = {name: (ENGINES[name], *network(name)) for name in installed(["ours", "CasADi", "JAX"])}
    if "JAX" in engines:
        engines["JAX, on scalars"] = (jax, *scalars())
    times: dict[str, list[float]] = {name: [] for name in engines}
    for turn in range(-1, rounds):
        for name, (make, f, args) in engines.items():
            if name == "JAX, on scalars" and turn > 2:
                continue
            gc.collect()
            start = time.perf_counter()
            make(lambda *args, f=f: f(*args), *args)()
            if turn >= 0:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(ts) for name, ts in times.items()}


def grow(engine: str, operations: int) -> dict[str, float]:
    """A chain differentiated and run: seconds to the first result and of each later one; bytes."""
    from peers import chain

    ENGINES[engine](lambda s, a, b: chain(s, a, b, 20), 1.0, 0.999, 0.001)()
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PEAK
    start = time.perf_counter()
    run = ENGINES[engine](lambda s, a, b: chain(s, a, b, operations), 1.0, 0.999, 0.001)
    run()
    first = time.perf_counter() - start
    times = []
    for _ in range(max(5, min(200, 10**6 // operations)) if engine != "micrograd" else 1):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PEAK
    return {"first": first, "run": statistics.median(times), "peak": peak, "grown": peak - before}


def copies(shape: str, way: str, size: int) -> dict[str, float]:
    """A graph of about ``size`` nodes copied or pickled: processor seconds, the sweep's too, and bytes."""
    from peers import chain

    from autograd_mini import Value
    from autograd_mini.value import collector_paused

    with collector_paused():
        if shape == "chain":
            root = chain(Value(1.0), Value(0.999), Value(0.001), size)
        else:
            level = [Value(1.0) for _ in range(1 << (size.bit_length() - 1))]
            while len(level) > 1:
                level = [x * y for x, y in zip(level[::2], level[1::2], strict=True)]
            (root,) = level
    data = pickle.dumps(root) if way == "loads" else b""
    work = {
        "dumps": lambda: pickle.dumps(root),
        "loads": lambda: pickle.loads(data),
        "deepcopy": lambda: copy.deepcopy(root),
    }[way]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PEAK
    times: dict[str, list[float]] = {"sweep": [], "work": []}
    for _ in range(3):
        for name, function in (("sweep", root.backward), ("work", work)):
            gc.collect()
            start = time.process_time()
            kept = function()
            times[name].append(time.process_time() - start)
            del kept
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PEAK
    return {name: min(took) for name, took in times.items()} | {"peak": peak, "grown": peak - before}


def graphs(size: int) -> dict[str, float]:
    """Processor seconds of what is made from a graph of about ``size`` nodes, and of its backward sweep."""
    from peers import chain

    from autograd_mini import Value, grad, gradient_graph, trace
    from autograd_mini.value import collector_paused

    def f(s: Any, a: Any, b: Any) -> Any:
        return chain(s, a, b, size)

    with collector_paused():
        leaves = [Value(1.0), Value(0.999), Value(0.001)]
        root = f(*leaves)
    program = trace(grad(f, (0, 1, 2)), 1.0, 0.999, 0.001)
    work: dict[str, Callable[[], Any]] = {
        "backward": root.backward,
        "gradient_graph": lambda: gradient_graph(root, leaves),
        "trace(grad)": lambda: trace(grad(f, (0, 1, 2)), 1.0, 0.999, 0.001),
        "source": program.source,
    }
    times: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(3):
        for name, function in work.items():
            if name != "source" or not turn:
                gc.collect()
                start = time.process_time()
                kept = function()
                times[name].append(time.process_time() - start)
                del kept
    return {name: min(took) for name, took in times.items()} | {"instructions": len(program)}


TASKS: dict[str, Callable[..., dict[str, float]]] = {
    "mlp": mlp,
    "batch": batch,
    "again": again,
    "grow": grow,
    "copies": copies,
    "graphs": graphs,
}


# --- the parent --------------------------------------------------------------------------------------


def child(task: str, *args: str | int, cache: str | None = None) -> dict[str, float]:
    environment = os.environ | ({} if cache is None else {"AUTOGRAD_MINI_CACHE": cache})
    command = [sys.executable, __file__, "--task", json.dumps([task, *args])]
    found = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(found.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def installed(engines: list[str]) -> list[str]:
    return [name for name in engines if name not in PACKAGES or not missing([PACKAGES[name]])]


Goal = tuple[str, float, str, float]  # what, its figure, "at most" or "at least", the bound


def report_first(rounds: int) -> list[Goal]:
    print("\nfirst result of the MLP 2-16-16-1 in a new process, seconds beyond the imports named")
    goals: list[Goal] = []
    with tempfile.TemporaryDirectory() as cache:
        if installed(["ours"]):
            ever = [child(task, cache=cache)["first"] for task in ("mlp", "batch")]
            print(f"  ours, first ever               {ever[0]:8.3f} s")
            print(f"  ours, first batch ever         {ever[1]:8.3f} s   (after the former)")
            print(f"  ours, first batch, cached      {child('batch', cache=cache)['first']:8.3f} s")
            goals.append(("first result ever, seconds", ever[0], "at most", 10.0))
        for name in installed(["ours", "ours, no numba", "CasADi", "JAX", "JAX, on scalars"]):
            found = [child("mlp", name, cache=cache) for _ in range(rounds)]
            took, imports = (statistics.median(one[key] for one in found) for key in ("first", "imports"))
            after = "numpy and numba" if name == "ours" else "numpy"
            print(f"  {name:30} {took:8.3f} s   ({after}: {imports:.3f} s)")
    return goals


def report_again(rounds: int) -> list[Goal]:
    print("\nfrom a new function to its first result, in a process that has done so before")
    found = child("again", rounds)
    for name, took in found.items():
        print(f"  {name:30} {1e3 * took:8.1f} ms   {took / found.get('ours', took):8.1f} × ours")
    return [
        (f"new function to first result: {name} / ours", found[name] / found["ours"], "at least", 100.0)
        for name in ("JAX", "JAX, on scalars")
        if name in found and "ours" in found
    ]


def report_growth(largest: int, longest: dict[str, int]) -> list[Goal]:
    print("\ngrowth of a chain s = s * a + b, value and gradients, per operation and in brackets relative to")
    print("10,000 operations: getting ready with the first result; a later result; memory that this added")
    goals: list[Goal] = []
    for name in installed(list(ENGINES)):
        figures: dict[int, dict[str, float]] = {}
        for size in (10**3, 10**4, 10**5, 10**6):
            if size <= min(largest, longest.get(name, largest)):
                figures[size] = child("grow", name, size)
        base = figures.get(10**4)
        for size, found in figures.items():
            columns = [f"  {name:15}{size:10,}"]
            for key in ("first", "run"):
                each = found[key] / size
                ratio = each / (base[key] / 10**4) if base else 1.0
                columns.append(f"{1e9 * each:10.1f} ns ({ratio:5.2f})")
            columns.append(f"{found['grown'] / size:7.0f} bytes   in all {found['first']:6.2f} s")
            print("  ".join(columns) + f", peak {found['peak'] / MIB:5.0f} MiB")
        if base and name.startswith("ours"):
            size = max(figures)
            peak = figures[size]["peak"] / (1 << 30)
            goals.append((f"peak at {size:,} operations, GiB: {name}", peak, "at most", 2.0))
        if base and name == "ours":
            for key, what in (("first", "getting ready"), ("run", "a result")):
                ratio = figures[size][key] / base[key] / (size / 10**4)
                goals.append((f"{what}, per operation at {size:,} / at 10,000", ratio, "at most", 2.0))
    return goals


def report_copies(size: int) -> list[Goal]:
    print("\ncopies and pickles of a graph of Values, against its backward sweep; memory that this added")
    goals: list[Goal] = []
    for shape in ("chain", "tree"):
        for way in ("deepcopy", "dumps", "loads"):
            found = child("copies", shape, way, size)
            ratio = found["work"] / found["sweep"]
            print(
                f"  {shape} of {size:,}: {way:10} {found['work']:6.2f} s   {ratio:5.2f} × backward   "
                f"{found['grown'] / MIB:6.0f} MiB, peak {found['peak'] / MIB:5.0f} MiB"
            )
            goals.append((f"{way} of a {shape} / backward", ratio, "at most", 5.0))
    return goals


def report_graphs(size: int) -> list[Goal]:
    print(f"\nwhat is made from a graph of {size:,} nodes, against its backward sweep")
    found = child("graphs", size)
    for name in ("gradient_graph", "trace(grad)", "source"):
        print(f"  {name:16} {found[name]:6.2f} s   {found[name] / found['backward']:6.1f} × backward")
    print(f"  source, for each instruction {1e6 * found['source'] / found['instructions']:6.1f} µs")
    return [
        (f"{name} / backward", found[name] / found["backward"], "at most", bound)
        for name, bound in (("gradient_graph", 16.0), ("trace(grad)", 22.0))
    ]


def main(quick: bool) -> list[Goal]:
    goals = report_first(rounds=1 if quick else 5)
    goals += report_again(rounds=3 if quick else 9)
    # XLA's time for operations written out one by one grows faster than their number.
    goals += report_graphs(10**5 if quick else 400_000)
    goals += report_copies(10**5 if quick else 1 << 20)
    return goals + report_growth(10**5 if quick else 10**6, {"JAX": 10**3})


def judge(goals: Iterable[Goal]) -> None:
    print("\nwhat the design promises")
    for what, figure, wanted, bound in goals:
        met = figure >= bound if wanted == "at least" else figure <= bound
        print(f"  {what:58} {figure:9.2f}   {wanted:8} {bound:6g}   {'met' if met else 'missed'}")


def run(task: str) -> None:
    name, *args = json.loads(task)
    print(json.dumps(TASKS[name](*args)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller graphs")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task is None:
        judge(main(options.quick))
    else:  # micrograd's backward recurses once per node
        sys.setrecursionlimit(3_000_000)
        threading.stack_size(512 * MIB)
        thread = threading.Thread(target=run, args=(options.task,))
        thread.start()
        thread.join()
