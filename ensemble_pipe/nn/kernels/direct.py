"""Convolution of images with few channels: sums in registers, no product of matrices.

For one row of output pixels, the rows under the kernel are copied into a patch with their padding;
then 8 pixels times one vector of filters are summed over the kernel in registers. In the kernel's
gradient nine of its positions are summed over the pixels of a row at a time: nine accumulators
hide the latency of a fused multiply-add, and a 3x3 kernel on one channel has nine.

Shapes: x (A, N, H, W, C) with A = M, or 1 where all learners share the input; weights
(M, kh, kw, C, O); y (M, N, OH, OW, O). Arrays are contiguous.
"""

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.compilation import kernel
from ensemble_pipe.nn.kernels.lanes import (
    clear,
    copy,
    lane_count,
    load_one,
    load_rest,
    store_rest,
    zero_lanes,
)
from ensemble_pipe.nn.kernels.patches import patch_offsets, read_patch
from ensemble_pipe.nn.kernels.window import SlidingWindow


@kernel
def convolve(x: Floats, weights: Floats, window: SlidingWindow, y: Floats, patch: Floats) -> None:
    """y = x * weights (cross-correlation, as is usual in networks).

    Args:
        patch: scratch from `patches.make_patch`.
    """
    learners, images, height = y.shape[:3]
    kernel_height, kernel_width, channels = weights.shape[1:4]
    run = kernel_width * channels
    offsets = patch_offsets(kernel_height * run, run, 1, patch)
    clear(patch, 0, patch.size)
    for m in range(learners):
        own = m if x.shape[0] > 1 else 0
        for n in range(images):
            for row in range(height):
                read_patch(x[own, n], row * window.stride - window.top, window.left, patch)
                _convolve_row(patch, window.stride, offsets, weights[m], y[m, n, row])


@kernel
def _convolve_row(
    patch: Floats, stride: int, offsets: Integers, weights: Floats, out: Floats
) -> None:
    """out (OW, O) = the sums over the kernel (kh, kw, C, O)."""
    width, filters = out.shape
    step = stride * patch.shape[2]
    for first in range(0, width, 8):
        # The last eight overlap those before: the same sums are written twice.
        x = max(min(first, width - 8), 0)
        for o in range(0, filters, lane_count(out)):
            left = filters - o
            a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = zero_lanes(out)
            for k in range(weights.size // filters):
                w = load_rest(weights, k * filters + o, left)
                at = offsets[k] + x * step
                a0 = a0 + load_one(patch, at) * w
                a1 = a1 + load_one(patch, at + step) * w
                a2 = a2 + load_one(patch, at + 2 * step) * w
                a3 = a3 + load_one(patch, at + 3 * step) * w
                a4 = a4 + load_one(patch, at + 4 * step) * w
                a5 = a5 + load_one(patch, at + 5 * step) * w
                a6 = a6 + load_one(patch, at + 6 * step) * w
                a7 = a7 + load_one(patch, at + 7 * step) * w
            to = x * filters + o
            for i, a in enumerate((a0, a1, a2, a3, a4, a5, a6, a7)):
                if x + i < width:
                    store_rest(out, to + i * filters, a, left)


@kernel
def kernel_gradient(
    x: Floats,
    window: SlidingWindow,
    gradient: Floats,
    weights_gradient: Floats,
    patch: Floats,
    sums: Floats,
) -> None:
    """weights_gradient, from the gradient (M, N, OH, OW, O) with respect to y.

    Args:
        patch: scratch from `patches.make_patch`.
        sums: scratch from `patches.make_sums`.
    """
    learners, images, height = gradient.shape[:3]
    kernel_height, kernel_width, channels = weights_gradient.shape[1:4]
    run = kernel_width * channels
    offsets = patch_offsets(kernel_height * run, run, 1, patch)
    clear(patch, 0, patch.size)
    for m in range(learners):
        own = m if x.shape[0] > 1 else 0
        clear(sums, 0, sums.size)
        for n in range(images):
            for row in range(height):
                read_patch(x[own, n], row * window.stride - window.top, window.left, patch)
                _add_row(patch, window.stride, offsets, gradient[m, n, row], sums)
        size = weights_gradient[m].size
        copy(weights_gradient, m * size, sums, 0, size)


@kernel
def _add_row(patch: Floats, stride: int, offsets: Integers, gradient: Floats, sums: Floats) -> None:
    """Add to sums (K, O) what one row (OW, O) of the gradient contributes."""
    width, filters = gradient.shape
    step = stride * patch.shape[2]
    for k in range(0, offsets.size, 9):
        at0, at1, at2 = offsets[k], offsets[k + 1], offsets[k + 2]
        at3, at4, at5 = offsets[k + 3], offsets[k + 4], offsets[k + 5]
        at6, at7, at8 = offsets[k + 6], offsets[k + 7], offsets[k + 8]
        for o in range(0, filters, lane_count(sums)):
            left = filters - o
            a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = a8 = zero_lanes(sums)
            for x in range(width):
                g = load_rest(gradient, x * filters + o, left)
                at = x * step
                a0 = a0 + load_one(patch, at0 + at) * g
                a1 = a1 + load_one(patch, at1 + at) * g
                a2 = a2 + load_one(patch, at2 + at) * g
                a3 = a3 + load_one(patch, at3 + at) * g
                a4 = a4 + load_one(patch, at4 + at) * g
                a5 = a5 + load_one(patch, at5 + at) * g
                a6 = a6 + load_one(patch, at6 + at) * g
                a7 = a7 + load_one(patch, at7 + at) * g
                a8 = a8 + load_one(patch, at8 + at) * g
            to = k * filters + o
            for a in (a0, a1, a2, a3, a4, a5, a6, a7, a8):
                store_rest(sums, to, load_rest(sums, to, left) + a, left)
                to += filters
