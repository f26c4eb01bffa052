"""Formulas as lecture notes, papers and code print them, each against NumPy; what is open is asked for."""

import contextlib
import random

import numpy as np
import pytest

from autograd_mini import (
    DomainError,
    check_gradient,
    check_jacobian,
    check_steps,
    cross_entropy,
    named,
    softmax,
)
from autograd_mini.expressions import AmbiguousError, ExpressionError, parse

rng = np.random.default_rng(0)
z = np.array([1.5, -0.5, 0.75])
e = np.exp(z)
S, t = e / e.sum(), np.array([0.0, 0.0, 1.0])
X, w, y = rng.normal(size=(5, 3)), np.array([0.3, -0.2, 0.5]), np.array([1.0, 0.0, 1.0, 1.0, 0.0])
W, d, A = rng.normal(size=(2, 3)), np.array([0.1, 0.2]), rng.normal(size=(3, 3))
x, a, mu, s, theta, b, lam, N, c = 0.7, 1.3, 0.2, 0.5, 0.3, 0.1, 0.01, 5.0, 2.0
NAMES = {
    "z": z, "S": S, "t": t, "X": X, "w": w, "y": y, "W": W, "d": d, "A": A, "x": x, "a": a, "mu": mu, "s": s,
    "theta": theta, "b": b, "lambda_": lam, "N": N, "c": c, "y_hat": X @ w, "h": np.tanh(W @ z),
}  # fmt: skip
del NAMES["lambda_"]
NAMES["λ"] = lam
r = X @ w - y


def sigma(v):
    return 1 / (1 + np.exp(-v))


