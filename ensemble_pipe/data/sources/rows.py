"""`Rows`, the common result of all readers: a re-iterable source of column blocks."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ensemble_pipe.core.arrays import Array, Integers
from ensemble_pipe.core.arrow import arrow_of, as_tensors
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import quote, row_name

IMAGE = "image"
LABEL = "label"
# Metadata of a text column: the place and the text of its first value that is no number.
TEXT_PLACE, TEXT = b"text_place", b"text"
BLOCK_ROWS = 4096
GROUP_ROWS = 256
BLOCK_BYTES = 64 << 20
TEXT_BYTES = 16 << 20  # of a block's text, of which each step holds a copy


# Names row i for messages.
Place = Callable[[int], str]


@dataclass(frozen=True)
class Rows:
    """Rows that can be read again and again, block by block, always in the same order.

    Attributes:
        where: the file or folder, for messages.
        count: R.
        schema: names and types of the columns. Images are one column named "image", a
            FixedShapeTensor of uint8 (H, W, C).
        read: read(names) yields these columns of all rows, in batches of any length.
        place: place(row) names a row (counted from 0) for messages, such as "f.csv: row 17 (line
            18)".
        places: the same for columns from another file, such as labels of their own.
        file: file(row) names the image file that a row is, below `where`; None where rows are no
            files of their own.
        written: columns of a file without types that are read as text, as written.
        rewritten: rewritten(names) returns the same rows with these columns read so; None where
            the source has types.
    """

    where: str
    count: int
    schema: pa.Schema
    read: Callable[[Sequence[str]], Iterator[pa.RecordBatch]]
    place: Callable[[int], str]
    places: Mapping[str, Callable[[int], str]] = field(default_factory=dict)
    file: Callable[[int], str] | None = None
    written: frozenset[str] = frozenset()
    rewritten: Callable[[frozenset[str]], "Rows"] | None = None

    def as_written(self, names: Collection[str]) -> "Rows":
        """Return the rows with some columns as text, as written, where the file has no types.

        A CSV file does not tell whether 01 is a number, a name or a code; the caller knows.
        """
        if self.rewritten is None:
            return self
        return self.rewritten(frozenset(names) & frozenset(self.schema.names))

    @property
    def is_image(self) -> bool:
        return IMAGE in self.schema.names and is_images(self.schema.field(IMAGE).type)

    def place_from(self, first: int) -> Callable[[int], str]:
        """Return a `place` for a block that begins with the row `first`."""
        return lambda row: self.place(first + row)

    def cells(self, column: str) -> Callable[[int], str]:
        """Return a function that names the value of a row in some column."""
        return self.places.get(column) or (lambda row: f"{self.place(row)}, column {quote(column)}")

    def blocks(
        self, names: Sequence[str], most: int = BLOCK_ROWS
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield (number of the first row, block), where every block but the last is as long.

        It has `most` rows, or fewer of large ones.

        A block ends early only where its text would take more than 16 MB. So the lengths depend on
        the columns and the rows, not on how a file is divided, and what is summed up block by block
        has the same bits for any file.

        Raises:
            DataError: the file is damaged, or has another number of rows than when it was opened.
        """
        length = block_rows(self.schema, names, most)
        first, read, held = 0, 0, _Held(length)
        for batch in self.read(names):
            read += batch.num_rows
            if read > self.count:
                break
            while batch.num_rows:
                batch = held.take(batch)
                if held.full:
                    yield first, held.join()
                    first, held = first + held.rows, _Held(length)
        if read != self.count:
            raise DataError(
                f"{self.where}: {read} rows were read where {self.count} were announced; "
                "the file is damaged, or was written to meanwhile"
            )
        if held.rows:
            yield first, held.join()


