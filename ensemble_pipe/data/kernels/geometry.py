"""Compiled moves of images: flips and shifts."""

from ensemble_pipe.arrays import Array, Integers
from ensemble_pipe.kernels import kernel


@kernel
def flip_horizontally(images: Array, flips: Array, out: Array) -> None:
    """out (R, H, W, C) = images, with left and right exchanged where flips (R,) is true."""
    rows, height, width, channels = images.shape
    for r in range(rows):
        for y in range(height):
            for x in range(width):
                source = width - 1 - x if flips[r] else x
                for c in range(channels):
                    out[r, y, x, c] = images[r, y, source, c]


@kernel
def shift(images: Array, down: Integers, right: Integers, out: Array) -> None:
    """out (R, H, W, C) = images moved by down (R,) and right (R,) pixels, zero where none was."""
    rows, height, width, channels = images.shape
    for r in range(rows):
        for y in range(height):
            for x in range(width):
                from_y, from_x = y - down[r], x - right[r]
                inside = 0 <= from_y < height and 0 <= from_x < width
                for c in range(channels):
                    out[r, y, x, c] = images[r, from_y, from_x, c] if inside else 0
