"""The inputs of boosted trees: the source columns, with the groups of each column's categories."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.data.schema import Task
from ensemble_pipe.data.tables.source_view import SourceView
from ensemble_pipe.training.learner_rows import LearnerRows


@dataclass(frozen=True)
class TreeInputs:
    """How encoded rows become the inputs of boosted trees.

    Attributes:
        view: of the source columns.
        groups: for each column of categories (n,), the number that trees know each category by;
            -1 for those that they take as unknown.
    """

    view: SourceView
    groups: tuple[Integers, ...]

    def read(self, encoded: Floats) -> Floats:
        """Return (R, C) float32 of encoded rows (R, D), categories first; NaN is missing."""
        rows = self.view.read(encoded)
        for index, groups in enumerate(self.groups):
            known = np.append(groups, -1).astype(np.float32)  # -1 for NaN, too
            codes = np.nan_to_num(rows[:, index], nan=-1).astype(np.int64)
            rows[:, index] = known[np.where(codes < len(groups), codes, -1)]
        first = rows[:, : len(self.groups)]
        first[first < 0] = np.nan
        return rows


def read_both(
    inputs: TreeInputs, task: Task, train: LearnerRows, stop: LearnerRows
) -> tuple[LearnerRows, LearnerRows, tuple[int, ...]]:
    """Return rows to fit to and to stop by, as trees see them, and the classes of the first.

    Rows to stop by of a class that the others lack are left out. Numbers have no classes.
    """
    train = replace(train, inputs=inputs.read(train.inputs))
    stop = replace(stop, inputs=inputs.read(stop.inputs))
    if task == "regression":
        return train, stop, ()
    classes = tuple(np.unique(train.targets).tolist())
    return train, stop.chosen(np.isin(stop.targets, classes)), classes


def fit_inputs(view: SourceView, encoded: Floats, most: int) -> TreeInputs:
    """Return the inputs of a learner that is fitted to some rows (R, D).

    Categories that these rows do not have are unknown to it. Where a column has more than `most`,
    the rarest are unknown, too.
    """
    rows = view.read(encoded)
    places = enumerate(view.categories)
    groups = (_groups(rows[:, index], place.count, most) for index, place in places)
    return TreeInputs(view, tuple(groups))


def _groups(codes: Floats, count: int, most: int) -> Integers:
    """Number the categories that occur, in their order; -1 for all others."""
    counts = np.bincount(codes[~np.isnan(codes)].astype(np.int64), minlength=count)
    kept = np.sort(np.argsort(-counts, kind="stable")[:most])
    kept = kept[counts[kept] > 0]
    groups = np.full(count, -1, np.int32)
    groups[kept] = np.arange(len(kept))
    return groups


def join_groups(groups: Sequence[Integers]) -> Integers:
    """Return the groups of all columns in one array, as files have them."""
    return np.concatenate([np.empty(0, np.int32), *groups]).astype(np.int32)


def divide_groups(joined: Integers, view: SourceView) -> tuple[Integers, ...]:
    """Return the groups of each column, from what `join_groups` returned.

    Raises:
        ValueError: they are not those of these columns.
    """
    counts = [place.count for place in view.categories]
    if joined.ndim != 1 or len(joined) != sum(counts) or joined.dtype.kind != "i":
        raise ValueError(f"its groups are not those of the {sum(counts)} categories")
    return tuple(np.split(joined, np.cumsum(counts)[:-1])) if counts else ()
