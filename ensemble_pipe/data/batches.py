"""Batches: which rows each learner sees at each step, and the buffers they are copied into.

A learner's stream of rows runs on across epochs, so that every batch has exactly N rows: position
p of the stream is place p mod R of the order of epoch p // R. The order of an epoch is a
permutation drawn at (learner, epoch), so any step can be read without the ones before it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ensemble_pipe import seeds
from ensemble_pipe.arrays import Array, Floats, Integers
from ensemble_pipe.data.shards import TrainingData

Order = Literal["own", "shared"]


@dataclass(frozen=True)
class Steps:
    """How many steps a training takes; arithmetic only.

    Attributes:
        rows: R, of the learner's training data.
        batch_rows: N, at most R.
        epochs: passes over the rows.
    """

    rows: int
    batch_rows: int
    epochs: int

    @property
    def total(self) -> int:
        return self.end_of(self.epochs - 1)

    def end_of(self, epoch: int) -> int:
        """Return the number of steps taken when `epoch` ends: those whose rows it completes."""
        return (epoch + 1) * self.rows // self.batch_rows

    def epochs_done(self, step: int) -> int:
        """Return how many epochs have ended once `step` steps are taken."""
        return ((step + 1) * self.batch_rows - 1) // self.rows


class Batches:
    """The batches of a stack of learners.

    Attributes:
        inputs: the current batch, (M, N, *shape) float32; (N, *shape) where the order is shared.
        targets: (M, N).
    """

    def __init__(
        self, data: TrainingData, learners: Sequence[int], batch_rows: int, order: Order
    ) -> None:
        """Prepare buffers.

        Args:
            data: the training part.
            learners: ids of the M learners.
            batch_rows: N.
            order: "own" gives each learner an order of its own; "shared" one to all.
        """
        self._data = data
        self._keys = list(learners) if order == "own" else [0]
        self._batch_rows = batch_rows
        self._orders: dict[int, Integers] = {}
        shape = data.scale.shape
        self._buffer = np.empty((len(self._keys), batch_rows, *shape), np.float32)
        self.inputs: Floats = self._buffer if order == "own" else self._buffer[0]
        self.targets: Array = np.empty((len(learners), batch_rows), data.target_dtype)

    def read(self, step: int) -> None:
        """Fill the buffers with the batches of step number `step`."""
        first = step * self._batch_rows
        filled = 0
        while filled < self._batch_rows:
            epoch, place = divmod(first + filled, self._data.rows)
            count = min(self._batch_rows - filled, self._data.rows - place)
            self._fill(epoch, place, slice(filled, filled + count))
            filled += count

    def _fill(self, epoch: int, place: int, part: slice) -> None:
        view = self._data.epoch(epoch)
        ids = self._order(epoch)[:, place : place + part.stop - part.start]
        for m in range(len(self._keys)):
            view.gather(ids[m], self._buffer[m, part], self.targets[m, part])
        if len(self._keys) < len(self.targets):
            self.targets[1:, part] = self.targets[0, part]

    def _order(self, epoch: int) -> Integers:
        if epoch not in self._orders:
            self._orders = {e: order for e, order in self._orders.items() if e == epoch - 1}
            self._orders[epoch] = np.stack([self._permutation(key, epoch) for key in self._keys])
        return self._orders[epoch]

    def _permutation(self, learner: int, epoch: int) -> Integers:
        random = seeds.generator(
            self._data.recipe.seed, seeds.Purpose.ORDER, learner=learner, epoch=epoch
        )
        return random.permutation(self._data.rows).astype(np.int32)
