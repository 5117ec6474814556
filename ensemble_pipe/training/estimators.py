"""Learners that are scikit-learn estimators: their settings and their fit.

They are saved with skops; `ensemble.members.estimator_files` loads them.
"""

import time
from dataclasses import asdict, dataclass
from math import ceil, prod
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.messages import shown
from ensemble_pipe.core.settings import settings
from ensemble_pipe.data.schema import Schema, Task
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.training.events import EstimatorFitted, Event, Failed

# Each has files of its own, and what the ensemble is worth is measured after each.
MOST_LEARNERS = 10_000


@settings
class Folds:
    """Learners that may leave out a fold each.

    Where `cross_validate` is set, learner i leaves out fold i, of as many as there are learners.
    """

    learners: Annotated[int, Ge(1), Le(MOST_LEARNERS)] = 1
    cross_validate: bool = False

    def __post_init__(self) -> None:
        if self.cross_validate and self.learners < 2:
            raise ValueError("cross_validate needs at least 2 learners, one for each fold")

    @property
    def leaves_folds_out(self) -> bool:
        """Whether each learner leaves out a fold, of as many as there are learners."""
        return self.cross_validate


@settings
class RandomForest(Folds):
    """Trees on bootstrap samples, each split among some of the columns (Breiman 2001).

    Attributes:
        learners: how many forests, each of other draws.
        cross_validate: see `Folds`.
        trees: in each forest.
        leaf_rows: the least number of rows in a leaf.
    """

    weighs_rows: ClassVar[bool] = True

    strategy: Literal["random_forest"] = "random_forest"
    trees: Annotated[int, Ge(1), Le(100_000)] = 200
    leaf_rows: Annotated[int, Ge(1)] = 2

    def build(self, task: Task, seed: int) -> Any:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        kind = RandomForestClassifier if task == "classification" else RandomForestRegressor
        return kind(self.trees, min_samples_leaf=self.leaf_rows, random_state=seed)


@settings
class HistogramBoosting(Folds):
    """Gradient boosting of trees on binned columns (Friedman 2001; Ke et al. 2017, "LightGBM").

    It stops where a tenth of the training rows, put aside, says that further trees are no gain;
    where a class has one row alone, which cannot be on both sides, it takes all of its rounds.

    Attributes:
        learners: how many, each of other draws.
        cross_validate: see `Folds`.
        rounds: the most trees, for each class where there are several.
        learning_rate: what each tree's values are multiplied by.
        leaves: the most leaves of a tree.
    """

    weighs_rows: ClassVar[bool] = True

    strategy: Literal["histogram_boosting"] = "histogram_boosting"
    rounds: Annotated[int, Ge(1), Le(100_000)] = 300
    learning_rate: Annotated[float, Gt(0)] = 0.1
    leaves: Annotated[int, Ge(2)] = 31

    def build(self, task: Task, seed: int) -> Any:
        from sklearn import ensemble

        kind = (
            ensemble.HistGradientBoostingClassifier
            if task == "classification"
            else ensemble.HistGradientBoostingRegressor
        )
        return kind(
            max_iter=self.rounds,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.leaves,
            early_stopping=True,
            validation_fraction=_STOP_SHARE,
            random_state=seed,
        )


@settings
class Linear(Folds):
    """Logistic regression, or for numbers ridge regression; both have one solution.

    Attributes:
        learners: how many; all are alike, so one is enough.
        cross_validate: see `Folds`.
        penalty: of the squared weights, lambda in loss + lambda/2 |w|^2, summed over rows.
    """

    weighs_rows: ClassVar[bool] = True

    strategy: Literal["linear"] = "linear"
    penalty: Annotated[float, Gt(0)] = 1.0

    def build(self, task: Task, seed: int) -> Any:
        from sklearn.linear_model import LogisticRegression, Ridge

        if task == "regression":
            return Ridge(alpha=self.penalty)
        return LogisticRegression(C=1.0 / self.penalty, max_iter=1000)


@settings
class NearestNeighbors(Folds):
    """The mean over the nearest training rows, which it keeps (Fix & Hodges 1951).

    Attributes:
        learners: how many; all are alike, so one is enough.
        cross_validate: see `Folds`.
        neighbors: how many rows are the nearest.
    """

    weighs_rows: ClassVar[bool] = False

    strategy: Literal["nearest_neighbors"] = "nearest_neighbors"
    neighbors: Annotated[int, Ge(1)] = 15

    def build(self, task: Task, seed: int) -> Any:
        from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

        kind = KNeighborsClassifier if task == "classification" else KNeighborsRegressor
        # By brute force: a tree of rows would be one more type to trust in a file.
        return kind(self.neighbors, algorithm="brute")


