"""What names each row in a file of predictions: kept columns of the input, else file or number."""

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import list_names, quote
from ensemble_pipe.data.sources.paths import rename_hint
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.serving.kept_types import kept_types, without_missing

ROW, FILE = "row", "file"


class Carried:
    """The columns that stand before the predictions, in the order of the rows.

    Kept columns of a file without types, such as CSV, are carried as written: 007 stays 007. Where
    they are to have types, those of numbers and dates alone do. They are read beside the columns
    that the model needs, so that blocks are divided as ever.
    """

    def __init__(self, rows: Rows, keep: Sequence[str], *, typed: bool) -> None:
        """Begin.

        Args:
            rows: of the input.
            keep: names of the columns to carry.
            typed: whether numbers and dates of a file without types are such, and not text.

        Raises:
            DataError: there is no such column, or it cannot stand in a file of predictions.
        """
        self._file = rows.file
        self._names = list(dict.fromkeys(keep))
        kinds = kept_types(rows, self._names) if typed else {}
        rows = rows.as_written(self._names)
        self._fields = [_field(rows, name) for name in self._names]
        self._fields = [
            field.with_type(kinds.get(field.name, field.type)) for field in self._fields
        ]
        self._blocks: Iterator[tuple[int, pa.RecordBatch]] = iter(())
        if self._names and rows.count:
            self._blocks = rows.blocks(self._names)
        self._held = pa.schema(self._fields).empty_table()

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        own = [] if self._file is None else [FILE]
        return [*own, *self._names] or [ROW]

    def require_apart(self, names: Collection[str]) -> None:
        """Raise DataError where a column has a name that one of the prediction has."""
        for name in self.names:
            if name in names:
                raise DataError(
                    f"--keep {name}: the predictions have a column of this name; rename it in the "
                    "input, or leave it out"
                )

    def take(self, first: int, count: int) -> list[tuple[str, pa.ChunkedArray | pa.Array]]:
        """Return name and values of each column, for rows `first` to `first + count`."""
        found: list[tuple[str, pa.ChunkedArray | pa.Array]] = []
        if self._file is not None:
            files = [self._file(row) for row in range(first, first + count)]
            found.append((FILE, pa.array(files, pa.string())))
        kept = self._next(count)
        found += [(name, kept.column(name)) for name in self._names]
        return found or [(ROW, pa.array(np.arange(first, first + count)))]

    def _next(self, count: int) -> pa.Table:
        while self._names and self._held.num_rows < count:
            _, block = next(self._blocks)
            arrays = [
                _cast(column, field.type)
                for column, field in zip(block.columns, self._fields, strict=True)
            ]
            more = pa.Table.from_arrays(arrays, schema=self._held.schema)
            self._held = pa.concat_tables([self._held, more])
        taken, self._held = self._held.slice(0, count), self._held.slice(count)
        return taken


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return values as those of the type of a kept column; texts of other types may be missing."""
    is_read = column.type == pa.string() and kind != pa.string()
    return (without_missing(column) if is_read else column).cast(kind)


def _field(rows: Rows, name: str) -> pa.Field:
    """Return name and type of a kept column, where any file of predictions can hold it."""
    names = [one for one in rows.schema.names if _is_written(rows.schema.field(one).type)]
    if name not in names:
        guess = rename_hint([name], names, one_is_new=False)
        raise DataError(
            f"--keep {quote(name)}: {rows.where} has no such column of numbers, text or dates"
            f"{guess} it has: {list_names(names) or 'none'}"
        )
    kind = rows.schema.field(name).type
    if pa.types.is_dictionary(kind):  # which may differ from block to block
        kind = kind.value_type
    if kind == pa.string_view():  # which CSV has not
        kind = pa.string()
    return pa.field(name, kind)


def _is_written(kind: pa.DataType) -> bool:
    """Return whether Parquet, Arrow and CSV all hold values of a type: bytes are not text."""
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    known = (
        types.is_null, types.is_boolean, types.is_integer, types.is_floating, types.is_decimal,
        types.is_temporal, types.is_string, types.is_large_string, types.is_string_view,
    )  # fmt: skip
    return any(is_of(kind) for is_of in known) and not types.is_interval(kind)
