"""A compiled Gaussian blur, one axis after the other."""

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.compilation import kernel
from ensemble_pipe.data.kernels.geometry import copy_values


@kernel
def _reflected(place: int, size: int) -> int:
    """Return the place of a mirrored continuation: ... 1 0 | 0 1 ... n-1 | n-1 n-2 ..."""
    place = place % (2 * size)
    return place if place < size else 2 * size - 1 - place


@kernel
def _convolve(values: Floats, weights: Floats, radius: int, step: int, out: Floats) -> None:
    """out[i] = the weighted sum of values[i], values[i + step], ... around i + radius * step."""
    middle, centre = values[radius * step :], weights[0]
    for i in range(out.shape[0]):
        out[i] = centre * middle[i]
    for t in range(1, radius + 1):
        before, after = values[(radius - t) * step :], values[(radius + t) * step :]
        weight = weights[t]
        for i in range(out.shape[0]):
            out[i] += weight * (before[i] + after[i])


@kernel
def _blur_image(
    lines: Array,
    channels: int,
    weights: Floats,
    radius: int,
    tall: Floats,
    wide: Floats,
    sums: Floats,
    out: Array,
) -> None:
    height, length = lines.shape
    width, pad = length // channels, radius * channels
    for y in range(height + 2 * radius):
        copy_values(lines[_reflected(y - radius, height)], tall[y * length : (y + 1) * length])
    columns = sums[: height * length]
    _convolve(tall, weights, radius, length, columns)
    padded = length + 2 * pad
    for y in range(height):
        line, own = wide[y * padded : (y + 1) * padded], columns[y * length : (y + 1) * length]
        copy_values(own, line[pad : pad + length])
        for x in range(radius):
            left, right = _reflected(x - radius, width), _reflected(width + x, width)
            for c in range(channels):
                line[x * channels + c] = own[left * channels + c]
                line[length + pad + x * channels + c] = own[right * channels + c]
    # The sums that straddle two lines are computed too, and not used: one long loop is faster.
    _convolve(wide, weights, radius, channels, sums[: height * padded - 2 * pad])
    half = np.float32(0.5)
    for y in range(height):
        line, rounded = sums[y * padded : y * padded + length], out[y]
        for i in range(length):
            rounded[i] = np.uint8(np.int32(line[i] + half))


@kernel
def blur(lines: Array, channels: int, weights: Floats, radii: Integers, out: Array) -> None:
    """Blur each image with weights of its own, mirrored at the edges.

    Args:
        lines: (R, H, W C) uint8.
        channels: C.
        weights: (R, 1 + the largest radius) float32, from the middle outwards.
        radii: (R,) pixels; 0 copies the image.
        out: (R, H, W C) uint8, written.
    """
    rows, height, length = lines.shape
    most = weights.shape[1] - 1
    tall = np.empty((height + 2 * most) * length, np.float32)
    wide = np.empty(height * (length + 2 * most * channels), np.float32)
    sums = np.empty(wide.size, np.float32)
    for r in range(rows):
        if radii[r] == 0:
            out[r] = lines[r]
        else:
            _blur_image(lines[r], channels, weights[r], radii[r], tall, wide, sums, out[r])
