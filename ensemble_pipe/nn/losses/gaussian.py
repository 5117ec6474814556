"""Losses of regressions that predict a mean and a variance of their own for every row."""

from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.kernels import regression_losses as kernels
from ensemble_pipe.nn.losses.regression import RegressionLoss


class GaussianLoss(RegressionLoss):
    """A loss of D means, then D raw variances; v = variance_floor + softplus(raw)."""

    variance_floor: float

    def outputs(self, classes: int, targets: int = 1) -> int:
        """Return O = 2 D, means, then raw variances; ValueError where there are classes."""
        return 2 * super().outputs(classes, targets)

    def predictions(self, outputs: Floats) -> Floats:
        """Return means and variances (..., 2 D) of the standardised targets."""
        predictions = np.array(outputs, np.float32)
        variances = predictions[..., outputs.shape[-1] // 2 :]
        np.logaddexp(variances, np.float32(0), out=variances)
        variances += np.float32(self.variance_floor)
        return predictions

    def _mean_outputs(self, outputs: Floats) -> Floats:
        means, raw = np.split(outputs, 2, axis=-1)
        mean = means.mean(axis=0)
        spread = ((means - mean) ** 2).mean(axis=0)
        above = np.logaddexp(0.0, raw).mean(axis=0) + spread  # of the floor
        above = np.maximum(above, np.finfo(np.float32).tiny)
        return np.concatenate([mean, above + np.log(-np.expm1(-above))], axis=-1)


def _gaussian_nll(
    outputs: Floats, targets: Array, weights: Floats, floor: Floats, *written: Floats
) -> None:
    """Weigh all rows alike: `kernels.gaussian_nll` with a beta of 0."""
    kernels.gaussian_nll(outputs, targets, weights, floor, np.zeros_like(floor), *written)


@settings
class GaussianNLL(GaussianLoss):
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

    name: Literal["gaussian_nll"] = "gaussian_nll"
    variance_floor: Annotated[float, Gt(0)] = 1e-6

    numbers = ("variance_floor",)
    kernel = staticmethod(_gaussian_nll)


@settings
class BetaNLL(GaussianLoss):
    """`GaussianNLL`, each row's weighted with a power of its own variance.

    loss = stop_gradient(v**beta) NLL (Seitzer et al. 2022, "On the pitfalls of heteroscedastic
    uncertainty estimation with probabilistic neural networks", section 4): the weight is held
    constant where the gradient is taken. At beta = 0 this is `GaussianNLL`; at beta = 1 means learn
    as under the squared error. Between them rows that are not yet fitted are not given up as noise.

    Attributes:
        beta: the power.
        variance_floor: the least variance, in units of the standardised target squared.
    """

    name: Literal["beta_nll"] = "beta_nll"
    beta: Annotated[float, Ge(0), Le(1)] = 0.5
    variance_floor: Annotated[float, Gt(0)] = 1e-6

    numbers = ("variance_floor", "beta")
    kernel = staticmethod(kernels.gaussian_nll)
