"""Classification of Arrow types: text, numbers, times."""

import pyarrow as pa

from ensemble_pipe.core.arrays import Array


def to_plain(column: pa.Array) -> pa.Array:
    """Return a column as a plain type, without dictionary or extension."""
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