FORMULAS = [
    # plain, as code has them
    ("S[i]*(delta[i,j] - S[j])", np.diag(S) - np.outer(S, S)),
    ("S_i*(delta_ij - S_j)", np.diag(S) - np.outer(S, S)),
    ("np.exp(x) + math.sin(x)", np.exp(x) + np.sin(x)),
    ("X.T @ (X @ w - y)", X.T @ r),
    ("S_i - t_i", S - t),
    ("ln(x) + arctan(x)", np.log(x) + np.arctan(x)),
    ("W_ij * z_j", W * z),
    # as printed; what is raised over a word is over its last name
    ("ax² + 0", a * x**2),
    ("½ax^2", 0.5 * a * x**2),
    ("(ax)²", (a * x) ** 2),
    ("sin ax²", np.sin(a * x**2)),
    ("XAᵀ", X @ A.T),
    (r"XA^\top", X @ A.T),
    ("(XA)ᵀ", (X @ A).T),
    ("diag(S) − SSᵀ", np.diag(S) - np.outer(S, S)),
    ("2 · azᵀA", 2 * a * z @ A),
    # a product by entries takes the product beside it whole
    ("z ⊙ A w", z * (A @ w)),
    ("S ⊙ Wᵀ · d", S * (W.T @ d)),
    # nothing printed but what stands side by side
    ("2x", 2 * x),
    ("2.5 a x", 2.5 * a * x),
    ("2 sin(x) cos(x)", np.sin(2 * x)),
    ("3(x + 1)", 3 * (x + 1)),
    ("(x + 1)(x + a)", (x + 1) * (x + a)),
    ("x/(2a)", x / (2 * a)),
    ("1e-3x", 1e-3 * x),
    ("0x10 + 1_000", 1016.0),
    ("sin 2x", np.sin(2 * x)),
    ("X.T (X w - y)", X.T @ r),
    # brackets and bars of other kinds
    (r"b\left[x + a\right]", b * (x + a)),
    ("2[x + a]²", 2 * (x + a) ** 2),
    ("½||Xw - y||²", 0.5 * (r**2).sum()),
    ("||w||_2·2", 2 * np.linalg.norm(w)),
    ("|x||a| + |x|", abs(x) * abs(a) + abs(x)),
    (r"1/N\sum_i y_i", y.sum() / N),
    ("W² − 0", W**2),
    ("x^(2)a", a * x**2),
    ("Sᵢ(δᵢⱼ − Sⱼ)", np.diag(S) - np.outer(S, S)),
    ("∂L/∂zᵢ = Sᵢ − tᵢ", S - t),
    ("−Σᵢ tᵢ ln Sᵢ", -(t * np.log(S)).sum()),
    ("exp(z_i)/Σ_k exp(z_k)", S),
    ("e^(z_i) / Σ_k e^(z_k)", S),
    ("2Xᵀ(Xw − y)", 2 * X.T @ r),
    ("Xᵀ(Xw − y)/N", X.T @ r / N),
    ("‖Xw − y‖²", (r**2).sum()),
    ("½‖Xw − y‖² + ½λ‖w‖²", 0.5 * (r**2).sum() + 0.5 * lam * (w**2).sum()),
    ("‖w‖", np.linalg.norm(w)),
    ("σ(x)(1 − σ(x))", sigma(x) * (1 - sigma(x))),
    ("1 − tanh²(x)", 1 - np.tanh(x) ** 2),
    ("½x²", x**2 / 2),
    ("√(x² + 1)", np.sqrt(x**2 + 1)),
    ("√x", np.sqrt(x)),
    ("x⁻¹ + x³", 1 / x + x**3),
    ("x^2", x**2),
    ("−x²", -(x**2)),
    ("2·x·a", 2 * x * a),
    ("x × a ÷ c", x * a / c),
    ("|x − a|", abs(x - a)),
    ("wᵀz + b", w @ z + b),
    ("zᵀAz", z @ A @ z),
    ("(A + Aᵀ)z", (A + A.T) @ z),
    ("d zᵀ", np.outer(d, z)),
    ("Wᵀd", W.T @ d),
    ("S ⊙ (1 − S)", S * (1 - S)),
    ("d ∘ (1 − h²)", d * (1 - NAMES["h"] ** 2)),
    ("Σⱼ Wᵢⱼ zⱼ", W @ z),
    ("exp(−(x − μ)²/(2s²))", np.exp(-((x - mu) ** 2) / (2 * s**2))),
    ("θ² + 2θ", theta**2 + 2 * theta),
    ("ŷ − y", X @ w - y),
    ("x ln x − x", x * np.log(x) - x),
    # LaTeX
    (r"S_i (\delta_{ij} - S_j)", np.diag(S) - np.outer(S, S)),
    (r"\frac{\partial S_j}{\partial z_i} = S_j(\delta_{ij} - S_i)", np.diag(S) - np.outer(S, S)),
    (r"\frac{\partial L}{\partial z_i} = S_i - t_i", S - t),
    (r"-\sum_i t_i \ln S_i", -(t * np.log(S)).sum()),
    (r"-\sum_{k=1}^{K} t_k \log S_k", -(t * np.log(S)).sum()),
    (r"\frac{e^{z_i}}{\sum_k e^{z_k}}", S),
    (r"\frac{\exp(z_i)}{\sum_{k=1}^{3} \exp(z_k)}", S),
    (r"2 X^\top (X w - y)", 2 * X.T @ r),
    (r"\frac{1}{N} \mathbf{X}^\top (\mathbf{X}\mathbf{w} - \mathbf{y})", X.T @ r / N),
    (r"\lVert X w - y \rVert_2^2", (r**2).sum()),
    (r"\frac{w}{\|w\|}", w / np.linalg.norm(w)),
    (r"\sigma(x)\left(1 - \sigma(x)\right)", sigma(x) * (1 - sigma(x))),
    (r"1 - \tanh^2 x", 1 - np.tanh(x) ** 2),
    (r"\frac{1}{1 + e^{-x}}", sigma(x)),
    (r"\ln(1 + e^{-x})", np.log1p(np.exp(-x))),
    (r"\frac{(x - \mu)^2}{2 s^2}", (x - mu) ** 2 / (2 * s**2)),
    (r"\sqrt{x^2 + a^2}", np.hypot(x, a)),
    (r"\sqrt[3]{x}", np.cbrt(x)),
    (r"x^{-1} \cdot a", a / x),
    (r"\tfrac12 x^2", x**2 / 2),
    (r"\left| x - a \right|", abs(x - a)),
    (r"\operatorname{softmax}(z)", S),
    (r"\mathbf{W}^\top \boldsymbol{d}", W.T @ d),
    (r"d \, z^{\top}", np.outer(d, z)),
    (r"W^T d \odot (1 - S)", W.T @ d * (1 - S)),
    (r"d_{i} z_{j}", np.outer(d, z)),
    (r"\sum_j W_{ij} z_j", W @ z),
    (r"\sum_{i} d_i W_{ij}", d @ W),
    (r"\sum_{j \ne i} z_j", z.sum() - z),
    (r"\sum_{i,j} W_{ij}^2", (W**2).sum()),
    (r"\frac{1}{2}\sum_i (S_i - t_i)^2", 0.5 * ((S - t) ** 2).sum()),
    (r"\hat{y}_i - y_i", X @ w - y),
    (r"\mathbb{1}[x > 0] \, a", a),
    (r"\begin{cases} x & x > 0 \\ 0 & \text{otherwise} \end{cases}", x),
    (r"\lambda \mathbf{w} + 2 X^{\mathsf{T}} r", lam * w + 2 * X.T @ r),
    (r"\max(0, 1 - x)", max(0, 1 - x)),
    (r"x \sin 2x", x * np.sin(2 * x)),
    (r"\theta^{x}", theta**x),
    (r"\nabla_w L = X^\top (\sigma(Xw) - y)", X.T @ (sigma(X @ w) - y)),
    # an index below a bracket, a function or a transpose
    ("(Xw-y)_i", r),
    ("2 (Xᵀ(Xw − y))ᵢ", 2 * X.T @ r),
    (r"2 \sum_k (Xw-y)_k X_{ki}", 2 * X.T @ r),
    (r"\left(A A\right)_{ij}", A @ A),
    ("(Xw)_i²", (X @ w) ** 2),
    (r"W^\top_{ij}", W.T),
    (r"softmax(z)_i (\delta_{ij} - softmax(z)_j)", np.diag(S) - np.outer(S, S)),
    ("Σ(y − x)²", ((y - x) ** 2).sum()),
    # with a left side, as code and as print have it
    ("dw = 2*X.T @ (X @ w - y)", 2 * X.T @ r),
    ("dL/dw=2*X.T @ (X @ w - y)", 2 * X.T @ r),
    ("grad_w = X.T @ r", X.T @ r),
    ("dw = np.sum(X, axis=0)", X.sum(axis=0)),
    ("f'(x) = 2*x", 2 * x),
    (r"\frac{df}{dx} = 2x", 2 * x),
]


