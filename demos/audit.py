"""An audit of published derivations: every formula and printed figure of five write-ups, through the checker.

The write-ups are public pages on softmax, cross-entropy and their derivatives. What they claim is restated
here, right or wrong; the verdicts and what went wrong are the checker's. ``--markdown`` prints the
table as it stands in ``audit.md``.
"""

import argparse
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from autograd_mini import (
    Report,
    absolute_error,
    check_gradient,
    check_jacobian,
    check_steps,
    check_update,
    check_value,
    cross_entropy,
    named,
    relu,
    sigmoid,
    softmax,
    softplus,
    squared_error,
)


class Finding(NamedTuple):
    """A claim and what the checker makes of it; ``kinds`` are those of its explanations, the first first."""

    source: str
    claim: str
    verdict: str
    diagnosis: str
    kinds: tuple[str, ...]


VERDICTS = {"agrees": "right", "disagrees": "wrong", "right given your earlier steps": "carries errors"}
Judged = tuple[str, str, str, tuple[Any, ...]]  # claim, verdict, what there is to say, explanations


def judged(claim: str, report: Report) -> Judged:
    """A claim that has a report of its own."""
    return claim, report.verdict, report.reason * (not report), report.explanations


def judged_steps(claims: dict[str, str], report: Report) -> Iterator[Judged]:
    """The claims that are steps of one derivation, by the names of the steps."""
    for name, claim in claims.items():
        step = report[name]
        yield claim, step.verdict, step.note, step.explanations


# --- a notebook with exercises on softmax, a loss and one step of backpropagation --------------------

X, T, RATE = np.array([-1.0, 1.0]), np.array([1.0, 0.0]), 0.1
BEFORE = {
    "W1": np.array([[-2.0, 1.0], [3.0, 0.0]]),
    "b1": np.array([0.5, 1.5]),
    "W2": np.array([[2.0, 3.0], [-1.0, 2.0]]),
    "b2": np.array([2.0, -1.0]),
}
AFTER = {  # with NumPy's 8 decimals
    "W2": np.array([[1.99699085, 2.99699085], [-1.00300915, 1.99699085]]),
    "b2": np.array([2.0, -1.0]),
    "W1": np.array([[-1.98541922, 1.01458078], [3.01458078, 0.01458078]]),
    "b1": np.array([0.51462178, 1.51462178]),
}
BACKPROPAGATION = {
    ("e", "z2"): lambda y, t: (y - t) * y * (1 - y),
    ("d", "z1"): lambda e, W2, h: (e @ W2.T) * h * (1 - h),
    "W2": lambda h, e: np.full((2, 2), h @ e),
    "b2": lambda e: np.full(2, np.sum(e)),
    "W1": lambda x, d: np.full((2, 2), x @ d),
    "b1": lambda d: np.full(2, np.sum(d)),
}


def text_loss(y: Any, t: Any) -> Any:
    """The loss in the notebook's text."""
    return -np.sum(t * np.log(y))


def logistic(v: Any) -> Any:
    """The sigmoid."""
    return 1 / (1 + np.exp(-v))


def coded(v: Any) -> Any:
    """The notebook's code for it, as Python reads it."""
    return 1 / 1 + np.exp(-v)


def exercise_output(W1: Any, b1: Any, W2: Any, b2: Any, x: Any) -> Any:
    """The notebook's network y = softmax(h W2 + b2), h = sigma(x W1 + b1), as coded."""
    h = named(coded(named(x @ W1 + b1, "z1")), "h")
    return named(softmax(named(h @ W2 + b2, "z2")), "y")


def exercise_error(W1: Any, b1: Any, W2: Any, b2: Any, x: Any, t: Any) -> Any:
    """Half the squared error of its output."""
    return named(np.sum((exercise_output(W1, b1, W2, b2, x) - t) ** 2) / 2, "E")


