"""CSV, gzipped or not: streamed, with the types of its columns found over the whole file."""

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from ensemble_pipe.data.sources.paths import reading, require_unique
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.sources.text_columns import TextColumn, to_text
from ensemble_pipe.errors import DataError

BLOCK = 4 << 20
"""Bytes of text in memory at once; also the longest row that is read."""


@dataclass(frozen=True)
class _File:
    """One file.

    Attributes:
        path: .csv or .csv.gz.
        names: of the columns as they stand in the file, by their trimmed names.
    """

    path: Path
    names: dict[str, str] = field(default_factory=dict)

    def place(self, row: int) -> str:
        return f"{self.path}: row {row + 1} (line {_line_of(self.path, row)})"


def open_csv(path: Path, missing_values: tuple[str, ...] = ()) -> Rows:
    """Open a CSV file with a header; one pass counts the rows and finds the types.

    A column is true/false, int64, double or text: the first that all its values are. Blanks around
    a value are trimmed, empty lines skipped. An empty field is a missing value; in columns of
    numbers and true/false so are NA, N/A, #N/A, NaN, nan, null and NULL.

    Args:
        path: the file, gzipped where it ends in .gz.
        missing_values: further texts that mean a missing value.

    Raises:
        DataError: a row has too many or too few fields, is longer than 4 MB or not UTF-8, an
            integer is too large for int64, or the header is not as it must be.
    """
    file = _File(path, _header(path))
    columns = {name: TextColumn(name, missing_values) for name in file.names}
    count = 0
    for batch in _texts(file, list(columns)):
        for name, column in columns.items():
            column.take(batch.column(name), count)
        count += batch.num_rows
    for column in columns.values():
        column.check(file.place)
    schema = pa.schema([column.field(file.place) for column in columns.values()])

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        chosen = pa.schema([schema.field(name) for name in names])
        for batch in _texts(file, names):
            with reading(path, "; was it written to meanwhile?"):
                arrays = [columns[name].typed(batch.column(name)) for name in names]
            yield pa.RecordBatch.from_arrays(arrays, schema=chosen)

    return Rows(str(path), count, schema, read, file.place)


def _header(path: Path) -> dict[str, str]:
    with _stream(path) as stream, _reading(_File(path), []):
        try:
            own = _open(stream, [], []).schema.names
        except UnicodeDecodeError:
            raise DataError(f"{path}: its column names are not UTF-8; save it as UTF-8") from None
    names = [name.strip() for name in own]
    require_unique(path, names)
    return dict(zip(names, own, strict=True))


def _texts(file: _File, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield columns as text, as they stand in the file."""
    broken: list[Any] = []
    own = [file.names[name] for name in names]
    first = 0
    with _stream(file.path) as stream, _reading(file, broken):
        for batch in _open(stream, own, broken):
            arrays = [
                to_text(column, name, lambda row: file.place(first + row))  # noqa: B023
                for name, column in zip(names, batch.columns, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(arrays, names=list(names))
            first += batch.num_rows


def _open(stream: pa.NativeFile, names: list[str], broken: list[Any]) -> Any:
    from pyarrow import csv

    def refuse(row: Any) -> str:
        broken.append(row)
        return "error"

    return csv.open_csv(
        stream,
        # Rows are counted, for messages, by a single thread only.
        read_options=csv.ReadOptions(block_size=BLOCK, use_threads=False),
        parse_options=csv.ParseOptions(newlines_in_values=True, invalid_row_handler=refuse),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.binary()),
            include_columns=names,
            null_values=[],
            strings_can_be_null=False,
        ),
    )


class _reading:  # noqa: N801
    """Turns what pyarrow raises into a DataError that names row and line of a broken row."""

    def __init__(self, file: _File, broken: list[Any]) -> None:
        self.file, self.broken = file, broken

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, (pa.ArrowException, OSError)):
            return
        if self.broken:
            row = self.broken[0]
            raise DataError(
                f"{self.file.place(row.number - 2)}: has {row.actual_columns} fields where the "
                f"header has {row.expected_columns}"
            ) from None
        if "straddling" in str(error):
            raise DataError(
                f"{self.file.path}: a row is longer than {BLOCK >> 20} MB, or a quote is never "
                "closed"
            ) from None
        with reading(self.file.path):
            raise error


def _stream(path: Path) -> pa.NativeFile:
    plain = pa.OSFile(str(path))
    return pa.CompressedInputStream(plain, "gzip") if path.suffix == ".gz" else plain


def _line_of(path: Path, row: int) -> int:
    """Return the line (from 1) on which a row (from 0) begins: empty lines and quotes count."""
    record, opened = -1, False
    opened_as = gzip.open if path.suffix == ".gz" else open
    with opened_as(path, "rt", encoding="latin-1", newline=None) as lines:
        for number, line in enumerate(lines, 1):
            if not opened and line != "\n":
                record += 1  # the header is record 0
                if record == row + 1:
                    return number
            opened ^= line.count('"') % 2 == 1
    return row + 2
