"""Batch-norm statistics of averaged weights, computed again over the training data.

The statistics of an average are not the average of statistics (Izmailov et al. 2018, "Averaging
weights leads to wider optima and better generalization", section 3.1): one more pass over the data
sets them, as the plain mean over batches.
"""

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.seeds import Draws, Purpose
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.regularization import ScheduledNumbers
from ensemble_pipe.training.stacks import batches_of
from ensemble_pipe.training.tensors import frozen_names


def recompute_statistics(
    plan: LearnerPlan, row: Floats, data: TrainingData, schema: Schema, last_step: int
) -> Floats:
    """Return a row whose statistics are those of its own parameters; frozen layers keep theirs.

    Args:
        plan: of the learner.
        row: (P,).
        data: whose training part is read.
        schema: of the data.
        last_step: the batches of the steps before it, one pass over the rows, are read.
    """
    network = plan.build(schema)
    if network.layout.size == network.layout.trainable:
        return row
    steps = plan.steps(data.rows)
    rows: Floats = row[None].copy()
    values = {name: np.full(1, value, rows.dtype) for name, value in network.values.items()}
    momenta = [values[name] for name in values if name.endswith("/momentum")]
    bound = network.bind(
        rows,
        steps.batch_rows,
        np.zeros((1, network.layout.trainable), rows.dtype),
        draws=Draws(plan.seed, Purpose.LAYER, [plan.learner]),
        values=values,
        frozen=frozen_names(network.layout, plan.rate_factors),
    )
    batches = batches_of([plan], data, network.outputs)
    regularization = ScheduledNumbers([plan], values, {})
    first_step = max(0, last_step - steps.end_of(0))
    for count, step in enumerate(range(first_step, last_step)):
        for momentum in momenta:
            momentum[:] = 1.0 / (count + 1)
        batches.read(step)
        regularization.set(step, steps.total)
        bound.forward(batches.inputs, step)
    found: Floats = rows[0]
    return found
