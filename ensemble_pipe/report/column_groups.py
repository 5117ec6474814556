"""Groups of test rows by the values of a column: categories, and ranges of numbers and dates."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.tables.features import CategoryColumn
from ensemble_pipe.report.rows import (
    MISSING,
    UNKNOWN,
    column_numbers,
    column_values,
    number_of,
    number_text_of,
)

RANGES = 6  # of equally many rows, of a column of numbers
_FREQUENT = 0.25  # a number of such a share of the rows is a group of its own
_MOST_CATEGORIES = 100  # of a column, the most frequent ones


class Values(NamedTuple):
    """Rows that have a value of a column, or one of a range of values.

    Attributes:
        name: such as "sex = Female", or "age 44 to 52".
        places: of these rows.
    """

    name: str
    places: Integers


def groups_by_column(schema: Schema, name: str, stored: Array) -> list[Values]:
    """Return groups of rows by the values of a column.

    Args:
        schema: of the data.
        name: of one of `shown_columns`.
        stored: (n, D) encoded rows.
    """
    column = schema.columns[schema.feature_names.index(name)]
    if isinstance(column, CategoryColumn) and not _are_numbers(column):
        return _by_category(name, np.array(column_values(schema, name, stored)))
    return list(_by_number(schema, name, column_numbers(schema, name, stored)))


def _are_numbers(column: CategoryColumn) -> bool:
    names = [name for name in column.categories if name]
    return bool(names) and not np.isnan([number_of(name) for name in names]).any()


def _by_category(name: str, values: Array) -> list[Values]:
    names, numbers, counts = np.unique(values, return_inverse=True, return_counts=True)
    most = np.argsort(-counts, kind="stable")[:_MOST_CATEGORIES].tolist()
    return [Values(f"{name} = {names[one]}", np.flatnonzero(numbers == one)) for one in most]


def _by_number(schema: Schema, name: str, values: Floats) -> Iterator[Values]:
    """Yield frequent numbers, ranges of the others, and what is missing."""
    missing = np.isnan(values)
    column = schema.columns[schema.feature_names.index(name)]
    without = f"{MISSING} or {UNKNOWN}" if isinstance(column, CategoryColumn) else MISSING
    yield Values(f"{name} = {without}", np.flatnonzero(missing))
    known, counts = np.unique(values[~missing], return_counts=True)
    frequent = known if len(known) <= RANGES else known[counts > _FREQUENT * len(values)]
    for number in frequent.tolist():
        text = number_text_of(schema, name, number)
        yield Values(f"{name} = {text}", np.flatnonzero(values == number))
    others = np.flatnonzero(~missing & ~np.isin(values, frequent))
    yield from _ranges(schema, name, values, others)


def _ranges(schema: Schema, name: str, values: Floats, places: Integers) -> Iterator[Values]:
    """Yield ranges of about equally many of some rows, each by its own least and largest."""
    if not len(places):
        return
    own = values[places]
    ends = np.unique(np.quantile(own, np.linspace(0, 1, RANGES + 1), method="inverted_cdf"))
    number = np.searchsorted(ends[1:-1], own, side="left")
    for place in np.unique(number).tolist():
        inside = own[number == place]
        low, high = (
            number_text_of(schema, name, float(end)) for end in (inside.min(), inside.max())
        )
        text = f"{name} = {low}" if low == high else f"{name} {low} to {high}"
        yield Values(text, places[number == place])
