"""Conversion of columns of any type to numbers, or to names of categories."""

from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.arrow import truths_of
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import quote
from ensemble_pipe.data.sources.rows import TEXT, TEXT_PLACE, Place
from ensemble_pipe.data.sources.text_columns import (
    beyond_64_bits,
    cast_all,
    first_no_number,
    too_large,
)
from ensemble_pipe.data.tables.arrow_types import (
    is_number,
    is_simple,
    is_text,
    is_time,
    plain_numbers,
    to_plain,
)
from ensemble_pipe.data.tables.categories import DATE, NUMBER, canonical_name, name_of_float
from ensemble_pipe.data.tables.columns import rule_error
from ensemble_pipe.data.tables.dates import time_texts
from ensemble_pipe.data.tables.differences import differences
from ensemble_pipe.data.tables.missing import NO_TEXTS, Missing

MOST_NAME_BYTES = 10_000
_NUMBER = rf"^({NUMBER.pattern}|true|false|[+-]?(inf|infinity|nan))$"


def numbers(
    column: pa.Array, name: str, place: Place, missing: Missing = NO_TEXTS, offset: float = 0.0
) -> Floats:
    """Convert a column to numbers (n,) of any float or integer type, NaN where missing.

    Numeric text is parsed; true is 1 and false 0, also as text. Where there is
    an offset, it is subtracted before anything is rounded.

    Raises:
        DataError: the column has other text, dates, or other values that are no numbers.
    """
    column = to_plain(column)
    if is_text(column.type):
        column = _of_texts(missing.null_missing(column, usual=True), name, place, exact=offset != 0)
    elif not is_number(column.type):
        column = _no_number(column, name, place, missing)
    if offset:
        return np.where(missing.mask(column), np.nan, differences(column, offset))
    return missing.in_numbers(plain_numbers(column))


def are_numbers(texts: pa.Array) -> pa.BooleanArray:
    """Return for trimmed texts, none missing, whether each is read as a number.

    Infinities are, as in files with types, and integers of 64 bits; longer ones are codes.
    """
    there = pc.match_substring_regex(texts, _NUMBER, ignore_case=True)
    numbers = pc.if_else(there, texts, pa.scalar("0", texts.type))
    doubles = _as_numbers(numbers)[1]
    found = truths_of(there).copy()
    found[beyond_64_bits(numbers, doubles)] = False
    return pa.array(found)


def first_text(column: pa.Array, missing: Missing) -> tuple[int, str] | None:
    """Return row and text of the first value of a column of text that is no number."""
    texts, doubles = _as_numbers(missing.null_missing(to_plain(column), usual=True))
    return first_no_number(texts, 0) if doubles is None else None


def require_no_text(field: pa.Field) -> None:
    """Check that a column was not inferred to be text because of one value.

    Raises:
        DataError: names that value, which may be far after the current block.
    """
    found = field.metadata or {}
    if TEXT in found:
        _refuse_value(found[TEXT_PLACE].decode(), found[TEXT].decode(), field.name)


def _of_texts(texts: pa.Array, name: str, place: Place, exact: bool) -> pa.Array:
    """Parse texts as float64; as integers where requested and exact for all of them."""
    written, doubles = _as_numbers(texts)
    if doubles is None:
        found = first_no_number(written, 0)
        assert found is not None
        _refuse_value(place(found[0]), texts[found[0]].as_py(), name)
    large = beyond_64_bits(written, doubles)
    if large:
        raise too_large(place(large[0]), name, written[large[0]].as_py())
    for kind in (pa.int64(), pa.uint64()) if exact else ():
        integers = cast_all(written, kind)
        if integers is not None:
            return integers
    return doubles


def _as_numbers(texts: pa.Array) -> tuple[pa.Array, pa.Array | None]:
    """Return texts, with true and false as 1 and 0; and as float64, None if one is no number."""
    doubles = cast_all(texts, pa.float64())
    if doubles is not None:
        return texts, doubles
    lower = pc.ascii_lower(texts)
    texts = pc.if_else(pc.equal(lower, "true"), pa.scalar("1", texts.type), texts)
    texts = pc.if_else(pc.equal(lower, "false"), pa.scalar("0", texts.type), texts)
    return texts, cast_all(texts, pa.float64())


def _no_number(column: pa.Array, name: str, place: Place, missing: Missing) -> pa.Array:
    """Convert a column of booleans or nulls to numbers."""
    kind = column.type
    if pa.types.is_boolean(kind):
        return missing.in_truths(column).cast(pa.uint8())
    if is_time(kind):
        _refuse_time(column, name, place)
    elif not pa.types.is_null(kind):
        raise DataError(f"{place(0)}, column {quote(name)}: is of type {kind}; numbers are needed")
    return pa.nulls(len(column), pa.float64())


def names(column: pa.Array, name: str, place: Place) -> tuple[Integers, list[str | None]]:
    """Convert a column of categories to codes (n,), and the name of each code; None is missing.

    Several codes may have one name.

    Raises:
        DataError: the column's type has no category names.
    """
    column = to_plain(column)
    kind = column.type
    if not (is_text(kind) or is_number(kind) or is_time(kind) or is_simple(kind)):
        raise DataError(f"{place(0)}, column {quote(name)}: is of type {kind}; text is needed")
    if is_time(kind):
        column = time_texts(column)
    elif pa.types.is_float16(kind):
        column = column.cast(pa.float32())
    encoded = column.dictionary_encode()
    require_short(encoded, name, place)
    if pa.types.is_floating(kind):
        found = [name_of_float(x) for x in encoded.dictionary.to_numpy(zero_copy_only=False)]
    else:
        found = [canonical_name(value) for value in encoded.dictionary.to_pylist()]
    codes = pc.fill_null(encoded.indices, len(found)).to_numpy(zero_copy_only=False)
    return codes, [*found, None]


def require_short(encoded: pa.DictionaryArray, name: str, place: Place) -> None:
    """Check that the texts of a column are short enough to be names.

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
            f"{place(row)}, column {quote(name)}: a text of {longest} bytes; the name of a "
            f"category or class has at most {MOST_NAME_BYTES}, so name the column in `ignore`"
        )


def _refuse_value(where: str, text: str, name: str) -> NoReturn:
    _refuse(where, f"{quote(text)} is not a number", kind_of_text(text), name)


def kind_of_text(text: str) -> str:
    """Return the kind of column that a non-numeric text suggests."""
    return "date" if DATE.fullmatch(text) else "category"


def _refuse_time(column: pa.Array, name: str, place: Place) -> None:
    if column.null_count < len(column):
        row = int(column.is_null().to_numpy(zero_copy_only=False).argmin())
        text = time_texts(column)[row]
        _refuse(place(row), f"{text} is a date, not a number", "date", name)


def _refuse(where: str, problem: str, kind: str, name: str) -> NoReturn:
    raise rule_error(
        f"{where}, column {quote(name)}: {problem}",
        name,
        f"kind: {kind}",
        "declare it by {}, or name it in `ignore`",
    )
