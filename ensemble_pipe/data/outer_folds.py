"""Outer folds of all rows: each in turn is the test part, as in nested cross-validation.

Stone 1974, "Cross-validatory choice and assessment of statistical predictions"; Varma & Simon 2006,
"Bias in error estimation when using cross-validation for model selection".
"""

from typing import Annotated

import numpy as np
from annotated_types import Ge

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.settings import settings
from ensemble_pipe.data.learner_view import folds_of, require_folds
from ensemble_pipe.data.splits import Parts, Sizes, split_rows

# Draws of their own, which no partition of the training part has.
_DRAWS = 1 << 20


@settings
class OuterFold:
    """A test part that is one of several folds of all rows.

    Attributes:
        count: how many folds; each holds every class in its proportion, or whole groups.
        fold: which of them is the test part, from 0 on.
    """

    count: Annotated[int, Ge(2)]
    fold: Annotated[int, Ge(0)] = 0

    def __post_init__(self) -> None:
        if self.fold >= self.count:
            raise ValueError(f"fold: {self.fold} is none of {self.count} folds, counted from 0")


def split_parts(
    strata: Array | None,
    rows: int,
    sizes: Sizes,
    seed: int,
    where: str,
    groups: Array | None = None,
    times: Array | None = None,
    outer: OuterFold | None = None,
    nested: int | None = None,
) -> Parts:
    """Return `split_rows`, of those rows that an outer fold leaves where one is the test part.

    Args:
        strata, rows, sizes, seed, where, groups, times: as for `split_rows`.
        outer: the fold; then a size of `test` is ignored.
        nested: how many outer folds the rows will be divided into afterwards.

    Raises:
        DataError: as for `split_rows`; rows or groups are fewer than outer folds, or have times.
    """
    count = nested if outer is None else outer.count
    if count is not None:
        _require_outer_folds(count, rows, groups, times, where)
    if outer is None:
        return split_rows(strata, rows, sizes, seed, where, groups=groups, times=times)
    classes = np.zeros(rows, np.int32) if strata is None else strata
    fold = folds_of(outer.count, seed, np.arange(rows), classes, groups, _DRAWS)
    rest = np.flatnonzero(fold != outer.fold)
    parts = split_rows(
        None if strata is None else strata[rest],
        len(rest),
        {name: size for name, size in sizes.items() if name != "test"},
        seed,
        where,
        groups=None if groups is None else groups[rest],
    )
    found: Parts = {name: rest[places] for name, places in parts.items()}
    return {**found, "test": np.flatnonzero(fold == outer.fold)}


def _require_outer_folds(
    count: int, rows: int, groups: Array | None, times: Array | None, where: str
) -> None:
    if times is not None:
        raise DataError(
            f"{where}: the rows have times, and outer folds would be tested by what was trained on "
            "later rows; leave search.nested and splits.outer out, or name no time column"
        )
    require_folds(count, rows, groups, where)
