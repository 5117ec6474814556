"""IDX files, the format of MNIST and Fashion-MNIST, gzipped or not.

A big-endian header (two zero bytes, a type code, the number of dimensions, then each dimension as
a 32-bit integer) followed by the values (LeCun, Cortes & Burges, "The MNIST database").
"""

import gzip
import zlib
from math import prod
from pathlib import Path
from typing import IO, Literal, cast

import numpy as np

from ensemble_pipe.arrays import Array
from ensemble_pipe.data.sources.raw import Raw, require_file
from ensemble_pipe.errors import DataError
from ensemble_pipe.settings import settings

_UNSIGNED_BYTE = 0x08
_GZIP_RATIO = 1032  # at most so many bytes come out of one (zlib, "technical details")
_PARTS = {"train": "train", "test": "t10k"}


@settings
class Idx:
    """A folder with train-images-idx3-ubyte and its siblings, with .gz or without.

    Attributes:
        folder: where the files lie. The t10k files, where present, are the official test part.
    """

    source: Literal["idx"] = "idx"
    folder: str

    def read(self) -> tuple[Raw, Raw | None]:
        """Return the training part and, where the folder has one, the test part."""
        folder = Path(self.folder)
        if not folder.is_dir():
            raise DataError(
                f"{folder}: no such folder; set data.folder to where the IDX files lie, "
                "for example --set data.folder=/data/fashion-mnist"
            )
        train = _read_part(folder, "train")
        has_test = _find(folder, "test", "images") is not None
        return train, _read_part(folder, "test") if has_test else None


def read_idx(path: Path) -> Array:
    """Read one IDX file of unsigned bytes as an array of its own shape.

    No more is decompressed than the header announces, and no header is believed that announces
    more than the file can hold, so neither takes memory for what is not there.

    Raises:
        DataError: it is no IDX file of bytes, or is shorter or longer than its header says.
    """
    require_file(path)
    try:
        with _open(path) as stream:
            shape = _read_header(stream, path)
            expected = prod(shape)
            if expected > _GZIP_RATIO * path.stat().st_size:
                raise DataError(
                    f"{path}: its header announces {expected} bytes for shape {shape}, "
                    f"which a file of {path.stat().st_size} bytes cannot hold"
                )
            content = stream.read(expected + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be decompressed ({error})") from None
    if len(content) != expected:
        found = f"only {len(content)}" if len(content) < expected else "more"
        raise DataError(
            f"{path}: its header announces {expected} bytes for shape {shape}, but it holds {found}"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)


def read_images(path: Path) -> Array:
    """Read an IDX file of images as (R, H, W, C) uint8.

    Raises:
        DataError: it does not hold images.
    """
    values = read_idx(path)
    if values.ndim not in (3, 4):
        raise DataError(f"{path}: holds an array of shape {values.shape}, not images (R, H, W)")
    return values[..., None] if values.ndim == 3 else values


def labels_beside(images: Path) -> Path | None:
    """Return the label file that belongs to an image file by MNIST's naming, where it exists."""
    name = images.name.replace("images-idx3", "labels-idx1")
    path = images.with_name(name)
    return path if name != images.name and path.is_file() else None


def read_labels(path: Path, rows: int) -> Array:
    """Read an IDX file of labels as (R,) int64.

    Raises:
        DataError: it holds another number of labels than `rows`, or no labels.
    """
    values = read_idx(path)
    if values.ndim != 1 or len(values) != rows:
        raise DataError(f"{path}: holds shape {values.shape}, but there are {rows} images")
    return values.astype(np.int64)


def _read_part(folder: Path, part: str) -> Raw:
    images_path = _require(folder, part, "images")
    images = read_images(images_path)
    labels = read_labels(_require(folder, part, "labels"), len(images))
    return Raw(str(images_path), images, labels, target_name="label")


def _find(folder: Path, part: str, what: str) -> Path | None:
    rank = {"images": "idx3", "labels": "idx1"}[what]
    plain = folder / f"{_PARTS[part]}-{what}-{rank}-ubyte"
    for path in (plain, plain.with_name(plain.name + ".gz")):
        if path.is_file():
            return path
    return None


def _require(folder: Path, part: str, what: str) -> Path:
    path = _find(folder, part, what)
    if path is None:
        rank = {"images": "idx3", "labels": "idx1"}[what]
        raise DataError(f"{folder}: has no {_PARTS[part]}-{what}-{rank}-ubyte, with .gz or without")
    return path


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
