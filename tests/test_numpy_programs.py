"""A few of the random NumPy programs that `benchmarks/numpy_programs.py` draws by the hundred."""

import pytest
from benchmarks import numpy_programs


@pytest.mark.parametrize("count", [10, pytest.param(50, marks=pytest.mark.slow)])
def test_random_programs_give_one_answer_in_every_way(count, capsys):
    assert numpy_programs.main(count, 99) == 0, capsys.readouterr().out
