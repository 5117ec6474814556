"""Splits: every row in one part, each class in proportion, decided by the seed alone."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_pipe.core.arrays import Integers
from ensemble_pipe.core.errors import DataError
from ensemble_pipe.core.seeds import MAX_SEED
from ensemble_pipe.data import splits
from ensemble_pipe.data.splits import split_rows

Sizes = dict[str, float | int]
Drawn = tuple[Integers, Sizes]  # what stands for each row, and the parts' sizes

seeds = st.integers(0, MAX_SEED)


@st.composite
def stratified(draw: Any) -> Drawn:
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
def test_every_row_is_in_exactly_one_part(drawn: Drawn, seed: int) -> None:
    strata, sizes = drawn
    for classes in (strata, None):
        parts = split_rows(classes, len(strata), sizes, seed, "here")
        assert set(parts) == {"train", *sizes}
        assert np.array_equal(np.sort(np.concatenate([*parts.values()])), np.arange(len(strata)))
        assert all((np.diff(part) > 0).all() for part in parts.values())


@settings(deadline=None)
@given(stratified(), seeds)
def test_counts_are_exact(drawn: Drawn, seed: int) -> None:
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
def test_each_class_is_in_proportion_to_within_one_row(drawn: Drawn, seed: int) -> None:
    strata, sizes = drawn
    parts = split_rows(strata, len(strata), sizes, seed, "here")
    left = np.bincount(strata)
    for name in sizes:
        taken = np.bincount(strata[parts[name]], minlength=len(left))
        assert (np.abs(taken - left * len(parts[name]) / left.sum()) < 1 + 1e-9).all()
        left = left - taken


@settings(deadline=None)
@given(stratified(), seeds)
def test_rows_are_sorted_by_class_block_by_block(drawn: Drawn, seed: int) -> None:
    strata, sizes = drawn
    whole = split_rows(strata, len(strata), sizes, seed, "here")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "_BLOCK_ROWS", 7)
        blocks = split_rows(strata, len(strata), sizes, seed, "here")
    assert all(np.array_equal(whole[name], blocks[name]) for name in whole)


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
        ({"train": 0.004, "test": 1}, r"^f\.csv: 100 rows .* the train part has a share of 0\.004"),
        (
            {"test": 0.001},
            r"^f\.csv: 100 rows are too few: the test part has a share of 0\.001, which is none of "
            r"them; at least 501 are needed, or give the part a number of rows, such as "
            r"`splits: \{test: 1\}`$",
        ),
    ],
)
def test_parts_that_cannot_be_filled_are_refused(sizes: Sizes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        split_rows(None, 100, sizes, 1, "f.csv")


@pytest.mark.parametrize("sizes", [
    {"test": 0.2, "validation": 0.1}, {"test": 0.001}, {"train": 0.004, "test": 5},
    {"train": 0.7, "test": 0.2, "validation": 0.1},
])  # fmt: skip
def test_the_rows_that_are_said_to_be_needed_are_enough_and_one_less_is_not(sizes: Sizes) -> None:
    with pytest.raises(DataError, match="at least") as refused:
        split_rows(None, 4, sizes, 1, "f.csv")
    least = int(str(refused.value).split("at least ")[1].split()[0])
    assert all(len(part) for part in split_rows(None, least, sizes, 1, "f.csv").values())
    with pytest.raises(DataError):
        split_rows(None, least - 1, sizes, 1, "f.csv")


@settings(deadline=None)
@given(stratified(), seeds, st.data())
def test_a_named_number_of_training_rows_leaves_the_rest_out(
    drawn: Drawn, seed: int, data: Any
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


@st.composite
def grouped(draw: Any) -> Drawn:
    """Draw a group for each row, in any order, enough of them for every part."""
    lengths = draw(st.lists(st.integers(1, 12), min_size=20, max_size=60))
    groups = np.repeat(draw(st.permutations(range(len(lengths)))), lengths)
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    share = st.floats(0.1, 0.25)
    sizes: Sizes = {name: draw(share) for name in ("test", "validation", "stop")}
    return random.permutation(groups), sizes


@settings(deadline=None)
@given(grouped(), seeds)
def test_no_group_stands_on_both_sides_of_a_split(drawn: Drawn, seed: int) -> None:
    groups, sizes = drawn
    rows = len(groups)
    parts = split_rows(np.arange(rows) % 2, rows, sizes, seed, "here", groups=groups)
    assert set(parts) == {"train", *sizes}
    of_part = {name: set(groups[part].tolist()) for name, part in parts.items()}
    assert sum(map(len, of_part.values())) == len(set(groups.tolist()))  # so no two share one
    assert np.array_equal(np.sort(np.concatenate([*parts.values()])), np.arange(rows))
    assert all((np.diff(part) > 0).all() for part in parts.values())


@settings(deadline=None)
@given(grouped(), seeds)
def test_groups_fill_the_parts_to_within_the_largest_group(drawn: Drawn, seed: int) -> None:
    groups, sizes = drawn
    rows, largest = len(groups), np.bincount(groups).max()
    parts = split_rows(None, rows, sizes, seed, "here", groups=groups)
    for name, share in sizes.items():
        assert abs(len(parts[name]) - share * rows) <= largest


def test_the_seed_decides_which_groups_go_where() -> None:
    groups = np.arange(600) // 10
    sizes: Sizes = {"test": 0.2, "stop": 60}
    first, again, other = (
        split_rows(None, 600, sizes, seed, "here", groups=groups) for seed in (5, 5, 6)
    )
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not any(np.array_equal(first[name], other[name]) for name in first)


def test_too_few_groups_for_the_parts_are_refused() -> None:
    groups = np.repeat([7, 9], 50)
    message = r"^f\.csv: 2 groups are too few, or too unequal: none is left for the \w+ part"
    with pytest.raises(DataError, match=message):
        split_rows(None, 100, {"test": 0.2, "stop": 0.2}, 1, "f.csv", groups=groups)


@settings(deadline=None)
@given(stratified(), seeds, st.data())
def test_parts_follow_one_another_in_time(drawn: Drawn, seed: int, data: Any) -> None:
    strata, sizes = drawn
    rows = len(strata)
    if data.draw(st.booleans()):
        sizes["train"] = data.draw(st.integers(1, int(rows - sum(sizes.values()))))
    times = np.random.default_rng(seed % 2**32).integers(0, rows, rows)  # some at once
    times[0] = rows  # not all at once
    parts = split_rows(strata, rows, sizes, seed, "here", times=times)
    assert {name: len(parts[name]) for name in sizes} == sizes
    order = [times[parts[name]] for name in ("train", "stop", "validation", "test")]
    for earlier, later in itertools.pairwise(order):
        assert earlier.max() <= later.min()
    together = np.concatenate([*parts.values()])
    assert len(np.unique(together)) == len(together)
    assert all((np.diff(part) > 0).all() for part in parts.values())


def test_one_time_for_all_rows_is_refused() -> None:
    message = r"^f\.csv: all rows have the same time, so the splits cannot follow it"
    with pytest.raises(DataError, match=message):
        split_rows(None, 100, {"test": 0.2}, 1, "f.csv", times=np.full(100, 7.0))


def test_time_leaves_nothing_to_the_seed() -> None:
    times = np.random.default_rng(0).normal(size=300)
    sizes: Sizes = {"test": 0.2, "stop": 30}
    first, other = (split_rows(None, 300, sizes, seed, "here", times=times) for seed in (5, 6))
    assert all(np.array_equal(first[name], other[name]) for name in first)
