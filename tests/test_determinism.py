"""The determinism contract: the ways of training that must not change a single bit."""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import pytest
from conftest import Prepared

from ensemble_pipe.cluster.inline import InlineExecutor
from ensemble_pipe.training.checkpoints import list_checkpoints, load_state, save_checkpoint
from ensemble_pipe.training.events import Checkpoint, Event
from ensemble_pipe.training.plan import LearnerState, Stack, make_stacks

LEARNER = 3
LEARNERS = 8

SETTINGS: dict[str, dict[str, Any]] = {
    "adam": {},
    "sgd, cosine": {
        "training": {"optimizer": {"name": "sgd"}, "schedule": {"name": "cosine"}},
    },
    "augmented": {"augment": [{"name": "shift_crop"}, {"name": "horizontal_flip"}]},
    "shared order": {"training": {"order": "shared"}},
    "snapshots": {
        "training": {"schedule": {"name": "snapshot", "cycles": 2}},
        "ensemble": {"strategy": "snapshot", "learners": LEARNERS},
    },
    "own rates": {
        "ensemble": {
            "learners": LEARNERS,
            "vary": {"training.optimizer.learning_rate": {"low": 1e-4, "high": 1e-2}},
        }
    },
    "odd sizes": {"network": {"hidden": [13, 7], "activation": "tanh"}},
}


def final_state(events: Iterator[Event]) -> LearnerState:
    """Return what learner 3 ended with; everything else is consumed too."""
    last = [e for e in events if isinstance(e, Checkpoint) and e.learner == LEARNER][-1]
    assert last.finished
    return last.state


def assert_same_bits(one: LearnerState, other: LearnerState) -> None:
    assert one.step == other.step
    assert one.row.tobytes() == other.row.tobytes()
    assert {n: s.tobytes() for n, s in one.slots.items()} == {
        n: s.tobytes() for n, s in other.slots.items()
    }


def inline(prepared: Prepared, stacks: list[Stack]) -> LearnerState:
    return final_state(InlineExecutor().run(stacks, prepared.recipe, prepared.schema))


def on_ray(prepared: Prepared, stacks: list[Stack], trainers: int) -> LearnerState:
    from ensemble_pipe.cluster.ray import RayExecutor

    executor = RayExecutor("local", trainers=trainers, cpus_per_trainer=1, retries=0)
    try:
        return final_state(executor.run(stacks, prepared.recipe, prepared.schema))
    finally:
        executor.close()


def stacks_of(
    prepared: Prepared, width: int, states: dict[int, LearnerState] | None = None
) -> list[Stack]:
    return make_stacks(prepared.plans, states or {}, size=1, trainers=1, width=width)


def alone(prepared: Prepared) -> LearnerState:
    return inline(prepared, [Stack((prepared.plans[LEARNER],))])


def in_a_stack_of_eight(prepared: Prepared) -> LearnerState:
    return inline(prepared, stacks_of(prepared, 8))


def last_in_a_stack(prepared: Prepared) -> LearnerState:
    order = [5, 1, LEARNER]
    return inline(prepared, [Stack(tuple(prepared.plans[i] for i in order))])


def on_one_trainer(prepared: Prepared) -> LearnerState:
    return on_ray(prepared, stacks_of(prepared, 4), trainers=1)


def on_two_trainers(prepared: Prepared) -> LearnerState:
    return on_ray(prepared, stacks_of(prepared, 3), trainers=2)


def stopped_and_resumed_in_another_width(prepared: Prepared) -> LearnerState:
    executor = InlineExecutor()
    for event in executor.run(stacks_of(prepared, 8), prepared.recipe, prepared.schema):
        if isinstance(event, Checkpoint):
            save_checkpoint(prepared.paths, event)
            if event.learner == LEARNERS - 1:
                break
    saved = {
        plan.learner: list_checkpoints(prepared.paths, plan.learner) for plan in prepared.plans
    }
    states = {
        learner: load_state(prepared.paths, learner, found[-1].step)
        for learner, found in saved.items()
    }
    assert 0 < states[LEARNER].step < prepared.plans[LEARNER].steps(prepared.data.rows).total
    return inline(prepared, stacks_of(prepared, 3, states))


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
@pytest.mark.parametrize(
    "way", [in_a_stack_of_eight, last_in_a_stack, stopped_and_resumed_in_another_width]
)
def test_learner_3_is_bitwise_the_same_in_this_process(
    prepare: Callable[..., Prepared],
    settings: dict[str, Any],
    way: Callable[[Prepared], LearnerState],
) -> None:
    prepared = prepare(**{"ensemble": {"learners": LEARNERS}, **settings})
    assert_same_bits(way(prepared), alone(prepared))


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("settings", ["adam", "augmented"])
@pytest.mark.parametrize("way", [on_one_trainer, on_two_trainers])
def test_learner_3_is_bitwise_the_same_on_ray(
    prepare: Callable[..., Prepared], settings: str, way: Callable[[Prepared], LearnerState]
) -> None:
    prepared = prepare(**{"ensemble": {"learners": LEARNERS}, **SETTINGS[settings]})
    assert_same_bits(way(prepared), alone(prepared))


def test_another_seed_changes_the_bits(prepare: Callable[..., Prepared]) -> None:
    one = alone(prepare(ensemble={"learners": 4}))
    other = alone(prepare(ensemble={"learners": 4}, seed=2))
    assert not np.array_equal(one.row, other.row)


def test_learners_differ_from_one_another(prepare: Callable[..., Prepared]) -> None:
    prepared = prepare(ensemble={"learners": 4})
    events = InlineExecutor().run(stacks_of(prepared, 4), prepared.recipe, prepared.schema)
    rows = [e.state.row for e in events if isinstance(e, Checkpoint) and e.finished]
    pairs = chain.from_iterable(((a, b) for b in range(a)) for a in range(len(rows)))
    assert all(not np.array_equal(rows[a], rows[b]) for a, b in pairs)
