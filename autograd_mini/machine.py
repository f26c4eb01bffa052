"""The compiled evaluator of flat instructions: one loop for all Programs, one sample or many.

Nothing is compiled for a Program. One function, written out from the derivative table, is compiled by
numba once for a computer and kept in a cache; a `Machine` lowers instructions to the stream of numbers
which that function reads.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from autograd_mini import machine_code, rules
from autograd_mini.instructions import Instructions
from autograd_mini.machine_code import CODE, CONSTANT, INPUT, ROWS, VARYING
from autograd_mini.rules import Primitive

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Vector = NDArray[np.float64]
    Array = NDArray[Any]


def available() -> bool:
    """Whether numba, which compiles the machine, is installed."""
    return importlib.util.find_spec("numba") is not None


class Machine:
    """Evaluates instructions in machine code, in IEEE arithmetic: nothing raises, 1 / 0 is inf.

    Raises ImportError if numba is not installed.
    """

    def __init__(self, code: Instructions) -> None:
        if not available():
            raise ImportError('Machine: numba is not installed; python -m pip install "autograd-mini[fast]"')
        flat = _expand(code)
        tier = np.zeros(flat.slots, np.int8)
        tier[: flat.inputs] = INPUT
        _compiled("tiers")(flat.operands, flat.first, tier)
        self._flat, tier = _fold(flat, tier)
        self._lines = _Lines(self._flat, tier, INPUT, self._flat.outputs)

    def __call__(self, inputs: Vector, outputs: Vector) -> None:
        """Write the outputs at ``inputs``."""
        _check("inputs", inputs, self._flat.inputs)
        _check("outputs", outputs, len(self._flat.outputs), written=True)
        self._lines.evaluation(inputs, outputs)()

    def buffer(self, inputs: Vector, outputs: Vector) -> Callable[[], None]:
        """A call without operands that reads ``inputs`` and writes ``outputs``, arrays of the caller's.

        One such function must not run in two threads at once; two of them may.
        """
        _check("inputs", inputs, self._flat.inputs)
        _check("outputs", outputs, len(self._flat.outputs), written=True)
        return self._lines.evaluation(inputs, outputs)

    def batch(self, varying: ArrayLike) -> Batch:
        """The same instructions on many samples; ``varying`` tells which inputs differ among them."""
        mask = np.asarray(varying, bool)
        if mask.shape != (self._flat.inputs,):
            raise ValueError(
                f"varying: expected one bool for each of {self._flat.inputs} inputs, got {mask.shape}"
            )
        return Batch(self._flat, mask)


def _check(name: str, vector: Vector, size: int, written: bool = False) -> None:
    if not isinstance(vector, np.ndarray) or vector.dtype != np.float64:
        got = vector.dtype if isinstance(vector, np.ndarray) else type(vector).__name__
        raise TypeError(f"{name}: expected an array of float64, got {got}")
    if vector.shape != (size,) or not vector.flags.c_contiguous or (written and not vector.flags.writeable):
        kind = "writable contiguous" if written else "contiguous"
        raise ValueError(f"{name}: expected a {kind} vector of {size} numbers, got shape {vector.shape}")


# --- lowering ---------------------------------------------------------------------------------------


class _Flat:
    """Instructions of the machine's own rows, of at most three operands; some constants are 1 and -1."""

    def __init__(
        self, inputs: int, constants: Array, one: int, codes: Array, operands: Array, outputs: Array
    ) -> None:
        self.inputs = inputs
        self.constants = constants
        self.one = one  # the slot of 1; the next one holds -1
        self.codes = codes
        self.operands = operands
        self.outputs = outputs
        self.first = inputs + len(constants)
        self.slots = self.first + len(codes)


