"""Compiled pooling of members' class probabilities: their mixture, and what they disagree about.

Each row is pooled on its own, in float64 and in order of member and class, and a member of weight
zero is never read: so the bits of a row depend on nothing around it. Work arrays are (O, N) for
blocks of N rows, so that every loop over rows vectorises. Shapes: K members, R rows, O classes.
"""

import math

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.compilation import kernel
from ensemble_pipe.ensemble.kernels.exponential import LOWEST, exponential

BLOCK_ROWS = 64


@kernel
def mixture(logits: Floats, weights: Floats, pooled: Floats) -> None:
    """pooled (R, O) = sum_k w_k softmax(z_k), at most 1.

    Args:
        logits: (K, R, O) float64.
        weights: (K,), whose sum may lie just above 1.
    """
    members, rows, classes = logits.shape
    work, totals = np.zeros((3, classes, BLOCK_ROWS)), np.zeros((2, BLOCK_ROWS))
    own, shares, mean = work[0], work[1], work[2]
    for begin in range(0, rows, BLOCK_ROWS):
        count = min(BLOCK_ROWS, rows - begin)
        mean[:] = 0.0
        for k in range(members):
            if weights[k] > 0:
                _transpose(logits[k], begin, own)
                _softmax(own, totals, shares)
                _add(weights[k], shares, mean)
        for n in range(count):
            for o in range(classes):
                pooled[begin + n, o] = min(mean[o, n], 1.0)


@kernel
def uncertainty(logits: Floats, weights: Floats, measures: Floats) -> None:
    """measures (R, 8), in the order of `ensemble.uncertainty.MEASURES`.

    Args:
        logits: (K, R, O) float64.
        weights: (K,) of any sum above 0.
    """
    members, rows, classes = logits.shape
    work, totals = np.zeros((5, classes, BLOCK_ROWS)), np.zeros((2, BLOCK_ROWS))
    own, shares, mean, mean_logits, votes = work[0], work[1], work[2], work[3], work[4]
    expected = np.zeros(BLOCK_ROWS)
    whole, voters = 0.0, 0
    for weight in weights:
        whole += weight
        voters += weight > 0
    for begin in range(0, rows, BLOCK_ROWS):
        count = min(BLOCK_ROWS, rows - begin)
        work[2:] = 0.0
        expected[:] = 0.0
        for k in range(members):
            if weights[k] > 0:
                _transpose(logits[k], begin, own)
                _add(weights[k], own, mean_logits)
                _softmax(own, totals, shares)
                _add(weights[k], shares, mean)
                for n in range(count):
                    # p = exp(shifted) / total: one logarithm serves all classes of a row.
                    entropy, likeliest = math.log(totals[1, n]), 0
                    for o in range(classes):
                        if shares[o, n] > 0:  # a logit of minus infinity adds nothing
                            entropy -= shares[o, n] * own[o, n]
                        if shares[o, n] > shares[likeliest, n]:
                            likeliest = o
                    votes[likeliest, n] += weights[k]
                    expected[n] += weights[k] * entropy
        for o in range(classes):
            for n in range(BLOCK_ROWS):
                own[o, n] = mean_logits[o, n] / whole
        _softmax(own, totals, shares)
        for n in range(count):
            noise = expected[n] / whole + 0.0  # no negative zero
            first = second = most = total = 0.0
            chosen = 0
            for o in range(classes):
                p = mean[o, n] / whole
                total -= p * math.log(p) if p > 0 else p
                most = max(most, votes[o, n] / whole)
                if p > first:
                    first, second, chosen = p, first, o
                else:
                    second = max(second, p)
            out = measures[begin + n]
            # Of one member both are the same, and rounding must not make a difference of it.
            out[0] = noise if voters == 1 else total + 0.0
            out[1] = noise
            out[2] = max(out[0] - noise, 0.0)
            out[3] = max(1.0 - votes[chosen, n] / whole, 0.0)
            out[4] = max(1.0 - most, 0.0)
            out[5] = first - second
            out[6] = -(totals[0, n] + math.log(totals[1, n]))
            out[7] = -totals[0, n]
            if not math.isfinite(out[1]):  # comparisons pass over what is no number
                out[:] = math.nan


@kernel
def _transpose(logits: Floats, begin: int, out: Floats) -> None:
    """out (O, N) = rows of logits (R, O) from `begin` on; of fewer rows, the last again."""
    last = logits.shape[0] - 1
    for n in range(BLOCK_ROWS):
        row = min(begin + n, last)
        for o in range(logits.shape[1]):
            out[o, n] = logits[row, o]


@kernel
def _add(weight: float, values: Floats, sums: Floats) -> None:
    flat, flat_sums = values.reshape(-1), sums.reshape(-1)
    for i in range(flat.size):
        flat_sums[i] += weight * flat[i]


@kernel
def _softmax(values: Floats, totals: Floats, shares: Floats) -> None:
    """shares (O, N) = softmax of values (O, N), from which the largest of each row are subtracted.

    Writes also totals (2, N): the largest, and the sums of exp(values - largest).
    """
    classes = values.shape[0]
    largest, powers = totals[0], totals[1]
    for n in range(BLOCK_ROWS):
        largest[n] = values[0, n]
        powers[n] = 0.0
    for o in range(1, classes):
        for n in range(BLOCK_ROWS):
            largest[n] = largest[n] if values[o, n] <= largest[n] else values[o, n]
    for o in range(classes):
        own, out = values[o], shares[o]
        for n in range(BLOCK_ROWS):
            shifted = own[n] - largest[n]
            out[n] = exponential(shifted)
            own[n] = max(shifted, LOWEST)  # so that a share of zero times this is zero
        for n in range(BLOCK_ROWS):
            powers[n] += out[n]
    for o in range(classes):
        for n in range(BLOCK_ROWS):
            shares[o, n] /= powers[n]
