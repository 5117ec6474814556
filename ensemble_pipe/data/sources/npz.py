"""NPZ files, zips of NPY arrays: each entry is streamed, and refused if its size is impossible."""

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import prod
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import list_names, quote
from ensemble_pipe.data.sources.npy import Block, read_header
from ensemble_pipe.data.sources.paths import reading, require_values
from ensemble_pipe.data.sources.plain import Plain
from ensemble_pipe.data.sources.rows import Rows, read_rows, row_namer

_PIECE = 1 << 20
_DEFLATE_RATIO = 1032  # at most so many bytes come out of one (zlib, "technical details")


@dataclass(frozen=True)
class _Entry:
    """One array of the archive; `fortran` means that its columns, not its rows, are contiguous."""

    file: str
    block: Block
    fortran: bool


def open_npz(path: Path) -> Rows:
    """Open an NPZ file: its 1-D arrays are columns, a 2-D array x the columns x0, x1, ...

    One array may hold uint8 images (R, H, W[, C]).

    Raises:
        DataError: an entry is no such array, declares more than it can hold, or has a name that
            leads outside; or the arrays differ in length.
    """
    where = str(path)
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: no NPZ file, or not all of one; numpy.savez writes such files")
    hint = "; plain arrays of numbers or text are needed"
    with reading(path, hint):
        with zipfile.ZipFile(path) as archive:
            entries = [_entry(path, archive, info) for info in archive.infolist()]
        fields = [(entry, field) for entry in entries for field in entry.block.fields(path)]
        plain = Plain.of(where, pa.schema([field for _, field in fields]))
    lengths = {entry.block.name: entry.block.shape[0] for entry in entries}
    if len(set(lengths.values())) > 1:
        found = list_names([f"{name} {length}" for name, length in lengths.items()])
        raise DataError(f"{path}: its arrays differ in length ({found})")
    count = next(iter(lengths.values()), 0)
    place = row_namer(where)

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        own = {plain.names[name] for name in names}
        chosen = [entry for entry in entries if own & set(entry.block.names)]
        row_bytes = sum(entry.block.row_bytes for entry in chosen)
        length = read_rows(plain.schema, names, row_bytes)
        labels = [name for entry in chosen for name in entry.block.names]
        with reading(path, hint):
            for parts in _slices(path, chosen, count, length):
                columns = [
                    column
                    for entry, values in zip(chosen, parts, strict=True)
                    for column in entry.block.columns(values)
                ]
                batch = pa.RecordBatch.from_arrays(columns, labels)
                yield from plain.batches(batch, names, place)

    return Rows(where, count, plain.schema, read, place)


def _entry(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Entry:
    name = info.filename
    if name.startswith("/") or ".." in PurePosixPath(name.replace("\\", "/")).parts:
        raise DataError(
            f"{path}: the name {quote(name)} in it leads outside; numpy.savez writes none such"
        )
    if not name.endswith(".npy"):
        raise DataError(f"{path}: {quote(name)} in it is no array; numpy.savez writes such files")
    _require_possible(path, info)
    with archive.open(info) as stream:
        shape, dtype, fortran, start = read_header(stream)
    block = Block(name.removesuffix(".npy"), shape, dtype)
    if not block.fits or not shape:
        raise DataError(
            f"{path}: array {quote(block.name)} is {dtype} of shape {shape}; a column (R,), "
            "a block of columns (R, D) or uint8 images (R, H, W[, C]) can be read"
        )
    require_values(f"{path}: {quote(name)}", shape)
    announced = start + shape[0] * block.row_bytes
    if announced != info.file_size:
        raise DataError(
            f"{path}: the header of {quote(block.name)} announces {announced} bytes for shape "
            f"{shape}, but the archive {info.file_size}"
        )
    return _Entry(name, block, fortran and len(shape) > 1)


def _require_possible(path: Path, info: zipfile.ZipInfo) -> None:
    """Refuse an entry that declares more than its compressed bytes can decompress to."""
    ratios = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: _DEFLATE_RATIO}
    if info.compress_type not in ratios:
        raise DataError(
            f"{path}: {quote(info.filename)} is compressed by method {info.compress_type}; "
            "numpy.savez and savez_compressed write what can be read"
        )
    packed = min(info.compress_size, path.stat().st_size)
    if info.file_size > packed * ratios[info.compress_type]:
        raise DataError(
            f"{path}: {quote(info.filename)} announces {info.file_size} bytes, which "
            f"{packed} compressed ones cannot hold"
        )


def _slices(path: Path, entries: list[_Entry], count: int, length: int) -> Iterator[list[Array]]:
    """Yield some rows of each array, from the first rows to the last."""
    with ExitStack() as stack:
        archive = stack.enter_context(zipfile.ZipFile(path))
        streams = [stack.enter_context(archive.open(entry.file)) for entry in entries]
        for stream in streams:
            read_header(stream)
        # Fortran's order has to be read as a whole before its first row is known.
        whole = {
            index: _take(streams[index], entry, count)
            for index, entry in enumerate(entries)
            if entry.fortran
        }
        for first in range(0, count, length):
            rows = min(length, count - first)
            yield [
                whole[index][first : first + rows]
                if entry.fortran
                else _take(streams[index], entry, rows)
                for index, entry in enumerate(entries)
            ]
        for stream in streams:
            stream.read(1)  # at its end an entry's sum is checked


def _take(stream: IO[bytes], entry: _Entry, rows: int) -> Array:
    shape = (rows, *entry.block.shape[1:])
    values = np.empty(prod(shape), entry.block.dtype)
    content, filled = values.view(np.uint8), 0
    while filled < len(content):  # in pieces, since a stream holds a piece twice
        piece = stream.read(min(_PIECE, len(content) - filled))
        if not piece:
            raise EOFError(f"{quote(entry.file)} ends too early")
        content[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
        filled += len(piece)
    return values.reshape(shape[::-1]).T if entry.fortran else values.reshape(shape)
