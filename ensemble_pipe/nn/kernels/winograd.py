"""3x3 convolution of stride 1 by Winograd's minimal filtering, F(2x2, 3x3).

A tile of 4x4 inputs d and the 3x3 kernel g give 2x2 outputs with 16 products instead of 36
(Lavin & Gray 2016, "Fast algorithms for convolutional neural networks", section 4.1):

    Y = A^T [ (G g G^T) * (B^T d B) ] A

    B^T = | 1  0 -1  0 |   G = | 1    0    0  |   A^T = | 1  1  1  0 |
          | 0  1  1  0 |       | 1/2  1/2 1/2 |         | 0  1 -1  1 |
          | 0 -1  1  0 |       | 1/2 -1/2 1/2 |
          | 0 -1  0  1 |       | 0    0    1  |

(the last rows of B^T and A^T with the other sign than in the paper, which saves a negation).
Summed over channels, the 16 products of all tiles are 16 matrix products (tiles, C) (C, O). The
gradients are the transposes of these linear maps. All factors are 0, 1 and 1/2, so results are as
exact as those of the direct sum.

Rows of tiles are worked on in groups whose transforms stay in the L2 cache.

Shapes: x (A, N, H, W, C) with A = M, or 1 where all learners share the input; weights
(M, 3, 3, C, O); y (M, N, OH, OW, O); C and O are multiples of `CHANNELS`. Arrays are contiguous.
"""

from typing import NamedTuple

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.compilation import kernel
from ensemble_pipe.nn.kernels import winograd_transforms as transforms
from ensemble_pipe.nn.kernels.gemm import SMALL_PRODUCT, gemm
from ensemble_pipe.nn.kernels.lanes import aligned_zeros, clear
from ensemble_pipe.nn.kernels.patches import read_patch
from ensemble_pipe.nn.kernels.row_product import PLAIN, multiply_packed, pack, panels_size
from ensemble_pipe.nn.kernels.window import SlidingWindow

# The channels of inputs and outputs must be multiples of this, and their product no larger.
CHANNELS = 16
LARGEST_KERNEL = SMALL_PRODUCT // 32
# Numbers in the transforms of a group, which the L2 cache holds; but so many tiles that reading
# the kernel does not cost more than the products.
GROUP_SIZE = 120_000
LEAST_TILES = 64


class WinogradWork(NamedTuple):
    """Work space of one layer, shared by its learners.

    Attributes:
        inputs, outputs: (16, T, C) and (16, T, O), transforms of a group of up to T tiles.
        kernel, transposed: (16, C, O) and (16, O, C), the transformed kernel of a learner.
        patch: (4, columns, C), the inputs of one row of tiles, with zeros around.
        carried: the same for gradients; its lower half goes to the next row of tiles.
        panels: (16, size), scratch of `row_product`; without numbers where BLAS multiplies.
    """

    inputs: Floats
    outputs: Floats
    kernel: Floats
    transposed: Floats
    patch: Floats
    carried: Floats
    panels: Floats