class _Held:
    """The rows of an incomplete block."""

    def __init__(self, length: int) -> None:
        self.rows = 0
        self.full = False
        self._length = length
        self._room = TEXT_BYTES
        self._parts: list[pa.RecordBatch] = []

    def take(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Add the first rows of a batch, as many as fit; return the others."""
        wanted = min(batch.num_rows, self._length - self.rows)
        sizes = _text_bytes(batch.slice(0, wanted))
        fitting = int(np.searchsorted(sizes, self._room, side="right")) if len(sizes) else wanted
        taken = max(fitting, 1 if self.rows == 0 else 0)
        self._parts.append(batch.slice(0, taken))
        self._room -= int(sizes[taken - 1]) if len(sizes) and taken else 0
        self.rows += taken
        self.full = self.rows == self._length or taken < wanted
        return batch.slice(taken)

    def join(self) -> pa.RecordBatch:
        return self._parts[0] if len(self._parts) == 1 else pa.concat_batches(self._parts)


def block_rows(schema: pa.Schema, names: Sequence[str], most: int = BLOCK_ROWS) -> int:
    """Return the length of the blocks in which columns are read: `most`, or fewer of large rows.

    Above 256 it is a multiple of that: draws at prediction are addressed by parts of such a group,
    which no two blocks share.
    """
    width = sum(_bytes(schema.field(name).type) for name in names)
    length = max(1, min(most, BLOCK_BYTES // max(width, 1)))
    return length if length < GROUP_ROWS else length - length % GROUP_ROWS


def read_rows(schema: pa.Schema, names: Sequence[str], row_bytes: float) -> int:
    """Return the number of rows to read at a time: a block, or as many as fit into 16 MB.

    `row_bytes` are those of a row as the file states them, where text may be of any length.
    """
    return max(1, min(block_rows(schema, names), int(TEXT_BYTES // max(row_bytes, 1))))


def block_reader(
    schema: pa.Schema, count: int, column: Callable[[str, slice], pa.Array]
) -> Callable[[Sequence[str]], Iterator[pa.RecordBatch]]:
    """Return a `read` of `Rows` that builds blocks of columns.

    Args:
        schema: of all columns.
        count: the number of rows.
        column: column(name, part) returns the values of a column in a part of the rows.
    """

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        chosen = pa.schema([schema.field(name) for name in names])
        length = block_rows(schema, names)
        for first in range(0, count, length):
            part = slice(first, first + length)
            arrays = [column(name, part) for name in names]
            yield pa.RecordBatch.from_arrays(arrays, schema=chosen)

    return read


def rows_of(where: str, table: pa.Table) -> Rows:
    """Return an Arrow table in memory as rows."""

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield from table.select(list(names)).to_batches()

    return Rows(where, table.num_rows, table.schema, read, row_namer(where))


def row_namer(where: str) -> Callable[[int], str]:
    """Return a `place` that numbers the rows of one file from 0."""
    return lambda row: f"{where}: {row_name(row)}"


def is_images(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds images."""
    return isinstance(kind, pa.FixedShapeTensorType) and bool(kind.value_type == pa.uint8())


def image_type(shape: Sequence[int]) -> pa.DataType:
    """Return the type of a column of images of one shape (H, W) or (H, W, C)."""
    height, width, *channels = shape
    return pa.fixed_shape_tensor(pa.uint8(), (height, width, *(channels or [1])))


def image_array(values: Array) -> pa.ExtensionArray:
    """Return images (R, H, W) or (R, H, W, C) uint8 as a column, without a copy where C-ordered."""
    flat = arrow_of(np.ascontiguousarray(values).reshape(-1))
    return as_images(flat, values.shape[1:])


def as_images(flat: pa.Array, shape: Sequence[int]) -> pa.ExtensionArray:
    """Return R * H * W * C bytes as a column of R images."""
    return as_tensors(flat, image_type(shape).shape)


def _bytes(kind: pa.DataType) -> int:
    if isinstance(kind, pa.FixedShapeTensorType):
        return int(kind.value_type.bit_width // 8 * prod(kind.shape))
    return 8


def _text_bytes(batch: pa.RecordBatch) -> Integers:
    """Return the cumulative bytes of text (n,) of the rows; (0,) without text."""
    texts = [column for column in batch.columns if _is_text(column.type)]
    if not texts:
        return np.zeros(0, np.int64)
    lengths = [pc.fill_null(pc.binary_length(column), 0).to_numpy() for column in texts]
    return np.cumsum(np.sum(lengths, axis=0, dtype=np.int64))


def _is_text(kind: pa.DataType) -> bool:
    types = pa.types
    texts = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    return any(is_one(kind) for is_one in texts)
