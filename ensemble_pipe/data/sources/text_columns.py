"""Type inference for columns of text files, and conversion of the values."""

from collections.abc import Callable, Sequence
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import quote, truncate
from ensemble_pipe.data.sources.rows import TEXT, TEXT_PLACE

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "#N/A")
"""Texts that mean a missing value in columns of numbers and of true and false."""

_Kind = Literal["null", "bool", "int", "unsigned", "double", "text"]
_TYPES = {
    "null": pa.null(), "bool": pa.bool_(), "int": pa.int64(), "unsigned": pa.uint64(),
    "double": pa.float64(), "text": pa.string(),
}  # fmt: skip
_PROBE = 64
_MOST_DIGITS = 80


class TextColumn:
    """The inferred type of one column after the blocks seen so far."""

    def __init__(self, name: str, missing_values: tuple[str, ...]) -> None:
        self.name = name
        self.missing_values = missing_values
        self.kind: _Kind = "null"
        self.is_signed = False
        self.first_text: tuple[int, str] | None = None

    @property
    def type(self) -> pa.DataType:
        return _TYPES[self.kind]

    def take(self, texts: pa.Array, first: int) -> None:
        """Widen the type to fit a block whose first row has the number `first`."""
        if self.kind == "text":
            return
        values = null_where_missing(
            pc.ascii_trim_whitespace(texts), (*MISSING, *self.missing_values)
        )
        if values.null_count == len(values):
            return
        self.is_signed |= bool(pc.any(pc.starts_with(values, "-")).as_py())
        if self.kind != "double":
            self.kind = _before_double(self.kind, values, self.is_signed)
        if self.kind == "double":
            doubles = cast_all(values, pa.float64())
            beyond = [] if doubles is None else beyond_64_bits(values, doubles)
            if beyond:
                self.first_text = first + beyond[0], values[beyond[0]].as_py()
            self.kind = "text" if beyond or doubles is None else "double"
        if self.kind == "text" and self.first_text is None:
            self.first_text = first_no_number(values, first)

    def field(self, place: Callable[[int], str]) -> pa.Field:
        """Return name and type; of text also the place of the first value that is no number."""
        if self.first_text is None:
            return pa.field(self.name, self.type)
        row, text = self.first_text
        return pa.field(self.name, self.type, metadata={TEXT_PLACE: place(row), TEXT: text})

    def cast(self, texts: pa.Array) -> pa.Array:
        """Return texts as values of this column's type."""
        if self.kind == "null":
            return pa.nulls(len(texts))
        texts = pc.ascii_trim_whitespace(texts)
        if self.kind == "text":
            return null_where_missing(texts, ("", *self.missing_values))
        return null_where_missing(texts, (*MISSING, *self.missing_values)).cast(self.type)


def to_text(column: pa.Array, name: str, place: Callable[[int], str]) -> pa.Array:
    """Return bytes as text.

    Raises:
        DataError: names the row that is not UTF-8.
    """
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        for row, value in enumerate(column.to_pylist()):
            try:
                value.decode()
            except UnicodeDecodeError:
                raise DataError(
                    f"{place(row)}, column {quote(name)}: {quote(value)} is not UTF-8; "
                    "save the file as UTF-8"
                ) from None
        raise


def too_large(where: str, name: str, text: str) -> DataError:
    """Return the error of an integer of more than 64 bits in a column of numbers."""
    return DataError(
        f"{where}, column {quote(name)}: {truncate(text)} is too large for an integer of 64 bits; "
        "write it with a decimal point or exponent if it is a measured number; if it is a code, "
        "declare the column by `kind: category`, or name it in `ignore`"
    )


def _before_double(kind: _Kind, values: pa.Array, is_signed: bool) -> _Kind:
    """Return the first type, not before `kind`, that holds all values too; double untried."""
    if kind in ("null", "bool"):
        truth = pa.array(["true", "false"])
        if pc.all(pc.is_in(pc.ascii_lower(values.drop_null()), truth)).as_py():
            return "bool"
        if kind == "bool":
            return "text"
    if _has_hex(values):
        return "double"
    if kind != "unsigned" and cast_all(values, pa.int64()) is not None:
        return "int"
    return "double" if is_signed or cast_all(values, pa.uint64()) is None else "unsigned"


def cast_all(values: pa.Array, kind: pa.DataType) -> pa.Array | None:
    """Cast texts to another type; None where one is invalid."""
    try:
        values.drop_null()[:_PROBE].cast(kind)  # what fails often fails early, and at a price each
        return values.cast(kind)
    except pa.ArrowInvalid:
        return None


def _has_hex(values: pa.Array) -> bool:
    """Return whether there are integers such as 0x1F, which Arrow parses; here they are text."""
    return bool(pc.any(pc.match_substring(values, "x", ignore_case=True)).as_py())


def null_where_missing(values: pa.Array, missing: Sequence[str] | Sequence[bool]) -> pa.Array:
    """Return values with null in place of those that mean a missing value."""
    found = pc.is_in(values, value_set=pa.array(missing, values.type))
    return pc.if_else(found, pa.scalar(None, values.type), values)


def first_no_number(values: pa.Array, first: int) -> tuple[int, str] | None:
    """Return row and text of the first value that is no number, if any."""
    if cast_all(values, pa.float64()) is not None:
        return None
    low, high = 0, len(values)  # all before `low` are numbers; not all before `high` are
    while high - low > 1:
        middle = (low + high) // 2
        if cast_all(values.slice(low, middle - low), pa.float64()) is not None:
            low = middle
        else:
            high = middle
    return first + low, values[low].as_py()


def beyond_64_bits(values: pa.Array, doubles: pa.Array) -> list[int]:
    """Return the rows of integers, of digits alone, that neither int64 nor uint64 holds.

    Args:
        values: texts (n,) of numbers.
        doubles: the same as float64.
    """
    large = pc.indices_nonzero(pc.greater_equal(pc.abs(doubles), 2.0**63)).to_pylist()
    return [row for row in large if _is_beyond(values[row].as_py())]


def _is_beyond(text: str) -> bool:
    if not text.lstrip("+-").isdigit():
        return False
    # Python reads no more than some thousand digits.
    return len(text) > _MOST_DIGITS or not -(2**63) <= int(text) < 2**64
