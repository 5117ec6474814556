"""Preparation of downloaded files for pipelines: conversion to Parquet, or IDX unchanged.

Nothing downloaded is executed, and only members of known names are read from an archive.
"""

import os
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import CorruptFileError
from ensemble_pipe.core.storage import atomic_write
from ensemble_pipe.data.public.catalogue import Form

ADULT_COLUMNS = {
    "age": pa.int64(),
    "workclass": pa.string(),
    "fnlwgt": pa.int64(),
    "education": pa.string(),
    "education_num": pa.int64(),
    "marital_status": pa.string(),
    "occupation": pa.string(),
    "relationship": pa.string(),
    "race": pa.string(),
    "sex": pa.string(),
    "capital_gain": pa.int64(),
    "capital_loss": pa.int64(),
    "hours_per_week": pa.int64(),
    "native_country": pa.string(),
    "income": pa.string(),
}
_LETTER_FEATURES = (
    "x_box", "y_box", "width", "high", "onpix", "x_bar", "y_bar", "x2bar", "y2bar", "xybar",
    "x2ybr", "xy2br", "x_ege", "xegvy", "y_ege", "yegvx",
)  # fmt: skip
LETTER_COLUMNS = {"letter": pa.string()} | dict.fromkeys(_LETTER_FEATURES, pa.int64())
LETTER_TRAINING_ROWS = 16_000
CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
CIFAR10_BATCH_ROWS = 10_000
_CIFAR10_FOLDER = "cifar-10-batches-bin"
_CIFAR10_IMAGE = (3, 32, 32)
_OTHER_MEMBER_BYTES = 1 << 20
ROW_GROUP_ROWS = 1000


def prepare(form: Form, downloads: Mapping[str, Path], home: Path) -> list[str]:
    """Write the files that a pipeline reads into `home`; return their names.

    Args:
        form: of the conversion.
        downloads: the verified files by name; those used unchanged are moved.
        home: the folder of the set.

    Raises:
        CorruptFileError: a file has unexpected contents.
    """
    return list(_FORMS[form](downloads, home))


def read_delimited(
    path: Path,
    columns: Mapping[str, pa.DataType],
    separator: str | None = None,
    ending: str = "",
) -> pa.Table:
    """Read a delimited text file; "?" stands for a missing value.

    Args:
        path: the file. Empty lines, and those that begin with "|", are no rows.
        columns: names and types, in order.
        separator: None for blanks and tabs.
        ending: of every row, to be removed.

    Raises:
        CorruptFileError: names the line without a value for each column.
    """
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip()
        if text and not text.startswith("|"):
            values = [value.strip() for value in text.removesuffix(ending).split(separator)]
            if len(values) != len(columns):
                raise CorruptFileError(
                    f"{path}: line {number} has {len(values)} values, not {len(columns)}"
                )
            rows.append([None if value == "?" else value for value in values])
    try:
        arrays = [
            pa.array(values, pa.string()).cast(kind)
            for values, kind in zip(zip(*rows, strict=True), columns.values(), strict=True)
        ]
    except (pa.ArrowInvalid, ValueError) as error:
        raise CorruptFileError(f"{path}: holds what it must not ({error})") from None
    return pa.table(dict(zip(columns, arrays, strict=True)))


def read_cifar10(
    path: Path, batch_rows: int = CIFAR10_BATCH_ROWS
) -> tuple[Iterator[tuple[Array, Array]], tuple[Array, Array]]:
    """Read CIFAR-10's binary archive (Krizhevsky 2009).

    Args:
        path: a .tar.gz of data_batch_1.bin to data_batch_5.bin and test_batch.bin; each row is a
            label and the red, green and blue planes of an image.
        batch_rows: R in each of them.

    Returns:
        Images (R, 32, 32, 3) uint8 and labels (R,) uint8 of the training batches, and of the test.

    Raises:
        CorruptFileError: it is no such archive, or a member is of another size, a link, or has a
            name that leads out of the archive.
    """
    names = [f"{_CIFAR10_FOLDER}/data_batch_{number}.bin" for number in range(1, 6)]
    names.append(f"{_CIFAR10_FOLDER}/test_batch.bin")
    contents = _read_members(path, dict.fromkeys(names, batch_rows * (1 + 3 * 32 * 32)))
    *train, test = names
    # Each batch is forgotten before the next is made into images.
    batches = (_cifar10_rows(path, contents.pop(name)) for name in train)
    return batches, _cifar10_rows(path, contents.pop(test))


