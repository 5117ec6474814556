"""Snapshots under cyclic rates, beside one network and independent ones at equal cost."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.report.drawing import BLUE, VERMILION
from ensemble_pipe.tracking.run_summary import read_run_summary
from techniques.comparing import (
    are_surely_above_zero,
    by_seed,
    draw_kinds,
    for_seeds,
    less_by_seed,
    of_kind,
    shown,
)
from techniques.drawing import draw_curves, panels
from techniques.frame import Outcomes, Seen, Technique, markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEDS = (1, 2, 3)
_COSINE = {"training.schedule": {"name": "cosine"}}
KINDS: dict[str, dict[str, Any]] = {
    "snapshots": {},
    "one network": {**_COSINE, "ensemble": {"strategy": "independent", "learners": 1}},
    "checkpoints": {
        "training.schedule": {"name": "constant"},
        "ensemble": {"strategy": "checkpoints", "learners": 1, "every": 4},
    },
    "five networks": {
        **_COSINE, "training.epochs": 4, "ensemble": {"strategy": "independent", "learners": 5},
    },
}  # fmt: skip
SNAPSHOTS, ONE, CHECKPOINTS, FIVE = KINDS


def measure(paths: RunPaths) -> dict[str, Any]:
    """Return how often two members disagree on a test row; 0 of one member."""
    metrics = read_run_summary(paths).metrics
    return {"disagreement": metrics.get("diversity/test/disagreement", 0.0)}


def draw(outcomes: Outcomes) -> "dict[str, Figure]":
    figure, axes = panels(3)
    curves = {
        kind: outcomes[f"{kind}, seed 1"].curve("train/loss")
        for kind in (SNAPSHOTS, ONE, CHECKPOINTS)
    }
    draw_curves(axes[0], curves, "training loss, seed 1", "cross-entropy")
    axes[0].set_yscale("log")
    _draw_numbers(axes[1], outcomes)
    draw_kinds(axes[2], outcomes, list(KINDS), "nll")
    axes[2].set_title("ensembles at 20 epochs in all", fontsize=10)
    return {"snapshots": figure}


def _draw_numbers(axis: Any, outcomes: Outcomes) -> None:
    """Draw the NLL of every snapshot, in order, beside that of their ensemble."""
    for place, one in enumerate(of_kind(outcomes, SNAPSHOTS)):
        values = one.members["nll"]
        cycles = range(1, len(values) + 1)
        drawn = {"color": BLUE, "marker": "os^"[place], "linewidth": 0.8, "fillstyle": "none"}
        axis.plot(cycles, values, label=None if place else "a snapshot", **drawn)
        label = None if place else "the ensemble of all"
        axis.axhline(one.ensemble["nll"], color=VERMILION, linestyle="--", label=label)
    axis.set_xticks(cycles)
    axis.margins(y=0.3)
    axis.set(xlabel="cycle", ylabel="test NLL")
    axis.set_title("three seeds: snapshots one by one", fontsize=10)
    axis.legend(frameon=False, fontsize=8, loc="upper right")


def table(outcomes: Outcomes) -> str:
    rows = [
        (
            kind,
            len(of_kind(outcomes, kind)[0].members["nll"]),
            *(shown(by_seed(outcomes, kind, metric)) for metric in ("accuracy", "nll")),
            f"{np.mean([one.more['disagreement'] for one in of_kind(outcomes, kind)]):.4f}",
        )
        for kind in KINDS
    ]
    head = ("20 epochs as", "members", "test accuracy", "test NLL", "disagreement of two members")
    return markdown(head, rows)


def seen(outcomes: Outcomes) -> list[Seen]:
    texts = {kind: shown(by_seed(outcomes, kind, "nll")) for kind in KINDS}
    apart = {
        kind: float(np.mean([one.more["disagreement"] for one in of_kind(outcomes, kind)]))
        for kind in KINDS
    }
    return [
        Seen(
            "Snapshots are better than one network of the same cost (Huang et al. 2017, table 1).",
            f"NLL {texts[SNAPSHOTS]}, of one network {texts[ONE]}.",
            are_surely_above_zero(less_by_seed(outcomes, SNAPSHOTS, ONE)),
        ),
        Seen(
            "They are better than checkpoints without cycles (Huang et al. 2017, section 4.3).",
            f"NLL {texts[SNAPSHOTS]}, of checkpoints under a constant rate {texts[CHECKPOINTS]}.",
            are_surely_above_zero(less_by_seed(outcomes, SNAPSHOTS, CHECKPOINTS)),
        ),
        Seen(
            "They differ less than independent networks (Fort et al. 2019).",
            f"Two snapshots disagree on {apart[SNAPSHOTS]:.4f} of the rows, two independent "
            f"networks of four epochs on {apart[FIVE]:.4f}.",
            apart[SNAPSHOTS] < apart[FIVE],
        ),
        Seen(
            "At equal cost they are better than independent networks, which are undertrained "
            "(Huang et al. 2017, section 4.4).",
            f"NLL {texts[SNAPSHOTS]}, of five networks of four epochs {texts[FIVE]}, which are "
            "enough for so few digits.",
            are_surely_above_zero(less_by_seed(outcomes, SNAPSHOTS, FIVE)),
        ),
    ]


TECHNIQUE = Technique(
    "snapshots",
    {"snapshots": for_seeds(KINDS, SEEDS)},
    {"training.epochs": 5, "splits.train": 100, "seed": 1},
    draw,
    table,
    seen,
    measure,
)
