"""One contract for all executors, and what only Ray does."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
from conftest import Prepared
from ray_processes import processes_below

from ensemble_pipe.cluster.executor import Executor, Work
from ensemble_pipe.cluster.inline import InlineExecutor
from ensemble_pipe.cluster.ray import RayExecutor
from ensemble_pipe.config.plans import make_plans
from ensemble_pipe.core.errors import ClusterError, CorruptFileError
from ensemble_pipe.data.local_base import BaseSource, base_name, local_base
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.training.events import Checkpoint, EstimatorFitted, Event, Failed, Progress
from ensemble_pipe.training.stacks import Stack, make_stacks

pytestmark = pytest.mark.usefixtures("ray_cluster")


def on_ray(trainers: int | None = None, retries: int = 1) -> RayExecutor:
    return RayExecutor("local", trainers=trainers, cpus_per_trainer=1, retries=retries)


@pytest.fixture(params=["inline", "ray"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    made: Executor = InlineExecutor() if request.param == "inline" else on_ray()
    yield made
    made.close()


def stacks_of(prepared: Prepared, width: int) -> list[Stack]:
    return make_stacks(prepared.plans, {}, size=1, trainers=1, width=width)


def events(executor: Executor, prepared: Prepared, width: int = 2) -> list[Event]:
    stacks = stacks_of(prepared, width)
    return list(executor.run(stacks, prepared.recipe, prepared.schema))


def test_every_learner_is_trained_once_and_its_events_come_in_order(
    executor: Executor, prepare: Callable[..., Prepared]
) -> None:
    prepared = prepare(ensemble={"learners": 5})
    found = [e for e in events(executor, prepared) if isinstance(e, Checkpoint)]
    for learner in range(5):
        assert [e.epoch for e in found if e.learner == learner] == [1, 2, 3]


def test_no_stacks_give_no_events(executor: Executor, prepare: Callable[..., Prepared]) -> None:
    prepared = prepare()
    assert list(executor.run([], prepared.recipe, prepared.schema)) == []


def test_a_diverging_learner_is_told_of(
    executor: Executor, prepare: Callable[..., Prepared]
) -> None:
    settings = {"optimizer": {"name": "sgd", "learning_rate": 1e38}}
    prepared = prepare(ensemble={"learners": 2}, training=settings)
    found = [e for e in events(executor, prepared) if not isinstance(e, Progress)]
    assert [(type(e), e.learner) for e in found] == [(Failed, 0), (Failed, 1)]


POOL = [
    {"strategy": "histogram_boosting", "rounds": 3},
    {"strategy": "independent", "learners": 2},
    {"strategy": "linear"},
]


def test_learners_without_steps_are_fitted_among_the_stacks(
    executor: Executor, prepare: Callable[..., Prepared]
) -> None:
    prepared = prepare(ensemble={"pool": POOL})
    (boosted, linear), stacks = make_plans(prepared.config).estimators, stacks_of(prepared, 2)
    work: list[Work] = [boosted, *stacks, linear]
    found = list(executor.run(work, prepared.recipe, prepared.schema))
    fitted = [e for e in found if isinstance(e, EstimatorFitted)]
    assert {(e.learner, e.whole) for e in fitted} == {(0, True), (3, True)}
    assert set(final_rows(found)) == {1, 2}


def test_halted_training_yields_where_it_stands_and_goes_on_from_there(
    executor: Executor, prepare: Callable[..., Prepared]
) -> None:
    training = {"epochs": 40, "batch_size": 8}
    prepared = prepare(ensemble={"learners": 3}, training=training)
    expected = final_rows(events(InlineExecutor(), prepared, width=3))
    found: list[Event] = []
    stream = executor.run(
        stacks_of(prepared, 2), prepared.recipe, prepared.schema, lambda: len(found) >= 2
    )
    for event in stream:
        found.append(event)  # noqa: PERF402  # halting looks at what is found so far
    states = {e.learner: e.state for e in found if isinstance(e, Checkpoint)}
    assert {0, 1} <= states.keys()
    assert final_rows(found) == {}
    total = prepared.plans[0].steps(prepared.data.rows).total
    assert all(0 < state.step < total for state in states.values())
    rest = make_stacks(prepared.plans, states, size=1, trainers=1, width=3)
    again = InlineExecutor().run(rest, prepared.recipe, prepared.schema)
    assert final_rows(list(again)) == expected


def test_training_that_is_halted_before_it_begins_takes_one_step(
    executor: Executor, prepare: Callable[..., Prepared]
) -> None:
    prepared = prepare(ensemble={"learners": 2})
    work = stacks_of(prepared, 1)
    found = list(executor.run(work, prepared.recipe, prepared.schema, lambda: True))
    (checkpoint,) = [event for event in found if isinstance(event, Checkpoint)]
    assert (checkpoint.learner, checkpoint.step, checkpoint.member) == (0, 1, None)


def final_rows(found: list[Event]) -> dict[int, bytes]:
    return {
        e.learner: e.state.row.tobytes() for e in found if isinstance(e, Checkpoint) and e.finished
    }


@pytest.mark.slow
@pytest.mark.parametrize("augment", [[], [{"name": "shift_crop"}]], ids=["plain", "augmented"])
def test_a_killed_trainer_changes_no_bit(
    prepare: Callable[..., Prepared], augment: list[dict[str, Any]]
) -> None:
    training = {"epochs": 60, "batch_size": 8}
    prepared = prepare(ensemble={"learners": 4}, training=training, augment=augment)
    expected = final_rows(events(InlineExecutor(), prepared, width=4))
    executor, found = on_ray(trainers=2), []
    for event in executor.run(stacks_of(prepared, 2), prepared.recipe, prepared.schema):
        found.append(event)
        if len(found) == 3:
            processes_below(None, "ray::Trainer")[0].kill()
    executor.close()
    assert final_rows(found) == expected


def test_a_trainer_that_dies_too_often_ends_the_run(prepare: Callable[..., Prepared]) -> None:
    prepared = prepare(ensemble={"learners": 1}, training={"epochs": 2000, "batch_size": 4})
    executor = on_ray(trainers=1, retries=0)
    stream = executor.run(stacks_of(prepared, 1), prepared.recipe, prepared.schema)
    next(stream)
    for process in processes_below(None, "ray::Trainer"):
        process.kill()
    with pytest.raises(ClusterError, match=r"lost its trainer 1 times.*ensemble-pipe resume"):
        list(stream)
    executor.close()


def test_the_pool_is_as_large_as_the_cpus_allow() -> None:
    executor = on_ray()
    assert executor.trainers == 2
    executor.close()


def test_more_trainers_than_the_cluster_can_host_are_refused_at_once() -> None:
    with pytest.raises(ClusterError, match="room for 2 trainers of 1 CPUs, not for 3"):
        _ = on_ray(trainers=3).trainers


@pytest.fixture
def elsewhere(
    prepare: Callable[..., Prepared], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Prepared:
    """A run whose base this process cannot see, though tasks on its node can read it."""
    prepared = prepare()
    base, is_file = prepared.paths.base, Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda path: path.parent != base and is_file(path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "elsewhere"))
    return prepared


def test_a_node_without_the_drivers_files_copies_them(elsewhere: Prepared) -> None:
    base, recipe = elsewhere.paths.base, elsewhere.recipe
    source = BaseSource(ray.get_runtime_context().get_node_id())
    copied = local_base(source, recipe)
    assert copied.base != base
    for name in recipe.sums:
        for file in (name, base_name(name)):
            assert (copied.base / file).read_bytes() == (base / file).read_bytes()
    assert TrainingData(copied, elsewhere.schema).rows == elsewhere.data.rows
    wrong = replace(recipe, sums={**recipe.sums, "train.json": "0" * 64})
    with pytest.raises(CorruptFileError, match=r"train\.json"):
        local_base(source, wrong)


def test_a_copied_base_file_is_checked_against_its_sums(elsewhere: Prepared) -> None:
    path = elsewhere.paths.base / "train.arrow"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"train\.arrow: column '\w+' of rows "):
        local_base(BaseSource(ray.get_runtime_context().get_node_id()), elsewhere.recipe)


def test_an_address_where_nothing_listens_is_refused_in_seconds() -> None:
    from ensemble_pipe.cluster.connection import _require_listener

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ClusterError, match=rf"127\.0\.0\.1:{port}: nothing answers there"):
        _require_listener(f"127.0.0.1:{port}")
