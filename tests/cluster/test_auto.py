"""The executor that measures the work first: it chooses what ends first, and says why."""

from collections.abc import Callable

import pytest
from conftest import Prepared

from ensemble_pipe.cluster.auto import AutoExecutor, training_seconds
from ensemble_pipe.cluster.executor import Executor
from ensemble_pipe.cluster.inline import InlineExecutor
from ensemble_pipe.training.events import Checkpoint, Event
from ensemble_pipe.training.stacks import make_stacks


class FakeRay(InlineExecutor):
    """Trains as Ray would, in this process."""

    released = False

    def release(self) -> None:
        self.released = True


def train(prepared: Prepared, start_s: float) -> tuple[list[Event], list[str], FakeRay | None]:
    """Train; return the events, what was said, and the Ray that was started."""
    said: list[str] = []
    started: list[FakeRay] = []

    def start() -> Executor:
        started.append(FakeRay())
        return started[-1]

    executor = AutoExecutor(start, 2, start_s, said.append)
    stacks = make_stacks(prepared.plans, {}, size=1, trainers=2, width=1)
    events = list(executor.run(stacks, prepared.recipe, prepared.schema))
    executor.release()
    executor.close()
    return events, said, started[0] if started else None


@pytest.mark.parametrize(
    ("start_s", "chosen"), [(1000.0, "executor: this process, "), (0.0, "executor: Ray, ")]
)
def test_what_ends_first_is_chosen_and_changes_no_bit(
    prepare: Callable[..., Prepared], start_s: float, chosen: str
) -> None:
    prepared = prepare(ensemble={"learners": 2})
    events, said, ray = train(prepared, start_s)
    (line,) = said
    assert line.startswith(chosen)
    assert "where training takes about" in line
    assert (ray is not None and ray.released) == (start_s == 0)
    expected = prepared.train()
    final = [e for e in events if isinstance(e, Checkpoint) and e.finished]
    assert len(final) == 2
    for event in final:
        assert event.state.row.tobytes() == expected[event.learner][-1].state.row.tobytes()


def test_it_chooses_once_and_trains_further_work_there(prepare: Callable[..., Prepared]) -> None:
    prepared, said, started = prepare(ensemble={"learners": 2}), list[str](), list[FakeRay]()

    def start() -> Executor:
        started.append(FakeRay())
        return started[-1]

    executor = AutoExecutor(start, 2, 0.0, said.append)
    stacks = make_stacks(prepared.plans, {}, size=1, trainers=2, width=1)
    for _ in range(2):
        assert list(executor.run(stacks, prepared.recipe, prepared.schema))
    assert (len(started), len(said)) == (1, 1)


def test_the_estimate_grows_with_epochs_and_learners(prepare: Callable[..., Prepared]) -> None:
    def estimate(**settings: int) -> float:
        training = {"epochs": settings["epochs"]}
        prepared = prepare(ensemble={"learners": settings["learners"]}, training=training)
        stacks = make_stacks(prepared.plans, {}, size=1, trainers=1, width=1)
        return training_seconds(stacks, prepared.data, prepared.schema)

    assert estimate(epochs=1000, learners=1) > 20 * estimate(epochs=10, learners=1)
    assert estimate(epochs=1000, learners=30) > 5 * estimate(epochs=1000, learners=1)
