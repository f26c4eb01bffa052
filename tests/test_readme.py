"""What the README says is so: its table is the program's, its Python runs."""

import re
from pathlib import Path

import numpy as np
import pytest

from autograd_mini import derivative_table, jacobian, trace

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_table_is_the_programs():
    assert derivative_table() in README


def test_the_python_blocks_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL):
        exec(block, namespace)
    assert namespace["report"].verdict == "agrees"
    np.testing.assert_allclose(namespace["z"].grad, [0.622, 0.084, -0.706], atol=5e-4)
    assert (tmp_path / "loss.svg").stat().st_size > 1000
    np.testing.assert_allclose(
        namespace["H"], np.diag(namespace["S"]) - np.outer(namespace["S"], namespace["S"])
    )
    assert trace(jacobian(namespace["my_softmax"]), np.zeros(2)).source() in README
    assert trace(jacobian(namespace["my_softmax"]), np.zeros(100)).source("numpy") in README
    assert namespace["error"] < 0.3  # chance is ln 3 = 1.1


@pytest.mark.parametrize("command", ["demos/softmax_cross_entropy.py", "tests/benchmarks/peers.py"])
def test_the_scripts_named_exist(command):
    assert command in README
    assert (Path(__file__).parents[1] / command).is_file()
