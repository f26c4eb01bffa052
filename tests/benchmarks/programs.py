"""Compiled programs beside the engines that people would pick instead: one sample, and mean gradients.

    python -m pip install ".[bench]" && python tests/benchmarks/programs.py [--quick | --table]

Each workload is one loss, written once with `x @ W.T`, and run by every engine in its own way of writing,
in float64; the time is that of the loss and all its gradients, called again and again with the parameters,
the sample and the target. Before anything is timed, all engines' gradients are compared. Then every round
times every engine once, some 10 ms each, in an order of its own; the figures are medians. JAX is given its
own arrays, and NumPy's too; PyTorch and NumPy run on one thread, all others as they come. Getting ready,
first results and growth are measured by ready.py, in processes of their own. With ``--table``, some three
minutes, layers join the networks, and one table has each engine's time as a multiple of NumPy by hand's.

From one run, Python 3.11 on two cores, as multiples of the time by hand:

                                          by hand      ours   no numba   JAX jit
    MLP 2-16-16-1, one sample               47 µs      0.30       0.77      0.65
    mean over 1,000 samples                756 µs      0.45       1.05      0.31
    softmax regression 64-10, 1,797 samples 529 µs     0.95       0.95      0.88
    MLP 784-32-10, one sample               84 µs      0.57       0.57      0.61
    mean over 256 samples                 1.02 ms      1.07       1.09      0.95
    batch norm 256 x 64                    174 µs      1.03       1.06      0.58
    attention head of 16 on 32 x 64         80 µs      1.04       1.03      0.92
    convolution 3 x 3 on 28 x 28           157 µs      0.31       1.26      0.25
    LSTM of 20 steps, 8-16                 733 µs      0.14       1.79      0.18

From a new function to its first result took 10 ms (CasADi 4 ms, JAX 260 ms, for code on scalars 430 ms); the
first program ever 5 s, in which numba compiles the evaluator for the computer, and the first one in a later
process 0.4 s beyond the imports. A graph of 10^6 operations is traced, differentiated and run in 1.4 GiB.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy is imported; two stall while others' threads spin

import numpy as np
import ready
from workloads import LAYERS, MLP, MLP_BATCH, WORKLOADS, Layer, Workload

from autograd_mini import Program, machine, trace, value_and_grad

TOLERANCE = 1e-9
MICROGRAD_SAMPLES = 2  # of a batch; its time per sample does not depend on their number, and is scaled
SLOT = 0.01  # seconds of one timing
SLOW = 0.1  # seconds of one call from which it is in every tenth round only
MIB = 1 << 20


# --- the engines: for a workload, the ways to call them ---------------------------------------------


@dataclass
class Call:
    """What is timed, and where the loss and the gradients are if it does not return them."""

    run: Callable[[], Any]
    read: Callable[[], Any] | None = None
    checked: bool = True
    held: Any = None  # what must live as long

    def result(self) -> np.ndarray:
        returned = self.run()
        return flat(returned if self.read is None else self.read())


Calls = dict[str, Call]


def flat(result: Any) -> np.ndarray:
    """The loss and the gradients as one vector."""
    if isinstance(result, (tuple, list)):
        return np.concatenate([flat(part) for part in result])
    return np.asarray(result, dtype=float).ravel()


def ours(work: Workload | Layer) -> Calls:
    parameters, data = work.parameters, work.data
    sample = data if work.samples is None else [x[0] for x in data]
    traced = trace(value_and_grad(work.loss(np), argnums=work.argnums), *parameters, *sample)

    def make() -> Any:
        program = Program(traced.listing)
        run = program if work.samples is None else program.vmap(in_axes=work.in_axes, reduce="mean")
        return program, lambda: run(*parameters, *data)

    with patch.object(machine, "available", lambda: False):
        interpreted = make()[1]
        interpreted()  # which settles that it does without
    if not machine.available():
        return {"ours": Call(interpreted)}
    program, run = make()
    calls = {"ours": Call(run), "ours, no numba": Call(interpreted)}
    if work.samples is None:
        inputs, outputs = flat([*work.parameters, *work.data]), np.empty(len(program.code.outputs))
        calls["ours, buffer"] = Call(program.buffer(inputs, outputs), lambda: outputs)
    return calls


def by_hand(work: Workload | Layer) -> Calls:
    """The gradients as one derives them on paper, in NumPy's matrix products."""
    if isinstance(work, Layer):
        arguments = work.arguments
        return {"NumPy by hand": Call(lambda: work.by_hand(*arguments))}
    parameters, (x, t) = work.parameters, work.data
    count = work.samples or 1
    x, t = x.reshape(count, -1), t.reshape(count, -1)
    layers = list(zip(parameters[::2], parameters[1::2], strict=True))

    def run() -> Any:
        activations = [x]
        for W, b in layers[:-1]:
            activations.append(np.tanh(activations[-1] @ W.T + b))
        W, b = layers[-1]
        z = activations[-1] @ W.T + b
        if work.classifier:
            e = np.exp(z)
            total = e.sum(axis=1, keepdims=True)
            loss = (np.log(total).sum() - (t * z).sum()) / count
            delta = (e / total - t) / count
        else:
            y = np.tanh(z)
            loss = ((y - t) ** 2).sum() / count
            delta = 2 / count * (y - t) * (1 - y * y)
        gradients: list[np.ndarray] = []
        for (W, _), h in zip(reversed(layers), reversed(activations), strict=True):
            gradients[:0] = delta.T @ h, delta.sum(axis=0)
            if h is not x:
                delta = delta @ W * (1 - h * h)
        return loss, gradients

    return {"NumPy by hand": Call(run)}


