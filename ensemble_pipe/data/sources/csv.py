"""CSV files, gzipped or not: streamed, with column types inferred from the whole file."""

import gzip
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import row_name
from ensemble_pipe.data.sources.paths import (
    bare_names,
    reading,
    require_few_columns,
    require_no_bomb,
    require_unique,
)
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.sources.text_columns import TextColumn, to_text

BLOCK = 4 << 20
"""Bytes of text in memory at once; also the longest row that is read."""


_START = 1 << 16  # characters of the beginning that are looked at
_GZIP = b"\x1f\x8b"
_OTHERS = {
    "\xff\xfe": "is text in UTF-16; save it as UTF-8",
    "\xfe\xff": "is text in UTF-16; save it as UTF-8",
    "PAR1\x15": "is a Parquet file; rename it to end in .parquet",
    "ARROW1\0": "is an Arrow file; rename it to end in .arrow",
    "PK\x03\x04": "is a zip archive or a spreadsheet; unpack it, or save it as CSV",
}
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_BROKEN = re.compile(r"CSV parse error: Row #(\d+): Expected (\d+) columns, got (\d+)")


@dataclass(frozen=True)
class _File:
    """One file.

    Attributes:
        path: .csv or .csv.gz.
        names: of the columns in the file, by their trimmed names.
    """

    path: Path
    names: dict[str, str] = field(default_factory=dict)

    def place(self, row: int) -> str:
        return f"{self.path}: {row_name(row, _line_of(self.path, row))}"


def open_csv(path: Path, missing_values: tuple[str, ...] = ()) -> Rows:
    """Open a CSV file with a header; one pass counts the rows and infers the types.

    A column is true/false, int64, uint64, double or text: the first type that fits all values.
    Integers of more than 64 bits are text. Blanks around a value are trimmed, empty lines skipped.
    An empty field is a missing value; in columns of numbers and true/false so are NA, N/A, #N/A,
    NaN, nan, null and NULL. A column requested as written is text, including blanks, whatever its
    values look like.

    Args:
        path: the file, gzipped where it ends in .gz.
        missing_values: further texts that mean a missing value.

    Raises:
        DataError: a row has too many or too few fields, is longer than 4 MB or not UTF-8, or the
            header is not as it must be.
    """
    file = _File(path, _header(path))
    columns = {name: TextColumn(name, missing_values) for name in file.names}
    count, last = 0, ""
    for batch in _texts(file, list(columns)):
        for column, texts in zip(columns.values(), batch.columns, strict=True):
            column.take(texts, count)
        count += batch.num_rows
        last = batch.column(-1)[-1].as_py() if batch.num_rows else last
    if _has_lines(last) and _is_open_at_end(path):
        raise DataError(f"{file.place(count - 1)}: a quote that opens there is never closed")
    return _rows(file, columns, count, frozenset())


def _rows(file: _File, columns: dict[str, TextColumn], count: int, written: frozenset[str]) -> Rows:
    """Return the rows of a scanned file, some columns as written."""
    fields = [
        pa.field(name, pa.string()) if name in written else column.field(file.place)
        for name, column in columns.items()
    ]
    schema = pa.schema(fields)

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        chosen = pa.schema([schema.field(name) for name in names])
        for batch in _texts(file, names):
            with reading(file.path, "; was it written to meanwhile?"):
                arrays = [
                    texts if name in written else columns[name].cast(texts)
                    for name, texts in zip(names, batch.columns, strict=True)
                ]
            yield pa.RecordBatch.from_arrays(arrays, schema=chosen)

    return Rows(
        str(file.path),
        count,
        schema,
        read,
        file.place,
        written=written,
        rewritten=lambda names: _rows(file, columns, count, names),
    )


def _require_commas(path: Path) -> None:
    """Raise DataError where the beginning of a file shows that it is not comma-separated."""
    with path.open("rb") as plain:
        packed = plain.read(len(_GZIP)) == _GZIP
    if packed != _is_packed(path):
        right = f"{path.name}.gz" if packed else path.stem
        raise DataError(
            f"{path}: is {'' if packed else 'not '}compressed by gzip; rename it to {right}"
        )
    with reading(path), _lines(path) as lines:
        start = str(lines.read(_START))
    for magic, what in _OTHERS.items():
        if start.startswith(magic):
            raise DataError(f"{path}: {what}")
    with reading(path), _lines(path) as lines:
        require_few_columns(path, str(lines.readline(BLOCK)).count(",") + 1)
    names = re.sub(r'"[^"]*"', "", start.lstrip("\n").partition("\n")[0])
    if "\0" in names:
        raise DataError(f"{path}: holds zero bytes, so it is no text in UTF-8; save it as UTF-8")
    found = [what for sign, what in _SEPARATORS.items() if sign in names]
    if found and "," not in names:
        raise DataError(
            f"{path}: its column names are separated by {found[0]}; save it with commas"
        )


