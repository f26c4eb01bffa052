"""A few of the random NumPy programs that `benchmarks/numpy_programs.py` draws by the hundred."""

from benchmarks import numpy_programs


def test_random_programs_give_one_answer_in_every_way(capsys):
    assert numpy_programs.main(25, 99) == 0, capsys.readouterr().out
