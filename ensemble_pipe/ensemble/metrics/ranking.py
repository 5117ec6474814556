"""How well a score puts one kind of rows above another: areas under the ROC and PR curves.

scikit-learn's functions give the same numbers, as the tests say, but check and sort anew each time.
Here scores are sorted once and then counted: a tenth of the time for each class of each member, and
a resample of rows only changes the counts.

A places array holds for each row the place of its score among all U distinct ones, in rising order;
counts (U,) say how often each occurs.
"""

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers


def places_of(below: Floats, above: Floats) -> tuple[Integers, Integers]:
    """Return the places (R,) and (S,) of the scores of two kinds of rows."""
    _, place = np.unique(np.concatenate([below, above]), return_inverse=True)
    return place[: len(below)], place[len(below) :]


def counts_of(below: Integers, above: Integers) -> tuple[Integers, Integers]:
    """Return the counts (U,) of two kinds of rows, from their places."""
    size = max(below.max(), above.max()) + 1
    return np.bincount(below, minlength=size), np.bincount(above, minlength=size)


def auroc(below: Integers, above: Integers) -> float:
    """Return the chance that a row of the upper kind scores higher, ties counting half.

    The area under the ROC curve (Hanley & McNeil 1982), from counts (U,).
    """
    lower = np.cumsum(below) - below / 2
    return float(np.sum(above * lower) / (below.sum() * above.sum()))


def average_precision(below: Integers, above: Integers) -> float:
    """Return the mean over rows of the upper kind of the precision at their score.

    The area under the precision-recall curve by steps, as scikit-learn has it, from counts (U,).
    """
    hits = np.cumsum(above[::-1])[::-1]  # at this score or higher
    misses = np.cumsum(below[::-1])[::-1]
    return float(np.sum(above * (hits / np.maximum(hits + misses, 1))) / above.sum())
