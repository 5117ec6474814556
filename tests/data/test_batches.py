"""Batches: a stream of rows that can be read from any step."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble_pipe.arrays import Array
from ensemble_pipe.data.augment import HorizontalFlip, ShiftCrop
from ensemble_pipe.data.base import write_base
from ensemble_pipe.data.batches import Batches, Order, Steps
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import Recipe, TrainingData
from ensemble_pipe.nn.losses import CrossEntropy
from ensemble_pipe.nn.networks import Mlp
from ensemble_pipe.optim import Adam, Constant
from ensemble_pipe.training.plan import LearnerPlan

ROWS = 23

each_order = pytest.mark.parametrize("order", ["own", "shared"])
each_size = pytest.mark.parametrize("batch_rows", [1, 5, ROWS, 50])


@dataclass(frozen=True)
class Data:
    """Numbered rows: the one feature of a row is its number, its class is that modulo 3."""

    folder: Path

    def open(self, seed: int = 1) -> TrainingData:
        schema = Schema("classification", (1,), ("n",), "y", (0, 1, 2), (0.0,), (1.0,))
        return TrainingData(Recipe(self.folder, {}, (), seed), schema)

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
def test_a_stream_restored_at_any_step_goes_on_the_same(
    data: Data, batch_rows: int, order: Order
) -> None:
    steps = 2 * ROWS // batch_rows + 2
    whole = stream(data.batches([0, 3], batch_rows, order), steps)
    for first in range(steps):
        restored = data.batches([0, 3], batch_rows, order)
        for step in range(first, steps):
            restored.read(step)
            expected = whole[:, step * batch_rows : (step + 1) * batch_rows]
            assert np.array_equal(restored.inputs.reshape(expected.shape), expected)
            assert np.array_equal(restored.targets, np.broadcast_to(expected % 3, (2, batch_rows)))


def test_augmented_batches_restored_at_any_step_go_on_the_same(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (ROWS, 5, 5, 1)).astype(np.uint8)
    write_base(tmp_path / "train.arrow", images, np.zeros(ROWS, np.int32), np.arange(ROWS), 7)
    schema = Schema("classification", (5, 5, 1), (), "y", (0, 1), (100.0,), (50.0,))
    recipe = Recipe(tmp_path, {}, (ShiftCrop(pixels=1), HorizontalFlip()), seed=1)

    def batches() -> Batches:
        return Batches(TrainingData(recipe, schema), [0, 1], 6, "own")

    running, steps = batches(), 2 * ROWS // 6
    for step in range(steps):
        running.read(step)
        fresh = batches()
        fresh.read(step)
        assert np.array_equal(fresh.inputs, running.inputs)


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
    plan = LearnerPlan(0, 1, Mlp(), CrossEntropy(), Adam(), Constant(), 3, batch_size)
    assert plan.steps(20) == Steps(rows=20, batch_rows=20, epochs=3)
