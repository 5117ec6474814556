"""The picture of `search.py`: random draws and a grid, and the best so far of every driver."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "search_drivers.png"
RATE = "training.optimizer.learning_rate"
_TITLES = {"letter": "letter", "fashion": "Fashion-MNIST"}
_COLOURS = {
    "grid": "#7f7f7f", "random": "#2166ac", "tpe": "#c0392b", "gp": "#e08214",
    "median": "#80b1d3", "successive_halving": "#1b7837", "hyperband": "#762a83",
}  # fmt: skip


def draw_drivers(studies: Mapping[str, Any]) -> "Figure":
    """Draw two panels for each data set: trials by their rate, and the best score by the epochs.

    Args:
        studies: the result of `driver_study`, by data set.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.2, 3.4 * len(studies)), layout="constrained")
    for place, (name, study) in enumerate(studies.items()):
        trials = figure.add_subplot(len(studies), 2, 2 * place + 1)
        curves = figure.add_subplot(len(studies), 2, 2 * place + 2)
        _draw_trials(trials, study["arms"])
        _draw_curves(curves, study["arms"])
        trials.set_title(f"{_TITLES[name]}: the trials of one seed", fontsize=9)
        curves.set_title(f"{_TITLES[name]}: mean over seeds, ± standard error", fontsize=9)
        for panel in (trials, curves):
            panel.tick_params(labelsize=7)
            panel.grid(alpha=0.25)
            panel.spines[["top", "right"]].set_visible(False)
            panel.legend(fontsize=7, frameon=False)
    return figure


def _draw_trials(panel: "Axes", arms: Mapping[str, Any]) -> None:
    for arm, marker in (("grid", "s"), ("random", "o")):
        trials = [one for one in arms[arm]["trials_of_first_seed"] if one["score"] is not None]
        rates = [one["values"][RATE] for one in trials]
        scores = [one["score"] for one in trials]
        rates_tried = f"{arm}, {len(set(rates))} learning rates"
        panel.plot(rates, scores, marker, color=_COLOURS[arm], markersize=3, label=rates_tried)
    panel.set_xscale("log")
    panel.set_xlabel("learning rate", fontsize=8)
    panel.set_ylabel("validation NLL", fontsize=8)


def _draw_curves(panel: "Axes", arms: Mapping[str, Any]) -> None:
    for arm, own in arms.items():
        if "curve" in own:
            _draw_curve(panel, arm, own)
    for rule in dict.fromkeys(arm.split()[0] for arm in arms if " " in arm):
        sizes = [own for arm, own in arms.items() if arm.startswith(f"{rule} ")]
        above = [np.mean(own["above_lowest"]) for own in sizes]
        colour, label = _COLOURS[rule], rule.replace("_", " ")
        panel.plot(
            [own["epochs"] for own in sizes], above, "o--", markersize=4, color=colour, label=label
        )
    panel.set_xlim(40, 760)
    panel.set_ylim(0, 0.3)
    panel.set_xlabel("epochs of all trials", fontsize=8)
    panel.set_ylabel("best NLL so far, above the lowest found", fontsize=8)


def _draw_curve(panel: "Axes", arm: str, own: Mapping[str, Any]) -> None:
    """Draw the mean over seeds, and a standard error on each side as a band."""
    epochs = own["epochs"] * np.arange(1, own["trials"] + 1) / own["trials"]
    mean = np.array([point["above_lowest"] for point in own["curve"]])
    error = np.array([point["standard_error"] for point in own["curve"]])
    panel.plot(epochs, mean, color=_COLOURS[arm], linewidth=1.3, label=arm)
    colour = _COLOURS[arm]
    panel.fill_between(epochs, mean - error, mean + error, color=colour, alpha=0.12, linewidth=0)
