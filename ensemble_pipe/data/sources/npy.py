"""NPY files, NumPy's own, by memory map; and how any such array becomes columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ensemble_pipe.arrays import Array
from ensemble_pipe.data.sources.paths import reading
from ensemble_pipe.data.sources.plain import Plain
from ensemble_pipe.data.sources.rows import Rows, block_rows, image_array, numbered
from ensemble_pipe.errors import DataError


@dataclass(frozen=True)
class Block:
    """An array of R rows and the columns that it becomes.

    Attributes:
        name: of the column, or of the columns without their numbers: x0, x1, ...
        shape: (R,) a column, (R, D) columns, or (R, H, W[, C]) images.
        dtype: of the array.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def fits(self) -> bool:
        """Whether an array of this shape and dtype can be read at all."""
        if len(self.shape) in (3, 4):
            return self.dtype == np.uint8
        return len(self.shape) in (1, 2) and not self.dtype.hasobject and self.dtype.names is None

    @property
    def names(self) -> list[str]:
        if len(self.shape) == 2:
            return [f"{self.name}{index}" for index in range(self.shape[1])]
        return [self.name]

    @property
    def row_bytes(self) -> int:
        return prod(self.shape[1:]) * self.dtype.itemsize

    def fields(self) -> list[pa.Field]:
        """Return names and types of the columns."""
        empty = self.columns(np.zeros((0, *self.shape[1:]), self.dtype))
        return [pa.field(name, array.type) for name, array in zip(self.names, empty, strict=True)]

    def columns(self, values: Array) -> list[pa.Array]:
        """Return some rows of the array as columns."""
        if values.ndim > 2:
            return [image_array(values)]
        if values.dtype == np.float16:  # which few functions of Arrow take
            values = values.astype(np.float32)
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
        by_column = np.ascontiguousarray(values[:, None].T if values.ndim == 1 else values.T)
        return [pa.array(column) for column in by_column.reshape(len(self.names), -1)]


def open_npy(path: Path) -> Rows:
    """Open an NPY file: (R, D) numbers as columns x0, x1, ..., or uint8 images (R, H, W[, C]).

    Raises:
        DataError: it is another array, or is shorter than its header says.
    """
    where = str(path)
    with reading(path):
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(values, np.memmap):
        raise DataError(f"{path}: is no NPY file; numpy.save writes such files")
    block = Block("x", values.shape, values.dtype)
    if values.ndim < 2 or not block.fits or (values.ndim == 2 and values.dtype.kind not in "biuf"):
        raise DataError(
            f"{path}: {values.dtype} of shape {values.shape}; (R, D) numbers or uint8 images "
            "(R, H, W[, C]) are needed"
        )
    with reading(path):
        plain = Plain.of(where, pa.schema(block.fields()))
    place = numbered(where)

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        length = block_rows(plain.schema, names)
        for first in range(0, len(values), length):
            columns = block.columns(np.asarray(values[first : first + length]))
            batch = pa.RecordBatch.from_arrays(columns, block.names)
            yield plain.batch(batch, names, place)

    return Rows(where, len(values), plain.schema, read, place)
