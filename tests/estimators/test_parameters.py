"""A wrong parameter, value or weight is told by its name."""

from typing import Any

import numpy as np
import pytest
from estimator_data import LABELS, NUMBERS, QUICK, X

from ensemble_pipe import EnsembleClassifier, EnsembleRegressor
from ensemble_pipe.core.arrays import Floats


@pytest.mark.parametrize(("parameters", "message"), [
    ({"epochs": 0}, "epochs: input should be greater than or equal to 1, got 0"),
    ({"hidden": 5}, "hidden: expected a list"),
    ({"optimizer": "adm"}, "optimizer: unknown 'adm'; did you mean 'adam'"),
    ({"learning_rate": -1.0}, "learning_rate: input should be greater than 0, got -1.0"),
    ({"validation_fraction": 1.5}, "validation_fraction: input should be less than 1, got 1.5"),
    ({"validation_fraction": 150, "epochs": 1}, "X: the splits need 150 rows"),
    ({"time_limit": "soon"}, "time_limit: 'soon' is not a duration, such as 90"),
    ({"time_limit": 1e-6}, "time_limit: .* is too short: the start has taken"),
    ({"address": 7}, "address: must be None .*'local', 'auto' or HOST:PORT, got 7"),
    ({"overrides": ["a"]}, "overrides: must be a dict of values by path"),
    ({"overrides": {"seed": 3}}, "overrides: 'seed' is for pipeline files"),
    ({"overrides": {"training.los": 3}}, "training.los: unknown key 'los'; did you mean 'loss'"),
    ({"overrides": {"training.loss.name": "huber"}}, "huber is for regression"),
    ({"overrides": {"ensemble.stop_below_gain": 0.1}}, "stop_below_gain: is for pipeline files"),
    *(({"validation_fraction": 5, "overrides": {f"ensemble.combine.{key}": value}},
       "needs held-out rows, but of 150 rows `validation_fraction` holds out fewer than 10")
      for key, value in (("coverage", 0.9), ("temperature", True), ("method", "greedy"),
                         ("keep", 1), ("most_members", 1), ("milliseconds", 1.0))),
    ({"overrides": {"view.folds": "x", "training.epochs": 0}}, r"(?s)view.folds.*training.epochs"),
])  # fmt: skip
def test_a_wrong_parameter_is_told_by_its_name(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EnsembleClassifier(**parameters).fit(X, LABELS)


def test_a_target_that_a_scale_cannot_have_is_named_by_its_row() -> None:
    regressor = EnsembleRegressor(**QUICK, overrides={"target.scale": "log"})
    with pytest.raises(ValueError, match=r"^y: row 2 \(from 0\): the target 0.0 is not above 0"):
        regressor.fit(X, np.where(np.arange(150) == 2, 0.0, 1.0 + np.arange(150)))


@pytest.mark.parametrize(("rows", "y", "weights", "message"), [
    (X * 1e300, NUMBERS, None, "X: row 0 .from 0., column 'x0': .* too large for float32"),
    (X, NUMBERS * 1e300, None, "^y: the target 'y' has values too far apart to be standardised"),
    (X, np.full(150, 1e300), None, "^y: the target 'y' is so large .*; divide it by a power of"),
    (X, NUMBERS + np.where(np.arange(150) == 2, np.nan, 0), None, "^y: .*row 2 .from 0."),
    (X, NUMBERS, np.zeros(150), "(?i)sample.weight.* (non-)?zero"),
    (X, NUMBERS, np.full(150, 1e308), "too large to be summed up"),
])  # fmt: skip
def test_a_wrong_value_is_a_value_error(
    rows: Floats, y: Floats, weights: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        EnsembleRegressor(**QUICK).fit(rows, y, sample_weight=weights)
