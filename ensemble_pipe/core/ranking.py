"""How well scores put one kind of rows above another: areas under the ROC and PR curves.

scikit-learn's functions give the same numbers, as the tests say, but check and sort anew each time.
Here scores are sorted once and then counted: all classes of a member together, and a resample of
rows only changes the counts.

C rankings of R rows, each by a score of its own. Rows with the same score are a run; all rankings
together have T runs, one ranking after another and scores rising.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers


@dataclass(frozen=True)
class Counts:
    """How many rows are in each run.

    Attributes:
        rows: (T,).
        above: those of them (T,) that are of the kind that should score high.
        starts: the first run (C,) of each ranking.
        ranking: the ranking (T,) of each run, 0 to C - 1.
    """

    rows: Integers
    above: Integers
    starts: Integers
    ranking: Integers

    @cached_property
    def lower_rows(self) -> Integers:
        """The rows in the lower runs of the same ranking, (T,)."""
        return self._lower(self.rows)

    @cached_property
    def lower_above(self) -> Integers:
        """Those of them that are of the kind that should score high, (T,)."""
        return self._lower(self.above)

    def totals(self, values: Array) -> Array:
        """Return the sum (C,) of values (T,) over each ranking."""
        return np.add.reduceat(values, self.starts)

    def _lower(self, counts: Integers) -> Integers:
        before = np.cumsum(counts) - counts
        lower: Integers = before - before[self.starts][self.ranking]
        return lower


def ranked(scores: Floats, above: Array) -> tuple[Floats, Counts]:
    """Return the scores of the runs (T,), and the counts of their rows.

    Args:
        scores: (C, R).
        above: (C, R) bool, the rows of the kind that should score high.
    """
    from ensemble_pipe.core.kernels.ranking import count_runs

    rising = np.sort(scores, axis=1)
    of, _ = np.nonzero(above)
    runs, starts = np.empty(rising.size, rising.dtype), np.empty(len(rising), np.int64)
    rows, high, ranking = np.empty((3, rising.size), np.int64)
    count = count_runs(rising, scores[above], of, runs, rows, high, ranking, starts)
    return runs[:count], Counts(rows[:count], high[:count], starts, ranking[:count])


def places_of(below: Floats, above: Floats) -> tuple[Integers, Integers]:
    """Return the runs (R,) and (S,) of the rows of two kinds in their common ranking."""
    _, place = np.unique(np.concatenate([below, above]), return_inverse=True)
    return place[: len(below)], place[len(below) :]


def counts_of(below: Integers, above: Integers) -> Counts:
    """Return the counts of one ranking, from the runs of its rows of two kinds."""
    size = max(below.max(), above.max()) + 1
    high = np.bincount(above, minlength=size)
    rows = np.bincount(below, minlength=size) + high
    return Counts(rows, high, np.zeros(1, np.int64), np.zeros(size, np.int64))


def auroc(counts: Counts) -> Floats:
    """Return the chance (C,) that a row of the upper kind scores higher, ties counting half.

    The area under the ROC curve (Hanley & McNeil 1982); there must be rows of both kinds.
    """
    below = counts.rows - counts.above
    lower = counts.lower_rows - counts.lower_above + below / 2
    pairs = counts.totals(below) * counts.totals(counts.above)
    area: Floats = counts.totals(counts.above * lower) / pairs
    return area


def average_precision(counts: Counts) -> Floats:
    """Return the mean (C,) over rows of the upper kind of the precision at their score.

    The area under the precision-recall curve by steps, as scikit-learn has it; there must be rows
    of the upper kind.
    """
    rows, above = counts.totals(counts.rows), counts.totals(counts.above)
    found = above[counts.ranking] - counts.lower_above  # at this score or higher
    precision = found / (rows[counts.ranking] - counts.lower_rows)
    mean: Floats = counts.totals(counts.above * precision) / above
    return mean
