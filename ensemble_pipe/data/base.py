"""Base files: each part of the data as uncompressed Arrow IPC, read by memory map.

Columns: `input`, a FixedShapeTensor of uint8 (H, W, C) or float32 (D,); `target`, int32 class or
float32 number, or a FixedShapeTensor of several float32 numbers (D,); `row`, int64 number of the
row in its source; where the data has them `weight`, float32 with a mean of 1, and `group` and
`fold`, int64.
One record batch is one shard.

Beside `train.arrow` lies `train.json`: where in the file each shard's columns lie, with a CRC-32 of
each, and one of all bytes between them. A shard is checked when it is first read, so that damage is
never silent, and a file larger than memory is not read twice for it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.arrays import Array, Integers
from ensemble_pipe.core.arrow import arrow_of, numbers_of, tensors_of
from ensemble_pipe.core.documents import Count, read_json
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import RunPaths, atomic_file, check_sums, read_manifest, write_json
from ensemble_pipe.data.schema import Schema

# Where a column of a shard lies in its file, in bytes, and the CRC-32 of what lies there.
Place = tuple[Count, Count, Count]


@dataclass(frozen=True)
class _Sums:
    """The checksums beside a base file: file size, CRC-32 of the frame, and shards by column."""

    bytes: Count
    frame: Count
    columns: dict[str, list[Place]]


def shard_table(input: Array, target: Array, row: Integers, **others: Array) -> pa.Table:
    """Return one shard.

    Args:
        input: (R, *shape).
        target: (R,), or (R, D).
        row: (R,), numbers of the rows in their source.
        others: (R,) each.
    """
    columns = {"input": input, "target": target, "row": row, **others}
    return pa.table({name: _column(values) for name, values in columns.items()})


def _column(values: Array) -> pa.Array:
    return arrow_of(values) if values.ndim == 1 else tensors_of(values)


def values_of(column: pa.Array) -> Array:
    """Return a column of a shard as an array (R, ...), without a copy."""
    if isinstance(column.type, pa.FixedShapeTensorType):
        return np.asarray(column.to_numpy_ndarray())
    return numbers_of(column)


def sums_path(path: Path) -> Path:
    """Return the path of the sums of a base file, or of a file of predictions."""
    return path.with_suffix(".json")


class BaseWriter:
    """Writes one part of the data, block by block, into shards of equal length."""

    def __init__(self, path: Path, shard_rows: int) -> None:
        self._path = path
        self._shard_rows = shard_rows
        self._held: list[Mapping[str, Array]] = []
        self._held_rows = 0
        self._stream: pa.ipc.RecordBatchFileWriter | None = None
        self._sums: dict[str, list[int]] = {}

    def append(self, columns: Mapping[str, Array]) -> None:
        """Append rows: arrays by column, all of one length, which must not be modified later."""
        self._held.append(columns)
        self._held_rows += len(columns["row"])
        if self._held_rows >= self._shard_rows:
            joined = self._join()
            whole = self._held_rows - self._held_rows % self._shard_rows
            for start in range(0, whole, self._shard_rows):
                self._write(_slice(joined, start, start + self._shard_rows))
            self._held = [_slice(joined, whole, self._held_rows)]
            self._held_rows -= whole

    def finish(self) -> dict[str, list[int]]:
        """Write the remaining rows; return the CRC-32 of each shard, by column."""
        if self._held_rows or self._stream is None:
            self._write(self._join())
        if self._stream is not None:
            self._stream.close()
        return self._sums

    def _join(self) -> dict[str, Array]:
        return {name: np.concatenate([part[name] for part in self._held]) for name in self._held[0]}

    def _write(self, columns: Mapping[str, Array]) -> None:
        table = shard_table(**columns)
        if self._stream is None:
            self._stream = pa.ipc.new_file(str(self._path), table.schema)
        self._stream.write_table(table)
        for name, values in columns.items():
            self._sums.setdefault(name, []).append(crc32(np.ascontiguousarray(values).data))


@contextmanager
def base_writer(path: Path, shard_rows: int) -> Iterator[BaseWriter]:
    """Write a base file and its sums; neither appears if the block is left by an error.

    The rows are appended as {"input": ..., "target": ..., "row": ..., "weight" or "group": ...}.
    """
    with atomic_file(path) as beside:
        writer = BaseWriter(beside, shard_rows)
        yield writer
        sums = writer.finish()
        buffer = pa.memory_map(str(beside)).read_buffer()
        places = _places(buffer, pa.ipc.open_file(buffer).read_all(), sums)
        frame = _frame_sum(buffer, places)
    write_json(sums_path(path), {"bytes": buffer.size, "frame": frame, "columns": places})


def write_base(
    path: Path,
    inputs: Array,
    targets: Array,
    rows: Integers,
    shard_rows: int,
    **others: Array,
) -> None:
    """Write one part of the data from arrays in memory; see `base_writer` and `shard_table`."""
    with base_writer(path, shard_rows) as writer:
        writer.append({"input": inputs, "target": targets, "row": rows, **others})


@dataclass(frozen=True)
class Base:
    """An open base file.

    Attributes:
        path: of the file.
        table: its columns, one chunk a shard.
        buffer: the mapped bytes of the file.
        places: of each column's shards.
    """

    path: Path
    table: pa.Table
    buffer: pa.Buffer
    places: Mapping[str, list[Place]]

    @property
    def shards(self) -> int:
        return len(self.places["row"])

    def read_column(self, name: str) -> Array:
        """Return a whole column (R,) of numbers, after a check of all its shards."""
        for shard in range(self.shards):
            self.verify(shard, (name,))
        chunks = [numbers_of(chunk) for chunk in self.table.column(name).chunks]
        return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)

    def verify(self, shard: int, names: Sequence[str] | None = None) -> None:
        """Check one shard against its checksums; only the columns `names` where given.

        Raises:
            CorruptFileError: names the column and its rows.
        """
        for name in names or self.places:
            start, length, expected = self.places[name][shard]
            if crc32(memoryview(self.buffer)[start : start + length]) != expected:
                chunks = self.table.column("row").chunks
                first = sum(len(chunk) for chunk in chunks[:shard])
                raise CorruptFileError(
                    f"{self.path}: column {name!r} of rows {first} to "
                    f"{first + len(chunks[shard]) - 1} (from 0) does not match its recorded sum; "
                    "the file was changed or damaged after it was written, so begin a new run"
                )


def read_schema(paths: RunPaths) -> Schema:
    """Read the schema of a run's data, stored beside its base files.

    Raises:
        CorruptFileError: it, or the run's manifest, is damaged.
    """
    path = paths.schema
    name = path.relative_to(paths.root).as_posix()
    check_sums(paths.root, {name: read_manifest(paths).sums[name]})
    return Schema.from_json(read_json(path, dict[str, Any]), str(path))


def open_base(path: Path) -> Base:
    """Open a base file by memory map; its rows are read lazily.

    Raises:
        CorruptFileError: it or its checksums are missing or damaged.
    """
    facts = read_json(sums_path(path), _Sums)
    places = facts.columns
    try:
        buffer = pa.memory_map(str(path)).read_buffer()
    except (pa.ArrowException, OSError) as error:
        raise CorruptFileError(f"{path}: cannot be opened as a base file ({error})") from None
    # Before Arrow follows any offset in it.
    if buffer.size != facts.bytes or _frame_sum(buffer, places) != facts.frame:
        raise CorruptFileError(
            f"{path}: does not match the sums in {sums_path(path).name} beside it; the file was "
            "changed or damaged after it was written, so begin a new run"
        )
    table = pa.ipc.open_file(buffer).read_all()
    chunks = {name: table.column(name).num_chunks for name in table.column_names}
    if chunks != {name: len(shards) for name, shards in places.items()}:
        raise CorruptFileError(f"{sums_path(path)}: is not of the shards of {path.name}")
    return Base(path, table, buffer, places)


def verify_all(path: Path) -> None:
    """Check a whole base file.

    Raises:
        CorruptFileError: any bit of it differs from what was written.
    """
    base = open_base(path)
    for shard in range(base.shards):
        base.verify(shard)


def _slice(columns: Mapping[str, Array], start: int, stop: int) -> dict[str, Array]:
    return {name: values[start:stop] for name, values in columns.items()}


def _places(
    buffer: pa.Buffer, table: pa.Table, sums: Mapping[str, list[int]]
) -> dict[str, list[Place]]:
    """Return the positions of each column's shards in the file."""
    places: dict[str, list[Place]] = {}
    for name in table.column_names:
        arrays = [values_of(chunk) for chunk in table.column(name).chunks]
        places[name] = [
            (array.ctypes.data - buffer.address, array.nbytes, total)
            for array, total in zip(arrays, sums[name], strict=True)
        ]
    return places


def _frame_sum(buffer: pa.Buffer, places: Mapping[str, list[Place]]) -> int:
    """Return the CRC-32 of all bytes outside of the columns: schema, offsets, padding, footer."""
    content = memoryview(buffer)
    total, end = 0, 0
    for start, length, _ in sorted(place for column in places.values() for place in column):
        total = crc32(content[end:start], total)
        end = start + length
    return crc32(content[end:], total)
