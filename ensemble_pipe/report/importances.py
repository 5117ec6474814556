"""The picture of how important the columns are."""

from typing import TYPE_CHECKING

import numpy as np

from ensemble_pipe.report.drawing import BLUE, INK, SOFT, new_axis, short
from ensemble_pipe.tracking.importances import ImportanceEntry

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_COLUMNS = 30


def column_importance(found: ImportanceEntry) -> "Figure":
    """By how much the NLL rises where a column's values change rows, with 95% intervals."""
    known = [one for one in found.columns if None not in one.nll][:MOST_COLUMNS]
    figure, axis = new_axis(
        "rise of the NLL without the column, in nats",
        height=0.8 + 0.2 * max(1, len(known)),
        fits_labels=True,
    )
    rises, lows, highs = np.array([one.nll for one in known], float).reshape(-1, 3).T
    places = np.arange(len(known))
    axis.grid(visible=False, axis="y")
    axis.barh(places, rises, color=BLUE, alpha=0.75, height=0.7)
    axis.hlines(places, lows, highs, color=INK, linewidth=1.2)
    axis.axvline(0, color=SOFT, linewidth=0.8)
    axis.set_yticks(places, [short(one.name) for one in known], parse_math=False)
    axis.invert_yaxis()
    return figure
