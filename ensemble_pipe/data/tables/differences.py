"""Exact subtraction of an offset from integers and decimals beyond float64's 53 bits."""

from decimal import Context, Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ensemble_pipe.core.arrays import Floats, Integers

_EXACT = Context(prec=1200)  # more digits than any float64 less any decimal has


def differences(column: pa.Array, offset: float) -> Floats:
    """Return a column of numbers minus `offset` (n,) float64, rounded once; NaN where missing."""
    if pa.types.is_decimal(column.type):
        exact = Decimal(offset)
        found = [
            np.nan if value is None else float(_EXACT.subtract(value, exact))
            for value in column.to_pylist()
        ]
        return np.array(found, np.float64)
    if pa.types.is_integer(column.type) and offset.is_integer() and abs(offset) <= 2.0**64:
        missing = column.is_null().to_numpy(zero_copy_only=False)
        integers = pc.fill_null(column, 0).to_numpy(zero_copy_only=False)
        return np.where(missing, np.nan, of_integers(integers, int(offset)))
    values: Floats = column.to_numpy(zero_copy_only=False).astype(np.float64)
    return values - offset


def of_integers(values: Integers, offset: int) -> Floats:
    """Return integers (n,) of any type less `offset`, |offset| <= 2^64, as float64, rounded once.

    The halves of 32 bits are subtracted apart, so that nothing overflows and only the sum rounds.
    """
    if values.dtype != np.uint64:
        values = values.astype(np.int64)
    high, low = divmod(offset, 1 << 32)
    highs = (values >> 32).astype(np.int64) - high
    lows = (values & 0xFFFFFFFF).astype(np.int64) - low
    return highs * 2.0**32 + lows
