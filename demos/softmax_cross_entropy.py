"""The main job: softmax and cross-entropy from primitives, backpropagated, checked by hand, drawn."""

from typing import Any

import numpy as np

from autograd_mini import check_gradient, check_jacobian, draw, values

LOGITS = [1.5, -0.5, 0.75]
TARGET = np.array([0.0, 0.0, 1.0])

# Every exp, +, / and log below becomes a node of the graph.
z = values(LOGITS, "z")
e = np.exp(z)
S = e / np.sum(e)
loss = -np.sum(TARGET * np.log(S))
loss.label = "loss"
loss.backward()
print(f"softmax(z)        {S.data}")
print(f"cross-entropy     {loss.data:.10f}")
print(f"engine's gradient {z.grad}")

print("\nThe gradient with respect to the logits is y - t:")
by_hand = S.data - TARGET
print(f"y - t             {by_hand}")
print(f"largest difference {np.abs(z.grad - by_hand).max():.1e}")

print("\nThe Jacobian of softmax, row by row from the engine, beside diag(S) - S Sᵀ:")
rows = []
for output in S:
    z.zero_grad()
    output.backward()
    rows.append(z.grad)
jacobian, analytic = np.array(rows), np.diag(S.data) - np.outer(S.data, S.data)
for engine_row, analytic_row in zip(jacobian, analytic, strict=True):
    print(
        "  ", "  ".join(f"{x: .8f}" for x in engine_row), "  |", "  ".join(f"{x: .8f}" for x in analytic_row)
    )
print(f"largest difference {np.abs(jacobian - analytic).max():.1e}")


def my_softmax(z: Any) -> Any:
    """Softmax as a book has it for floats; it runs on Values unchanged."""
    e = np.exp(z - np.max(z))
    return e / np.sum(e)


def my_loss(z: Any) -> Any:
    """Cross-entropy of softmax against the target."""
    return -np.sum(TARGET * np.log(my_softmax(z)))


print("\nThe same two derivations, held against the engine and against finite differences:\n")
jacobian_report = check_jacobian(
    my_softmax, lambda z: np.diag(s := my_softmax(z)) - np.outer(s, s), at=LOGITS
)
gradient_report = check_gradient(my_loss, lambda z: my_softmax(z) - TARGET, at=LOGITS)
print(jacobian_report)
print()
print(gradient_report)

path = draw(loss).save("softmax_cross_entropy.svg")
print(f"\nThe graph is in {path}")
jacobian_report.raise_if_wrong()
gradient_report.raise_if_wrong()
