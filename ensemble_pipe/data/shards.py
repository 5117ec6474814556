"""Augmented shards: pure functions of (base data, policy, seed, epoch, shard index)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from ensemble_pipe import seeds
from ensemble_pipe.data.augment import Augmentation, augment
from ensemble_pipe.data.base import open_base, shard_table
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.view import ShardView


@dataclass(frozen=True)
class Recipe:
    """What training data is made from; small, and enough to make any of it again.

    Attributes:
        base: folder with train.arrow, stop.arrow, ...
        sums: sha256 sums of the base files, by name.
        policy: augmentations of the training part; empty for none.
        seed: of the run.
    """

    base: Path
    sums: dict[str, str]
    policy: tuple[Augmentation, ...]
    seed: int


# Returns the augmented shards of an epoch.
MakeShards = Callable[[int], list[pa.Table]]


def make_shard(table: pa.Table, recipe: Recipe, epoch: int, index: int) -> pa.Table:
    """Return one augmented shard of an epoch.

    Args:
        table: the training part, from `open_base`.
        recipe: policy and seed.
        epoch: counted from 0.
        index: of the shard, which is that of the table's chunk.
    """
    images = table.column("input").chunk(index).to_numpy_ndarray()
    random = seeds.generator(recipe.seed, seeds.Purpose.AUGMENT, epoch=epoch, shard=index)
    return shard_table(
        augment(images, recipe.policy, random),
        table.column("target").chunk(index).to_numpy(),
        table.column("row").chunk(index).to_numpy(),
    )


class TrainingData:
    """The parts that a trainer reads: training shards of any epoch, and the stop part.

    Attributes:
        rows: of the training part.
        target_dtype: of the stored targets.
    """

    def __init__(self, recipe: Recipe, schema: Schema, shards: MakeShards | None = None) -> None:
        """Open the base by memory map.

        Args:
            recipe: what the data is made from.
            schema: how stored rows become inputs.
            shards: where the augmented shards of an epoch come from; made here where None.
        """
        self.recipe = recipe
        self.scale, self.shift = schema.input_scale()
        self._train = open_base(recipe.base / "train.arrow")
        self._static = self._view([self._train])
        self._shards = shards or self._make_shards
        self._epochs: dict[int, ShardView] = {}
        self.rows = self._static.rows
        self.target_dtype = self._static.targets[:1].dtype

    def epoch(self, epoch: int) -> ShardView:
        """Return the training rows as they stand in `epoch`."""
        if not self.recipe.policy:
            return self._static
        if epoch not in self._epochs:
            # A batch may straddle two epochs, so the one before is kept.
            self._epochs = {e: view for e, view in self._epochs.items() if e == epoch - 1}
            self._epochs[epoch] = self._view(self._shards(epoch))
        return self._epochs[epoch]

    @cached_property
    def stop(self) -> ShardView:
        return self.part("stop")

    def part(self, name: str) -> ShardView:
        """Return one of the parts, without augmentation."""
        return self._view([open_base(self.recipe.base / f"{name}.arrow")])

    def _make_shards(self, epoch: int) -> list[pa.Table]:
        count = self._train.column("input").num_chunks
        return [make_shard(self._train, self.recipe, epoch, index) for index in range(count)]

    def _view(self, tables: list[pa.Table]) -> ShardView:
        return ShardView(tables, self.scale, self.shift)
