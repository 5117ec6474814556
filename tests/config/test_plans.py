"""The plans of a pipeline: made once, of all kinds of learners, when it is read."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from ensemble_pipe.config.plans import Plans, make_plans
from ensemble_pipe.config.reading import load_pipeline
from ensemble_pipe.config.sections import Pipeline
from ensemble_pipe.optim import SGD

POOL: list[dict[str, Any]] = [
    {"strategy": "linear", "cross_validate": True, "learners": 4},
    {"strategy": "predictions", "name": "other", "path": "other.csv"},
    {"strategy": "independent", "learners": 2, "set": {"view.folds": 3}},
    {"strategy": "cross_validation", "learners": 2},
]


def plans_of(*pool: dict[str, Any]) -> Plans:
    return make_plans(Pipeline.model_validate({"ensemble": {"pool": list(pool)}}))


def test_learners_are_numbered_over_all_groups() -> None:
    plans = plans_of(*POOL)
    assert [plan.learner for plan in plans.estimators] == [0, 1, 2, 3]
    assert [plan.learner for plan in plans.external] == [4]
    assert [plan.learner for plan in plans.networks] == [5, 6, 7, 8]
    assert plans.trained == {0, 1, 2, 3, 5, 6, 7, 8}
    assert set(plans.to_dict()) == set(range(9))


def test_the_folds_are_those_of_groups_and_of_views() -> None:
    plans = plans_of(*POOL)
    assert plans.fold_groups == ((0, 1, 2, 3), (7, 8))
    assert plans.fold_counts == [2, 3, 4]
    assert plans_of({"strategy": "independent"}).fold_counts == []


def test_plans_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        plans_of(*POOL).networks = ()  # type: ignore[misc]


def test_a_file_has_the_plans_of_its_resolved_pipeline(
    load: Callable[..., Pipeline],
) -> None:
    """Another kind of component takes the values of the first, defaults too, where it has them."""
    vary = "ensemble: {learners: 2, vary: {training.optimizer.name: [adam, sgd]}}"
    config = load(vary)
    read, plans = load_pipeline(Path("p.yaml"))
    assert read == config
    assert plans == make_plans(config)
    adam, sgd = (plan.rule for plan in plans.networks)
    assert isinstance(sgd, SGD)
    assert sgd.learning_rate == adam.learning_rate
