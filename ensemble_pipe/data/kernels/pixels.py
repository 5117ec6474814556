"""Compiled changes of pixel values: noise, and boxes erased."""

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.compilation import kernel

_TILE = 1024
_ZERO, _HALF, _MOST = np.float32(0), np.float32(0.5), np.float32(255)


@kernel
def _look_up(table: Floats, words: Array, found: Floats) -> None:
    for i in range(words.shape[0]):
        found[i] = table[words[i]]


@kernel
def _add(values: Array, noise: Floats, factor: float, out: Array) -> None:
    scale = np.float32(factor)
    for i in range(out.shape[0]):
        value = np.float32(values[i]) + scale * noise[i]
        value = _ZERO if value < _ZERO else value
        value = _MOST if value > _MOST else value
        out[i] = np.uint8(np.int32(value + _HALF))


@kernel
def add_noise(images: Array, deviations: Floats, table: Floats, words: Array, out: Array) -> None:
    """out = images + deviation * noise, clipped to 0 ... 255 and rounded.

    Args:
        images: (R, H, W, C) uint8.
        deviations: (R,), in grey levels.
        table: (65536,) float32, quantiles of the noise at deviation 1.
        words: (R, at least H * W * C) uint16, which quantile each value gets.
        out: (R, H, W, C) uint8, contiguous, written.
    """
    rows, height, width, channels = images.shape
    noise = np.empty(_TILE, np.float32)
    flat = out.reshape(rows, height * width * channels)
    for r in range(rows):
        if deviations[r] == 0:
            out[r] = images[r]
            continue
        values = images[r].ravel()
        for first in range(0, values.size, _TILE):
            last = min(first + _TILE, values.size)
            _look_up(table, words[r, first:last], noise)
            _add(values[first:last], noise, deviations[r], flat[r, first:last])


@kernel
def channel_means(images: Array, means: Array) -> None:
    """Write the mean of each channel of each image, rounded, into means (R, C)."""
    rows, height, width, channels = images.shape
    size = height * width
    for r in range(rows):
        for c in range(channels):
            total = 0
            for y in range(height):
                for value in images[r, y, :, c]:
                    total += value
            means[r, c] = (total + size // 2) // size


@kernel
def erase(boxes: Integers, fills: Array, out: Array) -> None:
    """Fill one box of each image of out (R, H, W, C), in place.

    Args:
        boxes: (4, R): top, left, height and width of each.
        fills: (R, C) uint8.
        out: written.
    """
    rows, _, _, channels = out.shape
    for r in range(rows):
        top, left, height, width = boxes[:, r]
        for y in range(top, top + height):
            for x in range(left, left + width):
                for c in range(channels):
                    out[r, y, x, c] = fills[r, c]
