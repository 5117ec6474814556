"""Augmented shards: pure functions of (base data, policy, seed, epoch, shard index)."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.storage import part_file
from ensemble_pipe.data.augment.policy import Augment, augment
from ensemble_pipe.data.base import Base, open_base, shard_table, values_of
from ensemble_pipe.data.chosen_rows import ChosenRows, PartRows
from ensemble_pipe.data.folding import (
    AnyFolds,
    FoldColumns,
    Folding,
    left_out_by,
    partitions_of,
    seen_by,
    total_folds,
)
from ensemble_pipe.data.learner_view import View, feature_mask, row_counts
from ensemble_pipe.data.lru_cache import LruCache
from ensemble_pipe.data.order import RowStream
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shard_view import ShardView
from ensemble_pipe.data.tables.spans import Span

WINDOW_ROWS = 1 << 20


@dataclass(frozen=True)
class Recipe:
    """The recipe of the training data: small, and sufficient to compute any shard again.

    Attributes:
        base: folder with train.arrow, stop.arrow, ... and their sums.
        sums: sha256 sums of the files of sums, by name.
        seed: of the run.
        augment: the augmentation of the training part; a learner may have one of its own.
        spans: of the features of a table.
        window_rows: the number of rows shuffled together.
        folds: of the training part, of which each learner leaves out one and is measured on it
            while it trains; None where a stop part serves for that.
        part: of the base files, that learners are trained on.
        stops: whether there are rows that learners stop by.
    """

    base: Path
    sums: dict[str, str]
    seed: int
    augment: Augment = field(default_factory=Augment)
    spans: tuple[Span, ...] = ()
    window_rows: int = WINDOW_ROWS
    folds: AnyFolds | None = None
    part: str = "train"
    stops: bool = True

    @property
    def train_file(self) -> Path:
        """The base file that learners are trained on."""
        return part_file(self.base, self.part)


# Stream, version and index of a shard, and its augmentation, None for that of the recipe.
Key = tuple[int, int, int, Augment | None]


class ShardRequest(NamedTuple):
    """A request for some shards of an epoch; also the key of the resulting view.

    Attributes:
        stream: learner whose draws augment them, plus one; 0 for draws that all learners share.
        version: of the draws: the epoch, modulo the size of the pool if there is one.
        shards: their indices; None for all.
        augment: how they are augmented; None for as the recipe says.
    """

    stream: int
    version: int
    shards: tuple[int, ...] | None
    augment: Augment | None = None

    def keys(self, count: int) -> list[Key]:
        """Return the key of each requested shard, of `count` in total."""
        indices = range(count) if self.shards is None else self.shards
        return [(self.stream, self.version, index, self.augment) for index in indices]


# Returns the requested augmented shards, each a table; the second request is the next one, so that
# its shards can be made ahead.
MakeShards = Callable[[ShardRequest, ShardRequest | None], Sequence[pa.Table]]


def make_shard(
    base: Base,
    recipe: Recipe,
    stream: int,
    version: int,
    index: int,
    own: Augment | None = None,
) -> pa.Table:
    """Return one augmented shard.

    Args:
        base: the training part.
        recipe: policy, seed and spans.
        stream, version: as in `ShardRequest`.
        index: of the shard.
        own: the augmentation; None for that of the recipe.

    Raises:
        CorruptFileError: the shard does not match its sum.
    """
    base.verify(index)
    names = base.table.column_names
    columns = {name: values_of(base.table.column(name).chunk(index)) for name in names}
    random = seeds.generator(
        recipe.seed, seeds.Purpose.AUGMENT, learner=stream, epoch=version, shard=index
    )
    policy = (own or recipe.augment).shard_policy
    inputs = augment(columns.pop("input"), policy, random, recipe.spans)
    return shard_table(np.ascontiguousarray(inputs), **columns)  # as Arrow wants them


class TrainingData:
    """The rows that a trainer reads: training shards of any epoch, and what learners stop by.

    Attributes:
        recipe: what the data is made from.
        grid: of the training part's shards.
        target_dtype, target_shape: of the stored target of a row: () or (D,).
        waited_s: seconds spent waiting for augmented shards.
    """

    def __init__(self, recipe: Recipe, schema: Schema, shards: MakeShards | None = None) -> None:
        """Open the base by memory map.

        Args:
            recipe: what the data is made from.
            schema: how stored rows become inputs.
            shards: the provider of augmented shards; None to compute them in this process.
        """
        self.recipe = recipe
        self.scale, self.shift = schema.input_scale()
        self._train = open_base(recipe.train_file)
        self._static = self._whole(self._train)
        self._shards = shards or self._make_shards
        self._kept: LruCache[Key, pa.Table] = LruCache(recipe.augment.memory_bytes)
        self._partitions: dict[AnyFolds, Integers] = {}
        self._left_out: dict[int, ChosenRows] = {}
        self.grid = self._static.grid
        self.target_dtype = self._static.target_dtype
        self.target_shape = self._static.target_shape
        self.waited_s = 0.0

    @property
    def rows(self) -> int:
        """R, of the training part."""
        return self.grid.rows

    def stream(self, learner: int, view: View) -> RowStream:
        """Return the order in which a learner sees the rows of its view."""
        counts, folds = None, view.folds or self.recipe.folds
        if folds is not None or not view.is_whole:
            columns = self._columns
            seen = None if folds is None else self.seen(learner, folds)
            rows, strata = columns.rows, columns.strata
            counts = row_counts(view, self.recipe.seed, learner, rows, strata, seen)
        return RowStream(self.recipe.seed, learner, self.grid, self.recipe.window_rows, counts)

    def mask(self, learner: int, view: View) -> Floats | None:
        """Return the mask that multiplies a learner's inputs, where it does not see all columns."""
        return feature_mask(view, self.recipe.seed, learner, self.recipe.spans)

    def request(
        self, learner: int, epoch: int, shards: tuple[int, ...] | None, own: Augment | None = None
    ) -> ShardRequest:
        """Return a learner's request for some shards of an epoch, with its own augmentation."""
        augmentation = own or self.recipe.augment
        if not augmentation.shard_policy:
            return ShardRequest(0, 0, None, own)
        stream = learner + 1 if augmentation.share == "per_learner" else 0
        return ShardRequest(stream, augmentation.version(epoch), shards, own)

    def view(self, wanted: ShardRequest, coming: ShardRequest | None) -> ShardView:
        """Return the requested shards; those of `coming` are prefetched."""
        if not (wanted.augment or self.recipe.augment).shard_policy:
            return self._static
        began = time.monotonic()
        tables = self._shards(wanted, coming)
        self.waited_s += time.monotonic() - began
        return ShardView(tables, self.scale, self.shift, grid=self.grid, shards=wanted.shards)

    @cached_property
    def stop(self) -> ShardView:
        return self.part("stop")

    def stop_of(self, learner: int) -> PartRows:
        """Return the rows that a learner is measured on while it trains, none of which it sees.

        They are the stop part, or the fold that the learner leaves out.
        """
        if self.recipe.folds is None:
            return self.stop
        folds = self.recipe.folds
        fold = learner % total_folds(folds)
        if fold not in self._left_out:
            here = np.flatnonzero(left_out_by(fold, folds, self.partitions(folds)))
            self._left_out[fold] = ChosenRows(self._static, here)
        return self._left_out[fold]

    def epoch_rows(self, learner: int, view: View) -> int:
        """Return the number of rows that a learner sees in an epoch."""
        folds = self.recipe.folds
        if view.folds is None and isinstance(folds, Folding):
            return folds.rows_seen(self.rows, learner)
        return view.rows(self.rows)

    def seen(self, learner: int, folds: AnyFolds) -> Array:
        """Return which rows a learner sees that leaves out one of some folds, (R,) bool."""
        return seen_by(learner, folds, self.partitions(folds), self._columns)

    def training_part(self) -> ShardView:
        """Return the rows that learners are trained on, without augmentation."""
        return self._whole(self._train)

    def part(self, name: str) -> ShardView:
        """Return one of the parts, without augmentation."""
        return self._whole(open_base(part_file(self.recipe.base, name)))

    def row_groups(self, name: str) -> Integers | None:
        """Return the group (R,) of each row of one of the parts, where rows have groups."""
        base = open_base(part_file(self.recipe.base, name))
        return base.read_column("group") if "group" in base.places else None

    def make_shards(self, wanted: ShardRequest) -> list[pa.Table]:
        """Compute the requested shards in this process."""
        return [make_shard(self._train, self.recipe, *key) for key in wanted.keys(self.grid.shards)]

    def _make_shards(self, wanted: ShardRequest, coming: ShardRequest | None) -> list[pa.Table]:
        """Compute shards, or take them from the pool where they were computed before."""
        if (wanted.augment or self.recipe.augment).pool is None:
            return self.make_shards(wanted)
        return [self._take_from_pool(key) for key in wanted.keys(self.grid.shards)]

    def _take_from_pool(self, key: Key) -> pa.Table:
        table = self._kept.get(key)
        if table is None:
            table = make_shard(self._train, self.recipe, *key)
            self._kept.put(key, table, table.nbytes)
        return table

    def fold_of(self, folds: int) -> Integers:
        """Return the fold (R,) of each row, of a number of drawn folds."""
        fold: Integers = self.partitions(folds)[0]
        return fold

    def partitions(self, folds: AnyFolds) -> Integers:
        """Return `folding.partitions_of` the rows (P, R), made once for all learners."""
        if folds not in self._partitions:
            self._partitions[folds] = partitions_of(folds, self.recipe.seed, self._columns)
        return self._partitions[folds]

    @cached_property
    def _columns(self) -> FoldColumns:
        """The columns of the training part that views and folds are made from."""
        base = self._train
        rows = base.read_column("row")
        classes = base.read_column("target") if self.target_dtype == np.int32 else None
        strata = np.zeros(len(rows), np.int32) if classes is None else classes
        groups, keys = (
            base.read_column(name) if name in base.places else None for name in ("group", "fold")
        )
        return FoldColumns(rows, strata, groups, keys)

    def _whole(self, base: Base) -> ShardView:
        return ShardView([base.table], self.scale, self.shift, verify=base.verify)
