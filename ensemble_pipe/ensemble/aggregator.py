"""The aggregator: takes members as they finish, combines and measures them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ensemble_pipe.arrays import Array, Floats
from ensemble_pipe.data.augment.prediction import PredictionDraws
from ensemble_pipe.data.schema import Schema
from ensemble_pipe.data.shard_view import ShardView
from ensemble_pipe.ensemble.combiners import gaussian_mixture, mean_probability
from ensemble_pipe.ensemble.members import Member, member_outputs
from ensemble_pipe.ensemble.metrics.classification import classification_metrics
from ensemble_pipe.ensemble.metrics.regression import regression_metrics

Metrics = dict[str, float]

NOISE_FLOOR = 1e-12


@dataclass(frozen=True)
class Measured:
    """Members and their ensemble on one part of the data.

    Attributes:
        outputs: (K, R, O) float32.
        targets: (R,) as base files hold them.
        ensemble: metrics of the combination.
        members: metrics of each member, in order.
    """

    outputs: Floats
    targets: Array
    ensemble: Metrics
    members: list[Metrics]


class Aggregator:
    """Combines and measures members; keeps their outputs on the validation part.

    Attributes:
        members: in order of learner and number, whatever the order they came in.
    """

    def __init__(self, schema: Schema, validation: ShardView, draws: PredictionDraws) -> None:
        self.schema = schema
        self.validation = validation
        self.draws = draws
        self._targets = validation.targets
        self._outputs: dict[tuple[int, int], Floats] = {}
        self.members: list[Member] = []

    def add(self, member: Member) -> Metrics:
        """Take in a member; return its own metrics on the validation part."""
        outputs = self._compute([member], self.validation)
        self._outputs[member.learner, member.number] = outputs[0]
        self.members = sorted([*self.members, member], key=lambda m: (m.learner, m.number))
        noise = noise_variance(outputs, self._targets, self.schema)
        return measure(outputs, self._targets, self.schema, noise)

    @property
    def noise(self) -> float:
        """Noise variance of a regression, in standardised units; zero for classes."""
        return noise_variance(self._stacked(self.members), self._targets, self.schema)

    def ensemble_metrics(self) -> Metrics:
        """Return the metrics on the validation part of all members so far."""
        outputs = self._stacked(self.members)
        return measure(outputs, self._targets, self.schema, self.noise)

    def curve(self) -> list[Metrics]:
        """Return the validation metrics of the first 1, 2, ... K members."""
        noise = self.noise
        outputs = self._stacked(self.members)
        return [
            measure(outputs[: k + 1], self._targets, self.schema, noise)
            for k in range(len(outputs))
        ]

    def measured(self, view: ShardView) -> Measured:
        """Return all members' outputs on a part of the data, and every metric."""
        outputs = self._compute(self.members, view)
        targets, noise = view.targets, self.noise
        return Measured(
            outputs,
            targets,
            measure(outputs, targets, self.schema, noise),
            [measure(one[None], targets, self.schema, noise) for one in outputs],
        )

    def _compute(self, members: Sequence[Member], view: ShardView) -> Floats:
        reads = self.draws.reads(view, self.schema.spans)
        return member_outputs(members, self.schema, reads, view.rows)

    def _stacked(self, members: Sequence[Member]) -> Floats:
        return np.stack([self._outputs[m.learner, m.number] for m in members])


def noise_variance(outputs: Floats, targets: Array, schema: Schema) -> float:
    """Return the mean squared residual of the members, in standardised units; 0 for classes.

    It is at least `NOISE_FLOOR`, so that members without any residual still have a likelihood.

    Args:
        outputs: (K, R, O) on a part that no member was trained on.
        targets: (R,).
    """
    if schema.task == "classification":
        return 0.0
    residuals = outputs[:, :, 0].astype(np.float64) - targets
    return max(float(np.mean(residuals**2)), NOISE_FLOOR)


def measure(outputs: Floats, targets: Array, schema: Schema, noise: float) -> Metrics:
    """Return the metrics of the ensemble of K members, from their outputs (K, R, O)."""
    if schema.task == "classification":
        return classification_metrics(mean_probability(outputs), targets)
    mean, deviation = predicted_numbers(outputs, schema, noise)
    numbers = targets.astype(np.float64) * schema.target_deviation + schema.target_mean
    return regression_metrics(mean, deviation, numbers)


def predicted_numbers(outputs: Floats, schema: Schema, noise: float) -> tuple[Floats, Floats]:
    """Return mean and standard deviation (R,) of a regression, in the target's own units.

    Args:
        outputs: (K, R, 1) means, or (K, R, 2) means and variances, in standardised units.
        schema: of the data.
        noise: the variance of members that give none.
    """
    own = outputs[:, :, 1].astype(np.float64) if outputs.shape[2] == 2 else noise
    mean, deviation = gaussian_mixture(outputs[:, :, 0], own)
    return (
        mean * schema.target_deviation + schema.target_mean,
        deviation * schema.target_deviation,
    )


def best_member(validation: Measured) -> int:
    """Return the place of the member with the lowest NLL on the validation part."""
    return int(np.argmin([metrics["nll"] for metrics in validation.members]))


def summary(measured: dict[str, Measured]) -> Metrics:
    """Return flat metrics: "test/nll", "member_mean/test/nll", "member_best/test/nll", ...

    Args:
        measured: by part; "validation" chooses the best member.
    """
    best = best_member(measured["validation"])
    flat: Metrics = {}
    for part, result in measured.items():
        for name, value in result.ensemble.items():
            flat[f"{part}/{name}"] = value
            flat[f"member_mean/{part}/{name}"] = float(np.mean([m[name] for m in result.members]))
            flat[f"member_best/{part}/{name}"] = result.members[best][name]
    return flat
