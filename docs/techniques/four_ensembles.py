"""The four ensembles of CS231n: initialisations, best trials, checkpoints, averaged weights."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ensemble_pipe.run.pipeline import RunResult, run
from ensemble_pipe.search.pipeline import search
from techniques.comparing import (
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
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "one network": ("four_ensembles", {"training.averaging": None}),
    "five initialisations": (
        "four_ensembles", {"training.averaging": None, "ensemble.learners": 5},
    ),
    "five checkpoints": (
        "four_ensembles",
        {
            "training.averaging": None,
            "ensemble": {"strategy": "checkpoints", "learners": 1, "every": 2, "last": 5},
        },
    ),
    "averaged weights": ("four_ensembles", {}),
    "the best five of a search": ("four_ensembles_search", {}),
}  # fmt: skip
RUNS = {
    name: for_seeds({kind: own for kind, (used, own) in KINDS.items() if used == name}, SEEDS)
    for name in ("four_ensembles", "four_ensembles_search")
}
ONE, INITIALISATIONS, CHECKPOINTS, AVERAGE, TRIALS = KINDS
# Networks that are trained, and passes of a prediction.
COSTS = {
    ONE: (1, 1),
    INITIALISATIONS: (5, 5),
    TRIALS: (12, 5),
    CHECKPOINTS: (1, 5),
    AVERAGE: (1, 1),
}


def start(pipeline: Path, **settings: Any) -> RunResult:
    """Run a pipeline, or its search."""
    searches = pipeline.stem.endswith("_search")
    return search(pipeline, **settings).run if searches else run(pipeline, **settings)


def draw(outcomes: Outcomes) -> "dict[str, Figure]":
    figure, axes = panels(2)
    for axis, metric in zip(axes, ("accuracy", "nll"), strict=True):
        draw_kinds(axis, outcomes, list(KINDS), metric)
    axes[1].set_yticklabels([])
    return {"four_ensembles": figure}


def table(outcomes: Outcomes) -> str:
    rows = []
    for kind in KINDS:
        cells = [shown(by_seed(outcomes, kind, metric)) for metric in ("accuracy", "nll")]
        less = less_by_seed(outcomes, kind, ONE)
        gain = shown(less) if kind != ONE else ""
        rows.append((kind, *COSTS[kind], *cells, gain))
    head = (
        "ensemble", "trainings", "passes of a prediction", "test accuracy", "test NLL",
        "NLL less than one network's",
    )  # fmt: skip
    return markdown(head, rows)


def seen(outcomes: Outcomes) -> list[Seen]:
    texts = {kind: shown(by_seed(outcomes, kind, "nll")) for kind in KINDS}
    single = f"of one network {texts[ONE]}"
    gain = less_by_seed(outcomes, ONE, AVERAGE, "accuracy")
    return [
        Seen(
            "Several initialisations of one model, averaged at test time, are better than one by "
            "some points (CS231n; Lakshminarayanan et al. 2017).",
            f"NLL {texts[INITIALISATIONS]}, {single}.",
            are_surely_above_zero(less_by_seed(outcomes, INITIALISATIONS, ONE)),
        ),
        Seen(
            "The best models of a search make an ensemble without further training, at the risk of "
            "weaker members (CS231n).",
            f"NLL {texts[TRIALS]}, of five initialisations {texts[INITIALISATIONS]}: the search "
            "found better settings, too, so the gain is not that of difference alone.",
            are_surely_above_zero(less_by_seed(outcomes, TRIALS, ONE)),
        ),
        Seen(
            "Checkpoints of one training cost nothing more, lack some variety, and still work "
            "(CS231n; Chen, Lundberg & Lee 2017).",
            f"NLL {texts[CHECKPOINTS]}, {single}, of five initialisations "
            f"{texts[INITIALISATIONS]}.",
            are_surely_above_zero(less_by_seed(outcomes, CHECKPOINTS, ONE)),
        ),
        Seen(
            "A running average of the weights almost always gains a percent or two, for a second "
            "copy of the weights (CS231n; Polyak & Juditsky 1992).",
            f"Accuracy {shown(by_seed(outcomes, AVERAGE, 'accuracy'))}, of one network "
            f"{shown(by_seed(outcomes, ONE, 'accuracy'))}, a gain of {shown(gain)} by seed; NLL "
            f"{texts[AVERAGE]}.",
            are_surely_above_zero(gain),
        ),
    ]


TECHNIQUE = Technique(
    "four_ensembles", RUNS, {"training.epochs": 2, "seed": 1}, draw, table, seen, start=start
)
