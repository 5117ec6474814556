"""A learner's view of the data: bootstrap counts, folds, class balancing, random feature subsets.

All learners read the same shards. Differences are computed from (seed, learner, number of the row
in its source), so that no learner needs a copy.
"""

from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.settings import settings
from ensemble_pipe.data.tables.spans import Span

# Beyond the mean by so many, a Poisson count has no chance left in 53 bits.
_POISSON_TAIL = 12


@settings
class View:
    """The part of the training data that a learner sees.

    Attributes:
        bootstrap: each row is repeated by a Poisson draw of mean 1, the limit of the bootstrap for
            many rows (Oza & Russell 2001, "Online bagging and boosting").
        folds: learner i leaves out fold i modulo `folds`. A fold holds every class in its
            proportion; where rows have groups, whole groups instead.
        balance_classes: rows of rare classes are seen more often, so that all classes are seen
            alike (with `bootstrap`: balanced bagging; Chen, Liaw & Breiman 2004).
        features: share of the table's columns that each learner sees (Ho 1998, "The random
            subspace method"); the others are zero to it.
    """

    bootstrap: bool = False
    folds: Annotated[int, Ge(2)] | None = None
    balance_classes: bool = False
    features: Annotated[float, Gt(0), Le(1)] = 1.0

    @property
    def is_whole(self) -> bool:
        """Whether every row is seen once."""
        return not (self.bootstrap or self.folds or self.balance_classes)

    def rows(self, rows: int) -> int:
        """Return the number of rows in an epoch, of R.

        Learners that draw their rows see about as many; an epoch has one length for all of them,
        so that they take the same number of steps and can be trained side by side.
        """
        return rows if self.folds is None else rows - -(-rows // self.folds)


def row_counts(
    view: View, seed: int, learner: int, rows: Integers, strata: Array, seen: Array | None
) -> Integers | None:
    """Return how often each row occurs in a learner's epoch; None where each occurs once.

    Args:
        view: of the learner.
        seed: of the run.
        learner: its id.
        rows: (R,) numbers of the rows in their source.
        strata: (R,) classes; all 0 for numbers.
        seen: (R,) bool, false where rows are left out; None where none are.

    Returns:
        (R,) int32, not all 0.
    """
    if seen is None and not (view.bootstrap or view.balance_classes):
        return None
    kept = np.ones(len(rows), bool) if seen is None else seen
    mean = np.ones(len(rows))
    if view.balance_classes:
        present = np.bincount(strata[kept], minlength=int(strata.max()) + 1)
        wanted = kept.sum() / np.count_nonzero(present)
        means = np.where(present > 0, wanted / np.maximum(present, 1), 0.0)
        mean = means[strata]
    if not (view.bootstrap or view.balance_classes):
        return kept.astype(np.int32)
    uniform = _uniform(seed, seeds.Purpose.VIEW, learner, rows)
    counts = _poisson(mean, uniform) if view.bootstrap else _round_at_random(mean, uniform)
    counts = np.where(kept, counts, 0).astype(np.int32)
    return counts if counts.any() else kept.astype(np.int32)


def folds_of(
    folds: int,
    seed: int,
    rows: Integers,
    strata: Array,
    groups: Array | None = None,
    repeat: int = 0,
) -> Integers:
    """Return the fold (R,) of each row, 0 to folds - 1, in the smallest type that holds them.

    The folds are the same for every learner.

    Rows are put in order of class, at random within a class, and dealt out in turn. With groups
    whole groups are dealt out, in an order of their own, each to the fold with the fewest rows.
    Each `repeat` has draws of its own.
    """
    if groups is not None:
        return _group_folds(folds, seed, groups, repeat)
    uniform = _uniform(seed, seeds.Purpose.FOLD, repeat, rows)
    fold = np.empty(len(rows), np.min_scalar_type(folds - 1))
    fold[np.lexsort((uniform, strata))] = np.arange(len(rows)) % folds
    return fold


def require_folds(folds: int, rows: int, groups: Array | None, where: str) -> None:
    """Check that there are enough rows, or groups, for every fold.

    Args:
        folds: their number.
        rows: of the training part.
        groups: (R,) of these, where rows have groups.
        where: the name of the source.

    Raises:
        DataError: there are fewer rows, or groups, than folds.
    """
    found, what = (rows, "rows") if groups is None else (len(np.unique(groups)), "groups")
    if found < folds:
        raise DataError(
            f"{where}: {folds} folds are to be left out in turn, but the training part has {found} "
            f"{what}; take at most {found} learners under cross-validation, or view.folds"
        )


def feature_mask(view: View, seed: int, learner: int, spans: tuple[Span, ...]) -> Floats | None:
    """Return the mask (D,) of the features that a learner sees, 1 or 0; None for all."""
    if view.features == 1.0:
        return None
    random = seeds.generator(seed, seeds.Purpose.FEATURES, learner=learner)
    kept = random.permutation(len(spans))[: max(1, round(view.features * len(spans)))]
    mask = np.zeros(spans[-1].stop, np.float32)
    for index in kept:
        mask[spans[index].start : spans[index].stop] = 1.0
    return mask


def _uniform(seed: int, purpose: seeds.Purpose, learner: int, rows: Integers) -> Floats:
    """Return a uniform draw (R,) in [0, 1) for each row, a function of the row's number alone."""
    draws = seeds.generator(seed, purpose, learner=learner).random(int(rows.max()) + 1)
    return draws[rows]


def _round_at_random(mean: Floats, uniform: Floats) -> Integers:
    """Round `mean` at random to a neighbouring integer, with `mean` as the expectation."""
    below = np.floor(mean)
    return (below + (uniform < mean - below)).astype(np.int64)


def _poisson(mean: Floats, uniform: Floats) -> Integers:
    """Return Poisson counts, one for each mean, by inverse transform sampling."""
    counts = np.zeros(len(mean), np.int64)
    for value in np.unique(mean[mean > 0]):
        here = mean == value
        largest = int(value + _POISSON_TAIL * np.sqrt(value) + _POISSON_TAIL)
        steps = np.concatenate([[0.0], np.log(np.arange(1, largest + 1))]).cumsum()
        log_shares = np.arange(largest + 1) * np.log(value) - value - steps
        counts[here] = np.searchsorted(np.exp(log_shares).cumsum(), uniform[here], side="right")
    return counts


def _group_folds(folds: int, seed: int, groups: Array, repeat: int) -> Integers:
    codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)[1:]
    order = seeds.generator(seed, seeds.Purpose.FOLD, learner=repeat).permutation(len(sizes))
    held = np.zeros(folds, np.int64)
    fold = np.empty(len(sizes), np.min_scalar_type(folds - 1))
    for group in order:
        fold[group] = int(held.argmin())
        held[fold[group]] += sizes[group]
    return fold[codes]
