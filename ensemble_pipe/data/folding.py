"""Folds of the training part: drawn, drawn several times, named by a column, or forward in time.

Learner i of a run leaves out fold i modulo their number. All learners read one copy of the rows;
what each sees, and what it leaves out, are masks.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge

from ensemble_pipe.core.arrays import Array, Integers
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.messages import quote
from ensemble_pipe.core.settings import settings
from ensemble_pipe.data.learner_view import folds_of


@settings
class Folding:
    """Folds of the training part, one of which each learner leaves out.

    Attributes:
        count: how many; of those that a column names, what is not given follows from the column.
        repeats: partitions into so many folds, each with draws of its own. The first `count`
            learners leave out the folds of the first partition, the next those of the second, and
            so on, and then from the first on again (Burman 1989, "A comparative study of ordinary
            cross-validation, v-fold cross-validation and the repeated learning-testing methods").
        column: of the data, whose values name the fold of each row. It is not learned from.
        forward: the folds follow `data.time`, in blocks of about as many rows. A learner leaves out
            a block and sees rows before it alone: "expanding" all of them, "sliding" the latest, as
            many as lie before the first fold (Tashman 2000, "Out-of-sample tests of forecasting
            accuracy"). The earliest block is no fold, so nobody predicts it.
        gap: rows between those that a learner sees and the fold that it leaves out, with `forward`.
    """

    count: Annotated[int, Ge(2)] | None = None
    repeats: Annotated[int, Ge(1)] = 1
    column: str | None = None
    forward: Literal["expanding", "sliding"] | None = None
    gap: Annotated[int, Ge(0)] = 0

    def __post_init__(self) -> None:
        if self.column is not None and self.forward is not None:
            raise ValueError("column and forward both say what the folds are; name one of them")
        if self.count is None and self.column is None:
            raise ValueError("count is missing, the number of folds")
        if self.repeats > 1 and (self.column is not None or self.forward is not None):
            raise ValueError("repeats are of folds that are drawn, not of a column or of the time")
        if self.gap and self.forward is None:
            raise ValueError("gap goes with forward: expanding or forward: sliding")

    @property
    def per_partition(self) -> int:
        """Folds of one partition; the least there can be where a column is yet to be read."""
        return self.count or 2

    @property
    def total(self) -> int:
        """Folds of all partitions."""
        return self.per_partition * self.repeats

    def rows_seen(self, rows: int, learner: int) -> int:
        """Return how many of R rows a learner sees in an epoch; unless `forward`, about as many."""
        if self.forward is None:
            return rows - -(-rows // self.per_partition)
        start, stop = self.window(rows, learner)
        return stop - start

    def window(self, rows: int, learner: int) -> tuple[int, int]:
        """Return the first place in time that a learner sees with `forward`, and the one after."""
        edges = self.edges(rows)
        stop = edges[learner % self.per_partition + 1] - self.gap
        return (stop - (edges[1] - self.gap) if self.forward == "sliding" else 0), stop

    def edges(self, rows: int) -> list[int]:
        """Return where the blocks of R rows in order of time begin, and R: one block more."""
        blocks = self.per_partition + 1
        return [block * rows // blocks for block in range(blocks + 1)]


# A number of folds, or more about them.
AnyFolds = int | Folding


def total_folds(folds: AnyFolds) -> int:
    """Return the number of folds of all partitions."""
    return folds.total if isinstance(folds, Folding) else folds


@dataclass(frozen=True)
class FoldColumns:
    """Columns (R,) of the training part that folds are made from.

    Attributes:
        rows: numbers of the rows in their source.
        strata: classes; all 0 for numbers.
        groups: of the rows; None without.
        keys: the fold of each row that a column names, or its rank in time; None without.
    """

    rows: Integers
    strata: Array
    groups: Array | None = None
    keys: Integers | None = None


def partitions_of(folds: AnyFolds, seed: int, columns: FoldColumns) -> Integers:
    """Return the fold of each row in each of P partitions, (P, R); -1 for none."""
    own = folds if isinstance(folds, Folding) else Folding(count=folds)
    if own.column is not None:
        return _keys(columns)[None]
    if own.forward is None:
        drawn = [
            folds_of(own.per_partition, seed, columns.rows, columns.strata, columns.groups, repeat)
            for repeat in range(own.repeats)
        ]
        return np.stack(drawn)
    order = np.argsort(_keys(columns), kind="stable")
    edges = own.edges(len(order))
    found = np.full(len(order), -1)
    for fold in range(own.per_partition):
        found[order[edges[fold + 1] : edges[fold + 2]]] = fold
    return found[None]


def seen_by(learner: int, folds: AnyFolds, partitions: Integers, columns: FoldColumns) -> Array:
    """Return which rows a learner sees, (R,) bool.

    Args:
        learner: its id.
        folds, columns: as for `partitions_of`.
        partitions: what that returned.
    """
    if isinstance(folds, Folding) and folds.forward is not None:
        start, stop = folds.window(len(columns.rows), learner)
        seen = np.zeros(len(columns.rows), bool)
        seen[np.argsort(_keys(columns), kind="stable")[start:stop]] = True
        return seen
    return ~left_out_by(learner, folds, partitions)


def left_out_by(learner: int, folds: AnyFolds, partitions: Integers) -> Array:
    """Return which rows a learner leaves out, (R,) bool; arguments as for `seen_by`."""
    per_partition = folds.per_partition if isinstance(folds, Folding) else folds
    partition, fold = divmod(learner % total_folds(folds), per_partition)
    found: Array = partitions[partition] == fold
    return found


def _keys(columns: FoldColumns) -> Integers:
    if columns.keys is None:
        raise ValueError("the base files do not say the order or the folds of their rows")
    return columns.keys


def largest_left_out(
    folds: AnyFolds, seed: int, rows: int, groups: Array | None, keys: Integers | None
) -> int:
    """Return the most rows that a learner does not see.

    Args:
        folds: of R rows.
        seed: of the run.
        rows: R.
        groups, keys: as in `FoldColumns`.
    """
    if isinstance(folds, Folding) and folds.forward is not None:
        return rows - folds.rows_seen(rows, 0)
    if isinstance(folds, Folding) and folds.column is not None:
        return -(-rows // folds.per_partition) if keys is None else int(np.bincount(keys).max())
    if groups is None:
        count = folds.per_partition if isinstance(folds, Folding) else folds
        return -(-rows // count)
    columns = FoldColumns(np.arange(rows), np.zeros(rows, np.int32), groups)
    return max(int(np.bincount(own).max()) for own in partitions_of(folds, seed, columns))


LEAST_COUNTED = 3  # rows of a class that are to be in every fold


def most_folds(strata: Array | None, groups: Array | None, rows: int) -> int:
    """Return into how many folds R rows can be divided.

    A class of one or two rows does not count: it is in the training rows of every fold but one or
    two anyway, and two folds would take half of their rows from all other classes.

    Args:
        strata: (R,) classes, each of which is in every fold unless rows have groups; None without.
        groups: (R,) of the rows; None without.
        rows: R.
    """
    if groups is not None:
        return len(np.unique(groups))
    if strata is None:
        return rows
    sizes = np.unique(strata, return_counts=True)[1]
    return int(sizes[sizes >= LEAST_COUNTED].min(initial=rows))


def require_folding(
    folds: AnyFolds,
    columns: FoldColumns,
    where: str,
    classes: tuple[int | str, ...] = (),
) -> None:
    """Check that the training part can be divided as it was asked for.

    Args:
        folds: its folds.
        columns: of the part.
        where: the name of the source.
        classes: names of the strata; () for numbers.

    Raises:
        DataError: rows, rows of a class or groups are too few, a fold has no row, or a group lies
            in two folds.
    """
    own = folds if isinstance(folds, Folding) else Folding(count=folds)
    if own.forward is not None:
        _require_windows(own, len(columns.rows), where)
    elif own.column is None:
        _require_drawn(own, columns, where, classes)
    elif columns.keys is not None:
        _require_named(own, columns.keys, columns.groups, where)


def _require_drawn(
    folding: Folding, columns: FoldColumns, where: str, classes: tuple[int | str, ...]
) -> None:
    """Check that no fold is empty, or, without groups, lacks a class."""
    count, rows, groups = folding.per_partition, len(columns.rows), columns.groups
    most = most_folds(columns.strata if classes else None, groups, rows)
    if count <= most:
        return
    what = f"{most} rows" if groups is None else f"{most} groups"
    if groups is None and classes:
        codes, sizes = np.unique(columns.strata, return_counts=True)
        rarest = codes[sizes == most]
        what += f" of class {quote(str(classes[rarest[0]]))}" if len(rarest) else ""
    advice = f"take at most {most} folds" if most > 1 else "hold out parts in place of folds"
    raise DataError(
        f"{where}: splits.folds: {count} folds are to be left out in turn, but the training part "
        f"has {what}; {advice}"
    )


def _require_windows(folding: Folding, rows: int, where: str) -> None:
    first = folding.edges(rows)[1]
    if rows <= folding.per_partition:
        raise DataError(
            f"{where}: {folding.count} folds forward in time need {folding.per_partition + 1} "
            f"rows or more, but the training part has {rows}; take fewer folds"
        )
    if first <= folding.gap:
        raise DataError(
            f"{where}: splits.folds.gap: {folding.gap} rows leave none of the {first} before the "
            f"first of {folding.count} folds to train on; take a smaller gap, or fewer folds"
        )


def _require_named(folding: Folding, keys: Integers, groups: Array | None, where: str) -> None:
    column = f"{where}: column {quote(str(folding.column))}"
    there = np.bincount(keys, minlength=folding.per_partition)
    if (there == 0).any():
        raise DataError(
            f"{column}: one of its {folding.count} folds has no row in the training part, since "
            "all are in the test part; make splits.test smaller, or name a test part "
            "by data.test_where"
        )
    if groups is not None:
        pairs = np.unique(np.stack([groups, keys]), axis=1)
        if pairs.shape[1] > len(np.unique(groups)):
            raise DataError(
                f"{column}: has rows of one group in two folds, so that a learner would see rows "
                "of groups that it leaves out; name folds that keep groups together, or no group"
            )
