"""Views of learners: how often each sees a row, and which columns."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import Prepared
from scipy import stats

from ensemble_pipe.core.arrays import Array, Integers
from ensemble_pipe.data import folding
from ensemble_pipe.data.learner_view import View, feature_mask, folds_of, row_counts
from ensemble_pipe.data.tables.spans import Span

ROWS = 6000
NUMBERS = np.arange(ROWS) * 3 + 1
CLASSES = np.random.default_rng(0).choice(3, ROWS, p=[0.9, 0.09, 0.01])
GROUPS = np.random.default_rng(1).integers(0, 200, ROWS)


def counts(view: View, learner: int = 0, seed: int = 1, **parts: Array) -> Integers:
    rows, strata = parts.get("rows", NUMBERS), parts.get("strata", CLASSES)
    groups = parts.get("groups")
    seen = None
    if view.folds is not None:
        fold = folds_of(view.folds, seed, rows, strata, groups)
        seen = fold != learner % view.folds
    found = row_counts(view, seed, learner, rows, strata, seen)
    assert found is not None
    return found


def test_a_whole_view_counts_nothing() -> None:
    assert row_counts(View(features=0.5), 1, 0, NUMBERS, CLASSES, None) is None


def test_bootstrap_counts_are_poisson_of_mean_one() -> None:
    found = np.bincount(counts(View(bootstrap=True)), minlength=5)[:5]
    expected = ROWS * stats.poisson.pmf(np.arange(5), 1.0)
    assert np.all(np.abs(found - expected) < 4 * np.sqrt(expected))


def test_a_rows_draw_depends_on_its_number_in_the_source_alone() -> None:
    whole = counts(View(bootstrap=True))
    some = np.array([7, 100, 3000, 5999])
    fewer = counts(View(bootstrap=True), rows=NUMBERS[some], strata=CLASSES[some])
    assert np.array_equal(fewer, whole[some])


@pytest.mark.parametrize(
    "view", [View(bootstrap=True), View(balance_classes=True), View(folds=5)], ids=str
)
def test_learner_and_seed_decide(view: View) -> None:
    first = counts(view)
    assert np.array_equal(counts(view), first)
    assert not np.array_equal(counts(view, learner=1), first)
    assert not np.array_equal(counts(view, seed=2), first)


@pytest.mark.parametrize("bootstrap", [False, True])
def test_balanced_classes_are_seen_alike(bootstrap: bool) -> None:
    found = counts(View(balance_classes=True, bootstrap=bootstrap))
    seen = np.bincount(CLASSES, weights=found)
    # Each class in ROWS / 3 rows, up to the chance of its draws.
    assert np.all(np.abs(seen - ROWS / 3) < 5 * np.sqrt(ROWS / 3) * (1 + 20 * bootstrap))
    if not bootstrap:
        rare = found[CLASSES == 2]
        assert rare.max() - rare.min() <= 1


@pytest.mark.parametrize("groups", [None, GROUPS], ids=["rows", "groups"])
def test_each_fold_is_left_out_by_one_learner_in_turn(groups: Array | None) -> None:
    parts: dict[str, Any] = {} if groups is None else {"groups": groups}
    left_out = np.stack([counts(View(folds=5), learner, **parts) == 0 for learner in range(5)])
    assert np.array_equal(left_out.sum(axis=0), np.ones(ROWS))
    again = counts(View(folds=5), learner=5, **parts) == 0
    assert np.array_equal(again, left_out[0])


def test_folds_hold_every_class_in_its_proportion() -> None:
    fold = folds_of(5, 1, NUMBERS, CLASSES)
    for value in range(3):
        sizes = np.bincount(fold[value == CLASSES], minlength=5)
        assert sizes.max() - sizes.min() <= 1


def test_no_group_stands_in_two_folds_and_folds_are_about_equal() -> None:
    fold = folds_of(5, 1, NUMBERS, CLASSES, GROUPS)
    assert all(len(set(fold[group == GROUPS])) == 1 for group in range(200))
    assert np.ptp(np.bincount(fold)) < 60


def test_folds_are_dealt_out_once_for_all_learners(
    prepare: Callable[..., Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = itertools.count()

    def counted(*given: Any) -> Integers:
        next(asked)
        return folds_of(*given)

    monkeypatch.setattr(folding, "folds_of", counted)
    data, view = prepare(view={"folds": 3}).data, View(folds=3)
    lengths = [data.stream(learner, view).rows for learner in range(3)]
    assert (sum(lengths), next(asked)) == (2 * data.rows, 1)


def test_bootstrap_of_a_fold_draws_from_the_other_folds_only() -> None:
    fold = folds_of(4, 1, NUMBERS, CLASSES)
    assert not counts(View(folds=4, bootstrap=True), learner=2)[fold == 2].any()


@pytest.mark.parametrize(
    ("view", "rows"),
    [(View(), 103), (View(bootstrap=True), 103), (View(balance_classes=True), 103),
     (View(folds=5), 82), (View(folds=2), 51)],
    ids=str,
)  # fmt: skip
def test_an_epoch_has_one_length_for_all_learners(view: View, rows: int) -> None:
    assert view.rows(103) == rows


SPANS = (
    Span(0, 1, "number"), Span(1, 3, "number"), Span(3, 8, "one_hot"), Span(8, 9, "code"),
)  # fmt: skip


def test_a_subspace_keeps_whole_columns() -> None:
    for learner in range(20):
        mask = feature_mask(View(features=0.5), 1, learner, SPANS)
        assert mask is not None
        kept = [set(mask[span.start : span.stop].tolist()) for span in SPANS]
        assert all(len(values) == 1 for values in kept)
        assert sum(values == {1.0} for values in kept) == 2


def test_every_column_is_in_some_subspace_and_learners_differ() -> None:
    masks = [feature_mask(View(features=0.5), 1, learner, SPANS) for learner in range(20)]
    assert np.stack([mask for mask in masks if mask is not None]).any(axis=0).all()
    assert len({mask.tobytes() for mask in masks if mask is not None}) > 3


def test_all_columns_need_no_mask_and_at_least_one_is_kept() -> None:
    assert feature_mask(View(), 1, 0, SPANS) is None
    mask = feature_mask(View(features=0.01), 1, 0, SPANS)
    assert mask is not None
    assert mask.any()


def test_a_class_that_a_fold_holds_alone_is_not_missed() -> None:
    """Whole groups are left out, so that a class may be gone from what a learner sees."""
    rows, groups = np.arange(30), np.arange(30) // 10
    for learner in range(3):
        view = View(folds=3, balance_classes=True, bootstrap=True)
        seen = folds_of(3, 1, rows, groups, groups) != learner
        found = row_counts(view, 1, learner, rows, groups, seen)
        assert found is not None
        assert found.any()
        assert len(set(groups[found > 0])) == 2
