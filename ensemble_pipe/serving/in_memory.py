"""Tables in memory, of any library: their columns by name, each as an Arrow array."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import quote

MOST_BITS = 1024


@dataclass(frozen=True)
class Columns:
    """The columns of a table in memory.

    Attributes:
        where: what it is, for messages.
        names: of the columns, as text.
        values: values(name) returns those of a column, in the library's own type.
    """

    where: str
    names: list[str]
    values: Callable[[str], Any]


def columns_of(inputs: Any) -> Columns | None:
    """Return the columns of rows in memory; None of what has no names for them.

    Args:
        inputs: an Arrow table, a data frame, a structured array, a dict with the values of each
            column, or a list with a dict for each row, where what a row lacks is missing.
    """
    if isinstance(inputs, pa.Table | pa.RecordBatch):
        return Columns("the table", inputs.schema.names, inputs.column)
    if isinstance(inputs, Mapping):
        by_name = {str(name): values for name, values in inputs.items()}
        return Columns("the dict", [str(name) for name in inputs], by_name.__getitem__)
    if isinstance(inputs, list | tuple) and inputs and isinstance(inputs[0], Mapping):
        return _of_records(inputs)
    if hasattr(inputs, "columns"):
        own = {str(name): name for name in inputs.columns}
        names = [str(name) for name in inputs.columns]
        return Columns("the data frame", names, lambda name: inputs[own[name]])
    fields = getattr(getattr(inputs, "dtype", None), "names", None)
    return None if fields is None else Columns("the array", list(fields), inputs.__getitem__)


def as_column(values: Any, name: str) -> pa.Array:
    """Return the values of one column, None and NaN as missing.

    Values of several kinds become text, since the rules of columns read text as what it says: the
    list [1, "2", None] is 1, 2 and a missing value to a column of numbers.

    Raises:
        DataError: they are no values in a row, or of a kind that no file holds.
    """
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return _one_chunk(values)
    rows = hasattr(values, "__len__") and not isinstance(values, str | bytes | Mapping | Set)
    if not rows or getattr(values, "ndim", 1) != 1:
        raise DataError(f"column {quote(name)}: is {quote(values)}; a value for each row is needed")
    try:
        found = _one_chunk(pa.array(_native(values), from_pandas=True))
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        found = None
    if found is None or _loses(found, values):
        return pa.array([_text(value, name, row) for row, value in enumerate(values)], pa.string())
    return found


def _loses(found: pa.Array, values: Any) -> bool:
    """Return whether Arrow's conversion loses information: times become days, truths numbers."""
    if isinstance(found, pa.ExtensionArray):
        return True
    if getattr(getattr(values, "dtype", None), "kind", "O") != "O":
        return False
    kinds = set(map(type, values))
    if pa.types.is_date(found.type):
        return any(issubclass(kind, datetime) for kind in kinds)
    return pa.types.is_floating(found.type) and not kinds.isdisjoint((bool, np.bool_))


def _one_chunk(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    return values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()


def _of_records(rows: Sequence[Any]) -> Columns:
    for row, record in enumerate(rows):
        if not isinstance(record, Mapping):
            raise DataError(f"row {row + 1}: is {quote(record)}; a dict for each row is needed")
    named = [{str(name): value for name, value in record.items()} for record in rows]
    names = [str(name) for name in dict.fromkeys(name for record in rows for name in record)]
    return Columns("the list", names, lambda name: [record.get(name) for record in named])


def _native(values: Any) -> Any:
    """Return an array in the machine's own order of bytes, as Arrow takes it.

    Texts are a list, for Arrow would end those of an array at their first zero byte.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind == "U":
        return values.tolist()
    if isinstance(values, np.ndarray) and values.dtype.kind in "iufcmM":
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    return values


def _text(value: Any, name: str, row: int) -> str | None:
    """Return a value as the text that a file would have of it."""
    if isinstance(value, np.generic):
        value = value.item()
    absent = value is None or type(value).__name__ in ("NAType", "NaTType")
    if absent or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        raise DataError(f"row {row + 1}, column {quote(name)}: a number of over {MOST_BITS} bits")
    if isinstance(value, str | bool | int | float | Decimal):
        return str(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    raise DataError(
        f"row {row + 1}, column {quote(name)}: {quote(value)} is no number, text or date"
    )
