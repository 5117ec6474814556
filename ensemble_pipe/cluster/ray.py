"""The executor that trains on Ray: a pool of trainer actors, and stacks queued to them."""

import logging
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ensemble_pipe.cluster.failure import decide
from ensemble_pipe.data.local_base import BaseSource, local_base
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shard_service import ShardService
from ensemble_pipe.data.shards import Recipe, TrainingData, Wanted
from ensemble_pipe.errors import ClusterError, EnsemblePipeError
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.training.estimators import EstimatorPlan, fitted
from ensemble_pipe.training.events import Checkpoint, Event, Failed
from ensemble_pipe.training.loop import train
from ensemble_pipe.training.plan import LearnerPlan, LearnerState, Stack
from ensemble_pipe.training.warmup import warm_up

# A trainer that says nothing for so long is taken for lost.
SILENCE_TIMEOUT_S = 1800.0
START_TIMEOUT_S = 300.0
CONNECT_TIMEOUT_S = 10.0
SHARDS_TIMEOUT_S = 600.0


@ray.remote(max_restarts=0)
class Trainer:
    """Trains stacks, one after another, and streams their events."""

    def __init__(self, source: BaseSource, recipe: Recipe, schema: Schema, service: Any) -> None:
        def shards(wanted: Wanted, coming: Wanted | None) -> list[Any]:
            try:
                references = ray.get(
                    service.shards.remote(wanted, coming), timeout=SHARDS_TIMEOUT_S
                )
                tables: list[Any] = ray.get(references, timeout=SHARDS_TIMEOUT_S)
            except ray.exceptions.RayError:
                # Whoever made or held them is gone; the recipe is all that is needed.
                return self._data.make_shards(wanted)
            return tables

        self._schema = schema
        recipe = local_base(source, recipe)
        self._data = TrainingData(recipe, schema, None if service is None else shards)

    def train(self, stack: Stack) -> Iterator[Event]:
        with one_thread():
            yield from train(stack, self._data, self._schema)


@ray.remote(num_cpus=0)
def warm_up_node(schema: Schema, plans: list[LearnerPlan], recipe: Recipe) -> None:
    """Compile the kernels into the node's cache before its trainers need them."""
    warm_up(schema, plans, recipe)


def warm_up_nodes(schema: Schema, plans: list[LearnerPlan], recipe: Recipe) -> None:
    """Warm up every node of the cluster, all at once.

    Raises:
        ClusterError: a node did not answer in time.
    """
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    here = [NodeAffinitySchedulingStrategy(node, soft=False) for node in nodes]
    tasks = [
        warm_up_node.options(scheduling_strategy=place).remote(schema, plans, recipe)
        for place in here
    ]
    try:
        ray.get(tasks, timeout=START_TIMEOUT_S)
    except ray.exceptions.GetTimeoutError:
        raise ClusterError(
            f"the cluster's {len(nodes)} nodes did not start workers within "
            f"{START_TIMEOUT_S:.0f} s; look at it with `ray status`"
        ) from None


@ray.remote(num_cpus=1)
def fit_here(plan: EstimatorPlan, source: BaseSource, recipe: Recipe, schema: Schema) -> Event:
    """Fit a scikit-learn learner on whatever node has room."""
    with one_thread():
        return fitted(plan, TrainingData(local_base(source, recipe), schema), schema)


def _fit(
    plans: Sequence[EstimatorPlan],
    source: BaseSource,
    recipe: Recipe,
    schema: Schema,
    retries: int,
) -> Iterator[Event]:
    """Fit scikit-learn learners side by side; yield each as it is done.

    Raises:
        ClusterError: a task was lost more often than is allowed, or says nothing for too long.
    """
    waiting = [
        fit_here.options(max_retries=retries).remote(plan, source, recipe, schema) for plan in plans
    ]
    while waiting:
        done, waiting = ray.wait(waiting, num_returns=1, timeout=SILENCE_TIMEOUT_S)
        if not done:
            raise ClusterError(_silence())
        try:
            yield ray.get(done[0])
        except ray.exceptions.WorkerCrashedError as error:
            raise ClusterError(f"a scikit-learn learner was lost ({error})") from None


def _silence() -> str:
    return (
        f"no trainer said anything for {SILENCE_TIMEOUT_S / 60:.0f} minutes; look at the "
        "cluster with `ray status`, then go on with `ensemble-pipe resume`"
    )