def micrograd(work: Workload) -> Calls:
    from micrograd.engine import Value

    def function(f: Callable[[float], float], slope: Callable[[float, float], float]) -> Any:
        """tanh, exp and log, which it has not, made as the tanh of its author's lecture."""

        def apply(x: Any) -> Any:
            y = f(x.data)
            out = Value(y, (x,), "f")

            def step() -> None:
                x.grad += slope(x.data, y) * out.grad

            out._backward = step
            return out

        return np.frompyfunc(apply, 1, 1)

    loss = work.loss(
        SimpleNamespace(
            tanh=function(math.tanh, lambda x, y: 1 - y * y),
            exp=function(math.exp, lambda x, y: y),
            log=function(math.log, lambda x, y: 1 / x),
            sum=np.sum,
        )
    )
    parameters: list[Any] = [np.frompyfunc(Value, 1, 1)(p) for p in work.parameters]
    leaves = [leaf for p in parameters for leaf in p.flat]
    x, t = (np.atleast_2d(array)[:MICROGRAD_SAMPLES] for array in work.data)

    losses: list[Any] = []

    def run() -> None:
        for leaf in leaves:
            leaf.grad = 0.0
        losses[:] = [loss(*parameters, *sample) for sample in zip(x, t, strict=True)]
        for root in losses:
            root.backward()

    def read() -> Any:
        return np.array([sum(root.data for root in losses), *(leaf.grad for leaf in leaves)]) / len(x)

    return {"micrograd": Call(run, read, checked=work.samples is None)}


def jax(work: Workload | Layer) -> Calls:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    loss = work.loss(jnp)
    if work.samples is not None:
        each = jax.vmap(work.loss(jnp), in_axes=work.in_axes)

        def loss(*args: Any) -> Any:
            return each(*args).mean()

    run = jax.jit(jax.value_and_grad(loss, argnums=work.argnums))
    arrays = [*work.parameters, *work.data]
    own = [jnp.asarray(array) for array in arrays]
    name = "JAX jit" if work.samples is None else "JAX jit+vmap"
    return {
        name: Call(lambda: jax.block_until_ready(run(*own))),
        f"{name}, from NumPy": Call(lambda: jax.block_until_ready(run(*arrays))),
    }


