"""How members' outputs become one prediction, in float64 and in order of member.

Shapes: K members, R rows, O classes.
"""

import numpy as np

from ensemble_pipe.arrays import Floats


def softmax(logits: Floats) -> Floats:
    """Return probabilities, float64, for logits (..., O) of any float type."""
    values = logits.astype(np.float64)
    values -= values.max(axis=-1, keepdims=True)
    np.exp(values, out=values)
    values /= values.sum(axis=-1, keepdims=True)
    return values


def mean_probability(logits: Floats) -> Floats:
    """Return the mean over members of their probabilities (R, O), for logits (K, R, O).

    The equally weighted mixture of Lakshminarayanan et al. 2017, section 2.4.
    """
    total = np.zeros(logits.shape[1:])
    for member in logits:  # one after another: a fixed order, and memory for one member
        total += softmax(member)
    total /= len(logits)
    return total


def gaussian_mixture(means: Floats, variance: Floats | float) -> tuple[Floats, Floats]:
    """Return mean and standard deviation (R,) of an equal mixture of Gaussians.

    The law of total variance: the mean of the members' variances, plus the variance of their means
    (Lakshminarayanan et al. 2017, section 2.4).

    Args:
        means: (K, R), of the members.
        variance: (K, R), of the members; or one number for all members and rows.
    """
    exact = means.astype(np.float64)
    noise = np.broadcast_to(variance, exact.shape).mean(axis=0)
    return exact.mean(axis=0), np.sqrt(noise + exact.var(axis=0))
