"""The combiner that is a linear model of the members' predictions (stacking)."""

from collections.abc import Sequence
from dataclasses import replace
from math import fsum
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, MinLen

from ensemble_pipe.core.arrays import Floats, Integers
from ensemble_pipe.core.settings import settings
from ensemble_pipe.ensemble.combiners import pooling
from ensemble_pipe.ensemble.combiners.combiner import Combiner, Task

LOWEST_LOG = float(np.log(1e-6))  # lower log-probabilities are clipped

Coefficients = tuple[tuple[tuple[float, ...], ...], ...]


@settings
class LinearCombiner(Combiner):
    """A linear model on top of the members (Wolpert 1992; Breiman 1996, "Stacked regressions").

    For classes, its inputs are the members' log-probabilities, none below log(1e-6), less their
    mean over the classes, and its outputs logits, which the temperature divides. For numbers,
    target d is a linear function of the members' means of target d, and the temperature multiplies
    the standard deviation, before the noise is added.

    Attributes:
        coefficients: (J, K, F): of output j for input f of member k. J = F = O for classes;
            J = D and F = 1 for numbers.
        intercepts: (J,).
        temperature, noise: as in `Weighted`.
    """

    name: Literal["stacked"] = "stacked"
    coefficients: Annotated[Coefficients, MinLen(1)]
    intercepts: tuple[float, ...]
    temperature: Annotated[float, Gt(0)] = 1.0
    noise: Annotated[float, Ge(0)] = 0.0

    def __post_init__(self) -> None:
        members = {len(output) for output in self.coefficients}
        inputs = {len(member) for output in self.coefficients for member in output}
        if len(members) != 1 or len(inputs) != 1 or not min(members | inputs):
            raise ValueError("coefficients of a stacked combiner must be a full (J, K, F) array")
        if len(self.intercepts) != len(self.coefficients):
            raise ValueError(
                f"{len(self.intercepts)} intercepts do not fit {len(self.coefficients)} outputs"
            )

    @staticmethod
    def of(coefficients: Floats, intercepts: Floats) -> "LinearCombiner":
        """Return the combiner with these coefficients (J, K, F) and intercepts (J,)."""
        rows = tuple(tuple(tuple(map(float, f)) for f in output) for output in coefficients)
        return LinearCombiner(coefficients=rows, intercepts=tuple(map(float, intercepts)))

    def check(self, task: Task, members: int, outputs: int) -> None:
        """See `Combiner`."""
        found = np.array(self.coefficients).shape
        wanted = (outputs, members, outputs if task == "classification" else 1)
        if found != wanted:
            raise ValueError(f"coefficients {found} do not fit {task}: they must be {wanted}")

    def member_weights(self) -> Floats:
        """Return the share (K,) of each member in the absolute coefficients; they sum to 1.

        Equal where all coefficients are zero.
        """
        size = np.abs(np.array(self.coefficients)).swapaxes(0, 1)
        shares = np.array([fsum(member.ravel()) for member in size])
        # Exact sums: a member of weight zero, there or not, changes no bit.
        total = fsum(shares)
        return shares / total if total else np.full(len(shares), 1 / len(shares))

    def probabilities(self, logits: Floats) -> Floats:
        """See `Combiner`."""
        return pooling.softmax(self._scores(logits) / self.temperature)

    def log_probabilities(self, logits: Floats) -> Floats:
        """See `Combiner`."""
        return pooling.log_softmax(self._scores(logits) / self.temperature)

    def mixture(self, means: Floats, variances: Floats) -> tuple[Floats, Floats, Floats]:
        """See `Combiner`.

        The variances are those of the members' Gaussians about the combined mean, weighted by
        `member_weights`.
        """
        self.check("regression", len(means), means.shape[2])
        coefficients = np.array(self.coefficients)[:, :, 0]
        mean = np.tile(np.array(self.intercepts), (means.shape[1], 1))
        for place, member in enumerate(means):
            mean += coefficients[:, place] * member.astype(np.float64)
        weights = self.member_weights()
        aleatoric, epistemic = pooling.split_variance(means, variances, weights, mean)
        return mean, *pooling.calibrate(aleatoric, epistemic, self.temperature, self.noise)

    def without_zero_weights(self) -> tuple["LinearCombiner", Integers]:
        """See `Combiner`."""
        kept = np.flatnonzero(self.member_weights())
        rows = tuple(tuple(output[place] for place in kept) for output in self.coefficients)
        return replace(self, coefficients=rows), kept

    def share(self, sizes: Sequence[int]) -> "LinearCombiner":
        """See `Combiner`."""
        rows = tuple(
            tuple(
                tuple(value / size for value in group)
                for group, size in zip(output, sizes, strict=True)
                for _ in range(size)
            )
            for output in self.coefficients
        )
        return replace(self, coefficients=rows)

    def calibrate(self, temperature: float, noise: float) -> "LinearCombiner":
        """See `Combiner`."""
        return replace(self, temperature=temperature, noise=noise)

    def describe(self) -> str:
        """See `Combiner`."""
        return "stacked: a linear model of the members' predictions"

    def _scores(self, logits: Floats) -> Floats:
        self.check("classification", len(logits), logits.shape[2])
        coefficients = np.array(self.coefficients)
        scores = np.tile(np.array(self.intercepts), (logits.shape[1], 1))
        for place, member in enumerate(logits):
            inputs = stacking_inputs(member)
            for column in range(inputs.shape[1]):  # products of matrices have bits of their own
                scores += inputs[:, column, None] * coefficients[:, place, column]
        return scores


def stacking_inputs(logits: Floats) -> Floats:
    """Return the linear model's inputs for logits (..., O): clipped, centred log-probabilities.

    A softmax does not depend on their mean over the classes, which slows the fit down.
    """
    logs = np.maximum(pooling.log_softmax(logits), LOWEST_LOG)
    logs -= logs.mean(axis=-1, keepdims=True)
    return logs
