"""The pool of trainers on Ray: assigns work to started trainers, and replaces those that die."""

import copy
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import ray

from ensemble_pipe.cluster.executor import Work
from ensemble_pipe.cluster.failure import cause_of, decide, decide_start, is_loss
from ensemble_pipe.cluster.heartbeat import EVERY_S, LOST_AFTER_S, Heartbeats
from ensemble_pipe.cluster.liveness import Liveness
from ensemble_pipe.core.errors import ClusterError, EnsemblePipeError
from ensemble_pipe.training.events import Checkpoint, Event, Failed
from ensemble_pipe.training.halting import Halted, never
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.stacks import Stack
from ensemble_pipe.training.state import LearnerState

# A trainer that reports nothing for so long is considered lost.
SILENCE_TIMEOUT_S = 1800.0
# So long a run waits for a trainer where it has none.
START_TIMEOUT_S = 300.0
# How often a run that waits looks whether Ray still lives: it has a second or two to notice.
LOOK_EVERY_S = 0.25
# So long trainers that are halted have for a step and for sending what they have.
HALT_TIMEOUT_S = 2.0


class TrainerPool:
    """Trainers that are starting, idle, or at work.

    A trainer is assigned work only once it has started, so one without resources blocks none.
    """

    def __init__(
        self,
        new_trainer: Callable[[], tuple[Any, Any]],
        size: int,
        retries: int,
        first_is_ready: Callable[[], None],
    ) -> None:
        """Create an empty pool.

        Args:
            new_trainer: starts an actor; returns it, and a reference that is ready when it is.
            size: how many trainers there are at most.
            retries: how often work is tried again after its trainer died.
            first_is_ready: called when the first trainer has started.
        """
        self._new_trainer = new_trainer
        self._size = size
        self._first_is_ready: Callable[[], None] | None = first_is_ready
        self._retries = retries
        self._starting: dict[Any, Any] = {}
        self._idle: list[Any] = []
        self._streams: dict[Any, tuple[Any, Work]] = {}
        self._heartbeats = Heartbeats()
        self._deaths: Counter[int] = Counter()
        self._failed_starts = 0
        self._waited_s = 0.0  # in a row, without an event

    def train(
        self, work: Sequence[Work], liveness: Liveness, halted: Halted = never
    ) -> Iterator[Event]:
        """Do all work, or until training is halted; yield the trainers' events.

        Raises:
            ClusterError: work was lost more often than is allowed, no trainer starts, none
                reports anything for too long, or the cluster is gone.
        """
        queue = list(work)
        while (queue or self._streams) and not halted():
            self._fill(len(queue))
            while queue and self._idle:
                self._assign(self._idle.pop(0), queue.pop(0))
            for reference in self._wait(liveness, halted):
                if reference in self._starting:
                    self._started(reference)
                    continue
                event = self._next(reference, queue)
                if event is not None:
                    yield event
            self._give_up_silent(queue)
        yield from self._halt(liveness)

    def _halt(self, liveness: Liveness) -> Iterator[Event]:
        """Have trainers at work end after their step or round; yield what they still report."""
        for actor, _ in self._streams.values():
            actor.halt.remote()
        deadline = time.monotonic() + HALT_TIMEOUT_S
        while self._streams and (left_s := deadline - time.monotonic()) > 0:
            for reference in wait(list(self._streams), left_s, liveness):
                event = self._next(reference, [])
                if event is not None:
                    yield event
        for actor, _ in self._streams.values():
            ray.kill(actor)

    def take_idle(self) -> list[Any]:
        """Return the trainers that are idle or still starting, for another pool."""
        return [*self._idle, *self._starting.values()]

    def _fill(self, waiting: int) -> None:
        """Start as many trainers as there is work for; a failed start stops no other."""
        there = len(self._starting) + len(self._idle) + len(self._streams)
        size = self._size if self._failed_starts <= self._retries else max(1, there)
        for _ in range(min(size, waiting + len(self._streams)) - there):
            actor, ready = self._new_trainer()
            self._starting[ready] = actor

    def _assign(self, actor: Any, work: Work) -> None:
        stream = actor.train.options(num_returns="streaming").remote(work)
        self._streams[stream] = (actor, work)

    def _wait(self, liveness: Liveness, halted: Halted) -> list[Any]:
        """Return the next ready reference, of a started trainer or an event stream.

        None where training is halted meanwhile, or it is time to ask for heartbeats.
        """
        waited_for = [*self._streams, *self._starting]
        limit = SILENCE_TIMEOUT_S if self._streams else START_TIMEOUT_S
        ready = wait(waited_for, min(limit, EVERY_S), liveness, halted)
        self._waited_s = 0.0 if ready or halted() else self._waited_s + EVERY_S
        if self._waited_s > limit:
            raise ClusterError(_silence() if self._streams else _no_room())
        return ready

    def _started(self, reference: Any) -> None:
        actor = self._starting.pop(reference)
        try:
            ray.get(reference)
        except ray.exceptions.RayError as error:
            if not is_loss(error):
                raise
            self._failed_starts += 1
            at_work = len(self._streams) + len(self._idle)
            decision = decide_start(self._failed_starts, self._retries, at_work, cause_of(error))
            if decision.action == "give_up":
                raise ClusterError(decision.reason) from error
            return
        self._failed_starts = 0
        self._idle.append(actor)
        if self._first_is_ready is not None:
            self._first_is_ready()
            self._first_is_ready = None

    def _next(self, stream: Any, queue: list[Work]) -> Event | None:
        """Return the next event of a stream; None at its end, or where its trainer died."""
        actor, work = self._streams.pop(stream)
        try:
            event = next_event(stream)
        except ray.exceptions.RayError as error:
            if not is_loss(error):
                raise
            self._lose(actor, work, cause_of(error), queue)
            return None
        if event is None:
            self._idle.append(actor)
            return None
        left = remaining_stack(work, event) if isinstance(work, Stack) else work
        self._streams[stream] = (actor, left)
        return event

    def _give_up_silent(self, queue: list[Work]) -> None:
        """Give up the trainers at work that have not answered for too long."""
        streams = {actor: stream for stream, (actor, _) in self._streams.items()}
        for actor in self._heartbeats.lost(streams):
            _, work = self._streams.pop(streams[actor])
            self._lose(actor, work, f"it did not answer for {LOST_AFTER_S:.0f} s", queue)

    def _lose(self, actor: Any, work: Work, cause: str, queue: list[Work]) -> None:
        """Queue the work of a trainer that is lost, or give up."""
        ray.kill(actor)  # where it only seems to be dead
        self._after_death(work, cause)
        queue[:0] = group_by_step(work) if isinstance(work, Stack) else [work]

    def _after_death(self, work: Work, cause: str) -> None:
        """Count the death of a trainer against each learner of its work, or give up."""
        plans = work.plans if isinstance(work, Stack) else (work,)
        self._deaths.update(plan.learner for plan in plans)
        worst = max((self._deaths[plan.learner] for plan in plans), default=0)
        decision = decide(worst, self._retries, cause)
        if decision.action == "give_up":
            raise ClusterError(decision.reason)


