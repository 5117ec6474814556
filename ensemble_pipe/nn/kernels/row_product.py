"""A matrix product whose rows have the same bits wherever they stand, and among any number of rows.

BLAS sums a row in another order where a product has another number of rows, and on some processors
by the row's position. Here each number is summed from the first term to the last, whatever stands
around it: six rows at a time in registers, over panels of columns that are copied together before
(Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication", section 4).
"""

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.compilation import kernel
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
# Up to so many rows, copying a matrix into panels takes longer than it saves.
FEW_ROWS = 12


def panels_size(terms: int, columns: int, dtype: np.dtype[np.floating]) -> int:
    """Return the length of the panels of a matrix (terms, columns)."""
    lanes = LANE_BYTES // dtype.itemsize
    return terms * lanes * -(-columns // lanes)


def make_panels(terms: int, columns: int, dtype: np.dtype[np.floating]) -> Floats:
    """Return scratch for the panels of a matrix (terms, columns)."""
    return aligned_zeros((panels_size(terms, columns, dtype),), dtype)


@kernel
def multiply_rows(a: Floats, b: Floats, c: Floats, panels: Floats) -> None:
    """c = a b, with the same bits for equal rows of a.

    Args:
        a, b, c: 2-D, of one dtype; rows may lie apart, the numbers of a row may not. Nothing
            checks this here.
        panels: scratch from `make_panels`, for at least as large a matrix as b.
    """
    if a.shape[0] <= FEW_ROWS:
        multiply_few(a, b, c, panels)
    else:
        pack(b, 0, panels)
        multiply_packed(a, panels, c)


@kernel
def pack(b: Floats, first: int, panels: Floats) -> None:
    """Copy the columns of a matrix (K, O) from the first on into panels.

    They are (K, lanes) for each vector of columns, zero past the last column.

    Args:
        b: as for `multiply_rows`.
        panels: of `panels_size` numbers or more.
    """
    terms, columns = b.shape
    step, lanes = b.strides[0] // b.itemsize, lane_count(b)
    for k in range(terms):
        to = k * lanes
        for o in range(first, columns, lanes):
            store(panels, to, load_rest(b, k * step + o, columns - o))
            to += terms * lanes


@kernel
def multiply_packed(a: Floats, panels: Floats, c: Floats) -> None:
    """c = a b, for the panels of b; otherwise as `multiply_rows`."""
    lanes = lane_count(c)
    for first in range(0, a.shape[0], ROWS):
        for o in range(0, c.shape[1], lanes):
            _sum_rows(a, first, panels, o * a.shape[1], lanes, c, o)


@kernel
def multiply_few(a: Floats, b: Floats, c: Floats, panels: Floats) -> None:
    """c = a b without copying b, but for the columns that fill no vector; as `multiply_rows`."""
    columns = b.shape[1]
    step, lanes = b.strides[0] // b.itemsize, lane_count(b)
    whole = columns - columns % lanes
    if whole < columns:
        pack(b, whole, panels)
    for first in range(0, a.shape[0], ROWS):
        for o in range(0, whole, lanes):
            _sum_rows(a, first, b, o, step, c, o)
        if whole < columns:
            _sum_rows(a, first, panels, 0, lanes, c, whole)


@kernel
def _sum_rows(a: Floats, first: int, b: Floats, at: int, step: int, c: Floats, o: int) -> None:
    """Write the columns from o on, as many as a vector holds, of up to six rows of c.

    Args:
        b: holds these columns from the index `at` on, those of each further term `step` later.
    """
    rows, terms = a.shape
    own, to = a.strides[0] // a.itemsize, c.strides[0] // c.itemsize
    last = rows - 1  # stands for rows past the end, whose sums are not stored
    at0 = first * own
    at1 = min(first + 1, last) * own
    at2 = min(first + 2, last) * own
    at3 = min(first + 3, last) * own
    at4 = min(first + 4, last) * own
    at5 = min(first + 5, last) * own
    c0 = c1 = c2 = c3 = c4 = c5 = zero_lanes(c)
    for k in range(terms):
        vector = load(b, at + k * step)
        c0 = c0 + load_one(a, at0 + k) * vector
        c1 = c1 + load_one(a, at1 + k) * vector
        c2 = c2 + load_one(a, at2 + k) * vector
        c3 = c3 + load_one(a, at3 + k) * vector
        c4 = c4 + load_one(a, at4 + k) * vector
        c5 = c5 + load_one(a, at5 + k) * vector
    for i, sums in enumerate((c0, c1, c2, c3, c4, c5)):
        if first + i < rows:
            store_rest(c, (first + i) * to + o, sums, c.shape[1] - o)
