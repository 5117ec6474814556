"""Search by grid, by random draws, by TPE and by a Gaussian process, of as many trials."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.report.drawing import VERMILION, legend, line, marker
from ensemble_pipe.run.pipeline import RunResult
from ensemble_pipe.search.pipeline import search
from ensemble_pipe.search.results import read_trials
from techniques.comparing import are_surely_above_zero, by_seed, for_seeds, shown
from techniques.drawing import panels
from techniques.frame import Outcomes, Seen, Technique, markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEEDS = (1, 2, 3)
RATE, L2, DROPOUT = "training.optimizer.learning_rate", "training.optimizer.l2", "network.dropout"
_GRID = {
    "search.driver": "grid",
    "search.trials": None,
    "search.space": {
        RATE: [0.000464, 0.01, 0.215],  # the middles of thirds of the ranges
        L2: [0.00000068, 0.0000316, 0.00147],
        DROPOUT: [0.067, 0.2, 0.333],
    },
}
DRIVERS: dict[str, dict[str, Any]] = {
    "grid": _GRID,
    "random": {},
    "tpe": {"search.driver": "tpe"},
    "gp": {"search.driver": "gp"},
}


def start(pipeline: Path, **settings: Any) -> RunResult:
    """Search; return the run of the ensemble of the best trial."""
    return search(pipeline, **settings).run


def measure(paths: RunPaths) -> dict[str, Any]:
    """Return learning rate, L2 penalty and validation NLL of each trial, in their order."""
    found = read_trials(paths)
    assert found is not None
    trials = sorted(found[1], key=lambda trial: trial.number)
    points = [(one.values[RATE], one.values[L2], one.score) for one in trials if one.score]
    return {"trials": [[float(value) for value in point] for point in points]}


def draw(outcomes: Outcomes) -> "dict[str, Figure]":
    figure, axes = panels(3)
    for axis, driver in zip(axes, ("grid", "random"), strict=False):
        trials = np.array(outcomes[f"{driver}, seed 1"].more["trials"])
        axis.scatter(
            trials[:, 0], trials[:, 1], s=20 + 160 / (1 + 8 * trials[:, 2]), alpha=0.5,
            color=line(0)["color"],
        )  # fmt: skip
        best = trials[trials[:, 2].argmin()]
        axis.plot(*best[:2], "+", color=VERMILION, markersize=16, mew=2, label="best")
        axis.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="L2 penalty")
        axis.set_title(f"{driver}: {len(set(trials[:, 0]))} rates in {len(trials)} trials")
        axis.title.set_fontsize(10)
        axis.set_xlim(5e-5, 2)
        axis.set_ylim(3e-8, 3e-2)
    for place, driver in enumerate(DRIVERS):
        best = np.mean([_best_so_far(outcomes, driver, seed) for seed in SEEDS], axis=0)
        axes[2].plot(
            np.arange(1, len(best) + 1), best, label=driver, marker=marker(place), markevery=5,
            markersize=4, **line(place),
        )  # fmt: skip
    axes[2].set(xlabel="trials", ylabel="best validation NLL so far", ylim=(0.13, 0.4))
    axes[2].set_title("mean of three seeds", fontsize=10)
    legend(axes[2])
    return {"search": figure}


def table(outcomes: Outcomes) -> str:
    rows = []
    for driver in DRIVERS:
        rates = {trial[0] for trial in outcomes[f"{driver}, seed 1"].more["trials"]}
        rows.append(
            (
                driver,
                len(rates),
                shown(_bests(outcomes, driver)),
                shown(by_seed(outcomes, driver, "nll")),
            )
        )
    head = ("driver", "learning rates tried", "best validation NLL", "test NLL of the best trial")
    return markdown(head, rows)


def seen(outcomes: Outcomes) -> list[Seen]:
    scores = {driver: shown(_bests(outcomes, driver)) for driver in DRIVERS}
    return [
        Seen(
            "Random draws find better trials than a grid of as many, where few hyperparameters "
            "matter (Bergstra & Bengio 2012).",
            f"Best validation NLL {scores['random']}, of the grid {scores['grid']}.",
            are_surely_above_zero(_less(outcomes, "random", "grid")),
        ),
        *(
            Seen(
                f"{name} better trials than random draws.",
                f"Best validation NLL {scores[driver]}, of random draws {scores['random']}; 10 of "
                "the 27 trials are random there, too.",
                are_surely_above_zero(_less(outcomes, driver, "random")),
            )
            for driver, name in (
                ("tpe", "Parzen estimators (Bergstra et al. 2011) find"),
                ("gp", "Gaussian processes (Snoek, Larochelle & Adams 2012) find"),
            )
        ),
    ]


TECHNIQUE = Technique(
    "search",
    {"small_search": for_seeds(DRIVERS, SEEDS)},
    {"training.epochs": 1, "splits.train": 50, "network.hidden": [4], "seed": 1},
    draw,
    table,
    seen,
    measure,
    start,
)


def _best_so_far(outcomes: Outcomes, driver: str, seed: int) -> Any:
    scores = np.array(outcomes[f"{driver}, seed {seed}"].more["trials"])[:, 2]
    return np.minimum.accumulate(scores)


def _bests(outcomes: Outcomes, driver: str) -> list[float]:
    return [float(_best_so_far(outcomes, driver, seed)[-1]) for seed in SEEDS]


def _less(outcomes: Outcomes, lower: str, higher: str) -> list[float]:
    """Return how much lower the best score of one driver is, by seed."""
    pairs = zip(_bests(outcomes, lower), _bests(outcomes, higher), strict=True)
    return [other - one for one, other in pairs]
