"""Compiled pooling of members' class probabilities: their mixture, and what they disagree about.

Each row is pooled on its own, in float64 and in order of member, and a member of weight zero is
never read: so the bits of a row depend on nothing around it. Shapes: K members, R rows, O classes.
"""

import math

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.compilation import kernel


@kernel
def mixture(logits: Floats, weights: Floats, pooled: Floats) -> None:
    """pooled (R, O) float64 = sum_k w_k softmax(z_k), at most 1.

    Args:
        logits: (K, R, O).
        weights: (K,), whose sum may lie just above 1.
    """
    members, rows, classes = logits.shape
    own = np.empty(classes)
    for r in range(rows):
        for o in range(classes):
            pooled[r, o] = 0.0
        for k in range(members):
            if weights[k] > 0:
                _softmax(logits[k, r], own)
                for o in range(classes):
                    pooled[r, o] += weights[k] * own[o]
        for o in range(classes):
            pooled[r, o] = 1.0 if pooled[r, o] > 1.0 else pooled[r, o]


@kernel
def uncertainty(logits: Floats, weights: Floats, measures: Floats) -> None:
    """measures (8, R) float64, in the order in which `ensemble.uncertainty` returns them.

    Args:
        logits: (K, R, O).
        weights: (K,) of any sum above 0.
    """
    members, rows, classes = logits.shape
    sums = np.empty((3, classes))
    mean, mean_logits, votes = sums[0], sums[1], sums[2]
    own = np.empty(classes)
    whole = weights.sum()
    for r in range(rows):
        sums[:] = 0.0
        expected = 0.0
        for k in range(members):
            if weights[k] > 0:
                _softmax(logits[k, r], own)
                for o in range(classes):
                    mean[o] += weights[k] * own[o]
                    mean_logits[o] += weights[k] * logits[k, r, o]
                votes[own.argmax()] += weights[k]
                expected += weights[k] * _entropy(own)
        for o in range(classes):
            mean[o] /= whole
            mean_logits[o] /= whole
            votes[o] /= whole
        expected /= whole
        total = _entropy(mean)
        largest = mean_logits.max()
        measures[0, r] = total
        measures[1, r] = expected
        # Rounding may take a zero just below itself.
        measures[2, r] = max(total - expected, 0.0)
        measures[3, r] = max(1.0 - votes[mean.argmax()], 0.0)
        measures[4, r] = max(1.0 - votes.max(), 0.0)
        measures[5, r] = _margin(mean)
        measures[6, r] = -(largest + math.log(_exponentials(mean_logits, largest, own)))
        measures[7, r] = -largest


@kernel
def _softmax(logits: Floats, probabilities: Floats) -> None:
    total = _exponentials(logits, logits.max(), probabilities)
    for o in range(len(logits)):
        probabilities[o] /= total


@kernel
def _exponentials(logits: Floats, largest: float, powers: Floats) -> float:
    """powers (O,) = exp(logits - largest); return their sum."""
    total = 0.0
    for o in range(len(logits)):
        powers[o] = math.exp(np.float64(logits[o]) - largest)
        total += powers[o]
    return total


@kernel
def _entropy(probabilities: Floats) -> float:
    entropy = 0.0
    for p in probabilities:
        entropy -= p * (math.log(p) if p > 0 else 0.0)
    return entropy + 0.0  # no negative zero


@kernel
def _margin(probabilities: Floats) -> float:
    """Return the difference between the two largest."""
    first = second = -np.inf
    for p in probabilities:
        if p > first:
            first, second = p, first
        elif p > second:
            second = p
    return first - second
