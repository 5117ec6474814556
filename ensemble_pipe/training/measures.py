"""What a learner comes to on the stop part, at the end of an epoch."""

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.nn.losses import Loss, numbers_of


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