EstimatorSettings = RandomForest | HistogramBoosting | Linear | NearestNeighbors


_STOP_SHARE = 0.1  # of the training rows, which boosting stops by


@dataclass(frozen=True)
class EstimatorPlan:
    """Everything that decides the fit of one scikit-learn learner.

    Attributes:
        learner: its id, counted from 0 over all learners of the run.
        seed: of the run.
        settings: what it is.
    """

    learner: int
    seed: int
    settings: EstimatorSettings

    def facts(self) -> dict[str, Any]:
        """Return what the journal and MLflow tell of the plan, as plain values."""
        return {"estimator": asdict(self.settings)}


def fit_estimator(plan: EstimatorPlan, data: TrainingData, schema: Schema) -> bytes:
    """Fit a learner to the training part, without augmentation; return it as skops has it.

    Raises:
        ValueError: the rows that it sees do not fit the estimator, such as all of one class.
    """
    from sklearn.multioutput import MultiOutputRegressor
    from skops import io

    train = data.part("train")
    inputs = np.empty((train.rows, *schema.input_shape), np.float32)
    train.read(0, train.rows, inputs)
    estimator = unfitted(plan, schema.task)
    if schema.target_count > 1 and isinstance(plan.settings, HistogramBoosting):
        estimator = MultiOutputRegressor(estimator)  # it takes one target only
    flat = inputs.reshape(train.rows, prod(schema.input_shape))
    used = np.ones(train.rows, bool)
    if plan.settings.leaves_folds_out:
        folds = plan.settings.learners
        used = data.fold_of(folds) != plan.learner % folds
    targets = train.targets[used]
    if schema.task == "classification" and isinstance(plan.settings, HistogramBoosting | Linear):
        _require_two_classes(targets, schema)
    if isinstance(plan.settings, HistogramBoosting) and not _can_be_divided(targets):
        estimator.set_params(early_stopping=False)
    weights = {"sample_weight": train.weights[used]} if plan.settings.weighs_rows else {}
    estimator.fit(flat[used], targets, **weights)
    estimator.predict(flat[:1])  # what it cannot do is to be known now
    content: bytes = io.dumps(estimator)
    return content


def unfitted(plan: EstimatorPlan, task: Task) -> Any:
    """Return the estimator that a plan fits, for one target."""
    draws = seeds.generator(plan.seed, seeds.Purpose.ESTIMATOR, learner=plan.learner)
    return plan.settings.build(task, int(draws.integers(2**31)))


def is_of_plan(estimator: Any, plan: EstimatorPlan, task: Task) -> bool:
    """Return whether an estimator has the type, seed and settings that a plan gives it.

    Early stopping is left out: `fit_estimator` does without it where rows are few.
    """
    wanted = unfitted(plan, task)
    several = type(estimator).__name__ == "MultiOutputRegressor"
    found = estimator.estimator if several else estimator
    if type(found) is not type(wanted):
        return False
    defaults, given = type(wanted)().get_params(), found.get_params()
    return all(
        given.get(name) == value
        for name, value in wanted.get_params().items()
        if value != defaults[name] and name != "early_stopping"
    )


def _require_two_classes(labels: Array, schema: Schema) -> None:
    found = np.unique(labels)
    if len(found) < 2:
        raise ValueError(
            f"the rows that the learner sees ({len(labels)}) all have the class "
            f"{shown(schema.classes[found[0]])}, and it needs two; add rows of the others, or do "
            "without cross-validation"
        )


def _can_be_divided(targets: Array) -> bool:
    """Whether boosting can put rows aside that it stops by: of each class, where there are any."""
    if targets.dtype.kind == "f":
        return len(targets) > 1
    _, counts = np.unique(targets, return_counts=True)
    held = ceil(_STOP_SHARE * len(targets))
    return bool(counts.min() > 1 and held >= len(counts))


def fitted(plan: EstimatorPlan, data: TrainingData, schema: Schema) -> Event:
    """Fit a learner and return how that went."""
    from threadpoolctl import threadpool_limits

    began = time.monotonic()
    try:
        with threadpool_limits(1):  # boosting's own threads too: a trainer has one CPU
            content = fit_estimator(plan, data, schema)
    except ValueError as error:
        return Failed(plan.learner, 0, 0, f"{plan.settings.strategy}: {error}")
    return EstimatorFitted(plan.learner, content, time.monotonic() - began)
