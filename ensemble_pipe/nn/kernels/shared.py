"""Compiled factors of members that share weights.

Shapes: K members of a learner, each with its own factor for every column: r, s (K, D). Rows of the
members are (K, N, D), the N of the first member, then those of the second, and so on. Sums over
rows go from the first row to the last.
"""

from typing import Any

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.compilation import kernel

Real = np.floating[Any]


@kernel
def scale_rows(rows: Floats, factors: Floats, out: Floats) -> None:
    """out (K, N, D) = factors (K, D) * rows (K, N, D)."""
    members, count, columns = out.shape
    for k in range(members):
        for n in range(count):
            for d in range(columns):
                out[k, n, d] = factors[k, d] * rows[k, n, d]


@kernel
def scale_gradient(gradient: Floats, rows: Floats, factors: Floats, sums: Floats) -> None:
    """sums (K, D) = sum of gradient * rows over N; then gradient *= factors, in place."""
    members, count, columns = gradient.shape
    for k in range(members):
        sums[k, :] = 0
        for n in range(count):
            for d in range(columns):
                value = gradient[k, n, d]
                sums[k, d] += value * rows[k, n, d]
                gradient[k, n, d] = value * factors[k, d]


@kernel
def bend(
    sums: Floats, scale: Floats, bias: Floats, next_scale: Floats, slope: Real, out: Floats
) -> None:
    """out (K, N, D) = r f(sums s + b), with f(x) = x above zero and slope x below."""
    members, count, columns = out.shape
    zero = out.dtype.type(0)
    for k in range(members):
        for n in range(count):
            for d in range(columns):
                value = sums[k, n, d] * scale[k, d] + bias[k, d]
                bent = value if value > zero else slope * value
                out[k, n, d] = bent * next_scale[k, d]


@kernel
def bend_gradient(
    sums: Floats,
    scale: Floats,
    bias: Floats,
    next_scale: Floats,
    slope: Real,
    gradient: Floats,
    scale_sums: Floats,
    bias_sums: Floats,
    next_sums: Floats,
) -> None:
    """Turn the gradient (K, N, D) of `bend` into that of the sums, in place.

    scale_sums, bias_sums and next_sums (K, D) become the gradients of the three vectors.
    """
    members, count, columns = gradient.shape
    zero = gradient.dtype.type(0)
    for k in range(members):
        scale_sums[k, :] = 0
        bias_sums[k, :] = 0
        next_sums[k, :] = 0
        for n in range(count):
            for d in range(columns):
                given = sums[k, n, d]
                value = given * scale[k, d] + bias[k, d]
                own = gradient[k, n, d]
                next_sums[k, d] += own * (value if value > zero else slope * value)
                own *= next_scale[k, d]
                own = own if value > zero else slope * own
                bias_sums[k, d] += own
                scale_sums[k, d] += own * given
                gradient[k, n, d] = own * scale[k, d]


@kernel
def spread_rows(rows: Floats, factors: Floats, out: Floats) -> None:
    """out (K, N, D) = factors (K, D) * rows (N, D), the same rows for every member."""
    members, count, columns = out.shape
    for k in range(members):
        for n in range(count):
            for d in range(columns):
                out[k, n, d] = factors[k, d] * rows[n, d]


@kernel
def spread_factor_gradient(gradient: Floats, rows: Floats, sums: Floats) -> None:
    """sums (K, D) = sum of gradient (K, N, D) * rows (N, D) over N."""
    members, count, columns = gradient.shape
    for k in range(members):
        sums[k, :] = 0
        for n in range(count):
            for d in range(columns):
                sums[k, d] += gradient[k, n, d] * rows[n, d]


@kernel
def gather_gradient(gradient: Floats, factors: Floats, sums: Floats) -> None:
    """sums (N, D) = sum of gradient (K, N, D) * factors (K, D) over the members."""
    members, count, columns = gradient.shape
    sums[:] = 0
    for k in range(members):
        for n in range(count):
            for d in range(columns):
                sums[n, d] += gradient[k, n, d] * factors[k, d]
