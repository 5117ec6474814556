"""The rows that a learner without steps is fitted to, and those that it stops by."""

from dataclasses import dataclass
from math import prod

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shard_view import ShardView
from ensemble_pipe.data.shards import TrainingData

NOISE_FOLDS = 3


@dataclass(frozen=True)
class LearnerRows:
    """Rows (R, D) as encoded, their targets (R,) or (R, T), and their weights (R,).

    Attributes:
        folds: (R,), rows divided among `NOISE_FOLDS`, whose errors are measured out of fold.
    """

    inputs: Floats
    targets: Array
    weights: Floats
    folds: Integers

    @property
    def count(self) -> int:
        """R."""
        return len(self.targets)

    def chosen(self, which: Array) -> "LearnerRows":
        """Return the rows where `which` (R,) is true."""
        return LearnerRows(
            self.inputs[which], self.targets[which], self.weights[which], self.folds[which]
        )


def rows_of(
    data: TrainingData, schema: Schema, fold: tuple[int, int] | None
) -> tuple[LearnerRows, LearnerRows]:
    """Return the rows that a learner is fitted to, and those that it stops by.

    It stops by the stop part, or where that has no rows by the fold that it leaves out.

    Args:
        data: of the run, read without augmentation.
        schema: of the data.
        fold: which fold the learner leaves out, and of how many; None for none.
    """
    train = data.part("train")
    folds = data.fold_of(NOISE_FOLDS) if train.rows >= NOISE_FOLDS else np.zeros(train.rows, int)
    whole = LearnerRows(flat_inputs(train, schema), train.targets, train.weights, folds)
    stop = data.part("stop")
    none = np.zeros(stop.rows, np.int64)
    held = LearnerRows(flat_inputs(stop, schema), stop.targets, stop.weights, none)
    if fold is None:
        return whole, held
    left_out = data.fold_of(fold[1]) == fold[0]
    return whole.chosen(~left_out), held if held.count else whole.chosen(left_out)


def flat_inputs(part: ShardView, schema: Schema) -> Floats:
    """Return the inputs (R, D) of a part of the data."""
    inputs = np.empty((part.rows, *schema.input_shape), np.float32)
    part.read(0, part.rows, inputs)
    return inputs.reshape(part.rows, prod(schema.input_shape))
