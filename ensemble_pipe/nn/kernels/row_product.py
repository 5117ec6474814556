"""A matrix product whose rows have the same bits wherever they stand.

On some processors BLAS sums the rows of a product in different orders, by their position
(`nn.blas.position_changes_bits`). Here each number is summed from the first term to the last,
whatever stands around it: six rows at a time in registers, over a panel of columns that is copied
together before (Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication",
section 4).
"""

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.compilation import kernel
from ensemble_pipe.nn.kernels.gemm import gemm
from ensemble_pipe.nn.kernels.lanes import (
    LANE_BYTES,
    aligned_zeros,
    lane_count,
    load,
    load_one,
    load_rest,
    store,
    store_rest,
    zero_lanes,
)

ROWS = 6


def make_panel(inner: int, dtype: np.dtype[np.floating]) -> Floats:
    """Return scratch for products over `inner` terms."""
    return aligned_zeros((inner * LANE_BYTES // dtype.itemsize,), dtype)


@kernel
def multiply(a: Floats, b: Floats, c: Floats, panel: Floats) -> None:
    """c = a b by `multiply_rows`, or by BLAS where the panel is empty."""
    if panel.size > 0:
        multiply_rows(a, b, c, panel)
    else:
        gemm(False, False, a, b, 0.0, c)


@kernel
def multiply_rows(a: Floats, b: Floats, c: Floats, panel: Floats) -> None:
    """c = a b, with the same bits for equal rows of a.

    Args:
        a, b, c: 2-D, of one dtype; rows may lie apart, the numbers of a row may not. Nothing
            checks this here.
        panel: scratch from `make_panel`, for at least as many terms.
    """
    rows, inner = a.shape
    columns = b.shape[1]
    step = b.strides[0] // b.itemsize
    for o in range(0, columns, lane_count(c)):
        for k in range(inner):
            store(panel, k * lane_count(c), load_rest(b, k * step + o, columns - o))
        for first in range(0, rows, ROWS):
            _sum_rows(a, first, panel, c, o)


@kernel
def _sum_rows(a: Floats, first: int, panel: Floats, c: Floats, o: int) -> None:
    """Write the columns from o on, as many as the panel holds, of up to six rows of c."""
    rows, inner = a.shape
    step, to = a.strides[0] // a.itemsize, c.strides[0] // c.itemsize
    last = rows - 1  # stands for rows past the end, whose sums are not stored
    at0 = first * step
    at1 = min(first + 1, last) * step
    at2 = min(first + 2, last) * step
    at3 = min(first + 3, last) * step
    at4 = min(first + 4, last) * step
    at5 = min(first + 5, last) * step
    c0 = c1 = c2 = c3 = c4 = c5 = zero_lanes(c)
    for k in range(inner):
        b = load(panel, k * lane_count(c))
        c0 = c0 + load_one(a, at0 + k) * b
        c1 = c1 + load_one(a, at1 + k) * b
        c2 = c2 + load_one(a, at2 + k) * b
        c3 = c3 + load_one(a, at3 + k) * b
        c4 = c4 + load_one(a, at4 + k) * b
        c5 = c5 + load_one(a, at5 + k) * b
    for i, sums in enumerate((c0, c1, c2, c3, c4, c5)):
        if first + i < rows:
            store_rest(c, (first + i) * to + o, sums, c.shape[1] - o)
