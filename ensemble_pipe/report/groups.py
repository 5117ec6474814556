"""Groups of test rows that are looked at apart: by class or target, by group, by category."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ensemble_pipe.core.arrays import Integers
from ensemble_pipe.core.messages import printable
from ensemble_pipe.data.group_names import read_group_names
from ensemble_pipe.report.numbers import Numbers, TestPart
from ensemble_pipe.report.page import target_text
from ensemble_pipe.report.rows import column_values, shown_columns

FEWEST_ROWS = 20
MOST_CLASSES, MOST_OWN_GROUPS, MOST_COLUMNS, MOST_GROUPS = 12, 12, 3, 6
# Columns are read of at most so many rows.
_MOST_ROWS = 20_000


@dataclass(frozen=True)
class Group:
    """Some test rows.

    Attributes:
        name: such as "sex = Female".
        places: of its rows in the test part.
    """

    name: str
    places: Integers


def groups_of(numbers: Numbers) -> list[Group]:
    """Return groups of enough test rows: by class or target, by group, by categories that matter.

    Groups of classes are the most frequent ones; those of numbers are quarters of the target. The
    largest groups of the data's own column of groups follow, where it names one.
    """
    test = numbers.test
    if test is None:
        return []
    named = _by_class(test) if numbers.is_classification else _by_target(test)
    found = [*named, *_by_group_column(numbers, test), *_by_category(numbers, test)]
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
    return [Group(f"{name} = {text}", np.flatnonzero(own == number)) for number, text in largest]


def _by_category(numbers: Numbers, test: TestPart) -> list[Group]:
    """Return the most frequent categories of the columns that matter most."""
    schema, found = numbers.schema, list[Group]()
    named = [c.name for c in schema.columns if c.kind == "category"]
    if schema.is_image or not set(named) & set(shown_columns(schema)):
        return []
    if numbers.run.importance is not None:
        order = [one.name for one in numbers.run.importance.columns]
        named = [name for name in order if name in named]
    stored = test.stored(np.arange(min(len(test.rows), _MOST_ROWS)))
    for name in named[:MOST_COLUMNS]:
        values = np.array(column_values(schema, name, stored))
        names, counts = np.unique(values, return_counts=True)
        for place in np.argsort(-counts, kind="stable")[:MOST_GROUPS].tolist():
            found.append(Group(f"{name} = {names[place]}", np.flatnonzero(values == names[place])))
    return found
