"""Conversion of dates and times to seconds since 1970, and to text."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import quote
from ensemble_pipe.data.sources.rows import Place
from ensemble_pipe.data.tables.arrow_types import is_number, is_text, to_plain
from ensemble_pipe.data.tables.categories import DATE
from ensemble_pipe.data.tables.columns import rule_error
from ensemble_pipe.data.tables.differences import of_integers
from ensemble_pipe.data.tables.missing import NO_TEXTS, Missing

_ZONE = r"[T ].*(Z|[+-]\d\d(:?\d\d)?)$"


def seconds(
    column: pa.Array, name: str, place: Place, missing: Missing = NO_TEXTS, offset: float = 0.0
) -> Floats:
    """Return a column of dates or times as (n,) float64 seconds since 1970, NaN where missing.

    Where there is an offset, of whole seconds, it is subtracted before anything is rounded.

    Raises:
        DataError: the column has numbers, or text that is no date.
    """
    column = to_plain(column)
    if is_number(column.type):
        absent = missing.mask(column)
        if absent.all():
            return np.full(len(column), np.nan)
        row = int(absent.argmin())
        raise rule_error(
            f"{place(row)}, column {quote(name)}: {column[row].as_py()} is a number, not a date; "
            "dates are such as 2026-02-28",
            name,
            "kind: number",
            "convert it, or write {}",
        )
    instants, per_second = ticks(column, name, place, missing)
    absent = instants.is_null().to_numpy(zero_copy_only=False)
    counts = pc.fill_null(instants, 0).to_numpy()
    nanoseconds = counts % per_second * (10**9 // per_second)
    if is_text(column.type):
        nanoseconds += _beyond_microseconds(column)
    # Separately, so that a time has the same bits in any unit.
    whole, part = counts // per_second, nanoseconds / 10**9
    found = missing.in_seconds(np.where(absent, np.nan, whole + part))
    if not offset:
        return found
    return np.where(np.isnan(found), np.nan, of_integers(whole, int(offset)) + part)


def ticks(
    column: pa.Array, name: str, place: Place, missing: Missing = NO_TEXTS
) -> tuple[pa.Array, int]:
    """Return a column of dates or times as int64 ticks since 1970, and the ticks per second.

    Raises:
        DataError: the column is of another type, or has text that is no date.
    """
    column = to_plain(column)
    if pa.types.is_null(column.type):
        return column.cast(pa.int64()), 1
    if is_text(column.type):
        column = _parse(missing.null_missing(column, usual=True), name, place)
    elif pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    if not pa.types.is_timestamp(column.type):
        raise DataError(
            f"{place(0)}, column {quote(name)}: is of type {column.type}; dates or times are needed"
        )
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
    return column.cast(pa.int64()), per_second


def _parse(column: pa.Array, name: str, place: Place) -> pa.Array:
    """Read ISO 8601 text, to the microsecond."""
    text = _to_microseconds(column)
    try:
        return _as_timestamps(text)
    except pa.ArrowInvalid:
        row = next(row for row, value in enumerate(text) if not _is_date(value))
        raise DataError(
            f"{place(row)}, column {quote(name)}: {quote(column[row].as_py())} is not a date; "
            "dates are ISO 8601, such as 2026-02-28 or 2026-02-28T12:30:00"
        ) from None


def _to_microseconds(texts: pa.Array) -> pa.Array:
    """Return texts of dates without the digits behind their microseconds."""
    return pc.replace_substring_regex(texts, r"(\.\d{6})\d+", r"\1")


def _as_timestamps(texts: pa.Array) -> pa.Array:
    """Return texts of dates as timestamps; raise ArrowInvalid where one is none."""
    zoned = pc.match_substring_regex(texts, _ZONE)
    none = pa.scalar(None, texts.type)
    far = pc.if_else(zoned, texts, none).cast(pa.timestamp("us", "UTC"))
    near = pc.if_else(zoned, none, texts).cast(pa.timestamp("us"))
    return pc.coalesce(far.cast(pa.timestamp("us")), near)


def _beyond_microseconds(column: pa.Array) -> Integers:
    """Return the nanoseconds (n,) that follow the microseconds in ISO 8601 text."""
    digits = pc.extract_regex(column, r"\.\d{6}(?P<last>\d{1,3})").field("last")
    padded = pc.utf8_rpad(pc.fill_null(digits, "0"), 3, "0")
    found: Integers = padded.cast(pa.int64()).to_numpy()
    return found


def are_dates(texts: pa.Array) -> pa.BooleanArray:
    """Return for trimmed texts, none missing, whether each is read as a date."""
    alike = look_like_dates(texts)
    found = _to_microseconds(pc.if_else(alike, texts, pa.scalar(None, texts.type)))
    try:
        _as_timestamps(found)
    except pa.ArrowInvalid:
        return pa.array([text.is_valid and _is_date(text) for text in found], pa.bool_())
    return alike


def look_like_dates(texts: pa.Array) -> pa.BooleanArray:
    """Return whether each text begins as a date in ISO 8601 does, be it one or not."""
    return pc.match_substring_regex(texts, rf"^{DATE.pattern}$")


def _is_date(value: pa.Scalar) -> bool:
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            value.cast(kind)
        except pa.ArrowInvalid:
            continue
        return True
    return False


def time_texts(column: pa.Array) -> pa.Array:
    """Return dates or times as text, those of a zone in UTC."""
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp(column.type.unit))
    return column.cast(pa.string())
