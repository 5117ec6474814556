"""The values of Arrow columns: as numbers, and as names of categories."""

import re
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ensemble_pipe.arrays import Floats, Integers
from ensemble_pipe.data.sources.rows import TEXT, TEXT_PLACE
from ensemble_pipe.data.tables.columns import misfit
from ensemble_pipe.data.tables.differences import differences
from ensemble_pipe.errors import DataError
from ensemble_pipe.messages import shown

# Names row i of a block, as a person would look it up.
Place = Callable[[int], str]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ].*)?")
# Whole numbers up to here are exact as float64.
_EXACT = 2**53
MOST_NAME_BYTES = 10_000


def numbers(column: pa.Array, name: str, place: Place, offset: float = 0.0) -> Floats:
    """Return a column of numbers as (n,) of any float or integer type, NaN where it is missing.

    Where there is an offset, it is subtracted before anything is rounded.

    Raises:
        DataError: the column holds text, dates, or what else is no number.
    """
    column = plain(column)
    if not is_number(column.type):
        column = _no_number(column, name, place)
    if offset:
        return differences(column, offset)
    if column.null_count or pa.types.is_decimal(column.type):
        column = column.cast(pa.float64(), safe=False)
    values: Floats = column.to_numpy(zero_copy_only=False)
    return values


def require_no_text(field: pa.Field) -> None:
    """Check that a column is not text because of some value that the file's reader has found.

    Raises:
        DataError: names that value, which may stand far below the block at hand.
    """
    found = field.metadata or {}
    if TEXT in found:
        _refuse_value(found[TEXT_PLACE].decode(), found[TEXT].decode(), field.name)


def _no_number(column: pa.Array, name: str, place: Place) -> pa.Array:
    """Return a column of another type as numbers, if it holds true and false, or nothing."""
    kind = column.type
    if pa.types.is_boolean(kind):
        return column.cast(pa.uint8())
    if is_text(kind):
        _refuse_text(column, name, place)
    elif is_time(kind):
        _refuse_time(column, name, place)
    elif not pa.types.is_null(kind):
        raise DataError(f"{place(0)}, column {shown(name)}: is of type {kind}; numbers are needed")
    return pa.nulls(len(column), pa.float64())


def names(column: pa.Array, name: str, place: Place) -> tuple[Integers, list[str | None]]:
    """Return a column of categories as (n,) codes, and the name of each code; None is missing.

    Several codes may have one name.

    Raises:
        DataError: the values of the column are no names.
    """
    column = plain(column)
    kind = column.type
    if not (is_text(kind) or is_number(kind) or is_time(kind) or _is_simple(kind)):
        raise DataError(f"{place(0)}, column {shown(name)}: is of type {kind}; text is needed")
    if is_time(kind):
        column = _time_texts(column)
    elif pa.types.is_float16(kind):
        column = column.cast(pa.float32())
    encoded = column.dictionary_encode()
    require_short(encoded, name, place)
    if pa.types.is_floating(kind):
        found = [_name_of_float(x) for x in encoded.dictionary.to_numpy(zero_copy_only=False)]
    else:
        found = [canonical(value) for value in encoded.dictionary.to_pylist()]
    codes = pc.fill_null(encoded.indices, len(found)).to_numpy(zero_copy_only=False)
    return codes, [*found, None]


def require_short(encoded: pa.DictionaryArray, name: str, place: Place) -> None:
    """Check that the texts of a column may be names, of which thousands are held.

    Raises:
        DataError: names the row of one that is too long.
    """
    if not is_text(encoded.dictionary.type) or not len(encoded.dictionary):
        return
    lengths = pc.binary_length(encoded.dictionary)
    longest = pc.max(lengths).as_py()
    if longest is not None and longest > MOST_NAME_BYTES:
        row = pc.index(encoded.indices, pc.index(lengths, longest).as_py()).as_py()
        raise DataError(
            f"{place(row)}, column {shown(name)}: a text of {longest} bytes; the name of a "
            f"category or class has at most {MOST_NAME_BYTES}, so name the column in `ignore`"
        )


def canonical(value: Any) -> str | None:
    """Return the name of a category: the same however a file stores it; None where missing.

    >>> [canonical(value) for value in (3, "3", 3.0, "03", True, "TRUE", "Private", "")]
    ['3', '3', '3', '3', 'true', 'true', 'Private', None]
    """
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _name_of_float(np.float64(value))
    text = str(value)
    if text.lower() in ("true", "false"):
        return text.lower()
    if not _NUMBER.fullmatch(text):
        return text or None
    # The length is bounded, since reading a whole number takes the square of its digits.
    if text.lstrip("+-").isdecimal() and len(text) < 40:
        return str(int(text))
    number = np.float64(text)
    return _name_of_float(number) if np.isfinite(number) else text


def in_order(found: list[str]) -> list[str]:
    """Return names of categories sorted: by their numbers, if all are numbers."""
    if all(_NUMBER.fullmatch(name) for name in found):
        return sorted(found, key=lambda name: (float(name), name))
    return sorted(found)


def _name_of_float(value: np.floating[Any]) -> str | None:
    if np.isnan(value):
        return None
    return str(int(value)) if abs(value) < _EXACT and value == int(value) else str(value)


def plain(column: pa.Array) -> pa.Array:
    """Return a column as one of the types that all functions know: no dictionary or extension."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_string_view(kind):
        return column.cast(pa.string())
    if pa.types.is_decimal32(kind) or pa.types.is_decimal64(kind):
        return column.cast(pa.decimal128(kind.precision, kind.scale))
    return column


def is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))


def _is_simple(kind: pa.DataType) -> bool:
    return bool(pa.types.is_boolean(kind) or pa.types.is_null(kind))


def _refuse_text(column: pa.Array, name: str, place: Place) -> None:
    texts = [(row, text) for row, text in enumerate(column.to_pylist()) if text]
    if not texts:
        return
    row, text = next((pair for pair in texts if not _NUMBER.fullmatch(pair[1])), texts[0])
    _refuse_value(place(row), text, name)


def _refuse_value(where: str, text: str, name: str) -> NoReturn:
    kind = "date" if _DATE.fullmatch(text) else "category"
    problem = "is text, not a number" if _NUMBER.fullmatch(text) else "is not a number"
    _refuse(where, f"{shown(text)} {problem}", kind, name)


def _refuse_time(column: pa.Array, name: str, place: Place) -> None:
    if column.null_count < len(column):
        row = int(column.is_null().to_numpy(zero_copy_only=False).argmin())
        text = _time_texts(column)[row]
        _refuse(place(row), f"{text} is a date, not a number", "date", name)


def _time_texts(column: pa.Array) -> pa.Array:
    """Return dates or times as text, those of a zone in UTC."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp(column.type.unit))
    return column.cast(pa.string())


def _refuse(where: str, problem: str, kind: str, name: str) -> NoReturn:
    raise misfit(
        f"{where}, column {shown(name)}: {problem}",
        name,
        f"kind: {kind}",
        "declare it by {}, or name it in `ignore`",
    )
