"""Compiled layer normalization: each row of channels on its own.

Shapes: inputs (A, R, C) with A = M, or 1 where all learners share them; gamma, beta (M, C); mean
and scale of each row (M, R). Sums over channels run in four lanes of every fourth channel, which
are then added in pairs: one lane alone would wait for each addition.
"""

from typing import Any

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.compilation import kernel

Number = np.floating[Any]


@kernel
def _sum(values: Floats) -> Number:
    a = b = c = d = values.dtype.type(0)
    whole = len(values) - len(values) % 4
    for i in range(0, whole, 4):
        a += values[i]
        b += values[i + 1]
        c += values[i + 2]
        d += values[i + 3]
    for i in range(whole, len(values)):
        a += values[i]
    return (a + b) + (c + d)


@kernel
def _sum_of_products(left: Floats, right: Floats) -> Number:
    a = b = c = d = left.dtype.type(0)
    whole = len(left) - len(left) % 4
    for i in range(0, whole, 4):
        a += left[i] * right[i]
        b += left[i + 1] * right[i + 1]
        c += left[i + 2] * right[i + 2]
        d += left[i + 3] * right[i + 3]
    for i in range(whole, len(left)):
        a += left[i] * right[i]
    return (a + b) + (c + d)


@kernel
def layer_norm_forward(
    inputs: Floats,
    gamma: Floats,
    beta: Floats,
    epsilon: float,
    outputs: Floats,
    means: Floats,
    scales: Floats,
) -> None:
    """outputs (M, R, C) = gamma (x - mean) scale + beta with scale = 1 / sqrt(variance + epsilon).

    Writes the means and scales as well.
    """
    learners, rows, channels = outputs.shape
    one, size = outputs.dtype.type(1), outputs.dtype.type(channels)
    added = outputs.dtype.type(epsilon)
    for m in range(learners):
        source = inputs[min(m, len(inputs) - 1)]
        for r in range(rows):
            row = outputs[m, r]
            mean = _sum(source[r]) / size
            for c in range(channels):
                row[c] = source[r, c] - mean
            scale = one / np.sqrt(_sum_of_products(row, row) / size + added)
            for c in range(channels):
                row[c] = row[c] * scale * gamma[m, c] + beta[m, c]
            means[m, r], scales[m, r] = mean, scale


@kernel
def layer_norm_backward(
    gradient: Floats,
    inputs: Floats,
    gamma: Floats,
    means: Floats,
    scales: Floats,
    gamma_gradient: Floats,
    beta_gradient: Floats,
) -> None:
    """Turn the gradient (M, R, C) of the outputs into that of the inputs, in place.

    With z = (x - mean) scale and g = gamma * gradient, it is
    scale (g - mean(g) - z mean(g z)). gamma_gradient and beta_gradient (M, C) are summed by row.
    """
    learners, rows, channels = gradient.shape
    size = gradient.dtype.type(channels)
    z = np.empty(channels, gradient.dtype)
    for m in range(learners):
        source = inputs[min(m, len(inputs) - 1)]
        gamma_gradient[m] = 0
        beta_gradient[m] = 0
        for r in range(rows):
            row, mean, scale = gradient[m, r], means[m, r], scales[m, r]
            for c in range(channels):
                z[c] = (source[r, c] - mean) * scale
                gamma_gradient[m, c] += row[c] * z[c]
                beta_gradient[m, c] += row[c]
                row[c] *= gamma[m, c]
            shift = _sum(row) / size
            slope = _sum_of_products(row, z) / size
            for c in range(channels):
                row[c] = scale * (row[c] - shift - z[c] * slope)
