"""Update rules that give each number a rate of its own."""

from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Lt

from ensemble_pipe.core.settings import settings
from ensemble_pipe.optim.kernels import adaptive as kernels
from ensemble_pipe.optim.update import Update


@settings
class Adagrad(Update):
    """Adagrad: a rate that falls with all the gradient that a number has seen.

    s <- s + g**2;  w <- w - rate g / (sqrt(s) + epsilon).

    Duchi et al. 2011, "Adaptive subgradient methods for online learning and stochastic
    optimization", fig. 1 with diagonal matrices. As in PyTorch; its decay of the rate is left to
    schedules, and s starts at 0.

    Attributes:
        epsilon: floor of the denominator, the paper's delta.
    """

    slots: ClassVar[tuple[str, ...]] = ("square_sum",)
    kernel = staticmethod(kernels.adagrad)

    name: Literal["adagrad"] = "adagrad"
    learning_rate: Annotated[float, Gt(0)] = 0.01
    epsilon: Annotated[float, Gt(0)] = 1e-10


@settings
class Adadelta(Update):
    """Adadelta: steps in the units of the weights, from running means of squares.

    s <- rho s + (1 - rho) g**2;  d = g sqrt(u + epsilon) / sqrt(s + epsilon);
    u <- rho u + (1 - rho) d**2;  w <- w - rate d.

    Zeiler 2012, "ADADELTA: an adaptive learning rate method", alg. 1. The paper has no rate; as in
    PyTorch there is one, 1 by default, which does not enter u.

    Attributes:
        rho: share of the running means that is kept.
        epsilon: added inside both roots; from it the first steps grow.
    """

    slots: ClassVar[tuple[str, ...]] = ("square_mean", "step_mean")
    kernel = staticmethod(kernels.adadelta)

    name: Literal["adadelta"] = "adadelta"
    learning_rate: Annotated[float, Gt(0)] = 1.0
    rho: Annotated[float, Ge(0), Lt(1)] = 0.9
    epsilon: Annotated[float, Gt(0)] = 1e-6


@settings
class RMSprop(Update):
    """RMSprop: gradients over the root of their running mean square.

    s <- rho s + (1 - rho) g**2;  w <- w - rate g / (sqrt(s) + epsilon).

    Hinton 2012, "Neural networks for machine learning", lecture 6e, without momentum and not
    centred, as PyTorch's is by default; epsilon stands outside the root, as in PyTorch. The
    defaults are Hinton's; PyTorch has rho 0.99 and a rate of 0.01.

    Attributes:
        rho: share of the running mean that is kept.
        epsilon: floor of the denominator.
    """

    slots: ClassVar[tuple[str, ...]] = ("square_mean",)
    kernel = staticmethod(kernels.rmsprop)

    name: Literal["rmsprop"] = "rmsprop"
    learning_rate: Annotated[float, Gt(0)] = 0.001
    rho: Annotated[float, Ge(0), Lt(1)] = 0.9
    epsilon: Annotated[float, Gt(0)] = 1e-8


@settings
class Moments(Update):
    """The settings of `Adam` and `AdamW`, which `Adam` describes."""

    slots: ClassVar[tuple[str, ...]] = ("first_moment", "second_moment")
    kernel = staticmethod(kernels.adam)

    name: str
    learning_rate: Annotated[float, Gt(0)] = 0.001
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.9
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.999
    epsilon: Annotated[float, Gt(0)] = 1e-8


@settings
class Adam(Moments):
    """Adam: a running mean of gradients over the root of one of squares, both bias-corrected.

    m <- beta1 m + (1 - beta1) g;  v <- beta2 v + (1 - beta2) g**2;
    w <- w - rate m / (1 - beta1**t) / (sqrt(v / (1 - beta2**t)) + epsilon).

    Kingma & Ba 2015, "Adam: a method for stochastic optimization", alg. 1, as in PyTorch.

    Attributes:
        beta1, beta2: decay of the first and second moment.
        epsilon: floor of the denominator.
    """

    name: Literal["adam"] = "adam"


@settings
class AdamW(Moments):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, alg. 2), as PyTorch's AdamW.

    `Adam` with the paper's kind of decay, on by default: w <- w - rate weight_decay w beside Adam's
    step, so that decay is not divided by the second moment as an l2 penalty is.

    Attributes:
        beta1, beta2, epsilon: as in `adam`.
    """

    name: Literal["adamw"] = "adamw"
    weight_decay: Annotated[float, Ge(0)] = 0.01
