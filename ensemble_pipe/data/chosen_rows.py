"""Some rows of a part of the data, read as if they were a part of their own."""

from functools import cached_property

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.data.shard_view import ShardView


class ChosenRows:
    """Some rows of a `ShardView`, in order; none of them is copied before it is read."""

    def __init__(self, view: ShardView, ids: Integers) -> None:
        """Args: the view, and the numbers (R,) of the rows in it."""
        self._view = view
        self._ids = np.asarray(ids, np.int32)

    @property
    def rows(self) -> int:
        """R, of the chosen rows."""
        return len(self._ids)

    @cached_property
    def targets(self) -> Array:
        """Their targets (R,) or (R, D)."""
        targets: Array = self._view.targets[self._ids]
        return targets

    @cached_property
    def weights(self) -> Floats:
        """Their weights (R,); ones where rows have none."""
        weights: Floats = self._view.weights[self._ids]
        return weights

    def read(self, start: int, stop: int, inputs: Floats) -> None:
        """Copy the inputs of rows start to stop, as `ShardView.read` does."""
        self._view.read_rows(self._ids[start:stop], inputs)

    def read_stored(self, start: int, stop: int) -> Array:
        """Return a copy of the stored inputs of rows start to stop."""
        return self._view.stored_rows(self._ids[start:stop])

    def scale(self, stored: Array) -> Floats:
        """Return stored rows as inputs, as `ShardView.scale` does."""
        return self._view.scale(stored)


# Rows that can be predicted: those of a part, or some of them.
PartRows = ShardView | ChosenRows
