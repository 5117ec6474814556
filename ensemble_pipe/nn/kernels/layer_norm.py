"""Compiled layer normalization: each row of channels on its own.

Sums over channels run in four lanes of every fourth channel, which are then added in pairs: one
lane alone would wait for each addition.
"""

from ensemble_pipe.arrays import Floats
from ensemble_pipe.kernels import kernel


@kernel
def _mean(values: Floats) -> float:
    size = len(values)
    a = b = c = d = values.dtype.type(0)
    whole = size - size % 4
    for i in range(0, whole, 4):
        a += values[i]
        b += values[i + 1]
        c += values[i + 2]
        d += values[i + 3]
    for i in range(whole, size):
        a += values[i]
    return ((a + b) + (c + d)) / values.dtype.type(size)


@kernel
def _mean_product(left: Floats, right: Floats, shift: float) -> float:
    """Return the mean of left * (right - shift)."""
    size = len(left)
    a = b = c = d = left.dtype.type(0)
    whole = size - size % 4
    for i in range(0, whole, 4):
        a += left[i] * (right[i] - shift)
        b += left[i + 1] * (right[i + 1] - shift)
        c += left[i + 2] * (right[i + 2] - shift)
        d += left[i + 3] * (right[i + 3] - shift)
    for i in range(whole, size):
        a += left[i] * (right[i] - shift)
    return ((a + b) + (c + d)) / left.dtype.type(size)
