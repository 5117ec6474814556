"""A metric that combiners aim at, in place of the likelihood of the targets.

It stands behind the interface of a likelihood, as a function of the members' weights; its values
are losses, the lower the better. Of weights with the same value those of the lower NLL are better.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.ensemble.combiners.likelihood import Likelihood, NumberLikelihood
from ensemble_pipe.ensemble.combiners.outputs import NumberOutputs, Outputs
from ensemble_pipe.ensemble.combiners.pooling import softmax

_TIE = 1e-7  # by which a nat counts; metrics that count rows differ by one row in ten million
_SMALLEST = 1e-300
_TRIED_WEIGHT = 0.1


@dataclass(frozen=True)
class Aim:
    """A metric to aim at.

    Attributes:
        name: of `core.metrics`.
        loss: loss(parts, targets) is its value, or less it where more is better. Parts are the
            probabilities (R, O) alone, or means and variances (R, D) on the scale of training.
        by_class: whether it is computed faster where the probabilities of a class lie side by side,
            in place of those of a row.
    """

    name: str
    loss: Callable[[tuple[Floats, ...], Array], float]
    by_class: bool = False


@dataclass(frozen=True, kw_only=True)
class MetricLoss(Likelihood):
    """The loss of mixtures by a metric.

    The statistics are those of `NumberLikelihood`, or the members' probabilities (1, K, R * O), of
    an aim by class (1, K, O * R).

    Attributes:
        aim: the metric.
        targets: (R,) or (R, D).
        likelihood: of the targets, for the same members.
    """

    is_convex: ClassVar[bool] = False

    aim: Aim
    targets: Array
    likelihood: Likelihood

    def of(self, members: Array) -> "MetricLoss":
        """See `Likelihood`."""
        own = self.likelihood.of(members)
        return replace(self, statistics=self.statistics[:, members], likelihood=own)

    def nll(self, totals: Floats) -> float:
        """Return the loss in place of the NLL, which breaks ties."""
        count = len(self.targets)
        if isinstance(self.likelihood, NumberLikelihood):
            shape = self.targets.shape
            error, second = (one.reshape(shape) for one in totals)
            variance = np.maximum(second - error**2, 1e-15 * second)
            parts: tuple[Floats, ...] = (self.targets + error, variance)
            nll = self.likelihood.nll(totals)
        else:
            by_class = self.aim.by_class
            parts = (totals.reshape(-1, count).T if by_class else totals.reshape(count, -1),)
            true = parts[0][np.arange(count), self.targets]
            nll = -float(np.mean(np.log(np.maximum(true, _SMALLEST))))
        return self.aim.loss(parts, self.targets) + _TIE * nll

    def slopes(self, totals: Floats) -> Floats:
        """A metric has no slopes: see `promise`."""
        raise NotImplementedError(f"{self.aim.name} has no gradient")

    def promise(self, weights: Floats) -> Floats:
        """See `Likelihood`: by how much a tenth of all weight lowers the loss."""
        return (self.at(weights) - self.towards(weights, _TRIED_WEIGHT)) / _TRIED_WEIGHT

    def towards(self, weights: Floats, share: float) -> Floats:
        """Return the loss (K,) where a share of all weight goes to each member instead."""
        kept, room = (1 - share) * self.totals(weights), np.empty_like(self.statistics[:, 0])
        losses = np.empty(self.members)
        for place in range(self.members):
            np.multiply(share, self.statistics[:, place], out=room)
            losses[place] = self.nll(np.add(kept, room, out=room))
        return losses

    def without(self, weights: Floats, places: Array) -> Floats:
        """Return the loss where a member is left out, for each of some places that have weight.

        Sums of the members before it and behind it, since a difference would not be exact.
        """
        held, room = np.flatnonzero(weights), np.empty_like(self.statistics[:, 0])
        behind = np.empty((len(held), *room.shape))  # the sum behind each
        behind[-1] = 0.0
        for number in range(len(held) - 1, 0, -1):
            place = held[number]
            np.multiply(weights[place], self.statistics[:, place], out=room)
            np.add(room, behind[number], out=behind[number - 1])
        before, losses = np.zeros_like(room), np.full(self.members, np.nan)
        for number, place in enumerate(held):
            if place in places:
                np.add(before, behind[number], out=room)
                room /= weights.sum() - weights[place]
                losses[place] = self.nll(room)
            before += np.multiply(weights[place], self.statistics[:, place], out=room)
        return losses[places]


def likelihood_of(
    outputs: Outputs, targets: Array, row_weights: Floats, aim: Aim | None = None
) -> Likelihood:
    """Return the likelihood of the targets, or the loss by a metric, for weights of the members.

    Args:
        outputs: of K members.
        targets: (R,) or (R, D).
        row_weights: (R,), which sum to 1; a metric counts rows alike.
        aim: the metric; None for the likelihood.
    """
    likelihood = outputs.likelihood(targets, row_weights)
    if aim is None:
        return likelihood
    if isinstance(outputs, NumberOutputs):
        statistics = likelihood.statistics
    else:
        order: Literal["F", "C"] = "F" if aim.by_class else "C"
        own = [softmax(member.astype(np.float64)).ravel(order) for member in outputs.logits]
        statistics = np.stack(own)[None]
    return MetricLoss(
        statistics=statistics,
        rows=likelihood.rows,
        aim=aim,
        targets=targets,
        likelihood=likelihood,
    )
