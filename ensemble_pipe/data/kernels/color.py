"""Compiled changes of colour: brightness, contrast, saturation and hue.

They work on planes (C, H W) of uint8, one for each channel, and round after each change, as the
libraries that define them do.
"""

from typing import Any

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.compilation import kernel
from ensemble_pipe.data.kernels.geometry import copy_values

# Luma of ITU-R BT.601 in 16 fractional bits, as Pillow's.
_RED, _GREEN, _BLUE = np.int32(19595), np.int32(38470), np.int32(7471)
_HALF_LUMA, _LUMA_BITS = np.int32(32768), np.int32(16)
_ZERO, _HALF, _ONE, _MOST = np.float32(0), np.float32(0.5), np.float32(1), np.float32(255)


@kernel
def _byte(value: np.float32) -> np.uint8:
    value = _ZERO if value < _ZERO else value
    value = _MOST if value > _MOST else value
    return np.uint8(np.int32(value + _HALF))


@kernel
def _blend(line: Array, other: float, factor: float) -> None:
    """Move each value away from `other`, to `factor` times its distance."""
    fixed, scale = np.float32(other), np.float32(factor)
    for i in range(line.shape[0]):
        line[i] = _byte(fixed + scale * (np.float32(line[i]) - fixed))


@kernel
def _blend_with_line(line: Array, others: Array, factor: float) -> None:
    scale = np.float32(factor)
    for i in range(line.shape[0]):
        other = np.float32(others[i])
        line[i] = _byte(other + scale * (np.float32(line[i]) - other))


@kernel
def _find_gray(planes: Array, gray: Array) -> None:
    """Write the luma of three channels; of another number of them the mean, rounded."""
    channels = planes.shape[0]
    if channels == 3:
        reds, greens, blues = planes[0], planes[1], planes[2]
        for i in range(gray.shape[0]):
            luma = _RED * np.int32(reds[i]) + _GREEN * np.int32(greens[i])
            luma += _BLUE * np.int32(blues[i]) + _HALF_LUMA
            gray[i] = np.uint8(np.int32(luma) >> _LUMA_BITS)
        return
    if channels == 1:
        copy_values(planes[0], gray)
        return
    for i in range(gray.shape[0]):
        total = channels // 2
        for c in range(channels):
            total += planes[c, i]
        gray[i] = total // channels


@kernel
def _mean(line: Array) -> Any:
    total = 0  # of integers: the order of the sum does not matter
    for i in range(line.shape[0]):
        total += int(line[i])
    return total / line.shape[0]


@kernel
def _channel(value: np.float32, chroma: np.float32, place: np.float32) -> np.uint8:
    """Return a channel from its place on the circle of hues, 0 to 18 in sixths of it."""
    sixth, four, turn = np.float32(1 / 6), np.float32(4), np.float32(6)
    k = place - turn * np.float32(np.int32(place * sixth))
    least = k if k < four - k else four - k
    least = _ONE if least > _ONE else least
    least = _ZERO if least < _ZERO else least
    return np.uint8(np.int32(value - chroma * least + _HALF))


@kernel
def _turn(reds: Array, greens: Array, blues: Array, turn: float) -> None:
    """Move all hues by `turn`, in sixths of the circle (Smith 1978, "Color gamut transforms")."""
    two, four = np.float32(2), np.float32(4)
    # 6 keeps the places above zero.
    for_red, for_green, for_blue = np.float32(turn + 11), np.float32(turn + 9), np.float32(turn + 7)
    for i in range(reds.shape[0]):
        red, green, blue = np.float32(reds[i]), np.float32(greens[i]), np.float32(blues[i])
        most = green if green > red else red
        most = blue if blue > most else most
        least = green if green < red else red
        least = blue if blue < least else least
        chroma = most - least
        share = _ONE / (chroma if chroma > _ONE else _ONE)  # a grey has no hue, and needs none
        hue = four + (red - green) * share
        hue = two + (blue - red) * share if most == green else hue
        hue = (green - blue) * share if most == red else hue
        reds[i] = _channel(most, chroma, hue + for_red)
        greens[i] = _channel(most, chroma, hue + for_green)
        blues[i] = _channel(most, chroma, hue + for_blue)


@kernel
def jitter(
    images: Array,
    brightness: Floats,
    contrast: Floats,
    saturation: Floats,
    turns: Floats,
    out: Array,
) -> None:
    """Change brightness, contrast, saturation and hue, in this order.

    Args:
        images: (R, H, W, C) uint8.
        brightness, contrast, saturation: (R,) factors; 1 changes nothing.
        turns: (R,), of the hue, -3 to 3 sixths of the circle; 0 changes nothing.
        out: (R, H, W, C) uint8, contiguous, written. Without three channels, the saturation and
            the hue stay.
    """
    rows, height, width, channels = images.shape
    size = height * width
    planes, gray = np.empty((channels, size), np.uint8), np.empty(size, np.uint8)
    pixels = out.reshape(rows, size, channels)
    for r in range(rows):
        out[r] = images[r]
        for c in range(channels):
            for i in range(size):
                planes[c, i] = pixels[r, i, c]
        if brightness[r] != 1:
            _blend(planes.ravel(), 0.0, brightness[r])
        if contrast[r] != 1:
            _find_gray(planes, gray)
            _blend(planes.ravel(), _mean(gray), contrast[r])
        if channels == 3 and saturation[r] != 1:
            _find_gray(planes, gray)
            for c in range(channels):
                _blend_with_line(planes[c], gray, saturation[r])
        if channels == 3 and turns[r] != 0:
            _turn(planes[0], planes[1], planes[2], turns[r])
        for c in range(channels):
            for i in range(size):
                pixels[r, i, c] = planes[c, i]
