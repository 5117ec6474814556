"""Searches behind scikit-learn's interface."""

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_wine
from sklearn.exceptions import ConvergenceWarning

from ensemble_pipe import EnsembleClassifier, EnsembleRegressor

SPACE = {"network.hidden": [[4], [8]], "training.optimizer.learning_rate": [0.01, 0.1]}


def classifier(**search: Any) -> EnsembleClassifier:
    section = {"space": SPACE, "driver": "grid", "top": 2, **search}
    return EnsembleClassifier(epochs=4, search=section, random_state=1)


def test_the_best_trials_make_the_ensemble() -> None:
    inputs, targets = load_wine(return_X_y=True)
    model = classifier().fit(inputs, targets)
    assert [trial.ending for trial in model.trials_] == ["finished"] * 4
    best = {trial.number for trial in model.trials_[:2]}
    assert {member.learner for member in model.model_.members} == best
    again = clone(model).fit(inputs, targets)
    assert np.array_equal(model.predict_proba(inputs), again.predict_proba(inputs))


@pytest.mark.parametrize("search", [{"ensemble": "hyper_deep"}, {"pruning": "median"}])
def test_a_search_in_memory_has_further_learners_and_prunes(search: dict[str, Any]) -> None:
    inputs, targets = load_wine(return_X_y=True)
    model = classifier(**search).fit(inputs, targets)
    assert len(model.trials_) == 4
    assert 1 <= len(model.model_.members) <= 2


def test_trials_are_cross_validated_on_request() -> None:
    inputs, targets = load_wine(return_X_y=True)
    model = classifier().set_params(folds=3).fit(inputs, targets)
    best = [trial.number for trial in model.trials_[:2]]
    own = {3 * number + fold for number in best for fold in range(3)}
    assert {member.learner for member in model.model_.members} == own
    assert all(trial.standard_error > 0 for trial in model.trials_)


def test_a_regressor_takes_a_ready_space_by_its_name() -> None:
    inputs, targets = load_diabetes(return_X_y=True)
    model = EnsembleRegressor(epochs=1, search="table", random_state=1).fit(inputs, targets)
    assert len(model.trials_) == 32
    assert np.shape(model.predict(inputs)) == targets.shape


def test_a_time_limit_ends_a_search_with_its_best_trials_so_far() -> None:
    inputs, targets = load_wine(return_X_y=True)
    section = {"space": SPACE, "driver": "grid", "top": 2}
    model = EnsembleClassifier(epochs=1_000_000, search=section, time_limit=1.5, random_state=1)
    with pytest.warns(ConvergenceWarning, match=r"^time limit 1\.5s: learner"):
        model.fit(inputs, targets)
    assert {trial.ending for trial in model.trials_} == {"unfinished"}
    scored = [trial.number for trial in model.trials_ if trial.score is not None]
    assert {member.learner for member in model.model_.members} == set(scored[:2])


def test_the_strength_of_noise_is_searched() -> None:
    inputs, targets = load_wine(return_X_y=True)
    noise = [{"name": "feature_noise", "deviation": 0.1}]
    section = {"space": {"augment.policy.0.deviation": [0.0, 0.5]}, "driver": "grid"}
    model = EnsembleClassifier(
        epochs=4, search=section, overrides={"augment": noise}, random_state=1
    ).fit(inputs, targets)
    assert len({trial.score for trial in model.trials_}) == 2


def test_without_a_search_there_are_no_trials() -> None:
    inputs, targets = load_wine(return_X_y=True)
    assert EnsembleClassifier(epochs=1, learners=2).fit(inputs, targets).trials_ == []


@pytest.mark.parametrize(("parameters", "message"), [
    ({"search": "tables"}, "search.space: unknown 'tables'; did you mean 'table'?"),
    ({"search": {"space": {"network.hiden": [[4]]}}}, "unknown key 'hiden'"),
    ({"search": {"space": {"network.name": ["mlp", "cnn"]}, "driver": "tpe",
                 "first": [{"network.name": "mlp"}] * 10}}, "conv2d1 cannot take rows of shape"),
    ({"search": "table", "learners": 3}, "the trials of a search are its learners"),
    ({"search": {"space": SPACE, "driver": "grid"}, "folds": 179},
     "179 folds are to be left out in turn"),
    ({"search": "table", "validation_fraction": 5}, "compares trials on held-out rows"),
])  # fmt: skip
def test_what_a_search_cannot_go_with_is_a_value_error(
    parameters: dict[str, Any], message: str
) -> None:
    inputs, targets = load_wine(return_X_y=True)
    with pytest.raises(ValueError, match=message):
        EnsembleClassifier(epochs=1, **parameters).fit(inputs, targets)
