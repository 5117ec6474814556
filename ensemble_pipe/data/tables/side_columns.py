"""The columns beside the features: labels, row weights, groups and times."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ensemble_pipe.arrays import Array, Floats, Integers
from ensemble_pipe.data.sources.paths import require_columns
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.tables import cells
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.errors import DataError
from ensemble_pipe.messages import shown


def read_targets(rows: Rows, roles: Roles) -> Array:
    """Return the labels (R,): int64, text, or float64; true and false are 1 and 0.

    Raises:
        DataError: there is no label column, or a label is missing, or of another type.
    """
    if roles.label is None:
        raise DataError(f"{rows.where}: has no labels")
    column = _read(rows, roles.label, "label")
    kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        _require_int64(rows, roles.label, column)
        return np.asarray(column.cast(pa.int64()).to_numpy())
    if cells.is_number(kind):
        return np.asarray(column.cast(pa.float64()).to_numpy())
    if cells.is_text(kind):
        return _texts(column)
    if rows.count == 0:
        return np.zeros(0, np.int64)
    raise DataError(
        f"{rows.where}: label {shown(roles.label)} is of type {kind}; labels are numbers, text in "
        "UTF-8, or true and false"
    )


def read_weights(rows: Rows, name: str) -> Floats:
    """Return the weight of each row (R,) float64.

    Raises:
        DataError: a weight is missing, negative, infinite or no number, or all are zero.
    """
    column = _read(rows, name, "weight")
    if not (cells.is_number(column.type) or pa.types.is_boolean(column.type)):
        raise DataError(
            f"{rows.where}: weight {shown(name)} is of type {column.type}, not of numbers"
        )
    values = cells.numbers(column.combine_chunks(), name, rows.place).astype(np.float64)
    good = np.isfinite(values) & (values >= 0)
    if not good.all():
        row = int(good.argmin())
        raise DataError(
            f"{rows.cells(name)(row)}: the weight is {values[row]:g}; weights are "
            "finite numbers from 0 on"
        )
    if not values.any():
        raise DataError(f"{rows.where}: every weight in {shown(name)} is 0")
    return values


def read_groups(rows: Rows, name: str) -> tuple[Integers, pa.Array]:
    """Return the number of the group of each row (R,) int64, and the names of the groups.

    Raises:
        DataError: a group is missing, or its values cannot be compared.
    """
    column = _read(rows, name, "group")
    try:
        encoded = pa.concat_arrays(column.chunks).dictionary_encode()
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        raise DataError(
            f"{rows.where}: group {shown(name)} is of type {column.type}; text or numbers "
            "are needed"
        ) from None
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary


def read_times(rows: Rows, name: str) -> Array:
    """Return what orders the rows in time (R,): numbers as they are, or datetime64.

    Raises:
        DataError: a time is missing, or no number, date or ISO 8601 text.
    """
    column = _read(rows, name, "time")
    if cells.is_number(column.type):
        values = cells.numbers(column.combine_chunks(), name, rows.place)
        if not np.isfinite(values).all():
            row = int(np.isfinite(values).argmin())
            raise DataError(f"{rows.cells(name)(row)}: the time is {values[row]}")
        return values
    ticks, per_second = cells.ticks(column.combine_chunks(), name, rows.place)
    unit = {1: "s", 10**3: "ms", 10**6: "us", 10**9: "ns"}[per_second]
    return np.asarray(ticks.to_numpy()).view(f"datetime64[{unit}]")


def _read(rows: Rows, name: str, role: str) -> pa.ChunkedArray:
    """Return a whole column, none of whose values is missing (null, NaN or empty text)."""
    require_columns(rows.where, [name], rows.schema.names)
    chunks: list[pa.Array] = []
    for first, block in rows.blocks([name]):
        column = cells.plain(block.column(name))
        missing = column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
        if cells.is_text(column.type):
            missing = missing | pc.equal(column, "").fill_null(True).to_numpy(False)
        if missing.any():
            raise DataError(
                f"{rows.cells(name)(first + int(missing.argmax()))}: the {role} is missing; "
                "remove such rows"
            )
        chunks.append(column)
    kind = rows.schema.field(name).type
    return pa.chunked_array(chunks) if chunks else pa.chunked_array([], kind)


def _require_int64(rows: Rows, name: str, column: pa.ChunkedArray) -> None:
    if pa.types.is_uint64(column.type):
        large = column.to_numpy() > np.iinfo(np.int64).max
        if large.any():
            row = int(large.argmax())
            raise DataError(
                f"{rows.cells(name)(row)}: {column[row]} is too large for a 64-bit integer"
            )


def _texts(column: pa.ChunkedArray) -> Array:
    encoded = column.dictionary_encode()
    parts: Sequence[Array] = [
        np.array(chunk.dictionary.to_pylist())[chunk.indices.to_numpy()] for chunk in encoded.chunks
    ]
    return np.concatenate(parts) if parts else np.zeros(0, "U1")
