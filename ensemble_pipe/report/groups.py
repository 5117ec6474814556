"""Groups of test rows that are looked at apart: by class or target, by group, by column."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist

import numpy as np

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.messages import printable
from ensemble_pipe.data.group_names import read_group_names
from ensemble_pipe.report.column_groups import groups_by_column
from ensemble_pipe.report.numbers import Numbers, TestPart
from ensemble_pipe.report.page import target_text
from ensemble_pipe.report.rows import shown_columns

FEWEST_ROWS = 20
MOST_CLASSES, MOST_OWN_GROUPS = 12, 12
MOST_OF_COLUMNS, MOST_OF_COLUMN = 12, 2  # groups, of all columns and of one
# At most so many columns are read, of at most so many rows.
_MOST_READ, _MOST_ROWS = 200, 20_000
# Shares of the rows that a group of a column has at least, and at most: nearly all are no group.
_LEAST_SHARE, _LARGEST_SHARE = 0.01, 0.75


@dataclass(frozen=True)
class Group:
    """Some test rows.

    Attributes:
        name: such as "sex = Female".
        places: of its rows in the test part.
        column: that the group is of; "" where it is of the truth, which new rows do not show.
    """

    name: str
    places: Integers
    column: str = ""


def groups_of(numbers: Numbers) -> list[Group]:
    """Return groups of enough test rows: by class or target, by group, by values of columns.

    Groups of classes are the most frequent ones; those of numbers are quarters of the target. The
    largest groups of the data's own column of groups follow, where it names one, and last the
    values of columns that are worse than the other rows, the worst first.
    """
    test = numbers.test
    if test is None:
        return []
    named = _by_class(test) if numbers.is_classification else _by_target(test)
    found = [*named, *_by_group_column(numbers, test), *_by_column(numbers, test)]
    return [one for one in found if len(one.places) >= FEWEST_ROWS]


def _by_class(test: TestPart) -> list[Group]:
    counts = np.bincount(test.targets, minlength=len(test.schema.classes))
    most = sorted(np.argsort(-counts, kind="stable")[:MOST_CLASSES].tolist())
    classes = test.schema.classes
    return [Group(f"true {classes[one]}", np.flatnonzero(test.targets == one)) for one in most]


def _by_target(test: TestPart) -> list[Group]:
    values = test.truth[:, 0]
    ends = np.unique(np.quantile(values, [0, 0.25, 0.5, 0.75, 1]))
    found = []
    for place, (low, high) in enumerate(pairwise(ends)):
        above = values >= low if place == 0 else values > low
        places = np.flatnonzero(above & (values <= high))
        found.append(Group(f"{target_text(low)} to {target_text(high)}", places))
    return found


def _by_group_column(numbers: Numbers, test: TestPart) -> list[Group]:
    """Return the largest groups of the column that the data names for them."""
    known = read_group_names(numbers.paths)
    if known is None or "group" not in test.base.table.column_names:
        return []
    own, name = test.base.read_column("group"), printable(known.column)
    largest = list(known.names.items())[:MOST_OWN_GROUPS]
    return [
        Group(f"{name} = {text}", np.flatnonzero(own == number), column=name)
        for number, text in largest
    ]


def _by_column(numbers: Numbers, test: TestPart) -> list[Group]:
    """Return groups of columns' values that are worse than the other rows, the worst first.

    These are worse on average by the whole interval of the difference, which is of 95% for all
    groups together (Bonferroni); by its lower end they are in order.
    """
    schema = numbers.schema
    if schema.is_image:
        return []
    read = np.arange(min(len(test.rows), _MOST_ROWS))
    stored, losses = test.stored(read), row_losses(test)[read]
    fewest = max(FEWEST_ROWS, int(np.ceil(_LEAST_SHARE * len(read))))
    found = [
        Group(values.name, values.places, column=name)
        for name in _in_order(numbers)[:_MOST_READ]
        for values in groups_by_column(schema, name, stored)
        if fewest <= len(values.places) <= _LARGEST_SHARE * len(read)
    ]
    kept: list[Group] = []
    for group in _worse(losses, found):
        if sum(one.column == group.column for one in kept) < MOST_OF_COLUMN:
            kept.append(group)
    return kept[:MOST_OF_COLUMNS]


def _in_order(numbers: Numbers) -> list[str]:
    """Return the columns whose values can be read, the most important first where that is known."""
    shown, found = shown_columns(numbers.schema), numbers.run.importance
    order = [] if found is None else [one.name for one in found.columns if one.name in shown]
    return list(dict.fromkeys([*order, *shown]))


def worst_of(test: TestPart, groups: Sequence[Group]) -> Group | None:
    """Return the group that is the worst by its evidence; None where none is beyond chance."""
    return next(_worse(row_losses(test), groups), None)


def _worse(losses: Floats, groups: Sequence[Group]) -> Iterator[Group]:
    """Yield the groups whose losses are above those of the other rows, the worst first."""
    z = NormalDist().inv_cdf(1 - 0.025 / max(len(groups), 1))
    lows = np.array([least_excess(losses, group.places, z) for group in groups])
    yield from (groups[place] for place in np.argsort(-lows, kind="stable") if lows[place] > 0)


def row_losses(test: TestPart) -> Floats:
    """Return what is averaged over a group, (R,): 1 for a wrong row, or the squared residual."""
    if test.schema.task == "classification":
        return test.wrong.astype(np.float64)
    residuals: Floats = (test.truth[:, 0] - test.prediction.mean[:, 0]) ** 2
    return residuals


def least_excess(losses: Floats, places: Integers, z: float) -> float:
    """Return by how much the mean of some rows is above that of the others, less z errors (Welch).

    Args:
        losses: (R,) of all rows.
        places: of some rows; there are others.
        z: standard errors that are taken off.
    """
    inside = np.zeros(len(losses), bool)
    inside[places] = True
    own, rest = losses[inside], losses[~inside]
    error = np.sqrt(own.var() / len(own) + rest.var() / len(rest))
    return float(own.mean() - rest.mean() - z * error)
