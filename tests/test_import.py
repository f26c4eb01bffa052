"""The package itself: its import is cheap, and its names are there all the same."""

import subprocess
import sys

import pytest

import autograd_mini as am

pytestmark = pytest.mark.version


def test_upper_floors_are_imported_when_they_are_used():
    code = """
import sys, autograd_mini
upper = {f"autograd_mini.{floor}" for floor in autograd_mini.UPPER_FLOORS}
assert not upper & set(sys.modules)
assert autograd_mini.trace(lambda x: x * x, 0.0)(3.0) == 9.0
assert upper & set(sys.modules) == {"autograd_mini.program"}
autograd_mini.draw
assert upper & set(sys.modules) == {"autograd_mini.program", "autograd_mini.drawing"}
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    code = """
import sys, autograd_mini
autograd_mini.draw(autograd_mini.Value(2.0) * 3.0).source
others = "check program expressions machine source".split()
assert not {f"autograd_mini.{floor}" for floor in others} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    code = """
import sys, autograd_mini
assert autograd_mini.check_gradient(lambda x: x * x, lambda x: 2 * x, at=1.0)
assert autograd_mini.check_gradient("x * x", "2 * x", at={"x": 1.0})
others = "drawing program machine source command_line".split()
assert not {f"autograd_mini.{floor}" for floor in others} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there():
    for name in am.__all__:
        assert getattr(am, name).__doc__
    assert set(am.__all__) <= set(dir(am))
    with pytest.raises(AttributeError, match="module 'autograd_mini' has no attribute 'softmx'"):
        am.softmx  # noqa: B018 - it is asked for to see the error
