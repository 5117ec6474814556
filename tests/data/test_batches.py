"""Batches: a stream of rows that can be read from any step."""

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import plain_schema
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_pipe.core.arrays import Array
from ensemble_pipe.data.augment import HorizontalFlip, ShiftCrop
from ensemble_pipe.data.augment.mixing import CutMix, Mixup
from ensemble_pipe.data.augment.policy import Augment
from ensemble_pipe.data.base import write_base
from ensemble_pipe.data.batches import Batches, Order, Steps
from ensemble_pipe.data.learner_view import View
from ensemble_pipe.data.shards import Recipe, ShardRequest, TrainingData
from ensemble_pipe.data.tables.spans import Span
from ensemble_pipe.nn.losses import CrossEntropy
from ensemble_pipe.nn.networks import Mlp
from ensemble_pipe.optim import Adam, ConstantRate
from ensemble_pipe.training.plan import LearnerPlan

ROWS = 23

each_order = pytest.mark.parametrize("order", ["own", "shared"])
each_size = pytest.mark.parametrize("batch_rows", [1, 5, ROWS, 50])


@dataclass(frozen=True)
class Data:
    """Numbered rows: the one feature of a row is its number, its class is that modulo 3."""

    folder: Path
    window_rows: int = ROWS

    def open(self, seed: int = 1) -> TrainingData:
        schema = plain_schema("classification", (1,), (0, 1, 2))
        return TrainingData(Recipe(self.folder, {}, seed, window_rows=self.window_rows), schema)

    def batches(
        self, learners: list[int], batch_rows: int, order: Order = "own", seed: int = 1
    ) -> Batches:
        return Batches(self.open(seed), learners, batch_rows, order)


@pytest.fixture
def data(tmp_path: Path) -> Data:
    numbers = np.arange(ROWS, dtype=np.float32)[:, None]
    targets = np.arange(ROWS, dtype=np.int32) % 3
    write_base(tmp_path / "train.arrow", numbers, targets, np.arange(ROWS), shard_rows=7)
    return Data(tmp_path)


def stream(batches: Batches, steps: int) -> Array:
    """Return the rows that each learner sees, (M or 1, steps * N)."""
    seen = []
    for step in range(steps):
        batches.read(step)
        inputs = batches.inputs.reshape(-1, batches.targets.shape[1])
        assert np.array_equal(batches.targets[: len(inputs)], inputs % 3)
        seen.append(inputs.copy())
    return np.concatenate(seen, axis=1)


# The stream


