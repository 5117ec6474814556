"""The arithmetic of pooling members' outputs, in float64 and in order of member.

Shapes: K members, R rows, O classes, D targets. Every row is pooled on its own, so its bits do not
depend on the rows beside it, and a member of weight zero is never touched.
"""

from collections.abc import Iterator

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.ensemble.kernels import pooling as kernels

BLOCK_NUMBERS = 1 << 18  # that are converted to float64 at a time
_SMALLEST = 1e-280  # below this, a probability's logarithm has lost digits or is infinite


def softmax(logits: Floats) -> Floats:
    """Return probabilities, float64, for logits (..., O) of any float type."""
    pooled = mixture(logits.reshape(1, -1, logits.shape[-1]), np.ones(1))
    return pooled.reshape(logits.shape)


def log_softmax(logits: Floats) -> Floats:
    """Return log-probabilities, float64 and finite, for finite logits (..., O)."""
    values = logits.astype(np.float64)
    values -= values.max(axis=-1, keepdims=True)
    values -= np.log(np.exp(values).sum(axis=-1, keepdims=True))
    return values


def mixture(logits: Floats, weights: Floats) -> Floats:
    """Return sum_k w_k softmax(z_k), (R, O), for logits (K, R, O) and weights (K,).

    The linear opinion pool (Stone 1961).
    """
    require_weights(weights, logits)
    pooled = np.empty(logits.shape[1:])
    for part in blocks_of(logits):
        kernels.mixture(logits[:, part].astype(np.float64), weights, pooled[part])
    return pooled


def require_weights(weights: Floats, values: Floats) -> None:
    """Raise ValueError unless each member of (K, ...) has a weight (K,), which kernels rely on."""
    if len(weights) != len(values):
        raise ValueError(f"{len(weights)} weights do not fit {len(values)} members")


def blocks_of(values: Floats) -> Iterator[slice]:
    """Yield the rows of (K, R, O), as many at a time as take little memory in float64."""
    members, rows, columns = values.shape
    length = max(1, BLOCK_NUMBERS // max(1, members * columns))
    for begin in range(0, rows, length):
        yield slice(begin, begin + length)


def log_mixture(logits: Floats, weights: Floats) -> Floats:
    """Return log `mixture`, finite also where the probabilities are too small for a float64."""
    pooled = mixture(logits, weights)
    low = (pooled < _SMALLEST).any(axis=-1)
    pooled[low] = 1.0
    pooled = np.log(pooled, out=pooled)
    if low.any():
        exact = np.full(pooled[low].shape, -np.inf)
        for weight, member in zip(weights, logits, strict=True):
            if weight > 0:
                exact = np.logaddexp(exact, np.log(weight) + log_softmax(member[low]))
        pooled[low] = exact
    return pooled


def votes(logits: Floats, weights: Floats) -> Floats:
    """Return the weight of the members that vote for each class, (R, O).

    A member votes for its likeliest class, the first one where several are.
    """
    total = np.zeros(logits.shape[1:])
    rows = np.arange(logits.shape[1])
    for weight, member in zip(weights, logits, strict=True):
        if weight > 0:
            total[rows, member.argmax(axis=-1)] += weight
    return total


def weighted_mean(values: Floats, weights: Floats) -> Floats:
    """Return sum_k w_k x_k, float64, for values (K, ...) and weights (K,)."""
    total = np.zeros(values.shape[1:])
    for weight, member in zip(weights, values, strict=True):
        if weight > 0:
            total += weight * member.astype(np.float64)
    return total


def split_variance(
    means: Floats, variances: Floats, weights: Floats, centre: Floats
) -> tuple[Floats, Floats]:
    """Return the aleatoric and the epistemic variance (R, D) of a mixture about its centre.

    The law of total variance: the mean of the members' variances, and the mean of the squared
    distances of their means to the centre (Lakshminarayanan et al. 2017, section 2.4).

    Args:
        means, variances: (K, R, D), of the members.
        weights: (K,).
        centre: (R, D), the mixture's mean.
    """
    epistemic = np.zeros(centre.shape)
    for weight, member in zip(weights, means, strict=True):
        if weight > 0:
            epistemic += weight * (member.astype(np.float64) - centre) ** 2
    return weighted_mean(variances, weights), epistemic


def calibrate(
    aleatoric: Floats, epistemic: Floats, temperature: float, noise: float
) -> tuple[Floats, Floats]:
    """Return both variances (R, D) times the squared temperature, the first with the noise."""
    factor = temperature**2
    return aleatoric * factor + noise, epistemic * factor
