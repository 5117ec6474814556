"""Mean and variance of a batch, and their running averages.

Sums of squares are taken around the mean of some rows that are hot in the cache, and merged in
float64 (Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance", eq. 1.7 and
2.1), so that a large mean costs no digits.
"""

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.compilation import kernel
from ensemble_pipe.nn.kernels.lanes import (
    lane_count,
    load_one,
    load_rest,
    store_rest,
    zero_lanes,
)

# Numbers that are summed before they are merged: they fit the L1 cache.
CHUNK_SIZE = 4096


@kernel
def measure(
    x: Floats,
    momentum: Floats,
    running_mean: Floats,
    running_variance: Floats,
    mean: Floats,
    variance: Floats,
) -> None:
    """Mean and biased variance (M, C) of a batch x (M, N, H, W, C); moves the running ones.

    running += momentum (batch - running), with the unbiased variance (as PyTorch does).

    Args:
        mean, variance: in float64.
    """
    learners, channels = mean.shape
    rows = x[0].size // channels
    flat = x.reshape(learners, rows, channels)
    chunk = max(CHUNK_SIZE // channels, 1)
    sums = np.empty((3, channels), x.dtype)
    for m in range(learners):
        for c in range(channels):
            mean[m, c] = variance[m, c] = 0.0
        for begin in range(0, rows, chunk):
            count = min(chunk, rows - begin)
            _sums(flat[m, begin : begin + count], sums)
            weight = count / (begin + count)
            for c in range(channels):
                # The mean of some rows is rounded; what they deviate from it in sum corrects that.
                error = np.float64(sums[1, c]) / count
                difference = sums[0, c] + error - mean[m, c]
                squares = sums[2, c] - error * error * count
                mean[m, c] += difference * weight
                variance[m, c] += squares + difference * difference * weight * begin
        unbiased = 1.0 / max(rows - 1, 1)
        for c in range(channels):
            running_mean[m, c] += momentum[m] * (mean[m, c] - running_mean[m, c])
            running_variance[m, c] += momentum[m] * (
                variance[m, c] * unbiased - running_variance[m, c]
            )
            variance[m, c] /= rows


@kernel
def _sums(rows: Floats, sums: Floats) -> None:
    """sums (3, C): the mean of rows (R, C), and the deviations from it and their squares."""
    count, channels = rows.shape
    share = np.full(1, 1.0 / count, rows.dtype)
    for c in range(0, channels, lane_count(rows)):
        left = channels - c
        a0 = a1 = a2 = a3 = zero_lanes(rows)
        for r in range(0, count - 3, 4):
            at = r * channels + c
            a0 = a0 + load_rest(rows, at, left)
            a1 = a1 + load_rest(rows, at + channels, left)
            a2 = a2 + load_rest(rows, at + 2 * channels, left)
            a3 = a3 + load_rest(rows, at + 3 * channels, left)
        for r in range(count // 4 * 4, count):
            a0 = a0 + load_rest(rows, r * channels + c, left)
        mean = ((a0 + a1) + (a2 + a3)) * load_one(share, 0)
        a0 = a1 = s0 = s1 = zero_lanes(rows)
        for r in range(0, count - 1, 2):
            at = r * channels + c
            d0 = load_rest(rows, at, left) - mean
            d1 = load_rest(rows, at + channels, left) - mean
            a0, a1, s0, s1 = a0 + d0, a1 + d1, s0 + d0 * d0, s1 + d1 * d1
        if count % 2 == 1:
            d0 = load_rest(rows, (count - 1) * channels + c, left) - mean
            a0, s0 = a0 + d0, s0 + d0 * d0
        store_rest(sums, c, mean, left)
        store_rest(sums, channels + c, a0 + a1, left)
        store_rest(sums, 2 * channels + c, s0 + s1, left)
