"""Rows of a source: what every reader of files returns, before anything is fitted to it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
import pyarrow as pa

from ensemble_pipe.arrays import Array
from ensemble_pipe.errors import DataError
from ensemble_pipe.messages import shown

IMAGE = "image"
LABEL = "label"
# Metadata of a text column: the place and the text of its first value that is no number.
TEXT_PLACE, TEXT = b"text_place", b"text"
BLOCK_ROWS = 4096
GROUP_ROWS = 256
BLOCK_BYTES = 64 << 20


@dataclass(frozen=True)
class Rows:
    """Rows that can be read again and again, block by block, always in the same order.

    Attributes:
        where: the file or folder, for messages.
        count: R.
        schema: names and types of the columns. Images are one column named "image", a
            FixedShapeTensor of uint8 (H, W, C).
        read: read(names) yields these columns of all rows, in batches of any length.
        place: place(row) names a row (counted from 0) as a person would look it up, such as
            "f.csv: row 17 (line 18)".
        places: the same of columns that do not stand in `where`, such as labels in their own file.
        file: file(row) names the image file that a row is, below `where`; None where rows are no
            files of their own.
    """

    where: str
    count: int
    schema: pa.Schema
    read: Callable[[Sequence[str]], Iterator[pa.RecordBatch]]
    place: Callable[[int], str]
    places: Mapping[str, Callable[[int], str]] = field(default_factory=dict)
    file: Callable[[int], str] | None = None

    @property
    def is_image(self) -> bool:
        return IMAGE in self.schema.names and is_images(self.schema.field(IMAGE).type)

    def place_from(self, first: int) -> Callable[[int], str]:
        """Return a `place` for a block that begins with the row `first`."""
        return lambda row: self.place(first + row)

    def cells(self, column: str) -> Callable[[int], str]:
        """Return a function that names the value of a row in some column."""
        return self.places.get(column) or (lambda row: f"{self.place(row)}, column {shown(column)}")

    def blocks(self, names: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield (number of the first row, block), where every block but the last is as long.

        The length depends on the columns alone, not on how a file is divided, so that what is
        summed up block by block has the same bits whatever the file.

        Raises:
            DataError: the file is damaged, or has another number of rows than when it was opened.
        """
        length = block_rows(self.schema, names)
        first, held, parts = 0, 0, list[pa.RecordBatch]()
        for batch in self.read(names):
            start = 0
            while batch.num_rows - start >= length - held:
                parts.append(batch.slice(start, length - held))
                start += length - held
                yield first, _joined(parts)
                first, held, parts = first + length, 0, []
            if start < batch.num_rows:
                parts.append(batch.slice(start))
                held += batch.num_rows - start
        if first + held != self.count:
            raise DataError(
                f"{self.where}: {first + held} rows were read where {self.count} were announced; "
                "the file is damaged, or was written to meanwhile"
            )
        if held:
            yield first, _joined(parts)


def block_rows(schema: pa.Schema, names: Sequence[str]) -> int:
    """Return the length of the blocks in which columns are read: 4096, or fewer of large rows.

    Above 256 it is a multiple of that, so that no group of 256 rows, which predictions are made in,
    is computed for two blocks; draws at prediction are addressed by parts of such a group.
    """
    width = sum(_bytes(schema.field(name).type) for name in names)
    length = max(1, min(BLOCK_ROWS, BLOCK_BYTES // max(width, 1)))
    return length if length < GROUP_ROWS else length - length % GROUP_ROWS


def rows_of(where: str, table: pa.Table) -> Rows:
    """Return a table that is in memory as rows."""

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield from table.select(list(names)).to_batches()

    return Rows(where, table.num_rows, table.schema, read, numbered(where))


def numbered(where: str) -> Callable[[int], str]:
    """Return a `place` that counts the rows of one file from 1."""
    return lambda row: f"{where}: row {row + 1}"


def is_images(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds images."""
    return isinstance(kind, pa.FixedShapeTensorType) and bool(kind.value_type == pa.uint8())


def image_type(shape: Sequence[int]) -> pa.DataType:
    """Return the type of a column of images of one shape (H, W) or (H, W, C)."""
    height, width, *channels = shape
    return pa.fixed_shape_tensor(pa.uint8(), (height, width, *(channels or [1])))


def image_array(values: Array) -> pa.ExtensionArray:
    """Return images (R, H, W) or (R, H, W, C) uint8 as a column, without a copy where C-ordered."""
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return as_images(flat, values.shape[1:])


def as_images(flat: pa.Array, shape: Sequence[int]) -> pa.ExtensionArray:
    """Return R * H * W * C bytes as a column of R images."""
    storage = pa.FixedSizeListArray.from_arrays(flat, prod(shape))
    return pa.ExtensionArray.from_storage(image_type(shape), storage)


def _bytes(kind: pa.DataType) -> int:
    if isinstance(kind, pa.FixedShapeTensorType):
        return int(kind.value_type.bit_width // 8 * prod(kind.shape))
    return 8


def _joined(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    return parts[0] if len(parts) == 1 else pa.concat_batches(parts)