def _expand(code: Instructions) -> _Flat:
    """Rows of the user written as the machine's own: each is inlined as its formula."""
    constants = [np.pi if constant == "pi" else float(constant) for constant in code.constants]
    templates = [_template(row, code.inputs, constants) for row in code.rows]
    first = code.inputs + len(constants) + 2
    lengths = np.array([len(lines) for lines in templates] or [1])[code.codes]
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(code) else 0
    place = np.arange(code.slots, dtype=np.int32)
    place[code.first :] = first + ends - 1
    codes = np.empty(total, np.int32)
    operands = np.full((total, 3), -1, np.int32)
    for k, lines in enumerate(templates):
        (where,) = np.nonzero(code.codes == k)
        begin = ends[where] - len(lines)
        for line, (row, references) in enumerate(lines):
            codes[begin + line] = CODE[row]
            for j, (kind, index) in enumerate(references):
                if kind == "operand":
                    slots = place[code.operands[where, index]]
                else:
                    slots = index + (first + begin) * (kind == "line")
                operands[begin + line, j] = slots
    return _Flat(
        code.inputs, np.array([*constants, 1.0, -1.0]), first - 2, codes, operands, place[code.outputs]
    )


Reference = tuple[str, int]  # an operand, an earlier line of the template, or the slot of a constant


def _template(row: Primitive, inputs: int, constants: list[float]) -> list[tuple[str, list[Reference]]]:
    """The row as lines of the machine's own rows; the numbers in its formula join the constants."""
    lines: list[tuple[str, list[Reference]]] = []

    def call(name: str, operands: list[Reference]) -> Reference:
        row = rules.table.get(name) or ROWS[name]
        if not _is_own(row):
            return inlined(row, operands)
        lines.append((name, operands))
        return "line", len(lines) - 1

    def inlined(row: Primitive, operands: list[Reference]) -> Reference:
        names = dict(zip(row.operands, operands, strict=True))
        return machine_code.apply(rules.expression(row.stable), names, call, number)  # type: ignore[no-any-return]

    def number(value: float) -> Reference:
        constants.append(value)
        return "constant", inputs + len(constants) - 1

    operands = [("operand", k) for k in range(len(row.operands))]
    result = call(row.name, operands) if _is_own(row) else inlined(row, operands)
    if result[0] != "line":
        lines.append(("identity", [result]))
    return lines


def _is_own(row: Primitive) -> bool:
    return row.name in CODE and ROWS[row.name] is row


def _fold(flat: _Flat, tier: Array) -> tuple[_Flat, Array]:
    """What depends on constants alone becomes a constant."""
    folded = tier[flat.first :] == CONSTANT
    if not folded.any():
        return flat, tier
    (slots,) = np.nonzero(folded)
    values = np.empty(len(slots))
    _Lines(flat, tier, CONSTANT, slots + flat.first).evaluation(np.zeros(flat.inputs), values)()
    place = np.arange(flat.slots, dtype=np.int32)
    place[slots + flat.first] = flat.first + np.arange(len(slots))
    place[flat.first :][~folded] = flat.first + len(slots) + np.arange(flat.slots - flat.first - len(slots))
    operands = flat.operands[~folded]
    operands = np.where(operands >= 0, place[operands], np.int32(-1))
    constants = np.concatenate([flat.constants, values])
    moved = np.empty_like(tier)
    moved[place] = tier
    flat = _Flat(
        flat.inputs,
        constants,
        flat.one,
        flat.codes[~folded],
        np.ascontiguousarray(operands),
        place[flat.outputs],
    )
    return flat, moved


