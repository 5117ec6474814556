"""How well a score tells rows of other data (out of distribution) from rows like those trained on.

R rows inside the distribution, S rows outside of it; a larger score means a more unusual row.
"""

import numpy as np

from ensemble_pipe.arrays import Array, Floats
from ensemble_pipe.ensemble.metrics.resampling import Interval


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
    scores, counts = _distinct(inside, outside)
    return _measures(scores, counts)


def ood_intervals(
    inside: Floats,
    outside: Floats,
    random: np.random.Generator,
    resamples: int = 1000,
    coverage: float = 0.95,
) -> dict[str, Interval]:
    """Return percentile bootstrap intervals of `ood_metrics`, both sets of rows being resampled.

    Args:
        inside, outside: scores (R,), (S,).
        random: the generator of the resamples.
        resamples: how many.
        coverage: of the intervals.
    """
    scores, counts = _distinct(inside, outside)
    drawn = [
        _measures(
            scores, np.stack([random.multinomial(own.sum(), own / own.sum()) for own in counts])
        )
        for _ in range(resamples)
    ]
    tails = [(1 - coverage) / 2, (1 + coverage) / 2]
    intervals = {}
    for name, estimate in _measures(scores, counts).items():
        low, high = np.quantile([one[name] for one in drawn], tails)
        intervals[name] = Interval(estimate, float(low), float(high))
    return intervals


def _distinct(inside: Floats, outside: Floats) -> tuple[Floats, Array]:
    """Return the distinct scores (U,) and how often each occurs inside and outside, (2, U).

    Sorted once: a resample only changes the counts.
    """
    scores, place = np.unique(np.concatenate([inside, outside]), return_inverse=True)
    parts = place[: len(inside)], place[len(inside) :]
    return scores, np.stack([np.bincount(part, minlength=len(scores)) for part in parts])


def _measures(scores: Floats, counts: Array) -> dict[str, float]:
    from sklearn.metrics import auc, average_precision_score, roc_curve

    both = np.concatenate([scores, scores])
    is_outside = np.repeat([False, True], len(scores))
    weight = counts.ravel().astype(np.float64)
    # Inside rows are the positives here: the rate at which they pass sets the threshold.
    passed_wrongly, passed, _ = roc_curve(
        ~is_outside, -both, sample_weight=weight, drop_intermediate=False
    )
    return {
        "auroc": float(auc(passed_wrongly, passed)),
        "fpr95": float(passed_wrongly[np.searchsorted(passed, 0.95)]),
        "auprc": float(average_precision_score(is_outside, both, sample_weight=weight)),
    }
