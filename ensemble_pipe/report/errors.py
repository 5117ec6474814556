"""Pictures of what is predicted wrong: confusion of classes, residuals and intervals of numbers."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.metrics import confusion
from ensemble_pipe.report.drawing import (
    BLUE,
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
from ensemble_pipe.report.numbers import TestPart

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CLASSES = 40  # that have their names at the confusion matrix
_MOST_SHARES = 15  # and shares in its cells
_MOST_POINTS = 600  # that are drawn one by one
_MOST_INTERVALS = 60
_MOST_TARGETS = 4
# How strongly a cell is filled: at most so that the page's text has a contrast of 4.5 with it, on
# white and on black paper (WCAG 2.2, 1.4.3).
_PALEST, _STRONGEST = 0.05, 0.55


def error_pictures(test: TestPart) -> Drawings:
    """Return what draws each picture of an ensemble's errors, by name."""
    found: dict[str, Any] = {}
    if test.schema.task == "classification":
        found["confusion_matrix"] = lambda: confusion_matrix(test)
        return found
    for place, name in enumerate(test.schema.target_names[:_MOST_TARGETS]):
        end = "" if test.schema.target_count == 1 else f"_{place}"
        found[f"predicted{end}"] = lambda place=place, name=name: predicted(test, place, name)
        found[f"residuals{end}"] = lambda place=place, name=name: residuals(test, place, name)
        found[f"intervals{end}"] = lambda place=place, name=name: intervals(test, place, name)
    return found


def confusion_counts(test: TestPart) -> Array:
    """Return counts (O, O): rows are true classes, columns predicted ones."""
    return confusion(test.prediction.decided, test.targets, len(test.schema.classes))


def confusion_matrix(test: TestPart) -> "Figure":
    """Shares of predicted classes for each true class."""
    counts = confusion_counts(test)
    shares: Floats = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = len(counts)
    side = min(6.5, max(3.4, 1.6 + 0.3 * size))
    figure, axis = new_axis(
        "predicted class", "true class", width=side, height=0.92 * side, fits_labels=True
    )
    axis.grid(visible=False)
    heat(axis, shares)
    names = [short(name, 18) for name in test.schema.classes]
    if size <= MOST_CLASSES:
        longest = max(map(len, names))
        axis.set_xticks(range(size), names, rotation=90 if longest * size > 40 else 0,
                        parse_math=False, fontsize=9)  # fmt: skip
        axis.set_yticks(range(size), names, parse_math=False, fontsize=9)
    if size <= _MOST_SHARES:
        for (row, column), share in np.ndenumerate(shares):
            if counts[row, column]:
                axis.text(column, row, _percent(float(share)), ha="center", va="center",
                          color=INK, fontsize=9 if size < 8 else 7)  # fmt: skip
    return figure


def heat(axis: Any, shares: Floats) -> None:
    """Fill the cells of a matrix of values from 0 to 1, as strongly as they are large."""
    from matplotlib.patches import Rectangle

    for (row, column), share in np.ndenumerate(shares):
        if share > 0.002:
            cell = (column - 0.48, row - 0.48)
            alpha = _PALEST + (_STRONGEST - _PALEST) * float(share)
            axis.add_patch(Rectangle(cell, 0.96, 0.96, facecolor=BLUE, alpha=alpha, linewidth=0))
    rows, columns = shares.shape
    axis.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}" if share < 0.0995 else f"{100 * share:.0f}"


def predicted(test: TestPart, place: int, name: str) -> "Figure":
    """Predictions against true values: points, or shaded hexagons where there are many."""
    truth, mean = test.truth[:, place], test.prediction.mean[:, place]
    figure, axis = new_axis(f"true {short(name)}", f"predicted {short(name)}")
    _cloud(axis, truth, mean)
    short_ticks(axis.xaxis, axis.yaxis)
    ends = [float(min(truth.min(), mean.min())), float(max(truth.max(), mean.max()))]
    axis.plot(ends, ends, "--", color=VERMILION, linewidth=1.2, label="predicted = true")
    legend(axis, loc="upper left")
    return figure


