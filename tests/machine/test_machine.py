"""The machine against the table's rows in NumPy arithmetic."""

import itertools
import threading

import numpy as np
import pytest

from autograd_mini import machine, rules, threads
from autograd_mini.instructions import Instructions
from autograd_mini.machine import Machine, many_samples
from autograd_mini.machine.codes import INPUT, ROWS, VARYING
from autograd_mini.machine.expansion import expanded
from autograd_mini.machine.one_sample import Lines

pytest.importorskip("numba")


class Code:
    """A computation written line by line."""

    def __init__(self, inputs, constants=()):
        self.inputs, self.constants, self.rows, self.lines = inputs, constants, [], []

    def __call__(self, name, *operands):
        row = rules.table[name]
        if row not in self.rows:
            self.rows.append(row)
        self.lines.append((self.rows.index(row), operands))
        return self.inputs + len(self.constants) + len(self.lines) - 1

    def instructions(self, *outputs):
        width = max((len(operands) for _, operands in self.lines), default=1)
        operands = [[*line, *[-1] * (width - len(line))] for _, line in self.lines]
        return Instructions(
            self.inputs,
            tuple(self.constants),
            tuple(self.rows),
            np.array([code for code, _ in self.lines], np.int32),
            np.array(operands, np.int32).reshape(-1, width),
            np.array(outputs, np.int32),
        )


def expected(code, samples):
    """The outputs of every sample, each row in NumPy arithmetic."""
    columns = list(np.transpose(samples))
    count = len(samples)
    columns += [np.full(count, np.pi if constant == "pi" else constant) for constant in code.constants]
    with np.errstate(all="ignore"):
        for k, operands in zip(code.codes, code.operands, strict=True):
            row = code.rows[k]
            given = [columns[slot] for slot in operands[: len(row.operands)]]
            columns.append(np.broadcast_to(rules.NUMPY.function(row)(*given), count))
    return np.stack([columns[slot] for slot in code.outputs], axis=1)


def lines(code):
    """What runs for one sample."""
    own, tier = expanded(code)
    return Lines(own, tier, INPUT, own.outputs)


def one_by_one(built, samples, outputs):
    results = np.empty((len(samples), outputs))
    for sample, result in zip(samples, results, strict=True):
        built(np.ascontiguousarray(sample), result)
    return results


def agree(code, samples):
    samples = np.ascontiguousarray(samples, float)
    wanted, built = expected(code, samples), Machine(code)
    np.testing.assert_allclose(one_by_one(built, samples, len(code.outputs)), wanted, rtol=1e-12)
    every = built.batch(np.ones(code.inputs, bool))
    np.testing.assert_allclose(every(np.empty(code.inputs), samples, None), wanted, rtol=1e-12)


SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 5e-324, -1e-310, 1.7e308, -1.7e308]
GRID = [*SPECIAL, 0.5, -0.5, 2.0, -2.5, 3.0, 1e-9, -1e-9, 20.5, -30.0, 700.0, -700.0, 709.9, -740.0, 1e10]
GRID_3 = [*SPECIAL[:7], 2.5]


@pytest.mark.parametrize("name", ROWS)
def test_every_row_is_the_row_in_numpy_arithmetic(name):
    count = len(rules.table[name].operands)
    code = Code(count)
    code = code.instructions(code(name, *range(count)))
    samples = np.array(list(itertools.product(GRID if count < 3 else GRID_3, repeat=count)))
    agree(code, samples)
    for varying in itertools.product([False, True], repeat=count):  # shared numbers in every place
        mask = np.array(varying)
        if not mask.all() and mask.any() and count < 3:
            built = Machine(code).batch(mask)
            for shared in (np.nan, np.inf, 0.0, -0.0, -2.5, 1e-310):
                samples[:, ~mask] = shared
                inputs = samples[0].copy()
                got = built(inputs, samples[:, mask], None)
                np.testing.assert_allclose(got, expected(code, samples), rtol=1e-12)


