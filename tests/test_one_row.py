"""The proof of the design: one call adds a primitive, and everything else follows from the row."""

import numpy as np
import pytest

from autograd_mini import Value, arrays, check_gradient, derivative_table, draw, primitive, rules, values
from autograd_mini.rules import DomainError


@pytest.fixture
def rad2deg():
    before = arrays.UFUNCS[np.rad2deg], Value.degrees, Value.rad2deg
    yield primitive("degrees", "x * 180 / pi", "180 / pi", symbol="°", domain="x >= 0", numpy="rad2deg")
    del rules.table["degrees"]
    arrays.UFUNCS[np.rad2deg], Value.degrees, Value.rad2deg = before


def test_one_row_gives_everything(rad2deg):
    x = Value(np.pi, label="x")
    assert rad2deg(np.pi) == pytest.approx(180)
    np.testing.assert_allclose(rad2deg(np.array([np.pi, 0.0])), [180, 0])
    y = x.degrees()
    assert y.data == pytest.approx(180)
    y.backward()
    assert x.grad == pytest.approx(180 / np.pi)
    z = values([1.0, 2.0])
    np.sum(np.rad2deg(z)).backward()
    np.testing.assert_allclose(z.grad, 180 / np.pi)
    assert y._op == "°"
    assert "°" in draw(y).source
    assert check_gradient(rad2deg, lambda x: 180 / np.pi, at=1.0)
    assert not check_gradient(rad2deg, lambda x: np.pi / 180, at=1.0)
    assert "`x * 180 / pi`" in derivative_table()


def test_the_domain_is_in_the_message():
    row = primitive("half_log", "log(x) / 2", "1 / (2 * x)", domain="x > 0")
    try:
        with pytest.raises(DomainError, match=r"^half_log: needs x > 0, got p = -1$"):
            row(Value(-1.0, label="p"))
    finally:
        del rules.table["half_log"]
        del Value.half_log
