"""Patches: the rows of an image under a kernel, copied with their padding into a small buffer."""

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.compilation import kernel
from ensemble_pipe.nn.kernels.lanes import LANE_BYTES, aligned_zeros, clear, copy

# Rows of output pixels are summed in blocks of up to this many, so a patch has that many at least.
BLOCK = 8
# Gradients of so many positions of a kernel are summed at a time.
POSITIONS = 9


def make_patch(
    kernel_size: tuple[int, int],
    width: int,
    stride: int,
    channels: int,
    dtype: np.dtype[np.floating],
) -> Floats:
    """Return scratch for one row of `width` output pixels: (kh, columns, C).

    It has enough columns to read a whole vector from any valid position.
    """
    columns = (max(width, BLOCK) - 1) * stride + kernel_size[1] + LANE_BYTES // dtype.itemsize
    return aligned_zeros((kernel_size[0], columns, channels), dtype)


def make_sums(positions: int, channels: int, dtype: np.dtype[np.floating]) -> Floats:
    """Return scratch for the gradient of a kernel (positions, channels), rows to spare included."""
    return aligned_zeros((-(-positions // POSITIONS) * POSITIONS, channels), dtype)


@kernel
def patch_offsets(count: int, run: int, unit: int, patch: Floats) -> Integers:
    """Return where in a patch the positions of a kernel lie, and zeros to a multiple of nine.

    Args:
        count, run: positions in all, and in one row of the kernel.
        unit: numbers from one position to the next.
    """
    offsets = np.zeros(-(-count // POSITIONS) * POSITIONS, np.intp)
    for k in range(count):
        offsets[k] = k // run * patch.shape[1] * patch.shape[2] + k % run * unit
    return offsets


@kernel
def read_patch(image: Floats, top: int, left: int, patch: Floats) -> None:
    """Copy rows from `top` on of an image (H, W, C) into a patch, zeros where there are none.

    The first `left` columns of the patch stay as they are, as do those after the image's last.
    """
    height, width, channels = image.shape
    size = patch.shape[1] * channels
    count = min(width, patch.shape[1] - left) * channels
    for k in range(patch.shape[0]):
        to = k * size + left * channels
        if 0 <= top + k < height:
            copy(patch, to, image, (top + k) * width * channels, count)
        else:
            clear(patch, to, count)


@kernel
def read_spread_patch(image: Floats, top: int, left: int, stride: int, patch: Floats) -> None:
    """Do as `read_patch` with an image whose pixels lie `stride` apart, zeros between them.

    The columns between stay as they are, too.
    """
    height, width, channels = image.shape
    size = patch.shape[1] * channels
    for k in range(patch.shape[0]):
        to = k * size + left * channels
        row, between = divmod(top + k, stride)
        if between != 0 or not 0 <= row < height:
            clear(patch, to, min(width * stride * channels, size - left * channels))
        elif stride == 1:
            copy(patch, to, image, row * width * channels, width * channels)
        else:
            for x in range(width):
                source = (row * width + x) * channels
                copy(patch, to + x * stride * channels, image, source, channels)
