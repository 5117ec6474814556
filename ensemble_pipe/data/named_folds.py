"""What folds are made from in the rows of a source: a column that names them, or the time."""

from dataclasses import replace

import numpy as np

from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import quote
from ensemble_pipe.data.folding import AnyFolds, Folding
from ensemble_pipe.data.labelled import LabelledRows
from ensemble_pipe.data.sources.paths import require_columns
from ensemble_pipe.data.sources.rows import Rows
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.side_columns import read_groups


def without_fold_column(roles: Roles, folds: AnyFolds | None, rows: Rows) -> Roles:
    """Return roles of columns, of which the one that names folds is not learned from.

    Raises:
        DataError: there is no such column, it has another purpose, or no feature is left.
    """
    if not isinstance(folds, Folding) or folds.column is None:
        return roles
    name = folds.column
    require_columns(rows.where, [name], rows.schema.names)
    purposes = {"weight": roles.weight, "time": roles.time, "test_where": roles.test_where}
    taken = [purpose for purpose, column in purposes.items() if column == name]
    taken += ["label"] if name in roles.labels else []
    if taken:
        raise DataError(
            f"{rows.where}: column {quote(name)} is named as {taken[0]} and for splits.folds; "
            "name another one"
        )
    features = tuple(feature for feature in roles.features if feature != name)
    if not features:
        raise DataError(f"{rows.where}: has no feature columns beside {quote(name)}")
    return replace(roles, features=features)


def with_fold_keys(
    data: LabelledRows, roles: Roles, folds: AnyFolds | None
) -> tuple[LabelledRows, AnyFolds | None]:
    """Return rows with what their folds are made from, and the folds with their number.

    Raises:
        DataError: a column has one value, or another number of values than of folds that are asked
            for; or folds follow the time, and rows have none, or have times that they ignore.
    """
    named = isinstance(folds, Folding) and folds.column is not None
    forward = isinstance(folds, Folding) and folds.forward is not None
    where = data.rows.where
    if forward and data.times is None:
        raise DataError(
            f"{where}: splits.folds.forward follows the time of rows, but no column has it; name "
            "it as data.time"
        )
    if folds is not None and data.times is not None and not forward:
        raise DataError(
            f"{where}: the rows have times, and splits.folds would let learners see what comes "
            "after the rows that they leave out; take folds that follow the time, such as "
            "folds: {forward: expanding, count: 5}, or splits.validation and splits.stop, which "
            "follow it too, or name no time column"
        )
    if forward and data.times is not None:
        order = np.argsort(data.times, kind="stable")
        ranks = np.empty(data.count, np.int64)
        ranks[order] = np.arange(data.count)
        return replace(data, folds=ranks), folds
    if not (named and isinstance(folds, Folding) and folds.column is not None):
        return data, folds
    codes, names = read_groups(data.rows, folds.column, roles.missing, "fold")
    return replace(data, folds=codes), _counted(folds, len(names), where)


def forward_warning(folds: AnyFolds | None, refit: bool) -> str | None:
    """Return a warning where members of folds forward in time keep what little they have seen."""
    if refit or not isinstance(folds, Folding) or folds.forward is None:
        return None
    return (
        "warning: with splits.folds.forward each member has seen only rows before its fold, the "
        f"first one of {folds.per_partition + 1} blocks; `splits: {{refit: true}}` trains all "
        "again on all rows at the end"
    )


def _counted(folds: Folding, found: int, where: str) -> Folding:
    """Return folds of a column with as many values, which is their number."""
    column = f"{where}: column {quote(str(folds.column))}"
    if found < 2:
        raise DataError(
            f"{column}: has one value, but each of its values is a fold, and there must be two; "
            "name another column"
        )
    if folds.count not in (None, found):
        raise DataError(
            f"{column}: has {found} values, but splits.folds.count is {folds.count}; leave the "
            "count out"
        )
    return replace(folds, count=found)
