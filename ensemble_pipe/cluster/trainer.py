"""Code run on a cluster's nodes: trainer actors, and the fitting of estimators."""

from collections.abc import Iterator, Sequence
from typing import Any

import ray

from ensemble_pipe.core.compilation import load_runtime
from ensemble_pipe.data.local_base import BaseSource, local_base
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import Recipe, ShardRequest, TrainingData
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.training.estimators import EstimatorPlan, train_estimator
from ensemble_pipe.training.events import Event
from ensemble_pipe.training.loop import train
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.stacks import Stack
from ensemble_pipe.training.warmup import compile_kernels

SHARDS_TIMEOUT_S = 600.0


@ray.remote(max_restarts=0)
class Trainer:
    """Trains stacks, one after another, and streams their events."""

    def __init__(self) -> None:
        """Load all that training needs, before there are data."""
        load_runtime()
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
            plans: one of each kind that will be trained; kernels of theirs that this node's cache
                lacks are compiled by one trainer, while the others wait.
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

        recipe = local_base(source, recipe)
        compile_kernels(schema, plans, recipe)
        data = TrainingData(recipe, schema, None if service is None else shards)
        self._work = (data, schema)

    def forget(self) -> None:
        """Let go of the data; returns when the trainer is idle."""
        self._work = None

    def train(self, stack: Stack) -> Iterator[Event]:
        assert self._work is not None
        with one_thread():
            yield from train(stack, *self._work)


@ray.remote(num_cpus=1, max_retries=0, num_returns="streaming")
def fit_here(
    plan: EstimatorPlan, source: BaseSource, recipe: Recipe, schema: Schema
) -> Iterator[Event]:
    """Fit a learner without steps on the node of this task, and stream its events."""
    with one_thread():
        yield from train_estimator(plan, TrainingData(local_base(source, recipe), schema), schema)
