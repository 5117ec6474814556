"""Losses of classifiers: their targets are class numbers, or shares of the classes."""

from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.settings import settings
from ensemble_pipe.nn.kernels import classification_losses as kernels
from ensemble_pipe.nn.losses.base import LossFunction

_FOR_NUMBERS = "to predict numbers, take a regression loss, such as squared_error"


class OnePerClass(LossFunction):
    """A loss of classifiers whose C outputs are logits, one for each class."""

    task = "classification"

    def outputs(self, classes: int, targets: int = 1) -> int:
        """Return O = C; ValueError where there are fewer than two classes."""
        if classes < 2:
            raise ValueError(
                f"{self.name} needs at least two classes, not {classes}: {_FOR_NUMBERS}"
            )
        return classes

    def predictions(self, outputs: Floats) -> Floats:
        """Return the logits (..., C) that outputs (..., C) are."""
        return np.asarray(outputs, np.float32)


def _cross_entropy(logits: Floats, targets: Array, *others: Floats) -> None:
    """Take class numbers (M, N), or shares of the classes (M, N, C)."""
    soft = targets.ndim == 3
    kernel = kernels.soft_cross_entropy if soft else kernels.softmax_cross_entropy
    kernel(logits, targets, *others)


@settings
class CrossEntropy(OnePerClass):
    """Cross-entropy of the softmax (Goodfellow, Bengio & Courville 2016, 6.2.2.3), in nats.

    loss = -sum_o q_o log softmax(z)_o;  gradient = softmax(z) - q,

    where q = (1 - smoothing) t + smoothing / C (Szegedy et al. 2016, "Rethinking the Inception
    architecture for computer vision", section 7). Targets t are class numbers (M, N), or a share
    of each class (M, N, C), as mixed rows have; the shares of a row sum to 1.

    Attributes:
        smoothing: share of each target that is spread evenly over all classes.
    """

    name: Literal["cross_entropy"] = "cross_entropy"
    smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0

    numbers = ("smoothing",)
    kernel = staticmethod(_cross_entropy)

    def _mean_outputs(self, outputs: Floats) -> Floats:
        powers = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        mean = (powers / powers.sum(axis=-1, keepdims=True)).mean(axis=0)
        logits: Floats = np.log(np.maximum(mean, np.finfo(np.float64).tiny))
        return logits


@settings
class BinaryCrossEntropy(LossFunction):
    """Cross-entropy of two classes from one logit z (Bishop 2006, eq. 4.90), in nats.

    loss = -q log s(z) - (1 - q) log s(-z);  gradient = s(z) - q;  s(z) = 1 / (1 + exp(-z)),

    where q = (1 - smoothing) t + smoothing / 2. The same as `CrossEntropy` of the logits (0, z).
    Targets t are class numbers (M, N), or shares of class 1 as floats (M, N) or (M, N, 1).

    Attributes:
        smoothing: share of each target that is spread evenly over both classes.
    """

    name: Literal["binary_cross_entropy"] = "binary_cross_entropy"
    smoothing: Annotated[float, Ge(0), Lt(1)] = 0.0

    numbers = ("smoothing",)
    task = "classification"
    kernel = staticmethod(kernels.binary_cross_entropy)

    def outputs(self, classes: int, targets: int = 1) -> int:
        """Return O = 1; ValueError where there are not exactly two classes."""
        if classes == 2:
            return 1
        instead = "take cross_entropy or hinge" if classes > 2 else _FOR_NUMBERS
        raise ValueError(f"{self.name} is for exactly two classes, not {classes}: {instead}")

    @staticmethod
    def arrange(targets: Array) -> Array:
        """Return class numbers or shares (M, N)."""
        return targets[..., 0] if targets.ndim == 3 else targets

    def _mean_outputs(self, outputs: Floats) -> Floats:
        of_one, of_zero = (
            np.logaddexp.reduce(-np.logaddexp(0.0, sign * outputs), axis=0) for sign in (-1.0, 1.0)
        )
        logits: Floats = of_one - of_zero
        return logits

    def predictions(self, outputs: Floats) -> Floats:
        """Return logits (..., 2), which are (0, z), from outputs z (..., 1)."""
        logits = np.zeros((*outputs.shape[:-1], 2), np.float32)
        logits[..., 1] = outputs[..., 0]
        return logits


@settings
class Hinge(OnePerClass):
    """Hinge loss of several classes (Weston & Watkins 1999, "Support vector machines for
    multi-class pattern recognition"), in the form of the course CS231n.

    loss = sum_{o != y} max(0, s_o - s_y + margin);  targets y are class numbers (M, N).

    Its gradient is 1 for each class that violates the margin and minus their number for the right
    one; 0 at the bend. Scores are not log-probabilities: calibrate their softmax before it is read
    as one.

    Attributes:
        margin: by which the right class must win.
    """

    name: Literal["hinge"] = "hinge"
    margin: Annotated[float, Gt(0)] = 1.0

    numbers = ("margin",)
    kernel = staticmethod(kernels.hinge)
