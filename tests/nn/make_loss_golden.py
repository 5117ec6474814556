"""Writes loss_golden.json: PyTorch's losses and gradients, in float64, for `test_losses.py`.

Needs torch 2.13, which nothing else here does: `python tests/nn/make_loss_golden.py`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found]
from torch.nn import functional  # type: ignore[import-not-found]

ROWS, CLASSES = 6, 4

# A loss for each row, from outputs (N, O) and targets; by default torch takes the mean of them.
Rows = Callable[[Any, Any], Any]


def cross_entropy(smoothing: float) -> Rows:
    return lambda z, t: functional.cross_entropy(z, t, reduction="none", label_smoothing=smoothing)


def binary_cross_entropy(smoothing: float) -> Rows:
    def rows(z: Any, t: Any) -> Any:
        smooth = (1 - smoothing) * t.to(z.dtype) + smoothing / 2
        return functional.binary_cross_entropy_with_logits(z[:, 0], smooth, reduction="none")

    return rows


def hinge(margin: float) -> Rows:
    # PyTorch divides by the number of classes.
    return lambda z, t: (
        CLASSES * functional.multi_margin_loss(z, t, margin=margin, reduction="none")
    )


def squared_error() -> Rows:
    return lambda z, t: functional.mse_loss(z, t, reduction="none").sum(dim=1) / 2


def absolute_error() -> Rows:
    return lambda z, t: functional.l1_loss(z, t, reduction="none").sum(dim=1)


def huber(delta: float) -> Rows:
    return lambda z, t: functional.huber_loss(z, t, reduction="none", delta=delta).sum(dim=1)


def gaussian_nll(variance_floor: float) -> Rows:
    return beta_nll(0.0, variance_floor)


def beta_nll(beta: float, variance_floor: float) -> Rows:
    def rows(z: Any, t: Any) -> Any:
        mean, raw = z.chunk(2, dim=1)
        variance = variance_floor + functional.softplus(raw)
        nll = functional.gaussian_nll_loss(mean, t, variance, full=True, eps=0.0, reduction="none")
        return (variance.detach() ** beta * nll).sum(dim=1)

    return rows


LOSSES: dict[str, Callable[..., Rows]] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "hinge": hinge,
    "squared_error": squared_error,
    "absolute_error": absolute_error,
    "huber": huber,
    "gaussian_nll": gaussian_nll,
    "beta_nll": beta_nll,
}

# Loss, numbers, kind of targets, number of outputs.
CASES: list[tuple[str, dict[str, float], str, int]] = [
    ("cross_entropy", {"smoothing": 0.0}, "classes", CLASSES),
    ("cross_entropy", {"smoothing": 0.15}, "classes", CLASSES),
    ("cross_entropy", {"smoothing": 0.0}, "shares", CLASSES),
    ("cross_entropy", {"smoothing": 0.3}, "shares", CLASSES),
    ("binary_cross_entropy", {"smoothing": 0.0}, "sides", 1),
    ("binary_cross_entropy", {"smoothing": 0.2}, "sides", 1),
    ("binary_cross_entropy", {"smoothing": 0.2}, "share", 1),
    ("hinge", {"margin": 1.0}, "classes", CLASSES),
    ("hinge", {"margin": 2.5}, "classes", CLASSES),
    ("squared_error", {}, "numbers", 1),
    ("squared_error", {}, "numbers", 3),
    ("absolute_error", {}, "numbers", 3),
    ("huber", {"delta": 1.0}, "numbers", 1),
    ("huber", {"delta": 0.4}, "numbers", 3),
    ("gaussian_nll", {"variance_floor": 1e-6}, "numbers", 2),
    ("gaussian_nll", {"variance_floor": 0.1}, "numbers", 4),
    ("beta_nll", {"beta": 0.5, "variance_floor": 1e-6}, "numbers", 2),
    ("beta_nll", {"beta": 1.0, "variance_floor": 0.01}, "numbers", 4),
]


def targets_of(kind: str, name: str, outputs: int, random: np.random.Generator) -> Any:
    columns = outputs // 2 if name.endswith("_nll") else outputs
    draws: dict[str, Callable[[], Any]] = {
        "classes": lambda: random.integers(0, CLASSES, ROWS),
        "sides": lambda: random.integers(0, 2, ROWS),
        "share": lambda: random.random(ROWS).round(3),
        "shares": lambda: random.multinomial(8, [1 / CLASSES] * CLASSES, ROWS) / 8,
        "numbers": lambda: random.standard_normal((ROWS, columns)).round(3),
    }
    return draws[kind]()


def case_of(
    number: int, name: str, numbers: dict[str, float], kind: str, outputs: int
) -> dict[str, Any]:
    """Return a case with the loss and the gradient of sum(weights * rows) / N."""
    random = np.random.default_rng(number)
    drawn = (2.5 * random.standard_normal((ROWS, outputs))).round(3)
    weights = random.exponential(size=ROWS).round(3)
    targets = targets_of(kind, name, outputs, random)
    z = torch.tensor(drawn, requires_grad=True)
    rows = LOSSES[name](**numbers)(z, torch.tensor(targets))
    value = (torch.tensor(weights) * rows).sum() / ROWS
    value.backward()
    return {
        "loss": name,
        "numbers": numbers,
        "outputs": drawn.tolist(),
        "targets": targets.tolist(),
        "weights": weights.tolist(),
        "value": value.item(),
        "gradient": z.grad.tolist(),
    }


if __name__ == "__main__":
    golden = {
        "torch": torch.__version__.split("+")[0],
        "cases": [case_of(number, *case) for number, case in enumerate(CASES)],
    }
    text = json.dumps(golden).replace(' {"loss"', '\n{"loss"').replace(', "', ',\n "')
    Path(__file__).with_name("loss_golden.json").write_text(text + "\n")
