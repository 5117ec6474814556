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
from ensemble_pipe.data.sources.parquet_footer import (
    END_BYTES,
    Footer,
    footer_bytes,
    read_footer,
)
from ensemble_pipe.data.sources.paths import reading, require_file, require_inside, require_no_bomb
from ensemble_pipe.data.sources.plain import Plain, is_text, longest_text
from ensemble_pipe.data.sources.remote import require_answer
from ensemble_pipe.data.sources.rows import BLOCK_ROWS, TEXT_BYTES, Rows, read_rows

ENDING = ".parquet"
_FOOTER_SWELLING, _FOOTER_ROOM = 16, 1 << 28  # bytes of memory for one of metadata, and for any
_TAIL_BYTES = 1 << 16  # that are read at once, with most footers
_READ_AHEAD = 1 << 20  # bytes of each column that are held while a remote file is read


@dataclass(frozen=True)
class _Part:
    """One file: its name for messages, its path in the filesystem, its number of rows, its footer.

    What a column chunk holds is asked of the footer, never of pyarrow (see parquet_footer).
    """

    where: str
    path: str
    rows: int
    footer: Footer


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
            footer = _footer(where, system, path, size)
        with reading(where), _open(system, path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
        stated = int(footer.sizes.sum(axis=1).max(initial=0))
        require_no_bomb(where, stated, size, "write it in smaller row groups")
        own = Plain.of(where, schema)
        _require_same(own, plain or own)
        plain = plain or own
        parts.append(_Part(where, path, rows, footer))
    assert plain is not None
    return Rows(
        location, sum(part.rows for part in parts), plain.schema,
        _reader(system, parts, plain), _placer(parts),
    )  # fmt: skip


def _footer(where: str, system: fs.FileSystem, path: str, size: int) -> Footer:
    """Return a file's footer.

    Raises:
        DataError: it would take far more memory than the file, for it is read whole.
        ValueError: it is damaged.
    """
    with system.open_input_file(path) as stream:
        stream.seek(max(0, size - _TAIL_BYTES))
        tail = stream.read()
        length = footer_bytes(tail[-END_BYTES:], size)
        if length * _FOOTER_SWELLING > max(2 * size, _FOOTER_ROOM):
            raise DataError(
                f"{where}: {length} of its {size} bytes are metadata; write it with fewer columns, "
                "or larger row groups"
            )
        if length > len(tail) - END_BYTES:
            stream.seek(size - END_BYTES - length)
            tail = stream.read()
    return read_footer(tail[-END_BYTES - length : -END_BYTES], size)


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
                for batch in _batches(system, part, file, plain, names):
                    yield from plain.batches(batch, names, lambda row: _place(part, first + row))  # noqa: B023
                    first += batch.num_rows

    return read


def _batches(
    system: fs.FileSystem, part: _Part, file: Any, plain: Plain, names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Yield columns of an open file, in batches of bounded memory."""
    own = [plain.names[name] for name in names]
    texts = [name for name in own if is_text(file.schema_arrow.field(name).type)]
    stated, of_texts = part.footer.bytes_of(own), part.footer.bytes_of(texts)
    with _open(system, part.path, texts, file.metadata) as by_dictionaries:

        def row_bytes(group: int) -> float:
            rows = int(part.footer.rows[group])
            swells = int(of_texts[group]) * min(rows, BLOCK_ROWS) > TEXT_BYTES
            longest = _longest_texts(by_dictionaries, group, texts) if swells else 0
            return float(stated[group]) / max(rows, 1) + longest

        lengths = [read_rows(plain.schema, names, row_bytes(group)) for group in range(len(stated))]
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


def _longest_texts(file: Any, group: int, texts: Sequence[str]) -> int:
    """Return the bytes of the longest texts of a row, by the dictionaries of a row group.

    A page of a few bytes may name one text of a megabyte for each of a million rows. The first row
    is read with the dictionaries.
    """
    batch = next(file.iter_batches(1, [group], texts), None)
    return 0 if batch is None else sum(map(longest_text, batch.columns))


def _open(
    system: fs.FileSystem, path: str, as_dictionaries: Sequence[str] = (), metadata: Any = None
) -> Any:
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
        metadata=metadata,
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
