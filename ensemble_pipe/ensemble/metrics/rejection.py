"""Rejection: the quality of predictions as the least certain rows are rejected. R rows."""

from dataclasses import dataclass

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats


@dataclass(frozen=True)
class RejectionCurve:
    """Mean of a value over the most certain rows, by how many are kept.

    Attributes:
        kept: share of the rows, (R,): 1/R, 2/R, ... 1.
        mean: of the value over so many of the most certain rows, (R,).
    """

    kept: Floats
    mean: Floats

    @property
    def area(self) -> float:
        """Area under the curve: the mean over all shares kept."""
        return float(np.mean(self.mean))

    def at(self, share: float) -> float:
        """Return the mean over the smallest number of rows that is at least this share."""
        return float(self.mean[np.searchsorted(self.kept, share)])


def rejection_curve(values: Array, uncertainty: Floats) -> RejectionCurve:
    """Return the mean of a value of each row, as the least certain rows are rejected.

    Whether a row is predicted right gives accuracy under rejection; whether it is predicted wrong
    gives the risk-coverage curve, whose area is the AURC (Geifman et al. 2019); a squared error
    does the same for numbers. Rows that are equally uncertain are kept in an order drawn at random,
    of which this is the expected value.

    Args:
        values: (R,) bool or numbers.
        uncertainty: (R,), larger for less certain rows.
    """
    _, place = np.unique(uncertainty, return_inverse=True)
    count = np.bincount(place)
    expected = np.repeat(np.bincount(place, values) / count, count)
    rows = np.arange(1, len(values) + 1)
    return RejectionCurve(rows / len(values), np.cumsum(expected) / rows)
