"""Tables in memory, of any library: their columns by name, each as an Arrow array."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Protocol, TypeGuard

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import quote, row_name
from ensemble_pipe.data.sources.paths import bare_names
from ensemble_pipe.data.sources.rows import BLOCK_BYTES, BLOCK_ROWS, GROUP_ROWS
from ensemble_pipe.data.tables.arrow_types import to_plain

MOST_BITS = 1024


class SparseMatrix(Protocol):
    """A sparse matrix or array of SciPy, of any format."""

    shape: tuple[int, ...]

    def __getitem__(self, places: Any) -> Any:
        """Return some of its rows and columns."""

    def tocsr(self) -> Any:
        """Return it in compressed rows."""

    def toarray(self) -> Any:
        """Return it dense."""


@dataclass(frozen=True)
class Columns:
    """The columns of a table in memory.

    Attributes:
        where: what it is, for messages.
        names: of the columns, as text.
        values: values(name) returns those of a column, in the library's own type.
        are_places: whether the names are the places of the columns, as of a frame without names.
    """

    where: str
    names: list[str]
    values: Callable[[str], Any]
    are_places: bool = False

    def named(self, names: Sequence[str]) -> "Columns":
        """Return the columns by other names, in the same order."""
        own = dict(zip(names, self.names, strict=True))
        return Columns(self.where, list(names), lambda name: self.values(own[name]))

    def bare(self) -> "Columns":
        """Return the columns by their names without blanks around them."""
        names = bare_names(self.names)
        return self if names == self.names else self.named(names)


def columns_of(inputs: Any) -> Columns | None:
    """Return the columns of rows in memory; None of what has no names for them.

    Args:
        inputs: an Arrow table, a data frame, a structured array, a dict with the values of each
            column, or a list with a dict for each row, where what a row lacks is missing.
    """
    found = _columns_of(inputs)
    return None if found is None else found.bare()


def _columns_of(inputs: Any) -> Columns | None:
    if isinstance(inputs, pa.Table | pa.RecordBatch):
        return Columns("the table", inputs.schema.names, inputs.column)
    if isinstance(inputs, Mapping):
        by_name = {str(name): values for name, values in inputs.items()}
        return Columns("the dict", [str(name) for name in inputs], by_name.__getitem__)
    if isinstance(inputs, list | tuple) and inputs and isinstance(inputs[0], Mapping):
        return _of_records(inputs)
    if type(inputs).__name__ == "LazyFrame":
        raise DataError("the data frame is lazy; pass the result of its method collect()")
    if hasattr(inputs, "columns"):
        own = {str(name): name for name in inputs.columns}
        names = [str(name) for name in inputs.columns]
        places = list(inputs.columns) == list(range(len(names)))
        return Columns("the data frame", names, lambda name: inputs[own[name]], places)
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
    if hasattr(values, "to_arrow") and str(values.dtype) != "Object":  # a column of polars
        return _one_chunk(values.to_arrow())
    try:
        found = _one_chunk(pa.array(_native(values), from_pandas=True))
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        found = None
    if found is None or _loses(found, values):
        return _texts(values, name)
    return found


def is_sparse(inputs: Any) -> TypeGuard[SparseMatrix]:
    """Return whether rows are a sparse matrix or array of SciPy."""
    return hasattr(inputs, "tocsr")


def sparse_parts(inputs: SparseMatrix) -> Iterator[tuple[int, Floats]]:
    """Yield (number of the first row, dense rows (n, D) float64) of a sparse matrix, part by part.

    A part has `rows.block_rows` rows, or one where these do not fill a group.
    """
    matrix = inputs.tocsr()
    count, width = matrix.shape
    most = max(1, min(BLOCK_ROWS, BLOCK_BYTES // (8 * max(width, 1))))
    length = max(most - most % GROUP_ROWS, GROUP_ROWS)
    for first in range(0, max(count, 1), length):
        dense = matrix[first : first + length].toarray(order="F")  # by column, as it is read
        yield first, dense.astype(np.float64, copy=False)


def _loses(found: pa.Array, values: Any) -> bool:
    """Return whether Arrow's conversion loses information: times become days, truths numbers."""
    if isinstance(found, pa.ExtensionArray):
        return True
    if isinstance(found, pa.DictionaryArray):  # such as intervals, as categories
        return isinstance(found.dictionary, pa.ExtensionArray)
    is_date, is_float = pa.types.is_date(found.type), pa.types.is_floating(found.type)
    if not (is_date or is_float) or getattr(getattr(values, "dtype", None), "kind", "O") != "O":
        return False
    kinds = set(map(type, values))
    if is_date:
        return any(issubclass(kind, datetime) for kind in kinds)
    return not kinds.isdisjoint((bool, np.bool_))


def _one_chunk(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    return values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()


def _of_records(rows: Sequence[Any]) -> Columns:
    for row, record in enumerate(rows):
        if not isinstance(record, Mapping):
            raise DataError(f"{row_name(row)}: is {quote(record)}; a dict for each row is needed")
    named = [{str(name): value for name, value in record.items()} for record in rows]
    names = [str(name) for name in dict.fromkeys(name for record in rows for name in record)]
    return Columns("the list", names, lambda name: [record.get(name) for record in named])


def _native(values: Any) -> Any:
    """Return an array in the machine's own order of bytes, as Arrow takes it.

    Texts are a list, for Arrow would end those of an array at their first zero byte. Sparse columns
    of pandas are dense.
    """
    if type(getattr(values, "dtype", None)).__name__ == "SparseDtype":
        values = np.asarray(values)
    if isinstance(values, np.ndarray) and values.dtype == np.longdouble:
        return values.astype(np.float64)
    if isinstance(values, np.ndarray) and values.dtype.kind == "U":
        return values.tolist()
    if isinstance(values, np.ndarray) and values.dtype.kind in "iufcmM":
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    return values


def _texts(values: Any, name: str) -> pa.Array:
    found = [_text(value, name, row) for row, value in enumerate(values)]
    for row, text in enumerate(found):
        try:
            (text or "").encode()
        except UnicodeEncodeError:
            raise DataError(
                f"{row_name(row)}, column {quote(name)}: {quote(text)} is no text in UTF-8"
            ) from None
    return pa.array(found, pa.string())


def _text(value: Any, name: str, row: int) -> str | None:
    """Return a value as the text that a file would have of it."""
    if isinstance(value, np.generic):
        value = value.item()
    absent = value is None or type(value).__name__ in ("NAType", "NaTType")
    if absent or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        raise DataError(f"{row_name(row)}, column {quote(name)}: a number of over {MOST_BITS} bits")
    if isinstance(value, str | bool | int | float | Decimal):
        return str(value)
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(to_plain(pa.array([value]))[0])
    if type(value).__name__ == "Interval":  # of pandas, as its `cut` makes them
        return str(value)
    raise DataError(
        f"{row_name(row)}, column {quote(name)}: {quote(value)} is no number, text or date"
    )
