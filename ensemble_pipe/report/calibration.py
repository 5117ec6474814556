"""Pictures of whether stated probabilities hold: reliability, coverage, rejection."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.ensemble.measures import rejection
from ensemble_pipe.ensemble.metrics.calibration import reliability
from ensemble_pipe.ensemble.prediction import Prediction
from ensemble_pipe.report.by_group import held_rows
from ensemble_pipe.report.drawing import (
    BLUE,
    GREEN,
    SOFT,
    VERMILION,
    Drawings,
    legend,
    legend_above,
    new_axis,
    short,
    short_ticks,
)
from ensemble_pipe.report.numbers import TestPart

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of fewer of the most certain rows, a mean says more of the rows than of the ensemble.
FEWEST_KEPT = 50
# Of fewer rows in a bin, the share that is right is chance.
FEWEST_IN_BIN = 5
_MOST_POINTS = 300
_LEVELS = np.array([*np.arange(0.05, 0.96, 0.05), 0.99])


def calibration_pictures(test: TestPart) -> Drawings:
    """Return what draws each picture of an ensemble's calibration, by name."""
    found: dict[str, Any] = {"rejection": lambda: rejection_curve(test)}
    if test.schema.task == "classification":
        return {"reliability": lambda: reliability_diagram(test), **found}
    return {"reliability": lambda: coverage_curve(test), **found}


def uncalibrated(prediction: Prediction) -> Prediction | None:
    """Return a prediction without its fitted temperature and noise; None where it has none."""
    combiner = prediction.combiner
    if combiner.temperature == 1.0 and combiner.noise == 0.0:
        return None
    return replace(prediction, combiner=combiner.calibrate(1.0, 0.0))


def _before_and_after(test: TestPart, alone: str) -> list[tuple[str, Prediction, str, str]]:
    """Return label, prediction, colour and style of each line of a picture, the final one last.

    Where nothing was fitted there is one line, with the label `alone`.
    """
    before = uncalibrated(test.prediction)
    if before is None:
        return [(alone, test.prediction, BLUE, "-o")]
    return [
        ("before calibration", before, VERMILION, "--s"),
        ("after calibration", test.prediction, BLUE, "-o"),
    ]


def reliability_diagram(test: TestPart) -> "Figure":
    """Accuracy against confidence, by bins, before and after the fitted temperature."""
    figure, axis = new_axis("confidence in the predicted class", "share that is right")
    axis.plot([0, 1], [0, 1], ":", color=SOFT, linewidth=1.4, label="perfectly calibrated")
    least = 1.0
    for label, prediction, colour, style in _before_and_after(test, "ensemble"):
        bins = reliability(prediction.probabilities, test.targets)
        many = np.rint(bins.share * len(test.targets)) >= FEWEST_IN_BIN
        confidence, accuracy = bins.confidence[many], bins.accuracy[many]
        axis.plot(confidence, accuracy, style, color=colour, ms=4, linewidth=1.4, label=label)
        least = min(least, float(bins.confidence.min()))
    # The last bins are of the prediction itself.
    axis.bar(bins.confidence, bins.share, width=0.02, color=SOFT, alpha=0.4, zorder=1,
             label="share of rows (bars)")  # fmt: skip
    axis.set_xlim(max(0.0, least - 0.05), 1.02)
    axis.set_ylim(0, 1.03)
    legend_above(figure, axis)
    return figure


def coverage_curve(test: TestPart) -> "Figure":
    """Share of true values within central intervals, against the share that these state."""
    figure, axis = new_axis("stated coverage of intervals", "share of true values within")
    axis.plot([0, 1], [0, 1], ":", color=SOFT, linewidth=1.4, label="perfectly calibrated")
    for label, prediction, colour, style in _before_and_after(test, "predicted distribution"):
        held = [_held(prediction, test.truth, one) for one in _LEVELS.tolist()]
        axis.plot(_LEVELS, held, style, color=colour, ms=4, linewidth=1.4, label=label)
    if test.prediction.conformal:
        stated = test.prediction.conformal[0].coverage
        axis.plot([stated], [float(np.mean(held_rows(test)))], "D", color=GREEN, ms=8,
                  label="conformal intervals, as asked for")  # fmt: skip
    legend(axis)
    return figure


def _held(prediction: Prediction, truth: Floats, coverage: float) -> float:
    low, high = prediction.central_interval(coverage)
    return float(np.mean((low <= truth) & (truth <= high)))


def rejection_curve(test: TestPart) -> "Figure":
    """Accuracy or RMSE of the most certain rows, by how many are kept, from `FEWEST_KEPT` on."""
    name, curve = rejection(test.prediction, test.targets)
    ylabel = "share that is right" if name == "accuracy" else "RMSE, the mean over targets"
    if name != "accuracy" and test.schema.target_count == 1:
        ylabel = f"RMSE of {short(test.schema.target_names[0])}"
    figure, axis = new_axis("share of the rows kept, the most certain first", ylabel)
    first = min(FEWEST_KEPT, len(curve.kept)) - 1
    places = np.unique(np.linspace(first, len(curve.kept) - 1, _MOST_POINTS).astype(int))
    axis.plot(curve.kept[places], curve.mean[places], color=BLUE, linewidth=1.6, label="ensemble")
    whole = float(curve.mean[-1])
    axis.axhline(whole, color=SOFT, linestyle=":", linewidth=1.4, label="all rows")
    at = int(0.9 * len(curve.kept)) - 1
    if at > first:
        axis.plot([curve.kept[at]], [curve.mean[at]], "D", color=GREEN, ms=6, label="90% kept")
    axis.set_xlim(1.02, 0)
    short_ticks(axis.yaxis)
    legend(axis)
    return figure
