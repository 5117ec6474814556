"""Charts that several pages share: curves by epoch, and members as dots beside their mean.

Lines differ in dashes and markers as well as in colour, as in a run's report.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.report.drawing import (
    BLUE,
    VERMILION,
    legend,
    line,
    marker,
    new_figure,
    plain,
    whole_numbers,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE_WIDTH = 7.4  # inches of the text of a page; a wider picture is shrunk, and its words with it
PANEL_WIDTH, PANEL_HEIGHT = 3.7, 2.9
_MARKS = 6  # of a line


def panels(
    count: int, columns: int = 2, width: float = PANEL_WIDTH, height: float = PANEL_HEIGHT
) -> "tuple[Figure, list[Any]]":
    """Return a figure of panels, and their axes.

    Args:
        count: of the panels.
        columns: side by side at most; fewer where no more fit the width of a page.
        width, height: of a panel, in inches.
    """
    columns = min(count, columns, max(1, int(PAGE_WIDTH / width)))
    lines = -(-count // columns)
    figure = new_figure(width * columns, height * lines)
    axes = [figure.add_subplot(lines, columns, place + 1) for place in range(count)]
    for axis in axes:
        plain(axis)
    return figure, axes


def draw_curves(axis: Any, curves: Mapping[str, Sequence[float]], title: str, ylabel: str) -> None:
    """Draw a line by epoch for each label, told apart by colour, dashes and marker."""
    for place, (label, values) in enumerate(curves.items()):
        epochs = np.arange(1, len(values) + 1)
        axis.plot(
            epochs, values, linewidth=1.4, label=label, marker=marker(place), markersize=4,
            markevery=max(1, len(values) // _MARKS), **line(place),
        )  # fmt: skip
    whole_numbers(axis)
    axis.set_title(title, fontsize=10)
    axis.set_xlabel("epoch")
    axis.set_ylabel(ylabel)
    legend(axis, ncols=1 if len(curves) < 6 else 2)


def draw_members(axis: Any, values: Mapping[str, Sequence[float]], title: str, xlabel: str) -> None:
    """Draw a line of dots for each label, one a member, with a bar at their mean."""
    for place, members in enumerate(values.values()):
        axis.plot(members, [place] * len(members), "o", color=BLUE, markersize=5, alpha=0.6)
        axis.plot([np.mean(members)], [place], "|", color=VERMILION, markersize=18, mew=2.5)
    axis.set_yticks(range(len(values)), list(values))
    axis.set_ylim(len(values) - 0.5, -0.5)
    axis.set_title(title, fontsize=10)
    axis.set_xlabel(xlabel)


def log_scale(axis: Any, direction: Literal["x", "y"], ticks: Sequence[float]) -> None:
    """Make an axis logarithmic, with ticks at these values alone."""
    axis.set(**{f"{direction}scale": "log"})
    set_ticks = axis.set_xticks if direction == "x" else axis.set_yticks
    set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    set_ticks([], minor=True)


def draw_histograms(
    axis: Any,
    edges: Floats,
    shares: Mapping[str, Sequence[float]],
    title: str,
    xlabel: str,
    ylabel: str,
) -> None:
    """Draw the outline of a histogram for each label, told apart by colour and dashes.

    Args:
        axis: of the panel.
        edges: of the bins, (B + 1,).
        shares: in each bin, (B,), by label.
        title, xlabel, ylabel: of the panel.
    """
    for place, (label, values) in enumerate(shares.items()):
        axis.stairs(values, edges, linewidth=1.6, label=label, **line(place))
    axis.set_title(title, fontsize=10)
    axis.set_xlabel(xlabel)
    axis.set_ylabel(ylabel)
    legend(axis)
