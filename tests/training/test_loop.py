"""The loop of one stack: its events, and what happens to a learner that diverges."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from conftest import Prepared

from ensemble_pipe.ensemble.combiners import softmax
from ensemble_pipe.optim import SGD, PlateauState, plateau_of
from ensemble_pipe.training.events import Checkpoint, Event, Failed, Progress
from ensemble_pipe.training.loop import StackTraining, train
from ensemble_pipe.training.stacks import Stack


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


def test_a_plateau_schedule_follows_each_learners_own_loss(
    prepare: Callable[..., Prepared],
) -> None:
    schedule = {"name": "plateau", "decay": 0.5, "patience": 1, "min_change": 0.2}
    training = {"epochs": 12, "schedule": schedule, "optimizer": {"learning_rate": 0.01}}
    prepared = prepare(ensemble={"learners": 3}, training=training)
    plateau = plateau_of(prepared.plans[0].schedule)
    assert plateau is not None
    found = prepared.train()
    for checkpoints in found.values():
        state = PlateauState()
        for checkpoint in checkpoints:
            assert checkpoint.metrics["learning_rate"] == pytest.approx(0.01 * state.factor)
            state = plateau.observe(state, checkpoint.metrics["stop/loss"])
        assert state.factor < 0.5
    falls = {tuple(c.metrics["learning_rate"] for c in found[learner]) for learner in found}
    assert len(falls) > 1


def test_all_rows_in_a_batch_is_gradient_descent_on_their_mean(
    prepare: Callable[..., Prepared],
) -> None:
    rate, epochs = 0.1, 5
    training = {
        "batch_size": "all",
        "epochs": epochs,
        "optimizer": {"name": "sgd", "momentum": 0.0, "learning_rate": rate},
    }
    prepared = prepare(network={"name": "mlp", "hidden": []}, training=training)
    checkpoints = prepared.train(0)[0]
    assert [(c.epoch, c.step) for c in checkpoints] == [(e, e) for e in range(1, epochs + 1)]

    data = prepared.data
    images, targets = np.empty((data.rows, 8, 8, 1), np.float32), np.empty(data.rows, np.int32)
    view, ids = data.view(data.request(0, 0, None), None), np.arange(data.rows, dtype=np.int32)
    view.gather(ids, images, targets, np.ones(data.rows, np.float32))
    inputs, wanted = images.reshape(data.rows, -1).astype(np.float64), np.eye(10)[targets]
    row = prepared.plans[0].build(prepared.schema).initialize(prepared.config.seed, 0)
    kernel, bias = row[:640].reshape(64, 10).astype(np.float64), np.zeros(10)
    for checkpoint in checkpoints:
        probabilities = softmax(inputs @ kernel + bias)
        loss = -np.mean(np.log(probabilities[np.arange(data.rows), targets]))
        assert checkpoint.metrics["train/loss"] == pytest.approx(loss, rel=1e-5)
        error = (probabilities - wanted) / data.rows
        kernel, bias = kernel - rate * inputs.T @ error, bias - rate * error.sum(axis=0)
        expected = np.concatenate([kernel.ravel(), bias])
        np.testing.assert_allclose(checkpoint.state.row, expected, rtol=1e-4, atol=1e-5)


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
