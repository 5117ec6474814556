"""Trainers that were stopped: they are noticed, given up, and their learners go on elsewhere."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil
import pytest
import ray
from conftest import Prepared
from ray_processes import processes_below

from ensemble_pipe.cluster import heartbeat
from ensemble_pipe.cluster.heartbeat import Heartbeats
from ensemble_pipe.cluster.inline import InlineExecutor
from ensemble_pipe.cluster.ray import RayExecutor
from ensemble_pipe.training.events import Checkpoint, Event
from ensemble_pipe.training.stacks import make_stacks


class Answering:
    """Trainers by name, of which some answer, and a clock that the test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s, self.silent = 0.0, set[str]()
        monkeypatch.setattr(time, "monotonic", lambda: self.now_s)
        monkeypatch.setattr(ray, "wait", self._wait)

    def actor(self, name: str) -> Any:
        return _Actor(name)

    def _wait(self, references: list[str], timeout: float) -> tuple[list[str], list[str]]:
        (name,) = references
        return ([], [name]) if name in self.silent else ([name], [])


class _Actor:
    def __init__(self, name: str) -> None:
        self.name, self.answer = name, self

    def remote(self) -> str:
        return self.name


def test_a_trainer_that_is_silent_for_too_long_is_lost_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answering = Answering(monkeypatch)
    first, second = answering.actor("first"), answering.actor("second")
    beats = Heartbeats()
    answering.silent = {"second"}
    lost: list[Any] = []
    while not lost:
        answering.now_s += 1.0
        lost = beats.lost([first, second])
    assert lost == [second]
    assert heartbeat.LOST_AFTER_S < answering.now_s <= heartbeat.LOST_AFTER_S + 3 * 5


def test_one_that_answers_late_is_asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    answering = Answering(monkeypatch)
    only, beats = answering.actor("only"), Heartbeats()
    for second in range(1000):
        answering.now_s += 1.0
        answering.silent = {"only"} if second % 100 > 9 else set()
        assert beats.lost([only]) == []


def test_a_driver_that_was_stopped_itself_loses_no_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    answering = Answering(monkeypatch)
    only, beats = answering.actor("only"), Heartbeats()
    answering.now_s += 10.0
    beats.lost([only])
    answering.silent = {"only"}
    answering.now_s += 10_000.0
    assert beats.lost([only]) == []


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_the_learners_of_a_stopped_trainer_go_on_in_another_with_the_same_bits(
    prepare: Callable[..., Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "EVERY_S", 0.5)
    monkeypatch.setattr(heartbeat, "LOST_AFTER_S", 3.0)
    monkeypatch.setattr("ensemble_pipe.cluster.pool.EVERY_S", 0.5)
    prepared = prepare(ensemble={"learners": 2}, training={"epochs": 400, "batch_size": 8})
    stacks = make_stacks(prepared.plans, {}, size=1, trainers=1, width=1)
    expected = rows_of(InlineExecutor().run(stacks, prepared.recipe, prepared.schema))
    executor = RayExecutor("local", trainers=2, cpus_per_trainer=1, retries=1)
    stopped, found = list[psutil.Process](), list[Event]()
    try:
        for event in executor.run(stacks, prepared.recipe, prepared.schema):
            found.append(event)
            if not stopped and isinstance(event, Checkpoint):
                stopped = processes_below(None, "ray::Trainer.train")[:1]
                stopped[0].suspend()
    finally:
        executor.close()
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.kill()
    assert rows_of(iter(found)) == expected


def rows_of(events: Any) -> dict[int, bytes]:
    return {
        e.learner: e.state.row.tobytes() for e in events if isinstance(e, Checkpoint) and e.finished
    }