@pytest.mark.parametrize("name", ROWS)
def test_the_sign_of_zero(name):
    count = len(rules.table[name].operands)
    code = Code(count, (1.0,))
    code = code.instructions(code("div", count, code(name, *range(count))))
    agree(code, np.array(list(itertools.product([0.0, -0.0, np.inf, -np.inf, 1.0, -1.0], repeat=count))))


@pytest.mark.parametrize(
    ("name", "reach"), [("exp", 750.0), ("tanh", 22.0), ("sigmoid", 750.0), ("log", 3.0), ("log1p", 3.0)]
)
def test_functions_written_for_blocks_are_those_of_mpmath(name, reach):
    mpmath = pytest.importorskip("mpmath")
    rng = np.random.default_rng(1)
    x = np.concatenate(
        [rng.uniform(-reach, reach, 3000), rng.normal(size=2000), 10 ** rng.uniform(-300, 0, 500)]
    )
    if name.startswith("log"):
        x = np.concatenate([abs(x), 10 ** rng.uniform(-323, 308, 1000), 1 + 1e-4 * rng.normal(size=500)])
        x = np.concatenate([x, -x[x < 1]]) if name == "log1p" else x
    exact = {"sigmoid": lambda x: 1 / (1 + mpmath.exp(-x))}.get(name) or getattr(mpmath, name)
    code = Code(1)
    got = Machine(code.instructions(code(name, 0))).batch([True])(np.empty(1), x[:, None], None)[:, 0]
    with mpmath.workprec(120):
        wanted = [exact(mpmath.mpf(float(t))) for t in x]
        for z, w in zip(got, wanted, strict=True):
            if mpmath.mpf(2) ** -1021 < abs(w) < mpmath.mpf(2) ** 1024:
                assert abs(z - w) <= 1e-15 * abs(w)
            else:
                assert abs(z - min(w, mpmath.inf)) <= 1e-323 or (z == np.inf and w > 1e308)


@pytest.fixture
def own_rows(adding):
    """Rows of a user: four operands, conditionals, one that calls another, one that is no operation."""
    adding("bent", "log(x) if x > 0 else x / 0 if x == 0 else sqrt(x)", "1 / x", verify=False)
    adding("blend", "a * b + (c - d) ** 2 * pi", "b", "a", "1", "-1", operands="a b c d", verify=False)
    adding("twice_bent", "blend(bent(x), y, -x, 2) if y <= x else 3", "0", "0", verify=False)
    adding("same", "+x", "1")
    adding("nothing", "7", "0", operands="x")
    return "bent blend twice_bent same nothing".split()


def test_rows_of_a_user_are_inlined(own_rows):
    code = Code(4, (2.0, "pi"))
    bent = code("bent", 0)
    blend = code("blend", 0, 1, 5, 3)
    twice = code("twice_bent", bent, 1)
    nothing = code("nothing", code("same", blend))
    code = code.instructions(bent, blend, twice, nothing, 2, 4, code("bent", 4), code("add", nothing, twice))
    rng = np.random.default_rng(2)
    agree(code, np.concatenate([rng.normal(size=(150, 4)), rng.choice(SPECIAL, size=(150, 4))]))


def test_sums_of_products():
    rng = np.random.default_rng(3)
    for _ in range(30):
        code = Code(5, (1.5,))
        slots = list(range(6))
        for _ in range(rng.integers(1, 40)):
            recent = slots[-4:] if rng.random() < 0.7 else slots
            slots.append(code(rng.choice(["mul", "add", "sub"]), *map(int, rng.choice(recent, 2))))
        code = code.instructions(*map(int, rng.choice(slots, 5)), slots[-1])
        samples = np.concatenate([rng.normal(size=(70, 5)), rng.choice(SPECIAL, size=(70, 5))])
        agree(code, samples)
        mask = rng.random(5) < 0.5
        samples[:, ~mask] = samples[0, ~mask]
        wanted = expected(code, samples)
        built = Machine(code).batch(mask)
        np.testing.assert_allclose(built(samples[0].copy(), samples[:, mask], None), wanted, rtol=1e-12)
        with np.errstate(all="ignore"):
            total, size = wanted[:70].sum(axis=0), abs(wanted[:70]).sum(axis=0)
        got = built(samples[0].copy(), np.ascontiguousarray(samples[:70, mask]), "sum")
        assert np.all((abs(got - total) <= 1e-12 * size) | (np.isnan(got) & np.isnan(total)) | (got == total))


