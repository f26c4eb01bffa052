"""Losses with the last lines of their derivations in textbooks, and printed derivations read again.

A derivation is text, so the formulas in it are read by the reader of formulas and computed from the numbers
of the arguments alone: first the definitions in their order, then each line that names no derivative.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from autograd_mini import (
    binary_cross_entropy,
    binary_cross_entropy_from_logits,
    cross_entropy,
    cross_entropy_from_logits,
    erf,
    jacobian,
    log_softmax,
    logsumexp,
    named,
    sigmoid,
    softmax,
    softplus,
)
from autograd_mini.deriving import Derivation
from autograd_mini.expressions import ExpressionError, parse

Point = Mapping[str, Any]
LOSSES: dict[str, tuple[Callable[..., Any], Point, dict[str, str]]] = {}
random = np.random.default_rng(3)


def real(*shape: int) -> Any:
    return np.round(random.normal(size=shape), 2) if shape else round(float(random.normal()), 2)


def positive(*shape: int) -> Any:
    return np.round(random.uniform(0.3, 2, size=shape), 2)


def shares(n: int) -> Any:
    parts = np.round(random.uniform(0.1, 1, n) / n, 2)
    parts[-1] = 1 - parts[:-1].sum()
    return parts


def loss(name: str, f: Callable[..., Any], at: Point, **book: str) -> None:
    LOSSES[name] = f, at, book


def own_softmax(z: Any) -> Any:
    e = np.exp(z)
    return e / np.sum(e)


def stable_softmax(z: Any) -> Any:
    e = np.exp(z - np.max(z))
    return e / np.sum(e)


def logistic(w: Any, x: Any, y: Any) -> Any:
    s = 1 / (1 + np.exp(-(w @ x)))
    return -(y * np.log(s) + (1 - y) * np.log(1 - s))


def network(W: Any, b: Any, V: Any, c: Any, x: Any, t: Any) -> Any:
    return cross_entropy(softmax(V @ np.tanh(W @ x + b) + c), t)


def huber(w: Any, X: Any, y: Any, d: Any) -> Any:
    r = X @ w - y
    return np.sum(np.where(np.abs(r) <= d, r**2 / 2, d * (np.abs(r) - d / 2)))


def attention(Q: Any, K: Any, V: Any, T: Any) -> Any:
    return np.sum((softmax(Q @ K.T / 2) @ V - T) ** 2) / 2


def black_scholes(S: Any, K: Any, r: Any, v: Any, T: Any) -> Any:
    d = (np.log(S / K) + (r + v**2 / 2) * T) / (v * np.sqrt(T))
    return (
        S * (1 + erf(d / np.sqrt(2))) / 2
        - K * np.exp(-r * T) * (1 + erf((d - v * np.sqrt(T)) / np.sqrt(2))) / 2
    )


classes = {"z": real(3), "t": np.array([0.0, 1.0, 0.0])}
regression = {"w": real(3), "X": real(5, 3), "y": real(5)}
neuron = {"w": real(3), "x": real(3)}

loss("cross-entropy of a softmax", lambda z, t: cross_entropy(softmax(z), t), classes, z="S − t")
loss("the same, written out", lambda z, t: -np.sum(t * np.log(own_softmax(z))), classes, z="S − t")
loss("the same, stable", lambda z, t: -np.sum(t * np.log(stable_softmax(z))), classes, z="S − t")
loss("the same, of logits", cross_entropy_from_logits, classes, z="S − t")
loss("the same, of logarithms", lambda z, t: -(t @ log_softmax(z)), {"z": real(4), "t": shares(4)}, z="S − t")
loss(
    "targets that do not sum to 1",
    lambda z, t: -np.sum(t * np.log(own_softmax(z))),
    {"z": real(3), "t": positive(3)},
    z="S_i Σ_k t_k − t_i",
)
loss(
    "softmax regression",
    lambda W, X, T: -np.sum(T * np.log(softmax(X @ W))),
    {"W": real(2, 3), "X": real(5, 2), "T": np.eye(3)[[0, 1, 2, 1, 0]]},
    W="Xᵀ (S − T)",
)
loss("logistic regression", logistic, {**neuron, "y": 1.0}, w="(σ(wᵀ x) − y) x")
loss(
    "the same, by the library",
    lambda w, x, y: binary_cross_entropy(sigmoid(w @ x), y),
    {**neuron, "y": 0.0},
    w="(σ(wᵀ x) − y) x",
)
loss(
    "the same, a batch",
    lambda w, X, y: binary_cross_entropy_from_logits(X @ w, y),
    {"w": real(3), "X": real(4, 3), "y": np.array([0.0, 1.0, 1.0, 0.0])},
    w="1/n Xᵀ (σ(X w) − y)",
)
loss(
    "logistic regression of signs",
    lambda w, x, y: np.log(1 + np.exp(-y * (w @ x))),
    {**neuron, "y": -1.0},
    w="−y σ(−y wᵀ x) x",
)
loss("least squares", lambda w, X, y: np.sum((X @ w - y) ** 2), regression, w="2 Xᵀ (X w − y)")
loss("mean squared error", lambda w, X, y: np.mean((X @ w - y) ** 2), regression, w="2/n Xᵀ (X w − y)")
loss(
    "ridge",
    lambda w, X, y, c: np.sum((X @ w - y) ** 2) + c * np.sum(w**2),
    {**regression, "c": 0.1},
    w="2 Xᵀ (X w − y) + 2 c w",
)
loss(
    "tanh regression",
    lambda w, X, y: np.sum((np.tanh(X @ w) - y) ** 2),
    regression,
    w="2 Xᵀ ((h − y) ⊙ (1 − h²))",
)
loss(
    "normal likelihood",
    lambda m, s, x: np.sum(np.log(s) + (x - m) ** 2 / (2 * s**2)),
    {"m": real(), "s": 0.7, "x": real(5)},
    m="−1/s² Σ_k r_k",
    s="(n − ‖r‖²/s²)/s",
)
loss(
    "Poisson likelihood",
    lambda w, X, y: np.sum(np.exp(X @ w) - y * (X @ w)),
    {**regression, "y": positive(5)},
    w="Xᵀ (ε − y)",
)
loss("hinge", lambda w, x, y: np.maximum(0, 1 - y * (w @ x)), {**neuron, "y": -1.0}, w="−y [y wᵀ x < 1] x")
loss("Huber", huber, {**regression, "d": 0.8}, w="Xᵀ ∂L/∂r")
loss(
    "relative entropy to a softmax",
    lambda z, p: np.sum(p * np.log(p / softmax(z))),
    {"z": real(3), "p": shares(3)},
    z="S − p",
)
loss(
    "relative entropy", lambda p, q: np.sum(q * np.log(q / p)), {"p": shares(3), "q": shares(3)}, p="−q_i/p_i"
)
loss("entropy", lambda p: -np.sum(p * np.log(p)), {"p": positive(3)}, p="−1 − ln p")
loss(
    "entropy of a softmax",
    lambda z: -np.sum(softmax(z) * np.log(softmax(z))),
    {"z": real(3)},
    z="−S_i (L + ln S_i)",
)
loss(
    "network",
    network,
    {"W": real(8, 4), "b": real(8), "V": real(3, 8), "c": real(3), "x": real(4), "t": np.eye(3)[0]},
    W="((1 − h²) ⊙ Vᵀ (S − t)) xᵀ",
    b="(1 − h²) ⊙ Vᵀ (S − t)",
    V="(S − t) hᵀ",
    c="S − t",
)
loss(
    "squares around the mean",
    lambda x, t: np.sum((x - np.mean(x) - t) ** 2),
    {"x": real(5), "t": real(5)},
    x="2 r_i − 2/n Σ_k r_k",
)
loss(
    "cosine",
    lambda a, b: (a @ b) / (np.sqrt(a @ a) * np.sqrt(b @ b)),
    {"a": real(3), "b": real(3)},
    a="(b/τ − L a/ρ)/ρ",
)
loss("logsumexp", logsumexp, {"z": real(3)}, z="S")
loss("quadratic form", lambda x, A: x @ A @ x, {"x": real(3), "A": real(3, 3)}, x="(Aᵀ + A) x")
loss("softplus", lambda x: np.sum(softplus(x)), {"x": real(3)}, x="σ(x)")
loss(
    "product",
    lambda A, B, C: np.sum((A @ B - C) ** 2),
    {"A": real(2, 3), "B": real(3, 4), "C": real(2, 4)},
    A="2 (A B − C) Bᵀ",
    B="2 Aᵀ (A B − C)",
)
loss(
    "attention",
    attention,
    {"Q": real(3, 4), "K": real(5, 4), "V": real(5, 2), "T": real(3, 2)},
    V="Sᵀ (S V − T)",
    Q="∂L/∂z K",
    K="∂L/∂zᵀ Q",
)
loss("option price", black_scholes, {"S": 100.0, "K": 95.0, "r": 0.05, "v": 0.2, "T": 0.5}, S="")

# --- written before anything of this was derived ---

loss("log cosh", lambda a, y: np.sum(np.log(np.cosh(a - y))), {"a": real(5), "y": real(5)},
     a="sinh(a_i − y_i)/cosh(a_i − y_i)")  # fmt: skip
loss("weighted mean", lambda m, x, w: np.sum(w * (x - m) ** 2), {"m": 0.5, "x": real(5), "w": positive(5)},
     m="−2 wᵀ r")  # fmt: skip
loss("margins", lambda s, y: np.sum(np.log(1 + np.exp(-y * s))),
     {"s": real(5), "y": np.array([1, -1, 1, 1, -1])}, s="−y ⊙ σ(−s ⊙ y)")  # fmt: skip
loss("temperature", lambda z, t, T: -np.sum(t * np.log(softmax(z / T))),
     {"z": real(5), "t": [0, 0, 1, 0, 0], "T": 2.0}, z="(S − t)/T")  # fmt: skip
loss("gamma", lambda mu, y: np.sum(y / mu + np.log(mu)), {"mu": positive(5), "y": positive(5)},
     mu="(1 − y_i/mu_i)/mu_i")  # fmt: skip
loss("labels of two classes", lambda a, y: -np.sum(y * np.log(sigmoid(a)) + (1 - y) * np.log(1 - sigmoid(a))),
     {"a": real(5), "y": np.array([0, 1, 1, 0, 1])}, a="σ(a) − y")  # fmt: skip
loss("squares of tanh", lambda a, y: np.sum((np.tanh(a) - y) ** 2) / 2, {"a": real(5), "y": real(5)},
     a="(h − y) ⊙ (1 − h²)")  # fmt: skip
loss("fourth power of a length", lambda x: np.dot(x, x) ** 2, {"x": real(5)}, x="4 ‖x‖² x")
loss("variance", lambda x: np.mean((x - np.mean(x)) ** 2), {"x": real(5)}, x="2 r/n")
loss("entropy of a softmax", lambda z: -np.sum(softmax(z) * np.log(softmax(z))), {"z": real(5)},
     z="−S_i (L + ln S_i)")  # fmt: skip
loss("any quadratic form", lambda x, A, b: (x @ A @ x) / 2 + b @ x,
     {"x": real(4), "A": real(4, 4), "b": real(4)}, x="1/2 (Aᵀ + A) x + b")  # fmt: skip
loss("sums over and under a bar", lambda a, b, c: a.sum() * c.sum() / b.sum(),
     {"a": positive(3), "b": positive(4), "c": positive(5)},
     a="L/Σ_k a_k", b="−L/Σ_k b_k", c="1/(Σ_k b_k) Σ_k a_k")  # fmt: skip
loss("products in a quotient", lambda A, C: np.sum(A @ C) / np.sum(A**2),
     {"A": positive(3, 4), "C": positive(4, 2)},
     A="(Σ_k C_jk − 2 L A_ij)/Σ_km A_km²", C="1/(Σ_km A_km²) Σ_k A_ki")  # fmt: skip
loss("an inner product under a bar", lambda x, a, b: x / (a @ b),
     {"x": 2.0, "a": positive(3), "b": positive(3)}, x="1/(aᵀ b)")  # fmt: skip
loss("conjugate", lambda z, t: logsumexp(z) - t @ z, {"z": real(5), "t": positive(5)}, z="S − t")
loss("smoothed labels", lambda z, t, c: -np.sum(((1 - c) * t + c / 5) * np.log(softmax(z))),
     {"z": real(5), "t": np.eye(5)[2], "c": 0.1}, z="S + c (5 t − 1)/5 − t")  # fmt: skip
loss("a triplet", lambda a, p, n: np.sum((a - p) ** 2) - np.sum((a - n) ** 2),
     {"a": real(4), "p": real(4), "n": real(4)}, a="2 n − 2 p", p="2 p − 2 a")  # fmt: skip
loss("generalised least squares", lambda w, X, y, P: (X @ w - y) @ P @ (X @ w - y),
     {**regression, "P": real(5, 5)}, w="Xᵀ (P + Pᵀ) q")  # fmt: skip
loss("Bernoulli likelihood", lambda p, y: -np.sum(y * np.log(p) + (1 - y) * np.log(1 - p)),
     {"p": shares(4), "y": np.array([0.0, 1.0, 1.0, 0.0])}, p="(p_i − y_i)/(p_i (1 − p_i))")  # fmt: skip
loss("softmax regression with a bias", lambda W, b, X, T: -np.sum(T * np.log(softmax(X @ W + b))),
     {"W": real(2, 3), "b": real(3), "X": real(5, 2), "T": np.eye(3)[[0, 1, 2, 1, 0]]},
     W="Xᵀ (S − T)", b="Σ_k (S_ki − T_ki)")  # fmt: skip
loss("linear autoencoder", lambda W, V, x: np.sum((V @ (W @ x) - x) ** 2),
     {"W": real(2, 4), "V": real(4, 2), "x": real(4)},
     W="2 Vᵀ (V W x − x) xᵀ", V="2 (V W x − x) (W x)ᵀ")  # fmt: skip


# --- printed formulas read again -----------------------------------------------------------------------


def wrong_lines(found: Derivation, f: Callable[..., Any], at: Point) -> Iterator[str]:
    """The lines by the arguments that are not what the engine computes, as text."""
    known = dict(at) | {found.out: f(*at.values())}
    for name in {array.name for array in found.arrays if array.kind == "input"} - {*at}:  # an element
        whole, index = _element(name, at)
        known[name] = at[whole][index]
    style = found.style(False)
    known |= {name: float(letter.dim[-1]) for letter, name in found.lengths.items()}
    for array in found.arrays:
        if array.kind != "input" and array.name not in known:
            text = style.with_letters(array.letters, "ijkl").poly(array.shown)
            known[array.name] = _read(text, known, [x.dim[-1] for x in array.letters], "ijkl")
    for name in found.wrt:
        whole, index = _element(name, at)
        truth = np.asarray(jacobian(f, [*at].index(whole))(*at.values()))
        truth = truth[(..., *index)] if index else truth
        step = found.by_name.get(name)
        if step is not None and not step.lines:  # numbers at the point alone, as on a kink
            continue
        lines = [found.last_line(name, style)]
        if step is not None:
            lines += [(style.derivative(name, step.axes), style.poly(line.value)) for line in step.lines]
        for left, text in lines:
            if "∂" in text:
                continue
            by_index = step is not None and left == style.derivative(name, step.axes)
            letters = "".join(x.name for x in step.axes) if step is not None and by_index else ""
            numbers = _read(text, known, np.shape(truth), letters)
            if not np.allclose(numbers, truth, rtol=1e-10, atol=1e-12):
                yield f"{left} = {text}: {numbers}, and not {truth}"


def _element(name: str, at: Point) -> tuple[str, tuple[int, ...]]:
    whole = max((x for x in at if name == x or name.startswith(f"{x}_")), key=len)
    return whole, tuple(map(int, name[len(whole) + 1 :].split("_"))) if name != whole else ()


BODY = r"(?:[^()\s\[\]]|\((?:[^()]|\([^()]*\))*\)| (?![+−<>=]))+"  # of an extremum: a product


def _read(text: str, known: Point, shape: Any, letters: str) -> Any:
    text = re.sub(r"Σ_(\w+)", lambda match: " ".join(f"Σ_{k}" for k in match[1]), text)
    text = re.sub(r"\[([^][]* [<>=≤≥] [^][]*)\]", r"(\1)", text).replace(" = ", " == ")
    known = dict(known)

    def extremum(match: re.Match[str]) -> str:
        """A name of its own for what is largest or smallest."""
        word, k, body = match.groups()
        lengths = [n for x in known for n in np.shape(known[x]) if re.search(rf"\b{x}_{k}\b", body)]
        numbers = _read(body, known, lengths[:1], k)
        name = f"extremum{len(known)}"
        known[name] = float({"max": np.max, "min": np.min}[word](numbers))
        return name

    text = re.sub(rf"(max|min)_(\w) ({BODY})", extremum, text)
    text = re.sub(r"(\w)_(\d)(?:_(\d))?", r"\1at\2\3", text)
    text = re.sub(r"(?<=\d) (?=[^\W\d])", " * ", text)
    known = {**known, **{re.sub(r"_(\d)(?:_(\d))?$", r"at\1\2", name): x for name, x in known.items()}}
    while True:
        try:
            formula = parse(text)
            return (
                formula.tabulate(known, tuple(shape), letters[: len(shape)])
                if letters
                else formula.evaluate(known)
            )
        except ExpressionError:
            by_matrices = "" if letters else "@"
            plain = re.sub(r"(?<=\d) (?=[\w(\[√])", " * ", text)
            if shape and not letters:
                plain = re.sub(r"(?<![\w.])([A-Z]) (?=[a-z]\d?$)", r"\1 @ ", plain)
            else:
                plain = re.sub(r"(?<=[\w)\]²³ᵀ]) (?=[\w(\[√])", f" {by_matrices or '*'} ", plain)
            if plain == text:
                raise
            text = plain


def named_layers(W: Any, x: Any, t: Any) -> Any:
    y = named(np.tanh(named(W @ x, "q")), "y")
    return np.sum((y - t) ** 2) / 2
