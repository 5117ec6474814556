"""NPY files of NumPy, by memory map; and the conversion of arrays to columns."""

import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.sources.paths import reading, require_few_columns, require_values
from ensemble_pipe.data.sources.plain import Plain
from ensemble_pipe.data.sources.rows import Rows, image_array, read_rows, row_namer

# By version: how a header's length is written, and what reads length and header.
_HEADERS = {
    (1, 0): ("<H", np.lib.format.read_array_header_1_0),
    (2, 0): ("<I", np.lib.format.read_array_header_2_0),
}
_MOST_HEADER_BYTES = 1 << 16


@dataclass(frozen=True)
class Block:
    """An array of R rows, and the columns made of it.

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
        """Whether an array of this shape and dtype is supported."""
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

    def fields(self, where: object) -> list[pa.Field]:
        """Return names and types of the columns; more than are read are refused."""
        require_few_columns(where, self.shape[1] if len(self.shape) == 2 else 1)
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
        return [_column(column) for column in by_column.reshape(len(self.names), -1)]


def _column(values: Array) -> pa.Array:
    """Return a column of an array; Arrow's conversion would end text at its first zero byte."""
    return pa.array(values.tolist(), pa.string()) if values.dtype.kind == "U" else pa.array(values)


def open_npy(path: Path) -> Rows:
    """Open an NPY file: (R, D) numbers as columns x0, x1, ..., or uint8 images (R, H, W[, C]).

    Raises:
        DataError: the array is of another kind, or shorter than its header declares.
    """
    where = str(path)
    with reading(path), path.open("rb") as stream:
        shape, dtype, fortran, start = read_header(stream)
    block = Block("x", shape, dtype)
    if len(shape) < 2 or not block.fits or (len(shape) == 2 and dtype.kind not in "biuf"):
        raise DataError(
            f"{path}: {dtype} of shape {shape}; (R, D) numbers or uint8 images "
            "(R, H, W[, C]) are needed"
        )
    require_values(where, shape)
    announced, size = start + shape[0] * block.row_bytes, path.stat().st_size
    if announced != size:
        raise DataError(
            f"{path}: its header announces {announced} bytes for shape {shape}, but it holds {size}"
        )
    with reading(path):
        values = np.memmap(path, dtype, "r", start, shape, "F" if fortran else "C")
        plain = Plain.of(where, pa.schema(block.fields(path)))
    place = row_namer(where)

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        length = read_rows(plain.schema, names, block.row_bytes)
        for first in range(0, len(values), length):
            columns = block.columns(np.asarray(values[first : first + length]))
            batch = pa.RecordBatch.from_arrays(columns, block.names)
            yield from plain.batches(batch, names, place)

    return Rows(where, len(values), plain.schema, read, place)


def read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[np.generic], bool, int]:
    """Return shape, dtype, whether it is Fortran-ordered, and the offset of the values.

    Raises:
        ValueError: it is no header, or declares an impossible length.
    """
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"NPY version {version[0]}.{version[1]}")
    length, header = _HEADERS[version]
    stated = stream.read(struct.calcsize(length))
    if len(stated) < struct.calcsize(length):
        raise ValueError("ends inside its header")
    (size,) = struct.unpack(length, stated)
    if size > _MOST_HEADER_BYTES:
        raise ValueError(f"its header announces {size} bytes of header; real ones have few hundred")
    shape, fortran, dtype = header(io.BytesIO(stated + stream.read(size)))
    return shape, dtype, fortran, stream.tell()
