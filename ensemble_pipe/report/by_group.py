"""Pictures of groups of test rows: how wrong the ensemble is in each, and how often its sets hold.

Groups are those of `groups`; shares have the intervals of Wilson 1927, others those of a mean.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.report.drawing import (
    BLUE,
    INK,
    VERMILION,
    Drawings,
    figure_legend,
    new_axis,
    short,
    short_ticks,
)
from ensemble_pipe.report.groups import Group, row_losses
from ensemble_pipe.report.numbers import TestPart
from ensemble_pipe.report.page import number_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_Z = 1.96  # of a 95% interval


class Estimate(NamedTuple):
    """A figure of a group, with the ends of its 95% interval."""

    value: float
    low: float
    high: float


def group_pictures(test: TestPart, groups: Sequence[Group]) -> Drawings:
    """Return what draws each picture of groups of test rows, by name; none without groups."""
    if not groups:
        return {}
    found: dict[str, Any] = {"errors_by_group": lambda: errors_by_group(test, groups)}
    if test.prediction.conformal:
        found["coverage"] = lambda: coverage_by_group(test, groups)
    return found


def errors_by_group(test: TestPart, groups: Sequence[Group]) -> "Figure":
    """Share of rows that are right, or the RMSE, in groups of rows, with 95% intervals."""
    estimates = group_errors(test, groups)
    whole = group_errors(test, [Group("all", np.arange(len(test.rows)))])[0].value
    if test.schema.task == "classification":
        return _dots("share that is right", groups, estimates, (f"all rows: {whole:.3f}", whole))
    figure = _dots(
        f"RMSE of {short(test.schema.target_names[0])}",
        groups, estimates, (f"all rows: {number_text(whole)}", whole),
    )  # fmt: skip
    short_ticks(figure.axes[0].xaxis)
    return figure


def group_errors(test: TestPart, groups: Sequence[Group]) -> list[Estimate]:
    """Return the share of rows that are right in each group, or the RMSE of the first target."""
    if test.schema.task == "classification":
        return _estimates(~test.wrong, groups, _share)
    return _estimates(row_losses(test), groups, _root)


def coverage_by_group(test: TestPart, groups: Sequence[Group]) -> "Figure":
    """Coverage of the conformal sets or intervals in groups of rows, with 95% intervals."""
    stated = test.prediction.conformal[0].coverage
    estimates = _estimates(held_rows(test), groups, _share)
    return _dots("share of rows held", groups, estimates, (f"asked: {stated:g}", stated))


def held_rows(test: TestPart) -> Floats:
    """Return whether the conformal set or intervals hold the truth, (R,); of targets the mean."""
    prediction = test.prediction
    if test.schema.task == "classification":
        return prediction.sets[np.arange(len(test.targets)), test.targets].astype(np.float64)
    low, high = prediction.interval
    inside: Floats = ((low <= test.truth) & (test.truth <= high)).mean(axis=1)
    return inside


def wilson(share: float, count: int, z: float = _Z) -> tuple[float, float]:
    """Return the ends of the interval of a share of so many rows (Wilson 1927)."""
    whole = 1 + z**2 / count
    centre = (share + z**2 / (2 * count)) / whole
    half = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)) / whole
    return float(centre - half), float(centre + half)


def _estimates(
    values: Floats, groups: Sequence[Group], estimate: Callable[[Floats], Estimate]
) -> list[Estimate]:
    return [estimate(values[group.places]) for group in groups]


def _share(values: Floats) -> Estimate:
    share = float(values.mean())
    return Estimate(share, *wilson(share, len(values)))


def _root(squares: Floats) -> Estimate:
    """Return the root of a mean of squares, with the roots of the ends of the mean's interval."""
    mean, half = float(squares.mean()), _Z * float(squares.std()) / len(squares) ** 0.5
    return Estimate(*(max(value, 0.0) ** 0.5 for value in (mean, mean - half, mean + half)))


def _dots(
    xlabel: str, groups: Sequence[Group], estimates: Sequence[Estimate], mark: tuple[str, float]
) -> "Figure":
    """Return a line for each group: a dot, its interval, and a dashed line to compare with."""
    figure, axis = new_axis(xlabel, height=0.9 + 0.24 * len(groups), fits_labels=True)
    axis.axvline(mark[1], color=VERMILION, linestyle="--", linewidth=1.3, label=mark[0])
    for place, one in enumerate(estimates):
        axis.plot([one.low, one.high], [place, place], "-", color=INK, linewidth=1.2)
        axis.plot([one.value], [place], "o", color=BLUE, ms=5)
    names = [f"{short(group.name)} ({len(group.places):,})" for group in groups]
    axis.set_yticks(range(len(groups)), names, parse_math=False)
    axis.set_ylim(len(groups) - 0.4, -0.6)
    figure_legend(figure, axis)
    return figure
