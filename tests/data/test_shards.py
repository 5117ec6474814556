"""Shards: pure functions of (base data, policy, seed, epoch, index)."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ensemble_pipe.arrays import Array
from ensemble_pipe.data.augment import HorizontalFlip, ShiftCrop
from ensemble_pipe.data.base import open_base, write_base
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import Recipe, TrainingData, make_shard
from ensemble_pipe.data.view import ShardView

ROWS, SHARD_ROWS = 30, 12
SCHEMA = Schema("classification", (6, 6, 1), (), "label", (0, 1, 2), (0.0,), (1.0,))
POLICY = (ShiftCrop(pixels=2), HorizontalFlip())


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    # Every image twice in each of two equal shards, so that only the address tells them apart.
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (1, 6, 6, 1)).astype(np.uint8)
    images = np.repeat(image, ROWS, axis=0)
    targets = random.integers(0, 3, ROWS).astype(np.int32)
    for part in ("train", "stop"):
        write_base(tmp_path / f"{part}.arrow", images, targets, np.arange(ROWS) * 2, SHARD_ROWS)
    return Recipe(tmp_path, {}, POLICY, seed=5)


def pixels(table: pa.Table) -> Array:
    array: Array = table.column("input").chunk(0).to_numpy_ndarray()
    return array


def inputs_of(view: ShardView) -> Array:
    inputs = np.empty((view.rows, 6, 6, 1), np.float32)
    view.read(0, view.rows, inputs)
    return inputs


def test_the_same_address_makes_the_same_shard(recipe: Recipe) -> None:
    first = make_shard(open_base(recipe.base / "train.arrow"), recipe, epoch=3, index=1)
    again = make_shard(open_base(recipe.base / "train.arrow"), recipe, epoch=3, index=1)
    assert first.equals(again)


@pytest.mark.parametrize(
    "change",
    [
        lambda table, recipe: make_shard(table, recipe, 4, 1),
        lambda table, recipe: make_shard(table, recipe, 3, 0),
        lambda table, recipe: make_shard(table, replace(recipe, seed=6), 3, 1),
        lambda table, recipe: make_shard(table, replace(recipe, policy=POLICY[:1]), 3, 1),
    ],
    ids=["epoch", "index", "seed", "policy"],
)
def test_another_address_makes_another_shard(
    change: Callable[[pa.Table, Recipe], pa.Table], recipe: Recipe
) -> None:
    table = open_base(recipe.base / "train.arrow")
    other = change(table, recipe)
    assert not np.array_equal(pixels(make_shard(table, recipe, 3, 1)), pixels(other))


def test_labels_and_row_numbers_stay_with_their_images(recipe: Recipe) -> None:
    table = open_base(recipe.base / "train.arrow")
    for index in range(3):
        shard = make_shard(table, recipe, epoch=1, index=index)
        for column in ("target", "row"):
            assert shard.column(column).chunk(0).equals(table.column(column).chunk(index))


def test_the_base_is_never_written_to(recipe: Recipe) -> None:
    before = (recipe.base / "train.arrow").read_bytes()
    data = TrainingData(recipe, SCHEMA)
    for epoch in range(3):
        inputs_of(data.epoch(epoch))
    assert (recipe.base / "train.arrow").read_bytes() == before


def test_a_shard_looks_like_its_base(recipe: Recipe) -> None:
    table = open_base(recipe.base / "train.arrow")
    assert make_shard(table, recipe, 0, 0).schema == table.schema


def test_epochs_differ_and_can_be_read_in_any_order(recipe: Recipe) -> None:
    forward = TrainingData(recipe, SCHEMA)
    epochs = [inputs_of(forward.epoch(epoch)) for epoch in range(4)]
    backward = TrainingData(recipe, SCHEMA)
    for epoch in (3, 0, 2, 1, 3):
        assert np.array_equal(inputs_of(backward.epoch(epoch)), epochs[epoch])
    assert not any(np.array_equal(epochs[0], other) for other in epochs[1:])


def test_without_a_policy_every_epoch_is_the_base_itself(recipe: Recipe) -> None:
    data = TrainingData(replace(recipe, policy=()), SCHEMA)
    assert data.epoch(0) is data.epoch(7)
    table = open_base(recipe.base / "train.arrow")
    stored = [chunk.to_numpy_ndarray() for chunk in table.column("input").chunks]
    assert np.array_equal(inputs_of(data.epoch(0)), np.concatenate(stored))


def test_the_stop_part_is_never_augmented(recipe: Recipe) -> None:
    augmented = TrainingData(recipe, SCHEMA)
    plain = TrainingData(replace(recipe, policy=()), SCHEMA)
    assert np.array_equal(inputs_of(augmented.stop), inputs_of(plain.stop))
    assert np.array_equal(inputs_of(augmented.part("train")), inputs_of(plain.epoch(0)))


def test_shards_from_elsewhere_are_read_like_those_made_here(recipe: Recipe) -> None:
    asked: list[int] = []
    table = open_base(recipe.base / "train.arrow")

    def elsewhere(epoch: int) -> list[pa.Table]:
        asked.append(epoch)
        return [make_shard(table, recipe, epoch, index) for index in range(3)]

    far = TrainingData(recipe, SCHEMA, elsewhere)
    near = TrainingData(recipe, SCHEMA)
    for epoch in (0, 0, 1, 0, 1, 2, 0):
        assert np.array_equal(inputs_of(far.epoch(epoch)), inputs_of(near.epoch(epoch)))
    assert asked == [0, 1, 2, 0]  # two epochs are kept, for batches that straddle them


def test_training_data_knows_its_rows_and_targets(recipe: Recipe) -> None:
    data = TrainingData(recipe, SCHEMA)
    assert data.rows == ROWS
    assert data.target_dtype == np.int32
    assert data.stop.targets.shape == (ROWS,)
