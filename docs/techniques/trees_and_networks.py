"""Trees with networks: one ensemble of both, beside either alone."""

from typing import TYPE_CHECKING, Any

import numpy as np

from techniques.comparing import (
    NAMES,
    are_surely_above_zero,
    by_seed,
    draw_kinds,
    for_seeds,
    less_by_seed,
    shown,
)
from techniques.drawing import panels
from techniques.frame import Outcomes, Seen, Technique, markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEDS = (1, 2, 3)
NETWORKS = {"strategy": "cross_validation", "learners": 5}
BOOSTING = {"strategy": "histogram_boosting", "learners": 5, "cross_validate": True}
FOREST = {"strategy": "random_forest", "trees": 50, "learners": 5, "cross_validate": True}
KINDS: dict[str, dict[str, Any]] = {
    "networks": {"ensemble.pool": [NETWORKS]},
    "boosted trees": {"ensemble.pool": [BOOSTING]},
    "random forests": {"ensemble.pool": [FOREST]},
    "all, equal weights": {},
    "all, fitted weights": {"ensemble.combine": {"method": "weights"}},
}
EITHER, (EQUAL, FITTED) = list(KINDS)[:3], list(KINDS)[3:]
# Of every kind, so that the tests make one run of each combiner.
SMALL = [NETWORKS, {**BOOSTING, "rounds": 3}, {**FOREST, "trees": 3}]
METRICS = ("rmse", "nll")


def draw(outcomes: Outcomes) -> "dict[str, Figure]":
    figure, axes = panels(2)
    for axis, metric in zip(axes, METRICS, strict=True):
        draw_kinds(axis, outcomes, list(KINDS), metric)
    axes[1].set_yticklabels([])
    return {"trees_and_networks": figure}


def table(outcomes: Outcomes) -> str:
    rows = [
        (kind, *(shown(by_seed(outcomes, kind, metric)) for metric in METRICS)) for kind in KINDS
    ]
    return markdown(("ensemble of", *(f"test {NAMES[metric]}" for metric in METRICS)), rows)


def seen(outcomes: Outcomes) -> list[Seen]:
    best = min(EITHER, key=lambda kind: float(np.mean(by_seed(outcomes, kind, "nll"))))
    rmse = {kind: shown(by_seed(outcomes, kind, "rmse")) for kind in KINDS}
    less = less_by_seed(outcomes, EQUAL, best)
    fitted = less_by_seed(outcomes, FITTED, EQUAL)
    apart = less_by_seed(outcomes, EITHER[1], EITHER[0])
    return [
        Seen(
            "Trees are better than networks on tables (Grinsztajn, Oyallon & Varoquaux 2022).",
            f"RMSE of boosted trees {rmse[EITHER[1]]}, of random forests {rmse[EITHER[2]]}, of "
            f"networks {rmse[EITHER[0]]}: these are few rows of ten smooth columns.",
            are_surely_above_zero(apart),
        ),
        Seen(
            "An ensemble of both is better than either, since they err on other rows (Shwartz-Ziv "
            "& Armon 2022, section 3.3).",
            f"The NLL of the best kind alone ({best}) minus its own is {shown(less)}; on adult, "
            "with many rows, 0.0041 ± 0.0001 (`benchmarks/pools.py`).",
            are_surely_above_zero(less),
        ),
        Seen(
            "Weights that are fitted on held-out predictions are better than equal ones "
            "(Wolpert 1992; Caruana et al. 2004).",
            f"Their NLL is less by {shown(fitted)}.",
            are_surely_above_zero(fitted),
        ),
    ]


TECHNIQUE = Technique(
    "trees_and_networks",
    {"trees_and_networks": for_seeds(KINDS, SEEDS)},
    {"training.epochs": 2, "seed": 1, "ensemble.pool": SMALL},
    draw,
    table,
    seen,
)
