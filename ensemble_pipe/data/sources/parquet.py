"""Parquet: a file, folder or glob, or the address of one on any pyarrow filesystem."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from itertools import accumulate, groupby
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
from pyarrow import fs

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import quote, row_name
from ensemble_pipe.data.sources.paths import reading, require_file, require_inside, require_no_bomb
from ensemble_pipe.data.sources.plain import Plain, is_text, longest_text
from ensemble_pipe.data.sources.remote import require_answer
from ensemble_pipe.data.sources.rows import BLOCK_ROWS, TEXT_BYTES, Rows, read_rows

ENDING = ".parquet"
_END = b"....PAR1"  # of a file: the length of its metadata, and a mark
_FOOTER_SWELLING, _FOOTER_ROOM = 16, 1 << 28  # bytes of memory for one of metadata, and for any
_READ_AHEAD = 1 << 20  # bytes of each column that are held while a remote file is read


@dataclass(frozen=True)
class _Part:
    """One file: its name for messages, its path in the filesystem, its number of rows."""

    where: str
    path: str
    rows: int


def open_parquet(location: str) -> Rows:
    """Open a Parquet file, the files of a folder or glob in sorted order, or a URI of either.

    The numbers of rows come from the files' metadata; page checksums are verified where present.

    Raises:
        DataError: no file is found, a host does not answer, a file is not Parquet, or the files'
            columns differ.
    """
    system, paths = _found(location)
    parts, plain = [], None
    for where, path in paths:
        with reading(where):
            size = system.get_file_info(path).size
            _require_small_footer(where, system, path, size)
        with reading(where), _open(system, path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
            stated = max(_stated_bytes(file.metadata), default=0)
        require_no_bomb(where, stated, size, "write it in smaller row groups")
        own = Plain.of(where, schema)
        _require_same(own, plain or own)
        plain = plain or own
        parts.append(_Part(where, path, rows))
    assert plain is not None
    return Rows(
        location, sum(part.rows for part in parts), plain.schema,
        _reader(system, parts, plain), _placer(parts),
    )  # fmt: skip


def _require_small_footer(where: str, system: fs.FileSystem, path: str, size: int) -> None:
    """Raise DataError where a file's metadata, which are read whole, would take far more memory."""
    if size < len(_END):
        return
    with system.open_input_file(path) as stream:
        stream.seek(size - len(_END))
        footer = int.from_bytes(stream.read(4), "little")
    if footer * _FOOTER_SWELLING > max(2 * size, _FOOTER_ROOM):
        raise DataError(
            f"{where}: {footer} of its {size} bytes are metadata; write it with fewer columns, or "
            "larger row groups"
        )


def is_glob(location: str) -> bool:
    """Return whether a location has wildcards and is not itself the name of a file."""
    return any(sign in location for sign in "*?[") and not Path(location).exists()


def _reader(
    system: fs.FileSystem, parts: list[_Part], plain: Plain
) -> Callable[[Sequence[str]], Iterator[pa.RecordBatch]]:
    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        for part in parts:
            first = 0
            with reading(part.where), _open(system, part.path) as file:
                for batch in _batches(system, part.path, file, plain, names):
                    yield from plain.batches(batch, names, lambda row: _place(part, first + row))  # noqa: B023
                    first += batch.num_rows

    return read


def _batches(
    system: fs.FileSystem, path: str, file: Any, plain: Plain, names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Yield columns of an open file, in batches of bounded memory."""
    own = [plain.names[name] for name in names]
    texts = [name for name in own if is_text(file.schema_arrow.field(name).type)]
    with _open(system, path, texts) as by_dictionaries:
        lengths = [
            read_rows(plain.schema, names, _row_bytes(by_dictionaries, group, own, texts))
            for group in range(file.num_row_groups)
        ]
    for length, groups in groupby(range(len(lengths)), lengths.__getitem__):
        yield from file.iter_batches(length, list(groups), own)


def _placer(parts: list[_Part]) -> Callable[[int], str]:
    firsts = [0, *accumulate(part.rows for part in parts)]

    def place(row: int) -> str:
        index = min(bisect_right(firsts, row), len(parts)) - 1
        return _place(parts[index], row - firsts[index])

    return place


def _place(part: _Part, row: int) -> str:
    return f"{part.where}: {row_name(row)}"


def _chunks(metadata: Any, group: int) -> Iterator[Any]:
    row_group = metadata.row_group(group)
    return (row_group.column(index) for index in range(row_group.num_columns))


def _stated_bytes(metadata: Any) -> Iterator[int]:
    """Yield the decompressed bytes that each row group declares."""
    for group in range(metadata.num_row_groups):
        yield sum(chunk.total_uncompressed_size for chunk in _chunks(metadata, group))


def _stated_of(metadata: Any, group: int, names: Sequence[str]) -> int:
    """Return the decompressed bytes that a row group declares for some columns."""
    wanted = set(names)
    sizes: list[int] = [
        chunk.total_uncompressed_size
        for chunk in _chunks(metadata, group)
        if not wanted.isdisjoint(accumulate(chunk.path_in_schema.split("."), "{}.{}".format))
    ]
    return sum(sizes)


def _row_bytes(file: Any, group: int, names: Sequence[str], texts: Sequence[str]) -> float:
    """Return the bytes of a row of a row group, assuming the longest texts of its dictionaries.

    A page of a few bytes may name one text of a megabyte for each of a million rows, so the first
    row is read with the dictionaries, unless there is no room for such texts.
    """
    rows: int = file.metadata.row_group(group).num_rows
    mean = _stated_of(file.metadata, group, names) / max(rows, 1)
    if _stated_of(file.metadata, group, texts) * min(rows, BLOCK_ROWS) <= TEXT_BYTES:
        return mean
    batch = next(file.iter_batches(1, [group], texts), None)
    return mean if batch is None else mean + sum(map(longest_text, batch.columns))


def _open(system: fs.FileSystem, path: str, as_dictionaries: Sequence[str] = ()) -> Any:
    from pyarrow import parquet

    # A local file is read through the page cache; of a remote one a piece of each column is held.
    held = 0 if isinstance(system, fs.LocalFileSystem) else _READ_AHEAD
    return parquet.ParquetFile(
        path,
        filesystem=system,
        buffer_size=held,
        pre_buffer=False,
        page_checksum_verification=True,
        read_dictionary=list(as_dictionaries),
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
                f"{own.where}: column {quote(name)} is {here}, but {there} in {first.where}; "
                "all files of one source need the same columns"
            )