class _Lines:
    """The stream for one sample: the instructions of one tier that the outputs need."""

    def __init__(self, flat: _Flat, tier: Array, level: int, outputs: Array) -> None:
        uses = np.zeros(flat.slots, np.int32)
        uses[outputs] = 1
        op, result, begin, args = _fused(flat, tier, level, uses)
        depth, written, key = (
            np.zeros(flat.slots, np.int32),
            np.full(flat.slots, -1, np.int32),
            np.empty(len(op), np.int64),
        )
        _compiled("depths")(op, result, begin, args, depth, written, key)
        order = np.argsort(key, kind="stable")
        place = np.arange(flat.slots, dtype=np.int32)
        last = np.zeros(flat.slots, np.int32)
        last[: flat.first] = last[outputs] = -1
        none = np.zeros(flat.slots, np.bool_)
        self.stream, self.size = _emit(order, op, result, begin, args, place, last, none, flat.first, False)
        self.gather = place[outputs].astype(np.uint32)
        self.constants = slice(flat.inputs, flat.first), flat.constants
        sizes = len(self.stream), flat.inputs, len(outputs), self.size
        self.frame = np.array([_address(self.stream), 0, _address(self.gather), 0, 0, *sizes], np.int64)

    def evaluation(self, inputs: Vector, outputs: Vector) -> Callable[[], None]:
        """The function of no operands that writes ``outputs`` at ``inputs``."""
        memory, frame = np.empty(self.size), self.frame.copy()
        memory[self.constants[0]] = self.constants[1]
        frame[1], frame[3], frame[4] = _address(memory), _address(inputs), _address(outputs)
        call = partial(_compiled("run"), _address(frame))
        call.arrays = self, memory, frame, inputs, outputs  # type: ignore[attr-defined] # live as long as the call
        return call


def _address(array: Any) -> int:
    if array.flags.writeable and array.size:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # three times as fast as what follows
    return int(array.__array_interface__["data"][0])


def _fused(flat: _Flat, tier: Array, level: int, uses: Array) -> tuple[Array, Array, Array, Array]:
    """One tier's instructions, sums of products joined; ``uses`` starts with the outputs and is filled in."""
    needed = _compiled("count_uses")(flat.operands, flat.first, tier, level, uses)
    length = len(flat.codes)
    work = np.zeros(length, np.int32), np.full(length, -1, np.int32), np.zeros(length, np.int32)
    op, result = np.empty(needed, np.int32), np.empty(needed, np.int32)
    begin, args = np.empty(needed + 1, np.int64), np.empty(3 * needed + 4, np.int32)
    count = _compiled("fuse")(
        flat.codes, flat.operands, flat.first, tier, level, uses, flat.one,
        *work, np.zeros(length, np.bool_), op, result, begin, args,
    )  # fmt: skip
    return op[:count], result[:count], begin[: count + 1], args[: begin[count]]


def _emit(
    order: Array, op: Array, result: Array, begin: Array, args: Array, *places: Any
) -> tuple[Array, int]:
    """The stream, and the number of places that it needs."""
    stream = np.empty(4 * len(op) + 2 * len(args) + 4, np.uint32)
    free = np.empty(len(op) + len(args) + 1, np.int32)
    length, top = _compiled("emit")(order, op, result, begin, args, *places, free, stream)
    return stream[:length].copy(), top


# --- many samples -----------------------------------------------------------------------------------


class Batch:
    """A machine on many samples, a block of them at a time, blocks spread over the cores.

    What depends on shared inputs alone is computed once. Sums over samples are taken in an order that
    depends on nothing but their number, so they are the same on any number of cores.
    """

    def __init__(self, flat: _Flat, varying: Array) -> None:
        self._flat = flat
        self._varying = np.flatnonzero(varying)
        self._tier = np.zeros(flat.slots, np.int8)
        self._tier[: flat.inputs] = np.where(varying, VARYING, INPUT)
        _compiled("tiers")(flat.operands, flat.first, self._tier)
        self._blocks: dict[bool, _Blocks] = {}

    def __call__(
        self, inputs: Vector, samples: Vector, reduce: Literal["sum", "mean"] | None = None
    ) -> Vector:
        """The outputs of every sample, one row each, or their sum or mean over the samples.

        ``inputs`` holds the shared inputs, ``samples`` the varying ones, one row for each sample.
        """
        if reduce not in (None, "sum", "mean"):
            raise ValueError(f'reduce: expected "sum", "mean" or None, got {reduce!r}')
        _check("inputs", inputs, self._flat.inputs)
        if not isinstance(samples, np.ndarray) or samples.dtype != np.float64:
            got = samples.dtype if isinstance(samples, np.ndarray) else type(samples).__name__
            raise TypeError(f"samples: expected an array of float64, got {got}")
        if samples.ndim != 2 or samples.shape[1] != len(self._varying):
            raise ValueError(f"samples: expected {len(self._varying)} columns, got shape {samples.shape}")
        total = reduce is not None
        if total not in self._blocks:
            self._blocks[total] = _Blocks(self._flat, self._tier, self._varying, total)
        with np.errstate(all="ignore"):
            return self._blocks[total](inputs, np.ascontiguousarray(samples), reduce == "mean")


