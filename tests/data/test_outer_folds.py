"""Outer folds: each row is in the test part once, with classes and groups kept as in splits."""

import numpy as np
import pytest

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.data.outer_folds import OuterFold, split_parts
from ensemble_pipe.data.splits import Parts

ROWS = 60
SIZES = {"test": 0.2, "validation": 0.25, "stop": 6}


def parts_of(fold: int, strata: Array | None = None, groups: Array | None = None) -> Parts:
    outer = OuterFold(count=4, fold=fold)
    return split_parts(strata, ROWS, SIZES, 1, "x", groups, outer=outer)


def test_each_row_is_tested_once_and_the_others_are_divided_by_their_sizes() -> None:
    found = [parts_of(fold) for fold in range(4)]
    assert sorted(np.concatenate([parts["test"] for parts in found])) == list(range(ROWS))
    for parts in found:
        assert {name: len(rows) for name, rows in parts.items()} == {
            "test": 15, "validation": 11, "stop": 6, "train": 28,
        }  # fmt: skip
        assert sorted(np.concatenate(list(parts.values()))) == list(range(ROWS))


def test_each_fold_holds_every_class_in_its_proportion() -> None:
    strata = np.repeat(np.arange(3, dtype=np.int32), 20)
    for fold in range(4):
        assert np.bincount(strata[parts_of(fold, strata=strata)["test"]]).tolist() == [5, 5, 5]


def test_groups_stay_together() -> None:
    groups = np.random.default_rng(0).integers(0, 20, ROWS)
    for fold in range(4):
        parts = parts_of(fold, groups=groups)
        own = [set(groups[rows]) for rows in parts.values()]
        assert sum(map(len, own)) == len(set(groups))


def test_a_fold_that_is_none_of_them_is_refused() -> None:
    with pytest.raises(ValueError, match="4 is none of 4 folds, counted from 0"):
        OuterFold(count=4, fold=4)
    with pytest.raises(DataError, match="61 folds are to be left out"):
        split_parts(None, ROWS, SIZES, 1, "x", nested=61)
