"""Encoded rows as trees take them: one column for each source column, with categories as codes.

A network wants a category as several features, and a number for what is missing. A tree divides a
category's values into two sets at once, and learns on which side missing values go, so it sees a
row as the table has it. Everything is read back from the encoded row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.data.tables.date_parts import part_names
from ensemble_pipe.data.tables.features import (
    CategoryColumn,
    Column,
    FeatureLayout,
    NumberColumn,
)

# Of more categories that are numbers trees see the order, which sets of them would only guess.
MOST_UNORDERED = 32


@dataclass(frozen=True)
class CategoryPlace:
    """Where a category stands in an encoded row.

    Attributes:
        start: its only feature, a code from 1 on and 0 for the unknown; or the first of `count`
            features of 0 or 1.
        count: of the categories.
        is_code: which of the two it is.
    """

    start: int
    count: int
    is_code: bool


@dataclass(frozen=True)
class SourceView:
    """Where the columns that trees see stand in an encoded row (D,), in the order in which they do.

    Attributes:
        categories: of the columns of categories.
        ordered: of columns of many categories that are all numbers: their order is seen.
        numbers: places of the numbers (or of all features where the data is no table).
        indicators: for each number the place of its missing-indicator, or -1.
    """

    categories: tuple[CategoryPlace, ...]
    numbers: tuple[int, ...]
    indicators: tuple[int, ...]
    ordered: tuple[CategoryPlace, ...] = ()

    @property
    def width(self) -> int:
        """C, the number of columns."""
        return len(self.categories) + len(self.ordered) + len(self.numbers)

    def read(self, encoded: Floats) -> Floats:
        """Return (R, C) float32 of encoded rows (R, D); NaN is missing, or an unknown category.

        Categories are numbered from 0 on, in the order of the schema.
        """
        out = np.empty((len(encoded), self.width), np.float32)
        for index, place in enumerate((*self.categories, *self.ordered)):
            out[:, index] = _codes(encoded, place)
        first = len(self.categories) + len(self.ordered)
        out[:, first:] = encoded[:, self._numbers]
        for index, indicator in enumerate(self.indicators):
            if indicator >= 0:
                out[encoded[:, indicator] > 0, first + index] = np.nan
        return out

    @cached_property
    def _numbers(self) -> Integers:
        return np.array(self.numbers, np.int64)


def _codes(encoded: Floats, place: CategoryPlace) -> Floats:
    """Return the categories (R,) of rows; NaN where a row has none of them."""
    if place.is_code:
        codes: Floats = encoded[:, place.start] - 1
        return np.where(codes < 0, np.nan, codes)
    features = encoded[:, place.start : place.start + place.count]
    known: Array = features.max(axis=1, initial=0) > 0
    found = features.argmax(axis=1) if place.count else np.zeros(len(encoded))
    return np.where(known, found, np.nan).astype(np.float32)


def view_columns(
    columns: Sequence[Column], layout: FeatureLayout, width: int, *, mixed: bool = False
) -> SourceView:
    """Return the view of rows of a table; where there are no columns, of D = `width` numbers.

    Args:
        columns: of the table, fitted.
        layout: of their features.
        width: D.
        mixed: whether the numbers are mixtures of columns (PCA, ZCA). These are taken as they are,
            beside the indicators.
    """
    if not columns:
        return SourceView((), tuple(range(width)), (-1,) * width)
    categories, ordered = list[CategoryPlace](), list[CategoryPlace]()
    for column in columns:
        if isinstance(column, CategoryColumn):
            count = column.code_count - 1
            kind = ordered if column.is_of_numbers and count > MOST_UNORDERED else categories
            start = layout.starts[column.name]
            kind.append(CategoryPlace(start, count, column.encode == "code"))
    own = [column for column in columns if isinstance(column, NumberColumn)]
    numbers = layout.numbers.tolist()
    indicators = [layout.starts[c.name] if c.indicator else -1 for c in own]
    if mixed:
        numbers += [place for place in indicators if place >= 0]
        indicators = [-1] * len(numbers)
    for number in own:
        parts = _part_places(number, layout)
        numbers += parts
        indicators += [-1] * len(parts)
    return SourceView(tuple(categories), tuple(numbers), tuple(indicators), tuple(ordered))


def _part_places(column: NumberColumn, layout: FeatureLayout) -> list[int]:
    """Return the places of the parts of a date, which follow all else of its column.

    Features of single values are left out, and those round a circle: a tree needs the order alone.
    """
    first = layout.starts[column.name] + int(column.indicator) + len(column.values)
    names = part_names(column.parts)
    return [first + place for place, name in enumerate(names) if name in column.parts]
