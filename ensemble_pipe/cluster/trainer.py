"""Code run on a cluster's nodes: trainer actors."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import ray

from ensemble_pipe.cluster.executor import Work
from ensemble_pipe.core.compilation import load_runtime
from ensemble_pipe.data.local_base import BaseSource, local_base
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import Recipe, ShardRequest, TrainingData
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.training.estimators import train_estimator
from ensemble_pipe.training.events import Event
from ensemble_pipe.training.loop import train
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.stacks import Stack
from ensemble_pipe.training.warmup import compile_kernels

SHARDS_TIMEOUT_S = 600.0


# A second thread answers, and hears that training is halted, while the first one trains.
@ray.remote(max_restarts=0, concurrency_groups={"control": 1})
class Trainer:
    """Trains stacks and fits learners without steps, one after another; streams their events."""

    def __init__(self) -> None:
        """Load all that training needs, before there are data."""
        load_runtime()
        self._halted = threading.Event()
        self._work: tuple[TrainingData, Schema] | None = None

    # Not the constructor's arguments: those would lie in the object store for as long as it lives.
    def prepare(
        self,
        source: BaseSource,
        recipe: Recipe,
        schema: Schema,
        plans: Sequence[LearnerPlan],
        service: Any,
    ) -> None:
        """Get ready to train on data.

        Args:
            source, recipe, schema: of the data.
            plans: one of each kind of networks that will be trained; kernels of theirs that this
                node's cache lacks are compiled by one trainer, while the others wait.
            service: of augmented shards; None where each trainer makes its own.
        """

        def shards(wanted: ShardRequest, coming: ShardRequest | None) -> list[Any]:
            try:
                references = ray.get(
                    service.shards.remote(wanted, coming), timeout=SHARDS_TIMEOUT_S
                )
                tables: list[Any] = ray.get(references, timeout=SHARDS_TIMEOUT_S)
            except ray.exceptions.RayError:
                # Whoever made or held them is gone; the recipe is all that is needed.
                return data.make_shards(wanted)
            return tables

        self._halted.clear()
        recipe = local_base(source, recipe)
        if plans:
            compile_kernels(schema, plans, recipe)
        data = TrainingData(recipe, schema, None if service is None else shards)
        self._work = (data, schema)

    def forget(self) -> None:
        """Let go of the data; returns when the trainer is idle."""
        self._work = None

    def train(self, work: Work) -> Iterator[Event]:
        """Train a stack or fit a learner, to its end or until `halt` is called."""
        assert self._work is not None
        with one_thread():
            if isinstance(work, Stack):
                yield from train(work, *self._work, self._halted.is_set)
            else:
                yield from train_estimator(work, *self._work, self._halted.is_set)

    @ray.method(concurrency_group="control")
    def answer(self) -> None:
        """Answer: this process gets on."""

    @ray.method(concurrency_group="control")
    def halt(self) -> None:
        """End what is trained after the step or round in progress, which still yields its state."""
        self._halted.set()