def _header(path: Path) -> dict[str, str]:
    _require_commas(path)
    with _refusals(_File(path)):
        try:
            own = _open(_stream(path), []).schema.names
        except UnicodeDecodeError:
            raise DataError(f"{path}: its column names are not UTF-8; save it as UTF-8") from None
    names = bare_names(own)
    require_unique(path, names)
    return dict(zip(names, own, strict=True))


def _texts(file: _File, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield columns as text, as in the file."""
    own = [file.names[name] for name in names]
    first, size = 0, file.path.stat().st_size
    with _refusals(file):
        for block, batch in enumerate(_open(_stream(file.path), own)):
            require_no_bomb(file.path, block * BLOCK, size, "unpack it with gunzip first")
            arrays = [
                to_text(column, name, lambda row: file.place(first + row))  # noqa: B023
                for name, column in zip(names, batch.columns, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(arrays, names=list(names))
            first += batch.num_rows


def _open(stream: pa.NativeFile, names: list[str]) -> Any:
    from pyarrow import csv

    return csv.open_csv(
        stream,
        # Rows are counted, for messages, by a single thread only.
        read_options=csv.ReadOptions(block_size=BLOCK, use_threads=False),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.binary()),
            include_columns=names,
            null_values=[],
            strings_can_be_null=False,
        ),
    )


@contextmanager
def _refusals(file: _File) -> Iterator[None]:
    """Convert pyarrow's errors into a DataError that names row and line of an invalid row."""
    try:
        with reading(file.path):
            yield
    except DataError as error:
        if broken := _BROKEN.search(str(error)):
            row, needed, found = map(int, broken.groups())  # the header is row 1, empty lines none
            raise DataError(
                f"{file.place(row - 2)}: has {found} fields where the header has {needed}"
            ) from None
        if "straddling" in str(error):
            raise DataError(
                f"{file.path}: a row is longer than {BLOCK >> 20} MB, or a quote is never closed"
            ) from None
        if "cannot infer" in str(error):
            raise DataError(
                f"{file.path}: no line of column names in its first {BLOCK >> 20} MB"
            ) from None
        raise


def _stream(path: Path) -> pa.NativeFile:
    """Open a file for pyarrow, whose reader reads ahead in a thread of its own.

    That thread may still be at it when the reader is given up. So no Python code is run in it, and
    the stream is not closed under it: it goes with the last that holds it. A header alone is given
    the end of its line, without which the reader finds none.
    """
    with reading(path), _lines(path) as lines:
        start = str(lines.read(_START))
    if len(start) < _START and start.strip() and "\n" not in start:
        return pa.BufferReader(f"{start}\n".encode("latin-1"))
    plain = pa.OSFile(str(path))
    return pa.CompressedInputStream(plain, "gzip") if _is_packed(path) else plain


def _is_packed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _has_lines(value: str) -> bool:
    return "\n" in value or "\r" in value


def _is_open_at_end(path: Path) -> bool:
    """Return whether the file ends within quotes, which pyarrow treats as the end of a row."""
    with _lines(path) as lines:
        return sum(str(line).count('"') for line in lines) % 2 == 1


def _line_of(path: Path, row: int) -> int:
    """Return the line (from 1) on which a row (from 0) begins: empty lines and quotes count."""
    record, opened = -1, False
    with _lines(path) as lines:
        for number, line in enumerate(lines, 1):
            if not opened and line != "\n":
                record += 1  # the header is record 0
                if record == row + 1:
                    return number
            opened ^= line.count('"') % 2 == 1
    return row + 2


def _lines(path: Path) -> IO[Any]:
    opened = gzip.open if _is_packed(path) else open
    return opened(path, "rt", encoding="latin-1", newline=None)
