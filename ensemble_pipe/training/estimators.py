"""Learners that have no steps: scikit-learn estimators and boosted trees; their plan and their fit.

Estimators are saved with skops, and `ensemble.members.estimator_files` loads them; boosted trees
are saved as `boosted_trees` says.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ensemble_pipe.core import seeds
from ensemble_pipe.core.arrays import Array
from ensemble_pipe.core.messages import quote
from ensemble_pipe.data.folding import AnyFolds
from ensemble_pipe.data.schema import Schema, Task
from ensemble_pipe.data.shards import TrainingData
from ensemble_pipe.data.tables.spread_codes import spread_codes
from ensemble_pipe.training.boosting_libraries import fit_library
from ensemble_pipe.training.estimator_settings import (
    CatBoost,
    EstimatorSettings,
    HistogramBoosting,
    LightGbm,
    RandomForest,
)
from ensemble_pipe.training.events import EstimatorFitted, Event, Failed
from ensemble_pipe.training.halting import Halted, never
from ensemble_pipe.training.histogram_boosting import MOST_CATEGORIES, fit_histogram_boosting
from ensemble_pipe.training.learner_rows import LearnerRows, rows_of
from ensemble_pipe.training.reports import NothingFittedError, Report, reported, unreported
from ensemble_pipe.training.tree_inputs import fit_inputs

# Trees of a forest between two looks at the time.
TREES_AT_ONCE = 10


@dataclass(frozen=True)
class EstimatorPlan:
    """Everything that decides the fit of one scikit-learn learner.

    Attributes:
        learner: its id, counted from 0 over all learners of the run.
        seed: of the run.
        settings: what it is.
        folds: of the training part, of which it leaves one out; None where it sees all rows.
    """

    learner: int
    seed: int
    settings: EstimatorSettings
    folds: AnyFolds | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain values, for the journal and MLflow."""
        return {"estimator": asdict(self.settings)}

    @property
    def drawn_seed(self) -> int:
        """The seed of the estimator, which no other learner of the run has."""
        draws = seeds.generator(self.seed, seeds.Purpose.ESTIMATOR, learner=self.learner)
        return int(draws.integers(2**31))

    @property
    def facts(self) -> dict[str, Any]:
        """What decides the fit, as files say that hold it."""
        return {"seed": self.drawn_seed, **asdict(self.settings)}

    def has_facts(self, facts: dict[str, Any]) -> bool:
        """Return whether a file that says so was fitted by this plan."""
        own = self.facts
        return "seed" in facts and all(
            name in own and own[name] == value for name, value in facts.items()
        )


def train_estimator(
    plan: EstimatorPlan, data: TrainingData, schema: Schema, halted: Halted = never
) -> Iterator[Event]:
    """Fit a learner; yield its progress, and at last the event that reports its result.

    One that is halted keeps the rounds or trees that it has, if these are a learner; else it has no
    result.
    """
    began = time.monotonic()
    try:
        content, whole = yield from reported(
            plan.learner, lambda report: fit_estimator(plan, data, schema, report), halted
        )
    except ValueError as error:
        yield Failed(plan.learner, 0, 0, f"{plan.settings.strategy}: {error}")
        return
    except NothingFittedError:
        return
    seconds = time.monotonic() - began
    yield EstimatorFitted(plan.learner, plan.settings.suffix, content, seconds, whole)


def fit_estimator(
    plan: EstimatorPlan, data: TrainingData, schema: Schema, report: Report = unreported
) -> bytes:
    """Fit a learner to the training part, without augmentation; return the file that holds it.

    Raises:
        ValueError: the rows that it sees do not fit the estimator, such as all of one class.
        NothingFittedError: it was to end before it had anything to keep.
    """
    from threadpoolctl import threadpool_limits

    settings = plan.settings
    train, stop = rows_of(data, schema, plan.learner, plan.folds)
    if schema.task == "classification" and settings.needs_two_classes:
        _require_two_classes(train.targets, schema)
    with threadpool_limits(1):  # boosting's own threads too: a trainer has one CPU
        if isinstance(settings, HistogramBoosting):
            inputs = fit_inputs(schema.source_view, train.inputs, MOST_CATEGORIES)
            return fit_histogram_boosting(
                settings, plan.facts, schema.task, plan.drawn_seed, inputs, train, stop, report
            ).to_bytes()
        if isinstance(settings, LightGbm | CatBoost):
            most = MOST_CATEGORIES if isinstance(settings, LightGbm) else train.count
            inputs = fit_inputs(schema.source_view, train.inputs, most)
            return fit_library(
                settings, plan.facts, schema.task, plan.drawn_seed, inputs, train, stop, report
            ).to_bytes()
        return _fit_scikit_learn(plan, schema, train, report)


def _fit_scikit_learn(
    plan: EstimatorPlan, schema: Schema, train: LearnerRows, report: Report
) -> bytes:
    """Return an estimator that is fitted to encoded rows, in the format of skops."""
    from skops import io

    estimator = build_estimator(plan, schema.task)
    weights = {"sample_weight": train.weights} if plan.settings.weighs_rows else {}
    inputs = train.inputs
    if plan.settings.spreads_codes and schema.code_counts:
        inputs = spread_codes(inputs, schema.code_counts)
    if isinstance(plan.settings, RandomForest):
        _grow_forest(estimator, train, report)
    else:
        estimator.fit(inputs, train.targets, **weights)
    estimator.predict(inputs[:1])  # what it cannot do is to be known now
    content: bytes = io.dumps(estimator)
    return content


def _grow_forest(forest: Any, train: LearnerRows, report: Report) -> None:
    """Fit a forest some trees at a time, so that it can end early; the trees are those of one fit.

    Scikit-learn draws the seed of each tree in order, however many were fitted before.
    """
    total, trees = forest.n_estimators, 0
    while trees < total:
        trees = min(trees + TREES_AT_ONCE, total)
        forest.set_params(n_estimators=trees, warm_start=True)
        forest.fit(train.inputs, train.targets, sample_weight=train.weights)
        if report(trees, total, None):
            break
    forest.set_params(warm_start=False)


def build_estimator(plan: EstimatorPlan, task: Task) -> Any:
    """Return the scikit-learn estimator of a plan, not yet fitted, for one target."""
    assert not isinstance(plan.settings, LightGbm | CatBoost)
    return plan.settings.build(task, plan.drawn_seed)


def is_of_plan(estimator: Any, plan: EstimatorPlan, task: Task) -> bool:
    """Return whether an estimator has the type, seed and settings that a plan gives it.

    Early stopping is left out: earlier versions did without it where rows were few.
    """
    if isinstance(plan.settings, LightGbm | CatBoost):
        return False
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
