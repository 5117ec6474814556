"""Retry policy for lost workers: pure functions from a failure to a decision, testable without Ray.

Errors are identified by name, so that this module does not import Ray.
"""

from dataclasses import dataclass
from typing import Literal

# What these name is gone, and can be had again from another process. All else would only happen
# again: a full store, a token that is wrong, a raylet that died under the driver.
_LOST = {
    "ActorHandleNotFoundError": True,
    "ActorPlacementGroupRemoved": True,
    "ActorUnschedulableError": True,
    "AsyncioActorExit": True,
    "LocalRayletDiedError": True,
    "NodeDiedError": True,
    "ObjectLostError": True,
    "ObjectRefStreamEndOfStreamError": True,
    "OutOfMemoryError": True,
    "PlasmaObjectNotAvailable": True,
    "RayActorError": True,
    "RpcError": True,
    "StreamingGeneratorReplayInconsistentError": True,
    "TaskCancelledError": True,
    "TaskPlacementGroupRemoved": True,
    "TaskUnschedulableError": True,
    "WorkerCrashedError": True,
    "RayTaskError": False,
}


@dataclass(frozen=True)
class Decision:
    """Whether work is retried, and the message to the user."""

    action: Literal["retry", "give_up"]
    reason: str


def is_loss(error: BaseException) -> bool:
    """Return whether an error means that a process, a node or an object was lost.

    >>> is_loss(type("WorkerCrashedError", (Exception,), {})()), is_loss(ValueError())
    (True, False)
    """
    names = (kind.__name__ for kind in type(error).__mro__)
    return next((_LOST[name] for name in names if name in _LOST), False)


def cause_of(error: BaseException) -> str:
    """Return the line of an error that states the reason."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    if getattr(error, "actor_init_failed", False):  # a traceback
        return lines[-1]
    because = (line.split(". ")[0] for line in lines if " because " in line)
    return next(because, lines[0])


def decide(deaths: int, retries: int, cause: str) -> Decision:
    """Decide on a stack whose trainer has died `deaths` times, most recently of `cause`.

    >>> decide(1, 2, "killed").action, decide(3, 2, "killed").action
    ('retry', 'give_up')
    """
    if deaths <= retries:
        return Decision("retry", f"a trainer died ({cause}); its stack continues in a new one")
    return Decision(
        "give_up",
        f"a stack lost its trainer {deaths} times, the last time because: {cause}; what is "
        "finished is kept, and `ensemble-pipe resume` continues from the last checkpoints",
    )


def decide_start(failures: int, retries: int, at_work: int, cause: str) -> Decision:
    """Decide on a trainer that could not be started, while others may be running.

    Args:
        failures: consecutive failed starts.
        retries: how many are allowed to fail.
        at_work: number of running trainers.
        cause: of the last failure.

    >>> decide_start(2, 1, 0, "no node").action, decide_start(2, 1, 1, "no node").action
    ('give_up', 'retry')
    """
    if at_work or failures <= retries:
        return Decision("retry", f"a trainer could not be started ({cause})")
    return Decision(
        "give_up",
        f"no trainer can be started ({cause}); look at the cluster with `ray status`, then go on "
        "with `ensemble-pipe resume`, or with `ensemble-pipe resume --inline`, without Ray",
    )