def _read_members(path: Path, sizes: Mapping[str, int]) -> dict[str, bytes]:
    """Read the archive members of these names and sizes; no other is unpacked."""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                _check_member(path, member, sizes)
                stream = archive.extractfile(member) if member.name in sizes else None
                if stream is not None:
                    found[member.name] = stream.read(member.size)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise CorruptFileError(f"{path}: cannot be unpacked ({error})") from None
    missing = [name for name in sizes if name not in found]
    if missing:
        raise CorruptFileError(f"{path}: has no {missing[0]}")
    return found


def _check_member(path: Path, member: tarfile.TarInfo, sizes: Mapping[str, int]) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise CorruptFileError(f"{path}: member {member.name!r} leads out of the archive")
    if not (member.isfile() or member.isdir()):
        raise CorruptFileError(f"{path}: member {member.name!r} is neither a file nor a folder")
    if member.name in sizes:
        if not member.isfile() or member.size != sizes[member.name]:
            raise CorruptFileError(
                f"{path}: member {member.name!r} has {member.size} bytes, not {sizes[member.name]}"
            )
    elif member.size > _OTHER_MEMBER_BYTES:
        raise CorruptFileError(
            f"{path}: member {member.name!r} of {member.size} bytes does not belong there"
        )


def _cifar10_rows(path: Path, content: bytes) -> tuple[Array, Array]:
    rows = np.frombuffer(content, np.uint8).reshape(-1, 1 + 3 * 32 * 32)
    labels = rows[:, 0]
    if (labels >= len(CIFAR10_CLASSES)).any():
        raise CorruptFileError(f"{path}: holds a label above {len(CIFAR10_CLASSES) - 1}")
    images = rows[:, 1:].reshape(-1, *_CIFAR10_IMAGE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), labels


def _idx(downloads: Mapping[str, Path], home: Path) -> list[str]:
    for name, path in downloads.items():
        atomic_write(home / name, partial(os.replace, path))
    return list(downloads)


def _adult(downloads: Mapping[str, Path], home: Path) -> list[str]:
    parts = {"train.parquet": ("adult.data", ""), "test.parquet": ("adult.test", ".")}
    for name, (source, ending) in parts.items():
        table = read_delimited(downloads[source], ADULT_COLUMNS, ",", ending)
        _write(home / name, [table])
    return list(parts)


def _letter(downloads: Mapping[str, Path], home: Path) -> list[str]:
    table = read_delimited(downloads["letter-recognition.data"], LETTER_COLUMNS, ",")
    _write(home / "train.parquet", [table.slice(0, LETTER_TRAINING_ROWS)])
    _write(home / "test.parquet", [table.slice(LETTER_TRAINING_ROWS)])
    return ["train.parquet", "test.parquet"]


def _regression(downloads: Mapping[str, Path], home: Path) -> list[str]:
    path = downloads["data.txt"]
    with open(path, encoding="utf-8") as stream:
        features = len(stream.readline().split()) - 1
    names = [*(f"x{index}" for index in range(features)), "y"]
    _write(home / "data.parquet", [read_delimited(path, dict.fromkeys(names, pa.float64()))])
    return ["data.parquet"]


def _cifar10(downloads: Mapping[str, Path], home: Path) -> list[str]:
    train, test = read_cifar10(downloads["cifar-10-binary.tar.gz"])
    _write(home / "train.parquet", (_image_table(*batch) for batch in train))
    _write(home / "test.parquet", [_image_table(*test)])
    return ["train.parquet", "test.parquet"]


def _image_table(images: Array, labels: Array) -> pa.Table:
    names = pa.array(CIFAR10_CLASSES).take(pa.array(labels))
    return pa.table({"image": pa.FixedShapeTensorArray.from_numpy_ndarray(images), "label": names})


def _write(path: Path, tables: Iterable[pa.Table]) -> None:
    """Write tables of one schema one after another, with a sum for each page."""

    rest = iter(tables)
    first = next(rest)

    def write(beside: Path) -> None:
        # Pixels are small enough as they are: compressed they take twice the time.
        with parquet.ParquetWriter(
            beside, first.schema, compression="none", write_page_checksum=True
        ) as writer:
            for table in chain([first], rest):
                writer.write_table(table, ROW_GROUP_ROWS)

    atomic_write(path, write)


_FORMS: dict[Form, Callable[[Mapping[str, Path], Path], Sequence[str]]] = {
    "idx": _idx,
    "adult": _adult,
    "letter": _letter,
    "regression": _regression,
    "cifar10": _cifar10,
}
