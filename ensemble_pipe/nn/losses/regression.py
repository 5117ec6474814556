"""Losses of regressions that predict one number per target: a mean, a median, or between them."""

from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.kernels import regression_losses as kernels
from ensemble_pipe.nn.losses.base import LossFunction


class RegressionLoss(LossFunction):
    """A loss whose targets are numbers."""

    task = "regression"

    def outputs(self, classes: int, targets: int = 1) -> int:
        """Return O = D, one for each target; ValueError where there are classes."""
        if classes:
            raise ValueError(
                f"{self.name} is for targets that are numbers, not {classes} classes: "
                "take a classification loss, such as cross_entropy"
            )
        return targets

    @staticmethod
    def arrange(targets: Array) -> Array:
        """Return targets (M, N, D)."""
        return targets[..., None] if targets.ndim == 2 else targets

    def predictions(self, outputs: Floats) -> Floats:
        """Return the means or medians (..., D) that outputs (..., D) are."""
        return np.asarray(outputs, np.float32)


@settings
class SquaredError(RegressionLoss):
    """Half the squared error, summed over outputs (Bishop 2006, eq. 5.11).

    loss = sum_d e_d**2 / 2;  gradient = e, where e = output - target. Its minimum is the mean.
    """

    name: Literal["squared_error"] = "squared_error"

    kernel = staticmethod(kernels.squared_error)


@settings
class AbsoluteError(RegressionLoss):
    """The absolute error, summed over outputs (Bishop 2006, eq. 1.91 with q = 1).

    loss = sum_d |e_d|;  gradient = sign(e), where e = output - target. Its minimum is the median,
    which outliers do not move.
    """

    name: Literal["absolute_error"] = "absolute_error"

    kernel = staticmethod(kernels.absolute_error)


@settings
class Huber(RegressionLoss):
    """Huber's loss, summed over outputs (Huber 1964, "Robust estimation of a location parameter").

    loss = e**2 / 2 where |e| <= delta, else delta (|e| - delta / 2);
    gradient = min(max(e, -delta), delta), where e = output - target.

    Attributes:
        delta: size of the error from which on the loss grows linearly, in standard deviations of
            the target, since targets are standardised.
    """

    name: Literal["huber"] = "huber"
    delta: Annotated[float, Gt(0)] = 1.0

    numbers = ("delta",)
    kernel = staticmethod(kernels.huber)
