"""Folds of the training part: which rows each learner leaves out, and which it sees."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ensemble_pipe.core.arrays import Array, Integers
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.folding import (
    FoldColumns,
    Folding,
    largest_left_out,
    left_out_by,
    most_folds,
    partitions_of,
    require_folding,
    seen_by,
    total_folds,
)

ROWS = 600
CLASSES = np.random.default_rng(0).choice(3, ROWS, p=[0.8, 0.15, 0.05])
GROUPS = np.random.default_rng(1).integers(0, 60, ROWS)
TIMES = np.random.default_rng(2).permutation(ROWS)


def columns(**more: Any) -> FoldColumns:
    return FoldColumns(np.arange(ROWS), CLASSES, **more)


def seen_and_left_out(folds: Any, learner: int, given: FoldColumns) -> tuple[Array, Array]:
    partitions = partitions_of(folds, 1, given)
    return seen_by(learner, folds, partitions, given), left_out_by(learner, folds, partitions)


def test_a_number_is_one_partition_of_so_many_folds() -> None:
    number, more = partitions_of(5, 1, columns()), partitions_of(Folding(count=5), 1, columns())
    np.testing.assert_array_equal(number, more)
    assert number.shape == (1, ROWS)


@pytest.mark.parametrize("groups", [None, GROUPS], ids=["rows", "groups"])
def test_each_partition_of_repeats_is_another(groups: Integers | None) -> None:
    given = columns(groups=groups)
    folding = Folding(count=4, repeats=3)
    found = partitions_of(folding, 1, given)
    assert (found.shape, total_folds(folding)) == ((3, ROWS), 12)
    np.testing.assert_array_equal(found[0], partitions_of(4, 1, given)[0])
    # Of two independent partitions a row is in the same fold in a quarter of the cases.
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert (found[first] == found[second]).mean() < 0.5
    for own in found:
        sizes = np.bincount(own, minlength=4)
        assert np.ptp(sizes) <= (1 if groups is None else 40)
        if groups is None:
            for value in range(3):
                assert np.ptp(np.bincount(own[value == CLASSES], minlength=4)) <= 1
        else:
            assert all(len(set(own[group == groups])) == 1 for group in np.unique(groups))


def test_learners_leave_out_the_folds_of_one_partition_after_another() -> None:
    folding, given = Folding(count=3, repeats=2), columns()
    left_out = [seen_and_left_out(folding, learner, given)[1] for learner in range(7)]
    for first in (0, 3):
        assert (np.sum(left_out[first : first + 3], axis=0) == 1).all()
    np.testing.assert_array_equal(left_out[6], left_out[0])
    assert not np.array_equal(left_out[3], left_out[0])
    seen, left = seen_and_left_out(folding, 4, given)
    np.testing.assert_array_equal(seen, ~left)


def test_a_column_names_the_folds() -> None:
    keys = np.random.default_rng(3).integers(0, 3, ROWS)
    folding = Folding(column="fold", count=3)
    for learner in range(4):
        seen, left = seen_and_left_out(folding, learner, columns(keys=keys))
        np.testing.assert_array_equal(left, keys == learner % 3)
        np.testing.assert_array_equal(seen, ~left)
    assert largest_left_out(folding, 1, ROWS, None, keys) == np.bincount(keys).max()


@pytest.mark.parametrize("gap", [0, 7])
@pytest.mark.parametrize("forward", ["expanding", "sliding"])
def test_forward_a_learner_sees_only_what_lies_before_its_fold_and_the_gap(
    forward: Any, gap: int
) -> None:
    folding, given = Folding(count=5, forward=forward, gap=gap), columns(keys=TIMES)
    predicted = np.zeros(ROWS, int)
    for learner in range(5):
        seen, left = seen_and_left_out(folding, learner, given)
        assert TIMES[seen].max() == TIMES[left].min() - 1 - gap
        assert (left.sum(), seen.sum()) == (100, folding.rows_seen(ROWS, learner))
        assert seen.sum() == (100 * (learner + 1) - gap if forward == "expanding" else 100 - gap)
        predicted += left
    np.testing.assert_array_equal(predicted, TIMES >= 100)  # all but the earliest block, once
    assert largest_left_out(folding, 1, ROWS, None, TIMES) == ROWS - 100 + gap


def test_forward_folds_are_those_of_scikit_learn() -> None:
    from sklearn.model_selection import TimeSeriesSplit

    folding, given = Folding(count=4, forward="expanding", gap=3), FoldColumns(
        np.arange(50), np.zeros(50, int), keys=np.arange(50)
    )  # fmt: skip
    splits = TimeSeriesSplit(4, gap=3, test_size=10).split(np.zeros((50, 1)))
    for learner, (train, test) in enumerate(splits):
        seen, left = seen_and_left_out(folding, learner, given)
        np.testing.assert_array_equal(np.flatnonzero(seen), train)
        np.testing.assert_array_equal(np.flatnonzero(left), test)


@pytest.mark.parametrize(("given", "message"), [
    ({}, "count is missing"),
    ({"column": "f", "forward": "sliding"}, "name one of them"),
    ({"count": 3, "repeats": 2, "forward": "sliding"}, "repeats are of folds that are drawn"),
    ({"column": "f", "repeats": 2}, "repeats are of folds that are drawn"),
    ({"count": 3, "gap": 2}, "gap goes with forward"),
])  # fmt: skip
def test_what_does_not_go_together_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Folding(**given)


KEYS = np.array([0] * 10 + [1] * 10)


@pytest.mark.parametrize(("folding", "rows", "groups", "keys", "message"), [
    (Folding(count=5, repeats=2), 4, None, None, "5 folds are to be left out in turn.* 4 rows"),
    (Folding(count=5, repeats=2), 20, KEYS, None, "5 folds are to be left out.* 2 groups"),
    (Folding(count=5, forward="sliding"), 5, None, KEYS, "need 6 rows or more.* has 5"),
    (Folding(count=4, forward="expanding", gap=4), 20, None, KEYS,
     "gap: 4 rows leave none of the 4 before the first of 4 folds"),
    (Folding(count=3, column="f"), 20, None, KEYS, "column 'f': one of its 3 folds has no row"),
    (Folding(count=2, column="f"), 20, np.zeros(20, int), KEYS, "rows of one group in two folds"),
])  # fmt: skip
def test_rows_that_cannot_be_divided_are_refused(
    folding: Folding, rows: int, groups: Any, keys: Any, message: str
) -> None:
    columns = FoldColumns(np.arange(rows), np.zeros(rows, int), groups, keys)
    with pytest.raises(DataError, match=message):
        require_folding(folding, columns, "rows.csv")


STRATA = np.array([0] * 14 + [1] * 6)


@pytest.mark.parametrize("folds", [7, Folding(count=7), Folding(count=7, repeats=3)])
def test_every_fold_has_every_class_unless_rows_have_groups(folds: Any) -> None:
    columns = FoldColumns(np.arange(20), STRATA)
    message = "rows.csv: splits.folds: 7 folds .* has 6 rows of class 'rare'; take at most 6 folds"
    with pytest.raises(DataError, match=message):
        require_folding(folds, columns, "rows.csv", ("often", "rare"))
    require_folding(6, columns, "rows.csv", ("often", "rare"))
    require_folding(folds, columns, "rows.csv")  # numbers have no classes
    require_folding(folds, replace(columns, groups=np.arange(20)), "rows.csv", ("often", "rare"))


def test_a_class_of_one_row_is_in_no_two_folds_and_does_not_count() -> None:
    columns = FoldColumns(np.arange(4), np.array([0, 0, 0, 1]))
    require_folding(3, columns, "X", (3, 7))
    with pytest.raises(DataError, match="has 3 rows of class '3'; take at most 3 folds"):
        require_folding(4, columns, "X", (3, 7))
    alone = FoldColumns(np.arange(2), np.array([0, 1]))
    with pytest.raises(DataError, match="has 2 rows; take at most 2 folds"):
        require_folding(3, alone, "X", (3, 7))


@pytest.mark.parametrize(("strata", "groups", "most"), [
    (STRATA, None, 6), (None, None, 20), (STRATA, np.arange(20) // 5, 4), (None, KEYS, 2),
])  # fmt: skip
def test_the_most_folds_are_the_members_of_the_rarest_class_or_the_groups_or_the_rows(
    strata: Any, groups: Any, most: int
) -> None:
    assert most_folds(strata, groups, 20) == most


@pytest.mark.parametrize(("rare", "most"), [(1, 9), (2, 9), (3, 3), (4, 4)])
def test_a_class_that_is_in_few_folds_anyway_does_not_count(rare: int, most: int) -> None:
    assert most_folds(np.repeat([0, 1], [9, rare]), None, 9 + rare) == most
