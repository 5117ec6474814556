"""Measures of an ensemble's uncertainty about the class of each row, in nats and shares.

Shapes: K members, R rows, O classes. Members are taken one after another, in
order, so that sums have the same bits each time and take the memory of one member. Those of weight
zero are passed over: without them the result is the same, bit for bit.
"""

from collections.abc import Iterator

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.ensemble.combiners.pooling import blocks_of, require_weights
from ensemble_pipe.ensemble.kernels import pooling as kernels

MEASURES = (
    "entropy",
    "expected_entropy",
    "mutual_information",
    "disagreement",
    "variation_ratio",
    "margin",
    "energy",
    "max_logit",
)


def uncertainty(logits: Floats, weights: Floats | None = None) -> dict[str, Floats]:
    """Return several measures of the uncertainty of each row.

    All are larger for less certain rows, but for `margin`, which is smaller.

    Args:
        logits: (K, R, O), of the members.
        weights: (K,) that sum to 1; equal ones by default.

    Returns:
        (R,) float64 each. `entropy` of the mean probability, the total; `expected_entropy` of the
        members, the noise in the data; `mutual_information`, their difference, what the members
        disagree about, which is zero for one member (Depeweg et al. 2018, section 3; all in nats).
        `disagreement`, the weight of the members whose class is not the ensemble's;
        `variation_ratio`, 1 minus the weight of the votes for the class with most (Gal 2016,
        section 3.3); `margin` between the two largest mean probabilities. `energy`, minus the
        log-sum-exp of the mean logits (Liu et al. 2020); `max_logit`, minus the largest
        mean logit (Hendrycks et al. 2022). The last two need logits as the networks give them: of
        log-probabilities they say less.
    """
    measures = np.empty((logits.shape[1], len(MEASURES)))
    own = np.asarray(_ones_or(weights, len(logits)), np.float64)
    require_weights(own, logits)
    for part in blocks_of(logits):
        kernels.uncertainty(logits[:, part].astype(np.float64), own, measures[part])
    return dict(zip(MEASURES, measures.T.copy(), strict=True))


def weighted(values: Array, weights: Floats | None) -> Iterator[tuple[float, Floats]]:
    """Yield weight and values, float64, of each member (K, ...) whose weight is not zero.

    Without weights each weighs 1: sums are then divided by `total_weight`, which is exact where
    products with 1/K are not.
    """
    for weight, member in zip(_ones_or(weights, len(values)), values, strict=True):
        if weight > 0:
            yield float(weight), member.astype(np.float64)


def total_weight(values: Array, weights: Floats | None) -> float:
    """Return the sum of the weights of members (K, ...)."""
    return float(np.sum(_ones_or(weights, len(values))))


def _ones_or(weights: Floats | None, members: int) -> Floats:
    return np.ones(members) if weights is None else weights
