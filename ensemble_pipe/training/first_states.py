"""The state that a learner begins with: drawn values, and what follows from its rows."""

from math import prod

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.data.chosen_rows import ChosenRows
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.nn.network import Network
from ensemble_pipe.training.plan import LearnerPlan
from ensemble_pipe.training.state import LearnerState, initial_state

# Rows that first values are fitted to, at most; and numbers that a layer gives for them.
_MOST_ROWS = 1 << 14
_MOST_NUMBERS = 1 << 24


def first_state(
    plan: LearnerPlan, schema: Schema, data: TrainingData, *, number: int = 0
) -> LearnerState:
    """Return the state of a learner before its first step.

    Args:
        plan: of the learner.
        schema: of the data.
        data: whose training part first values are fitted to, where layers ask for that.
        number: of the network within its chain.
    """
    network = plan.build(schema)
    row = network.initialize(plan.seed, plan.learner, number=number)
    if network.fits:
        network.fit(row, _rows(plan, network, data), plan.seed, plan.learner, number=number)
    return initial_state(plan, schema, row)


def _rows(plan: LearnerPlan, network: Network, data: TrainingData) -> Floats:
    """Return the inputs of the rows that a learner sees, or of each s-th of many."""
    part, folds = data.training_part(), plan.view.folds or plan.folding
    ids = np.arange(part.rows)
    if folds is not None:
        ids = np.flatnonzero(data.seen(plan.learner, folds))
    widest = network.members * max(prod(shape) for shape in network.chain.shapes)
    most = max(1, min(_MOST_ROWS, _MOST_NUMBERS // widest))
    chosen = ChosenRows(part, ids[:: -(-len(ids) // most)])
    inputs = np.empty((chosen.rows, *network.input_shape), np.float32)
    chosen.read(0, chosen.rows, inputs)
    mask = data.mask(plan.learner, plan.view)
    return inputs if mask is None else inputs * mask