@each_order
@each_size
def test_a_batch_always_has_exactly_n_rows(data: Data, batch_rows: int, order: Order) -> None:
    batches = data.batches([0, 1], batch_rows, order)
    shape = (2, batch_rows, 1) if order == "own" else (batch_rows, 1)
    assert batches.inputs.shape == shape
    assert batches.inputs.dtype == np.float32
    assert batches.targets.shape == (2, batch_rows)
    assert batches.targets.dtype == np.int32
    batches.inputs.fill(-1)
    for step in range(2 * ROWS // batch_rows + 1):
        batches.read(step)
        assert (batches.inputs >= 0).all()


@each_order
@each_size
def test_every_epoch_of_the_stream_holds_every_row_once(
    data: Data, batch_rows: int, order: Order
) -> None:
    seen = stream(data.batches([0, 4], batch_rows, order), steps=3 * ROWS // batch_rows + 1)
    for epoch in range(3):
        rows = seen[:, epoch * ROWS : (epoch + 1) * ROWS]
        assert np.array_equal(np.sort(rows), np.tile(np.arange(ROWS), (len(seen), 1)))


@each_order
def test_every_epoch_has_an_order_of_its_own(data: Data, order: Order) -> None:
    (seen,) = stream(data.batches([0], ROWS, order), steps=5).reshape(1, 5, ROWS)
    assert len({tuple(epoch) for epoch in seen}) == 5


@each_order
@each_size
@pytest.mark.parametrize("window_rows", [7, 15, ROWS])
def test_a_stream_restored_at_any_step_goes_on_the_same(
    data: Data, window_rows: int, batch_rows: int, order: Order
) -> None:
    data = replace(data, window_rows=window_rows)
    steps = 2 * ROWS // batch_rows + 2
    whole = stream(data.batches([0, 3], batch_rows, order), steps)
    for first in range(steps):
        restored = data.batches([0, 3], batch_rows, order)
        for step in range(first, steps):
            restored.read(step)
            expected = whole[:, step * batch_rows : (step + 1) * batch_rows]
            assert np.array_equal(restored.inputs.reshape(expected.shape), expected)
            assert np.array_equal(restored.targets, np.broadcast_to(expected % 3, (2, batch_rows)))


@pytest.mark.parametrize("window_rows", [15, ROWS], ids="window {}".format)
@pytest.mark.parametrize(
    "mixing", [(), (Mixup(alpha=1.0),), (CutMix(),)], ids=["", "mixup", "cutmix"]
)
@pytest.mark.parametrize("share", ["all", pytest.param("per_learner", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "view", [View(), View(bootstrap=True), View(folds=3), View(balance_classes=True)], ids=str
)
def test_two_epochs_restored_at_any_step_go_on_the_same(
    images: Path, view: View, share: Any, mixing: tuple[Any, ...], window_rows: int
) -> None:
    policy = (ShiftCrop(pixels=1), HorizontalFlip(), *mixing)
    recipe = Recipe(images, {}, 1, Augment(policy=policy, share=share), (), window_rows)
    schema = plain_schema("classification", (5, 5, 1), (0, 1, 2), mean=100.0, deviation=50.0)

    def batches() -> Batches:
        data = TrainingData(recipe, schema)
        return Batches(data, [0, 1], 6, "own", view=view, outputs=3, epochs=2)

    def read(reader: Batches, step: int) -> tuple[Array, Array, Array]:
        reader.read(step)
        return reader.inputs.copy(), reader.targets.copy(), reader.weights.copy()

    steps = Steps(view.rows(ROWS), 6, epochs=2).total
    running = batches()
    whole = [read(running, step) for step in range(steps)]
    assert whole[0][1].shape == ((2, 6, 3) if mixing else (2, 6))
    for first in range(steps):
        restored = batches()
        for step in range(first, min(first + 3, steps)):
            for found, expected in zip(read(restored, step), whole[step], strict=True):
                assert np.array_equal(found, expected)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    inputs = random.integers(0, 256, (ROWS, 5, 5, 1)).astype(np.uint8)
    weights = (np.arange(ROWS) / np.arange(ROWS).mean()).astype(np.float32)
    targets = (np.arange(ROWS) % 3).astype(np.int32)
    path = tmp_path / "train.arrow"
    write_base(path, inputs, targets, np.arange(ROWS), 7, weight=weights)
    return tmp_path


# What stands beside the inputs


def test_weights_stay_with_their_rows(images: Path) -> None:
    schema = plain_schema("classification", (5, 5, 1), (0, 1, 2))
    data = TrainingData(Recipe(images, {}, 1), schema)
    stored = data.part("train")
    batches = Batches(data, [0, 1], 6, "own")
    everything = np.empty((ROWS, 5, 5, 1), np.float32)
    stored.read(0, ROWS, everything)
    for step in range(4):
        batches.read(step)
        for m in range(2):
            for image, weight in zip(batches.inputs[m], batches.weights[m], strict=True):
                row = int(np.flatnonzero((everything == image).all(axis=(1, 2, 3)))[0])
                assert weight == stored.weights[row]


def test_without_weights_every_row_weighs_one(data: Data) -> None:
    batches = data.batches([0], 5)
    batches.read(0)
    assert (batches.weights == 1).all()


def test_soft_targets_are_those_of_the_rows_where_nothing_is_mixed(images: Path) -> None:
    schema = plain_schema("classification", (5, 5, 1), (0, 1, 2))
    policy = Augment(policy=(Mixup(probability=0.0),))
    plain = Batches(TrainingData(Recipe(images, {}, 1), schema), [3], 6, "own")
    mixed = Batches(TrainingData(Recipe(images, {}, 1, policy), schema), [3], 6, "own", outputs=3)
    share = Batches(TrainingData(Recipe(images, {}, 1, policy), schema), [3], 6, "own", outputs=1)
    for step in range(5):
        for batches in (plain, mixed, share):
            batches.read(step)
        assert np.array_equal(mixed.inputs, plain.inputs)
        assert np.array_equal(mixed.targets[0], np.eye(3, dtype=np.float32)[plain.targets[0]])
        assert np.array_equal(share.targets[0, :, 0], plain.targets[0])


def test_a_feature_subspace_blinds_a_learner_to_the_other_columns(tmp_path: Path) -> None:
    rows = np.arange(1, 4 * ROWS + 1, dtype=np.float32).reshape(ROWS, 4)
    write_base(tmp_path / "train.arrow", rows, np.zeros(ROWS, np.float32), np.arange(ROWS), 7)
    spans = tuple(Span(index, index + 1, "number") for index in range(4))
    data = TrainingData(Recipe(tmp_path, {}, 1, spans=spans), plain_schema("regression", (4,)))
    view = View(features=0.5)
    batches = Batches(data, [0, 1, 2], 6, "own", view=view)
    batches.read(0)
    for m in range(3):
        mask = data.mask(m, view)
        assert np.array_equal((batches.inputs[m] != 0).all(axis=0), mask == 1)
        assert np.array_equal((batches.inputs[m] == 0).all(axis=0), mask == 0)


# What is asked of the shards


def test_learners_share_one_augmentation_or_have_one_each(images: Path) -> None:
    asked: list[tuple[ShardRequest, ShardRequest | None]] = []

    def read_epochs(share: Any, pool: int | None = None) -> None:
        asked.clear()
        augment = Augment(policy=(HorizontalFlip(),), share=share, pool=pool)
        recipe = Recipe(images, {}, 1, augment)
        schema = plain_schema("classification", (5, 5, 1), (0, 1, 2))
        maker = TrainingData(recipe, schema)

        def shards(wanted: ShardRequest, coming: ShardRequest | None) -> list[Any]:
            asked.append((wanted, coming))
            return maker.make_shards(wanted)

        data = TrainingData(recipe, schema, shards)
        batches = Batches(data, [4, 7], ROWS, "own", epochs=3)
        for step in range(3):
            batches.read(step)

    read_epochs("all")
    assert asked == [
        (ShardRequest(0, 0, None), ShardRequest(0, 1, None)),
        (ShardRequest(0, 1, None), ShardRequest(0, 2, None)),
        (ShardRequest(0, 2, None), None),
    ]
    read_epochs("per_learner")
    assert [wanted for wanted, _ in asked] == [
        ShardRequest(learner + 1, epoch, None) for epoch in range(3) for learner in (4, 7)
    ]
    read_epochs("all", pool=2)
    assert [wanted.version for wanted, _ in asked] == [0, 1, 0]


@pytest.mark.parametrize("window_rows", [7, 15, ROWS])
def test_a_stack_reads_the_rows_of_its_learners_alone_over_many_epochs(
    data: Data, window_rows: int
) -> None:
    data, steps = replace(data, window_rows=window_rows), 40
    together = stream(data.batches([0, 1, 2], 2), steps)
    for learner in range(3):
        alone = data.batches([learner], 2)
        for step in reversed(range(steps)):
            alone.read(step)
            expected = together[learner, 2 * step : 2 * step + 2]
            assert np.array_equal(alone.inputs[0, :, 0], expected)


def test_steps_may_be_read_backwards(data: Data) -> None:
    forward = stream(data.batches([2], 5), steps=14)
    backward = data.batches([2], 5)
    for step in reversed(range(14)):
        backward.read(step)
        assert np.array_equal(backward.inputs[0, :, 0], forward[0, step * 5 : (step + 1) * 5])


def test_the_seed_decides(data: Data) -> None:
    first, again, other = (stream(data.batches([0], 5, seed=s), steps=9) for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


# Learners side by side


def test_learners_go_through_the_rows_each_in_its_own_order(data: Data) -> None:
    seen = stream(data.batches([0, 1, 2], ROWS), steps=1)
    assert len({tuple(rows) for rows in seen}) == 3


def test_a_learner_sees_the_same_rows_whoever_trains_beside_it(data: Data) -> None:
    alone = stream(data.batches([3], 5), steps=10)[0]
    for companions in ([3, 0], [0, 1, 2, 3], [9, 3, 4]):
        beside = stream(data.batches(companions, 5), steps=10)
        assert np.array_equal(beside[companions.index(3)], alone)


def test_a_shared_order_is_one_batch_for_all(data: Data) -> None:
    batches = data.batches([4, 5, 6], 8, "shared")
    alone = data.batches([9], 8, "shared")
    for step in range(7):
        batches.read(step)
        alone.read(step)
        assert np.array_equal(batches.inputs, alone.inputs)
        assert np.array_equal(batches.targets, np.repeat(alone.targets, 3, axis=0))


# Arithmetic


steps_of = st.builds(
    lambda rows, share, epochs: Steps(rows, max(1, int(share * rows)), epochs),
    st.integers(1, 10_000),
    st.floats(0, 1),
    st.integers(1, 50),
)


@settings(deadline=None)
@given(steps_of)
def test_training_takes_the_steps_whose_rows_its_epochs_hold(steps: Steps) -> None:
    rows = steps.rows * steps.epochs
    assert steps.total * steps.batch_rows <= rows < (steps.total + 1) * steps.batch_rows


@settings(deadline=None)
@given(steps_of)
def test_an_epoch_ends_with_the_last_step_whose_rows_it_holds(steps: Steps) -> None:
    for epoch in range(steps.epochs):
        end = steps.end_of(epoch)
        seen = (epoch + 1) * steps.rows
        assert end * steps.batch_rows <= seen < (end + 1) * steps.batch_rows


@settings(deadline=None)
@given(steps_of)
def test_every_epoch_takes_a_step(steps: Steps) -> None:
    ends = [0, *(steps.end_of(epoch) for epoch in range(steps.epochs))]
    assert all(before < after for before, after in pairwise(ends))
    assert ends[-1] == steps.total


@settings(deadline=None)
@given(steps_of)
def test_epochs_done_counts_the_epochs_that_have_ended(steps: Steps) -> None:
    ends = [steps.end_of(epoch) for epoch in range(steps.epochs)]
    for step in {0, 1, *(end + shift for end in ends for shift in (-1, 0))}:
        assert steps.epochs_done(step) == sum(end <= step for end in ends)


@pytest.mark.parametrize(("batch_rows", "total"), [(1, 60), (7, 8), (19, 3), (20, 3)])
def test_steps_by_hand(batch_rows: int, total: int) -> None:
    assert Steps(rows=20, batch_rows=batch_rows, epochs=3).total == total


@pytest.mark.parametrize("batch_size", [20, 21, 1000, None])
def test_a_batch_size_beyond_the_rows_means_all_rows(batch_size: int | None) -> None:
    plan = LearnerPlan(0, 1, Mlp(), CrossEntropy(), Adam(), ConstantRate(), 3, batch_size)
    assert plan.steps(20) == Steps(rows=20, batch_rows=20, epochs=3)
