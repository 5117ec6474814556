"""Reading of the columns beside the features: labels, row weights, test marks, groups, times."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.arrow import dtype_of, numbers_of
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import quote
from ensemble_pipe.data.sources.paths import require_columns
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.tables import cells, dates
from ensemble_pipe.data.tables.arrow_types import doubles, is_number, is_text, to_plain
from ensemble_pipe.data.tables.class_names import as_numbers, find_missing_name, without_blanks
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.missing import NO_TEXTS, Missing
from ensemble_pipe.data.tables.targets import MOST_CLASSES, Targets, number_parts


def read_targets(rows: Rows, roles: Roles, classes: tuple[int | str, ...] = ()) -> Targets:
    """Return the labels (R,): numbers of the source's type, or text; true and false are 1 and 0.

    Labels that a file without types has as text, which `Rows.as_written` asks for, are numbers
    where `class_names.as_numbers` says so. Where several columns are labels, they are numbers
    (R, D) float64.

    Args:
        rows: of the source.
        roles: of its columns.
        classes: of a trained model, among which the labels are found; where they are text, labels
            stay text too.

    Raises:
        DataError: there is no label column, or a label is missing, or of another type.
    """
    names = roles.labels
    if not names:
        raise DataError(f"{rows.where}: has no labels")
    if len(names) == 1:
        return _read_labels(rows, names[0], roles.missing, classes)
    values = np.empty((rows.count, len(names)))
    for name, column in zip(names, values.T, strict=True):
        labels = _read_labels(rows, name, roles.missing, classes)
        for part, numbers in number_parts(labels, rows.cells(name)):
            column[part] = numbers
    return Targets(values)


def _read_labels(
    rows: Rows, name: str, missing: Missing, classes: tuple[int | str, ...]
) -> Targets:
    require_columns(rows.where, [name], rows.schema.names)
    kind = to_plain(pa.nulls(0, rows.schema.field(name).type)).type
    named = any(isinstance(one, str) for one in classes)
    if is_text(kind):
        texts = _read_texts(rows, name, missing)
        return texts if named or name not in rows.written else _untyped(rows, name, texts)
    own = _number_type(kind)
    if own is None and rows.count:
        raise DataError(
            f"{rows.where}: label {quote(name)} is of type {kind}; labels are numbers, text in "
            "UTF-8, or true and false"
        )
    found = _read_numbers(rows, name, missing, own or pa.int64())
    if named and pa.types.is_boolean(kind):
        either = ("False", "True")
        lower = tuple(text.lower() for text in either)
        return Targets(found.astype(np.int32), either if set(either) & set(classes) else lower)
    return Targets(found)


def _untyped(rows: Rows, name: str, texts: Targets) -> Targets:
    """Return the labels of a file without types as numbers, if they are numbers."""
    assert texts.names is not None
    names = without_blanks(texts.names)
    absent = find_missing_name(names)
    if absent is not None:
        lacking = texts.values == names.index(absent)
        raise _missing(rows, name, "label", int(lacking.argmax()), int(lacking.sum()))
    numbers = as_numbers(names)
    return _sorted(texts.values, names) if numbers is None else Targets(numbers[texts.values])


def _number_type(kind: pa.DataType) -> pa.DataType | None:
    """Return the type that labels of an Arrow type are held in; None where they are no numbers."""
    if pa.types.is_boolean(kind):
        return pa.uint8()
    if pa.types.is_float16(kind):  # which few functions of Arrow take
        return pa.float32()
    if pa.types.is_decimal(kind):
        return pa.float64()
    return kind if is_number(kind) else None


def _read_numbers(rows: Rows, name: str, missing: Missing, kind: pa.DataType) -> Array:
    values = np.empty(rows.count, dtype_of(kind))
    for first, column in _blocks(rows, name, "label", missing):
        is_exact = pa.types.is_decimal(column.type)
        block = numbers_of(doubles(column) if is_exact else column.cast(kind))
        _require_int64(rows, name, block, first)
        values[first : first + len(block)] = block
    return values


def _read_texts(rows: Rows, name: str, missing: Missing) -> Targets:
    """Number the texts in order of occurrence, then sort them."""
    places = np.empty(rows.count, np.int32)
    numbers: dict[str, int] = {}
    for first, column in _blocks(rows, name, "label", missing):
        encoded = column.dictionary_encode()
        cells.require_short(encoded, name, rows.place_from(first))
        texts = encoded.dictionary.to_pylist()
        own = np.array([numbers.setdefault(text, len(numbers)) for text in texts], np.int32)
        places[first : first + len(column)] = own[encoded.indices.to_numpy()]
        if len(numbers) > MOST_CLASSES:
            raise DataError(
                f"{rows.where}: label {quote(name)} has more than {MOST_CLASSES} values; labels "
                "of text are names of classes; for a numeric target set `task: regression`"
            )
    return _sorted(places, list(numbers))


def _sorted(places: Integers, found: list[str]) -> Targets:
    """Sort the names, and renumber the labels accordingly."""
    names = sorted(found)
    order = np.empty(len(names), np.int32)
    order[sorted(range(len(found)), key=found.__getitem__)] = np.arange(len(names))
    targets = Targets(places, tuple(names))
    for part in targets.parts():
        places[part] = order[places[part]]
    return targets


def read_weights(rows: Rows, name: str, missing: Missing = NO_TEXTS) -> Floats:
    """Return the weight of each row (R,) float64.

    Raises:
        DataError: a weight is missing, negative, infinite or no number, or all are zero.
    """
    require_columns(rows.where, [name], rows.schema.names)
    values = np.empty(rows.count)
    for first, column in _blocks(rows, name, "weight", missing):
        if not (is_number(column.type) or pa.types.is_boolean(column.type)):
            raise DataError(
                f"{rows.where}: weight {quote(name)} is of type {column.type}, not of numbers"
            )
        part = values[first : first + len(column)]
        part[:] = cells.numbers(column, name, rows.place_from(first))
        good = np.isfinite(part) & (part >= 0)
        if not good.all():
            row = int(good.argmin())
            raise DataError(
                f"{rows.cells(name)(first + row)}: the weight is {part[row]:g}; weights are "
                "finite numbers from 0 on"
            )
    if not values.any():
        raise DataError(f"{rows.where}: every weight in {quote(name)} is 0")
    return values


def read_marks(rows: Rows, name: str, missing: Missing = NO_TEXTS) -> Array:
    """Return which rows (R,) are of the official test part, bool.

    Raises:
        DataError: a mark is missing, or neither true, false, 1 nor 0.
    """
    require_columns(rows.where, [name], rows.schema.names)
    marks = np.empty(rows.count, bool)
    for first, column in _blocks(rows, name, "mark of the test part", missing):
        if not (is_number(column.type) or pa.types.is_boolean(column.type)):
            raise DataError(
                f"{rows.where}: test_where {quote(name)} is of type {column.type}; it marks rows "
                "by true and false, or by 1 and 0"
            )
        values = cells.numbers(column, name, rows.place_from(first))
        good = (values == 0) | (values == 1)
        if not good.all():
            row = int(good.argmin())
            raise DataError(
                f"{rows.cells(name)(first + row)}: {values[row]:g} marks no row of the test part; "
                "1 (true) is in it, 0 (false) is not"
            )
        marks[first : first + len(column)] = values == 1
    return marks


def read_groups(
    rows: Rows, name: str, missing: Missing = NO_TEXTS, role: str = "group"
) -> tuple[Integers, pa.Array]:
    """Return the number of the group of each row (R,) int64, and the names of the groups.

    Raises:
        DataError: a group is missing, or its values cannot be compared; calls it by its `role`.
    """
    column = _read(rows, name, role, missing)
    if is_text(column.type):
        column = pc.ascii_trim_whitespace(column)
    try:
        encoded = pa.concat_arrays(column.chunks).dictionary_encode()
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        raise DataError(
            f"{rows.where}: {role} {quote(name)} is of type {column.type}; text or numbers "
            "are needed"
        ) from None
    groups, names = encoded.indices.to_numpy().astype(np.int64), encoded.dictionary
    absent = find_missing_name(names.to_pylist()) if name in rows.written else None
    if absent is not None:
        lacking = groups == names.index(absent).as_py()
        raise _missing(rows, name, role, int(lacking.argmax()), int(lacking.sum()))
    return groups, names


def read_times(rows: Rows, name: str, missing: Missing = NO_TEXTS) -> Array:
    """Return the time of each row (R,): numbers unchanged, or datetime64.

    Raises:
        DataError: a time is missing, or no number, date or ISO 8601 text.
    """
    column = _read(rows, name, "time", missing)
    if is_number(column.type):
        values = cells.numbers(column.combine_chunks(), name, rows.place)
        if not np.isfinite(values).all():
            row = int(np.isfinite(values).argmin())
            raise DataError(f"{rows.cells(name)(row)}: the time is {values[row]}")
        return values
    whole = column.combine_chunks()
    if len(missing.seconds):
        absent = np.isnan(dates.seconds(whole, name, rows.place, missing))
        if absent.any():
            raise _missing(rows, name, "time", int(absent.argmax()), int(absent.sum()))
    ticks, per_second = dates.ticks(whole, name, rows.place)
    unit = {1: "s", 10**3: "ms", 10**6: "us", 10**9: "ns"}[per_second]
    return np.asarray(ticks.to_numpy()).view(f"datetime64[{unit}]")


def _read(rows: Rows, name: str, role: str, missing: Missing) -> pa.ChunkedArray:
    """Return a whole column, none of whose values is missing."""
    require_columns(rows.where, [name], rows.schema.names)
    chunks = [column for _, column in _blocks(rows, name, role, missing)]
    kind = rows.schema.field(name).type
    return pa.chunked_array(chunks) if chunks else pa.chunked_array([], kind)


def _blocks(rows: Rows, name: str, role: str, missing: Missing) -> Iterator[tuple[int, pa.Array]]:
    """Yield a column block by block; no value is missing (null, NaN or empty text)."""
    for first, block in rows.blocks([name]):
        column = to_plain(block.column(name))
        absent = missing.mask(column)
        if absent.any():
            masks = (missing.mask(to_plain(one.column(name))) for _, one in rows.blocks([name]))
            count = sum(int(mask.sum()) for mask in masks)
            raise _missing(rows, name, role, first + int(absent.argmax()), count)
        yield first, column


def _missing(rows: Rows, name: str, role: str, row: int, count: int) -> DataError:
    where, share = rows.cells(name)(row), f"{count:,} of {rows.count:,} rows"
    return DataError(f"{where}: the {role} is missing, as in {share}; remove such rows")


def _require_int64(rows: Rows, name: str, values: Array, first: int) -> None:
    if values.dtype == np.uint64 and (large := values > np.iinfo(np.int64).max).any():
        row = int(large.argmax())
        raise DataError(
            f"{rows.cells(name)(first + row)}: {values[row]} is too large for a 64-bit integer"
        )
