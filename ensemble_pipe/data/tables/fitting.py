"""Fitting of table columns to the training rows, block by block."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.errors import ConfigError, DataError
from ensemble_pipe.data.sources.paths import require_columns
from ensemble_pipe.data.sources.rows import Place, Rows
from ensemble_pipe.data.tables.column_plans import ColumnPlan
from ensemble_pipe.data.tables.columns import CategoryRule, Roles
from ensemble_pipe.data.tables.counting import CategoryCounts, empty
from ensemble_pipe.data.tables.decisions import ColumnDecision
from ensemble_pipe.data.tables.describing import describe
from ensemble_pipe.data.tables.encoding import LARGEST, fill_missing, read_numbers
from ensemble_pipe.data.tables.features import VECTOR, CategoryColumn, Column, NumberColumn
from ensemble_pipe.data.tables.missing import Missing
from ensemble_pipe.data.tables.moments import ColumnMoments
from ensemble_pipe.data.tables.recognition import recognize
from ensemble_pipe.data.tables.scale_fitting import (
    fit_columns,
    fit_sample,
    sampled_rows,
    whiten,
)
from ensemble_pipe.data.tables.scaling import Pca, Quantile, RobustClip, Scale, Scaling, Zca
from ensemble_pipe.data.tables.texts import require_numbers
from ensemble_pipe.data.tables.training_rows import Train, training_blocks

Plans = Mapping[str, ColumnPlan]


def require_rows(rows: Rows, roles: Roles, train: Train) -> None:
    """Check that there are rows and features.

    Raises:
        DataError: there are none, or a feature is no column.
    """
    if rows.count == 0:
        raise DataError(f"{rows.where}: has no rows")
    if not train.any():
        raise DataError(f"{rows.where}: the training part has no rows")
    if not roles.features:
        raise DataError(f"{rows.where}: has no feature columns")
    require_columns(rows.where, roles.features, rows.schema.names)


@dataclass(frozen=True)
class FittedTable:
    """A table's columns that are learned from, fitted, and what is done to each of its columns.

    The further scalings are fitted to the same numbers as the one that rows are stored in.
    """

    columns: tuple[Column, ...]
    scaling: Scaling
    further: tuple[Scaling, ...]
    decisions: tuple[ColumnDecision, ...]


def fit_table(
    rows: Rows, roles: Roles, train: Train, scale: Scale, further: Sequence[Scale] = ()
) -> FittedTable:
    """Fit the feature columns and the scalings of their numbers to the rows where `train` is true.

    One pass over the features after those of `recognize`; a second one for PCA, ZCA and the scales
    that are fitted to quantiles, and one over narrow columns alone.

    Raises:
        DataError: a value violates its column's rule, in any row that is read, or no column can be
            learned from.
        ConfigError: the scale does not fit the columns.
    """
    require_numbers(rows, roles)
    plans, left_out = recognize(rows, roles, train)
    named = {plan.name: plan for plan in plans}
    fitted, scalings, absent = _fit_plans(rows, named, train, (scale, *further), roles.missing)
    described = [
        describe(column, named[column.name], absent.get(column.name, 0)) for column in fitted
    ]
    decisions = {decision.name: decision for decision in (*described, *left_out)}
    in_order = tuple(decisions[name] for name in roles.features)
    return FittedTable(fitted, scalings[0], scalings[1:], in_order)


def _fit_plans(
    rows: Rows, plans: Plans, train: Train, scales: Sequence[Scale], missing: Missing
) -> tuple[tuple[Column, ...], tuple[Scaling, ...], dict[str, int]]:
    """Return the fitted columns, the scalings, and how many training rows lack a column's value."""
    columns = [_empty_column(plan) for plan in plans.values()]
    numbers = [column for column in columns if isinstance(column, NumberColumn)]
    for scale in scales:
        if isinstance(scale, Pca | Zca) and not numbers:
            raise ConfigError(f"scale: {scale.name} needs columns of numbers, and there are none")
    fitted, moments, absent = _fit(rows, plans, columns, train, missing)
    narrow = np.flatnonzero(moments.narrow)
    if len(narrow):
        near = [_near(numbers[index], moments.low[index]) for index in narrow]
        again, own, _ = _fit(rows, plans, near, train, missing, moments.near_units[narrow])
        moments.replace(narrow, own)
        found = {column.name: column for column in again}
        fitted = tuple(found.get(column.name, column) for column in fitted)
    scalings = tuple(_scaled(scale, rows, fitted, moments, train, missing) for scale in scales)
    return fitted, scalings, absent


def _scaled(
    scale: Scale,
    rows: Rows,
    columns: Sequence[Column],
    moments: ColumnMoments,
    train: Train,
    missing: Missing,
) -> Scaling:
    """Return a scaling of the numbers of fitted columns, whose moments are known."""
    names = [column.name for column in columns if isinstance(column, NumberColumn)]
    scaling = fit_columns(scale, moments)
    if isinstance(scale, Pca | Zca):
        return whiten(scale, scaling, _correlation(rows, columns, scaling, train, missing))
    if isinstance(scale, RobustClip | Quantile) and names:
        sampled = sampled_rows(train, len(names))
        sample = np.concatenate(list(_filled(rows, columns, sampled, missing)), axis=1)
        return fit_sample(scale, scaling, moments, sample, names, int(train.sum()))
    return scaling


