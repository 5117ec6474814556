"""Losses: frozen settings of one learner, and one function that judges a whole stack.

Every loss has

- `evaluate(outputs, targets, weights, numbers, gradient, losses)`, which writes each learner's loss

      losses[m] = sum_n weights[m, n] loss(outputs[m, n], targets[m, n]) / N

  and its gradient with respect to the outputs, in one pass that allocates nothing that grows with
  the batch. Weights have a mean of 1 over the data, hence the divisor N and not their sum over
  the batch. A NaN among the outputs makes the learner's loss one.

      outputs, gradient: (M, N, O), of the rows' type.
      targets: class numbers (M, N) int32, each in 0 .. C - 1, or as the class says;
          numbers (M, N) or (M, N, D) for regressions.
      weights: (M, N).
      numbers: the fields that `numbers` names, (M,) each, from `numbers_of`.
      losses: (M,) float64.

- `outputs(classes, targets)`, which says what O must be; 0 classes stands for regression, whose D
  targets are counted;
- `predictions(outputs)`, which turns the outputs of a learner, (..., O), into what members are
  combined by, in float32: logits (..., C) whose softmax are the probabilities, or the means
  (..., D), or means and variances (..., 2 D) in units of the standardised targets.
"""

from collections.abc import Sequence

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.registry import Registry
from ensemble_pipe.nn.losses.classification import BinaryCrossEntropy, CrossEntropy, Hinge
from ensemble_pipe.nn.losses.gaussian import BetaNLL, GaussianNLL
from ensemble_pipe.nn.losses.regression import AbsoluteError, Huber, SquaredError

__all__ = [
    "LOSSES",
    "AbsoluteError",
    "BetaNLL",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "GaussianNLL",
    "Hinge",
    "Huber",
    "Loss",
    "SquaredError",
    "numbers_of",
]

Loss = (
    CrossEntropy
    | BinaryCrossEntropy
    | Hinge
    | SquaredError
    | AbsoluteError
    | Huber
    | GaussianNLL
    | BetaNLL
)

LOSSES: Registry[Loss] = Registry(
    "loss",
    Loss,
    members={
        "evaluate": (),
        "outputs": (),
        "predictions": (),
        "numbers": (),
        "task": ("classification", "regression"),
    },
)


def numbers_of(losses: Sequence[Loss]) -> dict[str, Floats]:
    """Return what `evaluate` needs of the M losses of a stack: (M,) float64 by name.

    Raises:
        ValueError: the losses are not of one kind.
    """
    if len({loss.name for loss in losses}) != 1:
        raise ValueError("learners of one stack must share their loss")
    return {
        name: np.array([getattr(loss, name) for loss in losses], np.float64)
        for name in losses[0].numbers
    }
