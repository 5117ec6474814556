"""Augmented shards as tables in Ray's object store, made by tasks, shared by all trainers."""

from typing import Any

import ray

from ensemble_pipe.data.base import open_base
from ensemble_pipe.data.local_base import BaseSource, local_base
from ensemble_pipe.data.shards import Recipe, make_shard

# Epochs whose shards are kept: trainers are rarely further apart; older ones are made again.
EPOCHS_KEPT = 4


# It asks for no CPU: trainers may hold them all, and wait for its shards. It is an actor, since Ray
# ends idle workers after a second, and a new one takes two to load what it needs.
@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy="SPREAD")
class ShardMaker:
    """Makes augmented shards; what its tasks return is made again where it is lost."""

    def __init__(self, source: BaseSource, recipe: Recipe) -> None:
        self._recipe = local_base(source, recipe)
        self._table = open_base(self._recipe.base / "train.arrow")

    def make(self, epoch: int, indices: list[int]) -> Any:
        """Return shards of an epoch, an object each."""
        shards = [make_shard(self._table, self._recipe, epoch, index) for index in indices]
        return shards[0] if len(shards) == 1 else tuple(shards)


@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)
class ShardService:
    """Hands out references to the shards of an epoch; each epoch is made once, and one ahead.

    It holds nothing but references: where it dies it is started anew, and shards are made again.
    """

    def __init__(self, source: BaseSource, recipe: Recipe, makers: int, epochs: int) -> None:
        self._makers = [_maker_class().remote(source, recipe) for _ in range(makers)]
        self._epochs = epochs
        path = local_base(source, recipe).base / "train.arrow"
        self._count: int = open_base(path).column("input").num_chunks
        self._made: dict[int, list[Any]] = {}

    def shards(self, epoch: int) -> list[Any]:
        """Return references to the shards of an epoch, in order."""
        references = self._epoch(epoch)
        if epoch + 1 < self._epochs:
            self._epoch(epoch + 1)
        return references

    def _epoch(self, epoch: int) -> list[Any]:
        if epoch not in self._made:
            self._made[epoch] = self._make(epoch)
        self._made[epoch] = self._made.pop(epoch)  # now the one used last
        while len(self._made) > EPOCHS_KEPT:
            del self._made[next(iter(self._made))]
        return self._made[epoch]

    def _make(self, epoch: int) -> list[Any]:
        references: list[Any] = []
        each = -(-self._count // len(self._makers))
        for maker, start in zip(self._makers, range(0, self._count, each), strict=False):
            indices = list(range(start, min(start + each, self._count)))
            made = maker.make.options(num_returns=len(indices)).remote(epoch, indices)
            references += made if isinstance(made, list) else [made]
        return references


def _maker_class() -> Any:
    """Return what `ray.remote` made of the class, which its type does not tell."""
    return ShardMaker
