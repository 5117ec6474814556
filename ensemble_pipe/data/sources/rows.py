"""Rows of a source: what every reader of files returns, before anything is fitted to it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

IMAGE = "image"
BLOCK_ROWS = 4096
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
    """

    where: str
    count: int
    schema: pa.Schema
    read: Callable[[Sequence[str]], Iterator[pa.RecordBatch]]
    place: Callable[[int], str]

    @property
    def is_image(self) -> bool:
        return IMAGE in self.schema.names and isinstance(
            self.schema.field(IMAGE).type, pa.FixedShapeTensorType
        )

    def blocks(self, names: Sequence[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yield (number of the first row, block), where every block but the last is as long.

        The length depends on the columns alone, not on how a file is divided, so that what is
        summed up block by block has the same bits whatever the file.
        """
        length = block_rows(self.schema, names)
        first, held, parts = 0, 0, list[pa.RecordBatch]()
        for batch in self.read(names):
            parts.append(batch)
            held += batch.num_rows
            if held >= length:
                whole = pa.Table.from_batches(parts).combine_chunks()
                start = 0
                while held - start >= length:
                    yield first, _batch(whole.slice(start, length))
                    first, start = first + length, start + length
                held -= start
                parts = whole.slice(start).to_batches() if held else []
        if held:
            yield first, _batch(pa.Table.from_batches(parts).combine_chunks())


def block_rows(schema: pa.Schema, names: Sequence[str]) -> int:
    """Return the length of the blocks in which columns are read: 4096, or fewer of large rows."""
    width = sum(_bytes(schema.field(name).type) for name in names)
    return max(1, min(BLOCK_ROWS, BLOCK_BYTES // max(width, 1)))


def _bytes(kind: pa.DataType) -> int:
    if isinstance(kind, pa.FixedShapeTensorType):
        size = kind.value_type.bit_width // 8
        for length in kind.shape:
            size *= length
        return int(size)
    return 8


def _batch(table: pa.Table) -> pa.RecordBatch:
    (batch,) = table.combine_chunks().to_batches()
    return batch
