"""Augmentations of tables: promises that each keeps, and what each does to source columns."""

import numpy as np
import pytest

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.data.augment.tables import FeatureDropout, FeatureNoise, SwapNoise
from ensemble_pipe.data.tables.spans import Span, columns_of

Augmentation = FeatureNoise | FeatureDropout | SwapNoise

SPANS = (
    Span(0, 2, "number"),
    Span(2, 5, "one_hot"),
    Span(5, 6, "code"),
    Span(6, 7, "number", mean=0.5, deviation=0.25),
)
WIDTH = SPANS[-1].stop
NUMBERS, OTHERS = [0, 6], [1, 2, 3, 4, 5]

# Of each: at strength zero, and as strong as it gets.
TABLE: dict[str, tuple[Augmentation, Augmentation]] = {
    "feature_noise": (FeatureNoise(deviation=0), FeatureNoise(deviation=100)),
    "feature_dropout": (FeatureDropout(probability=0), FeatureDropout(probability=1)),
    "swap_noise": (SwapNoise(probability=0), SwapNoise(probability=1)),
}

each = pytest.mark.parametrize("name", TABLE)
each_count = pytest.mark.parametrize("count", [0, 1, 50])


def rows_of(count: int) -> Floats:
    """Rows (count, D) without zeros, but for one negative zero."""
    rows = np.random.default_rng(3).uniform(1, 2, (count, WIDTH)).astype(np.float32)
    rows[:1, 0] = -0.0
    return rows


def numbered(count: int) -> Floats:
    """Rows that hold their own number in every feature, counted from 1."""
    return np.repeat(np.arange(1, count + 1, dtype=np.float32)[:, None], WIDTH, axis=1)


def at(epoch: int = 0, shard: int = 0) -> np.random.Generator:
    return seeds.generator(1, seeds.Purpose.AUGMENT, epoch=epoch, shard=shard)


def by_column(features: Array) -> Array:
    """Return (R, S) from features (R, D) that are the same throughout each source column."""
    firsts = features[:, [span.start for span in SPANS]]
    assert np.array_equal(firsts[:, columns_of(SPANS, WIDTH)], features)
    return firsts


@each
@each_count
def test_an_augmentation_is_pure(name: str, count: int) -> None:
    rows = rows_of(count)
    rows.setflags(write=False)
    strong = TABLE[name][1]
    out = strong.apply(rows, at(), SPANS)
    assert out.shape == rows.shape
    assert out.dtype == np.float32
    assert strong.name == name
    assert not np.shares_memory(out, rows)
    assert np.array_equal(out, strong.apply(rows, at(), SPANS))


@each
@each_count
def test_strength_zero_is_the_identity(name: str, count: int) -> None:
    rows = rows_of(count)
    assert TABLE[name][0].apply(rows, at(), SPANS).tobytes() == rows.tobytes()


@each
def test_another_address_gives_other_rows(name: str) -> None:
    default, rows = type(TABLE[name][0])(), rows_of(50)
    first = default.apply(rows, at(epoch=2), SPANS)
    assert not np.array_equal(first, rows)
    assert not np.array_equal(default.apply(rows, at(epoch=3), SPANS), first)
    assert not np.array_equal(default.apply(rows, at(epoch=2, shard=1), SPANS), first)


def test_noise_has_the_deviation_of_its_column_and_leaves_all_but_numbers() -> None:
    rows = rows_of(40_000)
    noise = FeatureNoise(deviation=0.5).apply(rows, at(), SPANS) - rows
    assert not noise[:, OTHERS].any()
    assert noise[:, NUMBERS].mean(0) == pytest.approx(0, abs=0.01)
    assert noise[:, NUMBERS].std(0) == pytest.approx([0.5, 0.5 * 0.25], rel=0.02)
    assert np.corrcoef(noise[:, 0], noise[:, 6])[0, 1] == pytest.approx(0, abs=0.02)


def test_a_constant_column_stays_constant() -> None:
    spans = (Span(0, 1, "number", deviation=0), Span(1, WIDTH, "one_hot"))
    rows = rows_of(20)
    assert np.array_equal(FeatureNoise(deviation=1).apply(rows, at(), spans), rows)


def test_a_table_without_numbers_has_no_noise() -> None:
    spans = (Span(0, WIDTH, "one_hot"),)
    rows = rows_of(20)
    assert np.array_equal(FeatureNoise(deviation=1).apply(rows, at(), spans), rows)


def test_dropout_leaves_the_mean_of_a_number_and_no_category() -> None:
    out = FeatureDropout(probability=1).apply(rows_of(20), at(), SPANS)
    assert np.array_equal(out, np.tile([0, 0, 0, 0, 0, 0, np.float32(0.5)], (20, 1)))


def test_dropout_takes_whole_columns_with_its_probability() -> None:
    rows = rows_of(20_000) + 1
    lost = by_column(FeatureDropout(probability=0.2).apply(rows, at(), SPANS) != rows)
    assert lost.mean(0) == pytest.approx(0.2, abs=0.015)
    together = (lost[:, 0] & lost[:, 1]).mean()
    assert together == pytest.approx(0.2**2, abs=0.01)


def test_swaps_take_whole_columns_with_their_probability() -> None:
    rows = numbered(20_000)
    swapped = by_column(SwapNoise(probability=0.15).apply(rows, at(), SPANS)) != rows[:, :1]
    assert swapped.mean(0) == pytest.approx(0.15, abs=0.015)


def test_a_swap_comes_from_any_other_row_for_each_column_alone() -> None:
    count, turns = 5, 1000
    rows = numbered(count)
    found = np.zeros((count, count))
    alike = 0
    for epoch in range(turns):
        donors = by_column(SwapNoise(probability=1).apply(rows, at(epoch), SPANS)).astype(int) - 1
        np.add.at(found, (np.arange(count)[:, None], donors), 1)
        alike += int((donors[:, 0] == donors[:, 1]).sum())
    share = found / (turns * len(SPANS))
    expected = (1 - np.eye(count)) / (count - 1)
    assert share.ravel() == pytest.approx(expected.ravel(), abs=0.03)
    assert not np.diag(found).any()
    assert alike / (turns * count) == pytest.approx(1 / (count - 1), abs=0.03)


def test_swapped_values_are_values_of_their_column() -> None:
    rows = rows_of(300)
    out = SwapNoise(probability=0.5).apply(rows, at(), SPANS)
    for feature in range(WIDTH):
        assert np.isin(out[:, feature], rows[:, feature]).all()


def test_each_feature_belongs_to_the_span_it_lies_in() -> None:
    assert columns_of(SPANS, WIDTH).tolist() == [0, 0, 1, 1, 1, 2, 3]


@pytest.mark.parametrize(
    ("spans", "width"),
    [
        (SPANS, WIDTH + 1),
        (SPANS, WIDTH - 1),
        (SPANS[1:], WIDTH),
        (SPANS[::-1], WIDTH),
        ((*SPANS[:2], SPANS[3]), WIDTH),
        ((Span(0, 0, "one_hot"), Span(0, 2, "number")), 2),
        ((Span(0, 2, "number"), Span(1, 2, "number")), 2),
        ((), 1),
    ],
)
def test_spans_that_do_not_fit_the_row_are_refused(spans: tuple[Span, ...], width: int) -> None:
    with pytest.raises(ValueError, match="must follow one another"):
        columns_of(spans, width)
