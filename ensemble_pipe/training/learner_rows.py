"""The rows that a learner without steps is fitted to, and those that it stops by."""

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.data.chosen_rows import PartRows
from ensemble_pipe.data.folding import AnyFolds
from ensemble_pipe.data.schema import Schema
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

    @property
    def target_count(self) -> int:
        """T; 1 of classes, and of targets (R,)."""
        return 1 if self.targets.ndim == 1 else self.targets.shape[1]

    def of_target(self, place: int) -> "LearnerRows":
        """Return the rows with one of their targets, (R,)."""
        targets = self.targets if self.targets.ndim == 1 else self.targets[:, place]
        return replace(self, targets=targets)

    def chosen(self, which: Array) -> "LearnerRows":
        """Return the rows where `which` (R,) is true."""
        return LearnerRows(
            self.inputs[which], self.targets[which], self.weights[which], self.folds[which]
        )


def rows_of(
    data: TrainingData, schema: Schema, learner: int, folds: AnyFolds | None
) -> tuple[LearnerRows, LearnerRows]:
    """Return the rows that a learner is fitted to, and those that it stops by, if there are any.

    Args:
        data: of the run, read without augmentation.
        schema: of the data.
        learner: its id.
        folds: of which the learner leaves one out; None where it sees all rows.
    """
    part = data.training_part()
    divided = data.fold_of(NOISE_FOLDS) if part.rows >= NOISE_FOLDS else np.zeros(part.rows, int)
    train = _rows(part, schema, divided)
    if folds is not None:
        train = train.chosen(data.seen(learner, folds))
    if not data.recipe.stops:
        return train, train.chosen(np.zeros(train.count, bool))
    stop = data.stop_of(learner)
    return train, _rows(stop, schema, np.zeros(stop.rows, np.int64))


def _rows(part: PartRows, schema: Schema, folds: Integers) -> LearnerRows:
    inputs = np.empty((part.rows, *schema.input_shape), np.float32)
    part.read(0, part.rows, inputs)
    flat = inputs.reshape(part.rows, prod(schema.input_shape))
    return LearnerRows(flat, part.targets, part.weights, folds)
