"""Augmentations of series: promises that each keeps, and what each does to a series."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Prepared

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.data.augment.signals import (
    FrequencyMask,
    SignalNoise,
    SignalScale,
    SignalShift,
    TimeMask,
)

Augmentation = SignalShift | SignalScale | TimeMask | FrequencyMask | SignalNoise

# Of each: at strength zero, and one that changes rows.
TABLE: dict[str, tuple[Augmentation, Augmentation]] = {
    "signal_shift": (SignalShift(steps=0), SignalShift(steps=5)),
    "signal_scale": (SignalScale(factor=1), SignalScale(factor=3)),
    "time_mask": (TimeMask(share=0), TimeMask(share=1)),
    "frequency_mask": (FrequencyMask(share=0), FrequencyMask(share=1)),
    "signal_noise": (SignalNoise(deviation=0), SignalNoise(deviation=3)),
}
# With a probability of 0.3, and the share of rows that this changes: some moves are by 0 steps.
SHARES: dict[str, tuple[Augmentation, float]] = {
    "signal_shift": (SignalShift(steps=5, probability=0.3), 0.3 * 10 / 11),
    "signal_scale": (SignalScale(factor=3, probability=0.3), 0.3),
    "time_mask": (TimeMask(share=0.5, probability=0.3), 0.3 * 6 / 7),
    "frequency_mask": (FrequencyMask(share=0.5, probability=0.3), 0.3 * 3 / 4),
    "signal_noise": (SignalNoise(deviation=3, probability=0.3), 0.3),
}

each = pytest.mark.parametrize("name", TABLE)
each_shape = pytest.mark.parametrize("shape", [(50, 12), (50, 7), (20, 1), (1, 12), (0, 12)])


def rows_of(shape: tuple[int, int]) -> Floats:
    """Rows (R, D) without zeros, but for one negative zero."""
    rows = np.random.default_rng(3).uniform(1, 2, shape).astype(np.float32)
    rows[:1, 0] = -0.0
    return rows


def at(epoch: int = 0, shard: int = 0) -> np.random.Generator:
    return seeds.generator(1, seeds.Purpose.AUGMENT, epoch=epoch, shard=shard)


def changed(out: Array, rows: Array) -> Array:
    rows_that_differ: Array = (out != rows).any(1)
    return rows_that_differ


@each
@each_shape
def test_an_augmentation_is_pure(name: str, shape: tuple[int, int]) -> None:
    rows = rows_of(shape)
    rows.setflags(write=False)
    strong = TABLE[name][1]
    out = strong.apply(rows, at())
    assert out.shape == shape
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    assert strong.name == name
    assert not np.shares_memory(out, rows)
    assert np.array_equal(out, strong.apply(rows, at()))


@each
@each_shape
def test_strength_zero_is_the_identity(name: str, shape: tuple[int, int]) -> None:
    rows = rows_of(shape)
    weak, strong = TABLE[name]
    for unmoved in (weak, replace(strong, probability=0)):
        assert unmoved.apply(rows, at()).tobytes() == rows.tobytes()


@each
def test_another_address_gives_other_rows(name: str) -> None:
    default, rows = type(TABLE[name][1])(), rows_of((50, 12))
    first = default.apply(rows, at(epoch=2))
    assert not np.array_equal(first, rows)
    assert not np.array_equal(default.apply(rows, at(epoch=3)), first)
    assert not np.array_equal(default.apply(rows, at(epoch=2, shard=1)), first)


@each
def test_rows_are_changed_with_their_probability(name: str) -> None:
    augmentation, share = SHARES[name]
    rows = rows_of((20_000, 12))
    assert changed(augmentation.apply(rows, at()), rows).mean() == pytest.approx(share, abs=0.015)


def test_a_shift_moves_a_series_and_holds_its_ends() -> None:
    count, steps, series = 4000, 3, np.arange(1.0, 9.0, dtype=np.float32)
    out = SignalShift(steps=steps).apply(np.tile(series, (count, 1)), at())
    padded = np.pad(series, steps, mode="edge")
    possible = np.stack([padded[start : start + 8] for start in range(2 * steps + 1)])
    matches = (out[:, None] == possible).all(2)
    assert matches.any(1).all()
    assert matches.mean(0) == pytest.approx(1 / 7, abs=0.03)


def test_a_shift_further_than_a_series_is_long_leaves_one_value() -> None:
    rows = rows_of((400, 3))
    out = SignalShift(steps=1000).apply(rows, at())
    assert (out == out[:, :1]).all(1).mean() > 0.98


def test_factors_are_even_in_their_logarithm() -> None:
    rows = rows_of((20_000, 4))[1:]
    factors = SignalScale(factor=2).apply(rows, at()) / rows
    assert np.allclose(factors, factors[:, :1], rtol=1e-6)
    places = np.log2(factors[:, 0])
    assert np.abs(places).max() <= 1 + 1e-6
    counts = np.histogram(places, bins=10, range=(-1, 1))[0] / len(places)
    assert counts == pytest.approx(0.1, abs=0.01)


def test_a_time_mask_is_one_stretch_of_up_to_its_share() -> None:
    width, longest = 20, 5
    rows = rows_of((20_000, width))[1:]
    out = TimeMask(share=0.25).apply(rows, at())
    masked = out == 0
    assert np.array_equal(out[~masked], rows[~masked])
    edges = np.abs(np.diff(np.pad(masked, ((0, 0), (1, 1))).astype(int))).sum(1)
    lengths = masked.sum(1)
    assert np.array_equal(edges, np.where(lengths > 0, 2, 0))
    counts = np.bincount(lengths) / len(rows)
    assert counts == pytest.approx(np.full(longest + 1, 1 / (longest + 1)), abs=0.02)
    assert masked.mean(0).min() > 0.02


@pytest.mark.parametrize("width", [16, 17])
def test_a_frequency_mask_takes_one_band_out_and_keeps_the_others(width: int) -> None:
    rows = np.random.default_rng(5).standard_normal((3000, width)).astype(np.float32)
    before = np.fft.rfft(rows.astype(np.float64))
    after = np.fft.rfft(FrequencyMask(share=0.5).apply(rows, at()).astype(np.float64))
    taken = np.abs(after) < 1e-5
    assert after[~taken] == pytest.approx(before[~taken], abs=1e-5)
    edges = np.abs(np.diff(np.pad(taken, ((0, 0), (1, 1))).astype(int))).sum(1)
    assert set(edges.tolist()) == {0, 2}
    assert np.bincount(taken.sum(1)) / len(rows) == pytest.approx(np.full(5, 0.2), abs=0.03)
    assert taken.mean(0).min() > 0.03


def test_noise_is_gaussian_with_its_deviation() -> None:
    rows = rows_of((20_000, 5))
    noise = SignalNoise(deviation=0.5).apply(rows, at()) - rows
    assert noise.mean(0) == pytest.approx(0, abs=0.02)
    assert noise.std(0) == pytest.approx(0.5, rel=0.02)
    assert (noise**4).mean() / (noise**2).mean() ** 2 == pytest.approx(3, abs=0.1)
    assert np.corrcoef(noise.T) == pytest.approx(np.eye(5), abs=0.03)


@pytest.mark.parametrize(("rule", "feature"), [
    ({"kind": "category"}, "b=0"), ({"kind": "category", "encode": "code"}, "b"),
    ({"missing": "mean", "indicator": True}, "b missing"),
])  # fmt: skip
def test_features_that_are_no_numbers_make_no_series(
    prepare: Callable[..., Prepared], tmp_path: Path, rule: dict[str, Any], feature: str
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a,b,y\n" + "1,0,p\n2,1,q\n3,,p\n4,1,q\n" * 25)
    rule = {"missing": "category"} | rule if rule.get("kind") else rule
    data: dict[str, Any] = {"source": "table", "path": str(path), "label": "y"}
    data |= {"columns": {"a": {"kind": "number"}, "b": rule}}
    with pytest.raises(ConfigError, match=f"time_mask is for series, .* feature '{feature}' is a"):
        prepare(data=data, augment=[{"name": "time_mask"}])
