"""Arrow IPC files and streams (Feather is such a file): memory-mapped, read batch by batch."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from ensemble_pipe.data.sources.arrow_blocks import MAGIC, stated_bytes
from ensemble_pipe.data.sources.paths import reading, require_no_bomb
from ensemble_pipe.data.sources.plain import Plain
from ensemble_pipe.data.sources.rows import Rows, block_rows, row_namer


def open_arrow(path: Path) -> Rows:
    """Open an Arrow IPC file or stream.

    Uncompressed batches stay in the page cache; of compressed ones, one at a time is in memory.

    Raises:
        DataError: it is neither, or is damaged, or a batch declares far more than the file can
            hold.
    """
    where = str(path)
    with reading(path, "; an Arrow IPC file or stream is needed"):
        with pa.memory_map(str(path)) as stream:
            content = stream.read_buffer()
        require_no_bomb(where, stated_bytes(content), content.size, "write it in smaller batches")
        count = sum(batch.num_rows for batch in _batches(path, [0]))
        schema = _schema(path)
    plain = Plain.of(where, schema)
    place = row_namer(where)

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        indices = [schema.get_field_index(plain.names[name]) for name in names]
        length = block_rows(plain.schema, names)
        first = 0
        with reading(path):
            for batch in _batches(path, sorted(indices)):
                for start in range(0, batch.num_rows, length):
                    part = batch.slice(start, length)
                    yield from plain.batches(part, names, lambda row: place(first + row))  # noqa: B023
                    first += part.num_rows

    return Rows(where, count, plain.schema, read, place)


def _schema(path: Path) -> pa.Schema:
    with pa.memory_map(str(path)) as stream:
        return (pa.ipc.open_file if _is_file(path) else pa.ipc.open_stream)(stream).schema


def _batches(path: Path, fields: list[int]) -> Iterator[pa.RecordBatch]:
    """Yield the batches with only these columns; others are not decompressed."""
    options = pa.ipc.IpcReadOptions(included_fields=fields)
    with pa.memory_map(str(path)) as stream:
        if _is_file(path):
            reader = pa.ipc.open_file(stream, options=options)
            for index in range(reader.num_record_batches):
                yield reader.get_batch(index)
        else:
            yield from pa.ipc.open_stream(stream, options=options)


def _is_file(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC
