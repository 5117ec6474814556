"""Batch normalisation, fused with a piecewise linear activation and max-pooling.

Per learner and channel (Ioffe & Szegedy 2015, "Batch normalization", algorithm 1), with mean and
variance over N, H and W in training, or running ones:

    v = (x - mean) gamma / sqrt(variance + epsilon) + beta
    f(v) = v if v > 0 else slope v              (slope 0: ReLU; 1: linear; 0.01: leaky ReLU)
    y = the highest f(v) of each pool x pool window; rows and columns past the last are dropped

f does not fall for slope >= 0, so the highest v wins. Only y and, for pool > 1, the winning x of
each window are written. `backward` finds the winner again: the first x of the window that equals
it.

Shapes: x (M, N, H, W, C); y and winners (M, N, H // pool, W // pool, C); tables are images of one
pixel. Arrays are contiguous.
"""

from typing import NamedTuple

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.compilation import kernel
from ensemble_pipe.nn.kernels.lanes import (
    lane_count,
    load_one,
    load_rest,
    store_rest,
    where_equal,
    where_greater,
    zero_lanes,
)
from ensemble_pipe.nn.kernels.moments import CHUNK_SIZE


class Affine(NamedTuple):
    """The map applied to a channel: f((x - center) scale + shift).

    Attributes:
        center, inverse, scale: (M, C), with inverse = 1 / sqrt(variance + epsilon) and
            scale = gamma inverse.
        shift: (M, C), beta.
        slope: (M,), of f below zero.
    """

    center: Floats
    inverse: Floats
    scale: Floats
    shift: Floats
    slope: Floats


class Pool(NamedTuple):
    """A pooling of windows that do not overlap.

    Attributes:
        size: of the square window.
        places: of the window's pixels from its first, in an image; the compiler knows how many.
    """

    size: int
    places: tuple[int, ...]


def pool_of(size: int, width: int, channels: int) -> Pool:
    """Return the pooling of images (H, W, C) by windows of a size; 1 is none."""
    window = range(size)
    return Pool(size, tuple((ky * width + kx) * channels for ky in window for kx in window))


@kernel
def prepare(mean: Floats, variance: Floats, epsilon: Floats, gamma: Floats, affine: Affine) -> None:
    """Set center, inverse and scale of `affine` from mean and variance (M, C)."""
    for m in range(mean.shape[0]):
        for c in range(mean.shape[1]):
            inverse = 1.0 / np.sqrt(variance[m, c] + epsilon[m])
            affine.center[m, c] = mean[m, c]
            affine.inverse[m, c] = inverse
            affine.scale[m, c] = gamma[m, c] * inverse


@kernel
def normalize(x: Floats, affine: Affine, pool: Pool, y: Floats, winners: Floats) -> None:
    """y, and the winners where the pool is larger than 1, from x."""
    learners, images, height = y.shape[:3]
    for m in range(learners):
        for n in range(images):
            for row in range(height):
                window = x[m, n, row * pool.size : (row + 1) * pool.size]
                out = y[m, n, row]
                won = out if len(pool.places) == 1 else winners[m, n, row]
                _normalize_row(window, m, affine, pool, out, won)


@kernel
def _normalize_row(
    x: Floats, m: int, affine: Affine, pool: Pool, y: Floats, winners: Floats
) -> None:
    """One row of windows: x (pool, W, C), y and winners (OW, C)."""
    width, channels = y.shape
    zero = zero_lanes(y)
    slope = load_one(affine.slope, m)
    for c in range(0, channels, lane_count(y)):
        left, own = channels - c, m * channels + c
        center = load_rest(affine.center, own, left)
        scale = load_rest(affine.scale, own, left)
        shift = load_rest(affine.shift, own, left)
        for i in range(width):
            corner, to = i * pool.size * channels + c, i * channels + c
            winner = load_rest(x, corner, left)
            best = (winner - center) * scale + shift
            for k in range(1, len(pool.places)):
                value = load_rest(x, corner + pool.places[k], left)
                v = (value - center) * scale + shift
                winner = where_greater(v, best, value, winner)
                best = where_greater(v, best, v, best)
            if len(pool.places) > 1:
                store_rest(winners, to, winner, left)
            store_rest(y, to, where_greater(best, zero, best, best * slope), left)


