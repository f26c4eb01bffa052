"""Pickled programs: data, never code; read in other processes; refused in one sentence when damaged."""

from __future__ import annotations

import copy
import io
import logging
import pickle
import pickletools
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from autograd_mini import (
    Program,
    cross_entropy_from_logits,
    grad,
    machine,
    primitive,
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
def swish() -> Iterator[Callable[..., Any]]:
    yield primitive("pickled_swish", "x * sigmoid(x)", "sigmoid(x) * (1 + x - z)")
    rules.table.pop("pickled_swish", None)


def test_rows_go_by_name(swish: Callable[..., Any]) -> None:
    program = trace(lambda x: swish(x), 0.0)
    data = pickle.dumps(program)
    assert pickle.loads(data)(2.0) == program(2.0)
    del rules.table["pickled_swish"]
    with pytest.raises(ValueError, match=r"'pickled_swish', which is not known here; .*primitive\("):
        pickle.loads(data)


# --- damaged and foreign data ---


def state() -> dict[str, Any]:
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