@pytest.mark.parametrize(("text", "wanted"), FORMULAS, ids=[text for text, _ in FORMULAS])
def test_a_formula_as_it_is_printed(text: str, wanted: np.ndarray) -> None:
    names = {**NAMES, "r": r}
    formula = parse(text).reading(names)
    got = formula.tabulate(names, np.shape(wanted), formula.axes)
    assert np.shape(got) == np.shape(wanted)
    assert np.allclose(got, wanted, rtol=1e-12, atol=1e-15)


OPEN = [
    ("wz + 0²", 0, "two vectors side by side: write xᵀy"),
    ("S·t", 2, "two vectors side by side"),
    ("f(x)²", 0, "the name f has no value"),
    (r"\ln x a", 0, r"what ln applies to is open: write ln\(…\)"),
    ("x²/2a", 4, r"write \(a/b\)\*c or a/\(b\*c\)"),
    (r"e^{-x^2/2s^2}", 9, r"write \(a/b\)\*c or a/\(b\*c\)"),
    ("√2x", 0, r"what sqrt applies to is open: write sqrt\(…\)"),
    ("x² log x/a", 3, r"what log applies to is open: write log\(…\)"),
    ("e^2x·1", 3, "where the exponent ends is open"),
    ("x^1/2·1", 3, "where the exponent ends is open"),
    ("A⁻¹z", 0, "a power of a matrix may be"),
    ("e^-2x·1", 4, "where the exponent ends is open"),
    ("A²", 0, "a power of a matrix may be"),
    (r"\max_i z_i", 4, "what stands below max is not read"),
    ("z_1²", 0, r"may count from 0 or from 1: write z\[1\]"),
    ("q²", 0, "the name q has no value; given are"),
    (r"\frac{x}{", 9, "the formula ends here"),
    (r"\foo{x}", 0, r"\\foo has no meaning here"),
    (r"(x^2", 4, r"expected \) here, got the end"),
    (r"\sum_k x", 0, "how far k goes is open"),
    (r"\sum_k S_k W_{k}", 0, "goes along axes of lengths"),
    (r"\sum_{k=1}^{4} S_k", 0, "goes along an axis of length 3"),
    (r"\sum_{k=2}^{n} S_k", 0, "its limits are 1 and 3, or 0 and 2"),
    (r"\sum_{k=1}^{n-1} S_k", 0, "goes along an axis of length 3"),
    (r"\sum_{k=0}^{n} S_k", 0, "goes along an axis of length 3"),
    (r"\sum_{k=1}^{i} S_k", 12, "a constant is wanted here"),
    (r"z_{i-1}", 0, "lies before the first"),
    (r"\|z\|_1", 6, "the only norm is the Euclidean one"),
    ("x = a²", 2, "no derivative"),
    ("x = 2*a", 2, "no derivative such as ∂L/∂x or dx"),
    ("2/N Σ (y_i - t_i)", 4, "over which index Σ goes is open: write Σ_i"),
    (r"\sum S_k \ln t_k", 0, "write Σ_k"),
    (r"2/N \Sigma (y_i - t_i)", 4, r"no name Sigma, and a sum is written Σ_i or \\sum_i"),
    (r"\Sigma_i S_i", 0, "a sum is written Σ_i"),
    ("2/n (y - t)", 2, r"there is no function n; a product is written with \*, n\*"),
    ("(Xw)_0", 5, r"write \(…\)\[0\] for an entry"),
    ("X.T@(X@w - y)_i", 3, "@ multiplies arrays: put the product in brackets"),
]


