"""Numbers between NumPy and Arrow, without a copy.

pyarrow's own conversions import pandas the first time, for a quarter of a second in each process.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ensemble_pipe.core.arrays import Array

_DTYPES = {
    pa.from_numpy_dtype(dtype): dtype
    for dtype in map(np.dtype, ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"))
}


def arrow_of(values: Array) -> pa.Array:
    """Return numbers (R,), not bool, as an Arrow array; only what lies apart is copied."""
    values = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    kind, content = pa.from_numpy_dtype(values.dtype), pa.py_buffer(values)
    return pa.Array.from_buffers(kind, len(values), [None, content])


def tensors_of(values: Array) -> pa.ExtensionArray:
    """Return numbers (R, ...) as an Arrow array of R tensors; only what lies apart is copied."""
    flat = arrow_of(np.ascontiguousarray(values).reshape(-1))
    return as_tensors(flat, values.shape[1:])


def as_tensors(flat: pa.Array, shape: Sequence[int]) -> pa.ExtensionArray:
    """Return numbers, row after row, as an Arrow array of tensors of a shape."""
    storage = pa.FixedSizeListArray.from_arrays(flat, prod(shape))
    return pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(flat.type, shape), storage)


def dtype_of(kind: pa.DataType) -> np.dtype[Any]:
    """Return NumPy's type for one of Arrow's types of numbers."""
    return _DTYPES[kind]


def numbers_of(column: pa.Array) -> Array:
    """Return an Arrow array of numbers, none missing, as an array (R,) that is read-only."""
    dtype = dtype_of(column.type)
    assert column.null_count == 0
    if len(column) == 0:
        return np.empty(0, dtype)
    start = column.offset * dtype.itemsize
    return np.frombuffer(column.buffers()[1], dtype, len(column), start)


def truths_of(column: pa.Array) -> npt.NDArray[np.bool_]:
    """Return an Arrow array of truths, none missing, as an array (R,)."""
    return numbers_of(column.cast(pa.uint8())).view(np.bool_)
