"""How the rows of a run are divided: what defaults say of it, into parts, and into folds."""

import numpy as np

from ensemble_pipe.config.defaults import MOST_ROWS_IN_FOLDS, DataFacts
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.core.arrays import Array, Integers
from ensemble_pipe.data.folding import (
    LEAST_COUNTED,
    AnyFolds,
    FoldColumns,
    most_folds,
    require_folding,
)
from ensemble_pipe.data.labelled import LabelledRows
from ensemble_pipe.data.outer_folds import split_parts


def facts_of(config: Pipeline, data: LabelledRows, has_test: bool) -> DataFacts:
    """Return what default settings depend on; a share of the rows is not yet taken for the test."""
    test = config.splits.test_size
    tested = 0 if has_test else test if test >= 1 else round(test * data.count)
    left = max(1, data.count - int(tested))
    facts = DataFacts(left, data.rows.is_image, data.times is None)
    if left > MOST_ROWS_IN_FOLDS:
        return facts
    most = most_folds(_strata(config, data), data.groups, data.count)
    # Of the rarest class that counts, the test part leaves so many, or too few to count.
    least = LEAST_COUNTED if data.groups is None else 1
    most = max(least, most * left // data.count)
    return DataFacts(left, facts.images, facts.divisible, most)


def divide(config: Pipeline, data: LabelledRows, has_test: bool) -> dict[str, Integers]:
    """Return the places of each part, ascending; errors as for `split_parts`."""
    sizes = config.splits.sizes
    if has_test:
        del sizes["test"]
    parts = split_parts(
        _strata(config, data), data.count, sizes, config.seed, data.rows.where, data.groups,
        data.times, config.splits.outer, config.search.nested if config.search else None,
    )  # fmt: skip
    if config.splits.stop == "validation":
        parts["stop"] = parts["validation"]
    return parts


def require_folds_asked_for(
    folds: AnyFolds, data: LabelledRows, places: Integers, classes: tuple[int | str, ...]
) -> None:
    """Check that the rows at places, of the training part, can be divided into folds.

    Raises:
        DataError: as for `require_folding`.
    """
    codes = np.unique(data.strata, return_inverse=True)[1]
    groups, keys = (
        None if values is None else values[places] for values in (data.groups, data.folds)
    )
    columns = FoldColumns(places, codes[places], groups, keys)
    require_folding(folds, columns, data.rows.where, classes)


def _strata(config: Pipeline, data: LabelledRows) -> Array | None:
    return data.strata if config.task == "classification" else None
