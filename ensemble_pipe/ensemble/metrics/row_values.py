"""Metrics as means of a value of each row, which the bootstrap needs. R rows, D targets."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.metrics import class_rows
from ensemble_pipe.ensemble.metrics.resampling import Interval, bootstrap_interval

_MOST_RESAMPLES, _FEWEST_RESAMPLES = 1000, 200
_RESAMPLED_NUMBERS = 300_000_000


@dataclass(frozen=True)
class RowValues:
    """A metric: the mean of a value of each row, or the root of that mean.

    Attributes:
        values: (R, D); D = 1 for classes. Of several targets the metric is the mean of theirs.
        root: whether the root is taken.
    """

    values: Floats
    root: bool = False

    def over(self, rows: Integers | None = None) -> float:
        """Return the metric over some rows, by number; over all without."""
        means = (self.values if rows is None else self.values[rows]).mean(axis=0)
        return float(np.mean(np.sqrt(means) if self.root else means))

    @property
    def standard_error(self) -> float:
        """The standard error of the metric over independent rows, two or more.

        That of a root is the first order of its expansion (the delta method).
        """
        with np.errstate(divide="ignore"):  # of values that are all 0
            scale = 0.5 / np.sqrt(self.values.mean(axis=0)) if self.root else 1.0
        by_row = (self.values * scale).mean(axis=1)
        return float(by_row.std(ddof=1) / np.sqrt(len(by_row)))

    def interval(self, random: np.random.Generator) -> Interval:
        """Return the metric and its percentile bootstrap interval.

        Raises:
            DataError: there are fewer than two rows.
        """
        rows = len(self.values)
        return bootstrap_interval(self.over, rows, random, resamples_for(self.values.size))


def resamples_for(numbers: int) -> int:
    """Return how many resamples to draw of so many numbers: 1000, or fewer of very many, 200."""
    return max(_FEWEST_RESAMPLES, min(_MOST_RESAMPLES, _RESAMPLED_NUMBERS // max(numbers, 1)))


def class_values(probabilities: Floats, labels: Integers) -> dict[str, RowValues]:
    """Return `accuracy`, `nll` and `brier`, as `classification_metrics` has them, row by row.

    Args:
        probabilities: (R, O) float64.
        labels: (R,) class numbers.
    """
    found = class_rows(probabilities, labels)
    return {name: RowValues(values[:, None]) for name, values in found.items()}


def number_rows(scores: Mapping[str, Floats]) -> dict[str, RowValues]:
    """Return `rmse`, `mae`, `nll` and `crps`, as `regression_metrics` has them, row by row.

    Args:
        scores: (R, D), as `gaussian_scores` names them.
    """
    return {
        name: RowValues(scores[name], root=name == "rmse")
        for name in ("rmse", "mae", "nll", "crps")
    }