def softmax_exercises() -> Iterator[Judged]:
    """Printed softmaxes, losses and one step of training a 2-2-2 network."""
    printed: Any = ["0.62200588", "0.08417934", "0.29381477"]
    yield judged("softmax(1.5, −0.5, 0.75)", check_value(softmax, printed, at=[1.5, -0.5, 0.75]))
    printed = ["0.114280348", "0.844423906", "0.00938070225", "0.000770014931", "0.0311450283"]
    yield judged("softmax(3, 5, 0.5, −2, 1.7)", check_value(softmax, printed, at=[3, 5, 0.5, -2, 1.7]))
    for y, t, printed in [
        ([0.5, 0.3, 0.2], [1, 0, 0], "1.2729656758128876"),
        ([0.5, 0.3, 0.2], [0, 1, 0], "2.120263536200091"),
        ([0.1, 0.2, 0.7], [0.3, 0.3, 0.4], "2.2686134086799234"),
    ]:
        at = {"y": np.array(y), "t": np.array(t)}
        claim = f"L = −Σ t ln y = {printed[:8]}… for y = {y}, t = {t}"
        yield judged(claim, check_value(text_loss, printed, at=at, out="L"))
    v = np.array([-2.0, -0.5, 0.5, 3.0])
    yield judged('the sigmoid, coded "1 / 1 + exp(-v)"', check_value(logistic, coded(v), at=v, out="σ(v)"))
    forward = {**BEFORE, "x": X}
    report = check_value(exercise_output, ["0.0561", "0.9439"], at=forward)
    yield judged("the network's output y, with sigma as coded", report)
    forward["t"] = T
    report = check_value(exercise_error, "0.8910265888763901", at=forward)
    yield judged("its error E = 0.8910265888763901", report)

    hand = check_steps(exercise_error, BACKPROPAGATION, at=forward)
    claims = {
        "e": "output error e = (y − t) y (1 − y), for ∂E/∂z2",
        "d": "hidden error d = (e W2ᵀ) h (1 − h), for ∂E/∂z1",
        "W2": "∂E/∂W2: the scalar h · e in every entry",
        "b2": "∂E/∂b2: the scalar Σ e in every entry",
        "W1": "∂E/∂W1: the scalar x · d in every entry",
        "b1": "∂E/∂b1: the scalar Σ d in every entry",
    }
    yield from judged_steps(claims, hand)
    implied = {(f"{name} printed", name): (BEFORE[name] - after) / RATE for name, after in AFTER.items()}
    figures = check_steps(
        exercise_error, {**BACKPROPAGATION, **implied}, at=forward, rtol=0, atol=1e-8 / RATE
    )
    yield from judged_steps(
        {f"{name} printed": f"{name} as printed after the step" for name in AFTER}, figures
    )
    stepped = {name: BEFORE[name] - RATE * np.asarray(hand[name].yours) for name in AFTER}
    report = check_value(exercise_output, ["0.0575", "0.9425"], at={**stepped, "x": X})
    yield judged("y with these parameters", report)
    report = check_value(exercise_error, "0.8883528604776105", at={**stepped, "x": X, "t": T})
    yield judged("E = 0.8883528604776105 with these parameters", report)


# --- lecture notes: activations, a 3-3-3 network, the recurrences of backpropagation -----------------

NOTES = {
    "W1": np.array([[0.2, 0.15, -0.01], [0.01, -0.1, -0.06], [0.14, -0.2, -0.03]]),
    "b1": np.ones(3),
    "W2": np.array([[0.08, 0.11, -0.3], [0.1, -0.15, 0.08], [0.1, 0.1, -0.07]]),
    "b2": np.array([0.0, 1.0, 0.0]),
    "x": np.array([1.0, 0.0, 0.0]),
    "t": np.array([0.0, 1.0, 0.0]),
}
LOSSES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "Σ |y − t|": (absolute_error, lambda y, t: np.sign(y - t)),
    "Σ (y − t)²": (squared_error, lambda y, t: 2 * (y - t)),
    "−Σ t ln y": (cross_entropy, lambda y, t: -t / y),
}


def notes_loss(loss: Callable[..., Any], activation: Callable[..., Any]) -> Callable[..., Any]:
    """The loss of y = activation(W2 a + b2), a = tanh(W1 x + b1)."""

    def of(W1: Any, b1: Any, W2: Any, b2: Any, x: Any, t: Any) -> Any:
        a = named(np.tanh(named(W1 @ x + b1, "z1")), "a")
        y = named(activation(named(W2 @ a + b2, "z2")), "y")
        return named(loss(y, t), "C")

    return of


