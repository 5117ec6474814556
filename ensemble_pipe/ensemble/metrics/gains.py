"""What one predictor gains over another, with paired intervals over the same rows.

R rows, D targets.
"""

from collections.abc import Mapping

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.metrics import MAXIMIZED
from ensemble_pipe.ensemble.metrics.resampling import Interval, resampled_means
from ensemble_pipe.ensemble.metrics.row_values import RowValues, resamples_for

_ENDS = (0.025, 0.975)  # of a 95% interval


def paired_gains(
    own: Mapping[str, RowValues],
    other: Mapping[str, RowValues],
    random: np.random.Generator,
    truth: Floats | None = None,
) -> dict[str, Interval]:
    """Return by how much a predictor is better than another, by metric: above 0 where it is.

    Each resample has the same rows of both, so that the intervals are of the difference (percentile
    bootstrap, 95%). Metrics that some resample leaves undefined are left out.

    Args:
        own, other: the metrics of both by row.
        random: the generator of the resamples.
        truth: (R, D) numbers; with them `r2` is among the metrics. None for classes.

    Returns:
        Of each metric that both have the gain: what higher metrics are more, and lower ones less.
        Nothing of fewer than two rows.
    """
    names = [name for name in own if name in other]
    columns = [values for name in names for values in (own[name].values, other[name].values)]
    if truth is not None:
        centred = truth - truth.mean(axis=0)
        columns += [centred, centred**2]
    if not columns or len(columns[0]) < 2:
        return {}
    means = np.split(_means(np.hstack(columns), random), _starts(columns), axis=1)
    pairs = dict(zip(names, zip(means[::2], means[1::2], strict=True), strict=False))
    found = {name: _gain(name, own[name].root, *pair) for name, pair in pairs.items()}
    if truth is not None:
        (squares, of_other), (mean, square) = pairs["rmse"], means[-2:]
        with np.errstate(divide="ignore", invalid="ignore"):
            found["r2"] = ((of_other - squares) / (square - mean**2)).mean(axis=1)
    return {name: _interval(one) for name, one in found.items() if np.isfinite(one).all()}


def _means(columns: Floats, random: np.random.Generator) -> Floats:
    """Return the means (1 + B, C) over all rows, and over those of B resamples."""
    drawn = resampled_means(columns, random, resamples_for(columns.size))
    return np.vstack([columns.mean(axis=0), drawn])


def _starts(columns: list[Floats]) -> list[int]:
    ends: list[int] = np.cumsum([one.shape[1] for one in columns]).tolist()
    return ends[:-1]


def _gain(name: str, root: bool, own: Floats, other: Floats) -> Floats:
    """Return the gains (1 + B,) of means (1 + B, D)."""
    if root:
        own, other = np.sqrt(own), np.sqrt(other)
    gain: Floats = (own - other if name in MAXIMIZED else other - own).mean(axis=1)
    return gain


def _interval(gains: Floats) -> Interval:
    low, high = np.quantile(gains[1:], _ENDS)
    return Interval(float(gains[0]), float(low), float(high))
