"""Parquet: a file, a folder of files, a glob, or any of these at a pyarrow filesystem's address."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
from pyarrow import fs

from ensemble_pipe.data.sources.paths import reading, require_file, require_inside
from ensemble_pipe.data.sources.plain import Plain
from ensemble_pipe.data.sources.remote import require_answer
from ensemble_pipe.data.sources.rows import Rows, block_rows
from ensemble_pipe.errors import DataError
from ensemble_pipe.messages import shown

ENDING = ".parquet"
_READ_AHEAD = 1 << 20  # bytes of each column that are held while a remote file is read


@dataclass(frozen=True)
class _Part:
    """One file: its name for messages, its path in the filesystem, its number of rows."""

    where: str
    path: str
    rows: int


def open_parquet(location: str, missing_values: tuple[str, ...] = ()) -> Rows:
    """Open a Parquet file, the files of a folder or glob in sorted order, or a URI of either.

    The numbers of rows come from the files' metadata; pages are checked against their checksums,
    where the files have them.

    Raises:
        DataError: nothing is found, a host does not answer, a file is no Parquet, or the files'
            columns differ.
    """
    system, paths = _found(location)
    parts, plain = [], None
    for where, path in paths:
        with reading(where), _open(system, path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
        own = Plain.of(where, schema, missing_values)
        _require_same(own, plain or own)
        plain = plain or own
        parts.append(_Part(where, path, rows))
    assert plain is not None
    return Rows(
        location, sum(part.rows for part in parts), plain.schema,
        _reader(system, parts, plain), _placer(parts),
    )  # fmt: skip


def is_glob(location: str) -> bool:
    """Return whether a location has wildcards and is not itself the name of a file."""
    return any(sign in location for sign in "*?[") and not Path(location).exists()


def _reader(
    system: fs.FileSystem, parts: list[_Part], plain: Plain
) -> Callable[[Sequence[str]], Iterator[pa.RecordBatch]]:
    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        length = block_rows(plain.schema, names)
        own = [plain.names[name] for name in names]
        for part in parts:
            first = 0
            with reading(part.where), _open(system, part.path) as file:
                for batch in file.iter_batches(length, columns=own):
                    yield plain.batch(batch, names, lambda row: _place(part, first + row))  # noqa: B023
                    first += batch.num_rows

    return read


def _placer(parts: list[_Part]) -> Callable[[int], str]:
    firsts = [0, *accumulate(part.rows for part in parts)]

    def place(row: int) -> str:
        index = min(bisect_right(firsts, row), len(parts)) - 1
        return _place(parts[index], row - firsts[index])

    return place


def _place(part: _Part, row: int) -> str:
    return f"{part.where}: row {row + 1}"


def _open(system: fs.FileSystem, path: str) -> Any:
    from pyarrow import parquet

    # A local file is read through the page cache; of a remote one a piece of each column is held.
    held = 0 if isinstance(system, fs.LocalFileSystem) else _READ_AHEAD
    return parquet.ParquetFile(
        path,
        filesystem=system,
        buffer_size=held,
        pre_buffer=False,
        page_checksum_verification=True,
    )


def _found(location: str) -> tuple[fs.FileSystem, list[tuple[str, str]]]:
    """Return the filesystem, and (name for messages, path) of each file in sorted order."""
    if "://" in location:
        return _found_at(location)
    if is_glob(location):
        found = glob(location, recursive=True)  # noqa: PTH207 (Path's takes no absolute pattern)
        paths = sorted(path for path in found if Path(path).is_file())
        if other := next((path for path in paths if not path.endswith(ENDING)), None):
            raise DataError(
                f"{location}: {other} is among what it finds; only {ENDING} files are read "
                "several at once, so name one file, or write its rows as Parquet"
            )
    elif Path(location).is_dir():
        paths = sorted(str(path) for path in Path(location).glob(f"*{ENDING}"))
        require_inside(Path(location), map(Path, paths))
    else:
        paths = [location]
    if not paths:
        raise DataError(f"{location}: no {ENDING} file is found there")
    for path in paths:
        require_file(Path(path))
    return _local(), [(path, path) for path in paths]


def _found_at(location: str) -> tuple[fs.FileSystem, list[tuple[str, str]]]:
    with reading(location):
        system, path = _system_of(location)
        if "*" in path:
            fixed = path[: path.index("*")].rpartition("/")[0]
            inside = system.get_file_info(fs.FileSelector(fixed, recursive=True))
            pattern = f"/{path.lstrip('/')}"
            paths = [
                info.path for info in inside
                if PurePosixPath(f"/{info.path.lstrip('/')}").match(pattern)
            ]  # fmt: skip
        elif system.get_file_info(path).type == fs.FileType.Directory:
            inside = system.get_file_info(fs.FileSelector(path))
            paths = [info.path for info in inside if info.path.endswith(ENDING)]
            if isinstance(system, fs.LocalFileSystem):
                require_inside(Path(path), map(Path, paths))
        elif system.get_file_info(path).type == fs.FileType.File:
            paths = [path]
        else:
            paths = []
    if not paths:
        raise DataError(f"{location}: no {ENDING} file is found there")
    scheme = location.split("://")[0]
    return system, [(f"{scheme}://{path}", path) for path in sorted(paths)]


def _system_of(location: str) -> tuple[fs.FileSystem, str]:
    require_answer(location)
    system, path = fs.FileSystem.from_uri(location)
    return _local() if isinstance(system, fs.LocalFileSystem) else system, path


def _local() -> fs.FileSystem:
    return fs.LocalFileSystem(use_mmap=True)


def _require_same(own: Plain, first: Plain) -> None:
    for name in [*own.schema.names, *first.schema.names]:
        here, there = (
            plain.schema.field(name).type if name in plain.schema.names else "missing"
            for plain in (own, first)
        )
        if here != there:
            raise DataError(
                f"{own.where}: column {shown(name)} is {here}, but {there} in {first.where}; "
                "all files of one source need the same columns"
            )