def network_notes() -> Iterator[Judged]:
    """The derivatives of activations, and the recurrences with and without their condition."""
    for name, activation, derivative in [
        ("sigmoid' = y (1 − y)", sigmoid, "y * (1 - y)"),
        ("tanh' = 1 − y²", np.tanh, lambda x, y: 1 - y * y),
        ("rectifier' = [x > 0]", relu, "x > 0"),
        ("softplus' = sigmoid", softplus, "sigmoid(x)"),
    ]:
        at = {"x": 0.7} if activation is not np.tanh else 0.7
        yield judged(name, check_gradient(activation, derivative, at=at, out="y", domain=(-3, 3)))
    for text, (loss, slope) in LOSSES.items():
        steps: dict[Any, Any] = {
            ("delta2", "z2"): lambda y, t, slope=slope: slope(y, t) * y * (1 - y),
            ("delta1", "z1"): lambda W2, delta2, a: (W2.T @ delta2) * (1 - a * a),
            "b2": lambda delta2: delta2,
            "W2": "delta2[i] * a[j]",
            "b1": lambda delta1: delta1,
            "W1": "delta1[i] * x[j]",
        }
        if loss is absolute_error:
            report = check_steps(notes_loss(loss, sigmoid), steps, at=NOTES)
            claims = {
                "delta2": "δᴸ = ∂C/∂aᴸ · σ′(zᴸ), elementwise, σ a sigmoid",
                "delta1": "δˡ = (Wˡ⁺¹ᵀ δˡ⁺¹) · σ′(zˡ)",
                "b2": "∂C/∂bˡ = δˡ",
                "W2": "∂C/∂Wˡᵢⱼ = δˡᵢ aˡ⁻¹ⱼ",
            }
            yield from judged_steps(claims, report)
        report = check_steps(notes_loss(loss, softmax), steps, at=NOTES)
        claims = {"delta2": f"beyond its condition: the same δᴸ for a softmax, C = {text}"}
        yield from judged_steps(claims, report)


# --- a series on the derivative of a softmax layer ---------------------------------------------------

LAYER = {
    "W": np.array([[0.1, 0.2, 0.3, 0.4, 0.5], [0.6, 0.7, 0.8, 0.9, 0.1], [0.11, 0.12, 0.13, 0.14, 0.15]]),
    "x": np.array([0.1, 0.5, 0.4]),
}
CLASS = np.eye(5)[2]
S_PRINTED = ["0.19091352", "0.20353145", "0.21698333", "0.23132428", "0.15724743"]
JACOBIAN_PRINTED = [
    ["0.154465", "-0.038856", "-0.041425", "-0.044162", "-0.030020"],
    ["-0.038856", "0.162106", "-0.044162", "-0.047081", "-0.032004"],
    ["-0.041425", "-0.044162", "0.1699015", "-0.050193", "-0.034120"],
    ["-0.044162", "-0.047081", "-0.050193", "0.177813", "-0.036375"],
    ["-0.030020", "-0.032004", "-0.034120", "-0.036375", "0.132520"],
]
GRADIENT_PRINTED = [
    ["0.01909135", "0.09545676", "0.07636541", "0.02035314", "0.10176572"],
    ["0.08141258", "-0.07830167", "-0.39150833", "-0.31320667", "0.02313243"],
    ["0.11566214", "0.09252971", "0.01572474", "0.07862371", "0.06289897"],
]


def layer(W: Any, x: Any) -> Any:
    """S = softmax(Wᵀ x)."""
    return named(softmax(named(W.T @ x, "z")), "S")


def layer_loss(W: Any, x: Any, y: Any) -> Any:
    """Its cross-entropy."""
    return named(cross_entropy(layer(W, x), y), "XE")


def stored_by_columns(W: Any, x: Any, y: Any) -> Any:
    """dXE/dW_ji at position i * 3 + j of a vector, which is then reshaped to the shape of W."""
    vector = np.zeros(15)
    for i, error in enumerate(layer(W, x) - y):
        for j in range(3):
            vector[i * 3 + j] = error * x[j]
    return vector.reshape(W.shape)


