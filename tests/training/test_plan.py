"""How learners are divided into stacks."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ensemble_pipe.nn.losses import CrossEntropy, Hinge
from ensemble_pipe.nn.networks import Mlp
from ensemble_pipe.optim import (
    EMA,
    SGD,
    SWA,
    Adam,
    ConstantRate,
    Last,
    Plateau,
    Polyak,
    Snapshot,
    WarmUp,
)
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.stacks import make_stacks
from ensemble_pipe.training.state import LearnerState
from ensemble_pipe.training.stopping import EarlyStopping


def plans_of(count: int) -> list[LearnerPlan]:
    loss, rule, schedule = CrossEntropy(), Adam(), ConstantRate()
    return [LearnerPlan(i, 1, Mlp(), loss, rule, schedule, 2, 32) for i in range(count)]


def widths(plans: list[LearnerPlan], size: int, trainers: int) -> list[int]:
    stacks = make_stacks(plans, {}, size=size, trainers=trainers, width=None)
    return [len(stack.plans) for stack in stacks]


def test_small_networks_share_a_stack_and_every_trainer_has_work() -> None:
    assert widths(plans_of(8), size=1000, trainers=2) == [4, 4]
    assert widths(plans_of(8), size=1000, trainers=1) == [8]


def test_stacks_are_of_about_one_size_so_that_no_trainer_waits_for_a_full_one() -> None:
    assert widths(plans_of(40), size=1000, trainers=2) == [10, 10, 10, 10]
    assert widths(plans_of(40), size=1000, trainers=1) == [14, 14, 12]
    assert widths(plans_of(33), size=1000, trainers=2) == [9, 9, 9, 6]
    assert widths(plans_of(64), size=1000, trainers=2) == [16, 16, 16, 16]


def test_kinds_that_train_in_turn_are_not_divided_for_every_trainer() -> None:
    others = [replace(plan, network=Mlp(hidden=(8,))) for plan in plans_of(4)]
    plans = [*others, *[replace(plan, learner=4 + plan.learner) for plan in plans_of(20)]]
    assert widths(plans, size=1000, trainers=4) == [4, 5, 5, 5, 5]
    assert widths(plans, size=1000, trainers=2) == [4, 10, 10]


def test_a_network_larger_than_the_cache_trains_alone() -> None:
    assert widths(plans_of(3), size=500_000, trainers=1) == [1, 1, 1]


def test_every_learner_is_in_one_stack() -> None:
    stacks = make_stacks(plans_of(7), {}, size=10, trainers=1, width=3)
    learners = [plan.learner for stack in stacks for plan in stack.plans]
    assert sorted(learners) == list(range(7))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"network": Mlp(hidden=(8,))}),
        ({}, {"network": Mlp(dropout=0.5)}),
        ({}, {"rule": SGD()}),
        ({}, {"schedule": Snapshot(cycles=2)}),
        ({}, {"loss": Hinge()}),
        ({}, {"averaging": EMA()}),
        ({"averaging": EMA()}, {"averaging": Polyak()}),
        ({"averaging": SWA()}, {"averaging": SWA(at="cycle")}),
        ({"averaging": Last(epochs=2)}, {"averaging": Last(epochs=3)}),
        ({}, {"early_stopping": EarlyStopping()}),
        ({}, {"rate_factors": (("dense1/*", 0.1),)}),
        ({}, {"epochs": 3}),
        ({}, {"batch_rows": 16}),
        ({}, {"batch_rows": None}),
        ({}, {"order": "shared"}),
    ],
)
def test_learners_that_differ_in_kind_do_not_share_a_stack(one: Any, other: Any) -> None:
    assert stack_count(one, other) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"rule": Adam(learning_rate=0.1, beta1=0.5)}),
        ({}, {"rule": Adam(clip_norm=1.0, max_norm=2.0, l1=0.1, l2=0.1, weight_decay=0.1)}),
        ({}, {"loss": CrossEntropy(smoothing=0.1)}),
        ({"schedule": Snapshot(cycles=2)}, {"schedule": Snapshot(cycles=3)}),
        ({"schedule": WarmUp()}, {"schedule": WarmUp(share=0.2, then=Plateau())}),
        ({"network": Mlp(dropout=0.1)}, {"network": Mlp(dropout=0.5)}),
        ({"averaging": EMA()}, {"averaging": EMA(decay=0.5)}),
        ({"averaging": Polyak()}, {"averaging": Polyak(start=0.1)}),
        ({"averaging": SWA()}, {"averaging": SWA(start=0.1, every=2)}),
        (
            {"early_stopping": EarlyStopping()},
            {"early_stopping": EarlyStopping(metric="stop/accuracy", restore_best=False)},
        ),
    ],
)
def test_learners_that_differ_in_numbers_share_a_stack(one: Any, other: Any) -> None:
    assert stack_count(one, other) == 1


def stack_count(one: Any, other: Any) -> int:
    first, second = plans_of(2)
    plans = [replace(first, **one), replace(second, **other)]
    return len(make_stacks(plans, {}, size=10, trainers=1, width=8))


def test_learners_at_different_steps_do_not_share_a_stack() -> None:
    state = LearnerState(5, np.zeros(3, np.float32), {})
    stacks = make_stacks(plans_of(3), {1: state}, size=10, trainers=1, width=8)
    assert [[plan.learner for plan in stack.plans] for stack in stacks] == [[0, 2], [1]]
    assert stacks[1].states == (state,)