def _fit(
    rows: Rows,
    plans: Plans,
    columns: Sequence[Column],
    train: Train,
    missing: Missing,
    units: Floats | None = None,
) -> tuple[tuple[Column, ...], ColumnMoments, dict[str, int]]:
    """Return the columns fitted to the training rows, the moments of the numbers, filled, and how
    many rows lack a column's value.
    """
    sums = _Sums(columns, plans, missing, units)
    for block, kept, place in training_blocks(rows, [column.name for column in columns], train):
        sums.add(block, kept, place)
    fitted = tuple(sums.fit(column, rows.where) for column in columns)
    absent = sums.absent()
    return fitted, sums.fill([c for c in fitted if isinstance(c, NumberColumn)]), absent


def _near(column: NumberColumn, low: float) -> NumberColumn:
    """Return a column with an offset near its least value; of dates by whole seconds."""
    offset = float(np.floor(low) if column.kind == "date" else low)
    return replace(column, offset=offset, values=tuple(value - offset for value in column.values))


def _empty_column(plan: ColumnPlan) -> Column:
    """Return an unfitted column that reads values by its rule."""
    name, rule = plan.name, plan.rule
    if isinstance(rule, CategoryRule):
        fill = None if rule.missing == "error" else ""
        vector = VECTOR if rule.encode == "code" else None
        return CategoryColumn(name, "category", (), fill, rule.unseen, rule.encode, vector)
    if not isinstance(rule.missing, str) and abs(rule.missing) > LARGEST:
        raise ConfigError(f"columns.{name}.missing: {rule.missing:g} is too large for float32")
    return NumberColumn(
        name,
        rule.kind,
        None if rule.missing == "error" else np.nan,
        rule.indicator,
        values=plan.values,
        parts=plan.parts,
        strays=plan.strays or plan.recognized,
    )


class _Sums:
    """The statistics accumulated in one pass over the training rows."""

    def __init__(
        self, columns: Sequence[Column], plans: Plans, missing: Missing, units: Floats | None
    ) -> None:
        self.missing, self.plans = missing, plans
        self.numbers = [column for column in columns if isinstance(column, NumberColumn)]
        self.moments = ColumnMoments.empty(len(self.numbers), units)
        self.rows = 0
        self.values: dict[str, list[Floats]] = {
            column.name: []
            for column in self.numbers
            if plans[column.name].rule.missing == "median"
        }
        categories = [column for column in columns if isinstance(column, CategoryColumn)]
        self.counts = {c.name: CategoryCounts(c, missing) for c in categories}

    def add(self, block: pa.RecordBatch, kept: Train, place: Place) -> None:
        matrix = _of_rows(read_numbers(block, self.numbers, place, self.missing), kept)
        self.rows += int(kept.sum())
        self.moments.add(matrix)
        for values, number in zip(matrix, self.numbers, strict=True):
            if number.name in self.values:
                self.values[number.name].append(values[~np.isnan(values)])
        for counts in self.counts.values():
            counts.add(block, kept, place)

    def fit(self, column: Column, where: str) -> Column:
        plan = self.plans[column.name]
        rule = plan.rule
        if isinstance(column, CategoryColumn):
            return self.counts[column.name].fit(rule.missing, where, plan.least_rows)
        if column.fill is None:
            return column
        if not isinstance(rule.missing, str):
            return replace(column, fill=float(rule.missing) - column.offset)
        index = self.numbers.index(column)
        if self.moments.counts[index] == 0:
            advice = "name it in `ignore`, or give `missing` a number"
            raise empty(where, column.name, advice)
        if rule.missing == "median":
            return replace(column, fill=float(np.median(np.concatenate(self.values[column.name]))))
        moments = self.moments
        low, high = moments.low[index], moments.high[index]  # which rounding may lead beyond
        return replace(column, fill=float(np.clip(moments.means[index], low, high)))

    def absent(self) -> dict[str, int]:
        """Return the number of rows without a value, by column."""
        lacking = (self.rows - self.moments.counts).tolist()
        found = {column.name: rows for column, rows in zip(self.numbers, lacking, strict=True)}
        return found | {name: counts.counts[""] for name, counts in self.counts.items()}

    def fill(self, columns: Sequence[NumberColumn]) -> ColumnMoments:
        """Return the moments of the columns with the missing values filled."""
        fills = np.array([column.fill or 0.0 for column in columns])
        self.moments.fill(fills, self.rows - self.moments.counts)
        return self.moments


def _of_rows(matrix: Floats, kept: Train) -> Floats:
    """Return the kept rows of (C, n)."""
    return matrix if kept.all() else np.take(matrix, np.flatnonzero(kept), axis=1)


def _correlation(
    rows: Rows, columns: Sequence[Column], scaling: Scaling, train: Train, missing: Missing
) -> Floats:
    """Return the correlation matrix (C, C) of the standardised numbers of the training rows."""
    standardized = replace(scaling, name="standardize")
    count = len(scaling.centers)
    products = np.zeros((count, count))
    for matrix in _filled(rows, columns, train, missing):
        standard = standardized.apply(matrix)
        products += np.dot(standard, standard.T)
    return products / int(train.sum())


def _filled(
    rows: Rows, columns: Sequence[Column], kept_rows: Train, missing: Missing
) -> Iterator[Floats]:
    """Yield the numbers (C, n) of the kept rows, block by block, with missing values filled."""
    numbers = [column for column in columns if isinstance(column, NumberColumn)]
    for block, kept, place in training_blocks(rows, [column.name for column in numbers], kept_rows):
        matrix = read_numbers(block, numbers, place, missing)
        fill_missing(matrix, numbers)
        yield _of_rows(matrix, kept)
