"""Pictures of whether stated probabilities hold: reliability, coverage, rejection."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.ensemble.measures import rejection
from ensemble_pipe.ensemble.metrics.calibration import reliability
from ensemble_pipe.ensemble.prediction import Prediction
from ensemble_pipe.report.drawing import (
    BLUE,
    GREEN,
    INK,
    SOFT,
    VERMILION,
    Drawings,
    legend,
    legend_above,
    new_axis,
    short,
    short_ticks,
)
from ensemble_pipe.report.groups import Group
from ensemble_pipe.report.numbers import TestPart

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Of fewer of the most certain rows, a mean says more of the rows than of the ensemble.
FEWEST_KEPT = 50
_MOST_POINTS = 300
_LEVELS = np.array([*np.arange(0.05, 0.96, 0.05), 0.99])


def calibration_pictures(test: TestPart, groups: list[Group]) -> Drawings:
    """Return what draws each picture of an ensemble's calibration, by name.

    Args:
        test: the ensemble on the test part.
        groups: of rows whose coverage is shown.
    """
    found: dict[str, Any] = {"rejection": lambda: rejection_curve(test)}
    if test.schema.task == "classification":
        found = {"reliability": lambda: reliability_diagram(test), **found}
    else:
        found = {"reliability": lambda: coverage_curve(test), **found}
    if test.prediction.conformal and groups:
        found["coverage"] = lambda: coverage_by_group(test, groups)
    return found


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
        axis.plot(bins.confidence, bins.accuracy, style, color=colour, ms=4, linewidth=1.4,
                  label=label)  # fmt: skip
        least = min(least, float(bins.confidence.min()))
    # The last bins are of the prediction itself.
    axis.bar(bins.confidence, 0.25 * bins.share, width=0.02, color=SOFT, alpha=0.5,
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


def held_rows(test: TestPart) -> Floats:
    """Return whether the conformal set or intervals hold the truth, (R,); of targets the mean."""
    prediction = test.prediction
    if test.schema.task == "classification":
        return prediction.sets[np.arange(len(test.targets)), test.targets].astype(np.float64)
    low, high = prediction.interval
    inside: Floats = ((low <= test.truth) & (test.truth <= high)).mean(axis=1)
    return inside


def coverage_by_group(test: TestPart, groups: list[Group]) -> "Figure":
    """Coverage of the conformal sets or intervals in groups of rows, with 95% intervals."""
    held, stated = held_rows(test), test.prediction.conformal[0].coverage
    height = 0.9 + 0.24 * len(groups)
    figure, axis = new_axis("share of rows held", height=height, fits_labels=True)
    axis.axvline(stated, color=VERMILION, linestyle="--", linewidth=1.3, label=f"asked: {stated:g}")
    for place, group in enumerate(groups):
        own = held[group.places]
        share = float(own.mean())
        low, high = wilson(share, len(own))
        axis.plot([low, high], [place, place], "-", color=INK, linewidth=1.2)
        axis.plot([share], [place], "o", color=BLUE, ms=5)
    names = [f"{short(group.name)} ({len(group.places):,})" for group in groups]
    axis.set_yticks(range(len(groups)), names, parse_math=False)
    axis.set_ylim(len(groups) - 0.4, -0.6)
    axis.set_xlim(right=1.005)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper right", frameon=False,
                  fontsize=9)  # fmt: skip
    return figure


def wilson(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Return the ends of the interval of a share of so many rows (Wilson 1927)."""
    whole = 1 + z**2 / count
    centre = (share + z**2 / (2 * count)) / whole
    half = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / whole
    return float(centre - half), float(centre + half)


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