def test_a_sum_longer_than_one_instruction():
    code = Code(3)
    total = code("mul", 0, 1)
    for k in range(1000):
        total = code(["add", "sub"][k % 2], total, code("mul", k % 3, (k + 1) % 3) if k % 5 else k % 3)
    agree(code.instructions(total), np.random.default_rng(4).normal(size=(5, 3)))


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1000, 20_000])
def test_many_samples(count, monkeypatch):
    monkeypatch.setattr(many_samples, "WORTH_A_THREAD", 1)
    code = Code(4, (3.0, 4.0))
    product = code("mul", 0, 2)
    shared = code("exp", code("mul", 2, 3))
    bent = code("tanh", code("add", product, shared))
    outputs = (product, shared, code("mul", bent, 1), bent, 2, 0, code("add", 4, 5), bent, code("mul", 0, 1))
    code = code.instructions(*outputs)
    samples = np.random.default_rng(5).normal(size=(count, 2))
    inputs = np.array([np.nan, np.nan, 0.3, -0.7])
    batch = Machine(code).batch([True, True, False, False])
    wanted = expected(code, np.concatenate([samples, np.tile(inputs[2:], (count, 1))], axis=1))
    np.testing.assert_allclose(batch(inputs, samples, None), wanted, rtol=1e-12)
    total = batch(inputs, samples, "sum")
    np.testing.assert_allclose(total, wanted.sum(axis=0), rtol=1e-10, atol=1e-10)
    if count:
        np.testing.assert_allclose(
            batch(inputs, samples, "mean"), wanted.mean(axis=0), rtol=1e-10, atol=1e-12
        )
    else:
        assert np.isnan(batch(inputs, samples, "mean")).all()


def test_sums_do_not_depend_on_the_number_of_cores(monkeypatch):
    code = Code(1)
    code = code.instructions(code("exp", 0), code("mul", 0, 0))
    samples = np.random.default_rng(6).normal(size=(50_000, 1))
    batch = Machine(code).batch([True])
    sums = []
    monkeypatch.setattr(many_samples, "WORTH_A_THREAD", 1)
    for cores in (1, 2, 3, 7):
        monkeypatch.setattr(threads, "cores", lambda cores=cores: cores)
        sums.append(batch(np.empty(1), samples, "sum"))
    assert np.array_equal(sums, [sums[0]] * 4)


def test_what_no_output_needs_is_not_run():
    streams = []
    for dead in (False, True):
        code = Code(2)
        product = code("mul", 0, 1)
        if dead:
            code("exp", code("tanh", code("add", product, product)))
        run = lines(code.instructions(code("sub", product, 0)))
        streams.append((run.stream.tolist(), run.size))
    assert streams[0] == streams[1]


def test_a_product_that_is_only_summed_is_not_stored():
    code = Code(2)
    own, _ = expanded(code.instructions(code("mul", 0, 1)))
    blocks = many_samples.Blocks(own, own.tiers(np.full(2, VARYING)), total=True)
    assert blocks(np.empty(2), np.array([[2.0, 3.0], [5.0, 7.0]]), mean=False) == 41
    assert blocks.size == 2  # the inputs