class _Blocks:
    """The stream for blocks of samples, which sums every output or keeps it for each sample."""

    def __init__(self, flat: _Flat, tier: Array, varying: Array, total: bool) -> None:
        slots, self.total = flat.slots, total
        distinct, self.index = np.unique(flat.outputs, return_inverse=True)
        shared = tier < VARYING
        uses = np.zeros(slots, np.int32)
        uses[distinct[~shared[distinct]]] = 1
        op, result, begin, args = _fused(flat, tier, VARYING, uses)
        _use_numbers(op, begin, args, shared)
        order = np.arange(len(op))
        if total:
            order, op, result, begin, args = _sum_outputs(distinct, shared, uses, op, result, begin, args)
        # Shared numbers in other places are spread over a block once: `slots + slot` is that block.
        alone = np.repeat(op, np.diff(begin)) < machine_code.DOT
        args[alone & shared[args]] += slots
        spread = np.unique(args[args >= slots])
        numbers = np.unique(np.concatenate([args[args < slots][shared[args[args < slots]]], spread - slots]))
        place = np.zeros(2 * slots, np.int32)
        place[numbers] = np.arange(len(numbers))
        place[varying] = np.arange(len(varying))
        place[spread] = len(varying) + np.arange(len(spread))
        last = np.zeros(2 * slots, np.int32)
        last[:slots][shared] = last[slots:] = -1
        if not total:
            last[distinct] = -1
        both = np.concatenate([shared, np.zeros(slots, np.bool_)])
        top = len(varying) + len(spread)
        self.stream, self.size = _emit(order, op, result, begin, args, place, last, both, top, True)
        self.inputs = place[varying].astype(np.uint32)
        self.spread = np.stack([place[spread], place[spread - slots]], axis=1).astype(np.uint32)
        wanted = distinct if total else flat.outputs
        self.distinct = len(distinct)
        (self.columns,) = np.nonzero(~shared[wanted])
        self.gather = place[wanted[self.columns]].astype(np.uint32)
        (self.constant,) = np.nonzero(shared[wanted])
        self.numbers = len(numbers)
        self.prelude = _Lines(flat, tier, INPUT, np.concatenate([numbers, wanted[self.constant]]))
        self.width = WIDTH
        while self.width > 8 and self.width * self.size * 8 > CACHE:
            self.width //= 2

    def __call__(self, inputs: Vector, samples: Vector, mean: bool) -> Vector:
        numbers = np.empty(self.numbers + len(self.constant))
        self.prelude.evaluation(inputs, numbers)()
        count = len(samples)
        group = self.width * max(1, -(-count // (GROUPS * self.width)))
        groups = -(-count // group)
        totals = np.zeros((groups, self.distinct if self.total else 0))
        results = np.empty((count, 0 if self.total else len(self.index)))
        kept = slice(0 if self.total else None)
        compiled = _compiled("run_blocks")

        def run(begin: int, end: int) -> None:
            compiled(
                self.stream, np.empty((self.size, self.width)), numbers, self.spread, samples, self.inputs,
                self.gather[kept], self.columns[kept], begin * group, min(end * group, count), group,
                totals, results,
            )  # fmt: skip

        _spread_over_cores(run, groups, count * len(self.stream))
        if not self.total:
            results[:, self.constant] = numbers[self.numbers :]
            return results
        sums: Vector = totals.sum(axis=0)
        sums[self.constant] = numbers[self.numbers :] * (1 if mean and count else count)
        if mean:
            sums[self.columns if count else slice(None)] /= count
        return sums[self.index]


def _use_numbers(op: Array, begin: Array, args: Array, shared: Array) -> None:
    """Change the operations of a block with a shared number to those made for it."""
    for name, code in machine_code.BLOCK_SHARED.items():
        (where,) = np.nonzero(op == CODE[name])
        left, right = begin[where], begin[where] + 1
        first, second = shared[args[left]], shared[args[right]]
        op[where[second]] = code
        if name in machine_code.BLOCK_SHARED_FIRST:
            op[where[first]] = machine_code.BLOCK_SHARED_FIRST[name]
        else:
            op[where[first]] = code
            args[left[first]], args[right[first]] = args[right[first]], args[left[first]]


def _sum_outputs(
    distinct: Array, shared: Array, uses: Array, op: Array, result: Array, begin: Array, args: Array
) -> tuple[Array, Array, Array, Array, Array]:
    """Sums of the outputs over samples: a product used nowhere else is summed without being stored."""
    producer = np.full(len(shared), -1)
    producer[result] = np.arange(len(op))
    products = {
        CODE["mul"]: machine_code.TOTAL_PRODUCT,
        machine_code.BLOCK_SHARED["mul"]: machine_code.TOTAL_SHARED_PRODUCT,
    }
    columns = np.flatnonzero(~shared[distinct])
    at = producer[distinct[columns]]
    lone = (at >= 0) & (uses[distinct[columns]] == 1)
    lone[lone] = np.isin(op[at[lone]], list(products))
    for code, summed in products.items():
        op[at[lone][op[at[lone]] == code]] = summed
    result[at[lone]] = columns[lone]
    rest = columns[~lone]
    order = np.argsort(np.concatenate([np.arange(len(op)), at[~lone] + 0.5]), kind="stable")
    return (
        order,
        np.concatenate([op, np.full(len(rest), machine_code.TOTAL)]).astype(np.int32),
        np.concatenate([result, rest]).astype(np.int32),
        np.concatenate([begin, begin[-1] + 1 + np.arange(len(rest))]),
        np.concatenate([args, distinct[rest]]).astype(np.int32),
    )


WIDTH = 128  # samples in a block
CACHE = 1 << 19  # bytes that a block's numbers should stay within
GROUPS = 64  # groups of samples whose sums are taken apart, then added in order
WORTH_A_THREAD = 1_000_000  # samples times operands, some 50 µs

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _spread_over_cores(run: Callable[[int, int], None], groups: int, work: int) -> None:
    """``run(begin, end)`` for parts of the groups, one in this thread, the others in threads kept for it."""
    global _pool
    parts = min(_cores(), groups, 1 + work // WORTH_A_THREAD)
    bounds = [groups * k // max(parts, 1) for k in range(parts + 1)]
    others = []
    if parts > 1:
        with _lock:
            if _pool is None:
                _pool = ThreadPoolExecutor(_cores(), "autograd_mini")
        others = [_pool.submit(run, bounds[k], bounds[k + 1]) for k in range(1, parts)]
    if parts:
        run(0, bounds[1])
    for other in others:
        other.result()


def _forget_threads() -> None:
    """A forked process has none of its parent's threads."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


# --- compilation ------------------------------------------------------------------------------------

_WORDS, _TABLE, _BYTES, _FLAGS = "int32[::1]", "int32[:,::1]", "int8[::1]", "boolean[::1]"
_FLOATS, _PLACES, _LONGS = "float64[::1]", "uint32[::1]", "int64[::1]"
SIGNATURES = {
    "tiers": (_TABLE, "int64", _BYTES),
    "count_uses": (_TABLE, "int64", _BYTES, "int64", _WORDS),
    "fuse": (
        _WORDS, _TABLE, "int64", _BYTES, "int64", _WORDS, "int64",
        _WORDS, _WORDS, _WORDS, _FLAGS, _WORDS, _WORDS, _LONGS, _WORDS,
    ),
    "depths": (_WORDS, _WORDS, _LONGS, _WORDS, _WORDS, _WORDS, _LONGS),
    "emit": (
        _LONGS, _WORDS, _WORDS, _LONGS, _WORDS, _WORDS, _WORDS, _FLAGS, "int64", "boolean", _WORDS, _PLACES,
    ),
    "run": ("int64",),
    "run_blocks": (
        _PLACES, "float64[:,::1]", _FLOATS, "uint32[:,::1]", "float64[:,::1]", _PLACES,
        _PLACES, _LONGS, "int64", "int64", "int64", "float64[:,::1]", "float64[:,::1]",
    ),
}  # fmt: skip

_functions: dict[str, Callable[..., Any]] = {}
_modules: dict[str, dict[str, Any]] = {}


def _compiled(name: str) -> Callable[..., Any]:
    """A function of the machine's source in machine code, from the cache if it is there."""
    return _functions.get(name) or _compile(name)


def _compile(name: str) -> Callable[..., Any]:
    import numba  # noqa: F401 # takes its time, which is not compiling

    with _lock:
        if name not in _functions:
            notice = threading.Timer(1.0, _say_compiling)
            notice.daemon = True
            notice.start()
            try:
                _functions[name] = _from_cache(name)
            finally:
                notice.cancel()
    return _functions[name]


def _from_cache(name: str) -> Callable[..., Any]:
    """The function from the cache, compiled into it if it is not there; in memory if that cannot be."""
    if "memory" not in _modules:
        try:
            return _with_signature(_cached_module()[name], name)
        except Exception as error:  # whatever numba and pickle make of a damaged file or a full disk
            kind = type(error).__name__
            _say(f"the cache {_cache_directory()} cannot be used ({kind}: {error}); compiling in memory")
            _modules.pop("cached", None)
            shutil.rmtree(_home(), ignore_errors=True)  # lest the next process find the damage again
        module: dict[str, Any] = {}
        exec(compile(machine_code.source(cached=False), "<autograd_mini machine>", "exec"), module)
        _modules["memory"] = module
    return _with_signature(_modules["memory"][name], name)


def _with_signature(function: Any, name: str) -> Callable[..., Any]:
    function.compile(f"({', '.join(SIGNATURES[name])},)")
    function.disable_compile()
    return function  # type: ignore[no-any-return]


def _cached_module() -> dict[str, Any]:
    """The machine's source as a module in the cache; it is written there if it is absent or changed."""
    if "cached" not in _modules:
        source, path = machine_code.source(cached=True), _home() / "machine.py"
        if not path.exists() or path.read_text("utf-8") != source:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
                file.write(source)
            os.replace(file.name, path)
        spec = importlib.util.spec_from_file_location("_autograd_mini_machine", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module  # where numba looks for it
        spec.loader.exec_module(module)
        _modules["cached"] = vars(module)
    return _modules["cached"]


@cache
def _home() -> Path:
    """The directory of this source under these versions: all that machine code depends on, but the CPU."""
    import numba

    versions = (numba.__version__, np.__version__, sys.version)
    key = hashlib.sha256(repr((machine_code.source(cached=True), versions)).encode()).hexdigest()
    return _cache_directory() / key[:16]


def _cache_directory() -> Path:
    """``AUTOGRAD_MINI_CACHE``, or where the platform keeps caches."""
    if named := os.environ.get("AUTOGRAD_MINI_CACHE"):
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "autograd-mini"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/autograd-mini"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autograd-mini"


@cache
def _say_compiling() -> None:
    _say("compiling the machine once for this computer, later runs load it")


def _say(message: str) -> None:
    print(f"autograd_mini: {message}", file=sys.stderr, flush=True)
