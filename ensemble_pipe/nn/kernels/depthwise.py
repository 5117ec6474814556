"""Depthwise convolution: each channel with a kernel of its own (Chollet 2017, "Xception").

The rows under the kernel are copied into a patch with their padding; then sums over the kernel
stay in registers, four pixels of one vector of channels at a time. In the kernel's gradient nine
of its positions are summed over the pixels of a row at a time: nine accumulators hide the latency
of a fused multiply-add, and a 3x3 kernel has nine.

Shapes: x (A, N, H, W, C) with A = M, or 1 where all learners share the input; weights
(M, kh, kw, C); y (M, N, OH, OW, C). Arrays are contiguous.
"""

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.compilation import kernel
from ensemble_pipe.nn.kernels.lanes import (
    clear,
    copy,
    lane_count,
    load,
    load_rest,
    store_rest,
    zero_lanes,
)
from ensemble_pipe.nn.kernels.patches import patch_offsets, read_patch, read_spread_patch
from ensemble_pipe.nn.kernels.window import SlidingWindow


@kernel
def convolve(x: Floats, weights: Floats, window: SlidingWindow, y: Floats, patch: Floats) -> None:
    """y_c = x_c * w_c (cross-correlation), for each channel c.

    Args:
        patch: scratch from `patches.make_patch`.
    """
    learners, images, height = y.shape[:3]
    kernel_height, kernel_width = weights.shape[1:3]
    offsets = patch_offsets(kernel_height * kernel_width, kernel_width, weights.shape[3], patch)
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
    """out (OW, C) = the sums over the kernel (kh, kw, C)."""
    width, channels = out.shape
    step = stride * channels
    for first in range(0, width, 4):
        # The last four overlap those before: the same sums are written twice.
        x = max(min(first, width - 4), 0)
        for c in range(0, channels, lane_count(out)):
            left = channels - c
            a0 = a1 = a2 = a3 = zero_lanes(out)
            for k in range(weights.shape[0] * weights.shape[1]):
                w = load_rest(weights, k * channels + c, left)
                at = offsets[k] + x * step + c
                a0 = a0 + load(patch, at) * w
                a1 = a1 + load(patch, at + step) * w
                a2 = a2 + load(patch, at + 2 * step) * w
                a3 = a3 + load(patch, at + 3 * step) * w
            to = x * channels + c
            for i, a in enumerate((a0, a1, a2, a3)):
                if x + i < width:
                    store_rest(out, to + i * channels, a, left)


@kernel
def kernel_gradient(
    x: Floats,
    window: SlidingWindow,
    gradient: Floats,
    weights_gradient: Floats,
    patch: Floats,
    sums: Floats,
) -> None:
    """weights_gradient, from the gradient (M, N, OH, OW, C) with respect to y.

    Args:
        patch: scratch from `patches.make_patch`.
        sums: scratch from `patches.make_sums`.
    """
    learners, images, height = gradient.shape[:3]
    shape = weights_gradient.shape
    positions = shape[1] * shape[2]
    offsets = patch_offsets(positions, shape[2], shape[3], patch)
    clear(patch, 0, patch.size)
    for m in range(learners):
        own = m if x.shape[0] > 1 else 0
        clear(sums, 0, sums.size)
        for n in range(images):
            for row in range(height):
                read_patch(x[own, n], row * window.stride - window.top, window.left, patch)
                _add_row(patch, window.stride, offsets, gradient[m, n, row], sums)
        copy(weights_gradient, m * positions * shape[3], sums, 0, positions * shape[3])


@kernel
def _add_row(patch: Floats, stride: int, offsets: Integers, gradient: Floats, sums: Floats) -> None:
    """Add to sums (K, C) what one row (OW, C) of the gradient contributes."""
    width, channels = gradient.shape
    lanes = lane_count(sums)
    step = stride * channels
    for k in range(0, offsets.size, 9):
        at0, at1, at2 = offsets[k], offsets[k + 1], offsets[k + 2]
        at3, at4, at5 = offsets[k + 3], offsets[k + 4], offsets[k + 5]
        at6, at7, at8 = offsets[k + 6], offsets[k + 7], offsets[k + 8]
        for c in range(0, channels, lanes):
            left = channels - c
            a0 = a1 = a2 = a3 = a4 = a5 = a6 = a7 = a8 = zero_lanes(sums)
            for x in range(width):
                g = load_rest(gradient, x * channels + c, left)
                at = x * step + c
                a0 = a0 + load(patch, at0 + at) * g
                a1 = a1 + load(patch, at1 + at) * g
                a2 = a2 + load(patch, at2 + at) * g
                a3 = a3 + load(patch, at3 + at) * g
                a4 = a4 + load(patch, at4 + at) * g
                a5 = a5 + load(patch, at5 + at) * g
                a6 = a6 + load(patch, at6 + at) * g
                a7 = a7 + load(patch, at7 + at) * g
                a8 = a8 + load(patch, at8 + at) * g
            to = k * channels + c
            for a in (a0, a1, a2, a3, a4, a5, a6, a7, a8):
                store_rest(sums, to, load_rest(sums, to, left) + a, left)
                to += channels


@kernel
def input_gradient(
    weights: Floats, window: SlidingWindow, gradient: Floats, x_gradient: Floats, patch: Floats
) -> None:
    """x_gradient (M, N, H, W, C), from the gradient (M, N, OH, OW, C) with respect to y.

    It is the convolution of the gradient, spread out by the stride, with the kernel turned round.

    Args:
        patch: scratch from `patches.make_patch` for rows of W pixels and a stride of 1.
    """
    learners, images, height = x_gradient.shape[:3]
    kernel_height, kernel_width = weights.shape[1:3]
    top, left = kernel_height - 1 - window.top, kernel_width - 1 - window.left
    offsets = patch_offsets(kernel_height * kernel_width, kernel_width, weights.shape[3], patch)
    clear(patch, 0, patch.size)
    turned = np.empty(weights.shape[1:], weights.dtype)
    for m in range(learners):
        for ky in range(kernel_height):
            for kx in range(kernel_width):
                for c in range(weights.shape[3]):
                    turned[ky, kx, c] = weights[m, -1 - ky, -1 - kx, c]
        for n in range(images):
            for row in range(height):
                read_spread_patch(gradient[m, n], row - top, left, window.stride, patch)
                _convolve_row(patch, 1, offsets, turned, x_gradient[m, n, row])
