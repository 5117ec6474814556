"""The loop of one stack: its events, and what happens to a learner that diverges."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from conftest import Prepared

from ensemble_pipe.optim import SGD
from ensemble_pipe.training.events import Checkpoint, Event, Failed, Progress
from ensemble_pipe.training.loop import StackTraining, train
from ensemble_pipe.training.plan import Stack


def events_of(prepared: Prepared, stack: Stack) -> list[Event]:
    found = train(stack, prepared.data, prepared.schema)
    return [event for event in found if not isinstance(event, Progress)]


def test_every_epoch_ends_with_a_checkpoint_of_each_learner(
    prepare: Callable[..., Prepared],
) -> None:
    prepared = prepare(ensemble={"learners": 2})
    checkpoints = events_of(prepared, Stack(tuple(prepared.plans)))
    assert all(isinstance(e, Checkpoint) for e in checkpoints)
    found = [(e.learner, e.epoch) for e in checkpoints if isinstance(e, Checkpoint)]
    assert found == [(learner, epoch) for epoch in (1, 2, 3) for learner in (0, 1)]


def test_the_last_checkpoint_is_the_member(prepare: Callable[..., Prepared]) -> None:
    prepared = prepare(ensemble={"learners": 1})
    found = events_of(prepared, Stack(tuple(prepared.plans)))
    members = [e.member for e in found if isinstance(e, Checkpoint)]
    assert members == [None, None, 0]


def test_training_lowers_the_loss(prepare: Callable[..., Prepared]) -> None:
    prepared = prepare(ensemble={"learners": 1}, training={"epochs": 8})
    found = events_of(prepared, Stack(tuple(prepared.plans)))
    metrics = [e.metrics for e in found if isinstance(e, Checkpoint)]
    assert metrics[-1]["train/loss"] < 0.5 * metrics[0]["train/loss"]
    assert metrics[-1]["stop/loss"] < 0.5 * metrics[0]["stop/loss"]
    assert metrics[-1]["stop/accuracy"] > 0.8


def test_the_reported_rate_follows_the_schedule(prepare: Callable[..., Prepared]) -> None:
    prepared = prepare(ensemble={"learners": 1}, training={"schedule": {"name": "cosine"}})
    rates = [
        e.metrics["learning_rate"]
        for e in events_of(prepared, Stack(tuple(prepared.plans)))
        if isinstance(e, Checkpoint)
    ]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 1e-5


def test_a_diverging_learner_leaves_the_others_untouched(
    prepare: Callable[..., Prepared],
) -> None:
    prepared = prepare(ensemble={"learners": 3}, training={"optimizer": {"name": "sgd"}})
    plans = prepared.plans
    bad = replace(plans[1], rule=SGD(learning_rate=1e38))
    mixed = events_of(prepared, Stack((plans[0], bad, plans[2])))
    alone = events_of(prepared, Stack((plans[2],)))
    failures = [e for e in mixed if isinstance(e, Failed)]
    assert [(e.learner, e.epoch) for e in failures] == [(1, 1)]

    def final(events: list[Event]) -> np.ndarray:
        own = [e for e in events if isinstance(e, Checkpoint) and e.learner == 2]
        return own[-1].state.row

    assert final(mixed).tobytes() == final(alone).tobytes()


def test_a_step_allocates_nothing_that_grows_with_the_batch(
    prepare: Callable[..., Prepared],
) -> None:
    import tracemalloc

    def peak(batch_size: int) -> int:
        prepared = prepare(ensemble={"learners": 2}, training={"batch_size": batch_size})
        training = StackTraining(Stack(tuple(prepared.plans)), prepared.data, prepared.schema)
        for _ in range(3):
            training.take_step()
        tracemalloc.start()
        training.take_step()
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    # 64 more rows for two learners would be 64 * 2 * (64 + 16 + 10) floats: 46 kB.
    assert peak(128) - peak(64) < 2000


@pytest.mark.parametrize("batch_size", [1, 7, 5000])
def test_any_batch_size_trains_to_the_end(
    prepare: Callable[..., Prepared], batch_size: int
) -> None:
    settings = {"batch_size": batch_size, "epochs": 2}
    prepared = prepare(ensemble={"learners": 1}, training=settings)
    last = events_of(prepared, Stack(tuple(prepared.plans)))[-1]
    assert isinstance(last, Checkpoint)
    assert last.finished
    assert last.epoch == 2 or batch_size == 7  # where N does not divide the rows, the rest waits
