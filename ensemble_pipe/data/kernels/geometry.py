"""Compiled moves of images: flips and shifts.

They see images (R, H, W, C) line by line, (R, H, W C), as contiguous arrays.
"""

from ensemble_pipe.core.arrays import Array, Integers
from ensemble_pipe.core.compilation import kernel


@kernel
def copy_values(line: Array, out: Array) -> None:
    """out (n,) = line (at least n,)."""
    for i in range(out.shape[0]):
        out[i] = line[i]


@kernel
def flip_horizontally(lines: Array, flips: Array, order: Array, out: Array) -> None:
    """out (R, H, W C) = lines, with the values in `order` where flips (R,) is true.

    Args:
        order: (W C,) uint32, the place in a line that each value of the mirrored line comes from.
    """
    rows, height, length = lines.shape
    for r in range(rows):
        for y in range(height):
            line, own = lines[r, y], out[r, y]
            if not flips[r]:
                copy_values(line, own)
                continue
            for i in range(length):
                own[i] = line[order[i]]


@kernel
def flip_vertically(lines: Array, flips: Array, out: Array) -> None:
    """out (R, H, W C) = lines, with top and bottom exchanged where flips (R,) is true."""
    rows, height, _ = lines.shape
    for r in range(rows):
        for y in range(height):
            copy_values(lines[r, height - 1 - y if flips[r] else y], out[r, y])


@kernel
def shift(lines: Array, down: Integers, right: Integers, out: Array) -> None:
    """out (R, H, W C) = lines moved by down (R,) lines and right (R,) values, zero beyond them."""
    rows, height, length = lines.shape
    for r in range(rows):
        first = min(max(right[r], 0), length)
        last = max(min(length + right[r], length), first)
        for y in range(height):
            line, source = out[r, y], y - down[r]
            if source < 0 or source >= height:
                line[:] = 0
                continue
            line[:first] = 0
            copy_values(lines[r, source, first - right[r] :], line[first:last])
            line[last:] = 0
