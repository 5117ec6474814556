"""What happens to a stack whose trainer died, decided without a cluster."""

from dataclasses import replace

import numpy as np
import pytest

from ensemble_pipe.cluster.failure import decide
from ensemble_pipe.cluster.pool import after, regrouped
from ensemble_pipe.nn.losses import CrossEntropy
from ensemble_pipe.nn.networks import Mlp
from ensemble_pipe.optim import Adam, Constant
from ensemble_pipe.training.events import Checkpoint, Failed, Progress
from ensemble_pipe.training.plan import LearnerPlan, LearnerState, Stack

PLAN = LearnerPlan(0, 1, Mlp(), CrossEntropy(), Adam(), Constant(), 2, 32)
STACK = Stack(tuple(replace(PLAN, learner=learner) for learner in range(3)))
STATE = LearnerState(7, np.zeros(3, np.float32), {})


@pytest.mark.parametrize(
    ("deaths", "retries", "action"),
    [(1, 0, "give_up"), (1, 1, "retry"), (2, 1, "give_up"), (2, 2, "retry")],
)
def test_a_stack_is_tried_again_as_often_as_allowed(deaths: int, retries: int, action: str) -> None:
    decision = decide(deaths, retries, "killed")
    assert decision.action == action
    assert "killed" in decision.reason


def test_a_retry_begins_at_the_last_checkpoint_of_each_learner() -> None:
    stack = after(STACK, Checkpoint(1, 1, 7, 20, STATE))
    assert stack.states == (None, STATE, None)
    assert [([plan.learner for plan in part.plans], part.states) for part in regrouped(stack)] == [
        ([0, 2], (None, None)),
        ([1], (STATE,)),
    ]


def test_a_learner_that_failed_is_not_tried_again() -> None:
    stack = after(STACK, Failed(1, 1, 7, "diverged"))
    assert [plan.learner for plan in stack.plans] == [0, 2]


def test_a_learner_that_ended_early_is_not_tried_again() -> None:
    stack = after(STACK, Checkpoint(1, 1, 7, 20, STATE, member=0, finished=True))
    assert [plan.learner for plan in stack.plans] == [0, 2]


def test_a_trainer_may_die_after_its_last_word() -> None:
    stack = STACK
    for learner in range(3):
        stack = after(stack, Checkpoint(learner, 2, 20, 20, STATE, member=0, finished=True))
    assert regrouped(stack) == []


def test_progress_changes_nothing() -> None:
    assert after(STACK, Progress(1, 3, 20, 0.5)) == STACK
