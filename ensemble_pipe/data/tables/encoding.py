"""Encoding of table blocks as features, by the fitted columns and scaling."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import list_names, quote
from ensemble_pipe.data.sources.paths import require_columns
from ensemble_pipe.data.sources.rows import Place
from ensemble_pipe.data.sources.text_columns import MISSING
from ensemble_pipe.data.tables import cells, dates
from ensemble_pipe.data.tables.categories import normalize
from ensemble_pipe.data.tables.columns import rule_error
from ensemble_pipe.data.tables.date_parts import part_features
from ensemble_pipe.data.tables.features import CategoryColumn, Column, FeatureLayout, NumberColumn
from ensemble_pipe.data.tables.missing import Missing
from ensemble_pipe.data.tables.name_counts import hash_name
from ensemble_pipe.data.tables.scaling import Scaling
from ensemble_pipe.data.tables.strays import Strays, drop_strays

LARGEST = float(np.finfo(np.float32).max)


def read_numbers(
    block: pa.RecordBatch,
    columns: Sequence[NumberColumn],
    place: Place,
    missing: Missing,
    strays: Strays | None = None,
) -> Floats:
    """Return the numbers of a block as (C, n) float64, each column less its offset.

    NaN is an allowed missing value; `strays` counts what is none, but counts as one.

    Raises:
        DataError: a value is missing without a rule for it, infinite, or no number.
    """
    rows = block.num_rows
    # Rows of a length that is no power of two, or the columns would share the cache's lines.
    matrix = np.empty((len(columns), rows + 24))[:, :rows]
    for out, column in zip(matrix, columns, strict=True):
        values = block.column(column.name)
        if column.strays:
            values = drop_strays(values, column.name, column.kind, place, missing, strays)
        read = cells.numbers if column.kind == "number" else dates.seconds
        out[:] = read(values, column.name, place, missing, column.offset)
    with np.errstate(invalid="ignore"):
        low, high = matrix.min(axis=1, initial=0.0), matrix.max(axis=1, initial=0.0)
    usable = (low >= -LARGEST) & (high <= LARGEST)  # neither NaN nor infinity is
    for index in np.flatnonzero(~usable).tolist():
        _check(matrix[index], columns[index], place)
    return matrix


def _check(values: Floats, column: NumberColumn, place: Place) -> None:
    missing = np.isnan(values)
    bad = ~(missing | (np.abs(values) <= LARGEST))
    if column.fill is None:
        bad |= missing
    if not bad.any():
        return
    row = int(bad.argmax())
    if missing[row]:
        kind = "kind: date, " if column.kind == "date" else ""
        raise _missing(place(row), column.name, f"{kind}missing: mean", "median or a number")
    number = values[row] + column.offset
    value = "infinity" if np.isinf(number) else f"{number:g}, too large for float32"
    raise DataError(
        f"{place(row)}, column {quote(column.name)}: {value}; every feature must be a finite "
        "number, so remove or mend such rows"
    )


def read_categories(
    block: pa.RecordBatch,
    column: CategoryColumn,
    place: Place,
    missing: Missing,
    strays: Strays | None = None,
) -> Integers:
    """Return the category numbers (n,) of a block, from 0 on; -1 is an unseen category.

    `strays` counts the unseen ones.

    Raises:
        DataError: a value is missing, or unseen, without a rule for it.
    """
    codes, written = cells.names(block.column(column.name), column.name, place)
    names = [_category(name, column, missing) for name in written]
    find = _bucket_of(column) if column.buckets else column.numbers.get
    found: Integers = np.array([find(name, -1) for name in names])[codes]
    require_categories(codes, names, column, place)
    if column.unseen == "error" and (found < 0).any():
        row = int((found < 0).argmax())
        name = names[codes[row]]
        categories = list_names([known or "missing" for known in column.categories])
        raise rule_error(
            f"{place(row)}, column {quote(column.name)}: "
            f"{'a missing value' if name is None else quote(name)} is no category of the training "
            f"part, which has: {categories}",
            column.name,
            "kind: category, unseen: ignore",
            "{} takes it as none of them",
        )
    if strays is not None:
        strays.add_unseen(column.name, names, codes, found, place)
    return found


def _bucket_of(column: CategoryColumn) -> Callable[[str | None, int], int]:
    """Return the function that numbers hashed names; the missing value follows the buckets."""
    known = column.numbers

    def find(name: str | None, absent: int) -> int:
        if name is not None:
            return hash_name(name) % column.buckets
        place = known.get(name, -1)
        return absent if place < 0 else column.buckets + place

    return find


def _category(written: str | None, column: CategoryColumn, missing: Missing) -> str | None:
    """Return the column's name of a category; None where it means a missing value."""
    if written in column.numbers and written not in missing.names:
        return written
    name = normalize(written)
    if name in missing.names:
        return None
    return None if name in MISSING and column.is_of_numbers else name


