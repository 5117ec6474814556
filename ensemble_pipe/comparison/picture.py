"""The picture of a comparison: each metric of each group with its interval, and the differences."""

from typing import TYPE_CHECKING, Any

from ensemble_pipe.comparison.compare import Comparison, Estimate, RunGroup
from ensemble_pipe.comparison.runs import COVERED
from ensemble_pipe.core.messages import printable
from ensemble_pipe.report.drawing import BLUE, INK, VERMILION, marker, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STATED = "conformal/stated"
CAPTION = (
    "Left: each metric on the test part with its 95% interval, over seeds or over rows. Right: the "
    "paired difference from the first group; where its interval does not touch the line at 0, the "
    "difference is not chance. The dashed line at a coverage is what was asked for."
)
_WIDTH, _GROUP, _PANEL = 7.4, 0.26, 0.62  # inches


def comparison_figure(found: Comparison, names: list[str]) -> "Figure":
    """Return a line of panels for each metric.

    Args:
        found: the groups.
        names: of the metrics.
    """
    groups = found.groups
    columns = 2 if found.differences else 1
    height = len(names) * (_PANEL + _GROUP * len(groups)) + 0.3
    figure = new_figure(_WIDTH if columns > 1 else _WIDTH / 2, height)
    panels = figure.subplots(len(names), columns, squeeze=False)
    for name, line in zip(names, panels, strict=True):
        _draw(line[0], name, {one.title: one.metrics.get(name) for one in groups}, BLUE)
        if name == COVERED:
            _draw_stated(line[0], groups)
        if columns > 1:
            ends = {one.title: found.differences[one.label].get(name) for one in groups[1:]}
            _draw(line[1], f"{name}, less {groups[0].label}'s", ends, VERMILION, first=1)
            line[1].axvline(0.0, color=INK, linewidth=0.8)
            line[1].set_visible(any(ends.values()))  # some metrics are not paired by row
    return figure


def _draw(
    axis: Any, title: str, estimates: dict[str, Estimate | None], colour: str, first: int = 0
) -> None:
    """Draw an estimate and its interval for each label, the first on top.

    Args:
        axis, title, colour: of the panel.
        estimates: by label; None where there is none.
        first: place of the first one's marker, which a group keeps.
    """
    plain(axis)
    for place, one in enumerate(estimates.values()):
        if one is None:
            continue
        if one.low is not None and one.high is not None:
            axis.hlines(place, one.low, one.high, color=colour, linewidth=1.6)
        axis.plot([one.mean], [place], marker(first + place), color=colour, markersize=5)
    axis.set_yticks(range(len(estimates)), labels=list(estimates), parse_math=False)
    axis.set_ylim(len(estimates) - 0.5, -0.5)
    axis.locator_params(axis="x", nbins=5)
    axis.set_title(printable(title), fontsize=9, loc="left", parse_math=False)
    axis.tick_params(labelsize=8)


def _draw_stated(axis: Any, groups: tuple[RunGroup, ...]) -> None:
    stated = {one.metrics[STATED].mean for one in groups if STATED in one.metrics}
    for value in stated:
        axis.axvline(value, color=INK, linestyle="--", linewidth=0.8)