def test_constants_alone_are_computed_once():
    code = Code(1, (2.0, 0.0))
    outputs = code("log", 1), code("div", 1, 2), code("mul", 0, code("sqrt", code("log", 1)))
    code = code.instructions(*outputs, 0, 1)
    agree(code, np.array([[1.0], [np.nan]]))
    assert len(expanded(code)[0].codes) == 1


def test_a_buffer_reads_and_writes_the_callers_arrays():
    code = Code(2)
    code = code.instructions(code("mul", 0, 1))
    inputs, outputs = np.array([2.0, 3.0]), np.empty(1)
    evaluate = Machine(code).buffer(inputs, outputs)
    evaluate()
    assert outputs[0] == 6
    inputs[0] = 5
    evaluate()
    assert outputs[0] == 15


def test_two_threads_at_once():
    code = Code(2)
    slot = 0
    for _ in range(300):
        slot = code("tanh", code("add", code("mul", slot, 1), 0))
    code = code.instructions(slot)
    built = Machine(code)
    samples = np.random.default_rng(7).normal(size=(200, 2))
    wanted = one_by_one(built, samples, 1)
    batch = built.batch([True, True])
    got = [None] * 4

    def work(k):
        got[k] = one_by_one(built, samples, 1) if k % 2 else batch(np.empty(2), samples, None)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in got:
        assert np.array_equal(result, wanted)


def test_long_chains_need_little_memory():
    code = Code(2)
    steps = 200_000
    rows = (rules.table["mul"], rules.table["add"])
    index = np.arange(steps, dtype=np.int32)
    operands = np.empty((2 * steps, 2), np.int32)
    operands[0::2] = np.stack([2 * index + 1, np.zeros(steps, np.int32)], axis=1)
    operands[1::2] = np.stack([2 * index + 2, np.ones(steps, np.int32)], axis=1)
    operands[0] = 0, 0
    codes = np.tile(np.array([0, 1], np.int32), steps)
    code = Instructions(2, (), rows, codes, operands, np.array([2 * steps + 1], np.int32))
    run, outputs = lines(code), np.empty(1)
    run.evaluation(np.array([0.5, 1.0]), outputs)()
    assert outputs[0] == 2
    assert run.size < 20


def test_no_instructions():
    code = Code(2, ("pi",)).instructions(1, 2)
    agree(code, np.array([[1.0, np.nan]]))
    assert np.array_equal(
        Machine(code).batch([False, False])(np.ones(2), np.empty((3, 0)), "sum"), [3, 3 * np.pi]
    )


def test_what_is_refused():
    code = Code(2)
    built = Machine(code.instructions(code("add", 0, 1)))
    with pytest.raises(TypeError, match=r"^inputs: expected an array of float64, got float32$"):
        built(np.zeros(2, np.float32), np.zeros(1))
    with pytest.raises(
        ValueError, match=r"^inputs: expected a contiguous vector of 2 numbers, got shape \(3,\)$"
    ):
        built.buffer(np.zeros(3), np.zeros(1))
    with pytest.raises(ValueError, match=r"^outputs: expected a writable contiguous vector"):
        built(np.zeros(2), np.broadcast_to(0.0, 1))
    with pytest.raises(ValueError, match=r"^varying: expected one bool for each of 2 inputs"):
        built.batch([True])
    batch = built.batch([True, False])
    with pytest.raises(ValueError, match=r"^samples: expected 1 columns, got shape \(3, 2\)$"):
        batch(np.zeros(2), np.zeros((3, 2)))
    with pytest.raises(TypeError, match=r"^samples: expected an array of float64, got list"):
        batch(np.zeros(2), [[1.0]])
    with pytest.raises(ValueError, match=r"^reduce: expected"):
        batch(np.zeros(2), np.zeros((3, 1)), "max")


def test_without_numba(monkeypatch):
    monkeypatch.setattr(machine, "available", lambda: False)
    with pytest.raises(ImportError, match='python -m pip install "numba'):
        Machine(Code(1).instructions(0))