def softmax_layer_series() -> Iterator[Judged]:
    """Softmax, its Jacobian, that of a layer, and the gradient of a loss for its weights."""
    everything = {**LAYER, "y": CLASS}
    z, S = LAYER["W"].T @ LAYER["x"], layer(**LAYER)
    yield judged("S = softmax(Wᵀx)", check_value(layer, S_PRINTED, at=LAYER))
    yield judged("XE = 1.5279347484961026", check_value(layer_loss, "1.5279347484961026", at=everything))
    report = check_gradient(lambda S: cross_entropy(S, CLASS), ["0", "0", "-4.60864", "0", "0"], at=S)
    yield judged("∂XE/∂S as printed", report)
    yield judged("∂S/∂z as printed", check_jacobian(softmax, JACOBIAN_PRINTED, at=z, out="S"))
    report = check_jacobian(softmax, lambda S: np.diag(S) - np.outer(S, S), at=z, out="S")
    yield judged("∂S/∂z = diag(S) − S Sᵀ", report)
    report = check_jacobian(layer, "S[i] * ((i == k) - S[k]) * x[j]", at=LAYER, wrt="W", out="S")
    yield judged("∂S_t/∂W_ji = S_t ([i = t] − S_i) x_j", report)
    steps = check_steps(layer_loss, {"W": "(S[j] - y[j]) * x[i]"}, at=everything)
    yield from judged_steps({"W": "∂XE/∂W_ji = (S_i − y_i) x_j"}, steps)
    stored = check_gradient(layer_loss, stored_by_columns, at=everything, wrt="W", out="XE")
    yield judged("∂XE/∂W_ji stored at i · 3 + j and reshaped like W", stored)
    printed = check_gradient(layer_loss, GRADIENT_PRINTED, at=everything, wrt="W", out="XE")
    yield judged("∂XE/∂W as printed", printed)


# --- a tutorial page: formulas, no figures -----------------------------------------------------------


def softmax_intermezzo() -> Iterator[Judged]:
    """Derivatives of softmax and cross-entropy by the quotient and chain rules."""
    z, t = np.array([1.5, -0.5, 0.75]), np.array([0.0, 0.0, 1.0])
    report = check_jacobian(softmax, "y[i] * ((i == j) - y[j])", at=z, out="y")
    yield judged("∂yᵢ/∂zᵢ = yᵢ (1 − yᵢ), ∂yᵢ/∂zⱼ = −yᵢ yⱼ", report)

    def loss(z: Any, t: Any) -> Any:
        return named(cross_entropy(named(softmax(z), "y"), t), "ξ")

    steps = check_steps(loss, {"z": "y[i] - t[i]"}, at={"z": z, "t": t}, domain={"t": "simplex"})
    yield from judged_steps({"z": "∂ξ/∂zᵢ = yᵢ − tᵢ"}, steps)

    def two_classes(y: Any, t: Any) -> Any:
        return cross_entropy(np.stack([y, 1 - y]), np.stack([t, 1 - t]))

    at = {"y": np.array(0.3), "t": np.array(0.8)}
    value = -0.8 * np.log(0.3) - 0.2 * np.log(0.7)
    yield judged(
        "two classes: ξ = −t ln y − (1 − t) ln(1 − y)", check_value(two_classes, value, at=at, out="ξ")
    )
    Y = softmax(np.array([[1.5, -0.5, 0.75], [0.1, 0.2, 0.3]]))
    T = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    report = check_value(lambda Y, T: cross_entropy(Y, T, "sum"), -np.sum(T * np.log(Y)), at={"Y": Y, "T": T})
    yield judged("batch: ξ = −Σ Σ t ln y", report)


# --- a worked example of one step of softmax regression ----------------------------------------------

REGRESSION = {
    "W": np.full((2, 3), 0.5),
    "b": np.ones(3),
    "x": np.array([8.0, 7.0]),
    "y": np.array([0.0, 0.0, 1.0]),
}
W_AFTER = [["-2.16666667", "-2.16666667", "5.83333333"], ["-1.83333333", "-1.83333333", "5.16666667"]]
B_AFTER = ["0.66666667", "0.66666667", "1.66666667"]


