"""Folds for cross-fitting: every row is held out once."""

import numpy as np

from ensemble_pipe.core.arrays import Array, Integers
from ensemble_pipe.core.errors import DataError


def fold_numbers(strata: Array, groups: Array, folds: int, random: np.random.Generator) -> Integers:
    """Return the fold (R,), 0 to folds - 1, that each row is left out in.

    Groups are shuffled, put in order of class, and dealt out one by one, so that every fold has its
    share of each class.

    Args:
        strata: (R,) class of each row; that of a group is the one of its first row.
        groups: (R,) group of each row; rows of one group share a fold.
        folds: how many.
        random: shuffles.

    Raises:
        DataError: there are fewer groups than folds.
    """
    _, first, group_of = np.unique(groups, return_index=True, return_inverse=True)
    if len(first) < folds:
        raise DataError(
            f"{len(first)} rows or groups of rows are too few for {folds} folds; "
            "make the validation part larger, or take fewer folds"
        )
    order = random.permutation(len(first))
    order = order[np.argsort(strata[first[order]], kind="stable")]
    fold_of_group = np.empty(len(first), np.int64)
    fold_of_group[order] = np.arange(len(first)) % folds
    return fold_of_group[group_of]
