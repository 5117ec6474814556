"""Convolution of any size and stride as matrix products of gathered patches (im2col).

The columns of an output pixel are the kh kw C inputs under the kernel, zero outside of the image;
the product of columns (pixels, kh kw C) with the kernel (kh kw C, O) is a piece of the output
(Chellapilla, Puri & Simard 2006, "High performance convolutional neural networks for document
processing", section 4). The gradients are the transposed products. A 1x1 kernel of stride 1 needs
no gathering. Rows of output pixels are worked on in groups whose columns stay in the L2 cache.

Shapes: x (A, N, H, W, C) with A = M, or 1 where all learners share the input; weights
(M, kh, kw, C, O); y (M, N, OH, OW, O). Arrays are contiguous.
"""

from typing import NamedTuple

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.compilation import kernel
from ensemble_pipe.nn.kernels.gemm import SMALL_PRODUCT, gemm
from ensemble_pipe.nn.kernels.lanes import (
    aligned_zeros,
    clear,
    copy,
    lane_count,
    load_rest,
    store_rest,
)
from ensemble_pipe.nn.kernels.row_product import PLAIN, make_panels, multiply_packed, pack
from ensemble_pipe.nn.kernels.window import SlidingWindow

# Numbers in the columns of a group, which the L2 cache holds.
COLUMNS_SIZE = 65536
# Pixels of a group whose product must be packed: enough to be worth it.
PACKED_PIXELS = 192


class ColumnsWork(NamedTuple):
    """Work space of one layer, shared by its learners.

    Attributes:
        rows: of output pixels in a group.
        columns: (rows OW kh kw C,); empty for a pointwise convolution.
        transposed: (O, kh kw C), a learner's kernel.
        panels: scratch of `row_product`; empty where BLAS multiplies.
    """

    rows: int
    columns: Floats
    transposed: Floats
    panels: Floats


