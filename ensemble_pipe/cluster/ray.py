"""The executor that trains on Ray: a pool of trainer actors, and stacks queued to them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import ray

from ensemble_pipe.cluster.background import RayThread
from ensemble_pipe.cluster.connection import INLINE, liveness, use_token
from ensemble_pipe.cluster.executor import Work, stacks_in
from ensemble_pipe.cluster.failure import cause_of
from ensemble_pipe.cluster.inline import InlineExecutor
from ensemble_pipe.cluster.lease import Lease
from ensemble_pipe.cluster.liveness import Liveness
from ensemble_pipe.cluster.pool import TrainerPool
from ensemble_pipe.cluster.standing import NAMESPACE, write_start_seconds
from ensemble_pipe.cluster.trainer import Trainer
from ensemble_pipe.core.errors import ClusterError, EnsemblePipeError
from ensemble_pipe.core.timeline import Timeline
from ensemble_pipe.data.augment.policy import Augment
from ensemble_pipe.data.base import open_base
from ensemble_pipe.data.local_base import BaseSource
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shard_service import ShardService
from ensemble_pipe.data.shards import Recipe
from ensemble_pipe.training.events import Event
from ensemble_pipe.training.halting import Halted, never
from ensemble_pipe.training.warmup import kinds_of

# A service of augmented shards and its makers take seconds of CPU time to start, in which a trainer
# augments as much by itself.
SHARED_BYTES = 1 << 28


class RayExecutor:
    """Trains on a Ray cluster.

    Attributes:
        service: for augmented shards, while a run needs one.
    """

    def __init__(
        self,
        address: str,
        *,
        trainers: int | None,
        cpus_per_trainer: int,
        retries: int,
        ahead: int = 0,
        lease: Lease | None = None,
        say: Callable[[str], None] = lambda _: None,
        timeline: Timeline | None = None,
    ) -> None:
        """Begin to connect to a cluster, or to start a local one, and then its trainers.

        Nothing is waited for, and no error raised, before the cluster is needed.

        Args:
            address: "local", "auto" or HOST:PORT.
            trainers: size of the pool; None for as many as the cluster's CPUs allow.
            cpus_per_trainer: CPUs that each trainer reserves.
            retries: how often a stack is tried again after its trainer died.
            ahead: how many trainers may start before `run` is called.
            lease: of trainers of a Ray that stays, at whose address it is.
            say: tells the user what is waited for.
            timeline: where the start of Ray and of the first trainer are recorded.
        """
        self.service: Any = None
        self._actors: list[Any] = []
        self._ahead: list[Any] = []
        self._wanted = trainers
        self._cpus = cpus_per_trainer
        self._retries = retries
        self._timeline = timeline or Timeline()
        self._made_s = self._timeline.now_s
        self._is_own = address == "local"
        self._lease = lease
        self._say = say
        self._at_work = False
        self._busy = 0
        self._pool: TrainerPool | None = None
        self._recipe: Recipe | None = None  # of the pool's data
        self._ready_s: float | None = None  # of the first trainer
        self._liveness: Liveness | None = None
        if lease is not None:
            use_token()
        self._ray = RayThread(address, partial(self._begin, ahead), self._end, self._timeline)

    @property
    def trainers(self) -> int:
        """How many trainers work at once; known as soon as the cluster is.

        Raises:
            ClusterError: there is no cluster at the address, or it is too small for one trainer.
        """
        self._ray.wait()
        return self._size

    def wait(self, halted: Halted = never) -> bool:
        return self._ray.wait(halted)

    def _begin(self, ahead: int, abandoned: Callable[[], bool]) -> None:
        with cluster_errors():
            self._liveness = liveness(None if self._lease is None else self._lease.stands)
            self._size = pool_size(self._wanted, self._cpus)
            self._began_s = self._timeline.now_s
            if self._lease is None:
                self._ahead = [self._start_trainer() for _ in range(min(ahead, self._size))]
            else:
                most = min(self._size, ahead or self._size)
                names = self._lease.borrow(most, self._say, abandoned)
                self._size = max(1, len(names))
                self._ahead = [ray.get_actor(name, namespace=NAMESPACE) for name in names]

    def _start_trainer(self) -> Any:
        actor = _actor_class(Trainer).options(num_cpus=self._cpus).remote()
        self._actors.append(actor)
        return actor

    def run(
        self, work: Sequence[Work], recipe: Recipe, schema: Schema, halted: Halted = never
    ) -> Iterator[Event]:
        if not work:
            return
        begun = False
        if self.wait(halted):
            for event in self._train(work, recipe, schema, halted):
                begun = True
                yield event
        if not begun:  # Ray has come too late
            yield from InlineExecutor().run(work[:1], recipe, schema, halted)

    def _train(
        self, work: Sequence[Work], recipe: Recipe, schema: Schema, halted: Halted
    ) -> Iterator[Event]:
        assert self._liveness is not None
        with cluster_errors():
            source = BaseSource(ray.get_runtime_context().get_node_id())
            if self._pool is None or self._recipe != recipe:
                self._renew(work, source, recipe, schema)
            assert self._pool is not None
            self._at_work = True
            yield from self._pool.train(work, self._liveness, halted)
            self._at_work = False
            self._busy = max(self._busy, min(self.trainers, len(work)))

    def _renew(
        self, work: Sequence[Work], source: BaseSource, recipe: Recipe, schema: Schema
    ) -> None:
        """Make the pool for the work, and for later work on the same data, of the trainers of an
        earlier one.
        """
        if self._pool is not None:
            self._ahead += self._pool.take_idle()
        if self.service is not None:
            ray.kill(self.service)
            self.service = None
        networks = [plan for stack in stacks_in(work) for plan in stack.plans]
        plans = kinds_of(networks)
        augmented = ((plan.augment or recipe.augment, plan.epochs) for plan in networks)
        if any(shares_shards(recipe, *one) for one in augmented):
            self.service = _actor_class(ShardService).remote(source, recipe, self.trainers)
            self._actors.append(self.service)

        def new_trainer() -> tuple[Any, Any]:
            actor = self._ahead.pop() if self._ahead else self._start_trainer()
            return actor, actor.prepare.remote(source, recipe, schema, plans, self.service)

        self._recipe = recipe
        self._pool = TrainerPool(new_trainer, self.trainers, self._retries, self._first_is_ready)

    def _first_is_ready(self) -> None:
        if self._ready_s is not None:
            return
        self._ready_s = self._timeline.now_s
        self._timeline.add("workers", self._began_s, self._ready_s - self._began_s)
        if self._is_own:
            write_start_seconds(self._ready_s - self._made_s)

    def _advise(self) -> None:
        """Say where training was so short that the start of Ray has cost more than it gained."""
        if self._ready_s is None or not self._busy:
            return
        seconds, start_s = self._timeline.now_s - self._ready_s, self._ready_s - self._made_s
        if self._is_own and seconds * self._busy < start_s:
            self._say(
                f"training took {seconds:.0f} s, less than Ray's start ({start_s:.0f} s): "
                "`--inline` would be faster, and `--set cluster.executor=auto` chooses"
            )

    def release(self) -> None:
        self._advise()
        self._ray.end()

    def close(self) -> None:
        self._ray.close()
        if self._liveness is not None:
            self._liveness.close()

    def _end(self, connected: bool) -> None:
        """End what would outlive this executor: the lease, and actors where Ray stays connected.

        Those of a connection that ends do so with it, even where Ray's processes no longer answer.
        """
        if self._lease is not None:
            with suppress(ClusterError):
                if not self._at_work:
                    self._lease.give_back()
            self._lease.close()
        if not connected:
            with suppress(ray.exceptions.RayError):
                for actor in self._actors:
                    ray.kill(actor)


def shares_shards(recipe: Recipe, augment: Augment, epochs: int) -> bool:
    """Return whether there is so much to augment that trainers share a service for it."""
    if not augment.shard_policy:
        return False
    versions = min(epochs, augment.pool or epochs)
    bytes_each: int = open_base(recipe.train_file).table.nbytes
    return versions * bytes_each >= SHARED_BYTES


def pool_size(trainers: int | None, cpus_per_trainer: int) -> int:
    """Return the number of trainers for which the cluster has room, or that are wanted.

    Args:
        trainers: that are wanted; None for all that there is room for.
        cpus_per_trainer: of one node, since a trainer does not spread over two.

    Raises:
        ClusterError: there is no room for so many, or for one.
    """
    available = sum(
        int(node["Resources"].get("CPU", 0)) // cpus_per_trainer
        for node in ray.nodes()
        if node["Alive"]
    )
    if available < 1 or (trainers or 1) > available:
        raise ClusterError(
            f"the Ray cluster has room for {available} trainers of {cpus_per_trainer} CPUs, "
            f"not for {trainers or 1}; lower cluster.trainers or cluster.cpus_per_trainer"
        )
    return trainers or available


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


def _actor_class(decorated: Any) -> Any:
    """Return the actor class of `ray.remote`, which has no precise type."""
    return decorated
