"""Learners that are scikit-learn estimators: their plan and their fit.

They are saved with skops; `ensemble.members.estimator_files` loads them.
"""

import time
from dataclasses import asdict, dataclass
from math import ceil, prod
from typing import Any

import numpy as np

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Array, Floats
from ensemble_pipe.core.messages import quote
from ensemble_pipe.data.schema import Schema, Task
from ensemble_pipe.data.shard_view import ShardView
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.training.estimator_settings import (
    STOP_SHARE,
    EstimatorSettings,
    HistogramBoosting,
)
from ensemble_pipe.training.events import EstimatorFitted, Event, Failed


@dataclass(frozen=True)
class EstimatorPlan:
    """Everything that decides the fit of one scikit-learn learner.

    Attributes:
        learner: its id, counted from 0 over all learners of the run.
        seed: of the run.
        settings: what it is.
        folds: of the training part, of which learner i leaves out fold i modulo `folds`; None
            where it sees all rows.
    """

    learner: int
    seed: int
    settings: EstimatorSettings
    folds: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values, for the journal and MLflow."""
        return {"estimator": asdict(self.settings)}


def train_estimator(plan: EstimatorPlan, data: TrainingData, schema: Schema) -> Event:
    """Fit a learner, and return the event that reports its result."""
    from threadpoolctl import threadpool_limits

    began = time.monotonic()
    try:
        with threadpool_limits(1):  # boosting's own threads too: a trainer has one CPU
            content = fit_estimator(plan, data, schema)
    except ValueError as error:
        return Failed(plan.learner, 0, 0, f"{plan.settings.strategy}: {error}")
    return EstimatorFitted(plan.learner, content, time.monotonic() - began)


def fit_estimator(plan: EstimatorPlan, data: TrainingData, schema: Schema) -> bytes:
    """Fit a learner to the training part, without augmentation; return it in the format of skops.

    Raises:
        ValueError: the rows that it sees do not fit the estimator, such as all of one class.
    """
    from skops import io

    train = data.part("train")
    used = np.ones(train.rows, bool)
    if plan.folds is not None:
        used = data.fold_of(plan.folds) != plan.learner % plan.folds
    inputs, targets = _flat_inputs(train, schema), train.targets[used]
    if schema.task == "classification" and plan.settings.needs_two_classes:
        _require_two_classes(targets, schema)
    estimator = _estimator_for(plan, targets, schema)
    weights = {"sample_weight": train.weights[used]} if plan.settings.weighs_rows else {}
    estimator.fit(inputs[used], targets, **weights)
    estimator.predict(inputs[:1])  # what it cannot do is to be known now
    content: bytes = io.dumps(estimator)
    return content


def _flat_inputs(part: ShardView, schema: Schema) -> Floats:
    """Return the inputs (R, D) of a part of the data."""
    inputs = np.empty((part.rows, *schema.input_shape), np.float32)
    part.read(0, part.rows, inputs)
    return inputs.reshape(part.rows, prod(schema.input_shape))


def _estimator_for(plan: EstimatorPlan, targets: Array, schema: Schema) -> Any:
    """Return the estimator that a plan fits to these targets."""
    from sklearn.multioutput import MultiOutputRegressor

    estimator = build_estimator(plan, schema.task)
    if isinstance(plan.settings, HistogramBoosting) and not _can_be_divided(targets):
        estimator.set_params(early_stopping=False)
    if schema.target_count > 1 and not plan.settings.several_targets:
        return MultiOutputRegressor(estimator)
    return estimator


def build_estimator(plan: EstimatorPlan, task: Task) -> Any:
    """Return the estimator of a plan, not yet fitted, for one target."""
    draws = seeds.generator(plan.seed, seeds.Purpose.ESTIMATOR, learner=plan.learner)
    return plan.settings.build(task, int(draws.integers(2**31)))


def is_of_plan(estimator: Any, plan: EstimatorPlan, task: Task) -> bool:
    """Return whether an estimator has the type, seed and settings that a plan gives it.

    Early stopping is left out: `fit_estimator` does without it where rows are few.
    """
    expected = build_estimator(plan, task)
    several = type(estimator).__name__ == "MultiOutputRegressor"
    found = estimator.estimator if several else estimator
    if type(found) is not type(expected):
        return False
    defaults, given = type(expected)().get_params(), found.get_params()
    return all(
        given.get(name) == value
        for name, value in expected.get_params().items()
        if value != defaults[name] and name != "early_stopping"
    )


def _require_two_classes(labels: Array, schema: Schema) -> None:
    found = np.unique(labels)
    if len(found) < 2:
        raise ValueError(
            f"the rows that the learner sees ({len(labels)}) all have the class "
            f"{quote(schema.classes[found[0]])}, and it needs two; add rows of the others, or do "
            "without cross-validation"
        )


def _can_be_divided(targets: Array) -> bool:
    """Return whether rows can be held out for early stopping, of each class where there are any."""
    if targets.dtype.kind == "f":
        return len(targets) > 1
    _, counts = np.unique(targets, return_counts=True)
    held = ceil(STOP_SHARE * len(targets))
    return bool(counts.min() > 1 and held >= len(counts))
