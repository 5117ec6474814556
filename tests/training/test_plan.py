"""How learners are divided into stacks."""

from dataclasses import replace

import numpy as np
import pytest

from ensemble_pipe.nn.networks import Mlp
from ensemble_pipe.optim import SGD, Adam, Constant, Snapshot
from ensemble_pipe.training.plan import LearnerPlan, LearnerState, make_stacks


def plans_of(count: int) -> list[LearnerPlan]:
    return [LearnerPlan(i, 1, Mlp(), Adam(), Constant(), 2, 32) for i in range(count)]


def widths(plans: list[LearnerPlan], size: int, trainers: int) -> list[int]:
    stacks = make_stacks(plans, {}, size=size, trainers=trainers, width=None)
    return [len(stack.plans) for stack in stacks]


def test_small_networks_share_a_stack_and_every_trainer_has_work() -> None:
    assert widths(plans_of(8), size=1000, trainers=2) == [4, 4]
    assert widths(plans_of(8), size=1000, trainers=1) == [8]


def test_a_network_larger_than_the_cache_trains_alone() -> None:
    assert widths(plans_of(3), size=500_000, trainers=1) == [1, 1, 1]


def test_every_learner_is_in_one_stack() -> None:
    stacks = make_stacks(plans_of(7), {}, size=10, trainers=1, width=3)
    learners = [plan.learner for stack in stacks for plan in stack.plans]
    assert sorted(learners) == list(range(7))


@pytest.mark.parametrize(
    "change",
    [
        {"network": Mlp(hidden=(8,))},
        {"rule": SGD()},
        {"schedule": Snapshot(cycles=2)},
        {"epochs": 3},
        {"batch_rows": 16},
        {"order": "shared"},
    ],
)
def test_learners_that_differ_in_kind_do_not_share_a_stack(change: dict[str, object]) -> None:
    plans = plans_of(2)
    plans[1] = replace(plans[1], **change)  # type: ignore[arg-type]
    assert len(make_stacks(plans, {}, size=10, trainers=1, width=8)) == 2


def test_learners_that_differ_in_numbers_share_a_stack() -> None:
    plans = plans_of(2)
    plans[1] = replace(plans[1], rule=Adam(learning_rate=0.1, beta1=0.5))
    assert len(make_stacks(plans, {}, size=10, trainers=1, width=8)) == 1


def test_learners_at_different_steps_do_not_share_a_stack() -> None:
    state = LearnerState(5, np.zeros(3, np.float32), {})
    stacks = make_stacks(plans_of(3), {1: state}, size=10, trainers=1, width=8)
    assert [[plan.learner for plan in stack.plans] for stack in stacks] == [[0, 2], [1]]
    assert stacks[1].states == (state,)
