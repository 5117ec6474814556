"""Groups of test rows that are looked at apart: classes, categories, quarters of a target."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ensemble_pipe.core.arrays import Integers
from ensemble_pipe.report.numbers import Numbers, TestPart
from ensemble_pipe.report.page import number_text
from ensemble_pipe.report.rows import column_values, shown_columns

FEWEST_ROWS = 20
MOST_CLASSES, MOST_COLUMNS, MOST_GROUPS = 12, 3, 6
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
    """Return groups of enough test rows: by class or by target, and by the categories that matter.

    Groups of classes are the most frequent ones; those of numbers are quarters of the target.
    """
    test = numbers.test
    if test is None:
        return []
    named = _by_class(test) if numbers.is_classification else _by_target(test)
    return [one for one in [*named, *_by_category(numbers, test)] if len(one.places) >= FEWEST_ROWS]


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
        found.append(Group(f"{number_text(low)} to {number_text(high)}", places))
    return found


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