def casadi(work: Workload) -> Calls:
    import casadi as ca

    parameters, (x, t) = work.parameters, work.data
    arrays = [np.atleast_2d(array) for array in (*parameters, *np.atleast_2d(x, t))]
    if work.samples is not None:  # its batches are side by side
        arrays[-2:] = [np.ascontiguousarray(array.reshape(1, -1)) for array in arrays[-2:]]
    shapes = [*(np.atleast_2d(p).shape for p in parameters), (1, work.sizes[0]), (1, work.sizes[-1])]
    symbols = [ca.SX.sym(f"x{i}", *shape) for i, shape in enumerate(shapes)]
    xp = SimpleNamespace(tanh=ca.tanh, exp=ca.exp, log=ca.log, sum=ca.sum2)
    loss = work.loss(xp)(*symbols)
    outputs = [loss, *(ca.gradient(loss, s) for s in symbols[:-2])]
    f = ca.Function("f", symbols, outputs)
    if work.samples is None:
        return {"CasADi": Call(lambda: f(*arrays)), "CasADi, buffer": _buffer(f, arrays, shapes[:-2], 1)}
    n = work.samples
    reduced = f.map("reduced", "serial", n, list(work.argnums), list(range(len(outputs))))
    return {
        "CasADi map": Call(lambda: [np.asarray(total) / n for total in reduced(*arrays)]),
        "CasADi map, buffer": _buffer(reduced, arrays, shapes[:-2], n),
    }


def _buffer(f: Any, arrays: list[np.ndarray], shapes: list[tuple[int, ...]], count: int) -> Call:
    """CasADi's call without copies; matrices are flat, column by column. It sums, so means are taken here."""
    buffer, run = f.buffer()
    inputs = [array.ravel(order="F").copy() for array in arrays]
    outputs = [np.empty(math.prod(shape)) for shape in ((1,), *shapes)]
    for i, array in enumerate(inputs):
        buffer.set_arg(i, memoryview(array))
    for i, array in enumerate(outputs):
        buffer.set_res(i, memoryview(array))

    def read() -> Any:
        gradients = [g.reshape(s, order="F") for g, s in zip(outputs[1:], shapes, strict=True)]
        return flat([outputs[0], *gradients]) / count

    return Call(run, read, held=(f, buffer, inputs))


def torch(work: Workload) -> Calls:
    import torch

    torch.set_num_threads(1)
    parameters = [torch.tensor(p, requires_grad=True) for p in work.parameters]
    x, t = map(torch.tensor, work.data)
    xp = SimpleNamespace(tanh=torch.tanh, exp=torch.exp, log=torch.log, sum=lambda z: torch.sum(z, dim=-1))
    loss = work.loss(xp)

    def run() -> Any:
        root = loss(*parameters, x, t).mean()
        return root.detach(), torch.autograd.grad(root, parameters)

    return {"PyTorch": Call(run)}


def calls(work: Workload | Layer, engines: Sequence[Callable[[Any], Calls]]) -> Calls:
    """Every engine's calls of a workload, their gradients compared; those not installed are left out."""
    found = ours(work) | by_hand(work)
    expected = found["NumPy by hand"].result()
    for make in engines:
        try:
            found |= make(work)
        except ImportError:
            continue
    for name, call in found.items():
        if call.checked:
            difference = np.abs(call.result() - expected).max() / np.abs(expected).max()
            assert difference <= TOLERANCE, f"{work.name}: {name} differs by {difference}"
    return found


# --- measurements -----------------------------------------------------------------------------------


def timing(call: Callable[[], Any], calls: int) -> float:
    """Seconds per call, after one more that brings its memory and caches back, unless that takes long."""
    gc.collect()
    if calls > 1:
        call()
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls


def timings(found: Calls, rounds: int) -> dict[str, tuple[float, float]]:
    """The median and the least seconds of each call over interleaved rounds."""
    bare = {name: call.run for name, call in found.items()}
    gc.collect()
    gc.freeze()  # the engines' own objects, which the collector would walk before every timing
    took = {name: timing(call, 1) for name, call in bare.items()}
    times: dict[str, list[float]] = {name: [] for name in bare}
    for turn in range(rounds):
        for name, call in random.sample([*bare.items()], len(bare)):  # for the threads of one spin on
            if took[name] < SLOW or turn % 10 == 0:
                times[name].append(timing(call, max(1, int(SLOT / took[name]))))
    gc.unfreeze()
    return {name: (statistics.median(ts), min(ts)) for name, ts in times.items()}


