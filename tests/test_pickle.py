"""Pickled programs: data, never code; read in other processes; refused in one sentence when damaged."""

from __future__ import annotations

import base64
import copy
import io
import logging
import pickle
import pickletools
import subprocess
import sys
import zlib
from collections import namedtuple
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np
import pytest

from autograd_mini import (
    Program,
    cross_entropy_from_logits,
    grad,
    machine,
    rules,
    softmax,
    trace,
    value_and_grad,
)
from autograd_mini.program import restored

Pair = namedtuple("Pair", "value slope")
PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


@pytest.fixture(autouse=True, params=["compiled", "interpreted"])
def evaluator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs twice: in machine code where numba is there, and as if it were not."""
    if request.param == "compiled":
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr(machine, "available", lambda: False)


def regression(W: Any, b: Any, x: Any, t: Any) -> Any:
    return cross_entropy_from_logits(W.T @ x + b, t)


def step() -> Program:
    """Softmax regression of 3 features and 4 classes: loss and gradient."""
    return trace(value_and_grad(regression, (0, 1)), np.zeros((3, 4)), np.zeros(4), np.zeros(3), 0)


def point(seed: int = 0) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(3, 4)), rng.normal(size=4), rng.normal(size=3), int(rng.integers(4))


def flat(result: Any) -> list[float]:
    loss, (dW, db) = result
    return [loss, *np.ravel(dW), *db]


def globals_in(data: bytes) -> set[str]:
    """What a pickle asks to import; of an opcode STACK_GLOBAL the two texts before it."""
    found, texts = set(), []
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in ("GLOBAL", "INST"):
            found.add(argument)
        elif opcode.name == "STACK_GLOBAL":
            found.add(" ".join(texts[-2:]))
        elif isinstance(argument, str):
            texts.append(argument)
    return found


# --- there and back ---


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_program_comes_back_as_it_was(protocol: int) -> None:
    program = step()
    again = pickle.loads(pickle.dumps(program, protocol))
    assert repr(again) == repr(program)
    assert again.source() == program.source()
    assert again.source("c") == program.source("c")
    assert flat(again(*point())) == flat(program(*point()))
    program.vmap((None, None, 0, 0))  # a program that has run pickles as before
    assert pickle.dumps(program, protocol) == pickle.dumps(again, protocol)


def test_structures_come_back() -> None:
    def f(pair: Any, d: Any) -> Any:
        return {"a": [pair.value * d[1], None], (1, "b"): (np.zeros((0, 2)), Pair(pair.slope, -0.0))}

    program = trace(f, Pair(0.0, np.zeros((2, 1))), {1: 0.0, "x": ()})
    again = pickle.loads(pickle.dumps(program))
    result = again(Pair(2.0, [[1.0], [2.0]]), {1: 3.0, "x": []})
    assert result["a"] == [6.0, None]
    empty, pair = result[(1, "b")]
    assert empty.shape == (0, 2)
    assert type(pair) is Pair
    assert pair.value.tolist() == [[1.0], [2.0]]
    np.testing.assert_equal(pair.slope, -0.0)


def test_constants_come_back_by_their_bits() -> None:
    program = trace(lambda x: (-0.0, np.nan, np.inf, 0.1, np.cos(x) * 5e-324), 0.0)
    code, again = program.code, pickle.loads(pickle.dumps(program)).code
    assert np.array(again.constants).tobytes() == np.array(code.constants).tobytes()


def test_pi_comes_back_as_pi() -> None:
    mpmath = pytest.importorskip("mpmath")
    program = pickle.loads(pickle.dumps(trace(grad(lambda x: rules.erf(x)), 0.0)))
    with mpmath.workdps(40):
        assert abs(program(mpmath.mpf(0)) - 2 / mpmath.sqrt(mpmath.pi)) < mpmath.mpf(10) ** -38


def test_copies() -> None:
    program = step()
    for again in (copy.copy(program), copy.deepcopy(program)):
        assert again is not program
        assert flat(again(*point())) == flat(program(*point()))


def test_a_map_comes_back_also_after_it_has_run() -> None:
    mapped = step().vmap((None, None, 0, 0), reduce="sum")
    before = pickle.dumps(mapped)
    W, b, _, _ = point()
    X, t = np.random.default_rng(1).normal(size=(5, 3)), [0, 1, 2, 3, 0]
    want = mapped(W, b, X, t)
    for data in (before, pickle.dumps(mapped)):
        assert not any("machine" in name or "numpy" in name for name in globals_in(data))
        assert flat(pickle.loads(data)(W, b, X, t)) == flat(want)


READER = """
import pickle, sys
import numpy as np
program, arguments = pickle.load(sys.stdin.buffer)
loss, (dW, db) = program(*arguments)
print(*(float(x).hex() for x in [loss, *dW.ravel(), *db]))
"""


def test_another_process_gives_the_same_results() -> None:
    program = step()
    data = pickle.dumps((program, point()))
    run = subprocess.run([sys.executable, "-c", READER], input=data, capture_output=True, check=True)
    numbers = [float.fromhex(x) for x in run.stdout.decode().split()]
    np.testing.assert_allclose(numbers, flat(program(*point())), rtol=1e-12, atol=1e-15)


# --- data, never code ---


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_but_the_restoring_function_is_referenced(protocol: int) -> None:
    def loss(z: Any) -> Any:
        raise_if_called.append(z)
        return -np.log(softmax(z)[0])

    raise_if_called: list[Any] = []
    data = pickle.dumps(trace(value_and_grad(loss), np.zeros(3)), protocol)
    made_of_text = {"_codecs encode"} if protocol < 3 else set()  # Python 2 had no bytes
    assert globals_in(data) == {"autograd_mini.program restored"} | made_of_text
    assert len(raise_if_called) == 1


def test_a_loader_that_knows_one_name_suffices() -> None:
    class Strict(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            assert (module, name) == ("autograd_mini.program", "restored")
            return restored

    program = step()
    again = Strict(io.BytesIO(pickle.dumps(program))).load()
    assert flat(again(*point())) == flat(program(*point()))


def test_the_size_is_that_of_the_instructions() -> None:
    def f(x: Any) -> Any:
        for i in range(5000):
            x = np.sin(x) * (i % 5)
        return x

    program = trace(f, 0.0)
    assert len(pickle.dumps(program)) < 12 * len(program) + 1000


# --- rows of the user ---


@pytest.fixture
def swish(adding: Callable[..., Any]) -> Any:
    return adding("pickled_swish", "x * sigmoid(x)", "sigmoid(x) * (1 + x - z)")


def test_rows_go_by_name(swish: Callable[..., Any]) -> None:
    program = trace(lambda x: swish(x), 0.0)
    data = pickle.dumps(program)
    assert pickle.loads(data)(2.0) == program(2.0)
    del rules.table["pickled_swish"]
    with pytest.raises(ValueError, match=r"'pickled_swish', which is not known here; .*primitive\("):
        pickle.loads(data)


# --- damaged and foreign data ---


def state() -> dict[str, Any]:
    """The plain data of a program in the format without a checksum, which shows every other check."""
    data = summed()
    del data["checksum"]
    return data | {"format": "autograd_mini program 1"}


def summed() -> dict[str, Any]:
    program = step()
    _, (data,) = program.__reduce__()
    return copy.deepcopy(data)


def ints(*numbers: int) -> bytes:
    return np.array(numbers, "<i4").tobytes()


@pytest.mark.parametrize(
    ("part", "new"),
    [
        ("inputs", -1),
        ("inputs", 0),
        ("inputs", 19),
        ("inputs", 21),
        ("inputs", 2**40),
        ("inputs", 10**30),
        ("inputs", 20.0),
        ("inputs", "20"),
        ("inputs", None),
        ("constants", ()),
        ("constants", ("e",)),
        ("constants", None),
        ("rows", []),
        ("rows", ["add"]),
        ("rows", None),
        ("rows", [["add"]]),
        ("codes", b""),
        ("codes", b"abc"),
        ("codes", "text"),
        ("codes", None),
        ("operands", b""),
        ("operands", b"abc"),
        ("operands", None),
        ("outputs", b""),
        ("outputs", ints(0)),
        ("outputs", ints(*[-1] * 17)),
        ("outputs", ints(*[10**6] * 17)),
        ("outputs", ints(*[2**31 - 1] * 17)),
    ],
)
def test_damaged_instructions_are_refused(part: str, new: Any) -> None:
    data = state()
    data["code"][part] = new
    with pytest.raises(ValueError, match=r"."):
        restored(data)


@pytest.mark.parametrize("part", ["codes", "operands", "outputs"])
@pytest.mark.parametrize("number", [-(2**31), -2, 255, 10**6, 2**31 - 1])
def test_slots_and_rows_out_of_range_are_refused(part: str, number: int) -> None:
    data = state()
    for place in range(0, len(data["code"][part]), 4):
        damaged = copy.deepcopy(data)
        whole = damaged["code"][part]
        damaged["code"][part] = whole[:place] + ints(number) + whole[place + 4 :]
        with pytest.raises(ValueError, match="damaged"):
            restored(damaged)
        damaged["code"][part] = whole[:place] + whole[place + 4 :]
        with pytest.raises(ValueError, match=r"."):
            restored(damaged)


def test_operands_come_before_their_use() -> None:
    data = state()
    operands = np.frombuffer(data["code"]["operands"], "<i4").copy()
    first = data["code"]["inputs"] + len(data["code"]["constants"])
    operands[0] = first  # the first instruction's own result
    data["code"]["operands"] = operands.tobytes()
    with pytest.raises(ValueError, match="an operand does not exist yet"):
        restored(data)


def nested(tree: Any, depth: int) -> Any:
    for _ in range(depth):
        tree = ["list", [tree]]
    return tree


@pytest.mark.parametrize(
    ("part", "new"),
    [
        ("format", "autograd_mini program 0"),
        ("arguments", {}),
        ("arguments", []),
        ("arguments", {"W": ["leaf", [3]]}),
        ("arguments", {"W": ["leaf", [20.0]]}),
        ("arguments", {"W": ["leaf", [-20]]}),
        ("arguments", {"W": ["leaf"]}),
        ("arguments", {"W": ["tree", []]}),
        ("arguments", {"W": None}),
        ("results", ["leaf", []]),
        ("results", ["leaf", [2**40, 2**40]]),
        ("results", nested(["leaf", []], 250)),
        ("results", nested(["leaf", []], 5000)),
        ("arguments", {"W": nested(["leaf", [20]], 5000)}),
        ("labels", {float("inf"): "b"}),
        ("reverse", float("inf")),
        ("results", ["tuple", 3]),
        ("results", None),
        ("labels", None),
        ("labels", {"a": "b"}),
        ("reverse", "many"),
        ("code", None),
        ("code", {}),
    ],
)
def test_damaged_structures_are_refused(part: str, new: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        restored(state() | {part: new})


@pytest.mark.parametrize("foreign", [None, [], {}, {"format": None}, "text", 3, {"code": b""}])
def test_foreign_data_is_refused(foreign: Any) -> None:
    with pytest.raises(ValueError, match=r"^this is no pickled program of the format "):
        restored(foreign)


OLD = (
    "c-mD@yH3ME5RBtTVuTP4qIF3X#1~Mcpm0Zz&=Id=OZJ_04+sSkLPVn2j-`M<;dl6vuy;u$SZQwe_GWH(o|BK)XcPiZgtKa?MRnV^vYiduUwXo+"
    "24j_mir(po&M>Q$?u8{h{U<1Pg5rWOk)j8}s3y#XUb-HnH9;J$=!R3$fvC9xj2?ZXIpo^mgh#oKsh*QsH+103Jz<{#Fj=Syw(GQVa4adum@kwx"
    "R`^+0m*1a0zSg{rRu9`RW7A5)xOW{-PW=~#=EvTB^apHN4WNar__gqz4TopNjD#`XAr9<`ayG0mpQhZ%eA8jpi96_m>vGf_lu>h3W|;rHz0~J?"
    "tSH#M2W^1L*sbZBX20t5idF"
)


def test_a_program_from_before_there_were_checksums_is_read() -> None:
    program = pickle.loads(zlib.decompress(base64.b85decode(OLD)))
    loss, slope = program(2.0, 3.0)
    assert loss == pytest.approx(0.2 * np.sin(3.0))
    assert slope == pytest.approx(0.1 * np.sin(3.0))


def test_no_damaged_pickle_gives_another_number() -> None:
    """Damage in what the pickle's operations are given; in the operations it is Python's own affair."""
    rng = np.random.default_rng(1)
    program = trace(value_and_grad(lambda x, y: x * np.sin(0.3 * y) + 0.7, (0, 1)), 0.0, 0.0)
    data, want = pickle.dumps(program), program(2.0, 3.0)
    starts = [(place or 0, opcode.name) for opcode, _, place in pickletools.genops(data)]
    ends = [place for place, _ in starts[1:]] + [len(data)]
    given = [
        i
        for (start, name), end in zip(starts, ends, strict=True)
        if name not in ("PROTO", "FRAME")
        for i in range(start + 1, end)
    ]
    refused = 0
    for _ in range(1000):
        damaged = bytearray(data)
        for _ in range(rng.integers(1, 3)):
            damaged[given[rng.integers(len(given))]] = rng.integers(256)
        try:
            numbers = pickle.loads(bytes(damaged))(2.0, 3.0)
        except Exception:  # pickle itself raises whatever the bytes make it do
            refused += 1
            continue
        assert numbers == want
    assert refused > 900


ODD: list[Any] = [
    None, True, 0, -1, 1, 2**31, 2**70, 1.5, float("inf"), float("nan"), "", "pi", "add", b"", b"\0" * 8,
    [], (), {}, [[]], {"a": 1}, ["leaf", []], ["list", []], object(), int, np.zeros(3),
]  # fmt: skip


def mutated(data: Any, rng: np.random.Generator) -> Any:
    """The data with one thing in it, at random, exchanged, removed, doubled, wrapped or turned round."""
    inside = isinstance(data, (list, tuple, dict, bytes)) and len(data) > 0
    if inside and rng.random() < 0.8:
        if isinstance(data, bytes):
            i = int(rng.integers(len(data)))
            return data[:i] + bytes([rng.integers(256)]) + data[i + 1 :]
        keys = list(data) if isinstance(data, dict) else range(len(data))
        key = keys[int(rng.integers(len(keys)))]
        items = dict(data) if isinstance(data, dict) else list(data)
        change = rng.integers(6)
        if change == 0:
            del items[key]
        elif change == 1 and isinstance(items, dict):
            items[ODD[int(rng.integers(15))]] = items.pop(key)
        elif change == 1:
            items.append(items[key])
        else:
            items[key] = mutated(items[key], rng)
        return tuple(items) if isinstance(data, tuple) else items
    match rng.integers(6):
        case 0:
            return [data]
        case 1 if isinstance(data, (int, float)):
            return data + 1
        case 2 if isinstance(data, (list, tuple, bytes)):
            return data[::-1]
        case 3:
            return nested(data, int(rng.integers(1, 2000)))
        case 4 if isinstance(data, (list, tuple, bytes)):
            return data * 2
    return ODD[int(rng.integers(len(ODD)))]


def test_structured_mutation_is_refused_or_changes_no_number() -> None:
    rng = np.random.default_rng(3)
    whole, arguments = summed(), point()
    want = flat(restored(whole)(*arguments))
    refused = 0
    for _ in range(1500):
        data = mutated(whole, rng)
        try:
            program = restored(data)
        except ValueError:
            refused += 1
            continue
        assert flat(program(*arguments)) == want
    assert refused > 1300


def test_structured_mutation_without_a_checksum_raises_nothing_else() -> None:
    rng = np.random.default_rng(4)
    whole = state()
    for _ in range(3000):
        try:
            program = restored(mutated(whole, rng))
        except ValueError:
            continue
        assert isinstance(program, Program)


def test_keys_that_have_no_text_of_their_own_come_back() -> None:
    program = trace(lambda x: {frozenset({"a", "b"}): x, Parity.ODD: 2 * x, 3: x}, 0.0)
    again = pickle.loads(pickle.dumps(program))
    assert again(1.0) == {frozenset({"b", "a"}): 1.0, Parity.ODD: 2.0, 3: 1.0}


class Parity(Enum):
    ODD = object()

    def __reduce_ex__(self, protocol: int) -> Any:
        return getattr, (Parity, self.name)


@pytest.mark.parametrize("depth", [101, 250, 5000])
def test_a_structure_that_is_nested_too_deep_is_refused(depth: int) -> None:
    def deep(x: Any) -> Any:
        for _ in range(depth):
            x = [x]
        return x

    with pytest.raises(ValueError, match="nested more than 100 deep"):
        trace(deep, 0.0)
    with pytest.raises(ValueError, match="nested more than 100 deep"):
        trace(lambda x: 0.0, deep(0.0))


def test_the_deepest_structure_is_called_printed_and_pickled() -> None:
    def deep(x: Any) -> Any:
        for _ in range(100):
            x = [x]
        return x

    program = pickle.loads(pickle.dumps(trace(deep, 0.0)))
    assert program(1.5) == deep(1.5)
    exec(program.source(), names := {})
    assert names["deep"](1.5) == deep(1.5)


def test_no_truncated_pickle_is_read() -> None:
    data = pickle.dumps(step())
    for end in range(0, len(data), 7):
        with pytest.raises((pickle.UnpicklingError, EOFError, ValueError)):
            pickle.loads(data[:end])


def test_no_flipped_bit_crashes_a_program_that_is_read() -> None:
    """A flip in one of the numbers may leave another program: it runs or is refused, and no more."""
    rng = np.random.default_rng(0)
    whole = state()
    for _ in range(600):
        data = copy.deepcopy(whole)
        part = ("codes", "operands", "outputs")[rng.integers(3)]
        flipped = bytearray(data["code"][part])
        flipped[rng.integers(len(flipped))] ^= 1 << int(rng.integers(8))
        data["code"][part] = bytes(flipped)
        try:
            program = restored(data)
        except ValueError:
            continue
        assert len(flat(program(*point()))) == 17


# --- several processes ---


@pytest.mark.slow  # the demo of distributed gradients adds up in the same way
@pytest.mark.filterwarnings("default")  # of other people's clusters
def test_worker_processes_add_up_to_one_process(evaluator: None) -> None:
    distributed = pytest.importorskip("distributed")
    if not machine.available():
        pytest.skip("the workers find numba for themselves")
    mapped = step().vmap((None, None, 0, 0), reduce="sum")
    rng = np.random.default_rng(2)
    W, b, _, _ = point()
    X, t = rng.normal(size=(900, 3)), rng.integers(0, 4, 900)
    want = flat(mapped(W, b, X, t))
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs=logging.ERROR,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        chunks = np.array_split(X, 4), np.array_split(t, 4)
        futures = client.map(mapped, [W] * 4, [b] * 4, *chunks)
        parts = [flat(part) for part in client.gather(futures)]
        assert len(client.scheduler_info()["workers"]) == 2
    np.testing.assert_allclose(np.sum(parts, axis=0), want, rtol=1e-12, atol=1e-12)
