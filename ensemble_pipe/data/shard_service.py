"""The Ray service of augmented shards: tables in the object store, shared by all trainers."""

from typing import Any

import ray

from ensemble_pipe.data.base import open_base
from ensemble_pipe.data.local_base import BaseSource, local_base
from ensemble_pipe.data.lru_cache import LruCache
from ensemble_pipe.data.shards import Key, Recipe, ShardRequest, make_shard


# It asks for no CPU: trainers may hold them all, and wait for its shards. It is an actor, since Ray
# ends idle workers after a second, and a new one takes two to load what it needs.
@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy="SPREAD")
class ShardMaker:
    """Computes augmented shards in Ray tasks, whose lost results are computed again."""

    def __init__(self, source: BaseSource, recipe: Recipe) -> None:
        self._recipe = local_base(source, recipe)
        self._base = open_base(self._recipe.train_file)

    def make(self, keys: list[Key]) -> Any:
        """Return shards, one object each."""
        shards = [make_shard(self._base, self._recipe, *key) for key in keys]
        return shards[0] if len(shards) == 1 else tuple(shards)


@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)
class ShardService:
    """Provides references to augmented shards; each is computed once, the next ones in advance.

    It holds references to as many shards as `augment.memory_mb` allows, and evicts the least
    recently used: the store frees those once no trainer reads them, and they are computed again on
    request. Since it holds nothing but references, it is simply restarted if it dies.
    """

    def __init__(self, source: BaseSource, recipe: Recipe, makers: int) -> None:
        self._makers = [_maker_class().remote(source, recipe) for _ in range(makers)]
        base = open_base(local_base(source, recipe).train_file)
        self._count = base.shards
        self._shard_bytes = base.table.nbytes // self._count + 1
        self._kept: LruCache[Key, Any] = LruCache(recipe.augment.memory_bytes)

    def shards(self, wanted: ShardRequest, coming: ShardRequest | None) -> list[Any]:
        """Return references to shards, in order; the computation of the next ones is started."""
        references = self._references(wanted)
        if coming is not None:
            self._references(coming)
        return references

    def kept_bytes(self) -> int:
        """Return the bytes of the cached shards."""
        return self._kept.nbytes

    def _references(self, wanted: ShardRequest) -> list[Any]:
        keys = wanted.keys(self._count)
        found = {key: self._kept.get(key) for key in keys}
        missing = [key for key, reference in found.items() if reference is None]
        found.update(self._make(missing))
        for key in keys:
            self._kept.put(key, found[key], self._shard_bytes)
        return [found[key] for key in keys]

    def _make(self, keys: list[Key]) -> dict[Key, Any]:
        """Compute shards, an equal share of them by each maker."""
        references: dict[Key, Any] = {}
        each = max(1, -(-len(keys) // len(self._makers)))
        for maker, start in zip(self._makers, range(0, len(keys), each), strict=False):
            part = keys[start : start + each]
            made = maker.make.options(num_returns=len(part)).remote(part)
            references.update(zip(part, made if isinstance(made, list) else [made], strict=True))
        return references


def _maker_class() -> Any:
    """Return the actor class of `ray.remote`, which has no precise type."""
    return ShardMaker
