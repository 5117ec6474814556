"""A matrix product whose rows have the same bits wherever they stand, and among any number of rows.

BLAS sums a row in another order where a product has another number of rows, and on some processors
by the row's position. Here each number is summed from the first term to the last, whatever stands
around it: six rows at a time in registers, over panels of columns that are copied together before
(Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication", section 4).
"""

from typing import Any

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
    where_greater,
    zero_lanes,
)

ROWS = 6
# Up to so many rows, copying a matrix into panels takes longer than it saves.
FEW_ROWS = 12

# What is done with sums before they are stored: nothing, or a bias is added and f applied.
PLAIN, LINEAR, RELU, LEAKY_RELU = range(4)


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
        multiply_few(a, b, c, PLAIN, panels, panels)
    else:
        pack(b, panels)
        multiply_packed(a, panels, c, PLAIN, panels, panels)


@kernel
def pack(b: Floats, panels: Floats) -> None:
    """Copy a matrix (K, O) into panels, (K, lanes) of each vector of columns, zero past the last.

    Args:
        b: as for `multiply_rows`.
        panels: of `panels_size` numbers or more.
    """
    terms, columns = b.shape
    step, lanes = b.strides[0] // b.itemsize, lane_count(b)
    for k in range(terms):
        to = k * lanes
        for o in range(0, columns, lanes):
            store(panels, to, load_rest(b, k * step + o, columns - o))
            to += terms * lanes


@kernel
def multiply_packed(
    a: Floats, panels: Floats, c: Floats, ending: int, bias: Floats, slope: Floats
) -> None:
    """c = f(a b + bias), for the panels of b; otherwise as `multiply_rows`.

    Args:
        ending: what f is, or PLAIN for a b alone.
        bias: (O,); not read for PLAIN.
        slope: (1,) of f below zero; read for LEAKY_RELU alone.
    """
    lanes = lane_count(c)
    for first in range(0, a.shape[0], ROWS):
        for o in range(0, c.shape[1], lanes):
            _sum_rows(a, first, panels, c, o, ending, bias, slope)


@kernel
def _sum_rows(
    a: Floats,
    first: int,
    panels: Floats,
    c: Floats,
    o: int,
    ending: int,
    bias: Floats,
    slope: Floats,
) -> None:
    """Write the columns from o on, as many as a panel has, of up to six rows of c."""
    rows, terms = a.shape
    lanes, left = lane_count(c), c.shape[1] - o
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
        vector = load(panels, o * terms + k * lanes)
        c0 = c0 + load_one(a, at0 + k) * vector
        c1 = c1 + load_one(a, at1 + k) * vector
        c2 = c2 + load_one(a, at2 + k) * vector
        c3 = c3 + load_one(a, at3 + k) * vector
        c4 = c4 + load_one(a, at4 + k) * vector
        c5 = c5 + load_one(a, at5 + k) * vector
    for i, sums in enumerate((c0, c1, c2, c3, c4, c5)):
        if first + i < rows:
            ended = _end(sums, o, left, ending, bias, slope)
            store_rest(c, (first + i) * to + o, ended, left)


@kernel
def _end(sums: Any, o: int, left: int, ending: int, bias: Floats, slope: Floats) -> Any:
    """Return f(sums + bias), of the columns from o on."""
    if ending == PLAIN:
        return sums
    zero, value = zero_lanes(bias), sums + load_rest(bias, o, left)
    if ending == RELU:
        return where_greater(zero, value, zero, value)  # a NaN stays one
    if ending == LEAKY_RELU:
        return where_greater(value, zero, value, load_one(slope, 0) * value)
    return value


@kernel
def multiply_few(a: Floats, b: Floats, c: Floats, ending: int, bias: Floats, slope: Floats) -> None:
    """c = f(a b + bias) of few rows: b is read once, as it lies; as `multiply_packed`."""
    rows, terms = a.shape
    columns, lanes = b.shape[1], lane_count(b)
    own, step = a.strides[0] // a.itemsize, b.strides[0] // b.itemsize
    to = c.strides[0] // c.itemsize
    for r in range(rows):
        for o in range(0, columns, lanes):
            store_rest(c, r * to + o, zero_lanes(c), columns - o)
    for k in range(0, terms, 4):
        for r in range(rows):
            _add_terms(a, r * own + k, b, k * step, c, r * to, min(terms - k, 4))
    for r in range(rows):
        for o in range(0, columns, lanes):
            left, at = columns - o, r * to + o
            store_rest(c, at, _end(load_rest(c, at, left), o, left, ending, bias, slope), left)


@kernel
def _add_terms(a: Floats, at: int, b: Floats, start: int, c: Floats, to: int, terms: int) -> None:
    """Add up to four terms to each sum of a row of c: one load and store of it for all of them."""
    columns, step = b.shape[1], b.strides[0] // b.itemsize
    for o in range(0, columns, lane_count(c)):
        left, place = columns - o, start + o
        sums = load_rest(c, to + o, left)
        if terms == 4:
            sums = sums + load_one(a, at) * load_rest(b, place, left)
            sums = sums + load_one(a, at + 1) * load_rest(b, place + step, left)
            sums = sums + load_one(a, at + 2) * load_rest(b, place + 2 * step, left)
            sums = sums + load_one(a, at + 3) * load_rest(b, place + 3 * step, left)
        else:
            for k in range(terms):
                sums = sums + load_one(a, at + k) * load_rest(b, place + k * step, left)
        store_rest(c, to + o, sums, left)
