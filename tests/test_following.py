"""Code that makes its own arrays runs on Values unchanged: the value is NumPy's, the gradient right."""

import inspect
import math
import pickle
import threading
import traceback
import warnings
from collections import defaultdict
from typing import Any

import handwritten
import handwritten_layers
import mpmath
import numpy as np
import pytest
import scipy.special

from autograd_mini import check_gradient, grad, hessian, hvp, jacobian, jvp, trace, value_and_grad, vjp
from autograd_mini.numpy import OpenArray
from autograd_mini.rebuilding import Rebuilt, follow

pytestmark = pytest.mark.version


def differences(f, x, h=1e-5):
    """Central differences of the first argument, Richardson's once."""
    x = np.asarray(x, dtype=float)
    found = np.zeros(x.shape)
    for index in np.ndindex(x.shape):

        def moved(step, index=index):
            y = x.copy()
            y[index] += step
            return float(f(y if y.shape else float(y)))

        coarse, fine = ((moved(k) - moved(-k)) / (2 * k) for k in (2 * h, h))
        found[index] = (4 * fine - coarse) / 3
    return found


@pytest.mark.parametrize("name", handwritten.CASES)
def test_value_and_gradient(name):
    f, (x, *_) = handwritten.CASES[name]
    before = x.copy() if isinstance(x, np.ndarray) else x
    expected = f(x.copy() if isinstance(x, np.ndarray) else x)
    value, gradient = value_and_grad(f)(x)
    assert np.array_equal(x, before)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    witness = differences(f, x)
    np.testing.assert_allclose(gradient, witness, rtol=1e-6, atol=1e-7)
    if name not in handwritten.UNTRACEABLE:
        value, gradient = trace(value_and_grad(f), x)(x)
        np.testing.assert_allclose(value, expected, rtol=1e-12)
        np.testing.assert_allclose(gradient, witness, rtol=1e-6, atol=1e-7)


# --- every way of calling f -------------------------------------------------------------------------


def squares(x):
    y = np.zeros(2)
    for i in range(2):
        y[i] = float(x[i]) ** 2
    return y


W = np.array([1.5, -2.0])


def test_every_transform_and_check_follows():
    def loss(x):
        return squares(x).sum()

    np.testing.assert_allclose(grad(loss)(W), 2 * W)
    np.testing.assert_allclose(jacobian(squares)(W), np.diag(2 * W))
    np.testing.assert_allclose(hessian(loss)(W), 2 * np.eye(2))
    np.testing.assert_allclose(hvp(loss, [W], [np.ones(2)]), [2.0, 2.0])
    np.testing.assert_allclose(jvp(squares, [W], [np.ones(2)])[1], 2 * W)
    np.testing.assert_allclose(vjp(squares, W)[1](np.ones(2))[0], 2 * W)
    np.testing.assert_allclose(grad(lambda x: grad(loss)(x)[0] ** 2)(W), [8 * W[0], 0.0])
    np.testing.assert_allclose(trace(hessian(loss), W)(W), 2 * np.eye(2))


def test_a_check_follows_f_and_what_it_calls():
    def loss(x):
        text = "%.2f" % squares(x).sum()  # noqa: UP031 - as people write
        return squares(x).sum() if text else 0.0

    right = check_gradient(loss, lambda x: 2 * x, at=W)
    assert right, str(right)
    assert "the engine" in right.witnesses
    assert check_gradient(loss, lambda x: 3 * x, at=W).verdict == "disagrees"

    def by_item(x):
        dx = np.zeros_like(x)
        for i in range(2):
            dx[i] = 2 * x[i]
        return dx

    assert check_gradient(loss, by_item, at=W)


# --- what is followed -------------------------------------------------------------------------------


def test_without_values_a_function_runs_as_it_is():
    made = []

    def f(x, scale):
        made.append(type(np.zeros(2)))
        return x * scale

    follow(f, 2.0, 3.0)
    grad(f)(2.0, 3.0)
    assert made == [np.ndarray, OpenArray]


