"""What is measured at the end of an epoch, on rows that a learner does not see."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.metrics import class_metric, number_metric
from ensemble_pipe.data.chosen_rows import PartRows
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.nn.inference import outputs_of
from ensemble_pipe.nn.losses import Loss, numbers_of
from ensemble_pipe.nn.network import Network
from ensemble_pipe.training.plan import LearnerPlan

_LEAST_VARIANCE = 1e-12  # of errors that are all 0


def layer_numbers(plans: Sequence[LearnerPlan], schema: Schema) -> dict[str, Floats]:
    """Return the numbers of each learner's layers, such as rates of dropout, (M,) each."""
    values = [plan.build(schema).values for plan in plans]
    return {name: np.array([own[name] for own in values]) for name in values[0]}


def stop_outputs(
    network: Network,
    plans: Sequence[LearnerPlan],
    rows: Floats,
    data: TrainingData,
    numbers: Mapping[str, Floats],
) -> list[Floats]:
    """Return the outputs (R, O) of each learner of a stack on the rows that it stops by.

    Of a learner with several members they are those of the members' mean prediction.

    Args:
        network: the architecture of its learners.
        plans: of its learners.
        rows: (M, P) of their parameters and statistics.
        data: with these rows.
        numbers: of `layer_numbers`.
    """
    masks = [data.mask(plan.learner, plan.view) for plan in plans]
    outputs: dict[int, Floats] = {}
    for stop, places in _alike(plans, data):
        own = {name: values[places] for name, values in numbers.items()}
        seen = [masks[place] for place in places]
        found = outputs_of(network, rows[places], stop.read, stop.rows, own, seen)
        members = found.reshape(len(places), network.members, *found.shape[1:])
        for place, several in zip(places, members, strict=True):
            outputs[place] = plans[place].loss.mean_outputs(several)
    return [outputs[place] for place in range(len(plans))]


def _alike(
    plans: Sequence[LearnerPlan], data: TrainingData
) -> Iterator[tuple[PartRows, list[int]]]:
    """Yield rows to stop by, and the places of the learners that stop by them."""
    parts = [data.stop_of(plan.learner) for plan in plans]
    for part in dict.fromkeys(parts):
        yield part, [place for place, own in enumerate(parts) if own is part]


def stop_metrics(
    outputs: Floats,
    targets: Array,
    loss: Loss,
    weights: Floats,
    further: str | None = None,
) -> dict[str, float]:
    """Return a learner's loss on the rows that it stops by, and its accuracy where it classifies.

    Args:
        outputs: (R, O) float32.
        targets: (R,) or (R, D), as base files hold them.
        loss: that it is trained with.
        weights: (R,) of the rows in the loss.
        further: a metric to measure as well, such as "stop/f1".
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
        if further is not None and further not in found:
            name = further.removeprefix("stop/")
            found[further] = _metric(name, loss.predictions(outputs), targets, loss.task)
    return found


def _metric(name: str, predictions: Floats, targets: Array, task: str) -> float:
    """Return a metric of `core.metrics` for predictions (R, O); of numbers, standardised ones.

    Without a variance of its own, the noise of a target is the mean of its squared errors here, as
    that of a member is.
    """
    exact = predictions.astype(np.float64)
    if task == "classification":
        shifted = np.exp(exact - exact.max(axis=1, keepdims=True))
        return class_metric(name, shifted / shifted.sum(axis=1, keepdims=True), targets)
    truth = targets.reshape(len(targets), -1).astype(np.float64)
    mean, variance = exact[:, : truth.shape[1]], exact[:, truth.shape[1] :]
    if not variance.size:
        variance = np.mean((mean - truth) ** 2, axis=0, keepdims=True)
    deviation = np.sqrt(np.maximum(np.broadcast_to(variance, mean.shape), _LEAST_VARIANCE))
    return number_metric(name, mean, deviation, truth)