@kernel
def parameter_gradients(
    gradient: Floats,
    winners: Floats,
    affine: Affine,
    gamma_gradient: Floats,
    beta_gradient: Floats,
) -> None:
    """Gradients of gamma and beta (M, C), from that with respect to y.

    Args:
        winners: x itself where the pool is 1.
    """
    learners, channels = gamma_gradient.shape
    rows = gradient[0].size // channels
    gradients = gradient.reshape(learners, rows, channels)
    values = winners.reshape(learners, rows, channels)
    chunk = max(CHUNK_SIZE // channels, 1)
    sums = np.empty((2, channels), gradient.dtype)
    totals = np.empty((2, channels))
    for m in range(learners):
        for c in range(channels):
            totals[0, c] = totals[1, c] = 0.0
        for begin in range(0, rows, chunk):
            end = min(begin + chunk, rows)
            _gradient_sums(gradients[m, begin:end], values[m, begin:end], m, affine, sums)
            for c in range(channels):
                totals[0, c] += sums[0, c]
                totals[1, c] += sums[1, c]
        for c in range(channels):
            beta_gradient[m, c] = totals[0, c]
            gamma_gradient[m, c] = totals[1, c] * affine.inverse[m, c]


@kernel
def _gradient_sums(gradient: Floats, x: Floats, m: int, affine: Affine, sums: Floats) -> None:
    """sums (2, C): of the gradient g of v over rows, and of g (x - center)."""
    count, channels = gradient.shape
    zero = zero_lanes(x)
    slope = load_one(affine.slope, m)
    for c in range(0, channels, lane_count(x)):
        left, own = channels - c, m * channels + c
        center = load_rest(affine.center, own, left)
        scale = load_rest(affine.scale, own, left)
        shift = load_rest(affine.shift, own, left)
        a0 = a1 = b0 = b1 = zero
        for r in range(0, count - 1, 2):
            at = r * channels + c
            d0 = load_rest(x, at, left) - center
            d1 = load_rest(x, at + channels, left) - center
            g0, g1 = load_rest(gradient, at, left), load_rest(gradient, at + channels, left)
            g0 = where_greater(d0 * scale + shift, zero, g0, g0 * slope)
            g1 = where_greater(d1 * scale + shift, zero, g1, g1 * slope)
            a0, a1, b0, b1 = a0 + g0, a1 + g1, b0 + g0 * d0, b1 + g1 * d1
        if count % 2 == 1:
            at = (count - 1) * channels + c
            d0, g0 = load_rest(x, at, left) - center, load_rest(gradient, at, left)
            g0 = where_greater(d0 * scale + shift, zero, g0, g0 * slope)
            a0, b0 = a0 + g0, b0 + g0 * d0
        store_rest(sums, c, a0 + a1, left)
        store_rest(sums, channels + c, b0 + b1, left)


@kernel
def input_gradient(
    gradient: Floats,
    winners: Floats,
    x: Floats,
    affine: Affine,
    gamma_gradient: Floats,
    beta_gradient: Floats,
    pool: Pool,
    x_gradient: Floats,
) -> None:
    """x_gradient, from the gradient with respect to y; may be x itself, which is overwritten.

    With g the gradient of v, zero where x is not the winner, and R = N H W:
    scale (g - beta_gradient / R - (x - center) inverse gamma_gradient / R).

    Args:
        winners: x itself where the pool is 1.
        gamma_gradient, beta_gradient: zeros where mean and variance do not depend on x.
    """
    learners, images, height, width, channels = x.shape
    share = 1.0 / (images * height * width)
    smooth = np.empty((2, channels), x.dtype)
    for m in range(learners):
        for c in range(channels):
            factor = -affine.scale[m, c] * share
            smooth[0, c] = factor * beta_gradient[m, c]
            smooth[1, c] = factor * affine.inverse[m, c] * gamma_gradient[m, c]
        for n in range(images):
            for row in range(gradient.shape[2]):
                top = row * pool.size
                _input_gradient_row(
                    gradient[m, n, row],
                    winners[m, n, row],
                    x[m, n, top : top + pool.size],
                    m,
                    affine,
                    smooth,
                    pool,
                    x_gradient[m, n, top : top + pool.size],
                )
            for row in range(height):
                inside = row < gradient.shape[2] * pool.size
                first = gradient.shape[3] * pool.size if inside else 0
                if first < width:
                    _spread(x[m, n, row], first, m, affine, smooth, x_gradient[m, n, row])


@kernel
def _input_gradient_row(
    gradient: Floats,
    winners: Floats,
    x: Floats,
    m: int,
    affine: Affine,
    smooth: Floats,
    pool: Pool,
    x_gradient: Floats,
) -> None:
    """One row of windows: gradient and winners (OW, C), x and x_gradient (pool, W, C)."""
    width, channels = gradient.shape
    zero = zero_lanes(x)
    slope = load_one(affine.slope, m)
    for c in range(0, channels, lane_count(x)):
        left, own = channels - c, m * channels + c
        center = load_rest(affine.center, own, left)
        scale = load_rest(affine.scale, own, left)
        shift = load_rest(affine.shift, own, left)
        constant, linear = load_rest(smooth, c, left), load_rest(smooth, channels + c, left)
        for i in range(width):
            corner, at = i * pool.size * channels + c, i * channels + c
            winner, g = load_rest(winners, at, left), load_rest(gradient, at, left)
            v = (winner - center) * scale + shift
            pending = where_greater(v, zero, g, g * slope) * scale
            for place in pool.places:
                value = load_rest(x, corner + place, left)
                won = where_equal(value, winner, pending, zero)
                pending = where_equal(value, winner, zero, pending)
                total = (value - center) * linear + constant + won
                store_rest(x_gradient, corner + place, total, left)


@kernel
def _spread(
    x: Floats, first: int, m: int, affine: Affine, smooth: Floats, x_gradient: Floats
) -> None:
    """The gradient through mean and variance alone, for pixels (W, C) from `first` on."""
    for i in range(first, x.shape[0]):
        for c in range(x.shape[1]):
            x_gradient[i, c] = (x[i, c] - affine.center[m, c]) * smooth[1, c] + smooth[0, c]