def probabilities(W: Any, b: Any, x: Any) -> Any:
    """ŷ = softmax(Wᵀ x + b)."""
    return named(softmax(named(W.T @ x + b, "theta")), "p")


def regression_loss(W: Any, b: Any, x: Any, y: Any) -> Any:
    """J = −Σ y ln ŷ."""
    return named(cross_entropy(probabilities(W, b, x), y), "J")


def softmax_regression_walkthrough() -> Iterator[Judged]:
    """The loss before, the gradient, the parameters and the loss after."""
    x = REGRESSION["x"]
    yield judged(
        "J = 1.9095425 before the step", check_value(regression_loss, "1.9095425", at=REGRESSION, out="J")
    )
    steps = {"theta": "p - y", "W": "(p[j] - y[j]) * x[i]", "b": "p - y"}
    claims = {"theta": "∂J/∂θ = ŷ − y", "W": "∂J/∂W_ik = (ŷ_k − y_k) x_i", "b": "∂J/∂b = ŷ − y"}
    yield from judged_steps(claims, check_steps(regression_loss, steps, at=REGRESSION))
    yield judged("W after the step", check_update(regression_loss, {"W": W_AFTER}, 1, at=REGRESSION))
    yield judged("b after the step", check_update(regression_loss, {"b": B_AFTER}, 1, at=REGRESSION))
    y_after = np.array([3.09335001e-50, 3.09335001e-50, 1.0])
    at = {"y": y_after, "t": REGRESSION["y"]}
    yield judged("J = 2.99760217e-15 after it", check_value(text_loss, "2.99760217e-15", at=at, out="J"))
    step = probabilities(**{name: REGRESSION[name] for name in ("W", "b", "x")}) - REGRESSION["y"]
    after = {"W": REGRESSION["W"] - np.outer(x, step), "b": REGRESSION["b"] - step, "x": x}
    printed = ["3.09335001e-50", "3.09335001e-50", "1.0"]
    yield judged("ŷ after it", check_value(probabilities, printed, at=after, out="ŷ"))


# --- the table ---------------------------------------------------------------------------------------

SOURCES: dict[str, Callable[[], Iterator[Judged]]] = {
    "softmax exercises": softmax_exercises,
    "network notes": network_notes,
    "softmax layer series": softmax_layer_series,
    "softmax intermezzo": softmax_intermezzo,
    "softmax regression": softmax_regression_walkthrough,
}


def audit() -> Iterator[Finding]:
    """Every claim of every source, judged."""
    for source, claims in SOURCES.items():
        for claim, verdict, note, explanations in claims():
            diagnosis = explanations[0].text if explanations else note
            kinds = tuple(explanation.kind for explanation in explanations)
            yield Finding(source, claim, VERDICTS.get(verdict, verdict), diagnosis, kinds)


WIDTHS = (12, 34, 8, 50)  # with the gaps, 110 columns


def table(findings: Iterable[Finding]) -> Iterator[str]:
    """The findings as aligned columns."""
    yield from _wrapped("source", "claim", "verdict", "diagnosis")
    yield "  ".join("-" * width for width in WIDTHS)
    for finding in findings:
        yield from _wrapped(*finding[:4])


def _wrapped(*cells: str) -> Iterator[str]:
    columns = [textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, WIDTHS, strict=True)]
    for i in range(max(map(len, columns))):
        parts = [column[i] if i < len(column) else "" for column in columns]
        padded = (part.ljust(width) for part, width in zip(parts, WIDTHS, strict=True))
        yield "  ".join(padded).rstrip()


def markdown(findings: Iterable[Finding]) -> Iterator[str]:
    """The findings as a table in Markdown; a source's claims of one verdict and diagnosis share a row."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for source, claim, verdict, diagnosis, _ in findings:
        rows.setdefault((source, verdict, diagnosis), []).append(claim)
    yield "| source | claim | verdict | diagnosis |"
    yield "|---|---|---|---|"
    for (source, verdict, diagnosis), claims in rows.items():
        cells = (source, "; ".join(claims), verdict, diagnosis)
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Audit published derivations of softmax and cross-entropy.")
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    form = markdown if parser.parse_args().markdown else table
    print("\n".join(form(audit())))


if __name__ == "__main__":
    main()
