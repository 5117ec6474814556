"""The executor that trains on Ray: a pool of trainer actors, and stacks queued to them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ensemble_pipe.cluster.connection import INLINE, connect, disconnect, liveness
from ensemble_pipe.cluster.executor import Estimators
from ensemble_pipe.cluster.failure import cause_of, decide, is_loss
from ensemble_pipe.cluster.liveness import Liveness
from ensemble_pipe.cluster.pool import (
    SILENCE_TIMEOUT_S,
    START_TIMEOUT_S,
    TrainerPool,
    unwrap_error,
    wait,
)
from ensemble_pipe.cluster.trainer import Trainer, fit_here, warm_up_node
from ensemble_pipe.core.errors import ClusterError, EnsemblePipeError
from ensemble_pipe.data.local_base import BaseSource
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shard_service import ShardService
from ensemble_pipe.data.shards import Recipe
from ensemble_pipe.training.estimators import EstimatorPlan
from ensemble_pipe.training.events import Event
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.stacks import Stack


class RayExecutor:
    """Trains on a Ray cluster.

    Attributes:
        trainers: size of the pool.
        service: for augmented shards, while a run needs one.
    """

    def __init__(
        self, address: str, *, trainers: int | None, cpus_per_trainer: int, retries: int
    ) -> None:
        """Connect to a cluster, or start a local one.

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
        self._started = connect(address)
        self._cpus = cpus_per_trainer
        self._retries = retries
        try:
            with cluster_errors():
                self._liveness = liveness()
                self.trainers = self._pool_size(trainers)
        except BaseException:
            self.close()
            raise

    def _pool_size(self, trainers: int | None) -> int:
        # By node: a trainer does not spread over two.
        available = sum(
            int(node["Resources"].get("CPU", 0)) // self._cpus
            for node in ray.nodes()
            if node["Alive"]
        )
        if available < 1 or (trainers or 1) > available:
            raise ClusterError(
                f"the Ray cluster has room for {available} trainers of {self._cpus} CPUs, "
                f"not for {trainers or 1}; lower cluster.trainers or cluster.cpus_per_trainer"
            )
        return trainers or available

    def run(
        self, stacks: Sequence[Stack], recipe: Recipe, schema: Schema, estimators: Estimators = ()
    ) -> Iterator[Event]:
        with cluster_errors():
            source = BaseSource(ray.get_runtime_context().get_node_id())
            yield from _fit(estimators, source, recipe, schema, self._retries, self._liveness)
            if not stacks:
                return
            plans = [plan for stack in stacks for plan in stack.plans]
            warm_up_nodes(schema, plans, recipe, self._liveness)
            if recipe.augment.shard_policy:
                self.service = _actor_class(ShardService).remote(source, recipe, self.trainers)
                self._actors.append(self.service)

            def new_trainer() -> Any:
                options = _actor_class(Trainer).options(num_cpus=self._cpus)
                actor = options.remote(source, recipe, schema, self.service)
                self._actors.append(actor)
                return actor

            yield from TrainerPool(new_trainer, self.trainers, self._retries).train(
                stacks, self._liveness
            )

    def close(self) -> None:
        if hasattr(self, "_liveness"):
            self._liveness.close()
        if self._started:
            disconnect()  # the actors end with it
            return
        for actor in self._actors:
            ray.kill(actor)
        self._actors = []


@contextmanager
def cluster_errors() -> Iterator[None]:
    """Convert Ray's errors into a `ClusterError` with advice.

    Raises:
        ClusterError: in place of Ray's error, or of one in its connections.
        EnsemblePipeError: that a task raised, unchanged.
    """
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, EnsemblePipeError):
            raise cause from error
        raise ClusterError(
            f"a trainer failed ({type(cause).__name__}: {cause_of(cause)}); what is finished is "
            "kept, and `ensemble-pipe resume` continues from the last checkpoints"
        ) from error
    except (ray.exceptions.RayError, OSError) as error:
        raise ClusterError(
            f"Ray failed ({type(error).__name__}: {cause_of(error)}); what is finished is kept, "
            f"and `ensemble-pipe resume` continues from the last checkpoints; {INLINE}"
        ) from error


def warm_up_nodes(
    schema: Schema, plans: list[LearnerPlan], recipe: Recipe, alive: Liveness
) -> None:
    """Warm up all nodes of the cluster in parallel; nodes lost meanwhile are skipped.

    Raises:
        ClusterError: a node did not answer in time.
    """
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    here = [NodeAffinitySchedulingStrategy(node, soft=False) for node in nodes]
    waiting = [
        warm_up_node.options(scheduling_strategy=place).remote(schema, plans, recipe)
        for place in here
    ]
    while waiting:
        done = wait(waiting, START_TIMEOUT_S, alive)
        if not done:
            raise ClusterError(
                f"{len(waiting)} of the cluster's {len(nodes)} nodes did not start workers within "
                f"{START_TIMEOUT_S:.0f} s; look at it with `ray status`"
            )
        waiting.remove(done[0])
        try:
            ray.get(done[0])
        except ray.exceptions.RayError as error:
            if not is_loss(error):
                raise


def _fit(
    plans: Estimators,
    source: BaseSource,
    recipe: Recipe,
    schema: Schema,
    retries: int,
    alive: Liveness,
) -> Iterator[Event]:
    """Fit scikit-learn learners in parallel; yield each when it is fitted.

    Raises:
        ClusterError: a task was lost more often than is allowed, or does not respond for too long.
    """

    def begun(plan: EstimatorPlan) -> Any:
        return fit_here.remote(plan, source, recipe, schema)

    waiting = {begun(plan): plan for plan in plans}
    deaths: Counter[int] = Counter()
    while waiting:
        done = wait(list(waiting), SILENCE_TIMEOUT_S, alive)
        if not done:
            raise ClusterError(
                f"no scikit-learn learner was fitted for {SILENCE_TIMEOUT_S / 60:.0f} minutes; "
                "look at the cluster with `ray status`, then go on with `ensemble-pipe resume`"
            )
        plan = waiting.pop(done[0])
        try:
            yield ray.get(done[0])
        except ray.exceptions.RayError as error:
            lost = unwrap_error(error) if isinstance(error, ray.exceptions.RayTaskError) else error
            if not is_loss(lost):
                raise lost from error
            deaths[plan.learner] += 1
            decision = decide(deaths[plan.learner], retries, cause_of(lost))
            if decision.action == "give_up":
                raise ClusterError(decision.reason) from error
            waiting[begun(plan)] = plan


def _actor_class(decorated: Any) -> Any:
    """Return the actor class of `ray.remote`, which has no precise type."""
    return decorated
