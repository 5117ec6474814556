"""Bootstrap confidence intervals: how far a metric would move with other rows. R rows."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.errors import DataError

# metric(rows) returns the metric over the rows with these numbers, (R,), some of them repeated.
RowMetric = Callable[[Integers], float]


_WEIGHTS = 1_000_000  # of rows in resamples, at a time: 16 MB


class Interval(NamedTuple):
    """A metric and its percentile bootstrap interval (Efron & Tibshirani 1993, chapter 13)."""

    estimate: float
    low: float
    high: float


def bootstrap_interval(
    metric: RowMetric,
    rows: int,
    random: np.random.Generator,
    resamples: int = 1000,
    coverage: float = 0.95,
) -> Interval:
    """Return the interval of any metric over rows.

    Args:
        metric: of the rows it is given by number.
        rows: how many there are, R.
        random: the generator of the resamples.
        resamples: how many.
        coverage: of the interval.

    Raises:
        DataError: there are fewer than two rows.
    """
    if rows < 2:
        raise DataError(f"a bootstrap interval needs at least 2 rows; there are {rows}")
    found = [metric(random.integers(0, rows, rows)) for _ in range(resamples)]
    low, high = np.quantile(found, [(1 - coverage) / 2, (1 + coverage) / 2])
    return Interval(float(metric(np.arange(rows))), float(low), float(high))


def bootstrap_mean(
    values: Floats, random: np.random.Generator, resamples: int = 1000, coverage: float = 0.95
) -> Interval:
    """Return the interval of a metric that is the mean of a value (R,) of each row."""
    exact = np.asarray(values, np.float64)
    return bootstrap_interval(
        lambda rows: float(exact[rows].mean()), len(exact), random, resamples, coverage
    )


def resampled_means(values: Floats, random: np.random.Generator, resamples: int) -> Floats:
    """Return the means (B, C) of C metrics over B resamples of rows, the same for all of them.

    Args:
        values: (R, C), of each row.
        random: the generator of the resamples.
        resamples: B.
    """
    rows = len(values)
    step = max(1, _WEIGHTS // rows)
    means = np.empty((resamples, values.shape[1]))
    for start in range(0, resamples, step):
        part = means[start : start + step]
        drawn = (random.integers(0, rows, rows) for _ in part)
        weights = np.stack([np.bincount(one, minlength=rows) for one in drawn])
        part[:] = weights.astype(np.float64) @ values / rows
    return means


def paired_difference(first: RowMetric, second: RowMetric) -> RowMetric:
    """Return one predictor's metric minus another's, on the same rows each time.

    Being paired, its interval is narrower than two intervals side by side suggest. Where the metric
    is a mean of a value of each row, `bootstrap_mean` of the differences by row is the same.
    """
    return lambda numbers: first(numbers) - second(numbers)