def test_module_and_function_are_untouched():
    module, code = dict(vars(handwritten_layers)), squares.__code__
    grad(lambda x: handwritten_layers.rational(x))(0.5)
    grad(lambda x: squares(x).sum())(W)
    assert vars(handwritten_layers) == module
    assert squares.__code__ is code
    assert handwritten_layers.np is np
    assert squares.__globals__["np"] is np


def test_globals_that_are_written_reach_the_module():
    before = handwritten.calls
    grad(handwritten.global_counter)(handwritten.V)
    assert handwritten.calls == before + 1


def test_other_threads_see_numpy_itself():
    inside, done, seen = threading.Event(), threading.Event(), []

    def slow(x):
        y = np.zeros(1)
        inside.set()
        done.wait(10)
        y[0] = x
        return y[0]

    thread = threading.Thread(target=lambda: seen.append(grad(slow)(2.0)))
    thread.start()
    inside.wait(10)
    seen.append(type(squares(W)))
    done.set()
    thread.join()
    assert seen == [np.ndarray, 1.0]


def test_a_function_that_is_handed_on_stays_itself():
    seen = []

    def f(x):
        seen.append(squares)
        seen.append(inspect.signature(squares))
        seen.append(pickle.loads(pickle.dumps(squares)))
        seen.append((isinstance(x, float), isinstance(x, str), isinstance(x, (int, np.floating))))
        seen.append((float is float, np.zeros(1, dtype=float).dtype))
        counts = defaultdict(float)
        counts["a"] += x
        return counts["a"]

    assert grad(f)(2.0) == 1.0
    assert seen[0] is seen[2] is squares
    assert seen[1] == inspect.signature(squares)
    assert seen[3] == (True, False, True)
    assert seen[4] == (True, np.dtype(object))


def fails(x):
    y = np.zeros(2)

    return y[7] * x


def test_errors_show_the_lines_of_the_user():
    with pytest.raises(IndexError) as error:
        grad(fails)(1.0)
    frames = traceback.extract_tb(error.value.__traceback__)
    [frame] = [frame for frame in frames if frame.name == "fails"]
    assert frame.lineno == fails.__code__.co_firstlineno + 3
    assert frame.filename == __file__
    assert "y[7] * x" in frame.line


def truncates(x):
    return x[int(x[0])]


def selects(x):
    return np.sum(x[x > 0])


def changes(x):
    y = x.copy()
    y[y < 0] *= 0.5
    return y.sum()


def branches(x):
    y = np.zeros(2)
    y[0] = x[0] if x[0] > 0 else 0
    return y.sum()


@pytest.mark.parametrize(
    ("call", "f", "line", "advice"),
    [
        (grad, truncates, 1, r"write int\(v\.data\)"),
        (lambda f: lambda x: trace(f, x), truncates, 1, "cannot be an index"),
        (lambda f: lambda x: trace(f, x), selects, 1, r"np\.sum\(np\.where\(mask, x, 0\)\)"),
        (lambda f: lambda x: trace(f, x), changes, 2, r"y = np\.where\(mask, new, y\)"),
        (lambda f: lambda x: trace(f, x), branches, 2, r"np\.where"),
    ],
)
def test_a_refusal_names_the_line_and_what_to_write(call, f, line, advice):
    with pytest.raises(TypeError, match=advice) as error:
        call(f)(W)
    assert f"{__file__}:{f.__code__.co_firstlineno + line}: " in str(error.value)


def test_selections_are_followed_where_there_are_numbers():
    np.testing.assert_allclose(grad(selects)(W), [1.0, 0.0])
    np.testing.assert_allclose(grad(changes)(W), [1.0, 0.5])


