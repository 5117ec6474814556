"""Losses of regressions that predict a mean and a variance of their own for every row."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.kernels import regression_losses as kernels
from ensemble_pipe.nn.losses.regression import as_columns, refuse_classes


@settings
class GaussianNLL:
    """Negative log-likelihood of a Gaussian whose variance is an output too, in nats.

    loss = sum_d (log(2 pi v_d) + e_d**2 / v_d) / 2, where e = mean - target and
    v = variance_floor + softplus(raw).

    Nix & Weigend 1994, "Estimating the mean and variance of the target probability distribution";
    softplus and floor as in Lakshminarayanan et al. 2017, "Simple and scalable predictive
    uncertainty estimation using deep ensembles", section 2.2. Outputs are D means, then D raw
    variances.

    Attributes:
        variance_floor: the least variance, in units of the standardised target squared.
    """

    numbers: ClassVar[tuple[str, ...]] = ("variance_floor",)
    task: ClassVar[Literal["regression"]] = "regression"

    name: Literal["gaussian_nll"] = "gaussian_nll"
    variance_floor: Annotated[float, Gt(0)] = 1e-6

    def outputs(self, classes: int, targets: int = 1) -> int:
        """Return O = 2 D, means, then raw variances; ValueError where there are classes."""
        refuse_classes(self.name, classes)
        return 2 * targets

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
        floor = numbers["variance_floor"]
        beta = np.zeros_like(floor)
        kernels.gaussian_nll(outputs, as_columns(targets), weights, floor, beta, gradient, losses)

    def predictions(self, outputs: Floats) -> Floats:
        """Return means and variances (..., 2 D) of the standardised targets."""
        return _means_and_variances(outputs, self.variance_floor)


@settings
class BetaNLL:
    """`GaussianNLL`, each row's weighted with a power of its own variance.

    loss = stop_gradient(v**beta) NLL (Seitzer et al. 2022, "On the pitfalls of heteroscedastic
    uncertainty estimation with probabilistic neural networks", section 4): the weight is held
    constant where the gradient is taken. At beta = 0 this is `GaussianNLL`; at beta = 1 means learn
    as under the squared error. Between them rows that are not yet fitted are not given up as noise.

    Attributes:
        beta: the power.
        variance_floor: the least variance, in units of the standardised target squared.
    """

    numbers: ClassVar[tuple[str, ...]] = ("beta", "variance_floor")
    task: ClassVar[Literal["regression"]] = "regression"

    name: Literal["beta_nll"] = "beta_nll"
    beta: Annotated[float, Ge(0), Le(1)] = 0.5
    variance_floor: Annotated[float, Gt(0)] = 1e-6

    def outputs(self, classes: int, targets: int = 1) -> int:
        """Return O = 2 D, means, then raw variances; ValueError where there are classes."""
        refuse_classes(self.name, classes)
        return 2 * targets

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
        floor, beta = numbers["variance_floor"], numbers["beta"]
        kernels.gaussian_nll(outputs, as_columns(targets), weights, floor, beta, gradient, losses)

    def predictions(self, outputs: Floats) -> Floats:
        """Return means and variances (..., 2 D) of the standardised targets."""
        return _means_and_variances(outputs, self.variance_floor)


def _means_and_variances(outputs: Floats, floor: float) -> Floats:
    predictions = np.array(outputs, np.float32)
    variances = predictions[..., outputs.shape[-1] // 2 :]
    np.logaddexp(variances, np.float32(0), out=variances)
    variances += np.float32(floor)
    return predictions