@pytest.mark.parametrize(("text", "column", "message"), OPEN, ids=[text for text, *_ in OPEN])
def test_what_is_open_is_asked_for_at_its_place(text: str, column: int, message: str) -> None:
    with pytest.raises(ExpressionError, match=message) as asked:
        parse(text).tabulate(NAMES, (3,))
    assert asked.value.column == column


def test_a_name_that_exists_wins() -> None:
    assert parse("Xw²").evaluate({"Xw": 3.0, "X": 1.0, "w": 5.0}) == 9
    assert parse("y_i·2").evaluate({"y_i": 3.0, "y": z}) == 6
    assert parse(r"\sigma^2").evaluate({"sigma": 3.0}) == parse("σ²").evaluate({"sigma": 3.0}) == 9
    assert parse(r"\hat y + 1").evaluate({"yhat": 2.0}) == 3
    with pytest.raises(ExpressionError, match="may be the sigmoid or a product"):
        parse("σ(x)").evaluate({"σ": 2.0, "x": 1.0})
    with pytest.raises(ExpressionError, match="may be a·bc or ab·c"):
        parse("abc·1").evaluate({"a": 1.0, "bc": 2.0, "ab": 3.0, "c": 4.0})
    with pytest.raises(ExpressionError, match="T is a name here"):
        parse("x^T").evaluate({"x": 2.0, "T": 3.0})


def test_limits_name_the_whole_axis() -> None:
    for limits in (r"_{k=1}^{n}", r"_{k=0}^{n-1}", r"_{k=1}^{2n/2}", r"_{k}^{n}"):
        total = parse(rf"\frac{{1}}{{n}}\sum{limits} x_k")
        assert total.evaluate({"x": [1.0, 2.0, 6.0], "n": 3.0}) == 3
        with pytest.raises(ExpressionError, match="k goes along an axis of length 3"):
            total.evaluate({"x": [1.0, 2.0, 6.0], "n": 4.0})
    assert parse(r"\sum_{k=1}^{N} x_k").evaluate({"x": [1.0, 2.0]}) == 3  # N is how many there are


def test_a_length_is_one_number_in_the_whole_formula() -> None:
    names = {"X": np.ones((4, 3)), "w": np.ones(3)}
    both = r"\sum_{k=1}^{m}\sum_{j=1}^{n} X_{kj} w_j + \sum_{j=1}^{n} w_j"
    assert parse(both).evaluate(names) == 15
    with pytest.raises(AmbiguousError, match="along an axis of length 3 with m = 4"):
        parse(both.replace("n", "m")).evaluate(names)


def test_pi_stands_beside_names() -> None:
    assert parse("πr²").evaluate({"r": 2.0}) == parse("pi*r**2").evaluate({"r": 2.0})
    assert parse("4πr³/3").evaluate({"r": 1.0}) == pytest.approx(4.18879020478639)
    assert parse("πr²").evaluate({"r": 2.0, "π": 3.0}) == parse("πr²").evaluate({"r": 2.0, "pi": 3.0}) == 12


