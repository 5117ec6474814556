"""Splits: every row in one part, each class in proportion, decided by the seed alone."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_pipe.arrays import Integers
from ensemble_pipe.data.splits import split_rows
from ensemble_pipe.errors import DataError
from ensemble_pipe.seeds import MAX_SEED

Sizes = dict[str, float | int]

seeds = st.integers(0, MAX_SEED)


@st.composite
def stratified(draw: Any) -> tuple[Integers, Sizes]:
    """Draw a class for each row, and sizes of which some rows are left for training."""
    classes = draw(st.lists(st.integers(1, 60), min_size=1, max_size=6))
    strata = np.repeat(np.arange(len(classes)), classes)
    rows = len(strata) + 4
    strata = np.concatenate([strata, np.zeros(4, np.int64)])
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    most = (rows - 1) // 3
    sizes: Sizes = {name: draw(st.integers(1, most)) for name in ("test", "validation", "stop")}
    return random.permutation(strata), sizes


@settings(deadline=None)
@given(stratified(), seeds)
def test_every_row_is_in_exactly_one_part(drawn: tuple[Integers, Sizes], seed: int) -> None:
    strata, sizes = drawn
    for classes in (strata, None):
        parts = split_rows(classes, len(strata), sizes, seed, "here")
        assert set(parts) == {"train", *sizes}
        assert np.array_equal(np.sort(np.concatenate([*parts.values()])), np.arange(len(strata)))
        assert all((np.diff(part) > 0).all() for part in parts.values())


@settings(deadline=None)
@given(stratified(), seeds)
def test_counts_are_exact(drawn: tuple[Integers, Sizes], seed: int) -> None:
    strata, sizes = drawn
    parts = split_rows(strata, len(strata), sizes, seed, "here")
    assert {name: len(parts[name]) for name in sizes} == sizes


@settings(deadline=None)
@given(st.integers(40, 3000), st.floats(0.05, 0.4), st.floats(0.05, 0.4), seeds)
def test_shares_are_rounded_to_rows(rows: int, test: float, stop: float, seed: int) -> None:
    parts = split_rows(None, rows, {"test": test, "stop": stop}, seed, "here")
    assert len(parts["test"]) == round(test * rows)
    assert len(parts["stop"]) == round(stop * rows)


@settings(deadline=None)
@given(stratified(), seeds)
def test_each_class_is_in_proportion_to_within_one_row(
    drawn: tuple[Integers, Sizes], seed: int
) -> None:
    strata, sizes = drawn
    parts = split_rows(strata, len(strata), sizes, seed, "here")
    left = np.bincount(strata)
    for name in sizes:
        taken = np.bincount(strata[parts[name]], minlength=len(left))
        assert (np.abs(taken - left * len(parts[name]) / left.sum()) < 1 + 1e-9).all()
        left = left - taken


def test_the_seed_decides() -> None:
    strata = np.arange(300) % 3
    sizes: Sizes = {"test": 0.2, "stop": 30}
    first, again, other = (split_rows(strata, 300, sizes, seed, "here") for seed in (5, 5, 6))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not any(np.array_equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (
            {"test": 60, "stop": 0.4},
            r"^f\.csv: the splits need 100 rows \(test 60, stop 40\) and training at least one, "
            "but there are 100; make splits smaller$",
        ),
        (
            {"train": 90, "test": 20},
            r"^f\.csv: the splits need 110 rows \(train 90, test 20\), but there are 100; make "
            "splits smaller$",
        ),
        (
            {"train": 0.9, "test": 0.2},
            r"^f\.csv: the splits need 110 rows \(train 90, test 20\), but there are 100; ",
        ),
        ({"train": 0.004, "test": 1}, r"^f\.csv: splits\.train is 0\.004 of 100 rows, which is no"),
        ({"test": 0.001}, r"^f\.csv: splits\.test is 0\.001 of 100 rows, which is none$"),
    ],
)
def test_parts_that_cannot_be_filled_are_refused(sizes: Sizes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        split_rows(None, 100, sizes, 1, "f.csv")


@settings(deadline=None)
@given(stratified(), seeds, st.data())
def test_a_named_number_of_training_rows_leaves_the_rest_out(
    drawn: tuple[Integers, Sizes], seed: int, data: Any
) -> None:
    strata, others = drawn
    left = len(strata) - sum(others.values())
    sizes: Sizes = {"train": data.draw(st.integers(1, int(left))), **others}
    parts = split_rows(strata, len(strata), sizes, seed, "here")
    assert {name: len(part) for name, part in parts.items()} == sizes
    together = np.concatenate([*parts.values()])
    assert len(np.unique(together)) == len(together)
    taken = np.bincount(strata[parts["train"]], minlength=strata.max() + 1)
    fair = np.bincount(strata) * len(parts["train"]) / len(strata)
    assert (np.abs(taken - fair) < 1 + 1e-9).all()


@pytest.mark.parametrize(
    ("shares", "counts"),
    [
        ((0.6, 0.2, 0.1, 0.1), [752, 251, 126, 126]),  # 753 + 251 + 126 + 126 is one too many
        ((0.5, 0.2, 0.1, 0.1), [628, 251, 126, 126]),
    ],
)
def test_shares_of_a_whole_are_never_more_than_there_is(
    shares: tuple[float, ...], counts: list[int]
) -> None:
    names = ("train", "test", "validation", "stop")
    parts = split_rows(None, 1255, dict(zip(names, shares, strict=True)), 1, "here")
    assert [len(parts[name]) for name in names] == counts


def test_one_row_may_be_left_for_training() -> None:
    parts = split_rows(None, 10, {"test": 5, "stop": 4}, 1, "here")
    assert len(parts["train"]) == 1
