"""Schedules without cycles: a learner's learning rate, as a factor of its `learning_rate`.

Each schedule has factor(step, total), a pure function: `step` counts from 0, `total` is the number
of steps of the whole training. Places and lengths are shares of the training, so that a schedule
means the same for any number of epochs, rows and batch size; a share is rounded to whole steps.
"""

from collections.abc import Sequence
from math import cos, pi
from typing import Annotated, Literal, Protocol

import numpy as np
from annotated_types import Ge, Gt, Lt, MinLen

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.core.registry import Registry
from ensemble_pipe.core.settings import settings


class HasFactor(Protocol):
    """Any schedule, as far as the rate of a step goes."""

    def factor(self, step: int, total: int) -> float: ...


class StackedSchedule:
    """The schedules of M learners, of which equal ones are evaluated once at each step."""

    def __init__(self, schedules: Sequence[HasFactor]) -> None:
        self._distinct: list[HasFactor] = []
        for one in schedules:
            if one not in self._distinct:
                self._distinct.append(one)
        self._places = np.array([self._distinct.index(one) for one in schedules])

    def factors(self, step: int, total: int) -> Floats:
        """Return the factor of each learner at a step, (M,) float64.

        Args:
            step: counted from 0.
            total: number of steps of the training, or of the round of a boosted chain.
        """
        own = np.array([one.factor(step, total) for one in self._distinct])
        factors: Floats = own[self._places]
        return factors


@settings
class ConstantRate:
    """The same rate at every step.

    >>> ConstantRate().factor(step=7, total=10)
    1.0
    """

    name: Literal["constant"] = "constant"

    def factor(self, step: int, total: int) -> float:
        return 1.0