def cross(z, t):
    return -np.sum(t * np.log(softmax(z)))


@pytest.mark.parametrize(
    ("hand", "verdict"),
    [
        (r"\frac{\partial L}{\partial z_i} = S_i - t_i", "agrees"),
        ("Sᵢ − tᵢ", "agrees"),
        (r"\mathrm{softmax}(z) - t", "agrees"),
        (r"t_i - S_i", "disagrees"),
    ],
)
def test_printed_gradients_are_checked(hand: str, verdict: str) -> None:
    def loss(z, t):
        return -np.sum(t * np.log(named_softmax(z)))

    assert (
        check_gradient(loss, hand, at={"z": z, "t": t}, wrt="z", domain={"t": "one-hot"}).verdict == verdict
    )


def named_softmax(z):
    from autograd_mini import named

    return named(softmax(z), "S")


def test_the_left_side_says_which_axis_is_which() -> None:
    def f(z):
        return W @ np.tanh(z)

    right = r"\frac{\partial f_k}{\partial z_i} = W_{ki} (1 - \tanh^2(z_i))"
    assert (
        check_jacobian(lambda z, W: W @ np.tanh(z), right, at={"z": z, "W": W}, wrt="z").verdict == "agrees"
    )
    with_others = right.replace("f_k", "f_i").replace("z_i}", "z_k}", 1)
    report = check_jacobian(lambda z, W: W @ np.tanh(z), with_others, at={"z": z[:2], "W": W[:, :2]}, wrt="z")
    assert report.verdict == "disagrees"  # the transpose
    assert f(z).shape == (2,)


def test_small_letters_on_the_left_side_say_it_as_well() -> None:
    right = "∂fₖ/∂zᵢ = Wₖᵢ(1 − tanh²(zᵢ))"
    at = {"z": z[:2], "W": W[:, :2]}
    assert parse(right).axes == ("k", "i")
    assert check_jacobian(lambda z, W: W @ np.tanh(z), right, at=at, wrt="z").verdict == "agrees"


@pytest.mark.parametrize(
    ("text", "column"), [("S_ᵢ·2", 2), ("S__i·2", 2), ("2·S_²", 4), ("²S", 0), ("Σ²S", 1)]
)
def test_letters_that_are_raised_or_lowered_stand_behind_something(text: str, column: int) -> None:
    with pytest.raises(ExpressionError, match="has no meaning here") as refused:
        parse(text)
    assert refused.value.column == column


@pytest.mark.parametrize("count", [1_500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_nothing_but_its_own_error_comes_out_of_mutated_texts(count: int) -> None:
    draw = random.Random(5)
    alphabet = r"""\{}()[]^_·−²ᵢΣ√|‖=,&+-*/.'′∂ σxSWzT12 """ + "\\\\frac\\sum"
    for _ in range(count):
        text = list(draw.choice(FORMULAS)[0])
        for _ in range(draw.randrange(1, 4)):
            place = draw.randrange(len(text) + 1)
            match draw.randrange(3):
                case 0:
                    text.insert(place, draw.choice(alphabet))
                case 1:
                    del text[place : place + draw.randrange(1, 4)]
                case _:
                    text[place : place + 1] = draw.choice(alphabet)
        with contextlib.suppress(ExpressionError, DomainError, ArithmeticError):
            parse("".join(text)).tabulate({**NAMES, "r": r}, (3,))


@pytest.mark.parametrize(
    "text", ["(" * 3000 + "²", "{" * 3000, "\\frac" * 700, "x^" * 1500 + "2", "|" * 3000, "²" * 3000]
)
def test_deep_texts_are_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse(text).evaluate(NAMES)


def test_steps_may_be_printed() -> None:
    def loss(z, t):
        return cross_entropy(named(softmax(z), "S"), t)

    steps = {("dS", "S"): r"-\frac{t_i}{S_i}", ("dz", "z"): r"\sum_j dS_j S_j (\delta_{ij} - S_i)"}
    assert check_steps(loss, steps, at={"z": z, "t": t}).verdict == "agrees"
    assert check_steps(loss, steps | {("dz", "z"): "Sᵢ − tᵢ"}, at={"z": z, "t": t}).verdict == "agrees"
    assert check_steps(loss, steps | {("dz", "z"): "tᵢ − Sᵢ"}, at={"z": z, "t": t}).verdict == "disagrees"
