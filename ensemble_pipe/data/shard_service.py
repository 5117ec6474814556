"""Augmented shards as tables in Ray's object store, made by tasks, shared by all trainers."""

from typing import Any

import pyarrow as pa
import ray

from ensemble_pipe.data.base import open_base
from ensemble_pipe.data.local_base import BaseSource, local_base
from ensemble_pipe.data.shards import Recipe, make_shard

# Epochs whose shards are kept: trainers are rarely further apart; older ones are made again.
EPOCHS_KEPT = 4


@ray.remote(num_cpus=0, max_retries=3)
def make_shards(source: BaseSource, recipe: Recipe, epoch: int, indices: list[int]) -> Any:
    """Return augmented shards of an epoch, an object each.

    It asks for no CPU: trainers may hold them all, and wait for this.
    """
    recipe = local_base(source, recipe)
    table = open_base(recipe.base / "train.arrow")
    shards = [make_shard(table, recipe, epoch, index) for index in indices]
    return shards[0] if len(shards) == 1 else tuple(shards)


@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)
class ShardService:
    """Hands out references to the shards of an epoch; each epoch is made once, and one ahead.

    It holds nothing but references: where it dies it is started anew, and shards are made again.
    """

    def __init__(self, source: BaseSource, recipe: Recipe, makers: int, epochs: int) -> None:
        self._source = source
        self._recipe = recipe
        self._makers = makers
        self._epochs = epochs
        path = local_base(source, recipe).base / "train.arrow"
        self._count: int = open_base(path).column("input").num_chunks
        self._made: dict[int, list[ray.ObjectRef[pa.Table]]] = {}

    def shards(self, epoch: int) -> list[Any]:
        """Return references to the shards of an epoch, in order."""
        references = self._epoch(epoch)
        if epoch + 1 < self._epochs:
            self._epoch(epoch + 1)
        return references

    def _epoch(self, epoch: int) -> list[Any]:
        if epoch in self._made:
            self._made[epoch] = self._made.pop(epoch)  # now the one used last
            return self._made[epoch]
        references: list[Any] = []
        per_task = -(-self._count // self._makers)
        for start in range(0, self._count, per_task):
            indices = list(range(start, min(start + per_task, self._count)))
            task = make_shards.options(num_returns=len(indices))
            made = task.remote(self._source, self._recipe, epoch, indices)
            references += made if isinstance(made, list) else [made]
        self._made[epoch] = references
        while len(self._made) > EPOCHS_KEPT:
            del self._made[next(iter(self._made))]
        return references
