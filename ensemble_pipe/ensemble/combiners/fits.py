"""The ways to fit a combiner, by name, from cached outputs of the members.

Each is a settings class that extends `CombinerFit`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np

from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.errors import ConfigError
from ensemble_pipe.core.registry import Registry
from ensemble_pipe.core.settings import settings
from ensemble_pipe.ensemble.combiners.aims import Aim, likelihood_of
from ensemble_pipe.ensemble.combiners.combiner import Combiner, Task
from ensemble_pipe.ensemble.combiners.greedy import greedy_weights
from ensemble_pipe.ensemble.combiners.likelihood import Likelihood
from ensemble_pipe.ensemble.combiners.outputs import NumberOutputs, Outputs
from ensemble_pipe.ensemble.combiners.simplex import best_weights
from ensemble_pipe.ensemble.combiners.stacking import fit_logistic, fit_ridge
from ensemble_pipe.ensemble.combiners.weighted import Space, Weighted
from ensemble_pipe.nn.blas import one_thread


@dataclass(frozen=True)
class Evidence:
    """The data that combiners are fitted to: rows that no member was trained on.

    Attributes:
        outputs: of K members.
        targets: labels (R,) or numbers (R, D).
        row_weights: (R,), which sum to 1.
        aim: the metric that weights aim at; None for the NLL.
    """

    outputs: Outputs
    targets: Array
    row_weights: Floats
    aim: Aim | None = None

    @staticmethod
    def of(
        outputs: Outputs,
        targets: Array,
        row_weights: Floats | None = None,
        aim: Aim | None = None,
    ) -> "Evidence":
        """Return checked evidence; rows count alike without row weights (R,) of any sum."""
        weights = np.ones(len(targets)) if row_weights is None else row_weights.astype(np.float64)
        if weights.shape != (len(targets),) or weights.min() < 0 or not weights.sum() > 0:
            raise ValueError(f"row weights must be {len(targets)} numbers, none below 0")
        return Evidence(outputs, outputs.checked(targets), weights / weights.sum(), aim)

    def take(self, rows: Array) -> "Evidence":
        """Return the evidence of some rows, by number."""
        own = self.outputs.take(rows), self.targets[rows], self.row_weights[rows]
        return Evidence.of(*own, self.aim)

    @cached_property
    def likelihood(self) -> Likelihood:
        """The likelihood of the targets, or the loss by the metric, for weights of the members."""
        return likelihood_of(self.outputs, self.targets, self.row_weights, self.aim)


class CombinerFit(ABC):
    """A way to fit a combiner.

    Attributes:
        fitted: whether the combiner depends on the targets.
        only_classes: whether it is for classification alone.
    """

    fitted: ClassVar[bool] = True
    only_classes: ClassVar[bool] = False

    @abstractmethod
    def fit(self, evidence: Evidence, random: np.random.Generator) -> Combiner:
        """Return the combiner."""


class EqualWeights(CombinerFit):
    """Members with equal weights, averaged in a space of their outputs; nothing is fitted.

    Attributes:
        space: in which members are averaged; see `Weighted`.
    """

    fitted = False
    space: ClassVar[Space]

    def fit(self, evidence: Evidence, random: np.random.Generator) -> Combiner:
        return Weighted.equal(evidence.outputs.members, self.space)


@settings
class MeanProbability(EqualWeights):
    """Members' distributions averaged with equal weights."""

    space = "probability"

    name: Literal["mean_probability"] = "mean_probability"


@settings
class MeanLogit(EqualWeights):
    """Members' logits averaged with equal weights."""

    space = "logit"
    only_classes = True

    name: Literal["mean_logit"] = "mean_logit"


@settings
class Vote(EqualWeights):
    """One vote of each member for its likeliest class."""

    space = "vote"
    only_classes = True

    name: Literal["vote"] = "vote"


@settings
class Greedy(CombinerFit):
    """Weights from selection with replacement (Caruana et al. 2004); see `greedy`."""

    name: Literal["greedy"] = "greedy"

    def fit(self, evidence: Evidence, random: np.random.Generator) -> Combiner:
        weights = greedy_weights(evidence.likelihood, random)
        return Weighted(weights=tuple(weights.tolist()))


@settings
class Weights(CombinerFit):
    """The mixture of the lowest NLL, or the best one by a metric; see `simplex`."""

    name: Literal["weights"] = "weights"

    def fit(self, evidence: Evidence, random: np.random.Generator) -> Combiner:
        return Weighted(weights=tuple(best_weights(evidence.likelihood).tolist()))


@settings
class Stacking(CombinerFit):
    """A linear model on top of the members; see `stacking`."""

    name: Literal["stacking"] = "stacking"

    def fit(self, evidence: Evidence, random: np.random.Generator) -> Combiner:
        outputs, targets, row_weights = evidence.outputs, evidence.targets, evidence.row_weights
        if isinstance(outputs, NumberOutputs):
            return fit_ridge(outputs, targets, row_weights, random)
        return fit_logistic(outputs, targets, row_weights, random)


# From the simplest on: nothing fitted, K weights, a linear model.
Fit = MeanProbability | MeanLogit | Vote | Greedy | Weights | Stacking
FitName = Literal["mean_probability", "mean_logit", "vote", "greedy", "weights", "stacking"]

FITS: Registry[Fit] = Registry("fit of a combiner", Fit)


def fits_for(task: Task) -> tuple[str, ...]:
    """Return the names of the fits for a task, from the simplest on."""
    classes = task == "classification"
    return tuple(name for name, kind in FITS.items() if classes or not kind.only_classes)


def check_names(names: Sequence[str], task: Task) -> None:
    """Raise ConfigError for a name that is not one of a fit for the task."""
    valid = fits_for(task)
    for name in names:
        if name not in valid:
            raise ConfigError(f"no combiner {name!r} for {task}; valid: {', '.join(valid)}")


@one_thread()  # more take nine times the CPU time on matrices as small as these
def fit(
    name: str,
    outputs: Outputs,
    targets: Array,
    random: np.random.Generator,
    *,
    row_weights: Floats | None = None,
    temperature: bool = False,
    aim: Aim | None = None,
) -> Combiner:
    """Return a combiner fitted to the members' outputs.

    Args:
        name: one of `FITS`.
        outputs: of K members, on rows that they were not trained on.
        targets: labels (R,) or numbers (R, D).
        random: for the bags of greedy selection and the folds of stacking.
        row_weights: (R,), how much each row counts; all alike without.
        temperature: whether to fit one, after all else, by the NLL; for numbers also the noise.
        aim: a metric that weights aim at in place of the NLL.

    Raises:
        ConfigError: there is no such fit for the task.
    """
    check_names([name], outputs.task)
    evidence = Evidence.of(outputs, targets, row_weights, aim)
    combiner = FITS[name]().fit(evidence, random)
    if not temperature:
        return combiner
    prediction = outputs.combined(combiner)
    best = prediction.best_calibration(evidence.targets, evidence.row_weights)
    return combiner.calibrate(best.temperature, best.noise)
