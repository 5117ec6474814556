"""Code run on a cluster's nodes: trainer actors, fitting of estimators, warm-up of kernels."""

from collections.abc import Iterator
from typing import Any

import ray

from ensemble_pipe.data.local_base import BaseSource, local_base
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import Recipe, ShardRequest, TrainingData
from ensemble_pipe.nn.blas import one_thread
from ensemble_pipe.training.estimators import EstimatorPlan, train_estimator
from ensemble_pipe.training.events import Event
from ensemble_pipe.training.loop import train
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.stacks import Stack
from ensemble_pipe.training.warmup import warm_up

SHARDS_TIMEOUT_S = 600.0


@ray.remote(max_restarts=0)
class Trainer:
    """Trains stacks, one after another, and streams their events."""

    def __init__(self, source: BaseSource, recipe: Recipe, schema: Schema, service: Any) -> None:
        def shards(wanted: ShardRequest, coming: ShardRequest | None) -> list[Any]:
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

    def ready(self) -> None:
        """Return once the trainer can train."""

    def train(self, stack: Stack) -> Iterator[Event]:
        with one_thread():
            yield from train(stack, self._data, self._schema)


# Ray itself would try without end what its out-of-memory killer has ended.
@ray.remote(num_cpus=0, max_retries=0)
def warm_up_node(schema: Schema, plans: list[LearnerPlan], recipe: Recipe) -> None:
    """Compile the kernels into the node's cache before its trainers need them."""
    warm_up(schema, plans, recipe)


@ray.remote(num_cpus=1, max_retries=0)
def fit_here(plan: EstimatorPlan, source: BaseSource, recipe: Recipe, schema: Schema) -> Event:
    """Fit a scikit-learn learner on the node of this task."""
    with one_thread():
        return train_estimator(plan, TrainingData(local_base(source, recipe), schema), schema)