def wait(
    references: Sequence[Any], timeout_s: float, liveness: Liveness, halted: Halted = never
) -> list[Any]:
    """Return a list with one ready reference, empty after the timeout or where `halted` says so.

    Raises:
        ClusterError: the cluster is gone.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        liveness.check()
        try:
            look_s = min(LOOK_EVERY_S, max(0.0, deadline - time.monotonic()))
            ready, _ = ray.wait(list(references), num_returns=1, timeout=look_s)
        except OSError:
            liveness.check()  # says which connection broke
            raise
        if ready or halted() or time.monotonic() >= deadline:
            return list(ready)


def next_event(stream: Any) -> Event | None:
    """Return the next event of a stream, or None at its end.

    A trainer's error of this package's types is raised unchanged.
    """
    try:
        # A copy: what lies in Ray's store must not be held when its raylet dies.
        event: Event = copy.deepcopy(ray.get(next(stream)))
    except StopIteration:
        return None
    except ray.exceptions.RayTaskError as error:
        raise unwrap_error(error) from error
    return event


def unwrap_error(error: Any) -> Exception:
    """Return the error of this package or of Ray that a task raised, else the task's error."""
    cause: Exception = error.cause
    return cause if isinstance(cause, EnsemblePipeError | ray.exceptions.RayError) else error


def remaining_stack(stack: Stack, event: Event) -> Stack:
    """Return the part of a stack that remains after an event, from which a retry continues."""
    pairs = list(zip(stack.plans, stack.states, strict=True))
    ended = isinstance(event, Checkpoint) and event.finished
    if ended or isinstance(event, Failed):
        pairs = [(plan, state) for plan, state in pairs if plan.learner != event.learner]
    elif isinstance(event, Checkpoint):
        pairs = [
            (plan, event.state if plan.learner == event.learner else state) for plan, state in pairs
        ]
    return _with_learners(stack, pairs)


def group_by_step(stack: Stack) -> list[Stack]:
    """Divide a stack into stacks whose learners are at the same step."""
    groups: dict[int, list[tuple[LearnerPlan, LearnerState | None]]] = {}
    for plan, state in zip(stack.plans, stack.states, strict=True):
        groups.setdefault(state.step if state else 0, []).append((plan, state))
    return [_with_learners(stack, group) for group in groups.values()]


def _with_learners(stack: Stack, pairs: Sequence[tuple[LearnerPlan, LearnerState | None]]) -> Stack:
    """Return a stack with other learners, and the state that each resumes from."""
    plans, states = tuple(plan for plan, _ in pairs), tuple(state for _, state in pairs)
    return replace(stack, plans=plans, states=states)


def _silence() -> str:
    return (
        f"no trainer reported anything for {SILENCE_TIMEOUT_S / 60:.0f} minutes; look at the "
        "cluster with `ray status`, then go on with `ensemble-pipe resume`"
    )


def _no_room() -> str:
    free = ray.available_resources().get("CPU", 0.0)
    total = ray.cluster_resources().get("CPU", 0.0)
    return (
        f"no trainer was started within {START_TIMEOUT_S:.0f} s: the cluster has {free:g} of "
        f"{total:g} CPUs free, and each trainer takes cluster.cpus_per_trainer of one node; look "
        "at it with `ray status`, then go on with `ensemble-pipe resume`"
    )
