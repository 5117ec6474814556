"""The seven steps before a long training: a pipeline with a fault, and as the check mends it."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ensemble_pipe.config.reading import load_pipeline
from ensemble_pipe.core.storage import RunPaths
from ensemble_pipe.report.drawing import legend, line, marker
from ensemble_pipe.search.check import check
from techniques.comparing import spread, surely_less
from techniques.drawing import draw_curves, panels
from techniques.frame import Outcomes, Seen, Technique, markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUNS: dict[str, dict[str, Any]] = {
    "as written": {},
    "as the check advises": {"training.optimizer.learning_rate": 0.014},
}
WRITTEN, ADVISED = RUNS


def measure(paths: RunPaths) -> dict[str, Any]:
    """Return what the check of the run's pipeline finds, step by step, and what it would change."""
    config, _ = load_pipeline(paths.pipeline)
    found = check(config)
    steps = [asdict(step) for step in found.steps]
    return {"steps": steps, "changes": found.changes}


def draw(outcomes: Outcomes) -> "dict[str, Figure]":
    figure, axes = panels(2)
    for place, (title, name) in enumerate(
        (("4 coarse search", "coarse"), ("5 refined", "refined"))
    ):
        trials = _step(outcomes, title[0])["measured"]["trials"]
        points = np.array([(one["learning_rate"], one["loss"]) for one in trials])
        axes[0].plot(
            *points.T, marker(place), label=f"{name} search", color=line(place)["color"],
            fillstyle="none", markersize=7, mew=1.5,
        )  # fmt: skip
        axes[0].plot(*points[0], "x", color="#000000", markersize=9)
    axes[0].plot([], [], "x", color="#000000", label="the pipeline's own rate")
    suggestion = _step(outcomes, "3")["measured"]["suggestion"]
    axes[0].axvline(suggestion, color="#000000", linestyle=":", label="range test suggests")
    axes[0].set(xscale="log", yscale="log", xlabel="learning rate", ylabel="held-out loss")
    axes[0].set_title("trials of the check", fontsize=10)
    legend(axes[0], loc="lower left")
    curves = {label: one.curve("stop/loss") for label, one in outcomes.items()}
    draw_curves(axes[1], curves, "runs, loss on the stop part", "cross-entropy")
    return {"seven_steps": figure}


def table(outcomes: Outcomes) -> str:
    rows = [
        (step["title"], step["verdict"], "; ".join(_warnings(step)) or "none")
        for step in outcomes[WRITTEN].more["steps"]
    ]
    results = [
        (label, spread(one, "accuracy"), spread(one, "nll")) for label, one in outcomes.items()
    ]
    advice = ", ".join(f"`{path}: {value}`" for path, value in _changes(outcomes).items())
    return "\n\n".join((
        "Of the pipeline as it is written:",
        markdown(("step", "verdict", "warnings"), rows),
        f"Step 7 advises {advice or 'nothing'}.",
        markdown(("run", "test accuracy, mean of 4", "test NLL, mean of 4"), results),
    ))  # fmt: skip


def seen(outcomes: Outcomes) -> list[Seen]:
    first, few = (_step(outcomes, number)["measured"] for number in "12")
    written, advised = (outcomes[label] for label in RUNS)
    suggestion = _step(outcomes, "3")["measured"]["suggestion"]
    best = min(_step(outcomes, "5")["measured"]["trials"], key=lambda one: one["loss"])
    return [
        Seen(
            "The first loss is what chance gives, log C of C classes (CS231n; Karpathy 2019).",
            f"{first['loss']:.2f}, where chance gives {first['chance']:.2f}: first weights of a "
            "deviation of √(2/D) in the last layer spread the first logits a little.",
            abs(first["loss"] - first["chance"]) < 0.1 * first["chance"],
        ),
        Seen(
            "A network that works learns a few rows by heart (CS231n; Karpathy 2019).",
            f"The loss of {few['rows']} rows falls to {few['loss']:.2f}.",
            few["loss"] < 0.1 * few["chance"],
        ),
        Seen(
            "A rate that lowers the loss is found within an epoch (Smith 2017; CS231n).",
            f"The range test suggests {suggestion:.2g}; the best of all trials has "
            f"{best['learning_rate']:.2g}.",
            1 / 3 < suggestion / best["learning_rate"] < 3,
        ),
        Seen(
            "From coarse to fine, a few short trials find good settings (CS231n).",
            f"Trained as long, a member's accuracy is {spread(advised, 'accuracy')} with the "
            f"advice, {spread(written, 'accuracy')} without.",
            surely_less(written, advised, "accuracy"),
        ),
    ]


TECHNIQUE = Technique(
    "seven_steps",
    {"seven_steps": RUNS},
    {"training.epochs": 1, "ensemble.learners": 2},
    draw,
    table,
    seen,
    measure,
)


def _step(outcomes: Outcomes, number: str) -> Any:
    """Return a step of the check of the pipeline as it is written."""
    steps = outcomes[WRITTEN].more["steps"]
    return next(step for step in steps if step["title"].startswith(number))


def _warnings(step: Any) -> list[str]:
    return [f"`{one['name']}`" for one in step["findings"] if one["level"] == "warning"]


def _changes(outcomes: Outcomes) -> dict[str, Any]:
    changes: dict[str, Any] = outcomes[WRITTEN].more["changes"]
    return changes
