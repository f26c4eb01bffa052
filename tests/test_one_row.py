"""The proof of the design: one call adds a primitive, and everything else follows from the row."""

import numpy as np
import pytest

from autograd_mini import Value, check_gradient, derivative_table, draw, rules, values
from autograd_mini.rules import DomainError


def test_one_row_gives_everything(adding):
    rad2deg = adding("degrees", "x * 180 / pi", "180 / pi", symbol="°", domain="x >= 0", numpy="rad2deg")
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


def test_the_domain_is_in_the_message(adding):
    row = adding("half_log", "log(x) / 2", "1 / (2 * x)", domain="x > 0")
    with pytest.raises(DomainError, match=r"^half_log: needs x > 0, got p = -1$"):
        row(Value(-1.0, label="p"))


def test_a_row_goes_away_again():
    assert "degrees" not in rules.table
    assert "half_log" not in rules.table
    assert not hasattr(Value, "half_log")
    assert np.rad2deg(values([np.pi]))[0].data == pytest.approx(180)
