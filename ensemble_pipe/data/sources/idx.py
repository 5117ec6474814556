"""IDX files, the format of MNIST and Fashion-MNIST, gzipped or not.

A big-endian header (two zero bytes, a type code, the number of dimensions, then each dimension as
a 32-bit integer) followed by the values (LeCun, Cortes & Burges, "The MNIST database").
"""

import gzip
import re
from math import prod
from pathlib import Path
from typing import IO, cast

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.sources.paths import reading, require_file, require_values
from ensemble_pipe.data.sources.rows import (
    IMAGE,
    LABEL,
    Rows,
    block_reader,
    image_array,
    image_type,
    row_namer,
)  # fmt: skip

_UNSIGNED_BYTE = 0x08
_GZIP_RATIO = 1032  # at most so many bytes come out of one (zlib, "technical details")
_NAME = re.compile(r"-idx\d-ubyte(\.gz)?$|\.idx(\.gz)?$")


def is_idx(path: Path) -> bool:
    """Return whether a file's name is that of an IDX file."""
    return _NAME.search(path.name) is not None


def open_idx(path: Path, labels: Path | None = None) -> Rows:
    """Open an IDX file of images, with their labels, where there are any, as the column "label".

    Args:
        path: the images.
        labels: the file of labels; by default the one beside it by MNIST's naming, if there.

    Raises:
        DataError: it does not contain images, or the number of labels differs.
    """
    values = read_idx(path)
    if values.ndim not in (3, 4):
        raise DataError(f"{path}: holds an array of shape {values.shape}, not images (R, H, W)")
    require_values(path, values.shape)
    labels = labels or labels_beside(path)
    columns = {IMAGE: values}
    if labels is not None:
        columns[LABEL] = read_labels(labels, len(values))
    with reading(path):  # see `read_idx`
        kinds = {IMAGE: image_type(values.shape[1:]), LABEL: pa.int64()}
    schema = pa.schema([pa.field(name, kinds[name]) for name in columns])

    def column(name: str, part: slice) -> pa.Array:
        return image_array(values[part]) if name == IMAGE else pa.array(columns[name][part])

    read = block_reader(schema, len(values), column)
    places = {} if labels is None else {LABEL: row_namer(str(labels))}
    return Rows(str(path), len(values), schema, read, row_namer(str(path)), places)


def idx_files(folder: Path) -> list[Path]:
    """Return the IDX files of a folder, in the order of their names."""
    return sorted(path for path in folder.iterdir() if is_idx(path) and path.is_file())


def read_idx(path: Path) -> Array:
    """Read one IDX file of unsigned bytes as an array of its own shape.

    No more is decompressed than the header declares, and headers that declare more than the file
    can hold are refused, so that memory is bounded by the real data.

    Raises:
        DataError: it is no IDX file of bytes, or its length differs from its header's.
    """
    require_file(path)
    with reading(path), _open(path) as stream:
        shape = _read_header(stream, path)
        expected = prod(shape)
        if expected > _GZIP_RATIO * path.stat().st_size:
            raise DataError(
                f"{path}: its header announces {expected} bytes for shape {shape}, "
                f"which a file of {path.stat().st_size} bytes cannot hold"
            )
        content = stream.read(expected + 1)
    if len(content) != expected:
        found = f"only {len(content)}" if len(content) < expected else "more"
        raise DataError(
            f"{path}: its header announces {expected} bytes for shape {shape}, but it holds {found}"
        )
    with reading(path):  # of no images the header may state any size
        return np.frombuffer(content, np.uint8).reshape(shape)


def labels_beside(images: Path) -> Path | None:
    """Return the label file of an image file by MNIST's naming, where it exists."""
    name = images.name.replace("images-idx3", "labels-idx1")
    path = images.with_name(name)
    return path if name != images.name and path.is_file() else None


def read_labels(path: Path, rows: int) -> Array:
    """Read an IDX file of labels as (R,) int64.

    Raises:
        DataError: the number of labels is not `rows`, or there are none.
    """
    values = read_idx(path)
    if values.ndim != 1 or len(values) != rows:
        raise DataError(f"{path}: holds shape {values.shape}, but there are {rows} images")
    return values.astype(np.int64)


def _open(path: Path) -> IO[bytes]:
    with open(path, "rb") as stream:
        compressed = stream.read(2) == b"\x1f\x8b"
    return cast("IO[bytes]", gzip.open(path)) if compressed else open(path, "rb")


def _read_header(stream: IO[bytes], path: Path) -> tuple[int, ...]:
    magic = stream.read(4)
    if (
        len(magic) < 4
        or magic[:2] != b"\0\0"
        or magic[2] != _UNSIGNED_BYTE
        or not 1 <= magic[3] <= 4
    ):
        raise DataError(
            f"{path}: not an IDX file of unsigned bytes (it starts with {magic.hex(' ')}; "
            "00 00 08 followed by 01 to 04 is right)"
        )
    dimensions = stream.read(4 * magic[3])
    if len(dimensions) < 4 * magic[3]:
        raise DataError(f"{path}: ends inside its header")
    return tuple(int(size) for size in np.frombuffer(dimensions, ">u4"))
