"""What tests share."""

import gc
from typing import NamedTuple

import pytest

from autograd_mini import Value, arrays, primitive, rules
from autograd_mini.command_line import main

gc.disable()  # thousands of tests are collected, and none of them is garbage before the end


def pytest_collection_finish():
    """From here on the collector is for what tests make, and does not walk the tests themselves."""
    gc.enable()
    gc.freeze()


@pytest.fixture
def adding():
    """`primitive`, whose rows go away when the test ends, with all that they reached."""
    table, ufuncs, methods = dict(rules.table), dict(arrays.UFUNCS), dict(vars(Value))
    yield primitive
    for now, before in ((rules.table, table), (arrays.UFUNCS, ufuncs)):
        now.clear()
        now.update(before)
    for name, method in list(vars(Value).items()):
        if name not in methods:
            delattr(Value, name)
        elif method is not methods[name]:
            setattr(Value, name, methods[name])


class Done(NamedTuple):
    """What a command said, and its exit status."""

    status: int
    out: str
    errors: str


@pytest.fixture
def grade(capsys, monkeypatch):
    """`autograd-mini grade` in a folder, without a process of its own for the command."""

    def run(folder, *options):
        monkeypatch.chdir(folder)
        capsys.readouterr()
        one = ["--jobs", "1"]  # a second judge would take as long again to begin as most of these to grade
        return Done(main(["grade", *one, *map(str, options)]), *capsys.readouterr())

    return run
