"""The prediction of an ensemble for some rows: classes, or numbers in the targets' units."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats, Integers
from ensemble_pipe.core.gaussians import half_width
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.combiners import Combiner
from ensemble_pipe.ensemble.conformal import Conformal
from ensemble_pipe.ensemble.decisions import Decision
from ensemble_pipe.ensemble.metrics.classification import classification_metrics
from ensemble_pipe.ensemble.numbers import Gaussians, combined_numbers
from ensemble_pipe.ensemble.uncertainty import uncertainty

Metrics = dict[str, float]


@dataclass(frozen=True)
class Prediction:
    """Members' outputs, and the combined prediction.

    Attributes:
        outputs: (K, R, O) float32, of `ensemble.members.member_outputs`.
        combiner: of K members.
        schema: of the data.
        conformal: of the classes, or of each target; empty where the ensemble has none.
        decision: on a class; None for the most probable one.
    """

    outputs: Floats
    combiner: Combiner
    schema: Schema
    conformal: tuple[Conformal, ...] = ()
    decision: Decision | None = None

    @cached_property
    def probabilities(self) -> Floats:
        """Class probabilities (R, O), float64."""
        return self.combiner.probabilities(self.outputs)

    @property
    def decided(self) -> Integers:
        """The predicted class (R,) of each row, by number."""
        if self.decision is not None:
            return self.decision.decide(self.probabilities)
        best: Integers = self.probabilities.argmax(axis=1)
        return best

    @cached_property
    def numbers(self) -> Gaussians:
        """The combined prediction of numbers."""
        mean, aleatoric, epistemic = self._mixture
        return Gaussians(mean, aleatoric + epistemic, self.schema)

    @property
    def mean(self) -> Floats:
        """Means (R, D) in the targets' units."""
        return self.numbers.own[0]

    @property
    def aleatoric(self) -> Floats:
        """The standard deviation (R, D) of the noise in the data, as the members estimate it.

        Of a transformed target, the variance is divided in the proportion of the two parts on the
        scale of training.
        """
        return self._part(self._mixture[1])

    @property
    def epistemic(self) -> Floats:
        """The standard deviation (R, D) of the members' means: their disagreement."""
        return self._part(self._mixture[2])

    def _part(self, variance: Floats) -> Floats:
        """Return the deviation (R, D), in the targets' units, of a part of the variance."""
        found: Floats = np.sqrt(variance) * self.schema.target_scale[1]
        for place, _ in self.numbers.transformed:
            share = variance[:, place] / self.numbers.variance[:, place]
            found[:, place] = self.std[:, place] * np.sqrt(share)
        return found

    @property
    def std(self) -> Floats:
        """Standard deviations (R, D) of the whole prediction, in the targets' units."""
        return self.numbers.own[1]

    @cached_property
    def sets(self) -> Array:
        """Which classes are in each row's conformal set, (R, O) bool."""
        return self.conformal[0].sets(self.probabilities)

    @property
    def interval(self) -> tuple[Floats, Floats]:
        """The ends of the conformal intervals, (R, D) each, in the targets' units.

        They are a multiple of the deviation on each side of the mean, of a transformed target on
        the scale of training.
        """
        return self._interval(self.conformal)

    def interval_of(self, coverage: float) -> tuple[Floats, Floats]:
        """Return the ends of intervals that cover a share of the rows, as `interval` does.

        They are the conformal ones where these have this coverage, else the central intervals of
        the predictive distribution, which combining has calibrated.

        Args:
            coverage: the share, between 0 and 1.
        """
        if self.conformal and {one.coverage for one in self.conformal} == {coverage}:
            return self.interval
        return self.central_interval(coverage)

    def central_interval(self, coverage: float) -> tuple[Floats, Floats]:
        """Return the ends of the predictive distribution's central intervals, as `interval` does.

        Args:
            coverage: their probability, between 0 and 1.
        """
        width = half_width(coverage)
        one = Conformal(method="normalized", coverage=coverage, threshold=width)
        return self._interval((one,) * self.schema.target_count)

    def _interval(self, widths: tuple[Conformal, ...]) -> tuple[Floats, Floats]:
        pairs = zip(widths, self.mean.T, self.std.T, strict=True)
        ends = [one.interval(mean, std) for one, mean, std in pairs]
        for place, target in self.numbers.transformed:
            mean, variance = self.numbers.mean[:, place], self.numbers.variance[:, place]
            low, high = widths[place].interval(mean, np.sqrt(variance))
            ends[place] = target.decode(low), target.decode(high)
        low, high = (np.stack(one, axis=1) for one in zip(*ends, strict=True))
        return low, high

    def uncertainty(self) -> dict[str, Floats]:
        """Return measures of uncertainty for each row, (R,) or (R, D) each.

        For classes what `ensemble.uncertainty` has, of the members as they are weighted, without
        the combiner's temperature. For numbers `std` and its parts `aleatoric` and `epistemic`,
        whose squares add up, in the targets' units.
        """
        if self.schema.task == "classification":
            return uncertainty(self.outputs, self.combiner.member_weights())
        return {"std": self.std, "aleatoric": self.aleatoric, "epistemic": self.epistemic}

    def metrics(self, targets: Array) -> Metrics:
        """Return the metrics of the prediction.

        Args:
            targets: (R,) or (R, D), as base files hold them.
        """
        if self.schema.task == "classification":
            found = classification_metrics(self.probabilities, targets)
            decision = self.decision
            return (
                found if decision is None else found | decision.metrics(self.probabilities, targets)
            )
        return self.numbers.metrics(targets)

    @cached_property
    def _mixture(self) -> tuple[Floats, Floats, Floats]:
        return combined_numbers(self.combiner, self.outputs, self.schema)
