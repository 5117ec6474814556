"""Writes golden.json: PyTorch's optimizers and schedulers in float64, for the tests beside it.

Needs torch 2.13, which nothing else here does: `python tests/optim/make_golden.py`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found]
from torch.nn.utils import clip_grad_norm_  # type: ignore[import-not-found]
from torch.optim import lr_scheduler as lr  # type: ignore[import-not-found]

STEPS, SIZE = 12, 5
START = [0.5, -1.25, 2.0, -0.03, 7.0]
RULES: list[dict[str, Any]] = [
    {"rule": "sgd", "learning_rate": 0.1, "momentum": 0.0},
    {"rule": "sgd", "learning_rate": 0.05, "momentum": 0.9},
    {"rule": "sgd", "learning_rate": 0.1, "momentum": 0.5, "l2": 0.3, "clip_norm": 2.0},
    {"rule": "nesterov", "learning_rate": 0.05, "momentum": 0.9},
    {"rule": "nesterov", "learning_rate": 0.01, "momentum": 0.5, "l2": 0.1},
    {"rule": "adagrad", "learning_rate": 0.01, "epsilon": 1e-10},
    {"rule": "adagrad", "learning_rate": 0.3, "epsilon": 0.1, "l2": 0.2, "clip_norm": 5.0},
    {"rule": "adadelta", "learning_rate": 1.0, "rho": 0.9, "epsilon": 1e-6},
    {"rule": "adadelta", "learning_rate": 0.5, "rho": 0.5, "epsilon": 1e-2, "l2": 0.1},
    {"rule": "rmsprop", "learning_rate": 0.001, "rho": 0.9, "epsilon": 1e-8},
    {"rule": "rmsprop", "learning_rate": 0.01, "rho": 0.99, "epsilon": 1e-3, "l2": 0.1},
    {"rule": "adam", "learning_rate": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    {"rule": "adam", "learning_rate": 0.05, "beta1": 0.5, "beta2": 0.9, "epsilon": 1e-8},
    {"rule": "adam", "learning_rate": 0.01, "beta1": 0.0, "beta2": 0.99, "epsilon": 1e-3},
    {"rule": "adam", "learning_rate": 0.02, "beta1": 0.95, "beta2": 0.9999, "epsilon": 1.0},
    {"rule": "adam", "learning_rate": 0.05, "l2": 0.1, "clip_norm": 1.0},
    {"rule": "adamw", "learning_rate": 0.001, "weight_decay": 0.01},
    {"rule": "adamw", "learning_rate": 0.1, "weight_decay": 0.5, "clip_norm": 3.0},
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
    kind = {
        "sgd": torch.optim.SGD,
        "nesterov": torch.optim.SGD,
        "adagrad": torch.optim.Adagrad,
        "adadelta": torch.optim.Adadelta,
        "rmsprop": torch.optim.RMSprop,
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
    }[case["rule"]]
    names = {
        "learning_rate": "lr",
        "momentum": "momentum",
        "rho": "alpha" if case["rule"] == "rmsprop" else "rho",
        "epsilon": "eps",
        "l2": "weight_decay",
        "weight_decay": "weight_decay",
    }
    settings = {names[key]: value for key, value in case.items() if key in names}
    if "beta1" in case:
        settings["betas"] = (case["beta1"], case["beta2"])
    if case["rule"] == "nesterov":
        settings["nesterov"] = True
    return kind([weights], **settings)


def path_of(case: dict[str, Any]) -> list[list[float]]:
    """Return the weights after each step."""
    weights = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer = optimizer_of(case, weights)
    path = []
    for gradient, factor in zip(gradients(), factors(), strict=True):
        optimizer.param_groups[0]["lr"] = case["learning_rate"] * factor
        weights.grad = torch.tensor(gradient, dtype=torch.float64)
        if "clip_norm" in case:
            clip_grad_norm_([weights], case["clip_norm"])
        optimizer.step()
        path.append(weights.detach().tolist())
    return path


# A schedule's settings, the number of steps, and PyTorch's of the same.
SCHEDULES: list[tuple[dict[str, Any], int, Callable[[Any], Any]]] = [
    ({"name": "step", "every": 0.25, "decay": 0.3}, 24, lambda o: lr.StepLR(o, 6, 0.3)),
    (
        {"name": "multi_step", "milestones": [0.3, 0.5, 0.9], "decay": 0.2},
        20,
        lambda o: lr.MultiStepLR(o, [6, 10, 18], 0.2),
    ),
    ({"name": "exponential", "final": 0.01}, 20, lambda o: lr.ExponentialLR(o, 0.01 ** (1 / 20))),
    ({"name": "polynomial", "power": 1.0}, 20, lambda o: lr.PolynomialLR(o, 20, 1.0)),
    ({"name": "polynomial", "power": 2.5}, 20, lambda o: lr.PolynomialLR(o, 20, 2.5)),
    ({"name": "cosine", "minimum": 0.1}, 20, lambda o: lr.CosineAnnealingLR(o, 20, 0.1)),
    ({"name": "one_cycle"}, 25, lambda o: lr.OneCycleLR(o, 1.0, 25, cycle_momentum=False)),
    (
        {"name": "one_cycle", "rise": 0.45, "start": 0.1, "final": 0.001},
        30,
        lambda o: lr.OneCycleLR(
            o, 1.0, 30, pct_start=0.45, div_factor=10, final_div_factor=100, cycle_momentum=False
        ),
    ),
    (
        {"name": "sgdr", "cycles": 3, "t_mult": 2.0, "minimum": 0.05},
        70,
        lambda o: lr.CosineAnnealingWarmRestarts(o, 10, 2, 0.05),
    ),
    (
        {"name": "triangular", "cycles": 4, "low": 0.25},
        40,
        lambda o: lr.CyclicLR(o, 0.25, 1.0, 5, cycle_momentum=False),
    ),
    (
        {"name": "warm_up", "share": 0.25, "then": {"name": "cosine"}},
        20,
        lambda o: lr.SequentialLR(
            o, [lr.LinearLR(o, 1 / 6, total_iters=5), lr.CosineAnnealingLR(o, 15)], [5]
        ),
    ),
]

PLATEAUS: list[dict[str, Any]] = [
    {"decay": 0.1, "patience": 2},
    {"decay": 0.5, "patience": 0},
    {"decay": 0.5, "patience": 1, "cooldown": 3, "min_change": 0.05},
    {"decay": 0.3, "patience": 1, "minimum": 0.05},
]


def losses() -> list[float]:
    """Return one loss for each epoch: falling, then flat with noise."""
    random = np.random.default_rng(3)
    values = np.exp(-np.arange(40) / 6) + 0.1 + 0.02 * random.standard_normal(40)
    return [round(float(value), 6) for value in values]


def one_parameter() -> Any:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)


def factors_of(total: int, scheduler_of: Callable[[Any], Any]) -> list[float]:
    optimizer = one_parameter()
    scheduler = scheduler_of(optimizer)
    found = []
    for _ in range(total):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(found) < total:
            scheduler.step()
    return found


def plateau_of(case: dict[str, Any]) -> list[float]:
    """Return the factor after each loss."""
    names = {
        "decay": "factor", "patience": "patience", "cooldown": "cooldown",
        "min_change": "threshold", "minimum": "min_lr",
    }  # fmt: skip
    optimizer = one_parameter()
    scheduler = lr.ReduceLROnPlateau(
        optimizer, eps=0.0, **{names[key]: value for key, value in case.items()}
    )
    found = []
    for loss in losses():
        scheduler.step(loss)
        found.append(optimizer.param_groups[0]["lr"])
    return found


if __name__ == "__main__":
    golden = {
        "torch": torch.__version__.split("+")[0],
        "start": START,
        "gradients": gradients(),
        "factors": factors(),
        "cases": [{**case, "path": path_of(case)} for case in RULES],
        "schedules": [
            {"schedule": schedule, "total": total, "factors": factors_of(total, scheduler_of)}
            for schedule, total, scheduler_of in SCHEDULES
        ],
        "losses": losses(),
        "plateaus": [{"plateau": case, "factors": plateau_of(case)} for case in PLATEAUS],
    }
    text = json.dumps(golden).replace("], ", "],\n")
    for key in ("rule", "schedule", "plateau"):
        text = text.replace(f'{{"{key}"', f'\n{{"{key}"')
    Path(__file__).with_name("golden.json").write_text(text + "\n")
