"""The prediction of an ensemble for some rows: classes, or numbers in the targets' units."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.ensemble.combiners import Combiner
from ensemble_pipe.ensemble.conformal import Conformal
from ensemble_pipe.ensemble.metrics.classification import classification_metrics
from ensemble_pipe.ensemble.metrics.regression import regression_metrics
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
    """

    outputs: Floats
    combiner: Combiner
    schema: Schema
    conformal: tuple[Conformal, ...] = ()

    @cached_property
    def probabilities(self) -> Floats:
        """Class probabilities (R, O), float64."""
        return self.combiner.probabilities(self.outputs)

    @property
    def mean(self) -> Floats:
        """Means (R, D) in the targets' units."""
        center, unit = self.schema.target_scale
        return self._mixture[0] * unit + center

    @property
    def aleatoric(self) -> Floats:
        """The standard deviation (R, D) of the noise in the data, as the members estimate it."""
        return np.sqrt(self._mixture[1]) * self.schema.target_scale[1]

    @property
    def epistemic(self) -> Floats:
        """The standard deviation (R, D) of the members' means: their disagreement."""
        return np.sqrt(self._mixture[2]) * self.schema.target_scale[1]

    @property
    def std(self) -> Floats:
        """Standard deviations (R, D) of the whole prediction, in the targets' units."""
        return np.sqrt(self._mixture[1] + self._mixture[2]) * self.schema.target_scale[1]

    @cached_property
    def sets(self) -> Array:
        """Which classes are in each row's conformal set, (R, O) bool."""
        return self.conformal[0].sets(self.probabilities)

    @property
    def interval(self) -> tuple[Floats, Floats]:
        """The ends of the conformal intervals, (R, D) each, in the targets' units."""
        pairs = zip(self.conformal, self.mean.T, self.std.T, strict=True)
        ends = [one.interval(mean, std) for one, mean, std in pairs]
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
            return classification_metrics(self.probabilities, targets)
        mean, aleatoric, epistemic = self._mixture
        return number_metrics(mean, aleatoric + epistemic, targets, self.schema)

    @cached_property
    def _mixture(self) -> tuple[Floats, Floats, Floats]:
        count = self.schema.target_count
        return self.combiner.mixture(self.outputs[:, :, :count], self.outputs[:, :, count:])


def number_metrics(mean: Floats, variance: Floats, targets: Array, schema: Schema) -> Metrics:
    """Return the metrics of predictions of numbers, in the targets' units.

    Args:
        mean, variance: (R, D), standardised.
        targets: (R,) or (R, D), as base files hold them.
        schema: of the data.
    """
    center, unit = schema.target_scale
    truth = schema.decode_targets(targets)
    return regression_metrics(
        mean * unit + center, np.sqrt(variance) * unit, truth, schema.target_names
    )
