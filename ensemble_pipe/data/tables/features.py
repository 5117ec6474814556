"""Fitted columns of a table, and the layout of their features in an encoded row."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from ensemble_pipe.core.arrays import Integers
from ensemble_pipe.data.tables.categories import are_numbers, name_of_float, normalize
from ensemble_pipe.data.tables.date_parts import DatePart, part_names
from ensemble_pipe.data.tables.scaling import Scaling
from ensemble_pipe.data.tables.spans import Span

# Length of the vector of a category, as in RealMLP (Holzmueller et al. 2024, "Better by default").
VECTOR = 8


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers, or of dates as seconds since 1970.

    Attributes:
        fill: what stands for a missing value; None where there must be none.
        indicator: whether a further feature is 1 where values were missing.
        offset: subtracted exactly from each value when it is read; `fill` and `values` are
            relative to it. It is not 0 where the training values lie close together for their size.
        values: frequent values, ascending, each of which has a feature that is 1 where a number is
            this one, to the precision of float32.
        parts: of a date, that are features too.
        strays: whether what is no number, or no date, counts as a missing value, as in columns
            without a rule.
    """

    name: str
    kind: Literal["number", "date"]
    fill: float | None
    indicator: bool
    offset: float = 0.0
    values: tuple[float, ...] = ()
    parts: tuple[DatePart, ...] = ()
    strays: bool = False


@dataclass(frozen=True)
class CategoryColumn:
    """A column of categories.

    Attributes:
        categories: of the training part, in the order of their features or codes; "" is the
            missing value.
        fill: the category that stands for a missing value; None where there must be none.
        unseen, encode: as in the column's rule.
        vector: length of the learned vector that stands for a code in every network; None where
            only a network's own embedding reads the codes.
        buckets: where there are too many categories, the number of codes that the hashes of their
            names are divided among; `categories` then has the missing value at most. Else 0.
    """

    name: str
    kind: Literal["category"]
    categories: tuple[str, ...]
    fill: str | None
    unseen: Literal["ignore", "error"]
    encode: Literal["one_hot", "code"]
    vector: int | None = None
    buckets: int = 0

    @property
    def code_count(self) -> int:
        """The number of codes, including 0 for the unknown."""
        return 1 + self.buckets + len(self.categories)

    @cached_property
    def numbers(self) -> dict[str | None, int]:
        """The number of each category, from 0 on.

        Categories of older models may have blanks around them, or dates as their files had them;
        such a name without blanks, or in the one form of a date, is the same category.
        """
        found: dict[str | None, int] = {name: n for n, name in enumerate(self.categories)}
        for n, name in enumerate(self.categories):
            found.setdefault(normalize(name) or name, n)
        return found if self.fill is None else {**found, None: found.get(self.fill, -1)}

    @cached_property
    def is_of_numbers(self) -> bool:
        """Whether the categories are numbers, or true and false: NA and the like are none then."""
        return self.buckets == 0 and are_numbers(self.categories)


Column = NumberColumn | CategoryColumn


@dataclass(frozen=True)
class FeatureLayout:
    """The layout of the features in an encoded row.

    Attributes:
        names: of the D features.
        spans: of the source columns; with mixed numbers, of each of these, then of the rest.
        numbers: places of the K encoded numbers.
        starts: by column, the place of its first category, or of what follows a number: its
            missing-indicator, its frequent values, the parts of a date.
        places: by column, the place of its first feature and the one behind its last, of columns
            that have features of their own.
    """

    names: tuple[str, ...]
    spans: tuple[Span, ...]
    numbers: Integers
    starts: dict[str, int]
    places: dict[str, tuple[int, int]]


def lay_out_features(columns: Sequence[Column], scaling: Scaling) -> FeatureLayout:
    """Lay out the features in column order; mixed numbers come first."""
    names, spans, starts = list[str](), list[Span](), dict[str, int]()
    numbers, places = list[int](), dict[str, tuple[int, int]]()
    moments = list(zip(scaling.means, scaling.deviations, strict=True))
    if scaling.mixes:
        own = [column.name for column in columns if column.kind != "category"]
        mixed = [f"component {n + 1}" for n in range(len(moments))]
        names += mixed if scaling.name == "pca" else own
        numbers += range(len(moments))
        spans += [Span(n, n + 1, "number", *pair) for n, pair in enumerate(moments)]
    for column in columns:
        start, kind = len(names), _span_kind(column)
        pair = (0.0, 1.0)
        if isinstance(column, CategoryColumn):
            starts[column.name] = start
            names += _category_features(column)
        else:
            if scaling.mixes:
                kind = "one_hot"
            else:
                pair = moments[len(numbers)]
                numbers.append(start)
                names.append(column.name)
            starts[column.name] = len(names)
            names += _further_features(column)
        if len(names) > start:
            places[column.name] = start, len(names)
            spans.append(Span(start, len(names), kind, *pair))
    return FeatureLayout(tuple(names), tuple(spans), np.array(numbers, np.int64), starts, places)


def _span_kind(column: Column) -> Literal["number", "one_hot", "code"]:
    return column.encode if isinstance(column, CategoryColumn) else "number"


def _further_features(column: NumberColumn) -> list[str]:
    values = (name_of_float(np.float64(value + column.offset)) for value in column.values)
    return [
        *([f"{column.name} missing"] if column.indicator else []),
        *(f"{column.name}={value}" for value in values),
        *(f"{column.name} {name}" for name in part_names(column.parts)),
    ]


def _category_features(column: CategoryColumn) -> list[str]:
    if column.encode == "code":
        return [column.name]
    return [
        f"{column.name}={name}" if name else f"{column.name} missing" for name in column.categories
    ]