def test_a_mask_assigned_while_tracing_is_decided_at_every_call():
    def f(x):
        y = np.ones_like(x)
        y[x > 0] = 2 * np.sum(x)
        rows = np.zeros((2, 2))
        rows[x > 0] = x
        rows[np.array([True, False])] *= 3
        return y.sum() + (rows**2).sum() + np.sum((x > 0).astype(float) * x) + np.sum((x > 1).astype(int))

    program = trace(value_and_grad(f), W)
    for x in (W, -W, np.array([0.5, 3.0])):
        value, gradient = program(x)
        np.testing.assert_allclose(value, f(x))
        np.testing.assert_allclose(gradient, differences(f, x), rtol=1e-6, atol=1e-7)


def test_what_is_installed_is_not_rebuilt(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "installed_layers"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "import numpy as np\n\n\ndef one(x):\n    y = np.zeros(1)\n    y[0] = x\n    return y.sum()\n"
        "\n\ndef two(x):\n    return 2 * one(x)\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    import installed_layers

    with pytest.raises(TypeError, match="does not become a float"):
        grad(lambda x: installed_layers.one(x))(1.0)
    assert grad(installed_layers.two)(1.0) == 2.0  # it is the user's who has it differentiated


def test_a_function_is_rebuilt_from_its_own_text_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "changing_layers.py"
    file.write_text("import numpy as np\n\n\ndef f(x):\n    y = np.array([x])\n    return 2 * y.sum()\n")
    monkeypatch.syspath_prepend(tmp_path)
    import changing_layers

    file.write_text("import numpy as np\n\n\ndef f(x):\n    y = np.array([x])\n    return 3 * y.sum()\n")
    assert grad(changing_layers.f)(1.0) == 2.0
    names = {"np": np}
    exec("def without_text(x):\n    return 5 * np.sum([x, x])", names)
    assert grad(names["without_text"])(1.0) == 10.0


def test_lambdas_of_one_line_are_told_apart():
    f, g = lambda x: np.array([x, x]).sum(), lambda x: np.array([x, 3 * x]).sum()
    assert (grad(f)(1.0), grad(g)(1.0)) == (2.0, 4.0)


class Private:
    __scale = 3.0

    def __init__(self, made=np.zeros):
        self.made = made

    def loss(self, x, *, power=2):
        y = self.made(1)
        y[0] = self.__scale * x
        return self.__square(y[0], power)

    def __square(self, y, power):
        return sum((term for term in [y**power]), 0.0)


class Derived(Private):
    def loss(self, x, **options):
        return 2 * super().loss(x, **options)


def test_private_names_and_super_are_the_classes_own():
    assert grad(Private().loss)(2.0) == 36.0
    assert grad(Derived().loss)(2.0) == 72.0
    assert grad(lambda x: Derived(made=np.empty).loss(x, power=1))(2.0) == 6.0


def test_a_function_of_a_test_file_may_assert():
    def f(x):
        assert x.shape == (2,), x
        y = np.zeros(2)
        y[0] = x[1]
        return y.sum()

    np.testing.assert_allclose(grad(f)(W), [0.0, 1.0])


def test_a_file_that_the_compiler_warns_of_is_followed(tmp_path, monkeypatch):
    (tmp_path / "warned_layers.py").write_text(
        "import numpy as np\n\n\n"
        'def f(x):\n    "a \\d"\n    return np.array([x, x]).sum() if x is not 1 else 0\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import warned_layers
    assert grad(lambda x: warned_layers.f(float(x)))(1.0) == 2.0
    y = np.vectorize(lambda t: (2 * t, t))
    assert grad(lambda x: np.sum(y(x)[0] * y(x)[1]))(W).tolist() == (4 * W).tolist()


def test_a_function_without_text_sees_the_stand_in_for_numpy() -> None:
    text = """
count = 0

def f(x):
    y = np.zeros(2)
    y[0], y[1] = x[1] * x[0], x[0]
    return y[:, None].sum() + float_of(y)

def float_of(y):
    return np.array([y[1], 2.0]).sum()

def counting(x):
    global count
    count += 1
    return np.sum(x * x)
"""
    namespace: dict[str, Any] = {"np": np, "__name__": "__main__"}
    exec(text, namespace)
    x = np.array([2.0, 3.0])
    np.testing.assert_allclose(grad(namespace["f"])(x), [5.0, 2.0])
    np.testing.assert_allclose(grad(namespace["counting"])(x), 2 * x)
    assert namespace["count"] == 1
    assert namespace["np"] is np


def test_a_function_without_text_sees_the_other_stand_ins_too() -> None:
    text = """
from math import exp
from numpy import zeros
from copy import copy

def f(x):
    assert isinstance(x, float) and not isinstance(x, int)
    y = zeros(2, dtype=float)
    y[int(1.0)] = exp(float(x))
    return copy(y)[1]
"""
    namespace: dict[str, Any] = {}
    exec(text, namespace)
    np.testing.assert_allclose(grad(namespace["f"])(2.0), np.exp(2.0))


def test_a_followed_function_has_the_signature_of_its_text() -> None:
    def f(x: float, *, scale: float = 2.0) -> float:
        return x * scale

    assert inspect.signature(Rebuilt(f)(f)) == inspect.signature(f)


def _of_math():
    """Every real function of `math` at numbers of its domain, one of them a distance of points."""
    for name, function in vars(math).items():
        for arguments in ((0.7,), (1.7,), (-2.3,), (2.6, 1.5), (0.3, -0.4), ([0.3, -2.0], [1.0, 0.5])):
            try:
                if isinstance(function(*arguments), float):
                    yield pytest.param(function, arguments, id=f"{name}{arguments}")
            except (TypeError, ValueError, OverflowError):
                continue


@pytest.mark.parametrize(("function", "arguments"), [*_of_math()])
def test_functions_of_math_are_followed_to_their_differences(function, arguments):
    if function in (math.ulp, math.nextafter):
        with pytest.raises(TypeError, match="derivative would be lost"):
            grad(lambda *xs: function(*xs))(*arguments)
        return

    def f(x):
        first = arguments[0]
        return function([x, *first[1:]] if isinstance(first, list) else x, *arguments[1:])

    x = arguments[0][0] if isinstance(arguments[0], list) else arguments[0]
    value, slope = value_and_grad(f)(x)
    assert value == pytest.approx(f(x), rel=1e-14)
    assert slope == pytest.approx((f(x + 1e-6) - f(x - 1e-6)) / 2e-6, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("x", [0.3, -0.7, -1.2, -2.5, 30.3, 170.5, -170.3, 1e-8])
def test_the_gamma_function_and_its_derivative(x):
    for gamma in (math.gamma, scipy.special.gamma):
        value, slope = value_and_grad(lambda x: gamma(x))(x)  # noqa: B023
        assert value == pytest.approx(float(mpmath.gamma(x)), rel=1e-12)
        assert slope == pytest.approx(float(mpmath.gamma(x) * mpmath.digamma(x)), rel=1e-12)


@pytest.mark.parametrize(("x", "y"), [(1.5, 1), (2.5, 1), (3.7, 2), (-3.7, 2), (7, -2), (0.5, 1), (1e17, 3)])
def test_the_remainder_of_math_is_from_the_nearest_multiple_of_ties_the_even_one(x, y):
    assert value_and_grad(lambda x: math.remainder(x, y))(x) == (math.remainder(x, y), 1.0)


def test_a_library_that_wraps_numpys_functions_is_followed():
    """HIPS autograd's `autograd.numpy` has each function in a wrapper that knows the function itself."""

    def wrapped(raw):
        def f_wrapped(*args, **named):
            return raw(*map(float, args), **named)  # it knows no Values

        f_wrapped.fun, f_wrapped._is_autograd_primitive = raw, True
        return f_wrapped

    zeros, exp = wrapped(np.zeros), wrapped(np.exp)

    def f(x):
        y = zeros(2)
        y[0] = exp(x)
        return y[0] * x

    assert value_and_grad(f)(1.0) == pytest.approx((np.e, 2 * np.e))