def winograd_work(
    width: int, channels: int, filters: int, row_products: bool, dtype: np.dtype[np.floating]
) -> WinogradWork:
    """Return the work space for output rows of `width` pixels."""
    tiles = -(-width // 2)
    most = max(GROUP_SIZE // (16 * (channels + filters)), LEAST_TILES)
    most = min(most, SMALL_PRODUCT // (channels * filters))
    # An odd number keeps the 16 planes of a transform out of each other's place in the cache.
    group = max(most // tiles, 1) * tiles | 1
    columns = 2 * tiles + 2
    return WinogradWork(
        aligned_zeros((16, group, channels), dtype),
        aligned_zeros((16, group, filters), dtype),
        aligned_zeros((16, channels, filters), dtype),
        aligned_zeros((16, filters, channels), dtype),
        aligned_zeros((4, columns, channels), dtype),
        aligned_zeros((4, columns, channels), dtype),
        aligned_zeros((16, panels_size(channels, filters, dtype) if row_products else 0), dtype),
    )


@kernel
def convolve(
    x: Floats, weights: Floats, window: SlidingWindow, y: Floats, work: WinogradWork
) -> None:
    """y = x * weights (cross-correlation, as is usual in networks)."""
    learners, images = y.shape[:2]
    tile_rows, tiles, group = _begin(y.shape, work)
    for m in range(learners):
        own = m if x.shape[0] > 1 else 0
        transforms.kernel(weights[m], work.kernel)
        if work.panels.size > 0:
            for i in range(16):
                pack(work.kernel[i], work.panels[i])
        for begin in range(0, images * tile_rows, group):
            rows = min(group, images * tile_rows - begin)
            _transform_inputs(x[own], window, begin, rows, tile_rows, work)
            _multiply(rows * tiles, work)
            for r in range(rows):
                n, row = divmod(begin + r, tile_rows)
                transforms.outputs(work.outputs, r * tiles, y[m, n], 2 * row)


@kernel
def gradients(
    x: Floats,
    weights: Floats,
    window: SlidingWindow,
    gradient: Floats,
    weights_gradient: Floats,
    x_gradient: Floats,
    work: WinogradWork,
) -> None:
    """weights_gradient and x_gradient, from the gradient (M, N, OH, OW, O) with respect to y.

    Args:
        x_gradient: (M, N, H, W, C), or empty where it is not wanted.
    """
    learners, images = gradient.shape[:2]
    tile_rows, tiles, group = _begin(gradient.shape, work)
    for m in range(learners):
        own = m if x.shape[0] > 1 else 0
        transforms.kernel(weights[m], work.kernel)
        _transpose(work.kernel, work.transposed)
        for begin in range(0, images * tile_rows, group):
            rows = min(group, images * tile_rows - begin)
            _transform_inputs(x[own], window, begin, rows, tile_rows, work)
            for r in range(rows):
                n, row = divmod(begin + r, tile_rows)
                transforms.gradients(gradient[m, n], 2 * row, work.outputs, r * tiles)
            _multiply_gradients(rows * tiles, begin == 0, x_gradient.size > 0, work)
            if x_gradient.size > 0:
                _add_input_gradients(x_gradient[m], window, begin, rows, tile_rows, work)
        # By now the work space holds the gradient of the transformed kernel.
        transforms.kernel_gradient(work.kernel, weights_gradient[m])


@kernel
def _begin(shape: tuple[int, ...], work: WinogradWork) -> tuple[int, int, int]:
    """Clear the patch; return the rows of tiles of an output (M, N, OH, OW, O), their length, and
    how many of them the work space holds."""
    height, width = shape[2:4]
    tile_rows, tiles = (height + 1) // 2, (width + 1) // 2
    clear(work.patch, 0, work.patch.size)
    return tile_rows, tiles, work.inputs.shape[1] // tiles


@kernel
def _transform_inputs(
    x: Floats, window: SlidingWindow, begin: int, rows: int, tile_rows: int, work: WinogradWork
) -> None:
    """work.inputs, for rows of tiles counted over all images (N, H, W, C)."""
    tiles = (work.patch.shape[1] - 2) // 2
    for r in range(rows):
        n, row = divmod(begin + r, tile_rows)
        read_patch(x[n], 2 * row - window.top, window.left, work.patch)
        transforms.inputs(work.patch, work.inputs, r * tiles)


@kernel
def _multiply(count: int, work: WinogradWork) -> None:
    """work.outputs, from the transforms of `count` tiles and of the kernel."""
    for i in range(16):
        inputs, outputs = work.inputs[i, :count], work.outputs[i, :count]
        panels = work.panels[i]
        if panels.size > 0:
            multiply_packed(inputs, panels, outputs, PLAIN, panels, panels)
        else:
            gemm(False, False, inputs, work.kernel[i], 0.0, outputs)


@kernel
def _transpose(matrices: Floats, out: Floats) -> None:
    for i in range(matrices.shape[0]):
        for o in range(matrices.shape[2]):
            for c in range(matrices.shape[1]):
                out[i, o, c] = matrices[i, c, o]


@kernel
def _multiply_gradients(count: int, first: bool, with_inputs: bool, work: WinogradWork) -> None:
    """Sum the kernel's gradient into work.kernel; put the inputs' in place of the inputs."""
    for i in range(16):
        inputs, outputs = work.inputs[i, :count], work.outputs[i, :count]
        gemm(True, False, inputs, outputs, 0.0 if first else 1.0, work.kernel[i])
        if with_inputs:
            gemm(False, False, outputs, work.transposed[i], 0.0, inputs)


@kernel
def _add_input_gradients(
    x_gradient: Floats,
    window: SlidingWindow,
    begin: int,
    rows: int,
    tile_rows: int,
    work: WinogradWork,
) -> None:
    """Write the gradient (N, H, W, C) of the inputs of rows of tiles counted over all images."""
    tiles = (work.patch.shape[1] - 2) // 2
    for r in range(rows):
        n, row = divmod(begin + r, tile_rows)
        transforms.carry(work.carried, row == 0)
        transforms.add_input_gradients(work.inputs, r * tiles, work.carried)
        complete = 4 if row == tile_rows - 1 else 2
        top = 2 * row - window.top
        transforms.write_rows(work.carried, complete, x_gradient[n], top, window.left)
