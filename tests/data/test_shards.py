"""Shards: pure functions of (base data, policy, seed, stream, version, index)."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import plain_schema

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.data.augment import HorizontalFlip, ShiftCrop
from ensemble_pipe.data.augment.policy import Augment
from ensemble_pipe.data.base import Base, open_base, write_base
from ensemble_pipe.data.lru_cache import LruCache
from ensemble_pipe.data.shard_view import ShardView
from ensemble_pipe.data.shards import Recipe, ShardRequest, TrainingData, make_shard

ROWS, SHARD_ROWS = 30, 12
SCHEMA = plain_schema("classification", (6, 6, 1), (0, 1, 2))
POLICY = (ShiftCrop(pixels=2), HorizontalFlip())
AUGMENT = Augment(policy=POLICY)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    # Every image twice in each of two equal shards, so that only the address tells them apart.
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (1, 6, 6, 1)).astype(np.uint8)
    images = np.repeat(image, ROWS, axis=0)
    targets = random.integers(0, 3, ROWS).astype(np.int32)
    weights = random.random(ROWS).astype(np.float32)
    numbers = np.arange(ROWS) * 2
    for part in ("train", "stop"):
        path = tmp_path / f"{part}.arrow"
        write_base(path, images, targets, numbers, SHARD_ROWS, weight=weights)
    return Recipe(tmp_path, {}, 5, AUGMENT)


def base_of(recipe: Recipe) -> Base:
    return open_base(recipe.base / "train.arrow")


def pixels(table: pa.Table) -> Array:
    array: Array = table.column("input").chunk(0).to_numpy_ndarray()
    return array


def inputs_of(view: ShardView) -> Array:
    inputs = np.empty((view.rows, 6, 6, 1), np.float32)
    view.read(0, view.rows, inputs)
    return inputs


def epoch_of(data: TrainingData, epoch: int, learner: int = 0) -> ShardView:
    return data.view(data.request(learner, epoch, None), None)


def test_the_same_address_makes_the_same_shard(recipe: Recipe) -> None:
    first = make_shard(base_of(recipe), recipe, 2, 3, 1)
    assert first.equals(make_shard(base_of(recipe), recipe, 2, 3, 1))


@pytest.mark.parametrize(
    "change",
    [
        lambda base, recipe: make_shard(base, recipe, 1, 3, 1),
        lambda base, recipe: make_shard(base, recipe, 2, 4, 1),
        lambda base, recipe: make_shard(base, recipe, 2, 3, 0),
        lambda base, recipe: make_shard(base, replace(recipe, seed=6), 2, 3, 1),
        lambda base, recipe: make_shard(
            base, replace(recipe, augment=Augment(policy=POLICY[:1])), 2, 3, 1
        ),
    ],
    ids=["stream", "version", "index", "seed", "policy"],
)
def test_another_address_makes_another_shard(
    change: Callable[[Base, Recipe], pa.Table], recipe: Recipe
) -> None:
    base = base_of(recipe)
    assert not np.array_equal(
        pixels(make_shard(base, recipe, 2, 3, 1)), pixels(change(base, recipe))
    )


def test_what_stands_beside_images_stays_with_them(recipe: Recipe) -> None:
    base = base_of(recipe)
    for index in range(3):
        shard = make_shard(base, recipe, 0, 1, index)
        for column in ("target", "row", "weight"):
            assert shard.column(column).chunk(0).equals(base.table.column(column).chunk(index))


def test_the_base_is_never_written_to(recipe: Recipe) -> None:
    before = (recipe.base / "train.arrow").read_bytes()
    data = TrainingData(recipe, SCHEMA)
    for epoch in range(3):
        inputs_of(epoch_of(data, epoch))
    assert (recipe.base / "train.arrow").read_bytes() == before


def test_a_shard_looks_like_its_base(recipe: Recipe) -> None:
    base = base_of(recipe)
    assert make_shard(base, recipe, 0, 0, 0).schema == base.table.schema


def test_epochs_differ_and_can_be_read_in_any_order(recipe: Recipe) -> None:
    forward = TrainingData(recipe, SCHEMA)
    epochs = [inputs_of(epoch_of(forward, epoch)) for epoch in range(4)]
    backward = TrainingData(recipe, SCHEMA)
    for epoch in (3, 0, 2, 1, 3):
        assert np.array_equal(inputs_of(epoch_of(backward, epoch)), epochs[epoch])
    assert not any(np.array_equal(epochs[0], other) for other in epochs[1:])


def test_some_shards_of_an_epoch_are_those_of_the_whole(recipe: Recipe) -> None:
    data = TrainingData(recipe, SCHEMA)
    whole = inputs_of(epoch_of(data, 1))
    part = data.view(data.request(0, 1, (0, 2)), None)
    ids = np.array([3, 11, 25, 29], np.int32)
    inputs = np.empty((4, 6, 6, 1), np.float32)
    part.gather(ids, inputs, np.empty(4, np.int32), np.empty(4, np.float32))
    assert np.array_equal(inputs, whole[ids])
    with pytest.raises(IndexError, match="shard 1 is not part of this view"):
        part.gather(ids % 12 + 12, inputs, np.empty(4, np.int32), np.empty(4, np.float32))


def test_learners_share_draws_unless_each_has_its_own(recipe: Recipe) -> None:
    shared = TrainingData(recipe, SCHEMA)
    assert np.array_equal(inputs_of(epoch_of(shared, 1, 0)), inputs_of(epoch_of(shared, 1, 5)))
    own_recipe = replace(recipe, augment=Augment(policy=POLICY, share="per_learner"))
    own = TrainingData(own_recipe, SCHEMA)
    first, second = (inputs_of(epoch_of(own, 1, learner)) for learner in (0, 5))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, inputs_of(epoch_of(shared, 1)))


def test_a_pool_goes_through_its_versions_in_turn(recipe: Recipe) -> None:
    pooled = TrainingData(replace(recipe, augment=Augment(policy=POLICY, pool=2)), SCHEMA)
    plain = TrainingData(recipe, SCHEMA)
    for epoch in range(5):
        expected = inputs_of(epoch_of(plain, epoch % 2))
        assert np.array_equal(inputs_of(epoch_of(pooled, epoch)), expected)


def test_without_a_policy_every_epoch_is_the_base_itself(recipe: Recipe) -> None:
    data = TrainingData(replace(recipe, augment=Augment()), SCHEMA)
    assert epoch_of(data, 0) is epoch_of(data, 7)
    stored = [chunk.to_numpy_ndarray() for chunk in base_of(recipe).table.column("input").chunks]
    assert np.array_equal(inputs_of(epoch_of(data, 0)), np.concatenate(stored))


def test_the_stop_part_is_never_augmented(recipe: Recipe) -> None:
    augmented = TrainingData(recipe, SCHEMA)
    plain = TrainingData(replace(recipe, augment=Augment()), SCHEMA)
    assert np.array_equal(inputs_of(augmented.stop), inputs_of(plain.stop))
    assert np.array_equal(inputs_of(augmented.part("train")), inputs_of(epoch_of(plain, 0)))


def test_shards_from_elsewhere_are_read_like_those_made_here(recipe: Recipe) -> None:
    near = TrainingData(recipe, SCHEMA)
    asked: list[tuple[ShardRequest, ShardRequest | None]] = []

    def elsewhere(wanted: ShardRequest, coming: ShardRequest | None) -> list[pa.Table]:
        asked.append((wanted, coming))
        return near.make_shards(wanted)

    far = TrainingData(recipe, SCHEMA, elsewhere)
    for epoch in (0, 1, 2):
        assert np.array_equal(inputs_of(epoch_of(far, epoch)), inputs_of(epoch_of(near, epoch)))
    assert [wanted.version for wanted, _ in asked] == [0, 1, 2]
    assert far.waited_s > 0


def test_training_data_knows_its_rows_and_targets(recipe: Recipe) -> None:
    data = TrainingData(recipe, SCHEMA)
    assert data.rows == ROWS
    assert data.target_dtype == np.int32
    assert data.stop.targets.shape == (ROWS,)
    assert np.array_equal(data.stop.weights, base_of(recipe).table.column("weight").to_numpy())


# What is kept


def test_what_was_used_longest_ago_is_forgotten_first() -> None:
    kept: LruCache[str, int] = LruCache(10)
    for number, name in enumerate("abc"):
        kept.put(name, number, 4)
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == (None, 1, 2)
    kept.get("b")
    kept.put("d", 3, 4)
    assert (kept.get("b"), kept.get("c"), kept.get("d")) == (1, None, 3)
    assert kept.nbytes == 8


def test_what_is_put_again_counts_once_and_what_is_too_large_is_not_kept() -> None:
    kept: LruCache[str, int] = LruCache(10)
    kept.put("a", 1, 6)
    kept.put("a", 2, 6)
    assert (kept.get("a"), kept.nbytes, len(kept)) == (2, 6, 1)
    kept.put("b", 3, 11)
    assert (len(kept), kept.nbytes) == (0, 0)
