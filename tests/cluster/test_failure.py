"""What happens to a stack whose trainer died, decided without a cluster."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import ray

from ensemble_pipe.cluster.failure import cause_of, decide, decide_start, is_loss
from ensemble_pipe.cluster.pool import group_by_step, remaining_stack
from ensemble_pipe.cluster.ray import cluster_errors
from ensemble_pipe.core.errors import ClusterError, InputError
from ensemble_pipe.nn.losses import CrossEntropy
from ensemble_pipe.nn.networks import Mlp
from ensemble_pipe.optim import Adam, ConstantRate
from ensemble_pipe.training.events import Checkpoint, Failed, Progress
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.stacks import Stack
from ensemble_pipe.training.state import LearnerState

RAY_ERRORS = {
    kind.__name__: kind
    for kind in vars(ray.exceptions).values()
    if isinstance(kind, type) and issubclass(kind, ray.exceptions.RayError)
}
# What another trainer can go on from; all else would only happen again.
LOSSES = {
    "ActorDiedError", "ActorHandleNotFoundError", "ActorPlacementGroupRemoved",
    "ActorUnavailableError", "ActorUnschedulableError", "AsyncioActorExit", "LocalRayletDiedError",
    "NodeDiedError", "ObjectFetchTimedOutError", "ObjectFreedError", "ObjectLostError",
    "ObjectReconstructionFailedError", "ObjectRefStreamEndOfStreamError", "OutOfMemoryError",
    "OwnerDiedError", "PlasmaObjectNotAvailable", "RayActorError",
    "ReferenceCountingAssertionError", "RpcError", "StreamingGeneratorReplayInconsistentError",
    "TaskCancelledError", "TaskPlacementGroupRemoved", "TaskUnschedulableError",
    "WorkerCrashedError",
}  # fmt: skip

PLAN = LearnerPlan(0, 1, Mlp(), CrossEntropy(), Adam(), ConstantRate(), 2, 32)
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
    stack = remaining_stack(STACK, Checkpoint(1, 1, 7, 20, STATE))
    assert stack.states == (None, STATE, None)
    assert [
        ([plan.learner for plan in part.plans], part.states) for part in group_by_step(stack)
    ] == [
        ([0, 2], (None, None)),
        ([1], (STATE,)),
    ]


def test_a_learner_that_failed_is_not_tried_again() -> None:
    stack = remaining_stack(STACK, Failed(1, 1, 7, "diverged"))
    assert [plan.learner for plan in stack.plans] == [0, 2]


def test_a_learner_that_ended_early_is_not_tried_again() -> None:
    stack = remaining_stack(STACK, Checkpoint(1, 1, 7, 20, STATE, member=0, finished=True))
    assert [plan.learner for plan in stack.plans] == [0, 2]


def test_a_trainer_may_die_after_its_last_word() -> None:
    stack = STACK
    for learner in range(3):
        stack = remaining_stack(
            stack, Checkpoint(learner, 2, 20, 20, STATE, member=0, finished=True)
        )
    assert group_by_step(stack) == []


def test_progress_changes_nothing() -> None:
    assert remaining_stack(STACK, Progress(1, 3, 20, 0.5)) == STACK


def made(kind: type[Exception]) -> Exception:
    """Return an error of a class without calling its constructor, which takes what Ray has."""

    class Plain(kind):  # type: ignore[misc,valid-type]
        def __init__(self, text: str) -> None:
            Exception.__init__(self, text)
            self.cause = ValueError(text)

        def __str__(self) -> str:
            return "first line\nsecond line"

    return Plain("first line")


def test_the_losses_are_those_of_the_installed_ray() -> None:
    assert len(RAY_ERRORS) >= 35
    assert {name for name, kind in RAY_ERRORS.items() if is_loss(made(kind))} == LOSSES


@pytest.mark.parametrize("name", sorted(RAY_ERRORS))
def test_every_error_of_ray_becomes_one_message_with_the_way_out(name: str) -> None:
    expected = pytest.raises(ClusterError, match=r"first line.*ensemble-pipe resume")
    with expected as told, cluster_errors():
        raise made(RAY_ERRORS[name])
    assert "second line" not in str(told.value)


def test_an_error_of_this_package_that_a_task_raised_stays_what_it_is() -> None:
    error: Any = made(RAY_ERRORS["RayTaskError"])
    error.cause = InputError("layer 'own': forward returned None")
    with pytest.raises(InputError, match="forward returned None"), cluster_errors():
        raise error


def test_a_broken_connection_to_ray_becomes_one_message_too() -> None:
    with pytest.raises(ClusterError, match=r"Broken pipe.*--inline"), cluster_errors():
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize(
    ("failures", "retries", "at_work", "action"),
    [(1, 1, 0, "retry"), (2, 1, 0, "give_up"), (1, 0, 0, "give_up"), (9, 0, 1, "retry")],
)
def test_a_trainer_that_does_not_start_matters_where_no_other_is_at_work(
    failures: int, retries: int, at_work: int, action: str
) -> None:
    assert decide_start(failures, retries, at_work, "no room").action == action


@pytest.mark.parametrize(
    ("text", "in_start", "cause"),
    [
        ("died unexpectedly\n\tpid: 3\nThe actor died because its node died. See", False,
         "The actor died because its node died"),
        ("Traceback\n  File x\nModuleNotFoundError: no ensemble_pipe\n", True,
         "ModuleNotFoundError: no ensemble_pipe"),
        ("killed to free memory", False, "killed to free memory"),
        ("", False, "Exception"),
    ],
)  # fmt: skip
def test_the_line_that_says_why_is_told(text: str, in_start: bool, cause: str) -> None:
    error = Exception(text)
    error.actor_init_failed = in_start  # type: ignore[attr-defined]
    assert cause_of(error) == cause