def columns_work(
    weights: tuple[int, ...],
    width: int,
    pointwise: bool,
    row_products: bool,
    dtype: np.dtype[np.floating],
) -> ColumnsWork:
    """Return the work space for a kernel (kh, kw, C, O) and output rows of `width` pixels."""
    filters = weights[-1]
    size = weights[0] * weights[1] * weights[2]
    row = width * size
    rows = min(max(COLUMNS_SIZE // row, 1), SMALL_PRODUCT // (row * filters))
    if rows == 0:
        rows = max(PACKED_PIXELS // width, 1)
    columns = aligned_zeros((0 if pointwise else rows * row,), dtype)
    panels = make_panels(size if row_products else 0, filters, dtype)
    return ColumnsWork(rows, columns, aligned_zeros((filters, size), dtype), panels)


@kernel
def convolve(
    x: Floats, weights: Floats, window: SlidingWindow, y: Floats, work: ColumnsWork
) -> None:
    """y = x * weights (cross-correlation, as is usual in networks)."""
    learners, images, height, width, filters = y.shape
    size = weights[0].size // filters
    outputs = y.reshape(learners, images * height * width, filters)
    matrices = weights.reshape(learners, size, filters)
    for begin in range(0, images * height, work.rows):
        rows = min(work.rows, images * height - begin)
        first, last = begin * width, (begin + rows) * width
        for m in range(learners):
            if m < x.shape[0]:
                columns = _columns(x[m], weights.shape, window, begin, rows, y.shape, work)
            if work.panels.size == 0:
                gemm(False, False, columns, matrices[m], 0.0, outputs[m, first:last])
                continue
            if begin == 0 or learners > 1:
                pack(matrices[m], work.panels)
            multiply_packed(
                columns, work.panels, outputs[m, first:last], PLAIN, work.panels, work.panels
            )


@kernel
def kernel_gradient(
    x: Floats, window: SlidingWindow, gradient: Floats, weights_gradient: Floats, work: ColumnsWork
) -> None:
    """weights_gradient, from the gradient (M, N, OH, OW, O) with respect to y."""
    learners, images, height, width, filters = gradient.shape
    size = weights_gradient[0].size // filters
    outputs = gradient.reshape(learners, images * height * width, filters)
    matrices = weights_gradient.reshape(learners, size, filters)
    shape = weights_gradient.shape
    for begin in range(0, images * height, work.rows):
        rows = min(work.rows, images * height - begin)
        first, last = begin * width, (begin + rows) * width
        beta = 0.0 if begin == 0 else 1.0
        for m in range(learners):
            if m < x.shape[0]:
                columns = _columns(x[m], shape, window, begin, rows, gradient.shape, work)
            gemm(True, False, columns, outputs[m, first:last], beta, matrices[m])


@kernel
def input_gradient(
    weights: Floats, window: SlidingWindow, gradient: Floats, x_gradient: Floats, work: ColumnsWork
) -> None:
    """x_gradient (M, N, H, W, C), from the gradient (M, N, OH, OW, O) with respect to y."""
    learners, images, height, width, filters = gradient.shape
    size = weights[0].size // filters
    outputs = gradient.reshape(learners, images * height * width, filters)
    matrices = weights.reshape(learners, size, filters)
    for m in range(learners):
        for o in range(filters):
            for k in range(size):
                work.transposed[o, k] = matrices[m, k, o]
        for begin in range(0, images * height, work.rows):
            rows = min(work.rows, images * height - begin)
            first, last = begin * width, (begin + rows) * width
            if work.columns.size == 0:
                pixels = x_gradient[m].reshape(-1, size)[first:last]
                gemm(False, False, outputs[m, first:last], work.transposed, 0.0, pixels)
            else:
                columns = work.columns[: (last - first) * size].reshape(last - first, size)
                gemm(False, False, outputs[m, first:last], work.transposed, 0.0, columns)
                for r in range(rows):
                    n, row = divmod(begin + r, height)
                    if row == 0:
                        image = x_gradient[m, n].size
                        clear(x_gradient, (m * x_gradient.shape[1] + n) * image, image)
                    here = columns[r * width : (r + 1) * width]
                    _scatter(here, weights.shape, window, row, x_gradient[m, n])


@kernel
def _columns(
    x: Floats,
    kernel_shape: tuple[int, ...],
    window: SlidingWindow,
    begin: int,
    rows: int,
    output_shape: tuple[int, ...],
    work: ColumnsWork,
) -> Floats:
    """Return the columns (pixels, kh kw C) of rows of output pixels, counted over all images."""
    height, width = output_shape[2:4]
    size = kernel_shape[1] * kernel_shape[2] * x.shape[3]
    if work.columns.size == 0:
        return x.reshape(-1, size)[begin * width : (begin + rows) * width]
    columns = work.columns[: rows * width * size].reshape(rows * width, size)
    for r in range(rows):
        n, row = divmod(begin + r, height)
        _gather(x[n], kernel_shape, window, row, columns[r * width : (r + 1) * width])
    return columns


@kernel
def _gather(
    image: Floats, kernel_shape: tuple[int, ...], window: SlidingWindow, row: int, columns: Floats
) -> None:
    """columns (OW, kh kw C) of one row of output pixels of an image (H, W, C)."""
    height, width, channels = image.shape
    kernel_height, run = kernel_shape[1], kernel_shape[2] * channels
    for x in range(columns.shape[0]):
        left, start, stop = _inside(x, kernel_shape[2], window, image.shape)
        for ky in range(kernel_height):
            y = row * window.stride - window.top + ky
            to = (x * kernel_height + ky) * run
            if 0 <= y < height:
                if start > 0:
                    clear(columns, to, start)
                source = (y * width + left) * channels + start
                copy(columns, to + start, image, source, stop - start)
                if stop < run:
                    clear(columns, to + stop, run - stop)
            else:
                clear(columns, to, run)


@kernel
def _scatter(
    columns: Floats, kernel_shape: tuple[int, ...], window: SlidingWindow, row: int, image: Floats
) -> None:
    """Add columns (OW, kh kw C) of one row of output pixels to an image (H, W, C)."""
    height, width, channels = image.shape
    kernel_height, run = kernel_shape[1], kernel_shape[2] * channels
    top = row * window.stride - window.top
    for x in range(columns.shape[0]):
        left, start, stop = _inside(x, kernel_shape[2], window, image.shape)
        for ky in range(max(-top, 0), min(kernel_height, height - top)):
            to = ((top + ky) * width + left) * channels + start
            _add(image, to, columns, (x * kernel_height + ky) * run + start, stop - start)


@kernel
def _inside(
    x: int, kernel_width: int, window: SlidingWindow, image_shape: tuple[int, ...]
) -> tuple[int, int, int]:
    """Return what a row of the kernel reads for output pixel x.

    Returns:
        the first column of the image, which may lie outside; then, of the kw C numbers of the
        row, the first inside of the image and the one past the last.
    """
    width, channels = image_shape[1:]
    left = x * window.stride - window.left
    start = min(max(-left, 0), kernel_width) * channels
    return left, start, max(min(kernel_width, width - left) * channels, start)


@kernel
def _add(out: Floats, to: int, source: Floats, at: int, count: int) -> None:
    step = lane_count(out)
    for i in range(0, count, step):
        total = load_rest(out, to + i, count - i) + load_rest(source, at + i, count - i)
        store_rest(out, to + i, total, count - i)
