"""Writers of small data files in every format, for the tests of sources."""

import gzip
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.data.sources import Rows

FORMATS = (".csv", ".csv.gz", ".parquet", ".arrow", ".stream.arrow", ".feather", ".npz")


def values_of(rows: Rows, *names: str) -> dict[str, list[Any]]:
    """Return columns, all where none is named, as lists; images as lists of pixels."""
    wanted = names or tuple(rows.schema.names)
    batches = [batch for _, batch in rows.blocks(wanted)]
    return {
        name: [value for batch in batches for value in batch.column(name).to_pylist()]
        for name in wanted
    }


def pixels(rows: Rows) -> Array:
    """Return the images (R, H, W, C)."""
    parts = [batch.column("image").to_numpy_ndarray() for _, batch in rows.blocks(["image"])]
    return np.concatenate(parts)


def small_columns() -> dict[str, Array]:
    return {
        "real": np.array([0.1, -2.5e-8, 3.0, 1e20]),
        "whole": np.array([1, -2, 3, 4]),
        "yes": np.array([True, False, True, True]),
        "kind": np.array(["b", "a", "b", "a"]),
        "id": np.array([9, 8, 7, 6]),
    }


def write(path: Path, columns: Mapping[str, Any]) -> Path:
    """Write columns in the format that the ending of `path` names."""
    if path.suffix == ".npz":
        with path.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **columns)
        return path
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    ending = next(end for end in (".stream.arrow", *_WRITERS) if path.name.endswith(end))
    (_write_stream if ending == ".stream.arrow" else _WRITERS[ending])(table, path)
    return path


def idx_bytes(values: Array) -> bytes:
    sizes = np.array(values.shape, ">u4").tobytes()
    return bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes()


def save_arrow(table: pa.Table, path: Path) -> None:
    """Write an Arrow IPC file in batches of three rows."""
    with pa.OSFile(str(path), "wb") as stream, pa.ipc.new_file(stream, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)


def _write_csv(table: pa.Table, path: Path) -> None:
    text = io.BytesIO()
    csv.write_csv(table, text)
    content = text.getvalue()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def _write_parquet(table: pa.Table, path: Path) -> None:
    parquet.write_table(table, path, write_page_checksum=True)


def _write_stream(table: pa.Table, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as stream, pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)


def _write_compressed(table: pa.Table, path: Path) -> None:
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with (
        pa.OSFile(str(path), "wb") as stream,
        pa.ipc.new_file(stream, table.schema, options=options) as writer,
    ):
        writer.write_table(table, max_chunksize=3)


_WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    ".csv": _write_csv,
    ".csv.gz": _write_csv,
    ".parquet": _write_parquet,
    ".arrow": save_arrow,
    ".feather": _write_compressed,
}