def scaled(work: Workload, figures: dict[str, float]) -> dict[str, float]:
    """micrograd's time for some samples as that for all."""
    if "micrograd" in figures and work.samples is not None:
        figures["micrograd"] *= work.samples / MICROGRAD_SAMPLES
    return figures


def seconds(s: float) -> str:
    for unit, size in (("s ", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if s >= size:
            return f"{s / size:8.2f} {unit}"
    return f"{s * 1e9:8.2f} ns"


def report(work: Workload, figures: dict[str, float]) -> None:
    print(f"\n{work.name}: loss and gradients")
    if work.samples is not None and "micrograd" in figures:
        print(f"  (micrograd: {MICROGRAD_SAMPLES} samples timed, scaled to {work.samples:,})")
    for name, figure in figures.items():
        print(f"  {name:24} {seconds(figure)} {figure / figures['ours']:10.2f} × ours")


def table(rounds: int = 15) -> None:
    """Each engine's time by that of NumPy by hand: the ratio of medians, and in brackets of least times."""
    columns = ["ours", "ours, no numba", "JAX"]
    print(f"{'':50} {'by hand':>11}" + "".join(f"{name:>20}" for name in columns))
    for work in (*WORKLOADS, *LAYERS):
        figures = timings(calls(work, [jax]), rounds)
        median, least = figures["NumPy by hand"]
        line = f"{work.name:50} {seconds(median)}"
        for column in columns:
            name = next((name for name in figures if name.split(" jit")[0] == column), None)
            ratios = (figures[name][0] / median, figures[name][1] / least) if name else (math.nan, math.nan)
            line += f"{ratios[0]:12.2f} ({ratios[1]:.2f})"
        print(line, flush=True)


def goals(figures: dict[str, dict[str, float]]) -> Iterator[ready.Goal]:
    """The ratios that the design promises, from the same run."""
    for work, first, second, wanted, bound in (
        (MLP, "micrograd", "ours, buffer", "at least", 200.0),
        (MLP, "CasADi, buffer", "ours, buffer", "at least", 1.0),
        (MLP, "JAX jit", "ours", "at least", 5.0),
        (MLP, "JAX jit, from NumPy", "ours", "at least", 5.0),
        (MLP, "CasADi", "ours", "at least", 1.0),
        (MLP, "micrograd", "ours, no numba", "at least", 15.0),
        (MLP_BATCH, "micrograd", "ours", "at least", 1000.0),
        (MLP_BATCH, "ours", "JAX jit+vmap", "at most", 1.2),
        (MLP_BATCH, "ours", "NumPy by hand", "at most", 4.0),
    ):
        found = figures[work.name]
        if first in found and second in found:
            what = f"{'1,000 samples' if work.samples else 'one sample'}: {first} / {second}"
            yield what, found[first] / found[second], wanted, bound


def main(quick: bool) -> None:
    for name in ready.missing(["numba", "micrograd", "jax", "casadi", "torch"]):
        print(f"{name}: missing, python -m pip install {name}")
    promised = ready.main(quick)  # first, while this process is small: see there
    figures = {}
    for work in WORKLOADS:
        found = timings(calls(work, [micrograd, jax, casadi, torch]), rounds=5 if quick else 21)
        figures[work.name] = scaled(work, {name: median for name, (median, _) in found.items()})
        report(work, figures[work.name])
    ready.judge([*goals(figures), *promised])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller graphs, one minute")
    parser.add_argument("--table", action="store_true", help="networks and layers by NumPy by hand only")
    options = parser.parse_args()
    sys.setrecursionlimit(1_000_000)  # micrograd's backward recurses once per node
    threading.stack_size(512 * MIB)
    thread = threading.Thread(
        target=table if options.table else main, args=(21 if options.table else options.quick,)
    )
    thread.start()
    thread.join()
