"""Classification of Arrow types: text, numbers, times."""

import pyarrow as pa

from ensemble_pipe.core.arrays import Array


def to_plain(column: pa.Array) -> pa.Array:
    """Return a column as a plain type, without dictionary or extension.

    Times of day and durations are text, as a file without types has them.
    """
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_string_view(kind):
        return column.cast(pa.string())
    if pa.types.is_decimal32(kind) or pa.types.is_decimal64(kind):
        return column.cast(pa.decimal128(kind.precision, kind.scale))
    if pa.types.is_time(kind):
        return column.cast(pa.string())
    return _duration_texts(column) if pa.types.is_duration(kind) else column


def _duration_texts(durations: pa.Array) -> pa.Array:
    """Return durations as the text that pandas writes, such as 1 days 02:03:04.500000."""
    encoded = durations.dictionary_encode()
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[durations.type.unit]
    ticks = encoded.dictionary.cast(pa.int64()).to_pylist()
    texts = pa.array([_duration_text(tick, per_second) for tick in ticks], pa.string())
    return texts.take(encoded.indices)


def _duration_text(ticks: int, per_second: int) -> str:
    days, rest = divmod(ticks, 86_400 * per_second)
    seconds, part = divmod(rest, per_second)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    fraction = f".{part * (10**9 // per_second):09}" if part else ""
    return f"{days} days {'+' if days < 0 else ''}{clock}{fraction}"


def plain_numbers(column: pa.Array) -> Array:
    """Return a plain column of numbers as floats or integers of its own type; NaN is null.

    Integers with nulls, and decimals, are float64.
    """
    if pa.types.is_decimal(column.type):
        column = doubles(column)
    values: Array = column.to_numpy(zero_copy_only=False)
    return values


def doubles(decimals: pa.Array) -> pa.Array:
    """Return decimals as the nearest float64, as text is read; Arrow's own cast may miss it."""
    return decimals.cast(pa.string()).cast(pa.float64())


def is_text(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_date(kind) or pa.types.is_timestamp(kind))


def is_simple(kind: pa.DataType) -> bool:
    return bool(pa.types.is_boolean(kind) or pa.types.is_null(kind))