def require_categories(
    codes: Integers, names: Sequence[str | None], column: CategoryColumn, place: Place
) -> None:
    """Check that no value is missing without a rule for it.

    Raises:
        DataError: names the first such row.
    """
    missing = np.array([name is None for name in names])[codes]
    if column.fill is None and missing.any():
        rule = "kind: category, missing: category"
        raise _missing(place(int(missing.argmax())), column.name, rule, "most_frequent")


def _missing(where: str, name: str, rule: str, others: str) -> DataError:
    return rule_error(
        f"{where}, column {quote(name)}: a missing value or NaN",
        name,
        rule,
        f"say what stands for it, such as {{}} ({others} will do too), or remove such rows",
    )


def require_block(block: pa.RecordBatch, wanted: Sequence[str], place: Place) -> None:
    """Check that a block has all required columns, each once.

    Raises:
        DataError: names the column.
    """
    names = block.schema.names
    if len(set(names)) < len(names) or not set(wanted) <= set(names):
        where = place(0) if block.num_rows else "the data"
        require_columns(where, wanted, names)


def encode(
    block: pa.RecordBatch,
    columns: Sequence[Column],
    scaling: Scaling,
    plan: FeatureLayout,
    place: Place,
    missing: Missing,
    strays: Strays | None = None,
) -> Array:
    """Return the features (n, D) float32 of the rows of a block.

    Raises:
        DataError: a column or a value violates the rules.
    """
    require_block(block, [column.name for column in columns], place)
    numbers = [column for column in columns if isinstance(column, NumberColumn)]
    matrix = read_numbers(block, numbers, place, missing, strays)
    out = np.zeros((block.num_rows, len(plan.names)), np.float32)
    for values, number in zip(matrix, numbers, strict=True):
        _put_further(out, plan.starts[number.name], number, values)
    fill_missing(matrix, numbers)
    for column in columns:
        if isinstance(column, CategoryColumn):
            _put_categories(
                out,
                plan.starts[column.name],
                column,
                read_categories(block, column, place, missing, strays),
            )
    _put_numbers(out, scaling.apply(matrix), plan, place)
    return out


def fill_missing(matrix: Floats, columns: Sequence[NumberColumn]) -> None:
    """Fill the missing values of (C, n) in place."""
    for values, column in zip(matrix, columns, strict=True):
        if column.fill is not None:
            values[np.isnan(values)] = column.fill


def _put_further(out: Array, start: int, column: NumberColumn, values: Floats) -> None:
    """Write what follows a number: its indicator, its frequent values, the parts of a date."""
    if column.indicator:
        out[:, start] = np.isnan(values)
        start += 1
    if column.values:
        known, near = np.array(column.values, np.float32), values.astype(np.float32)
        places = np.searchsorted(known, near).clip(max=len(known) - 1)
        rows = np.flatnonzero(known[places] == near)
        out[rows, start + places[rows]] = 1.0
    if column.parts:
        found = part_features(values + column.offset, column.parts)
        out[:, start : start + found.shape[1]] = found


def _put_categories(out: Array, start: int, column: CategoryColumn, found: Integers) -> None:
    if column.encode == "code":
        out[:, start] = found + 1
    else:
        rows = np.flatnonzero(found >= 0)
        out[rows, start + found[rows]] = 1.0


def _put_numbers(out: Array, scaled: Floats, plan: FeatureLayout, place: Place) -> None:
    """Write scaled numbers (K, n) to their places in `out` (n, D)."""
    places = plan.numbers
    if len(places) == 0:
        return
    run = int(places[-1] - places[0]) == len(places) - 1
    target = slice(int(places[0]), int(places[-1]) + 1) if run else places
    try:
        with np.errstate(over="raise"):
            out[:, target] = scaled.T
    except FloatingPointError:
        row, index = np.argwhere(~(np.abs(scaled.T) <= LARGEST))[0].tolist()
        raise DataError(
            f"{place(row)}: {quote(plan.names[places[index]])} is {scaled[index, row]:g} once "
            "scaled, too large for float32; it lies too far from the training part"
        ) from None
