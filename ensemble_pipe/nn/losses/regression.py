"""Losses of regressions that predict one number per target: a mean, a median, or between them."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Gt

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.kernels import regression_losses as kernels


@settings
class SquaredError:
    """Half the squared error, summed over outputs (Bishop 2006, eq. 5.11).

    loss = sum_d e_d**2 / 2;  gradient = e, where e = output - target. Its minimum is the mean.
    """

    numbers: ClassVar[tuple[str, ...]] = ()
    task: ClassVar[Literal["regression"]] = "regression"

    name: Literal["squared_error"] = "squared_error"

    def outputs(self, classes: int, targets: int = 1) -> int:
        """Return O = D, one for each target; ValueError where there are classes."""
        refuse_classes(self.name, classes)
        return targets

    @staticmethod
    def evaluate(
        outputs: Floats,
        targets: Array,
        weights: Floats,
        numbers: dict[str, Floats],
        gradient: Floats,
        losses: Floats,
    ) -> None:
        """See `nn.losses`."""
        kernels.squared_error(outputs, as_columns(targets), weights, gradient, losses)

    def predictions(self, outputs: Floats) -> Floats:
        """Return the means (..., D) that outputs (..., D) are."""
        return np.asarray(outputs, np.float32)


@settings
class AbsoluteError:
    """The absolute error, summed over outputs (Bishop 2006, eq. 1.91 with q = 1).

    loss = sum_d |e_d|;  gradient = sign(e), where e = output - target. Its minimum is the median,
    which outliers do not move.
    """

    numbers: ClassVar[tuple[str, ...]] = ()
    task: ClassVar[Literal["regression"]] = "regression"

    name: Literal["absolute_error"] = "absolute_error"

    def outputs(self, classes: int, targets: int = 1) -> int:
        """Return O = D, one for each target; ValueError where there are classes."""
        refuse_classes(self.name, classes)
        return targets

    @staticmethod
    def evaluate(
        outputs: Floats,
        targets: Array,
        weights: Floats,
        numbers: dict[str, Floats],
        gradient: Floats,
        losses: Floats,
    ) -> None:
        """See `nn.losses`."""
        kernels.absolute_error(outputs, as_columns(targets), weights, gradient, losses)

    def predictions(self, outputs: Floats) -> Floats:
        """Return the centres (..., D) that outputs (..., D) are."""
        return np.asarray(outputs, np.float32)


@settings
class Huber:
    """Huber's loss, summed over outputs (Huber 1964, "Robust estimation of a location parameter").

    loss = e**2 / 2 where |e| <= delta, else delta (|e| - delta / 2);
    gradient = min(max(e, -delta), delta), where e = output - target.

    Attributes:
        delta: size of the error from which on the loss grows linearly, in standard deviations of
            the target, since targets are standardised.
    """

    numbers: ClassVar[tuple[str, ...]] = ("delta",)
    task: ClassVar[Literal["regression"]] = "regression"

    name: Literal["huber"] = "huber"
    delta: Annotated[float, Gt(0)] = 1.0

    def outputs(self, classes: int, targets: int = 1) -> int:
        """Return O = D, one for each target; ValueError where there are classes."""
        refuse_classes(self.name, classes)
        return targets

    @staticmethod
    def evaluate(
        outputs: Floats,
        targets: Array,
        weights: Floats,
        numbers: dict[str, Floats],
        gradient: Floats,
        losses: Floats,
    ) -> None:
        """See `nn.losses`."""
        kernels.huber(outputs, as_columns(targets), weights, numbers["delta"], gradient, losses)

    def predictions(self, outputs: Floats) -> Floats:
        """Return the centres (..., D) that outputs (..., D) are."""
        return np.asarray(outputs, np.float32)


def as_columns(targets: Array) -> Array:
    """Return targets (M, N) or (M, N, D) as a view (M, N, D)."""
    return targets[..., None] if targets.ndim == 2 else targets


def refuse_classes(name: str, classes: int) -> None:
    """Raise a ValueError where there are classes: regression losses are for numbers."""
    if classes:
        raise ValueError(
            f"{name} is for targets that are numbers, not {classes} classes: "
            "take a classification loss, such as cross_entropy"
        )
