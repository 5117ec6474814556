"""Rows of a source with their side columns: targets, weights, groups, times, test marks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import list_names, quote
from ensemble_pipe.data.sources.rows import Place, Rows
from ensemble_pipe.data.tables.categories import canonical_name
from ensemble_pipe.data.tables.class_names import texts_of
from ensemble_pipe.data.tables.columns import Roles
from ensemble_pipe.data.tables.side_columns import (
    read_groups,
    read_marks,
    read_targets,
    read_times,
    read_weights,
)
from ensemble_pipe.data.tables.targets import Targets

# Row numbers are 32-bit where millions of them are shuffled.
MOST_ROWS = 2**31 - 1


@dataclass(frozen=True)
class LabelledRows:
    """The rows of a source with their targets and other side columns.

    Attributes:
        rows: their features.
        targets: of the R rows, one or several of each.
        weights: (R,) in the loss; None where all are equal.
        groups, group_names: (R,) number of each row's group, and the groups' names; None for none.
        times: (R,) of each row; None where there is no such column.
        marks: (R,) bool, true in the rows of the test part; None where there is no such column.
        folds: (R,) number of the fold that a column names for each row, or its rank in time where
            folds follow that; None where folds are drawn, or there are none.
        kept: (R,) ascending numbers of the rows in their source; None for all rows.
    """

    rows: Rows
    targets: Targets
    weights: Floats | None = None
    groups: Integers | None = None
    group_names: pa.Array | None = None
    times: Array | None = None
    marks: Array | None = None
    folds: Integers | None = None
    kept: Integers | None = None

    @property
    def count(self) -> int:
        return self.rows.count

    @property
    def strata(self) -> Array:
        """The stratum (R,) of each row: equal in rows of one class, in the order of the classes."""
        return self.targets.values

    def numbers(self, start: int, stop: int) -> Integers:
        """Return the numbers of the rows start to stop - 1 in their source, int64."""
        if self.kept is None:
            return np.arange(start, stop)
        return self.kept[start:stop]


def read_labelled(
    rows: Rows,
    roles: Roles,
    chosen: tuple[int | str, ...] | None,
    task: str = "classification",
    classes: tuple[int | str, ...] = (),
) -> LabelledRows:
    """Read the side columns of all rows, or of the rows of some classes.

    Args:
        rows: of the source.
        roles: of its columns.
        chosen: the classes whose rows are read; None for all.
        task: classification or regression.
        classes: of the training data, where these are not the training rows.

    Raises:
        DataError: there are no rows or too many, or a value is missing or invalid.
    """
    if rows.count == 0:
        raise DataError(f"{rows.where}: has no rows")
    if rows.count > MOST_ROWS:
        raise DataError(f"{rows.where}: has {rows.count} rows; at most {MOST_ROWS} can be used")
    rows, missing = rows.as_written(roles.as_written(task)), roles.missing
    groups, names = (None, None) if roles.group is None else read_groups(rows, roles.group, missing)
    data = LabelledRows(
        rows,
        read_targets(rows, roles, classes),
        None if roles.weight is None else read_weights(rows, roles.weight, missing),
        groups,
        names,
        None if roles.time is None else read_times(rows, roles.time, missing),
        None if roles.test_where is None else read_marks(rows, roles.test_where, missing),
    )
    return data if chosen is None else _chosen(data, _of_classes(data, chosen))


def split_by_marks(data: LabelledRows) -> tuple[LabelledRows, LabelledRows | None]:
    """Return the rows to split, and the rows marked as the test part, None where there are none.

    Raises:
        DataError: all rows have the same mark.
    """
    if data.marks is None:
        return data, None
    if data.marks.all() or not data.marks.any():
        which = "every row" if data.marks.all() else "no row"
        raise DataError(
            f"{data.rows.where}: test_where marks {which} as one of the test part; name a column "
            "that is true in some rows"
        )
    return _chosen(data, np.flatnonzero(~data.marks)), _chosen(data, np.flatnonzero(data.marks))


def shared_group(first: LabelledRows, second: LabelledRows) -> str | None:
    """Return a group with rows in both parts; None where there is none."""
    return min(_groups_in(first) & _groups_in(second), default=None)


def time_order_warning(data: LabelledRows, test: LabelledRows) -> str | None:
    """Return a warning where test rows are earlier than the last row of `data`."""
    if data.times is None or test.times is None:
        return None
    clocks = [times.dtype.kind == "M" for times in (data.times, test.times)]
    early = int((test.times < data.times.max()).sum()) if clocks[0] == clocks[1] else 0
    if early == 0:  # or a number and a date, which cannot be compared
        return None
    return (
        f"warning: {test.rows.where}: {early} of {test.count} test rows are earlier than the last "
        f"row of {data.rows.where}, so the test does not follow the training in time"
    )


def _groups_in(data: LabelledRows) -> set[str]:
    """Return the names of the groups that occur."""
    if data.groups is None or data.group_names is None:
        return set()
    there = data.group_names.take(pa.array(np.unique(data.groups))).to_pylist()
    return {group if isinstance(group, str) else str(canonical_name(group)) for group in there}


def _of_classes(data: LabelledRows, classes: tuple[int | str, ...]) -> Integers:
    """Return the positions of the rows of some classes."""
    if len(set(map(str, classes))) < len(classes):
        raise DataError(f"classes: {list_names(classes)} names a class twice")
    named = {str(name) for name in classes}
    chosen = np.zeros(data.count, bool)
    found: set[str] = set()
    for part, labels, places in data.targets.iter_codes():
        own = [named.intersection(texts_of(label)) for label in labels]
        chosen[part] = np.array([bool(one) for one in own], bool)[places]
        found.update(*own)
    for name in classes:
        if str(name) not in found:
            raise DataError(
                f"{data.rows.where}: no row is of class {quote(name)}, which `classes` names"
            )
    return np.flatnonzero(chosen)


def _chosen(data: LabelledRows, kept: Integers) -> LabelledRows:
    """Return a subset of the rows, by ascending positions."""
    return replace(
        data,
        rows=chosen_rows(data.rows, kept),
        targets=data.targets[kept],
        weights=None if data.weights is None else data.weights[kept],
        groups=None if data.groups is None else data.groups[kept],
        times=None if data.times is None else data.times[kept],
        marks=None if data.marks is None else data.marks[kept],
        kept=kept if data.kept is None else data.kept[kept],
    )


def chosen_rows(rows: Rows, kept: Integers) -> Rows:
    """Return some rows of a source, by ascending positions."""

    def moved(place: Place) -> Place:
        return lambda row: place(int(kept[row]))

    return replace(
        rows,
        count=len(kept),
        read=lambda names: _read_chosen(rows, names, kept),
        place=moved(rows.place),
        places={name: moved(place) for name, place in rows.places.items()},
    )


def _read_chosen(rows: Rows, names: Sequence[str], kept: Integers) -> Iterator[pa.RecordBatch]:
    first = 0
    for batch in rows.read(names):
        start, stop = np.searchsorted(kept, [first, first + batch.num_rows])
        if stop > start:
            yield batch.take(pa.array(kept[start:stop] - first))
        first += batch.num_rows
