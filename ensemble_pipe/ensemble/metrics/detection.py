"""How well a score tells rows of other data (out of distribution) from rows like those trained on.

R rows inside the distribution, S rows outside of it; a larger score means a more unusual row.
"""

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.ranking import (
    Counts,
    auroc,
    average_precision,
    counts_of,
    places_of,
)
from ensemble_pipe.ensemble.metrics.resampling import Interval

_TAILS = (0.025, 0.975)  # of a 95% interval


def ood_metrics(inside: Floats, outside: Floats) -> dict[str, float]:
    """Return measures of a score that is larger for more unusual rows.

    Args:
        inside: scores (R,) of rows like those trained on.
        outside: scores (S,) of others.

    Returns:
        `auroc`, the chance that an outside row scores above an inside one, ties counting half;
        `fpr95`, the share of outside rows that pass as inside under the threshold that lets 95% of
        the inside rows pass (Liang et al. 2018), 0 is best; `auprc`, the average
        precision with the outside rows as the positives, which depends on their share.
    """
    return _measures(counts_of(*places_of(inside, outside)))


def ood_intervals(
    inside: Floats,
    outside: Floats,
    random: np.random.Generator,
    resamples: int = 1000,
) -> dict[str, Interval]:
    """Return 95% percentile bootstrap intervals of `ood_metrics`, both sets of rows resampled.

    Args:
        inside, outside: scores (R,), (S,).
        random: the generator of the resamples.
        resamples: how many.
    """
    first, second = places_of(inside, outside)
    drawn = [
        _measures(counts_of(_resampled(first, random), _resampled(second, random)))
        for _ in range(resamples)
    ]
    intervals = {}
    for name, estimate in ood_metrics(inside, outside).items():
        low, high = np.quantile([one[name] for one in drawn], _TAILS)
        intervals[name] = Interval(estimate, float(low), float(high))
    return intervals


def _resampled(values: Integers, random: np.random.Generator) -> Integers:
    return values[random.integers(0, len(values), len(values))]


def _measures(counts: Counts) -> dict[str, float]:
    """Return the measures from the counts of one ranking, outside rows above."""
    inside, outside = counts.rows - counts.above, counts.above
    threshold = np.searchsorted(np.cumsum(inside) / inside.sum(), 0.95)
    return {
        "auroc": float(auroc(counts)[0]),
        "fpr95": float(outside[: threshold + 1].sum() / outside.sum()),
        "auprc": float(average_precision(counts)[0]),
    }
