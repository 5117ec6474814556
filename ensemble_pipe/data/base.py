"""Base files: each part of the data as uncompressed Arrow IPC, read by memory map.

Columns: `input`, a FixedShapeTensor of uint8 (H, W, C) or float32 (D,); `target`, int32 class or
float32 number; `row`, int64 number of the row in its source. One record batch is one shard.
"""

from pathlib import Path

import pyarrow as pa

from ensemble_pipe.arrays import Array, Integers
from ensemble_pipe.errors import CorruptFileError
from ensemble_pipe.storage import atomic_write


def shard_table(inputs: Array, targets: Array, rows: Integers) -> pa.Table:
    """Return one shard: inputs (R, *shape), targets (R,) and source row numbers (R,)."""
    tensor = pa.FixedShapeTensorArray.from_numpy_ndarray(inputs)
    return pa.table({"input": tensor, "target": pa.array(targets), "row": pa.array(rows)})


def write_base(path: Path, inputs: Array, targets: Array, rows: Integers, shard_rows: int) -> None:
    """Write one part of the data as a base file with `shard_rows` rows to a record batch."""

    def write(beside: Path) -> None:
        schema = shard_table(inputs[:1], targets[:1], rows[:1]).schema
        with pa.OSFile(str(beside), "wb") as stream, pa.ipc.new_file(stream, schema) as writer:
            for start in range(0, len(rows), shard_rows):
                part = slice(start, start + shard_rows)
                writer.write_table(shard_table(inputs[part], targets[part], rows[part]))

    atomic_write(path, write)


def open_base(path: Path) -> pa.Table:
    """Open a base file by memory map, one chunk a shard; nothing is read until it is used.

    Raises:
        CorruptFileError: it is missing, or no Arrow file.
    """
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (pa.ArrowException, OSError) as error:
        raise CorruptFileError(f"{path}: cannot be opened as a base file ({error})") from None
