"""Joins predictions of other programs to the rows to be predicted, for external members."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import DataError, InputError
from ensemble_pipe.core.messages import list_names, quote
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.sources.paths import require_columns
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.ensemble.members import ExternalMember, Member, external_members
from ensemble_pipe.ensemble.members.external import input_column
from ensemble_pipe.ensemble.members.external_files import open_predictions, require_predictions
from ensemble_pipe.serving.in_memory import as_column, columns_of

if TYPE_CHECKING:
    import pandas as pd

# Predictions of each row: an array whose columns are in the order of `ExternalMember.columns`, or a
# table that has these columns.
PredictionTable = Union[Array, "pd.DataFrame", pa.Table, pa.RecordBatch]


def with_files(rows: Rows, files: Sequence[str], members: Sequence[Member], schema: Schema) -> Rows:
    """Return rows with the predictions in some files as further columns.

    Args:
        rows: to be predicted.
        files: NAME=FILE each; a file has a row for each of `rows`, in their order.
        members: of the model.
        schema: of the model.

    Raises:
        InputError: a member's predictions are missing, or a file is of no member.
        DataError: a file cannot be read, or has other rows or columns than it should.
    """
    paths: dict[str, str] = {}
    for text in files:
        name, equals, path = text.partition("=")
        if not equals or not path or name in paths:
            raise InputError(f"--with {text}: must be NAME=FILE, and each name once")
        paths[name] = path
    wanted = external_members(members)
    _require_known(paths, wanted)
    opened = {name: open_predictions(path, rows.where, rows.count) for name, path in paths.items()}
    for name, file in opened.items():
        require_predictions(file, wanted[name].columns(schema))
    _require_complete(wanted, schema, {*opened, *_joined(wanted, schema, rows.schema.names)})
    for name, file in opened.items():
        rows = _side_by_side(rows, file, name, wanted[name].columns(schema))
    return rows


def with_predictions(
    block: pa.RecordBatch,
    inputs: Any,
    given: Mapping[str, PredictionTable] | None,
    members: Sequence[Member],
    schema: Schema,
) -> pa.RecordBatch:
    """Return rows in memory with the predictions of external members as further columns.

    Args:
        block: of the rows.
        inputs: that it was made of; a table may have the further columns itself.
        given: by name of the member; None for none.
        members: of the model.
        schema: of the model.

    Raises:
        InputError: a member's predictions are missing, or some are of no member.
        DataError: they have other rows or columns than they should.
    """
    wanted, given = external_members(members), given or {}
    _require_known(given, wanted)
    own = columns_of(inputs)
    beside = set() if own is None else _joined(wanted, schema, own.names) - set(given)
    _require_complete(wanted, schema, {*given, *beside})
    for name, member in wanted.items():
        names = member.input_columns(schema)
        if own is not None and name in beside:
            found = [as_column(own.values(column), column) for column in names]
        else:
            found = _columns(given[name], name, member.columns(schema), block.num_rows)
        for column, values in zip(names, found, strict=True):
            block = block.append_column(column, values)
    return block


def _require_known(given: Mapping[str, Any], wanted: Mapping[str, ExternalMember]) -> None:
    unknown = [name for name in given if name not in wanted]
    if unknown:
        needed = list_names([quote(name) for name in wanted]) if wanted else "none at all"
        raise InputError(
            f"this model needs no predictions named {quote(unknown[0])}; it needs: {needed}"
        )


def _require_complete(
    wanted: Mapping[str, ExternalMember], schema: Schema, found: set[str]
) -> None:
    missing = [name for name in wanted if name not in found]
    if missing:
        name = missing[0]
        columns = wanted[name].columns(schema)
        raise InputError(
            f"this model has a member whose predictions come from another program, {quote(name)}: "
            f"give them for these rows, with --with {name}=FILE, in Python with "
            f"given={{{name!r}: ...}}, or as columns of the input such as "
            f"{quote(input_column(name, columns[0]))}; they are, in this order, "
            f"{list_names(columns)}"
        )


def _joined(
    wanted: Mapping[str, ExternalMember], schema: Schema, columns: Sequence[str]
) -> set[str]:
    """Return which members have their predictions among the columns of the input."""
    there = set(columns)
    return {name for name, one in wanted.items() if there.issuperset(one.input_columns(schema))}


def _columns(given: Any, name: str, names: Sequence[str], rows: int) -> list[pa.Array]:
    """Return the columns of predictions in memory."""
    where = f"the predictions named {quote(name)}"
    known = columns_of(given)
    if known is not None:
        require_columns(where, names, known.names)
        found = [as_column(known.values(column), column) for column in names]
    else:
        array = np.asarray(given)
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim != 2 or array.shape[1] != len(names) or array.dtype.kind not in "fiu":
            raise DataError(
                f"{where}: are {array.dtype} of shape {array.shape}; (R, {len(names)}) numbers are "
                f"needed: {list_names(names)}"
            )
        found = [pa.array(np.ascontiguousarray(column)) for column in array.T]
    if any(len(column) != rows for column in found):
        raise DataError(
            f"{where}: are {len(found[0])} rows, but {rows} are to be predicted; one row for each "
            "is needed, in their order"
        )
    return found


def _side_by_side(rows: Rows, given: Rows, name: str, columns: Sequence[str]) -> Rows:
    """Return rows with columns of others, which are as many, beside their own."""
    own = {input_column(name, column): column for column in columns}
    fields = [given.schema.field(column).with_name(joined) for joined, column in own.items()]

    def read(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        beside = [joined for joined in names if joined in own]
        if not beside:
            yield from rows.read(names)
            return
        others = given.read([own[joined] for joined in beside])
        first = _Cut(rows.read([column for column in names if column not in own]))
        second = _Cut(batch.rename_columns(beside) for batch in others)
        while length := min(first.length, second.length):
            parts = [*first.take(length), *second.take(length)]
            arrays = dict(parts)
            yield pa.RecordBatch.from_arrays([arrays[column] for column in names], list(names))

    places = {joined: given.cells(column) for joined, column in own.items()}
    schema = pa.schema([*(field for field in rows.schema if field.name not in own), *fields])
    return replace(rows, schema=schema, read=read, places={**rows.places, **places})


class _Cut:
    """A stream of batches, from which any number of rows is taken."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self._held: pa.RecordBatch | None = None

    @property
    def length(self) -> int:
        """Rows that can be taken at once; 0 at the end."""
        while self._held is None or self._held.num_rows == 0:
            self._held = next(self._batches, None)
            if self._held is None:
                return 0
        return int(self._held.num_rows)

    def take(self, rows: int) -> list[tuple[str, pa.Array]]:
        """Return the columns of the next rows, by name."""
        assert self._held is not None
        part, self._held = self._held.slice(0, rows), self._held.slice(rows)
        return list(zip(part.schema.names, part.columns, strict=True))