def residuals(test: TestPart, place: int, name: str) -> "Figure":
    """Residuals against predictions, with the band of one predicted deviation."""
    truth, mean = test.truth[:, place], test.prediction.mean[:, place]
    figure, axis = new_axis(f"predicted {short(name)}", "true less predicted")
    _cloud(axis, mean, truth - mean)
    short_ticks(axis.xaxis, axis.yaxis)
    middles, spread, found = _by_bins(mean, test.prediction.std[:, place], truth - mean)
    axis.plot(middles, spread, "--", color=VERMILION, linewidth=1.3, label="predicted deviation")
    axis.plot(middles, -spread, "--", color=VERMILION, linewidth=1.3)
    axis.plot(middles, found, "-s", color=INK, linewidth=1.1, ms=3.5,
              label="root mean square of residuals")  # fmt: skip
    axis.axhline(0, color=SOFT, linewidth=1)
    legend_above(figure, axis)  # to look for a corner without points takes long
    return figure


def _by_bins(mean: Floats, std: Floats, residual: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the mean prediction and the root mean squares of ten bins of equally many rows."""
    bins = [one for one in np.array_split(np.argsort(mean, kind="stable"), 10) if len(one)]

    def roots(values: Floats) -> Floats:
        return np.array([np.sqrt(np.mean(values[one] ** 2)) for one in bins])

    return np.array([mean[one].mean() for one in bins]), roots(std), roots(residual)


def intervals(test: TestPart, place: int, name: str) -> "Figure":
    """Intervals of some rows, by prediction, against the truth; crosses lie outside."""
    truth, mean = test.truth[:, place], test.prediction.mean[:, place]
    prediction = test.prediction
    stated = prediction.conformal[0].coverage if prediction.conformal else 0.9
    ends = prediction.interval if prediction.conformal else prediction.central_interval(0.9)
    low, high = ends[0][:, place], ends[1][:, place]
    order = np.argsort(mean, kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, _MOST_INTERVALS).astype(int))]
    inside = (low <= truth) & (truth <= high)
    figure, axis = new_axis("test rows, by their prediction", short(name))
    at = np.arange(len(chosen))
    limits = np.clip([low[chosen], high[chosen]], *_limits(truth, mean))
    axis.vlines(at, *limits, color=BLUE, linewidth=2.2, alpha=0.55, label=f"{stated:.0%} interval")
    axis.plot(at, mean[chosen], "_", color=BLUE, ms=6)
    held = inside[chosen]
    axis.plot(at[held], truth[chosen][held], "o", color=INK, ms=3, label="truth, inside")
    axis.plot(at[~held], truth[chosen][~held], "x", color=VERMILION, ms=6, mew=1.8,
              label="truth, outside")  # fmt: skip
    axis.set_xticks([])
    short_ticks(axis.yaxis)
    legend(axis)
    return figure


def _limits(truth: Floats, mean: Floats) -> tuple[float, float]:
    """Return ends that infinite intervals are cut at."""
    low, high = float(min(truth.min(), mean.min())), float(max(truth.max(), mean.max()))
    return low - (high - low), high + (high - low)


def _cloud(axis: Any, x: Floats, y: Floats) -> None:
    if len(x) <= _MOST_POINTS:
        axis.plot(x, y, "o", color=BLUE, alpha=0.45, ms=3.5, mew=0)
        return
    bins = axis.hexbin(x, y, gridsize=(34, 20), mincnt=1)
    counts, centres = bins.get_array(), bins.get_offsets()
    bins.remove()
    _hexagons(axis, centres, counts, bins.get_paths()[0].vertices)


def _hexagons(axis: Any, centres: Floats, counts: Floats, corner: Floats) -> None:
    from matplotlib.patches import Polygon

    most = np.log1p(counts.max())
    for centre, count in zip(centres, counts, strict=True):
        alpha = 0.08 + 0.85 * float(np.log1p(count) / most)
        axis.add_patch(Polygon(corner + centre, facecolor=BLUE, alpha=alpha, linewidth=0))
    axis.plot([], [], "h", color=BLUE, alpha=0.6, label=f"rows (darkest: {int(counts.max()):,})")
