"""Losses: frozen settings of one learner, and one function that evaluates a whole stack.

What every loss does stands in `base.LossFunction`.
"""

from collections.abc import Sequence

import numpy as np

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.registry import Registry
from ensemble_pipe.nn.losses.base import LossFunction
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
    "LossFunction",
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
    base=LossFunction,
    members={
        "task": ("classification", "regression"),
        "outputs": (),
        "predictions": (),
        "kernel": (),
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
