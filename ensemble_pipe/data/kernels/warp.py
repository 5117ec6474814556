"""One compiled warp of images: affine and radial, bilinear.

The loops run over whole tiles of pixels, and each does one thing to contiguous arrays, so that
they become vector instructions even where a row of an image is shorter than a few vectors.
"""

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.compilation import kernel
from ensemble_pipe.data.kernels.geometry import copy_values

_TILE = 1024  # pixels; what belongs to them stays in the first-level cache
_BYTE = np.uint32(255)
_SECOND, _THIRD, _FOURTH = np.uint32(8), np.uint32(16), np.uint32(24)


@kernel
def _pack(plane: Array, width: int, padded: Array, packed: Array) -> None:
    """Put each pixel's two by two neighbourhood into one number, so that one load fetches it.

    Args:
        plane: (H, W) uint8.
        width: W.
        padded: ((H + 3) * (W + 3),) uint32, zero outside the image, which begins at (1, 1).
        packed: of the same size; written: the pixel, its right, lower and diagonal neighbour.
    """
    stride = width + 3
    for y in range(plane.shape[0]):
        start = (y + 1) * stride + 1
        line, values = padded[start : start + width], plane[y]
        for x in range(width):
            line[x] = values[x]
    right, below, diagonal = padded[1:], padded[stride:], padded[stride + 1 :]
    for i in range(diagonal.shape[0]):
        packed[i] = (
            padded[i] | (right[i] << _SECOND) | (below[i] << _THIRD) | (diagonal[i] << _FOURTH)
        )


@kernel
def _find(
    matrix: Floats,
    bend: float,
    dys: Floats,
    dxs: Floats,
    shape: tuple[int, int],
    reach: int,
    places: Integers,
    down: Floats,
    right: Floats,
) -> None:
    """Write the place in the padded image that each pixel comes from, and the shares beyond it."""
    a, b, c = np.float32(matrix[0, 0]), np.float32(matrix[0, 1]), np.float32(matrix[0, 2])
    d, e, f = np.float32(matrix[1, 0]), np.float32(matrix[1, 1]), np.float32(matrix[1, 2])
    height, width = shape
    middle_y, middle_x = np.float32(0.5 * (height + 1)), np.float32(0.5 * (width + 1))
    low, high_y, high_x = (
        np.float32(1 - reach),
        np.float32(height + reach),
        np.float32(width + reach),
    )
    k, one, stride = np.float32(bend), np.float32(1), np.int32(width + 3)
    for i in range(dys.shape[0]):
        dy, dx = dys[i], dxs[i]
        bent = one + k * (dy * dy + dx * dx)
        y = middle_y + (a * dy + b * dx + c) * bent
        x = middle_x + (d * dy + e * dx + f) * bent
        y = low if y < low else y
        y = high_y if y > high_y else y
        x = low if x < low else x
        x = high_x if x > high_x else x
        top, left = np.int32(y), np.int32(x)
        places[i] = top * stride + left
        down[i] = y - np.float32(top)
        right[i] = x - np.float32(left)


@kernel
def _fetch(packed: Array, places: Integers, fours: Array) -> None:
    for i in range(places.shape[0]):
        fours[i] = packed[np.uint32(places[i])]


@kernel
def _mix(fours: Array, down: Floats, right: Floats, line: Array) -> None:
    """Write the bilinear mean of each neighbourhood, rounded."""
    half = np.float32(0.5)
    for i in range(fours.shape[0]):
        four = fours[i]
        here = np.float32(np.int32(four & _BYTE))
        beside = np.float32(np.int32((four >> _SECOND) & _BYTE))
        below = np.float32(np.int32((four >> _THIRD) & _BYTE))
        diagonal = np.float32(np.int32(four >> _FOURTH))
        upper = here + right[i] * (beside - here)
        lower = below + right[i] * (diagonal - below)
        line[i] = np.uint8(np.int32(upper + down[i] * (lower - upper) + half))


@kernel
def _is_identity(matrix: Floats, bend: float) -> bool:
    same = bend == 0
    for i in range(2):
        for j in range(3):
            same &= matrix[i, j] == (1 if i == j else 0)
    return same


@kernel
def warp(images: Array, matrices: Floats, bends: Floats, reach: int, out: Array) -> None:
    """Fill each pixel of out from where it lies in images, bilinearly.

    With p = (dy, dx) the offset of a pixel from the middle of the image, its value comes from the
    offset (A p + t) (1 + bend |p|^2).

    Args:
        images: (R, H, W, C) uint8.
        matrices: (R, 2, 3), [A t] of each image.
        bends: (R,), per square pixel.
        reach: 1: zero lies beyond the edge, and pixels at the edge fade into it; 0: the pixels of
            the edge go on outwards.
        out: (R, H, W, C) uint8, contiguous, written.
    """
    rows, height, width, channels = images.shape
    size, tile = height * width, min(height * width, _TILE)
    padded = np.zeros((height + 3) * (width + 3), np.uint32)
    packed = np.zeros((channels, padded.size), np.uint32)
    dys, dxs = np.empty(size, np.float32), np.empty(size, np.float32)
    for y in range(height):
        for x in range(width):
            dys[y * width + x] = y - 0.5 * (height - 1)
            dxs[y * width + x] = x - 0.5 * (width - 1)
    places, fours, line = (
        np.empty(tile, np.int32),
        np.empty(tile, np.uint32),
        np.empty(tile, np.uint8),
    )
    down, right = np.empty(tile, np.float32), np.empty(tile, np.float32)
    pixels = out.reshape(rows, size, channels)
    for r in range(rows):
        if _is_identity(matrices[r], bends[r]):
            out[r] = images[r]
            continue
        for c in range(channels):
            _pack(images[r, :, :, c], width, padded, packed[c])
        for first in range(0, size, tile):
            last = min(first + tile, size)
            n = last - first
            _find(
                matrices[r], bends[r], dys[first:last], dxs[first:last], (height, width), reach,
                places, down, right,
            )  # fmt: skip
            for c in range(channels):
                _fetch(packed[c], places[:n], fours)
                _mix(fours[:n], down, right, line)
                copy_values(line, pixels[r, first:last, c])