class RayExecutor:
    """Trains on a Ray cluster.

    Attributes:
        trainers: size of the pool.
        service: of augmented shards, while a run needs one.
    """

    def __init__(
        self, address: str, *, trainers: int | None, cpus_per_trainer: int, retries: int
    ) -> None:
        """Connect to a cluster, or start one on this machine.

        Args:
            address: "local", "auto" or HOST:PORT.
            trainers: size of the pool; None for as many as the cluster's CPUs allow.
            cpus_per_trainer: CPUs that each trainer reserves.
            retries: how often a stack is tried again after its trainer died.

        Raises:
            ClusterError: there is no cluster at the address, or it is too small for one trainer.
        """
        self._actors: list[Any] = []
        self.service: Any = None
        self._started = _connect(address)
        self._cpus = cpus_per_trainer
        self._retries = retries
        # By node: a trainer does not spread over two.
        available = sum(
            int(node["Resources"].get("CPU", 0)) // cpus_per_trainer
            for node in ray.nodes()
            if node["Alive"]
        )
        if available < 1 or (trainers or 1) > available:
            self.close()
            raise ClusterError(
                f"the Ray cluster has room for {available} trainers of {cpus_per_trainer} CPUs, "
                f"not for {trainers or 1}; lower cluster.trainers or cluster.cpus_per_trainer"
            )
        self.trainers = trainers or available

    def run(
        self,
        stacks: Sequence[Stack],
        recipe: Recipe,
        schema: Schema,
        estimators: Sequence[EstimatorPlan] = (),
    ) -> Iterator[Event]:
        source = BaseSource(ray.get_runtime_context().get_node_id())
        yield from _fit(estimators, source, recipe, schema, self._retries)
        if not stacks:
            return
        plans = [plan for stack in stacks for plan in stack.plans]
        warm_up_nodes(schema, plans, recipe)
        if recipe.augment.shard_policy:
            self.service = _actor_class(ShardService).remote(source, recipe, self.trainers)
            self._actors.append(self.service)

        def new_trainer() -> Any:
            options = _actor_class(Trainer).options(num_cpus=self._cpus)
            actor = options.remote(source, recipe, schema, self.service)
            self._actors.append(actor)
            return actor

        yield from self._drain(list(stacks), new_trainer)

    def _drain(self, queue: list[Stack], new_trainer: Callable[[], Any]) -> Iterator[Event]:
        """Keep every trainer at work until the queue is empty and all streams have ended."""
        deaths: Counter[int] = Counter()
        streams: dict[Any, tuple[Any, Stack]] = {}
        idle = [new_trainer() for _ in range(min(self.trainers, len(queue)))]
        while queue or streams:
            while queue and idle:
                actor, stack = idle.pop(), queue.pop(0)
                stream = actor.train.options(num_returns="streaming").remote(stack)
                streams[stream] = (actor, stack)
            for stream in _ready(list(streams)):
                actor, stack = streams[stream]
                try:
                    event = _next_event(stream)
                except ray.exceptions.RayActorError as error:
                    del streams[stream]
                    self._after_death(stack, deaths, error)
                    queue[:0] = regrouped(stack)
                    idle.append(new_trainer())
                    continue
                if event is None:
                    del streams[stream]
                    idle.append(actor)
                    continue
                streams[stream] = (actor, after(stack, event))
                yield event

    def _after_death(self, stack: Stack, deaths: Counter[int], error: Exception) -> None:
        """Count the death of a stack's trainer against each of its learners, or give up."""
        deaths.update(plan.learner for plan in stack.plans)
        worst = max((deaths[plan.learner] for plan in stack.plans), default=0)
        decision = decide(worst, self._retries, str(error).splitlines()[0])
        if decision.action == "give_up":
            raise ClusterError(decision.reason)

    def close(self) -> None:
        for actor in self._actors:
            ray.kill(actor)
        self._actors = []
        if self._started:
            ray.shutdown()


def after(stack: Stack, event: Event) -> Stack:
    """Return what is left of a stack behind an event: a retry would begin there."""
    pairs = list(zip(stack.plans, stack.states, strict=True))
    ended = isinstance(event, Checkpoint) and event.finished
    if ended or isinstance(event, Failed):
        pairs = [(plan, state) for plan, state in pairs if plan.learner != event.learner]
    elif isinstance(event, Checkpoint):
        pairs = [
            (plan, event.state if plan.learner == event.learner else state) for plan, state in pairs
        ]
    return Stack(tuple(plan for plan, _ in pairs), tuple(state for _, state in pairs))


def regrouped(stack: Stack) -> list[Stack]:
    """Return a stack as stacks whose learners stand at the same step."""
    groups: dict[int, list[tuple[LearnerPlan, LearnerState | None]]] = {}
    for plan, state in zip(stack.plans, stack.states, strict=True):
        groups.setdefault(state.step if state else 0, []).append((plan, state))
    return [
        Stack(tuple(plan for plan, _ in group), tuple(state for _, state in group))
        for group in groups.values()
    ]


def _actor_class(decorated: Any) -> Any:
    """Return what `ray.remote` made of a class, which its type does not tell."""
    return decorated


def _ready(streams: list[Any]) -> list[Any]:
    ready, _ = ray.wait(streams, num_returns=1, timeout=SILENCE_TIMEOUT_S)
    if not ready:
        raise ClusterError(_silence())
    return list(ready)


def _next_event(stream: Any) -> Event | None:
    """Return the next event of a stream, or None at its end; a trainer's own error is raised."""
    try:
        event: Event = ray.get(next(stream))
    except StopIteration:
        return None
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, EnsemblePipeError):
            raise error.cause from None
        raise
    return event


def _require_listener(address: str) -> None:
    """Find out in seconds what Ray would take minutes for: that nothing listens at HOST:PORT."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or "/" in host:
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise ClusterError(
            f"--address {address}: nothing answers there ({error}); start a cluster with "
            "`ray start --head` or `ray up cluster.yaml`, or leave --address out"
        ) from None


def _connect(address: str) -> bool:
    """Connect to Ray; return whether a cluster was started for it.

    Raises:
        ClusterError: there is no cluster at the address.
    """
    if ray.is_initialized():
        return False
    _require_listener(address)
    # A local cluster is on the user's machine: no dashboard, no usage report, no worker log.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address == "local":
            ray.init(address="local", include_dashboard=False, **quiet)
            return True
        ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ClusterError(
            f"--address {address}: no Ray cluster there ({str(error).splitlines()[0]}); start one "
            "with `ray start --head` or `ray up cluster.yaml`, or leave --address out"
        ) from None
    return True
