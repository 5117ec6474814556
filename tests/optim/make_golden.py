"""Writes golden.json: the paths of PyTorch's optimizers, in float64, for `test_rules.py`.

Needs torch 2.13, which nothing else here does: `python tests/optim/make_golden.py`.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found]

STEPS, SIZE = 12, 5
START = [0.5, -1.25, 2.0, -0.03, 7.0]
CASES: list[dict[str, Any]] = [
    {"rule": "sgd", "learning_rate": 0.1, "momentum": 0.0},
    {"rule": "sgd", "learning_rate": 0.05, "momentum": 0.9},
    {"rule": "adam", "learning_rate": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    {"rule": "adam", "learning_rate": 0.05, "beta1": 0.5, "beta2": 0.9, "epsilon": 1e-8},
    {"rule": "adam", "learning_rate": 0.01, "beta1": 0.0, "beta2": 0.99, "epsilon": 1e-3},
    {"rule": "adam", "learning_rate": 0.02, "beta1": 0.95, "beta2": 0.9999, "epsilon": 1.0},
]


def gradients() -> list[list[float]]:
    """Return one gradient for each step; the columns differ widely in size, the last is sparse."""
    random = np.random.default_rng(20)
    values = random.standard_normal((STEPS, SIZE)) * [1.0, 1e3, 1e-6, 0.1, 1.0]
    values[::3, -1] = 0.0
    rounded: list[list[float]] = [[float(f"{x:.6g}") for x in row] for row in values]
    return rounded


def factors() -> list[float]:
    """Return a learning rate factor for each step, so that the place of the rate is seen."""
    return [round(1.0 - 0.05 * step, 2) for step in range(STEPS)]


def optimizer_of(case: dict[str, Any], weights: Any) -> Any:
    if case["rule"] == "sgd":
        return torch.optim.SGD([weights], lr=case["learning_rate"], momentum=case["momentum"])
    betas = (case["beta1"], case["beta2"])
    return torch.optim.Adam([weights], lr=case["learning_rate"], betas=betas, eps=case["epsilon"])


def path_of(case: dict[str, Any]) -> list[list[float]]:
    """Return the weights after each step."""
    weights = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer = optimizer_of(case, weights)
    path = []
    for gradient, factor in zip(gradients(), factors(), strict=True):
        optimizer.param_groups[0]["lr"] = case["learning_rate"] * factor
        weights.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
        path.append(weights.detach().tolist())
    return path


if __name__ == "__main__":
    golden = {
        "torch": torch.__version__.split("+")[0],
        "start": START,
        "gradients": gradients(),
        "factors": factors(),
        "cases": [{**case, "path": path_of(case)} for case in CASES],
    }
    text = json.dumps(golden).replace("], ", "],\n").replace('{"rule"', '\n{"rule"')
    Path(__file__).with_name("golden.json").write_text(text + "\n")
