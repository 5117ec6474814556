"""What is measured on the stop part at the end of an epoch."""

from collections.abc import Sequence

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.nn.inference import outputs_of
from ensemble_pipe.nn.losses import Loss, numbers_of
from ensemble_pipe.nn.network import Network
from ensemble_pipe.training.plan import LearnerPlan


def layer_numbers(plans: Sequence[LearnerPlan], schema: Schema) -> dict[str, Floats]:
    """Return the numbers of each learner's layers, such as rates of dropout, (M,) each."""
    values = [plan.build(schema).values for plan in plans]
    return {name: np.array([own[name] for own in values]) for name in values[0]}


def stop_outputs(
    network: Network,
    plans: Sequence[LearnerPlan],
    rows: Floats,
    data: TrainingData,
    schema: Schema,
) -> Floats:
    """Return the outputs (M, R, O) of a stack on the stop part.

    Args:
        network: the architecture of its learners.
        plans: of its learners.
        rows: (M, P) of their parameters and statistics.
        data: whose stop part is read.
        schema: of the data.
    """
    masks = [data.mask(plan.learner, plan.view) for plan in plans]
    numbers, stop = layer_numbers(plans, schema), data.stop
    return outputs_of(network, rows, stop.read, stop.rows, numbers, masks)


def stop_metrics(outputs: Floats, targets: Array, loss: Loss, weights: Floats) -> dict[str, float]:
    """Return a learner's loss on the stop part, and its accuracy where it classifies.

    Args:
        outputs: (R, O) float32.
        targets: (R,) or (R, D), as base files hold them.
        loss: that it is trained with.
        weights: (R,) of the rows in the loss.
    """
    exact = outputs.astype(np.float64)[None]
    numbers = numbers_of([loss])
    losses = np.empty(1)
    with np.errstate(over="ignore", invalid="ignore"):
        loss.evaluate(
            exact,
            targets[None],
            weights[None].astype(np.float64),
            numbers,
            np.empty_like(exact),
            losses,
        )
        found = {"stop/loss": float(losses[0])}
        if loss.task == "classification":
            predicted = loss.predictions(outputs).argmax(axis=-1)
            found["stop/accuracy"] = float(np.mean(predicted == targets))
    return found
