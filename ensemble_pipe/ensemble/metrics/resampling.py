"""Bootstrap confidence intervals: how far a metric would move with other rows. R rows."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.errors import DataError

# metric(rows) returns the metric over the rows with these numbers, (R,), some of them repeated.
RowMetric = Callable[[Integers], float]

_BATCH_NUMBERS = 1_000_000  # resampled values held at once: 8 MB


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
    numbers = np.arange(rows)
    return _interval(metric, numbers, metric(numbers), random, resamples, coverage)


def bootstrap_mean(
    values: Floats, random: np.random.Generator, resamples: int = 1000, coverage: float = 0.95
) -> Interval:
    """Return the interval of a metric that is the mean of a value (R,) of each row.

    The same as `bootstrap_interval` of that mean, and much faster.
    """
    exact = np.asarray(values, np.float64)
    return _interval(np.mean, exact, float(exact.mean()), random, resamples, coverage, axis=-1)


def paired_difference(first: RowMetric, second: RowMetric) -> RowMetric:
    """Return one predictor's metric minus another's, on the same rows each time.

    Being paired, its interval is narrower than two intervals side by side suggest. Where the metric
    is a mean of a value of each row, `bootstrap_mean` of the differences by row is the same.
    """
    return lambda numbers: first(numbers) - second(numbers)


def _interval(
    statistic: Callable[..., Any],
    sample: Floats | Integers,
    estimate: float,
    random: np.random.Generator,
    resamples: int,
    coverage: float,
    axis: int | None = None,
) -> Interval:
    """Return the interval of a statistic of a sample (R,), vectorised where it takes an axis."""
    from scipy.stats import bootstrap

    if len(sample) < 2:
        raise DataError(f"a bootstrap interval needs at least 2 rows; there are {len(sample)}")
    found = bootstrap(
        (sample,), statistic, n_resamples=resamples, confidence_level=coverage,
        method="percentile", vectorized=axis is not None, rng=random,
        batch=max(1, _BATCH_NUMBERS // len(sample)),
    ).confidence_interval  # fmt: skip
    return Interval(float(estimate), float(found.low), float(found.high))