@settings
class StepDecay:
    """A fall at regular distances: decay ** floor(step / (every total)).

    PyTorch's StepLR, with the distance as a share of the training.

    >>> [StepDecay(every=0.5, decay=0.1).factor(step, 4) for step in range(4)]
    [1.0, 1.0, 0.1, 0.1]

    Attributes:
        every: distance of the falls, as a share of the training; at least one step.
        decay: factor of each fall.
    """

    name: Literal["step"] = "step"
    every: Annotated[float, Gt(0), Lt(1)] = 0.25
    decay: Annotated[float, Gt(0), Lt(1)] = 0.1

    def factor(self, step: int, total: int) -> float:
        return float(self.decay ** (step // max(1, round(self.every * total))))


@settings
class MultiStep:
    """A fall at each milestone: decay ** (number of milestones passed).

    PyTorch's MultiStepLR, with milestones as shares of the training.

    >>> [MultiStep(milestones=(0.5, 0.75)).factor(step, 4) for step in range(3)]
    [1.0, 1.0, 0.1]

    Attributes:
        milestones: where the rate falls, as shares of the training; never at the first step.
        decay: factor of each fall.
    """

    name: Literal["multi_step"] = "multi_step"
    milestones: Annotated[tuple[Annotated[float, Gt(0), Lt(1)], ...], MinLen(1)] = (0.5, 0.75)
    decay: Annotated[float, Gt(0), Lt(1)] = 0.1

    def factor(self, step: int, total: int) -> float:
        passed = sum(step >= max(1, round(share * total)) for share in self.milestones)
        return float(self.decay**passed)


@settings
class Exponential:
    """From the full rate down to `final` at a constant ratio: final ** (step / total).

    PyTorch's ExponentialLR with gamma = final ** (1 / total).

    >>> [round(Exponential(final=0.01).factor(step, 4), 3) for step in range(5)]
    [1.0, 0.316, 0.1, 0.032, 0.01]

    Attributes:
        final: factor at the end of the training.
    """

    name: Literal["exponential"] = "exponential"
    final: Annotated[float, Gt(0), Lt(1)] = 0.01

    def factor(self, step: int, total: int) -> float:
        return float(self.final ** (step / total))


@settings
class Polynomial:
    """From the full rate to zero: (1 - step / total) ** power; a straight line for power 1.

    PyTorch's PolynomialLR over the whole training.

    >>> [Polynomial(power=2.0).factor(step, 4) for step in range(5)]
    [1.0, 0.5625, 0.25, 0.0625, 0.0]

    Attributes:
        power: how early the rate falls.
    """

    name: Literal["polynomial"] = "polynomial"
    power: Annotated[float, Gt(0)] = 1.0

    def factor(self, step: int, total: int) -> float:
        return float((1.0 - step / total) ** self.power)


@settings
class Cosine:
    """From the full rate to a minimum along half a cosine.

    minimum + (1 - minimum) (1 + cos(pi step / total)) / 2.

    Loshchilov & Hutter 2017, "SGDR: stochastic gradient descent with warm restarts", eq. 5, with
    one cycle; PyTorch's CosineAnnealingLR.

    >>> [round(Cosine().factor(step, 4), 3) for step in range(5)]
    [1.0, 0.854, 0.5, 0.146, 0.0]

    Attributes:
        minimum: factor at the end of the training.
    """

    name: Literal["cosine"] = "cosine"
    minimum: Annotated[float, Ge(0), Lt(1)] = 0.0

    def factor(self, step: int, total: int) -> float:
        return half_cosine(1.0, self.minimum, step / total)


@settings
class FlatCosine:
    """The full rate for a share of the training, then down to zero along half a cosine.

    Holzmueller, Grinsztajn & Steinwart 2024, "Better by default", for dropout and decay.

    >>> [round(FlatCosine().factor(step, 8), 3) for step in range(9)]
    [1.0, 1.0, 1.0, 1.0, 1.0, 0.854, 0.5, 0.146, 0.0]

    Attributes:
        flat: share of the training at the full rate.
    """

    name: Literal["flat_cosine"] = "flat_cosine"
    flat: Annotated[float, Ge(0), Lt(1)] = 0.5

    def factor(self, step: int, total: int) -> float:
        way = (step / total - self.flat) / (1.0 - self.flat)
        return half_cosine(1.0, 0.0, max(0.0, way))


@settings
class OneCycle:
    """One rise and one long fall, both along half cosines.

    Smith & Topin 2018, "Super-convergence: very fast training of neural networks using large
    learning rates", section 3, where both are straight; in the form of PyTorch's OneCycleLR, whose
    div_factor is 1 / start and whose final_div_factor is start / final. Momentum is not cycled.

    >>> schedule = OneCycle(rise=0.5, start=0.1, final=0.01)
    >>> [round(schedule.factor(step, 6), 3) for step in range(6)]
    [0.1, 0.55, 1.0, 0.752, 0.258, 0.01]

    Attributes:
        rise: share of the training in which the rate rises.
        start: factor at the first step.
        final: factor at the last step.
    """

    name: Literal["one_cycle"] = "one_cycle"
    rise: Annotated[float, Gt(0), Lt(1)] = 0.3
    start: Annotated[float, Gt(0), Lt(1)] = 0.04
    final: Annotated[float, Gt(0), Lt(1)] = 4e-6

    def factor(self, step: int, total: int) -> float:
        # As in PyTorch, the peak may lie between two steps.
        peak = self.rise * total - 1.0
        if step < peak:
            return half_cosine(self.start, 1.0, step / peak)
        peak = max(0.0, peak)
        fall = total - 1 - peak
        return half_cosine(1.0, self.final, (step - peak) / fall) if fall > 0.0 else 1.0


@settings
class RangeTest:
    """From a very low rate to a very high one at a constant ratio, to find the rates between.

    low (high / low) ** (step / (total - 1)). The learning-rate range test of Smith 2017, "Cyclical
    learning rates for training neural networks", section 3.3: the loss over the rate falls where
    rates are useful and rises where they are too high. There the rate rises on a straight line;
    at a constant ratio each power of ten has as many steps.

    >>> [round(RangeTest(low=0.01, high=100.0).factor(step, 5), 3) for step in range(5)]
    [0.01, 0.1, 1.0, 10.0, 100.0]

    Attributes:
        low, high: factors at the first and at the last step.
    """

    name: Literal["range_test"] = "range_test"
    low: Annotated[float, Gt(0)] = 1e-4
    high: Annotated[float, Gt(0)] = 100.0

    def factor(self, step: int, total: int) -> float:
        return float(self.low * (self.high / self.low) ** (step / max(1, total - 1)))


Fall = ConstantRate | StepDecay | MultiStep | Exponential | Polynomial | Cosine | FlatCosine

FALLS: Registry[Fall] = Registry("schedule", Fall)


def half_cosine(begin: float, end: float, share: float) -> float:
    """Return the value at a share of the way from `begin` to `end`, along half a cosine."""
    return end + (begin - end) * (1.0 + cos(pi * share)) / 2.0
